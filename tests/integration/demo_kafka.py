#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""./dev demo --kafka: the shop of ./dev demo into a Kafka broker of this machine, kill -9, and the proof."""
import argparse
import json
import os
import subprocess
import sys
import time

import demo
from lab import check, cluster, kafka, narwal, oracle

TOPIC = "orders"  # of which messages are shown
SHOWN = 3
AROUND = 50  # offsets, some of which are ends of transactions
WIDTH = 150


class Pipeline(narwal.Narwal):
    """narwal into the broker; how far it is, it says itself."""

    def __init__(self, server, broker):
        super().__init__(server, name="demo", settings={
            "tables": {"include": ["shop.*"]},
            "sinks": [{"type": "kafka", "brokers": [broker.address], "prefix": "demo", "delivery": "transactional"}]})

    def status(self):
        """What `narwal status --json` says; {} while it does not answer, or has nothing to say yet."""
        code, text = self.call("status", "--json")
        status = json.loads(text) if code == 0 else {}
        return status if "sinks" in status else {}

    def streams(self):
        return self.status().get("phase") == "streaming"

    def wait_caught_up(self, seconds=120):
        self.wait("everything durable", lambda: self.call("wait", "--timeout", "5s")[0] == 0, seconds)
        return self


class KafkaDemo(demo.Demo):
    stand = "the topics"
    rebuilds = "reads the topics with kcat, rebuilds the tables in another database"

    def __init__(self, server, broker, screen, seconds):
        super().__init__(server, screen, seconds, Pipeline(server, broker))
        self.broker = broker

    def show(self):
        status = self.pipeline.status()
        if not status:
            return
        sink, now = status["sinks"][0], time.monotonic()
        if now - self.lines_at > 1:
            self.rate = max(sink["rows"] - self.lines, 0) / (now - self.lines_at)
            self.lines, self.lines_at = sink["rows"], now
        self.screen.status(f"{status['phase']:<10} {sink['rows']:>9,} rows   {self.rate:>8,.0f} rows/s   behind "
                           f"{sink['lag_seconds'] * 1000:>6,.0f} ms   durable {sink['durable_lsn']}")

    def kill(self, moment):
        super().kill(moment)
        self.lines = self.lines_at = 0

    def into(self):
        return "topics demo.shop.*,\ntransactional: a reader with read_committed gets every change exactly once"

    def first_moment(self):
        self.watch(30, lambda: self.lines > 0)
        return "just after the copy" if self.pipeline.streams() else "during the copy"

    def compare(self):
        target = "compared"
        self.server.sql(f"CREATE DATABASE {target}")
        logs = [kafka.Log(self.broker, self.server, f"demo.{schema}.{table}", schema, table)
                for schema, table in demo.TABLES]
        result = oracle.compare([log.table for log in logs], self.server.dsn(), self.server.dsn(target), demo.TABLES)
        result.doubled += sum(log.again for log in logs)
        return result

    def look(self):
        """What there is to see, and how."""
        topic = f"demo.shop.{TOPIC}"
        names = sorted(self.broker.topics())
        ours = [name.rpartition(".")[2] for name in names if name.startswith("demo.shop.")]
        self.screen.say(f"\nTopics: demo.shop.{{{','.join(ours)}}}\n"
                        "and _narwal.demo.kafka, which says how far narwal is.\n"
                        f"The last {SHOWN} messages of {topic}, key and value:")
        read = ["kcat", "-b", self.broker.address, "-C", "-t", topic]
        said = subprocess.run([*read, "-o", f"-{AROUND}", "-e", "-q", "-f", "  %k  %s\\n"], text=True, check=True,
                              stdout=subprocess.PIPE, timeout=kafka.READ_SECONDS_MAX).stdout
        for line in said.splitlines()[-SHOWN:]:
            self.screen.say(line if len(line) <= WIDTH else f"{line[:WIDTH]}...")
        return " ".join(read)


def verdict_of(result):
    return f"{demo.KILLS} kills, {result.changes:,} changes, {result.rows:,} rows in {result.tables} tables compared: " \
           f"{result.lost} lost, {result.doubled} doubled, {result.different} different"


def run(screen, options):
    if not (kafka.servers.cache_folder() / f"kafka-{kafka.parts.VERSION}").exists():
        screen.say(f"Fetching Kafka {kafka.parts.VERSION} by Maven, once (54 MB, into {kafka.servers.cache_folder()}) ...")
    with kafka.Broker() as broker, cluster.Cluster(
            15, {"logical_decoding_work_mem": "1MB", "max_wal_size": "4GB"}, fresh=True) as server:
        screen.say(screen.paint("A throw-away PostgreSQL 15", demo.BOLD) + f" on port {server.port}, and " +
                   screen.paint(f"a Kafka {kafka.parts.VERSION} broker", demo.BOLD) + f" at {broker.address}")
        server.sql(demo.SCHEMA.replace("{customers}", "20000"))
        shown = KafkaDemo(server, broker, screen, options.seconds)
        result = shown.run()
        good = result.good and result.tables == len(demo.TABLES) and result.doubled == 0
        screen.say(screen.paint(verdict_of(result), demo.GREEN if good else demo.RED))
        if not good:
            screen.say(result.report())
            return 1
        read = shown.look()
        if screen.live and sys.stdin.isatty():
            screen.say(f"\nLook yourself, in another terminal, while the broker is here:\n  {read} -o beginning -e\n"
                       f"  kcat -b {broker.address} -L\n")
            input("Enter ends it. ")
    print(f"""
Your own database and brokers: orders.yaml, then {os.path.relpath(narwal.build() / "narwal")} run orders.yaml
  source:
    dsn: postgresql://you@host/db
  sinks:
    - type: kafka
      brokers: [kafka-1:9092]
      prefix: orders
docs/kafka.md has the rest: what is in a topic, delivery, security, the rights that it needs.""")
    return 0


def main():
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__)
    parser.add_argument("--kafka", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=30, help="length of the stream (30)")
    parser.add_argument("--plain", action="store_true", help="no colours, no live line, no question at the end")
    parser.add_argument("--keep", action="store_true", help="leave the server's folder")
    options = parser.parse_args()
    os.environ.setdefault("NARWAL_BUILD", str(narwal.ROOT / "build" / "release"))
    if options.keep:
        os.environ["NARWAL_KEEP"] = "1"
    try:
        return run(demo.Screen(options.plain), options)
    except cluster.servers.Unavailable as error:
        print(error)
        return check.SKIPPED


if __name__ == "__main__":
    sys.exit(main())
