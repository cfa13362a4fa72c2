"""The base of wire tests: one resolver, a plain and a TLS origin, one proxy for a class."""
import base64
import os
import sys
import unittest

from harness.certificates import certificates
from harness.dns import Dns
from harness.peer import connect, connect_slow_reader
from harness.proxy import Proxy
from harness.upstream import Upstream

TOKEN = "proxy-token-0123456789abcdef"
KEY = "sk-real-" + "7f3b9c1e5a2d8046b3"
MASKED = "*" * 16  # of the key as it is, and encoded


def refusal(status, body=None):
    """The bytes of an answer that HTTP itself asks for: no Date, no length, connection closed."""
    return (f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n{body or status}").encode()


def allowlist(*domains, **more):
    return {"name": "allowlist", "config": {"domains": list(domains), **more}}


def secret(var="WIRE_KEY", host="*.test", token=TOKEN, **replace):
    """A `replace` entry. A host that ends in .test below any label is covered by the default."""
    return {"source": {"type": "env", "var": var},
            "replace": {"proxy_value": token, "match_headers": ["Authorization"], **replace},
            "rules": [{"host": host}]}


def secrets(*entries):
    return {"name": "secrets", "config": {"secrets": list(entries)}}


def merged(base, over):
    """Blocks are merged, everything else replaced; None removes a key."""
    result = dict(base)
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def needs_port_443(address):
    """For classes with an origin on this port of a loopback address: skips them without the right to bind it."""
    try:
        Upstream(address=address, port=443).close()
        return lambda case: case
    except OSError:
        return unittest.skip("needs the right to bind port 443")


class WireTest(unittest.TestCase):
    """Set `config` (merged over the base), `environment`, `transforms`. `proxy` is started for the class."""

    config = {}
    environment = {}
    transforms = None
    starts_proxy = True
    gives_keys = False  # requests of these tests hold keys, which the log masks

    @classmethod
    def setUpClass(cls):
        cls.certificates = certificates()
        cls.dns = Dns()
        cls.addClassCleanup(cls.dns.close)
        cls.upstream = Upstream()
        cls.addClassCleanup(cls.upstream.close)
        cls.tls_upstream = Upstream(cls.certificates.server_context())
        cls.addClassCleanup(cls.tls_upstream.close)
        cls.proxy = cls.start_proxy() if cls.starts_proxy else None

    @classmethod
    def start_tls_origin(cls, address, port):
        """One more origin for the class, at an address and a port that matter."""
        origin = Upstream(cls.certificates.server_context(), address, port)
        cls.addClassCleanup(origin.close)
        return origin

    @classmethod
    def base_config(cls):
        return {
            "dns": {"listen": "127.0.0.1:0", "proxy_ip": "127.0.0.1", "upstream_resolver": cls.dns.address},
            "proxy": {"http_listen": "127.0.0.1:0", "https_listen": "127.0.0.1:0", "tunnel_listen": "127.0.0.1:0",
                      "upstream_deny_cidrs": []},
            "metrics": {"listen": "127.0.0.1:0"},
            "tls": {"ca_cert": cls.certificates.path("mitm.crt"), "ca_key": cls.certificates.path("mitm.key")},
            "transforms": cls.transforms if cls.transforms is not None else [allowlist("*.test"), secrets(secret())],
            "log": {"level": "info"},
        }

    @classmethod
    def base_environment(cls):
        return {"WIRE_KEY": KEY, "SSL_CERT_FILE": cls.certificates.path("origin.crt"),
                "SSL_CERT_DIR": "/nonexistent"} | cls.environment

    @classmethod
    def start_proxy(cls, over=None, env=None, add_cleanup=None, **options):
        """A proxy with the class's configuration and `over`; checked and removed at the end of the class."""
        config = merged(merged(cls.base_config(), cls.config), over or {})
        proxy = Proxy(config, cls.base_environment() | (env or {}), **options)
        (add_cleanup or cls.addClassCleanup)(cls._finish, proxy)
        return proxy

    @classmethod
    def _finish(cls, proxy):
        """Every proxy must still be there, end well, and have written records only and no key."""
        try:
            if proxy.process is None:
                return
            if proxy.process.returncode is None:
                assert proxy.alive(), f"the proxy ended with {proxy.process.returncode}:\n{proxy.text()[-4000:]}"
                code = proxy.stop()
                assert code == 0, f"exit status {code}:\n{proxy.text()[-4000:]}"
            assert proxy.printed() == b"", "something was written to standard output"
            for record in [] if proxy.refuses_to_start else proxy.records():
                assert "text" not in record, f"not a record: {record['text']}"
            for value in (KEY, base64.b64encode(KEY.encode()).decode()):
                assert value not in proxy.text(), "the key is in the log"
            assert cls.gives_keys or MASKED not in proxy.text(), "the key would be in the log, but for the last net"
        finally:
            proxy.cleanup()

    def own_proxy(self, over=None, env=None, **options):
        """As start_proxy, for one test."""
        return self.start_proxy(over, env, add_cleanup=self.addCleanup, **options)

    def setUp(self):
        self.upstream.forget()
        self.tls_upstream.forget()
        if self.proxy is not None:
            self.proxy.looked_from = self.proxy.mark()

    def tearDown(self):
        if self.proxy is not None:
            self.assertTrue(self.proxy.alive(), f"the proxy is gone:\n{self.proxy.text()[-2000:]}")

    # -- ways in; every connection is closed at the end of the test

    def track(self, peer):
        self.addCleanup(peer.close)
        return peer

    def plain(self, proxy=None, listener="http", source=None):
        return self.track(connect(getattr(proxy or self.proxy, listener), source))

    def slow_reader(self, proxy=None, receive_buffer=4096, listener="http"):
        """A client that lets an answer wait until it reads."""
        return self.track(connect_slow_reader(getattr(proxy or self.proxy, listener), receive_buffer))

    def tunnel(self, target, listener="tunnel", fields=(), proxy=None):
        """An open tunnel; the CONNECT must be answered with the 200."""
        peer = self.plain(proxy, listener)
        peer.send_request("CONNECT", target, target, fields)
        head = peer.read_until(b"\r\n\r\n")
        self.assertEqual(head, b"HTTP/1.1 200 Connection Established\r\n\r\n")
        return peer

    def tls_tunnel(self, target, listener="tunnel", proxy=None, context=None, server_name=None, fields=()):
        peer = self.tunnel(target, listener, fields, proxy)
        return peer.start_tls(context or self.certificates.client_context(), server_name or target.rsplit(":", 1)[0])

    # -- assertions

    def assert_no_contact(self, *upstreams):
        """Nothing reached the origins: a fence request behind it must be the first connection and request they see."""
        for upstream in upstreams or (self.upstream,):
            self.assertEqual([], upstream.requests)
            self.assertEqual([], upstream.connections)
        peer = self.plain()
        self.assertEqual(200, peer.request("GET", "/fence", self.upstream.host()).status)
        self.assertEqual(["/fence"], self.upstream.targets())


def main():
    sys.dont_write_bytecode = True
    os.environ.pop("HTTPS_PROXY", None)
    unittest.main(verbosity=2)
