#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tables that newly match join with a copy, are left out or stop, as tables.new_tables says."""
import json

from lab import check, workload
from lab.narwal import Narwal


class NewTablesTest(check.Case):
    def setUp(self):
        self.server = self.cluster()
        workload.create_tables(self.server.connect())
        self.server.sql("CREATE SCHEMA away")
        self.make("lab.old")

    def make(self, table, rows=10):
        self.server.sql(f"CREATE TABLE {table} (id int PRIMARY KEY, n int)")
        self.server.sql(f"INSERT INTO {table} SELECT g, 0 FROM generate_series(1, {rows}) g")

    def narwal(self, all_tables=False, **tables):
        settings = {"tables": {"include": ["lab.*"], **tables}}
        if all_tables:
            self.server.sql("CREATE PUBLICATION everything FOR ALL TABLES")
            settings["source"] = {"publication": {"name": "everything", "create": False}}
        return self.enter(Narwal(self.server, settings=settings))

    def states(self, narwal):
        code, text = narwal.call("status", "--json")
        self.assertEqual(code, 0, text)
        return {table["table"]: table["state"] for table in json.loads(text)["stopped_tables"]}

    def rows(self, narwal, table):
        for found in narwal.state().folder.tables:
            if f"{found.schema}.{found.name}" == table:
                return {row["id"]: row["n"] for row in found.rebuild()}
        return None

    def wait_whole(self, narwal, table):
        narwal.wait_caught_up()
        narwal.wait(f"the rows of {table}", lambda: self.rows(narwal, table) ==
                    dict(self.server.sql(f"SELECT id, n FROM {table}")))

    def finish(self, narwal, *tables):
        for table in tables:
            self.wait_whole(narwal, table)
        narwal.wait("the copies", lambda: "waiting" not in self.states(narwal).values())
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        status, output = narwal.call_verify()
        self.assertEqual(status, 0, output)

    def test_one_that_joins_the_stream_is_copied(self):
        """Put into the publication late, renamed and moved into the patterns, made, made and dropped."""
        narwal = self.narwal(all_tables=True)
        self.make("lab.changing")
        self.make("away.moved")
        narwal.start().wait_streaming()
        self.make("lab.made")
        self.server.sql("INSERT INTO away.moved VALUES (11, 0)")  # the dealer knows it, unwanted
        self.server.sql("ALTER TABLE away.moved SET SCHEMA lab")
        self.server.sql("INSERT INTO lab.moved VALUES (12, 0)")
        self.make("lab.short")
        self.server.sql("DROP TABLE lab.short")
        self.server.sql("ALTER TABLE lab.changing SET SCHEMA away")
        self.server.sql("INSERT INTO away.changing VALUES (11, 0)")
        narwal.wait_caught_up()
        self.server.sql("ALTER TABLE away.changing SET SCHEMA lab")
        self.server.sql("UPDATE lab.changing SET n = 5 WHERE id = 3")
        self.server.sql("UPDATE lab.old SET n = 1")
        for table in ("lab.made", "lab.moved", "lab.changing", "lab.old"):
            self.wait_whole(narwal, table)
        for table in ("lab.made", "lab.moved", "lab.changing"):
            self.assertIn(f"table {table}: it is new", narwal.log())
            self.server.sql(f"UPDATE {table} SET n = n + 1")
        self.finish(narwal, "lab.made", "lab.moved", "lab.changing", "lab.old")

    def test_one_that_came_while_narwal_was_down_is_copied(self):
        narwal = self.narwal()
        narwal.start().wait_streaming()
        self.assertEqual(narwal.terminate(), 0)
        self.make("lab.late")
        self.server.sql("CREATE TABLE lab.keyless (id int, n int)")
        self.server.sql("INSERT INTO lab.keyless VALUES (1, 1)")
        narwal.start().wait_streaming()
        self.server.sql("UPDATE lab.late SET n = 2 WHERE id = 2")
        self.server.sql("INSERT INTO lab.keyless VALUES (2, 2)")
        self.finish(narwal, "lab.late", "lab.keyless", "lab.old")
        narwal.start().wait_streaming()
        self.finish(narwal, "lab.late", "lab.old")
        self.assertNotIn("it is new", narwal.log())

    def test_a_kill_before_it_is_recorded_loses_nothing(self):
        narwal = self.narwal(all_tables=True)
        narwal.start().wait_streaming()
        for number, point in enumerate(("new:1", "join:1", "join:3", "new:1")):
            narwal.terminate()
            narwal.start(NARWAL_CRASH_AT=point)
            narwal.wait("the stream", lambda: "streaming from" in narwal.log())
            self.make(f"lab.new{number}")
            self.server.sql(f"UPDATE lab.new{number} SET n = 1 WHERE id = 1")
            narwal.wait_exit()
            narwal.start()
            self.wait_whole(narwal, f"lab.new{number}")
        self.finish(narwal, *(f"lab.new{number}" for number in range(4)), "lab.old")

    def test_it_is_left_out_where_it_is_to_be_ignored(self):
        narwal = self.narwal(all_tables=True, new_tables="ignore")
        narwal.start().wait_streaming()
        self.make("lab.made")
        narwal.wait("the state", lambda: self.states(narwal) == {"lab.made": "left out"})
        self.server.sql("INSERT INTO lab.made VALUES (11, 1)")
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        self.make("lab.late")
        narwal.start().wait_streaming()
        self.server.sql("UPDATE lab.old SET n = 1")
        self.wait_whole(narwal, "lab.old")
        narwal.wait("the state", lambda: self.states(narwal) ==
                    {"lab.made": "left out", "lab.late": "left out"})
        self.assertIsNone(self.rows(narwal, "lab.made"))
        self.assertEqual(narwal.log(whole=True).count("table lab.made: it is new"), 1)
        code, text = narwal.call("table", "add", "lab.made")
        self.assertEqual(code, 0, text)
        self.finish(narwal, "lab.made", "lab.old")
        self.assertIsNone(self.rows(narwal, "lab.late"))

    def test_it_stops_where_it_is_to_and_is_repaired(self):
        narwal = self.narwal(all_tables=True, new_tables="stop")
        narwal.start().wait_streaming()
        self.make("lab.made")
        narwal.wait("the state", lambda: self.states(narwal) == {"lab.made": "stopped"})
        self.assertRegex(narwal.log(), "NW2107 .*tables.new_tables is stop")
        code, text = narwal.call("table", "repair", "lab.made")
        self.assertEqual(code, 0, text)
        self.finish(narwal, "lab.made", "lab.old")

    def test_one_that_may_not_be_read_stops_alone(self):
        self.server.sql("CREATE ROLE reader LOGIN REPLICATION PASSWORD 'x'")
        self.server.sql("GRANT USAGE ON SCHEMA lab TO reader")
        self.server.sql("GRANT SELECT ON ALL TABLES IN SCHEMA lab TO reader")
        self.server.sql("CREATE PUBLICATION everything FOR ALL TABLES")
        narwal = self.enter(Narwal(self.server, dsn=self.server.dsn(user="reader"), settings={
            "tables": {"include": ["lab.*"]},
            "source": {"publication": {"name": "everything", "create": False}}}))
        narwal.start().wait_streaming()
        self.make("lab.made")
        narwal.wait("the state", lambda: self.states(narwal) == {"lab.made": "stopped"})
        self.assertRegex(narwal.log(), "NW1220 .*may not read it")
        self.server.sql("UPDATE lab.old SET n = 1")
        self.wait_whole(narwal, "lab.old")
        self.server.sql("GRANT SELECT ON lab.made TO reader")
        code, text = narwal.call("table", "repair", "lab.made")
        self.assertEqual(code, 0, text)
        self.finish(narwal, "lab.made", "lab.old")

    def ask(self, narwal, verb, table, code=0):
        found, text = narwal.call("table", verb, table)
        self.assertEqual(found, code, text)
        return text

    def test_one_that_is_dropped_is_left_out_until_it_is_added(self):
        names = ['lab."Odd ""name"".x"', "lab.wheels", "lab.keyless"]
        self.make(names[0])
        self.server.sql("CREATE TABLE lab.wheels (id int PRIMARY KEY, n int) PARTITION BY RANGE (id)")
        self.server.sql("CREATE TABLE lab.wheel PARTITION OF lab.wheels FOR VALUES FROM (0) TO (99)")
        self.server.sql("INSERT INTO lab.wheels SELECT g, 0 FROM generate_series(1, 10) g")
        self.server.sql("CREATE TABLE lab.keyless AS SELECT g AS id, 0 AS n FROM generate_series(1, 10) g")
        narwal = self.narwal()
        narwal.start().wait_streaming()
        for name in names:
            self.assertIn("not followed any more", self.ask(narwal, "drop", name))
            self.server.sql(f"INSERT INTO {name} VALUES (11, 1)")
        for _ in range(2):
            self.server.sql("UPDATE lab.old SET n = n + 1")
            self.wait_whole(narwal, "lab.old")
            self.assertEqual(set(self.states(narwal).values()), {"left out"})
            self.assertEqual(len(self.rows(narwal, "lab.wheels")), 10)
            self.assertEqual(self.server.value("SELECT count(*) FROM pg_publication_rel WHERE prrelid IN "
                                               "('lab.wheels'::regclass, 'lab.keyless'::regclass)"), 0)
            self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
            narwal.start().wait_streaming()
            narwal.wait("the stream", lambda: '"phase":"streaming"' in narwal.call("status", "--json")[1])
        for name in names:
            self.ask(narwal, "add", name)
        self.server.sql("INSERT INTO lab.wheels VALUES (12, 1)")
        self.server.sql("INSERT INTO lab.keyless VALUES (12, 1)")
        narwal.wait("the copies", lambda: not self.states(narwal))
        self.finish(narwal, "lab.wheels", "lab.keyless", "lab.old")

    def test_one_that_matches_is_put_into_narwals_own_publication(self):
        narwal = self.narwal()
        narwal.start().wait_streaming()
        self.make("lab.made")
        self.make("away.moved")
        self.server.sql("ALTER TABLE away.moved SET SCHEMA lab")
        self.make('lab."Odd ""name"".x"')
        self.make("away.other")
        self.server.sql("CREATE TABLE lab.wheels (id int PRIMARY KEY, n int) PARTITION BY RANGE (id)")
        self.server.sql("CREATE TABLE lab.wheel PARTITION OF lab.wheels FOR VALUES FROM (0) TO (99)")
        self.server.sql("INSERT INTO lab.wheels VALUES (1, 0)")
        for table in ("lab.made", "lab.moved", "lab.wheels"):
            self.wait_whole(narwal, table)
            self.server.sql(f"UPDATE {table} SET n = n + 1")
        self.finish(narwal, "lab.made", "lab.moved", "lab.wheels", "lab.old")
        self.assertNotIn("away.other", narwal.log())
        self.assertEqual(self.server.value("SELECT count(*) FROM pg_publication_rel WHERE prrelid = "
                                           "'lab.wheel'::regclass"), 0)

    def test_one_that_may_not_be_published_is_listed_with_the_statement(self):
        self.server.sql("CREATE ROLE reader LOGIN REPLICATION PASSWORD 'x'")
        self.server.sql("GRANT USAGE ON SCHEMA lab TO reader")
        self.server.sql("ALTER DEFAULT PRIVILEGES IN SCHEMA lab GRANT SELECT ON TABLES TO reader")
        self.server.sql("GRANT SELECT ON ALL TABLES IN SCHEMA lab TO reader")
        self.server.sql("CREATE PUBLICATION ours FOR TABLE lab.old, lab.marker")
        narwal = self.enter(Narwal(self.server, dsn=self.server.dsn(user="reader"), settings={
            "tables": {"include": ["lab.old", "lab.marker", "lab.made"]},
            "source": {"publication": {"name": "ours"}}}))
        narwal.start().wait_streaming()
        self.make("lab.made")
        narwal.wait("the state", lambda: self.states(narwal) == {"lab.made": "left out"}, 30)
        code, text = narwal.call("status")
        statement = text[text.index("ALTER PUBLICATION"):text.index("; then narwal table add")]
        self.assertEqual(statement, "ALTER PUBLICATION ours ADD TABLE ONLY lab.made")
        self.assertIn(statement, narwal.log())
        self.assertIn("NW2316 ", narwal.log())
        self.server.sql(statement)
        self.ask(narwal, "add", "lab.made")
        self.finish(narwal, "lab.made", "lab.old")

    def test_one_that_is_found_is_left_out_or_stops(self):
        for number, (policy, state) in enumerate((("ignore", "left out"), ("stop", "stopped"))):
            narwal = self.narwal(new_tables=policy)
            narwal.start().wait_streaming()
            self.make(f"lab.found{number}")
            narwal.wait("the state", lambda: self.states(narwal).get(f"lab.found{number}") == state, 30)
            self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
            self.server.sql(f"DROP TABLE lab.found{number}")

    def test_a_drop_takes_effect_at_once(self):
        narwal = self.narwal(all_tables=True)
        narwal.start().wait_streaming()
        self.assertIn("though its publication is of all tables", self.ask(narwal, "drop", "lab.old"))
        check.time.sleep(0.3)
        self.server.sql("INSERT INTO lab.old VALUES (11, 1)")
        self.server.sql("UPDATE lab.old SET n = 9")
        narwal.wait_caught_up()
        self.assertEqual(self.rows(narwal, "lab.old"), {n: 0 for n in range(1, 11)})
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_refusal_has_the_statement_that_a_dba_runs(self):
        self.make('lab."Odd ""name"""')
        self.server.sql('CREATE PUBLICATION "Their ""own""" FOR TABLE lab.old, ONLY lab."Odd ""name"""')
        narwal = self.enter(Narwal(self.server, settings={
            "tables": {"include": ["lab.*"]},
            "source": {"publication": {"name": 'Their "own"', "create": False}}}))
        self.server.sql("CREATE TABLE IF NOT EXISTS lab.marker (at bigint)")
        self.server.sql('ALTER PUBLICATION "Their ""own""" ADD TABLE lab.marker')
        narwal.start().wait_streaming()
        for verb in ("drop", "add"):
            text = self.ask(narwal, verb, 'lab."Odd ""name"""', 1)
            self.assertIn("NW1506 ", text)
            statement = text[text.index("ALTER PUBLICATION"):text.index("; then ask again")]
            self.server.sql(statement)
            self.ask(narwal, verb, 'lab."Odd ""name"""')
        narwal.wait("the copy", lambda: not self.states(narwal))
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())


if __name__ == "__main__":
    check.main()
