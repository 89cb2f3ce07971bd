"""The database's certificate is verified, by authority and by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from local.servers.delaying_proxy import DelayingProxy
from local.servers.mariadb import MariaDBServer
from settlement.adapters.database import Database, FixedCredentials
from settlement.domain.clock import Deadline
from settlement.errors import LedgerUnavailable
from tests.support.cachao import PASSWORD, USER, Cachao


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def encrypted(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cachao]:
    """A database on a server with a certificate for localhost and no other name."""
    directory = tmp_path_factory.mktemp("tls")
    directory.chmod(0o755)
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(directory / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(directory / "cert.pem")
    options = {"ssl_cert": str(directory / "cert.pem"), "ssl_key": str(directory / "key.pem")}
    with MariaDBServer(options=options) as server:
        yield Cachao(server, migrated=False)


def ask(cachao: Cachao, *, host: str, ca_file: Path | None) -> object:
    settings = replace(cachao.settings(host=host), ca_file=ca_file)
    with closing(Database(settings, FixedCredentials(USER, PASSWORD))) as database:
        return database.query("SHOW STATUS LIKE 'Ssl_cipher'", Deadline(5))[0][1]


def trust(authority: trustme.CA, directory: Path) -> Path:
    path = directory / "authority.pem"
    authority.cert_pem.write_to_path(path)
    return path


def test_connection_is_encrypted_when_the_certificate_is_right(
    encrypted: Cachao, authority: trustme.CA, tmp_path: Path
) -> None:
    assert ask(encrypted, host="localhost", ca_file=trust(authority, tmp_path)) != ""


def test_encrypted_connection_is_kept_between_invocations(
    encrypted: Cachao, authority: trustme.CA, tmp_path: Path
) -> None:
    """What TLS 1.3 sends after the handshake is no answer that nobody has asked for."""
    settings = replace(encrypted.settings(host="localhost"), ca_file=trust(authority, tmp_path))
    with closing(Database(settings, FixedCredentials(USER, PASSWORD))) as database:
        connections = {database.query("SELECT CONNECTION_ID()", Deadline(30)) for _ in range(3)}
    assert len(connections) == 1


def test_encrypted_call_ends_before_its_deadline_though_every_answer_comes_in_time(
    encrypted: Cachao, authority: trustme.CA, tmp_path: Path
) -> None:
    deadline = Deadline(1.0)
    with DelayingProxy(encrypted.server.host, encrypted.server.port, one_way_seconds=0.2) as proxy:
        settings = encrypted.settings(host="localhost", port=proxy.port)
        settings = replace(settings, ca_file=trust(authority, tmp_path))
        with (
            closing(Database(settings, FixedCredentials(USER, PASSWORD))) as database,
            pytest.raises(LedgerUnavailable),
        ):
            database.query("DO 1", deadline)
    assert deadline.remaining() > -Deadline.ANSWER_RESERVE_SECONDS


def test_unknown_authority_is_refused(encrypted: Cachao, tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        ask(encrypted, host="localhost", ca_file=trust(trustme.CA(), tmp_path))


def test_other_name_is_refused(encrypted: Cachao, authority: trustme.CA, tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match="IP address mismatch"):
        ask(encrypted, host="127.0.0.1", ca_file=trust(authority, tmp_path))


def test_server_without_tls_is_refused(
    shared_cachao: Cachao, authority: trustme.CA, tmp_path: Path
) -> None:
    with pytest.raises(LedgerUnavailable):
        ask(shared_cachao, host="localhost", ca_file=trust(authority, tmp_path))


def test_connection_is_plain_only_without_authorities(shared_cachao: Cachao) -> None:
    assert ask(shared_cachao, host="127.0.0.1", ca_file=None) == ""
