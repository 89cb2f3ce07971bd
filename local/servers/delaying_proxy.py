"""A TCP proxy on 127.0.0.1 that adds a network's distance, and its faults, to a server next door.

    with DelayingProxy("127.0.0.1", server.port, one_way_seconds=0.0005) as proxy:
        ...  # connect to proxy.host, proxy.port: every round trip takes 1 ms longer

`python -m local.servers.delaying_proxy` runs one in a process of its own, where its work does not
compete for the interpreter with the program that is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import select
import selectors
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple, Self

HOST: Final = "127.0.0.1"
_CHUNK_BYTES: Final = 1 << 16
_SEND_SECONDS: Final = 5.0
_PR_SET_TIMERSLACK: Final = 29


class _Link:
    """One client and its own connection to the server."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.open = True
        self.finished: set[socket.socket] = set()
        """The ends that were told that the other has closed."""
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            end.settimeout(_SEND_SECONDS)

    def cut(self) -> None:
        """Close abortively (RST): what a connection that breaks looks like to both ends."""
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()

    def close(self) -> None:
        self.open = False
        self.client.close()
        self.server.close()


class _Parcel(NamedTuple):
    """Bytes on their way. None at all: the sender has closed."""

    due: float
    link: _Link
    to: socket.socket
    data: bytes


class DelayingProxy:
    """Passes connections on to one server, each direction `one_way_seconds` late.

    The delay is exact to about 0.1 ms. The faults are for tests and take effect at once.
    """

    host: Final = HOST

    def __init__(
        self, target_host: str, target_port: int, *, one_way_seconds: float = 0.0, port: int = 0
    ) -> None:
        """
        Args:
            target_host: of the server.
            target_port: its TCP port.
            one_way_seconds: how late each direction is.
            port: to listen on; 0 for a free one.

        Raises:
            ValueError: a negative delay.
        """
        if one_way_seconds < 0:
            raise ValueError(f"A delay is 0 seconds or more: got {one_way_seconds}.")
        self._target = (target_host, target_port)
        self._delay = one_way_seconds
        # The delay is the same for all, so parcels fall due in the order in which they came.
        self._parcels: deque[_Parcel] = deque()
        self._links: dict[socket.socket, _Link] = {}
        self._lock = threading.Lock()
        self._stopping = self._stalled = False
        self._lose_request = self._lose_answer = self._repeat_answer = False
        self._listener = socket.create_server((HOST, port), backlog=256)
        self._wake_up, self._woken = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="delaying-proxy", daemon=True)
        self.port: int = self._listener.getsockname()[1]
        """The TCP port that clients connect to."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._wake_up.send(b"\0")
        self._thread.join()
        self.cut_all()
        for end in (self._selector, self._listener, self._wake_up, self._woken):
            end.close()

    def cut_all(self) -> None:
        """Break every open connection, at both ends. New ones are taken."""
        with self._lock:
            for link in set(self._links.values()):
                self._drop(link)
        self._wake_up.send(b"\0")

    def lose_next_request(self) -> None:
        """Break the connection at the next bytes from a client, which never reach the server."""
        self._lose_request = True

    def lose_next_answer(self) -> None:
        """Break the connection at the next bytes from the server, which never reach their client.

        The server has done what it was asked by then: this is a lost acknowledgement.
        """
        self._lose_answer = True

    def repeat_next_answer(self) -> None:
        """Send the next bytes from the server to their client twice."""
        self._repeat_answer = True

    def stall(self) -> None:
        """Hold back all bytes in both directions, as a network that swallows packets."""
        self._stalled = True

    def resume(self) -> None:
        """Lets the bytes pass again, those that were held back first."""
        self._stalled = False
        self._wake_up.send(b"\0")

    def _run(self) -> None:
        _ask_for_precise_waits()
        while not self._stopping:
            with self._lock:
                wait = self._deliver()
            # epoll waits in whole milliseconds; select on epoll's own descriptor, in microseconds.
            if not select.select([self._selector], [], [], wait)[0]:
                continue
            with self._lock:
                for key, _ in self._selector.select(0):
                    self._take(key.fileobj)

    def _deliver(self) -> float | None:
        """Send what is due. Return the seconds until something else is, None if nothing is."""
        while self._parcels and not self._stalled:
            wait = self._parcels[0].due - time.perf_counter()
            if wait > 0:
                return wait
            parcel = self._parcels.popleft()
            if not parcel.link.open:
                continue
            try:
                if parcel.data:
                    parcel.to.sendall(parcel.data)
                else:
                    self._finish(parcel.link, parcel.to)
            except OSError:
                self._drop(parcel.link)
        return None

    def _finish(self, link: _Link, to: socket.socket) -> None:
        """Pass one end's close on; once both ends have closed, nothing is left to do."""
        to.shutdown(socket.SHUT_WR)
        link.finished.add(to)
        if len(link.finished) == 2:
            self._forget(link)
            link.close()

    def _take(self, source: object) -> None:
        if source is self._woken:
            self._woken.recv(_CHUNK_BYTES)
        elif source is self._listener:
            self._connect(self._listener.accept()[0])
        elif isinstance(source, socket.socket) and (link := self._links.get(source)):
            self._receive(link, source)

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target, timeout=_SEND_SECONDS)
        except OSError:
            client.close()
            return
        link = _Link(client, server)
        for end in (client, server):
            self._links[end] = link
            self._selector.register(end, selectors.EVENT_READ)

    def _receive(self, link: _Link, source: socket.socket) -> None:
        due = time.perf_counter() + self._delay
        try:
            data = source.recv(_CHUNK_BYTES)
        except OSError:
            data = b""
        is_request = source is link.client
        if data and (self._lose_request if is_request else self._lose_answer):
            if is_request:
                self._lose_request = False
            else:
                self._lose_answer = False
            self._drop(link)
            return
        if not data:
            self._selector.unregister(source)  # it would be readable for ever
        to = link.server if is_request else link.client
        self._parcels.append(_Parcel(due, link, to, data))
        if data and self._repeat_answer and not is_request:
            self._repeat_answer = False
            self._parcels.append(_Parcel(due, link, to, data))

    def _drop(self, link: _Link) -> None:
        self._forget(link)
        link.cut()

    def _forget(self, link: _Link) -> None:
        for end in (link.client, link.server):
            if self._links.pop(end, None) and end in self._selector.get_map():
                self._selector.unregister(end)


def _ask_for_precise_waits() -> None:
    """Linux wakes a waiting thread up to 50 µs late to save power, unless it is asked not to."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a proxy until it is told to end or its standard input closes, and print its port."""
    parser = argparse.ArgumentParser(
        prog="python -m local.servers.delaying_proxy",
        description="Passes TCP connections on to a server of this machine, with a delay. Prints "
        "its port, then runs until standard input ends, Ctrl-C or SIGTERM.",
        epilog="Exit codes: 0 ended as asked, 2 usage.",
    )
    parser.add_argument("target_port", type=int, help="port of the server on 127.0.0.1")
    parser.add_argument(
        "--round-trip-ms", type=float, default=1.0, help="delay of a round trip (%(default)s ms)"
    )
    options = parser.parse_args(arguments)
    if options.round_trip_ms < 0:
        parser.error("--round-trip-ms must be 0 or more")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        contextlib.suppress(KeyboardInterrupt),
        DelayingProxy(
            HOST, options.target_port, one_way_seconds=options.round_trip_ms / 2000
        ) as proxy,
    ):
        print(proxy.port, flush=True)
        sys.stdin.buffer.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
