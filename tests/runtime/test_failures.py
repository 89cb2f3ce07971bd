"""What is not settled: how each function says so to Lambda, and that its process lives on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.servers.delaying_proxy import DelayingProxy
from tests.runtime.function import Function, TaskTimedOut
from tests.support.cachao import PASSWORD, Cachao, event_for
from tests.support.events import (
    WEBHOOK_SECRET,
    any_paid_event,
    eventbridge_envelope,
    webhook_request,
)

Start = Callable[..., Function]

pytestmark = pytest.mark.xdist_group("runtime")

WRONG_SETTINGS = [
    {"DB_HOST": ""},
    {"DB_PORT": "MARKER"},
    {"DB_PASSWORD": ""},
    {"STRIPE_LIVEMODE": "MARKER"},
]
MARK = "MARKER"


@pytest.fixture
def proxy(cachao: Cachao, configuration: dict[str, str]) -> Iterator[DelayingProxy]:
    """The network between the function and its database."""
    with DelayingProxy(cachao.server.host, cachao.server.port) as proxy:
        configuration["DB_PORT"] = str(proxy.port)
        yield proxy


@pytest.mark.parametrize("wrong", WRONG_SETTINGS, ids="+".join)
def test_webhook_with_wrong_settings_asks_for_the_event_again(
    configuration: dict[str, str], start: Start, wrong: dict[str, str]
) -> None:
    configuration |= wrong
    function = start("webhook_handler")
    for _ in range(2):
        event = any_paid_event()
        report = function.invoke(webhook_request(event))

        assert report.json["statusCode"] == 503
        assert json.loads(report.json["body"]) == {"outcome": "retry", "event_id": event["id"]}


@pytest.mark.parametrize("wrong", WRONG_SETTINGS, ids="+".join)
def test_eventbridge_event_meets_wrong_settings_as_an_error_of_its_own(
    configuration: dict[str, str], start: Start, wrong: dict[str, str]
) -> None:
    configuration |= wrong
    function = start("eventbridge_handler")
    for _ in range(2):
        report = function.invoke(eventbridge_envelope(any_paid_event()))

        assert report.is_error
        assert report.json["errorType"] == "ConfigurationError"
        assert next(iter(wrong)) in report.json["errorMessage"]
        assert MARK not in report.text


def test_webhook_answers_503_before_a_silent_database_uses_up_its_time(
    cachao: Cachao, proxy: DelayingProxy, start: Start
) -> None:
    order = cachao.add_order()
    function = start("webhook_handler")
    proxy.stall()

    report = function.invoke(webhook_request(event_for(order)), seconds=2)

    assert report.json["statusCode"] == 503


def test_silent_database_is_an_error_of_the_event_before_its_time_is_up(
    cachao: Cachao, proxy: DelayingProxy, start: Start
) -> None:
    order = cachao.add_order()
    function = start("eventbridge_handler")
    proxy.stall()

    report = function.invoke(eventbridge_envelope(event_for(order)), seconds=2)

    assert report.is_error
    assert report.json["errorType"] == "LedgerUnavailable"


@pytest.mark.parametrize("handler", ["eventbridge_handler", "webhook_handler"])
def test_process_settles_again_once_the_database_answers(
    cachao: Cachao, proxy: DelayingProxy, start: Start, handler: str
) -> None:
    """With a connection that was good before, which the silence makes useless."""
    deliver = webhook_request if handler == "webhook_handler" else eventbridge_envelope
    first, second = cachao.add_order(), cachao.add_order()
    function = start(handler)
    function.invoke(deliver(event_for(first, payment="a")))

    proxy.stall()
    missed = function.invoke(deliver(event_for(second, payment="b")), seconds=2)
    proxy.cut_all()
    proxy.resume()
    settled = function.invoke(deliver(event_for(second, payment="b")))

    assert missed.is_error or missed.json["statusCode"] == 503
    assert '"settled' in settled.text.replace("\\", "")
    assert [cachao.settlements(order) for order in (first, second)] == [1, 1]
    assert cachao.counters(second) == (2, 1)


def test_error_of_an_event_is_what_lambda_keeps_and_holds_nothing_personal(
    cachao: Cachao, configuration: dict[str, str], start: Start
) -> None:
    """It stands in the record of the on-failure queue, beside the event, and in the trace."""
    configuration["DB_PORT"] = "1"
    person = {"name": MARK, "email": f"{MARK}@example.com", "phone": MARK}
    event = any_paid_event(
        order_id=cachao.add_order().id,
        customer_details=person,
        customer_email=f"{MARK}@example.com",
        client_secret=MARK,
        url=f"https://{MARK}",
    )

    report = start("eventbridge_handler").invoke(eventbridge_envelope(event), seconds=3)

    assert {"errorType", "errorMessage", "stackTrace"} <= set(report.json)
    assert report.json["errorType"] == "LedgerUnavailable"
    assert any("eventbridge_handler.py" in frame for frame in report.json["stackTrace"])
    for private in (MARK, PASSWORD, WEBHOOK_SECRET, event["data"]["object"]["payment_intent"]):
        assert private not in report.text


def test_function_that_never_answers_is_ended_at_its_deadline(start: Start, tmp_path: Path) -> None:
    """What the tests above would see, had a handler waited for longer than it may."""
    (tmp_path / "sleeper.py").write_text(
        "import time\ndef handler(event, context):\n    time.sleep(3600)\n"
    )
    function = start("sleeper", task_root=tmp_path)

    with pytest.raises(TaskTimedOut):
        function.invoke({}, seconds=0.2)
    assert function.process.wait(timeout=60) != 0


def test_deadline_is_what_the_runtime_api_gives(start: Start, tmp_path: Path) -> None:
    (tmp_path / "clock.py").write_text(
        "def handler(event, context):\n    return context.get_remaining_time_in_millis()\n"
    )
    function = start("clock", task_root=tmp_path)
    function.wait_until_started()
    before = time.time()

    remaining = function.invoke({}, seconds=20).json

    assert (20 - (time.time() - before)) * 1000 - 1 <= remaining <= 20_000
