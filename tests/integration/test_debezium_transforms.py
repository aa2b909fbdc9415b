#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Connect's transforms and converters of keys, and Debezium's hashes of columns, from the real Debezium and from narwal, whose configuration is what
`narwal import-debezium` makes of the connector; `narwal diff-topics` finds nothing.
"""
import os

import test_debezium_modes as modes
from lab import check, debezium

CONNECT = "org.apache.kafka.connect."
JSON = CONNECT + "json.JsonConverter"
PLAIN = {"key.converter": JSON, "value.converter": JSON, "key.converter.schemas.enable": "false",
         "value.converter.schemas.enable": "false"}
SCHEMAS = {"key.converter": JSON, "value.converter": JSON}


def chain(**transforms):
    """alias=(class, {setting: value}) in their order."""
    made = {"transforms": ",".join(transforms)}
    for alias, (name, settings) in transforms.items():
        made[f"transforms.{alias}.type"] = name
        made.update({f"transforms.{alias}.{key}": value for key, value in settings.items()})
    return made


def unwrap(deletes, **more):
    return ("io.debezium.transforms.ExtractNewRecordState",
            {"delete.tombstone.handling.mode": deletes, **{key.replace("_", "."): value for key, value in more.items()}})


def field(name):
    return (CONNECT + "transforms.ExtractField$Key", {"field": name})


def logical(regex, replacement, **more):
    return ("io.debezium.transforms.ByLogicalTableRouter",
            {"topic.regex": regex, "topic.replacement": replacement,
             **{key.replace("_", "."): value for key, value in more.items()}})


PREDICATE = {"predicates": "beats", "predicates.beats.type": CONNECT + "transforms.predicates.TopicNameMatches",
             "predicates.beats.pattern": "__debezium-heartbeat.*"}
MODES = {
    # the key's one value, as it is, with a schema, as text, and as eight bytes
    "p": {**PLAIN, **chain(id=field("id"))},
    "q": {**SCHEMAS, **chain(id=field("id"))},
    "r": {**PLAIN, "key.converter": CONNECT + "storage.StringConverter", "heartbeat.interval.ms": "60000", **PREDICATE,
          **chain(id=(field("id")[0], {"field": "id", "predicate": "beats", "negate": "true"}))},
    "l": {**SCHEMAS, "key.converter": CONNECT + "converters.LongConverter", **chain(id=field("id"))},
    # a key of several as text; keys without schemas beside values with
    "s": {**PLAIN, "key.converter": CONNECT + "storage.StringConverter"},
    "j": {**SCHEMAS, "key.converter.schemas.enable": "false"},
    # a key of other columns
    "v": {**PLAIN, **chain(u=unwrap("rewrite", add_fields="op"),
                           k=(CONNECT + "transforms.ValueToKey", {"fields": "part,id"}))},
    "w": {**SCHEMAS, "tombstones.on.delete": "false",
          **chain(u=unwrap("drop"), k=(CONNECT + "transforms.ValueToKey", {"fields": "name,part"}), f=field("name"))},
    # several tables in one topic, told apart by a field
    "t": {**SCHEMAS, **chain(r=logical(r"(dbz_t|nw_t)\.smt\.(?:one|two)", "$1.smt.both", key_field_regex=r"(.*)\.(one|two)",
                                       key_field_replacement="$2"))},
    "u": {**SCHEMAS, **chain(r=logical(r"(dbz_u|nw_u)\.smt\.(?:one|two)", "$1.smt.both", key_enforce_uniqueness="false"),
                             u=unwrap("tombstone"))},
    "x": {**PLAIN, "key.converter": CONNECT + "storage.StringConverter",
          **chain(u=unwrap("delete-to-tombstone"), r=logical(r"(dbz_x|nw_x)\.smt\.(.*)", "$1.smt.both", key_field_name="of",
                                                   key_field_regex=r"(.*)\.(.*)", key_field_replacement="$2"))},
    # hashes, cut to the column
    "g": {**PLAIN, "column.mask.hash.v2.SHA-256.with.salt.pepper": "smt\\.hashed\\.(a|b|c|d|name)"},
    "h": {**PLAIN, "column.mask.hash.SHA-256.with.salt.pepper": "smt\\.hashed\\.(a|b|c|d|name)"},
}
SETUP = """
CREATE SCHEMA smt;
CREATE TABLE smt.one (id bigint PRIMARY KEY, part integer NOT NULL DEFAULT 7, name text, at timestamptz, price numeric(7,2));
CREATE TABLE smt.two (id bigint, part smallint, name varchar(20) DEFAULT 'no' NOT NULL, PRIMARY KEY (part, id));
ALTER TABLE smt.two REPLICA IDENTITY FULL;
CREATE TABLE smt.marker (id bigint PRIMARY KEY, part integer, name text);
INSERT INTO smt.one VALUES (1, 1, 'copied ü', '2024-02-29', 1.5), (2, DEFAULT, NULL, NULL, NULL);
INSERT INTO smt.two VALUES (1, 1, 'copied');
CREATE TABLE smt.hashed (id bigint PRIMARY KEY, part integer, name varchar(20), a text, b varchar(63), c char(12), d varchar(100));
INSERT INTO smt.hashed VALUES (1, 1, 'copied', 'copied ü😀', '', 'x', NULL);
INSERT INTO smt.marker VALUES (0)
"""
CHANGES = """
INSERT INTO smt.one SELECT n, n % 5, 'name ' || n, now(), n FROM generate_series(10, 60) n;
INSERT INTO smt.two SELECT n, n % 3, 'two ' || n FROM generate_series(10, 60) n;
INSERT INTO smt.hashed SELECT n, n % 3, 'name ' || n, repeat('ü😀', n), 'b', 'c' || n, 'd' FROM generate_series(10, 20) n;
INSERT INTO smt.hashed VALUES (30, 1, 'n', repeat('x', 65536), 'b', 'c', 'd');
UPDATE smt.hashed SET name = NULL WHERE id < 15;
UPDATE smt.one SET name = '😀 "x"', part = 3 WHERE id IN (1, 10, 20);
UPDATE smt.two SET name = name || '!', part = part + 10 WHERE id < 20;
UPDATE smt.one SET id = id + 1000 WHERE id IN (11, 12);
UPDATE smt.two SET id = id + 1000 WHERE id = 30;
DELETE FROM smt.one WHERE id IN (2, 13, 14);
DELETE FROM smt.two WHERE id IN (40, 41)
"""


class TransformsTest(modes.ModesTest):
    test_every_type_in_every_mode = None

    def test_transforms_of_keys(self):
        os.environ["NARWAL_SALT"] = "pepper"
        names = os.environ.get("NARWAL_MODES", "".join(MODES))
        for statement in SETUP.split(";"):
            self.server.sql(statement)
        common = {"schema.include.list": "smt", "topic.creation.default.partitions": "3",
                  "topic.creation.default.replication.factor": "1"}
        self.other = self.enter(debezium.Debezium(
            self.server, self.broker, f"dbz_{names[0]}", {**common, **MODES[names[0]]}, heap="1g"))
        self.other.start().wait_streaming()
        for mode in names[1:]:
            self.other.add(f"dbz_{mode}", {**common, **MODES[mode]})
        self.other.wait_streaming(300)
        self.narwals = {mode: self.enter(modes.Imported(self.server, self.broker, self.other.url_of(f"dbz_{mode}"), mode))
                        for mode in names}
        for narwal in self.narwals.values():
            narwal.start().wait_caught_up()
        for statement in CHANGES.split(";"):
            self.server.sql(statement)
        self.settle(names, 1)
        unknown = []
        for mode in names:
            equal = 0
            for topic in self.report(mode)["topics"]:
                equal += topic["equal"]
                unknown += [f"{mode} {topic['topic']} {entry}"[:900] for entry in topic["differences"]
                            if not self.known(mode, {path["path"] for path in entry["paths"]})]
            self.assertGreater(equal, 100, mode)
        self.assertEqual(unknown, [], "\n".join(["", *unknown[:20]]))
        for narwal in self.narwals.values():
            self.assertEqual(narwal.terminate(), 0)

    @staticmethod
    def known(mode, paths):
        """Which copied row is the last, and in mode u deletes that are a schema around NULL: docs/debezium.md."""
        return paths == {"value.source.snapshot"} or (mode == "u" and paths == {"value", "value-schema"})

    def settle(self, names, mark):
        """Until both have everything, in every mode."""
        self.server.sql("INSERT INTO smt.marker VALUES (%s, 1, %s)", (mark, f"mark {mark}"))
        for mode in names:
            self.narwals[mode].wait_caught_up()
            self.other.wait(f"{mode}: Debezium's last event", lambda: self.there(f"dbz_{mode}.smt.", f'"mark {mark}"'), 300)

    def there(self, prefix, text):
        return any(text in (message["payload"] or "") for topic in self.broker.topics() if topic.startswith(prefix)
                   for message in self.broker.read(topic))


del modes.ModesTest

if __name__ == "__main__":
    check.main()
