"""Each handler under AWS's runtime client: an event in, committed rows and an answer out."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.runtime.function import Function
from tests.support.cachao import PASSWORD, USER, Cachao, event_for
from tests.support.events import (
    WEBHOOK_SECRET,
    any_paid_event,
    eventbridge_envelope,
    sqs_batch,
    webhook_request,
)
from tests.support.secrets_manager_server import ARN, SecretsManagerServer, secret_string

Start = Callable[..., Function]

pytestmark = pytest.mark.xdist_group("runtime")

PROXY_ANSWER = {"isBase64Encoded", "statusCode", "headers", "multiValueHeaders", "body"}
"""All that API Gateway takes ("Output format of a Lambda function for proxy integration"); any
other field makes it answer 502."""


def test_eventbridge_event_settles_and_answers_its_outcome(cachao: Cachao, start: Start) -> None:
    order = cachao.add_order()

    report = start("eventbridge_handler").invoke(eventbridge_envelope(event_for(order, event="e")))

    assert not report.is_error
    assert report.json == {
        "outcome": "settled",
        "event_id": "evt_e",
        "order_id": str(order.id),
        "anomaly": None,
    }
    assert (cachao.status(order), cachao.settlements(order)) == ("paid", 1)


def test_batch_settles_and_answers_what_failed(cachao: Cachao, start: Start) -> None:
    orders = [cachao.add_order() for _ in range(3)]
    first, second, third = (
        eventbridge_envelope(event_for(order, payment=f"p{number}"))
        for number, order in enumerate(orders)
    )

    report = start("eventbridge_handler").invoke(sqs_batch(first, "poison", second, first, third))

    assert not report.is_error
    assert report.json == {"batchItemFailures": [{"itemIdentifier": "m1"}]}
    assert [(cachao.status(order), cachao.settlements(order)) for order in orders] == [
        ("paid", 1)
    ] * 3


def test_webhook_settles_and_answers_200(cachao: Cachao, start: Start) -> None:
    order = cachao.add_order()

    report = start("webhook_handler").invoke(webhook_request(event_for(order, event="e")))

    assert report.json["statusCode"] == 200
    assert json.loads(report.json["body"]) == {"outcome": "settled", "event_id": "evt_e"}
    assert (cachao.status(order), cachao.settlements(order)) == ("paid", 1)


@pytest.mark.parametrize("secret", [WEBHOOK_SECRET, "whsec_of_another"])
def test_webhook_answers_what_api_gateway_accepts(
    cachao: Cachao, start: Start, secret: str
) -> None:
    report = start("webhook_handler").invoke(webhook_request(event_for(cachao.add_order()), secret))

    answer = report.json
    assert report.headers["content-type"] == "application/json"
    assert set(answer) <= PROXY_ANSWER
    assert type(answer["statusCode"]) is int
    assert all(type(value) is str for value in answer["headers"].values())
    assert type(answer["body"]) is str
    assert json.loads(answer["body"])["outcome"] in ("settled", "unauthenticated")


def test_migrations_are_applied_and_named(
    cachao: Cachao, configuration: dict[str, str], start: Start
) -> None:
    empty = Cachao(cachao.server, migrated=False)
    configuration["DB_NAME"] = empty.name

    report = start("migration_handler").invoke({"RequestType": "Create"})

    assert report.json["applied"] == [
        "0001_settlements",
        "0002_stripe_events",
        "0003_payment_anomalies",
        "0004_settlements_ids",
        "0005_payment_anomalies_resolution",
        "0006_stripe_events_order",
        "0007_reconciliation",
    ]
    assert empty.value("SELECT COUNT(*) FROM settlements") == 0


def test_invocations_of_one_process_share_a_connection(cachao: Cachao, start: Start) -> None:
    function = start("eventbridge_handler")
    connections = []
    for payment in "abc":
        function.invoke(eventbridge_envelope(event_for(cachao.add_order(), payment=payment)))
        connections.append(
            cachao.query("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = %s", USER)
        )

    assert len(connections[0]) == 1
    assert connections == [connections[0]] * 3


@pytest.mark.parametrize("handler", ["eventbridge_handler", "webhook_handler"])
def test_secrets_are_read_with_what_the_runtime_provides(
    cachao: Cachao, configuration: dict[str, str], start: Start, handler: str
) -> None:
    """As deployed: the variables name secrets, and botocore is the runtime's."""
    secret = {"username": USER, "password": PASSWORD, "webhook_secret": WEBHOOK_SECRET}
    for name in ("DB_USER", "DB_PASSWORD", "STRIPE_WEBHOOK_SECRET"):
        del configuration[name]
    order = cachao.add_order()
    event = event_for(order)
    with SecretsManagerServer() as secrets_manager:
        secrets_manager.answers = [secret_string(secret)]
        configuration |= {"DB_SECRET_ARN": ARN, "STRIPE_SECRET_ARN": ARN}
        configuration["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = secrets_manager.url
        deliver = webhook_request if handler == "webhook_handler" else eventbridge_envelope

        start(handler).invoke(deliver(event))

        [request, *_] = secrets_manager.requests
    assert cachao.status(order) == "paid"
    # Signed as the function's role, by the temporary credentials that Lambda puts there.
    assert request.headers["X-Amz-Security-Token"] == "a-role-s-session-token"


def test_event_with_text_beyond_ascii_settles(cachao: Cachao, start: Start) -> None:
    """Stripe signs UTF-8 bytes; the runtime hands over text."""
    order = cachao.add_order()
    event = any_paid_event(
        order_id=order.id, amount=order.amount, customer_details={"name": "Zoë 🎟 Müller"}
    )

    report = start("webhook_handler").invoke(webhook_request(event))

    assert report.json["statusCode"] == 200
    assert cachao.status(order) == "paid"
