"""Settings that AWS would reject, or accept and settle nothing with, are errors."""

from collections.abc import Callable
from typing import Any

import pytest
from aws_cdk import Duration, Fn, Stack, Token
from aws_cdk import aws_lambda as lambda_

from stripe_settlement import (
    DatabaseConnection,
    EventSettings,
    FunctionSettings,
    MigrationSettings,
    QueueSettings,
    SettlementSettings,
    WebhookSettings,
)
from tests.infrastructure.synthesis import any_secret

WRONG: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
    (FunctionSettings, {"memory_size": 64}, "memory_size is 64 MiB; allowed is 128 to 10240"),
    (FunctionSettings, {"timeout": Duration.minutes(16)}, "timeout is 960 seconds"),
    (FunctionSettings, {"reserved_concurrency": 0}, "To reserve nothing use None"),
    (FunctionSettings, {"retry_attempts": 3}, "retry_attempts is 3; allowed is 0 to 2"),
    (FunctionSettings, {"max_event_age": Duration.hours(7)}, "max_event_age is 25200 seconds"),
    (FunctionSettings, {"runtime": lambda_.Runtime.NODEJS_22_X}, "nodejs22.x.*Python runtime"),
    (QueueSettings, {"retention": Duration.days(15)}, "retention is 1296000 seconds"),
    (QueueSettings, {"visibility_timeout": Duration.hours(13)}, "allowed is 0 to 43200 seconds"),
    (EventSettings, {"detail_types": ()}, "allowed is one or more of checkout.session.completed"),
    (EventSettings, {"detail_types": ("charge.refunded",)}, "a rule of their own"),
    (EventSettings, {"retry_attempts": 186}, "retry_attempts is 186; allowed is 0 to 185"),
    (EventSettings, {"max_event_age": Duration.seconds(59)}, "allowed is 60 to 86400 seconds"),
    (WebhookSettings, {"timeout": Duration.seconds(29)}, "API Gateway gives up after 29 s"),
    (WebhookSettings, {"path": "webhooks/stripe/"}, "without a final slash"),
    (WebhookSettings, {"path": "/webhooks/{proxy+}"}, "plain segments"),
    (WebhookSettings, {"stage_name": "a b"}, "stage_name is 'a b'"),
    (WebhookSettings, {"throttle_burst_limit": 0}, "throttle_burst_limit is 0; allowed is 1"),
    (WebhookSettings, {"throttle_rate_limit": 0}, "throttle_rate_limit is 0; allowed is 1"),
    (WebhookSettings, {"max_body_bytes": 10_000_000}, "max_body_bytes is 10000000 bytes"),
    (WebhookSettings, {"signature_tolerance": Duration.hours(2)}, "signature_tolerance is 7200"),
    (MigrationSettings, {"timeout": Duration.minutes(15)}, "timeout is 900 seconds"),
    (SettlementSettings, {"resource_prefix": "cachao_"}, "letters, digits and hyphens"),
    (SettlementSettings, {"stripe_account": "sk_live_1"}, "acct_"),
    (SettlementSettings, {"metrics_namespace": "AWS/Stripe"}, "does not begin with AWS/"),
    (SettlementSettings, {"order_grace": Duration.days(2)}, "order_grace is 172800 seconds"),
]


@pytest.mark.parametrize(
    ("settings", "values", "message"),
    WRONG,
    ids=[f"{settings.__name__}-{'-'.join(values)}" for settings, values, _ in WRONG],
)
def test_wrong_value_is_an_error_that_says_what_is_allowed(
    settings: Callable[..., Any], values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        settings(**values)


def test_unresolved_values_pass_because_they_are_not_known_yet() -> None:
    token = Fn.import_value("Stripe")
    settings = SettlementSettings(resource_prefix=token, stripe_account=token)

    assert Token.is_unresolved(settings.resource_prefix)


@pytest.mark.parametrize(
    "host", ["db.example.com:3306", "mysql://db.example.com", "user@db", "", "db.example.com/shop"]
)
def test_database_host_that_is_no_host_is_an_error(stack: Stack, host: str) -> None:
    with pytest.raises(ValueError, match="the port is a field of its own"):
        DatabaseConnection(host=host, name="shop", secret=any_secret(stack))


@pytest.mark.parametrize("host", ["db.example.com", "localhost", "10.0.0.7", "fd00::7", "::1"])
def test_database_host_may_be_a_name_or_an_address(stack: Stack, host: str) -> None:
    connection = DatabaseConnection(host=host, name="shop", secret=any_secret(stack))
    assert connection.environment()["DB_HOST"] == host


@pytest.mark.parametrize("port", [0, 65_536])
def test_database_port_that_does_not_exist_is_an_error(stack: Stack, port: int) -> None:
    with pytest.raises(ValueError, match=r"port is .* allowed is 1 to 65535"):
        DatabaseConnection(host="db", name="shop", secret=any_secret(stack), port=port)


def test_database_connection_verifies_the_server_by_default(stack: Stack) -> None:
    secret = any_secret(stack)
    verified = DatabaseConnection(host="db", name="shop", secret=secret)
    trusting = DatabaseConnection(host="db", name="shop", secret=secret, tls=False)

    assert "DB_TLS" not in verified.environment()
    assert trusting.environment()["DB_TLS"] == "off"


def test_database_connection_trusts_an_authority_of_ones_own(stack: Stack) -> None:
    connection = DatabaseConnection(
        host="db", name="shop", secret=any_secret(stack), ca_file="/opt/ca.pem"
    )
    assert connection.environment()["DB_TLS_CA"] == "/opt/ca.pem"
