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


class TestCreating:
    def test_it_calls_the_stacks_webhook_with_our_types(
        self, webhook_endpoint: Deployment, stripe_server: StripeServer
    ) -> None:
        answer = webhook_endpoint.deploy()

        [made] = at_stripe(stripe_server)
        assert made["id"] == answer["PhysicalResourceId"]
        assert made["url"] == webhook_endpoint.properties["Url"]
        assert made["enabled_events"] == webhook_endpoint.properties["EnabledEvents"]
        assert made["api_version"] == "2026-10-28.endive"

    def test_its_signing_secret_is_the_one_that_is_accepted(
        self, webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
    ) -> None:
        webhook_endpoint.deploy()

        assert account.accepted() == signing_secrets(stripe_server)

    def test_a_request_that_comes_twice_creates_one(
        self, webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
    ) -> None:
        wanted = webhook_endpoint.properties
        for _ in range(2):
            webhook_endpoint.send("Create", None, wanted, request_id="a")

        assert len(at_stripe(stripe_server)) == 1
        assert account.accepted() == signing_secrets(stripe_server)

    def test_one_whose_answer_was_lost_is_created_once_with_a_secret(
        self, webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
    ) -> None:
        stripe_server.inject(path=PATH, method="POST", executed=True)

        assert webhook_endpoint.deploy()["Status"] == "SUCCESS"
        assert len(at_stripe(stripe_server)) == 1
        assert account.accepted() == signing_secrets(stripe_server)

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_stripe_being_busy_for_a_moment_fails_no_deployment(
        self, webhook_endpoint: Deployment, stripe_server: StripeServer, status: int
    ) -> None:
        stripe_server.inject(path=PATH, method="GET", status=status)

        assert webhook_endpoint.deploy()["Status"] == "SUCCESS"


class TestACreationThatFails:
    def test_leaves_nothing_when_a_later_resource_fails(
        self, webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
    ) -> None:
        webhook_endpoint.deploy(then_fails=True)

        assert at_stripe(stripe_server) == []
        assert not account.accepted()[0].startswith("whsec_")

    def test_leaves_nothing_when_the_signing_secret_cannot_be_kept(
        self, webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
    ) -> None:
        account.refuse_writes = True

        answer = webhook_endpoint.deploy()
        assert answer["Status"] == "FAILED"
        assert "PutSecretValue" in answer["Reason"]
        assert at_stripe(stripe_server) == []

    def test_leaves_nothing_when_every_answer_to_the_creation_was_lost(
        self, webhook_endpoint: Deployment, stripe_server: StripeServer
    ) -> None:
        stripe_server.inject(path=PATH, method="POST", executed=True, times=3)

        assert webhook_endpoint.deploy()["Status"] == "FAILED"
        assert at_stripe(stripe_server) == []

    def test_leaves_nothing_when_stripe_answers_in_the_other_mode(
        self, webhook_endpoint: Deployment, stripe_server: StripeServer
    ) -> None:
        stripe_server.account.test.livemode = True

        answer = webhook_endpoint.deploy()
        assert (answer["Status"], "livemode" in answer["Reason"]) == ("FAILED", True)
        assert at_stripe(stripe_server) == []

    def test_leaves_an_earlier_deployments_endpoint_alone(
        self, webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
    ) -> None:
        webhook_endpoint.deploy()
        stripe_server.inject(path=PATH, method="POST", status=400)
        before = account.accepted()

        assert webhook_endpoint.deploy(Roll="1")["Status"] == "FAILED"
        assert [each["id"] for each in at_stripe(stripe_server)] == [webhook_endpoint.physical_id]
        assert account.accepted() == before


class TestUpdating:
    def test_url_and_types_are_changed_in_place(
        self, webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
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

    def test_one_that_somebody_disabled_is_enabled(
        self, webhook_endpoint: Deployment, stripe_server: StripeServer
    ) -> None:
        made = webhook_endpoint.deploy()["PhysicalResourceId"]
        stripe_server.client().v1.webhook_endpoints.update(made, {"disabled": True})

        webhook_endpoint.deploy(Description="any other")
        assert [each["status"] for each in at_stripe(stripe_server)] == ["enabled"]

    def test_one_that_somebody_deleted_is_created_again(
        self, webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
    ) -> None:
        old = webhook_endpoint.deploy()["PhysicalResourceId"]
        stripe_server.client().v1.webhook_endpoints.delete(old)

        new = webhook_endpoint.deploy(Description="any other")["PhysicalResourceId"]
        assert [each["id"] for each in at_stripe(stripe_server)] == [new]
        assert account.accepted() == signing_secrets(stripe_server)


class TestRolling:
    def test_the_new_one_works_before_the_old_one_goes(
        self, webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
    ) -> None:
        old = webhook_endpoint.deploy()["PhysicalResourceId"]
        new = webhook_endpoint.send("Update", old, {**webhook_endpoint.properties, "Roll": "1"})[
            "PhysicalResourceId"
        ]

        assert [each["id"] for each in at_stripe(stripe_server)] == [old, new]
        assert account.accepted() == signing_secrets(stripe_server)
        assert len(account.accepted()) == 2

    def test_the_old_one_goes_and_its_secret_with_it(
        self, webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
    ) -> None:
        old = webhook_endpoint.deploy()["PhysicalResourceId"]
        [old_secret] = account.accepted()
        new = webhook_endpoint.deploy(Roll="1")["PhysicalResourceId"]

        assert [each["id"] for each in at_stripe(stripe_server)] == [new] != [old]
        assert account.accepted() == signing_secrets(stripe_server) != [old_secret]

    def test_a_roll_that_is_rolled_back_leaves_the_old_one(
        self, webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
    ) -> None:
        old = webhook_endpoint.deploy()["PhysicalResourceId"]
        before = account.accepted()
        webhook_endpoint.deploy(Roll="1", then_fails=True)

        assert [each["id"] for each in at_stripe(stripe_server)] == [old]
        assert account.accepted() == before
        assert webhook_endpoint.physical_id == old


class TestDeleting:
    def test_nothing_is_left_at_stripe_and_nobody_can_sign(
        self, webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
    ) -> None:
        webhook_endpoint.deploy()
        [before] = account.accepted()

        assert webhook_endpoint.destroy()["Status"] == "SUCCESS"
        assert at_stripe(stripe_server) == []
        assert before not in account.signing_secret
        assert len(account.accepted()[0]) > 30

    def test_one_that_is_gone_already_is_deleted(
        self, webhook_endpoint: Deployment, stripe_server: StripeServer
    ) -> None:
        made = webhook_endpoint.deploy()["PhysicalResourceId"]
        stripe_server.client().v1.webhook_endpoints.delete(made)

        assert webhook_endpoint.destroy()["Status"] == "SUCCESS"

    def test_others_stay(self, webhook_endpoint: Deployment, stripe_server: StripeServer) -> None:
        other = made_by_hand(stripe_server, webhook_endpoint, url="https://example.com/another")
        webhook_endpoint.deploy()
        webhook_endpoint.destroy()

        assert [each["id"] for each in at_stripe(stripe_server)] == [other.id]


class TestAdopting:
    def test_one_of_the_url_whose_secret_is_given_is_adopted(
        self, webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
    ) -> None:
        theirs = made_by_hand(stripe_server, webhook_endpoint)
        account.api_key_secret["webhook_secret"] = theirs.secret

        assert webhook_endpoint.deploy()["PhysicalResourceId"] == theirs.id
        [adopted] = at_stripe(stripe_server)
        ours = webhook_endpoint.properties["EnabledEvents"]
        assert adopted["enabled_events"] == ["invoice.paid", *ours]
        assert account.accepted() == [theirs.secret]

    def test_one_of_the_url_whose_secret_nobody_tells_is_replaced(
        self, webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
    ) -> None:
        theirs = made_by_hand(stripe_server, webhook_endpoint)

        ours = webhook_endpoint.deploy()["PhysicalResourceId"]
        assert [each["id"] for each in at_stripe(stripe_server)] == [ours] != [theirs.id]
        assert account.accepted() == signing_secrets(stripe_server)

    def test_it_stays_as_somebody_elses_when_the_deployment_fails(
        self, webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
    ) -> None:
        theirs = made_by_hand(stripe_server, webhook_endpoint, metadata={"team": "web"})
        account.api_key_secret["webhook_secret"] = theirs.secret
        webhook_endpoint.deploy(then_fails=True)

        [left] = at_stripe(stripe_server)
        assert (left["id"], left["metadata"]) == (theirs.id, {"team": "web"})

    def test_it_goes_when_it_is_rolled(
        self, webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
    ) -> None:
        theirs = made_by_hand(stripe_server, webhook_endpoint)
        account.api_key_secret["webhook_secret"] = theirs.secret
        webhook_endpoint.deploy()

        new = webhook_endpoint.deploy(Roll="1")["PhysicalResourceId"]
        assert [each["id"] for each in at_stripe(stripe_server)] == [new]
        assert account.accepted() == signing_secrets(stripe_server)

    def test_it_goes_with_the_stack(
        self, webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
    ) -> None:
        theirs = made_by_hand(stripe_server, webhook_endpoint)
        account.api_key_secret["webhook_secret"] = theirs.secret
        webhook_endpoint.deploy()
        webhook_endpoint.destroy()

        assert at_stripe(stripe_server) == []

    def test_one_of_another_url_or_of_another_stack_is_left_alone(
        self, webhook_endpoint: Deployment, stripe_server: StripeServer
    ) -> None:
        other_url = made_by_hand(stripe_server, webhook_endpoint, url="https://example.com/other")
        other_stacks = webhook_endpoint.deploy()["PhysicalResourceId"]
        webhook_endpoint.physical_id, webhook_endpoint.logical_id = None, "AnotherStacks"

        webhook_endpoint.deploy()
        webhook_endpoint.destroy()
        assert [each["id"] for each in at_stripe(stripe_server)] == [other_url.id, other_stacks]

    def test_what_a_lost_stack_of_the_name_left_is_replaced(
        self, webhook_endpoint: Deployment, stripe_server: StripeServer, account: Aws
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
