"""How services of AWS put a message into a queue of their user's."""

from typing import Any

from local.emulator.modules import iam_evaluator, responses, sqs


def send(queue_arn: str, body: str, attributes: dict[str, str] | None = None) -> bool:
    """Send a message. Return whether there is such a queue and it takes the message."""
    queue = sqs._queue_by_arn(queue_arn)
    if queue is None:
        return False
    message = {
        "QueueUrl": queue["url"],
        "MessageBody": body,
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value}
            for name, value in (attributes or {}).items()
        },
    }
    try:
        sqs._act_send_message(message, queue["url"])
    except sqs._Err:
        return False
    return True


def policy(queue_arn: str) -> Any:
    """Return the queue's resource policy, if there is such a queue and it has one."""
    queue = sqs._queue_by_arn(queue_arn)
    return queue and queue["attributes"].get("Policy")


def service_may(policy: Any, *, service: str, action: str, resource: str, source_arn: str) -> bool:
    """Whether a resource policy lets an AWS service act for the resource `source_arn`."""
    request = iam_evaluator.EvalContext(
        principal_arn="*",
        principal_type="Service",
        principal_account="",
        action=action,
        resource_arn=resource,
        region=responses.get_region(),
        secure_transport=True,
        service_context={
            "aws:sourcearn": source_arn,
            "aws:sourceaccount": responses.get_account_id(),
        },
    )
    result = iam_evaluator.evaluate_resource_policy(policy, request, service=service)
    return bool(result.decision == "Allow")
