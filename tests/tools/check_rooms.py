#!/usr/bin/env python3
"""Every .cc of the proxy's engine has a room: a header of its name beside it, and a unit test of its name that includes that header."""
import os
import re
import sys

import sources

WINGS = ("wait", "net", "http", "http1", "exchange", "client")
LIST = "tests/proxy/tests.cmake"
# Rooms that are still to come. A line whose test is there, or whose file is not, is a fault.
MISSING = set("""
""".split())


def faults_of(path, tracked, built):
    """What this .cc lacks."""
    header = path[:-len("cc")] + "h"
    test = f"tests/proxy/{os.path.basename(path)[:-len('.cc')]}_test.cc"
    if header not in tracked:
        yield f"{path}: no {header}"
    if test not in tracked:
        yield f"{path}: no {test}"
        return
    if not re.search(rf'^#include "{re.escape(header)}"$', sources.read(test), re.MULTILINE):
        yield f"{path}: {test} does not include {header}"
    if os.path.basename(test) not in built:
        yield f"{path}: {test} is not in {LIST}"


def main():
    tracked = set(sources.tracked("proxy/*", "tests/proxy/*"))
    built = set(re.findall(r"\w+_test\.cc", sources.read(LIST)))
    rooms = {path for path in tracked if re.fullmatch(rf"proxy/({'|'.join(WINGS)})/\w+\.cc", path)}
    faults = [fault for path in sorted(rooms - MISSING) for fault in faults_of(path, tracked, built)]
    for path in sorted(MISSING):
        test = f"tests/proxy/{os.path.basename(path)[:-len('.cc')]}_test.cc"
        if path not in rooms or test in tracked:
            faults.append(f"tests/tools/check_rooms.py: MISSING names what is not missing: {path}")
    return sources.report("rooms", faults)


sys.exit(main())
