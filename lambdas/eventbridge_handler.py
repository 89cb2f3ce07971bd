"""The preferred route: Stripe's partner events, through EventBridge.

Lambda is invoked asynchronously here: an exception makes it retry, and in the end hand the event to
the function's on-failure queue ("Asynchronous invocation", Lambda developer guide).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from settlement.adapters.envelopes import open_eventbridge_envelope
from settlement.bootstrap import deliver, event_sources
from settlement.domain.outcomes import Route

if TYPE_CHECKING:
    from settlement.domain.clock import LambdaContext


def handler(event: object, context: LambdaContext) -> dict[str, str | None]:
    """Settle one EventBridge event.

    Raises:
        SettlementError: the outcome is not committed; Lambda delivers the event again.
    """
    result = deliver(
        lambda _deadline: open_eventbridge_envelope(event, event_sources()),
        route=Route.EVENTBRIDGE,
        context=context,
    )
    if result.error is not None:
        raise result.error
    return result.response()
