#!/usr/bin/env python3
"""Patterns that no file may hold: co_await where GCC 12 miscompiles it, TODO without an issue, paths of a machine, and the like."""
import re
import sys

import sources

# (what is wrong, pattern, files it applies to, files excepted); the C++ ones see neither comments nor literals.
IN_CODE = [
    ("std::regex is not linear in its input", r"std::(basic_)?regex\b", r".*", r"tests/.*"),
    ("a test waits for a condition, it does not sleep", r"\bsleep_(for|until)\b|\busleep\s*\(", r"tests/.*", r""),
    ("<format> and <expected> are missing in GCC 12", r"#\s*include\s*<(format|expected)>", r".*", r""),
    ("asynchronous Beast calls cost a minute of build time", r"\bhttp::async_(read|write)", r".*", r""),
    ("detached work has no owner", r"\basio::detached\b", r"(policy|tls|transforms)/.*", r""),
]
IN_TEXT = [
    ("a TODO names its issue: TODO(#12)", r"\b(TODO|FIXME|XXX)\b(?!\(#\d+\))", r".*\.(h|cc|py|cmake)|CMakeLists\.txt", r"tests/tools/.*"),
    ("the repository stands alone", r"/work/|/root/|\.\./shared|\bspec/\d\d|\bchapter \d", r".*", r"\.ci/run|tests/tools/check_patterns\.py"),
    ("a wire test waits for a condition, it does not sleep", r"\btime\.sleep\(", r"tests/wire/.*", r""),
]
KEYWORDS = {"if", "while", "switch", "return", "co_return", "for"}


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def await_fault(code, start):
    """Why the co_await at this offset breaks the writing rules of CONTRIBUTING.md, or None."""
    depth = 0
    for at in range(start - 1, -1, -1):
        char = code[at]
        if char in ")]":
            depth += 1
        elif char in "([":
            if depth:
                depth -= 1
                continue
            word = re.search(r"(\w+)\s*$", code[:at])
            if char == "(" and (word is None or word.group(1) in KEYWORDS):
                continue
            return "co_await inside an argument list or index"
        elif depth == 0:
            if char in ";{}":
                break
            if char == "?":
                return "co_await inside ?:"
            if char == "," :
                return "co_await after a comma"
    depth = 0
    for at in range(start, len(code)):
        char = code[at]
        if char == "{":
            # The brace of `if (co_await f()) {` stands outside the call, an aggregate or lambda body inside; {} is a value.
            if code[at:at + 2] == "{}":
                continue
            return "braces inside an awaited expression" if depth > 0 else None
        if char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
        elif char == ";":
            return None
        elif char == "?" and depth <= 0:
            return "co_await inside ?:"
        elif char == "c" and at > start and re.match(r"co_await\b", code[at:at + 9]):
            return "two co_await in one statement"
    return None


def faults_of(path):
    text = sources.read(path)
    for why, pattern, applies, excepted in IN_TEXT:
        if re.fullmatch(applies, path) and not re.fullmatch(excepted, path):
            for match in re.finditer(pattern, text):
                yield f"{path}:{line_of(text, match.start())}: {why}: {match.group()}"
    if not path.endswith((".h", ".cc")):
        return
    code = sources.bare_code(text)
    for why, pattern, applies, excepted in IN_CODE:
        if re.fullmatch(applies, path) and not re.fullmatch(excepted, path):
            for match in re.finditer(pattern, code):
                yield f"{path}:{line_of(code, match.start())}: {why}"
    for match in re.finditer(r"\bco_await\b", code):
        why = await_fault(code, match.start())
        if why:
            yield f"{path}:{line_of(code, match.start())}: {why}"


def main():
    faults = []
    for path in sources.tracked():
        try:
            faults += faults_of(path)
        except UnicodeDecodeError:
            continue
    return sources.report("patterns", faults)


sys.exit(main())
