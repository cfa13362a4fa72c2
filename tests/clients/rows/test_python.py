"""Libraries and programs of Python."""
import json
import os

from harness.case import TOKEN, allowlist
from harness.sigv4 import Signed
from harness.upstream import answer
from harness.waiting import SLOWNESS
from matrix import origins
from matrix.case import ClientTest


class Python(ClientTest):
    """Each library by its own program of a few lines: the result is one line."""

    headers = ["Authorization", "x-api-key", "x-goog-api-key"]

    def check(self, name, expected, says, *ca, **env):
        command = [os.path.join(self.python(nightly=True), "python"), self.program(f"{name}_client.py")]
        self.assertEqual(expected, self.client(*command, ca=ca, env=env).splitlines()[-1])
        self.denied(says, *command, ca=ca, env=env)

    def test_anthropic_python(self):
        self.check("anthropic", "hello onetwo", "403|Connection error", "SSL_CERT_FILE")

    def test_google_genai(self):
        self.check("google_genai", "hello", "403|ProxyError", "SSL_CERT_FILE")

    def test_litellm(self):
        self.check("litellm", "hello onetwo", "403|Connection error", "SSL_CERT_FILE")

    def test_aiohttp(self):
        self.check("aiohttp", "hello 403 uploaded 3 hello", "403", "SSL_CERT_FILE")

    def test_urllib3(self):
        self.check("urllib3", "hello 403 uploaded", "403", "SSL_CERT_FILE")

    def test_websockets(self):
        self.check("websockets", "hello", "403", "SSL_CERT_FILE")

    def test_websocket_client(self):
        self.check("websocket_client", "hello", "403", "SSL_CERT_FILE")

    def test_huggingface_hub(self):
        self.check("huggingface", "somebody", "403", "SSL_CERT_FILE")


class Aws(ClientTest):
    """Bearer tokens, which Bedrock takes: a signature (SigV4) is made of the key, no token in it can be swapped."""

    def origin(self):
        said = {"output": {"message": {"role": "assistant", "content": [{"text": "hello"}]}}, "stopReason": "end_turn",
                "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}, "metrics": {"latencyMs": 1}}
        return origins.challenged(self.has_key, lambda connection, request: connection.send(answer(json.dumps(said).encode(), fields=origins.JSON)))

    ENV = {"AWS_BEARER_TOKEN_BEDROCK": TOKEN, "AWS_DEFAULT_REGION": "eu-west-1", "AWS_MAX_ATTEMPTS": "1", "AWS_EC2_METADATA_DISABLED": "true"}

    def test_boto3(self):
        command = [os.path.join(self.python(nightly=True), "python"), self.program("boto3_client.py")]
        self.assertEqual("hello\n", self.client(*command, ca=["AWS_CA_BUNDLE"], env=self.ENV))
        self.denied("403|Failed to connect to proxy", *command, ca=["AWS_CA_BUNDLE"], env=self.ENV)

    def test_boto3_s3(self):
        """Without a signature, with a field of its own. An empty object waits for the origin's 100, and is written once."""
        def store(connection, request):
            if request.get("Expect"):
                connection.send("HTTP/1.1 100 Continue\r\n\r\n")
            connection.read_body(request)
            connection.send(answer(b"", fields=[("ETag", '"x"')]))
        store.raw_body = True
        self.tls_upstream.default = store
        command = [os.path.join(self.python(nightly=True), "python"), self.program("boto3_s3_client.py")]
        took = float(self.client(*command, ca=["AWS_CA_BUNDLE"], env=self.ENV))
        self.assertLess(took, 4 * SLOWNESS, "the client waited for a 100 that never came")
        self.assertEqual(["/bucket/empty", "/bucket/full"], self.tls_upstream.targets())

    def test_awscli(self):
        command = [os.path.join(self.python(nightly=True), "aws"), "bedrock-runtime", "converse", "--model-id", "m1", "--messages", '[{"role":"user","content":[{"text":"hi"}]}]',
                   "--output", "text", "--query", "output.message.content[0].text", "--endpoint-url"]
        self.assertEqual("hello\n", self.client(*command, self.url, ca=["AWS_CA_BUNDLE"], env=self.ENV))
        self.denied("403|Failed to connect to proxy", *command, self.denied_url, ca=["AWS_CA_BUNDLE"], env=self.ENV)


class AwsSigned(ClientTest):
    """Placeholder keys: what boto3 signs with them is signed anew."""

    sees_key = False
    KEYS = ("AKIDREAL0123456789AB", "real/secret+key0123456789abcdefghijABCD")
    environment = dict(zip(("CLIENTS_AWS_ID", "CLIENTS_AWS_SECRET"), KEYS))
    ENV = {"AWS_ACCESS_KEY_ID": "placeholder", "AWS_SECRET_ACCESS_KEY": "placeholder", "AWS_DEFAULT_REGION": "eu-west-1", "AWS_EC2_METADATA_DISABLED": "true"}

    @classmethod
    def base_config(cls):
        sources = {name: {"type": "env", "var": var} for name, var in zip(("access_key_id", "secret_access_key"), cls.environment)}
        signer = {"name": "aws_auth", "config": sources | {"rules": [{"host": "*.test"}]}}
        return super().base_config() | {"transforms": [allowlist("*.test"), signer]}

    def origin(self):
        said = {"GET /": b"<ListAllMyBucketsResult><Buckets><Bucket><Name>mine</Name></Bucket></Buckets></ListAllMyBucketsResult>",
                "GET /bucket/a%20b": b"text", "POST /model/anthropic.claude-v2%3A1/invoke": b"hello",
                "POST /": b"<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123</Account></GetCallerIdentityResult></GetCallerIdentityResponse>",
                "POST /bucket/parts": b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"}

        def serve(connection, request):
            if request.get("Expect"):
                connection.send("HTTP/1.1 100 Continue\r\n\r\n")
            connection.read_body(request)
            what = f"{request.method} {request.target.partition('?')[0]}"
            done = b"<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>"
            body = done if "uploadId=" in request.target and request.method == "POST" else said.get(what, b"")
            connection.send(answer(body, fields=[("ETag", '"x"')]))
        serve.raw_body = True
        return serve

    def check_credentials(self):
        self.assertGreaterEqual(len(self.tls_upstream.requests), 8)
        for request in self.tls_upstream.requests:
            signed = Signed(request, self.KEYS[1])
            self.assertEqual(([], self.KEYS[0]), (signed.problems, signed.access_key), request.line)
        for key in self.KEYS:
            self.assertNotIn(key, self.proxy.text())

    def test_boto3_signed(self):
        command = [os.path.join(self.python(nightly=True), "python"), self.program("boto3_signed_client.py")]
        self.assertEqual("mine text hello 123 credential_issuing_call\n", self.client(*command, ca=["AWS_CA_BUNDLE"], env=self.ENV))


class Uv(ClientTest):
    def origin(self):
        return origins.challenged(self.has_key, origins.python_index())

    def test_uv(self):
        programs = self.python(nightly=True)
        uv = [os.path.join(programs, "uv"), "pip", "install", "--python", os.path.join(programs, "python"), "--target", self.path("out"), "--index-url"]
        self.client(*uv, f"https://user:{TOKEN}@{self.tls_upstream.host()}/simple/", "demo-of-iron", ca=["SSL_CERT_FILE"])
        self.assertTrue(os.path.exists(self.path("out/demo_of_iron.py")))
        self.denied("403|tunnel", *uv, self.denied_url + "/simple/", "other", ca=["SSL_CERT_FILE"], env={"UV_HTTP_RETRIES": "0", "UV_NO_CACHE": "1"})
