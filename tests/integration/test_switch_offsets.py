#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""narwal take-over at every kind of offset that a Debezium may have stored, and what it refuses."""
import json
import os
import shutil
import subprocess
import time

from lab import check, switch


class OffsetTest(switch.OffsetCase):
    def test_part_of_a_transaction(self):
        self.begin("part")
        before = self.change("INSERT INTO shop.a VALUES (1001, 1)", "COPY 1002\t1\n1003\t1\n1004\t1\n",
                             "INSERT INTO shop.b VALUES (1005, 'x')", "UPDATE shop.a SET v = 2 WHERE id = 1001")
        self.change("DELETE FROM shop.a WHERE id = 1001")
        file = self.file(self.offset(before, 2))
        said = self.narwal_call("take-over", file, "--dry-run")
        self.assertIn("of its 6 changes Debezium has sent 3", said)
        self.assertIn("nothing was changed", said)
        self.narwal.start()  # without that it does not copy
        self.assertEqual(self.narwal.wait_exit(), 1)
        self.assertIn("NW2731", self.narwal.log())
        shutil.rmtree(self.narwal.state_dir, ignore_errors=True)
        self.assertIn("done:", self.narwal_call("take-over", file, "--yes"))
        self.refused("NW2382", file)
        self.follow()
        self.assertEqual(self.sent("a"), [(1004, "c"), (1001, "u"), (1001, "d")])
        self.assertEqual(self.sent("b"), [(1005, "c")])
        self.narwal.start()  # and that stays so
        self.caught_up()
        self.assertEqual(self.narwal.terminate(), 0)
        self.assertEqual(len(self.sent("a")), 3)

    def test_killed_before_that_transaction_is_durable(self):
        self.begin("half")
        before = self.change("INSERT INTO shop.a VALUES (2001, 1), (2002, 1)", "DELETE FROM shop.a WHERE id = 2001",
                             "INSERT INTO shop.b VALUES (2003, 'x')")
        offset = self.offset(before, 2)
        for at in ("take-over-begun:1", "take-over-open:1", "take-over-state:1", "take-over-sink:1"):
            result = subprocess.run(self.narwal.command("take-over", self.narwal.file, self.file(offset), "--yes"),
                                          env={**os.environ, "NARWAL_CRASH_AT": at}, stdout=subprocess.PIPE, text=True)
            self.assertNotEqual(result.returncode, 0)
            self.assertEqual(self.narwal.run_to_end(), 1)
            self.assertIn("NW2383", self.narwal.log())
        said = self.narwal_call("take-over", self.file(offset), "--yes")
        self.assertIn("NW2384", said)  # the delete: its tombstone may not be there
        self.assertNotEqual(self.narwal.run_to_end(NARWAL_CRASH_AT="commit:1"), 0)
        self.follow()
        self.assertEqual(self.sent("a"), [(2001, "d")])
        self.assertEqual(self.sent("b"), [(2003, "c")])

    def test_all_of_a_transaction(self):
        """As it is at rest: then narwal's state is not needed. An older Debezium does not count."""
        self.begin("whole")
        before = self.change("INSERT INTO shop.a VALUES (3001, 1)", "INSERT INTO shop.b VALUES (3002, 'x')")
        offset = self.offset(before, 1)
        del offset["lsn_events_processed"]
        said = self.narwal_call("take-over", self.file(offset), "--yes")
        self.assertNotIn("passed over", said)
        shutil.rmtree(self.narwal.state_dir)
        self.change("INSERT INTO shop.a VALUES (3003, 1)")
        self.follow()
        self.assertEqual((self.sent("a"), self.sent("b")), ([(3003, "c")], []))

    def test_an_older_debezium_at_rest(self):
        """Before 2.7 heartbeats store the end of a transaction with the kind of its last change. So it was seen of 1.9.8 and 2.3.4."""
        self.begin("rest")
        self.change("INSERT INTO shop.a VALUES (24001, 1)", "INSERT INTO shop.b VALUES (24002, 'x')")
        xid = self.truth.read().changes[-1].xid
        end = self.server.lsn()
        rest = {"transaction_id": None, "lsn": end, "lsn_proc": end, "lsn_commit": end, "txId": xid, "ts_usec": 1}
        for kind in ({"messageType": "INSERT"}, {"messageType": "NOOP"}, {}):
            said = self.narwal_call("take-over", self.file({**rest, **kind}), "--dry-run")
            self.assertIn(f"the offset is the end of transaction {xid}", said)
        self.refused("NW2381", self.file({**rest, "messageType": "INSERT", "lsn_events_processed": 1}))  # no such Debezium
        before = self.change("INSERT INTO shop.a VALUES (24003, 1)", "INSERT INTO shop.a VALUES (24004, 1)")
        first = self.truth.read().changes[-2]
        inside = {**rest, "lsn": first.lsn, "lsn_proc": first.lsn, "lsn_commit": first.lsn, "txId": first.xid}
        said = self.narwal_call("take-over", self.file(inside), "--dry-run")  # the next transaction's first change, where it begins
        self.assertIn("of its 2 changes Debezium has sent 1", said)
        self.refused("NW2381", self.file({**rest, "lsn": first.lsn + 1, "lsn_commit": before, "messageType": "INSERT"}))
        self.narwal_call("take-over", self.file({**rest, "messageType": "INSERT"}), "--yes")
        self.follow()
        self.assertEqual(self.sent("a"), [(24003, "c"), (24004, "c")])
        self.assertEqual(self.sent("b"), [])

    def test_a_change_that_the_connector_leaves_out(self):
        """An older one stores the LSN of such a change too, as NOOP or without a kind."""
        for kind in ({"messageType": "NOOP"}, {}):
            self.begin(f"noop{len(kind)}")
            before = self.change(f"INSERT INTO shop.a VALUES ({25001 + 10 * len(kind)}, 1)")
            lsn = self.truth.read().changes[-1].lsn
            offset = self.offset(before, -1, lsn=lsn - 1, lsn_proc=lsn - 1)
            del offset["messageType"], offset["lsn_events_processed"]
            self.refused("NW2381", self.file({**offset, "messageType": "INSERT"}))
            said = self.narwal_call("take-over", self.file({**offset, **kind}), "--yes")
            self.assertIn("of its 1 changes Debezium has sent 0", said)
            self.follow()
            self.assertEqual(self.sent("a"), [(25001 + 10 * len(kind), "c")])

    def test_transactions_that_overlap(self):
        """The commit before is behind the last change that was sent."""
        self.begin("overlap")
        start = self.server.lsn()
        other = self.server.connect(autocommit=False)
        with other, other.cursor() as cursor:
            cursor.execute("INSERT INTO shop.a VALUES (8001, 1)")
            cursor.execute("INSERT INTO shop.a VALUES (8002, 1)")
            self.change("INSERT INTO shop.a VALUES (8003, 1)")
            before = self.server.lsn()
        other.close()
        offset = self.offset(before, 1)
        self.assertLess(offset["lsn"], before)
        self.refused("NW2381", self.file({**offset, "txId": 1}))
        self.assertIn("of its 2 changes Debezium has sent 1", self.narwal_call("take-over", self.file(offset), "--dry-run"))
        self.server.sql(f"SELECT pg_replication_slot_advance('overlap', '{before >> 32:X}/{before & 0xFFFFFFFF:X}')")
        said = self.narwal_call("take-over", self.file({**offset, "lsn_commit": start}), "--trust-slot", "--yes")
        self.assertIn("of its 2 changes Debezium has sent 1", said)
        self.follow()
        self.assertEqual(self.sent("a"), [(8002, "c")])

    def test_the_end_of_a_transaction_is_sent(self):
        self.begin("ended", transactions_topic="{prefix}.transaction")
        before = self.change("INSERT INTO shop.a VALUES (8101, 1), (8102, 1)")
        self.narwal_call("take-over", self.file(self.offset(before, 1)), "--yes")
        self.follow()
        self.assertEqual(self.sent("a"), [])
        told, = (json.loads(message["payload"]) for message in self.broker.read("ended.transaction"))
        self.assertEqual((told["status"], told["event_count"]), ("END", 2))

    def test_another_stream_is_not_what_was_counted(self):
        self.begin("counted")
        before = self.change("SELECT pg_logical_emit_message(true, 'p', 'x')", "INSERT INTO shop.a VALUES (8201, 1), (8202, 1)")
        self.assertIn("of its 3 changes Debezium has sent 2", self.narwal_call("take-over", self.file(self.offset(before, 0)), "--yes"))
        self.narwal.config["source"]["messages"] = False
        self.narwal.write()
        self.assertEqual(self.narwal.run_to_end(), 1)
        self.assertIn("NW2386", self.narwal.log())
        del self.narwal.config["source"]["messages"]
        self.narwal.write()
        self.follow()
        self.assertEqual(self.sent("a"), [(8202, "c")])

    def test_from_the_topic_of_connect(self):
        """Connect is not needed for it."""
        self.begin("topic")
        before = self.change("INSERT INTO shop.a VALUES (7001, 1), (7002, 1)")
        good = self.offset(before, 0)
        self.broker.create("connect-offsets", 3)
        for name, server, offset in (("taken", "topic", {**good, "txId": 1}), ("taken", "topic", good), ("other", "topic", {"lsn": 1}),
                                     ("taken", "another", {"lsn": 1})):
            self.broker.put("connect-offsets", json.dumps([name, {"server": server}], separators=(",", ":")), json.dumps(offset))
        self.refused("NW1554", "none", "--offsets-topic", "connect-offsets")
        self.refused("NW1552", "taken", "--offsets-topic", "no-such-topic")
        self.narwal_call("take-over", "taken", "--offsets-topic", "connect-offsets", "--yes")
        self.follow()
        self.assertEqual(self.sent("a"), [(7002, "c")])

    def test_between_transactions(self):
        """With heartbeats, or right behind the snapshot."""
        self.begin("between")
        self.change("INSERT INTO shop.a VALUES (4001, 1)")
        end = self.server.lsn()
        self.change("INSERT INTO shop.a VALUES (4002, 1)")
        for offset in ({"lsn": end, "snapshot": "INITIAL", "snapshot_completed": True, "last_snapshot_record": True},
                       {"lsn": end, "lsn_proc": end, "lsn_commit": end, "txId": 1, "messageType": "COMMIT"}):
            self.assertIn("do    sink kafka begins", self.narwal_call("take-over", self.file(offset), "--dry-run"))
        later = {"lsn": self.server.lsn(), "lsn_proc": end, "lsn_commit": end, "txId": 1, "snapshot": "INITIAL",
                 "snapshot_completed": True, "last_snapshot_record": True}  # it is not sure that that snapshot has all tables
        self.assertIn(f"begins at {end >> 32:X}/{end & 0xFFFFFFFF:X},", self.narwal_call("take-over", self.file(later), "--dry-run"))
        self.narwal_call("take-over", self.file(offset), "--yes")
        self.follow()
        self.assertEqual(self.sent("a"), [(4002, "c")])

    def test_what_is_refused(self):
        self.begin("refused")
        before = self.change("INSERT INTO shop.a VALUES (6001, 1), (6002, 1)")
        good = self.offset(before, 0)
        self.refused("NW1554", self.file(good, "another"))
        self.refused("NW1554", self.file({"binlog": 4}))
        self.refused("NW1554", self.narwal.home / "none.json")
        self.refused("NW1556", self.file({"lsn": before, "snapshot": "INITIAL", "last_snapshot_record": False}))
        self.refused("NW1556", self.file({**good, "incremental_snapshot_collections": "[{}]"}))
        for name, value in (("slot.name", "another"), ("publication.name", "another"), ("topic.prefix", "another"),
                            ("plugin.name", "decoderbufs")):
            said = self.refused("NW1557" if name != "topic.prefix" else "NW1554", self.connect(good, **{name: value}).url)
        self.assertIn("decoderbufs", said)
        self.refused("NW1555", self.connect(good, "PAUSED").url)
        connect = self.connect(good)
        connect.later = {**good, "lsn_events_processed": 2}  # its task was at work still
        self.assertIn("run this again", self.refused("NW1555", connect.url))
        self.refused("NW2381", self.file({**good, "txId": good["txId"] + 1}))
        said = self.refused("NW2381", self.connect({**good, "txId": 1}, "RUNNING").url, "--stop")
        self.assertIn("/connectors/taken/resume lets it go on", said)
        self.refused("NW2381", self.file({**good, "lsn_commit": good["lsn_commit"] + 10**9}))
        self.refused("NW2731", command="export-debezium")
        self.server.sql("SELECT pg_replication_slot_advance('refused', pg_current_wal_lsn())")
        self.refused("NW2380", self.file(good))
        self.assertIn("NW2385", self.narwal_call("take-over", self.file(good), "--trust-slot", "--dry-run"))
        for _ in range(100):  # who read it ahead may not have gone on the server yet
            if not self.server.value("SELECT active FROM pg_replication_slots WHERE slot_name = 'refused'"):
                break
            time.sleep(0.1)
        self.server.sql("SELECT pg_drop_replication_slot('refused')")
        self.refused("NW2380", self.file(good))


if __name__ == "__main__":
    check.main()
