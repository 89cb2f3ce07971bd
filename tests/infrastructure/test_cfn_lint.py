"""cfn-lint, which knows what CloudFormation accepts, has nothing to say about our templates."""

import json
from typing import Final

import pytest
from aws_cdk import Stack
from cfnlint.api import lint  # type: ignore[import-untyped]
from cfnlint.config import ManualArgs  # type: ignore[import-untyped]

from tests.infrastructure.environment_templates import ENVIRONMENTS, environment_template
from tests.infrastructure.synthesis import TemplateJson, any_secret, new_app, settle, template_of

IGNORED: Final = {
    "I1022": "The CDK joins with Fn::Join where a person would write Fn::Sub.",
    "W3005": "The CDK has a function depend on its whole role, of which the ARN is a part; the "
    "role's policies are the other part, and those no GetAtt enforces.",
}
"""Rules that judge a template as if a person had written it, and why each does not hold here."""


@pytest.fixture(params=[*ENVIRONMENTS, "a stranger's stack", "a stranger's stack with a key"])
def template(request: pytest.FixtureRequest) -> TemplateJson:
    if request.param in ENVIRONMENTS:
        return environment_template(request.param)
    stack = Stack(new_app(), "Shop")
    keys = {
        "stripe_api_key_secret": any_secret(stack),
        "thin_events_key_secret": any_secret(stack, "ThinEventsKey"),
    }
    with_a_key = request.param == "a stranger's stack with a key"
    settle(stack, **(keys if with_a_key else {}))
    return template_of(stack)


def test_template_is_free_of_errors_and_warnings(template: TemplateJson) -> None:
    strict = ManualArgs(regions=["eu-west-1"], include_checks=["I"], ignore_checks=sorted(IGNORED))
    found = lint(json.dumps(template), config=strict)
    assert [f"{match.rule.id} {match.path}: {match.message}" for match in found] == []
