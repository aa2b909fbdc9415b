# SPDX-License-Identifier: Apache-2.0
"""A Kafka broker (KRaft, one node) on free loopback ports, and what lies in its topics.

Topics are read with kcat, another program of the same library as the sink; what a Java client sees
is asked of Kafka's own tools.
"""
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from . import oracle
from .cluster import as_server_user, free_port, server_user

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "servers"))
import kafka as parts  # noqa: E402
import servers  # noqa: E402

START_SECONDS_MAX = 180
READ_SECONDS_MAX = 180
SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "log.cleaner.dedupe.buffer.size": "4194304",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
}


class Broker:
    """Use as a context manager; entering makes and starts it. settings: over SETTINGS."""

    format_words = ()  # of StorageTool
    more_listeners = {}  # name and port

    def __init__(self, **settings):
        self.settings = {**SETTINGS, **settings}
        self.process = None

    def prepare(self):
        """Before the broker's file is written: the folder is there."""

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def __enter__(self):
        self.java, self.jars = parts.java(), parts.jars()
        if shutil.which("kcat") is None:
            raise servers.Unavailable("topics are read with kcat, which is not installed (Debian: kcat)")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="narwal-kafka-"))
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self.data.mkdir()
        self.log = self.folder / "log"
        self.port, controller = free_port(), free_port()
        self.prepare()
        self.file = self.folder / "server.properties"
        self.file.write_text("".join(f"{key}={value}\n" for key, value in {
            "log.dirs": self.data,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}", **self.settings,
            "listeners": ",".join([f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}",
                                   *(f"{name}://127.0.0.1:{port}" for name, port in self.more_listeners.items())]),
            "advertised.listeners": ",".join([f"PLAINTEXT://127.0.0.1:{self.port}", *(
                f"{name}://localhost:{port}" for name, port in self.more_listeners.items())])}.items()))
        user = server_user()
        if user:
            os.chown(self.data, user.pw_uid, user.pw_gid)
        self.tool("kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", self.file,
                  *self.format_words)
        return self.start()

    def __exit__(self, *_):
        if self.process:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, *words):
        return as_server_user([self.java, *parts.HEAP, *parts.fast(self.java), "-cp", f"{self.jars}/*",
                               *map(str, words)], "KILL")

    def tool(self, *words, said=""):
        """One of Kafka's programs; its output."""
        result = subprocess.run(self.command(*words), cwd="/", text=True, input=said,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False)
        if result.returncode != 0:
            raise AssertionError(f"{words}: {result.stdout[-2000:]}")
        return result.stdout

    # ---- its life --------------------------------------------------------------------------------

    def start(self):
        self.launch()
        return self.wait_ready()

    def launch(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command("kafka.Kafka", self.file), cwd="/",
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait_ready(self):
        deadline = time.monotonic() + START_SECONDS_MAX
        while subprocess.run(["kcat", "-b", self.address, "-L", "-m", "1"], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, check=False).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError("the broker does not start\n" + self.log.read_text()[-3000:])
            time.sleep(0.1)
        return self

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        self.process.wait(60)

    # ---- what it has -----------------------------------------------------------------------------

    def topics(self):
        """Name and number of partitions of each."""
        listed = json.loads(subprocess.run(["kcat", "-b", self.address, "-L", "-J"], check=True, text=True,
                                           stdout=subprocess.PIPE, timeout=READ_SECONDS_MAX).stdout)
        return {topic["topic"]: len(topic["partitions"]) for topic in listed["topics"]
                if not topic["topic"].startswith("__")}

    def create(self, topic, partitions, **settings):
        self.tool("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", self.address, "--create",
                  "--topic", topic, "--partitions", partitions,
                  *(word for key, value in settings.items() for word in ("--config", f"{key.replace('_', '.')}={value}")))

    def alter(self, topic, **settings):
        self.tool("kafka.admin.ConfigCommand", "--bootstrap-server", self.address, "--alter", "--entity-type", "topics",
                  "--entity-name", topic, "--add-config",
                  ",".join(f"{key.replace('_', '.')}={value}" for key, value in settings.items()))

    def delete(self, topic):
        self.tool("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", self.address, "--delete",
                  "--topic", topic)

    def produce(self, topic, partitions, keys):
        """By Kafka's own producer, into a new topic; 0: one that is there."""
        if partitions > 0:
            self.create(topic, partitions)
        self.tool("org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", self.address, "--topic", topic,
                  "--reader-property", "parse.key=true", "--reader-property", "key.separator=|",
                  said="".join(f"{key}|x\n" for key in keys))

    def put(self, topic, key, value):
        subprocess.run(["kcat", "-b", self.address, "-P", "-t", topic, "-k", key], check=True, text=True, input=value,
                       timeout=READ_SECONDS_MAX)

    def write(self, topic, messages):
        """Messages as read() gives them, into their partitions."""
        def place(message):
            return message["partition"], message.get("headers", [])
        for (partition, headers), mine in itertools.groupby(messages, place):
            lines = "".join(f"{message['key'] or ''}\t{message['payload'] or ''}\n" for message in mine)
            pairs = zip(headers[::2], headers[1::2])
            subprocess.run(["kcat", "-b", self.address, "-P", "-t", topic, "-p", str(partition), "-K", "\t", "-Z",
                            *(word for name, value in pairs for word in ("-H", f"{name}={value}"))],
                           input=lines, check=True, text=True, timeout=READ_SECONDS_MAX)

    def read(self, topic, isolation="read_committed"):
        """Every message, in the order of partitions and offsets: partition, offset, key, payload, headers."""
        result = subprocess.run(
            ["kcat", "-b", self.address, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-J",
             "-X", "fetch.wait.max.ms=10", "-X", f"isolation.level={isolation}"], check=True, text=True, errors="replace",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=READ_SECONDS_MAX)
        messages = [json.loads(line) for line in result.stdout.split("\n") if line]
        return sorted(messages, key=lambda message: (message["partition"], message["offset"]))


# ---- as the oracle's logs --------------------------------------------------------------------------

KEY_SQL = """
SELECT array_agg(a.attname::text ORDER BY k.place)
FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = %s::regclass AND (i.indisreplident OR i.indisprimary)
GROUP BY i.indexrelid ORDER BY bool_or(i.indisreplident) DESC LIMIT 1
"""


class Schemas(dict):
    """Tables that do not change: every version has the columns of now."""

    def __init__(self, server, relation):
        super().__init__()
        key = server.value(KEY_SQL, (relation,))
        columns = server.sql("SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute WHERE "
                             "attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
                             (relation,))
        self.schema = {"key": key or [], "columns": [{"name": name, "type": kind, "default": None}
                                                     for name, kind in columns]}

    def __missing__(self, _):
        return self.schema


class Log:
    """What a topic of one partition has of a table: its copy in force, and each change once."""

    def __init__(self, broker, server, topic, schema, table):
        self.again = 0
        self.copied, self.changed = {}, []
        seen = set()
        generation = 0
        for message in broker.read(topic):
            if message["payload"] is None:
                continue
            event = json.loads(message["payload"], parse_int=str, parse_float=str)
            if "copy" in event:
                generation = max(generation, int(event["copy"]))
                self.copied.setdefault(int(event["copy"]), []).append(event)
                continue
            place = (event["commit_lsn"], event["seq"], event["op"])
            self.again += place in seen
            if place not in seen:
                seen.add(place)
                self.changed.append(event)
        self.copied = self.copied.get(generation, [])
        relation = f"{oracle.quote(schema)}.{oracle.quote(table)}"
        fence = max((oracle.lsn_number(event["commit_lsn"]) for event in self.copied), default=0)
        self.table = oracle.TableLog(schema, table, fence, Schemas(server, relation),
                                     lambda: iter(self.copied), lambda: iter(self.changed))
