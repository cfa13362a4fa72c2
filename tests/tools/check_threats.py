#!/usr/bin/env python3
"""Every row of docs/security.md names tests that there are, and a defence that tests/tools/remove_defences can take away."""
import pathlib
import re
import sys

from defences import DEFENCES

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| .* \| (`\w+`|-) \| (\S+) ((?:`\w+`(?:, )?)+) \|$")


def main():
    faults, named = [], set()
    for number, line in enumerate((ROOT / "docs/security.md").read_text().splitlines(), 1):
        if not re.search(r"\.(py|cc) `", line) or not line.startswith("| "):
            continue
        row = ROW.match(line)
        if not row:
            faults.append(f"{number}: not a row of the table")
            continue
        named.add(row[1].strip("`"))
        path = ROOT / "tests" / row[2]
        text = path.read_text() if path.exists() else ""
        faults += [f"{number}: no {test} in {row[2]}" for test in re.findall(r"`(\w+)`", row[3]) if not re.search(rf"\b{test}\b", text)]
    known = {defence.name for defence in DEFENCES}
    faults += [f"no row has the defence {name}" for name in sorted(known - named)]
    faults += [f"there is no defence {name}" for name in sorted(named - known - {"-"})]
    for fault in faults:
        print(f"docs/security.md: {fault}", file=sys.stderr)
    if not faults:
        print("threats: ok")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
