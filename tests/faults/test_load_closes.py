"""Load of peers that do nothing: closes that wait for their clients, and answers whose origin fell silent."""
import asyncio
import os
import resource
import socket
import sys
import time

from faultcase import SLOWNESS, allowlist, main, records_after
from load import LoadTest, Origin, connect, figure, get, percentile, read_head, small

CLIENTS, LIMIT = 2000, 10000  # connections
PACE = 800  # refusals a second
PAUSE = 0.004  # seconds between two requests of the client that is measured


def never_end(port):
    """The other process of Closes: uploads that are refused, whose side stays open and sends a byte each second until it is told to stop."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    upload = b"POST / HTTP/1.1\r\nHost: denied.test\r\nContent-Length: 5000000\r\n\r\n" + bytes(10_000)
    kept, refusals = [], []

    async def keep_sending(sock, stop):
        while not stop.is_set():
            await asyncio.sleep(1)
            if stop.is_set():
                return
            try:
                sock.send(b"u")
            except OSError:
                return  # cut: another one needed the place

    async def run():
        loop, stop, senders = asyncio.get_running_loop(), asyncio.Event(), []
        loop.add_reader(sys.stdin, lambda: (loop.remove_reader(sys.stdin), stop.set()))

        async def one(number):
            await asyncio.sleep(number / PACE)
            sock = socket.socket()
            kept.append(sock)
            sock.setblocking(False)
            await loop.sock_connect(sock, ("127.0.0.1", int(port)))
            await loop.sock_sendall(sock, upload)
            refusals.append((await loop.sock_recv(sock, 100))[:12] == b"HTTP/1.1 403")
            senders.append(asyncio.ensure_future(keep_sending(sock, stop)))
        await asyncio.gather(*(one(number) for number in range(CLIENTS)))
        print(sum(refusals), flush=True)
        await stop.wait()
        await asyncio.gather(*senders)
    asyncio.run(run())
    print(len(kept), flush=True)
    sys.stdin.read()


async def delays(address, host, seconds):
    """How long the requests of a client took, one each PAUSE."""
    reader, writer = await connect(address)
    taken, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        assert (await get(reader, writer, host))[0] == 200
        taken.append(time.monotonic() - began)
        await asyncio.sleep(PAUSE)
    writer.close()
    return taken


class Closes(LoadTest):
    config = {"proxy": {"limits": {"max_connections": LIMIT}}}
    transforms = [allowlist("up.test")]

    async def load(self):
        return await asyncio.create_subprocess_exec(sys.executable, "-B", __file__, "never-end", str(self.proxy.http[1]),
                                                    stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=os.environ)

    def test_clients_that_never_end(self):
        """A tenth of `max_connections` waits at most, each is small, and the requests of others do not notice them."""
        async def run():
            async with Origin(small) as origin:
                async def p99(seconds):
                    return percentile(await delays(self.proxy.http, origin.host, seconds), .99)
                quiet = await p99(1.5)
                memory, descriptors, most = self.resident(), self.descriptors(), 0
                load = await self.load()
                refused = asyncio.ensure_future(load.stdout.readline())
                while not refused.done():
                    most = max(most, self.descriptors() - descriptors)
                    await asyncio.sleep(0.02)
                self.assertEqual(CLIENTS, int(await refused))
                busy = min(await p99(1), await p99(1))  # other programs may use the machine: what the closes cost is in both
                under_way, each = self.descriptors() - descriptors, (self.resident() - memory) / (LIMIT // 10)
                load.stdin.write(b"\n")  # from here on they send nothing, and still do not end
                stopped = time.monotonic()
                self.assertEqual(CLIENTS, int(await load.stdout.readline()))
                self.settle(lambda: self.descriptors() <= descriptors + 2, "descriptors to be given back")
                took = time.monotonic() - stopped
                quiet = max(quiet, await p99(1))
                load.stdin.close()
                await load.wait()
                figure("closes", clients=CLIENTS, under_way=under_way, most=most, bytes_each=round(each), p99_quiet_ms=round(1000 * quiet, 2),
                       p99_busy_ms=round(1000 * busy, 2), descriptors_back_s=round(took, 2))
                self.assertTrue(0.95 * LIMIT / 10 <= under_way <= LIMIT / 10 + 2, under_way)
                self.assertLess(most, 1.25 * LIMIT / 10)  # those that are accepted and not refused yet, or cut and not ended yet
                self.assert_memory(each, 8 * 1024, "bytes per close")
                self.assertLess(busy, 2 * quiet + 0.002 * SLOWNESS)
                self.assertLess(took, 4 * SLOWNESS)
        self.complete(run())


class QuietOrigins(LoadTest):
    COUNT = 1000
    TEXT = "no byte from upstream for 2s (proxy.limits.quiet_timeout)"
    config = {"proxy": {"limits": {"quiet_timeout": "2s"}}}
    transforms = [allowlist("up.test")]

    def test_silence_in_the_middle_of_answers(self):
        """Each is cut in its time and has its record; what they held is given back."""
        sent, cut = {}, {}

        async def handle(reader, writer, target, head):
            sent[target] = time.monotonic()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
            return await reader.read()  # silent until the proxy ends it

        async def one(host, target):
            reader, writer = await connect(self.proxy.http)
            writer.write(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert (await read_head(reader)).startswith(b"HTTP/1.1 200")
            assert await reader.read() == b"1\r\na\r\n"
            cut[target] = time.monotonic() - sent[target]
            writer.close()

        async def run():
            async with Origin(handle) as origin:
                await asyncio.gather(*(one(origin.host, f"/warm{number}") for number in range(50)))
                cut.clear()
                before, descriptors, mark = self.resident(), self.descriptors(), self.proxy.mark()
                rounds = asyncio.gather(*(one(origin.host, f"/{number}") for number in range(self.COUNT)))
                most = before
                while not rounds.done():
                    most = max(most, self.resident())
                    await asyncio.sleep(0.05)
                await rounds
                self.settle(lambda: self.descriptors() <= descriptors + 2, "descriptors to be given back")
                # The log's reader may be behind its clients: the last records of those before may come after the mark.
                def own_records():
                    return [record for record in records_after(self.proxy, mark) if record["audit"]["path"] in cut]
                self.settle(lambda: len(own_records()) >= self.COUNT, "the records")
                records = own_records()
                figure("quiet origins", count=self.COUNT, bytes_each=round((most - before) / self.COUNT), cut_after_s=[round(min(cut.values()), 2), round(max(cut.values()), 2)])
                self.assertEqual((self.COUNT, self.COUNT), (len(records), len({record["audit"]["path"] for record in records})))
                self.assertEqual({self.TEXT}, {record.get("error") for record in records})
                self.assert_memory((most - before) / self.COUNT, 64 * 1024, "bytes per exchange")
                self.assertTrue(2.0 <= min(cut.values()) and max(cut.values()) <= 3.5 * SLOWNESS, (min(cut.values()), max(cut.values())))
        self.complete(run())


if __name__ == "__main__":
    if sys.argv[1:2] == ["never-end"]:
        never_end(sys.argv[2])
    else:
        main()
