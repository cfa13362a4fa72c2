"""TLS cut inside its records, on both sides, handshake included: nothing half is taken for whole, nothing leaks."""
import ssl

from faultcase import KEY, TOKEN, WireTest, answer, end, main, read_message, records_after, usage, wait_until
from relay import relay_for

STEP = 29  # of the handshake's bytes each so manieth is tried, of the answer's every one
BODY = b"hello, world"
# The answers of one record each, and one whose body is in several.
ANSWERS = {"length": [answer(BODY)], "close": [answer(BODY, length=False)],
           "records": [b"HTTP/1.1 200 OK\r\n\r\n", b"hello", b", ", b"world"]}


class OriginCut(WireTest):
    """A relay before a TLS origin passes on only the first bytes of what the origin sends."""

    def setUp(self):
        super().setUp()
        self.tls_upstream.default = self.send_parts

    @staticmethod
    def send_parts(connection, request):
        for part in ANSWERS[request.target.split("/")[1]]:
            connection.send(part)
        end(connection, "notify")
        return "end"

    def one(self, name, how, limit):
        """What the client has when `limit` bytes of the origin's side were passed on, and how many there would be."""
        relay = relay_for(self, ("127.0.0.1", self.tls_upstream.port), limit_back=limit, how=how)
        peer = self.tls_tunnel(f"up.test:{relay.port}")
        peer.send_request("GET", f"/{name}/{how}/{limit}", f"up.test:{relay.port}", [("Authorization", TOKEN), ("Connection", "close")])
        message = read_message(peer.read_to_end(), not peer.reset_seen)
        peer.close()
        relay.close()
        return message, relay.passed_back

    def every_offset(self, name, how):
        message, total = self.one(name, how, None)
        self.assertEqual(("complete", 200, BODY), (message.state, message.status, message.body))
        answered = sum(map(len, ANSWERS[name])) + 22 * len(ANSWERS[name]) + 24  # records of the answer and its close_notify
        offsets = [*range(0, total - answered - 600, STEP), *range(total - answered - 8, total - 24)]
        for offset in offsets:
            requests = len(self.tls_upstream.requests)
            message, _ = self.one(name, how, offset)
            context = f"{offset} of {total} bytes gave {message}"
            if message.status == 200:
                self.assert_cut_or_between_records(name, message, context)
            else:
                self.assertEqual(("complete", 502, b"bad gateway\n"), (message.state, message.status, message.body), context)
                self.assertTrue(self.proxy.wait_request(path=f"/{name}/{how}/{offset}")["error"])
            if offset < total - answered - 600:  # the handshake is not complete
                self.assertEqual(502, message.status, context)
                self.assertEqual(requests, len(self.tls_upstream.requests), context)

    def assert_cut_or_between_records(self, name, message, context):
        """Only a close-delimited body cut between two records may look whole: many origins end theirs like that."""
        if message.state == "complete" and name != "length":
            ends = {BODY} if name == "close" else {b"", b"hello", b"hello, ", BODY}
            self.assertIn(message.body, ends, context)
            self.between.append(message.body)
            return
        if message.state == "complete":
            self.assertEqual(BODY, message.body, context)
            return
        self.assertEqual("cut", message.state, context)
        self.assertTrue(BODY.startswith(message.body), context)

    def test_length(self):
        self.every_offset("length", "fin")
        self.every_offset("length", "rst")

    def test_close_delimited(self):
        """Inside a record it is a cut, whatever the origin's habits: only offsets at record borders look whole.

        A border is not at the same offset each time: the signature in the handshake has 69 to 72 bytes. A record has 22 more than its data.
        """
        for name in ("close", "records"):
            self.between = []
            self.every_offset(name, "fin")
            for body in set(self.between) - {BODY}:
                self.assertLessEqual(self.between.count(body), 4, f"{name}: cuts inside a record look like ends: {self.between}")

    def test_close_delimited_reset(self):
        self.between = []
        self.every_offset("records", "rst")
        self.assertEqual([], [body for body in self.between if body != BODY])


class ClientCut(WireTest):
    """A TLS client inside a tunnel whose connection ends inside a record."""

    def opening(self):
        """(tunnel, incoming, outgoing, TLS) with the first flight in `outgoing`."""
        peer = self.tunnel(self.tls_upstream.host())
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.certificates.client_context().wrap_bio(incoming, outgoing, server_hostname="up.test")
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return peer, incoming, outgoing, tls

    def established(self, data):
        """(tunnel, the bytes that finish the handshake, those of the record that holds `data`)"""
        peer, incoming, outgoing, tls = self.opening()
        peer.send(outgoing.read())
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                peer._fill()
                incoming.write(peer.buffer)
                peer.buffer = b""
        finished = outgoing.read()
        tls.write(data)
        return peer, finished, outgoing.read()

    def cut(self, peer, data, how):
        peer.send(data)
        end(peer, how)

    def resting(self):
        return usage(self.proxy.pid)[1]

    def test_hello(self):
        size = len(self.opening()[2].read())
        before = self.resting()
        for how in ("fin", "rst"):
            for offset in range(0, size, 7):
                peer, _, outgoing, _ = self.opening()
                self.cut(peer, outgoing.read()[:offset], how)
        self.assert_nothing_came(before)

    def test_finished(self):
        size = len(self.established(b"x")[1])
        before = self.resting()
        for how in ("fin", "rst"):
            for offset in range(0, size):
                peer, finished, _ = self.established(b"x")
                self.cut(peer, finished[:offset], how)
        self.assert_nothing_came(before)

    def test_request(self):
        request = f"GET /cut HTTP/1.1\r\nHost: {self.tls_upstream.host()}\r\nAuthorization: {TOKEN}\r\n\r\n".encode()
        size = len(self.established(request)[2])
        before = self.resting()
        for how in ("fin", "rst"):
            for offset in range(0, size, 3):
                peer, finished, record = self.established(request)
                self.cut(peer, finished + record[:offset], how)
        self.assert_nothing_came(before)

    def assert_nothing_came(self, descriptors):
        wait_until(lambda: self.resting() <= descriptors, "descriptors to be given back")
        self.assertEqual([], [request.line for request in self.tls_upstream.requests])
        self.assertEqual([], [record for record in records_after(self.proxy, self.proxy.looked_from) if record["audit"]["method"] != "CONNECT"])
        self.assertNotIn(KEY, self.proxy.text())


if __name__ == "__main__":
    main()
