"""Many requests while every token ends at once: one call for each, no request fails; and what a token that is there costs."""
import json
import threading
import time

from faultcase import SLOWNESS, WireTest, main
from harness.case import KEY, TOKEN, allowlist, secret, secrets
from harness.upstream import Upstream, answer
from harness.waiting import processor_seconds, wait_until

TOKENS, CLIENTS = 40, 16


class Tokens(WireTest):
    starts_proxy = False
    gives_keys = True
    environment = {"ID": "the-client", "SECRET": "the-secret-of-the-client"}

    def setUp(self):
        super().setUp()
        self.endpoint = Upstream()
        self.addCleanup(self.endpoint.close)
        self.minted = {}

    def mint(self, lifetime):
        lock = threading.Lock()

        def serve(connection, request):
            name = request.target.rsplit("/", 1)[1]
            with lock:
                self.minted[name] = self.minted.get(name, 0) + 1
                token = f"token-of-{name}-{self.minted[name]}"
            connection.send(answer(json.dumps({"access_token": token, "expires_in": lifetime}).encode()))
        return serve

    def oauth(self, count):
        return {"name": "oauth_token", "config": {"tokens": [
            {"grant": "client_credentials", "token_endpoint": f"http://127.0.0.1:{self.endpoint.port}/t/{number}", "client_id": {"type": "env", "var": "ID"},
             "client_secret": {"type": "env", "var": "SECRET"}, "rules": [{"host": f"t{number}.up.test"}]} for number in range(count)]}}

    def run_clients(self, proxy, requests):
        """Every client asks for every host in turn; the statuses, and how long each answer took."""
        results, failures = [], []

        def client(first):
            try:
                peer = self.plain(proxy)
                for number in range(requests):
                    host = self.upstream.host(f"t{(first + number) % TOKENS}.up.test")
                    began = time.monotonic()
                    status = peer.request("GET", "/", host).status
                    results.append((status, time.monotonic() - began))
            except Exception as failure:  # of a thread, which cannot fail the test itself
                failures.append(failure)
        threads = [threading.Thread(target=client, args=(number * TOKENS // CLIENTS,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([], failures)
        return results

    def test_every_token_ends_at_once(self):
        self.endpoint.default = self.mint(12)  # of use for two seconds
        proxy = self.own_proxy({"transforms": [allowlist("*"), self.oauth(TOKENS)]})
        first = self.run_clients(proxy, TOKENS)
        self.assertEqual({200}, {status for status, _ in first})
        self.assertEqual({1}, set(self.minted.values()))
        self.assertEqual(TOKENS, len(self.minted))
        ended = time.monotonic() + 2
        wait_until(lambda: time.monotonic() > ended, "the end of the tokens")
        second = self.run_clients(proxy, TOKENS)
        self.assertEqual({200}, {status for status, _ in second})
        self.assertEqual({2}, set(self.minted.values()))
        sent = {request.get("Authorization") for request in self.upstream.requests}
        self.assertEqual({f"Bearer token-of-{number}-{turn}" for number in range(TOKENS) for turn in (1, 2)}, sent)

    def test_what_a_token_costs_that_is_there(self):
        """Processor time of a kept connection's requests, beside those of a swapped secret, in turns."""
        self.endpoint.default = self.mint(3600)
        minted = self.own_proxy({"transforms": [allowlist("*"), self.oauth(1)]})
        swapped = self.own_proxy({"transforms": [allowlist("*"), secrets(secret(host="t0.up.test"))]})
        host = self.upstream.host("t0.up.test")
        peers = [(proxy, self.plain(proxy)) for proxy in (minted, swapped)]
        spent = {proxy.pid: 0.0 for proxy, _ in peers}
        for turn in range(6):
            for proxy, peer in peers:
                before = processor_seconds(proxy.pid)
                for _ in range(2000):
                    self.assertEqual(200, peer.request("GET", "/", host, [("Authorization", f"Bearer {TOKEN}")]).status)
                if turn > 0:
                    spent[proxy.pid] += processor_seconds(proxy.pid) - before
        ratio = spent[minted.pid] / spent[swapped.pid]
        print(json.dumps({"figure": "warm_token_beside_swap", "ratio": round(ratio, 3), "seconds": [round(value, 2) for value in spent.values()]}), flush=True)
        self.assertLess(ratio, 1.5 * SLOWNESS)
        self.assertEqual({f"Bearer {KEY}", "Bearer token-of-0-1"}, {request.get("Authorization") for request in self.upstream.requests})


if __name__ == "__main__":
    main()
