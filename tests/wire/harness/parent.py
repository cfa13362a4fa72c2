"""A parent proxy: HTTP (plain or TLS) or SOCKS5, with or without a login. It takes every name for 127.0.0.1 and remembers what it was asked."""
import socket
import threading

from harness.peer import Closed, Peer
from harness.upstream import Request
from harness.waiting import DEADLINE


class Parent:
    """`seen` holds heads (Request) of an HTTP parent, or (greeting, login, type, host, port) of a SOCKS parent.

    `answers`, if set, is sent instead of doing what is asked: after a head; or, of SOCKS, as the list of what is sent at each turn.
    `addresses`: of a host, where the parent connects to instead of 127.0.0.1.
    """

    def __init__(self, kind="http", context=None, address="127.0.0.1"):
        self.kind, self.context = kind, context
        self.seen, self.connections, self.open = [], 0, []
        self.answers, self.addresses = None, {}
        self.listener = socket.create_server((address, 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self):
        return "%s:%d" % self.listener.getsockname()

    def url(self, login="", scheme=None):
        return f"{scheme or self.kind}://{login + '@' if login else ''}{self.address}"

    def forget(self):
        self.seen, self.connections, self.answers, self.addresses = [], 0, None, {}

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for peer in self.open:
            peer.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        self.connections += 1
        try:
            sock.settimeout(DEADLINE)
            if self.context:
                sock = self.context.wrap_socket(sock, server_side=True, suppress_ragged_eofs=False)
            peer = Peer(sock)
            sock.settimeout(None)
            self.open.append(peer)
            if self.kind.startswith("socks"):
                self._socks(peer)
            else:
                while self._http(peer):
                    pass
        except (OSError, Closed, AssertionError, ValueError):
            pass
        finally:
            sock.close()

    def _connect(self, host, port):
        return Peer(socket.create_connection((self.addresses.get(host, "127.0.0.1"), port), DEADLINE))

    # -- HTTP

    def _http(self, peer):
        request = Request(peer.read_until(b"\r\n\r\n"), None)
        body = peer.read_exact(int(request.get("Content-Length", "0")))
        self.seen.append(request)
        if self.answers is not None:
            peer.send(self.answers)
            return False
        if request.method == "CONNECT":
            host, port = request.target.rsplit(":", 1)
            far = self._connect(host, int(port))
            peer.send(b"HTTP/1.1 200 Connection established\r\nVia: parent\r\n\r\n")
            self._pump(peer, far)
            return False
        assert request.target.startswith("http://"), request.target
        host, _, path = request.target[7:].partition("/")
        name, _, port = host.partition(":")
        far = self._connect(name, int(port or 80))
        fields = [field for field in request.fields if field[0] != "Proxy-Authorization"]
        lines = [f"{request.method} /{path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
        far.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        response = far.read_response(request.method)
        peer.send(response.raw + response.body)
        far.close()
        return True

    # -- SOCKS5

    def _socks(self, peer):
        turns = iter(self.answers or [])
        greeting = peer.read_exact(2)
        greeting += peer.read_exact(greeting[1])
        login = None
        method = next(turns, b"\5\2" if b"\2" in greeting[2:] else b"\5\0")
        peer.send(method)
        if method == b"\5\2":
            login = peer.read_exact(2)
            login += peer.read_exact(login[1])
            login += peer.read_exact(1)
            login += peer.read_exact(login[-1])
            peer.send(next(turns, b"\1\0"))
        head = peer.read_exact(4)
        size = {1: 4, 4: 16}.get(head[3]) or peer.read_exact(1)[0]
        raw = peer.read_exact(size)
        host = raw.decode() if head[3] == 3 else socket.inet_ntop({1: socket.AF_INET, 4: socket.AF_INET6}[head[3]], raw)
        port = int.from_bytes(peer.read_exact(2), "big")
        self.seen.append((greeting, login, head[3], host, port))
        reply = next(turns, None)
        if reply is not None:
            peer.send(reply)
            return
        far = self._connect(host, port)
        peer.send(b"\5\0\0\1\0\0\0\0\0\0")
        self._pump(peer, far)

    # -- what follows

    def _pump(self, near, far):
        self.open.append(far)
        far.sock.settimeout(None)
        back = threading.Thread(target=self._copy, args=(far, near), daemon=True)
        back.start()
        self._copy(near, far)
        back.join(DEADLINE)

    @staticmethod
    def _copy(source, sink):
        try:
            data = source.buffer
            source.buffer = b""
            while True:
                if data:
                    sink.sock.sendall(data)
                data = source.sock.recv(65536)
                if not data:
                    break
        except OSError:
            pass
        try:
            sink.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
