#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Signals and notifications of the real Debezium beside narwal's: rows of one table, and messages of one topic, ask both.

What each says of it is compared notification by notification, and so are the copied rows, by key and mark. Where they differ
both are written down here, and docs/kafka.md says why.
"""
import json
import os
import time
import unittest

from lab import check, cluster, debezium, kafka
from test_kafka import Piped

SETUP = """CREATE SCHEMA shop;
    CREATE TABLE shop.signals (id varchar(42) PRIMARY KEY, type varchar(32) NOT NULL, data varchar(2048));
    CREATE TABLE shop.a (id integer PRIMARY KEY, v text); INSERT INTO shop.a SELECT n, 'v' || n FROM generate_series(1, 10) n;
    CREATE TABLE shop.b (id integer PRIMARY KEY, v text); INSERT INTO shop.b SELECT n, 'v' FROM generate_series(1, 3) n;
    CREATE TABLE shop.empty (id integer PRIMARY KEY, v text);
    CREATE TABLE shop.nokey (id integer, v text); INSERT INTO shop.nokey VALUES (1, 'x')"""
SIDES = ("dbz", "nw")
TABLES = ("a", "b", "empty", "nokey")
A, B = [{"data-collections": [f"shop.{table}"]} for table in "ab"]
BOTH = {"data-collections": ["shop.a", "shop.b"]}  # with an expression Debezium has no order
ALL = {"a": list(range(1, 11)), "b": [1, 2, 3]}


def chosen(data, table, filter_):
    return {**data, "additional-conditions": [{"data-collection": f"shop.{table}", "filter": filter_}]}


def copy(id_, names, *scans):
    """What is said of a copy of these tables. scans: "a 10 SUCCEEDED" """
    return [f"STARTED {id_} {names}", f"DATA_COLLECTIONS_RESOLVED {id_} {names}",
            *(line for scan in scans for line in (*([] if scan.split()[1:] in (["0", "EMPTY"], ["0", "SQL_EXCEPTION"], ["0", "NO_PRIMARY_KEY"],
                                                                              ["0", "UNKNOWN_SCHEMA"]) else
                                                    [f"IN_PROGRESS {id_} {scan.split()[0]}"]), f"TABLE_SCAN_COMPLETED {id_} {scan}")),
            f"COMPLETED {id_}"]


def first(names, *scans):
    """The same of type "blocking"."""
    return ["Initial " + line for line in copy("*", names, *scans)]


def step(name, *signals, both=None, dbz=None, nw=None, rows=None, dbz_rows=None, end="COMPLETED", topic=False):
    """Signals (type, data); what is said and copied by both, or by each. The first signal's id is 1."""
    return name, signals, {"dbz": both if dbz is None else dbz, "nw": both if nw is None else nw}, {
        "dbz": rows if dbz_rows is None else dbz_rows, "nw": rows}, end, topic


EXECUTE, STOP, PAUSE, RESUME = ("execute-snapshot", "stop-snapshot", "pause-snapshot", "resume-snapshot")
ONE = copy(1, "a", "a 10 SUCCEEDED")
STEPS = [
    step("one table", (EXECUTE, A), both=ONE, rows={"a": ALL["a"]}),
    step("tables that are named twice", (EXECUTE, {"data-collections": ["shop.[ab]", "shop.empty", "shop.a"], "type": "INCREMENTAL"}),
         both=copy(1, "a,b,empty", "a 10 SUCCEEDED", "b 3 SUCCEEDED", "empty 0 EMPTY"), rows=ALL),
    step("no such table", (EXECUTE, {"data-collections": ["shop.none"]}), dbz=copy(1, "none", "none 0 UNKNOWN_SCHEMA"), nw=[], rows={}),
    step("no key", (EXECUTE, {"data-collections": ["shop.nokey"]}), dbz=copy(1, "nokey", "nokey 0 NO_PRIMARY_KEY"),
         nw=copy(1, "nokey", "nokey 1 SUCCEEDED"), rows={"nokey": [1]}, dbz_rows={}),
    step("chosen rows", (EXECUTE, chosen(A, "a", "id > 3")), both=copy(1, "a", "a 7 SUCCEEDED"), rows={"a": list(range(4, 11))}),
    step("no chosen rows", (EXECUTE, chosen(A, "a", "id > 1000")), both=copy(1, "a", "a 0 EMPTY"), rows={}),
    step("no condition", (EXECUTE, chosen(A, "a", "id >")), both=copy(1, "a", "a 0 SQL_EXCEPTION"), rows={}),
    # Debezium computes the condition for all rows before it reads the first, and reads no further table behind an error.
    step("a condition that fails", (EXECUTE, chosen(BOTH, "a", "length(repeat('x', 1 / (9 - id))) >= 0")),
         dbz=copy(1, "a,b", "a 0 SQL_EXCEPTION", "b 0 SQL_EXCEPTION"), nw=copy(1, "a,b", "a 8 SQL_EXCEPTION", "b 3 SUCCEEDED"),
         dbz_rows={}, rows={"a": list(range(1, 9)), "b": ALL["b"]}),
    step("a condition for none", (EXECUTE, chosen(B, "a", "id > 3")), dbz=copy(1, "b", "b 3 SUCCEEDED"), nw=[], dbz_rows={"b": ALL["b"]}, rows={}),
    step("the former condition", (EXECUTE, {**B, "additional-condition": "id > 2"}), dbz=copy(1, "b", "b 3 SUCCEEDED"),
         nw=copy(1, "b", "b 1 SUCCEEDED"), dbz_rows={"b": ALL["b"]}, rows={"b": [3]}),
    step("blocking", (EXECUTE, {**BOTH, "type": "BLOCKING"}), both=first("a,b", "a 10 SUCCEEDED", "b 3 SUCCEEDED"), rows=ALL),
    step("blocking, empty", (EXECUTE, {"data-collections": ["shop.empty"], "type": "blocking"}), both=first("empty", "empty 0 SUCCEEDED"), rows={}),
    step("blocking, a statement", (EXECUTE, {**chosen(A, "a", "SELECT * FROM shop.a WHERE id > 8"), "type": "blocking"}),
         dbz=first("a", "a 2 SUCCEEDED"), nw=[], dbz_rows={"a": [9, 10]}, rows={}),
    step("blocking, no such table", (EXECUTE, {"data-collections": ["shop.none"], "type": "blocking"}),
         dbz=["Initial STARTED * ", "Initial DATA_COLLECTIONS_RESOLVED * ", "Initial COMPLETED *"], nw=[], rows={}),
    # Debezium has read a chunk by then; of narwal nothing is read while it is paused.
    step("pause", (EXECUTE, A), (PAUSE, None), (PAUSE, {}), dbz=[*ONE[:3], "PAUSED 1 a"], nw=[*ONE[:2], "PAUSED 1 a"], end="PAUSED",
         dbz_rows={"a": [1, 2, 3, 4]}, rows={}),
    step("resume", (RESUME, {}), both=["RESUMED 0 a", *(line.replace(" 1 ", " 0 ").replace("COMPLETED 1", "COMPLETED 0") for line in ONE[2:])],
         dbz_rows={"a": list(range(5, 11))}, rows={"a": ALL["a"]}),
    step("nothing to pause, resume, or stop", (PAUSE, {}), (RESUME, {}), (STOP, {}), both=[], rows={}),
    step("stop one that waits", (EXECUTE, BOTH), (STOP, B), both=[*copy(1, "a,b", "a 10 SUCCEEDED"), "ABORTED 1 b"], rows={"a": ALL["a"]}),
    step("stop one that is read", (EXECUTE, BOTH), (STOP, A), rows={"b": ALL["b"]}, dbz_rows={"a": [1, 2, 3, 4], "b": ALL["b"]},
         dbz=[*copy(1, "a,b", "b 3 SUCCEEDED"), "IN_PROGRESS 1 a", "ABORTED 1 a"], nw=[*copy(1, "a,b", "b 3 SUCCEEDED"), "ABORTED 1 a"]),
    step("stop nothing of it", (EXECUTE, A), (STOP, {"data-collections": ["shop.none"], "type": "incremental"}),
         dbz=[*ONE, "ABORTED 1 "], nw=ONE, rows={"a": ALL["a"]}),
    step("stop all", (EXECUTE, BOTH), (STOP, {"type": "INCREMENTAL"}), end="ABORTED", dbz_rows={"a": [1, 2, 3, 4]}, rows={},
         dbz=[*copy(1, "a,b"), "IN_PROGRESS 1 a", "ABORTED * a,b"], nw=[*copy(1, "a,b")[:2], "ABORTED 1 a,b"]),
    # Debezium says all that comes behind a second signal by its id, and the first is never completed.
    step("two signals", (EXECUTE, A), (EXECUTE, B), rows=ALL,
         dbz=[*ONE[:3], "IN_PROGRESS 2 a", "TABLE_SCAN_COMPLETED 2 a 10 SUCCEEDED", "IN_PROGRESS 2 b", "TABLE_SCAN_COMPLETED 2 b 3 SUCCEEDED",
              "COMPLETED 2"], nw=[*ONE, *copy(2, "b", "b 3 SUCCEEDED")]),
    step("one table", (EXECUTE, A), topic=True, both=ONE, rows={"a": ALL["a"]}),
    step("chosen rows", (EXECUTE, chosen(A, "A", "id > 9")), topic=True, both=copy(1, "a", "a 1 SUCCEEDED"), rows={"a": [10]}),
    step("blocking", (EXECUTE, {**B, "type": "blocking"}), topic=True, both=first("b", "b 3 SUCCEEDED"), rows={"b": ALL["b"]}),
]


class SignalsTest(check.Case):
    @classmethod
    def setUpClass(cls):
        try:
            cls.broker = cls.enterClassContext(kafka.Broker())
            cls.server = cls.enterClassContext(cluster.Cluster(check.version()))
            cls.server.sql(SETUP)
            cls.broker.create("asks", 1)
            cls.other = cls.enterClassContext(debezium.Debezium(cls.server, cls.broker, "dbz", {
                "schema.include.list": "shop", "signal.data.collection": "shop.signals", "signal.enabled.channels": "source,kafka",
                "signal.kafka.topic": "asks", "signal.kafka.bootstrap.servers": cls.broker.address, "signal.poll.interval.ms": "200",
                "notification.enabled.channels": "sink", "notification.sink.topic.name": "dbz.notifications",
                "incremental.snapshot.chunk.size": "4", "poll.interval.ms": "50"}))
        except cluster.servers.Unavailable as error:
            raise unittest.SkipTest(str(error))
        cls.other.start().wait_streaming()

    def messages(self, topic):
        return [(message["key"] and json.loads(message["key"]), message["payload"] and json.loads(message["payload"]))
                for message in self.broker.read(topic)] if topic in self.broker.topics() else []

    def said(self, side):
        return [value for _, value in self.messages(f"{side}.notifications")]

    def copied(self, side):
        """Of each table, the mark, the key and the row of what was copied."""
        return {table: [(value["source"]["snapshot"], key, value["after"]) for key, value in self.messages(f"{side}.shop.{table}")
                        if value and value["op"] == "r"] for table in TABLES}

    def line(self, value, ids):
        """A notification in short: kind, whose, tables, rows and status."""
        data = {name: text.replace("shop.", "") for name, text in value["additional_data"].items()}
        self.assertEqual(list(value), ["id", "type", "aggregate_type", "additional_data", "timestamp"])
        self.assertIn(data["connector_name"], SIDES)
        table = data.get("scanned_collection") or data.get("current_collection_in_progress")
        words = [table] if table else [",".join(sorted(data["data_collections"].split(",")))] if "data_collections" in data else []
        words += [data[name] for name in ("total_rows_scanned", "status") if name in data]
        whose = ids.index(value["id"]) if value["id"] in ids else "*"
        if value["type"] == "STARTED" and value["aggregate_type"].startswith("Initial"):
            self.assertNotIn("data_collections", data)
            words = ["ANY"]
        return " ".join([*(["Initial"] if value["aggregate_type"].startswith("Initial") else []), value["type"], str(whose), *words]).rstrip()

    def lines(self, values, ids):
        """Each once: Debezium says IN_PROGRESS of each chunk. Tables have no order."""
        found = list(dict.fromkeys(self.line(value, ids) for value in values))
        return found[:2], sorted(found[2:])

    def ask(self, signals, topic, number):
        ids = [f"{number}.{index}" for index in range(1, 1 + len(signals))]
        if topic:
            for side in SIDES:
                for id_, (type_, data) in zip(ids, signals):
                    self.broker.put("asks", side, json.dumps({"id": id_, "type": type_, "data": data}))
        else:
            with self.server.connect(autocommit=False) as connection, connection.cursor() as cursor:
                for id_, (type_, data) in zip(ids, signals):
                    cursor.execute("INSERT INTO shop.signals VALUES (%s, %s, %s)", (id_, type_, data if data is None else json.dumps(data)))
        return ids

    def play(self, number, name, signals, expected, rows, end, topic):
        before = {side: (len(self.said(side)), self.copied(side)) for side in SIDES}
        ids = [self.paused, *self.ask(signals, topic, number)]
        for side in SIDES:
            kinds = [line.split()[1 if line.startswith("Initial") else 0] for line in expected[side]]
            if kinds:
                self.narwal.wait(f"{name}: {side}", lambda: end in [value["type"] for value in self.said(side)[before[side][0]:]])  # pylint: disable=cell-var-from-loop
                self.narwal.wait(f"{name}: all of {side}", lambda: {*kinds} <= {value["type"] for value in self.said(side)[before[side][0]:]})  # pylint: disable=cell-var-from-loop
        time.sleep(1)  # nothing comes behind it
        if end == "PAUSED":
            self.paused = ids[1]
        for side in SIDES:
            got = self.said(side)[before[side][0]:]
            wanted = list(dict.fromkeys(" ".join([*line.split()[:3], "ANY"]) if line.startswith("Initial STARTED") else line.rstrip()
                                        for line in expected[side]))
            self.assertEqual(self.lines(got, ids), (wanted[:2], sorted(wanted[2:])), (name, side))
            found = {table: copied[len(before[side][1][table]):] for table, copied in self.copied(side).items()}
            self.assertEqual({table: [after["id"] for _, _, after in copied] for table, copied in found.items() if copied},
                             rows[side], (name, side))
            for table, copied in found.items():
                for mark, key, after in copied:
                    self.assertEqual(key, None if table == "nokey" else {"id": after["id"]})
                    self.assertEqual(mark == "incremental", not expected[side][0].startswith("Initial"), (name, side, mark))
        if expected["dbz"] == expected["nw"] and rows["dbz"] == rows["nw"]:
            marks = [sorted(mark for copied in self.copied(side).values() for mark, _, _ in copied)[-20:] for side in SIDES]
            self.assertEqual(*marks, name)

    def test_signals(self):
        self.paused = ""
        self.narwal = self.enter(Piped(self.server, self.broker, "nw", include=("shop.*",), format="debezium_json", signals_table="shop.signals",
                                       signals_topic="asks", notifications_topic="{prefix}.notifications"))
        self.narwal.start().wait_caught_up()
        self.narwal.wait("the first copies", lambda: all("COMPLETED" in [value["type"] for value in self.said(side)] for side in SIDES))
        theirs, ours = ({line for part in self.lines(self.said(side), []) for line in part} for side in SIDES)
        # Of the table of signals Debezium copies nothing.
        self.assertEqual(ours - theirs, {"Initial IN_PROGRESS * signals", "Initial TABLE_SCAN_COMPLETED * signals 0 SUCCEEDED"})
        self.assertEqual(theirs - ours, set())
        self.assertEqual(*(self.copied(side) for side in SIDES))
        for number, (name, signals, *what) in enumerate(STEPS):
            if os.environ.get("NARWAL_STEPS", name) == name:
                with self.subTest(name, number=number):
                    self.play(number, name, signals, *what)


if __name__ == "__main__":
    check.main()
