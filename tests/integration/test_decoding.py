#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the server can decode, and how: slots made beside DDL, and Relation messages of undone parts.

A slot that is made while transactions come and go gives those that begin before it is consistent a
view of the catalog that lacks DDL committed meanwhile (core/pipeline/slot_make.h). `Making` plays
the five transactions that it takes.
"""
import threading
import time

from lab import check, workload
from lab.narwal import Narwal

WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted AND " \
          "transactionid = %s::xid"


class Making:
    """Transactions around a slot that is being made; `beside` is committed at the bad moment."""

    def __init__(self, server):
        self.server = server
        self.open = {}
        self.begin("first", "INSERT INTO lab.marker VALUES (-1)")

    def begin(self, name, statement):
        connection = self.server.connect(autocommit=False)
        with connection.cursor() as cursor:
            cursor.execute(statement)
            cursor.execute("SELECT pg_current_xact_id()::text")
            self.open[name] = (connection, cursor.fetchone()[0])

    def commit(self, name):
        connection, _ = self.open.pop(name)
        connection.commit()
        connection.close()

    def waited_for(self, name):
        until = time.monotonic() + 30
        while self.server.value(WAITING, (self.open[name][1],)) == 0:
            if time.monotonic() > until:
                raise AssertionError(f"nobody waits for the {name} transaction")
            time.sleep(0.02)

    def play(self, beside, within):
        """`within` is in a transaction that is still open when the slot is made."""
        self.waited_for("first")  # the slot's first list of running transactions is written
        self.begin("second", "INSERT INTO lab.marker VALUES (-2)")
        self.server.sql(beside)
        self.commit("first")
        self.waited_for("second")  # and the second: what begins now gets a view
        self.begin("third", within)
        self.commit("second")


class SlotTest(check.Case):
    def setUp(self):
        self.server = self.cluster()
        workload.create_tables(self.server.connect())
        self.server.sql("CREATE TABLE lab.t (id int PRIMARY KEY, n int)")
        self.server.sql("INSERT INTO lab.t SELECT g, g FROM generate_series(1, 100) g")
        self.server.sql("CHECKPOINT")

    def made_again(self, beside, within, later):
        """narwal makes its slot, sees that it is not sound, and makes it again."""
        making = Making(self.server)
        narwal = self.enter(Narwal(self.server)).start()
        making.play(beside, within)
        narwal.wait("the slot to be made again", lambda: "is made again: DDL" in narwal.log())
        making.waited_for("third")
        making.commit("third")
        narwal.wait_streaming()
        for statement in later:
            self.server.sql(statement)
        narwal.wait_caught_up()
        result = narwal.compare([("lab", "t")])
        self.assertTrue(result.good, result.report() + narwal.log_tail())
        self.assertEqual(narwal.log().count("is made again: DDL was committed to table lab.t "), 1)
        self.assertEqual(self.server.value("SELECT count(*) FROM pg_replication_slots"), 1)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        return narwal

    def test_a_truncate_beside_the_making(self):
        self.made_again("TRUNCATE lab.t", "INSERT INTO lab.t VALUES (1, 1)",
                        ["INSERT INTO lab.t VALUES (2, 2)", "UPDATE lab.t SET n = n + 1"])

    def test_a_column_added_beside_the_making(self):
        """It would be missing from rows without any error."""
        self.made_again("ALTER TABLE lab.t ADD m int", "INSERT INTO lab.t VALUES (1000, 1, 1)",
                        ["INSERT INTO lab.t VALUES (2000, 2, 2)", "UPDATE lab.t SET m = 3"])

    def test_nothing_is_made_again_for_rows_and_temporary_tables(self):
        making = Making(self.server)
        narwal = self.enter(Narwal(self.server)).start()
        making.play("CREATE TEMPORARY TABLE scratch (id int PRIMARY KEY); DROP TABLE scratch; "
                    "CREATE INDEX ON lab.t (n); UPDATE lab.t SET n = 0",
                    "INSERT INTO lab.t VALUES (1000, 1)")
        narwal.wait_slot()
        making.commit("third")
        narwal.wait_streaming().wait_caught_up()
        self.assertNotIn("made again", narwal.log())
        self.assertTrue(narwal.compare([("lab", "t")]).good)

    def foreign_slot(self, narwal, within):
        """Somebody else makes the slot, at a bad moment."""
        self.server.sql(f"CREATE PUBLICATION {narwal.slot} FOR ALL TABLES")
        making = Making(self.server)
        made = threading.Thread(target=self.server.sql, args=(
            f"SELECT pg_create_logical_replication_slot('{narwal.slot}', 'pgoutput')",))
        made.start()
        making.play("TRUNCATE lab.t", within)
        made.join()
        return making

    def test_a_slot_whose_restart_point_moves_is_tried_again(self):
        """The view stays in use until the next DDL; behind a later restart point it is right."""
        narwal = self.enter(Narwal(self.server, settings={"source": {"snapshot": "never"}}))
        making = self.foreign_slot(narwal, "INSERT INTO lab.marker VALUES (-3)")
        making.commit("third")
        narwal.start().wait_streaming()
        # A list of running transactions from which it can begin, once this is acknowledged.
        self.server.sql("CHECKPOINT")
        moved = self.server.lsn()
        narwal.wait_caught_up()
        narwal.wait("the server to hear of it", lambda: narwal.confirmed_lsn() >= moved)
        self.server.sql("INSERT INTO lab.t VALUES (1, 1)")
        narwal.wait_caught_up()
        self.assertIn("could not map file", narwal.log())
        self.assertEqual([line["after"]["id"] for table in narwal.state().folder.tables
                          if table.name == "t" for line in table.changes()], [1])
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_slot_that_can_never_be_decoded_ends_with_the_repair(self):
        narwal = self.enter(Narwal(self.server, settings={"source": {"snapshot": "never"}}))
        making = self.foreign_slot(narwal, "INSERT INTO lab.t VALUES (1, 1)")
        making.commit("third")
        self.assertGreater(narwal.run_to_end(60), 0)
        self.assertIn("and cannot be decoded: drop the slot", narwal.log())
        self.assertGreater(narwal.log().count("it may be able to decode it once"), 2)


if __name__ == "__main__":
    check.main()
