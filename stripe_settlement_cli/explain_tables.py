"""What the database knows of a payment, as moments of `explain`'s timeline."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from stripe_settlement_cli.failure_reasons import printable

Row = dict[str, Any]


def order_lines(answer: dict[str, list[Row]]) -> list[str]:
    """Return a line for each order, as its row is now."""
    return [
        f"order {printable(str(each['id']))}  {printable(each['status'])}  "
        f"{each['amount']} {printable(each['currency'])} in minor units"
        for each in answer["orders"]
    ]


def ids_in(answer: dict[str, list[Row]]) -> set[str]:
    """Return the ids of orders, events, sessions and payments that belong together."""
    rows = [*answer["settlements"], *answer["events"], *answer["anomalies"]]
    names = ("order_id", "event_id", "session_id", "payment_intent_id")
    found = {str(each[name]) for each in rows for name in names if each.get(name)}
    return found | {str(each["id"]) for each in answer["orders"]}


def moments_in(answer: dict[str, list[Row]]) -> Iterator[tuple[float, str, str, str]]:
    """Yield (seconds since the epoch, outcome, what of, text); outcome '' where it decides nothing.

    Raises:
        KeyError, TypeError, ValueError: the answer is that of another version.
    """
    for each in answer["settlements"]:
        amount = f"{each['amount']} {printable(each['currency'])} in minor units"
        text = f"settled  {amount}  {printable(each['event_id'])} by {printable(each['route'])}"
        yield _seconds(each["settled_at"]), "settled", "", text
    for each in answer["events"]:
        outcome = printable(each["outcome"]).replace("_", " ")
        text = f"event {printable(each['event_id'])}  {outcome}, by {printable(each['route'])}"
        yield _seconds(each["processed_at"]), "", "", text
    for each in answer["anomalies"]:
        kind, resolution = printable(each["kind"]), printable(each["resolution"])
        name = f"anomaly {each['id']}  {kind}"
        yield _seconds(each["first_seen_at"]), "anomaly", kind, name
        if each["resolved_at"] is not None:
            text = f"{name}  closed: {resolution or 'by hand'}"
            yield _seconds(each["resolved_at"]), resolution or "dismissed", kind, text


def open_anomalies(answer: dict[str, list[Row]]) -> list[str]:
    """Return the open ones, as `anomaly 3 (second_payment)`."""
    return [
        f"anomaly {each['id']} ({printable(each['kind'])})"
        for each in answer["anomalies"]
        if each["resolved_at"] is None
    ]


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
