"""Deadlines. A test never sleeps for a guessed time: it waits for a condition, and fails when the deadline passes."""
import os
import select
import time

SLOWNESS = float(os.environ.get("IRON_TEST_SLOWNESS", "1"))
DEADLINE = 15.0 * SLOWNESS


class Stopwatch:
    """Durations that are part of what is promised; the upper bounds grow with slow builds."""

    def __init__(self):
        self.started = time.monotonic()

    def check(self, test, at_most, at_least=0.0):
        took = time.monotonic() - self.started
        test.assertTrue(at_least <= took <= at_most * SLOWNESS, f"took {took:.2f} s, not between {at_least} and {at_most * SLOWNESS}")


def wait_until(condition, what, deadline=None):
    """For conditions that nothing announces (/proc, files): asks every 10 ms. Returns the first true value."""
    end = time.monotonic() + (DEADLINE if deadline is None else deadline)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within the deadline: {what}")
        select.select([], [], [], 0.01)


def read_text(path):
    """What a file holds now; nothing if it is not there."""
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except FileNotFoundError:
        return ""


def processor_seconds(pid):
    """Processor time that a process has used."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
