# Tries to connect and to send datagrams without pause until SIGTERM, then prints how often. Usage: storm.py ADDRESS PORT
import signal
import socket
import sys

attempts = 0


def over(*_):
    print(attempts, flush=True)
    sys.exit(0)


signal.signal(signal.SIGTERM, over)
while True:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as wire:
            wire.settimeout(0.2)
            try:
                wire.connect((sys.argv[1], int(sys.argv[2])))
                wire.send(b"the secret")
            except OSError:
                pass
        attempts += 1
