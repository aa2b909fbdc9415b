#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A table that cannot go on stops, with the reason, for good; all others go on."""
import json
import shutil
import sqlite3

from lab import check, workload
from lab.narwal import Narwal, build

TABLES = ("cut", "kept", "narrowed", "other")


class StoppedTablesTest(check.Case):
    def setUp(self):
        self.server = self.cluster()
        workload.create_tables(self.server.connect())
        for table in TABLES:
            self.server.sql(f"CREATE TABLE lab.{table} (id int PRIMARY KEY, note text, n int)")
            self.server.sql(f"INSERT INTO lab.{table} SELECT g, 'copied', 0 "
                            "FROM generate_series(1, 10) g")

    def narwal(self, **settings):
        return self.enter(Narwal(self.server, settings=settings))

    def rows(self, narwal, table):
        """The table's rows as the files have them, by id."""
        for found in narwal.state().folder.tables:
            if (found.schema, found.name) == ("lab", table):
                return {row["id"]: row for row in found.rebuild()}
        return None

    def status(self, narwal):
        code, text = narwal.call("status", "--json")
        self.assertEqual(code, 0, text)
        return json.loads(text)

    def stopped(self, narwal):
        return {(table["table"], table["sink"]): table
                for table in self.status(narwal)["stopped_tables"]}

    def test_what_a_policy_forbids_stops_its_table_alone(self):
        narwal = self.narwal(tables={"policies": [
            "lab.cut truncate=stop", "lab.kept truncate=keep", "lab.narrowed drop_column=stop"]})
        narwal.start().wait_streaming()
        self.server.sql("INSERT INTO lab.cut VALUES (11, 'before', 1)")
        self.server.sql("TRUNCATE lab.cut, lab.kept")
        self.server.sql("INSERT INTO lab.cut VALUES (1, 'after', 2)")
        self.server.sql("INSERT INTO lab.kept VALUES (11, 'after', 2)")
        self.server.sql("ALTER TABLE lab.narrowed DROP COLUMN n")
        self.server.sql("INSERT INTO lab.narrowed VALUES (11, 'after')")
        self.server.sql("UPDATE lab.other SET n = 7")
        narwal.wait_caught_up()
        narwal.wait("the status", lambda: len(self.stopped(narwal)) == 2)
        stopped = self.stopped(narwal)
        self.assertEqual(set(stopped), {("lab.cut", ""), ("lab.narrowed", "")})
        self.assertRegex(stopped["lab.cut", ""]["reason"], "NW2102 .*truncate")
        self.assertEqual(stopped["lab.cut", ""]["code"], "NW2102")
        self.assertRegex(stopped["lab.narrowed", ""]["reason"], "NW2103 .*column n was dropped")
        self.assertEqual(set(self.rows(narwal, "cut")), set(range(1, 12)))
        self.assertEqual({row["note"] for row in self.rows(narwal, "cut").values()},
                         {"copied", "before"})
        self.assertEqual(set(self.rows(narwal, "narrowed")), set(range(1, 11)))
        self.assertEqual({row["n"] for row in self.rows(narwal, "other").values()}, {7})
        self.assertEqual(set(self.rows(narwal, "kept")), set(range(1, 12)))
        # The report is a little older than the files, and was made while both rows were on their way.
        narwal.wait("the rows kept", lambda: self.status(narwal)["rows_kept"] >= 2)
        self.assertEqual(self.status(narwal)["rows_kept"], 2)
        self.assertEqual(self.status(narwal)["rows_left_out"], 0)
        code, text = narwal.call("status")
        self.assertEqual(code, 1, text)
        self.assertIn("lab.cut stopped at", text)

        narwal.kill()
        self.server.sql("INSERT INTO lab.cut VALUES (12, 'later', 3)")
        self.server.sql("UPDATE lab.other SET n = 8")
        narwal.start().wait_caught_up()
        self.assertIn("table lab.cut is stopped since", narwal.log())
        self.assertEqual(set(self.rows(narwal, "cut")), set(range(1, 12)))
        self.assertEqual({row["n"] for row in self.rows(narwal, "other").values()}, {8})
        narwal.wait("the status", lambda: len(self.stopped(narwal)) == 2)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        with sqlite3.connect(narwal.state_dir / "state.db") as state:
            self.assertEqual(state.execute("SELECT schema_name, table_name, state FROM tables "
                                           "ORDER BY table_name").fetchall(),
                             [("lab", "cut", "kept"), ("lab", "narrowed", "kept")])

    def test_another_type_stops_its_table_where_it_may_not_change(self):
        """With a rewrite and without one, length and precision too; a rename is no other type."""
        alters = {"rewritten": "ALTER n TYPE bigint", "kept_as_it_is": "ALTER note TYPE varchar",
                  "longer": "ALTER v TYPE varchar(9)", "renamed": "RENAME n TO m",
                  "grown": "ADD x bigint", "again": "DROP n, ADD n bigint",
                  "free": "ALTER n TYPE bigint USING -n"}
        for table in alters:
            self.server.sql(f"CREATE TABLE lab.{table} (id int PRIMARY KEY, note text, n int, v varchar(5));"
                            f"INSERT INTO lab.{table} VALUES (1, 'copied', 0, 'v')")
        narwal = self.narwal(tables={"type_change": "stop", "policies": ["lab.free type_change=apply"]})
        narwal.start().wait_streaming()
        for table, alter in alters.items():
            self.server.sql(f"INSERT INTO lab.{table} (id) VALUES (2)")
            with self.server.connect() as session, session.cursor() as cursor:
                cursor.execute(f"INSERT INTO lab.{table} (id) VALUES (3)")
                cursor.execute(f"ALTER TABLE lab.{table} {alter}")
                cursor.execute(f"INSERT INTO lab.{table} (id) VALUES (4)")
        narwal.wait_caught_up()
        narwal.wait("the status", lambda: len(self.stopped(narwal)) == 3)
        stopped = self.stopped(narwal)
        for table, column, former in (("rewritten", "n", "integer"), ("kept_as_it_is", "note", "text"),
                                      ("longer", "v", "character varying(5)")):
            self.assertIn(f"column {column} has another type (it was {former})",
                          stopped[f"lab.{table}", ""]["reason"])
            self.assertEqual(set(self.rows(narwal, table)), {1, 2, 3}, table)
        for table in ("renamed", "grown", "again", "free"):
            self.assertEqual(set(self.rows(narwal, table)), {1, 2, 3, 4}, table)

    def drops(self, narwal, table):
        """The lines of the table that say that it was dropped, and how many lines follow the first."""
        for found in narwal.state().folder.tables:
            if (found.schema, found.name) == ("lab", table):
                ops = [line["op"] for line in found.changes()]
                return ops.count("X"), len(ops) - 1 - ops.index("X") if "X" in ops else None
        return None

    def test_sinks_are_told_once_of_a_dropped_table_behind_its_changes(self):
        """Also when narwal is killed as soon as it knows, or the event is on its way."""
        for moment, table in (("stopped:1", "cut"), (None, "kept")):
            narwal = self.narwal()
            narwal.start(**({"NARWAL_CRASH_AT": moment} if moment else {})).wait_streaming()
            self.server.sql(f"UPDATE lab.{table} SET n = 5; DROP TABLE lab.{table}")
            if moment:
                self.assertNotEqual(narwal.wait_exit(60), 0)
                self.assertEqual(self.drops(narwal, table), (0, None))
                narwal.start().wait_streaming()
            else:
                narwal.wait("the look", lambda: self.stopped(narwal), 60)
            self.server.sql("UPDATE lab.other SET n = 7")
            narwal.wait_caught_up()
            narwal.wait("the event", lambda: self.drops(narwal, table) == (1, 0), 60)
            self.assertEqual([one["state"] for one in self.stopped(narwal).values()], ["dropped"])
            self.assertEqual({row["n"] for row in self.rows(narwal, table).values()}, {5})
            narwal.kill()
            self.server.sql("UPDATE lab.other SET n = 8")
            narwal.start().wait_caught_up()
            self.assertEqual(self.drops(narwal, table), (1, 0))
            self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_kill_while_a_table_stops_leaves_no_gap_behind(self):
        """Just before the stop is recorded, and just after: it is stopped at the next start."""
        for moment, table in (("stopping", "cut"), ("stopped", "kept")):
            narwal = self.narwal(tables={"policies": [f"lab.{table} truncate=stop"]})
            narwal.start(NARWAL_CRASH_AT=f"{moment}:1").wait_streaming()
            self.server.sql(f"INSERT INTO lab.{table} VALUES (11, 'before', 1)")
            self.server.sql(f"TRUNCATE lab.{table}")
            self.server.sql(f"INSERT INTO lab.{table} VALUES (1, 'after', 2)")
            self.server.sql("UPDATE lab.other SET n = n + 1")
            self.assertNotEqual(narwal.wait_exit(), 0)
            narwal.start().wait_caught_up()
            narwal.wait("the status", lambda: self.stopped(narwal))
            self.assertEqual(set(self.stopped(narwal)), {(f"lab.{table}", "")})
            # What came just before the stop may be left out too; nothing behind it comes.
            rows = self.rows(narwal, table)
            self.assertIn(set(rows), (set(range(1, 11)), set(range(1, 12))))
            self.assertNotIn("after", {row["note"] for row in rows.values()})
            self.assertEqual({row["n"] for row in self.rows(narwal, "other").values()},
                             {self.server.value("SELECT max(n) FROM lab.other")})
            self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_column_that_nobody_can_tell_stops_its_table(self):
        """Renamed, or dropped and another one added: while narwal is down both look alike."""
        narwal = self.narwal(tables={"policies": ["lab.kept ambiguous_rename=rename",
                                                  "lab.narrowed ambiguous_rename=drop_add"]})
        narwal.start().wait_streaming().wait_caught_up()
        narwal.process.send_signal(check.signal.SIGSTOP)
        for table in TABLES:
            with self.server.connect() as session, session.cursor() as cursor:
                cursor.execute(f"ALTER TABLE lab.{table} RENAME n TO m")
                cursor.execute(f"INSERT INTO lab.{table} VALUES (11, 'm', 1)")
                cursor.execute(f"ALTER TABLE lab.{table} DROP m")
                cursor.execute(f"ALTER TABLE lab.{table} ADD k int")
                cursor.execute(f"INSERT INTO lab.{table} VALUES (12, 'k', 2)")
        self.server.sql("DROP TABLE lab.cut")
        narwal.process.send_signal(check.signal.SIGCONT)
        narwal.wait_caught_up()
        narwal.wait("the status", lambda: ("lab.other", "") in self.stopped(narwal))
        stopped = self.stopped(narwal)
        self.assertEqual(set(stopped) - {("lab.cut", "")}, {("lab.other", "")})
        self.assertIn("NW2105 lab.other: column m is either column n under another name",
                      stopped["lab.other", ""]["reason"])
        self.assertEqual(set(self.rows(narwal, "other")), set(range(1, 11)))
        for table in ("kept", "narrowed"):
            rename = table == "kept"
            # Whichever it is taken for, the columns follow: m went on as k, or came from n.
            self.assertEqual({key: row["k"] for key, row in self.rows(narwal, table).items()},
                             {**dict.fromkeys(range(1, 11)), 11: None if rename else 1, 12: 2}, table)
            schemas = next(found.schemas() for found in narwal.state().folder.tables
                           if found.name == table)
            numbers = {column["name"]: column["attnum"] for schema in schemas.values()
                       for column in schema["columns"]}
            self.assertEqual(numbers, {"id": 1, "note": 2, "n": 3, "m": 3 if rename else 4,
                                       "k": 4}, table)

    def test_what_the_stream_does_not_say_is_found_in_the_catalog(self):
        """Dropped, taken out of the publication, put back at once; partitions detached, attached."""
        for name in ("left", "joined", "grown"):
            self.server.sql(f"CREATE TABLE lab.{name} (id int PRIMARY KEY, n int) PARTITION BY RANGE (id); "
                            f"CREATE TABLE lab.{name}_1 PARTITION OF lab.{name} FOR VALUES FROM (0) TO (10); "
                            f"INSERT INTO lab.{name} VALUES (1, 1)")
        narwal = self.narwal()
        narwal.start().wait_streaming().wait_caught_up()
        check.time.sleep(1)  # the first look follows the first connection at once
        self.server.sql("DROP TABLE lab.cut")
        self.server.sql(f"ALTER PUBLICATION {narwal.slot} DROP TABLE ONLY lab.kept")
        self.server.sql(f"ALTER PUBLICATION {narwal.slot} DROP TABLE ONLY lab.narrowed")
        self.server.sql("UPDATE lab.narrowed SET n = 1")
        self.server.sql(f"ALTER PUBLICATION {narwal.slot} ADD TABLE ONLY lab.narrowed")
        self.server.sql("ALTER TABLE lab.left DETACH PARTITION lab.left_1")
        self.server.sql("CREATE TABLE lab.joined_2 (id int PRIMARY KEY, n int)")
        self.server.sql("INSERT INTO lab.joined_2 VALUES (11, 1)")
        self.server.sql("ALTER TABLE lab.joined ATTACH PARTITION lab.joined_2 FOR VALUES FROM (10) TO (20)")
        self.server.sql("CREATE TABLE lab.grown_2 PARTITION OF lab.grown FOR VALUES FROM (10) TO (20)")
        self.server.sql("INSERT INTO lab.grown VALUES (11, 1)")
        narwal.wait("the look", lambda: len(self.stopped(narwal)) >= 5, 60)
        states = {table: (one["state"], one["reason"]) for (table, _), one in self.stopped(narwal).items()}
        self.assertEqual({table: state for table, (state, _) in states.items()},
                         {"lab.cut": "dropped", "lab.kept": "stopped", "lab.narrowed": "stopped",
                          "lab.left": "doubtful", "lab.joined": "doubtful"})
        self.assertRegex(states["lab.kept"][1], "NW2111 .*not in the publication any more")
        self.assertIn("taken out and put back", states["lab.narrowed"][1])
        self.assertIn("left_1 was detached", states["lab.left"][1])
        self.assertIn("joined_2, a table of its own before", states["lab.joined"][1])
        check.time.sleep(0.5)
        self.server.sql("UPDATE lab.narrowed SET n = 2")
        self.server.sql("UPDATE lab.other SET n = 2")
        narwal.wait_caught_up()
        self.assertEqual({row["n"] for row in self.rows(narwal, "narrowed").values()}, {0})
        self.assertEqual({row["n"] for row in self.rows(narwal, "other").values()}, {2})
        self.assertEqual(set(self.rows(narwal, "grown")), {1, 11})

    def test_what_changed_while_it_was_down_is_found_at_the_start(self):
        """The same, after a kill; a partition dropped and made again under its name; and tables that
        are not published or not there any more when it starts."""
        for name in ("left", "joined", "grown", "again", "named"):
            self.server.sql(f"CREATE TABLE lab.{name} (id int PRIMARY KEY, n int) PARTITION BY RANGE (id); "
                            f"CREATE TABLE lab.{name}_1 PARTITION OF lab.{name} FOR VALUES FROM (0) TO (10); "
                            f"INSERT INTO lab.{name} VALUES (1, 1)")
        self.server.sql("CREATE TABLE lab.unlogged (id int PRIMARY KEY, n int)")
        self.server.sql("CREATE PUBLICATION p FOR ALL TABLES WITH (publish_via_partition_root)")
        narwal = self.narwal(source={"publication": {"name": "p", "create": False}},
                             tables={"policies": ["lab.kept drop_table=stop"]})
        narwal.start().wait_streaming().wait_caught_up()
        narwal.wait("the first look", lambda: self.seen(narwal) > 5)
        narwal.kill()
        self.server.sql("ALTER TABLE lab.left DETACH PARTITION lab.left_1")
        self.server.sql("CREATE TABLE lab.joined_2 (id int PRIMARY KEY, n int)")
        self.server.sql("INSERT INTO lab.joined_2 VALUES (11, 1)")
        self.server.sql("ALTER TABLE lab.joined ATTACH PARTITION lab.joined_2 FOR VALUES FROM (10) TO (20)")
        self.server.sql("DROP TABLE lab.again_1; "
                        "CREATE TABLE lab.again_1 PARTITION OF lab.again FOR VALUES FROM (0) TO (10)")
        self.server.sql("ALTER TABLE lab.named_1 RENAME TO called_1")
        self.server.sql("CREATE TABLE lab.grown_2 PARTITION OF lab.grown FOR VALUES FROM (10) TO (20)")
        self.server.sql("INSERT INTO lab.grown VALUES (11, 1)")
        self.server.sql("UPDATE lab.cut SET n = 5; DROP TABLE lab.cut; DROP TABLE lab.kept")
        self.server.sql("ALTER TABLE lab.unlogged SET UNLOGGED")
        self.server.sql("UPDATE lab.other SET n = 2")
        narwal.start().wait_caught_up()
        narwal.wait("the look", lambda: len(self.stopped(narwal)) >= 6, 60)
        states = {table: (one["state"], one["reason"]) for (table, _), one in self.stopped(narwal).items()
                  if not table.endswith(("left_1", "joined_2"))}
        self.assertEqual({table: state for table, (state, _) in states.items()},
                         {"lab.cut": "dropped", "lab.kept": "stopped", "lab.unlogged": "stopped",
                          "lab.left": "doubtful", "lab.joined": "doubtful", "lab.again": "doubtful"})
        self.assertIn("left_1 was detached", states["lab.left"][1])
        self.assertIn("joined_2, a table of its own before", states["lab.joined"][1])
        self.assertIn("again_1 was detached or dropped", states["lab.again"][1])
        self.assertRegex(states["lab.cut"][1], "NW2106 .*dropped on the server while narwal was down")
        self.assertIn("drop_table is stop", states["lab.kept"][1])
        self.assertRegex(states["lab.unlogged"][1], "NW2112 .*is unlogged")
        narwal.wait_caught_up()
        self.assertEqual(self.drops(narwal, "cut"), (1, 0))
        self.assertEqual({row["n"] for row in self.rows(narwal, "cut").values()}, {5})
        self.assertEqual({row["n"] for row in self.rows(narwal, "other").values()}, {2})
        self.assertEqual(set(self.rows(narwal, "grown")), {1, 11})
        narwal.kill()  # said once: what was found is what is compared with from then on
        narwal.start().wait_caught_up()
        check.time.sleep(2)
        self.assertEqual(narwal.log(whole=True).count("left_1 was detached"), 1)
        self.assertEqual(self.drops(narwal, "cut"), (1, 0))
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_truncated_partition_is_doubtful_and_a_truncated_root_is_not(self):
        """The server tells of the root's TRUNCATE, and of none of a leaf."""
        for name in ("leaf", "whole", "retyped", "vacuumed"):
            self.server.sql(f"CREATE TABLE lab.{name} (id int PRIMARY KEY, n int) PARTITION BY RANGE (id)")
            for part in range(3):
                self.server.sql(f"CREATE TABLE lab.{name}_{part} PARTITION OF lab.{name} FOR VALUES "
                                f"FROM ({part * 10}) TO ({part * 10 + 10})")
            self.server.sql(f"INSERT INTO lab.{name} SELECT g, 0 FROM generate_series(1, 29) g")
        narwal = self.narwal(tables={"policies": ["lab.vacuumed truncate=keep"]})
        narwal.start().wait_streaming().wait_caught_up()
        narwal.wait("the first look", lambda: self.seen(narwal) > 5)
        self.server.sql("TRUNCATE lab.leaf_1")
        self.server.sql("INSERT INTO lab.leaf VALUES (15, 1); ANALYZE lab.leaf_1")
        self.server.sql("TRUNCATE lab.whole")
        self.server.sql("ALTER TABLE lab.retyped ALTER n TYPE bigint")
        self.server.sql("VACUUM FULL lab.vacuumed_1")
        narwal.wait("the look", lambda: self.stopped(narwal), 60)
        self.assertEqual({table: one["state"] for (table, _), one in self.stopped(narwal).items()},
                         {"lab.leaf": "doubtful"})
        self.assertRegex(self.stopped(narwal)["lab.leaf", ""]["reason"], "NW2110 .*leaf_1 was truncated or rewritten")
        narwal.wait_caught_up()
        self.assertEqual(self.rows(narwal, "whole"), {})
        code, text = narwal.call("table", "refresh", "lab.leaf")
        self.assertEqual(code, 0, text)
        narwal.wait("the copy", lambda: not self.stopped(narwal), 60)
        self.assertEqual(set(self.rows(narwal, "leaf")), {15, *range(1, 10), *range(20, 30)})
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def seen(self, narwal):
        with sqlite3.connect(f"file:{narwal.state_dir}/state.db?mode=ro", uri=True) as state:
            return state.execute("SELECT count(*) FROM seen WHERE published IS NOT NULL").fetchone()[0]

    def test_a_table_that_was_taken_out_and_put_back_meanwhile_stops(self):
        """While narwal was down its changes were not published: they are gone."""
        self.server.sql("CREATE PUBLICATION p FOR TABLE lab.cut, lab.kept, lab.other, lab.marker")
        narwal = self.narwal(source={"publication": {"name": "p", "create": False}})
        narwal.start().wait_streaming().wait_caught_up()
        narwal.wait("the first look", lambda: self.seen(narwal) > 3)
        narwal.kill()
        self.server.sql("ALTER PUBLICATION p DROP TABLE lab.cut, lab.kept")
        self.server.sql("UPDATE lab.cut SET n = 1")
        self.server.sql("ALTER PUBLICATION p ADD TABLE lab.cut")
        narwal.start().wait_caught_up()
        narwal.wait("the look", lambda: len(self.stopped(narwal)) == 2, 60)
        stopped = self.stopped(narwal)
        self.assertIn("taken out and put back", stopped["lab.cut", ""]["reason"])
        self.assertIn("not in the publication any more", stopped["lab.kept", ""]["reason"])
        code, text = narwal.call("table", "repair", "lab.cut")
        self.assertEqual(code, 0, text)
        narwal.wait("the copy", lambda: set(self.stopped(narwal)) == {("lab.kept", "")}, 60)
        narwal.kill()
        narwal.start().wait_caught_up()
        check.time.sleep(2)
        self.assertEqual(set(self.stopped(narwal)), {("lab.kept", "")})
        self.assertEqual({row["n"] for row in self.rows(narwal, "cut").values()}, {1})

    def test_an_unlogged_table_stops_and_is_repaired_when_it_is_logged_again(self):
        self.server.sql("CREATE PUBLICATION p FOR ALL TABLES")
        narwal = self.narwal(source={"publication": {"name": "p", "create": False}})
        narwal.start().wait_streaming().wait_caught_up()
        check.time.sleep(1)  # the first look follows the first connection at once
        self.server.sql("ALTER TABLE lab.cut SET UNLOGGED")
        self.server.sql("UPDATE lab.cut SET n = 1; UPDATE lab.other SET n = 1")
        narwal.wait("the look", lambda: self.stopped(narwal), 60)
        self.assertIn("cut is unlogged", self.stopped(narwal)["lab.cut", ""]["reason"])
        self.server.sql("ALTER TABLE lab.cut SET LOGGED")  # rewritten: nothing comes of that
        self.server.sql("UPDATE lab.cut SET n = n + 1 WHERE id = 1")
        code, text = narwal.call("table", "repair", "lab.cut")
        self.assertEqual(code, 0, text)
        narwal.wait("the copy", lambda: not self.stopped(narwal), 60)
        self.server.sql("UPDATE lab.cut SET n = n + 1 WHERE id = 2")
        narwal.wait_caught_up()
        self.assertEqual({key: row["n"] for key, row in self.rows(narwal, "cut").items()},
                         {**dict.fromkeys(range(3, 11), 1), 1: 2, 2: 2})
        # One that was unlogged from the beginning is new when it is logged.
        self.server.sql("CREATE UNLOGGED TABLE lab.scratch (id int PRIMARY KEY)")
        self.server.sql("INSERT INTO lab.scratch VALUES (1); ALTER TABLE lab.scratch SET LOGGED; "
                        "INSERT INTO lab.scratch VALUES (2)")
        narwal.wait("the new table", lambda: self.rows(narwal, "scratch") and
                    set(self.rows(narwal, "scratch")) == {1, 2}, 60)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_another_row_filter_or_column_list_stops_its_table(self):
        """Rows that came in, or columns, would be missing from before; the others go on."""
        if check.version() < 15:
            self.skipTest("PostgreSQL 15 has row filters and column lists")
        self.server.sql("CREATE PUBLICATION p FOR TABLE lab.cut WHERE (id < 6), lab.kept WHERE (id < 6), "
                        "lab.narrowed (id, n), lab.other, lab.marker")
        narwal = self.narwal(source={"publication": {"name": "p", "create": False}})
        narwal.start().wait_streaming().wait_caught_up()
        check.time.sleep(1)  # the first look follows the first connection at once
        for table in TABLES:
            self.server.sql(f"UPDATE lab.{table} SET n = 1")
        self.server.sql("ALTER PUBLICATION p SET TABLE lab.cut WHERE (id < 9), lab.kept WHERE (id < 6), "
                        "lab.narrowed (id, n, note), lab.other, lab.marker")
        narwal.wait("the look", lambda: len(self.stopped(narwal)) >= 2, 60)
        self.assertEqual({table for table, _ in self.stopped(narwal)}, {"lab.cut", "lab.narrowed"})
        for one in self.stopped(narwal).values():
            self.assertIn("its entry in the publication was changed", one["reason"])
        for table in TABLES:
            self.server.sql(f"UPDATE lab.{table} SET n = 2")
        narwal.wait_caught_up()
        self.assertEqual({row["n"] for row in self.rows(narwal, "other").values()}, {2})
        self.assertEqual({row["id"]: row["n"] for row in self.rows(narwal, "kept").values()},
                         dict.fromkeys(range(1, 6), 2))
        self.assertLessEqual(set(self.rows(narwal, "cut")), set(range(1, 9)))

    def test_a_column_that_came_while_it_was_down_is_no_dropped_one(self):
        """The catalog has it when narwal starts; what the server says first of the table is older."""
        narwal = self.narwal(tables={"policies": ["lab.* drop_column=stop"]})
        narwal.start().wait_streaming()
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        self.server.sql("UPDATE lab.kept SET n = 1")
        self.server.sql("ALTER TABLE lab.kept ADD late int DEFAULT 5")
        self.server.sql("UPDATE lab.kept SET n = 2")
        narwal.start().wait_caught_up()
        self.assertEqual(self.stopped(narwal), {})
        self.assertEqual({(row["n"], row["late"]) for row in self.rows(narwal, "kept").values()}, {(2, 5)})
        self.server.sql("ALTER TABLE lab.kept DROP late")
        self.server.sql("UPDATE lab.kept SET n = 3")
        narwal.wait("the stop", lambda: set(self.stopped(narwal)) == {("lab.kept", "")})

    def test_what_one_sink_refuses_stops_the_table_there_alone(self):
        """By write(), and a value without an exact form at a sink that reads no exceptions."""
        plugins = self.server.folder / "plugins"
        plugins.mkdir(mode=0o755)
        for plugin in ("plugins/file.so", "tests/sdk/plugins/refuse.so"):
            shutil.copy(build() / plugin, plugins)
        for table in ("refused", "refused_later"):
            self.server.sql(f"CREATE TABLE lab.{table} (id int PRIMARY KEY, n numeric(5, 2))")
        self.server.sql("INSERT INTO lab.refused VALUES (1, 1)")
        self.server.sql("ALTER TABLE lab.kept ADD d numeric(5, 2)")
        narwal = self.narwal(plugin_dir=str(plugins))
        narwal.config["sinks"].append({"type": "refuse"})
        narwal.start().wait_streaming()
        self.server.sql("INSERT INTO lab.refused_later VALUES (1, 1)")
        self.server.sql("UPDATE lab.kept SET d = 'NaN'")
        self.server.sql("UPDATE lab.other SET n = 7")
        narwal.wait("the status", lambda: len(self.stopped(narwal)) == 3)
        narwal.wait_caught_up()
        stopped = self.stopped(narwal)
        self.assertEqual(set(stopped), {("lab.refused", "refuse"), ("lab.refused_later", "refuse"),
                                        ("lab.kept", "refuse")})
        self.assertRegex(stopped["lab.refused", "refuse"]["reason"], "NW2403 .*no row of such a table")
        self.assertRegex(stopped["lab.kept", "refuse"]["reason"], "NW2404 .*without an exact form")
        self.assertEqual({row["d"] for row in self.rows(narwal, "kept").values()}, {"NaN"})
        for table in ("refused", "refused_later"):
            self.assertEqual(self.rows(narwal, table), {1: {"id": 1, "n": "1.00"}})
        self.assertEqual({row["n"] for row in self.rows(narwal, "other").values()}, {7})
        self.server.sql("UPDATE lab.kept SET d = 1")
        self.ask(narwal, "repair", "lab.kept")  # at that sink alone
        narwal.wait("the copy", lambda: "copied lab.kept while" in narwal.log())
        self.wait_phase(narwal)
        narwal.wait_caught_up()
        narwal.wait("the status", lambda: set(self.stopped(narwal)) ==
                    {("lab.refused", "refuse"), ("lab.refused_later", "refuse")})
        self.assertEqual({row["d"] for row in self.rows(narwal, "kept").values()}, {"1.00"})
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        self.server.sql("INSERT INTO lab.refused_later VALUES (2, 2)")
        narwal.start().wait_caught_up()
        self.assertEqual(len(self.rows(narwal, "refused_later")), 2)
        self.assertIn("table lab.refused is stopped since", narwal.log())
        self.assertIn("at sink refuse", narwal.log())

    def ask(self, narwal, verb, table):
        code, text = narwal.call("table", verb, table)
        self.assertEqual(code, 0, text)
        self.assertIn("narwal status lists it as waiting", text)
        narwal.wait("the copy", lambda: f"table {table} is copied, as" in narwal.log())

    def wait_phase(self, narwal):
        """Until a started narwal streams, whatever its files had before."""
        narwal.wait("the stream", lambda: narwal.call("status", "--json")[0] == 0 and
                    self.status(narwal)["phase"] == "streaming")

    def wait_whole(self, narwal, *tables):
        """Until the tables are copied, and the files have all there is."""
        self.wait_phase(narwal)
        for table in tables:  # the status may be half a second old
            narwal.wait("the copy", lambda table=table:
                        narwal.log().count(f"table {table} is copied, as") <=
                        narwal.log().count(f"copied {table} while"))
        narwal.wait("the copy", lambda: not set(self.stopped(narwal)) & {(table, "") for table in tables})
        narwal.wait_caught_up()
        for table in tables:
            name = table.split(".")[1]
            expected = {row[0]: row for row in self.server.sql(f"SELECT id, note, n FROM {table}")}
            self.assertEqual({key: (row["id"], row["note"], row["n"])
                              for key, row in self.rows(narwal, name).items()}, expected, table)
        code, text = narwal.call_verify()
        self.assertEqual(code, 0, text)

    def test_a_stopped_table_is_repaired_while_the_others_go_on(self):
        """Also when narwal is killed in the copy, and when what stopped the table comes again."""
        narwal = self.narwal(tables={"policies": ["lab.cut truncate=stop"]}, copy={"chunk": "64KiB"})
        narwal.start().wait_streaming()
        self.server.sql("TRUNCATE lab.cut")
        self.server.sql("INSERT INTO lab.cut SELECT g, repeat('x', 100), 0 FROM generate_series(1, 5000) g")
        self.server.sql("INSERT INTO lab.other VALUES (11, 'before', 1)")
        narwal.wait_caught_up()
        narwal.wait("the stop", lambda: ("lab.cut", "") in self.stopped(narwal))
        narwal.kill()

        self.wait_phase(narwal.start(NARWAL_CRASH_AT="join:3"))
        self.server.sql("UPDATE lab.other SET n = 8")
        self.server.sql("TRUNCATE lab.cut")  # before the copy's fence: it must not stop it again
        self.server.sql("INSERT INTO lab.cut SELECT g, repeat('y', 100), 0 FROM generate_series(1, 5000) g")
        self.ask(narwal, "repair", "lab.cut")
        self.assertNotEqual(narwal.wait_exit(), 0)
        self.server.sql("UPDATE lab.cut SET n = 1 WHERE id % 2 = 0")
        self.server.sql("DELETE FROM lab.cut WHERE id % 10 = 0")
        self.server.sql("UPDATE lab.other SET n = 9")
        narwal.start()
        self.server.sql("UPDATE lab.cut SET n = 2 WHERE id % 3 = 0")
        self.wait_whole(narwal, "lab.cut", "lab.other", "lab.kept")
        self.assertEqual(self.stopped(narwal), {})
        code, text = narwal.call("table", "repair", "lab.cut")
        self.assertEqual(code, 1, text)
        self.assertRegex(text, "NW1505 .*nothing to repair")

        self.server.sql("TRUNCATE lab.cut")  # the policy still holds
        narwal.wait("the stop", lambda: self.stopped(narwal))
        self.ask(narwal, "repair", "lab.cut")
        self.wait_whole(narwal, "lab.cut", "lab.other", "lab.kept")
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        narwal.start().wait_caught_up()
        self.assertNotIn("is copied, as", narwal.log())
        self.wait_whole(narwal, "lab.cut", "lab.other", "lab.kept")

    def test_a_table_is_copied_again_or_joins(self):
        for ack in ("spool", "sink"):
            narwal = self.narwal(protect={"ack": ack}, tables={"exclude": ["lab.kept"],
                                                               "new_tables": "ignore"})
            narwal.start().wait_streaming()
            joins = f"joins_{ack}"
            self.server.sql(f"CREATE TABLE lab.{joins} (id int PRIMARY KEY, note text, n int)")
            self.server.sql(f"INSERT INTO lab.{joins} SELECT g, 'before', 0 FROM generate_series(1, 10) g")
            self.server.sql("INSERT INTO lab.other VALUES (20, 'later', 1) ON CONFLICT DO NOTHING")
            self.ask(narwal, "add", f"lab.{joins}")
            self.server.sql(f"INSERT INTO lab.{joins} SELECT g, 'after', 0 FROM generate_series(11, 20) g")
            self.server.sql("UPDATE lab.other SET n = n + 1")
            self.wait_whole(narwal, f"lab.{joins}", "lab.other", "lab.cut")
            self.server.sql(f"UPDATE lab.{joins} SET n = 1 WHERE id < 15")
            self.wait_whole(narwal, f"lab.{joins}")
            self.ask(narwal, "refresh", "lab.other")
            self.server.sql("DELETE FROM lab.other WHERE id = 3")
            self.wait_whole(narwal, f"lab.{joins}", "lab.other", "lab.cut")
            self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

            for words, reason in ((("refresh", "lab.other"), "no narwal runs"),):
                code, text = narwal.call("table", *words)
                self.assertEqual(code, 1, text)
                self.assertIn(reason, text)
            self.wait_phase(narwal.start())
            for words, code, reason in ((("refresh", "lab.none"), 1, "NW1504 there is no table lab.none"),
                                        (("refresh", "lab.kept"), 1, "leaves lab.kept out"),
                                        (("repair", "lab.other"), 1, "nothing to repair"),
                                        (("mend", "lab.other"), 2, "add|refresh|repair")):
                found, text = narwal.call("table", *words)
                self.assertEqual(found, code, text)
                self.assertIn(reason, text)
            self.wait_whole(narwal, f"lab.{joins}", "lab.other", "lab.cut")
            self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_row_that_the_copy_cannot_hold_stops_its_table(self):
        self.server.sql("UPDATE lab.kept SET note = repeat('x', 40000000) WHERE id = 5")
        narwal = self.narwal(limits={"memory": "64MiB"})
        narwal.start().wait_streaming()
        self.server.sql("UPDATE lab.kept SET n = 1")
        self.server.sql("UPDATE lab.other SET n = 1")
        narwal.wait_caught_up()
        narwal.wait("the status", lambda: self.stopped(narwal))
        stopped = self.stopped(narwal)
        self.assertEqual(set(stopped), {("lab.kept", "")})
        self.assertRegex(stopped["lab.kept", ""]["reason"], "NW2108 .*a row has 4000.* bytes")
        self.assertEqual({row["n"] for row in self.rows(narwal, "other").values()}, {1})
        self.assertEqual(len(self.rows(narwal, "cut")), 10)

    def test_a_row_that_the_memory_budget_cannot_hold_stops_its_table(self):
        """With transactions streamed, and without; the buffer that receives does not grow to it."""
        for streaming in (True, False):
            narwal = self.narwal(limits={"memory": "64MiB"}, source={"streaming": streaming})
            narwal.start().wait_streaming()
            narwal.wait_caught_up()
            table = "kept" if streaming else "narrowed"
            before = narwal.memory_peak()
            with self.server.connect() as session, session.cursor() as cursor:
                cursor.execute(f"UPDATE lab.{table} SET n = 1")
                cursor.execute(f"UPDATE lab.{table} SET note = repeat('x', 40000000) WHERE id = 5")
                cursor.execute(f"UPDATE lab.{table} SET n = 2")
                cursor.execute("UPDATE lab.other SET n = n + 1")
            narwal.wait_caught_up()
            narwal.wait("the status", lambda: self.stopped(narwal))
            stopped = self.stopped(narwal)
            self.assertEqual(set(stopped), {(f"lab.{table}", "")})
            self.assertRegex(stopped[f"lab.{table}", ""]["reason"], "a row has 4000.* bytes")
            self.assertLess(narwal.memory_peak() - before, 30 << 20)
            self.assertEqual({row["n"] for row in self.rows(narwal, "other").values()},
                             {1 if streaming else 2})
            self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
            self.server.sql(f"DELETE FROM lab.{table} WHERE id = 5")


if __name__ == "__main__":
    check.main()
