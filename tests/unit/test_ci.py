"""Both descriptions of CI do the same, and what the README says."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def make_calls(path: str, before: str) -> list[str]:
    text = (ROOT / path).read_text(encoding="utf-8")
    return re.findall(rf"^{before}(make .+)$", text, re.MULTILINE)


def test_the_workflow_calls_the_make_targets_of_the_script() -> None:
    script = make_calls(".ci/run", "")
    assert script
    assert make_calls(".github/workflows/ci.yml", " *- run: ") == script


def test_the_script_calls_the_readmes_test_command() -> None:
    readme = [line.partition("#")[0].strip() for line in make_calls("README.md", "")]
    assert "make test" in readme
    assert "make test" in make_calls(".ci/run", "")
