"""Reload, by the management call and by SIGHUP: all or nothing, and open connections stay."""
import os
import shutil
import signal
import threading

from harness import StartFailed, Stopwatch, WireTest, main, read_text, wait_until
from harness.case import KEY, TOKEN, allowlist, merged, secret, secrets
from harness.upstream import answer

MANAGEMENT_KEY = "wire-management-key"


class Managed(WireTest):
    """Each test has a proxy of its own, because it changes its configuration."""

    starts_proxy = False
    config = {"management": {"listen": "127.0.0.1:0", "api_key_env": "WIRE_MANAGEMENT"}}
    environment = {"WIRE_MANAGEMENT": MANAGEMENT_KEY}

    def call(self, proxy, method="POST", target="/v1/reload", key=f"Bearer {MANAGEMENT_KEY}", body=b""):
        fields = [("Authorization", key)] if key is not None else []
        return self.plain(proxy, "management").request(method, target, "127.0.0.1", [*fields, ("Content-Length", str(len(body)))], body)

    def rewrite(self, proxy, over):
        """Writes the configuration of this proxy with `over` merged in; does not reload."""
        proxy.write_config(merged(proxy.config, over))


class Api(Managed):
    def test_answers(self):
        proxy = self.own_proxy()
        for wanted, arguments in (((200, b'{"status":"ok"}\n'), {}), ((200, b'{"status":"ok"}\n'), {"body": b"ignored"}),
                                  ((401, b'{"error":"unauthorized"}\n'), {"key": None}), ((401, b'{"error":"unauthorized"}\n'), {"key": "Bearer wrong"}),
                                  ((401, b'{"error":"unauthorized"}\n'), {"key": f"bearer {MANAGEMENT_KEY}"}),
                                  ((401, b'{"error":"unauthorized"}\n'), {"key": f"Bearer  {MANAGEMENT_KEY}"}),
                                  ((401, b'{"error":"unauthorized"}\n'), {"key": None, "method": "GET"}),
                                  ((405, b'{"error":"method not allowed"}\n'), {"method": "GET"}), ((404, b"404 page not found\n"), {"target": "/", "key": None})):
            with self.subTest(arguments=arguments):
                response = self.call(proxy, **arguments)
                self.assertEqual(wanted, (response.status, response.body))
                if response.status == 405:
                    self.assertEqual("POST", response.get("Allow"))
                if response.status != 404:
                    self.assertEqual("application/json", response.get("Content-Type"))
        self.assertEqual("allowlist → secrets", proxy.wait_record("pipeline reloaded via management API")["transforms"])
        proxy.wait_record("management reload succeeded", count=2)
        self.assertTrue(proxy.wait_record("management authentication failed")["remote_addr"].startswith("127.0.0.1:"))

    def test_a_broken_file_changes_nothing(self):
        proxy = self.own_proxy()
        running = self.config_text(proxy)
        broken = {"dns: [": "parsing config: yaml: ", running.replace('"dns"', '"bogus": 1, "dns"'): "field bogus not found in type config.Config",
                  running.replace('"127.0.0.1",\n', '"",\n', 1).replace('"proxy_ip": ""', '"proxy_ip": ""'): "dns.proxy_ip is required",
                  running.replace('"allowlist"', '"nope"'): 'unknown transform \\"nope\\": unknown transform: \\"nope\\"',
                  running.replace('"info"', '"nope"'): 'log.level: unknown log level: \\"nope\\"'}
        for text, error in broken.items():
            with self.subTest(error):
                mark = proxy.mark()
                proxy.write_config(text)
                response = self.call(proxy)
                self.assertEqual(422, response.status)
                self.assertIn(error, response.body.decode())
                proxy.wait_record("management reload rejected invalid config", after=mark)
        os.remove(proxy.config_path)
        self.assertEqual(f'{{"error":"opening config file: open {proxy.config_path}: no such file or directory"}}\n', self.call(proxy).body.decode())
        self.assertEqual(200, self.plain(proxy).request("GET", "/still", self.upstream.host(), [("Authorization", TOKEN)]).status)
        self.assertEqual(KEY, self.upstream.wait_request("/still").get("Authorization"))

    @staticmethod
    def config_text(proxy):
        with open(proxy.config_path, encoding="utf-8") as handle:
            return handle.read()

    def test_a_request_in_flight_keeps_its_rules(self):
        gate = threading.Event()
        self.upstream.routes["/slow"] = lambda connection, request: (gate.wait(15), connection.send(answer()))[1]
        proxy = self.own_proxy()
        peer = self.plain(proxy)
        peer.send_request("GET", "/slow", self.upstream.host(), [("Authorization", TOKEN)])
        self.upstream.wait_request("/slow")
        self.rewrite(proxy, {"transforms": [allowlist("other.test")]})
        self.assertEqual(200, self.call(proxy).status)
        gate.set()
        self.assertEqual(200, peer.read_response().status)
        self.assertEqual(403, peer.request("GET", "/after", self.upstream.host()).status)

    def test_what_a_reload_applies(self):
        proxy = self.own_proxy()
        peer = self.plain(proxy)
        self.assertEqual(200, peer.request("GET", "/", self.upstream.host()).status)  # leaves a pooled connection
        self.rewrite(proxy, {"proxy": {"upstream_deny_cidrs": ["127.0.0.0/8"]}})
        self.assertEqual(200, self.call(proxy).status)
        self.assertEqual(502, peer.request("GET", "/pooled", self.upstream.host()).status)
        self.assertEqual(["127.0.0.0/8"], proxy.wait_record("upstream deny list active")["cidrs"])
        self.rewrite(proxy, {"proxy": {"max_request_body_bytes": 10}, "transforms": [allowlist("*.test"), secrets(secret(match_body=True))]})
        self.assertEqual(200, self.call(proxy).status)
        self.assertEqual(413, self.plain(proxy).request("POST", "/", self.upstream.host(), body=b"x" * 11).status)
        self.rewrite(proxy, {"proxy": {"upstream_response_header_timeout": "0.1s"}})
        self.assertEqual(200, self.call(proxy).status)
        self.upstream.routes["/silent"] = lambda connection, request: connection.sock.recv(1) and None
        self.assertEqual(502, self.plain(proxy).request("GET", "/silent", self.upstream.host()).status)
        self.assertEqual("net/http: timeout awaiting response headers (proxy.upstream_response_header_timeout 100ms)", proxy.wait_request(path="/silent")["error"])

    def test_keys_in_clear_text_are_named_once_for_each_process(self):
        entries = [secret(token=f"{number}-{TOKEN}") for number in range(3)]
        proxy = self.own_proxy({"transforms": [allowlist("*.test"), secrets(*entries), secrets(secret() | {"require_tls": True}, secret())]})
        record = proxy.wait_record("risky setting", lambda record: "clear text" in record["reason"])
        self.assertEqual(["time", "level", "msg", "key", "reason", "entries"], list(record))
        self.assertEqual(("transforms[1].config.secrets[0].require_tls", 4), (record["key"], record["entries"]))
        for transforms in ([allowlist("*.test"), secrets(*entries)], [allowlist("*.test"), secrets(secret())]):
            mark = proxy.mark()
            self.rewrite(proxy, {"transforms": transforms})
            self.assertEqual(200, self.call(proxy).status)
            proxy.wait_record("management reload succeeded", after=mark)
        self.assertEqual(1, len([record for record in proxy.records("risky setting") if "require_tls" in record["reason"]]))
        # One that the start had no reason for is written at the reload that brings it, and then no more.
        proxy = self.own_proxy({"transforms": [allowlist("*.test")]})
        for _ in range(2):
            mark = proxy.mark()
            self.rewrite(proxy, {"transforms": [allowlist("*.test"), secrets(*entries)]})
            self.assertEqual(200, self.call(proxy).status)
            proxy.wait_record("management reload succeeded", after=mark)
        found = [record for record in proxy.records("risky setting") if "require_tls" in record["reason"]]
        self.assertEqual([3], [record["entries"] for record in found])

    def test_what_needs_a_restart_is_named(self):
        proxy = self.own_proxy()
        self.rewrite(proxy, {"proxy": {"http_listen": "127.0.0.1:1", "http_listens": ["127.0.0.9:0"]}, "log": {"level": "debug", "buffer_bytes": 1000000}, "hardening": None})
        self.assertEqual(200, self.call(proxy).status)
        keys = proxy.wait_record("setting needs a restart")["keys"]
        for key in ("proxy.http_listen", "proxy.http_listens", "log.level", "log.buffer_bytes"):
            self.assertIn(key, keys)

    def test_many_reloads_under_traffic(self):
        proxy = self.own_proxy()
        failures, stop = [], threading.Event()

        def traffic():
            peer = self.plain(proxy)
            while not stop.is_set():
                if peer.request("GET", "/load", self.upstream.host(), [("Authorization", TOKEN)]).status != 200:
                    failures.append(1)
        threads = [threading.Thread(target=traffic) for _ in range(4)]
        for thread in threads:
            thread.start()
        callers = [threading.Thread(target=lambda: [self.call(proxy) for _ in range(10)]) for _ in range(4)]
        for thread in callers:
            thread.start()
        for thread in callers:
            thread.join()
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual([], failures)
        proxy.wait_record("management reload succeeded", count=40)
        self.assertEqual({KEY}, {request.get("Authorization") for request in self.upstream.requests})


class Hangup(Managed):
    def test_sighup_is_a_reload(self):
        proxy = self.own_proxy()
        self.rewrite(proxy, {"transforms": [allowlist("other.test")]})
        proxy.send_signal(signal.SIGHUP)
        proxy.wait_record("management reload succeeded")
        self.assertEqual(403, self.plain(proxy).request("GET", "/", self.upstream.host()).status)
        proxy.write_config("dns: [")
        proxy.send_signal(signal.SIGHUP)
        proxy.wait_record("management reload rejected invalid config")
        self.assertEqual(403, self.plain(proxy).request("GET", "/", self.upstream.host()).status)

    def test_the_audit_file_is_reopened(self):
        proxy = self.own_proxy(start=False)
        path = os.path.join(proxy.directory, "audit.log")
        proxy.config["log"] = {"level": "info", "audit_path": path}
        proxy.write_config(proxy.config)
        proxy.start()
        self.plain(proxy).request("GET", "/one", self.upstream.host())
        wait_until(lambda: "/one" in read_text(path), "the record in the file")
        os.rename(path, path + ".1")
        proxy.send_signal(signal.SIGHUP)
        proxy.wait_record("management reload succeeded")
        self.plain(proxy).request("GET", "/two", self.upstream.host())
        wait_until(lambda: os.path.exists(path) and "/two" in read_text(path), "the record in the new file")
        self.assertNotIn("/two", read_text(path + ".1"))
        # A path that cannot be opened: 422, and the old file stays in use.
        self.rewrite(proxy, {"log": {"audit_path": "/nonexistent/audit.log"}})
        response = self.call(proxy)
        self.assertEqual((422, '{"error":"opening log.audit_path: open /nonexistent/audit.log: no such file or directory"}\n'),
                         (response.status, response.body.decode()))
        self.plain(proxy).request("GET", "/three", self.upstream.host())
        wait_until(lambda: "/three" in read_text(path), "the record in the old file")


class CaRotation(Managed):
    def test_a_new_pair_is_used_and_tunnels_stay(self):
        directory = self.certificates.directory
        for name in ("live", "second"):
            if not os.path.exists(self.certificates.path(name + ".crt")):
                self.certificates.make_ca(name, "CA " + name)
        proxy = self.own_proxy({"tls": {"ca_cert": f"{directory}/live.crt", "ca_key": f"{directory}/live.key"}})
        host = self.tls_upstream.host()
        old = self.tls_tunnel(host, proxy=proxy, context=self.certificates.client_context("live"))
        self.assertEqual(200, old.request("GET", "/old", host).status)
        # A bad pair: refused, the old one stays.
        self.rewrite(proxy, {"tls": {"ca_cert": f"{directory}/second.crt"}})
        response = self.call(proxy)
        self.assertEqual((422, '{"error":"CA key does not match CA certificate"}\n'), (response.status, response.body.decode()))
        self.tls_tunnel(host, proxy=proxy, context=self.certificates.client_context("live"))
        for kind in ("crt", "key"):
            os.replace(f"{directory}/second.{kind}", f"{directory}/live.{kind}")
        proxy.write_config(proxy.config)
        self.assertEqual(200, self.call(proxy).status)
        new = self.tls_tunnel(host, proxy=proxy, context=self.certificates.client_context("live"))
        self.assertEqual(200, new.request("GET", "/new", host).status)
        self.assertEqual(200, old.request("GET", "/still", host).status)


class CaFiles(Managed):
    """The files of the pair may go away once they were read; a pair that is there and bad is refused."""

    KEPT = "CA files missing, keeping the loaded pair"

    def with_pair(self):
        """A proxy with a pair of its own, in a folder of its own."""
        proxy = self.own_proxy(start=False)
        self.folder = os.path.join(proxy.directory, "ca")
        os.mkdir(self.folder)
        self.copy("mitm", "ca")
        proxy.config["tls"] = {"ca_cert": f"{self.folder}/ca.crt", "ca_key": f"{self.folder}/ca.key"}
        proxy.write_config(proxy.config)
        proxy.start()
        return proxy

    def copy(self, name, to):
        for kind in ("crt", "key"):
            shutil.copy(self.certificates.path(f"{name}.{kind}"), f"{self.folder}/{to}.{kind}")
            os.chmod(f"{self.folder}/{to}.{kind}", 0o600)

    def serves(self, proxy, trust="mitm"):
        peer = self.tls_tunnel(self.tls_upstream.host(), proxy=proxy, context=self.certificates.client_context(trust))
        self.assertEqual(200, peer.request("GET", "/", self.tls_upstream.host()).status)

    def reload(self, proxy, status, error=None):
        mark = proxy.mark()
        response = self.call(proxy)
        self.assertEqual(status, response.status, response.body)
        if error is not None:
            self.assertIn(error, response.body.decode())
        return mark

    def test_missing_files_keep_the_loaded_pair(self):
        for missing in (("key",), ("crt",), ("crt", "key")):
            with self.subTest(missing):
                proxy = self.with_pair()
                for kind in missing:
                    os.remove(f"{self.folder}/ca.{kind}")
                self.rewrite(proxy, {"transforms": [allowlist("*.test", "new.example")]})  # the rest of a reload is applied
                mark = self.reload(proxy, 200)
                warning = proxy.wait_record(self.KEPT, after=mark)
                self.assertEqual("WARN", warning["level"])
                self.assertIn(f"{self.folder}/ca.{missing[0]}: no such file or directory", warning["error"])
                self.serves(proxy)
                self.tunnel("new.example:443", proxy=proxy)
                # Again, and by the signal, as long as they are away; what comes back is used.
                proxy.send_signal(signal.SIGHUP)
                proxy.wait_record(self.KEPT, after=mark, count=2)
                proxy.wait_record("management reload succeeded", after=mark, count=2)
                self.copy("origin", "ca")
                mark = self.reload(proxy, 200)
                self.serves(proxy, "origin")
                self.assertEqual([], [record for record in proxy.records()[mark:] if record["msg"] == self.KEPT])

    def test_the_folder_may_go_too(self):
        proxy = self.with_pair()
        shutil.rmtree(self.folder)
        self.assertIn("no such file", proxy.wait_record(self.KEPT, after=self.reload(proxy, 200))["error"])
        self.serves(proxy)

    def test_a_pipe_that_nobody_writes_holds_nothing_up(self):
        proxy = self.with_pair()
        os.remove(f"{self.folder}/ca.key")
        os.mkfifo(f"{self.folder}/ca.key")
        self.reload(proxy, 422, f"reading CA key: read {self.folder}/ca.key: timer expired")
        self.serves(proxy)
        clock = Stopwatch()
        with self.assertRaises(StartFailed) as failure:
            self.own_proxy({"tls": proxy.config["tls"]})
        clock.check(self, 8, 5)
        self.assertEqual(1, failure.exception.code)
        self.assertIn(f"reading CA key: read {self.folder}/ca.key: timer expired", failure.exception.text)

    def test_a_pipe_is_read_like_a_file(self):
        proxy = self.with_pair()
        path = f"{self.folder}/pipe.key"
        os.mkfifo(path)

        def write():
            with open(f"{self.folder}/ca.key", "rb") as source, open(path, "wb", buffering=0) as pipe:
                for byte in source.read():  # so that the reader meets an empty pipe
                    pipe.write(bytes([byte]))
        writer = threading.Thread(target=write)
        writer.start()
        self.addCleanup(writer.join)
        self.serves(self.own_proxy({"tls": {"ca_cert": f"{self.folder}/ca.crt", "ca_key": path}}))

    def test_an_unchanged_pair_says_nothing(self):
        proxy = self.with_pair()
        mark = self.reload(proxy, 200)
        proxy.wait_record("management reload succeeded", after=mark)
        self.assertEqual([], [record["msg"] for record in proxy.records()[mark:] if record["level"] != "INFO" and record["msg"] != "risky setting"])
        self.serves(proxy)

    def test_changed_paths_that_are_missing_are_refused(self):
        proxy = self.with_pair()
        self.copy("mitm", "other")
        os.remove(f"{self.folder}/ca.key")
        for over in ({"ca_key": f"{self.folder}/nowhere.key"}, {"ca_cert": f"{self.folder}/nowhere.crt"},
                     {"ca_cert": f"{self.folder}/nowhere.crt", "ca_key": f"{self.folder}/nowhere.key"}, {"ca_cert": f"{self.folder}/other.crt"}):
            with self.subTest(over):
                self.rewrite(proxy, {"tls": over})
                mark = self.reload(proxy, 422, "no such file or directory")
                proxy.wait_record("management reload rejected invalid config", after=mark)
        self.rewrite(proxy, {})
        proxy.wait_record(self.KEPT, after=self.reload(proxy, 200))
        self.serves(proxy)
        self.assertEqual(1, len(proxy.records(self.KEPT)))

    def test_a_bad_pair_is_refused(self):
        proxy = self.with_pair()
        with open(f"{self.folder}/ca.key", encoding="ascii") as handle:
            good = handle.read()
        for text, error in (("", "no PEM block found in CA key"), (good.replace("M", "!"), "CA key"), (None, "CA key does not match CA certificate")):
            if text is None:
                shutil.copy(self.certificates.path("origin.key"), f"{self.folder}/ca.key")
            else:
                with open(f"{self.folder}/ca.key", "w", encoding="ascii") as handle:
                    handle.write(text)
            with self.subTest(error):
                self.reload(proxy, 422, error)
        # Bad where it is there, missing where it is not: the fault counts.
        os.remove(f"{self.folder}/ca.key")
        with open(f"{self.folder}/ca.crt", "w", encoding="ascii") as handle:
            handle.write("nothing")
        self.reload(proxy, 422, "no PEM block found in CA cert")
        self.serves(proxy)

    def test_a_key_that_others_can_read_is_named(self):
        proxy = self.with_pair()
        key = f"{self.folder}/ca.key"
        risky = lambda mark: [record["reason"] for record in proxy.records()[mark:] if record["msg"] == "risky setting" and record["key"] == "tls.ca_key"]
        self.assertEqual([], risky(0))
        group = (os.getegid(), 12345) if os.geteuid() == 0 else (os.getegid(),)
        for mode, owner, named in ((0o644, os.getegid(), True), (0o604, os.getegid(), True), (0o640, os.getegid(), False), (0o440, os.getegid(), False),
                                   (0o640, group[-1], len(group) > 1), (0o600, group[-1], False)):
            with self.subTest(mode=oct(mode), group=owner):
                os.chown(key, -1, owner)
                os.chmod(key, mode)
                mark = self.reload(proxy, 200)
                proxy.wait_record("management reload succeeded", after=mark)
                self.assertEqual([f"{key} can be read by other users; use chmod 600"] if named else [], risky(mark))
        os.chmod(key, 0o604)
        again = self.own_proxy(proxy.config)
        self.assertEqual(["tls.ca_key"], [record["key"] for record in again.records("risky setting") if record["key"] == "tls.ca_key"])


if __name__ == "__main__":
    main()
