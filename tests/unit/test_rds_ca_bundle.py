"""The certificate authorities that a database's certificate is verified against."""

from __future__ import annotations

import json
import re
import ssl
from typing import Any

import pytest

from scripts.update_rds_ca_bundle import HEADER, PACKAGE, ROOT, bundle
from settlement.configuration import RDS_CA_BUNDLE

CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
TEXT = RDS_CA_BUNDLE.read_text(encoding="ascii")
CERTIFICATES = CERTIFICATE.findall(TEXT)


def trusted() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=RDS_CA_BUNDLE)
    return context


def test_every_certificate_is_an_authority() -> None:
    store = trusted().cert_store_stats()
    assert store["x509_ca"] == store["x509"] == len(CERTIFICATES) == len(set(CERTIFICATES))


def names_of_authorities() -> set[str]:
    # The stub allows for flat pairs too; ssl gives ((("commonName", "…"),), …).
    subjects: list[Any] = [authority["subject"] for authority in trusted().get_ca_certs()]
    return {dict(item[0] for item in subject)["commonName"] for subject in subjects}


def test_it_trusts_rds_and_the_authorities_of_rds_proxy_alone() -> None:
    """RDS Proxy shows a certificate of AWS Certificate Manager ("Using TLS with RDS Proxy")."""
    of_the_proxy = {
        *(f"Amazon Root CA {number}" for number in range(1, 5)),
        "Starfield Services Root Certificate Authority - G2",
    }
    others = {name for name in names_of_authorities() if not name.startswith("Amazon RDS ")}
    assert others == of_the_proxy


@pytest.mark.parametrize("region", ["eu-west-1", "eu-central-1", "us-east-1", "ap-southeast-2"])
@pytest.mark.parametrize("key", ["RSA2048 G1", "RSA4096 G1", "ECC384 G1"])
def test_each_region_has_an_authority_for_each_kind_of_key(region: str, key: str) -> None:
    assert f"Amazon RDS {region} Root CA {key}" in names_of_authorities()


def test_the_file_is_what_the_script_writes_of_these_certificates() -> None:
    assert bundle(CERTIFICATES) == TEXT
    assert TEXT.startswith(HEADER)


def test_a_broken_certificate_is_never_written() -> None:
    broken = CERTIFICATES[0].replace("MII", "AAA", 1)
    with pytest.raises(ssl.SSLError):
        bundle([broken])


def test_the_package_it_comes_from_is_pinned() -> None:
    pinned = json.loads((ROOT / "package.json").read_text())["devDependencies"][PACKAGE]
    assert re.fullmatch(r"\d+\.\d+\.\d+", pinned)
