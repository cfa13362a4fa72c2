#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets to tests/fuzz/corpus/TARGET.pack, named seed-<name>.

What the fuzzer found lies beside them and is not touched.
"""
import base64
import json
import pathlib
import ssl
import struct
import sys

sys.dont_write_bytecode = True
import seeds as corpora  # noqa: E402

CRLF = b"\r\n"


def write(target, seeds, random=False):
    """Seeds with random parts are written once."""
    entries = corpora.read(target)
    wanted = {f"seed-{name}": content for name, content in seeds.items()}
    if random and wanted.keys() <= {name for name, _ in entries}:
        return
    corpora.write(target, [*((name, content) for name, content in entries if not name.startswith("seed-")), *wanted.items()])


def head(first, *fields, body=b""):
    return CRLF.join([first.encode(), *(f.encode("latin-1") for f in fields), b"", b""]) + body


def parent_answers():
    """Answers to CONNECT and SOCKS5, URLs, and lists of exceptions with a host."""
    return {
        "opened": head("HTTP/1.1 200 Connection established", "Via: p", body=b"\x16\x03\x01"),
        "interim": head("HTTP/1.1 103 Early", "A: b") + head("HTTP/1.1 200 OK"),
        "login": head("HTTP/1.1 407 Proxy Authentication Required", "Proxy-Authenticate: Basic"),
        "repeats": head("HTTP/1.1 503 dXNlcjpodW50ZXIy hunter2"),
        "no-http": b"hello\r\n",
        "socks": b"\5\0" + b"\5\0\0\1\0\0\0\0\0\0" + b"\x16\x03\x01",
        "socks-login": b"\5\2" + b"\1\0" + b"\5\0\0\3\3abc\0\0",
        "socks-six": b"\5\0" + b"\5\0\0\4" + bytes(18),
        "socks-refused": b"\5\0" + b"\5\2",
        "url": b"http://us%65r:p%40ss@proxy.example.test:3128/",
        "url-six": b"socks5h://[2001:db8::1]",
        "url-bare": b"proxy.example.test:3128",
        "exceptions": b" .example.test, *.b.test:443,10.0.0.0/8 , [::1]:80,c.test\nx.example.test",
    }


def request_heads():
    host = "Host: api.example.test"
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    return {
        "get": head("GET /v1/models?limit=2 HTTP/1.1", host, "Accept: */*", "User-Agent: curl/8"),
        "post": head("POST /v1/chat HTTP/1.1", host, "Content-Length: 5", "Expect: 100-continue", body=b"hello"),
        "chunked": head("PUT /f HTTP/1.1", host, "Transfer-Encoding: chunked", "TE: trailers", "Trailer: A"),
        "absolute": head("GET http://api.example.test:8080/a?b HTTP/1.1", host),
        "connect": head("CONNECT api.example.test:443 HTTP/1.1", "Host: api.example.test:443",
                        "Proxy-Authorization: Basic Zm9vOmJhcg=="),
        "options": head("OPTIONS * HTTP/1.1", host),
        "old": head("GET / HTTP/1.0", "Connection: keep-alive"),
        "websocket": head("GET /ws HTTP/1.1", host, "Upgrade: websocket", "Connection: Upgrade", key,
                          "Sec-WebSocket-Version: 13"),
        "odd": head("brew /%2F%zz?\x7e HTTP/1.1", host, "A:", "b: \t\xe9 x\t", "Cookie: a=b; c=d"),
        "both-framings": head("POST / HTTP/1.1", host, "Content-Length: 3", "Transfer-Encoding: chunked"),
        "two-lengths": head("POST / HTTP/1.1", host, "Content-Length: 3, 3"),
        "two-hosts": head("GET / HTTP/1.1", host, "Host: evil.test"),
        "fold": head("GET / HTTP/1.1", host, "A: b", " c"),
        "bare-lf": b"GET / HTTP/1.1\nHost: h\n\n",
        "bare-cr": b"GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n",
        "blank-colon": head("GET / HTTP/1.1", host, "Content-Length : 3"),
        "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "gzip-coding": head("POST / HTTP/1.1", host, "Transfer-Encoding: gzip, chunked"),
        "many": head("GET / HTTP/1.1", host, *[f"X-{i}: {i}" for i in range(24)]),
        "lists": head("GET / HTTP/1.1", host, "Connection: close, Upgrade,,\t keep-alive ,X-A", "TE: , trailers,"),
        "long-line": head("GET /" + "a" * 1100 + " HTTP/1.1", host),
        "long-head": head("GET / HTTP/1.1", host, "A: " + "a" * 4200),
        "long-connect": head("CONNECT h.test:443 HTTP/1.1", "A: " + "a" * 600),
        "no-digits": head("POST / HTTP/1.1", host, "Content-Length: 1x"),
    }


def response_heads():
    ok = "HTTP/1.1 200 OK"
    return {
        "length": head(ok, "Content-Length: 5", "Content-Type: text/plain", body=b"hello"),
        "chunked": head(ok, "Transfer-Encoding: chunked", "Date: Sun, 06 Nov 1994 08:49:37 GMT"),
        "close": head("HTTP/1.0 200 OK", "Server: x"),
        "empty": head("HTTP/1.1 204 No Content", "Content-Length: 0"),
        "not-modified": head("HTTP/1.1 304 Not Modified", 'ETag: "x"'),
        "hints": head("HTTP/1.1 103 Early Hints", "Link: </a>; rel=preload"),
        "switch": head("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
                       "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        "no-reason": b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        "odd-reason": head("HTTP/1.1 599 Any \xe9 thing"),
        "two-lengths": head(ok, "Content-Length: 3", "Content-Length: 4"),
        "both": head(ok, "Content-Length: 3", "Transfer-Encoding: chunked"),
        "bad-length": head(ok, "Content-Length: x"),
        "gzip-coding": head(ok, "Transfer-Encoding: gzip"),
        "http2": head("HTTP/2.0 200 OK"),
        "status": head("HTTP/1.1 099 OK"),
        "long-status": head("HTTP/1.1 1000 OK"),
        "no-colon": head(ok, "Foo Bar"),
        "fold": head(ok, "A: b", " c"),
        "bad-name": head(ok, "A b: c"),
        "blank-colon": head(ok, "Server : old", "X-Tab\t \t: a : b"),
        "blank-colon-length": head(ok, "Content-Length : 5"),
        "bad-value": head(ok, "A: b\x01c"),
        "not-http": b"hello\r\n\r\n",
        "bare-lf": b"HTTP/1.1 200 OK\nA: b\n\n",
        "many": head(ok, *[f"X-{i}: {i}" for i in range(24)]),
        "many-lengths": head(ok, *[f"Content-Length: {'0' * i}9" for i in range(19)]),
        "long-line": head(ok + "!" * 1100),
        "long-head": head(ok, "A: " + "a" * 4200),
        "old-chunked": head("HTTP/1.0 200 OK", "Transfer-Encoding: chunked"),
        "bad-start": head("HTTP/1.1\x01 200"),
    }


def chunked_bodies():
    return {
        "one": b"5\r\nhello\r\n0\r\n\r\n",
        "two": b"a\r\n0123456789\r\nF\r\n0123456789abcde\r\n0\r\n\r\nGET",
        "extension": b'5;a=b;c="d"\r\nhello\r\n0;x\r\n\r\n',
        "extension-quoted": b'5 ;a\t= "b\\";\xc3" ; c\r\nhello\r\n0;d=""\r\n\r\n',
        "extension-of-words": b"5; a b=c\r\nhello\r\n0;=\r\n\r\n",
        "trailers": b"1\r\nx\r\n0\r\nA: b\r\nX-Sum: 1\r\n\r\n",
        "trailer-blank": b"0\r\nA : b\r\n\r\n",
        "trailer-blank-length": b"0\r\nContent-Length : 5\r\n\r\n",
        "zeroes": b"0000000000000001\r\nx\r\n000\r\n\r\n",
        "too-large": b"ffffffffffffffff\r\n",
        "blank": b"5 \r\nhello\r\n",
        "bare-lf": b"5\nhello\n0\n\n",
        "bad-end": b"5\r\nhelloX\r\n",
        "bad-trailer": b"0\r\nGET / HTTP/1.1\r\n\r\n",
        "bad-extension": b"1;\x01\r\n",
        "long-extension": b"1;" + b"a" * 4200,
        "long-trailer": b"0\r\nA: " + b"a" * 16500,
    }


def tunnels():
    return {
        "greeting": b"\x05\x01\x00",
        "greeting-two": b"\x05\x02\x00\x02\x05\x01\x00\x03\x06h.test\x01\xbb",
        "no-method": b"\x05\x01\x02",
        "name": b"\x05\x01\x00\x03\x06h.test\x01\xbbpayload",
        "v4": b"\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50",
        "v6": b"\x05\x01\x00\x04" + bytes(15) + b"\x01\x00\x50",
        "mapped": b"\x05\x01\x00\x04" + bytes(10) + b"\xff\xff\x7f\x00\x00\x01\x00\x50",
        "bind": b"\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x50",
        "bad-type": b"\x05\x01\x00\x02\x7f",
        "socks4": b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00",
        "connect": head("CONNECT h.test:443 HTTP/1.1", "Host: h.test:443"),
        "connect-v6": head("CONNECT [::1]:443 HTTP/1.1"),
        "connect-early": head("CONNECT h.test:443 HTTP/1.1", body=b"\x16\x03\x01\x02\x00"),
        "connect-odd": head("CONNECT http://h.test/ HTTP/1.1"),
    }


def authorities():
    texts = ["h.test", "H.TEST.", "h.test:443", "h:", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:8443",
             "[2001:DB8:0:0::1]", "[::ffff:1.2.3.4]:80", "a_b-c.x", "0x7f.1", "017700000001", "x@h", "h:0", "h:65536",
             "h:00443", "[::1", "[fe80::1%25eth0]", "h.test..", "1.2.3.4.", "a%2eb", "a b", "\u3002", "h:80:80", "xn--e1afmkfd.test"]
    return {str(i): text.encode() for i, text in enumerate(texts)} | {"empty": b""}


def cut(text, *numbers):
    """A text for a Cutter: the numbers it takes come from the end."""
    return text + bytes(reversed(numbers))


def host_matches():
    rows = [("*", "a.test"), ("*.a.test", "x.y.a.test"), ("*.a.test", "a.test"), ("*.a.test", "xa.test"), ("A.TEST.", "a.test"),
            ("a?c.test", "abc.test"), ("[a-c]x", "bx"), ("[^a]x", "bx"), ("[a", "a"), ("\\*a", "*a"), ("x*.test", "x.y.test"),
            ("*a*b*c*", "xxaxxbxxc"), ("a.com:443", "a.com"), ("[\u00e9-\u00eb]?", "\u00eaz"), ("[]a]", "]"), ("[a-]", "-"), ("*.", "a."), ("10.0.0.0/8", "10.1.2.3"), ("::ffff:10.0.0.0/104", "10.1.2.3"), ("2001:db8::/32", "2001:db8::1"),
            ("10.0.0.0/33", "10.1.2.3"), ("0.0.0.0/0", "a.test"), ("a.", "a"), ("a\\.", "a")]
    seeds = {str(i): cut(f"{p}\n{h}".encode(), 0) for i, (p, h) in enumerate(rows)}
    seeds["three"] = cut(b"*.b.test\na*\nb.test\na.b.test", 2)
    return seeds


def paths():
    rows = [("/v1/*", "/v1/a%2Fb"), ("/v1/*", "/v1%2Fa"), ("/v1/*", "/v1"), ("/*", ""), ("/a?c", "/abc"), ("/a/*/c", "/a/b/c"),
            ("/x", "/a/../b"), ("/x", "/a/%2e%2e/b"), ("/x", "/a/%252e%252e/b"), ("/x", "/a\\..\\b"), ("/x", "/a%5C..%5Cb"),
            ("/x", "/a/..;x/b"), ("/x", "/a/%2"), ("/x", "/%zz"), ("/\u00e9", "/%C3%A9"), ("/x", "/a/%2e;%2f./"), ("/a[bc]", "/ac"),
            ("/x", "/..."), ("/a/*", "/a/./b"), ("/a/*", "/./a/b"), ("/a/*", "/a/./b%2Fc/."), ("/a/*", "/./a%2Fb"), ("/x", "/a/./%2e"),
            ("/x", "/./..")]
    return {str(i): cut(f"{p}\n{r}".encode(), i % 2) for i, (p, r) in enumerate(rows)}


def cidrs():
    seeds = {}
    for form in range(9):
        address = bytes([127, 0, 0, 1] * 4)
        prefix = bytes([1, 1, 8])  # IPv4, near, bits
        seeds[f"form-{form}"] = cut(b"", *address, form, 1, *prefix)
        seeds[f"v6-{form}"] = cut(b"", *address, form, 2, 0, 1, 96, 0, 1, 104)
        seeds[f"far-{form}"] = cut(b"", *bytes(16), form, 1, 1, 0, 127, 0, 0, 0, 8)
    texts = {
        "lists": ["127.0.0.0/8", " ::1/128\t", "::ffff:10.0.0.0/104", "::ffff:0:0/96"],
        "no-address": ["", "/8", "%lo/8", "h.test"],
        "no-bits": ["10.0.0.0", "10.0.0.0/", "10.0.0.0/08", "10.0.0.0/-1"],
        "far-bits": ["10.0.0.0/33", "::/129", "::/1234567890", "10.0.0.0/8/8"],
        "quads": ["1..2.3", "1.2.3.", "1.2.3", "1.2.3.4.5"],
        "quad-digits": ["01.2.3.4", "256.2.3.4", "1.2.3.a", ".1.2.3"],
        "groups": ["1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "12345::"],
        "gaps": ["1::8", "::1:2:3:4:5:6:7:8", "1::2::3", ":::"],
        "colons": ["1:", ":1", "1:2:::3", "1::g"],
        "quads-in-groups": ["::1.2.3.4", "1:2:3:4:5:6:1.2.3.4", "1:2:1.2.3.4", "::1:2:3:4:5:6:7:1.2.3.4"],
        "zones": ["fe80::1%lo", "fe80::1%", "fe80::1%lo/64", "::ffff:1.2.3.4%1"],
    }
    for name, lines in texts.items():
        seeds[f"text-{name}"] = cut("\n".join(lines).encode(), *[10, 1, 2, 3] * 4, 5, 0)
    # Special blocks: shared address space, an anycast address in one, the same behind NAT64, the unspecified address.
    for name, address, form in (("shared", [0] * 12 + [100, 64, 0, 1], 5), ("anycast", [0] * 12 + [192, 0, 0, 9], 5), ("nat64", [0] * 12 + [10, 0, 0, 1], 1),
                                ("orchid", [0x20, 1, 0, 0x20] + [0] * 12, 0), ("public", [0x2A, 0] + [1] * 14, 0), ("unspecified", [0] * 16, 0)):
        seeds[f"special-{name}"] = cut(b"192.0.2.0/24", *address, form, 0)
    return seeds


def client_hello(name, **settings):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for key, value in settings.items():
        setattr(context, key, value)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def split_records(hello, size):
    body, out = hello[5:], b""
    for at in range(0, len(body), size):
        part = body[at:at + size]
        out += hello[:3] + struct.pack(">H", len(part)) + part
    return out


def client_hellos():
    plain = client_hello("api.example.test")
    renamed = plain.replace(b"api.example.test", b"[::1]:443.......")
    return {
        "tls13": plain,
        "tls12": client_hello("h.test", maximum_version=ssl.TLSVersion.TLSv1_2),
        "no-name": client_hello(None),
        "split": split_records(plain, 40),
        "split-ones": split_records(client_hello("h.test", maximum_version=ssl.TLSVersion.TLSv1_2), 9),
        "cut": plain[:120],
        "odd-name": renamed,
        "address": plain.replace(b"\x00\x00\x15\x00\x13\x00\x00\x10api.example.test", b"\x00\x00\x15\x00\x13\x00\x00\x10\x31.2.3.4.........")
                   .replace(b"api.example.test", b"192.168.100.100."),
        "nul-name": plain.replace(b"api.example.test", b"api.example.tes\x00"),
        "two-names": plain.replace(b"\x00\x13\x00\x00\x10api.example.test", b"\x00\x13\x00\x00\x05h.tst\x00\x00\x08abcd.tst"),
        "alert": b"\x15\x03\x01\x00\x02\x02\x28",
        "long-record": b"\x16\x03\x01\x40\x01\x01\x00\x40\x00" + bytes(64),
        "http": b"GET / HTTP/1.1\r\n\r\n",
        "ssl2": b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10" + bytes(40),
        "big": b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc" + bytes(16500),
    }


def dns_name(text):
    return b"".join(bytes([len(label)]) + label for label in text.encode().split(b".")) + b"\0"


def dns_query(name, kind=1, flags=0x0100, extra=b"", counts=(1, 0, 0, 0), klass=1):
    return struct.pack(">6H", 0x1234, flags, *counts) + name + struct.pack(">2H", kind, klass) + extra


def dns_queries():
    opt = b"\0" + struct.pack(">2HIH", 41, 4096, 0, 0)
    return {
        "a": dns_query(dns_name("h.test")),
        "aaaa": dns_query(dns_name("static.test"), 28),
        "static": dns_query(dns_name("STATIC.test")),
        "alias": dns_query(dns_name("alias.test")),
        "pass": dns_query(dns_name("a.pass.test")),
        "opt": dns_query(dns_name("h.test"), extra=opt, counts=(1, 0, 0, 1)),
        "root": dns_query(b"\0", 2),
        "notify": dns_query(dns_name("h.test"), flags=0x2000),
        "update": dns_query(dns_name("h.test"), flags=0x2800),
        "response": dns_query(dns_name("h.test"), flags=0x8100),
        "two-questions": dns_query(dns_name("h.test"), counts=(2, 0, 0, 0)),
        "loop": dns_query(b"\xc0\x0c"),
        "pointer": dns_query(b"\x01a\xc0\x0e"),
        "header-name": dns_query(b"\x01a\xc0\x04"),
        "odd-bytes": dns_query(b"\x06a.b\\ \xff\x04\"@;(\0"),
        "long": dns_query(b"".join(b"\x3f" + b"a" * 63 for _ in range(3)) + b"\x3d" + b"b" * 61 + b"\0"),
        "too-long": dns_query(b"".join(b"\x3f" + b"a" * 63 for _ in range(4)) + b"\0"),
        "short": b"\x12\x34\x01",
        "cut-record": dns_query(dns_name("h.test"), extra=opt[:5], counts=(1, 0, 0, 1)),
    }


def dns_answers():
    name = dns_name("host.example.test")
    a = b"\xc0\x0c" + struct.pack(">2HIH", 1, 1, 60, 4) + bytes([192, 0, 2, 1])
    aaaa = b"\xc0\x0c" + struct.pack(">2HIH", 28, 1, 60, 16) + bytes(15) + b"\x01"
    alias = b"\xc0\x0c" + struct.pack(">2HIH", 5, 1, 60, 2) + b"\xc0\x11"
    wrong = b"\xc0\x0c" + struct.pack(">2HIH", 1, 1, 60, 5) + bytes(5)

    def reply(records, kind=1, flags=0x8180, count=1):
        return dns_query(name, kind, flags, records, (1, count, 0, 0))
    return {
        "a": reply(a), "aaaa": reply(aaaa, 28), "alias": reply(alias + a, count=2), "many": reply(a * 140, count=140),
        "wrong-size": reply(wrong), "nxdomain": reply(b"", flags=0x8183, count=0), "cut": reply(a, flags=0x8380),
        "lame": reply(b"", flags=0x8000, count=0), "tail-a": b"\x01" + a, "tail": a + b"\x01", "short-record": reply(a[:7]),
        "loop": reply(b"\xc0\x21" + a), "other-name": dns_query(dns_name("other.test"), 1, 0x8180, a, (1, 1, 0, 0)),
    }


def configs():
    examples = pathlib.Path(__file__).parents[2] / "config-examples"
    seeds = {path.stem: path.read_bytes() for path in sorted(examples.glob("*.yaml"))}
    seeds |= {
        "limits": b"proxy:\n  limits:\n    idle_timeout: 1m30s\n    max_connections: 5\n  drain_timeout: 0\n  http_listens: ['127.0.0.1:0', ':81']\n",
        "unknown": b"proxy:\n  no_such_key: 1\n",
        "types": b"dns:\n  enabled: maybe\n  passthrough: {a: b}\nproxy: [1, 2]\n",
        "duplicate": b"dns: {}\ndns: {}\n",
        "merge": b"a: &a {listen: ':1'}\nmetrics:\n  <<: *a\n",
        "bomb": b"a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c]\n",
        "deep": b"a: " + b"[" * 200 + b"]" * 200 + b"\n",
        "two-documents": b"log: {level: debug}\n---\nlog: {level: warn}\n",
        "bad": b"a: [\n  b: }\n\t- x\n",
        "tags": b"log:\n  level: !!str info\n  buffer_bytes: 0x1000\n  when_full: off\n",
        "all": b"""dns:
  listen: "127.0.0.1:0"
  proxy_ip: "10.0.0.1"
  passthrough: ["*.internal.test"]
  records: [{name: a.test, type: A, value: 192.0.2.1}]
proxy:
  tunnel_listen: "127.0.0.1:8080"
  upstream_deny_cidrs: ["127.0.0.0/8", "::1/128", "::ffff:10.0.0.0/104"]
  strict_paths: true
tls: {mode: mitm, ca_cert: /ca.crt, ca_key: /ca.key, leaf_signer: ca}
log: {level: debug, audit_path: /tmp/x, when_full: drop}
hardening: "off"
transforms:
  - name: allowlist
    config:
      domains: ["api.test", "*.b.test"]
      rules: [{host: c.test, methods: [GET], paths: [/v1/*]}, {cidr: 10.0.0.0/8}]
      warn: false
  - name: secrets
    config:
      secrets:
        - source: {type: env, var: FUZZ_KEY, json_key: k}
          rules: [{host: "*"}]
          replace: {proxy_value: token, match_headers: [Authorization, "/^x-/"], match_query: true, match_body: true, require: true}
          scrub_responses: "on"
        - source: {type: env, var: FUZZ_KEY}
          rules: [{host: api.test}]
          inject: {header: X-Key, formatter: "Bearer {{ .Value | base64 }}"}
  - name: annotate
    config: {groups: [{rules: [{host: "*"}], headers: [X-Request-Id]}]}
  - name: header_allowlist
    config: {rules: [{host: "*"}], headers: [Accept, "/^x-/"]}
  - name: body_capture
    config: {rules: [{host: "*"}], max_bytes: 100}
""",
    }
    scalars = ["1", "-1", "+5", "0x1F", "-0x1f", "0o17", "017", "0b101", "1_000", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
               "-9223372036854775809", "18446744073709551615", "18446744073709551616", "1.5", "-1.5e3", "1e400", "1e-400", ".5", "+.5", "1.", ".", "1e", "1e+",
               ".nan", ".inf", "-.Inf", "+.INF", "~", "null", "true", "FALSE", "yes", "off", "2001-01-02", "2001-02-29", "2000-2-29T1:2:3Z",
               "2001-1-2 1:2:3.5", "2001-1-2T1:2:3,25+01:30", "2001-1-2T1:2:3-1:30", "2001-1-2T25:2:3", "2001-13-1", "2001-1", "2001-1-2X",
               "2001-1-2T1:2:3.", "2001-1-2T1:2:3+01:3x", "!!int '5'", "!!float 5", "!!float 18446744073709551615", "!!int 1.5", "!!bool x", "!!null ''", "!!timestamp 2001-01-01",
               "!!binary aGk=", "!custom x", "'quoted'", '"esc\\n\\u00e9\\x41"', "|\n    block", ">-\n    folded\n    text", "0x", "-", "+", "0b2", "1__0", "0o8"]
    for number, scalar in enumerate(scalars):
        for key in ("buffer_bytes", "level"):
            seeds[f"scalar-{number}-{key}"] = f"log:\n  {key}: {scalar}\n".encode()
        if number < 40:
            seeds[f"scalar-{number}-bool"] = f"proxy:\n  strict_paths: {scalar}\n".encode()
    durations = ["1h2m3s", "1.5h", ".5s", "1ms", "1us", "1\u00b5s", "1\u03bcs", "1ns", "-5s", "+5s", "0", "", "5", "s", "1x", "1h-2m", "9223372036854775807ns",
                 "9223372036854775808ns", "99999999999h", "1.123456789123456789123s", "1.s", ".s", "1\u00e9", "\u00e9", "2562047h47m16s", "3m0s", "99999999999999999999s"]
    for number, duration in enumerate(durations):
        seeds[f"duration-{number}"] = f"proxy:\n  drain_timeout: '{duration}'\n  limits: {{idle_timeout: {duration}}}\n".encode()
    faults = ["a: b: c\n", "- a\nb\n", "a\nb: c\n", "log:\n  level\n  buffer_bytes: 1\n", "log: {level: info\n", "log: [a, b\nx: y\n", "log: {level: 'info\n", "log: \"info\n",
              "log: 'it''s\n  more\n", "a: *nope\n", "a: *\n", "- - a\n - b\n", "a:\n  - b\n c\n", "a:\n- b\nc\n", "? a\n: b\n? c\n", ": a\n", "a: @b\n", "a: `b\n", "a: %b\n", "%YAML 1.3\n---\na: b\n",
              "a: {b: c, d}\n", "a: {b c\n  d: e}\n", "{a: b]\n", "[a, b}\n", "a: [b, c\n# comment ]\n", "a: {'x': y, [z]: w}\n", "a: [,]\n", "a: {:}\n", "a: [b: c\n", "a: b\n  c: d\n", "a:\n  b: c\n d: e\n",
              "a: |x\n b\n", "a: b\n---\nc: d\n", "a: b\n...\nc: d\n", "--- a\n--- b\n", "a: b\n  - c\n", "a?b: c?d\n", "a: [b?c, ?]\n", "# only a comment\n", "\n \n", "a: &x b\nc: *x\n", "a: &a [*a]\n",
              "<<: {a: b}\n", "<<: [a]\n", "<<: x\n", "a: !<tag:yaml.org,2002:str> b\n", "a: !!nope b\n", "[]: a\n", "{}: a\n", "1: a\n", "null: a\n", "true: a\nTrue: b\n", "a: 1\n'a': 2\n", "a:\n\t- b\n", "\ta: b\n",
              "dns: []\n", "dns: x\n", "transforms: {}\n", "transforms: [x]\n", "transforms: [{name: nope}]\n", "transforms: [{config: {}}]\n", "transforms: [null]\n", "transforms:\n- name: allowlist\n  config: [x]\n",
              "transforms:\n- name: allowlist\n  config: {domains: x, rules: [{host: a, cidr: 10.0.0.0/8}]}\n", "transforms:\n- name: allowlist\n  config: {rules: [{}]}\n", "transforms:\n- name: allowlist\n  config: {rules: [{cidr: x}]}\n",
              "transforms:\n- name: allowlist\n  config: {rules: [{host: '[a', paths: [x]}], nope: 1}\n", "transforms:\n- name: secrets\n  config: {secrets: [{}]}\n", "transforms:\n- name: secrets\n  config: {secrets: [{inject: {}, replace: {}}]}\n",
              "transforms:\n- name: secrets\n  config: {secrets: [{source: {type: vault}, inject: {header: a}}]}\n",
              "transforms:\n- name: secrets\n  config: {secrets: [{source: {type: env, var: FUZZ_KEY}, inject: {header: a, formatter: '{{'}}]}\n",
              "transforms:\n- name: secrets\n  config: {secrets: [{source: {type: env, var: FUZZ_KEY}, proxy_value: t, match_headers: ['/(/']}]}\n",
              "proxy: {upstream_deny_cidrs: ['']}\n", "proxy: {upstream_deny_cidrs: [10.0.0.0]}\n", "proxy: {upstream_deny_cidrs: [10.0.0.0/33]}\n", "proxy: {upstream_deny_cidrs: [10.0.0.0/x, ' ::1/128 ']}\n", "proxy: {upstream_deny_cidrs: ['1::2::3/8']}\n",
              "proxy: {upstream_deny_cidrs: [10.0.0.256/8]}\n", "proxy: {upstream_deny_cidrs: [10.0.0.01/8]}\n", "proxy: {upstream_deny_cidrs: ['fe80::1%lo/8']}\n", "proxy: {upstream_deny_cidrs: ['1:2:3:4:5:6:7:8:9/8']}\n",
              "proxy: {upstream_deny_cidrs: ['::1.2.3.4/128', '1:2:3:4:5:6:1.2.3.4/1', '12345::/8']}\n", "proxy: {upstream_deny_cidrs: ['1:2:3/8']}\n", "proxy: {upstream_deny_cidrs: ['1.2.3/8', '10.0.0.0/01']}\n", "proxy: {upstream_deny_cidrs: [':/8']}\n", "proxy: {upstream_deny_cidrs: ['1:/8']}\n", "proxy: {upstream_deny_cidrs: ['g::/8']}\n", "proxy: {upstream_deny_cidrs: ['1.2.3.4.5/8']}\n", "proxy: {upstream_deny_cidrs: ['1..2.3/8']}\n",
              "proxy: {http_listen: ':x', https_listen: '[::1'}\n", "proxy: {limits: {nope: 1, max_connections: -1}}\n", "tls: {mode: both}\n", "log: {level: loud}\n", "hardening: maybe\n",
              "a: [\"b \\\" c\", d }\n", "a: {\"b\\\\\": c ]\n", "a: b\n\tc\n", "- b\n\tc\n", "a:\n  b: c\n  # d\n\n\te\n", "a: b\n \tc: d\n", "- a\n-\tb\n\tc: d\n", "a: b\n\t# c\n\td\n"]
    for number, fault in enumerate(faults):
        seeds[f"fault-{number}"] = fault.encode()
    text = "log: {level: debug}  # \u00e9\u20ac\U0001f600\n"
    bad_bytes = [b"\xff", b"a: \xc3", b"a: \xc3(", b"a: \xc0\x80", b"a: \xed\xa0\x80", b"a: \xf4\x90\x80\x80", b"a: \xe0\x80\x80", b"a: \x01", b"\xff\xfea", b"\xff\xfe\x00\xdc", b"\xff\xfe\x00\xd8",
                 b"\xff\xfe\x00\xd8a\x00", b"\xfe\xff\x00\x01"]
    for number, content in enumerate(bad_bytes):
        seeds[f"bytes-{number}"] = content
    seeds |= {"utf16-le": b"\xff\xfe" + text.encode("utf-16-le"), "utf16-be": b"\xfe\xff" + text.encode("utf-16-be"), "bom": b"\xef\xbb\xbf" + text.encode(),
              "crlf": b"log:\r\n  level: debug\r\n", "long": b"a: [" + b"x," * 2000 + b"]\n"}
    return seeds


def formatters():
    texts = ["{{ .Value }}", "Bearer {{ .Value | base64 }}", "{{ base64 \"a:\" .Value }}", "{{- .Value -}} ", "{{/* c */}}x",
             "{{ printf \"%s-%d %q %v\" .Value 3 .Value true }}", "{{ if eq .Value \"x\" }}a{{ else }}b{{ end }}",
             "{{ with .Value }}{{ . }}{{ end }}", "{{ len .Value }}", "{{ index .Value 0 }}", "{{ print .Value 1 2 }}",
             "{{ range .Value }}x{{ end }}", "{{ .Nope }}", "{{ . }}", "{{", "}}", "{{ ( .Value | base64 ) | base64 }}",
             "{{ not (and true (or false .Value)) }}", "{{ `raw` }}{{ \"\\u00e9\\x41\\101\\n\" }}", "{{ foo }}", "{{ if .Value }}x{{ else if true }}y{{ end }}",
             "{{ ne 1 2 3 }}", "{{ $x := .Value }}", "{{ 'c' }}", "{{ 1.5 }}", "{{ -5 }}{{ 0x1f }}{{ 1_000 }}"]
    texts += ["{{ .Value", "{{ \"a", "{{ `a", "{{ /* x */ }}", "{{/* x", "{{/* x */ }}", "{{ (.Value }}", "{{ .Value) }}", "{{ | }}", "{{ .Value | }}", "{{ base64 }}", "{{ base64 1 }}", "{{ printf }}",
              "{{ printf 1 }}", "{{ printf \"%z %s %d\" .Value }}", "{{ printf \"%d\" .Value }}", "{{ printf \"%s%%\" .Value 2 }}", "{{ printf \"%t %v %s\" true false 1 }}", "{{ printf \"%q\" \"a\\n\\x00\\u2028\u00e9\\\"\" }}", "{{ print \"a\" \"b\" 1 true }}", "{{ len 1 }}", "{{ index .Value 99 }}",
              "{{ index .Value -1 }}", "{{ index 1 2 }}", "{{ index .Value \"a\" }}", "{{ eq 1 2 }}{{ ne \"a\" .Value }}{{ eq .Value }}", "{{ eq 1 \"a\" }}", "{{ eq true true false }}", "{{ and }}", "{{ or 1 2 }}{{ and \"\" 1 }}{{ not 1 2 }}", "{{ .Value.X }}", "{{ .Value .Value }}",
              "{{ true }}{{ false }}{{ nil }}", "{{ 9223372036854775808 }}", "{{ 0b11 }}{{ 0o17 }}{{ 017 }}{{ -0x10 }}", "{{ 1e3 }}", "{{ 1i }}", "{{ 0x }}", "{{ +5 }}", "{{ \"\\q\" }}", "{{ \"\\U0001F600\\a\\b\\f\\n\\r\\t\\v\\\\\" }}", "{{ \"\\ud800\" }}", "{{ \"\\400\" }}",
              "{{ else }}", "{{ end }}", "{{ if }}x{{ end }}", "{{ if .Value }}x", "{{ if .Value }}{{ else }}{{ else }}{{ end }}", "{{ with .Value }}a{{ else }}b{{ end }}", "{{ with \"\" }}a{{ else }}b{{ end }}", "{{ with .Value }}{{ .Value }}{{ end }}", "{{ if 0 }}a{{ else if \"\" }}b{{ else }}c{{ end }}",
              "{{ define \"x\" }}{{ end }}", "{{ template \"x\" }}", "{{ block \"x\" . }}{{ end }}", "{{ break }}", "{{ slice .Value 0 1 }}", "{{ html .Value }}", "{{ . | len }}", "{{ .Value | printf \"%s-%s\" \"x\" }}", "{{ 1 | print }}", "{{ print (len .Value) (index .Value 0) }}",
              "{{ not (eq .Value \"x\") }}", "{{-}}", "{{- }}", "{{ -}}", "{{--5}}", "a {{- /* c */ -}} b", "{{ .value }}", "{{ .Value_x }}", "{{ .1 }}", "{{ .Value! }}", "{{ \u00e9 }}", "{{ \n.Value\n}}", "{{ `a\nb` }}", "{{ \"a\nb\" }}", "{{ .Value\t|\tbase64 }}",
              "{{ " + "(" * 40 + ".Value" + ")" * 40 + " }}", "{{ if .Value }}" * 30 + "{{ end }}" * 30]
    seeds = {str(i): t.encode() for i, t in enumerate(texts)}
    for i in range(8):
        seeds[f"pieces-{i}"] = cut(b"", 9, *[(i + j) % 8 for j in range(9)])
    return seeds


def swaps():
    basic = base64.b64encode(b"user:token-one-two").decode()
    texts = {
        "field": ("/v1 x=1\n\nBearer token-one\n", 0, 0, 2, 1, 0, 0),
        "basic": (f"/v1 \nBasic {basic}\n", 0, 0, 1, 0, 0, 0),
        "query": ("/v1 a=token-one&b=%74oken-one&one-two=x&c=a+token-one-two%zz\nx\n", 0, 1, 0),
        "query-two": ("/ k=one-two+one%2dtwo;token-one&&=token-one\n", 2, 1, 0),
        "path": ("/v1/token%2Done/one-two;a/%74oken-one-two x\n", 0, 1, 0),
        "body": ("/ \nabc token-one token-one-two one-twoone-two", 0, 0, 0, 0),
        "body-form": ("/ \na=token-one&b=token-one-two+one-two", 0, 0, 0, 2),
        "body-json": ('/ \n{"a":"token-one","b":token-one,"c":"\\\\\\"one-two",token-one"one-two}', 3, 0, 0, 3),
        "two": ("/token-one/one-two x=token-one-two\nBearer one-two token-one\nx\nbody token-one-two", 3, 1, 2, 1, 2, 1),
        "many": ("/token-one/one-two x=token-one-two&one-two=one-two\nBearer token-one-two\nnever-came one-two", 4, 1, 1, 2, 0),
        "inject": ("/a inj=token-one&x=y&in%6a=2&inj\nv\nbody", 5, 1, 1, 2, 0),
        "inject-new": ("/a x=y\nbody", 5, 0, 0, 0),
        "inject-empty": ("/a \nbody", 5, 1, 0, 0),
        "semicolons": ("/= inj;J\n", 5, 5, 1),
        "semicolon-last": ("/= inj;\n\n", 5, 5, 1),
        "named": ("/token-one token-one=one-two\nBasic broken=\ntoken-one\nbody one-two", 1, 1, 2, 1, 0, 0),
    }
    return {name: cut(text.encode(), *numbers) for name, (text, *numbers) in texts.items()}


def scrubs():
    """Values, a line feed and a stream: see scrub.cc."""
    binary = "k\u00ff?>~/\u00fe"
    value, payload = "sk-real-1", base64.b64encode(b"user:sk-real-1").decode()
    long = "k%" + "0123456789" * 12
    mixed = "".join(c if i % 3 else f"%{ord(c):02x}" if i % 2 else f"\\u{ord(c):04X}" for i, c in enumerate(long))

    def text(values, stream):
        return f"{values}\n{stream}".encode()
    return {
        "payload": text(f"{value}\x1f\x1f{payload}", f"Basic {payload}; {value} {payload.replace('=', '%3D')}"),
        "sent-basic": text(f"{value}\x1fbAsic {payload}", f"Basic {payload}, {payload[:-1]}"),
        "sent-other": text(f"{value}\x1fSK REAL 1 \t", f"SK+REAL%201 {value} sk real 1"),
        "sent-shows-value": text(f"{value}\x1fBearer {value}", f"Bearer {value}, Bearer"),
        "sent-alone": text("\x1fBasic QQ==", "Basic QQ== QQ%3d="),
        "sent-empty-basic": text("ab\x1fBasic ", "Basic ab"),
        "blanks": text(" \t\r", "  \t\r  "),
        "overlap": text("abcd\x1ecdef\x1eefgh", "abcdef abcdefgh abcdabcd cdefgh efgh"),
        "inside": text("abcdefg\x1ecde", "cde abcdefg abcdef"),
        "same-start": text("abcd\x1eabcdef\x1eabc", "abcabcdabcdefabcde"),
        "same-place": text("ab\x1eab\x1eAB\x1fab", "ab AB %61b"),
        "sent-is-value": text("one\x1fthe-other\x1ethe-other\x1fone", "one the-other one"),
        "value-is-sent": text("one\x1fthird\x1etwo\x1fthird", "third one two"),
        "hex-in-text": text("abcd\x1e61626364\x1eYWJjZA", "61626364 YWJjZA== 6162636"),
        "long": text(long, f"a{long[:-1]} {mixed} {mixed[:200]}"),
        "backslashes": text("a\\\\\\b", "a\\\\\\b a\\\\\\\\b a\\\\\\\\\\\\b a\\\\\\\\\\\\\\b"),
        "ambiguous": text("\\\\n" * 12, "\\\\\\n" * 12 + "\\\\n" * 12),
        "false-starts": text("aaab\x1e%%41", "aaaaab %%%41 %25%2541 aa"),
        "nothing": text("abcd\x1eefgh", ""),
        **{f"base64-{before}-{after}": text(binary, f"<{coded}> {coded.replace('+', '-').replace('/', '_').rstrip('=')} {coded.replace('/', escaped)}%")
           for before, after, escaped in (("", "", "%2F"), ("a", "1", "\\/"), ("ab", "123", "\\u002f"), ("abc", "12", "%2f"))
           for coded in [base64.b64encode(f"{before}{binary}{after}".encode()).decode()]},
        "base64-rows": text("abab", base64.b64encode(b"ababab abab").decode() + "=%3d%3 " + base64.b64encode(b"xabababy").decode() + "\\u00"),
    }


def audit_lines():
    plain = b"h.test|GET|/a|127.0.0.1:1|h.test|1.2.3.4:443|protocol|bad|h.test:443|allowlist|secrets|no|body"
    odd = b"h\"\\\n|\x00\x1f\x7f|/\xc3\xa9\xff\xed\xa0\x80|\xe2\x80\xa8\xe2\x80\xa9|\xf0\x9f\x98\x80\xf4\x90\x80\x80|<>&|\x85|\r|'|\t|\xc0\x80|\x08\x0c|{}[]"
    numbers = [1] * 24
    return {"plain": cut(plain, *numbers), "odd": cut(odd, *numbers), "empty": b"", "long": cut(b"h|G|/" + b"p" * 9000 + b"|||||protocol", *numbers)}


def json_documents():
    token = {"access_token": "ya29.a-Z_0", "expires_in": 3599, "scope": None, "token_type": "Bearer"}
    call = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "search", "arguments": {"q": "caf\u00e9 \U0001f600", "n": [1, -2.5e-3, True, False]}}}
    texts = {
        "token": json.dumps(token), "call": json.dumps(call), "call-raw": json.dumps(call, ensure_ascii=False, indent=1),
        "numbers": "[0,-0,1E5,9007199254740993,9223372036854775807,-9223372036854775808,18446744073709551615,4.9e-324]",
        "beyond": "[18446744073709551616,-9223372036854775809,1e309]", "underflow": "1e-400", "zeros": "[01]", "plus": "[1e+,2]", "point": "1.",
        "escapes": r'["\"\\\/\b\f\n\r\t\u0000\u00e9\ud83d\ude00","\u2028"]', "lone-high": r'"\ud800x"', "lone-low": r'["\udc00"]', "bad-escape": r'{"\q":1}',
        "short-escape": r'"\u12"', "twice": '{"a":1,"a":2,"A":{"a":{}}}', "empty": "", "blanks": " \t\r\n", "containers": "[[],{},[{}],{\"\":[]}]",
        "deep": "[" * 64 + "]" * 64, "too-deep": '{"a":' * 65 + "1" + "}" * 65, "cut": '{"a":[1,{"b":"c', "cut-array": "[[1]", "trailing": "{} x", "two": "1 2",
        "comma": "[1,]", "no-comma": '["a" "b"]', "no-colon": '{"a" 1}', "no-name": "{1:1}", "no-end": '{"a":1]', "words": "[true,false,null]", "word": "nulll",
        "control": '"\n"', "block": json.dumps(["x" * i + "\\" for i in range(60, 68)]), "joined": '"a""b"', "glued": '1"a"', "close": "]",
    }
    seeds = {name: text.encode() for name, text in texts.items()}
    return {**seeds, "not-utf8": b'"\xed\xa0\x80"', "overlong": b'{"\xc0\xaf":1}', "mark": b"\xef\xbb\xbf{}", "nul": b"1\x00"}


def main():
    write("request_head", request_heads())
    write("response_head", response_heads())
    write("chunked", chunked_bodies())
    write("connect_socks", tunnels())
    write("authority", authorities())
    write("host_match", host_matches())
    write("path", paths())
    write("cidr", cidrs())
    write("client_hello", client_hellos(), random=True)
    write("dns_server", dns_queries())
    write("dns_answer", dns_answers())
    write("config", configs())
    write("formatter", formatters())
    write("swap", swaps())
    write("scrub", scrubs())
    write("audit_line", audit_lines())
    write("json_reader", json_documents())
    write("parent_proxy", parent_answers())


if __name__ == "__main__":
    main()
