"""Bodies and answers flow as they come, both ways; every odd but legal form of HTTP/1 is carried through."""
import gzip
import os
import threading

from harness import DEADLINE, WireTest, main
from harness.case import KEY, TOKEN, allowlist, secret, secrets
from harness.peer import Closed
from harness.upstream import answer

MIB = 1 << 20


def gated(*parts):
    """A route that sends the first part, then each further one when its gate opens. (route, gates)"""
    gates = [threading.Event() for _ in parts[1:]]

    def route(connection, request):
        connection.send(parts[0])
        for gate, part in zip(gates, parts[1:]):
            if not gate.wait(DEADLINE):
                return "end"
            connection.send(part)
        return None
    return route, gates


class Answers(WireTest):
    def test_pieces_arrive_before_the_answer_is_complete(self):
        event_stream = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        ndjson = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
        with_length = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
        for name, head, pieces in (("sse", event_stream, (b"8\r\ndata: a\n\r\n", b"8\r\ndata: b\n\r\n", b"0\r\n\r\n")),
                                   ("ndjson", ndjson, (b"3\r\n{}\n\r\n", b"3\r\n[]\n\r\n", b"0\r\n\r\n")), ("length", with_length, (b"abc", b"def", b"ghi"))):
            for where in ("plain", "tls"):
                with self.subTest(name=name, where=where):
                    upstream = self.upstream if where == "plain" else self.tls_upstream
                    upstream.routes["/" + name], gates = gated(head, *pieces)
                    peer = self.plain() if where == "plain" else self.tls_tunnel(upstream.host())
                    peer.send_request("GET", "/" + name, upstream.host())
                    self.assertEqual(200, peer.read_response_head().status)  # before any piece was sent
                    for gate, piece in zip(gates, pieces):
                        gate.set()
                        self.assertEqual(piece, peer.read_exact(len(piece)))

    def test_large_answer(self):
        body = bytes(range(256)) * (4 * MIB // 256)
        self.tls_upstream.routes["/large"] = answer(body)
        self.assertEqual(body, self.tls_tunnel(self.tls_upstream.host()).request("GET", "/large", self.tls_upstream.host()).body)
        self.assertEqual(len(body), self.proxy.wait_request(path="/large")["audit"]["response_bytes"])

    def test_a_reader_that_stops_costs_no_memory(self):
        sent = []

        def endless(connection, request):
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (256 * MIB))
            connection.sock.settimeout(1.0)
            piece = b"x" * 65536
            try:
                while True:
                    sent.append(connection.sock.send(piece))
            except TimeoutError:
                stopped.set()
            return "end"
        stopped = threading.Event()
        self.upstream.routes["/endless"] = endless
        peer = self.plain()
        before = resident(self.proxy.pid)
        peer.send_request("GET", "/endless", self.upstream.host())
        peer.read_response_head()
        self.assertTrue(stopped.wait(DEADLINE), "the proxy went on reading from the origin")
        self.assertLess(sum(sent), 64 * MIB)
        if not os.environ.get("IRON_SANITIZE"):  # their allocators keep what was freed
            self.assertLess(resident(self.proxy.pid) - before, 8 * MIB)
        peer.reset()
        self.assertEqual(200, self.plain().request("GET", "/after", self.upstream.host()).status)

    def test_trailers(self):
        self.upstream.routes["/trailers"] = (b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n")
        asked = self.plain().request("GET", "/trailers", self.upstream.host(), [("TE", "trailers")])
        self.assertEqual((["X-Sum: 1"], "X-Sum"), (asked.trailers, asked.get("Trailer")))
        self.assertEqual("trailers", self.upstream.requests[-1].get("TE"))
        silent = self.plain().request("GET", "/trailers", self.upstream.host())
        self.assertEqual(([], b"ok"), (silent.trailers, silent.body))

    def test_interim_answers(self):
        hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
        self.upstream.routes["/hints"] = hints + b"HTTP/1.1 102 Processing\r\n\r\n" + answer()
        response = self.plain().request("GET", "/hints", self.upstream.host())
        self.assertEqual([103, 102], [head.status for head in response.interim])
        self.assertEqual(hints, response.interim[0].raw)
        peer = self.plain()
        peer.send_request("GET", "/hints", self.upstream.host(), version="HTTP/1.0")
        self.assertEqual(200, peer.read_response_head().status)

    def test_head(self):
        self.upstream.routes["/head"] = b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nX-A: 1\r\n\r\n"
        peer = self.plain()
        for _ in range(2):
            response = peer.request("HEAD", "/head", self.upstream.host())
            self.assertEqual(("1234", "1"), (response.get("Content-Length"), response.get("X-A")))
        self.assertEqual(200, peer.request("GET", "/x", self.upstream.host()).status)

    def test_head_of_a_denied_host(self):
        response = self.plain().request("HEAD", "/", "evil.example")
        self.assertEqual((403, None), (response.status, response.get("Content-Length")))

    def test_no_content_and_not_modified(self):
        self.upstream.routes["/204"] = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nX-A: 1\r\n\r\n"
        self.upstream.routes["/304"] = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 55\r\nContent-Type: text/x\r\nETag: \"e\"\r\n\r\n"
        peer = self.plain()
        response = peer.request("GET", "/204", self.upstream.host())
        self.assertEqual((204, None, "1"), (response.status, response.get("Content-Length"), response.get("X-A")))
        response = peer.request("GET", "/304", self.upstream.host())
        self.assertEqual(("55", "text/x", '"e"'), (response.get("Content-Length"), response.get("Content-Type"), response.get("ETag")))
        self.assertEqual(200, peer.request("GET", "/x", self.upstream.host()).status)

    def test_nothing_is_guessed_or_decoded(self):
        packed = gzip.compress(b"{}" * 1000)
        self.upstream.routes["/gzip"] = answer(packed, fields=[("Content-Encoding", "gzip")])
        response = self.plain().request("GET", "/gzip", self.upstream.host())
        self.assertEqual((packed, "gzip", None), (response.body, response.get("Content-Encoding"), response.get("Content-Type")))
        self.assertEqual(["Host"], self.upstream.requests[-1].names())


class Requests(WireTest):
    transforms = [allowlist("*.test"), secrets(secret())]

    def test_upload_flows_as_it_comes(self):
        arrived = []

        def route(connection, request):
            for _ in range(3):
                size = int(connection.read_until(b"\r\n"), 16)
                arrived.append(connection.read_exact(size))
                connection.read_exact(2)
                steps[len(arrived) - 1].set()
            connection.read_until(b"0\r\n\r\n")
            connection.send(answer())
        route.raw_body = True
        steps = [threading.Event() for _ in range(3)]
        self.upstream.routes["/upload"] = route
        peer = self.plain()
        peer.send_request("POST", "/upload", self.upstream.host(), [("Transfer-Encoding", "chunked")])
        for number, piece in enumerate((b"one", b"two", b"three")):
            peer.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.assertTrue(steps[number].wait(DEADLINE), "a chunk was held back")
        peer.send(b"0\r\n\r\n")
        self.assertEqual(200, peer.read_response().status)
        self.assertEqual([b"one", b"two", b"three"], arrived)

    def test_framing_of_requests(self):
        for method, fields, body, wanted in (
                ("POST", [("Content-Length", "0")], b"", {"Content-Length": "0"}), ("GET", [("Content-Length", "3")], b"abc", {"Content-Length": "3"}),
                ("DELETE", [("Transfer-Encoding", "chunked")], b"3\r\nabc\r\n0\r\n\r\n", {"Transfer-Encoding": "chunked"}), ("GET", [], b"", {})):
            with self.subTest(method=method, fields=fields):
                self.plain().request(method, "/framing", self.upstream.host(), fields, body)
                request = self.upstream.requests[-1]
                self.assertEqual(wanted, {k: v for k, v in request.fields if k in ("Content-Length", "Transfer-Encoding")})

    def test_post_without_body(self):
        self.plain().request("POST", "/empty", self.upstream.host())
        self.assertIsNone(self.upstream.requests[-1].get("Transfer-Encoding"))
        self.assertEqual("0", self.upstream.requests[-1].get("Content-Length"))

    def test_expect_100_continue(self):
        peer = self.tls_tunnel(self.tls_upstream.host())
        peer.send_request("PUT", "/expect", self.tls_upstream.host(), [("Expect", "100-continue"), ("Content-Length", "4")])
        self.assertEqual(b"HTTP/1.1 100 Continue\r\n\r\n", peer.read_until(b"\r\n\r\n"))
        response = peer.send(b"body").read_response()
        self.assertEqual((200, []), (response.status, response.interim))
        request = self.tls_upstream.wait_request("/expect")
        self.assertEqual((b"body", "100-continue"), (request.body, request.get("Expect")))

    def test_expect_and_a_denied_host(self):
        peer = self.plain()
        peer.send_request("PUT", "/", "evil.example", [("Expect", "100-continue"), ("Content-Length", "4")])
        self.assertEqual(403, peer.read_response().status)  # at once, without 100 and without the body

    def test_denied_request_is_answered_before_its_body(self):
        peer = self.plain()
        peer.send_request("PUT", "/", "evil.example", [("Content-Length", "1000")])
        self.assertEqual(403, peer.read_response().status)
        peer.send(b"x" * 1000)
        self.assertEqual(200, peer.request("GET", "/next", self.upstream.host()).status)

    def test_early_answer(self):
        def route(connection, request):
            connection.read_exact(10)
            connection.send(answer(b"enough", "413 Content Too Large"))
            return "end"
        route.raw_body = True
        self.upstream.routes["/early"] = route
        peer = self.plain()
        peer.send_request("POST", "/early", self.upstream.host(), [("Content-Length", "100000")])
        peer.send(b"x" * 10)
        self.assertEqual((413, b"enough"), (lambda r: (r.status, r.body))(peer.read_response()))
        peer.send(b"x" * 99990)  # the rest is read and dropped, and the connection goes on
        self.assertEqual(200, peer.request("GET", "/next", self.upstream.host()).status)

    def test_early_answer_to_a_body_without_end(self):
        self.upstream.routes["/early"] = lambda c, r: (c.send(answer(b"", "400 Bad Request")), "end")[1]
        self.upstream.routes["/early"].raw_body = True
        peer = self.plain()
        peer.send_request("POST", "/early", self.upstream.host(), [("Content-Length", str(64 * MIB))])
        self.assertEqual(400, peer.read_response().status)
        with self.assertRaises((OSError, Closed)):
            for _ in range(64):
                peer.send(b"x" * MIB)
            peer.read_exact(1)

    def test_pipelining(self):
        peer = self.tls_tunnel(self.tls_upstream.host())
        peer.send("".join(f"GET /{n} HTTP/1.1\r\nHost: {self.tls_upstream.host()}\r\nAuthorization: {TOKEN}\r\n\r\n" for n in range(20)))
        self.assertEqual([200] * 20, [peer.read_response().status for _ in range(20)])
        self.assertEqual([f"/{n}" for n in range(20)], self.tls_upstream.targets())
        self.assertEqual({KEY}, {request.get("Authorization") for request in self.tls_upstream.requests})

    def test_connection_close_is_honoured(self):
        peer = self.plain()
        response = peer.request("GET", "/bye", self.upstream.host(), [("Connection", "close")])
        self.assertEqual("close", response.get("Connection"))
        self.assertEqual(b"", peer.read_to_end())

    def test_large_upload(self):
        body = bytes(range(256)) * (4 * MIB // 256)
        peer = self.tls_tunnel(self.tls_upstream.host())
        self.assertEqual(200, peer.request("POST", "/big", self.tls_upstream.host(), body=body).status)
        self.assertEqual(body, self.tls_upstream.wait_request("/big").body)
        self.assertEqual(len(body), self.proxy.wait_request(path="/big")["audit"]["request_bytes"])


class BodySwap(WireTest):
    transforms = [allowlist("*.test"), secrets(secret(match_body=True))]
    config = {"proxy": {"max_request_body_bytes": 1000}}

    def test_swapped_in_the_body(self):
        for name, fields, body in (("length", [], b"{" + TOKEN.encode() + b"}"),
                                   ("chunked", [("Transfer-Encoding", "chunked")], b"1\r\n{\r\n%x\r\n%b\r\n1\r\n}\r\n0\r\n\r\n" % (len(TOKEN), TOKEN.encode()))):
            with self.subTest(name):
                self.assertEqual(200, self.plain().request("POST", "/swap", self.upstream.host(), fields, body).status)
                request = self.upstream.requests[-1]
                self.assertEqual(b"{" + KEY.encode() + b"}", request.body)
                self.assertEqual((str(len(KEY) + 2), None), (request.get("Content-Length"), request.get("Transfer-Encoding")))

    def test_above_the_limit_is_413(self):
        for fields, body in (([("Content-Length", "1001")], b""), ([("Transfer-Encoding", "chunked")], b"3e9\r\n" + b"x" * 1001 + b"\r\n")):
            peer = self.plain()
            peer.send_request("POST", "/limit", self.upstream.host(), fields, body)
            self.assertEqual(b"HTTP/1.1 413 Request Entity Too Large\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
                             b"413 Request Entity Too Large", peer.read_to_end())
        record = self.proxy.wait_request(path="/limit", count=2)
        self.assertEqual(("error", 413, "request body exceeds max_request_body_bytes"),
                         (record["audit"]["action"], record["audit"]["status_code"], record["error"]))
        traces = record["request_transforms"]
        self.assertEqual([("allowlist", "allow", None), ("secrets", "error", "request body exceeds max_request_body_bytes")],
                         [(trace["name"], trace["action"], trace.get("error")) for trace in traces])
        self.assert_no_contact()

    def test_above_the_limit_but_denied_is_403(self):
        peer = self.plain()
        peer.send_request("POST", "/denied", "denied.example", [("Content-Length", "1001")], b"")
        self.assertEqual(403, peer.read_response().status)
        record = self.proxy.wait_request(path="/denied")
        self.assertEqual(["allowlist"], [trace["name"] for trace in record["request_transforms"]])

    def test_at_the_limit(self):
        self.assertEqual(200, self.plain().request("POST", "/limit", self.upstream.host(), body=b"x" * 1000).status)


def resident(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as handle:
        return int(handle.read().split()[1]) * 4096


if __name__ == "__main__":
    main()
