"""The README's example is what another team copies: it is run as it stands there."""

import re
from pathlib import Path

from aws_cdk import Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk.assertions import Template

from tests.infrastructure.synthesis import new_app, secret_arn

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
EXAMPLE = re.search(r"```python\n(?P<code>.*?)```", README, re.DOTALL)


def test_the_example_settles_in_another_teams_stack() -> None:
    stack = Stack(new_app({}), "AnotherTeam")
    vpc = ec2.Vpc(stack, "Vpc")
    names = {
        "self": stack,
        "vpc": vpc,
        "db_secret_arn": secret_arn("db"),
        "stripe_secret_arn": secret_arn("stripe"),
    }
    assert EXAMPLE is not None
    exec(compile(EXAMPLE["code"], "README.md", "exec"), names)

    template = Template.from_stack(stack)
    template.resource_count_is("AWS::Events::Rule", 1)
    template.resource_count_is("AWS::ApiGateway::RestApi", 1)


def test_the_construct_takes_fewer_than_ten_lines() -> None:
    assert EXAMPLE is not None
    lines = [line for line in EXAMPLE["code"].splitlines() if "import" not in line and line.strip()]
    assert len(lines) < 10
