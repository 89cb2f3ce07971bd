"""`python -m local run`, the README's first command: the whole story, as a user sees it."""

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


def test_story_comes_out_as_it_must() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "local", "run"],
        cwd=REPOSITORY,
        env={k: v for k, v in os.environ.items() if not k.startswith("DB_")} | {"COLUMNS": "220"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )

    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stderr == ""
    assert "✗" not in told.stdout
    steps = re.findall(r"^✓ ([^:\n]+): ", told.stdout, re.MULTILINE)
    rows = re.findall(r"^ ✓  (.+?)  ", told.stdout, re.MULTILINE)
    assert len(steps) >= 12
    assert rows == steps
    for outcome in OUTCOMES:
        assert outcome in told.stdout
