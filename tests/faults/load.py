"""Load with asyncio: an origin and clients in one process, sizes for CI or for the record.

IRON_TEST_LOAD=full runs the full sizes; figures go to standard output, one JSON object per line.
"""
import asyncio
import json
import os
import resource
import ssl

from faultcase import DEADLINE, SLOWNESS, WireTest, usage, wait_until

FULL = os.environ.get("IRON_TEST_LOAD") == "full"
SANITIZED = bool(os.environ.get("IRON_SANITIZE"))
MIB = 1 << 20


def size(ci, full):
    return full if FULL else ci


def figure(name, **values):
    print(json.dumps({"figure": name, **values}), flush=True)


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def raise_descriptors():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def read_head(reader):
    return await reader.readuntil(b"\r\n\r\n")


def length_of(head):
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


async def read_answer(reader):
    """(status, body) of an answer with a length."""
    head = await read_head(reader)
    return int(head.split(b" ")[1]), await reader.readexactly(length_of(head))


class Origin:
    """`handle` (reader, writer, target, head) answers each request; what it returns true for ends the connection."""

    def __init__(self, handle, context=None):
        self.handle, self.context = handle, context

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=4096, ssl=self.context, limit=MIB)
        self.host = "up.test:%d" % self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def _serve(self, reader, writer):
        try:
            while True:
                head = await read_head(reader)
                if await self.handle(reader, writer, head.split(b" ", 2)[1].decode(), head):
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


async def small(reader, writer, target, head):
    await reader.readexactly(length_of(head))
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    await writer.drain()


async def connect(address):
    return await asyncio.open_connection(*address, limit=MIB)


async def get(reader, writer, host, target="/"):
    writer.write(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return await read_answer(reader)


async def open_tunnel(proxy, host, context=None, server_name="up.test"):
    """(reader, writer) inside an open tunnel, over TLS if there is a context."""
    reader, writer = await connect(proxy.tunnel)
    writer.write(f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    head = await read_head(reader)
    assert head.startswith(b"HTTP/1.1 200 "), head
    if context:
        await writer.start_tls(context, server_hostname=server_name)
    return reader, writer


async def close(writer):
    writer.close()
    try:
        await writer.wait_closed()
    except (OSError, ssl.SSLError):
        pass


class LoadTest(WireTest):
    """`run` awaits the test's coroutine with a deadline; memory is judged only where allocators give back."""

    def setUp(self):
        super().setUp()
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        raise_descriptors()

    def complete(self, coroutine, deadline=None):
        return asyncio.run(asyncio.wait_for(coroutine, deadline or 20 * DEADLINE))

    def resident(self, proxy=None):
        return usage((proxy or self.proxy).pid)[0]

    def descriptors(self, proxy=None):
        return usage((proxy or self.proxy).pid)[1]

    def assert_memory(self, value, limit, what):
        if not SANITIZED:
            self.assertLess(value, limit, what)

    def settle(self, condition, what):
        """What must be so at the latest ten seconds after the end of a load."""
        wait_until(condition, what, 10 * SLOWNESS)
