# SPDX-License-Identifier: Apache-2.0
"""Several Kafka brokers, brokers that let only some in, and one whose clients' requests are seen.

For what one plain broker (lab/kafka.py) does not do.
"""
import json
import os
import pathlib
import select
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time

from . import kafka
from .cluster import free_port, server_user

CLUSTER_ID = "AAAAAAAAAAAAAAAAAAAAAQ"
PRODUCE, END_TXN = 0, 26  # their numbers among the protocol's requests


class Node(kafka.Broker):
    """One broker of several.

    controllers: the port of each by node; clients: the listener for clients besides the plain one, as
    (protocol, port, port that is advertised).
    """

    def __init__(self, node=1, controllers=None, clients=None, **settings):
        super().__init__(**settings)
        self.node, self.controllers, self.clients = node, controllers or {1: free_port()}, clients

    def make(self):
        self.java, self.jars = kafka.parts.java(), kafka.parts.jars()
        if shutil.which("kcat") is None:
            raise kafka.servers.Unavailable("topics are read with kcat, which is not installed (Debian: kcat)")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="narwal-kafka-"))
        self.folder.chmod(0o755)
        self.data, self.log, self.port = self.folder / "data", self.folder / "log", free_port()
        self.data.mkdir()
        self.prepare()
        self.file = self.folder / "server.properties"
        listeners = {"PLAINTEXT": (self.port, self.port)}
        protocols = {"CONTROLLER": "PLAINTEXT", "PLAINTEXT": "PLAINTEXT"}
        if self.clients:
            protocols["CLIENTS"], listeners["CLIENTS"] = self.clients[0], self.clients[1:]
        self.file.write_text("".join(f"{key}={value}\n" for key, value in {
            "log.dirs": self.data, **self.settings, "node.id": self.node,
            "listener.security.protocol.map": ",".join(f"{name}:{kind}" for name, kind in protocols.items()),
            "listeners": ",".join([f"CONTROLLER://127.0.0.1:{self.controllers[self.node]}",
                                   *(f"{name}://127.0.0.1:{port}" for name, (port, _) in listeners.items())]),
            "advertised.listeners": ",".join(f"{name}://127.0.0.1:{told}" for name, (_, told) in listeners.items()),
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.quorum.voters": ",".join(f"{node}@127.0.0.1:{port}"
                                                 for node, port in self.controllers.items())}.items()))
        user = server_user()
        if user:
            os.chown(self.data, user.pw_uid, user.pw_gid)
        self.tool("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", self.file)
        return self

    def __enter__(self):
        return self.make().start()


class Full(Node):
    """Half of its partitions are on a small file system of their own."""

    MIB = 64

    def prepare(self):
        self.small = self.folder / "small"
        self.small.mkdir()
        try:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.MIB}m", "tmpfs", str(self.small)], check=True,
                           stderr=subprocess.PIPE)
        except (OSError, subprocess.CalledProcessError) as error:
            raise kafka.servers.Unavailable(f"a small file system cannot be mounted: {error}")
        user = server_user()
        if user:
            os.chown(self.small, user.pw_uid, user.pw_gid)
        self.settings.update({"log.dirs": f"{self.data},{self.small}", "metadata.log.dir": self.data,
                              "log.segment.bytes": "4194304", "log.index.size.max.bytes": "65536"})

    def fill(self):
        filler = os.open(self.small / "filler", os.O_CREAT | os.O_WRONLY)
        try:
            while os.write(filler, bytes(1 << 16)):
                pass
        except OSError:
            pass
        os.close(filler)

    def make_room(self):
        (self.small / "filler").unlink()

    def __exit__(self, *words):
        if self.process:
            self.kill()
            self.process = None
        subprocess.run(["umount", str(self.small)], check=False)
        super().__exit__(*words)


class Brokers(kafka.Broker):
    """Three, all of them controllers too. What Broker does for one it does through all."""

    first = Node

    SETTINGS = {"offsets.topic.replication.factor": 3, "transaction.state.log.replication.factor": 3,
                "transaction.state.log.num.partitions": 5, "transaction.state.log.min.isr": 2,
                "default.replication.factor": 3, "min.insync.replicas": 2, "broker.session.timeout.ms": 3000,
                "broker.heartbeat.interval.ms": 500, "controller.quorum.election.timeout.ms": 500,
                "controller.quorum.fetch.timeout.ms": 1000}

    @property
    def address(self):
        return ",".join(node.address for node in self.nodes)

    def __enter__(self):
        controllers = {node: free_port() for node in (1, 2, 3)}
        self.nodes = []
        try:
            for node in controllers:
                kind = self.first if node == 1 else Node
                self.nodes.append(kind(node, controllers, **self.SETTINGS).make())
        except kafka.servers.Unavailable:
            self.__exit__()
            raise
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            node.wait_ready()
        return self

    def __exit__(self, *_):
        for node in self.nodes:
            node.__exit__()

    def tool(self, *words, said=""):
        return self.nodes[0].tool(*words, said=said)

    def partitions(self, beginning):
        """Leader and replicas in sync, by topic and partition, of topics that begin so."""
        said = json.loads(subprocess.run(["kcat", "-b", self.address, "-L", "-J"], check=True, text=True,
                                         stdout=subprocess.PIPE, timeout=kafka.READ_SECONDS_MAX).stdout)
        return {(topic["topic"], part["partition"]): (part["leader"], [one["id"] for one in part["isrs"]])
                for topic in said["topics"] if topic["topic"].startswith(beginning) for part in topic["partitions"]}

    def wait_in_sync(self, beginning, seconds=90):
        deadline = time.monotonic() + seconds
        while any(len(isrs) < 3 for _, isrs in self.partitions(beginning).values()):
            if time.monotonic() > deadline:
                raise AssertionError(f"not in sync: {self.partitions(beginning)}")
            time.sleep(0.5)

    def reassign(self, beginning):
        """The first replica, and with it the leader, of each partition is the next node."""
        plan = self.nodes[0].folder / "plan.json"
        plan.write_text(json.dumps({"version": 1, "partitions": [
            {"topic": topic, "partition": part, "replicas": [1 + (leader + more) % 3 for more in range(3)]}
            for (topic, part), (leader, _) in self.partitions(beginning).items()]}))
        self.tool("org.apache.kafka.tools.reassign.ReassignPartitionsCommand", "--bootstrap-server", self.address,
                  "--reassignment-json-file", plan, "--execute")
        self.wait_in_sync(beginning)
        self.tool("org.apache.kafka.tools.LeaderElectionCommand", "--bootstrap-server", self.address,
                  "--election-type", "PREFERRED", "--all-topic-partitions")


class Guarded(Node):
    """Knows one user, narwal, who may what he was given: allow() and forbid()."""

    PASSWORD = "tusk"

    def __init__(self):
        port = free_port()
        super().__init__(clients=("SASL_PLAINTEXT", port, port), **{
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS", "listener.name.clients.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.clients.plain.sasl.jaas.config":
                "org.apache.kafka.common.security.plain.PlainLoginModule required "
                f'user_narwal="{self.PASSWORD}";'})
        self.guarded = f"127.0.0.1:{port}"

    def rights(self, verb, kind, name, *operations, prefixed=False):
        """verb: --add or --remove; kind: topic or transactional-id."""
        self.tool("org.apache.kafka.tools.AclCommand", "--bootstrap-server", self.address, verb,
                  *(["--force"] if verb == "--remove" else []), "--allow-principal", "User:narwal",
                  *(word for operation in operations for word in ("--operation", operation)), f"--{kind}", name,
                  "--resource-pattern-type", "prefixed" if prefixed else "literal")


class Watched(Node):
    """Each request of its clients is shown to `watch(number, bytes)` before the broker gets it.

    What that returns is done: None: pass it on; "cut": pass it on, and cut the connection before the answer;
    "drop": cut the connection at once.
    """

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        port = free_port()
        super().__init__(clients=("PLAINTEXT", port, self.listener.getsockname()[1]))
        self.behind, self.watched = ("127.0.0.1", port), f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.watch = lambda number, frame: None

    def __enter__(self):
        super().__enter__()
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()
        super().__exit__()

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
                server = socket.create_connection(self.behind)
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client, server), daemon=True).start()

    def serve(self, client, server):
        held = b""
        cut = False
        try:
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    got = ready.recv(1 << 16)
                    if not got or (cut and ready is server):
                        return
                    if ready is server:
                        client.sendall(got)
                        continue
                    held += got
                    while len(held) >= 6 and len(held) >= 4 + struct.unpack(">i", held[:4])[0]:
                        size = 4 + struct.unpack(">i", held[:4])[0]
                        what = self.watch(struct.unpack(">h", held[4:6])[0], held[:size])
                        cut = cut or what == "cut"
                        if what == "drop":
                            return
                        server.sendall(held[:size])
                        held = held[size:]
        except OSError:
            pass
        finally:
            client.close()
            server.close()
