# SPDX-License-Identifier: Apache-2.0
"""narwal's first copy beside the server's own COPY to nowhere and psql's \\copy, and a restart.

Each is measured with one connection and with two side by side (which read a half each). narwal's
time is that of the whole program, from its start to its end, connecting and the snapshot included;
what of it does not depend on the rows is measured with a table of one row, and printed on its own.

What can be reached: server and reader share the cores. Of a row the server has its work (rows to
binary, and 8 KiB at a time into the socket) and narwal its own, so that no more rows a second come
than there are cores, over the CPU time of both for a row; that bound is printed beside the rates. On
two cores it is what two connections meet, and psql's \\copy, which throws the bytes away, meets it
too. A chunk also costs the server 3 % more than a whole table, for it is a query (6,200 instructions
a row and not 6,020, of COPY to nowhere).
"""
import itertools
import os
import pathlib
import shutil
import subprocess
import time

import measure
from lab import cluster, narwal

MEMORY = "256MiB"
SMALL_TABLES = 100
RESTARTS = 3
AIMS = {1: 0.95, 2: 1.45}
AIM_CPU = {"narwal to null": 0.5, "narwal to zstd files": 1.0}
SERVER_SIDE = "COPY TO '/dev/null'"
PROGRAMS = [SERVER_SIDE, "psql \\copy", *AIM_CPU]
SMALL = f"narwal to null, {SMALL_TABLES} small tables"
UNITS = [("rate", "rows/s", 0), ("CPU", "CPU-s per million rows", 3), ("memory", "MiB peak", 1),
         ("server's CPU", "CPU-s per million rows", 3)]
SESSION_END_SECONDS = 0.2 # until the postmaster has noticed
WAIT_SECONDS_MAX = 60


class Bench:
    def __init__(self, server, options):
        self.server = server
        self.count = options.rows - options.rows % SMALL_TABLES
        cases = [(program, n) for program in PROGRAMS for n in AIMS] + [(SMALL, 1), (SMALL, 2)]
        self.results = {case: [] for case in cases}
        self.fixed = []
        self.restarts = []
        self.numbers = itertools.count(1)

    def load(self):
        print(f"loading {self.count:,} rows, once into one table and once into {SMALL_TABLES} ...",
              flush=True)
        self.server.sql("CREATE SCHEMA lab")
        self.server.sql("CREATE TABLE lab.marker (id bigint PRIMARY KEY)")
        self.server.sql("CREATE TABLE lab.one AS SELECT 1 AS id")
        self.server.sql("CREATE SCHEMA large")
        self.server.sql("CREATE SCHEMA small")
        self.fill("large.rows", self.count)
        for number in range(SMALL_TABLES):
            self.fill(f"small.rows_{number}", self.count // SMALL_TABLES)
        self.server.sql("VACUUM (FREEZE, ANALYZE)")
        self.server.sql("CHECKPOINT")
        blocks = self.server.value("SELECT pg_relation_size('large.rows') / 8192")
        self.parts = {1: ["true"], 2: [f"ctid < '({blocks // 2},0)'", f"ctid >= '({blocks // 2},0)'"]}

    def fill(self, table, count):
        self.server.sql(f"CREATE TABLE {table} {measure.COLUMNS}")
        self.server.sql(f"INSERT INTO {table} {measure.ROWS}", (1, count))

    def round(self, turn):
        for case, measured in self.results.items():
            before = measure.children_cpu(self.server.process.pid)
            seconds, cpu, peak = self.measure(*case)
            time.sleep(SESSION_END_SECONDS)
            server_cpu = measure.children_cpu(self.server.process.pid) - before
            measured.append((self.count / seconds, cpu * 1e6 / self.count, peak / measure.MIB,
                             server_cpu * 1e6 / self.count))
            print(f"round {turn} {case[0]:34} x{case[1]}{self.count / seconds:>12,.0f} rows/s",
                  flush=True)
        self.fixed.append(self.narwal({"type": "null"}, "lab.one", 1)[:2])
        self.restarts += self.restart()

    def measure(self, program, connections):
        """(seconds, CPU-s, peak bytes) of one copy."""
        if program == SMALL:
            return self.narwal({"type": "null"}, "small.*", connections)
        if program == "narwal to null":
            return self.narwal({"type": "null"}, "large.*", connections)
        if program == "narwal to zstd files":
            return self.narwal({"compress": "zstd"}, "large.*", connections)
        return self.psql(program, connections)

    def psql(self, program, connections):
        verb = "COPY" if program == SERVER_SIDE else "\\copy"
        command = [str(cluster.servers.clients() / "psql"), "-XqAt", "-v", "ON_ERROR_STOP=1",
                   "-d", self.server.dsn(), "-c"]
        what = ["large.rows"] if connections == 1 else \
            [f"(SELECT * FROM ONLY large.rows WHERE {part})" for part in self.parts[connections]]
        return measure.watch([subprocess.Popen(
            [*command, f"{verb} {one} TO '/dev/null' (FORMAT binary)"],
            stdin=subprocess.DEVNULL) for one in what])

    def narwal(self, sink, tables, workers):
        number = next(self.numbers)
        settings = {"source": {"snapshot": "only", "publication": {"name": f"bench_copy_{number}"}},
                    "copy": {"workers": workers}, "limits": {"memory": MEMORY},
                    "tables": {"include": [tables]}}
        pipeline = narwal.Narwal(self.server, name=f"c{number}", settings=settings)
        pipeline.config["sinks"] = [{**pipeline.config["sinks"][0], **sink}] \
            if "type" not in sink else [sink]
        try:
            with pipeline:
                return measure.watch([pipeline.start().process])
        except AssertionError as error:
            raise AssertionError(f"{error}\n{pipeline.log_tail()}") from None
        finally:
            shutil.rmtree(pipeline.home)
            self.server.sql(f"DROP PUBLICATION IF EXISTS bench_copy_{number}")

    def restart(self):
        """Seconds from the start until it says that it streams, and until a row is in the file."""
        number = next(self.numbers)
        pipeline = narwal.Narwal(self.server, name=f"r{number}", settings={
            "tables": {"include": ["lab.marker"]}, "limits": {"memory": MEMORY}})
        measured = []
        with pipeline:
            pipeline.start().wait_streaming()
            for _ in range(RESTARTS):
                pipeline.terminate()
                started = time.monotonic()
                pipeline.start()
                value = time.time_ns()
                self.server.sql("INSERT INTO lab.marker VALUES (%s)", (value,))
                measured.append(self.await_row(pipeline, value, started))
        while self.server.value("SELECT active FROM pg_replication_slots WHERE slot_name = %s",
                                (pipeline.slot,)):  # its walsender ends a moment after narwal
            time.sleep(0.05)
        self.server.sql("SELECT pg_drop_replication_slot(%s)", (pipeline.slot,))
        self.server.sql(f"DROP PUBLICATION {pipeline.slot}")
        shutil.rmtree(pipeline.home)
        return measured

    @staticmethod
    def await_row(pipeline, value, started):
        wanted = str(value).encode()
        streams = row = None
        while streams is None or row is None:
            now = time.monotonic() - started
            if streams is None and "streaming from" in pipeline.log():
                streams = now
            if row is None and any(wanted in file.read_bytes()
                                   for file in pathlib.Path(pipeline.out).glob("*/*.changes.jsonl")):
                row = now
            if now > WAIT_SECONDS_MAX or not pipeline.running:
                raise AssertionError(f"no streamed row\n{pipeline.log_tail()}")
            time.sleep(0.002)
        return streams, row

    def rows(self):
        """The medians; rates against the server's own COPY on one connection."""
        against = measure.median(self.results[SERVER_SIDE, 1])[0]
        large = {n: measure.median(self.results["narwal to null", n])[0] for n in AIMS}
        for (program, connections), measured in self.results.items():
            for index, value in enumerate(measure.median(measured)):
                kind, unit, digits = UNITS[index]
                row = {"row": f"copy, {program}, {connections} connections: {kind}",
                       "value": round(value, digits), "unit": unit, "against": None, "ratio": None}
                if kind == "rate" and program == SMALL:
                    row["against"] = f"narwal to null, one large table, {connections} connections"
                    row["ratio"] = measure.ratio(value, large[connections])
                elif kind == "rate":
                    row["against"] = f"{SERVER_SIDE}, 1 connection"
                    row["ratio"] = measure.ratio(value, against)
                if kind in ("rate", "server's CPU") or program != SERVER_SIDE:
                    yield row
        for index, (kind, unit) in enumerate([("time", "s"), ("CPU", "CPU-s")]):
            yield {"row": f"copy, narwal to null, one row: {kind}",
                   "value": round(measure.median(self.fixed)[index], 3), "unit": unit,
                   "against": None, "ratio": None}
        for index, what in enumerate(["it streams", "the first row is in its file"]):
            yield {"row": f"restart, until {what}",
                   "value": round(measure.median(self.restarts)[index], 3), "unit": "s",
                   "against": None, "ratio": None}

    def show(self):
        against = measure.median(self.results[SERVER_SIDE, 1])[0]
        print(f"\n{'':38}{'rows/s':>11}{'ratio':>8}{'CPU-s/M':>10}{'MiB':>8}{'server':>8}{'bound':>8}"
              "   spread of the rate")
        for (program, connections), measured in self.results.items():
            rate, cpu, memory, server_cpu = measure.median(measured)
            rates = [one[0] for one in measured]
            # The server's work is not the client's.
            costs = f"{cpu:>10.2f}{memory:>8.1f}" if program != SERVER_SIDE else f"{'':>18}"
            bound = os.cpu_count() / (server_cpu + (cpu if program != SERVER_SIDE else 0)) * 1e6
            print(f"{program + ' x' + str(connections):38}{rate:>11,.0f}{rate / against:>8.2f}{costs}"
                  f"{server_cpu:>8.2f}{bound / against:>8.2f}"
                  f"   {min(rates):,.0f} - {max(rates):,.0f}")
        print(f"server: its sessions' CPU-s per million rows; bound: the ratio at which {os.cpu_count()} "
              "cores have no time left")
        for connections, wanted in AIMS.items():
            rate = measure.median(self.results["narwal to null", connections])[0] / against
            print(f"aim, copy to null with {connections}: {rate:.2f} of one {SERVER_SIDE} "
                  f"({wanted} wanted): {measure.verdict(rate >= wanted)}")
        for program, wanted in AIM_CPU.items():
            _, cpu, peak, _ = measure.median(self.results[program, 1])
            print(f"aim, {program}: {cpu:.2f} CPU-s per million rows (less than {wanted} wanted), "
                  f"{peak:.0f} MiB at most (less than {MEMORY} wanted): "
                  f"{measure.verdict(cpu < wanted and peak < 256)}")
        seconds, cpu = measure.median(self.fixed)
        print(f"fixed: a copy of one row takes {seconds:.2f} s and {cpu:.2f} CPU-s; that is in the "
              f"figures above, {seconds * against / self.count:.1%} of COPY's time on one connection")
        streams, row = measure.median(self.restarts)
        print(f"restart: streams after {streams:.2f} s, the first row is in its file after {row:.2f} s")
