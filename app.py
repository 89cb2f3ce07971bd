"""The composition root: reads the context, builds the stack of one environment, nothing else."""

import os

import aws_cdk as cdk

from stacks.environments import read_environment
from stacks.payments_stack import PaymentsStack

app = cdk.App()
environment = read_environment(
    app.node.try_get_context("environment") or "dev", app.node.try_get_context("environments")
)
PaymentsStack(
    app,
    f"cachao-payments-{environment.name}",
    environment=environment,
    env=cdk.Environment(
        account=environment.account or os.environ.get("CDK_DEFAULT_ACCOUNT"),
        region=environment.region or os.environ.get("CDK_DEFAULT_REGION"),
    ),
)
app.synth()
