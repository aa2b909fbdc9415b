#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make the corpus of fuzz_relations."""
import os
import struct

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fuzz_relations")
NOTE = (b'{"v": 1, "oid": 7, "schema": "s", "name": "t", "identity": "d", "attributes": 1, "columns": '
        b'[{"attnum": 1, "name": "a", "type": 23, "typmod": -1, "not_null": true, "default": null, '
        b'"generated": "", "labels": null}]}')


def relation(oid, said, xid=b""):
    return b"R" + xid + struct.pack(">I", oid) + said


def note(xid=b""):
    return b"M" + xid + b"\x01" + bytes(8) + b"narwal.ddl\0" + struct.pack(">I", len(NOTE)) + NOTE


XID = struct.pack(">I", 5)
START, STOP, COMMIT = b"S" + XID + b"\x01", b"E", b"c" + XID + bytes(25)
ABORT, ABORT_SUB = b"A" + XID + XID, b"A" + XID + struct.pack(">I", 6)
CASES = {
    "plain": [b"B", relation(7, b"a"), relation(8, b"a"), relation(7, b"b"), b"C"],
    "notes": [note(), relation(7, b"a"), relation(7, b"a"), note(), relation(7, b"b"), note()],
    "streamed": [relation(7, b"a"), START, note(XID), relation(7, b"b", XID), STOP, ABORT_SUB, COMMIT],
    "undone": [START, relation(7, b"b", XID), STOP, ABORT, relation(8, b"c")],
    "open": [relation(8, b"c"), START, relation(7, b"b", XID), STOP],
    "reset": [relation(7, b"a"), START, b"Z", relation(8, b"b")],
    "short": [b"R\0", START, relation(7, b"")[:5]],
}

os.makedirs(FOLDER, exist_ok=True)
for name, messages in CASES.items():
    with open(os.path.join(FOLDER, name), "wb") as out:
        out.write(b"".join(struct.pack("<H", len(one)) + one for one in messages))
