#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Where the stream begins again: sinks that stand apart, messages, and servers that were promoted."""
import shutil
import time

from lab import check, workload
from lab.cluster import Cluster
from lab.folder import State
from lab.narwal import Narwal
from lab.proxy import Proxy

TABLES = [("lab", "plain")]


class Standby(Cluster):
    """A copy of a server as it is now, slots included, which is promoted at once unless told not to.

    standby   it is not promoted yet
    """

    def __init__(self, primary, promoted=True, standby=False):
        super().__init__(primary.version)
        self.primary = primary
        self.promoted = promoted and not standby
        self.standby = standby

    def create(self):
        super().create()
        self.primary.stop()
        shutil.rmtree(self.data)
        shutil.copytree(self.primary.data, self.data, ignore=shutil.ignore_patterns("postmaster.*"))
        self.primary.start()
        if self.promoted or self.standby:
            self.write("standby.signal", "")
        for path in self.data.rglob("*"):
            self.own(path)
        self.own(self.data)

    def start(self, wait=True):
        super().start(wait)
        if self.promoted:
            self.sql("SELECT pg_promote()")


class PositionsTest(check.Case):
    def setUp(self):
        self.server = self.cluster()
        workload.create_tables(self.server.connect())
        self.server.sql("INSERT INTO lab.plain SELECT g, g, 'x' FROM generate_series(1, 100) g")

    def test_a_commit_that_begins_where_a_message_ends(self):
        """The message is acknowledged while its transaction is open; the commit follows at once."""
        narwal = self.enter(Narwal(self.server)).start().wait_streaming()
        narwal.wait_caught_up()
        session = self.server.connect(autocommit=False)
        with session.cursor() as cursor:
            cursor.execute("INSERT INTO lab.plain VALUES (1000, 1, 'of the message')")
            cursor.execute("SELECT pg_logical_emit_message(false, 'test', 'x') - '0/0'::pg_lsn")
            message = int(cursor.fetchone()[0])
            narwal.wait("the message", lambda: narwal.state().lsn >= message)
            narwal.wait("the server to hear of it", lambda: narwal.confirmed_lsn() >= message)
            narwal.kill()
            session.commit()
        narwal.start().wait_caught_up()
        result = narwal.compare(TABLES)
        self.assertTrue(result.good, result.report())
        self.assertEqual(len([m for m in narwal.state().messages()]), 1)
        self.assertEqual(narwal.terminate(), 0)

    def two_sinks(self):
        narwal = self.enter(Narwal(self.server))
        other = narwal.home / "other"
        narwal.config["sinks"] = [{"type": "file", "name": "a", "path": str(narwal.out)},
                                  {"type": "file", "name": "b", "path": str(other)}]
        return narwal, other

    def test_a_sink_that_is_set_back_to_its_copy_is_refused(self):
        """It has no position, so only the fence of its copy tells that changes are missing."""
        narwal, other = self.two_sinks()
        narwal.run_to_end(NARWAL_CRASH_AT="handover:1")
        shutil.copytree(other, narwal.home / "kept")
        narwal.start().wait_streaming()
        self.server.sql("UPDATE lab.plain SET n = n + 1")
        narwal.wait_caught_up()
        self.assertEqual(narwal.terminate(), 0)
        shutil.rmtree(other)
        shutil.copytree(narwal.home / "kept", other)
        self.assertGreater(narwal.run_to_end(), 0, narwal.log_tail())
        self.assertRegex(narwal.log(), "NW2505 .*changes between are gone")

    def test_a_sink_that_has_only_its_copy_gets_all_since(self):
        """The other sink has more; the slot, never acknowledged past it, has what is missing."""
        narwal, other = self.two_sinks()
        narwal.run_to_end(NARWAL_CRASH_AT="handover:1")
        shutil.copytree(other, narwal.home / "kept")
        self.server.sql("UPDATE lab.plain SET n = n + 1")
        # Dies before the server hears of what is durable at both.
        narwal.run_to_end(NARWAL_CRASH_AT="acknowledge:1")
        shutil.rmtree(other)
        shutil.copytree(narwal.home / "kept", other)
        narwal.start().wait_caught_up()
        narwal.wait("the other sink", lambda: State(other).lsn >= narwal.state().lsn)
        for out in (narwal.out, other):
            narwal.out = out
            result = narwal.compare(TABLES)
            self.assertTrue(result.good, f"{out}: {result.report()}")
        self.assertEqual(narwal.terminate(), 0)

    def test_a_finished_copy_is_finished_when_it_runs_again(self):
        narwal = self.enter(Narwal(self.server, settings={"source": {"snapshot": "only"}}))
        self.assertEqual(narwal.run_to_end(), 0, narwal.log_tail())
        lines = narwal.state().lines
        self.assertEqual(narwal.run_to_end(), 0, narwal.log_tail())
        self.assertEqual(narwal.state().lines, lines)
        self.assertEqual(self.server.value("SELECT count(*) FROM pg_replication_slots"), 0)

    # ---- a server that was promoted --------------------------------------------------------------

    def test_an_older_state_of_the_server_is_refused(self):
        self.refused(False, "older state")

    def test_a_promoted_server_without_the_last_changes_is_refused(self):
        self.refused(True, "promoted")

    def refused(self, promoted, word):
        narwal = self.enter(Narwal(self.server)).start().wait_streaming()
        narwal.wait_caught_up()
        standby = self.enter(Standby(self.server, promoted))
        self.server.sql("UPDATE lab.plain SET n = n + 1")
        narwal.wait_caught_up()
        self.assertEqual(narwal.terminate(), 0)
        self.follow(narwal, standby)
        before = narwal.state().lsn
        self.assertGreater(narwal.run_to_end(), 0, narwal.log_tail())
        self.assertRegex(narwal.log(), f"NW2308 .*{word}")
        self.assertEqual(narwal.state().lsn, before)

    def test_a_promoted_server_without_what_a_copy_saw_is_refused(self):
        """The sink has no position yet, so only the fence of its copy tells."""
        narwal = self.enter(Narwal(self.server))
        self.server.sql("CREATE PUBLICATION p FOR ALL TABLES")
        narwal.config["source"]["publication"] = {"name": "p", "create": False}
        self.server.sql(f"SELECT pg_create_logical_replication_slot('{narwal.slot}', 'pgoutput')")
        standby = self.enter(Standby(self.server))
        self.server.sql("UPDATE lab.plain SET n = n + 1")
        narwal.run_to_end(NARWAL_CRASH_AT="handover:1")
        self.follow(narwal, standby)
        self.assertGreater(narwal.run_to_end(60), 0, narwal.log_tail())
        self.assertRegex(narwal.log(), "NW2308 .*promoted since")
        self.assertIn("NW2344", narwal.call("adopt", "--yes")[1])

    def test_a_promoted_server_that_has_everything_is_followed(self):
        narwal = self.enter(Narwal(self.server)).start().wait_streaming()
        narwal.wait_caught_up()
        self.assertEqual(narwal.terminate(), 0)
        standby = self.enter(Standby(self.server))
        self.follow(narwal, standby)
        standby.sql("UPDATE lab.plain SET n = n + 1")
        narwal.start().wait_caught_up()
        result = narwal.compare(TABLES)
        self.assertTrue(result.good, result.report())
        self.assertEqual(narwal.terminate(), 0)

    # ---- a standby that is not promoted yet ------------------------------------------------------

    def moved_to_standby(self, keep_slot):
        """A narwal whose connection has come to a standby, and waits; with the proxy and both."""
        proxy = self.enter(Proxy(self.server.port))
        dsn = self.server.dsn(way="tcp", port=proxy.port)
        narwal = self.enter(Narwal(self.server, dsn=dsn)).start().wait_streaming()
        narwal.wait_caught_up()
        standby = Standby(self.server, standby=True)
        self.enter(standby)
        if not keep_slot:  # as on standbys that were made as they should be
            standby.stop()
            for folder in (standby.data / "pg_replslot").iterdir():
                shutil.rmtree(folder)
            standby.start()
        proxy.target = standby.port
        proxy.cut()
        narwal.wait("a word about the standby", lambda: "promotion" in narwal.log(), 60)
        time.sleep(2)
        self.assertTrue(narwal.running, narwal.log_tail())
        return narwal, proxy, standby

    def test_a_standby_without_the_slot_is_left_again(self):
        narwal, proxy, _ = self.moved_to_standby(keep_slot=False)
        proxy.target = self.server.port
        self.server.sql("UPDATE lab.plain SET n = n + 1")
        narwal.wait_caught_up()
        result = narwal.compare(TABLES)
        self.assertTrue(result.good, result.report())
        self.assertEqual(narwal.terminate(), 0)

    def test_a_standby_is_followed_once_it_is_promoted(self):
        if check.version() >= 16:
            self.skipTest("standbys decode by themselves")
        narwal, _, standby = self.moved_to_standby(keep_slot=True)
        self.server.stop()
        standby.sql("SELECT pg_promote()")
        standby.sql("UPDATE lab.plain SET n = n + 1")
        narwal.cluster = standby
        narwal.wait_caught_up()
        result = narwal.compare(TABLES)
        self.assertTrue(result.good, result.report())
        self.assertEqual(narwal.terminate(), 0)

    def test_a_start_with_a_standby_is_refused(self):
        narwal, proxy, _ = self.moved_to_standby(keep_slot=False)
        self.assertEqual(narwal.terminate(), 0)
        before = narwal.state().lsn
        self.assertGreater(narwal.run_to_end(), 0, narwal.log_tail())
        self.assertRegex(narwal.log(), "NW2306 .*follow the primary")
        self.assertEqual(narwal.state().lsn, before)

    # ----

    def follow(self, narwal, server):
        narwal.config["source"]["dsn"] = server.dsn()
        narwal.cluster = server


if __name__ == "__main__":
    check.main()
