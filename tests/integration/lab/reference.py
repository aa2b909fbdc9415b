# SPDX-License-Identifier: Apache-2.0
"""A small reader of pgoutput in Python: copy and stream into the oracle's logs, in memory.

It is the second opinion that proves the workload and the oracle themselves: what goes through here
must compare as equal, and with a fault planted into it must not. Protocol version 1, text.
"""
import collections
import select
import struct
import time

import psycopg2
import psycopg2.extras

from . import oracle
from .cluster import lsn_number, lsn_text

PUBLICATION = "lab_reference"
SLOT = "lab_reference"
GUCS = "-c datestyle=ISO,YMD -c intervalstyle=postgres -c timezone=UTC -c extra_float_digits=3 " \
       "-c bytea_output=hex -c lc_monetary=C -c search_path="
QUIET_SECONDS_MAX = 60


class Reader:
    """Cuts one message into fields."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, form):
        values = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(">" + form)
        return values[0] if len(values) == 1 else values

    def bytes(self, size):
        self.at += size
        return bytes(self.data[self.at - size:self.at])

    def text(self):
        end = self.data.index(b"\0", self.at)
        return self.bytes(end + 1 - self.at)[:-1].decode()


class Reference:
    """start() takes the slot and the copy; follow(lsn) reads the stream; logs() gives the result."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.copies = collections.defaultdict(list)
        self.changes = collections.defaultdict(list)
        self.schemas = collections.defaultdict(dict)
        self.names = {}
        self.current = {}
        self.fence = 0

    def start(self):
        self.cluster.sql(f"CREATE PUBLICATION {PUBLICATION} FOR ALL TABLES "
                         "WITH (publish_via_partition_root = true)")
        self.catalog = oracle.connect(self.cluster.dsn())
        self.replication = psycopg2.connect(
            self.cluster.dsn(options=GUCS),
            connection_factory=psycopg2.extras.LogicalReplicationConnection)
        self.stream = self.replication.cursor()
        self.stream.execute(f"CREATE_REPLICATION_SLOT {SLOT} LOGICAL pgoutput EXPORT_SNAPSHOT")
        _, point, snapshot, _ = self.stream.fetchone()
        self.fence = lsn_number(point)
        self.copy(snapshot, point)
        self.stream.start_replication(SLOT, options={"proto_version": "1",
                                                     "publication_names": PUBLICATION})
        return self

    def close(self):
        self.replication.close()
        self.catalog.close()

    # ---- copy ------------------------------------------------------------------------------------

    def copy(self, snapshot, point):
        connection = psycopg2.connect(self.cluster.dsn(options=GUCS))
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
            cursor.execute("SELECT c.oid, n.nspname, c.relname FROM pg_publication_tables p JOIN "
                           "pg_namespace n ON n.nspname = p.schemaname JOIN pg_class c ON "
                           "c.relnamespace = n.oid AND c.relname = p.tablename "
                           f"WHERE p.pubname = '{PUBLICATION}'")
            for oid, schema, name in cursor.fetchall():
                self.names[oid] = (schema, name)
                columns = [column["name"] for column in self.describe(oid)]
                number = self.version(oid, self.describe(oid))
                texts = ", ".join(f"{oracle.quote(column)}::text" for column in columns)
                cursor.execute(f"SELECT {texts} FROM {oracle.qualified(schema, name)}")
                for row in cursor:
                    self.copies[oid].append({"op": "I", "schema": number, "commit_lsn": point,
                                             "after": dict(zip(columns, row))})
        connection.close()

    def describe(self, oid):
        """The table's columns as the catalog has them now."""
        with self.catalog.cursor() as cursor:
            cursor.execute(
                "SELECT attname, format_type(atttypid, atttypmod), pg_get_expr(adbin, adrelid) "
                "FROM pg_catalog.pg_attribute LEFT JOIN pg_catalog.pg_attrdef ON adrelid = attrelid "
                "AND adnum = attnum WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped "
                "AND attgenerated = '' ORDER BY attnum", (oid,))
            return [{"name": name, "type": type, "default": default}
                    for name, type, default in cursor.fetchall()]

    def key(self, oid):
        with self.catalog.cursor() as cursor:
            cursor.execute(
                "SELECT a.attname FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON "
                "c.oid = i.indrelid JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND "
                "a.attnum = ANY (i.indkey) WHERE c.oid = %s AND CASE c.relreplident WHEN 'i' THEN "
                "i.indisreplident ELSE i.indisprimary END ORDER BY array_position(i.indkey::int2[], "
                "a.attnum)", (oid,))
            return [name for name, in cursor.fetchall()]

    def version(self, oid, columns):
        number = str(len(self.schemas[oid]) + 1)
        self.schemas[oid][number] = {"key": self.key(oid), "columns": columns}
        self.current[oid] = number
        return number

    # ---- stream ----------------------------------------------------------------------------------

    def follow(self, lsn):
        """Read until everything that committed before lsn is there."""
        deadline = time.monotonic() + QUIET_SECONDS_MAX
        done = False
        while not done:
            message = self.stream.read_message()
            if message is None:
                if time.monotonic() > deadline:
                    raise AssertionError("the reference got nothing for a minute")
                select.select([self.replication], [], [], 0.2)
                self.stream.send_feedback(reply=True)
                done = self.stream.wal_end >= lsn and self.quiet()
                continue
            deadline = time.monotonic() + QUIET_SECONDS_MAX
            self.message(Reader(message.payload))

    def quiet(self):
        message = self.stream.read_message()
        if message is not None:
            self.message(Reader(message.payload))
        return message is None

    def message(self, reader):
        kind = chr(reader.take("B"))
        if kind == "B":
            self.commit, _, self.xid = reader.take("QqI")
            self.seq = 0
        elif kind == "R":
            self.relation(reader)
        elif kind in "IUD":
            self.row(kind, reader)
        elif kind == "T":
            count, _ = reader.take("IB")
            for _ in range(count):
                self.event(reader.take("I"), {"op": "T"})
            self.seq += 1

    def relation(self, reader):
        oid = reader.take("I")
        self.names[oid] = (reader.text(), reader.text())
        _, count = reader.take("BH")
        names = []
        for _ in range(count):
            reader.take("B")
            names.append(reader.text())
            reader.take("Ii")
        known = self.schemas[oid].get(self.current.get(oid), {"columns": []})
        if [column["name"] for column in known["columns"]] != names or oid not in self.current:
            now = {column["name"]: column for column in self.describe(oid)}
            self.version(oid, [now[name] for name in names])

    def row(self, op, reader):
        oid = reader.take("I")
        event = {"op": op}
        while reader.at < len(reader.data):
            mark = chr(reader.take("B"))
            side = "after" if mark == "N" else "before"
            event[side], event[side + "_missing"] = self.tuple(oid, reader, mark == "K")
        self.event(oid, event)
        self.seq += 1

    def tuple(self, oid, reader, key_only):
        schema = self.schemas[oid][self.current[oid]]
        image, missing = {}, []
        for column, _ in zip(schema["columns"], range(reader.take("H"))):
            kind = chr(reader.take("B"))
            if kind == "u" or (key_only and column["name"] not in schema["key"]):
                missing.append(column["name"])
            else:
                image[column["name"]] = None if kind == "n" else \
                    reader.bytes(reader.take("I")).decode()
        return image, missing

    def event(self, oid, event):
        event.update(commit_lsn=lsn_text(self.commit), seq=str(self.seq), schema=self.current[oid])
        self.changes[oid].append(event)

    # ---- result ----------------------------------------------------------------------------------

    def logs(self):
        return [oracle.TableLog(schema, name, self.fence, self.schemas[oid],
                                lambda oid=oid: iter(self.copies[oid]),
                                lambda oid=oid: iter(self.changes[oid]))
                for oid, (schema, name) in self.names.items()]
