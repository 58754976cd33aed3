"""How a comparison of models is shown: a column for each model, then how far each two agree."""

from __future__ import annotations

import contextlib
import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pellucid.measuring.neighbours import Float64
from pellucid.measuring.rounds import ROUNDS, BenchResult, Contender, ModelMeasurement, labels
from pellucid.measuring.worker import QUERIES

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_GAP = 2
_NARROWEST = 12
"""The width of a column that has room for any number here; a model's name is broken to fit."""

_UNSTEADY = 1.2
"""How many times the fastest round the slowest may take on a machine that has nothing else to do."""


@contextlib.contextmanager
def progress(contenders: Sequence[Contender]) -> Iterator[Callable[[Contender], None]]:
    """A bar on standard error, if that is a terminal; gives what says whose turn it is."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    names = dict(zip(contenders, labels(contenders), strict=True))
    with tqdm(total=ROUNDS * len(contenders), disable=None, leave=False, bar_format="{desc} |{bar}| {elapsed}") as bar:
        turns = itertools.count()

        def step(contender: Contender) -> None:
            bar.n = next(turns)
            bar.set_description_str(f"Measuring {names[contender]}")

        yield step


def show(comparison: BenchResult, texts: str, setting: str) -> None:
    """Print the tables, with a word on what the numbers mean.

    Args:
        comparison: with one model or more.
        texts: what they were measured on.
        setting: arithmetic, threads and instruction set.
    """
    from rich.console import Console
    from rich.markup import escape

    console = Console()
    names = labels([one.contender for one in comparison.figures])
    console.print(f"{escape(texts)}\n{setting}\n", highlight=False)
    _print_figures(console, names, [_rows(one, comparison.texts) for one in comparison.figures])
    console.print(
        f"[dim]Medians of {ROUNDS} rounds, each in a new process: loading, {QUERIES} queries, all texts. "
        f"Memory is the most it held beyond a bare Python.[/dim]",
        highlight=False,
    )
    for name, one in zip(names, comparison.figures, strict=True):
        if (spread := max(one.texts_seconds) / min(one.texts_seconds)) > _UNSTEADY:
            console.print(
                f"[yellow]The slowest round of {escape(name)} took {spread:.1f} times the fastest: "
                f"something else may keep this machine busy.[/yellow]",
                highlight=False,
            )
    if comparison.agreement is None:
        return
    near = comparison.neighbours
    console.print(f"\n[bold]agreement on the {near} nearest texts[/bold]", highlight=False)
    _print_agreement(console, names, comparison.agreement)
    console.print(
        f"\n[dim]How many of the {near} texts nearest to a text in one model are among the {near} nearest in the other "
        f"too, on average; by chance it would be {comparison.chance:.1%}. It says how alike the models see these "
        f"texts, not which is right.[/dim]",
        highlight=False,
    )


def _print_figures(console: Console, names: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    """As many models to a table as the terminal has room for, and as evenly as can be."""
    from rich.markup import escape

    first = max(map(len, rows[0]))
    tables = math.ceil(len(rows) / max(1, (console.width - first) // (_NARROWEST + _GAP)))
    each = math.ceil(len(rows) / tables)
    for start in range(0, len(rows), each):
        some = rows[start : start + each]
        table = _table()
        table.add_column("", no_wrap=True)
        for name in names[start : start + each]:
            heading = broken(name, (console.width - first) // each - _GAP)
            table.add_column(escape(heading), justify="right", overflow="fold")
        for key in rows[0]:
            table.add_row(key, *(of_model[key] for of_model in some))
        console.print(table)
        console.print()


def _print_agreement(console: Console, names: Sequence[str], agreement: Float64) -> None:
    """The columns are numbered as the rows are; as many to a table as there is room for."""
    from rich.markup import escape

    number, cell = len(str(len(names))) + _GAP, len("100.0%") + _GAP
    each = min(len(names), max(1, (console.width - number - _NARROWEST - _GAP) // cell))
    room = max(_NARROWEST, console.width - number - each * cell - _GAP)
    for start in range(0, len(names), each):
        table = _table()
        table.add_column("#", justify="right", style="bold")
        table.add_column("")
        for column in range(start, min(start + each, len(names))):
            table.add_column(str(column + 1), justify="right", no_wrap=True)
        for row, (name, values) in enumerate(zip(names, agreement[:, start : start + each].tolist(), strict=True)):
            shown = name if len(name) <= room else broken(name, room)
            table.add_row(str(row + 1), escape(shown), *(f"{value:.1%}" for value in values))
        console.print(table)


def _table() -> Table:
    from rich.table import Table

    return Table(box=None, header_style="bold", pad_edge=False, padding=(0, _GAP, 0, 0))


def broken(name: str, width: int) -> str:
    """A model's name on lines of at most ``width``, broken where it has a separator, and always before its dtype.

    >>> broken("paraphrase-multilingual-MiniLM-L12-v2 int8", 16).splitlines()
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


def _rows(figures: ModelMeasurement, texts: int) -> dict[str, str]:
    """What there is to say of one model, in the order of the table."""
    return {
        "dimensions": f"{figures.dimensions:,}",
        "max tokens": f"{figures.max_tokens:,}",
        "texts cut": f"{figures.texts_cut:,}",
        "parameters": f"{figures.parameters / 1e6:,.1f} M",
        "on disk": f"{figures.disk_bytes / 1e6:,.1f} MB",
        "memory": f"{figures.memory / 1e6:,.1f} MB",
        "loading": f"{figures.loading:.2f} s",
        "one query": f"{1e3 * figures.query:.2f} ms",
        "texts/s": f"{texts / figures.embedding:,.0f}",
        "tokens/s": f"{figures.tokens / figures.embedding:,.0f}",
    }
