"""What waits in a failure queue: looked at and given back, nothing handed in."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from stripe_settlement_cli.clients import AWS_ERRORS
from stripe_settlement_cli.mailbox import Mailbox
from stripe_settlement_cli.messages import EventIds, UnreadableMessageError, read_message
from stripe_settlement_cli.reasons import UNREADABLE, Reason, printable
from stripe_settlement_cli.report import Listed, QueueReport

if TYPE_CHECKING:
    import threading

    from stripe_settlement_cli.clients import Client
    from stripe_settlement_cli.deployment import FailureQueue
    from stripe_settlement_cli.mailbox import Message

_HOLD_SECONDS: Final = 60
"""How long a message stays hidden while the rest is listed. It is given back before; one that comes
back earlier, because there are thousands, is known by its id."""

_AT_ONCE: Final = 10


def list_queue(queue: FailureQueue, sqs: Client, interrupted: threading.Event) -> QueueReport:
    """List what is visible in a queue.

    Args:
        queue: the queue.
        sqs: a client of SQS.
        interrupted: once set, the list ends.
    """
    report = QueueReport(queue.name, comes_back_within=_HOLD_SECONDS)
    mailbox = Mailbox(sqs, queue.url, hold_seconds=_HOLD_SECONDS)
    held: dict[str, Message] = {}
    try:
        while not interrupted.is_set() and (received := mailbox.receive(_AT_ONCE)):
            fresh = [message for message in received if message.message_id not in held]
            held.update((message.message_id, message) for message in received)
            report.listed += map(_listed, fresh)
        report.elsewhere = max(0, mailbox.counts().hidden - len(held))
    except AWS_ERRORS as error:
        report.unreadable = printable(str(error))
    finally:
        mailbox.give_back(list(held.values()))
    report.listed.sort(key=lambda each: -each.age_seconds)
    return report


def _listed(message: Message) -> Listed:
    age_seconds = max(0.0, time.time() - message.sent_at_ms / 1000)
    try:
        event = read_message(message.body, message.attributes)
    except UnreadableMessageError as error:
        return Listed(EventIds(), age_seconds, str(Reason(UNREADABLE, str(error))))
    return Listed(event.ids, age_seconds, event.why)
