#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a server, a disk or a machine may answer that is hard to bring about, and what narwal says of it."""
import os
import unittest

import psycopg2

from lab import answers, check, cluster
from lab.answers import Rule
from lab.narwal import Narwal, build

TABLES = """
CREATE SCHEMA lab;
CREATE TABLE lab.marker (id bigint PRIMARY KEY);
CREATE SCHEMA shop;
CREATE TABLE shop.orders (id integer PRIMARY KEY, note text);
INSERT INTO shop.orders SELECT g, 'order ' || g FROM generate_series(1, 20000) g;
ANALYZE shop.orders;
"""
CHUNK = "IN ACCESS SHARE MODE; SELECT pg_catalog.pg_current_snapshot()"
TERABYTE = 1 << 40


def changed(**places):
    """Rows with other values: changed(c1="x")."""
    def change(columns):
        return [str(places[f"c{i}"]).encode() if f"c{i}" in places else value
                for i, value in enumerate(columns)]
    return change


def gone(_):
    return None


class AnswersTest(check.Case):
    @classmethod
    def setUpClass(cls):
        cls.manager = cluster.Cluster(check.version())
        try:
            cls.server = cls.manager.__enter__()
        except cluster.servers.Unavailable as error:
            raise unittest.SkipTest(str(error))
        cls.addClassCleanup(cls.manager.__exit__, None, None, None)
        cls.server.sql(TABLES)

    def before(self, *rules, **options):
        """narwal with such a server, and the server."""
        proxy = self.enter(answers.Answers(self.server.port, *rules, **options))
        narwal = self.enter(Narwal(
            self.server, dsn=self.server.dsn(way="tcp", port=proxy.port, gssencmode="disable"),
            settings={"tables": {"include": ["shop.*", "lab.*"]}}))
        narwal.write()
        self.addCleanup(self.remove, narwal)
        return narwal, proxy

    def remove(self, narwal):
        if narwal.running:
            narwal.kill()
        with self.server.connect().cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active")
            for statement in (f"SELECT pg_drop_replication_slot('{narwal.slot}')",
                              f"DROP PUBLICATION {narwal.slot}"):
                for _ in range(50):  # the walsender takes a moment to go
                    try:
                        cursor.execute(statement)
                    except psycopg2.errors.ObjectInUse:
                        check.time.sleep(0.1)
                        continue
                    except psycopg2.errors.UndefinedObject:
                        pass
                    break

    def says(self, command, codes, *rules, status=None, **options):
        narwal, _ = self.before(*rules, **options)
        code, output = narwal.call(command)
        for one in codes:
            self.assertIn(one, output)
        if status is not None:
            self.assertEqual(code, status, output)
        return output

    # ---- check -----------------------------------------------------------------------------------

    def test_an_old_server(self):
        self.says("check", ["NW1204"], status=1, parameters={"server_version": "13.14"})
        narwal, _ = self.before(parameters={"server_version": "13.14"})
        self.assertNotEqual(narwal.run_to_end(), 0)
        self.assertIn("NW1204 the server is PostgreSQL 13", narwal.log())

    def test_a_connection_over_the_network(self):
        self.says("check", ["NW1301"], Rule("LEFT JOIN pg_stat_ssl", row=changed(c3="f", c4="10.1.2.3")))

    def test_no_walsender_is_to_be_had(self):
        self.says("check", ["NW1202", "all are taken"], status=1, no_walsender=("53300", "all are taken"))

    def test_a_server_that_does_not_say_who_it_is(self):
        for words in ("FROM pg_database d WHERE", "IDENTIFY_SYSTEM"):
            narwal, _ = self.before(Rule(words, row=gone))
            self.assertNotEqual(narwal.run_to_end(), 0)
            self.assertIn("NW1119", narwal.log())

    def test_a_slot_that_is_nearly_lost(self):
        narwal, proxy = self.before()
        narwal.start().wait_streaming()
        self.assertEqual(narwal.terminate(), 0)
        proxy.rules.append(Rule("wal_status, safe_wal_size", row=changed(c9="unreserved")))
        self.assertIn("NW1316", narwal.call("check")[1])

    def test_idle_slots_are_dropped(self):
        try:
            server = self.enter(cluster.Cluster(18, options={"idle_replication_slot_timeout": "1h"}))
        except cluster.servers.Unavailable as error:
            self.skipTest(str(error))
        server.sql(TABLES)
        narwal = self.enter(Narwal(server, settings={"tables": {"include": ["shop.*"]}}))
        narwal.write()
        self.assertIn("NW1312", narwal.call("check")[1])

    # ---- plan ------------------------------------------------------------------------------------

    def test_plans_that_go_ill(self):
        busy = iter(range(1, 1000))

        def later(columns):  # each look is far behind the one before
            return [f"{next(busy):X}/0".encode(), *columns[1:]]

        self.says("plan", ["NW1408", "NW1411", "NW1412"],
                  Rule("WITH keyed AS MATERIALIZED", row=changed(c12=10 * TERABYTE)),
                  Rule("SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()", row=later))

    def test_old_transactions(self):
        self.says("plan", ["NW1410"], Rule("SELECT age(datfrozenxid)", row=changed(c0=1500000000)))

    def test_dead_rows(self):
        self.says("plan", ["NW1406"],
                  Rule("n_dead_tup FROM pg_stat_user_tables", row=changed(c4=1000000, c5=5000000)))

    def test_slow_disks(self):
        self.says("plan", ["NW1403"], Rule("SET LOCAL row_security = off; COPY",
                                           error=("57014", "canceling statement due to statement timeout")))

    def test_a_check_that_breaks_off(self):
        self.says("plan", ["NW1401"], Rule("SELECT gid, extract(", error=("55P03", "lock not available")))

    # ---- run -------------------------------------------------------------------------------------

    def assert_whole(self, narwal, codes):
        """It said so, and came to have all the same."""
        narwal.wait_streaming()
        self.server.sql("UPDATE shop.orders SET note = note || '.' WHERE id = 7")
        narwal.wait_caught_up()
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        for code in codes:
            self.assertIn(code, narwal.log())
        result = narwal.compare([("shop", "orders")])
        self.assertTrue(result.good, result.report())

    def test_copies_that_fail(self):
        narwal, _ = self.before(Rule(CHUNK, row=changed(c0="1:2:"), times=1),
                                Rule(CHUNK, error=("58030", "could not read block 7"), times=1))
        self.assert_whole(narwal.start(), ["NW2203", "NW2209"])

    def test_chunks_that_are_too_small(self):
        narwal, _ = self.before(Rule("c.relrowsecurity, c.relpersistence", row=changed(c16=TERABYTE)))
        narwal.config["copy"] = {"chunk": "64KiB"}
        self.assertEqual(narwal.run_to_end(), 1, narwal.log())
        self.assertIn("NW2208", narwal.log())

    def test_ddl_whenever_a_slot_is_made(self):
        narwal, _ = self.before(Rule("AND age(i.xmin) BETWEEN", add=[[b"table shop.other"]]))
        self.assert_whole(narwal.start(), ["NW2322"])

    def test_a_slot_that_stays_behind(self):
        narwal, proxy = self.before(Rule("AND age(i.xmin) BETWEEN", error=("57P01", "the end"), times=1),
                                    Rule("DROP_REPLICATION_SLOT", error=("57P01", "the end"), times=1))
        narwal.start()
        narwal.wait("the slot to stay behind", lambda: "NW2323" in narwal.log())
        narwal.kill()
        proxy.rules.clear()
        self.assertEqual(self.server.value("SELECT count(*) FROM pg_replication_slots WHERE slot_name = "
                                           f"'{narwal.slot}'"), 1)

    def test_a_promotion_between_two_connections(self):
        narwal, proxy = self.before()
        narwal.start().wait_streaming()
        proxy.rules.append(Rule("IDENTIFY_SYSTEM", row=changed(c1=2), times=1))
        for link in proxy.links:
            link.cut()
        self.assert_whole(narwal, ["NW2311"])

    def test_malformed_messages(self):
        def malform(body):
            if body[:1] != b"w" or body[25:26] != b"U":
                return body
            return body[:25] + b"Z" + body[26:]

        narwal, proxy = self.before(Rule("START_REPLICATION", copy=malform))
        narwal.start().wait_streaming()
        self.server.sql("UPDATE shop.orders SET note = note || '!' WHERE id = 8")
        self.assertNotEqual(narwal.wait_exit(), 0)
        self.assertIn("NW2902", narwal.log())
        proxy.rules.clear()
        self.assert_whole(narwal.start(), [])

    def test_a_message_that_is_too_large(self):
        narwal, _ = self.before()
        narwal.config["limits"] = {"memory": "64MiB"}
        narwal.start().wait_streaming()
        self.server.sql("SELECT pg_logical_emit_message(true, 'lab', repeat('x', 100000000))")
        self.assertNotEqual(narwal.wait_exit(), 0)
        self.assertIn("NW2517", narwal.log())
        narwal.config["limits"] = {"memory": "1GiB"}
        self.assert_whole(narwal.start(), [])

    # ---- others ----------------------------------------------------------------------------------

    def test_a_publication_that_cannot_be_dropped(self):
        narwal, proxy = self.before()
        narwal.start().wait_streaming()
        self.assertEqual(narwal.terminate(), 0)
        proxy.rules.append(Rule("DROP PUBLICATION", error=("55P03", "lock not available")))
        code, output = narwal.call("teardown", "--yes")
        self.assertEqual(code, 1, output)
        self.assertIn("NW1520", output)

    def test_two_tails_of_one_name(self):
        narwal, _ = self.before(Rule("pg_try_advisory_lock(", row=changed(c1="f")))
        output = check.subprocess.run(narwal.command("tail", narwal.config["source"]["dsn"]), text=True,
                                      capture_output=True, timeout=60, check=False)
        self.assertNotEqual(output.returncode, 0)
        self.assertIn("NW1512", output.stderr)

    # ---- the machine -----------------------------------------------------------------------------

    def failing(self, folder, calls):
        return {"LD_PRELOAD": build() / "tests" / "integration" / "failing_calls.so",
                "FAILING_FOLDER": folder, "FAILING_CALLS": calls}

    def test_a_folder_that_cannot_be_synced(self):
        narwal, _ = self.before()
        narwal.start(**self.failing(narwal.out, "fsync"))
        narwal.wait("what it says of the disk", lambda: "NW2502" in narwal.log() or not narwal.running)
        self.assertIn("NW2502", narwal.log())
        narwal.kill()
        self.assert_whole(narwal.start(), [])

    def test_a_file_that_cannot_be_removed(self):
        narwal, _ = self.before()
        narwal.start(**self.failing(narwal.out, "unlink")).wait_streaming()
        code, output = narwal.call("table", "refresh", "shop.orders")
        self.assertEqual(code, 0, output)
        narwal.wait("the former copy to stay", lambda: "NW2608" in narwal.log())
        self.assert_whole(narwal, [])

    def test_no_room_for_trials(self):
        narwal, _ = self.before()
        result = check.subprocess.run(narwal.command("plan", narwal.file), text=True, capture_output=True,
                                      timeout=60, env={**os.environ, "TMPDIR": "/proc/self"}, check=False)
        self.assertIn("NW1508", result.stdout + result.stderr)

    def test_a_machine_that_is_not_known(self):
        result = check.subprocess.run(
            [str(build() / "narwal"), "topology"], text=True, capture_output=True, timeout=60, check=False,
            env={**os.environ, "HWLOC_COMPONENTS": "-linux,-x86,-no_os,stop"})
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("NW2009", result.stderr)


if __name__ == "__main__":
    check.main()
