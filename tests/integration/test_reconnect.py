#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Outside faults while narwal runs: it reconnects by itself, and nothing is lost or doubled."""
import time

from lab import check, workload
from lab.narwal import Narwal
from lab.proxy import Proxy

TRANSACTIONS_BEFORE = 200
TRANSACTIONS_MORE = 150
WALSENDERS = "FROM pg_stat_replication r JOIN pg_replication_slots s ON s.active_pid = r.pid " \
             "WHERE s.slot_name = %s"


class ReconnectTest(check.Case):
    def setUp(self):
        self.server = self.cluster(options={"wal_sender_timeout": "5s"})
        workload.create_tables(self.server.connect())
        self.load = workload.Workload(self.server.dsn(), seed=check.seed(), sessions=3, pause=0.015,
                                      bulk_rows=1000, tolerant=True)

    def more(self, count=TRANSACTIONS_MORE):
        goal = self.load.transactions + count
        self.load.run_until(lambda: self.load.transactions > goal)
        self.assertGreater(self.load.transactions, goal, "the load stands still")

    def run_with(self, fault, times, dsn=None):
        """Copy, then the fault several times under load, then compare; the process never ends."""
        narwal = self.enter(Narwal(self.server, dsn=dsn))
        with self.load:
            self.more(TRANSACTIONS_BEFORE)
            narwal.start().wait_streaming()
            process = narwal.process.pid
            self.load.rewrites = True
            for _ in range(times):
                before = narwal.state().lsn
                fault(narwal)
                self.more()
                narwal.wait("progress after the fault", lambda: narwal.state().lsn > before)
        narwal.wait_caught_up()
        self.assertEqual(narwal.process.pid, process)
        result = narwal.compare(workload.TABLES)
        print(f"{times} faults: {result}", end=" ... ", flush=True)
        self.assertTrue(result.good, result.report())
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_server_restarts_fast(self):
        self.run_with(lambda narwal: self.server.restart("fast"), 3)

    def test_server_crashes(self):
        self.run_with(lambda narwal: self.server.restart("immediate"), 3)

    def test_server_is_down_for_a_while(self):
        def fault(_):
            self.server.stop("fast")
            time.sleep(4)
            self.server.start()
        self.run_with(fault, 2)

    def test_administrator_ends_the_walsender(self):
        def fault(narwal):
            ended = self.server.value(f"SELECT count(pg_terminate_backend(r.pid)) {WALSENDERS}",
                                      (narwal.slot,))
            narwal.wait("the walsender is back", lambda: self.server.value(
                f"SELECT count(*) {WALSENDERS}", (narwal.slot,)) == 1)
            self.assertLessEqual(ended, 1)
        self.run_with(fault, 6)

    def test_every_session_is_ended(self):
        """Also those that it keeps for looking at the catalog."""
        def fault(_):
            self.server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                            "application_name LIKE 'narwal%' AND pid <> pg_backend_pid()")
        self.run_with(fault, 4)

    def test_connection_is_reset(self):
        with Proxy(self.server.port) as proxy:
            dsn = self.server.dsn(way="tcp", port=proxy.port)
            self.run_with(lambda narwal: proxy.cut(), 6, dsn)
            self.assertGreater(proxy.accepted, 6)

    def test_nobody_answers_for_a_while(self):
        with Proxy(self.server.port) as proxy:
            def fault(_):
                proxy.refuse = True
                proxy.cut()
                time.sleep(3)
                proxy.refuse = False
            self.run_with(fault, 2, self.server.dsn(way="tcp", port=proxy.port))

    def test_network_goes_silent(self):
        """Nothing arrives any more, no error either; the server gives up first, then all is cut."""
        with Proxy(self.server.port) as proxy:
            def fault(_):
                proxy.silent = True
                time.sleep(8)
                proxy.cut()
                proxy.silent = False
            self.run_with(fault, 1, self.server.dsn(way="tcp", port=proxy.port))


if __name__ == "__main__":
    check.main()
