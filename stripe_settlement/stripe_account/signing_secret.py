"""Where the signing secret of Stripe's webhook endpoint is kept."""

from typing import Final

from aws_cdk import Acknowledgment, RemovalPolicy, Validations
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct


class SigningSecret(Construct):
    """JSON with `webhook_secret`, which the endpoint's function writes and the webhook reads.

    At first it is random, so that nobody can sign until Stripe has created the endpoint.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, encryption_key: kms.IKey | None = None
    ) -> None:
        """
        Args:
            scope: the parent construct.
            construct_id: its id there.
            encryption_key: customer-managed key; Secrets Manager's own by default.
        """
        super().__init__(scope, construct_id)
        self.secret: Final[secretsmanager.ISecret] = secretsmanager.Secret(
            self,
            "Secret",
            description="Signing secret of Stripe's webhook endpoint",
            encryption_key=encryption_key,
            generate_secret_string=secretsmanager.SecretStringGenerator(
                secret_string_template="{}",  # noqa: S106 - the empty JSON around the secret
                generate_string_key="webhook_secret",
            ),
            # Worthless without the endpoint, which goes with the stack.
            removal_policy=RemovalPolicy.DESTROY,
        )
        """The secret."""
        Validations.of(self.secret).acknowledge(
            Acknowledgment(
                id="AwsSolutions-SMG4",
                reason="Stripe makes this secret. Raising StripeAccountSettings.roll replaces it, "
                "with both valid until the old endpoint is gone.",
            )
        )
