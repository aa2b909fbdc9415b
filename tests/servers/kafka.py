#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A Kafka broker, from the jars that its project releases to Maven Central (54 MB).

    tests/servers/kafka.py      fetch and print where the jars are
"""
import hashlib
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

import servers

VERSION = "4.3.1"
ARTIFACTS = [("org.apache.kafka", "kafka_2.13", VERSION), ("org.apache.kafka", "kafka-tools", VERSION),
             ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.1"),
             ("org.apache.logging.log4j", "log4j-core", "2.25.1")]
JAVA_MIN = 17
HEAP = ["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
BEGIN_SECONDS_MAX = 60


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


# ---- its classes, read and verified once -----------------------------------------------------------

def fast(program):
    """Words for that Java which halve what each start of a broker or a tool costs: an archive of the classes that
    they load, made once."""
    folder = jars()
    key = f"{os.path.realpath(program)} {os.stat(program).st_mtime_ns} {folder}"
    place = servers.cache_folder() / f"kafka-{VERSION}-classes-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    servers.kept(place, lambda: archive(program, folder, place))
    return [f"-XX:SharedArchiveFile={place}/classes.jsa", "-Xshare:auto", "-Xlog:disable", "-Xlog:all=error:stderr"]


def free_ports(count):
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def archive(program, folder, place):
    """What a broker loads that is made, started, asked by its tools and stopped. Without it all works, slower: the
    folder is made, also where Java makes none."""
    with tempfile.TemporaryDirectory(prefix=".classes-", dir=place.parent) as work:
        work = pathlib.Path(work)
        made = work / "made"
        made.mkdir()
        try:
            dump(program, folder, work, made / "classes.jsa")
        except (OSError, subprocess.SubprocessError) as error:
            print(f"kafka.py: no archive of classes: {error}")
        subprocess.run(["chmod", "-R", "a+rX", str(made)], check=True)
        made.rename(place)


def dump(program, folder, work, file):
    client, controller = free_ports(2)
    settings = work / "server.properties"
    settings.write_text(f"process.roles=broker,controller\nnode.id=1\nlog.dirs={work}/data\n"
                        "controller.listener.names=CONTROLLER\noffsets.topic.replication.factor=1\n"
                        "log.cleaner.dedupe.buffer.size=4194304\n"
                        f"listeners=PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}\n"
                        f"controller.quorum.voters=1@127.0.0.1:{controller}\n")
    address = f"127.0.0.1:{client}"
    names = iter(range(100))

    def words(*more):
        return [program, *HEAP, f"-XX:DumpLoadedClassList={work}/{next(names)}.list", "-cp", f"{folder}/*", *map(str, more)]

    def run(*more, said=""):
        subprocess.run(words(*more), cwd=work, input=said, text=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=BEGIN_SECONDS_MAX, check=True)
    run("kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", settings)
    broker = subprocess.Popen(words("kafka.Kafka", settings), cwd=work, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + BEGIN_SECONDS_MAX
        while not listens(client) and broker.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        run("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", address, "--create", "--topic", "t")
        run("kafka.admin.ConfigCommand", "--bootstrap-server", address, "--alter", "--entity-type", "topics",
            "--entity-name", "t", "--add-config", "max.message.bytes=20000")
        run("org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", address, "--topic", "t", said="x\n")
    finally:
        broker.terminate()
        broker.wait(BEGIN_SECONDS_MAX)
    lines = [line for each in sorted(work.glob("*.list")) for line in each.read_text().splitlines()]
    merged = work / "all"
    merged.write_text("".join(f"{line}\n" for line in dict.fromkeys(lines)))
    subprocess.run([program, "-Xshare:dump", f"-XX:SharedClassListFile={merged}", f"-XX:SharedArchiveFile={file}",
                    "-cp", f"{folder}/*"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=work,
                   timeout=BEGIN_SECONDS_MAX, check=True)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


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
