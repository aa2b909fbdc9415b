#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""narwal export-debezium: what is given back, to which Connect, and what is said of what stays behind."""
import json
import re
import signal
import subprocess
import time

from lab import check, cluster, switch


class BackTest(switch.OffsetCase):
    def test_back(self):
        self.begin("back")
        before = self.change("INSERT INTO shop.a VALUES (5001, 1), (5002, 1)")
        offset = self.offset(before, 0)
        connect = self.connect(offset, "RUNNING")
        self.assertIn("NW1555", self.refused("NW1555", connect.url, "--dry-run"))
        self.assertIn("done:", self.narwal_call("take-over", connect.url, "--stop", "--yes"))
        self.narwal_call("export-debezium", connect.url, "--dry-run")
        self.assertIsNone(connect.patched)
        self.assertEqual(json.loads(self.narwal_call("export-debezium")),  # nothing happened since
                         {"offsets": [{"partition": {"server": "back"}, "offset": offset}]})
        self.narwal_call("take-over", connect.url, "--yes")
        self.follow()
        end = self.server.lsn()
        self.narwal_call("export-debezium", connect.url, "--yes")
        entry, = connect.patched["offsets"]
        self.assertEqual((entry["partition"], set(entry["offset"])), ({"server": "back"}, {"lsn", "ts_usec"}))
        self.assertLessEqual(entry["offset"]["lsn"], end)
        self.assertGreater(entry["offset"]["lsn"], offset["lsn"])
        self.assertEqual(self.narwal.run_to_end(), 1)
        self.assertIn("NW2383", self.narwal.log())
        self.change("CREATE TABLE shop.late (id integer PRIMARY KEY)", "ALTER PUBLICATION back ADD TABLE shop.late",
                    "INSERT INTO shop.late VALUES (5004)")  # Debezium sends it
        connect.offset = {**entry["offset"], "lsn": self.server.lsn()}  # and once more
        self.change("INSERT INTO shop.a VALUES (5003, 1)", "INSERT INTO shop.late VALUES (5005)")
        sink = self.narwal.config["sinks"][0]
        before = dict(sink)
        sink.update(brokers=[f"127.0.0.1:{cluster.free_port()}"], timeout="1s")
        self.narwal.write()
        self.assertIn("not done", self.narwal_call("take-over", connect.url, "--yes", code=1))
        self.narwal.config["sinks"][0] = before  # what cannot be opened leaves all as it was
        self.narwal.write()
        self.assertEqual(self.narwal.run_to_end(), 1)
        self.assertIn("gave this pipeline back", self.narwal.log())
        self.narwal_call("take-over", connect.url, "--yes")
        self.follow()
        self.assertEqual(self.sent("a"), [(5002, "c"), (5003, "c")])
        self.assertEqual(self.sent("late"), [(5005, "c")])
        self.server.sql("DROP TABLE shop.late")
        self.server.sql("SELECT pg_drop_replication_slot('back')")
        self.refused("NW1558", command="export-debezium")

    def test_back_to_a_connect_that_fails(self):
        """It gets the same offset again, word for word, or narwal goes on."""
        self.begin("fails")
        before = self.change("INSERT INTO shop.a VALUES (21001, 1), (21002, 1)")
        offset = self.offset(before, 0)
        connect = self.connect(offset)
        self.narwal_call("take-over", connect.url, "--yes")
        connect.answers = [409, 500]
        self.assertIn("nothing was changed", self.refused("NW1552", connect.url, command="export-debezium"))
        self.assertIn("is not known", self.refused("NW1552", connect.url, command="export-debezium"))
        self.assertEqual(self.narwal.run_to_end(), 1)
        self.assertIn("NW2383", self.narwal.log())
        connect.patched, connect.seen, connect.arguments = None, [], set()
        result = subprocess.run(self.narwal.command("export-debezium", self.narwal.file, connect.url.replace("//", "//me:secret@") + "/",
                                                    "--yes"), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertNotIn("secret", result.stdout)
        self.assertIn(f"curl -X PUT {connect.url}/resume", result.stdout)
        self.assertEqual({who for who, _ in connect.seen}, {"Basic bWU6c2VjcmV0"})
        seen = [words for words in connect.arguments if f"//*********@127.0.0.1:{connect.server_port}/" in words]
        self.assertTrue(seen, connect.arguments)
        self.assertFalse([words for words in connect.arguments if f"me:secret@127.0.0.1:{connect.server_port}" in words])
        self.assertEqual(connect.seen[-1][1], "/connectors/taken/offsets")
        again = {"offsets": [{"partition": {"server": "fails"}, "offset": offset}]}
        self.assertEqual(connect.patched, again)
        said = self.narwal_call("export-debezium")
        self.assertEqual(json.loads(said), again)
        self.narwal_call("take-over", self.file(json.loads(said)["offsets"][0]["offset"]), "--yes")
        self.follow()
        connect.answers = [409]
        self.refused("NW1552", connect.url, command="export-debezium")
        self.change("INSERT INTO shop.a VALUES (21003, 1)")
        self.follow()
        self.assertEqual(self.sent("a"), [(21002, "c"), (21003, "c")])
        said = self.refused("NW1552", connect.url.replace("//", "//me:secret@") + "s", command="export-debezium")
        self.assertNotIn("secret", said)
        connect.answers = [409]
        result = subprocess.run(self.narwal.command("export-debezium", self.narwal.file, connect.url, "--yes"), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
        self.assertEqual(result.returncode, 1, "what it started cannot be waited for: " + result.stdout)
        self.assertIn("nothing was changed", result.stdout)

    def test_back_while_a_table_is_copied(self):
        """Its changes wait for the copy, and positions do not."""
        self.server.sql("CREATE TABLE shop.large AS SELECT g AS id, repeat('x', 200) AS t FROM generate_series(1, 300000) g")
        self.server.sql("ALTER TABLE shop.large ADD PRIMARY KEY (id)")
        self.addCleanup(self.server.sql, "DROP TABLE shop.large")
        self.begin("copied")
        self.server.sql("ALTER PUBLICATION copied ADD TABLE shop.large")
        before = self.change("INSERT INTO shop.a VALUES (22001, 1)")
        self.narwal_call("take-over", self.file(self.offset(before, 0)), "--yes")
        for _ in range(5):
            self.narwal.start()
            self.caught_up()
            self.assertEqual(self.narwal.call("table", "refresh", "shop.large")[0], 0)
            self.narwal.wait("its copy", lambda: "snapshot of a temporary slot" in self.narwal.log(), 30)
            self.change("INSERT INTO shop.large VALUES ((SELECT max(id) + 1 FROM shop.large))")
            time.sleep(0.2)
            self.narwal.kill()
            result = subprocess.run(self.narwal.command("export-debezium", self.narwal.file, "--dry-run"), text=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if result.returncode != 0:
                break
        self.assertIn("NW1558 1 tables are being copied", result.stdout)
        self.narwal.start()
        self.narwal.wait("the copy", lambda: re.search(r"shop\.large +streaming", self.narwal.call("table", "list")[1]))
        self.assertEqual(self.narwal.terminate(), 0)
        self.narwal_call("export-debezium")

    def test_back_without_the_other_sinks(self):
        """They may be down. What stays behind is said."""
        self.server.sql("CREATE TABLE shop.n (id integer PRIMARY KEY, v numeric(5,2))")
        self.addCleanup(self.server.sql, "DROP TABLE shop.n")
        self.begin("others")
        self.server.sql("ALTER PUBLICATION others ADD TABLE shop.n")
        before = self.change("INSERT INTO shop.a VALUES (23001, 1)")
        self.narwal_call("take-over", self.file(self.offset(before, 0)), "--yes")
        self.narwal.config["sinks"][0]["refused"] = "dead_letter"
        self.change("INSERT INTO shop.n VALUES (1, 'NaN')")
        self.follow()
        self.narwal.config["sinks"].append({"type": "file", "path": "/proc/nowhere"})
        self.narwal.config["sinks"].append({**self.narwal.config["sinks"][0], "name": "second", "prefix": "elsewhere",
                                            "brokers": [f"127.0.0.1:{cluster.free_port()}"]})
        self.narwal.write()
        for words in ((), ("--sink", "file")):
            result = subprocess.run(self.narwal.command("export-debezium", self.narwal.file, *words), text=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self.assertEqual(result.returncode, 2, result.stdout)
            self.assertIn("NW1557", result.stdout)
        result = subprocess.run(self.narwal.command("export-debezium", self.narwal.file, "--sink", "kafka"), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("NW1559 sink file ends here", result.stderr)
        self.assertIn("NW1559 sink second ends here", result.stderr)
        self.assertIn("NW1559 1 rows are dead letters", result.stderr)

    def test_back_where_workers_stopped_at_different_places(self):
        """As after a crash between the commits of two. Once they are even, nothing is said."""
        self.begin("uneven", workers=2)
        before = self.change("INSERT INTO shop.a VALUES (26001, 1)")
        self.narwal_call("take-over", self.file(self.offset(before, 0)), "--yes")
        self.follow()

        def ledger():
            return {message["key"]: json.loads(message["payload"]) for message in self.broker.read("_narwal.uneven.kafka")}
        former = ledger()
        self.assertEqual(former["position"]["lsn"], former["position/1"]["lsn"])
        self.change("INSERT INTO shop.a VALUES (26003, 1)", "INSERT INTO shop.b VALUES (26004, 'x')")
        for commit in (1, 2, 3):  # the server hears nothing of it
            self.assertNotEqual(self.narwal.run_to_end(NARWAL_CRASH_AT=f"commit:{commit}"), 0)
            if ledger()["position/1"]["lsn"] > former["position/1"]["lsn"]:
                break
        self.broker.put("_narwal.uneven.kafka", "position/1", json.dumps(former["position/1"]))
        result = subprocess.run(self.narwal.command("export-debezium", self.narwal.file, "--dry-run"), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertIn("NW1559 the topics have some changes behind the position", result.stdout)
        self.assertIn(f"Debezium goes on at {former['position/1']['lsn']} ", result.stdout)
        self.assertEqual(subprocess.run([*self.narwal.command("run", self.narwal.file), "--until", "now"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode, 0)
        result = subprocess.run(self.narwal.command("export-debezium", self.narwal.file, "--dry-run"), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertNotIn("NW1559", result.stdout)


if __name__ == "__main__":
    check.main()
