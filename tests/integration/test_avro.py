#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Debezium's envelope in Avro with a real registry, flattened rows, CloudEvents and an outbox, in a real broker."""
import json
import os
import re
import time
import subprocess
import tempfile
import unittest

from lab import avro, check, cluster, kafka, registry
from lab.narwal import build
from test_kafka import Piped

OK, RETRY, REJECT = 0, 2, 3


def record(**fields):
    """The schema of a record with these fields."""
    return json.dumps({"type": "record", "name": "Row", "namespace": "lab",
                       "fields": [{"name": name, "type": kind} for name, kind in fields.items()]})


servers = {}


def setUpModule():
    """All of them once: they take longer to start than the tests to run."""
    try:
        for name, manager in (("registry", registry.Registry()), ("broker", kafka.Broker()),
                              ("server", cluster.Cluster(check.version(), {"max_replication_slots": "100"}))):
            servers[name] = unittest.enterModuleContext(manager)
        servers["reader"] = avro.Reader(servers["registry"])
    except cluster.servers.Unavailable as error:
        raise unittest.SkipTest(str(error))


class Case(check.Case):
    @property
    def registry(self):
        return servers["registry"]


class RegistryTest(Case):
    """The client alone."""

    def ask(self, subject, schema, *more, url=None, ca="-"):
        """Exit status and words of the client."""
        result = subprocess.run([str(build() / "tests" / "integration" / "registry_client"),
                                 url or self.registry.url, ca, subject, schema, *more], text=True,
                                stdout=subprocess.PIPE, timeout=60, check=False)
        return result.returncode, result.stdout.strip()

    def test_a_schema_keeps_its_id(self):
        first = self.ask("keeps-value", record(a="int"))
        self.assertEqual(first[0], OK)
        self.assertEqual(json.loads(record(a="int")), self.registry.schema(int(first[1])))
        self.assertEqual(self.ask("keeps-value", record(a="int")), first)
        self.assertEqual(self.registry.versions("keeps-value"), [1])
        second = self.ask("keeps-value", record(a="long"))
        self.assertNotEqual(second, first)
        self.assertEqual(self.ask("keeps-value", record(a="int")), first)
        self.assertEqual(self.registry.versions("keeps-value"), [1, 2])

    def test_what_it_does_not_take(self):
        self.assertEqual(self.ask("strict-value", record(a="int"))[0], OK)
        self.registry.level("strict-value", "BACKWARD")
        status, said = self.ask("strict-value", record(a="string"))
        self.assertEqual(status, REJECT)
        self.assertRegex(said, "^NW2722 .*strict-value.*STRING not compatible with writer type: INT")
        self.assertEqual(self.registry.versions("strict-value"), [1])
        self.assertEqual(self.ask("strict-value", record(a="long"))[0], OK)
        status, said = self.ask("broken-value", '{"type":"recor"}')
        self.assertEqual((status, said[:6]), (REJECT, "NW2722"))

    def test_what_may_not_be_registered(self):
        status, said = self.ask("others-value", record(a="int"), "no")
        self.assertEqual((status, said[:6]), (REJECT, "NW2723"))
        number = self.registry.register("others-value", json.loads(record(a="int")))
        self.assertEqual(self.ask("others-value", record(a="int"), "no"), (OK, str(number)))

    def test_several_urls_and_none(self):
        nobody = "http://127.0.0.1:1"
        self.assertEqual(self.ask("several-value", record(a="int"), url=f"{nobody},{self.registry.url}")[0], OK)
        status, said = self.ask("several-value", record(a="int"), url=nobody)
        self.assertEqual((status, said[:6]), (RETRY, "NW2721"))

    def test_tls_with_an_authority_of_its_own(self):
        status, said = self.ask("tls-value", record(a="int"), url=self.registry.tls_url)
        self.assertEqual((status, said[:6]), (RETRY, "NW2721"))
        self.assertIn("certificate", said)
        self.assertEqual(self.ask("tls-value", record(a="int"), url=self.registry.tls_url,
                                  ca=str(self.registry.certificate))[0], OK)


class TopicsTest(Case):
    @property
    def broker(self):
        return servers["broker"]

    def make(self, sql):
        servers["server"].sql("DROP SCHEMA IF EXISTS shop CASCADE; CREATE SCHEMA shop;" + sql)

    def sql(self, sql):
        servers["server"].sql(sql)

    def narwal(self, name, **options):
        return self.enter(Piped(servers["server"], self.broker, name, include=("shop.*",), context_headers=False,
                                **options)).start()

    def avro(self, name, **options):
        return self.narwal(name, **{"format": "debezium_avro", "registry": [self.registry.url], **options})

    def topic(self, topic):
        return servers["reader"].topic(self.broker, topic)

    def test_items_of_an_enum(self):
        """They have no null in Avro: it stands for the whole array."""
        self.make("CREATE TYPE shop.mood AS ENUM ('sad', 'ok'); CREATE TABLE shop.felt (id integer PRIMARY KEY, m shop.mood[]);"
                  "INSERT INTO shop.felt VALUES (1, '{sad,ok}')")
        narwal = self.avro("felt", unfit="as_null").wait_caught_up()
        self.sql("INSERT INTO shop.felt VALUES (2, '{}'), (3, '{ok,NULL}'), (4, NULL)")
        narwal.wait_caught_up()
        self.assertEqual([value["after"]["m"] for _, value in self.topic("felt.shop.felt")], [["sad", "ok"], [], None, None])

    def test_the_envelope(self):
        self.make("CREATE TABLE shop.items (id integer PRIMARY KEY, v text, n numeric(10,2) NOT NULL DEFAULT 1.5,"
                  "  a integer[], d date); INSERT INTO shop.items VALUES (1, 'a', 12.34, '{1,NULL,3}', '2024-02-29');"
                  "CREATE TABLE shop.\"odd-name\" (\"a-b\" text); INSERT INTO shop.\"odd-name\" VALUES ('x')")
        narwal = self.avro("envelope").wait_caught_up()
        self.sql("INSERT INTO shop.items (id) VALUES (2)")
        self.sql("UPDATE shop.items SET v = 'b' WHERE id = 2")
        self.sql("UPDATE shop.items SET id = 3 WHERE id = 2")
        self.sql("ALTER TABLE shop.items REPLICA IDENTITY FULL; UPDATE shop.items SET v = 'c' WHERE id = 1")
        self.sql("DELETE FROM shop.items WHERE id = 1")
        self.sql("TRUNCATE shop.items")
        narwal.wait_caught_up()
        first = {"id": 1, "v": "a", "n": "12.34", "a": [1, None, 3], "d": 19782}
        second = {"id": 2, "v": "b", "n": "1.50", "a": None, "d": None}
        found = self.topic("envelope.shop.items")
        self.assertEqual([(key, value and (value["op"], value["before"], value["after"])) for key, value in found], [
            ({"id": 1}, ("r", None, first)),
            ({"id": 2}, ("c", None, {**second, "v": None})),
            ({"id": 2}, ("u", None, second)),
            ({"id": 2}, ("d", {**second, "v": None}, None)),
            ({"id": 2}, None),
            ({"id": 3}, ("c", None, {**second, "id": 3})),
            ({"id": 1}, ("u", first, {**first, "v": "c"})),
            ({"id": 1}, ("d", {**first, "v": "c"}, None)),
            ({"id": 1}, None),
            (None, ("t", None, None))])
        headers = [message.get("headers") for message in self.broker.read("envelope.shop.items")]
        self.assertEqual(headers[3:6], [["__debezium.newkey", '{"id":3}']] * 2 + [["__debezium.oldkey", '{"id":2}']])
        source = found[1][1]["source"]
        self.assertEqual([source[name] for name in ("connector", "name", "db", "schema", "table", "snapshot")],
                         ["postgresql", "envelope", "postgres", "shop", "items", "false"])
        self.assertRegex(found[0][1]["source"]["snapshot"], "first|last")  # either table is copied first
        self.assertEqual(source["ts_ns"], source["ts_us"] * 1000)
        self.assertLess(source["lsn"], found[2][1]["source"]["lsn"])
        self.assertGreater(source["txId"], 0)
        self.assertEqual([value["after"] for _, value in self.topic("envelope.shop.odd-name")], [{"a_b": "x"}])
        self.assertEqual([subject for subject in self.registry.subjects() if subject.startswith("envelope.")],
                         ["envelope.shop.items-key", "envelope.shop.items-value", "envelope.shop.odd-name-value"])
        self.assertEqual(narwal.terminate(), 0)
        narwal.start().wait_caught_up()  # what is registered is found again
        self.sql("INSERT INTO shop.items (id) VALUES (9)")
        narwal.wait_caught_up()
        self.assertEqual(self.registry.versions("envelope.shop.items-value"), [1])
        self.assertEqual(narwal.terminate(), 0)

    def test_with_confluents_client(self):
        """Its deserializer reads keys and values, and its serializer makes the same bytes of keys that are one value."""
        keys = {"text": "ä", "integer": -7, "bigint": 1 << 40, "boolean": True, "double precision": 1.5, "date": 19782,
                "uuid": "00000000-0000-0000-0000-000000000001", "numeric(10,2)": {"hex": "fb2e"}, "bytea": {"hex": "00ff"}}
        texts = {"date": "2024-02-29", "numeric(10,2)": "-12.34", "bytea": "\\x00ff"}
        names = [f"k{index}" for index in range(len(keys))]
        self.make("CREATE TABLE shop.items (id integer PRIMARY KEY, v text, n numeric(10,2) DEFAULT 1.5, a integer[], t timestamptz);"
                  + "".join(f"CREATE TABLE shop.{name} (id {kind} PRIMARY KEY);" for name, kind in zip(names, keys)))
        narwals = [self.avro("client").wait_caught_up(), self.avro("clientone", key_field="id").wait_caught_up()]
        self.sql("INSERT INTO shop.items VALUES (1, 'ä', 12.34, '{1,NULL}', '2024-02-29 12:00+00'); DELETE FROM shop.items")
        for name, (kind, value) in zip(names, keys.items()):
            self.sql(f"INSERT INTO shop.{name} VALUES ('{texts.get(kind, value)}')")
        for narwal in narwals:
            narwal.wait_caught_up()
            self.assertEqual(narwal.terminate(), 0)
        topics = ["client.shop.items", *(f"clientone.shop.{name}" for name in names)]
        found = avro.read_with_confluent(self.broker, self.registry, topics)
        row = {"id": 1, "v": "ä", "n": "12.34", "a": [1, None], "t": "2024-02-29T12:00:00.000000Z"}
        empty = {"id": 1, "v": None, "n": None, "a": None, "t": None}
        self.assertEqual([(key, value and (value["op"], value["before"], value["after"]), same) for key, value, same in found[topics[0]]],
                         [({"id": 1}, ("c", None, row), True), ({"id": 1}, ("d", empty, None), True), ({"id": 1}, None, True)])
        for topic, (kind, value) in zip(topics[1:], keys.items()):
            (key, said, same), = found[topic]
            self.assertEqual((key, same), (value, True), kind)
            self.assertEqual(said["after"]["id"], texts[kind] if "numeric" in kind else value, kind)

    def test_what_is_beside_rows(self):
        self.make("CREATE TABLE shop.items (id integer PRIMARY KEY)")
        topics = {"transactions_topic": "{prefix}.transaction", "notifications_topic": "{prefix}.notifications", "heartbeat": "1s"}
        narwals = [self.avro("beside", **topics), self.avro("besides", key_form="json", binaries="hex", registry_subjects="topic_record",
                                                            **topics)]
        for narwal in narwals:
            narwal.wait_caught_up()
        self.sql("INSERT INTO shop.items VALUES (1), (2); SELECT pg_logical_emit_message(true, 'app', 'ä')")
        self.sql("SELECT pg_logical_emit_message(false, 'later', '')")
        for narwal in narwals:
            narwal.wait_caught_up()
            narwal.wait("a heartbeat", lambda: self.broker.read("__debezium-heartbeat.beside"))
            self.assertEqual(narwal.terminate(), 0)
        (key, value), (later, last) = self.topic("beside.message")
        self.assertEqual((key, later, list(value)), ({"prefix": "app"}, {"prefix": "later"}, ["op", "ts_ms", "source", "transaction", "message"]))
        self.assertEqual((value["message"], last["message"]), ({"prefix": "app", "content": {"hex": "c3a4"}}, {"prefix": "later", "content": {"hex": ""}}))
        self.assertEqual([value["source"][name] for name in ("name", "db", "schema", "table")], ["beside", "postgres", "", ""])
        self.assertEqual((value["op"], value["transaction"]["total_order"], last["transaction"]), ("m", 3, None))
        begin, end = self.topic("beside.transaction")[-2:]
        self.assertEqual((begin[0], end[0]), tuple({"id": value["id"]} for _, value in (begin, end)))
        self.assertEqual([value["transaction"]["id"], begin[1]["data_collections"]], [begin[1]["id"], None])
        self.assertEqual((end[1]["status"], end[1]["event_count"], end[1]["data_collections"]), ("END", 3, [
            {"data_collection": "shop.items", "event_count": 2}, {"data_collection": "LOGICAL_DECODING_MESSAGE", "event_count": 1}]))
        self.assertEqual(self.topic("__debezium-heartbeat.beside")[0][0], {"serverName": "beside"})
        said = self.topic("beside.notifications")
        self.assertEqual([value["type"] for _, value in said][:1] + [said[0][0]["id"]], ["STARTED", said[0][1]["id"]])
        self.assertEqual(said[0][1]["additional_data"]["connector_name"], "beside")
        messages = [avro.read(self.broker, f"besides.{topic}") for topic in ("message", "transaction", "notifications")]
        self.assertEqual([json.loads(found[0][3]).keys() for found in messages], [{"prefix"}, {"id"}, {"id"}])
        value, *_ = servers["reader"].decode([found[0][4] for found in messages])
        self.assertEqual(value["message"]["content"], "c3a4")
        self.assertLessEqual({"besides.message-io.debezium.connector.postgresql.MessageValue",
                              "__debezium-heartbeat.besides-io.debezium.connector.common.Heartbeat"}, set(self.registry.subjects()))
        self.assertNotIn("besides.message-io.debezium.connector.postgresql.MessageKey", self.registry.subjects())

    def test_a_notice_that_the_registry_refuses(self):
        """No table can stop for it: the sink waits there, says so, and goes on where it was; other sinks do not wait."""
        self.make("CREATE TABLE shop.items (id integer PRIMARY KEY)")
        for subject in ("waits.message-value", "waits.notifications-value"):
            self.registry.register(subject, {"type": "record", "name": "Other", "fields": [{"name": "a", "type": "int"}]})
            self.registry.level(subject, "BACKWARD")
        narwal = self.enter(Piped(servers["server"], self.broker, "waits", include=("shop.*",), format="debezium_avro", context_headers=False,
                                  registry=[self.registry.url], notifications_topic="{prefix}.notifications"))
        narwal.config["sinks"].append({"type": "null"})
        narwal.config["limits"] = {"drain": "2s"}
        narwal.start()
        narwal.wait("the first copy to wait", lambda: "NW2722" in narwal.log() and "waits.notifications-value" in narwal.log())
        self.registry.level("waits.notifications-value", "NONE")
        narwal.wait_caught_up()
        self.assertEqual([value["type"] for _, value in self.topic("waits.notifications")][:1], ["STARTED"])
        self.sql("INSERT INTO shop.items VALUES (1); SELECT pg_logical_emit_message(true, 'app', 'x'); INSERT INTO shop.items VALUES (2)")
        narwal.wait("the message to wait", lambda: re.search("error NW2722 .*waits.message-value.*the sink waits", narwal.log()))
        self.sql("INSERT INTO shop.items VALUES (3)")
        end = servers["server"].value("SELECT pg_current_wal_lsn()")
        narwal.wait("the other sink", lambda: narwal.call("wait", "--sink", "null", "--lsn", end, "--timeout", "1s")[0] == 0)
        narwal.wait("its figure", lambda: [one["figures"]["registry_waits"] for one in json.loads(narwal.call("status", "--json")[1])["sinks"]
                                           if one["name"] == "kafka"] == [1], 20)
        narwal.terminate()  # also while it waits
        narwal.start()
        narwal.wait("it to wait again", lambda: "waits.message-value" in narwal.log())
        self.registry.level("waits.message-value", "NONE")
        narwal.wait_caught_up()
        self.assertIn("the schema registry has the schemas of waits.message now", narwal.log())
        self.assertEqual([value["message"]["content"] for _, value in self.topic("waits.message")], [{"hex": "78"}])
        self.assertEqual({value["after"]["id"] for _, value in self.topic("waits.shop.items")}, {1, 2, 3})
        self.assertEqual(narwal.terminate(), 0)

    def test_a_commit_that_the_registry_refuses(self):
        """It waits for longer than a transaction may last, says so, is stopped at once, and goes on."""
        self.make("CREATE TABLE shop.items (id integer PRIMARY KEY)")
        self.registry.register("commits.notifications-value", {"type": "record", "name": "Other", "fields": [{"name": "a", "type": "int"}]})
        self.registry.level("commits.notifications-value", "BACKWARD")
        narwal = self.avro("commits", registry=[self.registry.url], delivery="transactional", transaction_timeout="2s").wait_caught_up()
        self.assertEqual(narwal.terminate(), 0)
        narwal.config["sinks"][0]["notifications_topic"] = "{prefix}.notifications"
        narwal.config["limits"] = {"drain": "1s"}
        narwal.start()
        self.sql("INSERT INTO shop.items VALUES (1)")
        for _ in range(2):
            narwal.wait("it to wait", lambda: re.search("error NW2722 .*commits.notifications-value.*the sink waits", narwal.log()))
            narwal.wait("its figure", lambda: json.loads(narwal.call("status", "--json")[1])["sinks"][0]["figures"]["registry_waits"] == 1, 5)
            time.sleep(6)
            began = time.monotonic()
            self.assertEqual(narwal.terminate(), 0, narwal.log())
            self.assertLess(time.monotonic() - began, 8)
            narwal.start()
        self.registry.level("commits.notifications-value", "NONE")
        narwal.wait_caught_up()
        self.assertEqual([value["type"] for _, value in self.topic("commits.notifications")], ["SKIPPED"])
        self.assertEqual([value["after"]["id"] for _, value in self.topic("commits.shop.items")], [1])
        self.assertEqual(narwal.terminate(), 0)

    def test_a_heartbeat_that_the_registry_has_not(self):
        """It is asked for at the start, before anything is sent: that waits."""
        self.make("CREATE TABLE shop.items (id integer PRIMARY KEY); INSERT INTO shop.items VALUES (1)")
        other = self.avro("beats", heartbeat="1s").wait_caught_up()
        narwal = self.avro("nobeat", registry_register=False, heartbeat="1s")
        narwal.wait("the start to wait", lambda: re.search("NW2723 .*__debezium-heartbeat.nobeat-key", narwal.log()))
        self.assertTrue(narwal.running)
        for part in ("__debezium-heartbeat.{}-key", "__debezium-heartbeat.{}-value", "{}.shop.items-key", "{}.shop.items-value"):
            schema = self.registry.latest(part.format("beats"))["schema"].replace("beats.shop", "nobeat.shop")
            self.registry.register(part.format("nobeat"), json.loads(schema))
        narwal.wait_caught_up()
        self.assertEqual(self.topic("__debezium-heartbeat.nobeat")[0][0], {"serverName": "nobeat"})
        self.assertEqual([one.terminate() for one in (narwal, other)], [0, 0])

    def test_a_schema_that_the_registry_refuses(self):
        self.make("CREATE TABLE shop.strict (id integer PRIMARY KEY, v integer);"
                  "CREATE TABLE shop.other (id integer PRIMARY KEY)")
        narwal = self.avro("strict", registry_subjects="record").wait_caught_up()
        self.sql("INSERT INTO shop.strict VALUES (1, 1)")
        narwal.wait_caught_up()
        self.assertIn("strict.shop.strict.Envelope", self.registry.subjects())
        self.registry.level("strict.shop.strict.Envelope", "BACKWARD")
        self.sql("ALTER TABLE shop.strict ADD w text")  # which readers of the former can skip
        self.sql("INSERT INTO shop.strict VALUES (2, 2, 'x')")
        narwal.wait_caught_up()
        self.assertEqual(self.registry.versions("strict.shop.strict.Envelope"), [1, 2], narwal.log_tail())
        self.sql("ALTER TABLE shop.strict ALTER v TYPE text; INSERT INTO shop.strict VALUES (3, 'y', 'z')")
        narwal.wait("the table to stop", lambda: "NW2722" in narwal.log())
        self.sql("INSERT INTO shop.other VALUES (1)")
        narwal.wait_caught_up()
        self.assertIn("strict.shop.strict.Envelope", narwal.call("table", "list")[1])
        self.assertEqual(len(self.topic("strict.shop.strict")), 2)
        self.assertEqual(len(self.topic("strict.shop.other")), 1)
        self.registry.level("strict.shop.strict.Envelope", "NONE")
        self.assertEqual(narwal.call("table", "resume", "shop.strict")[0], 0)
        narwal.wait("what was kept", lambda: len(self.topic("strict.shop.strict")) > 2)
        self.assertEqual([value["after"]["v"] for _, value in self.topic("strict.shop.strict")], [1, 2, "y"])
        self.assertEqual(narwal.terminate(), 0)

    def test_no_registry_for_a_while(self):
        self.make("CREATE TABLE shop.items (id integer PRIMARY KEY); INSERT INTO shop.items VALUES (1)")
        narwal = self.avro("waits", registry=["http://127.0.0.1:1"])
        narwal.wait("what it waits for", lambda: "NW2721" in narwal.log())
        narwal.kill()
        narwal.config["sinks"][0]["registry"] = ["http://127.0.0.1:1", self.registry.url]
        narwal.start().wait_caught_up()
        self.assertEqual([key for key, _ in self.topic("waits.shop.items")], [{"id": 1}])
        self.assertEqual(narwal.terminate(), 0)

    def test_flattened(self):
        for mode, deleted in (("drop", []), ("tombstone", [None]), ("delete-to-tombstone", [None]),
                              ("rewrite", [("a", "true", "d")]),
                              ("rewrite-with-tombstone", [("a", "true", "d"), None])):
            with self.subTest(mode):
                self.make("CREATE TABLE shop.items (id integer PRIMARY KEY, v text);"
                          "ALTER TABLE shop.items REPLICA IDENTITY FULL")
                name = "flat" + mode.replace("-", "")
                narwal = self.avro(name, flatten=mode, add_fields=["op", "source.lsn"],
                                   add_headers=["op", "table"]).wait_caught_up()
                self.sql("INSERT INTO shop.items VALUES (1, 'a'); DELETE FROM shop.items")
                narwal.wait_caught_up()
                mark = "false" if "rewrite" in mode else None
                found = [value and (value["v"], value.get("__deleted"), value["__op"])
                         for _, value in self.topic(f"{name}.shop.items")]
                self.assertEqual(found, [("a", mark, "c"), *deleted])
                self.assertEqual(self.broker.read(f"{name}.shop.items")[0]["headers"],
                                 ["__op", "c", "__table", "items"])
                self.assertEqual(narwal.terminate(), 0)
        self.make("CREATE TABLE shop.items (id integer PRIMARY KEY, v text)")
        narwal = self.narwal("flatjson", format="debezium_json", flatten="rewrite", add_fields=["op"]).wait_caught_up()
        self.sql("INSERT INTO shop.items VALUES (1, 'a'); DELETE FROM shop.items")
        narwal.wait_caught_up()
        self.assertEqual([(message["key"], message["payload"]) for message in self.broker.read("flatjson.shop.items")],
                         [('{"id":1}', '{"id":1,"v":"a","__deleted":"false","__op":"c"}'),
                          ('{"id":1}', '{"id":1,"v":null,"__deleted":"true","__op":"d"}')])
        self.assertEqual(narwal.terminate(), 0)
        self.make("CREATE TABLE shop.items (id integer PRIMARY KEY)")
        narwal = self.narwal("flatnone", format="debezium_json", flatten="rewrite-with-tombstone",
                             tombstones=False).wait_caught_up()
        self.sql("INSERT INTO shop.items VALUES (1); DELETE FROM shop.items")
        narwal.wait_caught_up()
        self.assertEqual([message["payload"] for message in self.broker.read("flatnone.shop.items")],
                         ['{"id":1,"__deleted":"false"}', '{"id":1,"__deleted":"true"}'])
        self.assertEqual(narwal.terminate(), 0)

    def test_cloudevents(self):
        self.make("CREATE TABLE shop.items (id integer PRIMARY KEY, v text)")
        for data in ("json", "avro"):
            narwal = self.narwal(f"cloud{data}", format="cloudevents", cloudevents_data=data,
                                 registry=[self.registry.url]).wait_caught_up()
            self.sql("INSERT INTO shop.items VALUES (1, 'a'); DELETE FROM shop.items")
            narwal.wait_caught_up()
            self.assertEqual(narwal.terminate(), 0)
            messages = self.broker.read(f"cloud{data}.shop.items")
            self.assertEqual([message["key"] for message in messages], ['{"id":1}'] * 3)
            self.assertIsNone(messages[2]["payload"])
            event = json.loads(messages[0]["payload"])
            self.assertEqual([event[name] for name in ("specversion", "source", "datacontenttype", "iodebeziumop")],
                             ["1.0", f"/debezium/postgresql/cloud{data}", f"application/{data}", "c"])
            said = event["data"]
            if data == "avro":
                said = __import__("base64").b64decode(said)
                self.assertEqual(event["dataschema"],
                                 f"{self.registry.url}/schemas/ids/{int.from_bytes(said[1:5], 'big')}")
                said = servers["reader"].decode([said])[0]
            self.assertEqual(said, {"before": None, "after": {"id": 1, "v": "a"}})

    def test_cloudevents_in_avro(self):
        """The envelope's schema is the topic's, that of the data of a topic of its own."""
        self.make("CREATE TABLE shop.items (id integer PRIMARY KEY, v text)")
        narwal = self.narwal("cloudall", format="cloudevents", cloudevents="avro", schemas=True,
                             registry=[self.registry.url]).wait_caught_up()
        self.sql("INSERT INTO shop.items VALUES (1, 'ä'); DELETE FROM shop.items")
        narwal.wait_caught_up()
        self.assertEqual(narwal.terminate(), 0)
        keys, values = zip(*(message[3:] for message in avro.read(self.broker, "cloudall.shop.items")))
        self.assertEqual([json.loads(key)["payload"] for key in keys], [{"id": 1}] * 3)
        self.assertIsNone(values[2])
        events = servers["reader"].decode(values[:2])
        self.assertEqual([(event["source"], event["iodebeziumop"], event["iodebeziumtxid"]) for event in events],
                         [("/debezium/postgresql/cloudall", op, None) for op in "cd"])
        said = [bytes.fromhex(event["data"]["hex"]) for event in events]
        self.assertEqual(servers["reader"].decode(said), [{"before": None, "after": {"id": 1, "v": "ä"}},
                                                          {"before": {"id": 1, "v": None}, "after": None}])
        self.assertEqual(events[0]["dataschema"], f"{self.registry.url}/schemas/ids/{int.from_bytes(said[0][1:5], 'big')}")
        for subject, name in (("cloudall.shop.items-value", "cloudall.postgres.CloudEvents.Envelope"),
                              ("cloudall.shop.items-data-value", "io.debezium.connector.postgresql.Data")):
            self.assertEqual(self.registry.versions(subject), [1])
            number = int.from_bytes((values[0] if "Cloud" in name else said[0])[1:5], "big")
            self.assertEqual(self.registry.schema(number)["connect.name"], name)

    def test_dates_and_times_as_structs(self):
        self.make("CREATE TABLE shop.times (d date, z timestamptz(3) NOT NULL, e date, a time[], PRIMARY KEY (d));"
                  "ALTER TABLE shop.times REPLICA IDENTITY FULL")
        forms = {"parts": {"format": "debezium_avro"}, "partsflat": {"format": "debezium_avro", "flatten": "rewrite"},
                 "partscloud": {"format": "cloudevents", "cloudevents_data": "avro"}, "partsjson": {"format": "debezium_json"}}
        narwals = [self.narwal(name, times="structured", registry=[self.registry.url], **form).wait_caught_up()
                   for name, form in forms.items()]
        self.sql("INSERT INTO shop.times VALUES ('2024-02-29', '2024-06-01 12:34:56.1+02', '-infinity', '{24:00,NULL}')")
        self.sql("DELETE FROM shop.times")
        for narwal in narwals:
            narwal.wait_caught_up()
            self.assertEqual(narwal.terminate(), 0)
        key = {"d": {"year": 2024, "month": 2, "day": 29, "specialValue": None}}
        row = {**key, "z": {"year": 2024, "month": 6, "day": 1, "hour": 10, "minute": 34, "second": 56, "nanos": 100000000,
                            "offsetSeconds": 0, "zoneId": "Z", "specialValue": None, "precision": 3},
               "e": {"year": None, "month": None, "day": None, "specialValue": "NEGATIVE_INFINITY"},
               "a": [{"hour": 24, "minute": 0, "second": 0, "nanos": 0, "precision": 6}, None]}
        images = [(None, row), (row, None)]
        found = self.topic("parts.shop.times")
        self.assertEqual([(found_key, value and (value["before"], value["after"])) for found_key, value in found],
                         [*((key, image) for image in images), (key, None)])
        self.assertEqual(self.topic("partsflat.shop.times"), [
            (key, {**row, "__deleted": "false"}), (key, {**row, "__deleted": "true"})])
        told = [json.loads(message["payload"]) for message in self.broker.read("partsjson.shop.times")[:2]]
        self.assertEqual([(value["before"], value["after"]) for value in told], images)
        told = self.broker.read("partscloud.shop.times")
        self.assertEqual([json.loads(message["key"]) for message in told], [key] * 3)
        data = [__import__("base64").b64decode(json.loads(message["payload"])["data"]) for message in told[:2]]
        self.assertEqual([(value["before"], value["after"]) for value in servers["reader"].decode(data)], images)

    def test_an_outbox(self):
        self.make("CREATE TABLE shop.outbox (id uuid PRIMARY KEY, aggregatetype text NOT NULL, aggregateid text NOT NULL,"
                  "  type text, payload jsonb, at timestamp)")
        narwal = self.narwal("outbox", outbox=["shop.outbox"], outbox_timestamp="at", outbox_form="expanded",
                             outbox_placement=["type:header:eventType"], outbox_tombstones=True).wait_caught_up()
        self.sql("""INSERT INTO shop.outbox VALUES
            ('00000000-0000-0000-0000-000000000001', 'order', '17', 'made', '{"a": 1}', '2024-01-02 03:04:05.678'),
            ('00000000-0000-0000-0000-000000000002', 'bill/é', '18', NULL, NULL, NULL)""")
        self.sql("UPDATE shop.outbox SET type = 'x'; DELETE FROM shop.outbox")
        narwal.wait_caught_up()
        self.assertIn("NW2726", narwal.log())
        order, = self.broker.read("outbox.event.order")
        self.assertEqual([order[name] for name in ("key", "payload", "ts", "headers")],
                         ['"17"', '{"a": 1}', 1704164645678,
                          ["id", "00000000-0000-0000-0000-000000000001", "eventType", "made"]])
        bill, = self.broker.read("outbox.event.bill__")
        self.assertEqual((bill["key"], bill["payload"]), ('"18"', None))
        self.assertNotIn("outbox.shop.outbox", self.broker.topics())
        self.sql("INSERT INTO shop.outbox VALUES ('00000000-0000-0000-0000-000000000003', '', '1', '', '1')")
        narwal.wait("the row to be refused", lambda: "NW2725" in narwal.log())
        self.assertEqual(narwal.terminate(), 0)
        self.make("CREATE TABLE shop.outbox (id uuid PRIMARY KEY); INSERT INTO shop.outbox SELECT gen_random_uuid()")
        narwal = self.narwal("outbox2", outbox=["shop.outbox"])
        narwal.wait("the table to be refused", lambda: "NW2724" in narwal.log())

    def test_a_time_that_a_topic_does_not_take(self):
        self.make("CREATE TABLE shop.outbox (id uuid PRIMARY KEY, aggregatetype text NOT NULL, aggregateid text NOT NULL,"
                  "  payload text, at timestamp)")
        narwal = self.narwal("future", outbox=["shop.outbox"], outbox_timestamp="at",
                             outbox_topic="future.event.{value}").wait_caught_up()
        self.sql("INSERT INTO shop.outbox VALUES (gen_random_uuid(), 'late', '1', '{}', now() + interval '1 year')")
        narwal.wait("the time to be refused",
                    lambda: "topic future.event.late refuses a message's time" in narwal.log())
        self.broker.tool("kafka.admin.ConfigCommand", "--bootstrap-server", self.broker.address, "--alter",
                         "--entity-type", "topics", "--entity-name", "future.event.late", "--add-config",
                         f"message.timestamp.after.max.ms={400 * 86400 * 1000}")
        narwal.wait_caught_up()
        self.assertEqual([message["payload"] for message in self.broker.read("future.event.late")], ["{}"])

    def diff(self, *words, **environment):
        """Exit status, and the report or what is said."""
        result = subprocess.run([str(build() / "narwal"), "diff-topics", *map(str, words), "--brokers", self.broker.address,
                                 "--json"], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
                                env={**os.environ, **environment}, check=False)
        return result.returncode, json.loads(result.stdout) if result.returncode < 2 else result.stderr

    def test_topics_are_compared_field_by_field(self):
        """Their schemas have different numbers: the prefix is in their names."""
        self.make("CREATE TABLE shop.items (id integer PRIMARY KEY, v text, n numeric(10,2), a integer[], d double precision,"
                  "  b bytea); INSERT INTO shop.items SELECT g, 'v' || g, g, ARRAY[g, NULL], g / 7.0, 'x' FROM generate_series(1, 50) g")
        narwals = [self.avro("one.a", partitions=2), self.avro("two-b", partitions=2), self.avro("odd", decimals="string")]
        for narwal in narwals:
            narwal.wait_caught_up()
        self.sql("UPDATE shop.items SET v = NULL WHERE id < 10; UPDATE shop.items SET id = 100 WHERE id = 5;"
                 "DELETE FROM shop.items WHERE id = 7; ALTER TABLE shop.items ADD extra boolean DEFAULT true;"
                 "INSERT INTO shop.items (id) VALUES (200); TRUNCATE shop.items")
        for narwal in narwals:
            narwal.wait_caught_up()
            self.assertEqual(narwal.terminate(), 0)
        masks = ("--mask", "source.snapshot")
        code, report = self.diff("one.a", "two-b", "--registry", self.registry.url, *masks)
        topic, = report["topics"]
        self.assertEqual((code, topic["equal"], topic["different"], topic["only"]), (0, 66, 0, [0, 0]), topic)
        code, report = self.diff("one.a", "two-b", *masks)  # as bytes
        self.assertEqual((code, report["topics"][0]["equal"]), (1, 0), report["topics"][0]["paths"])
        # What differs is said where it is, in value and schema; the configuration of either knows the registry.
        code, report = self.diff(narwals[0].file, "odd", *masks, "--show", "3")
        topic, = report["topics"]
        self.assertEqual((code, topic["equal"], topic["different"]), (1, 2, 64), topic["paths"])
        self.assertLessEqual({"value.after.n", "value-schema.fields[0].type[1].fields[2].type[1]"}, set(topic["paths"]))
        self.assertTrue(all(".n" in path or "fields[2]" in path for path in topic["paths"]), topic["paths"])
        first = topic["differences"][0]
        self.assertEqual((first["op"], [path["b"] for path in first["paths"] if path["path"] == "value.after.n"]),
                         ("r", [f'{first["key"].partition("=")[2]}.00']))

    def test_what_cannot_be_compared(self):
        def put(prefix, number, value):
            with tempfile.NamedTemporaryFile() as file:  # one message
                file.write(b"\0" + number.to_bytes(4, "big") + value)
                file.flush()
                subprocess.run(["kcat", "-b", self.broker.address, "-P", "-t", f"{prefix}.t", "-k", "k", file.name], check=True,
                               timeout=60)
        number = self.registry.register("cmp-value", {"type": "record", "name": "R", "fields": [{"name": "s", "type": "string"}]})
        for prefix in ("cmp.a", "cmp.b"):
            put(prefix, number, b"\x02x")
            put(prefix, number, b"\xffno value at all")
        put("cmp.b", number, b"\x02y")
        put("cmp.a", number, b"\x02z")
        code, report = self.diff("cmp.a", "cmp.b", "--registry", self.registry.url)
        topic, = report["topics"]
        self.assertEqual((code, topic["equal"], topic["paths"]), (1, 2, {"value.s": 1}))
        put("cmp.a", 999999, b"\x02x")  # no Avro, perhaps: as bytes, and said
        code, report = self.diff("cmp.a", "cmp.b", "--registry", self.registry.url)
        topic, = report["topics"]
        self.assertEqual((code, topic["equal"], topic["only"], report["unread_schemas"]), (1, 2, [1, 0], 1))
        put("cmp.b", 999999, b"\x02x")
        code, report = self.diff("cmp.a", "cmp.b", "--registry", self.registry.url)
        self.assertEqual((code, report["topics"][0]["equal"], report["unread_schemas"]), (1, 3, 1))
        said = subprocess.run([str(build() / "narwal"), "diff-topics", "cmp.a", "cmp.b", "--brokers", self.broker.address,
                               "--registry", self.registry.url], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=60, check=False).stdout
        self.assertIn("NW1542 diff-topics: the schema registry has no Avro schema with the number 999999", said)
        code, said = self.diff("cmp.a", "cmp.b", "--registry", "http://127.0.0.1:1")
        self.assertEqual((code, "NW2721" in said), (2, True), said)
        code, said = self.diff("cmp.a", "cmp.b", "--registry", "registry:8081")
        self.assertEqual((code, "NW1003" in said), (2, True), said)
        code, report = self.diff("cmp.a", "cmp.b", "--registry", self.registry.tls_url, "--registry-ca", self.registry.certificate,
                                 "--registry-username", "me", NARWAL_REGISTRY_PASSWORD="x")
        self.assertEqual((code, report["unread_schemas"]), (1, 1))  # it asks again for 999999, and is understood

    def test_a_wrong_configuration(self):
        self.make("CREATE TABLE shop.items (id integer PRIMARY KEY)")
        for number, options in enumerate(({"format": "debezium_avro"}, {"format": "debezium_avro", "registry": ["registry:8081"]},
                        {"flatten": "drop"}, {"format": "debezium_avro", "registry": ["http://a"], "flatten": "drop",
                                              "add_fields": ["nothing"]},
                        {"outbox": ["shop.items"], "outbox_placement": ["x"]})):
            with self.subTest(options), Piped(servers["server"], self.broker, f"wrong{number}", include=("shop.*",),
                                              **options) as narwal:
                self.assertEqual(narwal.run_to_end(), 1)
                self.assertIn("NW1003", narwal.log())


if __name__ == "__main__":
    check.main()
