#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What gets in the way of the first copy: somebody else's locks, a slot that is invalidated."""
import time

from lab import check, workload
from lab.narwal import Narwal

ROWS = 400000
LOCKED_SECONDS = 5
COPIES = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%COPY (SELECT%%' AND " \
         "state = 'active' AND pid <> pg_backend_pid()"


class CopyFaultsTest(check.Case):
    def setUp(self):
        self.server = self.cluster()
        workload.create_tables(self.server.connect())
        self.server.sql("INSERT INTO lab.plain SELECT g, g, 'x' FROM generate_series(1, 100) g")
        self.server.sql("CREATE TABLE lab.large (id int PRIMARY KEY, t text)")
        self.server.sql("INSERT INTO lab.large SELECT g, repeat('x', 200) FROM "
                        "generate_series(1, %s) g", (ROWS,))

    def copying(self):
        """A narwal that copies the large table, one table at a time, and has others to come."""
        narwal = self.enter(Narwal(self.server, settings={"copy": {"workers": 1}})).start()
        narwal.wait("the copy of the large table",
                    lambda: self.server.value(COPIES) == 1)
        return narwal

    def test_a_locked_table_is_copied_later_by_the_same_copy(self):
        ours = self.server.connect(autocommit=False)
        narwal = self.copying()
        ours.cursor().execute("LOCK TABLE lab.plain IN ACCESS EXCLUSIVE MODE")
        narwal.wait("a word about the lock", lambda: "waits for a lock" in narwal.log())
        self.assertRegex(narwal.log(), f"NW2201 .*process {ours.info.backend_pid} [(]lab[)]")
        # Others queue behind narwal no longer than its lock_wait, although it tries again and again.
        other = self.server.connect()
        other.cursor().execute("SET lock_timeout = '30s'")
        time.sleep(LOCKED_SECONDS)
        ours.rollback()
        started = time.monotonic()
        other.cursor().execute("ALTER TABLE lab.plain ADD COLUMN more int")
        self.assertLess(time.monotonic() - started, 2)
        other.cursor().execute("ALTER TABLE lab.plain DROP COLUMN more")
        narwal.wait_streaming()
        self.server.sql("UPDATE lab.plain SET n = n + 1")
        narwal.wait_caught_up()
        self.assertEqual(narwal.log().count("waiting for a consistent point"), 1, narwal.log())
        self.assertEqual(narwal.log().count("waits for a lock"), 1, narwal.log())
        result = narwal.compare([("lab", "plain"), ("lab", "large")])
        self.assertTrue(result.good, result.report())
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_slot_that_is_invalidated_meanwhile_ends_the_copy(self):
        """Not only at the hand-over, which here would come only when the lock is given back."""
        ours = self.server.connect(autocommit=False)
        narwal = self.copying()
        ours.cursor().execute("LOCK TABLE lab.plain IN ACCESS EXCLUSIVE MODE")
        narwal.wait("a word about the lock", lambda: "waits for a lock" in narwal.log())
        self.server.sql("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
        self.server.sql("SELECT pg_reload_conf()")
        for _ in range(5):
            self.server.sql("INSERT INTO lab.large VALUES (-1, '')")
            self.server.sql("DELETE FROM lab.large WHERE id = -1")
            self.server.sql("SELECT pg_switch_wal()")
        self.server.sql("CHECKPOINT")
        self.assertEqual(self.server.value("SELECT wal_status FROM pg_replication_slots WHERE "
                                           "slot_name = %s", (narwal.slot,)), "lost")
        self.assertGreater(narwal.wait_exit(20), 0)
        self.assertRegex(narwal.log(), "NW1210 .*invalidated")
        ours.rollback()


if __name__ == "__main__":
    check.main()
