"""Which file may import what: the arrows of the architecture, read from the source."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

LAMBDAS = Path(__file__).resolve().parents[2] / "lambdas"
FILES = sorted(LAMBDAS.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Every module the file names, also inside functions and for type checking only."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found.add(node.module or "")
    return found


def test_each_library_has_one_door() -> None:
    doors: dict[str, set[str]] = {}
    for path in FILES:
        for package in {name.partition(".")[0] for name in imports(path)}:
            if package not in sys.stdlib_module_names | {"settlement", "stripe_account"}:
                doors.setdefault(package, set()).add(path.stem)
    assert doors == {
        "stripe": {
            *{"signatures", "stripe_api", "api_key", "event_destination", "webhook_endpoint"},
        },
        "pymysql": {"connection", "database"},
        "boto3": {"aws"},
        "botocore": {"secrets", "aws"},
        "aws_lambda_powertools": {"telemetry"},
    }


def imported_layers(path: Path) -> set[str]:
    ours = (name.split(".") for name in imports(path) if name.startswith("settlement."))
    return {parts[1] for parts in ours}


@pytest.mark.parametrize(
    ("folder", "allowed"),
    [
        ("domain", {"domain", "errors"}),
        ("adapters", {"domain", "errors", "configuration", "adapters"}),
    ],
)
def test_arrows_point_inward(folder: str, allowed: set[str]) -> None:
    files = sorted((LAMBDAS / "settlement" / folder).rglob("*.py"))
    assert files
    for path in files:
        assert imported_layers(path) <= allowed, path.name


def test_the_domain_imports_nothing_but_the_standard_library() -> None:
    for path in sorted((LAMBDAS / "settlement" / "domain").rglob("*.py")):
        packages = {name.partition(".")[0] for name in imports(path)} - {"settlement"}
        assert packages <= sys.stdlib_module_names, path.name


def test_only_the_handlers_and_the_bootstrap_know_how_parts_are_joined() -> None:
    inner = [path for path in FILES if not path.stem.endswith("handler")]
    users = {path.stem for path in inner if "settlement.bootstrap" in imports(path)}
    assert users == set()


def test_a_cursor_is_opened_in_one_file() -> None:
    users = {path.stem for path in FILES if ".cursor(" in path.read_text(encoding="utf-8")}
    assert users == {"database"}


def test_what_settles_knows_nothing_of_what_creates_stripes_side() -> None:
    settling = [path for path in FILES if path.parent.name != "stripe_account"]
    users = {path.stem for path in settling if any("stripe_account" in n for n in imports(path))}
    assert users == {"event_destination_handler", "webhook_endpoint_handler"}
