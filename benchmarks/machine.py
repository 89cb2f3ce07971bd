"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from local.servers.mariadb import MariaDBServer

SYNCS = 100


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The machine, what runs on it, and how busy others kept it."""

    date: str
    processor: str
    cores: int
    memory_gib: int
    sync_ms: float
    """Median of writing and syncing half a kilobyte where the database keeps its data."""
    load: float
    """Processes that wanted a core before the benchmark began, over the last minute."""
    mariadb: str
    python: str
    pymysql: str

    @property
    def shape(self) -> str:
        """One line for the report."""
        return f"{self.cores} cores ({self.processor}), {self.memory_gib} GiB"


def describe(server: MariaDBServer, directory: Path | None) -> Machine:
    """This machine, now."""
    load = os.getloadavg()[0]
    with closing(server.admin_connection()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT VERSION()")
        row = cursor.fetchone()
    return Machine(
        date=datetime.now(UTC).date().isoformat(),
        processor=_processor(),
        cores=os.cpu_count() or 1,
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        sync_ms=_sync_ms(directory),
        load=round(load, 1),
        mariadb=str(row[0]) if row else "unknown",
        python=platform.python_version(),
        pymysql=version("pymysql"),
    )


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _sync_ms(directory: Path | None) -> float:
    seconds = []
    with tempfile.NamedTemporaryFile(dir=directory) as file:
        for _ in range(SYNCS):
            began = time.perf_counter()
            os.pwrite(file.fileno(), b"\0" * 512, 0)
            os.fsync(file.fileno())
            seconds.append(time.perf_counter() - began)
    return round(statistics.median(seconds) * 1000, 2)
