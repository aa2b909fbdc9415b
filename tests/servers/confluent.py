#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Confluent's AvroConverter for Connect, beside Debezium's PostgreSQL connector in one plugin, as CloudEventsConverter needs it.

Confluent's own artifacts are not in Maven Central. Debezium's connector for Cassandra, which is (90 MB), has the converter inside.

    tests/servers/confluent.py      fetch and print where it is
"""
import hashlib
import pathlib
import shutil
import subprocess
import tempfile
import zipfile

import debezium
import kafka
import servers

VERSION = "7.0.16"
ARTIFACT = "io.debezium:debezium-connector-cassandra-4:3.5.0.Final:jar:jar-with-dependencies"
SHA256 = "00f8831285927cc837b73b958c81faa134a7e4a2067adac11757761fcbb78740"
PACKAGES = ("io/confluent/", "org/apache/avro/", "com/google/common/", "com/google/thirdparty/", "org/apache/commons/compress/")
SERVICES = "META-INF/services/org.apache.kafka.connect.storage.Converter"


def plugins():
    """The folder for plugin.path: Debezium and the converter; made when it is not there yet."""
    folder = servers.cache_folder() / f"debezium-{debezium.VERSION}-confluent-{VERSION}"
    if not folder.exists():
        others = debezium.plugins()  # takes the same lock
        servers.kept(folder, lambda: make(folder, others))
    return folder


def make(folder, others):
    """Beside the final place, verified, and renamed."""
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder.parent) as work:
        work = pathlib.Path(work)
        kafka.maven(work, "dependency:copy", f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={work}",
                    what=f"Confluent's AvroConverter {VERSION}")
        jar, = work.glob("*.jar")
        digest = hashlib.sha256(jar.read_bytes()).hexdigest()
        if digest != SHA256:
            raise servers.Unavailable(f"{jar.name} has sha256 {digest}, expected {SHA256}")
        made = work / "made"
        shutil.copytree(others, made)
        plugin, = (path for path in made.iterdir() if path.is_dir())
        with zipfile.ZipFile(jar) as whole, zipfile.ZipFile(plugin / f"confluent-avro-{VERSION}.jar", "w", zipfile.ZIP_DEFLATED) as part:
            for name in whole.namelist():
                if name.startswith(PACKAGES) and not name.endswith("/"):
                    part.writestr(name, whole.read(name))
            part.writestr(SERVICES, "io.confluent.connect.avro.AvroConverter\n")
        subprocess.run(["chmod", "-R", "a+rX", str(made)], check=True)
        made.rename(folder)


if __name__ == "__main__":
    print(plugins())
