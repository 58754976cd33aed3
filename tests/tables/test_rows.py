from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.tables.rows import rows_as_written

TEXTS = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8), max_size=8)


def some_of(data, count: int) -> list[int]:
    return sorted(data.draw(st.sets(st.integers(0, count - 1)))) if count else []


def written(path, kind: str, rows: list[int]) -> bytes:
    return b"".join(rows_as_written(path, kind, "text", np.array(rows, dtype=np.int64)))


@given(st.data(), TEXTS, st.sampled_from(["\n", "\r\n"]))
def test_rows_of_csv_are_still_csv(tmp_path_factory, data, texts, newline):
    file = io.StringIO()
    rows = [["id", "text"], *([str(number), text] for number, text in enumerate(texts))]
    csv.writer(file, lineterminator=newline, quoting=csv.QUOTE_ALL).writerows(rows)
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    path.write_bytes(file.getvalue().encode())
    chosen = some_of(data, len(texts))
    kept = written(path, "csv", chosen)
    assert list(csv.reader(io.StringIO(kept.decode(), newline=""))) == [rows[0], *(rows[1 + row] for row in chosen)]
    assert written(path, "csv", list(range(len(texts)))) == path.read_bytes()


@given(st.data(), TEXTS)
def test_rows_of_json_lines_keep_every_byte(tmp_path_factory, data, texts):
    lines = [json.dumps({"text": text, "n": [1.50, None]}).encode() for text in texts]
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_bytes(b"\n\n".join(lines))  # Blank lines between them, and no line end after the last.
    chosen = some_of(data, len(texts))
    assert written(path, "jsonl", chosen) == b"".join(lines[row] + b"\n" for row in chosen)


@pytest.mark.parametrize(
    ("content", "kept"),
    [(b"one\ntwo\nthree", b"one\nthree\n"), (b"one\r\ntwo\r\nthree\r\n", b"one\r\nthree\r\n")],
)
def test_lines_keep_their_ends(tmp_path, content, kept):
    (tmp_path / "lines.txt").write_bytes(content)
    assert written(tmp_path / "lines.txt", "text", [0, 2]) == kept
