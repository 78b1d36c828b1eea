#!/usr/bin/env python3
"""Publishes on a NATS server what no relay would.

usage: natspub.py HOST:PORT [USER PASSWORD]

Reads lines "SUBJECT HEX [TIMES]" from its input; HEX may be @N for N zero bytes. Ends when the server has
taken everything.
"""
import json
import socket
import sys


def main():
    host, _, port = sys.argv[1].rpartition(":")
    s = socket.create_connection((host, int(port)), 10)
    f = s.makefile("rb")
    f.readline()  # INFO
    options = {"verbose": False, "pedantic": False}
    if len(sys.argv) > 2:
        options.update(user=sys.argv[2], **{"pass": sys.argv[3]})
    s.sendall(f"CONNECT {json.dumps(options)}\r\n".encode())
    for line in sys.stdin:
        subject, text, *times = line.split()
        data = bytes(int(text[1:])) if text[0] == "@" else bytes.fromhex(text)
        message = f"PUB {subject} {len(data)}\r\n".encode() + data + b"\r\n"
        for _ in range(int(times[0]) if times else 1):
            s.sendall(message)
    s.sendall(b"PING\r\n")
    for line in f:
        if line.startswith(b"-ERR"):
            sys.exit(line.decode())
        if line.startswith(b"PONG"):
            return
    sys.exit("the server closed")


main()
