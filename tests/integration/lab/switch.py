# SPDX-License-Identifier: Apache-2.0
"""For tests of switches from Debezium and back: a load, the truth of it, and comparing topics with that.

What the topics have to have is what test_decoding says of the same WAL.
"""
import collections
import io
import json
import random
import re
import subprocess
import threading
import time
import unittest

import psycopg2

from lab import check, cluster, connect, debezium, kafka
from lab.narwal import Narwal

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


class OffsetCase(Case):
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
        return self.enter(connect.Connect({"plugin.name": "pgoutput", "slot.name": self.name, "publication.name": self.name,
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
