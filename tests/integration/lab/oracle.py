# SPDX-License-Identifier: Apache-2.0
"""The oracle: rebuilds tables from a change log and compares them with the source, row by row.

It shares nothing with narwal. Changes are applied in memory, by key or, without one, to exactly one
equal row; the result is loaded into tables of another database whose columns have the source's
types, and both sides are compared as text by EXCEPT ALL in both directions.

A log is what `folder` reads or `reference` makes: see class TableLog. Events are the dicts of
docs/files.md with numbers as text: {"op": "U", "commit_lsn": "0/1", "seq": "3", "schema": "1",
"before": {...}, "after": {...}, "after_missing": [...]}.
"""
import collections
import dataclasses
import io
import itertools
import tempfile
import typing

import psycopg2

from .cluster import lsn_number

SETTINGS = """
SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; SET timezone = 'UTC';
SET extra_float_digits = 3; SET bytea_output = 'hex'; SET lc_monetary = 'C';
SET client_encoding = 'UTF8'; SET search_path = '';
"""
DETAILS_MAX = 20
COPY_BUFFER = 1 << 16
MEMORY_MAX = 64 << 20


@dataclasses.dataclass
class TableLog:
    """What a sink has of one table."""

    schema: str
    name: str
    fence: int            # changes that committed before it are in the copy
    schemas: dict         # number (text) -> {"key": [name], "columns": [{"name", "type", "default"}]}
    copy: typing.Callable     # () -> iterator over the events of the copy in force
    changes: typing.Callable  # () -> iterator over the events, in the sink's order
    copied: bool = True       # False: the copy never became whole


@dataclasses.dataclass
class Result:
    tables: int = 0
    rows: int = 0
    changes: int = 0
    lost: int = 0       # in the source and not in the replica, or a change of a row never seen
    doubled: int = 0    # in the replica more often than in the source, or an event seen twice
    different: int = 0  # the same key with other values
    reordered: int = 0  # a table's events not in the order of (commit, sequence)
    malformed: int = 0
    again: int = 0      # copied rows of a key that has another one, of an earlier snapshot
    details: list = dataclasses.field(default_factory=list)

    @property
    def good(self):
        return (self.lost, self.doubled, self.different, self.reordered, self.malformed) == (0,) * 5

    def __str__(self):
        return f"{self.changes:,} changes, {self.tables} tables compared: {self.lost} lost, " \
               f"{self.doubled} doubled, {self.different} different, {self.reordered} reordered" + \
               (f", {self.malformed} malformed" if self.malformed else "") + \
               (f", {self.again:,} rows copied again" if self.again else "")

    def report(self):
        return "\n".join([str(self), *("    " + line for line in self.details[:DETAILS_MAX])])

    def note(self, what, text):
        setattr(self, what, getattr(self, what) + 1)
        if len(self.details) < DETAILS_MAX:
            self.details.append(f"{what}: {text}"[:400])


class Table:
    """One table in memory: rows by key, or a multiset of rows where there is no key."""

    def __init__(self, log, result, evaluate):
        self.log = log
        self.result = result
        self.evaluate = evaluate  # SQL of a default -> its value
        self.rows = {}
        self.bag = collections.Counter()
        self.number = None
        self.columns = []
        self.key = []
        self.keyed = None
        self.defaults = {}
        self.names = set()
        self.as_of = {}   # key -> commit_lsn of its copied row
        self.window = 0   # the highest of them: a copy that broke off is from several snapshots

    def label(self, event):
        return f"{self.log.schema}.{self.log.name} {event.get('op')} at {event.get('commit_lsn')} " \
               f"seq {event.get('seq')}"

    def play(self):
        for event in self.log.copy():
            self.enter(event["schema"])
            self.copy(event, lsn_number(event["commit_lsn"]), self.image(event, "after"))
        last = (0, -1)
        for event in self.log.changes():
            commit = lsn_number(event["commit_lsn"])
            if commit < self.log.fence:
                continue
            place = (commit, int(event["seq"]))
            self.check_order(event, last, place)
            if event["op"] != "S":  # has the sequence number of the row that follows
                last = max(last, place)
            if event["op"] == "X":  # the table was dropped: what there is of it stays
                continue
            self.enter(event["schema"])
            self.apply(event, commit)

    def copy(self, event, commit, row):
        """A copied row; of a key the one with the highest commit_lsn counts."""
        self.window = max(self.window, commit)
        if self.keyed:
            key = self.key_of(event, row)
            former = self.as_of.get(key)
            self.result.again += former is not None and former != commit
            if former is not None and former > commit:
                return
            if former is not None and former < commit:
                del self.rows[key]
            self.as_of[key] = commit
        self.insert(event, row)

    def check_order(self, event, last, place):
        if place < last:
            self.result.note("reordered", self.label(event))
        elif place == last and event["op"] != "S":
            self.result.note("doubled", self.label(event))

    # ---- schema versions -------------------------------------------------------------------------

    def enter(self, number):
        """From here on events have this schema version."""
        if number == self.number:
            return
        schema = self.log.schemas[number]
        columns = [column["name"] for column in schema["columns"]]
        if self.keyed is None:
            self.keyed = bool(schema["key"])
            self.key = schema["key"]
        if schema["key"] != self.key:
            raise AssertionError(f"{self.log.name}: the key changed; this oracle does not know how")
        for column in schema["columns"]:
            # A column's value in rows from before it was added: its first default.
            if column["name"] not in self.defaults:
                expression = column.get("default") if self.number is not None else None
                self.defaults[column["name"]] = self.evaluate(expression) if expression else None
        if not self.keyed and self.columns != columns:
            self.reshape(columns)
        self.number, self.columns, self.names = number, columns, set(columns)

    def reshape(self, columns):
        bag = collections.Counter()
        for values, count in self.bag.items():
            row = dict(zip(self.columns, values))
            bag[tuple(row.get(name, self.defaults[name]) for name in columns)] += count
        self.bag = bag

    # ---- events ----------------------------------------------------------------------------------

    def image(self, event, side):
        """The image, after a look at whether each column is there, or said to be missing."""
        image = event.get(side)
        if image is None:
            return None
        missing = event.get(f"{side}_missing", ())
        if len(image) + len(missing) != len(self.names) or not self.names.issuperset(image) or \
                not self.names.issuperset(missing):
            self.result.note("malformed", f"{self.label(event)}: {side} has {sorted(image)}, missing "
                             f"{sorted(missing)}, of {sorted(self.names)}")
        return image

    def apply(self, event, commit):
        op = event["op"]
        if op == "S":
            return
        self.result.changes += 1
        if op == "T":
            self.rows.clear()
            self.bag.clear()
        elif op == "I":
            self.put(event, commit, self.image(event, "after"))
        elif op == "D":
            self.take(event, commit, self.image(event, "before"))
        elif op == "U":
            after = self.image(event, "after")
            old = self.take(event, commit, self.image(event, "before") or after)
            self.put(event, commit, {**old, **after})
        else:
            self.result.note("malformed", f"{self.label(event)}: unknown op")

    def put(self, event, commit, row):
        if not self.passed_over(event, commit, row):
            self.insert(event, row)

    def passed_over(self, event, commit, image):
        """Whether the copied row of this key is newer than a change."""
        return commit < self.window and self.keyed and \
            commit < self.as_of.get(self.key_of(event, image), 0)

    def insert(self, event, row):
        if not self.keyed:
            self.bag[tuple(row.get(name) for name in self.columns)] += 1
            return
        key = self.key_of(event, row)
        if key in self.rows:
            self.result.note("doubled", f"{self.label(event)}: key {key} is there already")
        self.rows[key] = row

    def take(self, event, commit, image):
        """Remove the row and return it; one that is not there was lost before."""
        if self.passed_over(event, commit, image):
            return {}
        if self.keyed:
            key = self.key_of(event, image)
            row = self.rows.pop(key, None)
            if row is None and commit >= self.window:
                self.result.note("lost", f"{self.label(event)}: no row with key {key}")
            return row or {}
        values = tuple(image.get(name) for name in self.columns)
        if self.bag[values] == 0:
            self.result.note("lost", f"{self.label(event)}: no such row {values}")
        else:
            self.bag[values] -= 1
        return image

    def key_of(self, event, row):
        try:
            return tuple(row[name] for name in self.key)
        except KeyError:
            self.result.note("malformed", f"{self.label(event)}: the key is not in the image")
            return tuple(row.get(name) for name in self.key)

    def final(self):
        """All rows, as tuples in the order of the columns."""
        if not self.keyed:
            for values, count in self.bag.items():
                yield from itertools.repeat(values, count)
            return
        for row in self.rows.values():
            yield tuple(row.get(name, self.defaults[name]) for name in self.columns)


# ---- comparison in PostgreSQL ------------------------------------------------------------------


def compare(logs, source_dsn, target_dsn, tables=None, types=True):
    """Compare logs with the source, which has to be quiet. target_dsn: an empty database.

    tables   (schema, name) of the source that have to be there; default: those in the logs
    types    False: the target has the source's types already
    """
    result = Result()
    source, target = connect(source_dsn), connect(target_dsn)
    try:
        with source.cursor() as read, target.cursor() as write:
            if types:
                copy_types(read, write)
            write.execute("DROP SCHEMA IF EXISTS oracle CASCADE")
            write.execute("CREATE SCHEMA oracle")
            by_name = {(log.schema, log.name): log for log in logs}
            for number, place in enumerate(wanted(read, by_name, tables)):
                log = by_name.get(place)
                if log is None or not log.copied:
                    result.note("lost", f"table {place} is not in the replica")
                    continue
                table = Table(log, result, lambda sql: evaluate(write, sql))
                table.play()
                compare_table(result, table, number, read, write)
    finally:
        source.close()
        target.close()
    return result


def connect(dsn):
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(SETTINGS)
    return connection


def evaluate(cursor, expression):
    cursor.execute(f"SELECT ({expression})::text")
    return cursor.fetchone()[0]


def wanted(read, by_name, tables):
    """A partitioned table is compared by its root if that is in the replica, else by its leaves."""
    for place in tables if tables is not None else sorted(by_name):
        read.execute(
            "SELECT n.nspname, c.relname FROM pg_catalog.pg_partition_tree(%s::regclass) t "
            "JOIN pg_catalog.pg_class c ON c.oid = t.relid "
            "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE t.isleaf "
            "AND c.relispartition", (qualified(*place),))
        leaves = read.fetchall()
        if place in by_name or not leaves:
            yield place
        else:
            yield from leaves


def compare_table(result, table, number, read, write):
    log = table.log
    result.tables += 1
    read.execute("SELECT relkind FROM pg_catalog.pg_class WHERE oid = %s::regclass",
                 (qualified(log.schema, log.name),))
    only = "ONLY " if read.fetchone()[0] == "r" else ""  # rows of its own, not of its children
    read.execute("SELECT attname, format_type(atttypid, atttypmod) FROM pg_catalog.pg_attribute "
                 "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped "
                 "AND attgenerated = '' ORDER BY attnum", (qualified(log.schema, log.name),))
    columns = read.fetchall()
    if table.number is None:
        # Not a single event: the copy was empty and nothing happened since.
        table.enter(max(log.schemas, key=int)) if log.schemas else None
    if {name for name, _ in columns} != set(table.columns):
        result.note("different", f"{log.schema}.{log.name} has columns {columns} in the source and "
                    f"{table.columns} in the replica")
        return
    types = dict(columns)
    definition = [(f"c{i}", types[name]) for i, name in enumerate(table.columns)]
    replica, origin = f"oracle.replica_{number}", f"oracle.source_{number}"
    write.execute(f"CREATE TABLE {replica} ({', '.join(f'{c} {t}' for c, t in definition)})")
    write.execute(f"CREATE TABLE {origin} ({', '.join(f'{c} text' for c, _ in definition)})")
    try:
        result.rows += load(write, replica, table.final())
    except psycopg2.DataError as error:  # a value that its own type does not take
        result.note("different", f"{log.schema}.{log.name}: {error}")
        return
    names = ", ".join(f"{quote(name)}::text" for name in table.columns)
    with tempfile.SpooledTemporaryFile(MEMORY_MAX) as pipe:
        read.copy_expert(f"COPY (SELECT {names} FROM {only}{qualified(log.schema, log.name)}) TO STDOUT",
                         pipe, COPY_BUFFER)
        pipe.seek(0)
        write.copy_expert(f"COPY {origin} FROM STDIN", pipe, COPY_BUFFER)
    keys = [f"c{table.columns.index(name)}" for name in table.key]
    differences(result, write, f"{log.schema}.{log.name}", replica, origin,
                [c for c, _ in definition], keys)


def differences(result, write, label, replica, origin, columns, keys):
    texts = ", ".join(f"{c}::text" for c in columns)
    there, here = f"SELECT {texts} FROM {origin}", f"SELECT {texts} FROM {replica}"
    if not columns:
        write.execute(f"SELECT (SELECT count(*) FROM {origin}) - (SELECT count(*) FROM {replica})")
        difference = write.fetchone()[0]
        missing, extra, same = max(difference, 0), max(-difference, 0), 0
    else:
        write.execute(f"CREATE TEMP TABLE missing AS {there} EXCEPT ALL {here}")
        write.execute(f"CREATE TEMP TABLE extra AS {here} EXCEPT ALL {there}")
        missing, extra = count(write, "missing"), count(write, "extra")
        same = min(missing, extra)
        if keys and same:
            join = " AND ".join(f"m.{c} IS NOT DISTINCT FROM e.{c}" for c in keys)
            same = count(write, f"missing m JOIN extra e ON {join}")
    result.lost += missing - same
    result.doubled += extra - same
    result.different += same
    if missing or extra:
        result.details.append(f"{label}: {missing} rows only in the source, {extra} only in the "
                              f"replica, {same} of them the same key")
    for name in ("missing", "extra") if columns else ():
        write.execute(f"SELECT * FROM pg_temp.{name} LIMIT 3")
        result.details += [f"  {label} {name}: {shorten(row)}" for row in write.fetchall()]
        write.execute(f"DROP TABLE pg_temp.{name}")


def count(cursor, relation):
    cursor.execute(f"SELECT count(*) FROM {relation}")
    return cursor.fetchone()[0]


def shorten(row):
    return tuple(value if value is None or len(value) < 60 else f"{value[:40]}... ({len(value)})"
                 for value in row)


def quote(name):
    return '"' + name.replace('"', '""') + '"'


def qualified(schema, name):
    return f"{quote(schema)}.{quote(name)}"


# ---- loading -----------------------------------------------------------------------------------

ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def copy_field(value):
    if value is None:
        return "\\N"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        raise AssertionError("bytes that are not UTF-8 are not expected from a UTF-8 database")
    return value.translate(ESCAPES)


class Lines(io.RawIOBase):
    """Rows as a file for COPY."""

    def __init__(self, rows):
        self.rows = rows
        self.rest = b""
        self.count = 0

    def readable(self):
        return True

    def read(self, size=-1):
        parts, used = [self.rest], len(self.rest)
        while used < size or size < 0:
            row = next(self.rows, None)
            if row is None:
                break
            parts.append(("\t".join(map(copy_field, row)) + "\n").encode())
            used += len(parts[-1])
            self.count += 1
        whole = b"".join(parts)
        cut = len(whole) if size < 0 else size
        self.rest = whole[cut:]
        return whole[:cut]


def load(write, relation, rows):
    lines = Lines(iter(rows))
    write.copy_expert(f"COPY {relation} FROM STDIN", lines, COPY_BUFFER)
    return lines.count


def copy_types(read, write):
    """Make the source's enums, domains and composite types in the other database."""
    read.execute("""
        SELECT t.oid, t.typtype, n.nspname, t.typname, format_type(t.typbasetype, t.typtypmod)
        FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
        LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
        WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        AND (t.typtype IN ('e', 'd') OR c.relkind = 'c') ORDER BY t.oid""")
    for oid, kind, schema, name, base in read.fetchall():
        write.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}")
        if kind == "e":
            read.execute("SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder) "
                         "FROM pg_catalog.pg_enum WHERE enumtypid = %s", (oid,))
            body = f"ENUM ({read.fetchone()[0] or ''})"
        elif kind == "c":
            read.execute("SELECT string_agg(quote_ident(attname) || ' ' || format_type(atttypid, "
                         "atttypmod), ', ' ORDER BY attnum) FROM pg_catalog.pg_attribute a JOIN "
                         "pg_catalog.pg_type t ON a.attrelid = t.typrelid WHERE t.oid = %s AND "
                         "attnum > 0 AND NOT attisdropped", (oid,))
            body = f"({read.fetchone()[0] or ''})"
        if kind == "d":
            write.execute(f"CREATE DOMAIN {qualified(schema, name)} AS {base}")
        else:
            write.execute(f"CREATE TYPE {qualified(schema, name)} AS {body}")
