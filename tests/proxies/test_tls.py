# SPDX-License-Identifier: Apache-2.0

"""TLS to MariaDB, MySQL and PostgreSQL, with certificates of our own: what docs/howto/tls.rst says."""

from __future__ import annotations

import datetime
import importlib.util
import shutil
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest
import sqlalchemy as sa
import trustme

from nova_sqlcore import exceptions, get_admin_context, tables, tx
from tests import servers
from tests.core.test_secrets import all_of
from tests.proxies.conftest import VERSIONS
from tests.servers import base

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DRIVERS: Final = {
    "mariadb": ["mysql+pymysql", "mysql+mysqldb"],
    "mysql": ["mysql+pymysql", "mysql+mysqldb"],
    "postgresql": ["postgresql+psycopg"],
}
if importlib.util.find_spec("MySQLdb") is None:  # an extra that is built from source
    for drivers in DRIVERS.values():
        drivers[:] = [driver for driver in drivers if driver != "mysql+mysqldb"]

#: How a URL asks for a server's certificate that this CA has signed, for this host.
VERIFIED: Final = {
    "mysql+pymysql": {"ssl_ca": "{ca}", "ssl_verify_identity": "true"},
    "mysql+mysqldb": {"ssl_ca": "{ca}", "ssl_verify_identity": "true"},
    "postgresql+psycopg": {"sslrootcert": "{ca}", "sslmode": "verify-full"},
}
#: Asks how the session is encrypted; the second value is empty or false if it is not.
HOW: Final = {
    "mysql": "SHOW STATUS LIKE 'Ssl_cipher'",
    "postgresql": "SELECT 1, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
}
#: Lets a server read its certificate anew.
RELOAD: Final = {
    "mariadb": "FLUSH SSL",
    "mysql": "ALTER INSTANCE RELOAD TLS",
    "postgresql": "SELECT pg_reload_conf()",
}


class Secured(NamedTuple):
    """A server with TLS, and the certificates."""

    server: servers.Server
    directory: Path
    ours: trustme.CA
    url: sa.URL

    def show(self, name: str, until: datetime.datetime | None = None) -> None:
        """Let the server show a certificate of our CA for this host name."""
        write(self.directory, self.ours.issue_cert(name, not_after=until), self.server)
        self.server.command(RELOAD[self.server.name])
        if self.server.name == "postgresql":
            time.sleep(0.1)  # a signal tells it

    def arguments(self, ca: str = "ours") -> dict[str, str]:
        """Return the part of a URL that asks for a certificate of this CA."""
        path = f"{self.directory}/{ca}.pem"
        return {name: text.format(ca=path) for name, text in VERIFIED[self.url.drivername].items()}


def write(directory: Path, certificate: trustme.LeafCert, server: servers.Server) -> None:
    certificate.private_key_pem.write_to_path(str(directory / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(directory / "certificate.pem"))
    base.own(directory, base.account(server.account))
    (directory / "key.pem").chmod(0o600)  # PostgreSQL insists


@pytest.fixture(scope="module", params=[(name, driver) for name, drivers in DRIVERS.items() for driver in drivers])
def secured(request: pytest.FixtureRequest, started: dict[str, tuple[servers.Server, Path, trustme.CA]]) -> Secured:
    name, driver = request.param
    if name not in started:
        started[name] = start(name)
    server, directory, ours = started[name]
    url = server.url("nova").set(drivername=driver)
    VERSIONS.add(f"TLS to {server.version} with {driver.partition('+')[2]}")
    return Secured(server, directory, ours, url)


@pytest.fixture(scope="module")
def started() -> Iterator[dict[str, tuple[servers.Server, Path, trustme.CA]]]:
    up: dict[str, tuple[servers.Server, Path, trustme.CA]] = {}
    yield up
    for server, directory, _ in up.values():
        server.stop()
        shutil.rmtree(directory)


def start(name: str) -> tuple[servers.Server, Path, trustme.CA]:
    product = servers.PRODUCTS[name]
    directory = base.new_directory(base.account(product.account))
    ours, theirs = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(str(directory / "ours.pem"))
    theirs.cert_pem.write_to_path(str(directory / "theirs.pem"))
    files = {"cert": f"{directory}/certificate.pem", "key": f"{directory}/key.pem"}
    if name == "postgresql":
        options = {"ssl": "on", "ssl_cert_file": files["cert"], "ssl_key_file": files["key"]}
    else:
        options = {"ssl_ca": f"{directory}/ours.pem", "ssl_cert": files["cert"], "ssl_key": files["key"]}
    server = product(None, **options)
    write(directory, ours.issue_cert(base.HOST), server)
    server.start()
    url = server.create_database("nova")
    tables.metadata.create_all(sa.create_engine(url, poolclass=sa.NullPool), [tables.certificates])
    return server, directory, ours


def cipher(url: sa.URL) -> str:
    """Return how the library's sessions are encrypted, those that read and those that write."""
    database = tx.Database("TLS")
    database.configure(url)
    try:
        found = set()
        for scope in (database.reader, database.writer):
            with scope(get_admin_context()) as t:
                found.add(t.connection.exec_driver_sql(HOW[url.get_backend_name()]).one()[1])
        (one,) = found
        return str(one or "")
    finally:
        database.close()


def refusal(secured: Secured, url: sa.URL) -> str:
    """Return the text of the error of a connection that is refused; the password is nowhere in it."""
    with pytest.raises(exceptions.DBConnectionError) as caught:
        cipher(url)
    password = secured.url.password
    assert password
    assert str(password) not in all_of(caught.value)
    return str(caught.value)


def test_a_verified_connection_is_encrypted(secured: Secured) -> None:
    secured.show(base.HOST)
    found = cipher(secured.url.update_query_dict(secured.arguments()))
    assert found.startswith("TLS_") if secured.server.name != "postgresql" else found == "True"


def test_the_certificate_of_another_ca(secured: Secured) -> None:
    secured.show(base.HOST)
    said = refusal(secured, secured.url.update_query_dict(secured.arguments("theirs")))
    assert "certificate" in said


def test_the_certificate_of_another_host(secured: Secured) -> None:
    secured.show("db.example.org")
    said = refusal(secured, secured.url.update_query_dict(secured.arguments()))
    # the last is mysqlclient's word for every reason
    assert any(
        text in said for text in ("does not match", "doesn't match", "mismatch", "not valid for", "Validation")
    ), said


def test_a_certificate_that_has_expired(secured: Secured) -> None:
    secured.show(base.HOST, datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=2))
    time.sleep(2.5)  # MySQL would refuse to show one that has expired already
    said = refusal(secured, secured.url.update_query_dict(secured.arguments()))
    assert "expired" in said or "certificate verify failed" in said


def test_a_ca_file_that_is_not_there(secured: Secured) -> None:
    secured.show(base.HOST)
    said = refusal(secured, secured.url.update_query_dict(secured.arguments("nowhere")))
    assert "nowhere.pem" in said or secured.url.get_driver_name() == "mysqldb"  # which says "SSL connection error"


@pytest.mark.parametrize("word", ["1", "true", "yes"])
def test_no_tls_where_the_url_says_so(secured: Secured, word: str) -> None:
    secured.show(base.HOST)
    arguments = {"ssl_disabled": word} if secured.url.get_backend_name() == "mysql" else {"sslmode": "disable"}
    assert cipher(secured.url.update_query_dict(arguments)) in ("", "False")


@pytest.mark.parametrize("word", ["0", "false", "no"])
def test_words_for_false_switch_nothing_off(secured: Secured, word: str) -> None:
    """To PyMySQL itself any text is true: ``ssl_disabled=false`` would mean no TLS."""
    secured.show(base.HOST)
    more = {"ssl_disabled": word} if secured.url.get_backend_name() == "mysql" else {}
    assert cipher(secured.url.update_query_dict(secured.arguments() | more)) not in ("", "False")


@pytest.fixture(scope="module", params=[(name, driver) for name, found in DRIVERS.items() for driver in found])
def plain(request: pytest.FixtureRequest) -> Iterator[sa.URL]:
    """Return the address of a server that has no TLS."""
    name, driver = request.param
    options = {"postgresql": {"ssl": "off"}, "mariadb": {"skip_ssl": "1"}, "mysql": {"tls_version": ""}}
    with servers.PRODUCTS[name](None, **options[name]) as server:
        yield server.url().set(drivername=driver)


def test_a_server_without_tls(plain: sa.URL, tmp_path: Path) -> None:
    """Whoever asks for a certificate is not content with none."""
    ca = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(ca))
    query = {name: text.format(ca=ca) for name, text in VERIFIED[plain.drivername].items()}
    with pytest.raises(exceptions.DBConnectionError, match=r"(?i)ssl|tls"):
        cipher(plain.update_query_dict(query))
