"""What `make run` plays: every outcome once, a failure and the way back, and the proof.

Each step says beforehand what is expected, and reports what it saw: in the database, in the
functions' logs, in the queues.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from local.checkouts import Event, forge, is_destination
from local.cloud import LocalCloud, Watch
from local.shop import Order, OrderState
from local.waiting import wait_for

_PAID: Final = "paid, 2 sold, code used 1 time, 1 settlement"
_UNTOUCHED: Final = "pending, 0 sold, code used 0 times, 0 settlements"

_MINUTES_AGO: Final = (58, 35, 12)
"""When the payments of the lost hour were made; younger ones are left to the routes."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One delivery or event of the scenario, and what came of it."""

    title: str
    route: str
    expected: str
    """What was expected."""
    actual: str
    """What was seen, or why nothing was."""
    proof: str
    """Where it can be seen."""
    seconds: float

    @property
    def outcome(self) -> str:
        """Return what was expected, in short: the facts follow a semicolon."""
        return self.expected.partition(";")[0]

    @property
    def as_expected(self) -> bool:
        """Return whether it is what was expected."""
        return self.actual == self.expected


@dataclass(frozen=True, kw_only=True)
class OrderBeforeAndAfter:
    """One order of the scenario."""

    role: str
    """What it is there for."""
    order: Order
    before: OrderState
    after: OrderState


class Scenario:
    """Plays in a cloud that has just been deployed."""

    def __init__(self, cloud: LocalCloud, *, watch: Watch, played: Callable[[Step], None]) -> None:
        """
        Args:
            cloud: where it plays.
            watch: receives each step as it begins.
            played: receives each step as it ends.
        """
        self._cloud: Final = cloud
        self._watch: Final = watch
        self._played: Final = played
        self._orders: list[tuple[str, Order, OrderState]] = []
        self.steps: Final[list[Step]] = []
        """What has been played so far."""

    @property
    def as_expected(self) -> bool:
        """Return whether every step was as expected."""
        return bool(self.steps) and all(step.as_expected for step in self.steps)

    def play(self) -> None:
        """Play all of it. A step that fails is recorded, and the next one begins."""
        self._stripe_is_connected()
        self._a_payment_delivered_by_stripe()
        self._one_payment_by_both_routes()
        self._the_webhook_first()
        self._a_payment_that_comes_later()
        self._a_wrong_amount()
        self._a_forged_signature()
        self._an_outage_and_the_way_back()
        self._a_deleted_destination_and_the_third_net()
        self._all_is_well_again()

    def orders(self) -> list[OrderBeforeAndAfter]:
        """Return the orders of the scenario, as they were and as they are."""
        return [
            OrderBeforeAndAfter(
                role=role, order=order, before=before, after=self._cloud.shop.state(order)
            )
            for role, order, before in self._orders
        ]

    def _stripe_is_connected(self) -> None:
        def connected() -> tuple[str, str]:
            before = _counted(self._cloud.registered_before)
            after = _counted(self._cloud.stripe_server.registered())
            return f"registered; before: {before}; now: {after}", "what the mock of Stripe lists"

        self._step(
            "The deployment connects Stripe",
            "deployment",
            "registered; before: 0 event destinations, 0 webhook endpoints; "
            "now: 1 event destination, 1 webhook endpoint",
            connected,
        )

    def _a_payment_delivered_by_stripe(self) -> None:
        cloud = self._cloud
        order = self._order("paid at Stripe", amount=7500)

        def delivered() -> tuple[str, str]:
            event = cloud.stripe.pay(order)
            cloud.stripe_server.wait_until_delivered()
            places = cloud.addresses
            outcomes = [
                outcome
                for function in (places.event_function, places.webhook_function)
                for outcome in cloud.operator.wait_for_outcomes(function, event["id"], 1)
            ]
            actual = f"{' and '.join(sorted(outcomes, reverse=True))}; {self._standing(order)}"
            return actual, f"settlements: order {order.id}; both functions' logs"

        self._step(
            "Stripe delivers by both routes", "both", f"settled and duplicate; {_PAID}", delivered
        )

    def _one_payment_by_both_routes(self) -> None:
        order = self._order("by both routes")
        event = self._cloud.stripe.paid(order)

        def by_eventbridge() -> tuple[str, str]:
            return self._published(event, order), f"settlements: order {order.id}"

        def by_webhook() -> tuple[str, str]:
            answer = self._cloud.stripe.post(event)
            actual = f"{answer.status} {answer.outcome}; {self._standing(order)}"
            return actual, "still one settlement, counted once"

        self._step("A checkout is paid", "eventbridge", f"settled; {_PAID}", by_eventbridge)
        self._step("The same event again", "webhook", f"200 duplicate; {_PAID}", by_webhook)

    def _the_webhook_first(self) -> None:
        order = self._order("webhook first", amount=2598)
        event = self._cloud.stripe.paid(order)

        def by_webhook() -> tuple[str, str]:
            answer = self._cloud.stripe.post(event)
            actual = f"{answer.status} {answer.outcome}; {self._standing(order)}"
            return actual, f"settlements: order {order.id}"

        def by_eventbridge() -> tuple[str, str]:
            return self._published(event, order), "the function's log; still one settlement"

        self._step("The webhook comes first", "webhook", f"200 settled; {_PAID}", by_webhook)
        self._step("EventBridge comes second", "eventbridge", f"duplicate; {_PAID}", by_eventbridge)

    def _a_payment_that_comes_later(self) -> None:
        order = self._order("bank debit", amount=12000)
        unpaid = self._cloud.stripe.unpaid(order)

        def announced() -> tuple[str, str]:
            return self._published(unpaid, order), f"ticket_orders: order {order.id}"

        def paid() -> tuple[str, str]:
            succeeded = self._cloud.stripe.settle_later(unpaid)
            return self._published(succeeded, order), f"settlements: order {order.id}"

        waiting = _UNTOUCHED.replace("pending", "processing")
        self._step(
            "A bank debit is announced", "eventbridge", f"awaiting_payment; {waiting}", announced
        )
        self._step("The bank debit has come", "eventbridge", f"settled; {_PAID}", paid)

    def _a_wrong_amount(self) -> None:
        order = self._order("five euros too little")
        event = self._cloud.stripe.paid(order, amount=4500)

        def delivered() -> tuple[str, str]:
            actual = self._published(event, order)
            [(kind, _)] = self._cloud.shop.anomalies(order)
            return f"{actual}; {kind}", "payment_anomalies: waits for the operator"

        self._step(
            "Five euros too little are paid",
            "eventbridge",
            f"anomaly; {_UNTOUCHED}; amount_mismatch",
            delivered,
        )

    def _a_forged_signature(self) -> None:
        order = self._order("forged signature")
        event = self._cloud.stripe.paid(order)

        def posted() -> tuple[str, str]:
            answer = forge(self._cloud.addresses.webhook_url, event)
            actual = f"{answer.status} {answer.outcome}; {self._standing(order)}"
            return actual, "nothing is written"

        self._step("A forged signature", "webhook", f"400 unauthenticated; {_UNTOUCHED}", posted)

    def _an_outage_and_the_way_back(self) -> None:
        cloud = self._cloud
        queue = cloud.addresses.on_failure_queue_url
        queue_name = queue.rpartition("/")[2]
        order = self._order("during the outage")
        event = cloud.stripe.paid(order)

        def unavailable() -> tuple[str, str]:
            cloud.database.stop()
            answer = cloud.stripe.post(event)
            return f"{answer.status} {answer.outcome}", "its answer: Stripe will try again"

        def queued() -> tuple[str, str]:
            cloud.stripe.publish(event)
            cloud.operator.wait_until_waiting(queue, 1)
            attempts = cloud.operator.outcomes(cloud.addresses.event_function, event["id"])
            return f"queued after {len(attempts)} attempts", f"queue {queue_name}"

        def notified() -> tuple[str, str]:
            alarm = cloud.operator.wait_for_alarm(queue)
            return "published to SNS", alarm

        def redriven() -> tuple[str, str]:
            cloud.database.start()
            done = cloud.operator.redrive()
            left = cloud.operator.waiting(queue)
            actual = f"settled; {self._standing(order)}; {left} messages left"
            if done.returncode != 0:
                actual = f"exit code {done.returncode}: {done.stdout}{done.stderr}"
            return actual, f"settlements: order {order.id}; the queue is empty"

        try:
            self._step("The database is down", "webhook", "503 retry", unavailable)
            self._step("... and for EventBridge", "eventbridge", "queued after 3 attempts", queued)
            self._step("The operator is notified", "alarm", "published to SNS", notified)
        finally:
            self._step(
                "It is back; redrive", "operator", f"settled; {_PAID}; 0 messages left", redriven
            )

    def _a_deleted_destination_and_the_third_net(self) -> None:
        cloud = self._cloud
        orders = [self._order(f"lost {ago} min ago", amount=3300) for ago in _MINUTES_AGO]

        def deleted() -> tuple[str, str]:
            stripe = cloud.stripe_server
            for target in filter(is_destination, stripe.registered()):
                stripe.client().v2.core.event_destinations.delete(target["id"])
            return f"deleted; {_counted(stripe.registered())}", "what the mock of Stripe lists"

        def lost() -> tuple[str, str]:
            for order, ago in zip(orders, _MINUTES_AGO, strict=True):
                cloud.stripe.pay(order, created=int(time.time()) - 60 * ago, deliver=False)
            return f"{len(orders)} orders; each {self._standing(*orders)}", "nothing has come"

        def reconciled() -> tuple[str, str]:
            wait_for(hour_is_settled, "reconciliation to settle the lost hour")
            routes = {str(cloud.shop.state(order).route) for order in orders}
            actual = f"{len(orders)} settled; each {self._standing(*orders)}"
            return f"{actual}; by {_joined(routes)}", "settlements; the function's log"

        def hour_is_settled() -> bool | None:
            if all(cloud.shop.state(order).settlements for order in orders):
                return True
            # It passes by dating back how far reconciliation has come. A run that is under way
            # records how far it has come itself; so until the hour is settled.
            cloud.shop.an_hour_passes()
            return None

        def notified() -> tuple[str, str]:
            return "published to SNS", cloud.operator.wait_for_alarm_on("Reconciled")

        self._step(
            "The destination is deleted",
            "by hand",
            "deleted; 0 event destinations, 1 webhook endpoint",
            deleted,
        )
        self._step("An hour of payments is lost", "neither", f"3 orders; each {_UNTOUCHED}", lost)
        self._step(
            "Reconciliation asks Stripe",
            "schedule",
            f"3 settled; each {_PAID}; by reconciliation",
            reconciled,
        )
        self._step("The operator hears of it", "alarm", "published to SNS", notified)

    def _all_is_well_again(self) -> None:
        cloud = self._cloud

        def connected() -> tuple[str, str]:
            cloud.raise_stripe_roll()
            order = self._order("by the new ones")
            cloud.stripe.pay(order)
            cloud.stripe_server.wait_until_delivered()
            cloud.shop.wait_until(order, "paid")
            counted = _counted(cloud.stripe_server.registered())
            return f"connected; {counted}; {self._standing(order)}", "what the mock lists"

        def corrected() -> tuple[str, str]:
            [(number, order)] = cloud.shop.query("SELECT id, order_id FROM payment_anomalies")
            cloud.shop.query("UPDATE ticket_orders SET total_amount = 45.00 WHERE id = %s", order)
            done = cloud.operator.run("anomalies", "retry", str(number))
            standing = self._standing(cloud.shop.order(int(order)))
            return f"settled; {standing}", done.stdout.splitlines()[-1]

        def examined() -> tuple[str, str]:
            cloud.operator.wait_until_no_alarm()
            *lines, verdict = cloud.operator.run("doctor").stdout.splitlines()
            unwell = [line for line in lines if line.startswith(("✗", "?"))]
            links = sum(line.startswith(("✓", "!")) for line in lines)
            return "; ".join((verdict, *unwell)), f"stripe-settlement doctor: {links} links"

        self._step(
            "Stripe is connected again",
            "deployment",
            f"connected; 1 event destination, 1 webhook endpoint; {_PAID}",
            connected,
        )
        self._step(
            "The wrong total is corrected; retry", "operator", f"settled; {_PAID}", corrected
        )
        self._step("Doctor looks at every link", "operator", "All is well.", examined)

    def _order(self, role: str, *, amount: int = 5000) -> Order:
        order = self._cloud.shop.add_order(amount=amount)
        self._orders.append((role, order, self._cloud.shop.state(order)))
        return order

    def _published(self, event: Event, order: Order) -> str:
        """Return what came of a partner event: the outcome logged, and how the order stands."""
        self._cloud.stripe.publish(event)
        function = self._cloud.addresses.event_function
        [outcome] = self._cloud.operator.wait_for_outcomes(function, str(event["id"]), 1)
        return f"{outcome}; {self._standing(order)}"

    def _standing(self, *orders: Order) -> str:
        """Return how an order stands, or each of several."""
        states = map(self._cloud.shop.state, orders)
        return _joined(
            {
                f"{state.status}, {state.sold} sold, code used {_times(state.used or 0)}, "
                f"{state.settlements} settlement{'' if state.settlements == 1 else 's'}"
                for state in states
            }
        )

    def _step(
        self, title: str, route: str, expected: str, play: Callable[[], tuple[str, str]]
    ) -> None:
        began = time.monotonic()
        with self._watch(title):
            try:
                actual, proof = play()
            except Exception as error:  # noqa: BLE001 - shown in the table; the scenario continues
                actual, proof = f"{type(error).__name__}: {error}", ""
        step = Step(
            title=title,
            route=route,
            expected=expected,
            actual=actual,
            proof=proof,
            seconds=time.monotonic() - began,
        )
        self.steps.append(step)
        self._played(step)


def _counted(registered: Sequence[dict[str, Any]]) -> str:
    """Return how many targets of each kind are registered at Stripe."""
    found = list(map(is_destination, registered))
    destinations, endpoints = found.count(True), found.count(False)
    return (
        f"{destinations} event destination{'' if destinations == 1 else 's'}, "
        f"{endpoints} webhook endpoint{'' if endpoints == 1 else 's'}"
    )


def _joined(different: set[str]) -> str:
    return " or ".join(sorted(different))


def _times(count: int) -> str:
    return "1 time" if count == 1 else f"{count} times"
