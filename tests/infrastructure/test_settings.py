"""Settings that AWS would reject, or accept and settle nothing with, are errors."""

from collections.abc import Callable
from typing import Any

import pytest
from aws_cdk import CfnParameter, Duration, Fn, RemovalPolicy, Stack, Token
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_lambda as lambda_

from stripe_settlement import (
    AlarmSettings,
    DatabaseConnection,
    EventSettings,
    FunctionSettings,
    LogSettings,
    MigrationSettings,
    QueueSettings,
    SettlementSettings,
    WebhookSettings,
)
from tests.infrastructure.synthesis import any_secret, find, settle, template_of

WRONG: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
    (FunctionSettings, {"memory_size": 64}, "memory_size is 64 MiB; allowed is 128 to 10240"),
    (FunctionSettings, {"timeout": Duration.minutes(16)}, "timeout is 960 seconds"),
    (FunctionSettings, {"reserved_concurrency": -1}, "To reserve nothing use None"),
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
    (SettlementSettings, {"metadata_filter": ("shop", "a=b")}, "a key and a value of 1 to 40"),
    (SettlementSettings, {"metrics_namespace": "AWS/Stripe"}, "does not begin with AWS/"),
    (SettlementSettings, {"order_grace": Duration.days(2)}, "order_grace is 172800 seconds"),
    (SettlementSettings, {"service_name": "Café"}, "service_name is 'Café'; .* ASCII letters"),
    (SettlementSettings, {"service_name": "s" * 300}, "1 to 255"),
    (SettlementSettings, {"tags": {"aws:owner": "us"}}, "not beginning with aws:"),
    (SettlementSettings, {"tags": {"owner": "us?"}}, "the tag 'owner' is 'us\\?'"),
    (SettlementSettings, {"environment_name": "e" * 257}, "up to 256"),
    (LogSettings, {"removal_policy": RemovalPolicy.SNAPSHOT}, "DESTROY"),
    (QueueSettings, {"removal_policy": RemovalPolicy.SNAPSHOT}, "neither queues nor log groups"),
    (EventSettings, {"description": "d" * 513}, "allowed is 512 characters"),
    (WebhookSettings, {"endpoint_type": apigateway.EndpointType.PRIVATE}, "from the internet"),
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


WRONG_TYPES: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
    (FunctionSettings, {"timeout": 60}, r"timeout is of type int.*Duration\.seconds\(60\)"),
    (FunctionSettings, {"tracing": "false"}, r"tracing is of type str; allowed is bool; a text"),
    (FunctionSettings, {"memory_size": True}, "memory_size is of type bool; allowed is int"),
    (FunctionSettings, {"logs": None}, "logs is of type NoneType; allowed is LogSettings"),
    (QueueSettings, {"removal_policy": "destroy"}, "type str; allowed is RemovalPolicy"),
    (
        EventSettings,
        {"detail_types": ["checkout.session.completed"]},
        "list; allowed is tuple",
    ),
    (SettlementSettings, {"webhook": True}, "type bool; allowed is WebhookSettings or None"),
    (SettlementSettings, {"tags": {"team": 1}}, r"tags is of type dict; allowed is .*Mapping"),
    (AlarmSettings, {"function_errors": 1.5}, "function_errors is of type float; allowed is int"),
    (AlarmSettings, {"email_subscriptions": "ops@example.com"}, r"type str; allowed is tuple"),
    (MigrationSettings, {"secret": "p4ss"}, "secret is of type str; allowed is ISecret or None"),
    (DatabaseConnection, {"host": "db", "name": "shop", "secret": "p4ss"}, "allowed is ISecret"),
]


@pytest.mark.parametrize(
    ("settings", "values", "message"),
    WRONG_TYPES,
    ids=[f"{settings.__name__}-{[*values][-1]}" for settings, values, _ in WRONG_TYPES],
)
def test_wrong_type_is_an_error_that_names_both_types_and_never_the_value(
    settings: Callable[..., Any], values: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message) as raised:
        settings(**values)

    assert "p4ss" not in str(raised.value)


def number_at_deployment(stack: Stack) -> Any:
    return CfnParameter(stack, "Number", type="Number").value_as_number


@pytest.mark.parametrize("unit", [Duration.seconds, Duration.minutes])
@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (FunctionSettings, "timeout"),
        (QueueSettings, "retention"),
        (SettlementSettings, "order_grace"),
        (AlarmSettings, "period"),
        (AlarmSettings, "queue_message_age"),
    ],
)
def test_duration_known_only_at_deployment_is_an_error(
    stack: Stack,
    settings: Callable[..., Any],
    field: str,
    unit: Callable[[Any], Duration],
) -> None:
    with pytest.raises(ValueError, match=f"{field} is known only at deployment.*from the context"):
        settings(**{field: unit(number_at_deployment(stack))})


@pytest.mark.parametrize("field", ["timeout_fraction", "retry_periods"])
def test_number_that_others_are_computed_from_is_known_at_synthesis(
    stack: Stack, field: str
) -> None:
    with pytest.raises(ValueError, match=f"{field} is known only at deployment"):
        AlarmSettings(**{field: number_at_deployment(stack)})


def test_numbers_known_only_at_deployment_reach_cloudformation(stack: Stack) -> None:
    number = number_at_deployment(stack)
    settle(
        stack,
        settings=SettlementSettings(
            functions=FunctionSettings(memory_size=number),
            webhook=WebhookSettings(max_body_bytes=number),
            alarms=AlarmSettings(function_errors=number),
        ),
    )

    template = template_of(stack)
    reference = {"Ref": "Number"}
    function = find(template, "AWS::Lambda::Function", "StripePaymentFunction")
    assert function["MemorySize"] == reference
    assert function["Environment"]["Variables"]["WEBHOOK_MAX_BODY_BYTES"] == reference
    alarm = find(template, "AWS::CloudWatch::Alarm", "StripePaymentFunctionErrors")
    assert alarm["Threshold"] == reference


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"alarms": AlarmSettings(queue_message_age=Duration.days(14))},
            "retention, 14 days",
        ),
        ({"alarms": AlarmSettings(async_event_age=Duration.hours(6))}, "functions.max_event_age"),
        (
            {"alarms": AlarmSettings(webhook_latency=Duration.seconds(25))},
            "webhook.timeout",
        ),
        ({"webhook": WebhookSettings(timeout=Duration.seconds(5))}, "webhook_latency is 10"),
    ],
)
def test_alarm_that_could_not_fire_is_an_error(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"{message}.*could not fire"):
        SettlementSettings(**values)


def test_unresolved_values_pass_because_they_are_not_known_yet() -> None:
    token = Fn.import_value("Stripe")
    settings = SettlementSettings(resource_prefix=token, stripe_account=token)

    assert Token.is_unresolved(settings.resource_prefix)


@pytest.mark.parametrize(
    "host",
    [
        "db.example.com:3306",
        "db:3306",
        "fade:3306",
        "mysql://db.example.com",
        "user@db",
        "",
        "db.example.com/shop",
    ],
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


def test_database_port_may_be_the_token_that_rds_gives(stack: Stack) -> None:
    port = CfnParameter(stack, "Port").value_as_string
    connection = DatabaseConnection(host="db", name="shop", secret=any_secret(stack), port=port)
    assert stack.resolve(connection.environment()["DB_PORT"]) == {"Ref": "Port"}


def test_database_port_that_is_a_text_is_an_error(stack: Stack) -> None:
    with pytest.raises(TypeError, match=r"port is '3306'; allowed is a number"):
        DatabaseConnection(host="db", name="shop", secret=any_secret(stack), port="3306")


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
