#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""./dev bench: narwal beside pg_recvlogical on the same backlog of one million changes.

One slot is made, then the load runs; every measurement reads it again through a copy of that slot,
until everything is confirmed. Over a unix socket, TCP and TLS, in turns, medians of several rounds.
What counts is the client: the changes per second it reaches, its CPU time, its memory. Rates differ
between machines, ratios much less: each row says what it is compared with.

    bench/run.py [--json FILE] [--changes N] [--rounds N] [--ways unix,tcp,tls]
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "integration"))
from lab import cluster, narwal  # noqa: E402

PUBLICATION = "bench"
BASE_SLOT = "bench_base"
ROWS_PER_TRANSACTION = 10000
RUN_SECONDS_MAX = 300
POLL_SECONDS = 0.02
AIM_RATIO = 0.95
AIM_CPU = 1.0
MIB = 1 << 20

# What is measured: fsync and checkpoints of the server are not part of it.
SERVER = {"shared_buffers": "1GB", "max_wal_size": "16GB", "checkpoint_timeout": "1h",
          "autovacuum": "off", "synchronous_commit": "off", "full_page_writes": "on",
          "logical_decoding_work_mem": "64MB", "max_slot_wal_keep_size": "-1"}
TABLE = """CREATE TABLE bench (id bigint PRIMARY KEY, a integer, b bigint, c double precision,
    d numeric(12,2), t text, u uuid, ts timestamptz, f boolean, note varchar(40))"""
INSERT = """INSERT INTO bench SELECT g, g % 1000, g * 7, g / 3.0, (g % 100000) / 100.0,
    'some text of row ' || g, md5(g::text)::uuid, '2024-01-01'::timestamptz + g * interval '1 second',
    g % 2 = 0, 'note ' || g % 97 FROM generate_series(%s, %s) g"""


class Bench:
    def __init__(self, server, changes):
        self.server = server
        self.changes = changes
        self.number = 0

    def load(self):
        self.server.sql(TABLE)
        self.server.sql(f"CREATE PUBLICATION {PUBLICATION} FOR TABLE bench")
        self.server.sql("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (BASE_SLOT,))
        connection = self.server.connect()
        for first in range(1, self.changes + 1, ROWS_PER_TRANSACTION):
            last = min(first + ROWS_PER_TRANSACTION - 1, self.changes)
            connection.cursor().execute(INSERT.replace("% ", "%% "), (first, last))
        self.end = self.server.value("SELECT pg_current_wal_lsn()")
        # Something after the end, so that every client sees that the end has passed.
        self.server.sql("INSERT INTO bench SELECT -1")
        self.server.sql("CHECKPOINT")

    def slot(self):
        """A fresh copy of the slot that stands before the backlog."""
        self.number += 1
        name = f"bench_{self.number}"
        self.server.sql("SELECT pg_copy_logical_replication_slot(%s, %s)", (BASE_SLOT, name))
        return name

    def measure(self, program, way):
        """(changes/s, CPU-s per million, peak bytes) of one run."""
        slot = self.slot()
        try:
            run = self.recvlogical if program == "pg_recvlogical" else self.narwal
            seconds, cpu, peak = run(program, way, slot)
        finally:
            self.server.sql("SELECT pg_drop_replication_slot(%s)", (slot,))
        return self.changes / seconds, cpu * 1e6 / self.changes, peak

    def recvlogical(self, _, way, slot):
        command = [str(cluster.servers.clients() / "pg_recvlogical"), "-d", self.server.dsn(way=way),
                   "--slot", slot, "--start", "--no-loop", "-f", "/dev/null", "--endpos", self.end,
                   "-o", "proto_version=1", "-o", f"publication_names={PUBLICATION}"]
        return self.watch(subprocess.Popen(command, stdin=subprocess.DEVNULL), lambda: False)

    def narwal(self, program, way, slot):
        sink = {"type": "null"} if program == "narwal to null" else {}
        settings = {"source": {"snapshot": "never", "slot": {"name": slot, "create": False},
                               "publication": {"name": PUBLICATION, "create": False}}}
        pipeline = narwal.Narwal(self.server, dsn=self.server.dsn(way=way), name=f"n{self.number}",
                                 settings=settings)
        pipeline.config["sinks"] = [sink or pipeline.config["sinks"][0]]
        connection = self.server.connect()
        cursor = connection.cursor()

        def confirmed():
            cursor.execute("SELECT confirmed_flush_lsn >= %s::pg_lsn FROM pg_replication_slots "
                           "WHERE slot_name = %s", (self.end, slot))
            return cursor.fetchone()[0]

        with pipeline:
            pipeline.start()
            result = self.watch(pipeline.process, confirmed)
            if pipeline.process.returncode != 0:
                raise AssertionError(pipeline.log_tail())
        connection.close()
        return result

    @staticmethod
    def watch(process, done):
        """Time until the process ends by itself or is done; then its CPU time and memory."""
        started = time.monotonic()
        seconds = None
        peak = 0
        while seconds is None:
            peak = max(peak, memory_peak(process.pid))
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended or done():
                seconds = time.monotonic() - started
            elif time.monotonic() - started > RUN_SECONDS_MAX:
                process.kill()
                raise AssertionError(f"{process.args[0]}: not within {RUN_SECONDS_MAX} s")
            else:
                time.sleep(POLL_SECONDS)
        if not ended:
            peak = max(peak, memory_peak(process.pid))
            process.terminate()
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise AssertionError(f"{process.args}: exit status {process.returncode}")
        return seconds, usage.ru_utime + usage.ru_stime, peak


def memory_peak(pid):
    """Not from rusage: that has the memory of the process before exec, too."""
    try:
        text = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    match = re.search(r"VmHWM:\s+(\d+) kB", text)
    return int(match[1]) * 1024 if match else 0


PROGRAMS = ["pg_recvlogical", "narwal to null", "narwal to file"]
UNITS = [("rate", "changes/s", 0), ("CPU", "CPU-s per million changes", 3), ("memory", "MiB peak", 1)]


def rows(results, ways):
    """The medians, each against pg_recvlogical the same way."""
    for way in ways:
        against = median(results[way, "pg_recvlogical"])
        for program in PROGRAMS:
            for index, value in enumerate(median(results[way, program])):
                kind, unit, digits = UNITS[index]
                yield {"row": f"stream, {program}, {way}: {kind}", "value": round(value, digits),
                       "unit": unit, "against": f"pg_recvlogical, {way}",
                       "ratio": round(value / against[index], 3) if against[index] else None}


def median(measured):
    return [statistics.median(column) for column in zip(*measured)]


def show(results, ways):
    print(f"\n{'':28}{'changes/s':>11}{'ratio':>8}{'CPU-s/M':>10}{'MiB':>8}   spread of the rate")
    for way in ways:
        against = median(results[way, "pg_recvlogical"])[0]
        for program in PROGRAMS:
            rate, cpu, memory = median(results[way, program])
            rates = [one[0] for one in results[way, program]]
            print(f"{way + ', ' + program:28}{rate:>11,.0f}{rate / against:>8.2f}{cpu:>10.2f}"
                  f"{memory:>8.1f}   {min(rates):,.0f} - {max(rates):,.0f}")
    for way in ways:
        rate, cpu, _ = median(results[way, "narwal to null"])
        ratio = rate / median(results[way, "pg_recvlogical"])[0]
        print(f"aim, {way}: {ratio:.2f} of pg_recvlogical ({AIM_RATIO} wanted), {cpu:.2f} us of CPU per "
              f"change (less than {AIM_CPU} wanted): "
              f"{'met' if ratio >= AIM_RATIO and cpu < AIM_CPU else 'NOT met'}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help="write the figures as a JSON array")
    parser.add_argument("--changes", type=int, default=1000000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ways", default="unix,tcp,tls")
    options = parser.parse_args()
    ways = options.ways.split(",")
    os.environ.setdefault("NARWAL_BUILD", str(narwal.ROOT / "build" / "release"))
    results = {(way, program): [] for way in ways for program in PROGRAMS}
    try:
        with cluster.Cluster(15, SERVER, tls=True) as server:
            bench = Bench(server, options.changes)
            print(f"PostgreSQL {server.value('SHOW server_version')}, loading "
                  f"{options.changes:,} changes ...", flush=True)
            bench.load()
            for turn in range(options.rounds):
                for way in ways:
                    for program in PROGRAMS:
                        measured = bench.measure(program, way)
                        results[way, program].append((*measured[:2], measured[2] / MIB))
                        print(f"round {turn + 1} {way:5}{program:16}{measured[0]:>10,.0f} changes/s",
                              flush=True)
    except cluster.servers.Unavailable as error:
        print(error)
        return 77
    show(results, ways)
    if options.json:
        pathlib.Path(options.json).write_text(
            json.dumps(list(rows(results, ways)), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
