#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A Python that has Confluent's client of Kafka and of its schema registry: in the cache, made once (50 MB).

    tests/servers/confluent_client.py      make it and print where it is
"""
import servers
import avro_reader

VERSION = "2.16.1"
PACKAGES = [f"confluent-kafka=={VERSION}", "fastavro==1.13.1", "attrs==26.1.0", "authlib==1.9.10", "cachetools==8.0.2",
            "certifi==2026.10.19.post1", "httpx2==2.16.2", "typing_extensions==4.16.0"]


def python():
    """The path of the interpreter; raises servers.Unavailable."""
    folder = servers.cache_folder() / f"confluent-kafka-{VERSION}"
    program = folder / "bin" / "python3"
    servers.kept(folder, lambda: avro_reader.make(folder, program, PACKAGES, "Confluent's client"), "ready")
    return program


if __name__ == "__main__":
    print(python())
