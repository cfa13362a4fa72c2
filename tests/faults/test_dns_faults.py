"""Name servers that fail in every way, and names whose first address is dead."""
import socket
import struct
import threading
import time

from faultcase import DEADLINE, SLOWNESS, Stopwatch, WireTest, main
from harness.dns import A, AAAA, Dns, read_name


class FaultyDns(Dns):
    """Names below .fault get what the name's first label says; TCP is served on the same port for `tcp`."""

    def __init__(self):
        super().__init__()
        while True:  # a port that is free for both
            try:
                self.tcp = socket.create_server(("127.0.0.1", int(self.address.rsplit(":", 1)[1])))
                break
            except OSError:
                super().close()
                super().__init__()
        threading.Thread(target=self._serve_tcp, daemon=True).start()

    def close(self):
        super().close()
        self.tcp.close()

    def _serve(self):
        while True:
            try:
                data, client = self.sock.recvfrom(4096)
                for reply in self.replies(data):
                    self.sock.sendto(reply, client)
            except OSError:
                return

    def _serve_tcp(self):
        while True:
            try:
                peer, _ = self.tcp.accept()
            except OSError:
                return
            with peer:
                try:
                    size = struct.unpack("!H", peer.recv(2))[0]
                    query = peer.recv(size)
                    if read_name(query, 12)[0].startswith("tcpcut"):
                        peer.sendall(struct.pack("!H", 500) + query[:20])
                        continue
                    reply = self.good(query, ["127.0.0.1"])
                    peer.sendall(struct.pack("!H", len(reply)) + reply)
                except (OSError, struct.error):
                    pass

    @staticmethod
    def good(query, addresses, flags=0x8180, ident=None, name=None):
        """An answer; with no addresses it is empty."""
        question, at = read_name(query, 12)
        kind = struct.unpack_from("!H", query, at)[0]
        addresses = [address for address in addresses if (":" in address) == (kind == AAAA) and kind in (A, AAAA)]
        head = struct.pack("!HHHHHH", struct.unpack_from("!H", query)[0] if ident is None else ident, flags, 1, len(addresses), 0, 0)
        body = query[12:at + 4] if name is None else name
        for address in addresses:
            packed = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
            body += b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(packed)) + packed
        return head + body

    def replies(self, query):
        name, at = read_name(query, 12)
        self.queries.append((name.lower(), struct.unpack_from("!H", query, at)[0]))
        label, good = name.split(".")[0], lambda *a, **k: self.good(query, ["127.0.0.1"], *a, **k)
        ident = struct.unpack_from("!H", query)[0]
        other = b"\4else\4test\0" + query[at:at + 4]
        known = {
            "silent": [], "servfail": [self.good(query, [], 0x8182)], "refused": [self.good(query, [], 0x8185)], "nxdomain": [self.good(query, [], 0x8183)],
            "empty": [self.good(query, [])], "wrongid": [good(ident=ident ^ 1)], "wrongthenright": [good(ident=ident ^ 1), good(name=other), b"", b"\xff" * 40, good()],
            "wrongname": [good(name=other)], "garbage": [bytes((7 * n + 3) % 256 for n in range(200))], "short": [query[:5]], "isquery": [query],
            "cut": [good()[:-3]], "loop": [good()[:at + 4] + bytes([0xC0, at + 4]) + good()[at + 6:]],
            "tcp": [self.good(query, [], 0x8380)], "tcpcut": [self.good(query, [], 0x8380)],
            "hundred": [self.good(query, [f"127.0.1.{n}" for n in range(1, 100)] + ["127.0.0.1"])],
        }
        if label in known:
            return known[label]
        return [self.good(query, self.names.get(name.lower(), ["127.0.0.1"] if name.endswith(".test") else []))]


class Lookups(WireTest):
    transforms = [{"name": "allowlist", "config": {"domains": ["*"]}}]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.faulty = FaultyDns()
        cls.addClassCleanup(cls.faulty.close)
        cls.faulty_proxy = cls.start_proxy({"dns": {"upstream_resolver": cls.faulty.address}})

    def ask(self, label):
        """(status, error of the record, seconds)"""
        began = time.monotonic()
        status = self.plain(self.faulty_proxy).request("GET", f"/{label}", self.upstream.host(f"{label}.fault")).status
        took = time.monotonic() - began
        record = self.faulty_proxy.wait_request(path=f"/{label}", after=0)
        return status, record.get("error", ""), took

    def test_answers_that_say_no(self):
        for label, error in (("nxdomain", ": no such host"), ("empty", ": no such host"), ("servfail", ": server misbehaving"), ("refused", ": server misbehaving")):
            with self.subTest(label):
                status, text, took = self.ask(label)
                self.assertEqual(502, status)
                self.assertRegex(text, rf"^dial tcp: lookup {label}\.fault on \S+{error}$")
                self.assertLess(took, 10 * SLOWNESS)

    def test_answers_that_are_none(self):
        """None of these is an answer: 502 within the ten seconds that a lookup may take, all at once."""
        labels, got = ("silent", "wrongid", "wrongname", "garbage", "short", "isquery", "cut", "loop", "tcpcut"), {}
        clock = Stopwatch()
        threads = [threading.Thread(target=lambda label=label: got.update({label: self.ask(label)})) for label in labels]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(2 * DEADLINE)
        clock.check(self, 11)
        self.assertEqual(set(labels), set(got))
        for label, (status, text, _) in got.items():
            with self.subTest(label):
                self.assertEqual(502, status)
                self.assertTrue(text.startswith(f"dial tcp: lookup {label}.fault on "), text)
        self.assertIn("i/o timeout", got["silent"][1])

    def test_only_the_right_answer_counts(self):
        for label in ("wrongthenright", "tcp", "hundred"):
            with self.subTest(label):
                self.assertEqual((200, ""), self.ask(label)[:2])

    def test_others_are_served_meanwhile(self):
        slow = self.plain(self.faulty_proxy)
        slow.send_request("GET", "/slow", self.upstream.host("silent.fault"))
        for number in range(20):
            clock = Stopwatch()
            self.assertEqual(200, self.plain(self.faulty_proxy).request("GET", f"/{number}", self.upstream.host()).status)
            clock.check(self, 2)
        slow.reset()


class BlackHole:
    """An address that never answers: a listener whose queue is full."""

    def __init__(self, address, port):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = socket.socket(family)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, port))
        self.listener.listen(0)
        self.fillers = []
        for _ in range(4):
            filler = socket.socket(family)
            filler.setblocking(False)
            filler.connect_ex((address, port))
            self.fillers.append(filler)

    def close(self):
        for sock in (*self.fillers, self.listener):
            sock.close()


class DeadAddresses(WireTest):
    """The next address is tried after 300 ms, whatever its family (RFC 8305); a dead one costs no more than that."""

    def connects_within(self, name, addresses, at_most, dead):
        holes = [BlackHole(address, self.upstream.port) for address in dead]
        for hole in holes:
            self.addCleanup(hole.close)
        self.dns.names[name] = addresses
        clock = Stopwatch()
        self.assertEqual(200, self.plain().request("GET", "/" + name, self.upstream.host(name)).status)
        clock.check(self, at_most, 0.2)
        self.assertEqual(f"127.0.0.1:{self.upstream.port}", self.proxy.wait_request(path="/" + name)["audit"]["upstream_addr"])

    def test_of_the_same_family(self):
        self.connects_within("twin.test", ["127.0.0.2", "127.0.0.1"], 2, ["127.0.0.2"])

    def test_several(self):
        self.connects_within("many.test", ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.1"], 4, ["127.0.0.2", "127.0.0.3", "127.0.0.4"])

    def test_ipv6_behind_ipv4(self):
        """IPv4 comes first; the other family is not kept waiting by dead addresses."""
        try:
            upstream_v6 = socket.create_server(("::1", 0), family=socket.AF_INET6)
        except OSError:
            self.skipTest("no IPv6 here")
        self.addCleanup(upstream_v6.close)
        port = upstream_v6.getsockname()[1]
        hole = BlackHole("127.0.0.2", port)
        self.addCleanup(hole.close)
        self.dns.names["six.test"] = ["127.0.0.2", "::1"]
        peer = self.plain()
        clock = Stopwatch()
        peer.send_request("GET", "/six", f"six.test:{port}")
        accepted, _ = upstream_v6.accept()
        with accepted:
            clock.check(self, 2, 0.2)
            accepted.recv(4096)
            accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            self.assertEqual(200, peer.read_response().status)

    def test_refused_ones_cost_nothing(self):
        self.dns.names["refused.test"] = ["127.0.0.2", "127.0.0.3", "127.0.0.1"]
        clock = Stopwatch()
        self.assertEqual(200, self.plain().request("GET", "/refused", self.upstream.host("refused.test")).status)
        clock.check(self, 0.3)


if __name__ == "__main__":
    main()
