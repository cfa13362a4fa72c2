"""Few descriptors, little memory: what fits is served, nothing spins or floods the log, and all is well again afterwards."""
import os
import resource
import select
import signal
import threading
import time
import unittest

from faultcase import DEADLINE, KEY, TOKEN, Stopwatch, WireTest, allowlist, answer, main, processor_seconds, records_after, secret, secrets, usage, wait_until
from harness.peer import Closed, connect

WINDOW = 1.5  # seconds over which idleness is observed


def collect(peers, seconds):
    """Reads until every peer has something or that time has passed; returns those that were answered or ended."""
    waiting = {peer.sock.fileno(): peer for peer in peers}
    poll = select.poll()
    for number in waiting:
        poll.register(number, select.POLLIN)
    answered, clock = [], Stopwatch()
    while waiting:
        left = seconds - (time.monotonic() - clock.started)
        events = poll.poll(max(0, left * 1000)) if left > 0 else []
        if not events:
            break
        for number, _ in events:
            poll.unregister(number)
            answered.append(waiting.pop(number))
    return answered


class Descriptors(WireTest):
    starts_proxy = False

    def saturate(self, proxy, count):
        """So many clients with a request each that stay."""
        peers = []
        for number in range(count):
            peer = self.track(connect(proxy.http))
            peer.send_request("GET", f"/{number}", self.upstream.host())
            peers.append(peer)
        return peers

    def serves_what_fits(self, limit):
        proxy = self.own_proxy(command_prefix=("prlimit", f"--nofile={limit}:{limit}"))
        self.assertEqual(200, self.plain(proxy).request("GET", "/first", self.upstream.host()).status)
        resting = usage(proxy.pid)[1]
        self.assertLess(resting, limit)
        peers = self.saturate(proxy, limit + 60)
        answered = collect(peers, 3 * DEADLINE / 15)
        good = [peer for peer in answered if self.status(peer) == 200]
        self.assertGreater(len(good), (limit - resting) // 4, f"{resting} descriptors at rest")
        # All descriptors are taken and more clients wait: nothing may spin or write.
        before, mark = processor_seconds(proxy.pid), proxy.mark()
        threading.Event().wait(WINDOW)
        self.assertLess(processor_seconds(proxy.pid) - before, WINDOW / 3, "busy although nothing can be done")
        lines = proxy.mark() - mark - len(records_after(proxy, mark))
        self.assertLess(lines / WINDOW, 10, proxy.text()[-2000:])
        for peer in peers:
            peer.close()
        # Those who still waited are taken now, and their dials need descriptors first.
        clock = Stopwatch()
        wait_until(lambda: self.is_served(proxy), "service as before")
        clock.check(self, 2)
        wait_until(lambda: usage(proxy.pid)[1] <= resting + 64, "descriptors to be given back")

    def is_served(self, proxy):
        """By a connection that does not stay, for descriptors are counted."""
        peer = self.plain(proxy)
        try:
            return peer.request("GET", "/after", self.upstream.host()).status == 200
        finally:
            peer.close()

    def test_waiting_clients_are_served_as_others_leave(self):
        proxy = self.own_proxy(command_prefix=("prlimit", "--nofile=64:64"))
        waiting = self.saturate(proxy, 120)
        while waiting:
            answered = collect(waiting, 0.3) or collect(waiting[:1], DEADLINE)
            self.assertTrue(answered, f"{len(waiting)} clients wait for nothing")
            for peer in answered:
                peer.close()
            waiting = [peer for peer in waiting if peer not in answered]

    @staticmethod
    def status(peer):
        try:
            return peer.read_response().status
        except (Closed, OSError):
            return None

    def test_64(self):
        self.serves_what_fits(64)

    def test_100(self):
        self.serves_what_fits(100)

    def test_256(self):
        self.serves_what_fits(256)

    def test_silent_clients_do_not_keep_others_out_for_ever(self):
        """The first byte has a deadline: descriptors that silent clients took come back."""
        proxy = self.own_proxy({"proxy": {"limits": {"first_byte_timeout": "1s"}}}, command_prefix=("prlimit", "--nofile=64:64"))
        silent = [self.track(connect(proxy.http)) for _ in range(100)]
        self.assertEqual(200, self.plain(proxy).request("GET", "/", self.upstream.host()).status)
        self.assertEqual(b"", silent[0].read_to_end())

    def test_pages_without_descriptors(self):
        """Who asks for metrics when no descriptor is left waits, and the proxy does so, too."""
        proxy = self.own_proxy(command_prefix=("prlimit", "--nofile=64:64"))
        peers = [self.track(connect(proxy.metrics)) for _ in range(64)]
        wait_until(lambda: usage(proxy.pid)[1] == 64, "all descriptors to be in use")
        before = processor_seconds(proxy.pid)
        threading.Event().wait(WINDOW)
        self.assertLess(processor_seconds(proxy.pid) - before, WINDOW / 3, "busy although nothing can be done")
        last = peers.pop()
        for peer in peers:
            peer.close()
        last.send_request("GET", "/healthz", "proxy")
        self.assertEqual(200, last.read_response().status)

    def test_reload_without_descriptors(self):
        """A reload that cannot open its files is refused like a broken file; what runs goes on."""
        proxy = self.own_proxy(command_prefix=("prlimit", "--nofile=64:64"))
        peers = self.saturate(proxy, 120)
        answered = collect(peers, 1)
        good = [peer for peer in answered if self.status(peer) == 200]
        mark = proxy.mark()
        proxy.send_signal(signal.SIGHUP)
        wait_until(lambda: any("reload" in record.get("msg", "") for record in proxy.records()[mark:]), "the reload's record")
        self.assertTrue(proxy.alive())
        self.assertEqual(200, good[0].request("GET", "/kept", self.upstream.host()).status)


@unittest.skipIf(os.environ.get("IRON_SANITIZE"), "sanitizers need address space of their own")
class Memory(WireTest):
    """An address space of 1.2 times what the process had when it served: it refuses, but never corrupts and never ends."""

    starts_proxy = False
    transforms = [allowlist("*.test"), secrets(secret(match_body=True))]
    config = {"proxy": {"max_request_body_bytes": 8 << 20}}

    def limited(self):
        proxy = self.own_proxy()
        for number in range(4):
            self.assertEqual(200, self.plain(proxy).request("POST", f"/warm{number}", self.upstream.host(), body=b"x" * 100000).status)
            self.assertEqual(200, self.tls_tunnel(self.tls_upstream.host(), proxy=proxy).request("GET", "/warm", self.tls_upstream.host()).status)
        with open(f"/proc/{proxy.pid}/statm", encoding="ascii") as statm:
            size = int(statm.read().split()[0]) * resource.getpagesize()
        limit = int(size * 1.2)
        resource.prlimit(proxy.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        return proxy

    def test_bodies(self):
        proxy = self.limited()
        outcomes, body = [], (TOKEN.encode() + b"y" * 1000) * 7000
        wanted = body.replace(TOKEN.encode(), KEY.encode())

        def client(number):
            peer = connect(proxy.http)
            try:
                outcomes.append(peer.request("POST", f"/big{number}", self.upstream.host(), body=body).status)
            except (OSError, Closed, AssertionError) as error:
                outcomes.append(repr(error)[:60])
            finally:
                peer.close()
        threads = [threading.Thread(target=client, args=(number,)) for number in range(60)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(4 * DEADLINE)
        self.assertTrue(proxy.alive(), f"{proxy.process.returncode}: {proxy.text()[-2000:]}")
        for outcome in outcomes:
            self.assertTrue(isinstance(outcome, str) or outcome in (200, 502, 503), outcomes)
        for request in self.upstream.requests:
            if request.target.startswith("/big"):
                self.assertEqual(wanted, request.body, "a body was changed")
        self.assertEqual(200, self.plain(proxy).request("GET", "/after", self.upstream.host()).status)

    def test_connections(self):
        proxy = self.limited()
        self.upstream.routes["/large"] = answer(b"z" * (1 << 20))
        peers = []
        for number in range(1500):
            try:
                peers.append(self.track(connect(proxy.http)))
                peers[-1].send_request("GET", "/large" if number % 3 else "/small", self.upstream.host())
            except OSError:
                break
        self.assertTrue(proxy.alive(), f"{proxy.process.returncode}: {proxy.text()[-2000:]}")
        for peer in peers:
            peer.close()
        wait_until(lambda: usage(proxy.pid)[1] < 200, "connections to end")
        self.assertEqual(200, self.plain(proxy).request("GET", "/after", self.upstream.host()).status)


if __name__ == "__main__":
    main()
