"""A mock of Stripe, Stripe's own client for it, and a webhook that keeps what it is sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import stripe

from local.fake_stripe.server import StripeServer
from tests.support.stripe_server import partner_events, stripe_server
from tests.support.waiting import join

__all__ = ["partner_events", "stripe_server"]


@pytest.fixture
def client(stripe_server: StripeServer) -> stripe.StripeClient:
    """Stripe's client, with the secret key of test mode."""
    return stripe_server.client()


@dataclass
class Webhook:
    """A webhook at `url`."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    """What it answers, one after the other; 200 when there are none left."""
    answer: bytes = b""
    """The body that it answers with."""
    received: list[tuple[str, str]] = field(default_factory=list)
    """(body, signature) of each request."""


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    """A webhook that answers 200 unless told otherwise."""
    hook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            hook.received.append((body, self.headers["Stripe-Signature"]))
            self.send_response(hook.statuses.pop(0) if hook.statuses else 200)
            self.send_header("Content-Length", str(len(hook.answer)))
            self.end_headers()
            self.wfile.write(hook.answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hook.url = f"http://127.0.0.1:{server.server_address[1]}/webhooks/stripe"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield hook
        server.shutdown()
        join(thread, "the server of the hook")
