# SPDX-License-Identifier: Apache-2.0

"""Files of sqlite: in use by others, gone, not to be written, too large for their disk."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import exceptions, get_admin_context, tables, tx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Use = Callable[..., tx.Database]

_NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that an account without privileges can reach."""
    with tempfile.TemporaryDirectory(prefix="nova-files-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture
def use() -> Iterator[Use]:
    """Return a function that opens a database."""
    with contextlib.ExitStack() as stack:

        def make(path: Any, **options: Any) -> tx.Database:
            database = tx.Database("file")
            database.configure(str(path) if "://" in str(path) else f"sqlite:///{path}", **options)
            stack.callback(database.close)
            return database

        yield make


@contextlib.contextmanager
def without_privileges() -> Iterator[None]:
    """Be somebody who may not do everything, for the length of a block."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def create(path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{path}")
    tables.metadata.create_all(engine, [tables.certificates])
    engine.dispose()


def names(database: tx.Database) -> list[str]:
    @database.reader
    def read(context: Any) -> list[str]:
        return tx.current(context).scalars(sa.select(tables.certificates.c.file_name))

    return read(get_admin_context())


def store(database: tx.Database, name: str) -> None:
    @database.writer
    def write(context: Any) -> None:
        tx.current(context).insert(tables.certificates, {"file_name": name})

    write(get_admin_context())


def test_first_use_while_another_process_writes(folder: Path, use: Use) -> None:
    """The file is not in WAL yet, and can't be set to it now; a later connection does that."""
    path = folder / "nova.sqlite"
    create(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO certificates (file_name) VALUES ('other')")
    database = use(path, busy_timeout=1)
    began = time.perf_counter()
    assert names(database) == []
    assert time.perf_counter() - began < 0.5
    with pytest.raises(exceptions.DBLockTimeout):
        store(database, "too early")
    other.execute("COMMIT")
    store(database, "mine")
    assert names(database) == ["other", "mine"]
    other.close()
    database.close()
    database = use(path)
    assert names(database) == ["other", "mine"]
    with database.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 1


def test_many_first_uses_at_once(folder: Path, use: Use) -> None:
    path = folder / "nova.sqlite"
    create(path)
    databases = [use(path) for _ in range(5)]
    for number, database in enumerate(databases):
        store(database, str(number))
    assert names(databases[0]) == list("01234")


def test_a_file_that_is_removed(folder: Path, use: Use) -> None:
    """What is written to it would be lost without a word; no new, empty file takes its place."""
    path = folder / "nova.sqlite"
    create(path)
    database = use(path)
    store(database, "a")
    assert names(database) == ["a"]
    path.unlink()
    for _ in range(2):
        with pytest.raises(exceptions.DBConnectionError, match=f"has been removed since it was opened: {path}"):
            store(database, "b")
    time.sleep(1)
    with pytest.raises(exceptions.DBConnectionError, match="has been removed"):
        names(database)
    assert not path.exists()


def test_a_file_that_is_replaced(folder: Path, use: Use) -> None:
    """As by a restored backup: the next writer goes to the new one, and readers after it."""
    path, other = folder / "nova.sqlite", folder / "backup.sqlite"
    create(path)
    create(other)
    database = use(path)
    store(database, "old")
    assert names(database) == ["old"]
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    other.replace(path)
    store(database, "new")
    time.sleep(1)  # idle readers are looked at that often
    assert names(database) == ["new"]


def test_no_such_folder(folder: Path, use: Use) -> None:
    path = folder / "missing" / "nova.sqlite"
    with pytest.raises(exceptions.DBConnectionError) as raised:
        names(use(path))
    assert str(path) in str(raised.value)
    assert f"its folder {path.parent} does not exist" in str(raised.value)


def test_a_folder_in_place_of_a_file(folder: Path, use: Use) -> None:
    with pytest.raises(exceptions.DBConnectionError, match=f"{folder}; that is a folder"):
        names(use(folder))


def test_something_else_in_place_of_a_database(folder: Path, use: Use) -> None:
    path = folder / "nova.sqlite"
    path.write_text("something else, and long enough to be looked at " * 30)
    with pytest.raises(exceptions.DBConnectionError, match=f"file is not a database: {path}"):
        names(use(path))


def test_a_folder_that_may_not_be_written(folder: Path, use: Use) -> None:
    path = folder / "nova.sqlite"
    with without_privileges():
        if os.geteuid() != _NOBODY:
            folder.chmod(0o555)
        with pytest.raises(exceptions.DBConnectionError) as raised:
            names(use(path))
    folder.chmod(0o755)
    assert f"unable to open database file: {path}" in str(raised.value)
    assert f"its folder {folder} exists, but this user may not write there" in str(raised.value)


def test_a_file_that_may_not_be_written_can_be_read(folder: Path, use: Use) -> None:
    path = folder / "nova.sqlite"
    create(path)
    path.chmod(0o444)
    folder.chmod(0o555)
    try:
        with without_privileges():
            database = use(path)
            assert names(database) == []
            with pytest.raises(exceptions.DBReadOnly, match="this user may not write the file"):
                store(database, "a")
            assert names(database) == []
    finally:
        folder.chmod(0o755)


def test_a_database_that_is_opened_for_reading(folder: Path, use: Use) -> None:
    path = folder / "nova.sqlite"
    create(path)
    database = use(f"sqlite:///file:{path}?mode=ro&uri=true")
    assert names(database) == []
    with pytest.raises(exceptions.DBReadOnly):
        store(database, "a")


def test_a_full_disk(folder: Path, use: Use) -> None:
    """The call fails and leaves nothing; when there is room again all goes on."""
    path = folder / "nova.sqlite"
    create(path)
    database = use(path)
    store(database, "a")
    with database.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

    def limit(pages: int) -> None:
        database.engine.dispose()
        with database.engine.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    def fill() -> None:
        with database.writer(get_admin_context()) as t:
            t.insert_many(tables.certificates, [{"file_name": "x" * 255}] * 500)

    limit(pages)
    with pytest.raises(exceptions.DBError, match=f"database or disk is full: {path}") as raised:
        fill()
    assert type(raised.value) is exceptions.DBError
    assert names(database) == ["a"]
    limit(pages + 1000)
    fill()
    assert len(names(database)) == 501


@pytest.mark.parametrize("url", ["sqlite:///file::memory:?cache=shared&uri=true", "sqlite://", "sqlite:///:memory:"])
def test_databases_in_memory(use: Use, url: str) -> None:
    database = use(url)
    tables.metadata.create_all(database.engine, [tables.certificates])
    store(database, "a")
    assert names(database) == ["a"]
