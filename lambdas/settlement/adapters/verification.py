"""Hold the real database against what settlement needs of it, and list all that does not fit.

Structure is read from ``information_schema``. What the user of the routes may do is not read but
tried, by statements that match no row, in a transaction that is rolled back: nothing is changed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, NamedTuple

from settlement.domain.money import decimals
from settlement.errors import SettlementError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from settlement.adapters.database import Database, Session
    from settlement.domain.clock import Deadline
    from settlement.domain.order_tables import (
        DiscountCodesTable,
        OrdersTable,
        OrderTables,
        TicketsTable,
    )

MIN_VERSION = (10, 6)
MAX_MESSAGE_BYTES = 2800
"""CloudFormation takes 4,096 bytes of a custom resource, and not all of it is the reason."""

_INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})
_TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext"})
_TIMES = frozenset({"datetime", "timestamp"})
_IDS = {"integer": _INTEGERS, "string": frozenset({"char", "varchar", "uuid"})}
_PAYMENT_INTENT_LENGTH, _SESSION_LENGTH, _EMAIL_LENGTH = 30, 70, 100
"""As long as Stripe's are today (27 and 66), and longer than nearly every address."""

_OURS: Mapping[str, Sequence[Sequence[str]]] = {
    "settlements": [["order_id"], ["payment_intent_id"], ["session_id"]],
    "stripe_events": [["event_id"]],
    "payment_anomalies": [["kind", "session_id"]],
    "reconciliation": [["mode"]],
}
"""Our tables, and the unique keys without which an order could be settled twice, or never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """One thing that does not fit."""

    where: str
    """A table, a column, or a part of the server."""
    found: str
    needed: str
    hint: str
    """How to get it, or which field of ``OrderTables`` says otherwise."""

    def __str__(self) -> str:
        return f"{self.where}: found {self.found}, needed {self.needed}. {self.hint}"


class DatabaseMismatch(SettlementError):
    """The deployment must not go on: the database is not what settlement needs. A person must look.

    The message names each mismatch, as many as CloudFormation takes; ``mismatches`` holds them all.
    """

    def __init__(self, mismatches: Sequence[Mismatch], *, also: str = "") -> None:
        """
        Args:
            mismatches: All of them.
            also: What else keeps the deployment from going on; said first.
        """
        self.mismatches = list(mismatches)
        super().__init__(_message(self.mismatches, also))


@dataclass(frozen=True, slots=True)
class _Column:
    """A column as information_schema describes it."""

    data_type: str
    column_type: str
    nullable: bool
    length: int | None
    scale: int | None
    has_default: bool


@dataclass(frozen=True, slots=True)
class _Need:
    """What settlement needs of a column."""

    field: str
    """Of ``OrderTables``, e.g. ``orders.status``."""
    column: str
    what: str
    fits: Callable[[_Column], bool]
    hint: str = ""


def verify(
    owner: Database, routes: Database, tables: OrderTables, deadline: Deadline, *, ours: bool = True
) -> list[Mismatch]:
    """Return all that does not fit, without changing anything.

    Args:
        owner: By a user who sees the tables: one that may alter them does.
        routes: By the user that the routes connect as.
        tables: What the shop's tables are said to be.
        deadline: When the result must be there.
        ours: Whether our own tables are looked at too: they are there once the migrations have run.

    Raises:
        LedgerUnavailable: the database could not be asked.
    """
    with owner.session(deadline) as session:
        found = verify_structure(session, tables)
        if ours:
            found += verify_our_tables(session)
    with routes.session(deadline) as session:
        return found + verify_privileges(session, tables)


def verify_structure(session: Session, tables: OrderTables) -> list[Mismatch]:
    """Return what does not fit of the server and of the shop's tables.

    Args:
        session: Of a user who sees the tables: one that may alter them does.
        tables: What the shop's tables are said to be.
    """
    return [*_server(session), *_Structure(session).shop(tables)]


def verify_our_tables(session: Session) -> list[Mismatch]:
    """Return what does not fit of our own tables, once the migrations have run."""
    return list(_Structure(session).ours())


def verify_privileges(
    session: Session, tables: OrderTables, *, read_only: bool = False
) -> list[Mismatch]:
    """Return what the session's user may not do and settlement does.

    What the server says is missing is not reported again.

    Args:
        session: Of the user that the routes connect as.
        tables: What the shop's tables are said to be.
        read_only: Whether the session's transactions are. The server looks for the privilege
            before it refuses to write; that it is read-only itself is not reported either.
    """
    allowed = _MISSING | _READ_ONLY if read_only else _MISSING
    [[user]] = session.query("SELECT CURRENT_USER()")
    denied: dict[tuple[str, str, str], list[str]] = {}
    for attempt in _attempts(tables):
        error = session.try_out(attempt.statement)
        if error is not None and error.number not in allowed:
            denied.setdefault((attempt.table, attempt.action, str(error)), []).append(attempt.what)
    return [
        Mismatch(
            where=f"table {table}",
            found=f"{error} when {user} tries to {action.lower()} {', '.join(what)}",
            needed=f"that {user} may {action.lower()} it",
            hint=f"GRANT {action} ON `{table}` TO that user; name a server that may be written.",
        )
        for (table, action, error), what in denied.items()
    ]


_MISSING = frozenset({1054, 1146})
"""Unknown column, no such table."""

_READ_ONLY = frozenset({1290, 1792})
"""The server is, or the transaction."""


class _Attempt(NamedTuple):
    table: str
    action: str
    what: str
    statement: str


def _server(session: Session) -> Iterator[Mismatch]:
    [[version, log_bin, binlog_format]] = session.query(
        "SELECT VERSION(), @@GLOBAL.log_bin, @@SESSION.binlog_format"
    )
    numbers = re.match(r"([0-9]+)\.([0-9]+)", version)
    if (
        "mariadb" not in version.lower()
        or numbers is None
        or (int(numbers[1]), int(numbers[2])) < MIN_VERSION
    ):
        yield Mismatch(
            where="the server",
            found=f"version {version}",
            needed="MariaDB 10.6 or later",
            hint="Name another server, or upgrade this one.",
        )
    if log_bin and str(binlog_format).upper() == "STATEMENT":
        yield Mismatch(
            where="the server",
            found="binlog_format STATEMENT",
            needed="ROW or MIXED: settlement runs at READ COMMITTED, which STATEMENT cannot log",
            hint="Set binlog_format in the server's parameters.",
        )


class _Structure:
    """The schema's tables, read in three queries."""

    def __init__(self, session: Session) -> None:
        self._engines: dict[str, str] = {
            name: str(engine) if kind == "BASE TABLE" else "a view"
            for name, engine, kind in session.query(
                "SELECT TABLE_NAME, ENGINE, TABLE_TYPE FROM information_schema.TABLES "
                "WHERE TABLE_SCHEMA = DATABASE()"
            )
        }
        [[folds_case]] = session.query("SELECT @@lower_case_table_names <> 0")
        self._folds_case = bool(folds_case)
        self._columns: dict[str, dict[str, _Column]] = {}
        for table, name, *column in session.query(
            "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE = 'YES', "
            "CHARACTER_MAXIMUM_LENGTH, NUMERIC_SCALE, "
            "COLUMN_DEFAULT IS NOT NULL AND COLUMN_DEFAULT <> 'NULL' "
            "FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE()"
        ):
            self._columns.setdefault(table, {})[name.lower()] = _column(column)
        self._unique: dict[str, list[list[str]]] = {}
        for table, columns in session.query(
            "SELECT TABLE_NAME, GROUP_CONCAT(LOWER(COLUMN_NAME) ORDER BY SEQ_IN_INDEX) "
            "FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() "
            "AND NON_UNIQUE = 0 GROUP BY TABLE_NAME, INDEX_NAME"
        ):
            self._unique.setdefault(table, []).append(columns.split(","))

    def shop(self, tables: OrderTables) -> Iterator[Mismatch]:
        orders, tickets, codes = tables.orders, tables.tickets, tables.discount_codes
        yield from self._table("orders", orders.table, orders.id, _orders(tables))
        yield from self._table("tickets", tickets.table, tickets.id, _tickets(tables))
        if codes is not None:
            needs = _discount_codes(codes, tables)
            yield from self._table("discount_codes", codes.table, codes.id, needs)

    def ours(self) -> Iterator[Mismatch]:
        hint = "The migrations make it so: find out who changed it, and restore it."
        for table, keys in _OURS.items():
            if table not in self._engines:
                yield Mismatch(where=f"table {table}", found="none", needed="ours", hint=hint)
                continue
            yield from self._engine(table, hint)
            for key in keys:
                if key not in self._unique.get(table, []):
                    yield Mismatch(
                        where=f"table {table}",
                        found=f"no unique key on {', '.join(key)}",
                        needed="one: it is what keeps an order from being settled twice",
                        hint=hint,
                    )

    def _table(self, part: str, name: str, key: str, needs: Sequence[_Need]) -> Iterator[Mismatch]:
        table = self._find(name)
        if table is None:
            yield Mismatch(
                where=f"table {name}",
                found=f"no such table among {self._names()}",
                needed="the table, visible to this user",
                hint=f"OrderTables.{part}.table says what it is called, DB_NAME in which schema.",
            )
            return
        yield from self._engine(table, f"ALTER TABLE `{table}` ENGINE = InnoDB.")
        for need in needs:
            yield from self._column(table, need)
        if [key.lower()] not in self._unique.get(table, []):
            yield Mismatch(
                where=f"table {table}",
                found=f"no unique key on {key} alone",
                needed="one: settlement locks one row by it",
                hint=f"Make {key} the primary key; OrderTables.{part}.id says which column it is.",
            )

    def _column(self, table: str, need: _Need) -> Iterator[Mismatch]:
        column = self._columns.get(table, {}).get(need.column.lower())
        other = f"OrderTables.{need.field} says which column it is"
        if column is None:
            if need.field in _OPTIONAL:
                other += ", or that there is none (null)"
            yield Mismatch(
                where=f"column {table}.{need.column}",
                found="no such column",
                needed=need.what,
                hint=f"{other}.",
            )
        elif not need.fits(column):
            yield Mismatch(
                where=f"column {table}.{need.column}",
                found=column.column_type + ("" if column.nullable else " NOT NULL"),
                needed=need.what,
                hint=f"{need.hint or 'ALTER the column'}; {other}.",
            )

    def _engine(self, table: str, hint: str) -> Iterator[Mismatch]:
        if (engine := self._engines[table]) != "InnoDB":
            yield Mismatch(
                where=f"table {table}",
                found=engine if engine == "a view" else f"engine {engine}",
                needed="engine InnoDB: a rollback must take everything back",
                hint=hint,
            )

    def _find(self, name: str) -> str | None:
        if not self._folds_case:
            return name if name in self._engines else None
        return next((table for table in self._engines if table.lower() == name.lower()), None)

    def _names(self) -> str:
        names = sorted(set(self._engines) - set(_OURS) - {"settlement_migrations"})
        return (", ".join(names[:10]) or "none at all") + (", …" if len(names) > 10 else "")


_OPTIONAL = frozenset(
    {"orders.currency", "orders.paid_at", "orders.session_id", "orders.email"}
) | {"tickets.max_quantity"}


def _orders(tables: OrderTables) -> list[_Need]:
    orders, unit = tables.orders, _amount(tables)
    needs = [
        _id("orders.id", orders.id, tables),
        _id("orders.ticket_id", orders.ticket_id, tables),
        _integer("orders.quantity", orders.quantity),
        unit,
        _status(tables),
        _text("orders.payment_intent_id", orders.payment_intent_id, _PAYMENT_INTENT_LENGTH),
    ]
    if tables.discount_codes is not None:
        needs.append(_id("orders.discount_code_id", orders.discount_code_id, tables))
    if orders.currency is not None:
        needs.append(_text("orders.currency", orders.currency, 3, nullable=False))
    if orders.paid_at is not None:
        needs.append(
            _Need("orders.paid_at", orders.paid_at, "DATETIME", lambda c: c.data_type in _TIMES)
        )
    if orders.session_id is not None:
        needs.append(_text("orders.session_id", orders.session_id, _SESSION_LENGTH, nullable=False))
    if orders.email is not None:
        needs.append(_text("orders.email", orders.email, _EMAIL_LENGTH, nullable=False))
    return needs


def _tickets(tables: OrderTables) -> list[_Need]:
    tickets = tables.tickets
    needs = [
        _id("tickets.id", tickets.id, tables),
        _counter("tickets.sold_quantity", tickets.sold_quantity),
    ]
    if tickets.max_quantity is not None:
        needs.append(_integer("tickets.max_quantity", tickets.max_quantity))
    return needs


def _discount_codes(codes: DiscountCodesTable, tables: OrderTables) -> list[_Need]:
    return [
        _id("discount_codes.id", codes.id, tables),
        _counter("discount_codes.used_count", codes.used_count),
    ]


def _id(field: str, column: str, tables: OrderTables) -> _Need:
    kind = tables.order_id
    other = "string" if kind == "integer" else "integer"
    return _Need(
        field,
        column,
        "an integer type" if kind == "integer" else "CHAR or VARCHAR of up to 64, or UUID",
        lambda c: c.data_type in _IDS[kind] and (c.length or 0) <= 64,
        f"OrderTables.order_id may say '{other}' (now '{kind}'); the ids of orders, tickets and "
        "discount codes are of one kind",
    )


def _integer(field: str, column: str) -> _Need:
    return _Need(field, column, "an integer type", lambda c: c.data_type in _INTEGERS)


def _counter(field: str, column: str) -> _Need:
    return _Need(
        field,
        column,
        "an integer type, NOT NULL or with a default: NULL cannot be counted up",
        lambda c: c.data_type in _INTEGERS and (not c.nullable or c.has_default),
    )


def _amount(tables: OrderTables) -> _Need:
    field, column = "orders.total_amount", tables.orders.total_amount
    hint = f"OrderTables.amount_unit says which unit it is in (now '{tables.amount_unit}')"
    if tables.amount_unit == "minor":
        return _Need(
            field,
            column,
            "an integer type: amounts are in minor units, 1250 for 12.50",
            lambda c: c.data_type in _INTEGERS,
            hint,
        )
    scale = 2 if tables.orders.currency or not tables.currency else decimals(tables.currency)
    return _Need(
        field,
        column,
        f"DECIMAL with at least {scale} decimals: amounts are in major units, 12.50",
        lambda c: c.data_type == "decimal" and (c.scale or 0) >= scale,
        hint,
    )


def _status(tables: OrderTables) -> _Need:
    words = tables.statuses
    written = [words.open, words.processing, words.payment_failed, words.paid]
    written += [words.held] if words.held is not None else []
    longest = max(map(len, written))

    def fits(column: _Column) -> bool:
        if column.data_type == "enum":
            allowed = {word.lower() for word in re.findall(r"'((?:[^']|'')*)'", column.column_type)}
            return {word.lower() for word in written} <= allowed
        return column.data_type in _TEXTS and (column.length or 0) >= longest

    return _Need(
        "orders.status",
        tables.orders.status,
        f"VARCHAR of at least {longest}, or an ENUM with {', '.join(written)}",
        fits,
        "OrderTables.statuses says what the words are",
    )


def _text(field: str, column: str, length: int, *, nullable: bool = True) -> _Need:
    """``nullable``: whether settlement writes NULL, as it does where nothing was to be paid."""
    what = f"VARCHAR of at least {length}" + (" that may be NULL" if nullable else "")
    return _Need(
        field,
        column,
        what,
        lambda c: (
            c.data_type in _TEXTS and (c.length or 0) >= length and (c.nullable or not nullable)
        ),
    )


def _attempts(tables: OrderTables) -> Iterator[_Attempt]:
    """Yield what settlement does, column by column, as statements that match no row."""
    orders, tickets, codes = tables.orders, tables.tickets, tables.discount_codes
    written = [orders.status, orders.payment_intent_id, orders.paid_at, orders.session_id]
    yield from _reads(orders, without=None if codes else orders.discount_code_id)
    yield from _updates(orders.table, *written, orders.email)
    yield from _reads(tickets)
    yield from _updates(tickets.table, tickets.sold_quantity)
    if codes is not None:
        yield from _reads(codes)
        yield from _updates(codes.table, codes.used_count)
    yield from _updates("stripe_events", "outcome")
    yield from _updates("payment_anomalies", "resolved_at")
    yield from _updates("reconciliation", "watermark")
    for table in _OURS:
        yield _Attempt(table, "SELECT", "rows", f"SELECT * FROM `{table}` WHERE FALSE")  # noqa: S608
        insert = f"INSERT INTO `{table}` SELECT * FROM `{table}` WHERE FALSE"  # noqa: S608
        yield _Attempt(table, "INSERT", "rows", insert)


def _reads(
    part: OrdersTable | TicketsTable | DiscountCodesTable, *, without: str | None = None
) -> Iterator[_Attempt]:
    names = [getattr(part, field.name) for field in fields(part) if field.name != "table"]
    for name in names:
        if name not in (None, without):
            select = f"SELECT `{name}` FROM `{part.table}` WHERE FALSE FOR UPDATE"  # noqa: S608
            yield _Attempt(part.table, "SELECT", name, select)


def _updates(table: str, *columns: str | None) -> Iterator[_Attempt]:
    for name in columns:
        if name is not None:
            update = f"UPDATE `{table}` SET `{name}` = NULL WHERE FALSE"  # noqa: S608
            yield _Attempt(table, "UPDATE", name, update)


def _column(row: Sequence[Any]) -> _Column:
    data_type, column_type, nullable, length, scale, has_default = row
    return _Column(data_type.lower(), column_type, bool(nullable), length, scale, bool(has_default))


def _message(mismatches: Sequence[Mismatch], also: str) -> str:
    text = f"{also}\n" if also else ""
    text += f"What does not fit of the database ({len(mismatches)}):"
    for number, mismatch in enumerate(mismatches, 1):
        line = f"\n{number}. {mismatch}"
        if len((text + line).encode()) > MAX_MESSAGE_BYTES:
            left = len(mismatches) - number + 1
            return f"{text}\nAnd {left} more: they stand in the function's log."
        text += line
    return text
