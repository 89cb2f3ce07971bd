"""A custom resource whose creation failed is deleted in the rollback."""

from __future__ import annotations

import json

import pytest

from tests.emulator.account import ROLE, Account, any_name

pytestmark = pytest.mark.xdist_group("emulator")

PROVIDER = """\
import json, urllib.request
import boto3

def handler(event, context):
    if event["RequestType"] == "Delete":
        deleted = {"id": event["PhysicalResourceId"], "stack": status_of(event["StackId"])}
        boto3.client("sqs").send_message(
            QueueUrl=event["ResourceProperties"]["Queue"], MessageBody=json.dumps(deleted)
        )
    response = {
        "Status": "FAILED" if event["RequestType"] == "Create" else "SUCCESS",
        "Reason": "on purpose",
        "PhysicalResourceId": "made-all-the-same",
        **{key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")},
    }
    body = json.dumps(response).encode()
    urllib.request.urlopen(urllib.request.Request(event["ResponseURL"], body, method="PUT"))

def status_of(stack):
    described = boto3.client("cloudformation").describe_stacks(StackName=stack)
    return described["Stacks"][0]["StackStatus"]
"""


def test_rollback_deletes_what_a_failed_creation_may_have_made(account: Account) -> None:
    queue = account.queue()
    template = {
        "Resources": {
            "Provider": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "Runtime": "python3.13",
                    "Handler": "index.handler",
                    "Role": ROLE,
                    "Code": {"ZipFile": PROVIDER},
                    "Timeout": 30,
                },
            },
            "Made": {
                "Type": "Custom::Any",
                "Properties": {
                    "ServiceToken": {"Fn::GetAtt": ["Provider", "Arn"]},
                    "Queue": queue.url,
                },
            },
        }
    }

    account.cloudformation.create_stack(StackName=any_name(), TemplateBody=json.dumps(template))

    assert queue.receive()["Body"] == {
        "id": "made-all-the-same",
        "stack": "ROLLBACK_IN_PROGRESS",
    }
