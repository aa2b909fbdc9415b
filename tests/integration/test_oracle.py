#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The oracle itself: it finds nothing in a true log of a random load, and every fault planted into it.

The log comes from the reference reader, so this also shows that the workload and the oracle agree
with PostgreSQL without any part of narwal.
"""
import copy
import itertools
import random

from lab import check, oracle, reference, workload
from lab.check import Case

LOAD_SECONDS_MAX = 30


class OracleTest(Case):
    @classmethod
    def setUpClass(cls):
        cls.manager = check.cluster.Cluster(check.version())
        try:
            cls.server = cls.manager.__enter__()
        except check.cluster.servers.Unavailable as error:
            raise check.unittest.SkipTest(str(error))
        cls.addClassCleanup(cls.manager.__exit__, None, None, None)
        workload.create_tables(cls.server.connect())
        cls.load = workload.Workload(cls.server.dsn(), seed=check.seed(), bulk_rows=1000)
        cls.reference = reference.Reference(cls.server)
        with cls.load:
            cls.load.run_until(lambda: cls.load.transactions > 400)
            cls.reference.start()
            cls.load.rewrites = True
            cls.load.run_until(lambda: cls.load.transactions > 1500 and not cls.load.missing(),
                               LOAD_SECONDS_MAX)
        # Whatever the load did: a row that has this column only by its default.
        cls.server.sql("INSERT INTO lab.evolving (id, v) VALUES (-2, 'old')")
        cls.server.sql("ALTER TABLE lab.evolving ADD COLUMN added_last text DEFAULT 'given'")
        cls.server.sql("INSERT INTO lab.evolving (id, v) VALUES (-3, 'new')")
        cls.reference.follow(cls.server.lsn())
        cls.reference.close()
        cls.numbers = itertools.count()

    def setUp(self):
        self.random = random.Random(check.seed())
        self.logs = {log.name: Editable(log) for log in self.reference.logs()}

    def compare(self, *names):
        """Compare, all tables or only those that have the planted fault."""
        database = f"target_{next(self.numbers)}"
        self.server.sql(f"CREATE DATABASE {database}")
        tables = [place for place in workload.TABLES if not names or place[1] in names]
        logs = [edited.log() for edited in self.logs.values()]
        return oracle.compare(logs, self.server.dsn(), self.server.dsn(database), tables)

    def assert_caught(self, result, *kinds):
        counts = {kind: getattr(result, kind) for kind in kinds}
        self.assertTrue(any(counts.values()), result.report())
        self.assertFalse(result.good)

    def pick(self, name, op, **having):
        """The index of a random event of that kind."""
        events = self.logs[name].changes
        found = [i for i, event in enumerate(events) if event["op"] == op and
                 all(event.get(key) for key in having)]
        return self.random.choice(found)

    def last_of_key(self, name, ops="IU", key="id"):
        """The index of an insert or update whose row nothing changes afterwards."""
        events = self.logs[name].changes
        for i in range(len(events) - 1, -1, -1):
            after = events[i].get("after")
            if after and events[i]["op"] in ops and not any((e.get("before") or e.get("after") or {}).get(key) == after[key]
                                 for e in events[i + 1:]):
                return i
        self.fail(f"{name} has no such event")

    # ---- nothing wrong ---------------------------------------------------------------------------

    def test_true_log_compares_as_equal(self):
        self.assertEqual(self.load.missing(), [])
        result = self.compare()
        self.assertTrue(result.good, result.report())
        self.assertEqual(result.tables, len(workload.TABLES))
        self.assertGreater(result.changes, 10000)
        print(result)

    # ---- faults ----------------------------------------------------------------------------------

    def test_dropped_insert(self):
        self.logs["plain"].changes.pop(self.pick("plain", "I"))
        self.assert_caught(self.compare("plain"), "lost", "doubled")

    def test_dropped_last_insert(self):
        self.logs["log_nothing"].changes.pop(self.pick("log_nothing", "I"))
        result = self.compare("log_nothing")
        self.assertEqual((result.lost, result.doubled, result.different), (1, 0, 0))

    def test_dropped_last_update(self):
        self.logs["wide"].changes.pop(self.last_of_key("wide", "U"))
        self.assert_caught(self.compare("wide"), "different", "lost")

    def test_dropped_delete(self):
        self.logs["parts"].changes.pop(self.pick("parts", "D"))
        self.assert_caught(self.compare("parts"), "doubled")

    def test_dropped_truncate(self):
        events = self.logs["emptied"].changes
        last = max(i for i, event in enumerate(events) if event["op"] == "T")
        events.pop(last)
        self.assert_caught(self.compare("emptied"), "doubled", "different")

    def test_dropped_copy_row(self):
        self.logs["bulk"].copy.pop(self.random.randrange(len(self.logs["bulk"].copy)))
        self.assert_caught(self.compare("bulk"), "lost")

    def test_dropped_row_of_a_keyless_table(self):
        self.logs["full_keyless"].changes.pop(self.pick("full_keyless", "I"))
        self.assert_caught(self.compare("full_keyless"), "lost")

    def test_dropped_row_without_columns(self):
        self.logs["no_columns"].changes.pop()
        self.assertEqual(self.compare("no_columns").lost, 1)

    def test_doubled_insert(self):
        index = self.pick("plain", "I")
        self.logs["plain"].changes.insert(index, self.logs["plain"].changes[index])
        self.assert_caught(self.compare("plain"), "doubled")

    def test_doubled_insert_of_a_keyless_table(self):
        """Sent again under the next sequence number, as after a restart that counts anew."""
        events = self.logs["log_keyless"].changes
        again = dict(events[-1], seq=str(int(events[-1]["seq"]) + 1))
        events.append(again)
        self.assertEqual(self.compare("log_keyless").doubled, 1)

    def test_doubled_transaction(self):
        events = self.logs["bulk"].changes
        commit = events[-1]["commit_lsn"]
        events += [event for event in events if event["commit_lsn"] == commit]
        self.assert_caught(self.compare("bulk"), "reordered", "doubled")

    def test_doubled_copy_row(self):
        self.logs["bulk"].copy.append(self.logs["bulk"].copy[0])
        self.assert_caught(self.compare("bulk"), "doubled")

    def test_doubled_keyless_delete_takes_one_row_too_many(self):
        index = self.pick("full_keyless", "D")
        events = self.logs["full_keyless"].changes
        events.insert(index, dict(events[index]))
        self.assert_caught(self.compare("full_keyless"), "lost", "doubled")

    def test_swapped_transactions(self):
        events = self.logs["plain"].changes
        index = next(i for i in range(len(events) // 2, len(events))
                     if events[i]["commit_lsn"] != events[i + 1]["commit_lsn"])
        events[index], events[index + 1] = events[index + 1], events[index]
        self.assert_caught(self.compare("plain"), "reordered")

    def test_swapped_rows_of_one_transaction(self):
        events = self.logs["bulk"].changes
        index = next(i for i in range(len(events))
                     if events[i]["commit_lsn"] == events[i + 1]["commit_lsn"])
        events[index], events[index + 1] = events[index + 1], events[index]
        self.assert_caught(self.compare("bulk"), "reordered")

    def test_changed_value(self):
        index = self.last_of_key("bulk")
        self.logs["bulk"].changes[index]["after"]["filler"] = "wrong"
        self.assertEqual(self.compare("bulk").different, 1)

    def test_every_type_is_compared(self):
        """A value lost in any one column of the row is seen."""
        index = self.last_of_key("all_types")
        after = self.logs["all_types"].changes[index]["after"]
        true = dict(after)
        for name in (name for name in true if true[name] is not None and name != "id"):
            after.clear()
            after.update(true, **{name: None})
            with self.subTest(column=name):
                self.assertEqual(self.compare("all_types").different, 1)

    def test_unchanged_toast_taken_for_null(self):
        events = self.logs["wide"].changes
        for event in events:
            for name in event.pop("after_missing", ()):
                event["after"][name] = None
        self.assert_caught(self.compare("wide"), "different")

    def test_value_neither_there_nor_missing(self):
        index = self.pick("wide", "U", after_missing=True)
        self.logs["wide"].changes[index]["after_missing"] = []
        self.assert_caught(self.compare("wide"), "malformed")

    def test_rolled_back_row(self):
        self.logs["plain"].changes[-1:-1] = [dict(self.logs["plain"].changes[-1], op="I", after={
            "id": "-1000", "n": "0", "t": "never seen"})]
        self.assert_caught(self.compare("plain"), "doubled")

    def test_old_key_kept_after_a_key_update(self):
        index = self.pick("plain", "U", before=True)
        del self.logs["plain"].changes[index]["before"]
        self.assert_caught(self.compare("plain"), "lost", "doubled")

    def test_column_default_forgotten(self):
        for schema in self.logs["evolving"].schemas.values():
            for column in schema["columns"]:
                column["default"] = None
        self.assert_caught(self.compare("evolving"), "different")

    def test_table_missing(self):
        self.logs.pop("no_rows")
        self.assert_caught(self.compare("no_rows"), "lost")

    def test_copy_that_never_became_whole(self):
        self.logs["bulk"].copied = False
        self.assert_caught(self.compare("bulk"), "lost")

    def test_change_before_the_fence_counted_twice(self):
        """Of a table without a key: of a key the copied row counts, whatever came before it."""
        self.logs["log_keyless"].fence = 0
        early = dict(self.logs["log_keyless"].copy[0], op="I", commit_lsn="0/1", seq="0")
        self.logs["log_keyless"].changes.insert(0, early)
        self.assert_caught(self.compare("log_keyless"), "doubled")


class Editable:
    """A log whose events can be changed without touching the original."""

    def __init__(self, original):
        self.original = original
        self.fence = original.fence
        self.copied = True
        self.copy = [copy.copy(event) for event in original.copy()]
        self.changes = [{**event, **{side: dict(event[side]) for side in ("before", "after")
                                     if event.get(side)}} for event in original.changes()]
        self.schemas = copy.deepcopy(original.schemas)

    def log(self):
        return oracle.TableLog(self.original.schema, self.original.name, self.fence, self.schemas,
                               lambda: iter(self.copy), lambda: iter(self.changes), self.copied)


if __name__ == "__main__":
    check.main()
