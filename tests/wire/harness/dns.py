"""A resolver on a free loopback port. Every name below .test is 127.0.0.1 unless `names` says otherwise."""
import ipaddress
import socket
import struct
import threading

A, AAAA, CNAME = 1, 28, 5


def encode_name(name):
    labels = [label for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label.encode("latin-1") for label in labels) + b"\0"


def read_name(data, at):
    labels, after = [], None
    while True:
        length = data[at]
        if length & 0xC0 == 0xC0:
            after = after or at + 2
            at = struct.unpack_from("!H", data, at)[0] & 0x3FFF
            continue
        at += 1
        if length == 0:
            return ".".join(labels), after or at
        labels.append(data[at:at + length].decode("latin-1"))
        at += length


class Answer:
    """A parsed DNS message, enough for assertions."""

    def __init__(self, data):
        self.raw = data
        self.id, self.flags, questions, answers = struct.unpack_from("!HHHH", data)
        self.rcode, self.truncated = self.flags & 15, bool(self.flags & 0x200)
        at = 12
        self.questions, self.answers = [], []
        for _ in range(questions):
            name, at = read_name(data, at)
            kind, klass = struct.unpack_from("!HH", data, at)
            self.questions.append((name, kind, klass))
            at += 4
        for _ in range(answers):
            name, at = read_name(data, at)
            kind, _klass, ttl, length = struct.unpack_from("!HHIH", data, at)
            at += 10
            value = data[at:at + length]
            if kind in (A, AAAA) and length:
                value = str(ipaddress.ip_address(value))
            elif kind == CNAME:
                value = read_name(data, at)[0]
            self.answers.append((name, kind, ttl, value))
            at += length


def query(name, kind=A, ident=0x1234, flags=0x0100, extra=b"", klass=1):
    return struct.pack("!HHHHHH", ident, flags, 1, 0, 0, 1 if extra else 0) + encode_name(name) + struct.pack("!HH", kind, klass) + extra


class Dns:
    """`names`: name to a list of addresses, or one of NXDOMAIN, SERVFAIL, DROP; `ttls`: name to seconds. `queries` holds (name, type)."""

    def __init__(self):
        self.names, self.ttls, self.queries = {}, {}, []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.sock.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self.sock.close()

    def asked(self, name):
        """How often the addresses of a name were asked for."""
        return self.queries.count((name, A))

    def _serve(self):
        while True:
            try:
                data, client = self.sock.recvfrom(4096)
                reply = self._reply(data)
                if reply:
                    self.sock.sendto(reply, client)
            except OSError:
                return
            except (IndexError, struct.error):
                continue

    def _reply(self, data):
        name, at = read_name(data, 12)
        kind = struct.unpack_from("!H", data, at)[0]
        name = name.lower()
        self.queries.append((name, kind))
        known = self.names.get(name, ["127.0.0.1"] if name.endswith(".test") else "NXDOMAIN")
        if known == "DROP":
            return None
        rcode = {"NXDOMAIN": 3, "SERVFAIL": 2}.get(known if isinstance(known, str) else "", 0)
        records = b""
        count = 0
        for address in known if rcode == 0 else []:
            address = ipaddress.ip_address(address)
            if (kind, address.version) in ((A, 4), (AAAA, 6)):
                records += b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, self.ttls.get(name, 60), len(address.packed)) + address.packed
                count += 1
        head = struct.pack("!HHHHHH", struct.unpack_from("!H", data)[0], 0x8180 | rcode, 1, count, 0, 0)
        return head + data[12:at + 4] + records
