"""Every row of the outcome table, on a real MariaDB."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pymysql
import pytest

from local.servers.mariadb import MariaDBServer
from local.shop import ShopTables
from settlement.adapters.database import Database
from settlement.domain.outcomes import AnomalyKind, Outcome, Route
from tests.support.cachao import OTHER_TABLES, Cachao, deliver, deliver_batch, event_for

pytestmark = pytest.mark.both_shapes


@pytest.mark.service_tables
def test_paid_session_settles_its_pending_order(cachao: Cachao, database: Database) -> None:
    order = cachao.add_order(quantity=3)
    now = datetime(2026, 5, 4, 3, 2, 1, 654321, UTC)

    event = event_for(order, payment="a", customer_email="payer@example.com")
    result = deliver(event, database, received_at=now)

    assert result.outcome is Outcome.SETTLED
    assert cachao.query(
        "SELECT status, stripe_payment_intent_id, stripe_checkout_session_id, email "
        "FROM ticket_orders WHERE id = %s",
        order.id,
    ) == [("paid", "pi_a", "cs_a", "payer@example.com")]
    assert cachao.counters(order) == cachao.counted(3, 1)


def test_settlement_records_what_was_paid_for_what(cachao: Cachao, database: Database) -> None:
    order = cachao.add_order(quantity=3, amount=7500)
    now = datetime(2026, 5, 4, 3, 2, 1, 654321, UTC)

    deliver(
        event_for(order, payment="a", event="e"), database, route=Route.WEBHOOK, received_at=now
    )

    assert cachao.query("SELECT * FROM settlements") == [
        (
            str(order.id),
            "pi_a",
            "cs_a",
            str(order.ticket_id),
            3,
            order.discount_code_id and str(order.discount_code_id),
            7500,
            "eur",
            "evt_e",
            "webhook",
            now.replace(tzinfo=None),
        )
    ]


def test_settlement_is_one_round_trip(cachao: Cachao, database: Database) -> None:
    first, second = cachao.add_order(), cachao.add_order()
    deliver(event_for(first, payment="first"), database)  # connects and prepares
    with closing(cachao.connect()) as watching:
        before = packets(watching)

        assert deliver(event_for(second, payment="second"), database).outcome is Outcome.SETTLED

        assert packets(watching) - before == 1 + 1  # the settlement's, and that of the question


def packets(connection: pymysql.Connection[Any]) -> int:
    """How many statements clients have sent to the server."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Questions'")
        [[_, value]] = cursor.fetchall()
    return int(value)


@pytest.mark.parametrize("status", ["pending", "processing", "payment_failed"])
def test_open_order_is_settled(cachao: Cachao, database: Database, status: str) -> None:
    order = cachao.add_order(status=cachao.word(status))

    assert deliver(event_for(order), database).outcome is Outcome.SETTLED
    assert cachao.status(order) == "paid"


def test_order_without_discount_code_is_settled(cachao: Cachao, database: Database) -> None:
    order = cachao.add_order(discounted=False, quantity=4)

    assert deliver(event_for(order), database).outcome is Outcome.SETTLED
    assert cachao.counters(order) == (4, None)


def test_free_order_is_settled_by_its_session(cachao: Cachao, database: Database) -> None:
    order = cachao.add_order(amount=0)
    event = event_for(order, payment_status="no_payment_required", payment_intent=None)

    assert deliver(event, database).outcome is Outcome.SETTLED
    assert deliver(event, database).outcome is Outcome.DUPLICATE
    assert cachao.counters(order) == cachao.counted(2, 1)


def test_costly_order_is_not_settled_without_a_payment(cachao: Cachao, database: Database) -> None:
    order = cachao.add_order(amount=5000)
    event = event_for(order, payment_status="no_payment_required", payment_intent=None)

    assert deliver(event, database).anomaly is AnomalyKind.AMOUNT_MISMATCH
    assert cachao.status(order) == cachao.tables.open


def test_second_delivery_changes_nothing(cachao: Cachao, database: Database) -> None:
    order = cachao.add_order()
    event = event_for(order)
    deliver(event, database)
    before = cachao.shop_query("SELECT * FROM {orders}, {tickets}, settlements")

    assert deliver(event, database, route=Route.WEBHOOK).outcome is Outcome.DUPLICATE
    assert cachao.shop_query("SELECT * FROM {orders}, {tickets}, settlements") == before
    assert cachao.counters(order) == cachao.counted(2, 1)
    assert cachao.state(order).payment_intent == event["data"]["object"]["payment_intent"]


def test_two_events_that_report_one_payment_settle_once(cachao: Cachao, database: Database) -> None:
    order = cachao.add_order()
    deliver(event_for(order, payment="a", event="first"), database)

    result = deliver(event_for(order, payment="a", event="second"), database)

    assert result.outcome is Outcome.DUPLICATE
    assert cachao.counters(order) == cachao.counted(2, 1)


@pytest.mark.parametrize("status", ["refunded", "partially_refunded", "cancelled"])
def test_redelivery_after_the_order_moved_on_is_a_duplicate(
    cachao: Cachao, database: Database, status: str
) -> None:
    order = cachao.add_order()
    deliver(event_for(order), database)
    cachao.shop_query("UPDATE {orders} SET {status} = %s", status)

    assert deliver(event_for(order), database).outcome is Outcome.DUPLICATE
    assert cachao.status(order) == cachao.word(status)


def test_order_reset_by_hand_is_not_settled_again(cachao: Cachao, database: Database) -> None:
    order = cachao.add_order()
    deliver(event_for(order), database)
    cachao.shop_query("UPDATE {orders} SET {status} = %s", cachao.tables.open)

    assert deliver(event_for(order), database).outcome is Outcome.DUPLICATE
    assert cachao.counters(order) == cachao.counted(2, 1)


def test_another_payment_for_an_order_reset_by_hand_is_an_anomaly(
    cachao: Cachao, database: Database
) -> None:
    order = cachao.add_order()
    deliver(event_for(order, payment="a"), database)
    cachao.shop_query("UPDATE {orders} SET {status} = %s", cachao.tables.open)

    assert deliver(event_for(order, payment="b"), database).anomaly is AnomalyKind.SECOND_PAYMENT
    assert cachao.counters(order) == cachao.counted(2, 1)


def test_failed_payment_leaves_a_settled_order_alone(cachao: Cachao, database: Database) -> None:
    order = cachao.add_order()
    deliver(event_for(order, payment="a"), database)
    cachao.shop_query("UPDATE {orders} SET {status} = %s", cachao.tables.open)

    deliver(event_for(order, payment="b", type="checkout.session.async_payment_failed"), database)

    assert cachao.status(order) == cachao.tables.open


@pytest.mark.parametrize("status", ["paid", "refunded", "partially_refunded"])
def test_payment_from_before_the_ledger_is_a_duplicate(
    cachao: Cachao, database: Database, status: str
) -> None:
    order = cachao.add_order(status=cachao.word(status), payment_intent_id="pi_a")

    assert deliver(event_for(order, payment="a"), database).outcome is Outcome.DUPLICATE
    assert cachao.counters(order) == cachao.counted(0, 0)


def test_payment_intents_that_differ_in_case_are_two_payments(
    cachao: Cachao, database: Database
) -> None:
    order = cachao.add_order()
    deliver(event_for(order, payment="a"), database)

    assert deliver(event_for(order, payment="A"), database).anomaly is AnomalyKind.SECOND_PAYMENT


@pytest.mark.parametrize(
    ("status", "changes", "kind"),
    [
        ("pending", {"amount": 4997}, AnomalyKind.AMOUNT_MISMATCH),
        ("pending", {"amount": 5003}, AnomalyKind.AMOUNT_MISMATCH),
        ("pending", {"currency": "usd"}, AnomalyKind.CURRENCY_MISMATCH),
        ("paid", {}, AnomalyKind.SECOND_PAYMENT),
        ("cancelled", {}, AnomalyKind.LATE_PAYMENT),
        ("expired", {}, AnomalyKind.LATE_PAYMENT),
        ("refunded", {}, AnomalyKind.LATE_PAYMENT),
        ("a status of tomorrow", {}, AnomalyKind.LATE_PAYMENT),
    ],
)
def test_payment_that_does_not_fit_its_order_is_kept_as_an_anomaly(
    cachao: Cachao,
    database: Database,
    status: str,
    changes: dict[str, Any],
    kind: AnomalyKind,
) -> None:
    order = cachao.add_order(status=cachao.word(status), amount=5000, payment_intent_id="pi_other")

    result = deliver(event_for(order, payment="a", **changes), database)

    assert (result.outcome, result.anomaly) == (Outcome.ANOMALY, kind)
    assert cachao.anomalies() == [(kind.value, "cs_a")]
    assert (cachao.status(order), cachao.counters(order)) == (
        cachao.word(status),
        cachao.counted(0, 0),
    )


def test_anomaly_is_kept_once_however_often_it_is_delivered(
    cachao: Cachao, database: Database
) -> None:
    order = cachao.add_order(status="cancelled")
    for _ in range(3):
        deliver(event_for(order, payment="a"), database)

    assert cachao.anomalies() == [("late_payment", "cs_a")]


@pytest.mark.service_tables
def test_anomaly_says_what_was_paid_and_what_the_order_is(
    cachao: Cachao, database: Database
) -> None:
    order = cachao.add_order(amount=5000, currency="eur")

    deliver(event_for(order, payment="a", amount=4000, currency="usd"), database)

    assert cachao.query(
        "SELECT order_id, payment_intent_id, amount, currency, detail, resolved_at "
        "FROM payment_anomalies"
    ) == [
        (
            *(str(order.id), "pi_a", 4000, "usd"),
            "the order is pending 50.00 eur, quantity 2",
            None,
        )
    ]


@pytest.mark.parametrize("shared", [{"payment_intent": "pi_a"}, {"session": "cs_a"}])
def test_payment_that_names_two_orders_settles_the_first_only(
    cachao: Cachao, database: Database, shared: dict[str, str]
) -> None:
    first, second = cachao.add_order(), cachao.add_order()
    deliver(event_for(first, payment="a"), database)

    result = deliver(event_for(second, payment="b", **shared), database)

    assert result.anomaly is AnomalyKind.PAYMENT_REUSED
    assert (cachao.status(second), cachao.counters(second)) == (
        cachao.tables.open,
        cachao.counted(0, 0),
    )


def test_settled_payment_is_not_used_again_after_its_order_forgot_it(
    cachao: Cachao, database: Database
) -> None:
    first, order = cachao.add_order(), cachao.add_order()
    deliver(event_for(first, payment="a"), database)
    cachao.shop_query("UPDATE {orders} SET {payment_intent} = NULL")

    result = deliver(event_for(order, payment="a", session="cs_b"), database)

    assert result.anomaly is AnomalyKind.PAYMENT_REUSED
    assert cachao.status(order) == cachao.tables.open


def test_unpaid_session_marks_its_order_processing(cachao: Cachao, database: Database) -> None:
    order = cachao.add_order()

    assert deliver(event_for(order, payment_status="unpaid"), database).outcome is (
        Outcome.AWAITING_PAYMENT
    )
    assert (cachao.status(order), cachao.counters(order)) == ("processing", cachao.counted(0, 0))


@pytest.mark.parametrize("status", ["pending", "processing"])
def test_failed_async_payment_marks_its_order_failed(
    cachao: Cachao, database: Database, status: str
) -> None:
    order = cachao.add_order(status=cachao.word(status))

    result = deliver(event_for(order, type="checkout.session.async_payment_failed"), database)

    assert result.outcome is Outcome.AWAITING_PAYMENT
    assert cachao.status(order) == "payment_failed"


@pytest.mark.parametrize("status", ["paid", "cancelled", "refunded", "payment_failed"])
def test_late_news_of_an_unpaid_session_changes_nothing(
    cachao: Cachao, database: Database, status: str
) -> None:
    order = cachao.add_order(status=cachao.word(status))

    deliver(event_for(order, payment_status="unpaid"), database)

    assert cachao.status(order) == cachao.word(status)


def test_async_payment_that_succeeds_settles(cachao: Cachao, database: Database) -> None:
    order = cachao.add_order()
    deliver(event_for(order, payment_status="unpaid"), database)

    event = event_for(order, type="checkout.session.async_payment_succeeded", event="later")

    assert deliver(event, database).outcome is Outcome.SETTLED


def test_order_that_may_yet_come_is_retried(cachao: Cachao, database: Database) -> None:
    order = cachao.add_order()
    cachao.shop_query("DELETE FROM {orders}")
    event = event_for(order)
    now = datetime.fromtimestamp(event["created"], UTC) + timedelta(seconds=120)

    assert deliver(event, database, received_at=now).outcome is Outcome.RETRY
    assert cachao.query("SELECT * FROM stripe_events, payment_anomalies") == []


def test_order_that_did_not_come_is_an_anomaly(cachao: Cachao, database: Database) -> None:
    order = cachao.add_order()
    cachao.shop_query("DELETE FROM {orders}")
    event = event_for(order, payment="a")
    now = datetime.fromtimestamp(event["created"], UTC) + timedelta(seconds=121)

    assert deliver(event, database, received_at=now).anomaly is AnomalyKind.UNKNOWN_ORDER
    assert cachao.anomalies() == [("unknown_order", "cs_a")]


@pytest.mark.service_tables
@pytest.mark.parametrize(
    "order_id", ["1 OR 1", "01", "\uff11", "9223372036854775808", "-1", "1e3", ""]
)
def test_malformed_order_id_is_an_anomaly_and_settles_nothing(
    cachao: Cachao, database: Database, order_id: str
) -> None:
    order = cachao.add_order()

    result = deliver(event_for(order, payment="a", order_id=order_id), database)

    assert result.anomaly is AnomalyKind.MALFORMED_ORDER_ID
    assert cachao.anomalies() == [("malformed_order_id", "cs_a")]
    assert cachao.status(order) == cachao.tables.open


def test_largest_order_id_is_settled(shared_server: MariaDBServer) -> None:
    # In a database of its own: no id can be given in the table afterwards.
    cachao = Cachao(shared_server)
    with closing(cachao.database()) as database:
        order = cachao.add_order()
        cachao.shop_query("UPDATE {orders} SET id = 9223372036854775807")

        result = deliver(event_for(order, order_id="9223372036854775807"), database)

    assert result.outcome is Outcome.SETTLED


@pytest.mark.service_tables
@pytest.mark.parametrize("table", ["tickets", "discount_codes"])
def test_order_whose_counter_is_missing_stays_open_for_a_person(
    cachao: Cachao, database: Database, table: str
) -> None:
    order = cachao.add_order()
    cachao.query(f"DELETE FROM {table}")

    result = deliver(event_for(order), database)

    assert (result.outcome, result.anomaly) == (Outcome.ANOMALY, AnomalyKind.CANNOT_BE_SETTLED)
    assert f"at {table}." in str(result.reason)
    assert "where the row is missing or its count is NULL" in str(result.reason)
    assert cachao.query("SELECT status FROM ticket_orders") == [("pending",)]
    assert cachao.query("SELECT * FROM settlements") == []


def test_event_keeps_the_outcome_it_first_came_to(cachao: Cachao, database: Database) -> None:
    order = cachao.add_order()
    for _ in range(2):
        deliver(event_for(order, event="e"), database)

    assert cachao.query("SELECT event_id, outcome FROM stripe_events") == [("evt_e", "settled")]


def test_event_that_settles_at_last_says_so(cachao: Cachao, database: Database) -> None:
    order = cachao.add_order(amount=4000)
    deliver(event_for(order, event="e", amount=5000), database)
    cachao.shop_query("UPDATE {orders} SET {amount} = {amount} * 5 / 4")

    deliver(event_for(order, event="e", amount=5000), database)

    assert cachao.query("SELECT event_id, outcome FROM stripe_events") == [("evt_e", "settled")]


def test_ignored_event_does_not_touch_the_database(cachao: Cachao, database: Database) -> None:
    order = cachao.add_order()

    assert deliver(event_for(order, type="charge.refunded"), database).outcome is Outcome.IGNORED
    assert cachao.query("SELECT * FROM stripe_events") == []


@pytest.mark.parametrize("amount", [4998, 5002])
def test_payment_within_the_rounding_of_the_tickets_settles(
    cachao: Cachao, database: Database, amount: int
) -> None:
    """One minor unit for each of the two tickets: a price is rounded before it is multiplied."""
    order = cachao.add_order(amount=5000, quantity=2)

    assert deliver(event_for(order, amount=amount), database).outcome is Outcome.SETTLED
    assert cachao.query("SELECT amount FROM settlements") == [(amount,)]


def test_settled_order_that_the_shop_deleted_is_a_duplicate(
    cachao: Cachao, database: Database
) -> None:
    order = cachao.add_order()
    deliver(event_for(order), database)
    cachao.shop_query("DELETE FROM {orders}")

    assert deliver(event_for(order, event="again"), database).outcome is Outcome.DUPLICATE


def test_unpaid_session_leaves_a_settled_order_alone(cachao: Cachao, database: Database) -> None:
    order = cachao.add_order()
    deliver(event_for(order, payment="a"), database)
    cachao.shop_query("UPDATE {orders} SET {status} = %s", cachao.tables.open)

    deliver(event_for(order, payment="b", payment_status="unpaid"), database)

    assert cachao.status(order) == cachao.tables.open


@pytest.mark.service_tables
def test_status_of_any_length_leaves_room_in_the_anomaly(
    cachao: Cachao, database: Database
) -> None:
    cachao.query("ALTER TABLE ticket_orders MODIFY status VARCHAR(255) NOT NULL")
    try:
        order = cachao.add_order(status="x" * 250)

        assert deliver(event_for(order), database).anomaly is AnomalyKind.LATE_PAYMENT
    finally:
        cachao.shop_query("DELETE FROM {orders}")
        cachao.query("ALTER TABLE ticket_orders MODIFY status VARCHAR(50) NOT NULL")


@pytest.mark.parametrize("quantity", [0, -2, None])
def test_order_of_no_tickets_is_left_to_a_person(
    shared_server: MariaDBServer, shape: ShopTables, quantity: int | None
) -> None:
    cachao = Cachao(shared_server, tables=shape)
    order = cachao.add_order()
    cachao.shop_query("ALTER TABLE {orders} MODIFY {quantity} INT NULL")
    cachao.shop_query("UPDATE {orders} SET {quantity} = %s", quantity)
    with closing(cachao.database()) as database:
        result = deliver(event_for(order), database)

    assert result.anomaly is AnomalyKind.CANNOT_BE_SETTLED
    assert f"quantity {'NULL' if quantity is None else quantity}" in str(result.reason)


def test_anomaly_closes_itself_when_its_payment_settles_the_order(
    cachao: Cachao, database: Database
) -> None:
    order = cachao.add_order(amount=4000)
    deliver(event_for(order, payment="a", amount=5000), database)
    cachao.shop_query("UPDATE {orders} SET {amount} = {amount} * 5 / 4")

    deliver(event_for(order, payment="a", amount=5000), database)

    [(resolution, resolved_by, resolved_at)] = cachao.query(
        "SELECT resolution, resolved_by, resolved_at FROM payment_anomalies"
    )
    assert (resolution, resolved_by) == ("settled", None)
    assert resolved_at is not None


def test_events_tell_their_order_and_when_they_came_first_and_last(
    cachao: Cachao, database: Database
) -> None:
    order = cachao.add_order()
    first, last = (datetime(2026, 5, 4, hour, tzinfo=UTC) for hour in (3, 4))
    for moment in (first, last):
        deliver(event_for(order, event="e"), database, received_at=moment)

    assert cachao.query("SELECT order_id, processed_at, last_processed_at FROM stripe_events") == [
        (str(order.id), first.replace(tzinfo=None), last.replace(tzinfo=None))
    ]


def test_payment_of_another_order_that_the_shops_own_key_refuses_is_reused(
    shared_server: MariaDBServer,
) -> None:
    """Without a settlement of ours, error 1062 of the shop's key is what tells."""
    cachao = Cachao(shared_server, tables=OTHER_TABLES)
    cachao.add_order(status="paid", payment_intent_id="pi_a")
    order = cachao.add_order()
    with closing(cachao.database()) as database:
        result = deliver(event_for(order, payment="a"), database)

    assert (result.outcome, result.anomaly) == (Outcome.ANOMALY, AnomalyKind.PAYMENT_REUSED)
    assert cachao.anomalies() == [("payment_reused", "cs_a")]
    assert (cachao.status(order), cachao.settlements(order)) == ("new", 0)


TRIGGER = (
    "CREATE OR REPLACE TRIGGER shops BEFORE UPDATE ON ticket_orders FOR EACH ROW "
    "SIGNAL SQLSTATE '{state}' SET MYSQL_ERRNO = {number}, "
    "MESSAGE_TEXT = 'customer jane.doe@example.com is blocked'"
)


@pytest.mark.parametrize(
    ("state", "number"),
    [("45000", 1644), ("23000", 1062), ("23000", 1048), ("23000", 4025), ("22003", 1264)],
)
def test_rule_of_the_shops_database_that_is_in_the_way_is_an_anomaly_in_our_words(
    shared_server: MariaDBServer, state: str, number: int
) -> None:
    cachao = Cachao(shared_server)
    order = cachao.add_order()
    cachao.query(TRIGGER.format(state=state, number=number))
    with closing(cachao.database()) as database:
        result = deliver(event_for(order, payment="a"), database)

    assert result.anomaly is AnomalyKind.CANNOT_BE_SETTLED
    assert f"refused with error {number} at ticket_orders (status, " in str(result.reason)
    told = [str(result), *map(str, cachao.query("SELECT * FROM payment_anomalies"))]
    assert not any("jane" in text or "blocked" in text for text in told)
    assert (cachao.status(order), cachao.settlements(order)) == ("pending", 0)


CHANGE = "CREATE OR REPLACE TRIGGER shops BEFORE UPDATE ON ticket_orders FOR EACH ROW "
LASTING = {
    1048: ["CREATE TABLE audit (n INT NOT NULL)", CHANGE + "INSERT INTO audit VALUES (NULL)"],
    1062: ["CREATE TABLE audit (n INT PRIMARY KEY)", CHANGE + "INSERT INTO audit VALUES (1), (1)"],
    1139: [CHANGE + "SET @found = 'a' REGEXP '('"],
    1172: [CHANGE + "BEGIN DECLARE n INT; SELECT seq INTO n FROM seq_1_to_2; END"],
    1267: ["ALTER TABLE ticket_orders MODIFY email VARCHAR(255) CHARACTER SET latin1 NULL"],
    1339: [CHANGE + "BEGIN CASE NEW.status WHEN 'x' THEN SET @found = 1; END CASE; END"],
    1364: ["CREATE TABLE audit (n INT NOT NULL)", CHANGE + "INSERT INTO audit () VALUES ()"],
    1365: [CHANGE + "SET NEW.quantity = 1 / 0"],
    1406: [
        "CREATE TABLE audit (word VARCHAR(3))",
        CHANGE + "INSERT INTO audit VALUES (NEW.status)",
    ],
    1452: [
        "CREATE TABLE states (state VARCHAR(50) PRIMARY KEY) ENGINE = InnoDB",
        "INSERT INTO states VALUES ('pending')",
        "ALTER TABLE ticket_orders ADD FOREIGN KEY (status) REFERENCES states (state)",
    ],
    1456: ["CREATE PROCEDURE again() CALL again()", CHANGE + "CALL again()"],
    4025: ["ALTER TABLE ticket_orders ADD CONSTRAINT never_paid CHECK (status <> 'paid')"],
    4084: [
        "CREATE SEQUENCE numbers MINVALUE 1 MAXVALUE 2 NOCACHE",
        "SELECT NEXTVAL(numbers), NEXTVAL(numbers)",
        CHANGE + "SET @found = NEXTVAL(numbers)",
    ],
}


@pytest.mark.parametrize("number", LASTING)
def test_rule_that_refuses_every_delivery_is_an_anomaly_alone_and_in_a_batch(
    shared_server: MariaDBServer, number: int
) -> None:
    """1267: the payer's address has a letter that the character set of its column lacks."""
    cachao = Cachao(shared_server)
    orders = [cachao.add_order() for _ in range(3)]
    for statement in LASTING[number]:
        cachao.query(statement)
    events = [
        event_for(order, payment=str(order.id), customer_email="\u0142@example.com")
        for order in orders
    ]
    with closing(cachao.database()) as database:
        results = [deliver(events[0], database), *deliver_batch(events[1:], database)]

    assert {result.anomaly for result in results} == {AnomalyKind.CANNOT_BE_SETTLED}
    reason = f"refused with error {number} at ticket_orders (status, "
    assert all(reason in str(result.reason) for result in results)
    assert {cachao.status(order) for order in orders} == {"pending"}
    assert [cachao.settlements(order) for order in orders] == [0] * 3


@pytest.mark.parametrize(
    ("number", "rule"),
    [(1265, "INSERT INTO audit VALUES ('b')"), (1643, "SIGNAL SQLSTATE '02000'")],
)
def test_error_that_runs_no_handler_of_ours_is_an_anomaly_and_leaves_nothing_half(
    shared_server: MariaDBServer, number: int, rule: str
) -> None:
    """To the server it is a warning, or not found, until it ends the block; the ticket is last."""
    cachao = Cachao(shared_server)
    order = cachao.add_order()
    cachao.query("CREATE TABLE audit (word ENUM('a'))")
    cachao.query(f"CREATE TRIGGER shops BEFORE UPDATE ON tickets FOR EACH ROW {rule}")
    with closing(cachao.database()) as database:
        result = deliver(event_for(order), database)

    assert result.anomaly is AnomalyKind.CANNOT_BE_SETTLED
    assert f"refused with error {number}" in str(result.reason)
    assert (cachao.status(order), cachao.settlements(order)) == ("pending", 0)
    assert cachao.counters(order) == (0, 0)


def test_counter_that_is_null_is_named(shared_server: MariaDBServer) -> None:
    cachao = Cachao(shared_server)
    cachao.query("ALTER TABLE tickets MODIFY sold_quantity INT NULL")
    order = cachao.add_order()
    cachao.query("UPDATE tickets SET sold_quantity = NULL")
    with closing(cachao.database()) as database:
        result = deliver(event_for(order), database)

    assert result.anomaly is AnomalyKind.CANNOT_BE_SETTLED
    assert "tickets.sold_quantity" in str(result.reason)
    assert cachao.status(order) == cachao.tables.open


def test_checkout_that_is_captured_by_hand_awaits_its_payment(
    cachao: Cachao, database: Database
) -> None:
    """A capture sends no checkout event: the shop that captures settles the order itself."""
    order = cachao.add_order()
    options = {"card": {"capture_method": "manual"}}
    event = event_for(order, payment_status="unpaid", payment_method_options=options)

    assert deliver(event, database).outcome is Outcome.AWAITING_PAYMENT
    assert cachao.status(order) == "processing"
    assert cachao.settlements(order) == 0


@pytest.mark.parametrize(
    "changed", [{"amount_discount": 500}, {"amount_tax": 950}, {"amount_shipping": 490}]
)
def test_total_that_stripe_has_changed_is_an_amount_that_does_not_fit(
    cachao: Cachao, database: Database, changed: dict[str, int]
) -> None:
    """By a promotion code, tax or shipping that the order's total does not know of."""
    order = cachao.add_order()
    total = (
        order.amount
        - changed.get("amount_discount", 0)
        + sum(changed.values()) * ("amount_discount" not in changed)
    )
    event = event_for(order, amount=total, amount_subtotal=order.amount, total_details=changed)

    assert deliver(event, database).anomaly is AnomalyKind.AMOUNT_MISMATCH
    assert cachao.settlements(order) == 0
