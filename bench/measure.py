# SPDX-License-Identifier: Apache-2.0
"""What the parts of ./dev bench share: the table, the server, and watching processes.

Rates differ between machines, ratios much less: each row of the result says what it is compared
with.
"""
import os
import pathlib
import re
import statistics
import time

RUN_SECONDS_MAX = 300
POLL_SECONDS = 0.01
MIB = 1 << 20

# What is measured: fsync and checkpoints of the server are not part of it.
SERVER = {"shared_buffers": "1GB", "max_wal_size": "16GB", "checkpoint_timeout": "1h",
          "autovacuum": "off", "synchronous_commit": "off", "full_page_writes": "on",
          "logical_decoding_work_mem": "64MB", "max_slot_wal_keep_size": "-1"}
COLUMNS = """(id bigint PRIMARY KEY, a integer, b bigint, c double precision,
    d numeric(12,2), t text, u uuid, ts timestamptz, f boolean, note varchar(40))"""
ROWS = """SELECT g, g %% 1000, g * 7, g / 3.0, (g %% 100000) / 100.0,
    'some text of row ' || g, md5(g::text)::uuid, '2024-01-01'::timestamptz + g * interval '1 second',
    g %% 2 = 0, 'note ' || g %% 97 FROM generate_series(%s, %s) g"""


def load(server, changes, rows_per_transaction):
    """Insert so many rows into the table bench; the WAL position behind them."""
    connection = server.connect()
    for first in range(1, changes + 1, rows_per_transaction):
        last = min(first + rows_per_transaction - 1, changes)
        connection.cursor().execute(f"INSERT INTO bench {ROWS}", (first, last))
    return server.value("SELECT pg_current_wal_lsn()")


def watch(processes, done=lambda: False):
    """Time until all processes end by themselves or are done; then their CPU time and peak memory."""
    started = time.monotonic()
    running = {process.pid: process for process in processes}
    peak = dict.fromkeys(running, 0)
    cpu = 0
    seconds = None
    while seconds is None:
        for pid in list(running):
            peak[pid] = max(peak[pid], memory_peak(pid))
            ended, status, usage = os.wait4(pid, os.WNOHANG)
            if ended:
                cpu += finish(running.pop(pid), status, usage)
        if not running or done():
            seconds = time.monotonic() - started
        elif time.monotonic() - started > RUN_SECONDS_MAX:
            for process in running.values():
                process.kill()
            raise AssertionError(f"{processes[0].args[0]}: not within {RUN_SECONDS_MAX} s")
        else:
            time.sleep(POLL_SECONDS)
    for pid, process in running.items():
        peak[pid] = max(peak[pid], memory_peak(pid))
        process.terminate()
        _, status, usage = os.wait4(pid, 0)
        cpu += finish(process, status, usage)
    return seconds, cpu, sum(peak.values())


def finish(process, status, usage):
    """The CPU time of a process that has ended."""
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise AssertionError(f"{process.args}: exit status {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def memory_peak(pid):
    """Not from rusage: that has the memory of the process before exec, too."""
    try:
        text = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    match = re.search(r"VmHWM:\s+(\d+) kB", text)
    return int(match[1]) * 1024 if match else 0


def children_cpu(pid):
    """CPU time of all children of a process that have ended: of a server's postmaster, its sessions."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def median(measured):
    """Of each column."""
    return [statistics.median(column) for column in zip(*measured)]


def ratio(value, against):
    return round(value / against, 3) if against else None


def verdict(met):
    return "met" if met else "NOT met"
