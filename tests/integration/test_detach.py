#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Sinks that are left out while others go on, by themselves or by a command, and come back."""
import json
import os
import shutil
import sqlite3
import subprocess
import time

from lab import check, folder, oracle
from lab.narwal import Narwal, build

PLUGINS = build() / "tests" / "sdk" / "plugins"


class DetachTest(check.Case):
    @classmethod
    def setUpClass(cls):
        cls.server = None

    def setUp(self):
        if type(self).server is None:
            try:
                type(self).server = check.cluster.Cluster(check.version())
                self.server.__enter__()
            except check.cluster.servers.Unavailable as error:
                self.skipTest(str(error))
            type(self).addClassCleanup(self.server.__exit__)
        self.server = type(self).server
        self.server.sql("DROP SCHEMA IF EXISTS lab CASCADE")
        self.server.sql("CREATE SCHEMA lab")
        self.server.sql("CREATE TABLE lab.marker (id bigint PRIMARY KEY)")
        self.server.sql("CREATE TABLE lab.items (id int PRIMARY KEY, v text)")
        self.server.sql("INSERT INTO lab.items SELECT g, repeat('x', 100) FROM generate_series(1, 2000) g")

    def narwal(self, other, **settings):
        narwal = self.enter(Narwal(self.server, settings=settings))
        narwal.config["sinks"] = [{"type": "file", "name": "good", "path": str(narwal.out)},
                                  {"type": "file", "name": "other", "path": str(narwal.home / "other"), **other}]
        self.addCleanup(lambda: self.server.sql("SELECT pg_drop_replication_slot(slot_name) FROM "
                                                "pg_replication_slots WHERE slot_name = %s", (narwal.slot,)))
        self.addCleanup(lambda: narwal.running and narwal.kill())
        return narwal

    def odd(self, **settings):
        """With the plugins of the tests too."""
        for name in ("file.so", "null.so"):
            if not (PLUGINS / name).exists():
                (PLUGINS / name).symlink_to(build() / "plugins" / name)
        os.environ["NARWAL_FILE_PLUGIN"] = str(build() / "plugins" / "file.so")
        return self.narwal({}, plugin_dir=str(PLUGINS), **settings)

    def hanging(self, **settings):
        narwal = self.odd(**settings)
        narwal.config["sinks"][1] = {"type": "hang", "name": "hangs", "text": "a text that is still there",
                                     "stalled": "detach", "stalled_after": "4s"}
        return narwal

    def states(self, narwal):
        code, text = narwal.call("sink", "list", "--json")
        return {sink["name"]: sink["state"] for sink in json.loads(text)} if code == 0 else {}

    def work(self, narwal, count=1):
        for _ in range(count):
            self.server.sql("UPDATE lab.items SET v = v || 'y' WHERE id % 3 = 0")
            self.server.sql("INSERT INTO lab.items SELECT coalesce(max(id), 0) + 1, 'new' FROM lab.items")
            self.server.sql("DELETE FROM lab.items WHERE id = (SELECT min(id) FROM lab.items)")
        narwal.wait_caught_up()

    def result(self, narwal, path, tables=(("lab", "items"),)):
        target = f"oracle_{time.time_ns()}"
        self.server.sql(f"CREATE DATABASE {target}")
        try:
            return oracle.compare(folder.State(path).logs(), self.server.dsn(), self.server.dsn(target),
                                  list(tables))
        finally:
            self.server.sql(f"DROP DATABASE {target}")

    def same(self, narwal, path=None):
        result = self.result(narwal, path or narwal.out)
        self.assertTrue(result.good, result.report() + narwal.log_tail())

    def wait_same(self, narwal, path):
        narwal.wait("the same rows", lambda: self.result(narwal, path).good)

    def begin(self, narwal, **environment):
        narwal.start(**environment)
        narwal.wait("the stream", lambda: "streaming from" in narwal.log())
        return narwal

    def wait_moved_past(self, narwal, lsn):
        narwal.wait("the slot", lambda: narwal.confirmed_lsn() > lsn)

    def test_one_whose_call_hangs_is_left_out_and_takes_nothing_along(self):
        narwal = self.hanging()
        narwal.start(MALLOC_PERTURB_=165)
        narwal.wait("the plugin hangs", lambda: "NW2413 sink hangs: hangs" in narwal.log())
        narwal.wait("it is left out", lambda: self.states(narwal) == {"good": "running", "hangs": "detached"})
        narwal.wait_streaming()
        before = narwal.confirmed_lsn()
        self.work(narwal)
        self.wait_moved_past(narwal, before)
        self.same(narwal)
        self.assertRegex(narwal.log(), "warn  NW2370 sink hangs is detached, as its option stalled says")
        code, text = narwal.call("status")
        self.assertEqual(code, 1)
        self.assertRegex(text, "sink hangs +detached")
        code, text = narwal.call("sink", "attach", "hangs")
        self.assertEqual(code, 1, text)
        self.assertIn("NW2374", text)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        self.begin(narwal)
        self.assertIn("NW2372 sink hangs is detached", narwal.log())
        self.assertEqual(self.states(narwal), {"good": "running", "hangs": "detached"})
        self.work(narwal)
        self.same(narwal)
        self.assertEqual(narwal.call("sink", "attach", "hangs")[0], 0)
        narwal.wait("it hangs again", lambda: narwal.log().count("NW2370") > 0 and
                    self.states(narwal).get("hangs") == "detached", 60)
        self.work(narwal)
        self.same(narwal)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_one_that_cannot_be_opened_is_left_out_and_comes_back_with_copies(self):
        narwal = self.narwal({"stalled": "detach", "stalled_after": "4s"})
        self.begin(narwal)
        self.work(narwal)
        self.assertEqual(narwal.terminate(), 0)
        other, kept = narwal.home / "other", narwal.home / "kept"
        other.rename(kept)
        other.write_text("no folder")
        narwal.start()
        narwal.wait("it is left out", lambda: self.states(narwal) == {"good": "running", "other": "detached"}, 60)
        before = narwal.confirmed_lsn()
        self.work(narwal)
        self.wait_moved_past(narwal, before)
        self.assertEqual(narwal.call("sink", "attach", "other")[0], 0)
        narwal.wait("it stays so", lambda: "NW2373" in narwal.log() and self.states(narwal).get("other") == "detached")
        self.work(narwal)
        other.unlink()
        kept.rename(other)
        self.server.sql("UPDATE lab.items SET v = 'meanwhile' WHERE id % 7 = 0")
        self.assertEqual(narwal.call("sink", "attach", "other")[0], 0)
        narwal.wait("it is back", lambda: "sink other is with the others again" in narwal.log())
        self.work(narwal, 3)
        narwal.wait("the state", lambda: self.states(narwal) == {"good": "running", "other": "running"})
        self.assertIn("sink other begins again with copies of its tables", narwal.log())
        self.same(narwal)
        self.wait_same(narwal, other)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        self.same(narwal, other)

    def test_commands_and_kills_around_them(self):
        narwal = self.begin(self.narwal({}))
        self.work(narwal)
        self.assertEqual(narwal.call("sink", "detach", "none")[0], 1)
        self.assertEqual(narwal.call("sink", "attach", "other")[0], 1)
        self.assertEqual(narwal.terminate(), 0)
        self.begin(narwal, NARWAL_CRASH_AT="detach:1")
        narwal.call("sink", "detach", "other")
        self.assertNotEqual(narwal.wait_exit(), 0)
        self.begin(narwal)
        self.assertEqual(self.states(narwal), {"good": "running", "other": "detached"})
        code, text = narwal.call("sink", "detach", "good")
        self.assertEqual(code, 1)
        self.assertIn("is the last one", text)
        before = narwal.confirmed_lsn()
        self.work(narwal, 2)
        self.wait_moved_past(narwal, before)
        self.assertEqual(narwal.terminate(), 0)
        code, text = narwal.call("sink", "attach", "other")
        self.assertEqual(code, 0, text)
        self.assertIn("no narwal runs", text)
        self.assertNotEqual(narwal.run_to_end(NARWAL_CRASH_AT="attach:1"), 0)
        narwal.start(NARWAL_CRASH_AT="copy:30")
        for _ in range(200):
            if not narwal.running:
                break
            self.server.sql("UPDATE lab.items SET v = v || 'z' WHERE id % 5 = 0")
            time.sleep(0.05)
        if narwal.running:
            narwal.kill()
        self.begin(narwal)
        narwal.wait("it is back", lambda: self.states(narwal) == {"good": "running", "other": "running"})
        self.work(narwal, 3)
        self.wait_same(narwal, narwal.home / "other")
        self.same(narwal)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        self.same(narwal, narwal.home / "other")

    def test_what_ails_two_leaves_none_of_them_out(self):
        narwal = self.odd()
        holds = {name: narwal.home / f"hold_{name}" for name in ("one", "two")}
        narwal.config["sinks"] = [{"type": "held", "name": name, "while_there": str(path), "stalled": "detach",
                                   "stalled_after": "4s"} for name, path in holds.items()]
        self.begin(narwal)

        def write():
            self.server.sql("INSERT INTO lab.items SELECT max(id) + 1, 'new' FROM lab.items")

        write()
        narwal.wait("both run", lambda: self.states(narwal) == {"one": "running", "two": "running"})
        holds["one"].touch()
        write()
        time.sleep(1.2)  # the other moved a little later
        holds["two"].touch()
        write()
        narwal.wait("it says so", lambda: "NW2371 sink two has taken nothing" in narwal.log())
        self.assertNotIn("NW2370", narwal.log())
        holds["two"].unlink()
        for _ in range(100):
            if "NW2370" in narwal.log():
                break
            write()
            time.sleep(0.1)
        narwal.wait("the other is left out", lambda: self.states(narwal).get("one") == "detached")
        self.assertNotIn("NW2370 sink two", narwal.log())
        narwal.kill()

    def test_one_that_waits_for_its_letters_is_left_out(self):
        narwal = self.odd()
        other = narwal.home / "other"
        narwal.config["sinks"][1] = {"type": "picky", "name": "other", "path": str(other), "refused": "dead_letter"}
        narwal.home.joinpath("other.refuse.items").write_text("7\n")
        self.begin(narwal, MALLOC_PERTURB_=165)
        narwal.wait_caught_up()
        letters = sqlite3.connect(narwal.state_dir / "dead-letters.db", isolation_level=None)
        self.addCleanup(letters.close)
        letters.execute("BEGIN IMMEDIATE")
        self.server.sql("INSERT INTO lab.items SELECT g, 'refused' FROM generate_series(7000, 7100) g")
        time.sleep(2)
        self.assertEqual(narwal.call("sink", "detach", "other")[0], 0)
        narwal.wait("it is left out", lambda: self.states(narwal) == {"good": "running", "other": "detached"})
        self.assertIn("NW2006 sink other", narwal.log())
        letters.execute("ROLLBACK")
        self.work(narwal, 3)
        time.sleep(1)
        self.same(narwal)
        narwal.wait("nothing", lambda: True)
        narwal.kill()

    def test_one_of_another_history_does_not_end_the_others(self):
        narwal = self.begin(self.narwal({}))
        other, kept = narwal.home / "other", narwal.home / "kept"
        self.work(narwal)
        self.assertEqual(narwal.call("sink", "detach", "other")[0], 0)
        narwal.wait("it is left out", lambda: self.states(narwal) == {"good": "running", "other": "detached"})
        self.server.sql("CREATE DATABASE elsewhere")
        self.addCleanup(lambda: self.server.sql("DROP DATABASE elsewhere"))
        self.server.sql("CREATE SCHEMA lab", database="elsewhere")
        self.server.sql("CREATE TABLE lab.marker (id bigint PRIMARY KEY)", database="elsewhere")
        stranger = self.enter(Narwal(self.server, database="elsewhere"))
        stranger.start().wait_streaming()
        self.assertEqual(stranger.terminate(), 0)
        self.server.sql("SELECT pg_drop_replication_slot(%s)", (stranger.slot,))
        other.rename(kept)
        shutil.copytree(stranger.out, other)
        for path in other.glob("*owner*"):
            path.unlink()
        self.assertEqual(narwal.call("sink", "attach", "other")[0], 0)
        narwal.wait("it stays out", lambda: "NW2373 sink other could not be attached" in narwal.log())
        self.assertIn("holds the data of another source", narwal.log())
        self.work(narwal)
        self.assertEqual(self.states(narwal), {"good": "running", "other": "detached"})
        shutil.rmtree(other)
        kept.rename(other)
        self.assertEqual(narwal.call("sink", "attach", "other")[0], 0)
        narwal.wait("it is back", lambda: "sink other is with the others again" in narwal.log())
        self.work(narwal)
        self.wait_same(narwal, other)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_some_sink_stays_whatever_is_recorded(self):
        narwal = self.begin(self.narwal({}))
        self.work(narwal)
        self.assertEqual(narwal.terminate(), 0)
        for name, reason in (("misspelt", "NW1504"), ("other", ""), ("good", "NW1505 sink good is the last")):
            code, text = narwal.call("sink", "detach", name)
            self.assertEqual((code, reason in text), (1 if reason else 0, True), text)
        text = subprocess.run(narwal.command("sink", "detach", "good", "--state-dir", narwal.state_dir),
                              capture_output=True, text=True, check=True).stdout
        self.assertIn("left out", text)
        self.assertEqual(narwal.run_to_end(), 1)
        self.assertRegex(narwal.log(), "NW2372 every sink of the configuration is detached: narwal sink attach")
        self.assertEqual(narwal.call("sink", "attach", "good")[0], 0)
        self.begin(narwal)
        self.work(narwal)
        self.same(narwal)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_what_was_recorded_of_tables_is_over(self):
        """One stopped at it: as the slot has all that it lacks, and after a kill where it has not."""
        narwal = self.odd()
        other = narwal.home / "other"
        refuse = narwal.home / "other.refuse.items"
        narwal.config["sinks"][1] = {"type": "picky", "name": "other", "path": str(other)}
        self.begin(narwal)
        self.work(narwal)
        for crash in (False, True):
            refuse.write_text("1\n")
            self.server.sql("UPDATE lab.items SET v = v || 'r' WHERE id % 11 = 0")
            narwal.wait("it stops there", lambda: "at sink other" in narwal.log())
            narwal.wait_caught_up()
            self.assertEqual(narwal.call("sink", "detach", "other")[0], 0)
            narwal.wait("it is left out", lambda: self.states(narwal) == {"good": "running", "other": "detached"})
            refuse.unlink()
            if crash:
                before = narwal.confirmed_lsn()
                self.work(narwal, 3)
                self.wait_moved_past(narwal, before)
            self.assertEqual(narwal.terminate(), 0)
            self.assertEqual(narwal.call("sink", "attach", "other")[0], 0)
            if crash:
                self.assertNotEqual(narwal.run_to_end(NARWAL_CRASH_AT="attach:1"), 0)
            self.begin(narwal)
            narwal.wait("it is back", lambda: self.states(narwal) == {"good": "running", "other": "running"})
            self.work(narwal)
            self.wait_same(narwal, other)
            code, text = narwal.call("table", "list", "--state", "stopped")
            self.assertEqual((code, "lab.items" in text), (0, False), text)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def went_back(self, acknowledged):
        """A table is made while one is left out; then the slot is where it was when that happened."""
        narwal = self.begin(self.narwal({}))
        other = narwal.home / "other"
        self.work(narwal)
        self.assertEqual(narwal.terminate(), 0)
        self.assertEqual(narwal.call("sink", "detach", "other")[0], 0)
        self.server.sql("SELECT pg_copy_logical_replication_slot(%s, 'before')", (narwal.slot,))
        confirmed = self.server.value("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE "
                                      "slot_name = 'before'")
        self.begin(narwal)
        self.server.sql("CREATE TABLE lab.made (id int PRIMARY KEY, v text)")
        self.server.sql("INSERT INTO lab.made SELECT g, 'made' FROM generate_series(1, 100) g")
        narwal.wait("its copy", lambda: self.server.value(
            "SELECT count(*) FROM pg_publication_tables WHERE tablename = 'made'") > 0 and
            "lab.made" in narwal.call("table", "list", "--state", "streaming")[1])
        self.work(narwal)
        self.assertEqual(narwal.terminate(), 0)
        self.server.sql("SELECT pg_drop_replication_slot(%s)", (narwal.slot,))
        self.server.sql("SELECT pg_copy_logical_replication_slot('before', %s)", (narwal.slot,))
        self.server.sql("SELECT pg_drop_replication_slot('before')")
        if acknowledged:
            with sqlite3.connect(narwal.state_dir / "state.db") as state:
                state.execute("UPDATE source SET acknowledged_lsn = ?", (confirmed,))
            state.close()
        self.assertEqual(narwal.call("sink", "attach", "other")[0], 0)
        self.begin(narwal)
        narwal.wait("it is back", lambda: self.states(narwal) == {"good": "running", "other": "running"})
        self.work(narwal)
        tables = [("lab", "items"), ("lab", "made")]
        narwal.wait("the same rows", lambda: self.result(narwal, other, tables).good)
        self.assertEqual("sink other begins again" in narwal.log(), not acknowledged)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_slot_that_went_back_does_not_have_what_it_lacks(self):
        self.went_back(False)

    def test_a_table_that_was_copied_meanwhile_is_copied_to_it(self):
        self.went_back(True)

    def test_one_comes_back_while_the_others_are_copied(self):
        self.server.sql("INSERT INTO lab.items SELECT g, repeat('x', 1000) FROM generate_series(10000, 20000) g")
        narwal = self.narwal({}, copy={"rate": "1MiB", "chunk": "1MiB"})
        narwal.start()
        narwal.wait("the copy", lambda: self.server.value(
            "SELECT count(*) FROM pg_replication_slots WHERE slot_name = %s", (narwal.slot,)) > 0)
        time.sleep(3)
        self.assertEqual(narwal.call("sink", "detach", "other")[0], 0)
        narwal.wait("it is left out", lambda: self.states(narwal).get("other") == "detached")
        time.sleep(1)
        narwal.config["copy"].pop("rate")
        narwal.write()
        self.assertEqual(narwal.call("sink", "attach", "other")[0], 0)
        narwal.wait("it is back", lambda: "sink other is with the others again" in narwal.log())
        self.assertEqual(narwal.call("reload")[0], 0)
        narwal.wait_streaming()
        self.work(narwal)
        self.assertNotIn("begins again", narwal.log())
        self.assertIn("copy complete", narwal.log())
        self.wait_same(narwal, narwal.home / "other")
        self.same(narwal)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_the_last_one_is_waited_for(self):
        narwal = self.hanging()
        narwal.config["sinks"] = [{**narwal.config["sinks"][1], "stalled_after": "2s"}]
        narwal.start()
        narwal.wait("it says so", lambda: "NW2371 sink hangs has taken nothing" in narwal.log())
        self.assertEqual(narwal.log().count("NW2371"), 1)
        narwal.kill()


if __name__ == "__main__":
    check.main()
