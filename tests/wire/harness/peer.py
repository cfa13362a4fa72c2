"""One end of a connection, as raw bytes with deadlines, and the little HTTP that tests need to look at them."""
import socket
import ssl
import struct

from harness.waiting import DEADLINE


class Head:
    """A message head exactly as it came: `raw` with the blank line, `line`, and `fields` in order and casing."""

    def __init__(self, raw):
        self.raw = raw
        lines = raw[:-4].decode("latin-1").split("\r\n")
        self.line = lines[0]
        self.fields = [tuple(line.split(": ", 1)) if ": " in line else (line.rstrip(":"), "") for line in lines[1:]]

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    def names(self):
        return [key for key, _ in self.fields]


class Response(Head):
    def __init__(self, raw):
        super().__init__(raw)
        version, code, reason = (self.line.split(" ", 2) + ["", ""])[:3]
        self.version, self.status, self.reason = version, int(code), reason
        self.body, self.chunks, self.trailers = b"", [], []


class Closed(AssertionError):
    """The other side ended the connection where bytes were expected."""


class Peer:
    def __init__(self, sock):
        self.sock = sock
        self.buffer = b""
        self.pieces = []  # everything ever read
        sock.settimeout(DEADLINE)

    # -- bytes

    @property
    def received(self):
        """Everything ever read, for assertions on raw bytes."""
        return b"".join(self.pieces)

    def send(self, data):
        self.sock.sendall(data.encode("latin-1") if isinstance(data, str) else data)
        return self

    def _fill(self):
        """Reads once. False at the end of the stream; a reset counts as the end and is kept in `reset_seen`."""
        try:
            data = self.sock.recv(65536)
        except (ConnectionResetError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            self.reset_seen = True
            return False
        except TimeoutError:
            raise AssertionError(f"no bytes within the deadline; have {self.buffer[-300:]!r}") from None
        self.pieces.append(data)
        self.buffer += data
        return bool(data)

    reset_seen = False

    def read_until(self, mark):
        while mark not in self.buffer:
            if not self._fill():
                raise Closed(f"closed before {mark!r}; have {self.buffer[-300:]!r}")
        end = self.buffer.index(mark) + len(mark)
        taken, self.buffer = self.buffer[:end], self.buffer[end:]
        return taken

    def read_exact(self, count):
        while len(self.buffer) < count:
            if not self._fill():
                raise Closed(f"closed after {len(self.buffer)} of {count} bytes: {self.buffer[-300:]!r}")
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def read_to_end(self):
        while self._fill():
            pass
        taken, self.buffer = self.buffer, b""
        return taken

    def readable(self, seconds):
        """True if a byte or the end arrives within that time. Only for "nothing must come", where waiting is the point."""
        if self.buffer:
            return True
        self.sock.settimeout(seconds)
        try:
            more = self._fill()
            return more or True
        except AssertionError:
            return False
        finally:
            self.sock.settimeout(DEADLINE)

    # -- ends

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def close(self):
        self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    # -- TLS

    def start_tls(self, context, server_name):
        """The client side of a handshake over what is open already."""
        self.sock = context.wrap_socket(self.sock, server_hostname=server_name, suppress_ragged_eofs=False)
        self.sock.settimeout(DEADLINE)
        return self

    # -- HTTP

    def read_head(self):
        return Head(self.read_until(b"\r\n\r\n"))

    def read_chunked(self):
        """(chunks, trailer lines) of a chunked body."""
        chunks = []
        while True:
            size = int(self.read_until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                break
            chunks.append(self.read_exact(size))
            assert self.read_exact(2) == b"\r\n", "chunk without its line end"
        trailers = []
        while (line := self.read_until(b"\r\n")) != b"\r\n":
            trailers.append(line[:-2].decode("latin-1"))
        return chunks, trailers

    def read_response_head(self):
        return Response(self.read_until(b"\r\n\r\n"))

    def read_response(self, method="GET"):
        """A whole answer; interim ones are collected in `.interim`."""
        interim = []
        while True:
            response = self.read_response_head()
            if response.status >= 200 or response.status == 101:
                break
            interim.append(response)
        response.interim = interim
        if method == "HEAD" or response.status in (101, 204, 304):
            return response
        if (response.get("Transfer-Encoding") or "").lower() == "chunked":
            response.chunks, response.trailers = self.read_chunked()
            response.body = b"".join(response.chunks)
        elif response.get("Content-Length") is not None:
            response.body = self.read_exact(int(response.get("Content-Length")))
        else:
            response.body = self.read_to_end()
        return response

    def request(self, method, target, host=None, fields=(), body=b"", version="HTTP/1.1"):
        """Sends one request with exactly these fields (and Host first, if given) and reads the answer."""
        self.send_request(method, target, host, fields, body, version)
        return self.read_response(method)

    def send_request(self, method, target, host=None, fields=(), body=b"", version="HTTP/1.1"):
        lines = [f"{method} {target} {version}"]
        if host is not None:
            lines.append(f"Host: {host}")
        lines += [f"{name}: {value}" for name, value in fields]
        if body and not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in fields):
            lines.append(f"Content-Length: {len(body)}")
        return self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)


def connect(address, source=None):
    """A plain connection to (host, port), from another loopback address if one is given."""
    sock = socket.create_connection(address, DEADLINE, (source, 0) if source else None)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Peer(sock)


def connect_slow_reader(address, receive_buffer):
    """A connection whose system takes little before somebody reads."""
    sock = socket.socket()
    sock.settimeout(DEADLINE)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.connect(address)
    return Peer(sock)
