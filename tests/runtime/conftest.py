from __future__ import annotations

import itertools
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from aws_cdk import DockerImage

from local.servers.mariadb import MariaDBServer
from stripe_settlement.bundling.build_asset import Target
from stripe_settlement.bundling.code import Precompile, shipped_source
from stripe_settlement.bundling.local import LocalBundling, default_cache
from tests.runtime.function import Function
from tests.support.cachao import Cachao
from tests.support.events import WEBHOOK_SECRET


@pytest.fixture(scope="session")
def task_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a deployed function finds in ``LAMBDA_TASK_ROOT``: the asset, through its zip."""
    made, unpacked = tmp_path_factory.mktemp("asset"), tmp_path_factory.mktemp("task")
    bundling = LocalBundling(
        source=shipped_source(),
        target=Target(
            python=f"{sys.version_info.major}.{sys.version_info.minor}", machine="x86_64"
        ),
        precompile=Precompile.WHEN_POSSIBLE,
        installer=None,
        cache=default_cache(),
    )
    assert bundling.try_bundle(str(made), image=DockerImage.from_registry("never-run"))
    archive = unpacked.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as zipped:
        for path in made.rglob("*"):
            # Every file is of 1980, as the CDK's own zips have it.
            if path.is_file():
                entry = zipfile.ZipInfo(path.relative_to(made).as_posix())
                zipped.writestr(entry, path.read_bytes())
    with zipfile.ZipFile(archive) as zipped:
        zipped.extractall(unpacked)
    return unpacked


@pytest.fixture(scope="session")
def cachao_of_all() -> Iterator[Cachao]:
    with MariaDBServer() as server:
        yield Cachao(server)


@pytest.fixture
def cachao(cachao_of_all: Cachao) -> Cachao:
    """The service's database, empty."""
    cachao_of_all.clear()
    return cachao_of_all


@pytest.fixture
def configuration(cachao: Cachao) -> dict[str, str]:
    """The variables of a function that is configured for the database; a test may change them."""
    return {
        **cachao.address.environment(),
        "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "STRIPE_LIVEMODE": "false",
    }


@pytest.fixture
def start(
    task_root: Path, configuration: dict[str, str], tmp_path: Path
) -> Iterator[Callable[..., Function]]:
    """Start a function: its handler's module, or the whole of ``_HANDLER``."""
    with ExitStack() as stack:
        outputs = (tmp_path / f"output-{number}" for number in itertools.count())

        def start_function(handler: str, *, task_root: Path = task_root) -> Function:
            function = Function(
                handler if "." in handler else f"{handler}.handler",
                task_root=task_root,
                configuration=configuration,
                output=next(outputs),
            )
            return stack.enter_context(function)

        yield start_function
