"""Hostile tables in a batch job: each row is in the output or rejected, and what is written is right; or BatchError."""

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
from attack.child import Attack, Bounds, Result
from attack.command import Said, check_output, pellucid
from attack.hostile_documents import SECRET
from attack.target import Target
from pellucid import Embedder

TEXTS = ("the cat", "the dog sat", "", "on the mat", "the mat")

_SMALL = 10_000


def prepare(shared: Path) -> Attack:
    model = tiny.write_model(shared / "model")
    truth = dict(zip(TEXTS, Embedder(model, threads=1).embed_documents(list(TEXTS)), strict=True))

    def attack(rng: random.Random, files: Path) -> Result:
        folder, out = files / "tables", files / "out"
        folder.mkdir()
        if rng.random() < 0.5:
            (folder / "ordinary.csv").write_text("text\n" + "".join(f'"{text}"\n' for text in TEXTS))
        rng.choice(MAKERS)(rng, folder)
        thread = threading.Thread(target=_changed_meanwhile, args=(folder, out, rng), daemon=True)
        if rng.random() < 0.15:
            thread.start()
        size = sum(map(_size, folder.iterdir()))
        rows = rng.choice(("3", "100", "16384")) if size < _SMALL else "16384"  # Each part waits for the disk.
        said = pellucid(
            *("batch", folder, "-o", out, "--model", model, "--threads", "1", "--rows-per-file", rows),
            output=files.parent / "output.txt",
        )
        check_output(said, SECRET)
        return _check(said, out, truth)

    return attack


def _size(path: Path) -> int:
    """In bytes; a row of Parquet, which may take no room in the file, counts as one."""
    size = path.lstat().st_size
    if path.suffix != ".parquet" or not path.is_file():
        return size
    try:
        return size + pq.read_metadata(path).num_rows
    except (OSError, pa.ArrowException):
        return size


def _check(said: Said, out: Path, truth: dict[str, np.ndarray[tuple[int], np.dtype[np.float32]]]) -> Result:
    for part in out.glob("*.parquet"):
        table = pq.read_table(part, columns=["text", "vector"])
        for text, vector in zip(table["text"].to_pylist(), table["vector"].to_pylist(), strict=True):
            assert np.isfinite(vector).all()
            assert text not in truth or (np.float32(vector) == truth[text]).all(), "a wrong vector"
    assert not list(out.glob(".unfinished*")), "something unfinished was left"
    if not (out / "_report.json").exists():
        assert said.status, "exit status 0, and no report"
        return Result("refused", f"exit status {said.status}")
    told = json.loads((out / "_report.json").read_text())
    job = json.loads((out / "_manifest.json").read_text())["job"]
    assert told["rows"] + told["rejected"] == sum(file["rows"] for file in job["inputs"]), "rows are lost"
    if told["rows"]:
        found = pyarrow.dataset.dataset(out).count_rows()
        assert found == told["rows"], f"a reader finds {found} of {told['rows']} rows"
    elif told["rejected"]:
        assert said.status, "every row was rejected, and the exit status is 0"
    return Result()


def _changed_meanwhile(folder: Path, out: Path, rng: random.Random) -> None:
    """The input grows, shrinks or becomes another while it is read."""
    while not (out / "_manifest.json").exists():
        time.sleep(0.001)
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size < 1 << 24)
    if not paths:
        return
    path = rng.choice(paths)
    content = path.read_bytes()
    path.write_bytes(rng.choice((b"", content[::-1], content + content, content.replace(b"cat", b"dog"))))


def _name(rng: random.Random, folder: Path) -> None:
    """A name that begins as no data's does, once it is made fit for a file."""
    name = rng.choice(
        ("(1).csv", "-.csv", "#a.csv", " .csv", "~b.csv", "a" * 240 + ".csv", "é.csv", "a.b.csv", "[x].csv")
    )
    (folder / name).write_text("text\nthe cat\nthe dog sat\n")


def _encoded(rng: random.Random, folder: Path) -> None:
    text = f"text\n{SECRET}\nthe cat\n"
    (folder / "a.csv").write_bytes(text.encode(rng.choice(("utf-16", "utf-16-le", "utf-8-sig", "utf-32", "cp037"))))


def _columns(rng: random.Random, folder: Path) -> None:
    header = rng.choice(
        (
            *("text,text", "text,vector", "text,", ",text", "text,\x1b[31m", "a", "Text", "text," + "k" * 1_000_000),
            *("text,größe", '"text', "text," + ",".join(f"k{number}" for number in range(20_000)), ""),
        )
    )
    (folder / "a.csv").write_bytes(header.encode("latin-1") + b"\nthe cat,1\n" * 5)


def _types(rng: random.Random, folder: Path) -> None:
    """Values of other types in later rows, and texts that are none."""
    values = (None, 1, 1.5, True, "a", [], {}, [1, "a"], {"a": {"b": [None]}}, 10**30, 2**63, float("nan"), "\ud800")
    rows = [{"text": "the cat", "n": rng.choice(values)} for _ in range(rng.choice((3, 200)))]
    if rng.random() < 0.4:
        rows = [{"text": rng.choice(values), "n": 1} for _ in range(200)]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _rejected(rng: random.Random, folder: Path) -> None:
    """Every row is one that cannot be used."""
    kind = rng.choice(("jsonl", "csv", "parquet"))
    if kind == "jsonl":
        (folder / "a.jsonl").write_text('{"text": null}\n' * 9)
    elif kind == "csv":
        (folder / "a.csv").write_text("text,n\n" + "a\n" * 9)
    else:
        pq.write_table(pa.table({"text": pa.nulls(9, pa.string())}), folder / "a.parquet")


def _keys(rng: random.Random, folder: Path) -> None:
    """Every row has keys that no other has."""
    count = rng.choice((100, 2000))
    rows = (json.dumps({"text": "the cat", **{f"k{row}-{n}": 1 for n in range(20)}}) for row in range(count))
    (folder / "a.jsonl").write_text("\n".join(rows))


def _line(rng: random.Random, folder: Path) -> None:
    """One line of 20 MB."""
    piece = rng.choice(("a", "the cat ", "'", "\u0301"))
    text = piece * (20_000_000 // len(piece.encode()))
    kind = rng.choice(("txt", "jsonl", "csv"))
    content = {"txt": text, "jsonl": json.dumps({"text": text}, ensure_ascii=False), "csv": f'text\n"{text}"\n'}
    (folder / f"a.{kind}").write_text(content[kind], encoding="utf-8")


def _parquet(rng: random.Random, folder: Path) -> None:
    """Columns of types that are seldom met, and bytes changed."""
    kinds = (pa.binary(), pa.int8(), pa.list_(pa.string()), pa.large_string(), pa.string_view(), pa.date32())
    others = (pa.struct([("a", pa.int8())]), pa.map_(pa.string(), pa.int8()), pa.decimal128(9, 2), pa.null())
    table = pa.table({"text": ["the cat", SECRET] * 50, "n": pa.nulls(100, rng.choice((*kinds, *others)))})
    if rng.random() < 0.3:
        table = pa.table({"text": pa.array([b"\xff\xfe"] * 9, pa.binary()).view(pa.string())})
    pq.write_table(table, folder / "a.parquet")
    if rng.random() < 0.5:
        rng.choice(strange_files.OTHER_BYTES)(rng, folder / "a.parquet")


def _links(rng: random.Random, folder: Path) -> None:
    (folder / "self").symlink_to(rng.choice((".", "..", folder)))
    (folder / "a.txt").write_text("the cat\n")
    (folder / "b.txt").symlink_to("a.txt")
    os.link(folder / "a.txt", folder / "c.txt")


MAKERS: tuple[Callable[[random.Random, Path], None], ...] = (
    *(_name, _encoded, _columns, _columns, _types, _types, _rejected, _keys, _line, _parquet, _parquet, _links),
    *(maker for maker in hostile_documents.MAKERS if maker.__name__ in {"_json_lines", "_csv", "_parquet", "_odd"}),
)
TARGET = Target(
    prepare,
    cases=200,
    short=10,
    law="each row is in the output with its vector, or rejected; a reader finds all; or BatchError; 20 s, 1 GiB",
    bounds=Bounds(seconds=30),  # 20 for the file, and the start and the ordinary files
)
