"""The command `anomalies`: the payments that wait for the operator, and how each is closed.

Nothing is written down that is not so: that a payment is settled is asked of the ledger, that it is
refunded of Stripe. Money goes out by Stripe's dashboard alone.
"""

import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any, Final

from stripe_settlement_cli.aws import AWS_ERRORS, error_code
from stripe_settlement_cli.cli import ExitCode
from stripe_settlement_cli.context import Context
from stripe_settlement_cli.deployment import DeploymentError
from stripe_settlement_cli.event_function import (
    EventFunction,
    NoFunctionError,
    configurations_of,
)
from stripe_settlement_cli.failure_reasons import printable
from stripe_settlement_cli.operations import RESOLVE, OperationsError, invoke
from stripe_settlement_cli.report import age, console, say
from stripe_settlement_cli.stripe_side import (
    StripeRefusedError,
    find_api_key,
    open_stripe,
)

_NO_KEY: Final = "there is no Stripe API key; set STRIPE_API_KEY"
_RETRIED: Final = frozenset(
    {"unknown_order", "cannot_be_settled", "amount_mismatch", "currency_mismatch", "thin_event"}
)
"""Kinds that settle once the order has been put right: the others are usually refunded."""

_PAGE: Final = 100


class _RefusedError(Exception):
    """It is not done; the message says why, and what may be done instead."""


def anomalies(asked: Namespace) -> int:
    """List, retry or resolve payment anomalies; return the exit code.

    Args:
        asked: what the command line says.
    """
    try:
        context = Context(asked)
    except (DeploymentError, *AWS_ERRORS) as error:
        say(console(stderr=True), str(error), "red")
        return ExitCode.NOT_BEGUN
    actions: dict[str, Callable[[], int]] = {
        "list": lambda: _list(context),
        "retry": lambda: _retry(context, asked.id),
        "resolve": lambda: _resolve(context, asked.id, asked.resolution, asked.note),
    }
    try:
        return actions[asked.action]()
    except _RefusedError as error:
        code, text = ExitCode.REMAINS, str(error)
    except OperationsError as error:
        code, text = ExitCode.NOT_BEGUN, f"The database was not asked: {error}."
    except StripeRefusedError as error:
        code, text = ExitCode.NOT_BEGUN, f"Stripe was not asked: {error}"
    except AWS_ERRORS as error:
        text = f"AWS: {error_code(error) or type(error).__name__}"
        code = ExitCode.NOT_BEGUN
    say(context.err, text, "red")
    context.print_document("anomalies", code, error=text)
    return code


def _list(context: Context) -> int:
    found = list(_open(context))
    for each in found:
        seconds = time.time() - datetime.fromisoformat(each["first_seen_at"]).timestamp()
        say(context.out, f"{each['id']}  {age(seconds)}  {printable(each['kind'])}")
        say(context.out, f"    {_order(each)}; paid {_money(each['amount'], each['currency'])}")
        if payment := printable(each["payment_intent_id"]):
            mode = "" if context.deployment.headline.endswith("LIVE") else "test/"
            say(context.out, f"    https://dashboard.stripe.com/{mode}payments/{payment}")
        say(context.out, f"    {_usually(each, context.deployment.stack.name)}")
    say(context.out, _counted(len(found)), "bold")
    code = ExitCode.REMAINS if found else ExitCode.DONE
    context.print_document("anomalies", code, anomalies=found)
    return code


def _retry(context: Context, id_: int) -> int:
    anomaly = _find(context, id_)
    configurations = _configurations(context)
    try:
        function = EventFunction(context.clients, configurations)
    except NoFunctionError as error:
        raise _RefusedError(str(error)) from None
    with open_stripe(*_key(context, configurations)) as client:
        event = _event(client, anomaly)
    event_id = event["id"]
    response = function.settle(event)
    settled = response.outcome in ("settled", "duplicate")
    said = response.outcome or str(response.reason)
    code = ExitCode.DONE if settled and _find_open(context, id_) is None else ExitCode.REMAINS
    still = "" if code is ExitCode.DONE else f" Anomaly {id_} is still open."
    if settled and still:
        still += f" Close it: stripe-settlement anomalies resolve {id_} --as settled."
    say(context.out, f"{printable(event_id)}: {printable(said).replace('_', ' ')}.{still}", "bold")
    context.print_document(
        "anomalies", code, id=id_, event_id=event_id, outcome=response.outcome, reason=said
    )
    return code


def _event(client: Any, anomaly: dict[str, Any]) -> dict[str, Any]:
    """Return the anomaly's event; of a thin one its snapshot, which holds the session."""
    event_id = anomaly["event_id"]
    if anomaly["kind"] == "thin_event":
        thin: dict[str, Any] = client.v2.core.events.retrieve(event_id).to_dict()
        if (event_id := thin.get("snapshot_event")) is None:
            return thin
    return dict(client.v1.events.retrieve(event_id).to_dict())


def _resolve(context: Context, id_: int, resolution: str, note: str | None) -> int:
    if resolution == "dismissed" and not (note or "").strip():
        raise _RefusedError("To dismiss an anomaly, say why: --note TEXT.")
    if resolution == "refunded" and (anomaly := _find_open(context, id_)) is not None:
        _require_refund(context, anomaly)
    if not context.confirm(f"Close anomaly {id_} as {resolution}, for good?"):
        return _nothing(context)
    caller = context.clients.client("sts").get_caller_identity()["Arn"]
    resolve = partial(invoke, context.deployment.stack, context.clients, handler=RESOLVE)
    arguments = {"id": id_, "resolution": resolution, "by": caller[:255]}
    answer = resolve("resolve_anomaly", **arguments, **({"note": note} if note else {}))
    state, stands = answer["state"], printable(answer["resolution"])
    texts = {
        "resolved": f"Anomaly {id_} is closed: {stands}.",
        "already_resolved": f"Anomaly {id_} was closed before, and stays so: {stands}.",
        "not_settled": f"Anomaly {id_} stays open: the ledger has no settlement by its payment.",
        "no_such_anomaly": f"There is no anomaly {id_}.",
    }
    done = state == "resolved" or (state == "already_resolved" and stands == resolution)
    code = ExitCode.DONE if done else ExitCode.REMAINS
    say(context.out, texts[state], "bold")
    context.print_document("anomalies", code, **answer)
    return code


def _nothing(context: Context) -> int:
    say(context.err, "Nothing was begun.")
    context.print_document("anomalies", ExitCode.NOT_BEGUN, error="not confirmed")
    return ExitCode.NOT_BEGUN


def _require_refund(context: Context, anomaly: dict[str, Any]) -> None:
    """Raise unless Stripe has refunded the whole payment, or is about to."""
    payment = anomaly["payment_intent_id"]
    if payment is None:
        raise _RefusedError("The anomaly names no payment that could be refunded: dismiss it.")
    with open_stripe(*_key(context, _configurations(context))) as client:
        listed = client.v1.refunds.list({"payment_intent": payment, "limit": 100})
        refunds = [each.to_dict() for each in listed.auto_paging_iter()]
    refunded = sum(each["amount"] for each in refunds if each["status"] in ("succeeded", "pending"))
    owed = anomaly["amount"]
    if not refunded or (owed is not None and refunded < owed):
        raise _RefusedError(
            f"Stripe has refunded {_money(refunded, anomaly['currency'])} of "
            f"{_money(owed, anomaly['currency'])}. Refund it in the dashboard, then run this again."
        )


def _open(context: Context) -> Iterator[dict[str, Any]]:
    after: int | None = 0
    while after is not None:
        page = invoke(
            context.deployment.stack, context.clients, "anomalies", after=after, limit=_PAGE
        )
        yield from page["anomalies"]
        after = page["next_after"]


def _find_open(context: Context, id_: int) -> dict[str, Any] | None:
    stack = context.deployment.stack
    page = invoke(stack, context.clients, "anomalies", after=id_ - 1, limit=1)
    return next((each for each in page["anomalies"] if each["id"] == id_), None)


def _find(context: Context, id_: int) -> dict[str, Any]:
    if (found := _find_open(context, id_)) is not None:
        return found
    raise _RefusedError(f"There is no open anomaly {id_}; `anomalies list` names those there are.")


def _configurations(context: Context) -> list[dict[str, Any]]:
    return configurations_of(context.deployment.stack, context.clients)


def _key(context: Context, configurations: list[dict[str, Any]]) -> tuple[str, str | None]:
    key = find_api_key(configurations, lambda: context.clients.client("secretsmanager"))
    if key is None:
        raise StripeRefusedError(_NO_KEY)
    return key


def _usually(anomaly: dict[str, Any], stack: str) -> str:
    if anomaly["kind"] in _RETRIED:
        return (
            "usually: put the order right, then  stripe-settlement anomalies retry "
            f"{anomaly['id']} --stack {stack}"
        )
    return (
        "usually: refund it in the dashboard, then  stripe-settlement anomalies resolve "
        f"{anomaly['id']} --as refunded --stack {stack}"
    )


def _order(anomaly: dict[str, Any]) -> str:
    if anomaly["order_id"] is None:
        return "no order"
    order = f"order {printable(str(anomaly['order_id']))}"
    if anomaly["order_status"] is None:
        return f"{order}, which is not there"
    owed = _money(anomaly["order_amount"], anomaly["order_currency"])
    return f"{order} {printable(anomaly['order_status'])}, owed {owed}"


def _money(amount: int | None, currency: str | None) -> str:
    return "nothing known" if amount is None else f"{amount} {printable(currency)} in minor units"


def _counted(count: int) -> str:
    return "1 open anomaly." if count == 1 else f"{count} open anomalies."
