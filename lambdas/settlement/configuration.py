"""The environment of a function, read once into frozen settings.

A missing or malformed setting is one :class:`~settlement.errors.ConfigurationError` that names
every setting that is wrong, so that one deployment mends them all.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from settlement.domain.order_tables import OrderTables
from settlement.domain.payments import Rules
from settlement.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from settlement.domain.reconciliation import Limits

RDS_CA_BUNDLE = Path(__file__).parent / "certificates" / "rds-global-bundle.pem"
"""Amazon's certificate authorities for RDS ("Using SSL/TLS to encrypt a connection", RDS guide)."""

THIN_EVENTS_KEY = "THIN_EVENTS_KEY_SECRET_ARN"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """Where the ledger is, and how its credentials are found."""

    host: str
    port: int
    name: str
    user: str | None
    """``None``: the secret names it."""
    password: str | None = field(repr=False)
    secret_arn: str | None
    """Used when there is no password; the secret is JSON with ``password`` and ``username``."""
    ca_file: Path | None
    """The authorities the server's certificate is verified against; ``None``: no TLS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """What the webhook needs beyond the ledger."""

    secrets: tuple[str, ...] = field(repr=False)
    """Signing secrets; several while one is being rolled."""
    secret_arn: str | None
    """Used when there are no secrets; the secret is JSON with ``webhook_secret``."""
    tolerance: timedelta
    """How far a signature's timestamp may lie from now, in either direction."""
    max_body_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeApiSettings:
    """How Stripe's API is asked."""

    livemode: bool
    account: str | None
    """The connected account that is asked for; ``None``: the key's own."""
    api_key_secret_arn: str
    """The secret is JSON with ``api_key``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconciliationSettings:
    """What reconciliation needs beyond the ledger."""

    stripe: StripeApiSettings
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSources:
    """Whose EventBridge events are settled."""

    partner_source: str | None
    """The partner event source whose events alone are settled; ``None``: any of Stripe's."""
    forwarders: bool
    """Whether a forwarder of the shop's own (``stripe.com``) is believed: anybody in the account
    may put such an event on a bus, so not where money is real.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What every route needs."""

    database: DatabaseSettings
    tables: OrderTables
    rules: Rules
    fetches_sessions: bool
    """Whether there is a key that the sessions of thin events are fetched with."""


def read_configuration(environ: Mapping[str, str]) -> Configuration:
    """Read the settings of the ledger, the shop's tables and the rules.

    Raises:
        ConfigurationError: naming each setting that is missing or malformed.
    """
    read = _Reader(environ)
    tables = _read_order_tables(read)
    configuration = Configuration(
        database=_read_database(read),
        tables=tables,
        rules=_read_rules(read, tables),
        fetches_sessions=read.text(THIN_EVENTS_KEY) is not None,
    )
    read.raise_problems()
    return configuration


def read_event_sources(environ: Mapping[str, str]) -> EventSources:
    """Read whose EventBridge events are settled. Nothing here can be wrong."""
    read = _Reader(environ)
    live = (read.text("STRIPE_LIVEMODE") or "").lower() == "true"
    return EventSources(partner_source=read.text("STRIPE_EVENT_SOURCE"), forwarders=not live)


def read_order_tables(environ: Mapping[str, str]) -> OrderTables:
    """Read what the shop's tables are; without the setting they are the service's own.

    Raises:
        ConfigurationError: naming each field that is wrong.
    """
    read = _Reader(environ)
    tables = _read_order_tables(read)
    read.raise_problems()
    return tables


def read_database_settings(environ: Mapping[str, str]) -> DatabaseSettings:
    """Read the settings of the ledger alone, for the migrations.

    Raises:
        ConfigurationError: naming each setting that is missing or malformed.
    """
    read = _Reader(environ)
    database = _read_database(read)
    read.raise_problems()
    return database


def read_migration_settings(environ: Mapping[str, str]) -> DatabaseSettings:
    """Read the settings of the ledger for the migrations, which may have credentials of their own.

    Raises:
        ConfigurationError: naming each setting that is missing or malformed.
    """
    settings = read_database_settings(environ)
    secret_arn = environ.get("MIGRATION_SECRET_ARN")
    return replace(settings, password=None, secret_arn=secret_arn) if secret_arn else settings


def read_webhook_settings(environ: Mapping[str, str]) -> WebhookSettings:
    """Read the settings of the webhook.

    Raises:
        ConfigurationError: naming each setting that is missing or malformed.
    """
    read = _Reader(environ)
    secrets = split_secrets(read.text("STRIPE_WEBHOOK_SECRET") or "")
    secret_arn = read.text("STRIPE_SECRET_ARN")
    if not secrets and not secret_arn:
        read.problem("STRIPE_WEBHOOK_SECRET or STRIPE_SECRET_ARN is missing")
    settings = WebhookSettings(
        secrets=secrets,
        secret_arn=secret_arn,
        tolerance=timedelta(seconds=read.integer("SIGNATURE_TOLERANCE_SECONDS", 300, 1, 3600)),
        max_body_bytes=read.integer("WEBHOOK_MAX_BODY_BYTES", 512 * 1024, 1, 6 * 1024 * 1024),
    )
    read.raise_problems()
    return settings


def read_reconciliation_settings(environ: Mapping[str, str]) -> ReconciliationSettings:
    """Read the settings of reconciliation.

    Raises:
        ConfigurationError: naming each setting that is missing or malformed.
    """
    from settlement.domain.reconciliation import Limits  # the routes start without it

    read = _Reader(environ)
    default = Limits()
    settings = ReconciliationSettings(
        stripe=_read_stripe_api(read, "STRIPE_API_KEY_SECRET_ARN"),
        limits=Limits(
            young_after=read.seconds("RECONCILIATION_YOUNG_AFTER_SECONDS", default.young_after),
            overlap=read.seconds("RECONCILIATION_OVERLAP_SECONDS", default.overlap),
            look_back=read.seconds("RECONCILIATION_LOOK_BACK_SECONDS", default.look_back),
        ),
    )
    read.raise_problems()
    return settings


def read_thin_event_settings(environ: Mapping[str, str]) -> StripeApiSettings:
    """Read how the sessions of thin events are fetched.

    Raises:
        ConfigurationError: naming each setting that is missing or malformed.
    """
    read = _Reader(environ)
    settings = _read_stripe_api(read, THIN_EVENTS_KEY)
    read.raise_problems()
    return settings


def split_secrets(value: str) -> tuple[str, ...]:
    """Split a comma-separated list of signing secrets."""
    return tuple(secret for part in value.split(",") if (secret := part.strip()))


def _read_database(read: _Reader) -> DatabaseSettings:
    password, secret_arn = read.verbatim("DB_PASSWORD"), read.text("DB_SECRET_ARN")
    user, host = read.text("DB_USER"), read.text("DB_HOST", required=True) or ""
    if not password and not secret_arn:
        read.problem("DB_PASSWORD or DB_SECRET_ARN is missing")
    if password and not user:
        read.problem("DB_USER is missing")
    return DatabaseSettings(
        host=host,
        port=read.integer("DB_PORT", 3306, 1, 65535),
        name=read.text("DB_NAME", required=True) or "",
        user=user,
        password=password,
        secret_arn=secret_arn,
        ca_file=_read_tls(read, host),
    )


def _read_tls(read: _Reader, host: str) -> Path | None:
    """TLS is verified; off only by an explicit setting, or for a loopback address."""
    default = "off" if _is_loopback(host) else "verify"
    if read.choice("DB_TLS", default, ("verify", "off")) == "off":
        return None
    ca_file = Path(read.text("DB_TLS_CA") or RDS_CA_BUNDLE)
    if not ca_file.is_file():
        read.problem("DB_TLS_CA names no file")
    return ca_file


def _read_order_tables(read: _Reader) -> OrderTables:
    try:
        return OrderTables.parse(read.text("ORDER_TABLES") or "{}")
    except ConfigurationError as error:
        read.problem(str(error))
        return OrderTables()


def _read_rules(read: _Reader, tables: OrderTables) -> Rules:
    livemode = read.choice("STRIPE_LIVEMODE", "", ("", "true", "false"))
    return Rules(
        livemode=None if livemode == "" else livemode == "true",
        account=read.text("STRIPE_ACCOUNT"),
        metadata=_read_metadata_filter(read),
        order_id=tables.order_id,
        order_grace=timedelta(seconds=read.integer("ORDER_GRACE_SECONDS", 120, 0, 86400)),
    )


def _read_stripe_api(read: _Reader, key: str) -> StripeApiSettings:
    livemode = read.choice("STRIPE_LIVEMODE", "", ("", "true", "false"))
    if livemode == "":
        read.problem("STRIPE_LIVEMODE is missing")
    return StripeApiSettings(
        livemode=livemode == "true",
        account=read.text("STRIPE_ACCOUNT"),
        api_key_secret_arn=read.text(key, required=True) or "",
    )


def _read_metadata_filter(read: _Reader) -> tuple[str, str] | None:
    text = read.text("STRIPE_METADATA_FILTER")
    if text is None:
        return None
    key, separator, value = (part.strip() for part in text.partition("="))
    if not (key and separator and value):
        read.problem("STRIPE_METADATA_FILTER must be key=value")
    return key, value


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Reader:
    """Reads settings and collects what is wrong with them. Values never enter a message."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._problems: list[str] = []

    def problem(self, text: str) -> None:
        self._problems.append(text)

    def raise_problems(self) -> None:
        if self._problems:
            raise ConfigurationError("wrong settings: " + "; ".join(self._problems))

    def text(self, name: str, *, required: bool = False) -> str | None:
        value = self._environ.get(name, "").strip()
        if required and not value:
            self.problem(f"{name} is missing")
        return value or None

    def verbatim(self, name: str) -> str | None:
        """Return the value as it is: a password may begin or end with a blank."""
        value = self._environ.get(name, "")
        return value if value.strip() else None

    def integer(self, name: str, default: int, least: int, most: int) -> int:
        value = self.text(name)
        if value is None:
            return default
        if not (value.isascii() and value.isdecimal() and least <= int(value) <= most):
            self.problem(f"{name} must be a whole number from {least} to {most}")
            return default
        return int(value)

    def seconds(self, name: str, default: timedelta) -> timedelta:
        """Up to 30 days, which is how long Stripe keeps events."""
        return timedelta(
            seconds=self.integer(name, int(default.total_seconds()), 0, 30 * 24 * 3600)
        )

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = (self.text(name) or default).lower()
        if value not in allowed:
            self.problem(f"{name} must be one of: {', '.join(filter(None, allowed))}")
        return value
