"""``pellucid index`` and ``pellucid search``: an index of the user's own files, and queries against it."""

from __future__ import annotations

import dataclasses
import json as json_module
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pellucid.cli import options
from pellucid.cli.terminal import escape_controls, escape_json_controls
from pellucid.errors import OptionError, plural, printable

if TYPE_CHECKING:
    from pellucid.embedder import Embedder
    from pellucid.search.index import Hit

DEFAULT_INDEX = Path(".pellucid-index")
_INDEX_HELP = "Folder of the index."
_MAX_LISTED_SKIPS = 10
_MAX_TOKEN_PAIRS = 5


def index(
    folders: Annotated[list[Path], typer.Argument(help="Files and folders to read.")],
    to: Annotated[Path, typer.Option("--to", help=_INDEX_HELP)] = DEFAULT_INDEX,
    model: options.ModelOption = options.DEFAULT_MODEL,
    dtype: options.NativeDtypeOption = "float32",
    column: Annotated[str, typer.Option(help="Column with the texts, in .csv, .jsonl and .parquet files.")] = "text",
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Build the index from scratch, even if there is one.")
    ] = False,
    cache_folder: options.CacheFolderOption = None,
    local_files_only: options.LocalFilesOnlyOption = False,
    threads: options.ThreadsOption = None,
) -> None:
    """Build or update an index of your files.

    An update embeds only what is new or changed, and drops files that are gone.
    """
    # LanceDB warns about matters that are not the user's, for example about many equal texts.
    os.environ.setdefault("LANCEDB_LOG", "error")
    from pellucid.embedder import Embedder
    from pellucid.files.progress import progress_bar
    from pellucid.search.index import Index

    embedder = Embedder(
        model,
        dtype=dtype,
        threads=threads,
        cache_folder=cache_folder,
        local_files_only=local_files_only,
        on_truncation="ignore",
    )
    file_index = Index.create(to, embedder, column=column, rebuild=rebuild)
    with progress_bar(unit="B", unit_scale=True, desc="Indexing", delay=1, leave=False) as bar:

        def show_progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        summary = file_index.update(folders, on_progress=show_progress)
    typer.echo(
        f"{plural(summary.files, 'file')}, {plural(summary.chunks, 'chunk')} in {to}: "
        f"{plural(summary.added, 'file')} new or changed, {summary.removed:,} gone, "
        f"{plural(summary.embedded, 'chunk')} embedded"
    )
    if summary.skipped:
        typer.echo(f"{len(summary.skipped):,} skipped:", err=True)
        for skipped in summary.skipped[:_MAX_LISTED_SKIPS]:
            typer.echo(f"  {printable(skipped.name)}: {printable(skipped.reason)}", err=True)
        if len(summary.skipped) > _MAX_LISTED_SKIPS:
            typer.echo(f"  … and {len(summary.skipped) - _MAX_LISTED_SKIPS:,} more", err=True)


def search(
    query: Annotated[str, typer.Argument(help="Question, or words to look for.")],
    within: Annotated[Path, typer.Option("--in", help=_INDEX_HELP)] = DEFAULT_INDEX,
    count: Annotated[int, typer.Option("-k", help="Number of chunks to find.")] = 10,
    mode: options.SearchModeOption = "hybrid",
    approximate: Annotated[
        bool,
        typer.Option(
            "--approximate", help="Search only the most promising half of the vectors; faster, may miss results."
        ),
    ] = False,
    why: Annotated[bool, typer.Option("--why", help="Show which tokens make each chunk match.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one line of JSON for each chunk.")] = False,
    cache_folder: options.CacheFolderOption = None,
    local_files_only: options.LocalFilesOnlyOption = False,
) -> None:
    """Find the chunks that match a query."""
    if count < 1:
        raise OptionError("-k must be at least 1.")
    from pellucid.search.index import Index

    file_index = Index.open(within, cache_folder=cache_folder, local_files_only=local_files_only)
    hits = file_index.search(query, count, mode=mode, approximate=approximate)
    if json:
        for hit in hits:
            line = json_module.dumps({"score": hit.score, **dataclasses.asdict(hit.row)}, ensure_ascii=False)
            typer.echo(escape_json_controls(line))
    else:
        _print_hits(hits, file_index.embedder, query, why=why)


def _print_hits(hits: list[Hit], embedder: Embedder, query: str, *, why: bool) -> None:
    """Print each chunk, with everything but its best sentence dimmed."""
    from rich.console import Console
    from rich.text import Text

    from pellucid.search.passages import best_sentence

    console = Console(highlight=False)
    if not hits:
        console.print("nothing found")
    for number, hit in enumerate(hits, start=1):
        row = hit.row
        lines = f"{row.first_line}" if row.first_line == row.last_line else f"{row.first_line}-{row.last_line}"
        place = f"{row.file}:{lines}" if not row.part else f"{row.file}, {row.part}"
        console.print(
            Text.assemble((f"{number:2} ", "dim"), (printable(place), "bold"), (f"  {hit.score:.4f}", "cyan"))
        )
        start, end = best_sentence(embedder, query, row.text)
        chunk = Text.assemble(
            (escape_controls(row.text[:start]), "dim"),
            escape_controls(row.text[start:end]),
            (escape_controls(row.text[end:]), "dim"),
        )
        console.print(chunk)
        if why:
            console.print(Text(_explain_hit(embedder, query, row.text), style="yellow"))
        console.print()


def _explain_hit(embedder: Embedder, query: str, chunk: str) -> str:
    """The cosine of the two texts, and the pairs of tokens that add most to it."""
    comparison = embedder.compare(query, chunk)
    first, second = (
        [printable(token.piece) for token in side.tokens] for side in (comparison.first, comparison.second)
    )
    pairs = ", ".join(f"{first[i]} ~ {second[j]} {share:+.3f}" for i, j, share in comparison.top(_MAX_TOKEN_PAIRS))
    return f"cosine {comparison.cosine:.3f}: {pairs or comparison.why_no_pairs}"
