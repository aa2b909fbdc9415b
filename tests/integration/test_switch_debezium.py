#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""From Debezium to narwal under load, and back: no change is lost, and none comes twice but those that Debezium had sent
behind its stored offset.
"""
import collections
import json
import os
import random
import subprocess
import time

from lab import check, switch
from lab.narwal import Narwal, build


class SwitchTest(switch.Case):
    def kills(self, dice, count=3):
        for _ in range(count):
            self.narwal.start()
            time.sleep(dice.uniform(0.5, 3))
            self.narwal.kill()
        self.narwal.start()

    def flapping(self, dice, *words):
        """A command that asks Connect, which is killed and comes back meanwhile; it is run until it has done it."""
        for number in range(20):
            process = subprocess.Popen(self.narwal.command(words[0], self.narwal.file, self.other.url, *words[1:]), text=True,
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if number < 4:
                time.sleep(dice.uniform(0, 0.6))
                self.other.kill()
                self.other.start(rests=True, port=self.other.port)
            said = process.communicate(timeout=120)[0]
            print(number, process.returncode, said.splitlines()[-1:], flush=True)
            if process.returncode == 0:
                return said
            self.assertRegex(said, "NW1552|NW1555")
        raise AssertionError(said)

    def there_and_back(self, seed, killed, sink=None, flaps=False, **properties):
        dice = random.Random(seed)
        name = f"switch{seed}_{int(killed)}_{len(properties)}_{int(flaps)}" + "".join(sink or ())
        repeats = bool(sink) and sink.get("delivery") == "idempotent"
        self.start(name, seed, sink, **properties)
        with switch.Load(self.server, seed) as load:
            self.other.wait("rows", lambda: load.rows > 2000)
            if killed:
                time.sleep(dice.uniform(0, 1.5))
                self.other.kill()
                offset = self.stored()
                file = self.narwal.home / "offsets.json"
                file.write_text(json.dumps({"offsets": [{"partition": {"server": name}, "offset": offset}]}))
                said = self.take_over(file, "--yes")
            elif flaps:
                self.other.tell("stop")
                self.other.wait("its rest", lambda: self.other.state() == "STOPPED")
                said = self.flapping(dice, "take-over", "--yes")
                offset = self.stored()
            else:
                said = self.take_over(self.other.url, "--stop", "--yes")
                offset = self.stored()
            taken = self.counts()
            print(said, offset, flush=True)
            self.kills(dice)
            time.sleep(3)
        self.caught_up()
        self.truth.read()
        restarts = [(taken, self.firsts(offset))]
        print("again", self.compare(restarts, repeats), "of", len(self.truth.changes), flush=True)
        with switch.Load(self.server, seed + 1000, 2, 11) as load:
            time.sleep(3)
            if dice.random() < 0.5:
                self.assertEqual(self.narwal.terminate(), 0)
            else:
                self.narwal.kill()
            if killed:
                self.other.start(rests=True)
            given = self.flapping(dice, "export-debezium", "--yes") if flaps else self.narwal_call(
                "export-debezium", self.other.url, "--yes")
            self.other.tell("resume")
            self.other.wait_streaming()
            time.sleep(3)
        self.truth.read()
        self.other.wait("the end", lambda: self.counts() == self.totals(restarts), 300)
        self.assertEqual(self.narwal.run_to_end(), 1)
        self.assertIn("NW2383", self.narwal.log())
        repeats = repeats or bool(sink) and "workers" in sink  # where some were ahead as it was given back
        print(given, "again", self.compare(restarts, repeats), "of", len(self.truth.changes), flush=True)

    def totals(self, restarts):
        """How many rows there are once Debezium is at the end."""
        again = self.again_at(restarts)
        return {table: len(self.truth.expected(table)) + again[table] for table in switch.TABLES}

    def again_at(self, restarts):
        """Of each table how many rows came again where narwal began."""
        again = {}
        for table in switch.TABLES:
            rows = [row for row in self.rows(table) if row[0] is not None]
            again[table] = len(rows) - len(set(rows))
        return again

    def imported(self, name, *words):
        """A pipeline of what is imported from Connect."""
        narwal = self.enter(Narwal(self.server, name=name))
        narwal.write = lambda: None
        result = subprocess.run([*narwal.command("import-debezium"), self.other.url, "--brokers", self.broker.address, "-o",
                                 narwal.file, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stdout)
        with narwal.file.open("a") as file:
            file.write(f"state_dir: {narwal.state_dir}\nplugin_dir: {build()}/plugins\nlog: {{format: text}}\n")
        return narwal

    def test_as_the_docs_say(self):
        """Import, a shadow that is compared, check, the switch."""
        converter = "org.apache.kafka.connect.json.JsonConverter"
        self.start("docs", check.seed(), **{
            f"{of}.converter{more}": value for of in ("key", "value") for more, value in (("", converter), (".schemas.enable", "false"))})
        os.environ["NARWAL_PASSWORD"] = "unused"
        with switch.Load(self.server, check.seed()) as load:
            self.other.wait("rows", lambda: load.rows > 1000)
            shadow = self.imported("shadow", "--shadow").start()
            shadow.wait("its stream", lambda: self.server.sql(
                "SELECT 1 FROM pg_replication_slots WHERE slot_name = 'debezium_docs_shadow' AND active"))
            self.server.sql("INSERT INTO shop.b VALUES (999, 'the shadow is there')")
            self.other.wait("what was before the shadow", lambda: any(row[-1] == 999 for row in self.rows("b")), 60)
            began = time.monotonic()
            time.sleep(12)
        result = None
        while result is None or (result.returncode != 0 and time.monotonic() < began + 90):
            seconds = int(time.monotonic() - began)  # Debezium may be behind
            result = subprocess.run([str(build() / "narwal"), "diff-topics", "docs", shadow.file, "--since", f"{seconds}s"],
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            time.sleep(2)
        self.assertEqual(result.returncode, 0, result.stdout)
        print(result.stdout, flush=True)
        self.assertEqual(shadow.terminate(), 0)
        self.narwal = self.imported("real")
        code, said = self.narwal.call("check")
        self.assertIn("NW1211", said)
        with switch.Load(self.server, check.seed() + 1, first=21):
            self.take_over(self.other.url, "--stop", "--yes")
            offset, taken = self.stored(), self.counts()
            self.narwal.start()
            time.sleep(3)
        self.caught_up()
        self.truth.read()
        self.compare([(taken, self.firsts(offset))])
        self.assertEqual(self.narwal.terminate(), 0)

    def test_stopped(self):
        self.there_and_back(check.seed(), False)

    def test_with_heartbeats(self):
        """Then offsets are between transactions, too."""
        self.there_and_back(check.seed(), True, **{"heartbeat.interval.ms": "10"})

    def test_killed(self):
        self.there_and_back(check.seed(), True)

    def test_killed_with_workers(self):
        self.there_and_back(check.seed(), True, {"workers": 3})

    def test_stopped_idempotent(self):
        self.there_and_back(check.seed(), False, {"delivery": "idempotent"})

    def test_connect_that_comes_and_goes(self):
        self.there_and_back(check.seed(), False, flaps=True)

    def test_transactions(self):
        """Each transaction has its BEGIN and END in their topic, whoever sent them."""
        self.there_and_back(check.seed(), False, {"transactions_topic": "{prefix}.transaction"},
                            **{"provide.transaction.metadata": "true"})
        changes = collections.defaultdict(list)
        for change in self.truth.changes:
            changes[change.xid].append(change)
        said = {"BEGIN": {}, "END": {}}
        for message in self.broker.read(f"{self.name}.transaction"):
            value = json.loads(message["payload"])
            said[value["status"]].setdefault(int(value["id"].split(":")[0]), []).append(value)
        for status, found in said.items():
            self.assertEqual([xid for xid in changes if xid not in found], [], status)
        again = {status: [xid for xid, all_ in found.items() if len(all_) > 1] for status, found in said.items()}
        print("said again", again, flush=True)
        self.assertLessEqual(len(again["BEGIN"]), 1)
        self.assertEqual(again["END"], [])
        for xid, [end] in said["END"].items():
            if xid in changes:  # Debezium counts messages, narwal changes
                self.assertIn(end["event_count"], (len(changes[xid]), sum(len(change.messages) for change in changes[xid])), end)


if __name__ == "__main__":
    check.main()
