"""What the pages of the API name is there, and what is public is on them."""

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


def test_all_that_is_named_is_there():
    assert len(NAMED) > 25
    for name in NAMED:
        package, _, attribute = name.rpartition(".")
        assert hasattr(pkgutil.resolve_name(package), attribute), name


def test_all_that_is_public_is_named():
    elsewhere = {"__version__", "errors"} | {each for each in vars(pellucid.errors) if each[0].isupper()}
    assert {f"pellucid.{name}" for name in set(pellucid.__all__) - elsewhere} <= set(NAMED)
