"""The examples of the README and of the guide to deploying are what others copy: they are run."""

import json
import re
from pathlib import Path

from aws_cdk import Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk.assertions import Template

from tests.infrastructure.environment_templates import environment_template
from tests.infrastructure.synthesis import new_app, payments_stack, secret_arn, template_of

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
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


def test_the_guides_environment_leaves_only_the_database_to_the_deployment() -> None:
    example = re.search(r"```json\n\"prod\": (?P<values>.*?)```", GUIDE, re.DOTALL)
    assert example is not None

    template = template_of(payments_stack("prod", **json.loads(example["values"])))

    assert template["Parameters"].keys() == {
        "BootstrapVersion",
        "DbHost",
        "DbName",
        "DbPort",
        "DbUser",
    }


def test_the_readme_is_read_in_one_go() -> None:
    assert len(README.splitlines()) <= 150


def test_every_parameter_and_output_of_the_guide_is_in_the_templates() -> None:
    named = set(re.findall(r"--parameters (\w+)=", GUIDE + README))
    outputs = set(re.findall(r"\$\(output (\w+)\)", GUIDE + README))
    templates = [environment_template(name) for name in ("dev", "prod")]

    assert named == {name for each in templates for name in each["Parameters"]} - {
        "BootstrapVersion",
        "DbPort",
    }
    assert outputs
    assert all(outputs <= each["Outputs"].keys() for each in templates)
