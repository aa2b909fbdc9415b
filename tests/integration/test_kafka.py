#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The Kafka sink with a real broker: nothing lost through kills of narwal and of the broker; with
transactions nothing twice either; and what a topic's messages look like."""
import json
import os
import pathlib
import random
import signal
import time
import unittest

from lab import check, cluster, kafka, oracle, workload
from lab.narwal import Narwal, build
from lab.web import Web

TABLES = [("lab", name) for name in ("plain", "composite", "full_keyless", "by_index", "wide", "wide_full",
                                     "all_types", "bulk")]
KILLS = 3
SLOW = 5 if "NARWAL_DEBUG" in os.environ else 1  # with sanitizers


class Piped(Narwal):
    """narwal into a broker; how far it is, it says itself."""

    def __init__(self, server, broker, name, include=("*.*",), **options):
        super().__init__(server, name=name, settings={
            "tables": {"include": list(include)},
            "sinks": [{"type": "kafka", "brokers": [broker.address], "prefix": name, **options}]})

    def wait_caught_up(self, seconds=300):
        self.wait("everything durable", lambda: self.call("wait", "--timeout", "5s")[0] == 0, seconds)
        return self


class Case(check.Case):
    make_broker = kafka.Broker

    @classmethod
    def setUpClass(cls):
        cls.broker_manager = cls.make_broker()
        cls.server_manager = cluster.Cluster(check.version(), {"max_replication_slots": "100"})  # each test leaves some
        try:
            cls.broker = cls.broker_manager.__enter__()
            cls.addClassCleanup(cls.broker_manager.__exit__, None, None, None)
            cls.server = cls.server_manager.__enter__()
        except cluster.servers.Unavailable as error:
            raise unittest.SkipTest(str(error))
        cls.addClassCleanup(cls.server_manager.__exit__, None, None, None)
        workload.create_tables(cls.server.connect())

    def narwal(self, name, **options):
        return self.enter(Piped(self.server, self.broker, name, **options))

    def compare(self, narwal, tables):
        target = f"oracle_{narwal.name}_{time.time_ns()}"
        self.server.sql(f"CREATE DATABASE {target}")
        logs = [kafka.Log(self.broker, self.server, f"{narwal.name}.{schema}.{table}", schema, table)
                for schema, table in tables]
        result = oracle.compare([log.table for log in logs], self.server.dsn(), self.server.dsn(target), tables)
        self.assertTrue(result.good, f"{result.report()}\n{narwal.log_tail()}")
        self.assertEqual(result.tables, len(tables))
        return result, sum(log.again for log in logs)

    def messages(self, topic, **more):
        """Key and value of each, as Python has them."""
        return [(message["key"] and json.loads(message["key"]),
                 message["payload"] and json.loads(message["payload"]))
                for message in self.broker.read(topic, **more)]

    def ledger(self, name):
        """What is in force of it."""
        last = {message["key"]: message["payload"] for message in self.broker.read(f"_narwal.{name}.kafka")}
        return {key: json.loads(value) for key, value in last.items() if value is not None}

    def make(self, sql):
        self.server.sql("DROP SCHEMA IF EXISTS shop CASCADE; CREATE SCHEMA shop")
        self.server.sql(sql)


class KafkaTest(Case):
    def test_it_conforms(self):
        """`narwal sink-check`, with a broker. Without transactions a former process cannot be fenced off."""
        fencing = {"idempotent": "skip  fences off a former process: a second process is refused",
                   "transactional": "ok    fences off a former process"}
        both = {delivery: self.enter(check.subprocess.Popen(
            [str(build() / "narwal"), "sink-check", str(build() / "plugins" / "kafka.so"),
             f"brokers={self.broker.address}", f"prefix=check{delivery}", f"delivery={delivery}"], text=True,
            stdout=check.subprocess.PIPE, stderr=check.subprocess.STDOUT)) for delivery in fencing}
        for delivery, process in both.items():
            said = process.communicate(timeout=120)[0]
            self.assertEqual(process.returncode, 0, said)
            self.assertIn(fencing[delivery], said)

    def test_what_a_topic_has(self):
        self.make("CREATE TABLE shop.items (id integer, region text, v text, PRIMARY KEY (region, id));"
                  "CREATE TABLE shop.\"Odd name/ü😀\" (id integer PRIMARY KEY);"
                  "CREATE TABLE shop.keyless (v text);"
                  "INSERT INTO shop.items VALUES (1, 'a', 'first')")
        narwal = self.narwal("shop1", include=("shop.*",), partitions=3, topic_settings=["cleanup.policy=compact"])
        narwal.start().wait_caught_up()
        self.server.sql("INSERT INTO shop.items VALUES (2, 'b', 'second')")
        self.server.sql("UPDATE shop.items SET v = 'changed' WHERE id = 1")
        self.server.sql("UPDATE shop.items SET id = 20 WHERE id = 2")
        self.server.sql("DELETE FROM shop.items WHERE id = 20")
        self.server.sql("INSERT INTO shop.\"Odd name/ü😀\" VALUES (1); INSERT INTO shop.keyless VALUES ('x')")
        self.server.sql("TRUNCATE shop.keyless")
        narwal.wait_caught_up()
        self.server.sql("TRUNCATE shop.items")
        narwal.wait("the broker to refuse it", lambda: "NW2703" in narwal.log())
        narwal.kill()
        narwal.config["sinks"][0]["truncates"] = "skip"
        narwal.start().wait_caught_up()
        found = {}
        for key, value in self.messages("shop1.shop.items"):
            found.setdefault(json.dumps(key), []).append(value and (value["op"], value["after"]["v"] if "after" in
                                                                    value else None))
        self.assertEqual(found, {
            '{"region": "a", "id": 1}': [("I", "first"), ("U", "changed")],
            '{"region": "b", "id": 2}': [("I", "second"), None],
            '{"region": "b", "id": 20}': [("U", "second"), ("D", None), None]})
        self.assertEqual([key for key, _ in self.messages("shop1.shop.Odd_name____")], [{"id": 1}])
        keyless = self.messages("shop1.shop.keyless")
        self.assertEqual([(key, value["op"]) for key, value in keyless if value["op"] == "I"], [(None, "I")])
        self.assertEqual(sorted(value["op"] for _, value in keyless), ["I", "T"])
        topics = self.broker.topics()
        self.assertEqual((topics["shop1.shop.items"], topics["_narwal.shop1.kafka"]), (3, 1))
        self.assertEqual(narwal.terminate(), 0)

    def test_without_a_configuration(self):
        self.make("CREATE TABLE shop.items (id integer PRIMARY KEY); INSERT INTO shop.items VALUES (1)")
        result = check.subprocess.run(
            [str(build() / "narwal"), "run", "--source", self.server.dsn(), "--name", "bare", "--state-dir", self.server.folder / "bare",
             "--sink", f"kafka:brokers={self.broker.address},prefix=bare", "--until", "now"], text=True, check=False, timeout=120,
            stdout=check.subprocess.PIPE, stderr=check.subprocess.STDOUT)
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertEqual([value["after"] for _, value in self.messages("bare.shop.items")], [{"id": 1}])

    def test_columns_that_come_and_go(self):
        """Each row is written with the columns that its table had."""
        self.make("CREATE TABLE shop.changing (id integer PRIMARY KEY, a text, b integer);"
                  "INSERT INTO shop.changing VALUES (1, 'a', 1)")
        narwal = self.narwal("changing", include=("shop.*",))
        narwal.start().wait_caught_up()
        for statement in ("ALTER TABLE shop.changing ADD c text", "INSERT INTO shop.changing VALUES (2, 'a', 2, 'c')",
                          "ALTER TABLE shop.changing DROP b", "INSERT INTO shop.changing VALUES (3, 'a', 'c')",
                          "ALTER TABLE shop.changing ALTER id TYPE bigint", f"INSERT INTO shop.changing VALUES ({2**40})"):
            self.server.sql(statement)
        narwal.wait_caught_up()
        self.assertEqual([value["after"] for _, value in self.messages("changing.shop.changing") if "after" in value], [
            {"id": 1, "a": "a", "b": 1}, {"id": 2, "a": "a", "b": 2, "c": "c"}, {"id": 3, "a": "a", "c": "c"},
            {"id": 2**40, "a": None, "c": None}])
        self.assertEqual(narwal.terminate(), 0)

    def test_columns_that_may_be_renamed_ones(self):
        """The catalog does not tell any more: by their names alone it is the same, and nothing stops."""
        self.make("CREATE TABLE shop.renamed (id integer PRIMARY KEY, n integer)")
        narwal = self.narwal("renamed", include=("shop.*",))
        narwal.start().wait_caught_up()
        self.server.sql("INSERT INTO shop.renamed VALUES (1, 1)")
        narwal.wait_caught_up()
        narwal.process.send_signal(signal.SIGSTOP)
        for statement in ("ALTER TABLE shop.renamed RENAME n TO m", "INSERT INTO shop.renamed VALUES (2, 2)", "ALTER TABLE shop.renamed DROP m",
                          "ALTER TABLE shop.renamed ADD k integer", "INSERT INTO shop.renamed VALUES (3, 3)"):
            self.server.sql(statement)
        narwal.process.send_signal(signal.SIGCONT)
        narwal.wait_caught_up()
        self.assertEqual([value["after"] for _, value in self.messages("renamed.shop.renamed")],
                         [{"id": 1, "n": 1}, {"id": 2, "m": 2}, {"id": 3, "k": 3}])
        self.assertEqual(narwal.terminate(), 0)

    def test_partitions_are_those_of_java(self):
        """Kafka's own producer puts the same keys into the same partitions."""
        self.make("CREATE TABLE shop.many (id integer PRIMARY KEY);"
                  "INSERT INTO shop.many SELECT g FROM generate_series(1, 200) g")
        narwal = self.narwal("shop2", include=("shop.*",), partitions=7)
        narwal.start().wait_caught_up()
        self.assertEqual(narwal.terminate(), 0)
        ours = {message["key"]: message["partition"] for message in self.broker.read("shop2.shop.many")}
        self.assertEqual(len(ours), 200)
        self.broker.produce("java", 7, ours)
        self.assertEqual({message["key"]: message["partition"] for message in self.broker.read("java")}, ours)

    def test_topics_that_are_there_or_may_not_be_made(self):
        self.make("CREATE TABLE shop.there (id integer PRIMARY KEY); CREATE TABLE shop.late (id integer PRIMARY KEY);"
                  "INSERT INTO shop.there VALUES (1); INSERT INTO shop.late VALUES (1)")
        self.broker.create("shop3.shop.there", 5)
        narwal = self.narwal("shop3", include=("shop.*",), partitions=2, create_topics=False)
        narwal.start()
        narwal.wait("what is missing", lambda: "NW2703" in narwal.log())
        self.assertIn("topic shop3.shop.late is not there, and create_topics is false", narwal.log())
        self.broker.create("shop3.shop.late", 1)
        narwal.wait_caught_up()
        self.assertEqual(self.broker.topics()["shop3.shop.there"], 5)
        self.assertEqual([key for key, _ in self.messages("shop3.shop.late")], [{"id": 1}])
        self.assertEqual(narwal.terminate(), 0)

    def test_messages_that_are_too_large(self):
        self.make("CREATE TABLE shop.large (id integer PRIMARY KEY, v text)")
        narwal = self.narwal("shop5", include=("shop.*",))
        narwal.start().wait_caught_up()
        self.server.sql("INSERT INTO shop.large VALUES (1, repeat('x', 2000000))")
        narwal.wait("the table to stop", lambda: "NW2704" in narwal.log())
        narwal.wait_caught_up()
        self.assertIn("NW2704", narwal.call("table", "list")[1])
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_messages_that_the_broker_finds_too_large(self):
        """A batch of messages that are not, one that is, and one that becomes a dead letter."""
        noise = "(SELECT string_agg(md5(random()::text || n || repeat('', g)), '') FROM generate_series(1, {}) n)"
        for delivery, refused in (("transactional", "stop"), ("idempotent", "dead_letter")):
            name = f"sizes{refused[0]}"
            self.make("CREATE TABLE shop.strict (id integer PRIMARY KEY, v text);"
                      "CREATE TABLE shop.other (id integer PRIMARY KEY)")
            self.broker.create(f"{name}.shop.strict", 1, max_message_bytes="20000")
            narwal = self.narwal(name, include=("shop.*",), delivery=delivery, refused=refused)
            narwal.start().wait_caught_up()
            self.server.sql(f"INSERT INTO shop.strict SELECT g, {noise.format(60)} FROM generate_series(1, 100) g")
            narwal.wait_caught_up()
            self.assertIn("smaller batches are tried", narwal.log())
            self.assertEqual({key["id"] for key, _ in self.messages(f"{name}.shop.strict")}, set(range(1, 101)))
            self.server.sql(f"INSERT INTO shop.strict SELECT g, {noise.format(1500)} FROM generate_series(200, 200) g;"
                            "INSERT INTO shop.strict VALUES (201); INSERT INTO shop.other VALUES (1)")
            narwal.wait_caught_up()
            found = {key["id"] for key, _ in self.messages(f"{name}.shop.strict")}
            self.assertEqual({key["id"] for key, _ in self.messages(f"{name}.shop.other")}, {1})
            if refused == "stop":
                self.assertIn("NW2704", narwal.call("table", "list")[1])
                self.assertEqual(found, set(range(1, 101)))
            else:
                self.assertIn("NW2704", narwal.call("dead-letter", "list")[1])
                self.assertEqual(found, {*range(1, 101), 201})
            self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_wrong_configuration(self):
        for more, said in (({"properties": ["acks=1"]}, "NW1003"), ({"properties": ["linger"]}, "NW1003"),
                           ({"properties": ["no.such=1"]}, "NW2702"), ({"topic_settings": ["x"]}, "NW1003"),
                           ({"topic": "{schema}" * 80}, "NW2703"), ({"oversized": "split"}, "needs delivery: transactional"),
                           ({"topic": "{prefix}.{table}", "messages_topic": "{prefix}.items"}, "which is for messages_topic"),
                           ({"topic": "_narwal.{prefix}.kafka"}, "which is for the sink's positions"),
                           ({"transaction_timeout": "20min"}, "above the brokers' transaction.max.timeout.ms")):
            self.make("CREATE TABLE shop.items (id integer PRIMARY KEY); INSERT INTO shop.items VALUES (1)")
            with self.subTest(more=more), Piped(self.server, self.broker, f"shop6{time.time_ns()}",
                                                include=("shop.*",), **more) as narwal:
                narwal.start()
                narwal.wait("what is wrong", lambda: said in narwal.log() or not narwal.running, 20) \
                    if narwal.running else None
                self.assertIn(said, narwal.log())

    def test_a_truncate_is_the_first_change(self):
        self.make("CREATE TABLE shop.items (id integer PRIMARY KEY); INSERT INTO shop.items VALUES (1)")
        narwal = self.narwal("shop9", include=("shop.*",))
        narwal.start().wait_caught_up()
        self.assertEqual(narwal.terminate(), 0)
        narwal.start()
        self.server.sql("BEGIN; TRUNCATE shop.items; INSERT INTO shop.items VALUES (2); COMMIT")
        narwal.wait_caught_up()
        self.assertEqual([value["op"] for _, value in self.messages("shop9.shop.items")], ["I", "T", "I"])
        self.assertEqual(narwal.terminate(), 0)

    def test_several_producers(self):
        """Their number changes, also from a ledger of before there were several; each row comes once."""
        tables = [f"t{number}" for number in range(6)]
        self.make("".join(f"CREATE TABLE shop.{table} (id integer PRIMARY KEY); INSERT INTO shop.{table} VALUES (1);"
                          for table in tables))
        narwal = self.narwal("shop13", include=("shop.*",), delivery="transactional")
        for number, workers in enumerate((1, 3, 2, 1), 2):
            narwal.config["sinks"][0]["workers"] = workers
            narwal.start().wait_caught_up()
            self.server.sql("BEGIN;" + "".join(f"INSERT INTO shop.{table} VALUES ({number});" for table in tables)
                            + "COMMIT")
            narwal.wait_caught_up()
            self.assertEqual(narwal.terminate(), 0)
            ledger = self.ledger("shop13")
            positions = {key: value for key, value in ledger.items() if key.startswith("position")}
            self.assertEqual(set(positions), {"position", *(f"position/{other}" for other in range(1, workers))})
            self.assertEqual(ledger["owner"]["workers"], workers)
            self.assertEqual({value["narwal"] for value in (*positions.values(), ledger["owner"])},
                             {2 if workers > 1 else 1})
            self.assertEqual(len({value["bytes"] for value in positions.values()}), 1)
            if number == 2:  # as a narwal of then leaves it
                self.broker.put("_narwal.shop13.kafka", "owner",
                                json.dumps({"narwal": 1, "fencing": ledger["owner"]["fencing"]}))
        for table in tables:
            self.assertEqual([key["id"] for key, _ in self.messages(f"shop13.shop.{table}")], [1, 2, 3, 4, 5])

    def test_what_it_says_of_itself(self):
        self.make("CREATE TABLE shop.a (id integer PRIMARY KEY)")
        narwal = self.narwal("figures", include=("shop.a",), delivery="transactional")
        web = Web(cluster.free_port())
        narwal.config["http"] = {"listen": f"127.0.0.1:{web.port}"}
        narwal.config["sinks"].append({**narwal.config["sinks"][0], "name": "other", "prefix": "figures2"})
        narwal.start().wait_caught_up()
        self.server.sql("INSERT INTO shop.a SELECT generate_series(1, 100)")
        narwal.wait_caught_up()
        name = "narwal_sink_kafka_acknowledged_messages_total"
        for sink in ("kafka", "other"):
            narwal.wait("acknowledged", lambda: web.metrics().get(f'{name}{{sink="{sink}"}}', 0) >= 100)
            self.assertEqual(web.metrics()[f'narwal_sink_kafka_queue_messages{{sink="{sink}"}}'], 0)
            self.assertEqual(web.metrics()[f'narwal_sink_kafka_producers_begun_total{{sink="{sink}"}}'], 1)
            self.assertGreater(web.metrics()[f'narwal_sink_kafka_commit_seconds{{sink="{sink}"}}'], 0)
        self.assertEqual(web.ask("/metrics").text.count(f"# TYPE {name} counter"), 1)
        figures = [sink["figures"] for sink in json.loads(narwal.call("status", "--json")[1])["sinks"]]
        self.assertEqual([figure["producers_begun_total"] for figure in figures], [1, 1])
        self.assertEqual(narwal.terminate(), 0)

    def test_producers_that_stopped_at_different_positions(self):
        self.make("CREATE TABLE shop.a (id integer PRIMARY KEY); CREATE TABLE shop.b (id integer PRIMARY KEY)")
        narwal = self.narwal("shop14", include=("shop.*",), delivery="transactional", workers=2)
        narwal.start().wait_caught_up()
        former = self.ledger("shop14")["position/1"]
        self.server.sql("INSERT INTO shop.a VALUES (1); INSERT INTO shop.b VALUES (1)")
        narwal.wait_caught_up()
        self.assertEqual(narwal.terminate(), 0)
        self.broker.put("_narwal.shop14.kafka", "position/1", json.dumps(former))
        narwal.config["sinks"][0]["workers"] = 3
        self.assertEqual(narwal.run_to_end(), 1)
        self.assertIn("NW2407", narwal.log())
        self.assertIn("run once with workers: 2, then change it", narwal.log())

    def test_columns_and_names_change(self):
        self.make("CREATE TABLE shop.items (id integer PRIMARY KEY); CREATE TABLE shop.next (LIKE shop.items INCLUDING ALL)")
        narwal = self.narwal("shopnames", include=("shop.*",))
        narwal.start().wait_caught_up()
        self.server.sql("INSERT INTO shop.items VALUES (1); INSERT INTO shop.next VALUES (1)")
        self.server.sql("ALTER TABLE shop.items ADD v text; INSERT INTO shop.items VALUES (2, 'new')")
        self.server.sql("ALTER TABLE shop.items RENAME TO former; ALTER TABLE shop.next RENAME TO items")
        self.server.sql("INSERT INTO shop.items VALUES (3)")
        narwal.wait_caught_up()
        self.assertEqual([value["after"] for _, value in self.messages("shopnames.shop.items")],
                         [{"id": 1}, {"id": 2, "v": "new"}, {"id": 3}])
        self.assertEqual(narwal.terminate(), 0)

    def test_names_that_kafka_does_not_tell_apart(self):
        self.make('CREATE TABLE shop."ü" (id integer PRIMARY KEY); CREATE TABLE shop."ä" (id integer PRIMARY KEY);'
                  'INSERT INTO shop."ü" VALUES (1); INSERT INTO shop."ä" VALUES (2)')
        narwal = self.narwal("shop10", include=("shop.*",))
        narwal.start()
        narwal.wait("one to be refused", lambda: "which another table has" in narwal.log())
        narwal.wait_caught_up()
        # Only one table's, though perhaps more than once: what was not committed with the refusal came again.
        self.assertEqual(len({key["id"] for key, _ in self.messages("shop10.shop._")}), 1)

    def test_a_name_of_a_table_that_was_dropped(self):
        self.make('CREATE TABLE shop."ü" (id integer PRIMARY KEY); CREATE TABLE shop.next (id integer PRIMARY KEY);'
                  'INSERT INTO shop."ü" VALUES (1); INSERT INTO shop.next VALUES (2)')
        narwal = self.narwal("freed", include=("shop.*",))
        narwal.config["sinks"].append({"type": "file", "path": str(narwal.out)})
        narwal.start().wait_caught_up()
        self.server.sql('DROP TABLE shop."ü"')
        narwal.wait("the drop", lambda: narwal.call("wait", "--timeout", "2s") and
                    any('"op":"X"' in path.read_text() for path in narwal.out.rglob("*.jsonl")))
        narwal.wait_caught_up()
        self.server.sql('ALTER TABLE shop.next RENAME TO "ä"; INSERT INTO shop."ä" VALUES (3)')
        narwal.wait_caught_up()
        self.assertEqual([key["id"] for key, _ in self.messages("freed.shop._")], [1, 3], narwal.log_tail())

    def test_queues_are_bounded(self):
        """What may wait in all producers together; librdkafka says what it was told."""
        self.make("CREATE TABLE shop.items (id integer PRIMARY KEY)")
        for number, (more, kbytes, count) in enumerate((
                ({}, 8192, 16384), ({"workers": 2}, 4096, 8192), ({"workers": 16}, 4096, 8192),
                ({"properties": ["message.max.bytes=100000000"]}, 97657, 16384),
                ({"properties": ["queue.buffering.max.kbytes=2000", "queue.buffering.max.messages=50"]}, 2000, 50))):
            more = {**more, "properties": [*more.get("properties", []), "debug=conf"]}
            with Piped(self.server, self.broker, f"queue{number}", include=("shop.*",), **more) as narwal:
                narwal.config["log"]["level"] = "debug"
                narwal.start().wait_caught_up()
                for name, value in (("kbytes", kbytes), ("messages", count)):
                    self.assertIn(f"queue.buffering.max.{name} = {value}\n", narwal.log())


class KafkaFaultsTest(Case):
    def test_no_broker_for_a_while(self):
        self.make("CREATE TABLE shop.items (id integer PRIMARY KEY); INSERT INTO shop.items VALUES (1)")
        narwal = self.narwal("shop4", include=("shop.*",), timeout="2s", properties=["queue.buffering.max.messages=50"])
        self.broker.stop()
        narwal.start()
        narwal.wait("what it waits for", lambda: "NW2701" in narwal.log())
        self.assertIn("NW2705 sink kafka: FAIL", narwal.log())
        self.broker.start()
        narwal.wait_caught_up()
        self.server.sql("INSERT INTO shop.items SELECT generate_series(2, 20000)")
        time.sleep(1)
        self.broker.kill()  # in the middle: there is more than the queue has room for
        narwal.wait("its patience to end", lambda: "no message was acknowledged for 2 s" in narwal.log(), 20)
        self.assertTrue(narwal.running, narwal.log_tail())
        self.broker.start()
        narwal.wait_caught_up()
        self.assertEqual({key["id"] for key, _ in self.messages("shop4.shop.items")}, set(range(1, 20001)))
        self.assertEqual(narwal.terminate(), 0)

    def test_topics_that_are_deleted(self):
        """A table's topic is made anew; the ledger's is not."""
        self.make("CREATE TABLE shop.items (id integer PRIMARY KEY); INSERT INTO shop.items VALUES (1)")
        narwal = self.narwal("shop15", include=("shop.*",), delivery="transactional", timeout="3s",
                             properties=["topic.metadata.refresh.interval.ms=1000",
                                         "topic.metadata.propagation.max.ms=1000"])
        narwal.start().wait_caught_up()
        self.broker.delete("shop15.shop.items")
        self.server.sql("INSERT INTO shop.items VALUES (2)")
        narwal.wait_caught_up()
        self.assertEqual([key["id"] for key, _ in self.messages("shop15.shop.items")], [2])
        self.broker.delete("_narwal.shop15.kafka")
        self.server.sql("INSERT INTO shop.items VALUES (3)")
        self.assertEqual(narwal.wait_exit(60), 1)
        self.assertIn("NW2731", narwal.log())
        self.assertEqual(narwal.run_to_end(), 1)
        self.assertIn("but topic shop15.shop.items has messages", narwal.log())
        narwal.config["sinks"][0]["existing_topics"] = "use"
        narwal.start().wait_caught_up()
        self.assertEqual([key["id"] for key, _ in self.messages("shop15.shop.items")], [2, 1, 2, 3])
        self.assertEqual(narwal.terminate(), 0)

    def test_a_ledger_that_is_not_ours(self):
        self.make("CREATE TABLE shop.items (id integer PRIMARY KEY)")
        self.broker.create("_narwal.shop7.kafka", 1, cleanup_policy="compact")
        self.broker.produce("_narwal.shop7.kafka", 0, ["position"])
        self.broker.create("_narwal.shop8.kafka", 1)
        for name, said in (("shop7", "this narwal does not know"), ("shop8", "must not expire")):
            narwal = self.narwal(name, include=("shop.*",))
            self.assertEqual(narwal.run_to_end(), 1)
            self.assertIn("NW2706", narwal.log())
            self.assertIn(said, narwal.log())

    def test_a_transaction_of_somebody_elses_in_the_ledger(self):
        """It hides what comes behind it, as a hanging one does; narwal says where, and goes on when it has ended."""
        self.make("CREATE TABLE shop.items (id integer PRIMARY KEY); INSERT INTO shop.items VALUES (1)")
        narwal = self.narwal("hidden", include=("shop.items",), delivery="transactional", timeout="5s")
        narwal.start().wait_caught_up()
        self.assertEqual(narwal.terminate(), 0)
        self.server.sql("CREATE TABLE shop.other (id integer PRIMARY KEY); INSERT INTO shop.other VALUES (1)")
        other = self.narwal("other", include=("shop.other",), topic="_narwal.hidden.kafka", existing_topics="use", delivery="transactional",
                            transaction_timeout="20s")
        before = len(self.broker.read("_narwal.hidden.kafka", "read_uncommitted"))
        other.start(NARWAL_HANG_AT="write:1")
        other.wait("its transaction", lambda: len(self.broker.read("_narwal.hidden.kafka", "read_uncommitted")) > before, 60)
        other.kill()
        narwal.start()
        narwal.wait("the code", lambda: "NW2733 topic _narwal.hidden.kafka does not give what was written to it, but ends at offset" in
                    narwal.log(), 60)
        self.server.sql("INSERT INTO shop.items VALUES (2)")
        narwal.wait_caught_up()
        self.assertEqual([value["after"]["id"] for _, value in self.messages("hidden.shop.items")], [1, 2])
        self.assertEqual(narwal.terminate(), 0)

    def test_a_transaction_that_lasts_too_long(self):
        self.make("CREATE TABLE shop.items (id integer PRIMARY KEY)")
        narwal = self.narwal("shop11", include=("shop.*",), delivery="transactional",
                             transaction_timeout=f"{SLOW}s")
        narwal.start().wait_caught_up()
        for number in range(2):
            self.assertEqual(narwal.terminate(), 0)
            self.server.sql(f"INSERT INTO shop.items SELECT generate_series({number} * 60000 + 1, {number + 1} * 60000)")
            narwal.start(NARWAL_FREEZE_AT="write:3")
            stat = pathlib.Path(f"/proc/{narwal.process.pid}/stat")
            narwal.wait("it to freeze", lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")
            time.sleep(2 + SLOW)
            narwal.process.send_signal(signal.SIGCONT)
            narwal.wait_caught_up()
            self.assertIn("sink kafka works again", narwal.log())
        self.assertEqual([key["id"] for key, _ in self.messages("shop11.shop.items")], list(range(1, 120001)))
        self.assertEqual(narwal.terminate(), 0)

    def test_a_standby_needs_transactions(self):
        self.make("CREATE TABLE shop.items (id integer PRIMARY KEY); INSERT INTO shop.items VALUES (1)")
        narwal = self.narwal("shop12", include=("shop.*",))
        narwal.config["standby"] = {"after": "2s"}
        narwal.start().wait_caught_up()
        self.assertEqual(narwal.terminate(), 0)  # killed, the slot could be ahead: what the spool had is forgotten
        narwal.forget_state()
        for delivery, code in (("idempotent", 1), ("transactional", None)):
            narwal.config["sinks"][0]["delivery"] = delivery
            narwal.write()
            with open(narwal.log_path, "ab") as log:
                log.write(b"--- start standby\n")
                log.flush()
                narwal.process = check.subprocess.Popen(narwal.command("run", "--standby", narwal.file),
                                                        stdout=log, stderr=log)
            if code is not None:
                self.assertEqual(narwal.wait_exit(), code)
                self.assertIn("NW2707", narwal.log())
        narwal.wait_caught_up()
        self.assertEqual(narwal.terminate(), 0)

    def test_a_former_process_is_fenced(self):
        self.make("CREATE TABLE shop.items (id integer PRIMARY KEY); INSERT INTO shop.items VALUES (1)")
        for delivery in ("idempotent", "transactional"):
            with self.subTest(delivery):
                narwal = self.narwal(f"fenced{delivery}", include=("shop.*",), delivery=delivery)
                narwal.start().wait_caught_up()
                other = self.narwal(f"other{delivery}", include=("shop.*",), delivery=delivery, prefix=narwal.name)
                self.assertEqual(other.run_to_end(), 1)  # it takes the sink, and finds another's position there
                self.server.sql("INSERT INTO shop.items SELECT max(id) + 1 FROM shop.items")
                self.assertNotEqual(narwal.wait_exit(20), 0)
                self.assertIn("NW2406 sink kafka: another narwal has taken over", narwal.log())

    def test_two_with_one_fencing_number(self):
        """Both read the ledger while it did not give the latest: who wrote the number last has the sink."""
        self.make("CREATE TABLE shop.items (id integer PRIMARY KEY)")
        narwal = self.narwal("numbers", include=("shop.*",), delivery="transactional", timeout="2s")
        narwal.start().wait_caught_up()
        owner = self.ledger("numbers")["owner"]
        self.broker.put("_narwal.numbers.kafka", "owner", json.dumps({**owner, "token": owner.get("token", 0) ^ 1}))
        self.broker.kill()
        self.server.sql("INSERT INTO shop.items VALUES (1)")
        narwal.wait("it to begin again", lambda: "trying again" in narwal.log(), 60)
        self.broker.start()
        self.assertNotEqual(narwal.wait_exit(60), 0)
        self.assertIn("NW2406", narwal.log())


class KafkaKillTest(Case):
    def killed(self, prefix, change=None, **options):
        chance = random.Random(check.seed())
        narwal = self.narwal(prefix, include=("lab.*",), **options)
        load = workload.Workload(self.server.dsn(), seed=check.seed(), sessions=2, pause=0.01, bulk_rows=500)
        with load:
            load.run_until(lambda: load.transactions > 100)
            for number in range(KILLS):
                narwal.start()
                if number > 0:
                    narwal.wait_caught_up()
                time.sleep(chance.uniform(0.3, 2.0))
                if number == 1:
                    self.broker.kill()
                    time.sleep(1)
                    self.broker.start()
                self.assertTrue(narwal.running, narwal.log_tail())
                narwal.kill()
                if number == 2 and change is not None:
                    narwal.start().wait_caught_up()
                    self.assertEqual(narwal.terminate(), 0)
                    narwal.config["sinks"][0].update(change)
            narwal.start().wait_caught_up()
            load.run_until(lambda: load.transactions > 400)
        narwal.wait_caught_up()
        result, again = self.compare(narwal, TABLES)
        self.assertEqual(narwal.terminate(), 0)
        print(f"{result}; {again} changes came again", end=" ... ", flush=True)
        return again

    def test_killed_idempotent(self):
        self.killed("once", compress="zstd")

    def test_killed_transactional(self):
        self.assertEqual(self.killed("exact", {"workers": 2}, delivery="transactional", workers=3), 0)


if __name__ == "__main__":
    check.main()
