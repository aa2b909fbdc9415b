#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 at every step, counted: nothing lost, doubled or reordered after the sink's recovery.

NARWAL_CRASH_AT=POINT:N makes narwal kill itself at the N-th pass of a point: that is exactly the
moment, while a kill from outside only meets some moment. Both are done.
"""
import random
import signal

from lab import check, workload
from lab.narwal import Narwal

KILLS = 8
TRANSACTIONS_BEFORE = 200
TRIES_MAX = 3


class KillTest(check.Case):
    def setUp(self):
        self.random = random.Random(check.seed())
        self.server = self.cluster()
        workload.create_tables(self.server.connect())
        self.load = workload.Workload(self.server.dsn(), seed=check.seed(), sessions=3, pause=0.01,
                                      bulk_rows=1000)
        self.kills = 0

    def crash(self, narwal, point, count):
        """Run it until it kills itself there."""
        status = narwal.run_to_end(NARWAL_CRASH_AT=f"{point}:{count}")
        self.assertEqual(status, -signal.SIGKILL, f"at {point}:{count}\n{narwal.log_tail()}")
        self.kills += 1

    def finish(self, narwal, point):
        """The load has ended: catch up and compare."""
        if not narwal.running:
            narwal.start()
        narwal.wait_caught_up()
        result = narwal.compare(workload.TABLES)
        print(f"{self.kills} kills at {point}: {result}", end=" ... ", flush=True)
        self.assertTrue(result.good, f"{result.report()}\n{narwal.log_tail()}")
        self.assertEqual(result.tables, len(workload.TABLES))
        self.assertEqual(narwal.terminate(), 0)
        status, output = narwal.call_verify()
        self.assertEqual(status, 0, output)

    def test_killed_while_copying(self):
        narwal = self.enter(Narwal(self.server, settings={"copy": {"workers": 2}}))
        with self.load:
            self.load.run_until(lambda: self.load.transactions > TRANSACTIONS_BEFORE)
            for number in range(KILLS):
                self.crash(narwal, "copy", number + 1)
                self.assertEqual(narwal.state().lsn, 0, "it was past the copy")
            narwal.start().wait_streaming()
            self.load.rewrites = True
            self.load.run_until(lambda: self.load.transactions > 3 * TRANSACTIONS_BEFORE)
        self.finish(narwal, "copy")

    def test_killed_at_the_hand_over(self):
        """Between copy and stream there is one moment in a pipeline's life: eight pipelines."""
        pipelines = []
        with self.load:
            self.load.run_until(lambda: self.load.transactions > TRANSACTIONS_BEFORE)
            for number in range(KILLS):
                narwal = self.enter(Narwal(self.server))
                self.crash(narwal, "handover", 1)
                if number % 2:  # and again, at once
                    narwal.start()
                    narwal.wait_slot()
                    narwal.kill()
                    self.kills += 1
                pipelines.append(narwal)
        for narwal in pipelines:
            narwal.start().wait_streaming()
            self.finish(narwal, "hand-over")

    def kill_while_streaming(self, point, count_max):
        narwal = self.enter(Narwal(self.server, sink={"rotate_size": "64KiB",
                                                      "journal_size": "64KiB"}))
        with self.load:
            self.load.run_until(lambda: self.load.transactions > TRANSACTIONS_BEFORE)
            narwal.start().wait_streaming()
            narwal.kill()
            self.load.rewrites = True
            for _ in range(KILLS + 2):
                self.crash(narwal, point, self.random.randint(1, count_max))
            narwal.start()
            self.load.run_until(lambda: self.load.transactions > 5 * TRANSACTIONS_BEFORE)
        self.finish(narwal, point)

    def test_killed_while_writing(self):
        self.kill_while_streaming("write", 60)

    def test_killed_while_committing(self):
        self.kill_while_streaming("commit", 8)

    def test_killed_while_acknowledging(self):
        self.kill_while_streaming("acknowledge", 5)

    def test_killed_at_random_moments(self):
        narwal = self.enter(Narwal(self.server))
        with self.load:
            self.load.run_until(lambda: self.load.transactions > TRANSACTIONS_BEFORE)
            for _ in range(int(KILLS * 2 * check.scale())):
                if narwal.state().lsn:
                    self.load.rewrites = True
                narwal.start()
                try:
                    narwal.process.wait(self.random.uniform(0.02, 1.2))
                    self.fail(f"narwal ended by itself\n{narwal.log_tail()}")
                except check.TimeoutExpired:
                    narwal.kill()
                    self.kills += 1
            narwal.start().wait_streaming()
            self.load.rewrites = True
            self.load.run_until(lambda: not self.load.missing(), 30)
        self.finish(narwal, "random moments")


if __name__ == "__main__":
    check.main()
