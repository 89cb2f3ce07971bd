"""Stripe's webhook endpoint: what calls this stack's webhook, and with which signing secret.

"Webhook Endpoints" (Stripe API reference). Stripe says the signing secret once, when an endpoint is
created; from here it goes into the stack's secret and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stripe import StripeError

from settlement.adapters.stripe_api import is_missing
from settlement.configuration import split_secrets
from settlement.errors import ConfigurationError
from stripe_account.aws import stack_is_rolling_back
from stripe_account.custom_resource import UNKNOWN, Resource
from stripe_account.errors import StripeAccountError
from stripe_account.ownership import (
    ADOPTED,
    GENERATION,
    OWNER,
    is_adopted,
    is_nobodys,
    is_of,
    is_ours,
    mark,
    together,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stripe import StripeClient
    from stripe import WebhookEndpoint as Endpoint

    from stripe_account.aws import SigningSecrets
    from stripe_account.custom_resource import Request

PAGE: Final = 100


class WebhookEndpoint:
    """The endpoint of one stack, found by its owner and kept as the template wants it."""

    def __init__(
        self,
        stripe: StripeClient,
        signing_secrets: SigningSecrets,
        *,
        livemode: bool,
        given_secret: str | None,
    ) -> None:
        """
        Args:
            stripe: the client.
            signing_secrets: where the endpoints' signing secrets are kept.
            livemode: of the deployment.
            given_secret: of an endpoint made by hand, if it was given.
        """
        self.may_exist = False
        self._endpoints = stripe.v1.webhook_endpoints
        self._secrets = signing_secrets
        self._livemode = livemode
        self._given_secret = given_secret

    def put(self, request: Request) -> Resource:
        """Create it, adopt one of this URL, or bring the stack's own up to date.

        One of this URL whose signing secret nobody has told is replaced: what it signs could never
        be verified.

        Raises:
            ConfigurationError: Stripe answers in another mode than this deployment's.
            StripeError: Stripe refuses.
            AwsCallFailed: the signing secret cannot be kept.
        """
        found = self._find(request)
        endpoint = self._create(request) if found is None else self._update(found, request)
        if endpoint.livemode is not self._livemode:
            raise ConfigurationError(
                f"Stripe says livemode is {endpoint.livemode} for the key's objects; the "
                "deployment settles the other mode. Give it a key of its own mode"
            )
        if request.kind == "Create":
            self._delete_twins(endpoint.id, request)
        return Resource(endpoint.id, {})

    def delete(self, request: Request) -> None:
        """Delete it and its signing secret; leave an adopted one if the stack rolls back.

        Raises:
            StripeError: Stripe refuses.
            AwsCallFailed: the signing secret cannot be removed.
        """
        for endpoint in self._to_delete(request):
            if is_adopted(_metadata(endpoint)) and stack_is_rolling_back(request.stack_id):
                self._endpoints.update(
                    endpoint.id,
                    {"metadata": {OWNER: "", GENERATION: "", ADOPTED: ""}},
                    {"idempotency_key": request.idempotency_key(f"release-{endpoint.id}")},
                )
            else:
                self._delete(endpoint.id, request)
            self._secrets.remove(endpoint.id)
        self._secrets.remove(request.physical_id)

    def _find(self, request: Request) -> Endpoint | None:
        wanted, known = request.properties, self._secrets.known()
        for endpoint in self._all():
            metadata = _metadata(endpoint)
            if endpoint.id in known and is_ours(metadata, request):
                if is_of(metadata, _generation(wanted)):
                    return endpoint
            elif request.kind == "Create" and _is_twin(endpoint, request) and self._given_secret:
                self._secrets.add(endpoint.id, self._given_secret)
                return endpoint
        return None

    def _create(self, request: Request) -> Endpoint:
        wanted = request.properties
        self.may_exist = True
        endpoint = self._endpoints.create(
            {
                "url": wanted["Url"],
                "description": wanted["Description"],
                "enabled_events": wanted["EnabledEvents"],
                "api_version": wanted["ApiVersion"],
                "metadata": mark(request, generation=_generation(wanted), adopted=False),
            },
            {"idempotency_key": request.idempotency_key("create")},
        )
        if not endpoint.secret:
            raise StripeAccountError(
                f"Stripe created {endpoint.id} without its signing secret; deploy again"
            )
        self._secrets.add(endpoint.id, endpoint.secret)
        return endpoint

    def _update(self, found: Endpoint, request: Request) -> Endpoint:
        wanted, before = request.properties, _metadata(found)
        self.may_exist = True
        adopted = is_nobodys(before) or is_adopted(before)
        return self._endpoints.update(
            found.id,
            {
                "url": wanted["Url"],
                "description": wanted["Description"],
                "enabled_events": together(wanted["EnabledEvents"], found.enabled_events, before),
                "disabled": False,
                "metadata": mark(request, generation=_generation(wanted), adopted=adopted),
            },
            {"idempotency_key": request.idempotency_key(f"update-{found.id}")},
        )

    def _delete_twins(self, endpoint_id: str, request: Request) -> None:
        for twin in self._all():
            if twin.id != endpoint_id and _is_twin(twin, request):
                self._delete(twin.id, request)

    def _delete(self, endpoint_id: str, request: Request) -> None:
        self._endpoints.delete(
            endpoint_id,
            None,
            {"idempotency_key": request.idempotency_key(f"delete-{endpoint_id}")},
        )

    def _to_delete(self, request: Request) -> Iterable[Endpoint]:
        if request.physical_id == UNKNOWN:
            return [e for e in self._all() if is_ours(_metadata(e), request)]
        try:
            endpoint = self._endpoints.retrieve(request.physical_id)
        except StripeError as error:
            if is_missing(error):
                return []
            raise
        return [endpoint] if is_ours(_metadata(endpoint), request) else []

    def _all(self) -> list[Endpoint]:
        return list(self._endpoints.list({"limit": PAGE}).auto_paging_iter())


def usable_secret(value: object) -> str | None:
    """Return the signing secret if there is one of Stripe's; not what stands in for one."""
    parts = split_secrets(value) if isinstance(value, str) else ()
    return ",".join(parts) if parts and all(part.startswith("whsec_") for part in parts) else None


def _is_twin(endpoint: Endpoint, request: Request) -> bool:
    """Whether it calls the same URL and is nobody's, or was left behind by this stack."""
    metadata = _metadata(endpoint)
    same_url = endpoint.url == request.properties["Url"]
    return same_url and (is_nobodys(metadata) or is_ours(metadata, request))


def _generation(wanted: Mapping[str, str]) -> str:
    return f"{wanted['Roll']}/{wanted['ApiVersion']}"


def _metadata(endpoint: Endpoint) -> dict[str, str]:
    return endpoint.metadata.to_dict() if endpoint.metadata else {}
