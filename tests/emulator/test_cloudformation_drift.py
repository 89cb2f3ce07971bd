"""Drift is found in what this app is made of, and a drift-aware change set reverts it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import WaiterError

from tests.emulator.account import ECHO, ROLE, Account, any_name

pytestmark = pytest.mark.xdist_group("emulator")

TEMPLATE = {
    "Resources": {
        "Function": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "Runtime": "python3.13",
                "Handler": "index.handler",
                "Role": ROLE,
                "Code": {"ZipFile": ECHO},
            },
        },
        "Permission": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "Action": "lambda:InvokeFunction",
                "FunctionName": {"Ref": "Function"},
                "Principal": "events.amazonaws.com",
            },
        },
        "Retries": {
            "Type": "AWS::Lambda::EventInvokeConfig",
            "Properties": {
                "FunctionName": {"Ref": "Function"},
                "Qualifier": "$LATEST",
                "MaximumRetryAttempts": 1,
            },
        },
        "Rule": {
            "Type": "AWS::Events::Rule",
            "Properties": {
                "State": "ENABLED",
                "Description": "any",
                "EventPattern": {"source": ["any"]},
            },
        },
        "Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": {"SecretString": "any"}},
    }
}


class Stack:
    """A stack that is changed behind CloudFormation's back."""

    def __init__(self, account: Account) -> None:
        self.name = any_name("stack")
        account.deploy(self.name, TEMPLATE["Resources"])
        self.client = account.aws.client("cloudformation")

    def physical_id(self, logical_id: str) -> str:
        answer = self.client.describe_stack_resource(
            StackName=self.name, LogicalResourceId=logical_id
        )
        return str(answer["StackResourceDetail"]["PhysicalResourceId"])

    def drift(self) -> dict[str, str]:
        """Status by logical id of what is not as the template says."""
        self.client.detect_stack_drift(StackName=self.name)
        found = self.client.describe_stack_resource_drifts(StackName=self.name)
        return {
            each["LogicalResourceId"]: each["StackResourceDriftStatus"]
            for each in found["StackResourceDrifts"]
            if each["StackResourceDriftStatus"] != "IN_SYNC"
        }

    def change(self, **mode: Any) -> dict[str, str]:
        """Create a change set of the same template, and execute it; action by logical id."""
        names = {"StackName": self.name, "ChangeSetName": any_name("change")}
        self.client.create_change_set(**names, TemplateBody=json.dumps(TEMPLATE), **mode)
        self.client.get_waiter("change_set_create_complete").wait(**names)
        changes = self.client.describe_change_set(**names)["Changes"]
        self.client.execute_change_set(**names)
        self.client.get_waiter("stack_update_complete").wait(
            StackName=self.name, WaiterConfig={"Delay": 1}
        )
        described = [change["ResourceChange"] for change in changes]
        return {change["LogicalResourceId"]: change["Action"] for change in described}


@pytest.fixture
def stack(account: Account) -> Stack:
    return Stack(account)


def test_stack_that_nobody_touched_has_not_drifted(stack: Stack) -> None:
    assert stack.drift() == {}


def test_same_template_changes_nothing_whatever_was_deleted(stack: Stack, account: Account) -> None:
    account.functions.delete_function(FunctionName=stack.physical_id("Function"))
    with pytest.raises(WaiterError, match="failure state"):
        stack.change()


def test_deleted_function_drifts_with_what_was_part_of_it_and_all_is_created_again(
    stack: Stack, account: Account
) -> None:
    account.functions.delete_function(FunctionName=stack.physical_id("Function"))

    assert stack.drift() == dict.fromkeys(("Function", "Permission", "Retries"), "DELETED")
    assert stack.change(DeploymentMode="REVERT_DRIFT") == dict.fromkeys(
        ("Function", "Permission", "Retries"), "Add"
    )
    assert stack.drift() == {}
    assert account.invoke(stack.physical_id("Function"), "any").payload == "any"


def test_changed_properties_become_what_the_template_says(stack: Stack, account: Account) -> None:
    function, rule = stack.physical_id("Function"), stack.physical_id("Rule")
    account.aws.client("events").disable_rule(Name=rule)
    account.functions.put_function_event_invoke_config(
        FunctionName=function, Qualifier="$LATEST", MaximumRetryAttempts=0
    )

    assert stack.drift() == {"Rule": "MODIFIED", "Retries": "MODIFIED"}
    assert stack.change(DeploymentMode="REVERT_DRIFT") == {"Rule": "Modify", "Retries": "Modify"}
    assert stack.drift() == {}
    assert account.aws.client("events").describe_rule(Name=rule)["State"] == "ENABLED"


def test_stack_without_drift_needs_no_change_to_revert_it(stack: Stack) -> None:
    with pytest.raises(WaiterError, match="failure state"):
        stack.change(DeploymentMode="REVERT_DRIFT")
