# SPDX-License-Identifier: Apache-2.0

"""The flat namespace is what callers of the reference expect.

tests/data/signatures.json lists the reference's functions: parameters, scope, guards.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import pathlib
from typing import Any

import pytest

from nova_sqlcore import RequestContext, api, exceptions, get_admin_context, tx
from nova_sqlcore.queries.compute import tags

DATA = pathlib.Path(__file__).parent.parent / "data" / "signatures.json"
SIGNATURES: dict[str, dict[str, Any]] = json.loads(DATA.read_text())
BESIDES = {
    "Constraint",
    "EqualityCondition",
    "InequalityCondition",
    "MAX_INT",
    "PER_PROJECT_QUOTAS",
    "QUOTA_SYNC_FUNCTIONS",
    "_DEFAULT_QUOTA_NAME",
    "_SHADOW_TABLE_PREFIX",
    "_compute_node_select",
    "api_context_manager",
    "compute_nodes_update",
    "convert_objects_related_datetimes",
    "instance_get_many",
    "instance_update_many",
    "instances_create",
    "main_context_manager",
    "services_heartbeat",
    "wrap_db_retry",
}
ADMIN = get_admin_context()


def recorded(signature: str) -> list[tuple[str, Any]]:
    """Return names and defaults of a signature in text form."""
    (function,) = ast.parse(f"def function{signature}: ...").body
    assert isinstance(function, ast.FunctionDef)
    given = function.args
    names = [argument.arg for argument in given.args]
    defaults = [inspect.Parameter.empty] * (len(names) - len(given.defaults))
    defaults += [ast.literal_eval(default) for default in given.defaults]
    rest = [argument.arg for argument in (given.vararg, given.kwarg) if argument is not None]
    return [*zip(names, defaults, strict=True), *((name, inspect.Parameter.empty) for name in rest)]


def ours(function: Any) -> list[tuple[str, Any]]:
    """Return names and defaults of a function; keyword-only parameters are the library's own additions."""
    found = inspect.signature(function).parameters.values()
    shared = [parameter for parameter in found if parameter.kind is not inspect.Parameter.KEYWORD_ONLY]
    return [(one.name, list(one.default) if isinstance(one.default, tuple) else one.default) for one in shared]


def functions(**marks: Any) -> list[str]:
    """Return the names of the functions with these marks; the first test tells those that are missing."""
    return [name for name, about in SIGNATURES.items() if marks.items() <= about.items() and hasattr(api, name)]


def call(name: str, context: Any) -> Any:
    """Call a function with None for every other argument, and nothing where rows are awaited."""
    required = [
        parameter
        for parameter in inspect.signature(getattr(api, name)).parameters.values()
        if parameter.default is inspect.Parameter.empty
    ]
    return getattr(api, name)(context, *([] if one.name == "ips" else None for one in required[1:]))


def test_the_namespace_holds_the_references_names_and_no_others() -> None:
    assert set(api.__all__) - set(SIGNATURES) == BESIDES
    missing = sorted(set(SIGNATURES) - set(api.__all__))
    assert not missing, f"{len(missing)} functions are missing: {', '.join(missing)}"


def test_type_checkers_are_told_the_same() -> None:
    stub = ast.parse(pathlib.Path(api.__file__).with_suffix(".pyi").read_text())
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom) and node.module != "types"]
    told = {str(name.asname): (str(node.module), name.name) for node in imports for name in node.names}
    assert {*told, "get_backend"} == set(api.__all__)
    for name, (module, original) in told.items():
        assert getattr(importlib.import_module(module), original) is getattr(api, name)


def test_names_are_those_of_dir_and_of_a_star_import() -> None:
    assert set(api.__all__) <= set(dir(api))
    found: dict[str, Any] = {}
    exec("from nova_sqlcore.api import *", found)
    assert set(api.__all__) <= set(found)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'nova_sqlcore\.api' has no attribute 'instance_fly'"):
        api.instance_fly  # type: ignore[attr-defined]  # noqa: B018  # the access is the test
    assert not hasattr(api, "_private")


def test_what_a_test_puts_in_a_functions_place_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "instance_tag_add"
    own = getattr(api, name)
    monkeypatch.delitem(vars(api), name)
    with monkeypatch.context() as replaced:
        replaced.setattr(tags, name, print)
        assert getattr(api, name) is print
    assert getattr(api, name) is own


@pytest.mark.parametrize("name", functions())
def test_parameters(name: str) -> None:
    assert ours(getattr(api, name)) == recorded(SIGNATURES[name]["signature"])


@pytest.mark.parametrize("name", functions())
def test_every_function_is_documented_under_its_name(name: str) -> None:
    function = getattr(api, name)
    assert function.__name__ == name
    assert function.__module__.startswith("nova_sqlcore.")
    assert function.__doc__
    assert "transaction" not in SIGNATURES[name] or "Cost: " in function.__doc__


@pytest.mark.parametrize("name", functions(transaction="writer"))
def test_writers_are_refused_in_a_reader(name: str) -> None:
    with tx.reader(ADMIN), pytest.raises(TypeError, match="a writer can't join"):
        call(name, ADMIN)


@pytest.mark.parametrize("name", [*functions(transaction="writer"), *functions(transaction="reader")])
def test_what_must_not_lag_is_refused_in_a_reader_of_the_replica(name: str) -> None:
    with tx.reader(ADMIN, replica=True), pytest.raises(TypeError, match="can't join"):
        call(name, ADMIN)


@pytest.mark.parametrize("name", functions(requires_context=True))
@pytest.mark.parametrize("context", [RequestContext(), RequestContext("user"), RequestContext(project_id="project")])
def test_incomplete_contexts_are_refused(name: str, context: RequestContext) -> None:
    with pytest.raises(exceptions.Forbidden):
        call(name, context)
    assert not hasattr(context, "transaction")


def takes(name: str, names: list[str]) -> bool:
    """Tell whether a function takes these keywords, whatever it makes of None."""
    try:
        getattr(api, name)(ADMIN, **dict.fromkeys(names))
    except TypeError as error:
        return "keyword argument" not in str(error) and "missing" not in str(error)
    except Exception:
        return True
    return True


@pytest.mark.only_on("sqlite", why="how arguments are named is the same everywhere")
@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("name", [name for name, about in SIGNATURES.items() if "public_face_names" in about])
def test_the_names_of_the_public_face_are_keywords_too(name: str) -> None:
    _, *face = (one for one, _ in recorded(SIGNATURES[name]["public_face_names"]))
    assert takes(name, face)
    assert takes(name, [one for one, _ in ours(getattr(api, name))][1:])
    assert not takes(name, [*face, "no_such_name"])


def test_the_back_end_is_the_namespace() -> None:
    assert api.get_backend() is api
    assert api.MAX_INT == 0x7FFFFFFF
