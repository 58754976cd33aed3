"""``pellucid classify``: the texts of a file, or pairs of texts, with their labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from pellucid.cli import options
from pellucid.cli.hints import choose_file
from pellucid.cli.lines import Lines, naming_places, read_lines, show
from pellucid.cli.terminal import print_record, round_float32, use_json
from pellucid.cli.texts import read_texts
from pellucid.errors import OptionError
from pellucid.files.progress import progress
from pellucid.types import Float32

Labelled = list[tuple[str, float]]
"""Labels of a text with their probabilities, the most probable first."""


def classify(
    model: Annotated[str, typer.Option("--model", "-m", help=options.MODEL_HELP)],
    argument: options.TextsArgument = None,
    file: options.FileOption = None,
    column: options.ColumnOption = options.TEXT_COLUMN,
    second_column: options.SecondColumnOption = None,
    top: Annotated[int, typer.Option(help="Number of labels to show for each text.")] = 1,
    every: Annotated[bool, typer.Option("--all", help="Show all labels.")] = False,
    json: options.JsonOption = None,
    full: options.FullOption = False,
    prompt: options.PromptOption = None,
    max_tokens: options.MaxTokensOption = None,
    dtype: options.DtypeOption = "float32",
    device: options.DeviceOption = "cpu",
    on_truncation: options.OnTruncationOption = "warn",
    revision: options.RevisionOption = None,
    cache_folder: options.CacheFolderOption = None,
    local_files_only: options.LocalFilesOnlyOption = False,
    threads: options.ThreadsOption = None,
) -> None:
    """Find the label that fits each text of a file.

    Blank lines are left out. With --second-column, each row of a table is a pair of texts, as models that compare two
    texts need.
    """
    if top < 1:
        raise OptionError("--top must be at least 1.")
    if every and top > 1:
        raise OptionError("give --top or --all, not both.")
    file = choose_file(argument, file)
    lines, seconds = _read(file, column, second_column)

    from pellucid.classifier import Classifier

    classifier = Classifier(
        model,
        revision=revision,
        cache_folder=cache_folder,
        local_files_only=local_files_only,
        dtype=dtype,
        device=device,
        threads=threads,
        max_tokens=max_tokens,
        on_truncation=on_truncation,
    )
    texts: list[Any] = lines.texts if seconds is None else list(zip(lines.texts, seconds, strict=True))
    with naming_places(lines.place), progress(len(texts), show=True, leave=False, desc="Scoring") as advance:
        probabilities = classifier.probabilities(texts, prompt=prompt, advance=advance)
    found = list(_best(probabilities, classifier.labels, len(classifier.labels) if every else top))
    if use_json(json):
        _print_json(lines, seconds, found, with_more=every or top > 1)
    else:
        _print_table(lines, seconds, found, (column, second_column or ""), full=full)


def _read(file: Path | None, column: str, second_column: str | None) -> tuple[Lines, list[str] | None]:
    """The texts, and the second text of each; None if there are no second texts.

    A pair is left out only if both of its texts are blank.
    """
    if second_column is None:
        return read_lines(file, column), None
    if second_column == column:
        raise OptionError("--column and --second-column are the same column. A pair needs two.")
    lines = read_lines(file, column, keep_blank=True)
    if lines.table is None:
        raise OptionError("--second-column is for .csv, .jsonl and .parquet files; other texts are lines.")
    with lines.table.unchanged():
        seconds = list(read_texts(file, second_column, option="--second-column"))
    kept = [row for row, pair in enumerate(zip(lines.texts, seconds, strict=True)) if any(map(str.strip, pair))]
    return replace(lines.only(kept), total=lines.total), [seconds[row] for row in kept]


def _best(probabilities: Float32, labels: tuple[str, ...], count: int) -> Iterator[Labelled]:
    """The most probable labels of each text. Of equal ones, the model's first comes first."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
    for row, columns in zip(probabilities, order.tolist(), strict=True):
        yield [(labels[column], float(row[column])) for column in columns]


def _print_json(lines: Lines, seconds: list[str] | None, found: list[Labelled], *, with_more: bool) -> None:
    for index, labelled in enumerate(found):
        several = [{"label": label, "probability": round_float32(number)} for label, number in labelled]
        record: dict[str, Any] = {lines.unit: lines.numbers[index], **several[0]}
        if with_more:
            record["labels"] = several
        record["text"] = lines.texts[index]
        if seconds is not None:
            record["second_text"] = seconds[index]
        print_record(record)


def _print_table(
    lines: Lines, seconds: list[str] | None, found: list[Labelled], columns: tuple[str, str], *, full: bool
) -> None:
    """Print a line for each label, the text beside the first. ``columns`` names those of pairs."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(lines.unit, justify="right", no_wrap=True)
    table.add_column("label", no_wrap=True, overflow="ellipsis")
    table.add_column("probability", justify="right", no_wrap=True)
    for name in ("text",) if seconds is None else columns:
        table.add_column(show(name), ratio=1)
    for index, labelled in enumerate(found):
        texts = [lines.texts[index]] if seconds is None else [lines.texts[index], seconds[index]]
        shown = [show(text, full=full) for text in texts]
        number = f"{lines.numbers[index]}"
        for label, probability in labelled:
            table.add_row(number, show(label), f"{probability:.3f}", *shown)
            number, shown = "", [Text()] * len(texts)
    Console(highlight=False).print(table if found else "no texts")
