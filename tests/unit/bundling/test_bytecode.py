"""When the asset holds bytecode, and that Lambda can use it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stripe_settlement.bundling.code import Precompile
from stripe_settlement.bundling.local import bytecode_of
from tests.support.bundling import OTHER_PYTHON, executable
from tests.support.waiting import SECONDS


def test_bytecode_is_used_whatever_times_the_zip_gives_its_sources(
    make: Callable[..., Path],
) -> None:
    asset = make(precompile=Precompile.WHEN_POSSIBLE)
    for path in asset.rglob("*.py"):
        path.write_text("raise AssertionError('compiled from source')\n")
        os.utime(path, (0, 0))

    ask = "import eventbridge_handler, payload, settlement; print(settlement.settle(), payload.TAG)"
    answer = subprocess.run(
        [sys.executable, "-c", ask],
        cwd=asset,
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )

    assert answer.stdout.split() == ["settled", "py3-none-any"]


def test_bytecode_names_lambdas_folder_and_not_this_machines(make: Callable[..., Path]) -> None:
    asset = make(precompile=Precompile.WHEN_POSSIBLE)

    (bytecode,) = (asset / "settlement/__pycache__").iterdir()

    assert b"/var/task/settlement/__init__.py" in bytecode.read_bytes()
    assert str(asset).encode() not in bytecode.read_bytes()


@pytest.mark.usefixtures("no_other_python")
def test_machine_without_the_functions_python_ships_sources_only(
    make: Callable[..., Path],
) -> None:
    asset = make(python=OTHER_PYTHON, precompile=Precompile.WHEN_POSSIBLE)

    assert not list(asset.rglob("*.pyc"))


def test_no_bytecode_is_made_when_none_is_wanted(make: Callable[..., Path]) -> None:
    assert not list(make(precompile=Precompile.NEVER).rglob("*.pyc"))


@pytest.mark.parametrize(
    ("says", "version"),
    [("echo 3.99", "3.99"), ("echo", None), ("echo 'not installed' >&2; exit 127", None)],
    ids=["released", "pre-release or another Python", "shim of a version manager"],
)
def test_only_a_released_interpreter_makes_bytecode(
    tmp_path: Path, says: str, version: str | None
) -> None:
    assert bytecode_of(executable(tmp_path / "python3.99", says)) == version


def test_interpreter_on_the_path_makes_bytecode(
    tmp_path: Path, make: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interpreter that says it is of the function's version, and notes that it compiled."""
    note = tmp_path / "compiled"
    script = f'if [ "$1" = -I ]; then echo {OTHER_PYTHON}; else echo "$@" >> {note}; fi'
    executable(tmp_path / f"python{OTHER_PYTHON}", script)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")

    make(python=OTHER_PYTHON, precompile=Precompile.REQUIRED)

    assert "unchecked-hash" in note.read_text()
