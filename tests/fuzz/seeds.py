"""The corpora: corpus/TARGET.pack holds the seeds of a target, corpus/TARGET/finding-* what a fuzzer once found.

A pack is a row of entries: the length of the name (one byte), the name, the length of the input (four bytes, the least significant
first), the input. Written seeds have names, seed-…; what a fuzzer kept because it reaches new code has none. replay_main.cc reads it too.
"""
import hashlib
import pathlib
import struct

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"


def encode(entries):
    """Bytes of (name, input) pairs, sorted; an input is in it once, with its name if it has one."""
    named = sorted((name, content) for name, content in entries if name)
    known = {content for _, content in named}
    kept = sorted({content for name, content in entries if not name} - known)
    return b"".join(bytes([len(name.encode())]) + name.encode() + struct.pack("<I", len(content)) + content
                    for name, content in [*named, *(("", content) for content in kept)])


def decode(data):
    """The (name, input) pairs; a ValueError if the bytes are no pack."""
    entries, at = [], 0

    def take(count):
        nonlocal at
        if len(data) - at < count:
            raise ValueError(f"a pack of {len(data)} bytes ends inside the entry at byte {at}: write it again, see tests/fuzz/pack")
        at += count
        return data[at - count:at]
    while at < len(data):
        name = take(take(1)[0]).decode()
        entries.append((name, take(struct.unpack("<I", take(4))[0])))
    return entries


def read(target):
    path = CORPUS / f"{target}.pack"
    return decode(path.read_bytes()) if path.exists() else []


def write(target, entries):
    CORPUS.mkdir(exist_ok=True)
    (CORPUS / f"{target}.pack").write_bytes(encode(entries))


def findings(target):
    return sorted((CORPUS / target).glob("*"))


def unpack(target, folder):
    """Everything that is replayed for the target, as files, which is what libFuzzer reads."""
    folder.mkdir(parents=True, exist_ok=True)
    inputs = [*read(target), *((path.name, path.read_bytes()) for path in findings(target))]
    for name, content in inputs:
        (folder / (name or hashlib.sha1(content).hexdigest())).write_bytes(content)


def add(target, paths):
    """Packs files: those named seed-… under their names. Returns how many are new."""
    before = read(target)
    new = [(path.name if path.name.startswith("seed-") else "", path.read_bytes()) for path in paths]
    replaced = {name for name, _ in new if name}
    write(target, [*((name, content) for name, content in before if name not in replaced), *new])
    return len({content for _, content in new} - {content for _, content in before})
