"""A body counts as Stripe's when Stripe's own library says so, and its timestamp is now."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import timedelta

import pytest

from settlement.adapters.secrets import SecretsManagerSecret
from settlement.adapters.signatures import (
    FixedSigningSecrets,
    SignatureVerifier,
    signing_secrets_of,
)
from settlement.domain.clock import Deadline
from settlement.errors import ConfigurationError, RejectedDelivery
from tests.support.events import PAID, body_of, load, signature_header
from tests.support.invocations import NOW, plenty_of_time

SECRET = "whsec_test_secret"
T = int(NOW.timestamp())
BODY = body_of(load(PAID))


def verify(body: str | bytes, header: str | None, *secrets: str, seconds_later: float = 0.0) -> str:
    moment = NOW + timedelta(seconds=seconds_later)
    verifier = SignatureVerifier(
        FixedSigningSecrets(secrets or (SECRET,)),
        tolerance=timedelta(seconds=300),
        clock=lambda: moment,
    )
    raw = body.encode() if isinstance(body, str) else body
    return verifier.verify(raw, header, plenty_of_time())


def test_a_signature_of_stripes_library_is_accepted() -> None:
    assert verify(BODY, signature_header(BODY, SECRET, timestamp=T)) == BODY


def test_the_signature_is_hmac_sha256_of_timestamp_and_body() -> None:
    """Computed here without the library ("Verify webhook signatures manually", Stripe)."""
    digest = hmac.new(SECRET.encode(), f"{T}.{BODY}".encode(), hashlib.sha256).hexdigest()
    assert verify(BODY, f"t={T},v1={digest}") == BODY


def test_the_body_is_signed_as_it_came() -> None:
    body = '{ "name":"J\N{LATIN SMALL LETTER E WITH ACUTE}nny \N{TICKET}",\r\n "a" : 1.0}\n'
    header = signature_header(body, SECRET, timestamp=T)
    assert verify(body, header) == body
    with pytest.raises(RejectedDelivery):
        verify(body.replace("\r\n", "\n"), header)


@pytest.mark.parametrize("seconds", [-300, -299, -1, 0, 299, 300])
def test_a_timestamp_within_the_tolerance_is_accepted(seconds: int) -> None:
    header = signature_header(BODY, SECRET, timestamp=T)
    assert verify(BODY, header, seconds_later=seconds) == BODY


@pytest.mark.parametrize(
    ("seconds", "direction"),
    [(300.5, "old"), (301, "old"), (10**9, "old"), (-301, "future"), (-(10**9), "future")],
)
def test_a_timestamp_beyond_the_tolerance_is_refused(seconds: float, direction: str) -> None:
    header = signature_header(BODY, SECRET, timestamp=T)
    with pytest.raises(RejectedDelivery, match=direction):
        verify(BODY, header, seconds_later=seconds)


def test_stripes_library_alone_would_take_a_signature_from_the_future() -> None:
    """Why the timestamp is checked here: a far-future one would be replayable until then."""
    from stripe import WebhookSignature

    far = 2**31
    header = signature_header(BODY, SECRET, timestamp=far)
    assert WebhookSignature.verify_header(BODY, header, SECRET, tolerance=300)
    with pytest.raises(RejectedDelivery, match="in the future"):
        verify(BODY, header)


@pytest.mark.parametrize("secrets", [(SECRET, "whsec_old"), ("whsec_old", SECRET)])
def test_any_secret_of_the_list_verifies(secrets: tuple[str, str]) -> None:
    assert verify(BODY, signature_header(BODY, SECRET, timestamp=T), *secrets) == BODY


@pytest.mark.parametrize("signed_with", [(SECRET, "whsec_new"), ("whsec_new", SECRET)])
def test_one_of_several_v1_signatures_suffices(signed_with: tuple[str, str]) -> None:
    """Stripe signs with both secrets while one is being rolled."""
    assert verify(BODY, signature_header(BODY, *signed_with, timestamp=T)) == BODY


@pytest.mark.parametrize(
    "extra", ["v1=bad_signature", "v0=6ffbb59b2300", "v2=", "", "x", "=", "t=1"]
)
def test_what_stands_beside_a_good_signature_does_not_matter(extra: str) -> None:
    header = signature_header(BODY, SECRET, timestamp=T)
    assert verify(BODY, f"{header},{extra}") == BODY


GOOD = signature_header(BODY, SECRET, timestamp=T).partition("v1=")[2]


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        ",",
        "bad_header",
        "i'm not even a real signature header",
        f"v1={GOOD}",
        f"t={T}",
        f"t={T},v1=",
        f"t={T},v1=bad_signature",
        f"t={T},v1={GOOD[:-1]}",
        f"t={T},v1={GOOD.upper()}",
        f"t={T},v0={GOOD}",
        f"t={T},V1={GOOD}",
        f"t={T}, v1={GOOD}",
        f"t={T + 1},v1={GOOD}",
        f"t={T + 1},t={T},v1={GOOD}",
        f"t=,v1={GOOD}",
        f"t,v1={GOOD}",
        f"t= {T},v1={GOOD}",
        f"t=+{T},v1={GOOD}",
        f"t={T}.0,v1={GOOD}",
        f"t=1_{T % 10**9},v1={GOOD}",
        f"t={'9' * 5000},v1={GOOD}",
        f"t={T},v1={GOOD[:-1]}\N{FULLWIDTH DIGIT ONE}",
        f"t={str(T).translate({48 + n: 0x0660 + n for n in range(10)})},v1={GOOD}",
        f"t={str(T).translate({48 + n: 0xFF10 + n for n in range(10)})},v1={GOOD}",
        f"t={T},v1={GOOD},x=\udcff",
        f"t={T},v1={GOOD},x=\N{LATIN SMALL LETTER E WITH ACUTE}",
        f"t={T};v1={GOOD}",
    ],
    ids=ascii,
)
def test_any_other_header_is_refused(header: str | None) -> None:
    with pytest.raises(RejectedDelivery):
        verify(BODY, header)


@pytest.mark.parametrize(
    "body", [BODY + " ", BODY[1:], BODY.replace("42", "43"), "", "\N{ZERO WIDTH NO-BREAK SPACE}"]
)
def test_another_body_is_refused(body: str) -> None:
    with pytest.raises(RejectedDelivery, match="no signing secret matches"):
        verify(body, signature_header(BODY, SECRET, timestamp=T))


@pytest.mark.parametrize("secrets", [("whsec_other",), (SECRET.upper(),), ("", " ")])
def test_another_secret_is_refused(secrets: tuple[str, ...]) -> None:
    with pytest.raises(RejectedDelivery, match="no signing secret matches"):
        verify(BODY, signature_header(BODY, SECRET, timestamp=T), *secrets)


def test_an_empty_secret_signs_nothing() -> None:
    with pytest.raises(RejectedDelivery):
        verify(BODY, signature_header(BODY, "", timestamp=T), "")


@pytest.mark.parametrize(
    "body", [b"\xff\xfe", b'{"a": "\xc3"}', "\ud800".encode(errors="surrogatepass")]
)
def test_bytes_that_are_not_utf8_are_refused(body: bytes) -> None:
    text = body.decode(errors="replace")
    with pytest.raises(RejectedDelivery, match="not UTF-8"):
        verify(body, signature_header(text, SECRET, timestamp=T))


@pytest.mark.parametrize("header", [f"t={T},v1=marker", "marker-header", f"t={T - 999},v1=marker"])
def test_a_refusal_repeats_neither_header_nor_body_nor_secret(header: str) -> None:
    with pytest.raises(RejectedDelivery) as refusal:
        verify("marker-body", header, "whsec_marker")
    assert "marker" not in str(refusal.value)
    assert refusal.value.__cause__ is None


class Store:
    """Secrets Manager with one secret: what it holds now, and how often it was asked."""

    def __init__(self, **value: object) -> None:
        self.value: Mapping[str, object] = value
        self.reads = 0
        self.seconds = 1000.0

    def fetch(self, _arn: str, _deadline: Deadline) -> Mapping[str, object]:
        self.reads += 1
        return self.value

    def verifier(self) -> SignatureVerifier:
        secret = SecretsManagerSecret(
            "arn", signing_secrets_of, fetch=self.fetch, monotonic=lambda: self.seconds
        )
        return SignatureVerifier(secret, tolerance=timedelta(seconds=300), clock=lambda: NOW)


def accepts(verifier: SignatureVerifier, *secrets: str) -> bool:
    header = signature_header(BODY, *secrets, timestamp=T)
    try:
        return verifier.verify(BODY.encode(), header, plenty_of_time()) == BODY
    except RejectedDelivery:
        return False


def test_a_stored_secret_is_read_once() -> None:
    store = Store(webhook_secret="whsec_1")
    verifier = store.verifier()
    assert [accepts(verifier, "whsec_1") for _ in range(3)] == [True] * 3
    assert store.reads == 1


def test_a_stored_secret_may_hold_several() -> None:
    verifier = Store(webhook_secret=" whsec_1 ,whsec_2,").verifier()
    assert accepts(verifier, "whsec_1")
    assert accepts(verifier, "whsec_2")


def test_a_rotated_secret_is_read_again_when_none_matches() -> None:
    store = Store(webhook_secret="whsec_old")
    verifier = store.verifier()
    assert accepts(verifier, "whsec_old")
    store.value = {"webhook_secret": "whsec_new"}
    store.seconds += 60
    assert accepts(verifier, "whsec_new")
    assert accepts(verifier, "whsec_new")
    assert store.reads == 2


def test_forged_signatures_do_not_become_calls_to_secrets_manager() -> None:
    store = Store(webhook_secret="whsec_1")
    verifier = store.verifier()
    store.seconds += 60
    for _ in range(50):
        assert not accepts(verifier, "whsec_forged")
    assert store.reads == 1
    store.seconds += SecretsManagerSecret.MIN_AGE_SECONDS
    for _ in range(50):
        assert not accepts(verifier, "whsec_forged")
    assert store.reads == 2


def test_a_stale_timestamp_is_refused_before_any_secret_is_read() -> None:
    store = Store(webhook_secret="whsec_1")
    header = signature_header(BODY, "whsec_1", timestamp=T - 301)
    with pytest.raises(RejectedDelivery):
        store.verifier().verify(BODY.encode(), header, plenty_of_time())
    assert store.reads == 0


@pytest.mark.parametrize(
    "value", [{}, {"webhook_secret": None}, {"webhook_secret": " , "}, {"webhook_secret": ["x"]}]
)
def test_a_stored_secret_without_a_webhook_secret_is_a_configuration_error(
    value: dict[str, object],
) -> None:
    with pytest.raises(ConfigurationError, match="the secret arn: the key 'webhook_secret'"):
        accepts(Store(**value).verifier(), "whsec_1")
