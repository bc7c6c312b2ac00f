# The hostile internet of a lab: answers on every address and port it is given, and prints one JSON line for each packet
# that arrives from the pod (neighbour discovery and ARP aside) and for each connection. Usage: internet.py
import json
import select
import socket
import struct
import sys
import threading

TCP_PORTS = [22, 53, 80, 81, 443, 5000, 8443]
UDP_PORTS = [53, 123, 443, 4433, 5353]
SILENT_PORT = 5353
NEIGHBOUR_DISCOVERY = {133, 134, 135, 136, 143}


def say(**event):
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def describe(frame):
    kind = struct.unpack("!H", frame[12:14])[0]
    if kind == 0x0806:
        return None
    if kind == 0x0800:
        header = (frame[14] & 15) * 4
        protocol, place, rest = frame[23], socket.inet_ntoa(frame[30:34]), frame[14 + header :]
    elif kind == 0x86DD:
        protocol, place, rest = frame[20], socket.inet_ntop(socket.AF_INET6, frame[38:54]), frame[54:]
        if protocol == 0:  # hop-by-hop options, as multicast listener reports have
            protocol, rest = rest[0], rest[(rest[1] + 1) * 8 :]
        if protocol == 58 and rest[0] in NEIGHBOUR_DISCOVERY:
            return None
    else:
        return {"ethertype": hex(kind)}
    ports = struct.unpack("!HH", rest[:4]) if protocol in (6, 17, 132) and len(rest) >= 4 else (0, 0)
    return {"protocol": protocol, "to": place, "port": ports[1], "source": ports[0]}


def sniff():
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    wire.bind(("eth0", 0))
    while True:
        frame, (_, _, direction, _, _) = wire.recvfrom(65535)
        if direction == 4:  # PACKET_OUTGOING: ours
            continue
        found = describe(frame)
        if found is not None:
            say(event="packet", **found)


def serve_tcp(listener):
    while True:
        connection, _ = listener.accept()
        local = connection.getsockname()
        say(event="connection", to=local[0], port=local[1])
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def answer(connection):
    try:
        connection.settimeout(10)
        data = connection.recv(65535)
        say(event="data", text=data.decode("latin1"), port=connection.getsockname()[1])
        body = b"from the internet"
        connection.sendall(
            b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s" % (len(body), body)
        )
    except OSError:
        pass
    finally:
        connection.close()


# Zone of the name server: what the sidecar's own questions get. `rebind` names move with each question.
ZONE = {
    b"tool.example": ["203.0.113.10"],
    b"metadata.example": ["169.254.169.254"],
    b"private.example": ["10.77.0.1"],
    b"mixed.example": ["203.0.113.10", "169.254.169.254"],
}
asked = {}


def resolve(query):
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].lower())
        at += 1 + query[at]
    name, question = b".".join(labels), query[12 : at + 5]
    wanted = struct.unpack("!H", query[at + 1 : at + 3])[0]
    addresses = ZONE.get(name)
    if name == b"rebind.example":
        asked[name] = asked.get(name, 0) + (wanted == 1)
        addresses = ["203.0.113.10"] if asked[name] <= 1 else ["127.0.0.1"]
    say(event="question", name=name.decode("latin1"), type=wanted)
    if addresses is None:
        return query[:2] + struct.pack("!HHHHH", 0x8183, 1, 0, 0, 0) + question
    found = [a for a in addresses if wanted == 1]
    head = query[:2] + struct.pack("!HHHHH", 0x8180, 1, len(found), 0, 0) + question
    return head + b"".join(
        b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 0, 4) + socket.inet_aton(a) for a in found
    )


def serve_udp(sockets):
    while True:
        for ready in select.select(sockets, [], [])[0]:
            data, place = ready.recvfrom(65535)
            port = ready.getsockname()[1]
            say(event="datagram", port=port)
            if port != SILENT_PORT:
                ready.sendto(resolve(data) if port == 53 else data, place)


for port in TCP_PORTS:
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    threading.Thread(target=serve_tcp, args=(listener,), daemon=True).start()
datagrams = []
for port in UDP_PORTS:
    for address in ("203.0.113.10", "198.51.100.53", "169.254.169.254", "192.0.2.1", "10.77.0.1"):
        datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagram.bind((address, port))
        datagrams.append(datagram)
    for address in ("2001:db8::1", "2001:db8:10::10", "fd00:ec2::254"):
        datagram = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        datagram.bind((address, port))
        datagrams.append(datagram)
threading.Thread(target=serve_udp, args=(datagrams,), daemon=True).start()
threading.Thread(target=sniff, daemon=True).start()
say(event="ready")
threading.Event().wait()
