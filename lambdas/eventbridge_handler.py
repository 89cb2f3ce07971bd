"""The preferred route: Stripe's partner events, through EventBridge.

The rule's target is this function or, in on-sale mode, a queue whose messages come in batches.

Directly, Lambda is invoked asynchronously: an exception makes it retry, and in the end hand the
event to the function's on-failure queue ("Asynchronous invocation", Lambda developer guide). From
the queue, what the response names stays there and comes again, until it moves to the queue's DLQ
("Handling errors for an SQS event source in Lambda").

The operator's commands bring many events in one invocation, ``{"events": [...]}``, and need to know
what became of each.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from settlement.adapters.envelopes import open_eventbridge_envelope, open_sqs_record
from settlement.bootstrap import deliver, deliver_batch, event_sources
from settlement.domain.outcomes import Route
from settlement.errors import RejectedDelivery

if TYPE_CHECKING:
    from settlement.domain.clock import LambdaContext
    from settlement.domain.outcomes import Result


def handler(event: object, context: LambdaContext) -> dict[str, Any]:
    """Settle one EventBridge event, a batch of SQS messages with one in each, or a list of them.

    Returns:
        The outcome; for a batch the messages whose outcome is not committed
        (``batchItemFailures``); for ``events`` the ``responses`` in their order, each as that event
        alone would get it: its outcome, or ``errorType`` and ``errorMessage``.

    Raises:
        SettlementError: the outcome is not committed; Lambda delivers the event again.
    """
    if isinstance(event, dict) and isinstance(event.get("Records"), list):
        return _settle_batch(event["Records"], context)
    if isinstance(event, dict) and isinstance(event.get("events"), list):
        return _settle_list(event["events"], context)
    result = deliver(
        lambda _deadline: open_eventbridge_envelope(event, event_sources()),
        route=Route.EVENTBRIDGE,
        context=context,
    )
    if result.error is not None:
        raise result.error
    return result.response()


def _settle_batch(records: list[Any], context: LambdaContext) -> dict[str, Any]:
    if not all(isinstance(each, dict) and each.get("messageId") for each in records):
        raise RejectedDelivery("expected SQS messages, each with its messageId")
    results = deliver_batch(
        [partial(_open, record) for record in records], route=Route.EVENTBRIDGE, context=context
    )
    return {
        "batchItemFailures": [
            {"itemIdentifier": record["messageId"]}
            for record, result in zip(records, results, strict=True)
            if result.error is not None
        ]
    }


def _settle_list(events: list[Any], context: LambdaContext) -> dict[str, Any]:
    results = deliver_batch(
        [partial(_open_envelope, event) for event in events],
        route=Route.EVENTBRIDGE,
        context=context,
    )
    return {"responses": [_response(result) for result in results]}


def _response(result: Result) -> dict[str, str | None]:
    if result.error is None:
        return result.response()
    # As Lambda names an error that was raised ("Lambda runtime API").
    return {"errorType": type(result.error).__name__, "errorMessage": str(result.error)}


def _open(record: object) -> object:
    return open_sqs_record(record, event_sources())


def _open_envelope(event: object) -> object:
    return open_eventbridge_envelope(event, event_sources())
