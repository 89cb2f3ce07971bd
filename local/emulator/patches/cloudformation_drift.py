"""Drift is found in what this app is made of, and a drift-aware change set reverts it.

On AWS (CloudFormation User Guide, "Detect unmanaged configuration changes to stacks and resources
with drift detection" and "Using drift-aware change sets"; `DeploymentMode` in the API Reference,
"CreateChangeSet") a change set with the deployment mode `REVERT_DRIFT` creates again what was
deleted and gives changed properties the template's values, also where the template is the stack's
own. What cannot be read by its type's handler is not checked and stays as it is: an
`AWS::SQS::QueuePolicy`, so the policy of a queue that was deleted, is such a type.

MiniStack detects drift, but sees no rule that was disabled or lost its targets, no permission that
was removed, no event invoke config, no alarm and no method or stage of an API, looks for a secret
by its name where it is called by its ARN (see `secretsmanager_references`), and takes a drift-aware
change set for an ordinary one.

Not measured on AWS: that a change set calls what was deleted an `Add`.
"""

import functools
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from local.emulator import Settings
from local.emulator.modules import (
    apigateway_v1,
    cloudformation,
    cloudwatch,
    eventbridge,
    secretsmanager,
)

_INVOKE_CONFIG: Final = ("MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig")
_RULE: Final = ("State", "EventPattern", "Description", "Targets")

Properties = dict[str, Any]


def apply(_settings: Settings) -> None:
    """Add the readers that are missing, and let change sets revert what they find."""
    readers = cloudformation.drift._DRIFT_READERS
    readers["AWS::Events::Rule"] = (_rule, frozenset(_RULE))
    readers["AWS::ApiGateway::Method"] = (_method, frozenset())
    readers["AWS::ApiGateway::Stage"] = (_stage, frozenset())
    readers["AWS::CloudWatch::Alarm"] = (_alarm, frozenset())
    readers["AWS::Lambda::Permission"] = (_permission, frozenset())
    readers["AWS::Lambda::EventInvokeConfig"] = (_invoke_config, frozenset(_INVOKE_CONFIG))
    read, names = readers["AWS::SecretsManager::Secret"]
    readers["AWS::SecretsManager::Secret"] = (functools.partial(_secret, read), names)
    actions = cloudformation.handlers._ACTION_HANDLERS
    for name, replacement in (("CreateChangeSet", _create), ("ExecuteChangeSet", _execute)):
        actions[name] = functools.partial(replacement, actions[name])


def _rule(physical_id: str, properties: Properties) -> Properties | None:
    bus = cloudformation.provisioners._eb_rule_bus_name(properties)
    key = eventbridge._rule_key(physical_id, bus)
    rule = eventbridge._rules.get(key)
    if rule is None:
        return None
    return {
        "State": rule["State"],
        "Description": rule.get("Description", ""),
        "EventPattern": json.loads(rule.get("EventPattern") or "null"),
        "Targets": list(eventbridge._targets.get(key, ())),
    }


def _method(_physical_id: str, properties: Properties) -> Properties | None:
    resources = apigateway_v1._resources.get(properties["RestApiId"], {})
    methods = resources.get(properties["ResourceId"], {}).get("resourceMethods", {})
    return {} if properties["HttpMethod"] in methods else None


def _stage(physical_id: str, properties: Properties) -> Properties | None:
    stages = apigateway_v1._stages_v1.get(properties["RestApiId"], {})
    return {} if physical_id in stages else None


def _alarm(physical_id: str, _properties: Properties) -> Properties | None:
    return {} if physical_id in cloudwatch._alarms else None


def _function(properties: Properties) -> Any:
    found = cloudformation.provisioners._lambda_function_for_cfn_ref(properties["FunctionName"])
    return found[0]


def _permission(physical_id: str, properties: Properties) -> Properties | None:
    statements = ((_function(properties) or {}).get("policy") or {}).get("Statement", [])
    return {} if any(statement["Sid"] == physical_id for statement in statements) else None


def _invoke_config(_physical_id: str, properties: Properties) -> Properties | None:
    configs = (_function(properties) or {}).get("event_invoke_configs") or {}
    found: Properties | None = configs.get(properties["Qualifier"])
    return found


def _secret(
    original: Callable[..., Any], physical_id: str, properties: Properties
) -> Properties | None:
    name, _ = secretsmanager._resolve(physical_id)
    read: Properties | None = original(name or physical_id, properties)
    return read


def _create(original: Callable[..., Any], params: dict[str, Any]) -> Any:
    answer = original(params)
    helpers = cloudformation.helpers
    _, change_set = cloudformation.changesets._find_change_set(
        helpers._p(params, "ChangeSetName"), helpers._p(params, "StackName")
    )
    if answer[0] >= 400 or helpers._p(params, "DeploymentMode") != "REVERT_DRIFT":
        return answer
    change_set["drifted"] = list(_drifted(change_set["StackName"]))
    changed = {change["ResourceChange"]["LogicalResourceId"] for change in change_set["Changes"]}
    change_set["Changes"] += [
        _change(drift)
        for drift in change_set["drifted"]
        if drift["LogicalResourceId"] not in changed
    ]
    if change_set["Changes"]:
        change_set.update(Status="CREATE_COMPLETE", ExecutionStatus="AVAILABLE", StatusReason="")
    return answer


def _drifted(stack_name: str) -> Iterator[dict[str, Any]]:
    """Yield the drift of each resource that was changed or deleted."""
    stack = cloudformation._stacks[stack_name]
    for logical_id, record in stack["_resources"].items():
        if cloudformation.drift.supports_drift(record["ResourceType"]):
            drift = cloudformation.drift.detect_resource_drift(stack, logical_id, record, "")
            if drift["StackResourceDriftStatus"] in ("MODIFIED", "DELETED"):
                yield drift


def _change(drift: dict[str, Any]) -> dict[str, Any]:
    change = {name: drift[name] for name in ("LogicalResourceId", "ResourceType")}
    if drift["StackResourceDriftStatus"] == "DELETED":
        return {"ResourceChange": {"Action": "Add", **change}}
    return {
        "ResourceChange": {
            "Action": "Modify",
            **change,
            "PhysicalResourceId": drift["PhysicalResourceId"],
            "Replacement": "False",
            "Scope": ["Properties"],
            "Details": [],
        }
    }


def _execute(original: Callable[..., Any], params: dict[str, Any]) -> Any:
    """Give the stack what is really there, so that its update makes up the difference."""
    helpers = cloudformation.helpers
    _, change_set = cloudformation.changesets._find_change_set(
        helpers._p(params, "ChangeSetName"), helpers._p(params, "StackName")
    )
    for drift in (change_set or {}).get("drifted", ()):
        resources = cloudformation._stacks[change_set["StackName"]]["_resources"]
        if drift["StackResourceDriftStatus"] == "DELETED":
            del resources[drift["LogicalResourceId"]]
        else:
            record = resources[drift["LogicalResourceId"]]
            actual = json.loads(drift["ActualProperties"])
            record["Properties"] = {**record["Properties"], **actual}
    return original(params)
