#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make the corpora of the row targets from what a real PostgreSQL sends (tables: ../rows.h).

    make_corpus.py 'host=127.0.0.1 port=5433 user=postgres dbname=postgres'

Needs wal_level=logical and a database to spoil.
"""
import os
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TABLES = ["bulk", "toasty", "keyed", "alltypes", "arrays"]
SETUP = """
DROP TABLE IF EXISTS bulk, toasty, keyed, alltypes, arrays; DROP TYPE IF EXISTS mood;
DROP PUBLICATION IF EXISTS corpus;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE bulk (id int8 PRIMARY KEY, a int4, b int4, ts timestamptz, price numeric(12,2), name text,
  note text, flag bool, score float8, day date);
CREATE TABLE toasty (id int PRIMARY KEY, body text, n numeric);
CREATE TABLE keyed (id int PRIMARY KEY, body text, d date);
ALTER TABLE toasty REPLICA IDENTITY FULL;
ALTER TABLE toasty ALTER body SET STORAGE EXTERNAL;
ALTER TABLE keyed ALTER body SET STORAGE EXTERNAL;
CREATE TABLE alltypes (id int PRIMARY KEY, b bool, by bytea, c "char", nm name, i2 int2, o oid, t text,
  vc varchar(20), bc char(5), j json, jb jsonb, f4 float4, f8 float8, n numeric, n2 numeric(38,20), u uuid,
  d date, ti time, tz timetz, ts timestamp, tstz timestamptz, iv interval, m mood);
CREATE TABLE arrays (id int PRIMARY KEY, t text[], i int4[], n numeric[], ts timestamp[], jb jsonb[],
  by bytea[], ip inet, net cidr, ips inet[], vb varbit, lsn pg_lsn, mac macaddr, x xid8, iv interval[],
  u uuid[]);
CREATE PUBLICATION corpus FOR TABLE bulk, toasty, keyed, alltypes, arrays;
SELECT pg_create_logical_replication_slot('corpus', 'pgoutput');
"""
CHANGES = """
INSERT INTO bulk SELECT i, i%1000, -i, timestamptz '2024-01-01' + i * interval '1.5 s', i/7.0, 'name '||i,
  md5(i::text), i%2=0, i*1.1, date '2020-01-01' + i FROM generate_series(1, 8) i;
INSERT INTO bulk (id) VALUES (99);
INSERT INTO toasty SELECT i, repeat(md5(i::text), 70), i/3.0 FROM generate_series(1, 2) i;
UPDATE toasty SET n = n + 1; UPDATE toasty SET id = id + 100; DELETE FROM toasty WHERE id = 101;
INSERT INTO keyed SELECT i, repeat(md5(i::text), 70), NULL FROM generate_series(1, 2) i;
UPDATE keyed SET d = 'infinity'; UPDATE keyed SET id = id + 100; DELETE FROM keyed WHERE id = 101;
INSERT INTO alltypes SELECT i, i%2=0, decode(md5(i::text), 'hex'), 'x', 'nm', i, abs(i), 'text '||i, 'vc',
  'bc', '{"a":1}', '{"b": [1,2]}', i*1.5, i/3.0::float8, i/7.0, i/7.0, md5(i::text)::uuid,
  date '2000-01-01'+i, time '00:00'+i*interval '1 min', timetz '12:00:00+05:30',
  timestamp '2000-01-01'+i*interval '1 h', timestamptz '1900-01-01', i*interval '1 day 3 min', 'ok'
  FROM generate_series(-2, 2) i;
UPDATE alltypes SET n='NaN', d='-infinity', ti='24:00', ts='294276-12-31', n2='NaN', f8='-Infinity',
  tstz='4714-11-24 00:00 BC', iv='-1 year 2 days -3 hours', t=NULL;
DELETE FROM alltypes WHERE id = 1;
INSERT INTO arrays VALUES (1, '{a,"b c",NULL,"\\\\"}', '[0:1][3:4]={{1,2},{3,4}}', '{1.50,NaN}',
  '{infinity,2024-01-01 00:00:00}', array['{"a": 1}'::jsonb], array['\\x00ff'::bytea], '::ffff:1.2.3.4/99',
  '10.0.0.0/8', '{::1,10.0.0.1}', '10101010101', '1/A0', '08:00:2b:01:02:03', '7', '{1 day,-1 mon}',
  array[md5('1')::uuid]);
INSERT INTO arrays VALUES (2, '{}', '{}', '{}', '{}', '{}', '{}', '1.2.3.4', '::/0', '{}', '', '0/0');
"""


def query(sql):
    done = subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", sys.argv[1]],
                          input="SET TimeZone='UTC'; SET extra_float_digits=3;\n" + sql, text=True,
                          stdout=subprocess.PIPE, check=True)
    return done.stdout.split()


def write(target, name, table, rows):
    folder = os.path.join(HERE, target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as out:
        out.write(bytes([TABLES.index(table)]) + b"".join(rows))


def changes(form):
    """Rows by table, from pgoutput."""
    rows = {}
    names = {}
    binary = "true" if form == "binary" else "false"
    for line in query("SELECT encode(data, 'hex') FROM pg_logical_slot_peek_binary_changes('corpus',"
                      " NULL, NULL, 'proto_version', '1', 'publication_names', 'corpus', 'binary', '%s')" % binary):
        message = bytes.fromhex(line)
        if message[:1] == b"R":
            names[message[1:5]] = message[5:].split(b"\0")[1].decode()
        elif message[:1] in b"IUD":
            row = message[5:]
            rows.setdefault(names[message[1:5]], []).append(
                message[:1] + struct.pack("<H", len(row)) + row)
    return rows


def copied(table):
    done = subprocess.run(["psql", "-Xq", "-d", sys.argv[1], "-c", "COPY %s TO STDOUT (FORMAT binary)" % table],
                          stdout=subprocess.PIPE, check=True)
    data = done.stdout[19:]
    rows = []
    while data[:2] != b"\xff\xff":
        at = 2
        for _ in range(struct.unpack(">H", data[:2])[0]):
            size = struct.unpack(">i", data[at:at + 4])[0]
            at += 4 + max(size, 0)
        rows.append(struct.pack("<H", at) + data[:at])
        data = data[at:]
    return rows


def main():
    query(SETUP)
    query(CHANGES)
    for form in ("text", "binary"):
        for table, rows in changes(form).items():
            write("fuzz_pgoutput_rows", "%s-%s" % (table, form), table, rows)
    query("SELECT pg_drop_replication_slot('corpus');")
    for table in TABLES:
        write("fuzz_copy_binary", table, table, copied(table))


main()
