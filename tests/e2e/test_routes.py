"""Both routes through the deployed stack: from Stripe's delivery to the order's row."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from local.checkouts import Answer, forge
from local.cloud import LocalCloud
from local.fake_stripe.partner_events import EventBridge
from local.shop import OrderState
from tests.e2e.on_call import OnCall
from tests.support.waiting import SECONDS

pytestmark = pytest.mark.xdist_group("e2e")

COPIES = 8
"""On each route; the functions take ten at once, and more would be another test."""


def settled_once(state: OrderState, *, by: str) -> bool:
    """Paid, with every counter moved once: two tickets, one use of the code."""
    return (state.status, state.sold, state.used, state.settlements, state.route) == (
        *("paid", 2, 1, 1),
        by,
    )


def test_partner_event_settles_its_order(cloud: LocalCloud) -> None:
    order = cloud.shop.add_order()

    cloud.stripe.publish(cloud.stripe.paid(order))

    assert settled_once(cloud.shop.wait_until(order, "paid"), by="eventbridge")


def test_signed_request_settles_its_order(cloud: LocalCloud) -> None:
    order = cloud.shop.add_order()

    answer = cloud.stripe.post(cloud.stripe.paid(order))

    assert answer == Answer(status=200, outcome="settled")
    assert settled_once(cloud.shop.state(order), by="webhook")


def test_copies_of_one_event_on_both_routes_at_once_settle_once(cloud: LocalCloud) -> None:
    order = cloud.shop.add_order()
    event = cloud.stripe.paid(order)
    with ThreadPoolExecutor(2 * COPIES) as threads:
        posted = [threads.submit(cloud.stripe.post, event) for _ in range(COPIES)]
        published = [threads.submit(cloud.stripe.publish, event) for _ in range(COPIES)]
    for publication in published:
        publication.result(SECONDS)

    by_webhook = [answer.result(SECONDS) for answer in posted]
    by_eventbridge = cloud.operator.wait_for_outcomes(
        cloud.addresses.event_function, event["id"], COPIES
    )

    outcomes = sorted([*by_eventbridge, *(str(answer.outcome) for answer in by_webhook)])
    assert {answer.status for answer in by_webhook} == {200}
    assert outcomes == [*["duplicate"] * (2 * COPIES - 1), "settled"]
    state = cloud.shop.state(order)
    assert settled_once(state, by=str(state.route))


def test_forged_signature_is_400_and_changes_nothing(cloud: LocalCloud) -> None:
    order = cloud.shop.add_order()
    before = cloud.shop.state(order)

    answer = forge(cloud.addresses.webhook_url, cloud.stripe.paid(order))

    assert answer == Answer(status=400, outcome="unauthenticated")
    assert cloud.shop.state(order) == before


def test_order_waits_for_a_payment_that_comes_later(cloud: LocalCloud) -> None:
    order = cloud.shop.add_order()
    before = cloud.shop.state(order)

    unpaid = cloud.stripe.unpaid(order)
    cloud.stripe.publish(unpaid)
    waiting = cloud.shop.wait_until(order, "processing")
    cloud.stripe.publish(cloud.stripe.settle_later(unpaid))

    assert waiting == replace(before, status="processing")
    assert settled_once(cloud.shop.wait_until(order, "paid"), by="eventbridge")


def test_later_payment_that_fails_sells_nothing(cloud: LocalCloud) -> None:
    order = cloud.shop.add_order()
    before = cloud.shop.state(order)
    unpaid = cloud.stripe.unpaid(order)
    cloud.stripe.publish(unpaid)
    cloud.shop.wait_until(order, "processing")

    cloud.stripe.publish(cloud.stripe.settle_later(unpaid, succeeded=False))

    state = cloud.shop.wait_until(order, "payment_failed")
    assert state == replace(before, status="payment_failed")


def test_wrong_amount_is_kept_for_a_person_who_is_told(cloud: LocalCloud, on_call: OnCall) -> None:
    order = cloud.shop.add_order(amount=5000)
    before = cloud.shop.state(order)
    on_call.expect("cachao-payment-anomalies")

    answer = cloud.stripe.post(cloud.stripe.paid(order, amount=4500))

    assert answer == Answer(status=200, outcome="anomaly")
    [(kind, _)] = cloud.shop.anomalies(order)
    assert kind == "amount_mismatch"
    assert cloud.shop.state(order) == before
    told = on_call.wait_for_alarm("cachao-payment-anomalies")
    assert told["Trigger"]["MetricName"] == "PaymentAnomaly"


def test_checkout_of_another_team_is_acknowledged_and_ignored(cloud: LocalCloud) -> None:
    """One Stripe account, several shops: a session without an order of ours is not ours."""
    order = cloud.shop.add_order()
    before = cloud.shop.state(order)
    event = cloud.stripe.paid(order, metadata={"basket": "7"})

    cloud.stripe.publish(event)
    answer = cloud.stripe.post(event)

    assert answer == Answer(status=200, outcome="ignored")
    outcomes = cloud.operator.wait_for_outcomes(cloud.addresses.event_function, event["id"], 1)
    assert outcomes == ["ignored"]
    assert cloud.shop.state(order) == before


def test_event_of_another_type_never_reaches_the_function(cloud: LocalCloud) -> None:
    """The rule takes the types that settle, and no others of the many a bus carries."""
    order = cloud.shop.add_order()
    event = cloud.stripe.paid(order)
    other = {**event, "id": "evt_other", "type": "payment_intent.succeeded"}

    EventBridge(cloud.aws.client("events")).put(cloud.addresses.event_bus, other)
    cloud.stripe.publish(event)

    cloud.shop.wait_until(order, "paid")
    assert cloud.operator.outcomes(cloud.addresses.event_function, other["id"]) == []
