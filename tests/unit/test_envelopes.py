"""Only authentic Stripe events come out of an envelope, on either route."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from settlement.adapters.envelopes import open_eventbridge_envelope, open_webhook_request
from settlement.adapters.signatures import FixedSigningSecrets, SignatureVerifier
from settlement.configuration import EventSources, read_event_sources
from settlement.domain.clock import Deadline
from settlement.domain.payments import read_event
from settlement.errors import DeliveryTooLarge, RejectedDelivery
from tests.support.events import (
    FORWARDER_SOURCE,
    PAID,
    PARTNER_SOURCE,
    body_of,
    eventbridge_envelope,
    load,
    proxy_request,
    signature_header,
    webhook_request,
)
from tests.support.invocations import NOW, plenty_of_time

T = int(NOW.timestamp())
MAX_BODY_BYTES = 64 * 1024
EVENT = load(PAID)


def open_webhook(request: object) -> object:
    verifier = SignatureVerifier(
        FixedSigningSecrets(("whsec_test_secret",)),
        tolerance=timedelta(seconds=300),
        clock=lambda: NOW,
    )
    return open_webhook_request(request, verifier, plenty_of_time(), max_body_bytes=MAX_BODY_BYTES)


def signed(body: str | dict[str, Any], **changes: Any) -> dict[str, Any]:
    return webhook_request(body, timestamp=T, **changes)


class Unasked(SignatureVerifier):
    """A verifier that must not be asked."""

    def __init__(self) -> None:
        """Holds nothing."""

    def verify(self, body: bytes, header: str | None, deadline: Deadline) -> str:
        """Fail the test."""
        raise AssertionError("the body was given to the verifier")


ANY = EventSources(partner_source=None, forwarders=True)


def test_a_configured_source_is_the_only_one() -> None:
    sources = EventSources(partner_source=PARTNER_SOURCE, forwarders=False)
    envelope = eventbridge_envelope(EVENT, source=PARTNER_SOURCE)
    assert open_eventbridge_envelope(envelope, sources) == EVENT
    for other in (FORWARDER_SOURCE, f"{PARTNER_SOURCE}2", "aws.partner/stripe.com/ed_other"):
        with pytest.raises(RejectedDelivery, match=f"source is not {PARTNER_SOURCE}$"):
            open_eventbridge_envelope({**envelope, "source": other}, sources)


def test_no_forwarder_is_believed_where_money_is_real() -> None:
    sources = read_event_sources({"STRIPE_LIVEMODE": "true"})
    with pytest.raises(RejectedDelivery, match=r"source is not aws\.partner/stripe\.com/…$"):
        open_eventbridge_envelope(eventbridge_envelope(EVENT, source=FORWARDER_SOURCE), sources)
    assert open_eventbridge_envelope(eventbridge_envelope(EVENT), sources) == EVENT


@pytest.mark.parametrize("name", ["eventbridge_partner", "eventbridge_forwarder"])
def test_detail_of_an_envelope_is_the_stripe_event(name: str) -> None:
    assert open_eventbridge_envelope(load(name), ANY) == EVENT


@pytest.mark.parametrize("source", [FORWARDER_SOURCE, PARTNER_SOURCE])
def test_both_sources_of_stripe_are_accepted(source: str) -> None:
    assert open_eventbridge_envelope(eventbridge_envelope(EVENT, source=source), ANY) == EVENT


@pytest.mark.parametrize(
    "source",
    [
        None,
        "",
        7,
        ["stripe.com"],
        "aws.partner/stripe.com",
        "aws.partner/stripe.com.evil/ed_1",
        "aws.partner/example.com/stripe.com/",
        "stripe.com.evil",
        "STRIPE.COM",
        " stripe.com",
        "aws.events",
    ],
)
def test_envelope_of_any_other_source_is_rejected(source: Any) -> None:
    with pytest.raises(RejectedDelivery, match="source"):
        open_eventbridge_envelope({**load("eventbridge_partner"), "source": source}, ANY)


@pytest.mark.parametrize("envelope", [None, [], "event", {}, EVENT, {"source": "stripe.com"}])
def test_eventbridge_input_that_is_no_envelope_is_rejected(envelope: object) -> None:
    with pytest.raises(RejectedDelivery, match="expected an EventBridge event"):
        open_eventbridge_envelope(envelope, ANY)


def test_webhook_request_on_the_eventbridge_route_is_rejected() -> None:
    with pytest.raises(RejectedDelivery):
        open_eventbridge_envelope(signed(EVENT), ANY)


def test_signed_body_is_the_stripe_event() -> None:
    assert open_webhook(signed(EVENT)) == EVENT


@pytest.mark.parametrize(
    "name", ["Stripe-Signature", "stripe-signature", "STRIPE-SIGNATURE", "sTRIPE-sIGNATURE"]
)
def test_signature_header_may_come_in_any_case(name: str) -> None:
    assert open_webhook(signed(EVENT, header_name=name)) == EVENT


def test_base64_body_is_verified_as_the_bytes_it_encodes() -> None:
    event = {**EVENT, "note": "J\N{LATIN SMALL LETTER E WITH ACUTE}nny"}
    assert open_webhook(signed(event, base64_encoded=True)) == event


@pytest.mark.parametrize("flag", [False, None, "true", 1])
def test_only_a_true_flag_means_base64(flag: object) -> None:
    assert open_webhook({**signed(EVENT), "isBase64Encoded": flag}) == EVENT


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "e30",
        "e30=!",
        "e3 0=",
        "====",
        "\N{SNOWMAN}",
        "e30\N{LATIN SMALL LETTER E WITH ACUTE}",
        "\ud800",
    ],
    ids=ascii,
)
def test_base64_flag_on_a_body_that_is_none_is_rejected(body: str) -> None:
    with pytest.raises(RejectedDelivery, match="not base64"):
        open_webhook(proxy_request(body, signature="t=1,v1=x", is_base64_encoded=True))


@pytest.mark.parametrize("raw", [b"\xff\xfe\x00", b'{"a": "\xc3\x28"}', b"\xed\xa0\x80"])
def test_bytes_that_are_not_utf8_are_rejected(raw: bytes) -> None:
    body = base64.b64encode(raw).decode()
    header = signature_header(raw.decode(errors="replace"), "whsec_test_secret", timestamp=T)
    with pytest.raises(RejectedDelivery, match="not UTF-8"):
        open_webhook(proxy_request(body, signature=header, is_base64_encoded=True))


def test_body_with_a_lone_surrogate_is_rejected() -> None:
    with pytest.raises(RejectedDelivery, match="not UTF-8"):
        open_webhook(proxy_request('{"id": "\udcff"}', signature=f"t={T},v1=x"))


def test_escaped_lone_surrogate_is_json_and_no_event_id() -> None:
    value = open_webhook(signed(json.dumps({**EVENT, "id": "evt_\ud800"})))
    with pytest.raises(RejectedDelivery, match="`id`"):
        read_event(value)


@pytest.mark.parametrize("signature", [None, "", 7, ["t=1"]])
def test_unsigned_request_is_rejected(signature: object) -> None:
    with pytest.raises(RejectedDelivery, match="Stripe-Signature"):
        open_webhook(proxy_request(body_of(EVENT), signature=signature))


@pytest.mark.parametrize("headers", [None, [], "Stripe-Signature: t=1", {}, {"7": "t=1"}])
def test_request_without_headers_is_rejected(headers: object) -> None:
    with pytest.raises(RejectedDelivery, match="Stripe-Signature"):
        open_webhook({**signed(EVENT), "headers": headers})


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not JSON",
        "{",
        "\N{ZERO WIDTH NO-BREAK SPACE}{}",
        "[" * 30_000 + "]" * 30_000,
        '{"a":' * 10_000 + "1" + "}" * 10_000,
        '{"id": ' + "9" * 5_000 + "}",
    ],
    ids=[
        "empty",
        "text",
        "cut off",
        "byte order mark",
        "deep array",
        "deep object",
        "huge int",
    ],
)
def test_signed_body_that_is_no_readable_json_is_rejected(body: str) -> None:
    with pytest.raises(RejectedDelivery, match="not JSON") as rejection:
        open_webhook(signed(body))
    assert rejection.value.__cause__ is None


@pytest.mark.parametrize("body", ["null", "7", "true", '"event"', "[]", "{}", "NaN"])
def test_signed_json_that_is_no_event_is_rejected(body: str) -> None:
    with pytest.raises(RejectedDelivery, match="not a Stripe event"):
        read_event(open_webhook(signed(body)))


def test_large_integer_in_a_signed_body_is_read() -> None:
    body = json.dumps(EVENT).replace("2598", "9" * 4_000)
    assert read_event(open_webhook(signed(body))).id == EVENT["id"]


@pytest.mark.parametrize(
    ("body", "encoded"),
    [
        ("x" * 1024**2, False),
        ("x" * (MAX_BODY_BYTES + 1), False),
        ("\N{LATIN SMALL LETTER E WITH ACUTE}" * (MAX_BODY_BYTES // 2 + 1), False),
        (base64.b64encode(b"x" * 1024**2).decode(), True),
        (base64.b64encode(b"x" * (MAX_BODY_BYTES + 1)).decode(), True),
        ("!" * 1024**2, True),
    ],
    ids=["1 MB", "1 byte", "2-byte characters", "base64 1 MB", "base64 1 byte", "garbage 1 MB"],
)
def test_body_that_is_too_large_is_refused_before_any_work(body: str, encoded: bool) -> None:
    request = proxy_request(body, signature=f"t={T},v1=x", is_base64_encoded=encoded)
    with pytest.raises(DeliveryTooLarge):
        open_webhook_request(request, Unasked(), plenty_of_time(), max_body_bytes=MAX_BODY_BYTES)


@pytest.mark.parametrize("encoded", [False, True])
def test_body_of_exactly_the_limit_is_read(encoded: bool) -> None:
    body = '"' + "x" * (MAX_BODY_BYTES - 2) + '"'
    assert open_webhook(signed(body, base64_encoded=encoded)) == json.loads(body)


@pytest.mark.parametrize(
    "request_", [None, [], "POST", {}, {"body": None}, {"body": 7}, {"body": {"id": "evt_1"}}]
)
def test_webhook_input_that_is_no_proxy_request_is_rejected(request_: object) -> None:
    with pytest.raises(RejectedDelivery, match="proxy request"):
        open_webhook(request_)


@pytest.mark.parametrize("name", ["eventbridge_partner", "eventbridge_forwarder"])
def test_unsigned_eventbridge_payload_on_the_webhook_is_rejected(name: str) -> None:
    with pytest.raises(RejectedDelivery, match="Stripe-Signature"):
        open_webhook(proxy_request(body_of(load(name))))


@pytest.mark.parametrize("name", ["eventbridge_partner", "eventbridge_forwarder"])
def test_signed_eventbridge_payload_on_the_webhook_is_no_stripe_event(name: str) -> None:
    with pytest.raises(RejectedDelivery, match="not a Stripe event"):
        read_event(open_webhook(signed(load(name))))


def test_eventbridge_payload_passed_to_the_webhook_function_is_rejected() -> None:
    with pytest.raises(RejectedDelivery, match="proxy request"):
        open_webhook(load("eventbridge_partner"))
