"""Stripe as a partner of EventBridge, at the emulated AWS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from local.fake_stripe.partner_events import EventBridge
from local.fake_stripe.server import StripeServer
from local.servers.emulated_aws import ACCOUNT, REGION, EmulatedAWS
from tests.emulator.account import sending_allowed


@pytest.fixture(scope="module")
def aws() -> Iterator[EmulatedAWS]:
    with EmulatedAWS() as aws:
        yield aws


@pytest.fixture
def server(aws: EmulatedAWS) -> Iterator[StripeServer]:
    with StripeServer(partner_events=EventBridge(aws.client("events"))) as server:
        yield server


def create(server: StripeServer, region: str = REGION) -> stripe.v2.core.EventDestination:
    return server.client().v2.core.event_destinations.create(
        {
            "name": "tickets",
            "type": "amazon_eventbridge",
            "event_payload": "snapshot",
            "enabled_events": ["checkout.session.completed"],
            "amazon_eventbridge": {"aws_account_id": ACCOUNT, "aws_region": region},
        }
    )


def status(server: StripeServer, destination: str) -> str:
    seen = server.client().v2.core.event_destinations.retrieve(destination).amazon_eventbridge
    assert seen
    return seen.aws_event_source_status


def test_payment_comes_out_of_the_bus_that_associates_the_source(
    server: StripeServer, aws: EmulatedAWS
) -> None:
    created = create(server)
    source = f"aws.partner/stripe.com/{created.id}"
    events, sqs = aws.client("events"), aws.client("sqs")
    assert created.amazon_eventbridge
    assert (
        events.describe_event_source(Name=source)["Arn"]
        == created.amazon_eventbridge.aws_event_source_arn
    )
    assert status(server, created.id) == "pending"

    events.create_event_bus(Name=source, EventSourceName=source)
    queue = sqs.create_queue(QueueName=created.id)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps(sending_allowed())})
    pattern = json.dumps({"detail-type": ["checkout.session.completed"]})
    events.put_rule(Name="all", EventBusName=source, EventPattern=pattern)
    events.put_targets(
        Rule="all", EventBusName=source, Targets=[{"Id": "queue", "Arn": arn["QueueArn"]}]
    )
    assert status(server, created.id) == "active"

    paid = server.create_paid_checkout(amount=5000, metadata={"order_id": "42"})
    server.wait_until_delivered()
    [message] = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
    received: dict[str, Any] = json.loads(message["Body"])
    assert received["source"] == source
    assert received["resources"] == [created.amazon_eventbridge.aws_event_source_arn]
    event = server.client().construct_event_without_verification(message["Body"])
    assert event.id == paid["id"]
    assert event.data.object["metadata"]["order_id"] == "42"


def test_deletion_takes_the_source_from_the_account(server: StripeServer, aws: EmulatedAWS) -> None:
    created = create(server)
    server.client().v2.core.event_destinations.delete(created.id)
    prefix = f"aws.partner/stripe.com/{created.id}"
    assert aws.client("events").list_event_sources(NamePrefix=prefix)["EventSources"] == []


def test_region_that_is_not_emulated_is_refused(server: StripeServer) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="us-east-1 is not played"):
        create(server, "us-east-1")
