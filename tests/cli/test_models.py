from __future__ import annotations

import json
import re
import shutil

import pytest

from pellucid import Embedder, catalog
from pellucid.catalog import CatalogEntry, FileDigest, IndexCopy, Wheel
from pellucid.sources import package_index
from tests.cli.command import run


@pytest.fixture
def downloaded(tmp_path, tiny_bert, monkeypatch) -> CatalogEntry:
    """A catalog of one model, the tiny one, already downloaded from PyPI."""
    import hashlib

    contents = {
        path.relative_to(tiny_bert).as_posix(): path.read_bytes() for path in tiny_bert.rglob("*") if path.is_file()
    }
    files = {name: FileDigest(len(c), hashlib.sha256(c).hexdigest()) for name, c in contents.items()}
    index = IndexCopy((Wheel("tiny==1", "tiny-1-py3-none-any.whl", "0" * 64),), folder="tiny")
    entry = CatalogEntry("sentence-transformers/tiny", 16, "nothing but tests", files, index)
    monkeypatch.setattr(catalog, "entries", lambda: (entry,))
    folder = package_index.model_folder(entry, package_index.directory(tmp_path))
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return entry


def models(tmp_path, *arguments):
    return run("models", *arguments, "--cache-folder", str(tmp_path))


def test_the_list_says_what_each_model_is_good_for(tmp_path):
    result = models(tmp_path, "list", "--no-json")
    assert result.code == 0
    for entry in catalog.entries():
        assert entry.short_name in result.out
    assert result.out.count(" no") >= len(catalog.entries())
    assert models(tmp_path, "--no-json") == result


def test_the_list_is_json_lines_for_a_program(tmp_path, downloaded):
    result = models(tmp_path, "list")
    (line,) = map(json.loads, result.out.splitlines())
    size = sum(file.size for file in downloaded.files.values())
    facts = {"name": "tiny", "kind": "embedder", "dimensions": 16, "description": "nothing but tests"}
    assert line == {**facts, "bytes_on_disk": size}
    assert models(tmp_path) == models(tmp_path, "--json") == result
    assert [json.loads(line)["bytes_on_disk"] for line in models(tmp_path / "none").out.splitlines()] == [None]


def test_the_list_never_cuts_a_name_short(tmp_path, monkeypatch):
    for columns in ("20", "60", "80", "160"):
        monkeypatch.setenv("COLUMNS", columns)
        lines = models(tmp_path, "--no-json").out.splitlines()
        assert any(re.match(r"paraphrase-multilingual-MiniLM-L12-v2( |$)", line) for line in lines)
    assert lines[0].split() == ["name", "gives", "good", "for", "on", "disk"]
    assert len(lines) == 1 + len(catalog.entries())


def test_the_list_says_what_is_on_disk(tmp_path, downloaded):
    assert "0.0 MB" in models(tmp_path, "--no-json").out


def test_show_names_files_origin_and_digests(tmp_path, downloaded):
    result = models(tmp_path, "show", "tiny")
    assert result.code == 0
    for shown in ("PyPI", "bert, 3 layers of 16", "mean", "Normalize", "1_Pooling/config.json"):
        assert shown in result.out
    assert result.out.count("agrees with the catalog") == len(downloaded.files)


def test_show_prints_the_same_as_json(tmp_path, downloaded):
    report = json.loads(models(tmp_path, "show", "tiny", "--json").out)
    assert (report["name"], report["dimensions"], report["max_tokens"]) == ("sentence-transformers/tiny", 16, 24)
    assert {file["name"]: file["bytes"] for file in report["files"]} == {
        name: file.size for name, file in downloaded.files.items()
    }
    assert {file["digest"] for file in report["files"]} == {"agrees with the catalog"}


def test_show_says_if_a_file_has_changed(tmp_path, downloaded):
    folder = package_index.model_folder(downloaded, package_index.directory(tmp_path))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 20}')
    result = models(tmp_path, "show", "tiny")
    assert result.out.count("differs from the catalog") == 1


def test_show_has_no_digests_for_a_folder(tiny_bert, tmp_path):
    result = models(tmp_path, "show", str(tiny_bert))
    assert (result.code, "not known" in result.out) == (0, True)


@pytest.mark.parametrize("columns", ["20", "79", "110"])
def test_a_path_and_a_name_are_whole_however_narrow_the_terminal_is(tmp_path, tiny_bert, monkeypatch, columns):
    """So they can be copied, or found by a program that reads the output."""
    monkeypatch.setenv("COLUMNS", columns)
    folder = tmp_path / ("a folder of a long name " * 4) / "[bold]"
    folder.parent.mkdir()
    folder.symlink_to(tiny_bert)
    lines = models(tmp_path, "show", str(folder)).out.splitlines()
    assert f"folder      {folder}" in lines
    assert re.search(r"^config_sentence_transformers\.json +\d+  not known$", "\n".join(lines), re.MULTILINE)


def test_control_characters_in_a_path_are_written_out(tmp_path, tiny_bert):
    folder = tmp_path / "a\x1b[31m"
    folder.symlink_to(tiny_bert)
    assert "a\\x1b[31m" in models(tmp_path, "show", str(folder)).out


def test_show_says_how_to_get_a_missing_model(tmp_path):
    result = models(tmp_path, "show", "all-MiniLM-L6-v2")
    assert result.code == 1
    assert "Run: pellucid models pull all-MiniLM-L6-v2" in result.err


def test_pull_downloads_nothing_if_the_model_is_on_disk(tmp_path, downloaded):
    result = models(tmp_path, "pull", "tiny")
    assert (result.code, result.err) == (0, "")
    assert "sentence-transformers/tiny: 8 files" in result.out


def test_an_option_before_the_command_is_refused(tmp_path):
    for option in (["--cache-folder", str(tmp_path)], ["--json"]):
        result = run("models", *option, "remove", "all-MiniLM-L6-v2", "--yes")
        assert (result.code, f"put {option[0]} after the command: models remove" in result.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nothing", "--source", "pypi"], 1, "is not in the catalog"),
        (["all-MiniLM-L12-v2", "--source", "pypi"], 1, "Its one source is the Hub"),
        (["all-MiniLM-L6-v2", "--source", "pypi", "--revision", "x"], 2, "--revision is only for the Hub"),
    ],
)
def test_pull_from_pypi_is_refused_without_a_copy_there(tmp_path, arguments, code, message):
    result = models(tmp_path, "pull", *arguments)
    assert result.code == code
    assert message in result.err


def test_remove_needs_a_confirmation(tmp_path, downloaded):
    result = models(tmp_path, "remove", "tiny")
    assert (result.code, "Add --yes" in result.err) == (2, True)
    assert models(tmp_path, "show", "tiny").code == 0


def test_remove_removes(tmp_path, downloaded):
    result = models(tmp_path, "remove", "tiny", "--yes")
    assert (result.code, result.out.splitlines()[-1]) == (0, "removed")
    assert models(tmp_path, "show", "tiny").code == 1
    assert models(tmp_path, "remove", "tiny", "--yes").code == 1


def test_a_cache_is_shown_and_trimmed(tmp_path, tiny_bert):
    file = tmp_path / "vectors.db"
    assert "is not a file" in run("models", "cache", str(file)).err
    Embedder(tiny_bert, cache=file).embed_documents(["the cat", "a dog"])
    shown = run("models", "cache", str(file))
    assert shown.code == 0
    assert re.match(rf"{re.escape(str(file))}: 2 rows, 0\.\d MB, last used from 20", shown.out)
    assert run("models", "cache", str(file), "--trim", "0").out.startswith(f"{file}: 0 rows, 0.")
    assert run("models", "cache", str(file), "--trim", "-1").code == 2


def test_no_name_reaches_a_terminal_as_it_is(tmp_path, tiny_bert, downloaded):
    file = tmp_path / "a\x1b[31m.db"
    Embedder(tiny_bert, cache=file).embed_documents(["the cat"])
    results = [run("models", "cache", str(file))]
    cache = (tmp_path / "b\x1b[31m").resolve()
    shutil.copytree(tmp_path, cache, symlinks=True, ignore=shutil.ignore_patterns("*\x1b*"))
    results += [run("models", command, "tiny", "--cache-folder", str(cache)) for command in ("pull", "remove")]
    assert all("\x1b" not in result.out for result in results)
    assert all("\\x1b[31m" in result.out for result in results)
