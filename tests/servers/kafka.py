#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A Kafka broker, from the jars that its project releases to Maven Central (54 MB).

    tests/servers/kafka.py      fetch and print where the jars are
"""
import pathlib
import shutil
import subprocess
import tempfile

import servers

VERSION = "4.3.1"
ARTIFACTS = [("org.apache.kafka", "kafka_2.13", VERSION), ("org.apache.kafka", "kafka-tools", VERSION),
             ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.1"),
             ("org.apache.logging.log4j", "log4j-core", "2.25.1")]
JAVA_MIN = 17


def java():
    """The path of a Java that is new enough."""
    found = shutil.which("java")
    if found is None:
        raise servers.Unavailable("a Kafka broker needs Java 17 (Debian: openjdk-17-jre-headless)")
    said = subprocess.run([found, "-version"], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False).stdout
    major = said.partition('version "')[2].partition(".")[0].partition('"')[0]
    if not major.isdigit() or int(major) < JAVA_MIN:
        raise servers.Unavailable(f"a Kafka broker needs Java {JAVA_MIN}, and {found} is {major or said[:60]}")
    return found


def jars():
    """The folder of the broker's jars; fetched when it is not there yet."""
    folder = servers.cache_folder() / f"kafka-{VERSION}"
    return servers.kept(folder, lambda: fetch(folder))


def fetch(folder):
    """Maven verifies each jar; beside the final place, and renamed."""
    wanted = "".join(f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId>"
                     f"<version>{version}</version></dependency>" for group, name, version in ARTIFACTS)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder.parent) as work:
        work = pathlib.Path(work)
        (work / "pom.xml").write_text(
            "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>"
            "<groupId>narwal</groupId><artifactId>broker</artifactId><version>1</version>"
            f"<dependencies>{wanted}</dependencies></project>")
        maven(work, "dependency:copy-dependencies", f"-DoutputDirectory={work}/jars", what=f"Kafka {VERSION}")
        subprocess.run(["chmod", "-R", "a+rX", str(work / "jars")], check=True)
        (work / "jars").rename(folder)


def maven(work, *words, what):
    """Maven's client, in a folder."""
    if shutil.which("mvn") is None:
        raise servers.Unavailable(f"{what} is fetched with Maven's client, which is not installed "
                                  "(Debian: apt-get install --no-install-recommends maven)")
    try:
        subprocess.run(["mvn", "-q", "-B", *words], cwd=work, check=True, text=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=servers.FETCH_SECONDS_MAX)
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "output", None) or str(error)).strip().splitlines()
        raise servers.Unavailable(f"{what} could not be fetched: {said[0]}") from error


if __name__ == "__main__":
    print(jars())
