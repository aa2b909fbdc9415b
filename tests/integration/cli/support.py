# SPDX-License-Identifier: Apache-2.0
"""What the tests of the command line share: running the program, and asking for its findings."""
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from lab import check, narwal  # noqa: E402, F401

COMMAND_SECONDS_MAX = 60


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return f"exit {self.code}\n{self.out}\n{self.err}"

    @property
    def findings(self):
        """The codes of a check, with their level: {"NW1206": "FAIL"}."""
        return {code: level for level, code in re.findall(r"^(FAIL|WARN)\s+(NW\d+)", self.out, re.M)}


def run(*words, **more):
    result = subprocess.run([str(narwal.build() / "narwal"), *map(str, words)], text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            timeout=COMMAND_SECONDS_MAX, **more)
    return Result(result.returncode, result.stdout, result.stderr)


def psql(server, script, database="postgres", user="postgres"):
    """Run a script as a DBA would; what psql said. Any error ends it, and the test."""
    result = subprocess.run(
        ["psql", "-X", "-v", "ON_ERROR_STOP=1", "-d", server.dsn(database, user), "-f", "-"],
        input=script, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=COMMAND_SECONDS_MAX)
    if result.returncode != 0:
        raise AssertionError(f"psql ends with {result.returncode}:\n{result.stdout}\nof\n{script}")
    return result.stdout
