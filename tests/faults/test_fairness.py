"""Transfers between two fast peers leave the others of their worker their turn."""
import os
import subprocess
import sys
import time
import unittest

from faultcase import SLOWNESS, WireTest, allowlist, main
from harness.peer import connect
from harness.waiting import wait_until

PEERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bulk_peers.py")
TRANSFERS = 4
EACH_SECOND = 200
SECONDS = float(os.environ.get("IRON_TEST_SECONDS", "4"))


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


@unittest.skipIf(len(os.sched_getaffinity(0)) < 2, "needs a processor for the peers beside that of the proxy")
class Fairness(WireTest):
    starts_proxy = False
    transforms = [allowlist("*.test")]

    def peers(self, *arguments):
        """A process on the other processor."""
        process = subprocess.Popen(["taskset", "-c", str(max(os.sched_getaffinity(0))), sys.executable, "-B", PEERS, *arguments],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

        def end():
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
        self.addCleanup(end)
        return process

    def delays(self, proxy):
        """Of small requests at a steady rate, in seconds, each from when it was due."""
        peer, host, taken = connect(proxy.http), self.upstream.host(), []
        for number in range(20):
            peer.request("GET", "/small", host)
        begin = time.monotonic()
        for number in range(int(SECONDS * EACH_SECOND)):
            due = begin + number / EACH_SECOND
            time.sleep(max(0.0, due - time.monotonic()))
            sent = time.monotonic()
            self.assertEqual(200, peer.request("GET", "/small", host).status)
            taken.append(time.monotonic() - sent)
        peer.close()
        return taken

    def test_small_requests_beside_bulk_transfers(self):
        proxy = self.own_proxy(command_prefix=("taskset", "-c", str(min(os.sched_getaffinity(0)))))
        quiet = percentile(self.delays(proxy), 0.99)
        origin = self.peers("origin")
        clients = self.peers("clients", *map(str, proxy.http), f"up.test:{int(origin.stdout.readline())}", str(TRANSFERS))

        def taken():
            clients.stdin.write("\n")
            clients.stdin.flush()
            return int(clients.stdout.readline())

        wait_until(lambda: taken() > 64 << 20, "the transfers under way")
        before, begin = taken(), time.monotonic()
        busy = self.delays(proxy)
        rate = (taken() - before) / (time.monotonic() - begin) / 1e6
        p99 = percentile(busy, 0.99)
        print(f"small requests beside {TRANSFERS} transfers of {rate:.0f} MB/s in all: p50 {1000 * percentile(busy, .5):.2f} ms, "
              f"p99 {1000 * p99:.2f} ms, without them {1000 * quiet:.2f} ms", flush=True)
        self.assertGreater(rate, 100, "nothing was transferred to speak of")
        self.assertLess(p99, max(0.015, 4 * quiet) * SLOWNESS)  # on an idle machine 3 ms; a second where turns are not given away


if __name__ == "__main__":
    main()
