"""What the command line asks of the database, on a real MariaDB."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

import operations_read_handler
import operations_resolve_handler
from local.servers.mariadb import MariaDBServer
from settlement import bootstrap
from settlement.adapters.operations import ReadingOperations, RequestRefused, ResolvingOperations
from settlement.domain.clock import Deadline
from settlement.errors import LedgerUnavailable
from tests.support.cachao import OTHER_TABLES, Cachao, ShopDatabase, deliver, event_for
from tests.support.invocations import AnyContext

VERBS = ("database", "order", "anomalies", "unsettled", "counters", "known_events")


def _listed(payment: str) -> dict[str, str]:
    return {"event_id": f"evt_{payment}", "session_id": f"cs_{payment}"}


class Operator:
    """Asks as the command line does."""

    def __init__(self, cachao: Cachao, database: ShopDatabase) -> None:
        self.cachao = cachao
        self.database = database

    def read(self, verb: str, **arguments: Any) -> dict[str, Any]:
        with closing(self.cachao.database()) as database:
            operations = ReadingOperations(database, self.cachao.order_tables)
            answer = operations.answer({"verb": verb, **arguments}, Deadline(20))
        json.dumps(answer)
        return answer

    def resolve(self, **arguments: Any) -> dict[str, Any]:
        request = {"verb": "resolve_anomaly", "by": "arn:aws:iam::1:user/ann", **arguments}
        with closing(self.cachao.database()) as database:
            return ResolvingOperations(database).answer(request, Deadline(20))

    def anomaly(self) -> dict[str, Any]:
        [row] = self.read("anomalies")["anomalies"]
        return dict(row)


@pytest.fixture
def operator(cachao: Cachao, database: ShopDatabase) -> Operator:
    return Operator(cachao, database)


@pytest.fixture
def elsewhere(shared_server: MariaDBServer) -> Iterator[Operator]:
    """The shop of another team, with string ids, other names and no discount codes."""
    cachao = Cachao(shared_server, tables=OTHER_TABLES)
    with closing(cachao.database()) as database:
        yield Operator(cachao, database)


def test_the_database_says_what_it_is_and_that_everything_fits(operator: Operator) -> None:
    found = operator.read("database")
    assert "MariaDB" in found["version"]
    assert found["migrations"]["pending"] == []
    assert found["migrations"]["applied"][0] == "0001_settlements"
    assert found["mismatches"] == []
    assert found["read_only"] is False


def test_a_column_that_went_and_a_pending_migration_are_named(
    shared_server: MariaDBServer,
) -> None:
    cachao = Cachao(shared_server)
    cachao.query("ALTER TABLE ticket_orders DROP COLUMN quantity")
    cachao.query("DELETE FROM settlement_migrations WHERE number = 7")
    with closing(cachao.database()) as database:
        found = Operator(cachao, database).read("database")
    assert [each["where"] for each in found["mismatches"]] == ["column ticket_orders.quantity"]
    assert found["migrations"]["pending"] == ["0007_reconciliation"]


def test_who_may_not_see_transactions_learns_that_they_were_not_looked_at(
    operator: Operator,
) -> None:
    assert operator.read("database")["long_transactions"] is None


@pytest.mark.parametrize("by", ["order", "event", "session", "payment"])
def test_a_settled_order_is_found_by_every_id_it_has(operator: Operator, by: str) -> None:
    order = operator.cachao.add_order()
    deliver(event_for(order), operator.database)
    ids = {"order": str(order.id), "event": "evt_a", "session": "cs_a", "payment": "pi_a"}
    found = operator.read("order", id=ids[by])
    [row], [settlement], [event] = found["orders"], found["settlements"], found["events"]
    assert (row["id"], row["status"], row["amount"]) == (order.id, "paid", order.amount)
    assert (settlement["event_id"], settlement["amount"]) == ("evt_a", order.amount)
    assert (event["event_id"], event["outcome"]) == ("evt_a", "settled")
    assert found["anomalies"] == []


def test_an_order_of_another_team_is_found_too(elsewhere: Operator) -> None:
    order = elsewhere.cachao.add_order()
    deliver(event_for(order), elsewhere.database)
    for id_ in (str(order.id), "evt_a"):
        [row] = elsewhere.read("order", id=id_)["orders"]
        assert (row["id"], row["amount"]) == (str(order.id), order.amount)
    assert elsewhere.read("counters") == {"tickets": [], "discount_codes": []}
    assert elsewhere.read("unsettled")["orders_paid_without_settlement"] == []


def test_an_unknown_order_has_nothing(operator: Operator) -> None:
    assert operator.read("order", id="4711") == {
        "orders": [],
        "settlements": [],
        "events": [],
        "anomalies": [],
    }


def test_an_open_anomaly_says_what_was_paid_and_what_was_owed(operator: Operator) -> None:
    order = operator.cachao.add_order()
    deliver(event_for(order, amount=order.amount - 500), operator.database)
    anomaly = operator.anomaly()
    assert anomaly["kind"] == "amount_mismatch"
    assert (anomaly["amount"], anomaly["order_amount"]) == (order.amount - 500, order.amount)
    assert anomaly["order_status"] == "pending"


def test_anomalies_come_in_pages(operator: Operator) -> None:
    for payment in "abc":
        order = operator.cachao.add_order()
        deliver(event_for(order, payment=payment, amount=1), operator.database)
    first = operator.read("anomalies", limit=2)
    second = operator.read("anomalies", limit=2, after=first["next_after"])
    assert [len(first["anomalies"]), len(second["anomalies"])] == [2, 1]
    assert second["next_after"] is None


def test_what_is_paid_and_not_settled_is_counted(operator: Operator) -> None:
    settled, short, unrecorded = (operator.cachao.add_order() for _ in range(3))
    deliver(event_for(settled), operator.database)
    deliver(event_for(short, payment="b", amount=1), operator.database)
    operator.cachao.query("UPDATE ticket_orders SET status = 'paid' WHERE id = %s", unrecorded.id)
    found = operator.read("unsettled")
    assert found["orders_paid_without_settlement"] == [unrecorded.id]
    assert [each["event_id"] for each in found["events_without_settlement"]] == ["evt_b"]
    assert found["last_24_hours"] == {"paid": 2, "settled": 1}


def test_a_counter_that_differs_from_the_paid_orders_is_named(operator: Operator) -> None:
    order = operator.cachao.add_order()
    deliver(event_for(order), operator.database)
    assert operator.read("counters") == {"tickets": [], "discount_codes": []}
    operator.cachao.query(
        "UPDATE tickets SET sold_quantity = sold_quantity + 2 WHERE id = %s", order.ticket_id
    )
    operator.cachao.query("UPDATE discount_codes SET used_count = 7")
    found = operator.read("counters")
    assert found["tickets"] == [{"id": order.ticket_id, "counter": 4, "paid": 2}]
    assert [(each["counter"], each["paid"]) for each in found["discount_codes"]] == [(7, 1)]


def test_of_a_page_of_events_those_that_are_known_are_told(operator: Operator) -> None:
    deliver(event_for(operator.cachao.add_order()), operator.database)
    deliver(event_for(operator.cachao.add_order(), payment="b", amount=1), operator.database)
    again = {"event_id": "evt_other", "session_id": "cs_a"}
    listed = [_listed("a"), _listed("b"), _listed("c"), again]
    found = operator.read("known_events", events=listed)
    settled = {"evt_a": "settled", "evt_other": "settled"}
    assert found == {"outcomes": {**settled, "evt_b": "anomaly"}}
    assert operator.read("known_events", events=[]) == {"outcomes": {}}


def test_the_reading_session_cannot_write(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(self: ReadingOperations, session: Any, limit: object = None) -> dict[str, Any]:
        return {"rows": session.query("UPDATE ticket_orders SET status = 'paid'")}

    monkeypatch.setattr(ReadingOperations, "_unsettled", write)
    with pytest.raises(LedgerUnavailable, match="1792"):
        operator.read("unsettled")


def test_nothing_personal_is_in_any_response(operator: Operator) -> None:
    order = operator.cachao.add_order()
    deliver(event_for(order, amount=1), operator.database)
    deliver(event_for(order, payment="b"), operator.database)
    operator.cachao.query(
        "UPDATE payment_anomalies SET detail = 'of ann@example.com', "
        "resolution_note = 'bob@example.com rang', resolved_by = 'carol@example.com'"
    )
    operator.cachao.query("UPDATE ticket_orders SET email = 'dave@example.com'")
    arguments: dict[str, dict[str, Any]] = {"known_events": {"events": [_listed("b")]}}
    requests = [{"verb": verb, **arguments.get(verb, {})} for verb in VERBS if verb != "order"]
    requests += [{"verb": "order", "id": each} for each in (str(order.id), "evt_b", "cs_a", "pi_b")]
    answers = [operator.read(**request) for request in requests]
    answers.append(operator.resolve(id=operator.anomaly()["id"], resolution="refunded"))
    assert "@" not in json.dumps(answers)


@pytest.mark.parametrize(
    ("request_", "allowed"),
    [
        ("SELECT 1", "allowed are database, order, anomalies, unsettled, counters"),
        ({"verb": "sql"}, "allowed are database, order"),
        ({"verb": ["order"]}, "allowed are database, order"),
        ({"verb": "counters", "where": "1"}, "allowed are no arguments"),
        ({"verb": "order", "sql": "1"}, "allowed are id"),
        ({"verb": "order"}, "begins with evt_, cs_, pi_"),
        ({"verb": "order", "id": "1 OR 1=1"}, "begins with evt_, cs_, pi_"),
        ({"verb": "anomalies", "limit": 101}, "from 1 to 100"),
        ({"verb": "anomalies", "after": "0"}, "from 0 to"),
        ({"verb": "known_events"}, "up to 100 objects, each with event_id and session_id"),
        ({"verb": "known_events", "events": [{"event_id": "evt_a"}]}, "up to 100 objects"),
        ({"verb": "known_events", "events": [_listed("a")] * 101}, "up to 100 objects"),
    ],
)
def test_any_other_request_is_refused_with_what_is_allowed(
    operator: Operator, request_: object, allowed: str
) -> None:
    with closing(operator.cachao.database()) as database:
        operations = ReadingOperations(database, operator.cachao.order_tables)
        with pytest.raises(RequestRefused, match=allowed):
            operations.answer(request_, Deadline(20))


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        ({"resolution": "paid"}, "settled, refunded, dismissed"),
        ({"resolution": "dismissed"}, "note is missing"),
        ({"resolution": "refunded", "by": " "}, "by must be"),
        ({"resolution": "refunded", "note": "n" * 1001}, "note must be"),
        ({"resolution": "refunded", "id": 0}, "id must be"),
    ],
)
def test_a_resolution_that_is_not_complete_is_refused(
    operator: Operator, arguments: dict[str, Any], allowed: str
) -> None:
    with pytest.raises(RequestRefused, match=allowed):
        operator.resolve(**{"id": 1, **arguments})


def test_who_how_why_and_when_are_kept(operator: Operator) -> None:
    order = operator.cachao.add_order()
    deliver(event_for(order, amount=1), operator.database)
    id_ = operator.anomaly()["id"]
    answer = operator.resolve(id=id_, resolution="dismissed", note="a test of ours")
    assert answer["state"] == "resolved"
    kept = operator.cachao.query(
        "SELECT resolution, resolved_by, resolution_note, resolved_at IS NOT NULL "
        "FROM payment_anomalies WHERE id = %s",
        id_,
    )
    assert list(kept) == [("dismissed", "arn:aws:iam::1:user/ann", "a test of ours", 1)]
    assert operator.read("anomalies")["anomalies"] == []


def test_a_closed_anomaly_is_not_changed(operator: Operator) -> None:
    order = operator.cachao.add_order()
    deliver(event_for(order, amount=1), operator.database)
    id_ = operator.anomaly()["id"]
    first = operator.resolve(id=id_, resolution="refunded", note="one")
    before = operator.cachao.query("SELECT * FROM payment_anomalies")
    again = operator.resolve(id=id_, resolution="dismissed", note="two", by="another")
    assert again == {**first, "state": "already_resolved"}
    assert operator.cachao.query("SELECT * FROM payment_anomalies") == before


def test_settled_is_believed_only_if_the_ledger_says_so(operator: Operator) -> None:
    order = operator.cachao.add_order()
    deliver(event_for(order, payment="a"), operator.database)
    deliver(event_for(order, payment="b"), operator.database)
    second = operator.anomaly()
    assert second["kind"] == "second_payment"
    refused = operator.resolve(id=second["id"], resolution="settled")
    assert refused["state"] == "not_settled"
    assert operator.anomaly() == second
    operator.cachao.query("UPDATE payment_anomalies SET session_id = 'cs_a'")
    assert operator.resolve(id=second["id"], resolution="settled")["state"] == "resolved"


def test_no_such_anomaly_is_said(operator: Operator) -> None:
    assert operator.resolve(id=4711, resolution="refunded")["state"] == "no_such_anomaly"


def test_the_handlers_are_configured_by_their_environment(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in operator.cachao.address.environment().items():
        monkeypatch.setenv(name, value)
    builders = (bootstrap.reading_operations, bootstrap.resolving_operations)
    for build in builders:
        build.cache_clear()
    read = operations_read_handler.handler({"verb": "anomalies"}, AnyContext())
    refused = operations_read_handler.handler({"verb": "resolve_anomaly"}, AnyContext())
    request = {"verb": "resolve_anomaly", "id": 1, "resolution": "refunded", "by": "ann"}
    resolved = operations_resolve_handler.handler(request, AnyContext())
    not_known = operations_resolve_handler.handler({"verb": "order"}, AnyContext())
    bootstrap.resolving_operations()._database.close()
    for build in builders:
        build.cache_clear()
    assert read == {"anomalies": [], "next_after": None}
    assert resolved["state"] == "no_such_anomaly"
    assert "allowed are database" in refused["error"]
    assert "allowed are resolve_anomaly" in not_known["error"]
