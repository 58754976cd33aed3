"""Runs every page, and README.md, and compares: its Python, and its commands that call ``pellucid``."""

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
from docs.running import matches, run, run_command

from pellucid.cli import app
from tests.cli import command as command_line

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


@pytest.mark.usefixtures("minilm")  # Downloads the model, if no test has done so before.
def test_it_does_what_it_says(page, request, tmp_path):
    for output in run(page, tmp_path, helps=False):
        where = f"line {output.block.line}: {output.command or output.block.code}\n{output.actual}"
        if not output.command:
            # The pages in docs/ show all output of Python. README.md may show it in comments instead.
            if output.expected is not None or path(request) != README:
                assert_same_numbers(output.expected or "", output.actual, where)
        else:
            assert (output.status != 0) == output.should_fail, where
            assert matches(output.expected, output.actual), where


def test_it_shows_the_help_as_it_is(page):
    """In this process, because there are many."""

    def words(help_text: str) -> str:
        # The program's name depends on how Python runs. Each version of the libraries breaks lines at other places.
        return "".join(help_text.partition("[")[2].split())

    for block in blocks(page):
        for command, expected in block.commands if block.language == "console" and block.runs else ():
            if command.endswith("--help"):
                assert words(command_line.run(*command.split()[1:]).out) == words(expected), "run: make docs"


def assert_same_numbers(expected: str, actual: str, where: str) -> None:
    """The texts are equal, except that the last digit of a number may differ by one: rounding depends on the CPU."""
    assert NUMBER.sub("#", actual) == NUMBER.sub("#", expected), f"run: make docs\n{where}"
    for ours, theirs in zip(NUMBER.findall(actual), NUMBER.findall(expected), strict=True):
        digits = len(theirs.rpartition(".")[2])
        assert float(ours) == pytest.approx(float(theirs), abs=1.01 * 10**-digits), f"run: make docs\n{where}"


# Blocks that need these packages run in `make test-integrations`, not in `make test`.
INTEGRATION_PACKAGES = {"chromadb", "cohere", "haystack", "llama_index", "ollama", "openai", "qdrant_client", "sklearn"}
INTEGRATION_PACKAGES |= {"dspy", "langchain_openai", "voyageai"}
NEEDS = sorted(
    {(name(path), package) for path in [*PAGES, README] for block in blocks(read(path)) for package in block.needs}
)


@pytest.mark.parametrize(("where", "package"), NEEDS)
def test_what_a_page_needs_is_here(where, package):
    """Blocks that need a missing package are skipped. This test makes sure that somebody notices."""
    installed = importlib.util.find_spec(package) is not None
    if not installed and package in INTEGRATION_PACKAGES and os.environ.get("PELLUCID_INTEGRATIONS") != "required":
        pytest.skip(f"the blocks of {where} that need {package} run in make test-integrations")
    assert installed, f"the blocks of {where} that need {package} are skipped: add it to requirements-dev.txt"


def test_make_run_installs_the_packages_that_the_readme_needs():
    extras = re.search(r"--editable '\.\[([\w,]+)\]'", read(README.with_name("Makefile")))[1].split(",")
    optional = tomllib.loads(read(README.with_name("pyproject.toml")))["project"]["optional-dependencies"]
    requirements = [requirement for extra in extras for requirement in optional[extra]]
    installed = {re.match(r"[\w-]+", requirement)[0].replace("-", "_") for requirement in requirements}
    assert {package for where, package in NEEDS if where == "README.md"} <= installed


@pytest.mark.usefixtures("minilm")
def test_comments_in_the_readme_show_the_output_of_its_code(tmp_path):
    compared = 0
    for output in run(read(README), tmp_path):
        if output.command:
            continue
        comments = re.findall(r"^print\(.*\)  # (.*)$", output.block.code, flags=re.MULTILINE)
        for comment, line in zip(comments, output.actual.splitlines(), strict=True):
            if re.match(r"[\d(\[]", comment):  # Other comments describe the output in words.
                pattern = re.escape(comment).replace("…", ".*")
                assert comment.startswith(line) or re.fullmatch(pattern, line), comment
                compared += 1
    assert compared == 5


@pytest.mark.usefixtures("minilm")
def test_the_quick_start_shows_the_output_of_make_run(tmp_path):
    page = read(DOCS / "quickstart.md")
    commands = {command: shown for block in blocks(page) for command, shown in block.commands}
    output, status = run_command(f"python '{README.parent}/examples/first_vectors.py'", tmp_path)
    assert status == 0, output
    assert_same_numbers(commands["make run"], output, output)


def test_a_comment_says_why_a_block_is_not_run(page):
    found = blocks(page)
    marked = [block for block in found if block.not_run or block.needs]
    assert page.count("<!-- not run") + page.count("<!-- needs") == len(marked), "a comment has no block after it"
    for block in marked:
        assert len(block.not_run.split()) > 2 or block.needs, f"line {block.line}: the comment gives no reason"
        # Blocks that never run, such as those with `pip install`, need no comment.
        assert block.language == "python" or block.calls_pellucid, f"line {block.line}: this block never runs anyway"


def test_every_block_is_found(page):
    assert not re.search(r"^[ >]+```|^~~~", page, flags=re.MULTILINE), "a fence must begin its line, with ```"
    languages = {"python", "console", "diff", "text", "", "json", "toml", "yaml", "css", "{eval-rst}", "{toctree}"}
    assert {block.language for block in blocks(page)} <= languages
    for block in blocks(page):
        # A command without its "$" would count as output.
        assert block.language != "console" or block.code.startswith("$ "), f"line {block.line}"


def test_links_between_pages_are_not_broken(page, request):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", re.sub(r"```.*?```", "", page, flags=re.DOTALL)):
        assert target.startswith(("http://", "https://")) or (path(request).parent / target).exists(), target


def test_most_blocks_are_run():
    found = [block for path in PAGES for block in blocks(path.read_text(encoding="utf-8"))]
    runnable = [block for block in found if block.language == "python" or block.calls_pellucid]
    assert sum(block.runs for block in runnable) > 0.7 * len(runnable)


def test_build_replaces_outdated_output_of_python():
    first, second = (
        "```python\nprint(1)\n```\n\n```text\n",
        "```\n\n```python\nx = 1\n```\n\n```python\nprint(x)\n```\n",
    )
    page, changed = f"{first}2\n{second}", f"{first}1\n{second}\n```text\n1\n```\n"
    assert build(page) == changed
    assert build(changed) == changed


def test_build_replaces_outdated_help_texts():
    page = "```console\n$ pellucid models remove --help\nUsage: of yesterday\n$ pellucid --version\n…\n```\n"
    built = build(page)
    assert "of yesterday" not in built
    assert "Remove a model from the caches" in built
    assert built.endswith("$ pellucid --version\n…\n```\n")


def test_each_command_has_a_section_in_the_reference():
    reference = (DOCS / "cli.md").read_text(encoding="utf-8")
    group = typer.main.get_command(app)
    names = list(group.commands) + [f"models {name}" for name in group.commands["models"].commands]
    for name in names:
        assert f"$ pellucid {name} --help\n" in reference, f"docs/cli.md has no section about pellucid {name}"
