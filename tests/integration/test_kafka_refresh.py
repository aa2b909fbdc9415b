#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Tables that are copied again into topics while they are written to: whatever is killed meanwhile,
a reader who follows a topic ends with the rows that the table has, and none that it has no more."""
import json
import random
import threading
import time

from lab import check
from test_kafka import Case

UNSENT = "__debezium_unavailable_value"
ROWS = 4000
SIZE = 3000  # of a value that an update does not send


class Writer(threading.Thread):
    """Inserts, updates, deletes, moves of keys and truncates of two tables, until it is stopped."""

    def __init__(self, server, seed, truncates=False):
        super().__init__(daemon=True)
        self.connection = server.connect()
        self.connection.autocommit = True
        self.random = random.Random(seed)
        self.truncates = truncates
        self.done = threading.Event()
        self.failure = None

    def statement(self):
        key = self.random.randint(1, ROWS)
        kind = self.random.random()
        if self.truncates and kind < 0.002:
            return "TRUNCATE shop.t; INSERT INTO shop.t SELECT g, 0, repeat('t', 10) FROM generate_series(1, 50) g"
        if kind < 0.3:
            return f"DELETE FROM shop.t WHERE id = {key}"
        if kind < 0.5:
            return (f"INSERT INTO shop.t SELECT {key}, 0, string_agg(md5(random()::text), '') FROM "
                    f"generate_series(1, {SIZE // 32}) ON CONFLICT DO NOTHING")
        if kind < 0.55:
            return f"UPDATE shop.t SET id = id + {ROWS}, note = note || '.' WHERE id = {key} AND NOT EXISTS (SELECT FROM shop.t WHERE id = {key + ROWS})"
        if kind < 0.6:
            return f"DELETE FROM shop.t WHERE id = {key + ROWS}"
        if kind < 0.8:
            return f"UPDATE shop.t SET n = n + 1 WHERE id = {key}"
        return f"INSERT INTO shop.beside (n) VALUES ({key})"

    def run(self):
        try:
            with self.connection.cursor() as cursor:
                while not self.done.is_set():
                    cursor.execute(self.statement())
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join()
        self.connection.close()
        if self.failure is not None:
            raise self.failure


class WriterOfMany(Writer):
    """Of small tables, each as many rows."""

    def __init__(self, server, seed, tables, rows):
        super().__init__(server, seed)
        self.tables, self.rows = tables, rows

    def statement(self):
        table, key = self.random.choice(self.tables), self.random.randint(1, self.rows)
        return self.random.choice((f"DELETE FROM shop.{table} WHERE id = {key}", f"UPDATE shop.{table} SET n = n + 1 WHERE id = {key}",
                                   f"INSERT INTO shop.{table} VALUES ({key}, 0, repeat('y', 50)) ON CONFLICT DO NOTHING"))


class RefreshTest(Case):
    def tables(self):
        self.make("CREATE TABLE shop.t (id int PRIMARY KEY, n int, note text);"
                  "ALTER TABLE shop.t ALTER note SET STORAGE EXTERNAL;"
                  "CREATE TABLE shop.beside (id bigserial PRIMARY KEY, n int);"
                  f"INSERT INTO shop.t SELECT g, 0, repeat('x', {SIZE}) FROM generate_series(1, {ROWS}) g")

    def events(self, topic):
        for message in self.broker.read(topic):
            if message["payload"] is not None:
                yield json.loads(message["key"]) if message["key"] else None, json.loads(message["payload"])

    def followed(self, topic):
        """The rows as a reader has them, and how many changes came more than once."""
        rows, again, seen = {}, 0, set()
        for key, event in self.events(topic):
            source = event["source"]
            place = (source["lsn"], event["op"], json.dumps(key), json.dumps(event["after"]))
            if event["op"] not in ("r", "d") and event["op"] != "t":
                again += place in seen
                seen.add(place)
            if event["op"] == "t":
                rows.clear()
            elif event["op"] == "d":
                rows.pop(key["id"], None)
            else:
                former = rows.get(key["id"], {})
                rows[key["id"]] = {name: former.get(name) if value == UNSENT else value
                                   for name, value in event["after"].items()}
        return rows, again

    def compare_state(self, narwal, table, names):
        rows, again = self.followed(f"{narwal.name}.shop.{table}")
        have = {row[0]: dict(zip(names, row)) for row in
                self.server.sql(f"SELECT {', '.join(names)} FROM shop.{table}")}
        self.assertEqual(sorted(set(rows) - set(have)), [], f"{table}: rows that are gone\n{narwal.log_tail()}")
        self.assertEqual(sorted(set(have) - set(rows)), [], f"{table}: rows that are missing\n{narwal.log_tail()}")
        for key, row in have.items():
            self.assertEqual(rows[key], row, f"{table}\n{narwal.log_tail()}")
        return again

    def wait_whole(self, narwal):
        narwal.wait("the copies", lambda: '"waiting"' not in narwal.call("table", "list", "--json")[1], 120)

    def ends(self, narwal):
        """@return how many changes came more than once."""
        time.sleep(1)  # what the table list says is half a second old
        self.wait_whole(narwal)
        narwal.wait_caught_up()
        again = self.compare_state(narwal, "t", ("id", "n", "note")) + self.compare_state(narwal, "beside", ("id", "n"))
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        return again

    def piped(self, name, files=False, **options):
        narwal = self.narwal(name, include=("shop.*",), format="debezium_json", **options)
        narwal.config["copy"] = {"rate": "8MiB"}
        if files:
            narwal.config["sinks"].append({"type": "file", "path": str(narwal.out)})
        return narwal

    def refresh(self, narwal):
        """Until it is under way, or was already, or narwal crashed."""
        def begun():
            code, text = narwal.call("table", "refresh", "shop.t")
            return code == 0 or "copied already" in text or not narwal.running
        narwal.wait("a copy to begin", begun, 120)

    def killed(self, name, files=False, truncates=False, **options):
        chance = random.Random(check.seed())
        self.tables()
        narwal = self.piped(name, files, **options)
        narwal.start().wait_caught_up()
        with Writer(self.server, check.seed(), truncates):
            for number in range(8):
                self.refresh(narwal)
                time.sleep(chance.uniform(0, 1.5))
                narwal.kill()
                point = chance.choice(["join:1", "joined:1", "commit:2", "commit:4", "commit:9", "write:20"])
                if number % 2 == 1:
                    narwal.start(NARWAL_CRASH_AT=point)
                    self.refresh(narwal)
                    narwal.wait("the crash", lambda: not narwal.running, 60)
                narwal.start()
            self.refresh(narwal)
            time.sleep(0.5)
        again = self.ends(narwal)
        if files:
            status, output = narwal.call_verify()
            self.assertEqual(status, 0, output)
        print(f"{again} changes came again", end=" ... ", flush=True)
        return again

    def test_first_copy_that_begins_anew(self):
        chance = random.Random(check.seed())
        self.tables()
        narwal = self.piped("first")
        with Writer(self.server, check.seed()):
            for number in range(4):
                narwal.start()
                narwal.wait("rows", lambda: "first.shop.t" in self.broker.topics(), 60)
                time.sleep(chance.uniform(0.3, 1.2))
                narwal.kill()
                if number == 0:
                    self.assertFalse(self.ledger("first") == {})
                self.server.sql("VACUUM FULL shop.t")  # what was copied cannot be gone on with
            narwal.start().wait_caught_up()
        self.ends(narwal)

    def test_new_table_killed(self):
        chance = random.Random(check.seed())
        self.make("CREATE TABLE shop.other (id int PRIMARY KEY)")
        narwal = self.piped("new")
        narwal.start().wait_caught_up()
        self.server.sql("CREATE TABLE shop.t (id int PRIMARY KEY, n int, note text);"
                        "ALTER TABLE shop.t ALTER note SET STORAGE EXTERNAL;"
                        "CREATE TABLE shop.beside (id bigserial PRIMARY KEY, n int);"
                        f"INSERT INTO shop.t SELECT g, 0, repeat('x', {SIZE}) FROM generate_series(1, {ROWS}) g")
        with Writer(self.server, check.seed()):
            for _ in range(5):
                copies = narwal.log(whole=True).count("snapshot of a temporary slot")
                narwal.wait("its copy", lambda: narwal.log(whole=True).count("snapshot of a temporary") > copies
                            or "copied shop.t" in narwal.log(whole=True), 60)  # pylint: disable=cell-var-from-loop
                time.sleep(chance.uniform(0, 1))
                narwal.kill()
                narwal.start()
        self.ends(narwal)

    def test_new_sink_killed(self):
        chance = random.Random(check.seed())
        self.tables()
        narwal = self.piped("added", files=True)
        narwal.config["sinks"].reverse()
        kafka = narwal.config["sinks"].pop()
        with Writer(self.server, check.seed()):
            narwal.start().wait_streaming()
            self.assertEqual(narwal.terminate(), 0)
            narwal.config["sinks"].append(kafka)
            for _ in range(5):
                narwal.start()
                time.sleep(chance.uniform(0.5, 2.5))
                narwal.kill()
            narwal.start().wait_caught_up()
        self.ends(narwal)

    def test_new_sink_of_more_tables_than_a_position_names(self):
        """Those that wait share one place in it then, from which all of them are told."""
        chance = random.Random(check.seed())
        tables = [f"m{number}" for number in range(70)]
        self.make(";".join(f"CREATE TABLE shop.{table} (id int PRIMARY KEY, n int, note text); INSERT INTO shop.{table} "
                           "SELECT g, 0, repeat('x', 3000) FROM generate_series(1, 20) g" for table in tables))
        narwal = self.piped("many", files=True)
        narwal.config["copy"] = {"rate": "1MiB"}
        narwal.config["sinks"].reverse()
        kafka = narwal.config["sinks"].pop()
        with WriterOfMany(self.server, check.seed(), tables, 20):
            narwal.start().wait_streaming()
            self.assertEqual(narwal.terminate(), 0)
            narwal.config["sinks"].append(kafka)
            for _ in range(2):
                narwal.start()
                narwal.wait("rows", lambda: any(topic.startswith("many.shop.") for topic in self.broker.topics()), 60)
                time.sleep(chance.uniform(0, 1.5))
                narwal.kill()
            narwal.start()
            time.sleep(1)
        self.wait_whole(narwal)
        narwal.wait_caught_up()
        for table in tables:
            self.compare_state(narwal, table, ("id", "n", "note"))
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_stopped_meanwhile(self):
        self.tables()
        narwal = self.piped("stopped")
        with Writer(self.server, check.seed()):
            for _ in range(4):
                narwal.start()
                self.refresh(narwal)
                time.sleep(0.4)
                self.assertEqual(narwal.terminate(), 0)
            narwal.start()
        again, log = self.ends(narwal), narwal.log(whole=True)
        self.assertNotIn("NW2005", log)
        self.assertEqual(again, 0, log)

    def test_deletes_meanwhile(self):
        self.tables()
        narwal = self.piped("once")
        narwal.start().wait_caught_up()
        with Writer(self.server, check.seed()):
            for _ in range(3):
                self.refresh(narwal)
                self.wait_whole(narwal)
        self.assertEqual(self.ends(narwal), 0)

    def signal(self, id_, type_, **data):
        self.server.sql("INSERT INTO shop.signals VALUES (%s, %s, %s)", (id_, type_, json.dumps(data)))

    def signalled(self, name, **options):
        self.tables()
        self.server.sql("CREATE TABLE shop.signals (id varchar(42) PRIMARY KEY, type varchar(32) NOT NULL, data varchar(2048))")
        return self.piped(name, signals_table="shop.signals", **options)

    def chosen(self, narwal, skip):
        return [event["after"] for _, event in self.events(f"{narwal.name}.shop.t") if event["op"] == "r"][skip:]

    def test_rows_are_chosen_and_narwal_is_killed(self):
        """Only the chosen ones come, however often, and nothing of the stream is lost."""
        chance = random.Random(check.seed())
        narwal = self.signalled("some", delivery="transactional")
        narwal.start().wait_caught_up()
        first = len(self.chosen(narwal, 0))
        with Writer(self.server, check.seed()):
            for number in range(6):
                self.signal(f"s{number}", "execute-snapshot", **{"data-collections": ["shop.t"], "additional-conditions": [
                    {"data-collection": "shop.t", "filter": "id % 2 = 0 AND n >= 0"}]})
                time.sleep(chance.uniform(0, 1.2))
                narwal.kill()
                if number % 2 == 1:
                    narwal.start(NARWAL_CRASH_AT=chance.choice(["joined:1", "commit:2", "commit:4", "write:20"]))
                    narwal.wait("the crash", lambda: not narwal.running or
                                '"waiting"' not in narwal.call("table", "list", "--json")[1], 20)
                    if narwal.running:
                        narwal.kill()
                narwal.start()
            self.signal("last", "execute-snapshot", **{"data-collections": ["shop.t"], "additional-condition": "id % 2 = 0"})
            narwal.wait("the last", lambda: 'table refresh "shop"."t" WHERE id % 2 = 0:' in narwal.log(whole=True), 60)
        self.assertEqual(self.ends(narwal), 0)
        later = self.chosen(narwal, first)
        self.assertEqual([row["id"] for row in later if row["id"] % 2 == 1], [])
        self.assertGreater(len(later), 1000)
        print(f"{len(later)} rows", end=" ... ", flush=True)

    def stopped(self, name, **options):
        chance = random.Random(check.seed())
        narwal = self.signalled(name, **options)
        narwal.config["copy"] = {"rate": "4MiB", "chunk": "1MiB"}
        narwal.start().wait_caught_up()
        first = len(self.chosen(narwal, 0))
        with Writer(self.server, check.seed()):
            for number in range(6):
                self.refresh(narwal)
                time.sleep(chance.uniform(0.2, 1))
                if number % 2 == 0:
                    self.signal(f"s{number}", "stop-snapshot")
                else:
                    narwal.call("copy", "stop", "shop.t")
                time.sleep(chance.uniform(0, 0.3))
                if number < 4:
                    narwal.kill()
                    narwal.start()
        again = self.ends(narwal)
        later = len(self.chosen(narwal, first))
        print(f"{later} rows", end=" ... ", flush=True)
        self.assertIn("the copy of shop.t is stopped", narwal.log(whole=True))
        return again, later

    def test_stopped_half_way_and_killed(self):
        """What was held goes on behind what came of the copy."""
        again, later = self.stopped("half", delivery="transactional")
        self.assertEqual(again, 0)
        self.assertLess(later, 6 * ROWS)

    def test_a_stop_is_refused(self):
        """Where a sink replaces the table, and where sinks lack what its copy brings."""
        narwal = self.signalled("no", files=True)
        narwal.start().wait_caught_up()
        with self.server.connect(autocommit=False) as connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO shop.beside (n) VALUES (1)")  # no consistent point while it is open
            self.assertEqual(narwal.call("table", "refresh", "shop.t")[0], 0)
            code, text = narwal.call("copy", "stop", "shop.t")
            self.assertEqual(code, 1)
            self.assertIn("NW1505 the copy of shop.t cannot be stopped: a sink replaces the table by its copy", text)
            self.signal("some", "execute-snapshot", **{"data-collections": ["shop.t"], "additional-condition": "id = 1"})
            self.signal("stop", "stop-snapshot")
            narwal.wait("its end", lambda: "NW1505 sink kafka asked for an end of copies: the copy of shop.t cannot be stopped" in narwal.log())
        narwal.wait("the other", lambda: "NW1505 sink kafka asked for table refresh \"shop\".\"t\" WHERE id = 1: shop.t: rows of it can be chosen "
                    "only where every sink keeps" in narwal.log())
        self.ends(narwal)

    # ---- tables that stop while what came of them waits ----

    def held(self, name, **options):
        """A table that waits for a snapshot, which an open transaction delays, and lacks deletes from an LSN on."""
        self.tables()
        narwal = self.piped(name, **options)
        narwal.config.setdefault("tables", {})["type_change"] = "stop"
        narwal.start().wait_caught_up()
        other = self.server.connect(autocommit=False)
        other.cursor().execute("INSERT INTO shop.beside (n) VALUES (1)")
        self.refresh(narwal)
        time.sleep(1)  # as long as its mark takes at most
        lsn = self.lsn()
        self.server.sql("DELETE FROM shop.t WHERE id <= 10")
        self.beside(narwal, 77)
        return narwal, other, lsn

    def lsn(self):
        return self.server.sql("SELECT pg_current_wal_insert_lsn() - '0/0'")[0][0]

    def beside(self, narwal, number):
        """What was before it is in the position, as far as it does not wait."""
        self.server.sql("INSERT INTO shop.beside (n) VALUES (%s)", (number,))
        narwal.wait("a row beside", lambda: number in [event["after"]["n"] for _, event in
                                                       self.events(f"{narwal.name}.shop.beside")], 60)

    def listed(self, narwal):
        code, text = narwal.call("table", "list", "--json")
        return {table["table"]: table for table in json.loads(text)["tables"]} if code == 0 else {}

    def assert_lost_from(self, narwal, lsn):
        """It is said that what waited is lost, and from where on: rows may stay."""
        high, low = self.listed(narwal)["shop.t"]["lsn"].split("/")
        self.assertLessEqual(int(high, 16) << 32 | int(low, 16), lsn, narwal.log_tail())

    def assert_is_repaired(self, narwal):
        """But for the rows that were deleted while it was stopped, and what waited was lost."""
        code, text = narwal.call("table", "repair", "shop.t")
        self.assertEqual(code, 0, text)
        time.sleep(1)
        self.wait_whole(narwal)
        narwal.wait_caught_up()
        rows, _ = self.followed(f"{narwal.name}.shop.t")
        have = {row[0]: row[1] for row in self.server.sql("SELECT id, n FROM shop.t")}
        self.assertEqual({key: row["n"] for key, row in rows.items() if key > 10}, have)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_stops_with_its_changes_kept_and_narwal_is_killed(self):
        """What was kept from there on does not make up for what waited."""
        narwal, other, lsn = self.held("kept")
        self.server.sql("ALTER TABLE shop.t ALTER n TYPE bigint; UPDATE shop.t SET n = 1 WHERE id = 20")
        narwal.wait("the stop", lambda: "table shop.t stopped" in narwal.log())
        self.beside(narwal, 78)
        narwal.kill()
        other.close()
        narwal.start()
        narwal.wait("the loss", lambda: "NW2515 table shop.t: what came of it before that waited at sink kafka for a copy" in narwal.log(), 60)
        narwal.wait("the stream", lambda: self.listed(narwal).get("shop.t", {}).get("state") == "stopped", 60)
        self.assert_lost_from(narwal, lsn)
        narwal.wait("a refusal", lambda: "what came of shop.t since it stopped is not kept" in narwal.call("table", "resume", "shop.t")[1], 30)
        self.assert_is_repaired(narwal)

    def test_stops_at_a_row_that_waited(self):
        """It has nothing of what waited, and stopped where it began to."""
        narwal, other, lsn = self.held("refuses")
        self.server.sql("INSERT INTO shop.t VALUES (9999, 0, repeat('x', 2000000))")
        other.close()
        narwal.wait("the stop", lambda: "NW2704 table shop.t stopped" in narwal.log(), 60)
        self.beside(narwal, 78)
        self.assert_lost_from(narwal, lsn)
        self.server.sql("DELETE FROM shop.t WHERE id = 9999")
        self.assert_is_repaired(narwal)

    def test_what_waited_is_gone_from_the_slot(self):
        narwal, other, _ = self.held("moved")
        upto = self.server.sql("SELECT pg_current_wal_insert_lsn()")[0][0]
        self.beside(narwal, 78)
        narwal.kill()
        other.close()
        self.server.sql("SELECT pg_replication_slot_advance(%s, %s)", (narwal.slot, upto))
        narwal.start()
        narwal.wait("the loss", lambda: "NW2515 table shop.t: its changes from" in narwal.log(), 60)
        time.sleep(1)
        self.wait_whole(narwal)
        narwal.wait_caught_up()
        rows, _ = self.followed("moved.shop.t")
        self.assertEqual(sorted(rows), list(range(1, ROWS + 1)))  # of those that were deleted it is not told
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_copy_of_a_paused_table_is_refused(self):
        """What is kept of it would be lost, and with it what was deleted meanwhile."""
        narwal = self.signalled("paused")
        narwal.start().wait_caught_up()
        self.assertEqual(narwal.call("table", "pause", "shop.t")[0], 0)
        narwal.wait("the pause", lambda: "table shop.t is paused from" in narwal.log())
        self.server.sql("DELETE FROM shop.t WHERE id <= 100")
        code, text = narwal.call("table", "refresh", "shop.t")
        self.assertEqual(code, 1)
        self.assertIn("NW1505 shop.t is paused or stopped, and what came of it since is kept: narwal table resume delivers that", text)
        self.signal("some", "execute-snapshot", **{"data-collections": ["shop.t"]})
        narwal.wait("the refusal", lambda: 'NW1505 sink kafka asked for table refresh "shop"."t": shop.t is paused or stopped' in narwal.log())
        self.assertEqual(narwal.call("table", "resume", "shop.t")[0], 0)
        narwal.wait("the table", lambda: '"resuming"' not in narwal.call("table", "list", "--json")[1])
        self.refresh(narwal)
        self.assertEqual(self.ends(narwal), 0)

    def test_a_table_stops_while_it_waits_for_a_copy(self):
        """What is kept of it from there on comes, and the copy is asked for again."""
        self.tables()
        narwal = self.piped("waits")
        narwal.config.setdefault("tables", {})["truncate"] = "stop"
        narwal.start().wait_caught_up()
        with self.server.connect(autocommit=False) as other, other.cursor() as cursor:
            cursor.execute("INSERT INTO shop.beside (n) VALUES (1)")  # the copy of the one holds up that of the other
            self.assertEqual(narwal.call("table", "refresh", "shop.beside")[0], 0)
            time.sleep(1)
            self.assertEqual(narwal.call("table", "refresh", "shop.t")[0], 0)
            self.server.sql("TRUNCATE shop.t")
            self.server.sql("INSERT INTO shop.t VALUES (900001, 0, 'x'), (900002, 0, 'y')")
            narwal.wait("the stop", lambda: "table shop.t stopped" in narwal.log())
        narwal.wait("the end of the wish", lambda: "NW1505 shop.t is not copied: it stopped before its copy began" in narwal.log())
        narwal.kill()
        narwal.config["tables"]["truncate"] = "apply"
        narwal.start().wait_caught_up()
        self.assertEqual(narwal.call("table", "resume", "shop.t")[0], 0)
        narwal.wait("the table", lambda: '"resuming"' not in narwal.call("table", "list", "--json")[1])
        self.refresh(narwal)
        self.assertEqual(self.ends(narwal), 0)

    def test_a_copy_of_a_table_that_the_sink_refused_is_refused(self):
        self.tables()
        narwal = self.piped("refused")
        narwal.start().wait_caught_up()
        self.server.sql("INSERT INTO shop.t VALUES (9999, 0, repeat('x', 2000000))")
        narwal.wait("the stop", lambda: "NW2704 table shop.t stopped" in narwal.log(), 60)
        self.server.sql("DELETE FROM shop.t WHERE id <= 100 OR id = 9999")
        narwal.wait("the refusal", lambda: "NW1505 shop.t is paused or stopped, and what came of it since is kept" in
                    narwal.call("table", "refresh", "shop.t")[1], 30)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_killed(self):
        self.killed("killed")

    def test_killed_transactional(self):
        self.assertEqual(self.killed("exact", delivery="transactional"), 0)

    def test_killed_beside_files(self):
        self.killed("both", files=True)

    def test_killed_with_workers_and_truncates(self):
        self.killed("many", truncates=True, delivery="transactional", workers=3)


if __name__ == "__main__":
    check.main()
