"""Publishes and receives on Pub/Sub with Google's own client, events being the official CloudEvents SDK's, for the tests
of interoperability. The server is the one that PUBSUB_EMULATOR_HOST names.

    sdk_pubsub.py publish PROJECT TOPIC                one line of standard input a message:
                                                       an event, with "mode" beside the rest, "binary" or "structured";
                                                       or {"message": {"attributes", "data", "key"}}, as it is
    sdk_pubsub.py receive PROJECT SUBSCRIPTION COUNT   one event a line on standard output, as they come, with "mode"
                                                       beside the rest
    sdk_pubsub.py messages PROJECT SUBSCRIPTION COUNT  the same of messages, whatever they are:
                                                       {"id", "time", "attributes", "data", "key"}

Events are as sdk_events.py has them. The SDK has no Pub/Sub binding. The binding's binary and structured modes are those of
HTTP with attributes for headers, but that attributes are UTF-8 as it is and nothing is percent-encoded: so that is undone
here, and done before the SDK reads.
"""

import json
import queue
import sys
from urllib.parse import quote, unquote

from cloudevents.core.bindings import http
from google.cloud import pubsub_v1

import sdk_events

PATIENCE_S = 30
CONTENT_TYPE = "content-type"
STRUCTURED = "application/cloudevents"


def publish(project, topic):
    options = pubsub_v1.types.PublisherOptions(enable_message_ordering=True)
    publisher = pubsub_v1.PublisherClient(publisher_options=options)
    path = publisher.topic_path(project, topic)
    for line in sys.stdin:
        asked = json.loads(line)
        message = asked.get("message")
        if message is None:
            attributes, data = write(sdk_events.asked_for(asked), asked["mode"])
            key = asked.get("key")
        else:
            attributes, data, key = message["attributes"], sdk_events.decoded(message["data"]), message.get("key")
            data = data.encode() if isinstance(data, str) else data
        published = publisher.publish(path, data, ordering_key=key or "", **attributes)
        print(json.dumps(published.result(timeout=PATIENCE_S)), flush=True)
    publisher.stop()


def write(event, mode):
    message = {"binary": http.to_binary_event, "structured": http.to_structured_event}[mode](event)
    decoded = lambda name, value: unquote(value) if name.startswith("ce-") else value
    return {name: decoded(name, value) for name, value in message.headers.items()}, message.body


def read(attributes, data):
    if attributes.get(CONTENT_TYPE, "").lower().startswith(STRUCTURED):
        headers = {CONTENT_TYPE: attributes[CONTENT_TYPE]}
        return "structured", timed(http.from_structured_event(http.HTTPMessage(headers, data)), "time" in json.loads(data))
    encoded = lambda name, value: quote(value) if name.startswith("ce-") else value
    headers = {name: encoded(name, value) for name, value in attributes.items()}
    return "binary", timed(http.from_binary_event(http.HTTPMessage(headers, data)), "ce-time" in attributes)


def timed(event, is_timed):
    """The event without the time that the SDK gives to one that has none."""
    if not is_timed:
        del event.get_attributes()["time"]
    return event


def receive(project, subscription, count):
    for message in pulled(project, subscription, int(count)):
        mode, event = read(dict(message.attributes), message.data)
        sdk_events.tell(event, message.ordering_key or None, mode=mode)


def messages(project, subscription, count):
    for message in pulled(project, subscription, int(count)):
        told = {
            "id": message.message_id,
            "time": message.publish_time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "attributes": dict(message.attributes),
            "data": sdk_events.encoded(message.data),
            "key": message.ordering_key or None,
        }
        print(json.dumps(told), flush=True)


def pulled(project, subscription, count):
    """The first messages that come over a streaming pull, each acknowledged."""
    came = queue.Queue()
    subscriber = pubsub_v1.SubscriberClient()
    stream = subscriber.subscribe(subscriber.subscription_path(project, subscription), callback=came.put)
    try:
        for _ in range(count):
            message = came.get(timeout=PATIENCE_S)
            message.ack()
            yield message
    finally:
        stream.cancel()
        stream.result(timeout=PATIENCE_S)
        subscriber.close()


if __name__ == "__main__":
    {"publish": publish, "receive": receive, "messages": messages}[sys.argv[1]](*sys.argv[2:])
