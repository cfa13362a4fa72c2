#!/usr/bin/env python3
"""A small HTTPS origin for ./quickstart: it knows only the SHA-256 of the key, and writes down, masked, what it received."""
import argparse
import hashlib
import http.server
import json
import ssl


def masked(value):
    return value if len(value) < 16 else f"{value[:11]}{'*' * (len(value) - 13)}{value[-2:]}"


def handler(key_sha256, record_path):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            key = self.headers.get("Authorization", "").removeprefix("Bearer ")
            accepted = hashlib.sha256(key.encode()).hexdigest() == key_sha256
            with open(record_path, "w", encoding="utf-8") as record:
                print(self.requestline, file=record)
                for name, value in self.headers.items():
                    print(f"{name}: {masked(value) if name == 'Authorization' else value}", file=record)
            body = json.dumps({"key_accepted": accepted, "path": self.path}).encode() + b"\n"
            self.send_response(200 if accepted else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler


def main():
    options = argparse.ArgumentParser(description=__doc__)
    for name in ("--cert", "--key", "--key-sha256", "--record", "--port-file"):
        options.add_argument(name, required=True)
    options = options.parse_args()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(options.key_sha256, options.record))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.cert, options.key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    with open(options.port_file, "w", encoding="ascii") as handle:
        handle.write(str(server.server_port))
    server.serve_forever()


main()
