#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What wakes people up, and the code that narwal says of it: faults that no other test provokes."""
import json
import time

import psycopg2.extras

from lab import check
from lab.narwal import Narwal
from lab.proxy import Proxy


class NightTest(check.Case):
    @classmethod
    def setUpClass(cls):
        cls.server = None

    def setUp(self):
        if type(self).server is None:
            type(self).server = self.made()
        self.server = type(self).server

    def made(self, version=None):
        """A server that stays for all tests of the class."""
        try:
            server = check.cluster.Cluster(version or check.version(), options={"wal_sender_timeout": "5s"})
            server.__enter__()
        except check.cluster.servers.Unavailable as error:
            self.skipTest(str(error))
        self.addClassCleanup(server.__exit__)
        server.sql("CREATE SCHEMA lab")
        server.sql("CREATE TABLE lab.marker (id bigint PRIMARY KEY)")
        server.sql("CREATE TABLE lab.items (id int PRIMARY KEY, v text)")
        server.sql("CREATE ROLE weak LOGIN REPLICATION")
        return server

    def narwal(self, **more):
        narwal = self.enter(Narwal(self.server, **more))
        self.addCleanup(self.drop_slot, narwal)
        return narwal

    def drop_slot(self, narwal):
        if narwal.running:
            narwal.kill()
        for _ in range(100):
            if not self.server.sql("SELECT FROM pg_replication_slots WHERE slot_name = %s AND active", (narwal.slot,)):
                break
            time.sleep(0.05)
        self.server.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s",
                        (narwal.slot,))

    def status(self, narwal):
        code, text = narwal.call("status", "--json")
        self.assertEqual(code, 0, text)
        return json.loads(text)

    def test_the_address_leads_to_another_server(self):
        other = self.made(16 if check.version() != 16 else 17)  # servers of one version are copies of one
        proxy = self.enter(Proxy(self.server.port))
        narwal = self.narwal(dsn=self.server.dsn(way="tcp", port=proxy.port))
        narwal.start().wait_streaming()
        proxy.target = other.port
        proxy.cut()
        self.assertNotEqual(narwal.wait_exit(60), 0)
        self.assertRegex(narwal.log(), "error NW2309 .*the server is another one now")
        self.assertNotEqual(narwal.run_to_end(60), 0)
        self.assertRegex(narwal.log(), "error NW2310 ")

    def test_the_server_goes_away_and_comes_back(self):
        proxy = self.enter(Proxy(self.server.port))
        narwal = self.narwal(dsn=self.server.dsn(way="tcp", port=proxy.port))
        narwal.start().wait_streaming()
        proxy.refuse = True
        proxy.cut()
        narwal.wait("another try", lambda: "NW1115" in narwal.log())
        self.assertRegex(narwal.log(), "warn +NW111[57] replication connection lost: .*trying again in", narwal.log_tail())
        narwal.wait("the status", lambda: self.status(narwal)["last_error_code"] == "NW1115")
        self.assertIn("NW1115", narwal.call("status")[1])
        proxy.refuse = False
        narwal.wait_caught_up()
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_table_is_paused_and_the_start_says_so(self):
        narwal = self.narwal()
        narwal.start().wait_streaming()
        self.assertEqual(narwal.call("table", "pause", "lab.items")[0], 0)
        narwal.wait("the pause", lambda: [table["code"] for table in self.status(narwal)["stopped_tables"]] ==
                    ["NW2117"])
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        narwal.start(NOTIFY_SOCKET="nonsense").wait_caught_up()
        self.assertRegex(narwal.log(), "warn +NW2117 table lab.items is paused since")
        self.assertRegex(narwal.log(), "NW2011 NOTIFY_SOCKET is no path")
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())

    def test_a_slot_that_cannot_be_dropped_is_named(self):
        """`when_exceeded: drop_slot` asks for it, and another reads the slot."""
        narwal = self.narwal(settings={"protect": {"retained_wal": "16MiB", "when_exceeded": "drop_slot"}})
        narwal.start().wait_streaming()
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        with psycopg2.connect(self.server.dsn(), connection_factory=psycopg2.extras.LogicalReplicationConnection) as other:
            reader = other.cursor()
            reader.start_replication(slot_name=narwal.slot, decode=False, options={
                "proto_version": "1", "publication_names": narwal.slot})
            for _ in range(20):
                self.server.sql("SELECT pg_logical_emit_message(false, 'x', repeat('m', 1000000))")
            narwal.start()
            while narwal.running:
                reader.read_message()
                reader.send_feedback(reply=True)
                time.sleep(0.05)
            reader.close()
        other.close()
        self.assertNotEqual(narwal.wait_exit(1), 0)
        self.assertRegex(narwal.log(), "warn +NW1211 slot .* is in use by process")
        self.assertRegex(narwal.log(), "error NW2321 slot .* could not be dropped")
        self.assertRegex(narwal.log(), "error NW2319 ")

    def test_what_a_role_may_not_do(self):
        code, text = narwal_of(self).call("ddl-trigger", "install")
        self.assertEqual(code, 1, text)
        self.assertIn("NW1118", text)


def narwal_of(case):
    narwal = case.narwal(dsn=case.server.dsn(user="weak"))
    narwal.write()
    return narwal


if __name__ == "__main__":
    check.main()
