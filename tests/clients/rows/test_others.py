"""A browser; and protocols that are no HTTP, which go through hosts of proxy.passthrough."""
import base64
import getpass
import hashlib
import os
import shutil
import socket
import subprocess
import sys

from harness.proxy import StartFailed
from harness.waiting import wait_until
from matrix.case import ClientTest
from matrix.install import run


class Browser(ClientTest):
    def test_chromium(self):
        self.needs("chromium")
        public = subprocess.run(["openssl", "x509", "-in", self.ca, "-noout", "-pubkey"], capture_output=True, check=True).stdout
        der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=public, capture_output=True, check=True).stdout
        env = {"CA_SPKI": base64.b64encode(hashlib.sha256(der).digest()).decode()}
        command = [os.path.join(self.python(nightly=True), "python"), self.program("chromium_client.py"), shutil.which("chromium")]
        self.assertEqual("hello uploaded\n", self.client(*command, env=env))
        self.denied("ERR_TUNNEL_CONNECTION_FAILED", *command, env=env)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


class Opaque(ClientTest):
    sees_key = False
    require = None

    def passing(self, port):
        """A proxy that passes this port of every host through."""
        try:
            proxy = self.own_proxy({"proxy": {"passthrough": [{"host": "*.test", "ports": [port]}]}})
        except StartFailed as failed:
            if "passthrough" in failed.text:
                self.skip("this binary has no proxy.passthrough")
            raise
        return {"HTTPS_PROXY": "http://%s:%d" % proxy.tunnel}

    def server(self, command, port, **options):
        """A server of the test, which answers on its port before the test goes on."""
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)

        def listens():
            with socket.socket() as one:
                return one.connect_ex(("127.0.0.1", port)) == 0
        wait_until(listens, f"{command[0]} listens")

    def test_ssh(self):
        daemon = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin")
        if daemon is None or os.geteuid() != 0:
            self.skip("sshd is not on this machine, or this is not root")
        port = free_port()
        env = self.passing(port)
        os.makedirs("/run/sshd", exist_ok=True)
        for name in ("host", "user"):
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path(name)])
        options = {"Port": port, "ListenAddress": "127.0.0.1", "HostKey": self.path("host"), "AuthorizedKeysFile": self.path("user.pub"), "StrictModes": "no", "PidFile": "none",
                   "UsePAM": "no", "PermitRootLogin": "yes"}
        self.server([daemon, "-D", "-f", "/dev/null", *(part for name, value in options.items() for part in ("-o", f"{name}={value}"))], port)
        command = ["ssh", "-F", "none", "-i", self.path("user"), "-o", f"ProxyCommand={sys.executable} {self.program('connect.py')} %h %p", "-o", "StrictHostKeyChecking=no",
                   "-o", f"UserKnownHostsFile={self.path('known')}", "-o", "BatchMode=yes", "-l", getpass.getuser()]
        self.assertEqual("hello\n", self.client(*command, "-p", str(port), "ssh.up.test", "echo", "hello", env=env))
        self.denied("403", *command, "-p", "443", "denied.example", "true")

    def test_psql(self):
        self.needs("psql")
        programs = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True).stdout.strip() if shutil.which("pg_config") else ""
        found = [place for place in (programs, *(f"/usr/lib/postgresql/{version}/bin" for version in range(18, 12, -1))) if os.path.exists(os.path.join(place, "initdb"))]
        if not found or os.geteuid() != 0:
            self.skip("a PostgreSQL server is not on this machine, or this is not root")
        port, near = free_port(), free_port()
        env = self.passing(port)
        os.chmod(self.directory, 0o755)
        data = self.path("data")
        os.mkdir(data)
        os.chown(data, 65534, 65534)
        nobody = {"user": 65534, "group": 65534, "extra_groups": [], "cwd": data}
        run([os.path.join(found[0], "initdb"), "-D", data, "-U", "somebody", "-A", "trust", "--no-sync"], **nobody)
        self.server([os.path.join(found[0], "postgres"), "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", "", "-F"], port, **nobody)
        self.server([sys.executable, self.program("connect.py"), "db.up.test", str(port), str(near)], near, env=self.environment_of("tunnel", **env))
        self.assertEqual("42\n", self.client("psql", "-At", "-h", "127.0.0.1", "-p", str(near), "-U", "somebody", "-d", "postgres", "-c", "select 42", env=env))
