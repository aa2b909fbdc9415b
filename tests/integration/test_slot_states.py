#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every bad state of a slot is refused clearly, with the repair named, and nothing is written."""
import psycopg2
import psycopg2.extras

from lab import check, workload
from lab.narwal import Narwal


class SlotStatesTest(check.Case):
    options = {}

    def setUp(self):
        self.server = self.cluster(options=self.options)
        workload.create_tables(self.server.connect())
        self.server.sql("INSERT INTO lab.plain SELECT g, g, 'x' FROM generate_series(1, 100) g")

    def stopped_narwal(self):
        """One that copied, streamed, and was stopped in order."""
        narwal = self.enter(Narwal(self.server)).start().wait_streaming()
        self.server.sql("UPDATE lab.plain SET n = n + 1")
        narwal.wait_caught_up()
        self.assertEqual(narwal.terminate(), 0)
        return narwal

    def assert_refuses(self, narwal, *words):
        """It ends with an error that has these words, and its files are as they were."""
        before = (narwal.state().lsn, narwal.state().lines)
        status = narwal.run_to_end()
        log = narwal.log()
        self.assertGreater(status, 0, log)
        for word in words:
            self.assertIn(word, log)
        self.assertEqual((narwal.state().lsn, narwal.state().lines), before)
        return log

    def change(self):
        self.server.sql("UPDATE lab.plain SET n = n + 1")

    def drop_slot(self, narwal):
        self.server.sql("SELECT pg_drop_replication_slot(%s)", (narwal.slot,))

    def make_slot(self, narwal, plugin="pgoutput", two_phase=False, database="postgres"):
        self.server.sql("SELECT pg_create_logical_replication_slot(%s, %s, false, %s)",
                        (narwal.slot, plugin, two_phase), database=database)

    def test_slot_was_dropped(self):
        narwal = self.stopped_narwal()
        self.drop_slot(narwal)
        self.change()
        self.assert_refuses(narwal, "NW2301 ", narwal.slot, "gone", "new copy")

    def test_slot_was_made_again(self):
        narwal = self.stopped_narwal()
        self.drop_slot(narwal)
        self.change()
        self.make_slot(narwal)
        self.assert_refuses(narwal, "NW2307 ", narwal.slot, "made again", "new copy")

    def test_slot_was_made_again_and_state_is_gone(self):
        narwal = self.stopped_narwal()
        self.drop_slot(narwal)
        self.change()
        self.make_slot(narwal)
        narwal.forget_state()
        self.assert_refuses(narwal, "NW2307 ", narwal.slot, "made again", "new copy")

    def test_slot_was_moved_ahead(self):
        narwal = self.stopped_narwal()
        self.change()
        self.server.sql("SELECT pg_replication_slot_advance(%s, pg_current_wal_lsn())",
                        (narwal.slot,))
        self.assert_refuses(narwal, "NW2307 ", narwal.slot, "changes between are gone", "new copy")

    def test_slot_lost_its_wal(self):
        narwal = self.stopped_narwal()
        self.server.sql("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
        self.server.sql("SELECT pg_reload_conf()")
        for _ in range(5):
            self.change()
            self.server.sql("SELECT pg_switch_wal()")
        self.server.sql("CHECKPOINT")
        self.assertEqual(self.server.value("SELECT wal_status FROM pg_replication_slots WHERE "
                                           "slot_name = %s", (narwal.slot,)), "lost")
        self.assert_refuses(narwal, "NW1210 ", narwal.slot, "invalidated",
                            f"pg_drop_replication_slot('{narwal.slot}')")

    def test_slot_lost_its_wal_while_narwal_is_cut_off(self):
        """The refusal also comes on a reconnect, not only at a start."""
        narwal = self.enter(Narwal(self.server)).start().wait_streaming()
        self.server.sql("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
        self.server.sql("SELECT pg_reload_conf()")
        narwal.process.send_signal(check.signal.SIGSTOP)
        self.server.sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE "
                        "slot_name = %s", (narwal.slot,))
        for _ in range(5):
            self.change()
            self.server.sql("SELECT pg_switch_wal()")
        self.server.sql("CHECKPOINT")
        narwal.process.send_signal(check.signal.SIGCONT)
        self.assertGreater(narwal.wait_exit(60), 0)
        self.assertRegex(narwal.log(), "NW1210 .*invalidated")

    def test_slot_is_in_use(self):
        """Somebody else reads it: narwal waits, says so, and goes on when it is free."""
        narwal = self.stopped_narwal()
        other = psycopg2.connect(self.server.dsn(),
                                 connection_factory=psycopg2.extras.LogicalReplicationConnection)
        other.cursor().start_replication(narwal.slot, options={
            "proto_version": "1", "publication_names": narwal.slot})
        narwal.start()
        narwal.wait("a word about it", lambda: "in use" in narwal.log(), 30)
        other.close()
        self.change()
        narwal.wait_caught_up()
        result = narwal.compare([("lab", "plain")])
        self.assertTrue(result.good, result.report())

    def test_slot_belongs_to_another_database(self):
        self.server.sql("CREATE DATABASE other")
        narwal = self.enter(Narwal(self.server))
        self.make_slot(narwal, database="other")
        self.assert_refuses(narwal, "NW1213 ", narwal.slot, "belongs to database other")

    def test_slot_has_another_plugin(self):
        narwal = self.enter(Narwal(self.server))
        self.make_slot(narwal, "test_decoding")
        self.assert_refuses(narwal, "NW1213 ", narwal.slot, "not one of pgoutput", "test_decoding")

    def test_slot_is_physical(self):
        narwal = self.enter(Narwal(self.server))
        self.server.sql("SELECT pg_create_physical_replication_slot(%s)", (narwal.slot,))
        self.assert_refuses(narwal, "NW1213 ", narwal.slot, "physical")

    def test_slot_has_two_phase_on(self):
        narwal = self.enter(Narwal(self.server))
        self.make_slot(narwal, two_phase=True)
        self.assert_refuses(narwal, narwal.slot, "two_phase")

    def test_files_are_of_another_system(self):
        narwal = self.stopped_narwal()
        other = self.cluster(fresh=True)
        workload.create_tables(other.connect())
        narwal.config["source"]["dsn"] = other.dsn()
        self.assert_refuses(narwal, "NW2310 ", "another source")
        narwal.forget_state()
        self.assert_refuses(narwal, "NW2310 ", "another source")
        self.assertEqual(other.value("SELECT count(*) FROM pg_replication_slots"), 0)

    def test_two_processes_of_one_configuration(self):
        first = self.enter(Narwal(self.server)).start().wait_streaming()
        process = first.process
        first.start()
        self.assertGreater(first.wait_exit(60), 0)
        self.assertIsNone(process.poll(), "the first one ended too")
        process.kill()
        process.wait()

    def test_no_slot_and_not_allowed_to_make_one(self):
        narwal = self.enter(Narwal(self.server, settings={
            "source": {"slot": {"name": "by_the_dba", "create": False}}}))
        self.assert_refuses(narwal, "by_the_dba", "pg_create_logical_replication_slot")

    def test_existing_slot_is_used(self):
        """Both were made by a DBA, the publication first: that is what a slot needs."""
        narwal = self.enter(Narwal(self.server, settings={"source": {
            "slot": {"create": False}, "publication": {"create": False}}}))
        self.server.sql(f"CREATE PUBLICATION {narwal.slot} FOR TABLE lab.plain, lab.marker")
        self.make_slot(narwal)
        self.change()
        narwal.start().wait_streaming()
        self.change()
        narwal.wait_caught_up()
        result = narwal.compare([("lab", "plain")])
        self.assertTrue(result.good, result.report())


if __name__ == "__main__":
    check.main()
