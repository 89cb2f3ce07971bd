"""The function of the EventBridge route, given an event of Stripe's list as the bus would."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from stripe_settlement_cli.aws import AWS_ERRORS, Clients, error_code, is_denied
from stripe_settlement_cli.deployment import Stack
from stripe_settlement_cli.failure_reasons import (
    NO_ANSWER,
    FailureReason,
    Response,
    read_response,
)

_HANDLER: Final = "eventbridge_handler.handler"
_FORWARDED: Final = "aws.partner/stripe.com/from-the-command-line"
"""The source, for a function that is not told which one is its own."""


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
    """Settles one event an invocation: what is settled already ends as a duplicate."""

    def __init__(self, clients: Clients, configurations: Iterable[Mapping[str, Any]]) -> None:
        """
        Args:
            clients: makes clients with the caller's rights.
            configurations: of the stack's functions, as Lambda returns them.

        Raises:
            NoFunctionError: it is not there, or may not be looked at.
        """
        found = next((each for each in configurations if each["Handler"] == _HANDLER), None)
        if found is None:
            raise NoFunctionError(
                "The EventBridge route's function is not there, or you may not look."
            )
        variables = found.get("Environment", {}).get("Variables", {})
        self._source: Final = variables.get("STRIPE_EVENT_SOURCE") or _FORWARDED
        self._arn: Final[str] = found["FunctionArn"]
        self._client: Final = clients.invoker(function_timeout=found["Timeout"], at_once=1)

    def settle(self, event: Mapping[str, Any]) -> Response:
        """Return what was committed, or why nothing was.

        Args:
            event: the plain Event object.
        """
        envelope = {"source": self._source, "detail-type": event["type"], "detail": event}
        try:
            answer = self._client.invoke(FunctionName=self._arn, Payload=json.dumps(envelope))
            payload = answer["Payload"].read()
        except AWS_ERRORS as error:
            return Response(reason=FailureReason(error_code(error) or NO_ANSWER))
        return read_response(payload, failed="FunctionError" in answer, event_id=event["id"])
