"""The client programs that sandboxes use, through the port they use, with the CA as their only trust.

What each needs is in docs/clients.md; the clients that are too many or too large for each change are in tests/clients.
"""
import os
import subprocess
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../clients"))

from harness import main
from harness.case import TOKEN
from matrix import origins
from matrix.api import EVENTS
from matrix.case import WAITS, ClientTest
from matrix.install import run

PUSHED = 20_000_000  # bytes


class Curl(ClientTest):
    CA = ("CURL_CA_BUNDLE",)

    def test_curl(self):
        authorization = f"Authorization: Bearer {TOKEN}"
        for listener in self.both_ports():
            for version in ("1.2", "1.3"):
                self.assertEqual("hello", self.client("curl", "-sSf", "--tls-max", version, "-H", authorization, self.url, listener=listener, ca=self.CA))
            self.assertEqual("hellohello", self.client("curl", "-sSf", "-H", authorization, self.url + "/1", self.url + "/2", listener=listener, ca=self.CA))
            self.assertEqual("".join(map(bytes.decode, EVENTS)), self.client("curl", "-sSfN", "-H", authorization, "-d", '{"stream":true}', self.url, listener=listener, ca=self.CA))
        path = self.write("upload", "u" * 2_000_000)
        for more in (["-H", "Expect: 100-continue"], ["-H", "Transfer-Encoding: chunked"]):
            self.assertEqual(2_000_000, len(self.client("curl", "-sSf", "-T", path, "-H", authorization, *more, self.url + "/upload", ca=self.CA)))
        self.assertEqual("403", self.client("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Authorization: Bearer own", self.url, ca=self.CA))
        self.denied("403", "curl", "-sSf", self.denied_url, ca=self.CA)

    def test_curl_by_socks(self):
        out = self.client("curl", "-sSf", "--proxy", "socks5h://%s:%d" % self.proxy.tunnel, "-H", f"x-api-key: {TOKEN}", self.url, ca=self.CA, env={"HTTPS_PROXY": "", "https_proxy": ""})
        self.assertEqual("hello", out)


class Python(ClientTest):
    def check(self, name, expected, says, ca, python=None):
        command = [python or os.path.join(self.python(), "python"), self.program(name)]
        for listener in self.both_ports():
            self.assertEqual(expected, self.client(*command, listener=listener, ca=[ca]))
        self.denied(says, *command, ca=[ca])

    def test_urllib(self):
        self.check("urllib_client.py", "hello\n", "403", "SSL_CERT_FILE", sys.executable)

    def test_requests(self):
        self.check("requests_client.py", "hello 403 uploaded 3\n", "403", "REQUESTS_CA_BUNDLE")

    def test_httpx(self):
        self.check("httpx_client.py", "hello 403 uploaded 3\n", "403", "SSL_CERT_FILE")

    def test_openai_python(self):
        self.check("openai_client.py", "m1 onetwo\n", "403|APIConnectionError", "SSL_CERT_FILE")


class Pip(ClientTest):
    def origin(self):
        return origins.challenged(self.has_key, origins.python_index())

    def test_pip(self):
        index = f"https://user:{TOKEN}@{self.tls_upstream.host()}/simple/"
        command = [os.path.join(self.python(), "pip"), "download", "--disable-pip-version-check", "--retries", "1", "--no-deps", "-d", "out"]
        self.client(*command, "--index-url", index, "demo-of-iron", ca=["PIP_CERT"])
        with open(self.path("out", origins.WHEEL), "rb") as handle:
            self.assertEqual(origins.wheel(), handle.read())
        self.assertTrue(all(map(self.has_key, self.tls_upstream.requests)))
        self.denied("403", *command, "--index-url", self.denied_url, "demo-of-iron", ca=["PIP_CERT"])


class Node(ClientTest):
    def test_node_core(self):
        self.needs("node")
        for listener in self.both_ports():
            self.assertEqual("hello hello\n", self.client("node", self.program("core_client.js"), listener=listener, ca=["NODE_EXTRA_CA_CERTS"]))

    def test_undici(self):
        modules = self.node_modules()
        for listener in self.both_ports():
            self.assertEqual("hello 403\n", self.client("node", self.program("undici_client.js"), listener=listener, ca=["NODE_EXTRA_CA_CERTS"], env={"NODE_PATH": modules}))

    def test_node_fetch(self):
        options = {"ca": ["NODE_EXTRA_CA_CERTS"], "env": {"NODE_PATH": self.node_modules(), "NODE_USE_ENV_PROXY": "1"}}
        for listener in self.both_ports():
            self.assertEqual("hello 403 3\n", self.client("node", self.program("fetch_client.js"), listener=listener, **options))
        self.denied("403", "node", self.program("fetch_client.js"), **options)


class Npm(ClientTest):
    def origin(self):
        return origins.challenged(self.has_key, origins.node_registry(), "Bearer")

    def test_npm(self):
        self.needs("npm")
        self.write("package.json", '{"name": "mine", "version": "1.0.0"}')
        self.write(".npmrc", f"registry={self.url}/\n//{self.tls_upstream.host()}/:_authToken={TOKEN}\ncafile={self.ca}\nfetch-retries=0\naudit=false\nupdate-notifier=false\n")
        self.client("npm", "install", "demo-of-iron")
        self.assertTrue(os.path.exists(self.path("node_modules/demo-of-iron/index.js")))
        self.client("npm", "publish")
        self.assertEqual("/mine", self.tls_upstream.wait_request(lambda request: request.method == "PUT").target)
        self.assertTrue(all(map(self.has_key, self.tls_upstream.requests)))
        self.denied("code E403", "npm", "install", "other", "--registry", self.denied_url)


class GitTest(ClientTest):
    """A repository behind `git http-backend`, written and read with a credential in the address."""

    require = WAITS  # git asks without a credential first, and waits for the challenge

    def setUp(self):
        self.root = None
        super().setUp()
        self.needs("git")
        self.root = self.path("root")
        os.mkdir(self.path("large"))
        self.git("init", "-q", "--bare", self.path("root/r.git"))
        self.git("-C", self.path("root/r.git"), "config", "http.receivepack", "true")
        self.tls_upstream.default = origins.challenged(self.has_key, origins.git(self.root, self.path("large")))
        self.repository = f"https://user:{TOKEN}@{self.tls_upstream.host()}/r.git"

    def git(self, *arguments):
        return run(["git", *arguments], env={"PATH": os.environ["PATH"], "HOME": self.directory, "GIT_CONFIG_NOSYSTEM": "1"}).stdout

    def in_sandbox(self, *arguments, env=None):
        identity = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "t"), ("EMAIL", "t@example.com"))}
        options = ["-c", "init.defaultBranch=main"]
        return self.client("git", *options, *arguments, ca=["GIT_SSL_CAINFO"], env={"GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0", **identity, **(env or {})})

    def commit(self, *names):
        self.in_sandbox("-C", "mine", "add", *names)
        self.in_sandbox("-C", "mine", "commit", "-q", "-m", "one")


class Git(GitTest):
    def test_git(self):
        self.in_sandbox("init", "-q", "mine")
        self.write("mine/large", os.urandom(PUSHED))
        self.commit("large")
        self.in_sandbox("-C", "mine", "push", "-q", self.repository, "HEAD:refs/heads/main")
        self.in_sandbox("clone", "-q", "-b", "main", self.repository, "copy")
        self.assertEqual(PUSHED, os.path.getsize(self.path("copy/large")))
        self.assertEqual(self.in_sandbox("-C", "mine", "rev-parse", "HEAD"), self.git("-C", self.path("root/r.git"), "rev-parse", "refs/heads/main"))
        self.denied("403", "git", "clone", self.denied_url + "/r.git", ca=["GIT_SSL_CAINFO"])

    def test_git_credential_helper(self):
        helper = f"!f() {{ echo username=user; echo password={TOKEN}; }}; f"
        self.in_sandbox("-c", f"credential.helper={helper}", "clone", "-q", f"{self.url}/r.git", "copy")
        self.assertTrue(os.path.isdir(self.path("copy/.git")))
        self.assertEqual([False, True], [self.has_key(request) for request in self.tls_upstream.requests[:2]])


class Lfs(GitTest):
    """Servers show git-lfs the credential again, for it to send with the objects: it must be shown the token."""

    scrub = "on"

    def test_git_lfs(self):
        if subprocess.run(["git", "lfs", "version"], capture_output=True).returncode:
            self.skip("git-lfs is not on this machine")
        self.in_sandbox("init", "-q", "mine")
        self.in_sandbox("-C", "mine", "lfs", "install", "--local")
        self.in_sandbox("-C", "mine", "lfs", "track", "*.bin")
        self.write("mine/large.bin", os.urandom(2_000_000))
        self.commit(".gitattributes", "large.bin")
        self.in_sandbox("-C", "mine", "push", "-q", self.repository, "HEAD:refs/heads/main")
        self.in_sandbox("-c", "filter.lfs.smudge=git-lfs smudge -- %f", "-c", "filter.lfs.process=git-lfs filter-process", "-c", "filter.lfs.required=true",
                        "clone", "-q", "-b", "main", self.repository, "copy")
        self.assertEqual(2_000_000, os.path.getsize(self.path("copy/large.bin")))
        sent = [request.method for request in self.tls_upstream.requests if "/info/lfs/data/" in request.target and self.has_key(request)]
        self.assertEqual(["PUT", "GET"], sent)


class Compiled(ClientTest):
    def test_go(self):
        self.needs("go")

        def build(folder):
            run(["go", "build", "-o", os.path.join(folder, "client"), self.program("client.go")],
                env=os.environ | {"GO111MODULE": "off", "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"})
        client = os.path.join(self.installed("go", build, self.program("client.go")), "client")
        for listener in self.both_ports():
            self.assertEqual("hello 403 uploaded\n", self.client(client, listener=listener, ca=["SSL_CERT_FILE"]))
        self.denied("Forbidden", client, ca=["SSL_CERT_FILE"])

    def test_java(self):
        self.needs("java")
        self.needs("keytool")
        host, port = self.proxy.tunnel
        command = ["java", *self.java_trust(), self.program("Client.java"), host, str(port)]
        self.assertEqual("hello 403\n", self.client(*command))
        self.denied("Tunnel failed", *command)


if __name__ == "__main__":
    main()
