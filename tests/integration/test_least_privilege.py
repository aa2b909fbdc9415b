#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""narwal as a role that owns nothing: a DBA runs what `check --sql` prints, and narwal copies and
streams with that and no more."""
import pathlib
import sys

from lab import check, narwal

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "cli"))
from support import psql, run  # noqa: E402

ODD = 'Odd $narwal$ "na;\nme\\'
TABLES = [("public", "plain"), ("public", "parts"), ("public", "keyless"), ("Shop $", ODD),
          ("lab", "marker")]


def quoted(*names):
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


class LeastPrivilegeTest(check.Case):
    def prepare(self, server):
        for statement in (
                "REVOKE CONNECT ON DATABASE postgres FROM PUBLIC",
                "CREATE SCHEMA lab", "CREATE TABLE lab.marker (at bigint PRIMARY KEY)",
                "CREATE TABLE plain (id int PRIMARY KEY, v text)",
                "CREATE TABLE keyless (v text)",
                "CREATE TABLE parts (id int PRIMARY KEY, v text) PARTITION BY RANGE (id)",
                "CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (1000)",
                "CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (1000) TO (9000)",
                "CREATE TABLE private (secret text PRIMARY KEY)",
                f"CREATE SCHEMA {quoted('Shop $')}",
                f"CREATE TABLE {quoted('Shop $', ODD)} (id int PRIMARY KEY, v text)"):
            server.sql(statement)
        self.change(server, 0)

    def change(self, server, start):
        for schema, name in TABLES[:2] + TABLES[3:4]:
            table = quoted(schema, name)
            server.sql(f"INSERT INTO {table} SELECT g, 'v' || g FROM generate_series({start}, "
                       f"{start + 1999}) g")
            server.sql(f"UPDATE {table} SET v = v || '!' WHERE id % 10 = 1")
            server.sql(f"DELETE FROM {table} WHERE id % 10 = 2")
        server.sql(f"INSERT INTO keyless VALUES ('row {start}')")

    def test_what_check_prints_is_all_that_is_needed(self):
        server = self.cluster(options={"max_slot_wal_keep_size": "2000GB"})
        self.prepare(server)
        lab = self.enter(narwal.Narwal(
            server, dsn=server.dsn(user="narwal", way="tcp"), name="least",
            settings={"source": {"publication": {"create": False}},
                      "tables": {"exclude": ["public.private"]}}))
        lab.write()

        with self.subTest("without a look at the database"):
            blind = run("check", lab.file, "--sql")
            self.assertEqual(blind.code, 1, blind)
            self.assertIn('role "narwal" does not exist', blind.out)
            self.assertIn('CREATE ROLE "narwal" LOGIN REPLICATION;', blind.out)
            self.assertIn('GRANT CONNECT ON DATABASE "postgres" TO "narwal";', blind.out)

        script = run("check", lab.file, "--sql", "--dba", server.dsn())
        self.assertEqual((script.code, script.err), (1, ""), script)
        self.assertNotIn("private", script.out)
        self.assertIn('"parts_low"', script.out)
        psql(server, script.out)
        again = psql(server, script.out)
        self.assertIn("already exists", again)  # and is no error

        found = lab.call("check")
        self.assertEqual(found[0], 0, found[1])
        self.assertIn("\n0 to mend, ", found[1])
        self.assertNotIn("NW1321", found[1])
        self.assertIn("-- Nothing is missing.", lab.call("check", "--sql")[1])
        for words in ((), ("--dba", server.dsn())):
            whole = run("check", lab.file, "--sql", "--all", *words).out
            for text in ("CREATE ROLE", "CREATE PUBLICATION", "GRANT USAGE", "GRANT SELECT", "CONNECT"):
                self.assertIn(text, whole)
            psql(server, whole)
        self.assertEqual(server.value("SELECT count(*) FROM pg_shdepend WHERE deptype = 'o' AND refobjid "
                                      "= 'narwal'::regrole"), 0)
        self.assertEqual(server.sql("SELECT has_table_privilege('narwal', 'private', 'SELECT'), rolsuper, "
                                    "rolcreatedb, rolbypassrls FROM pg_roles WHERE rolname = 'narwal'"),
                         [(False,) * 4])

        lab.start().wait_streaming()
        self.change(server, 2000)
        lab.wait_caught_up()
        result = lab.compare(TABLES)
        self.assertTrue(result.good, result)
        found = lab.call("check")
        self.assertEqual(found[0], 0, found[1])
        lab.terminate()
        # Tables that come later need a DBA again, and the script says what is missing.
        server.sql("CREATE TABLE later (id int PRIMARY KEY)")
        later = lab.call("check", "--sql")[1]
        self.assertIn('ALTER PUBLICATION "narwal_least" ADD TABLE ONLY "public"."later";', later)
        self.assertNotIn('"plain"', later)
        psql(server, later)
        self.assertIn("-- Nothing is missing.", lab.call("check", "--sql")[1])


if __name__ == "__main__":
    check.main()
