"""An event source mapping takes from a queue as many messages as its batch may have.

On AWS (Lambda Developer Guide, "Using Lambda with Amazon SQS") a batch of a standard queue has up
to `BatchSize` messages. MiniStack takes ten at most, as one call of ReceiveMessage does. It does
not wait for `MaximumBatchingWindowInSeconds`, here neither: what is there is the batch.
"""

from collections.abc import Callable
from typing import Any

from local.emulator import Settings
from local.emulator.modules import sqs
from local.emulator.patching import replace


def apply(_settings: Settings) -> None:
    """Receive again until the batch is full or the queue is empty."""
    replace(sqs, "_receive_messages_for_esm", _receive)


def _receive(original: Callable[..., list[Any]], queue_url: str, size: int) -> list[Any]:
    batch: list[Any] = []
    while len(batch) < size and (more := original(queue_url, size - len(batch))):
        batch += more
    return batch
