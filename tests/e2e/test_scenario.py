"""`python -m local run`, the README's first command: the whole scenario, as a user sees it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("e2e")

OUTCOMES = ("settled", "duplicate", "awaiting_payment", "anomaly", "unauthenticated", "retry")

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run() -> subprocess.CompletedProcess[str]:
    """One run."""
    return subprocess.run(
        [sys.executable, "-m", "local", "run"],
        cwd=REPOSITORY,
        env={k: v for k, v in os.environ.items() if not k.startswith("DB_")} | {"COLUMNS": "220"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def test_every_step_comes_out_as_it_must(run: subprocess.CompletedProcess[str]) -> None:
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stderr == ""
    assert "✗" not in run.stdout
    steps = re.findall(r"^✓ ([^:\n]+): ", run.stdout, re.MULTILINE)
    rows = re.findall(r"^ ✓  (.+?)  ", run.stdout, re.MULTILINE)
    assert len(steps) >= 17
    assert rows == steps
    for outcome in OUTCOMES:
        assert outcome in run.stdout


def test_both_sides_are_connected_by_the_deployment_and_the_lost_hour_is_settled(
    run: subprocess.CompletedProcess[str],
) -> None:
    none = "0 event destinations, 0 webhook endpoints"
    both = "1 event destination, 1 webhook endpoint"
    for line in (
        f"The deployment connects Stripe: registered; before: {none}; now: {both} ",
        "Stripe delivers by both routes: settled and duplicate; ",
        "The destination is deleted: deleted; 0 event destinations, 1 webhook endpoint ",
        "An hour of payments is lost: 3 orders; each pending, ",
        "Reconciliation asks Stripe: 3 settled; each paid, ",
        "The operator hears of it: published to SNS ",
        "Stripe is connected again: connected; 1 event destination, 1 webhook endpoint; paid, ",
        "Doctor looks at every link: All is well. ",
    ):
        assert f"✓ {line}" in run.stdout
    assert "cachao-reconciled" in run.stdout


def test_the_lines_that_the_readme_shows_are_printed(run: subprocess.CompletedProcess[str]) -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    seconds = re.compile(r" \d+\.\d s$", re.MULTILINE)
    shown = [line for line in seconds.sub("", readme).splitlines() if line.startswith("✓ ")]
    assert len(shown) == 5
    assert set(shown) <= set(seconds.sub("", run.stdout).splitlines())
