#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Read narwal's Arrow export with pyarrow, and compare every value with what was put in.

    arrow_check.py ARROW_PROBE.so

pyarrow comes from this Python, or from a virtual environment in narwal's cache that is made once.
Exit code 77: it can be had from neither.
"""
import ctypes
import datetime
import gc
import os
import pathlib
import subprocess
import sys

ROWS = 40
PYARROW = "26.0.1"


def cache_folder():
    if os.environ.get("NARWAL_CACHE"):
        return pathlib.Path(os.environ["NARWAL_CACHE"])
    if os.environ.get("XDG_CACHE_HOME"):
        return pathlib.Path(os.environ["XDG_CACHE_HOME"]) / "narwal"
    return pathlib.Path.home() / ".cache" / "narwal"


def pyarrow_or_exit():
    """Import pyarrow, or run this program again where it is."""
    try:
        import pyarrow
        return pyarrow
    except ImportError:
        pass
    venv = cache_folder() / f"pyarrow-{PYARROW}"
    if sys.prefix == str(venv):
        sys.exit(77)
    python = venv / "bin" / "python3"
    try:
        if subprocess.run([python, "-c", "import pyarrow"], stderr=subprocess.DEVNULL).returncode != 0:
            raise FileNotFoundError
    except OSError:
        try:
            subprocess.run([sys.executable, "-m", "venv", venv], check=True, stdout=subprocess.DEVNULL)
            subprocess.run([venv / "bin" / "pip", "install", "--quiet", "--only-binary", ":all:",
                            f"pyarrow=={PYARROW}"], check=True, timeout=240)
        except (OSError, subprocess.SubprocessError) as error:
            print(f"skipped: pyarrow cannot be had: {error}")
            sys.exit(77)
    os.execv(python, [str(python), *sys.argv])


def expected(index, op, side, name):
    """What check_rows.c puts into a column; ... when it was not sent."""
    number = index + 1
    if side == "before" and op == "I" or side == "after" and op == "D":
        return ...
    if side == "before" and name != "id":
        return ...
    if side == "after" and op == "U" and name == "name" and index % 2 == 0:
        return ...
    return number


def compare(pa, table, first, ops, exception):
    columns = [table.schema.field("after").type.field(i).name for i in range(table.schema.field("after").type.num_fields)]
    rows = table.to_pylist()
    for at, row in enumerate(rows):
        index = first + at
        op = ops[index % len(ops)]
        assert chr(row["op"]) == op, (index, row["op"])
        assert row["copy"] == (ops == "I")
        assert row["commit_lsn"] == 1000 + (0 if ops == "I" else index)
        assert row["origin"] == ""
        for side in ("before", "after"):
            image = row[side]
            has = op != ("I" if side == "before" else "D") and not (side == "before" and ops == "I")
            assert (image is not None) == has, (index, side)
            if not has:
                continue
            missing = int.from_bytes(row[side + "_missing"], "little")
            for c, name in enumerate(columns):
                wanted = expected(index, op, side, name)
                assert (missing >> c & 1) == (wanted is ...), (index, side, name)
                null = wanted is ... or c > 0 and (index + 1 + c) % 4 == 0
                if exception and index == 0 and name == "price":
                    null = True
                assert (image[name] is None) == null, (index, side, name, image[name])
                if not null:
                    value(image[name], index + 1, name)
        texts = [(e["side"], e["column"], e["text"]) for e in row["exceptions"]]
        assert texts == ([(1, 3, "NaN")] if exception and index == 0 else []), texts
        assert all(e["bytes"] is None for e in row["exceptions"])


def value(found, number, name):
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    text = f"it's \"{number}\"\n\t\\ \u00e9"
    wanted = {
        "id": number,
        "name": text,
        "active": True,
        "ratio": number / 3,
        'raw "bytes"': text.encode(),
        "day": datetime.date(1970, 1, 1) + datetime.timedelta(days=number),
        "at": epoch + datetime.timedelta(microseconds=number),
        "added": f"{number}.000000000000000001",
    }
    if name == "price":
        assert int(found * 100) == number and found.as_tuple().exponent == -2, found
    elif name == "token":
        raw = found.bytes if hasattr(found, "bytes") else found
        assert raw == number.to_bytes(16, "little"), found
    elif name == "document":
        assert str(found) == f'{{"id": {number}}}', found
    else:
        assert found == wanted[name], (name, found, wanted[name])


def main():
    pa = pyarrow_or_exit()
    probe = ctypes.CDLL(sys.argv[1])
    schema = ctypes.create_string_buffer(72)
    array = ctypes.create_string_buffer(80)
    addresses = ctypes.addressof(array), ctypes.addressof(schema)
    for part, copy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        assert probe.probe_export(part, copy, schema, array) == 0
        assert probe.probe_holds() == 1
        batch = pa.RecordBatch._import_from_c(*addresses)
        batch.validate(full=True)
        assert batch.num_rows == (32 if part else ROWS)
        compare(pa, batch, 7 if part else 0, "I" if copy else "IIUUD", part == 0)
        after = batch.schema.field("after").type
        assert after.field("price").type == pa.decimal128(12, 2)
        assert after.field("id").metadata[b"narwal.type_oid"] == b"20"
        assert after.field("id").metadata[b"narwal.key"] == b"0"
        assert batch.schema.metadata[b"narwal.relation_oid"] == b"50001"
        held = batch.column(1)
        del batch
        gc.collect()
        assert probe.probe_holds() == 1, "a column is still held"
        assert held[0].as_py() == 1000 + (7 if part and not copy else 0)
        del held
        gc.collect()
        assert probe.probe_holds() == 0, "released"
    print(f"pyarrow {pa.__version__} reads every value, in whole batches and in parts")


if __name__ == "__main__":
    main()
