from __future__ import annotations

import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.batch.sources import Reader, find, survey
from pellucid.errors import BatchError


def read_all(paths, column="text", rows_per_part=3):
    """Every row and fault, read part by part, forwards and from behind: both must be the same."""
    found = survey(paths, column, rows_per_part)
    ways = []
    for step in (1, -1):
        reader, tables, faults = Reader(found.schema, column), [], []
        for file in found.files:
            for start in list(range(0, file.rows, rows_per_part))[::step]:
                rows = reader.read(file, start, min(start + rows_per_part, file.rows), rows_per_part)
                assert len(rows.table) + len(rows.faults) == min(start + rows_per_part, file.rows) - start
                tables.append(rows.table)
                faults += rows.faults
        values = [row for table in tables[::step] for row in table.to_pylist()]
        ways.append((values, sorted(faults)))
    assert ways[0] == ways[1]
    return ways[0]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_parquet_of_any_kind_of_text(tmp_path, kind):
    texts = ["a", None, "b", "c", "", "d", "e"]
    table = pa.table({"text": pa.array(texts, pa.string()).cast(kind), "n": range(7)})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=2)
    values, faults = read_all([tmp_path / "t.parquet"])
    assert values == [{"text": text, "n": n} for n, text in enumerate(texts) if text is not None]
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
        "it is not an object of JSON",
        "it is not JSON",
        "it has no 'text'",
        "it has no 'text'",
        "its 'text' is no text",
        "it is not UTF-8",
        "it has half a character (a lone surrogate)",
    ]


def test_csv(tmp_path):
    content = 'id,text\n1,the cat\n2,"a ""dog"",\nand more"\n\n3\n4,a,b\n5,"open\n'
    (tmp_path / "t.csv").write_bytes(content.encode().replace(b"5,", b"5,\xff\n6,"))
    values, faults = read_all([tmp_path / "t.csv"], rows_per_part=2)
    assert values == [{"id": "1", "text": "the cat"}, {"id": "2", "text": 'a "dog",\nand more'}]
    assert [fault for _, fault in faults] == [
        "it has 1 fields, and the header 2",
        "it has 3 fields, and the header 2",
        "it is not UTF-8",
        "its quotes do not fit together",
    ]


FIELDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


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


def test_what_cannot_be_read_is_an_error_that_names_it(tmp_path):
    def check(words, *paths):
        with pytest.raises(BatchError, match=words):
            survey(paths, "text", 3)

    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and nothing more")
    check("broken.parquet cannot be read", tmp_path / "broken.parquet")
    pq.write_table(pa.table({"body": ["a"]}), tmp_path / "other.parquet")
    check("has no column 'text'; its columns are 'body'.*--text-column", tmp_path / "other.parquet")
    pq.write_table(pa.table({"text": [1]}), tmp_path / "numbers.parquet")
    check("is of type int64", tmp_path / "numbers.parquet")
    (tmp_path / "no.csv").write_text("id\n1\n")
    check("has no column 'text'", tmp_path / "no.csv")
    (tmp_path / "no.jsonl").write_text('{"body": "a"}\n')
    values, faults = read_all([tmp_path / "no.jsonl"])
    assert (values, faults) == ([], [(0, "it has no 'text'")])
    pq.write_table(pa.table({"text": ["a"], "n": [1]}), tmp_path / "one.parquet")
    pq.write_table(pa.table({"text": ["a"], "n": ["1"]}), tmp_path / "two.parquet")
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "three.parquet")
    check(r"differ in 'n' \(string and int64\)", tmp_path / "one.parquet", tmp_path / "two.parquet")
    check("differ in 'n'", tmp_path / "one.parquet", tmp_path / "three.parquet")


def test_a_file_that_got_shorter_is_told(tmp_path):
    (tmp_path / "t.txt").write_text("a\nb\nc\n")
    found = survey([tmp_path / "t.txt"], "text", 10)
    (tmp_path / "t.txt").write_text("a\n")
    with pytest.raises(BatchError, match="was changed"):
        Reader(found.schema, "text").read(found.files[0], 0, 3, 10)


def test_only_what_can_be_read_is_found_in_a_folder(tmp_path):
    for name in ("b.txt", "a.PARQUET", "c.md", "sub/d.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert [path.name for path in find([str(tmp_path)])] == ["a.PARQUET", "b.txt", "d.csv"]
    assert find([str(tmp_path / "b.txt"), str(tmp_path)])[0].name == "b.txt"
