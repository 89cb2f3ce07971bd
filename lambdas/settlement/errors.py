"""What can go wrong with a delivery, and whether another delivery of it helps.

::

    SettlementError
    ├── RetryableError            a later delivery may succeed: 503 / raise
    │   ├── ConfigurationError      a setting is missing or malformed
    │   ├── SecretUnavailable       Secrets Manager did not give a usable secret
    │   ├── LedgerUnavailable       the database could not commit the outcome in time
    │   │   └── StatementRefused      it gave an error that running the statement again now repeats
    │   ├── StripeUnavailable       Stripe's API gave nothing usable in time, or refused the key
    │   ├── OrderNotYetKnown        the order is younger in the database than its payment
    │   └── UnexpectedFailure       a defect: the frames are logged, the values are not
    └── RejectedDelivery          no later delivery of these bytes helps: 400 / raise
        └── DeliveryTooLarge        413

Messages carry ids, names of settings and error numbers; never a body, a header, a secret or
personal data, because they end up in logs and in the records of the failure queues.
"""

from __future__ import annotations

import traceback
from http import HTTPStatus
from pathlib import PurePath


class SettlementError(Exception):
    """The root of the tree."""


class RetryableError(SettlementError):
    """Nothing was acknowledged; delivering the event again may settle it."""


class ConfigurationError(RetryableError):
    """The function cannot run as it is configured; the message names each setting."""


class SecretUnavailable(RetryableError):
    """A secret could not be read or does not hold what it must."""


class LedgerUnavailable(RetryableError):
    """The outcome is not known to be committed; rerunning the transaction is safe."""


class StatementRefused(LedgerUnavailable):
    """The database's error is one that running the statement again now would repeat."""

    def __init__(self, message: str, *, number: int, where: str, lasts: bool) -> None:
        """
        Args:
            message: Kind and number of the error; never the server's words.
            number: MariaDB's number of the error.
            where: The place in our statement that it came from, in our words; empty if unknown.
            lasts: Whether the data is the cause, so that a later delivery meets it again.
        """
        super().__init__(message)
        self.number = number
        self.where = where
        self.lasts = lasts


class StripeUnavailable(RetryableError):
    """Stripe's API did not return what was asked for; asking again later may help."""


class OrderNotYetKnown(RetryableError):
    """The order does not exist (yet); within the grace time the delivery is retried."""


class UnexpectedFailure(RetryableError):
    """A defect in this code. It keeps the event in the failure path instead of losing it."""

    @classmethod
    def of(cls, error: Exception) -> UnexpectedFailure:
        """Describe a foreign error by type and place; its message might hold a customer's data."""
        frames = traceback.extract_tb(error.__traceback__)
        places = [f"{PurePath(frame.filename).name}:{frame.lineno}" for frame in frames]
        return cls(f"{type(error).__name__} at {' < '.join(reversed(places))}")


class RejectedDelivery(SettlementError):
    """What was delivered is not an authentic, well-formed Stripe event."""

    http_status = HTTPStatus.BAD_REQUEST


class DeliveryTooLarge(RejectedDelivery):
    """The body is larger than any event Stripe sends."""

    http_status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
