# SPDX-License-Identifier: Apache-2.0
"""Debezium's PostgreSQL connector in a Connect worker of its own (standalone), beside a broker and a server.

The worker answers on `url`; its offsets are in a file of its folder, in Connect's own format, and
last from one start to the next.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from .cluster import as_server_user, free_port, server_user

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "servers"))
import debezium as connector  # noqa: E402
import kafka as parts  # noqa: E402

WAIT_SECONDS_MAX = 300
HEAP = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
WORKER = {
    "key.converter": "org.apache.kafka.connect.json.JsonConverter",
    "value.converter": "org.apache.kafka.connect.json.JsonConverter",
    "key.converter.schemas.enable": "false",
    "value.converter.schemas.enable": "false",
    "offset.flush.interval.ms": "1000",
    "plugin.discovery": "service_load",
    "connector.client.config.override.policy": "All",
}


class Debezium:
    """Use as a context manager; entering makes it, start() starts it.

    properties  of the connector, over those that say where the server is; the slot, the topics'
                prefix and the connector are called `name`
    twins       names of further connectors in the same worker, with the same properties
    worker      settings over WORKER
    heap        of Java; where speed is measured it runs as it does elsewhere, with `java`
    """

    def __init__(self, server, broker, name, properties=None, twins=(), worker=None, heap="256m",
                 java=None):
        self.server, self.broker, self.name = server, broker, name
        self.connectors = [name, *twins]
        self.common = {
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "plugin.name": "pgoutput",
            "database.hostname": "127.0.0.1",
            "database.port": str(server.port),
            "database.user": "postgres",
            "database.password": "unused",
            "database.dbname": "postgres",
        }
        self.properties = {**self.common, **self.named(name), **(properties or {})}
        self.worker = {**WORKER, **(worker or {})}
        self.java = [f"-Xmx{heap}", *([*HEAP, *parts.fast(parts.java())] if java is None else java)]
        self.process = None
        self.port = None

    @staticmethod
    def named(name):
        return {"topic.prefix": name, "slot.name": f"debezium_{name}", "publication.name": f"debezium_{name}"}

    def __enter__(self):
        self.program, self.jars, plugins = parts.java(), parts.jars(), connector.plugins()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="narwal-connect-"))
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self.data.mkdir()
        user = server_user()
        if user:
            os.chown(self.data, user.pw_uid, user.pw_gid)
        self.log_path = self.folder / "log"
        self.offsets_file = self.data / "offsets"
        self.worker = {"bootstrap.servers": self.broker.address, "plugin.path": plugins,
                       "offset.storage.file.filename": self.offsets_file, **self.worker}
        return self

    def __exit__(self, *_):
        if self.running:
            self.kill()
        if not os.environ.get("NARWAL_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)

    # ---- its life --------------------------------------------------------------------------------

    @property
    def url(self):
        """Of the connector, in Connect's REST interface."""
        return self.url_of(self.name)

    def url_of(self, name):
        return f"http://127.0.0.1:{self.port}/connectors/{name}"

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def start(self, rests=False, port=None):
        """rests: the connector is there, and stopped (Connect's STOPPED)."""
        self.port = port or free_port()
        file = self.folder / "worker.properties"
        file.write_text("".join(f"{key}={value}\n" for key, value in {
            **self.worker, "listeners": f"http://127.0.0.1:{self.port}"}.items()))
        descriptions = []
        for name in () if rests else self.connectors:
            config = self.properties if name == self.name else {**self.properties, **self.named(name)}
            descriptions.append(self.folder / f"{name}.json")
            descriptions[-1].write_text(json.dumps({"name": name, "config": config}))
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                as_server_user([self.program, *self.java, "-cp", f"{self.jars}/*",
                                "org.apache.kafka.connect.cli.ConnectStandalone", file, *descriptions], "KILL"),
                cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self.make_resting() if rests else self

    def make_resting(self):
        body = json.dumps({"name": self.name, "config": self.properties, "initial_state": "STOPPED"}).encode()
        request = urllib.request.Request(self.url.rpartition("/")[0], body, {"Content-Type": "application/json"})

        def made():
            try:
                return urllib.request.urlopen(request, timeout=30).status == 201
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                return False
        return self.wait("Connect", made).wait("the connector", lambda: self.state() == "STOPPED")

    def state(self):
        return ((self.ask("/status") or {}).get("connector") or {}).get("state")

    def tell(self, word):
        """As "stop" or "resume"."""
        request = urllib.request.Request(f"{self.url}/{word}", method="PUT")
        urllib.request.urlopen(request, timeout=30).close()

    def add(self, name, properties):
        """One more connector in the worker that runs, with properties of its own over the common ones; a twin from then on."""
        config = {**self.common, **self.named(name), **properties}
        request = urllib.request.Request(f"{self.url_of(name)}/config", method="PUT", data=json.dumps(config).encode(),
                                         headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60):
            self.connectors.append(name)

    def remove(self, name):
        """End a connector; the worker goes on."""
        with urllib.request.urlopen(urllib.request.Request(self.url_of(name), method="DELETE"), timeout=60):
            self.connectors.remove(name)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=60):
        """As an operator does: it flushes and stores its offsets."""
        self.process.terminate()
        self.process.wait(seconds)

    def log_tail(self, lines=40):
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return "\n".join(["Debezium's log:", *text.splitlines()[-lines:]])

    # ---- how far it is ---------------------------------------------------------------------------

    def ask(self, path="", name=None):
        """What the worker answers; None: it does not, or has no such thing yet."""
        try:
            with urllib.request.urlopen(f"{self.url_of(name or self.name)}{path}", timeout=10) as answer:
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None

    def wait(self, what, done, seconds=WAIT_SECONDS_MAX):
        deadline = time.monotonic() + seconds
        while not done():
            failed = [task["trace"] for name in self.connectors
                      for task in (self.ask("/status", name) or {}).get("tasks", []) if "trace" in task]
            if failed or not self.running or time.monotonic() > deadline:
                raise AssertionError(f"{what}: not there\n{''.join(failed)[:2000]}\n{self.log_tail()}")
            time.sleep(0.2)
        return self

    def wait_streaming(self, seconds=WAIT_SECONDS_MAX):
        """Until its snapshot is done and it reads from the slot; those of its twins, too."""
        slots = [self.properties["slot.name"] if name == self.name else self.named(name)["slot.name"]
                 for name in self.connectors]
        return self.wait("the stream", lambda: self.server.value(
            "SELECT count(*) FROM pg_replication_slots WHERE active AND slot_name = ANY(%s)", (slots,)) == len(slots),
            seconds)

    def confirmed_lsn(self):
        return self.server.value("SELECT confirmed_flush_lsn - '0/0'::pg_lsn FROM pg_replication_slots "
                                 "WHERE slot_name = %s", (self.properties["slot.name"],))

    def memory_peak(self):
        """Bytes of resident memory at the highest."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        return 0
