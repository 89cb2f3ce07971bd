"""AWS's rules for a sound account and for serverless find nothing that nobody has answered.

A finding is answered on the one resource it is about, with a reason that says why the rule does not
hold there. An answer higher up would also silence the next resource, which nobody has looked at.
"""

from collections.abc import Iterator

import pytest
from aws_cdk import App, CfnResource, Stack, Validations
from cdk_nag import AwsSolutionsChecks, NagPack, ServerlessChecks
from constructs import IConstruct

from stripe_settlement import EventSettings, OnSaleQueueSettings, SettlementSettings
from tests.infrastructure.environment_templates import ENVIRONMENTS
from tests.infrastructure.synthesis import any_secret, new_app, payments_stack, settle


@pytest.fixture(
    scope="module",
    params=[
        *ENVIRONMENTS,
        "a stranger's stack",
        "a stranger's stack with a key",
        "a stranger's stack in on-sale mode",
    ],
)
def app(request: pytest.FixtureRequest) -> App:
    """An app after synthesis, when aspects and late-rendered resources are in the tree."""
    if request.param in ENVIRONMENTS:
        stack: Stack = payments_stack(request.param)
    else:
        stack = Stack(new_app(), "Shop")
        keys = {
            "stripe_api_key_secret": any_secret(stack),
            "thin_events_key_secret": any_secret(stack, "ThinEventsKey"),
        }
        with_a_key = request.param == "a stranger's stack with a key"
        on_sale = SettlementSettings(events=EventSettings(queue=OnSaleQueueSettings()))
        settle(
            stack,
            settings=on_sale if request.param == "a stranger's stack in on-sale mode" else None,
            **(keys if with_a_key else {}),
        )
    app = stack.node.root
    assert isinstance(app, App)
    app.synth()
    return app


def findings(pack: NagPack, app: App) -> list[str]:
    return [
        f"{violation.rule_name} at {resource.construct_path}"
        for violation in pack.validate_scope(app).violations
        for resource in violation.violating_resources
    ]


def acknowledgments(app: App) -> Iterator[tuple[IConstruct, str, str]]:
    """Every construct with an answer: the rule's id and the reason."""
    for construct in app.node.find_all():
        for entry in construct.node.metadata:
            if entry.type == Validations.ACKNOWLEDGED_RULES_METADATA_KEY:
                for rule, reason in entry.data.items():
                    yield construct, rule, reason


@pytest.mark.parametrize("pack", [AwsSolutionsChecks, ServerlessChecks])
def test_every_finding_is_acknowledged(app: App, pack: type[NagPack]) -> None:
    assert findings(pack(app), app) == []


def test_every_acknowledgment_stands_on_one_resource(app: App) -> None:
    elsewhere = [
        f"{rule} at {construct.node.path or 'the app'}"
        for construct, rule, _ in acknowledgments(app)
        if not isinstance(construct, CfnResource)
        and not isinstance(construct.node.default_child, CfnResource)
    ]
    assert elsewhere == []


def test_every_acknowledgment_gives_a_reason(app: App) -> None:
    terse = [
        f"{rule} at {construct.node.path}: {reason}"
        for construct, rule, reason in acknowledgments(app)
        if len(reason.split()) < 8
    ]
    assert terse == []
