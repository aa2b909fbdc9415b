#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Debezium's PostgreSQL connector, as its project releases it to Maven Central (5 MB packed).

The Connect worker that it runs in is in the folder of the broker's jars: see kafka.py.

    tests/servers/debezium.py      fetch and print where it is
"""
import hashlib
import pathlib
import shutil
import subprocess
import tempfile

import kafka
import servers

VERSION = "3.7.0.Final"
ARTIFACT = f"io.debezium:debezium-connector-postgres:{VERSION}:tar.gz:plugin"
SHA256 = "660673cbabd2f269da21409208ebd0f0d9977bd92e824fc9daa272f240e88e51"


def plugins():
    """The folder for plugin.path; fetched when it is not there yet."""
    folder = servers.cache_folder() / f"debezium-{VERSION}"
    return servers.kept(folder, lambda: fetch(folder))


def fetch(folder):
    """Beside the final place, verified, and renamed."""
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder.parent) as work:
        work = pathlib.Path(work)
        kafka.maven(work, "dependency:copy", f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={work}",
                    what=f"Debezium {VERSION}")
        archive, = work.glob("*.tar.gz")
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        if digest != SHA256:
            raise servers.Unavailable(f"{archive.name} has sha256 {digest}, expected {SHA256}")
        unpacked = work / "unpacked"
        shutil.unpack_archive(archive, unpacked)
        subprocess.run(["chmod", "-R", "a+rX", str(unpacked)], check=True)
        unpacked.rename(folder)


if __name__ == "__main__":
    print(plugins())
