#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""narwal support: one archive with what is needed, and without secrets and rows."""
import json
import stat
import subprocess

from lab import check, cluster
from lab.narwal import Narwal

HBA = "local all postgres trust\nhost all postgres 127.0.0.1/32 trust\n" \
      "host all follower 127.0.0.1/32 scram-sha-256\n"
PASSWORD, TOKEN, SALT, ROW = (f"canary-{word}-5f1c" for word in ("password", "token-0123", "salt", "row"))


class SupportTest(check.Case):
    def test_it_has_what_is_needed_and_neither_secrets_nor_rows(self):
        server = self.cluster(hba=HBA)
        server.sql("CREATE SCHEMA lab")
        server.sql("CREATE TABLE lab.marker (id bigint PRIMARY KEY, at timestamptz DEFAULT now())")
        server.sql("CREATE TABLE lab.people (id int PRIMARY KEY, name text, email text)")
        server.sql("INSERT INTO lab.people VALUES (1, %s, %s)", (ROW, ROW))
        server.sql("CREATE ROLE follower LOGIN SUPERUSER REPLICATION PASSWORD %s", (PASSWORD,))
        for name, secret in (("password", PASSWORD), ("token", TOKEN), ("salt", SALT)):
            path = server.folder / name
            path.write_text(secret + "\n")
            path.chmod(0o600)
        narwal = self.enter(Narwal(
            server, dsn=server.dsn(user="follower", way="tcp"), name="shop", settings={
                "source": {"password": f"${{file:{server.folder}/password}}"},
                "tables": {"drop_column": "stop", "include": ["lab.*"]},
                "transforms": [{"tables": ["lab.people"], "mask_columns": ["email"], "mask": "sha256",
                                "mask_salt": f"${{file:{server.folder}/salt}}"}],
                "http": {"listen": f"127.0.0.1:{cluster.free_port()}",
                         "token": f"${{file:{server.folder}/token}}"}}))
        narwal.start().wait_streaming()
        server.sql("ALTER TABLE lab.people DROP COLUMN name")
        server.sql("INSERT INTO lab.people VALUES (2, %s)", (ROW,))
        narwal.wait("a stopped table", lambda: "people" in narwal.log() and "stopped" in narwal.log())
        narwal.wait("its record", lambda: json.loads(narwal.call("status", "--json")[1]).get(
            "stopped_tables_count") == 1)
        parts = self.unpacked(narwal, server.folder / "running.tar.zst")
        self.assertEqual(set(parts), {"version.txt", "configuration.yaml", "status.json", "tables.json",
                                      "check.txt", "topology.txt", "state.txt", "system.txt"})
        self.assertIn("narwal 0", parts["version.txt"])
        self.assertIn("token: '***'", parts["configuration.yaml"])
        self.assertEqual(json.loads(parts["status.json"])["stopped_tables_count"], 1)
        self.assertEqual({table["table"] for table in json.loads(parts["tables.json"])["tables"]},
                         {"lab.marker", "lab.people"})
        self.assertIn("lab.people", parts["state.txt"].replace("\t", "."))
        self.assertIn("PostgreSQL 15", parts["check.txt"])
        self.assertIn("Linux", parts["system.txt"])
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        # Of one that does not run, and without a look at the server.
        parts = self.unpacked(narwal, server.folder / "stopped.tar.zst", "--no-check")
        self.assertNotIn("check.txt", parts)
        self.assertIn("no narwal runs", parts["status.json"])
        code, text = narwal.call("support", "--output", server.folder / "stopped.tar.zst", "--no-check")
        self.assertEqual(code, 1, text)
        self.assertIn("File exists", text)

    def unpacked(self, narwal, archive, *words):
        code, text = narwal.call("support", "--output", archive, *words)
        self.assertEqual(code, 0, text)
        self.assertEqual(stat.S_IMODE(archive.stat().st_mode), 0o600)
        folder = archive.with_suffix(".d")
        folder.mkdir()
        plain = archive.with_suffix("")
        subprocess.run(["zstd", "-q", "-d", archive, "-o", plain], check=True)
        subprocess.run(["tar", "-xf", plain, "-C", folder], check=True)
        parts = {path.name: path.read_text() for path in folder.glob("narwal-support-shop-*/*")}
        for name in parts:
            self.assertIn(name, text)
        for canary in (PASSWORD, TOKEN, SALT, ROW):
            for name, content in [*parts.items(), ("output", text)]:
                self.assertNotIn(canary, content, name)
        return parts


if __name__ == "__main__":
    check.main()
