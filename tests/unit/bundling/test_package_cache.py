"""What is installed once is not installed again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stripe_settlement.bundling.code import Precompile
from tests.support.bundling import files_of
from tests.support.waiting import SECONDS
from tests.support.wheel_index import Index


def test_second_synth_installs_nothing(
    tmp_path: Path, index: Index, make: Callable[..., Path]
) -> None:
    first = make(cache=tmp_path / "cache")
    shutil.rmtree(index.folder)

    second = make(cache=tmp_path / "cache")

    assert files_of(second) == files_of(first)


def test_changed_function_uses_the_packages_that_were_kept(
    tmp_path: Path, source: Path, index: Index, make: Callable[..., Path]
) -> None:
    make(cache=tmp_path / "cache")
    shutil.rmtree(index.folder)
    (source / "eventbridge_handler.py").write_text("import settlement  # changed\n")

    assert b"changed" in files_of(make(cache=tmp_path / "cache"))["eventbridge_handler.py"]


def test_packages_with_and_without_bytecode_are_kept_apart(
    tmp_path: Path, make: Callable[..., Path]
) -> None:
    make(cache=tmp_path / "cache", precompile=Precompile.NEVER)

    asset = make(cache=tmp_path / "cache", precompile=Precompile.WHEN_POSSIBLE)

    assert list((asset / "payload").rglob("*.pyc"))


def test_synths_at_once_make_the_same_asset_and_keep_one_entry(
    tmp_path: Path, make: Callable[..., Path]
) -> None:
    with ThreadPoolExecutor(4) as pool:
        assets = [pool.submit(make, cache=tmp_path / "cache") for _ in range(4)]

    first, *others = [files_of(asset.result(SECONDS)) for asset in assets]
    assert all(other == first for other in others)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_interrupted_synth_keeps_no_half_an_entry(
    tmp_path: Path, make: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy_one_file(made: Path, copy: Path, **_: object) -> None:
        copy.mkdir()
        (copy / "half").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "copytree", copy_one_file)
    with pytest.raises(KeyboardInterrupt):
        make(cache=tmp_path / "cache")
    monkeypatch.undo()

    assert not list((tmp_path / "cache").glob("packages-*"))


def test_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, make: Callable[..., Path]
) -> None:
    (tmp_path / "file").touch()

    assert (make(cache=tmp_path / "file" / "cache") / "payload/__init__.py").exists()
