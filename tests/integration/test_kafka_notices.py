#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the Kafka sink sends beside rows, the keys that are configured, and headers."""
import json
import time

from lab import check
from test_kafka import Case


# Tables for two topics.
SHARING = "".join(f"CREATE TABLE shop.{table} (id integer PRIMARY KEY, v text);"
                  f"INSERT INTO shop.{table} SELECT g, repeat('x', 100) FROM generate_series(1, 1000) g;"
                  for table in ("items_1", "items_2", "items_3", "lines_1", "lines_2"))


class NoticesTest(Case):
    def test_transactions_messages_schemas_heartbeats(self):
        self.make("CREATE TABLE shop.a (id integer PRIMARY KEY, v text); CREATE TABLE shop.b (id integer PRIMARY KEY)")
        narwal = self.narwal("beside", include=("shop.*",), transactions_topic="{prefix}.transaction",
                             schemas_topic="{prefix}.schema", heartbeat="1s", headers=["from=eu west", "empty="])
        narwal.start().wait_caught_up()
        began = time.time()
        with self.server.connect() as connection:
            connection.autocommit = False
            cursor = connection.cursor()
            cursor.execute("INSERT INTO shop.a VALUES (1, 'x'), (2, 'y'); INSERT INTO shop.b VALUES (1)")
            cursor.execute("SELECT pg_logical_emit_message(true, 'app', 'with \"quotes\"'), txid_current()")
            xid = cursor.fetchone()[1]
            connection.commit()
        self.server.sql("SELECT pg_logical_emit_message(false, 'later', 'b')")
        self.server.sql("ALTER TABLE shop.a ADD COLUMN more numeric(7,2)")
        self.server.sql("INSERT INTO shop.a VALUES (3, 'z', 1.5)")
        narwal.wait_caught_up()
        self.transactions_check(xid, began)
        self.messages_check()
        self.schemas_check()
        self.heartbeats_check(narwal)
        for message in self.broker.read("beside.shop.a") + self.broker.read("beside.transaction"):
            self.assertEqual(message["headers"], ["from", "eu west", "empty", ""])

    def transactions_check(self, xid, began):
        found = self.messages("beside.transaction")
        begin, end = [value for _, value in found if value["id"].startswith(f"{xid}:")]
        self.assertEqual([key["id"] for key, _ in found], [value["id"] for _, value in found])
        self.assertEqual((begin["status"], begin["event_count"], begin["data_collections"]), ("BEGIN", None, None))
        self.assertEqual((end["status"], end["event_count"]), ("END", 3))
        self.assertEqual(sorted((one["data_collection"], one["event_count"]) for one in end["data_collections"]),
                         [("shop.a", 2), ("shop.b", 1)])
        self.assertLess(abs(end["ts_ms"] / 1000 - began), 60)
        self.assertEqual(list(begin), ["status", "id", "event_count", "data_collections", "ts_ms"])
        self.assertEqual([value["status"] for _, value in found], ["BEGIN", "END"] * (len(found) // 2))

    def messages_check(self):
        found = self.messages("beside.message")
        self.assertEqual([key for key, _ in found], [{"prefix": "app"}, {"prefix": "later"}])
        self.assertEqual(found[0][1]["op"], "M")
        self.assertIn('with "quotes"', json.dumps(found[0][1]).replace('\\"', '"'))

    def schemas_check(self):
        [(key, value)] = self.messages("beside.schema")
        self.assertEqual(key, {"schema": "shop", "table": "a"})
        self.assertEqual(value["op"], "S")
        self.assertEqual([column["type"] for column in value["columns"]["columns"]],
                         ["integer", "text", "numeric(7,2)"])

    def heartbeats_check(self, narwal):
        """They come while nothing changes."""
        count = len(self.messages("__debezium-heartbeat.beside"))
        narwal.wait("heartbeats", lambda: len(self.messages("__debezium-heartbeat.beside")) >= count + 2)
        for key, value in self.messages("__debezium-heartbeat.beside"):
            self.assertEqual(key, {"serverName": "beside"})
            self.assertLess(abs(value["ts_ms"] / 1000 - time.time()), 120)

    def test_a_message_that_is_too_large(self):
        """Of many that only their batch makes too large each is sent; one that is it by itself is never left out."""
        noise = "(SELECT string_agg(md5(random()::text || n || repeat('', g)), '') FROM generate_series(1, {}) n)"
        self.make("CREATE TABLE shop.a (id integer PRIMARY KEY)")
        self.broker.create("large.message", 1, max_message_bytes="20000")
        narwal = self.narwal("large", include=("shop.*",), properties=["message.max.bytes=200000"])
        narwal.start().wait_caught_up()
        self.server.sql(f"SELECT pg_logical_emit_message(true, 'app', {noise.format(60)}) FROM generate_series(1, 50) g")
        narwal.wait_caught_up()
        self.assertEqual(len(self.messages("large.message")), 50)
        self.server.sql(f"SELECT pg_logical_emit_message(true, 'app', {noise.format(1500)}) FROM generate_series(1, 1) g")
        self.assertEqual(narwal.wait_exit(60), 1)
        self.assertRegex(narwal.log(), r"NW2704 .* bytes for topic large.message is larger than its max.message.bytes")
        self.broker.alter("large.message", max_message_bytes="100000")
        narwal.start().wait_caught_up()
        self.assertEqual(len(self.messages("large.message")), 51)
        self.server.sql(f"SELECT pg_logical_emit_message(true, 'app', {noise.format(9000)}) FROM generate_series(1, 1) g")
        self.assertEqual(narwal.wait_exit(60), 1)
        self.assertRegex(narwal.log(), r"NW2704 .* bytes for topic large.message is larger than message.max.bytes")

    def test_what_debezium_says_beside_the_row(self):
        """Marks of the snapshot, a row's place in its transaction, headers, and schemas of what is beside rows."""
        self.make("CREATE TABLE shop.a (id integer PRIMARY KEY); CREATE TABLE shop.b (id integer PRIMARY KEY);"
                  "CREATE TABLE shop.c (id integer PRIMARY KEY); INSERT INTO shop.a SELECT generate_series(1, 5000);"
                  "INSERT INTO shop.b VALUES (1); INSERT INTO shop.c VALUES (1), (2)")
        narwal = self.narwal("marks", include=("shop.*",), format="debezium_json", heartbeat="1s", schemas=True,
                             transactions_topic="{prefix}.transaction", notifications_topic="{prefix}.notification")
        narwal.start().wait_caught_up()
        self.marks_check("marks", lambda message: json.loads(message["payload"])["payload"]["source"]["snapshot"])
        self.server.sql("INSERT INTO shop.a VALUES (0); INSERT INTO shop.b VALUES (0); UPDATE shop.a SET id = -1 WHERE id = 0")
        narwal.wait_caught_up()
        self.places_check()
        for topic in ("transaction", "notification"):
            for key, value in self.messages(f"marks.{topic}"):
                self.assertEqual(list(key), ["schema", "payload"])
                self.assertEqual([field["field"] for field in value["schema"]["fields"]], list(value["payload"]))
        key, value = self.messages("__debezium-heartbeat.marks")[0]
        self.assertEqual((key["schema"]["name"], value["schema"]["name"]), (
            "io.debezium.connector.common.ServerNameKey", "io.debezium.connector.common.Heartbeat"))
        self.assertEqual(narwal.call("table", "refresh", "shop.b")[0], 0)
        narwal.wait("the copy", lambda: [value["payload"]["source"]["snapshot"] for _, value in self.messages(
            "marks.shop.b")][1:] == ["false", "incremental", "incremental"])

    def marks_check(self, prefix, mark):
        """As Debezium's: one row is the first of all, one the last, and each table has a first and a last, but where a commit came
        between a last one and what ends there: a machine that is busy elsewhere gives it time to."""
        marks = {table: [mark(message) for message in self.broker.read(f"{prefix}.shop.{table}")] for table in "abc"}
        self.assertEqual([len(marks[table]) for table in "abc"], [5000, 1, 2])
        every = sum(marks.values(), [])
        self.assertEqual(every.count("first"), 1, marks)
        self.assertLessEqual(every.count("last"), 1, marks)
        self.assertTrue({"last", "last_in_data_collection"} & set(every), marks)
        for table in "ac":
            self.assertIn(marks[table][0], ("first", "first_in_data_collection"))
            self.assertIn(marks[table][-1], ("last", "last_in_data_collection", "true"))
            self.assertEqual(set(marks[table][1:-1]), {"true"} if table == "a" else set())
        self.assertIn(marks["b"][0], ("last_in_data_collection", "first", "first_in_data_collection", "last"))

    def test_marks_of_a_copy_of_some_rows(self):
        self.make("CREATE TABLE shop.a (id integer PRIMARY KEY, v text); CREATE TABLE shop.b (id integer PRIMARY KEY);"
                  "CREATE TABLE shop.c (id integer PRIMARY KEY); CREATE TABLE shop.d (id integer PRIMARY KEY);"
                  "INSERT INTO shop.a SELECT g, repeat('x', 300) FROM generate_series(1, 5000) g;"
                  "INSERT INTO shop.b VALUES (1); INSERT INTO shop.c VALUES (1), (2); INSERT INTO shop.d VALUES (1)")
        narwal = self.narwal("chosen", include=("shop.*",), format="debezium_json")
        narwal.config["copy"] = {"where": ["shop.a: id <= 10", "shop.b: false", "shop.d: id > 1"], "chunk": "64KiB"}
        narwal.start().wait_caught_up()
        marks = {table: [json.loads(message["payload"])["source"]["snapshot"] for message in
                         self.broker.read(f"chosen.shop.{table}")] for table in "ac"}
        self.assertEqual([len(marks[table]) for table in "ac"], [10, 2])
        every = sum(marks.values(), [])
        self.assertEqual((every.count("first"), every.count("last")), (1, 1), marks)
        for table in "ac":
            self.assertIn(marks[table][0], ("first", "first_in_data_collection"))
            self.assertIn(marks[table][-1], ("last", "last_in_data_collection"))
        self.server.sql("INSERT INTO shop.b VALUES (2); UPDATE shop.d SET id = 3")
        narwal.wait_caught_up()
        self.assertEqual([json.loads(message["payload"])["op"] for message in self.broker.read("chosen.shop.b")], ["c"])

    def test_many_tables_end_while_the_queue_is_small(self):
        """What is held of them waits for room at the commit, and none of it comes twice."""
        count = 40
        self.make(";".join(f"CREATE TABLE shop.t{i} (id integer PRIMARY KEY); INSERT INTO shop.t{i} VALUES (1), (2)"
                           for i in range(count)))
        narwal = self.narwal("room", include=("shop.t*",), format="debezium_json", delivery="idempotent",
                             properties=["queue.buffering.max.messages=1"])
        narwal.start().wait_caught_up()
        marks = [[json.loads(message["payload"])["source"]["snapshot"] for message in self.broker.read(f"room.shop.t{i}")]
                 for i in range(count)]
        self.assertEqual([len(mark) for mark in marks], [2] * count)
        every = sum(marks, [])
        self.assertEqual(every.count("first"), 1)
        self.assertLessEqual(every.count("last"), 1)
        ends = [mark[-1] for mark in marks]  # "true": a commit came between the row and its table's end
        self.assertLessEqual(set(ends), {"last", "last_in_data_collection", "true"})
        self.assertLess(ends.count("true"), count // 2)

    def test_a_copied_row_larger_than_messages_may_be(self):
        """It is refused itself, as the last of its batch too, and no other row is."""
        noise = "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, {}) n)"
        self.make("CREATE TABLE shop.a (id integer PRIMARY KEY, v text); CREATE TABLE shop.b (id integer PRIMARY KEY);"
                  f"INSERT INTO shop.a SELECT 1, {noise.format(1530)}; INSERT INTO shop.b VALUES (1)")
        narwal = self.narwal("bounds", include=("shop.*",), format="debezium_json", delivery="idempotent",
                             headers=["from=" + "x" * 900], properties=["message.max.bytes=50000"])
        narwal.start()
        narwal.wait("the refusal", lambda: "NW2704 table shop.a stopped" in narwal.log())
        narwal.wait("its topic", lambda: "topic bounds.shop.b made" in narwal.log())
        narwal.wait("the other table", lambda: len(self.broker.read("bounds.shop.b")) == 1)

    def test_marks_in_every_form(self):
        self.make("CREATE TABLE shop.a (id integer PRIMARY KEY); CREATE TABLE shop.b (id integer PRIMARY KEY);"
                  "CREATE TABLE shop.c (id integer PRIMARY KEY); CREATE TABLE shop.none (id integer PRIMARY KEY);"
                  "INSERT INTO shop.a SELECT generate_series(1, 5000);"
                  "INSERT INTO shop.b VALUES (1); INSERT INTO shop.c VALUES (1), (2)")
        for name, options in (("flatmarks", {"format": "debezium_json", "flatten": "drop", "workers": 3,
                                             "add_headers": ["source.snapshot"], "delivery": "transactional"}),
                              ("cloudmarks", {"format": "cloudevents"})):
            narwal = self.narwal(name, include=("shop.*",), context_headers=False, **options)
            narwal.start().wait_caught_up()
            self.assertEqual(narwal.terminate(), 0)
        self.marks_check("flatmarks", lambda message: message["headers"][1])
        self.marks_check("cloudmarks", lambda message: json.loads(message["payload"])["iodebeziumsnapshot"])

    def test_marks_of_a_copy_that_is_killed(self):
        """What says the first and the last of all comes once."""
        self.make("CREATE TABLE shop.a (id integer PRIMARY KEY, v text); CREATE TABLE shop.b (id integer PRIMARY KEY);"
                  "INSERT INTO shop.a SELECT g, repeat('x', 200) FROM generate_series(1, 20000) g; INSERT INTO shop.b VALUES (1)")
        narwal = self.narwal("killed", include=("shop.*",), format="debezium_json", delivery="transactional")
        narwal.config["copy"] = {"workers": 1, "chunk": "256KiB", "rate": "512KiB"}
        narwal.run_to_end(NARWAL_CRASH_AT="commit:5")
        del narwal.config["copy"]["rate"]
        self.assertGreater(len(self.broker.read("killed.shop.a")), 0)
        self.assertLess(len(self.broker.read("killed.shop.a")), 20000)
        narwal.start().wait_caught_up()
        values = [value for table in "ab" for _, value in self.messages(f"killed.shop.{table}")]
        marks = [value["source"]["snapshot"] for value in values]
        self.assertEqual(len({(value["source"]["table"], value["after"]["id"]) for value in values}), 20001)
        self.assertEqual(marks.count("first"), 1)
        self.assertLessEqual(marks.count("last"), 1)

    def test_routes(self):
        """Names as RegexRouter makes them, one after the other: several tables in a topic, and an outbox's topics too."""
        self.make("CREATE TABLE shop.items_1 (id integer PRIMARY KEY); CREATE TABLE shop.items_2 (id integer PRIMARY KEY);"
                  "CREATE TABLE shop.outbox (id uuid PRIMARY KEY, aggregatetype text, aggregateid text, payload text);"
                  "INSERT INTO shop.items_1 VALUES (1); INSERT INTO shop.items_2 VALUES (2);"
                  "INSERT INTO shop.outbox SELECT gen_random_uuid(), t, 'k', t FROM unnest(ARRAY['order-v2', 'other']) t")
        narwal = self.narwal("routed", include=("shop.*",), format="debezium_json", outbox=["shop.outbox"],
                             outbox_regex="(?<routedByValue>.*)-(v\\d+)", outbox_topic="routed.$1.$2",
                             heartbeat="1s",
                             routes=["routed\\.([^.]+)\\.(\\w+)_\\d => routed.$2.$1", "routed(.*) => moved$1"])
        narwal.start().wait_caught_up()
        self.server.sql("INSERT INTO shop.items_1 VALUES (3)")
        narwal.wait_caught_up()
        self.assertEqual(sorted(value["after"]["id"] for _, value in self.messages("moved.items.shop")), [1, 2, 3])
        self.assertEqual([message["payload"] for message in self.broker.read("moved.order.v2")], ["order-v2"])
        self.assertEqual([message["payload"] for message in self.broker.read("other")], ["other"])
        self.assertEqual([topic for topic in self.broker.topics() if topic.startswith("routed")], [])
        self.assertEqual(narwal.terminate(), 0)
        for options, why in (({"routes": ["a"]}, "REGEX => REPLACEMENT"), ({"routes": ["(a => b"]}, "NW1003"),
                             ({"routes": ["(a{9}){9} => b"]}, "repeats too much"),
                             ({"outbox_regex": "a.*?"}, "lazy")):
            narwal.config["sinks"][0].update({"routes": [], **options})
            self.assertEqual(narwal.run_to_end(), 1)
            self.assertIn(why, narwal.log())

    def test_routes_into_topics_of_others(self):
        """Without a ledger no copy begins in them, at no start; schemas keep their names."""
        self.make("CREATE TABLE shop.none (id integer PRIMARY KEY); CREATE TABLE shop.live (id integer PRIMARY KEY);"
                  "INSERT INTO shop.live VALUES (1)")
        narwal = self.narwal("into", include=("shop.*",), format="debezium_json", schemas=True, delivery="transactional",
                             routes=["into\\.shop\\.(.*) => $1"])
        self.broker.create("live", 1)
        self.broker.produce("live", 0, ["{}"])
        for _ in range(2):
            self.assertEqual(narwal.run_to_end(), 1)
            self.assertIn("NW2731", narwal.log())
            self.assertIn("but topic live has messages", narwal.log())
            self.assertEqual(len(self.broker.read("live")), 1)
        narwal.config["sinks"][0]["existing_topics"] = "use"
        narwal.start().wait_caught_up()
        self.assertEqual(narwal.terminate(), 0)
        del narwal.config["sinks"][0]["existing_topics"]
        narwal.start().wait_caught_up()
        self.server.sql("INSERT INTO shop.live VALUES (2)")
        narwal.wait_caught_up()
        self.assertEqual(narwal.terminate(), 0)
        rows = [json.loads(message["payload"]) for message in self.broker.read("live")[1:]]
        self.assertEqual([row["payload"]["after"]["id"] for row in rows], [1, 2])
        self.assertEqual({row["schema"]["name"] for row in rows}, {"into.shop.live.Envelope"})

    def begun(self, name, delivery, **environment):
        """In the first copy of tables that share topics, by several workers."""
        narwal = self.narwal(name, include=("shop.*",), format="debezium_json", delivery=delivery, workers=3,
                             routes=["[^.]+\\.shop\\.(\\w+)_\\d => " + name + "$1"])
        narwal.config["copy"] = {"workers": 2, "chunk": "64KiB", "rate": "128KiB"}
        narwal.run_to_end(**environment)
        self.assertNotIn("NW2731", narwal.log())
        del narwal.config["copy"]["rate"]
        return narwal

    def begun_check(self, narwal):
        narwal.wait_caught_up()
        self.assertEqual(narwal.terminate(), 0)
        for topic, tables in (("items", (1, 2, 3)), ("lines", (1, 2))):
            rows = [json.loads(message["payload"]) for message in self.broker.read(narwal.name + topic)]
            found = [(row["source"]["table"], row["after"]["id"]) for row in rows]
            self.assertEqual(set(found), {(f"{topic}_{n}", i) for n in tables for i in range(1, 1001)})
        keys = [message["key"] for message in self.broker.read(f"_narwal.{narwal.name}.kafka")]
        self.assertEqual({key for key in keys if key.startswith("topic/")},
                         {f"topic/{narwal.name}{topic}" for topic in ("items", "lines")})

    def test_routes_of_a_copy_that_is_killed(self):
        """What it has begun itself is not taken for another's messages, however early it was killed."""
        self.make(SHARING)
        for delivery in ("idempotent", "transactional"):
            for point in ("write:3", "commit:3", "commit:8"):
                with self.subTest(delivery, point=point):
                    narwal = self.begun(f"begun{delivery[0]}{point.replace(':', '')}", delivery, NARWAL_CRASH_AT=point)
                    self.begun_check(narwal.start())

    def test_routes_of_a_copy_that_begins_again(self):
        """The same, in one process: its sink is made anew."""
        self.make(SHARING)
        narwal = self.narwal("again", include=("shop.*",), format="debezium_json", workers=3, routes=["again\\.shop\\.(\\w+)_\\d => again$1"])
        narwal.config["copy"] = {"workers": 1, "chunk": "64KiB", "rate": "128KiB"}
        narwal.start()
        narwal.wait("rows in a topic", lambda: "againitems" in self.broker.topics() and self.broker.read("againitems"))
        self.server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'narwal%'")
        narwal.wait("another attempt", lambda: "trying again" in narwal.log())
        self.begun_check(narwal)

    def test_tables_that_differ_in_signs(self):
        """They collide, whatever a route does to another table."""
        self.make("CREATE TABLE shop.\"a-b\" (id integer PRIMARY KEY); CREATE TABLE shop.\"a+b\" (id integer PRIMARY KEY);"
                  "CREATE TABLE shop.\"a b\" (id integer PRIMARY KEY); INSERT INTO shop.\"a b\" VALUES (1);"
                  "INSERT INTO shop.\"a+b\" VALUES (1)")
        narwal = self.narwal("signs", include=("shop.*",), routes=["other => one"])
        narwal.start()
        narwal.wait("the refusal", lambda: "which another table has" in narwal.log(), 30)
        narwal.terminate()

    def places_check(self):
        begin, end = [value["payload"] for _, value in self.messages("marks.transaction")]
        places = []
        for table in "ab":
            for _, value in self.messages(f"marks.shop.{table}"):
                if value is not None and value["payload"]["op"] != "r":
                    block = value["payload"]["transaction"]
                    self.assertEqual(block["id"], f"{value['payload']['source']['txId']}:{value['payload']['source']['lsn']}")
                    places.append((value["payload"]["op"], table, block["total_order"], block["data_collection_order"]))
        self.assertEqual(places, [("c", "a", 1, 1), ("d", "a", 3, 2), ("c", "a", 3, 2), ("c", "b", 2, 1)])
        self.assertEqual(end["event_count"], 3)
        self.assertEqual(begin["id"].split(":")[0], end["id"].split(":")[0])
        for message in self.broker.read("marks.shop.b"):
            headers = dict(zip(message["headers"][::2], message["headers"][1::2]))
            self.assertEqual(len(headers.pop("__debezium.context.runId")), 36)
            self.assertEqual(headers, {"__debezium.context.connectorLogicalName": "marks",
                                       "__debezium.context.taskId": "0",
                                       "__debezium.context.connectorName": "postgresql"})

    def test_keys_of_ones_own(self):
        self.make("CREATE TABLE shop.lines (id integer PRIMARY KEY, order_id integer, part integer, v text);"
                  "CREATE TABLE shop.keyless (a integer, b integer);"
                  "INSERT INTO shop.lines VALUES (1, 7, 70, 'copied')")
        self.server.sql("ALTER TABLE shop.lines REPLICA IDENTITY FULL")
        narwal = self.narwal("keys", include=("shop.*",),
                             keys=["shop.lines:order_id,part", "shop.keyless:b"])
        narwal.start().wait_caught_up()
        self.server.sql("INSERT INTO shop.lines VALUES (2, 8, 80, 'x')")
        self.server.sql("UPDATE shop.lines SET part = 81 WHERE id = 2")
        self.server.sql("DELETE FROM shop.lines WHERE id = 2; INSERT INTO shop.keyless VALUES (1, 2)")
        narwal.wait_caught_up()
        self.assertEqual([(json.dumps(key), value and value["op"]) for key, value in self.messages("keys.shop.lines")],
                         [('{"order_id": 7, "part": 70}', "I"), ('{"order_id": 8, "part": 80}', "I"),
                          ('{"order_id": 8, "part": 81}', "U"), ('{"order_id": 8, "part": 80}', None),
                          ('{"order_id": 8, "part": 81}', "D"), ('{"order_id": 8, "part": 81}', None)])
        self.assertEqual([key for key, _ in self.messages("keys.shop.keyless")], [{"b": 2}])

    def test_a_key_that_the_table_has_not(self):
        self.make("CREATE TABLE shop.lines (id integer PRIMARY KEY)")
        narwal = self.narwal("nokey", include=("shop.*",), keys=["shop.lines:id,gone"])
        narwal.start().wait_caught_up()
        self.server.sql("INSERT INTO shop.lines VALUES (1)")
        narwal.wait("the refusal", lambda: "NW2708 " in narwal.log())
        self.assertIn("shop.lines has no column gone", narwal.log())
        self.assertEqual(narwal.terminate(), 0)
        for item in ("lines:id", "shop.lines", "shop.lines:"):
            narwal.config["sinks"][0]["keys"] = [item]
            self.assertEqual(narwal.start().wait_exit(30), 1, narwal.log_tail())
            self.assertIn(f'NW1003 kafka: keys: "{item}" is not SCHEMA.TABLE:COLUMN,COLUMN', narwal.log_tail())

    def test_names_of_nothing(self):
        """Tables, columns and topics that options name and that are not there: check says so, and a run. As sinks see them."""
        self.make("CREATE TABLE shop.lines (id integer PRIMARY KEY, part integer)")
        narwal = self.narwal("unmet", include=("shop.*",), heartbeat="10s", outbox=["shop.outbx"], signals_table="shop.signal",
                             keys=["shop.lines:id", "shop.items:id", "shop.items:part,prt"])
        narwal.config["transforms"] = [{"tables": "shop.lines", "to_table": "items"}]
        said = ['keys: "shop.lines:id" names no table', "keys: shop.items has no column prt: name the columns",
                "outbox: no table is shop.outbx", "signals_table: no table is shop.signal"]
        routes = ["unmet\\.shop\\.lines => a", "unmet\\.(shop\\.items) => b.$1", "b\\.(.*) => c.$1", "__debezium-heartbeat.* => beat"]
        narwal.write()
        code, text = narwal.call("check")
        narwal.start().wait_caught_up()
        for words in said:
            self.assertIn(f"sink kafka: {words}", text)
            self.assertIn(f"NW1318 sink kafka: {words}", narwal.log())
        self.assertEqual((text.count("sink kafka: keys"), narwal.log().count("NW1318")), (2, 4))
        self.assertEqual(narwal.terminate(), 0)
        del narwal.config["sinks"][0]["outbox"], narwal.config["sinks"][0]["keys"], narwal.config["sinks"][0]["signals_table"]
        narwal.config["sinks"][0]["routes"] = routes
        narwal.write()
        code, text = narwal.call("check")
        self.assertIn("sink kafka: routes: number 1 matches no topic", text)
        self.assertEqual(text.count("NW1318"), 1, text)

    def test_keys_that_tables_cannot_have(self):
        """Check names each table once, and no outbox: its keys are its own."""
        self.make("CREATE TABLE shop.users (email text NOT NULL UNIQUE, tenant integer); CREATE TABLE shop.lines (id integer PRIMARY KEY, tenant integer);"
                  "CREATE TABLE shop.outbox (id uuid PRIMARY KEY, aggregatetype text, aggregateid text, payload text)")
        narwal = self.narwal("cannot", include=("shop.*",), format="debezium_json", outbox=["shop.outbox"], unique_keys=True)
        narwal.config["transforms"] = [{"tables": "shop.users", "mask_columns": "email", "mask": "fixed"}]
        sink = narwal.config["sinks"][0]
        blurred = "unique_keys: column email of shop.users is masked"
        for options, said in (({}, [blurred]), ({"keys": ["shop.users:tenant"]}, []), ({"unique_keys": False}, []),
                              ({"key_columns": ["tenat"]}, [blurred, "key_columns: shop.lines has no column tenat"]),
                              ({"unique_keys": False, "key_columns": ["email"]},
                               ["key_columns: column email of shop.users is masked", "key_columns: shop.lines has no column email"]),
                              ({"unique_keys": False, "key_field": "tenant"}, ["key_field: the key of shop.lines has no field tenant"]),
                              ({"unique_keys": False, "key_field": "id", "key_form": "long"}, ["key_form: a key of shop.lines cannot be written as long"])):
            narwal.config["sinks"] = [{**sink, **options}]
            narwal.write()
            text = narwal.call("check")[1]
            self.assertEqual(text.count("NW1318"), len(said), text)
            for words in said:
                self.assertIn(f"sink kafka: {words}", text)
        narwal.config["sinks"] = [sink]
        narwal.start().wait_caught_up()
        self.server.sql("INSERT INTO shop.users VALUES ('a@b', 1); INSERT INTO shop.lines VALUES (1)")
        narwal.wait("the refusal", lambda: "NW2708 table shop.users stopped" in narwal.log())
        narwal.wait("the others", lambda: len(self.broker.read("cannot.shop.lines")) == 1)
        self.assertNotIn("cannot.shop.users", self.broker.topics())

    def test_keys_beside_an_outbox_and_of_tables_without_one(self):
        """The outbox has no such column; each message has a key, so the topic may be compacted."""
        self.make("CREATE TABLE shop.loose (tenant integer NOT NULL, n integer); INSERT INTO shop.loose VALUES (7, 1);"
                  "CREATE TABLE shop.outbox (id uuid PRIMARY KEY, aggregatetype text, aggregateid text, payload text);"
                  "INSERT INTO shop.outbox SELECT gen_random_uuid(), 'shaped', 'k', 'p'")
        narwal = self.narwal("shaped", include=("shop.*",), format="debezium_json", outbox=["shop.outbox"], key_columns=["tenant"], key_field="tenant",
                             key_form="integer", topic_settings=["cleanup.policy=compact"])
        narwal.start().wait_caught_up()
        self.assertEqual(len(self.broker.read("shaped.shop.loose")), 1)
        self.assertEqual([message["payload"] for message in self.broker.read("outbox.event.shaped")], ["p"])
        self.assertNotIn("NW2708", narwal.log())
        self.server.sql("ALTER TABLE shop.loose ALTER tenant DROP NOT NULL; INSERT INTO shop.loose VALUES (NULL, 2)")
        narwal.wait("the reason", lambda: "Nor are those of rows whose key_field is NULL" in narwal.log())

    def test_a_key_whose_type_has_no_schema(self):
        self.make("CREATE TABLE shop.places (at pg_lsn, tenant integer, PRIMARY KEY (tenant, at))")
        narwal = self.narwal("placekey", include=("shop.*",), format="debezium_json")
        narwal.start().wait_caught_up()
        self.server.sql("INSERT INTO shop.places VALUES ('0/1', 1)")
        narwal.wait("the refusal", lambda: "NW2719 table shop.places stopped" in narwal.log())
        self.assertIn("column at is part of the key", narwal.log())


if __name__ == "__main__":
    check.main()
