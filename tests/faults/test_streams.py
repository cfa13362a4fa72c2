"""Generated request streams against the whole program: never more requests upstream than a strict reader finds, never a key at another host, one record each.

IRON_TEST_STREAMS is the number of streams, IRON_TEST_SEED where they begin; a failure names its seed, which alone repeats it.
"""
import itertools
import os
import random
import re
import socket
import threading

from faultcase import KEY, SLOWNESS, TOKEN, WireTest, allowlist, main, secret, secrets, wait_until
from request_stream import Malformed, Request, make_stream, may_be_forwarded, pieces, requests_of

COUNT = int(os.environ.get("IRON_TEST_STREAMS", "3000"))
SEED = int(os.environ.get("IRON_TEST_SEED", "1"))
BASES = {"up.test": "/v1", "b.test": "/v1"}
THREADS = 4


class Case:
    """One stream from an address of its own, so that records tell whose they are."""

    def __init__(self, seed, port):
        self.random = random.Random(seed)
        self.seed = seed
        self.stream = make_stream(self.random, seed, port, TOKEN)
        self.address = "127.%d.%d.%d" % (1 + seed // 62500 % 250, 1 + seed // 250 % 250, 1 + seed % 250)
        self.requests, self.whole = requests_of(self.stream)
        self.allowed = [request for request in self.requests if may_be_forwarded(request, port, BASES)]
        self.received = b""

    def run(self, proxy):
        with socket.socket() as sock:
            sock.bind((self.address, 0))
            sock.settimeout(20 * SLOWNESS)
            sock.connect(proxy.http)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                for piece in pieces(self.random, self.stream):
                    sock.sendall(piece)
                self.await_answers(sock)
                sock.shutdown(socket.SHUT_WR)  # behind it only the answer on its way would come
                while data := sock.recv(65536):
                    self.received += data
            except (ConnectionError, OSError) as error:
                if isinstance(error, TimeoutError):
                    raise
        return self

    def await_answers(self, sock):
        """To all of a clear stream; else for a moment, sometimes."""
        if not self.whole and self.random.random() < 0.5:
            return
        wanted = len(self.requests) if self.whole else len(self.requests) + 1
        limit = sock.gettimeout()
        sock.settimeout(limit if self.whole else 0.02)
        try:
            while len(self.answers()) < wanted and (data := sock.recv(65536)):
                self.received += data
        except TimeoutError:
            if self.whole:
                raise
        sock.settimeout(limit)

    def must_arrive(self):
        """A refusal may end the connection."""
        return itertools.takewhile(lambda request: request in self.allowed, self.requests) if self.whole else []

    def answers(self):
        """Statuses of the final answers; no body here looks like one."""
        statuses = map(int, re.findall(rb"HTTP/1\.[01] (\d{3}) ", self.received))
        return [status for status in statuses if status >= 200]


class Streams(WireTest):
    transforms = [
        {"name": "allowlist", "config": {"rules": [{"host": name, "paths": [f"{base}/*"]} for name, base in BASES.items()]}},
        secrets(secret(host="up.test"))]

    def test_what_reaches_the_origin(self):
        cases, failed = {}, []
        numbers = iter(range(SEED, SEED + COUNT))
        lock = threading.Lock()

        def work():
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None or failed:
                    return
                case = Case(number, self.upstream.port)
                try:
                    case.run(self.proxy)
                except Exception as error:  # told by the main thread
                    failed.append(f"seed {number}: {error!r}\n{case.stream!r}\n{case.received!r}")
                with lock:
                    cases[case.address] = case
        threads = [threading.Thread(target=work) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([], failed)
        self.judge(cases)

    def judge(self, cases):
        arrived = {}
        for request in list(self.upstream.requests):
            self.judge_head(request)
            arrived.setdefault((request.get("Host").lower().replace(".:", ":"), request.target), []).append(request)
        sent = {}
        for case in cases.values():
            for request in case.allowed:
                sent.setdefault(self.place_of(request), []).append((case, request))
        for place, requests in arrived.items():
            self.assertTrue(place in sent, f"{place}: no stream asks for it clearly")
            self.assertLessEqual(len(requests), len(sent[place]), f"{place}: more often than asked for")
            bodies = [request.body for _, request in sent[place]]
            for request in requests:
                self.assertIn(request.body, bodies, f"{place}: another body")
        must = [(case, request) for case in cases.values() for request in case.must_arrive()]
        for case, request in must:
            self.assertTrue(self.place_of(request) in arrived, f"seed {case.seed}: a clear request did not arrive: {case.stream!r}\n{case.received!r}")
        self.judge_records(cases)
        print(f"{len(cases)} streams, {sum(len(case.requests) for case in cases.values())} clear requests, {len(must)} that must arrive, "
              f"{sum(map(len, arrived.values()))} upstream")

    def judge_head(self, request):
        """What the proxy wrote is one request for a strict reader too, and has the key for its host alone."""
        raw = request.raw
        chunked = request.get("Transfer-Encoding") is not None
        data = raw + (b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in request.chunks) + b"0\r\n\r\n" if chunked else request.body)
        try:
            again = Request(data, 0)
        except Malformed as error:
            self.fail(f"the proxy wrote {raw!r}: {error!r}")
        self.assertEqual((request.body, len(data)), (again.body, again.end))
        if KEY.encode() in raw + request.body:
            self.assertTrue(request.get("Host").lower().startswith("up.test"), f"the key is at another host: {raw!r}")
        self.assertNotIn(TOKEN.encode(), b"".join(line for line in raw.split(b"\r\n") if line.startswith(b"Authorization") and b"Host: up" in raw))

    @staticmethod
    def place_of(request):
        host, port, target = request.place()
        return f"{host}:{port}", target

    def judge_records(self, cases):
        def counted():
            counts = {}
            for record in self.proxy.records("request"):
                address = record["audit"]["remote_addr"].rpartition(":")[0]
                counts[address] = counts.get(address, 0) + 1
            return counts
        short = lambda: [case for case in cases.values() if counts.get(case.address, 0) < len(case.answers())]
        counts = counted()

        def enough():
            nonlocal counts
            counts = counted()
            return not short()
        try:
            wait_until(enough, "a record for each answer", 5 * SLOWNESS)
        except AssertionError:
            case = short()[0]
            self.fail(f"seed {case.seed}: {counts.get(case.address, 0)} records, answers {case.answers()}: {case.stream!r}")
        for case in cases.values():
            count, answers = counts.get(case.address, 0), case.answers()
            self.assertLessEqual(count, len(case.requests) + 1, f"seed {case.seed}: more records than requests: {answers} {case.stream!r}")
            self.assertNotIn(KEY.encode(), case.received)
            # Bytes behind a request that closes reset the connection, and an answer may be lost with it.
            if case.whole and case.allowed == case.requests and case.requests[-1:] and case.requests[-1].end == len(case.stream):
                self.assertEqual(len(case.requests), len(answers), f"seed {case.seed}: {case.stream!r}\n{case.received!r}")


if __name__ == "__main__":
    main()
