# SPDX-License-Identifier: Apache-2.0
"""A reader of the folders that narwal's file sink writes, after docs/files.md alone.

It is an independent witness: it shares no code with narwal. Standard library only; zstd files need
the module `zstandard` or the program `zstd`.

    for table in read_tables("copy"):
        print(table.schema, table.name, table.generation)
        for row in table.copy_rows(): ...
        for change in table.changes(): ...
        rows = table.rebuild()            # {key: {column: value}}, or at an LSN: rebuild(lsn)

As a program: files_reader.py FOLDER prints a line for each table, --verify checks every checksum,
--rows SCHEMA.TABLE prints the rebuilt rows as JSON lines.
"""

import argparse
import collections
import io
import json
import os
import re
import subprocess
import sys
import zlib

FORMATS = (1, 2)
JOURNAL = re.compile(r"journal-(\d+)-(\d+)\.log$")


class Damaged(Exception):
    """What is there is not what was committed."""


def lsn_number(text):
    """The number behind PostgreSQL's text of an LSN: "16/B374D848"."""
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def value_bytes(value):
    """A text value of a line as bytes; undoes {"$bytes": "..."}."""
    if isinstance(value, dict):
        return bytes.fromhex(value["$bytes"])
    return value.encode("utf-8")


def _journal_records(path):
    """The records of the journal file in force, without a torn last one."""
    folder = os.path.join(path, "_journal")
    names = [(int(m[1]), int(m[2]), name) for name in os.listdir(folder) if (m := JOURNAL.match(name))]
    if not names:
        raise Damaged(f"{folder} has no journal")
    name = os.path.join(folder, max(names)[2])
    with open(name, "rb") as file:
        lines = file.read().split(b"\n")
    whole = [_line_whole(line) for line in lines[:-1]]
    good = whole.index(False) if False in whole else len(whole)
    if good == 0 or any(whole[good:]):
        raise Damaged(f"{name} is damaged in line {good + 1}")
    return [json.loads(line[9:]) for line in lines[:good]]


def _line_whole(line):
    return len(line) > 9 and line[:9] == b"%08x " % zlib.crc32(line[9:])


class File:
    """A file that the journal names: its first `size` bytes are data."""

    def __init__(self, path, entry):
        self.path = os.path.join(path, entry["path"])
        self.number = entry["file"]
        self.oid = entry["oid"]
        self.kind = entry["kind"]
        self.generation = entry["generation"]
        self.schema = entry.get("schema")
        self.form = entry.get("form", "narwal")
        self.update(entry)

    def update(self, entry):
        self.size, self.lines, self.crc = entry["size"], entry["lines"], int(entry["crc"], 16)

    def stored(self):
        """The bytes of it that are data, checked."""
        with open(self.path, "rb") as file:
            data = file.read(self.size)
        if len(data) != self.size or zlib.crc32(data) != self.crc:
            raise Damaged(f"{self.path}: the first {self.size} bytes are not those committed")
        return data

    def text(self):
        data = self.stored()
        if self.path.endswith(".gz"):
            return _gunzip(data)
        if self.path.endswith(".zst"):
            return _unzstd(data)
        return data

    def changes(self):
        """Its lines, when they are narwal's own."""
        if self.form != "narwal":
            raise Damaged(f"{self.path} has the form {self.form}, which says less than a table needs")
        return self.rows()

    def rows(self):
        """Its lines, each a dict, in whatever form."""
        count = 0
        for line in io.BytesIO(self.text()):
            if not line.endswith(b"\n"):
                raise Damaged(f"{self.path}: the last line has no end")
            count += 1
            yield json.loads(line)
        if count != self.lines:
            raise Damaged(f"{self.path}: {count} lines, {self.lines} were committed")


def _gunzip(data):
    out = []
    while data:
        member = zlib.decompressobj(wbits=31)
        out.append(member.decompress(data))
        if not member.eof:
            raise Damaged("a gzip member has no end")
        data = member.unused_data
    return b"".join(out)


def _unzstd(data):
    if not data:
        return b""
    try:
        import zstandard
    except ImportError:
        return subprocess.run(["zstd", "-dc"], input=data, stdout=subprocess.PIPE, check=True).stdout
    reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True)
    return reader.read()


class Table:
    """A table: which files count, in order. oid 0 is the stream of logical messages."""

    def __init__(self, entry):
        self.files = []
        self.update(entry)

    def update(self, entry):
        self.oid = entry["oid"]
        self.schema = entry["schema"]
        self.name = entry["name"]
        self.folder = entry["folder"]
        self.generation = entry["generation"]  # of the copy in force; 0: none
        self.copying = entry["copying"]  # of a copy under way; 0: none
        self.fence = lsn_number(entry["fence"])

    @property
    def complete(self):
        """Whether copy and changes together are the table: not while its first copy is under way."""
        return self.generation != 0 or self.copying == 0

    def schemas(self):
        """Schema versions by the number that lines name."""
        return {f.schema: json.loads(f.stored()) for f in self.files if f.kind == "schema"}

    def copy_rows(self):
        """Lines of the copy in force, in no order."""
        for file in self.files:
            if file.kind == "copy" and file.generation == self.generation:
                yield from file.changes()

    def changes(self, until=None):
        """Lines of changes, in commit order, up to and with commit_lsn `until`."""
        for file in self.files:
            if file.kind != "changes":
                continue
            for line in file.changes():
                commit = lsn_number(line["commit_lsn"])
                if until is not None and commit > until:
                    return
                # What committed before the fence is in the copy already.
                if self.oid == 0 or commit >= self.fence:
                    yield line

    def rows(self):
        """All lines that count: the copy, then the changes."""
        yield from self.copy_rows()
        yield from self.changes()

    def rebuild(self, until=None, default=None):
        """The table's rows after every commit up to LSN `until` (a number; None: all).

        default, of an expression in SQL, is its value, which rows from before a column was added
        have; without it they have NULL.

        Returns a list of dicts. Rows are found by the key of the schema in force, or, without one,
        by the whole former row (REPLICA IDENTITY FULL, or inserts alone).
        """
        schemas = self.schemas()
        state = _Rebuilding(default)
        for line in self.copy_rows():
            state.copy(line, schemas[line["schema"]])
        for line in self.changes(until):
            if line["op"] != "X":  # dropped on the server: its rows stay
                state.apply(line, schemas[line["schema"]])
        return state.all()


class _Rebuilding:
    """Rows while changes are applied to them. Equal rows are counted by lists."""

    def __init__(self, default):
        self.default = default
        self.key = None
        self.columns = None
        self.rows = collections.defaultdict(list)
        self.as_of = {}  # commit_lsn of the copied row of a key, by its place
        self.window = 0  # the highest: a copy that broke off has rows of several snapshots

    def copy(self, line, schema):
        """A row of the copy; of a key the one with the highest commit_lsn counts."""
        self.schema_enter(schema)
        commit, place = lsn_number(line["commit_lsn"]), self.place(line["after"])
        self.window = max(self.window, commit)
        if schema["key"]:
            former = self.as_of.get(place, -1)
            if former > commit:
                return
            if former >= 0 and former < commit:
                self.rows.pop(place)
            self.as_of[place] = commit
        self.insert(dict(line["after"]))

    def all(self):
        return [row for rows in self.rows.values() for row in rows]

    def passed_over(self, image, line):
        """Whether the copied row of this key is newer than the change."""
        commit = lsn_number(line["commit_lsn"])
        return commit < self.window and commit < self.as_of.get(self.place(image), -1)

    def put(self, row, line):
        if not self.passed_over(row, line):
            self.insert(row)

    def apply(self, line, schema):
        op = line["op"]
        self.schema_enter(schema)
        if op == "T":
            self.rows.clear()
        elif op == "I":
            self.put(dict(line["after"]), line)
        elif op == "D":
            self.remove(line["before"], line)
        elif op == "U":
            after = line["after"]
            missing = line.get("after_missing", [])
            former = self.remove(line.get("before") or after, line)
            self.put({**{name: former.get(name) for name in missing}, **after}, line)

    def schema_enter(self, schema):
        """Follow a new version: rows get its columns by attnum, new ones with NULL."""
        columns = {column["attnum"]: column["name"] for column in schema["columns"]}
        if all(attnum == 0 for attnum in columns) or self.columns and all(
                isinstance(attnum, str) for attnum in self.columns):
            # Numbers are not known on one side: by name.
            columns = {column["name"]: column["name"] for column in schema["columns"]}
            self.columns = self.columns and {name: name for name in self.columns.values()}
        key = schema["key"] or sorted(c["name"] for c in schema["columns"] if c["identity"])
        if columns == self.columns and key == self.key:
            return
        former, self.columns, self.key = self.columns or columns, columns, key
        rows, self.rows = self.all(), collections.defaultdict(list)
        new = {column["name"]: self.default(column["default"]) for column in schema["columns"]
               if self.default and column["default"]}
        for row in rows:
            self.insert({name: row.get(former[attnum]) if attnum in former else new.get(name)
                         for attnum, name in columns.items()})

    def place(self, row):
        names = self.key or sorted(row)
        return json.dumps([row.get(name) for name in names])

    def insert(self, row):
        self.rows[self.place(row)].append(row)

    def remove(self, image, line):
        rows = self.rows.get(self.place(image))
        if self.passed_over(image, line):
            return {}
        if not rows and self.as_of and lsn_number(line["commit_lsn"]) < self.window:
            return {}  # read under a later snapshot only, and gone by then
        if not rows:
            raise Damaged(f"{line['op']} at {line['lsn']} seq {line['seq']} of a row that is not there")
        for index, row in enumerate(rows):
            if all(row.get(name) == value for name, value in image.items()) or self.key:
                break
        row = rows.pop(index)
        if not rows:
            del self.rows[self.place(image)]
        return row


class Folder:
    """Everything that is committed in a folder, at one moment."""

    def __init__(self, path):
        files = {}
        tables = {}
        self.copies = {}
        self.positions = []
        self.position_lsn = 0
        for record in _journal_records(path):
            if record.get("full"):
                if record["format"] not in FORMATS:
                    raise Damaged(f"{path} has format {record['format']}, this reader knows {FORMATS}")
                files, tables, self.copies = {}, {}, {}
            for entry in record["tables"]:
                if entry["oid"] in tables:
                    tables[entry["oid"]].update(entry)
                else:
                    tables[entry["oid"]] = Table(entry)
            for entry in record["files"]:
                if entry["file"] in files:
                    files[entry["file"]].update(entry)
                else:
                    files[entry["file"]] = File(path, entry)
            for entry in record["copies"]:
                self.copies[entry["oid"]] = entry
            for number in record["gone"]:
                files.pop(number, None)
            self.positions = record.get("positions", self.positions)
            self.record, self.epoch = record["n"], record["epoch"]
        for number in sorted(files):
            tables[files[number].oid].files.append(files[number])
        if self.positions:
            self.position_lsn = min(lsn_number(p["lsn"]) for p in self.positions)
        self.tables = [tables[oid] for oid in sorted(tables) if oid != 0]
        self.messages = tables.get(0)


def read_folder(path, tries=20):
    """What is committed now. narwal may be at work: a journal that it replaces is read again."""
    for attempt in range(tries):
        try:
            return Folder(path)
        except FileNotFoundError:
            if attempt == tries - 1:
                raise
    return None


def read_tables(path):
    """The tables of a folder, each with copy_rows(), changes() and rebuild()."""
    return read_folder(path).tables


def verify(path):
    """Check everything; a list of complaints."""
    complaints = []
    folder = read_folder(path)
    for table in folder.tables + ([folder.messages] if folder.messages else []):
        last, last_op = (0, -1), ""
        for file in table.files:
            try:
                if file.kind == "schema":
                    json.loads(file.stored())
                    continue
                for line in file.rows():
                    if file.form != "narwal":
                        continue  # whole, and JSON
                    place = (lsn_number(line["commit_lsn"]), line["seq"])
                    if file.kind == "changes" and table.oid != 0:
                        if place < last or (place == last and "S" not in (line["op"], last_op)):
                            raise Damaged(f"{file.path}: {line['commit_lsn']} seq {line['seq']} is "
                                          "out of order or there twice")
                        last, last_op = place, line["op"]
            except (Damaged, OSError, ValueError) as error:
                complaints.append(str(error))
    return complaints


def main():
    parser = argparse.ArgumentParser(description="Read a folder that narwal's file sink wrote.")
    parser.add_argument("folder")
    parser.add_argument("--verify", action="store_true", help="check every byte")
    parser.add_argument("--rows", metavar="SCHEMA.TABLE", help="print the table's rows")
    parser.add_argument("--until", metavar="LSN", help="with --rows: as of this commit")
    args = parser.parse_args()
    if args.verify:
        complaints = verify(args.folder)
        print("\n".join(complaints) or "ok")
        return 1 if complaints else 0
    for table in read_tables(args.folder):
        if args.rows == f"{table.schema}.{table.name}":
            for row in table.rebuild(lsn_number(args.until) if args.until else None):
                print(json.dumps(row))
        elif not args.rows:
            copied = sum(1 for _ in table.copy_rows())
            changed = sum(1 for _ in table.changes())
            print(f"{table.schema}.{table.name}: copy {table.generation} with {copied} rows, "
                  f"{changed} changes, {len(table.rebuild())} rows now")
    return 0


if __name__ == "__main__":
    sys.exit(main())
