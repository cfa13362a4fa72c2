"""No copy of what sources and token endpoints gave stays readable: every readable page is searched after traffic that fetched it anew each time."""
import base64
import json
import os
import secrets as random_secrets
import shutil
import subprocess
import tempfile
import unittest

from harness import WireTest, main
from harness.case import TOKEN, allowlist
from harness.upstream import Upstream, answer
from test_memory import locked_fallback, readable_memory

ROUNDS = int(os.environ.get("IRON_TEST_REQUESTS", "1000")) // 20
WINDOW, STEP = 11, 5  # every run of 16 bytes of a key holds a window


def places_of(pid, keys):
    """Where pieces of the keys stand."""
    windows = {key[at:at + WINDOW]: key for key in keys for at in range(0, len(key) - WINDOW + 1, STEP)}
    found, size = [], 0
    for _, line, data, _ in readable_memory(pid):
        size += len(data)
        found += [(line, key[:8]) for window, key in windows.items() if window in data and not locked_fallback(pid, line)]
    return found, size


def some_of(keys, count=8):
    """The last ones, and some from the beginning."""
    return [*keys[:2], *keys[-(count - 2):]]


@unittest.skipIf(os.environ.get("IRON_SANITIZE"), "the sanitizers' own allocators keep freed memory")
class MemoryOfCalls(WireTest):
    starts_proxy = False
    gives_keys = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.directory = tempfile.mkdtemp(prefix="iron-scan-")
        cls.addClassCleanup(shutil.rmtree, cls.directory, ignore_errors=True)
        cls.endpoint = Upstream(cls.certificates.server_context())
        cls.addClassCleanup(cls.endpoint.close)
        cls.made = []  # what the endpoint gave away

    def new(self, what):
        self.made.append(f"{what}-{random_secrets.token_urlsafe(32)}")
        return self.made[-1]

    def scan(self, proxy, keys):
        self.assertTrue(keys)
        found, size = places_of(proxy.pid, [key.encode("latin-1") for key in keys])
        self.assertEqual([], found)
        self.assertGreater(size, 1 << 20)

    def test_the_scan_finds_what_is_there(self):
        proxy = self.start({"name": "annotate", "config": {"annotations": [{"rules": [{"host": "a-host-of-this-test.example"}], "headers": ["X"]}]}})
        self.assertTrue(places_of(proxy.pid, [b"a-host-of-this-test.example"])[0])

    def start(self, transform):
        return self.own_proxy({"transforms": [allowlist("*"), transform]}, env={"ID": "the-client-of-the-scan"})

    def file(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(text)
        return {"type": "file", "path": path, "ttl": "-1ns"}

    def ask(self, proxy, expected=200, method="GET", body=b""):
        got = self.plain(proxy).request(method, "/", self.tls_upstream.host(), [("Authorization", f"Bearer {TOKEN}")], body)
        self.assertEqual(expected, got.status)

    def requests(self, proxy, count, expected=200, method="GET", body=b"", before=lambda number: None):
        """By one tunnel; the origin repeats what it gets."""
        self.tls_upstream.default = lambda connection, request: connection.send(answer(request.raw))
        peer = self.tls_tunnel(self.tls_upstream.host(), proxy=proxy)
        for number in range(count):
            before(number)
            got = peer.request(method, "/", self.tls_upstream.host(), [("Authorization", f"Bearer {TOKEN}")], body)
            self.assertEqual(expected, got.status, got.body)

    def test_a_file(self):
        keys = [self.new("file") for _ in range(ROUNDS)]
        source = self.file("key", keys[0])
        proxy = self.start({"name": "secrets", "config": {"secrets": [
            {"source": source, "replace": {"proxy_value": TOKEN, "match_headers": ["Authorization"]}, "scrub_responses": "on", "rules": [{"host": "*.test"}]}]}})
        self.requests(proxy, ROUNDS, before=lambda number: self.file("key", keys[number]))
        self.assertIn(keys[-1], self.tls_upstream.requests[-1].get("Authorization"))
        self.scan(proxy, some_of(keys))

    def test_a_member_of_a_file(self):
        keys = [self.new("member") for _ in range(ROUNDS)]
        document = lambda key: json.dumps({"a": [1, {"b": "c"}], "key": key})
        source = self.file("document", document(keys[0])) | {"json_key": "key"}
        proxy = self.start({"name": "secrets", "config": {"secrets": [
            {"source": source, "inject": {"header": "X-Key", "formatter": '{{ base64 "user:" .Value }}'}, "rules": [{"host": "*.test"}]}]}})
        self.requests(proxy, ROUNDS, before=lambda number: self.file("document", document(keys[number])))
        self.assertEqual(base64.b64encode(b"user:" + keys[-1].encode()).decode(), self.tls_upstream.requests[-1].get("X-Key"))
        self.scan(proxy, some_of(keys))

    def test_an_hmac(self):
        keys = [self.new("hmac") for _ in range(ROUNDS)]
        proxy = self.start({"name": "hmac_sign", "config": {
            "signature": {"message": "{{.Body}}{{.Path}}"}, "credentials": {"secret": self.file("hmac", keys[0]), "pass": self.file("pass", keys[0])},
            "headers": [{"name": "X-Sig", "value": "{{.Signature}}"}, {"name": "X-Pass", "value": "{{.Credentials.pass | printf \"%q\"}}"}],
            "rules": [{"host": "*.test"}]}})

        def rotate(number):
            self.file("hmac", keys[number])
            self.file("pass", keys[number])
        self.requests(proxy, ROUNDS, method="POST", body=b"x" * 3000, before=rotate)
        self.assertEqual(f'"{keys[-1]}"', self.tls_upstream.requests[-1].get("X-Pass"))
        self.scan(proxy, some_of(keys))

    def oauth(self, **more):
        return self.start({"name": "oauth_token", "config": {"tokens": [{
            "token_endpoint": f"https://127.0.0.1:{self.endpoint.port}/t", "client_id": {"type": "env", "var": "ID"}, "rules": [{"host": "*.test"}]} | more]}})

    def test_minted_tokens(self):
        tokens, secret, refresh = [], self.new("secret"), self.new("refresh")

        def mint(connection, request):
            tokens.append(self.new("token"))
            tokens.append(self.new("rotated"))
            text = json.dumps({"expires_in": 1, "access_token": tokens[-2], "refresh_token": tokens[-1], "echo": request.body.decode()})
            connection.send(answer(text.encode(), fields=[("Content-Type", "application/json")]))
        self.endpoint.default = mint
        proxy = self.oauth(grant="refresh_token", client_secret=self.file("secret", secret), refresh_token=self.file("refresh", refresh))
        self.requests(proxy, ROUNDS)
        self.assertEqual(f"Bearer {tokens[-2]}", self.tls_upstream.requests[-1].get("Authorization"))
        self.scan(proxy, [*some_of(tokens), secret, refresh])

    def test_what_a_failing_endpoint_repeats(self):
        secret = self.new("secret")
        header = self.new("header")
        self.endpoint.default = lambda connection, request: connection.send(answer(request.raw + request.body, "500 " + header))
        proxy = self.oauth(grant="client_credentials", client_secret=self.file("secret", secret), token_endpoint_headers={"x-key": self.file("header", header)})
        for _ in range(ROUNDS):
            self.ask(proxy, 502)
        proxy.wait_record("oauth_token mint failed", count=ROUNDS)
        for value in (secret, header):
            self.assertNotIn(value, proxy.text())
        self.scan(proxy, [secret, header])

    def test_the_key_of_a_service_account(self):
        key = subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], capture_output=True, timeout=60, check=True)
        der = subprocess.run(["openssl", "pkey", "-outform", "DER", "-traditional"], input=key.stdout, capture_output=True, timeout=60, check=True).stdout
        tokens = []

        def mint(connection, request):
            tokens.append(self.new("token"))
            connection.send(answer(json.dumps({"access_token": tokens[-1], "expires_in": 1}).encode()))
        self.endpoint.default = mint
        document = {"type": "service_account", "client_email": "a@b", "private_key": key.stdout.decode(), "token_uri": f"https://127.0.0.1:{self.endpoint.port}/t"}
        source = self.file("sa.json", json.dumps(document))
        proxy = self.start({"name": "gcp_auth", "config": {"keyfile": source, "scopes": ["s"], "rules": [{"host": "*.test"}]}})
        self.requests(proxy, ROUNDS)
        self.assertEqual(f"Bearer {tokens[-1]}", self.tls_upstream.requests[-1].get("Authorization"))
        lines = key.stdout.decode().split("\n")[2:20:4]
        # Neither is it there in the forms in which it is used: its primes and exponents, either way round.
        pieces = [der[at:at + 24] for at in range(600, len(der) - 40, 97)]
        numbers = [piece.decode("latin-1") for piece in pieces] + [piece[::-1].decode("latin-1") for piece in pieces]
        self.scan(proxy, [*some_of(tokens), *lines, *numbers])


if __name__ == "__main__":
    main()
