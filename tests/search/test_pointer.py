from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")
from pellucid.encoder.fingerprint import Fingerprint
from pellucid.errors import IndexStateError
from pellucid.search import pointer as pointers
from pellucid.search.damage import record
from pellucid.search.pointer import Identity, Pointer
from pellucid.tables.vector_columns import dense_type

FINGERPRINT = Fingerprint("digest", "native", "float32", "cpu", "passage: ", {"normalize": True, "truncate_dim": None})
IDENTITY = Identity("org/model", FINGERPRINT, 8, "text")
TABLE = "chunks-" + "0123456789abcdef" * 2


@pytest.fixture
def pointer(tmp_path):
    """A pointer to a table of one file, written to ``tmp_path``."""
    folder = pointers.folder_of(tmp_path, TABLE)
    folder.mkdir()
    (folder / "data").write_bytes(b"rows")
    pointer = Pointer(TABLE, 3, record(folder, {}), {"notes": Path("/home/notes\udcff")})
    pointers.write(tmp_path, pointer, IDENTITY)
    return pointer


def test_what_is_written_is_read(tmp_path, pointer):
    found, identity = pointers.read(tmp_path)
    assert (found, dict(found.files)) == (pointer, dict(pointer.files))
    assert identity == IDENTITY
    assert found.roots == pointer.roots == {"notes": Path("/home/notes\udcff")}
    assert not found.is_old


def test_an_index_that_does_not_say_its_task_has_dense_vectors(tmp_path, pointer):
    edited(tmp_path, lambda content: content["identity"]["fingerprint"].pop("task"))
    _, identity = pointers.read(tmp_path)
    assert identity == IDENTITY
    assert identity.column_type == dense_type(8)


def test_a_changed_file_of_the_table_is_noticed(tmp_path, pointer):
    (pointers.folder_of(tmp_path, TABLE) / "data").write_bytes(b"else")
    with pytest.raises(IndexStateError, match=r"data was changed since it was written.*--rebuild"):
        pointers.read(tmp_path)


def edited(tmp_path, edit):
    path = tmp_path / "index.json"
    content = json.loads(path.read_text())
    edit(content)
    del content["sha256"]
    path.write_text(json.dumps(content | {"sha256": pointers._sha256(content)}))


@pytest.mark.parametrize(
    "edit",
    [
        lambda content: content["pointer"].update(table="../../etc"),
        lambda content: content["pointer"].update(version=0),
        lambda content: content["pointer"].update(version=True),
        lambda content: content["identity"].update(model=1),
        lambda content: content["identity"].update(dimensions="8"),
        lambda content: content["identity"].update(other="x"),
        lambda content: content["identity"]["fingerprint"].update(engine=1),
        lambda content: content["identity"]["fingerprint"].update(options=[]),
        lambda content: content["identity"]["fingerprint"].update(task="rerank"),
        lambda content: content["identity"].update(fingerprint="digest"),
        lambda content: content.update(files=[]),
        lambda content: content.update(roots=[]),
        lambda content: content.update(roots={"notes": 1}),
    ],
)
def test_values_of_another_kind_are_refused_even_if_the_digest_fits(tmp_path, pointer, edit):
    edited(tmp_path, edit)
    with pytest.raises(IndexStateError, match=r"index.json cannot be read.*--rebuild"):
        pointers.read(tmp_path)


def test_a_byte_that_was_changed_is_noticed_by_the_digest(tmp_path, pointer):
    path = tmp_path / "index.json"
    path.write_text(path.read_text().replace("org/model", "org/other"))
    with pytest.raises(IndexStateError, match=r"index.json cannot be read \(checksum mismatch\)"):
        pointers.read(tmp_path)


def test_a_later_format_is_refused(tmp_path, pointer):
    edited(tmp_path, lambda content: content.update(format=5))
    with pytest.raises(IndexStateError, match=r"later version of Pellucid .*format 5.*cannot read it.*--rebuild"):
        pointers.read(tmp_path)


def test_what_an_older_index_does_not_say_is_taken_from_the_model_that_opens_it(tmp_path, pointer):
    def to_format_2(content):
        fingerprint = content["identity"].pop("fingerprint")
        content["identity"] |= {"fingerprint": fingerprint["model"]}
        content["identity"] |= {name: fingerprint[name] for name in ("dtype", "prompt")}
        content["format"] = 2

    edited(tmp_path, to_format_2)
    found, identity = pointers.read(tmp_path)
    assert found.is_old
    assert (identity.fingerprint.engine, identity.fingerprint.device, identity.fingerprint.options) == (None,) * 3
    assert identity.completed(IDENTITY) == IDENTITY
    other = replace(IDENTITY, fingerprint=replace(FINGERPRINT, model="other"))
    assert identity.completed(other).fingerprint.difference(other.fingerprint) == "model"


def test_whatever_changes_a_vector_changes_the_space():
    changes = [{"model": "b"}, {"dtype": "int8"}, {"engine": "torch"}, {"device": "cuda"}, {"prompt": ""}]
    spaces = {replace(IDENTITY, fingerprint=replace(FINGERPRINT, **change)).space() for change in changes}
    assert len(spaces | {IDENTITY.space()}) == len(changes) + 1


def test_the_nearest_index_is_found_in_a_folder_or_above_it(tmp_path):
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert pointers.find_index(".index", below) == (None, [])
    (tmp_path / ".index").mkdir()
    (tmp_path / ".index" / "index.json").write_text("{}")
    assert pointers.find_index(".index", below) == (tmp_path / ".index", [])
    (below / ".index").mkdir()  # There is no index in it.
    assert pointers.find_index(".index", below) == (tmp_path / ".index", [])
    (tmp_path / "a" / ".index" / "staged").mkdir(parents=True)
    (tmp_path / "a" / ".index" / "staged" / "x.arrow").touch()
    assert pointers.find_index(".index", below) == (tmp_path / "a" / ".index", [])


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners of POSIX")
def test_an_index_of_somebody_else_or_that_cannot_be_read_is_skipped(tmp_path, monkeypatch):
    below = tmp_path / "a"
    for folder in (tmp_path / ".index", below / ".index"):
        folder.mkdir(parents=True)
        (folder / "index.json").write_text("{}")
    is_file = Path.is_file

    def refuse(path):
        if path.parent == below / ".index":
            raise PermissionError(13, "Permission denied")
        return is_file(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "is_file", refuse)
        assert pointers.find_index(".index", below) == (tmp_path / ".index", [below / ".index"])
    monkeypatch.setattr(os, "geteuid", lambda: (tmp_path / ".index").stat().st_uid + 1)
    assert pointers.find_index(".index", below) == (None, [below / ".index", tmp_path / ".index"])
