#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`narwal teardown`: what a run leaves on a server goes, nothing else does, and it can be run again."""
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

from lab import check, narwal

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "cli"))
from support import run  # noqa: E402


class TeardownTest(check.Case):
    @classmethod
    def setUpClass(cls):
        cls.manager = check.cluster.Cluster(check.version())
        try:
            cls.server = cls.manager.__enter__()
        except check.cluster.servers.Unavailable as error:
            raise check.unittest.SkipTest(str(error))
        cls.server.sql("CREATE SCHEMA lab")
        cls.server.sql("CREATE TABLE lab.marker (at bigint PRIMARY KEY)")
        cls.server.sql("CREATE TABLE keyless (v text)")
        cls.server.sql("CREATE ROLE weak LOGIN")

    @classmethod
    def tearDownClass(cls):
        cls.manager.__exit__(None, None, None)

    def ran(self, name, **more):
        """A pipeline that streamed and was stopped."""
        lab = narwal.Narwal(self.server, name=name, **more)
        lab.start().wait_streaming()
        lab.terminate()
        self.addCleanup(self.clean, lab)
        return lab

    def clean(self, lab):
        if lab.running:
            lab.kill()
        run("teardown", lab.file, "--yes", "--all")

    def left(self, name):
        """What the server has that is called like this pipeline."""
        return [row[0] for row in self.server.sql(
            "SELECT slot_name FROM pg_replication_slots WHERE slot_name = %s UNION ALL "
            "SELECT pubname FROM pg_publication WHERE pubname LIKE %s ORDER BY 1",
            (f"narwal_{name}", f"narwal\\_{name}%"))]

    def test_all_that_a_run_left_goes_and_nothing_else(self):
        lab = self.ran("whole")
        other = self.ran("other")
        self.server.sql("CREATE PUBLICATION narwal_wholesale")
        (lab.state_dir / "notes.txt").write_text("mine")
        files = sorted(str(path) for path in lab.out.rglob("*"))
        end = re.search(r"(?:drained to \S+|stopped before .*)\. Slot narwal_whole stays and holds WAL on \S+; to remove it: "
                        r"(narwal teardown \S+)\n", lab.log())
        self.assertIsNotNone(end, lab.log())
        self.assertEqual(shlex.split(end[1]), ["narwal", "teardown", str(lab.file)])

        dry = run("teardown", lab.file, "--dry-run")
        self.assertEqual(dry.code, 0, dry)
        self.assertRegex(dry.out, r"(?m)^remove  slot narwal_whole, which holds [\d.]+ [kMG]?B of WAL$")
        for line in ("remove  publication narwal_whole\n",
                     "remove  publication narwal_whole_insert_only\n",
                     f"remove  state folder {lab.state_dir}", "nothing was removed (--dry-run)",
                     f"stays   what sink file has: {lab.out}"):
            self.assertIn(line, dry.out)
        self.assertEqual(self.left("whole"), ["narwal_whole", "narwal_whole",
                                              "narwal_whole_insert_only", "narwal_wholesale"])
        asked = run("teardown", lab.file)
        self.assertEqual(asked.code, 1, asked)
        self.assertRegex(asked.err, "NW1501 .*nothing was removed: there is nobody to ask")
        self.assertTrue(lab.state_dir.exists())

        done = run("teardown", lab.file, "--yes")
        self.assertEqual(done.code, 1, done)  # the folder has something of ours
        self.assertRegex(done.err, "NW2509 .*has something in it that is not narwal's, and stays")
        self.assertEqual([path.name for path in lab.state_dir.iterdir()], ["notes.txt"])
        self.assertEqual(self.left("whole"), ["narwal_wholesale"])
        self.assertEqual(sorted(str(path) for path in lab.out.rglob("*")), files)
        self.assertEqual(len(self.left("other")), 3)

        shutil.rmtree(lab.state_dir)
        again = run("teardown", lab.file, "--yes")
        self.assertEqual(again.code, 0, again)
        self.assertIn("nothing left to remove", again.out)
        # The other pipeline goes on where it was.
        other.start().wait_caught_up()
        busy = run("teardown", other.file, "--yes")
        self.assertEqual(busy.code, 1, busy)
        self.assertIn(f"NW2001 a narwal runs with the state folder {other.state_dir}: stop it first", busy.err)
        elsewhere = run("teardown", other.file, "--yes", "--state-dir", "/nonexistent/narwal")
        self.assertEqual(elsewhere.code, 1, elsewhere)
        self.assertRegex(elsewhere.err, r"slot narwal_other is in use by process \d+ \(narwal, from the "
                                        r"server's own host\): stop that first\. Nothing was removed")
        other.wait_caught_up()
        self.assertIn("narwal_other", self.left("other"))

    def test_what_a_dba_made_stays_until_asked(self):
        self.server.sql("CREATE PUBLICATION narwal_given FOR TABLE lab.marker")
        self.server.sql("SELECT pg_create_logical_replication_slot('narwal_given', 'pgoutput')")
        lab = self.ran("given", settings={"source": {"publication": {"create": False},
                                                     "slot": {"create": False}}})
        kept = run("teardown", lab.file, "--yes")
        self.assertEqual(kept.code, 0, kept)
        self.assertRegex(kept.out, r"stays   slot narwal_given.* a DBA made it \(source.slot.create")
        self.assertRegex(kept.out, r"stays   publication narwal_given: a DBA made it")
        self.assertFalse(lab.state_dir.exists())
        self.assertEqual(len(self.left("given")), 2)
        asked = run("teardown", lab.file, "--yes", "--all")
        self.assertEqual(asked.code, 0, asked)
        self.assertEqual(self.left("given"), [])

    def test_a_role_without_the_right_gets_the_sql(self):
        lab = self.ran("rights")
        words = ("teardown", "--source", self.server.dsn(user="weak"), "--name", "rights",
                 "--state-dir", lab.state_dir, "--yes")
        refused = run(*words)
        self.assertEqual(refused.code, 1, refused)
        self.assertIn("role weak may not drop it: it has no REPLICATION", refused.out)
        # By the comment they are narwal's, whoever asks.
        self.assertIn("only role postgres and superusers may drop it", refused.out)
        sql = refused.out.split("For your DBA, in this database:\n")[1]
        self.assertEqual(len(self.left("rights")), 3)
        for statement in sql.strip().split("\n"):
            self.server.sql(statement)
        self.assertEqual(self.left("rights"), [])
        self.assertIn("nothing left to remove", run(*words).out)

    def test_the_ddl_trigger_goes_with_the_last_pipeline(self):
        one, two = self.ran("one"), self.ran("two")
        self.assertEqual(run("ddl-trigger", "install", one.file).code, 0)
        first = run("teardown", one.file, "--yes")
        self.assertEqual(first.code, 0, first)
        self.assertRegex(first.out, r"stays   the DDL trigger, schema narwal: .*narwal_two.* of this "
                                    r"database may need it")
        self.assertEqual(self.server.value("SELECT count(*) FROM pg_event_trigger"), 2)
        for row in self.server.sql("SELECT slot_name FROM pg_replication_slots WHERE slot_name NOT IN "
                                   "('narwal_two')"):
            self.server.sql("SELECT pg_drop_replication_slot(%s)", row)
        second = run("teardown", two.file, "--yes")
        self.assertEqual(second.code, 0, second)
        self.assertIn("removed the DDL trigger", second.out)
        self.assertEqual(self.server.value("SELECT count(*) FROM pg_event_trigger"), 0)
        self.assertEqual(self.server.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'narwal'"), 0)

    def test_a_server_that_is_gone_and_another_one(self):
        lab = self.ran("gone")
        dsn = lab.config["source"]["dsn"]
        self.server.sql("CREATE DATABASE elsewhere")
        lab.config["source"]["dsn"] = self.server.dsn("elsewhere")
        lab.write()
        wrong = run("teardown", lab.file, "--yes")
        self.assertEqual(wrong.code, 1, wrong)
        self.assertRegex(wrong.err, "NW2004 .*is of another server or database than elsewhere on")
        self.assertTrue((lab.state_dir / "state.db").exists())
        lab.config["source"]["dsn"] = "host=127.0.0.1 port=1 dbname=x"
        lab.write()
        gone = run("teardown", lab.file, "--yes")
        self.assertEqual(gone.code, 1, gone)
        self.assertRegex(gone.out, r"stays   slot narwal_gone and publication narwal_gone, if they are "
                                   r"there: the server cannot be reached \(.*\)\. Run this again when it can")
        self.assertFalse(lab.state_dir.exists())
        lab.config["source"]["dsn"] = dsn
        lab.write()
        self.assertEqual(run("teardown", lab.file, "--yes").code, 0)
        self.assertEqual(self.left("gone"), [])

    def test_spool_and_spill_that_lie_elsewhere_go_too(self):
        lab = narwal.Narwal(self.server, name="spread")
        spool, spill = lab.home / "a" / "spool", lab.home / "b" / "spill"
        for path in (spool.parent, spill.parent):
            path.mkdir()
        lab.config["protect"] = {"spool_dir": str(spool)}
        lab.config["limits"] = {"spill_dir": str(spill)}
        lab.start(NARWAL_CRASH_AT="handover:1")
        lab.wait_exit()
        self.addCleanup(self.clean, lab)
        self.assertTrue(list(spool.glob("*.spool")), lab.log_tail())
        done = run("teardown", lab.file, "--yes")
        self.assertEqual(done.code, 0, done)
        self.assertIn(", with a spool of ", done.out)
        self.assertFalse(spool.exists())
        self.assertFalse(spill.exists())
        self.assertFalse(lab.state_dir.exists())

    def test_a_run_from_the_command_line_says_its_own_teardown(self):
        home = pathlib.Path(self.server.folder, "line")
        home.mkdir()
        dsn = self.server.dsn() + " password='se cret'"
        command = [narwal.build() / "narwal", "run", "--source", dsn, "--sink", f"file:{home}/copy",
                   "--name", "line", "--state-dir", home / "state"]
        with open(home / "log", "wb") as log:
            process = subprocess.Popen([*map(str, command)], stdin=subprocess.DEVNULL, stderr=log,
                                       env={**os.environ, "NARWAL_PLUGIN_DIR": str(narwal.build() / "plugins")})
        self.addCleanup(process.kill)
        deadline = check.time.monotonic() + 60
        while "copy complete" not in (home / "log").read_text() and check.time.monotonic() < deadline:
            check.time.sleep(0.1)
        process.terminate()
        self.assertEqual(process.wait(60), 0)
        log = (home / "log").read_text()
        self.assertNotIn("se cret", log)
        said = re.search(r"to remove it: (narwal teardown [^\"]*)\"", log)
        words = shlex.split(said[1])
        self.assertEqual(words[:3], ["narwal", "teardown", "--source"], log)
        done = run(*words[1:], "--yes")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(self.left("line"), [])
        self.assertFalse((home / "state").exists())
        self.assertTrue((home / "copy").exists())


if __name__ == "__main__":
    check.main()
