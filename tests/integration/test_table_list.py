#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every table has a state and, while it is copied, a progress: narwal table list, and status."""
import json
import re

from lab import check
from lab.narwal import Narwal


class TableListTest(check.Case):
    def setUp(self):
        self.server = self.cluster()
        self.server.sql("CREATE SCHEMA lab")
        self.server.sql("CREATE TABLE lab.marker (id bigint PRIMARY KEY, at timestamptz DEFAULT now())")
        for table in ("large", "other"):
            self.server.sql(f"CREATE TABLE lab.{table} (id int PRIMARY KEY, n int, filler text)")
        self.server.sql("INSERT INTO lab.other VALUES (1, 0)")

    def fill(self, rows, table="lab.large"):
        self.server.sql(f"INSERT INTO {table} SELECT g, 0, repeat(md5(g::text), 6) "
                        "FROM generate_series(1, %s) g", (rows,))

    def narwal(self, rate="64MiB", **settings):
        return self.enter(Narwal(self.server, settings={
            "copy": {"chunk": "256KiB", "rate": rate}, "tables": {"include": ["lab.*"]}, **settings}))

    def slowed(self, narwal, rate):
        narwal.start().wait_streaming()
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        narwal.config["copy"]["rate"] = rate
        narwal.start().wait_caught_up()

    def listed(self, narwal, *words):
        code, text = narwal.call("table", "list", "--json", *words)
        self.assertEqual(code, 0, text)
        return {table["table"]: table for table in json.loads(text)["tables"]}

    def status(self, narwal):
        code, text = narwal.call("status", "--json")
        self.assertEqual(code, 0, text)
        return json.loads(text)

    def ask(self, narwal, verb, table):
        code, text = narwal.call("table", verb, table)
        self.assertEqual(code, 0, text)

    def wait_listed(self, narwal, what, found, seconds=30):
        """@return the list in which it was found"""
        seen = {}

        def look():
            code, text = narwal.call("table", "list", "--json")  # it may not be there yet
            seen.clear()
            if code == 0:
                seen.update({table["table"]: table for table in json.loads(text)["tables"]})
            return seen and found(seen)
        narwal.wait(what, look, seconds)
        return seen

    def settled(self, narwal):
        self.wait_listed(narwal, "all stream", lambda tables: {t["state"] for t in tables.values()} ==
                         {"streaming"}, 90)

    def test_the_first_copy(self):
        self.fill(100000)
        narwal = self.narwal("2MiB")
        narwal.start()
        tables = self.wait_listed(narwal, "progress", lambda tables: tables.get("lab.large", {}).get(
            "copy", {}).get("done", 0) > 0.2)
        copy = tables["lab.large"]["copy"]
        self.assertEqual(tables["lab.large"]["state"], "copying")
        self.assertLess(copy["done"], 1)
        self.assertTrue(0 < copy["rows"] < 100000, copy)
        self.assertTrue(2e5 < copy["bytes_per_second"] < 4e6, copy)
        self.assertTrue(0 < copy["eta_seconds"] < 60, copy)
        self.assertEqual(tables["lab.other"]["waits_for"], "its turn: larger tables are copied first")
        status = self.status(narwal)
        self.assertEqual(status["copy"]["state"], "copying")
        self.assertTrue(2e5 < status["copy"]["bytes_per_second"] < 4e6, status["copy"])
        self.assertGreater(status["copy"]["eta_seconds"], 0)
        self.assertEqual(status["tables_by_state"].get("copying"), 1, status)
        code, text = narwal.call("table", "list")
        self.assertEqual(code, 0, text)
        self.assertRegex(text, r"lab\.large +copying +\d+ %   [\d.]+ k rows   [\d.]+ MB   [\d.]+ .B/s   ETA ")
        self.assertRegex(text.splitlines()[-1], r"^3 tables: 2 waiting, 1 copying$")
        code, text = narwal.call("status")
        self.assertRegex(text, r"copy   \d/3 tables   \d+/\d+ chunks .* ETA ")
        self.settled(narwal)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_copy_beside_the_stream(self):
        self.fill(40000)
        narwal = self.narwal()
        self.slowed(narwal, "2MiB")
        self.settled(narwal)
        self.ask(narwal, "refresh", "lab.large")
        self.ask(narwal, "refresh", "lab.other")
        tables = self.wait_listed(narwal, "progress", lambda tables: tables["lab.large"].get(
            "copy", {}).get("done", 0) > 0.2)
        self.assertEqual(tables["lab.large"]["state"], "copying")
        self.assertLess(tables["lab.large"]["copy"]["rows"], 40000)
        self.assertEqual((tables["lab.other"]["state"], tables["lab.other"]["waits_for"]),
                         ("waiting", "its turn: 1 table is copied before it"))
        self.assertEqual(tables["lab.marker"]["state"], "streaming")
        status = self.status(narwal)
        self.assertEqual(status["phase"], "streaming")
        self.assertEqual((status["copy"]["state"], status["copy"]["tables"]), ("copying", 1))
        self.assertTrue(0 < status["copy"]["rows"] < 40000, status["copy"])
        self.assertGreater(status["copy"]["eta_seconds"], 0)
        self.settled(narwal)
        self.assertEqual(self.status(narwal)["copy"]["state"], "done")
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_whom_a_snapshot_waits_for(self):
        narwal = self.narwal()
        with self.server.connect(autocommit=False) as session, session.cursor() as cursor:
            cursor.execute("SET application_name = 'payroll'; INSERT INTO lab.large VALUES (0, 9, 'open')")
            narwal.start()
            process = f"process {session.info.backend_pid} (payroll), in a transaction for "
            narwal.wait("the log", lambda: process in narwal.log(), 20)
            self.assertRegex(narwal.log(), f"NW2204 .*{re.escape(process)}")
            status = self.status(narwal)
            self.assertEqual(status["phase"], "starting")
            self.assertIn(process, status["copy"]["waits_for"])
            self.assertIn(process, self.listed(narwal)["lab.large"]["waits_for"])
            session.commit()
        narwal.wait_streaming()
        with self.server.connect(autocommit=False) as session, session.cursor() as cursor:
            cursor.execute("INSERT INTO lab.large VALUES (1, 9, 'open')")
            self.ask(narwal, "refresh", "lab.large")
            process = f"process {session.info.backend_pid}"
            tables = self.wait_listed(narwal, "the blocker", lambda tables: process in
                                      tables["lab.large"]["waits_for"])
            self.assertEqual(tables["lab.large"]["state"], "waiting")
            self.assertIn(process, self.status(narwal)["copy"]["waits_for"])
            self.assertIn(process, narwal.call("status")[1])
            session.commit()
        self.settled(narwal)
        with self.server.connect() as session, session.cursor() as cursor:
            cursor.execute("BEGIN; INSERT INTO lab.large VALUES (2, 9, 'open'); "
                           "PREPARE TRANSACTION 'half done'")
        self.ask(narwal, "refresh", "lab.large")
        self.wait_listed(narwal, "the prepared transaction", lambda tables: "prepared transaction "
                         "'half done'" in tables["lab.large"]["waits_for"])
        self.server.sql("COMMIT PREPARED 'half done'")
        self.settled(narwal)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_stop_while_the_first_snapshot_waits(self):
        narwal = self.narwal()
        with self.server.connect(autocommit=False) as session, session.cursor() as cursor:
            cursor.execute("INSERT INTO lab.large VALUES (0, 9, 'open')")
            narwal.start()
            narwal.wait("the wait", lambda: "waiting for a consistent point" in narwal.log())
            self.assertEqual(narwal.terminate(10), 0, narwal.log_tail())
            session.commit()
        self.assertEqual(self.server.sql("SELECT slot_name FROM pg_replication_slots"), [])

    def test_a_lock_that_is_held(self):
        narwal = self.narwal()
        narwal.start().wait_streaming()
        with self.server.connect(autocommit=False) as session, session.cursor() as cursor:
            cursor.execute("SET application_name = 'migration'; LOCK TABLE lab.large")
            self.ask(narwal, "refresh", "lab.other")  # whose copy needs a look at all tables
            self.wait_listed(narwal, "the blocker", lambda tables: f"process {session.info.backend_pid} "
                             "(migration)" in tables["lab.other"]["waits_for"])
            session.commit()
            self.settled(narwal)
            cursor.execute("LOCK TABLE lab.large")
            self.ask(narwal, "refresh", "lab.large")
            text = f"a lock on it of process {session.info.backend_pid} (migration)"
            tables = self.wait_listed(narwal, "the lock", lambda tables: tables["lab.large"]["waits_for"] == text)
            self.assertEqual(tables["lab.other"]["state"], "streaming")
            self.assertRegex(narwal.log(), "NW2201 .*[(]migration[)] holds")
            self.assertEqual(self.status(narwal)["copy"]["waits_for"], text)
            session.commit()
        self.settled(narwal)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_stopped_one_comes_first_and_none_that_runs_is_needed(self):
        narwal = self.narwal(tables={"include": ["lab.*"], "policies": ["lab.large truncate=stop"]})
        code, text = narwal.call("table", "list") if narwal.file.exists() else (1, "")
        narwal.write()
        code, text = narwal.call("table", "list")
        self.assertEqual(code, 1)
        self.assertIn("no narwal runs", text)
        self.assertNotIn("records", text)
        narwal.start().wait_streaming()
        self.server.sql("TRUNCATE lab.large")
        self.wait_listed(narwal, "the stop", lambda tables: tables["lab.large"]["state"] == "stopped")
        code, text = narwal.call("table", "list")
        self.assertEqual(code, 1, text)
        lines = text.splitlines()
        self.assertRegex(lines[0], r"^lab\.large +stopped +for [\d.]+ .*truncate")
        self.assertEqual(lines[-1], "3 tables: 1 stopped, 2 streaming")
        self.assertEqual(set(self.listed(narwal, "--state", "stopped")), {"lab.large"})
        code, text = narwal.call("table", "list", "--state", "streaming")
        self.assertEqual((code, text.splitlines()[-1]), (0, "2 of 3 tables: 2 streaming"), text)
        code, text = self.call_named(narwal, "table", "list", "--state-dir", narwal.state_dir, "lab.[ol]*")
        self.assertEqual((code, text.splitlines()[-1]), (1, "2 of 3 tables: 1 stopped, 1 streaming"), text)
        code, text = narwal.call("table", "list", "--state", "gone")
        self.assertEqual(code, 2, text)
        self.assertEqual(self.status(narwal)["tables_by_state"], {"stopped": 1, "streaming": 2})
        self.assertIn("tables 1 stopped, 2 streaming", narwal.call("status")[1])
        for end in (narwal.kill, narwal.terminate):
            end()
            code, text = narwal.call("table", "list")
            self.assertEqual(code, 1, text)
            self.assertIn("this is what its state records, and nothing streams", text)
            self.assertIn("3 tables: 1 stopped, 2 streaming", text)
            code, text = self.call_named(narwal, "table", "list", "--json", narwal.file)
            self.assertEqual(code, 1, text)
            narwal.start().wait_caught_up()

    def call_named(self, narwal, *words):
        result = check.subprocess.run(narwal.command(*words), text=True, stdout=check.subprocess.PIPE,
                                      stderr=check.subprocess.STDOUT)
        return result.returncode, result.stdout

    def test_sinks_that_differ_and_names_that_change(self):
        self.fill(20000)
        narwal = self.narwal()
        sinks = narwal.config["sinks"]
        sinks[0].update(name="first")
        narwal.start().wait_streaming()
        self.server.sql("ALTER TABLE lab.other RENAME TO another")
        self.server.sql("INSERT INTO lab.another VALUES (3, 0)")
        self.wait_listed(narwal, "the new name", lambda tables: "lab.another" in tables)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        sinks.append({**sinks[0], "name": "second", "path": str(narwal.home / "second")})
        narwal.config["copy"]["rate"] = "2MiB"
        narwal.start()
        tables = self.wait_listed(narwal, "two states", lambda tables: tables.get("lab.large", {}).get(
            "sinks") == {"first": "streaming", "second": "copying"})
        self.assertIn("lab.another", tables)
        code, text = narwal.call("table", "list", "--state", "copying")
        self.assertIn("(streaming at sink first, copying at sink second)", text)
        self.settled(narwal)
        self.assertNotIn("sinks", self.listed(narwal)["lab.large"])
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_thousand_tables(self):
        self.server.sql("DO $$ BEGIN FOR i IN 1..1000 LOOP EXECUTE format('CREATE TABLE lab.t%s "
                        "(id int PRIMARY KEY)', i); END LOOP; END $$")
        narwal = self.narwal()
        narwal.start().wait_streaming()
        self.settled(narwal)
        began = check.time.monotonic()
        code, text = narwal.call("table", "list")
        print(f"listed in {check.time.monotonic() - began:.2f} s", end=" ... ", flush=True)
        self.assertEqual((code, len(text.splitlines())), (0, 1004), text[-400:])
        self.assertEqual(text.splitlines()[-1], "1003 tables: 1003 streaming")
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())


if __name__ == "__main__":
    check.main()
