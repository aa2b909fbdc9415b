#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The widest table, the narrowest, the oddest names, the largest field.

NARWAL_FIELD_MB is the size of that field; 1000 is the most that PostgreSQL can send of one, less is
what `./dev test` has time for.
"""
import hashlib
import os

from lab import check, workload
from lab.narwal import Narwal

MIB = 1 << 20
FIELD_MB = int(os.environ.get("NARWAL_FIELD_MB", "200"))
# What a field takes on its way, as docs/operations.md says: received, kept until its commit, raw, decoded,
# handed over, printed.
TIMES_MAX = 6.25
ALLOWANCE = 64 * MIB
COLUMNS_MAX = 1600

NAMES = ["n" * 63, "ü" * 31, "😀" * 15, 'quo"te', '""', "back\\slash", "new\nline", "tab\tcr\r", "it's", " ",
         "$bytes", "%s%n", "a.b", ";--", "UPPER", "upper", "select", "{}", "id'", "\x01\x7f", "after_missing", "é", "e\u0301"]


class ExtremesTest(check.Case):
    def setUp(self):
        self.server = self.cluster()
        self.server.sql("CREATE SCHEMA lab; CREATE TABLE lab.marker (id bigint PRIMARY KEY)")

    def assert_compared(self, narwal, *tables):
        narwal.wait_caught_up()
        result = narwal.compare(tables)
        self.assertTrue(result.good, result.report())

    def lines(self, narwal, name):
        log = next(log for log in narwal.state().logs() if log.name == name)
        return list(log.copy()), [event for event in log.changes() if event["op"] != "S"]

    def test_1600_columns_and_none(self):
        columns = ", ".join(f"c{number} integer" for number in range(1, COLUMNS_MAX))
        self.server.sql(f"CREATE TABLE lab.widest (id integer PRIMARY KEY, {columns})")
        self.server.sql("CREATE TABLE lab.none (); CREATE TABLE lab.none_full ();"
                        "ALTER TABLE lab.none_full REPLICA IDENTITY FULL;"
                        "ALTER TABLE lab.widest REPLICA IDENTITY FULL")

        def fill(first):
            values = ", ".join(str(number) for number in range(1, COLUMNS_MAX))
            self.server.sql(f"INSERT INTO lab.widest VALUES ({first}, {values})")
            self.server.sql(f"INSERT INTO lab.widest VALUES ({first + 1})")
            self.server.sql(f"INSERT INTO lab.widest (id, c{COLUMNS_MAX - 1}) VALUES ({first + 2}, 7)")
            for name in ("none", "none_full"):
                self.server.sql(f"INSERT INTO lab.{name} DEFAULT VALUES")
                self.server.sql(f"INSERT INTO lab.{name} SELECT")
        fill(0)
        text = self.enter(Narwal(self.server, settings={"source": {"values": "text"}})).start()
        binary = self.enter(Narwal(self.server)).start()
        for narwal in (text, binary):
            narwal.wait_streaming()
        fill(10)
        self.server.sql("UPDATE lab.widest SET c1 = -1; DELETE FROM lab.widest WHERE id = 11")
        self.server.sql("DELETE FROM lab.none_full WHERE ctid = (SELECT min(ctid) FROM lab.none_full)")
        for narwal in (text, binary):
            self.assert_compared(narwal, *[("lab", name) for name in ("widest", "none", "none_full")])
            _, changes = self.lines(narwal, "widest")
            self.assertEqual([len(event.get("before", ())) for event in changes], [0] * 3 + [COLUMNS_MAX] * 7)
            copied, changes = self.lines(narwal, "none_full")
            self.assertEqual([event["after"] for event in copied], [{}, {}])
            self.assertEqual([(event["op"], event.get("before"), event.get("after")) for event in changes],
                             [("I", None, {}), ("I", None, {}), ("D", {}, None)])

    def test_odd_names(self):
        quote = workload.quote
        connection = self.server.connect()
        connection.set_client_encoding("UTF8")
        with connection.cursor() as cursor:
            for number, name in enumerate(NAMES):
                label = cursor.mogrify("%s", (name,)).decode()
                cursor.execute(f"CREATE SCHEMA {quote('s' + name[:30])}".replace("%", "%%"), ())
                cursor.execute(f"CREATE TYPE {quote('s' + name[:30])}.{quote(name)} AS ENUM ({label})"
                               .replace("%", "%%"), ())
                cursor.execute(f"CREATE TABLE {quote('s' + name[:30])}.{quote(name[:60] + str(number))} "
                               f"(\"the key\" integer PRIMARY KEY, {quote(name)} "
                               f"{quote('s' + name[:30])}.{quote(name)} DEFAULT {label})"
                               .replace("%", "%%"), ())
            texts = " text, ".join(quote(name) for name in NAMES)
            cursor.execute(f"CREATE TABLE lab.columns (\"the key\" integer PRIMARY KEY, {texts} text)"
                           .replace("%", "%%"), ())
            tables = [(f"s{name[:30]}", f"{name[:60]}{number}") for number, name in enumerate(NAMES)]
            tables.append(("lab", "columns"))

            def change(first):
                for schema, name in tables:
                    table = f"{quote(schema)}.{quote(name)}".replace("%", "%%")
                    cursor.execute(f"INSERT INTO {table} VALUES (%s), (%s), (%s)",
                                   (first, first + 1, first + 2))
                    cursor.execute(f'UPDATE {table} SET "the key" = 9 - "the key" WHERE "the key" = %s',
                                   (first,))
                    cursor.execute(f'DELETE FROM {table} WHERE "the key" = %s', (first + 1,))
            change(1)
            narwal = self.enter(Narwal(self.server)).start().wait_streaming()
            change(11)
            self.assert_compared(narwal, *tables)
        connection.close()
        self.assertEqual(narwal.call_verify()[0], 0, narwal.call_verify()[1])

    def test_a_large_field(self):
        if "asan" in str(os.environ.get("NARWAL_BUILD", "")):
            self.skipTest("a sanitizer multiplies memory: the dev build tests this")
        self.server.sql("CREATE TABLE lab.large (id integer PRIMARY KEY, n integer, t text)")
        insert = f"INSERT INTO lab.large SELECT %s, 0, repeat('0123456789abcde' || chr(10), {FIELD_MB} * 62500)"
        self.server.sql(insert, (1,))
        # A row of more than a quarter of it would stop its table.
        memory = {"memory": f"{max(1024, 5 * FIELD_MB)}MiB"}
        narwal = self.enter(Narwal(self.server, sink={"compress": "zstd"}, settings={"limits": memory}))
        narwal.start().wait_streaming(300)
        copied = narwal.memory_peak()
        self.server.sql(insert, (2,))
        self.server.sql("UPDATE lab.large SET n = 1")
        self.server.sql("DELETE FROM lab.large WHERE id = 1")
        narwal.wait_caught_up(300)
        peak = narwal.memory_peak()
        print(f"{FIELD_MB} MB: peak {copied // MIB} MiB in the copy, {peak // MIB} MiB in all ... ", end="",
              flush=True)
        self.assertLessEqual(peak, TIMES_MAX * FIELD_MB * 1000000 + ALLOWANCE)
        copy, changes = self.lines(narwal, "large")
        self.assertEqual([event["op"] for event in changes], ["I", "U", "U", "D"])
        wanted = self.server.value("SELECT md5(t) FROM lab.large WHERE id = 2")
        for event in (copy[0], changes[0]):
            self.assertEqual(hashlib.md5(event["after"]["t"].encode()).hexdigest(), wanted)
        for event in changes[1:3]:
            self.assertEqual(event["after_missing"], ["t"])


if __name__ == "__main__":
    check.main()
