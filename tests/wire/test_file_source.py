"""Keys that stand in files: rotated while the proxy runs, taken back, unreadable, in pipes."""
import os
import shutil
import tempfile
import threading
import time

from harness import WireTest, main
from harness.case import KEY, TOKEN, allowlist, secrets
from harness.waiting import wait_until

OTHER_KEY = "sk-other-" + "19ac47d20be6835f01"


def of_file(path, ttl=None, require=False, json_key=None, failure_ttl=None):
    source = {"type": "file", "path": path}
    source |= {name: value for name, value in (("ttl", ttl), ("failure_ttl", failure_ttl), ("json_key", json_key)) if value}
    return {"source": source, "replace": {"proxy_value": TOKEN, "match_headers": ["Authorization"], "require": require},
            "rules": [{"host": "*.test"}]}


class FileSources(WireTest):
    starts_proxy = False
    gives_keys = True

    def setUp(self):
        super().setUp()
        self.directory = tempfile.mkdtemp(prefix="iron-keys-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.path = os.path.join(self.directory, "key")

    def write(self, text, path=None):
        """By rename, as secret stores replace files."""
        path = path or self.path
        with open(path + ".new", "w", encoding="utf-8") as handle:
            handle.write(text)
        os.rename(path + ".new", path)

    def start(self, *entries, over=None):
        return self.own_proxy({"transforms": [allowlist("*.test"), secrets(*entries)], **(over or {})})

    def ask(self, proxy, path="/"):
        peer = self.plain(proxy)
        return peer.request("GET", path, self.upstream.host(), [("Authorization", f"Bearer {TOKEN}")])

    def sent(self, proxy):
        """What the origin got in the place of the token."""
        self.upstream.forget()
        self.assertEqual(200, self.ask(proxy).status)
        return self.upstream.requests[-1].get("Authorization")

    def test_a_new_file_is_seen_as_the_ttl_says(self):
        self.write(KEY)
        kept, each = self.start(of_file(self.path)), self.start(of_file(self.path, ttl="-1ns"))
        for proxy in (kept, each):
            self.assertEqual(f"Bearer {KEY}", self.sent(proxy))
        self.write(OTHER_KEY)
        self.assertEqual(f"Bearer {KEY}", self.sent(kept))
        self.assertEqual(f"Bearer {OTHER_KEY}", self.sent(each))
        self.assertNotIn(OTHER_KEY, each.text())

    def test_a_ttl_that_passes(self):
        self.write(KEY)
        proxy = self.start(of_file(self.path, ttl="200ms"))
        self.assertEqual(f"Bearer {KEY}", self.sent(proxy))
        self.write(OTHER_KEY)
        wait_until(lambda: self.sent(proxy) == f"Bearer {OTHER_KEY}", "the new key")

    def test_a_reload_reads_it_again(self):
        self.write(KEY)
        proxy = self.start(of_file(self.path))
        self.assertEqual(f"Bearer {KEY}", self.sent(proxy))
        self.write(OTHER_KEY)
        proxy.send_signal(1)
        proxy.wait_record("management reload succeeded")
        self.assertEqual(f"Bearer {OTHER_KEY}", self.sent(proxy))

    def test_missing_at_first(self):
        proxy = self.start(of_file(self.path, ttl="-1ns", failure_ttl="1ms"))
        self.assertEqual(f"Bearer {TOKEN}", self.sent(proxy))
        told = proxy.wait_record("failed to fetch secret, caching error")
        self.assertEqual(f'reading secret file "{self.path}": open {self.path}: no such file or directory', told["error"])
        self.assertEqual((self.path, 1000000), (told["secret"], told["retry_in"]))
        record = proxy.wait_record("request")
        self.assertEqual({"secret_unavailable": [self.path]}, record["request_transforms"][1]["annotations"])
        self.write(KEY)
        wait_until(lambda: self.sent(proxy) == f"Bearer {KEY}", "the key")

    def test_who_deletes_it_takes_the_key_back(self):
        for empties in (False, True):
            with self.subTest(empties=empties):
                self.write(KEY)
                proxy = self.start(of_file(self.path, ttl="-1ns", require=True))
                self.assertEqual(f"Bearer {KEY}", self.sent(proxy))
                began = time.monotonic()
                if empties:
                    self.write("")
                else:
                    os.remove(self.path)
                # The key is used for two seconds more: a writer may be under way.
                self.assertEqual(f"Bearer {KEY}", self.sent(proxy))
                proxy.wait_record("failed to refresh secret, serving stale value")
                wait_until(lambda proxy=proxy: self.ask(proxy).status == 403, "a refusal")
                self.assertGreaterEqual(time.monotonic() - began, 1.9)
                refused = proxy.wait_record("request", lambda record: record["audit"]["status_code"] == 403)
                self.assertEqual("secret_unavailable", refused["request_transforms"][1]["annotations"]["reject_reason"])

    def test_a_writer_that_truncates_first_does_no_harm(self):
        self.write(KEY)
        proxy = self.start(of_file(self.path, ttl="-1ns"))
        self.assertEqual(f"Bearer {KEY}", self.sent(proxy))
        with open(self.path, "w", encoding="utf-8") as handle:
            handle.truncate()
            for _ in range(20):
                self.assertEqual(f"Bearer {KEY}", self.sent(proxy))
            handle.write(OTHER_KEY)
        self.assertEqual(f"Bearer {OTHER_KEY}", self.sent(proxy))

    def test_what_cannot_be_read(self):
        large = os.path.join(self.directory, "large")
        empty = os.path.join(self.directory, "empty")
        self.write("x" * 2 * 1048576, large)
        self.write("", empty)
        for path, error in ((self.directory, f'reading secret file "{self.directory}": read {self.directory}: is a directory'),
                            (large, f'secret file "{large}" is larger than 1048576 bytes'), (empty, f'secret file "{empty}" is empty')):
            with self.subTest(path=path):
                proxy = self.start(of_file(path))
                self.assertEqual(f"Bearer {TOKEN}", self.sent(proxy))
                told = proxy.wait_record("failed to fetch secret, caching error")
                self.assertEqual((error, 60000000000), (told["error"], told["retry_in"]))
                self.sent(proxy)
                self.assertEqual(1, len(proxy.records("failed to fetch secret, caching error")))

    def test_a_line_break_at_the_end(self):
        self.write(KEY + "\n")
        proxy = self.start(of_file(self.path, ttl="-1ns"))
        for _ in range(2):
            self.assertEqual(502, self.ask(proxy).status)
        record = proxy.wait_record("request")
        self.assertEqual('net/http: invalid header field value for "Authorization"', record["error"])
        self.assertEqual(self.path, proxy.wait_record("secret file ends with a line break")["secret"])
        self.assertEqual(1, len(proxy.records("secret file ends with a line break")))

    def test_a_member_of_it(self):
        self.write('{"a":{"k":"no"},"k":"%s","n":1}' % KEY)
        proxy = self.start(of_file(self.path, json_key="k"))
        self.assertEqual(f"Bearer {KEY}", self.sent(proxy))
        proxy = self.start(of_file(self.path, json_key="n"))
        self.assertEqual(f"Bearer {TOKEN}", self.sent(proxy))
        self.assertEqual({"secret_unavailable": [self.path]},
                         proxy.wait_record("request")["request_transforms"][1]["annotations"])
        self.assertEqual([], proxy.records("failed to fetch secret, caching error"))

    def test_a_pipe_keeps_nobody_else(self):
        os.mkfifo(self.path)
        other = os.path.join(self.directory, "other")
        self.write(OTHER_KEY, other)
        piped, plain = of_file(self.path, ttl="-1ns"), of_file(other)
        piped["rules"], plain["rules"] = [{"host": "piped.up.test"}], [{"host": "plain.up.test"}]
        proxy = self.start(piped, plain)
        waiting = self.plain(proxy)
        waiting.send_request("GET", "/piped", self.upstream.host("piped.up.test"), [("Authorization", f"Bearer {TOKEN}")])
        for _ in range(2):
            peer = self.plain(proxy)
            answer = peer.request("GET", "/plain", self.upstream.host("plain.up.test"), [("Authorization", f"Bearer {TOKEN}")])
            self.assertEqual(200, answer.status)
        self.assertEqual(["/plain", "/plain"], self.upstream.targets())

        def write():
            with open(self.path, "w", encoding="utf-8") as pipe:
                pipe.write(KEY)
        writer = threading.Thread(target=write)
        writer.start()
        self.assertEqual(200, waiting.read_response().status)
        writer.join()
        self.assertEqual(f"Bearer {KEY}", self.upstream.requests[-1].get("Authorization"))

    def test_one_read_serves_all_who_wait(self):
        os.mkfifo(self.path)
        proxy = self.start(of_file(self.path))
        peers = [self.plain(proxy) for _ in range(8)]
        for peer in peers:
            peer.send_request("GET", "/", self.upstream.host(), [("Authorization", f"Bearer {TOKEN}")])
        peers[0].close()  # whose end must not be the others'
        with open(self.path, "w", encoding="utf-8") as pipe:
            pipe.write(KEY)
        for peer in peers[1:]:
            self.assertEqual(200, peer.read_response().status)
        self.assertEqual({f"Bearer {KEY}"}, {request.get("Authorization") for request in self.upstream.requests})

    def test_inside_the_confinement(self):
        """A rotation by rename is seen; a reload to another directory is refused with its reason."""
        self.write(KEY)
        proxy = self.start(of_file(self.path, ttl="-1ns"))
        applied = proxy.wait_record("hardening")["applied"]
        if "landlock_files" not in applied:
            self.skipTest("the kernel has no Landlock")
        outside = tempfile.mkdtemp(prefix="iron-outside-")
        self.addCleanup(shutil.rmtree, outside, ignore_errors=True)
        elsewhere = os.path.join(outside, "key")
        self.write(OTHER_KEY, elsewhere)
        config = proxy.config | {"transforms": [allowlist("*.test"), secrets(of_file(elsewhere))]}
        proxy.write_config(config)
        proxy.send_signal(1)
        refused = proxy.wait_record("management reload rejected invalid config")
        self.assertEqual(f'initializing transform "secrets": secrets[0]: secret file "{elsewhere}" is outside the directories '
                         "readable since start", refused["error"])
        self.assertEqual(f"Bearer {KEY}", self.sent(proxy))

    def test_tunnels_wait_too(self):
        os.mkfifo(self.path)
        entry = of_file(self.path)
        entry["inject"] = {"header": "X-Key"}
        del entry["replace"]
        proxy = self.start(entry)
        peer = self.plain(proxy, "tunnel")
        peer.send_request("CONNECT", self.upstream.host(), self.upstream.host())
        with open(self.path, "w", encoding="utf-8") as pipe:
            pipe.write(KEY)
        self.assertEqual(b"HTTP/1.1 200 Connection Established\r\n\r\n", peer.read_until(b"\r\n\r\n"))
        self.assertEqual(200, peer.request("GET", "/", self.upstream.host()).status)
        self.assertEqual(KEY, self.upstream.requests[-1].get("X-Key"))


class Correlation(FileSources):
    """Where nothing is intercepted, a value from a file may stand in the record, to tell whose connection it was."""

    config = {"tls": {"mode": "sni-only", "ca_cert": None, "ca_key": None}}
    VALUE = "correlation-0123456789abcdef"

    def transforms_of(self, field):
        entry = of_file(self.path, ttl="-1ns")
        entry |= {"inject": {"header": field, "require": True}, "rules": [{"host": "*"}]}
        del entry["replace"]
        return [allowlist("*"), secrets(entry), {"name": "annotate", "config": {
            "annotations": [{"rules": [{"host": "*"}], "headers": [field]}]}}]

    def annotated(self, proxy, count):
        """What the record of a connection without an origin says."""
        peer = self.plain(proxy, "https")
        try:
            peer.start_tls(self.certificates.client_context(), "nowhere.test")
        except OSError:
            pass
        record = proxy.wait_record("request", lambda record: record["audit"]["sni"] == "nowhere.test", count=count)
        return record, record["request_transforms"][-1].get("annotations", {})

    def test_the_value_of_each_connection(self):
        proxy = self.start(over={"transforms": self.transforms_of("X-Corr")})
        for count, value in enumerate((self.VALUE, self.VALUE + "-2"), 1):
            self.write(value)
            self.assertEqual({"header:X-Corr": value}, self.annotated(proxy, count)[1])

    def test_missing(self):
        proxy = self.start(over={"transforms": self.transforms_of("X-Corr")})
        record, _ = self.annotated(proxy, 1)
        self.assertEqual(("reject", 403, "secrets"), (record["audit"]["action"], record["audit"]["status_code"], record["rejected_by"]))
        self.assertEqual("secret_unavailable", record["request_transforms"][1]["annotations"]["reject_reason"])

    def test_not_of_credentials(self):
        self.write(self.VALUE)
        proxy = self.start(over={"transforms": self.transforms_of("x-api-key")})
        self.assertEqual({}, self.annotated(proxy, 1)[1])
        self.assertNotIn(self.VALUE, proxy.text())

    def test_not_of_requests(self):
        self.write(self.VALUE)
        tls = {"mode": "mitm", "ca_cert": self.certificates.path("mitm.crt"), "ca_key": self.certificates.path("mitm.key")}
        proxy = self.start(over={"transforms": self.transforms_of("X-Corr"), "tls": tls})
        self.assertEqual(200, self.plain(proxy).request("GET", "/", self.upstream.host()).status)
        self.assertEqual(self.VALUE, self.upstream.requests[-1].get("X-Corr"))
        self.assertNotIn("annotations", proxy.wait_record("request")["request_transforms"][2])
        self.assertNotIn(self.VALUE, proxy.text())


def load_tests(loader, tests, pattern):
    """Those of the base once."""
    inherited = set(loader.getTestCaseNames(FileSources))
    suite = loader.loadTestsFromTestCase(FileSources)
    for name in loader.getTestCaseNames(Correlation):
        if name not in inherited:
            suite.addTest(Correlation(name))
    return suite


if __name__ == "__main__":
    main()
