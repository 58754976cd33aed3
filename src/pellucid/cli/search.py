"""``pellucid search``: queries against an index of the user's own files."""

from __future__ import annotations

import functools
import os
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pellucid.cli import options
from pellucid.cli.index import DEFAULT_INDEX
from pellucid.cli.lines import naming_places
from pellucid.cli.terminal import print_record, say, use_json
from pellucid.cli.texts import read_text
from pellucid.errors import IndexStateError, OptionError, plural, printable

if TYPE_CHECKING:
    from pellucid.cli.why import Why
    from pellucid.reranker import Reranker
    from pellucid.search.hits import Hit
    from pellucid.search.index import Index


def search(
    words: Annotated[
        list[str],
        typer.Argument(metavar="query", help="Question, or words to look for. - reads it from standard input."),
    ],
    folder: Annotated[
        Path | None,
        typer.Option(
            "--index", help="Folder of the index.", show_default=f"{DEFAULT_INDEX}, here or in a folder above"
        ),
    ] = None,
    count: Annotated[int, typer.Option("-k", help="Number of chunks to find.")] = 10,
    mode: options.SearchModeOption = "hybrid",
    approximate: Annotated[
        bool,
        typer.Option(
            "--approximate", help="Search only the most promising half of the vectors; faster, may miss results."
        ),
    ] = False,
    full: options.FullOption = False,
    show_all: Annotated[
        bool, typer.Option("--all", help="Show also what has little to do with the query. JSON always has it.")
    ] = False,
    reranks: Annotated[
        bool, typer.Option("--rerank", help="Sort the best chunks again by how well each answers the query; slower.")
    ] = False,
    reranker_name: Annotated[
        str | None,
        typer.Option("--reranker", help="Model for --rerank, which it implies.", show_default=options.DEFAULT_RERANKER),
    ] = None,
    why: Annotated[bool, typer.Option("--why", help="Show which words make each chunk match.")] = False,
    json: options.JsonOption = None,
    cache_folder: options.CacheFolderOption = None,
    local_files_only: options.LocalFilesOnlyOption = False,
) -> None:
    """Find the chunks that match a query.

    The query needs no quotes, unless it has characters that mean something to the shell, such as "?".
    """
    if count < 1:
        raise OptionError("-k must be at least 1.")
    os.environ.setdefault("LANCEDB_LOG", "error")
    query = read_text().strip() if words == ["-"] else " ".join(words)
    from pellucid.cli.hits import is_related, print_hits
    from pellucid.cli.why import explain
    from pellucid.search.index import Index

    index = Index.open(folder or _find_index(), cache_folder=cache_folder, local_files_only=local_files_only)
    if reranks or reranker_name is not None:
        from pellucid.reranker import Reranker
        from pellucid.search.reranking import candidates_for

        candidates = index.search(query, candidates_for(count), mode=mode, approximate=approximate)
        name = reranker_name or options.DEFAULT_RERANKER
        reranker = Reranker(name, cache_folder=cache_folder, local_files_only=local_files_only)
        hits = _rerank(query, candidates, reranker)[:count]
    else:
        hits = index.search(query, count, mode=mode, approximate=approximate)
    as_json = use_json(json)
    shown = hits if as_json or show_all else [hit for hit in hits if is_related(hit, query)]
    texts, scores = [hit.row.text for hit in shown], [hit.vector_score for hit in shown]
    reasons = explain(index.embedder, query, texts, scores) if why else []
    if as_json:
        _print_json(shown, reasons)
    else:
        left_out = len(hits) - len(shown)
        similarities = functools.partial(index.similarities, query)
        print_hits(shown, similarities, query, reasons, mode=mode, full=full, left_out=left_out)
    for note in _notes(index, hits):
        say(f"note: {note}")


def _rerank(query: str, candidates: list[Hit], reranker: Reranker) -> list[Hit]:
    """Sort hits by a reranker's scores, and say how many there were and how long it took."""
    from pellucid.files.progress import progress
    from pellucid.search.reranking import rerank

    def place(position: int) -> str:
        row = candidates[position].row
        return printable(f"{row.file}, {row.part}" if row.part else f"{row.file}:{row.first_line}")

    start = time.perf_counter()
    with naming_places(place), progress(len(candidates), show=True, leave=False, desc="Reranking") as advance:
        hits = rerank(query, candidates, reranker, advance=advance)
    if hits:
        seconds = time.perf_counter() - start
        say(f"Reranked the best {plural(len(hits), 'chunk')} in {seconds:.2f} s with {printable(reranker.model_name)}.")
    return hits


def _find_index() -> Path:
    """The index of this folder, or of the nearest folder above it that has one."""
    from pellucid.search.pointer import find_index

    here = Path.cwd()
    index, skipped = find_index(str(DEFAULT_INDEX), here)
    if index is not None:
        return index
    message = (
        f"there is no index ({DEFAULT_INDEX}) in {here}, or in a folder above it. Make one: pellucid index FOLDER, or "
        f"name yours: --index PATH"
    )
    if skipped:
        message = (
            f"there is no index ({DEFAULT_INDEX}) of yours in {here}, or in a folder above it. {skipped[0]} belongs to "
            f"somebody else, or you may not read it. If you trust its owner, name it: --index "
            f"{shlex.quote(str(skipped[0]))}"
        )
    raise IndexStateError(message)


def _print_json(hits: list[Hit], reasons: list[Why]) -> None:
    for number, hit in enumerate(hits):
        values = hit.to_dict() | ({"why": reasons[number].to_dict()} if reasons else {})
        print_record(values)


def _notes(index: Index, hits: list[Hit]) -> list[str]:
    """What the user should know about the index."""
    notes = []
    if index.store.is_unfinished():
        notes.append("an update of this index was stopped, or is still running. Run pellucid index again to finish it.")
    if any(hit.path is None for hit in hits):
        notes.append("an older Pellucid made this index, without headings and paths. Run pellucid index to add them.")
    return notes
