"""Every error is on its page, with its cure."""

from __future__ import annotations

import inspect
import re
import tomllib

from docs.build import DOCS
from docs.errors_page import classes, page

from pellucid import errors


def told() -> dict[str, dict[str, str]]:
    return tomllib.loads((DOCS / "errors.toml").read_text(encoding="utf-8"))


def test_the_tree_is_whole():
    own = {each for _, each in inspect.getmembers(errors, inspect.isclass) if each.__module__ == errors.__name__}
    assert set(classes()) == own
    assert len(classes()) == len(own)


def test_each_class_has_a_cure():
    assert set(told()) == {each.__name__ for each in classes()}, "a class without its cure in docs/errors.toml"
    for name, entry in told().items():
        assert entry["cure"].strip(), name
        assert set(entry) <= {"brings", "cure", "code", "message"}, name


def test_each_that_is_raised_shows_a_message():
    bases = {each.__bases__[0] for each in classes()} - {errors.TextError}
    for each in set(classes()) - bases:
        entry = told()[each.__name__]
        assert ("code" in entry) != ("message" in entry), each.__name__


def test_the_page_is_as_it_is_made():
    # What its code prints, tests/docs/test_pages.py compares.
    written = re.sub(
        r"(```python\n(?:(?!```).)*```\n)\n```text\n.*?```\n",
        r"\1",
        (DOCS / "errors.md").read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    assert written == page(), "run: make docs"
