"""What the operator's command line may ask of the database: closed verbs, never SQL.

Results are ids, amounts, states and times, as JSON has them; nothing personal, and no text that a
person wrote. Amounts are in minor units, times in UTC.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from settlement.adapters.database import Statement, read_sql
from settlement.adapters.ledger import SQL
from settlement.adapters.migrations import read_migrations
from settlement.adapters.templates import words_of
from settlement.adapters.verification import (
    verify_our_tables,
    verify_privileges,
    verify_structure,
)
from settlement.domain.clock import utc_now
from settlement.domain.money import decimals
from settlement.domain.payments import read_order_id
from settlement.errors import LedgerUnavailable, SettlementError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from settlement.adapters.database import Database, Session
    from settlement.domain.clock import Deadline
    from settlement.domain.order_tables import OrderId, OrderTables

    Answer = dict[str, Any]

MAX_PAGE: Final = 100
MAX_ID: Final = 255
RESOLUTIONS: Final = ("settled", "refunded", "dismissed")
MAX_STATEMENT_SECONDS: Final = 20
"""For one reading statement: looking must not weigh on a database that is in trouble."""
_STRIPE_IDS: Final = ("evt_", "cs_", "pi_")
_NO_ID: Final = "-"
"""No id of Stripe's, and no order's: stands where a list must not be empty."""


class RequestRefused(SettlementError):
    """The request is none that is served; the message says what came and what is allowed."""


class ReadingOperations:
    """The verbs that read, each in a session that the server lets change nothing."""

    def __init__(self, database: Database, tables: OrderTables) -> None:
        """
        Args:
            database: By the user of the routes.
            tables: What the shop's tables are.
        """
        self._database = database
        self._tables = tables
        self._words = words_of(tables)
        self._verbs: Mapping[str, tuple[Callable[..., Answer], tuple[str, ...]]] = {
            "database": (self._describe_database, ()),
            "order": (self._find_order, ("id",)),
            "anomalies": (self._open_anomalies, ("after", "limit")),
            "unsettled": (self._unsettled, ("limit",)),
            "counters": (self._counters, ()),
            "known_events": (self._known_events, ("events",)),
        }

    def answer(self, request: object, deadline: Deadline) -> Answer:
        """Return what one request asks for.

        Args:
            request: ``{"verb": …}`` and the verb's arguments.
            deadline: When the answer must be there.

        Raises:
            RequestRefused: no such verb, or an argument that it does not take.
            LedgerUnavailable: the database could not be asked.
        """
        verb, arguments = _parse(
            request, {name: allowed for name, (_, allowed) in self._verbs.items()}
        )
        with self._database.session(deadline) as session:
            session.query("SET SESSION TRANSACTION READ ONLY")
            session.query(f"SET SESSION max_statement_time = {MAX_STATEMENT_SECONDS}")
            return self._verbs[verb][0](session, **arguments)

    def _describe_database(self, session: Session) -> Answer:
        [[version, tls, binlog_format, read_only]] = session.query(
            read_sql(SQL / "operations_server.sql")
        )
        transactions = self._if_allowed(session, "operations_long_transactions.sql")
        return {
            "version": version,
            "tls": tls or None,
            "binlog_format": binlog_format,
            "read_only": bool(int(read_only)) if str(read_only).isdecimal() else str(read_only),
            "migrations": self._migrations(session),
            "mismatches": [
                asdict(each)
                for each in [
                    *verify_structure(session, self._tables),
                    *verify_our_tables(session),
                    *verify_privileges(session, self._tables, read_only=True),
                ]
            ],
            "long_transactions": None
            if transactions is None
            else [{"thread": int(thread), "seconds": int(age)} for thread, age in transactions],
        }

    def _migrations(self, session: Session) -> Answer:
        known = {each.number: f"{each.number:04}_{each.name}" for each in read_migrations()}
        rows = self._if_allowed(session, "operations_migrations.sql")
        applied = None if rows is None else {int(number) for number, *_ in rows}
        return {
            "applied": None
            if applied is None
            else [known.get(n, f"{n:04}") for n in sorted(applied)],
            "pending": None if applied is None else [known[n] for n in known if n not in applied],
        }

    @staticmethod
    def _if_allowed(session: Session, file: str) -> Sequence[Sequence[Any]] | None:
        """Return the rows; ``None`` where the user may not look, or there is no such table."""
        statement = read_sql(SQL / file)
        return None if session.try_out(statement) else session.query(statement)

    def _find_order(self, session: Session, id: object = None) -> Answer:  # noqa: A002
        stripes = isinstance(id, str) and id.startswith(_STRIPE_IDS) and len(id) <= MAX_ID
        keys: list[str] = []
        if stripes:
            found = session.query(self._text("operations_find_order.sql"), {"id": id})
            keys = [str(key) for (key,) in found]
        elif (order_id := read_order_id(id, self._tables.order_id)) is not None:
            keys = [str(order_id)]
        else:
            raise RequestRefused(
                "id is not one; allowed is an order's id, or an id of Stripe's that begins with "
                f"{', '.join(_STRIPE_IDS)}"
            )
        ids = {"ids": keys or [_NO_ID], "id": id if stripes else _NO_ID}
        return {
            "orders": self._orders(session, keys),
            "settlements": self._rows(session, "operations_settlements.sql", ids),
            "events": self._rows(session, "operations_events.sql", ids),
            "anomalies": self._rows(session, "operations_anomalies.sql", ids),
        }

    def _open_anomalies(self, session: Session, after: object = 0, limit: object = 50) -> Answer:
        page = {
            "after": _whole("after", after, 0, 2**63 - 1),
            "limit": _whole("limit", limit, 1, MAX_PAGE),
        }
        found = self._rows(session, "operations_open_anomalies.sql", page)
        keys = [each["order_id"] for each in found if each["order_id"] is not None]
        orders = {str(each["id"]): each for each in self._orders(session, keys)}
        for each in found:
            order = orders.get(str(each["order_id"]), {})
            each["order_status"] = order.get("status")
            each["order_amount"] = order.get("amount")
            each["order_currency"] = order.get("currency")
        more = len(found) == page["limit"]
        return {"anomalies": found, "next_after": found[-1]["id"] if more else None}

    def _unsettled(self, session: Session, limit: object = 50) -> Answer:
        page = {"limit": _whole("limit", limit, 1, MAX_PAGE)}
        orders = self._rows(session, "operations_paid_without_settlement.sql", page)
        [last_day] = self._rows(session, "operations_last_day.sql", {})
        return {
            "orders_paid_without_settlement": [each["order_id"] for each in orders],
            "events_without_settlement": self._rows(
                session, "operations_unsettled_events.sql", page
            ),
            "last_24_hours": last_day,
        }

    def _counters(self, session: Session) -> Answer:
        return {
            "tickets": self._rows(session, "operations_ticket_counters.sql", {}),
            "discount_codes": self._rows(session, "operations_discount_counters.sql", {})
            if self._tables.discount_codes
            else [],
        }

    def _known_events(self, session: Session, events: object = None) -> Answer:
        found = self._rows(session, "operations_known_events.sql", {"events": _listed(events)})
        return {"outcomes": {each["event_id"]: each["outcome"] for each in found}}

    def _orders(self, session: Session, keys: Sequence[str]) -> list[Answer]:
        kind = self._tables.order_id
        # As the column holds them: compared with text, a numeric key would not be found by index.
        ids: list[OrderId | None] = [read_order_id(key, kind) for key in keys]
        known = [each for each in ids if each is not None]
        if not known:
            return []
        names, rows = session.table(self._text("operations_orders.sql"), {"ids": known})
        orders = [dict(zip(names, row, strict=True)) for row in rows]
        for order in orders:
            order["amount"] = self._minor(order["amount"], order["currency"])
        return [{name: _json(value) for name, value in each.items()} for each in orders]

    def _minor(self, amount: Any, currency: str) -> int:
        if self._tables.amount_unit == "minor":
            return int(amount)
        return int(Decimal(str(amount)).scaleb(decimals(currency)).to_integral_value())

    def _rows(self, session: Session, file: str, parameters: Mapping[str, object]) -> list[Answer]:
        names, rows = session.table(self._text(file), parameters)
        return [
            {name: _json(value) for name, value in zip(names, row, strict=True)} for row in rows
        ]

    def _text(self, file: str) -> str:
        return read_sql(SQL / file, self._words)


class ResolvingOperations:
    """The one verb that writes, and ``payment_anomalies`` alone."""

    def __init__(self, database: Database) -> None:
        """
        Args:
            database: By the user of the routes.
        """
        self._database = database

    @cached_property
    def _resolve(self) -> Statement:
        return Statement(SQL / "resolve_anomaly.sql")

    def answer(self, request: object, deadline: Deadline) -> Answer:
        """Close one anomaly; one that is closed already stays as it is.

        Args:
            request: ``{"verb": "resolve_anomaly", "id": …, "resolution": …, "by": …, "note": …}``.
            deadline: When the answer must be there.

        Returns:
            ``state`` (``resolved``, ``already_resolved``, ``not_settled`` or ``no_such_anomaly``),
            and the resolution that stands, with its time.

        Raises:
            RequestRefused: another verb, or an argument that it does not take.
            LedgerUnavailable: the outcome is not known; the request may be repeated.
        """
        allowed = {"resolve_anomaly": ("id", "resolution", "by", "note")}
        _, arguments = _parse(request, allowed)
        parameters = _resolution(**arguments)
        token = uuid.uuid4().hex
        now = utc_now().replace(tzinfo=None)
        values = {**parameters, "now": now, "request": token}
        row = self._database.run(self._resolve, values, deadline).row
        if row is None or len(row) != 4 or row[3] != token:
            raise LedgerUnavailable("the database's response belongs to another statement")
        state, resolution, resolved_at, _ = row
        return {
            "id": parameters["id"],
            "state": state,
            "resolution": resolution,
            "resolved_at": _json(resolved_at),
        }


def _resolution(
    id: object = None,  # noqa: A002 - the request's name for it
    resolution: object = None,
    by: object = None,
    note: object = None,
) -> dict[str, object]:
    if resolution not in RESOLUTIONS:
        raise RequestRefused(f"resolution is not one; allowed are {', '.join(RESOLUTIONS)}")
    if resolution == "dismissed" and not note:
        raise RequestRefused("note is missing; to dismiss an anomaly, say why in 1 to 1000 letters")
    return {
        "id": _whole("id", id, 1, 2**63 - 1),
        "resolution": resolution,
        "by": _said("by", by, 255),
        "note": None if note is None else _said("note", note, 1000),
    }


def _parse(
    request: object, allowed: Mapping[str, tuple[str, ...]]
) -> tuple[str, dict[str, object]]:
    arguments = dict(request) if isinstance(request, dict) else {}
    verb = arguments.pop("verb", None)
    if not isinstance(verb, str) or verb not in allowed:
        raise RequestRefused(f"verb is not one; allowed are {', '.join(allowed)}")
    if not set(arguments) <= set(allowed[verb]):
        names = ", ".join(allowed[verb]) or "no arguments"
        raise RequestRefused(f"{verb} takes other arguments; allowed are {names}")
    return verb, arguments


def _whole(name: str, value: object, minimum: int, maximum: int) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and minimum <= value <= maximum:
        return value
    raise RequestRefused(f"{name} must be a whole number from {minimum} to {maximum}")


def _listed(events: object) -> str:
    """Return a page of events as the statement reads them."""
    if not (
        isinstance(events, list)
        and len(events) <= MAX_PAGE
        and all(_is_event(each) for each in events)
    ):
        raise RequestRefused(
            f"events must be a list of up to {MAX_PAGE} objects, each with event_id and session_id"
        )
    return json.dumps(events)


def _is_event(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"event_id", "session_id"}
        and all(isinstance(each, str) and len(each) <= MAX_ID for each in value.values())
    )


def _said(name: str, value: object, longest: int) -> str:
    if isinstance(value, str) and 0 < len(value.strip()) <= len(value) <= longest:
        return value
    raise RequestRefused(f"{name} must be a text of 1 to {longest} letters")


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC).isoformat()
    if isinstance(value, Decimal):
        return int(value)
    return value if value is None or isinstance(value, int) else str(value)
