#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Hazards that docs/hazards.md lists and no other test covers."""
import json
import subprocess
import time

import psycopg2

from lab import check, workload
from lab.narwal import Narwal
from lab.standby import Standby


class HazardsTest(check.Case):
    def setUp(self):
        self.server = self.cluster()
        workload.create_tables(self.server.connect())
        self.server.sql("INSERT INTO lab.plain SELECT g, g, 'x' FROM generate_series(1, 100) g")

    def changes(self, narwal, table):
        """The lines of a table's changes, in order."""
        lines = []
        for path in sorted(narwal.out.glob(f"lab.{table}.*/*.changes.jsonl")):
            lines += [json.loads(line) for line in path.read_text().splitlines()]
        return lines

    def test_the_least_rights_that_the_docs_name_suffice(self):
        """docs/operations.md: LOGIN REPLICATION, USAGE, SELECT, and publications of the DBA."""
        self.server.sql("CREATE ROLE least LOGIN REPLICATION")
        self.server.sql("GRANT USAGE ON SCHEMA lab TO least")
        self.server.sql("GRANT SELECT ON ALL TABLES IN SCHEMA lab TO least")
        narwal = self.enter(Narwal(self.server, dsn=self.server.dsn(user="least")))
        narwal.config["tables"] = {"include": ["lab.*"]}
        narwal.file.write_text(json.dumps(narwal.config))
        printed = subprocess.run(narwal.command("check", narwal.file, "--sql"), check=False,
                                 capture_output=True, text=True).stdout
        self.assertIn(f'CREATE PUBLICATION "{narwal.slot}"', printed)
        for statement in printed.splitlines():
            if statement.startswith(("CREATE PUBLICATION", "ALTER TABLE", "GRANT")):
                self.server.sql(statement.rstrip(";"))
        narwal.start().wait_streaming()
        self.server.sql("UPDATE lab.plain SET n = n + 1")
        narwal.wait_caught_up()
        result = narwal.compare([("lab", "plain")])
        self.assertTrue(result.good, result.report())
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_key_dropped_later_is_found_and_mended(self):
        narwal = self.enter(Narwal(self.server)).start().wait_streaming()
        narwal.wait_caught_up()
        key = self.server.value("SELECT conname FROM pg_constraint WHERE contype = 'p' AND "
                                "conrelid = 'lab.plain'::regclass")
        self.server.sql(f"ALTER TABLE lab.plain DROP CONSTRAINT {key}")
        with self.assertRaises(psycopg2.Error):
            self.server.sql("UPDATE lab.plain SET n = 0")
        found = subprocess.run(narwal.command("check", narwal.file), check=False,
                               capture_output=True, text=True)
        self.assertEqual(found.returncode, 1, found.stdout)
        self.assertIn("NW1219", found.stdout)
        mend = 'ALTER TABLE "lab"."plain" REPLICA IDENTITY FULL'
        self.assertIn(mend, found.stdout)
        self.server.sql(mend)
        self.server.sql("UPDATE lab.plain SET n = -7")
        narwal.wait_caught_up()
        updated = {line["after"]["id"] for line in self.changes(narwal, "plain")
                   if line["op"] == "U" and line["after"]["n"] == -7}
        self.assertEqual(updated, set(range(1, 101)))

    def test_an_origin_ends_with_its_transaction(self):
        narwal = self.enter(Narwal(self.server)).start().wait_streaming()
        self.server.sql("SELECT pg_replication_origin_create('elsewhere')")
        session = self.server.connect()
        cursor = session.cursor()
        cursor.execute("SELECT pg_replication_origin_session_setup('elsewhere')")
        cursor.execute("UPDATE lab.plain SET n = -1 WHERE id = 1")
        cursor.execute("SELECT pg_replication_origin_session_reset()")
        cursor.execute("UPDATE lab.plain SET n = -2 WHERE id = 2")
        session.close()
        narwal.wait_caught_up()
        origins = [(line["after"]["n"], line.get("origin")) for line in self.changes(narwal, "plain")]
        self.assertEqual(origins, [(-1, "elsewhere"), (-2, None)])

    def test_an_open_transaction_holds_the_slot_and_not_what_is_committed(self):
        """restart_lsn cannot pass it; commits beside it become durable all the same."""
        narwal = self.enter(Narwal(self.server)).start().wait_streaming()
        open_session = self.server.connect(autocommit=False)
        open_session.cursor().execute("INSERT INTO lab.plain VALUES (5000, 1, 'open')")
        began = self.server.lsn()
        self.server.sql("UPDATE lab.plain SET n = n + 1")
        narwal.wait_caught_up()
        narwal.wait("the commit beside it is acknowledged", lambda: narwal.confirmed_lsn() > began)
        self.assertLess(self.server.value("SELECT restart_lsn - '0/0'::pg_lsn FROM "
                                          "pg_replication_slots WHERE slot_name = %s",
                                          (narwal.slot,)), began)
        narwal.kill()
        open_session.commit()
        narwal.start().wait_caught_up()
        result = narwal.compare([("lab", "plain")])
        self.assertTrue(result.good, result.report())


class FailoverTest(check.Case):
    def test_a_slot_that_the_standby_kept_in_step_survives_a_failover(self):
        """docs/operations.md: from PostgreSQL 17 on, narwal goes on at the promoted standby."""
        primary = self.cluster(version=17)
        workload.create_tables(primary.connect())
        primary.sql("INSERT INTO lab.plain SELECT g, g, 'x' FROM generate_series(1, 100) g")
        narwal = self.enter(Narwal(primary))
        primary.sql("SELECT pg_create_logical_replication_slot(%s, 'pgoutput', false, false, true)",
                    (narwal.slot,))
        standby = self.enter(Standby(primary, {"sync_replication_slots": "on"}))
        ports = f"{primary.port},{standby.port}"
        narwal.config["source"]["dsn"] = f"host=127.0.0.1,127.0.0.1 port={ports} user=postgres " \
            "dbname=postgres sslmode=disable target_session_attrs=read-write"
        narwal.start().wait_streaming()
        primary.sql("UPDATE lab.plain SET n = n + 1")
        narwal.wait_caught_up()

        def in_step():
            # The slot on the primary has to move past where the standby's copy of it began.
            primary.sql("SELECT pg_log_standby_snapshot()")
            primary.sql("UPDATE lab.plain SET n = n + 1 WHERE id = 1")
            narwal.wait_caught_up()
            time.sleep(0.5)
            return standby.value("SELECT count(*) FROM pg_replication_slots WHERE synced AND "
                                 "NOT temporary") == 1
        narwal.wait("the standby has the slot", in_step)
        process = narwal.process.pid
        primary.stop("fast")
        standby.sql("SELECT pg_promote()")
        narwal.cluster = standby
        standby.sql("UPDATE lab.plain SET n = n + 1000 WHERE id < 50")
        standby.sql("DELETE FROM lab.plain WHERE id > 90")
        narwal.wait_caught_up()
        self.assertEqual(narwal.process.pid, process)
        result = narwal.compare([("lab", "plain")])
        self.assertTrue(result.good, result.report())
        # And in a new process, which checks the slot from the beginning.
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        standby.sql("UPDATE lab.plain SET n = 0 WHERE id < 5")
        narwal.start().wait_caught_up()
        result = narwal.compare([("lab", "plain")])
        self.assertTrue(result.good, result.report())


if __name__ == "__main__":
    check.main()
