from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from pellucid import __version__
from pellucid.cli import app
from tests.cli.command import run

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"


def test_it_shows_its_version():
    assert run("--version").out == f"pellucid {__version__}\n"


def test_without_arguments_it_shows_its_commands():
    result = run()
    assert result.code == 2
    assert "embed" in result.out + result.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["embed", "x", "--model", "./nowhere"], 1, "pellucid: no folder './nowhere'"),
        (["embed", "x", "--truncate-dim", "0", "--model", "{model}"], 2, "pellucid: --truncate-dim 0 must be"),
        (["embed", "x", "--output-dtype", "int4"], 2, "pellucid: invalid value"),
        (["models", "show", "./nowhere"], 1, "pellucid: no folder './nowhere'"),
    ],
)
def test_an_error_is_one_line_without_a_traceback(tiny_bert, arguments, code, message):
    result = run(*(argument.format(model=tiny_bert) for argument in arguments))
    assert (result.code, result.out) == (code, "")
    assert message in result.err
    assert "Traceback" not in result.err


def test_it_runs_as_a_module_and_stops_quietly_when_its_reader_closes_the_pipe(tiny_bert):
    command = [sys.executable, "-m", "pellucid", "embed", "--json", "--model", str(tiny_bert)]
    texts = b"the cat\n" * 20_000
    reader, writer = os.pipe()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=writer, stderr=subprocess.PIPE) as process:
        os.close(writer)
        with os.fdopen(reader, "rb") as output:
            process.stdin.write(texts[:80_000])
            process.stdin.flush()
            first = output.readline()
        _, errors = process.communicate(texts[80_000:])
    assert first.startswith(b'{"index": 0, "text": "the cat", "vector": [')
    assert (process.returncode, b"Traceback" in errors) == (1, False)


def commands(command, name="pellucid"):
    yield name, command
    for sub, below in getattr(command, "commands", {}).items():
        yield from commands(below, f"{name} {sub}")


@pytest.mark.parametrize(("name", "command"), list(commands(get_command(app))))
def test_the_docs_show_the_help_as_it_is(name, command):
    """The words must be equal. The layout may differ, because each version of typer has its own."""
    shown = re.search(rf"^\$ {name} --help\n(.*?)^```", DOCS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert shown, f"docs/cli.md has no `{name} --help`"
    words = "".join(shown[1].split())
    assert "".join(command.help.split()) in words
    options = {option for param in command.params for option in param.opts if option.startswith("--")}
    assert {*re.findall(r"^  (?:-\w, )?(--[\w-]+)", shown[1], re.MULTILINE)} == options | {"--help"}
    for param in command.params:
        assert "".join((param.help or "").split()) in words


@pytest.mark.parametrize(("name", "command"), list(commands(get_command(app))))
def test_no_sentence_is_cut_off_in_a_list_of_commands(name, command):
    """Not even in a terminal of 60 columns."""
    assert not command.get_short_help_str(45).endswith("...")
