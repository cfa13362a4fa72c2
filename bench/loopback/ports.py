"""Ports to listen at that nobody takes between the choice and the listening."""
import collections
import random
import socket
from pathlib import Path

LOWEST = 10000
RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
taken = collections.deque(maxlen=64)  # by this run, for what may not listen yet


def ephemeral():
    """The lowest port that the kernel gives to sockets that ask for none."""
    try:
        return int(RANGE.read_text(encoding="ascii").split()[0])
    except OSError:
        return 32768


def is_free(port):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(type=kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def free_port():
    """Outside of what the kernel gives to connections, of which thousands come and go beside it: each would take the port for itself."""
    end = ephemeral()
    candidates = range(LOWEST, end) if end - LOWEST >= 1000 else range(LOWEST, 65536)
    for _ in range(1000):
        port = random.choice(candidates)
        if port not in taken and is_free(port):
            taken.append(port)
            return port
    raise RuntimeError(f"no port from {candidates[0]} to {candidates[-1]} is free: end what listens there")
