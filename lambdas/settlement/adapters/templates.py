"""Make SQL for a shop's tables from a described file.

A name in braces stands for a quoted identifier or another piece of SQL. A line that names a column
the shop does not have is left out; so is what stands between ``-- if NAME`` and ``-- end if`` where
it has no ``NAME``. Comments and line breaks are left out too.
"""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from settlement.domain.order_tables import (
        DiscountCodesTable,
        OrdersTable,
        OrderTables,
        TicketsTable,
    )

    Words = Mapping[str, str | None]

_NAME = re.compile(r"\{([\w.]+)\}")
_IF = re.compile(r"\s*-- if ([\w.]+)")
_END_IF = re.compile(r"\s*-- end if")
_PLAIN = re.compile(r"[A-Za-z0-9_ .:/-]*", re.ASCII)


def render(template: str, words: Words) -> str:
    """Return the template as one statement.

    Args:
        template: The text of the file.
        words: What each name stands for; ``None``: the shop does not have it.
    """
    kept, lines = [True], []
    for line in template.splitlines():
        if match := _IF.fullmatch(line):
            kept.append(kept[-1] and words[match[1]] is not None)
        elif _END_IF.fullmatch(line):
            kept.pop()
        else:
            code = line.partition("--")[0]
            if kept[-1] and all(words[name] is not None for name in _NAME.findall(code)):
                lines.append(code)
    text = re.sub(r"\s+", " ", " ".join(lines)).strip()
    # Last, and once: what stands for a name is never read as a comment or as another name.
    return _NAME.sub(lambda match: str(words[match[1]]), text)


def words_of(tables: OrderTables) -> Words:
    """Return what the names in our SQL files stand for, for these tables."""
    parts: dict[str, OrdersTable | TicketsTable | DiscountCodesTable | None] = {
        "orders": tables.orders,
        "tickets": tables.tickets,
        "discount_codes": tables.discount_codes,
    }
    words: dict[str, str | None] = {}
    for name, part in parts.items():
        words[name] = None if part is None else f"`{part.table}`"
        for field in () if part is None else fields(part):
            column = getattr(part, field.name)
            words[f"{name}.{field.name}"] = None if column is None else f"`{column}`"
    statuses = tables.statuses
    for name in ("open", "processing", "payment_failed", "paid"):
        words[name] = _text(getattr(statuses, name))
    words["held"] = words["statuses.held"] = statuses.held and _text(statuses.held)
    status, amount = words["orders.status"], words["orders.total_amount"]
    settled_from = (statuses.open, statuses.processing, statuses.payment_failed, statuses.held)
    words["order_is_open"] = _is_one_of(status, [word for word in settled_from if word])
    words["order_is_refunded"] = _is_one_of(status, statuses.refunded)
    words["order_currency"] = (
        f"LOWER({words['orders.currency']})" if tables.orders.currency else _text(tables.currency)
    )
    words["currency_fits"] = f"{words['order_currency']} = %(currency)s"
    words["amount_fits"] = (
        f"ABS({amount} - %(total)s) <= %(tolerance)s * {words['orders.quantity']}"
    )
    words["id_type"] = (
        "BIGINT"
        if tables.order_id == "integer"
        else "VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin"
    )
    words["settles_when_sold_out"] = "FALSE" if tables.when_sold_out == "hold" else "TRUE"
    return words


def batch_words_of(words: Words) -> Words:
    """Return what the names stand for where a payment is a row beside its order's."""
    changed: dict[str, str | None] = {}
    for name in ("amount_fits", "currency_fits"):
        changed[name] = re.sub(r"%\((\w+)\)s", r"p_\1", words[name] or "")
    changed["ascii"] = "CHARACTER SET ascii COLLATE ascii_bin"
    changed["discount_code_or_null"] = (
        words["orders.discount_code_id"] if words["discount_codes"] else "NULL"
    )
    return {**words, **changed}


def _is_one_of(column: str | None, words: list[str] | tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(map(_text, words))})" if words else "FALSE"


def _text(word: str | None) -> str:
    """Return a word as SQL, in hexadecimal digits where quotes would not be enough."""
    word = word or ""
    return f"'{word}'" if _PLAIN.fullmatch(word) else f"_utf8mb4 X'{word.encode().hex()}'"
