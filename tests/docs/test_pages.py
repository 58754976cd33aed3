"""Every page, and README.md, does what it says: its Python is run, and so are its commands that call ``pellucid``."""

from __future__ import annotations

import importlib.util
import os
import re
import tomllib
from pathlib import Path

import pytest
import typer.main
from docs.blocks import blocks
from docs.build import DOCS, PAGES, build
from docs.running import alike, run, run_command

from pellucid.cli import app

README = DOCS.parent / "README.md"
NUMBER = re.compile(r"[-+]?\d+\.\d+")


def name(path: Path) -> str:
    return str(path.relative_to(DOCS.parent))


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.fixture(params=[*PAGES, README], ids=name)
def page(request) -> str:
    return read(request.param)


def path(request) -> Path:
    return request.node.callspec.params["page"]


@pytest.mark.usefixtures("minilm")  # Fetches the model, if no test has done so before.
def test_it_does_what_it_says(page, request, tmp_path):
    for printed in run(page, tmp_path):
        where = f"line {printed.block.line}: {printed.command or printed.block.code}\n{printed.actual}"
        if not printed.command:
            # Pages that are built show all that is printed; README.md may say it in comments.
            if printed.expected is not None or path(request) != README:
                same_numbers(printed.expected or "", printed.actual, where)
        elif printed.command.endswith("--help"):
            # Where lines are broken is another matter in each version of what prints them.
            assert "".join(printed.actual.split()) == "".join(printed.expected.split()), "run: make docs"
        else:
            assert (printed.status != 0) == printed.should_fail, where
            assert alike(printed.expected, printed.actual), where


def same_numbers(expected: str, actual: str, where: str) -> None:
    """Equal but for the last printed digit, which another instruction set may round the other way."""
    assert NUMBER.sub("#", actual) == NUMBER.sub("#", expected), f"run: make docs\n{where}"
    for ours, theirs in zip(NUMBER.findall(actual), NUMBER.findall(expected), strict=True):
        digits = len(theirs.rpartition(".")[2])
        assert float(ours) == pytest.approx(float(theirs), abs=1.01 * 10**-digits), f"run: make docs\n{where}"


# Of these, the blocks run in `make test-integrations`, not in `make test`.
OF_INTEGRATIONS = {"qdrant_client"}
NEEDS = sorted(
    {(name(path), each) for path in [*PAGES, README] for block in blocks(read(path)) for each in block.needs}
)


@pytest.mark.parametrize(("where", "package"), NEEDS)
def test_what_a_page_needs_is_here(where, package):
    """A block whose package is missing is left out: that must be seen."""
    found = importlib.util.find_spec(package) is not None
    if not found and package in OF_INTEGRATIONS and os.environ.get("PELLUCID_INTEGRATIONS") != "required":
        pytest.skip(f"the blocks of {where} that need {package} run in make test-integrations")
    assert found, f"the blocks of {where} that need {package} are left out: add it to requirements-dev.txt"


def test_make_run_installs_what_the_readme_needs():
    extras = re.search(r"--editable '\.\[([\w,]+)\]'", read(README.with_name("Makefile")))[1].split(",")
    optional = tomllib.loads(read(README.with_name("pyproject.toml")))["project"]["optional-dependencies"]
    brought = {re.match(r"[\w-]+", each)[0].replace("-", "_") for extra in extras for each in optional[extra]}
    assert {package for where, package in NEEDS if where == "README.md"} <= brought


@pytest.mark.usefixtures("minilm")
def test_the_readme_says_in_comments_what_its_code_prints(tmp_path):
    compared = 0
    for printed in run(read(README), tmp_path):
        if printed.command:
            continue
        comments = re.findall(r"^print\(.*\)  # (.*)$", printed.block.code, flags=re.MULTILINE)
        for comment, line in zip(comments, printed.actual.splitlines(), strict=True):
            if re.match(r"[\d(\[]", comment):  # Else it says something about what is printed.
                anything = re.escape(comment).replace("…", ".*")
                assert comment.startswith(line) or re.fullmatch(anything, line), comment
                compared += 1
    assert compared == 4


@pytest.mark.usefixtures("minilm")
def test_the_readme_shows_what_make_run_prints(tmp_path):
    commands = {command: shown for block in blocks(read(README)) for command, shown in block.commands}
    printed, status = run_command(f"python '{README.parent}/examples/first_vectors.py'", tmp_path)
    assert status == 0, printed
    same_numbers(commands["make run"], printed, printed)


def test_what_is_not_run_says_why(page):
    found = blocks(page)
    marked = [block for block in found if block.not_run or block.needs]
    assert page.count("<!-- not run") + page.count("<!-- needs") == len(marked), "a remark that is before no block"
    for block in marked:
        assert len(block.not_run.split()) > 2 or block.needs, f"line {block.line}: that is no reason"
        # What would not be run anyway, such as `pip install`, needs no remark.
        assert block.language == "python" or block.calls_pellucid, f"line {block.line}: nothing to be run"


def test_no_block_escapes(page):
    assert not re.search(r"^[ >]+```|^~~~", page, flags=re.MULTILINE), "a fence that is not at the margin"
    known = {"python", "console", "diff", "text", "", "json", "toml", "yaml", "css", "{eval-rst}", "{toctree}"}
    assert {block.language for block in blocks(page)} <= known
    for block in blocks(page):
        # Commands without a "$" would pass for output.
        assert block.language != "console" or block.code.startswith("$ "), f"line {block.line}"


def test_links_between_pages_lead_somewhere(page, request):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", re.sub(r"```.*?```", "", page, flags=re.DOTALL)):
        assert target.startswith(("http://", "https://")) or (path(request).parent / target).exists(), target


def test_most_blocks_are_run():
    found = [block for each in PAGES for block in blocks(each.read_text(encoding="utf-8"))]
    ours = [block for block in found if block.language == "python" or block.calls_pellucid]
    assert sum(block.runs for block in ours) > 0.7 * len(ours)


def test_a_page_whose_code_prints_something_else_is_changed():
    first, second = (
        "```python\nprint(1)\n```\n\n```text\n",
        "```\n\n```python\nx = 1\n```\n\n```python\nprint(x)\n```\n",
    )
    page, changed = f"{first}2\n{second}", f"{first}1\n{second}\n```text\n1\n```\n"
    assert build(page) == changed
    assert build(changed) == changed


def test_help_on_a_page_is_as_the_command_gives_it():
    page = "```console\n$ pellucid models remove --help\nUsage: of yesterday\n$ pellucid --version\n…\n```\n"
    built = build(page)
    assert "of yesterday" not in built
    assert "Remove a model from the caches" in built
    assert built.endswith("$ pellucid --version\n…\n```\n")


def test_each_command_has_a_place_in_the_reference():
    reference = (DOCS / "cli.md").read_text(encoding="utf-8")
    group = typer.main.get_command(app)
    names = list(group.commands) + [f"models {each}" for each in group.commands["models"].commands]
    for each in names:
        assert f"$ pellucid {each} --help\n" in reference, f"docs/cli.md has no section of pellucid {each}"
