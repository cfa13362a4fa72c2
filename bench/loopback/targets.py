"""What is measured: this build and its peers, the bare relays, the direct connection; and what they need to run."""
import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from loopback import cases, machine
from loopback.ports import free_port

START_LIMIT = 60  # seconds
IRON, FLOOR, FLOOR_RESUME, DIRECT = "iron", "floor", "floor-resume", "direct"
OWN = (DIRECT, FLOOR, FLOOR_RESUME, IRON)


def openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {arguments[0]} failed: {done.stderr[-500:]}")


def make_key(file, algorithm):
    option = {"RSA": "rsa_keygen_bits:4096", "EC": "ec_paramgen_curve:P-256"}[algorithm]
    openssl("genpkey", "-algorithm", algorithm, "-pkeyopt", option, "-out", file)


def make_certificates(folder, with_rsa):
    """CAs of the proxies, and an origin with a CA of its own."""
    authorities = [("ca-p256", "EC"), ("ca-origin", "EC")] + ([("ca-rsa4096", "RSA")] if with_rsa else [])
    for name, algorithm in authorities:
        make_key(folder / f"{name}.key", algorithm)
        openssl("req", "-x509", "-new", "-key", folder / f"{name}.key", "-days", "30", "-subj", f"/CN=bench {name}",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", folder / f"{name}.crt")
    make_key(folder / "origin.key", "EC")
    openssl("req", "-new", "-key", folder / "origin.key", "-subj", "/CN=bench.test", "-out", folder / "origin.csr")
    (folder / "origin.ext").write_text("subjectAltName=DNS:*.bench.test\nextendedKeyUsage=serverAuth\n"
                                       "keyUsage=digitalSignature\n", encoding="utf-8")
    openssl("x509", "-req", "-in", folder / "origin.csr", "-CA", folder / "ca-origin.crt", "-CAkey",
            folder / "ca-origin.key", "-days", "30", "-extfile", folder / "origin.ext", "-out", folder / "origin.crt")
    (folder / "trust.pem").write_text("".join((folder / f"{name}.crt").read_text() for name, _ in authorities))
    (folder / "no-certificates").mkdir()


class Ground:
    """The folder of a run, its certificates, its origin and the processors that each program may use."""

    def __init__(self, folder, programs, with_rsa):
        self.folder, self.programs = folder, programs
        self.processors = sorted(os.sched_getaffinity(0))
        make_certificates(folder, with_rsa)
        self.origin = machine.Child([programs / "bench_origin", f"--cert={folder}/origin.crt", f"--key={folder}/origin.key"],
                                    set(self.processors), log=None)
        try:
            _, self.origin_port, self.dns_port = self.origin.line(START_LIMIT).split()
        except BaseException:
            self.origin.end()
            raise

    def place(self, pin, proxy):
        """The processors of the proxy, or of what loads it."""
        if pin == "none" or len(self.processors) < 2:
            return set(self.processors)
        return {self.processors[0 if proxy and pin == "split" else 1]}

    def move_origin(self, pin):
        os.sched_setaffinity(self.origin.pid, self.place(pin, False))

    def client_places(self, pin):
        """The processors of each client process."""
        return [{one} for one in self.processors[:4]] if pin == "none" else [self.place(pin, False)]

    def close(self):
        self.origin.end()


class Target:
    """`path`: the program; none of a direct connection."""

    def __init__(self, name, path=None):
        self.name, self.path = name, path
        self.reads_policy = name not in (DIRECT, FLOOR, FLOOR_RESUME)

    def takes_part(self, case):
        if self.name == FLOOR_RESUME:
            return case.resumes
        return {DIRECT: case.direct, FLOOR: case.floor}.get(self.name, True)

    def binary_bytes(self):
        return os.path.getsize(self.path)

    @contextlib.contextmanager
    def running(self, ground, case):
        """(process, port of its tunnel listener, ms until it listened); (None, 0, 0) of a direct connection."""
        if self.name == DIRECT:
            yield None, 0, 0.0
            return
        folder = ground.folder / "running"
        folder.mkdir()
        child = None
        try:
            child, port = (self._start if self.reads_policy else self._start_floor)(ground, case, folder)
            self._wait(child, port, folder)
            yield child, port, (time.monotonic() - child.started) * 1e3
        finally:
            if child:
                child.end()
            shutil.rmtree(folder, ignore_errors=True)

    def _wait(self, child, port, folder):
        deadline = time.monotonic() + START_LIMIT
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            if not child.running() or time.monotonic() > deadline:
                log = folder / "log"
                said = log.read_text(errors="replace")[-800:] if log.exists() else ""
                raise RuntimeError(f"{self.name} does not listen: {said}")
            time.sleep(0.001)

    def _start_floor(self, ground, case, folder):
        ca = ground.folder / case.policy.ca
        child = machine.Child([self.path, f"--origin={ground.origin_port}", f"--ca-cert={ca}.crt", f"--ca-key={ca}.key",
                               f"--trust={ground.folder}/ca-origin.crt", f"--resume={int(self.name == FLOOR_RESUME)}"],
                              ground.place(case.pin, True), log=None, folder=folder)
        try:
            return child, int(child.line(START_LIMIT).split()[1])
        except BaseException:
            child.end()
            raise

    def _start(self, ground, case, folder):
        port = free_port()
        (folder / "proxy.yaml").write_text(configuration(ground, case.policy, port), encoding="utf-8")
        environment = {**os.environ, "SSL_CERT_FILE": str(ground.folder / "ca-origin.crt"),
                       "SSL_CERT_DIR": str(ground.folder / "no-certificates"),
                       **{variable: key for variable, _, key, _ in case.policy.secret_list()}}
        with open(folder / "log", "wb") as log:
            child = machine.Child([self.path, "-config", folder / "proxy.yaml"], ground.place(case.pin, True),
                                  environment, log, folder, speaks=False)
        return child, port


def configuration(ground, policy, port):
    """Of the program under measurement: a tunnel, an allowlist, a secret, lookups at the benchmark's own name server."""
    def listen():
        return f'"127.0.0.1:{free_port()}"'

    ca = ground.folder / policy.ca
    hosts = "\n".join(f'        - "{host}"' for host in policy.host_list())
    body = ", match_body: true" if policy.in_bodies else ""
    secrets = "\n".join(
        f"        - source: {{type: env, var: {variable}}}\n"
        f'          replace: {{proxy_value: "{token}", match_headers: ["Authorization"]{body}}}\n'
        f'          rules: [{{host: "{host}"}}]' for variable, token, _, host in policy.secret_list())
    return f"""dns:
  listen: {listen()}
  proxy_ip: "127.0.0.1"
  upstream_resolver: "127.0.0.1:{ground.dns_port}"
proxy:
  http_listen: {listen()}
  https_listen: {listen()}
  tunnel_listen: "127.0.0.1:{port}"
  upstream_deny_cidrs: []
tls:
  ca_cert: {json.dumps(str(ca) + ".crt")}
  ca_key: {json.dumps(str(ca) + ".key")}
metrics:
  listen: {listen()}
log:
  level: "info"
transforms:
  - name: allowlist
    config:
      domains:
{hosts}
  - name: secrets
    config:
      secrets:
{secrets}
"""


def client_arguments(ground, case, port, connections):
    """Of bench_client, for one of the client processes of a case."""
    arguments = {**case.client, "connections": connections, "token": cases.TOKEN, "origin": ground.origin_port,
                 "proxy": port, "trust": ground.folder / "trust.pem"}
    return [f"--{name}={value}" for name, value in arguments.items()]
