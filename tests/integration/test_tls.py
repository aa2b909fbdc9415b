#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""TLS verified, passwords kept to themselves."""
import pathlib

from lab import check, workload
from lab.narwal import Narwal

PASSWORD = "tr0ub4dor&3 'quoted' \\back"
HBA = """local all postgres trust
hostssl all all 127.0.0.1/32 scram-sha-256
hostssl replication all 127.0.0.1/32 scram-sha-256
"""
TRANSACTIONS = 200


class TlsTest(check.Case):
    def setUp(self):
        self.server = self.cluster(tls=True, hba=HBA)
        workload.create_tables(self.server.connect())
        self.server.sql("CREATE ROLE follower LOGIN SUPERUSER REPLICATION PASSWORD %s", (PASSWORD,))

    def narwal(self, password="${file:%s}", **dsn):
        secret = self.server.folder / "password"
        secret.write_text(PASSWORD + "\n")
        secret.chmod(0o600)
        return self.enter(Narwal(
            self.server, dsn=self.server.dsn(user="follower", way="tls", **dsn),
            settings={"source": {"password": password.replace("%s", str(secret))}}))

    def assert_refuses(self, narwal, *words):
        """It ends, or keeps trying, with these words."""
        narwal.start()
        narwal_ended = lambda: not narwal.running or all(word in narwal.log() for word in words)
        deadline = check.time.monotonic() + 30
        while not narwal_ended() and check.time.monotonic() < deadline:
            check.time.sleep(0.05)
        for word in words:
            self.assertIn(word, narwal.log())
        self.assertEqual(self.server.value("SELECT count(*) FROM pg_replication_slots"), 0)

    def test_load_arrives_over_verified_tls(self):
        load = workload.Workload(self.server.dsn(), seed=check.seed(), sessions=3, bulk_rows=3000)
        narwal = self.narwal()
        with load:
            load.run_until(lambda: load.transactions > TRANSACTIONS)
            narwal.start().wait_streaming()
            load.rewrites = True
            load.run_until(lambda: load.transactions > 4 * TRANSACTIONS)
        narwal.wait_caught_up()
        self.assertTrue(self.server.value(
            "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
            "WHERE usename = 'follower'"))
        result = narwal.compare(workload.TABLES)
        self.assertTrue(result.good, result.report())
        self.assert_secret(narwal)

    def assert_secret(self, narwal):
        """The password is nowhere: not in the log, the state, status, arguments or environment."""
        status, output = narwal.call("status")
        self.assertEqual(status, 0, output)
        arguments = pathlib.Path(f"/proc/{narwal.process.pid}/cmdline").read_bytes().decode()
        for place, text in [("log", narwal.log(True)), ("status", output), ("arguments", arguments)]:
            self.assertNotIn("tr0ub4dor", text, place)
        for path in narwal.home.rglob("*"):
            if path.is_file():
                self.assertNotIn(b"tr0ub4dor", path.read_bytes(), path)
        self.assertNotIn("tr0ub4dor", self.server.log.read_text(errors="replace"))

    def test_wrong_password_is_said_without_showing_it(self):
        narwal = self.narwal(password="not this secret one")
        self.assert_refuses(narwal, "NW1106 ", "password")
        self.assertNotIn("not this secret one", narwal.log())

    def test_certificate_of_an_unknown_authority(self):
        other = self.cluster(tls=True)
        narwal = self.narwal(sslrootcert=other.ca)
        self.assert_refuses(narwal, "NW1101 ", "certificate", "sslrootcert")

    def test_certificate_of_another_host(self):
        narwal = self.narwal(host="db.example.com")
        self.assert_refuses(narwal, "db.example.com")

    def test_server_without_tls(self):
        plain = self.cluster()
        narwal = self.narwal()
        narwal.config["source"]["dsn"] = plain.dsn(way="tls", sslrootcert=self.server.ca)
        self.assert_refuses(narwal, "NW1103 ", "does not offer TLS", "sslmode=disable")


if __name__ == "__main__":
    check.main()
