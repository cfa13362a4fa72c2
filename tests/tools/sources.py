"""Files of the repository, and C++ text without comments and literals, for the check scripts."""
import os
import re
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Order matters: what starts first in the text wins.
_NOISE = re.compile(
    r'R"(?P<tag>[^()\\\s]*)\(.*?\)(?P=tag)"'
    r"|//[^\n]*|/\*.*?\*/"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|(?<![0-9a-fA-F])'(?:[^'\\\n]|\\.)+'",
    re.DOTALL)


def tracked(*patterns):
    """Paths, relative to the root, of files that git knows or would add."""
    done = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns],
                          cwd=ROOT, check=True, capture_output=True, text=True)
    return sorted({path for path in done.stdout.split("\0") if path and os.path.isfile(os.path.join(ROOT, path))})


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as handle:
        return handle.read()


def bare_code(text):
    """The text with comments and literals blanked, line numbers kept."""
    return _NOISE.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def report(name, faults):
    """Prints the faults and returns the exit status."""
    for fault in faults:
        print(f"{name}: {fault}")
    print(f"{name}: {'%d faults' % len(faults) if faults else 'ok'}")
    return 1 if faults else 0
