"""Every error is on the page of errors, with what to do about it."""

from __future__ import annotations

import inspect
import re
import tomllib

from docs.build import DOCS
from docs.errors_page import classes, page

from pellucid import errors


def entries() -> dict[str, dict[str, str]]:
    return tomllib.loads((DOCS / "errors.toml").read_text(encoding="utf-8"))


def test_the_tree_has_every_class():
    own = {cls for _, cls in inspect.getmembers(errors, inspect.isclass) if cls.__module__ == errors.__name__}
    assert set(classes()) == own
    assert len(classes()) == len(own)


def test_each_class_says_what_to_do():
    assert set(entries()) == {cls.__name__ for cls in classes()}, "docs/errors.toml and pellucid.errors differ"
    for name, entry in entries().items():
        assert entry["fix"].strip(), name
        assert set(entry) <= {"cause", "fix", "code", "message"}, name


def test_each_class_that_is_raised_shows_a_message():
    bases = {cls.__bases__[0] for cls in classes()} - {errors.TextError}
    for cls in set(classes()) - bases:
        entry = entries()[cls.__name__]
        assert ("code" in entry) != ("message" in entry), cls.__name__


def test_the_page_is_up_to_date():
    # Without the output of the code, which tests/docs/test_pages.py checks.
    written = re.sub(
        r"(```python\n(?:(?!```).)*```\n)\n```text\n.*?```\n",
        r"\1",
        (DOCS / "errors.md").read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    assert written == page(), "run: make docs"
