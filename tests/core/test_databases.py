# SPDX-License-Identifier: Apache-2.0

"""Which database a function goes to: its context's cell, or always the main one (01-core 4.6, 4.8).

tests/data/scopes.json lists the functions. No statement is sent: the test looks at where the first one would go.
"""

from __future__ import annotations

import json
import pathlib
from typing import TYPE_CHECKING, Any

import pytest

from nova_sqlcore import get_admin_context, tx
from nova_sqlcore.core import connections, transaction
from tests.unit.test_api import SIGNATURES, call

if TYPE_CHECKING:
    from nova_sqlcore import RequestContext

DATA = pathlib.Path(__file__).parent.parent / "data" / "scopes.json"
SCOPES: dict[str, dict[str, list[str]]] = json.loads(DATA.read_text())
IN_CELL, IN_MAIN = SCOPES["cell"], SCOPES["main"]
#: These open a scope for each of their parts.
IN_PARTS = {"archive_deleted_rows", "security_group_ensure_default"}


class Reached(BaseException):
    """A transaction was about to ask ``database``."""

    def __init__(self, database: connections.Connections) -> None:
        super().__init__()
        self.database = database


@pytest.fixture(autouse=True)
def _nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop every transaction at its first statement, and before it asks which server it has."""

    def stop(asker: Any) -> None:
        raise Reached(getattr(asker, "database", asker))

    monkeypatch.setattr(transaction.Transaction, "_start", stop)
    monkeypatch.setattr(connections.Connections, "dialect", property(stop))


@pytest.fixture
def cell() -> tx.Database:
    return tx.Database("cell")


@pytest.fixture
def targeted(cell: tx.Database) -> RequestContext:
    """Return a context whose calls go to the cell."""
    context = get_admin_context()
    context.db_connection = cell
    return context


def is_refused(name: str, context: RequestContext) -> bool:
    """Tell whether the function is refused at its entry, because of what is open."""
    try:
        call(name, context)
    except TypeError as error:
        return "can't join" in str(error)
    except (Exception, Reached):
        return False
    return False


def reached(name: str, context: RequestContext) -> connections.Connections | None:
    """Return the database that the function goes to; None if it makes do without for such arguments."""
    try:
        call(name, context)
    except Reached as error:
        return error.database
    except Exception:
        return None
    return None


def test_the_list_is_that_of_the_signatures() -> None:
    kinds = {name: kind for scopes in SCOPES.values() for kind, names in scopes.items() for name in names}
    listed = {name: about["transaction"] for name, about in SIGNATURES.items() if "transaction" in about}
    assert kinds == {name: "reader that may lag" if "replica" in kind else kind for name, kind in listed.items()}
    assert not IN_PARTS & kinds.keys()


@pytest.mark.parametrize("name", [name for names in IN_CELL.values() for name in names])
def test_of_the_context(name: str, targeted: RequestContext, cell: tx.Database) -> None:
    assert reached(name, targeted) in (cell, None)
    assert reached(name, get_admin_context()) in (tx.main, None)


@pytest.mark.parametrize("name", [name for names in IN_MAIN.values() for name in names])
def test_always_the_main_one(name: str, targeted: RequestContext) -> None:
    assert reached(name, targeted) in (tx.main, None)


@pytest.mark.parametrize("name", [*IN_CELL["writer"], *IN_MAIN["writer"]])
def test_writers_in_a_reader(name: str, targeted: RequestContext, cell: tx.Database) -> None:
    with cell.reader(targeted):
        assert is_refused(name, targeted) == (name in IN_CELL["writer"])
    with tx.main.reader(targeted):
        assert is_refused(name, targeted) == (name in IN_MAIN["writer"])


@pytest.mark.parametrize("name", [*IN_CELL["reader"], *IN_CELL["reader that may lag"], *IN_MAIN["reader"]])
def test_readers_in_a_reader_of_the_replica(name: str, targeted: RequestContext, cell: tx.Database) -> None:
    with cell.reader(targeted, replica=True):
        assert is_refused(name, targeted) == (name in IN_CELL["reader"])
    with tx.main.reader(targeted, replica=True):
        assert is_refused(name, targeted) == (name in IN_MAIN["reader"])


@pytest.mark.parametrize("name", [name for scopes in SCOPES.values() for names in scopes.values() for name in names])
def test_everything_joins_a_writer(name: str, targeted: RequestContext, cell: tx.Database) -> None:
    with cell.writer(targeted), tx.main.writer(targeted):
        assert not is_refused(name, targeted)
