"""The reconciliation function as it is deployed: the asset, the runtime, a secret, Stripe's API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from local.fake_stripe.server import StripeServer
from tests.runtime.function import Function
from tests.support.cachao import Cachao
from tests.support.secrets_manager_server import ARN, SecretsManagerServer, secret_string

Start = Callable[..., Function]


@pytest.fixture
def stripe(cachao: Cachao, configuration: dict[str, str]) -> Iterator[StripeServer]:
    """A mock of Stripe that the function is configured for, through Secrets Manager."""
    cachao.query("DELETE FROM reconciliation")
    with StripeServer() as stripe, SecretsManagerServer() as secrets:
        secrets.answers = [secret_string({"api_key": stripe.account.test_key})]
        configuration |= {
            "STRIPE_API_BASE": stripe.url,
            "STRIPE_API_KEY_SECRET_ARN": ARN,
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": secrets.url,
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
        }
        yield stripe


def pay_and_lose(stripe: StripeServer, cachao: Cachao) -> None:
    order = cachao.add_order()
    stripe.create_paid_checkout(
        amount=order.amount,
        currency=order.currency,
        metadata={"order_id": str(order.id)},
        created=int(time.time()) - 3600,
        deliver=False,
    )


def test_a_run_settles_what_no_route_brought_and_reports_it(
    stripe: StripeServer, cachao: Cachao, start: Start
) -> None:
    pay_and_lose(stripe, cachao)
    function = start("reconciliation_handler")

    first, second = function.invoke({}), function.invoke({})

    assert first.json == {"listed": 1, "settled": 1, "caught_up": True}
    assert second.json["settled"] == 0
    assert cachao.value("SELECT route FROM settlements") == "reconciliation"


def test_a_run_that_stripe_refuses_fails_and_names_no_key(
    stripe: StripeServer, cachao: Cachao, start: Start
) -> None:
    pay_and_lose(stripe, cachao)
    stripe.revoke_key(stripe.account.test_key)

    report = start("reconciliation_handler").invoke({})

    assert report.json["errorType"] == "StripeUnavailable"
    assert stripe.account.test_key not in str(report.json)
    assert cachao.value("SELECT COUNT(*) FROM settlements") == 0
