"""Whatever says how to install Pellucid can be followed today: it is not on PyPI, so it comes from a clone."""

from __future__ import annotations

import re
import tomllib

import pytest
from docs.installing import ROOT, extras, files, with_commands

from pellucid import errors

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# RELEASING.md and CHANGELOG.md speak of a release. `--no-index` takes wheels that the reader made.
FROM_AN_INDEX = re.compile(r"pip install (?!.*--no-index)[^\n`]*(?<![\w./-])'?pellucid\b(?!/)")
OF_A_RELEASE = {"RELEASING.md", "CHANGELOG.md"}


TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in files()}


def test_the_files_that_tell_are_found():
    some = {
        "README.md",
        "docs/server.md",
        "docs/api/batch.md",
        "examples/stores/qdrant_local.py",
        "src/pellucid/errors.py",
    }
    assert some <= TEXTS.keys()


def test_an_error_gives_the_command_that_the_pages_give():
    assert extras(errors.install_hint("search")) == {"search"}
    message = tomllib.loads(TEXTS["docs/errors.toml"])["MissingExtraError"]["message"]
    assert message.strip() == str(errors.MissingExtraError("lancedb", "search"))
    assert with_commands("`pip install 'pellucid[search]'`") == f"`{errors.INSTALL_EXTRA.format(extra='search')}`"


def test_each_command_is_the_one_that_works_today():
    assert [name for name, text in TEXTS.items() if with_commands(text) != text] == [], "run: make docs"
    unknown = {name: extras(text) - set(PROJECT["optional-dependencies"]) for name, text in TEXTS.items()}
    assert not any(unknown.values()), unknown


def test_nobody_is_sent_to_an_index_where_the_name_is_not_ours():
    assert [name for name, text in TEXTS.items() if FROM_AN_INDEX.search(text) and name not in OF_A_RELEASE] == []


@pytest.mark.parametrize(
    ("text", "from_an_index"),
    [
        ("pip install pellucid", True),
        ("pip install -U pellucid qdrant-client", True),
        ("pip install 'pellucid[search]'", True),
        ("pip install .", False),
        ("pip install '.[search]'", False),
        ("pip install --no-index --find-links carry pellucid", False),
        ("/opt/pellucid/bin/pip install '.[serve]'", False),
    ],
)
def test_what_would_come_from_an_index(text, from_an_index):
    assert bool(FROM_AN_INDEX.search(text)) == from_an_index


def test_every_extra_is_on_a_page():
    told = set().union(*(extras(text) for name, text in TEXTS.items() if name.endswith(".md")))
    assert told == set(PROJECT["optional-dependencies"])
