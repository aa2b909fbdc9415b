#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The Kafka sink and who it is: TLS, client certificates, SASL of every kind, secrets that change and are
told to nobody, and exactly the rights that docs/kafka.md names."""
import json
import re
import subprocess
import time
import unittest

from lab import check, cluster, kafka_secure
from lab.narwal import Narwal

PASSWORD, SCRAM, SECRET, LATER = (f"canary-{word}-77ab" for word in ("plain", "scram", "oidc", "later"))
V4 = "broker.address.family=v4"  # localhost may be ::1 as well, where nobody listens
# What docs/kafka.md asks for, as it says it there: what, on which resources, and who lacks it.
RIGHTS = [("Write", "--topic", "rights"), ("Create", "--topic", "rights"), ("Read", "--topic", "_narwal.rights"),
          ("Write", "--topic", "_narwal.rights"), ("Create", "--topic", "_narwal.rights"),
          ("Write", "--transactional-id", "narwal.rights")]


class Case(check.Case):
    users = {"narwal": PASSWORD}
    scram = {"scrammer": SCRAM}

    @classmethod
    def setUpClass(cls):
        brokers, servers = kafka_secure.SecureBroker(cls.users, cls.scram), cluster.Cluster(check.version())
        try:
            cls.broker = brokers.__enter__()
            cls.addClassCleanup(brokers.__exit__, None, None, None)
            cls.server = servers.__enter__()
        except cluster.servers.Unavailable as error:
            raise unittest.SkipTest(str(error))
        cls.addClassCleanup(servers.__exit__, None, None, None)
        cls.server.sql("CREATE SCHEMA lab; CREATE TABLE lab.marker (id bigint PRIMARY KEY);"
                       "INSERT INTO lab.marker VALUES (1)")

    def narwal(self, name, address, properties=(), **options):
        return self.enter(Narwal(self.server, name=name, settings={"sinks": [{
            "type": "kafka", "brokers": [address], "prefix": name, "properties": [V4, *properties],
            **options}]}))

    def sasl(self, name, **options):
        return self.narwal(name, self.broker.sasl, security="sasl_ssl", ca=str(self.broker.ca), **options)

    def secret(self, name, text):
        path = self.server.folder / name
        path.write_text(text + "\n")
        path.chmod(0o600)
        return f"${{file:{path}}}"

    def caught_up(self, narwal, seconds=30):
        narwal.wait("everything durable", lambda: narwal.call("wait", "--timeout", "5s")[0] == 0, seconds)

    def works(self, narwal):
        """The table's row is in its topic."""
        narwal.start()
        self.caught_up(narwal)
        keys = [json.loads(message["key"]) for message in self.broker.read(f"{narwal.name}.lab.marker")]
        self.assertIn({"id": 1}, keys)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        self.tells_nobody(narwal)

    def refused(self, narwal, *words):
        """It tries again, and says why: in the log, and in status."""
        narwal.start()
        narwal.wait("the refusal", lambda: "NW2712" in narwal.log(), 30)
        said = re.search(r"NW2712 .*", narwal.log()).group(0)
        for word in words:
            self.assertIn(word, said)
        self.assertTrue(narwal.running)
        self.assertIn("NW2712", narwal.call("status")[1])

    def tells_nobody(self, narwal):
        """The log, and all that an archive for a bug report has: the configuration in force, status, and so on."""
        archive = narwal.home / f"support{time.time_ns()}.tar.zst"
        code, said = narwal.call("support", "--output", archive, "--no-check")
        self.assertEqual(code, 0, said)
        parts = subprocess.run(["zstd", "-q", "-d", "-c", archive], check=True, stdout=subprocess.PIPE).stdout.decode(
            errors="replace")
        self.assertIn("password: '***'" if "password" in narwal.config["sinks"][0] else "prefix:", parts)
        for secret in (PASSWORD, SCRAM, SECRET, LATER):
            self.assertNotIn(secret, narwal.log(True))
            self.assertNotIn(secret, parts)


class KafkaSecurityTest(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.broker.allow(["CN=narwal", "narwal", "scrammer"], ["All"], "--topic", "*", "--transactional-id", "*")

    def test_certificates(self):
        mutual = {"security": "ssl", "ca": str(self.broker.ca), "cert": str(self.broker.cert),
                  "key": str(self.broker.key)}
        self.works(self.narwal("tls1", self.broker.tls, **mutual))
        for name, address, more, words in (
                ("tls2", self.broker.tls, {"ca": str(self.broker.other_ca)}, ["certificate verify failed"]),
                ("tls3", self.broker.tls.replace("localhost", "127.0.0.1"), {}, ["certificate verify failed"]),
                ("tls4", self.broker.tls, {"cert": None, "key": None}, ["certificate"])):
            with self.subTest(name):
                options = {key: value for key, value in {**mutual, **more}.items() if value}
                narwal = self.narwal(name, address, **options)
                self.refused(narwal, address, *words)
                narwal.kill()

    def test_passwords(self):
        for name, mechanism, user, password in (("pw1", "PLAIN", "narwal", PASSWORD),
                                                ("pw2", "SCRAM-SHA-256", "scrammer", SCRAM),
                                                ("pw3", "SCRAM-SHA-512", "scrammer", SCRAM)):
            with self.subTest(mechanism):
                self.works(self.sasl(name, mechanism=mechanism, username=user,
                                     password=self.secret(name, password)))
        for name, mechanism in (("pw4", "PLAIN"), ("pw5", "SCRAM-SHA-512")):
            with self.subTest(f"wrong {mechanism}"):
                narwal = self.sasl(name, mechanism=mechanism, username="scrammer", password=self.secret(name, LATER))
                self.refused(narwal, self.broker.sasl, "Authentication failed")
                self.tells_nobody(narwal)
                narwal.kill()

    def test_a_password_that_is_exchanged(self):
        """Read again at each try, from the first on."""
        narwal = self.sasl("pw6", mechanism="PLAIN", username="narwal", password=self.secret("pw6", LATER))
        self.refused(narwal, "Authentication failed")
        self.secret("pw6", PASSWORD)
        self.caught_up(narwal)
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        self.tells_nobody(narwal)

    def test_tokens(self):
        self.works(self.sasl("token1", mechanism="OAUTHBEARER", properties=[
            "enable.sasl.oauthbearer.unsecure.jwt=true", "sasl.oauthbearer.config=principal=narwal"]))
        tokens = self.enter(kafka_secure.Tokens("narwal", SECRET))
        oidc = {"mechanism": "OAUTHBEARER", "token_endpoint": tokens.url, "client_id": "narwal", "scope": "kafka",
                "extensions": "logicalCluster=lkc-1"}
        self.works(self.sasl("token2", **oidc, client_secret=self.secret("oidc", SECRET)))
        self.assertEqual(tokens.asked[0], {"grant_type": ["client_credentials"], "scope": ["kafka"]})
        self.assertEqual(tokens.refused, 0)
        narwal = self.sasl("token3", **oidc, client_secret=self.secret("wrong", LATER))
        self.refused(narwal, "token")
        self.assertGreater(tokens.refused, 0)
        self.tells_nobody(narwal)

    def test_half_an_identity(self):
        for options, said in ((({"security": "sasl_ssl"}), "security: sasl_... needs mechanism"),
                              ({"mechanism": "PLAIN", "username": "a", "password": "b"}, "mechanism needs security"),
                              ({"security": "sasl_ssl", "mechanism": "PLAIN"}, "needs username and password"),
                              ({"security": "sasl_ssl", "mechanism": "OAUTHBEARER"}, "needs token_endpoint"),
                              ({"security": "sasl_ssl", "mechanism": "OAUTHBEARER", "token_endpoint": "http://x",
                                "client_id": "a"}, "needs client_id and client_secret"),
                              ({"source_types_of": ["a", "(b"]}, "source_types: \"(b\""),
                              ({"source_types": ["a"]}, "source_types_of are said in schemas"),
                              ({"source_types_of": ["a"], "format": "debezium_json"}, "source_types_of are said in schemas"),
                              ({"skip": ["inserts", "rows"]}, "skip: rows is none of inserts, updates, deletes and unchanged"),
                              ({"messages_include": ["a"], "messages_exclude": ["b"]}, "messages_exclude is of use"),
                              ({"messages_exclude": ["(?=a)"]}, "messages_exclude: \"(?=a)\""),
                              ({"username": "a", "password": "b"}, "username needs security: sasl_ssl"),
                              ({"ca": str(self.broker.ca)}, "ca needs security: ssl"),
                              ({"security": "ssl", "cert": str(self.broker.cert)}, "cert needs key"),
                              ({"security": "ssl", "key": str(self.broker.key)}, "key needs cert"),
                              ({"security": "ssl", "client_id": "a"}, "client_id needs security: sasl_ssl"),
                              ({"security": "sasl_ssl", "mechanism": "PLAIN", "username": "a", "password": "b",
                                "scope": "a"}, "and mechanism: OAUTHBEARER")):
            with self.subTest(options):
                narwal = self.narwal(f"half{time.time_ns()}", self.broker.sasl, **options)
                self.assertEqual(narwal.run_to_end(), 1)
                self.assertRegex(narwal.log(), "NW100[38]")
                self.assertIn(said, narwal.log())


class KafkaRightsTest(Case):
    """Each user lacks one right, and the first none."""
    users = {f"user{number}": PASSWORD for number in range(len(RIGHTS) + 1)}

    def test_a_password_that_the_broker_exchanges(self):
        """The broker first, and the file later: what came between is not lost."""
        self.broker.allow(["scrammer"], ["All"], "--topic", "*", "--transactional-id", "*")
        narwal = self.sasl("exchanged", mechanism="SCRAM-SHA-512", username="scrammer", timeout="3s",
                           password=self.secret("exchanged", SCRAM)).start()
        self.caught_up(narwal)
        self.broker.tool("kafka.admin.ConfigCommand", "--bootstrap-server", self.broker.address, "--alter",
                         "--add-config", f"SCRAM-SHA-512=[password={LATER}]", "--entity-type", "users",
                         "--entity-name", "scrammer")
        self.broker.stop()  # else the connections that there are would stay
        self.broker.start()
        self.server.sql("INSERT INTO lab.marker VALUES (2)")
        narwal.wait("the refusal", lambda: "NW2712" in narwal.log(), 60)
        self.assertTrue(narwal.running)
        self.secret("exchanged", LATER)
        self.caught_up(narwal, 60)
        self.assertEqual([json.loads(message["key"])["id"] for message in
                          self.broker.read("exchanged.lab.marker")], [1, 2])
        self.assertEqual(narwal.terminate(), 0, narwal.log_tail())
        self.tells_nobody(narwal)
        self.server.sql("DELETE FROM lab.marker WHERE id = 2")

    def test_each_right_is_needed_and_no_other(self):
        for number, (operation, *resource) in enumerate(RIGHTS, 1):
            self.broker.allow([user for user in self.users if user != f"user{number}"], [operation], *resource,
                              "--resource-pattern-type", "prefixed")
        for delivery in ("idempotent", "transactional"):
            with self.subTest(delivery):
                self.all_of_them(delivery)

    def all_of_them(self, delivery):
        narwals = [self.sasl(f"rights{number}{delivery}", mechanism="PLAIN", username=user, delivery=delivery,
                             password=self.secret(user, PASSWORD), timeout="5s")
                   for number, user in enumerate(self.users)]
        self.works(narwals[0])
        for narwal in narwals[1:]:
            narwal.start()
        for narwal, (operation, _, resource) in zip(narwals[1:], RIGHTS):
            with self.subTest(f"without {operation} on {resource}"):
                narwal.wait("the refusal", lambda: re.search(r"NW270[13] .*uthorization", narwal.log()), 60)
                self.assertNotEqual(narwal.call("wait", "--timeout", "1s")[0], 0)
        for narwal in narwals[1:]:
            narwal.kill()


if __name__ == "__main__":
    check.main()
