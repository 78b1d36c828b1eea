#!/usr/bin/env python3
"""What `nsc` makes: an operator, an account and a user of NATS, signed by one another.

usage: natsjwt.py SERVER_CONF CREDENTIALS

Writes the servers' part of the configuration, and the user's credentials. Signs with openssl.
"""
import base64
import json
import os
import subprocess
import sys
import tempfile
import time

PREFIX = {"operator": 14 << 3, "account": 0, "user": 20 << 3}
SEED = 18 << 3


def crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ (0x1021 if crc & 0x8000 else 0)
        crc &= 0xFFFF
    return crc.to_bytes(2, "little")


def b32(data):
    return base64.b32encode(data + crc16(data)).decode().rstrip("=")


def b64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Key:
    def __init__(self, kind):
        self.kind, self.seed = kind, os.urandom(32)
        self.der = bytes.fromhex("302e020100300506032b657004220420") + self.seed
        public = self.openssl("pkey", "-inform", "DER", "-pubout", "-outform", "DER")[-32:]
        self.id = b32(bytes([PREFIX[kind]]) + public)

    def openssl(self, command, *args, data=None):
        with tempfile.NamedTemporaryFile() as key, tempfile.NamedTemporaryFile() as text:
            key.write(self.der)
            key.flush()
            text.write(data or b"")
            text.flush()
            name = "-inkey" if command == "pkeyutl" else "-in"
            extra = ["-keyform", "DER", "-in", text.name] if command == "pkeyutl" else []
            return subprocess.run(["openssl", command, name, key.name, *extra, *args], check=True, capture_output=True).stdout

    def says(self, subject, nats):
        head = b64(json.dumps({"typ": "JWT", "alg": "ed25519-nkey"}).encode())
        claims = {"jti": os.urandom(8).hex(), "iat": int(time.time()), "iss": self.id, "name": subject.kind,
                  "sub": subject.id, "nats": {"version": 2, "type": subject.kind, **nats}}
        text = f"{head}.{b64(json.dumps(claims).encode())}"
        return f"{text}.{b64(self.openssl('pkeyutl', '-sign', '-rawin', data=text.encode()))}"

    def secret(self):
        prefix = PREFIX[self.kind]
        return b32(bytes([SEED | prefix >> 5, (prefix & 31) << 3]) + self.seed)


def main():
    operator, account, user = Key("operator"), Key("account"), Key("user")
    unlimited = {name: -1 for name in ("subs", "conn", "leaf", "imports", "exports", "data", "payload")}
    with open(sys.argv[1], "w") as f:
        f.write(f"operator: {operator.says(operator, {})}\nresolver: MEMORY\nresolver_preload: {{\n")
        f.write(f"  {account.id}: {operator.says(account, {'limits': {**unlimited, 'wildcards': True}})}\n}}\n")
    with open(sys.argv[2], "w") as f:
        f.write(f"-----BEGIN NATS USER JWT-----\n{account.says(user, {'subs': -1, 'data': -1, 'payload': -1})}\n")
        f.write("------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n")
        f.write(f"{user.secret()}\n------END USER NKEY SEED------\n")


main()
