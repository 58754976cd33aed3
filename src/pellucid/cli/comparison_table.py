"""The tables of a comparison of models: a column for each model, then how far each pair of models agrees."""

from __future__ import annotations

import contextlib
import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pellucid.errors import plural
from pellucid.measuring.neighbours import Float64
from pellucid.measuring.rounds import ROUNDS, BenchResult, Contender, ModelMeasurement, labels
from pellucid.measuring.worker import QUERIES
from pellucid.model.spec import NO_LIMIT

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_GAP = 2
_MIN_COLUMN_WIDTH = 12
"""Every number fits a column of this width. A model's name is broken into lines to fit."""

_MAX_STEADY_RATIO = 1.2
"""On a machine that does nothing else, the slowest round takes at most this many times as long as the fastest."""


@contextlib.contextmanager
def progress_bar(contenders: Sequence[Contender]) -> Iterator[Callable[[Contender], None]]:
    """Show a bar on standard error if it is a terminal. Gives the function to call when a contender's turn begins."""
    from pellucid.files import progress

    names = dict(zip(contenders, labels(contenders), strict=True))
    total = ROUNDS * len(contenders)
    with progress.progress_bar(total=total, leave=False, bar_format="{desc} |{bar}| {elapsed}") as bar:
        turns = itertools.count()

        def begin_turn(contender: Contender) -> None:
            bar.n = next(turns)
            bar.set_description_str(f"Measuring {names[contender]}")

        yield begin_turn


def print_comparison(result: BenchResult, texts: str, setting: str) -> None:
    """Print the tables, and what their numbers mean.

    Args:
        result: the measurements of at least one model.
        texts: a description of the texts that were embedded.
        setting: the dtypes, the number of threads and the instruction set.
    """
    from rich.console import Console
    from rich.markup import escape

    console = Console()
    names = labels([measurement.contender for measurement in result.measurements])
    console.print(f"{escape(texts)}\n{setting}\n", highlight=False)
    columns = [_format_measurement(measurement, result.texts) for measurement in result.measurements]
    _print_measurements(console, names, columns)
    console.print(
        f"[dim]Times are medians of {ROUNDS} rounds, each in a new process: loading, {QUERIES} queries, all texts. "
        f"Memory is the peak, less that of a bare Python.[/dim]",
        highlight=False,
    )
    for name, measurement in zip(names, result.measurements, strict=True):
        if (ratio := max(measurement.texts_seconds) / min(measurement.texts_seconds)) > _MAX_STEADY_RATIO:
            console.print(
                f"[yellow]The slowest round of {escape(name)} took {ratio:.1f} times as long as the fastest: "
                f"other programs may be using this machine.[/yellow]",
                highlight=False,
            )
    if result.agreement is None:
        return
    neighbours = result.neighbours
    console.print(f"\n[bold]agreement on the {plural(neighbours, 'nearest text')}[/bold]", highlight=False)
    _print_agreement(console, names, result.agreement)
    console.print(
        f"\n[dim]The share of a text's {plural(neighbours, 'nearest text')} that two models have in common, on "
        f"average over the texts; by chance it would be {result.chance:.1%}. It says how alike the models see these "
        f"texts, not which model is right.[/dim]",
        highlight=False,
    )


def _print_measurements(console: Console, names: Sequence[str], columns: Sequence[Mapping[str, str]]) -> None:
    """Print as many models side by side as fit the terminal, in tables of about the same size."""
    from rich.markup import escape

    heading_width = max(map(len, columns[0]))
    max_per_table = max(1, (console.width - heading_width) // (_MIN_COLUMN_WIDTH + _GAP))
    tables = math.ceil(len(columns) / max_per_table)
    per_table = math.ceil(len(columns) / tables)
    for start in range(0, len(columns), per_table):
        table = _make_table()
        table.add_column("", no_wrap=True)
        for name in names[start : start + per_table]:
            heading = break_name(name, (console.width - heading_width) // per_table - _GAP)
            table.add_column(escape(heading), justify="right", overflow="fold")
        for key in columns[0]:
            table.add_row(key, *(column[key] for column in columns[start : start + per_table]))
        console.print(table)
        console.print()


def _print_agreement(console: Console, names: Sequence[str], agreement: Float64) -> None:
    """Print the matrix, with as many columns in a table as fit. Columns have the numbers of the rows as headings."""
    from rich.markup import escape

    number_width, cell_width = len(str(len(names))) + _GAP, len("100.0%") + _GAP
    cells = min(len(names), max(1, (console.width - number_width - _MIN_COLUMN_WIDTH - _GAP) // cell_width))
    name_width = max(_MIN_COLUMN_WIDTH, console.width - number_width - cells * cell_width - _GAP)
    for start in range(0, len(names), cells):
        table = _make_table()
        table.add_column("#", justify="right", style="bold")
        table.add_column("")
        for column in range(start, min(start + cells, len(names))):
            table.add_column(str(column + 1), justify="right", no_wrap=True)
        for row, (name, values) in enumerate(zip(names, agreement[:, start : start + cells].tolist(), strict=True)):
            label = name if len(name) <= name_width else break_name(name, name_width)
            table.add_row(str(row + 1), escape(label), *(f"{value:.1%}" for value in values))
        console.print(table)


def _make_table() -> Table:
    from rich.table import Table

    return Table(box=None, header_style="bold", pad_edge=False, padding=(0, _GAP, 0, 0))


def break_name(name: str, width: int) -> str:
    """Break a model's name into lines of at most ``width``, at its separators, and always before its dtype.

    >>> break_name("paraphrase-multilingual-MiniLM-L12-v2 int8", 16).splitlines()
    ['paraphrase-', 'multilingual-', 'MiniLM-L12-v2', 'int8']
    """
    lines = []
    for word in name.split():
        lines.append("")
        for part in re.findall(r"[^-_/]*[-_/]?", word):
            if lines[-1] and len(lines[-1] + part) > width:
                lines.append("")
            lines[-1] += part
    return "\n".join(lines)


def _format_measurement(measurement: ModelMeasurement, texts: int) -> dict[str, str]:
    """The cells of a model's column, by the headings of their rows."""
    return {
        "dimensions": f"{measurement.dimensions:,}",
        "max tokens": "no limit" if measurement.max_tokens == NO_LIMIT else f"{measurement.max_tokens:,}",
        "texts cut": f"{measurement.texts_cut:,}",
        "parameters": f"{measurement.parameters / 1e6:,.1f} M",
        "on disk": f"{measurement.disk_bytes / 1e6:,.1f} MB",
        "memory": f"{measurement.median_memory_bytes / 1e6:,.1f} MB",
        "loading": f"{measurement.median_loading_seconds:.2f} s",
        "one query": f"{1e3 * measurement.median_query_seconds:.2f} ms",
        "texts/s": f"{texts / measurement.median_texts_seconds:,.0f}",
        "tokens/s": f"{measurement.tokens / measurement.median_texts_seconds:,.0f}",
    }
