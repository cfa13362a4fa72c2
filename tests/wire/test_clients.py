"""The client programs that sandboxes use, through the port they use, with the CA as their only trust."""
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile

from harness import WireTest, main
from harness.case import KEY, TOKEN, allowlist, secret, secrets
from harness.upstream import answer

CLIENTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clients")
BUILD = os.environ.get("IRON_TEST_BUILD") or tempfile.mkdtemp(prefix="iron-clients-")
EVENTS = [b'data: {"choices":[{"index":0,"delta":{"content":"one"}}]}\n\n', b'data: {"choices":[{"index":0,"delta":{"content":"two"}}]}\n\n', b"data: [DONE]\n\n"]


def once(name, make):
    """A folder below the build, filled once by `make`; tests that run at the same time wait for it. None if it failed."""
    folder = os.path.join(BUILD, "clients-" + name)
    os.makedirs(BUILD, exist_ok=True)
    with open(folder + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(os.path.join(folder, "done")):
            shutil.rmtree(folder, ignore_errors=True)
            os.makedirs(folder)
            try:
                make(folder)
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired, OSError) as error:
                output = getattr(error, "stderr", None) or str(error)
                print(f"{name} is not installable here: {output.strip().splitlines()[-1]}", flush=True)
                return None
            open(os.path.join(folder, "done"), "w", encoding="ascii").close()
    return folder


def make_python(folder):
    run([sys.executable, "-m", "venv", os.path.join(folder, "venv")])
    run([os.path.join(folder, "venv/bin/pip"), "install", "-q", "--disable-pip-version-check", "requests", "httpx", "openai"])


def make_undici(folder):
    with open(os.path.join(folder, "package.json"), "w", encoding="ascii") as handle:
        handle.write('{"private": true}')
    run(["npm", "install", "--silent", "--no-audit", "--no-fund", "undici@6"], cwd=folder)


def run(command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=300, **options)


class Clients(WireTest):
    transforms = [allowlist("*.test"), secrets(secret(match_headers=["Authorization", "x-api-key"], require=True))]

    def setUp(self):
        super().setUp()
        self.url = f"https://{self.tls_upstream.host()}"
        self.tls_upstream.default = self.respond
        self.directory = tempfile.mkdtemp(prefix="iron-client-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    @staticmethod
    def respond(connection, request):
        """200 for the real key only; event streams on /v1/chat/completions, else the body sent comes back."""
        if request.get("Authorization") != f"Bearer {KEY}" and request.get("x-api-key") != KEY:
            connection.send(answer(b"wrong key", "401 Unauthorized"))
        elif b'"stream":true' in request.body.replace(b" ", b""):
            connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            for event in EVENTS:
                connection.send(b"%x\r\n%b\r\n" % (len(event), event))
            connection.send(b"0\r\n\r\n")
        elif request.target == "/v1/models":
            connection.send(answer(b'{"object":"list","data":[{"id":"m1","object":"model","created":1,"owned_by":"x"}]}', fields=[("Content-Type", "application/json")]))
        else:
            connection.send(answer(request.body or b"hello", fields=[("Content-Type", "text/plain")]))

    def environment_of(self, listener, **more):
        proxy = "http://%s:%d" % getattr(self.proxy, listener)
        ca = self.certificates.path("mitm.crt")
        return {"PATH": os.environ["PATH"], "HOME": self.directory, "HTTPS_PROXY": proxy, "https_proxy": proxy, "NO_PROXY": "127.0.0.1,localhost,::1",
                "REQUESTS_CA_BUNDLE": ca, "SSL_CERT_FILE": ca, "CURL_CA_BUNDLE": ca, "NODE_EXTRA_CA_CERTS": ca, "NODE_OPTIONS": "--use-openssl-ca",
                "API_KEY": TOKEN, "BASE_URL": self.url, **more}

    def client(self, *command, listener="http", **options):
        """Standard output of a client that must succeed."""
        env = self.environment_of(listener, **options.pop("env", {}))
        done = subprocess.run(command, env=env, cwd=self.directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240)
        self.assertEqual(0, done.returncode, f"{command[0]}: {done.stderr[-3000:]}\n{self.proxy.text()[-1500:]}")
        return done.stdout

    def both_ports(self):
        for listener in ("http", "tunnel"):
            with self.subTest(listener):
                yield listener

    # -- curl

    def test_curl(self):
        authorization = f"Authorization: Bearer {TOKEN}"
        for listener in self.both_ports():
            for version in ("1.2", "1.3"):
                self.assertEqual("hello", self.client("curl", "-sSf", "--tls-max", version, "-H", authorization, self.url, listener=listener))
            self.assertEqual("hellohello", self.client("curl", "-sSf", "-H", authorization, self.url + "/1", self.url + "/2", listener=listener))
            self.assertEqual("".join(map(bytes.decode, EVENTS)), self.client("curl", "-sSfN", "-H", authorization, "-d", '{"stream":true}', self.url, listener=listener))
        path = os.path.join(self.directory, "upload")
        with open(path, "w", encoding="ascii") as handle:
            handle.write("u" * 2_000_000)
        for more in (["-H", "Expect: 100-continue"], ["-H", "Transfer-Encoding: chunked"]):
            self.assertEqual(2_000_000, len(self.client("curl", "-sSf", "-T", path, "-H", authorization, *more, self.url + "/upload")))
        self.assertEqual("403", self.client("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Authorization: Bearer own", self.url))

    def test_curl_by_socks(self):
        out = self.client("curl", "-sSf", "--proxy", "socks5h://%s:%d" % self.proxy.tunnel, "-H", f"x-api-key: {TOKEN}", self.url, env={"HTTPS_PROXY": "", "https_proxy": ""})
        self.assertEqual("hello", out)

    # -- Python

    def test_python_urllib(self):
        for listener in self.both_ports():
            self.assertEqual("hello\n", self.client(sys.executable, os.path.join(CLIENTS, "urllib_client.py"), listener=listener))

    def python(self):
        folder = once("python", make_python)
        if folder is None:
            self.skipTest("the Python clients are not installable here")
        return os.path.join(folder, "venv/bin/python")

    def test_python_requests(self):
        python = self.python()
        for listener in self.both_ports():
            self.assertEqual("hello 403 uploaded\n", self.client(python, os.path.join(CLIENTS, "requests_client.py"), listener=listener))

    def test_python_httpx(self):
        python = self.python()
        for listener in self.both_ports():
            self.assertEqual("hello 403 uploaded\n", self.client(python, os.path.join(CLIENTS, "httpx_client.py"), listener=listener))

    def test_openai_sdk(self):
        python = self.python()
        for listener in self.both_ports():
            self.assertEqual("m1 onetwo\n", self.client(python, os.path.join(CLIENTS, "openai_client.py"), listener=listener))

    def test_pip(self):
        python = self.python()
        wheel = "demo_of_iron-1.0-py3-none-any.whl"
        path = os.path.join(self.directory, wheel)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("demo_of_iron.py", "x = 1\n")
            archive.writestr("demo_of_iron-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: demo_of_iron\nVersion: 1.0\n")
            archive.writestr("demo_of_iron-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr("demo_of_iron-1.0.dist-info/RECORD", "")
        with open(path, "rb") as handle:
            content = handle.read()
        self.tls_upstream.routes |= {"/simple/demo-of-iron/": answer(f'<a href="/files/{wheel}">{wheel}</a>'.encode(), fields=[("Content-Type", "text/html")]),
                                     f"/files/{wheel}": answer(content)}
        free = self.own_proxy({"transforms": [allowlist("*.test")]})
        self.client(python, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "-d", "out", "--index-url", self.url + "/simple/", "demo-of-iron",
                    env={"HTTPS_PROXY": "http://%s:%d" % free.http, "https_proxy": "http://%s:%d" % free.http, "PIP_CERT": self.certificates.path("mitm.crt")})
        with open(os.path.join(self.directory, "out", wheel), "rb") as handle:
            self.assertEqual(content, handle.read())

    # -- others

    def needs(self, program):
        if shutil.which(program) is None:
            print(f"{program} is not on this machine", flush=True)
            self.skipTest(f"{program} is not on this machine")

    def test_node_core(self):
        self.needs("node")
        for listener in self.both_ports():
            self.assertEqual("hello hello\n", self.client("node", os.path.join(CLIENTS, "core_client.js"), listener=listener))

    def test_node_undici(self):
        self.needs("npm")
        folder = once("undici", make_undici)
        if folder is None:
            self.skipTest("undici is not installable here")
        for listener in self.both_ports():
            self.assertEqual("hello 403\n", self.client("node", os.path.join(CLIENTS, "undici_client.js"), listener=listener, env={"NODE_PATH": os.path.join(folder, "node_modules")}))

    def test_go(self):
        self.needs("go")

        def build(folder):
            run(["go", "build", "-o", os.path.join(folder, "client"), os.path.join(CLIENTS, "client.go")],
                env=os.environ | {"GO111MODULE": "off", "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"})
        folder = once("go", build)
        if folder is None:
            self.skipTest("the Go client does not build here")
        for listener in self.both_ports():
            self.assertEqual("hello 403 uploaded\n", self.client(os.path.join(folder, "client"), listener=listener))

    def test_java(self):
        self.needs("java")
        self.needs("keytool")
        store = os.path.join(self.directory, "trust.p12")
        run(["keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", self.certificates.path("mitm.crt"), "-keystore", store, "-storepass", "changeit", "-storetype", "PKCS12"])
        host, port = self.proxy.http
        out = self.client("java", f"-Djavax.net.ssl.trustStore={store}", "-Djavax.net.ssl.trustStorePassword=changeit", os.path.join(CLIENTS, "Client.java"), host, str(port))
        self.assertEqual("hello 403\n", out)

    def test_git(self):
        self.needs("git")
        repository = os.path.join(self.directory, "repository")
        bare = repository + ".git"
        git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
        env = {"PATH": os.environ["PATH"], "HOME": self.directory}
        for command in ([*git, "init", "-q", repository], [*git, "-C", repository, "commit", "-q", "--allow-empty", "-m", "first"],
                        [*git, "clone", "-q", "--bare", repository, bare], [*git, "-C", bare, "update-server-info"]):
            run(command, env=env)
        for folder, _, names in os.walk(bare):
            for name in names:
                path = os.path.join(folder, name)
                with open(path, "rb") as handle:
                    self.tls_upstream.routes["/r.git" + path.removeprefix(bare)] = answer(handle.read())
        self.tls_upstream.default = answer(b"", "404 Not Found")
        free = self.own_proxy({"transforms": [allowlist("*.test")]})
        self.client("git", "clone", "-q", self.url + "/r.git", "copy", env={"https_proxy": "http://%s:%d" % free.tunnel, "GIT_SSL_CAINFO": self.certificates.path("mitm.crt")})
        self.assertTrue(os.path.isdir(os.path.join(self.directory, "copy", ".git")))


if __name__ == "__main__":
    main()
