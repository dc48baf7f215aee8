# SPDX-License-Identifier: Apache-2.0

"""What every function sends, taken down as the recorded calls run: the command ``nova-sqlcore sql`` shows it.

``make statements`` runs this as a program on private servers and writes the data that the package ships, and the round
trips of every function to ``tests/data/round_trips.txt``; ``test_trace`` holds both against what is sent today.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import gzip
import json
import random
import re
import sqlite3
import tempfile
import uuid
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from nova_sqlcore import api, clock, exceptions, get_admin_context, tables, tx
from nova_sqlcore.cli.recorded import DATA
from nova_sqlcore.schema import migrations
from tests import servers
from tests.plugins.backend import cheap
from tests.plugins.clock import FrozenClock
from tests.plugins.wire import led_by
from tests.recorded import replay
from tests.recorded.replay import Replay, records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.plugins.wire import Wire

#: Calls whose recorded answer is an accident of the recording, though nothing there says so.
ACCIDENTS = {
    # the status came as a unicode text, which the reference took for a list of letters; one text is one status
    964,
    # the reference's migration of uuids saved whole objects, which rewrote ``pci_stats`` in another form
    1019,
}
#: The longest text of a call's arguments.
LONGEST = 200
_BEGINNINGS: Final = ("BEGIN", "START TRANSACTION")
#: It differs from run to run.
_NAME_OF_SAVEPOINT: Final = re.compile(r"(?<=SAVEPOINT )nova_\w+")
#: (the texts of the statements of a call) by function, in the order in which they first came
Sequences = dict[str, dict[tuple[str, ...], dict[str, Any]]]
Trips = dict[str, set[int]]


class Recorder:
    """Takes down the statements of calls; a function's calls are told apart by what they send."""

    def __init__(self, *, with_values: bool = False, wire: Wire | None = None) -> None:
        self.found: Sequences = {}
        #: how many round trips the calls of each function take
        self.trips: Trips = {}
        self._wire = wire
        self._with_values = with_values
        self._sent: list[tuple[str, str, Any]] = []
        self._executed: tuple[str, Any] | None = None
        #: round trips of the transactions of a call, as reports tell them
        self._reported: list[int] = []

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Hear what is sent; the values travel on SQLAlchemy's road only."""
        remove = tx.observe_statements(self._note)
        remove_too = tx.observe(lambda report: self._reported.append(report.round_trips))
        if self._with_values:
            sa.event.listen(sa.Engine, "before_cursor_execute", self._note_values)
        try:
            yield
        finally:
            remove()
            remove_too()
            if self._with_values:
                sa.event.remove(sa.Engine, "before_cursor_execute", self._note_values)

    def _note(self, report: tx.StatementReport) -> None:
        if report.text.startswith(_BEGINNINGS):  # told where it travels with the first statement
            return
        plain = _NAME_OF_SAVEPOINT.sub("nova", report.text)
        text, values = self._executed or (plain, None)
        self._sent.append((plain, text, values))
        self._executed = None

    def _note_values(self, connection: Any, cursor: Any, text: str, values: Any, context: Any, many: bool) -> None:
        is_list = isinstance(values, list)  # of rows, unless they are spelled out in the text
        self._executed = text, (values[0] if many and is_list else values)

    def call(self, function: str, arguments: str, call: Callable[[], BaseException | None]) -> None:
        """Make a call, which returns its error, and take down what it sends."""
        self._sent.clear()
        self._reported.clear()
        before = self._wire.trips if self._wire else 0
        error = call()
        if self._wire:
            self.trips.setdefault(function, set()).add(self._wire.trips - before)
        key = tuple(text for text, _, _ in self._sent)
        calls = self.found.setdefault(function, {})
        if key in calls:
            calls[key]["calls"] += 1
            return
        calls[key] = {
            "call": f"{function}({arguments})",
            "calls": 1,
            "error": None if error is None else type(error).__name__,
            "round_trips": sum(self._reported),
            "sent": [(text, _plain(values)) for _, text, values in self._sent],
        }


def _plain(values: Any) -> Any:
    """Return a statement's values as JSON has them."""
    if isinstance(values, dict):
        return {name: _plain(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [_plain(value) for value in values]
    return {"$datetime": values.isoformat()} if isinstance(values, datetime.datetime) else values


def arguments_of(record: dict[str, Any]) -> str:
    """Return the arguments of a recorded call as Python has them, cut to ``LONGEST``."""
    given = ["context"] if record["context"] is not None else []
    given += [repr(_untagged(value)) for value in record["args"]]
    given += [f"{name}={_untagged(value)!r}" for name, value in record["kwargs"].items()]
    text = ", ".join(given)
    return text if len(text) <= LONGEST else text[: LONGEST - 4].rstrip() + " ..."


def _untagged(value: Any) -> Any:
    if isinstance(value, list):
        return [_untagged(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and (tag := next(iter(value))).startswith("$"):
        return value[tag][1] if tag == "$id" else _untagged(value[tag])
    return {name: _untagged(item) for name, item in value.items()}


def record(recorder: Recorder, runner: Replay, trace: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """Make the recorded calls, and those that the recording lacks; return the wrong answers."""
    wrong: list[tuple[int, str]] = []
    with recorder.listening():
        for one in trace:

            def call(one: dict[str, Any] = one) -> BaseException | None:
                wrong.extend(runner.mismatches([one]))
                return runner.last if isinstance(runner.last, BaseException) else None

            recorder.call(one["function"], arguments_of(one), call)
        _record_machinery(recorder)
    return wrong


def _record_machinery(recorder: Recorder) -> None:
    """Call what is no query itself, but sends something in the hands of its caller."""
    context = get_admin_context()

    def look(context: Any, identity: Any) -> None:
        """Stand for a function that is decorated."""

    def query() -> None:
        with tx.reader(context) as transaction:
            transaction.rows(api.model_query(context, tables.services))

    calls: dict[str, tuple[str, Callable[[], Any]]] = {
        "require_instance_exists_using_uuid": (
            "f)(context, 'uuid'",
            lambda: api.require_instance_exists_using_uuid(look)(context, "uuid"),
        ),
        "require_aggregate_exists": ("f)(context, 1", lambda: api.require_aggregate_exists(look)(context, 1)),
        "model_query": ("context, tables.services", query),
    }
    for name, (arguments, function) in calls.items():

        def call(function: Callable[[], Any] = function) -> None:
            with contextlib.suppress(exceptions.NotFound):
                function()

        recorder.call(name, arguments, call)


# -- the shipped data -------------------------------------------------------------------------------------------------


def document(found: Sequences, server: str) -> dict[str, Any]:
    """Return what is shipped for one server; each statement stands there once."""
    texts: dict[str, int] = {}
    functions: dict[str, Any] = {name: [] for name in sorted(signatures())}
    for name, calls in found.items():
        functions[name] = [
            {
                **{key: one[key] for key in ("call", "calls", "error", "round_trips")},
                "statements": [
                    # and the text of any such call, which lists of values do not make longer
                    [_place(texts, text), values, _place(texts, form)]
                    for form, (text, values) in zip(key, one["sent"], strict=True)
                ],
            }
            for key, one in _telling(calls).items()
        ]
    return {"server": server, "statements": list(texts), "functions": functions}


def _place(texts: dict[str, int], text: str) -> int:
    return texts.setdefault(text, len(texts))


def _telling(calls: dict[tuple[str, ...], Any]) -> dict[tuple[str, ...], Any]:
    """Leave out calls that were refused before anything was sent."""
    return {key: one for key, one in calls.items() if key}


def sent(found: Sequences) -> dict[str, list[list[str]]]:
    """Return the texts of each kind of call, by function."""
    return {name: [[*key] for key in _telling(calls)] for name, calls in found.items() if _telling(calls)}


def shipped(server: str) -> dict[str, list[list[str]]]:
    """Return the same of what the package says."""
    content = json.loads(gzip.decompress((DATA / f"{server}.json.gz").read_bytes()))
    texts = content["statements"]
    return {
        name: [[texts[form] for _, _, form in call["statements"]] for call in calls]
        for name, calls in content["functions"].items()
        if calls
    }


def reported_trips(found: Sequences) -> dict[str, list[int]]:
    """Return the round trips of each kind of call, by function."""
    return {name: [one["round_trips"] for one in _telling(calls).values()] for name, calls in found.items()}


def shipped_trips(server: str) -> dict[str, list[int]]:
    """Return the same of what the package says."""
    functions = json.loads(gzip.decompress((DATA / f"{server}.json.gz").read_bytes()))["functions"]
    return {name: [call["round_trips"] for call in calls] for name, calls in functions.items()}


ROUND_TRIPS = replay.DATA / "round_trips.txt"


def written_trips() -> dict[str, Trips]:
    """Return the round trips of each function that the file tells, by server."""
    head, *lines = ROUND_TRIPS.read_text().splitlines()
    rows = [line.split() for line in lines]
    return {
        server: {row[0]: {int(number) for number in row[place].split(",")} for row in rows if row[place] != "-"}
        for place, server in enumerate(head.split()[1:], start=1)
    }


def write_trips(trips: dict[str, Trips]) -> None:
    """Write the file: a line for each function, and in it, for each server, all that its calls have taken."""
    names = sorted(set().union(*trips.values()))
    table = [["function", *trips]]
    table += [
        [name, *(",".join(map(str, sorted(found.get(name, ())))) or "-" for found in trips.values())] for name in names
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in table)
    ROUND_TRIPS.write_text("".join(f"{line}\n" for line in lines))


@contextlib.contextmanager
def counted(url: sa.URL) -> Iterator[tuple[Recorder, sa.URL]]:
    """Give a recorder, and an address by way of which it counts round trips; sqlite has none.

    psycopg prepares nothing meanwhile: what comes for the first time would take a trip more.
    """
    if url.get_backend_name() == "sqlite":
        yield Recorder(), url
        return
    with led_by(url) as (wire, way):
        yield Recorder(wire=wire), way


def connect(url: sa.URL) -> None:
    """Use a database from now on, with connections that are there before anything is counted."""
    tx.close()
    tx.configure(url, prepare_threshold=None, batch=True)
    for link in (tx.main.link_reader(), tx.main.link_writer()):
        tx.main.take_back(link)


def signatures() -> set[str]:
    """Return the names of the 305 functions."""
    return set(json.loads((replay.DATA / "signatures.json").read_text()))


def _record(family: str, url: sa.URL, recorder: Recorder) -> None:
    frozen, numbers = FrozenClock(), random.Random(0)
    clock.utcnow = frozen
    uuid.uuid4 = lambda: uuid.UUID(int=numbers.getrandbits(128), version=4)  # so that every run ships the same
    migrations.migrate(url)
    connect(url)
    wrong = [number for number, _ in record(recorder, Replay(api, family, frozen), records("trace.jsonl.gz"))]
    tx.close()
    assert not {*wrong} - ACCIDENTS, wrong


def _make(name: str, server: str, new_database: Callable[[], contextlib.AbstractContextManager[sa.URL]]) -> Trips:
    """Record twice: the statements as users send them, and their values on SQLAlchemy's road, which knows them.

    Return the round trips.
    """
    with new_database() as url, counted(url) as (users, way):
        _record(url.get_backend_name(), way, users)
    valued = Recorder(with_values=True)
    with new_database() as url:
        _record(url.get_backend_name(), url, valued)
    values = {
        form: one
        for calls in valued.found.values()
        for key, call in calls.items()
        for form, one in zip(key, call["sent"], strict=True)
    }
    for calls in users.found.values():
        for key, call in calls.items():
            call["sent"] = [values.get(form, (form, None)) for form in key]
    content = json.dumps(document(users.found, server), separators=(",", ":"), ensure_ascii=False)
    (DATA / f"{name}.json.gz").write_bytes(gzip.compress(content.encode(), mtime=0))
    print(f"{name}: {len(content) // 1024} KiB")
    return users.trips


@contextlib.contextmanager
def _file() -> Iterator[sa.URL]:
    with tempfile.TemporaryDirectory() as directory:
        yield sa.make_url(f"sqlite:///{directory}/x.sqlite")


@contextlib.contextmanager
def _database(server: servers.Server) -> Iterator[sa.URL]:
    yield cheap(server.create_database("statements"))  # and nobody counts round trips through TLS
    server.drop_database("statements")


def main() -> None:
    """Write the data of every server."""
    _make("sqlite", f"sqlite {sqlite3.sqlite_version}", _file)
    with servers.running(*servers.PRODUCTS) as up:
        makers = {name: functools.partial(_database, server) for name, server in up.items()}
        write_trips({name: _make(name, up[name].version, maker) for name, maker in makers.items()})


if __name__ == "__main__":
    main()
