"""`/v1/webhook_endpoints`. The signing secret is in the answer to the creation, and nowhere else.

Source: Stripe API reference, "Webhook Endpoints".
"""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from stripe import WebhookEndpoint

from local.fake_stripe.account import Json, Mode, merge_metadata, new_id, new_secret, nulls
from local.fake_stripe.errors import ApiError, missing
from local.fake_stripe.pagination import v1_page
from local.fake_stripe.parameters import Parameters

_URL = "/v1/webhook_endpoints"


def create(mode: Mode, parameters: Parameters) -> Json:
    """Create an endpoint. A second one with the same URL is created too, as Stripe does."""
    if parameters.get("connect"):
        raise ApiError(400, "local/fake_stripe has no connected accounts.", param="connect")
    _check_url(parameters["url"], livemode=mode.livemode)
    endpoint = {
        **{name: None for name in nulls(WebhookEndpoint) if name not in ("secret", "deleted")},
        "id": new_id("we_"),
        "object": "webhook_endpoint",
        "created": int(time.time()),
        "livemode": mode.livemode,
        "status": "enabled",
        "url": parameters["url"],
        "enabled_events": parameters["enabled_events"],
        "api_version": parameters.get("api_version"),
        "description": parameters.get("description") or None,
        "metadata": merge_metadata({}, parameters.get("metadata")),
    }
    secret = new_secret()
    mode.webhook_endpoints[endpoint["id"]] = endpoint
    mode.secrets[endpoint["id"]] = [secret]
    return {**endpoint, "secret": secret.value}


def retrieve(mode: Mode, _parameters: Parameters, id_: str) -> Json:
    """Return the endpoint, without its secret."""
    endpoint = mode.webhook_endpoints.get(id_)
    if endpoint is None:
        raise missing("webhook endpoint", id_)
    return endpoint


def update(mode: Mode, parameters: Parameters, id_: str) -> Json:
    """Change what is given; `disabled` stops or resumes deliveries."""
    endpoint = retrieve(mode, {}, id_)
    if "url" in parameters:
        _check_url(parameters["url"], livemode=mode.livemode)
    for name in ("url", "enabled_events"):
        endpoint[name] = parameters.get(name, endpoint[name])
    if "description" in parameters:
        endpoint["description"] = parameters["description"] or None
    if "disabled" in parameters:
        endpoint["status"] = "disabled" if parameters["disabled"] else "enabled"
    if "metadata" in parameters:
        endpoint["metadata"] = merge_metadata(endpoint["metadata"], parameters["metadata"])
    return endpoint


def delete(mode: Mode, _parameters: Parameters, id_: str) -> Json:
    """Delete the endpoint and its secrets."""
    retrieve(mode, {}, id_)
    del mode.webhook_endpoints[id_], mode.secrets[id_]
    return {"id": id_, "object": "webhook_endpoint", "deleted": True}


def list_(mode: Mode, parameters: Parameters) -> Json:
    """Return a page of the endpoints, the newest first."""
    newest_first = list(mode.webhook_endpoints.values())[::-1]
    return v1_page(newest_first, parameters, url=_URL, kind="webhook endpoint")


def url_problem(url: str, *, livemode: bool) -> str | None:
    """Return what is wrong with the URL of an endpoint, or None: live mode insists on HTTPS."""
    schemes = ("https",) if livemode else ("https", "http")
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.hostname:
        return f"A URL must begin with {' or '.join(f'{each}://' for each in schemes)}."
    return None


def _check_url(url: str, *, livemode: bool) -> None:
    if problem := url_problem(url, livemode=livemode):
        raise ApiError(400, f"Invalid URL: {problem}", code="url_invalid", param="url")
