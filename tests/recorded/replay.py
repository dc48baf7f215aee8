# SPDX-License-Identifier: Apache-2.0

"""Replay recorded calls and hold the answers against those of the reference."""

from __future__ import annotations

import datetime
import gzip
import json
import pathlib
import warnings
from typing import TYPE_CHECKING, Any

from nova_sqlcore import RequestContext, UnknownColumnWarning, UnknownFilterWarning, exceptions
from tests.recorded.matching import Matcher, Names, decode

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = pathlib.Path(__file__).parent.parent / "data"

#: Functions that insert rows: a number that was really deleted may be handed out again.
_CREATES = ("create", "start", "add", "set", "update", "reserve", "ensure", "begin", "register", "associate", "archive")
_FAMILY = {"mysql": "mariadb", "postgresql": "postgresql"}


def records(name: str) -> list[dict[str, Any]]:
    """Return the records of a file of ``tests/data``."""
    with gzip.open(DATA / name, "rt") as lines:
        return [json.loads(line) for line in lines]


class Replay:
    """One run over a file of records on one back-end."""

    def __init__(self, api: Any, backend_name: str, clock: Any, names: Names | None = None) -> None:
        self._api = api
        self._family = _FAMILY.get(backend_name, backend_name)
        self._clock = clock
        self._names = names or Names()
        #: what the latest call has returned or raised
        self.last: Any = None

    def mismatches(self, recorded: list[dict[str, Any]]) -> Iterator[tuple[int, str]]:
        """Make every call and yield number and description of each wrong answer."""
        for record in recorded:
            self._clock.now = datetime.datetime.fromisoformat(record["now"])
            self.last = outcome = self._call(record)
            why = self._check(record, outcome)
            if why:
                yield record["n"], f"#{record['n']} {record['function']}: {why}"

    def _call(self, record: dict[str, Any]) -> Any:
        args = decode(record["args"], self._names, self._api)
        kwargs = decode(record["kwargs"], self._names, self._api)
        if record["context"] is not None:
            args = [RequestContext(**record["context"]), *args]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnknownColumnWarning)
            warnings.simplefilter("ignore", UnknownFilterWarning)
            try:
                return getattr(self._api, record["function"])(*args, **kwargs)
            except Exception as error:
                return error

    def _check(self, record: dict[str, Any], outcome: Any) -> str:
        """Return why the outcome is not among the accepted answers; empty if it is one."""
        if record.get("known_difference") and "required_result" not in record:
            return ""
        wanted = [record]
        if "required_result" in record:
            wanted = [{"result": record["required_result"], "unordered": record.get("unordered")}]
        other = record.get("differs_on", {}).get(self._family)
        if other is not None and not _is_crash(other):
            wanted.append({**record, **other} if "result" in other else {"error": other["error"]})
        whys = [self._differs(one, record, outcome) for one in wanted]
        return "" if "" in whys else whys[0]

    def _differs(self, wanted: dict[str, Any], record: dict[str, Any], outcome: Any) -> str:
        if "error" in wanted and not ("result" in wanted and wanted is not record):
            return self._other_error(wanted["error"], outcome)
        if isinstance(outcome, BaseException):
            return f"recorded a result, ours {type(outcome).__name__}: {str(outcome)[:300]}"
        if outcome is None and record.get("or_none"):
            return ""
        matcher = Matcher(
            self._names, renew=any(word in record["function"] for word in _CREATES), exact=bool(record.get("exact"))
        )
        if record.get("ordered") == "values":
            matcher.ordered_values()
        for result in _alternatives(wanted["result"], record.get("stored"), outcome):
            with self._names.attempt() as keep:
                if matcher.same(result, outcome, ordered=not record.get("unordered")):
                    keep()
                    return ""
        return matcher.why or "no pairing of the rows"

    def _other_error(self, recorded: dict[str, Any], outcome: Any) -> str:
        if not isinstance(outcome, BaseException):
            return f"recorded {recorded['class']}, ours {outcome!r:.300}"
        if recorded.get("any"):
            return ""
        if type(outcome).__name__ != recorded["class"]:
            return f"recorded {recorded['class']}, ours {type(outcome).__name__}: {str(outcome)[:300]}"
        kwargs = dict(getattr(outcome, "kwargs", {}))
        code = kwargs.pop("code", None)
        if "code" in recorded and code != recorded["code"]:
            return f"recorded code {recorded['code']}, ours {code}"
        loose = set(recorded.get("loose", ()))
        wanted = {key: value for key, value in recorded.get("kwargs", {}).items() if key not in loose}
        ours = {key: value for key, value in kwargs.items() if key in wanted}
        matcher = Matcher(self._names)
        if "columns" in recorded and sorted(recorded["columns"]) != sorted(getattr(outcome, "columns", [])):
            return f"recorded columns {recorded['columns']}, ours {getattr(outcome, 'columns', None)}"
        return "" if matcher.same(wanted, ours, "kwargs") else matcher.why


def _is_crash(other: dict[str, Any]) -> bool:
    """Tell whether the reference merely crashed there; such an answer excuses nothing."""
    kind = other.get("error", {}).get("class", "")
    return (kind != "" and not hasattr(exceptions, kind)) or kind == "DBError"


def _alternatives(result: Any, stored: dict[str, Any] | None, outcome: Any) -> Iterator[Any]:
    """Yield the recorded result, with the stored values in place of stale ones where there are some."""
    yield result
    if not stored:
        return
    names = list(stored)
    for choice in range(1, 2 ** len(names)):
        chosen = {name: stored[name] for place, name in enumerate(names) if choice >> place & 1}
        yield {**result, **chosen} if isinstance(result, dict) and "$tuple" not in result else _in_tuple(result, chosen)


def _in_tuple(result: Any, chosen: dict[str, Any]) -> Any:
    """Put stored values into the last row of a tuple, the new one of (old, new)."""
    *before, last = result["$tuple"]
    return {"$tuple": [*before, {**last, **chosen}]}
