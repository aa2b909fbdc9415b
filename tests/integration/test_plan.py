#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`narwal plan`: its estimates beside an actual copy, what it warns of, and that it changes nothing."""
import json
import os
import signal
import subprocess
import threading
import time

from lab import check
from lab.narwal import Narwal

ROWS = 200000
# A machine under test is busy with other things, and a sample takes milliseconds.
TIME_FACTOR = 10
SECONDS_MAX = 25

TABLES = f"""
CREATE SCHEMA shop;
CREATE TABLE shop.orders (id bigint PRIMARY KEY, customer integer, total numeric(12,2), note text,
    token uuid, at timestamptz, paid boolean);
INSERT INTO shop.orders SELECT g, g % 1000, g / 100.0, 'order ' || g || repeat(' x', g % 20),
    gen_random_uuid(), '2024-01-01'::timestamptz + g * interval '1 s', g % 2 = 0
    FROM generate_series(1, {ROWS}) g;
CREATE TABLE shop.clicks (at integer NOT NULL, page text) PARTITION BY RANGE (at);
CREATE TABLE shop.clicks_1 PARTITION OF shop.clicks FOR VALUES FROM (0) TO (100000);
CREATE TABLE shop.clicks_2 PARTITION OF shop.clicks FOR VALUES FROM (100000) TO (200000);
INSERT INTO shop.clicks SELECT g, md5(g::text) FROM generate_series(1, 99999) g;
INSERT INTO shop.clicks SELECT g, md5(g::text) FROM generate_series(100000, 120000) g;
CREATE TABLE shop."Odd name" (id integer PRIMARY KEY, "a b" text, c int4range, d public.mood);
INSERT INTO shop."Odd name" SELECT g, 'x', int4range(g, g + 3), 'sad'
    FROM generate_series(1, 500) g;
CREATE TABLE shop.empty (id integer PRIMARY KEY);
CREATE TABLE shop.nothing ();
INSERT INTO shop.nothing DEFAULT VALUES;
CREATE UNLOGGED TABLE shop.cache (id integer PRIMARY KEY);
"""


class PlanTest(check.Case):
    def prepare(self, **options):
        self.server = self.cluster(options=options)
        self.server.sql("CREATE SCHEMA lab; CREATE TABLE lab.marker (id bigint PRIMARY KEY)")
        self.server.sql("CREATE TYPE public.mood AS ENUM ('sad', 'happy')")
        self.server.sql(TABLES)
        self.server.sql("ANALYZE")

    def narwal(self, **options):
        return self.enter(Narwal(self.server, **options))

    def plan(self, narwal, *words, code=None, **environment):
        """The forecast of `narwal plan --json`."""
        narwal.file.write_text(json.dumps(narwal.config))
        result = subprocess.run(narwal.command("plan", narwal.file, "--json", *words), text=True,
                                stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                                env={**os.environ, **environment}, check=False)
        self.assertEqual(result.stderr, "")
        plan = json.loads(result.stdout)
        fails = [risk for risk in plan["risks"] if risk["level"] == "fail"]
        self.assertEqual(result.returncode, 1 if fails else 0, result.stdout)
        if code is not None:
            self.assertEqual(result.returncode, code, fails)
        return plan

    @staticmethod
    def table(plan, name):
        return next(table for table in plan["tables"] if table["name"] == name)

    def risk(self, plan, code):
        found = [risk for risk in plan["risks"] if risk["code"] == code]
        self.assertTrue(found, f"{code} is not in {[risk['code'] for risk in plan['risks']]}")
        return found[0]

    def assert_near(self, value, real, factor, what):
        self.assertLessEqual(value, real * factor, what)
        self.assertGreaterEqual(value, real / factor, what)

    # ---- the figures -----------------------------------------------------------------------------

    def assert_like_the_copy(self, compress):
        narwal = self.narwal(sink={"compress": compress}, settings={
            "source": {"snapshot": "only"}, "copy": {"workers": 2},
            "tables": {"include": ["shop.*"]}})
        plan = self.plan(narwal, code=0)
        started = time.monotonic()
        self.assertEqual(narwal.run_to_end(), 0)
        seconds = time.monotonic() - started
        written = sum(file.stat().st_size for file in narwal.out.glob("shop.*/*.copy.*"))
        self.assert_near(plan["sinks"][0]["bytes"], written, 1.5, "bytes of the sink")
        self.assertLessEqual(plan["copy"]["seconds"], seconds * TIME_FACTOR)
        self.assertGreater(plan["copy"]["seconds"], 0)
        print(f"{compress}: {plan['copy']['seconds']:.2f} of {seconds:.2f} s, "
              f"{plan['sinks'][0]['bytes'] / written:.2f} of the bytes", end=" ... ", flush=True)
        return plan

    def test_estimates_are_like_the_copy(self):
        self.prepare()
        for compress in ("none", "zstd"):
            plan = self.assert_like_the_copy(compress)
        self.assert_near(self.table(plan, "orders")["rows"], ROWS, 1.1, "rows of orders")
        self.assert_near(self.table(plan, "clicks")["rows"], 120000, 1.1, "rows of a partitioned table")
        self.assertEqual(self.table(plan, 'Odd name')["rows"], 500)
        self.assertEqual(self.table(plan, "empty")["rows"], 0)
        self.assertEqual(self.table(plan, "nothing")["rows"], 1)
        self.assertNotIn("cache", [table["name"] for table in plan["tables"]])
        bytes_sent = self.server.value("SELECT sum(pg_column_size(id) + 4) FROM shop.orders")
        self.assertGreater(self.table(plan, "orders")["copy_bytes"], float(bytes_sent))
        sizes = [table["bytes"] for table in plan["tables"]]
        self.assertEqual(sizes, sorted(sizes, reverse=True))
        self.assertTrue(all(table["sample"]["trouble"] is None for table in plan["tables"]))
        self.assertTrue(1 <= plan["copy"]["workers_suggested"] <= 16)

    def test_wal_of_now_becomes_spool(self):
        self.prepare(max_slot_wal_keep_size="1MB")
        stop = threading.Event()

        def write():
            connection = self.server.connect()
            while not stop.is_set():
                connection.cursor().execute("UPDATE shop.orders SET customer = customer + 1 "
                                            "WHERE id % 100 = 1")

        writer = threading.Thread(target=write)
        writer.start()
        try:
            time.sleep(1)
            plan = self.plan(self.narwal())
            held = self.plan(self.narwal(settings={"protect": {"ack": "sink"}}))
        finally:
            stop.set()
            writer.join()
        self.assertTrue(plan["spool"]["used"])
        self.assertNotIn("NW1407", [risk["code"] for risk in plan["risks"]])
        self.assertFalse(held["spool"]["used"])
        self.assertIn("max_slot_wal_keep_size", self.risk(held, "NW1407")["text"])
        self.assertGreater(plan["wal"]["bytes_per_second_now"], 100000)
        self.assert_near(plan["spool"]["bytes"],
                         max(plan["wal"]["bytes_per_second_now"],
                             plan["wal"]["bytes_per_second_average"]) * plan["copy"]["seconds"],
                         1.01, "spool")
        self.assertIn("shop.orders", self.risk(plan, "NW1405")["text"])

    # ---- nothing is changed ----------------------------------------------------------------------

    def state_of_server(self):
        return self.server.sql("""SELECT pg_snapshot_xmax(pg_current_snapshot())::text,
            (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_replication_slots),
            (SELECT count(*) FROM pg_publication), (SELECT count(*) FROM pg_db_role_setting),
            (SELECT count(*) FROM pg_stat_activity WHERE application_name ~ 'narwal'),
            (SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
              WHERE d.datname = current_database() AND l.pid <> pg_backend_pid())""")

    def test_nothing_is_changed(self):
        self.prepare(autovacuum="off")
        narwal = self.narwal()
        temporary = narwal.home / "tmp"
        temporary.mkdir()
        before = self.state_of_server()
        self.plan(narwal, code=0, TMPDIR=str(temporary))
        self.assertEqual(self.state_of_server(), before)
        self.assertEqual(list(temporary.iterdir()), [])
        self.assertFalse(narwal.out.exists())
        self.assertFalse(narwal.state_dir.exists())

    # ---- it does not wait ------------------------------------------------------------------------

    def test_more_workers_than_the_sink_has(self):
        """A run warns of them and takes what there are, so check finds nothing wrong."""
        self.prepare()
        narwal = self.narwal(sink={"workers": 16})
        narwal.write()
        code, text = narwal.call("check", seconds=20)
        self.assertEqual(code, 0, text)
        self.assertNotIn("NW1225", text)

    def test_a_locked_table_is_not_waited_for(self):
        self.prepare()
        holder = self.server.connect(autocommit=False)
        holder.cursor().execute("LOCK TABLE shop.orders IN ACCESS EXCLUSIVE MODE")
        narwal = self.narwal()
        started = time.monotonic()
        plan = self.plan(narwal)
        self.assertLess(time.monotonic() - started, 10)
        code, text = narwal.call("check", seconds=20)
        self.assertEqual(code, 0, text)
        holder.rollback()
        self.assertEqual(self.risk(plan, "NW1402")["tables"], ["shop.orders"])
        orders = self.table(plan, "orders")
        self.assertEqual(orders["sample"]["rows"], 0)
        self.assertIn("locked", orders["sample"]["trouble"])
        self.assert_near(orders["rows"], ROWS, 1.2, "rows, from statistics")
        self.assertGreater(self.table(plan, "clicks")["sample"]["rows"], 0)

    def test_an_application_does_not_wait(self):
        """Each range is a transaction of its own: ALTER TABLE gets in between."""
        self.prepare()
        narwal = self.narwal()
        done = threading.Event()
        waits = []

        def alter():
            connection = self.server.connect()
            while not done.is_set():
                started = time.monotonic()
                connection.cursor().execute("ALTER TABLE shop.orders SET (fillfactor = 90)")
                waits.append(time.monotonic() - started)
                time.sleep(0.01)

        other = threading.Thread(target=alter)
        other.start()
        try:
            self.plan(narwal)
        finally:
            done.set()
            other.join()
        self.assertLess(max(waits), 2)

    def test_large_values_and_many_tables_are_bounded(self):
        self.prepare()
        self.server.sql("CREATE TABLE shop.wide (id integer PRIMARY KEY, content text)")
        self.server.sql("ALTER TABLE shop.wide ALTER content SET STORAGE EXTERNAL")
        self.server.sql("INSERT INTO shop.wide SELECT g, repeat(md5(g::text), 62500) "
                        "FROM generate_series(1, 150) g")
        connection = self.server.connect()
        for number in range(300):
            connection.cursor().execute(f"CREATE TABLE shop.t{number} AS SELECT g AS id FROM "
                                        "generate_series(1, 1000) g")
        self.server.sql("ANALYZE")
        started = time.monotonic()
        plan = self.plan(self.narwal(), "--time", "10s")
        self.assertLess(time.monotonic() - started, SECONDS_MAX)
        wide = self.table(plan, "wide")
        self.assertLess(wide["sample"]["bytes"], 30e6)
        self.assert_near(wide["copy_bytes"], 150 * 2e6, 1.5, "bytes of large values")
        self.assertEqual(self.risk(plan, "NW1404")["tables"], ["shop.wide"])
        read = [table for table in plan["tables"] if table["sample"]["trouble"] is None]
        self.assertGreaterEqual(len(read), 60)
        self.assert_near(sum(table["rows"] for table in plan["tables"]),
                         ROWS + 120000 + 300 * 1000, 1.2, "rows of all, most of them reckoned")

    def test_time_is_kept(self):
        self.prepare()
        started = time.monotonic()
        self.plan(self.narwal(), "--time", "100ms")
        self.assertLess(time.monotonic() - started, 8)

    # ---- what it warns of ------------------------------------------------------------------------

    def test_risks(self):
        self.prepare(max_slot_wal_keep_size="1MB")
        self.server.sql("CREATE TABLE shop.keyless (id integer)")
        holder = self.server.connect(autocommit=False)
        holder.cursor().execute("INSERT INTO shop.keyless VALUES (1)")
        time.sleep(11)
        plan = self.plan(self.narwal())
        holder.rollback()
        self.assertIn("shop.keyless", self.risk(plan, "NW1308")["tables"])
        self.assertEqual(self.risk(plan, "NW1309")["tables"], ["shop.cache"])
        self.assertIn("pg_terminate_backend", self.risk(plan, "NW1313")["otherwise"])
        self.assertIn("max_slot_wal_keep_size", self.risk(plan, "NW1311")["text"])

    def test_what_may_not_be_read_is_named(self):
        self.prepare()
        self.server.sql("CREATE ROLE planner LOGIN REPLICATION")
        self.server.sql("GRANT USAGE ON SCHEMA shop, lab TO planner; GRANT SELECT ON shop.clicks, "
                        "shop.empty, lab.marker TO planner")
        plan = self.plan(self.narwal(dsn=self.server.dsn(user="planner")), code=1)
        self.assertIn("shop.orders", self.risk(plan, "NW1220")["tables"])
        self.assertIn("may not read", self.table(plan, "orders")["sample"]["trouble"])
        self.assertIn("partitions", self.table(plan, "clicks")["sample"]["trouble"])

    def test_a_target_without_room_is_a_failure(self):
        self.prepare()
        disk = self.server.folder / "small"
        disk.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk],
                                 check=False, capture_output=True, text=True)
        if mounted.returncode != 0:
            self.skipTest(f"a small disk cannot be mounted: {mounted.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", disk], check=True)
        narwal = self.narwal()
        narwal.config["sinks"][0]["path"] = str(disk / "out")
        plan = self.plan(narwal, code=1)
        self.assertIn(str(disk), self.risk(plan, "NW1409")["text"])
        self.assertEqual(list(disk.iterdir()), [])

    def test_transforms_are_applied(self):
        """Columns that no sink sees are not read, rows that are dropped are not written."""
        self.prepare()
        rules = {"none": {},
                 "columns": {"exclude_columns": ["note", "token"]},
                 "rows": {"where": f"id <= {ROWS // 2}"}}
        sent, written = {}, {}
        for what, rule in rules.items():
            narwal = self.narwal(settings={
                "tables": {"include": ["shop.orders"]},
                "transforms": [{"tables": "shop.*", **rule}] if rule else []})
            plan = self.plan(narwal, code=0)
            self.assertIsNone(self.table(plan, "orders")["sample"]["trouble"])
            sent[what] = self.table(plan, "orders")["copy_bytes"]
            written[what] = plan["sinks"][0]["bytes"]
        self.assertLess(sent["columns"], sent["none"] * 0.75)
        self.assertLess(written["columns"], written["none"] * 0.75)
        self.assert_near(sent["rows"], sent["none"], 1.1, "all rows are read")
        self.assertTrue(0.35 < written["rows"] / written["none"] < 0.65, written)

    def test_an_interrupted_plan_leaves_nothing_behind(self):
        self.prepare()
        folder = self.server.folder / "temporary"
        folder.mkdir(mode=0o755)
        narwal = self.narwal()
        narwal.write()
        with subprocess.Popen(narwal.command("plan", narwal.file), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              env={**os.environ, "TMPDIR": str(folder)}) as process:
            deadline = time.monotonic() + 30
            while not list(folder.glob("narwal-plan-*/*")) and time.monotonic() < deadline:
                time.sleep(0.01)
            self.assertTrue(list(folder.iterdir()))
            process.send_signal(signal.SIGINT)
            text, _ = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 1, text)
        self.assertRegex(text, "NW2005 .*interrupted")
        self.assertEqual(list(folder.iterdir()), [])

    # ---- the command -----------------------------------------------------------------------------

    def test_text_and_exit_codes(self):
        self.prepare()
        narwal = self.narwal()
        narwal.file.write_text(json.dumps(narwal.config))
        code, text = narwal.call("plan")
        self.assertEqual(code, 0, text)
        for words in ("shop.orders", "copy    about", "spool   about", "sink    file: about",
                      "0 to mend", "nothing was changed"):
            self.assertIn(words, text)
        result = subprocess.run(narwal.command("plan", narwal.file, "--time", "5"), check=False,
                                capture_output=True, text=True)
        self.assertEqual(result.returncode, 2, result.stderr)
        narwal.config["source"]["dsn"] = "host=127.0.0.1 port=1 dbname=x"
        self.risk(self.plan(narwal, code=1), "NW1201")


if __name__ == "__main__":
    check.main()
