"""What is published, and that another team's application gets from it what we have here."""

import json
import shutil
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.packaging.conftest import CHECKOUT, run
from tests.support.waiting import INSTALLATION_SECONDS

APP = textwrap.dedent("""\
    import json
    import sys

    import aws_cdk as cdk
    from aws_cdk import aws_secretsmanager as secretsmanager
    from stacks.orders_stack import OrdersStack

    import stripe_settlement
    from stripe_settlement import DatabaseConnection, StripeSettlement

    app = cdk.App(outdir=sys.argv[1])
    stack = OrdersStack(app, "Orders")
    secret = secretsmanager.Secret(stack, "DatabaseSecret")
    StripeSettlement(
        stack,
        "StripeSettlement",
        livemode=False,
        database=DatabaseConnection(host="db.example.com", name="orders", secret=secret),
        stripe_secret=secretsmanager.Secret(stack, "StripeSecret"),
    )
    template = app.synth().get_stack_by_name("Orders").template
    print(json.dumps({
        "package": stripe_settlement.__file__,
        "keys": {
            resource["Properties"]["Handler"]: resource["Properties"]["Code"]["S3Key"]
            for resource in template["Resources"].values()
            if resource["Type"] == "AWS::Lambda::Function"
        },
    }))
""")
HANDLERS = ["eventbridge_handler.handler", "webhook_handler.handler", "migration_handler.handler"]


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another team's application, with folders of its own that are called what ours are called."""
    app = tmp_path_factory.mktemp("stranger")
    for name, text in {
        "app.py": APP,
        "cdk.json": json.dumps({"app": "python app.py"}),
        "stacks/__init__.py": "",
        "stacks/orders_stack.py": "from aws_cdk import Stack as OrdersStack\n",
        "lambdas/requirements.txt": "theirs==1.0\n",
        "lambdas/settlement/__init__.py": "raise AssertionError('not ours')\n",
        "lambdas/eventbridge_handler.py": "raise AssertionError('not ours')\n",
    }.items():
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text(text)
    return app


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory, stranger: Path) -> dict[str, Any]:
    """What the same application gets from this checkout."""
    out = tmp_path_factory.mktemp("ours")
    return synthesise(stranger, Path(sys.executable), out, PYTHONPATH=str(CHECKOUT))


def synthesise(app: Path, python: Path, out: Path, **environment: str) -> dict[str, Any]:
    """Synthesise the stranger's application: where it found us, and the key of each handler."""
    environment["CDK_VALIDATION"] = "false"  # slow, and not what is asked here
    answer = run(str(python), "app.py", str(out), cwd=app, **environment)
    described: dict[str, Any] = json.loads(answer.splitlines()[-1])
    return described


def contents(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as wheel:
        return {name: wheel.read(name) for name in wheel.namelist()}


def test_wheel_holds_the_construct_and_the_command_line_and_nothing_of_ours_beside_it(
    wheel: Path,
) -> None:
    top = {name.split("/")[0] for name in contents(wheel)}

    metadata = f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"
    assert top == {"stripe_settlement", "stripe_settlement_cli", metadata}


def test_wheel_is_typed(wheel: Path) -> None:
    assert "stripe_settlement/py.typed" in contents(wheel)


def test_wheel_holds_the_functions_code_as_it_is_here(wheel: Path) -> None:
    prefix = "stripe_settlement/_lambdas/"
    shipped = {
        name.removeprefix(prefix): data
        for name, data in contents(wheel).items()
        if name.startswith(prefix)
    }

    listed = run("git", "ls-files", "-co", "--exclude-standard", "lambdas", cwd=CHECKOUT)
    assert shipped == {
        name.removeprefix("lambdas/"): (CHECKOUT / name).read_bytes()
        for name in listed.splitlines()
    }


def test_wheel_from_the_sdist_is_the_wheel_from_the_checkout(built: Path, wheel: Path) -> None:
    assert contents(wheel) == contents(built / "direct" / wheel.name)


@pytest.mark.parametrize("way", ["wheel", "git", "editable"])
def test_another_teams_app_gets_the_asset_that_the_checkout_makes(
    tmp_path: Path,
    stranger: Path,
    wheel: Path,
    repository: Path,
    install: Callable[..., Path],
    ours: dict[str, Any],
    way: str,
) -> None:
    what = {
        "wheel": (str(wheel),),
        "git": (f"git+file://{repository}",),
        "editable": ("--editable", str(repository)),
    }
    python = install(*what[way])

    theirs = synthesise(stranger, python, tmp_path / "theirs")

    home = repository if way == "editable" else python.parents[1]
    assert Path(theirs["package"]).is_relative_to(home)
    assert Path(ours["package"]).is_relative_to(CHECKOUT)
    keys = {theirs["keys"][handler] for handler in HANDLERS}
    assert keys == {ours["keys"][handler] for handler in HANDLERS}
    (key,) = keys
    asset = tmp_path / "theirs" / f"asset.{Path(key).stem}"
    assert (asset / "settlement/sql/settle_order.sql").is_file()
    assert "not ours" not in (asset / "eventbridge_handler.py").read_text()


def test_installed_wheel_brings_the_command_with_its_version(
    wheel: Path, install: Callable[..., Path]
) -> None:
    python = install(str(wheel))

    reported = run(str(python.with_name("stripe-settlement")), "--version")

    assert reported.split() == ["stripe-settlement", wheel.name.split("-")[1]]


def test_copied_folder_does_not_ship_its_new_neighbours_code(
    tmp_path: Path, stranger: Path
) -> None:
    app = shutil.copytree(stranger, tmp_path / "app")
    shutil.copytree(CHECKOUT / "stripe_settlement", app / "stripe_settlement")

    refused = subprocess.run(
        [sys.executable, "app.py", tmp_path / "out"],
        cwd=app,
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALLATION_SECONDS,
    )

    assert "Install the package with pip" in refused.stderr
