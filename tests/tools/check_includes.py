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
# A library, and the files that may see it. Tests may use any as a reference.
LIBRARIES = [
    (r"yaml-cpp/", r"policy/yaml/\w+\.(cc|h)"),
    (r"openssl/(?!(crypto|evp|rand|sha)\.h)", r"tls/.*|proxy/guard/hardening\.cc"),  # connections and certificates
    (r"openssl/", r"tls/.*|[\w/]+\.cc"),  # hashes, random bytes, constant-time comparison
    (r"re2/", r"transforms/[\w/]+\.cc"),
    (r"zlib\.h", r"proxy/exchange/content_decoder\.cc"),
    (r"simdjson", r"policy/json_read\.cc|transforms/\w+\.cc"),
    (r"boost/asio/ssl", r""),
    (r"boost/asio(/|\.hpp)", r"proxy/.*|tls/stream\.(h|cc)|tls/leaf_store\.(h|cc)|transforms/.*\.h|bench/.*"),
    (r"boost/beast", r"proxy/.*|bench/.*"),
]
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def faults_of(path):
    folder = path.split("/")[0]
    for match in INCLUDE.finditer(sources.read(path)):
        quote, name = match.groups()
        if quote == '"':
            target = name.split("/")[0]
            if "/" not in name and not name.endswith(".inc"):
                yield f"{path}: \"{name}\" is not written from the root of the repository"
            elif target in MAY_INCLUDE and target not in MAY_INCLUDE.get(folder, set()):
                yield f"{path}: {folder}/ may not include {name}"
        if folder != "tests":
            for library, allowed in LIBRARIES:
                if re.match(library, name) and not re.fullmatch(allowed, path):
                    yield f"{path}: {name} is not allowed in this file"


def main():
    faults = [fault for path in sources.tracked("*.h", "*.cc") for fault in faults_of(path)]
    return sources.report("includes", faults)


sys.exit(main())
