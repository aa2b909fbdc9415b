# SPDX-License-Identifier: Apache-2.0
"""Seeded random transactions over tables of many shapes, from several sessions at once.

Every kind of thing that happens is counted. A test asks at the end that all counters are above
zero: a generator that silently stopped to do something makes a test that proves nothing.
"""
import collections
import random
import threading
import time
import uuid

import psycopg2
import psycopg2.errors

from . import values

KEYS = 400  # keys of the tables with a key lie in 1..KEYS, so that sessions meet

ODD_SCHEMA = 'Odd "schema".with\\all'
ODD_TABLE = 'tab"le. 😀 \\x'
ODD_COLUMNS = ['Id"1', "col.2", "select", "ünï\\", "UPPER lower", "$bytes"]

TYPES_SQL = r"""
CREATE SCHEMA IF NOT EXISTS lab;
CREATE TYPE lab.mood AS ENUM ('sad', 'ok', 'it''s "complicated", {really}', 'ünï');
CREATE DOMAIN lab.positive AS integer CHECK (value > 0);
CREATE DOMAIN lab.very_positive AS lab.positive CHECK (value > 10);
CREATE DOMAIN lab.amount AS numeric(10,3);
CREATE TYPE lab.pair AS (a integer, b text);
"""


def quote(name):
    return '"' + name.replace('"', '""') + '"'


ODD = f"{quote(ODD_SCHEMA)}.{quote(ODD_TABLE)}"
ODD_ID, *ODD_REST = map(quote, ODD_COLUMNS)

TABLES_SQL = f"""
CREATE TABLE lab.marker (id bigint PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
CREATE TABLE lab.plain (id integer PRIMARY KEY, n integer, t text);
CREATE TABLE lab.composite (a integer NOT NULL, v text, b text NOT NULL, c uuid NOT NULL,
    PRIMARY KEY (c, b, a));
CREATE TABLE lab.full_keyless (a integer, b text, c numeric);
ALTER TABLE lab.full_keyless REPLICA IDENTITY FULL;
CREATE TABLE lab.by_index (n integer, code text NOT NULL, v text, part integer NOT NULL);
CREATE UNIQUE INDEX by_index_key ON lab.by_index (part, code);
ALTER TABLE lab.by_index REPLICA IDENTITY USING INDEX by_index_key;
CREATE TABLE lab.log_nothing (id bigint PRIMARY KEY, line text);
ALTER TABLE lab.log_nothing REPLICA IDENTITY NOTHING;
CREATE TABLE lab.log_keyless (line text, n double precision);
CREATE TABLE lab.wide (id integer PRIMARY KEY, n integer, t text, j jsonb, b bytea, a text[]);
ALTER TABLE lab.wide ALTER t SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL;
CREATE TABLE lab.wide_full (id integer PRIMARY KEY, n integer, t text);
ALTER TABLE lab.wide_full REPLICA IDENTITY FULL;
ALTER TABLE lab.wide_full ALTER t SET STORAGE EXTERNAL;
CREATE TABLE lab.all_types (id integer PRIMARY KEY,
    {", ".join(f"{name} {type}" for name, (type, _) in values.COLUMNS.items())});
CREATE TABLE lab.parts (id integer, region integer NOT NULL, v text, PRIMARY KEY (id, region))
    PARTITION BY LIST (region);
CREATE TABLE lab.parts_1 PARTITION OF lab.parts FOR VALUES IN (1);
CREATE TABLE lab.parts_2 (v text, region integer NOT NULL, id integer NOT NULL);
ALTER TABLE lab.parts ATTACH PARTITION lab.parts_2 FOR VALUES IN (2);
CREATE TABLE lab.parts_rest PARTITION OF lab.parts DEFAULT;
CREATE TABLE lab.evolving (id integer PRIMARY KEY, v text);
CREATE TABLE lab.bulk (id integer PRIMARY KEY, n integer, filler text);
CREATE TABLE lab.no_rows (id integer PRIMARY KEY, v text);
CREATE TABLE lab.no_columns ();
CREATE TABLE lab.emptied (id integer PRIMARY KEY, v text);
CREATE TABLE lab.emptied_too (id integer PRIMARY KEY, parent integer REFERENCES lab.emptied);
CREATE SCHEMA {quote(ODD_SCHEMA)};
CREATE TABLE {ODD} ({ODD_ID} integer PRIMARY KEY, {" text, ".join(ODD_REST)} text);
"""

# What the oracle compares; partitions are compared through their root or their leaves.
TABLES = [("lab", name) for name in (
    "plain", "composite", "full_keyless", "by_index", "log_nothing", "log_keyless", "wide",
    "wide_full", "all_types", "parts", "evolving", "bulk", "no_rows", "no_columns", "emptied",
    "emptied_too")] + [(ODD_SCHEMA, ODD_TABLE)]


def create_types(connection):
    with connection.cursor() as cursor:
        cursor.execute(TYPES_SQL)


def create_tables(connection):
    create_types(connection)
    with connection.cursor() as cursor:
        cursor.execute(TABLES_SQL)


class Session:
    """One session: random transactions on a connection of its own."""

    def __init__(self, workload, number):
        self.workload = workload
        self.number = number
        self.random = random.Random(f"{workload.seed}/{number}")
        self.connection = None
        self.cursor = None
        self.pending = collections.Counter()  # what this transaction did, counted when it commits

    # ---- statements ------------------------------------------------------------------------------

    def run(self, statement, parameters=None):
        self.cursor.execute(statement, parameters)
        return max(self.cursor.rowcount, 0)

    def did(self, what, rows=1):
        if rows > 0:
            self.pending[what] += 1

    def key(self):
        return self.random.randint(1, KEYS)

    def text(self):
        return values.text(self.random)

    def plain_insert(self):
        self.did("insert", self.run(
            "INSERT INTO lab.plain VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            (self.key(), self.key(), self.text())))

    def plain_upsert(self):
        self.did("upsert", self.run(
            "INSERT INTO lab.plain VALUES (%s, 1, %s) ON CONFLICT (id) DO UPDATE "
            "SET n = plain.n + 1, t = excluded.t", (self.key(), self.text())))

    def plain_update(self):
        self.did("update", self.run("UPDATE lab.plain SET n = %s WHERE id BETWEEN %s AND %s",
                                    (self.key(), *self.span(5))))

    def span(self, width):
        low = self.key()
        return low, low + self.random.randint(0, width)

    def noop_update(self):
        self.did("update without change", self.run("UPDATE lab.plain SET n = n WHERE id = %s",
                                                   (self.key(),)))

    def plain_delete(self):
        self.did("delete", self.run("DELETE FROM lab.plain WHERE id = %s", (self.key(),)))

    def key_update(self):
        new = self.key()
        self.did("key update", self.run(
            "UPDATE lab.plain SET id = %s WHERE id = %s AND NOT EXISTS "
            "(SELECT FROM lab.plain WHERE id = %s)", (new, self.key(), new)))

    def key_swap(self):
        """Two rows exchange their keys, through a third."""
        one, other = sorted(self.random.sample(range(1, KEYS + 1), 2))
        spare = -self.number - 1
        rows = self.run("UPDATE lab.plain SET id = %s WHERE id = %s", (spare, one))
        if rows:
            swapped = self.run("UPDATE lab.plain SET id = %s WHERE id = %s", (one, other))
            self.run("UPDATE lab.plain SET id = %s WHERE id = %s", (other, spare))
            self.did("key swap", swapped)

    def composite(self):
        a, b = self.random.randint(1, 5), self.random.choice(values.TEXTS)
        c = str(uuid.UUID(int=self.random.randint(0, 3)))
        what = self.random.choice(["insert", "update", "rekey", "delete"])
        if what == "insert":
            rows = self.run("INSERT INTO lab.composite VALUES (%s, %s, %s, %s) "
                            "ON CONFLICT DO NOTHING", (a, self.text(), b, c))
        elif what == "update":
            rows = self.run("UPDATE lab.composite SET v = %s WHERE b = %s", (self.text(), b))
        elif what == "rekey":
            rows = self.run("UPDATE lab.composite SET a = a + 100 WHERE b = %s AND a < 900 AND NOT "
                            "EXISTS (SELECT FROM lab.composite o WHERE o.b = %s AND o.a > 5)", (b, b))
        else:
            rows = self.run("DELETE FROM lab.composite WHERE b = %s", (b,))
        self.did(f"composite key: {what}", rows)

    def keyless_insert(self):
        row = (self.random.randint(1, 4), self.random.choice(["x", None, ""]),
               self.random.choice(["1", "1.0", "NaN"]))
        for _ in range(self.random.randint(1, 3)):
            self.run("INSERT INTO lab.full_keyless VALUES (%s, %s, %s)", row)
            self.did("keyless: insert")

    def keyless_one(self):
        """Change exactly one of several equal rows."""
        pick = "(SELECT ctid FROM lab.full_keyless ORDER BY a, b, ctid LIMIT 1 OFFSET %s)"
        offset = (self.random.randint(0, 20),)
        if self.random.random() < 0.5:
            self.did("keyless: delete one", self.run(
                f"DELETE FROM lab.full_keyless WHERE ctid = {pick}", offset))
        else:
            self.did("keyless: update one", self.run(
                f"UPDATE lab.full_keyless SET a = a + 1 WHERE ctid = {pick}", offset))

    def keyless_all(self):
        self.did("keyless: delete several", self.run(
            "DELETE FROM lab.full_keyless WHERE a = %s", (self.random.randint(1, 6),)))

    def by_index(self):
        part, code = self.random.randint(1, 3), f"code {self.random.randint(1, 30)}"
        what = self.random.choice(["insert", "insert", "update", "rekey", "delete"])
        if what == "insert":
            rows = self.run("INSERT INTO lab.by_index VALUES (%s, %s, %s, %s) "
                            "ON CONFLICT DO NOTHING", (self.key(), code, self.text(), part))
        elif what == "update":
            rows = self.run("UPDATE lab.by_index SET v = %s, n = n + 1 WHERE code = %s",
                            (self.text(), code))
        elif what == "rekey":
            rows = self.run("UPDATE lab.by_index SET code = code || '+' WHERE part = %s AND "
                            "code = %s AND NOT EXISTS (SELECT FROM lab.by_index o WHERE "
                            "o.part = %s AND o.code = %s)", (part, code, part, code + "+"))
        else:
            rows = self.run("DELETE FROM lab.by_index WHERE part = %s AND code LIKE %s",
                            (part, code + "%"))
        self.did(f"identity index: {what}", rows)

    def logs(self):
        self.run("INSERT INTO lab.log_nothing VALUES (%s, %s)",
                 (self.random.getrandbits(60), self.text()))
        self.run("INSERT INTO lab.log_keyless VALUES (%s, %s)",
                 (self.text(), self.random.choice(values.FLOATS)))
        self.did("insert-only tables")

    def wide_insert(self):
        big = values.wide(self.random, self.random.choice([3000, 9000, 20000]))
        self.did("wide: insert", self.run(
            "INSERT INTO lab.wide VALUES (%s, 1, %s, jsonb_build_object('k', %s::text), %s, "
            "ARRAY[%s, NULL]) ON CONFLICT DO NOTHING",
            (self.random.randint(1, 60), big, big[::-1], bytes.fromhex(big), big)))

    def wide_update(self):
        key = (self.random.randint(1, 60),)
        what = self.random.choice(["unchanged", "unchanged", "changed", "rekeyed", "delete", "null"])
        if what == "unchanged":
            rows = self.run("UPDATE lab.wide SET n = n + 1 WHERE id = %s", key)
        elif what == "changed":
            rows = self.run("UPDATE lab.wide SET t = %s WHERE id = %s",
                            (values.wide(self.random, 8000), *key))
        elif what == "rekeyed":
            rows = self.run("UPDATE lab.wide SET id = %s WHERE id = %s AND NOT EXISTS "
                            "(SELECT FROM lab.wide WHERE id = %s)",
                            (new := self.random.randint(61, 99), *key, new))
        elif what == "null":
            rows = self.run("UPDATE lab.wide SET j = NULL, b = NULL WHERE id = %s", key)
        else:
            rows = self.run("DELETE FROM lab.wide WHERE id = %s OR id = %s", (*key, key[0] + 60))
        self.did(f"wide: {what}", rows)

    def wide_full(self):
        key = self.random.randint(1, 30)
        what = self.random.choice(["insert", "update", "delete"])
        if what == "insert":
            rows = self.run("INSERT INTO lab.wide_full VALUES (%s, 1, %s) ON CONFLICT DO NOTHING",
                            (key, values.wide(self.random, 6000)))
        elif what == "update":
            rows = self.run("UPDATE lab.wide_full SET n = n + 1 WHERE id = %s", (key,))
        else:
            rows = self.run("DELETE FROM lab.wide_full WHERE id = %s", (key,))
        self.did(f"wide with full identity: {what}", rows)

    def all_types(self):
        key = self.key()
        if self.random.random() < 0.6:
            row = [self.random_value(name) for name in values.COLUMNS]
            casts = ", ".join(f"%s::{type}" for type, _ in values.COLUMNS.values())
            self.did("types: insert", self.run(
                f"INSERT INTO lab.all_types VALUES (%s, {casts}) ON CONFLICT DO NOTHING",
                (key, *row)))
            return
        name = self.random.choice(list(values.COLUMNS))
        self.did("types: update", self.run(
            f"UPDATE lab.all_types SET {name} = %s::{values.COLUMNS[name][0]} "
            "WHERE id BETWEEN %s AND %s", (self.random_value(name), key, key + 10)))

    def random_value(self, name):
        return None if self.random.random() < 0.1 else values.COLUMNS[name][1](self.random)

    def parts(self):
        key, region = self.key(), self.random.randint(1, 3)
        what = self.random.choice(["insert", "insert", "update", "move", "delete"])
        if what == "insert":
            rows = self.run("INSERT INTO lab.parts VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                            (key, region, self.text()))
        elif what == "update":
            rows = self.run("UPDATE lab.parts SET v = %s WHERE id = %s", (self.text(), key))
        elif what == "move":
            rows = self.run("UPDATE lab.parts SET region = region %% 3 + 1 WHERE id BETWEEN %s AND "
                            "%s AND region = %s AND NOT EXISTS (SELECT FROM lab.parts o WHERE "
                            "o.id = parts.id AND o.region = parts.region %% 3 + 1)",
                            (key, key + 3, region))
        else:
            rows = self.run("DELETE FROM lab.parts WHERE id = %s", (key,))
        self.did(f"partitions: {what}", rows)

    def odd_names(self):
        key = self.key()
        if self.random.random() < 0.7:
            self.did("odd names: upsert", self.run(
                f"INSERT INTO {ODD} VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT ({ODD_ID}) DO "
                f"UPDATE SET {ODD_REST[0]} = excluded.{ODD_REST[0]}",
                (key, *[self.text() for _ in ODD_REST])))
        else:
            self.did("odd names: delete", self.run(f"DELETE FROM {ODD} WHERE {ODD_ID} = %s", (key,)))

    def evolving(self):
        """Rows of a table whose columns grow meanwhile: whole rows by default values or updates."""
        key = self.key()
        if self.random.random() < 0.6:
            self.did("evolving: upsert", self.run(
                "INSERT INTO lab.evolving VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET "
                "v = excluded.v", (key, self.text())))
        else:
            self.did("evolving: delete", self.run("DELETE FROM lab.evolving WHERE id = %s", (key,)))
        column = self.workload.column_newest
        if column and self.random.random() < 0.7:
            self.did("evolving: new column", self.run(
                f"UPDATE lab.evolving SET {column} = %s WHERE id BETWEEN %s AND %s",
                (self.text(), key, key + 20)))

    def add_column(self):
        if not self.workload.rewrites or self.workload.columns_kept >= 8 or \
                self.random.random() > 0.2:
            return
        number = self.workload.column_number()
        name = f"added_{number}"
        defaults = ["", " DEFAULT 'it''s new'", "", " NOT NULL DEFAULT ''"]
        default = defaults[self.workload.columns_kept % len(defaults)]
        # The others go by it once it is committed: a crash of the server must not take it back.
        self.run("SET LOCAL synchronous_commit = on")
        self.run(f"ALTER TABLE lab.evolving ADD COLUMN {name} text{default}")
        self.did("column added with default" if default else "column added")
        self.run(f"INSERT INTO lab.evolving (id, v, {name}) VALUES (%s, 'new', 'x') "
                 "ON CONFLICT DO NOTHING", (self.key(),))
        self.on_commit = lambda: self.workload.column_keep(name)

    def emptied(self):
        what = self.random.choice(["insert"] * 6 + ["truncate", "cascade"])
        if not self.workload.rewrites:
            what = "insert"
        if what == "insert":
            key = self.key()
            self.run("INSERT INTO lab.emptied VALUES (%s, %s) ON CONFLICT DO NOTHING",
                     (key, self.text()))
            self.run("INSERT INTO lab.emptied_too VALUES (%s, %s) ON CONFLICT DO NOTHING", (key, key))
        elif what == "truncate":
            self.run("TRUNCATE lab.emptied_too")
            self.did("truncate")
        else:
            self.run("TRUNCATE lab.emptied RESTART IDENTITY CASCADE")
            self.run("INSERT INTO lab.emptied VALUES (%s, 'after') ON CONFLICT DO NOTHING",
                     (self.key(),))
            self.did("truncate cascade")

    def no_columns(self):
        if self.random.random() < 0.2:
            self.run("INSERT INTO lab.no_columns DEFAULT VALUES")
            self.did("table without columns")

    def message(self):
        transactional = self.random.random() < 0.5
        self.run("SELECT pg_logical_emit_message(%s, 'lab', %s)", (transactional, self.text()))
        # One that is not transactional is there even if this transaction is rolled back.
        counters = self.pending if transactional else self.workload.counters
        counters["message" if transactional else "message outside transactions"] += 1

    def exception_block(self):
        self.run("""DO $$ BEGIN
            INSERT INTO lab.plain VALUES (-1000, 0, 'never seen');
            PERFORM 1 / 0;
        EXCEPTION WHEN division_by_zero THEN NULL; END $$""")
        self.did("exception block")

    def bulk(self, rows):
        """Enough rows that the transaction is streamed before its end."""
        self.run("INSERT INTO lab.bulk SELECT g %% 20000, g, repeat(md5(g::text), 3) FROM "
                 "generate_series(%s, %s) g ON CONFLICT (id) DO UPDATE SET n = bulk.n + 1",
                 (start := self.random.randint(0, 19000), start + rows))

    OPERATIONS = [
        (plain_insert, 8), (plain_upsert, 6), (plain_update, 8), (noop_update, 2), (plain_delete, 3),
        (key_update, 3), (key_swap, 3), (composite, 8), (keyless_insert, 5), (keyless_one, 5),
        (keyless_all, 1), (by_index, 8), (logs, 3), (wide_insert, 3), (wide_update, 6),
        (wide_full, 4), (all_types, 8), (parts, 8), (odd_names, 4), (evolving, 6), (add_column, 1),
        (emptied, 4), (no_columns, 1), (message, 2), (exception_block, 1),
    ]

    # ---- transactions ----------------------------------------------------------------------------

    def steps(self, count):
        operations, weights = zip(*self.OPERATIONS)
        for operation in self.random.choices(operations, weights, k=count):
            operation(self)

    def savepoints(self, depth=0):
        """Nested savepoints, some of them rolled back."""
        name = f"s{depth}"
        self.run(f"SAVEPOINT {name}")
        before = self.pending.copy()
        after_commit = self.on_commit
        self.steps(self.random.randint(1, 3))
        if depth < 3 and self.random.random() < 0.5:
            self.savepoints(depth + 1)
        if self.random.random() < 0.5:
            self.run(f"ROLLBACK TO SAVEPOINT {name}")
            self.pending, self.on_commit = before, after_commit
            self.did("rollback to savepoint")
            self.steps(1)
        else:
            self.run(f"RELEASE SAVEPOINT {name}")
            self.did("savepoint")

    def ordinary(self):
        self.steps(self.random.randint(1, 6))
        if self.random.random() < 0.4:
            self.savepoints()
        self.finish("commit" if self.random.random() < 0.85 else "rollback")

    def finish(self, how):
        if how == "commit":
            self.connection.commit()
            self.did("commit")
            self.keep()
        else:
            self.connection.rollback()
            self.workload.counters[how] += 1

    def keep(self):
        """The transaction's doings count now."""
        with self.workload.lock:
            self.workload.counters.update(self.pending)
        self.on_commit()

    def empty(self):
        self.run("SELECT txid_current()")
        self.did("empty transaction")
        self.finish("commit")

    def prepared(self):
        """PREPARE, then something else on this session, then the outcome. Never across sessions'
        locks for long: other sessions wait for them."""
        name = f"lab-{self.number}-{self.random.getrandbits(40)}"
        self.steps(self.random.randint(1, 4))
        if self.random.random() < 0.3:
            self.savepoints()
        self.run(f"PREPARE TRANSACTION '{name}'")
        self.connection.commit()
        time.sleep(self.random.choice([0, 0, 0.05]))
        self.connection.autocommit = True
        try:
            if self.random.random() < 0.6:
                self.run(f"COMMIT PREPARED '{name}'")
                self.did("commit prepared")
                self.keep()
            else:
                self.run(f"ROLLBACK PREPARED '{name}'")
                self.workload.counters["rollback prepared"] += 1
        finally:
            self.connection.autocommit = False

    def streamed(self):
        """A transaction far above logical_decoding_work_mem, with parts that are rolled back."""
        rows = self.workload.bulk_rows
        self.bulk(rows)
        self.did("streamed transaction")
        self.run("SAVEPOINT big")
        self.bulk(rows // 2)
        self.steps(2)
        before = self.pending.copy()
        after_commit = self.on_commit
        self.run("SAVEPOINT deep")
        self.bulk(rows // 2)
        self.steps(2)
        self.run("ROLLBACK TO SAVEPOINT deep")
        self.pending, self.on_commit = before, after_commit
        self.did("streamed, part rolled back")
        self.run("UPDATE lab.bulk SET n = n + 1 WHERE id < 50")
        if self.random.random() < 0.7:
            self.finish("commit")
        else:
            self.finish("streamed, rolled back")

    KINDS = [(ordinary, 100), (empty, 4), (prepared, 8), (streamed, 2)]

    def transaction(self):
        kinds, weights = zip(*self.KINDS)
        kind = self.random.choices(kinds, weights)[0]
        self.pending.clear()
        self.on_commit = lambda: None
        try:
            kind(self)
            self.workload.transactions += 1
        except (psycopg2.errors.QueryCanceled, psycopg2.errors.LockNotAvailable,
                psycopg2.errors.DeadlockDetected, psycopg2.errors.UniqueViolation,
                psycopg2.errors.ForeignKeyViolation, psycopg2.errors.SerializationFailure,
                # A prepared statement's plan meets a column that was added meanwhile.
                psycopg2.errors.FeatureNotSupported):
            self.connection.rollback()
            self.workload.counters["conflict"] += 1

    # ---- the thread ------------------------------------------------------------------------------

    def work(self):
        while not self.workload.stopping.is_set():
            try:
                self.connect()
                while not self.workload.stopping.is_set():
                    self.transaction()
                    if self.workload.pause:
                        time.sleep(self.workload.pause)
            except psycopg2.Error as error:
                # The server went away: part of some tests. Whether the last commit happened is
                # unknown, which does not matter: the source itself is what we compare with.
                gone = error.pgcode is None or error.pgcode.startswith(("08", "57"))
                if not self.workload.tolerant or not gone:
                    raise
                time.sleep(0.1)
            finally:
                if self.connection:
                    self.connection.close()

    def connect(self):
        self.connection = psycopg2.connect(self.workload.dsn)
        self.cursor = self.connection.cursor()
        self.cursor.execute("SET lock_timeout = '2s'; SET deadlock_timeout = '50ms'; "
                            "SET synchronous_commit = off; SET client_encoding = 'UTF8'")
        self.connection.commit()


class Workload:
    """Runs sessions in threads, as a context manager or by start and stop.

    tolerant   the server may go away and come back
    pause      seconds between two transactions of a session
    rewrites   whether there is TRUNCATE and DDL. Set it only when the slot is there: beside so
               many of them every slot is unsound, however often it is made (slot_make.h).
    """

    def __init__(self, dsn, seed=1, sessions=4, tolerant=False, pause=0.0, bulk_rows=4000,
                 rewrites=False):
        self.dsn = dsn
        self.seed = seed
        self.tolerant = tolerant
        self.pause = pause
        self.bulk_rows = bulk_rows
        self.rewrites = rewrites
        self.stopping = threading.Event()
        self.counters = collections.Counter()
        self.transactions = 0
        self.column_newest = None
        self.columns_added = 0  # names given out
        self.columns_kept = 0  # committed
        self.lock = threading.Lock()
        self.failures = []
        self.threads = [threading.Thread(target=self.thread, args=(number,), daemon=True)
                        for number in range(sessions)]

    def column_number(self):
        with self.lock:
            self.columns_added += 1
            return self.columns_added

    def column_keep(self, name):
        with self.lock:
            self.columns_kept += 1
            self.column_newest = name

    def thread(self, number):
        try:
            Session(self, number).work()
        except Exception as error:  # told by stop(): a test must not pass on half a load
            self.failures.append(error)

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(120)
        self.finish()
        if self.failures:
            raise self.failures[0]
        if any(thread.is_alive() for thread in self.threads):
            raise AssertionError("a session of the workload hangs")

    def finish(self):
        """What a server restart left prepared is committed: its locks would stay for ever. And
        the last column added is seen in the stream: only a change brings it there."""
        connection = psycopg2.connect(self.dsn)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT gid FROM pg_prepared_xacts WHERE gid LIKE 'lab-%'")
            for (name,) in cursor.fetchall():
                cursor.execute(f"COMMIT PREPARED '{name}'")
            cursor.execute("INSERT INTO lab.evolving (id, v) VALUES (-1, 'end') ON CONFLICT (id) "
                           "DO UPDATE SET v = evolving.v || '.'")
        connection.close()

    __enter__ = start

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
        else:
            self.stopping.set()

    def run_until(self, done, seconds_max=60):
        """Let it run until done() or the time is over; fails early when a session failed."""
        deadline = time.monotonic() + seconds_max
        while time.monotonic() < deadline and not done():
            if self.failures:
                raise self.failures[0]
            time.sleep(0.05)

    def missing(self):
        """What was never done, of all that this generator can do."""
        return sorted(EVERYTHING - {what for what, count in self.counters.items() if count > 0})


EVERYTHING = {
    "insert", "upsert", "update", "update without change", "delete", "key update", "key swap",
    "composite key: insert", "composite key: update", "composite key: rekey",
    "composite key: delete", "keyless: insert", "keyless: delete one", "keyless: update one",
    "keyless: delete several", "identity index: insert", "identity index: update",
    "identity index: rekey", "identity index: delete", "insert-only tables", "wide: insert",
    "wide: unchanged", "wide: changed", "wide: rekeyed", "wide: null", "wide: delete",
    "wide with full identity: insert", "wide with full identity: update",
    "wide with full identity: delete", "types: insert", "types: update", "partitions: insert",
    "partitions: update", "partitions: move", "partitions: delete", "odd names: upsert",
    "odd names: delete", "evolving: upsert", "evolving: delete", "evolving: new column",
    "column added", "column added with default", "truncate", "truncate cascade",
    "table without columns", "message", "message outside transactions", "exception block",
    "savepoint", "rollback to savepoint", "commit", "rollback", "empty transaction",
    "commit prepared", "rollback prepared", "streamed transaction", "streamed, part rolled back",
    "streamed, rolled back",
}
