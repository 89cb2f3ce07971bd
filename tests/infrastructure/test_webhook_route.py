"""WebhookRoute: the endpoint that Stripe calls, on our API or on an existing one."""

import json
from typing import Any

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk.assertions import Annotations, Match

from stripe_settlement import WebhookSettings
from stripe_settlement.routes.webhook import WebhookRoute
from tests.infrastructure.synthesis import (
    any_function,
    find,
    find_id,
    new_app,
    only,
    resources,
    template_of,
)


def route(stack: Stack, **arguments: Any) -> WebhookRoute:
    return WebhookRoute(stack, "WebhookRoute", handler=any_function(stack), **arguments)


def imported_api(stack: Stack) -> apigateway.IRestApi:
    return apigateway.RestApi.from_rest_api_attributes(
        stack,
        "ShopApi",
        rest_api_id="api1234567",
        root_resource_id="root123456",
        rest_api_name="Shop",
    )


def stage_of(stack: Stack) -> Any:
    return only(template_of(stack), "AWS::ApiGateway::Stage")


def test_the_method_is_a_post_without_authorisation(stack: Stack) -> None:
    route(stack)

    method = only(template_of(stack), "AWS::ApiGateway::Method")
    assert method["HttpMethod"] == "POST"
    assert method["AuthorizationType"] == "NONE"
    assert method["ApiKeyRequired"] is False


def test_the_method_passes_the_request_to_the_function_unchanged(stack: Stack) -> None:
    route(stack)

    integration = only(template_of(stack), "AWS::ApiGateway::Method")["Integration"]
    assert (integration["Type"], integration["IntegrationHttpMethod"]) == ("AWS_PROXY", "POST")


def test_the_method_stands_at_webhooks_stripe(stack: Stack) -> None:
    route(stack)

    template = template_of(stack)
    webhooks = find_id(template, "AWS::ApiGateway::Resource", "webhooks")
    stripe = find(template, "AWS::ApiGateway::Resource", "stripe")
    assert find(template, "AWS::ApiGateway::Resource", "webhooks")["PathPart"] == "webhooks"
    assert (stripe["PathPart"], stripe["ParentId"]) == ("stripe", {"Ref": webhooks})


def test_the_method_stands_where_the_settings_say(stack: Stack) -> None:
    construct = route(stack, settings=WebhookSettings(path="/stripe"))

    assert only(template_of(stack), "AWS::ApiGateway::Resource")["PathPart"] == "stripe"
    assert "".join(map(str, stack.resolve(construct.url)["Fn::Join"][1])).endswith("/stripe")


def test_the_method_alone_may_invoke_the_function(stack: Stack) -> None:
    route(stack)

    template = template_of(stack)
    permission = only(template, "AWS::Lambda::Permission")
    [stage] = resources(template, "AWS::ApiGateway::Stage")
    assert permission["Principal"] == "apigateway.amazonaws.com"
    *_, reference, path = permission["SourceArn"]["Fn::Join"][1]
    assert (reference, path) == ({"Ref": stage}, "/POST/webhooks/stripe")


def test_the_api_is_regional_and_named(stack: Stack) -> None:
    route(stack)

    api = only(template_of(stack), "AWS::ApiGateway::RestApi")
    assert api["Name"] == "Shop-WebhookRoute"
    assert api["EndpointConfiguration"] == {"Types": ["REGIONAL"]}


def test_the_api_passes_bodies_on_as_text_and_uncompressed(stack: Stack) -> None:
    route(stack)

    api = only(template_of(stack), "AWS::ApiGateway::RestApi")
    assert "BinaryMediaTypes" not in api
    assert "MinimumCompressionSize" not in api


def test_the_api_throttles_its_stage_because_stripe_sends_no_key(stack: Stack) -> None:
    route(stack)

    [settings] = stage_of(stack)["MethodSettings"]
    assert settings["ThrottlingBurstLimit"] == 100
    assert settings["ThrottlingRateLimit"] == 50
    assert (settings["HttpMethod"], settings["ResourcePath"]) == ("*", "/*")


def test_the_api_throttles_as_the_settings_say(stack: Stack) -> None:
    route(stack, settings=WebhookSettings(throttle_burst_limit=7, throttle_rate_limit=3))

    [settings] = stage_of(stack)["MethodSettings"]
    assert (settings["ThrottlingBurstLimit"], settings["ThrottlingRateLimit"]) == (7, 3)


def test_the_api_has_a_usage_plan_that_says_what_it_does_not_do(stack: Stack) -> None:
    route(stack)

    template = template_of(stack)
    plan = only(template, "AWS::ApiGateway::UsagePlan")
    [stage] = resources(template, "AWS::ApiGateway::Stage")
    assert plan["ApiStages"][0]["Stage"] == {"Ref": stage}
    assert "does not throttle the webhook" in plan["Description"]


def test_the_api_can_do_without_a_usage_plan(stack: Stack) -> None:
    route(stack, settings=WebhookSettings(usage_plan=False))

    assert resources(template_of(stack), "AWS::ApiGateway::UsagePlan") == {}


def test_the_api_is_traced_and_measured(stack: Stack) -> None:
    route(stack)

    stage = stage_of(stack)
    assert stage["TracingEnabled"] is True
    assert stage["MethodSettings"][0]["MetricsEnabled"] is True


def test_the_api_writes_no_bodies_into_execution_logs(stack: Stack) -> None:
    route(stack)

    [settings] = stage_of(stack)["MethodSettings"]
    assert (settings["LoggingLevel"], settings["DataTraceEnabled"]) == ("OFF", False)


def test_the_api_leaves_no_output_behind(stack: Stack) -> None:
    route(stack)

    assert "Outputs" not in template_of(stack)


def test_the_access_log_is_one_json_object_per_request(stack: Stack) -> None:
    route(stack)

    line = json.loads(stage_of(stack)["AccessLogSetting"]["Format"])
    assert {"requestId", "status", "responseLatency", "resourcePath"} <= set(line)


def test_the_access_log_holds_neither_headers_nor_query_nor_body(stack: Stack) -> None:
    route(stack)

    text = stage_of(stack)["AccessLogSetting"]["Format"]
    assert not any(each in text for each in ("header", "querystring", "body", "path."))


def test_the_access_log_goes_into_a_log_group_of_its_own(stack: Stack) -> None:
    route(stack)

    template = template_of(stack)
    log_group = find_id(template, "AWS::Logs::LogGroup", "AccessLog")
    destination = only(template, "AWS::ApiGateway::Stage")["AccessLogSetting"]["DestinationArn"]
    assert {"Ref": log_group} in destination["Fn::Join"][1]
    assert find(template, "AWS::Logs::LogGroup", "AccessLog")["RetentionInDays"] == 14


def test_the_access_log_can_be_left_out(stack: Stack) -> None:
    route(stack, settings=WebhookSettings(access_logs=None))

    assert "AccessLogSetting" not in stage_of(stack)
    assert "AccessLog" not in str(resources(template_of(stack), "AWS::Logs::LogGroup"))


def test_the_webhook_leaves_the_accounts_cloudwatch_role_alone(stack: Stack) -> None:
    route(stack)

    assert resources(template_of(stack), "AWS::ApiGateway::Account") == {}


def test_the_webhook_can_create_the_accounts_cloudwatch_role(stack: Stack) -> None:
    route(stack, settings=WebhookSettings(cloud_watch_role=True))

    assert len(resources(template_of(stack), "AWS::ApiGateway::Account")) == 1


@pytest.fixture
def api(stack: Stack) -> apigateway.RestApi:
    api = apigateway.RestApi(stack, "ShopApi")
    api.root.add_resource("webhooks").add_method("GET")
    return api


def test_an_api_of_this_stack_gets_the_path_below_what_it_has(
    stack: Stack, api: apigateway.RestApi
) -> None:
    route(stack, rest_api=api)

    template = template_of(stack)
    assert len(resources(template, "AWS::ApiGateway::RestApi")) == 1
    assert sorted(
        each["Properties"]["PathPart"]
        for each in resources(template, "AWS::ApiGateway::Resource").values()
    ) == ["stripe", "webhooks"]


def test_an_api_of_this_stack_is_deployed_with_the_method(
    stack: Stack, api: apigateway.RestApi
) -> None:
    route(stack, rest_api=api)

    template = template_of(stack)
    [deployment] = resources(template, "AWS::ApiGateway::Deployment").values()
    post = find_id(template, "AWS::ApiGateway::Method", "Post")
    assert post in deployment["DependsOn"]


def test_an_api_of_this_stack_does_not_apply_its_authoriser_to_the_method(stack: Stack) -> None:
    api = apigateway.RestApi(
        stack,
        "ShopApi",
        default_method_options=apigateway.MethodOptions(
            authorization_type=apigateway.AuthorizationType.IAM, api_key_required=True
        ),
    )
    route(stack, rest_api=api)

    method = find(template_of(stack), "AWS::ApiGateway::Method", "Post")
    assert (method["AuthorizationType"], method["ApiKeyRequired"]) == ("NONE", False)


def test_an_api_of_this_stack_names_its_stage_and_itself(
    stack: Stack, api: apigateway.RestApi
) -> None:
    construct = route(stack, rest_api=api)

    [stage] = resources(template_of(stack), "AWS::ApiGateway::Stage")
    assert stack.resolve(construct.stage_name) == {"Ref": stage}
    assert construct.api_name == "ShopApi"


def test_an_api_of_this_stack_needs_no_warning(stack: Stack, api: apigateway.RestApi) -> None:
    route(stack, rest_api=api)

    Annotations.from_stack(stack).has_no_warning("*", Match.any_value())


def test_an_imported_api_gets_resources_and_a_method_and_nothing_else(stack: Stack) -> None:
    route(stack, rest_api=imported_api(stack))

    kinds = {each["Type"] for each in template_of(stack)["Resources"].values()}
    assert {each for each in kinds if each.startswith("AWS::ApiGateway::")} == {
        "AWS::ApiGateway::Method",
        "AWS::ApiGateway::Resource",
    }


def test_an_imported_api_may_invoke_the_function_from_the_stage_of_the_settings(
    stack: Stack,
) -> None:
    route(stack, rest_api=imported_api(stack), settings=WebhookSettings(stage_name="live"))

    arn = only(template_of(stack), "AWS::Lambda::Permission")["SourceArn"]["Fn::Join"][1]
    assert arn[-1] == ":api1234567/live/POST/webhooks/stripe"


def test_an_imported_api_has_a_url_of_that_stage(stack: Stack) -> None:
    construct = route(stack, rest_api=imported_api(stack))

    parts = stack.resolve(construct.url)["Fn::Join"][1]
    assert parts[0] == "https://api1234567.execute-api."
    assert parts[-1] == "/Prod/webhooks/stripe"


def test_an_imported_api_is_warned_about_until_it_is_deployed(stack: Stack) -> None:
    route(stack, rest_api=imported_api(stack))

    Annotations.from_stack(stack).has_warning(
        "/Shop/WebhookRoute", Match.string_like_regexp("deployed again")
    )


def test_an_imported_api_without_its_root_is_an_error_with_a_hint(stack: Stack) -> None:
    api = apigateway.RestApi.from_rest_api_id(stack, "ShopApi", "api1234567")
    with pytest.raises(ValueError, match=r"root resource.*from_rest_api_attributes"):
        route(stack, rest_api=api)


def test_an_api_of_another_stack_is_an_error_with_a_hint() -> None:
    app: App = new_app()
    api = apigateway.RestApi(Stack(app, "ApiStack"), "ShopApi")
    with pytest.raises(ValueError, match=r"belongs to the stack 'ApiStack'.*Import it here"):
        route(Stack(app, "Shop"), rest_api=api)


def test_web_acl_of_the_settings_is_in_front_of_the_stage(stack: Stack) -> None:
    arn = "arn:aws:wafv2:eu-west-1:111122223333:regional/webacl/shop/1a2b"
    route(stack, settings=WebhookSettings(web_acl_arn=arn))

    template = template_of(stack)
    association = only(template, "AWS::WAFv2::WebACLAssociation")
    assert association["WebACLArn"] == arn
    assert find_id(template, "AWS::ApiGateway::Stage", "") in str(association["ResourceArn"])


def test_addresses_of_the_settings_alone_may_call_the_api(stack: Stack) -> None:
    settings = WebhookSettings(allowed_addresses=("192.0.2.10", "198.51.100.0/24"))
    route(stack, settings=settings)

    [allowed, denied] = only(template_of(stack), "AWS::ApiGateway::RestApi")["Policy"]["Statement"]
    assert (allowed["Effect"], denied["Effect"]) == ("Allow", "Deny")
    assert denied["Condition"] == {
        "NotIpAddress": {"aws:SourceIp": ["192.0.2.10", "198.51.100.0/24"]}
    }


@pytest.mark.parametrize(
    "values", [{"web_acl_arn": "shop"}, {"allowed_addresses": ("hooks.stripe.com",)}]
)
def test_what_is_no_web_acl_and_no_address_is_an_error(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"; allowed (is|are) "):
        WebhookSettings(**values)


def test_the_api_has_neither_by_default(stack: Stack) -> None:
    route(stack)

    template = template_of(stack)
    assert "Policy" not in only(template, "AWS::ApiGateway::RestApi")
    assert resources(template, "AWS::WAFv2::WebACLAssociation") == {}
