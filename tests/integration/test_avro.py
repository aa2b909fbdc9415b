#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Schemas in a real registry."""
import json
import subprocess
import unittest

from lab import check, cluster, registry
from lab.narwal import build

OK, RETRY, REJECT = 0, 2, 3


def record(**fields):
    """The schema of a record with these fields."""
    return json.dumps({"type": "record", "name": "Row", "namespace": "lab",
                       "fields": [{"name": name, "type": kind} for name, kind in fields.items()]})


class RegistryTest(check.Case):
    """The client alone."""

    @classmethod
    def setUpClass(cls):
        manager = registry.Registry()
        try:
            cls.registry = manager.__enter__()
        except cluster.servers.Unavailable as error:
            raise unittest.SkipTest(str(error))
        cls.addClassCleanup(manager.__exit__, None, None, None)

    def ask(self, subject, schema, *more, url=None, ca="-"):
        """Exit status and words of the client."""
        result = subprocess.run([str(build() / "tests" / "integration" / "registry_client"),
                                 url or self.registry.url, ca, subject, schema, *more], text=True,
                                stdout=subprocess.PIPE, timeout=60, check=False)
        return result.returncode, result.stdout.strip()

    def test_a_schema_keeps_its_id(self):
        first = self.ask("keeps-value", record(a="int"))
        self.assertEqual(first[0], OK)
        self.assertEqual(json.loads(record(a="int")), self.registry.schema(int(first[1])))
        self.assertEqual(self.ask("keeps-value", record(a="int")), first)
        self.assertEqual(self.registry.versions("keeps-value"), [1])
        second = self.ask("keeps-value", record(a="long"))
        self.assertNotEqual(second, first)
        self.assertEqual(self.ask("keeps-value", record(a="int")), first)
        self.assertEqual(self.registry.versions("keeps-value"), [1, 2])

    def test_what_it_does_not_take(self):
        self.assertEqual(self.ask("strict-value", record(a="int"))[0], OK)
        self.registry.level("strict-value", "BACKWARD")
        status, said = self.ask("strict-value", record(a="string"))
        self.assertEqual(status, REJECT)
        self.assertRegex(said, "^NW2722 .*strict-value.*STRING not compatible with writer type: INT")
        self.assertEqual(self.registry.versions("strict-value"), [1])
        self.assertEqual(self.ask("strict-value", record(a="long"))[0], OK)
        status, said = self.ask("broken-value", '{"type":"recor"}')
        self.assertEqual((status, said[:6]), (REJECT, "NW2722"))

    def test_what_may_not_be_registered(self):
        status, said = self.ask("others-value", record(a="int"), "no")
        self.assertEqual((status, said[:6]), (REJECT, "NW2723"))
        number = self.registry.register("others-value", json.loads(record(a="int")))
        self.assertEqual(self.ask("others-value", record(a="int"), "no"), (OK, str(number)))

    def test_several_urls_and_none(self):
        nobody = "http://127.0.0.1:1"
        self.assertEqual(self.ask("several-value", record(a="int"), url=f"{nobody},{self.registry.url}")[0], OK)
        status, said = self.ask("several-value", record(a="int"), url=nobody)
        self.assertEqual((status, said[:6]), (RETRY, "NW2721"))

    def test_tls_with_an_authority_of_its_own(self):
        status, said = self.ask("tls-value", record(a="int"), url=self.registry.tls_url)
        self.assertEqual((status, said[:6]), (RETRY, "NW2721"))
        self.assertIn("certificate", said)
        self.assertEqual(self.ask("tls-value", record(a="int"), url=self.registry.tls_url,
                                  ca=str(self.registry.certificate))[0], OK)


if __name__ == "__main__":
    check.main()
