#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""narwal wait and narwal run --until: durable means durable, and nobody waits longer than it takes."""
import subprocess
import time

from lab import check, cluster
from lab.narwal import Narwal, build

PAGE_HEADER_MAX = 40  # an LSN right behind one is its page's begin
SOON_SECONDS = 8  # an idle database's own epochs come once a minute


class WaitTest(check.Case):
    def setUp(self):
        self.server = self.cluster()
        self.server.sql("CREATE SCHEMA lab")
        self.server.sql("CREATE TABLE lab.marker (id bigint PRIMARY KEY, at timestamptz DEFAULT now())")
        self.server.sql("CREATE TABLE lab.t (id int PRIMARY KEY, v text)")

    def narwal(self, **settings):
        return self.enter(Narwal(self.server, settings={"tables": {"include": ["lab.*"]}, **settings}))

    def wait(self, narwal, *words, code=0, seconds=SOON_SECONDS):
        started = time.monotonic()
        result = narwal.call("wait", *words)
        self.assertEqual(result[0], code, f"{result[1]}\n{narwal.log_tail()}")
        self.assertLess(time.monotonic() - started, seconds)
        return result[1].strip()

    def test_what_was_committed_is_durable_when_it_returns(self):
        narwal = self.narwal().start().wait_streaming()
        for i in range(5):
            self.server.sql("INSERT INTO lab.t VALUES (%s, 'x')", (i,))
            lsn = self.server.lsn()
            said = self.wait(narwal, *[(), ("--lsn", "now"), ("--lsn", cluster.lsn_text(lsn)),
                                       ("--sink", "file"), ("--timeout", "1min")][i])
            self.assertGreaterEqual(narwal.state().lsn, cluster.lsn_number(said))
            self.assertGreaterEqual(narwal.state().lsn, lsn - PAGE_HEADER_MAX)

    def test_an_idle_database_and_others_that_write(self):
        self.server.sql("CREATE DATABASE busy")
        narwal = self.narwal().start().wait_streaming()
        self.wait(narwal)
        for _ in range(3):
            self.server.sql("CREATE TABLE t (x text); INSERT INTO t SELECT g::text FROM "
                            "generate_series(1, 30000) g; DROP TABLE t", database="busy")
            lsn = cluster.lsn_number(self.wait(narwal))
            narwal.wait("the server is told", lambda: narwal.confirmed_lsn() >= lsn, SOON_SECONDS)

    def test_each_sink_for_itself_and_refusals(self):
        self.server.sql("INSERT INTO lab.t VALUES (1, 'x')")
        narwal = self.narwal(limits={"drain": "1s"})
        narwal.start().wait_streaming()
        self.wait(narwal)
        for words, code, text in ((("--lsn", "FFFFFF/0", "--timeout", "1s"), 3, "NW1509 FFFFFF/0 is not durable yet"),
                                  (("--sink", "none"), 1, "there is no sink none"),
                                  (("--lsn", "soon"), 2, "an LSN as"),
                                  (("--timeout", "5"), 2, "a time as")):
            self.assertIn(text, self.wait(narwal, *words, code=code))
        waits = subprocess.Popen(narwal.command("wait", narwal.file, "--lsn", "FFFFFF/0"),
                                 stderr=subprocess.PIPE, text=True)
        time.sleep(0.5)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        self.assertIn("narwal stops", waits.communicate(timeout=10)[1])
        self.assertEqual(waits.returncode, 1)
        self.assertIn("no narwal runs", self.wait(narwal, code=1))

    def test_a_sink_that_hangs_is_late(self):
        narwal = self.narwal(plugin_dir=str(build() / "tests/sdk/plugins"), limits={"drain": "1s"})
        narwal.config["sinks"] = [{"type": "hang", "name": "hangs", "text": "a text that is still there"}]
        self.server.sql("INSERT INTO lab.t VALUES (1, 'x')")
        narwal.start()
        narwal.wait("the plugin hangs", lambda: "sink hangs: hangs" in narwal.log())
        self.assertIn("is not durable yet", self.wait(narwal, "--timeout", "1s", code=3))

    def test_run_until_now_copies_follows_and_ends(self):
        self.server.sql("INSERT INTO lab.t SELECT g, 'v' FROM generate_series(1, 2000) g")
        narwal = self.narwal()
        narwal.write()
        for change in ("SELECT 1", "UPDATE lab.t SET v = 'w' WHERE id < 100", "DELETE FROM lab.t WHERE id > 1000"):
            self.server.sql(change)
            lsn = self.server.lsn()
            result = subprocess.run(narwal.command("run", narwal.file, "--until", "now"), timeout=60,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.assertEqual(result.returncode, 0, result.stdout)
            self.assertGreaterEqual(narwal.state().lsn, lsn - PAGE_HEADER_MAX)
            comparison = narwal.compare([("lab", "t")])
            self.assertTrue(comparison.good, comparison.report())
        result = subprocess.run(narwal.command("run", narwal.file, "--until", cluster.lsn_text(lsn)),
                                timeout=30, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(result.returncode, 0, result.stdout)


if __name__ == "__main__":
    check.main()
