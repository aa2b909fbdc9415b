#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The Kafka sink beside brokers and topics that change or fail under load: nothing is lost, and with
transactions nothing comes twice; and the log says what happened."""
import signal
import time

from lab import check, kafka_cluster
from lab.cluster import free_port
from test_kafka_cluster import TABLES, Load, Tables

QUICK = ["topic.metadata.refresh.interval.ms=1000", "topic.metadata.propagation.max.ms=1000"]
DELIVERIES = ("transactional", "idempotent")


class Trouble(Tables):
    def started(self, name, **options):
        self.make_tables()
        narwal = self.narwal(name, include=("shop.*",), **{"timeout": "5s", "properties": QUICK, **options})
        return narwal.start().wait_caught_up()

    def topics(self, name):
        return [f"{name}.shop.{table}" for table in TABLES]

    def finish(self, narwal, load, once):
        """Everything of the load is there."""
        narwal.wait_caught_up()
        self.check_tables(narwal.name, load.count, once)
        self.assertTrue(narwal.running, narwal.log_tail())
        self.assertEqual(narwal.terminate(), 0)

    def alter_topic(self, topic, *words):
        self.broker.tool("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", self.broker.address, "--alter",
                         "--topic", topic, *words)

    def config(self, kind, name, verb, what):
        self.broker.tool("kafka.admin.ConfigCommand", "--bootstrap-server", self.broker.address, "--alter",
                         "--entity-type", kind, *(["--entity-name", name] if name else ["--entity-default"]), verb, what)


class TopicsTest(Trouble):
    """One broker; what is changed are the topics."""

    def test_partitions_are_added(self):
        for delivery in DELIVERIES:
            narwal = self.started(f"more{delivery}", delivery=delivery)
            with Load(self.server) as load:
                time.sleep(1)
                for topic in self.topics(narwal.name):
                    self.alter_topic(topic, "--partitions", 4)
                time.sleep(3)
            self.finish(narwal, load, delivery == "transactional")
            for topic in self.topics(narwal.name):
                messages = self.broker.read(topic)
                self.assertEqual({message["partition"] for message in messages}, {0, 1, 2, 3})
            # As Java's producer has them by then.
            last = {message["key"]: message["partition"] for message in messages if message["partition"] > 0}
            self.broker.produce(f"java{delivery}", 4, last)
            self.assertEqual({message["key"]: message["partition"] for message in self.broker.read(f"java{delivery}")}, last)

    def test_a_topic_is_made_anew_with_other_partitions(self):
        """What it had is gone with it; from some change on it has everything."""
        for delivery in DELIVERIES:
            for before, after in ((1, 3), (3, 1)):
                name = f"anew{delivery}{after}"
                narwal = self.started(name, delivery=delivery, partitions=before)
                with Load(self.server) as load:
                    time.sleep(1)
                    self.broker.delete(f"{name}.shop.{TABLES[0]}")
                    try:
                        self.broker.create(f"{name}.shop.{TABLES[0]}", after)
                    except AssertionError as error:  # narwal was first
                        self.assertIn("already exists", str(error))
                    time.sleep(4)
                narwal.wait_caught_up()
                found = [key["id"] for key, _ in self.messages(f"{name}.shop.{TABLES[0]}")]
                self.assertEqual(set(found), set(range(min(found), load.count)))
                for table in TABLES[1:]:
                    found = [key["id"] for key, _ in self.messages(f"{name}.shop.{table}")]
                    self.assertEqual(set(found), set(range(load.count)))
                    if delivery == "transactional":
                        self.assertEqual(len(found), load.count)
                self.assertEqual(narwal.terminate(), 0)

    def test_batches_that_are_not_taken_any_more(self):
        """max.message.bytes is lowered below what a batch has, but not below a message."""
        for delivery in DELIVERIES:
            narwal = self.started(f"lower{delivery}", delivery=delivery)
            with Load(self.server) as load:
                time.sleep(1)
                self.broker.alter(f"{narwal.name}.shop.{TABLES[0]}", max_message_bytes="400")
                time.sleep(3)
                self.server.sql(f"INSERT INTO shop.{TABLES[0]} SELECT generate_series(1000000, 1000999)")
                time.sleep(1)
            narwal.wait_caught_up()
            found = [key["id"] for key, _ in self.messages(f"{narwal.name}.shop.{TABLES[0]}")]
            self.assertEqual(set(found), {*range(load.count), *range(1000000, 1001000)})
            if delivery == "transactional":
                self.assertEqual(len(found), load.count + 1000)
            self.assertIn("smaller batches are tried", narwal.log())
            self.assertEqual(narwal.terminate(), 0)

    def test_quotas(self):
        for delivery in DELIVERIES:
            narwal = self.started(f"quota{delivery}", delivery=delivery)
            self.config("clients", None, "--add-config", "producer_byte_rate=20000")
            try:
                with Load(self.server) as load:
                    time.sleep(6)
                    self.assertTrue(narwal.running, narwal.log_tail())
            finally:
                self.config("clients", None, "--delete-config", "producer_byte_rate")
            self.finish(narwal, load, delivery == "transactional")

    def test_a_message_among_others_that_is_refused(self):
        """Of those before it in its batch librdkafka says only that another one was."""
        self.make_tables()
        topic = f"among.shop.{TABLES[0]}"
        self.broker.create(topic, 1, cleanup_policy="compact")
        narwal = self.narwal("among", include=("shop.*",), timeout="3s", properties=[*QUICK, "linger.ms=300"])
        narwal.start().wait_caught_up()
        self.server.sql(f"BEGIN; INSERT INTO shop.{TABLES[0]} SELECT generate_series(1, 20);"
                        f"TRUNCATE shop.{TABLES[0]}; COMMIT")
        narwal.wait("the reason", lambda: f"NW2703 sink kafka: topic {topic} refuses messages" in narwal.log(),
                    30)
        self.config("topics", topic, "--add-config", "cleanup.policy=delete")
        narwal.wait_caught_up()
        self.assertEqual([key and key["id"] for key, _ in self.messages(topic)][-21:], [*range(1, 21), None])
        self.assertEqual(narwal.terminate(), 0)

    def test_frozen_for_longer_than_requests_wait(self):
        """With the library's default timeouts."""
        narwals = [self.started("frozentransactional", delivery="transactional")]
        other = self.narwal("frozenidempotent", include=("shop.*",), properties=QUICK)
        narwals.append(other.start().wait_caught_up())
        with Load(self.server) as load:
            time.sleep(1)
            self.broker.process.send_signal(signal.SIGSTOP)
            time.sleep(70)
            self.broker.process.send_signal(signal.SIGCONT)
            time.sleep(3)
        for narwal in narwals:
            self.assertIn("NW2701", narwal.log())
            self.finish(narwal, load, narwal is narwals[0])

    def test_a_name_with_an_address_that_is_dead(self):
        """localhost is ::1 too, where nobody listens."""
        narwal = self.started("dead", brokers=[f"127.0.0.1:{free_port()}", f"localhost:{self.broker.port}"])
        with Load(self.server) as load:
            time.sleep(1)
        self.finish(narwal, load, False)


class AddressTest(Trouble):
    """The broker tells its clients an address where nobody is."""

    @staticmethod
    def make_broker():
        node = kafka_cluster.Node(clients=("PLAINTEXT", free_port(), free_port()))
        return node

    def test_it_is_said(self):
        self.make_tables()
        told, listens = self.broker.clients[2], self.broker.clients[1]
        narwal = self.narwal("told", include=("shop.*",), timeout="3s", brokers=[f"127.0.0.1:{listens}"])
        narwal.start()
        narwal.wait("what it cannot reach", lambda: f"127.0.0.1:{told}" in narwal.log(), 60)
        narwal.wait("NW2701", lambda: "NW2701" in narwal.log(), 60)
        narwal.config["sinks"][0]["brokers"] = [self.broker.address]
        self.assertEqual(narwal.terminate(), 0)
        narwal.start().wait_caught_up()
        self.assertEqual(narwal.terminate(), 0)


class ReplicasTest(Trouble):
    """Three brokers."""

    make_broker = kafka_cluster.Brokers

    def test_too_few_replicas(self):
        """min.insync.replicas is not met, and then it is."""
        for delivery in DELIVERIES:
            narwal = self.started(f"few{delivery}", delivery=delivery, replication=3,
                                  topic_settings=["min.insync.replicas=3"])
            with Load(self.server) as load:
                self.broker.nodes[2].kill()
                time.sleep(15)
                self.assertTrue(narwal.running, narwal.log_tail())
                said = narwal.log()
                self.broker.nodes[2].start()
                self.broker.wait_in_sync(narwal.name)
            self.assertIn("NW2701", said)
            self.finish(narwal, load, delivery == "transactional")

    def test_all_are_restarted_one_after_another(self):
        narwals = [self.started("rollingtransactional", delivery="transactional", workers=2, replication=3, partitions=3)]
        other = self.narwal("rollingidempotent", include=("shop.*",), replication=3, partitions=3)
        narwals.append(other.start().wait_caught_up())
        with Load(self.server) as load:
            for node in self.broker.nodes:
                node.stop()
                node.start()
                for beginning in ("rolling", "_narwal.rolling", "__transaction_state"):
                    self.broker.wait_in_sync(beginning)
        for narwal in narwals:
            self.finish(narwal, load, narwal is narwals[0])

    def test_coordinator_and_ledger_move(self):
        narwal = self.started("movers", delivery="transactional", workers=2, replication=3)
        with Load(self.server) as load:
            for _ in range(3):
                self.broker.reassign("__transaction_state")
                self.broker.reassign("_narwal.")
        self.finish(narwal, load, True)

    def test_a_replica_that_lagged_is_elected(self):
        """What only the dead leader had is gone; narwal goes on, and loses nothing else."""
        for delivery in DELIVERIES:
            name = f"unclean{delivery}"
            self.make_tables()
            narwal = self.narwal(name, include=("shop.*",), delivery=delivery, timeout="5s", properties=QUICK, replication=3)
            plan = ":".join(("1", "2"))
            for topic in self.topics(name):
                self.broker.tool("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", self.broker.address,
                                 "--create", "--topic", topic, "--replica-assignment", plan, "--config",
                                 "min.insync.replicas=1", "--config", "unclean.leader.election.enable=true")
            narwal.start().wait_caught_up()
            marks = []  # changes that were there when the replica began to lag, and when the leader died
            with Load(self.server) as load:
                time.sleep(1)
                self.broker.nodes[1].kill()  # lags from here on
                marks.append(load.count)
                time.sleep(5)
                self.broker.nodes[0].kill()
                marks.append(load.count)
                self.broker.nodes[1].start()
                time.sleep(10)
                self.broker.nodes[0].start()
                time.sleep(3)
            narwal.wait_caught_up()
            lost = set()
            for table in TABLES:
                found = [key["id"] for key, _ in self.messages(f"{name}.shop.{table}")]
                lost |= set(range(load.count)) - set(found)
            self.assertLess(max(lost, default=0), marks[1] + 100)
            self.assertTrue(narwal.running, narwal.log_tail())
            self.assertEqual(narwal.terminate(), 0)


class OneFull(kafka_cluster.Brokers):
    first = kafka_cluster.Full


class DiskTest(Trouble):
    """Three brokers; the disk of one is full: its folder goes offline, until there is room and it is started again."""

    make_broker = OneFull

    def test_full_and_not_any_more(self):
        full = self.broker.nodes[0]
        for delivery in DELIVERIES:
            narwal = self.started(f"full{delivery}", delivery=delivery, replication=3, partitions=3,
                                  topic_settings=["min.insync.replicas=2"])
            said = full.log.read_text(errors="replace").count("No space left on device")
            with Load(self.server) as load:
                time.sleep(1)
                full.fill()
                self.server.sql(f"INSERT INTO shop.{TABLES[0]} SELECT generate_series(1000000, 1100000)")
                time.sleep(15)
                self.assertTrue(narwal.running, narwal.log_tail())
                full.kill()
                full.make_room()
                full.start()
                self.broker.wait_in_sync(narwal.name)
                self.broker.wait_in_sync("__transaction_state")
            self.assertGreater(full.log.read_text(errors="replace").count("No space left on device"), said)
            narwal.wait_caught_up()
            for table in TABLES:
                found = [key["id"] for key, _ in self.messages(f"{narwal.name}.shop.{table}")]
                expected = {*range(load.count), *(range(1000000, 1100001) if table == TABLES[0] else ())}
                self.assertEqual(set(found), expected)
                if delivery == "transactional":
                    self.assertEqual(len(found), len(expected))
            self.assertTrue(narwal.running, narwal.log_tail())
            self.assertEqual(narwal.terminate(), 0)


if __name__ == "__main__":
    check.main()
