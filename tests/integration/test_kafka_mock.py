#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The Kafka sink with brokers that answer what they are told to: librdkafka's mock cluster.

It does not know aborted transactions, so where one is aborted only what is lost can be seen.
"""
import subprocess
import time

from lab import check, kafka
from lab.narwal import build
from test_kafka_cluster import TABLES, Load, Tables

# Numbers of requests and of errors, as in Kafka's protocol.
PRODUCE, ADD_PARTITIONS, END_TXN = 0, 24, 26
NOT_LEADER, LOADING, NO_COORDINATOR, NOT_COORDINATOR, NOT_ENOUGH, NOT_ENOUGH_AFTER = 6, 14, 15, 16, 19, 20
OUT_OF_ORDER, INVALID_EPOCH, CONCURRENT, COORDINATOR_FENCED, FENCED = 45, 47, 51, 52, 90


class Mock(kafka.Broker):
    def __enter__(self):
        # It ends with its input.
        self.process = subprocess.Popen([str(build() / "tests" / "integration" / "mock_brokers"), "3"], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addresses = self.process.stdout.readline().strip()
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    @property
    def address(self):
        return self.addresses

    def tell(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if answer != "ok":
            raise AssertionError(f"{words}: {answer}")


class MockTest(Tables):
    make_broker = Mock

    def started(self, name, **options):
        self.make_tables()
        for topic in (f"_narwal.{name}.kafka", *(f"{name}.shop.{table}" for table in TABLES)):
            self.broker.tell("topic", topic, 1)
        narwal = self.narwal(name, include=("shop.*",), timeout="5s", brokers=self.broker.address.split(","), **options)
        return narwal.start().wait_caught_up()

    def test_errors_that_pass(self):
        """The library tries again; nothing is lost, and nothing comes twice."""
        for delivery in ("idempotent", "transactional"):
            with self.subTest(delivery):
                narwal = self.started(f"pass{delivery}", delivery=delivery, workers=2)
                with Load(self.server) as load:
                    for number, codes in ((PRODUCE, [NOT_ENOUGH] * 5), (PRODUCE, [NOT_LEADER] * 3),
                                          (PRODUCE, [NOT_ENOUGH_AFTER, LOADING]), (END_TXN, [NOT_COORDINATOR] * 2),
                                          (END_TXN, [LOADING, NO_COORDINATOR, CONCURRENT]),
                                          (ADD_PARTITIONS, [CONCURRENT] * 3 + [NOT_COORDINATOR])):
                        self.broker.tell("errors", number, *codes)
                        time.sleep(1)
                    for broker in (1, 2, 3):
                        self.broker.tell("down", broker)
                        time.sleep(1)
                        self.broker.tell("up", broker)
                narwal.wait_caught_up()
                self.check_tables(f"pass{delivery}", load.count, once=False)
                self.assertEqual(narwal.terminate(), 0)

    def test_errors_that_end_the_producer(self):
        """The sink begins again from what the ledger says, as often as it takes."""
        narwal = self.started("end", delivery="transactional", workers=2)
        with Load(self.server) as load:
            for number, code in ((END_TXN, FENCED), (END_TXN, INVALID_EPOCH), (END_TXN, COORDINATOR_FENCED),
                                 (PRODUCE, OUT_OF_ORDER), (PRODUCE, INVALID_EPOCH), (ADD_PARTITIONS, FENCED)):
                seen = narwal.log().count("works again")
                self.broker.tell("errors", number, code)
                narwal.wait(f"what {number} {code} ends", lambda: narwal.log().count("works again") > seen, 60)
                self.assertTrue(narwal.running, narwal.log_tail())
        narwal.wait_caught_up()
        self.check_tables("end", load.count, once=False)
        self.assertIn("nobody else has the sink", narwal.log())
        self.assertEqual(narwal.terminate(), 0)

    def test_slow_answers(self):
        narwal = self.started("slow", delivery="transactional", workers=2)
        with Load(self.server) as load:
            for broker in (1, 2, 3):
                self.broker.tell("rtt", broker, 700)
            time.sleep(12)
            for broker in (1, 2, 3):
                self.broker.tell("rtt", broker, 0)
        narwal.wait_caught_up()
        self.check_tables("slow", load.count, once=True)
        self.assertNotIn("trying again", narwal.log())
        self.assertEqual(narwal.terminate(), 0)


if __name__ == "__main__":
    check.main()
