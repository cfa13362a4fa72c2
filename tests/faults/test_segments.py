"""One byte per segment and the smallest socket buffers, on both sides at once: the same bytes as with large segments."""
import base64
import hashlib
import os
import re

from faultcase import KEY, TOKEN, WireTest, allowlist, answer, main, secret, secrets
from harness.peer import connect
from relay import relay_for

NONCE = base64.b64encode(b"0123456789abcdef").decode()
ACCEPT = base64.b64encode(hashlib.sha1((NONCE + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
DATE = ("Date", "Tue, 24 Nov 2026 08:00:00 GMT")
CHUNKED = b"HTTP/1.1 200 OK\r\nDate: Tue, 24 Nov 2026 08:00:00 GMT\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n"
ROUTES = {
    "/length": answer(b"hello", fields=[DATE, ("X-Lower", "Kept")]),
    "/chunked": CHUNKED + b"5\r\nhello\r\n7\r\n, world\r\n0\r\nX-Sum: 12\r\n\r\n",
    "/interim": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + answer(b"hello", fields=[DATE]),
    "/none": b"HTTP/1.1 304 Not Modified\r\nDate: x\r\nETag: \"e\"\r\n\r\n",
    "/bad": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
}


def get(path, *fields, method="GET", host="HOST", body=""):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *fields]
    return "\r\n".join(lines) + "\r\n\r\n" + body


CHUNKS = re.compile(rb"\r\n([0-9a-f]+)\r\n([a-z ,]+)\r\n([0-9a-f]+)\r\n([a-z ,]+)\r\n")


def join_chunks(match):
    first, second = match[2], match[4]
    if len(first) != int(match[1], 16) or len(second) != int(match[3], 16):
        return match[0]
    return b"\r\n%x\r\n%b\r\n" % (len(first) + len(second), first + second)


CLOSE = "Connection: close"
# Each is what a client sends; the last request of a connection asks for its end.
EXCHANGES = {
    "length": get("/length", CLOSE),
    "chunked with trailers": get("/chunked", "TE: trailers", "Connection: TE, close"),
    "interim": get("/interim", CLOSE),
    "no body": get("/none", CLOSE),
    "head": get("/length", CLOSE, method="HEAD"),
    "upload": get("/length", "Content-Length: 8", CLOSE, method="PUT", body="abcdefgh"),
    "chunked upload": get("/length", "Transfer-Encoding: chunked", CLOSE, method="PUT", body="3;a=b\r\nabc\r\n5\r\ndefgh\r\n0\r\nX-T: 1\r\n\r\n"),
    "swapped": get("/length", f"authorization: Bearer {TOKEN}", CLOSE),
    "swapped in the body": get("/length", f"Content-Length: {len(TOKEN) + 4}", CLOSE, method="POST", body=f"{{{TOKEN}}}\r\n"),
    "pipelined": get("/length") + get("/chunked") + get("/length", CLOSE),
    "denied": get("/length", CLOSE, host="evil.example"),
    "dot segments": get("/a/../b", CLOSE),
    "two hosts": get("/", "Host: other.test"),
    "folded": get("/", "X: a\r\n b"),
    "broken answer": get("/bad", CLOSE),
}


class Segments(WireTest):
    transforms = [allowlist("*.test"), secrets(secret(match_body=True))]

    def setUp(self):
        super().setUp()
        for upstream in (self.upstream, self.tls_upstream):
            upstream.routes.update(ROUTES)

    def exchange(self, data, over_tls, **relaying):
        """(what the client got, what the origin got), with ports and dates made equal. Without options: no relay."""
        origin = self.tls_upstream if over_tls else self.upstream
        entry, port = self.proxy.tunnel if over_tls else self.proxy.http, origin.port
        if relaying:
            port = relay_for(self, ("127.0.0.1", origin.port), **relaying).port
            entry = relay_for(self, entry, **relaying).address
        first = len(origin.requests)
        host = f"up.test:{port}"
        peer = self.track(connect(entry))
        if over_tls:
            peer.send(f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n").read_until(b"\r\n\r\n")
            peer.start_tls(self.certificates.client_context(), "up.test")
        peer.send(data.replace("HOST", host))
        got = peer.read_to_end()
        sent = b"".join(request.raw + request.body for request in origin.requests[first:])
        return self.normal(got, port), self.normal(sent, port)

    @staticmethod
    def normal(data, port):
        """Chunks end where the network's segments ended, so neighbours become one."""
        data = re.sub(rb"Date: [^\r]*", b"Date: D", data.replace(str(port).encode(), b"PORT"))
        while True:
            joined = CHUNKS.sub(join_chunks, data, count=1)
            if joined == data:
                return data
            data = joined

    def assert_same(self, over_tls, **relaying):
        for name, data in EXCHANGES.items():
            with self.subTest(name):
                wanted = self.exchange(data, over_tls)
                self.assertTrue(wanted[0])
                self.assertEqual(wanted, self.exchange(data, over_tls, **relaying))

    def test_one_byte_per_segment(self):
        self.assert_same(False, piece=1)

    def test_one_byte_per_segment_in_tls(self):
        self.assert_same(True, piece=1)

    def test_smallest_buffers(self):
        self.assert_same(False, small_buffers=True)

    def test_smallest_buffers_in_tls(self):
        self.assert_same(True, small_buffers=True)

    def test_swaps_were_part_of_it(self):
        for name in ("swapped", "swapped in the body"):
            self.assertIn(KEY.encode(), self.exchange(EXCHANGES[name], False, piece=1)[1])

    def test_bodies_through_smallest_buffers(self):
        """More than any buffer holds, both ways at once."""
        body = os.urandom(64 << 10)
        for over_tls in (False, True):
            origin = self.tls_upstream if over_tls else self.upstream
            origin.routes["/echo"] = lambda connection, request: connection.send(answer(request.body))
            port = relay_for(self, ("127.0.0.1", origin.port), small_buffers=True).port
            entry = relay_for(self, self.proxy.tunnel if over_tls else self.proxy.http, small_buffers=True).address
            peer = self.track(connect(entry))
            if over_tls:
                peer.send(f"CONNECT up.test:{port} HTTP/1.1\r\n\r\n").read_until(b"\r\n\r\n")
                peer.start_tls(self.certificates.client_context(), "up.test")
            self.assertEqual(body, peer.request("POST", "/echo", f"up.test:{port}", body=body).body)

    def test_upgrade_byte_by_byte(self):
        def route(connection, request):
            connection.send(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n")
            connection.send(b"first")
            connection.send(connection.read_exact(300))
            connection.read_to_end()
            return "end"
        self.upstream.routes["/ws"] = route
        port = relay_for(self, ("127.0.0.1", self.upstream.port), piece=1).port
        peer = self.track(connect(relay_for(self, self.proxy.http, piece=1).address))
        peer.send(get("/ws", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {NONCE}", "Sec-WebSocket-Version: 13", host=f"up.test:{port}"))
        self.assertEqual(101, peer.read_response_head().status)
        self.assertEqual(b"first", peer.read_exact(5))
        self.assertEqual(b"frames" * 50, peer.send(b"frames" * 50).read_exact(300))

    def test_socks_byte_by_byte(self):
        peer = self.track(connect(relay_for(self, self.proxy.tunnel, piece=1).address))
        name = b"up.test"
        peer.send(b"\5\1\0")
        self.assertEqual(b"\5\0", peer.read_exact(2))
        peer.send(b"\5\1\0\3" + bytes([len(name)]) + name + self.upstream.port.to_bytes(2, "big"))
        self.assertEqual(b"\5\0\0\1" + bytes(6), peer.read_exact(10))
        self.assertEqual(b"hello", peer.request("GET", "/length", self.upstream.host()).body)


if __name__ == "__main__":
    main()
