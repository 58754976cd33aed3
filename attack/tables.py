"""Target ``tables``: hostile tables in a batch job. Each row is in the output with the right vector, or is rejected; or
the job fails with an error.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
from tests import tiny

from attack import hostile_documents, strange_files
from attack.child import Case, Limits, Result
from attack.command import CommandResult, check_output, pellucid
from attack.hostile_documents import SECRET
from attack.target import Target
from pellucid import Embedder

TEXTS = ("the cat", "the dog sat", "", "on the mat", "the mat")

_SMALL_TABLE = 10_000
"""Input smaller than this, in bytes and Parquet rows, may become many small output files. Each one waits for the disk,
so larger input becomes few files."""


def prepare(shared: Path) -> Case:
    model = tiny.write_model(shared / "model")
    truth = dict(zip(TEXTS, Embedder(model, threads=1).embed_documents(list(TEXTS)), strict=True))

    def case(rng: random.Random, files: Path) -> Result:
        folder, out = files / "tables", files / "out"
        folder.mkdir()
        if rng.random() < 0.5:
            (folder / "ordinary.csv").write_text("text\n" + "".join(f'"{text}"\n' for text in TEXTS))
        rng.choice(MAKERS)(rng, folder)
        thread = threading.Thread(target=_change_input, args=(folder, out, rng), daemon=True)
        if rng.random() < 0.15:
            thread.start()
        size = sum(map(_size, folder.iterdir()))
        rows = rng.choice(("3", "100", "16384")) if size < _SMALL_TABLE else "16384"
        result = pellucid(
            *("batch", folder, "-o", out, "--model", model, "--threads", "1", "--rows-per-file", rows),
            output=files.parent / "output.txt",
        )
        check_output(result, SECRET)
        return _check(result, out, truth)

    return case


def _size(path: Path) -> int:
    """The file's size in bytes; for Parquet, plus the number of rows, because a row may take no space in the file."""
    size = path.lstat().st_size
    if path.suffix != ".parquet" or not path.is_file():
        return size
    try:
        return size + pq.read_metadata(path).num_rows
    except (OSError, pa.ArrowException):
        return size


def _check(result: CommandResult, out: Path, truth: dict[str, np.ndarray[tuple[int], np.dtype[np.float32]]]) -> Result:
    """Check the invariant on the job's output."""
    for part in out.glob("*.parquet"):
        table = pq.read_table(part, columns=["text", "vector"])
        for text, vector in zip(table["text"].to_pylist(), table["vector"].to_pylist(), strict=True):
            assert np.isfinite(vector).all()
            assert text not in truth or (np.float32(vector) == truth[text]).all(), "a vector is wrong"
    assert not list(out.glob(".unfinished*")), "an unfinished file was left behind"
    if not (out / "_report.json").exists():
        assert result.status, "the exit status is 0, but there is no report"
        return Result("refused", f"exit status {result.status}")
    report = json.loads((out / "_report.json").read_text())
    job = json.loads((out / "_manifest.json").read_text())["job"]
    assert report["rows"] + report["rejected"] == sum(file["rows"] for file in job["inputs"]), "rows are missing"
    if report["rows"]:
        found = pyarrow.dataset.dataset(out).count_rows()
        assert found == report["rows"], f"a reader finds {found} of {report['rows']} rows"
    elif report["rejected"]:
        assert result.status, "every row was rejected, but the exit status is 0"
    return Result()


def _change_input(folder: Path, out: Path, rng: random.Random) -> None:
    """Change one of the input files while the job reads it."""
    while not (out / "_manifest.json").exists():
        time.sleep(0.001)
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size < 1 << 24)
    if not paths:
        return
    path = rng.choice(paths)
    content = path.read_bytes()
    path.write_bytes(rng.choice((b"", content[::-1], content + content, content.replace(b"cat", b"dog"))))


def _odd_name(rng: random.Random, folder: Path) -> None:
    """A strange file name. The job names an output file after it, with _ for special letters. That name must not begin
    with _ or a dot, because readers of the output would skip the file.
    """
    name = rng.choice(
        ("(1).csv", "-.csv", "#a.csv", " .csv", "~b.csv", "a" * 240 + ".csv", "é.csv", "a.b.csv", "[x].csv")
    )
    (folder / name).write_text("text\nthe cat\nthe dog sat\n")


def _other_encoding(rng: random.Random, folder: Path) -> None:
    text = f"text\n{SECRET}\nthe cat\n"
    (folder / "a.csv").write_bytes(text.encode(rng.choice(("utf-16", "utf-16-le", "utf-8-sig", "utf-32", "cp037"))))


def _odd_header(rng: random.Random, folder: Path) -> None:
    header = rng.choice(
        (
            *("text,text", "text,vector", "text,", ",text", "text,\x1b[31m", "a", "Text", "text," + "k" * 1_000_000),
            *("text,größe", '"text', "text," + ",".join(f"k{number}" for number in range(20_000)), ""),
        )
    )
    (folder / "a.csv").write_bytes(header.encode("latin-1") + b"\nthe cat,1\n" * 5)


def _mixed_types(rng: random.Random, folder: Path) -> None:
    """Values whose type changes from row to row, and texts that are not strings."""
    values = (None, 1, 1.5, True, "a", [], {}, [1, "a"], {"a": {"b": [None]}}, 10**30, 2**63, float("nan"), "\ud800")
    rows = [{"text": "the cat", "n": rng.choice(values)} for _ in range(rng.choice((3, 200)))]
    if rng.random() < 0.4:
        rows = [{"text": rng.choice(values), "n": 1} for _ in range(200)]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _all_rejected(rng: random.Random, folder: Path) -> None:
    """Rows that are all unusable."""
    kind = rng.choice(("jsonl", "csv", "parquet"))
    if kind == "jsonl":
        (folder / "a.jsonl").write_text('{"text": null}\n' * 9)
    elif kind == "csv":
        (folder / "a.csv").write_text("text,n\n" + "a\n" * 9)
    else:
        pq.write_table(pa.table({"text": pa.nulls(9, pa.string())}), folder / "a.parquet")


def _many_keys(rng: random.Random, folder: Path) -> None:
    """Rows that share no keys except the text's."""
    count = rng.choice((100, 2000))
    rows = (json.dumps({"text": "the cat", **{f"k{row}-{n}": 1 for n in range(20)}}) for row in range(count))
    (folder / "a.jsonl").write_text("\n".join(rows))


def _long_line(rng: random.Random, folder: Path) -> None:
    """A file with one line of 20 MB."""
    piece = rng.choice(("a", "the cat ", "'", "\u0301"))
    text = piece * (20_000_000 // len(piece.encode()))
    kind = rng.choice(("txt", "jsonl", "csv"))
    content = {"txt": text, "jsonl": json.dumps({"text": text}, ensure_ascii=False), "csv": f'text\n"{text}"\n'}
    (folder / f"a.{kind}").write_text(content[kind], encoding="utf-8")


def _rare_parquet(rng: random.Random, folder: Path) -> None:
    """Columns of rare types. Half of the time, the file's bytes are damaged too."""
    types = (pa.binary(), pa.int8(), pa.list_(pa.string()), pa.large_string(), pa.string_view(), pa.date32())
    more_types = (pa.struct([("a", pa.int8())]), pa.map_(pa.string(), pa.int8()), pa.decimal128(9, 2), pa.null())
    table = pa.table({"text": ["the cat", SECRET] * 50, "n": pa.nulls(100, rng.choice((*types, *more_types)))})
    if rng.random() < 0.3:
        table = pa.table({"text": pa.array([b"\xff\xfe"] * 9, pa.binary()).view(pa.string())})
    pq.write_table(table, folder / "a.parquet")
    if rng.random() < 0.5:
        rng.choice(strange_files.CONTENT_CHANGES)(rng, folder / "a.parquet")


def _links(rng: random.Random, folder: Path) -> None:
    (folder / "self").symlink_to(rng.choice((".", "..", folder)))
    (folder / "a.txt").write_text("the cat\n")
    (folder / "b.txt").symlink_to("a.txt")
    os.link(folder / "a.txt", folder / "c.txt")


MAKERS: tuple[Callable[[random.Random, Path], None], ...] = (
    *(_odd_name, _other_encoding, _odd_header, _odd_header, _mixed_types, _mixed_types),
    *(_all_rejected, _many_keys, _long_line, _rare_parquet, _rare_parquet, _links),
    *hostile_documents.TABLE_MAKERS,
)
TARGET = Target(
    prepare,
    cases=200,
    short=10,
    invariant="each row is in the output with its vector, or rejected; readers find all; or BatchError; 20 s, 1 GiB",
    limits=Limits(seconds=30),  # 20 for the hostile file, the rest for the start and the ordinary file.
)
