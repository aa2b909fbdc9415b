# SPDX-License-Identifier: Apache-2.0
"""narwal as a process: its configuration, log, signals, and how far it has come.

NARWAL_BUILD says which build to run (build/dev unless set).
"""
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

from . import folder, oracle

ROOT = pathlib.Path(__file__).resolve().parents[3]
WAIT_SECONDS_MAX = 300
BINARY_SECONDS_MAX = 60
MARK_SECONDS = 1
LOG_LINES_SHOWN = 25


def build():
    return pathlib.Path(os.environ.get("NARWAL_BUILD", ROOT / "build" / "dev"))


class Narwal:
    """One configuration with its state and its files, below the cluster's folder.

    dsn       of the source; default the cluster's unix socket
    database  that it is in
    settings  sections over the defaults: {"limits": {"memory": "128MiB"}}
    sink      options of the file sink over its path; None with a `sinks` section in settings
    """

    names = itertools.count(1)

    def __init__(self, cluster, dsn=None, name=None, settings=None, sink=None,
                 database="postgres"):
        self.cluster = cluster
        self.database = database
        self.name = name or f"lab{next(self.names)}"
        self.slot = f"narwal_{self.name}"
        self.home = cluster.folder / f"narwal-{self.name}"
        self.home.mkdir()
        self.out = self.home / "out"
        self.state_dir = self.home / "state"
        self.log_path = self.home / "log"
        self.process = None
        self.starts = 0
        self.options = []  # of `narwal run`, as "--standby"
        self.place = []  # what starts it somewhere else, as ["ip", "netns", "exec", "a"]
        self.marked = 0
        settings = settings or {}
        self.config = {
            "name": self.name,
            "state_dir": str(self.state_dir),
            "plugin_dir": str(build() / "plugins"),
            "sinks": [{"type": "file", "path": str(self.out), **(sink or {})}],
            **settings,
            "source": {"dsn": dsn or cluster.dsn(database), **settings.get("source", {})},
            "log": {"format": "text", **settings.get("log", {})},
        }

    # ---- process ---------------------------------------------------------------------------------

    @property
    def file(self):
        return self.home / "narwal.yaml"

    def command(self, *words):
        return [str(build() / "narwal"), *map(str, words)]

    def write(self):
        """The configuration file, as start() does."""
        # JSON is YAML.
        self.file.write_text(json.dumps(self.config, ensure_ascii=False, indent=1) + "\n")

    def start(self, **environment):
        """environment: as NARWAL_CRASH_AT="commit:3"."""
        self.write()
        self.starts += 1
        with open(self.log_path, "ab") as log:
            log.write(f"--- start {self.starts} {environment or ''}\n".encode())
            log.flush()
            # It ends with us, even when we are killed.
            self.process = subprocess.Popen(
                [*self.place, "setpriv", "--pdeathsig", "KILL", *self.command("run", *self.options, self.file)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **{key: str(value) for key, value in environment.items()}})
        return self

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def terminate(self, seconds=60):
        """SIGTERM, and wait; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait_exit(seconds)

    def wait_exit(self, seconds=WAIT_SECONDS_MAX):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"narwal does not end within {seconds} s\n{self.log_tail()}") from None

    def run_to_end(self, seconds=WAIT_SECONDS_MAX, **environment):
        """Start it and wait until it ends by itself; the exit status."""
        return self.start(**environment).wait_exit(seconds)

    def call(self, *words, seconds=60):
        """Another command of the program, with this configuration; its exit status and output."""
        result = subprocess.run(self.command(*words, self.file), stdin=subprocess.DEVNULL, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds)
        return result.returncode, result.stdout

    def call_verify(self):
        """`narwal files verify` on what is there."""
        result = subprocess.run(self.command("files", "verify", self.out), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return result.returncode, result.stdout

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.running:
            self.kill()

    def forget_state(self):
        shutil.rmtree(self.state_dir)

    # ---- what it says ----------------------------------------------------------------------------

    def log(self, whole=False):
        """What it said since its last start, or ever."""
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return text if whole else text.rpartition("--- start ")[2]

    def log_tail(self):
        return "\n".join(["narwal's log:", *self.log(True).splitlines()[-LOG_LINES_SHOWN:]])

    def memory_peak(self):
        """Bytes of resident memory at the highest."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", text)[1]) * 1024

    def open_files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    # ---- how far it is ---------------------------------------------------------------------------

    def state(self):
        return folder.State(self.out)

    def wait(self, what, done, seconds=WAIT_SECONDS_MAX):
        """Until done() is true; narwal has to keep running meanwhile."""
        deadline = time.monotonic() + seconds
        while not done():
            if not self.running:
                raise AssertionError(f"narwal ended with {self.process.poll()} while waiting for "
                                     f"{what}\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: not within {seconds} s\n{self.log_tail()}")
            time.sleep(0.05)

    def wait_streaming(self, seconds=WAIT_SECONDS_MAX):
        """Until the copy is done and the first position is stored."""
        self.wait("the end of the copy", self.streams, seconds)
        return self

    def streams(self):
        if self.state().lsn == 0 and time.monotonic() > self.marked + MARK_SECONDS:
            self.mark()  # on an idle database the first position would take up to a minute
        return self.state().lsn > 0

    def mark(self):
        self.marked = time.monotonic()
        self.cluster.sql("INSERT INTO lab.marker VALUES (%s)", (time.time_ns(),), self.database)

    def wait_slot(self, seconds=WAIT_SECONDS_MAX):
        """Until the slot is there: from then on every change counts."""
        self.wait("the slot", lambda: self.cluster.value(
            "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = %s",
            (self.slot,)) is not None, seconds)
        return self

    def wait_caught_up(self, seconds=WAIT_SECONDS_MAX):
        """Until everything that committed before this call is durable in the files."""
        lsn = self.cluster.lsn()
        # A commit after it: the position moves at commits.
        self.mark()
        self.wait(f"position {lsn:x}", lambda: self.state().lsn > lsn, seconds)
        return self

    def stream_query(self, seconds=3):
        """How the server was asked for the stream that it sends now, once what was recorded while the
        copy ran, as text, is behind it: binary comes with a connection of its own.

        seconds   how long binary is waited for: `BINARY_SECONDS_MAX` where it has to come
        """
        found = []
        until = time.monotonic() + seconds

        def active():
            found[:] = self.cluster.sql(
                "SELECT query FROM pg_stat_activity WHERE pid = (SELECT active_pid FROM "
                "pg_replication_slots WHERE slot_name = %s)", (self.slot,))
            return found and found[0][0].startswith("START_REPLICATION") and (
                " binary '" in found[0][0] or time.monotonic() > until)
        self.wait("the stream", active)
        return found[0][0]

    def confirmed_lsn(self):
        """What the server was told."""
        return self.cluster.value("SELECT confirmed_flush_lsn - '0/0'::pg_lsn FROM "
                                  "pg_replication_slots WHERE slot_name = %s", (self.slot,))

    # ---- the proof -------------------------------------------------------------------------------

    def compare(self, tables, database="postgres"):
        """Rebuild from the files and compare with the source, which has to be quiet."""
        target = f"oracle_{self.name}_{time.time_ns()}"
        self.cluster.sql(f"CREATE DATABASE {target}")
        try:
            return oracle.compare(self.state().logs(), self.cluster.dsn(database),
                                  self.cluster.dsn(target), tables)
        finally:
            self.cluster.sql(f"DROP DATABASE {target}")
