"""``pellucid models compare``: several models side by side, measured on this machine and on the user's own texts."""

from __future__ import annotations

import json as json_module
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.cli import commands, options
from pellucid.cli.commands import PARTLY_DONE
from pellucid.cli.interruption import when_interrupted
from pellucid.cli.older_spellings import json_file_to_output
from pellucid.cli.output_files import check_ending, open_output
from pellucid.cli.terminal import say
from pellucid.cli.texts import read_texts
from pellucid.errors import OptionError, plural, printable

if TYPE_CHECKING:
    from pellucid.measuring.rounds import BenchOptions, BenchResult

_PICTURES = (".png", ".svg")
_ENDINGS = (".json", *_PICTURES)


def compare(
    models: Annotated[list[str], typer.Argument(help="Hub names, short names or folders of the models.")],
    file: options.FileOption = None,
    column: options.ColumnOption = options.TEXT_COLUMN,
    limit: Annotated[int, typer.Option(min=1, help="Use only the first N texts.")] = 1000,
    dtype: options.CompareDtypesOption = None,
    threads: options.ThreadsOption = None,
    neighbours: Annotated[int, typer.Option(min=1, help="Number of nearest texts to compare.")] = 10,
    outputs: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            help="Write all measurements (.json) or a picture (.png, .svg). Repeat for more than one file.",
        ),
    ] = None,
    json: options.ReportJsonOption = False,
    revision: options.RevisionOption = None,
    cache_folder: options.CacheFolderOption = None,
    local_files_only: options.LocalFilesOnlyOption = False,
) -> None:
    """Compare models side by side.

    One table shows each model's size, and its speed and memory on this machine and your own texts. Another shows how
    far the models agree: which share of a text's nearest texts two models have in common. Without --file, the texts are
    the docstrings of Python's builtins.
    """
    endings = {out: check_ending(out, _ENDINGS) for out in outputs or ()}
    if any(ending in _PICTURES for ending in endings.values()):
        from pellucid.measuring import plot

        plot.require_matplotlib()
    chosen, are_all = _choose_texts(file, column, limit)

    from pellucid.cli.comparison_table import print_comparison, progress_bar
    from pellucid.measuring.machine import describe
    from pellucid.measuring.rounds import BenchOptions, Contender
    from pellucid.measuring.rounds import compare as measure
    from pellucid.measuring.texts import ORIGIN

    origin = ORIGIN if file is None else "standard input" if str(file) == "-" else file.name
    quantifier = "all" if are_all else "the first"
    description = (
        f"{quantifier} {len(chosen):,} different texts of {origin}" if len(chosen) > 1 else f"1 text of {origin}"
    )
    machine = describe()
    cache = None if cache_folder is None else str(cache_folder)
    bench_options = BenchOptions(threads, revision, cache, local_files_only)
    contenders = [Contender(model, name) for model in models for name in dtype or ["float32"]]
    with when_interrupted(lambda: "Nothing was written."), progress_bar(contenders) as on_turn:
        result = measure(contenders, chosen, bench_options, neighbours=neighbours, on_turn=on_turn)
    if result.measurements:
        dtypes = ", ".join(dict.fromkeys(contender.dtype for contender in contenders))
        thread_count = plural(threads or machine["usable_processors"], "thread")
        setting = f"{dtypes}; {thread_count}, {machine['instruction_set']}"
        report = json_module.dumps(_to_json(result, chosen, origin, bench_options, machine), indent=1)
        if json:
            typer.echo(report)
        else:
            print_comparison(result, description, setting)
        for out, ending in endings.items():
            with open_output(out) as path:
                if ending in _PICTURES:
                    plot.draw(result, path, f"{description}; {setting}, {machine['processor']}")
                else:
                    path.write_text(f"{report}\n", encoding="utf-8")
            say(f"Wrote {printable(out)}.")
    for contender, reason in result.failures.items():
        name = f"{contender.model} in {contender.dtype}" if dtype and len(dtype) > 1 else contender.model
        say(f"pellucid: {name} was not measured: {reason}")
    if result.failures:
        raise typer.Exit(PARTLY_DONE if result.measurements else 1)


class CompareCommand(commands.Command):
    """``models compare``, whose older ``--json FILE`` is ``--output FILE`` today."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments."""
        return super().parse_args(ctx, json_file_to_output(args))


def _choose_texts(file: Path | None, column: str, limit: int) -> tuple[list[str], bool]:
    """Choose the first texts that are neither blank nor repeated.

    Repeated texts are left out: every model would find the copy nearest, which says nothing about the model.

    Returns:
        The texts, and True if there are no others.
    """
    from pellucid.measuring.texts import paragraphs

    if file is None and column != options.TEXT_COLUMN:
        raise OptionError("--column needs --file.")
    chosen: dict[str, None] = {}
    for text in paragraphs() if file is None else read_texts(file, column):
        if text.strip() and text not in chosen:
            if len(chosen) == limit:
                return list(chosen), False
            chosen[text] = None
    if not chosen:
        raise OptionError(f"there is no text in {'standard input' if str(file) == '-' else printable(str(file))}.")
    return list(chosen), True


def _to_json(
    result: BenchResult, texts: list[str], origin: str, bench_options: BenchOptions, machine: dict[str, Any]
) -> dict[str, Any]:
    """All measurements, unrounded. Not the texts, but a digest that shows if two results are of the same texts."""
    from datetime import UTC, datetime

    from pellucid.measuring.texts import sha256

    matrix = result.agreement
    measurements = [asdict(measurement) for measurement in result.measurements]
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "threads": bench_options.threads or machine["usable_processors"],
        "texts": {"count": len(texts), "of": origin, "sha256": sha256(texts)},
        "models": [{**measurement.pop("contender"), **measurement} for measurement in measurements],
        "neighbours": result.neighbours,
        "agreement": None if matrix is None else matrix.tolist(),
        "failures": [{**asdict(contender), "why": reason} for contender, reason in result.failures.items()],
    }
