"""A service that takes orders and publishes them, by way of the Postrider beside it.

It makes up an order every second, and takes one at each POST /orders. All that it knows of events is one HTTP request
to localhost: no client library, and no word of which broker is behind.
"""

import http.client
import itertools
import json
import os
import random
import threading
import time
import urllib.error
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

POSTRIDER = os.environ.get("POSTRIDER_URL", "http://localhost:3500")
LISTEN = os.environ.get("LISTEN", "0.0.0.0:8080")
EVERY_SECONDS = float(os.environ.get("ORDER_EVERY_SECONDS", "1"))
CUSTOMERS = ["ada", "grace", "linus", "margaret"]
BODY_BYTES_MAX = 64 * 1024

lock = threading.Lock()
stats = {"accepted": 0}  # how many orders are safe


def publish(order):
    """Publishes an order; returns the status and Postrider's answer. A 200 says that the broker has it."""
    headers = {
        "content-type": "application/json",
        "idempotency-key": order["id"],  # becomes the event's id: sent twice, it is still the same event
        "postrider-key": order["customer"],  # a customer's orders stay in order
    }
    return post(headers, json.dumps(order).encode())


def publish_as_cloudevent(order):
    """The same as a CloudEvent: the service chooses type and source itself. Its subject is the key, as the topic has it."""
    event = {
        "specversion": "1.0",
        "id": order["id"],
        "source": "/orders",
        "type": "com.example.order.created",
        "subject": order["customer"],
        "data": order,
    }
    return post({"content-type": "application/cloudevents+json"}, json.dumps(event).encode())


def post(headers, body):
    request = urllib.request.Request(f"{POSTRIDER}/v1/topics/orders.created/events", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=35) as answer:
            told = json.load(answer)
            with lock:
                stats["accepted"] += 1
            return answer.status, told
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)  # a problem: its "code" and "detail" say what is the matter
    except (OSError, http.client.HTTPException) as unreachable:
        return 503, {"code": "unreachable", "detail": str(unreachable)}  # Postrider starts, or starts again


def order_every_second():
    for number in itertools.count(1):
        customer, total = random.choice(CUSTOMERS), random.randint(5, 500)
        order = {"id": str(uuid.uuid4()), "number": number, "customer": customer, "total": total}
        while True:
            status, answer = publish(order)
            print(f"order {number} of {customer}: {status} {answer.get('accepted') or answer}", flush=True)
            if status < 500 and status != 429:
                break
            time.sleep(1)  # not now, or unknown whether: the same order again, before any later one
        time.sleep(EVERY_SECONDS)


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        if self.path != "/orders":
            return self.answer(404, {"detail": "there is POST /orders"})
        length = int(self.headers.get("content-length", 0))
        if length > BODY_BYTES_MAX:
            self.close_connection = True
            return self.answer(413, {"detail": f"at most {BODY_BYTES_MAX} bytes"})
        try:
            order = dict(json.loads(self.rfile.read(length)))
            order = {"customer": "anonymous", **order, "id": str(uuid.uuid4())}
        except (TypeError, ValueError):
            return self.answer(400, {"detail": 'send JSON, such as {"customer": "ada", "total": 12}'})
        status, answer = publish_as_cloudevent(order)
        self.answer(status, answer)

    def do_GET(self):
        if self.path == "/healthz":
            return self.answer(200, {})
        with lock:
            self.answer(200, stats)

    def answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, *_):
        pass


host, port = LISTEN.rsplit(":", 1)
threading.Thread(target=order_every_second, daemon=True).start()
ThreadingHTTPServer((host, int(port)), Api).serve_forever()
