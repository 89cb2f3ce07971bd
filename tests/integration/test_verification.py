"""What does not fit of a database is found on a real server, all of it, before it costs money."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest

import migration_handler
from local.servers.mariadb import MariaDBServer
from settlement.adapters.database import Database, FixedCredentials
from settlement.adapters.migrations import migrate
from settlement.adapters.verification import (
    MAX_MESSAGE_BYTES,
    DatabaseMismatch,
    Mismatch,
    verify,
    verify_privileges,
    verify_structure,
)
from settlement.domain.clock import Deadline
from settlement.domain.order_tables import (
    OrdersTable,
    OrderTables,
    StatusWords,
    TicketsTable,
)
from tests.support.cachao import PASSWORD, Cachao
from tests.support.invocations import AnyContext

CACHAO = OrderTables()
SHOP = [
    """CREATE TABLE tickets (id INT AUTO_INCREMENT PRIMARY KEY, max_quantity INT NULL,
       sold_quantity INT DEFAULT 0)""",
    "CREATE TABLE discount_codes (id INT AUTO_INCREMENT PRIMARY KEY, used_count INT DEFAULT 0)",
    """CREATE TABLE ticket_orders (id INT AUTO_INCREMENT PRIMARY KEY, ticket_id INT NOT NULL,
       email VARCHAR(255), quantity INT NOT NULL, discount_code_id INT NULL,
       total_amount DECIMAL(10,2) NOT NULL, status VARCHAR(50) DEFAULT 'pending',
       stripe_checkout_session_id VARCHAR(255) NULL,
       stripe_payment_intent_id VARCHAR(255) NULL)""",
]
ROUTES = "routes"


@pytest.fixture
def shop(shared_server: MariaDBServer) -> Cachao:
    """The service's tables as they are, and ours; the routes' user may do what settlement does."""
    shop = Cachao(shared_server, migrated=False)
    shop.query("DROP TABLE ticket_orders, tickets, discount_codes")
    for statement in SHOP:
        shop.query(statement)
    with closing(shop.database()) as database:
        migrate(database, Deadline(60))
    shop.query(f"CREATE OR REPLACE USER {ROUTES}@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'")
    shop.query(f"GRANT SELECT, INSERT, UPDATE ON {shop.name}.* TO {ROUTES}@'127.0.0.1'")
    return shop


def routes(shop: Cachao) -> Database:
    return shop.database(credentials=FixedCredentials(ROUTES, PASSWORD))


def verified(shop: Cachao, tables: OrderTables = CACHAO) -> list[Mismatch]:
    with closing(shop.database()) as owner, closing(routes(shop)) as user:
        return verify(owner, user, tables, Deadline(30))


def test_tables_as_they_are_said_to_be_fit(shop: Cachao) -> None:
    assert verified(shop) == []


def test_verification_changes_nothing(shop: Cachao) -> None:
    shop.query("INSERT INTO tickets VALUES (1, 10, 0)")
    shop.query("INSERT INTO discount_codes VALUES (1, 0)")
    shop.query("INSERT INTO ticket_orders VALUES (1, 1, 'a', 1, 1, 1, 'pending', NULL, NULL)")
    tables = [row[0] for row in shop.query("SHOW TABLES")]
    before = [shop.query(f"SELECT * FROM {table}") for table in tables]

    verified(shop)

    assert [shop.query(f"SELECT * FROM {table}") for table in tables] == before


ORDERS, TICKETS = "ALTER TABLE ticket_orders ", "ALTER TABLE tickets "
WRONG = {
    "no table": ("RENAME TABLE tickets TO seats", "table tickets", "seats", "tickets.table"),
    "a view": (
        "RENAME TABLE tickets TO real_tickets",
        "table tickets",
        "a view",
        "engine InnoDB",
    ),
    "engine": (TICKETS + "ENGINE = Aria", "table tickets", "engine Aria", "ENGINE = InnoDB"),
    "no column": (
        ORDERS + "DROP COLUMN email",
        "column ticket_orders.email",
        "no such column",
        "OrderTables.orders.email says which column it is, or that there is none (null)",
    ),
    "renamed column": (
        ORDERS + "CHANGE status state VARCHAR(50)",
        "column ticket_orders.status",
        "no such column",
        "OrderTables.orders.status says which column it is.",
    ),
    "minor units": (
        ORDERS + "MODIFY total_amount BIGINT NOT NULL",
        "column ticket_orders.total_amount",
        "bigint(20) NOT NULL",
        "OrderTables.amount_unit says which unit it is in (now 'major')",
    ),
    "a float": (
        ORDERS + "MODIFY total_amount DOUBLE",
        "column ticket_orders.total_amount",
        "double",
        "DECIMAL with at least 2 decimals",
    ),
    "no cents": (
        ORDERS + "MODIFY total_amount DECIMAL(10,0)",
        "column ticket_orders.total_amount",
        "decimal(10,0)",
        "DECIMAL with at least 2 decimals",
    ),
    "string id": (
        ORDERS + "MODIFY id CHAR(36)",
        "column ticket_orders.id",
        "char(36) NOT NULL",
        "OrderTables.order_id may say 'string'",
    ),
    "no key": (
        ORDERS + "MODIFY id INT NOT NULL, DROP PRIMARY KEY",
        "table ticket_orders",
        "no unique key on id alone",
        "Make id the primary key",
    ),
    "a wider key": (
        TICKETS + "MODIFY id INT NOT NULL, DROP PRIMARY KEY, ADD PRIMARY KEY (id, sold_quantity)",
        "table tickets",
        "no unique key on id alone",
        "Make id the primary key",
    ),
    "short status": (
        ORDERS + "MODIFY status VARCHAR(10)",
        "column ticket_orders.status",
        "varchar(10)",
        "VARCHAR of at least 14, or an ENUM with pending, processing, payment_failed, paid",
    ),
    "other status": (
        ORDERS + "MODIFY status ENUM('pending', 'paid')",
        "column ticket_orders.status",
        "enum('pending','paid')",
        "OrderTables.statuses",
    ),
    "short intent": (
        ORDERS + "MODIFY stripe_payment_intent_id VARCHAR(20)",
        "column ticket_orders.stripe_payment_intent_id",
        "varchar(20)",
        "VARCHAR of at least 30 that may be NULL",
    ),
    "intent not null": (
        ORDERS + "MODIFY stripe_payment_intent_id VARCHAR(255) NOT NULL",
        "column ticket_orders.stripe_payment_intent_id",
        "varchar(255) NOT NULL",
        "that may be NULL",
    ),
    "null counter": (
        TICKETS + "MODIFY sold_quantity INT NULL",
        "column tickets.sold_quantity",
        "int(11)",
        "NOT NULL or with a default",
    ),
    "text counter": (
        "ALTER TABLE discount_codes MODIFY used_count VARCHAR(10) NOT NULL",
        "column discount_codes.used_count",
        "varchar(10)",
        "an integer type",
    ),
    "ours without a key": (
        "ALTER TABLE settlements DROP INDEX settlements_session",
        "table settlements",
        "no unique key on session_id",
        "keeps an order from being settled twice",
    ),
    "ours in another engine": (
        "ALTER TABLE stripe_events ENGINE = MyISAM",
        "table stripe_events",
        "engine MyISAM",
        "restore it",
    ),
    "none of ours": ("DROP TABLE payment_anomalies", "table payment_anomalies", "none", "ours"),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_named_with_what_is_needed(
    shop: Cachao, wrong: tuple[str, str, str, str]
) -> None:
    statement, where, found, hint = wrong
    shop.query(statement)
    if found == "a view":
        shop.query("CREATE VIEW tickets AS SELECT * FROM real_tickets")
    mismatches = verified(shop)

    named = [each for each in mismatches if each.where == where and found in each.found]
    assert len(named) == 1, mismatches
    assert hint in f"{named[0]}"
    assert {each.where.rpartition(" ")[2].split(".")[0] for each in mismatches} == {
        where.rpartition(" ")[2].split(".")[0]
    }


def test_everything_that_does_not_fit_is_listed_at_once(shop: Cachao) -> None:
    shop.query("ALTER TABLE ticket_orders DROP COLUMN email, MODIFY total_amount BIGINT")
    shop.query("ALTER TABLE tickets ENGINE = Aria")
    shop.query("RENAME TABLE discount_codes TO codes")
    shop.query("ALTER TABLE settlements DROP INDEX settlements_payment_intent")
    shop.query(f"REVOKE UPDATE ON {shop.name}.* FROM {ROUTES}@'127.0.0.1'")

    wheres = [each.where for each in verified(shop)]

    assert wheres == [
        "column ticket_orders.total_amount",
        "column ticket_orders.email",
        "table tickets",
        "table discount_codes",
        "table settlements",
        "table ticket_orders",
        "table tickets",
        "table discount_codes",
        "table stripe_events",
        "table payment_anomalies",
        "table reconciliation",
    ]


@pytest.mark.parametrize(
    ("granted", "denied"),
    [
        ("SELECT, INSERT", {("ticket_orders", "update"), ("tickets", "update")}),
        ("SELECT, UPDATE", {("settlements", "insert"), ("stripe_events", "insert")}),
        ("INSERT, UPDATE", {("ticket_orders", "select"), ("settlements", "select")}),
    ],
)
def test_what_the_routes_user_may_not_do_is_named(
    shop: Cachao, granted: str, denied: set[tuple[str, str]]
) -> None:
    """The migrations' user may do it, and what is in mysql.user is not asked."""
    shop.query(f"REVOKE SELECT, INSERT, UPDATE ON {shop.name}.* FROM {ROUTES}@'127.0.0.1'")
    shop.query(f"GRANT {granted} ON {shop.name}.* TO {ROUTES}@'127.0.0.1'")
    mismatches = verified(shop)

    said = {
        (each.where.removeprefix("table "), each.hint.split()[1].lower()) for each in mismatches
    }
    assert denied <= said
    assert all(f"{ROUTES}@127.0.0.1 tries to" in each.found for each in mismatches)


def test_privilege_on_single_columns_is_enough_and_a_missing_one_is_named(shop: Cachao) -> None:
    user = f"{ROUTES}@'127.0.0.1'"
    shop.query(f"REVOKE SELECT, INSERT, UPDATE ON {shop.name}.* FROM {user}")
    for table in ("tickets", "discount_codes", "settlements", "stripe_events"):
        shop.query(f"GRANT SELECT, INSERT, UPDATE ON {table} TO {user}")
    for table in ("payment_anomalies", "reconciliation"):
        shop.query(f"GRANT SELECT, INSERT, UPDATE ON {table} TO {user}")
    columns = "status, stripe_payment_intent_id, stripe_checkout_session_id"
    shop.query(f"GRANT SELECT, UPDATE ({columns}) ON ticket_orders TO {user}")

    [mismatch] = verified(shop)

    assert mismatch.where == "table ticket_orders"
    assert "tries to update email" in mismatch.found
    assert verified(shop, replace(CACHAO, orders=replace(CACHAO.orders, email=None))) == []


def test_read_only_server_is_named(server: MariaDBServer) -> None:
    shop = Cachao(server)
    shop.query("SET GLOBAL read_only = ON")
    with closing(shop.database()) as database, database.session(Deadline(30)) as session:
        mismatches = verify_privileges(session, CACHAO)
    assert any("1290" in each.found for each in mismatches)
    assert all("server that may be written" in each.hint for each in mismatches)


def test_log_by_statement_is_named() -> None:
    options = {"log_bin": "binlog", "binlog_format": "STATEMENT"}
    with MariaDBServer(options=options) as server:
        shop = Cachao(server, migrated=False)
        with closing(shop.database()) as database, database.session(Deadline(30)) as session:
            mismatches = verify_structure(session, CACHAO)
    assert [each.found for each in mismatches if each.where == "the server"] == [
        "binlog_format STATEMENT"
    ]


@pytest.mark.parametrize("version", ["10.5.23-MariaDB", "8.0.36", "8.0.mysql_aurora.3.05.2"])
def test_another_server_or_an_older_one_is_named(version: str) -> None:
    """A server says of itself what its configuration says."""
    with MariaDBServer(options={"version": version}) as server:
        shop = Cachao(server, migrated=False)
        with closing(shop.database()) as database, database.session(Deadline(30)) as session:
            mismatches = verify_structure(session, CACHAO)
    [mismatch] = [each for each in mismatches if each.where == "the server"]
    assert (mismatch.found, mismatch.needed) == (f"version {version}", "MariaDB 10.6 or later")


def test_tables_of_another_team_fit_once_they_are_described(shop: Cachao) -> None:
    shop.query("DROP TABLE ticket_orders, tickets, discount_codes")
    shop.query("CREATE TABLE seats (seat CHAR(36) PRIMARY KEY, taken INT NOT NULL)")
    shop.query(
        "CREATE TABLE Bookings (uuid CHAR(36) PRIMARY KEY, seat CHAR(36), number INT, "
        "total INT, currency CHAR(3), state ENUM('new', 'busy', 'bad', 'done'), "
        "intent VARCHAR(255), paid DATETIME)"
    )
    tables = OrderTables(
        orders=OrdersTable(
            table="Bookings",
            id="uuid",
            ticket_id="seat",
            quantity="number",
            total_amount="total",
            status="state",
            payment_intent_id="intent",
            currency="currency",
            paid_at="paid",
            session_id=None,
            email=None,
        ),
        tickets=TicketsTable(table="seats", id="seat", sold_quantity="taken", max_quantity=None),
        discount_codes=None,
        statuses=StatusWords(
            open="new", processing="busy", payment_failed="bad", paid="done", refunded=()
        ),
        amount_unit="minor",
        currency=None,
        order_id="string",
    )
    assert verified(shop, tables) == []
    assert len(verified(shop)) == 3


def test_message_is_as_long_as_cloudformation_takes_and_says_what_is_left_out() -> None:
    some = Mismatch(where="table é", found="x" * 200, needed="y" * 200, hint="z" * 200)
    text = str(DatabaseMismatch([some] * 20))
    assert len(text.encode()) <= MAX_MESSAGE_BYTES + 100
    assert text.startswith("What does not fit of the database (20):\n1. table é: found xxx")
    assert text.endswith("And 16 more: they stand in the function's log.")


@pytest.fixture
def function(shop: Cachao, monkeypatch: pytest.MonkeyPatch) -> Cachao:
    """The function of the deployment, configured for the shop's database."""
    settings = shop.settings()
    for name in ("host", "port", "name", "user", "password"):
        monkeypatch.setenv(f"DB_{name.upper()}", str(getattr(settings, name)))
    monkeypatch.setenv("ORDER_TABLES", CACHAO.to_json())
    return shop


def test_deployment_against_wrong_tables_lists_them_and_succeeds_once_they_are_put_right(
    function: Cachao,
) -> None:
    function.query("DROP TABLE settlements, stripe_events, payment_anomalies")
    function.query("DROP TABLE settlement_migrations")
    function.query("ALTER TABLE ticket_orders MODIFY total_amount BIGINT NOT NULL")
    function.query("CREATE TABLE stripe_events (id INT PRIMARY KEY)")

    with pytest.raises(DatabaseMismatch) as failure:
        migration_handler.handler({}, AnyContext())

    assert "there is a table stripe_events in this schema that is not" in str(failure.value)
    assert "column ticket_orders.total_amount: found bigint(20)" in str(failure.value)
    function.query("ALTER TABLE ticket_orders MODIFY total_amount DECIMAL(10,2) NOT NULL")
    function.query("RENAME TABLE stripe_events TO the_shops_events")
    assert migration_handler.handler({}, AnyContext())["applied"]


def test_check_returns_what_does_not_fit_and_migrates_nothing(function: Cachao) -> None:
    function.query("DROP TABLE payment_anomalies")
    function.query("ALTER TABLE tickets ENGINE = Aria")

    answer = migration_handler.handler({"check": "database"}, AnyContext())

    assert [each["where"] for each in answer["mismatches"]] == [
        "table tickets",
        "table payment_anomalies",
    ]
    assert set(answer["mismatches"][0]) == {"where", "found", "needed", "hint"}
    assert function.query("SHOW TABLES LIKE 'payment_anomalies'") == []
