from __future__ import annotations

import csv
import json

import pyarrow.parquet as pq
import pytest

from pellucid.cli.rows import csv_lines
from tests.cli.command import run

TEXTS = ["the cat sat", "a dog", " ", "the cat sat", "a dog", "a dog"]
CLUSTERS = [2, 1, None, 2, 1, 1]


def read(path):
    match path.suffix:
        case ".csv":
            return list(csv.DictReader(path.read_text().splitlines()))
        case ".jsonl":
            return [json.loads(line) for line in path.read_text().splitlines()]
    return pq.read_table(path).to_pylist()


def cluster(tiny_bert, *arguments: str):
    return run("cluster", "--model", str(tiny_bert), "--threshold", "1", *arguments)


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_each_row_of_a_table_has_its_cluster_and_its_other_columns(tiny_bert, tmp_path, ending):
    rows = [{"id": f"n{number}", "body": text} for number, text in enumerate(TEXTS)]
    (tmp_path / "rows.csv").write_text("".join(csv_lines(rows)))
    out = tmp_path / f"out{ending}"
    result = cluster(tiny_bert, str(tmp_path / "rows.csv"), "--column", "body", "-o", str(out))
    assert (result.code, result.out, result.err) == (0, "", f"Wrote 6 rows in 2 clusters to {out}.\n")
    written = read(out)
    assert [{"id": row["id"], "body": row["body"]} for row in written] == rows
    as_text = ending == ".csv"
    assert [row["cluster"] for row in written] == (
        ["" if number is None else str(number) for number in CLUSTERS] if as_text else CLUSTERS
    )
    names = {row["cluster"]: row["cluster_name"] for row in written if row["cluster"]}
    assert sorted(names.values()) == ["cat, sat", "dog"]
    true = "true" if as_text else True
    assert [row["representative"] == true for row in written] == [True, True, False, False, False, False]


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_each_line_that_is_not_blank_has_its_number_and_its_cluster(tiny_bert, tmp_path, ending):
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    out = tmp_path / f"out{ending}"
    result = cluster(tiny_bert, "-f", str(tmp_path / "texts.txt"), "-o", str(out))
    written = read(out)
    assert result.err == f"Wrote 5 rows in 2 clusters to {out}. 1 blank line left out.\n"
    assert [int(row["line"]) for row in written] == [1, 2, 4, 5, 6]
    assert [int(row["cluster"]) for row in written] == [2, 1, 2, 1, 1]


@pytest.mark.parametrize("content", ["", " \n\t\n"])
@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_blank_rows_have_no_cluster(tiny_bert, tmp_path, content, ending):
    (tmp_path / "rows.csv").write_text(f"text\n{content}")
    out = tmp_path / f"out{ending}"
    assert cluster(tiny_bert, str(tmp_path / "rows.csv"), "-o", str(out)).code == 0
    assert [row["cluster"] for row in read(out)] == [None if ending != ".csv" else ""] * content.count("\n")
    assert ending != ".parquet" or str(pq.read_schema(out).field("cluster").type) == "int64"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "x.npy"], "-o x.npy: the ending must be .csv, .jsonl or .parquet."),
        (["-o", "x.csv", "--json"], "give --json or -o, not both."),
        (["-f", "rows.csv", "-o", "x.csv"], "rows.csv has a column 'cluster' already. Rename that column first."),
    ],
)
def test_a_file_that_cannot_be_written_is_refused(tiny_bert, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("text,cluster\na cat,1\n")
    result = cluster(tiny_bert, *arguments)
    assert (result.code, result.err) == (2, f"pellucid: {message}\n")
    assert not (tmp_path / "x.csv").exists()
