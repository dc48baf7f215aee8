# SPDX-License-Identifier: Apache-2.0

"""The first argument of every function is the request context; anything else is refused, and the error says so."""

from __future__ import annotations

import inspect
import types
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from nova_sqlcore import RequestContext, api, get_admin_context, tables

if TYPE_CHECKING:
    from tests.plugins.counting import SqlCount

#: Every function that takes a context.
NAMES = [
    name
    for name, function in ((name, getattr(api, name)) for name in api.__all__)
    if inspect.isfunction(function) and [*inspect.signature(function).parameters][:1] == ["context"]
]
#: What callers hand in where they forget the context, and what the message says of it.
NO_CONTEXTS: dict[str, Any] = {
    "got None,": None,
    "got dict,": {"user_id": "u", "project_id": "p", "is_admin": True, "auth_token": "secret"},
    "got str,": "00000000-0000-0000-0000-000000000000",
    "got int,": 5,
    "got list,": [],
    "got <class 'nova_sqlcore.context.RequestContext'>,": RequestContext,
    "got SimpleNamespace, which has no read_deleted": types.SimpleNamespace(user_id="u", project_id="p", is_admin=True),
}


#: Functions that read nothing of their context but its cell.
CELL_ONLY = {"get_context_manager"}


def fitting(function: Any) -> list[Any]:
    """Return an argument for each that a function wants besides the context."""
    parameters = [*inspect.signature(function).parameters.values()][1:]
    if function is api.model_query:
        return [tables.instances]
    return [{} for one in parameters if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD]


def test_nearly_all_functions_take_a_context() -> None:
    assert len(NAMES) > 280


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("words", NO_CONTEXTS)
def test_what_is_no_context(words: str, sql_count: SqlCount) -> None:
    wrong = []
    for name in sorted({*NAMES} - CELL_ONLY):
        function = getattr(api, name)
        try:
            with sql_count(0):
                outcome = function(NO_CONTEXTS[words], *fitting(function))
                if inspect.isgenerator(outcome):
                    outcome = list(outcome)
        except TypeError as error:
            text = str(error)
        except Exception as error:
            text = repr(error)
        else:
            text = repr(outcome)
        if "the first argument is the request context" not in text or words not in text or "secret" in text:
            wrong.append(f"{name}: {text}")
    assert not wrong, "\n".join(wrong)


def test_no_argument_at_all() -> None:
    wrong = []
    for name in NAMES:
        try:
            getattr(api, name)()
        except TypeError as error:
            if "'context'" not in str(error):
                wrong.append(f"{name}: {error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.usefixtures("backend")
def test_an_object_with_the_attributes_is_enough() -> None:
    context: Any = types.SimpleNamespace(user_id="u", project_id="p", is_admin=False, read_deleted="no")
    assert api.instance_get_all(context) == []
    assert api.service_get_all(context) == []


@pytest.mark.usefixtures("backend")
def test_warnings_point_at_the_caller() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        api.service_create(get_admin_context(), {"hots": "h"})
        api.instance_create(RequestContext("u", "p"), {"hots": "h"})
    assert [warning.filename for warning in seen] == [__file__] * 3
