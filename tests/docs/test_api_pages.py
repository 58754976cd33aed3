"""Everything that the API pages name exists, and every public name is on them."""

from __future__ import annotations

import pkgutil
import re

from docs.build import DOCS

import pellucid

NAMED = sorted(
    name
    for path in (DOCS / "api").glob("*.md")
    for name in re.findall(r"^\.\. auto\w+:: (\S+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
)


def test_every_name_on_the_pages_exists():
    assert len(NAMED) > 25
    for name in NAMED:
        package, _, attribute = name.rpartition(".")
        assert hasattr(pkgutil.resolve_name(package), attribute), name


def test_every_public_name_is_on_the_pages():
    errors = {name for name in vars(pellucid.errors) if name[0].isupper()}  # docs/errors.md has these.
    assert {f"pellucid.{name}" for name in set(pellucid.__all__) - errors - {"__version__", "errors"}} <= set(NAMED)
