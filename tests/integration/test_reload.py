#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""narwal reload and SIGHUP, narwal pause and resume, and secrets that change under a running narwal."""
import signal
import time

from lab import check, cluster
from lab.narwal import Narwal

PASSWORDS = "local all postgres trust\nhost all postgres 127.0.0.1/32 trust\n" \
            "host all narwal 127.0.0.1/32 scram-sha-256\n"


class ReloadTest(check.Case):
    def prepare(self, **settings):
        self.server = self.cluster(**settings.pop("cluster", {}))
        self.server.sql("CREATE SCHEMA lab")
        self.server.sql("CREATE TABLE lab.marker (id bigint PRIMARY KEY, at timestamptz DEFAULT now())")
        for table in ("a", "b", "c"):
            self.server.sql(f"CREATE TABLE lab.{table} (id int PRIMARY KEY, v text)")
            self.server.sql(f"INSERT INTO lab.{table} SELECT g, 'v' FROM generate_series(1, 50) g")
        self.narwal = self.enter(Narwal(self.server, settings={
            "tables": {"include": ["lab.*"], "exclude": ["lab.b"]}, **settings}))

    def reload(self, code=0):
        self.narwal.write()
        result = self.narwal.call("reload")
        self.assertEqual(result[0], code, f"{result[1]}\n{self.narwal.log_tail()}")
        return result[1].splitlines()

    def current(self):
        """What is durable now: everything that has committed."""
        code, text = self.narwal.call("wait", "--timeout", "30s")
        self.assertEqual(code, 0, f"{text}\n{self.narwal.log_tail()}")

    def streams(self, *tables):
        def listed():
            code, text = self.narwal.call("table", "list", "--state", "streaming")
            return {line.split()[0] for line in text.splitlines() if line.startswith("lab.")}
        wanted = {"lab.marker", *tables}
        self.narwal.wait(f"{wanted} stream", lambda: listed() == wanted, 30)

    def equal(self, *tables):
        self.current()
        result = self.narwal.compare([("lab", table) for table in tables])
        self.assertTrue(result.good, f"{result.report()}\n{self.narwal.log_tail()}")

    def test_tables_join_and_leave(self):
        self.prepare()
        self.narwal.start().wait_streaming()
        self.assertEqual(self.reload(), ["nothing is different"])
        pid = self.narwal.process.pid
        self.narwal.config["tables"] = {"include": ["lab.*"], "exclude": ["lab.c"]}
        self.assertEqual(self.reload(), ["applied  tables.exclude: [lab.b] -> [lab.c]"])
        self.server.sql("INSERT INTO lab.a VALUES (100, 'x'); INSERT INTO lab.b VALUES (100, 'x'); "
                        "INSERT INTO lab.c VALUES (100, 'x')")
        self.streams("lab.a", "lab.b")
        self.equal("a", "b")
        self.server.sql("UPDATE lab.b SET v = 'w' WHERE id < 10; DELETE FROM lab.a WHERE id < 10")
        self.equal("a", "b")
        self.assertFalse(self.narwal.compare([("lab", "c")]).good, "what left is still followed")
        self.assertEqual(self.narwal.process.pid, pid)
        self.assertEqual(self.narwal.terminate(), 0)

    def test_what_cannot_change_is_refused_and_a_broken_file_changes_nothing(self):
        self.prepare()
        self.narwal.start().wait_streaming()
        good = self.narwal.config
        self.narwal.config = {**good, "limits": {"memory": 1, "drain": "5s"}, "nonsense": 1,
                              "tables": {"include": ["lab.a"]}}
        for words in ((self.narwal.file,), ("--state-dir", self.narwal.state_dir)):
            self.narwal.write()  # by its own reading, and by the running one's
            result = check.subprocess.run(self.narwal.command("reload", *words), text=True,
                                          stdout=check.subprocess.PIPE, stderr=check.subprocess.STDOUT)
            self.assertEqual(result.returncode, 2 if len(words) == 1 else 1, result)
            for code in ("NW1002", "NW1003"):
                self.assertIn(code, result.stdout)
        self.assertIn("NW1003", self.narwal.log())
        self.narwal.config = good
        self.narwal.write()
        self.streams("lab.a", "lab.c")
        self.narwal.config = {**good, "name": "other", "limits": {"memory": "512MiB", "drain": "5s"},
                              "log": {"format": "text", "level": "debug"},
                              "sinks": [{"type": "file", "path": "/elsewhere", "name": "file"}]}
        lines = self.reload(code=1)
        self.assertIn("applied  limits.memory: 1GiB -> 512MiB", lines)
        self.assertIn("applied  limits.drain: 30s -> 5s", lines)
        self.assertIn("applied  log.level: info -> debug", lines)
        self.assertTrue([line for line in lines if line.startswith("refused  name: ")], lines)
        self.assertTrue([line for line in lines if line.startswith("refused  sinks.file.path: ")], lines)
        self.assertIn("NW1530", self.narwal.log())
        self.narwal.wait("the new limits", lambda: "going on with what was reloaded" in self.narwal.log())
        self.server.sql("DELETE FROM lab.a WHERE id < 20")
        self.equal("a", "c")
        self.narwal.config = {**good, "sinks": good["sinks"], "log": {"format": "text"}}
        self.narwal.write()
        self.narwal.process.send_signal(signal.SIGHUP)
        self.narwal.wait("SIGHUP", lambda: "reload: log.level was debug, and is info" in self.narwal.log())
        self.equal("a", "c")

    def test_during_the_first_copy_only_what_holds_at_once(self):
        self.prepare(copy={"rate": "64KiB", "chunk": "64KiB"})
        self.server.sql("INSERT INTO lab.a SELECT g, repeat('x', 500) FROM generate_series(1000, 4000) g")
        self.narwal.start().wait("the copy", lambda: self.narwal.call("status")[1].find("copying") >= 0)
        config = self.narwal.config
        self.narwal.config = {**config, "limits": {"memory": "512MiB"}}
        self.assertIn("the first copy runs", "".join(self.reload(code=1)))
        self.assertIn("NW1505", self.narwal.call("pause")[1])
        self.narwal.config = {**config, "copy": {"rate": "1GiB", "chunk": "64KiB"}}
        self.assertEqual(self.reload(), ["applied  copy.rate: 64KiB -> 1GiB"])
        self.narwal.wait_streaming(20)
        self.equal("a", "c")

    def test_pause_and_resume(self):
        self.prepare()
        self.narwal.start().wait_streaming()
        code, text = self.narwal.call("pause")
        self.assertEqual(code, 0, text)
        self.narwal.wait("rest", lambda: "paused" in self.narwal.call("status")[1])
        self.server.sql("UPDATE lab.a SET v = 'while it rests'")
        lines = self.narwal.state().lines
        time.sleep(1)
        self.assertEqual(self.narwal.state().lines, lines)
        self.assertFalse(self.server.value("SELECT active FROM pg_replication_slots"))
        self.assertEqual(self.narwal.call("pause")[0], 1)
        self.assertEqual(self.narwal.call("resume")[0], 0)
        self.streams("lab.a", "lab.c")
        self.equal("a", "c")
        self.assertEqual(self.narwal.call("resume")[0], 1)
        self.narwal.call("pause")
        self.narwal.wait("rest", lambda: "paused" in self.narwal.call("status")[1])
        self.assertEqual(self.narwal.terminate(), 0, self.narwal.log_tail())
        self.assertIn("drained to", self.narwal.log())

    def test_a_password_that_is_rotated(self):
        self.prepare(cluster={"hba": cluster.HBA.replace("all all", "all postgres", 1).replace(
            "host all all", "host all postgres") + PASSWORDS})
        self.server.sql("CREATE ROLE narwal LOGIN SUPERUSER PASSWORD 'first-secret'")
        secret = self.narwal.home / "secret"

        def write(text):
            secret.write_text(text + "\n")
            secret.chmod(0o600)
        write("first-secret")
        self.narwal.config["source"] = {
            "dsn": f"host=127.0.0.1 port={self.server.port} user=narwal dbname=postgres sslmode=disable",
            "password": f"${{file:{secret}}}"}
        self.narwal.start().wait_streaming()
        self.server.sql("ALTER ROLE narwal PASSWORD 'second-secret'")
        self.server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'narwal'")
        self.narwal.wait("refused, and tried again", lambda: "NW1106" in self.narwal.log())
        write("second-secret")
        self.server.sql("INSERT INTO lab.a VALUES (200, 'x')")
        self.narwal.wait("the new one is taken", lambda: self.server.value(
            "SELECT count(*) FROM pg_stat_replication WHERE usename = 'narwal' AND state = 'streaming'"))
        self.equal("a", "c")
        self.assertEqual(self.reload(), ["applied  source.password: '***' -> '***'"])
        self.equal("a", "c")
        for word in ("first-secret", "second-secret"):
            self.assertNotIn(word, self.narwal.log(True))

    def test_without_a_file_there_is_none_to_read(self):
        self.prepare()
        narwal = self.narwal
        narwal.start().wait_streaming()
        self.assertEqual(narwal.terminate(), 0)
        narwal.process = check.subprocess.Popen(
            narwal.command("run", "-"), stdin=open(narwal.file), stdout=check.subprocess.DEVNULL,
            stderr=check.subprocess.DEVNULL)
        narwal.wait("it streams", lambda: narwal.call("status")[0] == 0)
        code, text = narwal.call("reload")
        self.assertEqual(code, 1, text)
        self.assertIn("NW1531", text)


if __name__ == "__main__":
    check.main()
