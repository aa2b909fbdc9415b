#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The Kafka sink with several brokers, without rights, and with commits that only half happen."""
import signal
import threading
import time

from lab import check, kafka_cluster
from test_kafka import Case
from test_positions import Standby

TABLES = [f"t{number}" for number in range(4)]


class Load:
    """One row after the other into each table, until the end."""

    def __init__(self, server):
        self.server, self.count, self.stopped = server, 0, False
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped = True
        self.thread.join()

    def run(self):
        connection = self.server.connect()
        connection.autocommit = True
        with connection.cursor() as cursor:
            while not self.stopped:
                cursor.execute("BEGIN;" + "".join(f"INSERT INTO shop.{table} VALUES ({self.count});"
                                                  for table in TABLES) + "COMMIT")
                self.count += 1
                time.sleep(0.005)
        connection.close()


class Tables(Case):
    def make_tables(self):
        self.make("".join(f"CREATE TABLE shop.{table} (id integer PRIMARY KEY);" for table in TABLES))

    def check_tables(self, name, count, once):
        for table in TABLES:
            found = [key["id"] for key, _ in self.messages(f"{name}.shop.{table}")]
            self.assertEqual(set(found), set(range(count)))
            if once:
                self.assertEqual(len(found), count, f"{table}: doubled")


class LeadersTest(Tables):
    """Three brokers: each is killed and comes back, then leaders are moved, under load."""

    make_broker = kafka_cluster.Brokers

    def moved(self, delivery, **options):
        self.make_tables()
        name = f"leaders{delivery}"
        narwal = self.narwal(name, include=("shop.*",), delivery=delivery, partitions=3, replication=3, **options)
        narwal.start().wait_caught_up()
        with Load(self.server) as load:
            for node in self.broker.nodes:
                node.kill()
                time.sleep(6)
                node.start()
                self.broker.wait_in_sync("")
            self.broker.reassign(f"{name}.")
            time.sleep(2)
        narwal.wait_caught_up()
        self.check_tables(name, load.count, once=delivery == "transactional")
        self.assertEqual(narwal.terminate(), 0)
        print(f"{load.count} transactions", end=" ... ", flush=True)

    def test_leaders_move_transactional(self):
        self.moved("transactional", workers=2)

    def test_leaders_move_idempotent(self):
        self.moved("idempotent")


class RightsTest(Tables):
    """The rights that docs/kafka.md names are enough; some of them are taken away and come back."""

    make_broker = kafka_cluster.Guarded

    def test_rights_that_are_revoked(self):
        self.make_tables()
        name = "rights"
        topics = ("topic", f"{name}.", "Write", "Create", "Describe")
        self.broker.rights("--add", *topics, prefixed=True)
        self.broker.rights("--add", "topic", f"_narwal.{name}.kafka", "Read", "Write", "Create", "Describe")
        self.broker.rights("--add", "transactional-id", f"narwal.{name}.kafka", "Write", "Describe", prefixed=True)
        narwal = self.narwal(name, include=("shop.*",), delivery="transactional", workers=2,
                             brokers=[self.broker.guarded], security="sasl_plaintext", mechanism="PLAIN",
                             username="narwal", password=self.broker.PASSWORD, timeout="5s")
        narwal.start().wait_caught_up()
        with Load(self.server) as load:
            for lost, what in (((*topics,), {"prefixed": True}),
                               (("topic", f"_narwal.{name}.kafka", "Write"), {}),
                               (("transactional-id", f"narwal.{name}.kafka", "Write", "Describe"), {"prefixed": True})):
                seen = narwal.log().count("authorization failed")
                self.broker.rights("--remove", *lost, **what)
                narwal.wait("the refusal", lambda: narwal.log().count("authorization failed") > seen, 60)
                self.assertTrue(narwal.running, narwal.log_tail())
                self.broker.rights("--add", *lost, **what)
                narwal.wait_caught_up()
        narwal.wait_caught_up()
        self.check_tables(name, load.count, once=True)
        self.assertEqual(narwal.terminate(), 0)


class HalfTest(Tables):
    """Commits of several producers that happen in part, or of which the answer is lost."""

    make_broker = kafka_cluster.Watched

    def started(self, name, workers):
        self.make_tables()
        narwal = self.narwal(name, include=("shop.*",), delivery="transactional", workers=workers,
                             brokers=[self.broker.watched])
        return narwal.start().wait_caught_up()

    def test_killed_between_two_commits(self):
        narwal = self.started("half", 2)

        def watch(number, frame):
            if number == kafka_cluster.END_TXN and b"narwal.half.kafka.1" in frame:
                self.broker.watch = lambda number, frame: None
                narwal.process.kill()
                return "drop"
            return None

        with Load(self.server) as load:
            time.sleep(1)
            self.broker.watch = watch
            narwal.wait_exit(30)
        narwal.config["sinks"][0]["workers"] = 3
        self.assertEqual(narwal.run_to_end(60), 1)
        self.assertIn("NW2407", narwal.log())
        self.assertIn("run once with workers: 2, then change it", narwal.log())
        for workers in (2, 3):
            narwal.config["sinks"][0]["workers"] = workers
            narwal.start().wait_caught_up()
            self.assertEqual(narwal.terminate(), 0)
        self.check_tables("half", load.count, once=True)

    def test_answers_to_commits_that_are_lost(self):
        narwal = self.started("lost", 2)
        seen = []

        def watch(number, frame):
            if number == kafka_cluster.END_TXN:
                seen.append(frame)
                return "cut" if len(seen) % 5 == 0 else None
            return None

        self.broker.watch = watch
        with Load(self.server) as load:
            time.sleep(10)
        self.broker.watch = lambda number, frame: None
        narwal.wait_caught_up()
        self.check_tables("lost", load.count, once=True)
        self.assertGreater(len(seen), 20)
        self.assertEqual(narwal.terminate(), 0)


class ZombieTest(Tables):
    """A narwal that is frozen while it writes; its standby goes on; then it thaws."""

    make_broker = kafka_cluster.Watched

    def test_it_thaws(self):
        self.make_tables()
        owner = self.narwal("zombie", include=("shop.*",), delivery="transactional", workers=2)
        owner.config["standby"] = {"after": "2s"}
        owner.start().wait_caught_up()
        with Load(self.server) as load:
            for number in range(3):
                standby = self.narwal(f"zombie{number}", include=("shop.*",))
                standby.config.update(name="zombie", sinks=owner.config["sinks"], standby=owner.config["standby"])
                standby.options = ["--standby"]
                standby.start()
                time.sleep(2)
                owner.process.send_signal(signal.SIGSTOP)
                standby.wait("its turn", lambda: "NW2013" in standby.log(), 60)
                standby.wait_caught_up()
                owner.process.send_signal(signal.SIGCONT)
                self.assertNotEqual(owner.wait_exit(60), 0)
                owner = standby
        owner.wait_caught_up()
        self.check_tables("zombie", load.count, once=True)
        self.assertEqual(owner.terminate(), 0)


class OversizedTest(Tables):
    """A transaction of the database that takes longer than Kafka leaves one open: the broker is slow."""

    make_broker = kafka_cluster.Watched
    ROWS = 60000

    def tearDown(self):
        self.broker.watch = lambda number, frame: None
        super().tearDown()

    def started(self, name, workers=2, **options):
        self.make_tables()
        self.server.sql("CREATE TABLE shop.wide (id integer PRIMARY KEY, v text)")
        narwal = self.narwal(name, include=("shop.*",), delivery="transactional", brokers=[self.broker.watched],
                             compress="none", workers=workers, **{"transaction_timeout": "3s", **options},
                             properties=["batch.size=20000", "queue.buffering.max.messages=1000"])
        return narwal.start().wait_caught_up()

    def oid(self, table):
        return self.server.sql(f"SELECT 'shop.{table}'::regclass::oid")[0][0]

    def slow(self, name, **options):
        narwal = self.started(name, **options)
        self.server.sql(f"INSERT INTO shop.{TABLES[2]} VALUES (0)")  # not of the transaction
        narwal.wait_caught_up()
        self.broker.watch = lambda number, frame: time.sleep(0.03) if number == kafka_cluster.PRODUCE else None
        self.server.sql("BEGIN;" + "".join(f"INSERT INTO shop.{table} SELECT generate_series(0, {self.ROWS - 1});"
                                           for table in TABLES[:2]) + "COMMIT")
        return narwal

    def test_it_stops(self):
        narwal = self.slow("oversized")
        self.assertEqual(narwal.wait_exit(120), 1)
        self.assertIn("sent again in smaller ones", narwal.log())
        self.assertIn("NW2732", narwal.log())
        self.broker.watch = lambda number, frame: None
        narwal.start().wait_caught_up()
        for table in TABLES[:2]:
            self.assertEqual([key["id"] for key, _ in self.messages(f"oversized.shop.{table}")],
                             list(range(self.ROWS)))
        self.assertEqual(narwal.terminate(), 0)

    def test_it_is_split(self):
        """With a kill in the middle: each change comes once."""
        narwal = self.slow("split", oversized="split")
        before = self.position("split")
        narwal.wait("a part", lambda: self.parts("split"), 60)
        narwal.kill()
        self.assertEqual(self.position("split"), before)
        parts = self.parts("split")
        self.assertNotIn(f"part/{self.oid(TABLES[2])}", self.ledger("split"))
        narwal.start().wait_caught_up()
        self.assertGreater(max(int(value["seq"]) for value in self.parts("split")),
                           max(int(value["seq"]) for value in parts))
        for table in TABLES[:2]:
            self.assertEqual([key["id"] for key, _ in self.messages(f"split.shop.{table}")], list(range(self.ROWS)))
        self.server.sql(f"INSERT INTO shop.{TABLES[0]} VALUES ({self.ROWS})")
        narwal.wait_caught_up()
        self.assertEqual(len(self.messages(f"split.shop.{TABLES[0]}")), self.ROWS + 1)
        self.assertNotIn("NW2732", narwal.log())
        self.assertEqual(narwal.terminate(), 0)

    def test_a_retry_sends_what_is_split_by_itself(self):
        """A part has rows of two transactions; then each is sent alone. A table has other columns in the second."""
        narwal = self.started("apart", workers=1, oversized="split", transaction_timeout="8s", timeout="8s")
        rows, late = self.ROWS // 2, 5000
        first, second = TABLES[:2]
        part = f"part/{self.oid(second)}".encode()
        seen = []
        merging, stalled = threading.Event(), threading.Event()

        def watch(number, frame):
            if number != kafka_cluster.PRODUCE:
                return
            merging.wait(60)  # the epoch before, so that both are in the next one
            seen.extend([len(seen)] if seen or part in frame else [])
            if len(seen) == 20:
                stalled.set()
            time.sleep(11 if len(seen) == 20 else 0.03 if len(seen) < 20 else 0)

        self.broker.watch = watch
        self.server.sql(f"INSERT INTO shop.{TABLES[2]} VALUES (0)")
        time.sleep(0.5)
        before = self.server.sql(f"INSERT INTO shop.{first} SELECT generate_series(0, {rows - 1});"
                                 "SELECT pg_current_wal_insert_lsn()")[0][0]
        time.sleep(0.5)
        end = self.server.sql(f"BEGIN; ALTER TABLE shop.{first} ADD v text;"
                              f"INSERT INTO shop.{first} SELECT generate_series({rows}, {rows + late - 1});"
                              f"INSERT INTO shop.{second} SELECT generate_series(0, {self.ROWS - 1}); COMMIT;"
                              "SELECT pg_current_wal_lsn()")[0][0]
        narwal.wait("the second transaction", lambda: self.server.sql(
            "SELECT 1 FROM pg_stat_replication WHERE sent_lsn >= %s", (end,)), 60)
        time.sleep(1)
        merging.set()
        self.assertTrue(stalled.wait(120))
        ledger = self.ledger("apart")
        self.assertLessEqual({f"part/{self.oid(first)}", f"part/{self.oid(second)}"}, set(ledger))
        self.assertEqual(self.server.sql("SELECT %s::pg_lsn <= %s", (ledger["position"]["lsn"], before)), [(True,)])
        narwal.wait("the retry", lambda: "NW2701" in narwal.log(), 60)
        narwal.wait_caught_up()
        for table, count in ((first, rows + late), (second, self.ROWS)):
            self.assertEqual([key["id"] for key, _ in self.messages(f"apart.shop.{table}")], list(range(count)))
        self.assertEqual(narwal.terminate(), 0)

    def test_a_refused_row_is_not_passed_over(self):
        """No part is committed behind one, as its dead letter is not written before."""
        narwal = self.started("letter", oversized="split", refused="dead_letter")
        self.broker.watch = lambda number, frame: time.sleep(0.03) if number == kafka_cluster.PRODUCE else None
        self.server.sql("INSERT INTO shop.wide SELECT n, repeat('x', CASE n WHEN 1000 THEN 1200000 ELSE 1 END)"
                        f" FROM generate_series(0, {self.ROWS - 1}) n")
        self.assertEqual(narwal.wait_exit(120), 1)
        self.assertIn("NW2732", narwal.log())
        self.assertIn("as a row of it was refused", narwal.log())
        self.broker.watch = lambda number, frame: None
        narwal.config["sinks"][0]["transaction_timeout"] = "60s"
        narwal.start().wait_caught_up()
        self.assertIn("NW2704", narwal.call("dead-letter", "list")[1])
        self.assertEqual([key["id"] for key, _ in self.messages("letter.shop.wide")],
                         [number for number in range(self.ROWS) if number != 1000])
        self.assertEqual(narwal.terminate(), 0)

    def test_changes_behind_a_part_are_counted_on(self):
        """What was passed over is one of the table's changes in the transaction."""
        rows = 20000
        narwal = self.started("counted", oversized="split", format="debezium_json", transaction_timeout="6s",
                              transactions_topic="{prefix}.tx")
        self.split("counted", narwal, rows=rows, pause=0.01)
        narwal.start().wait_caught_up()
        for table in TABLES[:2]:
            orders = [value["transaction"]["data_collection_order"]
                      for _, value in self.messages(f"counted.shop.{table}")]
            self.assertEqual(orders, list(range(1, rows + 1)))
        self.assertEqual(narwal.terminate(), 0)

    def follow(self, narwal, server):
        narwal.config["source"]["dsn"] = server.dsn()
        narwal.cluster = server
        narwal.write()

    def test_a_promoted_server_lacks_what_a_part_is_of(self):
        """What it writes at the places of the former transaction is not taken for committed."""
        narwal = self.started("forked", oversized="split")
        promoted = self.enter(Standby(self.server))
        self.split("forked", narwal)
        self.follow(narwal, promoted)
        promoted.sql(f"INSERT INTO shop.{TABLES[0]} VALUES (-1)")
        self.assertEqual(self.server.sql("SELECT %s::pg_lsn > %s", (
            self.parts("forked")[0]["lsn"], promoted.value("SELECT pg_current_wal_lsn()"))), [(True,)])
        self.assertNotEqual(narwal.run_to_end(60), 0)
        self.assertRegex(narwal.log(), "NW2308 .*promoted since")
        self.assertIn("NW2341", narwal.call("adopt", "--yes")[1])
        code, text = narwal.call("adopt", "--yes", "--copy")
        self.assertEqual(code, 0, text)
        narwal.start().wait_caught_up()
        promoted.sql(f"INSERT INTO shop.{TABLES[0]} VALUES (-2)")
        narwal.wait_caught_up()
        self.assertEqual([key["id"] for key, _ in self.messages(f"forked.shop.{TABLES[0]}")][-2:], [-1, -2])
        self.assertEqual(narwal.terminate(), 0)

    def test_a_promoted_server_has_what_a_part_is_of(self):
        """Each change comes once, on both timelines."""
        narwal = self.started("followed", oversized="split")
        self.split("followed", narwal)
        promoted = self.enter(Standby(self.server))
        self.follow(narwal, promoted)
        narwal.start().wait_caught_up()
        self.assertIn("the server was promoted, and has all", narwal.log())
        self.split("followed", narwal, promoted, self.ROWS)
        narwal.start().wait_caught_up()
        for table in TABLES[:2]:
            self.assertEqual([key["id"] for key, _ in self.messages(f"followed.shop.{table}")],
                             list(range(2 * self.ROWS)))
        self.assertEqual(narwal.terminate(), 0)

    def split(self, name, narwal, server=None, first=0, rows=ROWS, pause=0.03):
        """A transaction that comes in parts; narwal is killed behind one."""
        former = self.parts(name)
        self.broker.watch = lambda number, frame: time.sleep(pause) if number == kafka_cluster.PRODUCE else None
        (server or self.server).sql("BEGIN;" + "".join(
            f"INSERT INTO shop.{table} SELECT generate_series({first}, {first + rows - 1});"
            for table in TABLES[:2]) + "COMMIT")
        narwal.wait("a part", lambda: self.parts(name) != former, 60)
        narwal.kill()
        self.broker.watch = lambda number, frame: None

    def position(self, name):
        return {key: value for key, value in self.ledger(name).items() if key.startswith("position")}

    def parts(self, name):
        return [value for key, value in self.ledger(name).items() if key.startswith("part/")]


if __name__ == "__main__":
    check.main()
