"""Amounts are exact: integers and decimals, never a float."""

from __future__ import annotations

import decimal
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settlement.domain.money import decimals, to_major

CURRENCIES = {"jpy": 0, "krw": 0, "eur": 2, "usd": 2, "isk": 2, "ugx": 2, "kwd": 3, "tnd": 3}


@pytest.mark.parametrize(("currency", "places"), CURRENCIES.items())
def test_decimals_are_those_of_stripes_minor_unit(currency: str, places: int) -> None:
    assert decimals(currency) == places


@given(amount=st.integers(0, 2**63 - 1), currency=st.sampled_from(sorted(CURRENCIES)))
def test_any_amount_comes_back_from_major_units_to_the_last_digit(
    amount: int, currency: str
) -> None:
    with decimal.localcontext() as context:
        context.traps[decimal.FloatOperation] = True
        context.traps[decimal.Inexact] = True
        major = to_major(amount, currency)

    assert type(major) is Decimal
    digits = f"{amount:0{CURRENCIES[currency] + 1}d}"
    places = CURRENCIES[currency]
    text = f"{digits[:-places]}.{digits[-places:]}" if places else digits
    assert f"{major:f}" == text
