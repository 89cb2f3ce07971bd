"""A machine without a home, and settings of the installers that are about something else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stripe_settlement.bundling import build_asset
from stripe_settlement.bundling.code import BundlingError, Installer
from stripe_settlement.bundling.local import default_cache
from tests.support.bundling import THIS_PYTHON, files_of, without

ROOT = Path(build_asset.__file__).parents[2]
LOCAL_INSTALLERS = [Installer.UV, Installer.PIP]


@pytest.fixture
def unusable_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home that nothing can be read from or written to, for root as well."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "UV_CACHE_DIR", "PIP_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("unusable_home")
@pytest.mark.parametrize("installer", LOCAL_INSTALLERS)
def test_home_that_cannot_be_used_is_done_without(
    make: Callable[..., Path], installer: Installer
) -> None:
    asset = make(installer=installer, cache=default_cache())

    assert (asset / "payload/__init__.py").exists()


def test_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)

    assert default_cache() is None


def test_asset_is_made_without_a_cache(make: Callable[..., Path]) -> None:
    assert (make(cache=None) / "payload/__init__.py").exists()


def test_cache_that_may_not_be_looked_into_is_done_without(
    tmp_path: Path, make: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may look everywhere, so the refusal is played."""
    cache, stat = tmp_path / "cache", os.stat

    def refuse(path: str | Path, *arguments: object, **options: bool) -> os.stat_result:
        if str(path).startswith(str(cache)):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", refuse)

    assert (make(cache=cache) / "payload/__init__.py").exists()


@pytest.mark.parametrize("installer", LOCAL_INSTALLERS)
def test_settings_of_the_installers_change_nothing(
    tmp_path: Path,
    make: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    installer: Installer,
) -> None:
    expected = files_of(make(installer=installer))
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("payload==9.9\n")
    for name, value in {
        "PIP_USER": "1",
        "PIP_CONSTRAINT": str(constraints),
        "PIP_PREFIX": str(tmp_path / "elsewhere"),
        "PIP_REQUIRE_VIRTUALENV": "1",
        "UV_CONSTRAINT": str(constraints),
        "UV_OVERRIDE": str(constraints),
        "UV_EXCLUDE_NEWER": "2001-01-01",
        "UV_NO_BINARY": "1",
    }.items():
        monkeypatch.setenv(name, value)

    assert files_of(make(installer=installer)) == expected


@pytest.mark.parametrize("place", ["working folder", "above the output"])
def test_project_with_settings_of_its_own_for_uv_changes_nothing(
    tmp_path: Path, make: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    project = tmp_path / "project" if place == "working folder" else tmp_path
    project.mkdir(exist_ok=True)
    (project / "pyproject.toml").write_text(
        '[project]\nname = "shop"\nversion = "1"\n'
        '[tool.uv]\nrequired-version = "==0.0.1"\nconstraint-dependencies = ["payload==9.9"]\n'
    )
    monkeypatch.chdir(project)

    assert (make(installer=Installer.UV) / "payload/__init__.py").exists()


def test_variables_that_say_where_packages_come_from_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = {
        "PIP_INDEX_URL",
        "PIP_EXTRA_INDEX_URL",
        "PIP_FIND_LINKS",
        "PIP_TRUSTED_HOST",
        "PIP_CERT",
        "PIP_PROXY",
        "PIP_CONFIG_FILE",
        "UV_INDEX",
        "UV_DEFAULT_INDEX",
        "UV_INDEX_SHOP_PASSWORD",
        "UV_KEYRING_PROVIDER",
        "UV_NATIVE_TLS",
        "UV_HTTP_TIMEOUT",
    }
    for name in kept:
        monkeypatch.setenv(name, "x")

    assert kept <= build_asset.installers_environment().keys()


@pytest.mark.usefixtures("no_other_python")
def test_the_hint_of_the_errors_synthesises_without_the_asset_under_the_cdk_cli(
    tmp_path: Path, make: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CLI hands its own list of stacks to bundle over as CDK_CONTEXT_JSON."""
    without("uv", "pip", monkeypatch=monkeypatch)
    with pytest.raises(BundlingError) as raised:
        make()
    monkeypatch.undo()
    hint = re.search(r"App\(post_cli_context=.*?\)", str(raised.value))
    assert hint
    app = f"""
from pathlib import Path
from aws_cdk import App, Stack, aws_lambda as lambda_
from stripe_settlement.bundling.code import Installer, settlement_code
app = {hint[0]}
runtime = lambda_.Runtime("python{THIS_PYTHON}")
source = Path("source")
source.mkdir()
(source / "requirements.txt").write_text("nothing==1 --hash=sha256:{"0" * 64}")
code = settlement_code(
    runtime=runtime, architecture=lambda_.Architecture.X86_64, source=source,
    installer=Installer.PIP)
lambda_.Function(Stack(app, "S"), "F", code=code, handler="h.handler", runtime=runtime)
app.synth()
"""
    subprocess.run(
        [sys.executable, "-c", app],
        env={
            **os.environ,
            "CDK_CONTEXT_JSON": '{"aws:cdk:bundling-stacks": ["**"]}',
            "CDK_VALIDATION": "false",
            "PIP_NO_INDEX": "1",
            "PYTHONPATH": str(ROOT),
        },
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=120,
    )
