# SPDX-License-Identifier: Apache-2.0
"""What following a busy primary costs it: pgbench on one server, with and without somebody who reads.

In turns: alone (wal_level is logical, and nobody reads), beside pg_recvlogical, which is the floor
(a walsender that decodes, and a reader that throws away), beside narwal to null and to files, and
while narwal copies a large table. Each under two loads: as much as four clients can do, and half of
that at a fixed rate, where latency is what counts. All of it shares the machine: what the reader
takes of the cores is in the figures too, and would not be on a host of its own; so the walsender's
CPU time, which stays, is measured apart, and set beside that of pgbench's own sessions: of all figures
that share is the one that other work on the machine disturbs least.
"""
import os
import pathlib
import shutil
import statistics
import subprocess
import time

import measure
from lab import cluster, narwal

SCALE = 10
CLIENTS = 4
SETTLE_SECONDS = 1.5
ALONE, FLOOR = "alone", "pg_recvlogical"
NULL, FILES, COPY = "narwal to null", "narwal to files", "narwal copies"
CASES = [ALONE, FLOOR, NULL, FILES, COPY]
LOADS = ["full", "half"]
COPY_RATE = "16MiB"
COPY_MARGIN = 4 # seconds beside the measurement
UNITS = [("rate", "transactions/s", 0), ("p95", "ms", 2), ("p99", "ms", 2),
         ("sessions' CPU", "CPU-s per 1000 transactions", 3), ("walsender's CPU", "CPU-s per 1000 transactions", 3),
         ("reader's CPU", "CPU-s per 1000 transactions", 3)]
SESSION_END_SECONDS = 0.3 # until the postmaster has noticed
TABLES = ["public.pgbench_*"]


def cpu_of(pid):
    """CPU time of a process that runs."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Bench:
    def __init__(self, server, options):
        self.server = server
        self.seconds = options.seconds
        self.results = {(load, case): [] for load in LOADS for case in CASES}
        self.half = None
        self.number = 0
        self.pgbench = server.bin / "pgbench"

    def load(self):
        rows = int((self.seconds + COPY_MARGIN) * 16 * measure.MIB / 120)
        print(f"pgbench at scale {SCALE}, {CLIENTS} clients, and {rows:,} rows that are copied ...", flush=True)
        self.run_pgbench("-i", "-q", "-s", SCALE)
        self.server.sql("CREATE SCHEMA large")
        self.server.sql(f"CREATE TABLE large.rows {measure.COLUMNS}")
        self.server.sql(f"INSERT INTO large.rows {measure.ROWS}", (1, rows))
        self.server.sql("CREATE SCHEMA lab")
        self.server.sql("CREATE TABLE lab.marker (id bigint PRIMARY KEY)")
        self.server.sql("VACUUM (FREEZE, ANALYZE)")
        self.server.sql("CHECKPOINT")
        self.work(None)  # caches
        self.half = int(self.work(None)[0] / 2)

    def run_pgbench(self, *words, folder=None):
        result = subprocess.run([str(self.pgbench), *map(str, words), self.server.dsn()], cwd=folder,
                                text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if result.returncode != 0:
            raise AssertionError(f"pgbench {words}: {result.stdout}")

    def work(self, rate):
        """(transactions/s, p95 in ms, p99 in ms, the sessions' CPU-s per 1000)"""
        before = measure.children_cpu(self.server.process.pid)
        folder = self.server.folder / "pgbench"
        folder.mkdir()
        limit = ["-R", rate] if rate else []
        self.run_pgbench("-n", "-c", CLIENTS, "-j", 1, "-T", self.seconds, "-l", *limit, folder=folder)
        times = sorted(int(line.split()[2]) for file in folder.iterdir() for line in file.read_text().splitlines())
        shutil.rmtree(folder)
        at = statistics.quantiles(times, n=100)
        time.sleep(SESSION_END_SECONDS)
        cpu = measure.children_cpu(self.server.process.pid) - before
        return len(times) / self.seconds, at[94] / 1000, at[98] / 1000, cpu * 1000 / len(times)

    def round(self, turn):
        for case in CASES:
            for load in LOADS:
                measured = self.measure(case, self.half if load == "half" else None)
                self.results[load, case].append(measured)
                print(f"round {turn} {load:5}{case:16}{measured[0]:>8,.0f} transactions/s  p99 {measured[2]:.2f} ms",
                      flush=True)

    def measure(self, case, rate):
        """The load beside a reader; and the CPU of both ends of the stream."""
        self.number += 1
        if case == ALONE:
            return (*self.work(rate), 0, 0)
        slot = f"bench_{self.number}"
        reader = self.recvlogical(slot) if case == FLOOR else self.narwal(case)
        try:
            slot = slot if case == FLOOR else reader.slot
            process = reader if case == FLOOR else reader.process
            walsender = self.walsender(slot)
            before = cpu_of(walsender), cpu_of(process.pid)
            rates = self.work(rate)
            after = cpu_of(walsender), cpu_of(process.pid)
            self.check(case, reader)
        finally:
            self.end(reader, slot)
        count = rates[0] * self.seconds / 1000
        return (*rates, (after[0] - before[0]) / count, (after[1] - before[1]) / count)

    def recvlogical(self, slot):
        self.server.sql("CREATE PUBLICATION bench FOR ALL TABLES")
        self.server.sql("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (slot,))
        return subprocess.Popen(
            [str(cluster.servers.clients() / "pg_recvlogical"), "-d", self.server.dsn(), "--slot", slot, "--start",
             "-f", "/dev/null", "-o", "proto_version=1", "-o", "publication_names=bench"], stdin=subprocess.DEVNULL)

    def narwal(self, case):
        copies = case == COPY
        settings = {"tables": {"include": [*TABLES, "large.*"] if copies else TABLES},
                    "copy": {"rate": COPY_RATE, "chunk": "8MiB"} if copies else {}}
        if not copies:
            settings["source"] = {"snapshot": "never"}
        pipeline = narwal.Narwal(self.server, name=f"p{self.number}", settings=settings)
        pipeline.config["sinks"] = [pipeline.config["sinks"][0] if case == FILES else {"type": "null"}]
        pipeline.start()
        pipeline.wait("the stream", lambda: "streaming from" in pipeline.log())
        return pipeline

    def check(self, case, reader):
        """It measured what it says."""
        if case == COPY and "copy complete" in reader.log():
            raise AssertionError("the copy ended before pgbench did")

    def walsender(self, slot):
        time.sleep(SETTLE_SECONDS)
        return self.server.value("SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s", (slot,))

    def end(self, reader, slot):
        if isinstance(reader, subprocess.Popen):
            reader.terminate()
            reader.wait()
        else:
            reader.kill()
            shutil.rmtree(reader.home)
        while self.server.value("SELECT active FROM pg_replication_slots WHERE slot_name = %s", (slot,)):
            time.sleep(0.05)
        self.server.sql("SELECT pg_drop_replication_slot(%s)", (slot,))
        for (name,) in self.server.sql("SELECT pubname FROM pg_publication"):
            self.server.sql(f"DROP PUBLICATION {name}")

    def rows(self):
        """The medians, each against the server alone; CPU against pg_recvlogical."""
        for load in LOADS:
            alone = measure.median(self.results[load, ALONE])
            floor = measure.median(self.results[load, FLOOR])
            for case in CASES:
                for index, value in enumerate(measure.median(self.results[load, case])):
                    kind, unit, digits = UNITS[index]
                    of_cpu = "CPU" in kind
                    if not (of_cpu and case == ALONE):
                        yield {"row": f"primary, {case}, {load} load: {kind}", "value": round(value, digits),
                               "unit": unit, "against": FLOOR if of_cpu else ALONE,
                               "ratio": measure.ratio(value, (floor if of_cpu else alone)[index])}

    def show(self):
        print(f"\n{'':24}{'trans/s':>9}{'ratio':>7}{'p95 ms':>9}{'p99 ms':>9}{'sessions':>10}{'walsender':>11}"
              f"{'reader':>9}{'share':>8}"
              "   spread of the rate")
        for load in LOADS:
            alone = measure.median(self.results[load, ALONE])[0]
            for case in CASES:
                rate, p95, p99, sessions, sender, reader = measure.median(self.results[load, case])
                rates = [one[0] for one in self.results[load, case]]
                print(f"{load + ', ' + case:24}{rate:>9,.0f}{rate / alone:>7.2f}{p95:>9.2f}{p99:>9.2f}"
                      f"{sessions:>10.3f}{sender:>11.3f}{reader:>9.3f}{sender / sessions:>8.1%}   {min(rates):,.0f} - {max(rates):,.0f}")
        print("sessions, walsender, reader: CPU-s per 1000 transactions; share: the walsender's of the sessions'")
