"""tls.mode sni-only: the client's own TLS reaches the origin, judged by its SNI alone."""
import ssl

from harness import WireTest, main
from harness.case import TOKEN, allowlist, needs_port_443, secret, secrets
from harness.peer import connect

ADDRESS = "127.43.0.1"  # a loopback address of this file's own: the mode always dials port 443


@needs_port_443(ADDRESS)
class SniOnly(WireTest):
    config = {"tls": {"mode": "sni-only", "ca_cert": None, "ca_key": None}}
    transforms = [allowlist("*.test", "10.0.0.1", rules=[{"host": "limited.example", "methods": ["GET"]}])]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.origin = cls.start_tls_origin(ADDRESS, 443)
        cls.dns.names |= {"up.test": [ADDRESS], "api.test": [ADDRESS], "closed.test": ["127.43.0.2"]}

    def setUp(self):
        super().setUp()
        self.origin.forget()
        self.origin_trust = self.certificates.client_context("origin")

    def ways_in(self):
        """A raw connection by https_listen, and one by a tunnel to another host and port."""
        yield "direct", self.plain(listener="https")
        yield "tunnel", self.tunnel("other.test:8443")

    def test_pass_through(self):
        for way, peer in self.ways_in():
            with self.subTest(way):
                peer.start_tls(self.origin_trust, "up.test")
                self.assertEqual((("DNS", "up.test"),), peer.sock.getpeercert()["subjectAltName"][:1])  # the origin's own certificate
                self.assertEqual(200, peer.request("GET", f"/{way}", "up.test", [("Authorization", TOKEN)]).status)
                self.assertEqual(TOKEN, self.origin.wait_request(f"/{way}").get("Authorization"))
                peer.close()
                record = self.proxy.wait_request(host="up.test", count=1 if way == "direct" else 2)
                self.assertEqual(("", "", "up.test", "sni-only", "allow", 200),
                                 tuple(record["audit"][key] for key in ("method", "path", "sni", "mode", "action", "status_code")))
                self.assertGreater(record["audit"]["request_bytes"], 0)
                self.assertNotIn("tunnel", record)
        self.assertEqual([], self.proxy.records("tunnel closed without a request"))

    def test_denied_closes_without_an_alert(self):
        for way, peer in self.ways_in():
            with self.subTest(way):
                context = ssl.create_default_context()
                with self.assertRaises((ssl.SSLEOFError, ConnectionResetError, ssl.SSLZeroReturnError)):
                    peer.start_tls(context, "evil.example")
        record = self.proxy.wait_request(host="evil.example", count=2)
        self.assertEqual(("reject", 403, "allowlist"), (record["audit"]["action"], record["audit"]["status_code"], record["rejected_by"]))
        self.proxy.wait_record("sni passthrough short-circuited by transform", lambda r: r["sni"] == "evil.example", count=2)

    def test_rules_with_methods_never_match(self):
        peer = self.plain(listener="tunnel")
        peer.send_request("CONNECT", "limited.example:443", "x")
        self.assertIn(b"403", peer.read_to_end())

    def test_without_sni(self):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with self.assertRaises((ssl.SSLError, ConnectionResetError)):
            self.plain(listener="https").start_tls(context, None)
        record = self.proxy.wait_record("request", lambda r: r.get("error") == "client hello missing sni")
        self.assertEqual(("error", 400, ""), (record["audit"]["action"], record["audit"]["status_code"], record["audit"]["host"]))

    def test_not_tls(self):
        peer = self.plain(listener="https")
        address = "%s:%d" % peer.sock.getsockname()
        self.assertEqual(b"", peer.send("GET / HTTP/1.1\r\nHost: up.test\r\n\r\n").read_to_end())
        self.assertEqual([], [record for record in self.proxy.records("request") if record["audit"]["remote_addr"] == address])

    def test_failed_dial(self):
        with self.assertRaises((ssl.SSLEOFError, ConnectionResetError, ssl.SSLZeroReturnError)):
            self.plain(listener="https").start_tls(self.origin_trust, "closed.test")
        record = self.proxy.wait_request(host="closed.test")
        self.assertEqual(("error", 502, "dial tcp 127.43.0.2:443: connect: connection refused"),
                         (record["audit"]["action"], record["audit"]["status_code"], record["error"]))

    def test_end_of_one_side_ends_the_other(self):
        self.origin.routes["/end"] = lambda c, r: (c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), "end")[1]
        peer = self.plain(listener="https").start_tls(self.origin_trust, "up.test")
        self.assertEqual(200, peer.request("GET", "/end", "up.test").status)
        self.assertEqual(b"", peer.read_to_end())

    def test_hello_in_pieces(self):
        outgoing, incoming = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = self.origin_trust.wrap_bio(incoming, outgoing, server_hostname="api.test")
        with self.assertRaises(ssl.SSLWantReadError):
            client.do_handshake()
        peer = self.track(connect(self.proxy.https))
        for byte in outgoing.read():
            peer.send(bytes([byte]))
        self.assertEqual(b"\x16\x03", peer.read_exact(2))  # the origin's ServerHello

    def test_plain_requests_work_as_ever(self):
        self.assertEqual(200, self.plain().request("GET", "/plain", self.upstream.host("b.test")).status)
        self.assertEqual("mitm", self.proxy.wait_request(path="/plain")["audit"]["mode"])

    def test_ca_is_ignored_with_a_warning(self):
        proxy = self.own_proxy({"tls": {"ca_cert": "/nonexistent", "ca_key": "/nonexistent"}})
        proxy.wait_record("tls.ca_cert and tls.ca_key are ignored when tls.mode=sni-only")

    def test_require_keeps_a_mapped_host_closed(self):
        proxy = self.own_proxy({"transforms": [allowlist("*.test"), secrets(secret(require=True))]})
        peer = self.plain(proxy, "tunnel")
        peer.send_request("CONNECT", "up.test:443", "x")
        self.assertIn(b"403", peer.read_to_end())


if __name__ == "__main__":
    main()
