"""``pellucid models compare``: models beside each other, in figures of this machine and of one's own texts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.cli import vectors as output
from pellucid.cli.embed import Dtype, read_lines
from pellucid.errors import OptionError
from pellucid.measuring.texts import ORIGIN, paragraphs, sha256

if TYPE_CHECKING:
    from pellucid.measuring.rounds import BenchOptions, BenchResult


def compare(
    models: Annotated[list[str], typer.Argument(help="Hub names, short names or folders.")],
    texts: Annotated[Path | None, typer.Option(help="One text a line; '-' for stdin. Default: docstrings.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Use at most so many texts, the first.")] = 1000,
    dtype: Annotated[list[Dtype] | None, typer.Option(help="Arithmetic; may be repeated.  [default: float32]")] = None,
    threads: Annotated[int | None, typer.Option(help="How many threads to work with.")] = None,
    neighbours: Annotated[int, typer.Option(min=1, help="How many nearest texts to compare.")] = 10,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures to this .json file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw them, as .png or .svg.")] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of the Hub's copies.")] = None,
    cache_folder: Annotated[Path | None, typer.Option(help="Where models are kept.")] = None,
    local_files_only: Annotated[bool, typer.Option("--local-files-only", help="Never use the network.")] = False,
) -> None:
    """Compare models here: size, speed, memory, agreement.

    How far two agree is how many of the nearest texts of each text they have in common.
    """
    if json_file is not None:
        output.checked_ending(json_file, (".json",), option="--json")
    if plot is not None:
        from pellucid.measuring import plot as plots

        output.checked_ending(plot, plots.ENDINGS, option="--plot")
        plots.require()
    chosen, whole = _choose(texts, limit)
    origin = ORIGIN if texts is None else "standard input" if str(texts) == "-" else texts.name
    described = f"{'all' if whole else 'the first'} {len(chosen):,} different texts of {origin}"

    from pellucid.cli import comparison_table as figures
    from pellucid.measuring.machine import describe
    from pellucid.measuring.rounds import BenchOptions, Contender
    from pellucid.measuring.rounds import compare as measure

    machine = describe()
    options = BenchOptions(threads, revision, None if cache_folder is None else str(cache_folder), local_files_only)
    contenders = [Contender(model, one.value) for model in models for one in dtype or [Dtype.float32]]
    with figures.progress(contenders) as step:
        comparison = measure(contenders, chosen, options, neighbours=neighbours, step=step)
    if comparison.figures:
        arithmetic = ", ".join(dict.fromkeys(one.dtype for one in contenders))
        setting = f"{arithmetic}; {threads or machine['usable_processors']} threads, {machine['instruction_set']}"
        figures.show(comparison, described, setting)
        if json_file is not None:
            with output.in_one_step(json_file, option="--json") as path:
                path.write_text(json.dumps(_as_json(comparison, chosen, origin, options, machine), indent=1) + "\n")
        if plot is not None:
            with output.in_one_step(plot, option="--plot") as path:
                plots.draw(comparison, path, f"{described}; {setting}, {machine['processor']}")
        for file in (json_file, plot):
            if file is not None:
                typer.echo(f"wrote {file}", err=True)
    for contender, why in comparison.failures.items():
        which = f"{contender.model} in {contender.dtype}" if dtype and len(dtype) > 1 else contender.model
        typer.echo(f"pellucid: {which} was not measured: {why}", err=True)
    if comparison.failures:
        raise typer.Exit(1)


def _choose(file: Path | None, limit: int) -> tuple[list[str], bool]:
    """The first different texts that are not blank, and whether that is all there are.

    A text that is there twice would find its copy in every model, and so would say nothing about any.
    """
    if file is not None and str(file) != "-" and not file.is_file():
        raise OptionError(f"--texts: {file} is not a file.")
    found: dict[str, None] = {}
    for text in _source(file):
        if text.strip() and text not in found:
            if len(found) == limit:
                return list(found), False
            found[text] = None
    if not found:
        raise OptionError(f"--texts: there is no text in {file}.")
    return list(found), True


def _source(file: Path | None) -> Iterator[str]:
    return iter(paragraphs()) if file is None else read_lines(None if str(file) == "-" else file)


def _as_json(
    comparison: BenchResult, texts: list[str], origin: str, options: BenchOptions, machine: dict[str, Any]
) -> dict[str, Any]:
    """Everything that was measured, raw, and what says that two results are of the same texts; not the texts."""
    matrix = comparison.agreement
    figures = [asdict(one) for one in comparison.figures]
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "threads": options.threads or machine["usable_processors"],
        "texts": {"count": len(texts), "of": origin, "sha256": sha256(texts)},
        "models": [{**one.pop("contender"), **one} for one in figures],
        "neighbours": comparison.neighbours,
        "agreement": None if matrix is None else matrix.tolist(),
        "failures": [{**asdict(contender), "why": why} for contender, why in comparison.failures.items()],
    }
