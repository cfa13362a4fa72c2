"""Each allocation and each socket call of a short exchange fails once: one connection may suffer, the process never, the next request works."""
import os
import threading

from faultcase import KEY, TOKEN, allowlist, main, secret, secrets, usage, wait_until
from harness.peer import Closed, connect
from preloaded import Calls, PreloadedTest

STEP = int(os.environ.get("IRON_FAILING_STEP", "3"))  # every third call; the nightly run takes each
FIRST = int(os.environ.get("IRON_FAILING_FIRST", "1"))
MOST = int(os.environ.get("IRON_FAILING_MOST", "1500"))  # calls of one exchange
PATIENCE = 12.0  # seconds for an exchange in which something failed: as long as a lookup may take, and a little
NONCE = "MDEyMzQ1Njc4OWFiY2RlZg=="


class FailingCalls(PreloadedTest):
    transforms = [allowlist("*.test"), secrets(secret(match_body=True))]
    config = {"proxy": {"limits": {"first_byte_timeout": "2s", "handshake_timeout": "2s", "request_head_timeout": "2s", "stall_timeout": "2s", "idle_timeout": "2s"},
                        "upstream_response_header_timeout": "2s"}}

    def setUp(self):
        super().setUp()
        self.upstream.routes["/ws"] = self.upgrade
        self.deaths = []
        self.number = 0

    @staticmethod
    def upgrade(connection, request):
        connection.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Accept: BACScCJPNqyz+UBoqMH89VmURoA=\r\n\r\n")
        connection.send(connection.read_exact(5))
        connection.read_to_end()
        return "end"

    def start(self):
        environment = self.preload()
        if os.environ.get("FAILING_CALLS_TRACE"):
            environment["FAILING_CALLS_TRACE"] = "1"
        proxy = self.start_proxy(env=environment, add_cleanup=lambda *_: None)
        self.addCleanup(proxy.cleanup)
        self.resting = usage(proxy.pid)[1]
        self.probe(proxy)
        return proxy

    def probe(self, proxy):
        """What must work whatever failed before."""
        peer = connect(proxy.http)
        try:
            response = peer.request("GET", "/probe", self.upstream.host(), [("Authorization", TOKEN)])
            self.assertEqual(200, response.status)
        finally:
            peer.close()
        self.assertEqual(KEY, self.upstream.requests[-1].get("Authorization"))
        self.upstream.requests.clear()
        self.tls_upstream.requests.clear()

    # -- exchanges; each leaves its sockets closed and may raise what a broken connection raises

    def plain(self, proxy):  # pylint: disable=arguments-differ
        return self.closing(connect(proxy.http), lambda peer: peer.request("GET", "/plain", self.upstream.host(), [("Authorization", TOKEN)]).status)

    def body(self, proxy):
        return self.closing(connect(proxy.http), lambda peer: peer.request("POST", "/body", self.upstream.host(), body=TOKEN.encode() * 200).status)

    def lookup(self, proxy):
        self.number += 1
        return self.closing(connect(proxy.http), lambda peer: peer.request("GET", "/lookup", self.upstream.host(f"n{self.number}.test")).status)

    def websocket(self, proxy):
        def run(peer):
            peer.send_request("GET", "/ws", self.upstream.host(), [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Key", NONCE), ("Sec-WebSocket-Version", "13")])
            status = peer.read_response_head().status
            return peer.send(b"hello").read_exact(5) and status
        return self.closing(connect(proxy.http), run)

    def inside(self, proxy, name):
        def run(peer):
            host = self.tls_upstream.host(name)
            peer.send(f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n")
            head = peer.read_until(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200 "):
                return int(head.split()[1])
            peer.start_tls(self.certificates.client_context(), name)
            peer.sock.settimeout(PATIENCE)
            return peer.request("GET", "/inside", host, [("Authorization", TOKEN)]).status
        return self.closing(connect(proxy.tunnel), run)

    def tunnel_known(self, proxy):
        return self.inside(proxy, "up.test")

    def tunnel_new(self, proxy):
        self.number += 1
        return self.inside(proxy, f"new{self.number}.up.test")

    def reload(self, proxy):
        mark = proxy.mark()
        proxy.send_signal(1)
        with proxy.changed:
            proxy.changed.wait_for(lambda: any("reload" in line for line in proxy.lines[mark:]) or proxy.closed, PATIENCE)
        return 200

    @staticmethod
    def closing(peer, run):
        peer.sock.settimeout(PATIENCE)
        try:
            return run(peer)
        finally:
            peer.close()

    # -- the run

    def every_call(self, kind, exchange):
        proxy = self.start()
        for _ in range(3):
            getattr(self, exchange)(proxy)  # warm
        silent, number = [], FIRST
        while number <= MOST:
            self.calls.arm(kind, number)
            try:
                status = getattr(self, exchange)(proxy)
                # Without a certificate for new names the origin is not trusted: 502 is the usual answer.
                outcome = status if status in (200, 101, 403, 502, 503) else f"status {status}"
            except (OSError, Closed) as error:
                outcome = repr(error)[:40]
            except AssertionError as error:  # no answer and no end in time
                outcome = "silence"
                silent.append((number, str(error)[:100]))
            reached = self.calls.disarm(kind)
            self.assertFalse(isinstance(outcome, str) and outcome.startswith("status"), f"{kind} {number}: {outcome}")
            if not proxy.alive() or not self.survives(proxy):
                self.deaths.append((kind, exchange, number, self.last_words(proxy)))
                proxy = self.start()
            elif not reached:
                break
            number += STEP
        self.assertEqual([], self.deaths[:20], f"{len(self.deaths)} of {number} failures of {kind} ended the process")
        self.assertEqual([], silent[:20], f"{len(silent)} of {number} failures of {kind} left a client without answer and end")
        self.assertNotIn(KEY, proxy.text())
        if (kind, exchange) == ("sockets", "websocket"):
            return  # an end that cannot be told leaves the other side its time
        self.reload(proxy)  # which closes kept connections
        wait_until(lambda: usage(proxy.pid)[1] <= self.resting, "descriptors to be given back")

    def survives(self, proxy):
        try:
            self.probe(proxy)
            return True
        except (OSError, Closed, AssertionError) as error:
            # A process that ends right now is a death, anything else a fault of its own.
            threading.Event().wait(0.2)
            if not proxy.alive():
                return False
            raise AssertionError(f"the next request does not work: {error!r}; the log ends with\n{proxy.text()[-1500:]}") from error

    @staticmethod
    def last_words(proxy):
        proxy.process.wait(5)
        return f"{proxy.process.returncode}: " + " | ".join(line for line in proxy.lines[-40:] if not line.startswith("{"))[-1500:]


for _kind in Calls.KINDS:
    for _exchange in ("plain", "body", "lookup", "websocket", "tunnel_known", "tunnel_new", "reload"):
        setattr(FailingCalls, f"test_{_kind}_{_exchange}", lambda self, kind=_kind, exchange=_exchange: self.every_call(kind, exchange))

if __name__ == "__main__":
    main()
