"""The Hermes integration: its four configurations start, and what its sandboxes and its daemon control rely on holds."""
import json
import os
import socket
import ssl
import subprocess
import urllib.error
import urllib.request

from harness import Proxy, Stopwatch, WireTest, main, read_text, wait_until
from harness.case import KEY
from harness.certificates import openssl
from harness.peer import connect
from harness.proxy import own_address

NONCE = "ab" * 32
MANAGEMENT_KEY = "hermes-mgmt-" + "0123456789abcdef" * 2
TOKEN = "openai-" + "0123456789abcdef" * 2
OTHER_TOKEN = "openrouter-" + "fedcba9876543210" * 2
DENY = ["::1/128", "169.254.0.0/16", "fe80::/10", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "::ffff:0:0/96",
        "100.64.0.0/10", "198.18.0.0/15"]


def yaml_of(value, indent=0):
    """Block style as a safe dumper writes it: key order kept, sequences at the indent of their key."""
    pad, lines = " " * indent, []
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, (dict, list)) and item:
                lines.append(f"{pad}{key}:")
                lines += yaml_of(item, indent + 2 if isinstance(item, dict) else indent)
            else:
                lines.append(f"{pad}{key}: {scalar(item)}")
    else:
        for item in value:
            if isinstance(item, dict):
                first, *rest = yaml_of(item, indent + 2)
                lines += [f"{pad}- {first.lstrip()}", *rest]
            else:
                lines.append(f"{pad}- {scalar(item)}")
    return lines


def scalar(value):
    if isinstance(value, bool):
        return str(value).lower()
    if value == []:
        return "[]"
    text = str(value)
    return f"'{text}'" if text.startswith("*") else text


class Hermes(WireTest):
    starts_proxy = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # The CA exactly as Hermes makes it, but smaller: 4096 bits would take the test some seconds.
        cls.ca = os.path.join(cls.certificates.directory, "hermes")
        os.makedirs(cls.ca, exist_ok=True)
        openssl("genrsa", "-out", "ca.key", "2048", cwd=cls.ca)
        openssl("req", "-x509", "-new", "-nodes", "-key", "ca.key", "-sha256", "-days", "3650", "-subj", "/CN=hermes iron-proxy CA",
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign", "-out", "ca.crt", cwd=cls.ca)

    def generation(self, name, **over):
        """The configuration that this generation writes. Ports are 0 here, and the origin's loopback is not denied."""
        two_ports = name in ("g2", "g3")
        config = {
            "dns": {"enabled": False} if name == "g3" else {"listen": "127.0.0.1:0", "proxy_ip": "127.0.0.1"},
            "proxy": {"http_listen": "127.0.0.1:0", "https_listen": "127.0.0.1:0", "tunnel_listen": "127.0.0.1:0",
                      "max_request_body_bytes": 16777216, "max_response_body_bytes": 0, "upstream_response_header_timeout": "120s",
                      "upstream_deny_cidrs": DENY},
            "tls": {"ca_cert": os.path.join(self.ca, "ca.crt"), "ca_key": os.path.join(self.ca, "ca.key"), "cert_cache_size": 1000,
                    "leaf_cert_expiry_hours": 168},
            "transforms": [
                {"name": "allowlist", "config": {"domains": ["api.openai.com", "openrouter.ai", "*.openrouter.ai", "plain.test", "127.0.0.1"]}},
                {"name": "secrets", "config": {"secrets": [self.mapping("OPENAI_API_KEY", TOKEN, ["api.openai.com", "127.0.0.1"], two_ports),
                                                           self.mapping("OPENROUTER_API_KEY", OTHER_TOKEN, ["openrouter.ai", "*.openrouter.ai"], two_ports)]}}],
            "log": {"level": "info"},
        }
        if name == "g0":
            config["proxy"]["http_listens"] = ["127.0.0.1:0", "127.0.0.2:0"]
            config["log"]["audit_path"] = os.path.join(self.certificates.directory, "audit.log")
        else:
            config["metrics"] = {"listen": "127.0.0.1:0"}
        if two_ports:
            config["management"] = {"listen": "127.0.0.1:0", "api_key_env": "HERMES_IRON_PROXY_MGMT_KEY"}
        # The tests' own resolver; Hermes leaves it to the system.
        config["dns"]["upstream_resolver"] = self.dns.address
        return config

    @staticmethod
    def mapping(variable, token, hosts, require):
        replace = {"proxy_value": token, "match_headers": ["Authorization"], "match_query": True, "match_body": False}
        return {"source": {"type": "env", "var": variable}, "replace": replace | ({"require": True} if require else {}),
                "rules": [{"host": host} for host in hosts]}

    def launch(self, name, config=None, start=True):
        config = config or self.generation(name)
        proxy = Proxy(config, {
            "NO_COLOR": "1", "OPENAI_API_KEY": KEY, "OPENROUTER_API_KEY": KEY, "HERMES_IRON_PROXY_NONCE": NONCE,
            "SSL_CERT_FILE": self.certificates.path("origin.crt"), "SSL_CERT_DIR": "/nonexistent",
            **({"HERMES_IRON_PROXY_MGMT_KEY": MANAGEMENT_KEY} if name in ("g2", "g3") else {}),
            # Only g0 leaves the metrics port to its default, which is a fixed one.
            **({"IRON_METRICS_LISTEN": "127.0.0.1:0"} if name == "g0" else {})}, start=False)
        proxy.write_config("\n".join(yaml_of(config)))
        self.addCleanup(self._finish, proxy)
        if start:
            proxy.start()
        return proxy

    def sandbox(self, proxy, listener, host="api.openai.com"):
        """A TLS connection through the port the sandbox has in HTTPS_PROXY, trusting the Hermes CA alone."""
        context = ssl.create_default_context(cafile=os.path.join(self.ca, "ca.crt"))
        return self.tls_tunnel(self.tls_upstream.host(host), listener, proxy, context, host)

    def setUp(self):
        super().setUp()
        for name in ("api.openai.com", "openrouter.ai", "foo.openrouter.ai"):
            self.dns.names[name] = ["127.0.0.1"]

    # -- the generations

    def test_g0_serves_every_bind_and_writes_the_audit_file(self):
        path = self.generation("g0")["log"]["audit_path"]
        if os.path.exists(path):
            os.remove(path)
        proxy = self.launch("g0")
        self.assertEqual(["127.0.0.1", "127.0.0.2"], sorted(host for host, _ in proxy.addresses["http"]))
        for host, port in proxy.addresses["http"]:
            peer = self.track(connect((host, port)))
            peer.send_request("CONNECT", self.tls_upstream.host("api.openai.com"), "x")
            self.assertIn(b"200", peer.read_until(b"\r\n\r\n"))
        wait_until(lambda: read_text(path).count('"msg":"request"') == 2, "two records in the audit file")
        self.assertEqual([], proxy.records("request"))
        self.assertEqual(0o600, os.stat(path).st_mode & 0o777)

    def test_g1_one_port_for_everything(self):
        proxy = self.launch("g1")
        peer = self.sandbox(proxy, "http")
        host = self.tls_upstream.host("api.openai.com")
        self.assertEqual(200, peer.request("GET", "/v1/models?key=" + TOKEN, host, [("Authorization", f"Bearer {TOKEN}")]).status)
        request = self.tls_upstream.wait_request()
        self.assertEqual((f"/v1/models?key={KEY}", f"Bearer {KEY}"), (request.target, request.get("Authorization")))
        # Without `require` a key of the sandbox's own passes.
        self.assertEqual(200, peer.request("GET", "/own", host, [("Authorization", "Bearer own")]).status)
        # Plain requests use the same port.
        self.assertEqual(200, self.plain(proxy).request("GET", f"http://127.0.0.1:{self.upstream.port}/plain", "x", [("Authorization", TOKEN)]).status)
        self.assertEqual(KEY, self.upstream.wait_request("/plain").get("Authorization"))

    def test_g2_and_g3_require_the_token(self):
        for name in ("g2", "g3"):
            with self.subTest(name):
                proxy = self.launch(name)
                host = self.tls_upstream.host("api.openai.com")
                for listener in ("tunnel", "http"):
                    peer = self.sandbox(proxy, listener)  # the tunnel opens although CONNECT carries no token
                    self.assertEqual(200, peer.request("GET", f"/{name}", host, [("Authorization", f"Bearer {TOKEN}")]).status)
                    self.assertEqual(f"Bearer {KEY}", self.tls_upstream.requests[-1].get("Authorization"))
                    count = len(self.tls_upstream.requests)
                    for fields in ([("Authorization", "Bearer sk-real-key-of-somebody")], [], [("X-Other", TOKEN)], [("Authorization", OTHER_TOKEN)]):
                        response = peer.request("GET", f"/{name}-refused", host, fields)
                        self.assertEqual((403, b""), (response.status, response.body))
                    self.assertEqual(count, len(self.tls_upstream.requests))
                    record = proxy.wait_request(path=f"/{name}-refused")
                    self.assertEqual("secrets", record["rejected_by"])
                    self.assertEqual({"rejected": "OPENAI_API_KEY"}, record["request_transforms"][-1]["annotations"])
                # Plain requests keep the strict rule; so does plain HTTP in a tunnel.
                for peer in (self.plain(proxy), self.tunnel(f"127.0.0.1:{self.upstream.port}", proxy=proxy)):
                    self.assertEqual(403, peer.request("GET", "/strict", f"127.0.0.1:{self.upstream.port}").status)
                # A host without a mapping needs none.
                self.assertEqual(200, self.plain(proxy).request("GET", "/free", self.upstream.host("plain.test")).status)

    def test_require_over_socks(self):
        proxy = self.launch("g2")
        peer = self.plain(proxy, "tunnel").send(b"\x05\x01\x00")
        self.assertEqual(b"\x05\x00", peer.read_exact(2))
        name = b"api.openai.com"
        peer.send(b"\x05\x01\x00\x03" + bytes([len(name)]) + name + self.tls_upstream.port.to_bytes(2, "big"))
        self.assertEqual(b"\x05\x00\x00\x01\0\0\0\0\0\0", peer.read_exact(10))

    def test_unavailable_key_with_require_is_refused_at_connect(self):
        config = self.generation("g2")
        config["transforms"][1]["config"]["secrets"][0]["source"]["var"] = "NOT_SET"
        proxy = self.launch("g2", config)
        peer = self.plain(proxy, "tunnel")
        peer.send_request("CONNECT", "api.openai.com:443", "x")
        self.assertEqual(b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n", peer.read_to_end())
        record = proxy.wait_request(host="api.openai.com:443")
        self.assertEqual("secret_unavailable", record["request_transforms"][-1]["annotations"]["reject_reason"])

    def test_denied_hosts(self):
        proxy = self.launch("g2")
        peer = self.plain(proxy, "tunnel").send(b"\x05\x01\x00")
        peer.read_exact(2)
        peer.send(b"\x05\x01\x00\x03\x0cevil.example\x01\xbb")
        self.assertEqual(b"\x05\x02\x00\x01\0\0\0\0\0\0", peer.read_to_end())
        self.assertEqual(403, self.plain(proxy).request("GET", "http://evil.example/", "evil.example").status)
        self.assertNotIn("evil.example", [name for name, _ in self.dns.queries])

    def test_address_guard_of_the_default_list(self):
        config = self.generation("g2")
        config["transforms"][0]["config"]["domains"] = ["*"]
        config["transforms"][1]["config"]["secrets"] = []
        proxy = self.launch("g2", config)
        self.dns.names |= {"rebind.test": ["169.254.169.254"], "mapped.test": ["::ffff:169.254.169.254"], "mixed.test": ["10.9.9.9", "127.0.0.1"]}
        peer = self.plain(proxy)
        for host, prefix in (("169.254.169.254", "169.254.0.0/16"), ("[::ffff:169.254.169.254]", "169.254.0.0/16"), ("[::ffff:a9fe:a9fe]", "169.254.0.0/16"),
                             ("rebind.test", "169.254.0.0/16"), ("mapped.test", "169.254.0.0/16"), ("10.1.2.3", "10.0.0.0/8"), ("[fe80::1]", "fe80::/10"),
                             ("[64:ff9b::a01:203]", "10.0.0.0/8"), ("[2002:a01:203::1]", "10.0.0.0/8")):
            with self.subTest(host):
                mark = proxy.mark()
                response = peer.request("GET", "/guard", host)
                self.assertEqual((502, b"bad gateway\n"), (response.status, response.body))
                record = proxy.wait_request(path="/guard", after=mark)
                self.assertRegex(record["error"], rf"^dial tcp \S+: denied by upstream_deny_cidrs: \S+ in {prefix}$")
        # ::ffff:0:0/96 is inert, and a denied address only means that the next one is tried.
        for host in (f"[::ffff:127.0.0.1]:{self.upstream.port}", self.upstream.host("mixed.test")):
            self.assertEqual(200, peer.request("GET", "/open", host).status)

    # -- daemon control

    def test_a_connect_means_ready_and_leaves_nothing_behind(self):
        proxy = self.launch("g2")
        self.assertEqual([], [name for name in os.listdir(proxy.directory) if name not in ("proxy.yaml", "stdout")])
        environment = read_text(f"/proc/{proxy.pid}/environ")
        self.assertIn(f"HERMES_IRON_PROXY_NONCE={NONCE}", environment)
        for value in (KEY, MANAGEMENT_KEY):
            self.assertNotIn(value, environment)
        self.assertEqual(proxy.command, read_text(f"/proc/{proxy.pid}/cmdline").split("\0")[:-1])

    def test_start_failures_name_their_reason(self):
        config = self.generation("g2")
        config["proxy"]["bogus"] = 1
        line = yaml_of(config).index("  bogus: 1") + 1
        self.assert_fails("g2", config, f"error: parsing config: yaml: unmarshal errors:\n  line {line}: field bogus not found in type config.Proxy")
        config = self.generation("g2")
        config["management"]["api_key_env"] = "EMPTY_KEY"
        self.assert_fails("g2", config, 'error: management.api_key_env "EMPTY_KEY" is not set in the environment')
        config = self.generation("g2")
        config["tls"]["ca_cert"] = "/nonexistent/ca.crt"
        self.assert_fails("g2", config, '"msg":"initializing cert cache","error":"reading CA cert: open /nonexistent/ca.crt: no such file or directory"')
        config = self.generation("g2")
        config["proxy"]["upstream_deny_cidrs"] = ["1.2.3.4"]
        self.assert_fails("g2", config, 'error: proxy.upstream_deny_cidrs: invalid CIDR "1.2.3.4": must be CIDR notation, e.g. 1.2.3.4/32 or ::1/128')

    def assert_fails(self, name, config, text):
        proxy = self.launch(name, config, start=False)
        proxy.refuses_to_start = True
        proxy.start(wait=False)
        self.assertEqual(1, proxy.wait())
        self.assertIn(text, proxy.text())
        self.assertLess(len(proxy.text()), 8192)

    def test_a_taken_port_ends_the_start_at_once(self):
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        config = self.generation("g2")
        config["proxy"]["tunnel_listen"] = "127.0.0.1:%d" % taken.getsockname()[1]
        self.assert_fails("g2", config, f"proxy: tunnel: tunnel listen: listen tcp {config['proxy']['tunnel_listen']}: bind: address already in use")

    def test_stop_and_start_on_the_same_ports(self):
        config = self.generation("g2")
        config["proxy"]["tunnel_listen"] = own_address()
        proxy = self.launch("g2", config)
        peer = self.sandbox(proxy, "tunnel")
        peer.request("GET", "/", self.tls_upstream.host("api.openai.com"), [("Authorization", TOKEN)])
        clock = Stopwatch()
        self.assertEqual(0, proxy.stop())
        clock.check(self, 3)
        self.assertEqual(proxy.wait_record("received signal, shutting down")["signal"], "terminated")
        self.assertEqual("iron-proxy stopped", proxy.records()[-1]["msg"])
        again = self.launch("g2", config)
        self.assertEqual(proxy.tunnel, again.tunnel)

    def reload(self, proxy, key=MANAGEMENT_KEY):
        """As the client does it: urllib, an empty POST."""
        request = urllib.request.Request(f"http://127.0.0.1:{proxy.management[1]}/v1/reload", data=b"", method="POST",
                                         headers={"Authorization": f"Bearer {key}"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=15) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def test_token_rotation_by_reload(self):
        proxy = self.launch("g2")
        host = self.tls_upstream.host("api.openai.com")
        peer = self.sandbox(proxy, "tunnel")
        self.assertEqual(200, peer.request("GET", "/before", host, [("Authorization", TOKEN)]).status)
        config = self.generation("g2")
        new = "openai-" + "9" * 32
        config["transforms"][1]["config"]["secrets"][0]["replace"]["proxy_value"] = new
        proxy.write_config("\n".join(yaml_of(config)))
        self.assertEqual((200, {"status": "ok"}), self.reload(proxy))
        # The tunnel that is open uses the new rules.
        self.assertEqual(403, peer.request("GET", "/old", host, [("Authorization", TOKEN)]).status)
        self.assertEqual(200, peer.request("GET", "/new", host, [("Authorization", new)]).status)
        self.assertEqual((401, {"error": "unauthorized"}), self.reload(proxy, "wrong"))
        proxy.write_config("dns: [")
        status, body = self.reload(proxy)
        self.assertEqual(422, status)
        self.assertTrue(body["error"].startswith("parsing config: yaml: "))
        self.assertEqual(200, peer.request("GET", "/still", host, [("Authorization", new)]).status)

    def test_management_is_on_its_own_port_only(self):
        proxy = self.launch("g2")
        for listener in ("tunnel", "http"):
            response = self.plain(proxy, listener).request("POST", "/v1/reload", "127.0.0.1", [("Authorization", f"Bearer {MANAGEMENT_KEY}")])
            self.assertIn(response.status, (403, 405))

    def test_version_needs_nothing(self):
        proxy = Proxy({}, start=False)
        self.addCleanup(proxy.cleanup)
        done = subprocess.run([proxy.command[0], "--version"], env={}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
        self.assertEqual((0, ""), (done.returncode, done.stderr))
        self.assertRegex(done.stdout, r"^0\.39\.0\+cpp\.\d+\.\d+\.\d+\n$")


if __name__ == "__main__":
    main()
