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

from pellucid.batch.files import find
from pellucid.batch.sources import Reader, survey
from pellucid.errors import BatchError


def read_all(paths, column="text", rows_per_part=3):
    """Every row and fault, read part by part, forwards and from behind: both must be the same."""
    found = survey(paths, column, rows_per_part)
    ways = []
    for step in (1, -1):
        reader, tables, faults = Reader(found.schema, column), [], []
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
    (tmp_path / ".hidden").mkdir()
    for name in (".hidden/e.txt", ".f.txt", "_report.txt", "out/g.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    found = find([str(tmp_path)], tmp_path / "out")
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["a.PARQUET", "b.txt", "sub/d.csv"]
    # A pattern is what a shell would make of it, but for the output.
    assert find([str(tmp_path / "**/*.txt")], tmp_path / "out") == [tmp_path / "_report.txt", tmp_path / "b.txt"]


def test_a_file_is_found_once_however_often_it_is_named(tmp_path):
    (tmp_path / "a.txt").write_text("a\n")
    (tmp_path / "b.txt").write_text("b\n")
    (tmp_path / "c.txt").symlink_to("a.txt")
    named = ["b.txt", "a.txt", "../" + tmp_path.name + "/a.txt", "c.txt"]
    assert find([f"{tmp_path}/{name}" for name in named], tmp_path / "out") == [tmp_path / "a.txt", tmp_path / "b.txt"]


def test_no_two_files_have_one_name(tmp_path):
    paths = [tmp_path / name for name in ("1/a.txt", "2/a.txt", "3/a.2.txt", "4/A.txt", f"5/{chr(0x6F22) * 80}.txt")]
    for path in paths:
        path.parent.mkdir()
        path.write_text("the cat\n")
    names = [file.name for file in survey(paths, "text", 10).files]
    assert names[:2] == ["a", "a.2"]
    assert len({name.casefold() for name in names}) == len(paths)
    assert max(len(name.encode()) for name in names) <= 100


def test_a_folder_that_cannot_be_read_is_told(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("a\n")
    (tmp_path / "below").mkdir()
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("below"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(BatchError, match=r"below cannot be read \(Permission denied\)"):
        find([str(tmp_path)], tmp_path / "out")
