"""Thin events as they are deployed: the asset, the runtime, a key in a secret, Stripe's API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local.fake_stripe.server import StripeServer
from local.shop import Order
from tests.runtime.function import Function
from tests.support.cachao import Cachao
from tests.support.events import eventbridge_envelope, webhook_request
from tests.support.secrets_manager_server import ARN, SecretsManagerServer, secret_string

Start = Callable[..., Function]

pytestmark = pytest.mark.xdist_group("runtime")

EMAIL = "jane.doe@example.com"
FORMS: dict[str, Callable[..., Any]] = {
    "eventbridge_handler": eventbridge_envelope,
    "webhook_handler": webhook_request,
}


@pytest.fixture
def stripe(configuration: dict[str, str]) -> Iterator[StripeServer]:
    """A mock of Stripe; the functions have a key there that may read sessions and nothing else."""
    with StripeServer() as stripe, SecretsManagerServer() as secrets:
        key = stripe.add_key(permissions=["checkout_session_read"])
        secrets.answers = [secret_string({"api_key": key})]
        configuration |= {
            "STRIPE_API_BASE": stripe.url,
            "THIN_EVENTS_KEY_SECRET_ARN": ARN,
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": secrets.url,
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
        }
        yield stripe


def pay(stripe: StripeServer, order: Order) -> dict[str, Any]:
    """Pay an order; return the thin event, which is not delivered."""
    session = stripe.create_checkout(
        amount=order.amount, currency=order.currency, metadata={"order_id": str(order.id)}
    )["id"]
    stripe.account.test.sessions[session]["customer_email"] = EMAIL
    snapshot = stripe.pay(session, deliver=False)
    events = stripe.account.test.thin_events.values()
    return next(each for each in events if each["snapshot_event"] == snapshot["id"])


@pytest.mark.parametrize("handler", FORMS)
def test_a_thin_event_settles_and_what_is_written_holds_neither_payer_nor_key(
    stripe: StripeServer,
    cachao: Cachao,
    configuration: dict[str, str],
    start: Start,
    handler: str,
) -> None:
    configuration |= {"POWERTOOLS_LOG_LEVEL": "DEBUG", "AWS_LAMBDA_LOG_LEVEL": "DEBUG"}
    order = cachao.add_order()
    function = start(handler)

    event = FORMS[handler](pay(stripe, order))
    stripe.inject(path="/v1/checkout/sessions/.*", status=500)
    assert not function.invoke(event).is_error

    assert (cachao.status(order), cachao.settlements(order)) == ("paid", 1)
    assert [line["outcome"] for line in function.lines() if "outcome" in line] == ["settled"]
    assert EMAIL not in str(function.lines())
    assert "rk_test" not in str(function.lines())


@pytest.mark.parametrize("handler", FORMS)
def test_a_thin_event_whose_session_stripe_does_not_have_is_acknowledged_as_an_anomaly(
    stripe: StripeServer, cachao: Cachao, start: Start, handler: str
) -> None:
    event = pay(stripe, cachao.add_order())
    stripe.account.test.sessions.clear()

    report = start(handler).invoke(FORMS[handler](event))

    assert not report.is_error
    assert cachao.query("SELECT kind, session_id FROM payment_anomalies") == [
        ("thin_event", event["related_object"]["id"])
    ]
