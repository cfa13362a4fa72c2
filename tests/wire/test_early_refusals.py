"""Early refusals of large uploads are seen by the clients that sandboxes use: every one, plain and in tunnels.

IRON_TEST_ROUNDS=100 is the run for the record. Each client prints how often it saw which status with its whole answer.
"""
import collections
import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../clients"))

from harness import main, wait_until
from harness.case import allowlist
from matrix.case import ClientTest
from matrix.install import run

SIZE = 5_000_000  # bytes
ROUNDS = int(os.environ.get("IRON_TEST_ROUNDS", "5"))
CA = ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE"]


class EarlyRefusals(ClientTest):
    """A host that is on no list, plain; a method that no rule has, inside a tunnel. The origin sees nothing of either."""

    sees_key = False

    @classmethod
    def base_config(cls):
        return super().base_config() | {"transforms": [allowlist(rules=[{"host": "up.test", "methods": ["GET"]}])]}

    def ways(self):
        """The environment of a program (see programs/early_refusals/asyncio_client.py) for each way and framing."""
        places = {"plain": (self.proxy_url("http"), "denied.test"), "tunnel": (self.url, self.tls_upstream.host())}
        for way, (address, host) in places.items():
            for chunked in ("", "1"):
                framing = "chunked" if chunked else "Content-Length"
                yield f"{way}, {framing}", {"BASE_URL": address, "HOST": host, "ROUNDS": str(ROUNDS), "SIZE": str(SIZE), "CHUNKED": chunked}

    def refused(self):
        """How many uploads the proxy recorded as refused."""
        with self.proxy.changed:
            lines = self.proxy.lines[self.proxy.looked_from:]
        return sum('"action":"reject"' in line and '"method":"POST"' in line for line in lines)

    def check(self, command, read=str.strip, **more):
        """One process for all rounds of a way: it must see all of them, each from one request. `command`: made of the environment."""
        for way, env in self.ways():
            with self.subTest(way):
                self.proxy.looked_from = self.proxy.mark()
                done = self.start(command(env), env=env | more, ca=CA)
                seen = read(done.stdout)
                print(f"\n{self._testMethodName.removeprefix('test_')}, {way}: {seen}", flush=True)
                self.assertEqual(f"403 x {ROUNDS}", seen, done.stderr[-2000:])
                wait_until(lambda: self.refused() >= ROUNDS, "a record for each")
                self.assertEqual(ROUNDS, self.refused())
                self.assertEqual([], self.tls_upstream.requests)

    def test_asyncio(self):
        self.check(lambda env: [sys.executable, self.program("early_refusals/asyncio_client.py")])

    def test_node_core(self):
        self.needs("node")
        self.check(lambda env: ["node", self.program("early_refusals/core_client.js")])

    def test_undici(self):
        self.check(lambda env: ["node", self.program("early_refusals/undici_client.js")], NODE_PATH=self.node_modules())

    def test_go(self):
        self.needs("go")
        source = self.program("early_refusals/client.go")

        def build(folder):
            run(["go", "build", "-o", os.path.join(folder, "client"), source],
                env=os.environ | {"GO111MODULE": "off", "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"})
        self.check(lambda env: [os.path.join(self.installed("go-early-refusals", build, source), "client")])

    def test_curl(self):
        """The numbers in the address make it repeat the upload; each answer ends its connection."""
        self.needs("curl")
        body = self.write("upload", "u" * SIZE)

        def command(env):
            framing = ["-H", "Transfer-Encoding: chunked"] if env["CHUNKED"] else []
            return ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}:%{exitcode}\n", "-H", "Expect:", "-H", f"Host: {env['HOST']}",
                    *framing, "--data-binary", "@" + body, f"{env['BASE_URL']}/big/[1-{ROUNDS}]"]

        def counted(output):
            return ", ".join(f"{seen.removesuffix(':0')} x {count}" for seen, count in collections.Counter(output.split()).items())
        self.check(command, counted)


if __name__ == "__main__":
    main()
