"""The command `reconcile`: what was paid at Stripe against what the ledger knows.

It sees what the stack's own reconciliation sees, and on demand settles what is missing: each event
is given to the EventBridge route's function, which is safe as often as one likes.
"""

from argparse import Namespace
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from rich.progress import Progress

from stripe_settlement_cli.aws import AWS_ERRORS, error_code, is_denied
from stripe_settlement_cli.circuit_breaker import CircuitBreaker
from stripe_settlement_cli.cli import ExitCode
from stripe_settlement_cli.context import Context
from stripe_settlement_cli.deployment import DeploymentError
from stripe_settlement_cli.event_function import (
    EventFunction,
    NoFunctionError,
    configurations_of,
)
from stripe_settlement_cli.failure_reasons import FailureReason, printable, printable_id
from stripe_settlement_cli.operations import OperationsError, invoke
from stripe_settlement_cli.report import age, console, counted, say
from stripe_settlement_cli.stripe_side import (
    StripeRefusedError,
    find_api_key,
    open_stripe,
    require_mode,
)

_TYPES: Final = ("checkout.session.completed", "checkout.session.async_payment_succeeded")
"""Of those that change an order, the two that can say it is paid."""

_PAGE: Final = 100
_YOUNG_AFTER: Final = 600
"""Seconds for which an event is left to the routes, where the stack does not say."""

_SHOWN: Final = 50
"""Missing payments that are printed; `--json` names them all."""

_AT_ONCE: Final = 50
"""Events in one invocation, of a few kilobytes each; it takes 6 MB ("Lambda quotas"). As many as
the reconciliation function settles at once."""

_NO_KEY: Final = (
    "there is no Stripe API key; set STRIPE_API_KEY to a restricted key that may read Events"
)


class _NotConfirmedError(Exception):
    """The operator said no."""

    def __init__(self) -> None:
        super().__init__("Nothing was begun: it was not confirmed.")


@dataclass(slots=True, kw_only=True)
class Missing:
    """A payment at Stripe that the ledger knows nothing of."""

    event_id: str
    order_id: str
    session_id: str
    amount: int | None
    """Minor units."""
    currency: str | None
    created: int
    """Seconds since the epoch."""
    pending_webhooks: int
    """Endpoints of the account, ours or not, that Stripe still posts it to."""
    outcome: str | None = None
    """With `--settle`: what was committed."""
    reason: str | None = None
    """With `--settle`: why nothing was."""
    event: dict[str, Any] = field(repr=False)

    def document(self) -> dict[str, Any]:
        """Return what `--json` says of it: ids, amounts and times."""
        return {name: value for name, value in asdict(self).items() if name != "event"}


@dataclass(slots=True, kw_only=True)
class Compared:
    """What a time span at Stripe comes to in the ledger."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """Of the paid events of our orders: settled, anomaly, missing."""
    missing: list[Missing] = field(default_factory=list)
    """The oldest first."""
    young: int = 0
    """Unknown too, but the routes may still bring them."""

    @property
    def remaining(self) -> list[Missing]:
        """Those that nothing is committed of."""
        return [each for each in self.missing if each.outcome is None]

    @property
    def for_a_person(self) -> list[Missing]:
        """Those that were missing and do not fit their order."""
        return [each for each in self.missing if each.outcome == "anomaly"]


def reconcile(asked: Namespace) -> int:
    """Compare, and settle if asked to; return the exit code.

    Args:
        asked: what the command line says.
    """
    try:
        context = Context(asked)
    except (DeploymentError, *AWS_ERRORS) as error:
        say(console(stderr=True), str(error), "red")
        return ExitCode.NOT_BEGUN
    try:
        return _reconcile(context, asked.since, settle=asked.settle)
    except (NoFunctionError, _NotConfirmedError) as error:
        text = str(error)
    except OperationsError as error:
        text = f"The database was not asked: {error}."
    except StripeRefusedError as error:
        text = f"Stripe was not asked: {error}"
    except AWS_ERRORS as error:
        denied = " Ask for the permissions of grant_observe." if is_denied(error) else ""
        text = f"AWS: {error_code(error) or type(error).__name__}.{denied}"
    say(context.err, text, "red")
    context.print_document("reconcile", ExitCode.NOT_BEGUN, error=text)
    return ExitCode.NOT_BEGUN


def _reconcile(context: Context, since: timedelta, *, settle: bool) -> int:
    configurations = configurations_of(context.deployment.stack, context.clients)
    key = find_api_key(configurations, lambda: context.clients.client("secretsmanager"))
    if key is None:
        raise StripeRefusedError(_NO_KEY)
    require_mode(key[0], livemode=context.deployment.headline.endswith("LIVE"))
    function = EventFunction(context.clients, configurations) if settle else None
    variables: dict[str, str] = {}
    for each in configurations:
        variables |= each.get("Environment", {}).get("Variables", {})
    now = datetime.now(UTC)
    found = Compared()
    with context.err.status("Listing Stripe's events") as status, open_stripe(*key) as client:
        for page in _pages(client, now - since, variables.get("STRIPE_ACCOUNT")):
            _compare(context, page, found, variables, now)
            status.update(f"Listing Stripe's events: {counted(found.outcomes.total(), 'payment')}")
    found.missing.sort(key=lambda each: each.created)
    say(context.out, _summary(found, since))
    stopped = None
    if function is not None and found.missing:
        if not context.confirm(f"Settle {counted(len(found.missing), 'payment')}?"):
            raise _NotConfirmedError
        stopped = _settle(context, function, found.missing)
    for line in _lines(found, now):
        say(context.out, line)
    code = ExitCode.REMAINS if found.remaining or found.for_a_person else ExitCode.DONE
    say(context.out, _verdict(found, stopped, context.deployment.stack.name, since), "bold")
    context.print_document(
        "reconcile",
        code,
        since=(now - since).isoformat(timespec="seconds"),
        settled=found.outcomes["settled"],
        anomalies=found.outcomes["anomaly"],
        young=found.young,
        missing=[each.document() for each in found.missing],
        stopped=None if stopped is None else str(stopped),
    )
    return code


def _pages(client: Any, since: datetime, account: str | None) -> Iterator[list[dict[str, Any]]]:
    """Yield Stripe's events of our types, the newest first, up to 100 at a time."""
    options: Any = {"stripe_account": account} if account else {}
    parameters: dict[str, Any] = {
        "types": list(_TYPES),
        "created": {"gte": int(since.timestamp())},
        "limit": _PAGE,
    }
    more = True
    while more:
        page = client.v1.events.list(parameters, options)
        events = [each.to_dict() for each in page.data]
        more = page.has_more and bool(events)
        if events:
            yield events
            parameters["starting_after"] = events[-1]["id"]


def _compare(
    context: Context,
    page: list[dict[str, Any]],
    found: Compared,
    variables: Mapping[str, str],
    now: datetime,
) -> None:
    """Take in a page of events, asking the ledger once."""
    payments = [each for event in page if (each := _payment(event, variables)) is not None]
    if not payments:
        return
    asked = [{"event_id": each.event_id, "session_id": each.session_id} for each in payments]
    stack = context.deployment.stack
    outcomes = invoke(stack, context.clients, "known_events", events=asked)["outcomes"]
    young_after = int(variables.get("RECONCILIATION_YOUNG_AFTER_SECONDS", _YOUNG_AFTER))
    newest = now.timestamp() - young_after
    for each in payments:
        outcome = outcomes.get(each.event_id)
        if outcome is not None:
            found.outcomes["anomaly" if outcome == "anomaly" else "settled"] += 1
        elif each.created > newest:
            found.young += 1
        else:
            found.outcomes["missing"] += 1
            found.missing.append(each)


def _payment(event: dict[str, Any], variables: Mapping[str, str]) -> Missing | None:
    """Return the payment that an event reports, None if it is none of an order of ours."""
    session = event["data"]["object"]
    metadata = session.get("metadata") or {}
    name, _, value = variables.get("STRIPE_METADATA_FILTER", "").partition("=")
    if name and metadata.get(name) != value:
        return None
    order_id, paid = metadata.get("order_id"), session.get("payment_status") != "unpaid"
    if order_id is None or not paid:
        return None
    return Missing(
        event_id=event["id"],
        order_id=printable_id(order_id) or "(not an id)",
        session_id=session["id"],
        amount=session.get("amount_total"),
        currency=session.get("currency"),
        created=event["created"],
        pending_webhooks=event.get("pending_webhooks", 0),
        event=event,
    )


def _settle(
    context: Context, function: EventFunction, missing: list[Missing]
) -> FailureReason | None:
    """Give each its event, many at once; return why it ended early, if it did."""
    breaker = CircuitBreaker()
    waiting = deque(missing[n : n + _AT_ONCE] for n in range(0, len(missing), _AT_ONCE))
    with Progress(console=context.err, transient=True) as progress:
        task = progress.add_task("Settling", total=len(missing))
        while waiting and breaker.open_for(function.arn) is None:
            batch = waiting.popleft()
            responses = function.settle_many([each.event for each in batch])
            if responses is None:
                waiting.extendleft([each] for each in reversed(batch))
                continue
            breaker.count(function.arn, responses)
            for each, response in zip(batch, responses, strict=True):
                each.outcome = response.outcome
                each.reason = None if response.reason is None else str(response.reason)
                if len(batch) > 1 and response.reason and not response.reason.of_one_event:
                    waiting.append([each])  # Another one may have used up the time.
                else:
                    progress.advance(task)
    return breaker.open_for(function.arn)


def _span(since: timedelta) -> str:
    """Return it as `--since` takes it."""
    minutes = int(since.total_seconds()) // 60
    return f"{minutes}m" if minutes % 60 else f"{minutes // 60}h"


def _summary(found: Compared, since: timedelta) -> str:
    counts = found.outcomes
    young = f", {found.young} left to the routes" if found.young else ""
    anomalies = "1 anomaly" if counts["anomaly"] == 1 else f"{counts['anomaly']} anomalies"
    return (
        f"Stripe, the last {_span(since)}: "
        f"{counted(counts.total() + found.young, 'payment')}; {counts['settled']} settled, "
        f"{anomalies}, {counts['missing']} missing{young}"
    )


def _lines(found: Compared, now: datetime) -> Iterator[str]:
    for each in found.missing[:_SHOWN]:
        paid = f"{_money(each)}, {age(now.timestamp() - each.created)} ago"
        said = (each.outcome or "").replace("_", " ") or printable(each.reason) or _webhook(each)
        yield f"    {printable(each.event_id)}  order {each.order_id}, {paid}: {said}"
    if (more := len(found.missing) - _SHOWN) > 0:
        yield f"    and {more} more; --json names them all"


def _webhook(missing: Missing) -> str:
    if missing.pending_webhooks:
        return "EventBridge did not bring it; Stripe still posts it to an endpoint"
    return "neither EventBridge nor the webhook brought it"


def _money(missing: Missing) -> str:
    if missing.amount is None:
        return "an amount that is not known"
    return f"{missing.amount} {printable(missing.currency)} in minor units"


def _verdict(found: Compared, stopped: FailureReason | None, stack: str, since: timedelta) -> str:
    if stopped is not None:
        return (
            f"Stopped early: the function kept failing with {stopped.kind}, so the cause is not in "
            f"the events. {len(found.remaining)} still missing. {stopped.hint}"
        )
    if found.remaining:
        sums: Counter[str] = Counter()
        for each in found.remaining:
            sums[printable(each.currency)] += each.amount or 0
        total = " and ".join(f"{amount} {currency}" for currency, amount in sorted(sums.items()))
        return (
            f"{counted(len(found.remaining), 'payment')} missing, {total} in minor units. Settle: "
            f"stripe-settlement reconcile --since {_span(since)} --settle --stack {stack}"
        )
    if found.for_a_person:
        many = counted(len(found.for_a_person), "payment")
        return f"{many} did not fit: stripe-settlement anomalies list --stack {stack}"
    return f"{len(found.missing)} settled now, none missing." if found.missing else "None missing."
