"""kill -9 at the moment a client has the last byte of an answer: its record is in the log."""
import base64
import collections
import os
import socket
import ssl
import tempfile
import threading

from faultcase import Upstream, WireTest, allowlist, answer, main, parse, secret, secrets
from harness.peer import Closed, connect
from test_socks import OK as SOCKS_OK, reply as socks_reply, request as socks_request
from test_websocket import switching

ROUNDS = int(os.environ.get("IRON_TEST_ROUNDS", "8"))  # 100 for the figures of docs/reliability.md
# With it each record takes 100 ms to be written. A sanitizer wants to be the first library of its program.
SLOW_LOG = "" if os.environ.get("IRON_SANITIZE") else os.environ.get("IRON_SLOW_LOG", "")
ADDRESS = "127.43.0.9"  # of this file's own: the mode sni-only always dials port 443
ANSWERS = 120  # seen before the kill, at the least


class Kill(WireTest):
    starts_proxy = False
    transforms = [allowlist("*.test"), secrets(secret())]
    environment = {}

    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.audit = os.path.join(directory.name, "audit.log")

    def killable(self, where, over=None):
        """A proxy whose records go to a `file` or, with all else, through a `pipe`."""
        if os.path.exists(self.audit):
            os.remove(self.audit)
        log = {"level": "info"} | ({"audit_path": self.audit} if where == "file" else {})
        return self.own_proxy({"log": log} | (over or {}), self.environment)

    def kill(self, proxy):
        proxy.process.kill()

    def records(self, proxy, where):
        """The requests that the log tells of, once the proxy is gone."""
        proxy.wait()
        if proxy.lines and not proxy.lines[-1].endswith("}"):
            proxy.lines.pop()  # the end came inside this line
        if where == "pipe":
            return proxy.records("request")
        with open(self.audit, encoding="utf-8") as lines:
            return [parse(line) for line in lines if line.endswith("\n")]


class Load(Kill):
    def one(self, proxy, peer, name, number):
        """One answer, read to its last byte. Returns what its record names, and the connection if it can go on."""
        host = self.upstream.host()
        if number % 10 == 0:
            target = f"{name}.tunnel.test:443"
            tunnel = connect(proxy.tunnel)
            try:
                tunnel.send(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")
                assert tunnel.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200"), tunnel.received
            finally:
                tunnel.close()
            return target
        if number % 10 == 1:
            assert peer.request("GET", f"/denied/{name}", "denied.example").status == 403
            return f"/denied/{name}"
        way = ("length", "chunked", "large")[number % 3]
        assert peer.request("GET", f"/{way}/{name}", host).status == 200
        return f"/{way}/{name}"

    def run_once(self, where, connections, more):
        """Kills a busy proxy; returns how many answers were seen and which of them have no record."""
        proxy = self.killable(where)
        seen, lock, failures = [], threading.Lock(), []
        enough = max(ANSWERS, 3 * connections) + more

        def client(index):
            peer, number = None, index
            try:
                peer = connect(proxy.http)
                while True:
                    name = self.one(proxy, peer, f"{index}-{number}", number)
                    number += 1
                    with lock:
                        seen.append(name)
                        if len(seen) == enough:
                            self.kill(proxy)
            except (OSError, Closed):
                pass  # the kill
            except AssertionError as error:
                failures.append(repr(error))
            finally:
                if peer:
                    peer.close()

        def answer_large(connection, request):
            connection.send(answer(b"x" * 100000))
        self.upstream.default = lambda connection, request: {
            "length": lambda: connection.send(answer()),
            "chunked": lambda: connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
            "large": lambda: answer_large(connection, request)}[request.target.split("/")[1]]()
        threads = [threading.Thread(target=client, args=(index,), daemon=True) for index in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            self.assertFalse(thread.is_alive())
        self.assertEqual([], failures)
        told = collections.Counter()
        for record in self.records(proxy, where):
            audit = record["audit"]
            told[audit["host"] if audit["method"] == "CONNECT" else audit["path"]] += 1
        self.assertEqual([], [name for name, count in told.items() if count > 1])
        return len(seen), [name for name in seen if name not in told]

    def test_no_record_is_missing(self):
        ways = [(where, connections) for where in ("file", "pipe") for connections in (1, 64)]
        answers, missing = collections.Counter(), {}
        for number in range(ROUNDS):
            way = ways[number % len(ways)]
            count, lost = self.run_once(*way, number)
            answers[way] += count
            if lost:
                missing.setdefault(way, []).extend(lost)
        for way in ways:
            print(f"{way[0]}, {way[1]} connections: {answers[way]} answers seen before the kill, {len(missing.get(way, ()))} without a record")
        self.assertEqual({}, missing)


class Kinds(Kill):
    """Every kind of answer, and of end where the record comes at the end, once to a file and once to a pipe."""

    environment = {"LD_PRELOAD": SLOW_LOG} if SLOW_LOG else {}

    def check(self, way, over=None, **audit):
        """`way(proxy)` returns with the last byte or the end of an answer read."""
        for where in ("file", "pipe"):
            with self.subTest(where=where):
                proxy = self.killable(where, over)
                way(proxy)
                self.kill(proxy)
                found = [record["audit"] for record in self.records(proxy, where)]
                self.assertTrue(any(all(entry.get(key) == value for key, value in audit.items()) for entry in found), (audit, found))

    def to_end(self, listener, *pieces):
        def way(proxy):
            peer = connect(getattr(proxy, listener))
            self.addCleanup(peer.close)
            for piece in pieces:
                peer.send(piece)
            self.assertNotEqual(b"", peer.read_to_end())
        return way

    def test_answers_of_our_own(self):
        host = self.upstream.host()
        get = f"GET /kind HTTP/1.1\r\nHost: {host}\r\n"
        for name, listener, text, status in (
                ("denied", "http", "GET /kind HTTP/1.1\r\nHost: denied.example\r\nConnection: close\r\n\r\n", 403),
                ("failed", "http", "GET /kind HTTP/1.1\r\nHost: unknown.test\r\nConnection: close\r\n\r\n", 502),
                ("dots", "http", f"GET /a/../b HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n", 400),
                ("malformed", "http", get + "Broken\r\n\r\n", 400),
                ("bad target", "http", f"GET ftp://x/ HTTP/1.1\r\nHost: {host}\r\n\r\n", 400),
                ("method", "tunnel", get + "\r\n", 405),
                ("tunnel", "tunnel", "CONNECT denied.example:443 HTTP/1.1\r\nHost: x\r\n\r\n", 403),
                ("bad tunnel", "tunnel", "CONNECT :443 HTTP/1.1\r\nHost: x\r\n\r\n", 400)):
            with self.subTest(name):
                self.check(self.to_end(listener, text), status_code=status)

    def test_no_place_for_the_connection(self):
        def way(proxy):
            first = connect(proxy.http)
            self.addCleanup(first.close)
            self.assertEqual(200, first.request("GET", "/", self.upstream.host()).status)
            second = connect(proxy.http)
            self.addCleanup(second.close)
            self.assertIn(b"503", second.read_to_end())
        self.check(way, {"proxy": {"limits": {"max_connections": 1}}}, status_code=503)

    def test_body_that_ends_with_the_connection(self):
        self.upstream.routes["/close"] = lambda connection, request: (connection.send(b"HTTP/1.0 200 OK\r\n\r\nto the end"), "end")[1]
        self.check(self.to_end("http", f"GET /close HTTP/1.0\r\nHost: {self.upstream.host()}\r\n\r\n"), path="/close")

    def test_socks(self):
        for name, expected, status in (("socks.test", SOCKS_OK, 200), ("denied.example", socks_reply(2), 403)):
            def way(proxy, name=name, expected=expected):
                peer = connect(proxy.tunnel)
                self.addCleanup(peer.close)
                self.assertEqual(b"\x05\x00", peer.send(b"\x05\x01\x00").read_exact(2))
                self.assertEqual(expected, peer.send(socks_request(name, 443)).read_exact(10))
            self.check(way, host=f"{name}:443", status_code=status)

    def test_inside_tls(self):
        def way(proxy):
            peer = connect(proxy.tunnel)
            self.addCleanup(peer.close)
            host = self.tls_upstream.host()
            peer.send(f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n").read_until(b"\r\n\r\n")
            peer.start_tls(self.certificates.client_context(), "up.test")
            self.assertEqual(200, peer.request("GET", "/tls", host).status)
        self.check(way, path="/tls")

    def test_web_socket(self):
        """Either side ends first."""
        key = base64.b64encode(os.urandom(16)).decode()

        def talk(connection, request):
            connection.send(switching(request))
            if request.target == "/ws/client":
                connection.read_to_end()
            else:
                connection.send(b"bye")
            return "end"
        for first in ("client", "upstream"):
            self.upstream.routes[f"/ws/{first}"] = talk

            def way(proxy, first=first):
                peer = connect(proxy.http)
                self.addCleanup(peer.close)
                peer.send_request("GET", f"/ws/{first}", self.upstream.host(), [
                    ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Key", key), ("Sec-WebSocket-Version", "13")])
                peer.read_until(b"\r\n\r\n")
                if first == "client":
                    peer.half_close()
                peer.read_to_end()
            with self.subTest(first):
                self.check(way, path=f"/ws/{first}", status_code=101)

    def test_pass_through(self):
        try:
            origin = Upstream(self.certificates.server_context(), ADDRESS, 443)
        except OSError:
            self.skipTest("needs the right to bind port 443")
        self.addCleanup(origin.close)
        self.dns.names["up.test"] = [ADDRESS]
        self.addCleanup(self.dns.names.pop, "up.test")
        origin.routes["/end"] = lambda connection, request: (connection.send(b"HTTP/1.0 200 OK\r\n\r\nend"), "end")[1]
        config = {"tls": {"mode": "sni-only", "ca_cert": None, "ca_key": None}}
        trust = self.certificates.client_context("origin")

        def served(proxy):
            peer = connect(proxy.https)
            self.addCleanup(peer.close)
            peer.start_tls(trust, "up.test")
            peer.send("GET /end HTTP/1.0\r\nHost: up.test\r\n\r\n")
            self.assertIn(b"end", peer.read_to_end())
            self.drain(peer)

        def denied(proxy):
            peer = connect(proxy.https)
            self.addCleanup(peer.close)
            with self.assertRaises((ssl.SSLEOFError, ConnectionResetError, ssl.SSLZeroReturnError)):
                peer.start_tls(ssl.create_default_context(), "denied.example")
        self.check(served, config, host="up.test", action="allow")
        self.check(denied, config, host="denied.example", action="reject")

    @staticmethod
    def drain(peer):
        """Up to the end of the connection below TLS."""
        raw = socket.socket(fileno=os.dup(peer.sock.fileno()))
        raw.settimeout(10)
        try:
            while raw.recv(4096):
                pass
        except OSError:
            pass
        finally:
            raw.close()


if __name__ == "__main__":
    main()
