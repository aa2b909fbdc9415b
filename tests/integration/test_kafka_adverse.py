#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The Kafka sink with brokers that are frozen, away for long, forget producers, or lose the ledger."""
import json
import signal
import time

from lab import check, kafka
from test_kafka import Case


class Forgetful(kafka.Broker):
    """Ids of producers expire within seconds."""

    def __init__(self):
        super().__init__(**{"transactional.id.expiration.ms": "3000", "producer.id.expiration.ms": "3000",
                            "transaction.remove.expired.transaction.cleanup.interval.ms": "500",
                            "producer.id.expiration.check.interval.ms": "500"})


class Table(Case):
    def make_table(self):
        self.make("CREATE TABLE shop.a (id integer PRIMARY KEY); INSERT INTO shop.a VALUES (0)")

    def insert(self, first, count):
        self.server.sql(f"INSERT INTO shop.a SELECT generate_series({first}, {first + count - 1})")

    def ids(self, name):
        return [key["id"] for key, _ in self.messages(f"{name}.shop.a")]

    def freeze(self, frozen):
        self.broker.process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)


class AwayTest(Table):
    def states(self, narwal):
        code, text = narwal.call("sink", "list", "--json")
        return {sink["name"]: sink["state"] for sink in json.loads(text)} if code == 0 else {}

    def test_it_is_left_out_and_comes_back(self):
        """By itself while the broker is frozen, by hand while it is gone."""
        self.make_table()
        narwal = self.narwal("away", include=("shop.a",), delivery="transactional", stalled="detach",
                             stalled_after="4s", timeout="5s")
        narwal.config["sinks"].append({"type": "null", "name": "good"})
        narwal.start().wait_caught_up()
        self.freeze(True)
        self.insert(1, 100)
        narwal.wait("it is left out", lambda: self.states(narwal) == {"kafka": "detached", "good": "running"}, 60)
        self.insert(101, 100)
        narwal.wait("the other goes on", lambda: narwal.call("wait", "--sink", "good", "--timeout", "2s")[0] == 0)
        self.freeze(False)
        self.attach(narwal)
        narwal.wait("all of it", lambda: set(self.ids("away")) == set(range(201)))
        self.broker.kill()
        self.assertEqual(narwal.call("sink", "detach", "kafka")[0], 0)
        self.insert(201, 100)
        narwal.wait("the other goes on", lambda: narwal.call("wait", "--sink", "good", "--timeout", "2s")[0] == 0)
        self.broker.start()
        self.attach(narwal)
        narwal.wait("all of it", lambda: set(self.ids("away")) == set(range(301)))
        self.assertNotIn("NW2374", narwal.log())
        self.assertEqual(narwal.terminate(), 0)

    def attach(self, narwal):
        narwal.wait("it is attached", lambda: narwal.call("sink", "attach", "kafka")[0] == 0 or
                    self.states(narwal).get("kafka") != "detached")
        narwal.wait("it is back", lambda: self.states(narwal).get("kafka") == "running", 60)
        narwal.wait_caught_up()

    def test_a_broker_that_is_frozen_in_the_middle(self):
        self.make_table()
        narwal = self.narwal("frozen", include=("shop.a",), delivery="transactional", timeout="3s",
                             transaction_timeout="4s")
        narwal.start().wait_caught_up()
        for turn in range(3):
            self.insert(1 + turn * 20000, 10000)
            time.sleep(0.05 * turn)
            self.freeze(True)
            self.insert(10001 + turn * 20000, 10000)
            time.sleep(6)
            self.freeze(False)
        narwal.wait_caught_up()
        self.assertEqual(self.ids("frozen"), list(range(60001)))
        self.assertEqual(narwal.terminate(), 0)


class ForgetfulTest(Table):
    make_broker = Forgetful

    def test_ids_that_expire(self):
        for delivery in ("transactional", "idempotent"):
            self.make_table()
            narwal = self.narwal(delivery, include=("shop.a",), delivery=delivery, workers=2)
            narwal.start().wait_caught_up()
            for turn in range(2):
                self.insert(1 + turn * 100, 100)
                narwal.wait_caught_up()
                time.sleep(8)
            self.insert(201, 100)
            narwal.wait_caught_up()
            found = self.ids(delivery)  # without transactions what came since the last commit comes again
            self.assertEqual(sorted(set(found)) if delivery == "idempotent" else found, list(range(301)))
            self.assertEqual(narwal.terminate(), 0)


class LedgerTest(Table):
    def test_one_that_somebody_emptied(self):
        """Nothing is begun anew beside what the topics have."""
        self.make_table()
        narwal = self.narwal("emptied", include=("shop.a",), delivery="transactional", timeout="5s")
        narwal.start().wait_caught_up()
        self.insert(1, 100)
        narwal.wait_caught_up()
        topic = "_narwal.emptied.kafka"
        plan = self.broker.folder / "plan.json"
        plan.write_text(json.dumps({"partitions": [{"topic": topic, "partition": 0, "offset": -1}], "version": 1}))
        self.broker.alter(topic, cleanup_policy="delete")
        self.broker.tool("org.apache.kafka.tools.DeleteRecordsCommand", "--bootstrap-server", self.broker.address,
                         "--offset-json-file", plan)
        self.broker.alter(topic, cleanup_policy="compact")
        narwal.kill()
        self.insert(101, 100)
        self.assertNotEqual(narwal.run_to_end(60), 0)
        self.assertIn(f"NW2731 topic {topic}, which says what is durable, is empty", narwal.log())
        self.assertEqual(self.ids("emptied"), list(range(101)))

    def test_one_that_somebody_made(self):
        """The first of its partitions is enough; that what is in it expires is not borne."""
        self.make_table()
        self.broker.create("_narwal.several.kafka", 3, cleanup_policy="compact")
        narwal = self.narwal("several", include=("shop.a",), delivery="transactional")
        narwal.start().wait_caught_up()
        narwal.kill()
        self.insert(1, 100)
        narwal.start().wait_caught_up()
        self.assertEqual(self.ids("several"), list(range(101)))
        self.assertEqual(narwal.terminate(), 0)
        self.broker.create("_narwal.short.kafka", 1, cleanup_policy="delete")
        narwal = self.narwal("short", include=("shop.a",))
        self.assertNotEqual(narwal.run_to_end(60), 0)
        self.assertIn("NW2706 topic _narwal.short.kafka has cleanup.policy=delete", narwal.log())


if __name__ == "__main__":
    check.main()
