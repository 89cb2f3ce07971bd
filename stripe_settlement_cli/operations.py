"""What only the database knows, by way of the stack's own functions: closed verbs, never SQL.

`operations-read` answers questions in a read-only session, `operations-resolve` writes resolutions
of anomalies. Each is invoked with `{"verb": …, …}` and returns a JSON object.
"""

import json
from typing import Any, Final

from stripe_settlement_cli.aws import AWS_ERRORS, Clients, error_code, is_denied
from stripe_settlement_cli.deployment import Resource, Stack
from stripe_settlement_cli.failure_reasons import NO_ANSWER, printable, reason_of_error

READ: Final = "operations_read_handler.handler"
RESOLVE: Final = "operations_resolve_handler.handler"
MIGRATION: Final = "migration_handler.handler"
"""The functions' handlers, by which they are found."""

_GRANTS: Final = {READ: "grant_observe", RESOLVE: "grant_resolve"}
_TIMEOUT: Final = 30
"""Seconds, of a function whose template does not say."""


class OperationsError(Exception):
    """A verb was not answered; it says why, and what to ask for."""


def has_operations(stack: Stack, handler: str = READ) -> bool:
    """Return whether the stack has the function."""
    return _function(stack, handler) is not None


def function_name(stack: Stack, handler: str) -> str | None:
    """Return the name of the stack's function with that handler; None without one."""
    function = _function(stack, handler)
    return function.physical_id if function else None


def invoke(
    stack: Stack, clients: Clients, verb: str, *, handler: str = READ, **arguments: Any
) -> dict[str, Any]:
    """Return what a verb answers.

    Args:
        stack: whose functions.
        clients: makes clients with the caller's rights.
        verb: what is asked.
        handler: `READ` or `RESOLVE`.
        arguments: of the verb; JSON values.

    Raises:
        OperationsError: there is no such function, the caller may not invoke it, or it failed.
    """
    function = _function(stack, handler)
    if function is None:
        raise OperationsError("this stack has no function for that; deploy a version that has")
    timeout = int(function.properties.get("Timeout", _TIMEOUT))
    client = clients.invoker(function_timeout=timeout, at_once=1)
    try:
        response = client.invoke(
            FunctionName=function.physical_id, Payload=json.dumps({"verb": verb, **arguments})
        )
        payload = json.loads(response["Payload"].read())
    except AWS_ERRORS as error:
        if is_denied(error):
            text = f"you may not invoke it. Ask for the permissions of {_GRANTS[handler]}"
            raise OperationsError(text) from None
        raise OperationsError(error_code(error) or NO_ANSWER) from None
    except ValueError:
        raise OperationsError("its response is no JSON") from None
    if "FunctionError" in response:
        raise OperationsError(str(reason_of_error(payload)))
    if not isinstance(payload, dict):
        raise OperationsError("its response is no JSON object")
    if "error" in payload:
        raise OperationsError(printable(payload["error"]))
    return payload


def _function(stack: Stack, handler: str) -> Resource | None:
    functions = stack.of_type("AWS::Lambda::Function")
    return next((each for each in functions if each.properties.get("Handler") == handler), None)
