"""Which installer makes the asset, and when Docker does."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from stripe_settlement.bundling import build_asset
from stripe_settlement.bundling.code import BundlingError, Installer, Precompile
from stripe_settlement.bundling.local import find_installer
from tests.support.bundling import (
    OTHER_PYTHON,
    THIS_PYTHON,
    executable,
    files_of,
    synthesised_keys,
    without,
)
from tests.support.waiting import INSTALLATION_SECONDS


def test_uv_is_preferred() -> None:
    installer = find_installer(None)

    assert installer
    assert installer.name == "uv"


def test_pip_is_used_where_uv_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    without("uv", monkeypatch=monkeypatch)
    monkeypatch.setenv("PATH", "")

    installer = find_installer(None)

    assert installer
    assert installer.name == "pip"


def test_uv_on_the_path_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without("uv", "pip", monkeypatch=monkeypatch)
    uv = executable(tmp_path / "uv", "true")
    monkeypatch.setenv("PATH", str(tmp_path))

    installer = find_installer(None)

    assert installer
    assert installer.command == (uv,)


@pytest.mark.usefixtures("no_other_python")
def test_installer_asked_for_and_missing_is_refused(
    make: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    without("uv", monkeypatch=monkeypatch)

    with pytest.raises(BundlingError, match=r"Installer\.UV.*pip install uv"):
        make(installer=Installer.UV)


@pytest.mark.usefixtures("no_other_python")
def test_machine_with_no_installer_and_no_docker_is_refused(
    make: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    without("uv", "pip", monkeypatch=monkeypatch)

    with pytest.raises(BundlingError, match=r"neither uv nor pip.*no Docker engine is running"):
        make()


@pytest.mark.usefixtures("no_other_python")
def test_required_bytecode_that_nothing_here_can_make_is_refused(
    make: Callable[..., Path],
) -> None:
    with pytest.raises(BundlingError, match=f"no python{OTHER_PYTHON} on the PATH"):
        make(python=OTHER_PYTHON, precompile=Precompile.REQUIRED)


def test_failure_to_bundle_ends_the_synth_with_the_reason(tmp_path: Path, source: Path) -> None:
    (source / "requirements.txt").write_text("payload==1.0\n")

    with pytest.raises(RuntimeError, match=r"Failed to bundle asset[\s\S]*Allowed are the wheels"):
        synthesised_keys(tmp_path, source)


def test_docker_makes_the_same_asset(
    tmp_path: Path, source: Path, make: Callable[..., Path]
) -> None:
    """A stand-in for the engine runs what CDK asks of it, volumes as folders of this machine."""
    engine = executable(
        tmp_path / "engine",
        textwrap.dedent(f"""\
            [ "$1" = version ] && exit 0
            while [ "$1" != "public.ecr.aws/sam/build-python{THIS_PYTHON}" ]; do
              case "$1" in
                *:/asset-input*) input=${{1%%:*}} ;;
                *:/asset-output*) output=${{1%%:*}} ;;
              esac
              shift
            done
            shift; shift
            for argument; do
              shift
              case "$argument" in
                /asset-input) argument=$input ;;
                /asset-output) argument=$output ;;
              esac
              set -- "$@" "$argument"
            done
            exec {sys.executable} "$@"
        """),
    )
    app = textwrap.dedent(f"""\
        from pathlib import Path
        from aws_cdk import App, Stack, aws_lambda as lambda_
        from stripe_settlement.bundling.code import Installer, settlement_code
        app = App(outdir={str(tmp_path / "cdk.out")!r})
        runtime = lambda_.Runtime("python{THIS_PYTHON}")
        code = settlement_code(
            runtime=runtime, architecture=lambda_.Architecture.X86_64,
            installer=Installer.DOCKER, source=Path({str(source)!r}), cache=Path("never"))
        lambda_.Function(Stack(app, "S"), "F", code=code, handler="h.handler", runtime=runtime)
        app.synth()
    """)
    root = str(Path(build_asset.__file__).parents[2])
    subprocess.run(
        [sys.executable, "-c", app],
        env={**os.environ, "CDK_DOCKER": engine, "CDK_VALIDATION": "false", "PYTHONPATH": root},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=INSTALLATION_SECONDS,
    )

    (asset,) = (tmp_path / "cdk.out").glob("asset.*")
    assert files_of(asset) == files_of(make(precompile=Precompile.REQUIRED))
