"""Stripe's side as resources of a stack: what each deployment leaves at a mock of Stripe."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import CfnResource, RemovalPolicy

from local.checkouts import Checkouts
from local.cloud import LocalCloud, stripe_of
from local.fake_stripe.server import StripeServer
from local.servers.cdk import CdkCli, CdkError
from local.shop import Order
from stacks.environments import AT_DEPLOYMENT, Environment
from stacks.payments_stack import PaymentsStack
from tests.e2e.account import resources, synthesise
from tests.e2e.by_hand import MadeByHand
from tests.support.waiting import SECONDS

pytestmark = pytest.mark.xdist_group("e2e")

PAUSE_SECONDS = 0.2
"""Between the payments beside a roll: fewer than the stage's throttle lets through."""

OTHER_VERSION = "2026-09-30.endive"

Change = Callable[[PaymentsStack], None]


class ConnectedStack:
    """A deployment with a Stripe API key, beside the first one and on the same database."""

    def __init__(self, cloud: LocalCloud, stripe: StripeServer, directory: Path) -> None:
        self.name = "cachao-payments-connected"
        self._cloud = cloud
        self._stripe = stripe
        self._directory = directory
        self.key = stripe.account.add_key(permissions=["webhook_write", "event_read"])
        self._secret: str = cloud.aws.client("secretsmanager").create_secret(
            Name="connected/stripe", SecretString=json.dumps({"api_key": self.key})
        )["ARN"]
        self._deployments = 0
        self.outputs: dict[str, str] = {}

    def deploy(self, change: Change = lambda _stack: None, **fields: Any) -> None:
        """`cdk deploy` of the environment with these fields, and with a change of the stack."""
        self._deploy(
            {"StripeApiKeySecretArn": self._secret},
            change,
            stripe_api_key_secret_arn=AT_DEPLOYMENT,
            stripe_api_base=self._stripe.url,
            **fields,
        )

    def deploy_without_a_key(self, made: MadeByHand) -> None:
        """`cdk deploy` onto what a person has made at Stripe, whose URL is entered afterwards."""
        self._deploy(
            {"StripeSecretKey": "sk_test_any", "StripeWebhookSecret": made.signing_secret},
            event_source_name=made.event_source,
        )
        made.point_at(self.outputs["WebhookUrl"])

    def _deploy(
        self,
        parameters: dict[str, str],
        change: Change = lambda _stack: None,
        **fields: Any,
    ) -> None:
        environment = Environment(
            **{
                "name": "connected",
                "livemode": False,
                "resource_prefix": "connected",
                "database_tls": False,
                "removal_policy": RemovalPolicy.DESTROY,
                **fields,
            }
        )
        self._deployments += 1
        synthesise(environment, self._assembly(), change)
        database = self._cloud.database.address
        self.outputs = self._cdk().deploy(
            self.name,
            {
                "DbHost": database.host,
                "DbPort": str(database.port),
                "DbName": database.name,
                "DbUser": database.user,
                "DbPassword": database.password,
                **parameters,
            },
        )

    def destroy(self) -> None:
        """`cdk destroy`."""
        self._cdk().destroy(self.name)

    def give(self, **values: str) -> None:
        """Put these values into the secret, beside the key."""
        self._cloud.aws.client("secretsmanager").put_secret_value(
            SecretId=self._secret, SecretString=json.dumps({"api_key": self.key, **values})
        )

    def close(self) -> None:
        """Remove what a test has left, and the secret."""
        described = self._cloud.aws.client("cloudformation").describe_stacks()["Stacks"]
        if self.name in [stack["StackName"] for stack in described]:
            self.destroy()
        self._cloud.aws.client("secretsmanager").delete_secret(
            SecretId=self._secret, ForceDeleteWithoutRecovery=True
        )

    def _assembly(self) -> Path:
        """One each time: Node keeps the one it has written."""
        return self._directory / str(self._deployments)

    def _cdk(self) -> CdkCli:
        return CdkCli(
            self._cloud.aws.environment(), directory=self._directory, assembly=self._assembly()
        )


def with_properties(**values: Any) -> Change:
    """The destination and the endpoint with other properties than the stack gives them."""

    def change(stack: PaymentsStack) -> None:
        settlement = stack.settlement
        for each in (settlement.event_destination, settlement.webhook_endpoint):
            assert each is not None
            resource = each.resource.node.default_child
            assert isinstance(resource, CfnResource)
            for name, value in values.items():
                resource.add_property_override(name, value)

    return change


@pytest.fixture
def stripe(cloud: LocalCloud) -> Iterator[StripeServer]:
    """A Stripe with nothing in it, which delivers into the emulated AWS."""
    with stripe_of(cloud.aws) as server:
        yield server


@pytest.fixture
def stack(cloud: LocalCloud, stripe: StripeServer, tmp_path: Path) -> Iterator[ConnectedStack]:
    stack = ConnectedStack(cloud, stripe, tmp_path)
    yield stack
    stack.close()


Listing = dict[str, list[dict[str, Any]]]


def at_stripe(stripe: StripeServer) -> Listing:
    """All that Stripe lists to a key that may see everything."""
    client = stripe.client()
    return {
        "destinations": [
            each.to_dict() for each in client.v2.core.event_destinations.list().auto_paging_iter()
        ],
        "endpoints": [
            each.to_dict()
            for each in client.v1.webhook_endpoints.list({"limit": 100}).auto_paging_iter()
        ],
    }


NOTHING: Listing = {"destinations": [], "endpoints": []}


def ids(listing: Listing) -> dict[str, list[str]]:
    """The ids of what is listed, by kind."""
    return {kind: [each["id"] for each in found] for kind, found in listing.items()}


def the_two(stripe: StripeServer) -> tuple[dict[str, Any], dict[str, Any]]:
    """The destination and the endpoint that are there, if it is one of each."""
    listing = at_stripe(stripe)
    [destination], [endpoint] = listing["destinations"], listing["endpoints"]
    return destination, endpoint


def settles_by_both(cloud: LocalCloud, stripe: StripeServer) -> bool:
    """Whether a payment is delivered to the two, taken by both, and settled once."""
    destination, endpoint = the_two(stripe)
    order = cloud.shop.add_order()
    event = Checkouts(stripe.url, stripe.account.test_key).pay(order)
    stripe.wait_until_delivered()
    attempts = stripe.attempts(event=event["id"])
    # Not each at once: a function that holds an older secret refuses what a new one has signed.
    taken = {each["target"] for each in attempts if each["problem"] is None}
    settled = cloud.shop.wait_until(order, "paid").settlements == 1
    return settled and taken == {destination["id"], endpoint["id"]}


@contextmanager
def paying(cloud: LocalCloud, stripe: StripeServer) -> Iterator[list[tuple[Order, str]]]:
    """Pay one order after the other until the block ends; yield each with the id of its event."""
    checkouts, ending = Checkouts(stripe.url, stripe.account.test_key), threading.Event()
    paid: list[tuple[Order, str]] = []

    def pay() -> None:
        while not ending.wait(PAUSE_SECONDS):
            order = cloud.shop.add_order()
            paid.append((order, checkouts.pay(order)["id"]))

    with ThreadPoolExecutor(1) as thread:
        work = thread.submit(pay)
        try:
            yield paid
        finally:
            ending.set()
        work.result(SECONDS)


def written(cloud: LocalCloud, stack: ConnectedStack) -> str:
    """Everything that anybody can read of a stack: template, outputs, events, resources, logs."""
    cloudformation, logs = cloud.aws.client("cloudformation"), cloud.aws.client("logs")

    def pages(client: Any, operation: str, **arguments: str) -> list[dict[str, Any]]:
        return list(client.get_paginator(operation).paginate(**arguments))

    texts: list[object] = [
        cloudformation.get_template(StackName=stack.name),
        cloudformation.describe_stacks(StackName=stack.name),
        cloudformation.describe_stack_resources(StackName=stack.name),
        pages(cloudformation, "describe_stack_events", StackName=stack.name),
        pages(cloud.aws.client("lambda"), "list_functions"),
    ]
    texts += [
        pages(logs, "filter_log_events", logGroupName=group["logGroupName"])
        for page in pages(logs, "describe_log_groups")
        for group in page["logGroups"]
    ]
    return json.dumps(texts, default=str)


def test_a_stack_connects_stripe_rolls_its_secret_and_leaves_nothing(
    cloud: LocalCloud, stripe: StripeServer, stack: ConnectedStack
) -> None:
    before = resources(cloud.aws)
    stack.deploy()
    destination, first = the_two(stripe)
    assert stack.outputs["EventBusName"] == f"aws.partner/stripe.com/{destination['id']}"
    assert first["url"] == stack.outputs["WebhookUrl"]
    assert settles_by_both(cloud, stripe)
    secrets = [each.value for each in stripe.account.test.secrets[first["id"]]]

    connected = at_stripe(stripe)
    stripe.inject(path="/v1/webhook_endpoints", method="POST", status=400)
    with pytest.raises(CdkError, match="StripeWebhookEndpoint"):
        stack.deploy(stripe_roll=1)
    assert ids(at_stripe(stripe)) == ids(connected)
    assert settles_by_both(cloud, stripe)

    with paying(cloud, stripe) as paid:
        stack.deploy(stripe_roll=1)
    same, second = the_two(stripe)
    assert same["id"] == destination["id"]
    assert second["id"] != first["id"]
    assert settles_by_both(cloud, stripe)
    taken_by_webhook = {
        each["event"]
        for each in stripe.attempts()
        if each["target"] in (first["id"], second["id"]) and each["problem"] is None
    }
    assert {event for _, event in paid} <= taken_by_webhook
    assert {cloud.shop.state(order).settlements for order, _ in paid} == {1}
    secrets += [each.value for each in stripe.account.test.secrets[second["id"]]]

    seen = written(cloud, stack)
    for part in (first["id"], second["id"], "custom resource request carried out"):
        assert part in seen
    assert [each for each in [*secrets, stack.key] if each in seen] == []

    stack.destroy()
    assert at_stripe(stripe) == NOTHING
    assert resources(cloud.aws) - before == set()


def test_an_update_changes_both_in_place_and_a_new_name_the_destinations(
    cloud: LocalCloud, stripe: StripeServer, stack: ConnectedStack
) -> None:
    stack.deploy()
    destination, endpoint = the_two(stripe)
    types = [*destination["enabled_events"], "charge.refunded"]

    stack.deploy(with_properties(EnabledEvents=types, Description="changed"))

    changed = {"enabled_events": types, "description": "changed"}
    updated = at_stripe(stripe)["destinations"][0]["updated"]
    assert at_stripe(stripe) == {
        "destinations": [{**destination, **changed, "updated": updated}],
        "endpoints": [{**endpoint, **changed}],
    }

    stack.deploy(resource_prefix="renamed")

    renamed, same = the_two(stripe)
    assert (renamed["id"], renamed["name"]) == (destination["id"], "renamed")
    assert (same["id"], same["url"]) == (endpoint["id"], stack.outputs["WebhookUrl"])
    assert renamed["enabled_events"] == same["enabled_events"] == destination["enabled_events"]
    assert settles_by_both(cloud, stripe)

    stack.destroy()
    assert at_stripe(stripe) == NOTHING


def test_a_new_api_version_replaces_both(
    cloud: LocalCloud, stripe: StripeServer, stack: ConnectedStack
) -> None:
    stack.deploy()
    before = the_two(stripe)

    stack.deploy(with_properties(ApiVersion=OTHER_VERSION))

    destination, endpoint = the_two(stripe)
    assert {each["id"] for each in before} & {destination["id"], endpoint["id"]} == set()
    assert destination["snapshot_api_version"] == endpoint["api_version"] == OTHER_VERSION
    assert stack.outputs["EventBusName"] == f"aws.partner/stripe.com/{destination['id']}"
    assert settles_by_both(cloud, stripe)

    stack.destroy()
    assert at_stripe(stripe) == NOTHING


def lose_the_endpoint(stripe: StripeServer, _stack: ConnectedStack) -> None:
    """The endpoint comes last: it has the destination, the bus and the API before it."""
    stripe.inject(path="/v1/webhook_endpoints", method="POST", status=400, executed=True)


def give_a_live_key(stripe: StripeServer, stack: ConnectedStack) -> None:
    stack.key = stripe.account.live_key
    stack.give()


def give_a_key_that_only_reads(stripe: StripeServer, stack: ConnectedStack) -> None:
    stack.key = stripe.add_key(permissions=["webhook_read"])
    stack.give()


@pytest.mark.parametrize(
    ("fail", "reason"),
    [
        (lose_the_endpoint, "StripeWebhookEndpoint"),
        (give_a_live_key, "the Stripe API key is of live mode"),
        (give_a_key_that_only_reads, "'rak_webhook_write' permission"),
    ],
)
def test_a_creation_that_fails_says_why_and_leaves_nothing_at_stripe(
    stripe: StripeServer,
    stack: ConnectedStack,
    fail: Callable[[StripeServer, ConnectedStack], None],
    reason: str,
) -> None:
    fail(stripe, stack)

    with pytest.raises(CdkError) as error:
        stack.deploy()

    # The CLI breaks its lines.
    assert reason in " ".join(str(error.value).split())
    assert stack.key not in str(error.value)
    assert at_stripe(stripe) == NOTHING


def test_a_destination_made_by_hand_is_adopted_instead_of_a_twin(
    cloud: LocalCloud, stripe: StripeServer, stack: ConnectedStack
) -> None:
    theirs = MadeByHand(stripe)
    before = at_stripe(stripe)

    stripe.inject(path="/v1/webhook_endpoints", method="POST", status=400)
    with pytest.raises(CdkError):
        stack.deploy()
    # Nobody's again, with the name and the types that it was given meanwhile.
    [released] = at_stripe(stripe)["destinations"]
    assert (released["id"], released["metadata"]) == (before["destinations"][0]["id"], {})
    assert at_stripe(stripe)["endpoints"] == before["endpoints"]

    stack.deploy()
    assert ids(at_stripe(stripe))["destinations"] == ids(before)["destinations"]
    assert theirs.event_source == stack.outputs["EventBusName"]

    stack.destroy()
    # The endpoint is of another URL, so another's.
    assert at_stripe(stripe) == {"destinations": [], "endpoints": before["endpoints"]}


@pytest.mark.parametrize("told", [True, False], ids=["its secret is given", "nobody knows it"])
def test_a_stack_that_is_given_a_key_takes_over_what_was_made_by_hand(
    cloud: LocalCloud, stripe: StripeServer, stack: ConnectedStack, told: bool
) -> None:
    theirs = MadeByHand(stripe)
    stack.deploy_without_a_key(theirs)
    assert settles_by_both(cloud, stripe)
    before = ids(at_stripe(stripe))
    if told:
        stack.give(webhook_secret=theirs.signing_secret)

    stack.deploy()

    after = ids(at_stripe(stripe))
    assert after["destinations"] == before["destinations"]
    assert len(after["endpoints"]) == 1
    assert (after["endpoints"] == before["endpoints"]) is told
    assert settles_by_both(cloud, stripe)

    stack.destroy()
    assert at_stripe(stripe) == NOTHING
