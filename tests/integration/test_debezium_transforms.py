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


def value(name, **settings):
    return (CONNECT + f"transforms.{name}$Value", {key.replace("_", "."): text for key, text in settings.items()})


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
    # a key of other columns: here the expression is part, and ignores case
    "k": {**PLAIN, "message.key.columns": r"SMT\..*:rt,id"},
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
    # values, behind ExtractNewRecordState: masked, cast, times in other forms, fields renamed, left out and added
    "m": {**PLAIN, **chain(u=unwrap("rewrite", add_headers="op,table,source.db:base"),
                           h=("io.debezium.transforms.HeaderToValue",
                              {"headers": "__base,__op", "fields": "base,what", "operation": "move"}),
                           m=value("MaskField", fields="t,list,bool,f,i"), c=value("Cast", spec="part:string,n:string,stamp:string,bool:int8"),
                           z=value("TimestampConverter", field="zoned", target_type="unix", unix_precision="seconds",
                                   format="yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'"),
                           s=value("TimestampConverter", field="micro", target_type="string", unix_precision="microseconds",
                                   format="EEE, d MMM yyyy HH:mm:ss.SSS Z"),
                           r=value("ReplaceField", exclude="price,__deleted", renames="t:text,f:t"),
                           i=value("InsertField", static_field="by!", static_value=" me"))},
    "n": {**SCHEMAS, "time.precision.mode": "connect",
          **chain(u=unwrap("drop"), d=value("TimestampConverter", field="day", target_type="Timestamp"),
                  k=value("TimestampConverter", field="clock", target_type="string", format="hh:mm:ss a"),
                  s=value("TimestampConverter", field="stamp", target_type="Date"),
                  a=value("TimestampConverter", field="micro", target_type="Time"),
                  c=value("Cast", spec="i:int8,n:float64,f:int32,bool:string,raw:string,name:string,dflt:int16"),
                  o=value("ReplaceField", include="id,part,name,day,clock,stamp,micro,i,n,f,bool,raw,dflt,list"))},
    "o": {**SCHEMAS, "value.converter.replace.null.with.default": "false", "decimal.handling.mode": "string",
          **chain(u=unwrap("rewrite", add_fields="op"), t=value("TimestampConverter", field="micro", target_type="Timestamp",
                                                                unix_precision="microseconds"),
                  m=value("MaskField", fields="i,f,t,dflt", replacement="7.9", replace_null_with_default="false"),
                  c=value("Cast", spec="n:float32,__deleted:boolean,day:int64"))},
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
CREATE TABLE smt.kinds (id bigint PRIMARY KEY, part integer, name text, t text, list integer[], bool boolean, f double precision,
    i integer, n numeric(12,8), day date, clock time(3), stamp timestamp(3), micro timestamp, zoned timestamptz, raw bytea,
    dflt integer DEFAULT 300, price numeric(7,2));
INSERT INTO smt.kinds VALUES (1, 1, 'copied', 'a', '{1,NULL}', true, 1.5, 300, 0.00000012, '2024-02-29', '13:04:05.678', '2024-02-29 13:04:05.678',
    '2024-02-29 13:04:05.678901', '2024-02-29 13:04:05.678901+01', '\\x00ff', NULL, 1);
INSERT INTO smt.kinds (id, name) VALUES (2, 'none');
CREATE TABLE smt.hashed (id bigint PRIMARY KEY, part integer, name varchar(20), a text, b varchar(63), c char(12), d varchar(100));
INSERT INTO smt.hashed VALUES (1, 1, 'copied', 'copied ü😀', '', 'x', NULL);
INSERT INTO smt.marker VALUES (0)
"""
CHANGES = """
INSERT INTO smt.one SELECT n, n % 5, 'name ' || n, now(), n FROM generate_series(10, 60) n;
INSERT INTO smt.two SELECT n, n % 3, 'two ' || n FROM generate_series(10, 60) n;
INSERT INTO smt.kinds SELECT n, n % 3, 'name ' || n, repeat('ü', n), array[n], n % 2 = 0, n * 1e8 - 7.5, n * 100 - 4000, n * 1.00000007 - 40,
    '1999-12-31'::date + n * 37, '00:00:00.1'::time + n * interval '17 min', '1969-12-31 23:00:00'::timestamp + n * interval '3 min',
    '1969-12-31 23:00:00.000007'::timestamp + n * interval '2.000001 min', '2024-02-28 12:00:00+00'::timestamptz + n * interval '1.5 hours',
    decode(lpad(to_hex(n), 4, '0'), 'hex'), n, n FROM generate_series(10, 60) n;
UPDATE smt.kinds SET dflt = NULL, t = NULL, micro = '1500-02-28', stamp = '1582-10-04', i = NULL, n = 0 WHERE id IN (10, 11);
UPDATE smt.kinds SET id = id + 1000 WHERE id = 12;
DELETE FROM smt.kinds WHERE id IN (13, 14);
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
            self.assertGreater(equal, 100, (mode, unknown[:4]))
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
