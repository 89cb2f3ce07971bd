"""`stripe-settlement doctor` on the deployed app: all well, and what `--revert-drift` mends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from local.cloud import STACK, LocalCloud
from local.servers.cdk import REPOSITORY
from local.waiting import wait_for
from tests.e2e.conftest import TIMING

pytestmark = pytest.mark.xdist_group("e2e")


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    """A cloud in which no other test has left an anomaly or an order, which doctor would name."""
    with LocalCloud(timing=TIMING) as cloud:
        yield cloud


def doctor(cloud: LocalCloud, *arguments: str) -> dict[str, str]:
    """Run the command without a stack's name. Return the state of every line that is not well."""
    done = subprocess.run(
        [sys.executable, "-m", "stripe_settlement_cli", "doctor", "--json", *arguments],
        cwd=REPOSITORY,
        env=cloud.aws.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    document = json.loads(done.stdout)
    assert (document["stack"], document["mode"]) == (STACK, "TEST"), done.stderr
    return {
        each["check"]: each["state"]
        for each in document["checks"]
        if each["state"] in ("broken", "unknown")
    }


def wait_until_well(cloud: LocalCloud) -> None:
    """Wait until nothing is left to mend; an alarm of what was before clears after its period."""
    wait_for(
        lambda: doctor(cloud) == {} or None,
        "doctor to find everything well",
        seconds=60.0,
    )


def test_deployed_app_is_all_well_from_its_event_source_to_who_is_notified(
    cloud: LocalCloud,
) -> None:
    wait_until_well(cloud)


def test_webhook_is_probed_where_it_is(cloud: LocalCloud) -> None:
    wait_until_well(cloud)

    # Its forged request may set off the alarm on signature failures, which is another line.
    assert "probe" not in doctor(cloud, "--probe", cloud.addresses.webhook_url)


def delete_event_function(cloud: LocalCloud) -> None:
    cloud.aws.client("lambda").delete_function(FunctionName=cloud.addresses.event_function)


def delete_webhook_function(cloud: LocalCloud) -> None:
    cloud.aws.client("lambda").delete_function(FunctionName=cloud.addresses.webhook_function)


def disable_rule(cloud: LocalCloud) -> None:
    cloud.aws.client("events").disable_rule(
        Name=cloud.addresses.event_rule_arn.rpartition("/")[2],
        EventBusName=cloud.addresses.event_bus,
    )


@pytest.mark.parametrize(
    ("damage", "lines"),
    [
        (delete_event_function, {"event_function", "event_permission", "event_failures"}),
        (delete_webhook_function, {"webhook_function", "webhook_permission", "webhook_failures"}),
        (disable_rule, {"rule"}),
    ],
)
def test_what_was_changed_by_hand_is_seen_until_the_mend_it_names_has_run(
    cloud: LocalCloud, damage: Callable[[LocalCloud], None], lines: set[str]
) -> None:
    damage(cloud)
    damaged = doctor(cloud)

    cloud.cdk.deploy(STACK, {}, revert_drift=True)

    assert lines <= damaged.keys()
    assert all(damaged[each] == "broken" for each in lines)
    wait_until_well(cloud)
