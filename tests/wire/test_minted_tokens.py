"""Tokens that the proxy asks for: OAuth's grants, service accounts, ID tokens; what the endpoint does to them; signed requests."""
import base64
import gzip
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import tempfile
import threading
import urllib.parse

from harness import WireTest, main
from harness.case import allowlist
from harness.parent import Parent
from harness.upstream import Upstream, answer

SECRET = "client-secret-" + "5d0c9a7be1f2"
HEADER = "hdr-v"
MINTED = "minted-token-" + "83fbc05d6a1e"
STUB = b'{"access_token":"iron-proxy-stub-token","expires_in":3600,"token_type":"Bearer"}'


def env(name):
    return {"type": "env", "var": name}


def json_answer(body, status="200 OK", fields=()):
    return answer(json.dumps(body).encode(), status, [("Content-Type", "application/json"), *fields])


class TokenTest(WireTest):
    environment = {"CLIENT_ID": "the client", "CLIENT_SECRET": SECRET, "HEADER": HEADER}
    starts_proxy = False
    gives_keys = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.endpoint = Upstream()
        cls.addClassCleanup(cls.endpoint.close)
        cls.tls_endpoint = Upstream(cls.certificates.server_context())
        cls.addClassCleanup(cls.tls_endpoint.close)
        cls.directory = tempfile.mkdtemp(prefix="iron-tokens-")
        cls.addClassCleanup(shutil.rmtree, cls.directory, ignore_errors=True)

    def setUp(self):
        super().setUp()
        self.minted = 0
        for origin in (self.endpoint, self.tls_endpoint):
            origin.forget()
            origin.default = self.mint

    def mint(self, connection, request):
        self.minted += 1
        connection.send(json_answer({"access_token": f"{MINTED}-{self.minted}", "expires_in": 3600}))

    def entry(self, **more):
        return {"grant": "client_credentials", "token_endpoint": f"http://127.0.0.1:{self.endpoint.port}/oauth/token?tenant=9",
                "client_id": env("CLIENT_ID"), "client_secret": env("CLIENT_SECRET"), "rules": [{"host": "*.test"}]} | more

    def start(self, *transforms, over=None, **options):
        proxy = self.own_proxy({"transforms": [allowlist("*"), *transforms], **(over or {})}, **options)
        self.addCleanup(self.assert_no_key, proxy)
        return proxy

    def assert_no_key(self, proxy):
        for value in (SECRET, MINTED):
            self.assertNotIn(value, proxy.text())

    def start_oauth(self, **entry):
        return self.start({"name": "oauth_token", "config": {"tokens": [self.entry(**entry)]}})

    def ask(self, proxy, target="/", fields=(("Authorization", "Bearer of-the-client"),)):
        return self.plain(proxy).request("GET", target, self.upstream.host(), fields)

    def authorization(self):
        return self.upstream.requests[-1].get("Authorization")


class OauthToken(TokenTest):
    def test_the_request_byte_for_byte(self):
        proxy = self.start_oauth(scopes=["a.read", "b&c"], token_endpoint_headers={"x-api-key": env("HEADER")})
        self.assertEqual(200, self.ask(proxy).status)
        self.assertEqual(f"Bearer {MINTED}-1", self.authorization())
        sent = self.endpoint.wait_request()
        body = f"client_id=the+client&client_secret={SECRET}&grant_type=client_credentials&scope=a.read+b%26c".encode()
        self.assertEqual((f"POST /oauth/token?tenant=9 HTTP/1.1\r\nHost: 127.0.0.1:{self.endpoint.port}\r\n"
                          f"User-Agent: Go-http-client/1.1\r\nContent-Length: {len(body)}\r\n"
                          "Content-Type: application/x-www-form-urlencoded\r\nX-Api-Key: hdr-v\r\n"
                          "Accept-Encoding: gzip\r\n\r\n").encode(), sent.raw)
        self.assertEqual(body, sent.body)
        self.assertEqual(200, self.ask(proxy).status)
        self.assertEqual(1, len(self.endpoint.requests))
        record = proxy.wait_record("request", count=2)
        self.assertEqual({"grant": "client_credentials", "injected": ["header:Authorization"]},
                         record["request_transforms"][1]["annotations"])

    def test_over_tls_with_an_encoded_answer(self):
        def mint(connection, request):
            body = gzip.compress(json.dumps({"access_token": MINTED}).encode())
            connection.send(answer(body, fields=[("Content-Type", "application/json"), ("Content-Encoding", "gzip")]))
        self.tls_endpoint.default = mint
        proxy = self.start_oauth(token_endpoint=f"https://127.0.0.1:{self.tls_endpoint.port}/t")
        self.assertEqual(200, self.ask(proxy).status)
        self.assertEqual(f"Bearer {MINTED}", self.authorization())

    def test_whom_the_call_trusts(self):
        entry = self.entry(token_endpoint=f"https://127.0.0.1:{self.tls_endpoint.port}/t")
        proxy = self.start({"name": "oauth_token", "config": {"tokens": [entry]}}, env={"SSL_CERT_FILE": self.certificates.path("mitm.crt")})
        self.assertEqual(502, self.ask(proxy).status)
        told = proxy.wait_record("oauth_token mint failed")
        self.assertEqual(("mint_failed", "WARN"), (told["reason"], told["level"]))
        self.assertIn("x509: certificate signed by unknown authority", told["error"])
        self.assertEqual([], self.tls_endpoint.requests)

    def test_the_system_looks_its_hosts_up(self):
        proxy = self.start_oauth(token_endpoint=f"https://{self.tls_endpoint.host()}/t")
        self.assertEqual(502, self.ask(proxy).status)
        self.assertIn("lookup up.test", proxy.wait_record("oauth_token mint failed")["error"])

    def test_by_way_of_a_parent(self):
        """As the environment says, whatever proxy.upstream_proxy does; what is on this machine is reached directly."""
        for kind, variable, scheme, endpoint in (("http", "HTTP_PROXY", "http", self.endpoint), ("http", "https_proxy", "https", self.tls_endpoint),
                                                 ("socks5", "HTTPS_PROXY", "https", self.tls_endpoint), ("socks5h", "HTTP_PROXY", "http", self.endpoint)):
            with self.subTest(kind=kind, scheme=scheme):
                parent = Parent(kind)
                self.addCleanup(parent.close)
                entry = self.entry(token_endpoint=f"{scheme}://up.test:{endpoint.port}/t")
                proxy = self.start({"name": "oauth_token", "config": {"tokens": [entry]}}, env={variable: parent.url("user:the-password-of-it")})
                got = self.ask(proxy)
                if kind == "socks5" and got.status == 502:
                    # This parent wants addresses, and the system knows none for the name.
                    self.assertIn("lookup up.test", proxy.wait_record("oauth_token mint failed")["error"])
                    continue
                self.assertEqual(200, got.status)
                self.assertEqual(1, len(parent.seen))
                if kind == "http":
                    head = parent.seen[0]
                    port = endpoint.port
                    self.assertEqual(f"POST http://up.test:{port}/t HTTP/1.1" if scheme == "http" else f"CONNECT up.test:{port} HTTP/1.1", head.line)
                    self.assertEqual("Basic " + base64.b64encode(b"user:the-password-of-it").decode(), head.get("Proxy-Authorization"))
                self.assertNotIn("the-password-of-it", proxy.text())
        parent = Parent()
        self.addCleanup(parent.close)
        proxy = self.start({"name": "oauth_token", "config": {"tokens": [self.entry()]}}, env={"HTTP_PROXY": parent.url(), "HTTPS_PROXY": parent.url()})
        self.assertEqual(200, self.ask(proxy).status)
        self.assertEqual([], parent.seen)

    def test_a_form_for_an_answer(self):
        def mint(connection, request):
            connection.send(answer(f"access_token={MINTED}&expires_in=x".encode(),
                                   fields=[("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")]))
        self.endpoint.default = mint
        proxy = self.start_oauth()
        for _ in range(2):
            self.assertEqual(200, self.ask(proxy).status)
            self.assertEqual(f"Bearer {MINTED}", self.authorization())
        self.assertEqual(1, len(self.endpoint.requests))

    def test_redirects(self):
        def serve(connection, request):
            if request.target == "/see":
                connection.send(answer(b"", "303 See Other", [("Location", "/got?x=1")]))
            elif request.target == "/again":
                connection.send(answer(b"", "307 Temporary Redirect", [("Location", f"http://127.0.0.1:{self.endpoint.port}/posted")]))
            elif request.target == "/round":
                connection.send(answer(b"", "302 Found", [("Location", "/round")]))
            else:
                self.mint(connection, request)
        self.endpoint.default = serve
        base = f"http://127.0.0.1:{self.endpoint.port}"
        for target, method, last, length in (("/see", "GET", "/got?x=1", 0), ("/again", "POST", "/posted", 91)):
            proxy = self.start_oauth(token_endpoint=base + target)
            self.assertEqual(200, self.ask(proxy).status)
            sent = self.endpoint.requests[-1]
            self.assertEqual((method, last, length), (sent.method, sent.target, len(sent.body)))
        self.endpoint.forget()
        self.endpoint.default = serve
        proxy = self.start_oauth(token_endpoint=base + "/round")
        self.assertEqual(502, self.ask(proxy).status)
        self.assertIn("stopped after 10 redirects", proxy.wait_record("oauth_token mint failed")["error"])
        self.assertEqual(11, len(self.endpoint.requests))

    def test_keys_in_fields_stay_with_their_host(self):
        for port, shown in ((self.endpoint.port, HEADER), (self.upstream.port, None)):
            def serve(connection, request, port=port):
                if request.target == "/once":
                    self.mint(connection, request)
                else:
                    connection.send(answer(b"", "307 Temporary Redirect", [("Location", f"http://127.0.0.1:{port}/once")]))
            self.upstream.forget()
            self.endpoint.default = serve
            self.upstream.routes["/once"] = self.mint
            proxy = self.start_oauth(token_endpoint_headers={"x-api-key": env("HEADER")})
            self.assertEqual(200, self.ask(proxy).status)
            led = [sent for sent in self.endpoint.requests + self.upstream.requests if sent.target == "/once"][-1]
            self.assertEqual(("POST", shown), (led.method, led.get("X-Api-Key")))

    def test_an_answer_that_decodes_to_nothing_at_length(self):
        """Empty members of gzip, one behind the other: the call ends, and others are not kept."""
        nothing = gzip.compress(b"") * 3000

        def serve(connection, _request):
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n")
            for _ in range(200):
                connection.send(nothing)
        self.endpoint.default = serve
        proxy = self.start_oauth()
        self.assertEqual(502, self.ask(proxy).status)
        self.assertIn("the answer is too long for what it holds", proxy.wait_record("oauth_token mint failed")["error"])

    def test_an_answer_that_repeats_the_login_of_the_parent(self):
        login = b"user:the-password-of-it"
        coded = base64.b64encode(login)
        for told in (b"HTTP/1.1 500 no\r\nContent-Length: %d\r\n\r\n" % len(coded) + coded,
                     b"HTTP/1.1 302 no\r\nContent-Length: 0\r\nLocation: http://" + login + b"@other.test/\r\n\r\n"):
            parent = Upstream()
            self.addCleanup(parent.close)
            parent.default = told
            proxy = self.start({"name": "oauth_token", "config": {"tokens": [self.entry(token_endpoint="http://up.test:81/t")]}},
                               env={"HTTP_PROXY": f"http://{login.decode()}@127.0.0.1:{parent.port}"})
            self.assertEqual(502, self.ask(proxy).status)
            self.assertIn("the answer repeats the login of the parent proxy", proxy.wait_record("oauth_token mint failed")["error"])
            self.assertNotIn("the-password-of-it", proxy.text())
            self.assertNotIn(coded.decode(), proxy.text())

    def test_never_from_tls_to_clear_text(self):
        self.tls_endpoint.default = answer(b"", "307 Temporary Redirect", [("Location", f"http://127.0.0.1:{self.endpoint.port}/t")])
        proxy = self.start_oauth(token_endpoint=f"https://127.0.0.1:{self.tls_endpoint.port}/t")
        self.assertEqual(502, self.ask(proxy).status)
        self.assertIn("redirect from https to http refused", proxy.wait_record("oauth_token mint failed")["error"])
        self.assertEqual([], self.endpoint.requests)

    def test_one_request_for_all_who_wait(self):
        gate = threading.Event()

        def mint(connection, request):
            gate.wait(10)
            self.mint(connection, request)
        self.endpoint.default = mint
        proxy = self.start_oauth()
        peers = [self.plain(proxy) for _ in range(8)]
        for peer in peers:
            peer.send_request("GET", "/", self.upstream.host())
        self.endpoint.wait_request()
        peers[0].close()  # whose end must not be the others'
        gate.set()
        for peer in peers[1:]:
            self.assertEqual(200, peer.read_response().status)
        self.assertEqual(1, self.minted)
        self.assertEqual({f"Bearer {MINTED}-1"}, {request.get("Authorization") for request in self.upstream.requests})

    def test_an_endpoint_that_fails_once(self):
        def serve(connection, request):
            if len(self.endpoint.requests) == 1:
                connection.send(answer(b"boom", "500 Internal Server Error"))
            else:
                self.mint(connection, request)
        self.endpoint.default = serve
        proxy = self.start_oauth()
        refused = self.ask(proxy)
        self.assertEqual((502, "application/json"), (refused.status, refused.get("Content-Type")))
        self.assertEqual(b'{"error":"oauth_token failed to mint an access token","grant":"client_credentials"}', refused.body)
        record = proxy.wait_record("request")
        self.assertEqual(("reject", 502, "oauth_token"), (record["audit"]["action"], record["audit"]["status_code"], record["rejected_by"]))
        self.assertEqual({"error": "token_endpoint_http_500", "grant": "client_credentials", "rejected": "token_unavailable"},
                         record["request_transforms"][1]["annotations"])
        lines = [line.get("msg") for line in proxy.records()]
        self.assertLess(lines.index("oauth_token mint failed"), lines.index("request"))
        self.assertEqual(200, self.ask(proxy).status)

    def test_endpoints_that_lie(self):
        def cut(connection, request):
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
            connection.close()

        def huge(connection, request):
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"access_token\":\"" + b"x" * (3 << 20))
            connection.close()
        for serve, reason in ((cut, "unexpected EOF"), (huge, "cannot parse json"),
                              (lambda connection, request: connection.send(b"hello\r\n\r\n"), "Post"),
                              (lambda connection, request: connection.close(), "EOF"),
                              (lambda connection, request: connection.send(b"HTTP/1.1 101 X\r\n\r\n"), "101")):
            with self.subTest(reason=reason):
                self.endpoint.default = serve
                proxy = self.start_oauth()
                self.assertEqual(502, self.ask(proxy).status)
                told = proxy.wait_record("oauth_token mint failed")
                self.assertEqual("mint_failed", told["reason"])
                self.assertIn(reason, told["error"])

    def test_stubs(self):
        proxy = self.start_oauth()
        host = f"127.0.0.1:{self.endpoint.port}"
        for method, target, at in (("POST", "/oauth/token", host), ("GET", "/oauth/token?x=1", "127.0.0.1:1")):
            got = self.plain(proxy).request(method, target, at)
            self.assertEqual((200, STUB, "application/json"), (got.status, got.body, got.get("Content-Type")))
            self.assertEqual(["Content-Length", "Content-Type", "Date"], got.names())
        record = proxy.wait_record("request", count=2)
        self.assertEqual(("INFO", "stub", 200, "oauth_token"), (record["level"], record["audit"]["action"],
                                                                record["audit"]["status_code"], record["stubbed_by"]))
        self.assertEqual({"stubbed": "oauth2_token_endpoint"}, record["request_transforms"][1]["annotations"])
        peer = self.tunnel(host, proxy=proxy)
        self.assertEqual(STUB, peer.request("POST", "/oauth/token", host).body)
        self.assertEqual([], self.endpoint.requests)

    def test_tunnels(self):
        proxy = self.start_oauth()
        peer = self.tunnel(self.upstream.host(), proxy=proxy)
        record = proxy.wait_record("request")
        self.assertEqual(["header:Authorization"], record["request_transforms"][1]["annotations"]["injected"])
        self.assertEqual(200, peer.request("GET", "/", self.upstream.host()).status)
        self.assertEqual(1, self.minted)

        self.endpoint.default = lambda connection, request: connection.send(answer(b"", "500 No"))
        proxy = self.start_oauth()
        peer = self.plain(proxy, "tunnel")
        peer.send_request("CONNECT", self.upstream.host(), self.upstream.host())
        body = b'{"error":"oauth_token failed to mint an access token","grant":"client_credentials"}'
        self.assertEqual(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 83\r\nContent-Type: application/json\r\n\r\n" + body,
                         peer.read_to_end())
        told = proxy.wait_record("tunnel short-circuited by transform")
        self.assertEqual((self.upstream.host(), 502), (told["target"], told["status"]))

    def test_require(self):
        self.endpoint.default = lambda connection, request: connection.send(answer(b"", "500 No"))
        proxy = self.start_oauth(require=False)
        self.assertEqual(200, self.ask(proxy).status)
        self.assertEqual("Bearer of-the-client", self.authorization())
        self.assertEqual({"error": "token_endpoint_http_500", "grant": "client_credentials", "skipped": "token_unavailable"},
                         proxy.wait_record("request")["request_transforms"][1]["annotations"])

    def test_a_rotating_secret(self):
        """A new client secret in its file drops the token that the old one brought."""
        path = os.path.join(self.directory, "secret")
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(SECRET)
        proxy = self.start_oauth(client_secret={"type": "file", "path": path, "ttl": "-1ns"})
        for _ in range(2):
            self.assertEqual(200, self.ask(proxy).status)
        self.assertEqual(1, self.minted)
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(SECRET + "-2")
        self.assertEqual(200, self.ask(proxy).status)
        self.assertEqual(f"Bearer {MINTED}-2", self.authorization())
        self.assertIn(f"client_secret={SECRET}-2".encode(), self.endpoint.requests[-1].body)


class ServiceAccounts(TokenTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        made = subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], capture_output=True,
                              timeout=60, check=True)
        cls.private_key = made.stdout.decode()
        cls.public = os.path.join(cls.directory, "public.pem")
        subprocess.run(["openssl", "pkey", "-pubout", "-out", cls.public], input=made.stdout, timeout=60, check=True)
        cls.path = os.path.join(cls.directory, "sa.json")
        with open(cls.path, "w", encoding="utf-8") as handle:
            json.dump({"type": "service_account", "client_email": "sa@p.iam", "private_key_id": "kid9", "private_key": cls.private_key,
                       "token_uri": f"http://127.0.0.1:{cls.endpoint.port}/token"}, handle)

    def claims(self, request):
        """Of the assertion, whose signature must be the key's."""
        form = urllib.parse.parse_qs(request.body.decode())
        self.assertEqual(["urn:ietf:params:oauth:grant-type:jwt-bearer"], form["grant_type"])
        signed, signature = form["assertion"][0].rsplit(".", 1)
        decoded = [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in (*signed.split("."), signature)]
        paths = [os.path.join(self.directory, name) for name in ("signed", "signature")]
        for path, data in zip(paths, (signed.encode(), decoded[2])):
            with open(path, "wb") as handle:
                handle.write(data)
        done = subprocess.run(["openssl", "dgst", "-sha256", "-verify", self.public, "-signature", paths[1], paths[0]],
                              capture_output=True, timeout=60, check=False)
        self.assertEqual(0, done.returncode, done.stdout)
        self.assertEqual(b'{"alg":"RS256","typ":"JWT","kid":"kid9"}', decoded[0])
        return json.loads(decoded[1])

    def test_access_tokens(self):
        proxy = self.start({"name": "gcp_auth", "config": {"keyfile_path": self.path, "scopes": ["s1", "s2"], "rules": [{"host": "*.test"}]}})
        self.assertEqual(200, self.ask(proxy).status)
        self.assertEqual(f"Bearer {MINTED}-1", self.authorization())
        claims = self.claims(self.endpoint.requests[-1])
        self.assertEqual(("sa@p.iam", "s1 s2", f"http://127.0.0.1:{self.endpoint.port}/token"),
                         (claims["iss"], claims["scope"], claims["aud"]))
        self.assertEqual({"injected": ["header:Authorization"], "service_account": "sa@p.iam"},
                         proxy.wait_record("request")["request_transforms"][1]["annotations"])
        self.assertNotIn(self.private_key[60:100], proxy.text())

    def test_without_rules_every_tunnel_needs_one(self):
        self.endpoint.default = lambda connection, request: connection.send(answer(b"", "500 No"))
        proxy = self.start({"name": "gcp_auth", "config": {"keyfile_path": self.path, "scopes": ["s1"]}})
        peer = self.plain(proxy, "tunnel")
        peer.send_request("CONNECT", self.upstream.host(), self.upstream.host())
        self.assertEqual(b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n", peer.read_to_end())

    def test_id_tokens(self):
        part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
        token = f"{part({'alg': 'RS256'})}.{part({'exp': 4102444800})}.c2ln"
        self.endpoint.default = lambda connection, request: connection.send(json_answer({"id_token": token}))
        proxy = self.start({"name": "gcp_id_token", "config": {"keyfile_path": self.path, "audience": "https://run.test",
                                                              "rules": [{"host": "*.test"}]}})
        for _ in range(2):
            self.assertEqual(200, self.ask(proxy).status)
            self.assertEqual(f"Bearer {token}", self.authorization())
        self.assertEqual("https://run.test", self.claims(self.endpoint.requests[-1])["target_audience"])
        self.assertEqual(1, len(self.endpoint.requests))
        self.assertNotIn(token, proxy.text())
        # A request for a token is answered here, a body that is too long to be looked at goes on whole.
        host = "oauth2.googleapis.com"
        assertion = f"{part({})}.{part({'target_audience': 'aud'})}.c2ln"
        body = urllib.parse.urlencode({"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}).encode()
        got = self.plain(proxy).request("POST", "/token", host, body=body)
        self.assertEqual((200, "Bearer"), (got.status, json.loads(got.body)["token_type"]))
        self.assertEqual("gcp_id_token", proxy.wait_record("request", lambda record: "stubbed_by" in record)["stubbed_by"])


class HmacSign(TokenTest):
    def test_the_origin_accepts_the_signature(self):
        proxy = self.start({"name": "hmac_sign", "config": {
            "signature": {"message": "{{.Timestamp}}{{.Method}}{{.PathWithQuery}}{{.Body}}", "output_encoding": "hex"},
            "credentials": {"secret": env("CLIENT_SECRET"), "id": env("CLIENT_ID")},
            "headers": [{"name": "FX-ACCESS-KEY", "value": "{{.Credentials.id}}"}, {"name": "FX-ACCESS-SIGN", "value": "{{.Signature}}"},
                        {"name": "FX-ACCESS-TIMESTAMP", "value": "{{.Timestamp}}"}],
            "rules": [{"host": "*.test"}]}})
        got = self.plain(proxy).request("POST", "/v1/a%20b?x=1&y=%2F", self.upstream.host(), [("fx-access-sign", "mine")], body=b'{"q":1}')
        self.assertEqual(200, got.status)
        sent = self.upstream.requests[-1]
        self.assertEqual(1, len(sent.all("FX-ACCESS-SIGN")))
        self.assertEqual("the client", sent.get("FX-ACCESS-KEY"))
        message = sent.get("FX-ACCESS-TIMESTAMP") + 'POST/v1/a b?x=1&y=%2F{"q":1}'
        self.assertEqual(hmac.new(SECRET.encode(), message.encode(), hashlib.sha256).hexdigest(), sent.get("FX-ACCESS-SIGN"))

    def test_refusals(self):
        proxy = self.start({"name": "hmac_sign", "config": {
            "signature": {"message": "m"}, "credentials": {"secret": env("CLIENT_SECRET")},
            "headers": [{"name": "X-Sig", "value": "{{.Signature}}"}], "rules": [{"host": "*.test"}]}},
            over={"proxy": {"max_request_body_bytes": 10}})
        peer = self.plain(proxy)
        got = peer.request("POST", "/", self.upstream.host(), body=b"01234567890")
        self.assertEqual((413, b'{"error":"hmac_sign","reason":"body_truncated"}'), (got.status, got.body))
        record = proxy.wait_record("request")
        self.assertEqual({"buffered_length": 10, "content_length": 11, "rejected": "body_truncated"},
                         record["request_transforms"][1]["annotations"])
        self.assertEqual(("WARN", "reject", 413, "hmac_sign"), (record["level"], record["audit"]["action"],
                                                                record["audit"]["status_code"], record["rejected_by"]))
        got = self.plain(proxy).request("POST", "/", self.upstream.host(), [("Transfer-Encoding", "chunked")], body=b"3\r\nabc\r\n0\r\n\r\n")
        self.assertEqual((400, b'{"error":"hmac_sign","reason":"chunked_body_not_allowed"}'), (got.status, got.body))
        self.assertEqual([], self.upstream.requests)
        self.assertEqual(200, self.plain(proxy).request("POST", "/", self.upstream.host(), body=b"0123456789").status)


if __name__ == "__main__":
    main()
