#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Random tables and random transactions, read by the real Debezium and by narwal, and compared by `narwal diff-topics`.

A seed makes everything: types, keys, replica identities, the connector's options, and what happens. NARWAL_SEED is the first, and
NARWAL_SEEDS how many there are.
"""
import json
import os
import random
import subprocess
import time
import unittest

from lab import check, cluster, debezium, kafka, type_matrix, workload
from lab.narwal import build
from test_debezium_modes import PLAIN, SCHEMAS, SERVER, Imported

SEEDS = 2
TRANSACTIONS = 60
TEXTS = ("", "a", "ünï", "😀", "it's", 'quo"te', "back\\slash", "line\nbreak", "tab\t", "NULL", "{}", "x" * 5000, "\u2028", " both ")
LARGE = "(SELECT string_agg(md5(n::text || '{}'), '') FROM generate_series(1, 120) n)"  # too random to be compressed into its row
STORED = ("text", "jsonb", "public.citext", "character varying(100)", "xml")  # whose placeholder is the same in every mode
OPTIONS = (
    ("decimal.handling.mode", ("string", "double")),
    ("time.precision.mode", ("adaptive", "adaptive_time_microseconds", "microseconds", "nanoseconds", "isostring",
                             "structured")),
    ("binary.handling.mode", ("bytes", "base64", "hex", "base64-url-safe")),
    ("interval.handling.mode", ("numeric", "string")),
    ("hstore.handling.mode", ("json", "map")),
    ("tombstones.on.delete", ("true", "false")),
    ("unavailable.value.placeholder", ("__debezium_unavailable_value", "gone")),
    ("money.fraction.digits", ("2", "0", "3")),
    ("schema.name.adjustment.mode", ("none", "avro")),
    ("extended.headers.enabled", ("true", "false")),
    ("include.unknown.datatypes", ("false", "false", "true")),
    ("value.converter.decimal.format", ("BASE64", "NUMERIC")),
)


MOVED = ("header.__debezium.newkey", "header.__debezium.oldkey")


def quote(text):
    return "'" + text.replace("'", "''") + "'"


def moods(r):
    """An array of an enum; one NULL among its items would be NULL for all of it: docs/debezium.md."""
    return quote("{" + ",".join(r.choice(("sad", "ok", "ünï", r'"it\'s \"complicated\", {really}"')) for _ in range(r.randint(0, 4))) + "}")


def pairs(r):
    words = [part for _ in range(r.randint(0, 4)) for part in (quote(r.choice(TEXTS[1:12])), r.choice((quote(r.choice(TEXTS)), "NULL")))]
    return f"public.hstore(ARRAY[{', '.join(words)}]::text[])"


def path(r):
    return quote(".".join(r.choice(("Top", "a_1", "B", "7")) for _ in range(r.randint(0, 4))))


def items(r, one, least=0):
    return "{" + ",".join(r.choice(("NULL", one(r), one(r))) for _ in range(r.randint(least, 4))) + "}"


def stamp(r, first=1700, last=2200):
    return f"{r.randint(first, last)}-{r.randint(1, 12):02}-{r.randint(1, 28):02} {r.randint(0, 23):02}:{r.randint(0, 59):02}:01.{r.randint(0, 999999):06}"


# A type and its values, from a source of chance.
TYPES = {
    "time(0)": lambda r: quote(f"{r.randint(0, 23):02}:{r.randint(0, 59):02}:59"),
    "time(5)": lambda r: quote(f"{r.randint(0, 23):02}:{r.randint(0, 59):02}:59.{r.randint(0, 99999):05}"),
    "timestamp(0)": lambda r: quote(stamp(r)[:19]),
    "timestamp(5)": lambda r: quote(stamp(r)[:-1]),
    "timestamptz(2)": lambda r: quote(stamp(r, 1900)[:22] + "-07"),
    "interval(3)": lambda r: quote(f"{r.randint(-5, 5)} years {r.randint(-99, 99)}.25 secs"),
    "interval year to month": lambda r: quote(f"{r.randint(-5, 5)} years {r.randint(-9, 9)} mons"),
    "oid": lambda r: str(r.choice((0, 1, 4294967295, r.randint(0, 10**9)))),
    '"char"': lambda r: quote(r.choice(("a", "", "Z", "\""))),
    "bit": lambda r: r.choice(("B'0'", "B'1'")),
    "bit varying(1)": lambda r: r.choice(("B'0'", "B'1'")),
    "numeric(5,0)": lambda r: str(r.randint(-99999, 99999)),
    "numeric(40,38)": lambda r: f"{r.randint(-9, 9)}.{r.randint(0, 10**38 - 1):038}",
    "numeric(3,5)": lambda r: f"0.00{r.randint(0, 999):03}",
    "cidr": lambda r: quote(r.choice(("10.0.0.0/8", "::/0", "192.168.1.0/24"))),
    "macaddr8": lambda r: quote(f"08:00:2b:01:02:03:04:{r.randint(0, 255):02x}"),
    "xml": lambda r: quote(r.choice(("<a/>", "<a b=\"1\">t</a>", "text", "<a>ü😀</a>"))),
    "tsvector": lambda r: quote(r.choice(("", "a:1A b:2", "'it''s':3"))),
    "box": lambda r: quote(f"(1,2),({r.randint(-9, 9)},0.5)"),
    "lseg": lambda r: quote(f"[(1,2),({r.randint(-9, 9)},0.5)]"),
    "polygon": lambda r: quote(f"((0,0),(1,{r.randint(1, 9)}),(2,0))"),
    "path": lambda r: quote(r.choice(("((0,0),(1,1))", "[(0,0),(1,1),(2,0.5)]"))),
    "line": lambda r: quote(f"{{1,-1,{r.randint(-9, 9)}}}"),
    "circle": lambda r: quote(f"<(0,1),{r.randint(0, 9)}>"),
    "tstzrange": lambda r: quote(r.choice(("empty", "[2024-01-01 00:00+00,2024-02-01 00:00+01)", "(,)"))),
    "daterange": lambda r: quote(r.choice(("empty", "[2024-01-01,2024-02-01]", "(,2024-01-01)"))),
    "numrange": lambda r: quote(r.choice(("empty", "[1.50,2.0)", "(,7]"))),
    "int4multirange": lambda r: quote(r.choice(("{}", "{[1,2),[5,9)}"))),
    "smallint[]": lambda r: quote(items(r, lambda r: str(r.randint(-9, 9)))),
    "bigint[]": lambda r: quote(items(r, lambda r: str(r.randint(-10**12, 10**12)))),
    "boolean[]": lambda r: quote(items(r, lambda r: r.choice("tf"))),
    "double precision[]": lambda r: quote(items(r, lambda r: r.choice(("0", "-1.5", "1e300", "0.1")))),
    "real[]": lambda r: quote(items(r, lambda r: r.choice(("0", "-1.5", "1.1")))),
    "numeric(9,3)[]": lambda r: quote(items(r, lambda r: f"{r.randint(-999, 999)}.{r.randint(0, 999):03}")),
    "uuid[]": lambda r: quote(items(r, lambda r: f"{r.getrandbits(128):032x}")),
    "date[]": lambda r: quote(items(r, lambda r: f"{r.randint(1600, 2500)}-02-03")),
    "timestamp[]": lambda r: quote(items(r, lambda r: quote(stamp(r)).replace("'", '"'))),
    "timestamptz[]": lambda r: quote(items(r, lambda r: f'"{stamp(r, 1900)}+00"')),
    "time[]": lambda r: quote(items(r, lambda r: f"{r.randint(0, 23):02}:00:00.5")),
    "bytea[]": lambda r: quote(items(r, lambda r: r.choice(('"\\\\x00ff"', '""', '"\\\\x41"')))),
    "inet[]": lambda r: quote(items(r, lambda r: r.choice(("10.0.0.1", "::1/64")))),
    "jsonb[]": lambda r: f"ARRAY[{', '.join(quote(json.dumps({'k': r.choice(TEXTS[:12])})) for _ in range(r.randint(0, 3)))}]::jsonb[]",
    "character(3)[]": lambda r: quote(items(r, lambda r: r.choice(("ab", "ü", '""')))),
    "character varying(9)[]": lambda r: quote(items(r, lambda r: r.choice(("ab", "ü😀", '"a,b"', '"null"')))),
    "lab.positive[]": lambda r: quote(items(r, lambda r: str(r.randint(1, 9)))),
    "other.fee": lambda r: f"{r.randint(0, 10**6) / 100:.2f}",
    "other.labels": lambda r: "ARRAY[" + ", ".join(quote(r.choice(TEXTS)) for _ in range(r.randint(0, 3))) + "]::other.labels",
    "integer": lambda r: str(r.choice((0, -1, 2147483647, r.randint(-1000, 1000)))),
    "bigint": lambda r: str(r.choice((0, 2**63 - 1, -2**63, r.randint(-10**12, 10**12)))),
    "smallint": lambda r: str(r.randint(-32768, 32767)),
    "text": lambda r: quote(r.choice(TEXTS)),
    "character varying(100)": lambda r: quote(r.choice(TEXTS)[:100]),
    "character(6)": lambda r: quote(r.choice(("", "ab", "ü", "abcdef"))),
    "boolean": lambda r: r.choice(("true", "false")),
    "numeric(10,2)": lambda r: f"{r.randint(-10**9, 10**9) / 100:.2f}",
    "numeric": lambda r: r.choice(("0", "1.500", "-123456789012345678901234567890.5", "0.00001", "1e20")),
    "double precision": lambda r: r.choice(("0", "-0.5", "1e300", "'NaN'", "'-Infinity'", str(r.random()))),
    "real": lambda r: r.choice(("0", "-0.5", "1.1", "'Infinity'", "3.4028235e38")),
    "date": lambda r: quote(f"{r.randint(1600, 2500)}-{r.randint(1, 12):02}-{r.randint(1, 28):02}"),
    "time": lambda r: quote(f"{r.randint(0, 23):02}:{r.randint(0, 59):02}:{r.randint(0, 59):02}.{r.randint(0, 999999):06}"),
    "time(3)": lambda r: quote(f"{r.randint(0, 23):02}:{r.randint(0, 59):02}:{r.randint(0, 59):02}.{r.randint(0, 999):03}"),
    "timestamp": lambda r: quote(f"{r.randint(1700, 2200)}-{r.randint(1, 12):02}-{r.randint(1, 28):02} 12:{r.randint(0, 59):02}:01.{r.randint(0, 999999):06}"),
    "timestamp(3)": lambda r: quote(f"{r.randint(1700, 2200)}-{r.randint(1, 12):02}-{r.randint(1, 28):02} 23:59:59.{r.randint(0, 999):03}"),
    "timestamptz": lambda r: r.choice((quote(f"{r.randint(1900, 2200)}-05-06 07:08:09.{r.randint(0, 999999):06}+0{r.randint(0, 9)}"), "'infinity'")),
    "timetz": lambda r: quote(f"{r.randint(0, 23):02}:00:00.5+0{r.randint(0, 9)}"),
    "interval": lambda r: quote(f"{r.randint(-5, 5)} mons {r.randint(-40, 40)} days {r.randint(0, 99)}:00:00.5"),
    "uuid": lambda r: quote(f"{r.getrandbits(128):032x}"),
    "bytea": lambda r: quote("\\x" + r.getrandbits(64).to_bytes(8, "big").hex()[:2 * r.randint(0, 8)]),
    "jsonb": lambda r: quote(json.dumps({"k": r.choice(TEXTS), "n": [1, None, r.random()]})),
    "json": lambda r: quote(json.dumps([r.choice(TEXTS[:12])])),
    "inet": lambda r: quote(f"10.0.{r.randint(0, 255)}.1/{r.randint(8, 32)}"),
    "macaddr": lambda r: quote(f"08:00:2b:01:02:{r.randint(0, 255):02x}"),
    "integer[]": lambda r: quote("{" + ",".join(r.choice(("1", "NULL", "-7")) for _ in range(r.randint(0, 4))) + "}"),
    "text[]": lambda r: "ARRAY[" + ", ".join(quote(r.choice(TEXTS)) for _ in range(r.randint(0, 3))) + "]::text[]",
    "bit(9)": lambda r: f"B'{r.getrandbits(9):09b}'",
    "bit varying": lambda r: f"B'{r.getrandbits(20):b}'",
    "money": lambda r: f"({r.randint(-10**6, 10**6) / 100:.2f})::numeric::money",
    "int4range": lambda r: quote(r.choice(("empty", "[1,5)", "(,)"))),
    "point": lambda r: quote(f"({r.randint(-9, 9)},{r.random():.3f})"),
    "lab.mood": lambda r: quote(r.choice(("sad", "ok", "ünï"))),
    "lab.mood[]": moods,
    "other.moods": moods,
    "other.feeling": lambda r: quote(r.choice(("sad", "ok"))),
    "lab.positive": lambda r: str(r.randint(1, 9)),
    "public.citext": lambda r: quote(r.choice(TEXTS)),
    "other.caption": lambda r: quote(r.choice(TEXTS)),
    "public.citext[]": lambda r: "ARRAY[" + ", ".join(quote(r.choice(TEXTS)) for _ in range(r.randint(0, 3))) + "]::public.citext[]",
    "other.tags": lambda r: "ARRAY[" + ", ".join(quote(r.choice(TEXTS)) for _ in range(r.randint(0, 3))) + "]::public.citext[]",
    "public.hstore": pairs,
    "other.store": pairs,
    "public.ltree": path,
    "other.branch": path,
}
PLAIN_TYPES = list(TYPES)  # without those that are made on the way
KEYED = ("integer", "bigint", "text", "uuid", "date", "numeric(10,2)", "timestamptz", "boolean", "character(6)", "smallint", "time(3)", "bytea",
         "lab.mood", "lab.positive", "public.citext", "other.caption", "public.ltree")


class Table:
    def __init__(self, r, schema, number):
        self.r, self.name, self.number = r, f"{schema}.t{number}", 0
        self.identity = r.choice(("default", "default", "full", "full", "index", "keyless", "nothing", "unique", "unique"))
        self.key = ["id"] if self.identity not in ("keyless", "unique") else []
        self.columns = {"id": "integer"}
        for n in range(r.randint(0, 2) if self.identity in ("default", "full", "index") else 0):
            self.columns[f"k{n}"] = r.choice(KEYED)
            self.key.append(f"k{n}")
        for n in range(r.randint(1, 3) if self.identity == "unique" else 0):
            self.columns[f"u{n}"] = r.choice(KEYED)
        for n in range(r.randint(1, 8)):
            self.columns[f"c{n}"] = r.choice(PLAIN_TYPES)
        self.needed = {name for name in self.columns if name[0] in "cu" and r.random() < 0.2}
        self.indexes = []
        self.parted = self.identity == "default" and self.key == ["id"] and r.random() < 0.4
        self.next_column = len(self.columns)

    def create(self):
        columns = [f"{name} {kind}{' NOT NULL' if name in self.needed or name in self.key else ''}" for name, kind in self.columns.items()]
        if self.identity in ("default", "full", "nothing"):
            columns.append(f"PRIMARY KEY ({', '.join(self.key)})")
        lines = [f"CREATE TABLE {self.name} ({', '.join(columns)})" + (" PARTITION BY RANGE (id)" if self.parted else "")]
        if self.parted:
            lines += [f"CREATE TABLE {self.name}_a PARTITION OF {self.name} FOR VALUES FROM (MINVALUE) TO (50)",
                      f"CREATE TABLE {self.name}_b PARTITION OF {self.name} FOR VALUES FROM (50) TO (MAXVALUE)"]
        if self.identity == "index":
            lines += [f"CREATE UNIQUE INDEX {self.name.replace('.', '_')}_key ON {self.name} ({', '.join(self.key)})",
                      f"ALTER TABLE {self.name} REPLICA IDENTITY USING INDEX {self.name.replace('.', '_')}_key"]
        if self.identity == "unique":
            lines += [self.index() for _ in range(self.r.randint(1, 3))]
            if self.r.random() < 0.3 and " WHERE " not in lines[-1]:
                lines.append(f"ALTER TABLE {self.name} CLUSTER ON {self.indexes[-1]}")
        stored = [name for name in self.columns if self.is_stored(name)]
        if stored:
            lines.append(f"ALTER TABLE {self.name} " + ", ".join(f"ALTER {name} SET STORAGE EXTERNAL" for name in stored))
        if self.identity in ("full", "keyless", "unique"):
            lines.append(f"ALTER TABLE {self.name} REPLICA IDENTITY FULL")
        if self.identity == "nothing":
            lines.append(f"ALTER TABLE {self.name} REPLICA IDENTITY NOTHING")
        return lines

    def index(self):
        """A unique index that no row breaks, as it has the number in it."""
        self.indexes.append(f"{self.r.choice('abc')}{self.name.replace('.', '_')}_{len(self.indexes)}_{self.next_column}")
        parts = ["id", *(name for name in self.columns if name[0] == "u" and self.r.random() < 0.6)]
        self.r.shuffle(parts)
        kind = self.r.random()
        if kind < 0.15:
            parts.append("(id + 1)")
        free = [name for name in self.columns if name[0] == "u" and name not in parts]
        include = f" INCLUDE ({free[0]})" if free and self.r.random() < 0.3 else ""
        where = " WHERE id % 2 = 0" if 0.15 < kind < 0.3 else ""
        return f"CREATE UNIQUE INDEX {self.indexes[-1]} ON {self.name} ({', '.join(parts)}){include}{where}"

    def is_stored(self, name):
        return name[0] == "c" and name not in self.needed and self.columns[name] in STORED

    def large(self, name):
        """A value outside of its row, which an update of another column does not send."""
        text = LARGE.format(self.r.random())
        kind = self.columns[name]
        return {"jsonb": f"jsonb_build_object('k', {text})", "xml": f"({text})::xml", "character varying(100)": "NULL"}.get(kind, f"{text}::{kind}")

    def cell(self, name):
        if name == "id":
            self.number += 1
            return str(self.number)
        if name not in self.key and name not in self.needed and self.r.random() < 0.2:
            return "NULL"
        if self.is_stored(name) and self.r.random() < 0.3:
            return self.large(name)
        return f"CAST({TYPES[self.columns[name]](self.r)} AS {self.columns[name]})"

    def insert(self, rows=None):
        rows = rows or self.r.randint(1, 5)
        lines = ", ".join(f"({', '.join(self.cell(name) for name in self.columns)})" for _ in range(rows))
        return f"INSERT INTO {self.name} ({', '.join(self.columns)}) VALUES {lines}"

    def where(self):
        low = self.r.randint(0, max(self.number, 1))
        return f"id BETWEEN {low} AND {low + self.r.randint(0, 8)}"

    def change(self):
        """One statement; what only copies rows in is all that a table without an identity takes."""
        chance = self.r.random()
        if self.identity == "nothing" or chance < 0.4:
            return self.insert()
        plain = [name for name in self.columns if name not in self.key]
        if chance < 0.7 and plain:
            name = self.r.choice(plain)
            return f"UPDATE {self.name} SET {name} = {self.cell(name)} WHERE {self.where()}"
        if chance < 0.8 and (self.key or self.identity == "unique"):
            self.number += 1
            return (f"UPDATE {self.name} SET id = {self.number} WHERE id = {self.r.randint(1, self.number)}"
                    f" AND NOT EXISTS (SELECT FROM {self.name} WHERE id = {self.number})")
        if chance < 0.97:
            return f"DELETE FROM {self.name} WHERE {self.where()}"
        return f"TRUNCATE {self.name}"

    def alter(self):
        """One change of the table."""
        free = [name for name in self.columns if name[0] == "c"]
        kind = self.r.choice(("add", "add", "drop", "rename", "widen", "full", "default", "made", "made"))
        name = self.r.choice(free) if free else None
        if self.identity == "unique" and self.r.random() < 0.6:
            self.next_column += 1
            if self.indexes and self.r.random() < 0.5:
                return f"DROP INDEX {self.name.split('.')[0]}.{self.indexes.pop(self.r.randrange(len(self.indexes)))}"
            return self.index()
        if kind == "drop" and len(free) > 1:
            del self.columns[name]
            self.needed.discard(name)
            return f"ALTER TABLE {self.name} DROP {name}"
        if kind == "rename" and name:
            self.next_column += 1
            renamed = f"c{self.next_column}"
            self.columns = {renamed if old == name else old: kind for old, kind in self.columns.items()}
            self.needed = {renamed if old == name else old for old in self.needed}
            return f"ALTER TABLE {self.name} RENAME {name} TO {renamed}"
        if kind == "widen" and name and self.columns[name] in ("integer", "smallint", "real", "character varying(100)"):
            self.columns[name] = {"integer": "bigint", "smallint": "integer", "real": "double precision"}.get(self.columns[name], "text")
            return f"ALTER TABLE {self.name} ALTER {name} TYPE {self.columns[name]}"
        if kind == "full" and self.identity == "default" and not self.parted:
            self.identity = "full"
            return f"ALTER TABLE {self.name} REPLICA IDENTITY FULL"
        self.next_column += 1
        added = f"c{self.next_column}"
        if kind == "default":
            self.columns[added] = "integer"
            self.needed.add(added)
            return f"ALTER TABLE {self.name} ADD {added} integer NOT NULL DEFAULT {self.r.randint(-9, 9)}"
        if kind == "made":
            return self.made(added)
        self.columns[added] = self.r.choice(PLAIN_TYPES)
        return f"ALTER TABLE {self.name} ADD {added} {self.columns[added]}"


    def made(self, added):
        """A column of a type that nobody has seen."""
        kind = f"{self.name}_{added}"
        below, values = self.r.choice((("ENUM ('a', 'B,')", ("'a'", "'B,'")), ("lab.mood[]", ("'{sad}'", "'{}'")), ("public.citext", ("'C'", "''")),
                                       ("numeric(7,3)", ("1.5", "-2")), ("timestamp(3)", ("'2024-01-01'", "'1999-12-31 23:59'")), ("text[]", ("'{a}'", "'{NULL}'"))))
        TYPES[kind] = lambda r: r.choice(values)
        self.columns[added] = kind
        return (f"CREATE TYPE {kind} AS {below}" if below.startswith("ENUM") else f"CREATE DOMAIN {kind} AS {below}") + f"; ALTER TABLE {self.name} ADD {added} {kind}"


class Story:
    """What happens with a seed."""

    def __init__(self, seed):
        self.r = random.Random(seed)
        self.schema = f"r{seed}"
        self.tables = [Table(self.r, self.schema, n) for n in range(self.r.randint(2, 5))]
        self.properties = {**self.r.choice((SCHEMAS, PLAIN)), **{name: self.r.choice(values) for name, values in OPTIONS},
                           "skipped.operations": "none", "publish.via.partition.root": "true"}
        self.prepared = 0
        self.choose()

    def choose(self):
        """Columns that are left out, and keys that are asked for."""
        free = [f"{table.name}.{name}" for table in self.tables for name in table.columns if name[0] == "c" and name not in table.needed]
        if free and self.r.random() < 0.3:
            self.properties["column.exclude.list"] = ",".join(self.r.sample(free, min(len(free), self.r.randint(1, 3))))
        plain = [table for table in self.tables if table.identity == "full" and table.key == ["id"]]
        if plain and self.r.random() < 0.4:
            self.properties["message.key.columns"] = f"{plain[0].name}:id"
        if self.r.random() < 0.3:
            self.properties["publish.via.partition.root"] = "false"
            for table in self.tables:
                table.parted = False

    def setup(self):
        yield f"CREATE SCHEMA {self.schema}"
        yield f"CREATE TABLE {self.schema}.marker (id bigint PRIMARY KEY)"
        for table in self.tables:
            yield from table.create()
            yield table.insert(self.r.randint(1, 20))

    def table(self):
        return self.r.choice(self.tables)

    def transaction(self):
        """Statements of one, with what ends it."""
        chance = self.r.random()
        if chance < 0.05:
            return [table.insert(1500) for table in (self.table(),)], "COMMIT"
        lines = []
        for _ in range(self.r.randint(1, 6)):
            part = [self.table().change()]
            if self.r.random() < 0.2:
                part = ["SAVEPOINT a", *part, self.table().change(), self.r.choice(("ROLLBACK TO a", "RELEASE a"))]
            lines += part
        if self.r.random() < 0.1:
            lines.append(f"SELECT pg_logical_emit_message(true, 'p{self.r.randint(0, 3)}', {quote(self.r.choice(TEXTS[1:]))})")
        if chance < 0.15:
            return lines, "ROLLBACK"
        if chance < 0.25:
            self.prepared += 1
            name = f"{self.schema}_{self.prepared}"
            return lines, f"PREPARE TRANSACTION '{name}'; {self.r.choice(('COMMIT', 'COMMIT', 'ROLLBACK'))} PREPARED '{name}'"
        return lines, "COMMIT"


class RandomTest(check.Case):
    @classmethod
    def setUpClass(cls):
        os.environ.setdefault("NARWAL_PASSWORD", "unused")
        try:
            cls.broker = cls.enterClassContext(kafka.Broker(**{"num.partitions": "3"}))
            cls.server = cls.enterClassContext(cluster.Cluster(check.version(), {**SERVER, "logical_decoding_work_mem": "64kB"}))
            workload.create_types(cls.server.connect())
            cls.server.sql(type_matrix.TYPES_SQL)
        except cluster.servers.Unavailable as error:
            raise unittest.SkipTest(str(error))

    def test_random_tables_and_transactions(self):
        first, count = check.seed(), int(os.environ.get("NARWAL_SEEDS", SEEDS))
        self.other = None
        for seed in range(first, first + count):
            with self.subTest(seed=seed):
                self.tell(Story(seed), f"s{seed}")

    def tell(self, story, name):
        self.markers = 0
        self.run_all(story.setup())
        properties = {"schema.include.list": story.schema, "topic.creation.default.partitions": "3",
                      "topic.creation.default.replication.factor": "1", **story.properties}
        if self.other is None:
            self.other = self.enter(debezium.Debezium(self.server, self.broker, f"dbz_{name}", properties, heap="512m")).start()
        else:
            self.other.add(f"dbz_{name}", properties)
        self.other.wait_streaming()
        with Imported(self.server, self.broker, self.other.url_of(f"dbz_{name}"), name) as narwal:
            narwal.start().wait_caught_up()
            self.settle(story, narwal, name)
            for number in range(TRANSACTIONS):
                if number % 20 == 19:
                    self.settle(story, narwal, name)
                    self.run_all([story.table().alter(), story.table().alter()])
                    self.run_all([table.insert(1) for table in story.tables])
                    self.settle(story, narwal, name)
                else:
                    self.run_transaction(*story.transaction())
            self.settle(story, narwal, name)
            try:
                self.judge(story, name)
            finally:
                self.other.remove(f"dbz_{name}")
            self.assertEqual(narwal.terminate(), 0)

    def run_all(self, statements):
        for statement in statements:
            self.server.sql(statement)

    def run_transaction(self, lines, end):
        """A statement that fails (a key that is there already) rolls it back."""
        connection = self.server.connect()
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("BEGIN")
                try:
                    for line in lines:
                        cursor.execute(line)
                except Exception as error:  # pylint: disable=broad-except
                    if "duplicate key" not in str(error) and "no partition" not in str(error):
                        raise
                    end = "ROLLBACK"
                for part in end.split("; "):
                    cursor.execute(part)
        finally:
            connection.close()

    def settle(self, story, narwal, name):
        self.markers += 1
        self.server.sql(f"INSERT INTO {story.schema}.marker VALUES (%s)", (self.markers,))
        narwal.wait_caught_up()
        topic = f"dbz_{name}.{story.schema}.marker"
        self.other.wait("Debezium's last event", lambda: topic in self.broker.topics() and any(
            f'"id":{self.markers}}}' in (message["key"] or "") for message in self.broker.read(topic)))

    def judge(self, story, name):
        """What Debezium's producer sent before the marker may be seen later, in other topics."""
        deadline = time.monotonic() + 60
        report, wrong = self.compare(name)
        while any(difference["a"] is None for _, difference in wrong) and time.monotonic() < deadline:
            time.sleep(2)
            report, wrong = self.compare(name)
        self.assertEqual(wrong, [], (story.properties, [(table.name, table.identity, table.key, table.columns, table.indexes) for table in story.tables]))
        self.assertGreater(sum(topic["equal"] for topic in report["topics"]), 50)

    def compare(self, name):
        """The report, and what differs without being known."""
        result = subprocess.run([str(build() / "narwal"), "diff-topics", f"dbz_{name}", f"nw_{name}", "--brokers", self.broker.address,
                                 "--mask", "source.snapshot", "--show", "100", "--json"], text=True, check=False,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertIn(result.returncode, (0, 1), result.stderr)
        report = json.loads(result.stdout)
        wrong = []
        for topic in report["topics"]:
            for difference in topic["differences"]:
                # docs/debezium.md: tombstones without a key, and headers that are no JSON
                if difference["key"] == "no key" and difference["op"] == "tombstone" and not difference["b"]:
                    continue
                if difference["paths"] and difference["paths"][0]["path"] in MOVED and all(
                        entry["path"].startswith(MOVED) for entry in difference["paths"]):
                    continue
                wrong.append((topic["topic"], difference))
        return report, wrong


if __name__ == "__main__":
    check.main()
