"""The asset that is deployed: our functions with their real packages, as Lambda would run them."""

import hashlib
import hmac
import json
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from aws_cdk import DockerImage

from local.fake_stripe.server import StripeServer
from stripe_settlement.bundling import build_asset
from stripe_settlement.bundling.build_asset import EXCLUDED, Target
from stripe_settlement.bundling.code import Installer, Precompile, shipped_source
from stripe_settlement.bundling.local import LocalBundling, default_cache, find_installer
from tests.support.bundling import THIS_PYTHON, files_of
from tests.support.stripe_server import partner_events, stripe_server
from tests.support.waiting import INSTALLATION_SECONDS

__all__ = ["partner_events", "stripe_server"]

TEN_MEGABYTES = 10_000_000
LOCK = shipped_source() / "requirements.txt"


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    def make_asset(
        *,
        python: str = THIS_PYTHON,
        machine: str = "x86_64",
        installer: Installer | None = None,
        cache: Path | None = None,
    ) -> Path:
        output = tmp_path_factory.mktemp("asset")
        bundling = LocalBundling(
            source=shipped_source(),
            target=Target(python=python, machine=machine),
            precompile=Precompile.WHEN_POSSIBLE,
            installer=installer,
            cache=cache or default_cache(),
        )
        assert bundling.try_bundle(str(output), image=DockerImage.from_registry("never-run"))
        return output

    return make_asset


@pytest.fixture(scope="module")
def asset(make: Callable[..., Path]) -> Path:
    """The asset for this interpreter, so that it runs here, with bytecode: the larger kind."""
    return make()


def run_in(asset: Path, program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program that has the standard library and the asset, and no other package."""
    return subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", f"import sys; sys.path[:0] = ['.']\n{program}"],
        cwd=asset,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=INSTALLATION_SECONDS,
    )


def test_zip_is_under_ten_megabytes(tmp_path: Path, asset: Path) -> None:
    archive = tmp_path / "asset.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in asset.rglob("*"):
            zipped.write(path, path.relative_to(asset))

    assert list(asset.rglob("*.pyc"))
    assert archive.stat().st_size < TEN_MEGABYTES


@pytest.mark.parametrize("module", sorted(path.stem for path in shipped_source().glob("*.py")))
def test_handler_needs_no_package_that_is_not_in_the_asset(asset: Path, module: str) -> None:
    done = run_in(asset, f"import {module}; print(callable({module}.handler))")

    assert done.stdout == "True\n"


def test_webhook_responds_and_reports_with_the_packages_that_are_shipped(asset: Path) -> None:
    """A forged signature takes the whole path: stripe's library, then a log line, then metrics."""
    request = {
        "httpMethod": "POST",
        "headers": {"Stripe-Signature": f"t={int(time.time())},v1={'0' * 64}"},
        "body": "{}",
        "isBase64Encoded": False,
    }
    context = "type('Context', (), {'get_remaining_time_in_millis': lambda self: 29000})()"

    done = run_in(
        asset,
        f"import webhook_handler; print(webhook_handler.handler({request}, {context}))",
        DB_HOST="db.example.com",
        DB_NAME="cachao",
        DB_USER="settlement",
        DB_PASSWORD="any",
        STRIPE_WEBHOOK_SECRET="whsec_any",
    )

    metrics, log, response = done.stdout.splitlines()
    assert json.loads(log)["outcome"] == "unauthenticated"
    assert json.loads(metrics)["Unauthenticated"] == [1.0]
    assert "'statusCode': 400" in response


def test_trimmed_stripe_verifies_a_signature_and_rejects_a_forged_one(asset: Path) -> None:
    timestamp = int(time.time())
    signature = hmac.new(b"whsec_any", f"{timestamp}.{{}}".encode(), hashlib.sha256).hexdigest()
    program = """\
from stripe import SignatureVerificationError, WebhookSignature
print(WebhookSignature.verify_header("{}", sys.stdin.readline(), "whsec_any", 300))
try:
    WebhookSignature.verify_header("[]", sys.stdin.readline(), "whsec_any", 300)
except SignatureVerificationError as error:
    print("refused", bool(str(error)))
"""
    header = f"t={timestamp},v1={signature}"
    program = program.replace("sys.stdin.readline()", repr(header))

    assert run_in(asset, program).stdout == "True\nrefused True\n"


def test_trimmed_stripe_creates_finds_and_deletes_what_a_deployment_needs(
    asset: Path, stripe_server: StripeServer
) -> None:
    program = """\
import os
from settlement.adapters.stripe_api import open_stripe
stripe = open_stripe(os.environ["KEY"], livemode=False)
types = {"enabled_events": ["checkout.session.completed"]}
destination = {
    "name": "any",
    "type": "amazon_eventbridge",
    "event_payload": "snapshot",
    "snapshot_api_version": "2026-10-28.endive",
    "amazon_eventbridge": {"aws_account_id": "111122223333", "aws_region": "eu-west-1"},
}
for objects, wanted in (
    (stripe.v1.webhook_endpoints, {"url": "https://example.com"}),
    (stripe.v2.core.event_destinations, destination),
):
    made = objects.create({**wanted, **types})
    found = [each.id for each in objects.list({"limit": 100}).auto_paging_iter()]
    objects.update(made.id, {"description": "any"})
    objects.delete(made.id)
    print(type(made).__name__, found == [made.id])
"""

    key = stripe_server.account.test_key
    told = run_in(asset, program, STRIPE_API_BASE=stripe_server.url, KEY=key)

    assert told.stdout.splitlines() == ["WebhookEndpoint True", "EventDestination True"]
    assert stripe_server.account.test.webhook_endpoints == {}
    assert stripe_server.account.test.destinations == {}


def test_every_rule_for_leaving_out_still_matches_something(tmp_path: Path) -> None:
    installer = find_installer(Installer.UV)
    assert installer
    command = build_asset.install_command(
        installer,
        requirements=LOCK,
        target=Target(python=THIS_PYTHON, machine="x86_64"),
        into=tmp_path,
    )
    subprocess.run(
        command,
        check=True,
        timeout=INSTALLATION_SECONDS,
    )

    _installers_own, *ours = EXCLUDED
    assert [p for rule in ours for p in rule.paths if not list(tmp_path.glob(p))] == []


def test_uv_and_pip_make_the_same_asset_of_the_real_lock(
    tmp_path: Path, make: Callable[..., Path]
) -> None:
    with_uv = make(installer=Installer.UV, cache=tmp_path / "uv")
    with_pip = make(installer=Installer.PIP, cache=tmp_path / "pip")

    assert files_of(with_uv) == files_of(with_pip)


def test_nothing_in_the_asset_is_compiled_for_one_machine(asset: Path) -> None:
    assert not [path for path in asset.rglob("*") if path.suffix in (".so", ".pyd", ".dylib")]


def test_asset_leaves_boto_to_the_lambda_runtime(asset: Path) -> None:
    assert not list(asset.glob("boto*"))


def test_lock_means_the_same_to_every_installer() -> None:
    """pip judges an environment marker by the machine that it runs on, so the lock has none."""
    pins = [line for line in LOCK.read_text().splitlines() if re.match(r"[\w-]", line)]

    assert pins
    assert [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.]+ \\", pin)] == []


def test_lock_pins_what_the_functions_ask_for() -> None:
    asked, pinned = (
        set(re.findall(r"^\w\S*", path.read_text(), re.MULTILINE))
        for path in (LOCK.with_suffix(".in"), LOCK)
    )

    assert asked
    assert asked <= pinned
