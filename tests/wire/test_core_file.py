"""No key in memory or in a core file, whatever happened before: each way of swapping, errors, cut connections, reloads."""
import base64
import os
import re
import resource
import secrets as random_secrets
import signal
import socket
import unittest

from harness import WireTest, main, wait_until
from harness.case import TOKEN, allowlist, secret, secrets
from harness.upstream import answer
from test_memory import WINDOW, find_key
from test_websocket import echo

ROUNDS = int(os.environ.get("IRON_TEST_ROUNDS", "20"))
MARKER = b"core-file-marker-2d6c1f"
CORE_PATTERN = "/proc/sys/kernel/core_pattern"
KEEPS_CORE_LIMIT = os.environ.get("IRON_TEST_KEEP_CORE_LIMIT", "")


def forms(key):
    """Every WINDOW bytes of the key and of what a formatter makes of it."""
    for text in (key.encode(), base64.b64encode(b"u:" + key.encode()), key.encode().hex().encode()):
        for at in range(len(text) - WINDOW + 1):
            yield text[at:at + WINDOW]


def core_files_can_be_had():
    if not KEEPS_CORE_LIMIT or resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY:
        return False
    with open(CORE_PATTERN, encoding="ascii") as handle:
        pattern = handle.read().strip()
    return not pattern.startswith(("|", "/"))


@unittest.skipIf(os.environ.get("IRON_SANITIZE"), "the sanitizers' own allocators keep freed memory")
class Everywhere(WireTest):
    starts_proxy = False
    transforms = [
        allowlist("*.test", "refused.example"),
        secrets(secret(var="CORE_KEY", match_query=True, match_path=True, match_body=True),
                {"source": {"type": "env", "var": "CORE_KEY"}, "inject": {"header": "X-Key", "formatter": 'Basic {{ base64 "u:" .Value }}'},
                 "rules": [{"host": "inject.up.test"}]},
                {"source": {"type": "env", "var": "CORE_KEY"}, "inject": {"query_param": "key"}, "rules": [{"host": "query.up.test"}]},
                secret(var="CORE_KEY", host="refused.example", token="refused-" + TOKEN, match_query=True, match_path=True))]

    def setUp(self):
        super().setUp()
        self.key = "sk-core-" + random_secrets.token_hex(24)
        self.routes()

    def routes(self):
        def reflecting(connection, request):
            connection.send(answer(request.raw + request.body, fields=[("X-Seen", request.get("Authorization") or "none")]))

        def cut(connection, request):
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + request.raw[:200])
            return "end"

        for upstream in (self.upstream, self.tls_upstream):
            upstream.routes |= {"/echo": reflecting, "/ws": echo, "/cut": cut, "/drop": lambda connection, request: "end",
                                "/bad": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"}

    def start(self, hardening, may_leave_core=False):
        environment = {"CORE_KEY": self.key, "OTHER": MARKER.decode()}
        if may_leave_core:
            environment["LD_PRELOAD"] = KEEPS_CORE_LIMIT
            inherited = resource.getrlimit(resource.RLIMIT_CORE)
            self.addCleanup(resource.setrlimit, resource.RLIMIT_CORE, inherited)
            resource.setrlimit(resource.RLIMIT_CORE, (inherited[1], inherited[1]))
        proxy = self.own_proxy({"hardening": hardening}, environment)
        self.looked_for = re.compile(b"|".join(map(re.escape, sorted(set(forms(self.key))))))
        return proxy

    def attempt(self, proxy, peer, *request):
        """One request of which no answer is certain."""
        try:
            return peer.request(*request).status
        except (OSError, EOFError, AssertionError, ValueError):
            return None

    def traffic(self, proxy):
        bearer = [("Authorization", f"Bearer {TOKEN}")]
        basic = [("Authorization", "Basic " + base64.b64encode(f"u:{TOKEN}".encode()).decode())]
        for upstream in (self.tls_upstream, self.upstream):
            host = upstream.host()

            def peer(name="up.test", upstream=upstream):
                return self.tls_tunnel(upstream.host(name), proxy=proxy) if upstream is self.tls_upstream else self.plain(proxy)

            for _ in range(ROUNDS):
                one = peer()
                for fields in (bearer, basic, bearer + [("Cookie", "c" * 20000)]):
                    self.assertEqual(200, one.request("GET", f"/echo?k={TOKEN}", host, fields).status)
                self.assertEqual(200, one.request("GET", f"/p/{TOKEN}", host, bearer).status)
                self.assertEqual(200, one.request("POST", "/echo", host, [], TOKEN.encode() * 50 + b"x" * 70000).status)
                for name in ("inject.up.test", "query.up.test"):
                    self.assertEqual(200, peer(name).request("GET", "/echo", upstream.host(name), [("X-Key", "mine")]).status)
                for target in ("/cut", "/drop", "/bad", "/%25zz?k=" + TOKEN):
                    self.attempt(proxy, peer(), "GET", target, host, bearer)
                gone = peer()
                gone.send_request("POST", "/echo", host, [*bearer, ("Content-Length", "5000")])
                gone.close()
                socketed = peer()
                socketed.send_request("GET", f"/ws?k={TOKEN}", host, [
                    ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
                    ("Sec-WebSocket-Key", base64.b64encode(os.urandom(16)).decode()), *bearer])
                self.assertEqual(101, socketed.read_response().status)
                socketed.send(b"\x81\x02hi")
                self.assertEqual(b"\x81\x02hi", socketed.read_exact(4))
                socketed.close()
        # Nobody listens there, so that the request with the key in it is never sent.
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            for target in (f"/p/refused-{TOKEN}?k=refused-{TOKEN}", "/%25zz/refused-" + TOKEN):
                self.attempt(proxy, self.plain(proxy), "GET", target, f"refused.example:{unused.getsockname()[1]}", bearer)
        for count in range(1, 4):
            proxy.send_signal(signal.SIGHUP)
            proxy.wait_record("management reload succeeded", count=count)
        self.assertEqual(200, self.plain(proxy).request("GET", "/echo", self.upstream.host(), bearer).status)
        swapped = [request for request in self.tls_upstream.requests + self.upstream.requests if self.key.encode() in request.raw + request.body]
        self.assertGreater(len(swapped), 10 * ROUNDS)

    def copies_left(self, proxy):
        """Where the key is once the last requests, which may still be on their way out, are done."""
        found = []

        def nowhere():
            found[:] = [place for form in (self.key.encode(), base64.b64encode(b"u:" + self.key.encode())) for place in find_key(proxy.pid, form)[0]]
            return not found
        try:
            wait_until(nowhere, "no copy of the key")
        except AssertionError:
            pass  # the caller says what it means
        return found

    def test_no_copy_in_memory(self):
        proxy = self.start("auto")
        self.traffic(proxy)
        found = self.copies_left(proxy)
        self.assertFalse(found, "the key is in\n" + "\n".join(found))

    @unittest.skipUnless(core_files_can_be_had(), "no core limit to raise, or core files go elsewhere")
    def test_no_copy_in_a_core_file(self):
        proxy = self.start("off", may_leave_core=True)  # confined, the process could not even make the file
        self.traffic(proxy)
        self.copies_left(proxy)
        data = self.core_of(proxy)
        self.assertIn(MARKER, data)  # the file is what it should be: the environment is in it
        found = self.looked_for.search(data)
        self.assertFalse(found, f"part of the key at {found.start() if found else 0:#x} of {len(data)} bytes")

    @unittest.skipUnless(core_files_can_be_had(), "no core limit to raise, or core files go elsewhere")
    def test_a_confined_process_leaves_no_core_file(self):
        proxy = self.start("auto", may_leave_core=True)
        if "landlock_files" not in proxy.wait_record("hardening", after=0)["applied"]:
            self.skipTest("no Landlock")
        self.assertIsNone(self.core_of(proxy))

    def test_the_limit_is_zero(self):
        self.assertEqual((0, 0), resource.prlimit(self.start("off").pid, resource.RLIMIT_CORE))

    def core_of(self, proxy):
        limit = resource.prlimit(proxy.pid, resource.RLIMIT_CORE)
        self.assertEqual(resource.RLIM_INFINITY, limit[0], "the limit was lowered all the same")
        proxy.send_signal(signal.SIGABRT)
        self.assertEqual(-signal.SIGABRT, proxy.wait())
        names = [name for name in os.listdir(proxy.directory) if name.startswith("core")]
        if not names:
            return None
        path = os.path.join(proxy.directory, names[0])
        with open(path, "rb") as handle:
            data = handle.read()
        os.remove(path)  # it has the environment of this test in it
        return data


if __name__ == "__main__":
    main()
