"""Functions' code as ours is, a package for it, and a way to make the asset as CDK has it made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from aws_cdk import DockerImage

from stripe_settlement.bundling.build_asset import Target
from stripe_settlement.bundling.local import Installer, LocalBundling, Precompile
from tests.support.bundling import THIS_PYTHON
from tests.support.wheel_index import Index

OWN_CACHE = Path("of each asset its own")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    folder = tmp_path / "index"
    folder.mkdir()
    for tool in ("PIP", "UV"):
        monkeypatch.setenv(f"{tool}_NO_INDEX", "1")
        monkeypatch.setenv(f"{tool}_FIND_LINKS", str(folder))
    return Index(folder)


@pytest.fixture
def source(tmp_path: Path, index: Index) -> Path:
    """Functions' code with everything that ours has, and one package."""
    index.wheel("payload")
    root = tmp_path / "functions"
    for path, text in {
        "eventbridge_handler.py": "import settlement\n",
        "settlement/__init__.py": "def settle():\n    return 'settled'\n",
        "settlement/sql/settle_order.sql": "SELECT 1\n",
        "settlement/bundle.pem": "-----BEGIN CERTIFICATE-----\n",
        "settlement/migrations/0001_settlements.sql": "CREATE TABLE settlements (id INT)\n",
        "requirements.in": "payload\n",
        "requirements.txt": index.lock("payload"),
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


@pytest.fixture
def no_other_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose only interpreter is the one that synthesises."""
    empty = tmp_path / "empty-path"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))


@pytest.fixture
def make(tmp_path: Path, source: Path) -> Callable[..., Path]:
    """Make an asset the way CDK has it made, each time in a folder of its own."""
    made = 0
    image = DockerImage.from_registry("never-run")  # here: jsii serves one thread at a time

    def make_asset(
        *,
        python: str = THIS_PYTHON,
        machine: str = "x86_64",
        precompile: Precompile = Precompile.NEVER,
        installer: Installer | None = None,
        cache: Path | None = OWN_CACHE,
    ) -> Path:
        nonlocal made
        made += 1
        output = tmp_path / f"output-{made}"
        output.mkdir()
        bundling = LocalBundling(
            source=source,
            target=Target(python=python, machine=machine),
            precompile=precompile,
            installer=installer,
            cache=tmp_path / f"cache-{made}" if cache is OWN_CACHE else cache,
        )
        assert bundling.try_bundle(str(output), image=image)
        return output

    return make_asset
