"""What cdk.json says of an environment, and what the stack makes of it."""

import json
from typing import Any

import pytest
from aws_cdk import RemovalPolicy
from aws_cdk.assertions import Annotations, Match

from stacks.environments import AT_DEPLOYMENT, DEV, PROD, NetworkIds, read_environment
from stripe_settlement import OrdersTable, OrderTables, StatusWords
from tests.infrastructure.environment_templates import ENVIRONMENTS, environment_template
from tests.infrastructure.synthesis import (
    cdk_context,
    find,
    only,
    payments_stack,
    resources,
    secret_arn,
    template_of,
)

NETWORK = {
    "vpc_id": "vpc-1",
    "availability_zones": ["eu-west-1a", "eu-west-1b"],
    "subnet_ids": ["subnet-1", "subnet-2"],
    "security_group_ids": ["sg-1"],
}


def test_dev_is_dev_when_cdk_json_says_nothing_about_it() -> None:
    assert read_environment("dev", {"dev": {}}) == DEV


def test_prod_is_prod_when_cdk_json_says_nothing_about_it() -> None:
    assert read_environment("prod", {"prod": {}}) == PROD


def test_a_third_environment_is_like_dev() -> None:
    staging = read_environment("staging", {"staging": {"resource_prefix": "cachao-staging"}})

    assert (staging.name, staging.livemode) == ("staging", False)
    assert staging.resource_prefix == "cachao-staging"


def test_every_field_can_be_written_in_json() -> None:
    said = {
        "livemode": True,
        "account": "111122223333",
        "region": "eu-west-1",
        "resource_prefix": None,
        "event_source_name": "aws.partner/stripe.com/ed_1",
        "database_secret_arn": secret_arn("Database"),
        "stripe_secret_arn": AT_DEPLOYMENT,
        "stripe_api_key_secret_arn": AT_DEPLOYMENT,
        "thin_events_key_secret_arn": secret_arn("ThinEventsKey"),
        "stripe_roll": 1,
        "stripe_api_base": "http://127.0.0.1:12111",
        "secrets_key_arn": "arn:aws:kms:eu-west-1:111122223333:key/1",
        "encryption_key_arn": "arn:aws:kms:eu-west-1:111122223333:key/2",
        "alarm_emails": ["ops@example.com"],
        "runbook_url": "https://example.com/runbook",
        "database_tls": False,
        "network": NETWORK,
        "reserved_concurrency": None,
        "access_logs": False,
        "order_tables": {"orders": {"table": "purchases"}, "discount_codes": None},
        "removal_policy": "retain",
    }
    read = read_environment("prod", {"prod": json.loads(json.dumps(said))})

    assert read.network == NetworkIds(
        vpc_id="vpc-1",
        availability_zones=("eu-west-1a", "eu-west-1b"),
        subnet_ids=("subnet-1", "subnet-2"),
        security_group_ids=("sg-1",),
    )
    assert read.removal_policy is RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
    assert read.alarm_emails == ("ops@example.com",)
    assert not read.database_tls


def test_an_unknown_environment_is_an_error_that_lists_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"'live'; cdk.json knows dev, prod"):
        read_environment("live", {"dev": {}, "prod": {}})


def test_environments_that_are_no_mapping_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"cdk.json knows none"):
        read_environment("dev", ["dev"])


def test_an_app_without_the_cli_has_the_environments_as_they_are_written() -> None:
    assert read_environment("dev", None) == DEV


def test_an_unknown_field_is_an_error_that_lists_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"environments.dev.email is unknown.*alarm_emails"):
        read_environment("dev", {"dev": {"email": "ops@example.com"}})


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("livemode", "false", "true or false"),
        ("livemode", 1, "true or false"),
        ("alarm_emails", "ops@example.com", "a list of texts"),
        ("removal_policy", "keep", "destroy or retain"),
        ("reserved_concurrency", "10", "a whole number or null"),
        ("reserved_concurrency", True, "a whole number or null"),
        ("network", "vpc-1", "vpc_id, availability_zones, subnet_ids"),
        ("network", {"vpc_id": "vpc-1"}, "vpc_id, availability_zones, subnet_ids"),
        ("account", 111122223333, "a text or null"),
        ("order_tables", "purchases", "an object of what differs"),
        ("order_tables.orders", "purchases", "an object of what differs"),
        ("order_tables.orders.email", 1, "a text or null"),
        ("order_tables.amount_unit", "cents", "major or minor"),
        ("order_tables.statuses.refunded", "refunded", "a list of texts"),
    ],
)
def test_a_value_of_another_type_is_an_error_that_says_what_is_allowed(
    field: str, value: object, allowed: str
) -> None:
    said = value
    for key in reversed(field.split(".")):
        said = {key: said}
    with pytest.raises(ValueError, match=rf"environments\.dev\.{field} is .*{allowed}"):
        read_environment("dev", {"dev": said})


def test_unknown_column_of_the_order_tables_is_an_error_that_lists_those_there_are() -> None:
    said = {"order_tables": {"orders": {"total": "sum"}}}
    with pytest.raises(ValueError, match=r"order_tables.orders.total is unknown.*total_amount"):
        read_environment("dev", {"dev": said})


def test_the_functions_settle_the_order_tables_of_cdk_json() -> None:
    tables = {
        "orders": {"table": "purchases", "id": "uuid", "currency": "currency", "email": None},
        "discount_codes": None,
        "statuses": {"open": "new", "refunded": ["refunded"]},
        "amount_unit": "minor",
        "currency": None,
        "order_id": "string",
    }
    template = template_of(payments_stack("dev", order_tables=tables))

    for part in ("StripeEventBridgeHandler", "StripePaymentFunction", "SchemaMigrationFunction"):
        function = find(template, "AWS::Lambda::Function", part)
        assert (
            function["Environment"]["Variables"]["ORDER_TABLES"]
            == OrderTables(
                orders=OrdersTable(table="purchases", id="uuid", currency="currency", email=None),
                discount_codes=None,
                statuses=StatusWords(open="new", refunded=("refunded",)),
                amount_unit="minor",
                currency=None,
                order_id="string",
            ).to_json()
        )


def test_an_arn_without_its_last_characters_is_an_error() -> None:
    partial = secret_arn("Database").removesuffix("-a1B2c3")
    with pytest.raises(ValueError, match=r"database_secret_arn .* six last characters"):
        read_environment("dev", {"dev": {"database_secret_arn": partial}})


@pytest.mark.parametrize(("environment", "livemode"), [("dev", False), ("prod", True)])
def test_the_stack_settles_money_of_its_own_mode(environment: str, *, livemode: bool) -> None:
    template = environment_template(environment)
    function = find(template, "AWS::Lambda::Function", "StripeEventBridgeHandler")
    variables = function["Environment"]["Variables"]
    assert variables["STRIPE_LIVEMODE"] == json.dumps(livemode)
    assert only(template, "AWS::Events::Rule")["EventPattern"]["detail"] == {"livemode": [livemode]}


def test_prod_takes_as_parameters_what_only_the_deployment_knows() -> None:
    asked = environment_template("prod")["Parameters"]
    assert {name for name, each in asked.items() if "Default" not in each} == {
        "AlarmEmail",
        "DbCredentialsArn",
        "DbHost",
        "DbName",
        "DbUser",
        "EventSourceName",
        "StripeCredentialsArn",
    }


def test_with_a_stripe_key_prod_needs_nothing_that_stripe_has_made() -> None:
    stack = payments_stack(
        "prod",
        stripe_api_key_secret_arn=AT_DEPLOYMENT,
        event_source_name=None,
        stripe_secret_arn=None,
        stripe_roll=2,
    )
    template = template_of(stack)
    assert {name for name, each in template["Parameters"].items() if "Default" not in each} == {
        "AlarmEmail",
        "DbCredentialsArn",
        "DbHost",
        "DbName",
        "DbUser",
        "StripeApiKeySecretArn",
    }
    assert only(template, "Custom::StripeEventDestination")["Livemode"] is True
    assert only(template, "Custom::StripeWebhookEndpoint")["Roll"] == 2


def test_a_key_for_thin_events_is_given_at_deployment_by_its_arn() -> None:
    template = template_of(payments_stack("prod", thin_events_key_secret_arn=AT_DEPLOYMENT))

    assert "Default" not in template["Parameters"]["ThinEventsKeySecretArn"]
    for function in ("StripeEventBridgeHandler", "StripePaymentFunction"):
        variables = find(template, "AWS::Lambda::Function", function)["Environment"]["Variables"]
        assert variables["THIN_EVENTS_KEY_SECRET_ARN"] == {"Ref": "ThinEventsKeySecretArn"}


def test_prod_creates_the_bus_of_the_source_it_is_given() -> None:
    template = environment_template("prod")
    source = {"Ref": "EventSourceName"}
    assert only(template, "AWS::Events::EventBus")["EventSourceName"] == source
    assert only(template, "AWS::Events::Rule")["EventPattern"]["source"] == [source]


def test_alarms_reach_the_address_given_at_deployment() -> None:
    subscription = only(environment_template("prod"), "AWS::SNS::Subscription")
    assert subscription["Protocol"] == "email"
    assert subscription["Endpoint"] == {"Ref": "AlarmEmail"}


def test_alarms_reach_the_addresses_of_cdk_json() -> None:
    template = template_of(payments_stack("dev", alarm_emails=["a@example.com", "b@example.com"]))
    assert {
        each["Properties"]["Endpoint"]
        for each in resources(template, "AWS::SNS::Subscription").values()
    } == {"a@example.com", "b@example.com"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_functions_get_the_database_parameters(environment: str) -> None:
    function = find(
        environment_template(environment), "AWS::Lambda::Function", "StripeEventBridgeHandler"
    )
    variables = function["Environment"]["Variables"]
    assert {name: variables[name] for name in ("DB_HOST", "DB_PORT", "DB_NAME", "DB_USER")} == {
        "DB_HOST": {"Ref": "DbHost"},
        "DB_PORT": {"Ref": "DbPort"},
        "DB_NAME": {"Ref": "DbName"},
        "DB_USER": {"Ref": "DbUser"},
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_database_port_is_mariadbs_by_default(environment: str) -> None:
    assert environment_template(environment)["Parameters"]["DbPort"]["Default"] == 3306


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_outputs_are_what_one_looks_for_after_a_deployment(environment: str) -> None:
    assert set(environment_template(environment)["Outputs"]) == {
        "AlarmTopicArn",
        "EventBusName",
        "EventRuleArn",
        "StripeEventBridgeHandlerName",
        "StripeEventBridgeHandlerOnFailureQueueUrl",
        "StripeEventDlqUrl",
        "StripePaymentFunctionName",
        "StripePaymentFunctionOnFailureQueueUrl",
        "WebhookUrl",
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_stack_names_things_after_the_service(environment: str) -> None:
    template = environment_template(environment)
    dead_letters = find(template, "AWS::SQS::Queue", "DeliveryDlq")
    assert dead_letters["QueueName"] == "cachao-stripe-event-dlq"
    assert only(template, "AWS::SNS::Topic")["TopicName"] == "cachao-stripe-event-failures"
    assert only(template, "AWS::ApiGateway::RestApi")["Name"] == "CachaoApi"
    assert only(template, "AWS::ApiGateway::Stage")["StageName"] == "Prod"


@pytest.mark.parametrize(
    ("environment", "policy"), [("dev", "Delete"), ("prod", "RetainExceptOnCreate")]
)
def test_the_stack_leaves_behind_what_its_environment_needs(environment: str, policy: str) -> None:
    template = environment_template(environment)
    policies = {
        each["DeletionPolicy"]
        for kind in ("AWS::SQS::Queue", "AWS::Logs::LogGroup")
        for each in resources(template, kind).values()
    }
    assert policies == {policy}


def test_the_functions_run_in_the_network_of_cdk_json() -> None:
    template = template_of(payments_stack("dev", network=NETWORK))
    for part in ("StripeEventBridgeHandler", "StripePaymentFunction", "SchemaMigrationFunction"):
        assert find(template, "AWS::Lambda::Function", part)["VpcConfig"] == {
            "SecurityGroupIds": ["sg-1"],
            "SubnetIds": ["subnet-1", "subnet-2"],
        }


def test_a_stack_in_a_network_synthesises_without_a_warning() -> None:
    stack = payments_stack("prod", network=NETWORK)
    Annotations.from_stack(stack).has_no_warning("*", Match.any_value())


def test_the_stack_can_do_without_what_a_fresh_account_lacks() -> None:
    template = template_of(payments_stack("dev", reserved_concurrency=None, access_logs=False))
    functions: list[Any] = list(resources(template, "AWS::Lambda::Function").values())
    assert not any("ReservedConcurrentExecutions" in each["Properties"] for each in functions)
    assert "AccessLogSetting" not in only(template, "AWS::ApiGateway::Stage")


def test_what_cdk_json_says_is_no_parameter() -> None:
    context = cdk_context()["environments"]["prod"]
    said = {name: value for name, value in context.items() if value != AT_DEPLOYMENT}
    template = template_of(
        payments_stack(
            "prod",
            **{
                **said,
                "event_source_name": "aws.partner/stripe.com/ed_1",
                "database_secret_arn": secret_arn("Database"),
                "stripe_secret_arn": secret_arn("Stripe"),
                "alarm_emails": ["ops@example.com"],
            },
        )
    )
    assert {name for name in template["Parameters"] if name != "BootstrapVersion"} == {
        "DbHost",
        "DbName",
        "DbPort",
        "DbUser",
    }


def test_queues_logs_and_topic_are_under_the_key_of_cdk_json() -> None:
    key = "arn:aws:kms:eu-west-1:111122223333:key/9d9a7e1c-0000-4000-8000-000000000000"
    template = template_of(payments_stack("prod", encryption_key_arn=key))

    for kind, name in (
        ("AWS::SQS::Queue", "KmsMasterKeyId"),
        ("AWS::Logs::LogGroup", "KmsKeyId"),
        ("AWS::SNS::Topic", "KmsMasterKeyId"),
    ):
        found = resources(template, kind).values()
        assert {each["Properties"].get(name) for each in found} == {key}, kind
