#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""copy.where: a first copy of some rows of a table, or of none; its changes are followed all the same."""
import re
import time

from files_reader import read_folder
from lab import check
from lab.narwal import Narwal

ROWS = 20000


class CopyWhereTest(check.Case):
    def setUp(self):
        self.server = self.cluster()
        self.server.sql("CREATE SCHEMA lab; CREATE TABLE lab.marker (at bigint PRIMARY KEY)")
        for name in ("some", "none", "whole"):
            self.server.sql(f"CREATE TABLE lab.{name} (id int PRIMARY KEY, t text); "
                            f"INSERT INTO lab.{name} SELECT g, repeat('x', 200) FROM generate_series(1, {ROWS}) g")

    def narwal(self, where, **copy):
        return self.enter(Narwal(self.server, settings={"copy": {"where": where, **copy}}))

    @staticmethod
    def table(narwal, name):
        return next((t for t in read_folder(str(narwal.out)).tables if t.name == name), None)

    def copied(self, narwal, name):
        """The keys of rows that were copied."""
        table = self.table(narwal, name)
        return [] if table is None else sorted(line["after"]["id"] for line in table.copy_rows())

    def operations(self, narwal, name):
        return [line["op"] for line in self.table(narwal, name).changes()]

    def ids(self, narwal, name):
        return sorted(row["id"] for row in self.table(narwal, name).rebuild())

    def all_there(self, narwal, name):
        try:
            return len(self.ids(narwal, name)) == ROWS + 1
        except FileNotFoundError:  # replaced meanwhile
            return False

    def test_rows_are_chosen_and_changes_of_all_are_followed(self):
        self.server.sql("CREATE TABLE lab.parts (id int PRIMARY KEY) PARTITION BY RANGE (id); "
                        "CREATE TABLE lab.low PARTITION OF lab.parts FOR VALUES FROM (0) TO (100); "
                        "CREATE TABLE lab.high PARTITION OF lab.parts FOR VALUES FROM (100) TO (200); "
                        "INSERT INTO lab.parts SELECT generate_series(0, 199)")
        where = ["lab.some: id % 10 = 0 AND t <> ':' -- of ten", "lab.no*: false", "lab.parts: parts.id > 150",
                 "lab.so*: id = 1"]
        narwal = self.narwal(where, chunk="256KiB")
        narwal.write()
        code, text = narwal.call("check")
        self.assertEqual(code, 0, text)
        self.assertRegex(text, "copy.where: of lab.some is copied: id % 10 = 0")
        narwal.start().wait_streaming()
        self.server.sql("INSERT INTO lab.none VALUES (-1, 'new'); INSERT INTO lab.some VALUES (-1, 'new'); "
                        "UPDATE lab.some SET t = 'other' WHERE id IN (1, 10)")
        narwal.wait_caught_up()
        self.assertEqual(self.copied(narwal, "some"), list(range(10, ROWS + 1, 10)))
        self.assertEqual(self.copied(narwal, "none"), [])
        self.assertEqual(self.copied(narwal, "parts"), list(range(151, 200)))
        self.assertEqual(self.copied(narwal, "whole"), list(range(1, ROWS + 1)))
        self.assertEqual(self.operations(narwal, "some"), ["I", "U", "U"])
        self.assertEqual(self.operations(narwal, "none"), ["I"])
        # A start anew copies nothing, and what is asked for later is all.
        narwal.terminate()
        narwal.start().wait_streaming()
        narwal.wait_caught_up()
        self.assertEqual(self.copied(narwal, "none"), [])
        code, text = narwal.call("table", "refresh", "lab.none")
        self.assertEqual(code, 0, text)
        narwal.wait("the copy", lambda: self.all_there(narwal, "none"))
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_what_the_server_cannot_compute_is_refused(self):
        for condition in ("nothing = 1", "id) OR (true", "true) LIMIT 1 --", "1; SELECT 2"):
            with self.subTest(condition):
                narwal = self.narwal([f"lab.some: {condition}"])
                narwal.write()
                code, text = narwal.call("check")
                self.assertEqual(code, 1, text)
                self.assertRegex(text, "NW1229 +copy.where: rows of lab.some cannot be chosen by")
                self.assertNotEqual(narwal.run_to_end(), 0)
                self.assertRegex(narwal.log(), "NW1229 +copy.where: rows of lab.some cannot be chosen by")
                self.assertEqual(self.copied(narwal, "whole") if narwal.state().folder else [], [])
        narwal = self.narwal(["lab.some"])
        self.assertEqual(narwal.run_to_end(), 2)
        self.assertRegex(narwal.log(), "NW1003 copy.where: write PATTERN: CONDITION")

    def test_a_row_for_which_it_cannot_be_computed(self):
        """The server will say the same each time: narwal ends, and with another condition the copy goes on."""
        self.server.sql("DROP TABLE lab.whole, lab.none")
        narwal = self.narwal(["lab.some: 100 / (id - 15000) > -1000000"], chunk="256KiB")
        narwal.write()
        self.assertEqual(narwal.call("check")[0], 0)
        self.assertNotEqual(narwal.run_to_end(), 0)
        self.assertRegex(narwal.log(), r"NW1229 +copy.where: rows of lab.some cannot be chosen by 100 / .*: division by zero")
        narwal.config["copy"]["where"] = ["lab.some: current_setting('lab.missing') = 'x' OR id < 0"]
        self.assertNotEqual(narwal.run_to_end(), 0)
        self.assertRegex(narwal.log(), "NW1229 +copy.where: rows of lab.some cannot be chosen by current_setting")
        narwal.config["copy"]["where"] = ["lab.some: id <> 15000"]
        narwal.start().wait_streaming()
        narwal.wait_caught_up()
        self.assertEqual(self.copied(narwal, "some"), [i for i in range(1, ROWS + 1) if i != 15000])
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_what_passes_says_nothing_of_the_condition(self):
        """As a lock that is in the way, or a query that somebody cancelled."""
        self.server.sql("DROP TABLE lab.whole, lab.none")
        self.server.sql("CREATE TABLE lab.busy (id int PRIMARY KEY); INSERT INTO lab.busy VALUES (1); "
                        "CREATE FUNCTION lab.least(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN "
                        "IF EXISTS (SELECT FROM lab.busy) THEN RAISE 'busy' USING ERRCODE = '55P03'; END IF; RETURN $1; END $$")
        narwal = self.narwal(["lab.some: id <= lab.least(5)"])
        narwal.start()
        narwal.wait("what is in its way", lambda: "busy" in narwal.log(), 15)
        self.server.sql("DELETE FROM lab.busy")
        narwal.wait_streaming()
        narwal.wait_caught_up()
        self.assertNotIn("NW1229", narwal.log(whole=True))
        self.assertEqual(self.copied(narwal, "some"), [1, 2, 3, 4, 5])
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_session_that_ends_makes_the_table_begin_again(self):
        """Rows that the same condition chooses in another session are others: none may be left out for them."""
        self.server.sql("DROP TABLE lab.whole, lab.none")
        self.server.sql("ALTER DATABASE postgres SET lab.least = '0'")
        narwal = self.narwal(["lab.some: id > current_setting('lab.least')::int"], rate="1MiB", workers=1)
        narwal.start()
        session = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%%COPY (SELECT%%lab.least%%' AND pid <> pg_backend_pid()"
        narwal.wait("the copy", lambda: self.server.sql(session))
        time.sleep(1)
        self.server.sql(f"ALTER DATABASE postgres SET lab.least = '{ROWS // 2}'")
        self.server.sql(f"SELECT pg_terminate_backend(pid) FROM ({session}) s")
        narwal.wait_streaming()
        narwal.wait_caught_up()
        self.assertTrue(re.search("was read in part, by a condition", narwal.log()), narwal.log())
        self.assertEqual(self.ids(narwal, "some"), list(range(ROWS // 2 + 1, ROWS + 1)))
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_copy_that_broke_off_goes_on_by_the_same_condition(self):
        self.server.sql("DROP TABLE lab.whole, lab.none")
        narwal = self.narwal(["lab.some: id % 2 = 0"], rate="256KiB", workers=1, chunk="64KiB")
        narwal.start()
        narwal.wait("the copy", lambda: "streaming from" in narwal.log())
        time.sleep(4)  # of eight
        narwal.kill()
        self.server.sql("UPDATE lab.some SET t = 'changed' WHERE id IN (3, 4); DELETE FROM lab.some WHERE id = 6")
        narwal.config["copy"]["rate"] = "1GiB"
        narwal.start().wait_streaming()
        narwal.wait_caught_up()
        self.assertRegex(narwal.log(whole=True), "going on with the copy of lab.some")
        self.assertEqual(set(range(2, ROWS + 1, 2)) - {6}, {i for i in self.ids(narwal, "some") if i % 2 == 0})
        self.assertEqual({i for i in self.ids(narwal, "some") if i % 2 == 1} - {3}, set())
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())


if __name__ == "__main__":
    check.main()
