"""What CloudFormation would put for the intrinsic functions of a template.

An alarm's dimension is right only as a value: `{"Ref": …}` is a function's name, a queue's URL,
and for a rule on any bus but the default one `<bus>|<rule>`. So the tests look at values.
"""

from collections.abc import Mapping
from typing import Any

Template = Mapping[str, Any]

_PSEUDO_PARAMETERS = {
    "AWS::AccountId": "111122223333",
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::StackName": "stack",
    "AWS::URLSuffix": "amazonaws.com",
}


def resolve(value: Any, template: Template) -> Any:
    """Replace every intrinsic function in `value`, or raise for one not known here."""
    if isinstance(value, list):
        return [resolve(item, template) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1 or not ((name := next(iter(value))) == "Ref" or name.startswith("Fn::")):
        return {key: resolve(item, template) for key, item in value.items()}
    argument = value[name]
    match name:
        case "Ref":
            return _PSEUDO_PARAMETERS.get(argument) or _reference(argument, template)
        case "Fn::GetAtt":
            logical_id, attribute = argument
            return _attribute(logical_id, attribute, template)
        case "Fn::Join":
            separator, parts = argument
            return separator.join(resolve(parts, template))
        case "Fn::Split":
            separator, text = argument
            return resolve(text, template).split(separator)
        case "Fn::Select":
            index, items = argument
            return resolve(items, template)[int(index)]
    raise NotImplementedError(f"{name} in {value}")


def name_of(logical_id: str, template: Template) -> str:
    """The physical name of a resource, made up from its id where the template gives none."""
    properties = template["Resources"][logical_id].get("Properties", {})
    for key in ("EventSourceName", "FunctionName", "QueueName", "StageName", "TopicName", "Name"):
        if isinstance(given := properties.get(key), str | dict):
            return str(resolve(given, template))
    return f"name-of-{logical_id}"


def _reference(logical_id: str, template: Template) -> str:
    if (parameter := template.get("Parameters", {}).get(logical_id)) is not None:
        return str(parameter.get("Default", f"value-of-{logical_id}"))
    name = name_of(logical_id, template)
    match template["Resources"][logical_id]["Type"]:
        case "AWS::SQS::Queue":
            return f"https://sqs.eu-central-1.amazonaws.com/111122223333/{name}"
        case "AWS::SNS::Topic":
            return _arn("sns", name)
        case "AWS::Events::Rule" if (bus := _bus_of(logical_id, template)) != "default":
            return f"{bus}|{name}"
    return name


def _attribute(logical_id: str, attribute: str, template: Template) -> str:
    name = name_of(logical_id, template)
    match template["Resources"][logical_id]["Type"], attribute:
        case "AWS::SQS::Queue", "QueueName":
            return name
        case "AWS::Events::EventBus", "Name":
            return name
        case "Custom::StripeEventDestination", "EventSourceName":
            return f"aws.partner/stripe.com/ed_{name}"
        case "AWS::Events::Rule", "Arn":
            bus = _bus_of(logical_id, template)
            return _arn("events", f"rule/{name}" if bus == "default" else f"rule/{bus}/{name}")
    return _arn("service", f"{logical_id}/{attribute}")


def _bus_of(rule_id: str, template: Template) -> str:
    bus = template["Resources"][rule_id]["Properties"].get("EventBusName", "default")
    return str(resolve(bus, template)).rpartition("event-bus/")[2]


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:eu-central-1:111122223333:{resource}"
