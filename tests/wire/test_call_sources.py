"""Keys that are fetched by calls of the proxy's own: Vault, 1Password, Google's Secret Manager."""
import base64
import json
import os
import shutil
import ssl
import tempfile
import threading

from harness import WireTest, main
from harness.case import KEY, TOKEN, allowlist, needs_port_443, secrets
from harness.parent import Parent
from harness.upstream import Upstream, answer
from harness.waiting import DEADLINE, wait_until

OTHER_KEY = "sk-other-" + "19ac47d20be6835f01"
CALL_TOKEN = "hvs.own-" + "c4d1907be2f6a358"  # what the proxy itself shows to an endpoint
ADDRESS = "127.47.0.1"  # a loopback address of this file's own: Google's names are at port 443
UNAVAILABLE = "failed to fetch secret, caching error"


def entry(host="*.test", **source):
    return {"source": source, "replace": {"proxy_value": TOKEN, "match_headers": ["Authorization"]}, "rules": [{"host": host}]}


def of_vault(path="svc/openai", host="*.test", **more):
    return entry(host, type="vault_kv", mount="secret", path=path, json_key="k", **more)


def of_json(value, status="200 OK", fields=()):
    return answer(json.dumps(value).encode(), status, (("Content-Type", "application/json"), *fields))


def vault_answer(key=KEY):
    return of_json({"data": {"data": {"k": key, "n": 1}, "metadata": {"version": 1}}})


class Calls(WireTest):
    starts_proxy = False
    gives_keys = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.endpoint = Upstream()
        cls.addClassCleanup(cls.endpoint.close)
        cls.other = Upstream()
        cls.addClassCleanup(cls.other.close)
        cls.secure = Upstream(cls.certificates.server_context())
        cls.addClassCleanup(cls.secure.close)

    def setUp(self):
        super().setUp()
        for endpoint in (self.endpoint, self.other, self.secure):
            endpoint.forget()
        self.directory = tempfile.mkdtemp(prefix="iron-calls-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def start(self, *entries, **env):
        proxy = self.own_proxy({"transforms": [allowlist("*.test"), secrets(*entries)]}, env)
        self.addCleanup(lambda: self.assertFalse([value for value in (CALL_TOKEN, OTHER_KEY) if value in proxy.text()]))
        return proxy

    def vault(self, *entries, endpoint=None, scheme="http", **env):
        endpoint = endpoint or self.endpoint
        address = f"{scheme}://127.0.0.1:{endpoint.port}"
        return self.start(*(entries or [of_vault()]), VAULT_ADDR=address, VAULT_TOKEN=CALL_TOKEN, VAULT_MAX_RETRIES="0", **env)

    def ask(self, proxy, host="up.test"):
        return self.plain(proxy).request("GET", "/", self.upstream.host(host), [("Authorization", f"Bearer {TOKEN}")])

    def sent(self, proxy, host="up.test"):
        """What the origin got in the place of the token."""
        self.upstream.forget()
        self.assertEqual(200, self.ask(proxy, host).status)
        return self.upstream.requests[-1].get("Authorization")

    def failure(self, proxy):
        """Why there is no key: the token goes out as it is."""
        self.assertEqual(f"Bearer {TOKEN}", self.sent(proxy))
        return proxy.wait_record(UNAVAILABLE)["error"]


class Vault(Calls):
    PATH = "/v1/secret/data/svc/openai"

    def test_the_request_and_the_key(self):
        self.endpoint.routes[self.PATH] = vault_answer()
        proxy = self.vault(VAULT_NAMESPACE="ns/a")
        for _ in range(2):
            self.assertEqual(f"Bearer {KEY}", self.sent(proxy))
        self.assertEqual(1, len(self.endpoint.requests))
        self.assertEqual(f"GET {self.PATH} HTTP/1.1\r\nHost: 127.0.0.1:{self.endpoint.port}\r\nX-Vault-Request: true\r\n"
                         f"X-Vault-Token: {CALL_TOKEN}\r\nX-Vault-Namespace: ns/a\r\n\r\n", self.endpoint.requests[0].raw.decode())

    def test_a_new_version_is_seen_when_the_ttl_is_over(self):
        self.endpoint.routes[self.PATH] = vault_answer()
        proxy = self.vault(of_vault(ttl="200ms"))
        self.assertEqual(f"Bearer {KEY}", self.sent(proxy))
        self.endpoint.routes[self.PATH] = vault_answer(OTHER_KEY)
        wait_until(lambda: self.sent(proxy) == f"Bearer {OTHER_KEY}", "the new key")
        # An endpoint that fails stops nobody who has a key.
        self.endpoint.routes[self.PATH] = of_json({"errors": [f"no {CALL_TOKEN}"]}, "403 Forbidden")
        wait_until(lambda: self.sent(proxy) == f"Bearer {OTHER_KEY}" and proxy.records("failed to refresh secret, serving stale value"),
                   "a refresh that failed")

    def test_what_is_told_of_failures(self):
        front = 'reading Vault KV secret "secret/svc/openai": '
        self.endpoint.routes[self.PATH] = of_json({"errors": ["permission denied"]}, "403 Forbidden")
        proxy = self.vault()
        self.assertEqual(front + "error encountered while reading secret at secret/data/svc/openai: Error making API request.\n\n"
                         f"URL: GET http://127.0.0.1:{self.endpoint.port}{self.PATH}\nCode: 403. Errors:\n\n* permission denied",
                         self.failure(proxy))
        self.assertEqual({"secret_unavailable": ["vault_kv:secret/svc/openai"]},
                         proxy.wait_record("request")["request_transforms"][1]["annotations"])
        unused = Upstream()
        unused.close()
        self.assertEqual(front + "error encountered while reading secret at secret/data/svc/openai: "
                         f'Get "http://127.0.0.1:{unused.port}{self.PATH}": dial tcp 127.0.0.1:{unused.port}: connect: connection refused',
                         self.failure(self.vault(endpoint=unused)))

    def test_what_may_pass_is_tried_again(self):
        answers = [of_json({"errors": []}, "503 Service Unavailable", [("Retry-After", "0")])] * 2 + [vault_answer()]
        self.endpoint.routes[self.PATH] = lambda connection, request: connection.send(answers.pop(0))
        proxy = self.start(of_vault(), VAULT_ADDR=f"http://127.0.0.1:{self.endpoint.port}", VAULT_TOKEN=CALL_TOKEN)
        self.assertEqual(f"Bearer {KEY}", self.sent(proxy))
        self.assertEqual(3, len(self.endpoint.requests))

    def test_one_redirect_is_followed_with_the_token(self):
        to_other = lambda path: answer(status="307 Temporary Redirect", fields=[("Location", f"http://localhost:{self.other.port}{path}")])
        self.endpoint.routes[self.PATH] = to_other("/once")
        self.other.routes["/once"] = vault_answer()
        self.assertEqual(f"Bearer {KEY}", self.sent(self.vault()))
        self.assertEqual(CALL_TOKEN, self.other.requests[0].get("X-Vault-Token"))
        self.endpoint.routes[self.PATH] = to_other("/twice")
        self.other.routes["/twice"] = to_other("/once")
        self.assertIn("Code: 307. Errors:", self.failure(self.vault()))
        self.assertIn("Code: 307. Errors:", self.failure(self.vault(VAULT_DISABLE_REDIRECTS="true")))

    def test_no_redirect_leads_out_of_tls(self):
        self.secure.routes[self.PATH] = answer(status="307 Temporary Redirect", fields=[("Location", f"http://localhost:{self.other.port}/")])
        self.assertIn("redirect from https to http refused", self.failure(self.vault(endpoint=self.secure, scheme="https")))
        self.assertEqual([], self.other.requests)

    def test_a_slow_endpoint_keeps_nobody_else(self):
        go_on = threading.Event()
        self.addCleanup(go_on.set)

        def slow(connection, _request):
            go_on.wait(DEADLINE)
            connection.send(vault_answer())
        self.endpoint.routes["/v1/secret/data/slow"] = slow
        self.endpoint.routes["/v1/secret/data/fast"] = vault_answer(OTHER_KEY)
        proxy = self.vault(of_vault("slow", "slow.test"), of_vault("fast", "api.test", ttl="-1ns"))
        waiting = self.plain(proxy)
        waiting.send_request("GET", "/", self.upstream.host("slow.test"), [("Authorization", f"Bearer {TOKEN}")])
        self.endpoint.wait_request("/v1/secret/data/slow")
        for _ in range(2):
            self.assertEqual(f"Bearer {OTHER_KEY}", self.sent(proxy, "api.test"))
        go_on.set()
        self.assertEqual(200, waiting.read_response().status)
        self.assertEqual(f"Bearer {KEY}", self.upstream.requests[-1].get("Authorization"))

    # -- whom a call trusts

    def secured(self, endpoint=None, **env):
        endpoint = endpoint or self.secure
        self.resumed, self.shown = [], []

        def serve(connection, _request):
            self.resumed.append(connection.sock.session_reused)
            self.shown.append(connection.sock.getpeercert())
            connection.send(vault_answer())
        endpoint.routes[self.PATH] = serve
        return self.vault(of_vault(ttl="-1ns"), endpoint=endpoint, scheme="https", **env)

    def server(self, name="upstream", client_authority=None):
        context = self.certificates.server_context(name)
        if client_authority:
            context.load_verify_locations(self.certificates.path(client_authority + ".crt"))
            context.verify_mode = ssl.CERT_REQUIRED
        endpoint = Upstream(context)
        self.addCleanup(endpoint.close)
        return endpoint

    def test_trust_anchors_of_its_own(self):
        origin, stranger = self.certificates.path("origin.crt"), self.certificates.path("mitm.crt")
        with open(origin, encoding="ascii") as handle:
            text = handle.read()
        directory = os.path.join(self.directory, "anchors")
        os.mkdir(directory)
        shutil.copy(origin, directory)
        for env in ({"VAULT_CACERT": origin}, {"VAULT_CACERT_BYTES": text}, {"VAULT_CAPATH": directory}, {"VAULT_SKIP_VERIFY": "true"}):
            with self.subTest(env=list(env)):
                proxy = self.secured(SSL_CERT_FILE=stranger, **env)
                self.secure.connections.clear()
                for _ in range(2):
                    self.assertEqual(f"Bearer {KEY}", self.sent(proxy))
                # Neither the connection nor the session is for others, who may trust less.
                self.assertEqual((2, [False, False]), (len(self.secure.connections), self.resumed))
        # They stand in the place of the system's.
        self.assertIn("certificate signed by unknown authority", self.failure(self.secured(VAULT_CACERT=stranger)))
        self.assertIn("certificate signed by unknown authority", self.failure(self.secured(SSL_CERT_FILE=stranger)))

    def test_trust_that_cannot_be_had(self):
        front = "creating Vault client: error encountered setting up default configuration: "
        missing = os.path.join(self.directory, "none.pem")
        self.assertEqual(front + f"Error loading CA File: open {missing}: no such file or directory", self.failure(self.secured(VAULT_CACERT=missing)))
        self.assertEqual(front + "could not parse VAULT_SKIP_VERIFY", self.failure(self.secured(VAULT_SKIP_VERIFY="maybe")))
        empty = os.path.join(self.directory, "empty.pem")
        with open(empty, "w", encoding="ascii"):
            pass
        self.assertIn("the trust anchors hold no certificate", self.failure(self.secured(VAULT_CACERT=empty)))

    def test_a_name_of_its_own(self):
        named = self.server("wrongname")
        self.assertIn("x509", self.failure(self.secured(named)))
        self.assertEqual(f"Bearer {KEY}", self.sent(self.secured(named, VAULT_TLS_SERVER_NAME="else.example")))

    def test_a_certificate_of_its_own(self):
        asking = self.server(client_authority="origin")
        pair = {"VAULT_CLIENT_CERT": self.certificates.path("upstream.crt"), "VAULT_CLIENT_KEY": self.certificates.path("upstream.key")}
        self.assertEqual(f"Bearer {KEY}", self.sent(self.secured(asking, **pair)))
        self.assertEqual((("commonName", "upstream"),), self.shown[0]["subject"][0])
        self.failure(self.secured(asking))
        pair["VAULT_CLIENT_KEY"] = self.certificates.path("wrongname.key")
        self.assertIn("the client certificate and its key cannot be used", self.failure(self.secured(asking, **pair)))


class OnePassword(Calls):
    def connect(self, reference, **more):
        return self.start(entry(type="1password_connect", secret_ref=reference, **more), OP_CONNECT_HOST=f"http://127.0.0.1:{self.endpoint.port}",
                          OP_CONNECT_TOKEN=CALL_TOKEN)

    def test_connect(self):
        item = {"id": "i1", "fields": [{"id": "credential", "label": "key", "value": KEY, "section": {"id": "s1"}}]}
        self.endpoint.routes = {"/v1/vaults": of_json([{"id": "v1", "name": "Eng"}]),
                                "/v1/vaults/v1/items": of_json([{"id": "i1", "title": "OpenAI", "vault": {"id": "v1"}}]),
                                "/v1/vaults/v1/items/i1": of_json(item)}
        proxy = self.connect("op://Eng/OpenAI/s1/key", ttl="200ms")
        self.assertEqual(f"Bearer {KEY}", self.sent(proxy))
        self.assertEqual(["/v1/vaults?filter=title+eq+%22Eng%22", "/v1/vaults/v1/items?filter=title+eq+%22OpenAI%22", "/v1/vaults/v1/items/i1"],
                         self.endpoint.targets())
        self.assertEqual({f"Bearer {CALL_TOKEN}"}, {request.get("Authorization") for request in self.endpoint.requests})
        self.assertRegex(self.endpoint.requests[0].get("User-Agent"), r"^iron-proxy/\d")
        item["fields"][0]["value"] = OTHER_KEY
        self.endpoint.routes["/v1/vaults/v1/items/i1"] = of_json(item)
        wait_until(lambda: self.sent(proxy) == f"Bearer {OTHER_KEY}", "the new key")

    def test_connect_that_refuses(self):
        self.endpoint.default = of_json({"status": 401, "message": "Invalid token signature"}, "401 Unauthorized")
        self.assertEqual('resolving 1password_connect secret "op://Eng/OpenAI/key": looking up vault "Eng": status 401: Invalid token signature',
                         self.failure(self.connect("op://Eng/OpenAI/key")))

    def test_a_service_account_without_its_token(self):
        proxy = self.start(entry(type="1password", secret_ref="op://Eng/OpenAI/key"))
        self.assertEqual('creating 1password client: env var "OP_SERVICE_ACCOUNT_TOKEN" is not set or empty', self.failure(proxy))


@needs_port_443(ADDRESS)
class Google(Calls):
    NAME = "projects/p-1/secrets/key/versions/latest"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.certificates.sign("google", "origin", "subjectAltName=DNS:secretmanager.googleapis.com,DNS:secretmanager.europe-west3.rep.googleapis.com\n")
        cls.google = Upstream(cls.certificates.server_context("google"), ADDRESS, 443)
        cls.addClassCleanup(cls.google.close)
        # The system, which own calls ask for addresses, knows Google's; a parent proxy leads elsewhere.
        cls.parent = Parent()
        cls.addClassCleanup(cls.parent.close)

    def setUp(self):
        super().setUp()
        self.google.forget()
        self.parent.forget()
        self.parent.addresses = {name: ADDRESS for name in ("secretmanager.googleapis.com", "secretmanager.europe-west3.rep.googleapis.com")}
        self.endpoint.routes = {
            "/computeMetadata/v1/project/project-id": answer(b"p-1"),
            "/computeMetadata/v1/instance/service-accounts/default/token": of_json({"access_token": CALL_TOKEN, "expires_in": 3599}),
            "/token": of_json({"access_token": CALL_TOKEN, "expires_in": 3599})}

    def manager(self, **more):
        source = {"type": "gcp_sm", "project": "p-1", "secret": "key"} | more.pop("source", {})
        return self.start(entry(**source), GCE_METADATA_HOST=f"127.0.0.1:{self.endpoint.port}", HTTPS_PROXY=self.parent.url(), **more)

    def serve(self, key, name=NAME):
        self.google.routes[f"/v1/{name}:access"] = of_json({"name": name, "payload": {"data": base64.b64encode(key.encode()).decode()}})

    def test_with_the_metadata_server(self):
        self.serve(KEY)
        proxy = self.manager(source={"ttl": "200ms"})
        self.assertEqual(f"Bearer {KEY}", self.sent(proxy))
        self.assertEqual(["Google", "Google"], [request.get("Metadata-Flavor") for request in self.endpoint.requests])
        self.assertEqual(f"GET /v1/{self.NAME}:access HTTP/1.1\r\nHost: secretmanager.googleapis.com\r\nAuthorization: Bearer {CALL_TOKEN}\r\n\r\n",
                         self.google.requests[0].raw.decode())
        self.assertEqual("CONNECT secretmanager.googleapis.com:443 HTTP/1.1", self.parent.seen[0].line)
        self.serve(OTHER_KEY)
        wait_until(lambda: self.sent(proxy) == f"Bearer {OTHER_KEY}", "the new key")
        self.assertEqual(2, len(self.endpoint.requests))

    def test_of_a_location(self):
        name = "projects/p-1/locations/europe-west3/secrets/key/versions/7"
        self.serve(KEY, name)
        self.assertEqual(f"Bearer {KEY}", self.sent(self.manager(source={"location": "europe-west3", "version": "7"})))
        self.assertEqual("secretmanager.europe-west3.rep.googleapis.com", self.google.requests[0].get("Host"))

    def test_with_the_file_of_a_login(self):
        self.serve(KEY)
        path = os.path.join(self.directory, "credentials.json")
        with open(path, "w", encoding="ascii") as handle:
            json.dump({"type": "authorized_user", "client_id": "id", "client_secret": "cs", "refresh_token": "rt",
                       "token_uri": f"http://127.0.0.1:{self.endpoint.port}/token"}, handle)
        proxy = self.manager(GOOGLE_APPLICATION_CREDENTIALS=path)
        self.assertEqual(f"Bearer {KEY}", self.sent(proxy))
        self.assertEqual(b"client_id=id&client_secret=cs&grant_type=refresh_token&refresh_token=rt", self.endpoint.requests[0].body)

    def test_failures(self):
        self.google.default = of_json({"error": {"code": 403, "message": "denied"}}, "403 Forbidden")
        self.assertEqual(f'accessing GCP secret "{self.NAME}": HTTP 403: denied', self.failure(self.manager()))
        self.google.default = answer(status="302 Found", fields=[("Location", f"https://secretmanager.googleapis.com/v1/{self.NAME}")])
        self.assertEqual(f'accessing GCP secret "{self.NAME}": HTTP 302: ', self.failure(self.manager()))
        self.google.forget()
        self.google.default = of_json({"error": {"message": "busy"}}, "503 Service Unavailable")
        self.assertEqual(f'accessing GCP secret "{self.NAME}": HTTP 503: busy', self.failure(self.manager()))
        self.assertEqual(3, len(self.google.requests))


if __name__ == "__main__":
    main()
