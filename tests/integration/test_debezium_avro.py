#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Avro and CloudEvents from the real Debezium with Confluent's AvroConverter, and from narwal, with a real registry: the schemas
text for text, keys byte for byte, and all else field by field; also of what is sent beside rows.
"""
import base64
import collections
import json
import os
import re
import subprocess
import unittest

import test_debezium_modes as modes
from lab import avro, check, cluster, debezium, debezium_tables, kafka, registry
from lab.narwal import build

import confluent  # of tests/servers, as lab has put it into the path

AVRO = "io.confluent.connect.avro.AvroConverter"
CLOUD = "io.debezium.converters.CloudEventsConverter"
# Logical messages have a mode of their own, as what else is sent beside rows.
NAMES = {"schema.name.adjustment.mode": "avro", "field.name.adjustment.mode": "avro", "message.prefix.exclude.list": ".*"}
BOTH = {"key.converter": AVRO, "value.converter": AVRO, "key.converter.schema.registry.url": "URL",
        "value.converter.schema.registry.url": "URL", **NAMES}
IN_AVRO = {"value.converter": CLOUD, "value.converter.data.serializer.type": "avro", "value.converter.avro.schema.registry.url": "URL",
           "key.converter": modes.JSON, "key.converter.schemas.enable": "false", **NAMES}
SOME = {"schema.include.list": "", "table.include.list": ",".join(f"typed.{name}" for name in (
    "f0", "d0", "f1", "d1", "defaults", "large", "computed", "keyless", "nothing", "marker"))}
ONE = {"schema.include.list": "", "table.include.list": r"typed.one_.*,typed.marker", "transforms": "key",
       "transforms.key.type": "org.apache.kafka.connect.transforms.ExtractField$Key", "transforms.key.field": "id"}
ONES = {"text": "ä", "integer": "-7", "bigint": "1099511627776", "boolean": "t", "double precision": "1.5", "real": "2.5",
        "numeric(10,2)": "-12.34", "date": "2024-02-29", "timestamp": "2024-02-29 12:34:56.7", "bytea": "\\x00ff", "smallint": "3"}
CLOUDS = {
    "cj": {**SOME, **IN_AVRO, "value.converter.data.serializer.type": "json", "value.converter.json.schemas.enable": "false"},
    "ca": {**SOME, **IN_AVRO},
    "cw": {**SOME, **IN_AVRO, "value.converter.serializer.type": "avro"},
}
BESIDE = {mode: {**BOTH, "schema.include.list": "", "table.include.list": "typed.nothing,typed.marker", "message.prefix.exclude.list": "",
                 "provide.transaction.metadata": "true", "heartbeat.interval.ms": "1000", "notification.enabled.channels": "sink",
                 "notification.sink.topic.name": f"dbz_{mode}.notifications", "binary.handling.mode": contents}
          for mode, contents in (("am", "bytes"), ("ah", "hex"))}
TIMES = ("ts_ms", "ts_us", "ts_ns", "sequence", "timestamp")  # of the sending, or masked among rows too
MODES = {
    "ad": BOTH,
    "as": {**BOTH, **{name: value for name, value in modes.MODES["s"].items() if "converter" not in name}},
    "at": {**BOTH, "time.precision.mode": "structured"},
    "ak": {**BOTH, **ONE},
    "ax": {**SOME, **BOTH, **modes.UNWRAP, "transforms.unwrap.add.fields": "op,table,lsn,source.ts_ms",
           "transforms.unwrap.delete.tombstone.handling.mode": "rewrite"},
    **CLOUDS,
    **BESIDE,
}


# What narwal's modes are in test_debezium_modes, whose list of differences holds here, too.
LIKE = {"ad": "d", "as": "s", "at": "t", "ak": "d", "ax": "y", "cj": "d", "ca": "d", "cw": "d", "am": "d", "ah": "d"}
MASKED = ("id", "iodebeziumsequence")  # which have the sequence
MASKED_OF_COPIES = ("time", "iodebeziumtsms", "iodebeziumtsus", "iodebeziumtsns", "iodebeziumtxId", "iodebeziumlsn", "iodebeziumsnapshot")
# Those of a table without rows, whose schema narwal registers before there is any; of types that one of them leaves out, and
# numeric(5,-2); of defaults; and of a generated column, which Debezium copies. Debezium now and then takes the labels of another
# enum of the same name (typed.d2, f2).
KNOWN_SCHEMAS = rf"\.typed\.(t0|o({modes.ALONE})|defaults|computed|d2|f2)(-data)?-value"
KNOWN = (
    ("ad|as|at|ax", "typed.(d2|f2)", r"value-schema\..*allowed"),
    ("ad|as|at|ax", "typed.defaults", r"value-schema\.(fields\[0\]\.type\[1\]\.)?fields\[(34|38|46|52)\]\..*"),
)


def mode_has_avro(events):
    return bool(events) and "dataschema" in events[0]


def flat(event, data, prefix):
    """Paths and values; of the data each column is one."""
    found = {name: value.replace(prefix, "P") if isinstance(value, str) else value for name, value in event.items() if name != "data"}
    for side, image in data.items():
        found[f"value.{side}"] = image is not None
        found.update({f"value.{side}.{name}": value for name, value in (image or {}).items()})
    return found


def zigzag(number):
    number, out = (number << 1) ^ (number >> 63), b""
    while True:
        out, number = out + bytes([number & 127 | (128 if number > 127 else 0)]), number >> 7
        if not number:
            return out


class AvroTest(modes.ModesTest):
    test_every_type_in_every_mode = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        try:
            cls.registry = cls.enterClassContext(registry.Registry())
            cls.reader = avro.Reader(cls.registry)
            cls.plugins = confluent.plugins()
        except cluster.servers.Unavailable as error:
            raise unittest.SkipTest(str(error))

    def test_every_type(self):
        chosen = os.environ.get("NARWAL_MODES", ",".join(MODES)).split(",")
        self.met, self.unknown = set(), {}
        debezium_tables.setup(self.server)
        # With this default Avro takes no schema, and the connector ends.
        self.server.sql("ALTER TABLE typed.defaults ALTER e SET DEFAULT 1.5")
        for index, (kind, value) in enumerate(ONES.items()):
            self.server.sql(f"CREATE TABLE typed.one_{index} (id {kind} PRIMARY KEY, v integer);"
                            f"INSERT INTO typed.one_{index} VALUES ('{value}')")
        for statement in debezium_tables.load(0, copied=True):
            self.server.sql(statement)
        self.server.sql("INSERT INTO typed.marker VALUES (0)")
        self.begin(chosen)
        self.settle(chosen, 1)
        for statement in [*debezium_tables.load(5000), *debezium_tables.changes()]:
            self.server.sql(statement)
        for index in range(len(ONES)):
            self.server.sql(f"UPDATE typed.one_{index} SET v = 1; DELETE FROM typed.one_{index}")
        self.settle(chosen, 2)
        self.tables_change(chosen)
        self.server.sql("INSERT INTO typed.nothing (id) VALUES (9100), (9101); SELECT pg_logical_emit_message(true, 'app', 'ä');"
                        "INSERT INTO typed.marker VALUES (-2)")
        for transactional, content in (("true", ""), ("false", "\\x00ff3e")):
            self.server.sql(f"SELECT pg_logical_emit_message({transactional}, 'later', '{content}'::bytea)")
        self.settle(chosen, 6)
        for mode in chosen:
            self.compare(mode)
        self.assertFalse(self.unknown, "\n".join(["", *list(self.unknown.values())[:60]]))
        for narwal in self.narwals.values():
            self.assertEqual(narwal.terminate(), 0)

    def begin(self, chosen):
        common = {"schema.include.list": "typed", "topic.creation.default.partitions": "1",
                  "topic.creation.default.replication.factor": "1"}
        described = {mode: {name: value.replace("URL", self.registry.url) for name, value in {**common, **MODES[mode]}.items() if value}
                     for mode in chosen}
        self.other = self.enter(debezium.Debezium(self.server, self.broker, f"dbz_{chosen[0]}", described[chosen[0]], heap="1g",
                                                  worker={"plugin.path": self.plugins}))
        self.other.start().wait_streaming()
        for mode in chosen[1:]:
            self.other.add(f"dbz_{mode}", described[mode])
        self.other.wait_streaming(300)
        self.narwals = {mode: self.enter(modes.Imported(self.server, self.broker, self.other.url_of(f"dbz_{mode}"), mode))
                        for mode in chosen}
        for narwal in self.narwals.values():
            narwal.start().wait_caught_up()

    def tables_change(self, chosen):
        """One by one, as Debezium reads the catalog as it is then."""
        steps = ("ADD w numeric(6,2) DEFAULT 1.5, ADD x text NOT NULL DEFAULT 'new'", "ALTER v TYPE bigint", "DROP COLUMN t")
        for at, step in enumerate(steps):
            self.server.sql(f"ALTER TABLE typed.nothing {step}")
            self.server.sql(f"INSERT INTO typed.nothing (id) VALUES ({9000 + at})")
            self.settle(chosen, 3 + at)

    def compare(self, mode):
        if mode in CLOUDS:
            self.compare_events(mode)
        elif mode in BESIDE:
            self.compare_beside(mode)
        else:
            self.judge(mode, self.report(mode))
            self.compare_keys(mode)
        self.compare_schemas(mode)

    def compare_beside(self, mode):
        self.judge(mode, {"topics": [topic for topic in self.report(mode)["topics"] if topic["topic"].startswith("typed.")]})
        theirs, ours = (self.messages(side, mode, "message") for side in ("dbz", "nw"))
        self.assertGreater(len(theirs), 3)
        self.assertEqual(theirs, ours)
        keys = [[message[3][5:] for message in avro.read(self.broker, f"{side}_{mode}.message")] for side in ("dbz", "nw")]
        self.assertEqual(*keys)
        theirs, ours = (self.transactions(side, mode) for side in ("dbz", "nw"))
        self.assertEqual(theirs, ours)
        self.assertIn(4, [end["event_count"] for _, end in ours])
        theirs, ours = (self.reader.topic(self.broker, f"__debezium-heartbeat.{side}_{mode}")[-1] for side in ("dbz", "nw"))
        self.assertEqual([theirs[0], ours[0]], [{"serverName": f"{side}_{mode}"} for side in ("dbz", "nw")])
        self.assertLess(abs(theirs[1].pop("ts_ms") - ours[1].pop("ts_ms")), 60000)
        self.assertEqual(theirs[1], ours[1])
        theirs, ours = (self.messages(side, mode, "notifications") for side in ("dbz", "nw"))
        self.assertEqual({value["type"] for _, value in theirs}, {value["type"] for _, value in ours})
        for key, value in (*theirs, *ours):
            self.assertEqual((key["id"], list(value)), (value["id"], list(theirs[0][1])))
            self.assertEqual(value["additional_data"]["connector_name"], "P")
        for part in ("key", "value"):
            theirs, ours = (self.registry.get(f"/subjects/__debezium-heartbeat.{side}_{mode}-{part}/versions/1")["schema"]
                            for side in ("dbz", "nw"))
            self.assertEqual(theirs, ours)

    def messages(self, side, mode, topic):
        """Keys and values, without what is each one's own."""
        found = json.loads(json.dumps(self.reader.topic(self.broker, f"{side}_{mode}.{topic}")).replace(f"{side}_{mode}", "P"))
        for _, value in found:
            for part in (value, value.get("source", {}), value.get("transaction") or {}):
                for name in (*TIMES, *(("id",) if part is value.get("transaction") else ())):
                    part.pop(name, None)
        return found

    def transactions(self, side, mode):
        """BEGIN and END of those that have messages."""
        found = collections.defaultdict(list)
        said = json.dumps(self.reader.topic(self.broker, f"{side}_{mode}.transaction"))
        # Each message is one of its own with Debezium: the name of a Java object.
        for key, value in json.loads(re.sub(r"[\w.$]+\$LogicalDecodingMessageId@\w+", "LOGICAL_DECODING_MESSAGE", said)):
            self.assertEqual(key, {"id": value["id"]})
            value.pop("ts_ms")
            if value["data_collections"]:
                value["data_collections"].sort(key=lambda count: count["data_collection"])
            found[value.pop("id").partition(":")[0]].append(value)
        return [sorted(pair, key=lambda value: value["status"]) for _, pair in sorted(found.items())
                if "LOGICAL_DECODING_MESSAGE" in str(pair)]

    def compare_keys(self, mode):
        """Their bytes behind the schema's number, of all messages of a topic."""
        for topic in sorted(name.partition(".")[2] for name in self.broker.topics() if name.startswith(f"dbz_{mode}.")):
            theirs, ours = (collections.Counter(message[3][5:] for message in avro.read(self.broker, f"{side}_{mode}.{topic}")
                                                if message[3]) for side in ("dbz", "nw"))
            for key in {*theirs, *ours}:
                if theirs[key] != ours[key]:
                    self.differs(mode, topic, f"key bytes only {'A' if theirs[key] > ours[key] else 'B'}", "", key, theirs[key], ours[key])

    def report(self, mode):
        result = subprocess.run([str(build() / "narwal"), "diff-topics", f"dbz_{mode}", f"nw_{mode}", "--brokers",
                                 self.broker.address, "--registry", self.registry.url, "--show", "1000", "--json"], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        self.assertIn(result.returncode, (0, 1), result.stderr)
        return json.loads(result.stdout)

    def judge(self, mode, report):
        for topic in report["topics"]:
            for difference in topic["differences"]:
                alone = f"only {'A' if difference['a'] else 'B'}" if None in (difference["a"], difference["b"]) else "no path"
                for path in [entry["path"] for entry in difference["paths"]] or [alone]:
                    said = [entry for entry in difference["paths"] if entry["path"] == path]
                    self.differs(mode, topic["topic"], path, difference["op"], difference["key"], said, "")

    def compare_schemas(self, mode):
        def texts(prefix):
            return {subject[len(prefix):]: [self.registry.get(f"/subjects/{subject}/versions/{version}")["schema"].replace(prefix, "P")
                                            for version in self.registry.versions(subject)]
                    for subject in self.registry.subjects() if subject.startswith(prefix)}
        theirs, ours = texts(f"dbz_{mode}"), texts(f"nw_{mode}")
        equal = [subject for subject in theirs if theirs[subject] == ours.get(subject)]
        self.assertGreaterEqual(len(equal), len(theirs) / 2, mode)
        for subject in sorted({*theirs, *ours}):
            if subject not in equal and not re.fullmatch(KNOWN_SCHEMAS, subject):
                self.unknown[(mode, subject)] = f"{mode} {subject}\n   {theirs.get(subject)}\n   {ours.get(subject)}"[:3000]

    def compare_events(self, mode):
        """Events of each key in their order, decoded; copied rows have no order."""
        whole = mode == "cw"
        for topic in sorted(name.partition(".")[2] for name in self.broker.topics() if name.startswith(f"dbz_{mode}.")):
            theirs, ours = (self.events(f"{side}_{mode}", topic, whole) for side in ("dbz", "nw"))
            for key in sorted({*theirs, *ours}, key=str):
                a, b = theirs.get(key, []), ours.get(key, [])
                if len(a) != len(b):
                    self.differs(mode, topic, "only A" if len(a) > len(b) else "only B", "", key, a, b)
                for left, right in zip(a, b):
                    self.compare_event(mode, topic, key, left, right)

    def compare_event(self, mode, topic, key, left, right):
        if left is None or right is None:
            if left is not right:
                self.differs(mode, topic, "value", "", key, left, right)
            return
        operation = left.get("iodebeziumop", "")
        for path in sorted({*left, *right}):
            a, b = left.get(path, "absent"), right.get(path, "absent")
            if path not in MASKED and repr(a) != repr(b) and not (operation == "r" and path in MASKED_OF_COPIES):
                self.differs(mode, topic, path, operation, key, a, b)

    def differs(self, mode, topic, path, operation, key, a, b):
        met = [index for index, rule in enumerate(modes.KNOWN) if modes.fits(rule, LIKE[mode], topic, path, operation)]
        met += [rule for rule in KNOWN if all(re.fullmatch(*pair) for pair in zip(rule, (mode, topic, path)))]
        if not met:
            place = (mode, topic, path, operation)
            self.unknown.setdefault(place, f"{place} {str(key)[:80]}\n   {a}\n   {b}"[:700])

    def events(self, prefix, topic, whole):
        """By key; each as paths and values, with what is in data beside the attributes."""
        messages = avro.read(self.broker, f"{prefix}.{topic}")
        values = [message[4] for message in messages if message[4] is not None]
        events = self.reader.decode(values, as_bytes=True) if whole else [json.loads(value, parse_float=str) for value in values]
        data = None
        if mode_has_avro(events):
            raw = [bytes.fromhex(event["data"]["hex"]) if whole else base64.b64decode(event["data"]) for event in events]
            for event, one in zip(events, raw):
                event["dataschema"] = re.sub(r"\d+$", "N", event["dataschema"])
            data = self.reader.decode(raw, as_bytes=True)
        decoded = iter(zip(events, data or [event.get("data") for event in events]))
        found = collections.defaultdict(list)
        for *_, key, value in messages:
            if key is None and value is None:  # a tombstone without a key
                continue
            found[(key or b"").replace(prefix.encode(), b"P")].append(None if value is None else flat(*next(decoded), prefix))
        return found

    def there(self, topic, mark):
        if topic not in self.broker.topics():
            return False
        return any(f'"id":{mark}'.encode() in (key or b"") or (key or b"")[5:] == zigzag(mark)
                   for *_, key, _ in avro.read(self.broker, topic))


if __name__ == "__main__":
    check.main()
