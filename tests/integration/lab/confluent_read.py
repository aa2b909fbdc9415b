# SPDX-License-Identifier: Apache-2.0
"""Run by lab/avro.py with a Python that has Confluent's client: {"brokers","registry","topics"} on the standard input; on the
output of each topic its messages, as [key, value, whether its serializer makes the same bytes of the key]."""
import json
import sys

from avro_decode import plain
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

SECONDS_MAX = 30


def messages(consumer, topic):
    for partition in consumer.list_topics(topic, timeout=SECONDS_MAX).topics[topic].partitions:
        place = TopicPartition(topic, partition, 0)
        _, end = consumer.get_watermark_offsets(place, timeout=SECONDS_MAX)
        consumer.assign([place])
        at = 0
        while at < end:
            message = consumer.poll(SECONDS_MAX)
            if message is None or message.error():
                raise RuntimeError(f"{topic}: {message and message.error()}")
            at = message.offset() + 1
            yield message


def main():
    asked = json.load(sys.stdin)
    registry = SchemaRegistryClient({"url": asked["registry"]})
    read = AvroDeserializer(registry)
    consumer = Consumer({"bootstrap.servers": asked["brokers"], "group.id": "confluent_read", "auto.offset.reset": "earliest",
                         "enable.auto.commit": False, "isolation.level": "read_uncommitted"})
    found = {}
    for topic in asked["topics"]:
        found[topic] = []
        for message in messages(consumer, topic):
            key, value = (data and read(data, SerializationContext(topic, field)) for data, field in (
                (message.key(), MessageField.KEY), (message.value(), MessageField.VALUE)))
            same = None
            if message.key():
                schema = registry.get_schema(int.from_bytes(message.key()[1:5], "big"))
                write = AvroSerializer(registry, schema.schema_str, conf={"auto.register.schemas": False})
                same = write(key, SerializationContext(topic, MessageField.KEY)) == message.key()
            found[topic].append([key, value, same])
    consumer.close()
    json.dump(found, sys.stdout, default=plain)


main()
