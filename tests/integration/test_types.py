#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every type, every awkward value: through the copy and the stream, in binary and in text.

Two tables: one of types that narwal decodes from binary, one of all types. Every value of
lab.values is there, so nothing depends on what a random load happens to pick.
"""
import random

from lab import check, values, workload
from lab.narwal import BINARY_SECONDS_MAX, Narwal

# What has a typed form; a publication of only these is followed in binary.
COMMON = ["c_bool", "c_int2", "c_int4", "c_int8", "c_float4", "c_float8", "c_numeric",
          "c_numeric_12_2", "c_numeric_38_10", "c_numeric_38_0", "c_numeric_50_20", "c_text",
          "c_varchar", "c_char", "c_name", "c_bytea", "c_date", "c_time", "c_time0", "c_timestamp",
          "c_timestamptz", "c_uuid", "c_json", "c_jsonb", "c_oid"]
ROWS = 150


class TypesTest(check.Case):
    def setUp(self):
        self.server = self.cluster()
        connection = self.server.connect()
        workload.create_types(connection)
        self.server.sql("CREATE TABLE lab.marker (id bigint PRIMARY KEY)")
        self.random = random.Random(check.seed())

    def make(self, name, columns, identity="FULL"):
        texts = ", ".join(f"{column} {values.COLUMNS[column][0]}" for column in columns)
        self.server.sql(f"CREATE TABLE lab.{name} (id integer PRIMARY KEY, {texts})")
        self.server.sql(f"ALTER TABLE lab.{name} REPLICA IDENTITY {identity}")

    def fill(self, name, columns, first):
        """Rows that have every known value of every column, and random ones."""
        casts = ", ".join(f"%s::{values.COLUMNS[column][0]}" for column in columns)
        with self.server.connect() as connection, connection.cursor() as cursor:
            for number in range(ROWS):
                row = [values.COLUMNS[column][1](self.random) for column in columns]
                if number == 0:
                    row = [None] * len(columns)
                cursor.execute(f"INSERT INTO lab.{name} VALUES (%s, {casts})", (first + number, *row))

    def change(self, name, columns, first):
        """Updates one column of each row, deletes some: full images before and after."""
        with self.server.connect() as connection, connection.cursor() as cursor:
            for number in range(ROWS):
                column = columns[number % len(columns)]
                cursor.execute(f"UPDATE lab.{name} SET {column} = %s::{values.COLUMNS[column][0]} "
                               "WHERE id = %s", (values.COLUMNS[column][1](self.random),
                                                 first + number))
            cursor.execute(f"DELETE FROM lab.{name} WHERE id %% 17 = 0", ())

    def follow(self, tables, binary_seconds=3, **source):
        for name, columns in tables.items():
            self.make(name, columns)
            self.fill(name, columns, 0)
        narwal = self.enter(Narwal(self.server, settings={"source": source}))
        narwal.start().wait_streaming()
        command = narwal.stream_query(binary_seconds)
        for name, columns in tables.items():
            self.fill(name, columns, ROWS)
            self.change(name, columns, 0)
            self.change(name, columns, ROWS)
        narwal.wait_caught_up()
        result = narwal.compare([("lab", name) for name in tables])
        print(result, end=" ... ", flush=True)
        self.assertTrue(result.good, result.report())
        self.assert_images(narwal, tables)
        return command or ""

    def assert_images(self, narwal, tables):
        """Images of deleted and updated rows are whole too: replica identity is full."""
        for log in narwal.state().logs():
            if log.name in tables:
                befores = [event for event in log.changes() if event.get("before")]
                self.assertGreater(len(befores), ROWS)
                for event in befores:
                    self.assertEqual(len(event["before"]), len(tables[log.name]) + 1)

    def test_common_types_in_binary(self):
        command = self.follow({"common": COMMON}, BINARY_SECONDS_MAX)
        self.assertRegex(command, "binary '?(true|on|1)", "values did not come in binary")

    def test_common_types_in_text(self):
        command = self.follow({"common": COMMON}, values="text")
        self.assertNotRegex(command, "binary '?(true|on|1)")

    def test_all_types(self):
        self.follow({"common": COMMON, "everything": list(values.COLUMNS)})

    def test_type_that_is_not_decoded_appears_later(self):
        """Followed in binary until a table gets a column that has no typed form."""
        self.make("common", COMMON)
        narwal = self.enter(Narwal(self.server)).start().wait_streaming()
        self.fill("common", COMMON, 0)
        narwal.wait_caught_up()
        self.server.sql("ALTER TABLE lab.common ADD COLUMN later int4range DEFAULT '[1,5)'")
        self.fill("common", COMMON, ROWS)
        self.server.sql("UPDATE lab.common SET later = 'empty' WHERE id % 2 = 0")
        narwal.wait_caught_up()
        result = narwal.compare([("lab", "common")])
        self.assertTrue(result.good, result.report())

    def test_enum_label_added_later(self):
        self.server.sql("CREATE TABLE lab.moods (id integer PRIMARY KEY, m lab.mood)")
        narwal = self.enter(Narwal(self.server)).start().wait_streaming()
        self.server.sql("ALTER TYPE lab.mood ADD VALUE 'new' BEFORE 'ok'")
        self.server.sql("INSERT INTO lab.moods VALUES (1, 'new'), (2, 'sad')")
        narwal.wait_caught_up()
        result = narwal.compare([("lab", "moods")])
        self.assertTrue(result.good, result.report())

    def test_roles_with_settings_of_their_own(self):
        """What ALTER ROLE sets must not shape the values."""
        self.server.sql("CREATE ROLE odd LOGIN SUPERUSER REPLICATION")
        for setting in ("datestyle = 'SQL, DMY'", "intervalstyle = 'iso_8601'", "timezone = 'Asia/Tokyo'",
                        "extra_float_digits = -5", "bytea_output = 'escape'", "xmloption = 'document'",
                        "search_path = 'lab', 'public'", "client_encoding = 'LATIN1'"):
            self.server.sql(f"ALTER ROLE odd SET {setting}")
        self.follow({"everything": list(values.COLUMNS)}, dsn=self.server.dsn(user="odd"),
                    values="text")


if __name__ == "__main__":
    check.main()
