#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What people do to tables and set at connectors, a small scenario each (lab/debezium_scenarios.py, debezium_properties.py), read by the real
Debezium and by narwal, whose configuration is what `narwal import-debezium` makes of the connector; `narwal diff-topics`
finds nothing but what the scenario says.
"""
import os
import re
import time
import unittest
import urllib.request

import test_debezium_modes as modes
from lab import check, cluster, debezium, debezium_corners, debezium_properties, debezium_scenarios, kafka

PREPARED = {**modes.SERVER, "max_replication_slots": "400", "max_wal_senders": "100", "max_prepared_transactions": "20"}
# Which copied row is the first and the last, and when a message outside of a transaction was read.
EVERYWHERE = ((".*", r"value\.source\.snapshot", "r"), ("message", r"value\.source\.ts_.*", "m"))


class ScenariosTest(modes.ModesTest):
    test_every_type_in_every_mode = None

    @classmethod
    def setUpClass(cls):
        os.environ.setdefault("NARWAL_PASSWORD", "unused")
        os.environ.setdefault("NARWAL_SALT", debezium_scenarios.SALT)
        try:
            cls.broker = cls.enterClassContext(kafka.Broker(**{"num.partitions": "3"}))
            cls.server = cls.enterClassContext(cluster.Cluster(check.version(), PREPARED))
        except cluster.servers.Unavailable as error:
            raise unittest.SkipTest(str(error))
        cls.server.sql(debezium_scenarios.SHARED)
        cls.other = cls.enterClassContext(debezium.Debezium(cls.server, cls.broker, "none", {}, heap="1g"))
        cls.other.connectors = []
        cls.other.start().wait("Connect", cls.answers)

    @classmethod
    def answers(cls):
        try:
            return urllib.request.urlopen(cls.other.url_of(""), timeout=10).status == 200
        except OSError:
            return False

    def play(self, scenarios):
        wanted = os.environ.get("NARWAL_SCENARIOS", "").split()
        scenarios = [one for one in scenarios if not wanted or one.name in wanted]
        self.going, self.narwals = {one.name: one for one in scenarios}, {}
        for one in scenarios:
            for statement in one.setup:
                self.server.sql(statement)
        self.each(lambda one: self.other.add(f"dbz_{one.name}", one.properties))
        self.addCleanup(self.end, list(self.other.connectors))
        self.each(lambda one: self.wait_other(one, "the copy", lambda: one.copied(self.server)))
        self.each(self.begin)
        self.each(lambda one: self.narwals[one.name].wait_caught_up(90))
        for mark in range(1, 1 + max((len(one.rounds) for one in scenarios), default=0)):
            self.each(lambda one: self.do(one, mark))
            self.each(lambda one: self.settle_one(one, mark))
        self.each(self.compare)
        self.each(lambda one: self.assertEqual(self.narwals[one.name].terminate(), 0))

    def each(self, act):
        """One that fails is left out from then on."""
        for one in list(self.going.values()):
            with self.subTest(one.name):
                self.going.pop(one.name)
                act(one)
                self.going[one.name] = one

    def begin(self, one):
        self.narwals[one.name] = self.enter(modes.Imported(self.server, self.broker, self.other.url_of(f"dbz_{one.name}"), one.name))
        self.narwals[one.name].start()

    def do(self, one, mark):
        if mark <= len(one.rounds):
            for statement in one.rounds[mark - 1]:
                self.server.sql(statement)
            self.server.sql(one.last.replace("MARK", str(mark)))

    def settle_one(self, one, mark):
        if mark <= len(one.rounds):
            self.narwals[one.name].wait_caught_up(90)
            self.wait_other(one, "the last event", lambda: self.there(one, f"mark {mark}"))

    def wait_other(self, one, what, done):
        deadline = time.monotonic() + 90
        while not done():
            tasks = (self.other.ask("/status", f"dbz_{one.name}") or {}).get("tasks", [])
            failed = [re.findall(r"Caused by.*", task["trace"]) for task in tasks if "trace" in task]
            self.assertFalse(failed, f"{one.name}: {what}")
            self.assertLess(time.monotonic(), deadline, f"{one.name}: {what}")
            time.sleep(0.2)

    def end(self, names):
        for name in names:
            self.other.remove(name)

    def there(self, one, text):
        """In a topic of this one's, and of none whose name begins with this one's."""
        prefix = f"dbz_{one.name}{one.properties.get('topic.delimiter', '.')}"
        topics = [topic for topic in self.broker.topics() if topic.startswith(prefix) and "marker" in topic]
        return any(text in (message["payload"] or "") for topic in topics for message in self.broker.read(topic))

    def topics_of(self, prefix):
        return sorted(topic[len(prefix):] for topic in self.broker.topics() if topic.startswith(prefix))

    def compare(self, one):
        if "topic.delimiter" in one.properties:  # of these topics diff-topics sees those of messages alone
            self.assertEqual(self.topics_of(f"dbz_{one.name}"), self.topics_of(f"nw_{one.name}"))
        met, unknown, equal = set(), [], 0
        known = (*EVERYWHERE, *one.known)
        for topic in self.report(one.name)["topics"]:
            equal += topic["equal"]
            for entry in topic["differences"]:
                paths = [path["path"] for path in entry["paths"]] or [f"only {'A' if entry['b'] is None else 'B'}"]
                for path in paths:
                    rules = [rule for rule in known if fits(rule, topic["topic"], path, entry["op"])]
                    met.update(rules)
                    if not rules and len(unknown) < 12:
                        said = [part for part in entry["paths"] if part["path"] == path]
                        shown = said or self.shown(one, topic["topic"], entry)
                        unknown.append(f"{topic['topic']} {path} {entry['op']} {entry['key'][:60]} {shown}"[:1500])
        self.assertFalse(unknown, "\n".join([f"{one.name}, equal {equal}", *unknown]))
        self.assertEqual([rule for rule in one.known if rule not in met], [], "is not different any more")
        self.assertGreaterEqual(equal, one.least)

    def shown(self, one, topic, entry):
        """The message that only one has."""
        side, place = ("dbz", entry["a"]) if entry["b"] is None else ("nw", entry["b"])
        names = [name for name in self.broker.topics() if name.startswith(f"{side}_{one.name}") and name.endswith(topic)]
        return [(side, place, message["key"], message["payload"]) for name in names for message in self.broker.read(name)
                if [message["partition"], message["offset"]] in (place, list((place or {}).values()) if isinstance(place, dict) else place)]


def fits(rule, topic, path, op):
    topics, paths, ops = rule
    path = re.sub(r"^value\.(before|after)\.", "image.", path)
    return re.fullmatch(topics, topic) and re.fullmatch(paths, path) and (not ops or re.fullmatch(ops, op or ""))


def method(scenarios):
    return lambda self: self.play(scenarios)


for name, scenarios in {**debezium_scenarios.GROUPS, **debezium_properties.GROUPS, **debezium_corners.GROUPS}.items():
    setattr(ScenariosTest, f"test_{name}", method(scenarios))
del modes.ModesTest

if __name__ == "__main__":
    check.main()
