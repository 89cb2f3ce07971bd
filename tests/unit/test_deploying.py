"""What a stranger copies out of the guide to deploying is read by the programs that it is for."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import botocore.session
import pytest
import stripe
from botocore import xform_name
from stripe.params import WebhookEndpointCreateParams
from stripe.params.v2.core import EventDestinationCreateParams

from settlement.domain.payments import Payment, PaymentState, Rules, read_event, read_payment
from tests.support.waiting import SECONDS

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def code_blocks(text: str, language: str) -> list[str]:
    """Of one language, also inside a list."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", code, flags=re.MULTILINE) for indent, code in found]


SHELL = code_blocks(GUIDE, "sh") + code_blocks(README, "sh")
EVENT_DESTINATION, WEBHOOK_ENDPOINT = code_blocks(GUIDE, "python")


class Answering(stripe.HTTPClient):
    """Stripe's servers, as far as a creation is concerned."""

    name = "answering"

    def __init__(self, answer: Mapping[str, Any]) -> None:
        super().__init__()
        self.answer = answer
        self.path = ""
        self.body = ""

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        self.path = f"{method} {url.removeprefix('https://api.stripe.com')}"
        self.body = post_data
        return json.dumps(self.answer), 200, {}


@pytest.fixture
def stripe_answers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let Stripe's library talk to nobody but an answer of ours."""
    client = stripe.StripeClient

    def answering(answer: Mapping[str, Any]) -> Answering:
        http = Answering(answer)
        monkeypatch.setattr(stripe, "StripeClient", lambda key: client(key, http_client=http))
        monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_any")
        monkeypatch.setenv("WEBHOOK_URL", "https://any.example.com/webhooks/stripe")
        return http

    return answering


def test_stripes_own_library_accepts_each_call(
    stripe_answers: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    arn = "arn:aws:events:eu-west-1::event-source/aws.partner/stripe.com/ed_1"
    destination = stripe_answers(
        {
            "object": "v2.core.event_destination",
            "amazon_eventbridge": {"aws_event_source_arn": arn},
        }
    )
    exec(compile(EVENT_DESTINATION, "deploying.md", "exec"), {})
    asked = json.loads(destination.body)
    assert destination.path == "post /v2/core/event_destinations"
    assert asked.keys() <= EventDestinationCreateParams.__annotations__.keys()
    assert asked["event_payload"] == "snapshot"

    endpoint = stripe_answers({"object": "webhook_endpoint", "secret": "whsec_new"})
    exec(compile(WEBHOOK_ENDPOINT, "deploying.md", "exec"), {})
    names = {name.partition("[")[0] for name in parse_qs(endpoint.body)}
    assert endpoint.path == "post /v1/webhook_endpoints"
    assert names <= WebhookEndpointCreateParams.__annotations__.keys()

    assert capsys.readouterr().out.splitlines() == [arn, "whsec_new"]


@pytest.mark.parametrize("call", [EVENT_DESTINATION, WEBHOOK_ENDPOINT])
def test_each_call_asks_for_the_types_that_change_an_order(call: str) -> None:
    settings = (ROOT / "stripe_settlement" / "settings.py").read_text(encoding="utf-8")
    listed = re.search(r"^STRIPE_DETAIL_TYPES = \((.*?)\)", settings, re.MULTILINE | re.DOTALL)
    assert listed is not None
    assert re.findall(r'"(checkout\.session\.\w+)"', call) == re.findall(r'"(.+?)"', listed[1])


@pytest.mark.parametrize("livemode", ["true", "false"])
def test_smoke_event_is_a_paid_checkout_of_an_order_nobody_has(
    livemode: str, tmp_path: Path
) -> None:
    [script] = [block for block in SHELL if "cat > smoke.json" in block]
    script = script.replace("LIVEMODE=true", f"LIVEMODE={livemode}")
    subprocess.run(
        ["bash", "-euc", script],
        cwd=tmp_path,
        check=True,
        timeout=SECONDS,
    )
    envelope = json.loads((tmp_path / "smoke.json").read_text())

    event = read_event(envelope["detail"])
    payment = read_payment(event, Rules(livemode=livemode == "true"))

    assert isinstance(payment, Payment)
    assert (payment.state, payment.order_id) == (PaymentState.PAID, 2**63 - 1)
    assert envelope["detail-type"] == event.type


@pytest.mark.parametrize("script", SHELL)
def test_shell_reads_what_one_copies(script: str) -> None:
    read = subprocess.run(
        ["bash", "-n"],
        input=script,
        text=True,
        capture_output=True,
        check=False,
        timeout=SECONDS,
    )
    assert (read.returncode, read.stderr) == (0, "")


def aws_commands() -> list[str]:
    joined = "\n".join(SHELL).replace("\\\n", " ")
    return re.findall(r"\baws ([a-z]+ [a-z-]+[^\n)|>]*)", joined)


@pytest.mark.parametrize("command", aws_commands())
def test_aws_knows_each_operation_and_its_options(command: str) -> None:
    service, operation, *_ = command.split()
    model = botocore.session.get_session().get_service_model(service)
    names = {xform_name(name, "-"): name for name in model.operation_names}
    assert operation in names
    shape = model.operation_model(names[operation]).input_shape
    known = {xform_name(name, "-") for name in (shape.members if shape else ())}
    options = set(re.findall(r"(?<=\s)--(?:no-)?([a-z-]+)", command))
    assert options <= known | {"query", "output"}


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/deploying.md"])
def test_every_make_target_named_is_there(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|^|[…=] )make ([a-z-]+)", text, re.MULTILINE))
    assert named
    assert named <= targets


def test_the_secrets_one_is_told_to_make_are_not_known_to_everybody() -> None:
    placed = re.findall(r"whsec_\S+", "\n".join(SHELL))
    assert placed
    assert all(each.startswith("whsec_$(openssl") for each in placed)


def test_the_secret_that_the_webhook_reads_holds_no_api_key() -> None:
    [secret] = re.findall(r'\{"webhook_secret": .*\}', "\n".join(SHELL))
    assert list(json.loads(secret)) == ["webhook_secret"]
