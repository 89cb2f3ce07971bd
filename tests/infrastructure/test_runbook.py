"""Behind every alarm stands an entry that helps at 3 a.m.: no dead link, no name that is gone."""

import re
import shlex
import subprocess

import pytest

from settlement import errors
from settlement.domain.outcomes import AnomalyKind
from stripe_settlement.monitoring import alarm_descriptions
from stripe_settlement.monitoring.alarm_descriptions import AlarmText
from stripe_settlement_cli import cli
from stripe_settlement_cli.cli import ExitCode
from stripe_settlement_cli.failure_reasons import HINTS
from tests.infrastructure import runbook
from tests.infrastructure.environment_templates import environment_template
from tests.infrastructure.synthesis import payments_stack, template_of
from tests.support.waiting import SECONDS


def test_each_alarm_has_an_entry_and_no_other_is_there() -> None:
    texts = [text for text in vars(alarm_descriptions).values() if isinstance(text, AlarmText)]
    queues = (
        alarm_descriptions.ON_FAILURE_QUEUE,
        alarm_descriptions.STRIPE_EVENT_DLQ,
        alarm_descriptions.ON_SALE_DLQ,
    )
    expected = [text.entry for text in texts] + [text.with_age().entry for text in queues]
    assert sorted(runbook.entries()) == sorted(expected)


@pytest.mark.parametrize("anchor", runbook.entries())
def test_entry_answers_the_five_questions_of_the_night(anchor: str) -> None:
    answered = re.findall(r"^\*\*([^*]+)\.\*\*", runbook.entries()[anchor], re.MULTILINE)
    assert answered == [
        "What happened",
        "At risk",
        "Look first",
        "Back to normal",
        "Escalate",
    ]


def test_every_link_leads_to_a_place_in_the_runbook() -> None:
    headings = re.findall(r"^#+ (.+)$", runbook.TEXT, re.MULTILINE)
    places = {re.sub(r"[^a-z0-9 -]", "", each.lower()).replace(" ", "-") for each in headings}
    links = set(re.findall(r"\]\(#([^)]+)\)", runbook.TEXT))
    assert links <= places | runbook.entries().keys()


def test_every_stack_output_it_reads_is_there() -> None:
    read = set(re.findall(r"\$\(output (\w+)\b", runbook.TEXT))
    assert read
    on_sale = template_of(payments_stack("dev", on_sale="queued"))["Outputs"]
    assert read <= environment_template("prod")["Outputs"].keys() | on_sale.keys()


def test_every_anomaly_kind_is_explained() -> None:
    table = re.findall(r"^\| (`.+?`) \|", runbook.entries()["payment-anomalies"], re.MULTILINE)
    explained = re.findall(r"`(\w+)`", " ".join(table))
    assert sorted(explained) == sorted(["kind", *AnomalyKind])


def test_every_error_a_delivery_can_end_in_is_explained() -> None:
    ends_in = {
        name
        for name, error in vars(errors).items()
        if isinstance(error, type) and issubclass(error, errors.SettlementError)
    } - {"SettlementError", "RetryableError"}
    rows = re.findall(r"^\| (`[A-Z].+?`) \|", runbook.TEXT, re.MULTILINE)
    explained = set(re.findall(r"`([A-Z][a-z]\w+)`", " ".join(rows)))
    assert ends_in <= explained


@pytest.mark.parametrize("script", runbook.code_blocks("sh"))
def test_shell_reads_what_the_operator_copies(script: str) -> None:
    read = subprocess.run(
        ["bash", "-n"],
        input=script,
        text=True,
        capture_output=True,
        check=False,
        timeout=SECONDS,
    )
    assert (read.returncode, read.stderr) == (0, "")


def test_every_reason_a_redrive_retains_a_message_for_is_explained() -> None:
    rows = re.findall(r"^\| (`.+?`) \|", runbook.TEXT, re.MULTILINE)
    explained = set(re.findall(r"`([^`]+)`", " ".join(rows)))
    assert explained >= HINTS.keys()


def test_every_exit_code_of_a_redrive_is_explained() -> None:
    explained = set(re.findall(r"^\| `(\d+)` \|", runbook.TEXT, re.MULTILINE))
    assert explained == {str(code.value) for code in ExitCode}


@pytest.mark.parametrize(
    "command", re.findall(r"^stripe-settlement (redrive [^#\n]+)", runbook.TEXT, re.MULTILINE)
)
def test_every_redrive_the_operator_copies_can_be_typed(command: str) -> None:
    asked = cli.parser().parse_args(shlex.split(command))
    assert asked.command == "redrive"
