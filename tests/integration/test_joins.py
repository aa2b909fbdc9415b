#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tables that are copied while the others stream: under load, killed, and for a sink that is new."""
import collections
import copy
import json
import os
import pathlib
import random
import shutil
import signal
import threading
import time

from lab import check, folder, workload
from lab.narwal import Narwal, build

KILLS = 8
REFRESHED = [f"lab.{name}" for schema, name in workload.TABLES if schema == "lab"]


class JoinsTest(check.Case):
    def setUp(self):
        self.random = random.Random(check.seed())
        self.server = self.cluster()
        workload.create_tables(self.server.connect())
        self.load = workload.Workload(self.server.dsn(), seed=check.seed(), sessions=3, pause=0.01,
                                      bulk_rows=1000)
        self.load.rewrites = True

    def fill(self, rows):
        """A table that takes a while to copy, of which some rows change all the time."""
        self.server.sql("CREATE TABLE lab.large (id int PRIMARY KEY, n int, filler text)")
        self.server.sql(f"INSERT INTO lab.large SELECT g, 0, repeat(md5(g::text), 6) "
                        f"FROM generate_series(1, {rows}) g")

    def refresh(self, narwal, table):
        """@return whether it was begun; it may be under way already."""
        code, text = narwal.call("table", "refresh", table)
        if code != 0:
            self.assertTrue("being copied already" in text or "not stream" in text or
                            "a copy runs" in text or "no narwal runs" in text, text)
        return code == 0

    def wait_whole(self, narwal):
        narwal.wait("the copies", lambda: narwal.call("status", "--json")[1].find('"waiting"') < 0, 120)

    def finish(self, narwal, tables, kills=0):
        if not narwal.running:
            narwal.start()
        narwal.wait_caught_up()
        time.sleep(0.6)  # the status is half a second old
        self.wait_whole(narwal)
        narwal.wait_caught_up()
        result = narwal.compare(tables)
        print(f"{kills} kills: {result}", end=" ... ", flush=True)
        self.assertTrue(result.good, f"{result.report()}\n{narwal.log_tail()}")
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        status, output = narwal.call_verify()
        self.assertEqual(status, 0, output)

    def test_every_table_is_copied_again_under_load(self):
        narwal = self.enter(Narwal(self.server, settings={"copy": {"chunk": "64KiB"}}))
        begun = 0
        with self.load:
            narwal.start().wait_streaming()
            for _ in range(2):
                tables = REFRESHED[:]
                self.random.shuffle(tables)
                for table in tables:
                    begun += self.refresh(narwal, table)
                    self.load.run_until(lambda until=self.load.transactions + 10:
                                        self.load.transactions > until)
            self.assertTrue(narwal.running, narwal.log_tail())
        self.assertGreaterEqual(begun, len(REFRESHED))
        self.finish(narwal, workload.TABLES)
        self.assertGreater(narwal.log().count("while the stream went on"), 1)  # rounds

    def test_the_others_do_not_wait(self):
        """A copy that is held up takes seconds, and what is written elsewhere is there at once."""
        self.fill(60000)
        narwal = self.enter(Narwal(self.server, settings={"copy": {"chunk": "1MiB", "rate": "3MiB"}}))
        narwal.start().wait_streaming(120)
        self.server.sql("INSERT INTO lab.plain VALUES (1, 0, 'x')")
        narwal.wait_caught_up()
        self.assertTrue(self.refresh(narwal, "lab.large"))
        lags = []
        began = time.monotonic()
        while "copied lab.large while" not in narwal.log():
            self.assertLess(time.monotonic() - began, 60, narwal.log_tail())
            self.server.sql("UPDATE lab.large SET n = n + 1 WHERE id %% 1000 = %s", (len(lags),))
            self.server.sql("UPDATE lab.plain SET n = n + 1")
            before = time.monotonic()
            narwal.wait_caught_up()
            lags.append(time.monotonic() - before)
        self.assertGreater(time.monotonic() - began, 2, "the copy was over too soon to see anything")
        lags.sort()
        print(f"lag p50 {lags[len(lags) // 2] * 1e3:.0f} ms of {len(lags)}", end=" ... ", flush=True)
        self.assertLess(lags[len(lags) // 2], 1)
        self.finish(narwal, [("lab", "large"), ("lab", "plain")])

    def test_killed_while_tables_join(self):
        self.fill(20000)
        narwal = self.enter(Narwal(self.server, settings={"copy": {"chunk": "64KiB", "workers": 2}}))
        tables = REFRESHED + ["lab.large"]
        kills = 0
        with self.load:
            narwal.start().wait_streaming()
            narwal.terminate()
            for number in range(KILLS):
                point = self.random.choice(["join", "join", "commit", "write"])
                narwal.start(NARWAL_CRASH_AT=f"{point}:{self.random.randint(1, 40)}")
                deadline = time.monotonic() + 20
                while narwal.running and time.monotonic() < deadline:
                    narwal.call("table", "refresh", self.random.choice(tables))
                    time.sleep(0.02)
                self.server.sql("UPDATE lab.large SET n = n + 1, filler = filler || 'x' WHERE id %% 7 = %s",
                                (number % 7,))
                self.assertEqual(narwal.wait_exit(), -signal.SIGKILL, f"{point}\n{narwal.log_tail()}")
                kills += 1
            narwal.start()
            self.load.run_until(lambda until=self.load.transactions + 200: self.load.transactions > until)
        self.finish(narwal, workload.TABLES + [("lab", "large")], kills)

    def test_a_new_sink_is_copied_to_while_the_other_streams(self):
        self.fill(20000)
        narwal = self.enter(Narwal(self.server, settings={"copy": {"chunk": "64KiB"}}))
        tables = workload.TABLES + [("lab", "large")]
        with self.load:
            narwal.start().wait_streaming()
            self.assertEqual(narwal.terminate(), 0)
            later = copy.deepcopy(narwal.config["sinks"][0])
            later.update(name="later", path=str(narwal.home / "later"))
            narwal.config["sinks"].append(later)
            kills = 0
            for number in range(4):
                narwal.start(NARWAL_CRASH_AT=f"{'join' if number % 2 else 'write'}:"
                                             f"{self.random.randint(2, 30)}")
                self.assertEqual(narwal.wait_exit(), -signal.SIGKILL, narwal.log_tail())
                kills += 1
                self.server.sql("UPDATE lab.large SET n = n + 1 WHERE id %% 7 = %s", (number,))
            narwal.start()
            before = narwal.state().lsn
            narwal.wait("the first sink", lambda: narwal.state().lsn > before)
            narwal.wait("the copy", lambda: "while the stream went on" in narwal.log(), 120)
            self.load.run_until(lambda until=self.load.transactions + 100: self.load.transactions > until)
        narwal.wait_caught_up()
        narwal.wait("the new sink", lambda: folder.State(narwal.home / "later").lsn >= narwal.state().lsn)
        self.finish(narwal, tables, kills)
        narwal.out = narwal.home / "later"
        result = narwal.compare(tables)
        self.assertTrue(result.good, f"{result.report()}\n{narwal.log_tail()}")
        self.assertEqual(result.tables, len(tables))


class JoinFaultsTest(check.Case):
    """What may happen to a table, and to narwal, while it is copied beside the stream."""

    TABLES = [("lab", "large"), ("lab", "other")]

    def setUp(self):
        self.server = self.cluster()
        self.server.sql("CREATE SCHEMA lab")
        self.server.sql("CREATE TABLE lab.marker (id bigint PRIMARY KEY, at timestamptz DEFAULT now())")
        self.server.sql("CREATE TABLE lab.large (id int PRIMARY KEY, n int, filler text)")
        self.server.sql("CREATE TABLE lab.other (id int PRIMARY KEY, n int)")
        self.server.sql("INSERT INTO lab.other VALUES (1, 0)")

    def fill(self, rows):
        self.server.sql("INSERT INTO lab.large SELECT g, 0, repeat(md5(g::text), 6) "
                        "FROM generate_series(1, %s) g", (rows,))

    def narwal(self, rate="2MiB", **settings):
        return self.enter(Narwal(self.server, settings={"copy": {"chunk": "256KiB", "rate": rate},
                                                        **settings}))

    def slowed(self, narwal, rate, **more):
        """It has all; from now on copies are slow."""
        narwal.start().wait_streaming()
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        narwal.config["copy"].update(rate=rate, **more)
        narwal.start().wait_caught_up()

    def join(self, narwal, table="lab.large", verb="refresh"):
        """The copy was begun, and its fence is made."""
        seen = narwal.log().count("snapshot of a temporary slot")
        code, text = narwal.call("table", verb, table)
        self.assertEqual(code, 0, text)
        narwal.wait("the fence", lambda: narwal.log().count("snapshot of a temporary slot") > seen)

    def status(self, narwal):
        code, text = narwal.call("status", "--json")
        return json.loads(text) if text.startswith("{") else {}

    def copied(self, narwal, what="lab.large"):
        return f"copied {what} " in narwal.log()

    def others_go_on(self, narwal):
        self.server.sql("UPDATE lab.other SET n = n + 1")
        narwal.wait_caught_up(20)

    def finish(self, narwal, tables=None):
        narwal.wait_caught_up()
        result = narwal.compare(tables or self.TABLES)
        self.assertTrue(result.good, f"{result.report()}\n{narwal.log_tail()}")
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        status, output = narwal.call_verify()
        self.assertEqual(status, 0, output)

    def test_far_more_is_held_than_there_is_memory(self):
        self.fill(40000)
        narwal = self.narwal(rate="64MiB", limits={"memory": "64MiB", "spill": "2GiB"})
        self.slowed(narwal, "700KiB")
        self.join(narwal)
        spilled = 0
        for _ in range(5):
            self.server.sql("UPDATE lab.large SET n = n + 1, filler = repeat(md5(id::text), 30)")
            self.others_go_on(narwal)
            spilled = max([spilled, *(sink["spilled_bytes"] for sink in self.status(narwal)["sinks"])])
            if self.copied(narwal):  # a slow machine had no time for more
                break
        narwal.wait("the copy", lambda: self.copied(narwal), 90)
        print(f"{spilled >> 20} MiB spilled, peak {narwal.memory_peak() >> 20} MiB", end=" ... ", flush=True)
        self.assertGreater(spilled, 64 << 20)
        self.finish(narwal)

    def update_one_by_one(self, stop, first, last):
        """A session that changes one row in each transaction, as fast as it can."""
        with self.server.connect().cursor() as cursor:
            cursor.execute("SET synchronous_commit = off")
            while not stop.is_set():
                for row in range(first, last):
                    cursor.execute("UPDATE lab.large SET n = n + 1, filler = repeat(md5(n::text), 30) "
                                   "WHERE id = %s", (row,))

    def test_a_busy_table_is_held_in_small_batches(self):
        """Its changes come in batches of a few rows, of which each is smaller than what is spilled."""
        self.fill(30000)
        narwal = self.narwal(rate="64MiB", limits={"memory": "64MiB", "spill": "2GiB"})
        self.slowed(narwal, "300KiB")
        stop = threading.Event()
        sessions = [threading.Thread(target=self.update_one_by_one, args=(stop, first, first + 500))
                    for first in (1, 29000)]
        waiting = {"rows": 0, "bytes": 0, "memory": 0}
        for session in sessions:
            session.start()
        try:
            self.join(narwal)
            began = time.monotonic()
            while not self.copied(narwal) and time.monotonic() - began < 25:
                self.others_go_on(narwal)
                for sink in self.status(narwal).get("sinks", ()):
                    waiting["rows"] = max(waiting["rows"], sink["waiting_rows"])
                    waiting["bytes"] = max(waiting["bytes"], sink["waiting_bytes"])
                waiting["memory"] = narwal.memory_peak()
                time.sleep(0.5)
        finally:
            stop.set()
            for session in sessions:
                session.join()
        narwal.wait("the copy", lambda: self.copied(narwal), 90)
        print(f"{waiting['rows']} changes, {waiting['bytes'] >> 20} MiB waited, peak "
              f"{waiting['memory'] >> 20} MiB, and {narwal.memory_peak() >> 20} MiB at their release",
              end=" ... ", flush=True)
        self.assertGreater(waiting["rows"], 5000)
        self.assertGreater(waiting["bytes"], 8 << 20)
        if "NARWAL_DEBUG" not in os.environ:  # a sanitizer multiplies memory
            self.assertLess(narwal.memory_peak(), 160 << 20)
        self.finish(narwal)
        self.assertNotIn("lab.large stopped", narwal.log())

    def test_more_is_held_than_memory_and_spill(self):
        self.fill(40000)
        narwal = self.narwal(rate="64MiB", limits={"memory": "64MiB", "spill": "64MiB"})
        self.slowed(narwal, "300KiB")
        self.join(narwal)
        for _ in range(8):
            self.server.sql("UPDATE lab.large SET n = n + 1, filler = repeat(md5(id::text), 30)")
            self.server.sql("UPDATE lab.other SET n = n + 1")
        narwal.wait("the stop", lambda: "lab.large stopped" in narwal.log(), 60)
        self.assertRegex(narwal.log(), "NW2416 .*more than limits[.]memory and limits[.]spill have room for")
        self.others_go_on(narwal)
        narwal.wait("the status", lambda: [t for t in self.status(narwal).get("stopped_tables", ())
                                           if t["table"] == "lab.large"])
        narwal.config["copy"]["rate"] = "64MiB"
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        narwal.start().wait_caught_up()
        narwal.wait("streaming", lambda: narwal.call("table", "repair", "lab.large")[0] == 0)
        narwal.wait("the copy", lambda: self.copied(narwal), 90)
        self.finish(narwal)

    def ddl(self, *statements, gone=False, tables=None):
        self.fill(20000)
        self.server.sql("CREATE TABLE lab.child (id int PRIMARY KEY, large int REFERENCES lab.large)")
        self.server.sql("INSERT INTO lab.child SELECT g, g FROM generate_series(1, 100) g")
        narwal = self.narwal(rate="64MiB")
        self.slowed(narwal, "1500KiB", workers=2)
        self.join(narwal)
        time.sleep(1)
        for statement in statements:
            self.server.sql(statement)
        self.assertFalse(self.copied(narwal), "the copy was over too soon")
        self.others_go_on(narwal)
        if not gone:
            narwal.wait("the copy", lambda: self.copied(narwal), 90)
        narwal.wait("nothing waits", lambda: narwal.call("status", "--json")[1].find('"waiting"') < 0, 90)
        self.others_go_on(narwal)
        self.finish(narwal, tables or self.TABLES + [("lab", "child")])
        return narwal

    def test_columns_come_and_go_meanwhile(self):
        self.ddl("UPDATE lab.large SET n = 1 WHERE id % 3 = 0",
                 "ALTER TABLE lab.large ADD x int DEFAULT 7",
                 "UPDATE lab.large SET x = 8 WHERE id % 5 = 0",
                 "ALTER TABLE lab.large DROP COLUMN n",
                 "UPDATE lab.large SET filler = 'y' WHERE id % 7 = 0",
                 "ALTER TABLE lab.large RENAME filler TO label",
                 "UPDATE lab.large SET label = 'z' WHERE id % 11 = 0")

    def test_a_rewrite_meanwhile(self):
        self.ddl("UPDATE lab.large SET n = 1 WHERE id % 3 = 0",
                 "ALTER TABLE lab.large ALTER n TYPE bigint",
                 "UPDATE lab.large SET n = 1::bigint << 40 WHERE id % 5 = 0")

    def test_a_truncate_that_cascades_meanwhile(self):
        self.ddl("UPDATE lab.large SET n = 1 WHERE id % 3 = 0",
                 "TRUNCATE lab.large CASCADE",
                 "INSERT INTO lab.large SELECT g, 5, 'new' FROM generate_series(5, 5000) g",
                 "INSERT INTO lab.child VALUES (7, 7)")

    def test_a_truncate_of_another_that_cascades_to_it(self):
        self.ddl("INSERT INTO lab.child VALUES (101, 101)", "DELETE FROM lab.child WHERE id = 3",
                 "TRUNCATE lab.child, lab.large, lab.other",
                 "INSERT INTO lab.other VALUES (1, 1)",
                 "INSERT INTO lab.large SELECT g, 5, 'new' FROM generate_series(5, 50) g")

    def test_it_is_renamed_meanwhile(self):
        self.ddl("UPDATE lab.large SET n = 1 WHERE id % 3 = 0", "ALTER TABLE lab.large RENAME TO huge",
                 "UPDATE lab.huge SET n = 2 WHERE id % 5 = 0", gone=True,
                 tables=[("lab", "huge"), ("lab", "other")])

    def assert_no_fault(self, narwal):
        """What became of one table did not end the attempt."""
        self.assertNotIn("trying again", narwal.log(), narwal.log_tail())

    def test_it_is_dropped_meanwhile(self):
        narwal = self.ddl("UPDATE lab.large SET n = 1 WHERE id % 3 = 0", "DROP TABLE lab.large CASCADE",
                          gone=True, tables=[("lab", "other")])
        self.assert_no_fault(narwal)
        found = [line["op"] for table in narwal.state().folder.tables if table.name == "large"
                 for line in table.changes()]
        self.assertEqual(found.count("X"), 1, found[-5:])

    def test_it_is_dropped_and_made_again_meanwhile(self):
        self.ddl("UPDATE lab.large SET n = 1 WHERE id % 3 = 0", "DROP TABLE lab.large CASCADE",
                 "CREATE TABLE lab.large (id int PRIMARY KEY, other text)",
                 "INSERT INTO lab.large SELECT g, 'new' FROM generate_series(5, 50) g", gone=True,
                 tables=[("lab", "other")])

    def test_a_round_goes_on_without_those_that_go(self):
        """Of the tables that a new sink gets one is dropped, one is dropped and kept, one stops."""
        self.fill(20000)
        for table in ("dropped", "kept", "stops"):
            self.server.sql(f"CREATE TABLE lab.{table} (id int PRIMARY KEY, n int, filler text)")
            self.server.sql(f"INSERT INTO lab.{table} SELECT g, 0, repeat(md5(g::text), 6) "
                            "FROM generate_series(1, 20000) g")
        policies = ["lab.stops truncate=stop", "lab.kept drop_table=keep"]
        narwal = self.narwal(rate="64MiB", tables={"policies": policies})
        narwal.start().wait_streaming()
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        sinks = narwal.config["sinks"]
        sinks[0].update(name="first")
        sinks.append({**sinks[0], "name": "second", "path": str(narwal.home / "second")})
        narwal.config["copy"].update(rate="1500KiB", workers=2)
        narwal.start()
        narwal.wait("the copies", lambda: self.status(narwal).get("copy", {}).get("rows", 0) > 0)
        for statement in ("UPDATE lab.dropped SET n = 1", "DROP TABLE lab.dropped", "DROP TABLE lab.kept",
                          "TRUNCATE lab.stops", "UPDATE lab.large SET n = 2 WHERE id % 3 = 0"):
            self.server.sql(statement)
        self.assertFalse(self.copied(narwal), "the copy was over too soon")
        narwal.wait("the stop", lambda: {("lab.dropped", "dropped"), ("lab.stops", "stopped")} <=
                    {(t["table"], t["state"]) for t in self.status(narwal)["stopped_tables"]}, 40)
        narwal.wait("nothing waits", lambda: narwal.call("status", "--json")[1].find('"waiting"') < 0, 90)
        self.others_go_on(narwal)
        self.assert_no_fault(narwal)
        self.assertNotIn("lab.kept", [t["table"] for t in self.status(narwal)["stopped_tables"]])
        code, text = narwal.call("table", "repair", "lab.stops")
        self.assertEqual(code, 0, text)
        narwal.wait("the repair", lambda: self.copied(narwal, "lab.stops"), 60)
        first = narwal.out
        for out in (narwal.home / "second", first):
            narwal.out = out
            narwal.wait_caught_up()
            result = narwal.compare(self.TABLES + [("lab", "stops")])
            self.assertTrue(result.good, f"{out}: {result.report()}\n{narwal.log_tail()}")
        self.finish(narwal)

    def test_what_waits_leaves_the_publication_or_the_patterns(self):
        """In a round, in the queue, and at a start."""
        self.fill(20000)
        for table in ("gone", "away", "later"):
            self.server.sql(f"CREATE TABLE lab.{table} (id int PRIMARY KEY, n int)")
            self.server.sql(f"INSERT INTO lab.{table} VALUES (1, 0)")
        self.server.sql("CREATE SCHEMA other")
        self.server.sql("CREATE PUBLICATION ours FOR TABLE lab.marker, lab.large, lab.other, lab.gone, "
                        "lab.away, lab.later")
        narwal = self.narwal(rate="64MiB", tables={"include": ["lab.*"]},
                             source={"publication": {"name": "ours", "create": False}})
        self.slowed(narwal, "1500KiB")
        self.join(narwal)
        for table in ("gone", "away"):
            code, text = narwal.call("table", "refresh", f"lab.{table}")
            self.assertEqual(code, 0, text)
        self.server.sql("ALTER PUBLICATION ours DROP TABLE lab.gone")
        self.server.sql("ALTER TABLE lab.away SET SCHEMA other")
        narwal.wait("the copy", lambda: self.copied(narwal), 90)

        def states():
            return {t["table"]: (t["state"], t["reason"]) for t in self.status(narwal).get("stopped_tables", ())}
        narwal.wait("nothing waits", lambda: "waiting" not in {state for state, _ in states().values()}, 60)
        self.assertEqual(set(states()), {"lab.gone"})
        self.assertRegex(states()["lab.gone"][1], "NW2111 .*left the publication while it waited")
        self.others_go_on(narwal)
        self.assert_no_fault(narwal)
        code, text = narwal.call("table", "refresh", "lab.large")
        self.assertEqual(code, 0, text)
        code, text = narwal.call("table", "refresh", "lab.later")
        self.assertEqual(code, 0, text)
        narwal.kill()
        self.server.sql("ALTER PUBLICATION ours DROP TABLE lab.later")
        self.server.sql("ALTER PUBLICATION ours ADD TABLE lab.gone")
        narwal.start()
        narwal.wait("the stop", lambda: states().get("lab.later", ("",))[0] == "stopped", 30)
        narwal.wait("the copy", lambda: self.copied(narwal), 90)
        code, text = narwal.call("table", "repair", "lab.gone")
        self.assertEqual(code, 0, text)
        narwal.wait("the repair", lambda: self.copied(narwal, "lab.gone"), 60)
        self.finish(narwal, self.TABLES + [("lab", "gone")])

    def test_what_waits_for_its_turn_is_dropped_or_renamed(self):
        self.fill(20000)
        for table in ("dropped", "renamed"):
            self.server.sql(f"CREATE TABLE lab.{table} (id int PRIMARY KEY, n int)")
            self.server.sql(f"INSERT INTO lab.{table} VALUES (1, 0)")
        narwal = self.narwal(rate="64MiB")
        self.slowed(narwal, "1500KiB")
        self.join(narwal)
        for table in ("dropped", "renamed"):
            code, text = narwal.call("table", "refresh", f"lab.{table}")
            self.assertEqual(code, 0, text)
        self.server.sql("UPDATE lab.renamed SET n = 1")
        self.server.sql("DROP TABLE lab.dropped")
        self.server.sql("ALTER TABLE lab.renamed RENAME TO renewed")
        self.server.sql("UPDATE lab.renewed SET n = 2")
        narwal.wait("the copy", lambda: self.copied(narwal), 90)
        self.others_go_on(narwal)
        narwal.wait("nothing waits", lambda: narwal.call("status", "--json")[1].find('"waiting"') < 0, 60)
        self.finish(narwal, self.TABLES + [("lab", "renewed")])

    def test_what_waits_for_its_turn_stops(self):
        """Its copy is instead of what was kept, and it streams behind it."""
        self.fill(1000)
        narwal = self.narwal(rate="64MiB", tables={"truncate": "stop"})
        narwal.start().wait_streaming()
        self.server.sql("INSERT INTO lab.large VALUES (0, 9, 'one')")
        narwal.wait_caught_up()
        with self.server.connect(autocommit=False) as session, session.cursor() as cursor:
            cursor.execute("LOCK TABLE lab.other IN ACCESS EXCLUSIVE MODE")
            for table in ("other", "large"):
                self.assertEqual(narwal.call("table", "refresh", f"lab.{table}")[0], 0)
                time.sleep(1)
            self.server.sql("TRUNCATE lab.large")
            self.server.sql("INSERT INTO lab.large VALUES (1, 9, 'two')")
            narwal.wait("the stop", lambda: "NW2102 table lab.large stopped" in narwal.log())
        narwal.wait("the copy", lambda: "NW1505 table lab.large: it is copied; it stopped just before" in narwal.log(), 60)
        narwal.wait("nothing waits", lambda: "stopped_tables" not in self.status(narwal) or not self.status(narwal)["stopped_tables"], 60)
        self.server.sql("INSERT INTO lab.large VALUES (2, 9, 'three')")
        self.finish(narwal)

    def test_a_transaction_that_stays_open_before_the_fence(self):
        self.fill(2000)
        narwal = self.narwal(rate="64MiB")
        narwal.start().wait_streaming()
        with self.server.connect(autocommit=False) as session, session.cursor() as cursor:
            cursor.execute("INSERT INTO lab.large VALUES (0, 9, 'open')")
            code, text = narwal.call("table", "refresh", "lab.large")
            self.assertEqual(code, 0, text)
            narwal.wait("the wait", lambda: "waiting for a consistent point" in narwal.log())
            for _ in range(3):
                self.others_go_on(narwal)
            narwal.wait("the status", lambda: [("lab.large", "waiting")] == [
                (table["table"], table["state"]) for table in self.status(narwal)["stopped_tables"]], 5)
            began = time.monotonic()
            self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
            self.assertLess(time.monotonic() - began, 3)
            narwal.start()
            self.others_go_on(narwal)
            session.commit()
        narwal.wait("the copy", lambda: self.copied(narwal), 60)
        self.finish(narwal)

    def test_stopped_and_cut_off_while_it_joins(self):
        """A stop, then a lost walsender, then lost sessions of the copy."""
        self.fill(20000)
        narwal = self.narwal(rate="64MiB")
        self.slowed(narwal, "500KiB", workers=2)
        self.join(narwal)
        self.server.sql("UPDATE lab.large SET n = n + 1 WHERE id % 3 = 0")
        time.sleep(0.5)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        self.server.sql("DELETE FROM lab.large WHERE id % 5 = 0")
        narwal.start()
        narwal.wait("the fence", lambda: "snapshot of a temporary slot" in narwal.log())
        self.server.sql("UPDATE lab.large SET n = n + 1 WHERE id % 7 = 0")
        for ours in ("backend_type = 'walsender'", "query LIKE '%COPY%'", "backend_type = 'walsender'"):
            narwal.wait(ours, lambda ours=ours: self.server.sql(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours} "
                "AND pid <> pg_backend_pid()"), 10)
            self.server.sql("UPDATE lab.large SET n = n + 1 WHERE id % 7 = 1")
            self.others_go_on(narwal)
        narwal.wait("the copy", lambda: self.copied(narwal), 90)
        self.finish(narwal)

    def test_huge_transactions_while_it_joins(self):
        self.fill(6000)
        narwal = self.narwal(rate="64MiB", limits={"memory": "64MiB", "spill": "2GiB"})
        self.slowed(narwal, "350KiB")
        with self.server.connect(autocommit=False) as session, session.cursor() as cursor:
            cursor.execute("INSERT INTO lab.other SELECT g, g FROM generate_series(2, 50000) g")
            self.server.sql("UPDATE lab.large SET n = 4 WHERE id = 4")
            code, text = narwal.call("table", "refresh", "lab.large")
            self.assertEqual(code, 0, text)
            cursor.execute("UPDATE lab.large SET n = n + 1")
            cursor.execute("SAVEPOINT a; UPDATE lab.large SET n = n + 1; ROLLBACK TO a")
            cursor.execute("UPDATE lab.large SET filler = 'x' WHERE id % 3 = 0")
            session.commit()
        for _ in range(3):
            self.server.sql("BEGIN; UPDATE lab.large SET n = n + 1, filler = repeat(md5(id::text), 30);"
                            "UPDATE lab.other SET n = n + 1; DELETE FROM lab.large WHERE id % 31 = 0; COMMIT")
        narwal.wait("the copy", lambda: self.copied(narwal), 120)
        self.finish(narwal)

    def test_two_sinks_several_workers_and_the_sinks_word(self):
        """Two tables at once, acknowledged by sinks only."""
        self.fill(10000)
        narwal = self.narwal(rate="64MiB", protect={"ack": "sink"})
        sinks = narwal.config["sinks"]
        sinks[0].update(name="first", workers=3)
        sinks.append({**sinks[0], "name": "second", "path": str(narwal.home / "second"), "workers": 1})
        self.slowed(narwal, "1MiB")
        self.join(narwal)
        code, text = narwal.call("table", "refresh", "lab.other")
        self.assertEqual(code, 0, text)
        for _ in range(20):
            self.server.sql("UPDATE lab.large SET n = n + 1 WHERE id % 9 = 0")
            self.server.sql("UPDATE lab.other SET n = n + 1")
            time.sleep(0.1)
        narwal.wait("the copy", lambda: self.copied(narwal) and self.copied(narwal, "lab.other"), 90)
        narwal.wait_caught_up()
        first = narwal.out
        for out in (narwal.home / "second", first):
            narwal.out = out
            narwal.wait_caught_up()
            result = narwal.compare(self.TABLES)
            self.assertTrue(result.good, f"{out}: {result.report()}\n{narwal.log_tail()}")
        self.finish(narwal)

    def ordered(self, narwal):
        """A second sink, with total order."""
        plugins = self.server.folder / "plugins"
        plugins.mkdir(mode=0o755)
        for plugin in ("plugins/file.so", "tests/sdk/plugins/ordered.so"):
            shutil.copy(build() / plugin, plugins)
        narwal.config["plugin_dir"] = str(plugins)
        sink = {"type": "ordered", "path": str(narwal.home / "lines")}
        narwal.config["sinks"].append(sink)
        return sink

    def check_ordered(self, sink):
        rows = self.ordered_rows(pathlib.Path(sink["path"]))
        for schema, table in self.TABLES:
            oid = self.server.sql(f"SELECT '{schema}.{table}'::regclass::oid::int")[0][0]
            self.assertTrue(rows[oid] == dict(self.server.sql(f"SELECT id, n FROM {schema}.{table}")),
                            f"{table} differs at the sink with total order")

    def ordered_rows(self, path):
        """What a sink with total order has of each table, by relation and id. All of it was in order,
        but what waited for a copy: that comes behind the copy's end, in its epoch."""
        rows, copied, released, last = collections.defaultdict(dict), {}, set(), (0, 0)
        for line in path.read_text().splitlines():
            kind, *words = line.split()
            relation = int(words[0])
            if kind == "B":
                copied[relation] = {}
            elif kind == "E":
                rows[relation] = copied.pop(relation)
                released.add(relation)
            elif kind == "S":
                released.clear()
            elif kind == "R":
                generation, lsn, seq, op, row, n = words[1:]
                if generation != "0":
                    copied[relation][int(row)] = int(n)
                    continue
                self.assertNotIn(relation, copied, f"while it is copied: {line}")
                self.assertTrue((int(lsn), int(seq)) > last or relation in released, line)
                last = max(last, (int(lsn), int(seq)))
                if op == "D":
                    del rows[relation][int(row)]
                else:
                    rows[relation][int(row)] = int(n)
        return rows

    def test_a_sink_with_total_order_and_a_repair_at_it_alone(self):
        self.fill(30000)
        narwal = self.narwal(rate="64MiB")
        ordered = self.ordered(narwal)

        def change(times):
            for time_ in range(times):
                part = 900 if time_ % 4 else 9
                self.server.sql(f"BEGIN; UPDATE lab.large SET n = n + 1 WHERE id %% {part} = %s;"
                                "UPDATE lab.other SET n = n + 1; DELETE FROM lab.large WHERE id = %s;"
                                "INSERT INTO lab.large VALUES (%s, 1, 'x'); COMMIT",
                                (time_ % 9, time_ + 1, time_ + 1))

        self.slowed(narwal, "1MiB")
        self.join(narwal)
        change(40)
        self.assertFalse(self.copied(narwal), "the copy was over too soon to hold anything")
        narwal.wait("the copy", lambda: self.copied(narwal), 90)
        self.finish(narwal)
        self.check_ordered(ordered)

        ordered["refuse"] = "large"
        narwal.start().wait_streaming()
        change(5)
        narwal.wait("the stop", lambda: "lab.large stopped" in narwal.log(), 60)
        self.others_go_on(narwal)
        narwal.wait("the status", lambda: [(t["table"], t["sink"]) for t in self.status(narwal).get(
            "stopped_tables", ())] == [("lab.large", "ordered")])
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

        del ordered["refuse"]
        narwal.start().wait_streaming()
        change(5)
        self.join(narwal, verb="repair")
        change(40)
        self.assertFalse(self.copied(narwal), "the copy was over too soon to hold anything")
        narwal.wait("the copy", lambda: self.copied(narwal), 90)
        change(5)
        self.finish(narwal)
        self.check_ordered(ordered)

    def test_a_copy_comes_also_to_a_sink_without_a_position_that_is_copied_nothing_else(self):
        """With snapshot: never, and a sink that cannot commit yet when narwal is killed."""
        self.server.sql("TRUNCATE lab.other")
        self.fill(2000)
        narwal = self.narwal(rate="64MiB", source={"snapshot": "never"})
        ordered = self.ordered(narwal)
        blocked = pathlib.Path(ordered["path"] + ".next")
        blocked.mkdir()
        narwal.start().wait_streaming()
        self.server.sql("INSERT INTO lab.other VALUES (1, 0)")
        code, text = narwal.call("table", "refresh", "lab.large")
        self.assertEqual(code, 0, text)
        self.server.sql("UPDATE lab.large SET n = 1 WHERE id % 7 = 1")
        narwal.wait_caught_up()
        self.assertRegex(narwal.log(), "NW2402 .*sink ordered: cannot commit")
        narwal.kill()
        self.assertFalse(self.copied(narwal))

        blocked.rmdir()
        narwal.start().wait("the copy", lambda: self.copied(narwal), 60)
        self.server.sql("UPDATE lab.large SET n = 2 WHERE id % 7 = 2")
        self.others_go_on(narwal)
        self.finish(narwal)
        self.check_ordered(ordered)

    def test_a_type_that_is_not_known_while_it_is_passed_over(self):
        """What it is sent as is agreed on when a connection is made."""
        self.server.sql("CREATE TYPE lab.pair AS (a int, b text)")
        narwal = self.narwal(rate="64MiB", tables={"policies": ["lab.large truncate=stop"]})
        narwal.start().wait_streaming()
        self.server.sql("TRUNCATE lab.large")
        narwal.wait("the stop", lambda: "lab.large stopped" in narwal.log())
        self.server.sql("ALTER TABLE lab.large ADD p lab.pair")
        self.server.sql("INSERT INTO lab.large VALUES (1, 1, 'a', '(1,x)')")
        self.others_go_on(narwal)
        code, text = narwal.call("table", "repair", "lab.large")
        self.assertEqual(code, 0, text)
        self.server.sql("INSERT INTO lab.large VALUES (2, 1, 'a', '(2,x)')")
        narwal.wait("the copy", lambda: self.copied(narwal), 60)
        self.server.sql("INSERT INTO lab.large VALUES (3, 1, 'a', '(3,x)')")
        self.finish(narwal)


if __name__ == "__main__":
    check.main()
