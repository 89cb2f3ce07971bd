"""Thin events through a deployed stack: both routes, beside snapshots of the same payments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from aws_cdk import RemovalPolicy

from local.cloud import LocalCloud, local_webhook_url
from local.fake_stripe.event_destinations import source_name
from local.fake_stripe.partner_events import EventBridge
from local.fake_stripe.server import StripeServer
from local.servers.cdk import CdkCli
from local.servers.emulated_aws import ACCOUNT, REGION
from local.shop import Order
from stacks.environments import Environment
from tests.e2e.account import synthesise

pytestmark = pytest.mark.xdist_group("e2e")

TYPE: Final = "checkout.session.completed"
SESSIONS: Final = "/v1/checkout/sessions/.*"


class ThinStack:
    """A deployment whose destinations were made by hand: thin events to both routes, and
    snapshots to the webhook as well.
    """

    def __init__(self, cloud: LocalCloud, stripe: StripeServer, directory: Path) -> None:
        self._cloud = cloud
        self._stripe = stripe
        self._secrets = cloud.aws.client("secretsmanager")
        self._arns: list[str] = []
        key = stripe.add_key(permissions=["checkout_session_read"])
        self._signing_secret = self._keep("webhook_secret", "whsec_of_nobody_yet")
        by_eventbridge = self._register(
            "amazon_eventbridge",
            {"amazon_eventbridge": {"aws_account_id": ACCOUNT, "aws_region": REGION}},
        )
        environment = Environment(
            name="thin",
            livemode=False,
            resource_prefix="thin",
            event_source_name=source_name(stripe.account.test.destinations[by_eventbridge]),
            stripe_secret_arn=self._signing_secret,
            thin_events_key_secret_arn=self._keep("api_key", key),
            stripe_api_base=stripe.url,
            database_tls=False,
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.name = synthesise(environment, directory)
        self._cdk = CdkCli(cloud.aws.environment(), directory=directory, assembly=directory)

    def deploy(self) -> None:
        """`cdk deploy`, and what is then registered by hand at Stripe with the webhook's URL."""
        database = self._cloud.database.address
        outputs = self._cdk.deploy(
            self.name,
            {
                "DbHost": database.host,
                "DbPort": str(database.port),
                "DbName": database.name,
                "DbUser": database.user,
                "DbPassword": database.password,
            },
        )
        self.event_function = outputs["StripeEventBridgeHandlerName"]
        self.webhook_function = outputs["StripePaymentFunctionName"]
        url = outputs["WebhookUrl"]
        thin = self._register("webhook_endpoint", {"webhook_endpoint": {"url": url}})
        snapshot = self._stripe.client().v1.webhook_endpoints.create(
            {"url": url, "enabled_events": [TYPE]}
        )
        known = self._stripe.account.test.secrets
        both = ",".join(known[id_][0].value for id_ in (thin, snapshot.id))
        self._secrets.put_secret_value(
            SecretId=self._signing_secret, SecretString=json.dumps({"webhook_secret": both})
        )

    def pay(self, order: Order) -> tuple[str, dict[str, Any]]:
        """Pay an order, and return once all that is registered has its event.

        Returns:
            Id of the snapshot, and the thin event.
        """
        snapshot = self._stripe.create_paid_checkout(
            amount=order.amount, currency=order.currency, metadata={"order_id": str(order.id)}
        )
        self._stripe.wait_until_delivered()
        events = self._stripe.account.test.thin_events.values()
        thin = next(each for each in events if each["snapshot_event"] == snapshot["id"])
        return snapshot["id"], thin

    def close(self) -> None:
        """Remove the stack and the secrets."""
        self._cdk.destroy(self.name)
        for arn in self._arns:
            self._secrets.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)

    def _keep(self, field: str, value: str) -> str:
        arn: str = self._secrets.create_secret(
            Name=f"thin/{field}", SecretString=json.dumps({field: value})
        )["ARN"]
        self._arns.append(arn)
        return arn

    def _register(self, kind: str, place: dict[str, Any]) -> str:
        parameters: Any = {
            "name": kind,
            "type": kind,
            "event_payload": "thin",
            "enabled_events": [f"v1.{TYPE}"],
            **place,
        }
        return self._stripe.client().v2.core.event_destinations.create(parameters).id


@pytest.fixture
def stripe(cloud: LocalCloud) -> Iterator[StripeServer]:
    """A Stripe with nothing in it, which delivers into the emulated AWS."""
    with StripeServer(
        partner_events=EventBridge(cloud.aws.client("events")),
        resolve_url=lambda url: local_webhook_url(cloud.aws.endpoint, url),
    ) as server:
        yield server


@pytest.fixture
def stack(cloud: LocalCloud, stripe: StripeServer, tmp_path: Path) -> Iterator[ThinStack]:
    stack = ThinStack(cloud, stripe, tmp_path)
    stack.deploy()
    yield stack
    stack.close()


def test_a_payment_that_comes_thin_and_as_a_snapshot_by_both_routes_settles_once(
    cloud: LocalCloud, stripe: StripeServer, stack: ThinStack
) -> None:
    order = cloud.shop.add_order()
    stripe.inject(path=SESSIONS, status=429, retry_after=1, times=2)

    snapshot, thin = stack.pay(order)

    by_eventbridge = cloud.operator.wait_for_outcomes(stack.event_function, thin["id"], 1)
    by_webhook = [
        *cloud.operator.wait_for_outcomes(stack.webhook_function, thin["id"], 1),
        *cloud.operator.wait_for_outcomes(stack.webhook_function, snapshot, 1),
    ]
    assert sorted([*by_eventbridge, *by_webhook]) == ["duplicate", "duplicate", "settled"]
    assert {each["problem"] for each in stripe.attempts()} == {None}
    state = cloud.shop.state(order)
    assert (state.status, state.sold, state.used, state.settlements) == ("paid", 2, 1, 1)


def test_a_session_that_stripe_does_not_have_is_kept_for_a_person_on_both_routes(
    cloud: LocalCloud, stripe: StripeServer, stack: ThinStack
) -> None:
    order = cloud.shop.add_order()
    before = cloud.shop.state(order)
    [snapshots] = stripe.account.test.webhook_endpoints
    stripe.client().v1.webhook_endpoints.update(snapshots, {"disabled": True})
    stripe.inject(path=SESSIONS, status=404, times=2)

    _, thin = stack.pay(order)

    session = thin["related_object"]["id"]
    for function in (stack.event_function, stack.webhook_function):
        assert cloud.operator.wait_for_outcomes(function, thin["id"], 1) == ["anomaly"]
    assert {each["problem"] for each in stripe.attempts()} == {None}
    assert cloud.shop.state(order) == before
    [(kind, detail)] = cloud.shop.query(
        "SELECT kind, detail FROM payment_anomalies WHERE session_id = %s", session
    )
    assert (kind, detail.startswith("Stripe has no such session")) == ("thin_event", True)
    cloud.shop.query("DELETE FROM payment_anomalies WHERE session_id = %s", session)
