"""Go, Rust and the JVM: libraries, and the package managers of their languages."""
import hashlib
import io
import json
import os
import shutil
import tarfile
import zipfile

from harness.case import TOKEN
from matrix import origins
from matrix.case import WAITS, ClientTest
from matrix.install import PROGRAMS, read, run

RUST = os.path.join(PROGRAMS, "rust")


class Libraries(ClientTest):
    def test_gorilla(self):
        self.needs("go")
        source = self.program("gorilla")

        def build(folder):
            run(["go", "build", "-o", os.path.join(folder, "client"), "."], cwd=source, env=os.environ | {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod -modcacherw", "CGO_ENABLED": "0"})
        client = os.path.join(self.installed("gorilla", build, os.path.join(source, "main.go"), os.path.join(source, "go.sum")), "client")
        self.assertEqual("hello\n", self.client(client, ca=["SSL_CERT_FILE"]))
        self.denied("Forbidden", client, ca=["SSL_CERT_FILE"])

    def rust(self, name):
        self.needs("cargo")
        sources = [os.path.join(RUST, "Cargo.toml"), *(os.path.join(RUST, "src/bin", one) for one in sorted(os.listdir(os.path.join(RUST, "src/bin"))))]

        def build(folder):
            shutil.copytree(RUST, os.path.join(folder, "source"))
            run(["cargo", "build", "--quiet", "--manifest-path", os.path.join(folder, "source/Cargo.toml"), "--target-dir", os.path.join(folder, "target")], timeout=900)
        return os.path.join(self.installed("rust", build, *sources), "target/debug", name)

    def test_reqwest(self):
        client = self.rust("reqwest")
        self.assertEqual("hello 403 uploaded\n", self.client(client, ca=["SSL_CERT_FILE"]))
        self.denied("TunnelUnsuccessful", client, ca=["SSL_CERT_FILE"])

    def test_ureq(self):
        client = self.rust("ureq")
        self.assertEqual("hello 403 uploaded\n", self.client(client, ca=["SSL_CERT_FILE"]))
        self.denied("CONNECT|403|proxy", client, ca=["SSL_CERT_FILE"])

    def test_okhttp(self):
        self.needs("mvn")

        def build(folder):
            run(["mvn", "-q", "-B", "-f", self.program("okhttp/pom.xml"), "dependency:copy-dependencies", f"-DoutputDirectory={folder}/jars"])
        jars = os.path.join(self.installed("okhttp", build, self.program("okhttp/pom.xml")), "jars")
        host, port = self.proxy.tunnel
        command = ["java", *self.java_trust(), f"-Dhttps.proxyHost={host}", f"-Dhttps.proxyPort={port}", "-cp", jars + "/*", self.program("okhttp/Client.java")]
        self.assertEqual("hello 403 uploaded\n", self.client(*command))
        self.denied("403", *command)


class GoModules(ClientTest):
    def origin(self):
        module = io.BytesIO()
        with zipfile.ZipFile(module, "w") as archive:
            archive.writestr("up.test/demo@v1.0.0/go.mod", "module up.test/demo\n")
            archive.writestr("up.test/demo@v1.0.0/demo.go", "package demo\n")
        place = "/up.test/demo/@v/"
        return origins.challenged(self.has_key, origins.files({place + "v1.0.0.info": b'{"Version":"v1.0.0"}', place + "v1.0.0.mod": b"module up.test/demo\n", place + "v1.0.0.zip": module.getvalue()}))

    def test_go_mod(self):
        self.needs("go")
        env = {"GOPROXY": f"https://user:{TOKEN}@{self.tls_upstream.host()}", "GOSUMDB": "off", "GOTOOLCHAIN": "local", "GOFLAGS": "-modcacherw"}
        found = json.loads(self.client("go", "mod", "download", "-json", "up.test/demo@v1.0.0", ca=["SSL_CERT_FILE"], env=env))
        self.assertTrue(os.path.exists(os.path.join(found["Dir"], "demo.go")))
        self.denied("Forbidden", "go", "mod", "download", "up.test/other@v1.0.0", ca=["SSL_CERT_FILE"], env=env | {"GOPROXY": self.denied_url})


class Cargo(ClientTest):
    """A sparse registry that asks for the token: cargo asks without first."""

    require = WAITS

    def origin(self):
        crate = io.BytesIO()
        with tarfile.open(fileobj=crate, mode="w:gz") as archive:
            for name, text in (("Cargo.toml", b'[package]\nname = "demo-of-iron"\nversion = "1.0.0"\nedition = "2021"\n'), ("src/lib.rs", b"\n")):
                member = tarfile.TarInfo("demo-of-iron-1.0.0/" + name)
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text))
        entry = {"name": "demo-of-iron", "vers": "1.0.0", "deps": [], "cksum": hashlib.sha256(crate.getvalue()).hexdigest(), "features": {}, "yanked": False}
        config = {"dl": self.url + "/dl/{crate}-{version}.crate", "api": self.url, "auth-required": True}
        return origins.challenged(self.has_key, origins.files({"/index/config.json": json.dumps(config).encode(), "/index/de/mo/demo-of-iron": json.dumps(entry).encode() + b"\n",
                                                               "/dl/demo-of-iron-1.0.0.crate": crate.getvalue()}), 'Cargo login_url="https://up.test/me"')

    def test_cargo(self):
        self.needs("cargo")
        self.write("Cargo.toml", '[package]\nname = "mine"\nversion = "1.0.0"\nedition = "2021"\n[dependencies]\ndemo-of-iron = { version = "1", registry = "mine" }\n')
        self.write("src/lib.rs", "")
        env = {"CARGO_HOME": self.path("cargo"), "CARGO_REGISTRIES_MINE_INDEX": f"sparse+{self.url}/index/", "CARGO_REGISTRIES_MINE_TOKEN": TOKEN,
               "CARGO_REGISTRY_GLOBAL_CREDENTIAL_PROVIDERS": "cargo:token", "CARGO_NET_RETRY": "0", "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", os.path.expanduser("~/.rustup"))}
        self.client("cargo", "fetch", ca=["CARGO_HTTP_CAINFO"], env=env)
        self.assertIn("/dl/demo-of-iron-1.0.0.crate", self.tls_upstream.targets())
        os.remove(self.path("Cargo.lock"))
        self.denied("403", "cargo", "fetch", ca=["CARGO_HTTP_CAINFO"], env=env | {"CARGO_REGISTRIES_MINE_INDEX": f"sparse+{self.denied_url}/index/"})


class Maven(ClientTest):
    """A repository of one's own. Maven and Gradle send credentials when they are asked for them."""

    require = WAITS
    GET = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:get"

    def origin(self):
        pom = b"<project><modelVersion>4.0.0</modelVersion><groupId>test.up</groupId><artifactId>demo</artifactId><version>1.0</version><packaging>jar</packaging></project>"
        found = {"demo-1.0.pom": pom, "demo-1.0.jar": b"not really a jar"}
        found |= {name + ".sha1": hashlib.sha1(content).hexdigest().encode() for name, content in list(found.items())}
        return origins.challenged(self.has_key, origins.files({"/maven/test/up/demo/1.0/" + name: content for name, content in found.items()}))

    def test_maven(self):
        self.needs("mvn")

        def build(folder):
            run(["mvn", "-q", "-B", f"-Dmaven.repo.local={folder}/repository", self.GET, "-Dartifact=junit:junit:4.13.2", "-Dtransitive=false"])
        shutil.copytree(os.path.join(self.installed("maven", build), "repository"), self.path("repository"))
        host, port = self.proxy.tunnel
        self.write("settings.xml", f"<settings><servers><server><id>mine</id><username>user</username><password>{TOKEN}</password></server></servers><proxies><proxy><active>true</active>"
                   f"<protocol>https</protocol><host>{host}</host><port>{port}</port></proxy></proxies></settings>")
        env = {"MAVEN_OPTS": " ".join(self.java_trust())}
        command = ["mvn", "-q", "-B", "-s", self.path("settings.xml"), f"-Dmaven.repo.local={self.path('repository')}", self.GET, "-Dtransitive=false", "-Dartifact=test.up:demo:1.0"]
        self.client(*command, f"-DremoteRepositories=mine::default::{self.url}/maven", env=env)
        self.assertEqual(b"not really a jar", read(self.path("repository/test/up/demo/1.0/demo-1.0.jar")))
        self.denied("403", *command[:-1], "-Dartifact=test.up:other:1.0", f"-DremoteRepositories=mine::default::{self.denied_url}/maven", env=env)

    def test_gradle(self):
        self.needs("gradle")
        host, port = self.proxy.tunnel
        self.write("settings.gradle", "")
        self.write("build.gradle", "apply plugin: 'java'\nrepositories { maven { url System.getenv('REPOSITORY'); credentials { username 'user'; password System.getenv('API_KEY') } } }\n"
                   "dependencies { compile 'test.up:demo:1.0' }\ntask fetch { doLast { configurations.compile.files.each { println it.name } } }\n")
        command = ["gradle", "--no-daemon", "-q", *self.java_trust(), f"-Dhttps.proxyHost={host}", f"-Dhttps.proxyPort={port}", "fetch"]
        self.assertIn("demo-1.0.jar", self.client(*command, env={"REPOSITORY": self.url + "/maven"}).splitlines())
        self.denied("403", *command, env={"REPOSITORY": self.denied_url + "/maven"})
