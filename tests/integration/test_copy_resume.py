#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A table whose copy broke off goes on: what is durable of it is only looked at for what changed."""
import collections
import random
import re
import shutil
import struct
import subprocess
import threading

from psycopg2 import errors

from files_reader import read_folder
from lab import check, folder
from lab.cluster import as_server_user
from lab.narwal import Narwal

ROWS = 60000
WORKERS = 2
CHUNK = "256KiB"
CHUNK_PAGES = 32
CHUNK_ROWS = 1200  # more than fit into so many pages
PROGRESS = struct.Struct("<BcQBQQIIH")  # core/source/copy_state.h
RANGE = struct.Struct("<III")
READ = r"read lab\.{}: (\d+) of (\d+) chunks were kept, (\d+) rows of them selected again, (\d+) rows"


class CopyResumeTest(check.Case):
    def setUp(self):
        self.server = self.cluster()
        self.server.sql("CREATE SCHEMA lab; CREATE TABLE lab.marker (at bigint PRIMARY KEY)")
        self.server.sql("CREATE TABLE lab.large (id bigint PRIMARY KEY, n int, t text, big text)")
        self.server.sql("ALTER TABLE lab.large ALTER big SET STORAGE EXTERNAL")
        self.server.sql("CREATE TABLE lab.keyless (n int, t text)")
        self.server.sql("ALTER TABLE lab.keyless REPLICA IDENTITY FULL")
        self.server.sql("INSERT INTO lab.keyless SELECT g, repeat('x', 300) FROM generate_series(1, %s) g",
                        (ROWS,))
        self.server.sql("INSERT INTO lab.large SELECT g, g, repeat('x', 200), CASE WHEN g %% 50 = 0 THEN "
                        "repeat(md5(g::text), 90) END FROM generate_series(1, %s) g", (ROWS,))
        self.server.sql("ANALYZE")
        self.changes = collections.Counter()
        self.stop = threading.Event()

    def narwal(self, **copy):
        settings = {"copy": {"workers": WORKERS, "chunk": CHUNK, "rate": "8MiB", **copy}}
        return self.enter(Narwal(self.server, settings=settings))

    def oid(self, name):
        return self.server.value("SELECT %s::regclass::oid", (f"lab.{name}",))

    def progress(self, narwal, name):
        """(generation, chunks whose pages are durable) of a copy that is not whole; (0, 0): none."""
        copy = self.copies(narwal).get(self.oid(name))
        if copy is None or copy["complete"]:
            return 0, 0
        stored = bytes.fromhex(copy["bytes"])
        head = PROGRESS.unpack_from(stored)
        self.assertEqual(head[:2], (3, b"C"))
        pages = sum(min(end, 1 << 20) - first for _, first, end in RANGE.iter_unpack(
            stored[PROGRESS.size:]))
        return copy["generation"], pages // CHUNK_PAGES

    @staticmethod
    def copies(narwal):
        return read_folder(str(narwal.out)).copies if narwal.state().folder else {}

    def kill_at(self, narwal, name, chunks):
        """Kill it when so many chunks of a table are durable; the generation of the copy."""
        narwal.wait(f"{chunks} chunks of {name}", lambda: self.progress(narwal, name)[1] >= chunks)
        narwal.kill()
        generation, done = self.progress(narwal, name)
        self.assertGreaterEqual(done, chunks, "the copy ended before it was killed")
        return generation

    def finish(self, narwal, tables=("large", "keyless")):
        narwal.wait_streaming()
        narwal.wait_caught_up()
        result = narwal.compare([("lab", name) for name in tables])
        self.assertTrue(result.good, result.report() + narwal.log_tail())
        return result

    def table(self, narwal, name):
        return next(t for t in read_folder(str(narwal.out)).tables if t.name == name)

    def doubled(self, narwal, name):
        """Rows that were copied again: lines of the copy that are not the first of their key."""
        keys = [line["after"]["id"] for line in self.table(narwal, name).copy_rows()]
        return len(keys) - len(set(keys))

    # ---- a load ------------------------------------------------------------------------------------

    def change(self, session):
        """Rows move between chunks, get other keys, keep their large value, go, and come again."""
        draw = random.Random(check.seed() * 100 + session)
        connection = self.server.connect()
        cursor = connection.cursor()
        while not self.stop.is_set():
            rows = [draw.randrange(1, ROWS) for _ in range(draw.choice((1, 5, 40)))]
            statement = draw.choice((
                "UPDATE lab.large SET n = n + 1 WHERE id = ANY (%s)",
                "UPDATE lab.large SET t = repeat('y', (id %% 700)::int) WHERE id = ANY (%s)",
                "UPDATE lab.large SET big = repeat(md5(n::text), 80) WHERE id %% 50 = 0 AND id = ANY (%s)",
                "UPDATE lab.large SET id = CASE WHEN id > 900000 THEN id - 1000000 ELSE id + 1000000 END "
                "WHERE id = ANY (%s)",
                "DELETE FROM lab.large WHERE id = ANY (%s)",
                "INSERT INTO lab.large SELECT id, -1, 'new', repeat('z', (id %% 4000)::int) FROM "
                "unnest(%s::bigint[]) id ON CONFLICT DO NOTHING",
                "UPDATE lab.keyless SET t = t || 'y' WHERE n = ANY (%s)",
                "DELETE FROM lab.keyless WHERE n = ANY (%s)",
                "WITH gone AS (DELETE FROM lab.large WHERE id = ANY (%s) RETURNING *) "
                "INSERT INTO lab.large SELECT id + 2000000, n, t, big FROM gone"))
            try:
                cursor.execute(statement, (sorted(set(rows)),))
            except (errors.UniqueViolation, errors.DeadlockDetected):
                continue
            self.changes["large" if "large" in statement else "keyless"] += cursor.rowcount

    def under_load(self, sessions=3):
        self.server.sql("CREATE INDEX ON lab.keyless (n)")
        threads = [threading.Thread(target=self.change, args=(i,)) for i in range(sessions)]
        for thread in threads:
            thread.start()
        self.addCleanup(self.stop.set)
        return threads

    def test_a_table_at_rest_is_read_once_but_for_chunks_in_flight(self):
        narwal = self.narwal().start()
        self.kill_at(narwal, "keyless", 3)
        narwal.start()
        generation = self.kill_at(narwal, "large", 8)
        self.assertEqual(self.table(narwal, "keyless").generation, 2)  # it began again, and is whole
        self.server.sql("VACUUM FREEZE lab.large")  # xmin is what it was
        narwal.start()
        further = self.progress(narwal, "large")[1] + 4  # a kill comes later than it is wished
        self.assertEqual(self.kill_at(narwal, "large", further), generation)
        self.assertIn("going on with the copy of lab.large", narwal.log())
        narwal.start()
        self.finish(narwal)
        self.assertEqual(self.table(narwal, "large").generation, generation)
        kept, chunks, again, others = map(int, re.search(READ.format("large"), narwal.log()).groups())
        self.assertGreaterEqual(kept, 12)
        self.assertEqual(again, 0)
        self.assertLess(others, ROWS)
        doubled = self.doubled(narwal, "large")
        print(f"{kept} of {chunks} chunks kept, {doubled} of {ROWS} rows copied twice by 2 kills")
        self.assertLessEqual(doubled, 2 * WORKERS * CHUNK_ROWS)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_kills_under_load(self):
        narwal = self.narwal().start()
        threads = self.under_load()
        draw = random.Random(check.seed())
        self.kill_at(narwal, "keyless", draw.randrange(1, 10))
        generation = 0
        done = 0
        for _ in range(3):
            narwal.start()
            done += draw.randrange(3, 8)
            former, generation = generation, self.kill_at(narwal, "large", done)
            self.assertIn(former, (0, generation))
        narwal.start()
        narwal.wait("the end of the copy", lambda: re.search(READ.format("large"), narwal.log()))
        self.stop.set()
        for thread in threads:
            thread.join()
        result = self.finish(narwal)
        kept, chunks, again, _ = map(int, re.search(READ.format("large"), narwal.log()).groups())
        self.assertEqual(self.table(narwal, "large").generation, generation)
        self.assertGreater(self.table(narwal, "keyless").generation, 1)
        self.assertGreater(again, 0)
        print(f"{kept} of {chunks} chunks kept, {again} rows selected again last, {result.again} rows "
              f"copied twice by 3 kills, {self.changes['large']} changes")
        self.assertLessEqual(result.again, 3 * WORKERS * CHUNK_ROWS + 3 * self.changes["large"])
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_sinks_that_have_different_parts(self):
        """What both have of a table is kept; when one has nothing, both get it anew."""
        self.server.sql("DROP TABLE lab.keyless")
        narwal = self.narwal()
        other = narwal.home / "other"
        narwal.config["sinks"] = [{"name": "one", "type": "file", "path": str(narwal.out)},
                                  {"name": "two", "type": "file", "path": str(other)}]
        narwal.start()
        generation = self.kill_at(narwal, "large", 8)
        self.server.sql("UPDATE lab.large SET id = id + 1000000 WHERE id % 3 = 0")
        narwal.start()
        self.assertEqual(self.kill_at(narwal, "large", 20), generation)
        self.server.sql("DELETE FROM lab.large WHERE id % 5 = 0")
        narwal.start()
        self.finish_both(narwal, other)
        self.assertEqual(self.table(narwal, "large").generation, generation)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_sink_that_has_nothing_makes_the_table_begin_again(self):
        self.server.sql("DROP TABLE lab.keyless")
        narwal = self.narwal()
        other = narwal.home / "other"
        narwal.config["sinks"] = [{"name": "one", "type": "file", "path": str(narwal.out)},
                                  {"name": "two", "type": "file", "path": str(other)}]
        narwal.start()
        generation = self.kill_at(narwal, "large", 8)
        self.server.sql("UPDATE lab.large SET id = id + 1000000 WHERE id % 3 = 0")
        shutil.rmtree(other)
        narwal.start()
        self.finish_both(narwal, other)
        self.assertGreater(self.table(narwal, "large").generation, generation)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_leaves_that_rows_move_between(self):
        """A partitioned table is one table; a row that moves is deleted in one leaf and comes in another."""
        self.server.sql("DROP TABLE lab.keyless, lab.large")
        self.server.sql("CREATE TABLE lab.large (id bigint, n int, t text, PRIMARY KEY (id, n)) "
                        "PARTITION BY LIST (n)")
        for n in range(3):
            self.server.sql(f"CREATE TABLE lab.leaf_{n} PARTITION OF lab.large FOR VALUES IN ({n})")
        self.server.sql("INSERT INTO lab.large SELECT g, g %% 3, repeat('x', 300) FROM "
                        "generate_series(1, %s) g", (ROWS,))
        self.server.sql("ANALYZE")
        narwal = self.narwal().start()
        generation = self.kill_at(narwal, "large", 10)
        self.server.sql("UPDATE lab.large SET n = (n + 1) % 3 WHERE id % 17 = 0")
        self.server.sql("UPDATE lab.large SET n = (n + 2) % 3, id = -id WHERE id % 19 = 0")
        narwal.start()
        self.assertEqual(self.kill_at(narwal, "large", 30), generation)
        self.server.sql("DELETE FROM lab.large WHERE id % 5 = 0")
        narwal.start()
        self.finish(narwal, ["large"])
        self.assertEqual(self.table(narwal, "large").generation, generation)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def finish_both(self, narwal, other):
        self.finish(narwal, ["large"])
        narwal.wait("the other sink", lambda: folder.State(other).lsn >= narwal.state().lsn)
        first, narwal.out = narwal.out, other
        try:
            result = narwal.compare([("lab", "large")])
            self.assertTrue(result.good, result.report())
        finally:
            narwal.out = first

    def age_by(self, xid):
        """The server's next transaction has this number: all that is there is frozen first."""
        for database in ("postgres", "template1", "template0"):
            self.server.sql("UPDATE pg_database SET datallowconn = true")
            self.server.sql("VACUUM (FREEZE)", database=database)
        self.server.stop()
        segment = self.server.data / "pg_xact" / f"{xid >> 20:04X}"
        segment.write_bytes(bytes(256 << 10))  # of transactions that never were
        self.server.own(segment)
        subprocess.run(as_server_user([self.server.bin / "pg_resetwal", "-x", str(xid),
                                       self.server.data]),
                       check=True, cwd="/", stdout=subprocess.DEVNULL)
        self.server.start()

    def test_transaction_numbers_begin_anew_between_a_kill_and_the_resumption(self):
        """Of 32 bits: rows that were written before and behind 2^32 are told apart by their age."""
        if not (self.server.bin / "pg_resetwal").exists():
            self.skipTest("this server's build has no pg_resetwal")
        for xid in (2000000000, 4000000000, (4 << 30) - 3000):
            self.age_by(xid)
        self.server.sql("UPDATE lab.large SET n = n + 1 WHERE id % 100 = 0")
        self.server.sql("DROP TABLE lab.keyless")
        before = self.server.value("SELECT pg_current_xact_id()::text::bigint")
        self.assertLess(before % (1 << 32), (4 << 30) - 1)
        narwal = self.narwal().start()
        generation = self.kill_at(narwal, "large", 8)
        self.server.sql("UPDATE lab.large SET n = -5 WHERE id % 9 = 0")  # still before
        self.server.sql("DO $$ BEGIN FOR i IN 1..4000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$")
        after = self.server.value("SELECT pg_current_xact_id()::text::bigint")
        self.assertEqual(after >> 32, (before >> 32) + 1)
        self.assertLess(after % (1 << 32), 100000)
        self.server.sql("UPDATE lab.large SET n = -7 WHERE id % 7 = 0")
        self.server.sql("DELETE FROM lab.large WHERE id % 11 = 0")
        narwal.start()
        self.assertEqual(self.kill_at(narwal, "large", 20), generation)
        self.server.sql("UPDATE lab.large SET id = id + 1000000 WHERE id % 13 = 0")
        behind = self.server.value("SELECT count(*) FROM lab.large WHERE ctid < '(256,0)' AND xmin::text::int8 < 100000")
        self.assertGreater(behind, 100)  # in pages that were durable at the first kill
        narwal.start()
        self.finish(narwal, ["large"])
        self.assertEqual(self.table(narwal, "large").generation, generation)
        kept, _, again, _ = map(int, re.search(READ.format("large"), narwal.log()).groups())
        self.assertGreater(kept, 10)
        self.assertGreaterEqual(again, behind)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def begins_again(self, statement, tables=("large",)):
        self.server.sql("DROP TABLE lab.keyless")
        narwal = self.narwal().start()
        former = self.kill_at(narwal, "large", 8)
        self.server.sql("UPDATE lab.large SET n = -7 WHERE id % 9 = 0")
        self.server.sql(statement)
        self.server.sql("DELETE FROM lab.large WHERE id % 7 = 0")
        narwal.start()
        self.finish(narwal, tables)
        self.assertGreater(self.table(narwal, "large").generation, former)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def other_rules(self, former, later, kept, shown="id"):
        """Rules that change between a kill and the resumption; the rows that are there in the end."""
        self.server.sql("DROP TABLE lab.keyless")
        narwal = self.narwal()
        narwal.config["transforms"] = [{"tables": "lab.large", **former}]
        narwal.start()
        generation = self.kill_at(narwal, "large", 8)
        narwal.config["transforms"] = [{"tables": "lab.large", **later}]
        self.server.sql("UPDATE lab.large SET n = -7 WHERE id % 9 = 0")
        narwal.start().wait_streaming()
        narwal.wait_caught_up()
        table = self.table(narwal, "large")
        self.assertGreater(table.generation, generation, narwal.log_tail())
        self.assertEqual(sorted((row["id"], row["n"], row[shown]) for row in table.rebuild()),
                         self.server.sql(f"SELECT id, n, {kept} ORDER BY id"))
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_table_with_another_condition_begins_again(self):
        """Rows of durable chunks that the former condition left out would never come."""
        self.other_rules({"where": "id > 5000"}, {"where": "id > 50"}, "id FROM lab.large WHERE id > 50")

    def test_a_table_with_another_mask_begins_again(self):
        """Else a part would be masked as before."""
        self.other_rules({"mask_columns": "t", "mask": "first", "mask_characters": 70},
                         {"mask_columns": "t", "mask": "first", "mask_characters": 90},
                         "left(t, 90) FROM lab.large", "t")

    def test_a_table_under_another_name_begins_again(self):
        self.other_rules({"rename_columns": ["t=former"]}, {"rename_columns": ["t=later"]},
                         "t FROM lab.large", "later")

    def test_a_table_with_another_row_filter_begins_again(self):
        if check.version() < 15:
            self.skipTest("PostgreSQL 15 has row filters")
        self.server.sql("DROP TABLE lab.keyless")
        self.server.sql("CREATE PUBLICATION p FOR TABLE lab.marker, lab.large WHERE (id > 5000)")
        narwal = self.narwal()
        narwal.config["source"]["publication"] = {"name": "p", "create": False}
        narwal.start()
        generation = self.kill_at(narwal, "large", 8)
        self.server.sql("ALTER PUBLICATION p SET TABLE lab.marker, lab.large WHERE (id > 50)")
        self.server.sql("UPDATE lab.large SET n = -7 WHERE id % 9 = 0")
        narwal.start().wait_streaming()
        narwal.wait_caught_up()
        table = self.table(narwal, "large")
        self.assertGreater(table.generation, generation, narwal.log_tail())
        self.assertEqual(sorted((row["id"], row["n"]) for row in table.rebuild()),
                         self.server.sql("SELECT id, n FROM lab.large WHERE id > 50 ORDER BY id"))

    def test_a_rewritten_table_begins_again(self):
        self.begins_again("VACUUM FULL lab.large")

    def test_an_emptied_table_begins_again(self):
        self.begins_again("TRUNCATE lab.large; INSERT INTO lab.large SELECT g, g FROM "
                          "generate_series(1, 3000) g")

    def test_a_table_with_another_column_begins_again(self):
        self.begins_again("ALTER TABLE lab.large ADD more int DEFAULT 5")


if __name__ == "__main__":
    check.main()
