"""TLS on the client's side: hellos with faults, clients that do not trust the CA, a CA made a moment ago."""
import os
import shutil
import ssl
import subprocess
import time
import unittest

from harness import WireTest, main, wait_until
from harness.case import allowlist
from harness.certificates import openssl
from harness.proxy import BINARY
from harness.waiting import DEADLINE

DECODE_ERROR = 50


def vector(length_bytes, data):
    return len(data).to_bytes(length_bytes, "big") + data


def server_name(name):
    return vector(2, b"\0" + vector(2, name))


GOOD = {  # a hello that OpenSSL answers with a ServerHello, in 1.3
    0: server_name(b"up.test"), 10: vector(2, b"\0\x1d\0\x17"), 13: vector(2, b"\4\3\x08\4"), 43: vector(1, b"\3\4\3\3"),
    45: vector(1, b"\1"), 51: vector(2, b"\0\x1d" + vector(2, b"\x09" + bytes(31)))}
GOOD_12 = {0: server_name(b"up.test"), 10: vector(2, b"\0\x1d\0\x17"), 11: vector(1, b"\0"), 13: vector(2, b"\4\3\x08\4")}


def client_hello(extensions):
    """One record with a ClientHello; `extensions` is a mapping, in the order of the wire."""
    blocks = b"".join(kind.to_bytes(2, "big") + vector(2, value) for kind, value in extensions.items())
    body = b"\3\3" + b"\x11" * 32 + b"\0" + vector(2, b"\x13\1\xc0\x2b") + b"\1\0" + vector(2, blocks)
    return b"\x16\3\1" + vector(2, b"\1" + vector(3, body))


class Hellos(WireTest):
    """Every extension that is malformed is a decode_error, on `https_listen` and in a tunnel."""

    MALFORMED = {
        0: [b"", b"\0", b"\0\0", b"\0\1\0", b"\0\3\0\0\0", server_name(b""), server_name(b"up.test") + b"x", server_name(b"up.test")[:-1],
            b"\0\x0a\1\0\7up.test", b"\0\x0a\0\0\6up.test", b"\0\x0a\0\0\x08up.test", b"\0\x0b\0\0\7up.test", b"\0\x09\0\0\7up.test",
            vector(2, b"\0" + vector(2, b"up.test") + b"\0" + vector(2, b"b.test"))],
        5: [b"", b"\1", b"\1\0", b"\1\0\0\0", b"\1\0\0\0\1", b"\1\0\0\0\0\0"],
        10: [b"", b"\0", b"\0\0", b"\0\1\0", b"\0\3\0\x1d\0", b"\0\4\0\x1d", b"\0\2\0\x1d\0"],
        11: [b"", b"\0", b"\2\0", b"\1\0\0"],
        13: [b"", b"\0", b"\0\0", b"\0\1\4", b"\0\3\4\3\0", b"\0\4\4\3", b"\0\2\4\3\0"],
        16: [b"", b"\0", b"\0\0", b"\0\1\0", b"\0\3\2h", b"\0\4\2h2", b"\0\3\2h2\0", b"\0\4\2h2\0"],
        22: [b"x"],
        23: [b"x"],
        50: [b"", b"\0\0", b"\0\1\4", b"\0\2\4\3\0"],
        65281: [b"", b"\1", b"\0\0"]}
    MALFORMED_13 = {
        41: [b"", b"\0", b"\0\5abcde"],
        42: [b"x"],
        43: [b"", b"\0", b"\1\3", b"\3\3\4\3", b"\2\3\4\3", b"\4\3\4"],
        44: [b"", b"\0", b"\0\2a", b"\0\1ab"],
        45: [b"", b"\0", b"\2\1", b"\1\1\1"],
        49: [b"x"],
        51: [b"", b"\0", b"\0\4\0\x1d\0\1", b"\0\5\0\x1d\0\2a", b"\0\4\0\x1d\0\0"]}

    def answer(self, hello, tunnelled):
        peer = self.tunnel("up.test:443") if tunnelled else self.plain(listener="https")
        peer.send(hello)
        kind, length = (lambda head: (head[0], int.from_bytes(head[3:], "big")))(peer.read_exact(5))
        payload = peer.read_exact(length)
        peer.close()
        return ("alert", payload[1]) if kind == 21 else ("handshake", payload[0])

    def test_good_hellos_are_answered(self):
        for good in (GOOD, GOOD_12):
            for tunnelled in (False, True):
                self.assertEqual(("handshake", 2), self.answer(client_hello(good), tunnelled))

    def test_a_malformed_extension_is_a_decode_error(self):
        for base, table in ((GOOD, self.MALFORMED), (GOOD_12, self.MALFORMED), (GOOD, self.MALFORMED_13)):
            for kind, values in table.items():
                for value in values:
                    hello = client_hello({number: old for number, old in base.items() if number != kind} | {kind: value})
                    for tunnelled in (False, True):
                        with self.subTest(kind=kind, value=value, tunnelled=tunnelled, version=13 if base is GOOD else 12):
                            self.assertEqual(("alert", DECODE_ERROR), self.answer(hello, tunnelled))

    def test_without_a_name_the_other_extensions_are_read_first(self):
        nameless = {number: value for number, value in GOOD.items() if number != 0}
        self.assertEqual(("alert", 80), self.answer(client_hello(nameless), False))
        self.assertEqual(("handshake", 2), self.answer(client_hello(nameless), True))
        for kind, value in ((10, b"\0"), (16, b"\0\1\0"), (51, b"\0"), (45, b"")):
            for tunnelled in (False, True):
                with self.subTest(kind=kind, tunnelled=tunnelled):
                    self.assertEqual(("alert", DECODE_ERROR), self.answer(client_hello(nameless | {kind: value}), tunnelled))


class Distrust(WireTest):
    """Clients that do not trust the CA are told of at WARN, with what they said; others are not."""

    transforms = [allowlist("*.test", "127.0.0.1")]
    MESSAGE = "client does not trust the proxy CA"
    told = []  # when the last records came; ten a second are written
    UNKNOWN_AUTHORITY = "unknown certificate authority"

    def setUp(self):
        super().setUp()
        self.trusts_other = self.certificates.path("origin.crt")

    def await_room(self, records=1):
        """Until so many more records are within the limit."""
        wait_until(lambda: len([moment for moment in self.told if time.monotonic() - moment < 1.1]) + records <= 10, "the end of a second")

    def wait_told(self, host, alert):
        record = self.proxy.wait_record(self.MESSAGE, lambda record: record["host"] == host)
        self.assertEqual(("WARN", alert), (record["level"], record["alert"]))
        self.assertRegex(record["remote_addr"], r"^127\.0\.0\.1:[0-9]+$")
        self.assertEqual({"time", "level", "msg", "host", "remote_addr", "alert"}, set(record))
        self.told.append(time.monotonic())

    def way_in(self, host, tunnelled):
        self.await_room()
        return self.tunnel(f"{host}:443") if tunnelled else self.plain(listener="https")

    def run_client(self, *command):
        self.await_room()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE, env={"PATH": os.environ["PATH"]})
        self.assertNotEqual(0, done.returncode, done.stdout + done.stderr)

    def each_way(self, prefix):
        """(name, tunnelled, version): each with a host of its own, for a host is told of once."""
        for version in ("1.2", "1.3"):
            for tunnelled in (False, True):
                name = f"{prefix}-{version.replace('.', '')}-{'tunnel' if tunnelled else 'direct'}.test"
                with self.subTest(name):
                    yield name, tunnelled, version

    def test_python(self):
        for name, tunnelled, version in self.each_way("python"):
            context = ssl.create_default_context(cafile=self.trusts_other)
            context.minimum_version = context.maximum_version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
            with self.assertRaises(ssl.SSLCertVerificationError):
                self.way_in(name, tunnelled).start_tls(context, name)
            self.wait_told(name, self.UNKNOWN_AUTHORITY)

    def test_curl(self):
        for name, tunnelled, version in self.each_way("curl"):
            port = self.proxy.https[1]
            way = ["--proxytunnel", "--proxy", "http://127.0.0.1:%d" % self.proxy.tunnel[1]] if tunnelled else ["--resolve", f"{name}:{port}:127.0.0.1"]
            version_options = ["--tlsv1.3"] if version == "1.3" else ["--tls-max", "1.2"]
            self.run_client("curl", "-sS", *way, *version_options, "--cacert", self.trusts_other, f"https://{name}:{port}/")
            self.wait_told(name, self.UNKNOWN_AUTHORITY)

    def test_openssl(self):
        for name, tunnelled, version in self.each_way("openssl"):
            if tunnelled:
                way = ["-proxy", "127.0.0.1:%d" % self.proxy.tunnel[1], "-connect", f"{name}:443"]
            else:
                way = ["-connect", "127.0.0.1:%d" % self.proxy.https[1]]
            self.run_client("openssl", "s_client", *way, "-servername", name, "-tls" + version.replace(".", "_"), "-CAfile", self.trusts_other, "-verify_return_error")
            self.wait_told(name, self.UNKNOWN_AUTHORITY)

    @unittest.skipUnless(shutil.which("node"), "no node")
    def test_node(self):
        # It looks at the certificate when its handshake is over, and leaves without a word: in TLS 1.3 before its Finished has left.
        name = "node.test"
        self.run_client("node", "-e", "require('tls').connect({host: '127.0.0.1', port: %d, servername: '%s', minVersion: 'TLSv1.3'})" % (self.proxy.https[1], name))
        self.wait_told(name, "none")

    def test_end_without_a_word_behind_the_certificate(self):
        for name, tunnelled, version in self.each_way("silent"):
            for end in ("close", "reset", "half_close"):
                with self.subTest(end):
                    host = f"{end.replace('_', '-')}.{name}"
                    peer = self.way_in(host, tunnelled)
                    peer.send(client_hello((GOOD if version == "1.3" else GOOD_12) | {0: server_name(host.encode())}))
                    peer.read_exact(600)  # of the certificate
                    getattr(peer, end)()
                    self.wait_told(host, "none")

    def test_a_tunnel_without_a_server_name_is_told_by_its_host(self):
        for host in ("nameless.test", "127.0.0.1"):
            peer = self.way_in(host, True)
            peer.send(client_hello({number: value for number, value in GOOD.items() if number != 0}))
            peer.read_exact(600)
            peer.close()
            self.wait_told(host, "none")

    def assert_not_told(self, name):
        """A client that is told of comes behind: what was to be written before is."""
        fence = f"fence.{name}"
        context = ssl.create_default_context(cafile=self.trusts_other)
        with self.assertRaises(ssl.SSLCertVerificationError):
            self.way_in(fence, False).start_tls(context, fence)
        self.wait_told(fence, self.UNKNOWN_AUTHORITY)
        self.assertEqual([], [record for record in self.proxy.records(self.MESSAGE) if record["host"] == name])

    def test_others_are_not_told(self):
        hello = lambda name, good=GOOD: client_hello(good | {0: server_name(name.encode())})

        def leaves_before_the_hello(name, peer):
            peer.close()

        def leaves_within_the_hello(name, peer):
            peer.send(hello(name)[:-3]).close()

        def resets_within_the_hello(name, peer):
            peer.send(hello(name)[:-3]).reset()

        def is_refused(name, peer):
            peer.send(client_hello(GOOD | {0: server_name(b"a/b." + name.encode())})).read_to_end()

        def has_no_suite(name, peer):
            peer.send(hello(name, GOOD_12).replace(b"\xc0\x2b", b"\0\x2f")).read_to_end()

        def goes_on_in_the_clear(name, peer):
            peer.send(hello(name)).read_exact(600)
            peer.send("GET / HTTP/1.1\r\n\r\n").read_to_end()

        def wants_another_key_share(name, peer):
            peer.send(hello(name, GOOD | {10: vector(2, b"\0\x1e\0\x17"), 51: vector(2, b"\0\x1e" + vector(2, bytes(56)))})).read_exact(40)
            peer.close()

        def trusts(name, peer):
            peer.start_tls(self.certificates.client_context(), name)
            peer.close()

        for behaviour in (leaves_before_the_hello, leaves_within_the_hello, resets_within_the_hello, is_refused, has_no_suite, goes_on_in_the_clear,
                          wants_another_key_share, trusts):
            for tunnelled in (False, True):
                name = f"{behaviour.__name__.replace('_', '-')}-{int(tunnelled)}.test"
                with self.subTest(name):
                    behaviour(name, self.way_in(name, tunnelled))
                    self.assert_not_told(name)

    def test_once_for_an_address_and_a_host(self):
        context = ssl.create_default_context(cafile=self.trusts_other)
        self.await_room(5)
        for source in ("127.0.0.1", "127.0.0.2", "127.0.0.1", "127.0.0.2"):
            for name in ("once-a.test", "once-b.test"):
                with self.assertRaises(ssl.SSLCertVerificationError):
                    self.plain(listener="https", source=source).start_tls(context, name)
        self.told.extend([time.monotonic()] * 4)
        self.assert_not_told("never.test")
        told = sorted((record["host"], record["remote_addr"].split(":")[0]) for record in self.proxy.records(self.MESSAGE) if record["host"].startswith("once-"))
        self.assertEqual([("once-a.test", "127.0.0.1"), ("once-a.test", "127.0.0.2"), ("once-b.test", "127.0.0.1"), ("once-b.test", "127.0.0.2")], told)


class FreshCa(WireTest):
    """The CA of a first start is seconds old; strict chains want nothing to begin before its issuer."""

    starts_proxy = False

    def validity(self, path):
        text = openssl("x509", "-in", path, "-noout", "-startdate", "-enddate", "-dateopt", "iso_8601")
        return [line.split("=")[1] for line in text.splitlines()]

    def test_no_certificate_begins_before_its_issuer(self):
        for algorithm, chain_length in (("ed25519", 2), ("rsa", 3)):
            with self.subTest(algorithm):
                directory = self.own_proxy(start=False).directory
                if algorithm == "rsa":  # without path length: an intermediate signs
                    extensions = ["-addext", "keyUsage=critical,keyCertSign", "-addext", "basicConstraints=critical,CA:TRUE"]
                    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=fresh", "-keyout", f"{directory}/ca.key",
                            "-out", f"{directory}/ca.crt", *extensions)
                else:
                    subprocess.run([BINARY, "generate-ca", "-outdir", directory, "-alg", algorithm], check=True, capture_output=True)
                proxy = self.own_proxy({"tls": {"ca_cert": f"{directory}/ca.crt", "ca_key": f"{directory}/ca.key"}})
                done = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % proxy.https[1], "-servername", "up.test", "-showcerts",
                                       "-CAfile", f"{directory}/ca.crt", "-verify_return_error", "-x509_strict"],
                                      stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE)
                self.assertEqual(0, done.returncode, done.stderr)
                blocks = ["-----BEGIN CERTIFICATE" + part.split("-----END")[0] + "-----END CERTIFICATE-----\n"
                          for part in done.stdout.split("-----BEGIN CERTIFICATE")[1:]]
                self.assertEqual(chain_length, len(blocks))
                starts = []
                for number, block in enumerate(blocks):
                    path = f"{directory}/{number}.pem"
                    with open(path, "w", encoding="ascii") as handle:
                        handle.write(block)
                    starts.append(self.validity(path)[0])
                self.assertEqual([starts[-1]] * chain_length, starts, "leaf, what is between, CA")


if __name__ == "__main__":
    main()
