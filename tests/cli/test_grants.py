"""Whoever has the construct's grants may make every call to AWS that the commands make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam

from stripe_settlement_cli.aws import Clients
from stripe_settlement_cli.cli import main
from tests.cli.conftest import Ended
from tests.cli.stand_in import StandIn
from tests.infrastructure.synthesis import resources, settle, template_of

pytestmark = pytest.mark.xdist_group("cli")

PERMISSIONS = {
    "lambda:Invoke": "lambda:InvokeFunction",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
}
"""Of the operations whose permission has another name ("Service Authorization Reference")."""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The permissions that the calls of a command need, as they are made."""
    needed: set[str] = set()
    client = Clients.client

    def recording(clients: Clients, service: str, **config: Any) -> Any:
        made = client(clients, service, **config)

        def record(model: Any, **_: object) -> None:
            action = "apigateway:GET" if service == "apigateway" else f"{service}:{model.name}"
            needed.add(PERMISSIONS.get(action, action))

        made.meta.events.register(f"before-call.{service}", record)
        return made

    monkeypatch.setattr(Clients, "client", recording)
    return needed


@pytest.fixture(scope="module")
def granted() -> dict[str, set[str]]:
    """The actions that each grant allows."""
    found = {}
    for grant in ("grant_observe", "grant_redrive", "grant_resolve"):
        stack = cdk.Stack(cdk.App(), "Any")
        role = iam.Role(stack, "Operator", assumed_by=iam.AccountRootPrincipal())
        getattr(settle(stack), grant)(role)
        found[grant] = {
            action
            for name, policy in resources(template_of(stack), "AWS::IAM::Policy").items()
            if name.startswith("Operator")
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]
            for action in _list(statement["Action"])
        }
    return found


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


@pytest.mark.parametrize(
    ("arguments", "grants"),
    [
        (("doctor",), ["grant_observe"]),
        (("explain", "4711"), ["grant_observe", "grant_redrive"]),
        (("redrive",), ["grant_redrive"]),
        (("redrive", "--dry-run"), ["grant_redrive"]),
    ],
    ids=["doctor", "explain", "redrive", "dry run"],
)
def test_every_call_of_a_command_is_granted(
    own_stack: StandIn,
    run: Callable[..., Ended],
    calls: set[str],
    granted: dict[str, set[str]],
    arguments: tuple[str, ...],
    grants: list[str],
) -> None:
    own_stack.failed()

    main([*arguments, "--stack", own_stack.name])

    assert len(calls) > 3
    assert calls - set[str]().union(*(granted[each] for each in grants)) == set()
