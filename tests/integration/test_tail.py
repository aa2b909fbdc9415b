#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`narwal tail`: what it prints, and that it leaves nothing on the server, however it ends."""
import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import threading
import time

from lab import check, narwal

SECONDS_MAX = 30
# ^C ends within a second; the machine that runs the tests may be busy.
INTERRUPT_SECONDS_MAX = 1.5 * check.scale() + 1
NAME = re.compile(r"^narwal_tail_\d+_\d+(_insert_only)?$")


class Tail:
    """A running tail; its lines are read as they come."""

    def __init__(self, case, dsn, *words):
        self.case = case
        self.lines = []
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", str(narwal.build() / "narwal"), "tail", dsn, *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.errors = []
        self.threads = [threading.Thread(target=self.read, args=pair, daemon=True)
                        for pair in ((self.process.stdout, self.lines),
                                     (self.process.stderr, self.errors))]
        for thread in self.threads:
            thread.start()
        case.addCleanup(self.stop)

    @staticmethod
    def read(stream, lines):
        for line in stream:
            lines.append(line.decode("utf-8", "surrogateescape").rstrip("\n"))

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for thread in self.threads:
            thread.join()
        self.process.stdout.close()
        self.process.stderr.close()

    @property
    def error(self):
        return "\n".join(self.errors)

    @property
    def changes(self):
        return [line for line in self.lines if not line.startswith(("BEGIN ", "COMMIT "))]

    def wait(self, what, condition, seconds=SECONDS_MAX):
        deadline = time.monotonic() + seconds
        while not condition():
            self.case.assertLess(time.monotonic(), deadline,
                                 f"{what}: {self.lines}\n{self.error}")
            time.sleep(0.02)

    def wait_end(self, seconds=SECONDS_MAX):
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.case.fail(f"tail does not end: {self.lines}\n{self.error}")
        for thread in self.threads:
            thread.join()
        return code

    def interrupt(self, number=signal.SIGINT):
        """The exit status, and how long it took."""
        started = time.monotonic()
        self.process.send_signal(number)
        return self.wait_end(), time.monotonic() - started


class Case(check.Case):
    def prepare(self, **options):
        self.server = self.cluster(options=options)
        self.server.sql("CREATE TABLE keyed (id int PRIMARY KEY, v text, w int)")
        self.server.sql("CREATE TABLE keyless (v text)")

    def start(self, *words, dsn=None):
        return Tail(self, dsn or self.server.dsn(), *words)

    def streams(self, count=1):
        # A former tail's process may outlive its slot by a moment.
        return self.server.value("SELECT count(*) FROM pg_stat_replication JOIN "
                                 "pg_replication_slots ON active_pid = pid "
                                 "WHERE state = 'streaming'") == count

    def started(self, *words, dsn=None, count=1):
        tail = self.start(*words, dsn=dsn)
        tail.wait("streams", lambda: self.streams(count) or tail.process.poll() is not None)
        self.assertIsNone(tail.process.poll(), tail.error)
        return tail

    def publications(self):
        return [row[0] for row in
                self.server.sql("SELECT pubname FROM pg_publication ORDER BY pubname")]

    def assert_nothing_left(self):
        self.assertEqual(self.publications(), [])
        self.assertEqual(self.server.sql("SELECT slot_name FROM pg_replication_slots"), [])

    def assert_ended(self, tail):
        code, seconds = tail.interrupt()
        self.assertEqual(code, 0, tail.error)
        self.assertLess(seconds, INTERRUPT_SECONDS_MAX)
        self.assert_nothing_left()


class PrintTest(Case):
    def test_every_kind_of_change(self):
        self.prepare()
        tail = self.started()
        self.server.sql("INSERT INTO keyed VALUES (1, E'a\\nb', NULL), (2, '', 7)")
        self.server.sql("UPDATE keyed SET w = 5 WHERE id = 1")
        self.server.sql("UPDATE keyed SET id = 3 WHERE id = 1")
        self.server.sql("DELETE FROM keyed WHERE id = 2")
        self.server.sql("INSERT INTO keyless VALUES ('x')")
        self.server.sql("SELECT pg_logical_emit_message(true, 'p', 'hello')")
        self.server.sql("TRUNCATE keyed")
        tail.wait("all is printed", lambda: len(tail.changes) >= 8)
        self.assertEqual(tail.changes, [
            "INSERT   public.keyed  id=1 v=a\\nb w=NULL",
            'INSERT   public.keyed  id=2 v="" w=7',
            "UPDATE   public.keyed  id=1 v=a\\nb w=5",
            "UPDATE   public.keyed  id=1  -> id=3 v=a\\nb w=5",
            "DELETE   public.keyed  id=2",
            "INSERT   public.keyless  v=x",
            "MESSAGE  p: hello",
            "TRUNCATE public.keyed"])
        self.assert_ended(tail)

    def test_a_value_that_was_not_sent_is_said_to_be_unchanged(self):
        self.prepare()
        self.server.sql("ALTER TABLE keyed ALTER v SET STORAGE EXTERNAL")
        self.server.sql("INSERT INTO keyed VALUES (1, repeat('x', 10000), 1)")
        tail = self.started()
        self.server.sql("UPDATE keyed SET w = 2")
        tail.wait("the change", lambda: tail.changes)
        self.assertEqual(tail.changes, ["UPDATE   public.keyed  id=1 v=(unchanged) w=2"])
        self.assert_ended(tail)

    def test_the_application_goes_on_without_a_key(self):
        self.prepare()
        self.server.sql("CREATE TABLE nothing (v text)")
        self.server.sql("ALTER TABLE nothing REPLICA IDENTITY NOTHING")
        self.server.sql("CREATE TABLE deferred (id int PRIMARY KEY DEFERRABLE)")
        tables = ("keyless", "nothing")
        for table in tables:
            self.server.sql(f"INSERT INTO {table} VALUES ('before')")
        self.server.sql("INSERT INTO deferred VALUES (1)")
        tail = self.started()
        for table in tables:
            self.server.sql(f"INSERT INTO {table} VALUES ('new')")
            self.server.sql(f"UPDATE {table} SET v = 'other'")
            self.server.sql(f"DELETE FROM {table}")
        self.server.sql("UPDATE deferred SET id = 2")
        self.server.sql("DELETE FROM deferred")
        tail.wait("both inserts", lambda: len(tail.changes) >= 2)
        self.assertEqual(tail.changes, [f"INSERT   public.{table}  v=new" for table in tables])
        self.assertRegex(tail.error, "NW1308 .*no usable replica identity")
        self.assert_ended(tail)

    def test_names_and_values_of_any_kind(self):
        self.prepare()
        self.server.sql('CREATE SCHEMA "we.ird"')
        self.server.sql("CREATE TABLE \"we.ird\".\"T;\"\"'\n--\x1b\" "
                        "(\"a b\" int PRIMARY KEY, \"=\x07\" text)")
        tail = self.started()
        self.server.sql("INSERT INTO \"we.ird\".\"T;\"\"'\n--\x1b\" VALUES (1, %s)",
                        ("\x1b]0;title\x07\r\x7f\u009b31mé\\",))
        tail.wait("the change", lambda: tail.changes)
        # No line holds what a terminal would obey.
        for line in tail.lines:
            self.assertNotRegex(line, "[\x00-\x1f\x7f-\x9f]")
        self.assertEqual(len(tail.changes), 1)
        self.assertIn("we.ird", tail.changes[0])
        self.assertIn("é", tail.changes[0])
        self.assert_ended(tail)

    def test_table_and_limit(self):
        self.prepare()
        tail = self.started("--table", "keyed", "--limit", "2")
        self.assertEqual(self.server.value("SELECT count(*) FROM pg_publication_tables"), 1)
        self.server.sql("INSERT INTO keyless VALUES ('unseen')")
        self.server.sql("INSERT INTO keyed SELECT n FROM generate_series(1, 100) AS n")
        self.assertEqual(tail.wait_end(), 0, tail.error)
        self.assertEqual(tail.changes, ["INSERT   public.keyed  id=1 v=NULL w=NULL",
                                        "INSERT   public.keyed  id=2 v=NULL w=NULL"])
        self.assert_nothing_left()

    def test_an_existing_publication_stays(self):
        self.prepare()
        self.server.sql("CREATE PUBLICATION theirs FOR TABLE keyed")
        tail = self.started("--publication", "theirs")
        self.assertEqual(self.publications(), ["theirs"])
        self.server.sql("INSERT INTO keyed VALUES (1)")
        tail.wait("the change", lambda: tail.changes)
        self.assertEqual(tail.interrupt()[0], 0)
        self.assertEqual(self.publications(), ["theirs"])

    def test_one_version(self):
        """What runs on every major: all statements to the catalog, and a change."""
        for major in (14, 18):
            with self.subTest(major):
                server = self.server = self.cluster(version=major)
                server.sql("CREATE TABLE keyed (id int PRIMARY KEY)")
                server.sql("CREATE TABLE keyless (v text)")
                tail = self.started()
                server.sql("INSERT INTO keyed VALUES (1)")
                server.sql("INSERT INTO keyless VALUES ('a')")
                server.sql("UPDATE keyless SET v = 'b'")
                server.sql("TRUNCATE keyed")
                tail.wait("all changes", lambda: len(tail.changes) >= 3)
                self.assertEqual(tail.changes, ["INSERT   public.keyed  id=1",
                                                "INSERT   public.keyless  v=a",
                                                "TRUNCATE public.keyed"])
                self.assert_ended(tail)


    def test_a_whole_old_row_shows_only_what_changed(self):
        self.prepare()
        self.server.sql("ALTER TABLE keyed REPLICA IDENTITY FULL")
        tail = self.started("--table", "keyed")
        self.server.sql("INSERT INTO keyed VALUES (1, 'a', 1)")
        self.server.sql("UPDATE keyed SET w = NULL")
        self.server.sql("DELETE FROM keyed")
        tail.wait("all changes", lambda: len(tail.changes) >= 3)
        self.assertEqual(tail.changes[1:], ["UPDATE   public.keyed  id=1 v=a w=1  -> w=NULL",
                                            "DELETE   public.keyed  id=1 v=a w=NULL"])
        self.assert_ended(tail)

    def test_what_could_be_taken_for_something_else_is_quoted(self):
        self.prepare()
        tail = self.started()
        for value in ("", "NULL", "(unchanged)", "a w=2", 'say "x"'):
            self.server.sql("INSERT INTO keyless VALUES (%s)", (value,))
        tail.wait("all changes", lambda: len(tail.changes) >= 5)
        self.assertEqual([line.partition("v=")[2] for line in tail.changes],
                         ['""', '"NULL"', '"(unchanged)"', '"a w=2"', r'"say \"x\""'])
        self.assert_ended(tail)

    def test_a_changed_table_is_announced(self):
        self.prepare()
        tail = self.started()
        self.server.sql("INSERT INTO keyed VALUES (1)")
        self.server.sql("ALTER TABLE keyed DROP v, ADD x bigint DEFAULT 7")
        self.server.sql("INSERT INTO keyed VALUES (2)")
        tail.wait("all changes", lambda: len(tail.changes) >= 3)
        self.assertEqual(tail.changes[1:], ["SCHEMA   public.keyed  id w x",
                                            "INSERT   public.keyed  id=2 w=NULL x=7"])
        self.assert_ended(tail)

    def test_json(self):
        self.prepare()
        self.server.sql("CREATE TABLE whole (id int, v text)")
        self.server.sql("ALTER TABLE whole REPLICA IDENTITY FULL")
        self.server.sql("ALTER TABLE keyed ALTER v SET STORAGE EXTERNAL")
        self.server.sql("INSERT INTO keyed VALUES (9, repeat('x', 10000))")
        odd = "\x1b\"\\\n\u009b é"
        tail = self.started("--json", "--limit", "8")
        self.server.sql("INSERT INTO keyed VALUES (1, %s)", (odd,))
        self.server.sql("UPDATE keyed SET id = 2 WHERE id = 1")
        self.server.sql("UPDATE keyed SET w = 1 WHERE id = 9")
        self.server.sql("DELETE FROM keyed WHERE id = 2")
        self.server.sql("INSERT INTO whole VALUES (1, 'a')")
        self.server.sql("UPDATE whole SET v = NULL")
        self.server.sql("SELECT pg_logical_emit_message(false, 'p', '\\xff00'::bytea)")
        self.server.sql("TRUNCATE keyed")
        self.assertEqual(tail.wait_end(), 0, tail.error)
        lines = [json.loads(line) for line in tail.lines]
        for line in lines:
            self.assertNotRegex(json.dumps(line, ensure_ascii=False), "[\x00-\x1f]")
            if line["op"] != "message":
                self.assertRegex(line.pop("commit_time"), r"^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{6}Z$")
                self.assertRegex(line.pop("commit_lsn"), r"^[0-9A-F]+/[0-9A-F]+$")
                self.assertGreater(line.pop("xid"), 0)
        keyed = {"schema": "public", "table": "keyed"}
        whole = {"schema": "public", "table": "whole"}
        self.assertEqual(lines, [
            {"op": "insert", **keyed, "row": {"id": "1", "v": odd, "w": None}},
            {"op": "update", **keyed, "key": {"id": "1"}, "row": {"id": "2", "v": odd, "w": None}},
            {"op": "update", **keyed, "row": {"id": "9", "w": "1"}, "unchanged": ["v"]},
            {"op": "delete", **keyed, "key": {"id": "2"}},
            {"op": "insert", **whole, "row": {"id": "1", "v": "a"}},
            {"op": "update", **whole, "old": {"id": "1", "v": "a"}, "row": {"id": "1", "v": None}},
            {"op": "message", "transactional": False, "prefix": "p", "content": {"hex": "ff00"}},
            {"op": "truncate", "tables": [keyed]}])
        self.assert_nothing_left()

    def test_colours_are_for_terminals(self):
        self.prepare()
        for environment, coloured in (({"TERM": "xterm"}, True),
                                      ({"TERM": "xterm", "NO_COLOR": "1"}, False),
                                      ({"TERM": "dumb"}, False)):
            with self.subTest(environment):
                ours, theirs = pty.openpty()
                process = subprocess.Popen(
                    [str(narwal.build() / "narwal"), "tail", self.server.dsn(), "--limit", "1"],
                    stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.DEVNULL,
                    env={**os.environ, "NO_COLOR": "", **environment})
                deadline = time.monotonic() + SECONDS_MAX
                while not self.streams() and time.monotonic() < deadline:
                    time.sleep(0.05)
                self.server.sql("INSERT INTO keyless VALUES ('x')")
                self.assertEqual(process.wait(SECONDS_MAX), 0)
                text = os.read(ours, 10000).decode()
                os.close(theirs)
                os.close(ours)
                self.assertIn("public.keyless  v=x", text)
                self.assertEqual("\x1b[32mINSERT  \x1b[0m" in text, coloured)
                self.assertEqual("\x1b" in text, coloured)


class TraceTest(Case):
    def test_a_signal_leaves_nothing(self):
        self.prepare()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(number):
                tail = self.started()
                self.assertEqual(len(self.publications()), 2)
                for name in self.publications():
                    self.assertRegex(name, NAME)
                code, seconds = tail.interrupt(number)
                self.assertEqual(code, 0, tail.error)
                self.assertLess(seconds, INTERRUPT_SECONDS_MAX)
                self.assert_nothing_left()

    def killed(self):
        """A tail that was killed, gone from the server too; the publications that it left."""
        tail = self.started()
        tail.process.kill()
        tail.wait_end()
        tail.wait("the server lets go", lambda: self.server.value(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'narwal tail'") == 0)
        return self.publications()

    def test_what_a_kill_left_the_next_one_removes(self):
        self.prepare()
        left = self.killed()
        self.assertEqual(len(left), 2)
        tail = self.started()
        self.assertEqual([name for name in left if name in self.publications()], [])
        self.assert_ended(tail)

    def test_a_publication_in_use_stays(self):
        self.prepare()
        first = self.started()
        used = self.publications()
        second = self.started(count=2)
        self.assertEqual(second.interrupt()[0], 0)
        self.assertEqual(self.publications(), used)
        self.server.sql("INSERT INTO keyed VALUES (1)")
        first.wait("the change", lambda: first.changes)
        self.assert_ended(first)

    def test_a_publication_in_use_stays_when_only_its_plain_session_is_gone(self):
        """And what that session was to drop at the end is dropped all the same."""
        self.prepare()
        first = self.started()
        used = self.publications()
        self.assertEqual(self.server.value(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE "
            "application_name = 'narwal tail' AND backend_type = 'client backend'"), 1)
        second = self.started(count=2)
        self.assertEqual(second.interrupt()[0], 0)
        self.assertEqual(self.publications(), used)
        self.server.sql("INSERT INTO keyed VALUES (1)")
        first.wait("the change", lambda: first.changes)
        self.assert_ended(first)

    def test_publications_of_others_stay_however_they_are_called(self):
        self.prepare()
        names = ["narwal_tail", "narwal_tail_1", "narwal_tail_1_2_x", "x_narwal_tail_1_2"]
        for name in names:
            self.server.sql(f"CREATE PUBLICATION {name}")
        tail = self.started()
        self.assertEqual(tail.interrupt()[0], 0)
        self.assertEqual(self.publications(), sorted(names))

    def test_what_this_role_may_not_drop_stays_without_harm(self):
        self.prepare()
        left = self.killed()
        self.server.sql("CREATE ROLE other LOGIN REPLICATION")
        self.server.sql("GRANT CREATE ON DATABASE postgres TO other")
        self.server.sql("CREATE TABLE theirs (id int PRIMARY KEY)")
        self.server.sql("ALTER TABLE theirs OWNER TO other")
        tail = self.started("--table", "theirs", dsn=self.server.dsn(user="other"))
        self.assertEqual(tail.interrupt()[0], 0, tail.error)
        self.assertEqual(self.publications(), left)

    def test_a_signal_while_the_slot_waits_for_a_transaction(self):
        self.prepare()
        with contextlib.closing(self.server.connect(autocommit=False)) as other:
            other.cursor().execute("INSERT INTO keyed VALUES (1)")
            tail = self.start()
            tail.wait("it says so", lambda: "waiting for transactions" in tail.error)
            self.assert_ended(tail)

    def test_a_signal_while_a_table_is_locked(self):
        self.prepare()
        with contextlib.closing(self.server.connect(autocommit=False)) as other:
            other.cursor().execute("LOCK TABLE keyed IN SHARE UPDATE EXCLUSIVE MODE")
            tail = self.start()
            tail.wait("it says so", lambda: "waiting for transactions or locks" in tail.error)
            self.assert_ended(tail)

    def test_a_closed_pipe_ends_it_without_a_change(self):
        self.prepare()
        process = subprocess.Popen([str(narwal.build() / "narwal"), "tail", self.server.dsn()],
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + SECONDS_MAX
        while not self.streams() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.stdout.close()
        self.assertEqual(process.wait(SECONDS_MAX), 0)
        self.assert_nothing_left()


class RefusalTest(Case):
    def refused(self, *words, dsn=None):
        tail = self.start(*words, dsn=dsn)
        code = tail.wait_end()
        self.assertEqual((code, tail.lines), (1, []), tail.error)
        self.assert_no_own()
        return tail.error

    def assert_no_own(self):
        self.assertEqual([name for name in self.publications() if NAME.match(name)], [])
        self.assertEqual(self.server.sql("SELECT slot_name FROM pg_replication_slots"), [])

    def test_roles(self):
        self.prepare()
        self.server.sql("CREATE ROLE weak LOGIN REPLICATION")
        self.server.sql("CREATE ROLE plain LOGIN")
        weak = self.server.dsn(user="weak")
        self.assertRegex(self.refused(dsn=weak),
                         r"role weak may not make a publication in database postgres.*--publication")
        self.server.sql("CREATE PUBLICATION theirs FOR TABLE keyed")
        self.assertIn("there is: theirs", self.refused(dsn=weak))
        self.server.sql("GRANT CREATE ON DATABASE postgres TO weak")
        self.assertRegex(self.refused(dsn=weak), r"NW1511 .*only a table's owner may publish it, and 2 of 2 "
                                                 r"tables belong to others \(public.keyed, "
                                                 r"public.keyless\).*--publication NAME")
        self.assertNotEqual(self.refused(dsn=self.server.dsn(user="plain")), "")
        # With what is there it works.
        tail = self.started("--publication", "theirs", dsn=weak)
        self.server.sql("INSERT INTO keyed VALUES (1)")
        tail.wait("the change", lambda: tail.changes)
        self.assertEqual(tail.interrupt()[0], 0)

    def test_nothing_to_show(self):
        self.prepare()
        self.assertRegex(self.refused("--table", "none"), "NW1510 .*no table matches")
        self.assertRegex(self.refused("--publication", "none"), "NW1216 .*there is no publication none")

    def test_a_server_without_logical_decoding(self):
        self.prepare(wal_level="replica")
        self.assertIn("wal_level is replica", self.refused())

    def test_a_standby(self):
        self.prepare()
        self.server.sql("CREATE PUBLICATION theirs FOR TABLE keyed")
        self.server.stop()
        self.server.write("standby.signal", "")
        self.server.start()
        self.assertRegex(self.refused(), r"this server is a standby, .* \(there is: theirs\)")

    def test_no_slot_is_free(self):
        self.prepare(max_replication_slots="1")
        self.server.sql("SELECT pg_create_physical_replication_slot('other')")
        tail = self.start()
        self.assertEqual(tail.wait_end(), 1)
        self.assertIn("slots", tail.error)
        self.assertEqual(self.publications(), [])

    def test_a_connection_that_breaks_ends_it_with_1(self):
        self.prepare()
        tail = self.started()
        self.server.sql("INSERT INTO keyed VALUES (1)")
        tail.wait("the change", lambda: tail.changes)
        self.server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_replication")
        self.assertEqual(tail.wait_end(), 1)
        self.assertIn("The changes since then are not shown", tail.error)
        self.assert_nothing_left()

    def test_a_server_that_stops_ends_it_with_1(self):
        self.prepare()
        tail = self.started()
        self.server.stop()
        self.assertEqual(tail.wait_end(), 1)
        self.assertRegex(tail.error, "NW1513 .*the next tail removes it")
        self.server.start()
        self.assertEqual(len(self.publications()), 2)
        self.assertEqual(self.started().interrupt()[0], 0)
        self.assert_nothing_left()


if __name__ == "__main__":
    check.main()
