"""The HTTP server on 127.0.0.1 that plays `https://api.stripe.com`."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

import stripe

from local.fake_stripe.account import Account
from local.fake_stripe.api import Api, Request, Response
from local.fake_stripe.checkout import Checkout
from local.fake_stripe.control import PREFIX, Control, dispatch
from local.fake_stripe.delivery import Deliveries
from local.fake_stripe.event_destinations import EventDestinations
from local.fake_stripe.events import Events
from local.fake_stripe.faults import Faults
from local.fake_stripe.partner_events import PartnerEvents, PartnerEventsInMemory
from local.fake_stripe.routes import routes

_HOST: Final = "127.0.0.1"


class StripeServer(Control):
    """A mock of Stripe: its API at `url`, and its deliveries to what is registered there.

        with StripeServer() as server:
            client = server.client()
            client.v1.webhook_endpoints.create({"url": ..., "enabled_events": ["*"]})
            server.create_paid_checkout(amount=5000, metadata={"order_id": "42"})
            server.wait_until_delivered()

    All state is in memory and gone with it.
    """

    def __init__(
        self,
        *,
        partner_events: PartnerEvents | None = None,
        resolve_url: Callable[[str], str] = str,
        retry_seconds: Sequence[float] = (0.5, 1.0, 2.0),
    ) -> None:
        """
        Args:
            partner_events: Stripe's side at AWS; by default one in memory, without an AWS.
            resolve_url: from the URL of an endpoint to where it is reached on this machine.
            retry_seconds: the wait before each further attempt to deliver. Stripe's sandbox makes
                three over a few hours, live mode goes on for three days.
        """
        lock = threading.RLock()
        self.account: Final = Account()
        self._partner_events = partner_events or PartnerEventsInMemory()
        deliveries = Deliveries(
            self._partner_events, lock=lock, retry_seconds=retry_seconds, resolve_url=resolve_url
        )
        destinations = EventDestinations(self._partner_events)
        events = Events(deliveries.send, destinations)
        checkout = Checkout(events)
        super().__init__(self.account, checkout, deliveries, Faults(), lock)
        self._api = Api(self.account, routes(destinations, events, checkout), lock)
        self._stopping = threading.Event()
        self._http = _Server((_HOST, 0), _handler(self))
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`: the library's `base_addresses={"api": url}`."""
        return f"http://{_HOST}:{self._http.server_address[1]}"

    def start(self) -> None:
        """Serve and deliver, in threads of their own."""
        self._deliveries.start()
        self._thread.start()

    def stop(self) -> None:
        """End. Answers that are held back are dropped, and so are retries that are not due yet."""
        self._stopping.set()
        self._deliveries.stop()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def client(self, key: str | None = None) -> stripe.StripeClient:
        """Return Stripe's own client for this server, by default with the test mode's secret key.

        It makes no retries, so that each answer is seen.
        """
        return stripe.StripeClient(
            key or self.account.test_key, base_addresses={"api": self.url}, max_network_retries=0
        )

    def handle(self, request: Request) -> Response | None:
        """Return the answer to an HTTP request, or None if the connection just ends."""
        if request.path.startswith(PREFIX):
            status, body = dispatch(self, request.path.removeprefix(PREFIX), request.body)
            return Response(status=status, body=body)
        self.requests[request.method, request.path] += 1
        fault = self._faults.take(request.method, request.path)
        if fault is None:
            return self._api.answer(request)
        if fault.executed:
            self._api.answer(request)
        self._stopping.wait(fault.seconds)
        if fault.status is None:
            return None
        error = fault.error()
        return Response(
            status=error.status, body=error.body(request.version), headers=error.headers
        )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def _handler(server: StripeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def do_DELETE(self) -> None:
            self._answer()

        def log_message(self, *_: Any) -> None:
            """Say nothing: a request's path and key belong into no log."""

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            request = Request(
                method=self.command,
                target=self.path,
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self.rfile.read(length).decode(),
            )
            try:
                response = server.handle(request)
            except Exception as error:  # noqa: BLE001 - a defect of the mock: whoever asked is told
                problem = f"local/fake_stripe failed: {type(error).__name__}: {error}"
                answer = {"error": {"type": "api_error", "message": problem}}
                response = Response(status=500, body=answer)
            if response is None:
                self.close_connection = True
                return
            body = json.dumps(response.body).encode()
            self.send_response(response.status)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler
