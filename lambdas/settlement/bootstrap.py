"""One place a process where the parts are built, and the one path of a delivery through them.

Nothing connects or reads configuration at import: a function that is configured wrong still starts,
says what is wrong for each delivery, and leaves the delivery to be retried.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from settlement.adapters.database import Database, FixedCredentials, StoredCredentials
from settlement.adapters.ledger import MariaDBLedger
from settlement.adapters.telemetry import Telemetry
from settlement.configuration import read_configuration
from settlement.domain.clock import Deadline, utc_now
from settlement.domain.outcomes import Outcome, Result
from settlement.domain.service import Delivery, handle_stripe_event
from settlement.errors import RejectedDelivery, RetryableError, UnexpectedFailure

if TYPE_CHECKING:
    from collections.abc import Callable

    from settlement.adapters.database import Credentials
    from settlement.configuration import DatabaseSettings
    from settlement.domain.clock import LambdaContext
    from settlement.domain.outcomes import Route
    from settlement.domain.payments import Rules

    Opener = Callable[[Deadline], object]


@dataclass(frozen=True, slots=True)
class Application:
    """What both routes share for the life of a process."""

    ledger: MariaDBLedger
    rules: Rules


def deliver(open_envelope: Opener, *, route: Route, context: LambdaContext) -> Result:
    """Take one delivery from its envelope to a committed outcome, and report it.

    Args:
        open_envelope: Gives the authentic Stripe event, or raises ``RejectedDelivery``.
        route: How the delivery came.
        context: The invocation, for the time it has left.

    Returns:
        The result; ``error`` is set exactly when the delivery is not acknowledged.
    """
    received_at, started = utc_now(), time.perf_counter()
    delivery = Delivery(
        route=route, received_at=received_at, deadline=Deadline.of_invocation(context)
    )
    try:
        event = open_envelope(delivery.deadline)
        parts = application()
        result = handle_stripe_event(event, delivery, ledger=parts.ledger, rules=parts.rules)
    except RejectedDelivery as error:
        result = Result(outcome=Outcome.UNAUTHENTICATED, reason=str(error), error=error)
    except RetryableError as error:
        result = Result(outcome=Outcome.RETRY, reason=str(error), error=error)
    except Exception as error:  # noqa: BLE001 - a defect must not lose a payment either
        failure = UnexpectedFailure.of(error)
        result = Result(outcome=Outcome.RETRY, reason=str(failure), error=failure)
    telemetry().report(
        result,
        route=route,
        received_at=received_at,
        duration_ms=(time.perf_counter() - started) * 1000,
        context=context,
    )
    return result


@cache
def application() -> Application:
    """Build the parts from the environment, once; a failure is not kept.

    Raises:
        ConfigurationError: naming each setting that is wrong.
    """
    configuration = read_configuration(os.environ)
    return Application(
        ledger=MariaDBLedger(open_database(configuration.database)), rules=configuration.rules
    )


@cache
def telemetry() -> Telemetry:
    """The process's logger and metrics."""
    return Telemetry()


def open_database(settings: DatabaseSettings) -> Database:
    """A database that connects when it is first asked."""
    credentials: Credentials
    if settings.password is not None:
        credentials = FixedCredentials(settings.user or "", settings.password)
    else:
        from settlement.adapters.secrets import SecretsManagerSecret

        secret = SecretsManagerSecret(settings.secret_arn or "")
        credentials = StoredCredentials(secret, user=settings.user)
    return Database(settings, credentials)
