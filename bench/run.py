#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""./dev bench: the release build beside PostgreSQL's own programs, in one run.

stream:  a backlog of changes, beside pg_recvlogical, over a unix socket, TCP and TLS
copy:    the first copy, beside COPY on the server and psql's \\copy; and a restart
primary: pgbench with and without narwal beside it, and beside pg_recvlogical
debezium: only with --peer debezium: a backlog into Kafka, beside Debezium's connector, and the latency

In turns, medians of several rounds. Rates differ between machines, ratios much less.

    bench/run.py [--json FILE] [--only stream,copy,primary] [--peer debezium] [--rounds N]
                 [--changes N] [--ways unix,tcp,tls] [--rows N] [--seconds N]
"""
import argparse
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "integration"))
import bench_copy  # noqa: E402
import bench_debezium  # noqa: E402
import bench_primary  # noqa: E402
import bench_stream  # noqa: E402
import measure  # noqa: E402
from lab import cluster, narwal  # noqa: E402

PARTS = {"stream": bench_stream.Bench, "copy": bench_copy.Bench, "primary": bench_primary.Bench}
PEERS = {"debezium": bench_debezium.Bench}  # what takes a download and minutes: on demand


def options_read():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help="write the figures as a JSON array")
    parser.add_argument("--only", metavar="PARTS",
                        help="what to measure: stream, copy, primary (default: all)")
    parser.add_argument("--peer", choices=PEERS, help="measure beside this program; without --only that alone")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--changes", type=int, default=1000000, help="of the stream's backlog")
    parser.add_argument("--ways", default="unix,tcp,tls", help="how the stream is read")
    parser.add_argument("--rows", type=int, default=10000000, help="that are copied")
    parser.add_argument("--seconds", type=int, default=15, help="of each run of pgbench, and of each measurement of latency")
    options = parser.parse_args()
    options.only = options.only.split(",") if options.only else [] if options.peer else list(PARTS)
    for part in options.only:
        if part not in PARTS:
            parser.error(f"--only {part}: there are {', '.join(PARTS)}")
    if options.rows < bench_copy.SMALL_TABLES:
        parser.error(f"--rows: at least {bench_copy.SMALL_TABLES}")
    options.only += [options.peer] if options.peer else []
    return options


def measured(part, options):
    """One part, on a server of its own."""
    with cluster.Cluster(15, measure.SERVER, tls=True) as server:
        print(f"{part}: PostgreSQL {server.value('SHOW server_version')}, ", end="")
        bench = {**PARTS, **PEERS}[part](server, options)
        bench.load()
        for turn in range(options.rounds):
            bench.round(turn + 1)
        return bench


def main():
    options = options_read()
    os.environ.setdefault("NARWAL_BUILD", str(narwal.ROOT / "build" / "release"))
    try:
        benches = [measured(part, options) for part in options.only]
    except cluster.servers.Unavailable as error:
        print(error)
        return 77
    for bench in benches:
        bench.show()
    if options.json:
        rows = [row for bench in benches for row in bench.rows()]
        pathlib.Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
