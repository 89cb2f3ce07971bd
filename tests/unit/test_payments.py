"""A Stripe event becomes a payment of an order, an anomaly, or nothing of ours."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from settlement.domain.outcomes import AnomalyKind
from settlement.domain.payments import (
    Anomaly,
    Ignored,
    Payment,
    PaymentState,
    Rules,
    Unfetched,
    read_event,
    read_fetched,
    read_order_id,
    read_payment,
)
from settlement.errors import ConfigurationError, RejectedDelivery, StripeUnavailable
from tests.support.events import (
    ASYNC_FAILED,
    ASYNC_SUCCEEDED,
    CONNECT,
    NO_PAYMENT_REQUIRED,
    OTHER_TYPE,
    PAID,
    PAID_OLD_API_VERSION,
    THIN,
    UNPAID,
    load,
    session_event,
)
from tests.support.invocations import NOW


def read(value: object, **rules: Any) -> Payment | Anomaly | Ignored | Unfetched:
    return read_payment(read_event(value), Rules(**rules))


def read_thin(name: str, *, type: str | None = None, **session: Any) -> Any:  # noqa: A002 - Stripe's
    """What a thin event means that is of the file's type, and whose session is the file's."""
    snapshot = session_event(name, **session)
    event = {**load(THIN), "type": f"v1.{type or snapshot['type']}"}
    return read_fetched(read_event(event), snapshot["data"]["object"], Rules())


def any_anomaly(value: object) -> Anomaly:
    reading = read(value)
    assert isinstance(reading, Anomaly)
    return reading


@pytest.mark.parametrize("name", [PAID, PAID_OLD_API_VERSION])
def test_a_paid_session_is_a_payment_whatever_the_api_version(name: str) -> None:
    value = load(name)
    assert read(value) == Payment(
        event=read_event(value),
        order_id=42,
        session_id=value["data"]["object"]["id"],
        payment_intent_id="pi_3Example0000000000000042",
        amount=2598,
        currency="eur",
        state=PaymentState.PAID,
        email=value["data"]["object"]["customer_details"]["email"],
    )


@pytest.mark.parametrize(
    ("name", "state"),
    [
        (UNPAID, PaymentState.UNPAID),
        (ASYNC_SUCCEEDED, PaymentState.PAID),
        (ASYNC_FAILED, PaymentState.FAILED),
    ],
)
def test_an_asynchronous_method_is_unpaid_until_it_succeeds(name: str, state: PaymentState) -> None:
    reading = read(load(name))
    assert isinstance(reading, Payment)
    assert reading.state is state


def test_a_checkout_that_needs_no_payment_pays_nothing_without_an_intent() -> None:
    reading = read(load(NO_PAYMENT_REQUIRED))
    assert isinstance(reading, Payment)
    assert (reading.amount, reading.payment_intent_id, reading.state) == (0, None, "paid")


def test_no_payment_required_never_pays_an_amount() -> None:
    reading = read(session_event(payment_status="no_payment_required", amount_total=2598))
    assert isinstance(reading, Payment)
    assert reading.amount == 0


def test_the_presentment_currency_is_not_what_the_order_is_paid_in() -> None:
    details = {"presentment_amount": 2999, "presentment_currency": "usd"}
    reading = read(session_event(presentment_details=details))
    assert isinstance(reading, Payment)
    assert (reading.amount, reading.currency) == (2598, "eur")


def test_the_envelope_is_read_with_an_aware_time() -> None:
    event = read_event(load(PAID))
    assert (event.created, event.created.utcoffset()) == (NOW, timedelta(0))
    assert (event.id, event.type) == ("evt_1Example00000000000000042", "checkout.session.completed")
    assert (event.api_version, event.account) == ("2026-10-28.endive", None)


@pytest.mark.parametrize("order_id", ["1", "42", "999999999999999999", str(2**63 - 1)])
def test_an_order_id_is_a_decimal_number_that_fits_a_bigint(order_id: str) -> None:
    assert read_order_id(order_id) == int(order_id)


@pytest.mark.parametrize(
    "order_id",
    [
        "1 OR 1",
        "01",
        "\N{FULLWIDTH DIGIT ONE}",
        "1\N{ARABIC-INDIC DIGIT TWO}",
        str(2**63),
        "9" * 20,
        "1" * 10_000,
        "",
        " 1",
        "1\n",
        "+1",
        "-1",
        "1e3",
        "1_0",
        "1.0",
        "0",
        0,
        42,
        42.0,
        True,
        ["42"],
        {"42": 42},
    ],
    ids=repr,
)
def test_any_other_order_id_is_an_anomaly(order_id: object) -> None:
    value = session_event(amount_total=100, payment_intent="pi_1", metadata={"order_id": order_id})
    anomaly = any_anomaly(value)
    assert (anomaly.kind, anomaly.order_id) == (AnomalyKind.MALFORMED_ORDER_ID, None)
    assert (anomaly.session_id, anomaly.amount) == (value["data"]["object"]["id"], 100)
    assert (anomaly.payment_intent_id, anomaly.currency) == ("pi_1", "eur")


def test_the_malformed_order_id_is_not_repeated() -> None:
    metadata = {"order_id": "jenny.rosen@example.com"}
    assert "jenny" not in any_anomaly(session_event(metadata=metadata)).detail


@pytest.mark.parametrize("metadata", [None, {}, {"order_id": None}, {"cart": "7"}, [], "42", 42])
def test_a_session_whose_metadata_names_no_order_is_ignored(metadata: object) -> None:
    assert isinstance(read(session_event(metadata=metadata)), Ignored)


@pytest.mark.parametrize("mode", ["subscription", "setup", None, "PAYMENT"])
def test_a_session_of_another_mode_is_ignored_while_nothing_is_paid(mode: object) -> None:
    value = session_event(mode=mode, payment_status="no_payment_required")
    assert isinstance(read(value), Ignored)


@pytest.mark.parametrize("mode", ["subscription", "setup", None, "PAYMENT"])
def test_money_for_an_order_of_ours_in_another_mode_is_an_anomaly(mode: object) -> None:
    anomaly = any_anomaly(session_event(mode=mode, order_id=7))
    assert (anomaly.kind, anomaly.order_id) == (AnomalyKind.UNSUPPORTED_MODE, 7)


def test_a_payment_intent_that_was_expanded_is_known_by_its_id() -> None:
    reading = read(session_event(payment_intent={"id": "pi_1", "object": "payment_intent"}))
    assert isinstance(reading, Payment)
    assert reading.payment_intent_id == "pi_1"


def test_the_payers_address_is_the_sessions_and_then_the_customers() -> None:
    details = {"email": "details@example.com"}
    first = read(session_event(customer_email="own@example.com", customer_details=details))
    second = read(session_event(customer_email=None, customer_details=details))
    neither = read(session_event(customer_email=None, customer_details=None))
    assert [
        reading.email for reading in (first, second, neither) if isinstance(reading, Payment)
    ] == [
        "own@example.com",
        "details@example.com",
        None,
    ]


def test_no_repr_of_a_payment_tells_the_payers_address() -> None:
    reading = read(session_event(customer_email="jenny.rosen@example.com"))
    assert isinstance(reading, Payment)
    assert "jenny" not in repr(reading)


@pytest.mark.parametrize(
    ("context", "account"),
    [("acct_1", "acct_1"), ("org_1/acct_1", "acct_1"), (None, None)],
)
def test_an_event_of_the_account_that_is_set_is_ours(context: object, account: str | None) -> None:
    value = session_event(event={"context": context})
    assert isinstance(read(value, account=account), Payment)


@pytest.mark.parametrize("context", ["acct_2", "org_1/acct_2", "acct_1/acct_2", 7])
def test_an_event_of_another_account_of_the_organisation_is_ignored(context: object) -> None:
    value = session_event(event={"context": context})
    assert isinstance(read(value, account="acct_1"), Ignored)


def test_an_account_in_the_context_is_never_guessed_at() -> None:
    with pytest.raises(ConfigurationError, match="set STRIPE_ACCOUNT"):
        read(session_event(event={"context": "acct_1"}))


def test_orders_of_another_shop_on_the_account_are_ignored() -> None:
    theirs = session_event(metadata={"order_id": "7", "shop": "other"})
    ours = session_event(metadata={"order_id": "7", "shop": "cachao"})
    assert isinstance(read(theirs, metadata=("shop", "cachao")), Ignored)
    assert isinstance(read(ours, metadata=("shop", "cachao")), Payment)


@pytest.mark.parametrize("value", ["0b9d0b1e-7c43-4a6d-9d1e-5a0f0c3a9f11", "A-1", "x" * 64])
def test_an_order_id_may_be_a_string(value: str) -> None:
    reading = read(session_event(metadata={"order_id": value}), order_id="string")
    assert isinstance(reading, Payment)
    assert reading.order_id == value


@pytest.mark.parametrize("value", ["", "x" * 65, "with blank", "\N{SNOWMAN}", 7])
def test_any_other_string_is_no_order_id(value: object) -> None:
    reading = read(session_event(metadata={"order_id": value}), order_id="string")
    assert isinstance(reading, Anomaly)
    assert reading.kind is AnomalyKind.MALFORMED_ORDER_ID


@pytest.mark.parametrize(
    "value",
    [
        load(OTHER_TYPE),
        session_event(event={"type": "checkout.session.expired"}),
        session_event(event={"type": "Checkout.Session.Completed"}),
    ],
    ids=["payment_intent", "expired", "case"],
)
def test_another_type_is_ignored(value: object) -> None:
    assert isinstance(read(value), Ignored)


@pytest.mark.parametrize("data", [None, {}, [], {"object": None}, {"object": []}])
def test_a_snapshot_without_a_session_is_ignored(data: object) -> None:
    assert isinstance(read({**load(PAID), "data": data}), Ignored)


def test_a_thin_event_of_ours_names_the_session_to_fetch() -> None:
    reading = read(load(THIN))
    assert isinstance(reading, Unfetched)
    assert reading.session_id == load(THIN)["related_object"]["id"]
    assert reading.event.created == NOW + timedelta(milliseconds=330)


@pytest.mark.parametrize(
    "related",
    [None, [], "cs_test_1", {}, {"id": None}, {"id": "pi_1"}, {"id": "cs_1/../../v1/charges"}],
    ids=str,
)
def test_a_thin_event_without_a_session_is_an_anomaly_known_by_its_own_id(related: object) -> None:
    anomaly = any_anomaly({**load(THIN), "related_object": related})
    assert (anomaly.kind, anomaly.session_id) == (AnomalyKind.THIN_EVENT, load(THIN)["id"])


@pytest.mark.parametrize("name", [PAID, UNPAID, ASYNC_SUCCEEDED, ASYNC_FAILED, NO_PAYMENT_REQUIRED])
def test_a_thin_event_means_what_the_snapshot_of_its_session_means(name: str) -> None:
    snapshot, thin = read(session_event(name)), read_thin(name)
    assert isinstance(snapshot, Payment)
    fields = ("order_id", "amount", "currency", "state", "email")
    assert [getattr(thin, each) for each in fields] == [getattr(snapshot, each) for each in fields]
    assert thin.event.id == load(THIN)["id"]


@pytest.mark.parametrize(
    "type", ["checkout.session.completed", "checkout.session.async_payment_failed"]
)
def test_a_session_that_is_paid_by_now_is_a_payment_whatever_its_event_was(type: str) -> None:  # noqa: A002
    assert read_thin(PAID, type=type).state is PaymentState.PAID


@pytest.mark.parametrize(
    ("name", "changes"),
    [(ASYNC_SUCCEEDED, {"payment_status": "unpaid"}), (PAID, {"status": "open"})],
)
def test_a_session_from_before_its_event_is_asked_for_again(
    name: str, changes: dict[str, str]
) -> None:
    with pytest.raises(StripeUnavailable, match="as it was before its event"):
        read_thin(name, **changes)


@pytest.mark.parametrize(
    "session", [{"metadata": {}}, {"mode": "setup", "payment_status": "no_payment_required"}]
)
def test_a_session_that_was_fetched_and_is_not_ours_is_ignored(session: dict[str, Any]) -> None:
    assert isinstance(read_thin(PAID, **session), Ignored)


def test_a_session_that_was_fetched_and_cannot_be_read_is_an_anomaly() -> None:
    reading = read_thin(PAID, amount_total=None)
    assert isinstance(reading, Anomaly)
    assert reading.kind is AnomalyKind.MALFORMED_SESSION


def test_a_ping_of_the_event_destination_is_ignored() -> None:
    ping = {**load(THIN), "type": "v2.core.event_destination.ping"}
    assert isinstance(read(ping), Ignored)


@pytest.mark.parametrize("livemode", [True, False])
def test_events_of_the_configured_mode_alone_are_ours(livemode: bool) -> None:
    same, other = (session_event(event={"livemode": mode}) for mode in (livemode, not livemode))
    assert isinstance(read(same, livemode=livemode), Payment)
    assert isinstance(read(other, livemode=livemode), Ignored)


@pytest.mark.parametrize("livemode", [None, 1, "true", []])
def test_a_livemode_that_is_not_true_is_test_mode(livemode: object) -> None:
    assert isinstance(read(session_event(event={"livemode": livemode}), livemode=True), Ignored)


@pytest.mark.parametrize("livemode", [True, False])
def test_both_modes_are_ours_where_none_is_configured(livemode: bool) -> None:
    assert isinstance(read(session_event(event={"livemode": livemode})), Payment)


def test_a_thin_event_of_the_other_mode_is_ignored() -> None:
    assert isinstance(read(load(THIN), livemode=True), Ignored)


@pytest.mark.parametrize(
    ("name", "account", "is_ours"),
    [
        (CONNECT, "acct_1ExampleConnected0001", True),
        (CONNECT, "acct_another", False),
        (CONNECT, None, False),
        (PAID, "acct_1ExampleConnected0001", False),
        (PAID, None, True),
    ],
)
def test_only_events_of_the_configured_account_are_ours(
    name: str, account: str | None, is_ours: bool
) -> None:
    assert isinstance(read(load(name), account=account), Payment) is is_ours


@pytest.mark.parametrize(
    "fields",
    [
        {"payment_status": "refunded"},
        {"payment_status": None},
        {"payment_status": ["paid"]},
        {"amount_total": None},
        {"amount_total": True},
        {"amount_total": 2598.0},
        {"amount_total": "2598"},
        {"amount_total": -1},
        {"amount_total": 2**63},
        {"amount_total": float("nan")},
        {"currency": None},
        {"currency": "EUR"},
        {"currency": "euro"},
        {"currency": "eur\n"},
        {"id": None},
        {"id": ""},
        {"id": "cs_1 "},
        {"id": "cs_\N{SNOWMAN}"},
        {"id": "cs_" + "1" * 253},
        {"payment_intent": None},
        {"payment_intent": ""},
        {"payment_intent": {"object": "payment_intent"}},
        {"payment_intent": "pi_\udcff"},
    ],
    ids=repr,
)
def test_a_session_of_ours_that_cannot_be_read_is_an_anomaly(fields: dict[str, Any]) -> None:
    anomaly = any_anomaly(session_event(order_id=7, **fields))
    assert (anomaly.kind, anomaly.order_id) == (AnomalyKind.MALFORMED_SESSION, 7)


def test_an_anomaly_without_a_session_id_is_known_by_the_event() -> None:
    value = session_event(id=None)
    assert any_anomaly(value).session_id == value["id"]


def test_the_largest_amount_fits_a_bigint() -> None:
    reading = read(session_event(amount_total=2**63 - 1))
    assert isinstance(reading, Payment)
    assert reading.amount == 2**63 - 1


@pytest.mark.parametrize(
    "changes",
    [
        {"object": "checkout.session"},
        {"object": None},
        {"id": None},
        {"id": ""},
        {"id": "evt 1"},
        {"id": "evt_" + "1" * 252},
        {"type": None},
        {"type": 7},
        {"created": None},
        {"created": "yesterday"},
        {"created": float("nan")},
        {"created": 10**30},
        {"created": []},
    ],
    ids=repr,
)
def test_what_is_no_stripe_event_is_rejected(changes: dict[str, Any]) -> None:
    with pytest.raises(RejectedDelivery, match="not a Stripe event"):
        read_event({**load(PAID), **changes})


@pytest.mark.parametrize("value", [None, True, 7, 1.5, "event", ["event"], {}], ids=repr)
def test_json_that_is_no_event_object_is_rejected(value: object) -> None:
    with pytest.raises(RejectedDelivery, match="not a Stripe event"):
        read_event(value)
