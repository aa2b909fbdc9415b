#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Going on at a server that was promoted, upgraded or restored: `narwal adopt` (docs/moving-servers.md)."""
import re
import shutil
import threading
import time

from lab import check, workload
from lab.narwal import Narwal
from lab.standby import Standby

TABLES = [("lab", "plain"), ("lab", "bulk")]


class Load:
    """Writes to the primary until it is stopped."""

    def __init__(self, server):
        self.ended = threading.Event()
        self.connection = server.connect()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        number = 1000
        with self.connection.cursor() as cursor:
            while not self.ended.wait(0.005):
                number += 1
                cursor.execute("INSERT INTO lab.plain VALUES (%s, 1, 'load')", (number,))
                cursor.execute("UPDATE lab.plain SET n = n + 1 WHERE id = %s", (number % 100,))

    def stop(self):
        self.ended.set()
        self.thread.join()
        self.connection.close()


class Case(check.Case):
    def primary(self, **options):
        server = self.cluster(**options)
        workload.create_tables(server.connect())
        server.sql("INSERT INTO lab.plain SELECT g, g, 'x' FROM generate_series(1, 100) g")
        # What it writes by itself would look like a write of an application (docs/moving-servers.md).
        server.sql("ALTER SYSTEM SET autovacuum = off")
        server.sql("SELECT pg_reload_conf()")
        return server

    def follow(self, narwal, server):
        narwal.config["source"]["dsn"] = server.dsn()
        narwal.cluster = server
        narwal.write()

    def adopt(self, narwal, *words, code=0):
        narwal.write()
        result = narwal.call("adopt", "--yes", *words)
        self.assertEqual(result[0], code, result[1])
        return result[1]

    def same(self, narwal):
        narwal.wait_caught_up()
        result = narwal.compare(TABLES)
        self.assertTrue(result.good, result.report())

    def drained(self, narwal):
        """The last words of the former server: narwal has everything. The hand-over's token."""
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        narwal.write()
        code, text = narwal.call("run", "--until", "now")
        self.assertEqual(code, 0, text)
        found = re.search(r"adopt --token (\S+)", text)
        self.assertIsNotNone(found, text)
        return found[1]

    def promote(self, primary, standby):
        primary.stop("fast")
        standby.sql("SELECT pg_promote()")


class SwitchoverTest(Case):
    """Without failover slots: the promoted standby has no slot."""

    def moved(self):
        """A narwal that followed a primary under load, and has all of it; with the standby and a token."""
        primary = self.primary()
        standby = self.enter(Standby(primary))
        narwal = self.enter(Narwal(primary)).start().wait_streaming()
        load = Load(primary)
        time.sleep(1)
        load.stop()
        token = self.drained(narwal)
        self.promote(primary, standby)
        self.follow(narwal, standby)
        return narwal, standby, token

    def test_a_hand_over_proves_that_nothing_is_missing(self):
        narwal, standby, token = self.moved()
        # Without the word of the former host, and the state of this one, nothing is proved.
        kept = narwal.home / "kept"
        shutil.move(narwal.state_dir, kept)
        text = self.adopt(narwal, code=1)
        self.assertIn("NW2340", text)
        self.assertGreater(narwal.run_to_end(), 0)
        self.assertRegex(narwal.log(), "NW2301 ")
        # That of another moment proves nothing.
        text = self.adopt(narwal, "--token", re.sub(r"\d+$", lambda x: str(int(x[0]) - 1), token), code=1)
        self.assertIn("NW2342", text)
        self.assertEqual(standby.value("SELECT count(*) FROM pg_replication_slots"), 0)
        text = self.adopt(narwal, "--token", token, "--dry-run")
        self.assertIn("make slot", text)
        self.assertEqual(standby.value("SELECT count(*) FROM pg_replication_slots"), 0)
        self.adopt(narwal, "--token", token)
        self.assertIn("nothing to adopt", self.adopt(narwal))
        # From an empty state folder.
        standby.sql("UPDATE lab.plain SET n = 7 WHERE id < 20")
        narwal.start()
        self.same(narwal)
        self.assertNotIn("copying", narwal.log())
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_writes_that_came_between_are_seen(self):
        narwal, standby, _ = self.moved()
        standby.sql("INSERT INTO lab.plain VALUES (5000, 1, 'too early')")
        text = self.adopt(narwal, code=1)
        self.assertRegex(text, "(?s)NW2342.*NW2340")
        self.assertEqual(standby.value("SELECT count(*) FROM pg_replication_slots"), 0)
        before = narwal.state().lsn
        self.assertGreater(narwal.run_to_end(), 0)
        self.assertEqual(narwal.state().lsn, before)
        text = self.adopt(narwal, "--nothing-written", "--dry-run")
        self.assertIn("NW2345", text)
        # With new copies of all tables it goes on, in the same folder.
        text = self.adopt(narwal, "--copy")
        self.assertIn("new copies of all tables", text)
        narwal.start()
        standby.sql("UPDATE lab.plain SET n = 8 WHERE id < 20")
        narwal.wait("the copies", lambda: "while the stream went on" in narwal.log())
        self.same(narwal)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_server_that_is_another_is_refused(self):
        primary = self.primary()
        narwal = self.enter(Narwal(primary))
        narwal.run_to_end(NARWAL_CRASH_AT="handover:1")
        self.assertIn("NW2344", self.adopt(narwal, code=1))
        narwal.start().wait_streaming()
        self.assertIn("NW2001", self.adopt(narwal, code=1))
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        self.assertIn("nothing to adopt", self.adopt(narwal))
        before = narwal.state().lsn
        self.follow(narwal, self.cluster(fresh=True))
        self.assertIn("NW2343", self.adopt(narwal, "--copy", "--nothing-written", code=1))
        self.assertEqual(narwal.state().lsn, before)


class AheadTest(Case):
    """The promoted standby lacks what narwal had already."""

    def moved(self, failover):
        """narwal, ahead of a standby that was down meanwhile, and is promoted without the primary."""
        primary = self.primary(version=17)
        primary.sql("INSERT INTO lab.bulk SELECT g, g, 'x' FROM generate_series(1, 1000) g")
        narwal = self.enter(Narwal(primary, settings={"source": {"slot": {"failover": failover}}}))
        standby = self.enter(Standby(primary, {"sync_replication_slots": "on"}))
        narwal.start().wait_streaming()

        def in_step():
            primary.sql("SELECT pg_log_standby_snapshot()")
            primary.sql("UPDATE lab.plain SET n = n + 1 WHERE id = 1")
            narwal.wait_caught_up()
            time.sleep(0.3)
            return standby.value("SELECT count(*) FROM pg_replication_slots WHERE synced AND "
                                 "NOT temporary") == 1
        if failover:
            narwal.wait("the standby has the slot", in_step)
        self.assertEqual(narwal.call("table", "pause", "lab.wide")[0], 0)
        narwal.wait_caught_up()
        standby.stop()
        with primary.connect() as connection, connection.cursor() as cursor:
            cursor.execute("UPDATE lab.plain SET n = -n WHERE id < 30")
            cursor.execute("INSERT INTO lab.plain SELECT g, 1, 'extra' FROM generate_series(9001, 9005) g")
        narwal.wait_caught_up()
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        primary.stop()
        standby.start()
        standby.sql("SELECT pg_promote()")
        standby.sql("INSERT INTO lab.plain VALUES (9001, 2, 'another')")
        self.follow(narwal, standby)
        return narwal, standby

    def copied(self, narwal):
        """Rows, beside the stream; lab.bulk, which did not change, has 1000."""
        return sum(map(int, re.findall(r"while the stream went on: (\d+) rows", narwal.log())))

    def goes_on(self, narwal, standby):
        narwal.start()
        standby.sql("UPDATE lab.plain SET n = 8 WHERE id < 20")
        narwal.wait("the copies", lambda: "while the stream went on" in narwal.log())
        self.same(narwal)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_it_goes_back_to_what_both_have(self):
        narwal, standby = self.moved(True)
        self.assertGreater(narwal.run_to_end(), 0)
        self.assertRegex(narwal.log(), "NW2308 .*promoted")
        extra = r"transaction \d+ at [0-9A-F/]+, [0-9-]+ [0-9:]+ UTC: lab.plain \(34 rows\)"
        self.assertRegex(narwal.log(), f"NW2341 the server lacks {extra}")
        self.assertRegex(self.adopt(narwal, code=1), f"(?s)NW2341.*lacks {extra}")
        # Without a record, or with half of one, nobody knows which tables differ.
        kept = narwal.home / "kept"
        kept.mkdir()
        for path in narwal.state_dir.glob("recent.*"):
            shutil.move(path, kept)
        self.assertIn("new copies of all tables", self.adopt(narwal, "--copy", "--dry-run"))
        for path in kept.iterdir():
            shutil.move(path, narwal.state_dir)
        text = self.adopt(narwal, "--copy")
        self.assertRegex(text, "goes back to .*, with new copies of the tables that differ")
        self.goes_on(narwal, standby)
        self.assertIn("NW2346", narwal.log())
        self.assertLess(self.copied(narwal), 500)

    def test_without_its_slot_all_is_copied(self):
        narwal, standby = self.moved(False)
        self.assertIn("NW2341", self.adopt(narwal, code=1))
        text = self.adopt(narwal, "--copy", "--nothing-written", "--dry-run")
        self.assertRegex(text, "(?s)NW2345.*new copies of the tables that differ")
        self.assertIn("new copies of all tables", self.adopt(narwal, "--copy"))
        self.goes_on(narwal, standby)
        self.assertGreater(self.copied(narwal), 1000)


if __name__ == "__main__":
    check.main()
