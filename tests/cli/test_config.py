# SPDX-License-Identifier: Apache-2.0

"""A nova.conf tells the database, its options, and the knobs of the library."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from nova_sqlcore import tx
from nova_sqlcore.cli import config
from nova_sqlcore.cli.app import app
from nova_sqlcore.schema import migrations
from nova_sqlcore.settings import settings

if TYPE_CHECKING:
    from pathlib import Path

NOVA_CONF = """
[DEFAULT]
# a comment
until_refresh = 5
enable_new_services = false
osapi_compute_unique_server_name_scope=project
transport_url = rabbit://%s:$password@host

[database]
connection = {url}
max_pool_size: 7
connection_recycle_time = 60
mysql_sql_mode =
unknown_option = 1
[api_database]
connection = sqlite:///api
[quota]
max_age = 3
"""


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "nova.conf"
    path.write_text(text)
    return str(path)


def test_options_and_knobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("until_refresh", "enable_new_services", "osapi_compute_unique_server_name_scope", "max_age"):
        monkeypatch.setattr(settings, name, getattr(settings, name))
    found = config.read(write(tmp_path, NOVA_CONF.replace("{url}", f"sqlite:///{tmp_path}/n.sqlite")))
    tx.close()
    try:
        found.apply(str(found.url))
        assert (tx.main.options.pool_size, tx.main.options.pool_recycle) == (7, 60)
    finally:
        tx.close()
    assert (settings.until_refresh, settings.max_age, settings.enable_new_services) == (5, 3, False)
    assert settings.osapi_compute_unique_server_name_scope == "project"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("connection = x", "no section"),
        ("[database]\nmax_pool_size = many", "max_pool_size is a number"),
        ("[DEFAULT]\nenable_new_services = perhaps", "enable_new_services is true or false"),
        ("[DEFAULT]\n", "no database"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    result = CliRunner(env={"NOVA_SQLCORE_URL": None}).invoke(app, ["db", "version", "--config", write(tmp_path, text)])
    assert result.exit_code == 2
    assert words in result.stderr


def test_a_command_takes_its_database_from_the_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/n.sqlite"
    migrations.migrate(url)
    arguments = ["db", "version", "--config", write(tmp_path, NOVA_CONF.replace("{url}", url))]
    result = CliRunner(env={"NOVA_SQLCORE_URL": None}).invoke(app, arguments)
    assert (result.exit_code, result.stdout) == (0, "0003.order-of-indexes\n")
    assert "[api_database] is not used" in result.stderr
