from __future__ import annotations

import io
import logging

import pytest

from pellucid.cli.terminal import SayingHandler, say, tell, wrap


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


MESSAGE = (
    "pellucid: there is no file with-a-long-name.txt in this place, and a_word_longer_than_the_whole_terminal_is_kept"
)


@pytest.mark.parametrize("width", [30, 60, 160])
def test_on_a_terminal_lines_break_between_words(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    lines = wrap(f"{MESSAGE}\n\nsecond", Terminal()).split("\n")
    assert " ".join(lines) == f"{MESSAGE}  second"
    assert all(len(line) <= width for line in lines if " " in line)


def test_a_program_gets_the_lines_as_they_are(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    assert wrap(MESSAGE, io.StringIO()) == MESSAGE


def test_what_is_said_goes_to_standard_error_without_control_characters(capsys):
    say("a\x1b[31m\nb")
    assert capsys.readouterr() == ("", "a\\x1b[31m\nb\n")


def test_what_is_told_goes_to_standard_output_without_control_characters(capsys):
    tell("a\x1b[31m\nb")
    assert capsys.readouterr() == ("a\\x1b[31m\nb\n", "")


def test_what_the_library_logs_is_said_in_the_same_way(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "20")
    SayingHandler().handle(logging.LogRecord("x", logging.WARNING, "", 0, "%s is a\x1b folder", ("a name",), None))
    assert terminal.getvalue() == "a name is a\\x1b\nfolder\n"
