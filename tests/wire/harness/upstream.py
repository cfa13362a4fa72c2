"""The origin: records every byte it gets, answers by script. Plain or TLS, on a free loopback port."""
import socket
import threading

from harness.peer import Closed, Head, Peer
from harness.waiting import DEADLINE


def answer(body=b"ok", status="200 OK", fields=(), length=True):
    """The bytes of an answer."""
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields)]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class Request(Head):
    """What arrived: the head as it was, the body decoded, the framing as it was."""

    def __init__(self, raw, connection):
        super().__init__(raw)
        self.connection = connection
        self.method, self.target, _ = self.line.split(" ", 2)
        self.body, self.chunks, self.trailers = b"", [], []


class Connection(Peer):
    """One accepted connection; `number` counts from 0."""

    def __init__(self, sock, number):
        super().__init__(sock)
        self.number = number
        self.ended = threading.Event()

    def read_request(self):
        return self.read_body(self.read_request_head())

    def read_request_head(self):
        return Request(self.read_until(b"\r\n\r\n"), self)

    def read_body(self, request):
        if (request.get("Transfer-Encoding") or "").lower() == "chunked":
            request.chunks, request.trailers = self.read_chunked()
            request.body = b"".join(request.chunks)
        else:
            request.body = self.read_exact(int(request.get("Content-Length", "0")))
        return request


class Upstream:
    """`routes` maps a target (without query) to bytes or to a function (connection, request); the rest gets `default`.

    A function that wants the head before the body sets `.raw_body = True` on itself and calls connection.read_body().
    `on_connection`, if set, takes whole connections instead.
    """

    def __init__(self, context=None, address="127.0.0.1", port=0, backlog=512, receive_buffer=None):
        self.context = context
        self.routes, self.default, self.on_connection = {}, answer(), None
        self.requests, self.connections = [], []
        self.changed = threading.Condition()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = socket.create_server((address, port), family=family, backlog=backlog)
        if receive_buffer:  # inherited by what is accepted
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def host(self, name="up.test"):
        return f"{name}:{self.port}"

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for connection in list(self.connections):
            connection.close()

    def forget(self):
        """Starts the next test with empty lists and no routes; open connections stay."""
        with self.changed:
            self.requests.clear()
            self.connections.clear()
        self.routes, self.default, self.on_connection = {}, answer(), None

    def wait_request(self, matches=lambda request: True, count=1):
        """The `count`th request for which `matches` holds; a string is a target."""
        test = (lambda request: request.target == matches) if isinstance(matches, str) else matches
        with self.changed:
            done = self.changed.wait_for(lambda: sum(map(test, self.requests)) >= count, DEADLINE)
            assert done, f"the upstream got only {[request.line for request in self.requests]}"
            return [request for request in self.requests if test(request)][count - 1]

    def wait_connections(self, count):
        with self.changed:
            done = self.changed.wait_for(lambda: len(self.connections) >= count, DEADLINE)
            assert done, f"the upstream saw {len(self.connections)} connections, not {count}"

    def targets(self):
        return [request.target for request in self.requests]

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.context:
            sock.settimeout(DEADLINE)
            try:
                sock = self.context.wrap_socket(sock, server_side=True, suppress_ragged_eofs=False)
            except OSError:
                return
        with self.changed:
            connection = Connection(sock, len(self.connections))
            self.connections.append(connection)
            self.changed.notify_all()
        sock.settimeout(None)
        try:
            if self.on_connection:
                self.on_connection(connection)
            else:
                self._serve_requests(connection)
        except (OSError, Closed, AssertionError, ValueError):
            pass
        finally:
            connection.ended.set()
            connection.close()

    def _serve_requests(self, connection):
        while True:
            request = connection.read_request_head()
            route = self.routes.get(request.target.split("?")[0], self.default)
            if not getattr(route, "raw_body", False):
                connection.read_body(request)
            with self.changed:
                self.requests.append(request)
                self.changed.notify_all()
            if callable(route):
                if route(connection, request) == "end":
                    return
            else:
                connection.send(route)
