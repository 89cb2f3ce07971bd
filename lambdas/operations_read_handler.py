"""Reads the database for the operator's command line; invoked by it alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from settlement.adapters.operations import RequestRefused
from settlement.bootstrap import reading_operations
from settlement.domain.clock import Deadline

if TYPE_CHECKING:
    from settlement.domain.clock import LambdaContext


def handler(event: object, context: LambdaContext) -> dict[str, Any]:
    """Answer one request.

    Args:
        event: ``{"verb": …}`` and its arguments, as
            :class:`settlement.adapters.operations.ReadingOperations` has them.
        context: The invocation, for the time it has left.

    Returns:
        The answer, or ``{"error": …}`` with what is allowed.

    Raises:
        RetryableError: the database could not be asked.
    """
    try:
        return reading_operations().answer(event, Deadline.of_invocation(context))
    except RequestRefused as error:
        return {"error": str(error)}
