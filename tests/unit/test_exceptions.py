# SPDX-License-Identifier: Apache-2.0

"""Errors are what callers of the reference catch and print (01-core 4.9 and 7).

tests/data/exceptions.json lists the domain errors: parent, code, arguments.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import json
import pathlib
import pickle
import pkgutil
import sqlite3
import threading
from typing import Any

import psycopg
import pymysql
import pytest
import sqlalchemy as sa

import nova_sqlcore
from nova_sqlcore import exceptions
from nova_sqlcore.settings import settings

DATA = pathlib.Path(__file__).parent.parent / "data" / "exceptions.json"
LISTED: dict[str, dict[str, Any]] = json.loads(DATA.read_text())


class Unpicklable(Exception):
    """As an error is that holds a lock, a socket or a frame."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


class Templated(exceptions.NovaException):
    msg_fmt = "no %(what)s"
    code = 418


def test_there_are_no_others() -> None:
    domain = inspect.getmembers(
        exceptions, lambda one: inspect.isclass(one) and issubclass(one, exceptions.NovaException)
    )
    assert {name for name, _ in domain} == set(LISTED)


@pytest.mark.parametrize("name", LISTED)
def test_parent_code_and_message(name: str) -> None:
    about = LISTED[name]
    kind = getattr(exceptions, name)
    assert [parent.__name__ for parent in kind.__bases__] == [about["parent"]]
    assert (kind.code, kind.headers, kind.safe) == (about["code"], {}, name == "NoMoreFloatingIps")
    given = {argument: f"<{argument}>" for argument in about["arguments"]}
    error = kind(**given)
    assert error.kwargs == {"code": about["code"], **given}
    assert error.message == error.args[0] == error.format_message() == str(error)
    assert all(value in str(error) for value in given.values())
    assert name == "InvalidSortKey" or str(kind("said otherwise")) == "said otherwise"


@pytest.mark.parametrize("name", LISTED)
@pytest.mark.parametrize("value", [None, 7, ["a"], {}])
def test_any_value_can_be_told(name: str, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "fatal_exception_format_errors", True)
    kind = getattr(exceptions, name)
    assert str(kind(**dict.fromkeys(LISTED[name]["arguments"], value)))


class TestMessages:
    def test_of_the_template(self) -> None:
        error = Templated(what="tea", code=503)
        assert (str(error), error.kwargs, error.code) == ("no tea", {"what": "tea", "code": 503}, 418)

    @pytest.mark.parametrize("message", ["ready %(what)s", ValueError("x"), 7])
    def test_given(self, message: Any) -> None:
        error = Templated(message, what="tea")
        assert error.message is error.args[0] is error.format_message() is message
        assert str(error) == str(message)

    @pytest.mark.parametrize("message", [None, ""])
    def test_that_say_nothing(self, message: Any) -> None:
        assert str(Templated(message, what="tea")) == "no tea"

    def test_that_can_not_be_filled(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        assert str(Templated()) == "no %(what)s"
        assert "Templated" in caplog.text
        monkeypatch.setattr(settings, "fatal_exception_format_errors", True)
        with pytest.raises(KeyError):
            Templated()


class TestDatabaseErrors:
    """4.9: callers raise some of these themselves."""

    @pytest.mark.parametrize(
        "kind",
        [
            exceptions.DBError,
            exceptions.DBDeadlock,
            exceptions.DBDataError,
            exceptions.DBConnectionError,
            exceptions.DBDuplicateEntry,
        ],
    )
    def test_without_arguments(self, kind: Any) -> None:
        error = kind()
        assert (error.inner_exception, str(error)) == (None, "")
        assert isinstance(error, exceptions.DBError)

    def test_with_a_cause_or_a_text(self) -> None:
        cause = ValueError("why")
        assert exceptions.DBDeadlock(cause).inner_exception is cause
        assert str(exceptions.DBDeadlock(cause)) == "why"
        assert str(exceptions.DBError("so")) == "so"

    def test_positions(self) -> None:
        duplicate = exceptions.DBDuplicateEntry(["a"], "why", "value")
        assert (duplicate.columns, str(duplicate), duplicate.value) == (["a"], "why", "value")
        assert exceptions.DBDuplicateEntry().columns == []
        reference = exceptions.DBReferenceError("t", "c", "k", "kt", "why")
        assert (reference.table, reference.constraint, reference.key, reference.key_table) == ("t", "c", "k", "kt")
        check = exceptions.DBConstraintError("t", "n", "why")
        assert (check.table, check.check_name, str(check)) == ("t", "n", "why")
        cause = LookupError("no more")
        assert exceptions.RetryRequest(cause).inner_exc is cause
        assert not issubclass(exceptions.RetryRequest, exceptions.DBError)
        assert issubclass(exceptions.NoEngineContextEstablished, AttributeError)

    @pytest.mark.parametrize("args", [(), ("name",)])
    def test_sort_keys(self, args: tuple[Any, ...]) -> None:
        error = exceptions.InvalidSortKey(*args)
        assert error.key == (args[0] if args else None)
        assert exceptions.InvalidSortKey(key="name").key == "name"

    @pytest.mark.parametrize(
        ("name", "columns"),
        [
            ("uniq_services0host0binary0deleted", ["host", "binary", "deleted"]),
            ("services.uniq_services0host0topic0deleted", ["host", "topic", "deleted"]),
            ("PRIMARY", ["PRIMARY"]),
            ("instances.uuid", ["uuid"]),
            ("uniq_cells0name0deleted", ["name", "deleted"]),
        ],
    )
    def test_columns_of_keys(self, name: str, columns: list[str]) -> None:
        assert exceptions.columns_of_key(name) == columns


@pytest.mark.parametrize(
    "error",
    [
        exceptions.InstanceNotFound(instance_id="u"),
        exceptions.OverQuota(overs=["cores"], quotas={}, usages={}),
        exceptions.InvalidSortKey("name"),
        exceptions.DBDuplicateEntry(["a"], "why", "value"),
        exceptions.DBReferenceError("t", "c", "k", "kt", "why"),
        exceptions.DBConstraintError("t", "n", "why"),
        exceptions.DatabaseNotMigrated("no such table: t"),
        exceptions.SchemaDiffers("a", ["b"], ["c"]),
        exceptions.RetryRequest(LookupError("no more")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_travel_between_processes(error: Exception) -> None:
    other = pickle.loads(pickle.dumps(error))
    assert (type(other), str(other)) == (type(error), str(error))
    assert {key: str(value) for key, value in vars(other).items()} == {
        key: str(value) for key, value in vars(error).items()
    }


def every_error() -> list[type[BaseException]]:
    """Return all exception classes that some module of the library defines."""
    needs_more = ("nova_sqlcore.__main__", "nova_sqlcore.contrib.nova")  # it runs the command; it needs a fork of Nova
    found: list[type[BaseException]] = []
    for module in pkgutil.walk_packages(nova_sqlcore.__path__, "nova_sqlcore."):
        if not module.name.startswith(needs_more):
            for one in vars(importlib.import_module(module.name)).values():
                if isinstance(one, type) and issubclass(one, BaseException) and one.__module__ == module.name:
                    found.append(one)
    return found


def made(kind: type[BaseException]) -> BaseException:
    """Return an error of this class, with something for each of its arguments."""
    if issubclass(kind, exceptions.NovaException):
        return kind(**{name: f"<{name}>" for name in LISTED.get(kind.__name__, {}).get("arguments", ())})
    if not any("__init__" in vars(parent) for parent in kind.__mro__ if parent.__module__ != "builtins"):
        return kind("why")
    samples: dict[str, Any] = {"inner_exc": LookupError("x"), "columns": ["a"], "pool_timeout": 0.5, "number": 15}
    parameters = [one for one in inspect.signature(kind).parameters.values() if one.kind is one.POSITIONAL_OR_KEYWORD]
    return kind(*[samples.get(one.name, one.name) for one in parameters])


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: str(kind.__name__))
@pytest.mark.parametrize("travel", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_every_error_of_the_library_survives(kind: type[BaseException], travel: Any) -> None:
    error = made(kind)
    other = travel(error)
    assert (type(other), str(other), repr(other.args)) == (kind, str(error), repr(error.args))
    assert repr(vars(other)) == repr(vars(error))


@pytest.mark.parametrize(
    "inner",
    [
        sqlite3.OperationalError("database is locked"),
        pymysql.IntegrityError(1062, "Duplicate entry"),
        psycopg.errors.UniqueViolation("duplicate key"),
        sa.exc.OperationalError("SELECT 1", {}, sqlite3.OperationalError("x")),
        Unpicklable("x"),
    ],
    ids=lambda inner: type(inner).__name__,
)
def test_an_error_travels_with_that_of_its_driver(inner: Exception) -> None:
    error = exceptions.DBDuplicateEntry(["a"], inner)
    error.__cause__ = inner
    for other in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert type(other) is exceptions.DBDuplicateEntry
        assert (str(other), other.columns, str(other.inner_exception)) == (str(error), ["a"], str(inner))
