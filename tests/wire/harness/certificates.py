"""Certificates of a test run, made with the openssl command, once per process."""
import atexit
import functools
import os
import shutil
import ssl
import subprocess
import tempfile

NAMES = ["up.test", "api.up.test", "*.up.test", "api.test", "other.test", "b.test", "slow.test", "many.test",
         "localhost", "api.openai.com", "openrouter.ai", "api.anthropic.com"]
CA_EXTENSIONS = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"


def openssl(*arguments, cwd=None):
    done = subprocess.run(("openssl", *arguments), cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"openssl {arguments[0]}: {done.stderr}")
    return done.stdout


class Certificates:
    """`mitm.*` is the CA of the proxy, `origin.*` the one that signed the upstream's certificates."""

    def __init__(self, directory):
        self.directory = directory
        self.make_ca("mitm", "Wire Test CA")
        self.make_ca("origin", "Wire Test Origin CA")
        names = ",".join(f"DNS:{name}" for name in NAMES)
        self.sign("upstream", "origin", f"subjectAltName={names},IP:127.0.0.1\n")
        self.sign("wrongname", "origin", "subjectAltName=DNS:else.example\n")

    def path(self, name):
        return os.path.join(self.directory, name)

    def make_ca(self, name, common_name, extensions=CA_EXTENSIONS):
        with open(self.path(name + ".cnf"), "w", encoding="ascii") as handle:
            handle.write("[req]\ndistinguished_name=dn\nx509_extensions=ext\nprompt=no\n"
                         f"[dn]\nCN={common_name}\n[ext]\n{extensions}")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3",
                "-config", name + ".cnf", "-keyout", name + ".key", "-out", name + ".crt", cwd=self.directory)

    def sign(self, name, issuer, extensions, days=3):
        with open(self.path(name + ".ext"), "w", encoding="ascii") as handle:
            handle.write(extensions)
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                "-keyout", name + ".key", "-out", name + ".csr", cwd=self.directory)
        openssl("x509", "-req", "-in", name + ".csr", "-CA", issuer + ".crt", "-CAkey", issuer + ".key",
                "-CAcreateserial", "-days", str(days), "-extfile", name + ".ext", "-out", name + ".crt", cwd=self.directory)

    def server_context(self, name="upstream"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path(name + ".crt"), self.path(name + ".key"))
        return context

    def client_context(self, trust="mitm"):
        """What a sandbox uses: only the CA of the proxy is trusted."""
        return ssl.create_default_context(cafile=self.path(trust + ".crt"))


@functools.cache
def certificates():
    directory = tempfile.mkdtemp(prefix="iron-wire-pki-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return Certificates(directory)
