"""The base of the client tests: the environment of a sandbox, a program run in it, and what the origin must have seen."""
import base64
import os
import re
import shutil
import subprocess
import tempfile

from harness import WireTest
from harness.case import KEY, TOKEN, allowlist, secret, secrets
from harness.waiting import SLOWNESS

from . import install
from .api import api
from .origins import challenged

DENIED = "denied.example"
# `require` for clients that ask without a credential first and wait for the challenge.
WAITS = "when_sent"
DENIALS = {}  # test name: what its client printed about a host that is denied


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class ClientTest(WireTest):
    """`client` runs a program that must succeed, `denied` one that asks for a host that no rule admits.

    The program has the proxy in its environment, and of our CA only the variables that the test gives: what a test
    does not set, the client does not need. The origin knows the real key alone; each test ends with a look at what it got.
    """

    headers = ["Authorization", "x-api-key"]
    require = True
    scrub = "off"
    skipped = False
    sees_key = True  # False for tests of what needs no key

    @classmethod
    def base_config(cls):
        entry = secret(match_headers=cls.headers, **({"require": cls.require} if cls.require else {}))
        entry["scrub_responses"] = cls.scrub
        return super().base_config() | {"transforms": [allowlist("*.test"), secrets(entry)]}

    def setUp(self):
        super().setUp()
        self.url = f"https://{self.tls_upstream.host()}"
        self.denied_url = f"https://{DENIED}"
        self.directory = tempfile.mkdtemp(prefix="iron-client-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.ca = self.certificates.path("mitm.crt")
        self.tls_upstream.default = self.origin()

    def origin(self):
        """What answers: an API that takes the real key alone. Tests of packages and repositories have their own."""
        return challenged(self.has_key, api)

    def tearDown(self):
        super().tearDown()
        if not self.skipped:
            self.check_credentials()

    def check_credentials(self):
        """The real key arrived, the token nowhere, in any of the forms that a client gives it."""
        raw = [request.raw + request.body for request in self.tls_upstream.requests]
        decoded = [self.basic_of(request) for request in self.tls_upstream.requests]
        if self.sees_key:
            self.assertTrue(any(KEY.encode() in text for text in raw) or any(KEY in text for text in decoded), "the origin never saw the real key")
        self.assertFalse(any(TOKEN.encode() in text for text in raw) or any(TOKEN in text for text in decoded), "the origin saw the token")

    @staticmethod
    def basic_of(request):
        """What a Basic credential holds, decoded."""
        scheme, _, value = (request.get("Authorization") or "").partition(" ")
        return base64.b64decode(value).decode("utf-8", "replace") if scheme.lower() == "basic" else ""

    @classmethod
    def has_key(cls, request):
        """True for the real key in one of the places that APIs take it from."""
        return (request.get("Authorization") in (KEY, f"Bearer {KEY}", f"token {KEY}", f"Token {KEY}") or cls.basic_of(request).endswith(":" + KEY)
                or KEY in (request.get("x-api-key"), request.get("x-goog-api-key"), request.get("Private-Token")))

    def proxy_url(self, listener="tunnel"):
        return "http://%s:%d" % getattr(self.proxy, listener)

    def environment_of(self, listener, ca=(), **more):
        proxy = self.proxy_url(listener)
        return {"PATH": os.environ["PATH"], "HOME": self.directory, "LANG": "C.UTF-8", "HTTPS_PROXY": proxy, "https_proxy": proxy,
                "API_KEY": TOKEN, "BASE_URL": self.url, **{name: self.ca for name in ca}, **more}

    def start(self, command, listener="tunnel", ca=(), env=None, cwd=None, seconds=120):
        """The finished process of a program inside the sandbox."""
        environment = self.environment_of(listener, ca, **(env or {}))
        return subprocess.run(command, env=environment, cwd=cwd or self.directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds * SLOWNESS)

    def client(self, *command, **options):
        """Standard output of a client that must succeed."""
        done = self.start(command, **options)
        self.assertEqual(0, done.returncode, f"{command[0]}: {(done.stdout + done.stderr)[-3000:]}\n{self.proxy.text()[-1500:]}")
        return done.stdout

    def denied(self, says, *command, **options):
        """The client asks for a denied host: the proxy records the refusal, the client fails and says why within its output."""
        options["env"] = {"BASE_URL": self.denied_url} | options.get("env", {})
        done = self.start(command, **options)
        output = done.stdout + done.stderr
        self.proxy.wait_request(host=DENIED + ":443", action="reject")
        self.assertNotEqual(0, done.returncode, output)
        self.assertRegex(output, says)
        found = [line for line in output.splitlines() if re.search(says, line)][-1]
        DENIALS[self._testMethodName.removeprefix("test_")] = found.replace(self.proxy_url(options.get("listener", "tunnel")), "PROXY").strip()

    def both_ports(self):
        for listener in ("http", "tunnel"):
            with self.subTest(listener):
                yield listener

    # -- what a test needs, or else it is skipped with a line that says why

    def skip(self, reason):
        self.skipped = True
        print(f"{self._testMethodName.removeprefix('test_')}: skipped: {reason}", flush=True)
        self.skipTest(reason)

    def needs(self, program):
        if shutil.which(program) is None:
            self.skip(f"{program} is not on this machine")

    def python(self, nightly=False):
        folder = install.python(nightly)
        return folder or self.skip("the Python clients are not installable here")

    def node_modules(self, nightly=False):
        self.needs("npm")
        folder = install.node(nightly)
        return folder or self.skip("the packages of Node are not installable here")

    def installed(self, name, make, *pinned_by):
        return install.once(name, make, *pinned_by) or self.skip(f"{name} is not installable here")

    def java_trust(self):
        """The options with which a JVM trusts the CA of the proxy alone."""
        store = self.path("trust.p12")
        install.run(["keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", self.ca, "-keystore", store, "-storepass", "changeit", "-storetype", "PKCS12"])
        return [f"-Djavax.net.ssl.trustStore={store}", "-Djavax.net.ssl.trustStorePassword=changeit"]

    @staticmethod
    def program(name):
        return os.path.join(install.PROGRAMS, name)

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def write(self, name, text):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as handle:
            handle.write(text if isinstance(text, bytes) else text.encode())
        return path
