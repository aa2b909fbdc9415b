# SPDX-License-Identifier: Apache-2.0
"""What lies in a topic as bytes, and what it says in Avro: read with fastavro."""
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "servers"))
import avro_reader as parts  # noqa: E402
import confluent_client  # noqa: E402

READ_SECONDS_MAX = 60
FORMAT = "%p %o %T %K %S\n%k%s\n"


def read(broker, topic):
    """Every message: (partition, offset, timestamp, key, value), as bytes; None where there is none."""
    data = subprocess.run(["kcat", "-b", broker.address, "-C", "-t", topic, "-o", "beginning", "-e", "-q",
                           "-X", "fetch.wait.max.ms=10", "-X", "isolation.level=read_committed", "-f", FORMAT], check=True,
                          stdout=subprocess.PIPE, timeout=READ_SECONDS_MAX).stdout
    messages, at = [], 0
    while at < len(data):
        line, at = data[at:data.index(b"\n", at)], data.index(b"\n", at) + 1
        partition, offset, timestamp, key_size, value_size = map(int, line.split())
        fields = []
        for size in (key_size, value_size):
            fields.append(None if size < 0 else data[at:at + size])
            at += max(size, 0)
        messages.append((partition, offset, timestamp, *fields))
        at += 1
    return sorted(messages)


def read_with_confluent(broker, registry, topics):
    """What Confluent's Python client finds: see confluent_read.py. Raises servers.Unavailable where it is not to be had."""
    asked = {"brokers": broker.address, "registry": registry.url, "topics": topics}
    result = subprocess.run([str(confluent_client.python()), str(pathlib.Path(__file__).with_name("confluent_read.py"))],
                            input=json.dumps(asked), text=True, stdout=subprocess.PIPE, check=True, timeout=2 * READ_SECONDS_MAX)
    return json.loads(result.stdout)


def without_decimals(schema):
    if isinstance(schema, list):
        return [without_decimals(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: without_decimals(part) for name, part in schema.items() if (name, part) != ("logicalType", "decimal")}


class Reader:
    """Decodes with the schemas of a registry. Raises servers.Unavailable where fastavro is not to be had."""

    def __init__(self, registry):
        self.registry, self.python = registry, parts.python()

    def decode(self, messages, as_bytes=False):
        """as_bytes: decimals, as they may have more digits behind the point than fastavro takes."""
        numbers = {int.from_bytes(message[1:5], "big") for message in messages}
        asked = {"schemas": {number: without_decimals(self.registry.schema(number)) if as_bytes else self.registry.schema(number)
                             for number in numbers},
                 "messages": [message.hex() for message in messages]}
        result = subprocess.run([str(self.python), str(pathlib.Path(__file__).with_name("avro_decode.py"))],
                                input=json.dumps(asked), text=True, stdout=subprocess.PIPE, check=True,
                                timeout=READ_SECONDS_MAX)
        return json.loads(result.stdout)

    def topic(self, broker, topic):
        """Key and value of each message, in the order of partitions and offsets."""
        messages = read(broker, topic)
        fields = [field for message in messages for field in message[3:]]
        decoded = iter(self.decode([field for field in fields if field is not None]))
        values = [None if field is None else next(decoded) for field in fields]
        return list(zip(values[::2], values[1::2]))
