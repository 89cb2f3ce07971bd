"""Processes as Linux shows them under /proc: who started whom, who listens where."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
_LISTENING = "0A"


class Process(NamedTuple):
    """One process; its start tells it from a later one with the same number."""

    pid: int
    started: str


def alive(process: Process) -> bool:
    """Whether it still runs; a zombie, which nobody has waited for, does not."""
    stat = _stat(process.pid)
    return stat is not None and stat[0] != "Z" and stat[19] == process.started


def family(pid: int) -> set[Process]:
    """A process and all that it and its children have started, as far as they still run."""
    parents: dict[int, list[int]] = {}
    for path in PROC.iterdir():
        if path.name.isdecimal() and (stat := _stat(int(path.name))) is not None:
            parents.setdefault(int(stat[1]), []).append(int(path.name))
    found, waiting = set(), [pid]
    while waiting:
        member = waiting.pop()
        waiting += parents.get(member, [])
        if (stat := _stat(member)) is not None:
            found.add(Process(member, stat[19]))
    return found


def listening(processes: set[Process]) -> set[tuple[str, int]]:
    """(address, port) of every TCP socket on which one of them takes connections."""
    sockets = {inode for process in processes for inode in _sockets(process.pid)}
    return {
        (_address(where), int(where.rpartition(":")[2], 16))
        for table in ("tcp", "tcp6")
        for line in (PROC / "net" / table).read_text().splitlines()[1:]
        for where, state, inode in [(line.split()[1], line.split()[3], line.split()[9])]
        if state == _LISTENING and inode in sockets
    }


def _stat(pid: int) -> list[str] | None:
    """The fields of ``/proc/<pid>/stat`` after the name: [0] the state, [1] the parent, [19] the
    start (proc(5) counts these as fields 3, 4 and 22).
    """
    with suppress(OSError):
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return None


def _sockets(pid: int) -> set[str]:
    inodes = set()
    with suppress(OSError):
        for descriptor in (PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):
                target = str(descriptor.readlink())
                if target.startswith("socket:["):
                    inodes.add(target[len("socket:[") : -1])
    return inodes


def _address(where: str) -> str:
    """Words of four bytes, each in the machine's order: little-endian wherever this runs."""
    digits = bytes.fromhex(where.partition(":")[0])
    raw = b"".join(digits[at : at + 4][::-1] for at in range(0, len(digits), 4))
    return str(IPv4Address(raw) if len(raw) == 4 else IPv6Address(raw))
