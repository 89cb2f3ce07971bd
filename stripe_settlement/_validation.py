"""Clear errors for bad input: what came, what is allowed, what to do."""

import re
from typing import TYPE_CHECKING

from aws_cdk import Duration, Token
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns

if TYPE_CHECKING:  # the settings validate themselves with this module
    from stripe_settlement.settings import SettlementSettings


def require_between(
    name: str, value: float, least: float, most: float, *, unit: str = "", way_round: str = ""
) -> None:
    """Refuse a number outside its range; a token passes, nobody knows its value yet.

    Raises:
        ValueError: with the name, the value and the range.
    """
    if Token.is_unresolved(value) or least <= value <= most:
        return
    suffix = unit and f" {unit}"
    raise ValueError(
        f"{name} is {value:.10g}{suffix}; allowed is {least:.10g} to {most:.10g}{suffix}."
        + (way_round and f" {way_round}")
    )


def require_duration(
    name: str, value: Duration, least: Duration, most: Duration, *, way_round: str = ""
) -> None:
    """Refuse a duration outside its range, which is compared in seconds.

    Raises:
        ValueError: with the name, the value and the range.
    """
    if value.is_unresolved():
        return
    require_between(
        name,
        value.to_seconds(),
        least.to_seconds(),
        most.to_seconds(),
        unit="seconds",
        way_round=way_round,
    )


def require_match(name: str, value: str | None, pattern: str, *, allowed: str) -> None:
    """Refuse a text of the wrong form; None and a token pass.

    Raises:
        ValueError: with the name, the value and what is allowed.
    """
    if value is None or Token.is_unresolved(value) or re.fullmatch(pattern, value):
        return
    raise ValueError(f"{name} is {value!r}; allowed is {allowed}.")


def require_text(name: str, value: object) -> None:
    """Raise if something is no text.

    Raises:
        TypeError: with the name and the value.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}; allowed is a text.")


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
    settings: "SettlementSettings",
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


def require_one_audience(settings: "SettlementSettings", *, alarm_topic: sns.ITopic | None) -> None:
    """Refuse addresses beside a topic: they would not be subscribed to it, and hear nothing.

    Raises:
        ValueError: both came.
    """
    if alarm_topic is not None and (addresses := settings.alarms.email_subscriptions):
        raise ValueError(
            f"alarm_topic came with email_subscriptions {addresses!r}; allowed is one. Subscribe "
            "the addresses to your topic, or leave alarm_topic out to have one created for them."
        )
