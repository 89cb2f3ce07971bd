"""The webhook endpoint and its signing secret through the life of a stack, at a played Stripe."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.fake_stripe.server import StripeServer
from stripe_account.webhook_endpoint import usable_secret
from tests.support.output import Process
from tests.unit.stripe_account.deployment import Aws, Deployment

PATH = "/v1/webhook_endpoints"


def at_stripe(server: StripeServer) -> list[dict[str, Any]]:
    """Every endpoint there is in test mode."""
    return list(server.account.test.webhook_endpoints.values())


def signing_secrets(server: StripeServer) -> list[str]:
    """The signing secrets of what there is at Stripe, the newest first."""
    mode = server.account.test
    return [mode.secrets[id_][-1].value for id_ in reversed(mode.webhook_endpoints)]


def made_by_hand(server: StripeServer, endpoint: Deployment, **changes: Any) -> Any:
    """An endpoint that somebody has created in Stripe's Workbench."""
    wanted: Any = {"url": endpoint.properties["Url"], "enabled_events": ["invoice.paid"]}
    wanted.update(changes)
    return server.client().v1.webhook_endpoints.create(wanted)


def test_created_endpoint_calls_the_webhook_of_the_stack_with_our_types(
    webhook_endpoint: Deployment, stripe_server: StripeServer
) -> None:
    answer = webhook_endpoint.deploy()

    [made] = at_stripe(stripe_server)
    assert made["id"] == answer["PhysicalResourceId"]
    assert made["url"] == webhook_endpoint.properties["Url"]
    assert made["enabled_events"] == webhook_endpoint.properties["EnabledEvents"]
    assert made["api_version"] == "2026-10-28.endive"


def test_signing_secret_of_the_created_endpoint_is_accepted(
    webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
) -> None:
    webhook_endpoint.deploy()

    assert account.accepted() == signing_secrets(stripe_server)


def test_creation_that_is_requested_twice_creates_one_endpoint(
    webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
) -> None:
    wanted = webhook_endpoint.properties
    for _ in range(2):
        webhook_endpoint.send("Create", None, wanted, request_id="a")

    assert len(at_stripe(stripe_server)) == 1
    assert account.accepted() == signing_secrets(stripe_server)


def test_endpoint_whose_answer_was_lost_is_created_once_with_a_secret(
    webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
) -> None:
    stripe_server.inject(path=PATH, method="POST", executed=True)

    assert webhook_endpoint.deploy()["Status"] == "SUCCESS"
    assert len(at_stripe(stripe_server)) == 1
    assert account.accepted() == signing_secrets(stripe_server)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_busy_stripe_for_a_moment_fails_no_deployment(
    webhook_endpoint: Deployment, stripe_server: StripeServer, status: int
) -> None:
    stripe_server.inject(path=PATH, method="GET", status=status)

    assert webhook_endpoint.deploy()["Status"] == "SUCCESS"


def test_failed_creation_of_a_later_resource_leaves_no_endpoint(
    webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
) -> None:
    webhook_endpoint.deploy(then_fails=True)

    assert at_stripe(stripe_server) == []
    assert not account.accepted()[0].startswith("whsec_")


def test_creation_whose_signing_secret_cannot_be_kept_leaves_no_endpoint(
    webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
) -> None:
    account.refuse_writes = True

    answer = webhook_endpoint.deploy()
    assert answer["Status"] == "FAILED"
    assert "PutSecretValue" in answer["Reason"]
    assert at_stripe(stripe_server) == []


def test_creation_without_any_answer_leaves_no_endpoint(
    webhook_endpoint: Deployment, stripe_server: StripeServer
) -> None:
    stripe_server.inject(path=PATH, method="POST", executed=True, times=3)

    assert webhook_endpoint.deploy()["Status"] == "FAILED"
    assert at_stripe(stripe_server) == []


def test_creation_answered_in_the_other_mode_leaves_no_endpoint(
    webhook_endpoint: Deployment, stripe_server: StripeServer
) -> None:
    stripe_server.account.test.livemode = True

    answer = webhook_endpoint.deploy()
    assert (answer["Status"], "livemode" in answer["Reason"]) == ("FAILED", True)
    assert at_stripe(stripe_server) == []


def test_failed_creation_leaves_an_earlier_endpoint_alone(
    webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
) -> None:
    webhook_endpoint.deploy()
    stripe_server.inject(path=PATH, method="POST", status=400)
    before = account.accepted()

    assert webhook_endpoint.deploy(Roll="1")["Status"] == "FAILED"
    assert [each["id"] for each in at_stripe(stripe_server)] == [webhook_endpoint.physical_id]
    assert account.accepted() == before


def test_update_changes_url_and_types_in_place(
    webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
) -> None:
    made = webhook_endpoint.deploy()["PhysicalResourceId"]
    before = account.accepted()
    webhook_endpoint.deploy(
        Url="https://other.example.com/stripe", EnabledEvents=["checkout.session.completed"]
    )

    [left] = at_stripe(stripe_server)
    assert (left["id"], left["url"]) == (made, "https://other.example.com/stripe")
    assert left["enabled_events"] == ["checkout.session.completed"]
    assert account.accepted() == before


def test_update_enables_a_disabled_endpoint(
    webhook_endpoint: Deployment, stripe_server: StripeServer
) -> None:
    made = webhook_endpoint.deploy()["PhysicalResourceId"]
    stripe_server.client().v1.webhook_endpoints.update(made, {"disabled": True})

    webhook_endpoint.deploy(Description="any other")
    assert [each["status"] for each in at_stripe(stripe_server)] == ["enabled"]


def test_update_creates_a_deleted_endpoint_again(
    webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
) -> None:
    old = webhook_endpoint.deploy()["PhysicalResourceId"]
    stripe_server.client().v1.webhook_endpoints.delete(old)

    new = webhook_endpoint.deploy(Description="any other")["PhysicalResourceId"]
    assert [each["id"] for each in at_stripe(stripe_server)] == [new]
    assert account.accepted() == signing_secrets(stripe_server)


def test_rolled_endpoint_works_before_the_old_one_goes(
    webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
) -> None:
    old = webhook_endpoint.deploy()["PhysicalResourceId"]
    new = webhook_endpoint.send("Update", old, {**webhook_endpoint.properties, "Roll": "1"})[
        "PhysicalResourceId"
    ]

    assert [each["id"] for each in at_stripe(stripe_server)] == [old, new]
    assert account.accepted() == signing_secrets(stripe_server)
    assert len(account.accepted()) == 2


def test_roll_ends_with_the_old_endpoint_and_its_secret_gone(
    webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
) -> None:
    old = webhook_endpoint.deploy()["PhysicalResourceId"]
    [old_secret] = account.accepted()
    new = webhook_endpoint.deploy(Roll="1")["PhysicalResourceId"]

    assert [each["id"] for each in at_stripe(stripe_server)] == [new] != [old]
    assert account.accepted() == signing_secrets(stripe_server) != [old_secret]


def test_roll_that_is_rolled_back_leaves_the_old_endpoint(
    webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
) -> None:
    old = webhook_endpoint.deploy()["PhysicalResourceId"]
    before = account.accepted()
    webhook_endpoint.deploy(Roll="1", then_fails=True)

    assert [each["id"] for each in at_stripe(stripe_server)] == [old]
    assert account.accepted() == before
    assert webhook_endpoint.physical_id == old


def test_deletion_leaves_no_endpoint_and_no_accepted_secret(
    webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
) -> None:
    webhook_endpoint.deploy()
    [before] = account.accepted()

    assert webhook_endpoint.destroy()["Status"] == "SUCCESS"
    assert at_stripe(stripe_server) == []
    assert before not in account.signing_secret
    assert len(account.accepted()[0]) > 30


def test_deletion_of_an_endpoint_that_is_gone_already_succeeds(
    webhook_endpoint: Deployment, stripe_server: StripeServer
) -> None:
    made = webhook_endpoint.deploy()["PhysicalResourceId"]
    stripe_server.client().v1.webhook_endpoints.delete(made)

    assert webhook_endpoint.destroy()["Status"] == "SUCCESS"


def test_deletion_leaves_other_endpoints_alone(
    webhook_endpoint: Deployment, stripe_server: StripeServer
) -> None:
    other = made_by_hand(stripe_server, webhook_endpoint, url="https://example.com/another")
    webhook_endpoint.deploy()
    webhook_endpoint.destroy()

    assert [each["id"] for each in at_stripe(stripe_server)] == [other.id]


def test_endpoint_of_the_url_whose_secret_is_given_is_adopted(
    webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
) -> None:
    theirs = made_by_hand(stripe_server, webhook_endpoint)
    account.api_key_secret["webhook_secret"] = theirs.secret

    assert webhook_endpoint.deploy()["PhysicalResourceId"] == theirs.id
    [adopted] = at_stripe(stripe_server)
    ours = webhook_endpoint.properties["EnabledEvents"]
    assert adopted["enabled_events"] == ["invoice.paid", *ours]
    assert account.accepted() == [theirs.secret]


def test_endpoint_of_the_url_whose_secret_is_unknown_is_replaced(
    webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
) -> None:
    theirs = made_by_hand(stripe_server, webhook_endpoint)

    ours = webhook_endpoint.deploy()["PhysicalResourceId"]
    assert [each["id"] for each in at_stripe(stripe_server)] == [ours] != [theirs.id]
    assert account.accepted() == signing_secrets(stripe_server)


def test_failed_deployment_gives_an_adopted_endpoint_back(
    webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
) -> None:
    theirs = made_by_hand(stripe_server, webhook_endpoint, metadata={"team": "web"})
    account.api_key_secret["webhook_secret"] = theirs.secret
    webhook_endpoint.deploy(then_fails=True)

    [left] = at_stripe(stripe_server)
    assert (left["id"], left["metadata"]) == (theirs.id, {"team": "web"})


def test_roll_removes_an_adopted_endpoint(
    webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
) -> None:
    theirs = made_by_hand(stripe_server, webhook_endpoint)
    account.api_key_secret["webhook_secret"] = theirs.secret
    webhook_endpoint.deploy()

    new = webhook_endpoint.deploy(Roll="1")["PhysicalResourceId"]
    assert [each["id"] for each in at_stripe(stripe_server)] == [new]
    assert account.accepted() == signing_secrets(stripe_server)


def test_deletion_removes_an_adopted_endpoint(
    webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
) -> None:
    theirs = made_by_hand(stripe_server, webhook_endpoint)
    account.api_key_secret["webhook_secret"] = theirs.secret
    webhook_endpoint.deploy()
    webhook_endpoint.destroy()

    assert at_stripe(stripe_server) == []


def test_endpoint_of_another_url_or_stack_is_not_adopted(
    webhook_endpoint: Deployment, stripe_server: StripeServer
) -> None:
    other_url = made_by_hand(stripe_server, webhook_endpoint, url="https://example.com/other")
    other_stacks = webhook_endpoint.deploy()["PhysicalResourceId"]
    webhook_endpoint.physical_id, webhook_endpoint.logical_id = None, "AnotherStacks"

    webhook_endpoint.deploy()
    webhook_endpoint.destroy()
    assert [each["id"] for each in at_stripe(stripe_server)] == [other_url.id, other_stacks]


def test_endpoint_that_a_lost_stack_of_the_name_left_is_replaced(
    webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
) -> None:
    webhook_endpoint.deploy()
    webhook_endpoint.physical_id = None
    account.signing_secret = json.dumps({"webhook_secret": "random again"})

    new = webhook_endpoint.deploy()["PhysicalResourceId"]
    assert [each["id"] for each in at_stripe(stripe_server)] == [new]
    assert account.accepted() == signing_secrets(stripe_server)


@pytest.mark.parametrize(
    ("value", "secret"),
    [
        ("whsec_a", "whsec_a"),
        (" whsec_a , whsec_b ", "whsec_a,whsec_b"),
        ("", None),
        (None, None),
        ("REPLACE ME", None),
        ("whsec_a,REPLACE ME", None),
    ],
)
def test_only_a_signing_secret_of_stripes_is_taken_for_one(
    value: object, secret: str | None
) -> None:
    assert usable_secret(value) == secret


def test_each_change_at_stripe_carries_a_key_of_its_request(
    webhook_endpoint: Deployment, idempotency_keys: list[str | None]
) -> None:
    webhook_endpoint.deploy()
    webhook_endpoint.deploy(Roll="1")
    webhook_endpoint.destroy()

    assert len(idempotency_keys) == len(set(idempotency_keys)) == 4
    assert all(key and key.startswith("request-") for key in idempotency_keys)


def test_no_secret_is_answered_or_logged(
    webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws, process: Process
) -> None:
    webhook_endpoint.deploy()
    secrets = [*account.accepted(), account.api_key_secret["api_key"]]
    webhook_endpoint.deploy(Roll="1")
    secrets += account.accepted()
    stripe_server.inject(path=PATH, method="GET", status=403, times=9)
    webhook_endpoint.deploy(Url="https://example.com/other")
    webhook_endpoint.destroy()

    written = process.output().text + json.dumps(webhook_endpoint.answers)
    assert len(set(secrets)) == 3
    assert [secret for secret in secrets if secret in written] == []
