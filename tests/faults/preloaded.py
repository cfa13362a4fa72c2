"""The base of tests whose program has the library of failing_calls.cc preloaded, which counts calls and fails one of them."""
import mmap
import os
import struct
import tempfile
import unittest

from faultcase import WireTest

SHIM = os.environ.get("IRON_FAILING_CALLS", "")


class Calls:
    """The control block that failing_calls.cc maps."""

    KINDS = {"memory": 0, "sockets": 24}

    def __init__(self, directory):
        self.path = os.path.join(directory, "control")
        with open(self.path, "wb") as handle:
            handle.write(bytes(4096))
        with open(self.path, "r+b") as handle:
            self.map = mmap.mmap(handle.fileno(), 4096)

    def arm(self, kind, number):
        at = self.KINDS[kind]
        struct.pack_into("=QQQ", self.map, at, 0, 0, 0)
        struct.pack_into("=Q", self.map, at, number)

    def count(self, kind):
        """Calls since it was armed."""
        return struct.unpack_from("=Q", self.map, self.KINDS[kind] + 8)[0]

    def disarm(self, kind):
        """Whether the call was reached."""
        at = self.KINDS[kind]
        struct.pack_into("=Q", self.map, at, 0)
        return struct.unpack_from("=Q", self.map, at + 16)[0] > 0


@unittest.skipUnless(SHIM, "IRON_FAILING_CALLS does not name the library of failing_calls.cc")
@unittest.skipIf(os.environ.get("IRON_SANITIZE"), "sanitizers have allocators of their own")
class PreloadedTest(WireTest):
    """`calls` is there for each test; a proxy started with the variables of preload() obeys it."""

    starts_proxy = False

    def setUp(self):
        super().setUp()
        directory = tempfile.mkdtemp(prefix="iron-calls-")
        self.addCleanup(os.rmdir, directory)
        self.calls = Calls(directory)
        self.addCleanup(os.remove, self.calls.path)

    def preload(self):
        return {"LD_PRELOAD": SHIM, "FAILING_CALLS": self.calls.path}
