#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Neither secrets nor rows are in what narwal says of itself: logs, status, answers, state.

Canaries are in every secret and in columns of all kinds; the pipeline is led through what makes it
speak of tables and errors; then everything that it wrote is searched, but for the sink's files and
what holds rows by nature (spool, spill, kept changes).
"""
import json
import shutil
import signal
import struct
import subprocess
import urllib.request

from lab import check, cluster
from lab.narwal import Narwal, build

ROWS_BY_NATURE = {"spool", "spill", "backlogs", "dead-letters.db", "dead-letters.db-wal", "dead-letters.db-shm"}
SECRETS = {name: f"canary-{name}-5ec2e7" for name in ("password", "salt", "token", "wrong")}

# type: (value as SQL, what may not be found of it)
VALUES = {
    "smallint": ("31873", []),  # too short to be told from other numbers
    "integer": ("1946372813", ["1946372813"]),
    "bigint": ("7318349394477056337", ["7318349394477056337", struct.pack(">q", 7318349394477056337)]),
    "numeric": ("83746583.19283746", ["83746583.19283746", "83746583"]),
    "double precision": ("0.73194628501", ["0.73194628501", struct.pack(">d", 0.73194628501)]),
    "real": ("73194.625", ["73194.625", "73194.6"]),
    "money": ("746583.19", ["746583.19", "746,583.19"]),
    "text": ("canary-text-7f3a", ["canary-text"]),
    "varchar(40)": ("canary-varchar-7f3a", ["canary-varchar"]),
    "char(40)": ("canary-char-7f3a", ["canary-char"]),
    "name": ("canary-name-7f3a", ["canary-name"]),
    "bytea": ("\\xc0ffee5ec2e7ca9a2b", ["c0ffee5ec2e7ca9a2b", bytes.fromhex("c0ffee5ec2e7ca9a2b")]),
    "json": ('{"canary-json": 1}', ["canary-json"]),
    "jsonb": ('{"canary-jsonb": 1}', ["canary-jsonb"]),
    "xml": ("<a>canary-xml</a>", ["canary-xml"]),
    "uuid": ("ca9a2b00-5ec2-4e70-8bad-c0ffeec0ffee", ["ca9a2b00-5ec2", "ca9a2b005ec2"]),
    "date": ("1873-11-29", ["1873-11-29", "29.11.1873"]),
    "timestamp": ("1873-11-29 17:23:46.839271", ["17:23:46.839271"]),
    "timestamptz": ("1873-11-29 17:23:46.839271+00", ["46.839271"]),
    "time": ("17:23:46.839271", ["46.839271"]),
    "interval": ("17 years 23:46:39.271844", ["39.271844"]),
    "inet": ("198.51.100.173", ["198.51.100.173"]),
    "macaddr": ("ca:9a:27:5e:c2:e7", ["ca:9a:27:5e:c2:e7"]),
    "point": ("(73.19462,-28.50173)", ["73.19462", "28.50173"]),
    "bit varying": ("1011001110001111000010110", ["1011001110001111000010110"]),
    "tsvector": ("'canarylexeme':3", ["canarylexeme"]),
    "int8range": ("[731946285,731946286)", ["731946285"]),
    "text[]": ("{canary-array,NULL}", ["canary-array"]),
    "lab.duo": ("(canary-composite,7)", ["canary-composite"]),
    "lab.briefly": ("canary-domain", ["canary-domain"]),
}


def needles():
    for name, secret in SECRETS.items():
        yield name, secret.encode()
    for kind, (_, texts) in VALUES.items():
        for text in texts:
            yield kind, text if isinstance(text, bytes) else text.encode()
    yield "filtered", b"731946-2850"
    yield "message", b"canary-message"
    yield "key", b"canary-key"


def found_in(data):
    lower = data.lower()
    return sorted({name for name, needle in needles() if needle in data or needle.lower() in lower})


class LeaksTest(check.Case):
    def setUp(self):
        self.server = self.cluster(hba="local all follower scram-sha-256\n" + cluster.HBA)
        self.said = {}
        for statement in (
                f"CREATE ROLE follower SUPERUSER LOGIN PASSWORD '{SECRETS['password']}'",
                "CREATE SCHEMA lab", "CREATE TABLE lab.marker (id bigint PRIMARY KEY)",
                "CREATE TYPE lab.duo AS (a text, b int)", "CREATE DOMAIN lab.briefly AS text",
                "CREATE TABLE lab.wide (k text PRIMARY KEY, "
                + ", ".join(f"c{i} {kind}" for i, kind in enumerate(VALUES)) + ")"):
            self.server.sql(statement)
        for table in ("cut", "narrowed", "retyped", "renamed", "refused", "inexact", "held", "large", "masked"):
            self.server.sql(f"CREATE TABLE lab.{table} (k text PRIMARY KEY, v text, n numeric(11, 2))")
            self.server.sql(f"INSERT INTO lab.{table} VALUES ('canary-key-1', 'canary-text-7f3a', 83746583.1)")
        self.wide("copied")

    def wide(self, key):
        self.server.sql("INSERT INTO lab.wide VALUES (%s" + ", %s" * len(VALUES) + ")",
                        (f"canary-key-{key}", *(value for value, _ in VALUES.values())))

    def say(self, place, text):
        self.said[place] = self.said.get(place, b"") + (text if isinstance(text, bytes) else text.encode())

    def call(self, narwal, *words):
        code, text = narwal.call(*words)
        self.say("narwal " + " ".join(map(str, words)), text)
        return code, text

    def secret(self, name):
        path = self.server.folder / name
        path.write_text(SECRETS[name] + "\n")
        path.chmod(0o600)
        return "${file:%s}" % path

    def narwal(self, **settings):
        plugins = self.server.folder / "plugins"
        plugins.mkdir(mode=0o755, exist_ok=True)
        for plugin in ("plugins/file.so", "tests/sdk/plugins/refuse.so"):
            shutil.copy(build() / plugin, plugins)
        self.port = cluster.free_port()
        narwal = self.enter(Narwal(self.server, dsn=self.server.dsn(user="follower"), settings={
            "source": {"password": self.secret("password")}, "log": {"level": "debug", "format": "json"},
            "limits": {"memory": "64MiB"}, "plugin_dir": str(plugins),
            "http": {"listen": f"127.0.0.1:{self.port}", "token": self.secret("token")},
            "transforms": [{"tables": ["lab.masked"], "mask_columns": ["v"], "mask": "sha256",
                            "mask_salt": self.secret("salt")}],
            "tables": {"policies": ["lab.cut truncate=stop", "lab.narrowed drop_column=stop",
                                    "lab.retyped type_change=stop"]}, **settings}))
        return narwal

    def ask(self, route):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{route}",
                                         headers={"Authorization": f"Bearer {SECRETS['token']}"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            self.say("GET " + route, answer.read())

    def ask_everything(self, narwal):
        for words in (("status",), ("status", "--json"), ("table", "list"), ("table", "list", "--json"), ("check",),
                      ("check", "--config"), ("check", "--sql"), ("plan", "--time", "1s"),
                      ("plan", "--time", "1s", "--json")):
            self.call(narwal, *words)
        archive = self.server.folder / f"support-{len(self.said)}.tar.zst"
        self.call(narwal, "support", "--output", archive)
        self.say("support", subprocess.run(["zstd", "-q", "-d", "-c", archive], check=True, capture_output=True).stdout)
        self.assertIn(b"lab.cut", self.said["support"].replace(b"\t", b"."))
        for route in ("/status", "/tables", "/metrics", "/ready", "/"):
            self.ask(route)

    def status(self, narwal):
        code, text = narwal.call("status", "--json")
        return json.loads(text) if code == 0 else {"phase": "", "stopped_tables": []}

    def wait_stopped(self, narwal, *tables):
        narwal.wait(f"the stops of {tables}", lambda: set(tables) <= {
            table["table"] for table in self.status(narwal).get("stopped_tables", [])})

    def wait_phase(self, narwal):
        narwal.wait("the stream", lambda: self.status(narwal)["phase"] == "streaming")

    def assert_silent(self, narwal):
        self.say("log", narwal.log_path.read_bytes())
        for path in sorted(narwal.state_dir.rglob("*")):
            if path.is_file() and not ROWS_BY_NATURE & set(path.relative_to(narwal.state_dir).parts):
                self.say(f"state {path.name}", path.read_bytes())
        self.assertIn("state state.db", self.said)
        leaks = {place: found_in(text) for place, text in self.said.items() if found_in(text)}
        for place, names in leaks.items():
            for line in self.said[place].splitlines():
                if found_in(line):
                    print(f"{place}: {found_in(line)}: {line[:600]}")
        self.assertEqual(leaks, {})

    def assert_searched(self, narwal):
        """The values went through, in a form that the search finds."""
        data = b"".join(path.read_bytes() for path in sorted(narwal.out.rglob("*.json*")))
        self.assertEqual({kind for kind, (_, texts) in VALUES.items() if texts} - set(found_in(data)), set())

    def test_nothing_that_is_said_has_rows_or_secrets(self):
        narwal = self.narwal()
        narwal.start().wait_streaming()
        self.wait_phase(narwal)
        self.call(narwal, "table", "pause", "lab.held")
        self.wide("streamed")
        with self.server.connect() as session, session.cursor() as cursor:
            for statement in (
                    "UPDATE lab.wide SET k = 'canary-key-moved', c1 = c1 WHERE k = 'canary-key-streamed'",
                    "UPDATE lab.wide SET c7 = 'canary-text-7f3a-2'", "DELETE FROM lab.wide WHERE k = 'canary-key-moved'",
                    "INSERT INTO lab.held VALUES ('canary-key-held', 'canary-text-7f3a', 1)",
                    "INSERT INTO lab.refused VALUES ('canary-key-2', 'canary-text-7f3a', 83746583.1)",
                    "INSERT INTO lab.masked VALUES ('canary-key-2', 'canary-text-7f3a', 83746583.1)",
                    "TRUNCATE lab.cut",
                    "INSERT INTO lab.cut VALUES ('canary-key-2', 'canary-text-7f3a', 1)",
                    "ALTER TABLE lab.narrowed DROP COLUMN n",
                    "INSERT INTO lab.narrowed VALUES ('canary-key-2', 'canary-text-7f3a')",
                    "ALTER TABLE lab.retyped ALTER v TYPE varchar(99)",
                    "INSERT INTO lab.retyped VALUES ('canary-key-2', 'canary-text-7f3a')",
                    "ALTER TABLE lab.renamed RENAME v TO w",
                    "INSERT INTO lab.renamed VALUES ('canary-key-2', 'canary-text-7f3a')",
                    "SELECT pg_logical_emit_message(true, 'narwal', 'canary-message')",
                    "SELECT pg_logical_emit_message(true, 'narwal.ddl', 'canary-message')",
                    "SELECT pg_logical_emit_message(false, 'other', 'canary-message')"):
                cursor.execute(statement)
        narwal.wait_caught_up()
        self.wait_stopped(narwal, "lab.cut", "lab.narrowed", "lab.retyped", "lab.held")
        self.server.sql("UPDATE lab.large SET v = repeat('canary-text-7f3a', 2500000)")
        self.wait_stopped(narwal, "lab.large")
        self.ask_everything(narwal)
        self.call(narwal, "table", "resume", "lab.held")
        self.call(narwal, "table", "repair", "lab.cut")
        self.call(narwal, "table", "repair", "lab.wide")
        narwal.wait("the repair", lambda: "copied lab.cut" in narwal.log())
        narwal.wait_caught_up()
        self.assert_searched(narwal)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        narwal.config["sinks"] += [{"type": "refuse"}, {"type": "refuse", "name": "keeps", "refused": "dead_letter"}]
        narwal.start()
        self.wait_stopped(narwal, "lab.refused")
        self.wait_phase(narwal)
        self.server.sql("UPDATE lab.inexact SET n = 'NaN'")
        self.wait_stopped(narwal, "lab.inexact")
        self.server.sql("UPDATE lab.inexact SET k = 'canary-key-5'")
        narwal.wait("the dead letters", lambda: {"lab.refused", "lab.inexact"} <= {
            table["table"] for table in self.status(narwal).get("dead_letters", [])})
        self.call(narwal, "dead-letter", "list")
        self.call(narwal, "dead-letter", "list", "--json")
        self.call(narwal, "dead-letter", "discard", "1")
        self.assertIn("canary-key", narwal.call("dead-letter", "show", "1")[1])
        self.ask_everything(narwal)
        narwal.process.send_signal(signal.SIGABRT)
        narwal.wait_exit(20)
        self.say("verify", narwal.call_verify()[1])
        self.call(narwal, "status")
        self.call(narwal, "table", "list")
        self.call(narwal, "teardown", "--dry-run")
        for code in ("NW2101", "NW2102", "NW2103", "NW2104", "NW2108", "NW2403", "NW2404", "NW2418"):
            self.assertIn(code.encode(), self.said["narwal status --json"] + narwal.log_path.read_bytes())
        self.assert_silent(narwal)

    def test_words_of_the_server_that_quote_a_value_are_not_repeated(self):
        """A row filter of the publication that fails on a row: in the copy, and in the stream."""
        if check.version() < 15:
            self.skipTest("row filters are there from 15 on")
        self.server.sql("CREATE TABLE lab.filtered (y int, m int, d int, PRIMARY KEY (y, m, d))")
        self.server.sql("CREATE PUBLICATION theirs FOR TABLE lab.marker, "
                        "lab.filtered WHERE (make_date(y, m, d) > '2000-01-01')")
        settings = {"publication": {"name": "theirs", "create": False}, "password": self.secret("password")}
        narwal = self.narwal(source=settings, tables={"include": ["lab.filtered", "lab.marker"]}, transforms=[])
        narwal.start().wait_streaming()
        self.server.sql("INSERT INTO lab.filtered VALUES (731946, 2850, 173194)")
        narwal.wait("the server's words", lambda: "date field value" in narwal.log())
        self.assertRegex(narwal.log(), "NW2327 .*date field value out of range: [.]{3} [(]22008")
        self.call(narwal, "status", "--json")
        narwal.kill()
        narwal.config["source"]["password"] = SECRETS["wrong"]
        self.assertNotEqual(narwal.run_to_end(30), 0)
        self.assertIn("NW1106", narwal.log())
        self.assert_silent(narwal)


if __name__ == "__main__":
    check.main()
