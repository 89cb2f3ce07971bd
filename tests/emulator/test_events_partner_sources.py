"""Partner event sources: pending, active, deleted, as on AWS."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.servers.emulated_aws import ACCOUNT, REGION, EmulatedAWS


@pytest.fixture
def events(aws: EmulatedAWS) -> Any:
    return aws.client("events")


@pytest.fixture
def source(events: Any) -> str:
    name = f"aws.partner/stripe.com/ed_test_{uuid.uuid4().hex}"
    events.create_partner_event_source(Name=name, Account=ACCOUNT)
    return name


def state(events: Any, source: str) -> str:
    return str(events.describe_event_source(Name=source)["State"])


def test_source_is_pending_until_a_bus_of_its_name_is_made(events: Any, source: str) -> None:
    assert state(events, source) == "PENDING"
    events.create_event_bus(Name=source, EventSourceName=source)
    assert state(events, source) == "ACTIVE"
    events.delete_event_bus(Name=source)
    assert state(events, source) == "PENDING"


def test_source_that_the_partner_deletes_stays_visible_behind_its_bus_only(
    events: Any, source: str
) -> None:
    events.create_event_bus(Name=source, EventSourceName=source)
    events.delete_partner_event_source(Name=source, Account=ACCOUNT)
    assert state(events, source) == "DELETED"
    events.delete_event_bus(Name=source)
    assert events.list_event_sources(NamePrefix=source)["EventSources"] == []


def test_source_that_nobody_created_is_not_found(events: Any) -> None:
    with pytest.raises(ClientError, match="does not exist") as error:
        events.describe_event_source(Name="aws.partner/stripe.com/ed_test_none")
    assert error.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_customer_finds_the_source_in_the_list(events: Any, source: str) -> None:
    [found] = events.list_event_sources(NamePrefix=source)["EventSources"]
    assert found["Name"] == source
    assert found["Arn"] == f"arn:aws:events:{REGION}::event-source/{source}"
    assert found["CreatedBy"] == "stripe.com"
