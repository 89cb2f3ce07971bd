"""Where the parts are built, once per process, and the one path of a delivery through them.

Nothing connects or reads configuration at import: a function that is configured wrong still starts,
says what is wrong for each delivery, and leaves the delivery to be retried.
"""

from __future__ import annotations

import math
import os
import time
from functools import cache, partial
from typing import TYPE_CHECKING

from settlement.adapters.database import (
    READ_TIMEOUT_SECONDS,
    Database,
    FixedCredentials,
    credentials_of,
)
from settlement.adapters.ledger import MariaDBLedger
from settlement.adapters.telemetry import Telemetry, report_failed
from settlement.configuration import (
    read_configuration,
    read_database_settings,
    read_event_sources,
    read_order_tables,
    read_reconciliation_settings,
    read_thin_event_settings,
    read_webhook_settings,
)
from settlement.domain.clock import Deadline, utc_now
from settlement.domain.outcomes import Route
from settlement.domain.service import Delivery, Parts, handle_stripe_event
from settlement.errors import UnexpectedFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from settlement.adapters.database import Credentials
    from settlement.adapters.operations import ReadingOperations, ResolvingOperations
    from settlement.adapters.reconciliation_ledger import MariaDBReconciliationLedger
    from settlement.adapters.signatures import SignatureVerifier, SigningSecrets
    from settlement.adapters.stripe_api import StripeApi
    from settlement.configuration import (
        DatabaseSettings,
        EventSources,
        StripeApiSettings,
        WebhookSettings,
    )
    from settlement.domain.clock import LambdaContext
    from settlement.domain.outcomes import Result
    from settlement.domain.reconciliation import Limits, Run

    Opener = Callable[[Deadline], object]


def deliver(open_envelope: Opener, *, route: Route, context: LambdaContext) -> Result:
    """Take one delivery from its envelope to a committed outcome, and report it.

    Args:
        open_envelope: Gives the authentic Stripe event, or raises ``RejectedDelivery``.
        route: How the delivery came.
        context: The invocation, for the time it has left.

    Returns:
        The result; ``error`` is set exactly when the delivery is not acknowledged.
    """
    delivery, started = _delivery(route, context), time.perf_counter()
    result = handle_stripe_event(lambda: open_envelope(delivery.deadline), delivery, parts)
    _report(result, delivery, started, context)
    return result


def deliver_batch(
    openers: Sequence[Callable[[], object]], *, route: Route, context: LambdaContext
) -> list[Result]:
    """Take many deliveries to their committed outcomes, and report each.

    Args:
        openers: One per delivery: gives the authentic event, or raises ``RejectedDelivery``.
        route: How they came.
        context: The invocation, for the time it has left.

    Returns:
        One result per delivery, in their order; each rests on its own outcome.
    """
    results = dict(_deliver_each(openers, route=route, context=context))
    return [results[place] for place in range(len(openers))]


def _deliver_each(
    openers: Sequence[Callable[[], object]], *, route: Route, context: LambdaContext
) -> Iterator[tuple[int, Result]]:
    """Yield each delivery's place and result, reported, as ``handle_stripe_events`` does."""
    from settlement.domain.batch import handle_stripe_events  # a single event starts without it

    delivery, started = _delivery(route, context), time.perf_counter()
    for place, result in handle_stripe_events(openers, delivery, parts):
        _report(result, delivery, started, context)
        yield place, result


def _delivery(route: Route, context: LambdaContext) -> Delivery:
    return Delivery(route=route, received_at=utc_now(), deadline=Deadline.of_invocation(context))


def _report(result: Result, delivery: Delivery, started: float, context: LambdaContext) -> None:
    try:
        telemetry().report(
            result,
            route=delivery.route,
            received_at=delivery.received_at,
            duration_ms=(time.perf_counter() - started) * 1000,
            context=context,
        )
    except Exception as error:  # noqa: BLE001 - the outcome is committed: it is what is returned
        report_failed(result, UnexpectedFailure.of(error))


@cache
def parts() -> Parts:
    """Build what every route needs from the environment, once; a failure is not kept.

    Raises:
        ConfigurationError: naming each setting that is wrong.
    """
    configuration = read_configuration(os.environ)
    return Parts(
        ledger=MariaDBLedger(open_database(configuration.database), configuration.tables),
        rules=configuration.rules,
        sessions=sessions if configuration.fetches_sessions else None,
    )


@cache
def sessions() -> StripeApi:
    """Build what fetches the sessions of thin events, once; a failure is not kept.

    Raises:
        ConfigurationError: naming each setting that is wrong.
    """
    return _stripe_api(read_thin_event_settings(os.environ))


@cache
def webhook() -> tuple[WebhookSettings, SignatureVerifier]:
    """Build what the webhook needs besides, once; a failure is not kept.

    Raises:
        ConfigurationError: naming each setting that is wrong.
    """
    # Not at the top: they load Stripe's library, which only the webhook needs.
    from settlement.adapters.signatures import (
        FixedSigningSecrets,
        SignatureVerifier,
        signing_secrets_of,
    )

    settings = read_webhook_settings(os.environ)
    secrets: SigningSecrets
    if settings.secrets:
        secrets = FixedSigningSecrets(settings.secrets)
    else:
        from settlement.adapters.secrets import SecretsManagerSecret

        secrets = SecretsManagerSecret(settings.secret_arn or "", signing_secrets_of)
    return settings, SignatureVerifier(secrets, tolerance=settings.tolerance)


def reconcile_now(context: LambdaContext) -> Run:
    """Settle what neither route has brought, as far as the time allows, and report it.

    Raises:
        RetryableError: the run could not begin, or not record how far it came.
    """
    from settlement.domain.reconciliation import reconcile  # the routes start without it

    limits, stripe, ledger = reconciliation()
    run = reconcile(
        stripe,
        ledger,
        lambda events: _deliver_each(
            [partial(_opened, event) for event in events],
            route=Route.RECONCILIATION,
            context=context,
        ),
        limits=limits,
        now=utc_now(),
        deadline=Deadline.of_invocation(context),
    )
    telemetry().report_reconciliation(run, now=utc_now(), context=context)
    return run


def _opened(event: object) -> object:
    return event  # Stripe's own list is authentic


@cache
def reconciliation() -> tuple[Limits, StripeApi, MariaDBReconciliationLedger]:
    """Build what reconciliation needs besides, once; a failure is not kept.

    Raises:
        ConfigurationError: naming each setting that is wrong.
    """
    from settlement.adapters.reconciliation_ledger import MariaDBReconciliationLedger  # as above

    settings = read_reconciliation_settings(os.environ)
    database = open_database(read_database_settings(os.environ))
    return (
        settings.limits,
        _stripe_api(settings.stripe),
        MariaDBReconciliationLedger(database, livemode=settings.stripe.livemode),
    )


@cache
def reading_operations() -> ReadingOperations:
    """Build what reads for the command line, once; a failure is not kept.

    Raises:
        ConfigurationError: naming each setting that is wrong.
    """
    from settlement.adapters.operations import ReadingOperations  # the routes start without it

    database = open_database(read_database_settings(os.environ), read_timeout=math.inf)
    return ReadingOperations(database, read_order_tables(os.environ))


@cache
def resolving_operations() -> ResolvingOperations:
    """Build what closes anomalies for the command line, once; a failure is not kept.

    Raises:
        ConfigurationError: naming each setting that is wrong.
    """
    from settlement.adapters.operations import ResolvingOperations  # the routes start without it

    return ResolvingOperations(open_database(read_database_settings(os.environ)))


@cache
def event_sources() -> EventSources:
    """Return whose EventBridge events are settled."""
    return read_event_sources(os.environ)


@cache
def telemetry() -> Telemetry:
    """Return the process's logger and metrics."""
    return Telemetry()


def _stripe_api(settings: StripeApiSettings) -> StripeApi:
    # Not at the top: they load Stripe's library, and what calls it.
    from settlement.adapters.secrets import SecretsManagerSecret
    from settlement.adapters.stripe_api import StripeApi, api_key_of

    secret = SecretsManagerSecret(settings.api_key_secret_arn, api_key_of)
    return StripeApi(secret, livemode=settings.livemode, account=settings.account)


def open_database(settings: DatabaseSettings, *, read_timeout: float | None = None) -> Database:
    """Return a database that connects when it is first asked.

    Args:
        settings: Where it is, and how its credentials are found.
        read_timeout: Seconds to wait for one answer; nothing waits beyond a deadline.
    """
    credentials: Credentials
    if settings.password is not None:
        credentials = FixedCredentials(settings.user or "", settings.password)
    else:
        from settlement.adapters.secrets import SecretsManagerSecret

        credentials = SecretsManagerSecret(
            settings.secret_arn or "", partial(credentials_of, user=settings.user)
        )
    return Database(settings, credentials, read_timeout=read_timeout or READ_TIMEOUT_SECONDS)
