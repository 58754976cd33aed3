from __future__ import annotations

import json
import shutil
import stat
import sys

import pytest

from tests import tiny
from tests.cli.command import run

pytest.importorskip("lancedb")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return str(tiny.write_model(tmp_path_factory.mktemp("models") / "m"))


@pytest.fixture
def notes(tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.md").write_text("# the cat\n\nThe cat sat. An okapi sat.\n", encoding="utf-8")
    (folder / "b.txt").write_text("the dog\n", encoding="utf-8")
    (folder / "c.bin").write_bytes(b"a\0b")
    return folder


def test_indexed_files_are_found(tmp_path, notes, model):
    to = str(tmp_path / "index")
    made = run("index", str(notes), "--index", to, "--model", model)
    assert made.code == 0
    assert made.out.startswith(f"2 files, 2 chunks in {to}: 2 files new or changed, 0 gone, 2 chunks embedded")
    assert "1 skipped:\n  notes/c.bin: binary\n" in made.err
    again = run("index", str(notes), "--index", to, "--model", model)
    assert "0 files new or changed, 0 gone, 0 chunks embedded" in again.out
    found = run("search", "okapi", "--index", to, "-k", "1", "--mode", "text", "--why")
    assert "notes/a.md:1-3" in found.out
    assert "An okapi sat." in found.out
    assert "cosine " in found.out


def test_skipped_files_are_listed_with_control_characters_written_out(tmp_path, notes, model):
    (notes / "d\x1b[31m\n.bin").write_bytes(b"\0")
    (notes / "e.pdf").write_bytes(b"%PDF-1.4 okapi")
    made = run("index", str(notes), "--index", str(tmp_path / "index"), "--model", model)
    assert made.err.splitlines() == [
        "3 skipped:",
        "  notes/c.bin: binary",
        "  notes/d\\x1b[31m\\n.bin: binary",
        "  notes/e.pdf: broken PDF (PdfStreamError)",
    ]


def test_a_passage_sends_no_control_characters_to_the_terminal(tmp_path, notes, model):
    to = str(tmp_path / "index")
    (notes / "d\x1b[31m\n.txt").write_text("zebra\t\x1b]0;title\x07 \x9b31m red\nzebra\n", encoding="utf-8")
    run("index", str(notes), "--index", to, "--model", model)
    shown = run("search", "zebra", "--index", to, "-k", "1", "--mode", "text").out
    assert not {"\x1b", "\x07", "\x9b"} & {*shown}
    assert "notes/d\\x1b[31m\\n.txt:1-2" in shown
    assert "\\x1b]0;title\\x07 \\x9b31m red\nzebra\n" in shown
    (line,) = run("search", "zebra", "--index", to, "-k", "1", "--mode", "text", "--json").out.splitlines()
    assert not {"\x1b", "\x07", "\x9b"} & {*line}
    assert json.loads(line)["text"] == "zebra\t\x1b]0;title\x07 \x9b31m red\nzebra"


def test_an_error_sends_no_control_characters_to_the_terminal(tmp_path):
    assert run("search", "zebra", "--index", str(tmp_path / "a\x1b[31m")).err.startswith(
        f"pellucid: there is no index in {tmp_path}/a\\x1b[31m."
    )


@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")
def test_only_its_owner_may_read_an_index(tmp_path, notes, model):
    """It holds texts of files that others may not be allowed to read."""
    run("index", str(notes), "--index", str(tmp_path / "a" / "index"), "--model", model)
    assert stat.S_IMODE((tmp_path / "a" / "index").stat().st_mode) == 0o700


def test_the_model_may_be_in_another_cache_folder(tmp_path, notes, model):
    """The index names only the model. Without a network or a copy in the usual caches, the options must find it."""
    name, folder = "nobody/tiny", tmp_path / "models" / "models--nobody--tiny" / "snapshots" / ("0" * 40)
    shutil.copytree(model, folder)
    (folder.parents[1] / "refs").mkdir()
    (folder.parents[1] / "refs" / "main").write_text("0" * 40)
    where = ("--cache-folder", str(tmp_path / "models"), "--local-files-only")
    made = run("index", str(notes), "--index", str(tmp_path / "index"), "--model", name, *where)
    assert (made.code, made.out[:8]) == (0, "2 files,")
    assert "okapi" in run("search", "okapi", "--index", str(tmp_path / "index"), *where).out
    assert (
        "nobody/tiny is not on this machine" in run("search", "okapi", "--index", str(tmp_path / "index"), where[2]).err
    )


def test_json_has_the_file_the_position_and_the_text(tmp_path, notes, model):
    to = str(tmp_path / "index")
    run("index", str(notes), "--index", to, "--model", model)
    lines = [json.loads(line) for line in run("search", "the dog", "--index", to, "--json").out.splitlines()]
    assert {line["file"] for line in lines} == {"notes/a.md", "notes/b.txt"}
    for line in lines:
        source = (notes.parent / line["file"]).read_text(encoding="utf-8")
        assert source[line["start"] : line["end"]] == line["text"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["search", "cat", "--index", "/nowhere"], 1, "there is no index in /nowhere"),
        (["search", "cat", "-k", "0"], 2, "-k must be at least 1"),
        (["index", "/nowhere/at/all"], 2, "is neither a file nor a folder"),
    ],
)
def test_errors_say_what_to_do(tmp_path, model, arguments, code, message):
    more = ["--model", model, "--index", str(tmp_path / "index")] if arguments[0] == "index" else []
    result = run(*arguments, *more)
    assert result.code == code
    assert message in result.err


def test_a_query_against_an_empty_index_finds_nothing(tmp_path, model):
    (tmp_path / "empty").mkdir()
    run("index", str(tmp_path / "empty"), "--index", str(tmp_path / "index"), "--model", model)
    assert run("search", "cat", "--index", str(tmp_path / "index")).out == "nothing found\n"
