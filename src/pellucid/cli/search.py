"""``pellucid index`` and ``pellucid search``: one's own files, and questions about them."""

from __future__ import annotations

import dataclasses
import json as jsons
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pellucid.cli.embed import DEFAULT_MODEL, Dtype
from pellucid.cli.terminal import escaped, escaped_json
from pellucid.errors import OptionError, printable

if TYPE_CHECKING:
    from pellucid.embedder import Embedder
    from pellucid.search.index import Hit

DEFAULT_INDEX = Path(".pellucid-index")
_SKIPPED = 10


class SearchMode(StrEnum):
    """What decides which chunks answer a question."""

    hybrid = "hybrid"
    vector = "vector"
    text = "text"


def index(
    folders: Annotated[list[Path], typer.Argument(help="Files and folders to read.")],
    to: Annotated[Path, typer.Option("--to", help="The folder of the index.")] = DEFAULT_INDEX,
    model: Annotated[str, typer.Option("--model", "-m", help="Hub name, short name or folder.")] = DEFAULT_MODEL,
    dtype: Annotated[Dtype, typer.Option(help="The arithmetic: exact, near-lossless, or smallest.")] = Dtype.float32,
    column: Annotated[str, typer.Option(help="Of tables (.csv, .jsonl, .parquet), where the texts are.")] = "text",
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Make the index again, whatever is there.")] = False,
    cache_folder: Annotated[Path | None, typer.Option(help="Where models are kept.")] = None,
    local_files_only: Annotated[bool, typer.Option("--local-files-only", help="Never use the network.")] = False,
    threads: Annotated[int | None, typer.Option(help="How many threads to work with.")] = None,
) -> None:
    """Make files searchable; only what is new is embedded."""
    # LanceDB warns of its own affairs: of many texts that are equal, for one.
    os.environ.setdefault("LANCEDB_LOG", "error")
    from tqdm import tqdm  # type: ignore[import-untyped]

    from pellucid.embedder import Embedder
    from pellucid.search.index import Index

    embedder = Embedder(
        model,
        dtype=dtype.value,
        threads=threads,
        cache_folder=cache_folder,
        local_files_only=local_files_only,
        on_truncation="ignore",
    )
    made = Index.create(to, embedder, column=column, rebuild=rebuild)
    with tqdm(unit="B", unit_scale=True, desc="Indexing", disable=None, delay=1, leave=False) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        summary = made.update(folders, progress=progress)
    typer.echo(
        f"{summary.files:,} files, {summary.chunks:,} chunks in {to}: {summary.added:,} files new or changed, "
        f"{summary.removed:,} gone, {summary.embedded:,} chunks embedded"
    )
    if summary.skipped:
        typer.echo(f"{len(summary.skipped):,} skipped:", err=True)
        for skipped in summary.skipped[:_SKIPPED]:
            typer.echo(f"  {printable(skipped.name)}: {printable(skipped.reason)}", err=True)
        if len(summary.skipped) > _SKIPPED:
            typer.echo(f"  … and {len(summary.skipped) - _SKIPPED:,} more", err=True)


def search(
    question: Annotated[str, typer.Argument(help="What to look for.")],
    within: Annotated[Path, typer.Option("--in", help="The folder of the index.")] = DEFAULT_INDEX,
    count: Annotated[int, typer.Option("-k", help="How many passages.")] = 10,
    mode: Annotated[SearchMode, typer.Option(help="By meaning, by words, or by both.")] = SearchMode.hybrid,
    approximate: Annotated[
        bool, typer.Option("--approximate", help="Of a very large index, look only at the likelier half.")
    ] = False,
    why: Annotated[bool, typer.Option("--why", help="Say which tokens brought each passage up.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each passage.")] = False,
    cache_folder: Annotated[Path | None, typer.Option(help="Where models are kept.")] = None,
    local_files_only: Annotated[bool, typer.Option("--local-files-only", help="Never use the network.")] = False,
) -> None:
    """Find the passages of an index that answer a question."""
    if count < 1:
        raise OptionError("-k must be at least 1.")
    from pellucid.search.index import Index

    opened = Index.open(within, cache_folder=cache_folder, local_files_only=local_files_only)
    hits = opened.search(question, count, mode=mode.value, approximate=approximate)
    if json:
        for hit in hits:
            line = jsons.dumps({"score": hit.score, **dataclasses.asdict(hit.row)}, ensure_ascii=False)
            typer.echo(escaped_json(line))
    else:
        _show(hits, opened.embedder, question, why=why)


def _show(hits: list[Hit], embedder: Embedder, question: str, *, why: bool) -> None:
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
        start, end = best_sentence(embedder, question, row.text)
        passage = Text.assemble(
            (escaped(row.text[:start]), "dim"), escaped(row.text[start:end]), (escaped(row.text[end:]), "dim")
        )
        console.print(passage)
        if why:
            console.print(Text(_why(embedder, question, row.text), style="yellow"))
        console.print()


def _why(embedder: Embedder, question: str, passage: str) -> str:

    comparison = embedder.compare(question, passage)
    pieces = [[printable(token.piece) for token in side.tokens] for side in (comparison.first, comparison.second)]
    pairs = ", ".join(f"{pieces[0][i]} ~ {pieces[1][j]} {share:+.3f}" for i, j, share in comparison.top(5))
    return f"cosine {comparison.cosine:.3f}: {pairs or comparison.why_no_pairs}"
