"""What the packages are resolved for, and what of them is shipped."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from aws_cdk import aws_lambda as lambda_

from stripe_settlement.bundling.build_asset import BuildError
from stripe_settlement.bundling.code import BundlingError, Installer, Precompile, settlement_code
from tests.support.bundling import OTHER_PYTHON, THIS_PYTHON, files_of
from tests.support.wheel_index import Index

LOCAL_INSTALLERS = [Installer.UV, Installer.PIP]


@pytest.mark.parametrize("installer", LOCAL_INSTALLERS)
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_packages_are_resolved_for_the_functions_platform_and_python(
    source: Path, index: Index, make: Callable[..., Path], installer: Installer, machine: str
) -> None:
    for python in (THIS_PYTHON, OTHER_PYTHON):
        cp = f"cp{python.replace('.', '')}"
        for platform in ("manylinux2014_x86_64", "manylinux2014_aarch64", "macosx_11_0_arm64"):
            index.wheel("compiled", tag=f"{cp}-{cp}-{platform}")
    (source / "requirements.txt").write_text(index.lock("compiled"))

    asset = make(python=OTHER_PYTHON, machine=machine, installer=installer)

    cp = f"cp{OTHER_PYTHON.replace('.', '')}"
    module = (asset / "compiled/__init__.py").read_text()
    assert module == f"TAG = '{cp}-{cp}-manylinux2014_{machine}'\n"


def test_uv_and_pip_make_the_same_asset(make: Callable[..., Path]) -> None:
    assert files_of(make(installer=Installer.UV)) == files_of(make(installer=Installer.PIP))


@pytest.mark.parametrize("installer", LOCAL_INSTALLERS)
def test_source_distribution_is_refused(
    source: Path, index: Index, make: Callable[..., Path], installer: Installer
) -> None:
    (index.folder / "sourceonly-1.0.tar.gz").write_bytes(b"never opened")
    (source / "requirements.txt").write_text(index.lock("sourceonly"))

    with pytest.raises(BundlingError, match=r"sourceonly[\s\S]*Allowed are the wheels"):
        make(installer=installer)


@pytest.mark.parametrize("installer", LOCAL_INSTALLERS)
def test_package_with_another_hash_is_refused(
    source: Path, make: Callable[..., Path], installer: Installer
) -> None:
    (source / "requirements.txt").write_text(f"payload==1.0 --hash=sha256:{'0' * 64}\n")

    with pytest.raises(BundlingError, match=r"(?i)hash"):
        make(installer=installer)


@pytest.mark.parametrize("installer", LOCAL_INSTALLERS)
def test_package_without_hash_is_refused(
    source: Path, make: Callable[..., Path], installer: Installer
) -> None:
    (source / "requirements.txt").write_text("payload==1.0\n")

    with pytest.raises(BundlingError, match=r"(?i)hash"):
        make(installer=installer)


@pytest.mark.parametrize("name", ["nodejs24.x", "python3.10", "python2.7", "provided.al2023"])
def test_runtime_the_functions_cannot_run_on_is_refused(name: str) -> None:
    with pytest.raises(BundlingError, match=r"python3\.11 or newer"):
        settlement_code(runtime=lambda_.Runtime(name), architecture=lambda_.Architecture.X86_64)


def test_unknown_architecture_is_refused() -> None:
    with pytest.raises(BundlingError, match="allowed are x86_64 and arm64"):
        settlement_code(
            runtime=lambda_.Runtime.PYTHON_3_14,
            architecture=lambda_.Architecture.custom("riscv64"),
        )


def test_asset_holds_the_functions_files_and_their_packages(make: Callable[..., Path]) -> None:
    assert set(files_of(make())) == {
        "eventbridge_handler.py",
        "requirements.txt",
        "settlement/__init__.py",
        "settlement/bundle.pem",
        "settlement/migrations/0001_settlements.sql",
        "settlement/sql/settle_order.sql",
        "payload/__init__.py",
        "payload-1.0.dist-info/METADATA",
        "payload-1.0.dist-info/WHEEL",
    }


def test_what_the_functions_never_use_is_left_out(
    source: Path, index: Index, make: Callable[..., Path]
) -> None:
    index.wheel("requests")
    index.wheel("stripe", _webhook="VERIFY = 1\n", params___charge="CHARGE = 1\n")
    (source / "requirements.txt").write_text(index.lock("requests", "stripe"))

    asset = make()

    shipped = {path.split("/")[0] + "/" for path in files_of(asset) if "/" in path}
    assert shipped == {"settlement/", "stripe/", "stripe-1.0.dist-info/"}
    assert {path.name for path in (asset / "stripe").iterdir()} == {"__init__.py", "_webhook.py"}


def test_lambda_may_read_every_file_whatever_the_umask(make: Callable[..., Path]) -> None:
    umask = os.umask(0o077)
    try:
        asset = make(precompile=Precompile.WHEN_POSSIBLE)
    finally:
        os.umask(umask)

    modes = {path.stat().st_mode & 0o777 for path in asset.rglob("*") if path.is_file()}
    assert modes == {0o644}


def test_file_that_would_hide_a_package_is_refused(source: Path, make: Callable[..., Path]) -> None:
    (source / "payload").mkdir()
    (source / "payload/__init__.py").touch()

    with pytest.raises(BuildError, match=r"payload/__init__\.py comes from a package"):
        make()
