#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`narwal diff-topics` over topics of the real Debezium: two of its connectors that read the same are equal, and every
difference that is put into a copy of them is found, where it is."""
import copy
import json
import os
import subprocess
import time
import unittest

from lab import check, cluster, debezium, kafka
from lab.narwal import build

SETUP = """
CREATE SCHEMA shop;
CREATE TABLE shop.items (id integer PRIMARY KEY, name text NOT NULL, price numeric(10, 2), tags text[]);
CREATE TABLE shop.pairs (region text, id integer, v double precision, PRIMARY KEY (region, id));
ALTER TABLE shop.pairs REPLICA IDENTITY FULL;
CREATE TABLE shop.keyless (v text);
ALTER TABLE shop.keyless REPLICA IDENTITY FULL;
INSERT INTO shop.items SELECT g, 'item ' || g, g * 1.5, ARRAY['a', NULL, 'ü'] FROM generate_series(1, 20) g;
INSERT INTO shop.pairs SELECT 'r' || g % 3, g, g / 7.0 FROM generate_series(1, 20) g;
"""
LOAD = """
INSERT INTO shop.items SELECT g, 'new ' || g, g, '{}' FROM generate_series(101, 120) g;
UPDATE shop.items SET price = price + 1 WHERE id % 2 = 0;
UPDATE shop.items SET id = id + 1000 WHERE id = 5;
DELETE FROM shop.items WHERE id IN (1, 2, 3);
UPDATE shop.pairs SET v = -v WHERE id < 10;
DELETE FROM shop.pairs WHERE id = 20;
INSERT INTO shop.keyless SELECT 'same' FROM generate_series(1, 3);
INSERT INTO shop.keyless VALUES ('other');
DELETE FROM shop.keyless WHERE v = 'other';
"""
COUNTS = [20 + 20 + 20 + 3 + 6, 4 + 2, 20 + 9 + 2]
TABLES = ("shop.items", "shop.keyless", "shop.pairs")


def diff(*words, **environment):
    """Exit status and output."""
    result = subprocess.run([str(build() / "narwal"), "diff-topics", *map(str, words)], text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
                            env={**os.environ, **environment}, check=False)
    return result.returncode, result.stdout


class DiffTopicsTest(check.Case):
    @classmethod
    def setUpClass(cls):
        try:
            cls.broker = cls.enterClassContext(kafka.Broker(**{"num.partitions": "3"}))
            cls.server = cls.enterClassContext(cluster.Cluster(check.version()))
            cls.server.sql(SETUP)
            worker = cls.enterClassContext(debezium.Debezium(
                cls.server, cls.broker, "one", {"schema.include.list": "shop"},
                twins=["two"], worker={"key.converter.schemas.enable": "true",
                                       "value.converter.schemas.enable": "true"}))
        except cluster.servers.Unavailable as error:
            raise unittest.SkipTest(str(error))
        worker.start().wait_streaming()
        for statement in LOAD.strip().split("\n"):
            cls.server.sql(statement)
        cls.messages = {}

        def everything():
            # of items: 20 copied, 20 inserted, 20 changed, a key changed (3 messages), 3 deleted (2 each)
            topics = cls.broker.topics()
            if not all(f"{prefix}.{table}" in topics for prefix in ("one", "two") for table in TABLES):
                return False
            cls.messages = {table: cls.broker.read(f"one.{table}") for table in TABLES}
            counts = [len(cls.messages[table]) for table in TABLES]
            return counts == COUNTS == [len(cls.broker.read(f"two.{table}")) for table in TABLES]
        worker.wait("every event", everything)
        worker.stop()

    def compare(self, *words, a="one"):
        code, said = diff(a, *words, "--brokers", self.broker.address, "--json")
        self.assertIn(code, (0, 1), said)
        report = json.loads(said)
        self.assertEqual(report["equal"], code == 0)
        return report["equal"], {topic["topic"]: topic for topic in report["topics"]}

    def seeded(self, name, change):
        """A copy of the topics `one` under another prefix, changed; it does not say so inside."""
        messages = copy.deepcopy(self.messages)
        change(messages)
        for table in TABLES:
            self.broker.write(f"{name}.{table}", messages[table])
        return name

    def found(self, name, change, *words, table="shop.items"):
        """How many differ and the paths in which they do, in this table alone."""
        _, report = self.compare(self.seeded(name, change), "--mask", "source.name", "--mask", "*.name", "--mask",
                                 "header.__debezium.context.connectorLogicalName", *words)
        for other in TABLES:
            if other != table:
                self.assertEqual(report[other]["equal"], len(self.messages[other]), report[other])
        topic = report[table]
        return topic["different"], *topic["only"], topic["paths"]

    def test_two_that_read_the_same_are_equal(self):
        equal, report = self.compare("two")
        self.assertTrue(equal, report)
        self.assertEqual({table: topic["equal"] for table, topic in report.items()},
                         {table: len(self.messages[table]) for table in TABLES})
        code, said = diff("one", "two", "--brokers", self.broker.address)
        self.assertEqual((code, said.splitlines()[-1]), (0, "equal"), said)
        # Strictly there is something in every event.
        equal, report = self.compare("two", "--strict")
        self.assertFalse(equal)
        self.assertIn("header.__debezium.context.runId", report["shop.items"]["paths"])
        self.assertIn("value.ts_ms", report["shop.items"]["paths"])
        self.assertNotIn("value.source.lsn", report["shop.keyless"]["paths"])

    def test_from_when_on(self):
        """What only one had before does not count, nor do its tombstones."""
        messages, later = [], []
        for message in copy.deepcopy(self.messages["shop.items"]):
            old = message["offset"] < 12 or (message["payload"] is None and messages[-1]["old"])  # of its partition
            message["old"] = old
            if message["payload"] is not None:
                event = json.loads(message["payload"])
                event["payload"]["source"]["ts_ms"] = 1000 if old else 10**14
                message["payload"] = json.dumps(event)
            messages.append(message)
        later = [message for message in messages if not message["old"]]
        self.assertTrue(0 < len(later) < len(messages))
        for name, has in (("since_a", messages), ("since_b", later)):
            self.broker.write(f"{name}.shop.items", has)
        words = ("--brokers", self.broker.address, "--mask", "source.name", "--mask", "*.name", "--json")
        code, said = diff("since_a", "since_b", *words)
        self.assertEqual((code, json.loads(said)["topics"][0]["only"]), (1, [len(messages) - len(later), 0]), said)
        code, said = diff("since_a", "since_b", *words, "--since", "1h")
        self.assertEqual((code, json.loads(said)["topics"][0]["events"]), (0, [len(later)] * 2), said)
        self.assertEqual(diff("since_a", "since_b", *words, "--since", "soon")[0], 2)

    def test_a_value_and_a_schema_and_a_header(self):
        def value(messages):
            event = json.loads(messages["shop.items"][30]["payload"])
            event["payload"]["after"]["tags"] = ["a", None, "u"]
            messages["shop.items"][30]["payload"] = json.dumps(event)
        different, only_a, only_b, paths = self.found("value", value)
        self.assertEqual((different, only_a, only_b), (1, 0, 0))
        self.assertTrue(set(paths) and all(path.startswith("value.after.tags") for path in paths), paths)

        def schema(messages):
            for message in messages["shop.pairs"]:
                if message["payload"]:
                    message["payload"] = message["payload"].replace('"type":"double"', '"type":"float"')
        different, only_a, only_b, paths = self.found("schema", schema, table="shop.pairs")
        self.assertEqual((different, only_a, only_b), (30, 0, 0))
        self.assertEqual(set(paths), {"value-schema.fields[0].fields[2].type", "value-schema.fields[1].fields[2].type"})

        def header(messages):
            for message in messages["shop.keyless"]:
                message["headers"][message["headers"].index("__debezium.context.taskId") + 1] = "1"
        different, only_a, only_b, paths = self.found("header", header, table="shop.keyless")
        self.assertEqual((different, only_a, only_b, paths), (6, 0, 0, {"header.__debezium.context.taskId": 6}))

    def test_events_that_lack_come_twice_or_elsewhere(self):
        def lacks(messages):
            del messages["shop.items"][25]
        self.assertEqual(self.found("lacks", lacks), (0, 1, 0, {}))

        def twice(messages):
            messages["shop.keyless"].append(messages["shop.keyless"][0])
        self.assertEqual(self.found("twice", twice, table="shop.keyless"), (0, 0, 1, {}))

        def repeated(messages):
            """What a sender does that begins again: a stretch comes once more."""
            messages["shop.items"] += messages["shop.items"][-5:]
        self.assertEqual(self.found("repeated", repeated), (0, 0, 5, {}))
        for name, table, again in (("twice", "shop.keyless", 1), ("repeated", "shop.items", 5), ("lacks", "shop.items", 0)):
            self.assertEqual(self.compare(name, "--mask", "*name")[1][table]["again"], [0, again], name)
        said = diff("one", "repeated", "--mask", "*name", "--brokers", self.broker.address)[1]
        self.assertIn("of those only in B 5 say again what came before", said)

        def order(messages):
            """The two events of a key, the other way round."""
            items = messages["shop.items"]
            at = [i for i, message in enumerate(items) if '"payload":{"id":102}' in message["key"]]
            items[at[0]], items[at[1]] = items[at[1]], items[at[0]]
        different, only_a, only_b, paths = self.found("order", order)
        self.assertEqual(different + only_a, 1)

        def tombstone(messages):
            at = next(i for i, message in enumerate(messages["shop.items"]) if message["payload"] is None)
            messages["shop.items"][at]["payload"] = messages["shop.items"][at - 1]["payload"]
        different, only_a, only_b, paths = self.found("tombstone", tombstone)
        self.assertEqual((different, only_a, only_b, paths), (1, 0, 0, {"value": 1, "value-schema": 1}))

    def test_how_it_is_written(self):
        """Only --strict minds the order of members, and how a number is written."""
        def written(messages):
            event = json.loads(messages["shop.items"][0]["payload"])
            after = event["payload"]["after"]
            event["payload"]["after"] = dict(reversed(after.items()))
            messages["shop.items"][0]["payload"] = json.dumps(event)
            changed = 0
            for message in messages["shop.pairs"]:
                event = message["payload"] and json.loads(message["payload"])
                if event and event["payload"]["after"] and event["payload"]["after"]["v"] == 1.0:
                    message["payload"] = message["payload"].replace('"v":1.0', '"v":10.00e-1')
                    changed += 1
            self.assertEqual(changed, 1)
        name = self.seeded("written", written)
        masks = [word for path in ("source.name", "*.name", "header.__debezium.context.connectorLogicalName")
                 for word in ("--mask", path)]
        self.assertTrue(self.compare(name, *masks)[0])
        equal, report = self.compare(name, *masks, "--strict")
        self.assertFalse(equal)
        self.assertEqual(report["shop.items"]["paths"], {"(order of members)": 1})
        self.assertEqual(report["shop.pairs"]["paths"], {"value.after.v": 1})

    def test_a_key_in_another_order(self):
        """For Kafka it is another key: another partition, and compaction keeps both."""
        def order(messages):
            keys = [message["key"] for message in messages["shop.pairs"]]
            message = next(message for message in messages["shop.pairs"] if keys.count(message["key"]) == 1)
            key = json.loads(message["key"])
            key["payload"] = dict(reversed(key["payload"].items()))
            message["key"] = json.dumps(key, separators=(",", ":"))
        self.assertEqual(self.found("key_order", order, table="shop.pairs"), (0, 1, 1, {}))

    def test_what_is_asked_for(self):
        self.assertEqual(set(self.compare("two", "--only", "shop.[ik]*")[1]), {"shop.items", "shop.keyless"})
        code, said = diff("one", "two", "--brokers", self.broker.address, "--strict", "--show", "1")
        self.assertEqual(code, 1)
        self.assertIn("header.__debezium.context.runId\n      A 01", said)
        self.assertIn("shop.keyless: 6 events differ, 0 are only in A, 0 only in B", said)
        # A configuration says where the topics are.
        file = self.server.folder / "orders.yaml"
        file.write_text(f"source: {{dsn: dbname=x}}\nsinks:\n- {{name: out, type: kafka, brokers: "
                        f"['{self.broker.address}'], prefix: one}}\n- {{type: 'null'}}\n")
        self.assertEqual(diff(file, "two")[0], 0)
        self.assertEqual(diff("two", f"{file}:out")[0], 0)
        for words, code in ((("one", "two"), "NW1501"), (("one",), "NW1501"), ((f"{file}:none", "two"), "NW1501"),
                            (("no", "none", "--brokers", self.broker.address), "NW1541"),
                            (("one", "two", "--brokers", self.broker.address, "-X", "no.such=1"), "NW2702"),
                            (("one", "two", "--brokers", self.broker.address, "--follow", "1"), "NW1501")):
            status, said = diff(*words)
            self.assertEqual(status, 2, (words, said))
            self.assertIn(code, said, words)
        status, said = diff("one", "two", "--brokers", self.broker.address, NARWAL_PLUGIN_DIR="/nowhere")
        self.assertEqual(status, 2)
        self.assertIn("NW1540 /nowhere/narwal-kafka cannot be started", said)

    def test_many_events_in_little_memory(self):
        """A topic that is read in parts, because its records are more than the memory."""
        count = 30000
        messages = [{"partition": n % 2, "key": f'{{"id":{n % 9000}}}', "payload": f'{{"n":{n}}}'} for n in range(count)]
        messages.sort(key=lambda message: message["partition"])
        for name in ("many", "more"):
            if name == "more":
                messages[6000]["payload"] = '{"n":0}'
                messages[14000]["partition"] = 1
            self.broker.write(f"{name}.t", messages)
        equal, report = self.compare("more", "--memory", "1MiB", a="many")
        self.assertFalse(equal)
        topic = report["t"]
        self.assertEqual((topic["events"], topic["equal"], topic["different"], topic["only"], topic["paths"]),
                         ([count, count], count - 2, 2, [0, 0], {"partition": 1, "value.n": 1}))
        self.assertEqual({one["key"]: one["paths"] for one in topic["differences"]}, {  # which part has which key is chance
            "id=3000": [{"path": "value.n", "a": "12000", "b": "0"}], "id=1000": [{"path": "partition", "a": "0", "b": "1"}]})

    def test_what_only_one_has_yet(self):
        for name in ("early", "late"):
            self.broker.write(f"{name}.t", [{"partition": 0, "key": "1", "payload": "1"}])
        with subprocess.Popen([str(build() / "narwal"), "diff-topics", "early", "late", "--brokers",
                               self.broker.address, "--follow", "4s", "--json"], text=True,
                              stdout=subprocess.PIPE) as process:
            time.sleep(1)
            self.broker.write("early.t", [{"partition": 0, "key": "1", "payload": "2"}])
            report = json.loads(process.stdout.read())
        self.assertEqual(process.returncode, 0, report)
        self.assertEqual((report["topics"][0]["equal"], report["topics"][0]["pending"]), (1, 1))
        self.assertEqual(diff("early", "late", "--brokers", self.broker.address)[0], 1)


if __name__ == "__main__":
    check.main()
