#!/usr/bin/env python3
"""Every header compiles alone. What a source includes before all else is shown by the build of that source; the rest is parsed here."""
import concurrent.futures
import os
import re
import subprocess
import sys

import sources

OUT = os.path.join(sources.ROOT, "build", "header-check")
COMPILER = os.environ.get("CXX", "clang++-19")
# The first directive of a file, if it includes a header of the repository.
FIRST = re.compile(r'\A(?:[^#\n][^\n]*\n|\n)*#\s*include "([^"\n]+)"')


def shown_by_the_build():
    """Headers that come first in a source that a CMake file names."""
    lists = "".join(map(sources.read, sources.tracked("*CMakeLists.txt", "*.cmake")))
    built = set(re.findall(r"\w+\.cc\b", lists))
    found = (FIRST.match(sources.read(path)) for path in sources.tracked("*.cc") if os.path.basename(path) in built)
    return {match.group(1) for match in found if match}


def compile_alone(header):
    source = os.path.join(OUT, header.replace("/", "_") + ".cc")
    with open(source, "w", encoding="utf-8") as handle:
        handle.write(f'#include "{header}"\n')
    command = [COMPILER, "-std=c++20", "-I.", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", source]
    done = subprocess.run(command, cwd=sources.ROOT, capture_output=True, text=True)
    return None if done.returncode == 0 else f"{header} does not compile alone:\n{done.stderr}"


def main():
    os.makedirs(OUT, exist_ok=True)
    shown = shown_by_the_build()
    headers = [header for header in sources.tracked("*.h") if header not in shown]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        faults = [fault for fault in pool.map(compile_alone, headers) if fault]
    return sources.report("headers", faults)


sys.exit(main())
