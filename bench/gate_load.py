"""The scripted load of bench/gate: keep-alive requests with one token through a tunnel, to an origin in this process."""
import contextlib
import os
import signal
import socket
import ssl
import subprocess
import threading
import time

from loopback.ports import free_port

TOKEN = "hermes-proxy-main-0123456789abcdef"
KEY = "real-0123456789abcdef-0123456789abcdef"
HOST = "localhost"
START_LIMIT = 60  # seconds; under valgrind on a busy machine
ANSWER_BODY = b'{"object":"list","data":[' + b'"0123456789",' * 7 + b'"0123456789"]}'
ANSWER = (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nServer: bench\r\n"
          b"X-Request-Id: 0123456789abcdef\r\nCache-Control: no-store\r\n\r\n" % len(ANSWER_BODY)) + ANSWER_BODY


def certificates(folder):
    """A CA for the proxy and a certificate of the origin, both P-256 and self-signed."""
    for name, extension in (("ca", "keyUsage=critical,keyCertSign,cRLSign"), ("origin", f"subjectAltName=DNS:{HOST}")):
        subprocess.run(["openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", f"/CN={name}", "-newkey", "ec",
                        "-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", folder / f"{name}.key",
                        "-out", folder / f"{name}.crt", "-addext", extension],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Origin:
    """Answers every request of a TLS connection alike, after a look at the key it carries."""

    def __init__(self, folder):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / "origin.crt", folder / "origin.key")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.with_key = 0
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                plain, _ = self.listener.accept()
                with contextlib.suppress(OSError), self.context.wrap_socket(plain, server_side=True) as connection:
                    self.answer_all(connection)

    def answer_all(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        buffer = b""
        while piece := connection.recv(65536):
            buffer += piece
            while b"\r\n\r\n" in buffer:
                head, buffer = buffer.split(b"\r\n\r\n", 1)
                self.with_key += f"Authorization: Bearer {KEY}".encode() in head
                connection.sendall(ANSWER)

    def close(self):
        self.listener.close()


def configuration(folder, port):
    listen = '"127.0.0.1:%d"'
    return f"""dns:
  enabled: false
proxy:
  http_listen: {listen % free_port()}
  https_listen: {listen % free_port()}
  tunnel_listen: {listen % port}
  upstream_deny_cidrs: []
tls:
  ca_cert: "{folder}/ca.crt"
  ca_key: "{folder}/ca.key"
metrics:
  listen: {listen % free_port()}
hardening: "off"
transforms:
  - name: allowlist
    config:
      domains: ["{HOST}"]
  - name: secrets
    config:
      secrets:
        - source: {{type: env, var: BENCH_KEY}}
          replace: {{proxy_value: "{TOKEN}", match_headers: ["Authorization"]}}
          rules: [{{host: "{HOST}"}}]
"""


def connect(port, proxy):
    """A connection to the proxy as soon as it listens."""
    deadline = time.monotonic() + START_LIMIT
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), START_LIMIT)
        except OSError:
            if proxy.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the proxy does not listen") from None
            time.sleep(0.02)


def tunnel(port, proxy, origin, folder):
    plain = connect(port, proxy)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    plain.sendall(f"CONNECT {HOST}:{origin.port} HTTP/1.1\r\nHost: {HOST}:{origin.port}\r\n\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += plain.recv(4096) or b"\r\n\r\n"
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"CONNECT was answered {answer!r}")
    context = ssl.create_default_context(cafile=folder / "ca.crt")
    return context.wrap_socket(plain, server_hostname=HOST)


def send_requests(connection, origin, count):
    request = (f"GET /v1/models?limit=20 HTTP/1.1\r\nHost: {HOST}:{origin.port}\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n"
               f"Accept-Encoding: gzip, deflate\r\nAuthorization: Bearer {TOKEN}\r\n\r\n").encode()
    for _ in range(count):
        connection.sendall(request)
        answer = b""
        while not answer.endswith(ANSWER_BODY):
            piece = connection.recv(65536)
            if not piece:
                raise RuntimeError(f"the proxy ended the connection after {answer!r}")
            answer += piece


def run(command, environment, folder, count):
    """Starts `command` with a configuration and sends it `count` requests over one connection; ends it properly."""
    if not (folder / "ca.crt").exists():
        certificates(folder)
    origin = Origin(folder)
    port = free_port()
    (folder / "proxy.yaml").write_text(configuration(folder, port))
    environment = {**environment, "BENCH_KEY": KEY, "SSL_CERT_FILE": str(folder / "origin.crt"),
                   "SSL_CERT_DIR": str(folder / "no-certificates")}
    core = {min(os.sched_getaffinity(0))}  # one core, hence one worker
    with open(folder / "log", "wb") as log:
        proxy = subprocess.Popen([*command, "-config", folder / "proxy.yaml"], env=environment, stdin=subprocess.DEVNULL,
                                 stdout=log, stderr=log, preexec_fn=lambda: os.sched_setaffinity(0, core))
    try:
        with tunnel(port, proxy, origin, folder) as connection:
            send_requests(connection, origin, count)
        proxy.send_signal(signal.SIGTERM)
        if proxy.wait(START_LIMIT) != 0 or origin.with_key != count:
            raise RuntimeError(f"exit code {proxy.returncode}, {origin.with_key} of {count} requests with the key")
    except Exception as fault:
        raise SystemExit(f"gate load: {fault}\n" + (folder / "log").read_text(errors="replace")[-3000:]) from fault
    finally:
        if proxy.poll() is None:
            proxy.kill()
            proxy.wait()
        origin.close()
