"""A second opinion on an audit log, written from docs/audit.md alone: python3 verify_independent.py DIRECTORY.

Checks canonical form, order, the Merkle tree against every tile and checkpoint, and the pairing of calls with their
outcomes. Signatures are not checked: the standard library has no Ed25519. Exit code 0 good, 1 bad.
"""
import base64
import hashlib
import json
import pathlib
import re
import sys


def bad(message):
    print("BAD", message)
    sys.exit(1)


def sha(data):
    return hashlib.sha256(data).digest()


def tree(hashes):
    """Merkle tree hash of RFC 6962 over leaf hashes."""
    if not hashes:
        return sha(b"")
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return sha(b"\x01" + tree(hashes[:k]) + tree(hashes[k:]))


def name(index):
    groups = [index % 1000]
    while index >= 1000:
        index //= 1000
        groups.insert(0, index % 1000)
    return "/".join(("x%03d" if i < len(groups) - 1 else "%03d") % g for i, g in enumerate(groups))


def entries(data):
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 2], "big")
        yield data[at + 2 : at + 2 + length]
        at += 2 + length


def leaves(log):
    found, index = [], 0
    while (log / "tile/entries" / name(index)).exists():
        found += entries((log / "tile/entries" / name(index)).read_bytes())
        index += 1
    for wal in sorted(log.glob("wal-*.jsonl")):
        for line in wal.read_bytes().split(b"\n")[:-1]:
            seq = json.loads(line)["egret"]["seq"]
            if seq == len(found):
                found.append(line)
            elif seq > len(found) or found[seq] != line:
                bad(f"{wal.name}: leaf {seq}")
    return found


def check_entry(leaf, index, calls):
    entry = json.loads(leaf)
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    if text != leaf or len(leaf) > 60 * 1024:
        bad(f"leaf {index}: not canonical")
    egret = entry["egret"]
    if egret["seq"] != index or egret["v"] != 1:
        bad(f"leaf {index}: out of order")
    if egret["kind"] == "decision" and egret["enforcement"]["action"] == "forward":
        calls.add(entry["decision_id"])
    if egret["kind"] == "outcome":
        if egret["ref"] not in calls:
            bad(f"leaf {index}: outcome without a call")
        calls.remove(egret["ref"])


def main():
    log = pathlib.Path(sys.argv[1])
    found, calls = leaves(log), set()
    for index, leaf in enumerate(found):
        check_entry(leaf, index, calls)
    row, level = [sha(b"\x00" + leaf) for leaf in found], 0
    hashes = row
    while row:
        for index in range(0, len(row), 256):
            part, file = row[index : index + 256], log / f"tile/{level}" / name(index // 256)
            if len(part) < 256:
                file = pathlib.Path(f"{file}.p/{len(part)}")
            if file.exists() and file.read_bytes() != b"".join(part):
                bad(f"{file}: wrong hashes")
        row, level = [tree(row[i : i + 256]) for i in range(0, len(row) - 255, 256)], level + 1
    for file in [log / "checkpoint", *(log / "checkpoints").iterdir()]:
        origin, size, root = file.read_text().split("\n")[:3]
        if not re.fullmatch("[0-9]+", size) or int(size) > len(found):
            bad(f"{file.name}: size {size}")
        if base64.b64decode(root) != tree(hashes[: int(size)]):
            bad(f"{file.name}: wrong root")
    print(f"OK {len(found)} leaves, {len(calls)} open calls")


main()
