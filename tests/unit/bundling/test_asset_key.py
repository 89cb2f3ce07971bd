"""The asset key follows what goes in, and nothing that differs between two machines."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stripe_settlement.bundling import build_asset
from stripe_settlement.bundling.build_asset import Target
from stripe_settlement.bundling.code import Precompile, asset_key
from tests.support.bundling import synthesised_keys


def key_of(source: Path, *, precompile: Precompile = Precompile.WHEN_POSSIBLE) -> str:
    return asset_key(source, target=Target(python="3.14", machine="x86_64"), precompile=precompile)


def test_all_functions_of_an_app_share_one_asset(tmp_path: Path, source: Path) -> None:
    keys = synthesised_keys(tmp_path, source)

    assert len(keys) == 4
    assert len(set(keys)) == 1
    assert len(list((tmp_path / "cdk.out-False").glob("asset.*"))) == 1


def test_synth_without_bundling_keeps_the_asset_key(tmp_path: Path, source: Path) -> None:
    bundled = synthesised_keys(tmp_path, source)

    assert synthesised_keys(tmp_path, source, skip_bundling=True) == bundled
    assert not list((tmp_path / "cdk.out-True").glob("asset.*"))


def test_asset_key_is_the_same_in_another_folder_with_other_times(
    tmp_path: Path, source: Path
) -> None:
    elsewhere = tmp_path / "site-packages" / "_lambdas"
    shutil.copytree(source, elsewhere, copy_function=shutil.copyfile)
    for path in elsewhere.rglob("*"):
        os.utime(path, (0, 0))

    assert key_of(elsewhere) == key_of(source)


@pytest.mark.parametrize(
    "leftover",
    [
        "__pycache__/eventbridge_handler.cpython-311.pyc",
        "settlement/stray.pyc",
        "settlement/tests/test_settle.py",
        ".DS_Store",
        ".idea/workspace.xml",
        "requirements.in",
    ],
)
def test_what_a_machine_leaves_behind_is_neither_in_the_key_nor_in_the_asset(
    source: Path, make: Callable[..., Path], leftover: str
) -> None:
    before = key_of(source)
    path = source / leftover
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("left behind")

    assert key_of(source) == before
    assert not (make() / leftover).exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "settlement/sql/settle_order.sql").write_text("SELECT 2\n"),
        lambda root: (root / "settlement/bundle.pem").rename(root / "settlement/other.pem"),
        lambda root: (root / "settlement/new.py").touch(),
        lambda root: (root / "requirements.txt").write_text("payload==2.0\n"),
    ],
    ids=["content", "name", "new file", "lock"],
)
def test_asset_key_follows_the_functions_files(
    source: Path, change: Callable[[Path], object]
) -> None:
    before = key_of(source)

    change(source)

    assert key_of(source) != before


def test_asset_key_follows_what_is_declared(source: Path) -> None:
    keys = {
        asset_key(source, target=Target(python=python, machine=machine), precompile=precompile)
        for python in ("3.13", "3.14")
        for machine in ("x86_64", "aarch64")
        for precompile in Precompile
    }

    assert len(keys) == 2 * 2 * 3


def test_asset_key_follows_the_build_script(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = key_of(source)
    changed = source.parent / "build_asset.py"
    changed.write_text("# another build script")

    monkeypatch.setattr(build_asset, "__file__", str(changed))

    assert key_of(source) != before
