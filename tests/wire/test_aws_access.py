"""The program's own keys for AWS, and secrets that AWS keeps: every way to them, against endpoints of the test."""
import datetime
import json
import os
import shutil
import tempfile

from harness import Upstream, WireTest, main
from harness.case import TOKEN, allowlist, secrets
from harness.sigv4 import Signed
from harness.upstream import answer
from harness.waiting import wait_until

ACCESS_KEY = "ASIAOWN0123456789ABC"
SECRET_KEY = "own/secret+key0123456789abcdefghijABCDE"
SESSION_TOKEN = "ownsessiontoken/0123456789=="
VALUE = "sk-of-aws-0123456789abcdef"
OFF = {"AWS_EC2_METADATA_DISABLED": "true"}


def until(**later):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(**later)).strftime("%Y-%m-%dT%H:%M:%SZ")


def keys_json(expiry, **more):
    return json.dumps(more | {"AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY, "Token": SESSION_TOKEN, "Expiration": expiry}).encode()


def sts_answer(action, expiry):
    return answer((f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result><Credentials><AccessKeyId>{ACCESS_KEY}</AccessKeyId>'
                   f"<SecretAccessKey>{SECRET_KEY}</SecretAccessKey><SessionToken>{SESSION_TOKEN}</SessionToken><Expiration>{expiry}</Expiration>"
                   f"</Credentials></{action}Result></{action}Response>").encode(), fields=[("Content-Type", "text/xml")])


def workload():
    return {"name": "aws_auth", "config": {"credentials_provider": {"type": "workload_identity", "region": "eu-west-1"}, "rules": [{"host": "*.test"}]}}


def authorization(service="s3"):
    return ("Authorization", f"AWS4-HMAC-SHA256 Credential=PLACEHOLDER/20261124/eu-west-1/{service}/aws4_request, SignedHeaders=host, Signature=00")


class Access(WireTest):
    """`aws` plays the services of AWS."""

    starts_proxy = False

    def setUp(self):
        super().setUp()
        self.aws = Upstream()
        self.addCleanup(self.aws.close)
        self.url = f"http://127.0.0.1:{self.aws.port}"
        self.directory = tempfile.mkdtemp(prefix="iron-aws-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path + ".new", "w", encoding="utf-8") as handle:
            handle.write(text)
        os.rename(path + ".new", path)
        return path

    def start(self, *transforms, env=None):
        proxy = self.own_proxy({"transforms": [allowlist("*.test"), *transforms]}, env)
        self.addCleanup(self.no_keys_in, proxy)
        return proxy

    def no_keys_in(self, proxy):
        for key in (ACCESS_KEY, SECRET_KEY, SESSION_TOKEN, VALUE):
            self.assertNotIn(key, proxy.text())


class Workload(Access):
    def ask(self, proxy):
        return self.plain(proxy).request("GET", "/k", self.upstream.host(), [authorization()])

    def signed(self, proxy, token=SESSION_TOKEN):
        answered = self.ask(proxy)
        self.assertEqual(200, answered.status, answered.body)
        request = self.upstream.requests[-1]
        signed = Signed(request, SECRET_KEY)
        self.assertEqual(([], ACCESS_KEY), (signed.problems, signed.access_key))
        self.assertEqual(token, request.get("X-Amz-Security-Token"))

    def test_environment(self):
        proxy = self.start(workload(), env={"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY})
        self.signed(proxy, None)
        with open(f"/proc/{proxy.pid}/environ", "rb") as handle:
            self.assertNotIn(SECRET_KEY.encode(), handle.read())

    def test_web_identity(self):
        token = self.write("token", "web.id.tok")
        self.aws.routes["/"] = sts_answer("AssumeRoleWithWebIdentity", until(hours=1))
        proxy = self.start(workload(), env={"AWS_WEB_IDENTITY_TOKEN_FILE": token, "AWS_ROLE_ARN": "arn:aws:iam::1:role/r", "AWS_ROLE_SESSION_NAME": "sess",
                                            "AWS_ENDPOINT_URL_STS": self.url, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
        self.signed(proxy)
        self.signed(proxy)
        self.assertEqual(1, len(self.aws.requests))
        asked = self.aws.requests[0]
        self.assertEqual(("POST", "/", None), (asked.method, asked.target, asked.get("Authorization")))
        self.assertEqual(b"Action=AssumeRoleWithWebIdentity&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&RoleSessionName=sess&Version=2011-06-15"
                         b"&WebIdentityToken=web.id.tok", asked.body)
        self.assertNotIn("web.id.tok", proxy.text())

    def test_new_ones_are_got_at_the_end(self):
        self.aws.routes["/creds"] = lambda connection, request: connection.send(answer(keys_json(until(minutes=5, seconds=1)))) and None
        auth = self.write("auth", "container-token")
        proxy = self.start(workload(), env={"AWS_CONTAINER_CREDENTIALS_FULL_URI": self.url + "/creds", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": auth})
        self.signed(proxy)
        self.assertEqual(("container-token", "application/json"), (self.aws.requests[0].get("Authorization"), self.aws.requests[0].get("Accept")))
        self.write("auth", "next-token")

        def asked_again():
            self.signed(proxy)
            return len(self.aws.requests) > 1
        wait_until(asked_again, "new keys")
        self.assertEqual("next-token", self.aws.requests[1].get("Authorization"))

    def test_a_container_elsewhere_is_not_asked(self):
        proxy = self.start(workload(), env={"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://10.0.0.1/creds"})
        self.assertEqual(502, self.ask(proxy).status)
        annotations = proxy.wait_record("request")["request_transforms"][1]["annotations"]
        self.assertEqual({"credential": "workload_identity", "rejected": "credential_unavailable",
                          "error": 'failed to refresh cached credentials, invalid endpoint host, "10.0.0.1", only loopback/ecs/eks hosts are allowed'}, annotations)

    def test_instance(self):
        roles = "/latest/meta-data/iam/security-credentials/"
        self.aws.routes |= {"/latest/api/token": answer(b"imds-token", fields=[("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "300")]), roles: answer(b"my-role"),
                            roles + "my-role": answer(keys_json(until(hours=1), Code="Success"))}
        proxy = self.start(workload(), env={"AWS_EC2_METADATA_SERVICE_ENDPOINT": self.url})
        self.signed(proxy)
        self.assertEqual(["PUT /latest/api/token", f"GET {roles}", f"GET {roles}my-role"], [f"{at.method} {at.target}" for at in self.aws.requests])
        first = self.aws.requests[0]
        self.assertEqual(("300", "0"), (first.get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds"), first.get("Content-Length")))
        self.assertEqual([None, "imds-token", "imds-token"], [at.get("X-Aws-Ec2-Metadata-Token") for at in self.aws.requests])
        self.aws.forget()
        self.aws.routes |= {"/latest/api/token": answer(status="404 Not Found"), roles: answer(b"my-role"),
                            roles + "my-role": answer(keys_json(until(hours=1), Code="Success"))}
        self.signed(self.start(workload(), env={"AWS_EC2_METADATA_SERVICE_ENDPOINT": self.url}))
        self.assertEqual(3, len(self.aws.requests))

    def test_profiles(self):
        config = self.write("config", f"[profile role]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = base\nregion = eu-central-1\n"
                                      f"services = mine\n[services mine]\nsts =\n  endpoint_url = {self.url}\n"
                                      "[profile sso]\nsso_session = x\n")
        credentials = self.write("credentials", f"[base]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n")
        files = {"AWS_CONFIG_FILE": config, "AWS_SHARED_CREDENTIALS_FILE": credentials}
        self.signed(self.start(workload(), env=files | {"AWS_PROFILE": "base"}), None)
        self.aws.routes["/"] = sts_answer("AssumeRole", until(hours=1))
        self.signed(self.start(workload(), env=files | {"AWS_PROFILE": "role"}))
        asked = Signed(self.aws.requests[0], SECRET_KEY)
        self.assertEqual(([], ACCESS_KEY, "sts"), (asked.problems, asked.access_key, asked.service))
        proxy = self.start(workload(), env=files | {"AWS_PROFILE": "sso"})
        self.assertEqual(502, self.ask(proxy).status)
        self.assertIn("takes a login of SSO", proxy.wait_record("request")["request_transforms"][1]["annotations"]["error"])

    def test_in_the_home(self):
        proxy = self.own_proxy({"transforms": [allowlist("*.test"), workload()]}, start=False)
        os.mkdir(os.path.join(proxy.directory, ".aws"))
        with open(os.path.join(proxy.directory, ".aws", "credentials"), "w", encoding="utf-8") as handle:
            handle.write(f"[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n")
        proxy.start()
        self.signed(proxy, None)
        self.no_keys_in(proxy)

    def test_nothing_anywhere(self):
        proxy = self.start(workload(), env=OFF)
        self.assertEqual(502, self.ask(proxy).status)
        self.assertIn("no EC2 IMDS role found, operation error ec2imds: GetMetadata, ",
                      proxy.wait_record("request")["request_transforms"][1]["annotations"]["error"])


class Sources(Access):
    own_keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}

    def start_with(self, source, env=None):
        entry = {"source": source, "replace": {"proxy_value": TOKEN, "match_headers": ["Authorization"]}, "rules": [{"host": "*.test"}]}
        return self.start(secrets(entry), env=self.own_keys | {"AWS_REGION": "us-west-2"} | (env or {}))

    def sent(self, proxy):
        self.upstream.forget()
        self.assertEqual(200, self.plain(proxy).request("GET", "/", self.upstream.host(), [("Authorization", f"Bearer {TOKEN}")]).status)
        return self.upstream.requests[-1].get("Authorization")

    def error_of(self, proxy):
        self.assertEqual(f"Bearer {TOKEN}", self.sent(proxy))
        return proxy.wait_record("failed to fetch secret, caching error")["error"]

    def test_a_secret(self):
        self.aws.routes["/base"] = answer(json.dumps({"Name": "s", "SecretString": VALUE}).encode())
        proxy = self.start_with({"type": "aws_sm", "secret_id": "my/secret"},
                                {"AWS_ENDPOINT_URL": self.url + "/base", "AWS_SESSION_TOKEN": SESSION_TOKEN})
        self.assertEqual(f"Bearer {VALUE}", self.sent(proxy))
        asked = self.aws.requests[0]
        signed = Signed(asked, SECRET_KEY)
        self.assertEqual(([], "secretsmanager", "us-west-2"), (signed.problems, signed.service, signed.region))
        self.assertEqual((b'{"SecretId":"my/secret"}', "secretsmanager.GetSecretValue", "application/x-amz-json-1.1", SESSION_TOKEN),
                         (asked.body, asked.get("X-Amz-Target"), asked.get("Content-Type"), asked.get("X-Amz-Security-Token")))
        self.assertRegex(asked.get("User-Agent"), "^iron-proxy/")

    def test_a_parameter(self):
        self.aws.routes["/"] = answer(json.dumps({"Parameter": {"Value": json.dumps({"k": VALUE})}}).encode())
        proxy = self.start_with({"type": "aws_ssm", "name": "/a/b", "region": "eu-west-3", "json_key": "k"}, {"AWS_ENDPOINT_URL_SSM": self.url})
        self.assertEqual(f"Bearer {VALUE}", self.sent(proxy))
        signed = Signed(self.aws.requests[0], SECRET_KEY)
        self.assertEqual(([], "ssm", "eu-west-3"), (signed.problems, signed.service, signed.region))
        self.assertEqual(b'{"Name":"/a/b","WithDecryption":true}', self.aws.requests[0].body)

    def test_what_is_refused_is_told_without_keys(self):
        self.aws.routes["/"] = answer(json.dumps({"__type": "AccessDeniedException", "message": f"{SECRET_KEY} may not {ACCESS_KEY}"}).encode(),
                                      "400 Bad Request", [("X-Amzn-Requestid", "req-1")])
        proxy = self.start_with({"type": "aws_sm", "secret_id": "s"}, {"AWS_ENDPOINT_URL": self.url})
        self.assertEqual('fetching secret "s": operation error Secrets Manager: GetSecretValue, https response error StatusCode: 400, RequestID: req-1, '
                         "api error AccessDeniedException: *** may not ***", self.error_of(proxy))
        self.assertEqual(1, len(self.aws.requests))

    def test_attempts(self):
        self.aws.routes["/"] = answer(b'{"__type":"InternalServiceError","Message":"boom"}', "500 Internal Server Error", [("X-Amzn-Requestid", "req-5")])
        proxy = self.start_with({"type": "aws_sm", "secret_id": "s"}, {"AWS_ENDPOINT_URL": self.url, "AWS_MAX_ATTEMPTS": "2"})
        self.assertEqual('fetching secret "s": operation error Secrets Manager: GetSecretValue, exceeded maximum number of attempts, 2, https response error '
                         "StatusCode: 500, RequestID: req-5, InternalServiceError: boom", self.error_of(proxy))
        self.assertEqual(2, len(self.aws.requests))

    def test_without_region_or_profile(self):
        where = 'fetching secret "s": operation error Secrets Manager: GetSecretValue, '
        proxy = self.start_with({"type": "aws_sm", "secret_id": "s"}, {"AWS_REGION": ""})
        self.assertEqual(where + "failed to resolve service endpoint, endpoint rule error, Invalid Configuration: Missing Region", self.error_of(proxy))
        proxy = self.start_with({"type": "aws_ssm", "name": "s"}, {"AWS_PROFILE": "nope"})
        self.assertEqual("creating AWS SSM client: loading AWS config: failed to get shared config profile, nope", self.error_of(proxy))


if __name__ == "__main__":
    main()
