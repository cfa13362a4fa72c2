"""Streams of requests made of good and bad parts, and a strict reader that says what of a stream may reach an origin."""
import re

TOKEN_CHARACTERS = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
REQUEST_LINE = re.compile(rb"(%s) ([\x21-\x7e\x80-\xff]+) HTTP/1\.([01])" % TOKEN_CHARACTERS)
FIELD = re.compile(rb"(%s):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*" % TOKEN_CHARACTERS)
QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"'
EXTENSION = rb"[ \t]*;[ \t]*%s(?:[ \t]*=[ \t]*(?:%s|%s))?" % (TOKEN_CHARACTERS, TOKEN_CHARACTERS, QUOTED)
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})(?:%s)*" % EXTENSION)
HOST = re.compile(r"([a-z0-9_.-]+?|\[[0-9a-f:.]+\])\.?(?::(\d{1,5}))?")


class Malformed(Exception):
    """What follows is no request, nor is anything behind it."""


class Cut(Malformed):
    """The stream ended in the middle."""


def line_of(data, at):
    end = data.find(b"\r\n", at)
    if end < 0:
        raise Cut
    return data[at:end], end + 2


def fields_of(data, at):
    fields = []
    while True:
        line, at = line_of(data, at)
        if not line:
            return fields, at
        match = FIELD.fullmatch(line)
        if not match:
            raise Malformed(line)
        fields.append((match[1].lower(), match[2]))


def authority(text):
    """(host, port), or nothing."""
    match = HOST.fullmatch(text.lower())
    port = int(match[2] or 80) if match else 0
    return (match[1], port) if 0 < port < 65536 else None


class Request:
    """A request as RFC 9112 has it; `end` is where the next one begins."""

    def __init__(self, data, at):
        line, at = line_of(data, at)
        match = REQUEST_LINE.fullmatch(line)
        if not match:
            raise Malformed(line)
        self.method, self.target, self.minor = match[1], match[2], int(match[3])
        self.fields, at = fields_of(data, at)
        hosts, lengths, codings = self.all(b"host"), self.all(b"content-length"), self.all(b"transfer-encoding")
        if len(hosts) != 1 or len(lengths) > 1 or len(codings) > 1 or (lengths and codings):
            raise Malformed("fields that stand alone")
        self.host = hosts[0]
        if lengths and not re.fullmatch(rb"\d{1,18}", lengths[0]):
            raise Malformed(lengths[0])
        if codings and (codings[0].lower() != b"chunked" or self.minor == 0):
            raise Malformed(codings[0])
        if codings:
            self.body, self.end = self.chunked(data, at)
        else:
            self.end = at + int(lengths[0] if lengths else 0)
            if self.end > len(data):
                raise Cut
            self.body = data[at:self.end]

    def all(self, name):
        return [value for known, value in self.fields if known == name]

    @staticmethod
    def chunked(data, at):
        body = b""
        while True:
            line, at = line_of(data, at)
            match = CHUNK.fullmatch(line)
            if not match:
                raise Malformed(line)
            size = int(match[1], 16)
            if size == 0:
                _, at = fields_of(data, at)
                return body, at
            if at + size + 2 > len(data):
                raise Cut
            body += data[at:at + size]
            if data[at + size:at + size + 2] != b"\r\n":
                raise Malformed("behind a chunk")
            at += size + 2

    def is_last(self):
        options = {option.strip().lower() for value in self.all(b"connection") for option in value.split(b",")}
        return b"close" in options or (self.minor == 0 and b"keep-alive" not in options)

    def place(self):
        """(host, port, path and query), or nothing where the target names no place."""
        host, target = self.host.decode("latin-1"), self.target.decode("latin-1")
        if not target.startswith("/"):
            scheme, found, rest = target.partition("://")
            if scheme.lower() != "http" or not found:
                return None
            end = min([rest.find(c) for c in "/?" if c in rest], default=len(rest))
            host, target = rest[:end], rest[end:]
            target = target if target.startswith("/") else "/" + target
        match = authority(host)
        clear = not self.host or authority(self.host.decode("latin-1"))
        return (*match, target) if match and clear else None


def decoded(text):
    if re.search("%(?![0-9A-Fa-f]{2})", text):
        return None
    return re.sub("%(..)", lambda match: chr(int(match[1], 16)), text)


def dotted(path, plain="/"):
    """A segment that goes up, or one that only a second look shows to stay: `.` between two slashes is plain."""
    return any(segment == ".." for segment in re.split(r"[/\\]", path)) or path_dots(path, r"[/\\]") > path_dots(plain, "/")


def path_dots(path, separator):
    return sum(segment == "." for segment in re.split(separator, path))


def under(path, base):
    return path == base or path.startswith(base + "/")


def may_be_forwarded(request, port, bases):
    """`bases` are the hosts' paths: only what is under them is allowed."""
    place = request.place()
    if place is None or request.method == b"CONNECT" or place[1] != port or place[0] not in bases:
        return False
    if any(value.lower() != b"100-continue" for value in request.all(b"expect")):
        return False
    path = place[2].partition("?")[0]
    plain = decoded(path)
    if plain is None or dotted(plain, path) or dotted(re.sub("%([0-9A-Fa-f]{2})", lambda m: chr(int(m[1], 16)), plain), path):
        return False
    stays = "/" + "/".join(part for part in plain.lstrip("/").split("/") if part != ".")  # as RFC 3986 section 5.2.4 reads it
    if not under(stays, bases[place[0]]):
        return False
    kept = decoded(re.sub("%(2[fF]|5[cC])", r"%25\1", path))  # a rule's wildcard does not reach over an encoded separator
    return under(plain, bases[place[0]]) and under(kept, bases[place[0]])


def requests_of(stream):
    """What the stream says, up to where it stops being clear, and whether that is its end."""
    requests, at = [], 0
    while at < len(stream):
        if requests and stream[at:at + 2] == b"\r\n":  # one empty line behind a request (RFC 9112 section 2.2)
            at += 2
            if at == len(stream):
                break
        try:
            request = Request(stream, at)
        except Malformed:
            return requests, False
        requests.append(request)
        at = request.end
        if request.is_last():
            break
    return requests, True


# -- making streams

GOOD_METHODS = ("GET", "GET", "GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get", "X-OWN")
BAD_METHODS = ("", "G T", "GE\0T", "GET,", "(GET)", "CONNECT", "PRI")
GOOD_TARGETS = ("/v1/ID", "/v1/ID", "/v1/ID?q=1&r=%20", "/v1/a%20b/ID", "http://HOST/v1/ID", "/v1//ID", "/v1/ID;p=1", "/v1/ID.x")
BAD_TARGETS = ("/admin/ID", "/v1/../admin/ID", "/v1/%2e%2e/admin/ID", "/v1/%252e%252e/admin/ID", "/v1/..%5cadmin/ID", "/v1%2fID", "/v1/ID%zz", "/v1/a b",
               "*", "HOST", "https://HOST/v1/ID", "http://evil.example/v1/ID", "/v1/ID\t", "v1/ID", "http:///v1/ID", "//evil.example/v1/ID", "/v1/.", "/v12/ID")
GOOD_HOSTS = ("up.test:PORT", "up.test:PORT", "UP.Test:PORT", "up.test.:PORT", "b.test:PORT")
BAD_HOSTS = ("evil.example:PORT", "up.test", "", "up.test:PORT,evil.example", "evil.example:PORT/.up.test", "up.test@evil.example:PORT", "up.test:PORT x", "up.test:0",
             "up.test:PORT\r\nHost: evil.example:PORT", "up.test:99999", "[::1]:PORT", "up.test%00:PORT")
GOOD_FIELDS = ("Authorization: Bearer TOKEN", "Authorization: Bearer TOKEN", "X-Other: TOKEN", "Accept: */*", "X-Empty:", "Connection: keep-alive", "Cookie: a=b; c=d",
               "Expect: 100-continue", "Upgrade: h2c", "Connection: Authorization", "X-Tab:\ta\tb", "Connection: close", "X-Long: " + "y" * 3000)
BAD_FIELDS = ("X-A : b", " folded: x", "X-A: a\0b", "X-A: a\rb", "X-A: a\nX-B: b", "no colon", ": no name", "Expect: 200-ok", "X(A: b", "Transfer-Encoding: gzip",
              "Content-Length: 3", "Transfer-Encoding: chunked", "Host: b.test:PORT", "X-A: \x7f", "Content-Length : 3")
VERSIONS = ("HTTP/1.1",) * 30 + ("HTTP/1.0",)
BAD_VERSIONS = ("HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.1 ", "HTTP/1", "")
HIDDEN = "GET /admin/hidden HTTP/1.1\r\nHost: up.test:PORT\r\nAuthorization: Bearer TOKEN\r\n\r\n"
BODIES = ("", "x", "hello", "z" * 5000, HIDDEN, "0\r\n\r\n", "TOKEN")
GOOD_FRAMINGS = ("none", "none", "length", "length", "chunked", "chunked", "extended", "trailers")
BAD_FRAMINGS = ("longer", "shorter", "twice", "signed", "hex", "list", "both", "bare", "sign", "blank", "huge", "short chunk", "listed", "identity", "vertical", "0x", "extended badly")


def chunks(random, body, line_end="\r\n", extension="", sizes="{:x}"):
    out = ""
    while body:
        size = random.randint(1, len(body))
        out += sizes.format(size) + extension + line_end + body[:size] + "\r\n"
        body = body[size:]
    return out


def framed(random, kind, body):
    """(fields, bytes)"""
    size = len(body)
    chunked = "Transfer-Encoding: chunked\r\n"
    simple = {
        "none": ("", ""), "length": (f"Content-Length: {size}\r\n", body), "longer": (f"Content-Length: {size + 9}\r\n", body),
        "shorter": (f"Content-Length: {size // 2}\r\n", body), "twice": (f"Content-Length: {size}\r\n" * 2, body),
        "signed": (f"Content-Length: +{size}\r\n", body), "hex": (f"Content-Length: 0x{size:x}\r\n", body), "list": (f"Content-Length: {size}, {size}\r\n", body),
        "listed": ("Transfer-Encoding: chunked, chunked\r\n", chunks(random, body) + "0\r\n\r\n"),
        "identity": ("Transfer-Encoding: identity\r\n", body), "vertical": ("Transfer-Encoding: chunked\x0b\r\n", chunks(random, body) + "0\r\n\r\n"),
        "both": (f"Content-Length: {size}\r\n" + chunked, chunks(random, body) + "0\r\n\r\n"),
        "huge": (chunked, "fffffffffffffffff\r\n" + body), "short chunk": (chunked, "5\r\nabc\r\n0\r\n\r\n"),
    }
    if kind in simple:
        return simple[kind]
    body = body or "x"
    form = {"bare": {"line_end": "\n"}, "sign": {"sizes": "+{:x}"}, "blank": {"sizes": " {:x}"}, "0x": {"sizes": "0x{:x}"},
            "extended": {"extension": random.choice((";a=b", " ; a", ";a = \"b;c\""))}, "extended badly": {"extension": random.choice((";", ";a=", " ", ";a b"))}}.get(kind, {})
    end = "0\r\nX-Trailer: TOKEN\r\n\r\n" if kind == "trailers" else "0\r\n\r\n"
    return chunked, chunks(random, body, **form) + end


def one_request(random, identity, badness):
    def pick(good, bad):
        return random.choice(bad if random.random() < badness else good)
    fields = [pick(GOOD_FIELDS, BAD_FIELDS) for _ in range(random.randint(0, 3))]
    framing, body = framed(random, pick(GOOD_FRAMINGS, BAD_FRAMINGS), random.choice(BODIES))
    target = pick(GOOD_TARGETS, BAD_TARGETS).replace("ID", identity).replace("HOST", "up.test:PORT")
    lines = [f"{pick(GOOD_METHODS, BAD_METHODS)} {target} {pick(VERSIONS, BAD_VERSIONS)}", f"Host: {pick(GOOD_HOSTS, BAD_HOSTS)}", *fields]
    return "\r\n".join(lines) + "\r\n" + framing + "\r\n" + body


def mutated(random, stream):
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(stream) + 1)
        what = random.randrange(4)
        if what == 0:
            stream = stream[:at] + stream[at + 1:]
        elif what == 1:
            stream = stream[:at] + bytes([random.choice(b"\r\n\0 :;/%.0aA\t\x0b\x80,")]) + stream[at:]
        elif what == 2:
            stream = stream[:at] + bytes([random.randrange(256)]) + stream[at + 1:]
        else:
            stream = stream[:at] + stream[max(0, at - 20):at] + stream[at:]
    return stream


def make_stream(random, number, port, token):
    badness = random.choice((0, 0, 0.03, 0.1, 0.3))
    between = "\r\n" if random.random() < 0.1 else ""
    text = between.join(one_request(random, f"{number}-{i}", badness) for i in range(random.randint(1, 4)))
    stream = text.replace("PORT", str(port)).replace("TOKEN", token).encode("latin-1")
    return mutated(random, stream) if random.random() < 0.3 else stream


def pieces(random, stream):
    """The stream in segments, most often in one."""
    cuts = sorted(random.randrange(len(stream) + 1) for _ in range(random.choice((0, 0, 1, 2, 5))))
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)]) if a < b]
