"""``pellucid similar``: the texts of a file that are most similar to a text."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

from pellucid.cli import options
from pellucid.cli.hints import check_order, choose_file, hint_at_path, is_file
from pellucid.cli.lines import Lines, embed_lines, read_lines, show
from pellucid.cli.terminal import print_record, use_json
from pellucid.cli.texts import read_text
from pellucid.errors import OptionError, printable
from pellucid.types import Ranked


def similar(
    text: Annotated[str, typer.Argument(help="Text to compare with; - reads it from standard input.")],
    argument: options.TextsArgument = None,
    file: options.FileOption = None,
    count: Annotated[int, typer.Option("-k", help="Number of texts to find.")] = 10,
    column: options.ColumnOption = options.TEXT_COLUMN,
    json: options.JsonOption = None,
    full: options.FullOption = False,
    model: options.ModelOption = options.DEFAULT_MODEL,
    dtype: options.DtypeOption = "float32",
    device: options.DeviceOption = "cpu",
    on_truncation: options.OnTruncationOption = "warn",
    revision: options.RevisionOption = None,
    cache_folder: options.CacheFolderOption = None,
    local_files_only: options.LocalFilesOnlyOption = False,
    threads: options.ThreadsOption = None,
) -> None:
    """Find the most similar texts of a file.

    Blank lines are left out. The score is the cosine: 1 means the same, and 0 means unrelated.
    """
    if count < 1:
        raise OptionError("-k must be at least 1.")
    file = choose_file(argument, file)
    check_order(text, file, "pellucid similar")
    if file is None and sys.stdin.isatty() and is_file(text):
        example = f"pellucid similar TEXT {shlex.quote(printable(text))}"
        raise OptionError(f"give a text too, before the file: {example}")
    if text == "-":
        if file is None or str(file) == "-":
            raise OptionError("only one of the text and the file can be standard input.")
        text = read_text()
    else:
        hint_at_path(text, "pellucid similar - FILE < {}")
    lines = read_lines(file, column)

    from pellucid.embedder import Embedder

    embedder = Embedder(
        model,
        revision=revision,
        cache_folder=cache_folder,
        local_files_only=local_files_only,
        dtype=dtype,
        device=device,
        threads=threads,
        on_truncation=on_truncation,
    )
    matches = embedder.most_similar(text, embed_lines(embedder, lines), count)
    if use_json(json):
        for rank, match in enumerate(matches, 1):
            record = {
                "rank": rank,
                "cosine": round(match.score, 6),
                lines.unit: lines.numbers[match.index],
                "text": lines.texts[match.index],
            }
            print_record(record)
    else:
        _print_matches(lines, matches, full=full)


def _print_matches(lines: Lines, matches: list[Ranked], *, full: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("cosine", justify="right", no_wrap=True)
    table.add_column(lines.unit, justify="right", no_wrap=True)
    table.add_column("text", ratio=1)
    for match in matches:
        table.add_row(f"{match.score:.3f}", f"{lines.numbers[match.index]}", show(lines.texts[match.index], full=full))
    Console(highlight=False).print(table if matches else "no texts")
