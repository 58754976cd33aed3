from __future__ import annotations

import csv
import json
import os
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pellucid import Embedder
from pellucid.cli.rows import check_new_columns, csv_lines, read_rows, read_tables
from pellucid.cli.texts import TableFile
from pellucid.errors import OptionError, UnreadableFileError
from pellucid.tables import records
from tests.cli.command import run

ROWS = [{"id": 1, "body": 'a "cat",\nsat', "tags": ["x"]}, {"id": None, "body": " ", "tags": []}]


@pytest.fixture(params=[".csv", ".jsonl", ".parquet"])
def table(request, tmp_path):
    path = tmp_path / f"rows{request.param}"
    if request.param == ".parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif request.param == ".jsonl":
        path.write_text("\n\n".join(map(json.dumps, ROWS)))
    else:
        path.write_text("".join(csv_lines(ROWS)))
    return TableFile.of(path, "body")


def test_rows_have_all_columns(table):
    expected = [{"id": "1", "body": 'a "cat",\nsat', "tags": '["x"]'}, {"id": "", "body": " ", "tags": "[]"}]
    assert list(read_rows(table)) == (expected if table.kind == "csv" else ROWS)


def test_tables_have_all_columns_after_one_without_rows(table):
    first, *rest = read_tables(table)
    assert (len(first), set(first.schema.names)) == (0, {"id", "body", "tags"})
    joined = pa.concat_tables([first, *rest])
    assert joined["body"].to_pylist() == [row["body"] for row in ROWS]
    assert str(joined.schema.field("id").type) == ("string" if table.kind == "csv" else "int64")


def test_a_column_that_is_there_already_is_never_overwritten(table):
    check_new_columns(table, ["vector"])
    with pytest.raises(OptionError, match=r"rows\.\w+ has a column 'tags' already. Rename that column first."):
        check_new_columns(table, ["vector", "tags"])


def test_a_key_of_any_row_of_json_is_a_column(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"text": "a"}\nnonsense\n{"text": "b", "vector": 1}\n')
    with pytest.raises(OptionError, match="has a column 'vector' already"):
        check_new_columns(TableFile.of(tmp_path / "t.jsonl", "text"), ["vector"])


def test_no_column_of_csv_is_lost(tmp_path):
    (tmp_path / "t.csv").write_text("text,a,a\nx,1,2\n")
    with pytest.raises(UnreadableFileError, match="two columns have the same name"):
        check_new_columns(TableFile.of(tmp_path / "t.csv", "text"), [])


@pytest.mark.parametrize("header", ["text,{}", "text,a,a"])
@pytest.mark.parametrize(
    ("command", "added"),
    [
        (["cluster", "-o", "out.csv"], "cluster_name"),
        (["cluster", "-o", "out.parquet"], "representative"),
        (["embed", "--json"], "vector"),
        (["embed", "-o", "out.jsonl"], "vector"),
        (["embed", "-o", "out.parquet"], "vector"),
    ],
)
def test_columns_that_cannot_be_added_are_found_before_the_model_is_looked_for(
    tmp_path, monkeypatch, header, command, added
):
    monkeypatch.chdir(tmp_path)
    line = header.format(added)
    (tmp_path / "rows.csv").write_text(f"{line}\n{line}\n")
    result = run(*command, "-f", "rows.csv", "--model", "no/such-model")
    expected = f"has a column '{added}' already" if "{}" in header else "two columns have the same name"
    assert (result.code, expected in result.err) == (2, True)


def test_only_vectors_are_written_whatever_the_names_of_the_columns_are(tiny_bert, tmp_path):
    (tmp_path / "rows.csv").write_text("text,vector,a,a\ncat,1,2,3\n")
    assert run("embed", "--model", str(tiny_bert), "-f", str(tmp_path / "rows.csv"), "--no-json").code == 0
    out = str(tmp_path / "v.npy")
    assert run("embed", "--model", str(tiny_bert), "-f", str(tmp_path / "rows.csv"), "-o", out).code == 0


def test_values_that_json_does_not_have_become_text_or_null(tmp_path):
    columns = {
        "text": ["x"],
        "time": pa.array([1], pa.timestamp("ns")),
        "price": pa.array([Decimal("1.50")]),
        "number": [float("nan")],
        "bytes": [b"\xff"],
        "nested": [{"a": [float("inf")]}],
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    (row,) = read_rows(TableFile.of(tmp_path / "t.parquet", "text"))
    json.dumps(row, allow_nan=False)
    assert row == {
        "text": "x",
        "time": "1970-01-01 00:00:00.000000001",
        "price": "1.50",
        "number": None,
        "bytes": "ff",
        "nested": {"a": [None]},
    }


@pytest.mark.parametrize("command", [["embed", "--json"], ["cluster", "-o", "out.jsonl"], ["cluster", "-o", "out.csv"]])
def test_a_number_too_large_for_float64_is_null(tiny_bert, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.jsonl").write_text('{"text": "a cat", "n": 1e999, "list": [-1e999]}\n')
    result = run(*command, "--model", str(tiny_bert), "-f", "t.jsonl")
    assert result.code == 0
    written = result.out + "".join(path.read_text() for path in tmp_path.glob("out.*"))
    assert "Infinity" not in written
    assert "[null]" in written


def test_a_column_of_parquet_that_json_cannot_have_is_named_with_its_file(tiny_bert, tmp_path):
    source = tmp_path / "t.parquet"
    pq.write_table(pa.table({"text": ["a"], "when": pa.array([1], pa.timestamp("us", "No/Where"))}), source)
    result = run("embed", "--json", "--model", str(tiny_bert), "-f", str(source))
    assert (result.code, result.err.startswith(f"pellucid: {source}: the column 'when', of type timestamp")) == (
        2,
        True,
    )


@pytest.mark.parametrize(
    ("kind", "written"),
    [(kind, kind) for kind in (pa.string(), pa.large_string(), pa.string_view())]
    + [(pa.dictionary(pa.int8(), pa.string()), pa.string())],
)
def test_the_texts_of_parquet_keep_their_type(tmp_path, kind, written):
    pq.write_table(pa.table({"id": [1, 2], "text": pa.array(["a", "b"]).cast(kind)}), tmp_path / "t.parquet")
    pieces = list(read_tables(TableFile.of(tmp_path / "t.parquet", "text")))
    assert [piece.schema.field("text").type for piece in pieces] == [written] * 2
    assert pieces[1].to_pylist() == [{"id": 1, "text": "a"}, {"id": 2, "text": "b"}]


def test_csv_has_the_columns_of_all_rows():
    lines = list(csv_lines([{"a": "x,y", "b": None}, {"a": 'say "hi"', "c": True}]))
    assert list(csv.reader(lines)) == [["a", "b", "c"], ["x,y", "", ""], ['say "hi"', "", "true"]]


@pytest.mark.parametrize("change", ["shorter", "longer", "gone"])
@pytest.mark.parametrize(
    ("command", "out"),
    [
        ("cluster", "out.csv"),
        ("cluster", "out.jsonl"),
        ("cluster", "out.parquet"),
        ("embed", None),
        ("embed", "out.jsonl"),
        ("embed", "out.parquet"),
    ],
)
def test_a_table_that_changes_meanwhile_is_refused(tiny_bert, tmp_path, monkeypatch, command, out, change):
    source = tmp_path / "rows.jsonl"
    lines = [f'{{"text": "cat {number}"}}\n' for number in range(5)]
    source.write_text("".join(lines))
    embed_stream = Embedder.embed_stream

    def embed_and_change(*arguments, **options):
        yield from embed_stream(*arguments, **options)
        if change == "gone":
            source.unlink()
        else:
            source.write_text("".join(lines[:2] if change == "shorter" else lines[:1] + lines))

    monkeypatch.setattr(Embedder, "embed_stream", embed_and_change)
    more = [] if out is None else ["-o", str(tmp_path / out)]
    result = run(command, "--model", str(tiny_bert), "-f", str(source), *more)
    assert result.code == 2
    assert f"{source} was changed while it was read" in result.err
    assert [path.name for path in tmp_path.iterdir()] == ([] if change == "gone" else ["rows.jsonl"])


@pytest.mark.parametrize("command", [["embed", "--json"], ["cluster", "-o", "out.csv"], ["dedupe"]])
def test_a_table_that_changes_after_its_header_was_read_is_refused(tiny_bert, tmp_path, monkeypatch, command):
    source = tmp_path / "rows.csv"
    source.write_text("text,secret\nhello,42\n")
    os.utime(source, ns=(0, 10**18))
    read_header = records.read_header

    def read_and_change(opened, *arguments):
        header = read_header(opened, *arguments)
        source.write_text("secret,text\n42,hello\n")
        return header

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(records, "read_header", read_and_change)
    result = run(*command, "--model", str(tiny_bert), "-f", "rows.csv")
    assert (result.code, "rows.csv was changed while it was read" in result.err) == (2, True)
    assert not (tmp_path / "out.csv").exists()
