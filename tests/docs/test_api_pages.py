"""Everything that the API pages name exists, and every public name is on them."""

from __future__ import annotations

import ast
import pkgutil
import re
from pathlib import Path

from docs.build import DOCS

import pellucid
from pellucid import integrations

NAMED = sorted(
    name
    for path in (DOCS / "api").glob("*.md")
    for name in re.findall(r"^\.\. auto\w+:: (\S+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
)
FOR_OTHER_LIBRARIES = [name for name in NAMED if name.startswith("pellucid.integrations.")]


def test_every_name_on_the_pages_exists():
    assert len(NAMED) > 25
    for name in set(NAMED) - set(FOR_OTHER_LIBRARIES):
        package, _, attribute = name.rpartition(".")
        assert hasattr(pkgutil.resolve_name(package), attribute), name


def test_every_public_name_is_on_the_pages():
    errors = {name for name in vars(pellucid.errors) if name[0].isupper()}  # docs/errors.md has these.
    assert {f"pellucid.{name}" for name in set(pellucid.__all__) - errors - {"__version__", "errors"}} <= set(NAMED)


def test_every_class_for_another_library_is_on_the_pages():
    """From the files, because the libraries are only installed for ``make test-integrations``."""
    classes = [
        f"pellucid.integrations.{path.stem}.{node.name}"
        for path in Path(integrations.__file__).parent.glob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert sorted(classes) == FOR_OTHER_LIBRARIES
