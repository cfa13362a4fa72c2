"""Checks what is signed for AWS, by AWS's own description: from the bytes that arrived, without anything of the product.

Where botocore is to be had, what it computes for the same request must be the same.
"""
import hashlib
import hmac
import re
import urllib.parse

EMPTY = hashlib.sha256(b"").hexdigest()
S3_FAMILY = ("s3", "s3-outposts", "s3-object-lambda", "s3express")
WORDS = ("UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
         "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER")
AUTHORIZATION = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8}/([^/]*)/([^/]+)/aws4_request), "
                           r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})")


def _mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _signing_key(secret, scope):
    key = ("AWS4" + secret).encode()
    for word in scope.split("/"):
        key = _mac(key, word)
    return key


def _quote(text):
    return urllib.parse.quote(text, safe="-_.~")


def _path(path, service):
    if service in S3_FAMILY:
        return path
    segments = [segment for segment in path.split("/") if segment]
    return "/" + "/".join(map(_quote, segments)) + ("/" if path.endswith("/") and segments else "")


def _query(query):
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    decoded = [(urllib.parse.unquote_to_bytes(name), urllib.parse.unquote_to_bytes(value)) for name, _, value in pairs]
    return "&".join(f"{name}={value}" for name, value in sorted((_quote(name), _quote(value)) for name, value in decoded))


class Signed:
    """The signature of a request that arrived; `problems` is empty if it is good."""

    def __init__(self, request, secret):
        self.problems = []
        if len(request.all("Authorization")) != 1:
            self.problems.append(f"{len(request.all('Authorization'))} Authorization fields")
        found = AUTHORIZATION.fullmatch(request.get("Authorization", ""))
        if not found:
            self.problems.append("no signature")
            return
        self.access_key, self.scope, self.region, self.service, names, self.signature = found.groups()
        self.names = names.split(";")
        self.time = request.get("X-Amz-Date")
        self.payload = request.get("X-Amz-Content-Sha256")
        self.key = _signing_key(secret, self.scope)
        path, _, query = request.target.partition("?")
        fields = "".join(f"{name}:{','.join(' '.join(value.split()) for value in request.all(name))}\n" for name in self.names)
        canonical = "\n".join([request.method, _path(path, self.service), _query(query), fields, names, self.payload])
        words = "\n".join(["AWS4-HMAC-SHA256", self.time, self.scope, hashlib.sha256(canonical.encode("latin-1")).hexdigest()])
        wanted = _mac(self.key, words).hex()
        if wanted != self.signature:
            self.problems.append("the signature is wrong for\n" + canonical)
        if self.payload not in WORDS and self.payload != hashlib.sha256(request.body).hexdigest():
            self.problems.append("the payload hash is wrong")
        if self.names != sorted(self.names) or "host" not in self.names:
            self.problems.append(f"SignedHeaders are {names}")
        by_botocore = self._by_botocore(request, secret)
        if by_botocore not in (None, wanted):
            self.problems.append("botocore computes another signature")

    def _by_botocore(self, request, secret):
        try:
            from botocore.auth import S3SigV4Auth, SigV4Auth
            from botocore.awsrequest import AWSRequest
            from botocore.credentials import Credentials
        except ImportError:
            return None
        kind = S3SigV4Auth if self.service in S3_FAMILY else SigV4Auth
        auth = kind(Credentials(self.access_key, secret), self.service, self.region)
        url = f"http://{request.get('Host')}{request.target}"
        same = AWSRequest(method=request.method, url=url, headers={name: request.get(name) for name in self.names}, data=request.body)
        same.context["timestamp"] = self.time
        query = request.target.partition("?")[2]
        if sorted(query.split("&")) != _query(query).split("&"):
            return None  # it takes the client's spelling of a query for AWS's
        words = auth.string_to_sign(same, auth.canonical_request(same))
        return auth.signature(words, same)

    def chunk_problems(self, body):
        """What is wrong with the signatures inside of a body."""
        previous, rest, problems = self.signature, body, []
        while True:
            line, _, rest = rest.partition(b"\r\n")
            size, _, signature = line.decode().partition(";chunk-signature=")
            data, rest = rest[:int(size, 16)], rest[int(size, 16):]
            words = ["AWS4-HMAC-SHA256-PAYLOAD", self.time, self.scope, previous, EMPTY, hashlib.sha256(data).hexdigest()]
            previous = _mac(self.key, "\n".join(words)).hex()
            if signature != previous:
                problems.append(f"a chunk of {len(data)} bytes")
            if not data:
                break
            if not rest.startswith(b"\r\n"):
                return problems + ["framing"]
            rest = rest[2:]
        if not self.payload.endswith("-TRAILER"):
            return problems + ([] if rest == b"\r\n" else ["end"])
        lines = rest.decode().split("\r\n")
        trailers = [line for line in lines if line and not line.startswith("x-amz-trailer-signature:")]
        text = "".join(line + "\n" for line in trailers)
        words = ["AWS4-HMAC-SHA256-TRAILER", self.time, self.scope, previous, hashlib.sha256(text.encode()).hexdigest()]
        if f"x-amz-trailer-signature:{_mac(self.key, chr(10).join(words)).hex()}" not in lines:
            problems.append("trailers")
        return problems
