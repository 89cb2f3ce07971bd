"""StripeSettlement: both routes as one, what a team brings along, what it gets in return."""

from collections import Counter
from typing import Any

import pytest
from aws_cdk import Duration, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Annotations, Match

from stripe_settlement import (
    AlarmSettings,
    FunctionSettings,
    SettlementMetric,
    SettlementSettings,
    StripeSettlement,
    WebhookSettings,
)
from tests.infrastructure.synthesis import (
    PARTNER_SOURCE,
    Resource,
    TemplateJson,
    any_database,
    any_secret,
    find,
    find_id,
    new_app,
    only,
    resources,
    secret_arn,
    settle,
    template_of,
)

PHYSICAL_NAMES = {
    "AWS::Lambda::Function": "FunctionName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::Events::Rule": "Name",
}


def variables(template: TemplateJson, part: str) -> dict[str, Any]:
    found: dict[str, Any] = find(template, "AWS::Lambda::Function", part)["Environment"][
        "Variables"
    ]
    return found


def queue_names(template: TemplateJson) -> set[str]:
    return {
        each["Properties"]["QueueName"] for each in resources(template, "AWS::SQS::Queue").values()
    }


def any_vpc(stack: Stack) -> ec2.Vpc:
    return ec2.Vpc(stack, "Vpc", max_azs=1, restrict_default_security_group=False)


def test_live_settlement_with_two_secrets_and_a_source_has_everything(stack: Stack) -> None:
    StripeSettlement(
        stack,
        "StripeSettlement",
        livemode=True,
        database=any_database(stack),
        stripe_secret=any_secret(stack),
        event_source_name="aws.partner/stripe.com/ed_test_61",
        settings=SettlementSettings(alarms=AlarmSettings(email_subscriptions=("ops@shop.com",))),
    )

    counts = Counter(each["Type"] for each in template_of(stack)["Resources"].values())
    expected = {
        "AWS::Events::EventBus": 1,
        "AWS::Events::Rule": 1,
        "AWS::ApiGateway::Method": 1,
        # Two that settle, two for the command line, the migration, and CDK's trigger.
        "AWS::Lambda::Function": 6,
        "AWS::SQS::Queue": 3,
        "AWS::CloudWatch::Alarm": 26,
        "AWS::CloudWatch::Dashboard": 1,
        "AWS::SNS::Subscription": 1,
    }
    assert {kind: counts[kind] for kind in expected} == expected


def test_the_functions_know_the_mode_the_service_and_the_namespace(stack: Stack) -> None:
    settle(stack, settings=SettlementSettings(service_name="shop"))

    found = variables(template_of(stack), "StripeEventBridgeHandler")
    assert found["STRIPE_LIVEMODE"] == "false"
    assert found["POWERTOOLS_SERVICE_NAME"] == "shop"
    assert found["POWERTOOLS_METRICS_NAMESPACE"] == "StripeSettlement"


def test_the_event_function_knows_nothing_of_stripes_secret(stack: Stack) -> None:
    settle(stack)

    template = template_of(stack)
    assert "STRIPE_SECRET_ARN" not in variables(template, "StripeEventBridgeHandler")
    assert variables(template, "StripePaymentFunction")["STRIPE_SECRET_ARN"] == secret_arn(
        "StripeCredentials"
    )


def test_the_webhook_function_rejects_large_bodies(stack: Stack) -> None:
    settle(stack)

    found = variables(template_of(stack), "StripePaymentFunction")
    assert found["WEBHOOK_MAX_BODY_BYTES"] == "524288"


def test_the_webhook_function_times_out_before_api_gateway_does(stack: Stack) -> None:
    settle(stack)

    timeout = find(template_of(stack), "AWS::Lambda::Function", "StripePaymentFunction")["Timeout"]
    assert timeout == 25


def test_the_functions_follow_the_settings_of_account_grace_and_tolerance(stack: Stack) -> None:
    settings = SettlementSettings(
        stripe_account="acct_1",
        metadata_filter=("shop", "cachao"),
        order_grace=Duration.minutes(5),
        webhook=WebhookSettings(signature_tolerance=Duration.minutes(10)),
    )
    settle(stack, settings=settings)

    found = variables(template_of(stack), "StripePaymentFunction")
    assert found["STRIPE_ACCOUNT"] == "acct_1"
    assert found["STRIPE_METADATA_FILTER"] == "shop=cachao"
    assert found["ORDER_GRACE_SECONDS"] == "300"
    assert found["SIGNATURE_TOLERANCE_SECONDS"] == "600"


def test_the_functions_get_the_defaults_of_grace_and_tolerance(stack: Stack) -> None:
    settle(stack)

    found = variables(template_of(stack), "StripePaymentFunction")
    assert "STRIPE_ACCOUNT" not in found
    assert found["ORDER_GRACE_SECONDS"] == "120"
    assert found["SIGNATURE_TOLERANCE_SECONDS"] == "300"


def test_the_event_function_settles_the_events_of_its_source_alone(stack: Stack) -> None:
    settle(stack, event_source_name="aws.partner/stripe.com/ed_1")

    found = variables(template_of(stack), "StripeEventBridgeHandler")
    assert found["STRIPE_EVENT_SOURCE"] == "aws.partner/stripe.com/ed_1"


def test_cloudformation_names_everything_without_a_prefix(stack: Stack) -> None:
    settle(stack)

    for kind, name in PHYSICAL_NAMES.items():
        parts = resources(template_of(stack), kind).values()
        assert parts, kind
        assert not [each for each in parts if name in each["Properties"]], kind


def test_physical_names_begin_with_the_prefix(stack: Stack) -> None:
    settle(stack, settings=SettlementSettings(resource_prefix="cachao"))

    template = template_of(stack)
    assert queue_names(template) == {
        "cachao-stripe-event-dlq",
        "cachao-stripe-event-bridge-handler-on-failure",
        "cachao-stripe-payment-function-on-failure",
    }
    assert only(template, "AWS::SNS::Topic")["TopicName"] == "cachao-stripe-event-failures"
    assert only(template, "AWS::Events::Rule")["Name"] == "cachao-stripe-events"
    for kind, name in PHYSICAL_NAMES.items():
        for logical_id, each in resources(template, kind).items():
            assert each["Properties"][name].startswith("cachao-"), logical_id


def test_two_settlements_in_one_stack_have_different_names(stack: Stack) -> None:
    for prefix in ("shop", "club"):
        StripeSettlement(
            stack,
            f"Settlement-{prefix}",
            livemode=False,
            database=any_database(stack, secret=any_secret(stack, f"Db-{prefix}")),
            stripe_secret=any_secret(stack, f"Stripe-{prefix}"),
            event_source_name=f"{PARTNER_SOURCE}{prefix}",
            settings=SettlementSettings(resource_prefix=prefix),
        )

    assert len(queue_names(template_of(stack))) == 6


def test_the_service_is_named_after_the_prefix_or_else_the_path(stack: Stack) -> None:
    assert settle(stack).service_name == "Shop-Settlement"
    other = Stack(new_app(), "Other")
    assert settle(other, settings=SettlementSettings(resource_prefix="c")).service_name == "c"


def tags_of(resource: Resource) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in resource["Tags"]}


def test_tags_say_where_what_and_who(stack: Stack) -> None:
    settle(stack)

    rule = only(template_of(stack), "AWS::Events::Rule")
    assert tags_of(rule) == {
        "Environment": "test",
        "Service": "Shop-Settlement",
        "Component": "EventRoute",
        "ManagedBy": "aws-cdk",
    }


def test_everything_that_can_have_tags_has_ours(stack: Stack) -> None:
    """CDK's provider of the migration too, with its role and its log group."""
    settle(stack)

    untagged = {
        each["Type"]
        for each in template_of(stack)["Resources"].values()
        if not any(tag["Key"] == "ManagedBy" for tag in each.get("Properties", {}).get("Tags", ()))
    }
    assert untagged == {
        "AWS::ApiGateway::Deployment",
        "AWS::ApiGateway::Method",
        "AWS::ApiGateway::Resource",
        "AWS::IAM::Policy",
        "AWS::Lambda::EventInvokeConfig",
        "AWS::Lambda::Permission",
        "AWS::Lambda::Version",
        "AWS::SNS::TopicPolicy",
        "AWS::SQS::QueuePolicy",
        "Custom::SchemaMigration",
    }


def test_tags_name_the_component_of_each_part(stack: Stack) -> None:
    settle(stack)

    template = template_of(stack)
    components = {
        tags_of(each["Properties"])["Component"]
        for each in template["Resources"].values()
        if "Tags" in each.get("Properties", {})
    }
    assert components == {
        "AlarmTopic",
        "Alarms",
        "Dashboard",
        "EventRoute",
        "OperationsRead",
        "OperationsResolve",
        "SchemaMigration",
        "StripeEventBridgeHandler",
        "StripePaymentFunction",
        "WebhookRoute",
    }


def test_tags_of_the_settings_are_added_to_ours(stack: Stack) -> None:
    settings = SettlementSettings(environment_name="staging", tags={"CostCentre": "42"})
    settle(stack, settings=settings)

    tags = tags_of(only(template_of(stack), "AWS::Events::Rule"))
    assert tags["CostCentre"] == "42"
    assert tags["Environment"] == "staging"


def test_an_existing_bus_is_used(stack: Stack) -> None:
    bus = events.EventBus.from_event_bus_name(stack, "Bus", PARTNER_SOURCE)
    construct = settle(stack, event_bus=bus)

    assert construct.event_route.event_bus is bus
    assert resources(template_of(stack), "AWS::Events::EventBus") == {}


def test_an_existing_rest_api_is_used(stack: Stack) -> None:
    construct = settle(stack, rest_api=apigateway.RestApi(stack, "ShopApi"))

    assert construct.webhook_route is not None
    assert construct.webhook_route.api_name == "ShopApi"
    assert len(resources(template_of(stack), "AWS::ApiGateway::RestApi")) == 1


def test_functions_in_a_vpc_share_one_security_group(stack: Stack) -> None:
    settle(stack, vpc=any_vpc(stack))

    template = template_of(stack)
    [group] = [
        each for each in resources(template, "AWS::EC2::SecurityGroup") if "Settlement" in each
    ]
    groups = [
        each["Properties"]["VpcConfig"]["SecurityGroupIds"]
        for logical_id, each in resources(template, "AWS::Lambda::Function").items()
        if logical_id.startswith("Settlement") and "Provider" not in logical_id
    ]
    assert groups == [[{"Fn::GetAtt": [group, "GroupId"]}]] * 5


def test_existing_subnets_and_security_groups_are_used(stack: Stack) -> None:
    group = ec2.SecurityGroup.from_security_group_id(stack, "Group", "sg-1")
    settle(
        stack,
        vpc=any_vpc(stack),
        vpc_subnets=ec2.SubnetSelection(
            subnets=[ec2.Subnet.from_subnet_id(stack, "Subnet", "subnet-9")]
        ),
        security_groups=[group],
    )

    for part in ("StripeEventBridgeHandler", "StripePaymentFunction", "SchemaMigrationFunction"):
        assert find(template_of(stack), "AWS::Lambda::Function", part)["VpcConfig"] == {
            "SecurityGroupIds": ["sg-1"],
            "SubnetIds": ["subnet-9"],
        }


def test_an_existing_topic_is_used(stack: Stack) -> None:
    topic = sns.Topic.from_topic_arn(stack, "Topic", "arn:aws:sns:eu-west-1:111122223333:ops")
    construct = settle(stack, alarm_topic=topic)

    template = template_of(stack)
    assert construct.alarm_topic is topic
    assert resources(template, "AWS::SNS::Topic") == {}
    assert all(
        each["Properties"]["AlarmActions"] == ["arn:aws:sns:eu-west-1:111122223333:ops"]
        for each in resources(template, "AWS::CloudWatch::Alarm").values()
    )


def test_one_key_encrypts_every_failure_queue(stack: Stack) -> None:
    settle(stack, queue_key=kms.Key(stack, "Key"))

    template = template_of(stack)
    [key] = resources(template, "AWS::KMS::Key")
    queues = resources(template, "AWS::SQS::Queue").values()
    assert [each["Properties"]["KmsMasterKeyId"] for each in queues] == [
        {"Fn::GetAtt": [key, "Arn"]}
    ] * 3


def test_a_permissions_boundary_covers_every_role(stack: Stack) -> None:
    boundary = iam.ManagedPolicy.from_managed_policy_name(stack, "Boundary", "boundary")
    settle(
        stack,
        permissions_boundary=boundary,
        settings=SettlementSettings(webhook=WebhookSettings(cloud_watch_role=True)),
    )

    for logical_id, role in resources(template_of(stack), "AWS::IAM::Role").items():
        assert "PermissionsBoundary" in role["Properties"], logical_id


@pytest.fixture
def construct(stack: Stack) -> StripeSettlement:
    settings = SettlementSettings(webhook=None)
    return settle(stack, stripe_secret=None, settings=settings)


def test_nothing_of_the_webhook_is_created_without_one(
    stack: Stack, construct: StripeSettlement
) -> None:
    template = template_of(stack)
    assert not [
        logical_id
        for logical_id, each in template["Resources"].items()
        if each["Type"].startswith("AWS::ApiGateway::") or "StripePayment" in logical_id
    ]


def test_the_webhooks_attributes_are_none_without_one(construct: StripeSettlement) -> None:
    assert construct.webhook_route is None
    assert construct.webhook_function is None
    assert construct.webhook_url is None


def test_a_rest_api_without_a_webhook_is_an_error(stack: Stack) -> None:
    with pytest.raises(ValueError, match="settings leave out the webhook"):
        settle(
            stack,
            rest_api=apigateway.RestApi(stack, "ShopApi"),
            settings=SettlementSettings(webhook=None),
        )


def test_a_webhook_without_its_secret_is_an_error_that_says_how_to_leave_it_out(
    stack: Stack,
) -> None:
    with pytest.raises(ValueError, match=r"SettlementSettings\(webhook=None\)"):
        settle(stack, stripe_secret=None)


@pytest.mark.parametrize("livemode", ["false", "true", 0, None])
def test_a_mode_that_is_neither_true_nor_false_is_an_error(stack: Stack, livemode: object) -> None:
    with pytest.raises(TypeError, match=r"livemode is .* convert it first"):
        settle(stack, livemode=livemode)


def test_addresses_beside_a_topic_are_an_error_that_says_where_to_subscribe_them(
    stack: Stack,
) -> None:
    alarms = AlarmSettings(email_subscriptions=("ops@example.com",))
    with pytest.raises(ValueError, match="Subscribe the addresses to your topic"):
        settle(
            stack,
            alarm_topic=sns.Topic(stack, "Topic"),
            settings=SettlementSettings(alarms=alarms),
        )


def test_connections_outside_a_vpc_are_an_error_that_says_to_pass_one(stack: Stack) -> None:
    construct = settle(stack)
    with pytest.raises(ValueError, match="Pass the database's vpc"):
        _ = construct.connections


def test_the_construct_has_no_outputs(stack: Stack) -> None:
    settle(stack)

    assert "Outputs" not in template_of(stack)


def test_the_database_can_allow_the_settlements_connections(stack: Stack) -> None:
    vpc = any_vpc(stack)
    database = ec2.SecurityGroup(stack, "Database", vpc=vpc)
    construct = settle(stack, vpc=vpc)
    database.connections.allow_from(construct, ec2.Port.tcp(3306))

    ingress = only(template_of(stack), "AWS::EC2::SecurityGroupIngress")
    assert (ingress["FromPort"], ingress["ToPort"]) == (3306, 3306)


def test_failure_queues_are_listed_by_their_label(stack: Stack) -> None:
    assert set(settle(stack).failure_queues) == {
        "Stripe event DLQ",
        "StripeEventBridgeHandler on-failure queue",
        "StripePaymentFunction on-failure queue",
    }


def test_the_redrive_grant_covers_every_queue_and_every_function(stack: Stack) -> None:
    operator = iam.Role(stack, "Operator", assumed_by=iam.AccountRootPrincipal())
    grant = settle(stack).grant_redrive(operator)

    template = template_of(stack)
    policy = find(template, "AWS::IAM::Policy", "Operator")["PolicyDocument"]["Statement"]
    text = str(policy)
    assert grant.success
    assert "sqs:DeleteMessage" in text
    assert "lambda:InvokeFunction" in text
    for part in ("DeliveryDlq", "StripeEventBridgeHandler", "StripePaymentFunction"):
        assert find_id(template, "AWS::SQS::Queue", part) in text
    for part in ("StripeEventBridgeHandler", "StripePaymentFunction"):
        assert find_id(template, "AWS::Lambda::Function", part) in text


def test_the_redrive_grant_is_all_the_command_needs_and_no_more(stack: Stack) -> None:
    operator = iam.Role(stack, "Operator", assumed_by=iam.AccountRootPrincipal())
    settle(stack).grant_redrive(operator)

    policy = find(template_of(stack), "AWS::IAM::Policy", "Operator")["PolicyDocument"]
    actions: set[str] = set()
    for statement in policy["Statement"]:
        asked = statement["Action"]
        actions |= {asked} if isinstance(asked, str) else set(asked)
    assert actions == {
        "cloudformation:DescribeStacks",
        "cloudformation:GetTemplate",
        "cloudformation:ListStackResources",
        "events:ListTargetsByRule",
        "lambda:GetFunctionConfiguration",
        "lambda:InvokeFunction",
        "lambda:ListFunctionEventInvokeConfigs",
        "sqs:ChangeMessageVisibility",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
        "sqs:ReceiveMessage",
    }


def test_the_redrive_grant_ends_at_this_stack_and_its_parts(stack: Stack) -> None:
    operator = iam.Role(stack, "Operator", assumed_by=iam.AccountRootPrincipal())
    settle(stack).grant_redrive(operator)

    policy = find(template_of(stack), "AWS::IAM::Policy", "Operator")["PolicyDocument"]
    stars = [each for each in policy["Statement"] if "*" in str(each["Resource"])]
    assert stars
    for each in stars:
        assert "cloudformation:" in str(each["Action"])
        assert each["Resource"]["Fn::Join"][1][-1].endswith(f":stack/{stack.stack_name}/*")


@pytest.mark.parametrize("webhook", [True, False])
def test_the_redrive_grant_covers_the_routes_there_are(stack: Stack, webhook: bool) -> None:
    operator = iam.Role(stack, "Operator", assumed_by=iam.AccountRootPrincipal())
    settings = SettlementSettings() if webhook else SettlementSettings(webhook=None)
    settle(stack, settings=settings).grant_redrive(operator)

    text = str(find(template_of(stack), "AWS::IAM::Policy", "Operator"))
    assert ("StripePaymentFunction" in text) is webhook


def test_the_invoke_grant_covers_both_functions_and_nothing_else(stack: Stack) -> None:
    operator = iam.Role(stack, "Operator", assumed_by=iam.AccountRootPrincipal())
    settle(stack).grant_invoke(operator)

    [statement] = find(template_of(stack), "AWS::IAM::Policy", "Operator")["PolicyDocument"][
        "Statement"
    ]
    assert statement["Action"] == "lambda:InvokeFunction"
    assert len(statement["Resource"]) == 2


def test_metrics_have_the_settlements_namespace_and_dimension(stack: Stack) -> None:
    metric = settle(stack).metric(SettlementMetric.IGNORED, statistic="Average")

    assert (metric.namespace, metric.metric_name) == ("StripeSettlement", "Ignored")
    assert metric.dimensions == {"service": "Shop-Settlement"}
    assert metric.statistic == "Average"


@pytest.mark.parametrize(
    ("method", "name", "statistic"),
    [
        ("metric_settled", "Settled", "Sum"),
        ("metric_anomalies", "PaymentAnomaly", "Sum"),
        ("metric_retries", "SettlementRetry", "Sum"),
        ("metric_unauthenticated", "Unauthenticated", "Sum"),
        ("metric_lag", "SettlementLag", "p99"),
    ],
)
def test_each_question_has_a_metric_of_its_own(
    stack: Stack, method: str, name: str, statistic: str
) -> None:
    metric = getattr(settle(stack), method)()

    assert (metric.metric_name, metric.statistic) == (name, statistic)


def test_the_dashboard_can_be_left_out(stack: Stack) -> None:
    construct = settle(stack, settings=SettlementSettings(dashboard=False))

    assert construct.dashboard is None
    assert resources(template_of(stack), "AWS::CloudWatch::Dashboard") == {}


def test_both_failure_paths_end_in_queues_of_their_own(stack: Stack) -> None:
    construct = settle(stack)

    queues: list[sqs.IQueue] = list(construct.failure_queues.values())
    assert len({str(stack.resolve(each.queue_arn)) for each in queues}) == 3


def test_every_function_follows_the_shared_settings(stack: Stack) -> None:
    settle(stack, settings=SettlementSettings(functions=FunctionSettings(memory_size=256)))

    template = template_of(stack)
    for part in ("StripeEventBridgeHandler", "StripePaymentFunction", "SchemaMigrationFunction"):
        assert find(template, "AWS::Lambda::Function", part)["MemorySize"] == 256


def test_subnets_without_a_vpc_are_an_error(stack: Stack) -> None:
    with pytest.raises(ValueError, match=r"vpc_subnets came without vpc.*from_vpc_attributes"):
        settle(stack, vpc_subnets=ec2.SubnetSelection())


def test_security_groups_without_a_vpc_are_an_error(stack: Stack) -> None:
    group = ec2.SecurityGroup.from_security_group_id(stack, "Group", "sg-1")
    with pytest.raises(ValueError, match="security_groups came without vpc"):
        settle(stack, security_groups=[group])


def test_an_empty_list_of_security_groups_is_an_error(stack: Stack) -> None:
    with pytest.raises(ValueError, match=r"security_groups is empty.*Leave it out"):
        settle(stack, vpc=any_vpc(stack), security_groups=[])


def test_a_paused_settlement_says_so_at_every_synthesis(stack: Stack) -> None:
    settle(stack, settings=SettlementSettings(functions=FunctionSettings(reserved_concurrency=0)))

    Annotations.from_stack(stack).has_warning(
        "/Shop/Settlement", Match.string_like_regexp("no payment is settled.*redrive")
    )
