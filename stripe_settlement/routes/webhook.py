"""The fallback route: Stripe's webhook, through API Gateway."""

import json
from collections.abc import Sequence
from typing import Any, Final

from aws_cdk import Acknowledgment, Annotations, Aws, Duration, Stack, Validations
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

from stripe_settlement._checks import require_unique_names
from stripe_settlement._naming import name_by_path
from stripe_settlement.encryption import log_group
from stripe_settlement.monitoring.metrics import FIVE_MINUTES
from stripe_settlement.settings import LogSettings, WebhookSettings

_METHOD = "POST"

_ACCESS_LOG_FORMAT = {
    "requestId": "$context.requestId",
    "requestTime": "$context.requestTime",
    "sourceIp": "$context.identity.sourceIp",
    "userAgent": "$context.identity.userAgent",
    "httpMethod": "$context.httpMethod",
    "resourcePath": "$context.resourcePath",
    "status": "$context.status",
    "responseLength": "$context.responseLength",
    "responseLatency": "$context.responseLatency",
    "integrationLatency": "$context.integrationLatency",
    "integrationStatus": "$context.integration.status",
    "functionRequestId": "$context.integration.requestId",
    "errorType": "$context.error.responseType",
    "traceId": "$context.xrayTraceId",
}
"""Which response Stripe got, when and how fast; nothing of what it sent."""


class WebhookRoute(Construct):
    """`POST /webhooks/stripe` on a REST API, and nothing else on it.

    The method asks for no authorisation: what proves the caller is Stripe's signature over the raw
    body, which the function checks. The stage's throttle keeps others from flooding it.

    With an existing API only the resources and the method are added. Its stage, throttle, logs,
    tracing and, for an API imported by its attributes, the deployment that makes the method
    reachable, stay with its owner.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        handler: lambda_.IFunction,
        settings: WebhookSettings | None = None,
        rest_api: apigateway.IRestApi | None = None,
        api_name: str | None = None,
    ) -> None:
        """Add the method, to a new API or to `rest_api`.

        Args:
            scope: the parent construct.
            construct_id: its id there.
            handler: the function that checks the signature and settles.
            settings: path, throttle, logs.
            rest_api: an API to add the route to, instead of creating one: of this stack, or
                imported by `RestApi.from_rest_api_attributes`.
            api_name: of a new API, where the settings name none.

        Raises:
            ValueError: the API has no root to add a path to, belongs to another stack, or has the
                path's POST already; or a new one would have the name of another.
        """
        super().__init__(scope, construct_id)
        settings = settings or WebhookSettings()
        self.rest_api: Final[apigateway.IRestApi] = (
            self._create_api(settings, settings.api_name or api_name or name_by_path(self))
            if rest_api is None
            else self._import(rest_api)
        )
        """The API the route is on."""
        self.api_name: Final = self.rest_api.rest_api_name
        """Its name, a dimension of its metrics."""
        if rest_api is None:
            require_unique_names(self, WebhookRoute, "api_name")
        self.stage_name: Final = _stage_name(self.rest_api) or settings.stage_name
        """The stage Stripe calls."""
        self.method: Final = self._add_method(handler, settings.path)
        """The method, for a deployment of your own to depend on."""
        self.url: Final = (
            f"https://{self.rest_api.rest_api_id}.execute-api.{Stack.of(self).region}."
            f"{Aws.URL_SUFFIX}/{self.stage_name}{settings.path}"
        )
        """The endpoint's address, to register in Stripe."""

    def metric(
        self,
        name: str,
        *,
        statistic: str = cloudwatch.Stats.SUM,
        period: Duration = FIVE_MINUTES,
        label: str | None = None,
    ) -> cloudwatch.Metric:
        """Return a metric of the stage, for example `5XXError`; `IRestApi` has no metric methods.

        Without the `Stage` dimension CloudWatch adds up every stage of the API.
        """
        return cloudwatch.Metric(
            namespace="AWS/ApiGateway",
            metric_name=name,
            dimensions_map={"ApiName": self.api_name, "Stage": self.stage_name},
            statistic=statistic,
            period=period,
            label=label,
        )

    def _create_api(self, settings: WebhookSettings, name: str) -> apigateway.RestApi:
        api = apigateway.RestApi(
            self,
            "Api",
            rest_api_name=name,
            description="Stripe's webhook: payment confirmations, the fallback of EventBridge",
            endpoint_types=[settings.endpoint_type],
            cloud_watch_role=settings.cloud_watch_role,
            deploy_options=self._stage_options(settings),
            policy=_only_from(settings.allowed_addresses),
        )
        if settings.web_acl_arn is not None:
            wafv2.CfnWebACLAssociation(
                self,
                "WebAcl",
                resource_arn=api.deployment_stage.stage_arn,
                web_acl_arn=settings.web_acl_arn,
            )
        api.node.try_remove_child("Endpoint")  # An output, which a library construct leaves alone.
        if settings.usage_plan:
            _add_usage_plan(api, settings)
        _acknowledge_findings(api)
        return api

    def _stage_options(self, settings: WebhookSettings) -> apigateway.StageOptions:
        logs_on = settings.access_logs is not None
        return apigateway.StageOptions(
            stage_name=settings.stage_name,
            throttling_burst_limit=settings.throttle_burst_limit,
            throttling_rate_limit=settings.throttle_rate_limit,
            tracing_enabled=settings.tracing,
            metrics_enabled=settings.metrics,
            # Execution logs hold headers and bodies: signatures, names, e-mail addresses.
            logging_level=apigateway.MethodLoggingLevel.OFF,
            data_trace_enabled=False,
            access_log_destination=self._access_log(settings.access_logs),
            access_log_format=apigateway.AccessLogFormat.custom(json.dumps(_ACCESS_LOG_FORMAT))
            if logs_on
            else None,
        )

    def _access_log(self, settings: LogSettings | None) -> apigateway.LogGroupLogDestination | None:
        if settings is None:
            return None
        return apigateway.LogGroupLogDestination(log_group(self, "AccessLog", settings))

    def _import(self, rest_api: apigateway.IRestApi) -> apigateway.IRestApi:
        stack = Stack.of(rest_api)
        if (
            isinstance(rest_api, apigateway.RestApiBase)
            and stack.node.addr != Stack.of(self).node.addr
        ):
            raise ValueError(
                f"rest_api {rest_api.node.path!r} belongs to the stack {stack.node.id!r}; allowed "
                "is an API of this stack or an imported one, because its deployment would have to "
                "wait for this stack while this stack waits for the API. Import it here with "
                "apigateway.RestApi.from_rest_api_attributes(…)."
            )
        if not isinstance(rest_api, apigateway.RestApi) or rest_api.latest_deployment is None:
            Annotations.of(self).add_warning_v2(
                "stripe-settlement:imported-rest-api",
                f"The webhook is added to {rest_api.node.path!r}, whose deployment is not in this "
                "app: the method responds only after the API's stage has been deployed "
                "again. Its throttle and logs are its owner's too; the alarms watch the whole "
                f"stage under the name {rest_api.rest_api_name!r}, so import it with the real "
                "rest_api_name. Deploy it, then acknowledge this warning.",
            )
        return rest_api

    def _add_method(self, handler: lambda_.IFunction, path: str) -> apigateway.Method:
        resource = self._root()
        for segment in path.strip("/").split("/"):
            known = resource.get_resource(segment)
            if known is None:
                self._require_free(segment, parent=resource)
            resource = known or apigateway.Resource(
                self, f"Path-{segment}", parent=resource, path_part=segment
            )
        self._require_free(_METHOD, parent=resource)
        method = apigateway.Method(
            self,
            "Post",
            resource=resource,
            http_method=_METHOD,
            integration=apigateway.AwsIntegration(
                service="lambda",
                path=f"2015-03-31/functions/{handler.function_arn}/invocations",
                proxy=True,
            ),
            options=apigateway.MethodOptions(
                authorization_type=apigateway.AuthorizationType.NONE, api_key_required=False
            ),
        )
        # For this stage and this path alone. The L2's integration needs a stage object for that,
        # which an imported API does not have, and allows the console's test button too.
        handler.add_permission(
            "AllowStripeWebhook",
            scope=self,
            principal=iam.ServicePrincipal("apigateway.amazonaws.com"),
            source_arn=self.rest_api.arn_for_execute_api(_METHOD, path, self.stage_name),
        )
        _acknowledge_missing_authorisation(method)
        return method

    def _require_free(self, what: str, *, parent: apigateway.IResource) -> None:
        """Check that nothing of this stack has a path's segment, or its method, already.

        Two imports of one API know nothing of each other: what both add fails only at deployment.
        """
        stack = Stack.of(self)
        wanted = stack.resolve([self.rest_api.rest_api_id, parent.resource_id, what])
        for each in stack.node.find_all():
            if isinstance(each, apigateway.CfnResource):
                there = [each.rest_api_id, each.parent_id, each.path_part]
            elif isinstance(each, apigateway.CfnMethod):
                there = [each.rest_api_id, each.resource_id, each.http_method]
            else:
                continue
            if stack.resolve(there) == wanted:
                raise ValueError(
                    f"{what!r} below {parent.path!r} is taken by {each.node.path}. Give the "
                    "webhook another WebhookSettings(path=…); or, if the API was imported twice, "
                    "import it once and pass the same object to both."
                )

    def _root(self) -> apigateway.IResource:
        try:
            return self.rest_api.root
        except RuntimeError as error:
            raise ValueError(
                f"rest_api {self.rest_api.node.path!r} was imported without its root resource, so "
                "no path can be added to it. Import it with "
                "apigateway.RestApi.from_rest_api_attributes(…, root_resource_id=…)."
            ) from error


def _only_from(addresses: Sequence[str]) -> iam.PolicyDocument | None:
    """Return the API's policy that lets these addresses in alone; None to let in any."""
    if not addresses:
        return None
    anybody: dict[str, Any] = {
        "principals": [iam.AnyPrincipal()],
        "actions": ["execute-api:Invoke"],
        "resources": ["execute-api:/*"],
    }
    return iam.PolicyDocument(
        statements=[
            iam.PolicyStatement(sid="AllowStripe", **anybody),
            iam.PolicyStatement(
                sid="DenyOtherAddresses",
                effect=iam.Effect.DENY,
                conditions={"NotIpAddress": {"aws:SourceIp": list(addresses)}},
                **anybody,
            ),
        ]
    )


def _stage_name(rest_api: apigateway.IRestApi) -> str | None:
    try:
        return rest_api.deployment_stage.stage_name
    except RuntimeError:  # What jsii makes of the undefined stage of an imported API.
        return None


def _add_usage_plan(api: apigateway.RestApi, settings: WebhookSettings) -> None:
    api.add_usage_plan(
        "UsagePlan",
        description="Meters and limits callers that send an API key. Stripe sends none, so this "
        "plan does not throttle the webhook: the stage's throttle does.",
        throttle=apigateway.ThrottleSettings(
            burst_limit=settings.throttle_burst_limit, rate_limit=settings.throttle_rate_limit
        ),
        api_stages=[apigateway.UsagePlanPerApiStage(api=api, stage=api.deployment_stage)],
    )


def _acknowledge_findings(api: apigateway.RestApi) -> None:
    Validations.of(api.deployment_stage).acknowledge(
        Acknowledgment(
            id="AwsSolutions-APIG3",
            reason="The route has one path, a throttle, a limit on the body and a signature check. "
            "A web ACL is the account's decision, and the setting web_acl_arn.",
        ),
        Acknowledgment(
            id="AwsSolutions-APIG6",
            reason="Execution logs hold headers and bodies: signatures, names, e-mail addresses. "
            "The access log has one line per request without them.",
        ),
    )
    Validations.of(api).acknowledge(
        Acknowledgment(
            id="AwsSolutions-APIG2",
            reason="The signature covers the raw body and is checked before anything is parsed; a "
            "validator in front would return 400 for events Stripe may change at any time.",
        ),
    )


def _acknowledge_missing_authorisation(method: apigateway.Method) -> None:
    Validations.of(method).acknowledge(
        *(
            Acknowledgment(
                id=rule,
                reason="Stripe has no AWS credentials. Its signature over the raw body is the "
                "authorisation, and the function rejects whatever does not carry a valid one.",
            )
            for rule in ("AwsSolutions-APIG4", "AwsSolutions-COG4")
        )
    )
