"""The scenario's verdict: it ends well only if every step came out as it must."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, cast

import pytest
from rich.console import Console as Terminal

from local.cloud import LocalCloud
from local.console import Console
from local.scenario import Scenario, Step


def any_step(*, expected: str = "settled; any facts", actual: str = "settled; any facts") -> Step:
    return Step(
        title="any", route="webhook", expected=expected, actual=actual, proof="any", seconds=0.1
    )


class SilentCloud:
    """A cloud in which nothing happens: every question about it fails."""

    class Shop:
        def add_order(self, **_: object) -> object:
            return type("Order", (), {"id": 1})()

        def state(self, _order: object) -> object:
            return None

    def __init__(self) -> None:
        self.shop = self.Shop()
        self.database = self
        self.starts = 0
        self.addresses = type("Addresses", (), {"on_failure_queue_url": "any/queue"})()
        self.stripe = self

    def start(self) -> None:
        self.starts += 1

    def stop(self) -> None:
        pass

    def paid(self, *_: object, **__: object) -> dict[str, Any]:
        return {"id": "evt_any"}

    unpaid = async_payment_succeeded = paid


def told(*steps: Step) -> Scenario:
    scenario = Scenario(cast("LocalCloud", None), watch=lambda _what: nullcontext(), played=print)  # type: ignore[arg-type, return-value]
    scenario.steps.extend(steps)
    return scenario


def test_scenario_ends_well_when_every_step_does() -> None:
    assert told(any_step(), any_step()).as_expected


@pytest.mark.parametrize("actual", ["settled; other facts", "retry; any facts", ""])
def test_one_step_that_is_not_as_expected_spoils_the_scenario(actual: str) -> None:
    assert not told(any_step(), any_step(actual=actual)).as_expected


def test_scenario_that_was_not_played_has_not_ended_well() -> None:
    assert not told().as_expected


def test_step_that_breaks_is_recorded_and_the_scenario_goes_on() -> None:
    cloud, played = SilentCloud(), list[Step]()
    watch = lambda _what: nullcontext(lambda _done, _total: None)  # noqa: E731
    scenario = Scenario(cast("LocalCloud", cloud), watch=watch, played=played.append)
    scenario.play()
    assert played == scenario.steps
    assert [step for step in played if step.as_expected] == []
    assert "It is back; redrive" in [step.title for step in played]
    assert played[-1].title == "Doctor looks at every link"


def test_database_is_started_again_however_the_outage_went() -> None:
    cloud = SilentCloud()
    watch = lambda _what: nullcontext(lambda _done, _total: None)  # noqa: E731
    Scenario(cast("LocalCloud", cloud), watch=watch, played=lambda _step: None).play()
    assert cloud.starts == 1


def test_table_shows_what_was_expected_of_a_step_and_what_was_seen() -> None:
    terminal = Terminal(width=110, force_terminal=False, record=True, quiet=False)
    with terminal.capture() as capture:
        Console(terminal).steps([any_step(expected="settled; 1 sold", actual="retry; 0 sold")])
    assert "settled; 1 sold" in capture.get()
    assert "retry; 0 sold" in capture.get()
