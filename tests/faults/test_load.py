"""Load that must hold, with bounded memory: idle connections, tunnels, large bodies, stalled readers, new names, overload."""
import asyncio
import json
import os
import shutil
import ssl
import statistics
import sys
import tempfile
import time

from faultcase import SLOWNESS, allowlist, main, processor_seconds
from harness.certificates import CA_EXTENSIONS, openssl
from load import MIB, SANITIZED, LoadTest, Origin, close, connect, figure, get, length_of, open_tunnel, percentile, read_head, size, small


async def bounded(count, width, one):
    """Awaits one(n) for each n below count, `width` at a time."""
    numbers = iter(range(count))

    async def worker():
        for number in numbers:
            await one(number)
    await asyncio.gather(*(worker() for _ in range(width)))


class Idle(LoadTest):
    config = {"proxy": {"limits": {"max_connections": 12000}}}

    def test_idle_connections(self):
        """Kept-alive connections after a request each: less than 20 KiB, and an active one does not notice them."""
        count = size(1000, 10000)

        async def run():
            async with Origin(small) as origin:
                reader, writer = await connect(self.proxy.http)

                async def delays(number):
                    taken = []
                    for _ in range(number):
                        began = time.monotonic()
                        await get(reader, writer, origin.host)
                        taken.append(time.monotonic() - began)
                    return taken
                quiet = await delays(400)
                idle = []

                async def one(number):
                    pair = await connect(self.proxy.http)
                    assert (await get(*pair, origin.host))[0] == 200
                    idle.append(pair)
                await bounded(200, 50, one)  # warm
                before, already = self.resident(), len(idle)
                await bounded(count, 50, one)
                self.settle_while(lambda: (self.resident() - before) / count < 20 * 1024)
                each = (self.resident() - before) / (len(idle) - already)
                busy = await delays(400)
                figure("idle connections", count=count, bytes_each=round(each), p50_quiet_ms=round(1000 * statistics.median(quiet), 2),
                       p50_busy_ms=round(1000 * statistics.median(busy), 2), p99_quiet_ms=round(1000 * percentile(quiet, .99), 2),
                       p99_busy_ms=round(1000 * percentile(busy, .99), 2))
                self.assert_memory(each, 20 * 1024, "bytes per idle connection")
                self.assertLess(statistics.median(busy), 3 * statistics.median(quiet) + 0.002 * SLOWNESS)
                for pair in idle:
                    pair[1].close()
        self.complete(run())

    def settle_while(self, condition):
        try:
            self.settle(condition, "")
        except AssertionError:
            pass  # the assertion that follows says more

    def test_idle_tls_tunnels(self):
        count = size(300, 3000)

        async def run():
            async with Origin(small, self.certificates.server_context()) as origin:
                context, idle = self.certificates.client_context(), []

                async def one(number):
                    pair = await open_tunnel(self.proxy, origin.host, context)
                    assert (await get(*pair, origin.host))[0] == 200
                    idle.append(pair)
                await bounded(100, 20, one)
                before = self.resident()
                await bounded(count, 20, one)
                self.settle_while(lambda: (self.resident() - before) / count < 20 * 1024)
                each = (self.resident() - before) / count
                figure("idle TLS tunnels", count=count, bytes_each=round(each))
                self.assert_memory(each, 64 * 1024, "bytes per idle TLS tunnel")
                for pair in idle:
                    pair[1].close()
        self.complete(run())


class Tunnels(LoadTest):
    def test_memory_returns(self):
        """Tunnels with TLS opened and closed: memory and descriptors are those after the first round of them."""
        count = size(400, 20000)

        async def run():
            context = self.certificates.client_context()
            async with Origin(small, self.certificates.server_context()) as origin:
                async def one(number):
                    reader, writer = await open_tunnel(self.proxy, origin.host, context)
                    if number % 4 == 0:
                        assert (await get(reader, writer, origin.host))[0] == 200
                    await close(writer)
                await bounded(count // 2, 16, one)
                await asyncio.sleep(1)
                before, descriptors = self.resident(), self.descriptors()
                began = time.monotonic()
                await bounded(count, 16, one)
                took = time.monotonic() - began
                self.settle(lambda: self.descriptors() <= descriptors + 64, "descriptors to be given back")
                if not SANITIZED and self.resident() > before * 1.05:  # their allocators keep what was freed
                    self.settle(lambda: self.resident() <= before * 1.05 + MIB, f"memory to be given back: {before} before, {self.resident()} now")
                figure("tunnels", count=count, per_second=round(count / took), growth_bytes_per_tunnel=round((self.resident() - before) / count, 1))
        self.complete(run(), 1200)


class Bodies(LoadTest):
    async def peak_while(self, task):
        peak = 0
        while not task.done():
            peak = max(peak, self.resident())
            await asyncio.sleep(0.02)
        await task
        return peak

    def bodies(self, direction, over_tls):
        length, width = size(8, 64) * MIB, 32
        piece = bytes(64 * 1024)

        async def handle(reader, writer, target, head):
            left = length_of(head)
            while left:
                left -= len(await reader.read(min(left, 1 << 18)))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (length if target == "/down" else 0))
            for _ in range(length // len(piece) if target == "/down" else 0):
                writer.write(piece)
                await writer.drain()

        async def one(number, host, context, total):
            reader, writer = await (open_tunnel(self.proxy, host, context) if over_tls else connect(self.proxy.http))
            body = total if direction == "up" else 0
            writer.write(f"POST /{direction} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {body}\r\n\r\n".encode())
            for _ in range(body // len(piece)):
                writer.write(piece)
                await writer.drain()
            left = length_of(await read_head(reader))
            while left:
                data = await reader.read(1 << 18)
                assert data, "cut"
                left -= len(data)
            await close(writer)

        async def run():
            server = self.certificates.server_context() if over_tls else None
            async with Origin(handle, server) as origin:
                context = self.certificates.client_context()
                await asyncio.gather(*(one(n, origin.host, context, MIB) for n in range(width)))
                before = self.resident()
                began, used = time.monotonic(), processor_seconds(self.proxy.pid)
                peak = await self.peak_while(asyncio.gather(*(one(n, origin.host, context, length) for n in range(width))))
                took = time.monotonic() - began
                figure("bodies", direction=direction, tls=over_tls, mib=length // MIB, at_once=width, growth_mib=round((peak - before) / MIB, 1),
                       mib_per_second=round(length * width / MIB / took), processor_seconds=round(processor_seconds(self.proxy.pid) - used, 2))
                self.assert_memory(peak - before, 16 * MIB, "growth")
        self.complete(run(), 900)

    def test_down(self):
        self.bodies("down", False)

    def test_up(self):
        self.bodies("up", False)

    def test_down_over_tls(self):
        self.bodies("down", True)

    def test_up_over_tls(self):
        self.bodies("up", True)

    def test_stalled_readers(self):
        """Four clients that stop reading 64 MiB cost less than 1 MiB each, and nobody else any time."""
        length = 64 * MIB

        async def handle(reader, writer, target, head):
            if target == "/":
                return await small(reader, writer, target, head)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
            for _ in range(length // 65536):
                writer.write(bytes(65536))
                await writer.drain()

        async def run():
            async with Origin(handle) as origin:
                async def ask(count):
                    reader, writer = await connect(self.proxy.http)
                    delays = []
                    for _ in range(count):
                        began = time.monotonic()
                        assert (await get(reader, writer, origin.host))[0] == 200
                        delays.append(time.monotonic() - began)
                    writer.close()
                    return statistics.median(delays)
                quiet = await ask(200)
                before = self.resident()
                stalled = []
                for number in range(4):
                    reader, writer = await asyncio.open_connection(*self.proxy.http, limit=65536)
                    writer.transport.pause_reading()
                    writer.write(f"GET /large{number} HTTP/1.1\r\nHost: {origin.host}\r\n\r\n".encode())
                    stalled.append(writer)
                last, now = -1, self.resident()
                while now != last:  # until nothing moves any more
                    await asyncio.sleep(0.3)
                    last, now = now, self.resident()
                busy = await ask(200)
                figure("stalled readers", count=4, growth_kib_each=round((now - before) / 4096), p50_quiet_ms=round(1000 * quiet, 2), p50_stalled_ms=round(1000 * busy, 2))
                self.assert_memory(now - before, 4 * MIB, "growth")
                for writer in stalled:
                    writer.transport.abort()
        self.complete(run())


async def handshake(address, context, name):
    """Seconds that a tunnel with TLS for this name took."""
    began = time.monotonic()
    reader, writer = await connect(address)
    writer.write(f"CONNECT {name}:443 HTTP/1.1\r\n\r\n".encode())
    await read_head(reader)
    await writer.start_tls(context, server_hostname=name)
    taken = time.monotonic() - began
    writer.transport.abort()
    return taken


def new_names(port, ca, count):
    """The other process of NewNames: handshakes for so many new names at once; prints how long each took."""
    async def run():
        print(flush=True)
        return await asyncio.gather(*(handshake(("127.0.0.1", int(port)), context, f"new{number}.test") for number in range(int(count))))
    context = ssl.create_default_context(cafile=ca)
    print(json.dumps(asyncio.run(run())))


class NewNames(LoadTest):
    """Many new names under a CA with a large key; a known host must not wait for them."""

    starts_proxy = False
    transforms = [allowlist("*.test")]

    def names(self, signer):
        directory = tempfile.mkdtemp(prefix="iron-rsa-")
        self.addCleanup(shutil.rmtree, directory, True)
        with open(os.path.join(directory, "rsa.cnf"), "w", encoding="ascii") as handle:
            handle.write(f"[req]\ndistinguished_name=dn\nx509_extensions=ext\nprompt=no\n[dn]\nCN=Large CA\n[ext]\n{CA_EXTENSIONS}")
        openssl("req", "-x509", "-newkey", "rsa:4096", "-nodes", "-days", "3", "-config", "rsa.cnf", "-keyout", "rsa.key", "-out", "rsa.crt", cwd=directory)
        proxy = self.own_proxy({"tls": {"ca_cert": f"{directory}/rsa.crt", "ca_key": f"{directory}/rsa.key", "leaf_signer": signer, "cert_cache_size": 1000}})
        context = self.certificates.client_context()
        context.load_verify_locations(f"{directory}/rsa.crt")
        count = size(100, 250)

        async def run():
            await handshake(proxy.tunnel, context, "known.test")
            quiet = [await handshake(proxy.tunnel, context, "known.test") for _ in range(20)]
            # The new names come from a process of their own: its work must not delay what is measured here.
            load = await asyncio.create_subprocess_exec(sys.executable, "-B", __file__, "new-names", str(proxy.tunnel[1]), f"{directory}/rsa.crt", str(count),
                                                        stdout=asyncio.subprocess.PIPE, env=os.environ)
            await load.stdout.readline()  # it is about to begin
            output, known = asyncio.ensure_future(load.stdout.read()), []
            while not output.done():
                known.append(await handshake(proxy.tunnel, context, "known.test"))
            taken = json.loads(await output)
            self.assertEqual((0, count), (await load.wait(), len(taken)))
            figure("new names", signer=signer, count=count, known_quiet_ms=round(1000 * statistics.median(quiet), 1), known_p50_ms=round(1000 * statistics.median(known), 1),
                   known_max_ms=round(1000 * max(known), 1), new_p50_ms=round(1000 * statistics.median(taken), 1), new_max_ms=round(1000 * max(taken), 1))
            return known
        return self.complete(run())

    def test_with_an_intermediate(self):
        self.assertLess(statistics.median(self.names("auto")), 0.1 * SLOWNESS)

    def test_signed_by_the_ca(self):
        self.assertLess(statistics.median(self.names("ca")), 0.1 * SLOWNESS)


class Overload(LoadTest):
    """Ten times more clients than connections: those let in are served as before, the rest is refused at once."""

    LIMIT = 20
    config = {"proxy": {"limits": {"max_connections": LIMIT}}}

    def test_goodput(self):
        seconds = size(3, 30)

        async def handle(reader, writer, target, head):
            await asyncio.sleep(0.05)  # what bounds the rate is the number of connections
            return await small(reader, writer, target, head)

        async def run():
            async with Origin(handle) as origin:
                async def phase(clients):
                    end, served, refused, slow = time.monotonic() + seconds, 0, 0, 0.0

                    async def client():
                        nonlocal served, refused, slow
                        while time.monotonic() < end:
                            began = time.monotonic()
                            reader, writer = await connect(self.proxy.http)
                            try:
                                for _ in range(5):
                                    status, _ = await get(reader, writer, origin.host)
                                    if status != 200:
                                        raise ConnectionError
                                    served += 1
                            except (OSError, asyncio.IncompleteReadError):
                                refused += 1
                                slow = max(slow, time.monotonic() - began)
                                await asyncio.sleep(0.2)
                            writer.close()
                    await asyncio.gather(*(client() for _ in range(clients)))
                    return served / seconds, refused, slow
                await phase(self.LIMIT - 1)  # warm
                peak, _, _ = await phase(self.LIMIT - 1)
                loaded, refused, slow = await phase(10 * self.LIMIT)
                began = time.monotonic()
                while True:
                    try:
                        reader, writer = await connect(self.proxy.http)
                        if (await get(reader, writer, origin.host))[0] == 200:
                            break
                    except (OSError, asyncio.IncompleteReadError):
                        await asyncio.sleep(0.05)
                recovery = time.monotonic() - began
                writer.close()
                figure("overload", clients=10 * self.LIMIT, connections=self.LIMIT, peak_per_second=round(peak), loaded_per_second=round(loaded),
                       refused=refused, slowest_refusal_ms=round(1000 * slow), recovery_ms=round(1000 * recovery))
                self.assertGreater(refused, 0)
                self.assertGreater(loaded, 0.5 * peak)  # 0.8 on a quiet machine
                self.assertLess(recovery, 2 * SLOWNESS)
        self.complete(run(), 60 + 10 * seconds)


if __name__ == "__main__":
    if sys.argv[1:2] == ["new-names"]:
        new_names(*sys.argv[2:])
    else:
        main()
