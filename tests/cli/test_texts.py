from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pellucid.cli.texts import TableFile, read_texts
from pellucid.errors import OptionError, TextError, UnreadableFileError
from tests.cli.command import run

TEXTS = ["the cat", "", 'a "dog", sat\non the mat', "é"]


def write(path, texts=TEXTS, column="text"):
    """Write a table of the kind that the name's ending says, with another column beside the texts."""
    rows = [{"id": number, column: text} for number, text in enumerate(texts)]
    ending = path.suffix.lower()
    if ending == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif ending == ".csv":
        quoted = ['"' + text.replace('"', '""') + '"' for text in texts]
        path.write_text(f"id,{column}\n" + "".join(f"{n},{text}\n" for n, text in enumerate(quoted)), encoding="utf-8")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".ndjson", ".parquet", ".CSV"])
def test_a_table_gives_the_texts_of_its_column(tmp_path, ending):
    assert list(read_texts(write(tmp_path / f"t{ending}"))) == TEXTS
    assert list(read_texts(write(tmp_path / f"u{ending}", column="body"), "body")) == TEXTS


def test_dictionaries_and_long_strings_of_parquet_are_texts_too(tmp_path):
    for kind in (pa.large_string(), pa.dictionary(pa.int32(), pa.string())):
        pq.write_table(pa.table({"text": pa.array(["a", "b", "a"]).cast(kind)}), tmp_path / "t.parquet")
        assert list(read_texts(tmp_path / "t.parquet")) == ["a", "b", "a"]


@pytest.mark.parametrize("name", ["notes.txt", "notes.md", "notes"])
def test_any_other_file_is_lines(tmp_path, name):
    (tmp_path / name).write_bytes("\ufeffthe cat\r\n\nlast".encode())
    assert list(read_texts(tmp_path / name)) == ["the cat", "", "last"]


@pytest.mark.parametrize("source", [None, "-"])
def test_standard_input_is_lines(monkeypatch, source):
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(b"the cat\na dog\n")))
    assert list(read_texts(Path(source) if source else None)) == ["the cat", "a dog"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_with_a_name_is_lines_as_a_shell_gives_it_for_the_output_of_a_command(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=("the cat\na dog\n",))
    writer.start()
    assert list(read_texts(tmp_path / "pipe")) == ["the cat", "a dog"]
    writer.join()


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_missing_column_is_found_before_the_first_text_and_the_others_are_named(tmp_path, ending):
    path = write(tmp_path / f"t{ending}", column="body")
    with pytest.raises(UnreadableFileError) as raised:
        read_texts(path)
    assert str(raised.value) == (
        f"{path}: it has no column 'text'; its columns are 'id', 'body'. Choose one with --column."
    )


def test_a_json_row_without_the_column_is_named_with_its_columns(tmp_path):
    path = write(tmp_path / "t.jsonl", column="body")
    with pytest.raises(TextError, match=r"t\.jsonl, line 1: it has no column 'text'; its columns are 'id', 'body'\."):
        list(read_texts(path))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.jsonl", b'{"text": "a"}\n\n{"text": null}\n', r"t\.jsonl, line 3: it has no 'text'\. Mend or remove"),
        ("t.jsonl", b'{"text": "a"}\n{"text": 7}\n', "line 2: its 'text' is not a text"),
        ("t.jsonl", b'{"text": "a"}\n[1]\n', "line 2: it is not a JSON object"),
        ("t.jsonl", b'{"text": "a"}\nnonsense\n', "line 2: it is not JSON"),
        ("t.jsonl", b'{"text": "\\ud800"}\n', r"line 1: it has half a character"),
        ("t.csv", b'id,text\n0,"a\nb"\n1,c,d\n', "line 4: it has 3 fields, and the header has 2"),
        ("t.csv", b"id,text\n0,\xff\n", "line 2: it is not UTF-8"),
        ("t.txt", b"a\n\xff\n", r"line 2 of .*t\.txt is not UTF-8"),
    ],
)
def test_a_row_without_a_usable_text_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TextError, match=message):
        list(read_texts(tmp_path / name))


def test_a_row_of_parquet_without_a_usable_text_is_named(tmp_path):
    pq.write_table(pa.table({"text": ["a", None]}), tmp_path / "null.parquet")
    with pytest.raises(TextError, match=r"null\.parquet, row 2: its text is null"):
        list(read_texts(tmp_path / "null.parquet"))
    array = pa.Array.from_buffers(pa.string(), 2, pa.array([b"a", b"\xff"]).buffers())
    pq.write_table(pa.table({"text": array}), tmp_path / "bytes.parquet")
    with pytest.raises(TextError, match=r"bytes\.parquet, row 2: its text is not UTF-8"):
        list(read_texts(tmp_path / "bytes.parquet"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "text\na\n".encode("utf-16"), r"t\.csv: it is not UTF-8 but probably UTF-16"),
        ("t.csv", b"id,text,text\n", "it has several columns 'text'"),
        ("t.csv", b"", "it has no column 'text'; its columns are none"),
        ("t.parquet", b"PAR1 nonsense", r"t\.parquet cannot be read"),
    ],
)
def test_a_table_that_cannot_be_read_is_found_before_the_first_text(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableFileError, match=message):
        read_texts(tmp_path / name)


def test_numbers_are_not_texts(tmp_path):
    pq.write_table(pa.table({"text": [1, 2]}), tmp_path / "t.parquet")
    with pytest.raises(UnreadableFileError, match=r"t\.parquet: the column 'text' has the type int64; it must have"):
        read_texts(tmp_path / "t.parquet")


def test_a_wrong_path_is_refused_at_once(tmp_path):
    with pytest.raises(OptionError, match=r"there is no file .*nowhere\.csv"):
        read_texts(tmp_path / "nowhere.csv")
    with pytest.raises(OptionError, match="is a folder"):
        read_texts(tmp_path)


@pytest.mark.parametrize("ending", [".txt", ".csv"])
def test_a_text_in_the_place_of_a_file_is_no_crash(ending):
    result = run("embed", "-f", "x" * 500 + ending)
    assert (result.code, "cannot be read (File name too long)" in result.err) == (2, True)


def test_only_a_table_is_a_table_file(tmp_path):
    assert [TableFile.of(file, "text") for file in (None, Path("-"), Path("a.txt"))] == [None] * 3
    with pytest.raises(OptionError, match=r"there is no file .*nowhere\.csv"):
        TableFile.of(tmp_path / "nowhere.csv", "text")


def test_a_column_needs_a_table(tmp_path):
    (tmp_path / "t.txt").write_text("a\n")
    for source in (None, tmp_path / "t.txt"):
        with pytest.raises(OptionError, match=r"--column body is for \.csv, \.jsonl and \.parquet files"):
            read_texts(source, "body")


def test_only_parquet_needs_pyarrow(tmp_path):
    code = """if True:
        import sys
        from pathlib import Path
        sys.modules["pyarrow"] = None  # Importing it fails, as if it were not installed.
        from pellucid.cli.texts import read_texts
        print([text for path in sys.argv[1:3] for text in read_texts(Path(path))])
        try:
            read_texts(Path(sys.argv[3]))
        except ImportError as error:
            print(error)
    """
    paths = [write(tmp_path / f"t{ending}", ["a", "b"]) for ending in (".csv", ".jsonl", ".parquet")]
    result = subprocess.run([sys.executable, "-c", code, *map(str, paths)], capture_output=True, text=True, check=True)
    texts, message = result.stdout.splitlines()
    assert texts == "['a', 'b', 'a', 'b']"
    assert message.startswith("this needs the package 'pyarrow', which is not installed.")
