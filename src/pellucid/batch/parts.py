"""What happens to one part: read, tokenized, embedded, written. Whoever does it, the file is the same to the bit."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from pellucid.batch.files import InputFile
from pellucid.batch.survey import PartReader, Rows, kept
from pellucid.embedder import Embedder
from pellucid.errors import BatchError, TextError, printable
from pellucid.files.whole import in_one_step
from pellucid.layers.quantization import to_dtype, to_ranges
from pellucid.text.truncation import Truncation
from pellucid.types import Float32, Int64, TokenBatch

REJECTED = "_rejected"


@dataclass(frozen=True)
class Part:
    """Rows ``start`` to ``stop`` of a file."""

    file: InputFile
    start: int
    stop: int

    @property
    def name(self) -> str:
        """Of its output, without an ending."""
        return f"{self.file.name}-{self.start:012}-{self.stop:012}"


@dataclass(frozen=True)
class JobOptions:
    """What is to become of texts, and of their vectors.

    Attributes:
        text_column, vector_column: where the texts are, and where their vectors go.
        prompt: put before each text.
        normalize, truncate_dim: as for :meth:`~pellucid.embedder.Embedder.embed_documents`.
        output_dtype: "float32", "float16", "int8", "binary" or "ubinary".
        on_truncation: "cut" texts that are too long, or "reject" their rows.
        rows_per_file: of an output file.
    """

    text_column: str = "text"
    vector_column: str = "vector"
    prompt: str = ""
    normalize: bool | None = None
    truncate_dim: int | None = None
    output_dtype: str = "float32"
    on_truncation: str = "cut"
    rows_per_file: int = 16_384


@dataclass(frozen=True)
class PreparedPart:
    """A part, ready for the engine.

    Attributes:
        part: which.
        rows: what was read.
        texts: its texts, each different one once.
        tokens: theirs.
        counts: how many tokens each of these had before it was cut.
        places: ``int64[rows]``: which of them each row has.
        truncation: what was cut off, of all rows.
    """

    part: Part
    rows: Rows
    texts: list[str]
    tokens: TokenBatch
    counts: npt.NDArray[np.int32]
    places: Int64
    truncation: Truncation


@dataclass(frozen=True)
class Done:
    """What became of a part, in figures: rows written and rejected, texts and tokens embedded, texts cut."""

    rows: int
    rejected: int
    texts: int
    tokens: int
    cut: int
    lost: int


def prepare(part: Part, reader: PartReader, embedder: Embedder, options: JobOptions) -> PreparedPart:
    """Read a part, and make tokens of its texts. A text that the tokenizer refuses costs its row, not the job."""
    rows = reader.read(part.file, part.start, part.stop, options.rows_per_file)
    try:
        prepared = _tokenized(part, rows, embedder, options)
    except TextError:
        texts = rows.table.column(options.text_column).to_pylist()
        keep = np.array([_has_tokens(text, embedder, options.prompt) for text in texts])
        rows = _without(part, rows, keep, "the tokenizer cannot read its text in pieces")
        prepared = _tokenized(part, rows, embedder, options)
    return _without_long(prepared, embedder.max_tokens) if options.on_truncation == "reject" else prepared


def _tokenized(part: Part, rows: Rows, embedder: Embedder, options: JobOptions) -> PreparedPart:
    texts: list[str] = rows.table.column(options.text_column).to_pylist()
    places_of: dict[str, int] = {}
    places = np.array([places_of.setdefault(text, len(places_of)) for text in texts], dtype=np.int64)
    different = list(places_of)
    tokens, counts = embedder.tokenizer.tokenize(different, options.prompt)
    return PreparedPart(
        part, rows, different, tokens, counts, places, Truncation.of(counts[places], embedder.max_tokens)
    )


def _has_tokens(text: str, embedder: Embedder, prompt: str) -> bool:
    try:
        embedder.tokenizer.tokenize([text], prompt)
    except TextError:
        return False
    return True


def _without(part: Part, rows: Rows, keep: npt.NDArray[np.bool_], fault: str) -> Rows:
    """Some of a part's good rows, ``keep`` being ``bool[rows]``; the others are rejected for ``fault``."""
    faulty = {row for row, _ in rows.faults}
    numbers = np.array([row for row in range(part.start, part.stop) if row not in faulty], dtype=np.int64)
    faults = [(int(row), fault) for row in numbers[~keep]]
    return Rows(kept(rows.table, keep), tuple(sorted([*rows.faults, *faults])))


def embed(
    prepared: PreparedPart,
    embedder: Embedder,
    options: JobOptions,
    *,
    advance: Callable[[int], object] = lambda _texts: None,
) -> Float32:
    """The vectors of a part's different texts; ``advance`` hears of how many are done."""
    if embedder.cache is not None:
        vectors: Float32 = embedder.embed_documents(
            prepared.texts, prompt=options.prompt, normalize=options.normalize, truncate_dim=options.truncate_dim
        )
        advance(len(vectors))
        return vectors
    return embedder.embed_tokens(
        prepared.tokens,
        prompt_tokens=embedder.tokenizer.prompt_tokens(options.prompt),
        normalize=options.normalize,
        truncate_dim=options.truncate_dim,
        advance=advance,
    )


def write(
    prepared: PreparedPart, vectors: Float32, options: JobOptions, ranges: tuple[Float32, Float32] | None, folder: Path
) -> Done:
    """Write a part's file, and before it that of its rejected rows.

    Args:
        prepared: the part.
        vectors: of its different texts.
        options: the job's.
        ranges: of each dimension, for int8.
        folder: the job's.

    Raises:
        BatchError: the disk is full, the folder cannot be written to, or the input was changed.
    """
    stored = to_ranges(vectors, *ranges) if ranges is not None else to_dtype(vectors, options.output_dtype)
    # Without equal texts, the rows have the vectors' own order.
    rows = stored if len(stored) == len(prepared.places) else stored[prepared.places]
    column = vector_array(rows, options.output_dtype)
    metadata = {b"pellucid": json.dumps(_described(options, ranges)).encode()}
    table = prepared.rows.table.append_column(options.vector_column, column).replace_schema_metadata(metadata)
    faults = prepared.rows.faults
    try:
        if faults:
            lines = "".join(
                json.dumps({"row": row, "fault": fault}, ensure_ascii=False) + "\n" for row, fault in faults
            )
            rejected = folder / REJECTED
            rejected.mkdir(exist_ok=True)
            with in_one_step(rejected / f"{prepared.part.name}.jsonl") as path:
                path.write_text(lines, encoding="utf-8")
        with in_one_step(folder / f"{prepared.part.name}.parquet") as path:
            prepared.part.file.check_unchanged()
            # Vectors, the last, have no order or repetition that a dictionary or a codec of bytes could use.
            others = _leaves(table.schema)[:-1]
            pq.write_table(table, path, use_dictionary=others, compression=dict.fromkeys(others, "zstd"))
    except OSError as error:
        raise BatchError(
            f"{printable(folder)} cannot be written to ({error.strerror or 'the disk may be full'}). What is there is "
            f"whole; make room, and run the same again: it goes on."
        ) from error
    return Done(
        len(table),
        len(faults),
        len(vectors),
        len(prepared.tokens.ids),
        prepared.truncation.cut,
        prepared.truncation.lost,
    )


def _leaves(schema: pa.Schema) -> list[str]:
    """The columns that Parquet makes of these: of a nested one, one for each kind of value in it."""
    sink = pa.BufferOutputStream()
    pq.ParquetWriter(sink, schema).close()
    with pq.ParquetFile(pa.BufferReader(sink.getvalue())) as written:
        return [written.schema.column(number).path for number in range(len(written.schema))]


def vector_array(stored: npt.NDArray[Any], output_dtype: str) -> pa.Array:
    """Vectors as Arrow has them: lists of a fixed size, or for bits, bytes of a fixed size."""
    width = stored.shape[1]
    if output_dtype in ("binary", "ubinary"):
        packed = np.ascontiguousarray(stored)
        return pa.Array.from_buffers(pa.binary(width), len(stored), [None, pa.py_buffer(packed.tobytes())])
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(stored).reshape(-1)), width)


def _without_long(prepared: PreparedPart, most: int) -> PreparedPart:
    """The part without the rows whose texts are too long."""
    counts, places = prepared.counts, prepared.places
    if not (counts > most).any():
        return prepared
    short = np.flatnonzero(counts <= most)
    keep = counts[places] <= most
    renumbered = np.zeros(len(counts), dtype=np.int64)
    renumbered[short] = np.arange(len(short))
    return PreparedPart(
        prepared.part,
        _without(prepared.part, prepared.rows, keep, f"its text has more than {most} tokens"),
        [prepared.texts[place] for place in short],
        prepared.tokens.select(short),
        counts[short],
        renumbered[places[keep]],
        Truncation.of(counts[places[keep]], most),
    )


def _described(options: JobOptions, ranges: tuple[Float32, Float32] | None) -> dict[str, Any]:
    """What a file says of its vectors: the type, and for int8 what each dimension's numbers mean."""
    told: dict[str, Any] = {"vector_column": options.vector_column, "output_dtype": options.output_dtype}
    if ranges is not None:
        told |= {"low": ranges[0].tolist(), "high": ranges[1].tolist()}
    return told


def ranges_of(vectors: Float32) -> tuple[Float32, Float32]:
    """The lowest and highest of each dimension, ``float32[d]`` each."""
    return vectors.min(axis=0), vectors.max(axis=0)


def parts_of(files: Sequence[InputFile], rows_per_part: int) -> list[Part]:
    """Every part of a job, in order."""
    return [
        Part(file, start, min(start + rows_per_part, file.rows))
        for file in files
        for start in range(0, file.rows, rows_per_part)
    ]
