from __future__ import annotations

import csv
import io
import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.batch.survey import survey
from pellucid.errors import BatchError
from pellucid.tables.reader import PartReader


def read_all(paths, column="text", rows_per_part=3):
    """Every row and fault, read part by part, forwards and from behind: both must be the same."""
    found = survey(paths, column, rows_per_part)
    ways = []
    for step in (1, -1):
        reader, tables, faults = PartReader(found.schema, column), [], []
        for file in found.files[::step]:
            for start in list(range(0, file.rows, rows_per_part))[::step]:
                rows = reader.read(file, start, min(start + rows_per_part, file.rows), rows_per_part)
                assert len(rows.table) + len(rows.faults) == min(start + rows_per_part, file.rows) - start
                tables.append(rows.table)
                faults += rows.faults
        values = [row for table in tables[::step] for row in table.to_pylist()]
        ways.append((values, sorted(faults)))
    assert ways[0] == ways[1]
    return ways[0]


KINDS = [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]


@pytest.mark.parametrize("kind", KINDS)
def test_parquet_of_any_kind_of_text(tmp_path, kind):
    texts = ["a", None, "b", "c", "", "d", "e"]
    more = [{"seen": [f"{n}"]} for n in range(7)]
    table = pa.table({"text": pa.array(texts, kind), "n": range(7), "v": pa.array(texts, kind), "more": more})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=2)
    values, faults = read_all([tmp_path / "t.parquet"])
    assert values == [row for row in table.to_pylist() if row["text"] is not None]
    assert faults == [(1, "its text is null")]


def test_parts_without_a_single_text(tmp_path):
    pq.write_table(pa.table({"text": pa.array([None] * 4, pa.string())}), tmp_path / "t.parquet")
    values, faults = read_all([tmp_path / "t.parquet"])
    assert values == []
    assert faults == [(number, "its text is null") for number in range(4)]


def test_the_same_columns_in_another_order_and_with_nulls(tmp_path):
    strict = pa.schema([pa.field("text", pa.string(), nullable=False), pa.field("n", pa.int64(), nullable=False)])
    pq.write_table(pa.table({"text": ["a"], "n": [1]}, schema=strict), tmp_path / "a.parquet")
    pq.write_table(pa.table({"n": pa.array([None, 2], pa.int64()), "text": ["b", None]}), tmp_path / "b.parquet")
    values, faults = read_all([tmp_path / "a.parquet", tmp_path / "b.parquet"])
    assert values == [{"text": "a", "n": 1}, {"text": "b", "n": None}]
    assert faults == [(1, "its text is null")]


def test_parquet_whose_text_is_not_utf8(tmp_path):
    bad = pa.array([b"good", b"\xff\xfe", b"fine"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": bad}), tmp_path / "t.parquet")
    values, faults = read_all([tmp_path / "t.parquet"])
    assert values == [{"text": "good"}, {"text": "fine"}]
    assert faults == [(1, "its text is not UTF-8")]


def test_lines_of_text(tmp_path):
    (tmp_path / "t.txt").write_bytes("\ufeffthe cat\r\n\nlöwe\n".encode() + b"\xff\nlast")
    values, faults = read_all([tmp_path / "t.txt"], rows_per_part=2)
    assert [row["text"] for row in values] == ["the cat", "", "löwe", "last"]
    assert faults == [(3, "it is not UTF-8")]


def test_json_lines(tmp_path):
    lines = [
        b'{"text": "a", "n": 1, "x": 1, "l": [1, {"b": 2}]}',
        b"",
        b"[1]",
        b"{",
        b'{"text": null}',
        b'{"n": 2}',
        b'{"text": 3}',
        b'{"text": "\xff"}',
        b'{"text": "\\ud800"}',
        b'{"text": "b", "x": 2.5, "m": true, "k": "s", "big": 99999999999999999999}',
        '{"text": "ö", "k": 5}'.encode(),
    ]
    (tmp_path / "t.jsonl").write_bytes(b"\n".join(lines))
    values, faults = read_all([tmp_path / "t.jsonl"])
    none = {"n": None, "x": None, "l": None, "m": None, "k": None, "big": None}
    assert values == [
        {**none, "text": "a", "n": 1, "x": 1.0, "l": '[1, {"b": 2}]'},
        {**none, "text": "b", "x": 2.5, "m": True, "k": "s", "big": "99999999999999999999"},
        {**none, "text": "ö", "k": "5"},
    ]
    assert [fault for _, fault in faults] == [
        "it is not a JSON object",
        "it is not JSON",
        "it has no 'text'",
        "it has no 'text'",
        "its 'text' is not a text",
        "it is not UTF-8",
        "it has half a character (a lone surrogate)",
    ]


def test_csv(tmp_path):
    content = 'id,text\n1,the cat\n2,"a ""dog"",\nand more"\n\n3\n4,a,b\n5,"open\n'
    (tmp_path / "t.csv").write_bytes(content.encode().replace(b"5,", b"5,\xff\n6,"))
    values, faults = read_all([tmp_path / "t.csv"], rows_per_part=2)
    assert values == [{"id": "1", "text": "the cat"}, {"id": "2", "text": 'a "dog",\nand more'}]
    assert [fault for _, fault in faults] == [
        "it has 1 field, and the header has 2",
        "it has 3 fields, and the header has 2",
        "it is not UTF-8",
        "its quotes do not match",
    ]


FIELDS = st.text(st.characters(codec="utf-8"), max_size=20)


@given(st.lists(st.tuples(FIELDS, FIELDS), max_size=12), st.integers(1, 5))
def test_any_csv_comes_back(tmp_path_factory, rows, rows_per_part):
    written = io.StringIO(newline="")
    csv.writer(written, quoting=csv.QUOTE_ALL).writerows([("text", "more"), *rows])
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    path.write_bytes(written.getvalue().encode())
    values, faults = read_all([path], rows_per_part=rows_per_part)
    assert [(row["text"], row["more"]) for row in values] == rows
    assert faults == []


@given(st.lists(FIELDS, max_size=12), st.integers(1, 5))
def test_any_json_text_comes_back(tmp_path_factory, texts, rows_per_part):
    path = tmp_path_factory.mktemp("json") / "t.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    values, faults = read_all([path], rows_per_part=rows_per_part)
    assert [row["text"] for row in values] == texts
    assert faults == []


def test_a_file_that_got_shorter_is_reported(tmp_path):
    (tmp_path / "t.txt").write_text("a\nb\nc\n")
    found = survey([tmp_path / "t.txt"], "text", 10)
    (tmp_path / "t.txt").write_text("a\n")
    with pytest.raises(BatchError, match="was changed"):
        PartReader(found.schema, "text").read(found.files[0], 0, 3, 10)


def test_marks_of_utf8_are_no_text(tmp_path):
    for ending, content in {"csv": "text\na\n", "jsonl": '{"text": "a"}\n', "txt": "a\n"}.items():
        (tmp_path / f"t.{ending}").write_text(content, encoding="utf-8-sig")
        assert read_all([tmp_path / f"t.{ending}"]) == ([{"text": "a"}], [])


TOO_LONG = "it is longer than 0 MiB"
"""The limit is told in MiB, and the tests' limit is 100 bytes."""


@pytest.fixture
def short(monkeypatch):
    """Rows are too long beyond 100 bytes."""
    monkeypatch.setattr("pellucid.tables.records.MAX_ROW_BYTES", 100)
    monkeypatch.setattr("pellucid.tables.reader.MAX_ROW_BYTES", 100)


@pytest.mark.parametrize("length", [99, 100, 101, 1000])
def test_a_row_that_is_too_long_is_rejected_and_the_next_is_read(tmp_path, short, length):
    fits = length <= 100
    lines = {
        "txt": ("", "b" * (length - 1) + "\n", {"text": "b" * (length - 1)}),
        "csv": ("text\n", "b" * (length - 1) + "\n", {"text": "b" * (length - 1)}),
        "jsonl": ("", json.dumps({"text": "b" * (length - 13)}) + "\n", {"text": "b" * (length - 13)}),
    }
    for ending, (head, line, row) in lines.items():
        good = '{"text": "a"}\n' if ending == "jsonl" else "a\n"
        assert len(line) == length
        path = tmp_path / f"t.{ending}"
        path.write_text(head + good + line + good)
        values, faults = read_all([path], rows_per_part=2)
        assert values == [{"text": "a"}, *([row] if fits else []), {"text": "a"}]
        assert faults == ([] if fits else [(1, TOO_LONG)])
    texts = ["a", "b" * length, None, "a"]
    pq.write_table(pa.table({"text": texts}), tmp_path / "t.parquet")
    values, faults = read_all([tmp_path / "t.parquet"], rows_per_part=2)
    assert len(values) == 2 + fits
    assert faults == [*([] if fits else [(1, f"its text: {TOO_LONG}")]), (2, "its text is null")]


@pytest.mark.parametrize("rows", [3, 200])
def test_a_quote_that_is_not_closed_costs_its_own_line(tmp_path, short, rows):
    """At the end of the file, and before a row has as many bytes as it may."""
    more = [f"{n},fine" for n in range(rows)]
    (tmp_path / "t.csv").write_text("\n".join(["id,text", "x,good", 'y,"open', *more]) + "\n")
    values, faults = read_all([tmp_path / "t.csv"], rows_per_part=7)
    assert values == [{"id": "x", "text": "good"}, *({"id": str(n), "text": "fine"} for n in range(rows))]
    assert faults == [(1, "its quotes do not match")]


def test_json_that_is_nested_too_deep_is_rejected(tmp_path):
    def nested(depth):
        return '{"text": "a", "n": ' + "[" * depth + "]" * depth + "}\n"

    (tmp_path / "t.jsonl").write_text(nested(99) + nested(100) + nested(900) + nested(100_000) + nested(1))
    values, faults = read_all([tmp_path / "t.jsonl"])
    assert [row["n"] for row in values] == ["[" * 99 + "]" * 99, "[]"]
    assert faults == [
        (1, "it is nested more than 100 deep"),
        (2, "it is nested more than 100 deep"),
        (3, "it is not JSON"),
    ]


CHANGES = {
    "shorter": '{"text": "a"}\n',
    "other types": '{"text": "a", "n": "x"}\n{"text": "b", "n": []}\n',
    "other numbers": '{"text": "a", "n": 2}\n{"text": "b", "n": 9}\n',
    "beyond its type": '{"text": "a", "n": 123456789012345678901234567890}\n{"text": "b"}\n',
    None: None,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changed_since_the_survey_is_reported(tmp_path, change):
    path = tmp_path / "t.jsonl"
    path.write_text('{"text": "a", "n": 1}\n{"text": "b", "n": 2}\n')
    os.utime(path, ns=(1, 1))
    found = survey([path], "text", 10)
    path.unlink() if change is None else path.write_text(CHANGES[change])
    with pytest.raises(BatchError, match=r"t.jsonl (was changed since|cannot be read \(No such file)"):
        PartReader(found.schema, "text").read(found.files[0], 0, 2, 10)


def test_parquet_that_changed_since_the_survey_is_reported(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"text": ["a", "b"], "n": [1, 2]}), path)
    found = survey([path], "text", 10)
    for other in ({"text": ["a", "b"]}, {"text": ["a", "b"], "n": ["x", "y"]}, {"text": ["a"], "n": [1]}):
        pq.write_table(pa.table(other), path)
        with pytest.raises(BatchError, match="was changed since"):
            PartReader(found.schema, "text").read(found.files[0], 0, 2, 10)
    path.write_bytes(b"nothing")
    with pytest.raises(BatchError, match="was changed since"):
        PartReader(found.schema, "text").read(found.files[0], 0, 2, 10)
