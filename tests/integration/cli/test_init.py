#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`narwal init`: what it writes passes `narwal check` at once, and says what was found."""
import os
import pathlib
import tempfile

import support
from support import check, run

CANARY = "canary-init-4711"


class InitTest(check.Case):
    def setUp(self):
        self.server = self.cluster(options={"max_slot_wal_keep_size": "2000GB"}, tls=True)
        self.folder = self.enter(tempfile.TemporaryDirectory())
        for statement in (
                "CREATE SCHEMA \"od*d\"", "CREATE TABLE \"od*d\".\"new\nline\" (id int PRIMARY KEY)",
                "CREATE TABLE large (id int PRIMARY KEY, v text)",
                "INSERT INTO large SELECT g, repeat('x', 500) FROM generate_series(1, 20000) g",
                "CREATE TABLE keyless (v text)", "CREATE UNLOGGED TABLE quick (id int PRIMARY KEY)",
                "CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id)",
                "CREATE TABLE leaf PARTITION OF parts FOR VALUES FROM (0) TO (9)",
                "CREATE ROLE weak LOGIN"):
            self.server.sql(statement)

    def init(self, *words):
        return run("init", *words, cwd=self.folder)

    def test_what_is_written_passes_check_and_says_what_was_found(self):
        before = self.server.value("SELECT count(*) FROM pg_class")
        dsn = self.server.dsn(way="tls", password=CANARY + "' \\", application_name="it's \\ me")
        result = self.init(dsn)
        self.assertEqual(result.code, 0, result)
        self.assertIn("postgres.yaml is written: 4 tables, 11 MB, at localhost. Next:", result.out)
        self.assertIn("give it the password", result.out)
        path = pathlib.Path(self.folder, "postgres.yaml")
        text = path.read_text()
        self.assertNotIn(CANARY, text + result.out + result.err)
        for line in (
                "# narwal: database postgres on localhost, PostgreSQL 15.",
                "  # Found: connection TLSv1.3; database postgres, role postgres.",
                f"a line  localhost:{self.server.port}:postgres:postgres:PASSWORD",
                "  # 4 tables, 11 MB. System schemas are never followed",
                "  # The largest: public.large 11 MB, ",
                "  # 1 partitioned table, followed as one with all its partitions: public.parts\n",
                "only their inserts and truncates are followed (no_key: insert_only): public.keyless.\n",
                "they are left out: public.quick.\n",
                '  # include: ["od[*]d.*", "public.*"]', "od*d.new?line 0 B",
                "  spool: 1GiB ", "  retained_wal: 1600GiB "):
            self.assertIn(line, text)
        self.assertEqual(self.server.value("SELECT count(*) FROM pg_class"), before)

        found = run("check", path)
        self.assertEqual(found.code, 0, found)
        self.assertIn("\n0 to mend, ", found.out)
        # The DSN is the same one, whatever is in it.
        self.assertIn(r"application_name=it\'s\ \\\ me", text.replace("''", "'"))

        path.write_text(text + "# mine\n")
        again = self.init(dsn)
        self.assertEqual(again.code, 1, again)
        self.assertIn("NW1521 postgres.yaml is there already", again.err)
        self.assertEqual(path.read_text(), text + "# mine\n")
        self.assertEqual(self.init(dsn, "-o", "-").out, text)
        named = self.init(self.server.dsn(), "--name", "Orders 1", "-o", f"{self.folder}/x y.yaml")
        self.assertIn(f"narwal check '{self.folder}/x y.yaml'", named.out)
        self.assertIn("\nname: orders_1\n", pathlib.Path(self.folder, "x y.yaml").read_text())

    def test_what_stands_in_the_way_is_said_and_what_cannot_be_reached_writes_nothing(self):
        result = self.init(self.server.dsn(user="weak"), "-o", "weak.yaml")
        self.assertEqual(result.code, 0, result)
        self.assertRegex(result.out, r"narwal check weak.yaml   # \d things have to be mended first")
        for words, code, text in (
                (("host=127.0.0.1 port=1 dbname=x",), 1, "NW11"),
                (("hots=x",), 1, "NW1012"), ((), 2, "of which database?"),
                ((self.server.dsn(), "-o", f"{self.folder}/none/x.yaml"), 1, "NW1507 cannot write")):
            result = self.init(*words)
            self.assertEqual(result.code, code, result)
            self.assertIn(text, result.err)
        self.assertEqual(os.listdir(self.folder), ["weak.yaml"])


if __name__ == "__main__":
    check.main()
