#!/usr/bin/env python3
"""Documents that are pointed to exist: `docs/x.md` and "docs/x.md, \"Section\"" anywhere, relative links in Markdown."""
import os
import re
import sys

import sources
from defences import DEFENCES

MENTION = re.compile(r'\bdocs/([\w-]+\.md)(?:\)?,\s+(?:///?\s*)?"([^"\n]+)")?')
# The last column of a row of docs/compatibility.md: a file below tests/, and often a name in it.
TEST = re.compile(r"\| (\w+/[\w/]+\.(?:py|cc))(?: `(\w+)`)?[^|]*\|$")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def headings(path):
    return {line.lstrip("#").strip() for line in sources.read(path).splitlines() if line.startswith("#")}


def faults_of(path):
    text = sources.read(path)
    for name, section in MENTION.findall(text):
        target = "docs/" + name
        if not os.path.exists(os.path.join(sources.ROOT, target)):
            yield f"{path}: {target} does not exist"
        elif section and section not in headings(target):
            yield f'{path}: {target} has no section "{section}"'
    if path.endswith(".md"):
        for link in LINK.findall(text):
            if "://" not in link and not os.path.exists(os.path.join(sources.ROOT, os.path.dirname(path), link)):
                yield f"{path}: {link} does not exist"


def untested_rows(path, section=""):
    """Rows, of this section if one is given, that name no test, or one that does not exist."""
    inside = not section
    for line in sources.read(path).splitlines():
        inside = line == section if section and line.startswith("## ") else inside
        if not inside or not line.startswith("| ") or line.startswith(("| ---", "| v0.39.0 |")) or line.endswith("| test |"):
            continue
        match = TEST.search(line)
        target = match and "tests/" + match.group(1)
        if target is None or not os.path.exists(os.path.join(sources.ROOT, target)):
            yield f"{path}: no such test: {line[-80:]}"
        elif match.group(2) and not re.search(rf"\b{match.group(2)}\b", sources.read(target)):
            yield f"{path}: {target} has no {match.group(2)}"


def unknown_defences(path):
    """The third column names entries of defences.py, and every entry is named."""
    named = set(re.findall(r"^(?:\| [^|]*){2}\| `(\w+)` \|", sources.read(path), re.M))
    known = {defence.name for defence in DEFENCES}
    for name in sorted(named ^ known):
        yield f"{path}: {name} is only {'here' if name in named else 'in tests/tools/defences.py'}"


def main():
    files = sources.tracked("*.md", "*.h", "*.cc", "*.py", "*.cmake", "*.txt", "*.yaml")
    faults = [fault for path in files if path != "tests/tools/check_links.py" for fault in faults_of(path)]
    return sources.report("links", faults + list(untested_rows("docs/compatibility.md")) +
                          list(untested_rows("docs/security.md", "## Threats, defences, tests")) + list(unknown_defences("docs/security.md")))


sys.exit(main())
