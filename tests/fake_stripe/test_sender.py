"""What plays Stripe sends what Stripe sends: read by the functions' own code."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from stripe import Webhook

from local.cloud import local_webhook_url
from local.fake_stripe.sender import Answer, FakeStripe
from local.shop import Order
from settlement.domain.payments import Payment, PaymentState, Rules, read_event, read_payment
from tests.support.waiting import join

ORDER = Order(id=42, ticket_id=1, discount_code_id=None, quantity=2, amount=2598, currency="eur")
SECRET = "whsec_local"


class Endpoint(ThreadingHTTPServer):
    """Keeps what was posted and answers as the webhook would."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.posted: list[tuple[bytes, str]] = []
        self.answer = (200, b'{"outcome": "settled"}')


class Answering(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted.append((body, self.headers["Stripe-Signature"]))
        status, answer = self.server.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is there
        pass


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        join(thread, "the endpoint")


@pytest.fixture
def stripe(endpoint: Endpoint) -> FakeStripe:
    return FakeStripe(
        events=None,
        event_source="aws.partner/stripe.com/ed_local",
        webhook_url=f"http://127.0.0.1:{endpoint.server_port}/Prod/webhooks/stripe",
        signing_secret=SECRET,
    )


def test_posted_event_verifies_with_stripes_own_library(
    stripe: FakeStripe, endpoint: Endpoint
) -> None:
    stripe.post(stripe.paid(ORDER))
    [(body, signature)] = endpoint.posted
    event = Webhook.construct_event(body, signature, SECRET)
    assert event.id == "evt_local_42_1_completed"


def test_answer_is_the_status_and_the_outcome(stripe: FakeStripe) -> None:
    assert stripe.post(stripe.paid(ORDER)) == Answer(status=200, outcome="settled")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"message": "Internal"}'])
def test_answer_without_an_outcome_has_none(
    stripe: FakeStripe, endpoint: Endpoint, body: bytes
) -> None:
    endpoint.answer = (502, body)
    assert stripe.post(stripe.paid(ORDER)) == Answer(status=502, outcome=None)


def test_event_that_eventbridge_refuses_is_an_error() -> None:
    class Refusing:
        def put_partner_events(self, **_: Any) -> dict[str, Any]:
            return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "AccessDenied"}]}

    stripe = FakeStripe(events=Refusing(), event_source="any", webhook_url="any", signing_secret="")
    with pytest.raises(RuntimeError, match="did not take the event"):
        stripe.publish(stripe.paid(ORDER))


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("paid", PaymentState.PAID),
        ("unpaid", PaymentState.UNPAID),
        ("async_payment_succeeded", PaymentState.PAID),
        ("async_payment_failed", PaymentState.FAILED),
    ],
)
def test_functions_read_in_an_event_what_it_is_meant_to_say(kind: str, state: PaymentState) -> None:
    stripe = FakeStripe(events=None, event_source="any", webhook_url="any", signing_secret="any")
    sent = json.loads(json.dumps(getattr(stripe, kind)(ORDER)))
    payment = read_payment(read_event(sent), Rules(livemode=False))
    assert isinstance(payment, Payment)
    assert (payment.order_id, payment.amount, payment.currency) == (42, 2598, "eur")
    assert payment.state is state


def test_same_payment_has_the_same_ids_each_time() -> None:
    stripe = FakeStripe(events=None, event_source="any", webhook_url="any", signing_secret="any")
    first, second = stripe.paid(ORDER), stripe.paid(ORDER)
    assert first["id"] == second["id"]
    assert first["data"]["object"]["id"] == second["data"]["object"]["id"]


def test_webhook_is_where_the_emulator_serves_it() -> None:
    url = "https://af0f2ce8.execute-api.eu-west-1.amazonaws.com/Prod/webhooks/stripe"
    assert (
        local_webhook_url("http://127.0.0.1:4566", url)
        == "http://127.0.0.1:4566/_aws/execute-api/af0f2ce8/Prod/webhooks/stripe"
    )
