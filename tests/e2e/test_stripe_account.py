"""Stripe's side as resources of a stack: what each deployment leaves at a played Stripe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import RemovalPolicy

from local.cloud import LocalCloud, local_webhook_url
from local.fake_stripe.partner_events import EventBridge
from local.fake_stripe.server import StripeServer
from local.servers.cdk import CdkCli, CdkError
from stacks.environments import AT_DEPLOYMENT, Environment
from tests.e2e.account import resources, synthesise

pytestmark = pytest.mark.xdist_group("e2e")


class ConnectedStack:
    """A deployment with a Stripe API key, beside the first one and on the same database."""

    def __init__(self, cloud: LocalCloud, stripe: StripeServer, directory: Path) -> None:
        self.name = "cachao-payments-connected"
        self._cloud = cloud
        self._stripe = stripe
        self._directory = directory
        self.key = stripe.account.add_key(permissions=["webhook_write"])
        self._secret: str = cloud.aws.client("secretsmanager").create_secret(
            Name="connected/stripe", SecretString=json.dumps({"api_key": self.key})
        )["ARN"]
        self.outputs: dict[str, str] = {}

    def deploy(self, **changes: Any) -> None:
        """`cdk deploy` of the environment with these changes."""
        fields: dict[str, Any] = {
            "resource_prefix": "connected",
            "stripe_api_key_secret_arn": AT_DEPLOYMENT,
            "stripe_api_base": self._stripe.url,
            "database_tls": False,
            "removal_policy": RemovalPolicy.DESTROY,
            **changes,
        }
        environment = Environment(name="connected", livemode=False, **fields)
        synthesise(environment, self._directory)
        database = self._cloud.database.address
        self.outputs = self._cdk().deploy(
            self.name,
            {
                "DbHost": database.host,
                "DbPort": str(database.port),
                "DbName": database.name,
                "DbUser": database.user,
                "DbPassword": database.password,
                "StripeApiKeySecretArn": self._secret,
            },
        )

    def destroy(self) -> None:
        """`cdk destroy`."""
        self._cdk().destroy(self.name)

    def give(self, key: str) -> None:
        """Put another key into the secret."""
        self._cloud.aws.client("secretsmanager").put_secret_value(
            SecretId=self._secret, SecretString=json.dumps({"api_key": key})
        )

    def close(self) -> None:
        """Remove what a test has left, and the secret."""
        described = self._cloud.aws.client("cloudformation").describe_stacks()["Stacks"]
        if self.name in [stack["StackName"] for stack in described]:
            self.give(self.key)
            self.destroy()
        self._cloud.aws.client("secretsmanager").delete_secret(
            SecretId=self._secret, ForceDeleteWithoutRecovery=True
        )

    def _cdk(self) -> CdkCli:
        return CdkCli(
            self._cloud.aws.environment(), directory=self._directory, assembly=self._directory
        )


@pytest.fixture
def stripe(cloud: LocalCloud) -> Iterator[StripeServer]:
    """A Stripe with nothing in it, which delivers into the emulated AWS."""
    with StripeServer(
        partner_events=EventBridge(cloud.aws.client("events")),
        resolve_url=lambda url: local_webhook_url(cloud.aws.endpoint, url),
    ) as server:
        yield server


@pytest.fixture
def stack(cloud: LocalCloud, stripe: StripeServer, tmp_path: Path) -> Iterator[ConnectedStack]:
    stack = ConnectedStack(cloud, stripe, tmp_path)
    yield stack
    stack.close()


def at_stripe(stripe: StripeServer) -> dict[str, list[str]]:
    """The ids of what is registered, by kind."""
    mode = stripe.account.test
    return {"destinations": list(mode.destinations), "endpoints": list(mode.webhook_endpoints)}


def pay(cloud: LocalCloud, stripe: StripeServer) -> dict[str, int]:
    """Pay an order, wait until every destination has its event. Return how often each outcome."""
    order = cloud.shop.add_order()
    stripe.create_paid_checkout(
        amount=order.amount, currency=order.currency, metadata={"order_id": str(order.id)}
    )
    stripe.wait_until_delivered()
    cloud.shop.wait_until(order, "paid")
    return {"settlements": cloud.shop.state(order).settlements}


def written(cloud: LocalCloud, stack: ConnectedStack) -> str:
    """Everything that anybody can read of a stack: template, outputs, events, resources, logs."""
    cloudformation, logs = cloud.aws.client("cloudformation"), cloud.aws.client("logs")
    texts: list[object] = [
        cloudformation.get_template(StackName=stack.name),
        cloudformation.describe_stacks(StackName=stack.name),
        cloudformation.describe_stack_events(StackName=stack.name),
        cloudformation.describe_stack_resources(StackName=stack.name),
    ]
    texts += [
        logs.filter_log_events(logGroupName=group["logGroupName"])["events"]
        for group in logs.describe_log_groups()["logGroups"]
    ]
    texts += cloud.aws.client("lambda").list_functions()["Functions"]
    return json.dumps(texts, default=str)


def test_a_stack_connects_stripe_rolls_its_secret_and_leaves_nothing(
    cloud: LocalCloud, stripe: StripeServer, stack: ConnectedStack
) -> None:
    before = resources(cloud.aws)
    stack.deploy()
    [destination] = at_stripe(stripe)["destinations"]
    [first] = at_stripe(stripe)["endpoints"]
    assert stack.outputs["EventBusName"] == f"aws.partner/stripe.com/{destination}"
    assert pay(cloud, stripe) == {"settlements": 1}
    assert {(each["target"], each["problem"]) for each in stripe.attempts()} == {
        (destination, None),
        (first, None),
    }
    secrets = [each.value for each in stripe.account.test.secrets[first]]

    stripe.inject(path="/v1/webhook_endpoints", method="POST", status=400)
    with pytest.raises(CdkError, match="StripeWebhookEndpoint"):
        stack.deploy(stripe_roll=1)
    assert at_stripe(stripe) == {"destinations": [destination], "endpoints": [first]}
    assert pay(cloud, stripe) == {"settlements": 1}

    stack.deploy(stripe_roll=1)
    [second] = at_stripe(stripe)["endpoints"]
    assert at_stripe(stripe)["destinations"] == [destination]
    assert second != first
    assert pay(cloud, stripe) == {"settlements": 1}
    secrets += [each.value for each in stripe.account.test.secrets[second]]

    seen = written(cloud, stack)
    assert "Custom::StripeWebhookEndpoint" in seen
    assert [each for each in [*secrets, stack.key] if each in seen] == []

    stack.destroy()
    assert at_stripe(stripe) == {"destinations": [], "endpoints": []}
    assert resources(cloud.aws) - before == set()


def test_a_creation_that_fails_leaves_nothing_at_stripe(
    stripe: StripeServer, stack: ConnectedStack
) -> None:
    # The endpoint comes last: what it fails on has the destination, the bus and the API before it.
    stripe.inject(path="/v1/webhook_endpoints", method="POST", status=400, executed=True)

    with pytest.raises(CdkError, match="StripeWebhookEndpoint"):
        stack.deploy()

    assert at_stripe(stripe) == {"destinations": [], "endpoints": []}


def test_a_destination_made_by_hand_is_adopted_instead_of_a_twin(
    cloud: LocalCloud, stripe: StripeServer, stack: ConnectedStack
) -> None:
    theirs = stripe.client().v2.core.event_destinations.create(
        {
            "name": "by hand",
            "type": "amazon_eventbridge",
            "event_payload": "snapshot",
            "snapshot_api_version": "2026-10-28.endive",
            "enabled_events": ["checkout.session.completed"],
            "amazon_eventbridge": {
                "aws_account_id": cloud.aws.client("sts").get_caller_identity()["Account"],
                "aws_region": cloud.aws.client("events").meta.region_name,
            },
        }
    )

    stripe.inject(path="/v1/webhook_endpoints", method="POST", status=400)
    with pytest.raises(CdkError):
        stack.deploy()
    assert at_stripe(stripe) == {"destinations": [theirs.id], "endpoints": []}

    stack.deploy()
    assert at_stripe(stripe)["destinations"] == [theirs.id]
    assert pay(cloud, stripe) == {"settlements": 1}

    stack.destroy()
    assert at_stripe(stripe) == {"destinations": [], "endpoints": []}
