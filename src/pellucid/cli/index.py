"""``pellucid index``: makes an index of the user's own files, or brings it up to date."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pellucid.cli import options
from pellucid.cli.interruption import when_interrupted
from pellucid.cli.terminal import from_here, say
from pellucid.errors import OptionError, plural, printable

if TYPE_CHECKING:
    from pellucid.files.walk import SkippedFile
    from pellucid.search.store import Store
    from pellucid.search.update import Progress, Summary

DEFAULT_INDEX = Path(".pellucid-index")
_MAX_LISTED_SKIPS = 10
_SECONDS_PER_REFRESH = 0.2
_BAR = "{percentage:3.0f}%|{bar:20}| {desc}, {remaining} left"


def index(
    context: typer.Context,
    folders: Annotated[list[Path], typer.Argument(help="Files and folders to read.")],
    folder: options.IndexOption = DEFAULT_INDEX,
    task: options.IndexTaskOption = "dense",
    model: options.ModelOption = options.DEFAULT_MODEL,
    dtype: options.IndexDtypeOption = "float32",
    column: options.ColumnOption = options.TEXT_COLUMN,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Build the index from scratch, even if there is one.")
    ] = False,
    forget: Annotated[
        bool,
        typer.Option("--forget", help="Take these files and folders out of the index. They need not exist any more."),
    ] = False,
    cache_folder: options.CacheFolderOption = None,
    local_files_only: options.LocalFilesOnlyOption = False,
    threads: options.ThreadsOption = None,
) -> None:
    """Build or update an index of your files.

    When you run it again, it embeds only what is new or changed, and drops files that are gone from the folders that
    you name. Files from other folders stay. You can stop it with Ctrl-C: the next run goes on where it was.
    """
    # LanceDB warns about matters that are not the user's, for example about many equal texts.
    os.environ.setdefault("LANCEDB_LOG", "error")
    if forget:
        for name in ("task", "model", "dtype", "column", "rebuild"):
            source = context.get_parameter_source(name)
            if source is not None and source.name == "COMMANDLINE":
                raise OptionError(f"--forget cannot be used with --{name}.")
        typer.echo(_forget(folders, folder))
        return
    options.check_model_of_task(task, model)
    _note_index_above(context, folder)
    with _progress() as show:
        from pellucid.search.index import Index
        from pellucid.search.vector_kinds import KINDS_BY_NAME

        how = {"dtype": dtype, "threads": threads, "cache_folder": cache_folder, "local_files_only": local_files_only}
        embedder = KINDS_BY_NAME[task].load(model, {}, on_truncation="cut", **how).embedder
        file_index = Index.create(folder, embedder, column=column, rebuild=rebuild)
        with when_interrupted(lambda: _describe_stop(file_index.store)):
            summary = file_index.update(folders, on_progress=show)
    typer.echo(_describe(summary, folder))
    for line in _describe_skips(summary.skipped):
        say(line)


def _note_index_above(context: typer.Context, folder: Path) -> None:
    """Say so if a new index in this folder will hide one in a folder above it, which searches from here use now."""
    from pellucid.search.pointer import find_index

    source = context.get_parameter_source("folder")
    if source is not None and source.name != "DEFAULT":
        return
    above, _ = find_index(str(folder), Path.cwd())
    if above is not None and above.parent != Path.cwd():
        say(
            f"note: there is an index above: {printable(above)}. A new one is made here, and searches from here will "
            f"use that. To add to the one above: --index {printable(shlex.quote(str(above)))}"
        )


def _forget(roots: list[Path], folder: Path) -> str:
    """Take files and folders out of an index, and say what it has now."""
    from pellucid.search.forgetting import forget
    from pellucid.search.store import Store

    summary = forget(Store.open(folder), roots)
    return f"{_describe_size(summary, folder)}: {plural(summary.removed, 'file')} forgotten."


def _describe(summary: Summary, folder: Path) -> str:
    if summary.added or summary.removed:
        changes = [f"{plural(summary.added, 'file')} new or changed"] if summary.added else []
        changes += [f"{plural(summary.removed, 'file')} gone"] if summary.removed else []
        what = f": {', '.join(changes)}, {plural(summary.embedded, 'chunk')} embedded."
    else:
        what = ". Nothing has changed."
    if summary.others:
        which = "1 file" if summary.others == 1 else f"{summary.others:,} files"
        what += f" It keeps {which} from other folders."
    return _describe_size(summary, folder) + what


def _describe_size(summary: Summary, folder: Path) -> str:
    return f"{printable(folder)} has {plural(summary.files, 'file')} in {plural(summary.chunks, 'chunk')}"


def _describe_skips(skips: Sequence[SkippedFile]) -> list[str]:
    """What was skipped and why, in lines."""
    if not skips:
        return []
    folders = sum(skipped.is_folder for skipped in skips)
    counts = [(len(skips) - folders, "file"), (folders, "folder")]
    lines = [f"Skipped {' and '.join(plural(count, noun) for count, noun in counts if count)}:"]
    lines += [f"  {printable(from_here(skip.path))}: {printable(skip.reason)}" for skip in skips[:_MAX_LISTED_SKIPS]]
    if len(skips) > _MAX_LISTED_SKIPS:
        lines.append(f"  … and {len(skips) - _MAX_LISTED_SKIPS:,} more")
    return lines


def _describe_stop(store: Store) -> str:
    """Say what is left after Ctrl-C, and how to go on."""
    kept = len(store.staged())
    what = (
        f"{plural(kept, 'embedded chunk')} {'is' if kept == 1 else 'are'} kept" if kept else "Nothing was embedded yet"
    )
    state = "you can search once it is done" if store.pointer is None else "searches use the index as it was"
    command = printable(shlex.join(["pellucid", *sys.argv[1:]]))
    return f"{what}, and {state}. To go on where it was, run the same command again:\n  {command}"


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[Progress], None]]:
    """Draw progress on standard error, if that is a terminal."""
    from pellucid.files.progress import progress_bar

    with progress_bar(
        desc="Loading the model",
        unit="B",
        bar_format="{desc}",
        mininterval=_SECONDS_PER_REFRESH,
        miniters=0,
        dynamic_ncols=True,
        leave=False,
    ) as bar:
        reading_since = 0.0

        def show(progress: Progress) -> None:
            nonlocal reading_since
            if progress.files is None:
                reading_since = time.monotonic()
            if progress.size and progress.kept:
                bar.total, bar.bar_format = progress.size, _BAR
            if progress.is_committing:
                bar.bar_format = "{desc}"
            rate = progress.kept / max(time.monotonic() - reading_since, 0.1)
            bar.set_description_str(_describe_progress(progress, rate), refresh=False)
            bar.update(progress.done - bar.n)

        yield show


def _describe_progress(progress: Progress, rate: float) -> str:
    """What an update is doing now. ``rate`` is how many chunks it embeds in a second."""
    if progress.files is None:
        return f"Looking for files: {progress.found:,} found"
    if progress.is_committing:
        return f"Writing the index: {plural(progress.kept, 'chunk')}"
    files = f"{progress.read:,} of {plural(progress.files, 'file')}"
    if not progress.kept:
        return f"Reading {files}: {plural(progress.chunks, 'chunk')}"
    return f"{progress.kept:,} of {plural(progress.chunks, 'chunk')}, {rate:,.0f}/s, {files}"
