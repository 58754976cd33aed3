"""What happens to one part: read, tokenized, embedded, written. Whichever process does it, the bytes are the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.embedder import Embedder
from pellucid.encoder.fingerprint import Fingerprint
from pellucid.errors import BatchError, TextError, printable
from pellucid.files.whole import in_one_step
from pellucid.layers.quantization import to_dtype, to_int8
from pellucid.reprs import short_repr
from pellucid.tables import parquet
from pellucid.tables.arrow import keep_rows, vector_column
from pellucid.tables.reader import InputFile, PartReader, Rows
from pellucid.text.truncation import Truncation
from pellucid.types import Float32, Int32, Int64, TokenBatch

REJECTED = "_rejected"
"""The folder, within the job's, of what was wrong with rejected rows."""
PACKED_BITS = ("binary", "ubinary")


@dataclass(frozen=True)
class Part:
    """The rows ``start`` to ``stop`` of a file."""

    file: InputFile
    start: int
    stop: int

    @property
    def name(self) -> str:
        """The name of its output file, without an ending."""
        return f"{self.file.name}-{self.start:012}-{self.stop:012}"


@dataclass(frozen=True)
class JobOptions:
    """What a job does with its texts.

    Attributes:
        text_column: the column of texts.
        vector_column: the column that their vectors get.
        prompt: put before each text.
        normalize: as for :meth:`~pellucid.embedder.Embedder.embed_documents`.
        truncate_dim: as there.
        output_dtype: "float32", "float16", "int8", "binary" or "ubinary".
        on_truncation: "cut" texts that are too long, or "reject" their rows.
        rows_per_file: how many input rows become one output file.
    """

    text_column: str = "text"
    vector_column: str = "vector"
    prompt: str = ""
    normalize: bool | None = None
    truncate_dim: int | None = None
    output_dtype: str = "float32"
    on_truncation: str = "cut"
    rows_per_file: int = 16_384

    __repr__ = short_repr

    def fingerprint(self, embedder: Embedder, *, device: str | None = None) -> Fingerprint:
        """What the vectors depend on besides their texts. ``device``: the engine's, if it is not the embedder's."""
        options = {"normalize": self.normalize, "truncate_dim": self.truncate_dim}
        fingerprint = Fingerprint.of(embedder.encoder, self.prompt, options, embedder.task_name)
        return fingerprint if device is None else replace(fingerprint, device=device)


@dataclass(frozen=True)
class PreparedPart:
    """A part, ready for the engine.

    Attributes:
        part: the part.
        rows: what was read.
        texts: its texts, equal ones once.
        tokens: the tokens of ``texts``.
        counts: ``int32[texts]``, how many tokens each of them had before it was cut.
        places: ``int64[rows]``, which of ``texts`` each row has.
        truncation: what was cut off, counted over all rows.
    """

    part: Part
    rows: Rows
    texts: list[str]
    tokens: TokenBatch
    counts: Int32
    places: Int64
    truncation: Truncation


@dataclass(frozen=True)
class Done:
    """What became of a part.

    Attributes:
        rows: how many rows were written.
        rejected: how many were not.
        texts: how many different texts were embedded.
        tokens: how many tokens these had.
        cut: how many rows have a text that was cut.
        lost: how many tokens were cut off.
    """

    rows: int
    rejected: int
    texts: int
    tokens: int
    cut: int
    lost: int


def parts_of(files: Sequence[InputFile], rows_per_part: int) -> list[Part]:
    """All parts of a job, in order."""
    return [
        Part(file, start, min(start + rows_per_part, file.rows))
        for file in files
        for start in range(0, file.rows, rows_per_part)
    ]


def prepare(part: Part, reader: PartReader, embedder: Embedder, options: JobOptions) -> PreparedPart:
    """Read a part and tokenize its texts. A text that the tokenizer refuses costs its row, not the job."""
    rows = reader.read(part.file, part.start, part.stop, options.rows_per_file)
    try:
        prepared = _tokenize(part, rows, embedder, options)
    except TextError:
        texts = rows.table.column(options.text_column).to_pylist()
        keep = np.array([_can_tokenize(text, embedder, options.prompt) for text in texts])
        rows = _reject(part, rows, keep, "the tokenizer cannot read its text in pieces")
        prepared = _tokenize(part, rows, embedder, options)
    return _reject_long(prepared, embedder.max_tokens) if options.on_truncation == "reject" else prepared


def _tokenize(part: Part, rows: Rows, embedder: Embedder, options: JobOptions) -> PreparedPart:
    texts: list[str] = rows.table.column(options.text_column).to_pylist()
    place_of: dict[str, int] = {}
    places = np.array([place_of.setdefault(text, len(place_of)) for text in texts], dtype=np.int64)
    different = list(place_of)
    tokens, counts = embedder.tokenizer.tokenize(different, options.prompt)
    truncation = Truncation.from_counts(counts[places], embedder.max_tokens)
    return PreparedPart(part, rows, different, tokens, counts, places, truncation)


def _can_tokenize(text: str, embedder: Embedder, prompt: str) -> bool:
    try:
        embedder.tokenizer.tokenize([text], prompt)
    except TextError:
        return False
    return True


def _reject(part: Part, rows: Rows, keep: npt.NDArray[np.bool_], fault: str) -> Rows:
    """Keep the good rows where ``keep``, ``bool[rows]``, is True, and reject the others for ``fault``."""
    rejected = {row for row, _ in rows.faults}
    numbers = np.array([row for row in range(part.start, part.stop) if row not in rejected], dtype=np.int64)
    faults = [(int(row), fault) for row in numbers[~keep]]
    return Rows(keep_rows(rows.table, keep), tuple(sorted([*rows.faults, *faults])))


def _reject_long(prepared: PreparedPart, max_tokens: int) -> PreparedPart:
    """Reject the rows whose texts are too long."""
    counts, places = prepared.counts, prepared.places
    if not (counts > max_tokens).any():
        return prepared
    short = np.flatnonzero(counts <= max_tokens)
    keep = counts[places] <= max_tokens
    renumbered = np.zeros(len(counts), dtype=np.int64)
    renumbered[short] = np.arange(len(short))
    return PreparedPart(
        prepared.part,
        _reject(prepared.part, prepared.rows, keep, f"its text has more than {max_tokens} tokens"),
        [prepared.texts[place] for place in short],
        prepared.tokens.select(short),
        counts[short],
        renumbered[places[keep]],
        Truncation.from_counts(counts[places[keep]], max_tokens),
    )


def embed(
    prepared: PreparedPart,
    embedder: Embedder,
    options: JobOptions,
    *,
    advance: Callable[[int], object] = lambda _texts: None,
) -> Float32:
    """The vectors of a part's texts. ``advance`` is called with how many more texts are done."""
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
    prepared: PreparedPart,
    vectors: Float32,
    options: JobOptions,
    ranges: tuple[Float32, Float32] | None,
    folder: Path,
) -> Done:
    """Write a part's output file, and before it the file of its rejected rows.

    Args:
        prepared: the part.
        vectors: ``float32[texts, d]``, the vectors of its texts.
        options: the job's options.
        ranges: for int8, the lowest and the highest number of each dimension.
        folder: the job's folder.

    Raises:
        BatchError: the disk is full, the folder cannot be written to, or the input was changed.
    """
    stored = to_int8(vectors, *ranges) if ranges is not None else to_dtype(vectors, options.output_dtype)
    # Where no two texts are equal, the vectors have the rows' order already.
    by_row = stored if len(stored) == len(prepared.places) else stored[prepared.places]
    column = vector_column(by_row, packed_bits=options.output_dtype in PACKED_BITS)
    metadata = {b"pellucid": json.dumps(_metadata(options, ranges)).encode()}
    table = prepared.rows.table.append_column(options.vector_column, column).replace_schema_metadata(metadata)
    faults = prepared.rows.faults
    try:
        if faults:
            lines = [json.dumps({"row": row, "fault": fault}, ensure_ascii=False) + "\n" for row, fault in faults]
            rejected = folder / REJECTED
            rejected.mkdir(exist_ok=True)
            with in_one_step(rejected / f"{prepared.part.name}.jsonl") as path:
                path.write_text("".join(lines), encoding="utf-8")
        with in_one_step(folder / f"{prepared.part.name}.parquet") as path:
            prepared.part.file.check_unchanged()
            parquet.write_with_vectors(path, table)
    except OSError as error:
        raise BatchError(
            f"{printable(folder)} cannot be written to ({error.strerror or 'the disk may be full'}). Every finished "
            f"file is intact. Fix the cause (permissions, disk space), then run the same command again."
        ) from error
    return Done(
        len(table),
        len(faults),
        len(vectors),
        len(prepared.tokens.ids),
        prepared.truncation.cut,
        prepared.truncation.lost,
    )


def _metadata(options: JobOptions, ranges: tuple[Float32, Float32] | None) -> dict[str, Any]:
    """What an output file says about its vectors: their type, and for int8 what each dimension's numbers mean."""
    metadata: dict[str, Any] = {"vector_column": options.vector_column, "output_dtype": options.output_dtype}
    if ranges is not None:
        metadata |= {"low": ranges[0].tolist(), "high": ranges[1].tolist()}
    return metadata


def ranges_of(vectors: Float32) -> tuple[Float32, Float32]:
    """The lowest and the highest number of each dimension, ``float32[d]`` each."""
    return vectors.min(axis=0), vectors.max(axis=0)
