"""What happens to one part: read, tokenized, computed, written. Whichever process does it, the bytes are the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.batch.options import JobOptions, Ranges
from pellucid.errors import BatchError, TextError, printable
from pellucid.files.whole import in_one_step
from pellucid.tables import parquet
from pellucid.tables.arrow import keep_rows
from pellucid.tables.reader import InputFile, PartReader, Rows
from pellucid.task import Task
from pellucid.text.truncation import Truncation
from pellucid.types import Float32, Int32, Int64, TokenBatch

REJECTED = "_rejected"
"""The folder, within the job's, of what was wrong with rejected rows."""


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
class PreparedPart:
    """A part, ready for the engine.

    Attributes:
        part: the part.
        rows: what was read.
        texts: its texts or pairs of texts, equal ones once.
        tokens: the tokens of ``texts``.
        counts: ``int32[texts]``, how many tokens each of them had before it was cut.
        places: ``int64[rows]``, which of ``texts`` each row has.
        truncation: what was cut off, counted over all rows.
    """

    part: Part
    rows: Rows
    texts: list[Any]
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
        texts: how many different texts, or pairs, went through the model.
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


def prepare(part: Part, reader: PartReader, model: Task, options: JobOptions[Any]) -> PreparedPart:
    """Read a part and tokenize its texts. A text that the tokenizer refuses costs its row, not the job."""
    rows = reader.read(part.file, part.start, part.stop, options.rows_per_file)
    try:
        prepared = _tokenize(part, rows, model, options)
    except TextError:
        keep = np.array([_can_tokenize(text, model, options) for text in options.texts_of(rows.table)])
        rows = _reject(part, rows, keep, "the tokenizer cannot read its text in pieces")
        prepared = _tokenize(part, rows, model, options)
    return _reject_long(prepared, model.max_tokens) if options.on_truncation == "reject" else prepared


def _tokenize(part: Part, rows: Rows, model: Task, options: JobOptions[Any]) -> PreparedPart:
    texts = options.texts_of(rows.table)
    place_of: dict[Any, int] = {}
    places = np.array([place_of.setdefault(text, len(place_of)) for text in texts], dtype=np.int64)
    different = list(place_of)
    tokens, counts = options.tokenize(model, different)
    truncation = Truncation.from_counts(counts[places], model.max_tokens)
    return PreparedPart(part, rows, different, tokens, counts, places, truncation)


def _can_tokenize(text: Any, model: Task, options: JobOptions[Any]) -> bool:
    try:
        options.tokenize(model, [text])
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
    what = "the pair of its texts" if isinstance(prepared.texts[0], tuple) else "its text"
    return PreparedPart(
        prepared.part,
        _reject(prepared.part, prepared.rows, keep, f"{what} has more than {max_tokens} tokens"),
        [prepared.texts[place] for place in short],
        prepared.tokens.select(short),
        counts[short],
        renumbered[places[keep]],
        Truncation.from_counts(counts[places[keep]], max_tokens),
    )


def compute(
    prepared: PreparedPart,
    model: Task,
    options: JobOptions[Any],
    *,
    advance: Callable[[int], object] = lambda _texts: None,
) -> Any:
    """The numbers of a part's texts, as ``options.compute`` gives them.

    ``advance`` is called with how many more texts are done.
    """
    return options.compute(model, prepared.texts, prepared.tokens, advance)


def write(
    prepared: PreparedPart,
    results: Any,
    model: Task,
    options: JobOptions[Any],
    ranges: Ranges | None,
    folder: Path,
) -> Done:
    """Write a part's output file, and before it the file of its rejected rows.

    Args:
        prepared: the part.
        results: the numbers of its texts, as :func:`compute` gives them.
        model: the model.
        options: the job's options.
        ranges: for int8, the lowest and the highest number of each dimension.
        folder: the job's folder.

    Raises:
        BatchError: the disk is full, the folder cannot be written to, or the input was changed.
    """
    # Where no two texts are equal, the results have the rows' order already.
    by_row = results if len(results) == len(prepared.places) else results[prepared.places]
    table = prepared.rows.table
    for name, column in zip(options.added_columns, options.columns(model, by_row, ranges), strict=True):
        table = table.append_column(name, column)
    table = table.replace_schema_metadata({b"pellucid": json.dumps(options.metadata(ranges)).encode()})
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
            write_table = parquet.write_with_vectors if options.has_vectors else parquet.write
            write_table(path, table)
    except OSError as error:
        raise BatchError(
            f"{printable(folder)} cannot be written to ({error.strerror or 'the disk may be full'}). Every finished "
            f"file is intact. Fix the cause (permissions, disk space), then run the same command again."
        ) from error
    return Done(
        len(table),
        len(faults),
        len(results),
        len(prepared.tokens.ids),
        prepared.truncation.cut,
        prepared.truncation.lost,
    )


def ranges_of(vectors: Float32) -> Ranges:
    """The lowest and the highest number of each dimension, ``float32[d]`` each."""
    return vectors.min(axis=0), vectors.max(axis=0)
