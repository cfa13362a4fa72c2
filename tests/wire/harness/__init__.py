"""Wire tests: the real binary between real sockets. See ../README.md."""
from harness.case import WireTest, main
from harness.certificates import certificates
from harness.dns import Dns
from harness.parent import Parent
from harness.peer import Peer, Response, connect
from harness.proxy import Proxy, StartFailed
from harness.upstream import Upstream, answer
from harness.waiting import DEADLINE, Stopwatch, read_text, wait_until

__all__ = ["DEADLINE", "Dns", "Parent", "Peer", "Proxy", "Response", "StartFailed", "Stopwatch", "Upstream", "WireTest", "answer",
           "certificates", "connect", "main", "read_text",
           "wait_until"]
