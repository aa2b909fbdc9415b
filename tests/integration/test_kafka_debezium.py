#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Debezium's envelope from the Kafka sink, with a real broker.

What has to come is in lab/debezium_values.json: for every type and its values the schema and the JSON
that Debezium 3.7.0 (PostgreSQL 15, pgoutput, JsonConverter) wrote, in seven sets of options:

    d  its defaults
    s  strings: decimals, intervals, base64, hstore as a map, Connect's times, Avro's names
    f  doubles, hexadecimal, microseconds, Avro's names with escapes, unknown types as bytes
    u  adaptive_time_microseconds, base64 for URLs
    i  ISO 8601, decimals as numbers, NULL instead of defaults
    n  nanoseconds
    t  structs of dates and times, which alone are recorded

and in "ours" what narwal writes instead, where docs/debezium.md says that Debezium is wrong or differs.
"""
import json
import pathlib
import unittest

from lab import check, cluster, kafka, type_matrix, workload
from lab.narwal import Narwal

VERSION = 15  # whose events are recorded
MODES = {
    "d": {"null_as_default": True},
    "s": {"decimals": "string", "times": "connect", "intervals": "string", "hstores": "map", "binaries": "base64",
          "schema_names": "avro", "field_names": "avro", "unknown_types": "bytes", "null_as_default": True},
    "f": {"decimals": "double", "times": "microseconds", "binaries": "hex", "unknown_types": "bytes",
          "schema_names": "avro_unicode", "field_names": "avro_unicode", "null_as_default": True},
    "u": {"times": "adaptive_time_microseconds", "binaries": "base64_url_safe", "unknown_types": "bytes",
          "null_as_default": True},
    "i": {"times": "isostring", "unknown_types": "bytes", "decimal_format": "numeric"},
    "n": {"times": "nanoseconds", "null_as_default": True},
    "t": {"times": "structured", "null_as_default": True},
}


class Piped(Narwal):
    def __init__(self, server, broker, name, sinks, include):
        super().__init__(server, name=name, settings={
            "tables": {"include": include},
            "sinks": [{"type": "kafka", "brokers": [broker.address], **sink} for sink in sinks]})

    def wait_caught_up(self, seconds=120):
        self.wait("everything durable", lambda: self.call("wait", "--timeout", "5s")[0] == 0, seconds)
        return self


class Case(check.Case):
    @classmethod
    def setUpClass(cls):
        cls.broker_manager, cls.server_manager = kafka.Broker(), cluster.Cluster(VERSION)
        try:
            cls.broker = cls.broker_manager.__enter__()
            cls.addClassCleanup(cls.broker_manager.__exit__, None, None, None)
            cls.server = cls.server_manager.__enter__()
        except cluster.servers.Unavailable as error:
            raise unittest.SkipTest(str(error))
        cls.addClassCleanup(cls.server_manager.__exit__, None, None, None)

    def narwal(self, name, sinks, include):
        return self.enter(Piped(self.server, self.broker, name, sinks, include))

    def read(self, topic):
        """Key, value and headers of each message."""
        return [(message["key"] and json.loads(message["key"]),
                 message["payload"] and json.loads(message["payload"]), headers(message))
                for message in self.broker.read(topic)]


def headers(message):
    found = message.get("headers") or []
    return dict(zip(found[::2], found[1::2]))


def value_add(found, value):
    """An inserted row and the schema of its v, by table and id."""
    if value["payload"]["op"] == "c":
        schema = {field["field"]: field for field in value["schema"]["fields"][1]["fields"]}
        found.setdefault(value["payload"]["source"]["table"], {})[int(value["payload"]["after"]["id"])] = (
            value["payload"]["after"], schema.get("v"))


def values_compare(mode, kinds, found):
    """What is other than recorded."""
    different = []
    for index, kind in enumerate(kinds):
        wanted = next((wanted for wanted in kind["modes"] if mode in wanted["modes"]), None)
        rows = found.get(f"c{index}", {})
        if wanted is None:
            continue
        ours = kind.get("ours", {}).get(mode, {})
        schema = rows[1000][1]
        if schema is not None:
            schema = {name: value for name, value in schema.items() if name != "field"}
        want = ours.get("schema", wanted["schema"])
        if schema != want:
            different.append((mode, kind["type"], "schema", schema, want))
        for key, text in enumerate(kind["values"]):
            if text is None or wanted["json"][key] is None or schema is None:
                continue
            got = rows[key][0]["v"]
            want = ours.get(str(key), json.loads(wanted["json"][key]))
            if got != want:
                different.append((mode, kind["type"], text, got, want))
    return different


class ValuesTest(Case):
    """Every type in every mode; NULL where Debezium has something that is not the value."""

    def test_values_and_schemas(self):
        workload.create_types(self.server.connect())
        self.server.sql("CREATE SCHEMA typed; CREATE TABLE typed.t0 ()")
        self.server.sql(type_matrix.TYPES_SQL)
        kinds = json.loads((pathlib.Path(__file__).parent / "lab" / "debezium_values.json").read_text())
        for index, kind in enumerate(kinds):
            self.server.sql(f"CREATE TABLE typed.c{index} (id integer PRIMARY KEY, v {kind['type']})")
        narwal = self.narwal("values", [
            {"name": mode, "prefix": mode, "topic": "{prefix}.all", "format": "debezium_json", "schemas": True,
             "unfit": "as_null", **options} for mode, options in MODES.items()], ["typed.c*"])
        narwal.start().wait_caught_up()
        connection = self.server.connect()
        with connection.cursor() as cursor:
            cursor.execute("SET timezone = 'UTC'; SET datestyle = 'ISO, MDY'")
            for index, kind in enumerate(kinds):
                for key, text in enumerate(kind["values"]):
                    if text is not None:
                        cursor.execute(f"INSERT INTO typed.c{index} VALUES (%s, CAST(%s AS {kind['type']}))",
                                       (key, text))
                cursor.execute(f"INSERT INTO typed.c{index} VALUES (1000, NULL)")
        narwal.wait_caught_up(300)
        different = []
        for mode in MODES:
            found = {}
            for message in self.broker.read(f"{mode}.all"):
                value_add(found, json.loads(message["payload"]))
            different += values_compare(mode, kinds, found)
        self.assertEqual(different, [])
        self.assertEqual(narwal.terminate(), 0)


TABLES_SQL = """
CREATE SCHEMA shop;
CREATE TABLE shop.by_default (id integer PRIMARY KEY, t text, needed text NOT NULL, n integer NOT NULL DEFAULT 5,
    at timestamptz NOT NULL DEFAULT now(), b boolean NOT NULL);
CREATE TABLE shop.in_full (id integer PRIMARY KEY, t text, n numeric);
ALTER TABLE shop.in_full REPLICA IDENTITY FULL;
CREATE TABLE shop.by_index (id integer NOT NULL, code text NOT NULL, v text);
CREATE UNIQUE INDEX by_index_code ON shop.by_index (code);
ALTER TABLE shop.by_index REPLICA IDENTITY USING INDEX by_index_code;
CREATE TABLE shop.keyless (v text, w integer);
ALTER TABLE shop.keyless REPLICA IDENTITY FULL;
CREATE TABLE shop.key_types (a numeric(10,2), b timestamptz, c text, PRIMARY KEY (c, a, b));
CREATE TABLE shop.large (id integer PRIMARY KEY, n integer, t text, b bytea, ta text[], ia int4[], ua uuid[], j jsonb);
ALTER TABLE shop.large ALTER t SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL, ALTER ta SET STORAGE EXTERNAL,
    ALTER ia SET STORAGE EXTERNAL, ALTER ua SET STORAGE EXTERNAL, ALTER j SET STORAGE EXTERNAL;
CREATE TABLE shop."Odd name/\u00fc" ("1 a-b" integer PRIMARY KEY, "\u00fc.x" text);
CREATE TABLE shop.copied (id integer PRIMARY KEY, t text);
INSERT INTO shop.copied VALUES (1, 'before');
"""
PLACEHOLDER = "__debezium_unavailable_value"


class EnvelopeTest(Case):
    """What Debezium writes of each kind of change. Its own output stood here first."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server.sql(TABLES_SQL)

    def follow(self, prefix, statements, **options):
        """These are run, each in a transaction of its own, and all that comes is read."""
        narwal = self.narwal(prefix, [{"prefix": prefix, "topic": "{prefix}.all", "format": "debezium_json",
                                       "messages_topic": "{prefix}.message", **options}], ["shop.*"])
        narwal.start().wait_caught_up()
        for statement in statements:
            self.server.sql(statement)
        narwal.wait_caught_up()
        self.assertEqual(narwal.terminate(), 0)
        return narwal

    def events(self, prefix, table):
        """(key, op, before, after, header), tombstones as (key, None)."""
        found = []
        for key, value, header in self.read(f"{prefix}.all"):
            moved = {name: json.loads(text) for name, text in header.items() if name.endswith("key")}
            if value is None:
                found.append((key, None, moved))
            elif value["source"]["table"] == table:
                found.append((key, value["op"], value["before"], value["after"], moved))
        return found

    def test_every_kind_of_change(self):
        self.follow("env", [
            "INSERT INTO shop.by_default (id, needed, b) VALUES (1, 'x', true)",
            "UPDATE shop.by_default SET t = 'y'",
            "UPDATE shop.by_default SET id = 2",
            "DELETE FROM shop.by_default"])
        events = self.events("env", "by_default")
        for event in events:
            for image in event[2:4]:
                if image and image.get("at", "").startswith("2"):
                    image["at"] = "now"
        row = {"id": 1, "t": None, "needed": "x", "n": 5, "at": "now", "b": True}
        # Only the key is known of what was; where the column is NOT NULL there is its default, or a zero.
        old = {"id": 1, "t": None, "needed": "", "n": 5, "at": "1970-01-01T00:00:00.000000Z", "b": False}
        self.assertEqual(events, [
            ({"id": 1}, "c", None, row, {}),
            ({"id": 1}, "u", None, {**row, "t": "y"}, {}),
            ({"id": 1}, "d", old, None, {"__debezium.newkey": {"id": 2}}),
            ({"id": 1}, None, {"__debezium.newkey": {"id": 2}}),
            ({"id": 2}, "c", None, {**row, "id": 2, "t": "y"}, {"__debezium.oldkey": {"id": 1}}),
            ({"id": 2}, "d", {**old, "id": 2}, None, {}),
            ({"id": 2}, None, {})])
        copied, = self.events("env", "copied")[:1]
        self.assertEqual(copied, ({"id": 1}, "r", None, {"id": 1, "t": "before"}, {}))

    def test_identities_and_keys(self):
        self.follow("ids", [
            "INSERT INTO shop.in_full VALUES (1, 'a', 1.5)", "UPDATE shop.in_full SET t = 'b'",
            "DELETE FROM shop.in_full",
            "INSERT INTO shop.by_index VALUES (1, 'a', 'x')", "UPDATE shop.by_index SET code = 'b'",
            "DELETE FROM shop.by_index",
            "INSERT INTO shop.keyless VALUES ('a', 1)", "DELETE FROM shop.keyless",
            "INSERT INTO shop.key_types VALUES (1.5, '2024-01-01 00:00:00+00', 'k')",
            "TRUNCATE shop.keyless",
            "INSERT INTO shop.\"Odd name/\u00fc\" VALUES (1, '\u00e9')"], tombstones=False, field_names="avro")
        a = {"id": 1, "t": "a", "n": {"scale": 1, "value": "Dw=="}}
        self.assertEqual(self.events("ids", "in_full"), [
            ({"id": 1}, "c", None, a, {}), ({"id": 1}, "u", a, {**a, "t": "b"}, {}),
            ({"id": 1}, "d", {**a, "t": "b"}, None, {})])
        self.assertEqual(self.events("ids", "by_index"), [
            ({"code": "a"}, "c", None, {"id": 1, "code": "a", "v": "x"}, {}),
            ({"code": "a"}, "d", {"id": 0, "code": "a", "v": None}, None, {"__debezium.newkey": {"code": "b"}}),
            ({"code": "b"}, "c", None, {"id": 1, "code": "b", "v": "x"}, {"__debezium.oldkey": {"code": "a"}}),
            ({"code": "b"}, "d", {"id": 0, "code": "b", "v": None}, None, {})])
        self.assertEqual(self.events("ids", "keyless"), [
            (None, "c", None, {"v": "a", "w": 1}, {}), (None, "d", {"v": "a", "w": 1}, None, {}),
            (None, "t", None, None, {})])
        key = {"c": "k", "a": "AJY=", "b": "2024-01-01T00:00:00.000000Z"}
        self.assertEqual(self.events("ids", "key_types"), [(key, "c", None, key, {})])
        self.assertEqual(self.events("ids", "Odd name/\u00fc"), [
            ({"_1_a_b": 1}, "c", None, {"_1_a_b": 1, "__x": "\u00e9"}, {})])

    def test_values_that_were_not_sent(self):
        self.follow("toast", [
            "INSERT INTO shop.large SELECT 1, 0, repeat('t', 9000), repeat('b', 9000)::bytea, ARRAY[repeat('a', 9000)],"
            " array_agg(g), array_agg(md5(g::text)::uuid), jsonb_build_object('k', repeat('j', 9000))"
            " FROM generate_series(1, 3000) g",
            "UPDATE shop.large SET n = 1"])
        update = [event for event in self.events("toast", "large") if event[1] == "u"][0]
        self.assertEqual(update[3], {
            "id": 1, "n": 1, "t": PLACEHOLDER, "b": "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==", "ta": [PLACEHOLDER],
            "ia": list(PLACEHOLDER.encode()), "ua": ["b68a35a7-17ad-35b3-af2a-ae46edb4545a"], "j": PLACEHOLDER})

    def test_source_messages_and_schemas(self):
        self.follow("meta", [
            "INSERT INTO shop.copied VALUES (2, 'x')",
            "SELECT pg_logical_emit_message(true, 'pre', 'content')",
            "INSERT INTO shop.copied VALUES (3, 'x'); SELECT pg_logical_emit_message(true, 'two', 'a');"
            "SELECT pg_logical_emit_message(true, 'two', 'b'); SELECT pg_logical_emit_message(false, 'out', 'c')"],
            schemas=True, transactions_topic="{prefix}.transaction")
        messages = self.broker.read("meta.all")
        message = [message for message in messages if '"id":2' in message["key"]][0]
        self.assertEqual(message["key"], '{"schema":{"type":"struct","fields":[{"type":"int32","optional":false,'
                         '"field":"id"}],"optional":false,"name":"meta.shop.copied.Key"},"payload":{"id":2}}')
        value = json.loads(message["payload"])
        source, payload = value["payload"]["source"], value["payload"]
        self.assertEqual(list(payload), ["before", "after", "source", "transaction", "op", "ts_ms", "ts_us", "ts_ns"])
        self.assertEqual(list(source), ["version", "connector", "name", "ts_ms", "snapshot", "db", "sequence", "ts_us",
                                        "ts_ns", "schema", "table", "txId", "lsn", "xmin", "origin", "origin_lsn"])
        self.assertEqual({name: source[name] for name in (
            "version", "connector", "name", "snapshot", "db", "schema", "table", "xmin", "origin", "origin_lsn")}, {
                "version": "3.7.0.Final", "connector": "postgresql", "name": "meta", "snapshot": "false",
                "db": "postgres", "schema": "shop", "table": "copied", "xmin": None, "origin": None,
                "origin_lsn": None})
        self.assertEqual(source["ts_us"] // 1000, source["ts_ms"])
        self.assertEqual(source["ts_us"] * 1000, source["ts_ns"])
        self.assertLess(0, payload["ts_us"] - source["ts_us"])
        commit, lsn = map(int, json.loads(source["sequence"]))
        self.assertEqual(lsn, source["lsn"])
        self.assertLess(lsn, commit)
        self.assertGreater(source["txId"], 0)
        self.assertEqual((value["schema"]["name"], value["schema"]["version"]), ("meta.shop.copied.Envelope", 2))
        self.assertEqual([(field["field"], field.get("name")) for field in value["schema"]["fields"]], [
            ("before", "meta.shop.copied.Value"), ("after", "meta.shop.copied.Value"),
            ("source", "io.debezium.connector.postgresql.Source"), ("transaction", "event.block"), ("op", None),
            ("ts_ms", None), ("ts_us", None), ("ts_ns", None)])
        self.messages_check("meta")
        key, value, _ = self.read("meta.message")[0]
        self.assertEqual(key["payload"], {"prefix": "pre"})
        self.assertEqual(key["schema"]["name"], "io.debezium.connector.postgresql.MessageKey")
        self.assertEqual(list(value["payload"]), ["op", "ts_ms", "source", "transaction", "message"])
        self.assertEqual(value["payload"]["message"], {"prefix": "pre", "content": "Y29udGVudA=="})
        self.assertEqual((value["payload"]["op"], value["payload"]["source"]["table"]), ("m", ""))

    def messages_check(self, prefix):
        """Which of their transaction's changes messages are; END counts them."""
        found = [(key["payload"]["prefix"], value["payload"]) for key, value, _ in self.read(f"{prefix}.message")]
        orders = {"pre": [(1, 1)], "two": [(2, 1), (3, 2)], "out": [None]}
        for name, expected in orders.items():
            blocks = [(value["transaction"], value["source"]) for of, value in found if of == name]
            self.assertEqual([block and (block["total_order"], block["data_collection_order"]) for block, _ in blocks], expected)
            for block, source in blocks:
                self.assertEqual(block and block["id"], block and f"{source['txId']}:{source['lsn']}")
        ends = [value["payload"] for _, value, _ in self.read(f"{prefix}.transaction") if value["payload"]["status"] == "END"]
        counts = [(end["event_count"], {of["data_collection"]: of["event_count"] for of in end["data_collections"]}) for end in ends]
        self.assertIn((1, {"LOGICAL_DECODING_MESSAGE": 1}), counts)
        self.assertIn((3, {"shop.copied": 1, "LOGICAL_DECODING_MESSAGE": 2}), counts)
        self.assertIn((1, {"shop.copied": 1}), counts)

    def test_what_columns_have_beside_their_schema(self):
        """Labels of items and names below domains: of copied rows and changes, renamed and moved, behind a kill."""
        self.server.sql("CREATE EXTENSION citext SCHEMA public; CREATE TYPE shop.mood AS ENUM ('sad', 'ok');"
                        "CREATE DOMAIN shop.tag AS public.citext; CREATE DOMAIN shop.moods AS shop.mood[];"
                        "CREATE TABLE shop.beside (id integer PRIMARY KEY, gone integer, a shop.mood[], b shop.tag, c shop.moods);"
                        "INSERT INTO shop.beside VALUES (1, 1, '{sad,ok}', 'Ab', '{ok}')")
        narwal = self.narwal("beside", [{"prefix": "beside", "format": "debezium_json", "schemas": True, "unfit": "as_null"}],
                             ["shop.beside"])
        narwal.config["transforms"] = [{"tables": "shop.beside", "exclude_columns": ["gone"], "rename_columns": ["a=seen"]}]
        narwal.start().wait_caught_up()
        self.server.sql("INSERT INTO shop.beside VALUES (2, 1, '{}', '', '{ok,NULL}')")
        narwal.wait_caught_up()
        narwal.kill()
        self.server.sql("INSERT INTO shop.beside VALUES (3, 1, '{ok}', 'x', NULL)")
        self.server.sql("ALTER TYPE shop.mood ADD VALUE 'well'")
        narwal.start().wait_caught_up()
        self.server.sql("ALTER TABLE shop.beside DROP b; INSERT INTO shop.beside VALUES (4, 1, '{well}', '{well,sad}')")
        narwal.wait_caught_up()
        found = {value["payload"]["after"]["id"]: value for _, value, _ in self.read("beside.shop.beside")}
        self.assertEqual({key: value["payload"]["after"] for key, value in found.items()}, {
            1: {"id": 1, "seen": ["sad", "ok"], "b": "Ab", "c": ["ok"]}, 2: {"id": 2, "seen": [], "b": "", "c": None},
            3: {"id": 3, "seen": ["ok"], "b": "x", "c": None}, 4: {"id": 4, "seen": ["well"], "c": ["well", "sad"]}})
        for key, labels in ((1, "sad,ok"), (2, "sad,ok"), (3, "sad,ok,well"), (4, "sad,ok,well")):
            fields = {field["field"]: field for field in found[key]["schema"]["fields"][1]["fields"]}
            for name in ("seen", "c"):
                self.assertEqual(fields[name]["items"], {
                    "type": "string", "optional": False, "name": "io.debezium.data.Enum", "version": 1,
                    "parameters": {"allowed": labels}}, (key, name))
        self.assertNotIn("NW2719", narwal.log(whole=True))
        self.assertEqual(narwal.terminate(), 0)

    def test_a_value_without_room_is_refused(self):
        self.server.sql("CREATE TYPE shop.vector AS (a integer, b text)")
        self.server.sql("CREATE TABLE shop.unfit (id integer PRIMARY KEY, n numeric(5,2), x xid, v shop.vector)")
        narwal = self.narwal("unfit", [{"prefix": "unfit", "format": "debezium_json"}], ["shop.unfit"])
        narwal.start().wait_caught_up()
        self.server.sql("INSERT INTO shop.unfit VALUES (0, 1, '3', '(1,a)')")
        narwal.wait_caught_up()
        self.assertEqual(self.read("unfit.shop.unfit")[0][1]["after"], {"id": 0, "n": "ZA=="})
        self.assertIn("NW2719", narwal.log())
        self.assertIn("shop.unfit: column x is left out", narwal.log())
        self.assertIn("shop.unfit: column v is left out", narwal.log())
        self.server.sql("INSERT INTO shop.unfit VALUES (1, 'NaN')")
        narwal.wait("the table to stop", lambda: "NW2720" in narwal.log())
        self.assertIn("NW2720", narwal.call("table", "list")[1])
        self.assertEqual(narwal.terminate(), 0)


if __name__ == "__main__":
    check.main()
