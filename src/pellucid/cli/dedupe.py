"""``pellucid dedupe``: the texts of a file without those that are nearly the same as an earlier one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from pellucid.cli import options, output_files
from pellucid.cli.hints import choose_file
from pellucid.cli.lines import Lines, embed_lines, read_lines, show
from pellucid.cli.terminal import print_record, say, tell
from pellucid.errors import OptionError, plural, printable

if TYPE_CHECKING:
    from pellucid.embedder import Embedder
    from pellucid.vectors.duplicates import NearDuplicates

_MAX_GROUPS = 10
_MAX_DUPLICATES = 5


def dedupe(
    argument: options.TextsArgument = None,
    file: options.FileOption = None,
    threshold: Annotated[float, typer.Option(help="Two texts with at least this cosine are near duplicates.")] = 0.95,
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write what is kept to this file, in the format of the input.")
    ] = None,
    column: options.ColumnOption = options.TEXT_COLUMN,
    json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each near duplicate.")] = False,
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
    """Remove near duplicates from a file.

    A near duplicate is a text that is nearly the same as an earlier one. On a terminal, the command shows what it would
    remove. In a pipe, it prints the lines or rows that it keeps. Blank ones stay.
    """
    from pellucid.tables.records import table_kind
    from pellucid.vectors.duplicates import check_threshold

    check_threshold(threshold)
    file = choose_file(argument, file)
    if json and out is not None:
        raise OptionError("give --json or -o, not both.")
    kind = "text" if file is None else table_kind(file)
    is_report = sys.stdout.isatty() and out is None
    if out is not None:
        output_files.check_ending(out, [out.suffix.lower() if kind == "text" or file is None else file.suffix.lower()])
    elif kind == "parquet" and not json and not is_report:
        raise OptionError("Parquet is not text. Add -o FILE.parquet, or --json.")
    if out is not None and file is not None and out.exists() and out.samefile(file):
        raise OptionError(f"{printable(out)} is the file with the texts. Write what is kept to another one.")
    lines = read_lines(file, column, keep_blank=True)

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
    found = _find(embedder, lines, threshold)
    if json:
        _print_json(lines, found)
        return
    summary = _summary(lines, found, threshold)
    if is_report:
        _print_groups(lines, found, full=full)
        tell(summary)
        if len(found.removed):
            tell("To save what is kept: -o FILE")
        return
    if out is None:
        for row in list(_kept_rows(lines, found)):  # All of them or, if the file changed, none.
            typer.echo(row, nl=False)
    else:
        with output_files.open_output(out) as path:
            _write_kept(path, lines, found)
        summary += f"\nWrote {plural(len(found.kept), lines.unit)} to {printable(out)}."
    say(summary)


def _summary(lines: Lines, found: NearDuplicates, threshold: float) -> str:
    blank = len(lines.texts) - len(lines.with_words)
    of_them = f" ({blank:,} of them blank)" if blank else ""
    return (
        f"{plural(len(lines.texts), lines.unit)}: {len(found.kept):,} kept{of_them}, "
        f"{plural(len(found.removed), 'near duplicate')} (cosine of at least {threshold:g})"
    )


def _find(embedder: Embedder, lines: Lines, threshold: float) -> NearDuplicates:
    """The near duplicates among the texts. Blank ones are kept, and compared with nothing."""
    from pellucid.vectors.duplicates import NearDuplicates, near_duplicates

    rows = np.array(lines.with_words, dtype=np.int64)
    found = near_duplicates(embed_lines(embedder, lines.only(lines.with_words)), threshold)
    original, cosine = np.arange(len(lines.texts)), np.ones(len(lines.texts), dtype=np.float32)
    original[rows], cosine[rows] = rows[found.original], found.cosine
    return NearDuplicates(original, cosine)


def _kept_rows(lines: Lines, found: NearDuplicates) -> Iterator[str]:
    """What is kept: rows of a table as they are written in it, otherwise the texts, one per line."""
    table = lines.table
    if table is None:
        yield from (f"{lines.texts[index]}\n" for index in found.kept.tolist())
        return
    from pellucid.tables.rows import rows_as_written

    with table.unchanged():
        yield from (row.decode() for row in rows_as_written(table.path, table.kind, table.column, found.kept))


def _write_kept(path: Path, lines: Lines, found: NearDuplicates) -> None:
    if lines.table is not None and lines.table.kind == "parquet":
        from pellucid.tables.parquet import copy_rows

        with lines.table.unchanged():
            copy_rows(lines.table.path, path, found.kept)
        return
    with path.open("w", encoding="utf-8", newline="") as opened:
        opened.writelines(_kept_rows(lines, found))


def _print_json(lines: Lines, found: NearDuplicates) -> None:
    for index in found.removed.tolist():
        original = int(found.original[index])
        record = {
            lines.unit: lines.numbers[index],
            "text": lines.texts[index],
            "duplicate_of": lines.numbers[original],
            "original": lines.texts[original],
            "cosine": round(float(found.cosine[index]), 6),
        }
        print_record(record)


def _print_groups(lines: Lines, found: NearDuplicates, *, full: bool) -> None:
    """Print each text that is kept and has near duplicates, and below it those."""
    from rich.console import Console
    from rich.table import Table

    groups = found.groups()
    shown = groups if full else groups[:_MAX_GROUPS]
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(ratio=1)
    for original, *duplicates in (group.tolist() for group in shown):
        table.add_row("keep", lines.place(original), show(lines.texts[original], full=full), style="bold")
        listed = duplicates if full else duplicates[:_MAX_DUPLICATES]
        for index in listed:
            table.add_row(f"{found.cosine[index]:.3f}", lines.place(index), show(lines.texts[index], full=full))
        if len(listed) < len(duplicates):
            table.add_row("", "", f"… and {len(duplicates) - len(listed):,} more", style="dim")
    console = Console(highlight=False)
    console.print(table)
    if len(shown) < len(groups):
        console.print(f"… and {len(groups) - len(shown):,} more texts with near duplicates. --full shows all.\n")
