#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""From Debezium to narwal under load, and back: no change is lost, and none comes twice but those that Debezium had sent
behind its stored offset.

What the topics have to have is what test_decoding says of the same WAL.
"""
import collections
import contextlib
import http.server
import io
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import threading
import time
import unittest

import psycopg2

from lab import check, cluster, debezium, kafka
from lab.narwal import Narwal, build

TABLES = ("a", "b", "whole")
SETUP = """
CREATE SCHEMA shop;
CREATE TABLE shop.a (id integer PRIMARY KEY, v integer NOT NULL);
CREATE TABLE shop.b (id integer PRIMARY KEY, t text);
CREATE TABLE shop.whole (id integer PRIMARY KEY, v integer);
ALTER TABLE shop.whole REPLICA IDENTITY FULL;
INSERT INTO shop.a SELECT g, 0 FROM generate_series(1, 50) g;
"""
CHANGE = re.compile(r"table shop\.(\w+): (INSERT|UPDATE|DELETE): (.*)", re.S)
KEY = re.compile(r"\bid\[integer\]:(\d+)")


class Load:
    """Sessions that write until stop(): short transactions, long ones that overlap them, COPY, savepoints, changed keys."""

    def __init__(self, server, seed, sessions=3, first=1):
        self.server, self.stopping = server, threading.Event()
        self.rows = 0
        self.errors = []
        self.threads = [threading.Thread(target=self.run, args=(random.Random(seed * 100 + i), i + first)) for i in range(sessions)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        if self.errors:
            raise self.errors[0]

    def run(self, dice, session):
        try:
            with psycopg2.connect(self.server.dsn()) as connection, connection.cursor() as cursor:
                next_id = session * 10_000_000
                while not self.stopping.is_set():
                    next_id = self.transaction(dice, cursor, session, next_id)
                    if dice.random() < 0.1:
                        connection.rollback()
                    else:
                        connection.commit()
                    time.sleep(dice.random() * 0.02)
        except Exception as error:  # noqa: BLE001, it is raised by stop()
            self.errors.append(error)

    def transaction(self, dice, cursor, session, next_id):
        long = session % 10 == 1 and dice.random() < 0.3
        for _ in range(dice.randint(100, 300) if long else dice.randint(1, 6)):
            next_id = self.change(dice, cursor, session, next_id)
            if long:
                time.sleep(0.004)
        return next_id

    def change(self, dice, cursor, session, next_id):
        table = dice.choice(TABLES)
        first = session * 10_000_000
        some = dice.randint(first, max(first, next_id))
        kind = dice.random()
        self.rows += 1
        if kind < 0.4:
            cursor.execute(f"INSERT INTO shop.{table} VALUES (%s, %s)", (next_id, dice.randint(0, 9)))
            next_id += 1
        elif kind < 0.5:
            count = dice.randint(2, 20)
            cursor.copy_expert(f"COPY shop.{table} FROM STDIN", io.StringIO("".join(f"{next_id + i}\t1\n" for i in range(count))))
            next_id += count
        elif kind < 0.75:
            cursor.execute(f"UPDATE shop.{table} SET {'t' if table == 'b' else 'v'} = %s WHERE id = %s", (next_id % 1000, some))
        elif kind < 0.85:
            cursor.execute("SAVEPOINT s")
            cursor.execute(f"UPDATE shop.{table} SET id = %s WHERE id = %s", (next_id + 5_000_000, some))
            cursor.execute("ROLLBACK TO s" if dice.random() < 0.3 else "RELEASE s")
            next_id += 1
        else:
            cursor.execute(f"DELETE FROM shop.{table} WHERE id = %s", (some,))
        return next_id


Change = collections.namedtuple("Change", "xid lsn table messages several")


class Truth:
    """All changes in their order, as test_decoding says."""

    def __init__(self, server):
        self.server, self.changes = server, []
        self.ends = {}  # of transactions: where the commit ends
        server.sql("SELECT pg_create_logical_replication_slot('truth', 'test_decoding')")

    def read(self):
        for lsn, xid, text in self.server.sql(
                "SELECT lsn - '0/0'::pg_lsn, xid::text::bigint, data FROM pg_logical_slot_get_changes('truth', NULL, NULL)"):
            found = CHANGE.match(text)
            if text.startswith("COMMIT"):
                self.ends[xid] = int(lsn)
            if found:
                self.changes.append(self.change(int(lsn), xid, *found.groups()))
        return self

    @staticmethod
    def change(lsn, xid, table, kind, text):
        old, _, new = text.rpartition("new-tuple: ")
        after = int(KEY.search(new or text)[1])
        before = int(KEY.search(old)[1]) if old else after
        if kind == "UPDATE" and before != after:
            return Change(xid, lsn, table, (("d", before), ("c", after)), True)
        op = {"INSERT": "c", "UPDATE": "u", "DELETE": "d"}[kind]
        return Change(xid, lsn, table, ((op, after),), op == "d" or (op == "u" and table == "whole"))

    def until(self, offset):
        """How many changes the offset has."""
        if offset["messageType"] in ("BEGIN", "COMMIT"):  # of a heartbeat
            return len([change for change in self.changes if self.ends[change.xid] <= offset["lsn_commit"]])
        here = [i for i, change in enumerate(self.changes) if (change.xid, change.lsn) == (offset["txId"], offset["lsn"])]
        return here[offset.get("lsn_events_processed", 1) - 1] + 1

    def expected(self, table, count=None):
        return [(change.xid, change.lsn, *message) for change in self.changes[:count] if change.table == table
                for message in change.messages]


class Case(check.Case):
    @classmethod
    def setUpClass(cls):
        try:
            cls.broker = cls.enterClassContext(kafka.Broker())
        except cluster.servers.Unavailable as error:
            raise unittest.SkipTest(str(error))

    def start(self, name, seed, sink=None, **properties):
        self.name = name
        self.server = self.cluster()
        self.server.sql(SETUP)
        self.other = self.enter(debezium.Debezium(self.server, self.broker, name, {
            "schema.include.list": "shop", "poll.interval.ms": "50", **properties}))
        self.other.start().wait_streaming()
        self.truth = Truth(self.server)
        self.narwal = self.enter(Narwal(self.server, name=f"nw_{name}", settings={
            "source": {"slot": {"name": f"debezium_{name}"}, "publication": {"name": f"debezium_{name}", "create": False}},
            "tables": {"include": ["shop.*"]},
            "sinks": [{"type": "kafka", "brokers": [self.broker.address], "prefix": name, "format": "debezium_json",
                       "delivery": "transactional", **(sink or {})}]}))
        self.narwal.write()

    def rows(self, table):
        """What a topic has: the messages, without what was copied, and tombstones as None."""
        topic = f"{self.name}.shop.{table}"
        found = []
        for message in self.broker.read(topic) if topic in self.broker.topics() else ():
            key = json.loads(message["key"])["id"]
            if message["payload"] is None:
                found.append((None, key))
                continue
            event = json.loads(message["payload"])
            if event["op"] != "r":
                found.append((event["source"]["txId"], event["source"]["lsn"], event["op"], key))
        return found

    def counts(self):
        return {table: len([row for row in self.rows(table) if row[0] is not None]) for table in TABLES}

    def compare(self, restarts, repeats=False):
        """All is there, in order. @param restarts  where rows may come again: a table's count of rows before, and the first
        row that may come again. @param repeats  rows may come again anywhere. @return how many came again"""
        again = 0
        for table in TABLES:
            expected = self.truth.expected(table)
            place = {row: i for i, row in enumerate(expected)}
            self.assertEqual(len(place), len(expected), "each row is another one")
            at, count, deleted = 0, 0, None
            for row in self.rows(table):
                if row[0] is None:
                    self.assertEqual(row[1], deleted, f"a tombstone in {table}")
                    deleted = None
                    continue
                self.assertIn(row, place, f"{table}, behind {expected[max(0, at - 2):at]}")
                self.assertTrue(deleted is None or (row[2], row[3]) == ("d", deleted) or (repeats and place[row] < at),
                                f"{table}: no tombstone of {deleted}")
                deleted = row[3] if row[2] == "d" else None
                if place[row] < at and repeats:
                    again += at - place[row]
                    at = place[row]
                elif place[row] != at:
                    allowed = [first[table] for before, first in restarts if before[table] == count]
                    self.assertTrue(allowed, f"{table}: {row} is number {place[row]}, expected was {at}: {expected[at:at + 2]}")
                    self.assertTrue(min(allowed) <= place[row] <= at, f"{table}: from {place[row]}, allowed from {allowed}")
                    again += at - place[row]
                    at = place[row]
                at += 1
                count += 1
            self.assertEqual(at, len(expected), f"{table} ends early")
            self.assertIsNone(deleted)
        return again

    def firsts(self, offset):
        """Of each table the first row that is not in the offset, or that may be there in part only."""
        count = self.truth.until(offset)
        last = self.truth.changes[count - 1]
        between = offset["messageType"] in ("BEGIN", "COMMIT")
        first = {table: len(self.truth.expected(table, count)) for table in TABLES}
        if last.several and not between:
            first[last.table] -= len(last.messages)
        return first

    def stored(self):
        """The offset that Connect has in its file."""
        text = self.other.offsets_file.read_bytes().decode("latin1")
        offset, = re.findall(r'\{[^{}]*"lsn":\d+[^{}]*\}', text)
        return json.loads(offset)

    def take_over(self, *words):
        return self.narwal_call("take-over", *words)

    def narwal_call(self, command, *words, code=0):
        result = subprocess.run(self.narwal.command(command, self.narwal.file, *words), text=True, timeout=120,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result.stdout if command == "export-debezium" and code == 0 else result.stdout + result.stderr

    def caught_up(self):
        self.narwal.wait("everything durable", lambda: self.narwal.call("wait", "--timeout", "5s")[0] == 0, 120)


class Connect(http.server.ThreadingHTTPServer):
    """Answers as Connect does of one connector; what is written there is kept."""

    def __init__(self, config, offset, state="STOPPED"):
        self.config, self.offset, self.state, self.patched = config, offset, state, None
        self.later = None  # what it stores once it was asked
        self.answers, self.seen = [], []  # statuses for what is written; who asked for which path
        self.arguments = set()  # of all processes, as each user sees them while Connect is asked
        super().__init__(("127.0.0.1", 0), Answers)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/connectors/taken"

    def __exit__(self, *why):
        self.shutdown()
        super().__exit__(*why)


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append((self.headers["Authorization"], self.path))
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                self.server.arguments.add(path.read_text(errors="replace"))
        part = self.path.rpartition("/")[2]
        connect = self.server
        self.answer({"name": "taken", "config": connect.config} if part == "taken" else
                    {"connector": {"state": connect.state}, "tasks": []} if part == "status" else
                    {"offsets": [{"partition": {"server": connect.config["topic.prefix"]}, "offset": connect.offset}]})
        if part == "offsets" and connect.later:
            connect.offset = connect.later

    def do_PUT(self):
        self.server.state = "STOPPED"
        self.answer({})

    def do_PATCH(self):
        self.server.seen.append((self.headers["Authorization"], self.path))
        self.server.patched = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer({"message": "altered"}, self.server.answers.pop(0) if self.server.answers else 200)

    def answer(self, what, status=200):
        body = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class OffsetTest(Case):
    """Without Debezium: its slot, a transaction, and the offset that it would have."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            cls.server = cls.enterClassContext(cluster.Cluster(check.version(), {"max_replication_slots": "40"}))
        except cluster.servers.Unavailable as error:
            raise unittest.SkipTest(str(error))
        cls.server.sql(SETUP)

    def begin(self, name, workers=1, **more):
        self.name = name
        self.server.sql(f"CREATE PUBLICATION {name} FOR TABLE shop.a, shop.b, shop.whole")
        self.server.sql(f"SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')")
        self.server.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'truth'")
        self.truth = Truth(self.server)
        self.broker.create(f"{name}.shop.a", 1)
        self.broker.put(f"{name}.shop.a", '{"id": 0}', "of Debezium")  # no narwal begins here by itself
        self.narwal = self.enter(Narwal(self.server, name=name, settings={
            "source": {"slot": {"name": name, "create": False}, "publication": {"name": name, "create": False}},
            "tables": {"include": ["shop.*"]},
            "sinks": [{"type": "kafka", "brokers": [self.broker.address], "prefix": name, "format": "debezium_json",
                       "workers": workers, "delivery": "transactional", **more}]}))
        self.narwal.write()

    def change(self, *statements):
        """A transaction; the end of the commit before it."""
        before = self.server.lsn()
        connection = self.server.connect(autocommit=False)
        with connection, connection.cursor() as cursor:
            for statement in statements:
                if statement.startswith("COPY"):
                    cursor.copy_expert("COPY shop.a FROM STDIN", io.StringIO(statement[5:]))
                else:
                    cursor.execute(statement)
        connection.close()
        return before

    def offset(self, before, index, **more):
        """As if the change with this index were the last that is stored; LSNs that the transaction shares are counted."""
        changes = self.truth.read().changes
        last = changes[index]
        same = [i for i, change in enumerate(changes) if (change.xid, change.lsn) == (last.xid, last.lsn)]
        kind = {"c": "INSERT", "u": "UPDATE", "d": "DELETE"}[last.messages[-1][0]]
        return {"lsn": last.lsn, "lsn_proc": last.lsn, "lsn_commit": before, "txId": last.xid, "messageType": kind,
                "lsn_events_processed": same.index(range(len(changes))[index]) + 1, "ts_usec": 1, **more}

    def file(self, offset, server=None):
        path = self.narwal.home / "offsets.json"
        path.write_text(json.dumps({"offsets": [{"partition": {"server": server or self.name}, "offset": offset}]}))
        return path

    def connect(self, offset, state="STOPPED", **properties):
        return self.enter(Connect({"plugin.name": "pgoutput", "slot.name": self.name, "publication.name": self.name,
                                   "topic.prefix": self.name, **properties}, offset, state))

    def refused(self, code, *words, command="take-over"):
        said = self.narwal_call(command, *words, "--yes", code=1)
        self.assertIn(code, said)
        return said

    def sent(self, table):
        topic = f"{self.name}.shop.{table}"
        events = [(json.loads(message["key"])["id"], json.loads(message["payload"])["op"]) for message in self.broker.read(topic)
                  if message["payload"] not in (None, "of Debezium")] if topic in self.broker.topics() else []
        return events

    def follow(self):
        self.narwal.start()
        self.caught_up()
        self.assertEqual(self.narwal.terminate(), 0)

    def test_part_of_a_transaction(self):
        self.begin("part")
        before = self.change("INSERT INTO shop.a VALUES (1001, 1)", "COPY 1002\t1\n1003\t1\n1004\t1\n",
                             "INSERT INTO shop.b VALUES (1005, 'x')", "UPDATE shop.a SET v = 2 WHERE id = 1001")
        self.change("DELETE FROM shop.a WHERE id = 1001")
        file = self.file(self.offset(before, 2))
        said = self.narwal_call("take-over", file, "--dry-run")
        self.assertIn("of its 6 changes Debezium has sent 3", said)
        self.assertIn("nothing was changed", said)
        self.narwal.start()  # without that it does not copy
        self.assertEqual(self.narwal.wait_exit(), 1)
        self.assertIn("NW2731", self.narwal.log())
        shutil.rmtree(self.narwal.state_dir, ignore_errors=True)
        self.assertIn("done:", self.narwal_call("take-over", file, "--yes"))
        self.refused("NW2382", file)
        self.follow()
        self.assertEqual(self.sent("a"), [(1004, "c"), (1001, "u"), (1001, "d")])
        self.assertEqual(self.sent("b"), [(1005, "c")])
        self.narwal.start()  # and that stays so
        self.caught_up()
        self.assertEqual(self.narwal.terminate(), 0)
        self.assertEqual(len(self.sent("a")), 3)

    def test_killed_before_that_transaction_is_durable(self):
        self.begin("half")
        before = self.change("INSERT INTO shop.a VALUES (2001, 1), (2002, 1)", "DELETE FROM shop.a WHERE id = 2001",
                             "INSERT INTO shop.b VALUES (2003, 'x')")
        offset = self.offset(before, 2)
        for at in ("take-over-begun:1", "take-over-open:1", "take-over-state:1", "take-over-sink:1"):
            result = subprocess.run(self.narwal.command("take-over", self.narwal.file, self.file(offset), "--yes"),
                                          env={**os.environ, "NARWAL_CRASH_AT": at}, stdout=subprocess.PIPE, text=True)
            self.assertNotEqual(result.returncode, 0)
            self.assertEqual(self.narwal.run_to_end(), 1)
            self.assertIn("NW2383", self.narwal.log())
        said = self.narwal_call("take-over", self.file(offset), "--yes")
        self.assertIn("NW2384", said)  # the delete: its tombstone may not be there
        self.assertNotEqual(self.narwal.run_to_end(NARWAL_CRASH_AT="commit:1"), 0)
        self.follow()
        self.assertEqual(self.sent("a"), [(2001, "d")])
        self.assertEqual(self.sent("b"), [(2003, "c")])

    def test_all_of_a_transaction(self):
        """As it is at rest: then narwal's state is not needed. An older Debezium does not count."""
        self.begin("whole")
        before = self.change("INSERT INTO shop.a VALUES (3001, 1)", "INSERT INTO shop.b VALUES (3002, 'x')")
        offset = self.offset(before, 1)
        del offset["lsn_events_processed"]
        said = self.narwal_call("take-over", self.file(offset), "--yes")
        self.assertNotIn("passed over", said)
        shutil.rmtree(self.narwal.state_dir)
        self.change("INSERT INTO shop.a VALUES (3003, 1)")
        self.follow()
        self.assertEqual((self.sent("a"), self.sent("b")), ([(3003, "c")], []))

    def test_an_older_debezium_at_rest(self):
        """Before 2.7 heartbeats store the end of a transaction with the kind of its last change. So it was seen of 1.9.8 and 2.3.4."""
        self.begin("rest")
        self.change("INSERT INTO shop.a VALUES (24001, 1)", "INSERT INTO shop.b VALUES (24002, 'x')")
        xid = self.truth.read().changes[-1].xid
        end = self.server.lsn()
        rest = {"transaction_id": None, "lsn": end, "lsn_proc": end, "lsn_commit": end, "txId": xid, "ts_usec": 1}
        for kind in ({"messageType": "INSERT"}, {"messageType": "NOOP"}, {}):
            said = self.narwal_call("take-over", self.file({**rest, **kind}), "--dry-run")
            self.assertIn(f"the offset is the end of transaction {xid}", said)
        self.refused("NW2381", self.file({**rest, "messageType": "INSERT", "lsn_events_processed": 1}))  # no such Debezium
        before = self.change("INSERT INTO shop.a VALUES (24003, 1)", "INSERT INTO shop.a VALUES (24004, 1)")
        first = self.truth.read().changes[-2]
        inside = {**rest, "lsn": first.lsn, "lsn_proc": first.lsn, "lsn_commit": first.lsn, "txId": first.xid}
        said = self.narwal_call("take-over", self.file(inside), "--dry-run")  # the next transaction's first change, where it begins
        self.assertIn("of its 2 changes Debezium has sent 1", said)
        self.refused("NW2381", self.file({**rest, "lsn": first.lsn + 1, "lsn_commit": before, "messageType": "INSERT"}))
        self.narwal_call("take-over", self.file({**rest, "messageType": "INSERT"}), "--yes")
        self.follow()
        self.assertEqual(self.sent("a"), [(24003, "c"), (24004, "c")])
        self.assertEqual(self.sent("b"), [])

    def test_a_change_that_the_connector_leaves_out(self):
        """An older one stores the LSN of such a change too, as NOOP or without a kind."""
        for kind in ({"messageType": "NOOP"}, {}):
            self.begin(f"noop{len(kind)}")
            before = self.change(f"INSERT INTO shop.a VALUES ({25001 + 10 * len(kind)}, 1)")
            lsn = self.truth.read().changes[-1].lsn
            offset = self.offset(before, -1, lsn=lsn - 1, lsn_proc=lsn - 1)
            del offset["messageType"], offset["lsn_events_processed"]
            self.refused("NW2381", self.file({**offset, "messageType": "INSERT"}))
            said = self.narwal_call("take-over", self.file({**offset, **kind}), "--yes")
            self.assertIn("of its 1 changes Debezium has sent 0", said)
            self.follow()
            self.assertEqual(self.sent("a"), [(25001 + 10 * len(kind), "c")])

    def test_transactions_that_overlap(self):
        """The commit before is behind the last change that was sent."""
        self.begin("overlap")
        start = self.server.lsn()
        other = self.server.connect(autocommit=False)
        with other, other.cursor() as cursor:
            cursor.execute("INSERT INTO shop.a VALUES (8001, 1)")
            cursor.execute("INSERT INTO shop.a VALUES (8002, 1)")
            self.change("INSERT INTO shop.a VALUES (8003, 1)")
            before = self.server.lsn()
        other.close()
        offset = self.offset(before, 1)
        self.assertLess(offset["lsn"], before)
        self.refused("NW2381", self.file({**offset, "txId": 1}))
        self.assertIn("of its 2 changes Debezium has sent 1", self.narwal_call("take-over", self.file(offset), "--dry-run"))
        self.server.sql(f"SELECT pg_replication_slot_advance('overlap', '{before >> 32:X}/{before & 0xFFFFFFFF:X}')")
        said = self.narwal_call("take-over", self.file({**offset, "lsn_commit": start}), "--trust-slot", "--yes")
        self.assertIn("of its 2 changes Debezium has sent 1", said)
        self.follow()
        self.assertEqual(self.sent("a"), [(8002, "c")])

    def test_the_end_of_a_transaction_is_sent(self):
        self.begin("ended", transactions_topic="{prefix}.transaction")
        before = self.change("INSERT INTO shop.a VALUES (8101, 1), (8102, 1)")
        self.narwal_call("take-over", self.file(self.offset(before, 1)), "--yes")
        self.follow()
        self.assertEqual(self.sent("a"), [])
        told, = (json.loads(message["payload"]) for message in self.broker.read("ended.transaction"))
        self.assertEqual((told["status"], told["event_count"]), ("END", 2))

    def test_another_stream_is_not_what_was_counted(self):
        self.begin("counted")
        before = self.change("SELECT pg_logical_emit_message(true, 'p', 'x')", "INSERT INTO shop.a VALUES (8201, 1), (8202, 1)")
        self.assertIn("of its 3 changes Debezium has sent 2", self.narwal_call("take-over", self.file(self.offset(before, 0)), "--yes"))
        self.narwal.config["source"]["messages"] = False
        self.narwal.write()
        self.assertEqual(self.narwal.run_to_end(), 1)
        self.assertIn("NW2386", self.narwal.log())
        del self.narwal.config["source"]["messages"]
        self.narwal.write()
        self.follow()
        self.assertEqual(self.sent("a"), [(8202, "c")])

    def test_from_the_topic_of_connect(self):
        """Connect is not needed for it."""
        self.begin("topic")
        before = self.change("INSERT INTO shop.a VALUES (7001, 1), (7002, 1)")
        good = self.offset(before, 0)
        self.broker.create("connect-offsets", 3)
        for name, server, offset in (("taken", "topic", {**good, "txId": 1}), ("taken", "topic", good), ("other", "topic", {"lsn": 1}),
                                     ("taken", "another", {"lsn": 1})):
            self.broker.put("connect-offsets", json.dumps([name, {"server": server}], separators=(",", ":")), json.dumps(offset))
        self.refused("NW1554", "none", "--offsets-topic", "connect-offsets")
        self.refused("NW1552", "taken", "--offsets-topic", "no-such-topic")
        self.narwal_call("take-over", "taken", "--offsets-topic", "connect-offsets", "--yes")
        self.follow()
        self.assertEqual(self.sent("a"), [(7002, "c")])

    def test_between_transactions(self):
        """With heartbeats, or right behind the snapshot."""
        self.begin("between")
        self.change("INSERT INTO shop.a VALUES (4001, 1)")
        end = self.server.lsn()
        self.change("INSERT INTO shop.a VALUES (4002, 1)")
        for offset in ({"lsn": end, "snapshot": "INITIAL", "snapshot_completed": True, "last_snapshot_record": True},
                       {"lsn": end, "lsn_proc": end, "lsn_commit": end, "txId": 1, "messageType": "COMMIT"}):
            self.assertIn("do    sink kafka begins", self.narwal_call("take-over", self.file(offset), "--dry-run"))
        later = {"lsn": self.server.lsn(), "lsn_proc": end, "lsn_commit": end, "txId": 1, "snapshot": "INITIAL",
                 "snapshot_completed": True, "last_snapshot_record": True}  # it is not sure that that snapshot has all tables
        self.assertIn(f"begins at {end >> 32:X}/{end & 0xFFFFFFFF:X},", self.narwal_call("take-over", self.file(later), "--dry-run"))
        self.narwal_call("take-over", self.file(offset), "--yes")
        self.follow()
        self.assertEqual(self.sent("a"), [(4002, "c")])

    def test_back(self):
        self.begin("back")
        before = self.change("INSERT INTO shop.a VALUES (5001, 1), (5002, 1)")
        offset = self.offset(before, 0)
        connect = self.connect(offset, "RUNNING")
        self.assertIn("NW1555", self.refused("NW1555", connect.url, "--dry-run"))
        self.assertIn("done:", self.narwal_call("take-over", connect.url, "--stop", "--yes"))
        self.narwal_call("export-debezium", connect.url, "--dry-run")
        self.assertIsNone(connect.patched)
        self.assertEqual(json.loads(self.narwal_call("export-debezium")),  # nothing happened since
                         {"offsets": [{"partition": {"server": "back"}, "offset": offset}]})
        self.narwal_call("take-over", connect.url, "--yes")
        self.follow()
        end = self.server.lsn()
        self.narwal_call("export-debezium", connect.url, "--yes")
        entry, = connect.patched["offsets"]
        self.assertEqual((entry["partition"], set(entry["offset"])), ({"server": "back"}, {"lsn", "ts_usec"}))
        self.assertLessEqual(entry["offset"]["lsn"], end)
        self.assertGreater(entry["offset"]["lsn"], offset["lsn"])
        self.assertEqual(self.narwal.run_to_end(), 1)
        self.assertIn("NW2383", self.narwal.log())
        self.change("CREATE TABLE shop.late (id integer PRIMARY KEY)", "ALTER PUBLICATION back ADD TABLE shop.late",
                    "INSERT INTO shop.late VALUES (5004)")  # Debezium sends it
        connect.offset = {**entry["offset"], "lsn": self.server.lsn()}  # and once more
        self.change("INSERT INTO shop.a VALUES (5003, 1)", "INSERT INTO shop.late VALUES (5005)")
        sink = self.narwal.config["sinks"][0]
        before = dict(sink)
        sink.update(brokers=[f"127.0.0.1:{cluster.free_port()}"], timeout="1s")
        self.narwal.write()
        self.assertIn("not done", self.narwal_call("take-over", connect.url, "--yes", code=1))
        self.narwal.config["sinks"][0] = before  # what cannot be opened leaves all as it was
        self.narwal.write()
        self.assertEqual(self.narwal.run_to_end(), 1)
        self.assertIn("gave this pipeline back", self.narwal.log())
        self.narwal_call("take-over", connect.url, "--yes")
        self.follow()
        self.assertEqual(self.sent("a"), [(5002, "c"), (5003, "c")])
        self.assertEqual(self.sent("late"), [(5005, "c")])
        self.server.sql("DROP TABLE shop.late")
        self.server.sql("SELECT pg_drop_replication_slot('back')")
        self.refused("NW1558", command="export-debezium")

    def test_back_to_a_connect_that_fails(self):
        """It gets the same offset again, word for word, or narwal goes on."""
        self.begin("fails")
        before = self.change("INSERT INTO shop.a VALUES (21001, 1), (21002, 1)")
        offset = self.offset(before, 0)
        connect = self.connect(offset)
        self.narwal_call("take-over", connect.url, "--yes")
        connect.answers = [409, 500]
        self.assertIn("nothing was changed", self.refused("NW1552", connect.url, command="export-debezium"))
        self.assertIn("is not known", self.refused("NW1552", connect.url, command="export-debezium"))
        self.assertEqual(self.narwal.run_to_end(), 1)
        self.assertIn("NW2383", self.narwal.log())
        connect.patched, connect.seen, connect.arguments = None, [], set()
        result = subprocess.run(self.narwal.command("export-debezium", self.narwal.file, connect.url.replace("//", "//me:secret@") + "/",
                                                    "--yes"), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertNotIn("secret", result.stdout)
        self.assertIn(f"curl -X PUT {connect.url}/resume", result.stdout)
        self.assertEqual({who for who, _ in connect.seen}, {"Basic bWU6c2VjcmV0"})
        seen = [words for words in connect.arguments if f"//*********@127.0.0.1:{connect.server_port}/" in words]
        self.assertTrue(seen, connect.arguments)
        self.assertFalse([words for words in connect.arguments if f"me:secret@127.0.0.1:{connect.server_port}" in words])
        self.assertEqual(connect.seen[-1][1], "/connectors/taken/offsets")
        again = {"offsets": [{"partition": {"server": "fails"}, "offset": offset}]}
        self.assertEqual(connect.patched, again)
        said = self.narwal_call("export-debezium")
        self.assertEqual(json.loads(said), again)
        self.narwal_call("take-over", self.file(json.loads(said)["offsets"][0]["offset"]), "--yes")
        self.follow()
        connect.answers = [409]
        self.refused("NW1552", connect.url, command="export-debezium")
        self.change("INSERT INTO shop.a VALUES (21003, 1)")
        self.follow()
        self.assertEqual(self.sent("a"), [(21002, "c"), (21003, "c")])
        said = self.refused("NW1552", connect.url.replace("//", "//me:secret@") + "s", command="export-debezium")
        self.assertNotIn("secret", said)
        connect.answers = [409]
        result = subprocess.run(self.narwal.command("export-debezium", self.narwal.file, connect.url, "--yes"), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
        self.assertEqual(result.returncode, 1, "what it started cannot be waited for: " + result.stdout)
        self.assertIn("nothing was changed", result.stdout)

    def test_back_while_a_table_is_copied(self):
        """Its changes wait for the copy, and positions do not."""
        self.server.sql("CREATE TABLE shop.large AS SELECT g AS id, repeat('x', 200) AS t FROM generate_series(1, 300000) g")
        self.server.sql("ALTER TABLE shop.large ADD PRIMARY KEY (id)")
        self.addCleanup(self.server.sql, "DROP TABLE shop.large")
        self.begin("copied")
        self.server.sql("ALTER PUBLICATION copied ADD TABLE shop.large")
        before = self.change("INSERT INTO shop.a VALUES (22001, 1)")
        self.narwal_call("take-over", self.file(self.offset(before, 0)), "--yes")
        for _ in range(5):
            self.narwal.start()
            self.caught_up()
            self.assertEqual(self.narwal.call("table", "refresh", "shop.large")[0], 0)
            self.narwal.wait("some of it", lambda: "copied.shop.large" in self.broker.topics(), 30)
            self.change("INSERT INTO shop.large VALUES ((SELECT max(id) + 1 FROM shop.large))")
            time.sleep(0.2)
            self.narwal.kill()
            result = subprocess.run(self.narwal.command("export-debezium", self.narwal.file, "--dry-run"), text=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if result.returncode != 0:
                break
        self.assertIn("NW1558 1 tables are being copied", result.stdout)
        self.narwal.start()
        self.narwal.wait("the copy", lambda: re.search(r"shop\.large +streaming", self.narwal.call("table", "list")[1]))
        self.assertEqual(self.narwal.terminate(), 0)
        self.narwal_call("export-debezium")

    def test_back_without_the_other_sinks(self):
        """They may be down. What stays behind is said."""
        self.server.sql("CREATE TABLE shop.n (id integer PRIMARY KEY, v numeric(5,2))")
        self.addCleanup(self.server.sql, "DROP TABLE shop.n")
        self.begin("others")
        self.server.sql("ALTER PUBLICATION others ADD TABLE shop.n")
        before = self.change("INSERT INTO shop.a VALUES (23001, 1)")
        self.narwal_call("take-over", self.file(self.offset(before, 0)), "--yes")
        self.narwal.config["sinks"][0]["refused"] = "dead_letter"
        self.change("INSERT INTO shop.n VALUES (1, 'NaN')")
        self.follow()
        self.narwal.config["sinks"].append({"type": "file", "path": "/proc/nowhere"})
        self.narwal.config["sinks"].append({**self.narwal.config["sinks"][0], "name": "second", "prefix": "elsewhere",
                                            "brokers": [f"127.0.0.1:{cluster.free_port()}"]})
        self.narwal.write()
        for words in ((), ("--sink", "file")):
            result = subprocess.run(self.narwal.command("export-debezium", self.narwal.file, *words), text=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self.assertEqual(result.returncode, 2, result.stdout)
            self.assertIn("NW1557", result.stdout)
        result = subprocess.run(self.narwal.command("export-debezium", self.narwal.file, "--sink", "kafka"), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("NW1559 sink file ends here", result.stderr)
        self.assertIn("NW1559 sink second ends here", result.stderr)
        self.assertIn("NW1559 1 rows are dead letters", result.stderr)

    def test_back_where_workers_stopped_at_different_places(self):
        """As after a crash between the commits of two. Once they are even, nothing is said."""
        self.begin("uneven", workers=2)
        before = self.change("INSERT INTO shop.a VALUES (26001, 1)")
        self.narwal_call("take-over", self.file(self.offset(before, 0)), "--yes")
        self.follow()

        def ledger():
            return {message["key"]: json.loads(message["payload"]) for message in self.broker.read("_narwal.uneven.kafka")}
        former = ledger()
        self.assertEqual(former["position"]["lsn"], former["position/1"]["lsn"])
        self.change("INSERT INTO shop.a VALUES (26003, 1)", "INSERT INTO shop.b VALUES (26004, 'x')")
        for commit in (1, 2, 3):  # the server hears nothing of it
            self.assertNotEqual(self.narwal.run_to_end(NARWAL_CRASH_AT=f"commit:{commit}"), 0)
            if ledger()["position/1"]["lsn"] > former["position/1"]["lsn"]:
                break
        self.broker.put("_narwal.uneven.kafka", "position/1", json.dumps(former["position/1"]))
        result = subprocess.run(self.narwal.command("export-debezium", self.narwal.file, "--dry-run"), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertIn("NW1559 the topics have some changes behind the position", result.stdout)
        self.assertIn(f"Debezium goes on at {former['position/1']['lsn']} ", result.stdout)
        self.assertEqual(subprocess.run([*self.narwal.command("run", self.narwal.file), "--until", "now"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode, 0)
        result = subprocess.run(self.narwal.command("export-debezium", self.narwal.file, "--dry-run"), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertNotIn("NW1559", result.stdout)

    def test_what_is_refused(self):
        self.begin("refused")
        before = self.change("INSERT INTO shop.a VALUES (6001, 1), (6002, 1)")
        good = self.offset(before, 0)
        self.refused("NW1554", self.file(good, "another"))
        self.refused("NW1554", self.file({"binlog": 4}))
        self.refused("NW1554", self.narwal.home / "none.json")
        self.refused("NW1556", self.file({"lsn": before, "snapshot": "INITIAL", "last_snapshot_record": False}))
        self.refused("NW1556", self.file({**good, "incremental_snapshot_collections": "[{}]"}))
        for name, value in (("slot.name", "another"), ("publication.name", "another"), ("topic.prefix", "another"),
                            ("plugin.name", "decoderbufs")):
            said = self.refused("NW1557" if name != "topic.prefix" else "NW1554", self.connect(good, **{name: value}).url)
        self.assertIn("decoderbufs", said)
        self.refused("NW1555", self.connect(good, "PAUSED").url)
        connect = self.connect(good)
        connect.later = {**good, "lsn_events_processed": 2}  # its task was at work still
        self.assertIn("run this again", self.refused("NW1555", connect.url))
        self.refused("NW2381", self.file({**good, "txId": good["txId"] + 1}))
        said = self.refused("NW2381", self.connect({**good, "txId": 1}, "RUNNING").url, "--stop")
        self.assertIn("/connectors/taken/resume lets it go on", said)
        self.refused("NW2381", self.file({**good, "lsn_commit": good["lsn_commit"] + 10**9}))
        self.refused("NW2731", command="export-debezium")
        self.server.sql("SELECT pg_replication_slot_advance('refused', pg_current_wal_lsn())")
        self.refused("NW2380", self.file(good))
        self.assertIn("NW2385", self.narwal_call("take-over", self.file(good), "--trust-slot", "--dry-run"))
        for _ in range(100):  # who read it ahead may not have gone on the server yet
            if not self.server.value("SELECT active FROM pg_replication_slots WHERE slot_name = 'refused'"):
                break
            time.sleep(0.1)
        self.server.sql("SELECT pg_drop_replication_slot('refused')")
        self.refused("NW2380", self.file(good))


class SwitchTest(Case):
    def kills(self, dice, count=3):
        for _ in range(count):
            self.narwal.start()
            time.sleep(dice.uniform(0.5, 3))
            self.narwal.kill()
        self.narwal.start()

    def flapping(self, dice, *words):
        """A command that asks Connect, which is killed and comes back meanwhile; it is run until it has done it."""
        for number in range(20):
            process = subprocess.Popen(self.narwal.command(words[0], self.narwal.file, self.other.url, *words[1:]), text=True,
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if number < 4:
                time.sleep(dice.uniform(0, 0.6))
                self.other.kill()
                self.other.start(rests=True, port=self.other.port)
            said = process.communicate(timeout=120)[0]
            print(number, process.returncode, said.splitlines()[-1:], flush=True)
            if process.returncode == 0:
                return said
            self.assertRegex(said, "NW1552|NW1555")
        raise AssertionError(said)

    def there_and_back(self, seed, killed, sink=None, flaps=False, **properties):
        dice = random.Random(seed)
        name = f"switch{seed}_{int(killed)}_{len(properties)}_{int(flaps)}" + "".join(sink or ())
        repeats = bool(sink) and sink.get("delivery") == "idempotent"
        self.start(name, seed, sink, **properties)
        with Load(self.server, seed) as load:
            self.other.wait("rows", lambda: load.rows > 2000)
            if killed:
                time.sleep(dice.uniform(0, 1.5))
                self.other.kill()
                offset = self.stored()
                file = self.narwal.home / "offsets.json"
                file.write_text(json.dumps({"offsets": [{"partition": {"server": name}, "offset": offset}]}))
                said = self.take_over(file, "--yes")
            elif flaps:
                self.other.tell("stop")
                self.other.wait("its rest", lambda: self.other.state() == "STOPPED")
                said = self.flapping(dice, "take-over", "--yes")
                offset = self.stored()
            else:
                said = self.take_over(self.other.url, "--stop", "--yes")
                offset = self.stored()
            taken = self.counts()
            print(said, offset, flush=True)
            self.kills(dice)
            time.sleep(3)
        self.caught_up()
        self.truth.read()
        restarts = [(taken, self.firsts(offset))]
        print("again", self.compare(restarts, repeats), "of", len(self.truth.changes), flush=True)
        with Load(self.server, seed + 1000, 2, 11) as load:
            time.sleep(3)
            if dice.random() < 0.5:
                self.assertEqual(self.narwal.terminate(), 0)
            else:
                self.narwal.kill()
            if killed:
                self.other.start(rests=True)
            given = self.flapping(dice, "export-debezium", "--yes") if flaps else self.narwal_call(
                "export-debezium", self.other.url, "--yes")
            self.other.tell("resume")
            self.other.wait_streaming()
            time.sleep(3)
        self.truth.read()
        self.other.wait("the end", lambda: self.counts() == self.totals(restarts), 60)
        self.assertEqual(self.narwal.run_to_end(), 1)
        self.assertIn("NW2383", self.narwal.log())
        repeats = repeats or bool(sink) and "workers" in sink  # where some were ahead as it was given back
        print(given, "again", self.compare(restarts, repeats), "of", len(self.truth.changes), flush=True)

    def totals(self, restarts):
        """How many rows there are once Debezium is at the end."""
        again = self.again_at(restarts)
        return {table: len(self.truth.expected(table)) + again[table] for table in TABLES}

    def again_at(self, restarts):
        """Of each table how many rows came again where narwal began."""
        again = {}
        for table in TABLES:
            rows = [row for row in self.rows(table) if row[0] is not None]
            again[table] = len(rows) - len(set(rows))
        return again

    def imported(self, name, *words):
        """A pipeline of what is imported from Connect."""
        narwal = self.enter(Narwal(self.server, name=name))
        narwal.write = lambda: None
        result = subprocess.run([*narwal.command("import-debezium"), self.other.url, "--brokers", self.broker.address, "-o",
                                 narwal.file, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stdout)
        with narwal.file.open("a") as file:
            file.write(f"state_dir: {narwal.state_dir}\nplugin_dir: {build()}/plugins\nlog: {{format: text}}\n")
        return narwal

    def test_as_the_docs_say(self):
        """Import, a shadow that is compared, check, the switch."""
        converter = "org.apache.kafka.connect.json.JsonConverter"
        self.start("docs", check.seed(), **{
            f"{of}.converter{more}": value for of in ("key", "value") for more, value in (("", converter), (".schemas.enable", "false"))})
        os.environ["NARWAL_PASSWORD"] = "unused"
        with Load(self.server, check.seed()) as load:
            self.other.wait("rows", lambda: load.rows > 1000)
            shadow = self.imported("shadow", "--shadow").start()
            shadow.wait("its stream", lambda: self.server.sql(
                "SELECT 1 FROM pg_replication_slots WHERE slot_name = 'debezium_docs_shadow' AND active"))
            began = time.monotonic()
            time.sleep(12)
        result = None
        while result is None or (result.returncode != 0 and time.monotonic() < began + 90):
            seconds = int(time.monotonic() - began)  # Debezium may be behind
            result = subprocess.run([str(build() / "narwal"), "diff-topics", "docs", shadow.file, "--since", f"{seconds}s"],
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            time.sleep(2)
        self.assertEqual(result.returncode, 0, result.stdout)
        print(result.stdout, flush=True)
        self.assertEqual(shadow.terminate(), 0)
        self.narwal = self.imported("real")
        code, said = self.narwal.call("check")
        self.assertIn("NW1211", said)
        with Load(self.server, check.seed() + 1, first=21):
            self.take_over(self.other.url, "--stop", "--yes")
            offset, taken = self.stored(), self.counts()
            self.narwal.start()
            time.sleep(3)
        self.caught_up()
        self.truth.read()
        self.compare([(taken, self.firsts(offset))])
        self.assertEqual(self.narwal.terminate(), 0)

    def test_stopped(self):
        self.there_and_back(check.seed(), False)

    def test_with_heartbeats(self):
        """Then offsets are between transactions, too."""
        self.there_and_back(check.seed(), True, **{"heartbeat.interval.ms": "10"})

    def test_killed(self):
        self.there_and_back(check.seed(), True)

    def test_killed_with_workers(self):
        self.there_and_back(check.seed(), True, {"workers": 3})

    def test_stopped_idempotent(self):
        self.there_and_back(check.seed(), False, {"delivery": "idempotent"})

    def test_connect_that_comes_and_goes(self):
        self.there_and_back(check.seed(), False, flaps=True)

    def test_transactions(self):
        """Each transaction has its BEGIN and END in their topic, whoever sent them."""
        self.there_and_back(check.seed(), False, {"transactions_topic": "{prefix}.transaction"},
                            **{"provide.transaction.metadata": "true"})
        changes = collections.defaultdict(list)
        for change in self.truth.changes:
            changes[change.xid].append(change)
        said = {"BEGIN": {}, "END": {}}
        for message in self.broker.read(f"{self.name}.transaction"):
            value = json.loads(message["payload"])
            said[value["status"]].setdefault(int(value["id"].split(":")[0]), []).append(value)
        for status, found in said.items():
            self.assertEqual([xid for xid in changes if xid not in found], [], status)
        again = {status: [xid for xid, all_ in found.items() if len(all_) > 1] for status, found in said.items()}
        print("said again", again, flush=True)
        self.assertLessEqual(len(again["BEGIN"]), 1)
        self.assertEqual(again["END"], [])
        for xid, [end] in said["END"].items():
            if xid in changes:  # Debezium counts messages, narwal changes
                self.assertIn(end["event_count"], (len(changes[xid]), sum(len(change.messages) for change in changes[xid])), end)


if __name__ == "__main__":
    check.main()
