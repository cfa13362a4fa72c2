#!/usr/bin/env python3
"""Each folder includes only what its place in the architecture allows: arrows point down, libraries stay in their files."""
import re
import sys

import sources

MAY_INCLUDE = {
    "policy": {"policy"},
    "tls": {"tls", "policy"},
    "transforms": {"transforms", "policy"},
    "proxy": {"proxy", "tls", "transforms", "policy"},
    "bench": {"bench", "proxy", "tls", "transforms", "policy"},
    "tests": {"tests", "bench", "proxy", "tls", "transforms", "policy"},
}
# The wings of a folder, and the other wings of it that each may include. What a folder has outside of its wings is the
# wing "". Arrows point down only.
_WAIT = {"wait"}
_LOG = _WAIT | {"log"}
_GUARD = _LOG | {"guard", "dns"}
_NET = _LOG | {"net", "dns"}
_HTTP = _NET | {"http"}
_HTTP1 = _HTTP | {"http1"}
_EXCHANGE = _HTTP1 | {"exchange"}
_CALLS = _EXCHANGE | {"guard", "calls"}
_CLIENT = _EXCHANGE | {"client"}
_ADMIN = _EXCHANGE | {"admin"}
WINGS = {
    "policy": {
        "": {""},
        "secret": {"", "secret"},
        "json": {"", "secret", "json"},
        "match": {"", "secret", "match", "yaml"},
        "yaml": {"", "yaml"},
        "config": {"", "secret", "match", "yaml", "config"},
    },
    "transforms": {
        "": {""},
        "formatter": {"", "formatter"},
        "scrub": {"", "scrub"},
        "sources": {"", "sources"},
        "auth": {"", "formatter", "sources", "auth"},
        "aws": {"", "sources", "auth", "aws"},
        "gcp": {"", "sources", "auth", "gcp"},
        "secrets": {"", "formatter", "sources", "secrets"},
    },
    "proxy": {
        "wait": _WAIT,
        "log": _LOG,
        "dns": _LOG | {"dns"},
        "guard": _GUARD,
        "http": _HTTP,
        "http1": _HTTP1,
        "net": _NET,
        "exchange": _EXCHANGE,
        "calls": _CALLS,
        "client": _CLIENT,
        "admin": _ADMIN,
        "run": _CALLS | _CLIENT | _ADMIN | _GUARD | {"run"},
        "": {"run"},
    },
}
# Arrows that still run back. A line that is not needed any more is a fault.
RUN_BACK = set("""
""".split("\n")) - {""}
# A library, and the files that may see it. Tests may use any as a reference.
LIBRARIES = [
    (r"yaml-cpp/", r"policy/yaml/\w+\.(cc|h)"),
    (r"openssl/(?!(crypto|evp|rand|sha)\.h)", r"(tls|bench/loopback)/.*|proxy/guard/hardening\.cc"),  # connections and certificates
    (r"openssl/", r"(tls|bench/loopback)/.*|[\w/]+\.cc"),  # hashes, random bytes, constant-time comparison
    (r"re2/", r"transforms/[\w/]+\.cc"),
    (r"zlib\.h", r"proxy/exchange/content_decoder\.cc"),
    (r"(spdlog|fmt)/", r"proxy/log/log_front\.cc"),
    (r"simdjson", r"policy/json/json_reader\.cc"),
    (r"boost/asio/ssl", r""),
    (r"boost/asio(/|\.hpp)", r"proxy/.*|tls/stream\.(h|cc)|tls/leaf_store\.(h|cc)|transforms/.*\.h|bench/.*"),
    (r"boost/beast", r"proxy/admin/.*|bench/.*"),
]
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def wing_of(path):
    parts = path.split("/")
    return parts[0], parts[1] if len(parts) > 2 else ""


def runs_back(path, name):
    """Whether the include leaves the directions of the wings."""
    folder, wing = wing_of(path)
    target, target_wing = wing_of(name)
    return folder == target and folder in WINGS and target_wing not in WINGS[folder].get(wing, set())


def faults_of(path, known):
    folder = path.split("/")[0]
    for match in INCLUDE.finditer(sources.read(path)):
        quote, name = match.groups()
        if quote == '"':
            target = name.split("/")[0]
            if "/" not in name and not name.endswith(".inc"):
                yield f"{path}: \"{name}\" is not written from the root of the repository"
            elif target in MAY_INCLUDE and target not in MAY_INCLUDE.get(folder, set()):
                yield f"{path}: {folder}/ may not include {name}"
            elif runs_back(path, name):
                arrow = f"{path} {name}"
                known.discard(arrow)
                if arrow not in RUN_BACK:
                    yield f"{path}: {name} is in a wing that may not be included here"
        if folder != "tests":
            for library, allowed in LIBRARIES:
                if re.match(library, name) and not re.fullmatch(allowed, path):
                    yield f"{path}: {name} is not allowed in this file"


def main():
    known = set(RUN_BACK)
    faults = [fault for path in sources.tracked("*.h", "*.cc") for fault in faults_of(path, known)]
    faults += [f"tests/tools/check_includes.py: RUN_BACK names what is gone: {arrow}" for arrow in sorted(known)]
    return sources.report("includes", faults)


sys.exit(main())
