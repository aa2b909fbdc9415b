#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tables that are copied while the others stream: under load, killed, and for a sink that is new."""
import copy
import random
import signal
import time

from lab import check, folder, workload
from lab.narwal import Narwal

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
        self.assertGreater(narwal.log().count("while the stream went on"), 3)

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


if __name__ == "__main__":
    check.main()
