# SPDX-License-Identifier: Apache-2.0
"""Reads what the file sink wrote: the journal, and the bytes it says are data (docs/files.md).

Written from the format's description alone, without the sink's code, so that it is also a test of
the description. A folder may be read while narwal writes it.
"""
import dataclasses
import gzip
import json
import pathlib
import re
import subprocess
import zlib

from . import oracle
from .cluster import lsn_number

JOURNAL_NAME = re.compile(r"journal-(\d+)-(\d+)\.log")


class Corrupt(Exception):
    """Something is not as the format says."""


@dataclasses.dataclass
class State:
    """What the journal says at its end."""

    records: int = 0
    epoch: int = 0
    fencing: int = 0
    positions: list = dataclasses.field(default_factory=list)
    tables: dict = dataclasses.field(default_factory=dict)  # by oid
    files: dict = dataclasses.field(default_factory=dict)   # by number
    copies: dict = dataclasses.field(default_factory=dict)  # by oid

    def apply(self, record):
        if record.get("full"):
            self.tables, self.files, self.copies, self.positions = {}, {}, {}, []
        self.records = record["n"]
        self.epoch = record.get("epoch", self.epoch)
        self.fencing = record.get("fencing", self.fencing)
        self.positions = record.get("positions", self.positions)
        for kind, key in (("tables", "oid"), ("files", "file"), ("copies", "oid")):
            items = getattr(self, kind)
            for item in record.get(kind, ()):
                items[item[key]] = {**items.get(item[key], {}), **item}
        for number in record.get("gone", ()):
            self.files.pop(number, None)
        self.copies = {oid: copy for oid, copy in self.copies.items() if not copy.get("gone")}

    @property
    def lsn(self):
        """Everything that committed before it is here; 0: nothing yet."""
        if not self.positions or any(not position["bytes"] for position in self.positions):
            return 0
        return min(lsn_number(position["lsn"]) for position in self.positions)

    @property
    def lines(self):
        return sum(file["lines"] for file in self.files.values() if file["kind"] != "schema")

    @property
    def copies_whole(self):
        return bool(self.copies) and all(copy["complete"] for copy in self.copies.values())


def journal(path):
    """The lines of the journal in force; empty: none yet."""
    for _ in range(100):
        found = [(int(match[1]), int(match[2]), file)
                 for file in (pathlib.Path(path) / "_journal").glob("journal-*.log")
                 if (match := JOURNAL_NAME.fullmatch(file.name))]
        if not found:
            return []
        try:
            return max(found)[2].read_bytes().split(b"\n")
        except FileNotFoundError:
            continue  # it was followed by a new one meanwhile
    raise Corrupt(f"the journal of {path} is never there")


def read_state(path, each=None):
    """The state at the journal's end. each: called with every record."""
    state = State()
    lines = journal(path)
    for index, line in enumerate(lines[:-1]):
        check, _, body = line.partition(b" ")
        if int(check, 16) != zlib.crc32(body):
            if index == len(lines) - 2:
                break  # a record that was being written: not committed
            raise Corrupt(f"journal record {index + 1} of {len(lines) - 1} has a wrong checksum")
        record = json.loads(body)
        if state.records and record["n"] != state.records + 1:
            raise Corrupt(f"journal record {record['n']} follows {state.records}")
        state.apply(record)
        if each:
            each(record)
    return state


def data_lines(path, file):
    """The lines of a data file that are data."""
    with open(pathlib.Path(path) / file["path"], "rb") as stream:
        data = stream.read(file["size"])
    if len(data) != file["size"] or zlib.crc32(data) != int(file["crc"], 16):
        raise Corrupt(f"{file['path']}: {len(data)} of {file['size']} bytes, or a wrong checksum")
    if file["path"].endswith(".gz"):
        data = gzip.decompress(data)
    elif file["path"].endswith(".zst"):
        data = subprocess.run(["zstd", "-dcq"], input=data, stdout=subprocess.PIPE, check=True).stdout
    lines = data.split(b"\n")
    if lines.pop() != b"" or len(lines) != file["lines"]:
        raise Corrupt(f"{file['path']} has {len(lines)} lines, and {file['lines']} in the journal")
    return lines


def events(path, files):
    for file in files:
        for line in data_lines(path, file):
            yield json.loads(line, parse_int=str, parse_float=str)


def read_logs(path):
    """The oracle's logs of everything in the folder, at the journal's end."""
    state = read_state(path)
    logs = []
    for oid, table in state.tables.items():
        if oid == 0:
            continue  # logical messages
        files = [file for _, file in sorted(state.files.items()) if file["oid"] == oid]
        schemas = {str(file["schema"]): json.loads((pathlib.Path(path) / file["path"]).read_bytes())
                   for file in files if file["kind"] == "schema"}
        copies = [file for file in files
                  if file["kind"] == "copy" and file["generation"] == table["generation"]]
        changes = [file for file in files if file["kind"] == "changes"]
        logs.append(oracle.TableLog(
            table["schema"], table["name"], lsn_number(table["fence"]), schemas,
            lambda files=copies: events(path, files), lambda files=changes: events(path, files),
            copied=table["generation"] != 0 or table["copying"] == 0))
    return logs


def messages(path):
    """Logical messages, in order."""
    state = read_state(path)
    return list(events(path, [file for _, file in sorted(state.files.items())
                              if file["oid"] == 0 and file["kind"] == "changes"]))
