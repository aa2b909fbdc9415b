#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Copy and stream from a hot standby (PostgreSQL 16 and later), and what its recovery does to them."""
import threading
import time

from lab import check, workload
from lab.narwal import Narwal
from lab.standby import Standby

ROWS = 40000
TABLES = [("lab", "plain"), ("lab", "large")]


class StandbyTest(check.Case):
    def prepare(self, options=None):
        self.server = self.cluster()
        workload.create_tables(self.server.connect())
        self.server.sql("INSERT INTO lab.plain SELECT g, g, 'x' FROM generate_series(1, 100) g")
        self.server.sql("CREATE TABLE lab.large (id int PRIMARY KEY, n int, t text)")
        self.server.sql("INSERT INTO lab.large SELECT g, g, repeat('x', 200) FROM "
                        "generate_series(1, %s) g", (ROWS,))
        # A standby has the publications of its primary.
        self.server.sql("CREATE PUBLICATION p FOR TABLE lab.plain, lab.large, lab.marker")
        self.standby = self.enter(Standby(self.server, options))

    def narwal(self, **settings):
        """Its marks and comparisons are the primary's, its source is the standby."""
        return self.enter(Narwal(self.server, dsn=self.standby.dsn(), settings={
            "source": {"publication": {"name": "p", "create": False}}, **settings}))

    def logging(self):
        """A slot on a standby is made when the primary logs which transactions run."""
        stop = threading.Event()

        def log():
            while not stop.wait(0.3):
                self.server.sql("SELECT pg_log_standby_snapshot()" if check.version() >= 16
                                else "CHECKPOINT")
        thread = threading.Thread(target=log)
        thread.start()

        def end():
            stop.set()
            thread.join()
        self.addCleanup(end)
        return end

    def same(self, narwal):
        narwal.wait_caught_up()
        result = narwal.compare(TABLES)
        self.assertTrue(result.good, result.report() + narwal.log_tail())

    def needs_16(self):
        if check.version() < 16:
            self.skipTest("standbys decode from 16 on")

    def test_copy_and_stream_from_a_standby(self):
        self.needs_16()
        self.prepare()
        narwal = self.narwal()
        narwal.write()
        printed = narwal.call("check")[1]
        self.assertIn("NW1304", printed)
        self.assertNotIn("NW1306", printed)
        end = self.logging()
        narwal.start().wait_streaming()
        end()
        self.assertEqual(self.server.value("SELECT count(*) FROM pg_replication_slots WHERE "
                                           "slot_type = 'logical'"), 0)
        self.server.sql("UPDATE lab.large SET n = n + 1 WHERE id % 3 = 0")
        self.server.sql("DELETE FROM lab.plain WHERE id % 7 = 0")
        self.server.sql("ALTER TABLE lab.plain ADD COLUMN more int DEFAULT 4")
        self.server.sql("INSERT INTO lab.plain VALUES (1000, 1, 'y', 5)")
        self.same(narwal)
        narwal.kill()
        self.server.sql("UPDATE lab.plain SET n = -n")
        narwal.start()
        self.same(narwal)
        # Promoted, it is the same history: narwal goes on.
        self.server.stop()
        self.standby.sql("SELECT pg_promote()")
        narwal.cluster = self.standby
        self.standby.sql("UPDATE lab.plain SET n = 7 WHERE id < 20")
        self.same(narwal)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_recovery_cancels_the_copy(self):
        """Vacuum on the primary takes away what the copy's snapshot sees: it goes on under another."""
        self.needs_16()
        self.prepare({"hot_standby_feedback": "off", "max_standby_streaming_delay": "100ms"})
        narwal = self.narwal(copy={"workers": 2, "chunk": "256KiB", "rate": "2MiB"})
        narwal.write()
        self.assertIn("NW1306", narwal.call("check")[1])
        self.logging()
        narwal.start()
        narwal.wait("the copy", lambda: self.standby.value(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%COPY (SELECT%' AND "
            "pid <> pg_backend_pid()"))
        time.sleep(1)
        self.server.sql("DELETE FROM lab.large WHERE id % 5 = 0")
        self.server.sql("UPDATE lab.large SET n = -1 WHERE id % 11 = 0")
        self.server.sql("VACUUM lab.large")
        narwal.wait_streaming()
        self.assertGreater(self.standby.value("SELECT sum(confl_snapshot) FROM "
                                              "pg_stat_database_conflicts"), 0)
        self.assertIn("trying again", narwal.log())
        self.same(narwal)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_standby_of_an_older_server_is_refused(self):
        if check.version() >= 16:
            self.skipTest("standbys decode from 16 on")
        self.prepare()
        narwal = self.narwal()
        narwal.write()
        code, text = narwal.call("check")
        self.assertEqual(code, 1, text)
        self.assertIn("NW1205", text)
        self.assertGreater(narwal.run_to_end(60), 0)
        self.assertEqual(self.server.value("SELECT count(*) FROM pg_replication_slots WHERE "
                                           "slot_type = 'logical'"), 0)
        self.assertIn("logical decoding cannot be used while in recovery", narwal.log())


if __name__ == "__main__":
    check.main()
