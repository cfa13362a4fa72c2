"""What a sandbox or an origin tries against the three rules: one parse, one target, keys only where they belong."""
import base64
import os
import re
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import unquote_plus

from harness import Upstream, WireTest, main, wait_until
from harness.case import KEY, TOKEN, allowlist, secret, secrets
from harness.peer import Closed
from harness.upstream import answer
from harness.waiting import SLOWNESS, processor_seconds

BEARER = [("Authorization", f"Bearer {TOKEN}")]


def injecting(host, **inject):
    return {"source": {"type": "env", "var": "WIRE_KEY"}, "inject": inject, "rules": [{"host": host}]}


class Confinement(WireTest):
    transforms = [
        allowlist("*.test"),
        secrets(secret(host="up.test"), injecting("b.test", header="X-Key"), injecting("api.test", query_param="key"))]

    def both_ways(self, name="up.test"):
        """A kept connection in clear text and one under TLS, each with the origin behind it."""
        yield self.plain(), self.upstream
        yield self.tls_tunnel(self.tls_upstream.host(name)), self.tls_upstream

    def test_hosts_that_read_differently_elsewhere(self):
        port, other = self.upstream.port, Upstream()
        self.addCleanup(other.close)
        evil = f"127.0.0.1:{other.port}"
        for host in (f"{evil}/.up.test", f"{evil}#.up.test", f"{evil}?.up.test", f"{evil}%2f.up.test", f"up.test@{evil}", f"x:y@{evil}", f"{evil}%00.up.test",
                     f"[::1]:{port}.up.test", f"{evil}:80:x.up.test", f"up.test:{port},{evil}", f"up.test {evil}", f"up.test\t{evil}", f"{evil}\\.up.test",
                     f"up\u3002test:{port}".encode().decode("latin-1"), f"up\u00ad.test:{port}".encode().decode("latin-1"), "up.test:0", "up.test:65536",
                     "up.test:+80", "up.test:80a", "[::1", "[1.2.3.4]", "[fe80::1%25lo]", "..", "*.test"):
            for where in ("Host", "absolute form", "CONNECT"):
                with self.subTest(host, where=where):
                    peer = self.plain()
                    if where == "Host":
                        peer.send_request("GET", "/", host, BEARER)
                    elif where == "absolute form":
                        peer.send_request("GET", f"http://{host}/", self.upstream.host(), BEARER)
                    else:
                        peer.send_request("CONNECT", host, host, BEARER)
                    # The part in front of a slash, a question mark or a number sign of an absolute form is a good host that no rule admits.
                    answered = peer.read_to_end() if where != "absolute form" else peer.read_until(b"\r\n\r\n")
                    self.assertIn(answered[:12], (b"HTTP/1.1 400", b"HTTP/1.1 403"))
        self.assertEqual([], other.connections)
        self.assert_no_contact()

    def test_the_target_wins_over_the_field(self):
        for target, field, status in (("up.test", "evil.example", 200), ("evil.example", "up.test", 403)):
            peer = self.plain()
            self.assertEqual(status, peer.request("GET", f"http://{self.upstream.host(target)}/absolute", self.upstream.host(field), BEARER).status)
        self.assertEqual([self.upstream.host()], [request.get("Host") for request in self.upstream.requests])

    def test_each_request_of_a_connection_is_judged(self):
        peer = self.plain()
        self.assertEqual(200, peer.request("GET", "/first", self.upstream.host(), BEARER).status)
        self.assertEqual(403, peer.request("GET", "/second", "evil.example", BEARER).status)
        self.assertEqual(200, peer.request("GET", "/third", self.upstream.host("other.test"), BEARER).status)
        seen = {request.target: request.get("Authorization") for request in self.upstream.requests}
        self.assertEqual({"/first": f"Bearer {KEY}", "/third": f"Bearer {TOKEN}"}, seen)
        tunnel = self.tunnel(self.upstream.host())
        self.assertEqual(200, tunnel.request("GET", "/fourth", self.upstream.host()).status)
        self.assertEqual(403, tunnel.request("GET", "/fifth", "evil.example").status)
        self.assertNotIn("/fifth", self.upstream.targets())

    def test_an_injected_field_can_not_be_shed_or_doubled(self):
        for peer, upstream in self.both_ways("b.test"):
            for connection in ("X-Key, keep-alive", "keep-alive"):
                fields = [("Connection", connection), ("X-Key", "mine"), ("x-key", "mine too"), ("X-KEY", "")]
                self.assertEqual(200, peer.request("GET", "/inject", upstream.host("b.test"), fields).status)
                self.assertEqual([KEY], [value for name, value in upstream.requests[-1].fields if name.lower() == "x-key"])

    def test_an_injected_parameter_has_one_value(self):
        for query in ("key=mine", "key=1&key=2", "k%65y=1", "a=1&k%65y=2&b=3", "key", "a;key=1", "key;b&c;k%65y=1;d", ""):
            with self.subTest(query):
                mark = len(self.upstream.requests)
                self.assertEqual(200, self.plain().request("GET", f"/q?{query}", self.upstream.host("api.test")).status)
                sent = re.split("[&;]", self.upstream.requests[mark].target.partition("?")[2])
                values = [pair.partition("=")[2] for pair in sent if unquote_plus(pair.partition("=")[0]) == "key"]
                self.assertEqual([KEY], values)

    def test_what_is_for_the_proxy_stays_here(self):
        for peer, upstream in self.both_ways():
            peer.send_request("POST", "/hop", upstream.host(), [
                ("Proxy-Authorization", f"Bearer {TOKEN}"), ("TE", TOKEN), ("Upgrade", TOKEN), ("Connection", "TE, Upgrade"),
                ("Keep-Alive", TOKEN), ("Trailer", "X-Late"), ("Transfer-Encoding", "chunked"), *BEARER],
                b"1\r\na\r\n0\r\nX-Late: " + TOKEN.encode() + b"\r\n\r\n")
            self.assertEqual(200, peer.read_response().status)
            request = upstream.wait_request("/hop")
            self.assertNotIn(TOKEN.encode(), request.raw + request.body + "".join(request.trailers).encode())
            self.assertEqual(f"Bearer {KEY}", request.get("Authorization"))
            self.assertEqual(1, (request.raw + request.body).count(KEY.encode()))

    def test_redirects_are_passed_on_not_followed(self):
        other = Upstream()
        self.addCleanup(other.close)
        for peer, upstream in self.both_ways():
            for status in ("301 Moved", "302 Found", "307 Temporary", "308 Permanent"):
                location = ("Location", f"http://{other.host('other.test')}/elsewhere")
                upstream.routes["/moved"] = answer(b"", status, [location])
                response = peer.request("GET", "/moved", upstream.host(), BEARER)
                self.assertEqual((int(status[:3]), location[1]), (response.status, response.get("Location")))
        self.assertEqual([], other.connections)

    def test_own_answers_tell_nothing_of_the_request(self):
        mark = "do-not-repeat-this"
        noisy = [("X-Mark", mark), ("User-Agent", mark), ("Cookie", mark), *BEARER]
        for target, host in ((f"/{mark}?{mark}", "evil.example"), (f"/{mark}/../x", self.upstream.host()), (f"/{mark}", "refused.test:1"),
                             (f"/%zz{mark}", self.upstream.host()), (f"/{mark}", f"{mark}:x")):
            with self.subTest(target, host=host):
                peer = self.plain()
                peer.send_request("GET", target, host, noisy)
                head = peer.read_until(b"\r\n\r\n")
                body = peer.read_exact(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0))
                self.assertIn(head[9:12], (b"400", b"403", b"502"))
                for text in (mark, TOKEN, KEY, host):
                    self.assertNotIn(text.encode(), head + body)

    def test_untrusted_origins_get_no_byte_of_a_request(self):
        fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
                  ("Sec-WebSocket-Key", base64.b64encode(os.urandom(16)).decode()), *BEARER]
        if not os.path.exists(self.certificates.path("expired.crt")):
            self.certificates.make_ca("stranger", "Somebody Else")
            self.certificates.sign("strange", "stranger", "subjectAltName=DNS:up.test\n")
            self.certificates.sign("expired", "origin", "subjectAltName=DNS:up.test\n", days=-1)
        for name in ("strange", "wrongname", "expired"):
            origin = Upstream(self.certificates.server_context(name))
            self.addCleanup(origin.close)
            for what in ([], fields):
                with self.subTest(name, websocket=bool(what)):
                    peer = self.tls_tunnel(origin.host())
                    self.assertEqual(502, peer.request("GET", "/untrusted", origin.host(), what or BEARER).status)
            self.assertEqual([], origin.requests)


class Buffered(WireTest):
    """Bodies that are read whole before the request goes on."""

    transforms = [allowlist("*.test"), secrets(secret(match_body=True))]

    def test_half_a_body_is_no_request(self):
        half = [("Content-Length", "100")], TOKEN.encode()
        broken = ("0x5\r\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n", "5\nhello\r\n0\r\n\r\n", "5\r\nhello0\r\n\r\n", "5\r\nhelloXX0\r\n\r\n",
                  "5;a\nb\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n0\r\nX\r\n\r\n", "5\r\nhello\r\n-1\r\n\r\n", "5\r\nhello\r\n")
        for fields, body in (half, *(([("Transfer-Encoding", "chunked")], text.encode()) for text in broken)):
            for end in ("half_close", "reset"):
                with self.subTest(body, end=end):
                    peer = self.plain()
                    peer.send_request("POST", "/body", self.upstream.host(), fields, body)
                    getattr(peer, end)()
                    if end == "half_close":
                        try:
                            self.assertNotIn(b"HTTP/1.1 200", peer.read_to_end())
                        except OSError:
                            pass
        self.assert_no_contact()


class Paths(WireTest):
    """A host that is admitted under one path only: nothing else of it is ever asked for."""

    transforms = [{"name": "allowlist", "config": {"rules": [{"host": "up.test", "paths": ["/v1/*"]}]}}]
    SMUGGLED = b"GET /admin/keys HTTP/1.1\r\nHost: up.test\r\n\r\n"

    def test_nothing_outside_is_asked_for(self):
        host = self.upstream.host()
        for target in ("/admin", "/v1/../admin", "/v1/%2e%2e/admin", "/v1/%252e%252e/admin", "/v1/..%2fadmin", "/v1/..%5cadmin", "/v1/..\\admin", "/v1%2f../admin",
                       "/V1/x", "//v1/x", "/v10", "/v1%2fx", f"http://{host}/admin", "*", "/v1/%00/../../admin", "/./admin", "/v1/.%2e/admin"):
            with self.subTest(target):
                peer = self.plain()
                peer.send_request("GET", target, host)
                self.assertIn(peer.read_until(b"\r\n")[9:12], (b"400", b"403"))
        self.assertEqual([], self.upstream.requests)

    def test_the_target_goes_as_it_came(self):
        for target in ("/v1/a%3Fb", "/v1/a%23b", "/v1/a%2Fb", "/v1/%41?x=%2e%2e", "/v1/a;b", "/v1/a//b", "/v1/%C3%A9"):
            with self.subTest(target):
                self.assertEqual(200, self.plain().request("GET", target, self.upstream.host()).status)
                self.assertEqual(target, self.upstream.requests[-1].target)

    def test_bodies_hide_no_request(self):
        inner, host = self.SMUGGLED, self.upstream.host().encode()
        size = b"%x\r\n" % len(inner)
        for body in (b"Content-Length: 0\r\n\r\n" + inner,
                     b"Content-Length: %d\r\n\r\n" % len(inner) + inner,
                     b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
                     b"Transfer-Encoding: chunked\r\n\r\n" + size + inner + b"\r\n0\r\n\r\n",
                     b"Transfer-Encoding: chunked\r\n\r\n1;a=\r\nx\r\n0\r\n\r\n" + inner,
                     b"Transfer-Encoding: chunked\r\n\r\n1;\n\r\nx\r\n0\r\n\r\n" + inner,
                     b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + inner,
                     b"Transfer-Encoding : chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + inner,
                     b"Transfer-Encoding:\x0bchunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + inner,
                     b"Content-Length: 4\r\nContent-Length: 0\r\n\r\n" + inner):
            with self.subTest(body[:60]):
                peer = self.plain()
                peer.send(b"POST /v1/x HTTP/1.1\r\nHost: " + host + b"\r\n" + body)
                peer.half_close()
                try:
                    peer.read_to_end()
                except (OSError, Closed):
                    pass
        self.assertEqual(200, self.plain().request("GET", "/v1/fence", self.upstream.host()).status)
        self.assertNotIn("/admin/keys", self.upstream.targets())


class Answers(WireTest):
    def test_interim_answers_are_bounded(self):
        for number, size, status in ((16, 10, 200), (17, 10, 502), (2, 40000, 502), (2, 30000, 200)):
            with self.subTest(number=number, size=size):
                interim = b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * size + b"\r\n\r\n"
                self.upstream.routes["/early"] = interim * number + answer()
                self.assertEqual(status, self.plain().request("GET", "/early", self.upstream.host()).status)


class ManyPairs(WireTest):
    transforms = [allowlist("*.test"), secrets(secret(match_query=True), {"source": {"type": "env", "var": "WIRE_KEY"}, "inject": {"query_param": "k"}, "rules": [{"host": "*.test"}]})]

    def test_many_pairs_of_a_query_cost_no_more_than_one_look_each(self):
        """Thirty thousand rewrites: found one by one they took a worker most of a second."""
        for pair in ("k", "a;k", TOKEN):
            before = processor_seconds(self.proxy.pid)
            response = self.plain().request("GET", "/pairs?" + (pair + "&") * (60000 // (len(pair) + 1)), self.upstream.host())
            self.assertEqual(200, response.status)
            self.assertLess(processor_seconds(self.proxy.pid) - before, 0.15 * SLOWNESS, pair)
            target = self.upstream.requests[-1].raw.split(b" ", 2)[1].decode()
            self.assertEqual(1, len(re.findall(r"[?&;]k(?=[=&;]|$)", target)))


class ManyTokens(WireTest):
    transforms = [allowlist("*.test"), secrets({"source": {"type": "env", "var": "WIRE_KEY"}, "replace": {"proxy_value": "tokentok", "match_body": True},
                                                "rules": [{"host": "*.test"}]})]

    def test_many_tokens_of_a_body_are_not_as_many_writes(self):
        """A TLS record for each of them took a worker half a second for a megabyte."""
        count = 1024 * 1024 // 8
        peer = self.tls_tunnel(self.tls_upstream.host())
        before = processor_seconds(self.proxy.pid)
        self.assertEqual(200, peer.request("POST", "/tokens", self.tls_upstream.host(), [], b"tokentok" * count).status)
        used = processor_seconds(self.proxy.pid) - before
        self.assertTrue(used < 0.1 or os.environ.get("IRON_SANITIZE"), f"{used} s")  # the thread sanitizer takes 5 s
        self.assertEqual(KEY.encode() * count, self.tls_upstream.requests[-1].body)


class Exhaustion(WireTest):
    def test_a_known_host_does_not_wait_for_new_names(self):
        known = self.tls_upstream.host()
        self.assertEqual(200, self.tls_tunnel(known).request("GET", "/", known).status)
        stop, made = threading.Event(), []

        def names(offset):
            number = offset
            while not stop.is_set() and len(made) < 2000:
                number += 4
                peer = self.tunnel(f"n{number}.many.test:443")
                try:
                    peer.start_tls(self.certificates.client_context(), f"n{number}.many.test")
                    made.append(number)
                finally:
                    peer.close()
        threads = [threading.Thread(target=names, args=(offset,)) for offset in range(4)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(made) > 20, "new names being minted")
        took = []
        for _ in range(20):
            began = time.monotonic()
            self.assertEqual(200, self.tls_tunnel(known).request("GET", "/", known).status)
            took.append(time.monotonic() - began)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertLess(sorted(took)[10], 0.5 * float(os.environ.get("IRON_TEST_SLOWNESS", "1")))


class Handshakes(WireTest):
    transforms = [allowlist("*.test"), secrets(secret(host="up.test"))]

    def client(self, *arguments, text):
        """OpenSSL's own client, fed with `text`; what it printed."""
        command = ["openssl", "s_client", "-connect", "%s:%d" % self.proxy.https, "-servername", "up.test", "-CAfile", self.certificates.path("mitm.crt"),
                   *arguments]
        done = subprocess.run(list(map(str, command)), input=text, capture_output=True, text=True, timeout=30 * SLOWNESS)
        return done.stdout + done.stderr

    def test_no_renegotiation(self):
        printed = self.client("-tls1_2", text="R\n")
        self.assertIn("Secure Renegotiation IS supported", printed)
        self.assertIn("RENEGOTIATING", printed)
        self.assertIn("no renegotiation", printed)
        self.assert_no_contact()

    def test_no_compression(self):
        self.assertIn("Compression: NONE", self.client("-tls1_2", "-comp", text="Q\n"))

    def test_no_early_data(self):
        """Early data could be sent again by anyone who saw it. The tickets allow none."""
        with tempfile.TemporaryDirectory() as folder:
            session, early = Path(folder) / "session", Path(folder) / "early"
            request = f"GET /early HTTP/1.1\r\nHost: {self.tls_upstream.host()}\r\nConnection: close\r\n\r\n"
            early.write_text(request)
            answer_to = self.client("-tls1_3", "-ign_eof", "-sess_out", session, text=request)
            self.assertIn("HTTP/1.1 200", answer_to)
            self.assertIn("Max Early Data: 0", answer_to)
            printed = self.client("-tls1_3", "-sess_in", session, "-early_data", early, text="Q\n")
        self.assertIn("Early data was not sent", printed)
        self.assertEqual(1, len(self.tls_upstream.requests))


if __name__ == "__main__":
    main()
