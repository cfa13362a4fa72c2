#!/usr/bin/env python3
"""Prints two texts side by side: columns.py LEFT-TITLE LEFT-FILE RIGHT-TITLE RIGHT-FILE."""
import itertools
import sys
import textwrap

WIDTH = 58


def column(title, path):
    with open(path, encoding="utf-8", errors="replace") as handle:
        lines = handle.read().splitlines()
    folded = itertools.chain.from_iterable(textwrap.wrap(line, WIDTH) or [""] for line in lines)
    return [title, "-" * WIDTH, *folded]


def main():
    left_title, left, right_title, right = sys.argv[1:5]
    rows = itertools.zip_longest(column(left_title, left), column(right_title, right), fillvalue="")
    for one, other in rows:
        print(f"  {one:<{WIDTH}} | {other}".rstrip())


main()
