"""SOCKS5 on the tunnel port: the exact replies, every address type, the same policy and tunnels as CONNECT."""
import ipaddress
import ssl

from harness import WireTest, main
from harness.case import KEY, TOKEN, allowlist, secret, secrets

OK = b"\x05\x00\x00\x01\0\0\0\0\0\0"


def reply(code):
    return b"\x05" + bytes([code]) + b"\x00\x01\0\0\0\0\0\0"


def request(host, port, command=1, version=5):
    try:
        address = ipaddress.ip_address(host)
        packed = bytes([1 if address.version == 4 else 4]) + address.packed
    except ValueError:
        packed = b"\x03" + bytes([len(host)]) + host.encode()
    return bytes([version, command, 0]) + packed + port.to_bytes(2, "big")


class Socks(WireTest):
    transforms = [allowlist("*.test", cidrs=["127.0.0.0/8", "::1/128"]), secrets(secret())]

    def greeted(self):
        peer = self.plain(listener="tunnel").send(b"\x05\x02\x02\x00")
        self.assertEqual(b"\x05\x00", peer.read_exact(2))
        return peer

    def test_every_address_type(self):
        for host in ("up.test", "127.0.0.1", "::ffff:127.0.0.1"):
            with self.subTest(host):
                peer = self.greeted().send(request(host, self.upstream.port))
                self.assertEqual(OK, peer.read_exact(10))
                self.assertEqual(200, peer.request("GET", "/socks", self.upstream.host(), [("Authorization", TOKEN)]).status)
                self.assertEqual(KEY, self.upstream.requests[-1].get("Authorization"))
                shown = "127.0.0.1" if host.startswith("::") else host
                self.proxy.wait_request(method="CONNECT", host=f"{shown}:{self.upstream.port}")

    def test_ipv6_target(self):
        peer = self.greeted().send(request("::1", 443))
        self.assertEqual(OK, peer.read_exact(10))
        self.proxy.wait_request(method="CONNECT", host="[::1]:443", sni="::1")

    def test_tls_inside(self):
        peer = self.greeted().send(request("up.test", self.tls_upstream.port))
        peer.read_exact(10)
        peer.start_tls(self.certificates.client_context(), "up.test")
        self.assertEqual(200, peer.request("GET", "/tls", self.tls_upstream.host()).status)
        self.assertEqual(self.tls_upstream.host(), self.proxy.wait_request(path="/tls")["tunnel"]["target"])

    def test_everything_in_one_packet(self):
        peer = self.plain(listener="tunnel")
        peer.send(b"\x05\x01\x00" + request("up.test", self.upstream.port) + f"GET /packed HTTP/1.1\r\nHost: {self.upstream.host()}\r\n\r\n".encode())
        self.assertEqual(b"\x05\x00" + OK, peer.read_exact(12))
        self.assertEqual(200, peer.read_response().status)

    def test_one_byte_at_a_time(self):
        peer = self.plain(listener="tunnel")
        for byte in b"\x05\x01\x00" + request("up.test", self.upstream.port):
            peer.send(bytes([byte]))
        self.assertEqual(b"\x05\x00" + OK, peer.read_exact(12))

    def test_refusals(self):
        for name, data, wanted in (("no method", b"\x05\x01\x02", b"\x05\xff"), ("no methods", b"\x05\x00", b"\x05\xff"),
                                   ("bind", b"\x05\x01\x00" + request("up.test", 1, 2), b"\x05\x00" + reply(7)),
                                   ("udp", b"\x05\x01\x00" + request("up.test", 1, 3), b"\x05\x00" + reply(7)),
                                   ("address type", b"\x05\x01\x00\x05\x01\x00\x02aaaaaa", b"\x05\x00" + reply(8)),
                                   ("version", b"\x05\x01\x00" + request("up.test", 1, version=4), b"\x05\x00"),
                                   ("denied", b"\x05\x01\x00" + request("evil.example", 443), b"\x05\x00" + reply(2)),
                                   ("denied address", b"\x05\x01\x00" + request("9.9.9.9", 443), b"\x05\x00" + reply(2)),
                                   ("empty name", b"\x05\x01\x00" + request("", 443), b"\x05\x00" + reply(2))):
            with self.subTest(name):
                self.assertEqual(wanted, self.plain(listener="tunnel").send(data).read_to_end())
        self.assert_no_contact()
        record = self.proxy.wait_request(host="evil.example:443")
        self.assertEqual(("CONNECT", "reject", 403, "allowlist"),
                         (record["audit"]["method"], record["audit"]["action"], record["audit"]["status_code"], record["rejected_by"]))

    def test_no_host_is_judged_as_the_empty_one(self):
        proxy = self.own_proxy({"transforms": [], "log": {"level": "debug"}})
        for path, host, port in (("/empty", "", 443), ("/blank", "a b", 443), ("/zero", "up.test", 0)):
            def opened():
                peer = self.plain(proxy, "tunnel").send(b"\x05\x01\x00" + request(host, port))
                self.assertEqual(b"\x05\x00" + OK, peer.read_exact(12))
                return peer
            with self.subTest(host, port=port):
                self.assertEqual(200, opened().request("GET", path, self.upstream.host()).status)
                record = proxy.wait_request(path=path)
                self.assertEqual(f"{host}:{port}", record["tunnel"]["target"])
                peer = opened()
                peer.start_tls(self.certificates.client_context(), "up.test")
                self.assertEqual(200, peer.request("GET", "/tls", self.tls_upstream.host()).status)
                with self.assertRaises((ssl.SSLError, ConnectionError)):
                    opened().start_tls(ssl._create_unverified_context(), None)
                self.assertEqual("allow", proxy.wait_request(method="CONNECT", host=f"{host}:{port}")["audit"]["action"])


if __name__ == "__main__":
    main()
