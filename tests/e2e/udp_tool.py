#!/usr/bin/env python3
"""Both ends of what tests/e2e/udp.sh asks for.

    udp_tool.py serve                      DNS on 127.0.0.1:5300, echo on :5400 (UDP), until killed
    udp_tool.py dns USER NAME              asks through a UDP association at 127.0.0.1:1080 (PySocks)
    udp_tool.py echo USER COUNT LENGTH...  datagrams of each length to the echo server and back
    udp_tool.py ftp USER                   BIND, as an active FTP client does it: asks the server at
                                           127.0.0.1:2121 there to connect back
    udp_tool.py ftpd                       that server
    udp_tool.py message NAME               a DNS query to standard output
    udp_tool.py answer                     what an answer on standard input says

USER is the user name for the front, "-" for none.
"""
import os
import selectors
import socket
import struct
import sys

FRONT = ("127.0.0.1", 1080)
ADDRESS = "192.0.2.77"


# --- DNS, as much of it as a query for one address needs (RFC 1035 section 4.1) ---------------------


def query(name):
    labels = b"".join(bytes([len(l)]) + l.encode() for l in name.split("."))
    return struct.pack(">6H", 0x4711, 0x0100, 1, 0, 0, 0) + labels + struct.pack(">BHH", 0, 1, 1)


def answer_to(message):
    end = 12
    while message[end]:
        end += 1 + message[end]
    question = message[12 : end + 5]
    head = message[:2] + struct.pack(">5H", 0x8580, 1, 1, 0, 0)
    record = struct.pack(">HHHIH", 0xC00C, 1, 1, 60, 4) + socket.inet_aton(ADDRESS)
    return head + question + record


def address_in(message):
    return socket.inet_ntoa(message[-4:])


# --- servers ------------------------------------------------------------------------------------------


def serve():
    chosen = selectors.DefaultSelector()
    for port, reply in (5300, answer_to), (5400, lambda m: m):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        s.bind(("127.0.0.1", port))
        chosen.register(s, selectors.EVENT_READ, reply)
    while True:
        for key, _ in chosen.select():
            message, client = key.fileobj.recvfrom(65536)
            key.fileobj.sendto(key.data(message), client)


def ftpd():
    server = socket.create_server(("127.0.0.1", 2121))
    while True:
        control, _ = server.accept()
        host, port = control.makefile().readline().split()
        with socket.create_connection((host, int(port))) as data:
            data.sendall(b"a file of home\n")
        control.close()


# --- clients ------------------------------------------------------------------------------------------


def association(user):
    import socks

    s = socks.socksocket(socket.AF_INET, socket.SOCK_DGRAM)
    name = None if user == "-" else user
    s.set_proxy(socks.SOCKS5, *FRONT, rdns=True, username=name, password=name and "x")
    s.settimeout(10)
    return s


def dns(user, name):
    with association(user) as s:
        s.sendto(query(name), ("home.peer", 5300))
        message, source = s.recvfrom(65536)
        print(address_in(message), "from", source[0])


def echo(user, count, *lengths):
    lost = 0
    with association(user) as s:
        for length in map(int, lengths):
            for _ in range(int(count)):
                sent = os.urandom(length)
                s.sendto(sent, ("home.peer", 5400))
                try:
                    got, _ = s.recvfrom(65536)
                except socket.timeout:
                    lost += 1
                    continue
                if got != sent:
                    sys.exit(f"{length} bytes came back as others")
    print(lost)


def ask_front(user, command, host, port):
    """A SOCKS5 request; the connection and the address of the first reply."""
    s = socket.create_connection(FRONT, 10)
    s.settimeout(30)
    if user == "-":
        s.sendall(b"\x05\x01\x00")
        assert s.recv(2, socket.MSG_WAITALL) == b"\x05\x00"
    else:
        name = user.encode()
        s.sendall(b"\x05\x01\x02\x01" + bytes([len(name)]) + name + b"\x01x")
        assert s.recv(4, socket.MSG_WAITALL) == b"\x05\x02\x01\x00"
    s.sendall(bytes([5, command, 0, 3, len(host)]) + host.encode() + struct.pack(">H", port))
    return s, reply(s)


def reply(s):
    head = s.recv(4, socket.MSG_WAITALL)
    if head[1]:
        sys.exit(f"refused with {head[1]}")
    size = {1: 4, 4: 16}[head[3]]
    family = {1: socket.AF_INET, 4: socket.AF_INET6}[head[3]]
    rest = s.recv(size + 2, socket.MSG_WAITALL)
    return socket.inet_ntop(family, rest[:size]), struct.unpack(">H", rest[size:])[0]


def ftp(user):
    control, _ = ask_front(user, 1, "home.peer", 2121)
    data, listening = ask_front(user, 2, "home.peer", 2121)
    control.sendall(f"{listening[0]} {listening[1]}\n".encode())
    source = reply(data)
    print(data.makefile().read().strip(), "from", source[0])


def message(name):
    sys.stdout.buffer.write(query(name))


def answer():
    print(address_in(sys.stdin.buffer.read()))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
