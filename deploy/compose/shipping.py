"""A service that ships what was ordered: a webhook to which the Postrider beside it delivers.

Answering 2xx says "done". Anything else, or no answer, and Postrider delivers the event again later, or sets it aside as
a dead letter with the reason: a 400 says that a repetition would not help.
"""

import collections
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LISTEN = os.environ.get("LISTEN", "0.0.0.0:8080")
REMEMBERED = 10_000  # ids of orders, by which a repetition is told

lock = threading.Lock()
shipped = collections.OrderedDict()
stats = {"shipped": 0, "repeated": 0, "customers": collections.Counter()}


def ship(event_id, order):
    """Ships an order once, though it may be delivered again after a crash. Returns whether it was new."""
    with lock:
        if event_id in shipped:
            stats["repeated"] += 1
            return False
        shipped[event_id] = True
        if len(shipped) > REMEMBERED:
            shipped.popitem(last=False)
        stats["shipped"] += 1
        stats["customers"][order["customer"]] += 1
        return True


class Webhook(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        # The event's attributes are headers, its data is the body: what the publisher sent, byte by byte.
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        event_id, attempt = self.headers.get("ce-id"), self.headers.get("postrider-attempt")
        try:
            order = json.loads(body)
            new = ship(event_id, order)
        except (KeyError, TypeError, ValueError) as reason:
            return self.answer(400, {"detail": f"no order: {reason!r}"})
        note = "shipped" if new else "known already"
        print(f"{order['customer']}: {body.decode()} (attempt {attempt}): {note}", flush=True)
        self.answer(200, {})

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
ThreadingHTTPServer((host, int(port)), Webhook).serve_forever()
