"""Command line and configuration errors of the real binary: exact texts, channels and exit statuses."""
import os
import subprocess
import tempfile

from harness import WireTest, main
from harness.proxy import BINARY

USAGE = f"""Usage of {BINARY}:
  -config string
    \tpath to iron-proxy YAML config file
  -enrollment-token string
    \tenrollment token for control plane registration
"""


class CommandLine(WireTest):
    starts_proxy = False

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="iron-cli-")
        self.addCleanup(folder.cleanup)
        self.directory = folder.name

    def run_binary(self, *arguments, env=None):
        done = subprocess.run([BINARY, *arguments], env={"HOME": self.directory, "PATH": os.environ["PATH"]} | (env or {}), cwd=self.directory,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    def write(self, text):
        path = os.path.join(self.directory, "proxy.yaml")
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(text)
        return path

    def test_version(self):
        answers = {self.run_binary(name, "ignored") for name in ("version", "--version", "-v")}
        self.assertEqual(1, len(answers))
        code, out, err = answers.pop()
        self.assertEqual((0, ""), (code, err))
        self.assertRegex(out, r"^0\.39\.0\+cpp\.\S+\n$")

    def test_help(self):
        for flag in ("-h", "-help", "--help"):
            self.assertEqual((0, "", USAGE), self.run_binary(flag))

    def test_flag_errors(self):
        for arguments, first in ((["-bogus"], "flag provided but not defined: -bogus"), (["--version=1"], "flag provided but not defined: -version"),
                                 (["-version"], "flag provided but not defined: -version"), (["--config"], "flag needs an argument: -config"),
                                 (["-=x"], "bad flag syntax: -=x"), (["---"], "bad flag syntax: ---")):
            with self.subTest(arguments):
                self.assertEqual((2, "", f"{first}\n{USAGE}"), self.run_binary(*arguments))

    def test_configuration_errors(self):
        base = "dns: {proxy_ip: 127.0.0.1}\n"
        for text, error in (("", "parsing config: EOF"), ("# only a comment\n", "parsing config: EOF"), ("{}\n", "dns.proxy_ip is required"),
                            (base, "tls.ca_cert is required"), (base + "tls: {ca_cert: x}\n", "tls.ca_key is required"),
                            (base + "tls: {mode: foo}\n", 'tls.mode must be "mitm" or "sni-only"; got "foo"'),
                            ("log: {level: INFO}\n", 'unknown log level: "INFO"'),
                            ("proxy:\n  max_request_body_bytes: x\n  zzz: 1\n",
                             "parsing config: yaml: unmarshal errors:\n  line 2: cannot unmarshal !!str `x` into int64\n  line 3: field zzz not found in type config.Proxy"),
                            ("proxy: {limits: {zzz: 1}}\n", "parsing config: yaml: unmarshal errors:\n  line 1: field zzz not found in type config.Limits"),
                            ("log: {}\nlog: {}\n", 'parsing config: yaml: unmarshal errors:\n  line 2: mapping key "log" already defined at line 1'),
                            ("proxy: {upstream_response_header_timeout: 30}\n", 'parsing config: time: missing unit in duration "30"'),
                            ("Log: {}\n", "parsing config: yaml: unmarshal errors:\n  line 1: field Log not found in type config.Config"),
                            (base + "tls: {ca_cert: x, ca_key: x}\nproxy: {upstream_response_header_timeout: -5s}\n",
                             "proxy.upstream_response_header_timeout must be positive; got -5s"),
                            (base + "tls: {ca_cert: x, ca_key: x}\nproxy: {drain_timeout: -5s}\n", "proxy.drain_timeout must not be negative; got -5s"),
                            (base + "tls: {ca_cert: x, ca_key: x}\nproxy: {limits: {idle_timeout: -1m30s}}\n", "proxy.limits.idle_timeout must be positive; got -1m30s"),
                            (base + "tls: {ca_cert: x, ca_key: x}\nlog: {when_full: block}\n", 'log.when_full must be "wait" or "drop"; got "block"')):
            with self.subTest(error):
                self.assertEqual((1, "", f"error: {error}\n"), self.run_binary("-config", self.write(text)))

    def test_files_that_cannot_be_read(self):
        for path, error in (("/nonexistent.yaml", "opening config file: open /nonexistent.yaml: no such file or directory"),
                            (self.directory, f"parsing config: yaml: input error: read {self.directory}: is a directory")):
            self.assertEqual((1, "", f"error: {error}\n"), self.run_binary("-config", path))

    def test_environment(self):
        for name, value, error in (("IRON_PROXY_MAX_REQUEST_BODY_BYTES", "x", 'strconv.ParseInt: parsing "x": invalid syntax'),
                                   ("IRON_TLS_CERT_CACHE_SIZE", "0x10", 'strconv.Atoi: parsing "0x10": invalid syntax'),
                                   ("IRON_PROXY_UPSTREAM_RESPONSE_HEADER_TIMEOUT", "5", 'time: missing unit in duration "5"'),
                                   ("IRON_PROXY_UPSTREAM_DENY_CIDRS", ",", "empty CIDR entry"),
                                   ("IRON_PROXY_UPSTREAM_DENY_CIDRS", "10.0.0.0/8, 1.2.3.4", 'invalid CIDR "1.2.3.4": must be CIDR notation, e.g. 1.2.3.4/32 or ::1/128'),
                                   ("IRON_DNS_ENABLED", "x", 'strconv.ParseBool: parsing "x": invalid syntax')):
            with self.subTest(name):
                self.assertEqual((1, "", f"error: {name}: {error}\n"), self.run_binary(env={name: value}))

    def test_management_by_environment_alone(self):
        tls = {"IRON_DNS_ENABLED": "0", "IRON_TLS_MODE": "sni-only", "IRON_MANAGEMENT_LISTEN": "127.0.0.1:0"}
        error = "management.listen requires --config in standalone mode; /v1/reload has no file to re-read"
        self.assertEqual((1, "", f"error: {error}\n"), self.run_binary(env=tls))
        path = self.write("{}\n")
        error = 'management.api_key_env "IRON_MANAGEMENT_API_KEY" is not set in the environment'
        self.assertEqual((1, "", f"error: {error}\n"), self.run_binary("-config", path, env=tls))
        path = self.write("management: {api_key_env: OTHER_KEY}\n")
        self.assertEqual((1, "", 'error: management.api_key_env "OTHER_KEY" is not set in the environment\n'), self.run_binary("-config", path, env=tls))

    def test_transform_faults_are_records(self):
        for transforms, error in (("[{name: nope}]", r'unknown transform \"nope\": unknown transform: \"nope\"'),
                                  ("[{name: allowlist, config: {cidrs: [1.2.3.4]}}]", r'initializing transform \"allowlist\": parsing CIDR \"1.2.3.4\": invalid CIDR address: 1.2.3.4'),
                                  ("[{name: secrets, config: {secrets: [{}]}}]", r'initializing transform \"secrets\": secrets[0]: must specify either inject or replace')):
            with self.subTest(error):
                code, out, err = self.run_binary("-config", self.write(f"transforms: {transforms}\n"))
                self.assertEqual((1, ""), (code, out))
                self.assertIn(f'"level":"ERROR","msg":"building transform pipeline","error":"{error}"', err)

    def test_what_is_not_built_is_named(self):
        for text, name in (("mcp: {servers: []}\n", "mcp"), ("postgres: {servers: []}\n", "postgres")):
            code, _, err = self.run_binary("-config", self.write("dns: {proxy_ip: 127.0.0.1}\n" + text))
            self.assertEqual((1, f"error: {name} is not supported by this build\n"), (code, err))
        code, _, err = self.run_binary("-config", self.write("transforms: [{name: judge}]\n"))
        self.assertEqual(1, code)
        self.assertIn(r'transform \"judge\" is not supported by this build', err)

    def test_generate_ca_errors(self):
        self.assertEqual(0, self.run_binary("generate-ca", "-outdir", "ca", "-alg", "ed25519")[0])
        for arguments, code, first in ((["-outdir", "ca", "-alg", "ed25519"], 1, "error: creating ca/ca.crt: open ca/ca.crt: file exists"),
                                       (["-alg", "foo"], 1, 'error: unsupported algorithm "foo" (use rsa4096 or ed25519)'),
                                       (["-expiry-hours", "abc"], 2, 'invalid value "abc" for flag -expiry-hours: parse error')):
            got = self.run_binary("generate-ca", *arguments)
            self.assertEqual((code, "", first), (got[0], got[1], got[2].splitlines()[0]))


if __name__ == "__main__":
    main()
