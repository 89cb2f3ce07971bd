"""Every command of `stripe-settlement` on the deployed app: its document, and what is in none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from local.cloud import LocalCloud
from local.servers.cdk import REPOSITORY

pytestmark = pytest.mark.xdist_group("e2e")

PAGE = (REPOSITORY / "docs" / "command-line.md").read_text(encoding="utf-8")
COMMON = {"version", "command", "stack", "account", "region", "mode", "exit_code"}
EMAIL = "ann.example@example.com"
COMMANDS = ["doctor", "explain", "anomalies list", "anomalies retry", "anomalies resolve"]
COMMANDS += ["reconcile", "redrive"]


@pytest.fixture
def anomaly(cloud: LocalCloud) -> Iterator[tuple[str, str]]:
    """Return an order of somebody with an address, paid with a wrong amount, and its anomaly."""
    order = cloud.shop.add_order()
    cloud.shop.query("UPDATE ticket_orders SET email = %s WHERE id = %s", EMAIL, order.id)
    event = cloud.stripe.paid(order, amount=order.amount - 500)
    event["data"]["object"]["customer_email"] = EMAIL
    assert cloud.stripe.post(event).outcome == "anomaly"
    id_ = cloud.shop.value("SELECT id FROM payment_anomalies WHERE order_id = %s", str(order.id))
    yield str(order.id), str(id_)
    cloud.shop.query("DELETE FROM payment_anomalies WHERE order_id = %s", str(order.id))


def arguments(command: str, anomaly: tuple[str, str]) -> list[str]:
    order_id, id_ = anomaly
    more = {
        "explain": [order_id],
        "anomalies retry": [id_],
        "anomalies resolve": [id_, "--as", "dismissed", "--note", "a test"],
        "reconcile": ["--since", "2h"],
    }
    return [*command.split(), *more.get(command, [])]


@pytest.mark.parametrize("command", COMMANDS)
def test_document_has_the_fields_of_the_page_and_no_output_anything_personal_or_secret(
    cloud: LocalCloud, anomaly: tuple[str, str], command: str
) -> None:
    typed = arguments(command, anomaly)
    plain = cloud.operator.run(*typed)
    done = cloud.operator.run(*typed, "--json")

    [row] = re.findall(rf"^\| `{command}` \| (`.*) \|$", PAGE, re.MULTILINE)
    fields = set(re.findall(r"`(\w+)`", re.sub(r"\(.*?\)|: each.*", "", row)))
    document = json.loads(done.stdout)
    assert set(document) == COMMON | fields
    assert (document["version"], document["mode"]) == (1, "TEST")
    assert document["exit_code"] == done.returncode in (0, 1)
    headline = f"{document['stack']} · {document['account']} · {document['region']} · TEST"
    assert headline in plain.stdout
    assert headline in done.stderr
    output = plain.stdout + plain.stderr + done.stdout + done.stderr
    account = cloud.stripe_server.account
    signing = [each.value for of in account.test.secrets.values() for each in of]
    secrets = [*account._keys, *signing, cloud.addresses.db_password]
    assert len(secrets) > 2
    assert [each for each in (EMAIL, *secrets) if each in output] == []
