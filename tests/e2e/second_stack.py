"""A second deployment of the service in the account of the local cloud, under other names."""

from __future__ import annotations

from pathlib import Path

from local.cloud import LocalCloud
from local.servers.cdk import CdkCli
from local.servers.mariadb import DatabaseAddress
from stacks.environments import Environment
from tests.e2e.account import synthesise
from tests.e2e.by_hand import MadeByHand


class SecondStack:
    """Its environment names what differs; parameters give it a database and Stripe's secrets."""

    def __init__(
        self,
        cloud: LocalCloud,
        stripe: MadeByHand,
        environment: Environment,
        directory: Path,
        *,
        database: DatabaseAddress | None = None,
    ) -> None:
        """
        Args:
            cloud: where it is deployed.
            stripe: what sends to it; the environment names its event source.
            environment: what would stand in `cdk.json`.
            directory: where it is synthesised, empty.
            database: the shop's; the cloud's own unless given.
        """
        self.stripe = stripe
        self._database = database or cloud.database.address
        self._name = synthesise(environment, directory)
        self._cdk = CdkCli(cloud.aws.environment(), directory=directory, assembly=directory)

    def deploy(self) -> None:
        """`cdk deploy`, and the endpoint's URL entered at Stripe."""
        database = self._database
        outputs = self._cdk.deploy(
            self._name,
            {
                "DbHost": database.host,
                "DbPort": str(database.port),
                "DbName": database.name,
                "DbUser": database.user,
                "DbPassword": database.password,
                "StripeSecretKey": "sk_test_second",
                "StripeWebhookSecret": self.stripe.signing_secret,
            },
        )
        self.stripe.point_at(outputs["WebhookUrl"])

    def destroy(self) -> None:
        """`cdk destroy`."""
        self._cdk.destroy(self._name)
