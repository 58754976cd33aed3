from __future__ import annotations

import re
import shlex

import pytest
from typer.main import get_command

from pellucid.cli import app
from pellucid.cli.examples import EXAMPLES
from tests.cli.command import run

NAMES = [name for name in EXAMPLES if name]


def command_at(name: str):
    command = get_command(app)
    for part in name.split():
        command = command.commands[part]
    return command


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("name", list(EXAMPLES))
@pytest.mark.parametrize("columns", ["60", "160"])
def test_each_help_ends_with_examples_that_no_terminal_breaks(monkeypatch, name, option, columns):
    monkeypatch.setenv("COLUMNS", columns)
    result = run(*name.split(), option)
    assert (result.code, result.err) == (0, "")
    _, shown = result.out.split("\nExamples:\n")
    lines = shown.splitlines()
    assert 2 <= len(lines) <= 4
    assert [line.removeprefix("  ") for line in lines] == [line.strip() for line in EXAMPLES[name].strip().splitlines()]
    assert all(len(line) <= 60 for line in lines)
    assert all(f"pellucid {name}".strip() in line for line in lines)


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_are_calls_that_the_command_understands(name):
    command = command_at(name)
    for example in EXAMPLES[name].strip().splitlines():
        words = shlex.split(example.strip())
        if "|" in words:
            pipe = words.index("|")
            words = words[pipe + 1 :] if words[0] != "pellucid" else words[:pipe]
            words = words[: words.index("|")] if "|" in words else words
        words = words[: words.index(">")] if ">" in words else words
        words = words[words.index("pellucid") + 1 :]
        assert words[: len(name.split())] == name.split()
        if name == "models":
            continue  # Its examples are those of its commands.
        command.make_context(name, words[len(name.split()) :]).close()


def test_a_command_has_the_examples_of_its_name():
    names = list(get_command(app).commands) + [f"models {name}" for name in command_at("models").commands]
    assert sorted(names) == sorted(NAMES)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["embed", "--jsn", "x"], "pellucid: there is no option --jsn. Did you mean --json?"),
        (["--versoin"], "pellucid: there is no option --versoin. Did you mean --version? See "),
        (["embed", "x", "--qqqq"], "there is no option --qqqq. See "),
        (["similar", "reset", "my password"], "there is no file my password"),
        (["similar", "reset", "my", "secret"], "there are too many arguments. Put quotes around a text"),
        (["explain", "secret", "b"], "A second text goes after --with."),
        (["embd", "x"], "pellucid: no such command 'embd'. Did you mean 'embed'?"),
        (["models", "lst"], "pellucid: no such command 'lst'. Did you mean 'list'?"),
        (["search"], "missing argument 'query'"),
        (["embed", "--model"], "option '--model' requires an argument"),
        (
            ["embed", "x", "--output-dtype", "int4"],
            "'--output-dtype': 'int4' is not one of 'float32', 'float16', 'binary', 'ubinary'",
        ),
        (["serve", "--port", "x"], "invalid value for '--port'"),
        (["serve", "--port", "70000"], "65535"),
        (["similar", "x", "-k", "1.5"], "invalid value for '-k'"),
    ],
)
def test_a_mistake_in_the_call_is_named_without_a_traceback(arguments, words):
    result = run(*arguments)
    assert (result.code, result.out) == (2, "")
    assert words in result.err
    assert result.err.startswith("pellucid: ")
    assert not re.search(r"Value error|Input should|Traceback|secret", result.err)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_offers_commands_options_and_choices_of_today(monkeypatch, shell):
    from typer.testing import CliRunner

    def offered(line: str) -> str:
        environment = {
            "_PELLUCID_COMPLETE": f"complete_{shell}",
            "_TYPER_COMPLETE_ARGS": line,
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split()) - (0 if line.endswith(" ") else 1)),
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        }
        return CliRunner().invoke(app, [], prog_name="pellucid", env=environment).output

    assert "explain" in offered("pellucid ")
    shown = offered("pellucid batch --")
    assert "--column" in shown
    assert "--text-column" not in shown
    shown = offered("pellucid embed --on-truncation ")
    assert "cut" in shown
    assert "ignore" not in shown
