#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A copy in chunks: what applications do to a table between two of them, and what a restart keeps."""
import json
import threading
import time

from files_reader import read_tables
from lab import check, workload
from lab.narwal import Narwal

ROWS = 100000
COPYING = "query LIKE %s AND state = 'active' AND pid <> pg_backend_pid()"
SLOW = "16MiB"  # a second: about three seconds for all
KEYED = [("lab", "large"), ("lab", "other")]


class CopyChunksTest(check.Case):
    def setUp(self):
        self.server = self.cluster()
        workload.create_tables(self.server.connect())
        for name in ("large", "other"):
            self.server.sql(f"CREATE TABLE lab.{name} (id int PRIMARY KEY, n int, t text)")
        self.server.sql("CREATE TABLE lab.keyless (n int, t text)")
        self.server.sql("INSERT INTO lab.large SELECT g, g, repeat('x', 200) FROM "
                        "generate_series(1, %s) g", (ROWS,))
        self.server.sql("INSERT INTO lab.other SELECT g, g, repeat('x', 200) FROM "
                        "generate_series(1, %s) g", (ROWS // 2,))
        self.server.sql("INSERT INTO lab.keyless SELECT g %% 1000, repeat('x', 200) FROM "
                        "generate_series(1, %s) g", (ROWS // 2,))
        self.server.sql("ANALYZE")

    def narwal(self, **copy):
        settings = {"copy": {"workers": 2, "chunk": "1MiB", "rate": SLOW, **copy}}
        return self.enter(Narwal(self.server, settings=settings))

    def copying(self, narwal, table="large"):
        """Wait until it reads this table."""
        narwal.wait(f"the copy of {table}",
                    lambda: self.server.value(f"SELECT count(*) FROM pg_stat_activity WHERE {COPYING}",
                                              (f'%LOCK TABLE ONLY "lab"."{table}"%',)) > 0)

    def same(self, narwal, tables, seconds=60):
        narwal.wait_streaming(seconds)
        narwal.wait_caught_up()
        result = narwal.compare(tables)
        self.assertTrue(result.good, result.report() + narwal.log_tail())
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def table(self, narwal, name):
        return next(t for t in read_tables(str(narwal.out)) if t.name == name)

    def test_a_paused_copy_reads_nothing_until_it_is_resumed(self):
        narwal = self.narwal().start()
        self.copying(narwal)
        code, text = narwal.call("copy", "pause")
        self.assertEqual(code, 0, text)
        self.assertIn("narwal copy resume", text)
        narwal.wait("the chunks under way", lambda: self.server.value(
            f"SELECT count(*) FROM pg_stat_activity WHERE {COPYING}", ("%COPY%",)) == 0)
        rows = []

        def still():
            copy = json.loads(narwal.call("status", "--json")[1])["copy"]
            rows.append((copy["rows"], copy["waits_for"]))
            return len(rows) > 2 and rows[-1] == rows[-2] == rows[-3]
        time.sleep(0.6)  # the status is half a second old
        narwal.wait("the rest", still)
        self.assertLess(rows[-1][0], 2 * ROWS)
        self.assertIn("narwal copy resume", rows[-1][1])
        self.server.sql("UPDATE lab.large SET n = n + 1 WHERE id < 100")
        time.sleep(1)
        self.assertEqual(json.loads(narwal.call("status", "--json")[1])["copy"]["rows"], rows[-1][0])
        self.assertEqual(narwal.call("copy", "resume")[0], 0)
        self.same(narwal, KEYED)
        narwal.start().wait_caught_up()
        narwal.wait("its socket", lambda: '"streaming"' in narwal.call("status", "--json")[1])
        code, text = narwal.call("copy", "pause")
        self.assertEqual(code, 1, text)
        self.assertRegex(text, "NW1505 .*nothing is being copied")

    def rewritten(self, statement):
        """The table begins again, the others keep their snapshot and what was read of them."""
        narwal = self.narwal().start()
        self.copying(narwal)
        started = time.monotonic()
        self.server.sql(statement)
        self.assertLess(time.monotonic() - started, 10)
        self.server.sql("UPDATE lab.large SET n = n + 1 WHERE id < 100")
        self.same(narwal, KEYED)
        log = narwal.log()
        self.assertEqual(log.count("waiting for a consistent point"), 2, log)
        self.assertEqual(log.count("NW2202 lab.large was rewritten"), 1, log)
        self.assertEqual(self.table(narwal, "other").generation, 1)
        self.assertEqual(self.table(narwal, "large").generation, 2)
        # An old snapshot sees nothing of a rewritten table: as many rows as there were then.
        copied = sum(1 for _ in self.table(narwal, "other").copy_rows())
        self.assertEqual(copied, ROWS // 2)

    def test_truncate_between_chunks(self):
        self.rewritten("TRUNCATE lab.large; INSERT INTO lab.large SELECT g, g, 'new' FROM "
                       "generate_series(1, 5000) g")

    def test_alter_type_between_chunks(self):
        self.rewritten("ALTER TABLE lab.large ALTER n TYPE bigint")

    def test_vacuum_full_between_chunks(self):
        self.rewritten("VACUUM FULL lab.large")

    def test_cluster_between_chunks(self):
        self.rewritten("CLUSTER lab.large USING large_pkey")

    def test_ddl_waits_no_longer_than_a_second_behind_a_large_chunk(self):
        narwal = self.narwal(chunk="1GiB", workers=1).start()
        waits = []
        for number in range(3):
            self.copying(narwal)
            started = time.monotonic()
            self.server.sql(f"ALTER TABLE lab.large ADD COLUMN c{number} int DEFAULT {number}")
            waits.append(time.monotonic() - started)
        self.assertLess(max(waits), 1, waits)
        self.server.sql("UPDATE lab.large SET c1 = -1 WHERE id % 1000 = 0")
        self.same(narwal, [("lab", "other")])
        table = self.table(narwal, "large")
        rows = list(table.copy_rows())
        self.assertEqual(len(rows), ROWS)  # it went on where it was: none twice, none missing
        self.assertEqual(len({row["after"]["id"] for row in rows}), ROWS)

    def test_sessions_that_die_are_replaced_and_nothing_comes_twice(self):
        narwal = self.narwal(workers=3).start()
        for table in ("large", "keyless"):
            self.copying(narwal, table)
            self.server.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {COPYING}",
                            ("%LOCK TABLE ONLY%",))
        narwal.wait_streaming()
        self.assertRegex(narwal.log(), "NW\\d{4} .*going on with a new session")
        self.assertEqual(narwal.log().count("waiting for a consistent point"), 1)
        self.assertEqual(sum(1 for _ in self.table(narwal, "keyless").copy_rows()), ROWS // 2)
        self.same(narwal, KEYED)

    def test_a_table_that_is_renamed_is_copied_and_one_that_is_dropped_is_not(self):
        narwal = self.narwal(workers=1).start()
        self.copying(narwal)
        self.server.sql("ALTER TABLE lab.large RENAME TO renamed;"
                        "CREATE TABLE lab.large (LIKE lab.renamed);"  # another under the old name
                        "INSERT INTO lab.large VALUES (-1, 1, 'another')")
        self.server.sql("DROP TABLE lab.keyless")
        narwal.wait_streaming()
        self.assertIn("lab.keyless was dropped", narwal.log())
        self.server.sql("UPDATE lab.renamed SET n = -1 WHERE id < 10")
        narwal.wait_caught_up()
        rows = {row["after"]["id"] for row in self.table(narwal, "renamed").copy_rows()}
        self.assertEqual(rows, set(range(1, ROWS + 1)))
        self.same(narwal, [("lab", "other")])

    def test_a_partition_that_goes_meanwhile_leaves_the_rest(self):
        self.server.sql("CREATE TABLE lab.parted (id int, t text, PRIMARY KEY (id)) "
                        "PARTITION BY RANGE (id)")
        for number in range(4):
            self.server.sql(f"CREATE TABLE lab.part{number} PARTITION OF lab.parted FOR VALUES FROM "
                            f"({number * 1000}) TO ({number * 1000 + 1000})")
        self.server.sql("INSERT INTO lab.parted SELECT g, 'p' FROM generate_series(0, 3999) g")
        narwal = self.narwal(workers=1).start()
        self.copying(narwal)
        self.server.sql("DROP TABLE lab.part2")
        narwal.wait_streaming()
        self.server.sql("UPDATE lab.parted SET t = 'q' WHERE id = 5")
        narwal.wait_caught_up()
        ids = {row["after"]["id"] for row in self.table(narwal, "parted").copy_rows()}
        self.assertEqual(ids, set(range(0, 2000)) | set(range(3000, 4000)))
        self.same(narwal, KEYED)

    def test_a_restart_keeps_the_tables_that_were_whole(self):
        self.server.sql("CREATE TABLE lab.late (id int PRIMARY KEY, t text)")
        self.server.sql("INSERT INTO lab.late VALUES (1, 'x')")
        ours = self.server.connect(autocommit=False)
        narwal = self.narwal(workers=1).start()
        self.copying(narwal)
        ours.cursor().execute("LOCK TABLE lab.late IN ACCESS EXCLUSIVE MODE")
        narwal.wait("the large tables to be whole", lambda: all(
            any(t.name == name and t.complete for t in read_tables(str(narwal.out)))
            for _, name in KEYED))
        self.server.sql("UPDATE lab.large SET n = -5 WHERE id % 7 = 0")
        narwal.kill()
        ours.rollback()
        self.server.sql("DELETE FROM lab.large WHERE id % 11 = 0")
        narwal.start()
        self.same(narwal, KEYED + [("lab", "late")])
        self.assertEqual(self.table(narwal, "large").generation, 1)
        self.assertEqual(self.table(narwal, "late").generation, 2)

    def test_chunks_under_load(self):
        """Rows that move between chunks, keys that change, everything rewritten now and then."""
        load = workload.Workload(self.server.dsn(), seed=check.seed(), sessions=3, pause=0.002,
                                 bulk_rows=1000)
        narwal = self.narwal(workers=3, chunk="64KiB")
        mover = threading.Thread(target=self.move)
        with load:
            load.run_until(lambda: load.transactions > 200)
            self.moving = True
            mover.start()
            narwal.start().wait_slot()
            load.rewrites = True  # beside this load every slot is unsound (docs/operations.md)
            narwal.wait_streaming()
            load.run_until(lambda: load.transactions > 600)
            self.moving = False
            mover.join()
        narwal.wait_caught_up()
        result = narwal.compare(workload.TABLES + KEYED)
        self.assertTrue(result.good, result.report() + narwal.log_tail())
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def move(self):
        connection = self.server.connect()
        number = 0
        while self.moving:
            number += 1
            connection.cursor().execute("UPDATE lab.large SET t = repeat('y', id %% 300), n = n + 1 "
                                        "WHERE id %% 997 = %s", (number % 997,))
            connection.cursor().execute("UPDATE lab.other SET id = id + %s WHERE id %% 1009 = %s",
                                        (ROWS * number, number % 1009))


if __name__ == "__main__":
    check.main()
