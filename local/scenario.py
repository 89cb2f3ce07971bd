"""The story that `make run` plays: every outcome once, both failure paths' way back, and the proof.

Each scene says beforehand what must come out, and reports what it saw come out: in the database, in
the functions' logs, in the queues.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from local.cloud import LocalCloud, Watch
from local.shop import Order, OrderState

_PAID: Final = "paid, 2 sold, code used 1 time, 1 settlement"
_UNTOUCHED: Final = "pending, 0 sold, code used 0 times, 0 settlements"


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One delivery or event of the story, and what came of it."""

    title: str
    route: str
    must: str
    """What had to come out."""
    came: str
    """What came out, or why nothing did."""
    proof: str
    """Where it can be seen."""
    seconds: float

    @property
    def outcome(self) -> str:
        """What had to come out, in short: the facts follow a semicolon."""
        return self.must.partition(";")[0]

    @property
    def as_it_must(self) -> bool:
        """Whether it came out as it had to."""
        return self.came == self.must


@dataclass(frozen=True, kw_only=True)
class OrderBeforeAndAfter:
    """One order of the story."""

    role: str
    """What it is there for."""
    order: Order
    before: OrderState
    after: OrderState


class Story:
    """Plays in a cloud that has just been deployed, and leaves it as the story ends."""

    def __init__(self, cloud: LocalCloud, *, watch: Watch, played: Callable[[Scene], None]) -> None:
        """
        Args:
            cloud: where it plays.
            watch: told of each scene as it begins.
            played: told of each scene as it ends.
        """
        self._cloud: Final = cloud
        self._watch: Final = watch
        self._played: Final = played
        self._orders: list[tuple[str, Order, OrderState]] = []
        self.scenes: Final[list[Scene]] = []
        """What has been played so far."""

    @property
    def as_it_must(self) -> bool:
        """Whether everything came out as it had to."""
        return bool(self.scenes) and all(scene.as_it_must for scene in self.scenes)

    def play(self) -> None:
        """Play all of it. A scene that goes wrong is recorded, and the next one begins."""
        self._one_payment_by_both_routes()
        self._the_webhook_first()
        self._a_payment_that_comes_later()
        self._a_wrong_amount()
        self._a_forged_signature()
        self._an_outage_and_the_way_back()

    def orders(self) -> list[OrderBeforeAndAfter]:
        """The orders of the story, as they were and as they are."""
        return [
            OrderBeforeAndAfter(
                role=role, order=order, before=before, after=self._cloud.shop.state(order)
            )
            for role, order, before in self._orders
        ]

    def _one_payment_by_both_routes(self) -> None:
        order = self._order("by both routes")
        event = self._cloud.stripe.paid(order)

        def by_eventbridge() -> tuple[str, str]:
            return self._published(event, order), f"settlements: order {order.id}"

        def by_webhook() -> tuple[str, str]:
            answer = self._cloud.stripe.post(event)
            came = f"{answer.status} {answer.outcome}; {self._standing(order)}"
            return came, "still one settlement, counted once"

        self._scene("A checkout is paid", "eventbridge", f"settled; {_PAID}", by_eventbridge)
        self._scene("The same event again", "webhook", f"200 duplicate; {_PAID}", by_webhook)

    def _the_webhook_first(self) -> None:
        order = self._order("webhook first", amount=2598)
        event = self._cloud.stripe.paid(order)

        def by_webhook() -> tuple[str, str]:
            answer = self._cloud.stripe.post(event)
            came = f"{answer.status} {answer.outcome}; {self._standing(order)}"
            return came, f"settlements: order {order.id}"

        def by_eventbridge() -> tuple[str, str]:
            return self._published(event, order), "the function's log; still one settlement"

        self._scene("The webhook comes first", "webhook", f"200 settled; {_PAID}", by_webhook)
        self._scene(
            "EventBridge comes second", "eventbridge", f"duplicate; {_PAID}", by_eventbridge
        )

    def _a_payment_that_comes_later(self) -> None:
        order = self._order("bank debit", amount=12000)
        unpaid = self._cloud.stripe.unpaid(order)
        succeeded = self._cloud.stripe.async_payment_succeeded(order)

        def announced() -> tuple[str, str]:
            return self._published(unpaid, order), f"ticket_orders: order {order.id}"

        def paid() -> tuple[str, str]:
            return self._published(succeeded, order), f"settlements: order {order.id}"

        waiting = _UNTOUCHED.replace("pending", "processing")
        self._scene(
            "A bank debit is announced", "eventbridge", f"awaiting_payment; {waiting}", announced
        )
        self._scene("The bank debit has come", "eventbridge", f"settled; {_PAID}", paid)

    def _a_wrong_amount(self) -> None:
        order = self._order("one cent too little")
        event = self._cloud.stripe.paid(order, amount=4999)

        def delivered() -> tuple[str, str]:
            came = self._published(event, order)
            [(kind, _)] = self._cloud.shop.anomalies(order)
            return f"{came}; {kind}", "payment_anomalies: waits for a person"

        self._scene(
            "One cent too little is paid",
            "eventbridge",
            f"anomaly; {_UNTOUCHED}; amount_mismatch",
            delivered,
        )

    def _a_forged_signature(self) -> None:
        order = self._order("forged signature")
        event = self._cloud.stripe.paid(order)

        def posted() -> tuple[str, str]:
            answer = self._cloud.stripe.post(event, secret="whsec_somebody_elses")  # noqa: S106
            came = f"{answer.status} {answer.outcome}; {self._standing(order)}"
            return came, "nothing is written"

        self._scene("A forged signature", "webhook", f"400 unauthenticated; {_UNTOUCHED}", posted)

    def _an_outage_and_the_way_back(self) -> None:
        cloud = self._cloud
        queue = cloud.addresses.on_failure_queue_url
        queue_name = queue.rpartition("/")[2]
        order = self._order("during the outage")
        event = cloud.stripe.paid(order)

        def refused() -> tuple[str, str]:
            cloud.database.stop()
            answer = cloud.stripe.post(event)
            return f"{answer.status} {answer.outcome}", "its answer: Stripe will try again"

        def kept() -> tuple[str, str]:
            cloud.stripe.publish(event)
            cloud.operator.wait_until_waiting(queue, 1)
            tries = cloud.operator.outcomes(cloud.addresses.event_function, event["id"])
            return f"kept after {len(tries)} tries", f"queue {queue_name}"

        def told() -> tuple[str, str]:
            alarm = cloud.operator.wait_for_alarm(queue)
            return "mailed by SNS", alarm

        def redriven() -> tuple[str, str]:
            cloud.database.start()
            done = cloud.operator.redrive()
            left = cloud.operator.waiting(queue)
            came = f"settled; {self._standing(order)}; {left} messages left"
            if done.returncode != 0:
                came = f"exit code {done.returncode}: {done.stdout}{done.stderr}"
            return came, f"settlements: order {order.id}; the queue is empty"

        try:
            self._scene("The database is down", "webhook", "503 retry", refused)
            self._scene("... and for EventBridge", "eventbridge", "kept after 3 tries", kept)
            self._scene("Somebody is told", "alarm", "mailed by SNS", told)
        finally:
            self._scene(
                "It is back; redrive", "operator", f"settled; {_PAID}; 0 messages left", redriven
            )

    def _order(self, role: str, *, amount: int = 5000) -> Order:
        order = self._cloud.shop.add_order(amount=amount)
        self._orders.append((role, order, self._cloud.shop.state(order)))
        return order

    def _published(self, event: dict[str, object], order: Order) -> str:
        """What came of a partner event: the outcome that was logged, and how the order stands."""
        self._cloud.stripe.publish(event)
        function = self._cloud.addresses.event_function
        [outcome] = self._cloud.operator.wait_for_outcomes(function, str(event["id"]), 1)
        return f"{outcome}; {self._standing(order)}"

    def _standing(self, order: Order) -> str:
        state = self._cloud.shop.state(order)
        return (
            f"{state.status}, {state.sold} sold, code used {_times(state.used or 0)}, "
            f"{state.settlements} settlement{'' if state.settlements == 1 else 's'}"
        )

    def _scene(
        self, title: str, route: str, must: str, play: Callable[[], tuple[str, str]]
    ) -> None:
        began = time.monotonic()
        with self._watch(title):
            try:
                came, proof = play()
            except Exception as error:  # noqa: BLE001 - shown in the table; the story goes on
                came, proof = f"{type(error).__name__}: {error}", ""
        scene = Scene(
            title=title,
            route=route,
            must=must,
            came=came,
            proof=proof,
            seconds=time.monotonic() - began,
        )
        self.scenes.append(scene)
        self._played(scene)


def _times(count: int) -> str:
    return "1 time" if count == 1 else f"{count} times"
