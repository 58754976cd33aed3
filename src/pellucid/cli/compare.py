"""``pellucid models compare``: several models side by side, measured on this machine and on the user's own texts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.cli import options
from pellucid.cli.terminal import plural
from pellucid.cli.texts import read_texts
from pellucid.cli.vectors import check_ending, open_output
from pellucid.errors import OptionError

if TYPE_CHECKING:
    from pellucid.measuring.rounds import BenchOptions, BenchResult


def compare(
    models: Annotated[list[str], typer.Argument(help="Hub names, short names or folders of the models.")],
    texts: Annotated[
        Path | None,
        typer.Option(help="File with one text per line; - for standard input. Default: Python's own docstrings."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Use only the first N texts.")] = 1000,
    dtype: options.CompareDtypesOption = None,
    threads: options.ThreadsOption = None,
    neighbours: Annotated[int, typer.Option(min=1, help="Number of nearest texts to compare.")] = 10,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all measurements to this .json file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the measurements in this .png or .svg file.")] = None,
    revision: options.RevisionOption = None,
    cache_folder: options.CacheFolderOption = None,
    local_files_only: options.LocalFilesOnlyOption = False,
) -> None:
    """Compare models side by side.

    One table shows each model's size, and its speed and memory on this machine and your own texts. Another shows how
    far the models agree: which share of a text's nearest texts two models have in common.
    """
    if json_file is not None:
        check_ending(json_file, (".json",), option="--json")
    if plot is not None:
        from pellucid.measuring import plot as plotting

        check_ending(plot, plotting.ENDINGS, option="--plot")
        plotting.require_matplotlib()
    chosen, are_all = _choose_texts(texts, limit)

    from pellucid.cli.comparison_table import print_comparison, progress_bar
    from pellucid.measuring.machine import describe
    from pellucid.measuring.rounds import BenchOptions, Contender
    from pellucid.measuring.rounds import compare as measure
    from pellucid.measuring.texts import ORIGIN

    origin = ORIGIN if texts is None else "standard input" if str(texts) == "-" else texts.name
    description = f"{'all' if are_all else 'the first'} {len(chosen):,} different texts of {origin}"
    machine = describe()
    cache = None if cache_folder is None else str(cache_folder)
    bench_options = BenchOptions(threads, revision, cache, local_files_only)
    contenders = [Contender(model, name) for model in models for name in dtype or ["float32"]]
    with progress_bar(contenders) as on_turn:
        result = measure(contenders, chosen, bench_options, neighbours=neighbours, on_turn=on_turn)
    if result.measurements:
        dtypes = ", ".join(dict.fromkeys(contender.dtype for contender in contenders))
        thread_count = plural(threads or machine["usable_processors"], "thread")
        setting = f"{dtypes}; {thread_count}, {machine['instruction_set']}"
        print_comparison(result, description, setting)
        if json_file is not None:
            with open_output(json_file, option="--json") as path:
                path.write_text(json.dumps(_to_json(result, chosen, origin, bench_options, machine), indent=1) + "\n")
        if plot is not None:
            with open_output(plot, option="--plot") as path:
                plotting.draw(result, path, f"{description}; {setting}, {machine['processor']}")
        for file in (json_file, plot):
            if file is not None:
                typer.echo(f"wrote {file}", err=True)
    for contender, reason in result.failures.items():
        name = f"{contender.model} in {contender.dtype}" if dtype and len(dtype) > 1 else contender.model
        typer.echo(f"pellucid: {name} was not measured: {reason}", err=True)
    if result.failures:
        raise typer.Exit(1)


def _choose_texts(file: Path | None, limit: int) -> tuple[list[str], bool]:
    """Choose the first texts that are neither blank nor repeated.

    Repeated texts are left out: every model would find the copy nearest, which says nothing about the model.

    Returns:
        The texts, and True if there are no others.
    """
    if file is not None and str(file) != "-" and not file.is_file():
        raise OptionError(f"--texts: {file} is not a file.")
    chosen: dict[str, None] = {}
    for text in _read_texts(file):
        if text.strip() and text not in chosen:
            if len(chosen) == limit:
                return list(chosen), False
            chosen[text] = None
    if not chosen:
        raise OptionError(f"--texts: there is no text in {file}.")
    return list(chosen), True


def _read_texts(file: Path | None) -> Iterator[str]:
    from pellucid.measuring.texts import paragraphs

    return iter(paragraphs()) if file is None else read_texts(file)


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
