"""Every file of config-examples/ is loaded by the real binary, with only its paths and ports made local."""
import glob
import os
import re
import ssl
import subprocess

from harness import Proxy, WireTest, main
from harness.proxy import BINARY

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "config-examples")
ENVIRONMENT = {"OPENAI_API_KEY": "k1-0123456789abcdef", "OPENROUTER_API_KEY": "k2-0123456789abcdef", "QUICKSTART_API_KEY": "k3-0123456789abcdef",
               "GIT_TOKEN": "k4-0123456789abcdef", "REGISTRY_BASIC_PASSWORD": "k5-0123456789abcdef",
               "HERMES_IRON_PROXY_MGMT_KEY": "hermes-mgmt-0123"}


class Examples(WireTest):
    starts_proxy = False

    def local(self, text, directory):
        text = re.sub(r"(127\.0\.0\.\d+):(9\d{3})", r"\1:0", text)
        text = re.sub(r"ca_cert: .*", f"ca_cert: {self.certificates.path('mitm.crt')}", text)
        text = re.sub(r"ca_key: .*", f"ca_key: {self.certificates.path('mitm.key')}", text)
        return re.sub(r"audit_path: .*", f"audit_path: {directory}/audit.log", text)

    def test_each_example_starts_and_has_its_effect(self):
        paths = sorted(glob.glob(os.path.join(EXAMPLES, "*.yaml")))
        self.assertGreaterEqual(len(paths), 7)
        for path in paths:
            with self.subTest(os.path.basename(path)):
                with open(path, encoding="utf-8") as handle:
                    text = handle.read()
                proxy = Proxy({}, ENVIRONMENT, start=False)
                self.addCleanup(self._finish, proxy)
                proxy.write_config(self.local(text, proxy.directory))
                proxy.config = {"proxy": {"http_listen": "x", "http_listens": ["a"] if "http_listens" in text else [], "tunnel_listen": "x"},
                                "dns": {"enabled": "enabled: false" not in text}, "management": {"listen": "x" if "\nmanagement:" in text else ""}}
                proxy.start()
                # What a configuration risks may be said, that something in it has no effect may not.
                expected = ["secret value is written in the configuration"] if "control-plane" in path else []
                self.assertEqual(expected, [record["msg"] for record in proxy.records()
                                            if record["level"] in ("WARN", "ERROR") and record["msg"] != "risky setting"])

    def test_generate_ca_makes_what_the_proxy_loads(self):
        for algorithm in ("ed25519", "rsa4096"):
            with self.subTest(algorithm):
                proxy = Proxy({}, start=False)
                self.addCleanup(self._finish, proxy)
                done = subprocess.run([BINARY, "generate-ca", "-outdir", f"{proxy.directory}/ca", "-name", "Mine", "-alg", algorithm], capture_output=True,
                                      text=True, env=proxy.env, check=True)
                self.assertEqual(f"wrote {proxy.directory}/ca/ca.crt\nwrote {proxy.directory}/ca/ca.key\n", done.stdout)
                self.assertEqual((0o644, 0o600), tuple(os.stat(f"{proxy.directory}/ca/{name}").st_mode & 0o777 for name in ("ca.crt", "ca.key")))
                proxy.config = self.base_config() | {"tls": {"ca_cert": f"{proxy.directory}/ca/ca.crt", "ca_key": f"{proxy.directory}/ca/ca.key"}}
                proxy.write_config(proxy.config)
                proxy.env |= self.base_environment()
                proxy.start()
                context = ssl.create_default_context(cafile=f"{proxy.directory}/ca/ca.crt")
                peer = self.tls_tunnel(self.tls_upstream.host(), proxy=proxy, context=context)
                self.assertEqual(200, peer.request("GET", "/", self.tls_upstream.host()).status)


if __name__ == "__main__":
    main()
