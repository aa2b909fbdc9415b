#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""narwal topology: this machine and made-up ones, and with a configuration."""
import os
import pathlib
import re
import tempfile

from support import check, run


def threads(output):
    """The plan's lines: {"lane-0": ("3", "0", "lane 0 (why)")}."""
    lines = output.split("RUNS (WHY)\n", 1)[1].splitlines()
    found = [re.match(r"(\S+) +(\S+) +(\S+)  (.*\(.+\))$", line) for line in lines if line[:1].strip()]
    return {m[1]: (m[2], m[3], m[4]) for m in found if m}


class Topology(check.unittest.TestCase):
    def plan(self, *words):
        result = run("topology", *words)
        self.assertEqual(result.code, 0, result)
        return result.out, threads(result.out)

    def test_this_machine(self):
        out, plan = self.plan()
        usable = len(os.sched_getaffinity(0))
        self.assertRegex(out, rf"^cores    (\d+, of which this process may use )?{usable};")
        self.assertEqual(set(plan) >= {"engine", "service", "sink-file-0"}, True, out)

    def test_64_cores_on_two_nodes(self):
        out, plan = self.plan("--machine", "node:2 core:32 pu:1")
        self.assertIn("pinning  on:", out)
        self.assertEqual(len([name for name in plan if name.startswith("lane-")]), 16)
        self.assertEqual({node for name, (_, node, _) in plan.items()
                          if name.startswith(("engine", "lane", "order", "copy"))}, {"0"})
        self.assertEqual(plan["service"][:2], ("any", "any"))

    def test_fewer_cores_are_planned_for_on_request(self):
        out, plan = self.plan("--cpus", "2")
        self.assertEqual(set(plan), {"engine", "service", "sink-file-0"})
        self.assertIn("pinning  off:", out)

    def test_a_configuration_says_sinks_workers_and_pinning(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "p.yaml")
            file.write_text("source: {dsn: dbname=x}\ncopy: {workers: 2}\nlimits: {pin: never}\n"
                            "sinks:\n  - {type: file, name: lake, path: /x, workers: 3}\n")
            out, plan = self.plan(file, "--machine", "core:16 pu:1")
        self.assertIn("pinning  off: the configuration says so", out)
        self.assertEqual({name for name in plan if name.startswith(("sink", "copy", "order"))},
                         {"sink-lake-0", "sink-lake-1", "sink-lake-2", "sink-lake", "order-lake",
                          "copy-0", "copy-1"})

    def test_nonsense_is_refused(self):
        for words, code, text in ((("--cpus", "0"), 2, "--cpus is a number from 1 to 1024"),
                                  (("--cpus", "all"), 2, '"all"'),
                                  (("--machine", "big"), 1, '"big" describes no machine'),
                                  (("/nonexistent.yaml",), 2, "/nonexistent.yaml")):
            with self.subTest(words):
                result = run("topology", *words)
                self.assertEqual(result.code, code, result)
                self.assertIn(text, result.err)


if __name__ == "__main__":
    check.main()
