"""Customer-managed keys: by alias, of another region, of log groups and of the alarm topic."""

from typing import Any

import pytest
from aws_cdk import Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk.assertions import Annotations, Match

from stripe_settlement import (
    AlarmSettings,
    FunctionSettings,
    LogSettings,
    SettlementSettings,
    WebhookSettings,
)
from tests.infrastructure.synthesis import (
    any_database,
    find,
    only,
    resources,
    secret_arn,
    settle,
    statements,
    template_of,
)

KEY_ARN = "arn:aws:kms:eu-west-1:111122223333:key/9d9a7e1c-0000-4000-8000-000000000000"


def settle_with_log_key(stack: Stack, key: kms.IKey) -> None:
    logs = LogSettings(encryption_key=key)
    settle(
        stack,
        settings=SettlementSettings(
            functions=FunctionSettings(logs=logs), webhook=WebhookSettings(access_logs=logs)
        ),
    )


def secret_under(stack: Stack, key: kms.IKey, arn: str) -> secretsmanager.ISecret:
    return secretsmanager.Secret.from_secret_attributes(
        stack, "Credentials", secret_complete_arn=arn, encryption_key=key
    )


def test_alias_of_the_app_grants_the_key_behind_it(stack: Stack) -> None:
    alias = kms.Key(stack, "Key").add_alias("shop")
    settle(stack, queue_key=alias)

    template = template_of(stack)
    [key] = resources(template, "AWS::KMS::Key")
    statement = statements(template, "StripeEventBridge")["EncryptForTheOnFailureQueue"]
    assert statement["Resource"] == {"Fn::GetAtt": [key, "Arn"]}
    assert "AllowEventBridgeToUseKey" in str(only(template, "AWS::KMS::Key")["KeyPolicy"])


@pytest.mark.parametrize("by_arn", [True, False])
def test_imported_alias_grants_the_keys_that_have_it(stack: Stack, *, by_arn: bool) -> None:
    key: kms.IKey = (
        kms.Key.from_key_arn(stack, "Key", "arn:aws:kms:eu-west-1:111122223333:alias/shop")
        if by_arn
        else kms.Alias.from_alias_name(stack, "Alias", "alias/shop")
    )
    settle(stack, queue_key=key)

    found = statements(template_of(stack), "StripeEventBridge")["EncryptForTheOnFailureQueue"]
    assert ":alias/" not in str(found["Resource"])
    assert ":key/*" in str(found["Resource"])
    assert found["Condition"]["ForAnyValue:StringEquals"] == {"kms:ResourceAliases": "alias/shop"}


def test_secret_of_another_region_is_decrypted_through_that_region(stack: Stack) -> None:
    arn = "arn:aws:secretsmanager:us-east-1:111122223333:secret:Shop-a1B2c3"
    secret = secret_under(stack, kms.Key.from_key_arn(stack, "Key", KEY_ARN), arn)
    settle(stack, database=any_database(stack, secret=secret))

    found = statements(template_of(stack), "StripeEventBridge")["DecryptTheDatabaseSecret"]
    assert "secretsmanager.us-east-1." in str(found["Condition"])


def test_secret_imported_with_its_key_may_be_decrypted(stack: Stack) -> None:
    key = kms.Key.from_key_arn(stack, "Key", KEY_ARN)
    settle(stack, database=any_database(stack, secret=secret_under(stack, key, secret_arn("Db"))))

    for part in ("StripeEventBridgeHandler", "StripePaymentFunction", "SchemaMigrationRole"):
        found = statements(template_of(stack), part)["DecryptTheDatabaseSecret"]
        assert (found["Action"], found["Resource"]) == ("kms:Decrypt", KEY_ARN)


def log_groups(stack: Stack) -> dict[str, Any]:
    return resources(template_of(stack), "AWS::Logs::LogGroup")


def test_log_groups_are_under_the_key_of_the_settings_which_lets_cloudwatch_logs_use_it(
    stack: Stack,
) -> None:
    settle_with_log_key(stack, kms.Key(stack, "Key"))

    [key] = resources(template_of(stack), "AWS::KMS::Key")
    found = log_groups(stack)
    assert len(found) == 7
    assert {str(each["Properties"].get("KmsKeyId")) for each in found.values()} == {
        str({"Fn::GetAtt": [key, "Arn"]})
    }
    [allowed] = [
        each
        for each in find(template_of(stack), "AWS::KMS::Key", "Key")["KeyPolicy"]["Statement"]
        if each.get("Sid") == "AllowLogGroupsToUseKey"
    ]
    assert ":log-group:*" in str(allowed["Condition"]["ArnLike"])


def test_log_groups_under_an_imported_key_are_warned_about(stack: Stack) -> None:
    settle_with_log_key(stack, kms.Key.from_key_arn(stack, "Key", KEY_ARN))

    Annotations.from_stack(stack).has_warning(
        "*", Match.string_like_regexp("the log group cannot be created")
    )


def test_log_groups_under_an_imported_alias_are_an_error(stack: Stack) -> None:
    alias = kms.Alias.from_alias_name(stack, "Alias", "alias/shop")
    with pytest.raises(ValueError, match="a log group takes no alias"):
        settle_with_log_key(stack, alias)


def test_the_alarm_topic_is_under_the_key_of_the_settings(stack: Stack) -> None:
    alarms = AlarmSettings(topic_key=kms.Key(stack, "Key"))
    settle(stack, settings=SettlementSettings(alarms=alarms))

    template = template_of(stack)
    [key] = resources(template, "AWS::KMS::Key")
    assert only(template, "AWS::SNS::Topic")["KmsMasterKeyId"] == {"Fn::GetAtt": [key, "Arn"]}
    assert "AllowAlarmsToUseKey" in str(only(template, "AWS::KMS::Key")["KeyPolicy"])
