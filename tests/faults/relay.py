"""A relay on loopback between two parties of a test: cuts after so many bytes, one byte per segment, smallest buffers."""
import socket
import struct
import threading

from faultcase import DEADLINE


class Relay:
    """Listens on a free port and connects each client to `target` (host, port).

    `limit_back`, `limit_out`: bytes passed on towards the client or the target before both ends are ended as `how` says
    (`fin` or `rst`); None is no limit. `piece`: bytes per write. `small_buffers`: the smallest socket buffers there are.
    """

    def __init__(self, target, limit_back=None, limit_out=None, how="fin", piece=65536, small_buffers=False):
        self.target, self.how, self.piece, self.small_buffers = target, how, piece, small_buffers
        self.limit_back, self.limit_out = limit_back, limit_out
        self.passed_back = self.passed_out = 0  # of all connections
        self.listener = socket.socket()
        self._shrink(self.listener)  # accepted sockets inherit it
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.address = self.listener.getsockname()
        self.port = self.address[1]
        self.open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()
        for sock in self.open:
            sock.close()

    def _shrink(self, sock):
        if self.small_buffers:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket()
            self._shrink(server)
            try:
                server.connect(self.target)
            except OSError:
                client.close()
                continue
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.open += [client, server]
            ended = threading.Event()
            threading.Thread(target=self._pump, args=(client, server, "out", ended), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, "back", ended), daemon=True).start()

    def _pump(self, source, sink, way, ended):
        limit = self.limit_back if way == "back" else self.limit_out
        left = float("inf") if limit is None else limit
        try:
            while left > 0 and (data := source.recv(65536)):
                data = data[:int(min(left, len(data)))]
                left -= len(data)
                setattr(self, "passed_" + way, getattr(self, "passed_" + way) + len(data))
                for at in range(0, len(data), self.piece):
                    sink.sendall(data[at:at + self.piece])
            if left > 0 and not ended.is_set():
                sink.shutdown(socket.SHUT_WR)
                return
        except OSError:
            pass
        ended.set()
        for sock in (sink, source):
            self._end(sock)

    def _end(self, sock):
        try:
            if self.how == "rst":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.shutdown(socket.SHUT_RD)  # says nothing to the peer, wakes the thread of the other direction
            else:
                sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the other direction was here first
        sock.close()


def relay_for(test, *arguments, **options):
    relay = Relay(*arguments, **options)
    test.addCleanup(relay.close)
    return relay


__all__ = ["DEADLINE", "Relay", "relay_for"]
