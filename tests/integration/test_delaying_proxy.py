"""The distance and the faults that are put between a client and the server."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from local.servers.delaying_proxy import DelayingProxy
from tests.support.waiting import SECONDS, join


class EchoServer:
    """Sends back what it gets, and keeps it."""

    def __init__(self) -> None:
        self.received = b""
        self.answered = threading.Semaphore(0)
        self.closed = threading.Semaphore(0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        join(self._thread, "the server")

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                try:
                    while data := connection.recv(1 << 16):
                        self.received += data
                        connection.sendall(data)
                        self.answered.release()
                except OSError:
                    continue
            self.closed.release()


@pytest.fixture
def server() -> Iterator[EchoServer]:
    with closing(EchoServer()) as server:
        yield server


@pytest.fixture
def proxy(server: EchoServer) -> Iterator[DelayingProxy]:
    with DelayingProxy("127.0.0.1", server.port) as proxy:
        yield proxy


def connect(proxy: DelayingProxy) -> socket.socket:
    return socket.create_connection((proxy.host, proxy.port), timeout=SECONDS)


def ask(client: socket.socket, text: bytes) -> bytes:
    """The echo; as many bytes as were sent, or fewer where the connection ends."""
    client.sendall(text)
    answer = b""
    while len(answer) < len(text) and (data := client.recv(1 << 16)):
        answer += data
    return answer


def test_bytes_pass_unchanged_in_both_directions(proxy: DelayingProxy) -> None:
    text = bytes(range(256)) * 4096
    with connect(proxy) as client:
        assert ask(client, text) == text


def test_round_trip_takes_at_least_the_delay(server: EchoServer) -> None:
    with (
        DelayingProxy("127.0.0.1", server.port, one_way_seconds=0.02) as proxy,
        connect(proxy) as client,
    ):
        began = time.perf_counter()
        ask(client, b"any")
        assert time.perf_counter() - began >= 0.04


def test_lost_answer_is_of_a_request_that_the_server_has(
    proxy: DelayingProxy, server: EchoServer
) -> None:
    with connect(proxy) as client:
        ask(client, b"first")
        proxy.lose_next_answer()
        with pytest.raises(ConnectionResetError):
            ask(client, b"second")
    assert server.received == b"firstsecond"


def test_lost_request_never_reaches_the_server(proxy: DelayingProxy, server: EchoServer) -> None:
    with connect(proxy) as client:
        ask(client, b"first")
        proxy.lose_next_request()
        with pytest.raises(ConnectionResetError):
            ask(client, b"second")
    assert server.received == b"first"


def test_only_one_answer_is_lost(proxy: DelayingProxy) -> None:
    with connect(proxy) as client:
        ask(client, b"any")
        proxy.lose_next_answer()
        with pytest.raises(ConnectionResetError):
            ask(client, b"any")
    with connect(proxy) as client:
        assert ask(client, b"again") == b"again"


def test_cut_connections_break_and_new_ones_are_taken(proxy: DelayingProxy) -> None:
    with connect(proxy) as client:
        ask(client, b"any")
        proxy.cut_all()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with connect(proxy) as client:
        assert ask(client, b"again") == b"again"


def test_stalled_bytes_arrive_after_resuming(proxy: DelayingProxy, server: EchoServer) -> None:
    with connect(proxy) as client:
        ask(client, b"first")
        assert server.answered.acquire(timeout=SECONDS), "the server sent nothing back"
        proxy.stall()
        client.sendall(b"second")
        assert not server.answered.acquire(timeout=0.05)
        proxy.resume()
        assert client.recv(16) == b"second"


def test_bytes_on_their_way_arrive_after_their_sender_has_closed(server: EchoServer) -> None:
    with DelayingProxy("127.0.0.1", server.port, one_way_seconds=0.02) as proxy:
        with connect(proxy) as client:
            client.sendall(b"last words")
        assert server.answered.acquire(timeout=SECONDS), "the server sent nothing back"
    assert server.received == b"last words"


def test_close_of_the_client_is_passed_on_to_the_server(
    proxy: DelayingProxy, server: EchoServer
) -> None:
    with connect(proxy) as client:
        ask(client, b"any")
    assert server.closed.acquire(timeout=SECONDS), "the server's connection stayed open"


def test_client_is_turned_away_when_the_server_is_down() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with DelayingProxy("127.0.0.1", port) as proxy, connect(proxy) as client:
        try:
            answer = client.recv(1)
        except ConnectionResetError:
            answer = b""
    assert answer == b""


def test_negative_delay_is_refused() -> None:
    with pytest.raises(ValueError, match="0 seconds or more"):
        DelayingProxy("127.0.0.1", 1, one_way_seconds=-1)
