"""Tunnels of CONNECT and SOCKS5: what is no HTTP and no TLS, what refusals inside say, and tunnels that nobody uses."""
import datetime

from harness import WireTest, main, wait_until
from harness.case import refusal

UNKNOWN = "unknown protocol in tunnel"
NOT_USED = "tunnel closed without a request"
WAYS = ("http", "tunnel", "socks")
# SSH, PostgreSQL's SSLRequest, SOCKS5, MQTT, lower case, blanks, a byte above ASCII, SSLv2
STRANGERS = (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", b"SSH-", b"\0\0\0\x08\x04\xd2\x16\x2f", b"\x05\x01\0", b"\x10\x0c\0\x04MQTT\x04\x02\0<\0\0",
             b"get / HTTP/1.1\r\nHost: up.test\r\n\r\n", b" GET / HTTP/1.1\r\n\r\n", b"\r\n", b"[", b"\xff\xfe", b"\x80\x2e\x01\0\x02", b"@" * 100_000)


class TunnelTest(WireTest):
    def opened(self, way, target=None, proxy=None, source=None):
        """An open tunnel, by CONNECT on either listener or by SOCKS5."""
        target = target or self.upstream.host()
        peer = self.plain(proxy, "http" if way == "http" else "tunnel", source)
        if way == "socks":
            host, port = target.rsplit(":", 1)
            peer.send(b"\5\1\0\5\1\0\3" + bytes([len(host)]) + host.encode() + int(port).to_bytes(2, "big"))
            self.assertEqual(b"\5\0\5\0\0\1\0\0\0\0\0\0", peer.read_exact(12))
        else:
            peer.send_request("CONNECT", target, target)
            self.assertEqual(b"HTTP/1.1 200 Connection Established\r\n\r\n", peer.read_until(b"\r\n\r\n"))
        return peer

    def assert_refused(self, peer, target, mark):
        """Ended properly, without a byte, with one record."""
        self.assertEqual(b"", peer.read_to_end())
        self.assertFalse(peer.reset_seen)
        record = self.proxy.wait_record("request", lambda r: r.get("error") == UNKNOWN, mark)
        audit = record["audit"]
        self.assertEqual((target, "", "", "reject", 400, "protocol"),
                         (*(audit[key] for key in ("host", "method", "path", "action", "status_code")), record["rejected_by"]))


class Strangers(TunnelTest):
    config = {"log": {"level": "debug"}}

    def test_closed_at_once_with_a_record(self):
        target = self.upstream.host()
        for number, data in enumerate(STRANGERS):
            for way in WAYS:
                with self.subTest(data[:20], way=way):
                    mark = self.proxy.mark()
                    peer = self.opened(way, source=f"127.0.7.{number + 1}")
                    peer.send(data)
                    self.assert_refused(peer, target, mark)
                    text = f"unsupported protocol (first byte 0x{data[0]:02x}) for target {target}"
                    self.proxy.wait_record("tunnel connect error", lambda r: r["error"] == text, mark)
        self.assert_no_contact()
        self.assertEqual([], self.proxy.records(NOT_USED))

    def test_split_over_segments(self):
        mark = self.proxy.mark()
        peer = self.opened("http", source="127.0.8.1")
        for byte in (b"S", b"S", b"H"):
            peer.send(byte)
            self.assertFalse(peer.readable(0.05))
        peer.send(b"-2.0-x\r\n")
        self.assert_refused(peer, self.upstream.host(), mark)
        self.assert_no_contact()

    def test_methods_that_begin_alike_are_http(self):
        for number, method in enumerate(("SEARCH", "S3GET", "SSHX", "SSH", "SS", "S")):
            for way in WAYS:
                with self.subTest(method, way=way):
                    peer = self.opened(way)
                    for byte in f"{method} /{way}-{number} HTTP/1.1\r\n":
                        peer.send(byte)
                    peer.send(f"Host: {self.upstream.host()}\r\n\r\n")
                    self.assertEqual(200, peer.read_response().status)
                    self.assertEqual(method, self.upstream.wait_request(f"/{way}-{number}").method)

    def test_malformed_http_keeps_its_answer(self):
        for number, data in enumerate((b"SSHX\r\n\r\n", b"HELO there\r\n\r\n", b"S", b"SS", b"SSH")):
            with self.subTest(data):
                peer = self.opened("tunnel", source=f"127.0.8.{number + 2}").send(data)
                if b"\n" not in data:
                    peer.half_close()
                self.assertEqual(refusal("400 Bad Request"), peer.read_to_end())

    def test_a_later_request_is_no_first_byte(self):
        peer = self.opened("tunnel", source="127.0.8.9")
        self.assertEqual(200, peer.request("GET", "/first", self.upstream.host()).status)
        self.assertEqual(refusal("400 Bad Request"), peer.send(b"SSH-2.0-x\r\n").read_to_end())

    def test_an_undecided_beginning_has_the_time_of_a_head(self):
        proxy = self.own_proxy({"proxy": {"limits": {"request_head_timeout": "200ms"}}})
        peer = self.opened("tunnel", proxy=proxy).send(b"SSH")
        self.assertEqual(b"", peer.read_to_end())
        record = proxy.wait_record("request", lambda r: r.get("error") == "malformed request")
        self.assertEqual(self.upstream.host(), record["audit"]["host"])

    def test_records_are_limited(self):
        mark = self.proxy.mark()
        for _ in range(25):
            peer = self.opened("tunnel", source="127.0.8.20").send(b"SSH-2.0-x\r\n")
            self.assertEqual(b"", peer.read_to_end())
        self.proxy.wait_record("refusals not recorded", lambda r: r["remote_addr"] == "127.0.8.20", mark)


class Refusals(TunnelTest):
    def test_have_the_host_of_the_tunnel(self):
        for number, (data, error) in enumerate((
                ("GET / HTTP/1.1\r\n\r\n", "missing Host header"), ("GET / HTTP/1.0\r\n\r\n", "missing Host header"),
                ("GET / HTTP/1.1\r\nHost:\r\n\r\n", "missing Host header"), ("GARBAGE\r\n\r\n", "malformed request"),
                ("GET / HTTP/1.1\r\nX\r\n\r\n", "malformed request"), ("GET /" + "a" * 70_000, "request head too large"),
                ("GET / HTTP/3.0\r\n\r\n", "unsupported protocol version"), ("POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", "unsupported transfer encoding"))):
            for way in WAYS:
                with self.subTest(data[:60], way=way):
                    peer = self.opened(way, source=f"127.0.9.{number + 1}")
                    mark = self.proxy.mark()
                    peer.send(data)
                    record = self.proxy.wait_record("request", lambda r: r.get("rejected_by") == "protocol", mark)
                    self.assertEqual((self.upstream.host(), error), (record["audit"]["host"], record["error"]))
        self.assert_no_contact()

    def test_have_it_under_tls_too(self):
        target = self.tls_upstream.host()
        for number, data in enumerate(("GET / HTTP/1.1\r\n\r\n", "GARBAGE\r\n\r\n")):
            mark = self.proxy.mark()
            peer = self.opened("tunnel", target, source=f"127.0.9.{number + 20}").start_tls(self.certificates.client_context(), "up.test")
            peer.send(data)
            record = self.proxy.wait_record("request", lambda r: r.get("rejected_by") == "protocol", mark)
            self.assertEqual((target, "up.test"), (record["audit"]["host"], record["audit"]["sni"]))

    def test_keep_the_host_that_the_request_names(self):
        for number, (data, host) in enumerate((("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "a b"), ("GET /../x HTTP/1.1\r\nHost: other.test\r\n\r\n", "other.test"),
                                               ("CONNECT other.test:1 HTTP/1.1\r\nHost: x.test\r\n\r\n", "other.test:1"))):
            with self.subTest(host):
                mark = self.proxy.mark()
                self.opened("tunnel", source=f"127.0.9.{number + 30}").send(data)
                record = self.proxy.wait_record("request", lambda r: r.get("rejected_by") == "protocol", mark)
                self.assertEqual(host, record["audit"]["host"])

    def test_a_preface_of_http_2_is_named(self):
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        for way, peer, host in (("plain", self.plain(source="127.0.9.40"), ""), ("tunnel", self.opened("http", source="127.0.9.41"), self.upstream.host())):
            with self.subTest(way):
                mark = self.proxy.mark()
                response = peer.send(preface).read_response()
                self.assertEqual((400, b"missing Host header\n"), (response.status, response.body))  # the bytes of ever
                record = self.proxy.wait_record("request", lambda r: r.get("rejected_by") == "protocol", mark)
                audit = record["audit"]
                self.assertEqual((host, "PRI", "*", 400, "unsupported protocol version: HTTP/2 preface"),
                                 (audit["host"], audit["method"], audit["path"], audit["status_code"], record["error"]))


class NotUsed(TunnelTest):
    config = {"log": {"level": "debug"}}

    def assert_reported(self, peer_address, proxy, target):
        record = proxy.wait_record(NOT_USED, lambda r: r["remote_addr"] == "%s:%d" % peer_address, 0)
        self.assertEqual("INFO", record["level"])
        self.assertEqual(["time", "level", "msg", "host", "remote_addr", "duration_ms"], list(record))
        self.assertEqual(target, record["host"])
        return record["duration_ms"]

    def test_the_client_leaves(self):
        durations = []
        for way in WAYS:
            for end in ("close", "half_close", "reset"):
                with self.subTest(way=way, end=end):
                    # A proxy of its own, whose allowance no other test has used.
                    proxy = self.own_proxy()
                    peer = self.opened(way, proxy=proxy)
                    address = peer.sock.getsockname()
                    getattr(peer, end)()
                    durations.append(self.assert_reported(address, proxy, self.upstream.host()))
        self.assertGreaterEqual(min(durations), 0)
        self.assertTrue(any(duration % 1 for duration in durations), f"no microseconds: {durations}")

    def test_no_byte_in_time(self):
        proxy = self.own_proxy({"proxy": {"limits": {"first_byte_timeout": "200ms"}}})
        for way in WAYS:
            with self.subTest(way):
                peer = self.opened(way, proxy=proxy)
                self.assertEqual(b"", peer.read_to_end())
                self.assertGreaterEqual(self.assert_reported(peer.sock.getsockname(), proxy, self.upstream.host()), 200)

    def test_a_handshake_is_no_request(self):
        proxy = self.own_proxy()
        for way in WAYS:
            with self.subTest(way):
                peer = self.opened(way, self.tls_upstream.host(), proxy=proxy)
                address = peer.sock.getsockname()
                peer.start_tls(self.certificates.client_context(), "up.test").close()
                self.assert_reported(address, proxy, self.tls_upstream.host())

    def test_not_for_a_tunnel_that_was_used(self):
        proxy = self.own_proxy()
        for data in (f"GET / HTTP/1.1\r\nHost: {self.upstream.host()}\r\nConnection: close\r\n\r\n".encode(), b"GARBAGE\r\n\r\n", b"SSH-2.0-x\r\n", b"GE"):
            peer = self.opened("tunnel", proxy=proxy).send(data)
            if data == b"GE":
                peer.half_close()
            peer.read_to_end()
            peer.close()
        peer = self.opened("tunnel", proxy=proxy)
        address = peer.sock.getsockname()
        peer.close()
        self.assert_reported(address, proxy, self.upstream.host())
        self.assertEqual(1, len(proxy.records(NOT_USED)))

    def test_not_for_the_drain(self):
        proxy = self.own_proxy()
        peers = [self.opened(way, proxy=proxy) for way in WAYS]
        self.assertEqual(0, proxy.stop())
        self.assertEqual([], proxy.records(NOT_USED))
        self.assertEqual(3, len(peers))

    def test_ten_a_second(self):
        proxy = self.own_proxy()
        peers = [self.opened(WAYS[number % 3], proxy=proxy) for number in range(30)]
        for peer in peers:
            peer.close()
        wait_until(lambda: len(proxy.records("tunnel peek error")) == 30, "the ends of 30 tunnels")
        times = [datetime.datetime.fromisoformat(record["time"]) for record in proxy.records(NOT_USED)]
        self.assertGreaterEqual(len(times), 10)
        first_second = [time for time in times if time - times[0] < datetime.timedelta(seconds=0.999)]
        self.assertEqual(10, len(first_second))


if __name__ == "__main__":
    main()
