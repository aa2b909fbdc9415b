#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""source.heartbeat: a statement that narwal runs on the source while it streams."""
from lab import check
from lab.narwal import Narwal


class HeartbeatTest(check.Case):
    def count(self):
        return self.server.value("SELECT count(*) FROM beats")

    def test_a_statement_is_run_again_and_again(self):
        self.server = self.cluster()
        self.server.sql("CREATE SCHEMA lab; CREATE TABLE lab.marker (id bigint PRIMARY KEY, at timestamptz DEFAULT now())")
        narwal = self.enter(Narwal(self.server, settings={
            "tables": {"include": ["lab.*"]},
            "source": {"heartbeat": {"statement": "INSERT INTO beats VALUES (default); SELECT 1", "every": "200ms"}}}))
        narwal.start().wait_streaming()
        narwal.wait("the failure is said", lambda: "NW2329" in narwal.log(True), 30)
        self.assertIn('relation "beats" does not exist', narwal.log(True))
        self.server.sql("CREATE TABLE public.beats (at timestamptz DEFAULT now())")
        narwal.wait("it works again", lambda: "works again" in narwal.log(True) and self.count() > 3, 30)
        # One that waits for a lock holds up nothing else, nor the end; one that leaves a transaction open commits nothing.
        locked = self.server.connect(autocommit=False)
        with locked.cursor() as cursor:
            cursor.execute("LOCK TABLE beats")
            self.server.sql("INSERT INTO lab.marker VALUES (1)")
            code, text = narwal.call("wait", "--timeout", "30s")
            self.assertEqual(code, 0, text)
            narwal.config["source"]["heartbeat"] = {"statement": "BEGIN; INSERT INTO beats VALUES (default)", "every": "1s"}
            narwal.write()
            code, text = narwal.call("reload")
            self.assertEqual(code, 0, text)
            self.assertIn("source.heartbeat.statement", text)
            narwal.wait_streaming()
        locked.rollback()
        before = self.count()
        narwal.wait("a session more", lambda: self.server.value(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'BEGIN; INSERT INTO beats%'") == 0, 30)
        self.assertEqual(self.count(), before)
        self.assertEqual(narwal.terminate(), 0)
        self.assertEqual(narwal.log(True).count("NW2329"), 1)


if __name__ == "__main__":
    check.main()
