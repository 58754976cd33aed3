from __future__ import annotations

import json
import resource
import subprocess
import sys
import textwrap

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pellucid.batch.survey import survey
from pellucid.errors import BatchError, UnreadableFileError
from pellucid.tables import parquet
from pellucid.tables.reader import PartReader

ROWS = 20_000


def repeated(size, rows=ROWS):
    """A text of so many bytes, which every row points to."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, dtype=np.int32)), pa.array(["a" * size]))


def bombs():
    texts = ["a"] * ROWS
    big = repeated(10 << 20)
    keys = pa.array(["k"] * ROWS)
    everything = pa.array([0, ROWS], pa.int32())
    once = pa.array(range(ROWS + 1), pa.int32())
    return {
        "a text": pa.table({"text": big}),
        "another column": pa.table({"text": texts, "more": big}),
        "bytes": pa.table({"text": texts, "more": big.cast(pa.dictionary(pa.int32(), pa.binary()))}),
        "a field": pa.table({"text": texts, "more": pa.StructArray.from_arrays([big], ["x"])}),
        "a list in one row": pa.table({"text": ["a"], "more": pa.ListArray.from_arrays(everything, big)}),
        "a list in each row": pa.table({"text": texts, "more": pa.ListArray.from_arrays(once, big)}),
        "a map": pa.table({"text": ["a"], "more": pa.MapArray.from_arrays(everything, keys, big)}),
    }


@pytest.fixture(scope="module")
def errors_of_bombs(tmp_path_factory) -> dict[str, str]:
    """What reading each file of :func:`bombs` says, in one process that may not take more than 4 GiB of memory."""
    folder = tmp_path_factory.mktemp("bombs")
    for name, table in bombs().items():
        for stored in (True, False):
            path = folder / f"{name} {stored}.parquet"
            pq.write_table(table, path, compression="zstd", store_schema=stored)
            assert path.stat().st_size < 100_000
    code = textwrap.dedent("""
        import json, sys
        from pathlib import Path
        from pellucid.batch.survey import survey
        from pellucid.errors import BatchError, UnreadableFileError
        from pellucid.tables.reader import PartReader
        errors = {}
        for path in Path(sys.argv[1]).iterdir():
            found = survey([path], "text", 16384)
            errors[path.stem] = ""
            try:
                PartReader(found.schema, "text").read(found.files[0], 0, min(16384, found.files[0].rows), 16384)
            except BatchError as error:
                errors[path.stem] = str(error)
        print(json.dumps(errors))
    """)

    def bound():
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))

    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, preexec_fn=bound)
    assert not done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("bomb", bombs())
def test_a_small_file_that_expands_to_200_gigabytes_is_refused(errors_of_bombs, bomb, stored):
    # Where Arrow has noted that a column is a dictionary, it stays one, unless it is the text's.
    grows = bomb == "a text" or not stored
    assert ("takes more than 512 MiB of memory" in errors_of_bombs[f"{bomb} {stored}"]) == grows


def test_once_a_file_was_refused_its_other_parts_are_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("pellucid.tables.reader.MAX_PART_BYTES", 1 << 20)
    path = tmp_path / "bomb.parquet"
    pq.write_table(pa.table({"text": repeated(100_000, 1000)}), path, store_schema=False)
    found = survey([path], "text", 100)
    reader = PartReader(found.schema, "text")
    for start in (0, 500):
        with pytest.raises(BatchError, match="a part of 100 rows takes more than 1 MiB"):
            reader.read(found.files[0], start, start + 100, 100)
        monkeypatch.setattr(parquet, "read_batches", None)


def test_many_small_row_groups_are_read_in_order_from_any_row(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "_BYTES_PER_OPENING", 5000)  # So that some are read together.
    table = pa.table({"text": [f"text {number}" for number in range(300)], "a.b": [["x"]] * 300})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=2)
    content = (tmp_path / "t.parquet").read_bytes()
    for start in (0, 1, 77, 299, 300):
        batches = list(parquet.read_batches(content, start, ["text"], use_threads=False))
        found = [text for batch in batches for text in batch["text"].to_pylist()]
        assert found == table["text"].to_pylist()[start:]


@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BYTE_ARRAY", "RLE_DICTIONARY"])
def test_what_does_not_expand_is_read(tmp_path, encoding, monkeypatch):
    monkeypatch.setattr(parquet, "_BYTES_PER_BATCH", 5000)
    texts = [f"{'the same ' * 50}{n % 100}" for n in range(1000)]
    table = pa.table({"text": texts, "more": [[text, None] for text in texts], "n": range(1000)})
    how = {"use_dictionary": True} if encoding == "RLE_DICTIONARY" else {"use_dictionary": False}
    if encoding == "DELTA_BYTE_ARRAY":
        how["column_encoding"] = {"text": encoding, "more.list.element": encoding}
    path = tmp_path / "t.parquet"
    pq.write_table(table, path, row_group_size=300, **how)
    found = survey([path], "text", 64)
    reader = PartReader(found.schema, "text")
    rows = [reader.read(found.files[0], start, min(start + 64, 1000), 64).table for start in range(0, 1000, 64)]
    assert pa.concat_tables(rows).to_pylist() == table.to_pylist()


def test_damaged_files_are_reported(tmp_path):
    rng = np.random.default_rng(0)
    table = pa.table({"text": [f"text {n}" for n in range(500)], "more": [[str(n)] for n in range(500)]})
    pq.write_table(table, tmp_path / "whole.parquet", row_group_size=100)
    whole = (tmp_path / "whole.parquet").read_bytes()
    path = tmp_path / "t.parquet"
    told = []
    for _ in range(300):
        content = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 20)):
            content[place] = rng.integers(256)
        path.write_bytes(content)
        try:
            found = survey([path], "text", 64)
            reader = PartReader(found.schema, "text")
            for start in range(0, min(found.files[0].rows, 1000), 64):
                reader.read(found.files[0], start, min(start + 64, found.files[0].rows), 64)
        except BatchError as error:
            told.append(str(error))
    assert told
    assert all(map(str.isprintable, told))


def tables_to_copy():
    """Tables of 700 rows with columns of every kind, and one without rows."""
    count = 700
    labels = pa.array([f"{number % 3}" for number in range(count)]).dictionary_encode()
    offsets = pa.array(range(count + 1), pa.int32())
    plain = {
        "text": [f"text {number}" for number in range(count)],
        "number": pa.array([None if number % 5 else number for number in range(count)], pa.int16()),
        "nothing": pa.nulls(count),
        "bytes": pa.array([b"%d" % number for number in range(count)], pa.large_binary()),
        "time": pa.array(range(count), pa.timestamp("us", "Europe/Berlin")),
    }
    nested = {
        "list": [[number, None] if number % 4 else None for number in range(count)],
        "structs": [{"a.b": number, "c": [{"d": str(number)}]} for number in range(count)],
        "map": pa.array([[("k", number)] for number in range(count)], pa.map_(pa.string(), pa.int32())),
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(np.arange(2.0 * count, dtype=np.float32)), 2),
    }
    dictionaries = {
        "label": labels,
        "labels": pa.ListArray.from_arrays(offsets, labels),
        "field": pa.StructArray.from_arrays([labels], ["label"]),
    }
    tables = {"plain": pa.table(plain), "nested": pa.table(nested), "dictionaries": pa.table(dictionaries)}
    empty = pa.table({**plain, **nested, **dictionaries}).slice(0, 0)
    noted = pa.field("text", pa.string(), nullable=False, metadata={"language": "en"})
    tables["metadata"] = pa.table({"text": plain["text"]}, schema=pa.schema([noted], {"made by": "a test"}))
    return {**tables, "empty": empty}


@pytest.mark.parametrize("rows", [[0, 1, 299, 300, 301, 699], range(700), range(0, 700, 2), []])
@pytest.mark.parametrize("kind", tables_to_copy())
def test_copied_rows_have_all_columns_and_the_schema(tmp_path, kind, rows):
    source, copy = tmp_path / "all.parquet", tmp_path / "some.parquet"
    table = tables_to_copy()[kind]
    pq.write_table(table, source, row_group_size=300)
    rows = np.array(rows if len(table) else [], dtype=np.int64)
    parquet.copy_rows(source, copy, rows)
    read = pq.read_table(copy)
    every_row = table.to_pylist()
    assert read.to_pylist() == [every_row[row] for row in rows]
    assert read.schema.equals(pq.read_table(source).schema, check_metadata=True)
    assert pq.read_metadata(copy).num_row_groups == (len(rows) > 0)


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "brotli", "lz4", "zstd"])
def test_a_copied_column_is_compressed_and_encoded_as_in_the_source(tmp_path, codec):
    table = pa.table(
        {
            "text": ["a"] * 100,
            "list": [[str(n), "b"] for n in range(100)],
            "dictionary": ["a", "b"] * 50,
            "zstd": [0.5] * 100,
        }
    )
    path = tmp_path / "all.parquet"
    pq.write_table(
        table,
        path,
        compression={"text": codec, "list.list.item": codec, "dictionary": codec, "zstd": "zstd"},
        use_compliant_nested_type=False,  # The copy names the level of the list differently.
        use_dictionary=["dictionary"],
    )
    parquet.copy_rows(path, tmp_path / "some.parquet", np.arange(50))
    before, after = (pq.read_metadata(file).row_group(0) for file in (path, tmp_path / "some.parquet"))
    for column, copied in zip(*(map(group.column, range(4)) for group in (before, after)), strict=True):
        assert (copied.compression, copied.encodings) == (column.compression, column.encodings)
    assert before.column(0).compression == {"none": "UNCOMPRESSED"}.get(codec, codec.upper())


@pytest.mark.parametrize(("bound", "value"), [("_ROWS_PER_GROUP", 500), ("_BYTES_PER_GROUP", 8 * 500)])
def test_copied_rows_are_in_few_groups_however_they_were_stored(tmp_path, monkeypatch, bound, value):
    monkeypatch.setattr(parquet, bound, value)
    pq.write_table(pa.table({"number": range(2000)}), tmp_path / "all.parquet", row_group_size=7)
    parquet.copy_rows(tmp_path / "all.parquet", tmp_path / "some.parquet", np.arange(2000))
    assert pq.read_table(tmp_path / "some.parquet")["number"].to_pylist() == list(range(2000))
    metadata = pq.read_metadata(tmp_path / "some.parquet")
    sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    assert min(sizes[:-1]) >= 500
    assert max(sizes) < 500 + 256


def test_a_damaged_column_is_an_error_that_names_the_source(tmp_path):
    path = tmp_path / "all.parquet"
    pq.write_table(pa.table({"text": ["a"] * 9, "more": [f"{n}" * 99 for n in range(9)]}), path, use_dictionary=False)
    column = pq.read_metadata(path).row_group(0).column(1)
    content = bytearray(path.read_bytes())
    end = column.data_page_offset + column.total_compressed_size
    content[column.data_page_offset : end] = b"\xff" * column.total_compressed_size
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError, match=r"all\.parquet cannot be read"):
        parquet.copy_rows(path, tmp_path / "some.parquet", np.arange(9))


def test_rows_that_are_not_copied_are_not_kept_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "_BYTES_PER_GROUP", 1 << 20)
    pq.write_table(pa.table({"text": ["a" * 1000] * 20_000}), tmp_path / "all.parquet", use_dictionary=False)
    before, peak = pa.total_allocated_bytes(), []
    write = pq.ParquetWriter.write_table
    monkeypatch.setattr(
        pq.ParquetWriter,
        "write_table",
        lambda writer, table: [peak.append(pa.total_allocated_bytes() - before), write(writer, table)],
    )
    parquet.copy_rows(tmp_path / "all.parquet", tmp_path / "some.parquet", np.arange(0, 20_000, 256))
    assert len(pq.read_table(tmp_path / "some.parquet")) == 79
    assert max(peak) < 10 << 20
