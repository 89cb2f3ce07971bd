"""The event destination through the life of a stack, at a played Stripe."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

import stripe_account.event_destination
from local.fake_stripe.server import StripeServer
from stripe_account import aws
from tests.unit.stripe_account.deployment import ACCOUNT, REGION, Aws, Deployment

PATH = "/v2/core/event_destinations"


def at_stripe(server: StripeServer) -> list[dict[str, Any]]:
    """Every destination there is in test mode."""
    return list(server.account.test.destinations.values())


def made_by_hand(server: StripeServer, **changes: Any) -> Any:
    """A destination that somebody has created in Stripe's Workbench."""
    wanted: Any = {
        "name": "by hand",
        "type": "amazon_eventbridge",
        "event_payload": "snapshot",
        "snapshot_api_version": "2026-10-28.endive",
        "enabled_events": ["invoice.paid"],
        "amazon_eventbridge": {"aws_account_id": ACCOUNT, "aws_region": REGION},
    }
    wanted.update(changes)
    return server.client().v2.core.event_destinations.create(wanted)


def test_created_destination_sends_snapshots_of_our_types_to_this_account_and_region(
    event_destination: Deployment, stripe_server: StripeServer
) -> None:
    event_destination.deploy()

    [made] = at_stripe(stripe_server)
    assert (made["type"], made["event_payload"]) == ("amazon_eventbridge", "snapshot")
    assert made["enabled_events"] == event_destination.properties["EnabledEvents"]
    assert made["snapshot_api_version"] == "2026-10-28.endive"
    assert made["amazon_eventbridge"]["aws_account_id"] == ACCOUNT
    assert f":{REGION}:" in made["amazon_eventbridge"]["aws_event_source_arn"]


def test_the_stack_learns_the_name_of_its_event_source(
    event_destination: Deployment, stripe_server: StripeServer
) -> None:
    answer = event_destination.deploy()

    [made] = at_stripe(stripe_server)
    assert answer["PhysicalResourceId"] == made["id"]
    assert answer["Data"] == {"EventSourceName": f"aws.partner/stripe.com/{made['id']}"}


def test_the_event_source_is_waited_for(event_destination: Deployment, account: Aws) -> None:
    account.looks_until_there = 3

    assert event_destination.deploy()["Status"] == "SUCCESS"
    assert account.looks_until_there < 0


def test_creation_that_is_requested_twice_creates_one_destination(
    event_destination: Deployment, stripe_server: StripeServer
) -> None:
    wanted = event_destination.properties
    answers = [event_destination.send("Create", None, wanted, request_id="a") for _ in "12"]

    assert answers[0] == answers[1]
    assert len(at_stripe(stripe_server)) == 1


def test_destination_whose_answer_was_lost_is_created_once(
    event_destination: Deployment, stripe_server: StripeServer
) -> None:
    stripe_server.inject(path=PATH, method="POST", executed=True)

    assert event_destination.deploy()["Status"] == "SUCCESS"
    assert len(at_stripe(stripe_server)) == 1


def test_failed_creation_of_a_later_resource_leaves_no_destination(
    event_destination: Deployment, stripe_server: StripeServer
) -> None:
    event_destination.deploy(then_fails=True)

    assert at_stripe(stripe_server) == []
    assert event_destination.answers[-1]["Status"] == "SUCCESS"


def test_creation_whose_event_source_stays_away_leaves_no_destination(
    event_destination: Deployment,
    stripe_server: StripeServer,
    account: Aws,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        stripe_account.event_destination,
        "wait_for_event_source",
        partial(aws.wait_for_event_source, seconds=0.0),
    )
    account.looks_until_there = 5

    answer = event_destination.deploy()
    assert answer["Status"] == "FAILED"
    assert "event source aws.partner/stripe.com/ed_" in answer["Reason"]
    assert at_stripe(stripe_server) == []


def test_creation_without_any_answer_leaves_no_destination(
    event_destination: Deployment, stripe_server: StripeServer
) -> None:
    stripe_server.inject(path=PATH, method="POST", executed=True, times=3)

    assert event_destination.deploy()["Status"] == "FAILED"
    assert at_stripe(stripe_server) == []


def test_failed_creation_names_the_permission_that_the_key_lacks(
    event_destination: Deployment, stripe_server: StripeServer, account: Aws
) -> None:
    key = stripe_server.account.add_key(permissions=["event_read"])
    account.api_key_secret = {"api_key": key}

    answer = event_destination.deploy()
    assert answer["Status"] == "FAILED"
    assert "rak_webhook_read" in answer["Reason"]
    assert key not in answer["Reason"]


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        ({}, "holds no api_key"),
        ({"api_key": "pk_test_public"}, "no secret and no restricted key"),
        ({"api_key": "sk_live_any"}, "is of live mode"),
        ({"api_key": "rk_live_any"}, "is of live mode"),
    ],
)
def test_key_that_is_none_or_of_the_wrong_mode_asks_nothing_of_stripe(
    event_destination: Deployment,
    stripe_server: StripeServer,
    account: Aws,
    secret: dict[str, str],
    reason: str,
) -> None:
    account.api_key_secret = secret

    answer = event_destination.deploy()
    assert (answer["Status"], reason in answer["Reason"]) == ("FAILED", True)
    assert not stripe_server.requests
    assert event_destination.answers[-1]["Status"] == "SUCCESS"


def test_creation_answered_in_the_other_mode_leaves_no_destination(
    event_destination: Deployment, stripe_server: StripeServer
) -> None:
    stripe_server.account.test.livemode = True

    answer = event_destination.deploy()
    assert answer["Status"] == "FAILED"
    assert "livemode" in answer["Reason"]
    assert at_stripe(stripe_server) == []


def test_update_changes_the_types_in_place(
    event_destination: Deployment, stripe_server: StripeServer
) -> None:
    before = event_destination.deploy()
    after = event_destination.deploy(EnabledEvents=["checkout.session.completed"])

    [made] = at_stripe(stripe_server)
    assert made["enabled_events"] == ["checkout.session.completed"]
    assert after["Data"] == before["Data"]


def test_update_renames_the_destination_in_place(
    event_destination: Deployment, stripe_server: StripeServer
) -> None:
    event_destination.deploy()
    event_destination.deploy(Name="tickets")

    [made] = at_stripe(stripe_server)
    assert (made["name"], made["id"]) == ("tickets", event_destination.physical_id)


def test_update_to_another_api_version_replaces_the_destination(
    event_destination: Deployment, stripe_server: StripeServer
) -> None:
    old = event_destination.deploy()["PhysicalResourceId"]
    new = event_destination.deploy(ApiVersion="2027-01-27.endive")["PhysicalResourceId"]

    [left] = at_stripe(stripe_server)
    assert (left["id"], left["snapshot_api_version"]) == (new, "2027-01-27.endive")
    assert new != old


def test_replacement_that_is_rolled_back_leaves_the_old_destination(
    event_destination: Deployment, stripe_server: StripeServer
) -> None:
    old = event_destination.deploy()["PhysicalResourceId"]
    event_destination.deploy(ApiVersion="2027-01-27.endive", then_fails=True)

    assert [each["id"] for each in at_stripe(stripe_server)] == [old]
    assert event_destination.physical_id == old


def test_update_that_stripe_refuses_changes_nothing(
    event_destination: Deployment, stripe_server: StripeServer
) -> None:
    event_destination.deploy()
    [before] = [dict(each) for each in at_stripe(stripe_server)]

    assert event_destination.deploy(EnabledEvents=["no.such.type"])["Status"] == "FAILED"
    [after] = at_stripe(stripe_server)
    assert {**after, "updated": ""} == {**before, "updated": ""}


def test_update_creates_a_deleted_destination_again(
    event_destination: Deployment, stripe_server: StripeServer
) -> None:
    old = event_destination.deploy()["PhysicalResourceId"]
    stripe_server.client().v2.core.event_destinations.delete(old)

    new = event_destination.deploy(Roll="1")["PhysicalResourceId"]
    assert [each["id"] for each in at_stripe(stripe_server)] == [new]
    assert new != old


def test_update_replaces_a_destination_whose_event_source_is_gone(
    event_destination: Deployment, stripe_server: StripeServer, account: Aws
) -> None:
    old = event_destination.deploy()["PhysicalResourceId"]
    account.partner_events.sources.clear()

    new = event_destination.deploy(Roll="1")["PhysicalResourceId"]
    assert [each["id"] for each in at_stripe(stripe_server)] == [new]
    assert new != old


def test_update_enables_a_disabled_destination(
    event_destination: Deployment, stripe_server: StripeServer
) -> None:
    made = event_destination.deploy()["PhysicalResourceId"]
    stripe_server.client().v2.core.event_destinations.disable(made)

    event_destination.deploy(Roll="1")
    assert [each["status"] for each in at_stripe(stripe_server)] == ["enabled"]


def test_deletion_leaves_no_destination(
    event_destination: Deployment, stripe_server: StripeServer, account: Aws
) -> None:
    event_destination.deploy()

    assert event_destination.destroy()["Status"] == "SUCCESS"
    assert at_stripe(stripe_server) == []
    assert account.partner_events.sources == {}


def test_deletion_of_a_destination_that_is_gone_already_succeeds(
    event_destination: Deployment, stripe_server: StripeServer
) -> None:
    made = event_destination.deploy()["PhysicalResourceId"]
    stripe_server.client().v2.core.event_destinations.delete(made)

    assert event_destination.destroy()["Status"] == "SUCCESS"


def test_deletion_leaves_other_destinations_alone(
    event_destination: Deployment, stripe_server: StripeServer
) -> None:
    event_destination.deploy()
    other = made_by_hand(stripe_server)

    event_destination.destroy()
    assert [each["id"] for each in at_stripe(stripe_server)] == [other.id]


def test_deletion_with_a_key_that_stripe_no_longer_knows_fails(
    event_destination: Deployment, stripe_server: StripeServer, account: Aws
) -> None:
    event_destination.deploy()
    stripe_server.account.revoke_key(account.api_key_secret["api_key"])

    answer = event_destination.destroy()
    assert (answer["Status"], "401" in answer["Reason"]) == ("FAILED", True)


def test_destination_for_this_account_and_region_is_adopted_instead_of_a_twin(
    event_destination: Deployment, stripe_server: StripeServer
) -> None:
    theirs = made_by_hand(stripe_server)

    assert event_destination.deploy()["PhysicalResourceId"] == theirs.id
    assert len(at_stripe(stripe_server)) == 1


def test_adopted_destination_keeps_the_types_that_others_want(
    event_destination: Deployment, stripe_server: StripeServer
) -> None:
    made_by_hand(stripe_server)
    event_destination.deploy()
    event_destination.deploy(Name="cachao")

    [adopted] = at_stripe(stripe_server)
    ours = event_destination.properties["EnabledEvents"]
    assert adopted["enabled_events"] == ["invoice.paid", *ours]


def test_failed_deployment_gives_an_adopted_destination_back(
    event_destination: Deployment, stripe_server: StripeServer
) -> None:
    theirs = made_by_hand(stripe_server, metadata={"team": "accounting"})
    event_destination.deploy(then_fails=True)

    [left] = at_stripe(stripe_server)
    assert (left["id"], left["metadata"]) == (theirs.id, {"team": "accounting"})


def test_deletion_removes_an_adopted_destination(
    event_destination: Deployment, stripe_server: StripeServer
) -> None:
    made_by_hand(stripe_server)
    event_destination.deploy()
    event_destination.destroy()

    assert at_stripe(stripe_server) == []


@pytest.mark.parametrize(
    "other",
    [
        {"amazon_eventbridge": {"aws_account_id": "999988887777", "aws_region": REGION}},
        {"amazon_eventbridge": {"aws_account_id": ACCOUNT, "aws_region": "us-east-1"}},
    ],
)
def test_destination_for_another_account_or_region_is_not_adopted(
    event_destination: Deployment, stripe_server: StripeServer, other: Any
) -> None:
    theirs = made_by_hand(stripe_server, **other)

    assert event_destination.deploy()["PhysicalResourceId"] != theirs.id
    event_destination.destroy()
    assert [each["id"] for each in at_stripe(stripe_server)] == [theirs.id]


def test_destination_of_another_stack_is_not_adopted(
    event_destination: Deployment, stripe_server: StripeServer
) -> None:
    theirs = event_destination.deploy()["PhysicalResourceId"]
    event_destination.physical_id, event_destination.logical_id = None, "AnotherStacks"

    assert event_destination.deploy()["PhysicalResourceId"] != theirs
    event_destination.destroy()
    assert [each["id"] for each in at_stripe(stripe_server)] == [theirs]


def test_destination_that_a_lost_stack_of_the_name_left_is_adopted(
    event_destination: Deployment, stripe_server: StripeServer
) -> None:
    left = event_destination.deploy()["PhysicalResourceId"]
    event_destination.physical_id = None

    assert event_destination.deploy()["PhysicalResourceId"] == left
    event_destination.destroy()
    assert at_stripe(stripe_server) == []


def test_each_change_at_stripe_carries_a_key_of_its_request(
    event_destination: Deployment, stripe_server: StripeServer, idempotency_keys: list[str | None]
) -> None:
    event_destination.deploy()
    event_destination.deploy(Name="tickets")
    event_destination.destroy()

    assert len(idempotency_keys) == len(set(idempotency_keys)) == 3
    assert all(key and key.startswith("request-") for key in idempotency_keys)
