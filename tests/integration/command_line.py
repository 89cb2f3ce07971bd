"""The operator's commands by the real functions, on a real MariaDB, with a mock of Stripe."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

import eventbridge_handler
import operations_read_handler
import operations_resolve_handler
from local.fake_stripe.server import StripeServer
from local.shop import Order
from settlement import bootstrap
from settlement.adapters.ledger import MariaDBLedger
from stripe_settlement_cli.cli import parser
from stripe_settlement_cli.context import Context
from stripe_settlement_cli.deployment import Resource, Stack
from stripe_settlement_cli.report import console
from tests.support.cachao import Cachao, ShopDatabase, deliver
from tests.support.invocations import AnyContext

CALLER = "arn:aws:sts::111122223333:assumed-role/oncall/ann"
HANDLERS: dict[str, Callable[[Any, Any], Any]] = {
    "eventbridge_handler.handler": eventbridge_handler.handler,
    "operations_read_handler.handler": operations_read_handler.handler,
    "operations_resolve_handler.handler": operations_resolve_handler.handler,
}


class Account:
    """AWS, as far as the command asks it: the functions run in this process."""

    exceptions = SimpleNamespace(ClientError=ClientError)

    def __init__(self) -> None:
        self.denied: set[str] = set()

    def client(self, _service: str) -> Account:
        return self

    def invoker(self, **_: Any) -> Account:
        return self

    def get_caller_identity(self) -> dict[str, str]:
        return {"Arn": CALLER}

    def get_function_configuration(self, *, FunctionName: str) -> dict[str, Any]:  # noqa: N803
        return {"FunctionArn": FunctionName, "Handler": FunctionName, "Timeout": 60}

    def invoke(self, *, FunctionName: str, Payload: str) -> dict[str, Any]:  # noqa: N803
        if FunctionName in self.denied:
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "Invoke")
        answer = HANDLERS[FunctionName](json.loads(Payload), AnyContext())
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}


class Terminal(io.StringIO):
    """Somebody who types the same answer to every question."""

    def isatty(self) -> bool:
        return True


class Operator:
    """Types the command, and has an account and a shop to look at."""

    def __init__(
        self, command: ModuleType, cachao: Cachao, database: ShopDatabase, stripe: StripeServer
    ) -> None:
        """
        Args:
            command: the module whose function of the same name is the command.
            cachao: the shop.
            database: what a function holds.
            stripe: the mock of Stripe's API.
        """
        self.command = command
        self.cachao = cachao
        self.database = database
        self.stripe = stripe
        self.account = Account()
        self.capfd: pytest.CaptureFixture[str]

    def context(self, asked: Any) -> Context:
        functions = {
            name: Resource(name, "AWS::Lambda::Function", name, {"Handler": name})
            for name in HANDLERS
        }
        arn = "arn:aws:cloudformation:eu-west-1:111122223333:stack/shop/1"
        context = Context.__new__(Context)
        headline = "shop · 111122223333 · eu-west-1 · TEST"
        values = {
            "json": asked.json,
            "_yes": asked.yes,
            "out": console(stderr=asked.json),
            "err": console(stderr=True),
            "clients": self.account,
            "deployment": SimpleNamespace(
                headline=headline, stack=Stack("shop", arn, functions, template_read=True)
            ),
        }
        for name, value in values.items():
            setattr(context, name, value)
        return context

    def type(self, *arguments: str) -> tuple[int, str]:
        self.capfd.readouterr()
        name = self.command.__name__.rpartition(".")[2]
        code = getattr(self.command, name)(parser().parse_args([name, *arguments]))
        out, err = self.capfd.readouterr()
        return int(code), out + err

    def pay(self, order: Order, **changes: Any) -> dict[str, Any]:
        """Pay at Stripe, and have the event delivered."""
        event = self.stripe.create_paid_checkout(
            amount=changes.get("amount", order.amount),
            currency=order.currency,
            metadata={"order_id": str(order.id)},
            deliver=False,
        )
        deliver(event, self.database)
        return event

    def anomaly(self) -> str:
        """The id of the one there is."""
        return str(self.cachao.value("SELECT id FROM payment_anomalies"))

    def kept(self) -> tuple[Any, ...]:
        [row] = self.cachao.query(
            "SELECT resolution, resolved_by, resolution_note FROM payment_anomalies"
        )
        return tuple(row)


@contextmanager
def command_line(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Operator]:
    """Set what the functions and the command read; the functions begin cold."""
    environment = {
        **operator.cachao.address.environment(),
        "STRIPE_LIVEMODE": "false",
        "STRIPE_API_KEY": operator.stripe.account.test_key,
        "STRIPE_API_BASE": operator.stripe.url,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    operator.capfd = capfd
    monkeypatch.setattr(operator.command, "Context", operator.context)
    builders = (
        *(bootstrap.parts, bootstrap.telemetry, bootstrap.event_sources),
        *(bootstrap.reading_operations, bootstrap.resolving_operations),
    )
    for build in builders:
        build.cache_clear()
    yield operator
    if bootstrap.parts.cache_info().currsize:
        cast("MariaDBLedger", bootstrap.parts().ledger).close()
    if bootstrap.resolving_operations.cache_info().currsize:
        bootstrap.resolving_operations()._database.close()
    for build in builders:
        build.cache_clear()
