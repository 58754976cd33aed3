"""``pellucid batch``: tables of texts to tables of vectors, gone on with after any death."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pellucid.cli.embed import DEFAULT_MODEL, DEVICE_HELP, DTYPE_HELP, AnyDtype
from pellucid.errors import OptionError, printable

if TYPE_CHECKING:
    from pellucid.batch.runner import Progress, Report


class Stored(StrEnum):
    """The types of ``--output-dtype``."""

    float32 = "float32"
    float16 = "float16"
    int8 = "int8"
    binary = "binary"
    ubinary = "ubinary"


class OnTruncation(StrEnum):
    """What to do with a text that is too long."""

    cut = "cut"
    reject = "reject"


class EngineName(StrEnum):
    """Who does the work."""

    local = "local"
    ray = "ray"


def batch(
    inputs: Annotated[list[str], typer.Argument(help="Files, folders or patterns: .parquet, .jsonl, .csv, .txt.")],
    out: Annotated[Path, typer.Option("--output", "-o", help="The folder of the job.")],
    model: Annotated[str, typer.Option("--model", "-m", help="Hub name, short name or folder.")] = DEFAULT_MODEL,
    text_column: Annotated[str, typer.Option(help="Where the texts are.")] = "text",
    vector_column: Annotated[str, typer.Option(help="Where their vectors go.")] = "vector",
    output_dtype: Annotated[Stored, typer.Option(help="Type of the numbers.")] = Stored.float32,
    prompt: Annotated[str | None, typer.Option(help="Put this before each text.")] = None,
    prompt_name: Annotated[str | None, typer.Option(help="Put this prompt of the model before each text.")] = None,
    normalize: Annotated[bool | None, typer.Option(help="To unit length, or not; default: as the model says.")] = None,
    truncate_dim: Annotated[int | None, typer.Option(help="Keep only so many dimensions.")] = None,
    on_truncation: Annotated[OnTruncation, typer.Option(help="Texts that are too long.")] = OnTruncation.cut,
    rows_per_file: Annotated[int, typer.Option(help="Rows of an output file: what a death may cost.")] = 16_384,
    dtype: Annotated[AnyDtype, typer.Option(help=DTYPE_HELP)] = AnyDtype.float32,
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "cpu",
    cache: Annotated[Path | None, typer.Option(help="A file of vectors to look in, and to keep them in.")] = None,
    engine: Annotated[EngineName, typer.Option(help="This process, or a cluster of Ray.")] = EngineName.local,
    address: Annotated[str | None, typer.Option(help="Of the Ray cluster; default: one on this machine.")] = None,
    actors: Annotated[int | None, typer.Option(help="How many Ray actors; default: as many as have room.")] = None,
    cpus_per_actor: Annotated[
        float | None, typer.Option(help="Cores of an actor; a fraction shares one. Default: 1.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="How many threads to work with.")] = None,
    cache_folder: Annotated[Path | None, typer.Option(help="Where models are kept.")] = None,
    local_files_only: Annotated[bool, typer.Option("--local-files-only", help="Never use the network.")] = False,
) -> None:
    """Embed whole tables, in bounded memory; run again, it goes on.

    The output is a folder of Parquet files: every row with its vector. Run again after any death, the same command does
    what is left.
    """
    if prompt is not None and prompt_name is not None:
        raise OptionError("give --prompt or --prompt-name, not both.")
    if engine is EngineName.local and (address is not None or actors is not None or cpus_per_actor is not None):
        raise OptionError("--address, --actors and --cpus-per-actor are for --engine ray.")
    if engine is EngineName.ray and cache is not None:
        raise OptionError("--cache is a file of this machine, and not for --engine ray.")
    from pellucid.batch import runner as job
    from pellucid.batch.parts import JobOptions
    from pellucid.embedder import Embedder

    here = engine is EngineName.local
    embedder = Embedder(
        model,
        dtype=dtype.value,
        # Of a cluster, the machine that hands out the work needs no GPU, but the same engine.
        engine="auto" if here or device == "cpu" else "torch",
        device=device if here else "cpu",
        threads=threads if here else None,
        cache=cache,
        cache_folder=cache_folder,
        local_files_only=local_files_only,
        on_truncation="ignore",
    )
    options = JobOptions(
        text_column=text_column,
        vector_column=vector_column,
        prompt=prompt if prompt is not None else embedder.prompt_named(prompt_name),
        normalize=normalize,
        truncate_dim=truncate_dim,
        output_dtype=output_dtype.value,
        on_truncation=on_truncation.value,
        rows_per_file=rows_per_file,
    )
    others: job.Executor | None = None
    if engine is EngineName.ray:
        from pellucid.batch.ray import Cluster

        cpus = 1.0 if cpus_per_actor is None else cpus_per_actor
        others = Cluster(address=address, actors=actors, cpus=cpus, device=device, threads=threads)
    with _bars() as (surveyed, told):
        report = job.run(inputs, out, embedder, options, engine=others, progress=told, surveyed=surveyed)
    _tell(report, out)


@contextmanager
def _bars() -> Iterator[tuple[Callable[[int], object], Callable[[Progress], None]]]:
    """What hears of the survey's bytes and of the rows done, and draws it on standard error, if that is a terminal."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    with ExitStack() as stack:
        survey = stack.enter_context(
            tqdm(desc="Looking at the input", unit="B", unit_scale=True, disable=None, delay=1, leave=False)
        )
        rows: list[tqdm] = []

        def told(progress: Progress) -> None:
            if not rows:
                survey.close()
                # What earlier runs did counts as done, and not as speed.
                bar = tqdm(desc="Embedding", unit=" rows", initial=progress.rows, total=progress.total, disable=None)
                rows.append(stack.enter_context(bar))
            (bar,) = rows
            if seconds := bar.format_dict["elapsed"]:
                bar.set_postfix_str(f"{progress.tokens / seconds:,.0f} tokens/s", refresh=False)
            bar.update(progress.rows - bar.n)

        yield survey.update, told


def _tell(report: Report, out: Path) -> None:
    speed = f", {report.tokens / report.seconds:,.0f} tokens/s" if report.tokens else ""
    folder = printable(out)
    before = f" ({report.parts_before:,} from before)" if report.parts_before else ""
    typer.echo(
        f"{report.rows:,} rows in {report.parts:,} files{before} in {folder}; this run: {report.texts:,} texts in "
        f"{report.seconds:,.1f} s{speed}"
    )
    if report.cut:
        typer.echo(f"{report.cut:,} texts were too long; {report.lost:,} tokens of them were cut off", err=True)
    if report.rejected:
        typer.echo(
            f"{report.rejected:,} rows were rejected; {printable(out / '_rejected')} says which and why", err=True
        )
