"""Peers of bulk transfers that are as fast as the kernel: bulk_peers.py origin | bulk_peers.py clients HOST PORT ORIGIN COUNT.

The origin answers each request with a body without end, out of one file by sendfile; the clients throw away what comes
without copying it. Prints its port, or how many bytes came. Ends with its standard input."""
import os
import socket
import sys
import threading

BLOCK = 1 << 20


def serve(connection):
    with connection:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 50))
        file = os.memfd_create("body")
        os.truncate(file, BLOCK)
        try:
            while True:
                os.sendfile(connection.fileno(), file, 0, BLOCK)
        except OSError:
            os.close(file)


def origin():
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(listener.getsockname()[1], flush=True)

    def accept():
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()


def clients(host, port, target, count):
    taken = [0] * count

    def take(number):
        block = bytearray(BLOCK)
        connection = socket.create_connection((host, port))
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        while (size := connection.recv_into(block, BLOCK, socket.MSG_TRUNC)) > 0:
            taken[number] += size
    for number in range(count):
        threading.Thread(target=take, args=(number,), daemon=True).start()
    return taken


def main():
    if sys.argv[1] == "origin":
        origin()
        sys.stdin.read()
        return
    taken = clients(sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5]))
    while sys.stdin.readline():
        print(sum(taken), flush=True)


if __name__ == "__main__":
    main()
