# SPDX-License-Identifier: Apache-2.0

"""A maintainer of a fork of Nova follows the guide "From nova.db" to the letter, on a database that Nova has filled."""

from __future__ import annotations

import importlib
import shlex
from typing import TYPE_CHECKING, Any, Final

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from nova_sqlcore import tables, tx
from nova_sqlcore.cli.app import app
from nova_sqlcore.settings import Settings, settings
from tests.pages import DOCS, ROOT, commands, examples
from tests.schema import dumps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugins.backend import Backend

PAGE: Final = "howto/from-nova-db.rst"
#: A stand-in of the fork: Nova itself can't be installed beside the libraries of today.
FORK: Final = ROOT / "tests" / "contrib" / "fork"
#: The address of the guide's examples.
URL: Final = "sqlite:///nova.sqlite"
#: What ends with something else than 0: the dump has orphans and wrong usages.
CODES: Final = {"check": 1}


@pytest.fixture
def url(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.URL]:
    """Lead to a database that the reference has made and filled; leave the library and the fork as they were."""
    monkeypatch.syspath_prepend(FORK)
    tx.close()
    with backend.new_database() as url:
        dumps.load(url)
        yield url
        tx.close()
    settings.__class__ = Settings  # the fork's CONF has been followed
    conf = importlib.import_module("nova.conf").CONF
    conf.reset()
    conf.clear_override("connection", "database")


def test_the_first_hour(url: sa.URL) -> None:
    address = url.render_as_string(hide_password=False)
    for example in examples(PAGE):
        for command in commands(example.text) if example.language == "console" else ():
            result = CliRunner(env={"NOVA_SQLCORE_URL": address}).invoke(app, shlex.split(command))
            assert result.exit_code == CODES.get(command, 0), f"{command}: {result.output}"
    swap, *others = (example for example in examples(PAGE) if example.language == "python")
    assert swap.text.strip() in (FORK / "nova" / "db" / "api.py").read_text()
    names: dict[str, Any] = {"__name__": PAGE, "tx": tx}
    for example in others:
        code = "\n" * (example.line - 1) + example.text.replace(URL, address)
        exec(compile(code, str(DOCS / PAGE), "exec"), names)
    reads_what_nova_has_written(names["db"].IMPL, names["admin_of_the_fork"](), url)


def reads_what_nova_has_written(db: Any, context: Any, url: sa.URL) -> None:
    live = sa.select(sa.func.count()).select_from(tables.instances).where(tables.instances.c.deleted == 0)
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        count = connection.execute(live).scalar_one()
    rows = db.instance_get_all(context)
    assert len(rows) == count > 100
    assert db.instance_get_by_uuid(context, rows[0]["uuid"])["uuid"] == rows[0]["uuid"]
