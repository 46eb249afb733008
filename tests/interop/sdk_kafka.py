"""Reads and writes events on Kafka with the official CloudEvents SDK, for the tests of interoperability.

    sdk_kafka.py produce BOOTSTRAP TOPIC        one event a line on standard input, with "mode" beside the rest:
                                                "binary" or "structured"
    sdk_kafka.py consume BOOTSTRAP TOPIC COUNT  one event a line on standard output, in the topic's order

Lines are as sdk_events.py has them.
"""

import json
import sys

from cloudevents.core.bindings import kafka
from kafka import KafkaConsumer, KafkaProducer

import sdk_events

PATIENCE_MS = 30_000


def produce(bootstrap, topic):
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
    write = {"binary": kafka.to_binary_event, "structured": kafka.to_structured_event}
    for line in sys.stdin:
        asked = json.loads(line)
        key = asked.get("key")
        event = sdk_events.asked_for(asked)
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
        sdk_events.tell(kafka.from_kafka_event(message), record.key.decode() if record.key else None)
    consumer.close()


if __name__ == "__main__":
    {"produce": produce, "consume": consume}[sys.argv[1]](*sys.argv[2:])
