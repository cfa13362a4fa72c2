"""Uploads that are refused early: one line with how often each status, with its whole answer, or failure was seen.

All programs of this folder take ROUNDS, SIZE, CHUNKED, HOST, BASE_URL and, for https, HTTPS_PROXY from the environment.
"""
import asyncio
import collections
import os
import ssl
from urllib.parse import urlsplit

ENV = os.environ
URL = urlsplit(ENV["BASE_URL"])
SIZE = int(ENV["SIZE"])
BODY = b"u" * SIZE


def request():
    framing = "Transfer-Encoding: chunked" if ENV["CHUNKED"] else f"Content-Length: {SIZE}"
    head = f"POST /big HTTP/1.1\r\nHost: {ENV['HOST']}\r\n{framing}\r\n\r\n".encode()
    return head + (b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE, BODY) if ENV["CHUNKED"] else BODY)


async def connection():
    if URL.scheme == "http":
        return await asyncio.open_connection(URL.hostname, URL.port)
    proxy = urlsplit(ENV["HTTPS_PROXY"])
    reader, writer = await asyncio.open_connection(proxy.hostname, proxy.port)
    writer.write(f"CONNECT {URL.netloc} HTTP/1.1\r\nHost: {URL.netloc}\r\n\r\n".encode())
    assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    await writer.start_tls(ssl.create_default_context(), server_hostname=URL.hostname)
    return reader, writer


async def status():
    reader, writer = await connection()
    try:
        writer.write(request())
        try:
            await writer.drain()
        except ConnectionError:
            pass  # what was received may still say why
        answer = await reader.read()
        return answer.split()[1].decode() if answer else "end"
    except OSError as error:
        return type(error).__name__
    finally:
        writer.close()


async def main():
    return collections.Counter([await status() for _ in range(int(ENV["ROUNDS"]))])

print(", ".join(f"{seen} x {count}" for seen, count in asyncio.run(main()).items()))
