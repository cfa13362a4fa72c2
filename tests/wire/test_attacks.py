"""Attacks that found something once, and those of the same kind: each must go on finding nothing."""
import os
import random
import secrets as random_secrets
import socket
import struct
import threading

from harness import WireTest, main, wait_until
from harness.case import TOKEN, allowlist, secret, secrets
from harness.dns import query, read_name
from harness.peer import Closed
from test_memory import find_key

BEARER = [("Authorization", f"Bearer {TOKEN}")]
WEBSOCKET_KEY = "dGhlIHNhbXBsZSBub25jZQ=="

# Answers of an origin that repeats what it was given, at places where an error could quote it. ECHO is the field, KEY its last word.
ECHOES = {
    "field": "HTTP/1.1 200 OK\r\nX-E: ECHO\r\nContent-Length: 0\r\n\r\n",
    "reason": "HTTP/1.1 401 ECHO\r\nContent-Length: 0\r\n\r\n",
    "interim": "HTTP/1.1 103 Hints\r\nLink: ECHO\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "trailer": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-T: ECHO\r\n\r\n",
    "no colon": "HTTP/1.1 200 OK\r\nX ECHO\r\n\r\n",
    "no version": "ECHO HTTP/1.1 200 OK\r\n\r\n",
    "version": "HTTP/KEY 200 OK\r\n\r\n",
    "status": "HTTP/1.1 KEY OK\r\n\r\n",
    "reason with NUL": "HTTP/1.1 200 ECHO\0\r\n\r\n",
    "length": "HTTP/1.1 200 OK\r\nContent-Length: ECHO\r\n\r\n",
    "two lengths": "HTTP/1.1 200 OK\r\nContent-Length: KEY\r\nContent-Length: 1\r\n\r\n",
    "coding": "HTTP/1.1 200 OK\r\nTransfer-Encoding: ECHO\r\n\r\n",
    "chunk line": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nECHO\r\n",
    "unasked 101": "HTTP/1.1 101 ECHO\r\nX-E: ECHO\r\n\r\n",
    "half a head": "HTTP/1.1 200 OK\r\nX-E: ECHO\r\n",
    "half a body": "HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\nECHO",
    "behind the answer": "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nECHO",
}


class Echoes(WireTest):
    key = "sk-echo-" + random_secrets.token_urlsafe(36)
    environment = {"ECHO_KEY": key}
    transforms = [allowlist("*.test"), secrets(secret(var="ECHO_KEY", match_headers=[]))]

    def test_no_echo_stays_in_the_log_or_in_memory(self):
        for name, text in ECHOES.items():
            def route(connection, request, text=text):
                value = request.get("Authorization")
                connection.send(text.replace("ECHO", value).replace("KEY", value.split()[-1]))
                return "end"
            for upstream in (self.upstream, self.tls_upstream):
                with self.subTest(name, tls=upstream is self.tls_upstream):
                    upstream.routes["/echo"] = route
                    for _ in range(3):
                        peer = self.plain() if upstream is self.upstream else self.tls_tunnel(upstream.host())
                        peer.send_request("GET", "/echo", upstream.host(), [*BEARER, ("Connection", "close")])
                        client = "%s:%d" % peer.sock.getsockname()
                        peer.read_to_end()
                        self.proxy.wait_request(remote_addr=client, path="/echo")
        self.assertIn(self.key, self.upstream.requests[0].get("Authorization"))
        self.assertNotIn(self.key, self.proxy.text())
        if not os.environ.get("IRON_SANITIZE"):  # their allocators keep freed memory
            wait_until(lambda: not find_key(self.proxy.pid, self.key.encode())[0], "no copy of the key")


class OwnListeners(WireTest):
    transforms = [allowlist("*")]

    def test_no_spelling_of_this_machine_leads_back(self):
        for name, address in (("a.x", "127.0.0.1"), ("b.x", "0.0.0.0"), ("c.x", "::ffff:0.0.0.0"), ("d.x", "::ffff:127.0.0.1")):
            self.dns.names[name] = [address]
            for host in (name, f"[{address}]" if ":" in address else address):
                for listener in ("http", "https", "tunnel", "metrics"):
                    with self.subTest(host, listener=listener):
                        mark = self.proxy.mark()
                        response = self.plain().request("GET", "/loop", f"{host}:{getattr(self.proxy, listener)[1]}")
                        self.assertEqual(502, response.status)
                        self.assertTrue(self.proxy.wait_request(path="/loop", after=mark)["error"].endswith(": own listener"))


class LyingResolver:
    """Answers with what `kind` says, wrong in one way, always with an address where somebody listens."""

    def __init__(self):
        self.kind = "right"
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.sock.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                data, client = self.sock.recvfrom(4096)
                self.sock.sendto(self.reply(data), client)
            except OSError:
                return

    def reply(self, data):
        at = read_name(data, 12)[1] + 4
        question, ident = data[12:at], data[:2]
        loop = bytes([0xC0, at])  # the owner name points at itself
        count = 1 if question[-4:-2] == b"\0\1" else 0

        def message(owner=b"\xc0\x0c", number=count, flags=0x8180, body=None, asked=question):
            record = owner + (body or struct.pack("!HHIH", 1, 1, 0, 4) + b"\x7f\0\0\1")
            return ident + struct.pack("!HHHHH", flags, 1, number, 0, 0) + asked + record * min(number, 1)

        return {
            "right": message, "name loop": lambda: message(owner=loop), "name loop behind a label": lambda: message(owner=b"\1a" + loop),
            "pointer outside": lambda: message(owner=b"\xff\xff"), "name too long": lambda: message(owner=(b"\x3f" + b"a" * 63) * 200 + b"\0"),
            "count too high": lambda: message(number=65535), "length too high": lambda: message(body=struct.pack("!HHIH", 1, 1, 0, 65535) + b"\x7f\0\0\1"),
            "address of three": lambda: message(body=struct.pack("!HHIH", 1, 1, 0, 3) + b"\x7f\0\0"),
            "alias loop": lambda: message(body=struct.pack("!HHIH", 5, 1, 0, 2) + b"\xc0\x0c"),
            "another class": lambda: message(body=struct.pack("!HHIH", 1, 3, 0, 4) + b"\x7f\0\0\1"),
        }[self.kind]()


class Resolver(WireTest):
    transforms = [allowlist("*")]
    starts_proxy = False

    def test_lies_lead_nowhere(self):
        resolver = LyingResolver()
        self.addCleanup(resolver.sock.close)
        proxy = self.own_proxy({"dns": {"upstream_resolver": resolver.address}})
        kinds = ("name loop", "name loop behind a label", "pointer outside", "name too long", "count too high", "length too high", "address of three",
                 "alias loop", "another class")
        for number, kind in enumerate((*kinds, "right")):
            with self.subTest(kind):
                resolver.kind = kind
                response = self.plain(proxy).request("GET", "/lie", self.upstream.host(f"n{number}.x"))
                self.assertEqual(200 if kind == "right" else 502, response.status)
        self.assertEqual(1, len(self.upstream.requests))


class LogLines(WireTest):
    config = {"log": {"level": "debug"}}

    def test_whatever_is_said_each_line_is_one_record(self):
        said = ('"', "\\", '","level":"INFO","x":"', "{\"a\":1}", "\t", "\x7f", "\x1b[2J", "\xff\xfe\x80", "\xe2\x80\xa8", "\xc0\xaf", "\xed\xa0\x80",
                "\xf4\x90\x80\x80", "%0a{}%0d", "%00", "%ff")
        for number, text in enumerate(said):
            for head in (f"GET /a{text} HTTP/1.1\r\nHost: up.test:{self.upstream.port}\r\n\r\n", f"GET / HTTP/1.1\r\nHost: up.test{text}\r\n\r\n",
                         f"G{text}T / HTTP/1.1\r\nHost: up.test\r\n\r\n", f"GET http://{text}/ HTTP/1.1\r\nHost: x\r\n\r\n",
                         f"CONNECT {text}:443 HTTP/1.1\r\nHost: x\r\n\r\n"):
                for listener in ("http", "tunnel"):
                    peer = self.plain(listener=listener, source=f"127.2.{number}.1").send(head)
                    peer.half_close()
                    peer.read_to_end()
            name = text.encode("latin-1")
            peer = self.plain(listener="tunnel", source=f"127.2.{number}.2").send(b"\5\1\0\5\1\0\3" + bytes([len(name)]) + name + b"\1\xbb")
            peer.half_close()
            peer.read_to_end()
        self.assertGreater(len(self.proxy.records("request")), 5 * len(said))
        for record in self.proxy.records():  # no line that is not JSON, none that a client wrote
            self.assertIn("time", record)
            self.assertNotIn("a", record)
            self.assertNotIn("x", record)


class Garbage(WireTest):
    """A few thousand broken openings and answers from a fixed seed; the proxy must live, and give everything back."""

    config = {"proxy": {"upstream_response_header_timeout": "1s",
                        "limits": {key: "1s" for key in ("first_byte_timeout", "handshake_timeout", "request_head_timeout", "idle_timeout", "stall_timeout")}}}
    transforms = [allowlist("*.test"), secrets(secret(match_headers=[], match_query=True, match_path=True, match_body=True),
                                               {**secret(host="slow.test"), "scrub_responses": "on"})]
    cases = int(os.environ.get("IRON_TEST_CASES", "2000"))
    pieces = [b"\r\n", b"\n", b"\r", b"\0", b":", b" ", b"chunked", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: up.test\r\n", TOKEN.encode(),
              b"\xff", b"%2e", b"%", b"..", b"/", b"?", b"f" * 16, b"-1", b"0\r\n\r\n", b"Connection: close\r\n", b"A" * 5000, b"\5", b"\x16\3\1", b"Basic "]
    answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
               b"HTTP/1.0 200 OK\r\n\r\nclosed", b"HTTP/1.1 103 E\r\nLink: a\r\n\r\nHTTP/1.1 204 N\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08",
               b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nFRAME"]

    def broken(self, data, others):
        data = bytearray(data)
        for _ in range(self.random.choice((0, 1, 1, 2, 3, 8))):
            at, what = self.random.randrange(len(data) + 1), self.random.randrange(6)
            if what == 0:
                data[at:at + 1] = bytes([self.random.randrange(256)])
            elif what == 1:
                data[at:at] = self.random.choice(self.pieces)
            elif what == 2:
                del data[at:at + self.random.randrange(1, 20)]
            elif what == 3:
                del data[at:]
            elif what == 4:
                data[at:at] = data[:300]
            else:
                data[at:] = self.random.choice(others)
        return bytes(data)

    def origin(self, connection):
        connection.sock.settimeout(2)
        while connection.sock.recv(65536):
            connection.send(self.broken(self.random.choice(self.answers), self.answers))
            if self.random.random() < 0.3:
                return

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.proxy.pid}/fd"))

    def test_nothing_falls_over(self):
        self.random = random.Random(20260101)
        self.upstream.on_connection = self.origin
        host, port = self.upstream.host(), struct.pack("!H", self.upstream.port)
        openings = [text.replace("HOST", host).encode() for text in (
            f"GET /v1/{TOKEN}?a={TOKEN} HTTP/1.1\r\nHost: HOST\r\nAuthorization: {TOKEN}\r\n\r\n",
            f"POST / HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
            f"POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 28\r\nExpect: 100-continue\r\n\r\n{TOKEN}GET / HTTP/1.1\r\nHost: {self.upstream.host('slow.test')}\r\n\r\n",
            "GET http://HOST/x HTTP/1.1\r\nHost: a\r\nConnection: X-A\r\nX-A: b\r\n\r\n", "CONNECT HOST HTTP/1.1\r\n\r\nGET /in HTTP/1.1\r\nHost: HOST\r\n\r\n",
            f"GET /ws HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: {WEBSOCKET_KEY}\r\nSec-WebSocket-Version: 13\r\n\r\nF")]
        openings += [b"CONNECT up.test:443 HTTP/1.1\r\n\r\n\x16\3\1\0\x60\1\0\0\x5c\3\3" + b"\7" * 90,
                     b"\5\1\0\5\1\0\3\7up.test" + port + b"GET / HTTP/1.1\r\nHost: up.test\r\n\r\n"]
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(datagrams.close)
        before = self.descriptors()
        for number in range(self.cases):
            peer = self.plain(listener=self.random.choice(("http", "http", "tunnel", "tunnel", "https", "metrics")), source=f"127.3.{number // 250 % 250}.{number % 250 + 1}")
            try:
                peer.send(self.broken(self.random.choice(openings), openings))
                if self.random.random() < 0.3:
                    peer.half_close()
                if self.random.random() < 0.5:
                    peer.readable(0.02)
            except (OSError, Closed):
                pass
            (peer.reset if self.random.random() < 0.3 else peer.close)()
            datagrams.sendto(self.broken(query("up.test", self.random.choice((1, 28, 5, 255))), [os.urandom(40)])[:9000], self.proxy.dns)
        self.assertTrue(self.proxy.alive())
        self.upstream.forget()
        self.assertEqual(200, self.plain().request("GET", "/after", host).status)
        wait_until(lambda: self.descriptors() <= before + 16, "descriptors given back")


if __name__ == "__main__":
    main()
