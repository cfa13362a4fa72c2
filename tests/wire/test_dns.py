"""The name server: interception, static records, passthrough, UDP and TCP, hostile packets."""
import socket
import struct

from harness import DEADLINE, WireTest, main
from harness.dns import A, AAAA, CNAME, Answer, encode_name, query
from harness.peer import connect


class NameServer(WireTest):
    @classmethod
    def setUpClass(cls):
        cls.config = {"dns": {"proxy_ip": "127.9.9.9", "passthrough": ["*.pass.test", "pass.example"], "records": [
            {"name": "Static.test", "type": "A", "value": "10.1.1.1"}, {"name": "alias.test", "type": "CNAME", "value": "target.test"},
            {"name": "twice.test", "type": "A", "value": "10.1.1.2"}, {"name": "twice.test.", "type": "A", "value": "10.1.1.3"},
            {"name": "broken.test", "type": "A", "value": "::1"}]}}
        super().setUpClass()
        cls.dns.names |= {"a.pass.test": ["10.2.2.2", "10.2.2.3", "fd00::1"], "nx.pass.test": "NXDOMAIN", "fail.pass.test": "SERVFAIL",
                          "many.pass.test": [f"10.3.{n // 200}.{n % 200}" for n in range(60)], "mute.pass.test": "DROP"}

    def ask(self, data, deadline=DEADLINE):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.settimeout(deadline)
        sock.sendto(data, self.proxy.dns)
        return sock.recv(65535)

    def values(self, name, kind=A):
        answer = Answer(self.ask(query(name, kind)))
        return answer.rcode, [(record[1], record[3]) for record in answer.answers]

    def test_interception_byte_for_byte(self):
        question = bytes.fromhex("03777777076578616d706c6503636f6d0000010001")
        answer = self.ask(bytes.fromhex("1234010000010000 00000000".replace(" ", "")) + question)
        self.assertEqual(bytes.fromhex("123485000001000100000000") + question + question[:17] + bytes.fromhex("000100010000003c00047f090909"), answer)

    def test_other_types_are_empty(self):
        for kind in (AAAA, 15, 16, 65, 255, 12, CNAME):
            self.assertEqual((0, []), self.values("www.example.com", kind))

    def test_flags(self):
        for flags, wanted in ((0x0100, 0x8500), (0x0000, 0x8400), (0x0130, 0x8510)):
            self.assertEqual(wanted, Answer(self.ask(query("x.example", flags=flags))).flags)

    def test_letter_case_is_repeated(self):
        answer = Answer(self.ask(query("wWw.ExAmPlE.com")))
        self.assertEqual(("wWw.ExAmPlE.com", "wWw.ExAmPlE.com"), (answer.questions[0][0], answer.answers[0][0]))

    def test_static_records(self):
        self.assertEqual((0, [(A, "10.1.1.1")]), self.values("STATIC.test"))
        self.assertEqual((0, []), self.values("static.test", AAAA))
        self.assertEqual((0, [(A, "10.1.1.3")]), self.values("twice.test"))
        self.assertEqual((0, [(CNAME, "target.test")]), self.values("alias.test", CNAME))
        self.assertEqual((0, [(CNAME, "target.test")]), self.values("alias.test", A))

    def test_unusable_record_is_named(self):
        warning = self.proxy.wait_record("dns record not used", after=0)
        self.assertEqual(("broken.test", "::1"), (warning["name"], warning["value"]))
        self.assertEqual((0, [(A, "127.9.9.9")]), self.values("broken.test"))

    def test_passthrough(self):
        self.assertEqual((0, [(A, "10.2.2.2"), (A, "10.2.2.3")]), self.values("A.pass.TEST"))
        self.assertEqual((3, []), self.values("nx.pass.test"))
        self.assertEqual((2, []), self.values("fail.pass.test"))
        self.proxy.wait_record("dns passthrough lookup failed", lambda r: r["name"] == "nx.pass.test.")

    def test_silent_upstream_is_servfail(self):
        self.assertEqual(2, Answer(self.ask(query("mute.pass.test"))).rcode)

    def test_large_answers_are_truncated_on_udp_and_whole_on_tcp(self):
        answer = Answer(self.ask(query("many.pass.test")))
        self.assertEqual((True, []), (answer.truncated, answer.answers))
        option = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)
        self.assertTrue(Answer(self.ask(query("many.pass.test", extra=option))).truncated)
        peer = self.track(connect(self.proxy.dns))
        for name, count in (("many.pass.test", 60), ("www.example.com", 1)):
            message = query(name)
            peer.send(struct.pack("!H", len(message)) + message)
            length = struct.unpack("!H", peer.read_exact(2))[0]
            answer = Answer(peer.read_exact(length))
            self.assertEqual((False, count), (answer.truncated, len(answer.answers)))

    def test_hostile_packets(self):
        two = struct.pack("!HHHHHH", 0x1234, 0x0100, 2, 0, 0, 0) + (encode_name("a") + struct.pack("!HH", 1, 1)) * 2
        loop = struct.pack("!HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1"
        cut = query("www.example.com")[:20]
        for name, data in (("two questions", two), ("compression loop", loop), ("cut", cut), ("no question", query("x")[:4] + bytes(8))):
            with self.subTest(name):
                answer = self.ask(data)
                self.assertEqual((bytes.fromhex("12348101"), 12), (answer[:4], len(answer)))
        self.assertEqual(bytes.fromhex("1234a804" + "00" * 8), self.ask(query("x", flags=0x2800)))
        for name, data in (("a response", query("x", flags=0x8100)), ("short", b"\x12\x34\x01")):
            with self.subTest(name), self.assertRaises(TimeoutError):
                self.ask(data, 0.3)
        self.assertEqual((0, [(A, "127.9.9.9")]), self.values("still.example"))

    def test_other_classes_are_refused(self):
        # CHAOS (where servers tell their version), HESIOD, NONE, ANY, the reserved 0 and one that nobody uses.
        asked = len(self.dns.queries)
        for klass in (3, 4, 254, 255, 0, 2):
            for name in ("www.example.com", "static.test", "a.pass.test", "version.bind"):
                for kind in (A, 16, 255):
                    with self.subTest(klass=klass, name=name, kind=kind):
                        answer = Answer(self.ask(query(name, kind, klass=klass)))
                        self.assertEqual((0x8105, [(name, kind, klass)], []), (answer.flags, answer.questions, answer.answers))
        self.assertEqual(asked, len(self.dns.queries))
        message = query("www.example.com", klass=3)
        peer = self.track(connect(self.proxy.dns)).send(struct.pack("!H", len(message)) + message)
        self.assertEqual(5, Answer(peer.read_exact(struct.unpack("!H", peer.read_exact(2))[0])).rcode)
        self.assertEqual((0, [(A, "127.9.9.9")]), self.values("still.example"))

    def test_tcp_nonsense_gets_no_reply(self):
        message = query("still.example")
        peer = self.track(connect(self.proxy.dns)).send(b"\x00\x03abc" + struct.pack("!H", len(message)) + message)
        length = struct.unpack("!H", peer.read_exact(2))[0]
        self.assertEqual("still.example", Answer(peer.read_exact(length)).answers[0][0])


class Resolving(WireTest):
    """The resolver towards origins: what a request sees of it."""

    def test_failures(self):
        self.dns.names |= {"nx.test": "NXDOMAIN", "sf.test": "SERVFAIL", "none.test": []}
        for name in ("nx.test", "sf.test", "none.test", "-.test"):
            with self.subTest(name):
                self.assertEqual(502, self.plain().request("GET", "/" + name, name).status)
                self.assertRegex(self.proxy.wait_request(path="/" + name)["error"], rf"^dial tcp: lookup {name}\b")

    def test_next_address_is_tried(self):
        self.dns.names["two.test"] = ["127.0.0.9", "127.0.0.1"]
        self.assertEqual(200, self.plain().request("GET", "/two", self.upstream.host("two.test")).status)
        self.assertEqual(f"127.0.0.1:{self.upstream.port}", self.proxy.wait_request(path="/two")["audit"]["upstream_addr"])

    def test_the_resolver_is_named_at_start(self):
        self.assertEqual(self.dns.address, self.proxy.wait_record("using upstream resolver", after=0)["addr"])


if __name__ == "__main__":
    main()
