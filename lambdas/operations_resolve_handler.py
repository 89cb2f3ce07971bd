"""Closes anomalies for the operator's command line; invoked by it alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from settlement.adapters.operations import RequestRefused
from settlement.bootstrap import resolving_operations
from settlement.domain.clock import Deadline

if TYPE_CHECKING:
    from settlement.domain.clock import LambdaContext


def handler(event: object, context: LambdaContext) -> dict[str, Any]:
    """Close one anomaly.

    Args:
        event: The request, as :class:`settlement.adapters.operations.ResolvingOperations` has it.
        context: The invocation, for the time it has left.

    Returns:
        What stands now, or ``{"error": …}`` with what is allowed.

    Raises:
        RetryableError: the outcome is not known; the request may be repeated.
    """
    try:
        return resolving_operations().answer(event, Deadline.of_invocation(context))
    except RequestRefused as error:
        return {"error": str(error)}
