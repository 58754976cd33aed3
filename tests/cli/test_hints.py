from __future__ import annotations

from pathlib import Path

import pytest

from pellucid.cli.hints import check_order, choose_file, hint_at_path
from pellucid.errors import OptionError


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("notes.txt", "notes.txt is a file, but here it is taken as a text. For the texts in it: -f notes.txt"),
        ("folder", "folder is a folder, but here it is taken as a text. To search in it: pellucid index folder"),
        (
            "my notes.txt",
            "my notes.txt is a file, but here it is taken as a text. For the texts in it: -f 'my notes.txt'",
        ),
        (
            "my folder",
            "my folder is a folder, but here it is taken as a text. To search in it: pellucid index 'my folder'",
        ),
        ("./folder/", "./folder/ is a folder"),
        ("other.txt", "there is no file other.txt, so it is taken as a text."),
        ("Table.CSV", "there is no file Table.CSV"),
        ("folder/reviews", "there is no file folder/reviews"),
        ("data/reviews.csv", "there is no file data/reviews.csv"),
        ("a\x1b[31m/b.txt", r"there is no file a\x1b[31m/b.txt"),
        ("TCP/IP", None),
        ("and/or", None),
        (".csv", None),
        ("a text", None),
        ("see data/reviews", None),
        ("word", None),
        ("end.", None),
        ("https://example.org/notes.txt", None),
        ("", None),
        ("/", "/ is a folder"),
        ("a\0b", None),
        ("x" * 5000, None),
    ],
)
def test_a_text_that_looks_like_a_path_gets_a_hint(tmp_path, monkeypatch, capsys, text, hint):
    monkeypatch.chdir(tmp_path)
    for name in ("notes.txt", "my notes.txt"):
        Path(name).write_text("x")
    for name in ("folder", "my folder"):
        Path(name).mkdir()
    hint_at_path(text, "-f {}")
    shown = capsys.readouterr().err
    assert shown.startswith(f"hint: {hint}") if hint else shown == ""


def test_a_text_and_a_file_that_were_swapped_are_noticed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("x")
    Path("my notes.txt").write_text("x")
    for text in ("a cat", "a long text " * 500):
        with pytest.raises(OptionError, match="Type the text first: pellucid similar TEXT notes.txt"):
            check_order("notes.txt", Path(text), "pellucid similar")
    with pytest.raises(OptionError, match="Type the text first: pellucid similar TEXT 'my notes.txt'"):
        check_order("my notes.txt", Path("a cat"), "pellucid similar")
    for text, file in [("notes.txt", "notes.txt"), ("a cat", "notes.txt"), ("a cat", "b"), ("notes.txt", "-")]:
        check_order(text, Path(file), "pellucid similar")
    check_order("notes.txt", None, "pellucid similar")


def test_a_file_is_given_once():
    assert choose_file(None, None) is None
    assert choose_file(Path("a"), None) == choose_file(None, Path("a")) == Path("a")
    with pytest.raises(OptionError, match="give the file once"):
        choose_file(Path("a"), Path("a"))
