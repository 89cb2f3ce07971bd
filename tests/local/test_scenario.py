"""The story's verdict: it ends well only if every scene came out as it must."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, cast

import pytest
from rich.console import Console

from local.cloud import LocalCloud
from local.console import Show
from local.scenario import Scene, Story


def any_scene(*, must: str = "settled; any facts", came: str = "settled; any facts") -> Scene:
    return Scene(title="any", route="webhook", must=must, came=came, proof="any", seconds=0.1)


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


def told(*scenes: Scene) -> Story:
    story = Story(cast("LocalCloud", None), watch=lambda _what: nullcontext(), played=print)  # type: ignore[arg-type, return-value]
    story.scenes.extend(scenes)
    return story


def test_story_ends_well_when_every_scene_does() -> None:
    assert told(any_scene(), any_scene()).as_it_must


@pytest.mark.parametrize("came", ["settled; other facts", "retry; any facts", ""])
def test_one_scene_that_came_out_otherwise_spoils_the_story(came: str) -> None:
    assert not told(any_scene(), any_scene(came=came)).as_it_must


def test_story_that_was_not_played_has_not_ended_well() -> None:
    assert not told().as_it_must


def test_scene_that_breaks_is_recorded_and_the_story_goes_on() -> None:
    cloud, played = SilentCloud(), list[Scene]()
    watch = lambda _what: nullcontext(lambda _done, _total: None)  # noqa: E731
    story = Story(cast("LocalCloud", cloud), watch=watch, played=played.append)
    story.play()
    assert played == story.scenes
    assert [scene for scene in played if scene.as_it_must] == []
    assert played[-1].title == "It is back; redrive"


def test_database_is_started_again_however_the_outage_went() -> None:
    cloud = SilentCloud()
    watch = lambda _what: nullcontext(lambda _done, _total: None)  # noqa: E731
    Story(cast("LocalCloud", cloud), watch=watch, played=lambda _scene: None).play()
    assert cloud.starts == 1


def test_table_shows_what_a_spoiled_scene_had_to_come_to_and_came_to() -> None:
    console = Console(width=110, force_terminal=False, record=True, quiet=False)
    with console.capture() as capture:
        Show(console).scenes([any_scene(must="settled; 1 sold", came="retry; 0 sold")])
    assert "settled; 1 sold" in capture.get()
    assert "retry; 0 sold" in capture.get()
