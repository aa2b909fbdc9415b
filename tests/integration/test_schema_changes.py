#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every kind of DDL, mixed with rows: each row has its version, each version its columns' numbers.

Every scenario has tables of its own and all run beside each other, before one comparison: the
tables that are rebuilt from the files are the server's, row by row, and the attnums of the last
version are those of pg_attribute.
"""
import re
import decimal
import json
import threading
import time

from lab import check, workload
from lab.narwal import Narwal

T = "CREATE TABLE lab.{0} (id int PRIMARY KEY, note text, n int); " \
    "INSERT INTO lab.{0} SELECT g, 'copied ' || g, g FROM generate_series(1, 20) g"


class Scenario:
    """create: before narwal starts. steps: a list is one transaction. final: names of the tables
    that are compared; versions: the columns that the versions of the first one had, in order."""

    def __init__(self, create, steps, final=None, versions=None, least=14):
        self.create, self.steps, self.final = create, steps, final
        self.versions, self.least = versions, least


def insert(table, values, count=3):
    return f"INSERT INTO {table} SELECT {values} FROM generate_series(101, {100 + count}) g"


SCENARIOS = {
    "added": Scenario(T, [
        "UPDATE lab.{0} SET n = 0 WHERE id = 1",
        "ALTER TABLE lab.{0} ADD x int", "INSERT INTO lab.{0} VALUES (101, 'x', 1, 2)",
        ["ALTER TABLE lab.{0} ADD y text", "ALTER TABLE lab.{0} ADD z bool",
         "INSERT INTO lab.{0} VALUES (102, 'y', 1, 2, 'y', true)"],
        "UPDATE lab.{0} SET x = id, y = note"],
        versions=["id note n", "id note n x", "id note n x y z"]),
    "added_with_default": Scenario(T, [
        "ALTER TABLE lab.{0} ADD d int NOT NULL DEFAULT 7, ADD e text DEFAULT 'old''s'",
        "INSERT INTO lab.{0} VALUES (101, 'x', 1), (102, 'x', 1)",
        "INSERT INTO lab.{0} VALUES (104, 'x', 1, 8, 'new')",
        "ALTER TABLE lab.{0} ALTER d SET DEFAULT 9", "INSERT INTO lab.{0} VALUES (103, 'x', 1)",
        "UPDATE lab.{0} SET n = -n"]),
    "dropped": Scenario(T, [
        "ALTER TABLE lab.{0} DROP note", insert("lab.{0}", "g, g"), "UPDATE lab.{0} SET n = n + 1"],
        versions=["id note n", "id n"]),
    "renamed": Scenario(T, [
        "UPDATE lab.{0} SET n = 0 WHERE id = 1", "ALTER TABLE lab.{0} RENAME note TO remark",
        insert("lab.{0}", "g, 'r', g"), "ALTER TABLE lab.{0} RENAME n TO number",
        "UPDATE lab.{0} SET number = number + 1"],
        versions=["id note n", "id remark n", "id remark number"]),
    "swapped": Scenario(T, [[
        "ALTER TABLE lab.{0} ADD m int", insert("lab.{0}", "g, 'm', 1, 2"),
        "ALTER TABLE lab.{0} RENAME n TO o", "ALTER TABLE lab.{0} RENAME m TO n",
        "ALTER TABLE lab.{0} RENAME o TO m", "UPDATE lab.{0} SET n = 5 WHERE id < 5"]]),
    # The same name and type again, with rows in between, and without: the last two look alike.
    "again": Scenario(T, [
        "ALTER TABLE lab.{0} DROP note", insert("lab.{0}", "g, 1"),
        "ALTER TABLE lab.{0} ADD note text", "UPDATE lab.{0} SET note = 'new' WHERE id < 10"],
        versions=["id note n", "id n", "id n note"]),
    "again_at_once": Scenario(T, [
        "UPDATE lab.{0} SET n = 0 WHERE id = 1",
        ["ALTER TABLE lab.{0} DROP n", "ALTER TABLE lab.{0} ADD n int"],
        "UPDATE lab.{0} SET note = 'after' WHERE id < 5",
        "UPDATE lab.{0} SET n = 77 WHERE id = 2"],
        versions=["id note n", "id note n"]),
    "retyped": Scenario(T, [
        "ALTER TABLE lab.{0} ALTER n TYPE bigint", insert("lab.{0}", "g, 't', 5000000000"),
        "ALTER TABLE lab.{0} ALTER n TYPE text", insert("lab.{0}", "g + 10, 't', 'five'"),
        "ALTER TABLE lab.{0} ALTER note TYPE varchar(100)", insert("lab.{0}", "g + 20, 'v', '5'")]),
    "remodified": Scenario(
        "CREATE TABLE lab.{0} (id int PRIMARY KEY, v varchar(10), d numeric(5, 2)); "
        "INSERT INTO lab.{0} VALUES (1, 'v', 1.25)", [
            "ALTER TABLE lab.{0} ALTER v TYPE varchar(20)", insert("lab.{0}", "g, 'fifteen letters', 1"),
            "ALTER TABLE lab.{0} ALTER d TYPE numeric(8, 2)", insert("lab.{0}", "g + 10, 'd', 123456.78"),
            "ALTER TABLE lab.{0} ALTER d TYPE numeric(12, 4)", insert("lab.{0}", "g + 20, 'd', 1.2345")]),
    "not_null": Scenario(T, [
        "UPDATE lab.{0} SET n = 0 WHERE id = 1", "ALTER TABLE lab.{0} ALTER note SET NOT NULL",
        insert("lab.{0}", "g, 'r', g"), "ALTER TABLE lab.{0} ALTER note DROP NOT NULL",
        insert("lab.{0}", "g + 10, NULL, g")]),
    "other_key": Scenario(T, [
        "ALTER TABLE lab.{0} ADD k int", "UPDATE lab.{0} SET k = id * 1000",
        ["ALTER TABLE lab.{0} DROP CONSTRAINT {0}_pkey", "ALTER TABLE lab.{0} ADD PRIMARY KEY (k)"],
        "UPDATE lab.{0} SET id = 0 WHERE k < 5000", "UPDATE lab.{0} SET k = k + 1 WHERE k > 15000",
        "DELETE FROM lab.{0} WHERE k = 7000"]),
    "identities": Scenario(T, [
        "UPDATE lab.{0} SET n = 0 WHERE id = 1", "ALTER TABLE lab.{0} REPLICA IDENTITY FULL",
        "UPDATE lab.{0} SET n = 1 WHERE id = 2", "DELETE FROM lab.{0} WHERE id = 3",
        "UPDATE lab.{0} SET note = id::text",
        ["ALTER TABLE lab.{0} ALTER note SET NOT NULL", "CREATE UNIQUE INDEX {0}_note ON lab.{0} (note)",
         "ALTER TABLE lab.{0} REPLICA IDENTITY USING INDEX {0}_note"],
        "UPDATE lab.{0} SET note = 'changed ' || note WHERE id < 9", "DELETE FROM lab.{0} WHERE id = 10",
        ["ALTER TABLE lab.{0} REPLICA IDENTITY DEFAULT", "DROP INDEX lab.{0}_note"],
        "UPDATE lab.{0} SET n = 9 WHERE id > 12", "DELETE FROM lab.{0} WHERE id = 12"]),
    "moved": Scenario(T, [
        "ALTER TABLE lab.{0} RENAME TO {0}_new", insert("lab.{0}_new", "g, 'a', g"),
        "ALTER TABLE lab.{0}_new SET SCHEMA elsewhere", insert("elsewhere.{0}_new", "g + 10, 'b', g"),
        "ALTER SCHEMA elsewhere RENAME TO somewhere", insert("somewhere.{0}_new", "g + 20, 'c', g"),
        "ALTER SCHEMA somewhere RENAME TO elsewhere", insert("elsewhere.{0}_new", "g + 30, 'd', g")],
        final=["elsewhere.{0}_new"]),
    "made_anew": Scenario(T, [
        ["ALTER TABLE lab.{0} RENAME TO {0}_old", insert("lab.{0}_old", "g, 'old', g"),
         "CREATE TABLE lab.{0} (id int PRIMARY KEY, other date)",
         "INSERT INTO lab.{0} VALUES (1, '2024-02-29')",
         insert("lab.{0}_old", "g + 10, 'old', g")]], final=["lab.{0}_old"]),
    # The same rows in other places: the stream has nothing of it, and later changes find their rows.
    "rewritten": Scenario(T, [
        "UPDATE lab.{0} SET n = 0 WHERE id % 2 = 0", "DELETE FROM lab.{0} WHERE id = 3",
        "VACUUM FULL lab.{0}", "UPDATE lab.{0} SET note = 'after' WHERE id < 5",
        "CLUSTER lab.{0} USING {0}_pkey", insert("lab.{0}", "g, 'clustered', g"),
        "UPDATE lab.{0} SET n = -n"], versions=["id note n"]),
    # A parent's rows are its own: a statement over both changes each table's.
    "inherited": Scenario(
        T + "; CREATE TABLE lab.{0}_child (extra text, PRIMARY KEY (id)) INHERITS (lab.{0}); "
        "INSERT INTO lab.{0}_child SELECT g, 'child', g, 'e' FROM generate_series(1, 10) g", [
            insert("lab.{0}", "g, 'parent', g"), insert("lab.{0}_child", "g, 'child', g, 'f'"),
            "UPDATE lab.{0} SET n = n + 1000 WHERE id < 8", "UPDATE ONLY lab.{0} SET n = 5 WHERE id = 9",
            "DELETE FROM lab.{0} WHERE id = 2", "ALTER TABLE lab.{0} ADD more int DEFAULT 4",
            "UPDATE lab.{0} SET more = id WHERE id > 5", "ALTER TABLE lab.{0}_child NO INHERIT lab.{0}",
            "UPDATE lab.{0} SET note = 'parent alone'", insert("lab.{0}_child", "g + 10, 'c', g, 'f', 9"),
            "ALTER TABLE lab.{0} DROP COLUMN more", insert("lab.{0}", "g + 10, 'p', 1"),
            "TRUNCATE ONLY lab.{0}_child", insert("lab.{0}_child", "g, 'again', g, 'f', 9")],
        final=["lab.{0}", "lab.{0}_child"]),
    "mixed": Scenario(T, [[
        insert("lab.{0}", "g, 'before', 0"), "ALTER TABLE lab.{0} ADD x int DEFAULT 3",
        "UPDATE lab.{0} SET x = id WHERE id > 10", "ALTER TABLE lab.{0} DROP note",
        insert("lab.{0}", "g + 10, 1, 2"), "ALTER TABLE lab.{0} RENAME x TO y",
        "ALTER TABLE lab.{0} ADD z text", insert("lab.{0}", "g + 20, 1, 2, 'z'", 500),
        "ALTER TABLE lab.{0} DROP z", "DELETE FROM lab.{0} WHERE id = 2"]]),
    "undone": Scenario(T, [
        ["SAVEPOINT a", "ALTER TABLE lab.{0} ADD x int", insert("lab.{0}", "g, 'gone', 0, 1", 500),
         "ROLLBACK TO a", insert("lab.{0}", "g, 'kept', 0", 500), "SAVEPOINT b",
         "ALTER TABLE lab.{0} DROP note", insert("lab.{0}", "g + 1000, 1", 500), "ROLLBACK TO b",
         "ALTER TABLE lab.{0} RENAME note TO remark", insert("lab.{0}", "g + 2000, 'kept', 0", 500)],
        ["ALTER TABLE lab.{0} DROP n", "UPDATE lab.{0} SET remark = 'never'", "ROLLBACK"],
        "UPDATE lab.{0} SET n = 1"],
        versions=["id note n", "id remark n"]),
    "enumerated": Scenario(
        "CREATE TYPE lab.{0}_type AS ENUM ('one', 'two'); "
        "CREATE TABLE lab.{0} (id int PRIMARY KEY, e lab.{0}_type); INSERT INTO lab.{0} VALUES (1, 'one')", [
            "INSERT INTO lab.{0} VALUES (2, 'two')", "ALTER TYPE lab.{0}_type ADD VALUE 'between' BEFORE 'two'",
            "INSERT INTO lab.{0} VALUES (3, 'between')", "ALTER TYPE lab.{0}_type RENAME VALUE 'one' TO 'first'",
            "INSERT INTO lab.{0} VALUES (4, 'first')"], final=[]),
    "generated": Scenario(
        "CREATE TABLE lab.{0} (id int PRIMARY KEY, n int, g int GENERATED ALWAYS AS (n * 2) STORED); "
        "INSERT INTO lab.{0} (id, n) VALUES (1, 5)", [
            "INSERT INTO lab.{0} (id, n) VALUES (2, 6)",
            "ALTER TABLE lab.{0} ADD h int GENERATED ALWAYS AS (n * 3) STORED, ADD m int",
            "INSERT INTO lab.{0} (id, n, m) VALUES (3, 7, 1)", "UPDATE lab.{0} SET n = n + 1"],
        versions=["id n", "id n m"]),
    "divided": Scenario(
        "CREATE TABLE lab.{0} (id int, at int, note text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at); "
        "CREATE TABLE lab.{0}_1 PARTITION OF lab.{0} FOR VALUES FROM (0) TO (10); "
        "INSERT INTO lab.{0} SELECT g, g % 10, 'copied' FROM generate_series(1, 30) g", [
            "CREATE TABLE lab.{0}_2 PARTITION OF lab.{0} FOR VALUES FROM (10) TO (20)",
            "INSERT INTO lab.{0} VALUES (101, 11, 'second')",
            # One whose columns have another order and other numbers; at once, for narwal looks for tables of their own.
            ["CREATE TABLE lab.{0}_3 (gone int, note text, id int NOT NULL, at int NOT NULL)",
             "ALTER TABLE lab.{0}_3 DROP gone",
             "ALTER TABLE lab.{0} ATTACH PARTITION lab.{0}_3 FOR VALUES FROM (20) TO (30)"],
            "INSERT INTO lab.{0} VALUES (102, 21, 'third')", "ALTER TABLE lab.{0} ADD x int",
            "INSERT INTO lab.{0} VALUES (103, 1, 'first', 1), (104, 12, 'second', 2), (105, 22, 'third', 3)",
            "UPDATE lab.{0} SET at = 25, x = 9 WHERE id = 103"],
        versions=["id at note", "id at note x"]),
}


class SchemaChangesTest(check.Case):
    def run_step(self, step, name):
        if isinstance(step, str):
            self.server.sql(step.format(name))
            return
        session = self.server.connect(autocommit=False)
        with session.cursor() as cursor:
            for statement in step:
                cursor.execute(statement.format(name))
        session.commit()
        session.close()

    def tables(self, narwal):
        return {(table.schema, table.name): table for table in narwal.state().folder.tables}

    def numbers(self, schema, name):
        return dict(self.server.sql(
            "SELECT attname, attnum FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 "
            "AND NOT attisdropped AND attgenerated = ''", (f'"{schema}"."{name}"',)))

    def rows_fit_their_versions(self, table):
        """Every line has exactly the columns of the version that it names."""
        schemas = table.schemas()
        for line in table.rows():
            columns = {column["name"] for column in schemas[line["schema"]]["columns"]}
            for side in ("before", "after"):
                if side in line:
                    given = set(line[side]) | set(line.get(f"{side}_missing", ()))
                    self.assertEqual(given, columns, (table.name, line))

    def rows_are_the_servers(self, log, schema, name):
        """Row by row, as text; numbers by value, since their scale may have changed under old rows."""
        def plain(value):
            if value is None or isinstance(value, bool):
                return value if value is None else str(value).lower()
            try:
                return decimal.Decimal(value)
            except decimal.InvalidOperation:
                return value

        columns = [column["name"] for column in list(log.schemas().values())[-1]["columns"]]
        texts = ", ".join(f'"{column}"::text' for column in columns)
        # A parent has its own rows; a partitioned table those of its partitions.
        kind = self.server.value(f"""SELECT relkind FROM pg_class WHERE oid = '"{schema}"."{name}"'::regclass""")
        there = self.server.sql(f'SELECT {texts} FROM {"ONLY" if kind == "r" else ""} "{schema}"."{name}"')
        here = log.rebuild(default=lambda sql: self.server.value(f"SELECT ({sql})::text"))
        self.assertEqual(
            sorted((tuple(map(plain, (row[column] for column in columns))) for row in here), key=repr),
            sorted((tuple(map(plain, row)) for row in there), key=repr), name)

    def check_scenario(self, narwal, name, scenario):
        finals = scenario.final if scenario.final is not None else ["lab.{0}"]
        found = self.tables(narwal)
        for final in finals:
            schema, _, table = final.format(name).partition(".")
            with self.subTest(scenario=name, table=table):
                self.assertIn((schema, table), found)
                log = found[schema, table]
                self.rows_fit_their_versions(log)
                self.rows_are_the_servers(log, schema, table)
                schemas = [log.schemas()[number] for number in sorted(log.schemas())]
                self.assertEqual({column["name"]: column["attnum"] for column in schemas[-1]["columns"]},
                                 self.numbers(schema, table))
                if scenario.versions:
                    said = []
                    for version in schemas:
                        columns = " ".join(column["name"] for column in version["columns"])
                        if not said or said[-1] != columns or len(scenario.versions) > len(set(scenario.versions)):
                            said.append(columns)
                    self.assertEqual(said, scenario.versions)

    def run_matrix(self, suffix, settings, trigger=False):
        workload.create_tables(self.server.connect())
        self.server.sql("CREATE SCHEMA elsewhere")
        narwal = self.enter(Narwal(self.server, settings=settings))
        scenarios = {name + suffix: one for name, one in SCENARIOS.items() if check.version() >= one.least}
        for name, scenario in scenarios.items():
            self.server.sql(scenario.create.format(name))
        narwal.start().wait_streaming()
        if trigger:
            code, text = narwal.call("ddl-trigger", "install")
            self.assertEqual(code, 0, text)
        for place in range(max(len(scenario.steps) for scenario in scenarios.values())):
            for name, scenario in scenarios.items():
                if place < len(scenario.steps):
                    self.run_step(scenario.steps[place], name)
        narwal.wait_caught_up()
        for name, scenario in scenarios.items():
            self.check_scenario(narwal, name, scenario)
        self.check_enumerated(narwal, "enumerated" + suffix, trigger)
        # What was made last may still be copied.
        narwal.wait("nothing to wait for", lambda: '"stopped_tables":[]' in narwal.call("status", "--json")[1].replace(" ", ""))
        return narwal

    def check_enumerated(self, narwal, name, trigger):
        """Labels are text; the list of them is known at once by the trigger, else with the next version."""
        table = self.tables(narwal)["lab", name]
        self.assertEqual({row["id"]: row["e"] for row in table.rebuild()},
                         {1: "one", 2: "two", 3: "between", 4: "first"})
        labels = [schema["columns"][1]["enum"] for schema in table.schemas().values()]
        self.assertEqual(labels[0], ["one", "two"])
        if trigger:
            self.assertEqual(labels[-1], ["first", "between", "two"])

    def setUp(self):
        self.server = self.cluster()

    def test_binary_and_streamed(self):
        self.run_matrix("", {})

    def test_text_and_not_streamed_with_the_trigger(self):
        narwal = self.run_matrix("_t", {"source": {"streaming": False, "values": "text"}}, trigger=True)
        for table in narwal.state().folder.tables:
            last = list(table.schemas().values())[-1]
            if len(table.schemas()) > 1 and table.name not in ("marker", "identities_t"):
                for column in last["columns"]:
                    self.assertIn("attnum", column["exact"], (table.name, column))
        self.assertEqual(narwal.call("ddl-trigger", "remove")[0], 0)
        self.assertEqual(self.server.value("SELECT count(*) FROM pg_event_trigger"), 0)
        self.assertEqual(narwal.state().messages(), [])

    def test_the_trigger_never_makes_a_command_fail(self):
        workload.create_tables(self.server.connect())
        narwal = self.enter(Narwal(self.server))
        narwal.start().wait_streaming()
        code, text = narwal.call("ddl-trigger", "install", "--sql")
        self.assertEqual(code, 0, text)
        self.server.sql(text)
        code, text = narwal.call("check")
        self.assertIn("the DDL trigger is installed", text)
        self.server.sql("CREATE ROLE plain LOGIN; GRANT CREATE ON DATABASE postgres TO plain")
        session = self.server.connect(user="plain")
        with session.cursor() as cursor:
            cursor.execute("CREATE SCHEMA mine; CREATE TABLE mine.t (a int); ALTER TABLE mine.t ADD b text")
            # Names in front of ours do not matter.
            cursor.execute("CREATE FUNCTION mine.pg_logical_emit_message(bool, text, text) RETURNS pg_lsn "
                           "LANGUAGE sql AS 'SELECT 1 / 0; SELECT NULL::pg_lsn'")
            cursor.execute("SET search_path = mine; ALTER TABLE mine.t ADD c text")
        self.server.sql("ALTER EVENT TRIGGER narwal_ddl_end DISABLE")
        self.server.sql("CREATE OR REPLACE FUNCTION narwal.note_ddl() RETURNS event_trigger LANGUAGE plpgsql "
                        "AS $$ BEGIN PERFORM 1 / 0; EXCEPTION WHEN OTHERS THEN RAISE WARNING 'x'; END $$")
        self.server.sql("ALTER EVENT TRIGGER narwal_ddl_end ENABLE")
        with session.cursor() as cursor:
            cursor.execute("ALTER TABLE mine.t ADD d text")
        session.close()
        # Somebody else's messages under our prefix do no harm.
        for content in ("", "{", '{"v": 1}', "[]"):
            self.server.sql("SELECT pg_logical_emit_message(true, 'narwal.ddl', %s)", (content,))
        narwal.wait_caught_up()
        self.assertRegex(narwal.log(), "NW2113 .*the event trigger's note")

    def test_changed_while_narwal_was_down(self):
        workload.create_tables(self.server.connect())
        narwal = self.enter(Narwal(self.server))
        for name in ("added", "dropped", "renamed", "retyped", "gone"):
            self.server.sql(T.format(name))
        narwal.start().wait_streaming().wait_caught_up()
        self.assertEqual(narwal.terminate(), 0)
        for name in ("added", "dropped", "renamed", "retyped", "gone"):
            self.server.sql(f"UPDATE lab.{name} SET n = n + 1 WHERE id < 5")
        self.server.sql("ALTER TABLE lab.added ADD x int DEFAULT 3")
        self.server.sql("ALTER TABLE lab.dropped DROP n")
        self.server.sql("ALTER TABLE lab.renamed RENAME n TO number")
        self.server.sql("ALTER TABLE lab.retyped ALTER n TYPE text")
        self.server.sql("DROP TABLE lab.gone")
        for name in ("added", "dropped", "renamed", "retyped"):
            self.server.sql(f"UPDATE lab.{name} SET note = 'after' WHERE id > 15")
        narwal.start().wait_caught_up()
        names = ("added", "dropped", "renamed", "retyped")
        for name in names:
            self.check_scenario(narwal, name, Scenario(T, []))
        self.assertEqual(len(self.tables(narwal)["lab", "gone"].rebuild()), 20)

    def test_a_change_that_others_do_not_see_yet(self):
        """A commit is in the stream before it is in the catalog, for long where it waits for a standby."""
        workload.create_tables(self.server.connect())
        self.server.sql("CREATE TYPE lab.unseen_mood AS ENUM ('sad'); CREATE DOMAIN lab.unseen_moods AS lab.unseen_mood[]; "
                        "CREATE TABLE lab.unseen (id int PRIMARY KEY, b text, c lab.unseen_moods); "
                        "INSERT INTO lab.unseen VALUES (1, 'b', '{sad}')")
        narwal = self.enter(Narwal(self.server))
        narwal.start().wait_streaming().wait_caught_up()
        self.server.sql("INSERT INTO lab.unseen VALUES (2, 'b', '{sad}')")
        self.server.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        self.server.sql("SELECT pg_reload_conf()")
        statement = "ALTER TABLE lab.unseen DROP b, ADD d lab.unseen_moods; INSERT INTO lab.unseen VALUES (3, '{sad}', '{}')"
        writer = threading.Thread(target=self.server.sql, args=(statement,))
        writer.start()
        time.sleep(3)
        self.server.sql("ALTER SYSTEM RESET synchronous_standby_names")
        self.server.sql("SELECT pg_reload_conf()")
        writer.join()
        narwal.wait_caught_up()
        self.assertNotIn("NW2114", narwal.log(whole=True))
        versions = list(self.tables(narwal)["lab", "unseen"].schemas().values())
        self.assertEqual([[(column["name"], column["attnum"]) for column in version["columns"]] for version in versions],
                         [[("id", 1), ("b", 2), ("c", 3)], [("id", 1), ("c", 3), ("d", 4)]])
        self.assertEqual([column["type"] for column in versions[1]["columns"]], ["integer", "lab.unseen_moods", "lab.unseen_moods"])
        self.check_scenario(narwal, "unseen", Scenario(T, []))

    def test_narwal_is_the_synchronous_standby(self):
        """Its commit waits for narwal, which must not wait for the catalog to show it."""
        workload.create_tables(self.server.connect())
        self.server.sql("CREATE TABLE lab.synced (id int PRIMARY KEY, b text); CREATE TABLE lab.unmet (id int PRIMARY KEY)")
        narwal = self.enter(Narwal(self.server))
        narwal.start().wait_streaming().wait_caught_up()
        self.server.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.server.sql("SELECT pg_reload_conf()")
        try:
            took = []
            for statement in ("INSERT INTO lab.synced VALUES (1, 'b')", "INSERT INTO lab.unmet VALUES (1)",
                              "ALTER TABLE lab.synced DROP b, ADD c int; INSERT INTO lab.synced VALUES (2, 2)"):
                began = time.monotonic()
                writer = threading.Thread(target=self.server.sql, args=(statement,), daemon=True)
                writer.start()
                writer.join(25)
                self.assertFalse(writer.is_alive(), statement)
                took.append(time.monotonic() - began)
        finally:
            self.server.sql("ALTER SYSTEM RESET synchronous_standby_names")
            self.server.sql("SELECT pg_reload_conf()")
        narwal.wait_caught_up()
        self.assertLess(max(took[:2]), 5)
        self.assertGreater(took[2], 9)
        self.assertEqual(narwal.log(whole=True).count("NW2114"), 1)
        self.assertEqual(narwal.log(whole=True).count("connection lost"), 0)
        version = list(self.tables(narwal)["lab", "synced"].schemas().values())[-1]
        self.assertEqual([(column["name"], column["attnum"]) for column in version["columns"]], [("id", 1), ("c", 3)])
        for name in ("synced", "unmet"):
            self.check_scenario(narwal, name, Scenario(T, []))

    def test_the_publication_is_dropped_and_made_anew(self):
        workload.create_tables(self.server.connect())
        narwal = self.enter(Narwal(self.server))
        self.server.sql(T.format("published"))
        narwal.start().wait_streaming().wait_caught_up()
        publication = narwal.slot
        self.server.sql(f"DROP PUBLICATION {publication}")
        self.server.sql("UPDATE lab.published SET n = 1")
        self.server.sql(f"CREATE PUBLICATION {publication} FOR ALL TABLES WITH (publish_via_partition_root)")
        self.server.sql("UPDATE lab.published SET n = 2")
        if check.version() >= 18:  # the server passes over a publication that is not there
            narwal.wait("the look at the catalog", lambda: re.search(
                r"lab\.published stopped.*entry in the publication was changed", narwal.log()))
            return
        self.assertNotEqual(narwal.wait_exit(), 0)
        self.assertRegex(narwal.log(), "NW2325 .*publication.*drop the slot, make both anew")

    def test_a_column_list_changes_inside_a_streamed_transaction(self):
        """The server takes the list as of its own place; narwal stops the table, since rows of the
        time between may lack columns that they had."""
        if check.version() < 15:
            self.skipTest("column lists are new in 15")
        workload.create_tables(self.server.connect())
        self.server.sql("CREATE TABLE lab.listed (id int PRIMARY KEY, a text, b text); "
                        "INSERT INTO lab.listed SELECT g, 'a', 'b' FROM generate_series(1, 10) g; "
                        "CREATE PUBLICATION mine FOR TABLE lab.marker, lab.listed (id, a)")
        narwal = self.enter(Narwal(self.server, settings={
            "source": {"publication": {"name": "mine", "create": False}}}))
        narwal.start().wait_streaming().wait_caught_up()
        session = self.server.connect(autocommit=False)
        with session.cursor() as cursor:
            cursor.execute(insert("lab.listed", "g, 'a', 'b'", 2000))
            self.server.sql("ALTER PUBLICATION mine SET TABLE lab.marker, lab.listed (id, a, b)")
            cursor.execute(insert("lab.listed", "g + 10000, 'a', 'b'", 2000))
        session.commit()
        session.close()
        narwal.wait_caught_up()
        table = self.tables(narwal)["lab", "listed"]
        self.rows_fit_their_versions(table)
        self.assertEqual(len(table.rebuild()), 4010)

        def stopped():
            return json.loads(narwal.call("status", "--json")[1])["stopped_tables"]

        narwal.wait("the look", stopped, 30)
        self.assertEqual([(one["table"], one["state"]) for one in stopped()], [("lab.listed", "stopped")])

    def test_published_generated_columns(self):
        if check.version() < 18:
            self.skipTest("generated columns are published from 18 on")
        workload.create_tables(self.server.connect())
        self.server.sql("CREATE TABLE lab.made (id int PRIMARY KEY, n int, g int GENERATED ALWAYS AS (n * 2) STORED, "
                        "v int GENERATED ALWAYS AS (n * 3) VIRTUAL); INSERT INTO lab.made (id, n) VALUES (1, 5); "
                        "CREATE PUBLICATION mine FOR TABLE lab.marker, lab.made "
                        "WITH (publish_generated_columns = stored)")
        narwal = self.enter(Narwal(self.server, settings={
            "source": {"publication": {"name": "mine", "create": False}}}))
        narwal.start().wait_streaming()
        self.server.sql("INSERT INTO lab.made (id, n) VALUES (2, 6)")
        self.server.sql("ALTER TABLE lab.made ADD h int GENERATED ALWAYS AS (n * 4) STORED")
        self.server.sql("INSERT INTO lab.made (id, n) VALUES (3, 7)")
        self.server.sql("UPDATE lab.made SET n = n + 1 WHERE id = 1")
        narwal.wait_caught_up()
        rows = {row["id"]: row for row in self.tables(narwal)["lab", "made"].rebuild()}
        self.assertEqual({key: row["g"] for key, row in rows.items()}, {1: 12, 2: 12, 3: 14})
        self.assertEqual({key: row["h"] for key, row in rows.items()}, {1: 24, 2: None, 3: 28})

    def test_generated_columns_in_the_replica_identity(self):
        """From 18 on their updates must not be published without them: the application's would fail."""
        workload.create_tables(self.server.connect())
        self.server.sql("CREATE TABLE lab.whole (id int PRIMARY KEY, n int, g int GENERATED ALWAYS AS (n * 2) STORED); "
                        "ALTER TABLE lab.whole REPLICA IDENTITY FULL; INSERT INTO lab.whole (id, n) VALUES (1, 5)")
        narwal = self.enter(Narwal(self.server))
        narwal.start().wait_streaming()
        self.server.sql("INSERT INTO lab.whole (id, n) VALUES (2, 6)")
        self.server.sql("UPDATE lab.whole SET n = 7 WHERE id = 1")
        narwal.wait_caught_up()
        rows = {row["id"]: row["n"] for row in self.tables(narwal)["lab", "whole"].rebuild()}
        self.assertEqual(rows, {1: 5, 2: 6} if check.version() >= 18 else {1: 7, 2: 6})
        self.assertEqual("a replica identity with generated columns" in narwal.call("check")[1], check.version() >= 18)


if __name__ == "__main__":
    check.main()
