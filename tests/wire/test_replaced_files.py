"""Files of the machine and of the operator that are replaced by rename while the proxy runs, and the process that opens them anew."""
import glob
import json
import os
import random
import secrets as random_secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from harness import WireTest, main, read_text, wait_until
from harness.case import KEY, TOKEN, allowlist, secret, secrets
from harness.dns import Dns
from harness.proxy import BINARY
from test_memory import find_key

SANITIZED = bool(os.environ.get("IRON_SANITIZE"))
FOLLOWED_WITHIN = 5
NONCE = "HERMES_IRON_PROXY_NONCE"
WARNING = "file replaced, restart needed"
COPIED = ("resolv.conf", "hosts", "nsswitch.conf", "host.conf", "gai.conf", "services", "passwd", "group", "ld.so.cache", "localtime")
# $0 becomes the /etc of the process that follows, and of nobody else.
OWN_ETC = ["unshare", "--mount", "--propagation", "private", "sh", "-c", 'mount --bind "$0" /etc && exec "$@"']


def replace(path, text):
    with open(path + ".new", "w", encoding="utf-8") as handle:
        handle.write(text)
    os.replace(path + ".new", path)


def children(pid):
    """The processes whose parent is `pid`."""
    found = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path, encoding="utf-8", errors="replace") as handle:
                text = handle.read()
        except OSError:
            continue
        if int(text.rpartition(")")[2].split()[1]) == pid:
            found.append(int(text.split()[0]))
    return found


def gone(pid):
    """No process, or the rest of one that its new parent has not noticed yet."""
    return read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()[:1] in ([], ["Z"])


def needs_broker(proxy):
    return "landlock_files" in proxy.wait_record("hardening", after=0)["applied"]


class Machine(WireTest):
    """The files of /etc, in a mount namespace of the proxy's own."""

    starts_proxy = False
    transforms = [allowlist("*")]

    def setUp(self):
        super().setUp()
        self.etc = tempfile.mkdtemp(prefix="iron-etc-")
        self.addCleanup(shutil.rmtree, self.etc)
        for name in COPIED:
            if os.path.exists("/etc/" + name):
                shutil.copy("/etc/" + name, os.path.join(self.etc, name))
        self.write("resolv.conf", "nameserver 192.0.2.1\n")
        self.write("hosts", "127.0.0.1 localhost\n")
        self.write("nsswitch.conf", "hosts: files dns\n")
        if subprocess.run([*OWN_ETC, self.etc, "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("mount namespaces cannot be made here: run as root")

    def write(self, name, text):
        replace(os.path.join(self.etc, name), text)

    def machine_proxy(self, over=None):
        return self.own_proxy(over, command_prefix=[*OWN_ETC, self.etc])

    def error_of(self, proxy, name):
        self.assertEqual(502, self.plain(proxy).request("GET", "/" + name, name).status)
        return proxy.wait_request(path="/" + name, after=0)["error"]

    def follows(self, holds, what):
        wait_until(holds, what + " is followed", FOLLOWED_WITHIN)

    def test_the_name_servers(self):
        self.dns.names["gone.example"] = "NXDOMAIN"
        for over in ({}, {"hardening": "off"}):
            with self.subTest(over):
                self.write("resolv.conf", "nameserver 192.0.2.1\n")
                proxy = self.machine_proxy(over)
                self.assertIn("on 192.0.2.1:53", self.error_of(proxy, "gone.example"))
                for number in (2, 3):  # again: the second one is no file of the start either
                    self.write("resolv.conf", f"nameserver 192.0.2.{number}\n")
                    self.follows(lambda number=number, proxy=proxy: f"on 192.0.2.{number}:53" in self.latest_error(proxy), "resolv.conf")
                self.assertEqual([], proxy.records(WARNING))

    def latest_error(self, proxy):
        mark = proxy.mark()
        self.assertEqual(502, self.plain(proxy).request("GET", "/gone", "gone.example").status)
        return proxy.wait_request(path="/gone", after=mark)["error"]

    def test_the_hosts_file(self):
        self.dns.names |= {"here.example": "NXDOMAIN", "back.example": "NXDOMAIN"}
        proxy = self.machine_proxy()
        ask = lambda: self.plain(proxy).request("GET", "/here", self.upstream.host("here.example")).status
        self.assertEqual(502, ask())
        self.write("hosts", "127.0.0.1 localhost here.example\n")
        self.follows(lambda: ask() == 200, "hosts")
        # Gone altogether, and back. (The first name has a connection that is kept.)
        os.rename(os.path.join(self.etc, "hosts"), os.path.join(self.etc, "hosts.away"))
        self.assertEqual(502, self.plain(proxy).request("GET", "/back", self.upstream.host("back.example")).status)
        self.write("hosts", "127.0.0.1 back.example\n")
        self.follows(lambda: self.plain(proxy).request("GET", "/back", self.upstream.host("back.example")).status == 200, "the new file")
        self.assertEqual([], proxy.records(WARNING))

    def test_a_link_that_leads_elsewhere(self):
        path = os.path.join(self.etc, "resolv.conf")
        elsewhere = tempfile.mkdtemp(prefix="iron-run-")
        self.addCleanup(shutil.rmtree, elsewhere)
        for number in (7, 8):
            os.mkdir(os.path.join(elsewhere, str(number)))
            replace(os.path.join(elsewhere, str(number), "resolv.conf"), f"nameserver 192.0.2.{number}\n")
        os.remove(path)
        os.symlink(os.path.join(elsewhere, "7", "resolv.conf"), path)
        self.dns.names["gone.example"] = "NXDOMAIN"
        proxy = self.machine_proxy()
        self.assertIn("on 192.0.2.7:53", self.error_of(proxy, "gone.example"))
        os.symlink(os.path.join(elsewhere, "8", "resolv.conf"), path + ".new")
        os.replace(path + ".new", path)
        self.follows(lambda: "on 192.0.2.8:53" in self.latest_error(proxy), "the link")

    def test_sources_of_the_c_library(self):
        """It cannot read the new resolv.conf either: the proxy asks the name servers in its place."""
        class OnPort53(Dns):
            def __init__(self, address):  # pylint: disable=super-init-not-called
                self.names, self.ttls, self.queries = {}, {}, []
                self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                self.sock.bind((address, 53))
                threading.Thread(target=self._serve, daemon=True).start()

        address = f"127.{random.randint(2, 250)}.{random.randint(2, 250)}.{random.randint(2, 250)}"
        try:
            server = OnPort53(address)
        except OSError:
            self.skipTest("port 53 cannot be had")
        self.addCleanup(server.close)
        self.write("nsswitch.conf", "hosts: files myhostname dns\n")
        self.write("resolv.conf", "nameserver 127.0.0.254\noptions timeout:1 attempts:1\n")
        proxy = self.machine_proxy({"dns": {"upstream_resolver": None}})
        ask = lambda: self.plain(proxy).request("GET", "/up", self.upstream.host()).status
        self.assertEqual(502, ask())
        self.write("resolv.conf", f"nameserver {address}\n")
        self.follows(lambda: ask() == 200, "resolv.conf")

    @unittest.skipIf(SANITIZED, "nothing is confined")
    def test_what_is_no_file_is_told(self):
        proxy = self.machine_proxy()
        path = os.path.join(self.etc, "hosts")
        for make in (os.mkdir, os.mkfifo):
            with self.subTest(make.__name__):
                mark = proxy.mark()
                make(path + ".new")
                os.rename(path, path + ".old")
                os.rename(path + ".new", path)
                self.assertEqual("/etc/hosts", proxy.wait_record(WARNING, after=mark)["path"])
                self.assertEqual(200, self.plain(proxy).request("GET", "/up", self.upstream.host()).status)
                os.rename(path, path + ".was-" + make.__name__)
                self.write("hosts", "127.0.0.1 localhost\n")

    def test_what_cannot_be_followed_is_told(self):
        proxy = self.machine_proxy()
        if not needs_broker(proxy):
            self.skipTest("no Landlock")
        [broker] = children(proxy.pid)
        os.kill(broker, signal.SIGKILL)
        wait_until(lambda: gone(broker), "the end of the broker")
        self.assertEqual([], children(proxy.pid), "a zombie is left")
        mark = proxy.mark()
        began = time.monotonic()
        self.write("hosts", "127.0.0.1 localhost here.example\n")
        record = proxy.wait_record(WARNING, after=mark)
        self.assertLess(time.monotonic() - began, FOLLOWED_WITHIN)
        self.assertEqual(("WARN", "/etc/hosts"), (record["level"], record["path"]))
        # Serving goes on with what is known.
        self.assertEqual(200, self.plain(proxy).request("GET", "/up", self.upstream.host()).status)
        self.write("resolv.conf", "nameserver 192.0.2.2\n")
        proxy.wait_record(WARNING, lambda found: found["path"] == "/etc/resolv.conf", after=mark)
        self.assertEqual(2, len(proxy.records(WARNING)))


class Operator(WireTest):
    """Whole directories replaced by rename: what is below the new one was never granted."""

    starts_proxy = False

    def setUp(self):
        super().setUp()
        self.directory = tempfile.mkdtemp(prefix="iron-replaced-")
        self.addCleanup(shutil.rmtree, self.directory)
        for name in ("pair", "conf", "logs"):
            os.mkdir(self.path(name))
        for name in ("inside", "outside"):
            if not os.path.exists(self.certificates.path(name + ".crt")):
                self.certificates.make_ca(name, "CA " + name)
        self.put_pair("pair", "inside")

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    def put_pair(self, directory, name):
        for kind in ("crt", "key"):
            shutil.copy(self.certificates.path(f"{name}.{kind}"), self.path(directory, "ca." + kind))

    def swap(self, name):
        os.rename(self.path(name), self.path(name + ".old"))
        os.rename(self.path(name + ".new"), self.path(name))

    def test_configuration_pair_and_audit_file(self):
        config = self.base_config()
        config["tls"] = {"ca_cert": self.path("pair", "ca.crt"), "ca_key": self.path("pair", "ca.key")}
        config["log"]["audit_path"] = self.path("logs", "audit.log")
        path = self.path("conf", "proxy.yaml")
        replace(path, json.dumps(config))
        proxy = self.own_proxy(config, arguments=["-config", path])
        host = self.tls_upstream.host()
        ask = lambda target, name: self.tls_tunnel(host, proxy=proxy, context=self.certificates.client_context(name)).request(
            "GET", target, host, [("Authorization", TOKEN)]).status
        self.assertEqual(200, ask("/first", "inside"))
        self.assertEqual(KEY, self.tls_upstream.wait_request("/first").get("Authorization"))

        for name in ("pair", "conf", "logs"):
            os.mkdir(self.path(name + ".new"))
        self.put_pair("pair.new", "outside")
        config["transforms"] = [allowlist("*.test", "new.example"), secrets(secret())]
        replace(self.path("conf.new", "proxy.yaml"), json.dumps(config))
        for name in ("pair", "conf", "logs"):
            self.swap(name)
        proxy.send_signal(signal.SIGHUP)
        proxy.wait_record("management reload succeeded")
        self.assertEqual(200, ask("/second", "outside"))
        new = self.path("logs", "audit.log")
        wait_until(lambda: os.path.exists(new) and "/second" in read_text(new), "the record in the new file")
        self.assertEqual(0o600, os.stat(new).st_mode & 0o777)
        self.assertNotIn("/second", read_text(self.path("logs.old", "audit.log")))
        self.assertEqual([], proxy.records(WARNING))


@unittest.skipIf(SANITIZED, "nothing is confined, and the sanitizers' own allocators keep freed memory")
class Broker(WireTest):
    starts_proxy = False
    key = "sk-broker-" + random_secrets.token_urlsafe(36)
    transforms = [allowlist("*.test"), secrets(secret(var="BROKER_KEY"))]

    @classmethod
    def setUpClass(cls):
        cls.environment = {"BROKER_KEY": cls.key, "OTHER_SECRET": "other-" + cls.key[::-1], NONCE: "cd" * 32}
        super().setUpClass()

    def proxy_and_broker(self):
        proxy = self.own_proxy()
        if not needs_broker(proxy):
            self.skipTest("no Landlock")
        [broker] = children(proxy.pid)
        return proxy, broker

    def test_it_holds_no_key(self):
        proxy, broker = self.proxy_and_broker()
        host = self.tls_upstream.host()
        for _ in range(20):
            self.assertEqual(200, self.tls_tunnel(host, proxy=proxy).request("GET", "/", host, [("Authorization", TOKEN)]).status)
        self.assertEqual(self.key, self.tls_upstream.requests[-1].get("Authorization"))
        for held in (self.key, self.environment["OTHER_SECRET"]):
            found, _, exempt, size = find_key(broker, held.encode())
            self.assertEqual(([], []), (found, exempt))
            self.assertGreater(size, 1 << 16)
        with open(f"/proc/{broker}/environ", "rb") as handle:
            environment = dict(entry.split(b"=", 1) for entry in handle.read().split(b"\0") if b"=" in entry)
        self.assertEqual(b"cd" * 32, environment.pop(NONCE.encode()))
        self.assertIn(b"BROKER_KEY", environment)
        self.assertEqual({b""}, {value.strip() for value in environment.values()})

    def test_it_is_not_taken_for_the_server(self):
        proxy, broker = self.proxy_and_broker()
        for name in ("cmdline", "comm"):
            self.assertNotIn("iron-proxy", read_text(f"/proc/{broker}/{name}"))
        with open(f"/proc/{proxy.pid}/cmdline", "rb") as handle:
            self.assertIn(b"iron-proxy", handle.read().split(b"\0")[0])

    def test_it_is_confined_and_small(self):
        proxy, broker = self.proxy_and_broker()
        status = dict(line.split(":\t", 1) for line in read_text(f"/proc/{broker}/status").splitlines() if ":\t" in line)
        self.assertEqual(("1", "2", "1"), (status["NoNewPrivs"], status["Seccomp"], status["Threads"]))
        self.assertEqual(0, int(status["CapPrm"], 16))
        self.assertRegex(read_text(f"/proc/{broker}/limits"), r"Max core file size +0 +0 ")
        [descriptor] = os.listdir(f"/proc/{broker}/fd")
        self.assertTrue(os.readlink(f"/proc/{broker}/fd/{descriptor}").startswith("socket:"))
        rollup = {line.split(":")[0]: int(line.split()[1]) for line in read_text(f"/proc/{broker}/smaps_rollup").splitlines()[1:]}
        own = rollup["Private_Dirty"] + rollup["Private_Clean"]
        print(f"the broker: {own} KiB of its own, {rollup['Pss']} KiB with its share, {rollup['Rss']} KiB seen", flush=True)
        self.assertLessEqual(own, 1024)
        self.assertLessEqual(rollup["Pss"], 1024)

    def test_kill_leaves_nothing(self):
        proxy, broker = self.proxy_and_broker()
        listeners = [proxy.http, proxy.https, proxy.tunnel, proxy.metrics, proxy.dns]
        proxy.process.kill()
        proxy.process.wait()
        for address in listeners:
            with socket.create_server(address):
                pass
        wait_until(lambda: gone(broker), "the end of the broker", 1)

    def test_orderly_end(self):
        proxy, broker = self.proxy_and_broker()
        # To the whole group, as terminals and supervisors do it: the broker ends behind the proxy.
        os.kill(broker, signal.SIGTERM)
        os.kill(broker, signal.SIGINT)
        self.assertEqual(200, self.plain(proxy).request("GET", "/", self.upstream.host()).status)
        self.assertFalse(gone(broker))
        self.assertEqual(0, proxy.stop())
        wait_until(lambda: gone(broker), "the end of the broker")

    def test_a_start_that_fails(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            config = self.base_config()
            config["proxy"]["http_listen"] = "127.0.0.1:%d" % taken.getsockname()[1]
            path = os.path.join(self.certificates.directory, f"taken-{os.getpid()}.yaml")
            replace(path, json.dumps(config))
            done = subprocess.run([BINARY, "-config", path],
                                  env=self.base_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20, check=False)
        self.assertEqual(1, done.returncode)

    def test_off_needs_none(self):
        proxy = self.own_proxy({"hardening": "off"})
        self.assertEqual([], children(proxy.pid))


if __name__ == "__main__":
    main()
