# SPDX-License-Identifier: Apache-2.0

"""What yoyo does not see to: that migrations are named alike, complete, reversible, and never edited."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from nova_sqlcore.schema import yoyo

MIGRATIONS = Path(__file__).parents[2] / "sql" / "migrations"
FILES = sorted(MIGRATIONS.glob("*/*.sql"))
FORWARD = [path for path in FILES if not path.name.endswith(".rollback.sql")]
BACKWARD = [path.with_name(f"{path.stem}.rollback.sql") for path in FORWARD]


def label(path: Path) -> str:
    return str(path.relative_to(MIGRATIONS))


def statements(path: Path) -> list[str]:
    """Split in a way that is not yoyo's: a statement ends with a line that ends with a semicolon."""
    code = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("--"))
    return [statement.strip() for statement in re.split(r";$", code, flags=re.MULTILINE) if statement.strip()]


def directives(path: Path) -> dict[str, str]:
    head = path.read_text().partition("\n\n")[0]
    return dict(re.findall(r"^-- (\w+): (.*)$", head, flags=re.MULTILINE))


def test_no_file_has_changed_since_it_was_released() -> None:
    """A migration is known to yoyo by its name alone: what has been run is never edited, but followed by another one.

    A new migration is added to the list by: cd sql/migrations && sha256sum */*.sql > checksums.txt
    """
    listed = dict(line.split()[::-1] for line in (MIGRATIONS / "checksums.txt").read_text().splitlines())
    assert {label(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in FILES} == listed


def test_every_family_of_servers_has_the_same_migrations() -> None:
    names = {dialect: [path.name for path in FILES if path.parent.name == dialect] for dialect in _DIALECTS}
    assert names["sqlite"]
    assert names["sqlite"] == names["mysql"] == names["postgresql"]
    assert {path.parent.name for path in FILES} == set(_DIALECTS)


_DIALECTS = ("sqlite", "mysql", "postgresql")


def test_migrations_are_numbered_without_a_gap() -> None:
    for dialect in _DIALECTS:
        names = [path.name for path in FORWARD if path.parent.name == dialect]
        assert [name.partition(".")[0] for name in names] == [f"{number:04}" for number in range(1, len(names) + 1)]


@pytest.mark.parametrize("path", FORWARD, ids=label)
def test_names_are_a_number_and_words(path: Path) -> None:
    assert re.fullmatch(r"\d{4}\.[a-z0-9]+(-[a-z0-9]+)*\.sql", path.name)


@pytest.mark.parametrize("path", FORWARD, ids=label)
def test_a_migration_depends_on_the_one_before(path: Path) -> None:
    before = [other.stem for other in FORWARD if other.parent == path.parent and other < path]
    assert directives(path).get("depends", "").split() == before[-1:]


@pytest.mark.parametrize("path", FORWARD + BACKWARD, ids=label)
def test_files_begin_with_a_sentence_and_keep_their_lines_short(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert re.match(r"-- [A-Z].*", lines[0])
    assert max(map(len, lines)) <= 120
    assert path.read_text().endswith(";\n")


@pytest.mark.parametrize("path", FORWARD + BACKWARD, ids=label)
def test_what_runs_without_a_transaction_says_so(path: Path) -> None:
    """MySQL's DDL commits by itself: yoyo's savepoints would be gone, and hide the true error."""
    is_alone = path.parent.name == "mysql" or "CONCURRENTLY" in path.read_text()
    assert directives(path).get("transactional") == ("false" if is_alone else None)


@pytest.mark.parametrize("path", [path for path in FORWARD if path.name > "0002"], ids=label)
def test_later_migrations_can_be_run_on_a_live_database(path: Path) -> None:
    """Indexes are made while others write, and on PostgreSQL and sqlite a run that was killed can be repeated."""
    words = {
        "mysql": "CREATE INDEX .* ALGORITHM = INPLACE LOCK = NONE",
        "postgresql": "CREATE INDEX CONCURRENTLY IF NOT EXISTS .*",
        "sqlite": "CREATE INDEX IF NOT EXISTS .*",
    }
    made = [one for one in statements(path) if "CREATE" in one]
    assert [one for one in made if not re.fullmatch(words[path.parent.name], one, re.DOTALL)] == []


@pytest.mark.parametrize("dialect", _DIALECTS)
def test_yoyo_splits_the_files_into_the_statements_that_are_there(dialect: str) -> None:
    for migration in yoyo.read(MIGRATIONS / dialect):
        path = MIGRATIONS / dialect / f"{migration.id}.sql"
        steps = [wrapper.step for wrapper in migration.steps]
        forward, backward = statements(path), statements(path.with_name(f"{path.stem}.rollback.sql"))
        assert [_bare(step._apply) for step in steps] == forward
        assert [_bare(step._rollback) for step in reversed(steps)] == backward


def _bare(statement: str) -> str:
    return re.sub(r"^--.*\n|^\n", "", statement, flags=re.MULTILINE).strip().removesuffix(";")


_DROP_INDEX = r"DROP INDEX (CONCURRENTLY IF EXISTS )?{}( ON \w+)?"
#: What undoes a statement: name by name.
_UNDONE_BY = (
    (r"CREATE TABLE (?:IF NOT EXISTS )?(\S+).*", r"DROP TABLE (?:IF EXISTS )?{}"),
    (r"CREATE (?:UNIQUE )?INDEX (?:CONCURRENTLY )?(?:IF NOT EXISTS )?(\S+).*", _DROP_INDEX),
    (r"DROP INDEX (\S+) ON .*", r"CREATE INDEX {} ON .*"),
    (r"CREATE TYPE (\S+).*", r"DROP TYPE {}"),
    (r"INSERT (?:IGNORE )?INTO (\S+).*", r"DELETE FROM {} WHERE .*"),
    (r"ALTER SEQUENCE (\S+) RESTART WITH \d+", r"ALTER SEQUENCE {} RESTART WITH 1"),
)


@pytest.mark.parametrize("path", FORWARD, ids=label)
def test_each_statement_is_undone_by_its_counterpart(path: Path) -> None:
    forward, backward = statements(path), statements(path.with_name(f"{path.stem}.rollback.sql"))
    assert len(forward) == len(backward)
    for done, undone in zip(forward, reversed(backward), strict=True):
        assert any(
            found and re.fullmatch(undo.format(re.escape(found.group(1))), undone)
            for pattern, undo in _UNDONE_BY
            for found in [re.fullmatch(pattern, done, flags=re.DOTALL)]
        ), f"{done!r} is not undone by {undone!r}"


@pytest.mark.parametrize("path", FORWARD, ids=label)
def test_indexes_and_data_do_not_share_a_migration(path: Path) -> None:
    """But for the first one, which makes an empty database."""
    if path.name.startswith("0001."):
        return
    kinds = {"data" if re.match("INSERT|UPDATE|DELETE", statement) else "schema" for statement in statements(path)}
    assert len(kinds) == 1
