#!/usr/bin/env python3
"""Sends a number every few milliseconds, and says how long the longest pause was at the other end.

usage: pulse.py serve HOST:PORT
       pulse.py watch FRONT_HOST:PORT HOST PORT FILE

`watch` goes through a SOCKS5 front; it touches FILE once numbers come, reads until FILE is gone,
and prints the longest time between two that followed each other, in ms. A number that is missing,
doubled or out of order is an error.
"""
import os
import select
import socket
import struct
import sys
import time

sys.dont_write_bytecode = True
from socks import connect, exactly

EVERY_S = 0.005


def serve(at):
    host, _, port = at.rpartition(":")
    listener = socket.create_server((host, int(port)))
    while True:
        s, _ = listener.accept()
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if os.fork() == 0:
            beat(s)
        s.close()


def beat(s):
    number, due = 0, time.monotonic()
    while True:
        try:
            s.sendall(struct.pack(">Q", number))
        except OSError:
            os._exit(0)
        number, due = number + 1, due + EVERY_S
        time.sleep(max(0.0, due - time.monotonic()))


def watch(front, host, port, file):
    s = connect(front, host, int(port))
    expected, longest, last = 0, 0.0, None
    while last is None or os.path.exists(file):
        if not select.select([s], [], [], 60)[0]:
            sys.exit(f"nothing for 60 s after number {expected}")
        number = struct.unpack(">Q", exactly(s, 8))[0]
        if number != expected:
            sys.exit(f"{number} instead of {expected}")
        now = time.monotonic()
        if last is None:
            open(file, "w").close()
        else:
            longest = max(longest, now - last)
        expected, last = expected + 1, now
    print(int(longest * 1000))


if sys.argv[1] == "serve":
    serve(sys.argv[2])
else:
    watch(*sys.argv[2:6])
