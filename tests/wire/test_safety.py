"""The switches that are off by default: explained denials, pinned tunnels, strict paths, special addresses, TLS-only and scrubbed keys."""
import os
import subprocess

from harness import WireTest, main
from harness.case import KEY, TOKEN, allowlist, secret, secrets
from harness.certificates import openssl
from harness.upstream import answer


class Explained(WireTest):
    config = {"proxy": {"explain_denials": True}}

    def test_the_reason_is_the_last_field(self):
        response = self.plain().request("GET", "/", "evil.example")
        self.assertEqual(403, response.status)
        name, value = response.fields[-1]
        self.assertEqual("X-Iron-Proxy-Reason", name)
        self.assertTrue(value.startswith("allowlist: "), value)

    def test_a_passed_header_timeout_names_its_key(self):
        proxy = self.own_proxy({"proxy": {"upstream_response_header_timeout": "250ms"}})
        self.upstream.routes["/mute"] = lambda connection, request: connection.read_to_end() and "end"
        response = self.plain(proxy).request("GET", "/mute", self.upstream.host())
        text = "net/http: timeout awaiting response headers (proxy.upstream_response_header_timeout 250ms)"
        self.assertEqual((502, "upstream: " + text), (response.status, response.get("X-Iron-Proxy-Reason")))
        self.assertEqual(text, proxy.wait_request(path="/mute")["error"])

    def test_answers_of_the_origin_carry_none(self):
        self.assertIsNone(self.plain().request("GET", "/", self.upstream.host()).get("X-Iron-Proxy-Reason"))


class Pinned(WireTest):
    config = {"proxy": {"pin_tunnel_target": True}}

    def test_only_the_tunnels_host_and_port(self):
        peer = self.tunnel(self.upstream.host())
        self.assertEqual(200, peer.request("GET", "/same", self.upstream.host()).status)
        for host in (self.upstream.host("api.test"), "up.test:1"):
            self.assertEqual(403, peer.request("GET", "/other", host).status)
        self.assertEqual("pin_tunnel_target", self.proxy.wait_request(path="/other")["rejected_by"])
        self.assertEqual(["/same"], self.upstream.targets())


class Strict(WireTest):
    def test_segments_with_parameters(self):
        self.assertEqual(200, self.plain().request("GET", "/a/..;x/b", self.upstream.host()).status)
        proxy = self.own_proxy({"proxy": {"strict_paths": True}})
        response = self.plain(proxy).request("GET", "/a/..;x/b", self.upstream.host())
        self.assertEqual((400, b"path contains dot segments\n"), (response.status, response.body))
        for target in ("/.", "/a/./b", "/a/.;x/b", "/a/.%3Bx"):
            with self.subTest(target):
                self.assertEqual(200, self.plain().request("GET", target, self.upstream.host()).status)
                self.assertEqual(400, self.plain(proxy).request("GET", target, self.upstream.host()).status)


class Readings(WireTest):
    """A path that origins read in different ways: what is handed out needs all of them, what refuses any."""
    transforms = [allowlist(rules=[{"host": "*.test", "paths": ["/v1/*", "/./v1/*", "/*/w"]}], domains=["open.test"]),
                  secrets({**secret(), "rules": [{"host": "*.test", "paths": ["/v1/*"]}]},
                          {**secret(token="required-token-0123456789", require=True), "rules": [{"host": "open.test", "paths": ["/v2/*"]}]})]

    def ask(self, target, host=None):
        response = self.plain().request("GET", target, host or self.upstream.host(), [("Authorization", TOKEN)])
        return response.status

    def seen(self):
        return [request.get("Authorization") for request in self.upstream.requests]

    def test_handed_out_when_every_reading_matches(self):
        for target in ("/v1/./a", "/v1/.", "/v1/./a%2Fb"):
            self.assertEqual(200, self.ask(target))
        self.assertEqual([KEY] * 3, self.seen())

    def test_not_handed_out_when_one_reading_matches(self):
        for target in ("/v1%2Fa", "/./v1%2Fa", "/./w", "/./v2/a"):
            self.assertEqual(403, self.ask(target), target)
        for target in ("/./v1/a", "/x/w"):
            self.assertEqual(200, self.ask(target), target)
        self.assertEqual([TOKEN, TOKEN], self.seen())

    def test_required_when_one_reading_matches(self):
        host = self.upstream.host("open.test")
        for target in ("/v2/a", "/./v2/a", "/v2%2Fa"):
            with self.subTest(target):
                self.assertEqual(403, self.ask(target, host))
        self.assertEqual(200, self.ask("/./v3/a", host))


class SpecialAddresses(WireTest):
    config = {"proxy": {"deny_special_addresses": True}}
    transforms = [allowlist("*")]

    def test_what_is_not_globally_reachable(self):
        for host in ("127.0.0.1", "10.0.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "[fe80::1]", "[fc00::1]", "0.0.0.0", "224.0.0.1"):
            with self.subTest(host):
                mark = self.proxy.mark()
                self.assertEqual(502, self.plain().request("GET", "/special", f"{host}:{self.upstream.port}").status)
                self.assertIn("denied by upstream_deny_cidrs", self.proxy.wait_request(path="/special", after=mark)["error"])


class TlsOnly(WireTest):
    @classmethod
    def setUpClass(cls):
        cls.transforms = [allowlist("*.test"), secrets(secret() | {"require_tls": True})]
        super().setUpClass()

    def test_no_key_in_clear_text(self):
        for peer in (self.plain(), self.tunnel(self.upstream.host())):
            self.assertEqual(403, peer.request("GET", "/clear", self.upstream.host(), [("Authorization", TOKEN)]).status)
        entry = self.proxy.wait_request(path="/clear")["request_transforms"][-1]
        self.assertEqual({"reject_reason": "tls_required", "rejected": "WIRE_KEY"}, entry["annotations"])
        peer = self.tls_tunnel(self.tls_upstream.host())
        self.assertEqual(200, peer.request("GET", "/tls", self.tls_upstream.host(), [("Authorization", TOKEN)]).status)
        self.assertEqual(KEY, self.tls_upstream.wait_request("/tls").get("Authorization"))


class Scrubbed(WireTest):
    """An origin that says the key back."""

    def reflect(self, mode):
        proxy = self.own_proxy({"transforms": [allowlist("*.test"), secrets(secret() | {"scrub_responses": mode})]})
        self.upstream.routes["/reflect"] = lambda connection, request: connection.send(
            answer(f"your key is {request.get('Authorization')}.".encode(), fields=[("X-Key", request.get("Authorization"))]))
        return self.plain(proxy).request("GET", "/reflect", self.upstream.host(), [("Authorization", TOKEN)])

    def test_off_changes_nothing(self):
        response = self.reflect("off")
        self.assertEqual((f"your key is {KEY}.".encode(), KEY), (response.body, response.get("X-Key")))

    def test_on_takes_it_out(self):
        response = self.reflect("on")
        self.assertNotIn(KEY.encode(), response.raw + response.body)
        self.assertTrue(response.body.startswith(b"your key is "), response.body)


class LeafSigner(WireTest):
    """Under an RSA CA that allows it a P-256 intermediate signs the leaves."""

    starts_proxy = False

    def chain_length(self, proxy):
        out = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % proxy.https, "-servername", "up.test", "-showcerts", "-CAfile", self.ca + ".crt",
                              "-verify_return_error"], input="", capture_output=True, text=True, timeout=30)
        self.assertEqual(0, out.returncode, out.stderr)
        return out.stdout.count("BEGIN CERTIFICATE")

    def test_chain(self):
        for name, constraints, signer, length in (("open", "CA:TRUE", "auto", 3), ("open", "CA:TRUE", "ca", 2), ("closed", "CA:TRUE,pathlen:0", "auto", 2)):
            with self.subTest(name=name, signer=signer):
                self.ca = os.path.join(self.certificates.directory, "rsa-" + name)
                if not os.path.exists(self.ca + ".crt"):
                    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3", "-subj", "/CN=RSA", "-addext", f"basicConstraints=critical,{constraints}",
                            "-addext", "keyUsage=critical,keyCertSign", "-keyout", self.ca + ".key", "-out", self.ca + ".crt")
                proxy = self.own_proxy({"tls": {"ca_cert": self.ca + ".crt", "ca_key": self.ca + ".key", "leaf_signer": signer}})
                self.assertEqual(length, self.chain_length(proxy))


if __name__ == "__main__":
    main()
