"""``pellucid batch``: tables of texts to tables with vectors, scores or labels, in jobs that survive interruptions."""

from __future__ import annotations

import dataclasses
import json as json_module
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.cli import options
from pellucid.cli.commands import PARTLY_DONE
from pellucid.cli.interruption import when_interrupted
from pellucid.cli.terminal import say, tell
from pellucid.errors import OptionError, either, plural, printable

if TYPE_CHECKING:
    from pellucid.batch.options import JobOptions
    from pellucid.batch.runner import Progress, Report
    from pellucid.task import Task

_EMBEDDING_TASKS = ("embed", "sparse", "multi-vector")
_TASKS_OF: dict[str, tuple[str, ...]] = {
    "vector_column": ("embed", "multi-vector"),
    "output_dtype": ("embed",),
    "normalize": ("embed",),
    "truncate_dim": ("embed",),
    "indices_column": ("sparse",),
    "values_column": ("sparse",),
    "max_active_dims": ("sparse",),
    "cache": _EMBEDDING_TASKS,
    "query_column": ("rerank",),
    "score_column": ("rerank",),
    "second_column": ("classify",),
    "label_column": ("classify",),
    "probability_column": ("classify",),
}
"""The options that only some tasks have, and which tasks these are."""


def batch(
    inputs: Annotated[
        list[str], typer.Argument(help="Files, folders or patterns to read: .parquet, .jsonl, .csv, .txt.")
    ],
    out: Annotated[Path, typer.Option("--output", "-o", help="Folder of the job, for its output files.")],
    task: options.BatchTaskOption = "embed",
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help=f"{options.MODEL_HELP} Default: {options.DEFAULT_MODEL}, or {options.DEFAULT_RERANKER} to rerank.",
        ),
    ] = None,
    column: options.ColumnOption = options.TEXT_COLUMN,
    query_column: Annotated[
        str | None, typer.Option(help="Column with the queries, to rerank. Default: query.")
    ] = None,
    second_column: options.SecondColumnOption = None,
    vector_column: Annotated[
        str | None, typer.Option(help="Column for the vectors. Default: vector; with multi-vector, vectors.")
    ] = None,
    indices_column: Annotated[
        str | None, typer.Option(help="Column for the places of the numbers in sparse vectors. Default: indices.")
    ] = None,
    values_column: Annotated[
        str | None, typer.Option(help="Column for the numbers in sparse vectors. Default: values.")
    ] = None,
    score_column: Annotated[str | None, typer.Option(help="Column for the scores, to rerank. Default: score.")] = None,
    label_column: Annotated[
        str | None, typer.Option(help="Column for the labels, to classify. Default: label.")
    ] = None,
    probability_column: Annotated[
        str | None, typer.Option(help="Column for the labels' probabilities, to classify. Default: probability.")
    ] = None,
    output_dtype: options.BatchDtypeOption = "float32",
    prompt: options.PromptOption = None,
    prompt_name: options.PromptNameOption = None,
    normalize: options.NormalizeOption = None,
    truncate_dim: options.TruncateDimOption = None,
    max_active_dims: options.MaxActiveDimsOption = None,
    on_truncation: options.RowTruncationOption = "warn",
    rows_per_file: Annotated[
        int | None,
        typer.Option(
            help="Rows in each output file. An interruption loses only unfinished files. Default: 16384; with "
            "multi-vector, 1024."
        ),
    ] = None,
    dtype: options.DtypeOption = "float32",
    device: options.DeviceOption = "cpu",
    cache: options.CacheOption = None,
    engine: options.BatchEngineOption = "local",
    address: Annotated[
        str | None, typer.Option(help="Address of the Ray cluster. Default: a new one on this machine.")
    ] = None,
    actors: Annotated[int | None, typer.Option(help="Number of Ray actors. Default: as many as fit.")] = None,
    cpus_per_actor: Annotated[
        float | None, typer.Option(help="CPU cores of each Ray actor; with 0.5, two share a core. Default: 1.")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(help="Number of threads, in each Ray actor if there are any. Default: all available CPU cores."),
    ] = None,
    json: options.ReportJsonOption = False,
    revision: options.RevisionOption = None,
    cache_folder: options.CacheFolderOption = None,
    local_files_only: options.LocalFilesOnlyOption = False,
) -> None:
    """Embed, rerank or classify tables of any size.

    The output is a folder of Parquet files with all columns of the input, and the vectors, scores or labels. Memory use
    is bounded. After an interruption, run the same command again: it does what is left.
    """
    if prompt is not None and prompt_name is not None:
        raise OptionError("give --prompt or --prompt-name, not both.")
    if engine == "local" and (address is not None or actors is not None or cpus_per_actor is not None):
        raise OptionError("--address, --actors and --cpus-per-actor need --engine ray.")
    if engine == "ray" and cache is not None:
        raise OptionError("--cache is a file on this machine, so it does not work with --engine ray.")
    if engine == "ray" and revision is not None:
        raise OptionError("--revision does not work with --engine ray: its nodes load the main revision.")
    of_task = _options_of(
        task,
        vector_column=vector_column,
        output_dtype=None if output_dtype == "float32" else output_dtype,
        normalize=normalize,
        truncate_dim=truncate_dim,
        indices_column=indices_column,
        values_column=values_column,
        max_active_dims=max_active_dims,
        cache=cache,
        query_column=query_column,
        score_column=score_column,
        second_column=second_column,
        label_column=label_column,
        probability_column=probability_column,
    )
    if task in ("classify", "sparse", "multi-vector") and model is None:
        raise OptionError(f"--task {task} needs a model: -m MODEL.")
    from pellucid.batch import runner

    is_local = engine == "local"
    how: dict[str, Any] = {
        "dtype": dtype,
        # With a cluster, this machine only hands out the work. It needs the actors' engine, but not their GPU.
        "engine": "auto" if is_local or device == "cpu" else "torch",
        "device": device if is_local else "cpu",
        "threads": threads if is_local else None,
        "revision": revision,
        "cache_folder": cache_folder,
        "local_files_only": local_files_only,
        "on_truncation": "cut",
    }
    if task in _EMBEDDING_TASKS:
        how["cache"] = of_task.pop("cache", None)
    if rows_per_file is not None:
        of_task["rows_per_file"] = rows_per_file
    loaded, make_options = _load(task, model, how)
    job_options = make_options(
        text_column=column,
        prompt=prompt if prompt is not None else loaded.prompt_named(prompt_name),
        on_truncation="reject" if on_truncation == "error" else "cut",
        **of_task,
    )
    cluster: runner.Executor | None = None
    if engine == "ray":
        from pellucid.batch.ray import Cluster

        cpus = 1.0 if cpus_per_actor is None else cpus_per_actor
        cluster = Cluster(address=address, actors=actors, cpus=cpus, device=device, threads=threads)
    with when_interrupted(lambda: _what_is_kept(out)), _progress_bars(loaded.progress_name) as (on_bytes, on_progress):
        report = runner.run(
            inputs, out, loaded, job_options, executor=cluster, on_progress=on_progress, on_survey=on_bytes
        )
    unit = "pair" if job_options.more_columns else "text"
    if json:
        typer.echo(json_module.dumps({"folder": str(out), **dataclasses.asdict(report)}))
    else:
        _print_report(report, out, unit)
    if report.cut and on_truncation == "warn":
        say(f"{plural(report.cut, unit)} too long: {plural(report.lost, 'token')} cut off")
    if report.rejected:
        rejected = printable(out / "_rejected")
        say(f"{plural(report.rejected, 'row')} rejected: {rejected} says which and why")
        raise typer.Exit(PARTLY_DONE)


def _options_of(task: str, **values: Any) -> dict[str, Any]:
    """Those of the options that are given, which are not None. An option of another task is refused."""
    given = {name: value for name, value in values.items() if value is not None}
    for name in given:
        if task not in (tasks := _TASKS_OF[name]):
            raise OptionError(f"--{name.replace('_', '-')} needs --task {either(tasks)}.")
    return given


def _load(task: str, model: str | None, how: Mapping[str, Any]) -> tuple[Task, Callable[..., JobOptions[Any]]]:
    """Load the model of a task. Returns it, and what makes the job's options.

    Args:
        task: the task.
        model: the model's name; None for the default.
        how: the options of the model.
    """
    if task == "embed":
        from pellucid.batch.embedding import EmbedOptions
        from pellucid.embedder import Embedder

        return Embedder(model or options.DEFAULT_MODEL, **how), EmbedOptions
    if task == "sparse":
        from pellucid.batch.sparse import SparseOptions
        from pellucid.sparse_embedder import SparseEmbedder

        return SparseEmbedder(model or "", **how), SparseOptions
    if task == "multi-vector":
        from pellucid.batch.multi_vector import MultiVectorOptions
        from pellucid.multi_vector_embedder import MultiVectorEmbedder

        return MultiVectorEmbedder(model or "", **how), MultiVectorOptions
    if task == "rerank":
        from pellucid.batch.scoring import RerankOptions
        from pellucid.reranker import Reranker

        return Reranker(model or options.DEFAULT_RERANKER, **how), RerankOptions
    from pellucid.batch.scoring import ClassifyOptions
    from pellucid.classifier import Classifier

    return Classifier(model or "", **how), ClassifyOptions


def _what_is_kept(out: Path) -> str:
    count = len(list(out.glob("*.parquet")))
    kept = (
        f"{plural(count, 'file')} in {printable(out)} {'is' if count == 1 else 'are'} whole, and kept. "
        if count
        else ""
    )
    return f"{kept}Run the same command again: it goes on where it stopped."


@contextmanager
def _progress_bars(what: str) -> Iterator[tuple[Callable[[int], object], Callable[[Progress], None]]]:
    """Show progress on standard error if it is a terminal.

    Gives two callbacks: for the number of bytes that the survey has just read, and for the progress of the job, which
    does ``what``.
    """
    from pellucid.files.progress import progress_bar

    with ExitStack() as stack:
        survey_bar = stack.enter_context(
            progress_bar(desc="Surveying the input", unit="B", unit_scale=True, delay=1, leave=False)
        )
        rows_bar: Any = None

        def on_progress(progress: Progress) -> None:
            nonlocal rows_bar
            if rows_bar is None:
                survey_bar.close()
                # Rows from earlier runs count as done, but not for the speed.
                rows_bar = stack.enter_context(
                    progress_bar(
                        desc=what,
                        unit=" rows",
                        initial=progress.rows,
                        total=progress.total,
                        leave=False,
                    )
                )
            if seconds := rows_bar.format_dict["elapsed"]:
                rows_bar.set_postfix_str(f"{progress.tokens / seconds:,.0f} tokens/s", refresh=False)
            rows_bar.update(progress.rows - rows_bar.n)

        yield survey_bar.update, on_progress


def _print_report(report: Report, out: Path, unit: str) -> None:
    earlier = f" ({report.parts_before:,} from earlier runs)" if report.parts_before else ""
    speed = f", {report.tokens / report.seconds:,.0f} tokens/s" if report.tokens else ""
    summary = (
        f"{plural(report.rows, 'row')} in {plural(report.parts, 'file')}{earlier} in {printable(out)}; "
        f"this run: {plural(report.texts, unit)} in {report.seconds:,.1f} s{speed}"
    )
    tell(summary)
