"""Keys that programs write: 1Password's `op`, and a credential_process of AWS; and the process that runs them."""
import json
import os
import random
import shutil
import signal
import tempfile
import unittest

from harness import WireTest, main, read_text, wait_until
from harness.case import KEY, TOKEN, allowlist, secret, secrets
from harness.sigv4 import Signed
from test_memory import find_key
from test_replaced_files import children, gone

# Of random bytes: what else holds the beginning of such a text by chance is no finding.
OP_TOKEN = "ops_" + "%096x" % random.getrandbits(384)
OTHER_KEY = "sk-other-" + "%096x" % random.getrandbits(384)
MANAGEMENT_KEY = "wire-management-key"
REFERENCE = "op://Eng/OpenAI/key"
UNAVAILABLE = "failed to fetch secret, caching error"
ONLY_AT_THE_START = "a program can be run only if the configuration at the start had one"
ACCESS_KEY = "ASIAPROGRAM123456789"
SECRET_KEY = "program/secret+key0123456789abcdefghijA"


def of_op(reference=REFERENCE, **more):
    return {"source": {"type": "1password", "secret_ref": reference, **more},
            "replace": {"proxy_value": TOKEN, "match_headers": ["Authorization"]}, "rules": [{"host": "*.test"}]}


def workload():
    return {"name": "aws_auth", "config": {"credentials_provider": {"type": "workload_identity", "region": "eu-west-1"}, "rules": [{"host": "*.test"}]}}


def runner_of(proxy):
    """The processes of that name below the proxy."""
    return [pid for pid in children(proxy.pid) if read_text(f"/proc/{pid}/comm").strip() == "program-runner"]


class Programs(WireTest):
    """`directory` stands in PATH."""

    starts_proxy = False
    gives_keys = True
    config = {"management": {"listen": "127.0.0.1:0", "api_key_env": "WIRE_MANAGEMENT"}}

    def setUp(self):
        super().setUp()
        self.directory = tempfile.mkdtemp(prefix="iron-programs-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.environment = {"PATH": f"{self.directory}:/usr/bin:/bin", "WIRE_MANAGEMENT": MANAGEMENT_KEY, "OP_SERVICE_ACCOUNT_TOKEN": OP_TOKEN,
                            "OTHER_KEY": OTHER_KEY}

    def program(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(f"#!/bin/sh\n{text}\n")
        os.chmod(path, 0o755)
        return path

    def path(self, name):
        return os.path.join(self.directory, name)

    def noted(self, name):
        """What a program wrote down."""
        wait_until(lambda: read_text(self.path(name)).endswith("\n"), name)
        return read_text(self.path(name))

    def start(self, *transforms, over=None, env=None):
        over = {"transforms": [allowlist("*.test"), *transforms]} | (over or {})
        proxy = self.own_proxy(over, self.environment | (env or {}))
        self.addCleanup(lambda: self.assertFalse([value for value in (OP_TOKEN, OTHER_KEY, MANAGEMENT_KEY, SECRET_KEY) if value in proxy.text()]))
        return proxy

    def ask(self, proxy):
        return self.plain(proxy).request("GET", "/", self.upstream.host(), [("Authorization", f"Bearer {TOKEN}")])

    def sent(self, proxy):
        """What the origin got in the place of the token."""
        self.upstream.forget()
        self.assertEqual(200, self.ask(proxy).status)
        return self.upstream.requests[-1].get("Authorization")

    def failure(self, proxy):
        """Why there is no key: the token goes out as it is."""
        self.assertEqual(f"Bearer {TOKEN}", self.sent(proxy))
        return proxy.wait_record(UNAVAILABLE)["error"]

    def reload(self, proxy, *transforms):
        proxy.write_config(proxy.config | {"transforms": [allowlist("*.test"), *transforms]})
        answered = self.plain(proxy, "management").request("POST", "/v1/reload", "127.0.0.1",
                                                           [("Authorization", f"Bearer {MANAGEMENT_KEY}"), ("Content-Length", "0")])
        return answered.status, answered.body.decode()


class OnePassword(Programs):
    FRONT = f'resolving 1password secret "{REFERENCE}": '

    def test_the_key_is_what_op_writes(self):
        self.program("op", f'echo "$@" >>{self.path("asked")}; env >{self.path("env")}; printf %s "{KEY}"')
        for over in ({}, {"hardening": "off"}):
            with self.subTest(over):
                proxy = self.start(secrets(of_op()), over=over)
                for _ in range(2):
                    self.assertEqual(f"Bearer {KEY}", self.sent(proxy))
                self.assertEqual(f"read --no-newline {REFERENCE}\n", self.noted("asked"))
                os.unlink(self.path("asked"))
                environment = dict(line.split("=", 1) for line in self.noted("env").splitlines())
                self.assertEqual(OP_TOKEN, environment["OP_SERVICE_ACCOUNT_TOKEN"])
                self.assertEqual(proxy.directory, environment["HOME"])
                self.assertEqual(set(), {"OTHER_KEY", "WIRE_MANAGEMENT", "WIRE_KEY"} & set(environment))

    def test_the_token_of_another_variable(self):
        self.program("op", f'printf %s "$OP_SERVICE_ACCOUNT_TOKEN" >{self.path("token")}; printf %s "{KEY}"')
        self.assertEqual(f"Bearer {KEY}", self.sent(self.start(secrets(of_op(token_env="OTHER_KEY")))))
        self.assertEqual(OTHER_KEY, read_text(self.path("token")))

    def test_why_there_is_no_key(self):
        for script, text in (
                ('echo first >&2; echo "[ERROR] no item" >&2; exit 1', self.FRONT + "[ERROR] no item"),
                ("exit 6", self.FRONT + "exit status 6"),
                ('echo "bad $OP_SERVICE_ACCOUNT_TOKEN" >&2; exit 1', self.FRONT + "exit status 1"),
                ("exit 0", f'1password secret "{REFERENCE}" resolved to empty value'),
                ("exec head -c 2000000 /dev/zero", self.FRONT + "it wrote more than 1048576 bytes")):
            with self.subTest(script):
                self.program("op", script)
                self.assertEqual(text, self.failure(self.start(secrets(of_op()))))

    def test_without_the_program(self):
        proxy = self.start(secrets(of_op()), env={"PATH": self.directory})
        self.assertEqual('creating 1password client: 1Password service account support needs the "op" program in PATH', self.failure(proxy))
        self.assertEqual([], runner_of(proxy))
        self.assertEqual({"secret_unavailable": [REFERENCE]}, proxy.wait_record("request")["request_transforms"][1]["annotations"])

    def test_a_slow_one_keeps_nobody_else(self):
        os.mkfifo(self.path("gate"))
        self.program("op", f'case "$3" in *slow*) cat {self.path("gate")};; *) printf %s "{KEY}";; esac')
        slow = of_op("op://Eng/slow/key") | {"rules": [{"host": "slow.test"}]}
        proxy = self.start(secrets(slow, of_op() | {"rules": [{"host": "up.test"}]}))
        waiting = self.plain(proxy)
        waiting.send_request("GET", "/", self.upstream.host("slow.test"), [("Authorization", f"Bearer {TOKEN}")])
        peer = self.plain(proxy)
        self.assertEqual(200, peer.request("GET", "/", self.upstream.host("up.test"), [("Authorization", f"Bearer {TOKEN}")]).status)
        self.assertEqual(f"Bearer {KEY}", self.upstream.requests[-1].get("Authorization"))
        with open(self.path("gate"), "w", encoding="utf-8") as gate:
            gate.write(OTHER_KEY)
        self.assertEqual(200, waiting.read_response().status)
        self.assertEqual(f"Bearer {OTHER_KEY}", self.upstream.requests[-1].get("Authorization"))

    def test_reloads(self):
        self.program("op", f'printf %s "{KEY}"')
        without = self.start(secrets(secret()))
        status, text = self.reload(without, secrets(of_op()))
        self.assertEqual(422, status)
        self.assertIn(ONLY_AT_THE_START, text)
        self.assertEqual(f"Bearer {KEY}", self.sent(without))
        self.assertEqual([], runner_of(without))
        proxy = self.start(secrets(of_op()))
        self.assertEqual(200, self.reload(proxy, secrets(of_op(ttl="1h")))[0])
        self.assertEqual(f"Bearer {KEY}", self.sent(proxy))
        # What is asked for is fixed as well.
        self.assertEqual(422, self.reload(proxy, secrets(of_op("op://Eng/Other/key")))[0])


class Runner(Programs):
    def start_running(self):
        """A proxy that waits for a program, its runner and that program."""
        self.program("op", f'echo $$ >{self.path("own")}; exec sleep 1000')
        proxy = self.start(secrets(of_op()))
        self.plain(proxy).send_request("GET", "/", self.upstream.host(), [("Authorization", f"Bearer {TOKEN}")])
        [runner] = runner_of(proxy)
        return proxy, runner, int(self.noted("own"))

    @unittest.skipIf(os.environ.get("IRON_SANITIZE"), "the sanitizers' own allocators keep freed memory")
    def test_it_holds_no_key(self):
        self.program("op", f'printf %s "$(cat {self.path("value")})"')
        with open(self.path("value"), "w", encoding="utf-8") as handle:
            handle.write(OTHER_KEY)
        held = "sk-held-" + "%096x" % random.getrandbits(384)
        proxy = self.start(secrets(of_op(ttl="-1ns"), secret(host="other.test")), env={"WIRE_KEY": held, "OTHER_KEY": ""})
        for _ in range(5):
            self.assertEqual(f"Bearer {OTHER_KEY}", self.sent(proxy))
        [runner] = runner_of(proxy)
        for key in (OP_TOKEN, OTHER_KEY, held, MANAGEMENT_KEY):
            found, _, exempt, size = find_key(runner, key.encode())
            self.assertEqual(([], []), (found, exempt))
            self.assertGreater(size, 1 << 16)
        with open(f"/proc/{runner}/environ", "rb") as handle:
            values = [entry.split(b"=", 1)[1] for entry in handle.read().split(b"\0") if b"=" in entry]
        self.assertEqual({b""}, {value.strip() for value in values})

    def test_it_is_not_taken_for_the_server(self):
        self.program("op", "exit 0")
        [runner] = runner_of(self.start(secrets(of_op())))
        for name in ("cmdline", "comm"):
            self.assertNotIn("iron-proxy", read_text(f"/proc/{runner}/{name}"))
        self.assertEqual({"/dev/null"}, {os.readlink(f"/proc/{runner}/fd/{number}") for number in (0, 1, 2)})
        self.assertEqual(5, len(os.listdir(f"/proc/{runner}/fd")))

    def test_the_proxy_is_killed(self):
        proxy, runner, program = self.start_running()
        proxy.process.kill()
        proxy.process.wait()
        wait_until(lambda: gone(runner) and gone(program), "the end of the runner and of what it ran")

    def test_orderly_end(self):
        proxy, runner, program = self.start_running()
        # To the whole group, as terminals and supervisors do it: the runner ends behind the proxy.
        os.kill(runner, signal.SIGTERM)
        os.kill(runner, signal.SIGINT)
        proxy.send_signal(signal.SIGTERM)
        proxy.wait_record("received signal, shutting down")
        proxy.send_signal(signal.SIGTERM)
        self.assertEqual(0, proxy.wait())
        wait_until(lambda: gone(runner) and gone(program), "the end of the runner and of what it ran")

    def test_it_is_killed(self):
        proxy, runner, program = self.start_running()
        os.kill(runner, signal.SIGKILL)
        wait_until(lambda: gone(program), "the end of what it ran")
        self.assertEqual(f'resolving 1password secret "{REFERENCE}": the program runner is gone', proxy.wait_record(UNAVAILABLE)["error"])
        self.assertEqual(f"Bearer {TOKEN}", self.sent(proxy))


class CredentialProcess(Programs):
    def start_with(self, command, *more, profile="p"):
        text = f"[profile {profile}]\ncredential_process = {command}\n[profile role]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = {profile}\n"
        with open(self.path("config"), "w", encoding="utf-8") as handle:
            handle.write(text)
        return self.start(workload(), *more, env={"AWS_CONFIG_FILE": self.path("config"), "AWS_PROFILE": profile, "AWS_EC2_METADATA_DISABLED": "true"})

    def ask(self, proxy):
        scope = "Credential=PLACEHOLDER/20261124/eu-west-1/s3/aws4_request"
        return self.plain(proxy).request("GET", "/k", self.upstream.host(),
                                         [("Authorization", f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=00")])

    def error_of(self, proxy):
        self.assertEqual(502, self.ask(proxy).status)
        return proxy.wait_record("request")["request_transforms"][1]["annotations"]["error"]

    def test_its_keys_sign(self):
        keys = json.dumps({"Version": 1, "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY})
        program = self.program("keys", f"echo \"$#|$1|$AWS_PROFILE|$OP_SERVICE_ACCOUNT_TOKEN|$OTHER_KEY\" >{self.path('asked')}; printf %s '{keys}'")
        proxy = self.start_with(f'"{program}" "a b"')
        answered = self.ask(proxy)
        self.assertEqual(200, answered.status, answered.body)
        signed = Signed(self.upstream.requests[-1], SECRET_KEY)
        self.assertEqual(([], ACCESS_KEY), (signed.problems, signed.access_key))
        self.assertEqual("1|a b|p||\n", self.noted("asked"))
        self.assertEqual(200, self.reload(proxy, workload())[0])
        # The command of a later file is none of the start.
        with open(self.path("config"), "w", encoding="utf-8") as handle:
            handle.write(f"[profile p]\ncredential_process = {program} other\n")
        status, text = self.reload(proxy, workload())
        self.assertEqual(422, status)
        self.assertIn(ONLY_AT_THE_START, text)

    def test_why_there_are_none(self):
        front = "failed to refresh cached credentials, error in credential_process: "
        program = self.program("keys", "echo 'log in first' >&2; exit 1")
        self.assertEqual(front + "log in first", self.error_of(self.start_with(program)))
        missing = self.path("none")
        self.assertEqual(front + f"{missing}: no such file or directory", self.error_of(self.start_with(missing)))

    def test_without_one_there_is_no_runner(self):
        proxy = self.start(workload(), env={"AWS_EC2_METADATA_DISABLED": "true"})
        self.assertEqual([], runner_of(proxy))


if __name__ == "__main__":
    main()
