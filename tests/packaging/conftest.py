"""The package as others get it: built from this checkout, installed in a fresh environment."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.waiting import INSTALLATION_SECONDS

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, the wheel made from it, and in `direct` the wheel from the checkout."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", str(CHECKOUT), "--outdir"]
    run(*build, str(folder))
    run(*build, str(folder / "direct"), "--wheel")
    return folder


@pytest.fixture(scope="session")
def wheel(built: Path) -> Path:
    """The wheel that is published."""
    (wheel,) = built.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository whose one commit is this checkout as it stands."""
    clone = tmp_path_factory.mktemp("repository")
    listed = run("git", "ls-files", "-z", "-co", "--exclude-standard", cwd=CHECKOUT)
    for name in filter(None, listed.split("\0")):
        if (CHECKOUT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(CHECKOUT / name, clone / name)
    run("git", "init", "--quiet", cwd=clone)
    run("git", "add", "--all", cwd=clone)
    author = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
    run("git", *author, "commit", "--quiet", "--no-gpg-sign", "-m", "checkout", cwd=clone)
    return clone


@pytest.fixture
def install(tmp_path: Path) -> Callable[..., Path]:
    """Install into a fresh environment that has our dependencies but not us; answer its Python."""

    def install_into_fresh_environment(*what: str) -> Path:
        environment = tmp_path / "venv"
        venv.create(environment, symlinks=True)
        python = environment / "bin" / "python"
        (site_packages,) = environment.glob("lib/python*/site-packages")
        # Instead of downloading aws-cdk-lib again: where this environment keeps its packages.
        (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
        run(*pip, "--no-index", "--no-deps", "--no-build-isolation", "--force-reinstall", *what)
        return python

    return install_into_fresh_environment


def run(*command: str, cwd: Path | None = None, **environment: str) -> str:
    """Run a program away from this checkout; its output, or a failure that shows what it said."""
    done = subprocess.run(
        command,
        cwd=cwd or Path(sys.prefix),
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALLATION_SECONDS,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout
