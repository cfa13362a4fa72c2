"""Requests to AWS signed anew: what the origin gets verifies with the real keys, whatever the client signed with."""
import json

from harness import WireTest, main
from harness.case import allowlist
from harness.sigv4 import Signed

ACCESS_KEY = "AKIDREAL0123456789AB"
SECRET_KEY = "real/secret+key0123456789abcdefghijABCD"
SESSION_TOKEN = "realsessiontoken/0123456789=="
ZEROS = "0" * 64


def source(var):
    return {"type": "env", "var": var}


def aws_auth(**more):
    config = {"access_key_id": source("WIRE_AWS_ID"), "secret_access_key": source("WIRE_AWS_SECRET"), "rules": [{"host": "*.test"}]}
    return {"name": "aws_auth", "config": config | more}


def authorization(service="s3", region="eu-west-1"):
    return ("Authorization", f"AWS4-HMAC-SHA256 Credential=PLACEHOLDER/20261124/{region}/{service}/aws4_request, "
                             f"SignedHeaders=host;x-amz-date, Signature={ZEROS}")


def chunked(*chunks, trailers=()):
    """A body whose signatures are worth nothing."""
    text = b"".join(b"%x;chunk-signature=%s\r\n%s\r\n" % (len(chunk), ZEROS.encode(), chunk) for chunk in chunks)
    text += b"0;chunk-signature=%s\r\n" % ZEROS.encode()
    if trailers:
        text += b"".join(trailer + b"\r\n" for trailer in trailers) + b"x-amz-trailer-signature:" + ZEROS.encode() + b"\r\n"
    return text + b"\r\n"


class AwsAuth(WireTest):
    starts_proxy = False
    environment = {"WIRE_AWS_ID": ACCESS_KEY, "WIRE_AWS_SECRET": SECRET_KEY, "WIRE_AWS_TOKEN": SESSION_TOKEN}

    def start(self, *transforms, over=None, env=None):
        proxy = self.own_proxy({"transforms": [allowlist("*.test"), *(transforms or (aws_auth(),))], **(over or {})}, env)
        self.addCleanup(self.no_keys_in, proxy)
        return proxy

    def no_keys_in(self, proxy):
        for key in (ACCESS_KEY, SECRET_KEY, SESSION_TOKEN):
            self.assertNotIn(key, proxy.text())

    def ask(self, proxy, target="/", fields=None, method="GET", body=b"", host="up.test"):
        peer = self.plain(proxy)
        return peer.request(method, target, self.upstream.host(host), fields if fields is not None else [authorization()], body)

    def arrived(self):
        """The last request, whose signature must be good."""
        request = self.upstream.requests[-1]
        signed = Signed(request, SECRET_KEY)
        self.assertEqual([], signed.problems)
        self.assertEqual(ACCESS_KEY, signed.access_key)
        self.assertNotIn("PLACEHOLDER", request.raw.decode("latin-1"))
        return request, signed

    def refused(self, proxy, status, reason, annotations, **request):
        mark = proxy.mark()
        answer = self.ask(proxy, **request)
        self.assertEqual((status, "application/json", {"error": "aws_auth", "reason": reason}),
                         (answer.status, answer.get("Content-Type"), json.loads(answer.body)))
        record = proxy.wait_record("request", lambda record: record["audit"]["status_code"] == status, after=mark)
        self.assertEqual(("WARN", "reject", "aws_auth"), (record["level"], record["audit"]["action"], record["rejected_by"]))
        trace = record["request_transforms"][-1]
        self.assertEqual(annotations | {"rejected": reason}, trace["annotations"])
        self.assertEqual("reject", trace["action"])
        self.assertEqual([], self.upstream.requests)

    def test_requests_of_all_shapes(self):
        proxy = self.start()
        for method, target, service, body in (
                ("GET", "/", "s3", b""), ("GET", "/b/a%20b", "s3", b""), ("GET", "/b/a%2Bb//c/", "s3", b""), ("PUT", "/b/k", "s3", b"some bytes"),
                ("GET", "/b?list-type=2&prefix=a%2Fb&delimiter=%2F", "s3", b""), ("GET", "/b?z=1&a=2&a=1&empty=", "s3", b""),
                ("POST", "/model/anthropic.claude-v2%3A1/invoke", "bedrock", b'{"a":1}'), ("POST", "/", "dynamodb", b"{}"),
                ("GET", "/a%20b/c", "execute-api", b""), ("HEAD", "/b/k", "s3", b""), ("DELETE", "/b/k?versionId=x", "s3", b"")):
            with self.subTest(f"{method} {target}"):
                self.assertEqual(200, self.ask(proxy, target, [authorization(service), ("X-Amz-Date", "20200101T000000Z"), ("X-Amz-Meta-Of", " a  b ")],
                                               method, body).status)
                request, signed = self.arrived()
                self.assertEqual((target, body, service, "eu-west-1"), (request.target, request.body, signed.service, signed.region))
                self.assertEqual(1, len(request.all("X-Amz-Date")))
        record = proxy.wait_record("request", lambda record: record["audit"]["path"] == "/b/k")
        self.assertEqual({"injected": ["header:Authorization", "header:X-Amz-Date", "header:X-Amz-Content-Sha256"], "region": "eu-west-1", "service": "s3"},
                         record["request_transforms"][1]["annotations"])

    def test_fields_of_the_hop_are_not_signed(self):
        proxy = self.start()
        fields = [authorization(), ("Connection", "keep-alive, X-Amz-Hop"), ("X-Amz-Hop", "1"), ("TE", "trailers"), ("Accept-Encoding", "gzip"),
                  ("User-Agent", "x"), ("Content-Type", "text/plain"), ("Content-MD5", "abc=")]
        self.assertEqual(200, self.ask(proxy, fields=fields).status)
        _, signed = self.arrived()
        self.assertEqual(["content-md5", "content-type", "host", "x-amz-content-sha256", "x-amz-date"], signed.names)

    def test_over_tls_and_absolute(self):
        proxy = self.start()
        peer = self.tls_tunnel(self.tls_upstream.host(), proxy=proxy)
        self.assertEqual(200, peer.request("GET", "/k", self.tls_upstream.host(), [authorization()]).status)
        self.assertEqual([], Signed(self.tls_upstream.requests[-1], SECRET_KEY).problems)
        peer = self.plain(proxy)
        self.assertEqual(200, peer.request("GET", f"http://{self.upstream.host()}/k", "other.test", [authorization()]).status)
        self.arrived()

    def test_a_body_that_is_asked_for(self):
        proxy = self.start()
        peer = self.plain(proxy)
        peer.send_request("PUT", "/k", self.upstream.host(), [authorization(), ("Expect", "100-continue"), ("Content-Length", "5")])
        self.assertEqual(100, peer.read_response_head().status)
        self.assertEqual(200, peer.send(b"hello").read_response().status)
        self.assertEqual(b"hello", self.arrived()[0].body)

    def test_a_body_without_a_length(self):
        fields = [authorization(), ("Transfer-Encoding", "chunked")]
        self.refused(self.start(), 400, "chunked_body_not_allowed", {}, method="PUT", fields=fields, body=b"5\r\nhello\r\n0\r\n\r\n")
        proxy = self.start(aws_auth(allow_chunked_body=True))
        self.assertEqual(200, self.ask(proxy, "/k", fields, "PUT", b"5\r\nhello\r\n0\r\n\r\n").status)
        request, _ = self.arrived()
        self.assertEqual((b"hello", "5", None), (request.body, request.get("Content-Length"), request.get("Transfer-Encoding")))
        told = proxy.wait_record("aws_auth signing chunked request body without length verification")
        self.assertEqual(("up.test", "/k", 5), (told["host"], told["path"], told["buffered_length"]))

    def test_a_body_above_the_limit_goes_nowhere(self):
        limit = {"proxy": {"max_request_body_bytes": 1000}}
        body = b"x" * 3000
        self.refused(self.start(over=limit), 413, "body_truncated", {"content_length": 3000, "buffered_length": 1000}, method="PUT", body=body)
        self.refused(self.start(aws_auth(allow_chunked_body=True), over=limit), 413, "body_truncated", {"content_length": -1, "buffered_length": 1000},
                     method="PUT", fields=[authorization(), ("Transfer-Encoding", "chunked")], body=b"bb8\r\n" + body + b"\r\n0\r\n\r\n")
        self.assertEqual([], self.upstream.connections)

    def test_what_a_client_did_not_sign_need_not_be_read(self):
        proxy = self.start(over={"proxy": {"max_request_body_bytes": 1000}})
        peer = self.tls_tunnel(self.tls_upstream.host(), proxy=proxy)
        unsigned = ("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
        self.assertEqual(200, peer.request("PUT", "/k", self.tls_upstream.host(), [authorization(), unsigned], b"x" * 3000).status)
        request = self.tls_upstream.requests[-1]
        signed = Signed(request, SECRET_KEY)
        self.assertEqual(([], "UNSIGNED-PAYLOAD", 3000), (signed.problems, signed.payload, len(request.body)))
        # In clear text it is signed, so it must be read.
        self.refused(proxy, 413, "body_truncated", {"content_length": 3000, "buffered_length": 1000}, method="PUT", fields=[authorization(), unsigned],
                     body=b"x" * 3000)
        proxy = self.start(aws_auth(unsigned_payload=True))
        self.assertEqual(200, self.ask(proxy, "/k", [authorization(), ("Transfer-Encoding", "chunked")], "PUT", b"5\r\nhello\r\n0\r\n\r\n").status)
        self.assertEqual("UNSIGNED-PAYLOAD", self.arrived()[1].payload)

    def test_unsigned_chunks_with_a_trailer(self):
        proxy = self.start()
        body = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"
        fields = [authorization(), ("X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"), ("Content-Encoding", "aws-chunked"),
                  ("X-Amz-Decoded-Content-Length", "5"), ("X-Amz-Trailer", "x-amz-checksum-crc32"), ("Transfer-Encoding", "chunked")]
        self.assertEqual(200, self.ask(proxy, "/k", fields, "PUT", b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)).status)
        request, signed = self.arrived()
        self.assertEqual((body, "STREAMING-UNSIGNED-PAYLOAD-TRAILER"), (request.body, signed.payload))
        self.assertLessEqual({"x-amz-decoded-content-length", "x-amz-trailer"}, set(signed.names))

    def test_signed_chunks_are_signed_anew(self):
        proxy = self.start()
        chunks = (b"a" * 65536, b"b" * 1048576, b"c")
        for word, trailers in (("PAYLOAD", ()), ("PAYLOAD-TRAILER", (b"x-amz-checksum-crc32:NhCmhg==", b"x-amz-other:1"))):
            body = chunked(*chunks, trailers=trailers)
            counted = [("Content-Length", str(len(body)))]
            for fields, sent in ((counted, body), ([("Transfer-Encoding", "chunked")], b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))):
                with self.subTest(word, framing=fields[0][0]):
                    fields = [authorization(), ("X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-" + word), *fields]
                    self.assertEqual(200, self.ask(proxy, "/k", fields, "PUT", sent).status)
                    request, signed = self.arrived()
                    self.assertEqual([], signed.chunk_problems(request.body))
                    self.assertEqual(len(body), len(request.body))
                    self.assertNotIn(ZEROS.encode(), request.body)
        self.assertNotEqual([], signed.chunk_problems(body))  # those that the client made would be found

    def test_chunks_that_come_slowly(self):
        proxy = self.start()
        body = chunked(b"hello", b"world")
        peer = self.plain(proxy)
        peer.send_request("PUT", "/k", self.upstream.host(), [authorization(), ("X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
                                                              ("Content-Length", str(len(body)))])
        for at in range(len(body)):
            peer.send(body[at:at + 1])
        self.assertEqual(200, peer.read_response().status)
        request, signed = self.arrived()
        self.assertEqual([], signed.chunk_problems(request.body))

    def test_chunks_that_cannot_be_signed(self):
        proxy = self.start()
        good = chunked(b"x" * 100000)
        word = ("X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
        for body, status, reason, annotations in (
                (b"100001;chunk-signature=" + ZEROS.encode() + b"\r\n", 413, "body_truncated", {"content_length": 5000000, "buffered_length": 1048576}),
                (b"nonsense\r\n", 400, "body_read_failed", {"error": 'aws-chunked body: a chunk\'s line is not "size;chunk-signature=64 digits"'}),
                (good[:-100] + b"zzz\r\n" + b"0" * 100, 400, "body_read_failed", None)):
            with self.subTest(reason):
                mark = proxy.mark()
                peer = self.plain(proxy)
                peer.send_request("PUT", "/k", self.upstream.host(), [authorization(), word, ("Content-Length", "5000000")])
                answer = peer.send(body).read_response()
                self.assertEqual((status, {"error": "aws_auth", "reason": reason}), (answer.status, json.loads(answer.body)))
                record = proxy.wait_record("request", lambda record, status=status: record["audit"]["status_code"] == status, after=mark)
                self.assertEqual(("reject", "aws_auth"), (record["audit"]["action"], record["rejected_by"]))
                trace = record["request_transforms"][1]
                self.assertEqual(("reject", reason), (trace["action"], trace["annotations"]["rejected"]))
                if annotations:
                    self.assertEqual(annotations | {"rejected": reason}, trace["annotations"])
                self.assertEqual([], self.upstream.requests)
        # One that ends in the middle does not look whole either.
        peer = self.plain(proxy)
        peer.send_request("PUT", "/k", self.upstream.host(), [authorization(), word, ("Content-Length", str(len(good) - 2))])
        self.assertEqual(400, peer.send(good[:-2]).read_response().status)
        self.assertEqual([], self.upstream.requests)

    def test_presigned_urls(self):
        proxy = self.start()
        target = ("/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&x=%2f&X-Amz-Credential=PLACEHOLDER%2F20261124%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Date=d"
                  "&X-Amz-Expires=60&y=&X-Amz-SignedHeaders=host&X-Amz-Security-Token=t&X-Amz-Signature=00")
        self.assertEqual(200, self.ask(proxy, target, []).status)
        request, signed = self.arrived()
        self.assertEqual(("/b/k?x=%2f&y=", "s3"), (request.target, signed.service))

    def test_requests_without_a_scope(self):
        proxy = self.start()
        for value, error in ((None, "request has no SigV4 signature (no Authorization header or X-Amz-Credential query param)"),
                             ("Bearer x", "not a AWS4-HMAC-SHA256 Authorization header"),
                             ("AWS4-ECDSA-P256-SHA256 Credential=a/b/c/d/aws4_request", "not a AWS4-HMAC-SHA256 Authorization header"),
                             ("AWS4-HMAC-SHA256 Signature=0", "missing Credential field in Authorization header"),
                             ("AWS4-HMAC-SHA256 Credential=a/b/c", 'malformed credential scope "a/b/c": expected 5 path segments, got 3'),
                             ("AWS4-HMAC-SHA256 Credential=a/b/c/d/e", 'malformed credential scope "a/b/c/d/e": expected aws4_request terminator'),
                             ("AWS4-HMAC-SHA256 Credential=a/b//d/aws4_request", 'malformed credential scope "a/b//d/aws4_request": empty region or service')):
            with self.subTest(value):
                self.refused(proxy, 400, "missing_sigv4", {"error": error}, fields=[("Authorization", value)] if value else [])

    def test_regions_services_and_keys(self):
        proxy = self.start(aws_auth(allowed_regions=["us-west-2"], allowed_services=["s3"]))
        self.refused(proxy, 403, "region_not_allowed", {"region": "eu-west-1"}, fields=[authorization()])
        self.refused(proxy, 403, "service_not_allowed", {"service": "iam"}, fields=[authorization("iam", "us-west-2")])
        self.assertEqual(200, self.ask(proxy, fields=[authorization("s3", "us-west-2")]).status)
        self.upstream.forget()
        proxy = self.start(aws_auth(secret_access_key=source("UNSET")))
        self.refused(proxy, 502, "credential_unavailable",
                     {"credential": "static", "error": 'secret_access_key: env var "UNSET" is not set or empty'}, fields=[authorization()])

    def test_calls_that_hand_out_keys(self):
        proxy = self.start()
        form = ("Content-Type", "application/x-www-form-urlencoded")
        ask = {"method": "POST", "fields": [authorization("sts"), form]}
        self.refused(proxy, 403, "credential_issuing_call", {"service": "sts", "aws_action": "GetSessionToken"},
                     body=b"Action=GetSessionToken&Version=2011-06-15", **ask)
        self.refused(proxy, 403, "credential_issuing_call", {"service": "sts", "aws_action": "AssumeRole"}, target="/?Action=AssumeRole",
                     body=b"Action=GetCallerIdentity", **ask)
        self.assertEqual(200, self.ask(proxy, body=b"Action=GetCallerIdentity&Version=2011-06-15", **ask).status)
        self.arrived()
        self.upstream.forget()
        proxy = self.start(aws_auth(allowed_services=["sts"]))
        self.assertEqual(200, self.ask(proxy, body=b"Action=GetSessionToken&Version=2011-06-15", **ask).status)
        self.arrived()

    def test_a_session_token(self):
        proxy = self.start(aws_auth(session_token=source("WIRE_AWS_TOKEN")))
        self.assertEqual(200, self.ask(proxy, fields=[authorization(), ("X-Amz-Security-Token", "placeholder")]).status)
        request, signed = self.arrived()
        self.assertEqual([SESSION_TOKEN], request.all("X-Amz-Security-Token"))
        self.assertIn("x-amz-security-token", signed.names)

    def test_a_tunnel_opens_by_its_host(self):
        proxy = self.start()
        self.tunnel(self.upstream.host(), proxy=proxy)
        peer = self.tls_tunnel(self.tls_upstream.host(), proxy=proxy)
        self.assertEqual(200, peer.request("GET", "/", self.tls_upstream.host(), [authorization()]).status)

    def test_where_only_names_are_seen(self):
        proxy = self.start(over={"tls": {"mode": "sni-only", "ca_cert": None, "ca_key": None}})
        peer = self.plain(proxy, "tunnel")
        peer.send_request("CONNECT", self.tls_upstream.host(), self.tls_upstream.host())
        self.assertEqual(400, peer.read_response().status)
        self.assertEqual([], self.tls_upstream.connections)

    def test_what_stands_behind_it_is_told(self):
        proxy = self.start(aws_auth(), {"name": "secrets", "config": {"secrets": []}})
        told = proxy.wait_record("transform behind aws_auth can break its signatures")
        self.assertEqual(("secrets", "transforms[2]"), (told["transform"], told["key"]))


if __name__ == "__main__":
    main()
