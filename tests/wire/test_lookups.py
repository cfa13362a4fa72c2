"""Lookups: name servers that are slow about one kind of address, or never answer for it (RFC 8305 section 3); answers that are kept."""
import signal
import socket
import struct
import threading
import time

from harness import DEADLINE, Upstream, WireTest, main, wait_until
from harness.case import merged
from harness.dns import A, AAAA, Answer, Dns, query, read_name
from harness.upstream import answer

DROP = "DROP"


class SlowDns(Dns):
    """`kinds`: (name, type) to a list of addresses, a code, DROP, or (seconds, addresses)."""

    def __init__(self):
        self.kinds = {}
        super().__init__()

    def _serve(self):
        while True:
            try:
                data, client = self.sock.recvfrom(4096)
            except OSError:
                return
            name, at = read_name(data, 12)
            known = self.kinds.get((name.lower(), struct.unpack_from("!H", data, at)[0]), [])
            delay, known = known if isinstance(known, tuple) else (0, known)
            self.names[name.lower()] = known
            reply = self._reply(data)
            if reply and delay:
                threading.Timer(delay, self.sock.sendto, (reply, client)).start()
            elif reply:
                self.sock.sendto(reply, client)


class OneKind(WireTest):
    starts_proxy = False

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.slow = SlowDns()
        cls.addClassCleanup(cls.slow.close)
        cls.proxy = cls.start_proxy({"dns": {"upstream_resolver": cls.slow.address, "passthrough": ["*.pass.test"]}})
        cls.origins = {}
        for host in ("127.0.0.1", "::1"):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            try:
                listener = socket.create_server((host, 0), family=family)
            except OSError:
                continue
            cls.addClassCleanup(listener.close)
            cls.origins[host] = listener
            threading.Thread(target=cls.serve, args=(listener,), daemon=True).start()

    @staticmethod
    def serve(listener):
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                peer.recv(65536)
                peer.sendall(answer(fields=[("Connection", "close")]))

    def get(self, name, origin, v4, v6, at_most, at_least=0.0):
        """A request that must be answered by `origin` in time."""
        if origin not in self.origins:
            self.skipTest("no IPv6 here")
        self.slow.kinds[name, A], self.slow.kinds[name, AAAA] = v4, v6
        port = self.origins[origin].getsockname()[1]
        peer = self.plain()
        began = time.monotonic()
        self.assertEqual(200, peer.request("GET", "/" + name, f"{name}:{port}").status)
        took = time.monotonic() - began
        self.assertLess(took, at_most)
        self.assertGreaterEqual(took, at_least)
        shown = f"[{origin}]:{port}" if ":" in origin else f"{origin}:{port}"
        self.assertEqual(shown, self.proxy.wait_request(path="/" + name)["audit"]["upstream_addr"])

    def test_no_answer_for_ipv6(self):
        self.get("four.test", "127.0.0.1", ["127.0.0.1"], DROP, 1)
        # While the first lookup still waits for the other kind.
        for number in range(5):
            with self.subTest(number):
                self.get("four.test", "127.0.0.1", ["127.0.0.1"], DROP, 1)

    def test_no_answer_for_ipv4(self):
        self.get("six.test", "::1", DROP, ["::1"], 1)

    def test_over_tls(self):
        self.slow.kinds["up.test", A], self.slow.kinds["up.test", AAAA] = ["127.0.0.1"], DROP
        host = self.tls_upstream.host()
        began = time.monotonic()
        self.assertEqual(200, self.tls_tunnel(host).request("GET", "/tls", host).status)
        self.assertLess(time.monotonic() - began, 2)

    def test_no_is_an_answer(self):
        for name, v4, v6, origin in (("a.test", ["127.0.0.1"], [], "127.0.0.1"), ("b.test", ["127.0.0.1"], "NXDOMAIN", "127.0.0.1"),
                                     ("c.test", [], ["::1"], "::1"), ("d.test", "NXDOMAIN", ["::1"], "::1")):
            with self.subTest(name):
                self.get(name, origin, v4, v6, 1)

    def test_failures_do_not_hold_up(self):
        self.get("fail.test", "127.0.0.1", ["127.0.0.1"], "SERVFAIL", 1)

    def test_a_late_answer_joins_the_race(self):
        """What came first leads nowhere: the other family is tried when its answer is here."""
        for name, v4, v6, origin in (("late6.test", ["127.0.0.2"], (0.5, ["::1"]), "::1"), ("late4.test", (0.5, ["127.0.0.1"]), ["::1"], "127.0.0.1")):
            with self.subTest(name):
                # The port of the one origin is closed at the other address.
                self.get(name, origin, v4, v6, 3, at_least=0.45)

    def test_a_late_answer_joins_while_the_first_is_tried(self):
        if "::1" not in self.origins:
            self.skipTest("no IPv6 here")
        hole = socket.create_server(("127.0.0.2", self.origins["::1"].getsockname()[1]), backlog=0)
        self.addCleanup(hole.close)
        for _ in range(4):  # its queue is full: no connect to it ends
            filler = socket.socket()
            self.addCleanup(filler.close)
            filler.setblocking(False)
            filler.connect_ex(hole.getsockname())
        self.get("hole.test", "::1", ["127.0.0.2"], (0.5, ["::1"]), 3, at_least=0.45)

    def test_all_fail(self):
        self.slow.kinds["none.test", A], self.slow.kinds["none.test", AAAA] = ["127.0.0.2"], (0.5, ["::1"])
        port = self.upstream.port  # on 127.0.0.1 alone
        self.assertEqual(502, self.plain().request("GET", "/none", f"none.test:{port}").status)
        self.assertEqual(f"dial tcp 127.0.0.2:{port}: connect: connection refused", self.proxy.wait_request(path="/none")["error"])

    def test_the_name_server_does_not_wait_either(self):
        def ask(name):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.addCleanup(sock.close)
            sock.settimeout(DEADLINE)
            began = time.monotonic()
            sock.sendto(query(name), self.proxy.dns)
            reply = Answer(sock.recv(65535))
            return reply.rcode, [record[3] for record in reply.answers], time.monotonic() - began
        self.slow.kinds["a.pass.test", A], self.slow.kinds["a.pass.test", AAAA] = ["10.2.2.2"], DROP
        rcode, addresses, took = ask("a.pass.test")
        self.assertEqual((0, ["10.2.2.2"]), (rcode, addresses))
        self.assertLess(took, 1)
        # A question for A is not answered by the fact that there are others.
        self.slow.kinds["b.pass.test", A], self.slow.kinds["b.pass.test", AAAA] = (0.5, ["10.2.2.3"]), ["fd00::1"]
        self.assertEqual((0, ["10.2.2.3"]), ask("b.pass.test")[:2])


class Kept(WireTest):
    """Each request here dials anew, for the origin ends each connection; one client connection stays at one worker."""

    config = {"proxy": {"upstream_deny_cidrs": ["127.0.0.7/32"]}}

    def setUp(self):
        self.upstream.default = answer(fields=[("Connection", "close")])

    def get(self, peer, name):
        """The status, and the record of the request."""
        mark = self.last.mark()
        status = peer.request("GET", "/" + name, self.upstream.host(name)).status
        return status, self.last.wait_request(path="/" + name, after=mark)

    def client(self, proxy=None):
        self.last = proxy or self.proxy
        return self.plain(self.last)

    def test_within_its_time_an_answer_is_used_again(self):
        peer = self.client()
        for _ in range(5):
            self.assertEqual(200, self.get(peer, "kept.test")[0])
        self.assertEqual(1, self.dns.asked("kept.test"))
        self.assertEqual(5, len([request for request in self.upstream.requests if request.target == "/kept.test"]))
        self.assertEqual(5, len({request.connection.number for request in self.upstream.requests if request.target == "/kept.test"}))

    def test_after_its_time_it_is_asked_for_again(self):
        self.dns.ttls["short.test"] = 1
        peer = self.client()
        began = time.monotonic()
        self.assertEqual(200, self.get(peer, "short.test")[0])
        wait_until(lambda: self.get(peer, "short.test")[0] == 200 and self.dns.asked("short.test") == 2, "a second lookup")
        self.assertGreaterEqual(time.monotonic() - began, 1)

    def test_failures_are_asked_for_each_time(self):
        self.dns.names |= {"nx.test": "NXDOMAIN", "none.test": []}
        peer = self.client()
        for name in ("nx.test", "none.test"):
            for count in (1, 2):
                self.assertEqual(502, self.get(peer, name)[0])
                self.assertEqual(count, self.dns.asked(name))

    def test_each_use_is_judged(self):
        self.dns.names["denied.test"] = ["127.0.0.7"]
        peer = self.client()
        for _ in range(3):
            status, record = self.get(peer, "denied.test")
            self.assertEqual(502, status)
            self.assertRegex(record["error"], r"denied by upstream_deny_cidrs: 127\.0\.0\.7 in 127\.0\.0\.7/32$")
        self.assertEqual(1, self.dns.asked("denied.test"))

    def test_another_answer_is_judged_anew(self):
        self.dns.ttls["moves.test"] = 1
        peer = self.client()
        self.assertEqual(200, self.get(peer, "moves.test")[0])
        self.dns.names["moves.test"] = ["127.0.0.7"]
        wait_until(lambda: self.get(peer, "moves.test")[0] == 502, "the other address")
        self.assertIn("denied by upstream_deny_cidrs", self.get(peer, "moves.test")[1]["error"])

    def test_addresses_take_turns(self):
        other = Upstream(address="127.0.0.9", port=self.upstream.port)
        self.addCleanup(other.close)
        other.default = self.upstream.default
        self.dns.names["two.test"] = ["127.0.0.1", "127.0.0.9"]
        peer = self.client()
        used = [self.get(peer, "two.test")[1]["audit"]["upstream_addr"].split(":")[0] for _ in range(4)]
        self.assertEqual(["127.0.0.1", "127.0.0.9"] * 2, used)
        self.assertEqual(1, self.dns.asked("two.test"))

    def test_a_reload_empties(self):
        proxy = self.own_proxy()
        peer = self.client(proxy)
        for _ in range(2):
            self.assertEqual(200, self.get(peer, "reload.test")[0])
        asked = self.dns.asked("reload.test")
        self.assertEqual(1, asked)
        proxy.send_signal(signal.SIGHUP)
        proxy.wait_record("management reload succeeded")
        self.assertEqual(200, self.get(peer, "reload.test")[0])
        self.assertEqual(asked + 1, self.dns.asked("reload.test"))
        # What was looked up before is judged by the list of now.
        proxy.write_config(merged(proxy.config, {"proxy": {"upstream_deny_cidrs": ["127.0.0.1/32"]}}))
        proxy.send_signal(signal.SIGHUP)
        proxy.wait_record("management reload succeeded", count=2)
        self.assertEqual(502, self.get(peer, "reload.test")[0])


if __name__ == "__main__":
    main()
