"""Amounts in minor units, as Stripe counts them, and in major units, as many tables hold them."""

from __future__ import annotations

from decimal import Decimal

_NO_DECIMALS = frozenset(
    {
        *("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg"),
        *("rwf", "vnd", "vuv", "xaf", "xof", "xpf"),
    }
)
_THREE_DECIMALS = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})


def decimals(currency: str) -> int:
    """Return how many decimals Stripe's minor unit of a currency stands for.

    From "Zero-decimal currencies", "Three-decimal currencies" and "Special cases" of Stripe's page
    "Supported currencies": ISK and UGX have no decimals any more and are still given with two.

    Args:
        currency: ISO 4217, lower case.
    """
    if currency in _NO_DECIMALS:
        return 0
    return 3 if currency in _THREE_DECIMALS else 2


def to_major(amount: int, currency: str) -> Decimal:
    """Return an amount of minor units in major units, exactly: 1250 of ``eur`` is 12.50."""
    return Decimal(amount).scaleb(-decimals(currency))
