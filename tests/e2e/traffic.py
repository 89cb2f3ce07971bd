"""Checkouts that are paid on both routes, one after the other, while something else happens."""

from __future__ import annotations

from threading import Event, Thread
from typing import Any, Self

from local.checkouts import Answer, Checkouts
from local.shop import Order, Shop
from local.waiting import wait_for
from tests.support.waiting import join

Delivery = tuple["Order", dict[str, Any]]


class Traffic:
    """In a `with` block: every round pays one order by EventBridge and one by the webhook.

    Leaving the block ends it, and raises what went wrong in it.
    """

    def __init__(self, shop: Shop, stripe: Checkouts) -> None:
        self.shop = shop
        """Who takes the orders; may be replaced meanwhile."""
        self.published: list[Order] = []
        self.posted: list[tuple[Delivery, Answer]] = []
        """Each order and event that was posted, with the answer."""
        self._stripe = stripe
        self._ending = Event()
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="traffic")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        join(self._thread, "the traffic")
        if self._error is not None:
            raise self._error

    def wait_for_rounds(self, count: int) -> None:
        """Return after so many more rounds, whatever came of them."""
        until = len(self.posted) + count
        wait_for(
            lambda: True if len(self.posted) >= until or not self._thread.is_alive() else None,
            f"{count} rounds of traffic",
            seconds=120,
        )

    def wait_until_settled(self) -> None:
        """Return after an order whose payment comes from now on has been settled."""
        begun = len(self.posted)
        wait_for(
            lambda: (
                True
                if any(answer.outcome == "settled" for _, answer in self.posted[begun + 1 :])
                else None
            ),
            "a settlement",
            seconds=120,
        )

    def not_acknowledged(self) -> list[Delivery]:
        """What Stripe would post again."""
        return [delivery for delivery, answer in self.posted if answer.status != 200]

    def _run(self) -> None:
        try:
            while not self._ending.is_set():
                by_eventbridge = self.shop.add_order()
                self._stripe.publish(self._stripe.paid(by_eventbridge))
                self.published.append(by_eventbridge)
                by_webhook = self.shop.add_order()
                event = self._stripe.paid(by_webhook)
                self.posted.append(((by_webhook, event), self._stripe.post(event)))
        except BaseException as error:  # noqa: BLE001 - raised where the block ends
            self._error = error
