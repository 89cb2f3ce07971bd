"""The local cloud: MariaDB, an emulated AWS, and this repository's app, really deployed into it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Final, Self
from urllib.parse import urlsplit

from local.checkouts import Checkouts
from local.fake_stripe.account import Json
from local.fake_stripe.partner_events import EventBridge
from local.fake_stripe.server import StripeServer
from local.operator import Operator
from local.servers.cdk import REPOSITORY, CdkCli, Report
from local.servers.emulated_aws import ACCOUNT, REGION, EmulatedAWS, Timing, client_variables
from local.servers.shop_database import ShopDatabase, ThrowawayDatabase
from local.shop import Shop

Watch = Callable[[str], AbstractContextManager[Report]]
"""Receives what begins, and is left when it ends."""

ENVIRONMENT: Final = "local"
STACK: Final = f"cachao-payments-{ENVIRONMENT}"
RETRY_SECONDS: Final = tuple(2.0**attempt for attempt in range(12))
"""Between the mock's attempts to deliver: an hour in all, where Stripe goes on for three days."""

_KEY_PERMISSIONS: Final = ("webhook_write", "event_read")
"""What docs/deploying.md asks of a restricted key."""


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Where everything is, for whoever wants to try something."""

    stack: str
    region: str
    endpoint_url: str
    """Of the emulated AWS, for AWS_ENDPOINT_URL; any credentials will do."""
    webhook_url: str
    event_bus: str
    """Named after the partner event source."""
    event_rule_arn: str
    event_function: str
    webhook_function: str
    delivery_dlq_url: str
    on_failure_queue_url: str
    webhook_on_failure_queue_url: str
    topic_arn: str
    db_host: str
    db_port: int
    db_name: str
    db_user: str
    db_password: str
    stripe_url: str
    """Of the mock of Stripe."""
    stripe_api_key: str
    """A secret key of it."""

    def variables(self) -> dict[str, str]:
        """Return the variables by which `aws` and `stripe-settlement` reach it; empty: unset."""
        return {
            **client_variables(self.endpoint_url),
            "AWS_PROFILE": "",
            "AWS_SESSION_TOKEN": "",
            "SETTLEMENT_STACK": self.stack,
            "STRIPE_API_KEY": self.stripe_api_key,
        }

    def queue_names(self) -> dict[str, str]:
        """Return the queues' names, which the address of each one ends in."""
        return {
            name.removesuffix("_url"): url.rpartition("/")[2]
            for name, url in asdict(self).items()
            if name.endswith(("_queue_url", "_dlq_url"))
        }


class LocalCloud:
    """Everything between Stripe and the order, on 127.0.0.1; gone without a trace when it ends.

    with LocalCloud() as cloud:
        order = cloud.shop.add_order()
        cloud.stripe.pay(order)
        cloud.shop.wait_until(order, "paid")
    """

    def __init__(
        self,
        *,
        database: ShopDatabase | None = None,
        timing: Timing | None = None,
        watch: Watch | None = None,
    ) -> None:
        """
        Args:
            database: the shop's; a throwaway server unless given.
            timing: how much faster than AWS the emulator's clocks run.
            watch: receives each part of the start.
        """
        self.database: Final = database or ThrowawayDatabase()
        self.aws: Final = EmulatedAWS(timing=timing)
        self.addresses: Addresses
        self.shop: Shop
        self.stripe_server: StripeServer
        """The mock of Stripe, at which the deployment connects both routes."""
        self.stripe: Checkouts
        """The shop's checkouts there."""
        self.registered_before: list[Json]
        """What was registered at the mock before the deployment."""
        self.operator: Operator
        self.cdk: CdkCli
        self._watch: Final = watch or (lambda _what: nullcontext(lambda _done, _total: None))
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the servers, bootstrap the account, deploy the app.

        Raises:
            MariaDBError, EmulatedAWSError: a server did not start.
            CdkError: the app did not deploy.
        """
        with self._watch("Start MariaDB"):
            self._resources.callback(self.database.close)
            self.database.start()
            self.shop = Shop(self.database.address)
            self.shop.create_tables()
        with self._watch("Start the emulated AWS"):
            self._resources.callback(self.aws.stop)
            self.aws.start()
        self.stripe_server = self._resources.enter_context(stripe_of(self.aws))
        self.stripe = Checkouts(self.stripe_server.url, self.stripe_server.account.test_key)
        self.registered_before = self.stripe_server.registered()
        self.cdk = CdkCli(self.aws.environment(), directory=self.aws.directory)
        with self._watch("cdk bootstrap"):
            self.cdk.bootstrap(ACCOUNT, REGION)
        with self._watch("cdk deploy") as report:
            outputs = self.cdk.deploy(STACK, self._parameters(), report=report)
        self._move_in(outputs)

    def deploy(self, parameters: Mapping[str, str] | None = None) -> None:
        """`cdk deploy` once more; parameters that are left out keep what they had."""
        self.cdk.deploy(STACK, parameters or {})

    def raise_stripe_roll(self) -> None:
        """Raise `stripe_roll` in `cdk.json` and deploy: what was deleted at Stripe is made anew."""
        outputs = self.deploy_with(stripe_roll=1)
        self.addresses = replace(
            self.addresses,
            event_bus=outputs["EventBusName"],
            event_rule_arn=outputs["EventRuleArn"],
        )

    def deploy_with(self, **changes: object) -> dict[str, str]:
        """Change settings of the environment in `cdk.json` and deploy; return the outputs."""
        settings = json.loads((REPOSITORY / "cdk.json").read_text(encoding="utf-8"))
        settings["context"]["environments"][ENVIRONMENT].update(changes)
        project = self.aws.directory / "project"
        project.mkdir(exist_ok=True)
        (project / "cdk.json").write_text(json.dumps(settings), encoding="utf-8")
        cdk = CdkCli(self.aws.environment(), directory=self.aws.directory, project=project)
        return cdk.deploy(STACK, {}, direct=True)

    def destroy(self) -> None:
        """`cdk destroy`. The servers stay."""
        self.cdk.destroy(STACK)

    def stop(self) -> None:
        """End everything and remove what it left."""
        self._resources.close()

    def _parameters(self) -> dict[str, str]:
        database = self.database.address
        key = self.stripe_server.add_key(permissions=_KEY_PERMISSIONS)
        secret = self.aws.client("secretsmanager").create_secret(
            Name="local/stripe", SecretString=json.dumps({"api_key": key})
        )
        return {
            "DbHost": database.host,
            "DbPort": str(database.port),
            "DbName": database.name,
            "DbUser": database.user,
            "DbPassword": database.password,
            "StripeApiBase": self.stripe_server.url,
            "StripeApiKeySecretArn": secret["ARN"],
        }

    def _move_in(self, outputs: Mapping[str, str]) -> None:
        database = self.database.address
        self.addresses = Addresses(
            stack=STACK,
            region=REGION,
            endpoint_url=self.aws.endpoint,
            webhook_url=local_webhook_url(self.aws.endpoint, outputs["WebhookUrl"]),
            event_bus=outputs["EventBusName"],
            event_rule_arn=outputs["EventRuleArn"],
            event_function=outputs["StripeEventBridgeHandlerName"],
            webhook_function=outputs["StripePaymentFunctionName"],
            delivery_dlq_url=outputs["StripeEventDlqUrl"],
            on_failure_queue_url=outputs["StripeEventBridgeHandlerOnFailureQueueUrl"],
            webhook_on_failure_queue_url=outputs["StripePaymentFunctionOnFailureQueueUrl"],
            topic_arn=outputs["AlarmTopicArn"],
            db_host=database.host,
            db_port=database.port,
            db_name=database.name,
            db_user=database.user,
            db_password=database.password,
            stripe_url=self.stripe_server.url,
            stripe_api_key=self.stripe_server.account.test_key,
        )
        self.operator = Operator(self.aws, topic_arn=outputs["AlarmTopicArn"], stack=STACK)


def stripe_of(aws: EmulatedAWS) -> StripeServer:
    """Return a mock of Stripe that delivers into an emulated AWS."""
    return StripeServer(
        partner_events=EventBridge(aws.client("events")),
        resolve_url=lambda url: local_webhook_url(aws.endpoint, url),
        retry_seconds=RETRY_SECONDS,
    )


def local_webhook_url(endpoint: str, url: str) -> str:
    """Return the webhook where the emulator serves it.

    Args:
        endpoint: the emulator's.
        url: the stack's output, https://<api>.execute-api.<region>.amazonaws.com/<stage>/<path>.
    """
    parts = urlsplit(url)
    return f"{endpoint}/_aws/execute-api/{parts.netloc.partition('.')[0]}{parts.path}"
