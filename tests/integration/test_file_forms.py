#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Debezium's forms from the file sink: the values that test_kafka_debezium.py wants of a broker, and
kills under load. Two sinks of one narwal have the same changes, one as narwal's lines, which the oracle
proves, and one as envelopes, which have to say the same, each once and in the same order.
"""
import json
import pathlib
import random
import subprocess

import files_reader
import test_kafka_debezium as debezium
from lab import check, type_matrix, workload
from lab.narwal import Narwal
import avro_reader

KILLS = 6
READ = """
import fastavro, json, sys
for row in fastavro.reader(sys.stdin.buffer):
    print(json.dumps({"op": row["op"], "source": row["source"]}))
"""
TRANSACTIONS_BEFORE = 100


def durable(narwal):
    narwal.wait("everything durable", lambda: narwal.call("wait", "--timeout", "5s")[0] == 0, 300)


class ValuesTest(check.Case):
    """Every type in every mode, as debezium.ValuesTest has them."""

    def test_values_and_schemas(self):
        server = self.cluster(version=debezium.VERSION)
        workload.create_types(server.connect())
        server.sql("CREATE SCHEMA typed; CREATE TABLE typed.t0 ()")
        server.sql(type_matrix.TYPES_SQL)
        kinds = json.loads((pathlib.Path(__file__).parent / "lab" / "debezium_values.json").read_text())
        for index, kind in enumerate(kinds):
            server.sql(f"CREATE TABLE typed.c{index} (id integer PRIMARY KEY, v {kind['type']})")
        narwal = self.enter(Narwal(server, name="values", settings={
            "tables": {"include": ["typed.c*"]},
            "sinks": [{"name": mode, "type": "file", "path": str(server.folder / f"out-{mode}"), "schemas": True,
                       "format": "debezium_json", "prefix": mode, "unfit": "as_null", **options}
                      for mode, options in debezium.MODES.items()]}))
        narwal.start()
        durable(narwal)
        connection = server.connect()
        with connection.cursor() as cursor:
            cursor.execute("SET timezone = 'UTC'; SET datestyle = 'ISO, MDY'")
            for index, kind in enumerate(kinds):
                for key, text in enumerate(kind["values"]):
                    if text is not None:
                        cursor.execute(f"INSERT INTO typed.c{index} VALUES (%s, CAST(%s AS {kind['type']}))",
                                       (key, text))
                cursor.execute(f"INSERT INTO typed.c{index} VALUES (1000, NULL)")
        durable(narwal)
        self.assertEqual(narwal.terminate(), 0)
        different = []
        for mode in debezium.MODES:
            narwal.out = server.folder / f"out-{mode}"
            found = {}
            for table in files_reader.read_tables(str(narwal.out)):
                for file in table.files:
                    for line in file.rows() if file.kind == "changes" else ():
                        debezium.value_add(found, line)
            different += debezium.values_compare(mode, kinds, found)
            self.assertEqual(narwal.call_verify()[0], 0)
        self.assertEqual(different, [])


class KillTest(check.Case):
    def setUp(self):
        self.random = random.Random(check.seed())
        self.server = self.cluster()
        workload.create_tables(self.server.connect())
        self.load = workload.Workload(self.server.dsn(), seed=check.seed(), sessions=3, pause=0.01, bulk_rows=500)

    def test_killed_under_load(self):
        form = {"type": "file", "prefix": "p", "unfit": "as_null", "unknown_types": "text"}
        home = self.server.folder
        narwal = self.enter(Narwal(self.server, settings={"sinks": [
            {"name": "lines", "type": "file", "path": str(home / "lines")},
            {"name": "envelopes", "path": str(home / "envelopes"), "format": "debezium_json", "rotate_size": "64KiB",
             **form},
            {"name": "events", "path": str(home / "events"), "format": "cloudevents", "compress": "zstd", **form},
            {"name": "avro", "path": str(home / "avro"), "format": "debezium_avro", "rotate_size": "64KiB",
             **form, "unknown_types": "omit"}]}))
        narwal.out = home / "lines"
        with self.load:
            self.load.run_until(lambda: self.load.transactions > TRANSACTIONS_BEFORE)
            for _ in range(KILLS):
                narwal.start()
                try:
                    narwal.process.wait(self.random.uniform(0.2, 1.5))
                    self.fail(f"narwal ended by itself\n{narwal.log_tail()}")
                except check.TimeoutExpired:
                    narwal.kill()
            narwal.start().wait_streaming()
            self.load.rewrites = True
            self.load.run_until(lambda: self.load.transactions > 5 * TRANSACTIONS_BEFORE)
        durable(narwal)
        result = narwal.compare(workload.TABLES)
        self.assertTrue(result.good, f"{result.report()}\n{narwal.log_tail()}")
        self.assertEqual(narwal.terminate(), 0)
        changes = 0
        for name, read in (("envelopes", envelope), ("events", event), ("avro", envelope)):
            narwal.out = home / name
            status, output = narwal.call_verify()
            self.assertEqual(status, 0, output)
            changes += self.compare(home / "lines", narwal.out, read)
        print(f"{KILLS} kills, {changes} changes compared", end=" ... ", flush=True)

    def compare(self, lines, forms, read):
        """Every table has the same changes, from where both copies were made on, and copied rows."""
        count = 0
        wanted = {table.oid: table for table in files_reader.read_tables(str(lines))}
        found = {table.oid: table for table in files_reader.read_tables(str(forms))}
        self.assertEqual(sorted(wanted), sorted(found))
        for oid, table in wanted.items():
            fence = max(table.fence, found[oid].fence)
            want = [step for line in table.changes() for step in steps(line, table.schemas()[line["schema"]])
                    if step[1] >= fence]
            got = [step for file in found[oid].files if file.kind == "changes"
                   for step in map(read, rows(file)) if step[1] >= fence]
            self.assertEqual(got, want, f"{table.schema}.{table.name}")
            copied = [file for file in found[oid].files
                      if file.kind == "copy" and file.generation == found[oid].generation]
            self.assertEqual({read(line)[0] for file in copied for line in rows(file)} - {"r"}, set())
            count += len(got)
        self.assertGreater(count, TRANSACTIONS_BEFORE)
        return count


def rows(file):
    """What is in a file, in whatever form."""
    if file.form != "avro":
        return file.rows()
    found = subprocess.run([avro_reader.python(), "-c", READ], input=file.stored(), stdout=subprocess.PIPE, check=True)
    lines = [json.loads(line) for line in found.stdout.splitlines()]
    assert len(lines) == file.lines, file.path
    return lines


def steps(line, schema):
    """(op, commit LSN, LSN) of the events that a line of narwal's becomes."""
    place = files_reader.lsn_number(line["commit_lsn"]), files_reader.lsn_number(line["lsn"])
    op = {"I": "c", "U": "u", "D": "d", "T": "t"}.get(line["op"])
    if op == "u" and "before" in line and any(line["before"][name] != line["after"].get(name, line["before"][name])
                                              for name in schema["key"]):
        return [("d", *place), ("c", *place)]
    return [(op, *place)] if op else []


def envelope(line):
    commit, place = json.loads(line["source"]["sequence"])
    return line["op"], int(commit or 0), int(place)


def event(line):
    commit, place = json.loads(line["iodebeziumsequence"])
    return line["iodebeziumop"], int(commit or 0), int(place)


if __name__ == "__main__":
    check.main()
