from __future__ import annotations

import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pellucid.cli.lines import embed_lines
from tests.cli.command import run

TEXTS = ["the cat sat", "a dog", "the cat sat", "", "THE CAT sat", "a dog", "  "]
KEPT = ["the cat sat", "a dog", "", "  "]  # A blank text is no duplicate, and none is removed.


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS), encoding="utf-8")
    return path


def dedupe(tiny_bert, *arguments: str, **options):
    return run("dedupe", "--model", str(tiny_bert), "--threshold", "1", *arguments, **options)


@pytest.mark.parametrize("source", ["file", "dash", "nothing"])
def test_a_pipe_gets_the_texts_that_are_kept(tiny_bert, file, source):
    arguments = {"file": [str(file)], "dash": ["-"], "nothing": []}[source]
    result = dedupe(tiny_bert, *arguments, stdin=file.read_bytes())
    assert result.out.split("\n") == [*KEPT, ""]
    assert result.err == "7 lines: 4 kept (2 of them blank), 3 near duplicates (cosine of at least 1)\n"


def test_output_is_a_file(tiny_bert, file, tmp_path):
    result = dedupe(tiny_bert, str(file), "--output", str(tmp_path / "kept.txt"))
    assert (result.code, result.out) == (0, "")
    assert (tmp_path / "kept.txt").read_text() == "\n".join([*KEPT, ""])
    assert result.err.endswith(f"Wrote 4 lines to {tmp_path / 'kept.txt'}.\n")


def test_json_says_what_each_duplicate_is_like(tiny_bert, file):
    records = [json.loads(line) for line in dedupe(tiny_bert, str(file), "--json").out.splitlines()]
    assert [(record["line"], record["duplicate_of"]) for record in records] == [(3, 1), (5, 1), (6, 2)]
    assert all(record["text"].lower() == record["original"] for record in records)
    assert all(record["cosine"] == pytest.approx(1, abs=2e-6) for record in records)


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_rows_of_a_table_are_kept_whole(tiny_bert, tmp_path, ending):
    rows = [{"id": number, "body": text} for number, text in enumerate(TEXTS)]
    source, kept = tmp_path / f"rows{ending}", tmp_path / f"kept{ending}"
    lines = {
        ".csv": ["id,body", *(f'{row["id"]},"{row["body"]}"' for row in rows)],
        ".jsonl": [json.dumps(row) for row in rows],
    }
    if ending == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), source)
    else:
        source.write_text("\n".join(lines[ending]))
    result = dedupe(tiny_bert, str(source), "--column", "body", "--output", str(kept))
    assert result.err.startswith("7 rows: 4 kept (2 of them blank), 3 near duplicates")
    if ending == ".parquet":
        assert pq.read_table(kept).to_pylist() == [rows[0], rows[1], rows[3], rows[6]]
    else:
        header = 1 if ending == ".csv" else 0
        expected = [*lines[ending][:header], *(lines[ending][header + number] for number in (0, 1, 3, 6))]
        assert kept.read_text().splitlines() == expected
        assert dedupe(tiny_bert, str(source), "--column", "body").out == kept.read_text()


CHANGES = {
    "shorter": lambda path, lines: path.write_text("\n".join(lines[:2])),
    "longer": lambda path, lines: path.write_text("\n".join([lines[0], *lines])),
    "other rows": lambda path, lines: path.write_text("\n".join([lines[0], *reversed(lines[1:])])),
    "gone": lambda path, _: path.unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    ("ending", "is_file"), [(".csv", True), (".csv", False), (".jsonl", True), (".jsonl", False), (".parquet", True)]
)
def test_a_table_that_changes_meanwhile_is_refused(tiny_bert, tmp_path, monkeypatch, change, ending, is_file):
    source, kept = tmp_path / f"rows{ending}", tmp_path / f"kept{ending}"
    lines = ["text", *TEXTS[:3], "x"] if ending == ".csv" else [json.dumps({"text": text}) for text in TEXTS]
    if ending == ".parquet":
        pq.write_table(pa.table({"text": TEXTS}), source)
    else:
        source.write_text("\n".join(lines))
    kept.write_text("as before")

    def embed_and_change(embedder, rows):
        vectors = embed_lines(embedder, rows)
        before = source.stat()
        CHANGES[change](source, lines)
        if change != "gone":  # Coarse clocks of file systems don't tell two changes apart that follow at once.
            os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))
        return vectors

    monkeypatch.setattr("pellucid.cli.dedupe.embed_lines", embed_and_change)
    result = dedupe(tiny_bert, str(source), *(["--output", str(kept)] if is_file else []))
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        f"pellucid: {source} was changed while it was read, so the result would be wrong. No file was written. Run the "
        f"command again when no other program writes to that file.\n"
    )
    assert kept.read_text() == "as before"
    assert {path.name for path in tmp_path.iterdir()} <= {source.name, kept.name}


def test_half_characters_are_named(tiny_bert, tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(b'{"text": "a cat"}\n{"text": "a dog", "other": "\xed\xa0\x80"}\n')
    result = dedupe(tiny_bert, str(tmp_path / "rows.jsonl"))
    assert result.code == 2
    assert "line 2: it is not UTF-8" in result.err


def test_a_terminal_gets_the_groups(tiny_bert, file, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "dumb")
    result = dedupe(tiny_bert, str(file), terminal=True)
    assert [" ".join(line.split()) for line in result.out.splitlines()] == [
        "keep line 1 the cat sat",
        "1.000 line 3 the cat sat",
        "1.000 line 5 THE CAT sat",
        "keep line 2 a dog",
        "1.000 line 6 a dog",
        "7 lines: 4 kept (2 of them blank), 3 near duplicates (cosine",
        "of at least 1)",
        "To save what is kept: -o FILE",
    ]


def test_a_terminal_gets_the_first_groups_only(tiny_bert, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    words = ["the", "cat", "sat", "on", "mat", "a", "dog", ".", ",", "!", "the cat", "cat sat"]
    lines = "\n".join(word for word in words for _ in range(8)).encode()
    result = dedupe(tiny_bert, stdin=lines, terminal=True)
    assert result.out.count("keep") == 10
    assert "… and 2 more\n" in result.out
    assert "… and 2 more texts with near duplicates. --full shows all." in result.out
    full = dedupe(tiny_bert, "--full", stdin=lines, terminal=True)
    assert full.out.count("keep") == 12
    assert full.out.count("1.000") == 12 * 7


@pytest.mark.parametrize("name", ["texts.txt", "./texts.txt", "link.txt"])
def test_the_file_with_the_texts_is_not_overwritten(tiny_bert, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts.txt").write_text("the cat\nthe cat\n")
    (tmp_path / "link.txt").symlink_to("texts.txt")
    result = dedupe(tiny_bert, "texts.txt", "-o", name)
    assert (result.code, "is the file with the texts" in result.err) == (2, True)
    assert (tmp_path / "texts.txt").read_text() == "the cat\nthe cat\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threshold", "1.5"], "--threshold 1.5 must be above 0, and at most 1: it is a cosine."),
        (["--json", "--output", "x.txt"], "give --json or -o, not both."),
        (["rows.csv", "--output", "kept.txt"], "-o kept.txt: the ending must be .csv."),
        (["rows.parquet"], "Parquet is not text. Add -o FILE.parquet, or --json."),
    ],
)
def test_a_wrong_option_is_named(tiny_bert, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = dedupe(tiny_bert, *arguments, stdin=b"x")
    assert (result.code, result.err) == (2, f"pellucid: {message}\n")
