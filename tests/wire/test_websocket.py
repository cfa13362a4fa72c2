"""The pipe opens only after a verified 101; until then, and for everything else, an upgrade is an ordinary request."""
import base64
import hashlib
import os
import threading
import time

from harness import WireTest, main
from harness.case import KEY, TOKEN
from harness.upstream import answer
from harness.waiting import DEADLINE


def accept_of(key):
    return base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()


def switching(request, accept=None):
    return (f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Own: 1\r\n"
            f"Sec-WebSocket-Accept: {accept or accept_of(request.get('Sec-WebSocket-Key'))}\r\n\r\n")


def echo(connection, request):
    """Answers with the 101, then says everything back until the other side ends."""
    connection.send(switching(request))
    while True:
        data = connection.buffer or connection.sock.recv(65536)
        connection.buffer = b""
        if not data:
            return "end"
        connection.send(data)


class WebSocket(WireTest):
    def setUp(self):
        super().setUp()
        self.key = base64.b64encode(os.urandom(16)).decode()
        for upstream in (self.upstream, self.tls_upstream):
            upstream.routes["/ws"] = echo

    def fields(self, **over):
        fields = {"Upgrade": "websocket", "Connection": "keep-alive, Upgrade", "Sec-WebSocket-Key": self.key, "Sec-WebSocket-Version": "13"}
        return [(name, value) for name, value in (fields | {k.replace("_", "-"): v for k, v in over.items()}).items() if value is not None]

    def upgrade(self, peer, upstream, target="/ws", **over):
        peer.send_request("GET", target, upstream.host(), [*self.fields(**over), ("Authorization", TOKEN)])
        return peer.read_response()

    def test_a_client_that_takes_nothing(self):
        """Over TLS nothing of a record counts as taken before all of it is; and what the client says is no sign that it reads."""
        proxy = self.own_proxy({"proxy": {"limits": {"stall_timeout": "500ms"}}})
        pings = threading.Semaphore(0)

        def pour(connection, request):
            connection.send(switching(request))
            connection.sock.setblocking(True)
            while True:
                if not connection.sock.recv(1):
                    return "end"
                connection.send(b"p" * 16_000)
                pings.release()

        self.tls_upstream.routes["/pour"] = pour
        peer = self.tls_tunnel(self.tls_upstream.host(), proxy=proxy)
        self.assertEqual(101, self.upgrade(peer, self.tls_upstream, "/pour").status)
        peer.sock.settimeout(1)
        with self.assertRaises(OSError):
            end = time.monotonic() + DEADLINE
            while time.monotonic() < end:
                peer.send(b"?")
                pings.acquire(timeout=0.05)
        record = proxy.wait_request(path="/pour")
        self.assertEqual((101, "client took no byte for 500ms (proxy.limits.stall_timeout)"), (record["audit"]["status_code"], record["error"]))

    def test_session(self):
        for where, upstream in (("plain", self.upstream), ("tls", self.tls_upstream)):
            with self.subTest(where):
                peer = self.plain() if where == "plain" else self.tls_tunnel(upstream.host())
                response = self.upgrade(peer, upstream)
                self.assertEqual((101, "1", "Upgrade", "websocket"), (response.status, response.get("X-Own"), response.get("Connection"), response.get("Upgrade")))
                self.assertEqual(["Upgrade", "Connection", "X-Own", "Sec-WebSocket-Accept"], response.names())
                request = upstream.wait_request("/ws")
                self.assertEqual(("Upgrade", "websocket", KEY), (request.get("Connection"), request.get("Upgrade"), request.get("Authorization")))
                self.assertEqual(["Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Authorization"], request.names())
                for message in (b"\x81\x02hi", bytes(range(256)) * 1000):
                    peer.send(message)
                    self.assertEqual(message, peer.read_exact(len(message)))
                peer.close()
                record = self.proxy.wait_request(path="/ws", count=1 if where == "plain" else 2)
                self.assertEqual(("allow", 101), (record["audit"]["action"], record["audit"]["status_code"]))
                self.assertEqual((256004, 256004), (record["audit"]["request_bytes"], record["audit"]["response_bytes"]))

    def test_early_frames_wait_for_the_101(self):
        peer = self.plain()
        peer.send_request("GET", "/ws", self.upstream.host(), self.fields())
        peer.send(b"\x81\x05early")
        self.assertEqual(101, peer.read_response().status)
        self.assertEqual(b"\x81\x05early", peer.read_exact(7))

    def test_refused_upgrade_is_an_ordinary_answer(self):
        self.upstream.routes["/refused"] = answer(b"no", "403 Nope")
        peer = self.plain()
        response = self.upgrade(peer, self.upstream, "/refused")
        self.assertEqual((403, "Nope", b"no"), (response.status, response.reason, response.body))
        record = self.proxy.wait_request(path="/refused")
        self.assertEqual(("allow", 403), (record["audit"]["action"], record["audit"]["status_code"]))
        # The connection still speaks HTTP: what follows is a request of its own and is judged.
        self.assertEqual(403, peer.request("GET", "/x", "evil.example").status)

    def test_no_smuggling_behind_a_refused_upgrade(self):
        self.upstream.routes["/no"] = answer(b"no")
        peer = self.plain()
        peer.send_request("GET", "/no", self.upstream.host(), self.fields())
        peer.send("GET /smuggled HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        self.assertEqual(200, peer.read_response().status)
        self.assertEqual(403, peer.read_response().status)
        self.assertNotIn("/smuggled", self.upstream.targets())

    def test_wrong_accept_is_502(self):
        for accept in ("AAAAAAAAAAAAAAAAAAAAAAAAAAA=", " "):
            self.upstream.routes["/wrong"] = lambda connection, request, accept=accept: connection.send(switching(request, accept))
            mark = self.proxy.mark()
            self.assertEqual(502, self.upgrade(self.plain(), self.upstream, "/wrong").status)
            record = self.proxy.wait_request(path="/wrong", after=mark)
            self.assertEqual(("error", 502, "upstream answered 101 with a wrong Sec-WebSocket-Accept"),
                             (record["audit"]["action"], record["audit"]["status_code"], record["error"]))

    def test_failed_dial(self):
        peer = self.plain()
        closed = self.plain()
        host = f"up.test:{closed.sock.getsockname()[1]}"
        peer.send_request("GET", "/dial", host, self.fields())
        self.assertEqual((502, b"bad gateway\n"), (lambda r: (r.status, r.body))(peer.read_response()))
        record = self.proxy.wait_request(path="/dial")
        self.assertEqual(("error", 502), (record["audit"]["action"], record["audit"]["status_code"]))
        self.assertIn("connection refused", record["error"])
        self.assertEqual(host, self.proxy.wait_record("websocket upstream dial failed")["host"])

    def test_denied(self):
        response = self.plain().request("GET", "/", "evil.example", self.fields())
        self.assertEqual((403, b""), (response.status, response.body))

    def test_what_is_no_upgrade_loses_the_field(self):
        cases = {"h2c": {"Upgrade": "h2c"}, "version": {"Sec_WebSocket_Version": "8"}, "no_key": {"Sec_WebSocket_Key": None},
                 "short_key": {"Sec_WebSocket_Key": "AAAA"}, "no_token": {"Connection": "keep-alive"}}
        for name, over in cases.items():
            with self.subTest(name):
                fields = self.fields(**over)
                self.assertEqual(200, self.plain().request("GET", "/plain", self.upstream.host(), fields).status)
                request = self.upstream.requests[-1]
                self.assertEqual((None, None), (request.get("Upgrade"), request.get("Connection")))
        self.plain().request("POST", "/plain", self.upstream.host(), self.fields(), b"x")
        self.assertIsNone(self.upstream.requests[-1].get("Upgrade"))

    def test_unpooled(self):
        first, second = self.plain(), self.plain()
        self.upgrade(first, self.upstream)
        self.upgrade(second, self.upstream)
        self.assertNotEqual(self.upstream.requests[0].connection, self.upstream.requests[1].connection)

    def test_half_close_is_passed_on(self):
        def route(connection, request):
            connection.send(switching(request))
            data = connection.read_to_end()
            connection.send(b"got " + data)
            return "end"
        self.upstream.routes["/half"] = route
        peer = self.plain()
        self.assertEqual(101, self.upgrade(peer, self.upstream, "/half").status)
        peer.send(b"all").half_close()
        self.assertEqual(b"got all", peer.read_to_end())

    def test_end_of_the_origin_ends_the_client(self):
        def route(connection, request):
            connection.send(switching(request) + "bye")
            return "end"
        self.tls_upstream.routes["/end"] = route
        peer = self.tls_tunnel(self.tls_upstream.host())
        self.assertEqual(101, self.upgrade(peer, self.tls_upstream, "/end").status)
        self.assertEqual(b"bye", peer.read_to_end())


if __name__ == "__main__":
    main()
