"""What real clients and origins do on the wire that the grammar's first reading forgets: blanks where they were once allowed, a line
end too many, the 100 of the origin, requests about the server itself, and logins that belong to a connection."""
import select
import ssl
import threading

from harness import DEADLINE, Stopwatch, WireTest, main
from harness.case import KEY, TOKEN, allowlist, refusal, secrets
from harness.upstream import answer

BAD = refusal("400 Bad Request")
CHUNKED = [("Transfer-Encoding", "chunked")]


def chunked_answer(body, fields=""):
    return (f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{fields}\r\n" + body).encode("latin-1")


class Chunks(WireTest):
    def test_blanks_and_odd_extensions_of_an_origin(self):
        for number, behind in enumerate((" ", "\t", "  \t ", ";", " ;a=b", ";a b=c", ";a=\"", ";=b", " ; \xe9 ")):
            target = f"/odd{number}"
            self.upstream.routes[target] = chunked_answer(f"5{behind}\r\nhello\r\n00{behind}\r\n\r\n")
            self.tls_upstream.routes[target] = self.upstream.routes[target]
            for peer, upstream in ((self.plain(), self.upstream), (self.tls_tunnel(self.tls_upstream.host()), self.tls_upstream)):
                with self.subTest(behind=behind, tls=upstream is self.tls_upstream):
                    peer.send_request("GET", target, upstream.host())
                    self.assertEqual(200, peer.read_response_head().status)
                    self.assertEqual(b"5\r\nhello\r\n0\r\n\r\n", peer.read_until(b"0\r\n\r\n"))
                    self.assertEqual(200, peer.request("GET", "/next", upstream.host()).status)

    def test_what_an_origin_may_not_send_either(self):
        for number, size in enumerate(("5 5", "5\t5", " 5", "5 a", "5 \n", "5;a\x01", "5;\x7f", "5 \0")):
            with self.subTest(size):
                self.upstream.routes[f"/bad{number}"] = chunked_answer(f"{size}\r\nhello\r\n0\r\n\r\n")
                peer = self.plain()
                peer.send_request("GET", f"/bad{number}", self.upstream.host())
                if peer.read_response_head().status != 502:
                    self.assertFalse(peer.read_to_end().endswith(b"0\r\n\r\n"))

    def test_extensions_of_clients(self):
        for number, behind in enumerate((" ;a=b", "\t;a", ";a", ";a=b ; c", ";a\t= \"b;\\\"\t\xe9\"", ";a=b;c=\"\"")):
            with self.subTest(behind):
                peer = self.plain(source=f"127.2.0.{number + 1}")
                self.assertEqual(200, peer.request("POST", f"/good{number}", self.upstream.host(), CHUNKED,
                                                   f"3{behind}\r\nabc\r\n0{behind}\r\n\r\n".encode("latin-1")).status)
                self.assertEqual([b"abc"], self.upstream.wait_request(f"/good{number}").chunks)

    def test_extensions_outside_the_grammar_are_refused(self):
        for number, behind in enumerate((";", ";=b", ";a b=c", ";a=\"", ";a=", "; ", ";;a", ";a=b c", ";a=\"b\"c", ";a=\"\\\r\n", ";a ", ";a=b ",
                                         ";\"a\"", ";a/b", ";\xe9", " ", "\t", " a", " 3")):
            for end in ("3", "3\r\nabc\r\n0"):
                with self.subTest(behind=behind, end=end):
                    peer = self.plain(source=f"127.2.1.{number + 1}")
                    peer.send_request("POST", "/refused", self.upstream.host(), CHUNKED)
                    peer.send(f"{end}{behind}\r\nabc\r\n0\r\n\r\n")
                    self.assertIn(peer.read_response_head().status, (400, 502))
                    peer.read_to_end()
        self.assertNotIn("/refused", self.upstream.targets())


class AnswerFields(WireTest):
    def test_blanks_before_the_colon_are_removed(self):
        self.upstream.routes["/old"] = (b"HTTP/1.1 103 Early Hints\r\nLink : </a>\r\n\r\nHTTP/1.1 200 OK\r\nServer : old\r\nX-Tab\t: a : b\r\nSet-Cookie \t : c=1\r\n"
                                        b"Content-Length: 2\r\n\r\nok")
        response = self.plain().request("GET", "/old", self.upstream.host())
        self.assertEqual([b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"], [head.raw for head in response.interim])
        self.assertEqual(([("Server", "old"), ("X-Tab", "a : b"), ("Set-Cookie", "c=1"), ("Content-Length", "2")], b"ok"),
                         (response.fields[:4], response.body))

    def test_fields_of_the_connection_are_known_in_spite_of_them(self):
        self.upstream.routes["/bye"] = b"HTTP/1.1 200 OK\r\nConnection : close, X-Hop\r\nX-Hop : 1\r\nKeep-Alive : timeout=5\r\nContent-Length: 2\r\n\r\nok"
        response = self.plain().request("GET", "/bye", self.upstream.host())
        self.assertEqual(["Content-Length", "Date"], response.names())

    def test_in_trailers_too(self):
        self.upstream.routes["/trailers"] = chunked_answer("2\r\nok\r\n0\r\nX-Sum : 1\r\n\r\n", "Trailer: X-Sum\r\n")
        response = self.plain().request("GET", "/trailers", self.upstream.host(), [("TE", "trailers")])
        self.assertEqual(["X-Sum: 1"], response.trailers)

    def test_what_frames_the_answer_stays_refused(self):
        for number, line in enumerate(("Content-Length : 2", "Content-Length\t: 2", "transfer-encoding : chunked", "Content-Length: 2\r\nContent-Length : 2",
                                       "Content-Length: 2\r\nTransfer-Encoding : chunked", "Foo Bar : x", " : x")):
            with self.subTest(line):
                def route(connection, request, text=f"HTTP/1.1 200 OK\r\n{line}\r\n\r\nok"):
                    connection.send(text)
                    return "end"
                self.upstream.routes[f"/framed{number}"] = route
                response = self.plain().request("GET", f"/framed{number}", self.upstream.host())
                self.assertEqual((502, b"bad gateway\n"), (response.status, response.body))

    def test_a_request_stays_refused(self):
        peer = self.plain(source="127.2.2.1").send(f"GET / HTTP/1.1\r\nHost: {self.upstream.host()}\r\nServer : old\r\n\r\n")
        self.assertEqual(refusal("400 Bad Request: invalid header name"), peer.read_to_end())


class BlankLines(WireTest):
    config = {"management": {"listen": "127.0.0.1:0", "api_key_env": "MANAGEMENT_KEY"}}
    environment = {"MANAGEMENT_KEY": "management-key-0123456789"}

    def ways(self):
        yield "plain", self.plain(), self.upstream
        yield "tunnel", self.tunnel(self.upstream.host()), self.upstream
        yield "tls", self.tls_tunnel(self.tls_upstream.host()), self.tls_upstream

    def test_behind_a_request(self):
        for way, peer, upstream in self.ways():
            for number, cuts in enumerate(((b"\r\n",), (b"\r", b"\n"))):
                with self.subTest(way=way, cuts=cuts):
                    self.assertEqual(200, peer.request("POST", "/old", upstream.host(), body=b"a=b").status)
                    for piece in cuts:
                        peer.send(piece)
                        self.assertFalse(peer.readable(0.1), "nobody asked for an answer")
                    self.assertEqual(200, peer.request("GET", f"/{way}{number}", upstream.host()).status)
                    self.assertEqual(f"/{way}{number}", upstream.targets()[-1])

    def test_pipelined(self):
        for way, peer, upstream in self.ways():
            with self.subTest(way):
                peer.send(f"POST /1 HTTP/1.1\r\nHost: {upstream.host()}\r\nContent-Length: 3\r\n\r\na=b\r\nGET /2 HTTP/1.1\r\nHost: {upstream.host()}\r\n\r\n"
                          f"\r\nGET /3 HTTP/1.1\r\nHost: {upstream.host()}\r\n\r\n\r\n")
                self.assertEqual([200] * 3, [peer.read_response().status for _ in range(3)])
                self.assertFalse(peer.readable(0.1), "nobody asked for an answer")
                self.assertEqual(["/1", "/2", "/3"], upstream.targets()[-3:])

    def test_behind_requests_that_we_answer(self):
        peer = self.plain()
        for _ in range(2):
            self.assertEqual(403, peer.request("POST", "/", "evil.example", body=b"a=b").status)
            peer.send(b"\r\n")

    def test_in_front_of_a_connect(self):
        peer = self.plain(listener="tunnel")
        self.assertEqual(200, peer.request("GET", f"http://{self.upstream.host()}/", self.upstream.host()).status)
        peer.send(f"\r\nCONNECT {self.upstream.host()} HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(b"HTTP/1.1 200 Connection Established\r\n\r\n", peer.read_until(b"\r\n\r\n"))
        self.assertEqual(200, peer.request("GET", "/inside", self.upstream.host()).status)

    def test_only_one_and_only_a_crlf(self):
        request = f"GET /not HTTP/1.1\r\nHost: {self.upstream.host()}\r\n\r\n"
        for number, between in enumerate(("\r\n\r\n", "\n", "\r", "\r\r\n", "\n\r\n", " \r\n", "\r\n\n", "\r\n\r")):
            with self.subTest(between):
                peer = self.plain(source=f"127.2.3.{number + 1}")
                self.assertEqual(200, peer.request("POST", "/old", self.upstream.host(), body=b"a=b").status)
                peer.send(between + request)
                self.assertEqual(BAD, peer.read_to_end())
        self.assertNotIn("/not", self.upstream.targets())

    def test_two_that_come_one_by_one(self):
        peer = self.plain(source="127.2.4.1")
        self.assertEqual(200, peer.request("POST", "/old", self.upstream.host(), body=b"a=b").status)
        peer.send(b"\r\n")
        self.assertFalse(peer.readable(0.1))
        peer.send(b"\r\n")
        self.assertEqual(BAD, peer.read_to_end())

    def test_not_at_the_start_of_a_connection(self):
        request = "\r\nGET /first HTTP/1.1\r\nHost: HOST\r\n\r\n"
        self.assertEqual(BAD, self.plain(source="127.2.5.1").send(request.replace("HOST", self.upstream.host())).read_to_end())
        tls = self.tls_tunnel(self.tls_upstream.host()).send(request.replace("HOST", self.tls_upstream.host()))
        self.assertEqual(BAD, tls.read_to_end())
        tunnel = self.tunnel(self.upstream.host()).send(request.replace("HOST", self.upstream.host()))
        self.assertNotIn(b" 200 ", tunnel.read_to_end())
        self.assertNotIn("/first", self.upstream.targets() + self.tls_upstream.targets())

    def test_idle_time_runs_as_without_it(self):
        proxy = self.own_proxy({"proxy": {"limits": {"idle_timeout": "700ms", "request_head_timeout": "20s"}}})
        for line in (b"\r\n", b"\r"):
            with self.subTest(line):
                peer = self.plain(proxy)
                self.assertEqual(200, peer.request("POST", "/old", self.upstream.host(), body=b"a=b").status)
                client = "%s:%d" % peer.sock.getsockname()
                watch = Stopwatch()
                peer.send(line)
                self.assertEqual(b"", peer.read_to_end())
                watch.check(self, at_most=3)
                self.assertEqual(1, len([r for r in proxy.records("request") if r["audit"]["remote_addr"] == client]))

    def test_end_and_drain_leave_no_record(self):
        proxy = self.own_proxy()
        peers = [self.plain(proxy) for _ in range(4)]
        for peer, line in zip(peers, (b"\r\n", b"\r", b"\r\n", b"\r")):
            self.assertEqual(200, peer.request("POST", "/old", self.upstream.host(), body=b"a=b").status)
            peer.send(line)
        for peer in peers[:2]:
            self.assertEqual(b"", peer.half_close().read_to_end())
        watch = Stopwatch()
        self.assertEqual(0, proxy.stop())
        watch.check(self, at_most=3)
        for peer in peers[2:]:
            self.assertEqual(b"", peer.read_to_end())
        self.assertEqual(4, len(proxy.records("request")))

    def test_on_the_other_listeners(self):
        for listener, target in (("metrics", "/healthz"), ("management", "/nothing")):
            with self.subTest(listener):
                peer = self.plain(listener=listener)
                statuses = [peer.request("GET", target, "x").status]
                for piece in (b"\r", b"\n"):
                    peer.send(piece)
                    self.assertFalse(peer.readable(0.1))
                statuses.append(peer.request("GET", target, "x").status)
                self.assertEqual(statuses[0], statuses[1])
                peer.send(f"\r\n\r\nGET {target} HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertEqual(BAD, peer.read_to_end())
                self.assertEqual(BAD, self.plain(listener=listener).send(f"\r\nGET {target} HTTP/1.1\r\nHost: x\r\n\r\n").read_to_end())


class Continue(WireTest):
    """The origin's 100 carries a mark, by which it differs from ours."""

    def setUp(self):
        super().setUp()
        self.seen = threading.Event()

        def route(connection, request):
            connection.send(b"HTTP/1.1 100 Continue\r\nX-Origin: 1\r\n\r\n")
            if request.get("X-Waits"):
                assert self.seen.wait(DEADLINE)
            connection.send(answer())
        for upstream in (self.upstream, self.tls_upstream):
            upstream.routes["/put"] = route

    def test_without_a_body_it_is_the_origins(self):
        for fields in ([("Content-Length", "0")], []):
            for upstream in (self.upstream, self.tls_upstream):
                with self.subTest(fields=fields, tls=upstream is self.tls_upstream):
                    self.seen.clear()
                    peer = self.plain() if upstream is self.upstream else self.tls_tunnel(upstream.host())
                    peer.send_request("PUT", "/put", upstream.host(), [("Expect", "100-continue"), ("X-Waits", "1"), *fields])
                    self.assertEqual(b"HTTP/1.1 100 Continue\r\nX-Origin: 1\r\n\r\n", peer.read_until(b"\r\n\r\n"))
                    self.seen.set()
                    response = peer.read_response()
                    self.assertEqual((200, []), (response.status, response.interim))

    def test_with_a_body_it_is_ours(self):
        for fields, body in (([("Content-Length", "4")], b"body"), (CHUNKED, b"0\r\n\r\n"), (CHUNKED, b"4\r\nbody\r\n0\r\n\r\n")):
            with self.subTest(fields=fields, body=body):
                peer = self.plain()
                peer.send_request("PUT", "/put", self.upstream.host(), [("Expect", "100-continue"), *fields])
                self.assertEqual(b"HTTP/1.1 100 Continue\r\n\r\n", peer.read_until(b"\r\n\r\n"))
                response = peer.send(body).read_response()
                self.assertEqual((200, []), (response.status, response.interim))

    def test_nobody_asked_for_it(self):
        for method, body in (("GET", b""), ("POST", b"body")):
            with self.subTest(method):
                response = self.plain().request(method, "/put", self.upstream.host(), body=body)
                self.assertEqual((200, [100]), (response.status, [head.status for head in response.interim]))
                self.assertEqual("1", response.interim[0].get("X-Origin"))

    def test_http_1_0_knows_none(self):
        peer = self.plain()
        peer.send_request("PUT", "/put", self.upstream.host(), [("Expect", "100-continue"), ("Content-Length", "0")], version="HTTP/1.0")
        self.assertEqual(200, peer.read_response_head().status)


class AboutTheServer(WireTest):
    transforms = [allowlist("*.test"), secrets({"source": {"type": "env", "var": "WIRE_KEY"},
                                               "replace": {"proxy_value": TOKEN, "match_headers": ["Authorization"], "require": True},
                                               "rules": [{"host": "api.test"}]})]
    config = {"proxy": {"explain_denials": True}}

    def record_of(self, peer):
        """The first record of a connection."""
        return self.proxy.wait_request(remote_addr="%s:%d" % peer.sock.getsockname())

    def test_options_without_a_path(self):
        host = self.upstream.host()
        for target, leaves, path in ((f"http://{host}", "*", "*"), (f"HTTP://{host}", "*", "*"), ("*", "*", "*"), (f"http://{host}/", "/", "/"),
                                     (f"http://{host}?a=b", "/?a=b", ""), (f"http://{host}/x", "/x", "/x")):
            for listener in ("http", "tunnel"):
                if listener == "tunnel" and target == "*":
                    continue
                with self.subTest(target=target, listener=listener):
                    self.upstream.forget()
                    peer = self.plain(listener=listener)
                    self.assertEqual(200, peer.request("OPTIONS", target, host).status)
                    self.assertEqual([f"OPTIONS {leaves} HTTP/1.1"], [request.line for request in self.upstream.requests])
                    self.assertEqual(path, self.record_of(peer)["audit"]["path"])

    def test_other_methods_ask_for_the_root(self):
        for method in ("GET", "HEAD", "TRACE", "options"):
            with self.subTest(method):
                self.upstream.forget()
                self.plain().request(method, f"http://{self.upstream.host()}", self.upstream.host())
                self.assertEqual(["/"], self.upstream.targets())

    def test_policy_sees_the_asterisk(self):
        proxy = self.own_proxy({"transforms": [allowlist(rules=[{"host": "*.test", "paths": ["/*"]}])]})
        self.assertEqual(403, self.plain(proxy).request("OPTIONS", f"http://{self.upstream.host()}", self.upstream.host()).status)
        proxy.wait_request(method="OPTIONS", path="*", action="reject")
        self.assertEqual(200, self.plain(proxy).request("OPTIONS", f"http://{self.upstream.host()}/", self.upstream.host()).status)

    def forwards(self, method, *values, host=None, fields=()):
        peer = self.plain()
        response = peer.request(method, "/hops", host or self.upstream.host(), [*(("max-forwards", value) for value in values), *fields])
        return response, peer

    def test_one_less(self):
        for method in ("OPTIONS", "TRACE"):
            for received, leaves in (("1", "0"), ("10", "9"), ("007", "6"), ("18446744073709551616", "18446744073709551614")):
                with self.subTest(method=method, received=received):
                    self.assertEqual(200, self.forwards(method, received)[0].status)
                    self.assertEqual([("max-forwards", leaves)], [field for field in self.upstream.requests[-1].fields if field[0].lower() == "max-forwards"])

    def test_passed_on_as_it_is(self):
        for method, values in (("OPTIONS", ("3", "3")), ("OPTIONS", ("0", "0")), ("TRACE", ("x",)), ("TRACE", ("-1",)), ("OPTIONS", ("1, 2",)),
                               ("OPTIONS", ("",)), ("OPTIONS", ("0x0",)), ("GET", ("0",)), ("GET", ("5",)), ("POST", ("0",)), ("trace", ("0",))):
            with self.subTest(method=method, values=values):
                self.assertEqual(200, self.forwards(method, *values)[0].status)
                self.assertEqual(list(values), self.upstream.requests[-1].all("Max-Forwards"))

    def test_options_that_end_here(self):
        for value in ("0", "000"):
            response, peer = self.forwards("OPTIONS", value)
            self.assertEqual(("HTTP/1.1 200 OK", "0", b""), (response.line, response.get("Content-Length"), response.body))
            record = self.record_of(peer)
            self.assertEqual(("INFO", "allow", 200), (record["level"], record["audit"]["action"], record["audit"]["status_code"]))
            self.assertNotIn("upstream_addr", record["audit"])
            self.assertNotIn("error", record)
            # The connection goes on, of a request with a body too.
            self.assertEqual(200, peer.request("OPTIONS", "/hops", self.upstream.host(), [("Max-Forwards", "0")], b"body").status)
            self.assertEqual(200, peer.request("OPTIONS", "*", self.upstream.host(), [("Max-Forwards", "0")]).status)
        self.assert_no_contact()

    def test_trace_that_ends_here(self):
        response, peer = self.forwards("TRACE", "0")
        self.assertEqual((405, "protocol: method not allowed here"), (response.status, response.get("X-Iron-Proxy-Reason")))
        self.assertNotIn(b"max-forwards", response.raw.lower() + response.body.lower())
        record = self.record_of(peer)
        self.assertEqual(("WARN", "reject", 405, "protocol", "method not allowed here"),
                         (record["level"], record["audit"]["action"], record["audit"]["status_code"], record["rejected_by"], record["error"]))
        self.assertIn("request_transforms", record)
        self.assertNotIn("upstream_addr", record["audit"])
        self.assertEqual(200, peer.request("GET", "/next", self.upstream.host()).status)

    def test_policy_comes_first(self):
        for method in ("OPTIONS", "TRACE"):
            self.assertEqual(403, self.forwards(method, "0", host="evil.example")[0].status)
            self.assertEqual(403, self.forwards(method, "0", host=self.upstream.host("api.test"))[0].status)
        self.assert_no_contact()


class Logins(WireTest):
    """An origin that, like one with NTLM, takes whoever speaks on a connection for the user who logged in there."""

    environment = {"NTLM_KEY": "NTLM " + KEY, "OTHER_KEY": "YII" + KEY}
    transforms = [allowlist("*.test"), secrets(
        {"source": {"type": "env", "var": "WIRE_KEY"}, "replace": {"proxy_value": TOKEN, "match_headers": ["Authorization"]}, "rules": [{"host": "up.test"}]},
        {"source": {"type": "env", "var": "NTLM_KEY"}, "inject": {"header": "Authorization"}, "rules": [{"host": "api.test"}]},
        {"source": {"type": "env", "var": "OTHER_KEY"}, "inject": {"header": "Authorization", "formatter": "negotiate {{.Value}}"}, "rules": [{"host": "b.test"}]})]

    def challenge(self, *challenges, status="401 Unauthorized", name="WWW-Authenticate"):
        return answer(b"no", status, [(name, value) for value in challenges])

    def others(self, upstream, host, count=12):
        """Connections that requests of other clients come by. Enough clients for all workers."""
        peers = [self.plain() if upstream is self.upstream else self.tls_tunnel(host) for _ in range(count)]
        for peer in peers:
            self.assertEqual(200, peer.request("GET", "/other", host).status)
        return [request.connection for request in upstream.requests if request.target == "/other"]

    def assert_own(self, upstream, peer, host, first):
        """The connection of `first` is this client's alone and ends with it."""
        self.assertNotIn(first, self.others(upstream, host))
        for number in range(2):
            self.assertEqual(200, peer.request("GET", f"/own{number}", host).status)
            self.assertIs(first, upstream.wait_request(f"/own{number}").connection)
        self.assertNotIn(first, self.others(upstream, host))
        self.assertFalse(first.ended.is_set())
        peer.close()
        self.assertTrue(first.ended.wait(DEADLINE), "it outlives its client")
        upstream.forget()

    def test_credentials_in_a_request(self):
        for upstream in (self.upstream, self.tls_upstream):
            for field in (("Authorization", "NTLM TlRMTVNTUAAB"), ("authorization", "negotiate YII"), ("Authorization", "NEGOTIATE YII"),
                          ("Proxy-Authorization", "ntlm TlRM"), ("Authorization", f"NTLM {TOKEN}")):
                with self.subTest(field=field, tls=upstream is self.tls_upstream):
                    host = upstream.host()
                    peer = self.plain() if upstream is self.upstream else self.tls_tunnel(host)
                    self.assertEqual(200, peer.request("GET", "/login", host, [field]).status)
                    self.assert_own(upstream, peer, host, upstream.wait_request("/login").connection)

    def test_credentials_that_are_injected(self):
        for name in ("api.test", "b.test"):
            with self.subTest(name):
                host = self.upstream.host(name)
                peer = self.plain()
                self.assertEqual(200, peer.request("GET", "/login", host).status)
                request = self.upstream.wait_request("/login")
                self.assertIn(KEY, request.get("Authorization"))
                self.assertNotIn(request.connection, self.others(self.upstream, host))
                self.assertEqual(200, peer.request("GET", "/own", host).status)
                self.assertIs(request.connection, self.upstream.wait_request("/own").connection)
                peer.close()
                self.assertTrue(request.connection.ended.wait(DEADLINE))
                self.upstream.forget()

    def test_challenges_in_an_answer(self):
        host = self.upstream.host()
        for challenges in (["NTLM"], ["Negotiate"], ["nTlM TlRM"], ["Basic realm=\"a, b\", Negotiate"], ["Basic realm=\"x\"", "Digest realm=\"y\"", "NTLM"]):
            for status, name in (("401 Unauthorized", "WWW-Authenticate"), ("407 Proxy Authentication Required", "Proxy-Authenticate")):
                with self.subTest(challenges=challenges, status=status):
                    self.upstream.routes["/login"] = self.challenge(*challenges, status=status, name=name)
                    peer = self.plain()
                    self.assertEqual(int(status[:3]), peer.request("GET", "/login", host).status)
                    self.assert_own(self.upstream, peer, host, self.upstream.wait_request("/login").connection)

    def test_the_whole_exchange_takes_one_connection(self):
        def route(connection, request):
            step = (request.get("Authorization") or "").partition(" ")[2]
            connection.user = getattr(connection, "user", None)
            if step == "three" and getattr(connection, "challenged", False):
                connection.user = "alice"
            if connection.user:
                return connection.send(answer(connection.user.encode()))
            connection.challenged = step == "one"
            return connection.send(self.challenge("NTLM two" if step == "one" else "NTLM"))
        self.upstream.routes["/mail"] = route
        host = self.upstream.host()
        alice = self.plain()
        self.assertEqual(401, alice.request("POST", "/mail", host, body=b"x").status)
        self.assertEqual(401, alice.request("POST", "/mail", host, [("Authorization", "NTLM one")]).status)
        self.assertEqual(200, alice.request("POST", "/mail", host, [("Authorization", "NTLM three")], b"x").status)
        self.assertEqual(b"alice", alice.request("GET", "/mail", host).body)
        self.assertEqual(1, len({id(request.connection) for request in self.upstream.requests}))
        for _ in range(12):
            self.assertEqual(401, self.plain().request("GET", "/mail", host).status)

    def test_each_host_has_its_own(self):
        peer = self.plain()
        firsts = {}
        for name in ("up.test", "other.test"):
            host = self.upstream.host(name)
            self.assertEqual(200, peer.request("GET", "/login", host, [("Authorization", "NTLM x")]).status)
            firsts[name] = self.upstream.requests[-1].connection
        self.assertIsNot(firsts["up.test"], firsts["other.test"])
        for name in ("up.test", "other.test"):
            self.assertEqual(200, peer.request("GET", "/own", self.upstream.host(name)).status)
            self.assertIs(firsts[name], self.upstream.requests[-1].connection)
        peer.close()
        for first in firsts.values():
            self.assertTrue(first.ended.wait(DEADLINE))

    def test_one_that_the_origin_ends_is_replaced(self):
        host = self.upstream.host()
        peer = self.plain()
        self.assertEqual(200, peer.request("GET", "/login", host, [("Authorization", "NTLM x")]).status)
        first = self.upstream.wait_request("/login").connection
        first.half_close()
        self.assertEqual(200, peer.request("POST", "/again", host, body=b"x").status)
        self.assertIsNot(first, self.upstream.wait_request("/again").connection)

    def test_a_websocket_takes_it(self):
        host = self.upstream.host()
        peer = self.plain()
        self.assertEqual(200, peer.request("GET", "/login", host, [("Authorization", "NTLM x")]).status)
        peer.send_request("GET", "/ws", host, [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
                                               ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")])
        self.assertEqual(200, peer.read_response().status)
        self.assertIs(self.upstream.wait_request("/login").connection, self.upstream.wait_request("/ws").connection)

    def test_other_schemes_share(self):
        """What must not change: with them connections go to whoever needs one."""
        host = self.upstream.host()
        self.upstream.routes["/login"] = self.challenge("Basic realm=\"NTLM, Negotiate\"")
        used = set()
        for _ in range(12):
            peer = self.plain()
            for fields in ([("Authorization", "Basic TlRM")], [("Authorization", "Bearer NTLM")], [("X-Authorization", "NTLM x")]):
                self.assertEqual(401, peer.request("GET", "/login", host, fields).status)
                used.add(id(self.upstream.requests[-1].connection))
            peer.close()
        self.assertLess(len(used), 12)


class Records:
    """The client's side of TLS, which tells what came in one record."""

    def __init__(self, peer, context, server_name):
        self.peer = peer
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=server_name)
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.flush()
                self.take_record()
        self.flush()

    def flush(self):
        self.peer.send(self.outgoing.read())

    def take_record(self):
        head = self.peer.read_exact(5)
        self.incoming.write(head + self.peer.read_exact(int.from_bytes(head[3:], "big")))

    def send(self, data):
        self.tls.write(data)
        self.flush()

    def next_bytes(self):
        """The plaintext of the next record that has any."""
        while True:
            self.take_record()
            try:
                return self.tls.read(1 << 16)
            except ssl.SSLWantReadError:
                continue


class Switching(WireTest):
    """A client of WebSockets takes what is behind half a head for an attack: the head of a 101 is never split over records."""

    KEY_FIELD = "dGhlIHNhbXBsZSBub25jZQ=="
    ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 section 1.3

    def check(self, size, pieces, frame):
        """The origin sends a head of `size` bytes in that many pieces, and `frame` with the last of them."""
        head = (f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {self.ACCEPT}\r\nX-Pad: ").encode()
        head += b"x" * (size - len(head) - 4) + b"\r\n\r\n"
        step = -(-size // pieces)
        done = threading.Event()

        def route(connection, request):
            for at in range(0, size, step):
                connection.send(head[at:at + step] + (frame if at + step >= size else b""))
                select.select([], [], [], 0.02)  # each piece is to come alone
            done.wait(DEADLINE)
            return "end"
        self.tls_upstream.routes["/ws"] = route
        host = self.tls_upstream.host()
        peer = Records(self.tunnel(host), self.certificates.client_context(), "up.test")
        peer.send(f"GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                  f"Sec-WebSocket-Key: {self.KEY_FIELD}\r\n\r\n".encode())
        first = peer.next_bytes()
        self.assertTrue(first.startswith(b"HTTP/1.1 101 "))
        self.assertIn(first, (head, head + frame))
        if frame and first == head:
            self.assertEqual(frame, peer.next_bytes())
        done.set()

    def test_the_head_comes_in_one_record(self):
        for size in (200, 1500, 4097, 9000, 16000, 16384):
            for pieces in (1, 3):
                for frame in (b"", b"\x81\x02hi"):
                    with self.subTest(size=size, pieces=pieces, frame=frame):
                        self.check(size, pieces, frame)


if __name__ == "__main__":
    main()
