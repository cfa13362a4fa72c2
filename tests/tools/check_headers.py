#!/usr/bin/env python3
"""Every header compiles alone: one generated file per header, compiled as the build does (ccache keeps it cheap)."""
import concurrent.futures
import os
import shutil
import subprocess
import sys

import sources

OUT = os.path.join(sources.ROOT, "build", "header-check")
COMPILER = os.environ.get("CXX", "clang++-19")


def compile_alone(header):
    base = os.path.join(OUT, header.replace("/", "_"))
    text = f'#include "{header}"\n'
    if not os.path.exists(base + ".cc") or open(base + ".cc", encoding="utf-8").read() != text:
        with open(base + ".cc", "w", encoding="utf-8") as handle:
            handle.write(text)
    command = [COMPILER, "-std=c++20", "-I.", "-Wall", "-Wextra", "-Werror", "-c", base + ".cc", "-o", base + ".o"]
    if shutil.which("ccache"):
        command.insert(0, "ccache")
    done = subprocess.run(command, cwd=sources.ROOT, capture_output=True, text=True)
    return None if done.returncode == 0 else f"{header} does not compile alone:\n{done.stderr}"


def main():
    os.makedirs(OUT, exist_ok=True)
    headers = sources.tracked("*.h")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        faults = [fault for fault in pool.map(compile_alone, headers) if fault]
    return sources.report("headers", faults)


sys.exit(main())
