#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Signals, as Debezium takes them from a table or a topic, and notifications of copies."""
import json
import subprocess
import time

from lab import check
from test_kafka import Case

TABLE = "CREATE TABLE shop.signals (id varchar(42) PRIMARY KEY, type varchar(32) NOT NULL, data varchar(2048))"


class SignalsTest(Case):
    def begin(self, name, **options):
        self.make(f"{TABLE}; CREATE TABLE shop.a (id integer PRIMARY KEY); CREATE TABLE shop.b (id integer PRIMARY KEY);"
                  "INSERT INTO shop.a SELECT generate_series(1, 5); INSERT INTO shop.b VALUES (1)")
        narwal = self.narwal(name, include=("shop.*",), notifications_topic="{prefix}.notifications", **options)
        return narwal.start().wait_caught_up()

    def signal(self, id_, type_, **data):
        self.server.sql("INSERT INTO shop.signals VALUES (%s, %s, %s)", (id_, type_, json.dumps(data)))

    def copies(self, narwal, table):
        """How many copied rows of it there are, by generation."""
        counts = {}
        for _, value in self.messages(f"{narwal.name}.shop.{table}"):
            if "copy" in value:
                counts[value["copy"]] = counts.get(value["copy"], 0) + 1
        return list(counts.values())

    def test_a_row_asks_for_a_copy(self):
        narwal = self.begin("rows", signals_table="shop.signals")
        self.assertEqual(self.copies(narwal, "a"), [5])
        self.signal("one", "execute-snapshot", **{"data-collections": ["shop.a"], "type": "incremental"})
        narwal.wait("the copy", lambda: self.copies(narwal, "a") == [5, 5])
        self.signal("two", "log", message="a word to you")
        self.signal("three", "execute-snapshot", **{"data-collections": ["shop.(?=b)"]})
        self.signal("window", "snapshot-window-open")
        self.signal("four", "execute-snapshot", **{"data-collections": ["shop.a"], "additional-conditions": [
            {"data-collection": "shop.a", "filter": "id = 1"}]})
        self.signal("five", "stop-snapshot", **{"data-collections": ["shop.a"]})
        self.signal("six", "execute-snapshot", **{"data-collections": ["shop\\.nothing"]})
        self.server.sql("INSERT INTO shop.signals VALUES ('seven', 'execute-snapshot', 'no JSON')")
        narwal.wait("the last answer", lambda: "NW2709 sink kafka: signal seven: its data is not a JSON object" in narwal.log())
        narwal.wait("an answer", lambda: "NW1504 sink kafka asked for copies: no table that is followed matches shop\\.nothing" in narwal.log())
        for text in ("sink kafka: signal two: a word to you", "NW2709 sink kafka: signal three: one of data-collections is no name",
                     "NW2709 sink kafka: signal four: rows cannot be chosen", "NW2709 sink kafka: signal five: narwal does nothing"):
            self.assertIn(text, narwal.log())
        self.assertNotIn("signal window", narwal.log())
        self.assertEqual(self.copies(narwal, "a"), [5, 5])
        self.assertEqual(self.copies(narwal, "b"), [1])
        self.notifications_check(narwal)

    def test_a_pattern_asks_for_copies(self):
        """As Java reads it, of all of the name as it is; each table that matches, once."""
        narwal = self.begin("patterns", signals_table="shop.signals")
        self.server.sql('CREATE TABLE shop."A.b""C" (id integer PRIMARY KEY); INSERT INTO shop."A.b""C" VALUES (1)')
        narwal.wait("the new table", lambda: "patterns.shop.A.b_C" in self.broker.topics() and
                    self.copies(narwal, "A.b_C") == [1])
        self.signal("all", "execute-snapshot", **{"data-collections": [" shop\\.(?:[ab]|A[.]b.*) ", "op.a"]})
        narwal.wait("the copies", lambda: [self.copies(narwal, table) for table in ("a", "b", "A.b_C")] ==
                    [[5, 5], [1, 1], [1, 1]])
        narwal.wait("the other", lambda: "no table that is followed matches op.a" in narwal.log())
        self.assertEqual(self.copies(narwal, "signals"), [])
        narwal.wait_caught_up()
        self.assertEqual(narwal.call("table", "refresh", "shop.b")[0], 0)  # not of the signal
        narwal.wait("another", lambda: self.copies(narwal, "b") == [1, 1, 1])
        narwal.wait_caught_up()
        later = [(value["additional_data"].get("data_collections"), value["id"]) for _, value in
                 self.messages("patterns.notifications") if value["type"] == "STARTED"][2:]
        self.assertEqual(sorted(name for name, _ in later), ['shop.A.b"C', "shop.a", "shop.b", "shop.b"])
        self.assertEqual([id_ for _, id_ in later[:3]], ["all"] * 3)
        self.assertNotEqual(later[3][1], "all")

    def notifications_check(self, narwal):
        found = self.messages(f"{narwal.name}.notifications")
        for key, value in found:
            self.assertEqual(list(value), ["id", "type", "aggregate_type", "additional_data", "timestamp"])
            self.assertEqual(key, {"id": value["id"]})
            self.assertEqual(value["additional_data"]["connector_name"], narwal.name)
        first = [(value["type"], value["additional_data"]) for _, value in found
                 if value["aggregate_type"] == "Initial Snapshot"]
        self.assertEqual((first[0][0], first[-1][0]), ("STARTED", "COMPLETED"))
        self.assertEqual(sorted((data["scanned_collection"], data["total_rows_scanned"]) for kind, data in first
                                if kind == "TABLE_SCAN_COMPLETED"),
                         [("shop.a", "5"), ("shop.b", "1"), ("shop.signals", "0")])
        later = [(value["type"], value["id"]) for _, value in found if value["aggregate_type"] != "Initial Snapshot"]
        self.assertEqual(later, [("STARTED", "one"), ("TABLE_SCAN_COMPLETED", "one"), ("COMPLETED", "one")])

    def send(self, topic, key, value):
        subprocess.run(["kcat", "-b", self.broker.address, "-P", "-t", topic, "-k", key], input=value, text=True,
                       check=True, timeout=60)

    def test_what_was_sent_while_narwal_was_away(self):
        """Also when no signal was ever read before."""
        self.broker.create("first-orders", 1)
        narwal = self.begin("away", signals_topic="first-orders", topic_settings=["cleanup.policy=compact"])
        self.assertEqual(narwal.terminate(), 0)
        self.send("first-orders", "away", json.dumps({"type": "execute-snapshot", "data": {"data-collections": ["shop.a"]}}))
        narwal.start()
        narwal.wait("the copy", lambda: self.copies(narwal, "a") == [5, 5])
        policies = self.broker.tool("kafka.admin.ConfigCommand", "--bootstrap-server", self.broker.address, "--describe",
                                    "--topic", "away.notifications")
        self.assertNotIn("cleanup.policy=compact", policies)
        self.assertIn("cleanup.policy=compact", self.broker.tool(
            "kafka.admin.ConfigCommand", "--bootstrap-server", self.broker.address, "--describe", "--topic", "away.shop.a"))

    def test_a_message_asks_for_a_copy(self):
        self.broker.create("orders", 1)
        narwal = self.begin("topic", signals_topic="orders", delivery="transactional")
        time.sleep(2)  # who is new reads from the end
        self.send("orders", "somebody", json.dumps({"type": "execute-snapshot", "data": {"data-collections": ["shop.b"]}}))
        self.send("orders", "topic", "nonsense")
        self.send("orders", "topic", json.dumps({"id": "m1", "type": "execute-snapshot",
                                                 "data": {"data-collections": ["shop.a"]}}))
        narwal.wait("the copy", lambda: self.copies(narwal, "a") == [5, 5])
        narwal.wait_caught_up()
        self.assertIn("NW2709 sink kafka: signal at offset 1: it is not a JSON object with a type", narwal.log())
        self.assertEqual(self.copies(narwal, "b"), [1])
        narwal.kill()
        self.send("orders", "topic", json.dumps({"id": "m2", "type": "execute-snapshot",
                                                 "data": {"data-collections": ["shop.b"]}}))
        narwal.start()
        narwal.wait("what was sent meanwhile", lambda: self.copies(narwal, "b") == [1, 1])


if __name__ == "__main__":
    check.main()
