"""bench/overhead from end to end, with just enough of each to be a figure: no figure is judged, only that it is there."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = os.environ.get("IRON_TEST_BUILD", str(ROOT / "build" / "bench"))
sys.path.insert(0, str(ROOT / "bench"))
from loopback import cases, machine  # noqa: E402

COMMAND = [sys.executable, "-B", str(ROOT / "bench" / "overhead"), "--smoke", "--build", BUILD]
DEADLINE = 240


class Overhead(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="iron-test-overhead-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.temporary = self.folder / "temporary"
        self.temporary.mkdir()
        self.environment = {**os.environ, "TMPDIR": str(self.temporary)}

    def run_it(self, *options):
        return subprocess.run([*COMMAND, *options], env=self.environment, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=DEADLINE, check=False)

    def assert_positive(self, row, *names):
        for name in names:
            self.assertGreater(row.get(name, 0), 0, name)

    def assert_nothing_left(self):
        self.assertEqual([], list(self.temporary.iterdir()))

    def test_all_rows(self):
        results, plot = self.folder / "results.json", self.folder / "bars.svg"
        done = self.run_it("--json", str(results), "--plot", str(plot))
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        run = json.loads(results.read_text(encoding="utf-8"))
        lines = {tuple(line.split()[:2]): line.split()[2:] for line in done.stdout.splitlines()}
        for case in cases.standard_cases(cases.smoke_sizes()):
            expected = {"iron", "floor"} | ({"direct"} if case.direct else set()) | ({"floor-resume"} if case.resumes else set())
            self.assertEqual(expected, set(run["summary"][case.name]), case.name)
            for target, row in run["summary"][case.name].items():
                with self.subTest(case=case.name, target=target):
                    self.assertTrue(row["valid"], row)
                    self.assert_positive(row, "per_s", "p50_us", "p99_us")
                    if target != "direct":
                        self.assert_positive(row, "cpu_us_per_unit")
                        self.assert_positive(row["vs_floor"], "cpu_us_per_unit")
                        self.assertGreater(float(lines[case.name, target][0]), 0)
                    if case.memory:
                        self.assert_positive(row, "memory_kib_per_unit")
                    if target == "iron":
                        self.assertEqual(1, row["swapped"])
                    if case.base:
                        self.assert_positive(row["vs_ten"], "per_s")
        self.assertGreater(run["summary"]["new_resume"]["iron"]["resumed_share"], 0.5)
        self.assertEqual(0, run["summary"]["new_both"]["iron"]["resumed_share"])
        self.assertIn("other_load", done.stdout)
        self.assertEqual(run["meta"]["other_load"] > 0.2, "DO NOT COUNT" in done.stdout)
        self.assertTrue(plot.read_text(encoding="utf-8").startswith("<svg"))
        self.assert_nothing_left()
        self.fill_in_documents(results)

    def fill_in_documents(self, results):
        """bench/plot understands what bench/overhead writes."""
        documents = self.folder / "docs"
        documents.mkdir()
        shutil.copy(ROOT / "docs" / "performance.md", documents)
        subprocess.run([sys.executable, "-B", str(ROOT / "bench" / "plot"), str(results), "--docs", str(documents)],
                       stderr=subprocess.DEVNULL, timeout=DEADLINE, check=True)
        rows = {line.split("|")[1].strip(): line for line in (documents / "performance.md").read_text().splitlines()
                if line.count("|") > 7}
        for start in ("keep-alive request, 1 connection, all", "connection, full handshakes", "download", "memory per idle tunnel"):
            row = next(line for text, line in rows.items() if text.startswith(start))
            self.assertNotIn("not measured yet", row)

    def test_a_program_that_does_not_run_is_named(self):
        done = self.run_it("--only", "ka1_same", "--target", "floor", "--peer", f"broken={shutil.which('false')}")
        self.assertEqual(1, done.returncode, done.stdout + done.stderr)
        self.assertIn("failed: RuntimeError: broken does not listen", done.stdout)
        self.assertIn("1 of 2 measurements failed", done.stderr)
        self.assert_nothing_left()

    def test_wrong_arguments(self):
        for options in (("--only", "nothing"), ("--rounds", "0"), ("--secs", "1000"), ("--peer", "iron=/bin/true"),
                        ("--peer", "p=/nowhere")):
            with self.subTest(options=options):
                done = self.run_it(*options)
                self.assertEqual(2, done.returncode)
                self.assertIn(options[0], done.stderr)

    def test_ends_what_it_started(self):
        for number, wanted in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
            with self.subTest(signal=number):
                self.interrupt(number, wanted)

    def interrupt(self, number, wanted):
        run = subprocess.Popen([*COMMAND, "--only", "sse", "--rounds", "50"], env=self.environment,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            deadline = time.monotonic() + DEADLINE
            started = []
            while len(started) < 3:  # origin, proxy, client
                self.assertIsNone(run.poll())
                self.assertLess(time.monotonic(), deadline)
                started = [pid for pid in machine.family(run.pid)[1:] if self.starttime(pid)]
                time.sleep(0.01)
            times = {pid: self.starttime(pid) for pid in started}
            run.send_signal(number)
            _, said = run.communicate(timeout=DEADLINE)
            self.assertEqual(wanted, run.returncode, said)
            while left := [pid for pid, begin in times.items() if begin and self.starttime(pid) == begin]:
                self.assertLess(time.monotonic(), deadline, left)
                time.sleep(0.01)
            self.assert_nothing_left()
        finally:
            if run.poll() is None:
                run.kill()
                run.communicate()

    @staticmethod
    def starttime(pid):
        """When the process started, which tells it from a later one with its number; None if it runs no more."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]


if __name__ == "__main__":
    unittest.main()
