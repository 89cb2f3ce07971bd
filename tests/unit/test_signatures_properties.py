"""Nothing is accepted here that Stripe's own library would refuse."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from stripe import SignatureVerificationError, WebhookSignature

from settlement.adapters.signatures import FixedSigningSecrets, SignatureVerifier
from settlement.errors import RejectedDelivery
from tests.support.events import PAID, body_of, load, signature_header
from tests.support.invocations import NOW, plenty_of_time

SECRETS = ("whsec_one", "whsec_two")
T = int(NOW.timestamp())
TOLERANCE = 300
BODY = body_of(load(PAID))
HEADER = signature_header(BODY, *SECRETS, timestamp=T)

bodies = st.text(max_size=20) | st.just(BODY)
timestamps = st.integers(T - 302, T + 302) | st.integers(0, 10**13)


def accepts(body: bytes, header: str) -> bool:
    verifier = SignatureVerifier(
        FixedSigningSecrets(SECRETS), tolerance=timedelta(seconds=TOLERANCE), clock=lambda: NOW
    )
    try:
        verifier.verify(body, header, plenty_of_time())
    except RejectedDelivery:
        return False
    return True


def stripe_accepts(body: bytes, header: str) -> bool:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return False
    for secret in SECRETS:
        try:
            return bool(WebhookSignature.verify_header(text, header, secret))
        except (SignatureVerificationError, TypeError):
            continue
    return False


@st.composite
def headers(draw: st.DrawFn, body: str) -> str:
    """Headers made of the right parts, often in the wrong way."""
    moment = draw(timestamps)
    digests = [
        WebhookSignature.generate_signature_header(body, secret, timestamp=signed_at)
        for secret in (*SECRETS, "whsec_forged")
        for signed_at in (moment, T)
    ]
    signature = st.sampled_from([header.partition("v1=")[2] for header in digests])
    part = st.one_of(
        st.builds("v1={}".format, signature),
        st.builds("t={}".format, timestamps),
        st.just(f"t={moment}"),
        st.builds("v0={}".format, signature),
        st.text("tv01= \N{ARABIC-INDIC DIGIT ONE}", max_size=5),
    )
    first = draw(st.just([f"t={moment}"]) | st.just([]))
    return ",".join(first + draw(st.lists(part, max_size=4)))


@settings(deadline=None, max_examples=500)
@given(st.data(), bodies)
def test_whatever_is_accepted_stripes_library_accepts_too(data: st.DataObject, body: str) -> None:
    header = data.draw(headers(body))
    if accepts(body.encode(), header):
        assert stripe_accepts(body.encode(), header)
        signed_at = next(item for item in header.split(",") if item.startswith("t="))
        assert abs(int(signed_at.split("=")[1]) - T) <= TOLERANCE


@settings(deadline=None)
@given(bodies, st.integers(T - TOLERANCE, T + TOLERANCE), st.sampled_from(SECRETS))
def test_whatever_stripe_signs_just_now_is_accepted(body: str, moment: int, secret: str) -> None:
    assert accepts(body.encode(), signature_header(body, secret, timestamp=moment))


@settings(deadline=None)
@given(st.integers(0, len(BODY.encode()) - 1), st.integers(1, 255))
def test_a_body_with_one_byte_changed_is_refused(position: int, flip: int) -> None:
    body = bytearray(BODY.encode())
    body[position] ^= flip
    assert not accepts(bytes(body), HEADER)


@settings(deadline=None, max_examples=300)
@given(st.integers(0, len(HEADER) - 1), st.characters())
def test_a_header_with_one_character_changed_never_passes_for_more(
    position: int, character: str
) -> None:
    header = HEADER[:position] + character + HEADER[position + 1 :]
    assume(header != HEADER)
    if accepts(BODY.encode(), header):
        # Two signatures stand in the header: the other one still verifies.
        assert stripe_accepts(BODY.encode(), header)
        assert header.startswith(f"t={T},")


@settings(deadline=None)
@given(st.binary(max_size=40), st.text(st.characters(), max_size=40))
def test_arbitrary_bytes_and_headers_are_refused(body: bytes, header: str) -> None:
    assert not accepts(body, header)
