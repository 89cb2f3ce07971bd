"""The server that the tests, the benchmark and the local cloud run on."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pymysql
import pytest

import local.servers.mariadb
from local.servers.mariadb import MariaDBError, MariaDBServer
from local.shop import Shop
from tests.support.waiting import SECONDS, wait_until_ended, within

ROOT = Path(__file__).parents[2]
PASSWORD = "it's 100% \\ secret"


@pytest.fixture(scope="module")
def server() -> Iterator[MariaDBServer]:
    with MariaDBServer() as server:
        yield server


def connect(server: MariaDBServer, name: str, password: str = PASSWORD) -> pymysql.Connection[Any]:
    return pymysql.connect(
        host=server.host, port=server.port, user=name, password=password, database=name
    )


def rows(connection: pymysql.Connection[Any], statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def test_user_of_a_new_database_enters_by_tcp_with_the_password(server: MariaDBServer) -> None:
    server.create_database("entered", user="entered", password=PASSWORD)
    with closing(connect(server, "entered")) as connection:
        assert rows(connection, "SELECT DATABASE()") == [("entered",)]


def test_user_of_a_new_database_is_refused_without_the_password(server: MariaDBServer) -> None:
    server.create_database("refused", user="refused", password=PASSWORD)
    with pytest.raises(pymysql.err.OperationalError, match="1045"):
        connect(server, "refused", password="guessed")


def test_root_is_not_reachable_by_tcp(server: MariaDBServer) -> None:
    with pytest.raises(pymysql.err.OperationalError, match=r"1045|1130"):
        pymysql.connect(host=server.host, port=server.port, user="root")


def test_name_that_could_end_a_quoted_identifier_is_refused(server: MariaDBServer) -> None:
    with pytest.raises(ValueError, match="name"):
        server.create_database("a`b", user="any", password="any")


def test_service_schema_is_the_three_tables_of_the_service(server: MariaDBServer) -> None:
    shop = Shop(server.create_database("schema", user="schema", password=PASSWORD))
    shop.create_tables()
    tables = {name for (name,) in shop.query("SHOW TABLES")}
    assert tables == {"ticket_orders", "tickets", "discount_codes"}


def test_two_servers_run_side_by_side(server: MariaDBServer) -> None:
    with MariaDBServer() as other:
        assert other.port != server.port


def test_commit_outlives_a_killed_server() -> None:
    with MariaDBServer() as server:
        server.create_database("killed", user="killed", password=PASSWORD)
        with closing(connect(server, "killed")) as connection:
            rows(connection, "CREATE TABLE t (a INT)")
            rows(connection, "INSERT INTO t VALUES (1)")
            connection.commit()
            rows(connection, "INSERT INTO t VALUES (2)")
            server.kill()
        server.start()
        with closing(connect(server, "killed")) as connection:
            assert rows(connection, "SELECT a FROM t") == [(1,)]


def test_restarted_server_listens_on_the_same_port() -> None:
    with MariaDBServer() as server:
        port = server.port
        server.restart()
        assert server.port == port
        server.admin_connection().close()


def test_default_durability_syncs_every_commit(server: MariaDBServer) -> None:
    with closing(server.admin_connection()) as connection:
        [(value,)] = rows(connection, "SELECT @@innodb_flush_log_at_trx_commit")
    assert value == 1


def test_options_reach_the_server() -> None:
    with (
        MariaDBServer(durable=False, options={"max_connections": 17}) as server,
        closing(server.admin_connection()) as connection,
    ):
        variables = "SELECT @@max_connections, @@innodb_flush_log_at_trx_commit"
        assert rows(connection, variables) == [(17, 2)]


def test_closed_server_leaves_no_file(tmp_path: Path) -> None:
    with MariaDBServer(parent_directory=tmp_path):
        assert list(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []


def test_server_that_cannot_start_shows_its_log_and_leaves_nothing(tmp_path: Path) -> None:
    server = MariaDBServer(parent_directory=tmp_path, options={"no_such_option": 1})
    with pytest.raises(MariaDBError, match="unknown variable 'no-such-option=1'"):
        server.start()
    assert not server.running
    assert list(tmp_path.iterdir()) == []


def test_missing_server_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(local.servers.mariadb, "_SERVER_DIRECTORIES", ())
    with pytest.raises(MariaDBError, match="apt-get install mariadb-server"):
        MariaDBServer().start()


def test_server_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from local.servers.mariadb import MariaDBServer\n"
        "server = MariaDBServer(parent_directory=Path(sys.argv[1])); server.start()\n"
        "print(server._process.pid, server._watchdog.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        with within("the server to start"):
            pids = [int(pid) for pid in owner.stdout.readline().split()]
        owner.kill()
        wait_until_ended(*pids)
    assert list(tmp_path.iterdir()) == []


def test_command_prints_settings_that_connect_and_ends_on_request() -> None:
    with ExitStack() as stack:
        command = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "local.servers.mariadb"],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        stack.callback(command.kill)
        assert command.stdout is not None
        with within("the command to print its settings"):
            settings = dict(command.stdout.readline().strip().split("=", 1) for _ in range(6))
        pymysql.connect(
            host=settings["DB_HOST"],
            port=int(settings["DB_PORT"]),
            database=settings["DB_NAME"],
            user=settings["DB_USER"],
            password=settings["DB_PASSWORD"],
        ).close()
        command.send_signal(signal.SIGTERM)
        assert command.wait(SECONDS) == 0
