"""The side towards origins: pool, retry, timeouts, clients that leave, the address guard."""
import os
import shutil
import socket
import ssl
import subprocess
import threading
import unittest

from harness import DEADLINE, Stopwatch, Upstream, WireTest, main, wait_until
from harness.case import KEY, TOKEN, allowlist
from harness.dns import A
from harness.upstream import answer


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), DEADLINE).close()
        return True
    except ConnectionRefusedError:
        return False


class Pool(WireTest):
    def test_connections_are_shared_and_kept(self):
        for way in ("plain", "tls"):
            upstream = self.upstream if way == "plain" else self.tls_upstream
            for _ in range(3):
                peer = self.plain() if way == "plain" else self.tls_tunnel(upstream.host())
                self.assertEqual(200, peer.request("GET", "/pool", upstream.host()).status)
                peer.close()
            # As many workers as processors, each with idle connections of its own at most.
            self.assertLessEqual(len({id(request.connection) for request in upstream.requests}), max(2, os.cpu_count()))

    def test_more_than_two_idle_ones_are_kept(self):
        gate = threading.Barrier(8, timeout=DEADLINE)
        self.upstream.routes["/meet"] = lambda connection, request: (gate.wait(), connection.send(answer()))[1]
        for _ in range(4):
            peers = [self.plain() for _ in range(8)]
            for peer in peers:
                peer.send_request("GET", "/meet", self.upstream.host())
            for peer in peers:
                self.assertEqual(200, peer.read_response().status)
        # With two idle ones each round after the first would open six. Each of two workers keeps its own, at most eight.
        self.assertLess(len({id(request.connection) for request in self.upstream.requests}), 8 + 3 * 6)

    def test_upstream_sessions_are_resumed(self):
        resumed = []

        def route(connection, request):
            resumed.append(connection.sock.session_reused)
            connection.send(answer(fields=[("Connection", "close")]))
            return "end"
        self.tls_upstream.routes["/resume"] = route
        peer = self.tls_tunnel(self.tls_upstream.host())
        for _ in range(3):
            self.assertEqual(200, peer.request("GET", "/resume", self.tls_upstream.host()).status)
        self.assertTrue(resumed[-1], resumed)

    def test_a_stale_connection_is_replaced_for_idempotent_requests(self):
        # Closes the reused connection after it has read the second request.
        def route(connection, request):
            if connection.served:
                return "end"
            connection.served = True
            connection.send(answer())
            return None
        self.upstream.routes["/stale"] = lambda c, r: (setattr(c, "served", getattr(c, "served", False)), route(c, r))[1]
        peer = self.plain()
        self.assertEqual([200, 200], [peer.request("GET", "/stale", self.upstream.host()).status for _ in range(2)])
        self.assertEqual(3, len(self.upstream.requests))
        # With a body, or a method that is not idempotent, it is not sent twice.
        self.upstream.requests.clear()
        self.assertEqual(502, peer.request("POST", "/stale", self.upstream.host(), body=b"x").status)
        self.assertEqual("EOF", self.proxy.wait_request(path="/stale", method="POST")["error"])
        self.assertEqual(1, len(self.upstream.requests))

    def test_hosts_do_not_share(self):
        peer = self.plain()
        for name in ("up.test", "api.test"):
            peer.request("GET", "/who", self.upstream.host(name))
        self.assertEqual(2, len({id(request.connection) for request in self.upstream.requests}))


class SilentPeers(WireTest):
    """The kernel asks peers that say nothing, on both sides, whether they are still there."""

    @staticmethod
    def timer(local, remote):
        """Kind and seconds of the timer of an IPv4 connection, as /proc/net/tcp has them: 2 is keep-alive."""
        with open("/proc/net/tcp", encoding="ascii") as table:
            for line in list(table)[1:]:
                fields = line.split()
                ports = tuple(int(field.split(":")[1], 16) for field in fields[1:3])
                if ports == (local, remote):
                    kind, ticks = fields[5].split(":")
                    return int(kind, 16), int(ticks, 16) / os.sysconf("SC_CLK_TCK")
        return None

    def probed(self, local, remote):
        return (self.timer(local, remote) or (0, 0))[0] == 2

    def test_both_sides_are_asked(self):
        peer = self.plain()
        self.assertEqual(200, peer.request("GET", "/kept", self.upstream.host()).status)
        tunnel = self.tunnel(self.upstream.host())
        origin = self.upstream.wait_request("/kept").connection.sock
        for name, local, remote in (("client", self.proxy.http[1], peer.sock.getsockname()[1]),
                                    ("tunnel", self.proxy.tunnel[1], tunnel.sock.getsockname()[1]),
                                    ("origin", origin.getpeername()[1], self.upstream.port)):
            with self.subTest(name):
                # While data is not yet acknowledged another timer runs.
                wait_until(lambda local=local, remote=remote: self.probed(local, remote), "the keep-alive timer")
                self.assertLessEqual(self.timer(local, remote)[1], 30)


class Timeouts(WireTest):
    config = {"proxy": {"upstream_response_header_timeout": "500ms"}}

    def test_no_answer_head(self):
        self.upstream.routes["/mute"] = lambda connection, request: connection.read_to_end() and "end"
        self.assertEqual(502, self.plain().request("GET", "/mute", self.upstream.host()).status)
        self.assertEqual("net/http: timeout awaiting response headers (proxy.upstream_response_header_timeout 500ms)", self.proxy.wait_request(path="/mute")["error"])

    def test_the_body_has_no_such_limit(self):
        gate = threading.Event()
        self.upstream.routes["/slow"] = lambda c, r: (c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no"), gate.wait(DEADLINE), c.send(b"k"))[2]
        peer = self.plain()
        peer.send_request("GET", "/slow", self.upstream.host())
        peer.read_response_head()
        peer.read_exact(1)
        self.assertFalse(peer.readable(1.0))
        gate.set()
        self.assertEqual(b"k", peer.read_exact(1))

    def test_closed_without_an_answer(self):
        self.upstream.routes["/eof"] = lambda connection, request: "end"
        self.assertEqual(502, self.plain().request("POST", "/eof", self.upstream.host(), body=b"x").status)
        self.assertEqual("EOF", self.proxy.wait_request(path="/eof")["error"])

    def test_plain_answer_to_tls(self):
        peer = self.tls_tunnel(self.upstream.host())
        self.assertEqual(502, peer.request("GET", "/plain-origin", self.upstream.host()).status)
        self.assertTrue(self.proxy.wait_request(path="/plain-origin")["error"])


class EndsWithData(WireTest):
    """An origin under TLS that says its end in the segment of its last bytes and keeps the connection open."""

    def answer_that_ends(self, head):
        def route(connection, _request):
            sock = connection.sock
            connection.send(head)
            self.has_head.wait(DEADLINE)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            connection.send(b"last")
            sock.settimeout(0)
            self.assertRaises(ssl.SSLWantReadError, sock.unwrap)  # its close_notify has left, ours is awaited
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
            self.seen.wait()
            return "end"

        self.has_head, self.seen = threading.Event(), threading.Event()
        self.addCleanup(self.seen.set)
        self.tls_upstream.routes["/end"] = route
        peer = self.tls_tunnel(self.tls_upstream.host())
        peer.send_request("GET", "/end", self.tls_upstream.host())
        peer.read_response_head()
        self.has_head.set()
        return peer

    def test_it_delimits_the_answer(self):
        peer = self.answer_that_ends(b"HTTP/1.1 200 OK\r\n\r\n")
        self.assertEqual(([b"last"], []), peer.read_chunked())
        self.assertEqual(200, peer.request("GET", "/after", self.tls_upstream.host()).status)

    def test_it_cuts_the_answer(self):
        peer = self.answer_that_ends(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        self.assertEqual(b"last", peer.read_to_end())
        self.assertEqual("unexpected EOF", self.proxy.wait_record("response body copy error")["error"])


class Leaving(WireTest):
    """Clients that go away, or only stop sending."""

    def setUp(self):
        super().setUp()
        self.gate = threading.Event()
        self.addCleanup(self.gate.set)
        for upstream in (self.upstream, self.tls_upstream):
            upstream.routes["/wait"] = lambda connection, request: (self.gate.wait(DEADLINE), connection.send(answer()))[1]

    def assert_cancelled(self, upstream):
        connection = upstream.wait_request("/wait").connection
        record = self.proxy.wait_request(path="/wait")
        self.assertEqual("client_cancel", record["audit"]["action"])
        self.assertNotIn("error", record)
        # The origin's side is closed while it still thinks about its answer.
        if upstream is self.upstream:
            try:
                self.assertEqual(b"", connection.sock.recv(1, socket.MSG_PEEK))
            except ConnectionResetError:
                pass

    def test_reset_cancels_upstream(self):
        peer = self.plain()
        peer.send_request("GET", "/wait", self.upstream.host())
        self.upstream.wait_request("/wait")
        peer.reset()
        self.assert_cancelled(self.upstream)

    def test_reset_during_a_lookup_cancels_it(self):
        clock = Stopwatch()
        for name, way in (("mute-plain.test", lambda target: self.plain()), ("mute-tls.test", self.tls_tunnel)):
            with self.subTest(name):
                self.dns.names[name] = "DROP"
                peer = way(self.upstream.host(name)).send_request("GET", "/unresolved", self.upstream.host(name))
                wait_until(lambda: (name, A) in self.dns.queries, "the lookup")
                peer.reset()
                self.assertEqual("client_cancel", self.proxy.wait_request(path="/unresolved", host=self.upstream.host(name))["audit"]["action"])
        clock.check(self, 5)

    def test_end_of_a_tls_client_cancels_upstream(self):
        peer = self.tls_tunnel(self.tls_upstream.host())
        peer.send_request("GET", "/wait", self.tls_upstream.host(), [("Authorization", TOKEN)])
        self.tls_upstream.wait_request("/wait")
        peer.close()
        self.assert_cancelled(self.tls_upstream)

    def test_half_close_gets_its_answer(self):
        peer = self.plain()
        peer.send_request("GET", "/wait", self.upstream.host())
        peer.half_close()
        self.upstream.wait_request("/wait")
        self.gate.set()
        response = peer.read_response()
        self.assertEqual((200, b"ok"), (response.status, response.body))
        self.assertEqual(b"", peer.read_to_end())
        self.assertEqual("allow", self.proxy.wait_request(path="/wait")["audit"]["action"])

    def test_half_close_with_a_body(self):
        host = self.upstream.host().encode()
        head = b"POST /posted HTTP/1.1\r\nHost: " + host + b"\r\n"
        for framed in (b"Content-Length: 5\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"):
            for _ in range(10):  # the end comes before the connection to the origin, or behind it
                peer = self.plain()
                peer.sock.sendall(head + framed)
                peer.half_close()
                self.assertEqual(200, peer.read_response().status)
            peer = self.plain()
            peer.sock.sendall(head + framed[:-1])
            peer.half_close()
            peer.read_to_end()
        self.proxy.wait_request(path="/posted", action="client_cancel", count=2)
        self.assertEqual([b"hello"] * 20, [request.body for request in self.upstream.requests])

    def test_half_close_waits_five_seconds(self):
        peer = self.plain()
        peer.send_request("GET", "/wait", self.upstream.host())
        peer.half_close()
        self.assertEqual(b"", peer.read_to_end())  # closed by the proxy, nothing invented
        record = self.proxy.wait_request(path="/wait")
        self.assertEqual("client_cancel", record["audit"]["action"])
        self.assertTrue(4000 < record["audit"]["duration_ms"] < 9000, record["audit"]["duration_ms"])

    def test_client_gone_during_the_answer(self):
        self.upstream.routes["/long"] = answer(b"x" * (16 << 20))
        peer = self.plain()
        peer.send_request("GET", "/long", self.upstream.host())
        peer.read_response_head()
        peer.reset()
        record = self.proxy.wait_request(path="/long")
        self.assertEqual(("allow", 200), (record["audit"]["action"], record["audit"]["status_code"]))

    def test_half_a_request_reaches_nobody(self):
        peer = self.plain()
        peer.send_request("POST", "/half", self.upstream.host(), [("Content-Length", "10")], b"12345")
        peer.reset()
        self.proxy.wait_request(path="/half", action="client_cancel")
        self.assertNotIn("/half", self.upstream.targets())


class Guard(WireTest):
    """The default deny list, on the address that is dialled."""

    config = {"proxy": {"upstream_deny_cidrs": None}}
    transforms = [allowlist("*")]

    def test_what_reaches_loopback_is_refused(self):
        port = self.upstream.port
        for name, address in (("zero.test", "0.0.0.0"), ("loop.test", "127.0.0.1"), ("mapped.test", "::ffff:127.0.0.1"), ("nat64.test", "64:ff9b::7f00:1"),
                              ("sixto4.test", "2002:7f00:1::"), ("compat.test", "::127.0.0.1"), ("any6.test", "::"), ("teredo.test", "2001:0:1:1:1:1:80ff:fffe")):
            self.dns.names[name] = [address]
            for host in (name, address if ":" not in address else f"[{address}]"):
                with self.subTest(host):
                    mark = self.proxy.mark()
                    self.assertEqual(502, self.plain().request("GET", "/guard", f"{host}:{port}").status)
                    self.assertRegex(self.proxy.wait_request(path="/guard", after=mark)["error"], r": denied by upstream_deny_cidrs: \S+ in (127\.0\.0\.0/8|::1/128)$")
        self.assertEqual([], self.upstream.connections)

    def test_metadata(self):
        for host in ("169.254.169.254", "[fd00:ec2::254]"):
            self.assertEqual(502, self.plain().request("GET", "/meta", host).status)

    def test_odd_literals_are_names(self):
        for host in ("0x7f.1", "2130706433", "017700000001", "127.1"):
            self.assertEqual(502, self.plain().request("GET", "/odd", f"{host}:{self.upstream.port}").status)
        self.assertEqual([], self.upstream.connections)

    def test_own_listener_is_refused(self):
        self.assertEqual(502, self.plain().request("GET", "/loop", "127.0.0.1:%d" % self.proxy.http[1]).status)


class Loops(WireTest):
    def test_own_listener(self):
        response = self.plain().request("GET", "/loop", "up.test:%d" % self.proxy.http[1])
        self.assertEqual(502, response.status)
        self.assertEqual("dial tcp 127.0.0.1:%d: own listener" % self.proxy.http[1], self.proxy.wait_request(path="/loop")["error"])


class Trust(WireTest):
    def test_no_request_to_an_origin_that_is_not_trusted(self):
        proxy = self.own_proxy(env={"SSL_CERT_FILE": self.certificates.path("mitm.crt")})
        peer = self.tls_tunnel(self.tls_upstream.host(), proxy=proxy)
        self.assertEqual(502, peer.request("GET", "/untrusted", self.tls_upstream.host(), [("Authorization", TOKEN)]).status)
        self.assertEqual("tls: failed to verify certificate: x509: certificate signed by unknown authority", proxy.wait_request(path="/untrusted")["error"])
        self.assertEqual([], self.tls_upstream.requests)

    def test_name_of_the_certificate(self):
        with self.assertRaises(ssl.SSLCertVerificationError):
            self.tls_tunnel(self.tls_upstream.host(), server_name="up.test", context=ssl.create_default_context())
        peer = self.tls_tunnel(self.tls_upstream.host("unlisted.test"))
        self.assertEqual(502, peer.request("GET", "/name", self.tls_upstream.host("unlisted.test")).status)
        self.assertIn("not unlisted.test", self.proxy.wait_request(path="/name")["error"])
        wait_until(lambda: KEY not in self.proxy.text(), "no key")

    def origin(self, context):
        origin = Upstream(context)
        self.addCleanup(origin.close)
        return origin

    def test_a_wildcard_covers_a_label_with_an_underscore(self):
        self.certificates.sign("wild", "origin", "subjectAltName=DNS:*.wild.test,DNS:c-d.wild.test\n")
        origin = self.origin(self.certificates.server_context("wild"))
        for name, status in (("a_b.wild.test", 200), ("_x.wild.test", 200), ("plain.wild.test", 200), ("x.a_b.wild.test", 502), ("a_b.c.wild.test", 502), ("wild_.test", 502)):
            with self.subTest(name):
                peer = self.tls_tunnel(origin.host(name))
                response = peer.request("GET", "/" + name, origin.host(name), [("Authorization", TOKEN)])
                self.assertEqual(status, response.status)
                if status == 502:
                    self.assertEqual(f"tls: failed to verify certificate: x509: certificate is valid for *.wild.test, c-d.wild.test, not {name}",
                                     self.proxy.wait_request(path="/" + name)["error"])
        self.assertEqual(["/a_b.wild.test", "/_x.wild.test", "/plain.wild.test"], origin.targets())

    @unittest.skipUnless(shutil.which("gnutls-serv"), "needs gnutls-bin")
    def test_an_origin_without_secure_renegotiation(self):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        server = subprocess.Popen(["gnutls-serv", "--http", "--port", str(port), "--x509certfile", self.certificates.path("upstream.crt"), "--x509keyfile",
                                   self.certificates.path("upstream.key"), "--priority", "NORMAL:-VERS-TLS1.3:%DISABLE_SAFE_RENEGOTIATION"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        wait_until(lambda: listens(port), "gnutls-serv")
        peer = self.tls_tunnel(f"up.test:{port}")
        self.assertEqual(200, peer.request("GET", "/legacy", f"up.test:{port}").status)

    def test_an_alert_behind_the_handshake(self):
        # In TLS 1.3 a server judges the client's certificate when the handshake is over for the client.
        context = self.certificates.server_context()
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self.certificates.path("origin.crt"))
        origin = self.origin(context)
        self.track(self.tls_tunnel(origin.host()))
        for method, body in (("GET", b""), ("POST", b"x" * 100), ("POST", b"x" * 300000)):
            path = f"/{method}-{len(body)}"
            with self.subTest(path):
                self.assertEqual(502, self.tls_tunnel(origin.host()).request(method, path, origin.host(), body=body).status)
                self.assertEqual("remote error: tls: certificate required", self.proxy.wait_request(path=path)["error"])
        # The version that tells it within the handshake.
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.assertEqual(502, self.tls_tunnel(origin.host()).request("GET", "/older", origin.host()).status)
        self.assertEqual("remote error: tls: handshake failure", self.proxy.wait_request(path="/older")["error"])


if __name__ == "__main__":
    main()
