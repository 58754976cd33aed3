from __future__ import annotations

import re
from pathlib import Path

import pellucid


def test_only_one_module_imports_matplotlib():
    source = Path(pellucid.__file__).parent
    importing = re.compile(r"^\s*(from|import) matplotlib", re.MULTILINE)
    importers = [path.name for path in source.rglob("*.py") if importing.search(path.read_text(encoding="utf-8"))]
    assert importers == ["plotting.py"]
