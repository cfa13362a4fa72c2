"""The request's body and the answer flow side by side; what is broken of the body never reaches an origin as a request."""
import socket
import threading

from harness import WireTest, main, wait_until
from harness.case import TOKEN, allowlist, refusal, secret, secrets
from harness.upstream import answer

BEGUN = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
BAD_REQUEST = refusal("400 Bad Request")
HEAD = "POST {} HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


class FullDuplex(WireTest):
    transforms = [allowlist("*.test")]

    def ways(self):
        yield "plain", self.plain(), self.upstream
        yield "TLS", self.tls_tunnel(self.tls_upstream.host()), self.tls_upstream

    def test_an_origin_that_answers_each_piece(self):
        """Neither side goes on before it has seen the other's last piece."""
        pieces = [b"%d" % number * size for number, size in enumerate((1, 10, 20_000, 70_000, 3))]

        def echo(connection, request):
            connection.send(BEGUN)
            for piece in pieces:
                if request.get("Transfer-Encoding"):
                    got = b""
                    while len(got) < len(piece):
                        size = int(connection.read_until(b"\r\n"), 16)
                        got += connection.read_exact(size)
                        connection.read_exact(2)
                else:
                    got = connection.read_exact(len(piece))
                connection.send(chunk(got))
            if request.get("Transfer-Encoding"):
                connection.read_until(b"0\r\n\r\n")
            connection.send(b"0\r\n\r\n")

        echo.raw_body = True
        for chunked in (True, False):
            for name, peer, origin in self.ways():
                with self.subTest(name, chunked=chunked):
                    origin.routes["/duplex"] = echo
                    length = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(sum(map(len, pieces))))
                    peer.send_request("POST", "/duplex", origin.host(), [length])
                    self.assertEqual(200, peer.read_response_head().status)
                    for piece in pieces:
                        peer.send(chunk(piece) if chunked else piece)
                        got = b""
                        while len(got) < len(piece):
                            got += peer.read_exact(int(peer.read_until(b"\r\n"), 16))
                            peer.read_exact(2)
                        self.assertEqual(piece, got)
                    if chunked:
                        peer.send(b"0\r\n\r\n")
                    self.assertEqual(b"0\r\n\r\n", peer.read_exact(5))
                    # Both connections go on.
                    self.assertEqual(200, peer.request("GET", "/after", origin.host()).status)

    def test_an_origin_that_answers_before_it_reads(self):
        """Megabytes both ways: each side's system holds less than that, so neither flow may wait for the other's end."""
        size = 8 << 20

        def route(connection, _request):
            connection.send(answer(b"d" * size)[:-1])
            connection.read_exact(size)
            connection.send(b"d")

        route.raw_body = True
        self.upstream.routes["/both"] = route
        peer = self.plain()
        peer.send_request("POST", "/both", self.upstream.host(), [("Content-Length", str(size))], b"u" * 100)
        writer = threading.Thread(target=self.pour, args=(peer, b"u" * (size - 100)), daemon=True)
        writer.start()
        self.assertEqual(size, len(peer.read_response().body))
        writer.join(15)
        self.assertEqual(200, peer.request("GET", "/after", self.upstream.host()).status)
        record = self.proxy.wait_request(path="/both")
        self.assertEqual((size, size), (record["audit"]["request_bytes"], record["audit"]["response_bytes"]))

    def test_a_complete_answer_ends_the_upload(self):
        closed = threading.Event()

        def early(connection, _request):
            connection.send(answer(b"enough", "413 Content Too Large"))
            try:
                connection.read_to_end()
            finally:
                closed.set()

        early.raw_body = True
        for size, kept in ((1000, True), (5_000_000, False)):
            closed.clear()
            self.upstream.routes["/early"] = early
            peer = self.plain()
            peer.send_request("POST", "/early", self.upstream.host(), [("Content-Length", str(size))], b"u" * 10)
            head = peer.read_response()
            self.assertEqual((413, None if kept else "close", b"enough"), (head.status, head.get("Connection"), head.body))
            self.assertTrue(closed.wait(15), "the upstream connection is still there")
            if kept:
                peer.send(b"u" * (size - 10))
                self.assertEqual(200, peer.request("GET", "/after", self.upstream.host()).status)
            else:
                self.assertEqual(b"", peer.read_to_end())
                self.assertFalse(peer.reset_seen)

    def test_an_answer_that_grows_complete_while_the_body_waits(self):
        """The head has left without `Connection: close`; the end must not be a reset all the same."""
        def early(connection, _request):
            connection.send(BEGUN + chunk(b"first"))
            self.go_on.wait(15)
            connection.send(chunk(b"last") + b"0\r\n\r\n")
            connection.read_to_end()

        early.raw_body = True
        self.go_on = threading.Event()
        self.upstream.routes["/grows"] = early
        peer = self.plain()
        peer.send_request("POST", "/grows", self.upstream.host(), [("Content-Length", "5000000")], b"u" * 10)
        self.assertEqual(None, peer.read_response_head().get("Connection"))
        self.assertEqual(chunk(b"first"), peer.read_exact(len(chunk(b"first"))))
        self.go_on.set()
        self.assertEqual(chunk(b"last") + b"0\r\n\r\n", peer.read_to_end())
        self.assertFalse(peer.reset_seen)

    @staticmethod
    def pour(peer, body):
        try:
            peer.send(body)
        except OSError:
            pass


class BrokenBodies(WireTest):
    transforms = [allowlist("*.test")]
    BAD = (b"zz\r\n", b"5\nhello\r\n0\r\n\r\n", b"-1\r\n", b"0x5\r\nhello\r\n", b"5\r\nhelloX\r\n0\r\n\r\n", b"\r\n", b"fffffffffffffffff\r\n")

    def assert_refused(self, path, proxy=None):
        record = (proxy or self.proxy).wait_request(path=path)
        self.assertEqual(("reject", 400, "protocol", "malformed request"),
                         (record["audit"]["action"], record["audit"]["status_code"], record["rejected_by"], record["error"]))
        self.assertEqual(["allowlist"], [trace["name"] for trace in record["request_transforms"]])

    def test_seen_before_the_dial_it_goes_nowhere(self):
        for number, bad in enumerate(self.BAD):
            with self.subTest(bad):
                path = f"/bad{number}"
                peer = self.plain()
                peer.send(HEAD.format(path, self.upstream.host()).encode() + bad)
                self.assertEqual(BAD_REQUEST, peer.read_to_end())
                self.assertFalse(peer.reset_seen)
                self.assert_refused(path)
        self.assertEqual([], self.upstream.connections)

    def test_good_pieces_before_the_bad_one(self):
        peer = self.plain()
        peer.send(HEAD.format("/later", self.upstream.host()).encode() + chunk(b"good") + chunk(b"too") + b"bad\n")
        self.assertEqual(BAD_REQUEST, peer.read_to_end())
        self.assert_refused("/later")
        self.assertEqual([], self.upstream.connections)

    def test_later_the_upstream_connection_is_dropped(self):
        for peer, origin in ((self.plain(), self.upstream), (self.tls_tunnel(self.tls_upstream.host()), self.tls_upstream)):
            seen = []

            def take(connection, _request):
                seen.append(connection.read_exact(len(chunk(b"good"))))
                seen.append(connection.read_to_end())

            take.raw_body = True
            origin.routes["/late"] = take
            peer.send(HEAD.format("/late", origin.host()).encode() + chunk(b"good"))
            wait_until(lambda: seen, "the first piece at the origin")
            mark = self.proxy.mark()
            peer.send(b"zz\r\n")
            self.assertEqual(BAD_REQUEST, peer.read_to_end())
            record = self.proxy.wait_record("request", lambda r: r["audit"]["path"] == "/late", after=mark)
            self.assertEqual(("reject", "malformed request"), (record["audit"]["action"], record["error"]))
            wait_until(lambda: len(seen) == 2, "the end of the upstream connection")
            self.assertEqual([chunk(b"good"), b""], seen)

    def test_behind_the_answers_head_it_is_cut(self):
        def begin(connection, _request):
            connection.send(BEGUN + chunk(b"part"))
            connection.read_to_end()

        begin.raw_body = True
        self.upstream.routes["/behind"] = begin
        peer = self.plain()
        peer.send(HEAD.format("/behind", self.upstream.host()).encode() + chunk(b"good"))
        peer.read_response_head()
        peer.read_exact(len(chunk(b"part")))
        peer.send(b"zz\r\n")
        self.assertEqual(b"", peer.read_to_end())
        record = self.proxy.wait_request(path="/behind")
        self.assertEqual(("allow", 200, "malformed request"), (record["audit"]["action"], record["audit"]["status_code"], record["error"]))

    def test_behind_an_answer_that_is_whole(self):
        """Its record is written before its last bytes leave. What breaks meanwhile changes neither, and adds no second record."""
        proxy = self.own_proxy(command_prefix=["taskset", "-c", "0"])  # one worker, on which another request is under way
        release = threading.Event()
        self.addCleanup(release.set)
        self.upstream.routes["/held"] = lambda connection, _request: release.wait(15) and connection.send(answer())
        self.plain(proxy).send_request("GET", "/held", self.upstream.host())
        self.upstream.wait_connections(1)
        for end in (b"zz\r\n", None):
            clients = {}

            def whole(connection, request):
                connection.send(answer(b"whole"))
                if end is None:
                    clients[request.target].sock.shutdown(socket.SHUT_WR)
                else:
                    clients[request.target].send(end)
                connection.read_to_end()

            whole.raw_body = True
            with self.subTest(end):
                for number in range(50):
                    path = f"/whole{number}{'fault' if end else 'end'}"
                    self.upstream.routes[path] = whole
                    peer = clients[path] = self.plain(proxy)
                    peer.send(HEAD.format(path, self.upstream.host()).encode() + chunk(b"good"))
                    seen = peer.read_to_end()
                    record = proxy.wait_request(path=path)
                    expected = b"HTTP/1.1 200" if record["audit"]["action"] == "allow" else BAD_REQUEST[:12] if end else b""
                    self.assertEqual(expected, seen[:12])
        mark = proxy.mark()
        self.assertEqual(200, self.plain(proxy).request("GET", "/fence", self.upstream.host()).status)
        proxy.wait_record("request", lambda r: r["audit"]["path"] == "/fence", after=mark)
        paths = [record["audit"]["path"] for record in proxy.records("request")]
        self.assertEqual(sorted(set(paths)), sorted(paths))

    def test_a_body_that_a_transform_reads(self):
        proxy = self.own_proxy({"transforms": [allowlist("*.test"), secrets(secret(match_body=True))]})
        peer = self.plain(proxy)
        peer.send(HEAD.format("/whole", self.upstream.host()).encode() + chunk(TOKEN.encode()) + b"zz\r\n")
        self.assertEqual(BAD_REQUEST, peer.read_to_end())
        record = proxy.wait_request(path="/whole")
        self.assertEqual(("reject", 400, "protocol", "malformed request"),
                         (record["audit"]["action"], record["audit"]["status_code"], record["rejected_by"], record["error"]))
        self.assertEqual([], self.upstream.connections)

    def test_they_are_all_recorded(self):
        """Policy has judged them: the bound on refusals does not hold."""
        mark = self.proxy.mark()
        for _ in range(30):
            peer = self.plain()
            peer.send(HEAD.format("/each", self.upstream.host()).encode() + b"zz\r\n")
            self.assertEqual(BAD_REQUEST, peer.read_to_end())
        self.proxy.wait_record("request", lambda r: r["audit"]["path"] == "/each", after=mark, count=30)


class Withheld(WireTest):
    transforms = [allowlist("*.test"), secrets(secret() | {"scrub_responses": "block"})]

    def test_who_leaves_before_the_answer_begins_has_cancelled(self):
        """An answer that may have to be cut waits a little; nothing failed where its client did not wait so long."""
        clients = {}

        def begin(connection, request):
            connection.send(BEGUN + chunk(b"part"))
            clients[request.target].reset()
            connection.read_to_end()

        for number in range(20):
            path = f"/left{number}"
            self.upstream.routes[path] = begin
            clients[path] = self.plain()
            clients[path].send_request("GET", path, self.upstream.host(), [("Authorization", f"Bearer {TOKEN}")])
            record = self.proxy.wait_request(path=path)
            self.assertIn((record["audit"]["action"], record.get("error")), [("client_cancel", None), ("allow", None)])


if __name__ == "__main__":
    main()
