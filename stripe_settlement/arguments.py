"""Arguments that contradict each other: what came, what is allowed, the way round."""

from collections.abc import Sequence

from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns

from stripe_settlement.settings import SettlementSettings


def require_vpc(
    vpc: ec2.IVpc | None,
    *,
    vpc_subnets: ec2.SubnetSelection | None,
    security_groups: Sequence[ec2.ISecurityGroup] | None,
) -> None:
    """Refuse subnets and security groups that nothing would be put into.

    Raises:
        ValueError: there is no VPC beside them, or the list of security groups is empty.
    """
    if vpc is None and (vpc_subnets is not None or security_groups is not None):
        given = "vpc_subnets" if vpc_subnets is not None else "security_groups"
        raise ValueError(
            f"{given} came without vpc; they are parts of one. Pass the VPC too, for example "
            "ec2.Vpc.from_vpc_attributes(…), or leave both out to run outside any VPC."
        )
    if security_groups is not None and not security_groups:
        raise ValueError(
            "security_groups is empty; a function in a VPC needs at least one. Leave it out to "
            "have one created."
        )


def require_mode(livemode: object) -> None:
    """Refuse a mode that is neither True nor False.

    Raises:
        TypeError: a text from a context or an environment, most likely.
    """
    if not isinstance(livemode, bool):
        raise TypeError(
            f"livemode is {livemode!r}; allowed is True (real money) or False (Stripe's test "
            "mode). A text such as 'false' would count as True: convert it first."
        )


def require_webhook(
    settings: SettlementSettings,
    *,
    stripe_secret: secretsmanager.ISecret | None,
    rest_api: apigateway.IRestApi | None,
) -> None:
    """Refuse a webhook that could check no signature, and an API for no webhook.

    Raises:
        ValueError: the secret is missing, or the API is one too many.
    """
    if settings.webhook is not None and stripe_secret is None:
        raise ValueError(
            "The webhook needs stripe_secret, the secret with the endpoint's signing secret. "
            "Pass it, or leave the webhook out with SettlementSettings(webhook=None)."
        )
    if settings.webhook is None and rest_api is not None:
        raise ValueError(
            f"rest_api {rest_api.node.path!r} came although the settings leave out the webhook. "
            "Drop rest_api, or give SettlementSettings a webhook."
        )


def require_one_audience(settings: SettlementSettings, *, alarm_topic: sns.ITopic | None) -> None:
    """Refuse addresses beside a topic: they would not be subscribed to it, and hear nothing.

    Raises:
        ValueError: both came.
    """
    if alarm_topic is not None and (addresses := settings.alarms.email_subscriptions):
        raise ValueError(
            f"alarm_topic came with email_subscriptions {addresses!r}; allowed is one. Subscribe "
            "the addresses to your topic, or leave alarm_topic out to have one created for them."
        )
