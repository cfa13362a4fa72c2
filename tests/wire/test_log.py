"""The log under stress: slow, dead and full readers; one valid line per decision whatever the client sends."""
import base64
import json
import os
import shutil
import signal
import tempfile

from harness import WireTest, main, wait_until
from harness.case import KEY, allowlist, merged, secret, secrets

OTHER_KEY = "other-real-" + "0c9d1e7b55aa"


class LastNet(WireTest):
    """A sandbox that somehow has a key writes it into all that is recorded; no line has it."""

    gives_keys = True
    starts_proxy = False
    transforms = [allowlist("*.test"), secrets(secret(), secret(var="OTHER_KEY", token="proxy-token-other"))]
    environment = {"OTHER_KEY": OTHER_KEY}

    def ask(self, proxy, key, name):
        stars = "*" * len(key)
        peer = self.plain(proxy)
        peer.request("GET", f"/{name}/{key}?q={key}", self.upstream.host())
        self.assertEqual(f"/{name}/{stars}", proxy.wait_request(path=f"/{name}/{stars}")["audit"]["path"])

    def test_no_line_has_a_key(self):
        proxy = self.own_proxy({"log": {"level": "debug"}})
        self.ask(proxy, KEY, "first")
        self.ask(proxy, OTHER_KEY, "second")
        encoded = base64.b64encode(b"user:" + KEY.encode()).decode()
        self.plain(proxy).request("GET", f"/third/{encoded}", self.upstream.host())
        record = proxy.wait_record("request", lambda record: record["audit"]["path"].startswith("/third/"))
        self.assertNotIn(encoded[10:-10], record["audit"]["path"])
        self.plain(proxy).send(f"GET http://{KEY}.test/ HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        proxy.wait_record("request", lambda record: record["audit"]["host"] == "*" * len(KEY) + ".test")
        for key in (KEY, OTHER_KEY):
            self.assertNotIn(key, proxy.text())

    def test_in_the_audit_file(self):
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        path = os.path.join(directory, "audit.jsonl")
        proxy = self.own_proxy({"log": {"audit_path": path}})
        self.plain(proxy).request("GET", f"/{KEY}", self.upstream.host())
        wait_until(lambda: os.path.getsize(path) > 0, "the record")
        with open(path, encoding="utf-8") as file:
            self.assertEqual("/" + "*" * len(KEY), json.loads(file.readline())["audit"]["path"])

    def test_keys_of_the_configuration_before(self):
        proxy = self.own_proxy()
        proxy.write_config(merged(proxy.config, {"transforms": [allowlist("*.test"), secrets(secret())]}))
        proxy.send_signal(signal.SIGHUP)
        proxy.wait_record("management reload succeeded")
        self.ask(proxy, KEY, "kept")
        self.ask(proxy, OTHER_KEY, "gone")


class Readers(WireTest):
    starts_proxy = False

    def load(self, proxy, count, peer=None):
        peer = peer or self.plain(proxy)
        for number in range(count):
            self.assertEqual(200, peer.request("GET", f"/{number}/" + "x" * 1000, self.upstream.host()).status)

    def test_a_stalled_reader_does_not_stop_traffic(self):
        proxy = self.own_proxy()
        proxy.reading.clear()
        self.load(proxy, 300)  # far more than a pipe holds
        proxy.reading.set()
        proxy.wait_record("request", count=300)

    def test_full_buffer_drops_and_counts(self):
        proxy = self.own_proxy({"log": {"level": "info", "buffer_bytes": 50000, "when_full": "drop"}})
        proxy.reading.clear()
        self.load(proxy, 400)
        proxy.reading.set()
        self.assertGreater(proxy.wait_record("log records lost")["count"], 0)

        def accounted():
            return len(proxy.records("request")) + sum(record["count"] for record in proxy.records("log records lost"))
        wait_until(lambda: accounted() >= 400, "every record to be written or counted")
        sent, written = 400, len(proxy.records("request"))

        def is_written_again():  # soon after the reader has everything
            nonlocal sent
            self.load(proxy, 1)
            sent += 1
            wait_until(lambda: accounted() >= sent, "the record to be written or counted")
            return len(proxy.records("request")) > written
        wait_until(is_written_again, "a record to be written")
        self.assertEqual(sent, accounted())

    def test_full_buffer_makes_new_requests_wait(self):
        proxy = self.own_proxy({"log": {"level": "info", "buffer_bytes": 50000}})
        proxy.reading.clear()
        peer = self.plain(proxy)
        served = 0
        waiting = False
        while served < 400 and not waiting:
            peer.send_request("GET", f"/{served}/" + "x" * 1000, self.upstream.host())
            if peer.readable(2.0):
                self.assertEqual(200, peer.read_response().status)
                served += 1
            else:
                waiting = True
        self.assertTrue(waiting, "requests went on although the buffer was full")
        tunnel = self.plain(proxy, "tunnel").send(b"\5\1\0\5\1\0\3\7up.test\0\x50")
        self.assertFalse(tunnel.readable(0.5), "a tunnel was opened although the buffer was full")
        proxy.reading.set()
        self.assertEqual(200, peer.read_response().status)
        self.assertEqual(b"\5\0\5\0\0\1\0\0\0\0\0\0", tunnel.read_exact(12))
        proxy.wait_record("request", count=served + 2)
        self.assertEqual([], proxy.records("log records lost"))

    def test_a_reader_that_is_gone(self):
        proxy = self.own_proxy()
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), proxy.process.stderr.fileno())  # closes the read end under the reader,
        self.load(proxy, 1)  # which is still in a read() that this record ends
        wait_until(lambda: proxy.closed, "the reader to be gone")
        self.load(proxy, 50)
        self.assertTrue(proxy.alive())

    def test_full_disk(self):
        proxy = self.own_proxy({"log": {"level": "info", "audit_path": "/dev/full"}})
        self.load(proxy, 50)
        self.assertTrue(proxy.alive())
        self.assertEqual([], proxy.records("request"))

    def test_lost_records_are_reported_when_writing_works_again(self):
        # A confined proxy may not write where it did not at its start.
        proxy = self.own_proxy({"log": {"level": "info", "audit_path": "/dev/full"}, "hardening": "off"})
        self.load(proxy, 10)
        path = os.path.join(proxy.directory, "audit.log")
        proxy.config["log"]["audit_path"] = path
        proxy.write_config(proxy.config)
        proxy.send_signal(signal.SIGHUP)
        proxy.wait_record("management reload succeeded")
        self.load(proxy, 1)
        self.assertEqual(10, proxy.wait_record("log records lost")["count"])

    def test_audit_file_is_not_followed(self):
        target = os.path.join(self.certificates.directory, "target")
        link = os.path.join(self.certificates.directory, "link.log")
        for path in (target, link):
            if os.path.lexists(path):
                os.remove(path)
        os.symlink(target, link)
        proxy = self.own_proxy({"log": {"level": "info", "audit_path": link}}, start=False)
        proxy.refuses_to_start = True
        proxy.start(wait=False)
        self.assertEqual(1, proxy.wait())
        self.assertEqual(f"error: opening log.audit_path: open {link}: too many levels of symbolic links", proxy.text().splitlines()[-1])
        self.assertFalse(os.path.exists(target))


class Records(WireTest):
    transforms = [allowlist("*.test", warn=True)]

    def test_warn_mode(self):
        self.dns.names["else.example"] = ["127.0.0.1"]
        self.assertEqual(200, self.plain().request("GET", "/warned", self.upstream.host("else.example")).status)
        entry = self.proxy.wait_request(path="/warned")["request_transforms"][0]
        self.assertEqual(({"action": "warn"}, "allow"), (entry["annotations"], entry["action"]))

    def test_time_and_ids(self):
        for number in range(5):
            self.plain().request("GET", f"/id{number}", self.upstream.host())
        records = [self.proxy.wait_request(path=f"/id{number}") for number in range(5)]
        self.assertEqual(5, len({record["audit"]["id"] for record in records}))
        for record in records:
            self.assertRegex(record["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?(Z|[+-]\d\d:\d\d)$")

    def test_debug_level(self):
        proxy = self.own_proxy({"log": {"level": "debug"}})
        self.tunnel(self.upstream.host(), proxy=proxy)
        self.assertEqual(self.upstream.host(), proxy.wait_record("tunnel CONNECT")["target"])

    def test_error_level_hides_the_rest(self):
        proxy = self.own_proxy({"log": {"level": "error"}, "proxy": {"http_listen": "127.0.0.1:bad"}}, start=False)
        proxy.refuses_to_start = True
        proxy.start(wait=False)
        self.assertEqual(1, proxy.wait())
        self.assertEqual(["ERROR", None], [record.get("level") for record in proxy.records()])  # the last line is plain text


if __name__ == "__main__":
    main()
