"""The proxy confined: nothing that serving, reloading and rotating need is missing, on any thread."""
import glob
import os
import signal
import unittest

from harness import WireTest, main, read_text, wait_until
from harness.case import KEY, TOKEN, allowlist, secret, secrets

SANITIZED = bool(os.environ.get("IRON_SANITIZE"))
MANAGEMENT_KEY = "wire-management-key"
PARTS = ["capabilities", "no_new_privs", "landlock_files", "landlock_bind", "landlock_scopes", "seccomp"]


def status_of_threads(pid):
    """The fields of /proc/PID/task/*/status, thread by thread."""
    for path in glob.glob(f"/proc/{pid}/task/*/status"):
        lines = read_text(path).splitlines()
        yield dict(line.split(":\t", 1) for line in lines if ":\t" in line)


@unittest.skipIf(SANITIZED, "sanitizers need what would be given up")
class Confined(WireTest):
    starts_proxy = False
    config = {"management": {"listen": "127.0.0.1:0", "api_key_env": "WIRE_MANAGEMENT"}}
    environment = {"WIRE_MANAGEMENT": MANAGEMENT_KEY}

    def reload(self, proxy):
        response = self.plain(proxy, "management").request(
            "POST", "/v1/reload", "127.0.0.1", [("Authorization", f"Bearer {MANAGEMENT_KEY}"), ("Content-Length", "0")])
        self.assertEqual((200, b'{"status":"ok"}\n'), (response.status, response.body))

    def test_the_record_says_what_was_applied(self):
        proxy = self.own_proxy()
        record = proxy.wait_record("hardening", after=0)
        self.assertEqual(("INFO", "auto"), (record["level"], record["mode"]))
        self.assertIn(record["applied"][0], ("memfd_secret", "locked_pages", "plain_pages"))
        # Every part is in one of the lists; a thread that came too early would be in the second.
        told = record["applied"][1:] + [entry.split(":")[0] for entry in record["unavailable"] if entry != "memfd_secret"]
        if "landlock" in told:
            told[told.index("landlock"):told.index("landlock") + 1] = PARTS[2:5]
        self.assertEqual(sorted(PARTS), sorted(told))
        self.assertEqual(1, len(proxy.records("hardening")))

    def test_off(self):
        proxy = self.own_proxy({"hardening": "off"})
        record = proxy.wait_record("hardening", after=0)
        self.assertEqual(("off", 1, []), (record["mode"], len(record["applied"]), record["unavailable"]))
        for status in status_of_threads(proxy.pid):
            self.assertEqual(("0", "0"), (status["NoNewPrivs"], status["Seccomp"]))

    def test_every_thread_is_confined(self):
        proxy = self.own_proxy()
        applied = proxy.wait_record("hardening", after=0)["applied"]
        self.assertEqual(200, self.tls_tunnel(self.tls_upstream.host(), proxy=proxy).request("GET", "/", self.tls_upstream.host()).status)
        threads = list(status_of_threads(proxy.pid))
        self.assertGreater(len(threads), 3)
        for status in threads:
            with self.subTest(status["Name"], thread=status["Pid"]):
                if "no_new_privs" in applied:
                    self.assertEqual("1", status["NoNewPrivs"])
                if "seccomp" in applied:
                    self.assertEqual("2", status["Seccomp"])
                if "capabilities" in applied:
                    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                        self.assertEqual(0, int(status[name], 16), name)

    def test_everything_is_replaced_by_rename_and_reloaded(self):
        directory = self.certificates.directory
        for name in ("inside", "outside"):
            if not os.path.exists(self.certificates.path(name + ".crt")):
                self.certificates.make_ca(name, "CA " + name)
        proxy = self.own_proxy({"tls": {"ca_cert": f"{directory}/inside.crt", "ca_key": f"{directory}/inside.key"}}, start=False)
        logs = os.path.join(proxy.directory, "logs")
        os.mkdir(logs)
        path = os.path.join(logs, "audit.log")
        proxy.config["log"]["audit_path"] = path
        proxy.write_config(proxy.config)
        proxy.start()
        host = self.tls_upstream.host()
        first = self.tls_tunnel(host, proxy=proxy, context=self.certificates.client_context("inside"))
        self.assertEqual(200, first.request("GET", "/first", host, [("Authorization", TOKEN)]).status)
        self.assertEqual(KEY, self.tls_upstream.wait_request("/first").get("Authorization"))
        wait_until(lambda: "/first" in read_text(path), "the record in the file")

        for kind in ("crt", "key"):
            os.replace(f"{directory}/outside.{kind}", f"{directory}/inside.{kind}")
        os.rename(path, path + ".1")
        proxy.config["transforms"] = [allowlist("*.test", "new.example"), secrets(secret())]
        proxy.write_config(proxy.config)
        self.reload(proxy)
        second = self.tls_tunnel(host, proxy=proxy, context=self.certificates.client_context("inside"))
        self.assertEqual(200, second.request("GET", "/second", host, [("Authorization", TOKEN)]).status)
        wait_until(lambda: os.path.exists(path) and "/second" in read_text(path), "the record in the new file")
        self.assertNotIn("/second", read_text(path + ".1"))

        os.rename(path, path + ".2")
        proxy.send_signal(signal.SIGHUP)
        proxy.wait_record("management reload succeeded", count=2)
        self.assertEqual(200, second.request("GET", "/third", host).status)
        wait_until(lambda: os.path.exists(path) and "/third" in read_text(path), "the record in the newest file")

    def test_names_of_the_machine(self):
        """Without a configured name server the files of /etc are read."""
        proxy = self.own_proxy({"dns": {"upstream_resolver": None}, "transforms": [allowlist("localhost")]})
        self.assertEqual(200, self.plain(proxy).request("GET", "/local", self.upstream.host("localhost")).status)

    def test_a_trust_directory_of_links(self):
        """SSL_CERT_DIR holds a link to a file elsewhere, as hashed directories of many systems do."""
        proxy = self.own_proxy(start=False)
        trust, elsewhere = os.path.join(proxy.directory, "trust"), os.path.join(proxy.directory, "elsewhere")
        os.mkdir(trust)
        os.mkdir(elsewhere)
        os.symlink(self.certificates.path("origin.crt"), os.path.join(elsewhere, "origin.pem"))
        os.symlink(os.path.join(elsewhere, "origin.pem"), os.path.join(trust, "0a1b2c3d.0"))
        proxy.env |= {"SSL_CERT_FILE": "/nonexistent.pem", "SSL_CERT_DIR": trust}
        # The CA of the proxy is elsewhere, so that its directory does not open the way.
        for kind in ("crt", "key"):
            os.link(self.certificates.path("mitm." + kind), os.path.join(proxy.directory, "mitm." + kind))
        proxy.config["tls"] = {"ca_cert": os.path.join(proxy.directory, "mitm.crt"), "ca_key": os.path.join(proxy.directory, "mitm.key")}
        proxy.write_config(proxy.config)
        proxy.start()
        host = self.tls_upstream.host()
        self.assertEqual(200, self.tls_tunnel(host, proxy=proxy).request("GET", "/", host).status)

    def test_an_audit_file_elsewhere_needs_a_restart(self):
        proxy = self.own_proxy()
        if "landlock_files" not in proxy.wait_record("hardening", after=0)["applied"]:
            self.skipTest("no Landlock")
        proxy.config["log"]["audit_path"] = os.path.join(proxy.directory, "late.log")
        proxy.write_config(proxy.config)
        proxy.send_signal(signal.SIGHUP)
        error = proxy.wait_record("management reload rejected invalid config")["error"]
        self.assertEqual(f"opening log.audit_path: open {proxy.directory}/late.log: permission denied", error)
        self.assertFalse(os.path.exists(proxy.config["log"]["audit_path"]))


if __name__ == "__main__":
    main()
