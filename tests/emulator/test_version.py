"""The replaced functions are those of one version of MiniStack, and of no other."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from local.emulator import MINISTACK_VERSION
from local.emulator.__main__ import version_problem

ROOT = Path(__file__).parents[2]


def test_installed_ministack_is_the_one_that_was_checked() -> None:
    assert metadata.version("ministack") == MINISTACK_VERSION


def test_emulator_refuses_another_ministack_and_says_what_to_do(tmp_path: Path) -> None:
    other = tmp_path / "ministack-9.9.9.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: ministack\nVersion: 9.9.9\n")
    done = subprocess.run(
        [sys.executable, "-m", "local.emulator", "--function-python", sys.executable],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "Found MiniStack 9.9.9" in done.stderr
    assert f"checked against MiniStack {MINISTACK_VERSION}" in done.stderr
    assert "make setup" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("installed", "found"), [("2.0", "MiniStack 2.0"), (None, "no MiniStack")])
def test_problem_names_what_was_found(installed: str | None, found: str) -> None:
    assert f"Found {found};" in (version_problem(installed) or "")
