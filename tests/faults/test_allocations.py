"""A steady request allocates nothing, from its head to its record: counted in the program itself, by what is preloaded into it.

OpenSSL 3.0 makes two small blocks for each record that it reads or writes, whoever uses it: under TLS they are what is left."""
from faultcase import KEY, TOKEN, allowlist, main, secret, secrets
from harness.upstream import answer
from preloaded import PreloadedTest

REQUESTS = 400
# What happens once a second or once in a while, whatever the requests: timers, a look at the files.
HOUSEKEEPING = 40


class Allocations(PreloadedTest):
    transforms = [allowlist("*.test"), secrets(secret(require=True))]

    def setUp(self):
        super().setUp()
        self.counted = self.own_proxy(env=self.preload())

    def made_by(self, request):
        """Allocations of REQUESTS requests behind some that warm everything up."""
        for _ in range(50):
            request()
        self.calls.arm("memory", 1 << 60)  # counts, and fails none
        for _ in range(REQUESTS):
            request()
        made = self.calls.count("memory")
        self.calls.disarm("memory")
        return made

    def ways(self):
        yield "plain", self.plain(self.counted), self.upstream
        yield "TLS in a tunnel", self.tls_tunnel(self.tls_upstream.host(), proxy=self.counted), self.tls_upstream

    def requests_over(self, peer, origin):
        host, authorization = origin.host(), ("Authorization", f"Bearer {TOKEN}")

        def get():
            self.assertEqual(200, peer.request("GET", "/v1/models", host, [authorization]).status)

        def get_in_chunks():
            self.assertEqual(b"onetwo", peer.request("GET", "/chunks", host, [authorization]).body)

        def post():
            self.assertEqual(200, peer.request("POST", "/v1/chat", host, [authorization], b'{"stream":false}').status)

        return get, get_in_chunks, post

    def test_none(self):
        for origin in (self.upstream, self.tls_upstream):
            origin.default = answer(b'{"object":"list"}', fields=[("Content-Type", "application/json")])
            origin.routes["/chunks"] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
        of_openssl = {"plain": {}, "TLS in a tunnel": {"get": 8, "get_in_chunks": 8, "post": 11}}
        for name, peer, origin in self.ways():
            for request in self.requests_over(peer, origin):
                with self.subTest(name, request=request.__name__):
                    made = self.made_by(request)
                    print(f"{name}, {request.__name__}: {made} allocations in {REQUESTS} requests", flush=True)
                    self.assertLess(made, HOUSEKEEPING + REQUESTS * of_openssl[name].get(request.__name__, 0))
            self.assertEqual(f"Bearer {KEY}", origin.requests[-1].get("Authorization"))


if __name__ == "__main__":
    main()
