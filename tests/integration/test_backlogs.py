#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tables that are paused, or stop with their changes kept: they go on, and nothing is missing or twice."""
import copy
import json
import os
import random
import shutil
import time

from lab import check, workload
from lab.narwal import Narwal, build

KILLS = 8
KEPT = [f"lab.{name}" for schema, name in workload.TABLES if schema == "lab" and name != "marker"]


class Backlogs(check.Case):
    def setUp(self):
        self.random = random.Random(check.seed())
        self.server = self.cluster()
        workload.create_tables(self.server.connect())
        self.load = workload.Workload(self.server.dsn(), seed=check.seed(), sessions=3, pause=0.01,
                                      bulk_rows=1000)
        self.load.rewrites = True

    def narwal(self, sinks=1, **settings):
        narwal = self.enter(Narwal(self.server, settings=settings))
        for number in range(1, sinks):
            more = copy.deepcopy(narwal.config["sinks"][0])
            more.update(name=f"sink{number}", path=str(narwal.home / f"sink{number}"))
            narwal.config["sinks"].append(more)
        return narwal

    def troubles(self, narwal):
        code, text = narwal.call("status", "--json")
        return {table["table"]: table for table in json.loads(text).get("stopped_tables", [])} \
            if code == 0 else {}

    def state(self, narwal, table):
        return self.troubles(narwal).get(table, {}).get("state", "")

    def pause(self, narwal, table):
        code, text = narwal.call("table", "pause", table)
        self.assertEqual(code, 0, text)
        narwal.wait("the pause", lambda: self.state(narwal, table) == "paused")

    def resume(self, narwal, table):
        code, text = narwal.call("table", "resume", table)
        self.assertEqual(code, 0, text)

    def wait_phase(self, narwal):
        narwal.wait("the stream", lambda: '"phase":"streaming"' in
                    narwal.call("status", "--json")[1].replace(' ', ''))

    def wait_none(self, narwal):
        narwal.wait("the tables", lambda: narwal.call("status", "--json")[0] == 0 and not self.troubles(narwal),
                    120)

    def finish(self, narwal, tables, kills=0):
        """All sinks have what the tables have."""
        narwal.wait_caught_up()
        self.wait_none(narwal)
        narwal.wait_caught_up()
        self.assertEqual(list((narwal.state_dir / "backlogs").iterdir()), [])
        result = narwal.compare(tables)
        print(f"{kills} kills: {result}", end=" ... ", flush=True)
        self.assertTrue(result.good, f"{result.report()}\n{narwal.log_tail()}")
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        for number in range(1, len(narwal.config["sinks"])):
            self.compare_at(narwal, number, tables)

    def compare_at(self, narwal, number, tables):
        other = Narwal.__new__(Narwal)
        other.__dict__.update(narwal.__dict__)
        other.out = narwal.home / f"sink{number}" if number > 0 else narwal.out
        result = other.compare(tables)
        self.assertTrue(result.good, f"sink {number}: {result.report()}\n{narwal.log_tail()}")


class BacklogsTest(Backlogs):
    def test_what_comes_of_a_paused_table_is_there_when_it_is_resumed(self):
        narwal = self.narwal()
        sql = self.server.sql
        sql("INSERT INTO lab.plain SELECT g, 0, 'copied' FROM generate_series(1, 20) g")
        narwal.start().wait_streaming()
        sql("UPDATE lab.plain SET n = 1 WHERE id = 1")
        self.pause(narwal, "lab.plain")
        sql("UPDATE lab.plain SET n = n + 1, id = id + 100 WHERE id <= 5")
        sql("ALTER TABLE lab.plain ADD extra numeric(8,2) DEFAULT 1.5, ALTER n TYPE bigint")
        sql("INSERT INTO lab.plain VALUES (30, 1, 'later', 2)")
        sql("TRUNCATE lab.plain, lab.composite")
        sql("INSERT INTO lab.plain SELECT g, -g, repeat('x', 3000), g FROM generate_series(1, 300) g")
        sql("CREATE TYPE lab.unheard AS (a int, b text); ALTER TABLE lab.plain ADD odd lab.unheard")
        sql("UPDATE lab.plain SET odd = (id, t)::lab.unheard WHERE id <= 3")
        sql("BEGIN; INSERT INTO lab.plain (id) VALUES (1000); INSERT INTO lab.composite VALUES "
            "(1, 'x', 'y', gen_random_uuid()); DELETE FROM lab.plain WHERE id = 2; COMMIT")
        narwal.wait_caught_up()
        self.assertEqual({row["t"] for found in narwal.state().folder.tables if found.name == "plain"
                          for row in found.rebuild()}, {"copied"})
        self.assertEqual(self.troubles(narwal)["lab.plain"]["state"], "paused")
        self.resume(narwal, "lab.plain")
        self.finish(narwal, [("lab", "plain"), ("lab", "composite")])
        self.assertNotIn("lost", narwal.log())

    def test_tables_are_paused_and_resumed_under_load(self):
        narwal = self.narwal()
        paused = set()
        pauses = 0
        with self.load:
            narwal.start().wait_streaming()
            for _ in range(40):
                table = self.random.choice(KEPT)
                verb = "resume" if table in paused else "pause"
                code, text = narwal.call("table", verb, table)
                if code == 0:
                    (paused.discard if table in paused else paused.add)(table)
                    pauses += verb == "pause"
                else:  # it is being resumed still, or the pause is not recorded yet
                    self.assertTrue("as the others do" in text or "not paused" in text, text)
                self.load.run_until(lambda until=self.load.transactions + 5: self.load.transactions > until)
            self.assertTrue(narwal.running, narwal.log_tail())
        self.assertGreater(pauses, 10)
        for table in paused:
            narwal.wait("the pause", lambda table=table: self.state(narwal, table) == "paused")
            self.resume(narwal, table)
        self.finish(narwal, workload.TABLES)

    def test_killed_while_tables_are_paused_and_resumed(self):
        narwal = self.narwal(sinks=2)
        self.load.pause = 0.1  # it goes on while nobody reads
        kills = 0
        with self.load:
            narwal.start().wait_streaming()
            narwal.terminate()
            for number in range(KILLS):
                point = self.random.choice(["resume", "resume", "resumed", "commit", "write", "acknowledge",
                                            "stopped", "stopping"])
                most = {"resume": 3000, "resumed": 6, "stopped": 6, "stopping": 6, "acknowledge": 12}
                narwal.start(NARWAL_CRASH_AT=f"{point}:{self.random.randint(1, most.get(point, 60))}")
                deadline = time.monotonic() + 30
                while narwal.running and time.monotonic() < deadline:
                    narwal.call("table", self.random.choice(["pause", "resume"]), self.random.choice(KEPT[:6]))
                    time.sleep(0.05)
                narwal.kill()
                narwal.wait_exit()
                kills += 1
            narwal.start().wait_streaming(120)
            self.load.run_until(lambda until=self.load.transactions + 100: self.load.transactions > until)
        narwal.wait_caught_up()
        for table, trouble in self.troubles(narwal).items():
            if trouble["state"] == "paused":
                self.resume(narwal, table)
        self.finish(narwal, workload.TABLES, kills)

    def test_a_table_that_stopped_goes_on_once_its_policy_allows_it(self):
        narwal = self.narwal(tables={"policies": ["lab.plain truncate=stop", "lab.composite drop_column=stop"]})
        sql = self.server.sql
        sql("INSERT INTO lab.plain SELECT g, 0, 'copied' FROM generate_series(1, 20) g")
        narwal.start().wait_streaming()
        sql("BEGIN; INSERT INTO lab.plain VALUES (21, 0, 'first'); TRUNCATE lab.plain; "
            "INSERT INTO lab.plain VALUES (22, 0, 'second'); COMMIT")
        sql("ALTER TABLE lab.composite DROP v")
        sql("INSERT INTO lab.composite VALUES (1, 'b', gen_random_uuid())")
        narwal.wait_caught_up()
        narwal.wait("both", lambda: len(self.troubles(narwal)) == 2)
        self.assertRegex(self.troubles(narwal)["lab.plain"]["reason"], "NW2102 .*truncated")
        self.assertIn("narwal table resume", narwal.log())
        narwal.call("table", "resume", "lab.plain")  # nothing has changed: it stops again, and nothing is lost
        narwal.wait("the second stop", lambda: narwal.log().count("table lab.plain stopped at") == 2)
        narwal.kill()
        narwal.wait_exit()
        sql("INSERT INTO lab.plain VALUES (23, 0, 'third')")
        narwal.config["tables"]["policies"] = []
        narwal.start().wait_streaming()
        narwal.wait_caught_up()
        self.assertEqual(self.state(narwal, "lab.plain"), "stopped")
        self.resume(narwal, "lab.plain")
        self.resume(narwal, "lab.composite")
        self.finish(narwal, [("lab", "plain"), ("lab", "composite")])

    def test_what_is_more_than_the_quota_is_copied_again(self):
        narwal = self.narwal(limits={"backlog": "1MiB"})
        sql = self.server.sql
        narwal.start().wait_streaming()
        self.pause(narwal, "lab.plain")
        self.pause(narwal, "lab.composite")
        sql("INSERT INTO lab.plain SELECT g, 0, repeat(md5(g::text), 10) FROM generate_series(1, 6000) g")
        sql("INSERT INTO lab.composite VALUES (1, 'x', 'y', gen_random_uuid())")
        narwal.wait("the stop", lambda: self.state(narwal, "lab.plain") == "stopped")
        self.assertRegex(self.troubles(narwal)["lab.plain"]["reason"], "NW2514 .*limits.backlog")
        self.assertEqual(self.state(narwal, "lab.composite"), "paused")
        code, text = narwal.call("table", "resume", "lab.plain")
        self.assertEqual(code, 1, text)
        self.assertIn("narwal table repair", text)
        self.assertEqual(narwal.call("table", "repair", "lab.plain")[0], 0)
        self.resume(narwal, "lab.composite")
        self.finish(narwal, [("lab", "plain"), ("lab", "composite")])

    def test_what_was_left_out_is_copied_again_where_nothing_is_known_of_it(self):
        """The sinks' positions say so, also of a run in which nothing came of the table."""
        narwal = self.narwal(limits={"backlog": "1MiB"})
        sql = self.server.sql
        narwal.start().wait_streaming()
        self.pause(narwal, "lab.plain")
        sql("INSERT INTO lab.plain SELECT g, 0, repeat(md5(g::text), 10) FROM generate_series(1, 6000) g")
        narwal.wait("the stop", lambda: self.state(narwal, "lab.plain") == "stopped")
        for change in ("UPDATE lab.plain SET n = 1 WHERE id = 1",
                       "INSERT INTO lab.composite VALUES (1, 'x', 'y', gen_random_uuid())"):
            sql(change)
            narwal.wait_caught_up()
            self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
            narwal.start()
            self.wait_phase(narwal)
        sql("DELETE FROM lab.plain WHERE id > 3000")
        narwal.wait_caught_up()
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        for file in narwal.state_dir.glob("state.db*"):
            file.unlink()
        narwal.start()
        narwal.wait("the copy", lambda: "copied lab.plain while" in narwal.log())
        self.finish(narwal, [("lab", "plain"), ("lab", "composite")])

    def test_what_was_kept_is_lost_or_damaged(self):
        narwal = self.narwal()
        sql = self.server.sql
        tables = ["plain", "composite", "wide"]
        narwal.start().wait_streaming()
        for table in tables:
            self.pause(narwal, f"lab.{table}")
        sql("INSERT INTO lab.plain VALUES (1, 1, 'x'); INSERT INTO lab.wide (id) VALUES (1); "
            "INSERT INTO lab.composite VALUES (1, 'x', 'y', gen_random_uuid())")
        narwal.wait_caught_up()
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        folders = {table: narwal.state_dir / "backlogs" / str(self.server.value(f"SELECT 'lab.{table}'::regclass::oid"))
                   for table in tables}
        shutil.rmtree(folders["plain"])
        segment = sorted(folders["composite"].glob("*.spool"))[0]
        data = bytearray(segment.read_bytes())
        data[200] ^= 1
        segment.write_bytes(data)
        narwal.start().wait_streaming()
        narwal.wait("the status", lambda: len(self.troubles(narwal)) == 3)
        self.assertRegex(self.troubles(narwal)["lab.plain"]["reason"], "NW2515 .*not there any more")
        self.assertRegex(self.troubles(narwal)["lab.composite"]["reason"], "NW2515 .*is damaged, incomplete")
        self.assertEqual(self.state(narwal, "lab.wide"), "paused")
        for table in ("plain", "composite"):
            self.assertEqual(self.state(narwal, f"lab.{table}"), "stopped")
            self.assertEqual(narwal.call("table", "repair", f"lab.{table}")[0], 0)
        narwal.wait("the copies", lambda: len(self.troubles(narwal)) == 1)
        sql("INSERT INTO lab.wide (id) VALUES (2)")
        narwal.wait_caught_up()
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        narwal.forget_state()  # the sink's position says that it lacks something
        narwal.start().wait_streaming(120)
        self.finish(narwal, [("lab", table) for table in tables])


class RefusedTest(Backlogs):
    def picky(self, **settings):
        """A narwal with a second sink, that refuses the tables which refuse() names."""
        plugins = self.server.folder / "plugins"
        plugins.mkdir(mode=0o755)
        for plugin in ("plugins/file.so", "tests/sdk/plugins/picky.so"):
            shutil.copy(build() / plugin, plugins)
        narwal = self.narwal(sinks=2, plugin_dir=str(plugins), **settings)
        narwal.config["sinks"][1]["type"] = "picky"
        os.environ["NARWAL_FILE_PLUGIN"] = str(plugins / "file.so")
        return narwal

    def refuse(self, narwal, table, refused=True):
        marker = narwal.home / f"sink1.refuse.{table.split('.')[1]}"
        marker.touch() if refused else marker.unlink()

    def test_what_one_sink_refuses_is_kept_for_it_alone(self):
        narwal = self.picky()
        sql = self.server.sql
        sql("INSERT INTO lab.plain SELECT g, 0, 'copied' FROM generate_series(1, 20) g")
        narwal.start().wait_streaming()
        self.refuse(narwal, "lab.plain")
        sql("UPDATE lab.plain SET n = 1 WHERE id = 1")
        narwal.wait("the refusal", lambda: self.state(narwal, "lab.plain") == "stopped")
        self.assertEqual(self.troubles(narwal)["lab.plain"]["sink"], "sink1")
        sql("UPDATE lab.plain SET n = n + 1, id = id + 100 WHERE id <= 5")
        sql("ALTER TABLE lab.plain ADD extra numeric(8,2) DEFAULT 1.5, ALTER n TYPE bigint")
        sql("INSERT INTO lab.plain VALUES (30, 1, 'later', 2)")
        sql("TRUNCATE lab.plain, lab.composite")
        sql("INSERT INTO lab.plain SELECT g, -g, repeat('x', 3000), g FROM generate_series(1, 300) g")
        narwal.wait_caught_up()
        self.compare_at(narwal, 0, [("lab", "plain"), ("lab", "composite")])
        self.compare_at(narwal, 1, [("lab", "composite")])
        code, text = narwal.call("table", "resume", "lab.plain")  # it refuses still
        self.assertEqual(code, 0, text)
        narwal.wait("the refusal", lambda: narwal.log().count("lab.plain stopped at") == 2)
        sql("INSERT INTO lab.plain SELECT g, -g, 'again', g FROM generate_series(400, 410) g")
        self.refuse(narwal, "lab.plain", False)
        narwal.wait("the stop", lambda: self.state(narwal, "lab.plain") == "stopped")
        self.resume(narwal, "lab.plain")
        sql("INSERT INTO lab.plain SELECT g, -g, 'after', g FROM generate_series(500, 510) g")
        self.wait_none(narwal)
        sql("UPDATE lab.plain SET t = 'in the end' WHERE id > 290")
        # In this run it was kept for some: a pause of it begins the run anew.
        self.pause(narwal, "lab.plain")
        sql("DELETE FROM lab.plain WHERE id > 505")
        self.resume(narwal, "lab.plain")
        self.finish(narwal, [("lab", "plain"), ("lab", "composite")])

    def test_refused_and_nothing_comes_of_the_table_until_it_is_resumed(self):
        """Nothing is kept then. Paused as a whole while something is; and repaired at the one sink."""
        narwal = self.picky()
        sql = self.server.sql
        tables = [("lab", "plain"), ("lab", "composite")]
        sql("INSERT INTO lab.plain SELECT g, 0, 'copied' FROM generate_series(1, 20) g")
        narwal.start().wait_streaming()
        self.refuse(narwal, "lab.plain")
        sql("UPDATE lab.plain SET n = 1 WHERE id = 1")
        narwal.wait("the refusal", lambda: self.state(narwal, "lab.plain") == "stopped")
        narwal.wait_caught_up()
        self.refuse(narwal, "lab.plain", False)
        narwal.terminate()
        narwal.start()
        self.wait_phase(narwal)
        self.resume(narwal, "lab.plain")
        self.wait_none(narwal)
        sql("UPDATE lab.plain SET n = 2 WHERE id = 2")
        narwal.wait_caught_up()
        self.compare_at(narwal, 1, tables)
        self.refuse(narwal, "lab.plain")
        sql("UPDATE lab.plain SET n = 3 WHERE id = 3")
        narwal.wait("the refusal", lambda: self.state(narwal, "lab.plain") == "stopped")
        sql("UPDATE lab.plain SET n = 4 WHERE id = 4")
        narwal.wait_caught_up()
        self.pause(narwal, "lab.plain")
        sql("UPDATE lab.plain SET n = 5 WHERE id = 5")
        self.refuse(narwal, "lab.plain", False)
        self.wait_phase(narwal)
        self.resume(narwal, "lab.plain")
        self.wait_none(narwal)
        narwal.wait_caught_up()
        for number in range(2):
            self.compare_at(narwal, number, tables)
        self.refuse(narwal, "lab.plain")
        sql("UPDATE lab.plain SET n = 6 WHERE id = 6")
        narwal.wait("the refusal", lambda: self.state(narwal, "lab.plain") == "stopped")
        sql("UPDATE lab.plain SET n = 7 WHERE id = 7")
        narwal.wait_caught_up()
        self.refuse(narwal, "lab.plain", False)
        code, text = narwal.call("table", "repair", "lab.plain")
        self.assertEqual(code, 0, text)
        sql("UPDATE lab.plain SET n = 8 WHERE id = 8")
        self.wait_none(narwal)
        self.pause(narwal, "lab.plain")  # the first sink has heard of it as one that is kept for others
        sql("UPDATE lab.plain SET n = 9 WHERE id = 9")
        self.wait_phase(narwal)
        self.resume(narwal, "lab.plain")
        self.finish(narwal, tables)

    def test_refused_twice_before_the_sink_has_committed_again(self):
        """One transaction, two tables: the second run ends before its sink has a place behind it."""
        narwal = self.picky()
        sql = self.server.sql
        tables = [("lab", "plain"), ("lab", "composite")]
        narwal.start().wait_streaming()
        for table in ("lab.plain", "lab.composite"):
            self.refuse(narwal, table)
        sql("BEGIN; INSERT INTO lab.plain SELECT g, 0, 'first' FROM generate_series(1, 20) g; "
            "INSERT INTO lab.composite VALUES (1, 'x', 'y', gen_random_uuid()); COMMIT")
        narwal.wait("the refusals", lambda: len(self.troubles(narwal)) == 2)
        for number in range(3):
            sql(f"UPDATE lab.plain SET n = {number} WHERE id = {number + 1}")
            narwal.wait_caught_up()
            narwal.kill()
            narwal.wait_exit()
            narwal.start()
            self.wait_phase(narwal)
        narwal.wait_caught_up()
        self.compare_at(narwal, 0, tables)
        for table in ("lab.plain", "lab.composite"):
            self.refuse(narwal, table, False)
            self.resume(narwal, table)
        self.finish(narwal, tables)
        self.assertNotIn("its rows are left out", narwal.log())

    def test_more_than_the_quota_of_what_one_sink_refuses(self):
        """It stops there, for a copy; the other goes on, paused or not; its position says so."""
        narwal = self.picky(limits={"backlog": "1MiB"})
        sql = self.server.sql
        tables = [("lab", "plain"), ("lab", "composite")]
        narwal.start().wait_streaming()
        self.refuse(narwal, "lab.plain")
        sql("INSERT INTO lab.plain SELECT g, 0, repeat(md5(g::text), 10) FROM generate_series(1, 6000) g")
        narwal.wait("the limit", lambda: "limits.backlog" in self.troubles(narwal).get("lab.plain", {}).get("reason", ""))
        self.wait_phase(narwal)
        sql("INSERT INTO lab.composite VALUES (1, 'x', 'y', gen_random_uuid())")
        narwal.wait_caught_up()
        code, text = narwal.call("table", "pause", "lab.plain")
        self.assertEqual(code, 0, text)
        narwal.wait("the pause", lambda: "is paused from" in narwal.log())
        sql("UPDATE lab.plain SET n = 1 WHERE id < 5")
        self.wait_phase(narwal)
        self.resume(narwal, "lab.plain")
        narwal.wait("the end", lambda: self.state(narwal, "lab.plain") == "stopped")
        sql("UPDATE lab.plain SET n = 2 WHERE id < 3")
        narwal.wait_caught_up()
        self.compare_at(narwal, 0, [("lab", "plain")])
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        for file in narwal.state_dir.glob("state.db*"):
            file.unlink()
        self.refuse(narwal, "lab.plain", False)
        narwal.start()
        narwal.wait("the copy", lambda: "copied lab.plain while" in narwal.log())
        self.finish(narwal, tables)

    def test_killed_while_a_sink_refuses_tables(self):
        narwal = self.picky()
        self.load.pause = 0.1
        refused = set()
        kills = 0
        with self.load:
            narwal.start().wait_streaming()
            for number in range(KILLS):
                point = self.random.choice(["resume", "resumed", "commit", "write", "acknowledge", "stopping"])
                most = {"resume": 3000, "resumed": 3, "stopping": 3, "acknowledge": 12}
                narwal.terminate()
                narwal.start(NARWAL_CRASH_AT=f"{point}:{self.random.randint(1, most.get(point, 60))}")
                deadline = time.monotonic() + 20
                while narwal.running and time.monotonic() < deadline:
                    table = self.random.choice(KEPT[:4])
                    self.refuse(narwal, table, table not in refused)
                    refused ^= {table}
                    time.sleep(0.3)
                    narwal.call("table", self.random.choice(["resume", "resume", "resume", "pause"]),
                                self.random.choice(KEPT[:4]))
                narwal.kill()
                narwal.wait_exit()
                kills += 1
            for table in refused:
                self.refuse(narwal, table, False)
            narwal.start().wait_streaming(120)
            self.load.run_until(lambda until=self.load.transactions + 100: self.load.transactions > until)
        deadline = time.monotonic() + 120
        while self.troubles(narwal) and time.monotonic() < deadline:
            for table in self.troubles(narwal):
                narwal.call("table", "resume", table)
            time.sleep(0.5)
        self.finish(narwal, workload.TABLES, kills)
        self.assertNotIn("its rows are left out", narwal.log())


if __name__ == "__main__":
    check.main()
