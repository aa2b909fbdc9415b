#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Hazards that docs/hazards.md lists and no other test covers."""
import json
import os
import shutil
import signal
import subprocess
import time

import psycopg2

from lab import check, workload
from lab.narwal import Narwal
from lab.standby import Standby


class HazardsTest(check.Case):
    def setUp(self):
        self.server = self.cluster()
        workload.create_tables(self.server.connect())
        self.server.sql("INSERT INTO lab.plain SELECT g, g, 'x' FROM generate_series(1, 100) g")

    def changes(self, narwal, table):
        """The lines of a table's changes, in order."""
        lines = []
        for path in sorted(narwal.out.glob(f"lab.{table}.*/*.changes.jsonl")):
            lines += [json.loads(line) for line in path.read_text().splitlines()]
        return lines

    def test_a_key_dropped_later_is_found_and_mended(self):
        narwal = self.enter(Narwal(self.server)).start().wait_streaming()
        narwal.wait_caught_up()
        key = self.server.value("SELECT conname FROM pg_constraint WHERE contype = 'p' AND "
                                "conrelid = 'lab.plain'::regclass")
        self.server.sql(f"ALTER TABLE lab.plain DROP CONSTRAINT {key}")
        with self.assertRaises(psycopg2.Error):
            self.server.sql("UPDATE lab.plain SET n = 0")
        found = subprocess.run(narwal.command("check", narwal.file), check=False,
                               capture_output=True, text=True)
        self.assertEqual(found.returncode, 1, found.stdout)
        self.assertIn("NW1219", found.stdout)
        mend = 'ALTER TABLE "lab"."plain" REPLICA IDENTITY FULL'
        self.assertIn(mend, found.stdout)
        self.server.sql(mend)
        self.server.sql("UPDATE lab.plain SET n = -7")
        narwal.wait_caught_up()
        updated = {line["after"]["id"] for line in self.changes(narwal, "plain")
                   if line["op"] == "U" and line["after"]["n"] == -7}
        self.assertEqual(updated, set(range(1, 101)))

    def test_an_origin_ends_with_its_transaction(self):
        narwal = self.enter(Narwal(self.server)).start().wait_streaming()
        self.server.sql("SELECT pg_replication_origin_create('elsewhere')")
        session = self.server.connect()
        cursor = session.cursor()
        cursor.execute("SELECT pg_replication_origin_session_setup('elsewhere')")
        cursor.execute("UPDATE lab.plain SET n = -1 WHERE id = 1")
        cursor.execute("SELECT pg_replication_origin_session_reset()")
        cursor.execute("UPDATE lab.plain SET n = -2 WHERE id = 2")
        session.close()
        narwal.wait_caught_up()
        origins = [(line["after"]["n"], line.get("origin")) for line in self.changes(narwal, "plain")]
        self.assertEqual(origins, [(-1, "elsewhere"), (-2, None)])

    def test_an_open_transaction_holds_the_slot_and_not_what_is_committed(self):
        """restart_lsn cannot pass it; commits beside it become durable all the same."""
        narwal = self.enter(Narwal(self.server)).start().wait_streaming()
        open_session = self.server.connect(autocommit=False)
        open_session.cursor().execute("INSERT INTO lab.plain VALUES (5000, 1, 'open')")
        began = self.server.lsn()
        self.server.sql("UPDATE lab.plain SET n = n + 1")
        narwal.wait_caught_up()
        narwal.wait("the commit beside it is acknowledged", lambda: narwal.confirmed_lsn() > began)
        self.assertLess(self.server.value("SELECT restart_lsn - '0/0'::pg_lsn FROM "
                                          "pg_replication_slots WHERE slot_name = %s",
                                          (narwal.slot,)), began)
        narwal.kill()
        open_session.commit()
        narwal.start().wait_caught_up()
        result = narwal.compare([("lab", "plain")])
        self.assertTrue(result.good, result.report())

    def slots(self):
        return self.server.sql("SELECT slot_name, temporary FROM pg_replication_slots ORDER BY 1")

    def held_up(self, narwal):
        """Whether a slot of its is being made, and waits for a transaction."""
        return self.server.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE "
                                 "'CREATE_REPLICATION_SLOT%' AND wait_event = 'transactionid'")

    def test_kills_leave_no_slot_behind_but_the_one_that_is_followed(self):
        """While each kind of slot is made, which may take hours, in the copy, and while it streams.

        A walsender that waits for a transaction does not see that its client is gone: it ends, and
        its temporary slot with it, when the transaction does."""
        narwal = self.enter(Narwal(self.server))
        open_session = self.server.connect(autocommit=False)
        open_session.cursor().execute("INSERT INTO lab.plain VALUES (5000, 1, 'open')")
        narwal.start()
        narwal.wait("the slot to be made", lambda: self.held_up(narwal))
        narwal.kill()
        narwal.start()
        narwal.wait("a word about the former", lambda: "trying again" in narwal.log())
        open_session.commit()
        narwal.wait_streaming()
        self.assertEqual(self.slots(), [(narwal.slot, False)])
        narwal.wait_caught_up()

        open_session.cursor().execute("INSERT INTO lab.plain VALUES (5001, 1, 'open')")
        self.assertEqual(narwal.call("table", "refresh", "lab.plain")[0], 0)
        narwal.wait("the temporary slot to be made", lambda: self.held_up(narwal))
        self.assertEqual(len(self.slots()), 2)
        narwal.kill()
        open_session.commit()
        narwal.start()
        narwal.wait("another temporary slot", lambda: "snapshot of a temporary slot" in narwal.log())
        narwal.kill()
        narwal.start()
        # On a fast machine the one before had it whole already.
        narwal.wait("the copy", lambda: "copied lab.plain while the stream went on" in narwal.log(whole=True))
        narwal.wait_caught_up()
        narwal.wait("the temporary slots to go", lambda: self.slots() == [(narwal.slot, False)], 30)
        result = narwal.compare([("lab", "plain")])
        self.assertTrue(result.good, result.report())
        narwal.kill()
        self.server.sql("UPDATE lab.plain SET n = n + 1")
        narwal.start().wait_caught_up()
        self.assertTrue(narwal.compare([("lab", "plain")]).good)
        self.assertEqual(self.slots(), [(narwal.slot, False)])

    def test_pg_repack_changes_nothing(self):
        """Beside a load: the table's rows in another file, of which the stream has nothing."""
        if check.version() != 15 or not shutil.which("pg_repack"):
            self.skipTest("pg_repack is not there (Debian: postgresql-15-repack)")
        try:
            self.server.sql("CREATE EXTENSION pg_repack")
        except psycopg2.Error as error:
            self.skipTest(str(error))
        self.server.sql("INSERT INTO lab.plain SELECT g, g, repeat('x', 200) FROM generate_series(200, 20000) g")
        narwal = self.enter(Narwal(self.server)).start().wait_streaming()
        narwal.wait_caught_up()
        before = len(self.changes(narwal, "plain"))
        former = self.server.value("SELECT pg_relation_filenode('lab.plain')")
        repack = subprocess.Popen(["pg_repack", "-h", self.server.socket, "-p", str(self.server.port),
                                   "-U", "postgres", "-d", "postgres", "-t", "lab.plain", "--no-kill-backend"],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        updates = 0
        while repack.poll() is None:
            self.server.sql("UPDATE lab.plain SET n = n + 1 WHERE id = %s", (updates % 100 + 1,))
            updates += 1
        self.assertEqual(repack.returncode, 0, repack.stdout.read())
        repack.stdout.close()
        self.assertNotEqual(self.server.value("SELECT pg_relation_filenode('lab.plain')"), former)
        self.server.sql("UPDATE lab.plain SET t = 'after' WHERE id < 10")
        narwal.wait_caught_up()
        self.assertEqual(len(self.changes(narwal, "plain")) - before, updates + 9)
        result = narwal.compare([("lab", "plain")])
        self.assertTrue(result.good, result.report())
        self.assertEqual(json.loads(narwal.call("status", "--json")[1])["stopped_tables"], [])
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_table_that_is_locked_holds_up_nobody(self):
        """Not the stream, which asks for its new columns; not the look for new tables; no command."""
        sql = self.server.sql
        sql("CREATE TABLE lab.locked (id int PRIMARY KEY, n int DEFAULT 5, "
            "twice int GENERATED ALWAYS AS (id * 2) STORED)")
        sql("CREATE TABLE lab.root (id int PRIMARY KEY) PARTITION BY RANGE (id)")
        sql("CREATE TABLE lab.leaf PARTITION OF lab.root FOR VALUES FROM (0) TO (100)")
        narwal = self.enter(Narwal(self.server)).start().wait_streaming()
        sql("ALTER TABLE lab.locked ADD extra text DEFAULT 'x'")
        locker = self.server.connect()
        locker.autocommit = False
        cursor = locker.cursor()
        cursor.execute("LOCK TABLE lab.locked, lab.leaf IN ACCESS EXCLUSIVE MODE")
        cursor.execute("INSERT INTO lab.locked VALUES (1); INSERT INTO lab.root VALUES (1)")
        locker.commit()
        cursor.execute("LOCK TABLE lab.locked, lab.leaf, lab.composite IN ACCESS EXCLUSIVE MODE")
        before = time.monotonic()
        narwal.wait_caught_up()
        sql("CREATE TABLE lab.fresh (id int PRIMARY KEY)")
        narwal.wait("the look for new tables", lambda: "table lab.fresh matches" in narwal.log())
        code, text = narwal.call("table", "pause", "lab.composite")
        self.assertEqual(code, 0, text)
        self.assertLess(time.monotonic() - before, 12)
        self.assertEqual(self.changes(narwal, "locked")[-1]["after"],
                         {"id": 1, "n": 5, "extra": "x"})
        self.assertEqual(sql("SELECT query FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
                             "wait_event = 'relation'"), [])
        # A start finds its way, too.
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        locker.rollback()  # a prepared transaction's locks have no process
        cursor.execute("LOCK TABLE lab.locked, lab.composite IN ACCESS EXCLUSIVE MODE; PREPARE TRANSACTION 'x'")
        sql("UPDATE lab.plain SET n = -1 WHERE id = 1")
        narwal.start().wait_caught_up()
        self.assertEqual(self.changes(narwal, "plain")[-1]["after"]["n"], -1)
        sql("ROLLBACK PREPARED 'x'")
        narwal.call("table", "resume", "lab.composite")
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_walsender_that_stands_still_is_waited_for(self):
        """Connected and silent: as a server is that decodes a long way, so nothing is given up."""
        narwal = self.enter(Narwal(self.server)).start().wait_streaming()
        narwal.wait_caught_up()
        narwal.stream_query()  # from here on there is one connection
        connections = json.loads(narwal.call("status", "--json")[1])["source"]["connections"]
        pid = self.server.value("SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s",
                                (narwal.slot,))
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(lambda: subprocess.run(["kill", "-CONT", str(pid)], stderr=subprocess.DEVNULL))
        self.server.sql("UPDATE lab.plain SET n = n + 1")
        before = narwal.state().lsn
        time.sleep(5)
        status = json.loads(narwal.call("status", "--json")[1])
        self.assertEqual((status["phase"], narwal.state().lsn), ("streaming", before))
        os.kill(pid, signal.SIGCONT)
        narwal.wait_caught_up()
        status = json.loads(narwal.call("status", "--json")[1])
        self.assertEqual(status["source"]["connections"], connections)
        # One that never goes on is ended by an administrator, and another comes in its place.
        os.kill(pid, signal.SIGSTOP)
        self.server.sql("UPDATE lab.plain SET n = n + 1")
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGCONT)
        narwal.wait_caught_up()
        self.assertTrue(narwal.compare([("lab", "plain")]).good)


class FarTest(check.Case):
    def test_a_long_way_from_restart_lsn_is_gone_in_one_connection(self):
        """The server reads all WAL again from where the oldest transaction began, and would end a client
        that does not answer meanwhile."""
        server = self.cluster(options={"wal_sender_timeout": "2s"})
        workload.create_tables(server.connect())
        server.sql("INSERT INTO lab.plain SELECT g, g, 'x' FROM generate_series(1, 100) g")
        narwal = self.enter(Narwal(server)).start().wait_streaming()
        open_session = server.connect(autocommit=False)
        open_session.cursor().execute("INSERT INTO lab.plain VALUES (-1, 1, 'open')")
        for _ in range(int(12 * check.scale())):
            server.sql("UPDATE lab.plain SET n = n + 1")
            server.sql("INSERT INTO lab.bulk SELECT g, g, repeat('x', 100) FROM generate_series(1, 100000) g; "
                       "DELETE FROM lab.bulk")
        narwal.wait_caught_up()
        narwal.wait("the server to hear of it", lambda: narwal.confirmed_lsn() >= narwal.state().lsn)
        way = int(server.value("SELECT confirmed_flush_lsn - restart_lsn FROM pg_replication_slots"))
        narwal.kill()
        started = time.monotonic()
        narwal.start().wait_caught_up()
        print(f"{way >> 20} MiB in {time.monotonic() - started:.1f} s", end=" ... ", flush=True)
        self.assertGreater(way, 100 << 20)
        self.assertGreater(time.monotonic() - started, 2)
        self.assertEqual(json.loads(narwal.call("status", "--json")[1])["source"]["connections"], 1)
        self.assertNotIn("trying again", narwal.log())
        open_session.commit()
        narwal.wait_caught_up()
        self.assertTrue(narwal.compare([("lab", "plain")]).good)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_the_server_is_answered_while_a_sink_is_stuck(self):
        """Far longer than it waits for an answer, also in the middle of a large transaction."""
        server = self.cluster(options={"wal_sender_timeout": "2s"})
        workload.create_tables(server.connect())
        disk = server.folder / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "narwal", str(disk)],
                          capture_output=True).returncode != 0:
            self.skipTest("this user may not mount a file system")
        self.addCleanup(subprocess.run, ["umount", "-l", str(disk)], check=True)
        narwal = self.enter(Narwal(server))
        narwal.out = disk / "out"
        narwal.config["sinks"][0]["path"] = str(narwal.out)
        narwal.start().wait_streaming()
        narwal.wait_caught_up()
        pid = "SELECT active_pid FROM pg_replication_slots"
        before = server.value(pid)
        server.sql("INSERT INTO lab.plain SELECT g, g, repeat('x', 300) FROM generate_series(1, 20000) g")
        narwal.wait("a full disk", lambda: "No space left" in narwal.log())
        for number in range(5):
            server.sql("INSERT INTO lab.plain VALUES (%s, 1, 'meanwhile')", (100000 + number,))
            time.sleep(2)
        self.assertEqual(server.value(pid), before)
        self.assertNotIn("terminating walsender", server.log.read_text())
        subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)
        narwal.wait_caught_up()
        self.assertEqual(server.value(pid), before)
        self.assertTrue(narwal.compare([("lab", "plain")]).good)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())


class FailoverTest(check.Case):
    def test_a_slot_that_the_standby_kept_in_step_survives_a_failover(self):
        """docs/operations.md: from PostgreSQL 17 on, narwal goes on at the promoted standby."""
        primary = self.cluster(version=17)
        workload.create_tables(primary.connect())
        primary.sql("INSERT INTO lab.plain SELECT g, g, 'x' FROM generate_series(1, 100) g")
        narwal = self.enter(Narwal(primary)).start().wait_streaming()  # a slot as it is by default
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        narwal.config["source"]["slot"] = {"failover": True}
        standby = self.enter(Standby(primary, {"sync_replication_slots": "on"}))
        ports = f"{primary.port},{standby.port}"
        narwal.config["source"]["dsn"] = f"host=127.0.0.1,127.0.0.1 port={ports} user=postgres " \
            "dbname=postgres sslmode=disable target_session_attrs=read-write"
        narwal.start().wait_streaming()
        primary.sql("UPDATE lab.plain SET n = n + 1")
        narwal.wait_caught_up()
        self.assertIn("is one that standbys may keep now", narwal.log())

        def in_step():
            # The slot on the primary has to move past where the standby's copy of it began.
            primary.sql("SELECT pg_log_standby_snapshot()")
            primary.sql("UPDATE lab.plain SET n = n + 1 WHERE id = 1")
            narwal.wait_caught_up()
            time.sleep(0.5)
            return standby.value("SELECT count(*) FROM pg_replication_slots WHERE synced AND "
                                 "NOT temporary") == 1
        narwal.wait("the standby has the slot", in_step)
        process = narwal.process.pid
        primary.stop("fast")
        standby.sql("SELECT pg_promote()")
        narwal.cluster = standby
        standby.sql("UPDATE lab.plain SET n = n + 1000 WHERE id < 50")
        standby.sql("DELETE FROM lab.plain WHERE id > 90")
        narwal.wait_caught_up()
        self.assertEqual(narwal.process.pid, process)
        result = narwal.compare([("lab", "plain")])
        self.assertTrue(result.good, result.report())
        # And in a new process, which checks the slot from the beginning.
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        standby.sql("UPDATE lab.plain SET n = 0 WHERE id < 5")
        narwal.start().wait_caught_up()
        result = narwal.compare([("lab", "plain")])
        self.assertTrue(result.good, result.report())


if __name__ == "__main__":
    check.main()
