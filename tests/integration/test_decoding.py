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
        self.assertRegex(narwal.log(), "NW2324 .*could not map file")
        self.assertEqual([line["after"]["id"] for table in narwal.state().folder.tables
                          if table.name == "t" for line in table.changes()], [1])
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_slot_that_can_never_be_decoded_ends_with_the_repair(self):
        narwal = self.enter(Narwal(self.server, settings={"source": {"snapshot": "never"}}))
        making = self.foreign_slot(narwal, "INSERT INTO lab.t VALUES (1, 1)")
        making.commit("third")
        self.assertGreater(narwal.run_to_end(60), 0)
        self.assertRegex(narwal.log(), "NW2324 .*and cannot be decoded: drop the slot")
        self.assertGreater(narwal.log().count("it may be able to decode it once"), 2)


class RelationTest(check.Case):
    """Relation messages of streamed transactions, against what the server counts as sent.

    The server notes for each table which top-level transactions were told of it, and forgets that
    with any part that is undone (pgoutput.c, cleanup_rel_sync_cache): what is dropped here with such a
    part it sends again.
    """

    def setUp(self):
        self.server = self.cluster()
        workload.create_tables(self.server.connect())
        for table in "abc":
            self.server.sql(f"CREATE TABLE lab.{table} (id int PRIMARY KEY, n int, t text)")
            self.server.sql(f"INSERT INTO lab.{table} VALUES (0, 0, 'copied')")
        self.server.sql("CREATE SCHEMA former; CREATE TABLE former.s (id int PRIMARY KEY, n int)")
        self.narwal = self.enter(Narwal(self.server)).start().wait_streaming()
        self.narwal.wait_caught_up()
        self.next = 1

    def rows(self, table, columns, count=300):
        """Enough of them that what came so far is sent at once: logical_decoding_work_mem is 64kB."""
        first, self.next = self.next, self.next + count
        return f"INSERT INTO {table} SELECT g, {columns} FROM generate_series({first}, {self.next - 1}) g"

    def run_all(self, *statements, commit=True):
        session = self.server.connect(autocommit=False)
        with session.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        if commit:
            session.commit()
            session.close()
        return session

    def streamed(self):
        return self.server.value("SELECT stream_txns FROM pg_stat_replication_slots")

    def same(self, *tables):
        self.narwal.wait_caught_up()
        result = self.narwal.compare([("lab", table) for table in tables])
        self.assertTrue(result.good, result.report() + self.narwal.log_tail())

    def test_tables_told_of_in_an_undone_part_are_told_of_again(self):
        """The first rows of b and c come in parts that are undone; of c under other columns."""
        before = self.streamed()
        self.run_all(
            self.rows("lab.a", "1, 'a'"),
            "SAVEPOINT one", self.rows("lab.b", "2, 'undone'"), self.rows("lab.a", "2, 'undone'"),
            "SAVEPOINT two", "ALTER TABLE lab.c ADD x int, DROP n", self.rows("lab.c", "'undone', 3"),
            "RELEASE two", self.rows("lab.c", "'undone', 4"), "ROLLBACK TO one",
            self.rows("lab.b", "3, 'kept'"), self.rows("lab.c", "3, 'kept'"), self.rows("lab.a", "3, 'kept'"),
            "SAVEPOINT three", "ALTER TABLE lab.b RENAME t TO u", self.rows("lab.b", "4, 'undone'"),
            "ROLLBACK TO three", "UPDATE lab.b SET n = -n", "DELETE FROM lab.c WHERE id % 2 = 0")
        self.server.sql("INSERT INTO lab.b VALUES (-1, 1, 'after'); INSERT INTO lab.c VALUES (-1, 1, 'after')")
        self.same("a", "b", "c")
        self.narwal.wait("a streamed transaction", lambda: self.streamed() > before)

    def test_a_table_that_was_only_in_undone_parts_is_told_of_later(self):
        """At the commit the server must not count it as sent, nor at an abort of all."""
        self.run_all(self.rows("lab.a", "1, 'a'"), "SAVEPOINT one", self.rows("lab.b", "1, 'undone'"),
                     "ROLLBACK TO one", self.rows("lab.a", "1, 'a'"))
        self.server.sql("UPDATE lab.b SET n = 5")
        self.run_all(self.rows("lab.c", "1, 'undone'"), "ROLLBACK", "SELECT 1")
        self.server.sql("UPDATE lab.c SET n = 5")
        self.same("a", "b", "c")

    def test_others_change_the_table_while_a_streamed_transaction_is_open(self):
        """Its lock goes with the part that is undone; and a schema can be renamed under a lock."""
        session = self.run_all(self.rows("lab.b", "1, 'open'"), "SAVEPOINT one",
                               self.rows("lab.a", "1, 'undone'"), "ROLLBACK TO one", commit=False)
        self.server.sql("ALTER TABLE lab.a DROP n, ADD m text, ADD k text")
        self.server.sql("INSERT INTO lab.a VALUES (-1, 'by another', 'm', 'n')")
        with session.cursor() as cursor:
            cursor.execute(self.rows("lab.a", "'kept', 'm', 'n'"))
        session.commit()
        self.server.sql("INSERT INTO lab.a VALUES (-2, 'after', 'm', 'n')")
        self.same("a", "b")

    def test_a_schema_is_renamed_while_a_streamed_transaction_is_open(self):
        """The transaction's rows have the former name, and come after others that have the new one."""
        session = self.run_all(self.rows("former.s", "1", 1000), commit=False)
        self.server.sql("ALTER SCHEMA former RENAME TO later")
        self.server.sql("INSERT INTO later.s VALUES (-1, 1)")
        session.commit()
        self.server.sql("INSERT INTO later.s VALUES (-2, 1)")
        self.narwal.wait_caught_up()
        self.assertEqual(len(next(table for table in self.narwal.state().folder.tables
                                  if table.name == "s").rebuild()), 1002)
        tables = [(table.schema, table.name) for table in self.narwal.state().folder.tables
                  if table.name == "s"]
        self.assertEqual(tables, [("later", "s")], self.narwal.log_tail())

    def test_a_schema_is_renamed_while_it_is_open_and_all_is_recorded(self):
        """The same through the spool, which may be cut between the two."""
        self.narwal.kill()
        self.narwal = self.enter(Narwal(self.server, settings={
            "copy": {"rate": "1MiB", "chunk": "64KiB"}, "limits": {"memory": "64MiB"}}))
        self.server.sql("INSERT INTO lab.plain SELECT g, g, repeat('x', 300) FROM generate_series(1, 20000) g")
        self.narwal.start().wait_slot()
        session = self.run_all(self.rows("former.s", "1", 1000), commit=False)
        self.server.sql("ALTER SCHEMA former RENAME TO later")
        self.server.sql("INSERT INTO later.s VALUES (-1, 1)")
        session.commit()
        self.server.sql("INSERT INTO later.s VALUES (-2, 1)")
        self.assertNotIn("copy complete", self.narwal.log())
        self.narwal.wait_streaming().wait_caught_up()
        self.server.sql("INSERT INTO later.s VALUES (-3, 1)")
        self.narwal.wait_caught_up()
        found = [table for table in self.narwal.state().folder.tables if table.name == "s"]
        self.assertEqual([(table.schema, len(table.rebuild())) for table in found], [("later", 1003)])

    def test_the_publication_changes_while_a_streamed_transaction_is_open(self):
        """Its rows have all columns, those of others meanwhile and later fewer: as many as are told."""
        if check.version() < 15:
            self.skipTest("PostgreSQL 15 has column lists")
        session = self.run_all(self.rows("lab.a", "1, 'open'", 1000), commit=False)
        self.server.sql(f"ALTER PUBLICATION {self.narwal.slot} DROP TABLE ONLY lab.a")
        self.server.sql(f"ALTER PUBLICATION {self.narwal.slot} ADD TABLE ONLY lab.a (id, t)")
        self.server.sql("INSERT INTO lab.a VALUES (-1, 1, 'fewer')")
        session.commit()
        self.server.sql("INSERT INTO lab.a VALUES (-2, 1, 'fewer')")
        self.server.sql("UPDATE lab.b SET n = 9")
        self.same("b")  # a stops when the catalog is looked at, as each changed list does
        self.assertEqual(self.narwal.terminate(), 0, self.narwal.log_tail())


if __name__ == "__main__":
    check.main()
