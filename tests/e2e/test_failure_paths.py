"""The two failure paths and the way back: nothing is lost, somebody is told, redriving settles."""

from __future__ import annotations

import json
from dataclasses import dataclass
from subprocess import CompletedProcess
from typing import Any

import pytest

from local.checkouts import Answer
from local.cloud import LocalCloud
from local.shop import OrderState
from tests.e2e.on_call import Message, OnCall

pytestmark = pytest.mark.xdist_group("e2e")

ON_FAILURE_ALARM = "cachao-stripe-event-bridge-handler-on-failure-queue-visible-messages"
DELIVERY_ALARM = "cachao-stripe-event-dlq-visible-messages"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One event that failed, from its delivery to its settlement, as it was seen on the way."""

    event: dict[str, Any]
    queue: str
    answer: Answer
    """Of the webhook, in the middle of it."""
    held: Message
    """What the failure queue held."""
    tries: list[str]
    """What came of each invocation before the redrive."""
    told: Message
    """What the topic told."""
    before: OrderState
    during: OrderState
    redriven: CompletedProcess[str]
    after: OrderState
    again: CompletedProcess[str]
    """The redrive command once more."""
    in_the_end: OrderState


@pytest.fixture(scope="module")
def outage(cloud: LocalCloud, on_call: OnCall) -> Failure:
    """The database was down: the function was invoked, and kept failing."""
    queue = cloud.addresses.on_failure_queue_url
    order = cloud.shop.add_order()
    before = cloud.shop.state(order)
    event = cloud.stripe.paid(order)
    on_call.expect(ON_FAILURE_ALARM)
    cloud.database.stop()
    try:
        answer = cloud.stripe.post(event)
        cloud.stripe.publish(event)
        held = on_call.wait_for_message(queue)
        tries = cloud.operator.outcomes(cloud.addresses.event_function, event["id"])
        told = on_call.wait_for_alarm(ON_FAILURE_ALARM)
    finally:
        cloud.database.start()
    during = cloud.shop.state(order)
    redriven = cloud.operator.redrive()
    after = cloud.shop.state(order)
    again = cloud.operator.redrive()
    return Failure(
        event=event,
        queue=queue,
        answer=answer,
        held=held,
        tries=tries,
        told=told,
        before=before,
        during=during,
        redriven=redriven,
        after=after,
        again=again,
        in_the_end=cloud.shop.state(order),
    )


@pytest.fixture(scope="module")
def undeliverable(cloud: LocalCloud, on_call: OnCall) -> Failure:
    """EventBridge was not allowed to invoke the function, which never heard of the event."""
    queue = cloud.addresses.delivery_dlq_url
    order = cloud.shop.add_order()
    before = cloud.shop.state(order)
    event = cloud.stripe.paid(order)
    on_call.expect(DELIVERY_ALARM)
    permission = take_permission(cloud)
    try:
        cloud.stripe.publish(event)
        held = on_call.wait_for_message(queue)
        tries = cloud.operator.outcomes(cloud.addresses.event_function, event["id"])
        told = on_call.wait_for_alarm(DELIVERY_ALARM)
        during = cloud.shop.state(order)
    finally:
        cloud.aws.client("lambda").add_permission(**permission)
    redriven = cloud.operator.redrive()
    after = cloud.shop.state(order)
    again = cloud.operator.redrive()
    return Failure(
        event=event,
        queue=queue,
        answer=cloud.stripe.post(event),
        held=held,
        tries=tries,
        told=told,
        before=before,
        during=during,
        redriven=redriven,
        after=after,
        again=again,
        in_the_end=cloud.shop.state(order),
    )


def take_permission(cloud: LocalCloud) -> dict[str, str]:
    """Take EventBridge's permission away. Answers what gives it back."""
    lambda_ = cloud.aws.client("lambda")
    function = cloud.addresses.event_function
    policy = json.loads(lambda_.get_policy(FunctionName=function)["Policy"])
    [statement] = [
        statement
        for statement in policy["Statement"]
        if statement["Principal"] == {"Service": "events.amazonaws.com"}
    ]
    lambda_.remove_permission(FunctionName=function, StatementId=statement["Sid"])
    return {
        "FunctionName": function,
        "StatementId": statement["Sid"],
        "Action": "lambda:InvokeFunction",
        "Principal": "events.amazonaws.com",
        "SourceArn": cloud.addresses.event_rule_arn,
    }


def test_webhook_asks_stripe_to_send_again_during_an_outage(outage: Failure) -> None:
    assert outage.answer == Answer(status=503, outcome="retry")


def test_event_is_tried_three_times_during_an_outage(outage: Failure) -> None:
    assert outage.tries == ["retry"] * 3


def test_event_that_kept_failing_is_held_with_its_error(outage: Failure) -> None:
    record = json.loads(outage.held["Body"])

    assert record["requestPayload"]["detail"] == outage.event
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 3
    assert record["responsePayload"]["errorType"] == "LedgerUnavailable"


def test_event_that_kept_failing_is_told_of(outage: Failure) -> None:
    assert outage.told["NewStateValue"] == "ALARM"
    assert outage.queue.rpartition("/")[2] in json.dumps(outage.told["Trigger"])


def test_outage_leaves_the_order_as_it_was(outage: Failure) -> None:
    assert outage.during == outage.before


def test_event_that_was_not_delivered_is_held_with_the_reason(undeliverable: Failure) -> None:
    attributes = undeliverable.held["MessageAttributes"]

    assert json.loads(undeliverable.held["Body"])["detail"] == undeliverable.event
    assert attributes["ERROR_CODE"]["StringValue"] == "NO_PERMISSIONS"


def test_event_that_was_not_delivered_is_told_of(undeliverable: Failure) -> None:
    assert undeliverable.told["NewStateValue"] == "ALARM"
    assert undeliverable.queue.rpartition("/")[2] in json.dumps(undeliverable.told["Trigger"])


def test_event_that_was_not_delivered_invokes_nothing(undeliverable: Failure) -> None:
    assert undeliverable.tries == []
    assert undeliverable.during == undeliverable.before


def test_webhook_acknowledges_what_a_redrive_settled(undeliverable: Failure) -> None:
    assert undeliverable.answer == Answer(status=200, outcome="duplicate")


@pytest.fixture(params=["outage", "undeliverable"])
def failure(request: pytest.FixtureRequest) -> Failure:
    """Return either path's failure, once its cause is gone."""
    failure: Failure = request.getfixturevalue(request.param)
    return failure


def test_redrive_settles_what_was_held(failure: Failure) -> None:
    assert failure.redriven.returncode == 0, failure.redriven.stderr
    state = failure.after
    assert (state.status, state.sold, state.used, state.settlements) == ("paid", 2, 1, 1)


def test_redrive_empties_the_queue(failure: Failure, cloud: LocalCloud) -> None:
    assert cloud.operator.waiting(failure.queue) == 0


def test_second_redrive_changes_nothing(failure: Failure) -> None:
    assert failure.again.returncode == 0, failure.again.stderr
    assert failure.in_the_end == failure.after
