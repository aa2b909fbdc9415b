#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Signals, as Debezium takes them from a table or a topic, and notifications of copies."""
import contextlib
import json
import pathlib
import re
import signal
import sqlite3
import subprocess
import time

from lab import check
from lab.hosts import another
from test_kafka import SLOW, Case, Piped

TABLE = "CREATE TABLE shop.signals (id varchar(42) PRIMARY KEY, type varchar(32) NOT NULL, data varchar(2048))"


class SignalsTest(Case):
    def begin(self, name, second=None, **options):
        self.make(f"{TABLE}; CREATE TABLE shop.a (id integer PRIMARY KEY); CREATE TABLE shop.b (id integer PRIMARY KEY);"
                  "INSERT INTO shop.a SELECT generate_series(1, 5); INSERT INTO shop.b VALUES (1)")
        narwal = self.narwal(name, include=("shop.*",), notifications_topic="{prefix}.notifications", **options)
        if second:
            narwal.config["sinks"] += [{**narwal.config["sinks"][0], **second}]
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
        self.signal("five", "stop-snapshot", **{"data-collections": ["shop.a"]})
        self.signal("six", "execute-snapshot", **{"data-collections": ["shop\\.nothing"]})
        self.server.sql("INSERT INTO shop.signals VALUES ('seven', 'execute-snapshot', 'no JSON')")
        narwal.wait("the last answer", lambda: "NW2709 sink kafka: signal seven: its data is not a JSON object" in narwal.log())
        narwal.wait("an answer", lambda: "NW1504 sink kafka asked for copies: no table that is followed matches shop\\.nothing" in narwal.log())
        for text in ("sink kafka: signal two: a word to you", "NW2709 sink kafka: signal three: one of data-collections is no name",
                     "NW1505 sink kafka asked for tables stop shop.a: no table that matches is being copied"):
            self.assertIn(text, narwal.log())
        self.assertNotIn("signal window", narwal.log())
        self.assertEqual(self.copies(narwal, "a"), [5, 5])
        self.assertEqual(self.copies(narwal, "b"), [1])
        self.notifications_check(narwal)

    def test_rows_are_chosen(self):
        """By a condition, of the first that is for the table. One that is none, or fails at a row, costs the copy, and no more."""
        narwal = self.begin("chosen", signals_table="shop.signals", format="debezium_json")
        def copied(table):
            return [value["after"]["id"] for _, value in self.messages(f"chosen.shop.{table}") if value["op"] == "r"]
        def ask(id_, names, *conditions, **data):
            self.signal(id_, "execute-snapshot", **{"data-collections": names, "additional-conditions": [
                {"data-collection": name, "filter": filter_} for name, filter_ in conditions]}, **data)
        ask("some", ["shop.a", "shop[.]b"], ("SHOP\\.A", "id > 3 -- the last"), ("shop.a", "false"), ("shop[.]b", " "))
        narwal.wait("the copies", lambda: ("COMPLETED", "some", {}) in self.later(narwal))
        self.assertEqual((copied("a"), copied("b")), ([1, 2, 3, 4, 5, 4, 5], [1, 1]))
        refused = {"syntax": "id >", "column": "no = 1", "type": "id", "other": "true) OR (true", "two": "true; DROP TABLE shop.b",
                   "closes": "true)) TO STDOUT; SELECT ((1", "list": "true], ARRAY[true"}
        for name, filter_ in refused.items():
            ask(name, ["shop.a"], ("shop.a", filter_))
        narwal.wait("the last answer", lambda: narwal.log().count("no rows of shop.a can be chosen by that") == len(refused))
        self.server.sql("INSERT INTO shop.b VALUES (2)")
        for name in refused:
            narwal.wait(name, lambda: ("COMPLETED", name, {}) in self.later(narwal))  # pylint: disable=cell-var-from-loop
            self.assertEqual([(kind, data) for kind, id_, data in self.later(narwal) if id_ == name], [
                ("STARTED", {"data_collections": "shop.a"}), ("DATA_COLLECTIONS_RESOLVED", {"data_collections": "shop.a"}),
                ("TABLE_SCAN_COMPLETED", {"data_collections": "shop.a", "scanned_collection": "shop.a", "total_rows_scanned": "0",
                                          "status": "SQL_EXCEPTION"}), ("COMPLETED", {})])
        self.assertEqual(narwal.log(whole=True).count("no rows of shop.a can be chosen by that"), len(refused))
        ask("fails", ["shop.a"], ("shop.a", "100 / (id - 5) < 0"))
        narwal.wait("the end", lambda: ("COMPLETED", "fails", {}) in self.later(narwal))
        self.assertIn("NW2210 the rows of shop.a WHERE 100 / (id - 5) < 0 cannot be read: copying shop.a: division by zero", narwal.log(whole=True))
        self.assertIn(("TABLE_SCAN_COMPLETED", "fails", {"data_collections": "shop.a", "scanned_collection": "shop.a",
                                                         "total_rows_scanned": "4", "status": "SQL_EXCEPTION"}), self.later(narwal))
        ask("better", ["shop.a"], ("shop.a", "id = 5"))
        narwal.wait("one that does not fail", lambda: ("COMPLETED", "better", {}) in self.later(narwal))
        self.assertEqual(self.later(narwal)[-2][2]["status"], "SUCCEEDED")
        ask("elsewhere", ["shop.a"], ("shop.b", "true"))
        ask("blocking", ["shop.a"], ("shop.a", "SELECT * FROM shop.a"), type="blocking")
        ask("long", ["shop.a"], ("shop.a", "id IN (" + "1, " * 250 + "1)"))
        self.signal("old", "execute-snapshot", **{"data-collections": ["shop.a"], "additional-condition": "id = 2"})
        narwal.wait("the last", lambda: ("COMPLETED", "old", {}) in self.later(narwal))
        for text in ("signal elsewhere: one of additional-conditions is for none", "signal blocking: rows cannot be chosen",
                     "signal long: a filter is longer"):
            self.assertIn(f"NW2709 sink kafka: {text}", narwal.log(whole=True))
        self.assertEqual(copied("a")[-1], 2)
        self.server.sql("INSERT INTO shop.a VALUES (6)")
        narwal.wait_caught_up()
        self.assertEqual([value["after"]["id"] for _, value in self.messages("chosen.shop.a") if value["op"] == "c"], [6])

    def test_a_copy_is_stopped(self):
        """One that waits, one that is under way, also while it is paused; what is left goes on. Later ones are as any."""
        narwal = self.begin("stop", signals_table="shop.signals", delivery="transactional")
        with self.server.connect(autocommit=False) as connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO shop.a VALUES (6)")  # no consistent point while it is open
            self.signal("both", "execute-snapshot", **{"data-collections": ["shop.[ab]"]})
            narwal.wait("the copy", lambda: "waits for the end of a transaction" in narwal.log())
            self.signal("again", "execute-snapshot", **{"data-collections": ["shop.a"]})
            narwal.wait("it", lambda: "it is again, behind that" in narwal.log())
            self.signal("no", "stop-snapshot", **{"data-collections": ["shop.a"]})
            self.signal("none", "stop-snapshot", **{"data-collections": ["shop.none"]})
            narwal.wait("its end", lambda: ("ABORTED", "again", {"data_collections": "shop.a"}) in self.later(narwal))
        narwal.wait("the other", lambda: ("COMPLETED", "both", {}) in self.later(narwal))
        narwal.wait_caught_up()
        self.assertEqual((self.copies(narwal, "a"), self.copies(narwal, "b")), ([5], [1, 1]))
        self.assertEqual([(kind, id_, data.get("data_collections")) for kind, id_, data in self.later(narwal)
                          if kind in ("STARTED", "ABORTED", "COMPLETED", "TABLE_SCAN_COMPLETED")],
                         [("STARTED", "both", "shop.a,shop.b"), ("ABORTED", "both", "shop.a"), ("STARTED", "again", "shop.a"),
                          ("ABORTED", "again", "shop.a"), ("TABLE_SCAN_COMPLETED", "both", "shop.b"), ("COMPLETED", "both", None)])
        self.assertIn("NW1505 sink kafka asked for tables stop shop.none: no table that matches is being copied", narwal.log(whole=True))
        with self.server.connect(autocommit=False) as connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO shop.a VALUES (7)")  # so that it is not whole before it is paused
            before = narwal.log(whole=True).count("waits for the end of a transaction")
            self.signal("paused", "execute-snapshot", **{"data-collections": ["shop.b"]})
            narwal.wait("the copy", lambda: narwal.log(whole=True).count("waits for the end of a transaction") > before)
            self.signal("pause", "pause-snapshot")
            narwal.wait("the pause", lambda: any(kind == "PAUSED" for kind, _, _ in self.later(narwal)) and
                        "the copy is paused" in narwal.log(whole=True))
            connection.rollback()
        self.signal("all", "stop-snapshot")
        narwal.wait("its end", lambda: ("ABORTED", "paused", {"data_collections": "shop.b"}) in self.later(narwal))
        narwal.wait("rest", lambda: '"waiting"' not in narwal.call("table", "list", "--json")[1])
        self.signal("go", "resume-snapshot")
        self.signal("whole", "execute-snapshot", **{"data-collections": ["shop.b", "shop.a"]})
        narwal.wait("a whole one", lambda: ("COMPLETED", "whole", {}) in self.later(narwal))
        self.assertEqual((self.copies(narwal, "a"), self.copies(narwal, "b")), ([5, 6], [1, 1, 1]))
        self.assertEqual(narwal.call("copy", "stop", "shop.a")[0], 1)

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
        later = [(value["type"], value["id"], value["additional_data"].get("data_collections")) for _, value in
                 self.messages("patterns.notifications") if value["type"] in ("STARTED", "COMPLETED")]
        self.assertEqual(later[-4:-2], [("STARTED", "all", 'shop.a,shop.b,shop.A.b"C'), ("COMPLETED", "all", None)])
        self.assertEqual([(kind, names) for kind, _, names in later[-2:]], [("STARTED", "shop.b"), ("COMPLETED", None)])
        self.assertNotIn("all", (later[-2][1], later[-1][1]))

    def notifications_check(self, narwal):
        found = self.messages(f"{narwal.name}.notifications")
        for key, value in found:
            self.assertEqual(list(value), ["id", "type", "aggregate_type", "additional_data", "timestamp"])
            self.assertEqual(key, {"id": value["id"]})
            self.assertEqual(value["additional_data"]["connector_name"], narwal.name)
        first = [(value["type"], value["additional_data"]) for _, value in found
                 if value["aggregate_type"] == "Initial Snapshot"]
        self.assertEqual([kind for kind, _ in first[:2]] + [first[-1][0]], ["STARTED", "DATA_COLLECTIONS_RESOLVED", "COMPLETED"])
        self.assertEqual({tuple(sorted(data["data_collections"].split(","))) for _, data in first[1:-1]},
                         {("shop.a", "shop.b", "shop.signals")})
        self.assertEqual(sorted((data["scanned_collection"], data["total_rows_scanned"]) for kind, data in first
                                if kind == "TABLE_SCAN_COMPLETED"),
                         [("shop.a", "5"), ("shop.b", "1"), ("shop.signals", "0")])
        self.assertEqual(self.later(narwal), [
            ("STARTED", "one", {"data_collections": "shop.a"}),
            ("DATA_COLLECTIONS_RESOLVED", "one", {"data_collections": "shop.a"}),
            ("IN_PROGRESS", "one", {"data_collections": "shop.a", "current_collection_in_progress": "shop.a"}),
            ("TABLE_SCAN_COMPLETED", "one", {"data_collections": "shop.a", "scanned_collection": "shop.a",
                                             "total_rows_scanned": "5", "total_rows": "5", "status": "SUCCEEDED"}),
            ("COMPLETED", "one", {})])

    def later(self, narwal):
        return [(value["type"], value["id"], {key: text for key, text in value["additional_data"].items()
                                              if key != "connector_name"})
                for _, value in self.messages(f"{narwal.name}.notifications")
                if value["aggregate_type"] == "Incremental Snapshot"]

    def test_one_signal_for_several_tables(self):
        """It starts once and is completed once, with the last of its tables; an empty one is said to be so, and one that is
        named twice is copied once. While the copy is paused that is said."""
        narwal = self.begin("several", signals_table="shop.signals", delivery="transactional")
        self.server.sql("CREATE TABLE shop.empty (id integer PRIMARY KEY)")
        narwal.wait("the new table", lambda: any(data.get("scanned_collection") == "shop.empty" for _, _, data in self.later(narwal)))
        narwal.wait_caught_up()
        before = len(self.later(narwal))
        names = ["shop.a", "shop[.]a", '"shop"."b"', "shop.empty", "shop.no"]
        with self.server.connect(autocommit=False) as connection, connection.cursor() as cursor:
            for signal in (("many", "execute-snapshot", json.dumps({"data-collections": names})),
                           ("wait", "pause-snapshot", None), ("again", "pause-snapshot", "{}")):
                cursor.execute("INSERT INTO shop.signals VALUES (%s, %s, %s)", signal)
        narwal.wait("the pause", lambda: any(kind == "PAUSED" for kind, _, _ in self.later(narwal)[before:]))
        self.assertEqual(self.copies(narwal, "a"), [5])
        self.signal("go", "resume-snapshot")
        narwal.wait("all", lambda: any(kind == "COMPLETED" for kind, _, _ in self.later(narwal)[before:]))
        narwal.wait_caught_up()
        later = self.later(narwal)[before:]
        self.assertEqual({id_ for _, id_, _ in later}, {"many"})
        kinds = [kind for kind, _, _ in later]
        self.assertEqual(sorted(kinds), sorted(["STARTED", "DATA_COLLECTIONS_RESOLVED", "PAUSED", "RESUMED", "COMPLETED"] +
                                               ["IN_PROGRESS", "TABLE_SCAN_COMPLETED"] * 2 + ["TABLE_SCAN_COMPLETED"]))
        self.assertEqual(kinds[:4] + kinds[-1:], ["STARTED", "DATA_COLLECTIONS_RESOLVED", "PAUSED", "RESUMED", "COMPLETED"])
        all_names = {"shop.a", "shop.b", "shop.empty"}
        self.assertEqual([set(data["data_collections"].split(",")) for kind, _, data in later
                          if kind in ("STARTED", "DATA_COLLECTIONS_RESOLVED", "PAUSED", "RESUMED")], [all_names] * 4)
        self.assertEqual(sorted((data["scanned_collection"], data["status"], data["total_rows_scanned"], data.get("total_rows"))
                                for kind, _, data in later if kind == "TABLE_SCAN_COMPLETED"),
                         [("shop.a", "SUCCEEDED", "5", "5"), ("shop.b", "SUCCEEDED", "1", "1"), ("shop.empty", "EMPTY", "0", None)])
        self.assertEqual([self.copies(narwal, table) for table in ("a", "b")], [[5, 5], [1, 1]])
        self.assertIn("no table that is followed matches shop.no", narwal.log())

    def test_a_table_is_dropped_and_narwal_is_killed_meanwhile(self):
        """A dropped table is done with. A pause does not outlive a kill, with Debezium neither; the copy goes on, as the signal's."""
        narwal = self.begin("meanwhile", signals_table="shop.signals", delivery="transactional")
        self.signal("both", "execute-snapshot", **{"data-collections": ["shop.[ab]"]})
        self.signal("wait", "pause-snapshot")
        narwal.wait("the pause", lambda: any(kind == "PAUSED" for kind, _, _ in self.later(narwal)))
        self.server.sql("DROP TABLE shop.b")
        self.signal("go", "resume-snapshot")
        narwal.wait("the end", lambda: ("COMPLETED", "both", {}) in self.later(narwal))
        self.assertEqual({data["scanned_collection"]: data["status"] for kind, _, data in self.later(narwal)
                          if kind == "TABLE_SCAN_COMPLETED"}, {"shop.a": "SUCCEEDED", "shop.b": "SQL_EXCEPTION"})
        narwal.wait_caught_up()
        before = len(self.later(narwal))
        self.signal("more", "execute-snapshot", **{"data-collections": ["shop.a"]})
        self.signal("wait2", "pause-snapshot")
        narwal.wait("the pause", lambda: any(kind == "PAUSED" for kind, _, _ in self.later(narwal)[before:]))
        narwal.kill()
        narwal.start()
        narwal.wait("the copy", lambda: self.copies(narwal, "a") == [5, 5, 5])
        narwal.wait("the end", lambda: self.later(narwal)[-1][0] == "COMPLETED")
        self.assertEqual([(kind, id_) for kind, id_, _ in self.later(narwal)[before:]],
                         [(kind, "more") for kind in ("STARTED", "DATA_COLLECTIONS_RESOLVED", "PAUSED", "IN_PROGRESS",
                                                      "TABLE_SCAN_COMPLETED", "COMPLETED")])

    def test_a_copy_that_goes_on_behind_a_stop(self):
        """It stays the signal's: STARTED comes once, and COMPLETED, when narwal was stopped and when it connected anew."""
        narwal = self.begin("goeson", signals_table="shop.signals")
        long = "\N{CYRILLIC CAPITAL LETTER ZHE}" * 40
        def paused(number):
            return [kind for kind, _, _ in self.later(narwal)].count("PAUSED") == number
        for number, type_ in enumerate(("incremental", "incremental", "blocking"), 1):
            with self.server.connect(autocommit=False) as connection, connection.cursor() as cursor:
                for signal in ((f"s{number}{long}", "execute-snapshot", json.dumps({"data-collections": ["shop.[ab]"], "type": type_})),
                               (f"p{number}", "pause-snapshot", None)):
                    cursor.execute("INSERT INTO shop.signals VALUES (%s, %s, %s)", signal)
            narwal.wait("the pause", lambda: paused(number))  # pylint: disable=cell-var-from-loop
            self.wait_recorded(narwal)
            if number == 2:
                self.server.stop("immediate")
                narwal.wait("it to be noticed", lambda: "NW11" in narwal.log())
                self.server.start()
                self.signal(f"r{number}", "resume-snapshot")
            else:
                self.assertEqual(narwal.terminate(), 0)
                narwal.start()
            narwal.wait("the copies", lambda: self.copies(narwal, "b") == [1] * (1 + number))  # pylint: disable=cell-var-from-loop
            narwal.wait_caught_up()
        for id_ in ("s1", "s2"):
            said = [kind for kind, said, _ in self.later(narwal) if said == id_ + long]
            self.assertEqual([said.count(kind) for kind in ("STARTED", "TABLE_SCAN_COMPLETED", "COMPLETED")], [1, 2, 1], said)
        self.assertEqual({id_ for kind, id_, _ in self.later(narwal) if kind == "COMPLETED"}, {"s1" + long, "s2" + long})
        first = [value["type"] for _, value in self.messages("goeson.notifications") if value["aggregate_type"] == "Initial Snapshot"]
        self.assertEqual([first.count(kind) for kind in ("STARTED", "COMPLETED")], [2, 2], first)
        self.assertEqual(self.signals_recorded(narwal), {})

    def signals_recorded(self, narwal):
        """Of signals, in the sink's ledger."""
        found = {}
        for message in self.broker.read(f"_narwal.{narwal.name}.kafka"):
            if message["key"].startswith("signal/"):
                found[message["key"]] = message["payload"]
        return {key: text for key, text in found.items() if text}

    def wait_recorded(self, narwal):
        narwal.wait("the record", lambda: any('"started":true' in text for text in self.signals_recorded(narwal).values()))

    def test_a_record_that_is_larger_than_messages_may_be(self):
        """No commit waits for it."""
        tables = [f"shop.t{number}{'x' * 50}" for number in range(30)]
        self.make("; ".join([TABLE, *(f"CREATE TABLE {table} (id integer PRIMARY KEY)" for table in tables)]))
        narwal = self.narwal("small", include=("shop.*",), signals_table="shop.signals", properties=["message.max.bytes=2000"])
        narwal.start().wait_caught_up()
        self.signal("many", "execute-snapshot", **{"data-collections": ["shop.t.*"]})
        narwal.wait("the warning", lambda: "NW2734 sink kafka: which copies signal many asked" in narwal.log())
        narwal.wait_caught_up()
        self.assertEqual(narwal.log(whole=True).count("NW2734"), 1)
        self.assertEqual(narwal.terminate(), 0)
        self.assertEqual(self.signals_recorded(narwal), {})

    def test_blocking_and_what_is_said_of_a_start(self):
        """As Debezium's: rows from first to last, an Initial Snapshot without the signal's id. A start without a first copy
        is said."""
        narwal = self.begin("block", signals_table="shop.signals", format="debezium_json")
        self.assertEqual(narwal.terminate(), 0)
        narwal.start().wait_caught_up()

        def said():
            return [value["payload"] if "payload" in value else value for _, value in self.messages("block.notifications")]
        narwal.wait("the start", lambda: said()[-1]["type"] == "SKIPPED")
        self.assertEqual([value["type"] for value in said()].count("SKIPPED"), 1)
        before = len(said())
        self.signal("one", "execute-snapshot", **{"data-collections": ["shop.[ab]"], "type": "Blocking"})
        narwal.wait("the end", lambda: said()[-1]["type"] == "COMPLETED")
        narwal.wait_caught_up()
        self.assertEqual({value["aggregate_type"] for value in said()[before:]}, {"Initial Snapshot"})
        kinds = [value["type"] for value in said()[before:]]
        self.assertEqual(kinds[:3] + kinds[-2:], ["STARTED", "DATA_COLLECTIONS_RESOLVED", "IN_PROGRESS", "TABLE_SCAN_COMPLETED",
                                                  "COMPLETED"])
        self.assertEqual([kinds.count(kind) for kind in ("IN_PROGRESS", "TABLE_SCAN_COMPLETED")], [2, 2])
        self.assertNotIn("one", [value["id"] for value in said()])
        self.assertEqual(said()[before]["additional_data"], {"connector_name": "block"})
        marks = {table: [(value["payload"] if "payload" in value else value)["source"]["snapshot"] for _, value in
                         self.messages(f"block.shop.{table}")] for table in ("a", "b")}
        self.assertEqual([len(marks["a"]), len(marks["b"])], [10, 2])
        both = marks["a"][5:] + marks["b"][1:]
        self.assertEqual(both.count("first"), 1, marks)
        self.assertEqual(marks["a"][6:9], ["true"] * 3)
        self.assertIn(marks["a"][5], ("first", "first_in_data_collection"))
        self.assertEqual(sorted(mark for mark in (marks["a"][9], marks["b"][1]) if mark.startswith("last"))[:1], ["last"], marks)
        self.signal("two", "execute-snapshot", **{"data-collections": ["shop.a"]})
        narwal.wait("another", lambda: len(self.messages("block.shop.a")) == 15)
        self.assertEqual({(value["payload"] if "payload" in value else value)["source"]["snapshot"] for _, value in
                          self.messages("block.shop.a")[10:]}, {"incremental"})

    def test_signals_that_are_refused(self):
        narwal = self.begin("refused", signals_table="shop.signals")
        cases = (("execute-snapshot", '{"data-collections": []}', "it has no data-collections"),
                 ("execute-snapshot", '{"data-collections": "shop.a"}', "it has no data-collections"),
                 ("execute-snapshot", None, "it has no data-collections"),
                 ("execute-snapshot", "[1]", "its data is not a JSON object"),
                 ("execute-snapshot", '{"data-collections": ["shop.b"],}', "its data is not a JSON object"),
                 ("execute-snapshot", '{"data-collections": ["shop.b", 5]}', "one of data-collections is no name"),
                 ("execute-snapshot", '{"data-collections": ["shop.b"], "type": "other"}', "its type is neither incremental nor blocking"),
                 ("Execute-Snapshot", '{"data-collections": ["shop.b"]}', "narwal does nothing for signals of this type"),
                 ("log", "{}", "its data has no message to log"),
                 ("log", '{"message": ""}', "its data has no message to log"),
                 ("execute-snapshot", json.dumps({"data-collections": ["shop.b"] * 1001}), "it has more than 1,000 data-collections"),
                 ("stop-snapshot", '{"data-collections": ["shop.(?=b)"]}', "one of data-collections is no name"),
                 ("stop-snapshot", '{"type": "blocking"}', "copies of the type blocking are not stopped"))
        self.server.sql("ALTER TABLE shop.signals ALTER data TYPE text")
        for index, (kind, data, _) in enumerate(cases):
            self.server.sql("INSERT INTO shop.signals VALUES (%s, %s, %s)", (f"r{index}", kind, data))
        self.signal("long", "log", message="long " + "x" * 5000)
        self.server.sql("UPDATE shop.signals SET type = 'execute-snapshot', data = '{\"data-collections\": [\"shop.b\"]}' "
                        "WHERE id = 'long'; DELETE FROM shop.signals")
        narwal.wait("the last", lambda: "signal long: long xxx" in narwal.log())
        narwal.wait_caught_up()
        for index, (_, _, why) in enumerate(cases):
            self.assertIn(f"NW2709 sink kafka: signal r{index}: {why}", narwal.log())
        self.assertEqual(self.copies(narwal, "b"), [1])
        self.server.sql("ALTER TABLE shop.signals RENAME id TO name; ALTER TABLE shop.signals RENAME type TO kind")
        self.signal("by place", "log", message="a word by its place")
        narwal.wait("that", lambda: "signal by place: a word by its place" in narwal.log())
        self.server.sql("ALTER TABLE shop.signals ADD more integer; INSERT INTO shop.signals VALUES ('x', 'log', '{}', 1)")
        narwal.wait("that", lambda: "the table of signals has no columns id, type and data" in narwal.log())

    def test_what_was_asked_for_when_narwal_was_killed(self):
        """It is done all the same. A table that is named twice in a signal is one of its tables."""
        narwal = self.begin("kept", signals_table="shop.signals")
        self.server.sql("ALTER TABLE shop.signals ALTER data TYPE text")
        self.signal("big", "execute-snapshot", **{"data-collections": [f"shop.none{n}" for n in range(300)] + ["shop.a"]})
        narwal.wait("some", lambda: narwal.log().count("no table that is followed matches") > 10)
        narwal.kill()
        self.assertEqual(self.copies(narwal, "a"), [5])
        narwal.start()
        narwal.wait("the copy", lambda: len(self.copies(narwal, "a")) >= 2)
        self.signal("twice", "execute-snapshot", **{"data-collections": ["shop.b", "shop.b", "shop[.]b"]})
        narwal.wait("the end", lambda: ("COMPLETED", "twice", {}) in self.later(narwal))
        self.assertIn(("STARTED", "twice", {"data_collections": "shop.b"}), self.later(narwal))

    def test_many_signals_at_once_and_one_for_what_is_being_copied(self):
        """Of one transaction, and without a key. A table that is being copied already is copied once more."""
        narwal = self.begin("crowd", signals_table="shop.signals")
        self.server.sql("ALTER TABLE shop.signals DROP CONSTRAINT signals_pkey")
        self.server.sql("INSERT INTO shop.signals SELECT 'n' || n, 'execute-snapshot', "
                        "'{\"data-collections\": [\"shop.none' || n || '\"]}' FROM generate_series(1, 300) n")
        self.signal("last", "execute-snapshot", **{"data-collections": ["shop.a"]})
        narwal.wait("the last", lambda: self.copies(narwal, "a") == [5, 5])
        self.assertEqual(narwal.log().count("no table that is followed matches"), 300)
        with self.server.connect(autocommit=False) as connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO shop.a VALUES (6)")  # no consistent point while it is open
            self.signal("first", "execute-snapshot", **{"data-collections": ["shop.a"]})
            narwal.wait("the copy", lambda: "waits for the end of a transaction" in narwal.log())
            self.signal("second", "execute-snapshot", **{"data-collections": ["shop.a"]})
            narwal.wait("it", lambda: "it is again, behind that" in narwal.log())
        narwal.wait("both", lambda: self.copies(narwal, "a") == [5, 5, 6, 6])
        narwal.wait("the end", lambda: ("COMPLETED", "second", {}) in self.later(narwal))

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

    def away(self, narwal, topic, id_):
        """Without the server a message asks for copies."""
        time.sleep(2)
        self.server.stop("immediate")
        before = narwal.log().count("asks: ")
        self.send(topic, narwal.name, json.dumps({"type": "log", "data": {"message": "asks: {}"}}))
        self.send(topic, narwal.name, json.dumps({"id": id_, "type": "execute-snapshot", "data": {"data-collections": ["shop.[ab]"]}}))
        self.send(topic, narwal.name, json.dumps({"type": "log", "data": {"message": "asks: {}"}}))
        narwal.wait("the signals", lambda: narwal.log().count("asks: at offset") == before + 2)

    def test_a_message_while_the_server_is_away(self):
        """What it asks for is done when the server is back, also for several tables; as the signal's, also after a kill."""
        self.broker.create("apart", 1)
        narwal = self.begin("waits", signals_topic="apart", delivery="transactional")
        self.away(narwal, "apart", "w1")
        self.server.start()
        narwal.wait("both copies", lambda: (self.copies(narwal, "a"), self.copies(narwal, "b")) == ([5, 5], [1, 1]))
        narwal.wait_caught_up()
        self.away(narwal, "apart", "w2")
        narwal.kill()
        self.server.start()
        narwal.start()
        narwal.wait("the end", lambda: ("COMPLETED", "w2", {}) in self.later(narwal))
        narwal.wait_caught_up()
        self.assertEqual((self.copies(narwal, "a"), self.copies(narwal, "b")), ([5, 5, 5], [1, 1, 1]))
        for id_ in ("w1", "w2"):
            self.assertEqual([kind for kind, said, _ in self.later(narwal) if said == id_].count("COMPLETED"), 1)

    def test_another_host_was_the_owner(self):
        """What was recorded before is not done any more, and that is said."""
        self.broker.create("hosts", 1)
        first = self.begin("hosts", signals_topic="hosts", delivery="transactional")
        second = self.enter(another(first, "b", options=()))
        self.away(first, "hosts", "h1")
        first.kill()
        self.server.start()
        Piped.wait_caught_up(second.start())
        self.server.sql("INSERT INTO shop.b VALUES (2)")
        Piped.wait_caught_up(second)
        self.assertEqual(second.terminate(), 0)
        first.start().wait_caught_up()
        self.assertIn("NW2016 sink kafka asked for tables refresh shop.[ab] before another narwal was the owner", first.log())
        self.server.sql("INSERT INTO shop.b VALUES (3)")
        first.wait_caught_up()
        self.assertEqual((self.copies(first, "a"), self.copies(first, "b")), ([5], [1]))

    def test_who_asked_is_not_configured_any_more(self):
        self.broker.create("gone", 1)
        narwal = self.begin("gone", signals_topic="gone")
        self.away(narwal, "gone", "g1")
        narwal.kill()
        self.server.start()
        narwal.config["sinks"][0]["name"] = "other"
        narwal.config["sinks"][0]["prefix"] = "other"
        narwal.start().wait_caught_up()
        self.assertIn("NW2016 sink kafka asked for tables refresh shop.[ab], and is not configured any more", narwal.log())

    def test_a_signal_that_comes_again(self):
        """It is followed once: when the sink begins anew, and after a kill before its place was committed."""
        narwal = self.begin("again", signals_table="shop.signals", delivery="transactional", transaction_timeout=f"{SLOW}s")
        self.assertEqual(narwal.terminate(), 0)
        self.signal("one", "execute-snapshot", **{"data-collections": ["shop.a"]})
        self.signal("word", "log", message="a word at {}")
        narwal.start(NARWAL_FREEZE_AT="write:1")
        stat = pathlib.Path(f"/proc/{narwal.process.pid}/stat")
        narwal.wait("it to freeze", lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")
        time.sleep(2 + SLOW)
        narwal.process.send_signal(signal.SIGCONT)
        narwal.wait("the end", lambda: ("COMPLETED", "one", {}) in self.later(narwal))
        narwal.wait_caught_up()
        self.assertIn("sink kafka works again", narwal.log())
        self.assertRegex(narwal.log(), "signal word: a word at [0-9A-F]+/[0-9A-F]+\n")
        self.assertEqual(narwal.log().count("signal word"), 1)
        self.assertEqual(self.copies(narwal, "a"), [5, 5])
        self.assertEqual([kind for kind, _, _ in self.later(narwal)].count("STARTED"), 1)
        for number in range(1, 4):
            self.assertEqual(narwal.terminate(), 0)
            self.signal(f"kill{number}", "execute-snapshot", **{"data-collections": ["shop.b"]})
            self.assertEqual(narwal.run_to_end(NARWAL_CRASH_AT=("write:1", "commit:1", "commit:2")[number - 1]),
                             -signal.SIGKILL)
            narwal.start()
            narwal.wait("the copy", lambda: len(self.copies(narwal, "b")) > number)
            narwal.wait_caught_up()
            time.sleep(1)  # nothing comes behind it
            self.assertEqual(self.copies(narwal, "b"), [1] * (1 + number))

    def test_two_sinks_with_one_table_of_signals(self):
        """Each follows it: a copy goes to all sinks, and each says what becomes of it as the signal's."""
        narwal = self.begin("pair", {"name": "more", "prefix": "more"}, signals_table="shop.signals")
        self.signal("one", "execute-snapshot", **{"data-collections": ["shop.[ab]"]})
        for prefix in ("pair", "more"):
            narwal.wait("the end", lambda: ("COMPLETED", "one") in self.said(prefix))
        narwal.wait_caught_up()
        for prefix in ("pair", "more"):
            kinds = [kind for kind, id_ in self.said(prefix) if id_ == "one"]
            self.assertEqual([kinds.count(kind) for kind in ("STARTED", "TABLE_SCAN_COMPLETED", "COMPLETED")], [1, 2, 1])
            copies = {value["copy"] for _, value in self.messages(f"{prefix}.shop.a")}
            self.assertGreaterEqual(len(copies), 2)  # or 3, where one asked when the other's copy had begun

    def said(self, prefix):
        return [(value["type"], value["id"]) for _, value in self.messages(f"{prefix}.notifications")
                if value["aggregate_type"] == "Incremental Snapshot"]

    def test_the_state_cannot_be_written(self):
        """What a signal asks for is not passed then: it is recorded when that can be done, also after narwal ended for it."""
        self.broker.create("locked", 1)
        narwal = self.begin("locked", signals_table="shop.signals", signals_topic="locked", delivery="transactional")
        time.sleep(2)
        with contextlib.closing(sqlite3.connect(narwal.state_dir / "state.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            self.send("locked", "locked", json.dumps({"id": "l1", "type": "execute-snapshot", "data": {"data-collections": ["shop.b"]}}))
            narwal.wait("it to fail", lambda: "NW2002 sink kafka: cannot write in narwal's state what sinks asked for" in narwal.log())
            self.signal("l2", "execute-snapshot", **{"data-collections": ["shop.a"]})
            time.sleep(2)
        if not narwal.running:
            narwal.start()
        for id_ in ("l1", "l2"):
            narwal.wait("the end", lambda: ("COMPLETED", id_, {}) in self.later(narwal))
        narwal.wait_caught_up()
        self.assertEqual((self.copies(narwal, "a"), self.copies(narwal, "b")), ([5, 5], [1, 1]))


if __name__ == "__main__":
    check.main()
