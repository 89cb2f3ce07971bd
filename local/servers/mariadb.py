"""A real MariaDB of one's own: started in a temporary directory, gone without a trace afterwards.

    with MariaDBServer() as server:
        server.create_database("cachao", user="cachao", password="local")
        ...  # server.host, server.port

`python -m local.servers.mariadb` runs one in the foreground and prints the settings that the
functions need.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Self

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

HOST: Final = "127.0.0.1"
_SERVER_DIRECTORIES: Final = ("/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/bin")
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 30.0

# Kills the server and removes its directory once standard input ends: when this process is gone.
_WATCHDOG: Final = 'read -r _; kill -KILL "$1" 2>/dev/null; exec rm -rf -- "$2"'


class MariaDBError(RuntimeError):
    """The server cannot be started. The message says why, and what to install if it is missing."""


@dataclass(frozen=True, kw_only=True)
class DatabaseAddress:
    """Where a database is, and how to get in."""

    host: str
    port: int
    name: str
    user: str
    password: str = field(repr=False)

    def connect(self) -> Connection[Cursor]:
        """Open an autocommit connection, without TLS."""
        return pymysql.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            database=self.name,
            charset="utf8mb4",
            autocommit=True,
            ssl_disabled=True,  # loading the machine's authorities takes longer than a query
            connect_timeout=5,
            read_timeout=60,
            write_timeout=60,
        )

    def environment(self) -> dict[str, str]:
        """Return the variables by which a function of the service finds it."""
        return {f"DB_{name.upper()}": str(value) for name, value in asdict(self).items()}


class MariaDBServer:
    """One MariaDB server on a free port of 127.0.0.1, over a data directory that `start` prepares.

    `durable` writes and syncs the log at every commit (MariaDB's default, and what a deployed
    database does). Without it the log is synced once a second: faster on a slow disk, and a
    killed server still loses nothing, because the operating system holds what was written.
    `options` are further `mariadbd` settings by name (`{"max_connections": 5}`).

    The server ends with `stop`, `kill`, or this process, whichever comes first.
    """

    host: Final = HOST

    def __init__(
        self,
        *,
        port: int | None = None,
        durable: bool = True,
        options: Mapping[str, str | int] | None = None,
        parent_directory: Path | None = None,
    ) -> None:
        self._fixed_port = port
        self._port = port
        self._options = {
            "innodb_flush_log_at_trx_commit": 1 if durable else 2,
            "innodb_buffer_pool_size": "64M",
            "innodb_log_file_size": "32M",
            **(options or {}),
        }
        self._parent_directory = parent_directory
        self._directory: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def port(self) -> int:
        """The TCP port, the same through every restart. `MariaDBError` before the first start."""
        if self._port is None:
            raise MariaDBError("The server has no port before it is started: call start() first.")
        return self._port

    @property
    def running(self) -> bool:
        """Whether the server's process is alive."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server and return once it takes connections. Nothing happens if it runs.

        Raises `MariaDBError` with the end of the server's log when it gives up.
        """
        if self.running:
            return
        is_new = self._directory is None
        if self._directory is None:
            self._directory = _prepared_directory(self._parent_directory)
        try:
            self._start_on_a_port()
        except BaseException:
            if is_new:  # nothing of anybody's is in it
                self.close()
            raise

    def _start_on_a_port(self) -> None:
        attempts = 1 if self._port is not None else 3  # another program may take a free port first
        for attempt in range(1, attempts + 1):
            port = self._port if self._port is not None else _free_port()
            try:
                self._launch(port)
            except MariaDBError as error:
                if attempt == attempts or "Address already in use" not in str(error):
                    raise
            else:
                self._port = port
                return

    def stop(self) -> None:
        """Shut the server down in order and keeps its data for the next `start`."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server as a crash would (SIGKILL) and keep its data for the next `start`."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Shut down and start again: same data, same port."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End the server and remove its data directory."""
        self.kill()  # its data is about to go: nothing is worth an orderly shutdown
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
        self._directory, self._port = None, self._fixed_port

    def admin_connection(self) -> Connection[Cursor]:
        """Open an autocommit connection as root, over the socket that only this user can reach."""
        return pymysql.connect(
            unix_socket=str(self._path("server.sock")),
            user="root",
            charset="utf8mb4",
            autocommit=True,
            ssl_disabled=True,  # loading the machine's authorities takes longer than a query
            connect_timeout=5,
            read_timeout=60,
            write_timeout=60,
        )

    def create_database(self, name: str, *, user: str, password: str) -> DatabaseAddress:
        """Create an empty utf8mb4 database and a user who may do anything in it, from anywhere."""
        if not re.fullmatch(r"\w{1,64}", name, re.ASCII):
            raise ValueError(f"A database's name is 1 to 64 letters, digits or _: got {name!r}.")
        with closing(self.admin_connection()) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
            cursor.execute("CREATE USER IF NOT EXISTS %s@'%%'", (user,))
            cursor.execute("SET PASSWORD FOR %s@'%%' = PASSWORD(%s)", (user, password))
            cursor.execute(f"GRANT ALL ON `{name}`.* TO %s@'%%'", (user,))
        return DatabaseAddress(
            host=self.host, port=self.port, name=name, user=user, password=password
        )

    def error_log(self) -> str:
        """Return what the server has written to its error log so far."""
        return self._path("error.log").read_text(encoding="utf-8", errors="replace")

    def _path(self, name: str) -> Path:
        if self._directory is None:
            raise MariaDBError("The server has no files before it is started: call start() first.")
        return self._directory / name

    def _launch(self, port: int) -> None:
        command = [
            _binary("mariadbd"),
            "--no-defaults",
            *_run_as(),
            f"--datadir={self._path('data')}",
            f"--socket={self._path('server.sock')}",
            f"--pid-file={self._path('server.pid')}",
            f"--tmpdir={self._path('tmp')}",
            f"--bind-address={HOST}",
            f"--port={port}",
            "--skip-name-resolve",
            "--skip-log-bin",
            "--character-set-server=utf8mb4",
            *(f"--{name.replace('_', '-')}={value}" for name, value in self._options.items()),
        ]
        with self._path("error.log").open("wb") as log:
            # A session of their own: Ctrl-C reaches this process, which then ends them in order.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._watchdog = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHDOG, "sh", str(self._process.pid), str(self._directory)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self._end(signal.SIGKILL)
            raise

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._takes_connections():
                return
            with suppress(subprocess.TimeoutExpired):  # the pause ends early when the server does
                process.wait(timeout=0.01)
                reason = f"mariadbd ended with exit code {process.returncode}"
                raise MariaDBError(f"{reason} while starting:\n{self.error_log()[-2000:]}")
        raise MariaDBError(
            f"mariadbd took no connection within {_START_SECONDS:.0f} s:\n"
            f"{self.error_log()[-2000:]}"
        )

    def _takes_connections(self) -> bool:
        # Asked with a socket of our own first: PyMySQL leaves one open where connecting fails.
        refusals = (OSError, pymysql.err.OperationalError)
        with socket.socket(socket.AF_UNIX) as probe, suppress(*refusals):
            probe.connect(str(self._path("server.sock")))
            self.admin_connection().close()
            return True
        return False

    def _end(self, sign: signal.Signals) -> None:
        if self._watchdog is not None:
            self._watchdog.kill()
            self._watchdog.communicate()
            self._watchdog = None
        if self._process is not None:
            self._process.send_signal(sign)
            try:
                self._process.wait(timeout=_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


def _binary(name: str) -> str:
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SERVER_DIRECTORIES))
    found = shutil.which(name, path=path)
    if found is None:
        raise MariaDBError(
            f"{name} is not installed, or not on PATH. On Debian or Ubuntu: "
            "apt-get install mariadb-server; on macOS: brew install mariadb."
        )
    return found


def _run_as() -> list[str]:
    # mariadbd refuses to run as root unless it is told to, in so many words.
    return ["--user=root"] if os.geteuid() == 0 else []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _prepared_directory(parent: Path | None) -> Path:
    """Return a private directory with a fresh data directory in it, copied from a template."""
    template = _template()
    # The default prefix stays short: a socket's path may be no longer than 104 characters.
    directory = Path(tempfile.mkdtemp(prefix="mariadb-", dir=parent))
    shutil.copytree(template, directory / "data")
    (directory / "tmp").mkdir()
    return directory


def _template() -> Path:
    """Return a data directory as `mariadb-install-db` leaves it, made once per version and user."""
    version = subprocess.run(
        [_binary("mariadbd"), "--no-defaults", "--version"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    match = re.search(r"Ver (\S+)", version)
    name = f"mariadb-{match.group(1) if match else 'unknown'}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stripe-settlement"
    template = cache / name
    if template.is_dir():
        return template
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=cache))
    _install(made)
    try:
        made.rename(template)  # whole or not at all
    except OSError:  # another process was first
        shutil.rmtree(made)
    return template


def _install(directory: Path) -> None:
    """Fill a data directory. Root enters by the local socket alone, so it needs no password."""
    settings = [*_run_as(), f"--datadir={directory}", "--innodb-log-file-size=4M"]
    install = [
        *(_binary("mariadb-install-db"), "--no-defaults", *settings),
        *("--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"),
    ]
    bootstrap = [_binary("mariadbd"), "--no-defaults", "--bootstrap", *settings]
    for command, script in (
        (install, ""),
        (bootstrap, "DELETE FROM mysql.global_priv WHERE Host <> 'localhost';\n"),
    ):
        done = subprocess.run(
            command,
            check=False,
            input=script,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode != 0:
            shutil.rmtree(directory, ignore_errors=True)
            raise MariaDBError(f"{command[0]} ended with {done.returncode}:\n{done.stdout[-2000:]}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a server in the foreground. Return 0 when asked to end, 1 when it cannot run."""
    parser = argparse.ArgumentParser(
        prog="python -m local.servers.mariadb",
        description="Runs a throwaway MariaDB on 127.0.0.1 until Ctrl-C or SIGTERM, and prints "
        "the settings that reach it. Its data goes with it.",
        epilog="Exit codes: 0 ended as asked, 1 could not start or ended by itself, 2 usage.",
    )
    parser.add_argument("--port", type=int, help="TCP port (default: a free one)")
    parser.add_argument("--database", default="cachao", help="database to create (%(default)s)")
    parser.add_argument("--user", default="cachao", help="its user (%(default)s)")
    parser.add_argument("--password", default="local", help="the user's password (%(default)s)")
    parser.add_argument(
        "--empty", action="store_true", help="leave the database without the service's tables"
    )
    options = parser.parse_args(arguments)
    ended = threading.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: ended.set())
    try:
        with MariaDBServer(port=options.port) as server:
            address = server.create_database(
                options.database, user=options.user, password=options.password
            )
            if not options.empty:
                from local.shop import Shop  # which knows this module

                Shop(address).create_tables()
            variables = {**address.environment(), "DB_TLS": "off"}
            print("\n".join(f"{name}={value}" for name, value in variables.items()), flush=True)
            while not ended.wait(timeout=0.2):
                if not server.running:
                    raise MariaDBError(f"mariadbd ended by itself:\n{server.error_log()[-2000:]}")
    except (MariaDBError, pymysql.MySQLError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
