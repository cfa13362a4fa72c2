"""SIGTERM and SIGINT: finish what is in flight within the drain timeout, cut the rest, exit 0."""
import os
import signal
import tempfile
import threading

from harness import Stopwatch, WireTest, main
from harness.case import TOKEN
from harness.proxy import own_address
from harness.upstream import answer
from harness.waiting import DEADLINE


class Shutdown(WireTest):
    starts_proxy = False

    def held(self, upstream, target, first=b"", rest=None):
        """A route that sends `first`, waits for the gate, then sends the rest."""
        gate = threading.Event()

        def route(connection, request):
            connection.send(first)
            gate.wait(30)
            connection.send(answer() if rest is None else rest)
        upstream.routes[target] = route
        return gate

    def test_idle(self):
        for number, name in ((signal.SIGTERM, "terminated"), (signal.SIGINT, "interrupt")):
            proxy = self.own_proxy()
            idle = [self.plain(proxy), self.plain(proxy, "tunnel"), self.tls_tunnel(self.tls_upstream.host(), proxy=proxy)]
            idle[0].request("GET", "/", self.upstream.host())
            clock = Stopwatch()
            self.assertEqual(0, proxy.stop(number))
            clock.check(self, 2)
            for peer in idle:
                self.assertEqual(b"", peer.read_to_end())
            self.assertEqual(name, proxy.wait_record("received signal, shutting down")["signal"])
            self.assertEqual("iron-proxy stopped", proxy.records()[-1]["msg"])

    def test_requests_in_flight_are_finished(self):
        proxy = self.own_proxy({"proxy": {"drain_timeout": "20s"}})
        plain, inside = self.plain(proxy), self.tls_tunnel(self.tls_upstream.host(), proxy=proxy)
        gates = [self.held(self.upstream, "/held"), self.held(self.tls_upstream, "/held")]
        plain.send_request("GET", "/held", self.upstream.host())
        inside.send_request("GET", "/held", self.tls_upstream.host(), [("Authorization", TOKEN)])
        self.upstream.wait_request("/held")
        self.tls_upstream.wait_request("/held")
        late = self.plain(proxy)
        proxy.send_signal(signal.SIGTERM)
        proxy.wait_record("received signal, shutting down")
        for gate in gates:
            gate.set()
        for peer in (plain, inside):
            response = peer.read_response()
            self.assertEqual((200, b"ok", "close"), (response.status, response.body, response.get("Connection")))
            self.assertEqual(b"", peer.read_to_end())
        self.assertEqual(b"", late.read_to_end())
        self.assertEqual(0, proxy.wait())

    def test_uploads_between_fast_peers_are_cut(self):
        """They never have to wait for a peer, and must see the end all the same: each leaves its record."""
        count = 12
        proxy = self.own_proxy({"proxy": {"drain_timeout": "30s"}}, command_prefix=["taskset", "-c", "0"])

        def take(connection, _request):
            room = bytearray(1 << 20)
            while connection.sock.recv_into(room):
                pass

        take.raw_body = True
        self.upstream.routes["/take"] = take
        source = tempfile.TemporaryFile()
        self.addCleanup(source.close)
        source.truncate(1 << 24)

        def pour(peer):
            try:
                while os.sendfile(peer.sock.fileno(), source.fileno(), 0, 1 << 24):
                    pass
            except OSError:
                pass

        writers = []
        for _ in range(count):
            peer = self.plain(proxy)
            peer.send_request("POST", "/take", self.upstream.host(), [("Content-Length", str(1 << 40))])
            peer.sock.settimeout(None)
            writers.append(threading.Thread(target=pour, args=(peer,), daemon=True))
        for writer in writers:
            writer.start()
        self.upstream.wait_connections(count)
        for _ in range(2):
            proxy.send_signal(signal.SIGTERM)
            proxy.wait_record("received signal, shutting down")
        self.assertEqual(0, proxy.wait())
        for writer in writers:
            writer.join(DEADLINE)
        self.assertEqual(["client_cancel"] * count, [record["audit"]["action"] for record in proxy.records("request")])

    def test_half_a_request_is_not_waited_for(self):
        proxy = self.own_proxy({"proxy": {"drain_timeout": "30s"}})
        self.plain(proxy).send("GET / HTTP/1.1\r\nHost:")
        self.plain(proxy, "tunnel").send("CONN")
        self.tunnel(self.upstream.host(), proxy=proxy).send("GET /")
        clock = Stopwatch()
        self.assertEqual(0, proxy.stop())
        clock.check(self, 5)

    def test_a_stream_is_cut_at_the_deadline(self):
        stream = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.held(self.upstream, "/stream", stream, b"")
        proxy = self.own_proxy({"proxy": {"drain_timeout": "500ms"}})
        peer = self.plain(proxy)
        peer.send_request("GET", "/stream", self.upstream.host())
        peer.read_response_head()
        clock = Stopwatch()
        self.assertEqual(0, proxy.stop())
        clock.check(self, 5)
        self.assertNotIn(b"0\r\n\r\n", peer.read_to_end())
        record = proxy.wait_request(path="/stream")
        self.assertEqual(("allow", 200), (record["audit"]["action"], record["audit"]["status_code"]))

    def test_default_drain_is_below_the_clients_five_seconds(self):
        self.held(self.upstream, "/wait")
        proxy = self.own_proxy()
        peer = self.plain(proxy)
        peer.send_request("GET", "/wait", self.upstream.host())
        self.upstream.wait_request("/wait")
        clock = Stopwatch()
        self.assertEqual(0, proxy.stop())
        clock.check(self, 4.9, 3.5)
        self.assertEqual("client_cancel", proxy.wait_request(path="/wait")["audit"]["action"])

    def test_a_second_signal_ends_at_once(self):
        self.held(self.upstream, "/wait")
        proxy = self.own_proxy({"proxy": {"drain_timeout": "60s"}})
        self.plain(proxy).send_request("GET", "/wait", self.upstream.host())
        self.upstream.wait_request("/wait")
        proxy.send_signal(signal.SIGTERM)
        proxy.wait_record("received signal, shutting down")
        clock = Stopwatch()
        self.assertEqual(0, proxy.stop())
        clock.check(self, 3)
        self.assertEqual("iron-proxy stopped", proxy.records()[-1]["msg"])

    def test_zero_cuts_at_once(self):
        self.held(self.upstream, "/wait")
        proxy = self.own_proxy({"proxy": {"drain_timeout": 0}})
        peer = self.plain(proxy)
        peer.send_request("GET", "/wait", self.upstream.host())
        self.upstream.wait_request("/wait")
        clock = Stopwatch()
        self.assertEqual(0, proxy.stop())
        clock.check(self, 2)
        self.assertEqual(b"", peer.read_to_end())

    def test_metrics_answer_while_draining(self):
        gate = self.held(self.upstream, "/wait")
        proxy = self.own_proxy({"proxy": {"drain_timeout": "20s"}})
        metrics = self.plain(proxy, "metrics")
        self.assertEqual(200, metrics.request("GET", "/healthz", "x").status)
        peer = self.plain(proxy)
        peer.send_request("GET", "/wait", self.upstream.host())
        self.upstream.wait_request("/wait")
        proxy.send_signal(signal.SIGTERM)
        proxy.wait_record("received signal, shutting down")
        self.assertEqual(200, self.plain(proxy, "metrics").request("GET", "/healthz", "x").status)
        gate.set()
        self.assertEqual(200, peer.read_response().status)
        self.assertEqual(0, proxy.wait())

    def test_kill_leaves_nothing_in_the_way(self):
        over = {"proxy": {"http_listen": own_address()}}
        proxy = self.own_proxy(over)
        for _ in range(5):
            self.plain(proxy).request("GET", "/", self.upstream.host())
            proxy.process.kill()
            proxy.process.wait()
            proxy = self.own_proxy(over)


if __name__ == "__main__":
    main()
