"""Client programs, installed once below the build folder from the public registries by their ordinary clients."""
import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile

FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAMS = os.path.join(FOLDER, "programs")
LOCKS = os.path.join(FOLDER, "locks")
BUILD = os.path.abspath(os.environ.get("IRON_TEST_BUILD") or tempfile.mkdtemp(prefix="iron-clients-"))
# What the installers say about a file that is not the pinned one: that is a fault, never a reason to skip.
FORGED = ("DO NOT MATCH THE HASHES", "EINTEGRITY", "checksum mismatch", "SECURITY ERROR")


def run(command, **options):
    return subprocess.run(command, **{"check": True, "capture_output": True, "text": True, "timeout": 400, "stdin": subprocess.DEVNULL} | options)


def read(path):
    with open(path, "rb") as handle:
        return handle.read()


def once(name, make, *pinned_by):
    """A folder below the build, filled once by `make` and again when a file of `pinned_by` changes. None, said on a line, if it failed.

    Tests that run at the same time wait for it. A failure is remembered for the process: the other tests of it skip at once.
    """
    digest = hashlib.sha256(b"".join(map(read, pinned_by))).hexdigest()
    return _once(name, make, digest)


@functools.cache
def _once(name, make, digest):
    folder = os.path.join(BUILD, "clients-" + name)
    os.makedirs(BUILD, exist_ok=True)
    done = os.path.join(folder, "done")
    with open(folder + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(done) and read(done) == digest.encode():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        try:
            make(folder)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired, OSError) as error:
            output = "".join(text if isinstance(text, str) else "" for text in (getattr(error, "stdout", ""), getattr(error, "stderr", ""))) or str(error)
            if any(mark in output for mark in FORGED):
                raise AssertionError(f"{name}: what a registry serves is not what is pinned:\n{output[-2000:]}") from None
            print(f"{name}: not installable here: {output.strip().splitlines()[-1][:200]}", flush=True)
            return None
        with open(done, "w", encoding="ascii") as handle:
            handle.write(digest)
    return folder


def make_venv(folder, *arguments):
    run([sys.executable, "-m", "venv", os.path.join(folder, "venv")])
    run([os.path.join(folder, "venv/bin/pip"), "install", "-q", "--disable-pip-version-check", "--retries", "1", "--no-deps", "--only-binary", ":all:", *arguments])


def make_python(folder):
    make_venv(folder, "--require-hashes", "-r", os.path.join(LOCKS, "python.txt"))


def make_python_nightly(folder):
    make_venv(folder, "-r", os.path.join(LOCKS, "nightly.txt"))


def make_node(folder, lock="node"):
    for name in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(LOCKS, lock, name), folder)
    run(["npm", "ci", "--loglevel=error", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"], cwd=folder)


def make_node_nightly(folder):
    make_node(folder, "node-nightly")


def python(nightly=False):
    """The folder of a virtual environment's programs, or None."""
    lock = "nightly.txt" if nightly else "python.txt"
    folder = once("python-nightly" if nightly else "python", make_python_nightly if nightly else make_python, os.path.join(LOCKS, lock))
    return folder and os.path.join(folder, "venv/bin")


def node(nightly=False):
    """A `node_modules`, or None."""
    name = "node-nightly" if nightly else "node"
    folder = once(name, make_node_nightly if nightly else make_node, os.path.join(LOCKS, name, "package-lock.json"))
    return folder and os.path.join(folder, "node_modules")
