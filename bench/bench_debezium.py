# SPDX-License-Identifier: Apache-2.0
"""narwal and Debezium's connector from the same backlog into the same broker, in Debezium's form; then their latency.

The rate counts from the moment the slot is read until the broker has every event, so that Java's start is not in it; CPU time is that of
the same stretch. pg_recvlogical into nothing, over TCP as the others, is the walsender's own rate. The broker shares the machine.
What can be reached: walsender, broker and reader share the cores, so a rate is at most the cores over the CPU time of all three for a
change; that bound is printed beside the ratio.
Latency is from just before an INSERT, one thousand of which are committed each second, to the broker's appending of its event.
"""
import contextlib
import json
import os
import subprocess
import time

import measure
from bench_primary import cpu_of
from lab import cluster, debezium, kafka, narwal

PUBLICATION = "bench"
BASE_SLOT = "bench_base"
ROWS_PER_TRANSACTION = 1000
WALSENDER, NARWAL, DEBEZIUM = "pg_recvlogical", "narwal to Kafka", "Debezium to Kafka"
PROGRAMS = [WALSENDER, NARWAL, DEBEZIUM]
UNITS = [("rate", "changes/s", 0), ("CPU", "CPU-s per million changes", 3), ("memory", "MiB peak", 1),
         ("beside", "CPU-s of walsender and broker per million changes", 3)]
LATENCIES = [("p50", "ms", 1), ("p99", "ms", 1)]
LATENCY_RATE = 1000
LATENCY_WARM_SECONDS = 3  # left out: Java compiles then
AIM_RATIO, AIM_CPU, AIM_MIB, AIM_P99 = 0.95, 1.5, 100, 50
WAIT_SECONDS = 1800
BROKER = {"log.message.timestamp.type": "LogAppendTime"}


class Bench:
    def __init__(self, server, options):
        self.server = server
        self.changes = options.changes
        self.seconds = options.seconds
        self.results = {program: [] for program in PROGRAMS}
        self.latencies = {program: [] for program in PROGRAMS[1:]}
        self.number = 0

    def load(self):
        print(f"loading {self.changes:,} changes ...", flush=True)
        self.server.sql(f"CREATE TABLE bench {measure.COLUMNS}")
        self.server.sql("CREATE TABLE pace (id bigint PRIMARY KEY, t text)")
        self.server.sql(f"CREATE PUBLICATION {PUBLICATION} FOR TABLE bench, pace")
        self.server.sql("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (BASE_SLOT,))
        self.end = measure.load(self.server, self.changes, ROWS_PER_TRANSACTION)
        self.server.sql("INSERT INTO pace VALUES (-1)")  # behind the end, so that it is seen
        self.server.sql("CHECKPOINT")

    def round(self, turn):
        for program in PROGRAMS:
            self.number += 1
            self.name = f"b{self.number}"
            self.server.sql("SELECT pg_copy_logical_replication_slot(%s, %s)", (BASE_SLOT, self.name))
            try:
                if program == WALSENDER:
                    seconds, cpu, peak = self.recvlogical()
                    beside = 0  # the walsender's is not told apart
                else:
                    with kafka.Broker(**BROKER) as self.broker:
                        seconds, cpu, peak, beside = self.measure(program)
            finally:
                self.server.sql("SELECT pg_drop_replication_slot(%s)", (self.name,))
            self.results[program].append((self.changes / seconds, cpu * 1e6 / self.changes, peak / measure.MIB,
                                          beside * 1e6 / self.changes))
            print(f"round {turn} {program:20}{self.changes / seconds:>10,.0f} changes/s", flush=True)

    def recvlogical(self):
        command = [str(cluster.servers.clients() / "pg_recvlogical"), "-d", self.server.dsn(way="tcp"), "--slot", self.name,
                   "--start", "--no-loop", "-f", "/dev/null", "--endpos", self.end, "-o", "proto_version=1",
                   "-o", f"publication_names={PUBLICATION}"]
        return measure.watch([subprocess.Popen(command, stdin=subprocess.DEVNULL)])

    # ---- the two that write to Kafka -------------------------------------------------------------

    @contextlib.contextmanager
    def running(self, program):
        """Its process, which is to read the slot."""
        if program == DEBEZIUM:
            with debezium.Debezium(self.server, self.broker, self.name, {
                    "slot.name": self.name, "publication.name": PUBLICATION, "publication.autocreate.mode": "disabled",
                    "snapshot.mode": "no_data"}, heap="1g", java=()) as connector:
                yield connector.start().process
                connector.stop()
        else:
            with narwal.Narwal(self.server, dsn=self.server.dsn(way="tcp"), name=self.name, settings={
                    "source": {"snapshot": "never", "slot": {"name": self.name, "create": False},
                               "publication": {"name": PUBLICATION, "create": False}},
                    "sinks": [{"type": "kafka", "brokers": [self.broker.address], "prefix": self.name,
                               "format": "debezium_json"}]}) as pipeline:
                yield pipeline.start().process
                pipeline.terminate()

    def measure(self, program):
        with self.running(program) as process:
            def reader():
                return self.server.value("SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s", (self.name,))

            def beside():
                return cpu_of(reader()) + cpu_of(self.broker.process.pid)
            self.until("the slot is read", process, reader)
            started, cpu, others = time.monotonic(), cpu_of(process.pid), beside()
            self.until("every event is there", process, lambda: self.events("bench") >= self.changes)
            seconds, cpu, others = time.monotonic() - started, cpu_of(process.pid) - cpu, beside() - others
            self.latencies[program].append(self.latency(process))
            return seconds, cpu, measure.memory_peak(process.pid), others

    def until(self, what, process, done):
        deadline = time.monotonic() + WAIT_SECONDS
        while not done():
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{what}: not within {WAIT_SECONDS} s")
            time.sleep(0.05)

    def topic(self, table):
        return f"{self.name}.public.{table}"

    def events(self, table):
        """How many a topic has."""
        result = subprocess.run(["kcat", "-b", self.broker.address, "-Q", "-t", f"{self.topic(table)}:0:-1"], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        return int(result.stdout.split()[-1]) if result.returncode == 0 and result.stdout.strip() else 0

    def latency(self, process):
        """(p50, p99) in milliseconds."""
        connection = self.server.connect()
        cursor = connection.cursor()
        cursor.execute("SET synchronous_commit = on")  # else the walsender waits for the WAL writer
        first = self.number * 1000000
        sent = {}
        started = time.monotonic()
        for number in range((self.seconds + LATENCY_WARM_SECONDS) * LATENCY_RATE):
            wait = started + number / LATENCY_RATE - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            sent[first + number] = time.time()
            cursor.execute("INSERT INTO pace VALUES (%s, 'some text')", (first + number,))
        connection.close()
        rows = self.server.value("SELECT count(*) FROM pace")  # those of former rounds are behind the base too
        self.until("every event is there", process, lambda: self.events("pace") >= rows)
        times = {}
        for message in self.broker.read(self.topic("pace")):
            times[json.loads(message["key"])["id"]] = message["ts"] / 1000
        taken = sorted((times[number] - at) * 1000 for number, at in sent.items()
                       if number >= first + LATENCY_WARM_SECONDS * LATENCY_RATE)
        return taken[len(taken) // 2], taken[len(taken) * 99 // 100]

    # ---- what it found ---------------------------------------------------------------------------

    def rows(self):
        """The medians, each against pg_recvlogical; latencies against Debezium's."""
        against = measure.median(self.results[WALSENDER])
        for program in PROGRAMS:
            for index, value in enumerate(measure.median(self.results[program])):
                kind, unit, digits = UNITS[index]
                yield {"row": f"debezium, {program}: {kind}", "value": round(value, digits), "unit": unit,
                       "against": WALSENDER, "ratio": measure.ratio(value, against[index])}
        against = measure.median(self.latencies[DEBEZIUM])
        for program in PROGRAMS[1:]:
            for index, value in enumerate(measure.median(self.latencies[program])):
                kind, unit, digits = LATENCIES[index]
                yield {"row": f"debezium, {program}: {kind} at {LATENCY_RATE} changes/s", "value": round(value, digits),
                       "unit": unit, "against": DEBEZIUM, "ratio": measure.ratio(value, against[index])}

    def show(self):
        against = measure.median(self.results[WALSENDER])[0]
        print(f"\n{'':22}{'changes/s':>11}{'ratio':>8}{'bound':>8}{'CPU-s/M':>10}{'MiB':>8}{'p50 ms':>9}{'p99 ms':>9}"
              "   spread of the rate")
        for program in PROGRAMS:
            rate, cpu, memory, beside = measure.median(self.results[program])
            rates = [one[0] for one in self.results[program]]
            latency = "".join(f"{value:>9.1f}" for value in measure.median(self.latencies[program])) \
                if program in self.latencies else f"{'':18}"
            bound = f"{os.cpu_count() * 1e6 / (cpu + beside) / against:>8.2f}" if beside else f"{'':8}"
            print(f"{program:22}{rate:>11,.0f}{rate / against:>8.2f}{bound}{cpu:>10.2f}{memory:>8.1f}{latency}"
                  f"   {min(rates):,.0f} - {max(rates):,.0f}")
        rate, cpu, memory, _ = measure.median(self.results[NARWAL])
        p99 = measure.median(self.latencies[NARWAL])[1]
        met = rate / against >= AIM_RATIO and cpu <= AIM_CPU and memory < AIM_MIB and p99 < AIM_P99
        print(f"aim: {AIM_RATIO} of the walsender's rate, {AIM_CPU} CPU-s per million, {AIM_MIB} MiB, p99 {AIM_P99} ms: "
              f"{measure.verdict(met)}")
