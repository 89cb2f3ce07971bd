"""Queues report how many messages they hold and how old the oldest is.

On AWS (SQS Developer Guide, "Available CloudWatch metrics for Amazon SQS") every queue sends
`ApproximateNumberOfMessagesVisible` and, while it holds a message, `ApproximateAgeOfOldestMessage`
each minute. MiniStack sends neither.
"""

import time

from local.emulator import Settings, clock
from local.emulator.modules import cloudwatch, sqs


def apply(settings: Settings) -> None:
    """Report every minute; the minute passes as fast as that of the alarms."""
    clock.every(60 / settings.speed, "queue metrics", publish)


def publish() -> None:
    """Add a data point for every queue."""
    for queue in sqs._queues.values():
        sqs._expire_retained(queue)
        now = time.time()
        dimensions = {"QueueName": queue["name"]}
        visible = [message for message in list(queue["messages"]) if message["visible_at"] <= now]
        cloudwatch.record_metric(
            "AWS/SQS", "ApproximateNumberOfMessagesVisible", len(visible), "Count", dimensions
        )
        if visible:
            oldest = now - min(message["sent_at"] for message in visible)
            cloudwatch.record_metric(
                "AWS/SQS", "ApproximateAgeOfOldestMessage", oldest, "Seconds", dimensions
            )
