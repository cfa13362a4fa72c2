"""Steady traffic in the background of a fault: every answer is checked, what fails is kept."""
import threading
import time

from faultcase import DEADLINE
from harness.peer import Closed, connect


class Traffic:
    """`workers` threads with a kept-alive connection each, one request after the other until stop().

    `failures` holds what was no 200 with the right body; `longest` the slowest answer in seconds; `targets` what was asked.
    """

    def __init__(self, test, proxy, upstream, workers=8, fields=(), body=b"ok", over_tls=False, fresh=False):
        self.test, self.proxy, self.upstream, self.fields, self.body = test, proxy, upstream, list(fields), body
        self.over_tls, self.fresh = over_tls, fresh
        self.failures, self.targets, self.longest = [], [], 0.0
        self.ending = threading.Event()
        self.lock = threading.Condition()
        self.threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(workers)]
        for thread in self.threads:
            thread.start()

    def _open(self):
        host = self.upstream.host()
        if not self.over_tls:
            return connect(self.proxy.http)
        peer = connect(self.proxy.tunnel)
        peer.send(f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n").read_until(b"\r\n\r\n")
        return peer.start_tls(self.test.certificates.client_context(), "up.test")

    def _run(self, worker):
        peer, count = None, 0
        while not self.ending.is_set():
            target = f"/traffic/{worker}/{count}"
            count += 1
            began = time.monotonic()
            try:
                peer = peer or self._open()
                response = peer.request("GET", target, self.upstream.host(), self.fields)
                good = (response.status, response.body) == (200, self.body)
                failure = None if good else (target, response.line, response.body)
                if self.fresh:
                    peer.close()
                    peer = None
            except (OSError, Closed, AssertionError, ValueError) as error:
                failure, peer = (target, repr(error)), None
            with self.lock:
                self.targets.append(target)
                self.longest = max(self.longest, time.monotonic() - began)
                if failure:
                    self.failures.append(failure)
                self.lock.notify_all()
        if peer:
            peer.close()

    def wait(self, count):
        """Until so many more requests were answered."""
        with self.lock:
            wanted = len(self.targets) + count
            assert self.lock.wait_for(lambda: len(self.targets) >= wanted, 4 * DEADLINE), f"traffic stopped; failures: {self.failures[:3]}"

    def stop(self):
        """Ends the traffic; returns the number of requests. Call once the proxy can answer."""
        self.ending.set()
        for thread in self.threads:
            thread.join(2 * DEADLINE)
            assert not thread.is_alive(), "a request of the background traffic hangs"
        return len(self.targets)
