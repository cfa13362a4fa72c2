"""Exactly one framing: raw bytes in, exact bytes out, and nothing reaches the origin."""
import functools
import threading
import urllib.parse

from harness import DEADLINE, WireTest, main
from harness.case import refusal
from harness.peer import Closed
from harness.upstream import answer

BAD = refusal("400 Bad Request")
BAD_NAME = refusal("400 Bad Request: invalid header name")
NO_HOST = refusal("400 Bad Request: missing required Host header")
BAD_HOST = refusal("400 Bad Request: malformed Host header")
UNSUPPORTED_CODING = refusal("501 Not Implemented", "Unsupported transfer encoding")
UNSUPPORTED_VERSION = refusal("505 HTTP Version Not Supported: unsupported protocol version")
SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: up.test\r\n\r\n"

# What follows the request line; HOST stands for the origin.
HEADS = {
    "length_and_chunked": ("POST / HTTP/1.1", "Host: HOST\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD),
    "chunked_and_length": ("POST / HTTP/1.1", "Host: HOST\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", BAD),
    "chunked_in_http_1_0": ("POST / HTTP/1.0", "Host: HOST\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD),
    "coding_gzip": ("POST / HTTP/1.1", "Host: HOST\r\nTransfer-Encoding: gzip\r\n\r\n", UNSUPPORTED_CODING),
    "coding_list": ("POST / HTTP/1.1", "Host: HOST\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", UNSUPPORTED_CODING),
    "coding_identity": ("POST / HTTP/1.1", "Host: HOST\r\nTransfer-Encoding: identity\r\n\r\n", UNSUPPORTED_CODING),
    "coding_twice": ("POST / HTTP/1.1", "Host: HOST\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", UNSUPPORTED_CODING),
    "coding_with_vertical_tab": ("POST / HTTP/1.1", "Host: HOST\r\nTransfer-Encoding: \vchunked\r\n\r\n", BAD),
    "length_twice": ("POST / HTTP/1.1", "Host: HOST\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab", BAD),
    "length_list": ("POST / HTTP/1.1", "Host: HOST\r\nContent-Length: 2, 2\r\n\r\nab", BAD),
    "length_differs": ("POST / HTTP/1.1", "Host: HOST\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", BAD),
    "length_plus": ("POST / HTTP/1.1", "Host: HOST\r\nContent-Length: +2\r\n\r\nab", BAD),
    "length_minus": ("POST / HTTP/1.1", "Host: HOST\r\nContent-Length: -2\r\n\r\n", BAD),
    "length_hex": ("POST / HTTP/1.1", "Host: HOST\r\nContent-Length: 0x2\r\n\r\nab", BAD),
    "length_underscore": ("POST / HTTP/1.1", "Host: HOST\r\nContent-Length: 1_0\r\n\r\n", BAD),
    "length_empty": ("POST / HTTP/1.1", "Host: HOST\r\nContent-Length:\r\n\r\n", BAD),
    "length_huge": ("POST / HTTP/1.1", "Host: HOST\r\nContent-Length: 9223372036854775808\r\n\r\n", BAD),
    "folded_line": ("GET / HTTP/1.1", "Host: HOST\r\nX: a\r\n b\r\n\r\n", BAD),
    "folded_line_tab": ("GET / HTTP/1.1", "Host: HOST\r\nX: a\r\n\tb\r\n\r\n", BAD),
    "folded_first_line": ("GET / HTTP/1.1", " Host: HOST\r\nHost: HOST\r\n\r\n", BAD),
    "bare_cr_in_value": ("GET / HTTP/1.1", "Host: HOST\r\nX: a\rb\r\n\r\n", BAD),
    "bare_lf_after_field": ("GET / HTTP/1.1", "Host: HOST\r\nX: a\nY: b\r\n\r\n", BAD),
    "bare_lf_at_the_end": ("GET / HTTP/1.1", "Host: HOST\r\n\n", BAD),
    "nul_in_value": ("GET / HTTP/1.1", "Host: HOST\r\nX: a\0b\r\n\r\n", BAD),
    "control_in_value": ("GET / HTTP/1.1", "Host: HOST\r\nX: a\x01b\r\n\r\n", BAD),
    "blank_before_colon": ("GET / HTTP/1.1", "Host: HOST\r\nX : a\r\n\r\n", BAD_NAME),
    "blank_before_colon_of_length": ("POST / HTTP/1.1", "Host: HOST\r\nContent-Length : 5\r\n\r\nabcde", BAD_NAME),
    "no_colon": ("GET / HTTP/1.1", "Host: HOST\r\nnonsense\r\n\r\n", BAD),
    "empty_name": ("GET / HTTP/1.1", "Host: HOST\r\n: a\r\n\r\n", BAD),
    "high_byte_in_name": ("GET / HTTP/1.1", "Host: HOST\r\nX\xe9: a\r\n\r\n", BAD),
    "two_hosts": ("GET / HTTP/1.1", "Host: HOST\r\nHost: HOST\r\n\r\n", BAD),
    "no_host": ("GET / HTTP/1.1", "X: a\r\n\r\n", NO_HOST),
    "no_host_absolute_form": ("GET http://HOST/ HTTP/1.1", "X: a\r\n\r\n", NO_HOST),
    "no_version": ("GET /", "Host: HOST\r\n\r\n", BAD),
    "two_blanks": ("GET  / HTTP/1.1", "Host: HOST\r\n\r\n", BAD),
    "blank_in_target": ("GET /a b HTTP/1.1", "Host: HOST\r\n\r\n", BAD),
    "tab_in_line": ("GET\t/ HTTP/1.1", "Host: HOST\r\n\r\n", BAD),
    "lower_case_version": ("GET / http/1.1", "Host: HOST\r\n\r\n", BAD),
    "version_1_2": ("GET / HTTP/1.2", "Host: HOST\r\n\r\n", BAD),
    "version_2_0": ("GET / HTTP/2.0", "Host: HOST\r\n\r\n", UNSUPPORTED_VERSION),
    "version_without_dot": ("GET / HTTP/11", "Host: HOST\r\n\r\n", BAD),
    "method_with_bracket": ("G(T / HTTP/1.1", "Host: HOST\r\n\r\n", BAD),
    "leading_empty_line": ("\r\nGET / HTTP/1.1", "Host: HOST\r\n\r\n", BAD),
    "bare_lf_after_line": ("GET / HTTP/1.1\nX: a", "Host: HOST\r\n\r\n", BAD),
    "control_in_target": ("GET /a\x01b HTTP/1.1", "Host: HOST\r\n\r\n", BAD),
    "bad_escape": ("GET /a%zz HTTP/1.1", "Host: HOST\r\n\r\n", BAD),
    "fragment": ("GET /a#b HTTP/1.1", "Host: HOST\r\n\r\n", BAD),
    "relative_target": ("GET foo HTTP/1.1", "Host: HOST\r\n\r\n", BAD),
    "asterisk_get": ("GET * HTTP/1.1", "Host: HOST\r\n\r\n", BAD),
    "absolute_userinfo": ("GET http://user@HOST/ HTTP/1.1", "Host: HOST\r\n\r\n", BAD_HOST),
    "host_userinfo": ("GET / HTTP/1.1", "Host: a@up.test\r\n\r\n", BAD_HOST),
    "host_blank": ("GET / HTTP/1.1", "Host: up.test evil.test\r\n\r\n", BAD_HOST),
    "host_slash": ("GET / HTTP/1.1", "Host: up.test/x\r\n\r\n", BAD_HOST),
    "host_percent": ("GET / HTTP/1.1", "Host: up%2etest\r\n\r\n", BAD_HOST),
    "host_list": ("GET / HTTP/1.1", "Host: up.test, evil.test\r\n\r\n", BAD_HOST),
    "host_port_0": ("GET / HTTP/1.1", "Host: up.test:0\r\n\r\n", BAD_HOST),
    "host_port_65536": ("GET / HTTP/1.1", "Host: up.test:65536\r\n\r\n", BAD_HOST),
    "host_port_text": ("GET / HTTP/1.1", "Host: up.test:http\r\n\r\n", BAD_HOST),
    "host_ipv6_bare": ("GET / HTTP/1.1", "Host: ::1\r\n\r\n", BAD_HOST),
    "host_ipv6_zone": ("GET / HTTP/1.1", "Host: [fe80::1%25lo]\r\n\r\n", BAD_HOST),
    "host_high_byte": ("GET / HTTP/1.1", "Host: \xfcp.test\r\n\r\n", BAD_HOST),
}


class Framing(WireTest):
    config = {"management": {"listen": "127.0.0.1:0", "api_key_env": "WIRE_MANAGEMENT"}}
    environment = {"WIRE_MANAGEMENT": "wire-management-key"}

    def refused(self, peer, name, number):
        line, rest, wanted = HEADS[name]
        host = self.upstream.host()
        peer.send((line + "\r\n" + rest).replace("HOST", host) + SMUGGLED.replace("up.test", host))
        self.assertEqual(wanted, peer.read_to_end())

    def test_refused_on_the_plain_port(self):
        for number, name in enumerate(HEADS):
            with self.subTest(name):
                self.refused(self.plain(source=f"127.1.0.{number + 1}"), name, number)
        self.assert_no_contact()

    def test_refused_inside_a_tunnel(self):
        for number, name in enumerate(HEADS):
            if HEADS[name][0].startswith(("\r", "G(T")):
                continue  # in a tunnel the first byte decides before HTTP does
            with self.subTest(name):
                peer = self.plain(listener="tunnel", source=f"127.1.1.{number + 1}")
                peer.send_request("CONNECT", self.upstream.host(), "x")
                peer.read_until(b"\r\n\r\n")
                self.refused(peer, name, number)
        self.assert_no_contact()

    def test_refused_on_the_other_listeners(self):
        for listener in ("metrics", "management"):
            for name, (line, rest, wanted) in HEADS.items():
                with self.subTest(f"{listener} {name}"):
                    peer = self.plain(listener=listener).send((line + "\r\n" + rest).replace("HOST", "up.test") + SMUGGLED)
                    if name == "absolute_userinfo":  # their pages are the same for all hosts
                        self.assertEqual([404, 404], [peer.read_response().status for _ in range(2)])
                    else:
                        self.assertEqual(wanted, peer.read_to_end())

    def test_refused_inside_tls(self):
        for name in ("length_and_chunked", "two_hosts", "folded_line", "bare_lf_after_field", "bad_escape"):
            with self.subTest(name):
                line, rest, wanted = HEADS[name]
                peer = self.tls_tunnel(self.tls_upstream.host())
                peer.send((line + "\r\n" + rest).replace("HOST", self.tls_upstream.host()))
                self.assertEqual(wanted, peer.read_to_end())
        self.assert_no_contact(self.tls_upstream, self.upstream)

    def test_scheme_on_plain_connections(self):
        for scheme in ("https", "ftp", "httpx"):
            peer = self.plain(source="127.1.2.1")
            peer.send_request("GET", f"{scheme}://{self.upstream.host()}/", self.upstream.host())
            self.assertEqual(BAD, peer.read_to_end())
        self.assert_no_contact()

    def test_expect(self):
        peer = self.plain(source="127.1.3.1")
        peer.send_request("POST", "/", self.upstream.host(), [("Expect", "magic"), ("Content-Length", "2")])
        response = peer.read_response_head()
        self.assertEqual("HTTP/1.1 417 Expectation Failed", response.line)
        self.assertEqual({"Connection": "close", "Content-Length": "0"}, {k: v for k, v in response.fields if k != "Date"})
        self.assertEqual(b"", peer.read_to_end())
        self.assert_no_contact()

    def test_empty_host(self):
        response = self.plain(source="127.1.3.2").request("GET", "/", "")
        self.assertEqual((400, b"missing Host header\n"), (response.status, response.body))
        self.assert_no_contact()

    def test_dot_segments(self):
        peer = self.plain(source="127.1.4.1")
        targets = ("/a/../b", "/..", "/a/%2e/b", "/a/./%2e%2e/b", "/a/./../b", "/a/%2e%2e/b", "/a/.%2E/b", "/a%2F..%2Fb", "/a/%252e%252e/b", "/a\\..\\b", "/a%5C..%5Cb",
                   "/a%255c..%255cb", "/a/..%2fb", "/a/./%2E", "/a/%252e/b", "/a%2F./b", "/a/.%2Fb", "/a\\./b", "/a/.\\b", "/a%5C./b", "/a/./b%255c.")
        for target in targets:
            with self.subTest(target):
                response = peer.request("GET", target, self.upstream.host())
                self.assertEqual((400, b"path contains dot segments\n"), (response.status, response.body))
                self.assertEqual(["Content-Type", "X-Content-Type-Options", "Date", "Content-Length"], response.names())
        self.assertEqual(200, peer.request("GET", "/a/.../b?x=/../", self.upstream.host()).status)
        self.assertEqual(["/a/.../b?x=/../"], self.upstream.targets())

    def test_literal_dots_go_upstream_as_they_are(self):
        peer = self.plain(source="127.1.4.2")
        targets = ("/./x.deb", "/a/./b", "/.", "/a/.", "/./", "/a/././b/./", "/a%2Fb/./%63?x=/./", "/a//.//b")
        for target in targets:
            with self.subTest(target):
                mark = self.proxy.mark()
                self.assertEqual(200, peer.request("GET", target, self.upstream.host()).status)
                path = urllib.parse.unquote(target.partition("?")[0])
                self.assertEqual("allow", self.proxy.wait_request(mark, path=path)["audit"]["action"])
        form = f"http://{self.upstream.host()}/a/./b"
        self.assertEqual(200, peer.request("GET", form, self.upstream.host()).status)
        self.assertEqual([*targets, "/a/./b"], self.upstream.targets())

    def test_malformed_chunks_never_become_a_request(self):
        for number, body in enumerate(("0x5\r\nhello\r\n0\r\n\r\n", "+5\r\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n", "5\nhello\r\n0\r\n\r\n",
                                       "5\r\nhello0\r\n\r\n", "5\r\nhelloXX0\r\n\r\n", "5;a\nb\r\nhello\r\n0\r\n\r\n", "\r\n0\r\n\r\n", "g\r\n\r\n",
                                       "11111111111111111\r\n", "5;" + "x" * 5000 + "\r\nhello\r\n0\r\n\r\n")):
            with self.subTest(body=body[:20]):
                peer = self.plain(source=f"127.1.5.{number + 1}")
                peer.send_request("POST", "/chunks", self.upstream.host(), [("Transfer-Encoding", "chunked")])
                peer.send(body + SMUGGLED.replace("up.test", self.upstream.host()))
                response = peer.read_response_head()
                self.assertIn(response.status, (400, 502))
                peer.read_to_end()
        self.assertNotIn("/smuggled", self.upstream.targets())
        self.assertNotIn("/chunks", self.upstream.targets())

    def test_pipelined_requests_are_judged_one_by_one(self):
        host = self.upstream.host()
        peer = self.plain().send("".join(f"GET /{n} HTTP/1.1\r\nHost: {h}\r\n\r\n" for n, h in ((1, host), (2, "evil.example"), (3, host))))
        self.assertEqual([200, 403, 200], [peer.read_response().status for _ in range(3)])
        self.assertEqual(["/1", "/3"], self.upstream.targets())

    def test_one_byte_at_a_time(self):
        host = self.upstream.host()
        peer = self.plain()
        for byte in f"POST /slow HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: 1\r\n\r\n".encode():
            peer.send(bytes([byte]))
        self.assertEqual(200, peer.read_response().status)
        self.assertEqual(b"hello", self.upstream.wait_request("/slow").body)

    def test_records_of_refusals(self):
        cases = (("length_and_chunked", "malformed request", 400), ("host_slash", "malformed Host header", 400), ("no_host", "missing Host header", 400),
                 ("coding_gzip", "unsupported transfer encoding", 501), ("version_2_0", "unsupported protocol version", 505))
        for number, (name, error, status) in enumerate(cases):
            with self.subTest(name):
                peer = self.plain(source=f"127.1.6.{number + 1}")
                client = "%s:%d" % peer.sock.getsockname()
                self.refused(peer, name, number)
                record = self.proxy.wait_request(remote_addr=client)
                self.assertEqual(("WARN", "reject", status, "protocol", error),
                                 (record["level"], record["audit"]["action"], record["audit"]["status_code"], record["rejected_by"], record["error"]))

    def test_records_of_refusals_are_limited(self):
        for _ in range(40):
            peer = self.plain(source="127.1.7.1")
            peer.send_request("GET", "/a b", "x")
            peer.read_to_end()
        record = self.proxy.wait_record("refusals not recorded", lambda r: r["remote_addr"] == "127.1.7.1")
        written = [r for r in self.proxy.records("request") if r["audit"]["remote_addr"].startswith("127.1.7.1:")]
        self.assertGreaterEqual(record["count"] + len(written), 40)
        self.assertTrue(10 <= len(written) < 40, f"{len(written)} records")
        self.assertGreater(record["count"], 0)


FAULTY_ANSWERS = {
    "both_framings": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "length_twice": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "length_list": "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
    "length_bad": "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nok",
    "coding_gzip": "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
    "folded": "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
    "bare_lf": "HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok",
    "bare_cr": "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\nok",
    "nul": "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok",
    "no_colon": "HTTP/1.1 200 OK\r\nFoo Bar\r\nContent-Length: 2\r\n\r\nok",
    "status_below_100": "HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\nok",
    "status_of_four_digits": "HTTP/1.1 1000 Odd\r\nContent-Length: 2\r\n\r\nok",
    "http_2": "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "not_http": "SSH-2.0-OpenSSH_9\r\n\r\n",
    "unasked_101": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
    "seventeen_interim": "HTTP/1.1 103 Early Hints\r\n\r\n" * 17 + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "nothing": "",
}


class AnswerFraming(WireTest):
    def test_faulty_answers_are_502(self):
        for name, text in FAULTY_ANSWERS.items():
            with self.subTest(name):
                def route(connection, request, text=text):
                    connection.send(text)
                    return "end"
                self.upstream.routes["/" + name] = route
                response = self.plain().request("GET", "/" + name, self.upstream.host())
                self.assertEqual((502, b"bad gateway\n"), (response.status, response.body))
                record = self.proxy.wait_request(path="/" + name)
                self.assertEqual(("error", 502), (record["audit"]["action"], record["audit"]["status_code"]))

    def test_leftover_bytes_are_not_the_next_answer(self):
        self.upstream.routes["/extra"] = answer(b"ok") + answer(b"poison")
        peer = self.plain()
        self.assertEqual(b"ok", peer.request("GET", "/extra", self.upstream.host()).body)
        self.assertEqual(b"ok", peer.request("GET", "/next", self.upstream.host()).body)

    def test_cut_bodies_stay_visibly_cut(self):
        cut = {"length": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
               "bad_chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"}
        for name, data in cut.items():
            for end in ("close", "reset"):
                with self.subTest(name=name, end=end):
                    client_has_the_head = threading.Event()
                    self.upstream.routes["/" + name] = functools.partial(self.cut_answer, data, end, client_has_the_head)
                    peer = self.plain()
                    peer.send_request("GET", "/" + name, self.upstream.host())
                    self.assertEqual(200, peer.read_response_head().status)
                    client_has_the_head.set()
                    rest = peer.read_to_end()
                    self.assertFalse(rest.endswith(b"0\r\n\r\n"), rest)
                    self.proxy.wait_request(path="/" + name, action="allow", status_code=200)
                    self.proxy.wait_record("response body copy error")

    @staticmethod
    def cut_answer(data, end, gate, connection, request):
        connection.send(data)
        gate.wait(DEADLINE)
        if request.target == "/bad_chunk":
            connection.send("zz\r\n")
        getattr(connection, end)()
        return "end"

    def test_a_body_faulty_from_its_first_byte(self):
        self.upstream.routes["/faulty"] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
        peer = self.plain()
        peer.send_request("GET", "/faulty", self.upstream.host())
        status = peer.read_response_head().status  # an answer, cut or 502, but never silence
        self.assertEqual(status, self.proxy.wait_request(path="/faulty")["audit"]["status_code"])
        if status == 200:
            self.assertFalse(peer.read_to_end().endswith(b"0\r\n\r\n"))

    def test_framing_is_kept(self):
        self.upstream.routes["/chunked"] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        self.upstream.routes["/length"] = answer(b"hello")

        def until_close(connection, request):
            connection.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
            return "end"
        self.upstream.routes["/close"] = until_close
        peer = self.plain()
        for target, framing in (("/chunked", "chunked"), ("/length", None), ("/close", "chunked")):
            response = peer.request("GET", target, self.upstream.host())
            self.assertEqual((b"hello", framing), (response.body, response.get("Transfer-Encoding")))
        self.assertIsNone(peer.request("GET", "/chunked", self.upstream.host()).get("Content-Length"))

    def test_http_1_0_client(self):
        self.upstream.routes["/chunked"] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        peer = self.plain()
        response = peer.request("GET", "/chunked", self.upstream.host(), version="HTTP/1.0")
        self.assertEqual((b"hello", None, None), (response.body, response.get("Transfer-Encoding"), response.get("Content-Length")))
        with self.assertRaises(Closed):
            peer.read_exact(1)

    def test_http_1_0_keep_alive(self):
        peer = self.plain()
        for _ in range(2):
            response = peer.request("GET", "/ten", self.upstream.host(), [("Connection", "keep-alive")], version="HTTP/1.0")
            self.assertEqual((b"ok", "keep-alive"), (response.body, response.get("Connection")))


if __name__ == "__main__":
    main()
