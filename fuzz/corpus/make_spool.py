#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make the corpus of fuzz_spool, which makes the checksums right by itself."""
import os
import struct

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fuzz_spool")
MESSAGE, RESTART, STATE, POSITION, TRIM = 1, 2, 3, 4, 5


def header(number, first_record, lsn, version=2, system=77, spool=0x1122334455667788):
    return b"NWSPOOL\n" + struct.pack("<IIQIIQQQQ64sQ", version, 3, system, 5, 0, spool, number, first_record,
                                      lsn, b"narwal", 0)


def record(kind, lsn, body=b"", position=0, size=None):
    return struct.pack("<QQQII", 0, lsn, position, len(body) if size is None else size, kind) + body


FIRST = header(1, 1, 1000) + record(RESTART, 1000) + record(MESSAGE, 1010, b"Begin" * 20) \
    + record(MESSAGE, 1020, b"t") + record(POSITION, 1100, position=1100)
SECOND = header(2, 5, 1100) + record(MESSAGE, 1200, b"I" * 300) + record(POSITION, 1500, position=1600)
STATED = header(2, 5, 1100) + record(STATE, 0, b"\x03\0\0\0R..", position=1100) \
    + record(MESSAGE, 1200, b"I" * 300) + record(POSITION, 1500, position=1600)
STATED_TRIM = header(3, 8, 1600) + record(TRIM, 0, struct.pack("<Q", 5)) + record(MESSAGE, 1700, bytes(1100))
THIRD = header(3, 7, 1600) + record(TRIM, 0, struct.pack("<Q", 5)) + record(MESSAGE, 1700, bytes(1100))
CASES = {
    "one": (1, [FIRST]),
    "three": (3, [FIRST, SECOND, THIRD]),
    "checksums-wrong": (0, [FIRST]),
    "trimmed": (1, [b"", SECOND, THIRD]),
    "trimmed-stated": (1, [b"", STATED, STATED_TRIM]),
    "trimmed-half": (1, [FIRST, STATED, STATED_TRIM]),
    "state-inside": (1, [FIRST + record(STATE, 0, b"", position=1100)]),
    "version-1": (1, [header(1, 1, 1000, version=1) + FIRST[136:], SECOND]),
    "hole": (1, [FIRST, SECOND[:-7], THIRD]),
    "torn": (1, [FIRST, SECOND[:-7]]),
    "torn-acknowledged": (3, [FIRST, SECOND[:-7]]),
    "made-only": (1, [FIRST, SECOND, b"", b""]),
    "missing-records": (1, [FIRST, header(2, 6, 1100)]),
    "other-spool": (1, [FIRST, header(2, 5, 1100, spool=1)]),
    "other-source": (1, [header(1, 1, 1000, system=78)]),
    "newer": (1, [header(1, 1, 1000, version=3)]),
    "header-short": (1, [FIRST[:100]]),
    "size-huge": (1, [FIRST + record(MESSAGE, 1, b"x", size=0xfffffff0)]),
    "kind-unknown": (1, [FIRST + record(9, 1)]),
    "trim-odd": (1, [FIRST + record(TRIM, 1, b"odd")]),
    "trim-all": (1, [FIRST, SECOND + record(TRIM, 0, b"\xff" * 8)]),
    "large": (1, [header(1, 1, 1000) + record(MESSAGE, 1, bytes(3000)) + record(POSITION, 2, position=1501)]),
}

os.makedirs(FOLDER, exist_ok=True)
for name, (choices, segments) in CASES.items():
    with open(os.path.join(FOLDER, name), "wb") as out:
        out.write(bytes([choices]) + b"".join(struct.pack("<H", len(one)) + one for one in segments))
