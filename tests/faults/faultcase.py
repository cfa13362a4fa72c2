"""What the fault tests share: the harness of the wire tests, and strict readers of what was received."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "wire"))

from harness import *  # noqa: E402,F401,F403
from harness.case import KEY, TOKEN, allowlist, merged, secret, secrets  # noqa: E402,F401
from harness.peer import Head  # noqa: E402
from harness.proxy import parse  # noqa: E402
from harness.waiting import SLOWNESS, processor_seconds  # noqa: E402,F401


class Message:
    """How far a message got. `state`: empty, head (part of it), cut (part of the body), complete, extra (bytes behind it)."""

    def __init__(self, state, head=None, body=b""):
        self.state, self.head, self.body = state, head, body
        self.status = int(head.line.split(" ")[1]) if head and head.line.startswith("HTTP/") else None

    def __repr__(self):
        return f"<{self.state} {self.head.line if self.head else ''} {self.body!r}>"


def read_message(raw, orderly_end, is_request=False):
    """Reads what came on a connection until its end. `orderly_end`: by FIN, or over TLS by close_notify."""
    end = raw.find(b"\r\n\r\n")
    if end < 0:
        return Message("head" if raw else "empty")
    head, rest = Head(raw[:end + 4]), raw[end + 4:]
    if head.get("Transfer-Encoding") is not None:
        return Message(*_chunked(rest, head))
    if head.get("Content-Length") is not None:
        length = int(head.get("Content-Length"))
        return Message("cut" if len(rest) < length else "complete" if len(rest) == length else "extra", head, rest)
    if is_request:
        return Message("extra" if rest else "complete", head, rest)
    return Message("complete" if orderly_end else "cut", head, rest)


def _chunked(rest, head):
    body = b""
    while True:
        line, found, rest = rest.partition(b"\r\n")
        if not found:
            return "cut", head, body
        size = int(line.split(b";")[0], 16)
        if size == 0:
            break
        body += rest[:size]
        if len(rest) < size + 2:
            return "cut", head, body
        assert rest[size:size + 2] == b"\r\n", f"chunk without its line end: {rest[:size + 2]!r}"
        rest = rest[size + 2:]
    while True:
        line, found, rest = rest.partition(b"\r\n")
        if not found:
            return "cut", head, body
        if not line:
            return "extra" if rest else "complete", head, body


def close_notify(peer):
    """Ends the TLS side of a connection properly, without waiting for the other side to do the same."""
    peer.sock.settimeout(0)
    try:
        peer.sock.unwrap()
    except OSError:
        pass


def end(peer, how):
    """`fin`: FIN alone, over TLS without close_notify; `notify`: close_notify and FIN; `rst`: reset."""
    if how == "rst":
        peer.reset()
        return
    if how == "notify":
        close_notify(peer)
    peer.close()


def usage(pid):
    """(resident bytes, descriptors, threads) of a process."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        fields = dict(line.split(":", 1) for line in status)
    return int(fields["VmRSS"].split()[0]) * 1024, len(os.listdir(f"/proc/{pid}/fd")), int(fields["Threads"])


def records_after(proxy, mark, msg="request"):
    """The records of that kind behind a place in the log."""
    with proxy.changed:
        found = [parse(line) for line in proxy.lines[mark:]]
    return [record for record in found if record.get("msg") == msg]
