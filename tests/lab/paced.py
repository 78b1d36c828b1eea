#!/usr/bin/env python3
"""Fetches http://HOST:PORT/PATH through a SOCKS5 front at a steady rate.

usage: paced.py FRONT_HOST:PORT HOST PORT /PATH BYTES_PER_SECOND

Prints the sha256 of the body and the longest time, in ms, in which nothing could be read. Touches
the file named by PACED_BEGUN once the body has begun. curl's --limit-rate comes in gusts of seconds.
"""
import hashlib
import os
import select
import socket
import sys
import time

sys.dont_write_bytecode = True
from socks import connect, exactly


def main():
    front, host, port, path, rate = sys.argv[1:6]
    s = connect(front, host, int(port))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    s.sendall(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += exactly(s, 1)
    length = [int(l.split(b":")[1]) for l in head.split(b"\r\n") if l.lower().startswith(b"content-length")][0]
    open(os.environ["PACED_BEGUN"], "w").close()
    digest, got, longest, begun = hashlib.sha256(), 0, 0.0, time.monotonic()
    while got < length:
        waited = time.monotonic()
        if not select.select([s], [], [], 60)[0]:
            sys.exit(f"nothing for 60 s after {got} bytes")
        data = s.recv(65536)
        if not data:
            sys.exit(f"ended after {got} of {length} bytes")
        longest = max(longest, time.monotonic() - waited)
        digest.update(data)
        got += len(data)
        ahead = got / int(rate) - (time.monotonic() - begun)
        if ahead > 0:
            time.sleep(ahead)
    print(digest.hexdigest(), int(longest * 1000))


main()
