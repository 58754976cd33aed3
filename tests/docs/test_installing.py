"""All instructions to install Pellucid work today. It is not on PyPI, so they install it from a clone."""

from __future__ import annotations

import re
import tomllib

import pytest
from docs.installing import ROOT, extras, files, with_commands

from pellucid import errors

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Commands that would get Pellucid from PyPI. With `--no-index`, pip uses wheels that the reader made.
FROM_PYPI = re.compile(r"pip install (?!.*--no-index)[^\n`]*(?<![\w./-])'?pellucid\b(?!/)")
ABOUT_RELEASES = {"RELEASING.md", "CHANGELOG.md"}

TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in files()}


def test_files_with_instructions_are_found():
    examples = {
        "README.md",
        "docs/server.md",
        "docs/api/batch.md",
        "examples/stores/qdrant_local.py",
        "src/pellucid/errors.py",
    }
    assert examples <= TEXTS.keys()


def test_errors_and_pages_give_the_same_command():
    assert extras(errors.install_hint("search")) == {"search"}
    message = tomllib.loads(TEXTS["docs/errors.toml"])["MissingExtraError"]["message"]
    assert message.strip() == str(errors.MissingExtraError("lancedb", "search"))
    assert with_commands("`pip install 'pellucid[search]'`") == f"`{errors.INSTALL_EXTRA.format(extra='search')}`"


def test_each_command_is_the_current_one():
    assert [name for name, text in TEXTS.items() if with_commands(text) != text] == [], "run: make docs"
    unknown = {name: extras(text) - set(PROJECT["optional-dependencies"]) for name, text in TEXTS.items()}
    assert not any(unknown.values()), unknown


def test_no_file_says_to_install_from_pypi_where_the_name_is_not_ours():
    assert [name for name, text in TEXTS.items() if FROM_PYPI.search(text) and name not in ABOUT_RELEASES] == []


@pytest.mark.parametrize(
    ("text", "from_pypi"),
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
def test_commands_that_install_from_pypi_are_recognized(text, from_pypi):
    assert bool(FROM_PYPI.search(text)) == from_pypi


def test_every_extra_is_on_a_page():
    on_pages = set().union(*(extras(text) for name, text in TEXTS.items() if name.endswith(".md")))
    assert on_pages == set(PROJECT["optional-dependencies"])
