"""What every request has in common: keys, permissions, parameters, idempotency, faults."""

from __future__ import annotations

from typing import Any

import pytest
import stripe
import urllib3

from local.fake_stripe.account import ACCOUNT
from local.fake_stripe.partner_events import PartnerEventsInMemory
from local.fake_stripe.server import StripeServer

URL = "https://example.com/webhooks/stripe"
ENDPOINT: Any = {"url": URL, "enabled_events": ["*"]}
OTHER_ENDPOINT: Any = {**ENDPOINT, "description": "x"}
DESTINATION: Any = {
    "name": "tickets",
    "type": "webhook_endpoint",
    "event_payload": "thin",
    "enabled_events": ["*"],
    "webhook_endpoint": {"url": URL},
}


def test_unknown_key_is_a_401_that_does_not_repeat_it(stripe_server: StripeServer) -> None:
    key = "sk_test_" + "none" * 6
    client = stripe_server.client(key)
    for call in (client.v1.webhook_endpoints.list, client.v2.core.event_destinations.list):
        with pytest.raises(stripe.AuthenticationError, match="Invalid API Key") as error:
            call()
        assert key not in str(error.value)


def test_key_is_also_the_user_of_basic_authentication(stripe_server: StripeServer) -> None:
    def status(key: str) -> int:
        headers = urllib3.make_headers(basic_auth=f"{key}:")
        return urllib3.request(
            "GET", f"{stripe_server.url}/v1/events", headers=headers, timeout=60, retries=False
        ).status

    assert status(stripe_server.add_key()) == 200
    assert status("sk_test_of_nobody") == 401


def test_revoked_key_is_unknown(stripe_server: StripeServer) -> None:
    key = stripe_server.add_key()
    stripe_server.client(key).v1.events.list()
    stripe_server.revoke_key(key)
    with pytest.raises(stripe.AuthenticationError):
        stripe_server.client(key).v1.events.list()


def test_restricted_key_is_told_which_permission_it_lacks(stripe_server: StripeServer) -> None:
    reader = stripe_server.client(stripe_server.add_key(permissions=["webhook_read"]))
    reader.v1.webhook_endpoints.list()
    with pytest.raises(stripe.PermissionError, match="'rak_webhook_write' permission"):
        reader.v1.webhook_endpoints.create(ENDPOINT)
    with pytest.raises(stripe.PermissionError, match="'rak_webhook_write' permission"):
        reader.v2.core.event_destinations.create(DESTINATION)
    with pytest.raises(stripe.PermissionError, match="'rak_event_read' permission"):
        reader.v1.events.list()


def test_permission_to_write_includes_reading(stripe_server: StripeServer) -> None:
    writer = stripe_server.client(stripe_server.add_key(permissions=["webhook_write"]))
    writer.v1.webhook_endpoints.create(ENDPOINT)
    assert len(writer.v1.webhook_endpoints.list().data) == 1


def test_another_account_is_refused(stripe_server: StripeServer) -> None:
    client = stripe_server.client()
    client.v1.events.list(options={"stripe_account": ACCOUNT})
    with pytest.raises(stripe.PermissionError, match="acct_other"):
        client.v1.events.list(options={"stripe_account": "acct_other"})


def test_request_of_nothing_known_is_a_404(stripe_server: StripeServer) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL") as error:
        stripe_server.client().v1.balance.retrieve()
    assert error.value.http_status == 404


@pytest.mark.parametrize(
    ("parameters", "code", "param"),
    [
        ({**ENDPOINT, "colour": "red"}, "parameter_unknown", "colour"),
        ({"url": URL}, "parameter_missing", "enabled_events"),
        (
            {"url": URL, "enabled_events": ["*", "no.event"]},
            "parameter_invalid",
            "enabled_events[1]",
        ),
        ({**ENDPOINT, "connect": "maybe"}, "parameter_invalid", "connect"),
    ],
)
def test_v1_names_the_parameter_that_is_wrong(
    stripe_server: StripeServer, parameters: Any, code: str, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as error:
        stripe_server.client().v1.webhook_endpoints.create(parameters)
    assert (error.value.http_status, error.value.code, error.value.param) == (400, code, param)
    assert stripe_server.registered() == []


def test_same_key_and_parameters_get_the_same_answer(stripe_server: StripeServer) -> None:
    client = stripe_server.client()
    first, second = (
        client.v1.webhook_endpoints.create(ENDPOINT, {"idempotency_key": "once"}) for _ in "ab"
    )
    assert (first.id, first.secret) == (second.id, second.secret)
    ids = {
        client.v2.core.event_destinations.create(DESTINATION, {"idempotency_key": "twice"}).id
        for _ in "ab"
    }
    assert len(ids) == 1
    assert len(stripe_server.registered()) == 2


def test_replayed_answer_says_so(stripe_server: StripeServer) -> None:
    client = stripe_server.client()
    answers = [
        client.v1.webhook_endpoints.create(ENDPOINT, {"idempotency_key": "once"}).last_response
        for _ in "ab"
    ]
    assert all(answer is not None for answer in answers)
    replayed = [answer.headers.get("Idempotent-Replayed") for answer in answers if answer]
    assert replayed == [None, "true"]


def test_replayed_answer_is_the_one_of_then(stripe_server: StripeServer) -> None:
    client = stripe_server.client()
    options: Any = {"idempotency_key": "once"}
    created = client.v1.webhook_endpoints.create(ENDPOINT, options)
    client.v1.webhook_endpoints.update(created.id, {"description": "changed"})
    assert client.v1.webhook_endpoints.create(ENDPOINT, options).description is None


def test_key_with_other_parameters_is_an_idempotency_error(stripe_server: StripeServer) -> None:
    client = stripe_server.client()
    options: Any = {"idempotency_key": "once"}
    client.v1.webhook_endpoints.create(ENDPOINT, options)
    with pytest.raises(stripe.IdempotencyError) as error:
        client.v1.webhook_endpoints.create(OTHER_ENDPOINT, options)
    assert error.value.http_status == 400
    with pytest.raises(stripe.IdempotencyError) as error:
        client.v2.core.event_destinations.create(DESTINATION, options)
    assert error.value.http_status == 409


def test_deletion_with_the_same_key_is_answered_again_in_v2(stripe_server: StripeServer) -> None:
    destinations = stripe_server.client().v2.core.event_destinations
    created = destinations.create(DESTINATION)
    options: Any = {"idempotency_key": "gone"}
    assert destinations.delete(created.id, options=options).id == created.id
    assert destinations.delete(created.id, options=options).id == created.id
    with pytest.raises(stripe.InvalidRequestError):
        destinations.delete(created.id)


def test_v1_keeps_a_failure_and_v2_tries_again(
    stripe_server: StripeServer, partner_events: PartnerEventsInMemory
) -> None:
    client = stripe_server.client()
    options: Any = {"idempotency_key": "once"}
    session = stripe_server.create_checkout(amount=500)["id"]
    event = stripe_server.pay(session, paid=False)
    refund: Any = {"payment_intent": event["data"]["object"]["payment_intent"]}
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.refunds.create(refund, options)
    stripe_server.settle_later(session)
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.refunds.create(refund, options)
    assert client.v1.refunds.create(refund).status == "succeeded"

    again: Any = {"idempotency_key": "again"}
    partner_events.regions = {"eu-west-1"}
    elsewhere: Any = {
        **{name: DESTINATION[name] for name in ("name", "event_payload", "enabled_events")},
        "type": "amazon_eventbridge",
        "amazon_eventbridge": {"aws_account_id": "0" * 12, "aws_region": "us-east-1"},
    }
    with pytest.raises(stripe.InvalidRequestError):
        client.v2.core.event_destinations.create(elsewhere, again)
    partner_events.regions.add("us-east-1")
    assert client.v2.core.event_destinations.create(elsewhere, again).id


def test_keys_of_the_two_modes_are_apart(stripe_server: StripeServer) -> None:
    options: Any = {"idempotency_key": "once"}
    live = stripe_server.client(stripe_server.account.live_key)
    first = stripe_server.client().v1.webhook_endpoints.create(ENDPOINT, options)
    assert live.v1.webhook_endpoints.create(ENDPOINT, options).id != first.id


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, stripe.AuthenticationError),
        (403, stripe.PermissionError),
        (404, stripe.InvalidRequestError),
        (429, stripe.RateLimitError),
        (500, stripe.APIError),
        (503, stripe.APIError),
    ],
)
def test_fault_hits_as_often_as_ordered(
    stripe_server: StripeServer, status: int, kind: type[Exception]
) -> None:
    client = stripe_server.client()
    for call in (client.v1.events.list, client.v2.core.event_destinations.list):
        stripe_server.inject(status=status)
        with pytest.raises(kind):
            call()
        call()


def test_fault_says_when_to_come_back(stripe_server: StripeServer) -> None:
    stripe_server.inject(status=429, retry_after=7, path="/v1/events")
    with pytest.raises(stripe.RateLimitError) as error:
        stripe_server.client().v1.events.list()
    assert (error.value.headers or {})["Retry-After"] == "7"


def test_fault_hits_the_requests_that_it_is_for(stripe_server: StripeServer) -> None:
    stripe_server.inject(status=500, method="POST", path="/v1/webhook_endpoints")
    client = stripe_server.client()
    client.v1.webhook_endpoints.list()
    with pytest.raises(stripe.APIError):
        client.v1.webhook_endpoints.create(ENDPOINT)


def test_request_that_is_not_answered_is_a_lost_connection(stripe_server: StripeServer) -> None:
    stripe_server.inject()
    with pytest.raises(stripe.APIConnectionError):
        stripe_server.client().v1.events.list()


def test_late_answer_is_a_timeout(stripe_server: StripeServer) -> None:
    client = stripe.StripeClient(
        stripe_server.account.test_key,
        base_addresses={"api": stripe_server.url},
        http_client=stripe.RequestsClient(timeout=0.2),
        max_network_retries=0,
    )
    stripe_server.inject(seconds=30.0)
    with pytest.raises(stripe.APIConnectionError):
        client.v1.events.list()


def test_lost_answer_is_made_good_by_the_librarys_own_retry(stripe_server: StripeServer) -> None:
    client = stripe.StripeClient(
        stripe_server.account.test_key,
        base_addresses={"api": stripe_server.url},
        max_network_retries=1,
    )
    stripe_server.inject(executed=True)
    created = client.v1.webhook_endpoints.create(ENDPOINT)
    assert [each["id"] for each in stripe_server.registered()] == [created.id]
    assert stripe_server.request_count(method="POST", path="/v1/webhook_endpoints") == 2
