#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The whole path on a real server: a copy under load, then the stream, compared row by row."""
import unittest

from lab import check, workload
from lab.narwal import Narwal

TRANSACTIONS_BEFORE = 300
TRANSACTIONS_AFTER = 2500
LOAD_SECONDS_MAX = 60


class CopyAndStreamTest(check.Case):
    def prepare(self, **load):
        self.server = self.cluster()
        workload.create_tables(self.server.connect())
        self.load = workload.Workload(self.server.dsn(), seed=check.seed(), **load)

    def assert_equal(self, narwal, tables=workload.TABLES):
        result = narwal.compare(tables)
        print(f"{result}, {result.rows:,} rows", end=" ... ", flush=True)
        self.assertTrue(result.good, result.report())
        self.assertGreaterEqual(result.tables, len(tables))
        return result

    def test_random_load_arrives_whole_and_in_order(self):
        self.prepare()
        goal = TRANSACTIONS_AFTER * check.scale()
        narwal = self.enter(Narwal(self.server, sink={"rotate_size": "256KiB"}))
        with self.load:
            self.load.run_until(lambda: self.load.transactions > TRANSACTIONS_BEFORE)
            narwal.start().wait_streaming()
            self.load.rewrites = True
            self.load.run_until(lambda: self.load.transactions > goal and not self.load.missing(),
                                LOAD_SECONDS_MAX * max(check.scale(), 1))
        self.assertEqual(self.load.missing(), [], "the load never did these")
        narwal.wait_caught_up()
        self.assert_streamed(narwal)
        result = self.assert_equal(narwal)
        self.assertGreater(result.changes, goal)
        # Partitions arrive as their root, though the server describes them, too.
        self.assertEqual({(log.schema, log.name) for log in narwal.state().logs()},
                         {*workload.TABLES, ("lab", "marker")})
        self.assertEqual(narwal.terminate(), 0)

    def assert_streamed(self, narwal):
        """Transactions above logical_decoding_work_mem came before their end."""
        streamed = self.server.value("SELECT stream_txns FROM pg_stat_replication_slots "
                                     "WHERE slot_name = %s", (narwal.slot,))
        self.assertGreater(streamed, 0)

    def test_messages_arrive_once_and_only_if_committed(self):
        self.prepare()
        narwal = self.enter(Narwal(self.server)).start().wait_streaming()
        connection = self.server.connect(autocommit=False)
        cursor = connection.cursor()
        for index, (transactional, commit) in enumerate(
                [(True, True), (True, False), (False, True), (False, False), (True, True)] * 3):
            cursor.execute("SELECT pg_logical_emit_message(%s, 'exact', %s)",
                           (transactional, f"message {index}: ü \n\\"))
            connection.commit() if commit else connection.rollback()
        narwal.wait_caught_up()
        found = [(line["transactional"], line["content"]) for line in narwal.state().messages()
                 if line["prefix"] == "exact"]
        expected = [(transactional, f"message {index}: ü \n\\") for index, (transactional, commit) in
                    enumerate([(True, True), (True, False), (False, True), (False, False),
                               (True, True)] * 3) if commit or not transactional]
        self.assertCountEqual(found, expected)
        self.assertEqual([line for line in found if line[0]], [line for line in expected if line[0]])

    def test_snapshot_never_follows_without_a_copy(self):
        self.prepare()
        self.server.sql("INSERT INTO lab.plain VALUES (1, 1, 'before')")
        narwal = self.enter(Narwal(self.server, settings={"source": {"snapshot": "never"}}))
        narwal.start().wait_slot()
        self.server.sql("INSERT INTO lab.plain VALUES (2, 2, 'after')")
        narwal.wait_caught_up()
        result = narwal.compare([("lab", "plain")])
        self.assertEqual((result.lost, result.doubled, result.different), (1, 0, 0), result.report())

    def test_snapshot_only_ends_by_itself_and_leaves_nothing(self):
        self.prepare()
        with self.load:
            self.load.run_until(lambda: self.load.transactions > TRANSACTIONS_BEFORE)
        narwal = self.enter(Narwal(self.server, settings={"source": {"snapshot": "only"}}))
        self.assertEqual(narwal.run_to_end(), 0, narwal.log_tail())
        self.assert_equal(narwal)
        self.assertEqual(self.server.value("SELECT count(*) FROM pg_replication_slots"), 0)

    @unittest.skipIf(check.scale() < 1, "small scale")
    def test_values_as_text_protocol_without_streaming_and_compressed(self):
        """The other branch of every choice: text, no streaming, zstd, two workers, TCP."""
        self.prepare(sessions=3)
        narwal = self.enter(Narwal(
            self.server, dsn=self.server.dsn(way="tcp"), sink={"compress": "zstd", "workers": 2},
            settings={"source": {"values": "text", "streaming": False}, "copy": {"workers": 1}}))
        with self.load:
            self.load.run_until(lambda: self.load.transactions > TRANSACTIONS_BEFORE)
            narwal.start().wait_streaming()
            self.load.rewrites = True
            self.load.run_until(lambda: self.load.transactions > TRANSACTIONS_AFTER / 3)
        narwal.wait_caught_up()
        self.assert_equal(narwal)
        self.assertEqual(narwal.terminate(), 0)


if __name__ == "__main__":
    check.main()
