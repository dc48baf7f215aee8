"""Errors are what callers of the reference catch and print (01-core 4.9 and 7).

tests/data/exceptions.json lists the domain errors: parent, code, arguments.
"""

from __future__ import annotations

import inspect
import json
import pathlib
import pickle
from typing import Any

import pytest

from nova_sqlcore import exceptions
from nova_sqlcore.settings import settings

DATA = pathlib.Path(__file__).parent.parent / "data" / "exceptions.json"
LISTED: dict[str, dict[str, Any]] = json.loads(DATA.read_text())


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
