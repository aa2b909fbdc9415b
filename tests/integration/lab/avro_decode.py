# SPDX-License-Identifier: Apache-2.0
"""Run by lab/avro.py with a Python that has fastavro: {"schemas":{ID:SCHEMA},"messages":[HEX]} on the
standard input, the values as a JSON list on the output. Bytes become {"hex":...}, decimals texts."""
import datetime
import decimal
import io
import json
import sys
import uuid

import fastavro


def plain(value):
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, (decimal.Decimal, uuid.UUID, datetime.date, datetime.time)):
        return str(value)
    raise TypeError(type(value))


def main():
    asked = json.load(sys.stdin)
    schemas = {int(number): fastavro.parse_schema(schema) for number, schema in asked["schemas"].items()}
    values = []
    for message in map(bytes.fromhex, asked["messages"]):
        if message[0] != 0:
            raise ValueError("no magic byte")
        data = io.BytesIO(message[5:])
        values.append(fastavro.schemaless_reader(data, schemas[int.from_bytes(message[1:5], "big")]))
        if data.read():
            raise ValueError("bytes behind the value")
    json.dump(values, sys.stdout, default=plain)


if __name__ == "__main__":
    main()
