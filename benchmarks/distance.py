"""A server at a distance: the delaying proxy, in a process of its own, tuned to this machine."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

from benchmarks import ROOT
from benchmarks.workload import Workload

PINGS = 300


@dataclass(frozen=True, kw_only=True)
class Distance:
    """A way to reach the server, and how far it is."""

    port: int
    nominal_ms: float
    measured_ms: float
    """What a ping takes, the server's own work and this machine's included."""


@contextmanager
def distance(workload: Workload, round_trip_ms: float) -> Iterator[Distance]:
    """The server as if it were `round_trip_ms` away; 0 is the server itself, without a proxy.

    The proxy and the scheduler add some of their own to what is asked for. That is measured once
    and taken off, so that a millisecond is a millisecond.
    """
    near = _ping_ms(workload, workload.address.port)
    if not round_trip_ms:
        yield Distance(port=workload.address.port, nominal_ms=0, measured_ms=near)
        return
    with _proxy(workload, round_trip_ms) as port:
        excess = _ping_ms(workload, port) - near - round_trip_ms
    with _proxy(workload, max(round_trip_ms - excess, 0)) as port:
        yield Distance(port=port, nominal_ms=round_trip_ms, measured_ms=_ping_ms(workload, port))


@contextmanager
def _proxy(workload: Workload, round_trip_ms: float) -> Iterator[int]:
    command = [sys.executable, "-m", "local.servers.delaying_proxy", str(workload.address.port)]
    command += ["--round-trip-ms", str(round_trip_ms)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        if process.stdout is None:
            raise RuntimeError("the proxy has no output")
        try:
            yield int(process.stdout.readline())
        finally:
            process.communicate()  # the end of its input ends it


def _ping_ms(workload: Workload, port: int) -> float:
    with closing(replace(workload.address, port=port).connect()) as connection:
        seconds = []
        for _ in range(PINGS):
            began = time.perf_counter()
            connection.ping(reconnect=False)
            seconds.append(time.perf_counter() - began)
    # The quicker half: what else this machine does at the moment is no distance.
    return statistics.median(sorted(seconds)[: PINGS // 2]) * 1000
