# SPDX-License-Identifier: Apache-2.0

"""What keeps the repository in order: licences, workflows and hooks name what there is."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
LINE: Final = "SPDX-License-Identifier: Apache-2.0"
#: Sources; a migration may not change, since its checksum is known.
SOURCES: Final = (".py", ".pyi", ".css", ".yml", ".yaml", ".toml")
SCRIPTS: Final = ("Makefile", ".ci/run", "tools/make-venv", "tools/add-headers")


#: What is no part of the sources.
IGNORED: Final = {".git", *(line.strip("/") for line in (ROOT / ".gitignore").read_text().split())}


def is_source(path: Path) -> bool:
    names = (path.name, path.relative_to(ROOT).as_posix())
    return not any(fnmatch.fnmatch(name, pattern) for name in names for pattern in IGNORED)


def files(folder: Path = ROOT) -> Iterator[Path]:
    """Yield the sources; a machine without git has them too."""
    for path in filter(is_source, folder.iterdir()):
        if path.is_dir():
            yield from files(path)
        else:
            yield path


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_source_names_its_licence() -> None:
    sources = [path for path in files() if path.suffix in SOURCES or str(path.relative_to(ROOT)) in SCRIPTS]
    assert len(sources) > 400
    without = [path for path in sources if path.stat().st_size and LINE not in path.read_text()[:200]]
    assert without == []


def test_workflows_call_targets_that_there_are() -> None:
    workflows = {path.name: path.read_text() for path in (ROOT / ".github" / "workflows").glob("*.yml")}
    assert {"ci.yml", "weekly.yml"} <= workflows.keys()
    called = set(re.findall(r"\bmake ([a-z-]+)", "\n".join((*workflows.values(), (ROOT / ".ci" / "run").read_text()))))
    called.discard("python")  # a package
    (matrix,) = re.findall(r"target: \[(.*)\]", workflows["weekly.yml"])
    assert called | {*matrix.split(", ")} <= targets()
    assert {"lint", "test", "docs"} <= called
    assert "bash .ci/run" in workflows["ci.yml"]


def test_hooks_call_what_lint_calls() -> None:
    hooks = re.findall(r"entry: (.*)", (ROOT / ".pre-commit-config.yaml").read_text())
    lint = (ROOT / "Makefile").read_text().partition("\nlint:")[2]
    for hook in hooks:
        program, _, _ = hook.removeprefix(".venv/").partition(" --")
        assert f"$(VENV)/{program}" in lint
    assert len(hooks) == 3
