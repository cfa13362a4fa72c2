"""Programs of the system: downloaders, scripting languages, registries of containers, apt."""
import gzip
import hashlib
import json
import os

from harness.case import TOKEN
from harness.upstream import answer
from matrix import origins
from matrix.case import WAITS, ClientTest
from matrix.install import run


class Simple(ClientTest):
    """Programs that fetch one URL with the header given."""

    FIELD = f"Authorization: Bearer {TOKEN}"

    def check(self, says, command, ca="SSL_CERT_FILE", expected="hello", **env):
        """`command` makes the arguments for an address; `expected` is None for a program that writes a file."""
        self.needs(command("")[0])
        options = {"ca": [ca] if ca else [], "env": env}
        printed = self.client(*command(self.url + "/file"), **options).strip()
        self.assertIn(expected, (None, printed))
        self.denied(says, *command(self.denied_url + "/file"), **options)

    def test_wget(self):
        self.check("Forbidden", lambda url: ["wget", "-nv", "-t", "1", "-O", "-", "--ca-certificate", self.ca, "--header", self.FIELD, url], ca=None)

    def test_ruby(self):
        # Net::HTTP takes http_proxy for https too.
        self.check("403", lambda url: ["ruby", self.program("client.rb"), url], http_proxy=self.proxy_url())

    def test_perl(self):
        self.needs("lwp-request")
        self.check("403", lambda url: ["perl", self.program("client.pl"), url], ca="PERL_LWP_SSL_CA_FILE")

    def test_php(self):
        self.check("403", lambda url: ["php", "-d", f"curl.cainfo={self.ca}", self.program("client.php"), url], ca=None)

    def test_aria2(self):
        def command(url):
            return ["aria2c", "--console-log-level=error", "--summary-interval=0", "--show-console-readout=false", "--max-tries=1", "--allow-overwrite=true", f"--ca-certificate={self.ca}", f"--header={self.FIELD}", "-o", "out", url]
        self.check("status|errorCode", command, ca=None, expected=None)
        with open(self.path("out"), encoding="ascii") as handle:
            self.assertEqual("hello", handle.read())

    def test_rclone(self):
        self.check("403|Forbidden", lambda url: ["rclone", "copyurl", "--stdout", "--retries", "1", "--low-level-retries", "1", "--ca-cert", self.ca, "--header", self.FIELD, url], ca=None)

    def test_gh(self):
        self.needs("gh")
        env = {"GH_ENTERPRISE_TOKEN": TOKEN, "GH_HOST": self.tls_upstream.host()}
        self.assertEqual("somebody\n", self.client("gh", "api", self.url + "/user", "--jq", ".login", ca=["SSL_CERT_FILE"], env=env))
        self.denied("Forbidden", "gh", "api", self.denied_url + "/user", ca=["SSL_CERT_FILE"], env=env)


class Containers(ClientTest):
    """A registry that asks for Basic credentials; both clients ask without first."""

    require = WAITS

    def origin(self):
        config = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
        kind = "application/vnd.docker.distribution.manifest.v2+json"
        digest = "sha256:" + hashlib.sha256(config).hexdigest()
        manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "layers": [],
                               "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(config), "digest": digest}}).encode()
        found = {"/v2/": (b"{}", "application/json"), f"/v2/img/blobs/{digest}": (config, "application/octet-stream"),
                 "/v2/img/tags/list": (b'{"name":"img","tags":["one"]}', "application/json")}

        def respond(connection, request):
            body, content_type = found.get(request.target.split("?")[0], (manifest, kind) if "/manifests/" in request.target else (None, ""))
            if body is None:
                connection.send(answer(b"{}", "404 Not Found"))
                return
            fields = [("Content-Type", content_type), ("Docker-Distribution-Api-Version", "registry/2.0"), ("Docker-Content-Digest", "sha256:" + hashlib.sha256(body).hexdigest())]
            head = answer(body, fields=fields)
            connection.send(head[:len(head) - len(body)] if request.method == "HEAD" else head)
        return origins.challenged(self.has_key, respond)

    def test_skopeo(self):
        self.needs("skopeo")
        # Its trust is the system's; SSL_CERT_FILE stands for it.
        out = self.client("skopeo", "inspect", "--creds", f"user:{TOKEN}", f"docker://{self.tls_upstream.host()}/img:one", ca=["SSL_CERT_FILE"])
        self.assertEqual("amd64", json.loads(out)["Architecture"])
        self.denied("Forbidden", "skopeo", "inspect", "docker://denied.example/img:one", ca=["SSL_CERT_FILE"])

    def test_crane(self):
        self.needs("go")

        def build(folder):
            run(["go", "install", "github.com/google/go-containerregistry/cmd/crane@v0.20.3"],
                env=os.environ | {"GOBIN": folder, "GOTOOLCHAIN": "local", "GOFLAGS": "-modcacherw", "CGO_ENABLED": "0"})
        crane = os.path.join(self.installed("crane", build), "crane")
        credential = origins.base64.b64encode(f"user:{TOKEN}".encode()).decode()
        self.write(".docker/config.json", json.dumps({"auths": {self.tls_upstream.host(): {"auth": credential}}}))
        out = self.client(crane, "config", f"{self.tls_upstream.host()}/img:one", ca=["SSL_CERT_FILE"])
        self.assertEqual("amd64", json.loads(out)["architecture"])
        self.denied("Forbidden", crane, "config", "denied.example/img:one", ca=["SSL_CERT_FILE"])


class Apt(ClientTest):
    """apt-get update and download, with the credential in auth.conf; nothing of the system's own apt is touched."""

    def origin(self):
        self.package = b"not really a package"
        self.entry = "Package: demo-of-iron\nVersion: 1.0\nArchitecture: all\nMaintainer: t <t@example.com>\nFilename: {}\nSize: {}\nSHA256: {}\nDescription: x\n\n"
        contents = {}
        for index, release, filename, place in (("dists/x/main/binary-amd64/Packages.gz", "dists/x/Release", "pool/demo.deb", "/deb/pool/demo.deb"),
                                                ("Packages.gz", "Release", "./demo.deb", "/flat/demo.deb")):
            root = "/deb/" if release.startswith("dists") else "/flat/"
            packages = self.entry.format(filename, len(self.package), hashlib.sha256(self.package).hexdigest()).encode()
            packed = gzip.compress(packages)
            below = index.removeprefix("dists/x/")
            contents[root + index] = packed
            contents[root + release] = (f"Origin: t\nSuite: x\nCodename: x\nArchitectures: amd64\nComponents: main\nDate: Thu, 01 Jan 2026 00:00:00 UTC\n"
                                        f"SHA256:\n {hashlib.sha256(packed).hexdigest()} {len(packed)} {below}\n"
                                        f" {hashlib.sha256(packages).hexdigest()} {len(packages)} {below.removesuffix('.gz')}\n").encode()
            contents[place] = self.package
        return origins.challenged(self.has_key, origins.files(contents))

    def apt(self, run_client, source, *says):
        self.needs("apt-get")
        for folder in ("etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/apt/auth.conf.d", "etc/apt/trusted.gpg.d", "state/lists/partial", "cache/archives/partial", "dpkg"):
            os.makedirs(self.path(folder), exist_ok=True)
        self.write("dpkg/status", "")
        self.write("etc/apt/sources.list", f"deb [trusted=yes arch=amd64] {source}\n")
        self.write("etc/apt/auth.conf", f"machine https://{self.tls_upstream.host()} login user password {TOKEN}\n")
        settings = {"Dir::Etc": self.path("etc/apt"), "Dir::State": self.path("state"), "Dir::State::status": self.path("dpkg/status"), "Dir::Cache": self.path("cache"),
                    "Acquire::https::CAInfo": self.ca, "Acquire::https::Proxy": self.proxy_url(), "APT::Sandbox::User": "root", "Acquire::Retries": "0",
                    "APT::Architecture": "amd64", "Acquire::Languages": "none", "APT::Update::Error-Mode": "any"}
        options = [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]
        return run_client(*says, "apt-get", *options, "update"), options

    def check(self, source):
        _, options = self.apt(self.client, source)
        self.client("apt-get", *options, "download", "demo-of-iron")
        with open(self.path("demo-of-iron_1.0_all.deb"), "rb") as handle:
            self.assertEqual(self.package, handle.read())

    def test_apt(self):
        self.check(f"{self.url}/deb x main")
        self.apt(self.denied, f"{self.denied_url}/deb x main", "403")

    def test_apt_flat(self):
        """A repository without dists asks for paths with a segment `.`."""
        self.check(f"{self.url}/flat ./")
        self.assertIn("/flat/./demo.deb", self.tls_upstream.targets())
