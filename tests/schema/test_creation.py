# SPDX-License-Identifier: Apache-2.0

"""Tables without migrations: the same that migrations make, from SQLAlchemy alone."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

import nova_sqlcore
from nova_sqlcore import api, exceptions, get_admin_context, schema, tables, tx
from nova_sqlcore.core import dialects
from nova_sqlcore.core.connections import tool_engine
from nova_sqlcore.schema import creation, migrations
from tests.schema import dumps, schemas
from tests.schema.test_schema import assert_same

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugins.backend import Backend

FLAVORS = tables.instance_types


@pytest.fixture
def url(backend: Backend) -> Iterator[sa.URL]:
    """An empty database."""
    with backend.new_database() as address:
        yield address


def rows(url: sa.URL) -> list[dict[str, Any]]:
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        return [dict(row) for row in connection.execute(sa.select(FLAVORS).order_by("id")).mappings()]


def run(url: sa.URL, *statements: Any) -> None:
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        for statement in statements:
            connection.execute(statement)


def test_it_makes_what_migrations_make(backend: Backend, url: sa.URL) -> None:
    assert sorted(schema.create(url)) == sorted(tables.metadata.tables)
    with backend.new_database() as migrated:
        migrations.migrate(migrated)
        wanted, found, flavors = schemas.read(migrated), schemas.read(url), rows(migrated)
    if backend.family == "sqlite":  # where the reference's order of columns is another than elsewhere
        for one in (wanted, found):
            one.tables["pci_devices"].columns.sort()
    assert_same(wanted, found)
    assert rows(url) == flavors
    run(url, FLAVORS.insert().values(name="sixth", memory_mb=1, vcpus=1, flavorid="six"))
    assert [row["id"] for row in rows(url)] == [1, 2, 3, 4, 5, 6]


def test_indexes_are_made_in_one_order() -> None:
    """MySQL from 9.6 on checks a foreign key by the first index that begins with it, unless a column there is NULL."""
    names = [index.name for index in tables.block_device_mapping.indexes]
    common = "block_device_mapping_instance_uuid"
    assert [name for name in names if str(name).startswith(common)] == [
        f"{common}_idx",
        f"{common}_device_name_idx",
        f"{common}_volume_id_idx",
    ]
    for table in tables.metadata.tables.values():
        lengths = [len(index.columns) for index in table.indexes]
        assert lengths == sorted(lengths), table.name


def test_a_second_call_makes_what_is_missing_and_migrations_may_take_over(url: sa.URL) -> None:
    schema.create(url.render_as_string(hide_password=False))
    run(url, FLAVORS.delete(), *(sa.schema.DropTable(one) for one in (tables.tags, tables.s3_images)))
    assert sorted(schema.create(url)) == ["s3_images", "tags"]
    assert len(rows(url)) == 5
    run(url, FLAVORS.update().values(name="changed", deleted=FLAVORS.c.id))
    assert schema.create(url) == []
    assert {row["name"] for row in rows(url)} == {"changed"}
    assert migrations.adopt(url) == []
    assert migrations.migrate(url) == ["0002.indexes-for-hot-statements", "0003.order-of-indexes"]


def test_what_nova_has_made_is_left_as_it_is(backend: Backend) -> None:
    with backend.new_database() as url:
        dumps.load(url)
        before = rows(url)
        assert schema.create(url) == []
        assert rows(url) == before


def test_other_tables_of_these_names_are_refused(url: sa.URL) -> None:
    run(url, sa.text("CREATE TABLE tags (id INTEGER)"))
    with pytest.raises(exceptions.SchemaDiffers, match="names of Nova's"):
        schema.create(url)
    assert sa.inspect(sa.create_engine(url, poolclass=sa.NullPool)).get_table_names() == ["tags"]


def test_several_at_once_make_each_table_once(url: sa.URL) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = sorted(pool.map(schema.create, [url] * 4), key=len)
    assert made[:3] == [[], [], []]
    assert len(made[3]) == len(tables.metadata.tables)
    assert len(rows(url)) == 5


def test_it_does_not_wait_for_ever(url: sa.URL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(creation, "WAIT", 0.1)
    with tool_engine(url).connect() as connection:
        assert dialects.family(url).hold(connection, "nova_sqlcore.create", 0)
        with pytest.raises(exceptions.DBMigrationError, match="somebody else"):
            schema.create(url)


def test_a_configured_database_and_one_in_memory() -> None:
    tx.close()
    tx.configure("sqlite://")
    try:
        assert len(schema.create(tx.main)) == len(tables.metadata.tables)
        assert schema.create(tx.main) == []
        flavors = api.flavor_get_all(get_admin_context(), sort_key="id")
    finally:
        tx.close()
    assert [flavor["name"] for flavor in flavors] == ["m1.medium", "m1.tiny", "m1.large", "m1.xlarge", "m1.small"]


def test_a_configured_database_in_a_file(backend: Backend, url: sa.URL) -> None:
    cell = tx.create_context_manager(url)
    try:
        schema.create(cell)
    finally:
        tx.close()
    assert len(rows(url)) == 5


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("sqlite://", "in memory.*create\\(tx.main\\)"),
        ("mysql+pymysql://nova@db", "names no database"),
        ("oracle://db/nova", "unknown database scheme"),
        (tx.Database("cell"), "no address"),
    ],
)
def test_databases_that_can_not_be(address: Any, text: str) -> None:
    with pytest.raises(exceptions.DBError, match=text):
        schema.create(address)


LEAN = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"yoyo", "click", "rich", "dateutil", "sqlparse", "pymysql", "psycopg"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from nova_sqlcore import schema
from nova_sqlcore.schema import migrations

try:
    migrations.migrate("sqlite:///nova.sqlite")
except migrations.exceptions.DBMigrationError as error:
    assert "pip install 'nova-sqlcore[cli]'" in str(error) and "schema.create" in str(error), error
else:
    raise AssertionError
schema.create("sqlite:///nova.sqlite")
"""


def test_sqlalchemy_alone_is_enough_for_the_ten_lines(tmp_path: Path) -> None:
    root = Path(nova_sqlcore.__file__).parents[1]
    example = (root / "README.md").read_text().split("```python\n")[1].split("```")[0]
    command = [sys.executable, "-W", "error", "-c", LEAN + example]
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("committed\nweb\n", "")
