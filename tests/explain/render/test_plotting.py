from __future__ import annotations

import re
from pathlib import Path

import pellucid


def test_matplotlib_has_one_owner():
    source = Path(pellucid.__file__).parent
    importing = re.compile(r"^\s*(from|import) matplotlib", re.MULTILINE)
    owners = [path.name for path in source.rglob("*.py") if importing.search(path.read_text(encoding="utf-8"))]
    assert owners == ["plotting.py"]
