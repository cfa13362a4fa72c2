"""The binary under test: configuration, start, records, signals, end."""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from harness.waiting import DEADLINE

BINARY = os.path.abspath(os.environ.get("IRON_PROXY_BINARY", "build/release/proxy/iron-proxy"))
STARTED = {
    "http proxy starting": "http", "https proxy starting": "https", "https proxy starting (sni-only)": "https",
    "tunnel proxy starting": "tunnel", "metrics server starting": "metrics",
    "management server starting": "management", "dns server starting": "dns",
}
# What of the caller's environment reaches the binary, besides what a test gives it.
PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS")

# A loopback address of this process alone.
OWN_ADDRESS = "127.%d.%d.%d" % (64 + (os.getpid() >> 16) % 64, os.getpid() >> 8 & 255, os.getpid() & 255)


def own_address():
    """An address to listen at more than once: whatever other tests bind, it is free for each start."""
    with socket.create_server((OWN_ADDRESS, 0)) as free:
        return "%s:%d" % free.getsockname()


class StartFailed(AssertionError):
    def __init__(self, code, text):
        super().__init__(f"the proxy ended with {code}:\n{text}")
        self.code, self.text = code, text


def split_address(address):
    host, port = address.rsplit(":", 1)
    host = host.strip("[]")
    return ("127.0.0.1" if host in ("", "0.0.0.0", "::") else host, int(port))


def wanted_listeners(config):
    """How many `… starting` records a configuration leads to."""
    proxy, dns = config.get("proxy") or {}, config.get("dns") or {}
    addresses = lambda one, many: len({*(proxy.get(many) or []), *([proxy[one]] if proxy.get(one) else [])})
    count = max(addresses("http_listen", "http_listens"), 1) + 1 + addresses("tunnel_listen", "tunnel_listens")
    count += 1  # metrics
    count += 1 if (config.get("management") or {}).get("listen") else 0
    return count + (1 if dns.get("enabled", True) else 0)


class Proxy:
    """Starts at once. Addresses are in `http`, `https`, `tunnel`, `metrics`, `management`, `dns` as (host, port)."""

    refuses_to_start = False  # set by a test whose configuration is refused: its log holds lines that are no records

    def __init__(self, config, env=None, arguments=None, command_prefix=(), start=True):
        self.directory = tempfile.mkdtemp(prefix="iron-wire-")
        self.config_path = os.path.join(self.directory, "proxy.yaml")
        self.config = config
        self.write_config(config)
        self.env = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        self.env |= {"HOME": self.directory} | (env or {})
        self.command = [*command_prefix, BINARY, *(arguments or ["-config", self.config_path])]
        self.lines, self.changed, self.closed = [], threading.Condition(), False
        self.looked_from = 0  # where wait_record() begins unless told otherwise: the start of the test
        self.addresses = {name: [] for name in STARTED.values()}
        self.process = None
        if start:
            self.start()

    # -- start and stop

    def write_config(self, config):
        """A configuration as a value is written as JSON, which is YAML; text is written as it is."""
        text = config if isinstance(config, str) else json.dumps(config, indent=1)
        temporary = self.config_path + ".new"
        with open(temporary, "w", encoding="utf-8") as handle:
            handle.write(text + "\n")
        os.rename(temporary, self.config_path)

    def start(self, wait=True):
        self.stdout = open(os.path.join(self.directory, "stdout"), "wb+")
        self.process = subprocess.Popen(self.command, env=self.env, cwd=self.directory, stdin=subprocess.DEVNULL,
                                        stdout=self.stdout, stderr=subprocess.PIPE)
        self.reading = threading.Event()
        self.reading.set()
        self.reader = threading.Thread(target=self._read, args=(self.process.stderr,), daemon=True)
        self.reader.start()
        if wait:
            try:
                self._wait_started()
            except StartFailed:
                self.cleanup()
                raise

    def _wait_started(self):
        wanted = wanted_listeners(self.config) if isinstance(self.config, dict) else 5
        with self.changed:
            self.changed.wait_for(lambda: self.closed or self._seen() >= wanted, DEADLINE)
            if self._seen() < wanted:
                text = "\n".join(self.lines)
                raise StartFailed(None if not self.closed else self.process.wait(DEADLINE), text)
        for name, found in self.addresses.items():
            if found:
                setattr(self, name, found[0])

    def _seen(self):
        return sum(map(len, self.addresses.values()))

    def _read(self, stream):
        """Keeps the lines; `reading` may be cleared to play a reader that stalls."""
        while True:
            self.reading.wait()
            line = stream.readline()
            if not line:
                break
            text = line.decode("utf-8", "surrogateescape").rstrip("\n")
            with self.changed:
                self.lines.append(text)
                self._note_address(text)
                self.changed.notify_all()
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def _note_address(self, text):
        if " starting" in text:
            record = parse(text)
            name = STARTED.get(record.get("msg"))
            if name and "addr" in record:
                self.addresses[name].append(split_address(record["addr"]))

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process.poll() is None

    def send_signal(self, number):
        self.process.send_signal(number)

    def wait(self, deadline=None):
        """The exit status, after the last line of the log was read."""
        code = self.process.wait(DEADLINE if deadline is None else deadline)
        self.reading.set()
        with self.changed:
            assert self.changed.wait_for(lambda: self.closed, DEADLINE), "the log did not end with the process"
        return code

    def stop(self, number=signal.SIGTERM, deadline=None):
        if self.alive():
            self.send_signal(number)
        return self.wait(deadline)

    def cleanup(self):
        if self.process:
            if self.alive():
                self.process.kill()
            self.process.wait()
            self.reading.set()
            self.reader.join(DEADLINE)
            self.process.stderr.close()
            self.stdout.close()
        if not os.environ.get("IRON_TEST_KEEP"):
            shutil.rmtree(self.directory, ignore_errors=True)

    def printed(self):
        """What the process wrote to its standard output."""
        with open(os.path.join(self.directory, "stdout"), "rb") as handle:
            return handle.read()

    # -- records

    def text(self):
        with self.changed:
            return "\n".join(self.lines)

    def records(self, msg=None):
        with self.changed:
            found = [parse(line) for line in self.lines]
        return [record for record in found if msg is None or record.get("msg") == msg]

    def mark(self):
        """A place in the log; give it to wait_record() to look only behind it."""
        with self.changed:
            return len(self.lines)

    def wait_record(self, msg, matches=lambda record: True, after=None, count=1):
        """The `count`th record of this test with that message for which `matches` holds."""
        end = time.monotonic() + DEADLINE
        seen, found = self.looked_from if after is None else after, []
        with self.changed:
            while True:
                for line in self.lines[seen:]:
                    record = parse(line)
                    if record.get("msg") == msg and matches(record):
                        found.append(record)
                seen = len(self.lines)
                if len(found) >= count:
                    return found[count - 1]
                if self.closed or not self.changed.wait(max(0.0, end - time.monotonic())):
                    if self.closed and seen < len(self.lines):
                        continue
                    tail = "\n".join(self.lines[-12:])
                    raise AssertionError(f"{len(found)} of {count} records {msg!r}; the log ends with\n{tail}")

    def wait_request(self, after=None, count=1, **audit):
        """The request record whose `audit` group has these values."""
        return self.wait_record(
            "request", lambda record: all(record["audit"].get(key) == value for key, value in audit.items()), after, count)


def parse(line):
    """The record of a line; a line that is not JSON becomes {"text": line}."""
    try:
        return json.loads(line)
    except ValueError:
        return {"text": line}
