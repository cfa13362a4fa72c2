"""Every key of proxy.limits: just below it all is well, beyond it the documented answer, and nothing grows."""
import socket
import threading

from harness import Stopwatch, WireTest, main, wait_until
from harness.case import allowlist, refusal, secret, secrets
from harness.peer import Closed, connect
from harness.upstream import answer

TOO_LARGE = refusal("431 Request Header Fields Too Large")
BUSY = refusal("503 Service Unavailable")


class Limited(WireTest):
    starts_proxy = False

    def limited(self, **limits):
        return self.own_proxy({"proxy": {"limits": limits}})

    def assert_closed_within(self, peer, low, high, data=b""):
        clock = Stopwatch()
        self.assertEqual(data, peer.read_to_end())
        clock.check(self, high, low)


class Sizes(Limited):
    def test_request_head_bytes(self):
        proxy = self.limited(request_head_bytes=8192)
        host = self.upstream.host()
        self.assertEqual(200, self.plain(proxy).request("GET", "/", host, [("X", "a" * 7000)]).status)
        peer = self.plain(proxy)
        peer.send_request("GET", "/big", host, [("X", "a" * 9000)])
        self.assertEqual(TOO_LARGE, peer.read_to_end())
        record = proxy.wait_record("request", lambda r: r.get("error") == "request head too large")
        self.assertEqual((431, "protocol"), (record["audit"]["status_code"], record["rejected_by"]))
        self.assertNotIn("/big", self.upstream.targets())

    def test_default_head_limits(self):
        proxy = self.limited()
        host = self.upstream.host()
        self.assertEqual(200, self.plain(proxy).request("GET", "/", host, [("X", "a" * 1_000_000)]).status)
        for target, fields in (("/", [("X", "a" * 1_048_577)]), ("/" + "a" * 65536, [])):
            peer = self.plain(proxy)
            try:
                peer.send_request("GET", target, host, fields)
            except OSError:
                pass  # answered and closed before all of it was taken
            self.assertEqual(TOO_LARGE, peer.read_to_end())
        self.assertEqual(200, self.plain(proxy).request("GET", "/" + "a" * 60000, host).status)

    def test_request_head_fields(self):
        proxy = self.limited(request_head_fields=20)
        host = self.upstream.host()
        self.assertEqual(200, self.plain(proxy).request("GET", "/", host, [("X", str(n)) for n in range(19)]).status)
        peer = self.plain(proxy)
        peer.send_request("GET", "/", host, [("X", str(n)) for n in range(20)])
        self.assertEqual(TOO_LARGE, peer.read_to_end())

    def test_heads_on_the_other_listeners(self):
        """To the byte and to the field as on the listeners for clients."""
        management = {"management": {"listen": "127.0.0.1:0", "api_key_env": "WIRE_MANAGEMENT"}}
        proxy = self.own_proxy({"proxy": {"limits": {"request_head_bytes": 8192, "request_head_fields": 20, "connect_head_bytes": 1000}}, **management},
                               env={"WIRE_MANAGEMENT": "wire-management-key"})
        host = self.upstream.host()

        def refused(listener, method, size, fields):
            target = host if method == "CONNECT" else "/healthz" if listener == "metrics" else "/"
            lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close", *("X: a" for _ in range(fields - 3)), "X: "]
            head = "\r\n".join(lines)
            peer = self.plain(proxy, listener).send(head + "a" * (size - len(head) - 4) + "\r\n\r\n")
            return peer.half_close().read_to_end() == TOO_LARGE

        for listener in ("http", "metrics", "management"):
            for method, size, fields, wanted in (("GET", 8192, 10, False), ("GET", 8193, 10, True), ("GET", 1000, 20, False), ("GET", 1000, 21, True),
                                                 ("CONNECT", 1000, 10, False), ("CONNECT", 1001, 10, True)):
                with self.subTest(listener, method=method, size=size, fields=fields):
                    self.assertEqual(wanted, refused(listener, method, size, fields))

    def test_default_head_limits_of_the_other_listeners(self):
        proxy = self.limited()
        for fields in ([("X", "a" * 1_000_000)], [("X" * 70000, "a")], [("Connection", "a b")], [("X", "")] * 998):
            response = self.plain(proxy, "metrics").request("GET", "/healthz", "x", fields)
            self.assertEqual((200, b"OK"), (response.status, response.body))
        self.assertEqual(404, self.plain(proxy, "metrics").request("GET", "/" + "a" * 60000, "x").status)
        self.assertEqual("/" + "a" * 60000, self.plain(proxy, "metrics").request("GET", "//" + "a" * 60000, "x").get("Location"))

    def test_connect_head_bytes(self):
        proxy = self.limited(connect_head_bytes=1000)
        host = self.upstream.host()
        for listener in ("tunnel", "http"):
            with self.subTest(listener):
                self.tunnel(host, listener, [("X", "a" * 800)], proxy)
                peer = self.plain(proxy, listener)
                peer.send_request("CONNECT", host, host, [("X", "a" * 2000)])
                self.assertEqual(TOO_LARGE, peer.read_to_end())

    def test_body_budget_bytes(self):
        over = {"proxy": {"limits": {"body_budget_bytes": 1_300_000}}, "transforms": [allowlist("*.test"), secrets(secret(match_body=True))]}
        proxy = self.own_proxy(over)
        holder = self.plain(proxy)
        # A small buffer on this side: when send returns, the proxy has read most of it and holds half a MiB.
        holder.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        holder.send_request("POST", "/held", self.upstream.host(), [("Content-Length", "500001")], b"x" * 500000)

        def post(target):
            peer = connect(proxy.http)
            try:
                response = peer.request("POST", target, self.upstream.host(), body=b"y" * 600000)
                return peer.received if response.status == 503 else response.status
            except OSError:
                return None  # refused and closed before all of the body was taken
            finally:
                peer.close()
        # Buffers grow by doubling and count with their size.
        self.assertEqual(BUSY, wait_until(lambda: post("/second"), "an answer"))
        self.assertEqual("body budget exhausted", proxy.wait_request(path="/second", action="error")["error"])
        self.assertEqual(200, holder.send(b"x").read_response().status)
        wait_until(lambda: post("/third") == 200, "the budget to be free again")


class Connections(Limited):
    def test_max_connections(self):
        proxy = self.limited(max_connections=5)
        open_ones = [self.plain(proxy) for _ in range(5)]
        for peer in open_ones:
            self.assertEqual(200, peer.request("GET", "/", self.upstream.host()).status)
        self.assertEqual(BUSY, self.plain(proxy).read_to_end())
        for listener in ("tunnel", "https"):
            self.assertEqual(b"", self.plain(proxy, listener).read_to_end())
        self.assertEqual("connection limit reached", proxy.wait_request(action="reject")["error"])
        # Metrics do not count.
        self.assertEqual(200, self.plain(proxy, "metrics").request("GET", "/healthz", "x").status)
        open_ones[0].close()
        wait_until(lambda: self.admitted(proxy), "a place to be free again")

    def test_ids_of_refused_connections_are_no_counter(self):
        proxy = self.limited(max_connections=1)
        self.assertEqual(200, self.plain(proxy).request("GET", "/", self.upstream.host()).status)
        for listener in ("http", "tunnel", "https"):
            self.plain(proxy, listener).read_to_end()
        proxy.wait_record("request", count=4)
        ids = sorted(int(record["audit"]["id"], 16) for record in proxy.records("request"))
        self.assertEqual(4, len(ids))
        for lower, higher in zip(ids, ids[1:]):
            self.assertGreater(higher - lower, 1 << 32, f"{lower:016x} {higher:016x}")

    def admitted(self, proxy):
        peer = connect(proxy.http)
        try:
            return peer.request("GET", "/", self.upstream.host()).status == 200
        except (Closed, OSError):
            return False
        finally:
            peer.close()

    def test_max_connections_per_client(self):
        proxy = self.limited(max_connections_per_client=2)
        for _ in range(2):
            self.assertEqual(200, self.plain(proxy, source="127.5.0.1").request("GET", "/", self.upstream.host()).status)
        self.assertEqual(BUSY, self.plain(proxy, source="127.5.0.1").read_to_end())
        self.assertEqual(200, self.plain(proxy, source="127.5.0.2").request("GET", "/", self.upstream.host()).status)

    def test_descriptors_run_out_without_spinning(self):
        proxy = self.own_proxy(command_prefix=["prlimit", "--nofile=80:80", "--"])
        peers = [self.plain(proxy) for _ in range(120)]
        proxy.wait_record("accept paused")
        before = cpu_seconds(proxy.pid)
        self.assertFalse(peers[-1].send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").readable(2.0))
        self.assertLess(cpu_seconds(proxy.pid) - before, 0.5)
        self.assertLess(len(proxy.records("accept paused")), 6)
        for peer in peers:
            peer.close()
        wait_until(lambda: self.admitted(proxy), "connections to be served again")

    def test_soft_descriptor_limit_is_raised(self):
        proxy = self.own_proxy(command_prefix=["prlimit", "--nofile=64:4096", "--"])
        with open(f"/proc/{proxy.pid}/limits", encoding="ascii") as limits:
            row = next(line.split() for line in limits if line.startswith("Max open files"))
        self.assertGreaterEqual(int(row[3]), 4095)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


class Deadlines(Limited):
    def test_first_byte_timeout(self):
        proxy = self.limited(first_byte_timeout="700ms")
        for listener in ("http", "tunnel", "https"):
            with self.subTest(listener):
                self.assert_closed_within(self.plain(proxy, listener), 0.4, 5)
        self.assert_closed_within(self.tunnel(self.upstream.host(), proxy=proxy), 0.4, 5)
        self.assertEqual([], proxy.records("request")[1:])  # the CONNECT only

    def test_handshake_timeout(self):
        proxy = self.limited(handshake_timeout="700ms")
        for name, listener, data in (("connect head", "tunnel", b"CONNECT up.te"), ("socks greeting", "tunnel", b"\x05"),
                                     ("client hello", "https", b"\x16\x03\x01\x02\x00\x01")):
            with self.subTest(name):
                self.assert_closed_within(self.plain(proxy, listener).send(data), 0.4, 5)
        self.assert_closed_within(self.tunnel(self.upstream.host(), proxy=proxy).send(b"\x16\x03"), 0.4, 5)

    def test_request_head_timeout(self):
        proxy = self.limited(request_head_timeout="700ms")
        peer = self.plain(proxy).send("GET /slow HTTP/1.1\r\nHo")
        client = "%s:%d" % peer.sock.getsockname()
        self.assert_closed_within(peer, 0.4, 5)
        self.assertEqual("malformed request", proxy.wait_request(remote_addr=client)["error"])
        # Feeding it slowly does not help, and a whole head in time is fine.
        peer = self.plain(proxy)
        dripped = 0
        while dripped < 200 and not peer.readable(0.02):
            peer.send("GET"[dripped:dripped + 1] or "a")
            dripped += 1
        self.assertLess(dripped, 200, "the head went on past its deadline")
        self.assertEqual(200, self.plain(proxy).request("GET", "/", self.upstream.host()).status)

    def test_idle_timeout(self):
        proxy = self.limited(idle_timeout="700ms")
        peer = self.plain(proxy)
        peer.request("GET", "/", self.upstream.host())
        self.assert_closed_within(peer, 0.4, 5)
        inside = self.tls_tunnel(self.tls_upstream.host(), proxy=proxy)
        inside.request("GET", "/", self.tls_upstream.host())
        self.assert_closed_within(inside, 0.4, 5)

    def test_quiet_timeout_of_a_request_body(self):
        proxy = self.limited(quiet_timeout="700ms")
        peer = self.plain(proxy)
        peer.send_request("POST", "/stall", self.upstream.host(), [("Content-Length", "10")], b"12345")
        self.assert_closed_within(peer, 0.4, 5)
        proxy.wait_request(path="/stall")
        self.assertNotIn("/stall", self.upstream.targets())

    def test_stall_timeout_of_a_reader(self):
        proxy = self.limited(stall_timeout="700ms")
        self.upstream.routes["/big"] = answer(b"x" * (32 << 20))
        self.slow_reader(proxy).send_request("GET", "/big", self.upstream.host())
        record = proxy.wait_request(path="/big")  # written when the proxy gave up
        self.assertLess(record["audit"]["response_bytes"], 32 << 20)

    def test_event_streams_are_exempt(self):
        gate = threading.Event()
        self.upstream.routes["/sse"] = lambda connection, request: (connection.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"), gate.wait(30), connection.send(b"0\r\n\r\n"))[2]
        proxy = self.limited(quiet_timeout="500ms")
        peer = self.plain(proxy)
        peer.send_request("GET", "/sse", self.upstream.host())
        peer.read_response_head()
        self.assertFalse(peer.readable(2.0), "the stream was cut")
        gate.set()
        self.assertEqual(b"0\r\n\r\n", peer.read_until(b"0\r\n\r\n"))


if __name__ == "__main__":
    main()
