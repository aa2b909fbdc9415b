#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What narwal holds back on the server: seen, said before a limit and past it, and acted upon."""
import json

from lab import check
from lab.narwal import Narwal

TRANSACTIONS = """DO $$ BEGIN FOR i IN 1..%d LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"""


class ProtectTest(check.Case):
    @classmethod
    def setUpClass(cls):
        cls.server = None

    def setUp(self):
        if type(self).server is None:
            try:
                type(self).server = check.cluster.Cluster(check.version(), options={
                    "autovacuum": "off", "autovacuum_freeze_max_age": "100000", "synchronous_commit": "off",
                    "min_wal_size": "32MB"})
                self.server.__enter__()
            except check.cluster.servers.Unavailable as error:
                self.skipTest(str(error))
            type(self).addClassCleanup(self.server.__exit__)
            self.server.sql("CREATE SCHEMA lab")
            self.server.sql("CREATE TABLE lab.marker (id bigint PRIMARY KEY)")
            self.server.sql("CREATE TABLE lab.keyed (id int PRIMARY KEY, v text)")
        self.server = type(self).server

    def narwal(self, **settings):
        narwal = self.enter(Narwal(self.server, settings=settings))
        self.addCleanup(lambda: self.server.sql("SELECT pg_drop_replication_slot(slot_name) FROM "
                                                "pg_replication_slots WHERE slot_name = %s", (narwal.slot,)))
        self.addCleanup(lambda: narwal.running and narwal.terminate())
        return narwal

    def primary(self, narwal):
        code, text = narwal.call("status", "--json")
        return json.loads(text).get("primary", {"alarms": []}) if code == 0 else {"alarms": []}

    def alarms(self, narwal):
        return {alarm["what"]: alarm["level"] for alarm in self.primary(narwal)["alarms"]}

    def keep(self, most):
        self.server.sql(f"ALTER SYSTEM SET max_slot_wal_keep_size = {most}")
        self.server.sql("SELECT pg_reload_conf()")

    def write_wal(self, megabytes):
        for _ in range(megabytes):
            self.server.sql("SELECT pg_logical_emit_message(false, 'x', repeat('m', 1000000))")

    def test_limits_are_told_before_they_are_reached_and_once(self):
        """A transaction that stays open keeps the slot where it is."""
        self.keep("'128MB'")
        self.addCleanup(self.keep, "DEFAULT")
        narwal = self.narwal(protect={"retained_wal": "64MiB"}).start()
        narwal.wait_streaming()
        ours = self.server.connect(autocommit=False)
        ours.cursor().execute("INSERT INTO lab.keyed VALUES (-1, 'open')")
        self.server.sql(TRANSACTIONS % 85000)
        used = self.server.value("SELECT (pg_current_wal_lsn() - restart_lsn) / 1000000 FROM pg_replication_slots "
                                 "WHERE slot_name = %s", (narwal.slot,))
        self.write_wal(60 - int(used))
        narwal.wait("the first alarms", lambda: self.alarms(narwal) == {"retained_wal": "near", "xmin": "near"})
        self.write_wal(60)
        while int(self.server.value("SELECT safe_wal_size FROM pg_replication_slots WHERE slot_name = %s",
                                    (narwal.slot,))) > 24 << 20:  # it counts whole segments
            self.write_wal(1)
        narwal.wait("the next", lambda: self.alarms(narwal) == {"retained_wal": "over", "xmin": "near",
                                                               "server_limit": "near"})
        primary = self.primary(narwal)
        self.assertIn(primary["wal_status"], ("reserved", "extended"))
        self.assertGreater(primary["wal_safe_bytes"], 0)
        self.assertLess(primary["wal_safe_bytes"], primary["wal_limit_bytes"] / 5)
        self.assertGreater(primary["catalog_xmin_transactions"], 80000)
        self.assertIsNone(primary["snapshot"])
        self.assertTrue(primary["others_seen"])
        text = narwal.call("status")[1]
        self.assertRegex(text, "holds .* of WAL on the server, which gives the slot up after .* more")
        self.assertRegex(text, "ALARM  NW2319 slot")
        self.assertRegex(narwal.call("top")[1], "NW2361 ")
        ours.rollback()
        self.server.sql("CHECKPOINT")
        self.server.sql("INSERT INTO lab.marker VALUES (-5)")
        narwal.wait("calm", lambda: not self.alarms(narwal))
        log = narwal.log()
        for code in ("NW2319", "NW2360", "NW2361", "NW2364"):
            self.assertEqual(log.count(f"warn  {code} "), 1, log)
        for calm in ("much less WAL again", "far again from what max_slot", "not held back for long"):
            self.assertEqual(log.count(calm), 1, log)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_copy_renews_its_old_snapshot(self):
        """Not while a table without a key is read, which would begin again: the larger one comes first."""
        self.server.sql("TRUNCATE lab.keyed")
        self.server.sql("CREATE TABLE lab.keyless (id int, v text)")
        self.server.sql("CREATE TABLE lab.busy (id serial PRIMARY KEY, v text)")
        self.server.sql("INSERT INTO lab.keyed SELECT g, repeat('k', 1000) FROM generate_series(1, 12000) g")
        self.server.sql("INSERT INTO lab.keyless SELECT g, repeat('l', 1000) FROM generate_series(1, 13000) g")
        older = self.server.connect(autocommit=False)
        older.set_session(isolation_level="REPEATABLE READ", readonly=True)
        older.cursor().execute("SELECT 1 FROM pg_class")
        self.server.sql(TRANSACTIONS % 3)
        narwal = self.narwal(copy={"rate": "1MiB", "workers": 2, "chunk": "1MiB"},
                             protect={"snapshot_age": "9s", "when_old": "renew", "spool": "64MiB"}).start()
        narwal.wait("the snapshot", lambda: self.primary(narwal).get("snapshot"))
        primary = self.primary(narwal)
        self.assertFalse(primary["snapshot"]["is_oldest"], primary)
        self.assertRegex(primary["oldest_other"], "^process [0-9]+ .*in a transaction for 00:00:")
        older.rollback()
        self.server.sql(TRANSACTIONS % 3)
        self.server.sql("INSERT INTO lab.busy (v) SELECT repeat('b', 1000) FROM generate_series(1, 55000) g")
        self.server.sql("UPDATE lab.keyed SET v = v || 'x' WHERE id % 100 = 0")
        narwal.wait("the alarms", lambda: "NW2362 " in narwal.log() and "NW2363 " in narwal.log())
        narwal.wait("the renewal", lambda: "NW2365 " in narwal.log())
        self.assertRegex(narwal.log(), "(?s)NW2363 .*It is kept until.*NW2365 ")
        self.server.sql("UPDATE lab.keyed SET v = v || 'y' WHERE id % 77 = 0")
        narwal.config["copy"].pop("rate")
        narwal.write()
        narwal.wait("the next attempt", lambda: "going on with the copy of lab.keyed" in narwal.log())
        self.assertEqual(narwal.call("reload")[0], 0)
        narwal.wait_streaming()
        narwal.wait_caught_up()
        result = narwal.compare([("lab", "keyed"), ("lab", "keyless"), ("lab", "busy")])
        self.assertTrue(result.good, result.report() + narwal.log_tail())
        narwal.wait("no snapshot", lambda: self.primary(narwal).get("snapshot", 0) is None)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_copy_beside_the_stream_keeps_its_snapshot(self):
        """It would begin again from its first row."""
        narwal = self.narwal(copy={"rate": "1MiB", "workers": 2, "chunk": "1MiB"},
                             protect={"snapshot_age": "4s", "when_old": "renew"}).start()
        narwal.wait("the stream", lambda: "streaming from" in narwal.log())
        self.server.sql("CREATE TABLE lab.later (id int PRIMARY KEY, v text)")
        self.addCleanup(lambda: self.server.sql("DROP TABLE lab.later"))
        self.server.sql("INSERT INTO lab.later SELECT g, repeat('l', 1000) FROM generate_series(1, 26000) g")
        narwal.wait("the alarm", lambda: "NW2363 " in narwal.log())
        narwal.wait("its copy", lambda: "lab.later" in narwal.call("table", "list", "--state", "streaming")[1])
        narwal.wait_caught_up()
        self.assertNotIn("NW2365 ", narwal.log(True))
        self.assertNotIn("It is kept until", narwal.log(True))
        result = narwal.compare([("lab", "later")])
        self.assertTrue(result.good, result.report() + narwal.log_tail())
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())


if __name__ == "__main__":
    check.main()
