#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A connector's configuration, imported and run: the topics are as it says."""
import http.server
import json
import os
import pathlib
import subprocess
import tempfile
import threading

from lab import check
from lab.narwal import build
from test_kafka import Case

CLASS = "io.debezium.connector.postgresql.PostgresConnector"


class ImportTest(Case):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enter(tempfile.TemporaryDirectory()))

    def call(self, *words, text=None):
        return subprocess.run([str(build() / "narwal"), "import-debezium", *map(str, words)], input=text, text=True,
                              cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False,
                              env={**os.environ, "NARWAL_PLUGIN_DIR": str(build() / "plugins")})

    def connector(self, **more):
        return json.dumps({"name": "taken", "config": {
            "connector.class": CLASS, "plugin.name": "pgoutput", "database.hostname": "pg", "database.dbname": "postgres",
            "database.user": "postgres", "database.password": "hush-hush", "topic.prefix": "taken",
            "table.include.list": "shop\\.(items|other)", **more}})

    def test_what_is_imported_runs(self):
        self.make("CREATE TABLE shop.items (id integer PRIMARY KEY, price numeric(7,2), secret text);"
                  "CREATE TABLE shop.left_out (id integer PRIMARY KEY); INSERT INTO shop.items VALUES (1, 1.5, 'x')")
        connector = self.connector(**{
            "decimal.handling.mode": "string", "column.exclude.list": "shop.items.secret", "slot.name": "was_debeziums",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
            "key.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "false",
            "exactly.once.support": "required"})
        result = self.call("-", "-o", "taken.yaml", "--brokers", self.broker.address, text=connector)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("16 properties: 15 mapped, 1 without a meaning for narwal, 0 refused", result.stdout)
        text = (self.folder / "taken.yaml").read_text()
        self.assertNotIn("hush-hush", text)
        narwal = self.narwal("taken")
        lines = [line for line in text.splitlines() if not line.startswith(("  dsn:", "  password:"))]
        lines[lines.index("source:")] = f"source:\n  dsn: {json.dumps(self.server.dsn('postgres'))}"
        extra = {key: narwal.config[key] for key in ("state_dir", "plugin_dir", "log")}
        narwal.write = lambda: narwal.file.write_text("\n".join(lines) + "\n" + "".join(
            f"{key}: {json.dumps(value)}\n" for key, value in extra.items()))
        narwal.start().wait_caught_up()
        self.server.sql("INSERT INTO shop.items VALUES (2, 2.25, 'y'); INSERT INTO shop.left_out VALUES (1)")
        narwal.wait_caught_up()
        found = self.messages("taken.shop.items")
        self.assertEqual([(key, value["op"], value["after"]) for key, value in found],
                         [({"id": 1}, "r", {"id": 1, "price": "1.50"}), ({"id": 2}, "c", {"id": 2, "price": "2.25"})])
        self.assertEqual(self.server.sql("SELECT slot_name FROM pg_replication_slots WHERE slot_name = 'was_debeziums'"),
                         [("was_debeziums",)])
        self.assertEqual(self.call("-", "-o", "taken.yaml", "--brokers", "k:1", text=connector).stderr.split()[1], "NW1521")

    def test_a_shadow(self):
        """Beside the connector: nothing of it is the connector's own."""
        router = {"transforms": "outbox", "transforms.outbox.type": "io.debezium.transforms.outbox.EventRouter"}
        for more in ({"signal.data.collection": "shop.items", "heartbeat.interval.ms": "1000"}, router):
            text = self.connector(**{"slot.name": "theirs", "topic.prefix": "taken", **more, "table.include.list": "shop\\.items"})
            result = self.call("-", "-o", "-", "--brokers", "b:1", "--shadow", text=text)
            self.assertEqual(result.returncode, 0, result.stderr)
            for line in ("name: taken_shadow", '    name: "theirs_shadow"', "    create: false", "  snapshot: never",
                         '    prefix: "taken_shadow"'):
                self.assertIn(f"\n{line}", result.stdout)
            for word in ("heartbeat", "signals_table", "existing_topics"):
                self.assertNotIn(f"\n    {word}", result.stdout)
        self.assertIn('outbox_topic: "shadow.outbox.event.{value}"', result.stdout)
        text = self.connector(**{"transforms": "r", "transforms.r.type": "org.apache.kafka.connect.transforms.RegexRouter",
                                 "transforms.r.regex": ".*", "transforms.r.replacement": "all"})
        result = self.call("-", "-o", "-", "--brokers", "b:1", "--shadow", text=text)
        self.assertIn('routes: ["taken_shadow(.*) => taken$1", ".* => all", "(.*) => shadow.$1", '
                      '"shadow\\\\.taken(.*) => taken_shadow$1"]', result.stdout)

    def run_imported(self, text, name):
        """narwal with a configuration that was written, here."""
        narwal = self.narwal(name)
        lines = [line for line in text.splitlines() if not line.startswith(("  dsn:", "  password:"))]
        lines[lines.index("source:")] = f"source:\n  dsn: {json.dumps(self.server.dsn('postgres'))}"
        extra = {key: narwal.config[key] for key in ("state_dir", "plugin_dir", "log")}
        narwal.write = lambda: narwal.file.write_text("\n".join(lines) + "\n" + "".join(
            f"{key}: {json.dumps(value)}\n" for key, value in extra.items()))
        return narwal.start().wait_caught_up()

    def test_a_shadow_of_several_tables_in_one_topic(self):
        """Keys say the connector's topics; its names are those of no topic here."""
        self.make("CREATE TABLE shop.items_1 (id integer PRIMARY KEY); CREATE TABLE shop.items_2 (id integer PRIMARY KEY);"
                  "CREATE TABLE shop.other (id integer PRIMARY KEY); CREATE PUBLICATION dbz_publication FOR ALL TABLES")
        text = self.connector(**{
            "topic.prefix": "dbz.x", "table.include.list": "shop\\.(items_.*|other)", "transforms": "r",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "key.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "false",
            "transforms.r.type": "io.debezium.transforms.ByLogicalTableRouter",
            "transforms.r.topic.regex": "dbz\\.x\\.shop\\.items_(.*)", "transforms.r.topic.replacement": "dbz.x.shop.items"})
        result = self.call("-", "-o", "-", "--brokers", self.broker.address, "--shadow", text=text)
        self.assertEqual(result.returncode, 0, result.stderr)
        narwal = self.run_imported(result.stdout, "taken_shadow")
        self.server.sql("INSERT INTO shop.items_1 VALUES (1)")
        self.server.sql("INSERT INTO shop.items_2 VALUES (1)")
        self.server.sql("INSERT INTO shop.other VALUES (1)")
        narwal.wait_caught_up()
        found = self.messages("dbz.x_shadow.shop.items")
        field = "__dbz__physicalTableIdentifier"
        self.assertEqual(sorted(key[field] for key, _ in found), ["dbz.x.shop.items_1", "dbz.x.shop.items_2"])
        self.assertEqual({value["schema"]["name"] for _, value in found}, {"dbz.x_shadow.shop.items.Envelope"})
        (key, value), = self.messages("dbz.x_shadow.shop.other")
        self.assertEqual((key, value["schema"]["name"]), ({"id": 1}, "dbz.x_shadow.shop.other.Envelope"))
        self.assertEqual(value["payload"]["source"]["name"], "dbz.x_shadow")

    def test_what_is_refused(self):
        wrong = self.connector(**{"converters": "mine", "snapshot.mode": "always"})
        result = self.call("-", "--brokers", "k:1", text=wrong)
        self.assertEqual((result.returncode, result.stdout, list(self.folder.iterdir())), (1, "", []))
        self.assertIn("NW1550 2 of the connector's properties", result.stderr)
        self.assertIn("\n  converters: ", result.stderr)
        self.assertIn("\n  snapshot.mode: always is not taken", result.stderr)
        result = self.call("-", "--brokers", "k:1", "--force", text=wrong)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("# Not carried over (--force):\n#   converters: ", (self.folder / "taken.yaml").read_text())
        for words, text, code in ((("-",), "{", "NW1551"), (("-",), self.connector(), "NW1553"),
                                  (("no-such-file",), "", "NW1552"), ((), "", "NW1501"),
                                  (("http://127.0.0.1:1/connectors/x",), "", "NW1552")):
            result = self.call(*words, text=text)
            self.assertEqual(result.returncode, 2 if code == "NW1501" else 1)
            self.assertIn(f"narwal: {code} ", result.stderr)

    def test_connect_is_asked(self):
        answer = self.connector().encode()

        class Connect(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                good = self.path == "/connectors/taken"
                self.send_response(200 if good else 404)
                self.end_headers()
                self.wfile.write(answer if good else b"{}")

            def log_message(self, *_):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Connect)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/connectors/"
            result = self.call(url + "taken", "-o", "-", "--brokers", "k:1")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn("include: [\"shop.items\", \"shop.other\"]", result.stdout)
            self.assertIn("NW1552 Connect does not answer: HTTP", self.call(url + "other").stderr)
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


if __name__ == "__main__":
    check.main()
