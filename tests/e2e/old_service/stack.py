"""The old service's stack, with the names that its SAM template gives its parts."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import aws_cdk as cdk
import pymysql
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_

from local.servers.emulated_aws import ACCOUNT, REGION
from local.servers.mariadb import DatabaseAddress

NAME: Final = "cachao"
_HANDLER: Final = Path(__file__).with_name("handler")
_TIMEOUT: Final = cdk.Duration.seconds(5)
"""Of an invocation, which the cutover waits for; the service's own is 60 s."""


def synthesise(assembly: Path, *, event_source: str, database: DatabaseAddress) -> None:
    """Synthesise the stack `NAME`: two functions, the rule on the source's bus, the webhook.

    Args:
        assembly: where to.
        event_source: Stripe's partner event source. Its bus, which the service's operator made by
            hand, is part of the stack here.
        database: the shop's.
    """
    code = assembly.with_name(f"{assembly.name}-code")
    shutil.copytree(_HANDLER, code, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(
        Path(pymysql.__file__).parent,
        code / "pymysql",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    app = cdk.App(
        outdir=str(assembly), analytics_reporting=False, builtin_cloud_formation_validation=False
    )
    stack = cdk.Stack(app, NAME, env=cdk.Environment(account=ACCOUNT, region=REGION))
    event_function = _function(stack, "StripeEventBridgeHandler", code, database)
    webhook_function = _function(stack, "StripePaymentFunction", code, database)
    events.Rule(
        stack,
        "StripeEventBridge",
        event_bus=events.EventBus(stack, "Bus", event_source_name=event_source),
        event_pattern=events.EventPattern(
            source=[event_source], detail_type=["checkout.session.completed"]
        ),
        targets=[targets.LambdaFunction(event_function)],
    )
    api = apigateway.RestApi(
        stack,
        "Api",
        rest_api_name="CachaoApi",
        deploy_options=apigateway.StageOptions(stage_name="Prod"),
        cloud_watch_role=False,
    )
    api.root.resource_for_path("/webhooks/stripe").add_method(
        "POST", apigateway.LambdaIntegration(webhook_function)
    )
    cdk.CfnOutput(stack, "WebhookUrl", value=api.url_for_path("/webhooks/stripe"))
    app.synth()


def _function(
    stack: cdk.Stack, name: str, code: Path, database: DatabaseAddress
) -> lambda_.Function:
    handlers = {
        "StripeEventBridgeHandler": "app.event_bridge_handler",
        "StripePaymentFunction": "app.lambda_handler",
    }
    function = lambda_.Function(
        stack,
        name,
        runtime=lambda_.Runtime.PYTHON_3_13,
        handler=handlers[name],
        code=lambda_.Code.from_asset(str(code)),
        timeout=_TIMEOUT,
        environment={
            "DB_HOST": database.host,
            "DB_PORT": str(database.port),
            "DB_NAME": database.name,
            "DB_USER": database.user,
            "DB_PASSWORD": database.password,
        },
    )
    resource = function.node.default_child
    assert isinstance(resource, lambda_.CfnFunction)
    resource.override_logical_id(name)
    return function
