from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pellucid.batch.survey import survey
from pellucid.errors import BatchError
from tests.tables.test_reader import read_all


def test_what_cannot_be_read_is_an_error_that_names_it(tmp_path):
    def check(words, *paths):
        with pytest.raises(BatchError, match=words):
            survey(paths, "text", 3)

    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and nothing more")
    check("broken.parquet cannot be read", tmp_path / "broken.parquet")
    pq.write_table(pa.table({"body": ["a"]}), tmp_path / "other.parquet")
    check("has no column 'text'; its columns are 'body'.*--column", tmp_path / "other.parquet")
    pq.write_table(pa.table({"text": [1]}), tmp_path / "numbers.parquet")
    check("has the type int64", tmp_path / "numbers.parquet")
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


ENCODINGS = ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("ending", ["csv", "jsonl", "txt"])
def test_other_encodings_are_refused_with_what_to_do(tmp_path, ending, encoding):
    path = tmp_path / f"t.{ending}"
    path.write_bytes('text\n{"text": "a"}\n'.encode(encoding))
    with pytest.raises(BatchError, match=f"t.{ending}: it is not UTF-8 but probably UTF-16.*iconv"):
        survey([path], "text", 3)


HEADERS = {
    "Latin-1": ("text,größe\na,b\n".encode("latin-1"), "the header is not UTF-8.*iconv -f LATIN1"),
    "an open quote": (b'"text,n\na,b\n', "the first line is not the header of a CSV file"),
    "old line ends": (b"text,n\ra,b\rc,d\n", "the first line is not the header of a CSV file"),
    "twice the same": (b"text,text\na,b\n", "two columns have the same name"),
    "nothing": (b"", "has no column 'text'; its columns are none"),
    "endless": (b"text," + b"a" * (2 << 20), "is longer than 1 MiB|not the header"),
    "many": (",".join(map(str, range(20_000))).encode(), "has 20,000 columns; at most 10,000"),
}


@pytest.mark.parametrize("header", HEADERS)
def test_a_broken_header_is_reported(tmp_path, header):
    content, words = HEADERS[header]
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(BatchError, match=words):
        survey([tmp_path / "t.csv"], "text", 3)


def test_json_with_endlessly_many_keys_is_refused(tmp_path):
    with (tmp_path / "t.jsonl").open("w") as file:
        file.writelines(json.dumps({"text": "a", **{f"{n} {m}": 1 for m in range(999)}}) + "\n" for n in range(20))
    with pytest.raises(BatchError, match=r"has 10,\d\d\d columns; at most 10,000"):
        survey([tmp_path / "t.jsonl"], "text", 3)


def test_a_part_of_too_many_bytes_is_refused_before_anything_is_computed(tmp_path, monkeypatch):
    monkeypatch.setattr("pellucid.tables.reader.MAX_PART_BYTES", 1 << 20)
    (tmp_path / "t.txt").write_text(("a" * 999 + "\n") * 2000)
    with pytest.raises(BatchError, match="t.txt: a part of 2,000 rows takes more than 1 MiB.*--rows-per-file"):
        survey([tmp_path / "t.txt"], "text", 2000)
    assert survey([tmp_path / "t.txt"], "text", 1000).files[0].rows == 2000
