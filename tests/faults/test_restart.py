"""kill -9 while a hundred requests run, and a new start on the same ports, again and again; reloads while traffic runs."""
import json
import os
import threading

from faultcase import DEADLINE, Stopwatch, WireTest, allowlist, answer, main, merged, read_message, records_after, secret, secrets, wait_until
from harness.peer import Closed, connect
from harness.proxy import own_address
from traffic import Traffic

ROUNDS = int(os.environ.get("IRON_TEST_RESTARTS", "20"))
CLIENTS = 100
MANAGEMENT_KEY = "fault-management-key"


class Kill(WireTest):
    starts_proxy = False

    def test_nothing_hinders_the_next_start(self):
        gate = threading.Event()
        self.addCleanup(gate.set)
        half = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
        self.upstream.routes["/held"] = lambda connection, request: (connection.send(half), gate.wait(4 * DEADLINE))[1] and "end"
        audit = os.path.join(self.certificates.directory, f"audit-{os.getpid()}.log")
        over = {"log": {"level": "info", "audit_path": audit},
                "proxy": {key: own_address() for key in ("http_listen", "https_listen", "tunnel_listen")},
                "metrics": {"listen": own_address()}, "dns": {"listen": own_address()}}
        proxy = self.own_proxy(over)
        for _ in range(ROUNDS):
            peers = [connect(proxy.http) for _ in range(CLIENTS)]
            for peer in peers:
                peer.send_request("GET", "/held", self.upstream.host())
            for peer in peers:
                peer.read_until(b"hello")
            proxy.process.kill()
            proxy.process.wait()
            for peer in peers:
                peer.read_to_end()
                self.assertEqual("cut", read_message(peer.received, not peer.reset_seen).state)
                peer.close()
            clock = Stopwatch()
            proxy = self.own_proxy(over)
            self.assertEqual(200, self.plain(proxy).request("GET", "/up", self.upstream.host()).status)
            clock.check(self, 5)  # 1 s on a quiet machine
        with open(audit, encoding="utf-8") as lines:
            for line in lines:
                self.assertTrue(line.endswith("\n"))
                json.loads(line)


class Reload(WireTest):
    """No request fails because of a reload, whatever its file holds, and each runs under one configuration."""

    starts_proxy = False
    config = {"management": {"listen": "127.0.0.1:0", "api_key_env": "FAULT_MANAGEMENT"}}
    environment = {"FAULT_MANAGEMENT": MANAGEMENT_KEY, "SET_A": "value-a", "SET_B": "value-b"}

    def pipeline(self, var):
        """Two entries from one source each: a request under two configurations would carry both values."""
        return [allowlist("*.test"), secrets(secret(var, token="token-one", match_headers=["X-One"]), secret(var, token="token-two", match_headers=["X-Two"]))]

    def setUp(self):
        super().setUp()
        self.proxy_under_test = self.own_proxy({"transforms": self.pipeline("SET_A")})
        self.upstream.default = lambda connection, request: connection.send(answer())
        fields = [("X-One", "token-one"), ("X-Two", "token-two")]
        self.traffic = Traffic(self, self.proxy_under_test, self.upstream, fields=fields)
        self.addCleanup(self.traffic.ending.set)
        self.traffic.wait(20)

    def call(self):
        peer = connect(self.proxy_under_test.management)
        try:
            return peer.request("POST", "/v1/reload", "127.0.0.1", [("Authorization", f"Bearer {MANAGEMENT_KEY}"), ("Content-Length", "0")]).status
        finally:
            peer.close()

    def write(self, var):
        self.proxy_under_test.write_config(merged(self.proxy_under_test.config, {"transforms": self.pipeline(var)}))

    def finish(self):
        """Ends the traffic and judges all of it."""
        count = self.traffic.stop()
        self.assertEqual([], self.traffic.failures)
        values = set()
        for request in self.upstream.requests:
            values.add((request.get("X-One"), request.get("X-Two")))
        self.assertLessEqual(values, {("value-a", "value-a"), ("value-b", "value-b")})
        self.proxy_under_test.wait_record("request", count=count)
        return count, values

    def test_two_hundred_good_ones(self):
        for number in range(200):
            self.write("SET_B" if number % 2 else "SET_A")
            self.assertEqual(200, self.call())
            self.traffic.wait(1)
        _, values = self.finish()
        self.assertEqual(2, len(values), "the reloads had no effect")

    def test_bad_ones_change_nothing(self):
        path = self.proxy_under_test.config_path
        good = json.dumps(merged(self.proxy_under_test.config, {"transforms": self.pipeline("SET_B")}))
        huge = "#" * (8 << 20) + "\n{"
        for text in ("dns: [", "", good[:-20], good.replace('"dns"', '"dsn"', 1), huge):
            self.proxy_under_test.write_config(text)
            self.assertEqual(422, self.call(), text[:50])
            self.traffic.wait(5)
        os.remove(path)
        self.assertEqual(422, self.call())
        os.mkdir(path)
        self.assertEqual(422, self.call())
        os.rmdir(path)
        os.symlink(path, path)  # leads to itself
        self.assertEqual(422, self.call())
        os.remove(path)
        self.traffic.wait(20)
        _, values = self.finish()
        self.assertEqual({("value-a", "value-a")}, values)

    def test_file_replaced_by_a_link(self):
        target = os.path.join(self.proxy_under_test.directory, "other.yaml")
        os.rename(self.proxy_under_test.config_path, target)
        os.symlink(target, self.proxy_under_test.config_path)
        self.assertEqual(200, self.call())
        self.traffic.wait(5)
        self.finish()

    def test_fifty_at_once(self):
        statuses, lock = [], threading.Lock()

        def one(number):
            if number % 5 == 0:
                with lock:
                    self.write("SET_B" if number % 2 else "SET_A")
            status = self.call()
            with lock:
                statuses.append(status)
        mark = self.proxy_under_test.mark()
        threads = [threading.Thread(target=one, args=(number,)) for number in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(4 * DEADLINE)
        self.assertEqual([200] * 50, statuses)
        wait_until(lambda: len(records_after(self.proxy_under_test, mark, "management reload succeeded")) >= 50, "fifty records")
        self.traffic.wait(20)
        self.finish()


if __name__ == "__main__":
    main()
