#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every type in every mode, copied and changed, from the real Debezium and from narwal, whose configuration is what
`narwal import-debezium` makes of the connector; `narwal diff-topics` finds nothing but what docs/debezium.md lists.
"""
import json
import os
import re
import subprocess
import time
import unittest

from lab import check, cluster, debezium, debezium_tables, kafka
from lab.narwal import Narwal, build

JSON = "org.apache.kafka.connect.json.JsonConverter"
SCHEMAS = {"key.converter": JSON, "value.converter": JSON}  # with schemas, as is Connect's default
PLAIN = {**SCHEMAS, "key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false"}
UNWRAP = {"transforms": "unwrap", "transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState"}
MODES = {
    "d": {**SCHEMAS},
    "s": {**SCHEMAS, "decimal.handling.mode": "string", "time.precision.mode": "connect", "interval.handling.mode": "string",
          "hstore.handling.mode": "map", "binary.handling.mode": "base64", "schema.name.adjustment.mode": "avro",
          "field.name.adjustment.mode": "avro", "include.unknown.datatypes": "true"},
    "f": {**SCHEMAS, "decimal.handling.mode": "double", "time.precision.mode": "microseconds", "binary.handling.mode": "hex",
          "schema.name.adjustment.mode": "avro_unicode", "field.name.adjustment.mode": "avro_unicode",
          "include.unknown.datatypes": "true", "skipped.operations": "none"},
    "u": {**SCHEMAS, "time.precision.mode": "adaptive_time_microseconds", "binary.handling.mode": "base64-url-safe",
          "include.unknown.datatypes": "true", "money.fraction.digits": "4"},
    "i": {**SCHEMAS, "time.precision.mode": "isostring", "value.converter.decimal.format": "NUMERIC",
          "key.converter.decimal.format": "NUMERIC", "value.converter.replace.null.with.default": "false",
          "include.unknown.datatypes": "true"},
    "n": {**SCHEMAS, "time.precision.mode": "nanoseconds", "unavailable.value.placeholder": "none ü😀",
          "provide.transaction.metadata": "true", "extended.headers.enabled": "false"},
    "p": {**PLAIN, "tombstones.on.delete": "false", "skipped.operations": "none", "unavailable.value.placeholder": "gone",
          "message.key.columns": "typed.keyless:id,v;typed.f0:id,c1", "money.fraction.digits": "0"},
    "x": {**PLAIN, **UNWRAP, "transforms.unwrap.add.fields": "op,table,lsn,source.ts_ms", "transforms.unwrap.add.headers": "db",
          "transforms.unwrap.delete.tombstone.handling.mode": "rewrite"},
    "y": {**SCHEMAS, **UNWRAP, "value.converter.replace.null.with.default": "false", "decimal.handling.mode": "string"},
    "t": {**SCHEMAS, "time.precision.mode": "structured"},
}
# What is different, as docs/debezium.md lists it: modes, topic, path, and what is done ("": anything). The rest is equal.
# A column's path by its type; before and after are "image".
def of_type(*types):
    numbers = [str(index) for index, kind in enumerate(debezium_tables.KINDS) if kind["type"] in types]
    return rf"image\.c({'|'.join(numbers)})(\[\d+\])?(\.\w+)?"


ALL = "".join(MODES)
SCHEMAED = "dsfuinyt"
ALONE = "|".join(str(index) for index, kind in enumerate(debezium_tables.KINDS) if debezium_tables.has_own_schema(kind))
KNOWN = (
    # copied rows: which is first and last is not said beforehand, and what Java's driver makes of dates
    (ALL, ".*", r"value\.source\.snapshot", "r"),
    (ALL, ".*", of_type("date", "other.day"), "r"),
    (ALL, "typed.defaults", r"image\.ba", "r"),
    (ALL, "typed.computed", r"image\.twice", "r"),
    (SCHEMAED, "typed.computed", r"value-schema\..*", "r"),
    # flattened deletes with a schema around NULL, which is no tombstone
    ("y", ".*", "value(-schema)?", ""),
    # from the stream
    (ALL, ".*", of_type("name"), "[cud]"),
    # values
    (ALL, ".*", of_type("real"), ""),
    ("dsfupxy", ".*", of_type("interval"), ""),
    ("dsfuinpxy", ".*", of_type("timetz", "timestamp", "text[]", "character varying(20)[]", "numeric[]", "numeric(12,2)[]",
                        "date[]", "time[]", "timestamp[]", "timestamptz[]"), ""),
    ("it", ".*", of_type("time", "time(0)"), ""),
    ("t", ".*", of_type("text[]", "character varying(20)[]", "numeric[]", "numeric(12,2)[]", "date[]", "time[]", "timestamp[]",
                        "timestamptz[]"), ""),
    ("sfui", ".*", of_type("regprocedure"), ""),
    ("su", "typed.large", r"image\.l3", "[uc]"),
    (ALL, "typed.large", r"image\.l36(\..*)?", "[uc]"),
    # types that are left out, or are not, and numeric(5,-2)
    (ALL, rf"typed.o({ALONE})", r"image\.c\d+.*", ""),
    (SCHEMAED, rf"typed.o({ALONE})", r"value-schema\..*", ""),
    # defaults
    (ALL, "typed.defaults", r"image\.(ah|al|ba|au)(\.\w+)?", ""),
    (SCHEMAED, "typed.defaults", r"value-schema\.(fields\[\d\]\.)?fields\[(34|38|46|52)\]\.default", ""),
    # headers
    ("dunpxit", "typed.(by_index|keys)", r"header\.__debezium\.(new|old)key\.(n|k15|k22)", ""),
    ("s", "typed.keys", r"header\.__debezium\.(new|old)key.*", ""),
    # tombstones without a key
    ("dsfut", "typed.(keyless|unique_later)", "only A", "tombstone"),
    ("y", "typed.(keyless|unique_later)", "only A", ""),
    # an update of a key is one change of its transaction, and BEGIN and END have one place
    ("n", r"typed\..*", r"value\.transaction(\..*)?", ""),
    ("n", "transaction", "only [AB]", ""),
)
EXACT = "ni"  # where narwal has `compat: exact`
SERVER = {"bytea_output": "hex", "intervalstyle": "postgres", "datestyle": "ISO, MDY", "timezone": "UTC",
          "max_replication_slots": "50", "max_wal_senders": "50", "max_connections": "200"}


def fits(rule, mode, topic, path, op):
    modes, topics, paths, ops = rule
    flat = mode in "xy" and not path.startswith("value.source.")
    path = re.sub(r"^value\." if flat else r"^value\.(before|after)\.", "image.", path)
    return (mode in modes and re.fullmatch(topics, topic) and re.fullmatch(paths, path)
            and (not ops or flat or re.fullmatch(ops, op)))


class Imported(Narwal):
    """What the connector `dbz_MODE` becomes, with other names of its slot, its publication and its topics."""

    def __init__(self, server, broker, url, mode):
        super().__init__(server, name=f"nw_{mode}", settings={"sinks": []})
        result = subprocess.run([str(build() / "narwal"), "import-debezium", url, "--brokers", broker.address, "-o", "-"],
                                text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                                env={**os.environ, "NARWAL_PLUGIN_DIR": str(build() / "plugins")})
        if result.returncode != 0:
            raise AssertionError(f"{mode}: {result.stdout}{result.stderr}")
        self.text = result.stdout.replace(f"dbz_{mode}", f"nw_{mode}")
        if mode in EXACT:
            self.text = re.sub(r"^( +)(null_as_default:)", r"\1compat: exact\n\1\2", self.text, count=1, flags=re.M)
            assert "compat: exact" in self.text, self.text

    def write(self):
        extra = {key: self.config[key] for key in ("state_dir", "plugin_dir", "log")}
        self.file.write_text(self.text + "\n" + "".join(f"{key}: {json.dumps(value)}\n" for key, value in extra.items()))

    def wait_caught_up(self, seconds=600):
        self.wait("everything durable", lambda: self.call("wait", "--timeout", "5s")[0] == 0, seconds)
        return self


class ModesTest(check.Case):
    @classmethod
    def setUpClass(cls):
        os.environ.setdefault("NARWAL_PASSWORD", "unused")
        try:
            cls.broker = cls.enterClassContext(kafka.Broker(**{"num.partitions": "3"}))
            cls.server = cls.enterClassContext(cluster.Cluster(check.version(), SERVER))
        except cluster.servers.Unavailable as error:
            raise unittest.SkipTest(str(error))

    def test_every_type_in_every_mode(self):
        modes = os.environ.get("NARWAL_MODES", "".join(MODES))
        self.met, self.unknown = set(), {}
        debezium_tables.setup(self.server)
        for statement in debezium_tables.load(0, copied=True):
            self.server.sql(statement)
        self.server.sql("INSERT INTO typed.marker VALUES (0)")
        common = {"schema.include.list": "typed", "topic.creation.default.partitions": "3",
                  "topic.creation.default.replication.factor": "1"}
        self.other = self.enter(debezium.Debezium(
            self.server, self.broker, f"dbz_{modes[0]}", {**common, **MODES[modes[0]]}, heap="1g"))
        self.other.start().wait_streaming()
        for mode in modes[1:]:
            self.other.add(f"dbz_{mode}", {**common, **MODES[mode]})
        self.other.wait_streaming(300)
        self.narwals = {mode: self.enter(Imported(self.server, self.broker, self.other.url_of(f"dbz_{mode}"), mode))
                        for mode in modes}
        for narwal in self.narwals.values():
            narwal.start().wait_caught_up()
        self.settle(modes, 1)
        for statement in [*debezium_tables.load(5000), *debezium_tables.changes()]:
            self.server.sql(statement)
        self.settle(modes, 2)
        self.index_comes_and_goes(modes)
        for mode in modes:
            self.judge(mode, self.settled_report(mode))
        self.assertFalse(self.unknown, "\n".join(["", *list(self.unknown.values())[:40]]))
        if modes == "".join(MODES):
            self.assertEqual([rule for index, rule in enumerate(KNOWN) if index not in self.met], [], "is not different any more")
        for narwal in self.narwals.values():
            self.assertEqual(narwal.terminate(), 0)

    def index_comes_and_goes(self, modes):
        """Both look at the catalog when the table is next changed: so not before that has been seen."""
        steps = ("CREATE UNIQUE INDEX unique_later_1 ON typed.unique_later (code, id)", "DROP INDEX typed.unique_later_1")
        for at, step in enumerate(steps):
            self.server.sql(step)
            self.server.sql(f"INSERT INTO typed.unique_later VALUES ({9000 + at}, 1, 'new'); UPDATE typed.unique_later SET v = {at}"
                            f" WHERE id = 5000; DELETE FROM typed.unique_later WHERE id = {5001 + at}")
            self.settle(modes, 3 + at)

    def paths_known(self, mode, report):
        """Of each path that differs: its topic, the difference, the path, and the rules that know it."""
        for topic in report["topics"]:
            for difference in topic["differences"]:
                for path in [entry["path"] for entry in difference["paths"]] or [f"only {'A' if difference['a'] else 'B'}"]:
                    yield topic, difference, path, [index for index, rule in enumerate(KNOWN)
                                                    if fits(rule, mode, topic["topic"], path, difference["op"])]

    def settled_report(self, mode):
        """Ends of transactions, and what a producer sent with the mark to other topics, may be seen later than the mark."""
        until = time.monotonic() + 60
        report = self.report(mode)
        while time.monotonic() < until and not all(met for *_, met in self.paths_known(mode, report)):
            time.sleep(3)
            report = self.report(mode)
        return report

    def judge(self, mode, report):
        """Takes down what no rule knows."""
        for topic, difference, path, met in self.paths_known(mode, report):
            self.met.update(met)
            if not met:
                place = (mode, topic["topic"], path, difference["op"])
                said = [entry for entry in difference["paths"] if entry["path"] == path]
                self.unknown.setdefault(place, f"{place} {difference['key'][:60]} {said}"[:600])
        for topic in report["topics"]:
            told = topic["different"] + sum(topic["only"])
            self.assertEqual(len(topic["differences"]), min(told, 1000), topic["topic"])
        self.assertGreater(sum(topic["equal"] for topic in report["topics"]), 300, mode)

    def settle(self, modes, mark):
        """Until both have everything, in every mode."""
        self.server.sql("INSERT INTO typed.marker VALUES (%s)", (mark,))
        for mode in modes:
            self.narwals[mode].wait_caught_up()
            self.other.wait(f"{mode}: Debezium's last event", lambda: self.there(f"dbz_{mode}.typed.marker", mark), 300)

    def there(self, topic, mark):
        return topic in self.broker.topics() and any(f'"id":{mark}' in (message["key"] or "")
                                                     for message in self.broker.read(topic))

    @staticmethod
    def masks(mode):
        """Without defaults instead of NULL Debezium's changes have no source.snapshot, which is false."""
        return ("--mask", "source.snapshot") if mode == "y" else ()

    def report(self, mode):
        result = subprocess.run([str(build() / "narwal"), "diff-topics", f"dbz_{mode}", f"nw_{mode}", "--brokers",
                                 self.broker.address, "--show", "1000", "--json", *self.masks(mode)], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        self.assertIn(result.returncode, (0, 1), result.stderr)
        return json.loads(result.stdout)


if __name__ == "__main__":
    check.main()
