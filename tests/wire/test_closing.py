"""Answers that leave while the client still sends: they arrive, whoever made them and however the connection ends."""
import asyncio
import os
import threading

from harness import Stopwatch, WireTest, main, wait_until
from harness.case import allowlist, secret, secrets
from harness.peer import connect
from harness.upstream import answer
from harness.waiting import DEADLINE

UPLOAD = 5_000_000
ROUNDS = int(os.environ.get("IRON_TEST_ROUNDS", "10"))
DENIED = b"HTTP/1.1 403 Forbidden\r\n"


def send_and_read(peer, data):
    """Writes `data` while it reads, as event-driven clients do; the answer's bytes and whether a reset was seen."""
    def write():
        try:
            peer.sock.sendall(data)
        except OSError:
            pass  # the answer says why

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    seen = peer.read_to_end()
    peer.close()
    writer.join(DEADLINE)
    return seen, peer.reset_seen


async def write_and_read(reader, writer, data, read):
    """Writes `data` and then reads, as clients of asyncio do; what `read` saw."""
    writer.write(data)
    try:
        await writer.drain()
    except OSError:
        pass  # the answer says why
    seen = await read(reader)
    writer.close()
    return seen


class EarlyRefusals(WireTest):
    transforms = [allowlist("up.test")]

    def upload(self, chunked):
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {UPLOAD}"
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (UPLOAD, b"u" * UPLOAD) if chunked else b"u" * UPLOAD
        return f"POST /big HTTP/1.1\r\nHost: denied.test\r\n{framing}\r\n\r\n".encode() + body

    def test_the_status_is_seen_by_who_reads_and_writes(self):
        for chunked in (False, True):
            for way in ("http", "tunnel", "inside a tunnel"):
                with self.subTest(way, chunked=chunked):
                    for _ in range(ROUNDS):
                        peer = self.tunnel("up.test:80") if way == "inside a tunnel" else self.plain(listener=way)
                        data = self.upload(chunked)
                        if way == "tunnel":
                            data = data.replace(b"POST /big", b"POST http://denied.test/big")
                        seen, reset = send_and_read(peer, data)
                        self.assertEqual((DENIED, False), (seen[:len(DENIED)], reset))
                        self.assertIn(b"\r\nConnection: close\r\n", seen)

    def test_under_tls_in_a_tunnel(self):
        async def once(data):
            reader, writer = await asyncio.open_connection(sock=self.tunnel("up.test:443").sock.dup())
            await writer.start_tls(self.certificates.client_context(), server_hostname="up.test")
            return await write_and_read(reader, writer, data, asyncio.StreamReader.read)

        for chunked in (False, True):
            data = self.upload(chunked).replace(b"denied.test", b"up.test").replace(b"POST /big", b"POST /a/../big")
            for _ in range(ROUNDS):
                self.assertEqual(b"HTTP/1.1 400 Bad Request\r\n", asyncio.run(once(data))[:26])

    def test_other_answers_of_ours(self):
        """One for each place that makes an answer: heads, methods, framing, tunnels."""
        rest = b"u" * 2_000_000
        cases = {
            "malformed head": ("http", b"GET / HTTP/1.1\r\nBad\r\n\r\n" + rest, b"HTTP/1.1 400"),
            "method": ("tunnel", b"POST / HTTP/1.1\r\nHost: up.test\r\nContent-Length: 2000000\r\n\r\n" + rest, b"HTTP/1.1 405"),
            "tunnel": ("tunnel", b"CONNECT denied.test:443 HTTP/1.1\r\nHost: denied.test\r\n\r\n" + rest, b"HTTP/1.1 403"),
            "bad target": ("http", b"CONNECT /x HTTP/1.1\r\nHost: denied.test\r\n\r\n" + rest, b"HTTP/1.1 400"),
            "dead origin": ("http", b"POST / HTTP/1.1\r\nHost: up.test:1\r\nContent-Length: 2000000\r\n\r\n" + rest, b"HTTP/1.1 502"),
        }
        for name, (listener, data, expected) in cases.items():
            with self.subTest(name):
                for _ in range(ROUNDS):
                    seen, reset = send_and_read(self.plain(listener=listener), data)
                    self.assertEqual((expected, False), (seen[:len(expected)], reset))

    def test_asyncio_sees_the_status(self):
        async def once():
            reader, writer = await asyncio.open_connection(*self.proxy.http)
            return await write_and_read(reader, writer, self.upload(False), asyncio.StreamReader.readline)

        async def all_of_them():
            return [await once() for _ in range(ROUNDS)]

        self.assertEqual([DENIED] * ROUNDS, asyncio.run(all_of_them()))

    def test_a_small_known_rest_keeps_the_connection(self):
        peer = self.plain()
        for size in (1, 1000, 262_144):
            peer.send_request("POST", "/", "denied.test", [("Content-Length", str(size))])
            head = peer.read_response_head()
            self.assertEqual((403, None), (head.status, head.get("Connection")))
            peer.send(b"x" * size)
        self.assertEqual(200, peer.request("GET", "/after", self.upstream.host()).status)

    def test_a_rest_of_unknown_length_closes(self):
        for fields, body in (([("Transfer-Encoding", "chunked")], b"5\r\nhello\r\n"), ([("Content-Length", "262145")], b""),
                             ([("Content-Length", "5"), ("Expect", "100-continue")], b"")):
            peer = self.plain()
            peer.send_request("POST", "/", "denied.test", fields, body)
            head = peer.read_response_head()
            self.assertEqual((403, "close"), (head.status, head.get("Connection")))
            self.assertEqual(b"", peer.read_to_end())
            self.assertFalse(peer.reset_seen)

    def test_a_chunked_body_that_is_there_keeps_the_connection(self):
        peer = self.plain()
        peer.send_request("POST", "/", "denied.test", [("Transfer-Encoding", "chunked")], b"5\r\nhello\r\n0\r\n\r\n")
        self.assertEqual(None, peer.read_response().get("Connection"))
        self.assertEqual(200, peer.request("GET", "/after", self.upstream.host()).status)


class AdminListeners(WireTest):
    config = {"management": {"listen": "127.0.0.1:0", "api_key_env": "WIRE_MANAGEMENT"}}
    environment = {"WIRE_MANAGEMENT": "wire-management-key"}

    def test_answers_outlive_uploads_there_too(self):
        for listener, status in (("management", b"HTTP/1.1 401"), ("metrics", b"HTTP/1.1 404")):
            for fields, rest in (("Transfer-Encoding: chunked\r\n", b"%x\r\n" % UPLOAD), (f"Content-Length: {UPLOAD}\r\n", b""),
                                 ("Bad\r\n", b"")):
                with self.subTest(listener, fields=fields):
                    expected = b"HTTP/1.1 400" if fields == "Bad\r\n" else status
                    data = f"POST /v1/reload HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode() + rest + b"u" * UPLOAD
                    for _ in range(ROUNDS):
                        seen, reset = send_and_read(self.plain(listener=listener), data)
                        self.assertEqual((expected, False), (seen[:len(expected)], reset))

    def test_such_a_close_ends_with_the_process(self):
        proxy = self.own_proxy()
        peer = self.plain(proxy, "management")
        peer.send(f"POST /v1/reload HTTP/1.1\r\nHost: a\r\nContent-Length: {UPLOAD}\r\n\r\n")
        self.assertTrue(peer.read_to_end().startswith(b"HTTP/1.1 401"))
        watch = Stopwatch()
        self.assertEqual(0, proxy.stop())
        watch.check(self, 1.5)


class Bounds(WireTest):
    transforms = [allowlist("up.test")]

    def refused(self, proxy):
        """A connection whose close waits for this client."""
        peer = self.plain(proxy)
        peer.send_request("POST", "/", "denied.test", [("Content-Length", "5000000")])
        self.assertTrue(peer.read_to_end().startswith(DENIED))
        self.assertFalse(peer.reset_seen)
        return peer

    def still_open(self, peer):
        """Whether what is sent is still taken: two segments, for the first may only bring the reset."""
        try:
            for _ in range(2):
                peer.sock.send(b"x")
                if peer.readable(0.2) and peer.reset_seen:
                    return False
        except OSError:
            return False
        return not peer.reset_seen

    def test_two_seconds_without_a_byte(self):
        proxy = self.own_proxy({"proxy": {"limits": {"max_connections": 1}}})
        clock = Stopwatch()
        self.refused(proxy)

        def next_is_served():
            peer = connect(proxy.http)
            try:
                return peer.request("GET", "/", self.upstream.host()).status == 200
            except AssertionError:
                return False
            finally:
                peer.close()

        wait_until(next_is_served, "the place of a silent client")
        clock.check(self, 4.0, 1.5)

    def test_the_oldest_is_cut_beyond_a_tenth(self):
        proxy = self.own_proxy({"proxy": {"limits": {"max_connections": 20}}})
        first, second = self.refused(proxy), self.refused(proxy)
        self.assertTrue(self.still_open(first) and self.still_open(second))
        third = self.refused(proxy)
        wait_until(lambda: not self.still_open(first), "the oldest close being cut", 1.0)
        self.assertTrue(self.still_open(second) and self.still_open(third))

    def test_they_hold_no_body(self):
        """What was held of a body is there for others as soon as its answer has left."""
        proxy = self.own_proxy({"proxy": {"limits": {"body_budget_bytes": 1_300_000}}, "transforms": [allowlist("up.test"), secrets(secret(match_body=True))]})
        closing = []
        for _ in range(4):
            peer = self.plain(proxy)
            peer.send_request("POST", "/held", self.upstream.host(), [("Connection", "close")], b"b" * 600_000)
            self.assertEqual(200, peer.read_response().status)
            self.assertEqual(b"", peer.read_to_end())
            closing.append(peer)

    def test_the_end_of_the_drain_ends_them(self):
        proxy = self.own_proxy({"proxy": {"drain_timeout": "500ms"}})
        peer = self.refused(proxy)
        stop = threading.Event()

        def keep_writing():
            while not stop.is_set():
                try:
                    peer.sock.send(b"x" * 1000)
                except OSError:
                    return
                stop.wait(0.05)

        writer = threading.Thread(target=keep_writing, daemon=True)
        writer.start()
        clock = Stopwatch()
        self.assertEqual(0, proxy.stop())
        clock.check(self, 2.5)
        stop.set()
        writer.join(DEADLINE)


class RelayedAnswers(WireTest):
    transforms = [allowlist("*.test")]
    SIZE = 3_000_000

    def test_a_late_byte_does_not_destroy_the_answer(self):
        self.upstream.routes["/big"] = answer(b"a" * self.SIZE)
        for late in (b"\r\n", b"GET /next HTTP/1.1\r\nHost: up.test\r\n\r\n", b"x" * 100_000):
            with self.subTest(late[:10]):
                peer = self.slow_reader(receive_buffer=16384)
                peer.send_request("GET", "/big", self.upstream.host(), [("Connection", "close")])
                self.proxy.wait_record("request", lambda r: r["audit"]["path"] == "/big")  # its last bytes wait to be taken
                peer.send(late)
                self.assertEqual(self.SIZE, len(peer.read_to_end().partition(b"\r\n\r\n")[2]))
                self.assertFalse(peer.reset_seen)

    def test_late_garbage_on_the_tunnel_port_does_not_either(self):
        """It gets no answer there, but the one before it is still on its way."""
        self.upstream.routes["/big"] = answer(b"a" * self.SIZE)
        for count, late in enumerate((b"\r\n\r\n", b"\x16\x03\x01\n", b"x\r\n"), 1):
            with self.subTest(late):
                peer = self.slow_reader(receive_buffer=16384, listener="tunnel")
                peer.send_request("GET", f"http://{self.upstream.host()}/big", self.upstream.host())
                self.proxy.wait_record("request", lambda r: r["audit"]["path"] == "/big", count=count)
                peer.send(late + b"x" * 100_000)
                self.assertEqual(self.SIZE, len(peer.read_to_end().partition(b"\r\n\r\n")[2]))
                self.assertFalse(peer.reset_seen)

    def test_a_pipelined_request_at_the_drain(self):
        proxy = self.own_proxy()
        self.upstream.routes["/big"] = answer(b"a" * self.SIZE)
        peer = self.slow_reader(proxy, 16384)
        peer.send_request("GET", "/big", self.upstream.host())
        head = peer.read_response_head()
        proxy.send_signal(15)
        proxy.wait_record("received signal, shutting down")
        peer.send_request("GET", "/next", self.upstream.host())
        self.assertEqual(self.SIZE, len(peer.read_exact(self.SIZE)))
        self.assertEqual(0, proxy.wait())
        self.assertEqual(200, head.status)


if __name__ == "__main__":
    main()
