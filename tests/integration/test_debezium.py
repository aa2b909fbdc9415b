#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The real Debezium and narwal read the same workload into the same broker, and `narwal diff-topics` compares them.

Debezium reads keys, nullability and defaults from the catalog as it is when it meets a table's new columns, so both are waited for before
and behind each statement that changes a table.
"""
import json
import subprocess
import time
import unittest

from lab import check, cluster, debezium, kafka, workload
from lab.narwal import Narwal, build

SETUP = """
CREATE SCHEMA shop;
CREATE TABLE shop.marker (id bigint PRIMARY KEY);
CREATE TABLE shop.by_default (id integer PRIMARY KEY, t text, needed text NOT NULL, n integer NOT NULL DEFAULT 5,
    at timestamptz NOT NULL DEFAULT now(), b boolean NOT NULL, d numeric(10, 2) NOT NULL DEFAULT 1.5);
CREATE TABLE shop.composite (region text, id bigint, v double precision, u uuid, PRIMARY KEY (region, id));
CREATE TABLE shop.in_full (id integer PRIMARY KEY, t text, n numeric);
ALTER TABLE shop.in_full REPLICA IDENTITY FULL;
CREATE TABLE shop.by_index (id integer NOT NULL, code text NOT NULL, v text);
CREATE UNIQUE INDEX by_index_code ON shop.by_index (code);
ALTER TABLE shop.by_index REPLICA IDENTITY USING INDEX by_index_code;
CREATE TABLE shop.keyless (v text, w integer);
ALTER TABLE shop.keyless REPLICA IDENTITY FULL;
CREATE TABLE shop.inserted (id integer, t text);
ALTER TABLE shop.inserted REPLICA IDENTITY NOTHING;
CREATE TABLE shop.key_types (a numeric(10,2), b timestamptz, c text, d date, PRIMARY KEY (c, a, b, d));
CREATE TABLE shop.large (id integer PRIMARY KEY, n integer, t text, b bytea, ta text[], ia int4[], j jsonb);
CREATE TABLE shop.large_full (id integer PRIMARY KEY, n integer, t text);
ALTER TABLE shop.large_full REPLICA IDENTITY FULL;
ALTER TABLE shop.large ALTER t SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL, ALTER ta SET STORAGE EXTERNAL,
    ALTER ia SET STORAGE EXTERNAL, ALTER j SET STORAGE EXTERNAL;
ALTER TABLE shop.large_full ALTER t SET STORAGE EXTERNAL;
CREATE TABLE shop."Odd name/ü" ("1 a-b" integer PRIMARY KEY, "ü.x" text);
CREATE TABLE shop.changing (id integer PRIMARY KEY, a text, b integer);
CREATE TABLE shop.times (id integer PRIMARY KEY, d date, t time, t3 time(3), tz timetz, ts timestamp, ts3 timestamp(3),
    tstz timestamptz, i interval);
CREATE TABLE shop.others (id integer PRIMARY KEY, j json, jb jsonb, x xml, i inet, c cidr, m macaddr, e shop_mood,
    bt bit, bits bit(12), vb varbit, r int4range, tr tstzrange, mo money, f real, ch char(5), by bytea, p point,
    na numeric(6,3)[], ta text[], tsa timestamptz[], ba boolean[], da date[]);
INSERT INTO shop.by_default (id, t, needed, b) SELECT g, NULLIF(g % 3, 0)::text, 'n' || g, g % 2 = 0 FROM generate_series(1, 9) g;
INSERT INTO shop.composite SELECT 'r' || g % 2, g, g / 3.0, md5(g::text)::uuid FROM generate_series(1, 6) g;
INSERT INTO shop.in_full VALUES (1, 'copied', 1.50), (2, NULL, -12345678901234567890.5);
INSERT INTO shop.times VALUES (1, '2024-02-29', '12:34:56.789', '12:34:56.789', '12:34:56+02', '2024-06-01 12:34:56.123456',
    '2024-06-01 12:34:56.123', '2024-06-01 12:34:56.5+02', '1 year 2 mons 3 days 04:05:06.789');
INSERT INTO shop.keyless VALUES ('copied', 1);
INSERT INTO shop.changing VALUES (1, 'copied', 1);
"""
CHANGES = [
    "INSERT INTO shop.by_default (id, needed, b) SELECT g, 'x', true FROM generate_series(20, 29) g",
    "UPDATE shop.by_default SET t = 'y' WHERE id % 2 = 0",
    "UPDATE shop.by_default SET id = id + 100 WHERE id IN (21, 22)",
    "DELETE FROM shop.by_default WHERE id IN (1, 121, 25)",
    "INSERT INTO shop.composite VALUES ('z', 1, 'NaN', NULL), ('z', 2, '-Infinity', NULL), ('z', 3, -0.0, NULL), ('z', 4, 1e-320, NULL)",
    "UPDATE shop.composite SET region = 'moved', v = 1e21 WHERE region = 'z' AND id = 1",
    "DELETE FROM shop.composite WHERE region = 'r0'",
    "INSERT INTO shop.in_full VALUES (3, '', 0), (4, 'ü😀\"\\\n', 1e30), (5, NULL, NULL)",
    "UPDATE shop.in_full SET t = t || '!', n = n * 2",
    "UPDATE shop.in_full SET id = 40 WHERE id = 4",
    "DELETE FROM shop.in_full WHERE id IN (1, 40)",
    "INSERT INTO shop.by_index VALUES (1, 'a', 'x'), (2, 'b', NULL)",
    "UPDATE shop.by_index SET v = 'y'",
    "UPDATE shop.by_index SET code = 'c' WHERE code = 'b'",
    "DELETE FROM shop.by_index",
    "INSERT INTO shop.keyless VALUES ('a', 1), ('a', 1), (NULL, NULL)",
    "UPDATE shop.keyless SET w = 2 WHERE v = 'a'",
    "DELETE FROM shop.keyless WHERE v IS NULL",
    "INSERT INTO shop.inserted VALUES (1, 'x'), (1, 'x')",
    "INSERT INTO shop.key_types VALUES (1.5, '2024-01-01 00:00:00+00', 'k', '2024-01-02'), (-0.01, '2024-01-01 00:00:00.1+00', '', '1999-12-31')",
    "UPDATE shop.key_types SET a = 2 WHERE c = 'k'",
    "DELETE FROM shop.key_types",
    "INSERT INTO shop.large SELECT 1, 0, repeat('t', 9000), repeat('b', 9000)::bytea, ARRAY[repeat('a', 9000)],"
    " array_agg(g), jsonb_build_object('k', repeat('j', 9000)) FROM generate_series(1, 3000) g",
    "UPDATE shop.large SET n = 1",
    "UPDATE shop.large SET id = 2",
    "UPDATE shop.large SET t = 'short'",
    "DELETE FROM shop.large",
    "INSERT INTO shop.large_full VALUES (1, 1, repeat('t', 9000))",
    "UPDATE shop.large_full SET n = 2",
    "DELETE FROM shop.large_full",
    "INSERT INTO shop.\"Odd name/ü\" VALUES (1, 'é')",
    "UPDATE shop.\"Odd name/ü\" SET \"ü.x\" = NULL",
    "INSERT INTO shop.times VALUES (2, '0001-01-01', '00:00', '23:59:59.999', '00:00+00', '1970-01-01', '1969-12-31 23:59:59.999',"
    " '1883-11-18 12:00+00', '-1 day 00:00:00.000001'), (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    "UPDATE shop.times SET d = '9999-12-31' WHERE id = 1",
    "INSERT INTO shop.others VALUES (1, '{\"a\": 1.0}', '{\"b\": [1, null]}', '<a/>', '10.0.0.1/8', '10.0.0.0/8', '08:00:2b:01:02:03',"
    " 'happy', '1', '101010101010', '1', '[1,5)', '[\"2024-01-01 00:00+00\",)', 12.34, 1.1, 'ab', '\\x00ff', '(1.5,-2)',"
    " '{1.5,NULL,-2}', '{a,NULL,\"b c\"}', '{2024-01-01 00:00:00.5+00}', '{t,f,NULL}', '{2024-01-01}')",
    "INSERT INTO shop.others (id) VALUES (2)",
    "UPDATE shop.others SET j = '[]', e = 'sad' WHERE id = 1",
    "DELETE FROM shop.others",
    "TRUNCATE shop.inserted",
    "SELECT pg_logical_emit_message(true, 'pre', 'content'), pg_logical_emit_message(false, 'other', '\\x00ff'::bytea)",
    "BEGIN; INSERT INTO shop.marker VALUES (-1); SAVEPOINT a; INSERT INTO shop.marker VALUES (-2); ROLLBACK TO a;"
    " INSERT INTO shop.marker VALUES (-3); COMMIT",
    "INSERT INTO shop.marker SELECT -100 - g FROM generate_series(1, 3000) g",
]
DDL = [
    ("ALTER TABLE shop.changing ADD c numeric(8, 2) NOT NULL DEFAULT 1.25",
     "INSERT INTO shop.changing VALUES (2, 'b', 2, 3.5); UPDATE shop.changing SET a = 'u' WHERE id = 1"),
    ("ALTER TABLE shop.changing DROP b", "INSERT INTO shop.changing VALUES (3, 'c', 4.5); DELETE FROM shop.changing WHERE id = 2"),
    ("ALTER TABLE shop.changing ALTER a TYPE varchar(20)", "INSERT INTO shop.changing VALUES (4, 'd', 1)"),
    ("ALTER TABLE shop.changing RENAME a TO renamed", "INSERT INTO shop.changing VALUES (5, 'e', 1)"),
    ("ALTER TABLE shop.changing ALTER id TYPE bigint", "INSERT INTO shop.changing VALUES (6, 'f', 1)"),
    ("ALTER TABLE shop.changing ALTER renamed SET NOT NULL, ALTER renamed SET DEFAULT 'x'; "
     "ALTER TABLE shop.changing ADD z integer", "INSERT INTO shop.changing (id) VALUES (7)"),
    ("ALTER TABLE shop.changing REPLICA IDENTITY FULL", "UPDATE shop.changing SET z = 1 WHERE id = 7; DELETE FROM shop.changing WHERE id = 6"),
]
SINK = {"format": "debezium_json", "schemas": True, "null_as_default": True, "unfit": "as_null", "truncates": "send"}
# What docs/debezium.md lists as different: paths that are left out,
MASKS = ["value.source.snapshot"]  # which table is first and last is not said beforehand
# and what is different in some topics: pairs, only in Debezium's, only in narwal's, and the paths.
KNOWN = {
    # One outside of a transaction has the time when it was read.
    "message": (1, 0, 0, {"value.source.ts_ms", "value.source.ts_us", "value.source.ts_ns"}),
    "shop.key_types": (3, 0, 0, {"header.__debezium.newkey.a", "header.__debezium.oldkey.a"}),
    "shop.keyless": (0, 1, 0, set()),  # a tombstone without a key
}
MOVED = ("header.__debezium.newkey", "header.__debezium.oldkey")
LOAD_TABLES = ("plain", "composite", "by_index", "wide", "wide_full", "full_keyless", "bulk", "marker")
LOAD_TRANSACTIONS = 1500


class DifferentialTest(check.Case):
    @classmethod
    def setUpClass(cls):
        try:
            cls.broker = cls.enterClassContext(kafka.Broker())
            # Debezium reads PostgreSQL's text, and misreads what is not in the style of a new server.
            cls.server = cls.enterClassContext(cluster.Cluster(check.version(), {
                "bytea_output": "hex", "intervalstyle": "postgres", "datestyle": "ISO, MDY", "timezone": "UTC"}))
        except cluster.servers.Unavailable as error:
            raise unittest.SkipTest(str(error))

    def begin(self, name, schema, properties=None, include=None):
        """Both, until they follow."""
        self.other = self.enter(debezium.Debezium(
            self.server, self.broker, f"{name}_dbz", {"schema.include.list": schema, "skipped.operations": "none",
                                                      **(properties or {})},
            worker={"key.converter.schemas.enable": "true", "value.converter.schemas.enable": "true"}))
        self.other.start().wait_streaming()
        self.narwal = self.enter(Narwal(self.server, name=f"{name}_nw", settings={
            "tables": {"include": include or [f"{schema}.*"]},
            "sinks": [{"type": "kafka", "brokers": [self.broker.address], "prefix": f"{name}_nw", **SINK}]})).start()
        self.markers = 0
        self.name, self.schema = name, schema
        self.narwal_wait()
        self.settle()

    def narwal_wait(self):
        self.narwal.wait("everything durable", lambda: self.narwal.call("wait", "--timeout", "5s")[0] == 0, 120)

    def settle(self):
        """Until both have everything."""
        self.markers += 1
        self.server.sql(f"INSERT INTO {self.schema}.marker VALUES (%s)", (-10**9 - self.markers,))
        self.narwal_wait()
        topic = f"{self.name}_dbz.{self.schema}.marker"

        def there():
            if topic not in self.broker.topics():
                return False
            last = subprocess.run(["kcat", "-b", self.broker.address, "-C", "-t", topic, "-o", "-1", "-e", "-q", "-f", "%k"],
                                  stdout=subprocess.PIPE, text=True, check=True).stdout
            return f'"payload":{{"id":{-10**9 - self.markers}}}' in last
        self.other.wait("Debezium's last event", there)

    def compare(self):
        """The report, once Debezium's producer has sent what is before the marker in other topics."""
        deadline = time.monotonic() + 60
        while True:
            report = self.report()
            if time.monotonic() > deadline or not any(topic["only"][1] for topic in report["topics"]):
                return report
            time.sleep(1)

    def report(self):
        words = [word for mask in MASKS for word in ("--mask", mask)]
        result = subprocess.run([str(build() / "narwal"), "diff-topics", f"{self.name}_dbz", f"{self.name}_nw", "--brokers",
                                 self.broker.address, "--show", "1000", "--json", *words], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        self.assertIn(result.returncode, (0, 1), result.stdout)
        return json.loads(result.stdout)

    def check(self, known):
        """Nothing is different but what is known, and that still is. The number of events that are equal."""
        report = self.compare()
        found, shown = {}, []
        for topic in report["topics"]:
            if topic["different"] or any(topic["only"]):
                found[topic["topic"]] = (topic["different"], *topic["only"], set(topic["paths"]))
                shown += [f"{topic['topic']}: {json.dumps(difference, ensure_ascii=False)[:1000]}"
                          for difference in topic["differences"][:5]]
        self.assertEqual(found, known, "\n".join(shown))
        return sum(topic["equal"] for topic in report["topics"])

    def test_every_kind_of_change(self):
        self.server.sql("CREATE TYPE public.shop_mood AS ENUM ('happy', 'sad')")
        self.server.sql(SETUP)
        self.begin("kinds", "shop")
        for statement in CHANGES:
            self.server.sql(statement)
        self.settle()
        for change, statement in DDL:
            self.server.sql(change)
            self.server.sql(statement)
            self.settle()
        self.assertGreater(self.check(KNOWN), 3100)
        self.assertEqual(self.narwal.terminate(), 0)

    def test_a_random_load(self):
        """Transactions of several sessions, savepoints, rolled back ones, large ones and prepared ones."""
        workload.create_tables(self.server.connect())
        self.begin("load", "lab", {"table.include.list": ",".join(f"lab.{name}" for name in LOAD_TABLES)},
                   include=[f"lab.{name}" for name in LOAD_TABLES])
        with workload.Workload(self.server.dsn(), seed=check.seed(), bulk_rows=1000) as load:
            load.run_until(lambda: load.transactions > LOAD_TRANSACTIONS * check.scale(), 60 * max(check.scale(), 1))
        self.settle()
        report = {topic["topic"]: topic for topic in self.compare()["topics"] if topic["topic"] != "message"}
        self.assertEqual(set(report), {f"lab.{name}" for name in LOAD_TABLES})
        for name, topic in report.items():
            shown = (name, topic["differences"][:3])
            # Connect leaves control characters in headers as they are, which is no JSON.
            self.assertTrue(all(path.startswith(MOVED) for path in topic["paths"]), shown)
            self.assertEqual(topic["only"][1], 0, shown)
            if name != "lab.composite":
                self.assertEqual(topic["different"], 0, shown)
            if name != "lab.full_keyless":  # tombstones without a key
                self.assertEqual(topic["only"][0], 0, shown)
        self.assertGreater(sum(topic["equal"] for topic in report.values()), LOAD_TRANSACTIONS)
        self.assertEqual(self.narwal.terminate(), 0)


if __name__ == "__main__":
    check.main()
