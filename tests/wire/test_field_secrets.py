"""Keys as programs use them: asked for by a 401, in form and JSON bodies, in answers that code them; and hosts whose refusal is no news."""
import base64
import json
import os
import shutil
import subprocess
import tempfile
import urllib.parse

from harness import WireTest, main
from harness.case import KEY, TOKEN, allowlist, secret, secrets
from harness.upstream import answer

FOREIGN = "foreign-0123456789abcdef"


def basic(password, user="user"):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class WhenSent(WireTest):
    transforms = [allowlist("*.test"), secrets(secret(match_headers=["Authorization"], require="when_sent"),
                                               secret(host="query.up.test", match_headers=[], match_query=True, require="when_sent"))]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.directory = tempfile.mkdtemp(prefix="iron-git-")
        cls.addClassCleanup(shutil.rmtree, cls.directory, ignore_errors=True)
        cls.git("init", "-q", "tree")
        with open(os.path.join(cls.directory, "tree", "file"), "w", encoding="ascii") as handle:
            handle.write("content of the repository\n")
        cls.git("-C", "tree", "add", "file")
        cls.git("-C", "tree", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "one")
        cls.git("clone", "-q", "--bare", "tree", "bare.git")
        cls.git("-C", "bare.git", "update-server-info")

    @classmethod
    def run_command(cls, *command, **environment):
        clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        clean |= {"HOME": cls.directory, "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1"} | environment
        return subprocess.run(command, capture_output=True, timeout=60, check=False, cwd=cls.directory, env=clean)

    @classmethod
    def git(cls, *arguments):
        done = cls.run_command("git", *arguments)
        assert done.returncode == 0, done.stderr

    def serve(self, connection, request):
        """Files below the folder, for the real key alone."""
        if request.get("Authorization") != basic(KEY):
            connection.send(answer(b"who are you", "401 Unauthorized", [("WWW-Authenticate", 'Basic realm="x"')]))
            return
        path = os.path.join(self.directory, request.target.split("?")[0].lstrip("/"))
        if os.path.isfile(path):
            with open(path, "rb") as handle:
                connection.send(answer(handle.read()))
        else:
            connection.send(answer(b"none", "404 Not Found"))

    def clone(self, password, into):
        self.tls_upstream.default = self.serve
        proxy = "http://%s:%d" % self.proxy.tunnel
        return self.run_command("git", "-c", f"http.proxy={proxy}", "clone", "-q", f"https://user:{password}@{self.tls_upstream.host()}/bare.git", into,
                                GIT_SSL_CAINFO=self.certificates.path("mitm.crt"))

    def test_git_clones_with_credentials_in_the_url(self):
        done = self.clone(TOKEN, "cloned")
        self.assertEqual(0, done.returncode, done.stderr)
        with open(os.path.join(self.directory, "cloned", "file"), encoding="ascii") as handle:
            self.assertEqual("content of the repository\n", handle.read())
        sent = [request.get("Authorization") for request in self.tls_upstream.requests]
        self.assertIsNone(sent[0], "git waits for the challenge")
        self.assertEqual({None, basic(KEY)}, set(sent))

    def test_git_with_a_foreign_credential_is_refused(self):
        done = self.clone(FOREIGN, "refused")
        self.assertNotEqual(0, done.returncode)
        self.assertIn(b"403", done.stderr)
        self.assertEqual({None}, {request.get("Authorization") for request in self.tls_upstream.requests})
        record = self.proxy.wait_request(action="reject")
        self.assertEqual(("secrets", 403), (record["rejected_by"], record["audit"]["status_code"]))
        self.assertEqual({"rejected": "WIRE_KEY"}, record["request_transforms"][1]["annotations"])

    def test_curl_anyauth(self):
        self.tls_upstream.default = self.serve
        url = f"https://{self.tls_upstream.host()}/tree/file"
        for password, status in ((TOKEN, "200"), (FOREIGN, "403")):
            done = self.run_command("curl", "-sS", "--anyauth", "-u", f"user:{password}", "-o", "/dev/null", "-w", "%{http_code}", "-x",
                                    "http://%s:%d" % self.proxy.tunnel, "--cacert", self.certificates.path("mitm.crt"), url)
            self.assertEqual(status.encode(), done.stdout, done.stderr)
        self.assertEqual([None, basic(KEY), None], [request.get("Authorization") for request in self.tls_upstream.requests])

    def test_places_of_a_credential(self):
        for name, target, fields, status in (
                ("up.test", "/", [("X-Api-Key", FOREIGN)], 200), ("up.test", "/", [("Authorization", "")], 200),
                ("up.test", "/", [("authorization", f"Bearer {FOREIGN}")], 403), ("up.test", f"/?key={FOREIGN}", [], 200),
                ("query.up.test", "/?a=b", [("User-Agent", "x")], 200), ("query.up.test", f"/?key={FOREIGN}", [], 403),
                ("query.up.test", f"/?k%65y={FOREIGN}", [], 403), ("query.up.test", f"/?a=b;access_token={FOREIGN}", [], 403),
                ("query.up.test", f"/?token={TOKEN}", [], 200), ("query.up.test", "/?token=", [], 200),
                ("query.up.test", "/", [("Cookie", "a=b")], 403), ("query.up.test", "/", [("PRIVATE-TOKEN", FOREIGN)], 403)):
            with self.subTest(f"{name} {target} {fields}"):
                self.assertEqual(status, self.plain().request("GET", target, self.upstream.host(name), fields).status)
        self.assertIn(f"/?token={KEY}", self.upstream.targets())

    def test_the_token_covers_no_other_credential(self):
        for name, target, fields in (
                ("up.test", "/other", [("Authorization", TOKEN), ("Authorization", f"Bearer {FOREIGN}")]), ("up.test", "/other", [("Authorization", basic(FOREIGN)), ("authorization", basic(TOKEN))]),
                ("query.up.test", "/other", [("X-Any", TOKEN), ("Authorization", f"Bearer {FOREIGN}")]), ("query.up.test", f"/other?x={TOKEN}&key={FOREIGN}", []),
                ("query.up.test", f"/other?token={TOKEN};token={FOREIGN}", []), ("query.up.test", f"/other?token={TOKEN}", [("Private-Token", FOREIGN)])):
            with self.subTest(f"{name} {target} {fields}"):
                self.assertEqual(403, self.plain().request("GET", target, self.upstream.host(name), fields).status)
        self.assertEqual([], self.upstream.requests)
        fields = [("Authorization", TOKEN), ("Cookie", "session=1"), ("X-Any", "own")]
        self.assertEqual(200, self.plain().request("GET", "/other", self.upstream.host(), fields).status)

    def test_a_tunnel_is_not_judged(self):
        peer = self.tls_tunnel(self.tls_upstream.host(), fields=[("Authorization", FOREIGN)])
        self.assertEqual(200, peer.request("GET", "/", self.tls_upstream.host()).status)

    def test_a_session_that_the_host_hands_out(self):
        entry = secret(match_headers=["Authorization"], require="when_sent")
        paths = {"rules": [{"host": "*.test", "paths": ["/token"]}]}
        for name, rules, status in (("everywhere", {}, 403), ("for the path of the key", paths, 200)):
            with self.subTest(name):
                self.upstream.forget()
                peer = self.plain(self.own_proxy({"transforms": [allowlist("*.test"), secrets(entry | rules)]}))
                asked = (("/v2/", [], 200), ("/token", [("Authorization", basic(TOKEN))], 200), ("/v2/", [("Authorization", "Bearer session")], status))
                for target, fields, wanted in asked:
                    self.assertEqual(wanted, peer.request("GET", target, self.upstream.host(), fields).status)
                sent = [request.get("Authorization") for request in self.upstream.requests]
                self.assertEqual([None, basic(KEY), "Bearer session"][:len(sent)], sent)

    def test_in_sni_only_mode_it_is_true(self):
        proxy = self.own_proxy({"tls": {"mode": "sni-only", "ca_cert": None, "ca_key": None}})
        peer = self.plain(proxy, "tunnel")
        peer.send_request("CONNECT", "up.test:443", "up.test:443")
        self.assertEqual(403, peer.read_response_head().status)
        record = proxy.wait_request(action="reject")
        self.assertEqual({"rejected": "WIRE_KEY"}, record["request_transforms"][1]["annotations"])

    def test_faults_at_the_start(self):
        text = 'secrets[0]: require "when_sent" needs match_headers or match_query'
        inject = secret()
        inject.pop("replace")
        for entry, wanted in (
                (secret(match_path=True, require="when_sent"), text), (secret(match_body=True, require="when_sent"), text),
                (inject | {"inject": {"header": "X-Key", "require": "when_sent"}}, text), (secret(require="sometimes"), "cannot unmarshal !!str `sometimes` into bool")):
            proxy = self.own_proxy({"transforms": [secrets(entry)]}, start=False)
            proxy.refuses_to_start = True
            proxy.start(wait=False)
            self.assertEqual(1, proxy.wait())
            self.assertIn(wanted, proxy.text().replace('\\"', '"'))


class Bodies(WireTest):
    SPECIAL = 'sk/real"k+ey&=%\\é 7f3b9c1e'
    environment = {"SPECIAL_KEY": SPECIAL}
    OTHER = "other-token-0123456789ab"
    transforms = [allowlist("*.test"), secrets(secret(var="SPECIAL_KEY", match_headers=["X-None"], match_body=True), secret(token=OTHER, match_headers=["X-None"], match_body=True))]

    def sent(self, body, *types):
        fields = [("Content-Type", value) for value in types]
        self.plain().request("POST", "/body", self.upstream.host(), fields, body=body.encode())
        return self.upstream.wait_request("/body", count=len(self.upstream.requests)).body.decode()

    def check(self, wanted, body, *types):
        self.upstream.forget()
        with self.subTest(f"{types} {body}"):
            self.assertEqual(wanted, self.sent(body, *types))

    def test_form(self):
        coded = urllib.parse.quote_plus(self.SPECIAL)
        for kind in ("application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded ; charset=UTF-8"):
            self.check(f"a=1&token={coded}&b={coded}x&c={KEY}", f"a=1&token={TOKEN}&b={TOKEN}x&c={self.OTHER}", kind)

    def test_json(self):
        coded = json.dumps(self.SPECIAL, ensure_ascii=False)[1:-1]
        for kind in ("application/json", "APPLICATION/JSON;charset=utf-8", "application/vnd.api+json", "application/problem+JSON; a=b"):
            self.check(f'{{"a":"x{coded}","{coded}":["\\"{coded}\\\\"],"c":"{KEY}"}}', f'{{"a":"x{TOKEN}","{TOKEN}":["\\"{TOKEN}\\\\"],"c":"{self.OTHER}"}}', kind)
            self.check(f'{{"a":{self.SPECIAL}, "b":"{coded}"}}', f'{{"a":{TOKEN}, "b":"{TOKEN}"}}', kind)

    def test_as_it_is_elsewhere(self):
        for kinds in ((), ("text/plain",), ("multipart/form-data; boundary=application/json",), ("application/jsonl",), ("application/json", "text/plain")):
            self.check(f'{{"a":"{self.SPECIAL}"}}', f'{{"a":"{TOKEN}"}}', *kinds)


class Coded(WireTest):
    """An answer that shows the key in a code shows the token in the same code."""
    SPECIAL = 'sk-real/"q+ \\7f3b9c1e5a2d8046b3'
    TOKEN = 'proxy "token"/0123456789abcdef+&'
    environment = {"WIRE_KEY": SPECIAL}
    transforms = [allowlist("*.test", "inject.example"), secrets(
        secret(token=TOKEN) | {"scrub_responses": "on"},
        {"source": {"type": "env", "var": "OTHER_KEY"}, "inject": {"header": "Authorization", "formatter": 'Basic {{ base64 "u:" .Value }}'},
         "rules": [{"host": "inject.example"}], "scrub_responses": "on"})]

    @classmethod
    def base_environment(cls):
        return super().base_environment() | {"OTHER_KEY": "other-real-7f3b9c1e5a"}

    def setUp(self):
        super().setUp()
        self.dns.names["inject.example"] = ["127.0.0.1"]

    def shown(self, text, host="up.test", fields=()):
        self.upstream.routes["/"] = answer(text.encode(), fields=[("X-Echo", text.replace("\n", " "))])
        response = self.plain().request("GET", "/", self.upstream.host(host), fields)
        self.assertEqual(text.count("\n") == 0 and response.body.decode("latin-1"), text.count("\n") == 0 and response.get("X-Echo"))
        return response.body.decode()

    def test_a_basic_credential_stays_one(self):
        for user in ("", "u", "us", "use", "user"):
            for behind in ("", "x", "xy", "xyz", ":x-oauth-basic"):
                text = '{"Authorization": "%s%s"}'
                wanted = text % (basic(self.TOKEN + behind, user), "")
                self.assertEqual(wanted, self.shown(text % (basic(self.SPECIAL + behind, user), "")))
        # The credential that the request carried, and back again: it is the token's.
        echoed = self.shown(basic(self.SPECIAL), fields=[("Authorization", basic(self.TOKEN))])
        self.assertEqual(basic(self.TOKEN), echoed)
        self.plain().request("GET", "/again", self.upstream.host(), [("Authorization", echoed)])
        self.assertEqual(basic(self.SPECIAL), self.upstream.wait_request("/again").get("Authorization"))

    def test_percent_json_and_hex(self):
        quoted = lambda text: urllib.parse.quote(text, safe="")
        dumped = lambda text: json.dumps(text)[1:-1]
        for code in (quoted, dumped, lambda text: text.encode().hex(), lambda text: text.encode().hex().upper(), lambda text: text):
            self.assertEqual(f"<{code(self.TOKEN)}>", self.shown(f"<{code(self.SPECIAL)}>"))

    def test_base64_of_texts(self):
        for coder in (base64.b64encode, base64.urlsafe_b64encode, lambda text: base64.b64encode(text).rstrip(b"=")):
            for before in ("", "a", "ab"):
                for behind in ("", "1", "12"):
                    coded = lambda text: coder(f"{before}{text}{behind}".encode()).decode()
                    whole = self.shown(f'"{coded(self.SPECIAL)}"')
                    run = whole.strip('"').replace("-", "+").replace("_", "/").rstrip("=")
                    self.assertEqual(f"{before}{self.TOKEN}{behind}".encode(), base64.b64decode(run + "=" * (-len(run) % 4)))

    def test_an_injected_credential(self):
        self.assertEqual(basic("[redacted]", "u"), self.shown(basic("other-real-7f3b9c1e5a", "u"), "inject.example"))


class Quiet(WireTest):
    config = {"transforms": [allowlist("up.test", quiet=["*.telemetry.example", "NOISE.test."], rules=[{"host": "noise.test", "paths": ["/ok"]}]), secrets()]}

    def refused(self, proxy, host):
        peer = self.plain(proxy)
        self.assertEqual(403, peer.request("GET", "/x", host).status)
        peer = self.plain(proxy, "tunnel")
        peer.send_request("CONNECT", f"{host}:443", f"{host}:443")
        self.assertEqual(403, peer.read_response_head().status)

    def test_not_at_info(self):
        self.refused(self.proxy, "a.telemetry.example")
        peer = self.plain()
        self.assertEqual(403, peer.request("GET", "/x", self.upstream.host("noise.test")).status)
        self.assertEqual(200, peer.request("GET", "/ok", self.upstream.host("noise.test")).status)
        self.refused(self.proxy, "loud.example")
        self.proxy.wait_request(host="loud.example:443")
        self.assertNotIn("telemetry", self.proxy.text())
        self.assertEqual(["/ok"], [record["audit"]["path"] for record in self.proxy.records("request") if record["audit"]["host"].startswith("noise")])

    def test_at_debug(self):
        proxy = self.own_proxy({"log": {"level": "debug"}})
        self.refused(proxy, "a.telemetry.example")
        for host in ("a.telemetry.example", "a.telemetry.example:443"):
            record = proxy.wait_request(host=host, after=0)
            self.assertEqual(("DEBUG", "allowlist", "reject"), (record["level"], record["rejected_by"], record["audit"]["action"]))
        self.assertEqual("DEBUG", proxy.wait_record("tunnel short-circuited by transform", after=0)["level"])
        self.refused(proxy, "loud.example")
        self.assertEqual("WARN", proxy.wait_request(host="loud.example:443", after=0)["level"])

    def test_in_sni_only_mode(self):
        proxy = self.own_proxy({"tls": {"mode": "sni-only", "ca_cert": None, "ca_key": None}, "log": {"level": "debug"}})
        for name in ("a.telemetry.example", "loud.example"):
            peer = self.plain(proxy, "https")
            with self.assertRaises(OSError):
                peer.start_tls(self.certificates.client_context(), name)
            level = "DEBUG" if "telemetry" in name else "WARN"
            self.assertEqual(level, proxy.wait_request(host=name, after=0)["level"])
            levels = [record["level"] for record in proxy.records("sni passthrough short-circuited by transform") if record["sni"] == name]
            self.assertEqual(["DEBUG" if "telemetry" in name else "INFO"], levels)

    def test_a_pattern_that_never_matches_is_named(self):
        proxy = self.own_proxy({"transforms": [allowlist("up.test", quiet=["https://a.test"])]})
        warning = proxy.wait_record("pattern never matches", after=0)
        self.assertEqual(("WARN", "transforms[0].config.quiet[0]", "https://a.test"), (warning["level"], warning["key"], warning["pattern"]))


if __name__ == "__main__":
    main()
