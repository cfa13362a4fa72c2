"""Which fuzz targets a change concerns: those with a changed file among what their program is made of.

The linker lists the members of the libraries that it took into each program, ninja the files that each object was made of.
"""
import pathlib
import re
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def output_of(*command):
    return subprocess.run(list(map(str, command)), cwd=ROOT, check=True, capture_output=True, text=True).stdout


def base():
    """The commit that a branch left main at; None on main itself, in a shallow clone, and where main is not known."""
    for main in ("origin/main", "main"):
        done = subprocess.run(["git", "merge-base", "HEAD", main], cwd=ROOT, capture_output=True, text=True)
        if done.returncode == 0:
            commit = done.stdout.strip()
            return commit if commit != output_of("git", "rev-parse", "HEAD").strip() else None
    return None


def changed_files(commit):
    """Paths, relative to the root, that differ from the commit, new files among them."""
    names = output_of("git", "diff", "--name-only", "-z", commit) + output_of("git", "ls-files", "-z", "--others", "--exclude-standard")
    return set(filter(None, names.split("\0")))


def files_of_objects(build):
    """Object to the files of the repository that it was made of."""
    found, current = {}, set()
    for line in output_of("ninja", "-C", build, "-t", "deps").splitlines():
        named = re.match(r"(\S+): #deps ", line)
        if named:
            current = found.setdefault(named.group(1), set())
        elif line.startswith("    "):
            path = (build / line.strip()).resolve()
            if path.is_relative_to(ROOT):
                current.add(str(path.relative_to(ROOT)))
    return found


def objects_of(target, build, objects):
    """The target's own object, and every one that a library gave its program."""
    linked = set()
    for line in (build / "tests" / f"fuzz_{target}.extracted").read_text().splitlines():
        member = re.match(r"[^\t]*\t(?:\S*/)?lib(\w+)\.a\((\S+)\)", line)
        if member:
            linked.add(member.groups())
    for name in objects:
        library = re.search(r"CMakeFiles/(\w+)\.dir/", name)
        if library and (library[1] in (f"fuzz_{target}", f"fuzz_{target}_target") or (library[1], name.rsplit("/", 1)[1]) in linked):
            yield name


def concerns(target, changed, build, objects):
    own = {f"tests/fuzz/corpus/{target}.pack", "tests/fuzz/tests.cmake", "tests/fuzz/run", "CMakeLists.txt", "CMakePresets.json"}
    made_of = own.union(*(objects[name] for name in objects_of(target, build, objects)))
    folders = (f"tests/fuzz/corpus/{target}/", "tests/fuzz/dictionaries/")
    return bool(changed & made_of) or any(path.startswith(folders) for path in changed)


def concerned(targets, commit, build):
    """The targets that differ from what they were at the commit."""
    changed, objects = changed_files(commit), files_of_objects(build)
    return [target for target in targets if concerns(target, changed, build, objects)]
