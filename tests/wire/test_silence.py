"""Who may be silent, for how long, and what the record says of who was: `stall_timeout` and `quiet_timeout`."""
import threading

from harness import WireTest, main
from harness.case import TOKEN, allowlist, secret, secrets
from harness.upstream import answer

CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"


class Silence(WireTest):
    starts_proxy = False
    transforms = [allowlist("*.test")]

    def limited(self, **limits):
        return self.own_proxy({"proxy": {"limits": limits}})

    def silent_origin(self, content_type="application/json", path="/silent"):
        """Begins an answer and goes on when the gate opens."""
        gate = threading.Event()
        self.addCleanup(gate.set)

        def route(connection, _request):
            connection.send(CHUNKED % content_type.encode())
            gate.wait(30)
            connection.send(b"0\r\n\r\n")

        self.upstream.routes[path] = self.tls_upstream.routes[path] = route
        return gate

    def begun(self, peer, host, path="/silent", method="GET", fields=(), body=b""):
        peer.send_request(method, path, host, fields, body)
        peer.read_response_head()
        self.assertEqual(b"1\r\na\r\n", peer.read_exact(6))
        return peer

    def test_an_origin_may_be_silent_for_longer_than_the_stall(self):
        proxy = self.limited(stall_timeout="300ms")
        for kind in ("application/json", "application/x-ndjson", "application/vnd.amazon.eventstream", "text/plain"):
            with self.subTest(kind):
                gate = self.silent_origin(kind)
                inside = self.begun(self.tls_tunnel(self.tls_upstream.host(), proxy=proxy), self.tls_upstream.host())
                peer = self.begun(self.plain(proxy), self.upstream.host())
                self.assertFalse(peer.readable(1.0), "the answer was cut")
                gate.set()
                self.assertEqual(b"0\r\n\r\n", peer.read_exact(5))
                self.assertEqual(b"0\r\n\r\n", inside.read_exact(5))

    def test_a_client_may_pause_its_upload(self):
        proxy = self.limited(stall_timeout="300ms")
        peer = self.plain(proxy)
        peer.send_request("POST", "/up", self.upstream.host(), [("Content-Length", "10")], b"12345")
        self.assertFalse(peer.readable(1.0), "the upload was cut")
        peer.send(b"67890")
        self.assertEqual(200, peer.read_response().status)
        self.assertEqual(b"1234567890", self.upstream.wait_request("/up").body)

    def test_a_quiet_answer_is_cut_and_the_record_says_who(self):
        proxy = self.limited(quiet_timeout="500ms")
        self.silent_origin()
        peer = self.begun(self.plain(proxy), self.upstream.host())
        self.assertEqual(b"", peer.read_to_end())
        record = proxy.wait_request(path="/silent")
        self.assertEqual(("allow", 200, "no byte from upstream for 500ms (proxy.limits.quiet_timeout)"),
                         (record["audit"]["action"], record["audit"]["status_code"], record["error"]))

    def test_a_quiet_upload_is_cut_and_the_record_says_who(self):
        proxy = self.limited(quiet_timeout="500ms")
        for fields, body in (([("Content-Length", "10")], b"12345"), ([("Transfer-Encoding", "chunked")], b"5\r\nhello\r\n")):
            peer = self.plain(proxy)
            peer.send_request("POST", "/quiet", self.upstream.host(), fields, body)
            self.assertEqual(b"", peer.read_to_end())
            record = proxy.wait_request(path="/quiet")
            self.assertEqual(("error", 400, "no byte from client for 500ms (proxy.limits.quiet_timeout)"),
                             (record["audit"]["action"], record["audit"]["status_code"], record["error"]))
            proxy.looked_from = proxy.mark()
        self.assertNotIn("/quiet", self.upstream.targets())

    def test_both_sides_quiet(self):
        proxy = self.limited(quiet_timeout="500ms")

        def begin(connection, _request):
            connection.send(CHUNKED % b"text/plain")
            connection.read_to_end()

        begin.raw_body = True
        self.upstream.routes["/both"] = begin
        peer = self.begun(self.plain(proxy), self.upstream.host(), "/both", "POST", [("Content-Length", "10")], b"12345")
        self.assertEqual(b"", peer.read_to_end())
        record = proxy.wait_request(path="/both")
        self.assertEqual(("allow", "no byte from either side for 500ms (proxy.limits.quiet_timeout)"), (record["audit"]["action"], record["error"]))

    def test_one_side_that_moves_is_enough(self):
        proxy = self.limited(quiet_timeout="700ms")
        gate = threading.Event()
        received = []

        def begin(connection, _request):
            connection.send(CHUNKED % b"text/plain")
            received.append(connection.read_exact(6))
            connection.send(b"0\r\n\r\n")
            gate.set()

        begin.raw_body = True
        self.upstream.routes["/one"] = begin
        peer = self.begun(self.plain(proxy), self.upstream.host(), "/one", "POST", [("Content-Length", "6")], b"")
        for _ in range(6):  # 1.8 s in all
            self.assertFalse(peer.readable(0.3), "cut although the client sends")
            peer.send(b"u")
        self.assertEqual(b"0\r\n\r\n", peer.read_exact(5))
        self.assertEqual([b"uuuuuu"], received)

    def test_streams_that_may_be_silent(self):
        proxy = self.limited(quiet_timeout="300ms", stall_timeout="300ms")
        for kind in ("text/event-stream", "Text/Event-Stream; charset=utf-8", "application/grpc", "application/grpc+proto", "application/grpc-web"):
            with self.subTest(kind):
                gate = self.silent_origin(kind)
                peer = self.begun(self.plain(proxy), self.upstream.host())
                exempt = kind != "application/grpc-web"
                self.assertEqual(not exempt, peer.readable(1.0))
                gate.set()
        # A type that only begins alike is no event stream.
        self.silent_origin("text/event-streams")
        peer = self.begun(self.plain(proxy), self.upstream.host())
        self.assertEqual(b"", peer.read_to_end())

    def test_a_reader_that_stalls_is_named(self):
        proxy = self.limited(stall_timeout="500ms")
        self.upstream.routes["/big"] = answer(b"x" * (32 << 20))
        self.slow_reader(proxy).send_request("GET", "/big", self.upstream.host())
        record = proxy.wait_request(path="/big")
        self.assertEqual(("allow", 200, "client took no byte for 500ms (proxy.limits.stall_timeout)"),
                         (record["audit"]["action"], record["audit"]["status_code"], record["error"]))

    def test_an_origin_that_does_not_take_the_upload(self):
        proxy = self.limited(stall_timeout="500ms")
        gate = threading.Event()
        self.addCleanup(gate.set)
        route = lambda connection, request: gate.wait(30)
        route.raw_body = True
        self.upstream.routes["/sink"] = route
        peer = self.plain(proxy)
        threading.Thread(target=self.pour, args=(peer, b"x" * (32 << 20)), daemon=True).start()
        self.assertEqual(502, peer.read_response_head().status)
        record = proxy.wait_request(path="/sink")
        self.assertEqual(("error", 502), (record["audit"]["action"], record["audit"]["status_code"]))
        self.assertEqual("write: i/o timeout (proxy.limits.stall_timeout 500ms)", record["error"])

    def pour(self, peer, body):
        try:
            peer.send_request("POST", "/sink", self.upstream.host(), body=body)
        except OSError:
            pass

    def test_a_body_that_is_read_whole_has_the_short_limit(self):
        proxy = self.own_proxy({"proxy": {"limits": {"stall_timeout": "500ms"}},
                                "transforms": [allowlist("*.test"), secrets(secret(match_body=True))]})
        peer = self.plain(proxy)
        peer.send_request("POST", "/whole", self.upstream.host(), [("Content-Length", "100")], TOKEN.encode())
        self.assertEqual(b"", peer.read_to_end())
        record = proxy.wait_request(path="/whole")
        self.assertEqual(("error", 400, "no byte from client for 500ms (proxy.limits.stall_timeout)"),
                         (record["audit"]["action"], record["audit"]["status_code"], record["error"]))
        self.assertEqual([], self.upstream.requests)

    def test_client_cancel_is_only_who_left(self):
        proxy = self.limited(quiet_timeout="300ms")
        peer = self.plain(proxy)
        peer.send_request("POST", "/left", self.upstream.host(), [("Content-Length", "10")], b"12345")
        peer.reset()
        self.assertEqual("client_cancel", proxy.wait_request(path="/left")["audit"]["action"])

    def test_a_websocket_and_a_tunnel_may_be_silent(self):
        proxy = self.limited(quiet_timeout="300ms", stall_timeout="300ms")
        accept = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        self.upstream.routes["/ws"] = lambda connection, request: (connection.send(accept), connection.send(connection.read_exact(4)))[0] and None
        peer = self.plain(proxy)
        peer.send_request("GET", "/ws", self.upstream.host(), [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
                                                               ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")])
        self.assertEqual(101, peer.read_response_head().status)
        self.assertFalse(peer.readable(1.0), "the WebSocket was cut")
        peer.send(b"ping")
        self.assertEqual(b"ping", peer.read_exact(4))


class Warnings(WireTest):
    """What `response body copy error` says, and when it is not said."""
    transforms = [allowlist("*.test")]

    def test_it_names_host_and_id(self):
        self.upstream.routes["/cut"] = lambda connection, request: (connection.send(CHUNKED % b"text/plain"), "end")[1]
        peer = self.plain()
        peer.send_request("GET", "/cut", self.upstream.host())
        peer.read_to_end()
        record = self.proxy.wait_request(path="/cut")
        warning = self.proxy.wait_record("response body copy error")
        self.assertEqual(["time", "level", "msg", "error", "host", "id"], list(warning))
        self.assertEqual(("WARN", self.upstream.host(), record["audit"]["id"]), (warning["level"], warning["host"], warning["id"]))

    def test_the_end_of_an_event_stream_by_its_client_is_no_error(self):
        gate = threading.Event()

        def events(connection, _request):
            connection.send(CHUNKED % b"text/event-stream")
            gate.wait(30)
            for _ in range(500):  # an end of a plain connection may be a half-close: what shows it is what is sent
                connection.send(b"1\r\nb\r\n")
                if connection.readable(0.01):
                    break

        self.upstream.routes["/events"] = self.tls_upstream.routes["/events"] = events
        for peer, host in ((self.plain(), self.upstream.host()), (self.tls_tunnel(self.tls_upstream.host()), self.tls_upstream.host())):
            mark = self.proxy.mark()
            peer.send_request("GET", "/events", host)
            peer.read_until(b"1\r\na\r\n")
            peer.close()
            gate.set()
            self.proxy.wait_record("request", lambda r: r["audit"]["path"] == "/events", after=mark)
            with self.proxy.changed:
                said = self.proxy.lines[mark:]
            self.assertEqual([], [line for line in said if "response body copy error" in line])

    def test_an_event_stream_that_its_origin_cuts_is_an_error_for_a_half_closed_client_too(self):
        half_closed = threading.Event()

        def events(connection, _request):
            connection.send(CHUNKED % b"text/event-stream")
            half_closed.wait(30)
            return "end"  # without a last chunk

        self.upstream.routes["/cut-events"] = events
        peer = self.plain()
        peer.send_request("GET", "/cut-events", self.upstream.host())
        peer.half_close().read_until(b"1\r\na\r\n")
        half_closed.set()
        peer.read_to_end()
        self.proxy.wait_request(path="/cut-events")
        self.assertEqual("unexpected EOF", self.proxy.wait_record("response body copy error")["error"])


if __name__ == "__main__":
    main()
