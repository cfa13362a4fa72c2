"""A sandbox's HTTPS request leaves with the real key, and everything else about it stays as it was."""
import base64

from harness import WireTest, main
from harness.case import KEY, TOKEN, allowlist, secret, secrets
from harness.peer import connect


class MainJob(WireTest):
    transforms = [allowlist("*.test", "127.0.0.1"),
                  secrets(secret(match_query=True, match_path=True), secret(var="MISSING_KEY", token="missing-token-0123456789"))]

    def test_token_is_swapped_inside_a_tunnel(self):
        peer = self.tls_tunnel(self.tls_upstream.host())
        response = peer.request("GET", "/v1/models", self.tls_upstream.host(), [("Authorization", f"Bearer {TOKEN}")])
        self.assertEqual((200, b"ok"), (response.status, response.body))
        request = self.tls_upstream.wait_request("/v1/models")
        self.assertEqual(f"Bearer {KEY}", request.get("Authorization"))
        record = self.proxy.wait_request(path="/v1/models")
        self.assertEqual("allow", record["audit"]["action"])
        swapped = record["request_transforms"][1]["annotations"]["swapped"]
        self.assertEqual([{"secret": "WIRE_KEY", "locations": ["header:Authorization"]}], swapped)

    def test_head_goes_upstream_byte_for_byte(self):
        head = (f"GET /a%2Fb/%7e?x=%zz&y=+&z HTTP/1.1\r\nx-lower: 1\r\nHost: {self.upstream.host('UP.test')}\r\nX-UPPER:  two words \r\n"
                "Accept: */*\r\nX-Twice: a\r\nx-twice: b\r\nX-Empty:\r\nCookie: a=b; c=d\r\n\r\n")
        peer = self.plain().send(head)
        self.assertEqual(200, peer.read_response().status)
        wanted = head.replace("X-UPPER:  two words \r\n", "X-UPPER: two words\r\n").replace("X-Empty:\r\n", "X-Empty: \r\n")
        self.assertEqual(wanted.encode(), self.upstream.wait_request().raw)

    def test_answer_comes_back_byte_for_byte(self):
        answer = ("HTTP/1.1 299 Quite All Right\r\nserver: Origin/1\r\nX-b: 2\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nX-A: 1\r\n"
                  "set-cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 5\r\n\r\nhello")
        self.upstream.routes["/answer"] = answer.encode()
        peer = self.plain()
        peer.send_request("GET", "/answer", self.upstream.host())
        response = peer.read_response()
        self.assertEqual(answer.encode(), response.raw + response.body)

    def test_hop_by_hop_fields_are_removed_both_ways(self):
        self.upstream.routes["/hop"] = (b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=9\r\nX-Hop: 1\r\n"
                                        b"Proxy-Authenticate: Basic\r\nX-End: 2\r\nContent-Length: 0\r\n\r\n")
        response = self.plain().request(
            "GET", "/hop", self.upstream.host(),
            [("Connection", "close, X-Private"), ("X-Private", "1"), ("Proxy-Authorization", "Basic eA=="), ("Proxy-Connection", "keep-alive"),
             ("Keep-Alive", "1"), ("TE", "gzip"), ("X-End", "2")])
        self.assertEqual(["Host", "X-End"], self.upstream.wait_request("/hop").names())
        for name in ("Keep-Alive", "X-Hop", "Proxy-Authenticate"):
            self.assertIsNone(response.get(name))
        self.assertEqual("2", response.get("X-End"))
        self.assertEqual("close", response.get("Connection"))

    def test_date_is_appended_where_the_origin_sent_none(self):
        self.upstream.routes["/dateless"] = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 0\r\n\r\n"
        response = self.plain().request("GET", "/dateless", self.upstream.host())
        self.assertEqual(["X-A", "Content-Length", "Date"], response.names())

    def test_basic_credentials_are_opened(self):
        credentials = base64.b64encode(f"user:{TOKEN}".encode()).decode()
        self.plain().request("GET", "/basic", self.upstream.host(), [("Authorization", f"Basic {credentials}")])
        sent = self.upstream.wait_request("/basic").get("Authorization")
        self.assertEqual(f"user:{KEY}", base64.b64decode(sent.removeprefix("Basic ")).decode())

    def test_query_and_path_are_swapped_in_place(self):
        self.plain().request("GET", f"/p/{TOKEN}/%7E?b=2&a={TOKEN}&bad=%zz&c", self.upstream.host())
        self.assertEqual(f"/p/{KEY}/%7E?b=2&a={KEY}&bad=%zz&c", self.upstream.wait_request().target)
        record = self.proxy.wait_request(path=f"/p/{TOKEN}/~")
        self.assertEqual(["path", "query:a"], sorted(record["request_transforms"][1]["annotations"]["swapped"][0]["locations"]))

    def test_missing_variable_leaves_the_token(self):
        token = "missing-token-0123456789"
        response = self.plain().request("GET", "/missing", self.upstream.host(), [("Authorization", token)])
        self.assertEqual(200, response.status)
        self.assertEqual(token, self.upstream.wait_request("/missing").get("Authorization"))
        record = self.proxy.wait_request(path="/missing")
        self.assertEqual(["MISSING_KEY"], record["request_transforms"][1]["annotations"]["secret_unavailable"])

    def test_connect_to_a_denied_host(self):
        peer = self.plain(listener="tunnel")
        peer.send_request("CONNECT", "evil.example:443", "evil.example:443")
        self.assertEqual(b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n", peer.read_to_end())
        record = self.proxy.wait_request(host="evil.example:443")
        self.assertEqual(("CONNECT", "reject", 403, "allowlist", "evil.example"),
                         (record["audit"]["method"], record["audit"]["action"], record["audit"]["status_code"], record["rejected_by"], record["audit"]["sni"]))
        self.assertEqual(403, self.proxy.wait_record("tunnel short-circuited by transform")["status"])

    def test_denied_request_inside_a_tunnel(self):
        peer = self.tls_tunnel(self.tls_upstream.host())
        response = peer.request("GET", "/in", self.tls_upstream.host("up.test"), [])
        self.assertEqual(200, response.status)
        plain = self.tunnel(self.upstream.host())
        response = plain.request("GET", "/denied", "evil.example")
        self.assertEqual((403, b""), (response.status, response.body))
        self.assertEqual(["Content-Type", "Date", "Content-Length"], response.names())
        self.assertEqual("text/plain", response.get("Content-Type"))
        record = self.proxy.wait_request(path="/denied")
        self.assertEqual(self.upstream.host(), record["tunnel"]["target"])
        self.assertEqual("allowlist", record["rejected_by"])

    def test_refused_upstream_is_502(self):
        closed = connect(self.proxy.http)
        port = closed.sock.getsockname()[1]  # in use by us, nobody listens
        self.addCleanup(closed.close)
        response = self.plain().request("GET", "/refused", f"up.test:{port}")
        self.assertEqual((502, b"bad gateway\n"), (response.status, response.body))
        self.assertEqual(["Content-Type", "X-Content-Type-Options", "Date", "Content-Length"], response.names())
        record = self.proxy.wait_request(path="/refused")
        self.assertEqual(f"dial tcp 127.0.0.1:{port}: connect: connection refused", record["error"])

    def test_untrusted_upstream_certificate_gets_no_request(self):
        peer = self.tls_tunnel(self.tls_upstream.host("slow.test"))
        self.tls_upstream.context = self.certificates.server_context("wrongname")
        self.addCleanup(setattr, self.tls_upstream, "context", self.certificates.server_context())
        response = peer.request("GET", "/wrong", self.tls_upstream.host("slow.test"), [("Authorization", TOKEN)])
        self.assertEqual(502, response.status)
        record = self.proxy.wait_request(path="/wrong")
        self.assertEqual("tls: failed to verify certificate: x509: certificate is valid for else.example, not slow.test", record["error"])
        self.assertEqual([], self.tls_upstream.requests)

    def test_record_of_a_tunnelled_request(self):
        peer = self.tls_tunnel(self.tls_upstream.host())
        self.tls_upstream.routes["/record"] = b"HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nabc"
        peer.request("POST", "/record?q=secret", self.tls_upstream.host(), body=b"12345")
        client = "%s:%d" % peer.sock.getsockname()
        record = self.proxy.wait_request(path="/record")
        self.assertEqual(["time", "level", "msg", "audit", "tunnel", "request_transforms", "response_transforms"], list(record))
        audit = record["audit"]
        self.assertEqual(["host", "method", "path", "remote_addr", "sni", "mode", "action", "status_code", "duration_ms", "request_bytes",
                          "response_bytes", "upstream_addr", "upstream_ms", "tls", "id"], list(audit))
        self.assertEqual({"host": self.tls_upstream.host(), "method": "POST", "path": "/record", "remote_addr": client, "sni": "up.test",
                          "mode": "mitm", "action": "allow", "status_code": 201, "request_bytes": 5, "response_bytes": 3,
                          "upstream_addr": f"127.0.0.1:{self.tls_upstream.port}", "tls": {"version": "1.3", "resumed": False}},
                         {key: value for key, value in audit.items() if key not in ("duration_ms", "upstream_ms", "id")})
        self.assertRegex(audit["id"], "^[0-9a-f]{16}$")
        self.assertEqual({"target": self.tls_upstream.host()}, {k: v for k, v in record["tunnel"].items() if k == "target"})
        self.assertEqual(["allowlist", "secrets"], [entry["name"] for entry in record["tunnel"]["request_transforms"]])

    def test_bytes_with_the_connect_head_belong_to_the_tunnel(self):
        host = self.upstream.host()
        peer = self.plain(listener="tunnel")
        peer.send(f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\nGET /early HTTP/1.1\r\nHost: {host}\r\n\r\n")
        self.assertEqual(b"HTTP/1.1 200 Connection Established\r\n\r\n", peer.read_until(b"\r\n\r\n"))
        self.assertEqual(200, peer.read_response().status)
        self.upstream.wait_request("/early")

    def test_host_without_port_means_the_tunnels_port(self):
        peer = self.tls_tunnel(self.tls_upstream.host())
        self.assertEqual(200, peer.request("GET", "/portless", "up.test").status)
        self.assertEqual("up.test", self.tls_upstream.wait_request("/portless").get("Host"))

    def test_ip_literal_over_tls(self):
        target = f"127.0.0.1:{self.tls_upstream.port}"
        peer = self.tls_tunnel(target)
        self.assertEqual(200, peer.request("GET", "/literal", target).status)
        record = self.proxy.wait_request(path="/literal")
        self.assertEqual("", record["audit"]["sni"])

    def test_record_survives_hostile_bytes(self):
        self.plain().send(b"GET /\xff\xfe%00%0a%1b%22%e2%80%a8 HTTP/1.1\r\nHost: " + self.upstream.host().encode() + b"\r\nX: \xff\r\n\r\n").read_response()
        record = self.proxy.wait_record("request", lambda r: r["audit"]["path"].startswith("/\ufffd"))
        self.assertEqual("/\ufffd\ufffd\0\n\x1b\"\u2028", record["audit"]["path"])


if __name__ == "__main__":
    main()
