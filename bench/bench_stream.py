# SPDX-License-Identifier: Apache-2.0
"""narwal beside pg_recvlogical on the same backlog of changes.

One slot is made, then the load runs; every measurement reads it again through a copy of that slot,
until everything is confirmed. What counts is the client: the changes per second it reaches, its CPU
time, its memory.
"""
import subprocess

import measure
from lab import cluster, narwal

PUBLICATION = "bench"
BASE_SLOT = "bench_base"
ROWS_PER_TRANSACTION = 10000
AIM_RATIO = 0.95
AIM_CPU = 1.0
PROGRAMS = ["pg_recvlogical", "narwal to null", "narwal to file"]
UNITS = [("rate", "changes/s", 0), ("CPU", "CPU-s per million changes", 3), ("memory", "MiB peak", 1)]


class Bench:
    def __init__(self, server, options):
        self.server = server
        self.changes = options.changes
        self.ways = options.ways.split(",")
        self.results = {(way, program): [] for way in self.ways for program in PROGRAMS}
        self.number = 0

    def load(self):
        print(f"loading {self.changes:,} changes ...", flush=True)
        self.server.sql(f"CREATE TABLE bench {measure.COLUMNS}")
        self.server.sql(f"CREATE PUBLICATION {PUBLICATION} FOR TABLE bench")
        self.server.sql("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (BASE_SLOT,))
        self.end = measure.load(self.server, self.changes, ROWS_PER_TRANSACTION)
        # Something after the end, so that every client sees that the end has passed.
        self.server.sql("INSERT INTO bench SELECT -1")
        self.server.sql("CHECKPOINT")

    def round(self, turn):
        for way in self.ways:
            for program in PROGRAMS:
                measured = self.measure(program, way)
                self.results[way, program].append((*measured[:2], measured[2] / measure.MIB))
                print(f"round {turn} {way:5}{program:16}{measured[0]:>10,.0f} changes/s", flush=True)

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
        return measure.watch([subprocess.Popen(command, stdin=subprocess.DEVNULL)])

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
            result = measure.watch([pipeline.start().process], confirmed)
        connection.close()
        return result

    def rows(self):
        """The medians, each against pg_recvlogical the same way."""
        for way in self.ways:
            against = measure.median(self.results[way, "pg_recvlogical"])
            for program in PROGRAMS:
                for index, value in enumerate(measure.median(self.results[way, program])):
                    kind, unit, digits = UNITS[index]
                    yield {"row": f"stream, {program}, {way}: {kind}",
                           "value": round(value, digits), "unit": unit,
                           "against": f"pg_recvlogical, {way}",
                           "ratio": measure.ratio(value, against[index])}

    def show(self):
        print(f"\n{'':28}{'changes/s':>11}{'ratio':>8}{'CPU-s/M':>10}{'MiB':>8}   spread of the rate")
        for way in self.ways:
            against = measure.median(self.results[way, "pg_recvlogical"])[0]
            for program in PROGRAMS:
                rate, cpu, memory = measure.median(self.results[way, program])
                rates = [one[0] for one in self.results[way, program]]
                print(f"{way + ', ' + program:28}{rate:>11,.0f}{rate / against:>8.2f}{cpu:>10.2f}"
                      f"{memory:>8.1f}   {min(rates):,.0f} - {max(rates):,.0f}")
        for way in self.ways:
            rate, cpu, _ = measure.median(self.results[way, "narwal to null"])
            ratio = rate / measure.median(self.results[way, "pg_recvlogical"])[0]
            print(f"aim, {way}: {ratio:.2f} of pg_recvlogical ({AIM_RATIO} wanted), {cpu:.2f} us of CPU "
                  f"per change (less than {AIM_CPU} wanted): "
                  f"{measure.verdict(ratio >= AIM_RATIO and cpu < AIM_CPU)}")
