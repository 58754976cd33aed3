from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys

import pytest

from pellucid.cli.index import _describe_progress
from pellucid.search.update import Progress
from tests import multi_vector_models, tiny
from tests.cli.command import run, run_on_terminal

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


def test_what_changed_is_said(tmp_path, notes, model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    to = str(tmp_path / "index")
    made = run("index", str(notes), "--index", to, "--model", model)
    assert made.code == 0
    assert made.out == f"{to} has 2 files in 2 chunks: 2 files new or changed, 2 chunks embedded.\n"
    assert made.err == "Skipped 1 file:\n  notes/c.bin: binary\n"
    again = run("index", str(notes), "--index", to, "--model", model)
    assert again.out == f"{to} has 2 files in 2 chunks. Nothing has changed.\n"
    (notes / "b.txt").unlink()
    assert run("index", str(notes), "--index", to, "--model", model).out == (
        f"{to} has 1 file in 1 chunk: 1 file gone, 0 chunks embedded.\n"
    )


def test_a_new_index_below_another_says_that_it_hides_it(tmp_path, notes, model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("index", "notes", "--model", model).err.startswith("Skipped")
    monkeypatch.chdir(notes)
    note = f"note: there is an index above: {tmp_path}/.pellucid-index. A new one is made here"
    assert run("index", "a.md", "--index", "other", "--model", model).err == ""
    assert run("index", "a.md", "--model", model).err.startswith(note)
    assert run("index", "a.md", "--model", model).err == ""


def test_files_from_other_folders_stay_until_they_are_forgotten(tmp_path, notes, model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "x.txt").write_text("a page")
    arguments = ("--index", "i", "--model", model)
    run("index", "notes", *arguments)
    assert run("index", "web", *arguments).out == (
        "i has 3 files in 3 chunks: 1 file new or changed, 1 chunk embedded. It keeps 2 files from other folders.\n"
    )
    shutil.rmtree("web")
    gone = run("index", "web", *arguments)
    assert gone.code == 2
    assert "To remove its files from the index, add --forget." in gone.err
    assert run("index", "web", "--forget", "--index", "i").out == "i has 2 files in 2 chunks: 1 file forgotten.\n"
    assert "the index in i has no file from" in run("index", "web", "--forget", "--index", "i").err
    assert "okapi" in run("search", "okapi", "--index", "i").out


def test_forgetting_needs_no_model(tmp_path, notes, model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    copy = shutil.copytree(model, tmp_path / "copy")
    run("index", "notes", "--index", "i", "--model", str(copy))
    shutil.rmtree(copy)
    forgotten = run("index", "notes/b.txt", "--forget", "--index", "i")
    assert (forgotten.out, forgotten.err) == ("i has 1 file in 1 chunk: 1 file forgotten.\n", "")


def test_an_index_may_have_other_vectors_and_search_knows(tmp_path, notes):
    models = {
        "sparse": tiny.write_splade_model(tmp_path / "splade"),
        "multi-vector": multi_vector_models.write_model(tmp_path / "colbert"),
    }
    for task, model in models.items():
        arguments = ("--index", str(tmp_path / task), "--model", str(model), "--task", task)
        made = run("index", str(notes), *arguments)
        assert made.out.startswith(f"{tmp_path / task} has 2 files in ")
        assert run("index", str(notes), *arguments).out.endswith(". Nothing has changed.\n")
        found = run("search", "the dog", "--index", str(tmp_path / task), "-k", "1", "--mode", "vector")
        assert json.loads(found.out)["vector_rank"] == 1
    again = run("index", str(notes), "--index", str(tmp_path / "sparse"), "--model", str(model), "--task", task)
    assert again.code == 1
    assert "was made with task 'sparse', not with 'multi-vector'" in again.err


@pytest.mark.parametrize(
    ("task", "given", "message"),
    [
        (
            "sparse",
            [],
            "gives dense vectors. For --task sparse, name another model, such as -m naver/",
        ),
        ("multi-vector", [], "For --task multi-vector, name another model, such as -m lightonai/"),
        ("sparse", ["--model", "{dense}"], "gives no sparse vectors. If it gives one dense vector for each text, use"),
        ("multi-vector", ["--model", "{dense}"], "does not give each token a vector that can be compared."),
        ("dense", ["--model", "{sparse}"], "gives sparse vectors. Use SparseEmbedder, or --task sparse"),
    ],
)
def test_a_model_of_another_kind_is_refused_before_anything_is_written(tmp_path, notes, model, task, given, message):
    names = {"dense": model, "sparse": tiny.write_splade_model(tmp_path / "m")}
    arguments = [word.format(**names) for word in given]
    refused = run("index", str(notes), "--index", str(tmp_path / "index"), "--task", task, *arguments)
    assert (refused.code, refused.out) == (2 if not given else 1, "")
    assert message in refused.err
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize(
    "option",
    [["--rebuild"], ["--task", "dense"], ["--model", "all-MiniLM-L6-v2"], ["--dtype", "float32"], ["--column", "text"]],
)
def test_options_that_mean_nothing_to_forget_are_refused(option):
    result = run("index", "notes", "--forget", *option)
    assert (result.code, result.out) == (2, "")
    assert f"--forget cannot be used with {option[0]}." in result.err


def test_paths_of_skips_are_written_as_those_of_hits(tmp_path, notes, model, monkeypatch):
    monkeypatch.chdir(tmp_path / "notes")
    arguments = ("--index", str(tmp_path / "i"), "--model", model)
    assert run("index", ".", *arguments).err == "Skipped 1 file:\n  c.bin: binary\n"
    run("index", ".", "--index", "own", "--model", model)
    assert run("index", ".", *arguments).err == (
        "Skipped 1 file and 1 folder:\n  own: an index of Pellucid's\n  c.bin: binary\n"
    )
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert f"  {notes}/c.bin: binary" in run("index", "../notes", *arguments).err


def test_skipped_files_are_listed_with_control_characters_written_out(tmp_path, notes, model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (notes / "d\x1b[31m\n.bin").write_bytes(b"\0")
    (notes / "e.pdf").write_bytes(b"%PDF-1.4 okapi")
    made = run("index", str(notes), "--index", str(tmp_path / "index"), "--model", model)
    assert made.err.splitlines() == [
        "Skipped 3 files:",
        "  notes/c.bin: binary",
        "  notes/d\\x1b[31m\\n.bin: binary",
        "  notes/e.pdf: broken PDF (PdfStreamError)",
    ]


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
    assert made.code == 0
    assert "okapi" in run("search", "okapi", "--index", str(tmp_path / "index"), *where).out
    assert (
        "nobody/tiny is not on this machine" in run("search", "okapi", "--index", str(tmp_path / "index"), where[2]).err
    )


def test_a_folder_that_does_not_exist_is_an_error(tmp_path, model):
    result = run("index", "/nowhere/at/all", "--index", str(tmp_path / "index"), "--model", model)
    assert result.code == 2
    assert "is neither a file nor a folder" in result.err


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (Progress(), "Looking for files: 0 found"),
        (Progress(found=1200), "Looking for files: 1,200 found"),
        (Progress(found=2, files=2, read=1, chunks=1), "Reading 1 of 2 files: 1 chunk"),
        (Progress(found=1, files=1, read=0, chunks=900, kept=64), "64 of 900 chunks, 21/s, 0 of 1 file"),
        (Progress(files=1, read=1, chunks=900, kept=900, is_committing=True), "Writing the index: 900 chunks"),
    ],
)
def test_progress_says_what_happens_now(progress, expected):
    assert _describe_progress(progress, 21.4) == expected


# A process that a shell or a test runner starts in the background ignores SIGINT, unless it asks for it.
STOPPED = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from pellucid.search import store, update
update._chunks_per_step = lambda embedder: 64
stage = store.Store.stage
def stage_and_stop(self, rows, vectors):
    stage(self, rows, vectors)
    os.kill(os.getpid(), signal.SIGINT)
store.Store.stage = stage_and_stop
from pellucid.cli import main
sys.argv = ["pellucid", *sys.argv[1:]]
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_says_what_is_kept_and_how_to_go_on(tmp_path, model):
    notes, to = tmp_path / "my notes", str(tmp_path / "index")
    notes.mkdir()
    for number in range(100):
        (notes / f"{number}.txt").write_text(f"the cat sat {number}", encoding="utf-8")
    arguments = ["index", str(notes), "--index", to, "--model", model]

    def stop():
        command = [sys.executable, "-c", STOPPED, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

    stopped = stop()
    assert (stopped.returncode, stopped.stdout) == (130, "")
    assert stopped.stderr == (
        "pellucid: interrupted. 64 embedded chunks are kept, and you can search once it is done. To go on where it "
        f"was, run the same command again:\n  pellucid index '{notes}' --index {to} --model {model}\n"
    )
    searched = run("search", "cat", "--index", to)
    assert searched.code == 1
    assert f"the index in {to} is unfinished" in searched.err
    assert f"it goes on where it was: pellucid index FOLDER --index {to}" in searched.err
    assert "100 files new or changed, 36 chunks embedded" in run(*arguments).out
    assert run("search", "cat", "--index", to).err == ""

    for number in range(100):
        (notes / f"{number}.txt").write_text(f"the dog sat {number}", encoding="utf-8")
    assert "64 embedded chunks are kept, and searches use the index as it was" in stop().stderr
    searched = run("search", "cat", "--index", to, "-k", "1")
    assert searched.code == 0
    assert searched.err.startswith("note: an update of this index was stopped, or is still running.")


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals of POSIX")
def test_progress_is_drawn_on_a_terminal(tmp_path, notes, model):
    call = ("index", str(notes), "--index", str(tmp_path / "i"), "--model", model)
    shown = run_on_terminal(*call, columns=20, out=tmp_path / "out")
    assert b"Loading the model" in shown
    assert b"Skipped 1 file" in shown
    assert b"c.bin:\r\nbinary" in shown  # Its lines break between words.
