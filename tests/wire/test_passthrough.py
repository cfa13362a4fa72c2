"""proxy.passthrough: tunnels and server names that are relayed unseen, whatever is spoken in them."""
import base64
import signal
import socket
import ssl

from harness import StartFailed, Stopwatch, Upstream, WireTest, main
from harness.case import TOKEN, allowlist, needs_port_443, secret, secrets

WAYS = ("http", "tunnel", "socks")
BANNER = b"SSH-2.0-OpenSSH_9.2\r\n"
ADDRESS = "127.44.0.1"  # a loopback address of this file's own: by name port 443 is dialled
UNSEEN = "the rule names hosts that proxy.passthrough relays unseen, where it has no effect"


def closed_port(case):
    """A port that nobody listens at and, as long as the class runs, nobody else gets."""
    held = socket.socket()
    case.addClassCleanup(held.close)
    held.bind(("127.0.0.1", 0))
    return held.getsockname()[1]


def echo(connection):
    """Speaks first, then says everything back until the client ended."""
    connection.send(BANNER)
    while data := connection.sock.recv(65536):
        connection.send(data)


class PassThroughTest(WireTest):
    transforms = [allowlist("*.test", cidrs=["127.0.0.0/8"]), secrets(secret(host="api.test"))]

    @classmethod
    def base_config(cls):
        config = super().base_config()
        if not hasattr(cls, "mutual"):
            cls.certificates.sign("client", "origin", "extendedKeyUsage=clientAuth\n")
            context = cls.certificates.server_context()
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cls.certificates.path("origin.crt"))
            cls.mutual = Upstream(context)
            cls.addClassCleanup(cls.mutual.close)
            cls.closed_port = closed_port(cls)
        cls.ports = [cls.upstream.port, cls.tls_upstream.port, cls.mutual.port, cls.closed_port]
        config["proxy"]["passthrough"] = [{"host": "*.up.test", "ports": cls.ports}, {"cidr": "127.0.0.0/8", "ports": cls.ports}]
        return config

    def opening(self, way, target, proxy=None):
        """The connection on which a tunnel was asked for, and the answer."""
        peer = self.plain(proxy, "http" if way == "http" else "tunnel")
        if way == "socks":
            host, port = target.rsplit(":", 1)
            peer.send(b"\5\1\0\5\1\0\3" + bytes([len(host)]) + host.encode() + int(port).to_bytes(2, "big"))
            return peer, peer.read_exact(12)[3:4]
        peer.send_request("CONNECT", target, target)
        return peer, peer.read_until(b"\r\n\r\n")

    def opened(self, way, target, proxy=None):
        peer, answer = self.opening(way, target, proxy)
        self.assertEqual(b"\0" if way == "socks" else b"HTTP/1.1 200 Connection Established\r\n\r\n", answer)
        return peer

    def session(self, proxy=None, **audit):
        record = (proxy or self.proxy).wait_request(mode="passthrough", **audit)
        self.assertNotIn("tunnel", record)
        self.assertEqual(("", ""), (record["audit"]["method"], record["audit"]["path"]))
        return record

    def assert_ended(self, peer):
        try:
            self.assertEqual(b"", peer.read_to_end())
        except (ssl.SSLError, OSError):
            pass


class Relayed(PassThroughTest):
    def test_the_server_speaks_first(self):
        for way in WAYS:
            with self.subTest(way):
                self.upstream.on_connection = echo
                mark = self.proxy.mark()
                target = self.upstream.host("git.up.test")
                peer = self.opened(way, target)
                self.assertEqual(BANNER, peer.read_exact(len(BANNER)))  # before the client said anything
                peer.send(b"SSH-2.0-client\r\n")
                self.assertEqual(b"SSH-2.0-client\r\n", peer.read_exact(16))
                peer.half_close()
                self.assertEqual(b"", peer.read_to_end())
                record = self.session(host=target, after=mark)
                self.assertEqual(("allow", 200, 16, 16 + len(BANNER), "", f"127.0.0.1:{self.upstream.port}"),
                                 tuple(record["audit"][key] for key in ("action", "status_code", "request_bytes", "response_bytes", "sni", "upstream_addr")))
                check = self.proxy.wait_request(after=mark, method="CONNECT", host=target)
                self.assertEqual(("mitm", "allow", 200), tuple(check["audit"][key] for key in ("mode", "action", "status_code")))
                self.assertLess(self.proxy.records().index(check), self.proxy.records().index(record))
        self.assertEqual([], self.proxy.records("tunnel closed without a request"))

    def test_the_client_speaks_first(self):
        seen = []

        def postgres(connection):
            seen.append(connection.read_exact(len(first)))
            connection.send(b"N")
            seen.append(connection.read_to_end())
        self.upstream.on_connection = postgres
        for first in (b"\0\0\0\x08\x04\xd2\x16\x2f", b"GET / HTT", b"*1\r\n$4\r\n", b"\x80\x2e\x01\0\2\0\0\0"):
            with self.subTest(first):
                seen.clear()
                peer = self.opened("tunnel", self.upstream.host("db.up.test")).send(first)
                self.assertEqual(b"N", peer.read_exact(1))
                peer.send(b"rest").half_close()
                self.assertEqual(b"", peer.read_to_end())
                self.assertEqual([first, b"rest"], seen)

    def test_bytes_with_the_connect_belong_to_it(self):
        self.upstream.on_connection = echo
        target = self.upstream.host("git.up.test")
        peer = self.plain(listener="tunnel").send(f"CONNECT {target} HTTP/1.1\r\n\r\nearly")
        peer.half_close()
        self.assertTrue(peer.read_to_end().endswith(BANNER + b"early"))

    def test_a_request_inside_is_not_seen(self):
        peer = self.opened("http", self.upstream.host("git.up.test"))
        self.assertEqual(200, peer.request("GET", "/unseen", self.upstream.host("api.test"), [("Authorization", TOKEN)]).status)
        self.assertEqual(TOKEN, self.upstream.wait_request("/unseen").get("Authorization"))
        self.assertEqual([], [r for r in self.proxy.records("request") if r["audit"]["path"] == "/unseen"])

    def test_mutual_tls(self):
        context = self.certificates.client_context("origin")
        context.load_cert_chain(self.certificates.path("client.crt"), self.certificates.path("client.key"))
        for way in WAYS:
            with self.subTest(way):
                mark = self.proxy.mark()
                target = self.mutual.host("api.up.test")
                peer = self.opened(way, target).start_tls(context, "api.up.test")
                self.assertIn(("DNS", "*.up.test"), peer.sock.getpeercert()["subjectAltName"])  # the origin's own certificate
                self.assertEqual(200, peer.request("GET", f"/{way}", target).status)
                self.mutual.wait_request(f"/{way}")
                self.assertEqual(((("commonName", "client"),),), self.mutual.connections[-1].sock.getpeercert()["subject"])
                peer.close()
                self.assertEqual("api.up.test", self.session(host=target, after=mark)["audit"]["sni"])

    def test_half_close_of_either_side(self):
        ended = []

        def server(connection):
            connection.send(b"bye").half_close()
            ended.append(connection.read_to_end())
        self.upstream.on_connection = server
        peer = self.opened("tunnel", self.upstream.host("half.up.test"))
        self.assertEqual(b"bye", peer.read_to_end())
        record = self.session(host=self.upstream.host("half.up.test"))  # it stands in the log before the client sees the end
        self.assertEqual((0, 3), (record["audit"]["request_bytes"], record["audit"]["response_bytes"]))
        peer.send(b"still there").half_close()
        self.upstream.connections[-1].ended.wait(15)
        self.assertEqual([b"still there"], ended)

    def test_a_port_that_is_not_named_is_intercepted(self):
        proxy = self.own_proxy({"proxy": {"passthrough": [{"host": "*.up.test"}]}})
        target = self.tls_upstream.host("api.up.test")
        peer = self.opened("tunnel", target, proxy).start_tls(self.certificates.client_context(), "api.up.test")
        self.assertEqual(200, peer.request("GET", "/seen", target).status)
        self.assertEqual("mitm", proxy.wait_request(path="/seen")["audit"]["mode"])

    def test_a_peer_that_takes_nothing(self):
        proxy = self.own_proxy({"proxy": {"limits": {"stall_timeout": "300ms"}}})
        self.upstream.on_connection = lambda connection: connection.ended.wait(20)
        peer = self.opened("tunnel", self.upstream.host("git.up.test"), proxy)
        try:
            while True:
                peer.send(b"x" * 65536)
        except OSError:
            pass
        record = self.session(proxy, host=self.upstream.host("git.up.test"))
        self.assertEqual(("allow", 200, "upstream took no byte for 300ms (proxy.limits.stall_timeout)"),
                         (record["audit"]["action"], record["audit"]["status_code"], record["error"]))
        self.upstream.connections[-1].ended.set()


class Hellos(PassThroughTest):
    def unverified(self):
        return ssl._create_unverified_context()

    def hello(self, name):
        outgoing, incoming = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = self.unverified().wrap_bio(incoming, outgoing, server_hostname=name)
        with self.assertRaises(ssl.SSLWantReadError):
            client.do_handshake()
        return outgoing.read()

    def quiet_origin(self):
        """The origin notes what a connection brought to its end."""
        seen = []
        self.upstream.on_connection = lambda connection: seen.append(connection.read_to_end())
        return seen

    def assert_refused(self, data, error, target=None, end=False):
        seen, mark = self.quiet_origin(), self.proxy.mark()
        target = target or self.upstream.host(f"{self._testMethodName.replace('_', '-')}.up.test")
        peer = self.opened("tunnel", target).send(data)
        if end:
            peer.half_close()
        self.assertEqual(b"", peer.read_to_end())
        record = self.session(host=target, after=mark)
        self.assertEqual(("reject", 400, "protocol", error, 0),
                         (record["audit"]["action"], record["audit"]["status_code"], record["rejected_by"], record["error"], record["audit"]["request_bytes"]))
        self.upstream.wait_connections(1)
        self.upstream.connections[-1].ended.wait(15)
        self.assertEqual([b""], seen)
        self.upstream.forget()
        return record

    def test_for_another_host(self):
        record = self.assert_refused(self.hello("api.test"), "SNI is not the host of the tunnel")
        self.assertEqual("api.test", record["audit"]["sni"])
        self.assert_refused(self.hello("up.test"), "SNI is not the host of the tunnel")
        self.assert_refused(self.hello("api.test"), "SNI is not the host of the tunnel", self.upstream.host("127.0.0.1"))
        # Python sends no address as a name; servers that choose by one exist all the same.
        self.assert_refused(self.hello("127x0x0x2").replace(b"127x0x0x2", b"127.0.0.2"), "SNI is not the host of the tunnel", self.upstream.host("127.0.0.1"))

    def test_without_a_name(self):
        self.assert_refused(self.hello(None), "client hello missing sni")

    def test_hidden_behind_a_record_that_servers_pass_over(self):
        for record in (b"\x15\3\1\0\2\1\x5a", b"\x15\3\3\0\2\1\x70", b"\x15\0\0\0\2\1\x5a", b"\x14\3\1\0\1\1"):
            with self.subTest(record):
                self.assert_refused(record + self.hello("api.test"), "malformed client hello")

    def test_with_two_names_or_a_nul_in_one(self):
        name = b"test-with-two-names-or-a-nul-in-one.up.test"
        good = self.hello(name.decode())
        entry = b"\0" + len(name).to_bytes(2, "big") + name
        at = good.index(entry)

        def with_names(names):
            """The hello with this list; the lengths around it follow."""
            bytes_ = bytearray(good[:at] + names + good[at + len(entry):])
            more = len(names) - len(entry)
            extensions = 5 + 4 + 2 + 32
            extensions += 1 + good[extensions]
            extensions += 2 + int.from_bytes(good[extensions:extensions + 2], "big")
            extensions += 1 + good[extensions]
            for place, size in ((3, 2), (6, 3), (extensions, 2), (at - 4, 2), (at - 2, 2)):
                length = int.from_bytes(good[place:place + size], "big") + more
                bytes_[place:place + size] = length.to_bytes(size, "big")
            return bytes(bytes_)
        other = b"\0\0\x08api.test"
        self.assert_refused(with_names(entry + other), "malformed client hello")
        self.assert_refused(with_names(b"\0\0\x0e127.0.0.1\0test"), "SNI is not the host of the tunnel", self.upstream.host("127.0.0.1"))

    def test_that_are_none(self):
        self.assert_refused(b"\x16 this is no TLS", "malformed client hello")
        self.assert_refused(b"\x16\3\1\x40\0\1\0\xff\xff" + b"a" * 20000, "malformed client hello")
        self.assert_refused(self.hello("test-that-are-none.up.test")[:-1], "malformed client hello", end=True)

    def test_an_address_needs_no_name(self):
        peer = self.opened("tunnel", self.tls_upstream.host("127.0.0.1")).start_tls(self.unverified(), None)
        self.assertEqual(200, peer.request("GET", "/literal", "x").status)
        self.tls_upstream.wait_request("/literal")

    def test_case_and_trailing_dot_of_the_target(self):
        for host in ("API.up.TEST", "api.up.test."):
            peer = self.opened("tunnel", self.tls_upstream.host(host)).start_tls(self.certificates.client_context("origin"), "api.up.test")
            self.assertEqual(200, peer.request("GET", "/case", "x").status)

    def test_in_pieces(self):
        seen = self.quiet_origin()
        hello = self.hello("git.up.test")
        peer = self.opened("tunnel", self.upstream.host("git.up.test"))
        for byte in hello:
            peer.send(bytes([byte]))
        peer.half_close()
        self.assertEqual(b"", peer.read_to_end())
        self.assertEqual([hello], seen)

    def test_are_held_five_seconds_while_the_server_speaks(self):
        seen = []

        def server(connection):
            connection.send(BANNER)
            seen.append(connection.read_to_end())
        self.upstream.on_connection = server
        clock = Stopwatch()
        target = self.upstream.host("slow.up.test")
        peer = self.opened("tunnel", target).send(self.hello("slow.up.test")[:100])
        self.assertEqual(BANNER, peer.read_to_end())
        clock.check(self, 8, 5)
        self.assertEqual("client hello is not complete after 5s", self.session(host=target)["error"])
        self.upstream.connections[-1].ended.wait(15)
        self.assertEqual([b""], seen)


class Refused(PassThroughTest):
    def test_dials_that_fail(self):
        for way in WAYS:
            with self.subTest(way):
                mark = self.proxy.mark()
                target = f"git.up.test:{self.closed_port}"
                peer = self.opened(way, target)
                self.assertEqual(b"", peer.read_to_end())
                self.assertFalse(peer.reset_seen)
                record = self.session(host=target, after=mark)
                self.assertEqual(("error", 502, f"dial tcp 127.0.0.1:{self.closed_port}: connect: connection refused"),
                                 (record["audit"]["action"], record["audit"]["status_code"], record["error"]))

    def test_denied_addresses(self):
        proxy = self.own_proxy({"proxy": {"upstream_deny_cidrs": ["127.0.0.0/8"]}})
        for host in ("git.up.test", "127.0.0.1"):
            target = self.upstream.host(host)
            self.assert_ended(self.opened("tunnel", target, proxy).send(b"SSH-2.0-x\r\n"))
            record = self.session(proxy, host=target)
            self.assertEqual(("error", 502), (record["audit"]["action"], record["audit"]["status_code"]))
            self.assertIn("denied by upstream_deny_cidrs: 127.0.0.1 in 127.0.0.0/8", record["error"])
        self.assertEqual([], self.upstream.connections)

    def test_the_own_listener_and_a_reload(self):
        proxy = self.own_proxy({"proxy": {"passthrough": None}})
        config = proxy.config | {"proxy": proxy.config["proxy"] | {"passthrough": [{"host": "*.up.test", "ports": [proxy.http[1]]}]}}
        proxy.write_config(config)
        proxy.send_signal(signal.SIGHUP)
        proxy.wait_record("management reload succeeded")
        target = f"git.up.test:{proxy.http[1]}"
        self.assert_ended(self.opened("http", target, proxy))
        self.assertEqual(f"dial tcp 127.0.0.1:{proxy.http[1]}: own listener", self.session(proxy, host=target)["error"])
        # And a broken one changes nothing.
        mark = proxy.mark()
        proxy.write_config(config | {"proxy": config["proxy"] | {"passthrough": [{"ports": [1]}]}})
        proxy.send_signal(signal.SIGHUP)
        error = proxy.wait_record("management reload rejected invalid config", after=mark)["error"]
        self.assertRegex(error, r"^proxy\.passthrough\[0\]: one of host or cidr is required; got neither \(line \d+\)$")
        self.assert_ended(self.opened("http", target, proxy))
        self.session(proxy, host=target, count=2)

    def test_policy_admits_as_in_sni_only_mode(self):
        target = self.upstream.host("git.up.test")
        for name, transforms in (("host", [allowlist("api.test")]), ("method", [allowlist(rules=[{"host": "*.test", "methods": ["GET"]}])]),
                                 ("path", [allowlist(rules=[{"host": "*.test", "paths": ["/v1/*"]}])]),
                                 ("require", [allowlist("*.test"), secrets(secret(host="*.test", require=True))]),
                                 ("when_sent", [allowlist("*.test"), secrets(secret(host="*.test", require="when_sent"))])):
            proxy = self.own_proxy({"transforms": transforms})
            for way in WAYS:
                with self.subTest(name, way=way):
                    _, answer = self.opening(way, target, proxy)
                    self.assertEqual(b"\2" if way == "socks" else b"HTTP/1.1 403", answer[:12])
            record = proxy.wait_request(host=target, method="CONNECT")
            self.assertEqual(("mitm", "reject", 403), tuple(record["audit"][key] for key in ("mode", "action", "status_code")))
            # The same rules let an intercepted tunnel open, whose requests they judge.
            if name != "host":
                self.opened("tunnel", self.upstream.host("api.test"), proxy)
        self.assertEqual([], self.upstream.connections)

    def test_a_token_in_the_connect_opens_no_required_host(self):
        target = self.upstream.host("git.up.test")
        basic = "Basic " + base64.b64encode(f"user:{TOKEN}".encode()).decode()
        for require in (True, "when_sent"):
            proxy = self.own_proxy({"transforms": [allowlist("*.test"), secrets(secret(host="*.test", match_headers=[], require=require))]})
            for field in (("Authorization", TOKEN), ("Authorization", basic), ("Proxy-Authorization", TOKEN), ("X-Any", TOKEN)):
                with self.subTest(require, field=field):
                    peer = self.plain(proxy, "tunnel").send_request("CONNECT", target, target, [field])
                    self.assertEqual(b"HTTP/1.1 403", peer.read_until(b"\r\n\r\n")[:12])
        self.assertEqual([], self.upstream.connections)

    def test_what_is_no_host_is_never_relayed(self):
        proxy = self.own_proxy({"transforms": [], "proxy": {"passthrough": [{"host": "*", "ports": [443, self.upstream.port]}]}})
        for host in ("", "a b"):
            peer = self.opened("socks", f"{host}:443", proxy)
            self.assertEqual(200, peer.request("GET", "/http", self.upstream.host()).status)


@needs_port_443(ADDRESS)
class ByName(PassThroughTest):
    config = {"proxy": {"passthrough": [{"host": "api.up.test"}, {"host": "closed.test"}, {"host": "evil.example"}, {"host": "other.test", "ports": [8443]}]}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.origin = cls.start_tls_origin(ADDRESS, 443)
        cls.dns.names |= {"api.up.test": [ADDRESS], "closed.test": ["127.44.0.2"], "other.test": [ADDRESS]}

    def test_relayed(self):
        peer = self.plain(listener="https").start_tls(self.certificates.client_context("origin"), "api.up.test")
        self.assertEqual(200, peer.request("GET", "/named", "api.test", [("Authorization", TOKEN)]).status)
        self.assertEqual(TOKEN, self.origin.wait_request("/named").get("Authorization"))
        peer.close()
        record = self.session(host="api.up.test")
        self.assertEqual(("api.up.test", "allow", 200), tuple(record["audit"][key] for key in ("sni", "action", "status_code")))
        self.assertGreater(record["audit"]["request_bytes"], 0)
        self.assertEqual("allowlist", record["request_transforms"][0]["name"])

    def test_others_are_intercepted(self):
        for name in ("up.test", "other.test"):
            peer = self.plain(listener="https").start_tls(self.certificates.client_context(), name)
            self.assertEqual(200, peer.request("GET", f"/{name}", self.tls_upstream.host(name) if name == "up.test" else name).status)
            self.assertEqual("mitm", self.proxy.wait_request(path=f"/{name}")["audit"]["mode"])

    def test_what_is_no_hello_is_left_to_the_handshake(self):
        peer = self.plain(listener="https").send("GET / HTTP/1.1\r\nHost: up.test\r\n\r\n")
        self.assertIn(b"Client sent an HTTP request to an HTTPS server.", peer.read_to_end())
        self.assertEqual(b"", self.plain(listener="https").send(b"\0" * 8).read_to_end())

    def test_denied_and_failed(self):
        for name, wanted in (("evil.example", ("reject", 403)), ("closed.test", ("error", 502))):
            with self.assertRaises((ssl.SSLError, OSError)):
                self.plain(listener="https").start_tls(ssl._create_unverified_context(), name)
            record = self.session(host=name)
            self.assertEqual(wanted, (record["audit"]["action"], record["audit"]["status_code"]))


class Warnings(PassThroughTest):
    starts_proxy = False

    def test_rules_that_have_no_effect_there(self):
        proxy = self.own_proxy({"transforms": [
            allowlist("*.test", rules=[{"host": "a.up.test"}, {"host": "b.up.test", "methods": ["GET"]}, {"host": "c.up.test", "methods": ["CONNECT"], "paths": ["/*"]}]), secrets(secret(host="*.test"), secret(host="api.test")),
            {"name": "annotate", "config": {"annotations": [{"rules": [{"host": "*"}], "headers": ["X-A"]}]}},
            {"name": "body_capture", "config": {"rules": [{"host": "other.test"}, {"cidr": "127.1.0.0/16"}]}},
            {"name": "header_allowlist", "config": {"headers": ["/.*/"]}}]})
        record = proxy.wait_record("risky setting", lambda r: r["reason"] == UNSEEN, 0)
        self.assertEqual("WARN", record["level"])
        self.assertEqual(["transforms[0].config.rules[1]", "transforms[1].config.secrets[0].rules[0]", "transforms[2].config.annotations[0].rules[0]",
                          "transforms[3].config.rules[1]", "transforms[4].config"], record["key"].split(", "))
        mark = proxy.mark()
        proxy.send_signal(signal.SIGHUP)
        proxy.wait_record("risky setting", lambda r: r["reason"] == UNSEEN, mark)

    def test_without_entries_there_is_none(self):
        proxy = self.own_proxy({"proxy": {"passthrough": []}})
        self.assertEqual([], [r for r in proxy.records("risky setting") if "passthrough" in r["reason"]])

    def test_a_pattern_that_never_matches(self):
        proxy = self.own_proxy({"proxy": {"passthrough": [{"host": "git.up.test:22"}]}})
        record = proxy.wait_record("pattern never matches", after=0)
        self.assertEqual(("proxy.passthrough[0].host", "git.up.test:22"), (record["key"], record["pattern"]))
        self.assertGreater(record["line"], 0)

    def test_no_effect_in_sni_only_mode(self):
        proxy = self.own_proxy({"tls": {"mode": "sni-only", "ca_cert": None, "ca_key": None}})
        self.assertEqual("WARN", proxy.wait_record("proxy.passthrough is ignored when tls.mode=sni-only", after=0)["level"])
        self.assertEqual([], [r for r in proxy.records("risky setting") if "passthrough" in r["reason"]])
        target = self.upstream.host("git.up.test")
        self.assert_ended(self.opened("tunnel", target, proxy).send(b"SSH-2.0-x\r\n"))
        self.assertEqual("unknown protocol in tunnel", proxy.wait_request(host=target, action="reject")["error"])

    def test_faults_end_the_start(self):
        for entries, text in (([{}], "proxy.passthrough[0]: one of host or cidr is required; got neither (line "),
                              ([{"host": "a", "ports": [0]}], "proxy.passthrough[0].ports[0] must be 1 to 65535; got 0 (line "),
                              ([{"host": "a", "ports": []}], "proxy.passthrough[0].ports must not be empty; got [] (line "),
                              ([{"host": "a", "zzz": 1}], "field zzz not found in type config.Passthrough")):
            with self.assertRaises(StartFailed) as raised:
                self.start_proxy({"proxy": {"passthrough": entries}})
            self.assertEqual(1, raised.exception.code)
            self.assertTrue(raised.exception.text.startswith("error: "), raised.exception.text)
            self.assertIn(text, raised.exception.text)


if __name__ == "__main__":
    main()
