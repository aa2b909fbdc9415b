#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Going on at a server that was promoted, upgraded or restored: `narwal adopt` (docs/moving-servers.md)."""
import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
import threading
import time

import psycopg2

from lab import check, cluster, workload
from lab.folder import State
from lab.narwal import Narwal
from lab.standby import Standby

TABLES = [("lab", "plain"), ("lab", "bulk")]


def claim_key(slot):
    """Of the advisory lock by which a narwal has a slot (core/pipeline/claim.c)."""
    number = 2166136261
    for byte in slot.encode():
        number = (number ^ byte) * 16777619 & 0xffffffff
    return number & 0x7fffffff


def state_rows(narwal, question):
    with contextlib.closing(sqlite3.connect(narwal.state_dir / "state.db")) as state:
        return state.execute(question).fetchall()


def state_timeline(narwal):
    return state_rows(narwal, "SELECT timeline FROM source")[0][0]


def conditions(narwal):
    return repr(state_rows(narwal, "SELECT table_name, state, reason FROM tables"))


class Load:
    """Writes to the primary until it is stopped."""

    def __init__(self, server):
        self.ended = threading.Event()
        self.connection = server.connect()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        number = 1000
        with contextlib.suppress(psycopg2.Error), self.connection.cursor() as cursor:
            while not self.ended.wait(0.005):  # or until the server goes
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

    def copied(self, narwal):
        """Rows, beside the stream; lab.bulk, which did not change, has 1000."""
        return sum(map(int, re.findall(r"while the stream went on: (\d+) rows", narwal.log())))

    def goes_on(self, narwal, standby):
        narwal.start()
        standby.sql("UPDATE lab.plain SET n = 8 WHERE id < 20")
        narwal.wait("the copies", lambda: "while the stream went on" in narwal.log())
        self.same(narwal)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        code, text = narwal.call_verify()
        self.assertEqual(code, 0, text)

    def promote(self, primary, standby):
        primary.stop("fast")
        standby.sql("SELECT pg_promote()")


class SwitchoverTest(Case):
    """Without failover slots: the promoted standby has no slot."""

    def moved(self):
        """A narwal that followed a primary under load, and has all of it; with the standby and a token."""
        primary = self.primary()
        standby = self.enter(Standby(primary))
        narwal = self.enter(Narwal(primary))
        narwal.config["sinks"] = [{"type": "file", "name": "a", "path": str(narwal.out)},
                                  {"type": "file", "name": "b", "path": str(narwal.home / "b")}]
        narwal.start().wait_streaming()
        self.assertEqual(narwal.call("table", "pause", "lab.wide")[0], 0)
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
        # Nor is a sink touched while another narwal has the slot.
        with contextlib.closing(standby.connect()) as other, other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(1851880055, %s)", (claim_key(narwal.slot),))
            text = self.adopt(narwal, "--token", token, "--dry-run", code=1)
            self.assertIn("NW1211 another narwal has slot", text)
            self.assertNotIn("sink a", text)
        # Killed behind the slot, between two sinks, and behind the last: it is run again.
        shutil.rmtree(narwal.state_dir)
        shutil.move(kept, narwal.state_dir)
        for place in ("adopt-slot:1", "adopt-sink:1"):
            os.environ["NARWAL_CRASH_AT"] = place
            try:
                narwal.call("adopt", "--yes", "--token", token)
            finally:
                del os.environ["NARWAL_CRASH_AT"]
            self.assertEqual(standby.value("SELECT count(*) FROM pg_replication_slots"), 1)
        self.assertRegex(self.adopt(narwal, "--token", token, "--dry-run"), "^(?s:.*)do    sink b goes on")
        os.environ["NARWAL_CRASH_AT"] = "adopt-sink:1"
        try:
            self.assertNotIn("do    sink a ", narwal.call("adopt", "--yes", "--token", token)[1])
        finally:
            del os.environ["NARWAL_CRASH_AT"]
        self.assertEqual(state_timeline(narwal), 1)
        self.assertRegex(conditions(narwal), "stopped.*NW2346")  # before a sink was moved
        self.assertIn("nothing to adopt", self.adopt(narwal, "--dry-run"))
        self.assertEqual(state_timeline(narwal), 1)
        self.assertIn("nothing to adopt", self.adopt(narwal))
        self.assertEqual(state_timeline(narwal), 2)
        shutil.rmtree(narwal.state_dir)
        # From an empty state folder.
        standby.sql("UPDATE lab.plain SET n = 7 WHERE id < 20")
        narwal.start()
        self.same(narwal)
        narwal.wait("sink b", lambda: State(narwal.home / "b").lsn >= narwal.state().lsn)
        self.assertNotRegex(narwal.log(), r"copied lab\.(?!wide)")
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        for narwal.out in (narwal.out, narwal.home / "b"):
            result = narwal.compare(TABLES)
            self.assertTrue(result.good, result.report())
            self.assertEqual(narwal.call_verify()[0], 0)
        # One that is detached need not be there.
        narwal.call("sink", "detach", "b")
        shutil.rmtree(narwal.home / "b")
        (narwal.home / "b").write_text("")
        self.assertRegex(self.adopt(narwal), "(?s)sink b is detached, and stays .*nothing to adopt")

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

    def test_a_slot_in_step_survives_a_crash_under_load(self):
        """The primary dies in the middle of it; narwal, which is never ahead, moves over by itself."""
        primary = self.primary(version=18)
        narwal = self.enter(Narwal(primary, settings={"source": {"slot": {"failover": True}}}))
        standby = self.enter(Standby(primary, {"sync_replication_slots": "on"}))
        narwal.config["source"]["dsn"] = \
            f"host=127.0.0.1,127.0.0.1 port={primary.port},{standby.port} user=postgres dbname=postgres " \
            "sslmode=disable target_session_attrs=read-write"
        primary.sql("ALTER SYSTEM SET synchronized_standby_slots = 'standby'")
        primary.sql("SELECT pg_reload_conf()")
        narwal.start().wait_streaming()
        load = Load(primary)
        narwal.wait("the standby has the slot", lambda: (
            primary.sql("SELECT pg_log_standby_snapshot()"), time.sleep(0.3), standby.value(
                "SELECT count(*) FROM pg_replication_slots WHERE synced AND NOT temporary"))[2] == 1)
        time.sleep(1)
        process = narwal.process.pid
        primary.stop("immediate")
        load.stop()
        standby.sql("SELECT pg_promote()")
        narwal.cluster = standby
        standby.sql("UPDATE lab.plain SET n = 7 WHERE id < 20")
        self.same(narwal)
        self.assertEqual(narwal.process.pid, process)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_slot_made_on_the_standby_needs_no_pause(self):
        """From 16 on: the load runs until the primary goes."""
        primary = self.primary(version=17)
        standby = self.enter(Standby(primary))
        narwal = self.enter(Narwal(primary)).start().wait_streaming()
        load = Load(primary)
        make = threading.Thread(target=standby.sql, args=(
            f"SELECT pg_create_logical_replication_slot('{narwal.slot}', 'pgoutput')",))
        make.start()
        while make.is_alive():
            primary.sql("SELECT pg_log_standby_snapshot()")
            make.join(0.3)
        time.sleep(1)
        self.promote(primary, standby)
        load.stop()
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        self.follow(narwal, standby)
        narwal.start()
        standby.sql("UPDATE lab.plain SET n = 7 WHERE id < 20")
        self.same(narwal)
        self.assertGreater(standby.value("SELECT count(*) FROM lab.plain"), 50)  # the load did something
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_server_that_is_another_is_refused(self):
        primary = self.primary()
        narwal = self.enter(Narwal(primary))
        narwal.run_to_end(NARWAL_CRASH_AT="handover:1")
        self.assertIn("NW2344", self.adopt(narwal, code=1))
        narwal.start().wait_streaming()
        self.assertIn("NW2001", self.adopt(narwal, code=1))
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        self.committing(narwal, primary)
        self.assertIn("nothing to adopt", self.adopt(narwal))
        before = narwal.state().lsn
        self.follow(narwal, self.cluster(fresh=True))
        self.assertIn("NW2343", self.adopt(narwal, "--copy", "--nothing-written", code=1))
        self.assertEqual(narwal.state().lsn, before)


    def committing(self, narwal, primary):
        """A commit that waits for a synchronous standby was sent to narwal, and is no sign of another server."""
        narwal.start().wait_streaming()
        narwal.wait_caught_up()
        primary.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        primary.sql("SELECT pg_reload_conf()")
        before = primary.lsn()
        writer = threading.Thread(target=primary.sql, args=("INSERT INTO lab.plain VALUES (6000, 1, 'waits')",))
        writer.start()
        narwal.wait("it waits", lambda: primary.value(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == 1)
        narwal.wait("it has come", lambda: narwal.state().lsn > before)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        narwal.start().wait("it streams", lambda: "streaming from" in narwal.log())
        self.assertTrue(writer.is_alive())
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        primary.sql("ALTER SYSTEM RESET synchronous_standby_names")
        primary.sql("SELECT pg_reload_conf()")
        writer.join()


class AheadTest(Case):
    """The promoted standby lacks what narwal had already."""

    def moved(self, failover, kept_only=False):
        """narwal, ahead of a standby that was down meanwhile, and is promoted without the primary.
        kept_only: by what it kept of a paused table, not by what sinks have."""
        primary = self.primary(version=17)
        primary.sql("INSERT INTO lab.bulk SELECT g, g, 'x' FROM generate_series(1, 1000) g")
        primary.sql("ALTER SYSTEM SET track_commit_timestamp = on")  # for both, which start behind this
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
        if kept_only:
            primary.sql("INSERT INTO lab.wide (id) SELECT g FROM generate_series(5001, 5009) g")
            time.sleep(2)
            narwal.kill()
            primary.stop()
            standby.start()
            standby.sql("SELECT pg_promote()")
            standby.sql("INSERT INTO lab.wide (id) VALUES (5010)")
            self.follow(narwal, standby)
            return narwal, standby
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

    def test_what_was_kept_of_a_paused_table(self):
        narwal, standby = self.moved(True, kept_only=True)
        narwal.start().wait_caught_up()
        self.assertIn("promoted without some of what was kept of it", narwal.log())
        self.assertEqual(narwal.call("table", "repair", "lab.wide")[0], 0)
        narwal.wait("the copy", lambda: "lab.wide" not in narwal.call("table", "list", "--state", "stopped")[1] and
                    "waiting" not in narwal.call("status")[1] and "copying" not in narwal.call("status")[1])
        narwal.wait_caught_up()
        self.same(narwal)

    def test_without_its_slot_all_is_copied(self):
        narwal, standby = self.moved(False)
        self.assertIn("NW2341", self.adopt(narwal, code=1))
        text = self.adopt(narwal, "--copy", "--nothing-written", "--dry-run")
        self.assertRegex(text, "(?s)NW2345.*new copies of the tables that differ")
        # It is past all that narwal had. What the former server had is no measure for it afterwards.
        while standby.lsn() < narwal.state().lsn + 1000:
            standby.sql("UPDATE lab.plain SET n = n + 1 WHERE id = 50")
        self.assertTrue(list(narwal.state_dir.glob("recent.*")))
        self.assertIn("new copies of all tables", self.adopt(narwal, "--copy"))
        self.assertFalse(list(narwal.state_dir.glob("recent.*")))
        self.goes_on(narwal, standby)
        self.assertGreater(self.copied(narwal), 1000)


class Restored(cluster.Cluster):
    """A base backup of a server, which archives its WAL, recovered to a named point."""

    def __init__(self, primary, backup, archive):
        super().__init__(primary.version, options={
            "restore_command": f"cp {archive}/%f %p", "recovery_target_name": "before",
            "recovery_target_action": "promote"})
        self.backup = backup

    def create(self):
        super().create()
        shutil.rmtree(self.data)
        shutil.copytree(self.backup, self.data)
        self.write("recovery.signal", "")
        for path in [self.data, *self.data.rglob("*")]:
            self.own(path)


class Older(cluster.Cluster):
    """A copy of a server's files, as a snapshot of its file system is."""

    def __init__(self, primary):
        super().__init__(primary.version)
        self.primary = primary

    def create(self):
        super().create()
        self.primary.stop()
        shutil.rmtree(self.data)
        shutil.copytree(self.primary.data, self.data, ignore=shutil.ignore_patterns("postmaster.*"))
        for path in [self.data, *self.data.rglob("*")]:
            self.own(path)
        self.primary.start()

    def start(self, wait=True):
        if self.port or self.started:
            super().start(wait)
        self.started = True

    started = False


class RestoreTest(Case):
    """A server that was restored to an earlier time."""

    def test_recovered_to_a_point_before(self):
        primary = self.primary(options={"archive_mode": "on", "archive_command": "cp %p ../archive/%f"})
        archive = primary.data.parent / "archive"
        archive.mkdir()
        primary.own(archive)
        primary.sql("INSERT INTO lab.bulk SELECT g, g, 'x' FROM generate_series(1, 1000) g")
        narwal = self.enter(Narwal(primary)).start().wait_streaming()
        backup = primary.folder / "s" / "backup"
        subprocess.run(cluster.as_server_user([
            cluster.servers.clients() / "pg_basebackup", "-d", primary.dsn(), "-D", backup, "--checkpoint=fast",
            "-X", "none", "--no-sync"]), check=True, cwd="/", stderr=subprocess.DEVNULL)
        primary.sql("UPDATE lab.plain SET n = n + 1")
        primary.sql("SELECT pg_create_restore_point('before')")
        primary.sql("UPDATE lab.plain SET n = -n WHERE id < 30")
        primary.sql("SELECT pg_switch_wal()")
        narwal.wait_caught_up()
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        primary.stop()
        server = self.enter(Restored(primary, backup, archive))
        self.follow(narwal, server)
        self.assertRegex(self.adopt(narwal, code=1), r"(?s)NW2341.*lacks .*lab.plain \(29 rows\)")
        self.assertIn("all tables", self.adopt(narwal, "--copy", "--dry-run"))
        self.adopt(narwal, "--copy", "--nothing-written")
        self.goes_on(narwal, server)
        self.assertLess(self.copied(narwal), 500)

    def test_an_older_state_without_recovery(self):
        primary = self.primary()
        primary.sql("INSERT INTO lab.bulk SELECT g, g, 'x' FROM generate_series(1, 1000) g")
        narwal = self.enter(Narwal(primary)).start().wait_streaming()
        narwal.wait_caught_up()
        older = self.enter(Older(primary))
        for _ in range(3):
            primary.sql("UPDATE lab.plain SET n = n + 1 WHERE id = 5")
        narwal.wait_caught_up()
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        primary.stop()
        older.start()
        self.follow(narwal, older)
        self.assertRegex(self.adopt(narwal, code=1), r"(?s)NW2341 .*older.*lacks .*lab.plain \(1 row\)")
        # It writes past what the sinks have; but those transactions are others.
        for _ in range(20):
            older.sql("UPDATE lab.bulk SET n = n + 1 WHERE id = 7")
        older.sql("CHECKPOINT")
        before = narwal.state().lsn
        self.assertGreater(older.lsn(), before)
        self.assertGreater(narwal.run_to_end(), 0)
        self.assertRegex(narwal.log(), "NW2308 the server does not have transaction .*set back")
        self.assertEqual(narwal.state().lsn, before)
        self.assertIn("NW2341", self.adopt(narwal, code=1))
        self.assertIn("all tables", self.adopt(narwal, "--copy"))
        self.goes_on(narwal, older)


class Upgraded(cluster.Cluster):
    """What pg_upgrade makes of a cluster, which was stopped."""

    def __init__(self, old, version):
        super().__init__(version, programs=whole(version))
        self.old = old

    def create(self):
        super().create()
        shutil.rmtree(self.data)
        self.data.mkdir(mode=0o700)
        self.own(self.data)
        # Without checksums, as the old one, which 18 has by default.
        more = ["--no-data-checksums"] if self.version >= 18 else []
        self.call("initdb", "-D", self.data, *cluster.INIT, *more)
        for server in (self, self.old):  # the settings that pg_upgrade's own servers need
            server.write("postgresql.conf", "wal_level = logical\nmax_replication_slots = 10\n"
                                            "max_wal_senders = 10\nfsync = off\n")
            server.write("pg_hba.conf", cluster.HBA)
        self.call("pg_upgrade", "-U", "postgres", "-b", self.old.bin, "-B", self.bin, "-d", self.old.data,
                  "-D", self.data, "-s", self.socket)

    def call(self, program, *words):
        result = subprocess.run(cluster.as_server_user([self.bin / program, *words]), cwd=self.socket,
                                stdin=subprocess.DEVNULL, text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)
        if result.returncode != 0:
            raise AssertionError(f"{program}:\n{result.stdout}")


def whole(version):
    """Programs with pg_upgrade."""
    import upgrades  # of tests/servers, which lab.cluster has found
    return upgrades.programs(version)


class UpgradeTest(Case):
    def upgraded(self, version, to):
        """A narwal with a hand-over, and the new cluster, which it is to follow."""
        try:
            programs = whole(version), whole(to)
        except cluster.servers.Unavailable as error:
            self.skipTest(str(error))
        primary = self.primary(version=version, programs=programs[0])
        narwal = self.enter(Narwal(primary)).start().wait_streaming()
        load = Load(primary)
        time.sleep(0.5)
        load.stop()
        self.drained(narwal)
        primary.stop()
        new = self.enter(Upgraded(primary, to))
        self.follow(narwal, new)
        return narwal, new

    def goes_on(self, narwal, new):
        new.sql("UPDATE lab.plain SET n = n + 3 WHERE id % 3 = 0")
        narwal.start()
        self.same(narwal)
        self.assertNotIn("copied", narwal.log())
        # As from an empty state folder.
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        narwal.forget_state()
        new.sql("DELETE FROM lab.plain WHERE id % 5 = 0")
        narwal.start()
        self.same(narwal)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_from_16_to_17_which_loses_the_slot(self):
        narwal, new = self.upgraded(16, 17)
        self.assertGreater(narwal.run_to_end(), 0)
        self.assertRegex(narwal.log(), "NW2310 .*narwal adopt")
        kept = narwal.home / "kept"
        shutil.move(narwal.state_dir, kept)
        self.assertIn("NW2343", self.adopt(narwal, code=1))
        self.assertIn("NW2340", self.adopt(narwal, "--upgraded", code=1))
        shutil.move(kept, narwal.state_dir)
        self.assertIn("no row was written here since", self.adopt(narwal))
        self.goes_on(narwal, new)

    def test_from_17_to_18_which_keeps_it(self):
        narwal, new = self.upgraded(17, 18)
        new.sql("TRUNCATE lab.bulk")
        self.assertRegex(self.adopt(narwal, code=1), "(?s)NW2342 .*truncated.*lab.bulk.*NW2340")
        new.sql("INSERT INTO lab.plain VALUES (7000, 1, 'early')")
        self.assertRegex(self.adopt(narwal, code=1), "(?s)NW2342 .*written.*lab.plain.*NW2340")
        new.stop("immediate")  # which discards the counters
        new.start()
        self.assertRegex(self.adopt(narwal, code=1), "(?s)NW2342 .*were reset.*NW2340")
        new.sql("ALTER DATABASE postgres SET track_counts = off")
        self.assertRegex(self.adopt(narwal, code=1), "(?s)NW2342 .*track_counts.*NW2340")
        new.sql("ALTER DATABASE postgres RESET track_counts")
        self.assertIn("NW2345", self.adopt(narwal, "--upgraded"))
        self.goes_on(narwal, new)


if __name__ == "__main__":
    check.main()
