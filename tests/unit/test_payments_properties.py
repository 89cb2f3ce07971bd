"""Whatever JSON arrives, reading it gives an answer and no surprise."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from settlement.domain.outcomes import AnomalyKind
from settlement.domain.payments import (
    HANDLED_TYPES,
    MAX_BIGINT,
    Anomaly,
    Ignored,
    Payment,
    Rules,
    Unfetched,
    read_event,
    read_order_id,
    read_payment,
)
from settlement.errors import ConfigurationError, RejectedDelivery
from tests.support.events import STRIPE_EVENTS, load

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=30)  # lone surrogates too: JSON can spell them
    | st.sampled_from(["event", "paid", "payment", "eur", "42", "1970-01-01T00:00:00Z"])
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
anything = st.builds(
    Rules,
    livemode=st.none() | st.booleans(),
    account=st.none() | st.sampled_from(["acct_1ExampleConnected0001", "acct_another"]),
)


@st.composite
def mutated_events(draw: st.DrawFn) -> Any:
    """A real event with a few of its values replaced or removed, at any depth."""
    event = load(draw(st.sampled_from(STRIPE_EVENTS)))
    for _ in range(draw(st.integers(1, 3))):
        _mutate(event, draw)
    return event


def _mutate(event: dict[str, Any], draw: st.DrawFn) -> None:
    node: dict[str, Any] = event
    while node:
        key = draw(st.sampled_from(sorted(node)))
        if isinstance(node[key], dict) and draw(st.integers(0, 3)):
            node = node[key]
            continue
        if draw(st.booleans()):
            del node[key]
        else:
            node[key] = draw(json_values)
        return


def reading_of(value: object, rules: Rules) -> Payment | Anomaly | Ignored | Unfetched | None:
    try:
        event = read_event(deepcopy(value))
    except RejectedDelivery:
        return None
    try:
        return read_payment(event, rules)
    except ConfigurationError:  # `context` names an account, and no setting says which is ours
        assert event.context is not None
        return None


@settings(deadline=None)
@given(json_values, anything)
def test_any_json_is_rejected_or_read(value: object, rules: Rules) -> None:
    reading_of(value, rules)


@settings(deadline=None, max_examples=500)
@given(mutated_events(), anything)
def test_a_payment_holds_only_what_the_ledger_can_keep(value: object, rules: Rules) -> None:
    reading = reading_of(value, rules)
    if isinstance(reading, Payment):
        assert reading.event.type in HANDLED_TYPES
        assert isinstance(reading.order_id, int)
        assert 1 <= reading.order_id <= MAX_BIGINT
        assert type(reading.amount) is int
        assert 0 <= reading.amount <= MAX_BIGINT
        assert len(reading.currency) == 3
    if isinstance(reading, Payment | Anomaly):
        ids = [reading.session_id, reading.event.id, reading.event.type]
        optional = [reading.payment_intent_id, reading.event.api_version]
        assert all(value.isascii() and 1 <= len(value) <= 255 for value in ids)
        assert all(value.isascii() and len(value) <= 255 for value in optional if value)
        assert reading.event.created.tzinfo is not None


@settings(deadline=None, max_examples=300)
@given(mutated_events())
def test_a_reading_survives_the_way_over_the_wire(value: Any) -> None:
    once = reading_of(value, Rules())
    again = reading_of(json.loads(json.dumps(value)), Rules())
    assert repr(once) == repr(again)


@settings(deadline=None)
@given(st.text(st.characters(), max_size=25) | st.from_regex(r"\A\s?[+-]?\d{0,21}\Z"))
def test_an_order_id_has_one_spelling(text: str) -> None:
    number = read_order_id(text)
    assert number is None or (str(number) == text and 1 <= int(number) <= MAX_BIGINT)


def test_every_anomaly_kind_fits_its_column() -> None:
    assert max(len(kind) for kind in AnomalyKind) <= 32
