"""What the README shows runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from nova_sqlcore import tx
from nova_sqlcore.schema import migrations

if TYPE_CHECKING:
    import pytest

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
