#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""While the copy runs the stream goes into the spool, so that WAL does not pile up on the server."""
import json
import random
import signal
import subprocess
import threading
import time

from lab import check, workload
from lab.narwal import Narwal

ROWS = 60000
MIB = 1 << 20
HELD = "SELECT pg_current_wal_lsn() - restart_lsn FROM pg_replication_slots WHERE slot_name = %s"


class SpoolTest(check.Case):
    def setUp(self):
        self.random = random.Random(check.seed())
        self.server = self.cluster()
        workload.create_tables(self.server.connect())
        self.server.sql("CREATE TABLE lab.large (id int PRIMARY KEY, n int, t text, big text)")
        self.server.sql("ALTER TABLE lab.large ALTER big SET STORAGE EXTERNAL")
        self.server.sql("INSERT INTO lab.large SELECT g, g, repeat('x', 300), CASE WHEN g % 50 = 0 "
                        f"THEN repeat('b', 3000) END FROM generate_series(1, {ROWS}) g")
        self.tables = workload.TABLES + [("lab", "large")]

    def narwal(self, rate="6MiB", **protect):
        """Its copy takes about four seconds."""
        return self.enter(Narwal(self.server, settings={
            "copy": {"workers": 2, "chunk": "1MiB", "rate": rate}, "protect": protect}))

    def churn(self, stop):
        """Updates that move rows, changed keys, unchanged TOAST, deletes, and inserts."""
        connection = self.server.connect()
        cursor = connection.cursor()
        number = 0
        while not stop.is_set():
            number += 1
            cursor.execute("UPDATE lab.large SET n = n + 1, t = repeat('y', %s) WHERE id %% 19 = %s",
                           (number % 400, number % 19))
            cursor.execute("UPDATE lab.large SET id = id + %s WHERE id %% 1009 = %s",
                           (ROWS * 10 * number, number % 1009))
            cursor.execute("DELETE FROM lab.large WHERE id %% 1013 = %s", (number % 1013,))
            cursor.execute("INSERT INTO lab.large SELECT g, g, 'new', repeat('c', 3000) FROM "
                           "generate_series(%s, %s) g ON CONFLICT DO NOTHING",
                           (ROWS * 10 + number * 50, ROWS * 10 + number * 50 + 20))

    def churning(self):
        stop = threading.Event()
        thread = threading.Thread(target=self.churn, args=(stop,))
        thread.start()

        def end():
            stop.set()
            thread.join()
        self.addCleanup(end)
        return end

    def same(self, narwal):
        narwal.wait_streaming()
        narwal.wait_caught_up()
        result = narwal.compare(self.tables)
        self.assertTrue(result.good, result.report() + narwal.log_tail())

    def small_disk(self, mib):
        """A file system of its own. @return its folder"""
        disk = self.server.folder / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "narwal", str(disk)],
                          capture_output=True).returncode != 0:
            self.skipTest("this user may not mount a file system")
        self.addCleanup(subprocess.run, ["umount", "-l", str(disk)], check=True)
        return disk

    def spool_status(self, narwal):
        """Once it has one: the first report may be older than the spool."""
        found = {}

        def has_spool():
            code, text = narwal.call("status", "--json")
            found.update(json.loads(text).get("spool", {}) if code == 0 else {})
            return found
        narwal.wait("a status with the spool", has_spool)
        return found

    def spool(self, narwal):
        return sorted((narwal.state_dir / "spool").glob("*.spool"))

    def test_the_server_forgets_while_the_copy_runs(self):
        narwal = self.narwal(rate="3MiB").start()
        narwal.wait_slot()
        first = self.server.value("SELECT confirmed_flush_lsn - '0/0' FROM pg_replication_slots "
                                  "WHERE slot_name = %s", (narwal.slot,))
        end = self.churning()
        held = []
        while "copy complete" not in narwal.log():
            time.sleep(0.5)
            self.server.sql("SELECT pg_log_standby_snapshot()" if check.version() >= 16
                            else "CHECKPOINT")
            held.append(int(self.server.value(HELD, (narwal.slot,))))
        end()
        written = self.server.value("SELECT pg_current_wal_lsn() - '0/0'") - first
        print(f"{written // MIB} MiB written, at most {max(held) // MIB} held", end=" ... ", flush=True)
        self.assertGreater(written, 12 * MIB)
        self.assertLess(max(held[2:]), written / 2, held)
        self.same(narwal)
        narwal.wait("the spool to be gone", lambda: not (narwal.state_dir / "spool").exists(), 70)
        self.assertEqual(narwal.terminate(), 0)

    def test_acknowledged_by_the_sink_only(self):
        narwal = self.narwal(ack="sink").start()
        end = self.churning()
        narwal.wait_slot()
        confirmed = "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = %s"
        first = self.server.value(confirmed, (narwal.slot,))
        narwal.wait("the end of the copy", lambda: "copy complete" in narwal.log())
        self.assertFalse((narwal.state_dir / "spool").exists())
        self.assertEqual(self.server.value(confirmed, (narwal.slot,)), first)
        end()
        self.same(narwal)

    def test_kills_at_random_moments_under_full_load(self):
        narwal = self.narwal()
        load = workload.Workload(self.server.dsn(), seed=check.seed(), sessions=2, pause=0.01,
                                 bulk_rows=1000)
        with load:
            load.rewrites = True
            load.run_until(lambda: load.transactions > 100)
            end = self.churning()
            for _ in range(8):
                narwal.start()
                try:
                    narwal.process.wait(self.random.uniform(0.1, 4.0))
                    self.fail(f"narwal ended by itself\n{narwal.log_tail()}")
                except check.TimeoutExpired:
                    narwal.kill()
            narwal.start().wait_streaming()
            end()
        self.same(narwal)
        self.assertEqual(narwal.terminate(), 0)

    def test_kills_while_it_is_read_back(self):
        narwal = self.narwal(rate="20MiB")
        end = self.churning()
        self.assertEqual(narwal.run_to_end(NARWAL_CRASH_AT="play:1"), -signal.SIGKILL)
        for count in (2, 300, 2000):
            status = narwal.run_to_end(NARWAL_CRASH_AT=f"play:{count}")
            self.assertEqual(status, -signal.SIGKILL, narwal.log_tail())
        end()
        narwal.start()
        self.same(narwal)
        self.assertEqual(narwal.terminate(), 0)
        self.assertIn("going on with the spool", narwal.log())

    def test_a_start_that_is_refused_leaves_the_spool(self):
        narwal = self.narwal(rate="20MiB")
        end = self.churning()
        narwal.run_to_end(NARWAL_CRASH_AT="play:300")
        kept = self.spool(narwal)
        narwal.config["source"]["slot"] = {"name": "another"}
        self.assertGreater(narwal.run_to_end(), 0)
        self.assertRegex(narwal.log_tail(), "NW2301 .*slot another is gone")
        self.assertEqual(self.spool(narwal), kept)
        del narwal.config["source"]["slot"]
        end()
        narwal.start()
        self.same(narwal)
        self.assertEqual(narwal.terminate(), 0)

    def refused(self, narwal, damage, words):
        """A spool that is needed and not whole: nothing goes on without it."""
        narwal.run_to_end(NARWAL_CRASH_AT="play:300")
        self.assertTrue(self.spool(narwal), narwal.log_tail())
        damage(self.spool(narwal))
        self.assertGreater(narwal.run_to_end(), 0)
        for word in words:
            self.assertIn(word, narwal.log_tail())

    def test_a_lost_or_damaged_spool_is_refused_with_the_repair(self):
        end = self.churning()

        def lose(files):
            for file in files:
                file.unlink()
            files[0].parent.rmdir()

        def flip(files):
            with open(files[0], "r+b") as file:
                file.seek(100000)
                byte = file.read(1)
                file.seek(100000)
                file.write(bytes([byte[0] ^ 1]))

        self.refused(self.narwal(rate="20MiB"), lose, ["spool", "new copy"])
        self.refused(self.narwal(rate="20MiB"), flip, [".spool", "new copy"])
        end()

    def test_it_is_trimmed_while_it_is_read_and_killed_meanwhile(self):
        """Segments go that every sink has; a start goes on from what is left, new columns and all."""
        narwal = self.narwal(rate="3MiB", spool="64MiB").start(NARWAL_CRASH_AT="play:3000")
        narwal.wait_slot()
        for number in range(14):
            if number % 4 == 1:
                self.server.sql(f"ALTER TABLE lab.large ADD COLUMN more{number} int DEFAULT {number}")
            self.server.sql("UPDATE lab.large SET n = n + 1, big = NULL WHERE id %% 10 = %s", (number % 10,))
        self.assertEqual(narwal.wait_exit(), -signal.SIGKILL, narwal.log_tail())
        self.assertGreater(len(self.spool(narwal)), 2)
        began = []
        for count in (30000, 40000, 50000):
            if narwal.run_to_end(NARWAL_CRASH_AT=f"play:{count}") != -signal.SIGKILL:
                self.fail(narwal.log_tail())
            began.append(self.spool(narwal)[0].name)
        print(began, end=" ... ", flush=True)
        self.assertNotEqual(began[-1], "0000000001.spool")
        narwal.start()
        self.same(narwal)
        self.assertEqual(narwal.terminate(), 0)

    def test_a_full_disk_is_waited_out(self):
        disk = self.small_disk(4)
        narwal = self.narwal(rate="2MiB", spool_dir=str(disk / "spool")).start()
        narwal.wait_slot()
        end = self.churning()
        narwal.wait("a full disk", lambda: self.spool_status(narwal)["blocked"] != "")
        self.assertRegex(self.spool_status(narwal)["blocked"], "NW2504 .*No space left on device; free space there")
        self.assertIn("nothing is received, and WAL stays on the server", narwal.call("status")[1])
        synced = self.spool_status(narwal)["synced_lsn"]
        confirmed = self.server.value("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE "
                                      "slot_name = %s", (narwal.slot,))
        self.assertTrue(self.server.value("SELECT %s::pg_lsn <= %s::pg_lsn", (confirmed, synced)))
        time.sleep(3)
        self.assertEqual(self.spool_status(narwal)["synced_lsn"], synced)
        subprocess.run(["mount", "-o", "remount,size=1g", str(disk)], check=True)
        narwal.wait("more of the spool", lambda: "the spool is written again" in narwal.log(), 10)
        narwal.wait("the end of the copy", lambda: "copy complete" in narwal.log())
        end()
        self.same(narwal)
        self.assertNotIn("trying again in", narwal.log())
        self.assertEqual(narwal.log().count("No space left on device"), 1, narwal.log())
        self.assertEqual(narwal.terminate(), 0)

    def test_a_slot_that_holds_too_much_is_dropped_to_save_the_server(self):
        """A transaction that stays open keeps the slot from moving, whatever is acknowledged."""
        narwal = self.narwal(rate="20MiB", retained_wal="16MiB", when_exceeded="drop_slot").start()
        narwal.wait_streaming()
        ours = self.server.connect(autocommit=False)
        ours.cursor().execute("INSERT INTO lab.large VALUES (-1, 1, 'open', '')")
        for _ in range(40):
            self.server.sql("SELECT pg_logical_emit_message(false, 'x', repeat('m', 1000000))")
        self.assertGreater(narwal.wait_exit(60), 0)
        ours.rollback()
        self.assertRegex(narwal.log(), "NW2319 .*protect.retained_wal")
        self.assertIn("NW2320 slot ", narwal.log())
        self.assertEqual(self.server.value("SELECT count(*) FROM pg_replication_slots WHERE "
                                           "slot_name = %s", (narwal.slot,)), 0, narwal.log_tail())

    def test_a_slot_that_nobody_reads_meanwhile_is_dropped_too(self):
        """No attempt gets as far as the server: the sink's folder is none."""
        narwal = self.narwal(rate="20MiB", retained_wal="16MiB", when_exceeded="drop_slot").start()
        narwal.wait_streaming()
        narwal.kill()
        narwal.out.rename(narwal.home / "kept")
        narwal.out.write_text("no folder")
        narwal.start()
        narwal.wait("the first pause", lambda: "trying again" in narwal.log())
        for _ in range(40):
            self.server.sql("SELECT pg_logical_emit_message(false, 'x', repeat('m', 1000000))")
        self.assertGreater(narwal.wait_exit(60), 0)
        self.assertRegex(narwal.log(), "NW2319 .*protect.retained_wal")
        self.assertNotIn("streaming from", narwal.log())
        self.assertEqual(self.server.value("SELECT count(*) FROM pg_replication_slots WHERE "
                                           "slot_name = %s", (narwal.slot,)), 0, narwal.log_tail())


if __name__ == "__main__":
    check.main()
