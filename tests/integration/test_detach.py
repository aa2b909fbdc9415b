#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Sinks that are left out while others go on, by themselves or by a command, and come back."""
import json
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

    def hanging(self, **settings):
        narwal = self.narwal({}, plugin_dir=str(PLUGINS), **settings)
        for name in ("file.so", "null.so"):
            if not (PLUGINS / name).exists():
                (PLUGINS / name).symlink_to(build() / "plugins" / name)
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

    def result(self, narwal, path):
        target = f"oracle_{time.time_ns()}"
        self.server.sql(f"CREATE DATABASE {target}")
        try:
            return oracle.compare(folder.State(path).logs(), self.server.dsn(), self.server.dsn(target),
                                  [("lab", "items")])
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

    def test_the_last_one_is_waited_for(self):
        narwal = self.hanging()
        narwal.config["sinks"] = [{**narwal.config["sinks"][1], "stalled_after": "2s"}]
        narwal.start()
        narwal.wait("it says so", lambda: "NW2371 sink hangs has taken nothing" in narwal.log())
        self.assertEqual(narwal.log().count("NW2371"), 1)
        narwal.kill()


if __name__ == "__main__":
    check.main()
