"""No copy of a key stays readable: every readable page of the process is searched after swapped traffic."""
import os
import re
import secrets as random_secrets
import unittest

from harness import WireTest, main
from harness.case import TOKEN, allowlist, secret, secrets

WINDOW = 11
REQUESTS = int(os.environ.get("IRON_TEST_REQUESTS", "1000"))


def mappings(pid):
    """(start, end, line) of the readable mappings."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        for line in maps:
            span, flags = line.split()[:2]
            if flags[0] == "r" and not line.rstrip().endswith(("[vvar]", "[vvar_vclock]", "[vsyscall]")):
                start, end = (int(part, 16) for part in span.split("-"))
                yield start, end, line.rstrip()


def locked_fallback(pid, line):
    """Pages that the fallback for a missing memfd_secret keeps: locked, and left out of core files."""
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as smaps:
        inside = False
        for row in smaps:
            if re.match(r"^[0-9a-f]+-[0-9a-f]+ ", row):
                inside = row.split()[0] == line.split()[0]
            elif inside and row.startswith("VmFlags:"):
                flags = row.split()[1:]
                return "lo" in flags and "dd" in flags
    return False


def readable_memory(pid):
    """(start, mapping, bytes, whether all of it could be read) of the readable mappings."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end, line in mappings(pid):
            data, whole = bytearray(), True
            try:
                memory.seek(start)
                while len(data) < end - start:
                    piece = memory.read(min(end - start - len(data), 1 << 24))
                    if not piece:
                        break
                    data += piece
            except OSError:
                whole = False
            yield start, line, data, whole


def find_key(pid, key):
    """Mappings where any WINDOW consecutive bytes of the key stand; pages that no one may read (memfd_secret) are counted."""
    pieces = {key[at:at + WINDOW] for at in range(len(key) - WINDOW + 1)}
    pattern = re.compile(b"|".join(map(re.escape, sorted(pieces))))
    found, unreadable, exempt, size = [], [], [], 0
    for start, line, data, whole in readable_memory(pid):
        if not whole:
            unreadable.append(line)
        size += len(data)
        match = pattern.search(data)
        if match:
            (exempt if locked_fallback(pid, line) else found).append(f"{line} at {start + match.start():x}")
    return found, unreadable, exempt, size


@unittest.skipIf(os.environ.get("IRON_SANITIZE"), "the sanitizers' own allocators keep freed memory")
class Memory(WireTest):
    key = "sk-mem-" + random_secrets.token_urlsafe(36)
    transforms = [allowlist("*.test"), secrets(secret(var="SCAN_KEY", match_query=True, match_path=True, match_body=True))]

    @classmethod
    def setUpClass(cls):
        cls.environment = {"SCAN_KEY": cls.key, "HERMES_IRON_PROXY_NONCE": "cd" * 32}
        super().setUpClass()

    def test_the_scan_finds_what_is_there(self):
        # The token is public, and the configuration certainly holds it.
        found, _, exempt, size = find_key(self.proxy.pid, TOKEN.encode())
        self.assertGreater(size, 1 << 20)
        self.assertTrue(found or exempt)

    def test_no_copy_after_traffic(self):
        host = self.tls_upstream.host()
        self.tls_upstream.routes["/echo"] = lambda connection, request: connection.send(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(request.raw + request.body), request.raw + request.body))
        peers = [self.tls_tunnel(host) for _ in range(8)] + [self.plain() for _ in range(2)]
        shapes = [("GET", "/", [("Authorization", f"Bearer {TOKEN}")], b""),
                  ("GET", "/?a=" + TOKEN, [("Cookie", "c" * 3000), ("Authorization", f"Bearer {TOKEN}")], b""),
                  ("GET", f"/p/{TOKEN}", [], b""),
                  ("POST", "/", [("Authorization", "Basic dTpwcm94eS10b2tlbi0wMTIzNDU2Nzg5YWJjZGVm")], b"x" * 20000 + TOKEN.encode()),
                  ("GET", "/echo", [("Authorization", f"Bearer {TOKEN}")], b"")]
        for number in range(REQUESTS):
            peer = peers[number % len(peers)]
            method, target, fields, body = shapes[number % len(shapes)]
            origin = self.tls_upstream.host() if number % len(peers) < 8 else self.upstream.host()
            self.assertEqual(200, peer.request(method, target, origin, fields, body).status)
        # The last answer of all has the key in it: what comes behind it would cover what it leaves.
        self.assertEqual(200, peers[0].request("GET", "/echo", host, [("Authorization", f"Bearer {TOKEN}")]).status)
        swapped = sum(self.key in request.get("Authorization", "") or self.key in request.target or self.key.encode() in request.body
                      or request.get("Authorization", "").startswith("Basic ") for request in self.tls_upstream.requests + self.upstream.requests)
        self.assertEqual(REQUESTS + 1, swapped)
        self.proxy.wait_record("request", lambda record: record["audit"]["method"] != "CONNECT", count=REQUESTS + 1)
        # Connections stay open; the traffic has stopped.
        found, unreadable, exempt, size = find_key(self.proxy.pid, self.key.encode())
        print(f"scanned {size >> 20} MiB; not readable: {unreadable or 'none'}; locked pages with the key: {exempt or 'none'}", flush=True)
        self.assertEqual([], found)
        self.assertGreater(size, 1 << 20)

    def test_environment_block(self):
        with open(f"/proc/{self.proxy.pid}/environ", "rb") as handle:
            environment = handle.read()
        self.assertIn(b"HERMES_IRON_PROXY_NONCE=" + b"cd" * 32, environment)
        self.assertNotIn(self.key.encode()[:WINDOW], environment)


if __name__ == "__main__":
    main()
