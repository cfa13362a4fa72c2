"""connect.py HOST PORT: a tunnel between standard input and output, for ssh's ProxyCommand. connect.py HOST PORT LISTEN: one for each connection to a local port."""
import os
import socket
import sys
import threading
from urllib.parse import urlsplit


def tunnel(host, port):
    proxy = urlsplit(os.environ["HTTPS_PROXY"])
    connection = socket.create_connection((proxy.hostname, proxy.port))
    connection.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            break
        head += byte
    if not head.startswith(b"HTTP/1.1 200"):
        sys.exit("the proxy says: " + head.decode().split("\r\n")[0])
    return connection


def copy(read, write, end):
    while data := read():
        write(data)
    end()


def both(first, second, end):
    threading.Thread(target=copy, args=(first[0], second[1], end), daemon=True).start()
    copy(second[0], first[1], lambda: None)


def of(connection):
    return lambda: connection.recv(65536), connection.sendall


host, port = sys.argv[1:3]
if len(sys.argv) == 3:
    far = tunnel(host, port)
    both((lambda: os.read(0, 65536), lambda data: os.write(1, data)), of(far), lambda: far.shutdown(socket.SHUT_WR))
else:
    with socket.create_server(("127.0.0.1", int(sys.argv[3]))) as server:
        while True:
            near, _ = server.accept()
            far = tunnel(host, port)
            threading.Thread(target=both, args=(of(near), of(far), lambda far=far: far.shutdown(socket.SHUT_WR)), daemon=True).start()
