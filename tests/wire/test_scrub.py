"""With scrub_responses an answer never brings the real key back, however the origin shows it; without, not a byte changes."""
import base64
import gzip
import hashlib
import json
import os
import threading
import unittest
import urllib.parse
import zlib

from harness import DEADLINE, WireTest, main
from harness.case import TOKEN, allowlist, secret, secrets
from harness.peer import Closed
from harness.upstream import answer
from test_memory import find_key
from test_websocket import accept_of

KEY = 'sk-real/"q+ \\7f3b9c1e5a2d8046b3'  # has something to escape in every form
KEY_BYTES = KEY.encode()
CUT = "answer held a secret value"


def b64(data):
    return base64.b64encode(data).decode()


def forms(text):
    data = text.encode()
    return {
        "verbatim": text,
        "percent": urllib.parse.quote(text, safe=""),
        "percent lower": "".join(f"%{byte:02x}" if not chr(byte).isalnum() else chr(byte) for byte in data),
        "percent all": "".join(f"%{byte:02X}" for byte in data),
        "form": urllib.parse.quote_plus(text),
        "json": json.dumps(text)[1:-1],
        "json solidus": json.dumps(text)[1:-1].replace("/", "\\/"),
        "json numbers": "".join(f"\\u{byte:04x}" for byte in data),
        "base64 0": b64(data),
        "base64 1": b64(b"u" + data + b"12"),
        "base64 2": b64(b"u:" + data + b"1"),
        "base64 url": base64.urlsafe_b64encode(b"user:" + data).decode(),
        "hex": data.hex(),
        "HEX": data.hex().upper(),
    }


FORMS = forms(KEY)
# What stands instead: the token in the same code. It has nothing that must be escaped.
SHOWN = {name: form if "base64" in name or "hex" in name.lower() else TOKEN for name, form in forms(TOKEN).items()}


def entry(host, scrub, **more):
    return secret(host=host, match_headers=["Authorization", "X-Any"], match_query=True) | ({"scrub_responses": scrub} if scrub else {}) | more


def decoded_views(data):
    """What a reader could make of the bytes it got."""
    text = data.decode("latin-1")
    yield text
    yield urllib.parse.unquote_plus(text, "latin-1")
    yield urllib.parse.unquote(text, "latin-1")
    yield text.encode().decode("unicode_escape", "replace").replace("\\/", "/")
    for run in "".join(c if c.isalnum() or c in "+/-_" else " " for c in text).split():
        run = run.replace("-", "+").replace("_", "/")
        for start in range(4):
            piece = run[start:]
            yield base64.b64decode(piece[:len(piece) // 4 * 4]).decode("latin-1")
        digits = "".join(c for c in run if c in "0123456789abcdefABCDEF")
        yield bytes.fromhex(digits[:len(digits) // 2 * 2]).decode("latin-1")


class Scrub(WireTest):
    environment = {"WIRE_KEY": KEY}
    transforms = [allowlist("*.test"), secrets(
        entry("on.up.test", "on"), entry("block.up.test", "block"), entry("off.up.test", None),
        {"source": {"type": "env", "var": "WIRE_KEY"}, "inject": {"header": "X-Key", "formatter": 'Basic {{ base64 "u:" .Value }}'},
         "rules": [{"host": "inject.up.test", "methods": ["PUT"]}], "scrub_responses": "on"})]

    def tearDown(self):
        super().tearDown()
        for form in FORMS.values():
            self.assertNotIn(form, self.proxy.text())

    def get(self, name, target="/", fields=(), method="GET", upstream=None, peer=None, version="HTTP/1.1"):
        upstream = upstream or self.upstream
        host = upstream.host(name)
        if peer is None:
            peer = self.plain() if upstream is self.upstream else self.tls_tunnel(host)
        response = peer.request(method, target, host, fields, version=version)
        response.peer = peer
        return response

    def assert_no_key(self, data):
        for view in decoded_views(data):
            self.assertNotIn(KEY, view)

    # -- every place, every form

    def test_body_in_every_form(self):
        for where in (self.upstream, self.tls_upstream):
            for name, form in FORMS.items():
                with self.subTest(name, tls=where is self.tls_upstream):
                    where.routes["/"] = answer(f"<{form}>".encode())
                    response = self.get("on.up.test", upstream=where)
                    self.assert_no_key(response.peer.received)
                    self.assertEqual(f"<{SHOWN[name]}>".encode(), response.body)
                    self.assertEqual(("chunked", None), (response.get("Transfer-Encoding"), response.get("Content-Length")))

    def test_body_split_at_every_byte(self):
        for name in ("verbatim", "percent", "base64 1"):
            whole = f"a{FORMS[name]}b".encode()
            pieces = [whole[at:at + 1] for at in range(len(whole))]
            chunks = b"".join(b"1\r\n%b\r\n" % piece for piece in pieces)
            self.upstream.routes["/chunks"] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
            response = self.get("on.up.test", "/chunks")
            self.assert_no_key(response.peer.received)
            self.assertEqual(f"a{SHOWN[name]}b".encode(), response.body)
            for at in range(len(whole)):
                gate = threading.Event()

                def halves(connection, request, at=at, gate=gate, whole=whole):
                    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(whole) + whole[:at])
                    gate.wait(DEADLINE)
                    connection.send(whole[at:])
                self.upstream.routes["/halves"] = halves
                peer = self.plain()
                peer.send_request("GET", "/halves", self.upstream.host("on.up.test"))
                if at == 0:
                    gate.set()
                head = peer.read_response_head()
                gate.set()
                head.chunks, head.trailers = peer.read_chunked()
                self.assertEqual(response.body, b"".join(head.chunks))
                peer.close()

    def test_head_in_every_form(self):
        for name, form in FORMS.items():
            with self.subTest(name):
                self.upstream.routes["/"] = answer(b"ok", f"401 no {form}", [
                    ("Location", f"/x?k={form}&y"), ("Set-Cookie", f"a={form}"), ("Access-Control-Allow-Origin", form), ("X-Plain", "as it is")])
                response = self.get("on.up.test")
                self.assert_no_key(response.peer.received)
                self.assertEqual((401, "as it is", b"ok"), (response.status, response.get("X-Plain"), response.body))
                self.assertEqual(f"no {SHOWN[name]}", response.reason)
                for field, shown in (("Location", f"/x?k={SHOWN[name]}&y"), ("Set-Cookie", f"a={SHOWN[name]}"), ("Access-Control-Allow-Origin", SHOWN[name])):
                    self.assertEqual(shown, response.get(field))

    def test_field_name(self):
        self.upstream.routes["/"] = answer(fields=[("X-" + FORMS["hex"], "1"), ("X-B", "2")])
        response = self.get("on.up.test")
        self.assert_no_key(response.peer.received)
        self.assertEqual(["X-B", "Date", "Transfer-Encoding"], response.names())

    def test_echo_of_what_was_sent(self):
        def echo(connection, request):
            connection.send(answer(request.raw, fields=[("X-Echo", request.get("Authorization"))]))
        self.upstream.routes["/echo"] = echo
        basic = b64(f"user:{TOKEN}".encode())
        for credential in (f"Bearer {TOKEN}", f"Basic {basic}"):
            response = self.get("on.up.test", f"/echo?q={TOKEN}", [("Authorization", credential), ("X-Any", TOKEN)])
            sent = self.upstream.requests[-1]
            self.assertIn(KEY, sent.get("X-Any"))
            self.assert_no_key(response.peer.received)
            self.assertEqual(credential, response.get("X-Echo"))
            self.assertIn(f"X-Any: {TOKEN}".encode(), response.body)
            self.assertIn(f"q={TOKEN} ".encode(), response.body)

    def test_stored_value_and_other_methods(self):
        """A request without any token, and one that the entry's rule does not cover."""
        self.upstream.routes["/"] = answer(KEY_BYTES + b" " + b64(b"u:" + KEY_BYTES).encode())
        self.assertEqual(b"[redacted] " + b64(b"u:[redacted]").encode(), self.get("inject.up.test").body)
        self.upstream.routes["/"] = answer(KEY_BYTES)
        self.assertEqual(TOKEN.encode(), self.get("on.up.test").body)

    def test_trailers(self):
        self.upstream.routes["/"] = (f"HTTP/1.1 200 OK\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
                                     f"X-T: a {KEY}\r\nDigest: x\r\nX-U: 1\r\n\r\n").encode()
        response = self.get("on.up.test", fields=[("TE", "trailers")])
        self.assertEqual([f"X-T: a {TOKEN}", "X-U: 1"], response.trailers)
        self.assertIsNone(self.upstream.requests[-1].get("TE"))
        self.assert_no_key(response.peer.received)
        self.assertEqual(502, self.get("block.up.test", fields=[("TE", "trailers")]).status)

    def test_interim_answers(self):
        hints = f"HTTP/1.1 103 Early {KEY}\r\nLink: </{FORMS['percent']}>\r\n\r\n".encode()
        self.upstream.routes["/"] = hints + answer()
        response = self.get("on.up.test")
        self.assertEqual((f"Early {TOKEN}", f"</{TOKEN}>"), (response.interim[0].reason, response.interim[0].get("Link")))
        self.assertEqual(b"ok", response.body)
        self.assert_no_key(response.peer.received)
        response = self.get("block.up.test", "/?i")
        self.assertEqual((502, []), (response.status, response.interim))
        self.assert_no_key(response.peer.received)

    def test_event_stream(self):
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
        middle = len(KEY) // 2
        pieces = (b"data: 1\n\n", f"data: {KEY[:middle]}".encode(), f"{KEY[middle:]}\n\n".encode(), f"data: {KEY[:middle]}\n\n".encode())
        expected = (b"data: 1\n\n", b"data: ", f"{TOKEN}\n\n".encode(), f"data: {KEY[:middle]}\n\n".encode())
        gates = [threading.Event() for _ in pieces]

        def stream(connection, request):
            connection.send(head)
            for gate, piece in zip(gates, pieces):
                gate.wait(DEADLINE)
                connection.send(piece)
            return "end"
        for where in (self.upstream, self.tls_upstream):
            for gate in gates:
                gate.clear()
            where.routes["/events"] = stream
            host = where.host("on.up.test")
            peer = self.plain() if where is self.upstream else self.tls_tunnel(host)
            peer.send_request("GET", "/events", host)
            peer.read_response_head()
            for gate, part in zip(gates, expected):
                gate.set()
                size = int(peer.read_until(b"\r\n"), 16)  # each event arrives before the next is sent
                self.assertEqual(part, peer.read_exact(size + 2)[:-2])
            self.assertEqual(b"0\r\n\r\n", peer.read_exact(5))

    def test_websocket_handshake(self):
        def switch(connection, request):
            connection.send(f"HTTP/1.1 101 Switching {KEY}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Echo: {KEY}\r\n"
                            f"Sec-WebSocket-Accept: {accept_of(request.get('Sec-WebSocket-Key'))}\r\n\r\nframes")
            return "end"
        self.upstream.routes["/ws"] = switch
        fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Key", b64(b"0123456789abcdef")), ("Sec-WebSocket-Version", "13")]
        response = self.get("on.up.test", "/ws", fields)
        self.assertEqual((101, f"Switching {TOKEN}", TOKEN), (response.status, response.reason, response.get("X-Echo")))
        self.assertEqual(b"frames", response.peer.read_exact(6))
        response = self.get("block.up.test", "/ws", fields)
        self.assertEqual((502, b"bad gateway\n"), (response.status, response.body))
        record = self.proxy.wait_request(path="/ws", status_code=502)
        self.assertEqual(("error", CUT), (record["audit"]["action"], record["error"]))

    # -- block

    def test_block(self):
        body = b"x" * 1000
        for name, form in FORMS.items():
            with self.subTest(name):
                self.upstream.routes["/" + name.replace(" ", "-")] = answer(body + form.encode() + body)
                response = self.get("block.up.test", "/" + name.replace(" ", "-"))
                self.assertEqual((502, b"bad gateway\n"), (response.status, response.body))
                record = self.proxy.wait_request(path="/" + name.replace(" ", "-"))
                self.assertEqual(("error", 502, CUT), (record["audit"]["action"], record["audit"]["status_code"], record["error"]))
                self.assertEqual(200, self.get("block.up.test", "/after", peer=response.peer).status)
        self.upstream.routes["/head"] = answer(fields=[("X-Echo", KEY)])
        self.assertEqual(502, self.get("block.up.test", "/head").status)

    def test_block_waits_a_little_for_the_body(self):
        """An origin that sends head and body apart still gets a 502 in most cases; never the key."""
        def apart(connection, request):
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(KEY) + 1))
            connection.send(KEY_BYTES[:5])
            connection.send(KEY_BYTES[5:] + b"x")
        self.upstream.routes["/"] = apart
        refused = 0
        for _ in range(20):
            peer = self.plain()
            try:
                refused += self.get("block.up.test", peer=peer).status == 502
            except Closed:
                pass
            self.assert_no_key(peer.received)
        self.assertGreater(refused, 0)

    def test_block_in_the_middle_aborts(self):
        reached = threading.Event()

        def late(connection, request):
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 70000)
            reached.wait(DEADLINE)
            connection.send(KEY_BYTES + b"y" * 30000)
        for where in (self.upstream, self.tls_upstream):
            reached.clear()
            where.routes["/late"] = late
            host = where.host("block.up.test")
            peer = self.plain() if where is self.upstream else self.tls_tunnel(host)
            peer.send_request("GET", "/late", host)
            head = peer.read_response_head()
            self.assertEqual((200, "100000"), (head.status, head.get("Content-Length")))
            self.assertEqual(b"x" * 70000, peer.read_exact(70000))
            mark = self.proxy.mark()
            reached.set()
            self.assertEqual(b"", peer.read_to_end())
            record = self.proxy.wait_request(path="/late", after=mark)
            self.assertEqual(("error", 200, CUT, 70000), (record["audit"]["action"], record["audit"]["status_code"], record["error"],
                                                          record["audit"]["response_bytes"]))
            self.proxy.wait_record("response body copy error", lambda record: record["error"] == CUT, after=mark)

    def test_block_leaves_clean_answers_as_they_are(self):
        fields = [("ETag", '"e"'), ("Content-MD5", "m"), ("Date", "D")]
        self.upstream.routes["/"] = answer(b"x" * 30000, fields=fields)
        response = self.get("block.up.test")
        self.assertEqual(self.upstream.routes["/"], response.peer.received)
        held = threading.Event()

        def slow(connection, request):
            connection.send(b"HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 2\r\n\r\na")
            held.wait(DEADLINE)
            connection.send(b"b")
        self.upstream.routes["/slow"] = slow
        peer = self.plain()
        peer.send_request("GET", "/slow", self.upstream.host("block.up.test"))
        self.assertEqual(b"a", (peer.read_response_head(), peer.read_exact(1))[1])  # no waiting for the end
        held.set()
        self.assertEqual(b"b", peer.read_exact(1))

    # -- what is asked for, and how answers are framed

    def test_request_asks_for_what_can_be_searched(self):
        fields = [("Accept-Encoding", "gzip, br"), ("X-A", "1"), ("Range", "bytes=0-9"), ("If-Range", '"e"'), ("accept-encoding", "zstd"), ("TE", "trailers"),
                  ("request-range", "bytes=0-9"), ("A-IM", "vcdiff, gzip")]
        for name in ("on.up.test", "block.up.test"):
            self.get(name, fields=fields)
            request = self.upstream.requests[-1]
            self.assertEqual(["Host", "Accept-Encoding", "X-A"], request.names())
            self.assertEqual("identity", request.get("Accept-Encoding"))
            self.get(name)
            self.assertEqual(["Host", "Accept-Encoding"], self.upstream.requests[-1].names())

    def test_partial_answer_is_searched_too(self):
        self.upstream.routes["/"] = answer(b"a" + KEY_BYTES, "206 Partial Content", [("Content-Range", "bytes 0-9/99")])
        response = self.get("on.up.test", fields=[("Range", "bytes=0-9")])
        self.assertEqual((206, b"a" + TOKEN.encode()), (response.status, response.body))

    def test_fields_that_describe_the_body(self):
        self.upstream.routes["/"] = answer(fields=[("ETag", '"e"'), ("Content-MD5", "m"), ("Digest", "d"), ("Repr-Digest", "r"), ("Content-Digest", "c"), ("X-A", "1")])
        response = self.get("on.up.test")
        self.assertEqual([("ETag", 'W/"e"'), ("X-A", "1")], response.fields[:2])
        self.assertEqual(["ETag", "X-A", "Date", "Transfer-Encoding"], response.names())

    def test_framing(self):
        body = (b"a" * 999 + KEY_BYTES) * 300
        expected = body.replace(KEY_BYTES, TOKEN.encode())
        self.upstream.routes["/length"] = answer(body)
        self.upstream.routes["/chunked"] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(
            b"%x\r\n%b\r\n" % (len(body[at:at + 777]), body[at:at + 777]) for at in range(0, len(body), 777)) + b"0\r\n\r\n"
        self.upstream.routes["/close"] = lambda connection, request: (connection.send(b"HTTP/1.1 200 OK\r\n\r\n" + body), "end")[1]
        self.upstream.routes["/none"] = answer(b"", "204 No Content", length=False)
        self.upstream.routes["/empty"] = answer(b"")
        peer = self.plain()
        for target in ("/length", "/chunked", "/close"):
            response = self.get("on.up.test", target, peer=peer)
            self.assertEqual(expected, response.body)
            old = self.get("on.up.test", target, version="HTTP/1.0")
            self.assertEqual((expected, None, None), (old.body, old.get("Content-Length"), old.get("Transfer-Encoding")))
        self.assertEqual(204, self.get("on.up.test", "/none", peer=peer).status)
        self.assertEqual("0", self.get("on.up.test", "/empty", peer=peer).get("Content-Length"))
        head = self.get("on.up.test", "/length", method="HEAD")
        self.assertEqual(str(len(body)), head.get("Content-Length"))
        self.upstream.routes["/cut"] = lambda connection, request: (connection.send(answer(KEY_BYTES)[:-3]), "end")[1]
        with self.assertRaises(Closed):
            self.get("on.up.test", "/cut")

    def test_response_bytes_are_those_sent(self):
        self.upstream.routes["/bytes"] = answer(KEY_BYTES)
        self.get("on.up.test", "/bytes")
        self.assertEqual(len(TOKEN), self.proxy.wait_request(path="/bytes")["audit"]["response_bytes"])

    # -- content codings

    def test_encoded_answers_are_decoded(self):
        body = b"".join(hashlib.sha512(b"%d" % number).digest() + KEY_BYTES for number in range(1000))
        raw = zlib.compressobj(wbits=-15)
        bodies = {"gzip": gzip.compress(body[:20000]) + gzip.compress(body[20000:]), "x-gzip": gzip.compress(body),
                  "deflate": zlib.compress(body), "Deflate, identity": raw.compress(body) + raw.flush()}
        for coding, encoded in bodies.items():
            with self.subTest(coding):
                self.upstream.routes["/"] = answer(encoded, fields=[("Content-Encoding", coding), ("X-A", "1")])
                response = self.get("on.up.test")
                self.assertEqual(body.replace(KEY_BYTES, TOKEN.encode()), response.body)
                self.assertEqual(["X-A", "Date", "Transfer-Encoding"], response.names())
                blocked = self.get("block.up.test")
                self.assertEqual(502, blocked.status)
                one_by_one = b"".join(b"1\r\n%c\r\n" % byte for byte in encoded)
                self.upstream.routes["/"] = (f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nTransfer-Encoding: chunked\r\n\r\n").encode() + one_by_one + b"0\r\n\r\n"
                self.assertEqual(body.replace(KEY_BYTES, TOKEN.encode()), self.get("on.up.test").body)
        self.upstream.routes["/"] = answer(b"", fields=[("Content-Encoding", "gzip")])
        self.assertEqual(b"", self.get("on.up.test").body)

    def test_what_can_not_be_decoded_is_refused(self):
        cases = {
            "br": (answer(b"xx", fields=[("Content-Encoding", "br")]), "answer has a content coding that can not be searched"),
            "two": (answer(gzip.compress(gzip.compress(b"x")), fields=[("Content-Encoding", "gzip, gzip")]), "answer has a content coding that can not be searched"),
            "broken": (answer(b"no gzip at all", fields=[("Content-Encoding", "gzip")]), "answer does not have the content coding that it names"),
            "trailing": (answer(gzip.compress(b"x") + b"more", fields=[("Content-Encoding", "gzip")]), "answer does not have the content coding that it names"),
            "cut": (answer(gzip.compress(b"x" * 100)[:-1], fields=[("Content-Encoding", "gzip")]), "answer does not have the content coding that it names"),
            "bomb": (answer(gzip.compress(b"\0" * (1 << 24)), fields=[("Content-Encoding", "gzip")]), "answer decodes to more than can be searched"),
        }
        for name, (reply, error) in cases.items():
            for host in ("on.up.test", "block.up.test"):
                with self.subTest(name, host=host):
                    self.upstream.routes["/" + name] = reply
                    mark = self.proxy.mark()
                    try:
                        self.assertEqual(502, self.get(host, "/" + name).status)
                    except Closed:
                        self.assertEqual("bomb", name)  # found after a part was sent
                    self.assertEqual(("error", error), (lambda r: (r["audit"]["action"], r["error"]))(self.proxy.wait_request(path="/" + name, after=mark)))

    # -- the rest

    @unittest.skipIf(os.environ.get("IRON_SANITIZE"), "the sanitizers' own allocators keep freed memory")
    def test_no_copy_stays_in_memory(self):
        shown = f"{KEY} {FORMS['hex']} {FORMS['percent all']}"
        self.upstream.routes["/"] = self.tls_upstream.routes["/"] = answer(
            gzip.compress(shown.encode() * 50), fields=[("X-Echo", shown), ("Content-Encoding", "gzip")])
        self.upstream.routes["/plain"] = self.tls_upstream.routes["/plain"] = answer(shown.encode() * 50, f"200 {shown}")
        self.upstream.routes["/trailers"] = self.tls_upstream.routes["/trailers"] = (
            f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: 1\r\nX-Echo: {shown}\r\nX-B: {shown}\r\n\r\n").encode()
        half = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + KEY_BYTES[:-1]
        gate = threading.Event()
        self.upstream.routes["/half"] = lambda connection, request: (connection.send(half), gate.wait(DEADLINE), "end")[2]
        for number in range(60):
            where = (self.upstream, self.tls_upstream)[number % 2]
            for target in ("/", "/plain", "/trailers"):
                fields = [("Authorization", f"Bearer {TOKEN}"), ("TE", "trailers")]
                response = self.get(("on.up.test", "block.up.test")[number // 2 % 2], target, fields, upstream=where)
                self.assert_no_key(response.peer.received)
        held = self.plain()
        held.send_request("GET", "/half", self.upstream.host("on.up.test"))
        held.read_response_head()
        for form in (KEY, FORMS["hex"], FORMS["HEX"], FORMS["percent all"], FORMS["base64 0"], FORMS["base64 1"][2:-3]):
            found, _, _, size = find_key(self.proxy.pid, form.encode())
            self.assertGreater(size, 1 << 20)
            # The answer that is still on its way lies in its buffer; a second copy must be nowhere.
            self.assertEqual([], found if form != KEY else found[1:])
        gate.set()

    def test_trace(self):
        for host in ("on.up.test", "block.up.test"):
            peer = self.plain()
            response = self.get(host, "/trace", method="TRACE", peer=peer)
            self.assertEqual((405, b"method not allowed\n"), (response.status, response.body))
            self.assertEqual(200, self.get(host, "/after", peer=peer).status)
        self.assertNotIn("/trace", self.upstream.targets())
        record = self.proxy.wait_request(path="/trace")
        self.assertEqual(("reject", 405, "scrub_responses"), (record["audit"]["action"], record["audit"]["status_code"], record["rejected_by"]))
        self.assertEqual(200, self.get("off.up.test", "/trace", method="TRACE").status)

    def test_off_passes_bytes_as_they_are(self):
        raw = (f"HTTP/1.1 200 fine {KEY}\r\nX-Echo: {KEY}\r\nETag: \"e\"\r\nDigest: d\r\nDate: D\r\nContent-Encoding: br\r\nContent-Length: {len(KEY)}\r\n\r\n{KEY}").encode()
        self.upstream.routes["/"] = raw
        for name in ("off.up.test", "else.up.test"):
            fields = [("Accept-Encoding", "br"), ("Range", "bytes=0-1"), ("TE", "trailers")]
            response = self.get(name, fields=fields)
            self.assertEqual(raw, response.peer.received)
            self.assertEqual(["Host", *(name for name, _ in fields)], self.upstream.requests[-1].names())


if __name__ == "__main__":
    main()
