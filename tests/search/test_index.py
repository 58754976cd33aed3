from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import filelock
import numpy as np
import pytest

from pellucid import Embedder, Reranker
from pellucid.encoder.fingerprint import Fingerprint
from pellucid.errors import IndexStateError, IndexWriteError, OptionError, TextError, TruncationWarning
from pellucid.files.walk import FoundFile, SkippedFile, find_files
from pellucid.search.damage import record
from pellucid.search.index import Index
from pellucid.search.rows import Row
from pellucid.search.store import Identity, Store
from pellucid.tables.vector_columns import dense_column
from tests import static_models, tiny

pytest.importorskip("lancedb")
WORDS = ["cat", "dog", "mat", "sat", "the", "on", "zebra", "query"]


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    folder = tiny.write_model(tmp_path_factory.mktemp("models") / "m", prompts={"query": "query: "})
    return Embedder(folder, on_truncation="error")


@pytest.fixture(scope="module")
def reference_embedder(embedder):
    return Embedder(embedder.files.folder, engine="reference", on_truncation="error")


@pytest.fixture
def notes(tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.txt").write_text(text_of(number), encoding="utf-8")
    return folder


def text_of(number):
    drawn = random.Random(number)
    return "\n\n".join(" ".join(drawn.choices(WORDS, k=15)) for _ in range(4))


def everything(index):
    """What counts in an index: its chunks with their vectors, whatever their order."""
    columns = index.store._chunks().search().limit(None).to_arrow().to_pylist()
    return sorted((row["file"], row["start"], row["end"], row["text"], tuple(row["vector"])) for row in columns)


def test_every_chunk_is_found_by_its_own_words_and_has_its_vector(tmp_path, notes, embedder):
    index = Index.create(tmp_path / "index", embedder)
    summary = index.update([notes])
    rows = everything(index)
    assert (summary.files, summary.added, summary.removed) == (5, 5, 0)
    assert summary.chunks == len(rows) > 10
    for file, start, end, text, vector in rows:
        source = (notes.parent / file).read_text(encoding="utf-8")
        assert source[start:end] == text
        np.testing.assert_array_equal(np.float32(vector), embedder.embed_documents([text])[0])


def test_lines_are_counted(tmp_path, notes, embedder):
    index = Index.create(tmp_path / "index", embedder)
    index.update([notes])
    for hit in index.search("cat", 50, mode="vector"):
        lines = (notes.parent / hit.row.file).read_text(encoding="utf-8").splitlines()
        assert hit.row.text.splitlines()[0] in lines[hit.row.first_line - 1]
        assert hit.row.text.splitlines()[-1] in lines[hit.row.last_line - 1]


def test_a_vector_search_is_exact(tmp_path, notes, embedder):
    index = Index.create(tmp_path / "index", embedder)
    index.update([notes])
    query = embedder.embed_query("the cat sat").astype(np.float64)
    scores = sorted((float(np.array(vector) @ query) for *_, vector in everything(index)), reverse=True)
    found = index.search("the cat sat", 7, mode="vector")
    np.testing.assert_allclose([hit.score for hit in found], scores[:7], atol=1e-5)


def test_a_hit_says_why_it_is_where_it_is(tmp_path, notes, embedder):
    (notes / "rare.md").write_text("# Okapis\n\nthe okapi sat on the mat", encoding="utf-8")
    index = Index.create(tmp_path / "index", embedder)
    index.update([notes])
    query = embedder.embed_query("okapi cat").astype(np.float64)
    rankings = {mode: [hit.row for hit in index.search("okapi cat", 100, mode=mode)] for mode in ("vector", "text")}
    for mode in ("vector", "text", "hybrid"):
        hits = index.search("okapi cat", 100, mode=mode)
        assert any(hit.text_rank is None for hit in hits) == (mode != "text")
        for hit in hits:
            vector = embedder.embed_documents([hit.row.text])[0].astype(np.float64)
            assert hit.cosine == pytest.approx(float(vector @ query), abs=1e-6)
            assert hit.vector_rank == (rankings["vector"].index(hit.row) + 1 if mode != "text" else None)
            in_text = mode != "vector" and hit.row in rankings["text"]
            assert hit.text_rank == (rankings["text"].index(hit.row) + 1 if in_text else None)
            assert hit.path == notes / hit.row.file.partition("/")[2]
    assert next(hit.row.heading for hit in hits if hit.path.name == "rare.md") == "Okapis"


def test_a_folder_that_moves_is_found_where_it_is_after_the_next_update(tmp_path, notes, embedder):
    index = Index.create(tmp_path / "index", embedder)
    index.update([notes])
    moved = tmp_path / "elsewhere" / "notes"
    moved.parent.mkdir()
    notes.rename(moved)
    assert {hit.file_state for hit in Index.open(tmp_path / "index", embedder).search("cat")} == {"gone"}
    assert index.update([moved]).embedded == 0
    hits = Index.open(tmp_path / "index", embedder).search("cat")
    assert {(hit.path.parent, hit.file_state) for hit in hits} == {(moved, "unchanged")}


def test_a_folder_on_a_disk_that_is_away_is_not_taken_for_one_of_the_same_name(tmp_path, notes, embedder):
    usb, home = tmp_path / "usb" / "notes", tmp_path / "home" / "notes"
    usb.parent.mkdir()
    notes.rename(usb)
    index = Index.create(tmp_path / "index", embedder)
    index.update([usb])
    usb.parent.rename(tmp_path / "away")
    home.mkdir(parents=True)
    (home / "0.txt").write_text("another text of the same file name", encoding="utf-8")
    summary = index.update([home])
    assert (summary.files, summary.added, summary.removed, summary.others) == (6, 1, 0, 5)
    (tmp_path / "away").rename(usb.parent)
    summary = index.update([usb])
    assert (summary.added, summary.removed, summary.others) == (0, 0, 1)


@pytest.mark.skipif(sys.platform == "win32", reason="links of POSIX")
class TestLinks:
    @pytest.fixture
    def linked(self, tmp_path, notes, embedder):
        """An index of notes/, which has links to a folder and to a file elsewhere."""
        (tmp_path / "target").mkdir()
        for name in ("x.txt", "y.txt"):
            (tmp_path / "target" / name).write_text(f"a page {name}", encoding="utf-8")
        (tmp_path / "single.txt").write_text("a page", encoding="utf-8")
        (notes / "link").symlink_to(tmp_path / "target")
        (notes / "one.txt").symlink_to(tmp_path / "single.txt")
        index = Index.create(tmp_path / "index", embedder)
        index.update([notes])
        assert names_in(index) >= {"notes/link/x.txt", "notes/link/y.txt", "notes/one.txt"}
        return index

    def test_they_are_part_of_the_folder_that_they_were_indexed_with(self, tmp_path, notes, linked):
        (tmp_path / "target" / "x.txt").unlink()
        summary = linked.update([notes / "link", notes / "one.txt"])
        assert (summary.files, summary.added, summary.removed, summary.others) == (7, 0, 1, 5)

    @pytest.mark.parametrize("is_broken", [False, True])
    def test_they_can_be_forgotten(self, tmp_path, notes, linked, is_broken):
        if is_broken:
            shutil.rmtree(tmp_path / "target")
        assert linked.forget([notes / "link", notes / "one.txt"]).removed == 3
        assert names_in(linked) == {f"notes/{number}.txt" for number in range(5)}

    def test_elsewhere_they_are_what_they_lead_to(self, tmp_path, notes, linked):
        (tmp_path / "other").symlink_to(notes)
        assert linked.update([tmp_path / "other"]).added == 0
        assert linked.forget([tmp_path / "other" / "link"]).removed == 2


def names_in(index):
    return set(index.store.files())


class TestOtherFolders:
    @pytest.fixture
    def web(self, tmp_path):
        folder = tmp_path / "web"
        folder.mkdir()
        for name in ("x.txt", "y.txt"):
            (folder / name).write_text(f"a page {name}", encoding="utf-8")
        return folder

    def test_their_files_stay(self, tmp_path, notes, web, embedder):
        index = Index.create(tmp_path / "index", embedder)
        index.update([notes])
        (notes / "0.txt").unlink()  # Its folder is not named, so it stays for now.
        summary = index.update([web])
        assert (summary.files, summary.added, summary.removed, summary.others) == (7, 2, 0, 5)
        assert {hit.file_state for hit in index.search("cat", 50) if hit.path.parent == web} == {"unchanged"}
        (web / "x.txt").unlink()
        summary = Index.create(tmp_path / "index", embedder).update([notes, web])
        assert (summary.files, summary.removed, summary.others) == (5, 2, 0)

    def test_a_folder_within_a_known_one_is_brought_up_to_date_alone(self, tmp_path, notes, web, embedder):
        index = Index.create(tmp_path / "index", embedder)
        index.update([tmp_path / "notes", web.rename(notes / "web")])
        assert names_in(index) == {
            *(f"notes/{number}.txt" for number in range(5)),
            "notes/web/x.txt",
            "notes/web/y.txt",
        }
        (notes / "0.txt").unlink()
        (notes / "web" / "x.txt").unlink()
        summary = index.update([notes / "web"])
        assert (summary.added, summary.removed, summary.others) == (0, 1, 5)
        summary = index.update([notes / "web" / "y.txt"])
        assert (summary.added, summary.removed, summary.others) == (0, 0, 5)

    def test_a_folder_around_a_known_one_adds_its_other_files(self, tmp_path, notes, web, embedder):
        index = Index.create(tmp_path / "index", embedder)
        index.update([web.rename(notes / "web")])
        (notes / "web" / "x.txt").unlink()
        summary = index.update([notes])
        assert (summary.files, summary.added, summary.removed, summary.others) == (6, 5, 1, 0)
        assert {hit.path for hit in index.search("cat", 50)} == set(notes.rglob("*.txt"))

    def test_two_folders_of_a_name_are_two(self, tmp_path, notes, web, embedder):
        index = Index.create(tmp_path / "index", embedder)
        index.update([notes])
        (tmp_path / "other").mkdir()
        summary = index.update([web.rename(tmp_path / "other" / "notes")])
        assert (summary.files, summary.added, summary.others) == (7, 2, 5)
        assert names_in(index) >= {"notes/0.txt", "other/notes/x.txt"}

    def test_forgetting_takes_them_out_even_if_they_are_gone(self, tmp_path, notes, web, embedder):
        index = Index.create(tmp_path / "index", embedder)
        index.update([notes, web])
        shutil.rmtree(web)
        with pytest.raises(
            OptionError, match="neither a file nor a folder. To remove its files from the index, add --forget."
        ):
            index.update([web])
        summary = index.forget([web, notes / "0.txt"])
        assert (summary.files, summary.removed) == (4, 3)
        assert names_in(Index.open(tmp_path / "index", embedder)) == {f"notes/{number}.txt" for number in range(1, 5)}
        assert [*index.store.roots()] == ["notes"]
        with pytest.raises(OptionError, match="has no file from"):
            index.forget([web])

    @pytest.mark.skipif(sys.platform == "win32", reason="links of POSIX")
    def test_a_link_in_a_circle_is_no_file(self, tmp_path, notes, embedder):
        (notes / "circle").symlink_to(notes / "circle")
        index = Index.create(tmp_path / "index", embedder)
        with pytest.raises(OptionError, match=r"circle is neither a file nor a folder\.$"):
            index.update([notes / "circle"])
        index.update([notes])
        with pytest.raises(OptionError, match="has no file from"):
            index.forget([notes / "circle"])

    def test_an_index_and_the_output_of_batch_are_skipped_as_a_whole(self, tmp_path, notes, web, embedder):
        Index.create(notes / "inner", embedder).update([web])
        (notes / "vectors").mkdir()
        (notes / "vectors" / "_manifest.json").write_text("{}")
        (notes / "vectors" / ".lock").touch()
        (notes / "bundle").mkdir()
        (notes / "bundle" / "_manifest.json").write_text("the page of another program")
        summary = Index.create(tmp_path / "index", embedder).update([notes])
        assert summary.files == 6
        assert [(skipped.name, skipped.reason, skipped.is_folder) for skipped in summary.skipped] == [
            ("notes/inner", "an index of Pellucid's", True),
            ("notes/vectors", "the output of pellucid batch", True),
        ]


def test_progress_is_reported_while_files_are_found_read_and_embedded(tmp_path, notes, embedder):
    (notes / "huge.txt").write_text("\n\n".join(map(text_of, range(40))), encoding="utf-8")
    (notes / "broken.bin").write_bytes(b"\0")
    seen = []
    summary = Index.create(tmp_path / "index", embedder).update([notes], on_progress=seen.append)
    assert [progress.found for progress in seen if progress.files is None] == [*range(8)]
    assert (seen[-1].files, seen[-1].read, seen[-1].kept, seen[-1].is_committing) == (7, 7, summary.chunks, True)
    assert seen[-1].size == seen[-1].done == sum(path.stat().st_size for path in notes.iterdir())
    in_huge_file = [progress.chunks for progress in seen if progress.reading == "notes/huge.txt"]
    assert len(set(in_huge_file)) > 40
    for before, after in itertools.pairwise(seen):
        assert before.done <= after.done
        assert before.kept <= after.kept <= after.chunks


def stop_an_update(index, notes):
    """Add files to notes/, and stop an update of it once a first step of its chunks is embedded."""
    for number in range(100):
        (notes / f"new{number}.txt").write_text(text_of(number + 50), encoding="utf-8")

    def stop(progress):
        if progress.kept:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index.update([notes], on_progress=stop)


def test_an_update_that_is_stopped_says_so_and_is_gone_on_with(tmp_path, notes, embedder):
    folder = tmp_path / "an index"
    stop_an_update(Index.create(folder, embedder), notes)
    with pytest.raises(
        IndexStateError, match="is unfinished: .* goes on where it was: pellucid index FOLDER --index '"
    ):
        Index.open(folder)
    index = Index.create(folder, embedder)
    assert index.store.is_unfinished()
    kept = len(index.store.staged())
    assert index.update([notes]).embedded == len({row.digest for row in index.store.rows()}) - kept
    assert not index.store.is_unfinished()


class TestAnUpdateThatWasStopped:
    @pytest.fixture
    def index(self, tmp_path, notes, embedder):
        (notes / "small").mkdir()
        for name in "ab":
            (notes / "small" / f"{name}.txt").write_text(f"a page {name}", encoding="utf-8")
        return Index.create(tmp_path / "index", embedder)

    @pytest.mark.parametrize("is_first", [True, False])
    def test_goes_on_though_other_files_are_indexed_or_forgotten_meanwhile(self, notes, index, is_first):
        if not is_first:
            index.update([notes / "small"])
        stop_an_update(index, notes)
        kept = index.store.staged().keys()
        index.update([notes / "small"])
        index.forget([notes / "small" / "b.txt"])
        assert index.store.staged().keys() == kept
        assert index.store.is_unfinished()
        had = {row.digest for row in index.store.rows()}
        assert index.update([notes]).embedded == len({row.digest for row in index.store.rows()} - had - kept)
        assert not index.store.is_unfinished()

    def test_has_no_chunk_twice_when_the_same_process_goes_on(self, notes, index):
        stop_an_update(index, notes)
        summary = index.update([notes])
        assert (summary.files, summary.chunks) == (107, len(set(index.store.rows())))

    def test_keeps_no_text_of_what_is_forgotten(self, notes, index):
        index.update([notes])
        stop_an_update(index, notes)
        index.forget([notes / "new0.txt"])
        assert {"notes/new0.txt", "notes/new1.txt"} & index.store.staged_files() == {"notes/new1.txt"}
        index.forget([notes])
        assert not index.store.is_unfinished()

    def test_is_no_more_once_the_index_is_made_again(self, tmp_path, notes, index):
        stop_an_update(index, notes)
        again = Index.create(tmp_path / "index", index.embedder, rebuild=True)
        again.update([notes / "small"])
        assert not again.store.is_unfinished()


def test_words_find_what_has_them(tmp_path, notes, embedder):
    (notes / "rare.txt").write_text("the okapi sat on the mat", encoding="utf-8")
    index = Index.create(tmp_path / "index", embedder)
    index.update([notes])
    assert [hit.row.file for hit in index.search("okapi", mode="text")] == ["notes/rare.txt"]
    assert index.search("okapi", 1, mode="hybrid")


class TestUpdates:
    def test_only_what_is_new_is_embedded(self, tmp_path, notes, embedder):
        index = Index.create(tmp_path / "index", embedder)
        first = index.update([notes])
        assert index.update([notes]).embedded == 0
        (notes / "new.txt").write_text("a new cat", encoding="utf-8")
        (notes / "0.txt").write_text(text_of(0) + "\n\nand a dog", encoding="utf-8")
        (notes / "1.txt").unlink()
        second = index.update([notes])
        assert (second.added, second.removed, second.files) == (2, 1, 5)
        assert 0 < second.embedded < first.embedded
        again = Index.create(tmp_path / "other", embedder)
        again.update([notes])
        assert everything(index) == everything(again)

    def test_what_the_index_has_is_not_embedded_again_wherever_it_stands(self, tmp_path, notes, embedder):
        (notes / "it's.txt").write_text(text_of(9), encoding="utf-8")
        index = Index.create(tmp_path / "index", embedder)
        index.update([notes])
        before = everything(index)
        os.utime(notes / "0.txt", ns=(0, 0))
        (notes / "it's.txt").rename(notes / "moved.txt")
        (notes / "1.txt").write_text(text_of(1) + "\n\nzebra " * 20, encoding="utf-8")
        summary = index.update([notes])
        assert (summary.added, summary.removed) == (3, 1)
        assert summary.embedded == len({text for *_, text, _ in everything(index)} - {text for *_, text, _ in before})
        (notes / "1.txt").write_text(text_of(1), encoding="utf-8")
        (notes / "moved.txt").rename(notes / "it's.txt")
        index.update([notes])
        assert everything(index) == before

    def test_a_table_that_breaks_off_is_not_half_there(self, tmp_path, notes, embedder):
        (notes / "a.jsonl").write_text('{"text": "okapi"}\n{"text":', encoding="utf-8")
        index = Index.create(tmp_path / "index", embedder)
        for _ in range(2):
            assert index.update([notes]).skipped == (
                SkippedFile(notes / "a.jsonl", "notes/a.jsonl", "line 2: it is not JSON"),
            )
            assert index.search("okapi", mode="text") == []

    def test_a_file_without_a_text_is_reported(self, tmp_path, notes, embedder):
        (notes / "blank.md").write_text(" \n\n", encoding="utf-8")
        index = Index.create(tmp_path / "index", embedder)
        assert index.update([notes]).skipped == (SkippedFile(notes / "blank.md", "notes/blank.md", "no text in it"),)
        assert index.update([notes]).added == 0

    def test_a_file_that_goes_while_it_is_looked_for_is_reported(self, tmp_path, notes, embedder, monkeypatch):
        gone = FoundFile(notes / "gone.txt", "notes/gone.txt", 1, 1)
        monkeypatch.setattr("pellucid.search.update.find_files", lambda roots, **_: [*find_files(roots), gone])
        summary = Index.create(tmp_path / "index", embedder).update([notes])
        assert summary.skipped == (SkippedFile(gone.path, "notes/gone.txt", "No such file or directory"),)

    def test_a_file_that_cannot_be_read_is_told_and_leaves_the_index(self, tmp_path, notes, embedder):
        index = Index.create(tmp_path / "index", embedder)
        index.update([notes])
        (notes / "0.txt").write_bytes(b"a\0b")
        (notes / "empty.txt").write_text("")
        summary = index.update([notes])
        assert [(skipped.name, skipped.reason) for skipped in summary.skipped] == [
            ("notes/0.txt", "binary"),
            ("notes/empty.txt", "empty"),
        ]
        assert summary.files == 4

    def test_an_index_within_the_folder_is_not_read(self, notes, embedder):
        index = Index.create(notes / "index", embedder)
        index.update([notes])
        assert index.update([notes]).files == 5

    def test_no_files_are_an_index_too(self, tmp_path, embedder):
        (tmp_path / "empty").mkdir()
        index = Index.create(tmp_path / "index", embedder)
        assert index.update([tmp_path / "empty"]).chunks == 0
        assert index.search("cat") == []


class TestIdentity:
    def test_another_models_vectors_are_refused(self, tmp_path, notes, embedder):
        Index.create(tmp_path / "index", embedder).update([notes])
        other = Embedder(tiny.write_model(tmp_path / "other", seed=1))
        for make in (Index.create, Index.open):
            with pytest.raises(IndexStateError, match="was made with the model .*, not with .*--rebuild"):
                make(tmp_path / "index", other)
        with pytest.raises(IndexStateError, match="was made with dtype 'float32', not with 'int8'"):
            Index.open(tmp_path / "index", Embedder(embedder.files.folder, dtype="int8"))

    def test_it_can_be_made_again(self, tmp_path, notes, embedder):
        Index.create(tmp_path / "index", embedder).update([notes])
        other = Embedder(tiny.write_model(tmp_path / "other", seed=1))
        index = Index.create(tmp_path / "index", other, rebuild=True)
        assert Index.open(tmp_path / "index").store.identity.model == str(embedder.files.folder)  # still the old one
        assert index.update([notes]).files == 5
        assert Index.open(tmp_path / "index").store.identity.model == str(other.files.folder)

    def test_the_index_knows_its_models_folder_wherever_one_stands(self, tmp_path, notes, embedder, monkeypatch):
        monkeypatch.chdir(embedder.files.folder.parent)
        Index.create(tmp_path / "index", Embedder("./m")).update([notes])
        monkeypatch.chdir(tmp_path)
        assert Index.open(tmp_path / "index").search("cat", 1)

    def test_the_index_knows_its_model(self, tmp_path, notes, embedder):
        Index.create(tmp_path / "index", embedder).update([notes])
        assert Index.open(tmp_path / "index").search("cat", 1)

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "{}",
            "[]",
            "[" * 10_000,
            '{"format": 5}',
            '{"format": 1e999}',
            '{"format": 4}',
            '{"format": 3}',
            '{"format": 2}',
            '{"format": 1, "pointer": {}, "identity": {}}',
        ],
    )
    def test_a_broken_index_says_so(self, tmp_path, notes, embedder, content):
        Index.create(tmp_path / "index", embedder).update([notes])
        (tmp_path / "index" / "index.json").write_text(content)
        with pytest.raises(IndexStateError, match=r"--rebuild"):
            Index.open(tmp_path / "index")
        assert Index.create(tmp_path / "index", embedder, rebuild=True).update([notes]).files == 5

    def test_no_index_says_how_to_make_one(self, tmp_path):
        with pytest.raises(IndexStateError, match="there is no index in .*pellucid index"):
            Index.open(tmp_path / "nowhere")


@pytest.mark.parametrize("query", ["", " \n", "\ud800"])
def test_a_blank_or_broken_query_is_refused(tmp_path, embedder, query):
    with pytest.raises(TextError, match=r"is blank|lone surrogate"):
        Index.create(tmp_path / "index", embedder).search(query, mode="text")


def test_a_query_that_is_cut_is_reported(tmp_path, notes, embedder):
    Index.create(tmp_path / "index", embedder).update([notes])
    with pytest.warns(TruncationWarning):
        Index.open(tmp_path / "index").search("the cat " * 100)


@pytest.mark.parametrize(("options", "message"), [({"mode": "magic"}, "mode='magic'"), ({"count": 0}, "count=0")])
def test_wrong_options_are_refused(tmp_path, notes, embedder, options, message):
    index = Index.create(tmp_path / "index", embedder)
    with pytest.raises(OptionError, match=message):
        index.search("cat", **options)


def row(number):
    return Row(f"{number}", "", 0, 0, "", 0, 0, 1, 1, "", str(number))


def some_vectors(count):
    return dense_column(np.eye(16, dtype=np.float32)[:count])


KILLS = int(os.environ.get("PELLUCID_KILLS", "3"))


def test_killed_at_any_moment_the_index_is_the_one_before_or_the_one_after(tmp_path, notes, embedder):
    """Set PELLUCID_KILLS for more kills than a short run has."""
    index = Index.create(tmp_path / "before", embedder)
    index.update([notes])
    before = everything(index)
    for number in range(100):
        (notes / f"new{number}.txt").write_text(text_of(number + 50), encoding="utf-8")
    (notes / "1.txt").unlink()
    whole = Index.create(tmp_path / "after", embedder)
    whole.update([notes])
    after = everything(whole)
    script = (
        "import sys, pathlib, pellucid, pellucid.search.index as i, pellucid.search.update as u\n"
        "e = pellucid.Embedder(sys.argv[1])\n"
        "index = i.Index.create(pathlib.Path(sys.argv[2]), e)\n"
        "u._chunks_per_step = lambda embedder: 16\n"
        "print('ready', flush=True)\n"
        "index.update([pathlib.Path(sys.argv[3])])\n"
    )
    drawn, target = random.Random(KILLS), tmp_path / "index"
    shutil.copytree(tmp_path / "before", target)
    seen = set()
    for _ in range(KILLS):
        command = [sys.executable, "-c", script, str(embedder.files.folder), str(target), str(notes)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "ready\n"
            time.sleep(drawn.uniform(0, 0.6))
            process.send_signal(signal.SIGKILL)
        now = everything(Index.open(target, embedder))
        assert now in (before, after)
        seen.add(now == after)
        if now == after:
            shutil.rmtree(target)
            shutil.copytree(tmp_path / "before", target)
    final = Index.create(target, embedder)
    final.update([notes])
    assert everything(final) == after
    assert {path.name for path in target.iterdir()} == {"index.json", "lock", f"{final.store.pointer.table}.lance"}
    assert json.loads((target / "index.json").read_text())["pointer"]["table"] == final.store.pointer.table
    assert seen


def test_what_a_kill_leaves_behind_is_gone_after_the_next_run_though_nothing_changed(tmp_path, notes, embedder):
    folder = tmp_path / "index"
    index = Index.create(folder, embedder)
    index.update([notes])
    table, kept = index.store.pointer.table, {path.name for path in folder.iterdir()}
    index.store.stage([dataclasses.replace(row(1), file="notes/1.txt")], some_vectors(1))
    for left in ("staged-0.lance/data", "chunks-0.lance", ".unfinished-1", "staged/.unfinished-2"):
        (folder / left).mkdir(parents=True)
    data = folder / f"{table}.lance" / "data"
    (data / f"{'01' * 25}.lance").write_bytes(b"half a file")
    index.store._database.open_table(table).delete("file = 'notes/1.txt'")  # a commit of LanceDB's that does not count
    before = everything(index)
    again = Index.create(folder, embedder)
    again.update([notes])
    assert {path.name for path in folder.iterdir()} == kept
    assert not (data / f"{'01' * 25}.lance").exists()
    assert everything(again) == before
    pointer = again.store.pointer
    again.update([notes])
    assert again.store.pointer == pointer


@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_index_of_an_older_version_is_brought_up_to_date(tmp_path, notes, embedder, number):
    """It has no records of its files, no headings and no folders, and a name may stand for another file."""
    (notes / "a\\xff.txt").write_text("okapi", encoding="utf-8")
    (notes / "b.md").write_text("# Zebras\n\nokapi", encoding="utf-8")
    folder = tmp_path / "index"
    index = Index.create(folder, embedder)
    index.update([notes])
    write_as_version(number, folder)
    old = Index.open(folder, embedder).search("okapi", mode="text")
    assert {(hit.row.heading, hit.path, hit.file_state) for hit in old} == {("", None, "unknown")}
    assert len(Index.open(folder, embedder).store.rows()) == Index.open(folder, embedder).store.count()
    summary = Index.create(folder, embedder).update([notes])
    assert (summary.files, summary.added, summary.embedded) == (7, 7, 0)
    assert json.loads((folder / "index.json").read_text())["format"] == 4
    new = Index.open(folder, embedder).search("okapi", mode="text")
    assert {(hit.row.heading, hit.path, hit.file_state) for hit in new} == {
        ("", notes / "a\\xff.txt", "unchanged"),
        ("Zebras", notes / "b.md", "unchanged"),
    }
    assert Index.create(folder, embedder).update([notes]).added == 0


def test_an_older_index_keeps_the_files_of_folders_that_are_not_named(tmp_path, notes, embedder):
    folder = tmp_path / "index"
    Index.create(folder, embedder).update([notes])
    write_as_version(3, folder)
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "x.txt").write_text("okapi")
    summary = Index.create(folder, embedder).update([tmp_path / "web"])
    assert (summary.files, summary.added, summary.removed, summary.others) == (6, 1, 0, 5)
    (notes / "0.txt").unlink()
    summary = Index.create(folder, embedder).update([notes])
    assert (summary.files, summary.added, summary.removed, summary.embedded, summary.others) == (5, 4, 1, 0, 1)
    assert {hit.file_state for hit in Index.open(folder, embedder).search("okapi cat", 50)} == {"unchanged"}


def write_as_version(number, folder):
    """Rewrite an index as an older Pellucid wrote it.

    None had headings and folders; the second had no engine and device; the first had no records of files either.
    """
    path = folder / "index.json"
    content = json.loads(path.read_text())
    table = Store.open(folder)._database.open_table(content["pointer"]["table"])
    table.drop_columns(["heading"])
    content["pointer"]["version"] = table.version
    content["files"] = {
        name: dataclasses.astuple(file) for name, file in record(folder / f"{table.name}.lance", {}).items()
    }
    if number < 3:
        fingerprint = content["identity"].pop("fingerprint")
        content["identity"] |= {"fingerprint": fingerprint["model"], "dtype": fingerprint["dtype"]}
        content["identity"]["prompt"] = fingerprint["prompt"]
    content["format"] = number
    del content["sha256"], content["roots"]
    if number == 1:
        del content["files"]
    else:
        content["sha256"] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("number", [1, 2])
def test_an_index_that_does_not_say_which_engine_made_it_gets_the_engine_that_updates_it(
    tmp_path, notes, embedder, number
):
    folder = tmp_path / "index"
    Index.create(folder, embedder).update([notes])
    written = (folder / "index.json").read_text()
    write_as_version(number, folder)
    assert Index.create(folder, embedder).update([notes]).embedded == 0
    found = json.loads((folder / "index.json").read_text())
    assert found["identity"] == json.loads(written)["identity"]
    assert found["identity"]["fingerprint"]["engine"] == "native"


def test_another_engine_may_search_an_index_and_not_change_it(tmp_path, notes, embedder, reference_embedder):
    folder = tmp_path / "index"
    Index.create(folder, embedder).update([notes])
    other = Index.open(folder, reference_embedder)
    assert other.search("okapi")
    with pytest.raises(IndexStateError, match="was made with engine 'native', not with 'reference'.*--rebuild"):
        other.update([notes])
    with pytest.raises(IndexStateError, match="was made with engine 'native', not with 'reference'"):
        Index.create(folder, reference_embedder)


def test_what_was_embedded_before_a_kill_is_not_embedded_again(tmp_path, notes, embedder):
    index = Index.create(tmp_path / "index", embedder)
    rows = [row(number) for number in range(3)]
    vectors = some_vectors(3)
    index.store.stage(rows, vectors)
    found = Store(tmp_path / "index", index.store.identity, None).staged()
    assert {digest: vector.to_pylist() for digest, vector in found.items()} == {
        str(number): [vectors[number].as_py()] for number in range(3)
    }


@pytest.mark.parametrize("change", [{"model": "b"}, {"dtype": "int8"}, {"engine": "torch"}, {"prompt": "p: "}])
def test_what_another_models_process_had_embedded_is_not_taken(tmp_path, change):
    fingerprint = Fingerprint("a", "native", "float32", "cpu", "")
    identity = Identity("m", fingerprint, 16, "text")
    other = dataclasses.replace(identity, fingerprint=dataclasses.replace(fingerprint, **change))
    killed = Store(tmp_path, other, None, rebuild=True)
    killed.stage([row(1)], some_vectors(1))
    assert Store(tmp_path, identity, None).staged().keys() == set()
    assert Store(tmp_path, killed.identity, None).staged().keys() == {"1"}


class TestTwoProcesses:
    def test_the_second_goes_on_from_what_the_first_wrote(self, tmp_path, notes, embedder):
        first, second = (Index.create(tmp_path / "index", embedder) for _ in range(2))
        first.update([notes])
        assert (summary := second.update([notes])).embedded == 0
        assert (summary.files, summary.added) == (5, 0)
        assert everything(first) == everything(second)

    def test_the_second_does_not_take_the_place_of_another_models_index(self, tmp_path, notes, embedder):
        second = Index.create(tmp_path / "index", embedder)
        first = Index.create(tmp_path / "index", Embedder(tiny.write_model(tmp_path / "other", seed=1)))
        first.update([notes])
        with pytest.raises(IndexStateError, match="was made with the model .*--rebuild"):
            second.update([notes])
        assert len(everything(first)) == first.update([notes]).chunks

    def test_the_second_waits_and_says_so(self, tmp_path, notes, embedder, caplog):
        index = Index.create(tmp_path / "index", embedder)
        lock = filelock.FileLock(tmp_path / "index" / "lock")
        with ThreadPoolExecutor(1) as pool:
            with lock:
                waiting = pool.submit(index.update, [notes])
                while not caplog.messages and not waiting.done():
                    time.sleep(0.01)
                assert not waiting.done()
            assert waiting.result().files == 5
        assert caplog.messages == [
            f"another process is writing to the index in {tmp_path / 'index'}; waiting until it is done"
        ]


def test_a_file_where_the_folder_of_the_index_should_be_is_reported(tmp_path, embedder):
    (tmp_path / "file").write_text("cat")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(IndexWriteError, match="cannot be the folder of an index"):
            Index.create(folder, embedder)


def test_a_staging_that_was_never_finished_is_no_obstacle(tmp_path, notes, embedder):
    folder = tmp_path / "index"
    (folder / "staged-0.lance" / "data").mkdir(parents=True)
    index = Index.create(folder, embedder)
    assert index.update([notes]).files == 5
    assert not (folder / "staged-0.lance").exists()


def test_a_table_that_is_missing_is_reported(tmp_path, notes, embedder):
    index = Index.create(tmp_path / "index", embedder)
    index.update([notes])
    shutil.rmtree(next((tmp_path / "index").glob("chunks-*")))
    with pytest.raises(IndexStateError, match="--rebuild"):
        index.search("cat")
    with pytest.raises(IndexStateError, match="--rebuild"):
        index.update([notes])
    rebuilt = Index.create(tmp_path / "index", embedder, rebuild=True)
    assert rebuilt.update([notes]).files == 5


@pytest.mark.skipif(sys.platform == "win32", reason="limits on the size of a file are POSIX's")
def test_a_full_disk_is_an_error_and_the_index_is_the_one_before(tmp_path, notes, embedder):
    index = Index.create(tmp_path / "index", embedder)
    index.update([notes])
    before = everything(index)
    for number in range(200):
        (notes / f"new{number}.txt").write_text(text_of(number + 50), encoding="utf-8")
    script = (
        "import sys, pathlib, resource, signal, pellucid, pellucid.search.index as i\n"
        "from pellucid.errors import IndexWriteError\n"
        "index = i.Index.create(pathlib.Path(sys.argv[2]), pellucid.Embedder(sys.argv[1]))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]),) * 2)\n"
        "try:\n"
        "    index.update([pathlib.Path(sys.argv[3])])\n"
        "except IndexWriteError as error:\n"
        "    print(error)\n"
    )
    for limit in (0, 1_000, 20_000):
        command = [sys.executable, "-c", script, *map(str, (embedder.files.folder, tmp_path / "index", notes, limit))]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "could not be written" in done.stdout
        assert everything(Index.open(tmp_path / "index", embedder)) == before
    summary = index.update([notes])
    assert (summary.files, summary.added) == (205, 200)


def test_ten_files_of_two_thousand_that_changed_are_all_that_is_embedded(tmp_path, embedder):
    folder = tmp_path / "many"
    for number in range(2_000):
        file = folder / f"{number % 100}" / f"{number}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"the cat sat on {'zebra ' * (number % 7)}", encoding="utf-8")
    index = Index.create(tmp_path / "index", embedder)
    assert index.update([folder]).added == 2_000
    for number in range(1, 11):
        (folder / "7" / f"{number}07.txt").write_text(f"dog {'mat ' * number}", encoding="utf-8")
    summary = index.update([folder])
    assert (summary.files, summary.added, summary.embedded, summary.removed) == (2_000, 10, 10, 0)
    assert index.search("dog mat", mode="text")[0].row.file.startswith("many/7/")


def test_a_reranker_sorts_more_than_are_asked_for(tmp_path, notes, embedder):
    index = Index.create(tmp_path / "index", embedder)
    index.update([notes])
    reranker = Reranker(tiny.write_scoring_model(tmp_path / "m"), on_truncation="cut")
    candidates = index.search("cat mat", 50)
    assert len(candidates) > 2
    scores = reranker.score("cat mat", [hit.row.text for hit in candidates])
    best = np.argsort(-scores, kind="stable")[:2]
    found = index.search("cat mat", 2, reranker=reranker)
    assert [hit.row for hit in found] == [candidates[number].row for number in best]
    assert [hit.rerank_score for hit in found] == scores[best].tolist()
    assert found == [dataclasses.replace(candidates[n], rerank_score=float(scores[n])) for n in best]
    assert len(index.search("cat mat", 100, reranker=reranker)) == index.store.count()
    assert Index.create(tmp_path / "empty", embedder).search("cat", reranker=reranker) == []


def test_a_model_that_reads_texts_of_any_length_gets_chunks_of_256_tokens(tmp_path):
    embedder = Embedder(static_models.write_static(tmp_path / "model"))
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "long.txt").write_text("The cat sat on the mat. " * 400)
    index = Index.create(tmp_path / "index", embedder)
    index.update([notes])
    counts = embedder.count_tokens([hit.row.text for hit in index.search("the cat", 100, mode="vector")])
    assert len(counts) > 10
    assert 200 < np.median(counts) <= counts.max() <= 256
