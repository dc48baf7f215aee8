# SPDX-License-Identifier: Apache-2.0

"""The examples of the documentation run as they stand: Python page by page, the command's lines one by one."""

from __future__ import annotations

import re
import shlex
import shutil
import textwrap
from typing import TYPE_CHECKING, Any, Final

import pytest
from click.testing import CliRunner

from nova_sqlcore import RequestContext, api, exceptions, get_admin_context, tx
from nova_sqlcore.cli.app import app
from nova_sqlcore.schema import migrations
from nova_sqlcore.settings import Settings, settings
from tests.pages import DOCS, commands, examples

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES: Final = sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.rst") if "_build" not in path.parts)
URL: Final = "sqlite:///nova.sqlite"
FOR_FORKS: Final = "howto/from-nova-db.rst"
#: Commands that have tests of their own: they need minutes, an empty database, one that is broken, or a server.
ELSEWHERE: Final = ("demo", "--adopt", "--rollback", "--config", "--help", "--slow", "replay ")


#: 3: db purge finds nothing to erase.
NOTHING_WRONG: Final = (0, 3)


def of(language: str) -> list[str]:
    pages = [page for page in PAGES if page != FOR_FORKS]  # a maintainer of tests/personas follows that one
    return [page for page in pages if any(example.language == language for example in examples(page))]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated file, to be copied."""
    path = tmp_path_factory.mktemp("docs") / "nova.sqlite"
    migrations.migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in a folder with a fresh nova.sqlite, and leave the library as it was found."""
    shutil.copy(made, tmp_path)
    monkeypatch.chdir(tmp_path)
    tx.close()
    yield tmp_path
    tx.close()
    tx.observe(None)
    for name in Settings.__slots__:
        setattr(settings, name, getattr(Settings(), name))


def names_of(page: str) -> dict[str, Any]:
    """Return what a page may use without saying so: what its readers have from the pages before it."""
    tx.configure(URL)
    ctxt = RequestContext(user_id="alice", project_id="blue")
    values = {"project_id": "blue", "user_id": "alice", "display_name": "web", "host": "node1"}
    uuid = api.instance_create(ctxt, values)["uuid"]
    return {
        "__name__": page,
        "RequestContext": RequestContext,
        "api": api,
        "tx": tx,
        "exceptions": exceptions,
        "get_admin_context": get_admin_context,
        "ctxt": ctxt,
        "uuid": uuid,
    }


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("page", of("python"))
def test_python(page: str) -> None:
    names = names_of(page)
    for language, line, text in examples(page):
        if language == "console":
            continue
        if "tx.configure(" in text:
            tx.close()
        code = "\n" * (line - 1) + text  # so that a traceback names the line of the page
        exec(compile(code, str(DOCS / page), "exec"), names)
        if tx.main.url is None or tx.main.url.database != "nova.sqlite":  # it has shown the address of a server
            tx.close()
            tx.configure(URL)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("page", of("console"))
def test_commands(page: str) -> None:
    for _, line, text in examples(page):
        for command in commands(text):
            if not any(word in command for word in ELSEWHERE):
                words = shlex.split(re.sub(r"--url \S+", f"--url {URL}", command), comments=True)
                result = CliRunner(env={"NOVA_SQLCORE_URL": URL}).invoke(app, words)
                assert result.exit_code in NOTHING_WRONG, f"{page}:{line}: {command}: {result.output}"


def test_the_tutorial(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"__name__": "scheduler"}
    path = DOCS / "examples" / "scheduler.py"
    exec(compile(path.read_text(), str(path), "exec"), names)
    names["main"](URL)
    shown = "\n".join(textwrap.indent(capsys.readouterr().out, "   ").splitlines())
    assert shown in (DOCS / "tutorial.rst").read_text()


def test_examples_are_found() -> None:
    count = sum((DOCS / page).read_text().count(".. code-block:: python") for page in PAGES)
    assert sum(example.language == "python" for page in PAGES for example in examples(page)) >= count > 5


def functions_of(page: str, after: str = "") -> set[str]:
    """Return the functions named in the first column of a page's tables."""
    text = (DOCS / page).read_text().partition(after)[2] if after else (DOCS / page).read_text()
    cells = re.findall(r"^   \* - ((?:.*\n)(?:       .*\n)*)", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"``(\w+)``", cell)} & set(api.__all__)


def test_the_guide_for_forks_lists_every_function_that_differs() -> None:
    listed = functions_of(FOR_FORKS, after="Function by function")
    assert listed == functions_of("better-than-mitaka.rst")
    assert len(listed) > 20
