#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What transforms make of tables: the same by copy and by stream, as SQL at the source says it.

Every table here has a twin: the first is filled before narwal starts and comes by the copy, the
second gets the same rows afterwards and comes by the stream.
"""
import json
import os
import pathlib
import random
import re
import unittest.mock

from lab import check, oracle, values, workload
from lab.narwal import Narwal

SALT = "salt; with 'quotes' and ü"
# Types that narwal decodes from binary: a publication of only these is followed in binary.
BINARY = [name for name in values.COLUMNS if name not in (
    "c_money", "c_mood", "c_moods", "c_domain", "c_domain2", "c_amount", "c_pair", "c_range",
    "c_tsrange", "c_ranges", "c_point", "c_box", "c_path", "c_tsvector", "c_tsquery", "c_regclass",
    "c_jsonpath")] + ["c_mood", "c_domain", "c_amount"]
FLOATS = ["0.1", "1e23", "5e-324", "1e15", "1e14", "123456.7", "1e-5", "0.0001", "-0", "NaN",
          "-Infinity", "9007199254740993", "2.2250738585072014e-308", "4.5e-44"]
ROWS = 60


def row_of(line, side="after"):
    """A line's image with what is missing named."""
    image = line.get(side)
    return image if image is None else {**image, **{name: "(missing)" for name in
                                                    line.get(f"{side}_missing", [])}}


class TransformsTest(check.Case):
    def setUp(self):
        self.server = self.cluster(options={"log_statement": "all"})
        workload.create_types(self.server.connect())
        self.server.sql("CREATE TABLE lab.marker (id bigint PRIMARY KEY)")
        self.random = random.Random(check.seed())

    # ---- helpers ---------------------------------------------------------------------------------

    def narwal(self, transforms, **settings):
        return self.enter(Narwal(self.server, settings={"transforms": transforms, **settings}))

    def logs(self, narwal):
        return {(log.schema, log.name): log for log in narwal.state().logs()}

    def ask(self, sql):
        """Rows of a query under the settings that docs/transforms.md names."""
        with self.server.connect() as connection, connection.cursor() as cursor:
            cursor.execute(oracle.SETTINGS + sql)
            return cursor.fetchall()

    def walsender(self, narwal):
        return self.server.value("SELECT query FROM pg_stat_activity WHERE pid = (SELECT active_pid "
                                 "FROM pg_replication_slots WHERE slot_name = %s)", (narwal.slot,))

    def refused(self, transforms, pattern, **settings):
        """narwal does not start, and says why."""
        narwal = self.narwal(transforms, **settings)
        self.assertNotEqual(narwal.run_to_end(), 0)
        self.assertRegex(narwal.log(), pattern)
        self.assertFalse(narwal.state().logs(), "something was written")
        return narwal

    def rebuilt(self, narwal, name, schema="public"):
        table = next(table for table in narwal.state().folder.tables
                     if (table.schema, table.name) == (schema, name))
        return sorted(table.rebuild(), key=lambda row: str(sorted(row.items())))

    # ---- masks -----------------------------------------------------------------------------------

    def fill_types(self, name, columns):
        generator = random.Random(check.seed())
        casts = ", ".join(f"%s::{values.COLUMNS[column][0]}" for column in columns)
        with self.server.connect() as connection, connection.cursor() as cursor:
            for number in range(ROWS):
                row = [values.COLUMNS[column][1](generator) for column in columns]
                row = [None] * len(columns) if number == 0 else row
                for column, at in (("c_float8", FLOATS), ("c_float4", FLOATS)):
                    if column in columns and 0 < number <= len(at) and \
                            not (column == "c_float4" and at[number - 1] in ("1e23", "5e-324",
                                                                             "2.2250738585072014e-308")):
                        row[columns.index(column)] = at[number - 1]
                cursor.execute(f"INSERT INTO public.{name} VALUES (%s, {casts})", (number, *row))

    def mask_all_types(self, columns, streams="START_REPLICATION", **source):
        definition = ", ".join(f"{column} {values.COLUMNS[column][0]}" for column in columns)
        for name in ("copied", "streamed"):
            self.server.sql(f"CREATE TABLE public.{name} (id integer PRIMARY KEY, {definition})")
            self.server.sql(f"ALTER TABLE public.{name} REPLICA IDENTITY FULL")
        self.fill_types("copied", columns)
        narwal = self.narwal([{"tables": "public.*", "mask_columns": "c_*", "mask": "sha256",
                               "mask_salt": SALT}], source=source)
        narwal.start().wait_streaming()
        # What was recorded while the copy ran came as text; binary comes with a connection of its own.
        narwal.wait(streams, lambda: re.search(streams, self.walsender(narwal) or ""))
        self.fill_types("streamed", columns)
        self.server.sql("DELETE FROM public.streamed WHERE id % 3 = 1")
        narwal.wait_caught_up()
        hashes = ", ".join(f"encode(sha256(convert_to($salt${SALT}$salt$ || {column}::text, "
                           f"'UTF8')), 'hex')" for column in columns)
        expected = {row[0]: dict(zip(columns, row[1:]))
                    for row in self.ask(f"SELECT id, {hashes} FROM public.copied")}
        logs = self.logs(narwal)
        copied = {int(line["after"]["id"]): line["after"] for line in logs["public", "copied"].copy()}
        streamed, deleted = {}, {}
        for line in logs["public", "streamed"].changes():
            if line["op"] == "I":
                streamed[int(line["after"]["id"])] = line["after"]
            elif line["op"] == "D":
                deleted[int(line["before"]["id"])] = line["before"]
        self.assertEqual((len(copied), len(streamed), len(deleted)), (ROWS, ROWS, ROWS // 3))
        for way, rows in (("copy", copied), ("stream", streamed), ("old rows", deleted)):
            for number, row in rows.items():
                for column in columns:
                    self.assertEqual(row[column], expected[number][column],
                                     f"{way}: {column} of row {number}")

    def test_sha256_is_what_sql_makes_of_the_text_in_binary(self):
        self.mask_all_types(BINARY, streams="binary '?(true|on|1)")

    def test_sha256_is_what_sql_makes_of_the_text_in_text(self):
        self.mask_all_types(list(values.COLUMNS))

    def test_fixed_and_first_characters(self):
        for name in ("copied", "streamed"):
            self.server.sql(f"CREATE TABLE public.{name} (id integer PRIMARY KEY, a text, b text, c "
                            "integer, d text)")
        rows = "VALUES (1, 'äöü😀xyz', 'secret', 123456, 'seen'), (2, '', NULL, -7, NULL), " \
               "(3, 'ab', '', NULL, '')"
        self.server.sql(f"INSERT INTO public.copied {rows}")
        narwal = self.narwal([
            {"tables": ["public.*"], "mask_columns": ["a", "c"], "mask": "first", "mask_characters": 4},
            {"tables": ["public.*"], "mask_columns": ["*b*"], "mask": "fixed"}])
        narwal.start().wait_streaming()
        self.server.sql(f"INSERT INTO public.streamed {rows}")
        narwal.wait_caught_up()
        expected = [{"id": 1, "a": "äöü😀", "b": "***", "c": "1234", "d": "seen"},
                    {"id": 2, "a": "", "b": None, "c": "-7", "d": None},
                    {"id": 3, "a": "ab", "b": "***", "c": None, "d": ""}]
        for name in ("copied", "streamed"):
            self.assertCountEqual(self.rebuilt(narwal, name), expected, name)
        schema = next(iter(self.logs(narwal)["public", "copied"].schemas.values()))
        self.assertEqual([(c["name"], c["type"]) for c in schema["columns"]],
                         [("id", "integer"), ("a", "text"), ("b", "text"), ("c", "text"), ("d", "text")])

    def test_salt_is_never_shown(self):
        self.server.sql("CREATE TABLE public.t (id integer PRIMARY KEY, a text)")
        salt = self.server.folder / "salt"
        salt.write_text("Xq7secretsalt\n")
        narwal = self.narwal([{"tables": "public.t", "mask_columns": "a", "mask": "sha256",
                               "mask_salt": f"${{file:{salt}}}"}])
        narwal.start().wait_streaming()
        self.server.sql("INSERT INTO public.t VALUES (1, 'x')")
        narwal.wait_caught_up()
        expected = self.ask("SELECT encode(sha256('Xq7secretsaltx'), 'hex')")[0][0]
        self.assertEqual(self.rebuilt(narwal, "t"), [{"id": 1, "a": expected}])
        said = narwal.log(True) + narwal.call("check")[1] + narwal.call("check", "--config")[1] + \
            narwal.call("status")[1]
        self.assertNotIn("Xq7secretsalt", said)
        self.assertIn("mask_salt: '***'", said)

    # ---- columns, toast, keys --------------------------------------------------------------------

    def test_columns_left_out_and_renamed_with_unchanged_toast_and_key_updates(self):
        for name in ("copied", "streamed"):
            self.server.sql(f"CREATE TABLE public.{name} (hidden text, id integer PRIMARY KEY, wide text,"
                            " masked text, n integer, hidden2 integer[])")
            self.server.sql(f"ALTER TABLE public.{name} ALTER wide SET STORAGE EXTERNAL,"
                            " ALTER masked SET STORAGE EXTERNAL")

        def fill(name):
            self.server.sql(f"INSERT INTO public.{name} SELECT 'h' || i, i, repeat('w' || i, 3000), "
                            "repeat('m' || i, 3000), i, ARRAY[i] FROM generate_series(1, 6) i")

        fill("copied")
        narwal = self.narwal([
            {"tables": "public.*", "exclude_columns": ["hidden*"], "rename_columns": ["n=number"]},
            {"tables": "public.*", "mask_columns": ["masked"], "mask": "sha256", "mask_salt": "s"}])
        narwal.start().wait_streaming()
        fill("streamed")
        for name in ("copied", "streamed"):
            self.server.sql(f"UPDATE public.{name} SET n = -n, hidden = NULL WHERE id < 4")
            self.server.sql(f"UPDATE public.{name} SET id = id + 100 WHERE id = 5")
            self.server.sql(f"UPDATE public.{name} SET masked = NULL WHERE id = 2")
            self.server.sql(f"DELETE FROM public.{name} WHERE id = 6")
        narwal.wait_caught_up()
        rows = [dict(zip(("id", "wide", "masked", "number"), row)) for row in self.ask(
            "SELECT id, wide, encode(sha256(convert_to('s' || masked, 'UTF8')), 'hex'), n "
            "FROM public.copied")]
        for name in ("copied", "streamed"):
            self.assertCountEqual(self.rebuilt(narwal, name), rows, name)
            log = self.logs(narwal)["public", name]
            updates = [row_of(line) for line in log.changes() if line["op"] == "U"]
            self.assertEqual(updates[0], {"id": "1", "wide": "(missing)", "masked": "(missing)",
                                          "number": "-1"})
            for schema in log.schemas.values():
                self.assertEqual([c["name"] for c in schema["columns"]],
                                 ["id", "wide", "masked", "number"])
                self.assertEqual(schema["key"], ["id"])
        # What is left out was not even asked for.
        copies = [line for line in self.server.log.read_text().splitlines() if "COPY (SELECT" in line]
        self.assertIn('COPY (SELECT "id", "wide", "masked", "n" FROM', "".join(copies))
        self.assertNotIn("hidden", "".join(copies))

    def test_identity_full_without_key(self):
        """A table without a key: what is left out does not count for which row it is."""
        for name in ("copied", "streamed"):
            self.server.sql(f"CREATE TABLE public.{name} (a integer, b text, c text)")
            self.server.sql(f"ALTER TABLE public.{name} REPLICA IDENTITY FULL")
        rows = "VALUES (1, 'x', 'one'), (1, 'x', 'two'), (2, NULL, NULL)"
        self.server.sql(f"INSERT INTO public.copied {rows}")
        narwal = self.narwal([{"tables": "public.*", "include_columns": ["a", "b"]}])
        narwal.start().wait_streaming()
        self.server.sql(f"INSERT INTO public.streamed {rows}")
        for name in ("copied", "streamed"):
            self.server.sql(f"UPDATE public.{name} SET b = 'y' WHERE c = 'two'")
            self.server.sql(f"DELETE FROM public.{name} WHERE a = 2")
        narwal.wait_caught_up()
        for name in ("copied", "streamed"):
            self.assertCountEqual(self.rebuilt(narwal, name), [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}])

    # ---- rows ------------------------------------------------------------------------------------

    CONDITIONS = [
        "i > 2", "i <= 2 AND i <> 0", "i IN (1, 5, -3)", "i NOT IN (1, 5)", "i IS NULL",
        "i IS NOT NULL AND t IS NOT NULL", "big >= 9007199254740993", "f < 0.5", "f = 'NaN'",
        "f > 1e300", "r >= 0.1", "n = 1.50", "n > -0.001", "n < 'NaN' AND n > '-Infinity'",
        "d >= 10.005", "t = 'b'", "t > 'B'", "t <> 'ä'", "t = ''", "t IN ('a', 'it''s')", "c = 'x'",
        "flag = true", "flag <> true", "day < '2000-01-01'", "day = 'infinity'",
        "day > '2024-02-29' AND day < 'infinity'", "ts >= '2024-01-01 00:00:00'",
        "ts > '294246-12-31 23:59:59'", "tz < '2024-01-01 05:45:00+05:45'", "tz = '2024-01-01'",
        "clock >= '23:59:59'", "clock = '24:00:00'", "u = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
        "u < 'b0000000-0000-0000-0000-000000000000'", "m = 'ok'", "m NOT IN ('sad', 'ok')",
        "o >= 4294967295", "json IS NOT NULL",
    ]
    FILTER_ROWS = """
        (1, 1, 1, 0.1, 0.1, 1.5, 10.00, 'a', 'x', true, '1999-12-31', '2023-12-31 23:59:59.999999',
         '2023-12-31 23:59:59.999999Z', '23:59:59', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'sad', 1, '{}'),
        (2, 2, 9007199254740992, 0.5, 0.5, 1.500, 10.01, 'b', 'x  ', false, '2000-01-01',
         '2024-01-01', '2024-01-01Z', '24:00:00', 'ffffffff-ffff-ffff-ffff-ffffffffffff', 'ok', 4294967295, NULL),
        (3, 3, 9007199254740993, 'NaN', 'NaN', 'NaN', 'NaN', 'ä', 'ab', NULL, 'infinity', 'infinity',
         'infinity', '00:00:00', NULL, 'ünï', 0, '[]'),
        (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
        (5, 5, -1, 'Infinity', 'Infinity', 'Infinity', -10.00, '', '', true, '-infinity', '-infinity',
         '-infinity', '23:59:59.5', '00000000-0000-0000-0000-000000000000', 'sad', 7, 'null'),
        (6, -3, 0, '-Infinity', -0.0, '-Infinity', 0, 'it''s', 'xx', false, '2024-03-01',
         '294276-12-31 23:59:59', '294276-12-31 23:59:59Z', '12:00', 'b0000000-0000-0000-0000-000000000001',
         'ok', 9, '1'),
        (7, 0, 5, -0.0, 1e-30, 0.0, 0.01, 'B', 'X', true, '0044-03-15 BC', '0044-03-15 BC',
         '0044-03-15 00:00:00Z BC', '00:00:00.000001', 'b0000000-0000-0000-0000-000000000000', 'ok', 10, '2'),
        (8, 100, -9223372036854775807, 1e301, 3e38, -12345678901234567890.5, 99999999.99, 'a ', ' x', false,
         '5874897-12-31', '9999-12-31', '9999-12-31Z', '01:02:03', 'b0000000-0000-0000-0000-0000000000ff',
         'sad', 11, '3')"""

    def filter_tables(self):
        names = []
        for index, _ in enumerate(self.CONDITIONS):
            for name in (f"copied{index}", f"streamed{index}"):
                names.append(name)
                self.server.sql(f"""CREATE TABLE public.{name} (id integer PRIMARY KEY, i integer, big bigint,
                    f double precision, r real, n numeric, d numeric(10,2), t text, c character(4),
                    flag boolean, day date, ts timestamp, tz timestamptz, clock time, u uuid, m lab.mood,
                    o oid, json jsonb)""")
                self.server.sql(f"ALTER TABLE public.{name} REPLICA IDENTITY FULL")
        return names

    def filters(self, **source):
        """Each condition keeps what it keeps as SQL, by copy and by stream."""
        names = self.filter_tables()
        with self.server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SET timezone = 'UTC'")
            for name in names[::2]:
                cursor.execute(f"INSERT INTO public.{name} VALUES {self.FILTER_ROWS}")
        transforms = [{"tables": [f"public.copied{index}", f"public.streamed{index}"], "where": where,
                       "include_columns": ["id"]} for index, where in enumerate(self.CONDITIONS)]
        narwal = self.narwal(transforms, source=source)
        narwal.start().wait_streaming()
        with self.server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SET timezone = 'UTC'")
            for name in names[1::2]:
                cursor.execute(f"INSERT INTO public.{name} VALUES {self.FILTER_ROWS}")
        narwal.wait_caught_up()
        for index, where in enumerate(self.CONDITIONS):
            sql = where.replace("t > 'B'", "t > 'B' COLLATE \"C\"")
            expected = [row[0] for row in self.ask(f"SELECT id FROM public.copied{index} WHERE {sql}")]
            for name in (f"copied{index}", f"streamed{index}"):
                log = self.logs(narwal).get(("public", name))
                lines = [] if log is None else [*log.copy(), *log.changes()]
                found = [int(line["after"]["id"]) for line in lines if line["op"] != "S"]
                self.assertCountEqual(found, expected, f"{name}: {where}")
                for line in lines:
                    self.assertEqual(set(line["after"]), {"id"}, line)

    def test_conditions_keep_what_sql_keeps_in_binary(self):
        self.filters()

    def test_conditions_keep_what_sql_keeps_in_text(self):
        self.filters(values="text")

    def test_updates_that_cross_the_filter_become_inserts_and_deletes(self):
        for name, identity in (("by_key", "DEFAULT"), ("whole", "FULL")):
            self.server.sql(f"CREATE TABLE public.{name} (tenant integer, id integer, t text, wide text, "
                            "PRIMARY KEY (tenant, id))")
            self.server.sql(f"ALTER TABLE public.{name} ALTER wide SET STORAGE EXTERNAL, "
                            f"REPLICA IDENTITY {identity}")
            self.server.sql(f"INSERT INTO public.{name} SELECT i % 2, i, 't' || i, repeat('w', 3000) "
                            "FROM generate_series(1, 8) i")
        narwal = self.narwal([{"tables": "public.*", "where": "tenant = 1", "mask_columns": "t",
                               "mask": "fixed"}])
        narwal.start().wait_streaming()
        for name in ("by_key", "whole"):
            for sql in ("UPDATE public.{0} SET t = 'kept' WHERE id = 1",
                        "UPDATE public.{0} SET t = 'not seen' WHERE id = 2",
                        "UPDATE public.{0} SET tenant = 0 WHERE id = 3",
                        "UPDATE public.{0} SET tenant = 1 WHERE id = 4",
                        "UPDATE public.{0} SET id = 105 WHERE id = 5",
                        "UPDATE public.{0} SET tenant = 7 WHERE id = 6",
                        "DELETE FROM public.{0} WHERE id IN (7, 8)",
                        "INSERT INTO public.{0} VALUES (0, 9, '', ''), (1, 10, '', '')",
                        "UPDATE public.{0} SET t = NULL WHERE id = 10"):
                self.server.sql(sql.format(name))
        narwal.wait_caught_up()
        for name in ("by_key", "whole"):
            log = self.logs(narwal)["public", name]
            ops = [(line["op"], int((line.get("after") or line["before"])["id"]))
                   for line in log.changes() if line["op"] != "S"]
            self.assertEqual(ops, [("U", 1), ("D", 3), ("I", 4), ("U", 105), ("D", 7), ("I", 10),
                                   ("U", 10)], name)
            events = [line for line in log.changes() if line["op"] != "S"]
            self.assertNotIn("after", events[1])
            self.assertNotIn("before", events[2])
            # With a full identity the unchanged value is there, else sinks are told that it is not.
            self.assertEqual(row_of(events[2]), {"tenant": "1", "id": "4", "t": "***", "wide":
                                                 "w" * 3000 if name == "whole" else "(missing)"})
            rows = self.ask(f"SELECT tenant, id FROM public.{name} WHERE tenant = 1")
            self.assertCountEqual([(row["tenant"], row["id"]) for row in self.rebuilt_lenient(narwal, name)],
                                  rows)

    def rebuilt_lenient(self, narwal, name):
        """Rows by key; a value that never came is None."""
        log = self.logs(narwal)["public", name]
        rows = {}
        for line in [*log.copy(), *log.changes()]:
            before, after = line.get("before"), line.get("after")
            if line["op"] in "UD":
                gone = before or after
                rows.pop((gone["tenant"], gone["id"]))
            if line["op"] in "IU":
                rows[after["tenant"], after["id"]] = {"tenant": int(after["tenant"]),
                                                      "id": int(after["id"])}
        return rows.values()

    # ---- names -----------------------------------------------------------------------------------

    def test_tables_renamed_and_routed(self):
        self.server.sql("CREATE SCHEMA crm")
        for name in ("crm.copied", "crm.streamed", "public.copied"):
            self.server.sql(f"CREATE TABLE {name} (id integer PRIMARY KEY, t text)")
        self.server.sql("INSERT INTO crm.copied VALUES (1, 'a')")
        self.server.sql("INSERT INTO public.copied VALUES (3, 'c')")
        narwal = self.narwal([{"tables": "crm.*", "to_schema": "lake", "to_table": "{schema}_{table}"}])
        narwal.start().wait_streaming()
        self.server.sql("INSERT INTO crm.streamed VALUES (2, 'b')")
        self.server.sql("TRUNCATE crm.copied")
        self.server.sql("ALTER TABLE crm.streamed RENAME TO moved")
        self.server.sql("INSERT INTO crm.moved VALUES (4, 'd')")
        narwal.wait_caught_up()
        self.assertEqual(self.rebuilt(narwal, "crm_copied", "lake"), [])
        self.assertEqual(self.rebuilt(narwal, "crm_moved", "lake"),
                         [{"id": 2, "t": "b"}, {"id": 4, "t": "d"}])
        self.assertEqual(self.rebuilt(narwal, "copied"), [{"id": 3, "t": "c"}])

    # ---- what is refused -------------------------------------------------------------------------

    def test_what_cannot_be_done_exactly_is_refused_at_start(self):
        self.server.sql("CREATE TABLE public.t (id integer PRIMARY KEY, a text, b integer, m lab.mood,"
                        " x xml)")
        self.server.sql("CREATE TABLE public.u (id integer PRIMARY KEY, a text)")
        self.server.sql("CREATE UNIQUE INDEX u_a ON public.u (a)")
        self.server.sql("ALTER TABLE public.u ALTER a SET NOT NULL, REPLICA IDENTITY USING INDEX u_a")
        self.server.sql("INSERT INTO public.t VALUES (1, 'a', 2)")
        t, u = {"tables": "public.t"}, {"tables": "public.u"}
        for rule, pattern in (
                ({**t, "exclude_columns": "id"}, "leaves out column id of public.t, which is of the table's key"),
                ({**t, "include_columns": ["a"]}, "leaves out column id of public.t"),
                ({**t, "mask_columns": "id", "mask": "fixed"}, "masks.* column id of public.t"),
                ({**t, "mask_columns": "*", "mask": "first", "mask_characters": 3}, "column id of public.t"),
                ({**u, "exclude_columns": "a"}, "leaves out column a of public.u"),
                ({**t, "where": "a = 'x'"}, "column a of public.t, which is not in the table's replica "
                                            "identity.*REPLICA IDENTITY FULL"),
                ({**t, "where": "nothing = 1"}, "names column nothing, which public.t does not have"),
                ({**t, "where": "id = 'x'"}, "column id .integer. of public.t with 'x'.*a whole number"),
                ({**t, "to_table": "u"}, "sinks would see both public.. and public.. as public.u"),
                ({"tables": ["public.t", "public.u"], "to_table": "one"}, "sinks would see both"),
                ({**t, "rename_columns": "a=b"}, "two columns of public.t the name b")):
            with self.subTest(pattern):
                self.refused([rule], pattern, source={"slot": {"name": "narwal_refused"},
                                                      "publication": {"name": "narwal_refused"}})
        # A hash keeps keys apart.
        narwal = self.narwal([{**t, "mask_columns": ["id"], "mask": "sha256", "mask_salt": "s"}])
        narwal.start().wait_streaming()
        self.server.sql("UPDATE public.t SET id = 2")
        self.server.sql("INSERT INTO public.t VALUES (3)")
        self.server.sql("DELETE FROM public.t WHERE id = 3")
        narwal.wait_caught_up()
        self.assertEqual([row["id"] for row in self.rebuilt(narwal, "t")],
                         [self.ask("SELECT encode(sha256('s2'), 'hex')")[0][0]])

    def test_all_mistakes_of_the_file_are_said_at_once(self):
        narwal = self.narwal([
            {"tables": "public.t", "where": "a = = 1"},
            {"tables": "public.t", "mask_columns": "a", "mask": "sha256"},
            {"tables": "public.t", "mask_columns": "a", "mask": "md5"},
            {"exclude_columns": "a"},
            {"tables": "public.t", "rename_columns": "a"},
            {"tables": "public.t", "exclude": "a"},
            {"tables": "public.t", "to_table": "{tabel}"},
            {"tables": "public.t"}])
        code = narwal.run_to_end()
        self.assertEqual(code, 2)
        for pattern in ("where: a value .* is expected at \"= 1\"", "needs a mask_salt",
                        "mask: \"md5\" is none of: sha256, fixed, first", "tables is missing",
                        "rename_columns: write old=new", "unknown key \"exclude\"",
                        "only .schema. and .table. may stand in braces", "the rule does nothing"):
            self.assertRegex(narwal.log(), rf"narwal.yaml:\d+:\d+: NW\d+ .*{pattern}")

    # ---- changes of the schema -------------------------------------------------------------------

    def test_schema_changes_keep_columns_masked(self):
        self.server.sql("CREATE TABLE public.t (id integer PRIMARY KEY, mail text)")
        self.server.sql("INSERT INTO public.t VALUES (1, 'one')")
        narwal = self.narwal([{"tables": "public.*", "mask_columns": ["*mail*"], "mask": "fixed"},
                              {"tables": "public.*", "exclude_columns": ["secret*"]}])
        narwal.start().wait_streaming()
        for sql in ("ALTER TABLE public.t ADD COLUMN mail2 varchar(20) DEFAULT 'two', ADD n integer",
                    "INSERT INTO public.t VALUES (2, 'x', 'y', 3)",
                    "ALTER TABLE public.t ADD COLUMN secret text",
                    "INSERT INTO public.t VALUES (3, 'x', 'y', 3, 'z')",
                    "ALTER TABLE public.t DROP COLUMN mail",
                    "ALTER TABLE public.t RENAME COLUMN n TO number",
                    "UPDATE public.t SET number = 5, secret = 'q' WHERE id = 3",
                    "CREATE TABLE public.later (id integer PRIMARY KEY)"):
            self.server.sql(sql)
        narwal.wait_caught_up()
        log = self.logs(narwal)["public", "t"]
        last = [line for line in log.changes() if line["op"] != "S"][-1]
        self.assertEqual(row_of(last), {"id": "3", "mail2": "***", "number": "5"})
        text = "".join(str(line) for line in [*log.copy(), *log.changes()])
        for secret in ("'x'", "'y'", "'z'", "'q'", "'two'"):
            self.assertNotIn(secret, text)

    def test_schema_change_that_makes_a_rule_impossible_stops_its_table_rather_than_leaks(self):
        self.server.sql("CREATE TABLE public.other (id integer PRIMARY KEY)")
        for change, pattern in (
                ("ALTER TABLE public.t DROP COLUMN keep", "names column keep, which public.t does not have"),
                ("ALTER TABLE public.t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (secret), "
                 "REPLICA IDENTITY DEFAULT",
                 "leaves out column secret of public.t"),
                ("ALTER TABLE public.t REPLICA IDENTITY DEFAULT", "column keep of public.t, which is not "
                                                                  "in the table's replica identity")):
            with self.subTest(change):
                self.server.sql("DROP TABLE IF EXISTS public.t")
                self.server.sql("CREATE TABLE public.t (id integer PRIMARY KEY, keep integer, "
                                "secret text NOT NULL)")
                self.server.sql("ALTER TABLE public.t REPLICA IDENTITY FULL")
                narwal = self.narwal([{"tables": "public.t", "where": "keep = 1",
                                       "exclude_columns": "secret"}])
                narwal.start().wait_streaming()
                self.server.sql("INSERT INTO public.t VALUES (1, 1, 'xyzzy'), (2, 2, 'zyxxy')")
                narwal.wait_caught_up()
                self.server.sql(change)
                self.server.sql("INSERT INTO public.t (id, secret) VALUES (3, 'third')")
                self.server.sql("INSERT INTO public.other SELECT coalesce(max(id), 0) + 1 FROM public.other")
                narwal.wait_caught_up()
                self.assertRegex(narwal.log(), f"table public.t stopped at .*{pattern}")
                self.assertTrue(self.rebuilt(narwal, "other"))
                lines = [*self.logs(narwal)["public", "t"].changes()]
                self.assertEqual([row_of(line) for line in lines if line["op"] != "S"],
                                 [{"id": "1", "keep": "1"}])
                narwal.kill()

    # ---- the server's own filters ----------------------------------------------------------------

    def publish(self, name, objects):
        self.server.sql(f"CREATE PUBLICATION {name} FOR TABLE {objects} "
                        "WITH (publish_via_partition_root = true)")

    def test_publication_filters_and_lists_hold_for_the_copy_too(self):
        if check.version() < 15:
            self.skipTest("row filters and column lists exist since PostgreSQL 15")
        for name in ("copied", "streamed"):
            self.server.sql(f"CREATE TABLE public.{name} (a integer, id integer, b text, c text, "
                            "PRIMARY KEY (id, a)) PARTITION BY RANGE (id)")
            for low in (0, 10):
                self.server.sql(f"CREATE TABLE public.{name}_{low} PARTITION OF public.{name} "
                                f"FOR VALUES FROM ({low}) TO ({low + 10})")
            self.server.sql(f"CREATE TABLE public.{name}_flat (LIKE public.{name} INCLUDING ALL)")
        rows = "SELECT i % 3, i, 'b' || i, 'c' || i FROM generate_series(0, 19) i"
        for table in ("copied", "copied_flat"):
            self.server.sql(f"INSERT INTO public.{table} {rows}")
        # Two publications: what either publishes is followed.
        tables = [(name, table) for name in ("copied", "streamed") for table in (name, f"{name}_flat")]
        self.publish("p", ", ".join(f"public.{table} (b, id, a) WHERE (a = 1)" for _, table in tables) +
                     ", lab.marker")
        self.publish("p_insert_only", ", ".join(f"public.{table} (b, id, a) WHERE (id > 15)"
                                                for _, table in tables))
        self.server.sql("ALTER PUBLICATION p_insert_only SET (publish = 'insert, truncate')")
        narwal = self.narwal([{"tables": "public.*", "mask_columns": "b", "mask": "first",
                               "mask_characters": 2}],
                             source={"publication": {"name": "p", "create": False}},
                             tables={"include": ["public.*", "lab.marker"]})
        narwal.start().wait_streaming()
        for table in ("streamed", "streamed_flat"):
            self.server.sql(f"INSERT INTO public.{table} {rows}")
        narwal.wait_caught_up()
        expected = [{"a": a, "id": i, "b": b} for a, i, b in self.ask(
            "SELECT a, id, left(b, 2) FROM public.copied WHERE a = 1 OR id > 15")]
        for _, table in tables:
            self.assertCountEqual(self.rebuilt(narwal, table), expected, table)
        for name in self.logs(narwal):
            self.assertNotIn(name[1], ("copied_0", "copied_10", "streamed_0", "streamed_10"))

    def test_partitions_are_meant_by_their_root_too(self):
        """Without publish_via_partition_root each partition is a table of its own, and masked."""
        self.server.sql("CREATE TABLE public.root (id integer PRIMARY KEY, mail text) PARTITION BY RANGE (id)")
        for name, low in (("copied", 0), ("streamed", 10)):
            self.server.sql(f"CREATE TABLE public.{name} PARTITION OF public.root FOR VALUES FROM ({low}) "
                            f"TO ({low + 10})")
        self.server.sql("INSERT INTO public.root VALUES (1, 'secret')")
        self.server.sql("CREATE PUBLICATION p FOR TABLE public.root, lab.marker")
        narwal = self.narwal([{"tables": "public.root", "mask_columns": "mail", "mask": "fixed"}],
                             source={"publication": {"name": "p", "create": False}})
        narwal.start().wait_streaming()
        self.server.sql("INSERT INTO public.root VALUES (11, 'secret')")
        narwal.wait_caught_up()
        self.assertEqual(self.rebuilt(narwal, "copied"), [{"id": 1, "mail": "***"}])
        self.assertEqual(self.rebuilt(narwal, "streamed"), [{"id": 11, "mail": "***"}])

    # ---- the documentation -----------------------------------------------------------------------

    EXAMPLE_TABLES = """
        CREATE SCHEMA crm; CREATE SCHEMA sales;
        CREATE TABLE crm.customers (id integer PRIMARY KEY, email text, phone text, internal_note text);
        CREATE TABLE crm.leads (id integer PRIMARY KEY, n integer, txt text, phone text);
        CREATE TABLE sales.orders (id integer PRIMARY KEY, region text, total numeric(10,2), status text,
            deleted_at timestamptz);
        ALTER TABLE sales.orders REPLICA IDENTITY FULL;
        CREATE TABLE public.users (id integer PRIMARY KEY, password text, secret_pin text, email text,
            phone text, name text, note1 text);
        CREATE TABLE public.events (id integer PRIMARY KEY, kind text, at date, payload text);
        INSERT INTO crm.customers VALUES (1, 'a@b', '12', 'bad payer');
        INSERT INTO crm.leads VALUES (1, 7, 'x', '34');
        INSERT INTO sales.orders VALUES (1, 'EU', 100, 'paid', NULL), (2, 'EU', 99.99, 'paid', NULL),
            (3, 'US', 500, 'paid', NULL), (4, 'UK', 500, 'draft', NULL), (5, 'UK', 500, 'new', now());
        INSERT INTO public.users VALUES (1, 'p', '1234', 'u@v', '56', 'Zoe', 'n');
        INSERT INTO public.events VALUES (1, 'login', '2024-01-01', 'long');
    """

    def examples(self):
        """What the blocks of docs/transforms.md make of these tables, block by block."""
        def sha(text):
            return self.ask(f"SELECT encode(sha256('pepper{text}'), 'hex')")[0][0]
        return [
            {"lake.crm_customers": [{"id": 1, "email": sha("a@b"), "phone": sha("12")}],
             "lake.crm_leads": [{"id": 1, "n": 7, "txt": "x", "phone": sha("34")}],
             "sales.orders": [1, 4, 5]},
            {"public.users": [{"id": 1, "email": "u@v", "phone": "56", "name": "Zoe", "note1": "n"}],
             "public.events": [{"id": 1, "kind": "login", "at": "2024-01-01"}]},
            {"public.users": [{"id": 1, "password": "p", "secret_pin": "1234", "email": sha("u@v"),
                               "phone": sha("56"), "name": "Z", "note1": "(hidden)"}]},
            {"sales.orders": [1]},
            {"lake.crm_customers": [{"id": 1, "email": "a@b", "phone": "12",
                                     "internal_note": "bad payer"}],
             "lake.crm_leads": [{"id": 1, "number": 7, "text": "x", "phone": "34"}]}]

    def test_examples_of_the_documentation(self):
        root = pathlib.Path(__file__).resolve().parents[2]
        blocks = re.findall(r"```yaml\n(.*?)```", (root / "docs/transforms.md").read_text(), re.S)
        salt = self.server.folder / "salt"
        salt.write_text("pepper\n")
        self.server.sql(self.EXAMPLE_TABLES)
        expected = self.examples()
        self.assertEqual(len(blocks), len(expected))
        for block, tables in zip(blocks, expected):
            block = block.replace("/etc/narwal/salt", str(salt))
            narwal = self.narwal([], source={"snapshot": "only"})
            del narwal.config["transforms"]
            narwal.write = lambda narwal=narwal, block=block: narwal.file.write_text(
                "".join(f"{key}: {json.dumps(value)}\n" for key, value in narwal.config.items()) +
                ("" if block.startswith("transforms:") else "transforms:\n") + block)
            with self.subTest(block), unittest.mock.patch.dict(os.environ, NARWAL_SALT="pepper"):
                narwal.write()
                code, text = narwal.call("check")
                self.assertNotIn("NW1226", text)
                self.assertNotIn("NW1318", text)
                self.assertEqual(narwal.run_to_end(), 0, narwal.log_tail())
                for name, rows in tables.items():
                    found = self.rebuilt(narwal, *reversed(name.split(".")))
                    if isinstance(rows[0], int):
                        found = [row["id"] for row in found]
                    self.assertCountEqual(found, rows, name)

    # ---- check -----------------------------------------------------------------------------------

    def test_check_says_what_each_rule_does(self):
        self.server.sql("CREATE TABLE public.t (id integer PRIMARY KEY, mail text, phone text)")
        narwal = self.narwal([
            {"tables": "public.*", "mask_columns": ["mail", "fax"], "mask": "sha256", "mask_salt": "s"},
            {"tables": "public.t", "exclude_columns": "phone", "where": "id > 5", "to_table": "people"},
            {"tables": "private.*", "exclude_columns": "a"}])
        narwal.write()
        code, text = narwal.call("check", "--verbose")
        self.assertEqual(code, 0, text)
        for line in (r"transforms\[1\] .*narwal.yaml:\d+.: public.t: masks mail \(sha256\)",
                     r"transforms\[2\] .*: public.t: leaves out phone; keeps rows where id > 5; is seen "
                     r"as public.people",
                     r"NW1318 .*transforms\[1\] .*mask_columns \"fax\" matches no column of its tables",
                     r"NW1318 .*transforms\[3\] .* matches no table"):
            self.assertRegex(text, line)
        narwal.config["transforms"] = [{"tables": "public.t", "exclude_columns": "id"}]
        narwal.write()
        code, text = narwal.call("check")
        self.assertEqual(code, 1, text)
        self.assertRegex(text, "NW1226 .*leaves out column id of public.t")


if __name__ == "__main__":
    check.main()
