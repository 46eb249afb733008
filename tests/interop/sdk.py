"""Reads and writes events on Kafka with the official CloudEvents SDK, for the tests of interoperability.

    sdk.py produce BOOTSTRAP TOPIC        one event a line on standard input:
                                          {"mode": "binary" or "structured", "attributes": {...}, "data": ..., "key": ...}
    sdk.py consume BOOTSTRAP TOPIC COUNT  one event a line on standard output, in the topic's order:
                                          {"attributes": {...}, "data": ..., "key": ...}

Data that is no text and no JSON travels as {"base64": "..."} here.
"""

import base64
import json
import sys

from cloudevents.core.bindings import kafka
from cloudevents.core.v1.event import CloudEvent
from dateutil.parser import isoparse
from kafka import KafkaConsumer, KafkaProducer

PATIENCE_MS = 30_000


def produce(bootstrap, topic):
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
    write = {"binary": kafka.to_binary_event, "structured": kafka.to_structured_event}
    for line in sys.stdin:
        asked = json.loads(line)
        attributes = dict(asked["attributes"])
        if "time" in attributes:
            attributes["time"] = isoparse(attributes["time"])
        event = CloudEvent(attributes, decoded(asked.get("data")))
        key = asked.get("key")
        message = write[asked["mode"]](event, key_mapper=(lambda _: key) if key else None)
        key = message.key.encode() if isinstance(message.key, str) else message.key
        record = producer.send(topic, key=key, value=message.value, headers=list(message.headers.items()))
        record.get(timeout=PATIENCE_MS / 1000)
    producer.close()


def consume(bootstrap, topic, count):
    consumer = KafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=PATIENCE_MS
    )
    for _, record in zip(range(int(count)), consumer):
        # The key stays out: the SDK would make an attribute of it.
        message = kafka.KafkaMessage(headers=dict(record.headers), key=None, value=record.value)
        event = kafka.from_kafka_event(message)
        attributes = {
            name: value.isoformat() if hasattr(value, "isoformat") else value
            for name, value in event.get_attributes().items()
        }
        key = record.key.decode() if record.key else None
        print(json.dumps({"attributes": attributes, "data": encoded(event.get_data()), "key": key}), flush=True)
    consumer.close()


def encoded(data):
    return {"base64": base64.b64encode(data).decode()} if isinstance(data, bytes) else data


def decoded(data):
    return base64.b64decode(data["base64"]) if isinstance(data, dict) and set(data) == {"base64"} else data


if __name__ == "__main__":
    {"produce": produce, "consume": consume}[sys.argv[1]](*sys.argv[2:])
