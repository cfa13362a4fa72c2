"""Every listener: what it serves, what it refuses, and that the plain and the tunnel port serve the same."""
import json
import os
import socket
import ssl
import tempfile
import unittest

from harness import Proxy, StartFailed, WireTest, main
from harness.case import KEY, TOKEN, refusal
from harness.peer import connect
from harness.proxy import own_address
from harness.waiting import SLOWNESS

NOT_ALLOWED = b"HTTP/1.1 405 Method Not Allowed\r\n\r\n"


class BothPorts(WireTest):
    """The same answers on http_listen and tunnel_listen."""

    def test_connect_then_tls(self):
        for listener in ("http", "tunnel"):
            with self.subTest(listener):
                peer = self.tls_tunnel(self.tls_upstream.host(), listener)
                response = peer.request("GET", f"/tls-{listener}", self.tls_upstream.host(), [("Authorization", TOKEN)])
                self.assertEqual(200, response.status)
                self.assertEqual(KEY, self.tls_upstream.wait_request(f"/tls-{listener}").get("Authorization"))
                record = self.proxy.wait_request(path=f"/tls-{listener}")
                self.assertEqual(self.tls_upstream.host(), record["tunnel"]["target"])

    def test_connect_then_plain(self):
        for listener in ("http", "tunnel"):
            with self.subTest(listener):
                peer = self.tunnel(self.upstream.host(), listener)
                for number in (1, 2):
                    self.assertEqual(200, peer.request("GET", f"/{listener}-{number}", self.upstream.host()).status)
                self.assertEqual("", self.proxy.wait_request(path=f"/{listener}-2")["audit"]["sni"])

    def test_absolute_form(self):
        host = self.upstream.host()
        for listener in ("http", "tunnel"):
            with self.subTest(listener):
                peer = self.plain(listener=listener)
                for target, sent in ((f"http://{host}/{listener}", f"/{listener}"), (f"http://{host}", "/"),
                                     (f"http://{host}?q=1", "/?q=1"), (f"HTTP://{host}/{listener}?", f"/{listener}?")):
                    count = self.upstream.targets().count(sent) + 1
                    self.assertEqual(200, peer.request("GET", target, "ignored.test", [("Authorization", TOKEN)]).status)
                    request = self.upstream.wait_request(sent, count)
                    self.assertEqual((host, KEY), (request.get("Host"), request.get("Authorization")))

    def test_an_https_url_needs_a_tunnel(self):
        """Some clients ask a proxy for https URLs without CONNECT: nothing goes upstream."""
        for number, scheme in enumerate(("https", "HTTPS")):
            for listener, expected, error, status in (("http", refusal("400 Bad Request"), "malformed request", 400),
                                                      ("tunnel", b"HTTP/1.1 405 Method Not Allowed\r\n\r\n", "method not allowed here", 405)):
                with self.subTest(scheme=scheme, listener=listener):
                    peer = self.plain(listener=listener, source=f"127.0.2.{number + 1}")
                    address = "%s:%d" % peer.sock.getsockname()
                    peer.send_request("GET", f"{scheme}://{self.upstream.host()}/tunnelless", self.upstream.host())
                    self.assertEqual(expected, peer.read_to_end())
                    record = self.proxy.wait_request(host=self.upstream.host(), remote_addr=address)
                    self.assertEqual(("protocol", error, status), (record["rejected_by"], record["error"], record["audit"]["status_code"]))
        self.assert_no_contact()

    def test_tls_to_a_port_that_speaks_none(self):
        """What `https://` before the proxy's address leads to: the answers are those to any garbage, without a wait for a line end."""
        for listener, answered in (("http", refusal("400 Bad Request")), ("tunnel", b"")):
            with self.subTest(listener):
                peer = self.plain(listener=listener, source="127.0.2.3")
                address = "%s:%d" % peer.sock.getsockname()
                self.assertEqual(answered, peer.send(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03").read_to_end())
                if answered:
                    record = self.proxy.wait_request(remote_addr=address)
                    self.assertEqual(("protocol", "malformed request", 400), (record["rejected_by"], record["error"], record["audit"]["status_code"]))

    def test_connect_after_a_request_on_the_same_connection(self):
        host = self.upstream.host()
        for listener in ("http", "tunnel"):
            with self.subTest(listener):
                peer = self.plain(listener=listener)
                self.assertEqual(200, peer.request("GET", f"http://{host}/first", host).status)
                peer.send_request("CONNECT", host, host)
                self.assertEqual(b"HTTP/1.1 200 Connection Established\r\n\r\n", peer.read_until(b"\r\n\r\n"))
                self.assertEqual(200, peer.request("GET", "/second", host).status)

    def test_denied_connect_closes(self):
        for listener in ("http", "tunnel"):
            with self.subTest(listener):
                mark = self.proxy.mark()
                peer = self.plain(listener=listener)
                peer.send_request("CONNECT", "evil.example", "evil.example")
                self.assertEqual(b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n", peer.read_to_end())
                self.proxy.wait_request(host="evil.example:443", action="reject", after=mark)

    def test_faulty_connect_targets(self):
        for number, target in enumerate(("/path", "http://up.test:1", "up.test:0", "up.test:65536", "up.test:x", ":443", "user@up.test:1",
                                         "up.test:1/x", "[::1", "[fe80::1%25lo]:1", "up%2etest:1", "a b:1", "up.test:", "127.0.0.1:", "[::1]:")):
            for listener in ("http", "tunnel"):
                with self.subTest(target=target, listener=listener):
                    peer = self.plain(listener=listener, source=f"127.0.1.{number + 1}")
                    peer.send_request("CONNECT", target, "up.test")
                    answer = peer.read_to_end()
                    if " " in target and listener == "tunnel":
                        self.assertEqual(b"", answer)  # a malformed request line
                    else:
                        self.assertEqual(refusal("400 Bad Request"), answer)

    def test_a_connect_target_whose_port_is_missing_is_recorded(self):
        for number, listener in enumerate(("http", "tunnel")):
            with self.subTest(listener):
                mark = self.proxy.mark()
                peer = self.plain(listener=listener, source=f"127.0.4.{number + 1}")
                peer.send_request("CONNECT", "up.test:", "up.test")
                self.assertEqual(refusal("400 Bad Request"), peer.read_to_end())
                record = self.proxy.wait_request(host="up.test:", method="CONNECT", after=mark)
                self.assertEqual(("reject", 400, "protocol", "malformed request"),
                                 (record["audit"]["action"], record["audit"]["status_code"], record["rejected_by"], record["error"]))
        self.assert_no_contact()

    def test_connect_with_a_faulty_field(self):
        for number, listener in enumerate(("http", "tunnel")):
            with self.subTest(listener):
                peer = self.plain(listener=listener, source=f"127.0.2.{number + 1}")
                peer.send("CONNECT up.test:443 HTTP/1.1\r\nHost: up.test:443\r\nX: a\r\n folded\r\n\r\n")
                self.assertEqual(refusal("400 Bad Request"), peer.read_to_end())

    def test_connect_without_host_field(self):
        for listener in ("http", "tunnel"):
            with self.subTest(listener):
                peer = self.plain(listener=listener).send(f"CONNECT {self.upstream.host()} HTTP/1.1\r\n\r\n")
                self.assertEqual(b"HTTP/1.1 200 Connection Established\r\n\r\n", peer.read_until(b"\r\n\r\n"))

    def test_connect_to_an_address_in_brackets(self):
        peer = self.plain(listener="tunnel")
        peer.send_request("CONNECT", "[::1]", "[::1]")
        self.assertEqual(b"HTTP/1.1 403", peer.read_until(b" Forbidden")[:12])
        self.proxy.wait_request(host="[::1]:443", sni="::1")

    def test_unsupported_first_byte_in_a_tunnel(self):
        peer = self.tunnel(self.upstream.host()).send(b"\0\1\2\3")
        self.assertEqual(b"", peer.read_to_end())
        self.assert_no_contact()


class TunnelPort(WireTest):
    def test_what_is_not_for_a_proxy(self):
        for head in ("GET / HTTP/1.1\r\nHost: up.test\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: up.test\r\n\r\n",
                     "connect up.test:443 HTTP/1.1\r\nHost: up.test:443\r\n\r\n", "GET up.test:443 HTTP/1.1\r\nHost: up.test\r\n\r\n"):
            with self.subTest(head=head):
                self.assertEqual(NOT_ALLOWED, self.plain(listener="tunnel").send(head).read_to_end())
        self.assert_no_contact()

    def test_malformed_request_line_gets_no_answer(self):
        for line in ("GARBAGE", "CONNECT up.test:443", "CONNECT  up.test:443 HTTP/1.1", "\x04\x01\x01\xbb\x7f\0\0\1\0"):
            with self.subTest(line=line):
                self.assertEqual(b"", self.plain(listener="tunnel").send(line + "\r\n\r\n").read_to_end())

    def test_a_probe_leaves_no_trace(self):
        mark = self.proxy.mark()
        for listener in ("tunnel", "http", "https"):
            connect(getattr(self.proxy, listener)).close()
        self.assertEqual(200, self.plain().request("GET", "/after-probe", self.upstream.host()).status)
        self.proxy.wait_request(path="/after-probe")
        self.assertEqual(["request"], [record.get("msg") for record in self.proxy.records()[mark:]])


class HttpsPort(WireTest):
    def direct(self, name="up.test", context=None):
        return self.plain(listener="https").start_tls(context or self.certificates.client_context(), name)

    def test_direct_tls(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version):
                context = self.certificates.client_context()
                context.minimum_version = context.maximum_version = version
                # The Host has the port of the origin; the SNI is compared without it.
                peer = self.direct(context=context)
                self.assertEqual(200, peer.request("GET", "/direct", self.tls_upstream.host(), [("Authorization", TOKEN)]).status)
                self.assertEqual(KEY, self.tls_upstream.requests[-1].get("Authorization"))
                self.assertEqual({ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version], peer.sock.version())

    def test_old_versions_are_refused(self):
        context = self.certificates.client_context()
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.options |= ssl.OP_NO_TLSv1_2 | ssl.OP_NO_TLSv1_3
        with self.assertRaises(ssl.SSLError):
            self.direct(context=context)

    def test_cipher_suites(self):
        for suite, offered in (("ECDHE-ECDSA-AES128-GCM-SHA256", True), ("ECDHE-ECDSA-AES256-GCM-SHA384", True), ("ECDHE-ECDSA-CHACHA20-POLY1305", True),
                               ("ECDHE-ECDSA-AES128-SHA", False), ("ECDHE-RSA-AES128-GCM-SHA256", False)):
            with self.subTest(suite):
                context = self.certificates.client_context()
                context.maximum_version = ssl.TLSVersion.TLSv1_2
                context.set_ciphers(suite)
                if offered:
                    self.assertEqual(suite, self.direct(context=context).sock.cipher()[0])
                else:
                    with self.assertRaises(ssl.SSLError):
                        self.direct(context=context)

    def test_alpn(self):
        for offered, selected in ((["http/1.1"], "http/1.1"), (["h2", "http/1.1"], "http/1.1"), (["h2"], None)):
            with self.subTest(offered):
                context = self.certificates.client_context()
                context.set_alpn_protocols(offered)
                self.assertEqual(selected, self.direct(context=context).sock.selected_alpn_protocol())

    def test_leaf_and_chain(self):
        peer = self.direct()
        leaf = peer.sock.getpeercert()
        self.assertEqual((("DNS", "up.test"),), leaf["subjectAltName"])
        self.assertEqual(((("commonName", "up.test"),),), leaf["subject"])

    def test_without_sni(self):
        context = self.certificates.client_context()
        context.check_hostname = False
        with self.assertRaises(ssl.SSLError) as raised:
            self.plain(listener="https").start_tls(context, None)
        self.assertIn("INTERNAL_ERROR", str(raised.exception).upper().replace(" ", "_"))

    def test_hostile_sni(self):
        context = self.certificates.client_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with self.assertRaises(ssl.SSLError):
            self.plain(listener="https").start_tls(context, "a/b.test")

    def test_host_must_match_the_sni(self):
        peer = self.direct()
        response = peer.request("GET", "/mismatch", "api.test")
        self.assertEqual((400, b"SNI and Host header mismatch\n"), (response.status, response.body))
        self.assertEqual(["Content-Type", "X-Content-Type-Options", "Date", "Content-Length"], response.names())
        warning = self.proxy.wait_record("SNI/Host mismatch")
        self.assertEqual(("up.test", "api.test"), (warning["sni"], warning["host"]))
        record = self.proxy.wait_request(path="/mismatch")
        self.assertEqual(("protocol", "SNI and Host header mismatch", "reject"), (record["rejected_by"], record["error"], record["audit"]["action"]))
        # The connection goes on, and letter case and a trailing dot make no mismatch.
        for host in ("UP.TEST", "up.test."):
            self.assertEqual(200, peer.request("GET", "/case", f"{host}:{self.tls_upstream.port}").status)

    def test_connect_inside_tls(self):
        peer = self.direct()
        peer.send_request("CONNECT", "up.test:443", "up.test:443")
        self.assertEqual(NOT_ALLOWED, peer.read_to_end())

    def test_connect_inside_a_tunnel(self):
        for peer in (self.tunnel(self.upstream.host()), self.tls_tunnel(self.tls_upstream.host())):
            peer.send_request("CONNECT", "up.test:443", "up.test")
            self.assertEqual(NOT_ALLOWED, peer.read_to_end())

    def test_absolute_form_inside_tls(self):
        host = self.tls_upstream.host()
        for scheme in ("http", "https"):
            self.assertEqual(200, self.direct().request("GET", f"{scheme}://{host}/{scheme}", host).status)
            self.tls_upstream.wait_request(f"/{scheme}")

    def test_plain_http(self):
        peer = self.plain(listener="https").send("GET / HTTP/1.1\r\nHost: up.test\r\n\r\n")
        self.assertEqual(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n", peer.read_to_end())

    def test_garbage(self):
        self.assertEqual(b"", self.plain(listener="https").send(b"\0\0\0\0\0\0\0\0").read_to_end())

    def test_resumption_is_bound_to_the_name(self):
        context = self.certificates.client_context()
        first = self.direct(context=context)
        first.request("GET", "/one", self.tls_upstream.host())
        session = first.sock.session
        again = connect(self.proxy.https)
        self.track(again)
        again.sock = context.wrap_socket(again.sock, server_hostname="up.test", session=session)
        self.assertTrue(again.sock.session_reused)
        self.assertEqual(200, again.request("GET", "/two", self.tls_upstream.host()).status)
        self.assertTrue(self.proxy.wait_request(path="/two")["audit"]["tls"]["resumed"])
        other = connect(self.proxy.https)
        self.track(other)
        other.sock = context.wrap_socket(other.sock, server_hostname="api.test", session=session)
        self.assertFalse(other.sock.session_reused)


class PlainPort(WireTest):
    def test_options_asterisk_goes_upstream(self):
        self.assertEqual(200, self.plain().request("OPTIONS", "*", self.upstream.host()).status)
        self.upstream.wait_request("*")
        self.proxy.wait_request(path="*", method="OPTIONS")

    def test_lower_case_and_unknown_methods_pass(self):
        for method in ("get", "BREW", "PROPFIND"):
            self.assertEqual(200, self.plain().request(method, f"/{method}", self.upstream.host()).status)
            self.assertEqual(method, self.upstream.wait_request(f"/{method}").method)

    def test_trailing_dot_and_case_of_the_host(self):
        for host in ("UP.test", "up.TEST."):
            self.assertEqual(200, self.plain().request("GET", "/case", f"{host}:{self.upstream.port}", [("Authorization", TOKEN)]).status)
            request = self.upstream.requests[-1]
            self.assertEqual((f"{host}:{self.upstream.port}", KEY), (request.get("Host"), request.get("Authorization")))


class Metrics(WireTest):
    def test_healthz(self):
        for method, body in (("GET", b"OK"), ("POST", b"OK"), ("HEAD", b"")):
            response = self.plain(listener="metrics").request(method, "/healthz?x", "")
            self.assertEqual((200, body, ["Date", "Content-Length", "Content-Type"]), (response.status, response.body, response.names()))

    def test_everything_else(self):
        for target in ("/", "/metrics", "/healthz/"):
            response = self.plain(listener="metrics").request("GET", target, "x")
            self.assertEqual((404, b"404 page not found\n"), (response.status, response.body))
            self.assertEqual(["Content-Type", "X-Content-Type-Options", "Date", "Content-Length"], response.names())

    def test_redirect_of_odd_paths(self):
        for target, location, link in (
                ("//healthz", "/healthz", b"/healthz"), ("/a/../healthz", "/healthz", b"/healthz"), ("/x//y/", "/x/y/", b"/x/y/"),
                ("/./", "/", b"/"), ("/..", "/", b"/"), ("http://h//healthz", "/healthz", b"/healthz"),
                ("/./\\h", "/%5Ch", b"/%5Ch"), ("//healthz?a=1&b=<\">'", "/healthz?a=1&b=<\">'", b"/healthz?a=1&amp;b=&lt;&#34;&gt;&#39;")):
            with self.subTest(target):
                response = self.plain(listener="metrics").request("GET", target, "x")
                self.assertEqual((307, location, b'<a href="' + link + b'">Temporary Redirect</a>.\n\n'),
                                 (response.status, response.get("Location"), response.body))
                self.assertEqual(["Content-Type", "Location", "Date", "Content-Length"], response.names())

    def test_redirect_without_a_body(self):
        for method, names in (("HEAD", ["Content-Type", "Location", "Date"]), ("POST", ["Location", "Date", "Content-Length"])):
            response = self.plain(listener="metrics").request(method, "//healthz", "x")
            self.assertEqual((307, names, b""), (response.status, response.names(), response.body))

    def test_an_encoded_slash_is_no_slash(self):
        self.assertEqual(404, self.plain(listener="metrics").request("GET", "/a%2F..%2Fhealthz", "x").status)
        self.assertEqual(200, self.plain(listener="metrics").request("GET", "/health%7A", "x").status)

    def test_the_rules_of_a_request_head(self):
        for head, wanted in (
                ("GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", refusal("400 Bad Request: malformed Host header")),
                ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", refusal("400 Bad Request")), ("GET foo HTTP/1.1\r\nHost: a\r\n\r\n", refusal("400 Bad Request")),
                ("GET / HTTP/0.9\r\n\r\n", refusal("505 HTTP Version Not Supported: unsupported protocol version"))):
            with self.subTest(head):
                self.assertEqual(wanted, self.plain(listener="metrics").send(head).read_to_end())

    def test_options_of_the_server(self):
        response = self.plain(listener="metrics").request("OPTIONS", "*", "a")
        self.assertEqual((200, ["Content-Length", "Date"], b""), (response.status, response.names(), response.body))

    def test_a_kept_http_1_0_connection_is_announced(self):
        peer = self.plain(listener="metrics")
        for _ in range(2):
            response = peer.request("GET", "/healthz", fields=[("Connection", "keep-alive")], version="HTTP/1.0")
            self.assertEqual(("HTTP/1.0", "keep-alive"), (response.version, response.get("Connection")))

    def test_a_body_held_back_ends_the_connection(self):
        for field in (("Expect", "100-continue"), ("Content-Length", "262145")):
            peer = self.plain(listener="metrics")
            fields = [field] if field[0] == "Content-Length" else [field, ("Content-Length", "3")]
            peer.send_request("POST", "/healthz", "x", fields)
            response = peer.read_response()
            self.assertEqual((200, "close"), (response.status, response.get("Connection")))
            self.assertEqual(b"", peer.read_to_end())


class MoreListeners(WireTest):
    starts_proxy = False

    def test_lists_are_bound_and_equal_ones_once(self):
        proxy = self.own_proxy({"proxy": {"http_listen": "127.0.0.2:0", "http_listens": ["127.0.0.2:0", "127.0.0.3:0", "127.0.0.4:0"],
                                          "tunnel_listen": "", "tunnel_listens": ["127.0.0.5:0", "[::1]:0"]}})
        self.assertEqual(["127.0.0.2", "127.0.0.3", "127.0.0.4"], sorted(host for host, _ in proxy.addresses["http"]))
        self.assertEqual(["127.0.0.5", "::1"], sorted(host for host, _ in proxy.addresses["tunnel"]))
        for number, address in enumerate(proxy.addresses["http"] + proxy.addresses["tunnel"]):
            peer = self.track(connect(address))
            self.assertEqual(200, peer.request("GET", f"http://{self.upstream.host()}/{number}", self.upstream.host()).status)

    def test_dns_can_be_off(self):
        proxy = self.own_proxy({"dns": {"enabled": False, "proxy_ip": None}})
        self.assertEqual([], proxy.addresses["dns"])
        record = proxy.wait_record("iron-proxy starting")
        self.assertEqual(["dns_listen", "disabled"], [list(record)[3], record["dns_listen"]])
        proxy = self.own_proxy({"dns": {"enabled": False, "proxy_ip": None, "listen": "no address at all"}})
        self.assertEqual("disabled", proxy.wait_record("iron-proxy starting")["dns_listen"])
        self.assertEqual(200, self.plain(proxy).request("GET", "/", self.upstream.host()).status)

    def test_variables_of_later_releases(self):
        environment = {"IRON_RESPONSE_RETRY_URL": "http://value.test", "IRON_RESPONSE_RETRY_A": "1", "IRON_RESPONSE_RETRY_EMPTY": "", "IRON_RESPONSE": "1"}
        proxy = self.own_proxy(env=environment)
        record = proxy.wait_record("not supported, ignored")
        self.assertEqual(("WARN", ["IRON_RESPONSE_RETRY_A", "IRON_RESPONSE_RETRY_URL"]), (record["level"], record["names"]))
        self.assertNotIn("value.test", proxy.text())
        self.assertEqual(200, self.plain(proxy).request("GET", "/", self.upstream.host()).status)
        self.assertEqual([], self.own_proxy(env={"IRON_RESPONSE_RETRY_EMPTY": ""}).records("not supported, ignored"))

    def test_the_deny_list_by_variable(self):
        proxy = self.own_proxy(env={"IRON_PROXY_UPSTREAM_DENY_CIDRS": "10.0.0.0/8, 127.0.0.0/8"})
        self.assertEqual(["10.0.0.0/8", "127.0.0.0/8"], proxy.wait_record("upstream deny list active")["cidrs"])
        self.assertEqual(502, self.plain(proxy).request("GET", "/denied", self.upstream.host()).status)

    def test_all_addresses(self):
        proxy = self.own_proxy({"proxy": {"http_listen": ":0"}})
        port = proxy.http[1]
        for address in ("127.0.0.1", "::1"):
            peer = self.track(connect((address, port)))
            self.assertEqual(200, peer.request("GET", "/any" + address.replace(":", "-"), self.upstream.host()).status)
        self.assertTrue(proxy.wait_request(path="/any127.0.0.1")["audit"]["remote_addr"].startswith("127.0.0.1:"))
        self.assertTrue(proxy.wait_request(path="/any--1")["audit"]["remote_addr"].startswith("[::1]:"))

    def test_taken_ports(self):
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        for block, key, prefix in (("proxy", "http_listen", "proxy: http listen: listen tcp"),
                                   ("proxy", "https_listen", "proxy: https listen: listen tcp"),
                                   ("proxy", "tunnel_listen", "proxy: tunnel: tunnel listen: listen tcp"),
                                   ("metrics", "listen", "metrics: listen tcp"),
                                   ("dns", "listen", "dns: listen tcp")):
            with self.subTest(key):
                config = self.base_config()
                config[block] = config[block] | {key: address}
                with self.assertRaises(StartFailed) as failed:
                    Proxy(config, self.base_environment())
                self.assertEqual(1, failed.exception.code)
                self.assertIn(f'"msg":"fatal error","error":"{prefix} {address}: bind: address already in use"', failed.exception.text)
                self.assertIn('"msg":"iron-proxy stopped"', failed.exception.text)
                self.assertEqual(f"error: {prefix} {address}: bind: address already in use", failed.exception.text.splitlines()[-1])
                self.assertNotIn("proxy starting", failed.exception.text)
                self.assertEqual(block == "dns", "dns shutdown error" in failed.exception.text)

    def test_one_port_for_two_listeners(self):
        address = own_address()
        management = {"management": {"listen": address, "api_key_env": "WIRE_KEY"}}
        for over, prefix in (({"proxy": {"http_listen": address, "https_listen": address}}, "proxy: https listen: "),
                             ({"proxy": {"http_listen": address, "tunnel_listens": [address]}}, "proxy: tunnel: tunnel listen: "),
                             ({"proxy": {"http_listen": address}, "metrics": {"listen": address}}, "metrics: "),
                             ({"metrics": {"listen": address}} | management, "management: "),
                             ({"proxy": {"http_listen": address}, "dns": {"listen": address}}, "dns: ")):
            with self.subTest(prefix):
                with self.assertRaises(StartFailed) as failed:
                    self.own_proxy(over)
                self.assertEqual((1, f"error: {prefix}listen tcp {address}: bind: address already in use"),
                                 (failed.exception.code, failed.exception.text.splitlines()[-1]))

    @unittest.skipIf(SLOWNESS != 1, "a sanitizer has pages of its own")
    def test_a_taken_port_ends_the_start_before_anything_costly(self):
        # A client that polls the port meanwhile takes whoever has it for us. How many pages a start touches does not depend on what else the
        # machine does, as its time would: about 200 more than --version. A trust store of 1 MiB has 256.
        trust = tempfile.NamedTemporaryFile(suffix=".crt")
        self.addCleanup(trust.close)
        trust.write(b"no certificate\n\n" * (1 << 16))
        trust.flush()

        def pages(config, arguments, code):
            proxy = Proxy(config, self.base_environment() | {"SSL_CERT_FILE": trust.name}, arguments, start=False)
            self.addCleanup(proxy.cleanup)
            proxy.start(wait=False)
            _, status, used = os.wait4(proxy.pid, 0)
            proxy.process.returncode = os.waitstatus_to_exitcode(status)
            self.assertEqual(code, proxy.process.returncode, proxy.text())
            return used.ru_minflt

        free = self.base_config()
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        refused = free | {"proxy": free["proxy"] | {"tunnel_listen": "127.0.0.1:%d" % taken.getsockname()[1]}}
        self.assertLess(pages(refused, None, 1) - pages(free, ["--version"], 0), 300)

    def test_taken_name_server_port(self):
        taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(taken.close)
        taken.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        config = self.base_config()
        config["dns"] = config["dns"] | {"listen": address}
        with self.assertRaises(StartFailed) as failed:
            Proxy(config, self.base_environment())
        records = [json.loads(line) for line in failed.exception.text.splitlines() if '"time"' in line]
        self.assertEqual([("ERROR", "fatal error", f"dns: listen udp {address}: bind: address already in use"),
                          ("ERROR", "dns shutdown error", "dns: server not started"),
                          ("INFO", "iron-proxy stopped", None)],
                         [(record["level"], record["msg"], record.get("error")) for record in records])

    def test_starting_record_keeps_the_configured_addresses(self):
        proxy = self.own_proxy()
        record = proxy.wait_record("iron-proxy starting")
        self.assertEqual(["time", "level", "msg", "dns_listen", "http_listen", "https_listen", "metrics_listen", "tunnel_listen"], list(record))
        self.assertEqual("127.0.0.1:0", record["http_listen"])
        self.assertEqual("allowlist → secrets", proxy.wait_record("transform pipeline")["transforms"])


if __name__ == "__main__":
    main()
