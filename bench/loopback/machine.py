"""What the kernel says of processes and the machine, and child processes that never outlive the run."""
import contextlib
import ctypes
import os
import select
import signal
import subprocess
import time
from pathlib import Path

TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1
C_LIBRARY = ctypes.CDLL(None)
LINE_LIMIT = 1 << 20


def family(pid):
    """The process and its descendants."""
    found = [pid]
    for member in found:
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{member}/task"):
                children = Path(f"/proc/{member}/task/{thread}/children").read_text(encoding="utf-8")
                found += [int(child) for child in children.split()]
    return found


def family_cpu_us(pid):
    """CPU time of the process and of the descendants it has now, microseconds."""
    total = cpu_us(pid)
    for child in family(pid)[1:]:
        with contextlib.suppress(OSError):
            total += cpu_us(child)
    return total


def cpu_us(pid):
    """CPU time of a process and its threads, microseconds: its clock, or utime and stime where that is refused."""
    with contextlib.suppress(OSError):
        return time.clock_gettime_ns((~pid << 3) | 2) / 1e3  # CPUCLOCK_SCHED of the process, see clock_getcpuclockid(3)
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_US


def busy_us():
    """CPU time that the machine has spent on anything, microseconds."""
    fields = [int(part) for part in Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()[1:]]
    return (sum(fields[:3]) + sum(fields[5:8])) * TICK_US


def resident_kib(pid):
    return _kib(f"/proc/{pid}/status", "VmRSS")


def memory_kib(pid):
    """Proportional set size without the pages of files, KiB: what is shared with other programs, such as libraries, changes
    when those start or end. Resident size where the kernel refuses to tell."""
    try:
        return sum(_kib(f"/proc/{pid}/smaps_rollup", part) for part in ("Pss_Anon", "Pss_Shmem", "SwapPss"))
    except (OSError, StopIteration):
        return resident_kib(pid)


def _kib(file, field):
    with open(file, encoding="utf-8") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))


def settled_memory_kib(pid, limit=3.0):
    """Memory once it has stopped to fall: connections give buffers back when they have idled for a while."""
    deadline = time.monotonic() + limit
    last = memory_kib(pid)
    calm = 0
    while calm < 3 and time.monotonic() < deadline:
        time.sleep(0.25)
        now = memory_kib(pid)
        calm = calm + 1 if abs(now - last) <= 0.002 * last else 0
        last = now
    return last


class Child:
    """A process that ends with this one. `processors`: those it may use."""

    def __init__(self, command, processors, environment=None, log=subprocess.DEVNULL, folder=None, speaks=True):
        def prepare():
            C_LIBRARY.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            os.sched_setaffinity(0, processors)

        pipe = subprocess.PIPE if speaks else None
        self.command = [str(part) for part in command]
        self.started = time.monotonic()
        self.process = subprocess.Popen(self.command, env=environment, cwd=folder, preexec_fn=prepare,
                                        stdin=pipe or subprocess.DEVNULL, stdout=pipe or log, stderr=log)
        self.unread = b""

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process.poll() is None

    def line(self, seconds):
        """The next line it prints."""
        deadline = time.monotonic() + seconds
        output = self.process.stdout.fileno()
        while b"\n" not in self.unread:
            ready, _, _ = select.select([output], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise RuntimeError(f"{os.path.basename(self.command[0])} said nothing for {seconds:.0f} s")
            piece = os.read(output, LINE_LIMIT)
            if not piece:
                raise RuntimeError(f"{os.path.basename(self.command[0])} ended, exit code {self.process.wait()}")
            self.unread += piece
        line, self.unread = self.unread.split(b"\n", 1)
        return line.decode()

    def go_on(self):
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def end(self):
        """Ends it by its id, and what it has started; twice is once."""
        started = family(self.pid)[1:] if self.running() else []
        with contextlib.suppress(OSError):
            self.process.kill()
        self.process.wait()
        for pid in started:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
