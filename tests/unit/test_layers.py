# SPDX-License-Identifier: Apache-2.0

"""Who may import whom: wings of queries point down, and no module is part of a circle, late or for types only."""

from __future__ import annotations

import ast
import functools
import pathlib

import nova_sqlcore

ROOT = pathlib.Path(nova_sqlcore.__file__).parent
#: The floors of the house, upper ones first; wings on one floor do not know each other.
FLOORS = [
    {"network", "security"},
    {"quota", "flavors", "storage"},
    {"compute", "hosts", "maintenance"},
    {"common"},
]


def name_of(path: pathlib.Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


@functools.cache
def imported(name: str) -> set[str]:
    """Return the modules of the library that a module imports, inside functions and for types too."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, f"{name}: an import says the whole name"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {one if one in MODULES else node.module for one in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return (found & MODULES.keys()) - {name, "nova_sqlcore"}


def wing_of(name: str) -> str | None:
    parts = name.split(".")
    return parts[2] if parts[:2] == ["nova_sqlcore", "queries"] and len(parts) > 3 else None


def floor_of(wing: str) -> int:
    return next(place for place, wings in enumerate(FLOORS) if wing in wings)


def test_wings_point_down() -> None:
    wings = {wing for name in MODULES if (wing := wing_of(name))}
    assert wings == set().union(*FLOORS)
    for name in MODULES:
        wing = wing_of(name)
        for other in imported(name) if wing else ():
            below = wing_of(other)
            assert below in (None, wing) or floor_of(below) > floor_of(str(wing)), f"{name} imports {other}"


def test_nothing_below_imports_what_is_above() -> None:
    upper = ("nova_sqlcore.api", "nova_sqlcore.cli", "nova_sqlcore.demo", "nova_sqlcore.contrib")
    for name in MODULES:
        if name.startswith(("nova_sqlcore.core", "nova_sqlcore.schema", "nova_sqlcore.tables")):
            above = {one for one in imported(name) if one.startswith(("nova_sqlcore.queries", *upper))}
            assert not above, f"{name} imports {above}"
        if name.startswith("nova_sqlcore.queries"):
            assert not {one for one in imported(name) if one.startswith(upper)}, f"{name} imports {imported(name)}"


def test_there_is_no_circle() -> None:
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            for other in sorted(imported(name)):
                walk(other, (*path, name))
            done.add(name)

    for name in MODULES:
        walk(name, ())
    assert done == MODULES.keys()


def test_packages_say_what_lives_there() -> None:
    for name, path in MODULES.items():
        if path.name == "__init__.py" and name.split(".")[1:2] in (["core"], ["schema"], ["queries"]):
            text = ast.get_docstring(ast.parse(path.read_text()))
            assert text is not None
            assert len(text.split(". ")) + text.count(".\n") >= 2, name


def test_what_joins_us_to_others_is_imported_by_nobody() -> None:
    contrib = {name for name in MODULES if name.startswith("nova_sqlcore.contrib")}
    assert contrib
    for name in MODULES.keys() - contrib:
        assert not imported(name) & contrib, f"{name} imports {imported(name) & contrib}"
    for name in contrib:
        others = {one for one in imported(name) if one.startswith(("nova_sqlcore.cli", "nova_sqlcore.demo"))}
        assert not others | (imported(name) & contrib), f"{name} imports {others}"


def test_every_file_names_its_licence() -> None:
    """``tools/add-headers`` writes the line where it is missing."""
    root = ROOT.parent
    files = [
        path for folder in ("nova_sqlcore", "tests", "benchmarks", "docs") for path in (root / folder).rglob("*.py")
    ]
    without = [
        str(path.relative_to(root))
        for path in files
        if path.stat().st_size and not path.read_text().startswith("# SPDX-License-Identifier: Apache-2.0\n")
    ]
    assert len(files) > 300
    assert without == []
