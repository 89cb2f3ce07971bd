"""The command `explain`: one timeline of what is known of a payment, and what to do next.

It begins with one id and learns the others: a log line names order, event and session, and Stripe
knows the payment's session.
"""

import json
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from stripe_settlement_cli.aws import AWS_ERRORS, Clients, error_code, is_denied
from stripe_settlement_cli.cli import ExitCode
from stripe_settlement_cli.context import Context
from stripe_settlement_cli.deployment import HANDLERS, Deployment, DeploymentError
from stripe_settlement_cli.explain_tables import (
    ids_in,
    moments_in,
    open_anomalies,
    order_lines,
)
from stripe_settlement_cli.failure_reasons import RETRY, printable, printable_id
from stripe_settlement_cli.operations import OperationsError, has_operations, invoke
from stripe_settlement_cli.redrive import dry_run, on_sale_queues
from stripe_settlement_cli.report import age, console, counted, described, say
from stripe_settlement_cli.stripe_side import (
    StripeRefusedError,
    StripeUnknownIdError,
    find_api_key,
    open_stripe,
)

_SETTLED: Final = ("settled", "duplicate")
_ANOMALY: Final = "anomaly"
_AWAITING: Final = "awaiting_payment"
_CLOSED: Final = ("refunded", "dismissed")
"""An anomaly, by the operator."""

_LONGEST_BACK: Final = 30
"""Days of logs that are searched: as long as Stripe keeps an event."""

_SESSION: Final = "checkout.session"

_TO_MILLISECONDS: Final = 1000


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """One line of the timeline."""

    at: float
    """Seconds since the epoch."""
    where: str
    what: str


@dataclass(slots=True)
class Known:
    """All that has been found out."""

    ids: set[str]
    """Of order, events, sessions and payments that belong together."""
    moments: list[Moment] = field(default_factory=list)
    outcomes: list[tuple[float, str, str]] = field(default_factory=list)
    """(time, outcome, what the function said of it)."""
    paid: bool = False
    """Stripe says so."""
    waits_in: set[str] = field(default_factory=set)
    """Names of queues."""
    on_sale_queue: str = ""
    """What it holds, if anything: it is the function's to consume, and is not looked into."""
    not_looked_at: list[str] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)
    """Their rows, as lines."""
    open_anomalies: list[str] = field(default_factory=list)

    @property
    def settled(self) -> bool:
        """Whether a function has committed it."""
        return any(outcome in _SETTLED for _, outcome, _ in self.outcomes)


def explain(asked: Namespace) -> int:
    """Print the timeline of one id and a verdict; return the exit code.

    Args:
        asked: what the command line says.
    """
    try:
        context = Context(asked)
    except (DeploymentError, *AWS_ERRORS) as error:
        say(console(stderr=True), str(error), "red")
        return ExitCode.NOT_BEGUN
    out, deployment = context.out, context.deployment
    known = Known({asked.id})
    search = Search(deployment, context.clients, known)
    for what, look in search.sources():
        with context.err.status(f"Looking through {what}"):
            search.attempt(what, look)
    for line in known.orders:
        say(out, line)
    for moment in sorted(set(known.moments)):
        say(out, f"{_time(moment.at)}  {moment.where:<12} {moment.what}")
    for text in known.not_looked_at:
        say(out, f"? {text}", "yellow")
    code, verdict = judge(known, asked.id, deployment.stack.name)
    say(out, verdict, "bold")
    context.print_document(
        "explain",
        code,
        moments=[asdict(each) for each in sorted(set(known.moments))],
        orders=known.orders,
        settled=known.settled,
        paid_at_stripe=known.paid,
        waits_in=sorted(known.waits_in),
        not_looked_at=known.not_looked_at,
        verdict=verdict,
    )
    return code


class Search:
    """Looks through logs, queues and Stripe, and adds to what is known."""

    def __init__(self, deployment: Deployment, clients: Clients, known: Known) -> None:
        """
        Args:
            deployment: the stack.
            clients: makes clients with the caller's rights.
            known: what is known so far.
        """
        self._deployment = deployment
        self._clients = clients
        self._known = known
        self._configurations: list[dict[str, Any]] = []
        self._asked: set[str] = set()  # Ids that Stripe has answered for.

    def sources(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """Yield each source, with the function that looks through it.

        Stripe comes first and again at the end: first it tells which order a payment is for, at the
        end it is asked for the sessions that were found elsewhere.
        """
        yield "the functions", self._configure
        if any(map(_is_stripes, self._known.ids)):
            yield "Stripe", self._stripe
        if has_operations(self._deployment.stack):
            yield "the database", self._database
        for configuration in self._configurations:
            if configuration.get("Handler") not in HANDLERS:
                continue
            yield (
                f"the log of {configuration['FunctionName']}",
                lambda each=configuration: self._log(each),  # type: ignore[misc]
            )
        yield "the failure queues", self._queues
        yield "Stripe", self._stripe

    def attempt(self, what: str, look: Callable[[], None]) -> None:
        """Look through a source; what cannot be looked at is noted."""
        try:
            look()
        except OperationsError as error:
            text = f"{what} not looked at: {error}"
        except StripeRefusedError as error:
            text = f"Stripe not looked at: {error}"
        except AWS_ERRORS as error:
            reason = error_code(error) or type(error).__name__
            operation = getattr(error, "operation_name", "")
            text = f"{what} not looked at: {reason} {operation}".rstrip()
        else:
            return
        if text not in self._known.not_looked_at:
            self._known.not_looked_at.append(text)

    def _configure(self) -> None:
        """Read the functions' configurations: where their logs are, which one knows Stripe's key.

        One that was deleted has none, and one that the caller may not look at is not ours.
        """
        client = self._clients.client("lambda")
        for resource in self._deployment.stack.of_type("AWS::Lambda::Function"):
            try:
                found = client.get_function_configuration(FunctionName=resource.physical_id)
            except client.exceptions.ResourceNotFoundException:
                continue
            except client.exceptions.ClientError as error:
                if not is_denied(error):
                    raise
                continue
            self._configurations.append(found)

    def _database(self) -> None:
        """Read the tables by each id until none leads to another."""
        known, asked = self._known, set[str]()
        while wanted := sorted(known.ids - asked)[:1]:
            answer = invoke(self._deployment.stack, self._clients, "order", id=wanted[0])
            try:
                self._add_tables(answer)
                asked |= {*wanted, *ids_in(answer)}
                known.ids |= ids_in(answer)
            except (KeyError, TypeError, ValueError):
                raise OperationsError("the response is of another version") from None

    def _add_tables(self, answer: dict[str, Any]) -> None:
        known = self._known
        moments = list(moments_in(answer))
        known.orders += [each for each in order_lines(answer) if each not in known.orders]
        known.open_anomalies += [
            each for each in open_anomalies(answer) if each not in known.open_anomalies
        ]
        known.moments += [Moment(at, "database", text) for at, _, _, text in moments]
        known.outcomes += [(at, outcome, said) for at, outcome, said, _ in moments if outcome]

    def _log(self, configuration: dict[str, Any]) -> None:
        name = configuration["FunctionName"]
        group = configuration.get("LoggingConfig", {}).get("LogGroup", f"/aws/lambda/{name}")
        client = self._clients.client("logs")
        since = int((time.time() - _LONGEST_BACK * 86400) * _TO_MILLISECONDS)
        for id_ in sorted(self._known.ids):
            pages = client.get_paginator("filter_log_events").paginate(
                logGroupName=group, filterPattern=f'"{id_}"', startTime=since
            )
            for page in pages:
                for entry in page["events"]:
                    self._delivery(entry["timestamp"] / _TO_MILLISECONDS, entry["message"])

    def _delivery(self, at: float, message: str) -> None:
        try:
            line = json.loads(message)
        except ValueError:
            return
        if not isinstance(line, dict) or not isinstance(line.get("outcome"), str):
            return
        ids = {str(line[key]) for key in ("event_id", "order_id", "session_id") if line.get(key)}
        if not ids & self._known.ids:
            return
        self._known.ids |= ids
        outcome = printable(line["outcome"])
        said = ": ".join(
            filter(None, (printable(line.get(key)) for key in ("error", "anomaly", "reason")))
        )
        words = (outcome.replace("_", " "), said, printable(line.get("event_id")))
        moment = Moment(at, printable(line.get("route")), "  ".join(filter(None, words)))
        if moment not in self._known.moments:
            self._known.moments.append(moment)
            self._known.outcomes.append((at, outcome, said))

    def _queues(self) -> None:
        sqs = self._clients.client("sqs")
        self._known.on_sale_queue = " ".join(on_sale_queues(self._deployment, self._clients))
        for queue in self._deployment.queues:
            report = dry_run(queue, sqs, threading.Event())
            if report.unreadable is not None:
                self._known.not_looked_at.append(f"{queue.name}: {report.unreadable}")
            if report.untried:
                more = f"about {counted(report.untried)} more, not listed"
                self._known.not_looked_at.append(f"{queue.name}: {more}")
            if report.held_by_another_consumer:
                held = counted(report.held_by_another_consumer)
                self._known.not_looked_at.append(f"{queue.name}: {held} held by another consumer")
            for each in report.waiting:
                ids = {id_ for id_ in (each.ids.event_id, each.ids.order_id) if id_}
                if ids & self._known.ids:
                    self._known.ids |= ids
                    self._known.waits_in.add(queue.name)
                    waits = f"for {age(time.time() - each.sent_at)}: {each.why}"
                    text = f"{queue.name}: {described(each.ids)}, {waits}"
                    self._known.moments.append(Moment(each.sent_at, "queue", text))

    def _stripe(self) -> None:
        wanted = set(filter(_is_stripes, self._known.ids)) - self._asked
        if not wanted:
            return
        found = find_api_key(self._configurations, lambda: self._clients.client("secretsmanager"))
        if found is None:
            raise StripeRefusedError("there is no API key; set STRIPE_API_KEY")
        for id_ in sorted(wanted):
            with suppress(StripeUnknownIdError), open_stripe(*found) as client:
                for session in _sessions(client, id_):
                    self._session(session)
            self._asked.add(id_)

    def _session(self, session: Any) -> None:
        metadata = session.get("metadata") or {}
        order_id = str(metadata.get("order_id") or "")
        ids = {str(session["id"]), order_id, str(session.get("payment_intent") or "")} - {""}
        self._known.ids |= ids
        self._asked |= ids
        paid = session.get("payment_status") == "paid"
        self._known.paid |= paid
        state = printable(session.get("payment_status")).replace("_", " ")
        amount = f"{session.get('amount_total')} {printable(session.get('currency'))}"
        words = [printable(session["id"]), state, f"{amount} in minor units"]
        if order := printable_id(order_id):
            words.append(f"order {order}")
        moment = Moment(float(session["created"]), "Stripe", "  ".join(words))
        if moment not in self._known.moments:
            self._known.moments.append(moment)


def _is_stripes(id_: str) -> bool:
    """Whether Stripe gave it: every other one is an order's."""
    return id_.startswith(("evt_", "cs_", "pi_"))


def _sessions(client: Any, id_: str) -> list[dict[str, Any]]:
    """Return the Checkout Sessions that an event, a session or a payment is about."""
    if id_.startswith("cs_"):
        return [client.v1.checkout.sessions.retrieve(id_).to_dict()]
    if id_.startswith("pi_"):
        listed = client.v1.checkout.sessions.list({"payment_intent": id_})
        return [each.to_dict() for each in listed.data]
    try:
        event = client.v1.events.retrieve(id_).to_dict()
    except Exception as error:
        if getattr(error, "http_status", None) != HTTPStatus.NOT_FOUND:
            raise
        related = client.v2.core.events.retrieve(id_).to_dict().get("related_object") or {}
        return _sessions(client, related["id"]) if related.get("type") == _SESSION else []
    about = event["data"]["object"]
    return [about] if about.get("object") == _SESSION else []


def judge(known: Known, id_: str, stack: str) -> tuple[ExitCode, str]:
    """Return the exit code and the sentence that says it, with the next command.

    Args:
        known: what was found.
        id_: what was asked for.
        stack: its name.
    """
    if known.open_anomalies:
        settled = "SETTLED, and" if known.settled else "NOT SETTLED:"
        names = ", ".join(known.open_anomalies)
        return ExitCode.REMAINS, (
            f"{settled} open: {names}.  ->  stripe-settlement anomalies list --stack {stack}"
        )
    if known.settled:
        return ExitCode.DONE, "SETTLED."
    if known.waits_in:
        where = ", ".join(sorted(known.waits_in))
        paid = "paid at Stripe, waits" if known.paid else "waits"
        return ExitCode.REMAINS, (
            f"NOT SETTLED: {paid} in {where}.  ->  stripe-settlement redrive --stack {stack}"
        )
    _, outcome, said = max(known.outcomes, default=(0.0, "", ""))
    if outcome in _CLOSED:
        return ExitCode.DONE, f"Closed by the operator: {outcome}."
    if outcome == _ANOMALY:
        return ExitCode.REMAINS, (
            f"NOT SETTLED: an anomaly, {said}.  ->  'Payment anomalies' in the runbook"
        )
    if outcome == RETRY:
        return ExitCode.REMAINS, (
            f"NOT SETTLED yet: {said}. Lambda or Stripe tries again.  ->  'Logs' in the runbook"
        )
    is_open = known.orders or known.moments
    if known.on_sale_queue and (known.paid or (is_open and outcome in ("", _AWAITING))):
        return ExitCode.REMAINS, (
            "NOT SETTLED yet: its event may be on its way, in a queue that is not looked into. "
            f"{known.on_sale_queue}"
        )
    if known.paid:
        return ExitCode.REMAINS, (
            "NOT SETTLED: paid at Stripe, and neither route has brought it.  ->  'Bring an event "
            "back from Stripe' in the runbook"
        )
    if known.not_looked_at:
        return ExitCode.REMAINS, "NOT KNOWN: not everything could be looked at."
    return _nothing_paid(known, id_, outcome)


def _nothing_paid(known: Known, id_: str, outcome: str) -> tuple[ExitCode, str]:
    if known.moments:
        return ExitCode.DONE, f"Nothing to settle: {(outcome or 'not paid').replace('_', ' ')}."
    if known.orders:
        return ExitCode.DONE, "Nothing to settle: no payment of it is known."
    return ExitCode.NOT_BEGUN, (
        f"Nothing is known of {id_}: not in the logs of {_LONGEST_BACK} days, the queues, Stripe."
    )


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
