from __future__ import annotations

from collections.abc import Iterator

import pytest

import event_destination_handler
import webhook_endpoint_handler
from local.fake_stripe.api import Request, Response
from local.fake_stripe.partner_events import PartnerEventsInMemory
from local.fake_stripe.server import StripeServer
from stripe_account import api_key, aws
from tests.support.cloudformation import CloudFormation
from tests.support.output import Process
from tests.support.stripe_server import partner_events, stripe_server
from tests.unit.stripe_account.deployment import ACCOUNT, REGION, Aws, Deployment

__all__ = ["partner_events", "stripe_server"]

TYPES = ["checkout.session.completed", "checkout.session.async_payment_succeeded"]
COMMON = {
    "Description": "Made by the CloudFormation stack cachao",
    "EnabledEvents": TYPES,
    "ApiVersion": "2026-10-28.endive",
    "Roll": "0",
}


@pytest.fixture
def cloudformation() -> Iterator[CloudFormation]:
    with CloudFormation() as server:
        yield server


@pytest.fixture
def account(
    monkeypatch: pytest.MonkeyPatch,
    process: Process,
    partner_events: PartnerEventsInMemory,
    stripe_server: StripeServer,
) -> Aws:
    """The AWS account, whose secret holds a restricted key of test mode."""
    key = stripe_server.account.add_key(permissions=["webhook_write"])
    account = Aws(partner_events, api_key_secret={"api_key": key})
    monkeypatch.setattr(aws, "_client", lambda _service: account)
    monkeypatch.setattr(aws, "_POLL_SECONDS", 0.0)
    monkeypatch.setattr(api_key, "get_secret_value", lambda *_: account.api_key_secret)
    monkeypatch.setenv("STRIPE_API_BASE", stripe_server.url)
    monkeypatch.setenv("STRIPE_API_KEY_SECRET_ARN", "arn:key")
    monkeypatch.setenv("SIGNING_SECRET_ARN", "arn:signing")
    monkeypatch.setenv("STRIPE_LIVEMODE", "false")
    return account


@pytest.fixture
def idempotency_keys(
    stripe_server: StripeServer, monkeypatch: pytest.MonkeyPatch
) -> list[str | None]:
    """The key of each request that changes something at Stripe, as they come."""
    keys: list[str | None] = []
    handle = stripe_server.handle

    def watched(request: Request) -> Response | None:
        if request.method != "GET":
            keys.append(request.headers.get("idempotency-key"))
        return handle(request)

    monkeypatch.setattr(stripe_server, "handle", watched)
    return keys


@pytest.fixture
def event_destination(cloudformation: CloudFormation, account: Aws, process: Process) -> Deployment:
    return Deployment(
        event_destination_handler.handler,
        cloudformation=cloudformation,
        aws=account,
        process=process,
        properties={**COMMON, "Name": "cachao", "AwsAccountId": ACCOUNT, "AwsRegion": REGION},
    )


@pytest.fixture
def webhook_endpoint(cloudformation: CloudFormation, account: Aws, process: Process) -> Deployment:
    return Deployment(
        webhook_endpoint_handler.handler,
        cloudformation=cloudformation,
        aws=account,
        process=process,
        properties={**COMMON, "Url": "https://api.example.com/Prod/webhooks/stripe"},
    )
