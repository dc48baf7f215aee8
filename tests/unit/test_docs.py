# SPDX-License-Identifier: Apache-2.0

"""What the README shows runs as it stands."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING

from nova_sqlcore import tx
from nova_sqlcore.schema import migrations

if TYPE_CHECKING:
    import pytest

OPTIONS = Path(__file__).parents[2] / "docs" / "options.rst"
README = Path(__file__).parents[2] / "README.md"


def test_the_ten_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    tx.close()
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    migrations.migrate("sqlite:///nova.sqlite")
    try:
        exec(compile(example, str(README), "exec"), {})
    finally:
        tx.close()
    assert capsys.readouterr().out == "committed\nweb\n"


def test_every_option_has_its_row_with_default_and_unit() -> None:
    rows = re.findall(
        r"^   \* - ``(\w+)``\n     - ``(.+)``\n     -( \w[\w ]*)?\n     - \w", OPTIONS.read_text(), re.MULTILINE
    )
    written = {name: (default, unit.strip()) for name, default, unit in rows}
    fields = {field.name: field for field in dataclasses.fields(tx.EngineOptions)}
    assert {name: default for name, (default, _) in written.items()} == {
        name: repr(field.default) for name, field in fields.items()
    }
    for name, (_, unit) in written.items():
        assert bool(unit) == (fields[name].type not in ("bool", "str")), name
