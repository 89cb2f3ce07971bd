"""Doctor's lines about the database, made of what the stack's own function reads there."""

from collections.abc import Callable, Iterator
from typing import Any

from stripe_settlement_cli.failure_reasons import printable
from stripe_settlement_cli.finding import Finding, State
from stripe_settlement_cli.operations import OperationsError
from stripe_settlement_cli.report import age, counted

Ask = Callable[[str], dict[str, Any]]
"""Returns what a verb answers."""


def database_lines(ask: Ask, stack: str, migration: str | None) -> list[tuple[str, Finding]]:
    """Return a line for each thing that is looked at, with its check's name.

    Args:
        ask: asks the function that reads.
        stack: its name, for the commands that mend.
        migration: the name of its function that applies migrations; None without one.

    Raises:
        OperationsError: the function did not say what the database is.
        KeyError, TypeError, ValueError: its answer is that of another version.
    """
    described = ask("database")
    return [
        ("server", _server(described)),
        *(("tables", each) for each in _tables(described["mismatches"])),
        ("migrations", _migrations(described["migrations"], migration)),
        *(("transactions", each) for each in _transactions(described["long_transactions"])),
        *_answered("counters", ask, _counters),
        *_answered("anomalies", ask, lambda found: iter((_anomalies(found, stack),))),
        *_answered("unsettled", ask, lambda found: _unsettled(found, stack)),
    ]


def _answered(
    verb: str, ask: Ask, lines: Callable[[dict[str, Any]], Iterator[Finding]]
) -> Iterator[tuple[str, Finding]]:
    """Yield the lines of one answer; a table that is not as it was keeps no other from its line."""
    try:
        found = ask(verb)
    except OperationsError as error:
        yield verb, Finding(State.UNKNOWN, f"{verb} not looked at: {error}", "Run this again.")
        return
    yield from ((verb, each) for each in lines(found))


def _server(described: dict[str, Any]) -> Finding:
    text = f"MariaDB {printable(described['version'])}, binlog {described['binlog_format']}"
    if described["read_only"]:
        return Finding(State.BROKEN, f"{text}: read-only", "Name the writer as DbHost, and deploy.")
    if described["tls"] is None:
        return Finding(State.ADVICE, f"{text}, without TLS", "DatabaseConnection(tls=True)")
    return Finding(State.WELL, f"secret read, {printable(described['tls'])}, {text}")


def _tables(mismatches: list[dict[str, str]]) -> Iterator[Finding]:
    for each in mismatches:
        where, found, needed, hint = (
            printable(each[name]) for name in ("where", "found", "needed", "hint")
        )
        yield Finding(State.BROKEN, f"{where}: found {found}, needed {needed}", hint)
    if not mismatches:
        yield Finding(State.WELL, "tables as OrderTables says, and every privilege on them")


def _migrations(migrations: dict[str, Any], function: str | None) -> Finding:
    applied, pending = migrations["applied"], migrations["pending"]
    if applied is None:
        text = "migrations not looked at: the user may not read settlement_migrations"
        return Finding(State.UNKNOWN, text, "GRANT SELECT on it to the user of the functions.")
    text = f"migrations {len(applied)} of {len(applied) + len(pending)}"
    if pending:
        names = printable(", ".join(pending))
        hint = "Deploy a stack with a migration function."
        if function:
            hint = (
                f"aws lambda invoke --function-name {function} answer.json; "
                "a `cdk deploy` of the same version applies nothing."
            )
        return Finding(State.BROKEN, f"{text}: {names} missing", hint)
    return Finding(State.WELL, text)


def _transactions(found: list[dict[str, int]] | None) -> Iterator[Finding]:
    if found is None:
        text = "long transactions not looked at: the user lacks the privilege PROCESS"
        yield Finding(State.ADVICE, text, "GRANT PROCESS ON *.* TO the user of the functions.")
        return
    for each in found:
        text = f"a transaction has been open for {age(each['seconds'])} (thread {each['thread']})"
        yield Finding(
            State.ADVICE, text, "'Function duration' in the runbook says how to find whose it is."
        )
    if not found:
        yield Finding(State.WELL, "no transaction is open for a minute or more")


def _counters(found: dict[str, list[dict[str, Any]]]) -> Iterator[Finding]:
    differing = [
        *(("ticket", "sold", each) for each in found["tickets"]),
        *(("discount code", "used", each) for each in found["discount_codes"]),
    ]
    for noun, verb, each in differing:
        text = (
            f"{noun} {printable(str(each['id']))}: {each['counter']} {verb} by its counter, "
            f"{each['paid']} by its paid orders"
        )
        yield Finding(State.ADVICE, text, "A shop that counts refunds otherwise may mean it so.")
    if not differing:
        yield Finding(State.WELL, "every counter is what its paid orders add up to")


def _anomalies(found: dict[str, Any], stack: str) -> Finding:
    count = len(found["anomalies"])
    more = "+" if found["next_after"] is not None else ""
    if not count:
        return Finding(State.WELL, "0 open anomalies")
    noun = "anomaly" if count == 1 and not more else "anomalies"
    hint = f"stripe-settlement anomalies list --stack {stack}"
    return Finding(State.BROKEN, f"{count}{more} open {noun}", hint)


def _unsettled(found: dict[str, Any], stack: str) -> Iterator[Finding]:
    day = found["last_24_hours"]
    text = f"{int(day['settled'])} of {int(day['paid'])} paid in the last 24 h are settled"
    if events := found["events_without_settlement"]:
        first = printable(events[0]["event_id"])
        yield Finding(
            State.BROKEN,
            f"{text}; {counted(len(events), 'event')} of a payment without a settlement",
            f"stripe-settlement explain --stack {stack} {first}",
        )
    else:
        yield Finding(State.WELL, text)
    if orders := found["orders_paid_without_settlement"]:
        yield Finding(
            State.ADVICE,
            f"{counted(len(orders), 'order')} paid without a settlement, "
            f"the newest {printable(str(orders[0]))}",
            "Those paid before this was deployed have none.",
        )
