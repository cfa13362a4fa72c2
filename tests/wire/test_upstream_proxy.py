"""proxy.upstream_proxy: requests, WebSockets and tunnels that reach their origins by way of another proxy."""
import base64
import os
import secrets as random_secrets
import socket
import ssl
import unittest

from harness import Parent, Upstream, WireTest, main
from harness.case import KEY, TOKEN, allowlist, needs_port_443, secret, secrets
from harness.upstream import answer
from test_memory import find_key
from test_websocket import accept_of, echo

ADDRESS = "127.45.0.1"  # a loopback address of this file's own: by name port 443 is dialled
DENIED = "denied by upstream_deny_cidrs"
PASSWORD = "pw-" + random_secrets.token_hex(16)
LOGIN = f"user:{PASSWORD}"
BASIC = base64.b64encode(LOGIN.encode()).decode()
SCHEMES = ("http", "https", "socks5", "socks5h")


def closed_port(case):
    """A port that nobody listens at and, as long as the class runs, nobody else gets."""
    held = socket.socket()
    case.addClassCleanup(held.close)
    held.bind(("127.0.0.1", 0))
    return held.getsockname()[1]


class ParentTest(WireTest):
    """`parents` has one of each scheme; `through()` starts a proxy that has it for everything."""

    starts_proxy = False
    transforms = [allowlist("*.test", "metadata.google.internal", "*.example", cidrs=["0.0.0.0/0", "::/0"]), secrets(secret())]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.parents = {"http": Parent("http"), "https": Parent("https", cls.certificates.server_context()),
                       "socks5": Parent("socks5"), "socks5h": Parent("socks5h")}
        for parent in cls.parents.values():
            cls.addClassCleanup(parent.close)

    def setUp(self):
        super().setUp()
        self.dns.queries.clear()
        for parent in self.parents.values():
            parent.forget()

    def url(self, scheme, login=""):
        """An https parent is verified by its name or address."""
        return self.parents[scheme].url(login)

    def through(self, url, over=None, env=None, transforms=None, **block):
        block = {"http_proxy": url, "https_proxy": url} | block
        proxy = self.own_proxy({"proxy": {"upstream_proxy": block, **(over or {})}, "transforms": transforms or self.transforms}, env)
        proxy.looked_from = 0
        return proxy

    def get(self, proxy, target="/", host=None, fields=()):
        return self.plain(proxy).request("GET", target, host or self.upstream.host(), fields)

    def get_tls(self, proxy, target="/", host=None, fields=()):
        host = host or self.tls_upstream.host()
        return self.tls_tunnel(host, proxy=proxy).request("GET", target, host, fields)

    def audit(self, proxy, **wanted):
        record = proxy.wait_request(**wanted)
        return record["audit"] | {"error": record.get("error")}

    def assert_error(self, proxy, path, error, **wanted):
        audit = self.audit(proxy, path=path, **wanted)
        self.assertEqual(("error", 502, error), (audit["action"], audit["status_code"], audit["error"]))
        return audit


class Ways(ParentTest):
    def assert_asked(self, scheme, host, port, login=True):
        """What a parent is asked for that opens tunnels."""
        seen = self.parents[scheme].seen[-1]
        if scheme.startswith("socks"):
            self.assertEqual(b"\5\2\0\2" if login else b"\5\1\0", seen[0])
            self.assertEqual(b"\1\4user" + bytes([len(PASSWORD)]) + PASSWORD.encode() if login else None, seen[1])
            self.assertEqual((1, "127.0.0.1", port) if scheme == "socks5" else (3, host, port), seen[2:])
            return
        fields = [("Host", f"{host}:{port}"), ("User-Agent", "iron-proxy"), ("Proxy-Authorization", f"Basic {BASIC}")]
        self.assertEqual((f"CONNECT {host}:{port} HTTP/1.1", fields if login else fields[:2]), (seen.line, seen.fields))

    def test_plain_requests(self):
        for scheme in SCHEMES:
            with self.subTest(scheme):
                parent = self.parents[scheme]
                proxy = self.through(self.url(scheme, LOGIN))
                peer = self.plain(proxy)
                for number in range(3):
                    fields = [("Authorization", TOKEN), ("Proxy-Authorization", "Basic mine")]
                    self.assertEqual(200, peer.request("POST", f"/{scheme}{number}?q=1", self.upstream.host(), fields, b"body").status)
                    request = self.upstream.wait_request(f"/{scheme}{number}?q=1")
                    self.assertEqual((KEY, b"body", None), (request.get("Authorization"), request.body, request.get("Proxy-Authorization")))
                self.assertEqual(1, parent.connections)  # a pool for each parent
                audit = self.audit(proxy, path=f"/{scheme}2")
                self.assertEqual((parent.address, parent.url()), (audit["upstream_addr"], audit["upstream_proxy"]))
                self.assertNotIn("deny_check", audit)
                if scheme.startswith("socks"):
                    self.assert_asked(scheme, "up.test", self.upstream.port)
                    continue
                seen = parent.seen[-1]
                self.assertEqual(f"POST http://{self.upstream.host()}/{scheme}2?q=1 HTTP/1.1", seen.line)
                self.assertEqual([("Host", self.upstream.host()), ("Authorization", KEY), ("Content-Length", "4"),
                                  ("Proxy-Authorization", f"Basic {BASIC}")], seen.fields)

    def test_one_connection_for_all_origins(self):
        parent, proxy = self.parents["http"], self.through(self.url("http"))
        peer = self.plain(proxy)
        for name in ("a.test", "B.test.", "up.test"):
            self.assertEqual(200, peer.request("GET", "/", self.upstream.host(name)).status)
        self.assertEqual(200, peer.request("GET", f"http://{self.upstream.host()}?q", "x").status)
        self.assertEqual(200, peer.request("HEAD", "/h", self.upstream.host()).status)
        self.assertEqual(1, parent.connections)
        hosts = [self.upstream.host(name) for name in ("a.test", "b.test", "up.test")]
        self.assertEqual([f"http://{host}/" for host in hosts] + [f"http://{hosts[-1]}/?q", f"http://{hosts[-1]}/h"],
                         [request.target for request in parent.seen])
        self.assertNotIn("Proxy-Authorization", parent.seen[0].names())

    def test_the_options_of_a_whole_server(self):
        parent, proxy = self.parents["http"], self.through(self.url("http"))
        parent.answers = answer()
        self.assertEqual(200, self.plain(proxy).request("OPTIONS", "*", "up.test").status)
        self.assertEqual("OPTIONS http://up.test HTTP/1.1", parent.seen[0].line)

    def test_https(self):
        for scheme in SCHEMES:
            with self.subTest(scheme):
                proxy = self.through(self.url(scheme, LOGIN))
                host = self.tls_upstream.host()
                peer = self.tls_tunnel(host, proxy=proxy)
                for number in range(2):
                    self.assertEqual(200, peer.request("GET", f"/{scheme}{number}", host, [("Authorization", TOKEN)]).status)
                    self.assertEqual(KEY, self.tls_upstream.wait_request(f"/{scheme}{number}").get("Authorization"))
                self.assertEqual(1, self.parents[scheme].connections)  # the tunnel is pooled
                self.assert_asked(scheme, "up.test", self.tls_upstream.port)
                audit = self.audit(proxy, path=f"/{scheme}1")
                self.assertEqual((self.parents[scheme].address, self.parents[scheme].url()), (audit["upstream_addr"], audit["upstream_proxy"]))
                self.assertEqual(["id", "upstream_proxy"], [key for key in audit if key != "error"][-2:])

    def test_large_bodies_both_ways(self):
        body = os.urandom(1 << 20)
        for scheme in SCHEMES:
            with self.subTest(scheme):
                self.tls_upstream.routes["/echo"] = lambda connection, request: connection.send(answer(request.body))
                proxy = self.through(self.url(scheme))
                host = self.tls_upstream.host()
                response = self.tls_tunnel(host, proxy=proxy).request("POST", "/echo", host, body=body)
                self.assertEqual((200, body), (response.status, response.body))

    def test_websocket(self):
        for scheme in SCHEMES:
            for upstream, path in ((self.tls_upstream, "/wss"), (self.upstream, "/ws")):
                with self.subTest(scheme + path):
                    upstream.routes[path] = echo
                    proxy = self.through(self.url(scheme, LOGIN))
                    host = upstream.host()
                    peer = self.tls_tunnel(host, proxy=proxy) if upstream is self.tls_upstream else self.plain(proxy)
                    key = base64.b64encode(os.urandom(16)).decode()
                    response = peer.request("GET", path, host, [("Upgrade", "websocket"), ("Connection", "Upgrade"),
                                                                ("Sec-WebSocket-Key", key), ("Sec-WebSocket-Version", "13")])
                    self.assertEqual((101, accept_of(key)), (response.status, response.get("Sec-WebSocket-Accept")))
                    peer.send(b"\x81\x05hello")
                    self.assertEqual(b"\x81\x05hello", peer.read_exact(7))
                    peer.close()
                    self.assert_asked(scheme, "up.test", upstream.port)
                    self.assertEqual(self.parents[scheme].url(), self.audit(proxy, path=path)["upstream_proxy"])

    def test_the_https_parent_is_verified(self):
        self.certificates.sign("parent", "origin", "subjectAltName=DNS:else.example\n")
        parent = Parent("https", self.certificates.server_context("parent"))
        self.addCleanup(parent.close)
        proxy = self.through(parent.url(LOGIN))
        self.assertEqual(502, self.get(proxy, "/plain").status)
        self.assertEqual(502, self.get_tls(proxy, "/tls").status)
        for path in ("/plain", "/tls"):
            self.assertRegex(self.audit(proxy, path=path)["error"], "^proxyconnect tcp: tls: failed to verify certificate: x509: ")
        self.assertEqual([], parent.seen)

    def test_an_https_parent_is_asked_for_http1_alone(self):
        context = self.certificates.server_context()
        context.set_alpn_protocols(["h2", "http/1.1"])
        parent = Parent("https", context)
        self.addCleanup(parent.close)
        proxy = self.through(parent.url())
        self.assertEqual(200, self.get(proxy).status)
        self.assertEqual("http/1.1", parent.open[0].sock.selected_alpn_protocol())

    def test_parents_go_by_scheme_and_a_reload_applies_them(self):
        env = {"IRON_MANAGEMENT_API_KEY": "management-key-0123"}
        proxy = self.through(self.url("http"), env=env, https_proxy=self.url("socks5"))
        self.assertEqual((200, 200), (self.get(proxy).status, self.get_tls(proxy).status))
        self.assertEqual((1, 1), (len(self.parents["http"].seen), len(self.parents["socks5"].seen)))
        proxy.config["proxy"]["upstream_proxy"] = {"http_proxy": self.url("socks5h")}
        proxy.write_config(proxy.config)
        mark = proxy.mark()
        proxy.send_signal(1)
        proxy.wait_record("management reload succeeded", after=mark)
        self.assertEqual((200, 200), (self.get(proxy).status, self.get_tls(proxy).status))
        self.assertEqual((1, 1, 1), tuple(len(self.parents[scheme].seen) for scheme in ("http", "socks5", "socks5h")))
        self.assertEqual([], [record for record in proxy.records() if record["msg"] == "setting needs a restart"])


@needs_port_443(ADDRESS)
class Unseen(ParentTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.origin = cls.start_tls_origin(ADDRESS, 443)
        cls.dns.names |= {"api.test": [ADDRESS], "denied.test": ["10.1.2.3"]}

    def setUp(self):
        super().setUp()
        self.origin.forget()
        self.trust = self.certificates.client_context("origin")
        for parent in self.parents.values():
            parent.addresses = {"api.test": ADDRESS, ADDRESS: ADDRESS}

    def test_sni_only(self):
        for scheme in SCHEMES:
            with self.subTest(scheme):
                over = {"tls": {"mode": "sni-only", "ca_cert": None, "ca_key": None}, "transforms": [allowlist("*.test")],
                        "proxy": {"upstream_proxy": {"https_proxy": self.url(scheme, LOGIN)}, "upstream_deny_cidrs": ["10.0.0.0/8"]}}
                proxy = self.own_proxy(over)
                peer = self.plain(proxy, "https").start_tls(self.trust, "api.test")
                self.assertEqual(200, peer.request("GET", f"/{scheme}", "api.test").status)
                peer.close()
                audit = self.audit(proxy, host="api.test")
                self.assertEqual((self.parents[scheme].address, self.parents[scheme].url()), (audit["upstream_addr"], audit["upstream_proxy"]))
                asked = len(self.parents[scheme].seen)
                with self.assertRaises((ssl.SSLError, OSError)):
                    self.plain(proxy, "https").start_tls(self.trust, "denied.test")
                self.assertEqual(f"dial tcp 10.1.2.3:443: {DENIED}: 10.1.2.3 in 10.0.0.0/8", self.audit(proxy, host="denied.test")["error"])
                self.assertEqual(asked, len(self.parents[scheme].seen))

    def test_pass_through(self):
        for scheme in SCHEMES:
            with self.subTest(scheme):
                proxy = self.through(self.url(scheme), {"passthrough": [{"host": "api.test"}]}, http_proxy="ftp://x")
                peer = self.tunnel("api.test:443", proxy=proxy).start_tls(self.trust, "api.test")
                self.assertEqual(200, peer.request("GET", f"/{scheme}", "api.test").status)
                peer.close()
                audit = self.audit(proxy, mode="passthrough", host="api.test:443")
                self.assertEqual((self.parents[scheme].address, self.parents[scheme].url()), (audit["upstream_addr"], audit["upstream_proxy"]))
                self.assertEqual(1, len(self.parents[scheme].seen))


class Choice(ParentTest):
    def parent_of(self, proxy, host=None):
        """Which parent a plain request went through."""
        for parent in self.parents.values():
            parent.forget()
        self.assertEqual(200, self.get(proxy, host=host).status)
        return next((scheme for scheme, parent in self.parents.items() if parent.seen), "direct")

    def test_the_environment(self):
        environment = {"HTTP_PROXY": self.url("http"), "https_proxy": self.url("http"), "ALL_PROXY": "x"}
        ignored = "proxy environment ignored for proxied traffic"
        proxy = self.own_proxy(env=environment)
        self.assertEqual("direct", self.parent_of(proxy))
        self.assertEqual(["HTTP_PROXY", "https_proxy"], proxy.wait_record(ignored, after=0)["variables"])
        self.assertNotIn("upstream_proxy", self.audit(proxy, action="allow"))
        for over, env, expected in (({}, {}, "http"), ({"http_proxy": self.url("socks5")}, {}, "http"),
                                    (None, {"IRON_PROXY_USE_ENV_PROXY": "1"}, "http"),
                                    ({"http_proxy": self.url("socks5")}, {"HTTP_PROXY": ""}, "socks5"),
                                    ({"http_proxy": self.url("socks5")}, {"NO_PROXY": "up.test"}, "direct"),
                                    ({}, {"http_proxy": self.url("socks5h")}, "http"),
                                    ({}, {"http_proxy": self.url("socks5h"), "HTTP_PROXY": ""}, "socks5h")):
            with self.subTest(over=over, env=env):
                proxy = self.own_proxy({} if over is None else {"proxy": {"upstream_proxy": over}}, environment | env)
                self.assertEqual(expected, self.parent_of(proxy))
                self.assertEqual([], proxy.records(ignored))
        self.assertEqual([], self.own_proxy().records(ignored))

    def test_no_proxy(self):
        for entries, host, expected in (("", "up.test", "http"), ("*", "up.test", "direct"), ("up.test", "up.test", "direct"),
                                        (" x , UP.test", "a.up.test", "direct"), (".up.test", "up.test", "http"), ("*.up.test", "a.up.test", "direct"),
                                        (f"up.test:{self.upstream.port}", "up.test", "direct"), ("up.test:1", "up.test", "http"),
                                        ("127.0.0.0/8", "up.test", "http"), ("", "127.0.0.1", "direct"), ("", "localhost", "direct")):
            with self.subTest(entries=entries, host=host):
                self.dns.names["localhost"] = ["127.0.0.1"]
                transforms = [allowlist("*.test", "localhost", cidrs=["127.0.0.0/8"])]
                proxy = self.own_proxy({"proxy": {"upstream_proxy": {"http_proxy": self.url("http"), "no_proxy": entries}}, "transforms": transforms})
                self.assertEqual(expected, self.parent_of(proxy, self.upstream.host(host)))

    def test_what_cannot_be_used_is_never_direct(self):
        for url in ("ftp://x:1", "://", "socks4://x", "http://a b"):
            with self.subTest(url):
                proxy = self.through(url, env={"IRON_MANAGEMENT_API_KEY": "management-key-0123"})
                warned = [record["key"] for record in proxy.records("upstream proxy not usable") if record["level"] == "WARN"]
                self.assertEqual(["proxy.upstream_proxy.http_proxy", "proxy.upstream_proxy.https_proxy"], warned)
                self.assertEqual((502, 502), (self.get(proxy, "/a").status, self.get_tls(proxy, "/b").status))
                for path in ("/a", "/b"):
                    self.assertNotIn("upstream_proxy", self.assert_error(proxy, path, "proxyconnect tcp: unsupported proxy URL"))
        self.assertEqual(([], []), (self.upstream.connections, self.tls_upstream.connections))


class Guard(ParentTest):
    """A sandbox reaches nothing through a parent that it may not reach itself."""

    DENY = {"upstream_deny_cidrs": ["169.254.169.254/32", "10.0.0.0/8", "fd00:ec2::254/128"]}

    def assert_refused(self, proxy, host, error, dial="dial tcp "):
        path = f"/{random_secrets.token_hex(4)}"
        self.assertEqual(502, self.get(proxy, path, host).status)
        self.assertNotIn("upstream_addr", self.assert_error(proxy, path, dial + error))
        if host.islower() and host.endswith("t"):
            self.assertEqual(502, self.get_tls(proxy, path + "s", host + ":443").status)
            self.assert_error(proxy, path + "s", f"dial tcp {error}".replace(":80:", ":443:"))

    def test_denied_targets(self):
        self.dns.names |= {"ten.test": ["10.1.2.3"], "mixed.test": ["192.0.2.1", "10.1.2.3"], "six.test": ["192.0.2.1", "fd00:ec2::254"]}
        metadata, ten = f"{DENIED}: 169.254.169.254 in 169.254.169.254/32", f"{DENIED}: 10.1.2.3 in 10.0.0.0/8"
        for scheme in SCHEMES:
            with self.subTest(scheme):
                proxy = self.through(self.url(scheme), self.DENY)
                self.assert_refused(proxy, "169.254.169.254", f"169.254.169.254:80: {metadata}")
                self.assert_refused(proxy, "[::ffff:169.254.169.254]", f"169.254.169.254:80: {metadata}")
                self.assert_refused(proxy, "[64:ff9b::a9fe:a9fe]:81", f"[64:ff9b::a9fe:a9fe]:81: {metadata}")
                for name in ("ten.test", "mixed.test"):
                    self.assert_refused(proxy, name, f"10.1.2.3:80: {ten}")
                self.assert_refused(proxy, "six.test", f"[fd00:ec2::254]:80: {DENIED}: fd00:ec2::254 in fd00:ec2::254/128")
                self.assertEqual(0, self.parents[scheme].connections)

    def test_names_that_may_be_addresses(self):
        """Whoever reads a name with the C library takes these for addresses: no parent is asked."""
        names = ("2852039166", "0xa9fea9fe", "0XA9FEA9FE", "127.1", "0251.0376.0251.0376", "169.254.0xa9fe", "a..b")
        for scheme in SCHEMES:
            with self.subTest(scheme):
                every = [allowlist("*")]
                proxy = self.through(self.url(scheme), self.DENY, transforms=every)
                for name in names:
                    self.assert_refused(proxy, name, f"lookup {name.lower()}: no such host", dial="dial tcp: ")
                loopback = self.through(self.url(scheme), {"upstream_deny_cidrs": ["127.0.0.0/8"]}, transforms=every)
                for name in ("localhost", "LocalHost", "a.localhost", "ip6-loopback"):
                    self.assertEqual(502, self.get(loopback, "/" + name, name).status)
                    self.assert_error(loopback, "/" + name, f"dial tcp 127.0.0.1:80: {DENIED}: 127.0.0.1 in 127.0.0.0/8")
                for path, host in (("/two", "up.test.."), ("/dots", "127.0.0.1..")):
                    self.assertEqual(400, self.get(proxy, path, host).status)
                self.assertEqual(0, self.parents[scheme].connections)

    def test_each_request_of_a_pooled_connection_is_checked(self):
        proxy = self.through(self.url("http"), self.DENY)
        peer = self.plain(proxy)
        self.assertEqual(200, peer.request("GET", "/", self.upstream.host()).status)
        self.assertEqual(502, peer.request("GET", "/denied", "169.254.169.254").status)
        self.assert_error(proxy, "/denied", f"dial tcp 169.254.169.254:80: {DENIED}: 169.254.169.254 in 169.254.169.254/32")
        self.assertEqual(["/"], self.upstream.targets())
        self.assertEqual(1, self.parents["http"].connections)

    def test_names_of_metadata_services(self):
        self.dns.names["metadata.google.internal"] = "NXDOMAIN"
        for scheme in SCHEMES:
            with self.subTest(scheme):
                proxy = self.through(self.url(scheme), self.DENY)
                self.assert_refused(proxy, "metadata.google.internal", f"169.254.169.254:80: {DENIED}: 169.254.169.254 in 169.254.169.254/32")
                self.assert_refused(proxy, "Metadata.Google.Internal.", f"169.254.169.254:80: {DENIED}: 169.254.169.254 in 169.254.169.254/32")
                self.assertEqual(0, self.parents[scheme].connections)

    def test_a_name_that_only_the_parent_knows(self):
        port = self.upstream.port
        for answered in ("NXDOMAIN", "SERVFAIL"):
            for scheme in SCHEMES:
                with self.subTest(scheme=scheme, answered=answered):
                    self.dns.names["inner.example"] = answered
                    self.dns.queries.clear()
                    proxy = self.through(self.url(scheme), self.DENY)
                    peer = self.plain(proxy)  # each worker remembers for itself
                    for number in range(3):
                        self.assertEqual(200, peer.request("GET", f"/{number}", f"inner.example:{port}").status)
                        asked = asked if number else self.dns.asked("inner.example")
                        audit = self.audit(proxy, path=f"/{number}")
                        self.assertEqual("name_only", audit["deny_check"])
                        self.assertEqual(["id", "deny_check", "upstream_proxy"], [key for key in audit if key != "error"][-3:])
                    if scheme.startswith("socks"):
                        self.assertEqual((3, "inner.example", port), self.parents[scheme].seen[0][2:])
                    self.assertEqual(asked, self.dns.asked("inner.example"))  # a failure is remembered

    def test_socks5_gets_the_checked_address(self):
        self.dns.names["rebinding.test"], self.dns.ttls["rebinding.test"] = ["127.0.0.1"], 0
        proxy = self.through(self.url("socks5"), self.DENY)
        self.assertEqual(200, self.get(proxy, "/", self.upstream.host("rebinding.test")).status)
        self.dns.names["rebinding.test"] = ["10.1.2.3"]
        self.assertEqual([(1, "127.0.0.1", self.upstream.port)], [seen[2:] for seen in self.parents["socks5"].seen])

    def test_the_parent_is_exempt_but_no_target_at_its_address(self):
        deny = {"upstream_deny_cidrs": ["127.0.0.0/8", "::1/128"]}
        self.dns.names["far.test"] = ["192.0.2.1"]  # as seen from here; the parent knows it as 127.0.0.1
        for scheme in SCHEMES:
            with self.subTest(scheme):
                parent = self.parents[scheme]
                parent.addresses = {"192.0.2.1": "127.0.0.1"}
                proxy = self.through(self.url(scheme), deny)
                self.assertEqual(200, self.get(proxy, "/far", self.upstream.host("far.test")).status)
                asked = len(parent.seen)
                self.assertEqual(502, self.get(proxy, "/itself", parent.address).status)
                self.assert_error(proxy, "/itself", f"dial tcp {parent.address}: {DENIED}: 127.0.0.1 in 127.0.0.0/8")
                self.assertEqual(502, self.get(proxy, "/named", f"up.test:{parent.port}").status)
                self.assert_error(proxy, "/named", f"dial tcp 127.0.0.1:{parent.port}: {DENIED}: 127.0.0.1 in 127.0.0.0/8")
                self.assertEqual(asked, len(parent.seen))

    def test_no_way_back_to_the_proxy_itself(self):
        proxy = self.through(self.url("http"))
        host = "up.test:%d" % proxy.metrics[1]
        self.assertEqual(502, self.get(proxy, "/healthz", host).status)
        self.assert_error(proxy, "/healthz", "dial tcp 127.0.0.1:%d: own listener" % proxy.metrics[1])
        self.assertEqual([], self.parents["http"].seen)


class Failures(ParentTest):
    def both(self, proxy, name):
        self.assertEqual((502, 502), (self.get(proxy, f"/{name}/plain").status, self.get_tls(proxy, f"/{name}/tls").status))
        return [self.audit(proxy, path=f"/{name}/{kind}")["error"] for kind in ("plain", "tls")]

    def test_refused(self):
        port = closed_port(type(self))
        for scheme in SCHEMES:
            with self.subTest(scheme):
                proxy = self.through(f"{scheme}://{LOGIN}@127.0.0.1:{port}")
                error = f"proxyconnect tcp: dial tcp 127.0.0.1:{port}: connect: connection refused"
                self.assertEqual([error, error], self.both(proxy, scheme))

    def test_answers_to_connect(self):
        long_head = b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70000
        parent, proxy = self.parents["http"], self.through(self.url("http", LOGIN))
        for number, (bytes_of_parent, error) in enumerate((
                (b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n", "Proxy Authentication Required (HTTP 407)"),
                (b"HTTP/1.1 503 Nope\r\n\r\n", "Nope (HTTP 503)"), (b"hello\r\n", 'malformed HTTP response "hello"'), (b"", "unexpected EOF"),
                (b"HTTP/1.1 503 " + BASIC.encode() + b"\r\n\r\n", "(HTTP 503)"), (long_head, "net/http: server response headers exceeded 65536 bytes; aborted"))):
            with self.subTest(error):
                parent.answers = bytes_of_parent
                self.assertEqual(502, self.get_tls(proxy, f"/{number}").status)
                audit = self.assert_error(proxy, f"/{number}", error)
                self.assertEqual(parent.address, audit["upstream_addr"])
        self.assertEqual([], self.tls_upstream.connections)

    def test_a_login_that_the_parent_wants_is_not_asked_of_the_client(self):
        parent, proxy = self.parents["http"], self.through(self.url("http"))
        parent.answers = b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 2\r\n\r\nno"
        response = self.get(proxy, "/407")
        self.assertEqual((502, None), (response.status, response.get("Proxy-Authenticate")))
        self.assert_error(proxy, "/407", "Proxy Authentication Required (HTTP 407)")
        parent.answers = answer(b"down", "503 Down")
        self.assertEqual((503, b"down"), (lambda response: (response.status, response.body))(self.get(proxy, "/503")))

    def test_answers_of_socks(self):
        for login, turns, error in (("", [b"\5\0", b"\5\2\0\1\0\0\0\0\0\0"], "unknown error connection not allowed by ruleset"),
                                    ("", [b"\5\xff"], "no acceptable authentication methods"),
                                    (LOGIN, [b"\5\2", b"\1\1"], "username/password authentication failed"),
                                    ("", [b"HT"], "unexpected protocol version 72"), ("", [b"\5\0", b""], "EOF")):
            with self.subTest(error):
                parent, proxy = self.parents["socks5h"], self.through(self.url("socks5h", login))
                parent.answers = turns
                where = f"socks connect tcp {parent.address}->up.test:"
                self.assertEqual([f"{where}{origin.port}: {error}" for origin in (self.upstream, self.tls_upstream)], self.both(proxy, "socks"))

    def test_a_silent_parent(self):
        for scheme in ("http", "https", "socks5"):
            with self.subTest(scheme):
                silent = Upstream()
                self.addCleanup(silent.close)
                silent.on_connection = lambda connection: connection.read_to_end()
                url = f"{scheme}://127.0.0.1:{silent.port}"
                proxy = self.through(url, {"limits": {"handshake_timeout": "200ms"}})
                self.assertEqual(502, self.get_tls(proxy, "/silent").status)
                error = {"http": "proxyconnect tcp: i/o timeout", "https": "proxyconnect tcp: net/http: TLS handshake timeout",
                         "socks5": f"socks connect tcp 127.0.0.1:{silent.port}->{self.tls_upstream.host()}: i/o timeout"}[scheme]
                self.assert_error(proxy, "/silent", error)


class Password(ParentTest):
    """The password of a parent is in no record, and in no memory that can be read once it was used."""

    def traffic(self, proxy):
        for number in range(20):
            self.assertIn(self.get(proxy, f"/{number}").status, (200, 502, 503))
            self.assertIn(self.get_tls(proxy, f"/{number}").status, (200, 502))

    def assert_nowhere(self, proxy):
        for form in (PASSWORD, BASIC, base64.b64encode(PASSWORD.encode()).decode()):
            self.assertNotIn(form, proxy.text())
        if os.environ.get("IRON_SANITIZE"):
            return
        for form in (PASSWORD, BASIC):
            self.assertEqual([], find_key(proxy.pid, form.encode())[0])
        with open(f"/proc/{proxy.pid}/environ", "rb") as environ:
            self.assertNotIn(PASSWORD.encode(), environ.read())

    def test_is_nowhere(self):
        for scheme in SCHEMES:
            with self.subTest(scheme):
                url = self.url(scheme, LOGIN)
                for proxy in (self.through(url), self.own_proxy({"proxy": {"upstream_proxy": {}}}, {"HTTP_PROXY": url, "HTTPS_PROXY": url})):
                    self.traffic(proxy)
                    mark = proxy.mark()
                    proxy.send_signal(1)
                    proxy.wait_record("management reload succeeded", after=mark)
                    self.traffic(proxy)
                    self.assert_nowhere(proxy)

    def test_a_parent_that_repeats_it(self):
        proxy = self.through(self.url("http", LOGIN))
        for text in (PASSWORD, BASIC):
            for form in (f"HTTP/1.1 503 {text}\r\n\r\n", f"{text}\r\n", f"HTTP/1.1 200 OK\r\nContent-Length: {text}\r\n\r\n"):
                self.parents["http"].answers = form.encode()
                self.traffic(proxy)
        self.assert_nowhere(proxy)

    def test_a_fault_of_the_configuration_does_not_show_it(self):
        proxy = self.through(self.url("http", LOGIN))
        for block in (f"u:{PASSWORD}@x", {"http_proxy": self.url("http", LOGIN), "zz": 1}):
            proxy.config["proxy"]["upstream_proxy"] = block
            proxy.write_config(proxy.config)
            mark = proxy.mark()
            proxy.send_signal(1)
            proxy.wait_record("management reload rejected invalid config", after=mark)
        self.assertIn("field zz not found in type config.UpstreamProxy", proxy.text())
        self.assert_nowhere(proxy)


if __name__ == "__main__":
    main()
