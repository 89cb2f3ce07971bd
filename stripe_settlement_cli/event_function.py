"""The functions that settle, invoked with one event or with many at once."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from stripe_settlement_cli.aws import AWS_ERRORS, Client, Clients, error_code, is_denied
from stripe_settlement_cli.deployment import Stack
from stripe_settlement_cli.failure_reasons import (
    NO_ANSWER,
    FailureReason,
    Response,
    printable,
    read_response,
    read_responses,
)

HANDLER: Final = "eventbridge_handler.handler"
"""Of the EventBridge route's function, which alone takes many events at once."""

_FORWARDED: Final = "aws.partner/stripe.com/from-the-command-line"
"""The source, for a function that is not told which one is its own."""


def invoke(client: Client, function_arn: str, payload: bytes, event_id: str | None) -> Response:
    """Return what a function committed for one event, or why it did not.

    Args:
        client: Lambda's, made by ``Clients.invoker``.
        function_arn: of a function that settles.
        payload: what it takes the event in.
        event_id: of the event. An outcome of any other event is none of it.
    """
    try:
        answer = client.invoke(FunctionName=function_arn, Payload=payload)
        value = answer["Payload"].read()
    except AWS_ERRORS as error:
        code = error_code(error) or NO_ANSWER
        return Response(reason=FailureReason(code, printable(str(error))))
    return read_response(value, failed="FunctionError" in answer, event_id=event_id)


def invoke_with_many(
    client: Client, function_arn: str, payloads: Sequence[bytes], event_ids: Sequence[str | None]
) -> list[Response] | None:
    """Return what the EventBridge route's function committed for each of many events.

    Those it can, it settles in one transaction.

    Returns:
        One per event, in their order; None if the invocation failed as a whole, which a single
        event may have caused, or a function that is older than this command.
    """
    try:
        answer = client.invoke(
            FunctionName=function_arn, Payload=b'{"events": [%b]}' % b", ".join(payloads)
        )
        value = answer["Payload"].read()
    except AWS_ERRORS:
        return None
    return None if "FunctionError" in answer else read_responses(value, event_ids=event_ids)


class NoFunctionError(Exception):
    """The stack's function of the EventBridge route is not to be had."""


def configurations_of(stack: Stack, clients: Clients) -> list[dict[str, Any]]:
    """Return those of the stack's functions that are there and may be looked at.

    Raises:
        ClientError, BotoCoreError: AWS did not say.
    """
    client = clients.client("lambda")
    found = []
    for each in stack.of_type("AWS::Lambda::Function"):
        try:
            found.append(client.get_function_configuration(FunctionName=each.physical_id))
        except client.exceptions.ClientError as error:
            if not is_denied(error) and error_code(error) != "ResourceNotFoundException":
                raise
    return found


class EventFunction:
    """Settles events of Stripe's list; what is settled already ends as a duplicate."""

    def __init__(self, clients: Clients, configurations: Iterable[Mapping[str, Any]]) -> None:
        """
        Args:
            clients: makes clients with the caller's rights.
            configurations: of the stack's functions, as Lambda returns them.

        Raises:
            NoFunctionError: it is not there, or may not be looked at.
        """
        found = next((each for each in configurations if each["Handler"] == HANDLER), None)
        if found is None:
            raise NoFunctionError(
                "The EventBridge route's function is not there, or you may not look."
            )
        variables = found.get("Environment", {}).get("Variables", {})
        self._source: Final = variables.get("STRIPE_EVENT_SOURCE") or _FORWARDED
        self.arn: Final[str] = found["FunctionArn"]
        self._client: Final = clients.invoker(function_timeout=found["Timeout"], at_once=1)

    def settle(self, event: Mapping[str, Any]) -> Response:
        """Return what was committed, or why nothing was.

        Args:
            event: the plain Event object.
        """
        return invoke(self._client, self.arn, self._envelope(event), event["id"])

    def settle_many(self, events: Sequence[Mapping[str, Any]]) -> list[Response] | None:
        """Return for each of the events what was committed, or why nothing was; None if one of them
        may have made the invocation fail, and each is to be settled alone.
        """
        if len(events) == 1:
            return [self.settle(events[0])]
        envelopes = [self._envelope(event) for event in events]
        event_ids = [event["id"] for event in events]
        return invoke_with_many(self._client, self.arn, envelopes, event_ids)

    def _envelope(self, event: Mapping[str, Any]) -> bytes:
        envelope = {"source": self._source, "detail-type": event["type"], "detail": event}
        return json.dumps(envelope).encode()
