#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An application that worked before narwal came works the same afterwards, statement by statement."""
import psycopg2

from lab import check
from lab.narwal import Narwal

SCHEMA = """
CREATE SCHEMA lab;
CREATE TABLE lab.marker (id bigint PRIMARY KEY);
CREATE TABLE keyed (id integer PRIMARY KEY, v text);
CREATE TABLE keyless (id integer, v text);
CREATE TABLE unique_only (id integer UNIQUE, v text);
CREATE TABLE deferred (id integer PRIMARY KEY DEFERRABLE, v text);
CREATE TABLE nothing (id integer PRIMARY KEY, v text);
ALTER TABLE nothing REPLICA IDENTITY NOTHING;
CREATE TABLE full_identity (id integer, v text);
ALTER TABLE full_identity REPLICA IDENTITY FULL;
CREATE TABLE by_index (id integer NOT NULL UNIQUE, v text);
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_id_key;
CREATE TABLE index_dropped (id integer NOT NULL, v text);
CREATE UNIQUE INDEX gone ON index_dropped (id);
ALTER TABLE index_dropped REPLICA IDENTITY USING INDEX gone;
DROP INDEX gone;
CREATE TABLE parts (id integer, v text) PARTITION BY RANGE (id);
CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (100) TO (1000);
CREATE TABLE keyed_parts (id integer, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE keyed_parts_low PARTITION OF keyed_parts FOR VALUES FROM (0) TO (100);
CREATE TABLE keyed_parts_high PARTITION OF keyed_parts FOR VALUES FROM (100) TO (1000);
CREATE TABLE half_keyed_parts (id integer, v text) PARTITION BY RANGE (id);
CREATE TABLE half_keyed_low PARTITION OF half_keyed_parts FOR VALUES FROM (0) TO (100);
CREATE TABLE half_keyed_high PARTITION OF half_keyed_parts FOR VALUES FROM (100) TO (1000);
ALTER TABLE half_keyed_low ADD PRIMARY KEY (id);
CREATE TABLE parent (id integer PRIMARY KEY, v text);
CREATE TABLE child () INHERITS (parent);
CREATE UNLOGGED TABLE unlogged (id integer, v text);
CREATE MATERIALIZED VIEW matview AS SELECT * FROM keyed;
CREATE VIEW plain_view AS SELECT * FROM keyless;
CREATE TABLE "json only" (id integer, v json);
CREATE TABLE "we""ird. näme" ("Id" integer, v text);
"""
TABLES = ["keyed", "keyless", "unique_only", "deferred", "nothing", "full_identity", "by_index",
          "index_dropped", "parts", "keyed_parts", "half_keyed_parts", "parent", "child", "unlogged",
          "plain_view"]
# Tables whose updates are in the stream too; of the others inserts and truncates.
WHOLE = ["keyed", "full_identity", "by_index", "keyed_parts"]


def statements():
    """(label, statement): what the application does, again and again."""
    for table in TABLES:
        yield table, f"INSERT INTO {table} (id, v) VALUES (1, 'a'), (2, 'b'), (150, 'c')"
        yield table, f"UPDATE {table} SET v = v || '!' WHERE id <= 2"
        yield table, f"UPDATE {table} SET id = 3 WHERE id = 2"
        yield table, f"DELETE FROM {table} WHERE id IN (1, 3, 150)"
    yield "partition", "INSERT INTO parts_low VALUES (7, 'leaf')"
    yield "partition", "UPDATE parts_low SET v = 'x' WHERE id = 7"
    yield "partition", "UPDATE parts SET id = 700 WHERE id = 7"
    yield "partition", "DELETE FROM parts_high WHERE id = 700"
    yield "partition", "INSERT INTO half_keyed_parts VALUES (8, 'leaf')"
    yield "partition", "UPDATE half_keyed_low SET v = 'x'"
    yield "partition", "DELETE FROM half_keyed_parts"
    yield "json", "INSERT INTO \"json only\" VALUES (1, '{}')"
    yield "json", "UPDATE \"json only\" SET v = '[]'"
    yield "json", "DELETE FROM \"json only\""
    yield "odd", "INSERT INTO \"we\"\"ird. näme\" VALUES (1, 'a')"
    yield "odd", "UPDATE \"we\"\"ird. näme\" SET v = 'b'"
    yield "odd", "DELETE FROM \"we\"\"ird. näme\""
    yield "matview", "REFRESH MATERIALIZED VIEW matview"
    yield "temporary", "CREATE TEMP TABLE t (id integer)"
    yield "temporary", "INSERT INTO t VALUES (1)"
    yield "temporary", "UPDATE t SET id = 2"
    yield "temporary", "DROP TABLE t"
    yield "new table", "CREATE TABLE new_one (id integer, v text)"
    yield "new table", "INSERT INTO new_one VALUES (1, 'a')"
    yield "new table", "UPDATE new_one SET v = 'b'"
    yield "new table", "DELETE FROM new_one"
    yield "new table", "DROP TABLE new_one"
    yield "new partition", "CREATE TABLE parts_new PARTITION OF parts FOR VALUES FROM (1000) TO (2000)"
    yield "new partition", "INSERT INTO parts VALUES (1500, 'x')"
    yield "new partition", "UPDATE parts SET v = 'y' WHERE id = 1500"
    yield "new partition", "DELETE FROM parts WHERE id = 1500"
    yield "new partition", "DROP TABLE parts_new"
    yield "truncate", "TRUNCATE keyless, nothing, parts"
    yield "vacuum", "VACUUM FULL keyless"
    yield "change", "ALTER TABLE keyless ADD COLUMN extra integer DEFAULT 1"
    yield "change", "ALTER TABLE keyless DROP COLUMN extra"


class ApplicationTest(check.Case):
    def setUp(self):
        self.server = self.cluster()
        self.server.sql(SCHEMA)

    def work(self):
        """What failed, as text."""
        failed = []
        connection = self.server.connect()
        connection.cursor().execute("SET lock_timeout = '10s'")
        for label, statement in statements():
            try:
                connection.cursor().execute(statement)
            except psycopg2.Error as error:
                failed.append(f"{label}: {statement}: {error}")
        connection.close()
        return failed

    def start(self, **tables):
        return self.enter(Narwal(self.server, settings={"tables": tables} if tables else None))

    def test_every_statement_still_works(self):
        before = self.work()
        narwal = self.start().start()
        narwal.wait_slot()
        self.assertEqual(self.work(), before)
        narwal.wait_streaming()
        self.assertEqual(self.work(), before)
        narwal.wait_caught_up()
        self.assertEqual(self.work(), before)
        narwal.wait_caught_up()
        self.assertEqual(narwal.terminate(), 0)
        self.assertEqual(self.work(), before)

    def test_every_statement_still_works_when_keyless_tables_are_left_out(self):
        before = self.work()
        narwal = self.start(no_key="skip").start().wait_streaming()
        self.assertEqual(self.work(), before)
        narwal.wait_caught_up()
        published = {name for name, in self.server.sql("SELECT tablename FROM pg_publication_tables")}
        self.assertNotIn("keyless", published)
        self.assertIn("keyed", published)

    def test_tables_without_a_key_are_followed_as_far_as_is_harmless(self):
        narwal = self.start().start().wait_streaming()
        self.assertFalse(self.server.value("SELECT bool_or(puballtables) FROM pg_publication"))
        # narwal says what it does not follow: how many, and some by name.
        self.assertIn("10 tables have no usable replica identity", narwal.log())
        self.assertIn("public.half_keyed_parts", narwal.log())
        for name in WHOLE:
            self.server.sql(f"INSERT INTO {name} (id, v) VALUES (1, 'a'), (2, 'b')")
            self.server.sql(f"UPDATE {name} SET v = 'c' WHERE id = 1")
            self.server.sql(f"DELETE FROM {name} WHERE id = 2")
        self.server.sql("INSERT INTO keyless VALUES (1, 'a')")
        self.server.sql("TRUNCATE keyless")
        self.server.sql("INSERT INTO keyless VALUES (2, 'b')")
        narwal.wait_caught_up()
        result = narwal.compare([("public", name) for name in [*WHOLE, "keyless"]])
        self.assertTrue(result.good, result.report())

    def test_only_what_is_wanted_is_published(self):
        narwal = self.start(include=["public.k*"], exclude=["*.keyless"])
        # The marker is how this test sees how far narwal is.
        narwal.config["tables"]["include"] += ["lab.marker"]
        narwal.start().wait_streaming()
        published = {name for name, in self.server.sql("SELECT tablename FROM pg_publication_tables")}
        self.assertIn("keyed", published)
        self.assertFalse(published & {"keyless", "parent", "nothing"})

    def test_publication_of_the_dba_is_used_and_not_changed(self):
        self.server.sql("CREATE PUBLICATION by_the_dba FOR TABLE keyed, lab.marker")
        before = self.server.sql("SELECT * FROM pg_publication")
        narwal = self.enter(Narwal(self.server, settings={
            "source": {"publication": {"name": "by_the_dba", "create": False}}}))
        narwal.start().wait_streaming()
        self.server.sql("INSERT INTO keyed VALUES (1, 'a')")
        narwal.wait_caught_up()
        self.assertTrue(narwal.compare([("public", "keyed")]).good)
        self.assertEqual(self.server.sql("SELECT * FROM pg_publication"), before)
        self.assertEqual(set(narwal.state().generations), {("public", "keyed"), ("lab", "marker")})


if __name__ == "__main__":
    check.main()
