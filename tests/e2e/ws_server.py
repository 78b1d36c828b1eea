"""A WebSocket server for chromium.sh (RFC 6455): ws_server.py PORT

/ws echoes text messages. /wait answers any HTTP request only once somebody has sent "done" there, so
that a page that waits for it is not complete before its script is. Short messages only.
"""
import base64
import hashlib
import socketserver
import sys
import threading

DONE = threading.Event()
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        path, fields = self.head()
        if path != "/ws":
            DONE.wait(60)
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        accept = base64.b64encode(hashlib.sha1(fields["sec-websocket-key"].encode() + GUID).digest())
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                         b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        while (message := self.message()) is not None:
            if message == b"done":
                DONE.set()
            self.wfile.write(bytes([0x81, len(message)]) + message)

    def head(self):
        path = self.rfile.readline().split()[1].decode()
        fields = {}
        while (line := self.rfile.readline().strip()):
            name, value = line.decode().split(":", 1)
            fields[name.lower()] = value.strip()
        return path, fields

    def message(self):
        start = self.rfile.read(2)
        if len(start) < 2 or start[0] & 0x0F != 1:
            return None  # closed
        mask = self.rfile.read(4)
        data = self.rfile.read(start[1] & 0x7F)
        return bytes(b ^ mask[i % 4] for i, b in enumerate(data))


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


Server(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
