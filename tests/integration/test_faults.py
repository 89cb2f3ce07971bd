"""Faults of the database and of the way to it. After each: nothing half, and a later delivery
finishes the job."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pymysql
import pytest

from local.servers.delaying_proxy import DelayingProxy
from local.servers.mariadb import MariaDBServer
from local.shop import Order, ShopTables
from settlement.adapters import connection
from settlement.adapters.database import Database, FixedCredentials
from settlement.domain.clock import Deadline
from settlement.domain.outcomes import Outcome
from settlement.errors import ConfigurationError, LedgerUnavailable
from tests.support.cachao import PASSWORD, USER, Cachao, Holder, deliver, deliver_batch, event_for
from tests.support.waiting import SECONDS, join

pytestmark = pytest.mark.both_shapes


@pytest.fixture
def broken(server: MariaDBServer, shape: ShopTables) -> Cachao:
    """The shop's database on a server of the test's own."""
    return Cachao(server, tables=shape)


def assert_settled_once(cachao: Cachao, order: Order) -> None:
    assert cachao.status(order) == "paid"
    assert cachao.settlements(order) == 1
    assert cachao.counters(order) == cachao.counted(order.quantity, 1)


def assert_untouched(cachao: Cachao, order: Order) -> None:
    assert cachao.status(order) == cachao.tables.open
    assert cachao.settlements(order) == 0
    assert cachao.counters(order) == cachao.counted(0, 0)


def inject_errors(cachao: Cachao, code: int, *, times: int = 1, text: str = "injected") -> None:
    """Make the next inserts of a settlement give an error of the server, inside the transaction.

    The count is kept in an Aria table, which no rollback takes back.
    """
    cachao.query("CREATE OR REPLACE TABLE faults (left_over INT) ENGINE = Aria TRANSACTIONAL = 0")
    cachao.query("INSERT INTO faults VALUES (%s)", times)
    cachao.query(
        "CREATE OR REPLACE TRIGGER fault BEFORE INSERT ON settlements FOR EACH ROW BEGIN "
        "IF (SELECT left_over FROM faults) > 0 THEN UPDATE faults SET left_over = left_over - 1; "
        f"SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {code}, MESSAGE_TEXT = '{text}'; "
        "END IF; END"
    )


def in_background(work: Callable[[], Any]) -> Callable[[], Any]:
    """Start work in a thread; the answer waits for its result."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()

    def result() -> Any:
        join(thread, "the delivery")
        return results[0]

    return result


def test_connection_killed_before_the_transaction_is_replaced(
    cachao: Cachao, database: Database
) -> None:
    first, order = cachao.add_order(), cachao.add_order()
    deliver(event_for(first, payment="first"), database)
    [[connection_id]] = cachao.query(
        "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = %s", USER
    )
    cachao.query(f"KILL {connection_id}")

    assert deliver(event_for(order), database).outcome is Outcome.SETTLED
    assert_settled_once(cachao, order)


@pytest.mark.parametrize("what", ["CONNECTION", "QUERY"])
def test_transaction_killed_inside_is_run_again(cachao: Cachao, what: str) -> None:
    order = cachao.add_order()
    with ExitStack() as stack:
        holder = stack.enter_context(closing(Holder(cachao, order)))
        database = stack.enter_context(closing(cachao.database(sleep=lambda _: holder.close())))
        result = in_background(lambda: deliver(event_for(order), database))
        cachao.query(f"KILL {what} {cachao.wait_for_lock()[0]}")

        assert result().outcome is Outcome.SETTLED
    assert_settled_once(cachao, order)


def test_network_cut_inside_the_transaction_is_survived(cachao: Cachao) -> None:
    order = cachao.add_order()
    with ExitStack() as stack:
        proxy = stack.enter_context(DelayingProxy(cachao.server.host, cachao.server.port))
        holder = stack.enter_context(closing(Holder(cachao, order)))
        database = stack.enter_context(
            closing(cachao.database(port=proxy.port, sleep=lambda _: holder.close()))
        )
        result = in_background(lambda: deliver(event_for(order), database))
        cachao.wait_for_lock()
        proxy.cut_all()

        assert result().outcome in (Outcome.SETTLED, Outcome.DUPLICATE)
    assert_settled_once(cachao, order)


def test_lost_acknowledgement_after_the_commit_settles_once(cachao: Cachao) -> None:
    first, order = cachao.add_order(), cachao.add_order()
    with ExitStack() as stack:
        proxy = stack.enter_context(DelayingProxy(cachao.server.host, cachao.server.port))
        database = stack.enter_context(closing(cachao.database(port=proxy.port)))
        deliver(event_for(first, payment="first"), database)
        proxy.lose_next_answer()

        assert deliver(event_for(order), database).outcome is Outcome.DUPLICATE
    assert_settled_once(cachao, order)


def test_lost_request_is_sent_again(cachao: Cachao) -> None:
    first, order = cachao.add_order(), cachao.add_order()
    with ExitStack() as stack:
        proxy = stack.enter_context(DelayingProxy(cachao.server.host, cachao.server.port))
        database = stack.enter_context(closing(cachao.database(port=proxy.port)))
        deliver(event_for(first, payment="first"), database)
        proxy.lose_next_request()

        assert deliver(event_for(order), database).outcome is Outcome.SETTLED
    assert_settled_once(cachao, order)


@pytest.mark.service_tables
def test_deadlock_is_run_again(cachao: Cachao) -> None:
    """Against a client that locks ticket before order, and has changed more rows than we have."""
    order = cachao.add_order()
    others = [cachao.add_order() for _ in range(50)]
    closed_the_circle = threading.Event()
    with ExitStack() as stack:
        holder = stack.enter_context(closing(Holder(cachao, order)))

        def let_the_other_finish(_: float) -> None:
            closed_the_circle.wait(SECONDS)
            holder.close()

        stack.callback(closed_the_circle.set)
        database = stack.enter_context(closing(cachao.database(sleep=let_the_other_finish)))
        with holder.connection.cursor() as cursor:
            cursor.execute(
                "UPDATE ticket_orders SET quantity = quantity + 1 WHERE id >= %s", (others[0].id,)
            )
            result = in_background(lambda: deliver(event_for(order), database))
            cachao.wait_for_lock()
            cursor.execute("SELECT 1 FROM ticket_orders WHERE id = %s FOR UPDATE", (order.id,))
        closed_the_circle.set()

        assert result().outcome is Outcome.SETTLED
    assert_settled_once(cachao, order)


def test_lock_wait_timeout_leaves_nothing_half_and_is_run_again(cachao: Cachao) -> None:
    order = cachao.add_order()
    seen: list[str] = []
    with ExitStack() as stack:
        holder = stack.enter_context(closing(Holder(cachao, order)))

        def after_the_first_timeout(_: float) -> None:
            seen.append(cachao.status(order))
            holder.close()

        database = stack.enter_context(closing(cachao.database(sleep=after_the_first_timeout)))
        result = deliver(event_for(order), database)

    assert result.outcome is Outcome.SETTLED
    assert seen == [cachao.tables.open]
    assert_settled_once(cachao, order)


@pytest.mark.parametrize(
    "code",
    [1213, 1205, 1020, 1317, 2006, 2013, 1927, 1053, 1040, 1047, 1203, 1243, 1290, 1836],
)
def test_passing_error_inside_the_transaction_is_run_again(
    shared_server: MariaDBServer, shape: ShopTables, code: int
) -> None:
    cachao = Cachao(shared_server, tables=shape)
    with closing(cachao.database()) as database:
        order = cachao.add_order()
        inject_errors(cachao, code)

        assert deliver(event_for(order), database).outcome is Outcome.SETTLED
        assert_settled_once(cachao, order)


@pytest.mark.parametrize(
    ("code", "replaced"),
    [(code, False) for code in (1213, 1205, 1020, 1317)]
    + [(code, True) for code in (1927, 1053, 1047, 1203, 1243, 1290, 1836)],
)
def test_connection_is_replaced_where_its_server_is_not_to_be_used_again(
    cachao: Cachao, database: Database, code: int, *, replaced: bool
) -> None:
    order = cachao.add_order()
    question = "SELECT CONNECTION_ID()"
    before = database.query(question, Deadline(30))
    try:
        inject_errors(cachao, code)

        assert deliver(event_for(order), database).outcome is Outcome.SETTLED
    finally:
        cachao.query("DROP TRIGGER fault")
        cachao.query("DROP TABLE faults")
    assert (database.query(question, Deadline(30)) != before) is replaced


@pytest.mark.parametrize("code", [1142, 1146, 1054])
def test_lasting_error_is_left_to_a_later_delivery(
    shared_server: MariaDBServer, shape: ShopTables, code: int
) -> None:
    cachao = Cachao(shared_server, tables=shape)
    with closing(cachao.database()) as database:
        order = cachao.add_order()
        inject_errors(cachao, code)

        assert deliver(event_for(order), database).outcome is Outcome.RETRY
        assert_untouched(cachao, order)
        assert deliver(event_for(order), database).outcome is Outcome.SETTLED
        assert_settled_once(cachao, order)


def test_retries_are_bounded_by_attempts(shared_server: MariaDBServer, shape: ShopTables) -> None:
    pauses: list[float] = []
    cachao = Cachao(shared_server, tables=shape)
    with closing(cachao.database(sleep=pauses.append)) as database:
        order = cachao.add_order()
        inject_errors(cachao, 1213, times=1000)

        assert deliver(event_for(order), database).outcome is Outcome.RETRY
        assert_untouched(cachao, order)
    assert len(pauses) == 5
    assert all(0 <= pause <= 1 for pause in pauses)


def test_server_killed_inside_the_transaction_leaves_nothing_half(broken: Cachao) -> None:
    order = broken.add_order()
    with ExitStack() as stack:
        stack.enter_context(closing(Holder(broken, order)))
        database = stack.enter_context(closing(broken.database()))
        result = in_background(lambda: deliver(event_for(order), database))
        broken.wait_for_lock()
        broken.server.kill()

        assert result().outcome is Outcome.RETRY
        broken.server.start()
        assert_untouched(broken, order)

        assert deliver(event_for(order), database).outcome is Outcome.SETTLED
    assert_settled_once(broken, order)


def test_acknowledged_settlement_survives_the_server_being_killed(broken: Cachao) -> None:
    order = broken.add_order()
    with closing(broken.database()) as database:
        deliver(event_for(order), database)
        broken.server.kill()
        broken.server.start()

        assert_settled_once(broken, order)
        assert deliver(event_for(order), database).outcome is Outcome.DUPLICATE


def test_read_only_server_is_left_and_settled_on_after_the_failover(broken: Cachao) -> None:
    first, order = broken.add_order(), broken.add_order()
    with closing(broken.database()) as database:
        deliver(event_for(first, payment="first"), database)
        broken.query("SET GLOBAL read_only = ON")

        assert deliver(event_for(order), database).outcome is Outcome.RETRY
        assert_untouched(broken, order)
        broken.query("SET GLOBAL read_only = OFF")

        assert deliver(event_for(order), database).outcome is Outcome.SETTLED
    assert_settled_once(broken, order)


def test_server_that_becomes_writable_is_settled_on_at_once(broken: Cachao) -> None:
    order = broken.add_order()
    broken.query("SET GLOBAL read_only = ON")

    def fail_over(_: float) -> None:
        broken.query("SET GLOBAL read_only = OFF")

    with closing(broken.database(sleep=fail_over)) as database:
        assert deliver(event_for(order), database).outcome is Outcome.SETTLED
    assert_settled_once(broken, order)


class RotatingCredentials:
    """Credentials whose password is changed in the store when it is read again."""

    def __init__(self, *passwords: str) -> None:
        self.passwords = list(passwords)

    def read(self, deadline: Deadline) -> tuple[str, str]:
        return USER, self.passwords[0]

    def read_again(self, deadline: Deadline) -> tuple[str, str] | None:
        if len(self.passwords) == 1:
            return None
        self.passwords.pop(0)
        return self.read(deadline)


def test_rotated_password_is_read_again_and_settles(cachao: Cachao) -> None:
    order = cachao.add_order()
    credentials = RotatingCredentials("the old one", PASSWORD)
    with closing(cachao.database(credentials=credentials)) as database:
        assert deliver(event_for(order), database).outcome is Outcome.SETTLED
    assert_settled_once(cachao, order)


@pytest.mark.parametrize("passwords", [["wrong"], ["wrong", "still wrong", PASSWORD]])
def test_refused_password_is_a_retry_that_does_not_name_it(
    cachao: Cachao, passwords: list[str]
) -> None:
    order = cachao.add_order()
    with closing(cachao.database(credentials=RotatingCredentials(*passwords))) as database:
        result = deliver(event_for(order), database)

    assert result.outcome is Outcome.RETRY
    assert str(result.error) == (
        "the database gave OperationalError 1045 (ER_ACCESS_DENIED_ERROR) "
        f"at attempt {len(passwords[:2])}"
    )


def test_too_many_connections_are_waited_for(broken: Cachao) -> None:
    order = broken.add_order()
    broken.query("SET GLOBAL max_connections = 10")
    with ExitStack() as crowd, closing(broken.database(sleep=lambda _: crowd.close())) as database:
        for connection in fill_connections(broken):
            crowd.enter_context(closing(connection))

        assert deliver(event_for(order), database).outcome is Outcome.SETTLED
    assert_settled_once(broken, order)


def fill_connections(cachao: Cachao) -> Iterator[pymysql.Connection[Any]]:
    """Connections until the server refuses one."""
    settings = cachao.settings()
    while True:
        try:
            yield pymysql.connect(
                host=settings.host, port=settings.port, user=USER, password=PASSWORD
            )
        except pymysql.err.OperationalError:
            return


@pytest.mark.service_tables
def test_delivery_behind_a_table_change_that_waits_gives_up_in_time_and_says_why(
    cachao: Cachao,
) -> None:
    """An ALTER that waits for a reader makes everyone after it wait for the table too."""
    order = cachao.add_order()
    with ExitStack() as stack:
        reader = stack.enter_context(closing(cachao.connect()))
        reader.begin()
        with reader.cursor() as cursor:
            cursor.execute("SELECT * FROM ticket_orders")
        change = stack.enter_context(closing(cachao.connect()))
        altered = in_background(lambda: change.query("ALTER TABLE ticket_orders COMMENT = 'new'"))
        cachao.wait_for_state("Waiting for table metadata lock")
        database = stack.enter_context(closing(cachao.database()))
        deadline = Deadline(3)

        with pytest.raises(LedgerUnavailable) as failure:
            database.query("UPDATE ticket_orders SET quantity = quantity", deadline)
        assert "1205 (ER_LOCK_WAIT_TIMEOUT)" in str(failure.value)
        result = deliver(event_for(order), database, seconds=3)

        assert result.outcome is Outcome.RETRY
        assert "1205 (ER_LOCK_WAIT_TIMEOUT, order)" in str(result.error)
        reader.rollback()
        altered()
        # The server may have gone on with what we no longer waited for.
        assert deliver(event_for(order), database).outcome in (Outcome.SETTLED, Outcome.DUPLICATE)
    assert_settled_once(cachao, order)


def test_statement_that_cannot_be_prepared_is_run_unprepared(broken: Cachao) -> None:
    order, other = broken.add_order(), broken.add_order()
    broken.query("SET GLOBAL max_prepared_stmt_count = 0")
    with closing(broken.database()) as database:
        assert deliver(event_for(order), database).outcome is Outcome.SETTLED
        assert_settled_once(broken, order)
        broken.query("SET GLOBAL max_prepared_stmt_count = 100")
        assert deliver(event_for(other, payment="b"), database).outcome is Outcome.SETTLED
        assert int(broken.query("SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'")[0][1]) > 0


@pytest.mark.parametrize("code", [1644, 1062, 2013, 1205, 31999])
def test_words_of_the_shops_trigger_are_shown_nowhere(
    shared_server: MariaDBServer, shape: ShopTables, code: int
) -> None:
    cachao = Cachao(shared_server, tables=shape)
    with closing(cachao.database()) as database:
        order = cachao.add_order()
        inject_errors(cachao, code, times=1000, text="customer jane.doe@example.com")

        result = deliver(event_for(order), database, seconds=2)

        assert result.outcome in (Outcome.RETRY, Outcome.ANOMALY)
        assert "jane" not in f"{result!r} {result.error!r} {result.error}"


@pytest.mark.parametrize("password", ["pä€ss", "naïve", "a'b\\c\"d%s"])
def test_password_of_any_characters_is_sent_as_it_is(cachao: Cachao, password: str) -> None:
    order = cachao.add_order()
    cachao.query("CREATE OR REPLACE USER any@'127.0.0.1' IDENTIFIED BY %s", password)
    cachao.query(f"GRANT ALL ON {cachao.name}.* TO any@'127.0.0.1'")
    credentials = FixedCredentials("any", password)
    with closing(cachao.database(credentials=credentials)) as database:
        assert deliver(event_for(order), database).outcome is Outcome.SETTLED


def test_way_to_sign_in_that_needs_a_package_is_a_configuration_error(broken: Cachao) -> None:
    broken.query("INSTALL SONAME 'auth_ed25519'")
    broken.query("CREATE USER modern@'127.0.0.1' IDENTIFIED VIA ed25519 USING PASSWORD('p')")
    with (
        closing(broken.database(credentials=FixedCredentials("modern", "p"))) as database,
        pytest.raises(ConfigurationError, match="'pynacl' package is required for ed25519"),
    ):
        database.query("DO 1", Deadline(5))


def test_server_without_mariadbs_variables_is_a_configuration_error(
    cachao: Cachao, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As MySQL's, which no longer has tx_isolation."""
    monkeypatch.setattr(connection, "SESSION", "SET SESSION not_a_variable = 1")
    with (
        closing(cachao.database()) as database,
        pytest.raises(ConfigurationError, match=r"MariaDB 10\.6 or later"),
    ):
        database.query("DO 1", Deadline(5))


@pytest.fixture
def sale(cachao: Cachao) -> list[Order]:
    """Ten orders of one ticket, which are paid in one batch."""
    ticket, code = cachao.add_ticket(), cachao.add_discount_code()
    return [cachao.add_order(ticket_id=ticket, discount_code_id=code) for _ in range(10)]


def paid(orders: list[Order]) -> list[dict[str, Any]]:
    return [event_for(order, payment=f"p{order.id}") for order in orders]


def assert_all_settled_once(cachao: Cachao, orders: list[Order]) -> None:
    assert {cachao.status(order) for order in orders} == {"paid"}
    assert [cachao.settlements(order) for order in orders] == [1] * len(orders)
    assert cachao.counters(orders[0]) == cachao.counted(
        sum(order.quantity for order in orders),
        len(orders),
    )


@pytest.mark.parametrize("what", ["CONNECTION", "QUERY"])
def test_batch_killed_inside_settles_each_order_once(
    cachao: Cachao, sale: list[Order], what: str
) -> None:
    with ExitStack() as stack:
        holder = stack.enter_context(closing(Holder(cachao, sale[0])))
        database = stack.enter_context(closing(cachao.database(sleep=lambda _: holder.close())))
        results = in_background(lambda: deliver_batch(paid(sale), database))
        cachao.query(f"KILL {what} {cachao.wait_for_lock()[0]}")

        assert {result.outcome for result in results()} == {Outcome.SETTLED}
    assert_all_settled_once(cachao, sale)


def test_network_cut_inside_a_batch_is_survived(cachao: Cachao, sale: list[Order]) -> None:
    with ExitStack() as stack:
        proxy = stack.enter_context(DelayingProxy(cachao.server.host, cachao.server.port))
        holder = stack.enter_context(closing(Holder(cachao, sale[0])))
        database = stack.enter_context(
            closing(cachao.database(port=proxy.port, sleep=lambda _: holder.close()))
        )
        results = in_background(lambda: deliver_batch(paid(sale), database))
        cachao.wait_for_lock()
        proxy.cut_all()

        assert {result.outcome for result in results()} <= {Outcome.SETTLED, Outcome.DUPLICATE}
    assert_all_settled_once(cachao, sale)


def test_lost_answer_of_a_committed_batch_settles_each_order_once(
    cachao: Cachao, sale: list[Order]
) -> None:
    first = [cachao.add_order() for _ in range(2)]
    with ExitStack() as stack:
        proxy = stack.enter_context(DelayingProxy(cachao.server.host, cachao.server.port))
        database = stack.enter_context(closing(cachao.database(port=proxy.port)))
        deliver_batch(paid(first), database)  # the first of a connection takes more round trips
        proxy.lose_next_answer()

        results = deliver_batch(paid(sale), database)

    assert {result.outcome for result in results} == {Outcome.DUPLICATE}
    assert_all_settled_once(cachao, sale)


def test_batch_that_finds_no_database_acknowledges_nothing(
    broken: Cachao, server: MariaDBServer
) -> None:
    orders = [broken.add_order() for _ in range(3)]
    with closing(broken.database()) as database:
        server.kill()
        results = deliver_batch(paid(orders), database, seconds=4)

    assert {type(result.error) for result in results} == {LedgerUnavailable}


def test_batch_whose_request_is_lost_is_sent_again(cachao: Cachao, sale: list[Order]) -> None:
    first = [cachao.add_order() for _ in range(2)]
    with ExitStack() as stack:
        proxy = stack.enter_context(DelayingProxy(cachao.server.host, cachao.server.port))
        database = stack.enter_context(closing(cachao.database(port=proxy.port)))
        deliver_batch(paid(first), database)
        proxy.lose_next_request()

        results = deliver_batch(paid(sale), database)

    assert {result.outcome for result in results} == {Outcome.SETTLED}
    assert_all_settled_once(cachao, sale)


def test_batch_that_waits_for_a_lock_for_too_long_leaves_nothing_half(
    cachao: Cachao, sale: list[Order]
) -> None:
    seen: list[set[str]] = []
    with ExitStack() as stack:
        holder = stack.enter_context(closing(Holder(cachao, sale[0])))

        def after_the_first_timeout(_: float) -> None:
            seen.append({cachao.status(order) for order in sale})
            holder.close()

        database = stack.enter_context(closing(cachao.database(sleep=after_the_first_timeout)))
        results = deliver_batch(paid(sale), database)

    assert {result.outcome for result in results} == {Outcome.SETTLED}
    assert seen == [{cachao.tables.open}]
    assert_all_settled_once(cachao, sale)


@pytest.mark.parametrize("code", [1213, 1205, 1020, 1317, 2013, 1047])
def test_passing_error_inside_a_batch_is_run_again(
    shared_server: MariaDBServer, shape: ShopTables, code: int
) -> None:
    cachao = Cachao(shared_server, tables=shape)
    ticket = cachao.add_ticket()
    orders = [cachao.add_order(ticket_id=ticket) for _ in range(4)]
    with closing(cachao.database()) as database:
        inject_errors(cachao, code)

        results = deliver_batch(paid(orders), database)

    assert {result.outcome for result in results} == {Outcome.SETTLED}
    assert [cachao.settlements(order) for order in orders] == [1] * 4


def test_server_killed_inside_a_batch_leaves_nothing_half(broken: Cachao) -> None:
    ticket = broken.add_ticket()
    orders = [broken.add_order(ticket_id=ticket) for _ in range(4)]
    with ExitStack() as stack:
        stack.enter_context(closing(Holder(broken, orders[0])))
        database = stack.enter_context(closing(broken.database()))
        results = in_background(lambda: deliver_batch(paid(orders), database, seconds=4))
        broken.wait_for_lock()
        broken.server.kill()

        assert {result.outcome for result in results()} == {Outcome.RETRY}
        broken.server.start()
        for order in orders:
            assert_untouched(broken, order)

        again = deliver_batch(paid(orders), database)
    assert {result.outcome for result in again} == {Outcome.SETTLED}
    assert [broken.settlements(order) for order in orders] == [1] * 4


def test_batch_without_time_left_starts_nothing(cachao: Cachao, sale: list[Order]) -> None:
    with closing(cachao.database()) as database:
        results = deliver_batch(paid(sale), database, seconds=0.05)

    assert {result.outcome for result in results} == {Outcome.RETRY}
    for order in sale:
        assert_untouched(cachao, order)
