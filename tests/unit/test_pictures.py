"""The pictures of the documentation can be read wherever they are shown."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

PICTURES = sorted((Path(__file__).parents[2] / "docs").glob("*.svg"))


@pytest.fixture(params=PICTURES, ids=lambda path: path.name)
def styles(request: pytest.FixtureRequest) -> str:
    picture = ET.parse(request.param)
    return "".join(style.text or "" for style in picture.iter("{http://www.w3.org/2000/svg}style"))


def test_every_picture_has_colours_of_its_own_for_dark_pages(styles: str) -> None:
    _, _, dark = styles.partition("@media (prefers-color-scheme: dark)")
    assert re.search(r"\btext\b.*\{[^}]*fill: #f0f6fc|\.name \{ fill: #f0f6fc", dark)


def test_no_colour_is_a_variable_which_is_black_outside_browsers(styles: str) -> None:
    assert "var(" not in styles
