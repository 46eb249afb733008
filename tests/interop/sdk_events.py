"""Events of the official CloudEvents SDK, as lines of JSON: {"attributes": {...}, "data": ..., "key": ...}.

Data that is no text and no JSON travels as {"base64": "..."}.
"""

import base64
import json

from cloudevents.core.v1.event import CloudEvent
from dateutil.parser import isoparse


def asked_for(asked):
    """The event that a line asks for."""
    attributes = dict(asked["attributes"])
    if "time" in attributes:
        attributes["time"] = isoparse(attributes["time"])
    return CloudEvent(attributes, decoded(asked.get("data")))


def tell(event, key, **more):
    """Prints an event as a line, and more beside it."""
    attributes = {
        name: value.isoformat() if hasattr(value, "isoformat") else value
        for name, value in event.get_attributes().items()
    }
    print(json.dumps({"attributes": attributes, "data": encoded(event.get_data()), "key": key, **more}), flush=True)


def encoded(data):
    return {"base64": base64.b64encode(data).decode()} if isinstance(data, bytes) else data


def decoded(data):
    return base64.b64decode(data["base64"]) if isinstance(data, dict) and set(data) == {"base64"} else data
