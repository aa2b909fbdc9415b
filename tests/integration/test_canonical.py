#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Canonical bytes of values and rows: core/verify against the SQL of docs/values.md.

A plugin of ours (tests/sdk/canonical_sink.c) prints what core/verify makes of every batch, of the copy
and of the stream, in binary and in text. What is expected is asked of the server.
"""
import random
import re
import shutil

from lab import canonical, check, oracle, type_matrix, values, workload
from lab.narwal import BINARY_SECONDS_MAX, Narwal, build

import test_values

STEP = test_values.STEP
WIDE_ROWS = 60


def field(value):
    """A column's part of a row."""
    return b"\xff\xff\xff\xff" if value is None else len(value).to_bytes(4, "big") + value


class Wide:
    """A table of many columns, (id, ...): what the server says of it."""

    def __init__(self, table):
        self.table = table
        self.expected = {}

    def read(self, cursor):
        """id -> (canonical bytes of each column, those of the row)"""
        cursor.execute(
            "SELECT quote_ident(attname), format_type(coalesce(nullif(typbasetype, 0), t.oid), NULL), "
            "substring(format_type(t.oid, atttypmod) from '\\(.*\\)'), typtype = 'e' "
            "FROM pg_catalog.pg_attribute JOIN pg_catalog.pg_type t ON t.oid = atttypid "
            f"WHERE attrelid = '{self.table}'::regclass AND attnum > 0 ORDER BY attnum")
        rows = canonical.table()
        columns = []
        for name, base, typmod, enum in cursor.fetchall():
            line = canonical.row_of(rows, base, typmod, enum)
            columns.append((name, re.sub(r"\bc\b", name, line.sql)))
        each = ", ".join(f"CASE WHEN {name} IS DISTINCT FROM NULL THEN {sql} END"
                         for name, sql in columns)
        cursor.execute(f"SELECT id, {canonical.sql_of_row(columns)}, {each} FROM {self.table}")
        for id_, row, *parts in cursor.fetchall():
            self.expected[id_] = ([None if part is None else bytes(part) for part in parts],
                                  bytes(row))


class One:
    """A table of one type, see test_values.Column: what the server says of each of its ids."""

    def __init__(self, column):
        self.column = column
        self.table = column.table
        self.expected = {}

    def read(self, cursor):
        self.column.read(cursor)
        expression = re.sub(r"\bc\b", "v", self.column.row.sql)
        row = canonical.sql_of_row((("id", "textsend(concat(id))"), ("v", expression)))
        # The rows as they were when inserted and when updated, too.
        cursor.execute(f"SELECT id, textsend(concat(id)), {row} FROM (SELECT id + step AS id, v FROM "
                       f"{self.table}, unnest(ARRAY[0, {STEP}, {2 * STEP}]) step) s")
        for id_, key, whole in cursor.fetchall():
            value = self.column.expected[id_ % STEP][1]
            whole = bytes(whole)
            if self.column.kind.sql == '"char"[]' and value is not None and b"\\\\" in value:
                # What PostgreSQL 14 and 15 cannot say: docs/values.md.
                whole = field(bytes(key)) + field(value)
            self.expected[id_] = [bytes(key), value], whole


class CanonicalTest(check.Case):
    def setUp(self):
        self.server = self.cluster()
        connection = oracle.connect(self.server.dsn())
        self.cursor = connection.cursor()
        self.addCleanup(connection.close)
        workload.create_tables(connection)
        self.cursor.execute("CREATE SCHEMA typed; CREATE SCHEMA plain")
        self.cursor.execute(type_matrix.TYPES_SQL)
        self.plugins = self.server.folder / "plugins"
        self.plugins.mkdir(mode=0o755)
        for plugin in ("plugins/file.so", "tests/sdk/plugins/canonical.so"):
            shutil.copy(build() / plugin, self.plugins)

    def follow(self, name, tables, **source):
        narwal = self.enter(Narwal(self.server, name=name, settings={
            "source": source, "tables": {"include": ["lab.marker", *tables]},
            "plugin_dir": str(self.plugins)}))
        narwal.config["sinks"].append({"type": "canonical", "path": str(narwal.home / "canonical")})
        return narwal.start()

    def images(self, narwal):
        """What core/verify made: (table, where, side, values, row); None is NULL, ... missing."""
        meanings = {"-": None, "?": ...}
        for line in (narwal.home / "canonical").read_text().splitlines():
            table, where, side, *parts = line.split(" ")
            *parts, row = [meanings[part] if part in meanings else bytes.fromhex(part[1:])
                           for part in parts]
            if table != "lab.marker":
                yield table, f"{narwal.name}: {table} {where} {side}", parts, row

    def examine(self, narwal, tables):
        """Every image against the server's; how many there were of each table."""
        known = {table.table: table for table in tables}
        counts = dict.fromkeys(known, 0)
        problems = []
        for name, label, parts, row in self.images(narwal):
            counts[name] += 1
            wanted, whole = known[name].expected[int(parts[0])]
            if parts != wanted:
                number = next(i for i, part in enumerate(parts) if part != wanted[i])
                problems.append(f"{label} column {number}: {parts[number]!r:.200}, "
                                f"the server's {wanted[number]!r:.200}")
            elif row != whole:
                problems.append(f"{label}: row {row!r:.300}, the server's {whole!r:.300}")
        self.assertEqual(problems, [], "\n".join([""] + problems[:30]))
        return counts

    def test_every_type(self):
        rows = canonical.table()
        columns = [test_values.Column(number, kind, rows)
                   for number, kind in enumerate(type_matrix.of_version(check.version()))]
        for column in columns:
            column.create(self.cursor)
        binary = self.follow("binary", ["typed.*"])
        text = self.follow("text", ["typed.*", "plain.*"], values="text")
        for narwal in (binary, text):
            narwal.wait_streaming()
        self.assertRegex(binary.stream_query(BINARY_SECONDS_MAX), "binary '?(true|on|1)")
        for column in columns:
            column.change(self.cursor)
        tables = [One(column) for column in columns]
        for table in tables:
            table.read(self.cursor)
        typed = [table for table in tables if table.column.kind.typed]
        for narwal, followed in ((binary, typed), (text, tables)):
            narwal.wait_caught_up()
            self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
            counts = self.examine(narwal, followed)
            # Each value: once in the copy, inserted, before and after the update, before the delete.
            self.assertEqual(counts, {table.table: 5 * (len(table.column.kind.values) + 1)
                                      for table in followed})
            print(f"{narwal.name}: {sum(counts.values())} values ... ", end="", flush=True)

    def test_rows_of_every_type(self):
        """Random rows of all types at once, with NULLs."""
        rand = random.Random(check.seed())
        table = Wide("lab.all_types")
        self.cursor.execute("ALTER TABLE lab.all_types REPLICA IDENTITY FULL")
        casts = ", ".join(f"%s::{kind}" for kind, _ in values.COLUMNS.values())

        def insert(first):
            for id_ in range(first, first + WIDE_ROWS):
                self.cursor.execute(f"INSERT INTO lab.all_types VALUES (%s, {casts})", (id_, *(
                    None if rand.random() < 0.1 else make(rand) for _, make in values.COLUMNS.values())))
        insert(0)
        narwal = self.follow("rows", [table.table]).wait_streaming()
        insert(WIDE_ROWS)
        narwal.wait_caught_up()
        table.read(self.cursor)
        self.cursor.execute("DELETE FROM lab.all_types WHERE id % 2 = 0")
        narwal.wait_caught_up()
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        self.assertEqual(self.examine(narwal, [table]), {table.table: 3 * WIDE_ROWS})

    def test_what_is_missing_is_not_null(self):
        self.cursor.execute("INSERT INTO lab.wide (id, n, t) VALUES (1, NULL, repeat('x', 9000))")
        narwal = self.follow("missing", ["lab.wide"]).wait_streaming()
        self.cursor.execute("UPDATE lab.wide SET n = 7; DELETE FROM lab.wide")
        narwal.wait_caught_up()
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        long = b"x" * 9000
        self.assertEqual([image[2:] for image in self.images(narwal)], [
            ([b"1", None, long, None, None, None],
             b"".join(map(field, (b"1", None, long, None, None, None)))),
            ([b"1", b"7", ..., None, None, None], ...),
            ([b"1", ..., ..., ..., ..., ...], ...)])


if __name__ == "__main__":
    check.main()
