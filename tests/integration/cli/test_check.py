#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`narwal check` against servers that are set up wrongly in every way it knows.

What it prints to mend a fault is run, and then the fault has to be gone.
"""
import json
import pathlib
import re
import tempfile

import support
from support import check, narwal, run


class CheckTest(check.Case):
    OPTIONS = {}

    def setUp(self):
        self.server = self.cluster(options=self.OPTIONS)
        self.server.sql("CREATE TABLE keyed (id int PRIMARY KEY, v text)")
        self.server.sql("CREATE ROLE reader LOGIN REPLICATION")
        self.server.sql("CREATE ROLE weak LOGIN")

    def check(self, *words, user="postgres", sink="null:"):
        return run("check", "--source", self.server.dsn(user=user), "--sink", sink, *words)

    def mends(self, code, **more):
        """The SQL that is printed for a code: in the script, or for a choice beside the finding."""
        out = self.check("--sql", **more).out
        found = re.search(rf"^-- {code} (?!-- ).*\n((?:(?!--|\n).*\n)+)", out, re.M)
        if found:
            return found[1]
        found = re.search(rf"^WARN  {code} .*\n(?:      (?!mend: ).*\n)*      mend: (.*?;)(?:    or .*)?$",
                          self.check("--verbose", **more).out, re.M)
        self.assertIsNotNone(found, f"no SQL for {code} in\n{out}")
        return found[1]

    def assert_found(self, code, level, **more):
        result = self.check(**more)
        self.assertEqual(result.findings.get(code), level, result)
        self.assertIn("nothing was changed", result.out)
        return result

    def assert_mended(self, code, level="FAIL", **more):
        """It is found; the printed SQL makes it go away."""
        self.assert_found(code, level, **more)
        support.psql(self.server, self.mends(code, **more))
        result = self.check(**more)
        self.assertNotIn(code, result.findings, result)


class SoundTest(CheckTest):
    OPTIONS = {"max_slot_wal_keep_size": "2000GB"}

    def test_a_sound_server_passes_and_nothing_is_changed(self):
        before = self.server.value("SELECT count(*) FROM pg_class")
        result = self.check()
        self.assertEqual(result.code, 0, result)
        self.assertEqual(set(result.findings) - {"NW1303"}, {"NW1302"}, result)
        self.assertIn("0 to mend", result.out)
        self.assertEqual(self.server.value("SELECT count(*) FROM pg_class"), before)
        self.assertRegex(result.out, r"(?m)^plan  copy about a second; spool about [\d.]+ k?B of [\d.]+ GB$")
        self.assertEqual(self.server.value("SELECT (SELECT count(*) FROM pg_publication) + "
                                           "(SELECT count(*) FROM pg_replication_slots)"), 0)

    def test_rights(self):
        self.server.sql("CREATE SCHEMA shop")
        self.server.sql("CREATE TABLE shop.\"Odd \"\"name\" (id int PRIMARY KEY)")
        self.server.sql("CREATE TABLE guarded (id int PRIMARY KEY)")
        self.server.sql("ALTER TABLE guarded ENABLE ROW LEVEL SECURITY")
        self.assertEqual(self.check(user="weak").code, 1)
        for code in ("NW1209", "NW1223", "NW1220", "NW1221", "NW1216"):
            with self.subTest(code):
                self.assert_mended(code, user="weak")
        result = self.check(user="weak")
        self.assertEqual(result.code, 0, result)

    def in_file(self, text):
        """What check says of such a file, in one line each."""
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "n.yaml"
            file.write_text(text)
            result = run("check", str(file), "--verbose")
            return result, re.sub(r"\n +", " ", result.out).replace(f"{file}:", "FILE:")

    def test_the_heartbeats_statement_is_tried(self):
        """It is not run, and its rights are those of narwal's role."""
        self.server.sql("CREATE TABLE beats (at timestamptz); GRANT SELECT ON beats TO reader; CREATE SEQUENCE counted;"
                        "GRANT ALL ON SEQUENCE counted TO reader; GRANT SELECT ON keyed TO reader;"
                        "CREATE PUBLICATION narwal_n FOR TABLE keyed WITH (publish_via_partition_root = false)")
        for statement, said in {
                "INSERT INTO nobeats VALUES (now())": 'relation "nobeats" does not exist',
                "INSERT INTO beats VALUES (now())": "permission denied for table beats",
                "INSERT INTO": "syntax error at end of input", "SELECT 1; SELECT 2": None,
                "SELECT nextval('counted')": None, "NOTIFY beats": None, "SELECT * FROM beats": None,
                "SELECT pg_logical_emit_message(false, 'x', nosuch)": 'column "nosuch" does not exist'}.items():
            with self.subTest(statement):
                result, out = self.in_file(f"name: n\nsource:\n  dsn: {self.server.dsn(user='reader')}\n  heartbeat:\n"
                                           f"    statement: \"{statement}\"\ntables:\n  include: [public.keyed]\nsinks: [{{type: 'null'}}]\n")
                self.assertEqual(result.findings.get("NW2329"), "FAIL" if said else None, result)
                if said:
                    self.assertRegex(out, r"FILE:5:\d+: source\.heartbeat\.statement would fail: .*" + re.escape(said))
        self.assertEqual(self.server.value("SELECT is_called FROM counted"), False)
        self.assertEqual(self.server.value("SELECT count(*) FROM beats"), 0)

    def test_options_that_do_not_go_together(self):
        """What only the plugin knows, with the line of what it complains of."""
        if not (narwal.build() / "plugins" / "kafka.so").exists():
            self.skipTest("the Kafka sink was not built")
        head = f"name: n\nsource:\n  dsn: {self.server.dsn()}\ntables:\n  include: [public.keyed]\nsinks:\n  - type: kafka\n    brokers: [x:1]\n    prefix: n\n"
        for options, said in {"    mechanism: PLAIN\n": r"FILE:10:5: mechanism needs security",
                              "    create_topics: true\n    flatten: drop\n": r"FILE:11:5: flatten goes with format: debezium_json",
                              "    skip: [nothing]\n": r"FILE:10:5: skip: nothing is none of inserts"}.items():
            with self.subTest(options):
                result, out = self.in_file(head + options)
                self.assertEqual(result.findings.get("NW1225"), "FAIL", result)
                self.assertRegex(out, "NW1225 +sink kafka: " + said)
        self.assertNotIn("NW1225", self.in_file(head)[0].findings)

    def test_what_should_be_considered(self):
        self.server.sql("CREATE TABLE apart (id int PRIMARY KEY)")
        self.server.sql("CREATE PUBLICATION ours FOR TABLE keyed")
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "a.yaml")
            file.write_text(json.dumps({
                "source": {"dsn": self.server.dsn(),
                           "publication": {"name": "ours", "create": False}},
                "copy": {"workers": 16}, "sinks": [{"type": "null"}]}))
            sessions = [self.server.connect() for _ in range(42)]
            result = run("check", file, "--verbose")
            for session in sessions:
                session.close()
        self.assertRegex(result.out, r'WARN  NW1307 .*\n      mend: .*"public"."apart"')
        self.assertEqual(result.findings.get("NW1305"), "WARN", result)

    def test_a_table_without_a_key(self):
        self.server.sql("CREATE TABLE keyless (v text)")
        self.assert_mended("NW1308", "WARN")
        self.server.sql("CREATE TABLE keyless2 (v text)")
        self.server.sql("CREATE PUBLICATION narwal_postgres FOR TABLE keyed, keyless2")
        self.assert_mended("NW1219")

    def test_what_is_left_out_is_said(self):
        self.server.sql("CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY)")
        self.server.sql("CREATE TABLE made (id int PRIMARY KEY, g int GENERATED ALWAYS AS (id) STORED)")
        self.server.sql("CREATE FOREIGN DATA WRAPPER w")
        self.server.sql("CREATE SERVER s FOREIGN DATA WRAPPER w")
        self.server.sql("CREATE FOREIGN TABLE elsewhere (id int) SERVER s")
        result = self.check()
        self.assertEqual(result.code, 0, result)
        for code, name in (("NW1309", "public.unlogged"), ("NW1315", "public.made"),
                           ("NW1317", "public.elsewhere")):
            self.assertRegex(result.out, rf"WARN  {code} .*\n      {name}\n")

    def test_slots(self):
        create = "SELECT pg_create_logical_replication_slot('narwal_postgres', 'pgoutput'"
        drop = "SELECT pg_drop_replication_slot('narwal_postgres')"
        self.server.sql(create + ", false, true)")
        self.assert_mended("NW1214")
        self.server.sql("SELECT pg_create_physical_replication_slot('narwal_postgres')")
        self.assert_found("NW1213", "FAIL")
        self.server.sql(drop)
        self.server.sql("SELECT pg_create_logical_replication_slot('narwal_postgres', 'test_decoding')")
        self.assert_found("NW1213", "FAIL")
        self.server.sql(drop)
        self.server.sql("CREATE DATABASE other")
        self.server.sql(create + ")", database="other")
        self.assert_found("NW1213", "FAIL")
        self.server.sql(drop, database="other")
        self.server.sql(create + ")")
        result = self.check()
        self.assertEqual(result.code, 0, result)
        self.assertIn("slot narwal_postgres stands at ", result.out)
        self.assertNotIn("\nplan ", result.out)

    def test_the_plan_is_made_of_samples(self):
        self.server.sql("CREATE TABLE large (id int PRIMARY KEY, v text)")
        self.server.sql("INSERT INTO large SELECT g, repeat('x', 1000) FROM generate_series(1, 30000) g")
        self.assertRegex(self.check().out, r"(?m)^plan  copy about [\w.]+ .*; spool about ")
        self.assertRegex(self.check(user="reader").out, r"(?m)^plan  copy .* \(from sizes alone: nothing "
                                                        r"could be read\)$")

    def test_what_was_left_behind_is_found(self):
        create = "SELECT pg_create_logical_replication_slot(%s, 'pgoutput')"
        self.server.sql(create, ("narwal_gone",))
        self.server.sql(create, ("other_tool",))
        self.server.sql(create, ("narwal_here",))
        for name in ("narwal_here", "narwal_here_insert_only", "narwal_left", "other", "narwal_postgres"):
            self.server.sql(f"CREATE PUBLICATION {name}")
        self.server.sql("CREATE PUBLICATION narwal_tail_4711_1764060012103301")
        result = self.check()
        self.assertEqual(result.code, 0, result)
        self.assertEqual(re.findall(r"^WARN  NW1319  slot (\w+) of database postgres is read by nobody, and "
                                    r"holds [\d.]+ \w+ of WAL", result.out, re.M),
                         ["narwal_gone", "narwal_here"], result)
        self.assertEqual(re.findall(r"^WARN  NW1320  publication (\w+) ", result.out, re.M),
                         ["narwal_left", "narwal_tail_4711_1764060012103301"], result)
        self.assertIn("SELECT pg_drop_replication_slot('narwal_gone');", result.out)
        self.assertNotIn("narwal_gone", self.check("--sql").out)
        with self.server.connect() as tail:  # one that runs holds this lock
            tail.cursor().execute("SELECT pg_advisory_lock(hashtextextended("
                                  "'narwal_tail_4711_1764060012103301', 0))")
            self.assertNotIn("narwal_tail_4711", self.check().out)

    def test_a_role_that_is_not_the_connections(self):
        self.server.sql("CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id)")
        self.server.sql("CREATE TABLE leaf PARTITION OF parts FOR VALUES FROM (0) TO (9)")
        result = self.check("--role", "reader")
        self.assertEqual(result.findings.get("NW1220"), "FAIL", result)
        self.assertNotIn("NW1209", result.findings)
        self.assertNotIn("NW1302", result.findings)
        self.assertIn("role reader: REPLICATION, no superuser", result.out)
        self.server.sql("GRANT SELECT ON keyed, parts TO reader")
        result = self.check("--role", "reader")
        self.assertNotIn("NW1220", result.findings)
        self.assertRegex(result.out, r"NW1321  role reader may read 1 partition only through .*\n"
                                     r"      public.leaf\n")
        support.psql(self.server, self.mends("NW1321", user="reader"))
        self.assertNotIn("NW1321", self.check("--role", "reader").findings)
        self.assertEqual(self.check("--role", "weak").findings.get("NW1209"), "FAIL")
        result = self.check("--role", "nobody yet")
        self.assertEqual({code for code, level in result.findings.items() if level == "FAIL"},
                         {"NW1216", "NW1220", "NW1227", "NW1228"}, result)
        # A DBA who may not stand in for the role sees what anybody sees, and grants all of it.
        result = self.check("--role", "reader", "--sql", user="weak")
        self.assertIn('GRANT SELECT ON "public"."keyed", "public"."parts" TO "reader";', result.out)
        self.assertNotIn("NW1209", result.out)
        support.psql(self.server, result.out)
        self.server.sql("ALTER ROLE reader NOREPLICATION")
        result = self.check("--role", "reader", "--sql", user="weak")
        self.assertIn('ALTER ROLE "reader" REPLICATION;', result.out)
        self.assertIn("--all belongs to --sql", self.check("--all").err)

    def test_a_publication_that_is_not_there_is_named_beside_those_that_are(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "a.yaml")
            file.write_text(f"source: {{dsn: {self.server.dsn()!r}, publication: {{name: wrong, "
                            f"create: false}}}}\nstate_dir: {folder}/state\n"
                            f"sinks: [{{type: 'null'}}]\n")
            self.assertIn("there is no publication wrong (this database has none), and "
                          "publication.create is false", run("check", file).out)
            for letter in "abcdef":
                self.server.sql(f"CREATE PUBLICATION p_{letter}")
            self.assertIn("(this database has: p_a, p_b, p_c, p_d, p_e, ...)", run("check", file).out)
            result = run("run", file)
            self.assertEqual(result.code, 1)
            self.assertIn("there is no publication wrong (this database has: p_a, p_b, p_c, p_d, p_e, "
                          "...), and publication.create is false", result.err)
            self.assertFalse(pathlib.Path(folder, "state").exists(), "a failed start left its folder")

    def test_the_narwal_that_runs_is_known(self):
        lab = narwal.Narwal(self.server, name="own")
        lab.start()
        self.addCleanup(lab.kill)
        # While the slot is made it is in use too, and after the copy only a moment later; nobody reads it
        # for another moment when values come in binary from there on.
        lab.wait("the slot's reader", lambda: "values in binary" in lab.log_path.read_text() and
                 self.server.value("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"))
        code, out = lab.call("check")
        self.assertEqual(code, 0, out)
        self.assertNotIn("pg_terminate_backend", out)
        self.assertIn("slot narwal_own is in use by the narwal that runs with this configuration "
                      f"(state folder {lab.state_dir})", out)
        other = run("check", lab.file, "--state-dir", "/nonexistent/state")
        self.assertEqual(other.findings.get("NW1211"), "FAIL", other)
        self.assertIn("another narwal, connected from the server's own host", other.out)
        self.assertNotIn("pg_terminate_backend", other.out)
        for path in lab.state_dir.iterdir():
            if not path.is_dir():
                self.assertEqual(path.stat().st_mode & 0o077, 0, path)
        self.assertEqual(lab.state_dir.stat().st_mode & 0o777, 0o700)
        self.server.sql("CREATE TABLE keyless (v text)")
        lab.terminate()
        self.assertRegex(lab.log_path.read_text(), r"(drained to|stopped before) .*\. Slot narwal_own stays and holds WAL on "
                         rf".*; to remove it: narwal teardown {lab.file}\n")

    def test_transactions_that_a_new_slot_would_wait_for(self):
        with self.server.connect(autocommit=False) as connection:
            connection.cursor().execute("INSERT INTO keyed VALUES (1)")
            self.server.sql("SELECT pg_sleep(11)")
            result = self.assert_found("NW1313", "WARN")
            self.assertIn("SELECT pg_terminate_backend(", result.out)
        with self.server.connect() as connection:
            cursor = connection.cursor()
            for statement in ("BEGIN", "INSERT INTO keyed VALUES (2)", "PREPARE TRANSACTION 'it''s'"):
                cursor.execute(statement)
        result = self.assert_found("NW1314", "WARN")
        self.assertIn("COMMIT PREPARED 'it''s'; or ROLLBACK PREPARED 'it''s';", result.out)
        self.assertNotIn("ROLLBACK PREPARED", self.check("--sql").out)

    def test_no_table_no_plugin_and_no_folder(self):
        self.assert_found("NW1225", "FAIL", sink="nosuch:")
        self.assert_found("NW1322", "WARN", sink="file:/dev/null/copy")
        self.server.sql("DROP TABLE keyed")
        self.assert_found("NW1224", "FAIL")


class SettingsTest(CheckTest):
    OPTIONS = {"wal_level": "replica", "max_replication_slots": "1", "max_wal_senders": "1",
               "synchronous_standby_names": "FIRST 1 (other, \"Narwal\")",
               "synchronous_commit": "local"}

    def test_settings(self):
        self.server.sql("SELECT pg_create_physical_replication_slot('taken')")
        result = self.check()
        self.assertEqual(result.code, 1)
        for code in ("NW1206", "NW1207", "NW1208", "NW1222"):
            self.assertEqual(result.findings.get(code), "FAIL", result)
        self.assertEqual(result.findings.get("NW1310"), "WARN", result)
        # The laboratory's settings are arguments of the server, which win over ALTER SYSTEM.
        for code in ("NW1206", "NW1207", "NW1208"):
            sql = self.mends(code).strip()
            self.server.sql(sql)
            name, value = re.fullmatch(r"ALTER SYSTEM SET (\w+) = (\w+);", sql).groups()
            self.server.options[name] = value
        self.server.options["synchronous_standby_names"] = "other"
        self.server.restart()
        result = self.check()
        self.assertEqual(result.code, 0, result)


class UnreachableTest(check.Case):
    def test_a_server_that_is_not_there_is_a_finding(self):
        result = run("check", "--source", "host=127.0.0.1 port=1 dbname=x", "--sink", "null:")
        self.assertEqual(result.code, 1)
        self.assertEqual(result.findings, {"NW1201": "FAIL"}, result)


if __name__ == "__main__":
    check.main()
