"""The page of the functions' environment variables names every one that is read."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_variable_that_is_read_is_on_the_page() -> None:
    code = (ROOT / "lambdas/settlement/configuration.py").read_text(encoding="utf-8")
    read = set(re.findall(r'"([A-Z]+_[A-Z_]+)"', code))
    page = (ROOT / "docs/outcomes.md").read_text(encoding="utf-8")
    assert read
    assert read - set(re.findall(r"`([A-Z_]+)`", page)) == set()
