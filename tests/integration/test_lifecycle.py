#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Starting, standing idle, stopping: of narwal, and of the server that it follows."""
import socket
import time

from lab import check, workload
from lab.narwal import Narwal
from lab.proxy import Proxy

TRANSACTIONS = 300
IDLE_SECONDS_MAX = 100
FAST_SECONDS_MAX = 10


class StallingProxy(Proxy):
    """Goes silent for ever, without a word of it forwarded, once a client sends these bytes."""

    def __init__(self, target, word):
        super().__init__(target)
        self.word = word

    def forward(self, source):
        try:
            self.silent = self.word in source.recv(1 << 16, socket.MSG_PEEK)
        except OSError:
            pass  # closed meanwhile, which the proxy handles
        if not self.silent:
            super().forward(source)

# What the sink has, and nothing else, is acknowledged, also right behind the copy.
NO_SPOOL = {"protect": {"ack": "sink"}}

class LifecycleTest(check.Case):
    options = {}

    def prepare(self, **options):
        self.server = self.cluster(options=options)
        workload.create_tables(self.server.connect())
        self.load = workload.Workload(self.server.dsn(), seed=check.seed(), sessions=3, pause=0.002,
                                      bulk_rows=2000, tolerant=True)

    def more(self, count=TRANSACTIONS):
        goal = self.load.transactions + count
        self.load.run_until(lambda: self.load.transactions > goal)

    def assert_equal(self, narwal):
        result = narwal.compare(workload.TABLES)
        print(result, end=" ... ", flush=True)
        self.assertTrue(result.good, f"{result.report()}\n{narwal.log_tail()}")

    # ---- idle ------------------------------------------------------------------------------------

    def test_idle_database_advances(self):
        """Others write, nothing is published: the slot moves on and lets go of WAL."""
        self.prepare(wal_sender_timeout="20s")
        self.server.sql("CREATE DATABASE busy")
        self.server.sql("CREATE TABLE t (x text)", database="busy")
        narwal = self.enter(Narwal(self.server)).start().wait_streaming()
        narwal.wait_caught_up()
        self.server.sql("INSERT INTO t SELECT repeat('x', 500) FROM generate_series(1, 50000)",
                        database="busy")
        self.server.sql("SELECT pg_switch_wal()")
        lsn = self.server.lsn()
        lines = narwal.state().lines
        narwal.wait("the slot moves over what others wrote",
                    lambda: narwal.confirmed_lsn() >= lsn, IDLE_SECONDS_MAX)
        self.assertGreaterEqual(narwal.state().lsn, lsn, "acknowledged before the sink had it")
        self.assertEqual(narwal.state().lines, lines)

    def test_nothing_is_acknowledged_before_it_is_durable(self):
        """At the sink: what the spool has is test_spool's."""
        self.prepare()
        narwal = self.enter(Narwal(self.server, settings=NO_SPOOL))
        with self.load:
            self.more()
            narwal.start().wait_streaming()
            self.load.rewrites = True
            for _ in range(200):
                confirmed = narwal.confirmed_lsn()
                self.assertLessEqual(confirmed, narwal.state().lsn)
                time.sleep(0.01)
            self.assertGreater(narwal.confirmed_lsn(), 0)

    # ---- stopping narwal -------------------------------------------------------------------------

    def test_sigterm_drains_what_was_received(self):
        self.prepare()
        narwal = self.enter(Narwal(self.server, settings=NO_SPOOL))
        with self.load:
            self.more()
            narwal.start().wait_streaming()
            self.load.rewrites = True
            for _ in range(3):
                self.more()
                started = time.monotonic()
                self.assertEqual(narwal.terminate(30), 0, narwal.log_tail())
                self.assertLess(time.monotonic() - started, 30)
                self.assertIn("drained to", narwal.log())
                self.assertIn(narwal.slot, narwal.log().rpartition("drained to")[2])
                # What it made durable is what the server was told.
                self.assertEqual(narwal.confirmed_lsn(), narwal.state().lsn)
                narwal.start()
        narwal.wait_caught_up()
        self.assert_equal(narwal)

    def test_sigterm_during_the_copy(self):
        self.prepare()
        self.server.sql("INSERT INTO lab.bulk SELECT g, g, repeat('x', 300) FROM "
                        "generate_series(1, 400000) g")
        narwal = self.enter(Narwal(self.server)).start().wait_slot()
        narwal.terminate(60)
        self.assertEqual(narwal.state().lsn, 0, "the copy was over too soon for this test")
        narwal.start().wait_streaming()
        narwal.wait_caught_up()
        self.assert_equal(narwal)

    def test_sigterm_while_the_server_does_not_answer(self):
        """Each of these is sent, and no byte comes back: a stop ends the wait for it at once."""
        self.prepare()
        for word in (b"IDENTIFY_SYSTEM", b"pg_publication", b"START_REPLICATION"):
            proxy = self.enter(StallingProxy(self.server.port, word))
            narwal = self.enter(Narwal(self.server, settings={"limits": {"drain": "60s"}},
                                       dsn=self.server.dsn(way="tcp", port=proxy.port))).start()
            narwal.wait(word, lambda: proxy.silent)
            started = time.monotonic()
            self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
            self.assertLess(time.monotonic() - started, 2, word)

    def test_sigterm_while_others_are_waited_for(self):
        """A slot is ready once every transaction that runs has ended; a stop does not wait for that."""
        for snapshot in ("initial", "never"):
            self.prepare()
            session = self.server.connect(autocommit=False)
            session.cursor().execute("INSERT INTO lab.plain VALUES (1, 1, 'open')")
            narwal = self.enter(Narwal(self.server, settings={"source": {"snapshot": snapshot}}))
            narwal.start().wait("the slot's creation", lambda: self.server.value(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"))
            self.assertEqual(narwal.terminate(10), 0, narwal.log_tail())
            session.rollback()
            self.assertEqual(self.server.value("SELECT count(*) FROM pg_replication_slots"), 0)

    def test_resumes_without_its_own_state(self):
        """The sink's position and the slot are all that is needed."""
        self.prepare()
        narwal = self.enter(Narwal(self.server, settings=NO_SPOOL))
        with self.load:
            self.more()
            narwal.start().wait_streaming()
            self.load.rewrites = True
            self.more()
            copies = narwal.state().generations
            narwal.kill()
            narwal.forget_state()
            self.more()
            narwal.start()
            self.more()
        narwal.wait_caught_up()
        self.assertEqual(narwal.state().generations, copies, "it copied again")
        self.assert_equal(narwal)

    def test_resumes_right_after_the_copy_without_its_state(self):
        """Copied whole, and no position yet: an idle database."""
        self.prepare()
        self.server.sql("INSERT INTO lab.plain SELECT g, g, 'x' FROM generate_series(1, 100) g")
        narwal = self.enter(Narwal(self.server)).start()
        narwal.wait("the copy", lambda: narwal.state().generations and
                    all(narwal.state().generations.values()) and
                    len(narwal.state().generations) > 15)
        narwal.kill()
        narwal.forget_state()
        self.server.sql("DELETE FROM lab.plain WHERE id < 10")
        narwal.start().wait_caught_up()
        self.assert_equal(narwal)

    # ---- stopping the server ---------------------------------------------------------------------

    def test_fast_shutdown_of_the_server_is_fast(self):
        """A walsender keeps a server from shutting down until its client has everything."""
        self.prepare()
        narwal = self.enter(Narwal(self.server))
        with self.load:
            self.more()
            narwal.start().wait_streaming()
            for _ in range(2):
                self.more()
                seconds = self.server.stop("fast", 60)
                print(f"stopped in {seconds:.1f} s", end=" ... ", flush=True)
                self.assertLess(seconds, FAST_SECONDS_MAX)
                self.assertTrue(narwal.running, narwal.log_tail())
                self.server.start()
        narwal.wait_caught_up()
        self.assert_equal(narwal)

    def test_fast_shutdown_of_an_idle_server_is_fast(self):
        self.prepare()
        narwal = self.enter(Narwal(self.server)).start().wait_streaming()
        narwal.wait_caught_up()
        time.sleep(2)
        self.assertLess(self.server.stop("fast", 60), FAST_SECONDS_MAX)


if __name__ == "__main__":
    check.main()
