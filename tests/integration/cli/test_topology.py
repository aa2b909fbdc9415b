#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""narwal topology: this machine and made-up ones, and with a configuration."""
import os
import pathlib
import re
import subprocess
import tempfile

from support import check, narwal, run


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

    def limited(self, *words, memory="512M", cpus="150000 100000"):
        """In a control group, of either version, that gives so much; only its files are made up."""
        script = (f"mount -t tmpfs none /sys/fs/cgroup && cd /sys/fs/cgroup && mkdir cpu memory && "
                  f"echo {cpus} >cpu.max && echo $(numfmt --from=iec {memory}) >memory.max && "
                  f"echo {cpus.split()[0]} >cpu/cpu.cfs_quota_us && echo {cpus.split()[1]} >cpu/cpu.cfs_period_us && "
                  f"cp memory.max memory/memory.limit_in_bytes && cd / && exec \"$@\"")
        way = ["unshare", "--mount"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
        command = [*way, "sh", "-c", script, "sh", str(narwal.build() / "narwal"), *map(str, words)]
        try:
            return subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=60)
        except FileNotFoundError as error:
            self.skipTest(str(error))

    def test_a_control_group_bounds_cores_and_memory(self):
        if self.limited("version").returncode != 0:
            self.skipTest("no mount namespaces here")
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "p.yaml")
            text = "source: {dsn: 'host=127.0.0.1 port=1'}\nsinks: [{type: 'null'}]\n"
            file.write_text(text)
            out = self.limited("topology", file).stdout
            self.assertIn("the control group gives the time of 1.5 cores", out)
            self.assertRegex(out, r"of which the control group gives 51\d.* MB|of which the control group gives 53\d.* MB")
            self.assertRegex(out, r"plan     for [12] cores?:")
            self.assertRegex(out, r"memory for rows in flight: 26\d MB, half of what there is")
            self.assertIn("of memory for rows in flight, half of the", self.run_briefly(file))
            file.write_text(text + "limits: {memory: 400MiB}\n")
            self.assertIn("more than half of the memory there is", self.limited("topology", file).stdout)
            self.assertIn("NW1015", self.run_briefly(file))

    def run_briefly(self, file):
        """What `run` says, ended by a server that is not there and a password that cannot be read."""
        file.write_text(file.read_text().replace("port=1'", "port=1 nonsense=1'"))
        return self.limited("run", file, "--state-dir", file.parent / "state").stdout

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
