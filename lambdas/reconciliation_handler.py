"""The third net, run by a schedule: settle what neither route has brought."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from settlement.bootstrap import reconcile_now

if TYPE_CHECKING:
    from settlement.domain.clock import LambdaContext


def handler(_event: object, context: LambdaContext) -> dict[str, Any]:
    """Reconcile once, whatever the event is.

    Returns:
        How many events were listed, and how many orders settled that neither route had settled.

    Raises:
        SettlementError: something is not settled for another reason than time; the next run tries
            again, from where this one came to.
    """
    run = reconcile_now(context)
    if run.error is not None:
        raise run.error
    return {"listed": run.listed, "settled": run.settled, "caught_up": run.caught_up}
