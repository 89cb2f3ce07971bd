"""SettlementFunction and DatabaseFunction: what a function is given, may do, and leaves behind."""

from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs

from stripe_settlement import FunctionSettings, LogSettings, QueueSettings
from stripe_settlement.functions.network import Network
from stripe_settlement.functions.settlement_function import SettlementFunction
from stripe_settlement.order_tables import OrderTables
from tests.infrastructure.synthesis import (
    any_code,
    any_database,
    find_id,
    only,
    resources,
    secret_arn,
    statements,
    template_of,
)


def function(stack: Stack, **arguments: Any) -> SettlementFunction:
    values = {
        "handler": "eventbridge_handler.handler",
        "code": any_code(),
        "description": "Settles orders",
        **arguments,
    }
    if "database" not in values:
        values["database"] = any_database(stack)
    return SettlementFunction(stack, "Settle", **values)


def any_vpc(stack: Stack) -> ec2.IVpc:
    return ec2.Vpc.from_vpc_attributes(
        stack,
        "Vpc",
        vpc_id="vpc-1",
        availability_zones=["eu-west-1a"],
        private_subnet_ids=["subnet-1"],
    )


def test_the_function_has_the_size_and_limits_of_the_defaults(stack: Stack) -> None:
    function(stack)

    properties = only(template_of(stack), "AWS::Lambda::Function")
    assert {
        name: properties[name]
        for name in (
            "Runtime",
            "Architectures",
            "MemorySize",
            "Timeout",
            "ReservedConcurrentExecutions",
            "TracingConfig",
        )
    } == {
        "Runtime": "python3.13",
        "Architectures": ["x86_64"],
        "MemorySize": 512,
        "Timeout": 60,
        "ReservedConcurrentExecutions": 10,
        "TracingConfig": {"Mode": "Active"},
    }


def test_the_function_has_the_size_and_limits_of_the_settings(stack: Stack) -> None:
    settings = FunctionSettings(
        runtime=lambda_.Runtime.PYTHON_3_12,
        architecture=lambda_.Architecture.ARM_64,
        memory_size=1024,
        timeout=Duration.seconds(30),
        reserved_concurrency=3,
    )
    function(stack, settings=settings)

    properties = only(template_of(stack), "AWS::Lambda::Function")
    assert properties["Runtime"] == "python3.12"
    assert properties["Architectures"] == ["arm64"]
    assert properties["MemorySize"] == 1024
    assert properties["Timeout"] == 30
    assert properties["ReservedConcurrentExecutions"] == 3


def test_the_function_reserves_nothing_when_switched_off(stack: Stack) -> None:
    function(stack, settings=FunctionSettings(reserved_concurrency=None))

    properties = only(template_of(stack), "AWS::Lambda::Function")
    assert "ReservedConcurrentExecutions" not in properties


def test_the_function_writes_json_lines_into_a_log_group_of_its_own(stack: Stack) -> None:
    function(stack)

    template = template_of(stack)
    [log_group] = resources(template, "AWS::Logs::LogGroup")
    assert only(template, "AWS::Logs::LogGroup")["RetentionInDays"] == 14
    assert only(template, "AWS::Lambda::Function")["LoggingConfig"] == {
        "ApplicationLogLevel": "INFO",
        "LogFormat": "JSON",
        "LogGroup": {"Ref": log_group},
    }


def test_the_function_logs_as_the_settings_say(stack: Stack) -> None:
    settings = FunctionSettings(
        log_level=lambda_.ApplicationLogLevel.DEBUG,
        logs=LogSettings(retention=logs.RetentionDays.ONE_YEAR),
    )
    function(stack, settings=settings)

    template = template_of(stack)
    properties = only(template, "AWS::Lambda::Function")
    assert only(template, "AWS::Logs::LogGroup")["RetentionInDays"] == 365
    assert properties["LoggingConfig"]["ApplicationLogLevel"] == "DEBUG"
    assert properties["Environment"]["Variables"]["POWERTOOLS_LOG_LEVEL"] == "DEBUG"


def test_the_function_knows_where_the_database_and_its_secret_are(stack: Stack) -> None:
    function(stack, database=any_database(stack, port=3307, user="shop"))

    variables = only(template_of(stack), "AWS::Lambda::Function")["Environment"]["Variables"]
    assert variables == {
        "DB_HOST": "db.example.com",
        "DB_PORT": "3307",
        "DB_NAME": "shop",
        "DB_USER": "shop",
        "DB_SECRET_ARN": secret_arn("DatabaseCredentials"),
        "ORDER_TABLES": OrderTables().to_json(),
        "POWERTOOLS_LOG_LEVEL": "INFO",
    }


def test_the_function_has_no_physical_name_unless_given_one(stack: Stack) -> None:
    function(stack)

    assert "FunctionName" not in only(template_of(stack), "AWS::Lambda::Function")


def test_the_functions_name_is_not_its_arn(stack: Stack) -> None:
    construct = function(stack)

    [logical_id] = resources(template_of(stack), "AWS::Lambda::Function")
    assert stack.resolve(construct.function.function_name) == {"Ref": logical_id}


def test_the_role_may_do_exactly_this(stack: Stack) -> None:
    function(stack)

    template = template_of(stack)
    log_group = find_id(template, "AWS::Logs::LogGroup", "LogGroup")
    queue = find_id(template, "AWS::SQS::Queue", "FailureQueue")
    assert {
        sid: (each["Action"], each["Resource"])
        for sid, each in statements(template, "Settle").items()
    } == {
        "WriteLogs": (
            ["logs:CreateLogStream", "logs:PutLogEvents"],
            {"Fn::GetAtt": [log_group, "Arn"]},
        ),
        "SendTracesToXRay": (["xray:PutTelemetryRecords", "xray:PutTraceSegments"], "*"),
        "ReadTheDatabaseSecret": (
            "secretsmanager:GetSecretValue",
            secret_arn("DatabaseCredentials"),
        ),
        "SendToOnFailureQueue": ("sqs:SendMessage", {"Fn::GetAtt": [queue, "Arn"]}),
    }


def test_the_role_has_no_managed_policy(stack: Stack) -> None:
    function(stack, network=Network(vpc=any_vpc(stack)))

    assert "ManagedPolicyArns" not in only(template_of(stack), "AWS::IAM::Role")


def test_the_role_may_not_trace_when_tracing_is_off(stack: Stack) -> None:
    function(stack, settings=FunctionSettings(tracing=False))

    template = template_of(stack)
    assert "SendTracesToXRay" not in statements(template, "Settle")
    assert "TracingConfig" not in only(template, "AWS::Lambda::Function")


def test_the_role_allows_lambda_but_not_the_code_to_manage_network_interfaces(stack: Stack) -> None:
    function(stack, network=Network(vpc=any_vpc(stack)))

    found = statements(template_of(stack), "Settle")
    allowed, denied = found["ManageNetworkInterfaces"], found["DenyEc2FromFunctionCode"]
    assert "ec2:CreateNetworkInterface" in allowed["Action"]
    assert (denied["Effect"], denied["Action"]) == ("Deny", allowed["Action"])
    assert denied["Condition"] == {"Null": {"lambda:SourceFunctionArn": "false"}}


def test_the_role_may_use_the_queues_key_through_sqs_alone(stack: Stack) -> None:
    function(stack, queue_key=kms.Key(stack, "Key"))

    statement = statements(template_of(stack), "Settle")["EncryptForTheOnFailureQueue"]
    assert statement["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    [service] = statement["Condition"]["StringEquals"].values()
    assert stack.resolve(service)["Fn::Join"][1][0] == "sqs."


def test_the_function_runs_in_the_network_it_is_given(stack: Stack) -> None:
    group = ec2.SecurityGroup.from_security_group_id(stack, "Group", "sg-1")
    subnet = ec2.Subnet.from_subnet_id(stack, "Subnet", "subnet-9")
    network = Network(
        vpc=any_vpc(stack),
        subnets=ec2.SubnetSelection(subnets=[subnet]),
        security_groups=(group,),
    )
    function(stack, network=network)

    assert only(template_of(stack), "AWS::Lambda::Function")["VpcConfig"] == {
        "SecurityGroupIds": ["sg-1"],
        "SubnetIds": ["subnet-9"],
    }


def test_lambda_retries_twice_for_six_hours_then_sends_to_the_on_failure_queue(
    stack: Stack,
) -> None:
    function(stack)

    template = template_of(stack)
    [logical_id] = resources(template, "AWS::Lambda::Function")
    queue = find_id(template, "AWS::SQS::Queue", "FailureQueue")
    assert only(template, "AWS::Lambda::EventInvokeConfig") == {
        "FunctionName": {"Ref": logical_id},
        "Qualifier": "$LATEST",
        "MaximumRetryAttempts": 2,
        "MaximumEventAgeInSeconds": 21_600,
        "DestinationConfig": {"OnFailure": {"Destination": {"Fn::GetAtt": [queue, "Arn"]}}},
    }


def test_lambda_retries_as_the_settings_say(stack: Stack) -> None:
    settings = FunctionSettings(retry_attempts=0, max_event_age=Duration.minutes(10))
    function(stack, settings=settings)

    config = only(template_of(stack), "AWS::Lambda::EventInvokeConfig")
    assert (config["MaximumRetryAttempts"], config["MaximumEventAgeInSeconds"]) == (0, 600)


def test_the_destination_waits_until_the_role_may_send(stack: Stack) -> None:
    function(stack)

    template = template_of(stack)
    [config] = resources(template, "AWS::Lambda::EventInvokeConfig").values()
    [policy] = resources(template, "AWS::IAM::Policy")
    assert policy in config["DependsOn"]


def test_the_on_failure_queue_retains_messages_for_fourteen_days_encrypted(stack: Stack) -> None:
    function(stack)

    assert only(template_of(stack), "AWS::SQS::Queue") == {
        "MessageRetentionPeriod": 14 * 24 * 3600,
        "VisibilityTimeout": 60,
        "SqsManagedSseEnabled": True,
    }


def test_the_on_failure_queue_follows_the_settings(stack: Stack) -> None:
    settings = QueueSettings(retention=Duration.days(7), visibility_timeout=Duration.seconds(90))
    function(stack, queue_settings=settings, name_prefix="shop")

    assert only(template_of(stack), "AWS::SQS::Queue") == {
        "QueueName": "shop-settle-on-failure",
        "MessageRetentionPeriod": 7 * 24 * 3600,
        "VisibilityTimeout": 90,
        "SqsManagedSseEnabled": True,
    }


def test_the_on_failure_queue_denies_plain_text_connections(stack: Stack) -> None:
    function(stack)

    policy = only(template_of(stack), "AWS::SQS::QueuePolicy")["PolicyDocument"]["Statement"]
    [denied] = [each for each in policy if each["Effect"] == "Deny"]
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_on_failure_queue_and_the_logs_stay_when_the_stack_goes(stack: Stack) -> None:
    function(stack)

    template = template_of(stack)
    for kind in ("AWS::SQS::Queue", "AWS::Logs::LogGroup"):
        [resource] = resources(template, kind).values()
        assert resource["DeletionPolicy"] == "RetainExceptOnCreate"
        assert resource["UpdateReplacePolicy"] == "Retain"
