"""Either end of an exchange goes away at each byte: what looks complete was complete, and the record says what happened."""
import statistics
import threading
import time

from faultcase import DEADLINE, KEY, SLOWNESS, TOKEN, WireTest, allowlist, end, main, read_message, records_after, secret, secrets, wait_until

DATE = b"Date: Tue, 24 Nov 2026 08:00:00 GMT\r\n"
BODY = b"hello, world"
HEADS = {"length": b"HTTP/1.1 200 OK\r\n" + DATE + b"Content-Length: 12\r\n\r\n",
         "chunked": b"HTTP/1.1 200 OK\r\n" + DATE + b"Transfer-Encoding: chunked\r\n\r\n",
         "close": b"HTTP/1.1 200 OK\r\n" + DATE + b"\r\n"}
BODIES = {"length": BODY, "chunked": b"5\r\nhello\r\n7;x=y\r\n, world\r\n0\r\n\r\n", "close": BODY}


def cut_answer(connection, request):
    """Answers /KIND/END/OFFSET/... with the first OFFSET bytes of that kind, and that end."""
    _, kind, how, offset, *_ = request.target.split("/")
    connection.send((HEADS[kind] + BODIES[kind])[:int(offset)])
    end(connection, how)
    return "end"


def whole(kind, how, offset):
    """Whether an origin that ends at this offset in this way has sent a complete answer.

    Many origins end a close-delimited answer without close_notify: that counts as an end between two records.
    """
    if kind == "close":
        return offset >= len(HEADS[kind]) and how != "rst"
    return offset == len(HEADS[kind] + BODIES[kind])


class OriginEnds(WireTest):
    """The origin ends its answer at every byte, by FIN, by reset and over TLS by close_notify."""

    def setUp(self):
        super().setUp()
        self.upstream.default = self.tls_upstream.default = cut_answer

    def one(self, kind, how, offset, over_tls, version):
        """One exchange on a fresh connection; checks what the client has and returns whether it looks whole."""
        target = f"/{kind}/{how}/{offset}/{version[-1]}{'s' if over_tls else 'p'}"
        origin = self.tls_upstream if over_tls else self.upstream
        peer = self.tls_tunnel(origin.host()) if over_tls else self.plain()
        peer.send_request("GET", target, origin.host(), [("Connection", "close")], version=version)
        message = read_message(peer.read_to_end(), not peer.reset_seen)
        peer.close()
        context = f"{target} gave {message}"
        head = len(HEADS[kind])
        if whole(kind, how, offset):
            self.assertEqual(("complete", 200), (message.state, message.status), context)
            self.assertEqual(BODY[:offset - head] if kind == "close" else BODY, message.body, context)
            return target, 200
        if offset >= head and message.status == 200:
            self.assertEqual("cut", message.state, context)
            self.assertTrue(BODY.startswith(message.body), context)
            return target, 200
        # A body that breaks before its first byte may still become a 502.
        self.assertLessEqual(offset, head + (len("5\r\n") if kind == "chunked" else 0), context)
        self.assertEqual(("complete", 502, b"bad gateway\n"), (message.state, message.status, message.body), context)
        return target, 502

    def every_offset(self, kind, ends, over_tls, version="HTTP/1.1"):
        mark = self.proxy.mark()
        statuses = {}
        for how in ends:
            for offset in range(len(HEADS[kind] + BODIES[kind]) + 1):
                target, status = self.one(kind, how, offset, over_tls, version)
                statuses[target] = status
        mine = lambda record: record["audit"]["path"] in statuses
        self.proxy.wait_record("request", mine, mark, len(statuses))
        records = [record for record in records_after(self.proxy, mark) if mine(record)]
        self.assertEqual(len(statuses), len(records), "more records than requests")
        for record in records:
            status = statuses[record["audit"]["path"]]
            self.assertEqual((status, "error" if status == 502 else "allow"),
                             (record["audit"]["status_code"], record["audit"]["action"]), record)
            self.assertEqual(status == 502, bool(record.get("error")), record)
        # Each request went out once: what was written is not repeated.
        requests = [target for target in (self.tls_upstream if over_tls else self.upstream).targets() if target in statuses]
        self.assertEqual(sorted(statuses), sorted(requests))

    def test_length(self):
        self.every_offset("length", ("fin", "rst"), False)

    def test_chunked(self):
        self.every_offset("chunked", ("fin", "rst"), False)

    def test_close_delimited(self):
        self.every_offset("close", ("fin", "rst"), False)

    def test_length_over_tls(self):
        self.every_offset("length", ("fin", "notify", "rst"), True)

    def test_chunked_over_tls(self):
        self.every_offset("chunked", ("fin", "notify", "rst"), True)

    def test_close_delimited_over_tls(self):
        self.every_offset("close", ("fin", "notify", "rst"), True)

    def test_http_10_clients(self):
        """Where only the end of the connection delimits the body, a broken one ends without FIN or close_notify."""
        for kind, ends in (("chunked", ("fin",)), ("close", ("fin", "rst"))):
            self.every_offset(kind, ends, False, "HTTP/1.0")
        self.every_offset("chunked", ("notify",), True, "HTTP/1.0")

    def test_cut_answers_are_announced_in_the_log(self):
        mark = self.proxy.mark()
        self.one("length", "fin", len(HEADS["length"]) + 3, False, "HTTP/1.1")
        self.proxy.wait_record("response body copy error", after=mark)


class ClientEnds(WireTest):
    """The client ends its request at every byte: no origin sees a whole request, and its connection ends at once."""

    token_in_body = False
    contacts_origin = True  # while the body is still coming

    def setUp(self):
        super().setUp()
        self.seen = {}  # path: (bytes, when the end was seen)
        self.arrived = threading.Condition()
        self.upstream.on_connection = self.tls_upstream.on_connection = self.swallow

    def swallow(self, connection):
        """Reads to the end and answers nothing."""
        raw = b""
        try:
            while data := connection.sock.recv(65536):
                raw += data
                with self.arrived:
                    self.seen[self.path_of(raw)] = (raw, None)
                    self.arrived.notify_all()
        except OSError:
            pass
        with self.arrived:
            self.seen[self.path_of(raw)] = (raw, time.monotonic())
            self.arrived.notify_all()

    @staticmethod
    def path_of(raw):
        return raw.split(b" ", 2)[1].decode() if raw.count(b" ") > 1 else ""

    def request(self, kind, how, offset, over_tls):
        """(path, the bytes of the request, length of its head)"""
        path = f"/{kind}/{how}/{offset:04}/{'s' if over_tls else 'p'}"
        body = TOKEN.encode() if self.token_in_body else b"a small body"
        framing, body = {"none": ("X-None: 1", b""), "length": (f"Content-Length: {len(body)}", body),
                         "chunked": ("Transfer-Encoding: chunked", b"4\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (body[:4], len(body) - 4, body[4:]))}[kind]
        host = (self.tls_upstream if over_tls else self.upstream).host()
        head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\n{framing}\r\n\r\n".encode()
        return path, head + body, len(head)

    def one(self, kind, how, offset, over_tls):
        path, data, head = self.request(kind, how, offset, over_tls)
        peer = self.tls_tunnel(self.tls_upstream.host()) if over_tls else self.plain()
        if over_tls:  # the handshake is over for both sides once something was answered
            self.assertEqual(400, peer.request("GET", "/", "mismatch.test").status)
        peer.send(data[:offset])
        if self.contacts_origin and (offset == len(data) or offset >= head and offset % 2 == 0):
            with self.arrived:
                self.assertTrue(self.arrived.wait_for(lambda: path in self.seen, DEADLINE), f"{path}: the head did not go out")
        end(peer, how)
        return path, time.monotonic()

    def every_offset(self, kind, ends, over_tls):
        mark, ended, judged = self.proxy.mark(), {}, set()
        for how in ends:
            _, data, head = self.request(kind, how, 0, over_tls)
            # After the whole request, FIN on plain TCP may be a half-close; see the tests of the upstream side.
            for offset in range(len(data) + (0 if how == "fin" and not over_tls else 1)):
                path, ended_at = self.one(kind, how, offset, over_tls)
                ended[path] = ended_at, offset == len(data)
                if offset >= head:
                    judged.add(path)
        # The head was complete: one record each. Before that there is nothing to judge.
        self.proxy.wait_record("request", lambda record: record["audit"]["path"] in judged, mark, len(judged))
        records = [record for record in records_after(self.proxy, mark) if record["audit"]["path"] in ended]
        cancelled = [record["audit"]["path"] for record in records if record["audit"]["action"] == "client_cancel"]
        self.assertEqual(sorted(judged), sorted(cancelled))
        for record in records:
            if record["audit"]["path"] not in judged:
                self.assertEqual(("reject", "protocol"), (record["audit"]["action"], record.get("rejected_by")), record)
        self.check_origin(ended)

    def check_origin(self, ended):
        """`ended`: path to (when the client ended, whether its request was whole)."""
        with self.arrived:
            self.assertTrue(self.arrived.wait_for(lambda: all(when for _, when in self.seen.values()), DEADLINE), "a connection to the origin stays open")
            # The origin may come late to the last connections of the test before this one.
            for path in self.seen.keys() - ended.keys() - {""}:
                self.assertNotEqual(path.rsplit("/", 1)[1], next(iter(ended)).rsplit("/", 1)[1], "nobody asked for this")
                del self.seen[path]
        delays = []
        for path, (raw, when) in self.seen.items():
            self.assertNotIn(TOKEN.encode(), raw)
            if not path or not ended[path][1]:
                self.assertNotIn(read_message(raw, False, is_request=True).state, ("complete", "extra"), f"{path}: {raw!r}")
            if path:
                delays.append(when - ended[path][0])
        if not self.contacts_origin:
            return
        self.assertLess(statistics.median(delays), 0.1 * SLOWNESS)
        self.assertLess(max(delays), 2 * SLOWNESS)

    def test_without_body(self):
        self.every_offset("none", ("fin", "rst"), False)

    def test_length(self):
        self.every_offset("length", ("fin", "rst"), False)

    def test_chunked(self):
        self.every_offset("chunked", ("fin", "rst"), False)

    def test_without_body_in_a_tunnel(self):
        self.every_offset("none", ("fin", "notify", "rst"), True)

    def test_length_in_a_tunnel(self):
        self.every_offset("length", ("fin", "notify", "rst"), True)

    def test_chunked_in_a_tunnel(self):
        self.every_offset("chunked", ("fin", "notify", "rst"), True)


class ClientEndsReadWhole(ClientEnds):
    """The same where a transform reads the body whole: the origin is not even contacted for less than all of it."""

    token_in_body = True
    contacts_origin = False
    transforms = [allowlist("*.test"), secrets(secret(match_body=True))]

    def check_origin(self, ended):
        super().check_origin(ended)
        for path, (raw, _) in self.seen.items():
            self.assertTrue(not path or ended[path][1], f"contact for {path}")
            if raw:
                self.assertIn(KEY.encode(), raw)

    def test_without_body(self):
        self.skipTest("nothing to read")

    test_without_body_in_a_tunnel = test_without_body


if __name__ == "__main__":
    main()
