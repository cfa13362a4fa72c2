"""Traffic while the log can not be written: full disk, stalled reader, reader gone; nothing is lost uncounted."""
import os
import threading

from faultcase import WireTest, main, wait_until
from harness.proxy import own_address, split_address
from traffic import Traffic


class Log(WireTest):
    starts_proxy = False

    def traffic(self, proxy, workers=8):
        # Lines of about 1 KiB fill a pipe within a hundred requests.
        traffic = Traffic(self, proxy, self.upstream, workers, fields=[("X-Padding", "p" * 100)])
        self.addCleanup(traffic.ending.set)
        return traffic

    def accounted(self, proxy):
        return len(proxy.records("request")) + sum(record["count"] for record in proxy.records("log records lost"))

    def test_full_disk(self):
        proxy = self.own_proxy({"log": {"level": "info", "audit_path": "/dev/full"}})
        traffic = self.traffic(proxy)
        traffic.wait(500)
        traffic.stop()
        self.assertEqual([], traffic.failures)
        self.assertLess(len(proxy.lines), 100, "the log says it again and again")

    def test_limit_of_file_sizes(self):
        """The kernel's signal for it would end the process, whichever thread writes."""
        proxy = self.own_proxy({"log": {"level": "info", "audit_path": os.path.join(self.certificates.directory, f"limited-{os.getpid()}.log")}},
                               command_prefix=("prlimit", "--fsize=20000:20000", "--"))
        traffic = self.traffic(proxy)
        traffic.wait(500)
        traffic.stop()
        self.assertEqual([], traffic.failures)
        self.assertTrue(proxy.alive())

    def test_standard_error_on_a_full_disk(self):
        proxy = self.own_proxy(start=False, command_prefix=("sh", "-c", 'exec "$@" 2>/dev/full', "sh"))
        for name, block, key in (("http", "proxy", "http_listen"), ("https", "proxy", "https_listen"), ("tunnel", "proxy", "tunnel_listen"),
                                 ("metrics", "metrics", "listen"), ("dns", "dns", "listen")):
            address = own_address()
            proxy.config.setdefault(block, {})[key] = address
            setattr(proxy, name, split_address(address))
        proxy.write_config(proxy.config)
        proxy.start(wait=False)

        def listens():
            try:
                self.plain(proxy)
                return True
            except OSError:
                return False
        wait_until(listens, "the listener")
        traffic = self.traffic(proxy)
        traffic.wait(200)
        traffic.stop()
        self.assertEqual([], traffic.failures)

    def test_stalled_reader_within_the_buffer(self):
        proxy = self.own_proxy()
        traffic = self.traffic(proxy)
        traffic.wait(50)
        proxy.reading.clear()
        traffic.wait(1000)
        proxy.reading.set()
        count = traffic.stop()
        self.assertEqual([], traffic.failures)
        proxy.wait_record("request", count=count)

    def test_stalled_reader_makes_requests_wait(self):
        proxy = self.own_proxy({"log": {"level": "info", "buffer_bytes": 100000}})
        traffic = self.traffic(proxy)
        traffic.wait(50)
        proxy.reading.clear()
        self.wait_for_standstill(traffic)
        proxy.reading.set()
        traffic.wait(50)
        count = traffic.stop()
        self.assertEqual([], traffic.failures)
        proxy.wait_record("request", count=count)
        self.assertEqual([], proxy.records("log records lost"))

    def wait_for_standstill(self, traffic):
        """Until no request was answered for half a second."""
        while True:
            seen = len(traffic.targets)
            threading.Event().wait(0.5)
            if len(traffic.targets) == seen:
                return

    def test_stalled_reader_and_drop(self):
        proxy = self.own_proxy({"log": {"level": "info", "buffer_bytes": 100000, "when_full": "drop"}})
        traffic = self.traffic(proxy)
        traffic.wait(50)
        proxy.reading.clear()
        traffic.wait(1500)
        proxy.reading.set()
        traffic.wait(50)
        count = traffic.stop()
        self.assertEqual([], traffic.failures)
        self.assertEqual(200, self.plain(proxy).request("GET", "/last", self.upstream.host()).status)
        wait_until(lambda: self.accounted(proxy) >= count + 1, "every record to be written or counted")
        self.assertEqual(count + 1, self.accounted(proxy))
        self.assertGreater(len(proxy.records("log records lost")), 0)

    def test_reader_gone(self):
        proxy = self.own_proxy()
        traffic = self.traffic(proxy)
        traffic.wait(50)
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), proxy.process.stderr.fileno())
        wait_until(lambda: proxy.closed, "the reader to be gone")
        if not proxy.lines[-1].endswith("}"):
            proxy.lines.pop()  # the end came inside this line
        traffic.wait(500)
        traffic.stop()
        self.assertEqual([], traffic.failures)
        self.assertTrue(proxy.alive())


if __name__ == "__main__":
    main()
