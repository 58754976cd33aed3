from __future__ import annotations

import io
import re
import sys
from dataclasses import replace

import numpy as np
import pytest

from pellucid import Embedder
from pellucid.cli.lines import Lines, embed_lines, read_lines, show
from pellucid.cli.texts import TableFile
from pellucid.errors import OptionError
from pellucid.files.stamps import stamp_of
from tests.cli.command import run_on_terminal


def test_blank_lines_are_left_out_and_numbers_stay(tmp_path):
    (tmp_path / "texts.txt").write_text("one\n\n \t\nfour\n")
    assert read_lines(tmp_path / "texts.txt", "text") == Lines(["one", "four"], [1, 4], 4)
    kept = read_lines(tmp_path / "texts.txt", "text", keep_blank=True)
    assert kept == Lines(["one", "", " \t", "four"], [1, 2, 3, 4], 4)


def test_a_table_has_rows(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_text('{"body": "one"}\n{"body": " "}\n{"body": "three"}\n')
    lines = read_lines(path, "body")
    assert lines == Lines(["one", "three"], [1, 3], 3, TableFile(path, "jsonl", "body", stamp_of(path)))
    assert (lines.place(1), replace(lines, table=None).place(1)) == ("row 3", "line 3")


def test_nobody_waits_for_texts_that_were_forgotten(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdin", terminal)
    with pytest.raises(OptionError, match="no texts. Give a file, or pipe texts in, one per line."):
        read_lines(None, "text")


@pytest.mark.parametrize("count", [0, 3, 2500])
def test_vectors_are_those_of_one_call(tiny_bert, count):
    embedder = Embedder(tiny_bert)
    texts = [f"the cat {number}" for number in range(count)]
    assert np.array_equal(
        embed_lines(embedder, Lines(texts, list(range(1, count + 1)), count)), embedder.embed_documents(texts)
    )


@pytest.mark.parametrize(
    ("text", "short", "full"),
    [
        ("one\n two\tthree", "one two three", "one\n two\tthree"),
        ("a\x1b[31m\x9b", r"a\x1b[31m\x9b", r"a\x1b[31m\x9b"),
        ("x" * 5000, "x" * 1000, "x" * 5000),
    ],
)
def test_a_text_for_a_terminal_is_safe_and_short(text, short, full):
    assert show(text).plain == short
    assert show(text, full=True).plain == full


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")
def test_a_warning_does_not_run_into_the_progress_bar(tiny_bert, tmp_path):
    (tmp_path / "texts.txt").write_text("cat " * 100)
    call = ["similar", "the cat", str(tmp_path / "texts.txt"), "--model", str(tiny_bert)]
    shown = run_on_terminal(*call, columns=80, out=tmp_path / "out")
    assert b"Embedding" in shown
    assert re.search(rb"\r *\rwarning: 1 of 1 text is longer", shown)
