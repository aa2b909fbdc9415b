#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A schema registry with Confluent's API: Apicurio Registry, from Maven Central (158 MB).

    tests/servers/registry.py      fetch and print where it is, and the Java that runs it
"""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import servers

VERSION = "3.3.2"
ARTIFACT = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
JAVA_MIN = 25
JAVA_FOLDERS = ("/usr/lib/jvm", "/opt")


def java():
    """The path of a Java that is new enough: $NARWAL_JAVA, $JAVA_HOME, the path's, or where systems put them."""
    found = [os.environ.get("NARWAL_JAVA"), shutil.which("java")]
    if os.environ.get("JAVA_HOME"):
        found.append(os.environ["JAVA_HOME"] + "/bin/java")
    for folder in JAVA_FOLDERS:
        found += sorted(map(str, pathlib.Path(folder).glob("*/bin/java")))
    for program in filter(None, found):
        if major(program) >= JAVA_MIN:
            return program
    raise servers.Unavailable(f"Apicurio Registry needs Java {JAVA_MIN}, and none is found in the path, $JAVA_HOME, "
                              f"{', '.join(JAVA_FOLDERS)}: unpack one there (Debian 12 has none; temurin-25-jdk of "
                              "packages.adoptium.net is one), or name it by $NARWAL_JAVA")


def major(program):
    try:
        said = subprocess.run([program, "-version"], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              check=False).stdout
    except OSError:
        return 0
    number = re.search(r'version "(\d+)', said)
    return int(number.group(1)) if number else 0


def folder():
    """Where the registry is unpacked; fetched when it is not there yet."""
    place = servers.cache_folder() / f"apicurio-{VERSION}"
    return servers.kept(place, lambda: fetch(place))


def fetch(place):
    """Maven verifies it; beside the final place, and renamed."""
    if shutil.which("mvn") is None:
        raise servers.Unavailable("Apicurio Registry is fetched with Maven's client, which is not installed "
                                  "(Debian: apt-get install --no-install-recommends maven)")
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=place.parent) as work:
        work = pathlib.Path(work)
        try:
            subprocess.run(["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={ARTIFACT}",
                            f"-DoutputDirectory={work}"], cwd=work, check=True, text=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=servers.FETCH_SECONDS_MAX)
            (work / "unpacked").mkdir()
            subprocess.run(["tar", "-xzf", *map(str, work.glob("*.tar.gz")), "-C", str(work / "unpacked"),
                            "--no-same-owner"], check=True)
        except (OSError, subprocess.SubprocessError) as error:
            said = (getattr(error, "output", None) or str(error)).strip().splitlines()
            raise servers.Unavailable(f"Apicurio Registry {VERSION} could not be fetched: {said[0]}") from error
        subprocess.run(["chmod", "-R", "a+rX", str(work / "unpacked")], check=True)
        (work / "unpacked").rename(place)


if __name__ == "__main__":
    print(folder(), java())
