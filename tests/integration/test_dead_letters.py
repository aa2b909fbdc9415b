#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Rows that a sink refuses and that are kept: what the sink has and the dead letters are the table, each
change once, whenever narwal is killed."""
import collections
import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import stat
import threading

from lab import check, cluster, folder, workload
from lab.narwal import Narwal, build

KILLS = 8
MULTIPLES = 7


class DeadLetterTest(check.Case):
    numbers = itertools.count(1)

    @classmethod
    def setUpClass(cls):
        try:
            cls.server = cluster.Cluster(check.version()).__enter__()
        except cluster.servers.Unavailable as error:
            cls.server = None
            cls.reason = str(error)
            return
        cls.addClassCleanup(cls.server.__exit__, None, None, None)
        plugins = cls.server.folder / "plugins"
        plugins.mkdir(mode=0o755)
        for plugin in ("plugins/file.so", "tests/sdk/plugins/picky.so"):
            shutil.copy(build() / plugin, plugins)
        os.environ["NARWAL_FILE_PLUGIN"] = str(plugins / "file.so")

    def setUp(self):
        if self.server is None:
            self.skipTest(self.reason)
        self.random = random.Random(check.seed())
        self.database = f"letters{next(self.numbers)}"
        self.server.sql(f"CREATE DATABASE {self.database}")
        workload.create_tables(self.server.connect(self.database))

    def sql(self, text):
        return self.server.sql(text, database=self.database)

    def narwal(self, multiples=MULTIPLES, **sink):
        narwal = self.enter(Narwal(self.server, database=self.database,
                                   settings={"plugin_dir": str(self.server.folder / "plugins")},
                                   sink={"refused": "dead_letter", **sink}))
        narwal.config["sinks"][0]["type"] = "picky"
        narwal.config["sinks"][0]["name"] = "shop"
        self.refuse(narwal, multiples)
        return narwal

    def refuse(self, narwal, multiples):
        marker = narwal.home / "out.refuse.plain"
        if multiples is None:
            marker.unlink()
        else:
            marker.write_text(f"{multiples}\n")

    def letters(self, narwal, *words):
        code, text = narwal.call("dead-letter", "list", "--json", *words)
        self.assertEqual(code, 0, text)
        return json.loads(text)

    def rows(self, narwal):
        """The letters with their rows."""
        ids = [letter["id"] for letter in self.letters(narwal)["list"]]
        found = []
        for at in range(0, len(ids), 200):
            code, text = narwal.call("dead-letter", "show", "--json", *ids[at:at + 200])
            self.assertEqual(code, 0, text)
            found += json.loads(text)
        return found

    def status(self, narwal):
        code, text = narwal.call("status", "--json")
        return json.loads(text) if code == 0 else {}

    def at_sink(self, narwal):
        """[(op, id)] that the sink has of lab.plain."""
        found = []
        for log in narwal.state().logs():
            if (log.schema, log.name) == ("lab", "plain"):
                # One that is gone on with may have a row again, of which the later counts.
                found = sorted({("copy", int(line["after"]["id"])) for line in log.copy()})
                found += [(line["op"], int((line.get("after") or line["before"])["id"]))
                          for line in log.changes() if line["op"] in "IUD"]
        return found

    def in_letters(self, narwal):
        return [("copy" if "copy" in letter else letter["op"],
                 (letter["row"].get("after") or letter["row"]["before"])["id"])
                for letter in self.rows(narwal)]

    def check_parts(self, narwal, expected, multiples=MULTIPLES):
        """What is at the sink and what is a letter is what was to come, each once."""
        expected = collections.Counter(expected)
        refused = collections.Counter({key: count for key, count in expected.items()
                                       if key[1] % multiples == 0})
        self.assertEqual(collections.Counter(self.in_letters(narwal)), refused, narwal.log_tail())
        self.assertEqual(collections.Counter(self.at_sink(narwal)), expected - refused, narwal.log_tail())

    def test_what_is_refused_is_kept_and_the_table_goes_on(self):
        narwal = self.narwal()
        self.sql("INSERT INTO lab.plain SELECT g, 0, 'copied secret' FROM generate_series(1, 20) g")
        narwal.start().wait_streaming()
        self.sql("INSERT INTO lab.plain SELECT g, 1, 'streamed secret' FROM generate_series(30, 50) g")
        self.sql("UPDATE lab.plain SET n = 2 WHERE id BETWEEN 10 AND 40")
        self.sql("DELETE FROM lab.plain WHERE id > 40")
        narwal.wait_caught_up()
        expected = [("copy", number) for number in range(1, 21)]
        expected += [("I", number) for number in range(30, 51)]
        expected += [("U", number) for number in [*range(10, 21), *range(30, 41)]]
        expected += [("D", number) for number in range(41, 51)]
        self.check_parts(narwal, expected)
        self.seen(narwal)
        code, text = narwal.call("dead-letter", "discard", "--yes", "1")
        self.assertEqual(code, 0, text)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        self.assertNotIn("secret", narwal.log(True))
        self.of_one_that_does_not_run(narwal)

    def seen(self, narwal):
        """Nobody can overlook them."""
        count = self.letters(narwal)["count"]
        self.assertEqual(count, 9)
        narwal.wait("the status", lambda: self.status(narwal)["dead_letters_count"] == count)
        status = self.status(narwal)
        self.assertEqual(status["dead_letters_count"], count)
        self.assertEqual([(table["table"], table["sink"], table["count"]) for table in status["dead_letters"]],
                         [("lab.plain", "shop", count)])
        self.assertEqual((status["sinks"][0]["dead_letters"], status["sinks"][0]["refused"]),
                         (count, "dead_letter"))
        self.assertEqual(status["stopped_tables"], [])
        self.assertIn(f"dead letters  {count} (", narwal.call("status")[1])
        self.assertIn(f"  {count} dead letters", narwal.call("table", "list")[1])
        self.assertIn("NW2418 sink shop refused 1 row of table lab.plain", narwal.log())
        self.assertIn("dead letters are not at the sink: narwal dead-letter list", narwal.log())
        files = list(narwal.state_dir.glob("dead-letters.db*"))
        self.assertTrue(files)
        self.assertEqual({stat.S_IMODE(file.stat().st_mode) for file in files}, {0o600})
        code, text = narwal.call("dead-letter", "list")
        self.assertEqual(code, 1, text)
        self.assertNotIn("secret", text)
        self.assertIn("no row of plain just now", text)
        self.assertIn("9 of lab.plain at sink shop", text)

    def of_one_that_does_not_run(self, narwal):
        letters = self.letters(narwal)["list"]
        self.assertEqual([letter["id"] for letter in letters], list(range(2, 10)))
        code, text = narwal.call("dead-letter", "show", letters[1]["id"])
        self.assertEqual(code, 0, text)
        self.assertIn("streamed secret", text)
        self.assertIn('"type": "integer"', text)
        for words, why in ((("show", "1"), "NW2421"), (("discard", "--yes", "1"), "NW2421"), (("retry", "1"), "NW2421"),
                           (("retry", "2"), "NW1502")):
            code, text = narwal.call("dead-letter", *words)
            self.assertEqual(code, 1, text)
            self.assertIn(why, text)
        code, text = narwal.call("dead-letter", "discard", "2")
        self.assertEqual(code, 1, text)
        self.assertIn("nobody to ask", text)
        for words in (("show",), ("discard",), ("discard", "--all", "2"), ("read",), ("show", "2", "x")):
            self.assertEqual(narwal.call("dead-letter", *words)[0], 2, words)
        code, text = narwal.call("teardown", "--dry-run")
        self.assertIn("with 8 dead letters", text)
        code, text = narwal.call("dead-letter", "discard", "--yes", "--table", "lab.plain")
        self.assertEqual(code, 0, text)
        self.assertEqual(self.letters(narwal)["count"], 0)
        for file in narwal.state_dir.glob("dead-letters.db*"):
            self.assertNotIn(b"secret", file.read_bytes(), file)

    def test_killed_while_rows_are_refused(self):
        """At the points and at random moments; the sink loses its patience now and then."""
        narwal = self.narwal()
        self.sql("INSERT INTO lab.plain SELECT g, 0, 'copied' FROM generate_series(1, 2000) g")
        number = 2000
        narwal.start().wait_streaming()
        kills = 0
        for turn in range(KILLS):
            point = ("letters", "commit", "write", "acknowledge")[turn % 4]
            narwal.kill()
            narwal.start(NARWAL_CRASH_AT=f"{point}:{self.random.randint(1, 6)}")
            for _ in range(self.random.randint(5, 25)):
                count = self.random.randint(1, 60)
                self.sql(f"INSERT INTO lab.plain SELECT g, 0, 'x' FROM generate_series({number + 1}, "
                         f"{number + count}) g")
                number += count
                if not narwal.running:
                    break
            if narwal.running:
                narwal.kill()
            kills += narwal.wait_exit() == -signal.SIGKILL
            narwal.start()
        narwal.wait_caught_up()
        expected = [("copy", at) for at in range(1, 2001)] + [("I", at) for at in range(2001, number + 1)]
        self.check_parts(narwal, expected)
        print(f"{kills} kills, {self.letters(narwal)['count']} letters", end=" ... ", flush=True)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_killed_while_a_copy_is_refused(self):
        """Some chunks are durable, and of some only the letters are written."""
        narwal = self.narwal(997, dead_letter_rows=100000)
        self.sql("INSERT INTO lab.plain SELECT g, 0, repeat('x', 50) FROM generate_series(1, 30000) g")
        narwal.config["copy"] = {"workers": 2, "chunk": "128KiB", "rate": "1MB"}
        kept = 0
        for number in (1, 2, 1, 2, 3):
            status = narwal.run_to_end(NARWAL_CRASH_AT=f"letters:{number}")
            self.assertEqual(status, -signal.SIGKILL, narwal.log_tail())
            kept += "chunks are kept" in narwal.log()
        narwal.start().wait_streaming()
        self.assertGreater(kept, 0)
        self.check_parts(narwal, [("copy", at) for at in range(1, 30001)], 997)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_too_many_stop_the_table_and_a_copy_makes_them_useless(self):
        narwal = self.narwal(dead_letter_rows=3)
        narwal.start().wait_streaming()
        self.sql("INSERT INTO lab.plain SELECT g, 0, 'x' FROM generate_series(1, 20) g")
        narwal.wait_caught_up()
        self.assertEqual(self.letters(narwal)["count"], 2)
        self.sql("INSERT INTO lab.plain SELECT g, 0, 'x' FROM generate_series(21, 70) g")
        narwal.wait("the stop", lambda: [table["state"] for table in self.status(narwal).get(
            "stopped_tables", [])] == ["stopped"])
        reason = self.status(narwal)["stopped_tables"][0]["reason"]
        self.assertIn("NW2419", reason)
        self.assertIn("dead_letter_rows", reason)
        self.refuse(narwal, None)
        code, text = narwal.call("table", "resume", "lab.plain")
        self.assertEqual(code, 0, text)
        narwal.wait("the table", lambda: self.status(narwal).get("stopped_tables", [0]) == [])
        narwal.wait_caught_up()
        self.assertEqual(sorted(self.at_sink(narwal)), [("I", at) for at in range(1, 71) if at not in (7, 14)])
        code, text = narwal.call("table", "refresh", "lab.plain")
        self.assertEqual(code, 0, text)
        narwal.wait("the copy", lambda: self.letters(narwal)["count"] == 0)
        narwal.wait_caught_up()
        self.assertEqual(sorted(self.at_sink(narwal)), [("copy", at) for at in range(1, 71)])
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_retry_is_a_copy_for_the_sink_that_refused(self):
        narwal = self.narwal()
        narwal.config["sinks"].append({"type": "file", "name": "archive", "path": str(narwal.home / "archive")})
        narwal.start().wait_streaming()
        self.sql("INSERT INTO lab.plain SELECT g, 0, 'x' FROM generate_series(1, 50) g")
        self.sql("INSERT INTO lab.composite VALUES (1, 'x', 'y', gen_random_uuid())")
        narwal.wait_caught_up()
        before = folder.State(narwal.home / "archive").generations
        self.assertEqual(self.letters(narwal)["count"], 7)
        self.refuse(narwal, 49)
        self.sql("UPDATE lab.plain SET n = 1 WHERE id = 7; DELETE FROM lab.plain WHERE id = 14")
        with self.load():
            code, text = narwal.call("dead-letter", "retry", "3", "5")  # one table
            self.assertEqual((code, text.count("is copied while")), (0, 1), text)
            narwal.wait("the copy", lambda: self.letters(narwal)["count"] == 1)
        narwal.wait_caught_up()
        self.assertEqual({row["id"]: row["n"] for row in self.table(narwal.out) if row["id"] <= 50},
                         {number: int(number == 7) for number in range(1, 51) if number not in (14, 49)})
        self.assertEqual(len(self.table(narwal.home / "archive")), len(self.table(narwal.out)) + 1)
        self.refuse(narwal, None)
        code, text = narwal.call("dead-letter", "retry", "--table", "lab.plain")
        self.assertEqual(code, 0, text)
        narwal.wait("the copy", lambda: self.letters(narwal)["count"] == 0)
        narwal.wait_caught_up()
        self.assertEqual(folder.State(narwal.home / "archive").generations, before)
        for out in (narwal.out, narwal.home / "archive"):
            other = Narwal.__new__(Narwal)
            other.__dict__.update(narwal.__dict__, out=out)
            result = other.compare([("lab", "plain"), ("lab", "composite")], self.database)
            self.assertTrue(result.good, result.report())
        self.former_sink(narwal)

    def former_sink(self, narwal):
        """Its letters stay, and are seen."""
        self.refuse(narwal, 7)
        self.sql("INSERT INTO lab.plain VALUES (7000, 0, 'x')")
        narwal.wait("the letter", lambda: self.letters(narwal)["count"] == 1)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        del narwal.config["sinks"][0]
        narwal.start()
        narwal.wait("the status", lambda: self.status(narwal).get("dead_letters_count") == 1)
        self.assertEqual(self.status(narwal)["sinks"][0]["dead_letters"], 0)
        narwal.wait("the stream", lambda: self.status(narwal).get("phase") == "streaming")
        code, text = narwal.call("dead-letter", "retry", "--all")
        self.assertEqual(code, 1, text)
        self.assertIn("NW2422", text)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    @contextlib.contextmanager
    def load(self):
        """Rows come and change while it is copied; none that is refused."""
        stop = threading.Event()

        def work():
            number = 100001
            while not stop.is_set():
                number += 1 + (number % 7 == 6)
                self.sql(f"INSERT INTO lab.plain VALUES ({number}, 0, 'y'); "
                         f"UPDATE lab.plain SET n = n + 1 WHERE id = {number} AND id % 3 = 0")
        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def table(self, out):
        return [row for found in folder.State(out).folder.tables if found.name == "plain"
                for row in found.rebuild()]

    def test_the_quota_stops_the_table(self):
        narwal = self.narwal(dead_letters="64KiB")
        narwal.start().wait_streaming()
        for number in range(1, 4):
            self.sql(f"INSERT INTO lab.plain VALUES ({number * MULTIPLES}, 0, repeat('x', 30000))")
            if number < 3:
                narwal.wait_caught_up()
        narwal.wait("the stop", lambda: self.status(narwal).get("stopped_tables"))
        self.assertIn("NW2419", self.status(narwal)["stopped_tables"][0]["reason"])
        self.assertEqual(self.letters(narwal)["count"], 2)
        code, text = narwal.call("dead-letter", "discard", "--all", "--yes")
        self.assertEqual(code, 0, text)
        code, text = narwal.call("table", "resume", "lab.plain")
        self.assertEqual(code, 0, text)
        narwal.wait("the letter", lambda: self.letters(narwal)["count"] == 1)
        narwal.wait("the table", lambda: self.status(narwal).get("stopped_tables", [0]) == [])
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())


if __name__ == "__main__":
    check.main()
