"""A thousand WebSocket sessions and a thousand event streams at once: none is lost, and afterwards everything is given back."""
import asyncio
import base64
import hashlib
import os
import resource

from harness import DEADLINE, WireTest, main, wait_until

COUNT = int(os.environ.get("IRON_TEST_SESSIONS", "1000"))
ROUNDS = 5
KEY = base64.b64encode(b"0123456789abcdef").decode()
ACCEPT = base64.b64encode(hashlib.sha1((KEY + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
TIMEOUT = 8 * DEADLINE


async def serve(reader, writer):
    """/ws echoes; /events sends one event each time the client side of the test opens the gate."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET /ws"):
            writer.write(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n".encode())
            while data := await reader.read(4096):
                writer.write(data)
                await writer.drain()
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            for number in range(ROUNDS):
                await serve.gates[number].wait()
                writer.write(b"9\r\ndata: %d\n\n\r\n" % number)
                await writer.drain()
            writer.write(b"0\r\n\r\n")
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def socket_session(address, host, ready, gates):
    reader, writer = await asyncio.open_connection(*address)
    writer.write(f"GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 "), head
    ready.release()
    for number, gate in enumerate(gates):
        await gate.wait()
        message = b"message %d" % number
        writer.write(message)
        assert await reader.readexactly(len(message)) == message
    writer.close()


async def event_session(address, host, ready, gates):
    reader, writer = await asyncio.open_connection(*address)
    writer.write(f"GET /events HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    ready.release()
    for number in range(len(gates)):
        assert await reader.readexactly(14) == b"9\r\ndata: %d\n\n\r\n" % number
    assert await reader.readexactly(5) == b"0\r\n\r\n"
    writer.close()


async def one_round(address):
    """All sessions open at once, then ROUNDS messages on each. The first that fails ends it."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
    host = "up.test:%d" % server.sockets[0].getsockname()[1]
    gates = [asyncio.Event() for _ in range(ROUNDS)]
    serve.gates = gates
    ready = asyncio.Semaphore(0)
    tasks = [asyncio.create_task(kind(address, host, ready, gates)) for _ in range(COUNT) for kind in (socket_session, event_session)]

    async def conduct():
        for _ in tasks:
            await ready.acquire()
        for gate in gates:
            gate.set()
            await asyncio.sleep(0)
    conductor = asyncio.create_task(conduct())
    try:
        await asyncio.wait_for(asyncio.gather(*tasks), TIMEOUT)
    finally:
        conductor.cancel()
        server.close()


class Many(WireTest):
    def usage(self):
        with open(f"/proc/{self.proxy.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * 4096, len(os.listdir(f"/proc/{self.proxy.pid}/fd"))

    def test_nothing_is_lost_and_everything_given_back(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        asyncio.run(one_round(self.proxy.http))  # warms up what is made at first use
        self.proxy.wait_record("request", count=2 * COUNT)
        memory, descriptors = self.usage()
        asyncio.run(one_round(self.proxy.http))
        wait_until(lambda: self.usage()[1] <= descriptors, "the descriptors to be given back", 10)
        if not os.environ.get("IRON_SANITIZE"):  # their allocators keep what was freed
            wait_until(lambda: self.usage()[0] <= memory * 1.05, f"the memory to be given back: {memory} before", 10)
        records = 2 * 2 * COUNT
        self.proxy.wait_record("request", count=records)
        self.assertEqual(records, len(self.proxy.records("request")))


if __name__ == "__main__":
    main()
