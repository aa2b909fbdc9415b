# SPDX-License-Identifier: Apache-2.0
"""What a test program needs around unittest: versions, skipping with 77, and scale.

A program is run as `test_x.py [--version N] [unittest's arguments]`. NARWAL_VERSIONS narrows the
versions, NARWAL_SCALE makes loads larger (1 is what fits into `./dev test`).
"""
import os
import signal  # noqa: F401, these are for tests
import subprocess  # noqa: F401
import sys
import time  # noqa: F401
import unittest
from subprocess import TimeoutExpired  # noqa: F401, for tests

from . import cluster

SKIPPED = 77
VERSION_DEFAULT = 15


class Options:
    version = VERSION_DEFAULT


def version():
    return Options.version


def scale():
    return float(os.environ.get("NARWAL_SCALE", "1"))


def seed():
    return int(os.environ.get("NARWAL_SEED", "1"))


class Case(unittest.TestCase):
    """A test case that takes a server that cannot be had as a reason to skip."""

    longMessage = True

    def enter(self, manager):
        """As enterContext() of Python 3.11, for older ones too."""
        value = manager.__enter__()
        self.addCleanup(manager.__exit__, None, None, None)
        return value

    def cluster(self, **options):
        try:
            return self.enter(cluster.Cluster(options.pop("version", version()), **options))
        except cluster.servers.Unavailable as error:
            self.skipTest(str(error))


def main():
    words = sys.argv[1:]
    if words[:1] == ["--version"]:
        Options.version = int(words[1])
        words = words[2:]
    print(f"PostgreSQL {Options.version}, seed {seed()}, scale {scale()}", flush=True)
    program = unittest.main("__main__", argv=[sys.argv[0], *words], exit=False, verbosity=2)
    result = program.result
    if not result.wasSuccessful():
        sys.exit(1)
    if result.testsRun > 0 and len(result.skipped) == result.testsRun:
        print(result.skipped[0][1])
        sys.exit(SKIPPED)
    if result.testsRun == 0:
        sys.exit("no test ran")
