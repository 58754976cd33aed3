"""``pellucid search``: queries against an index of the user's own files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from pellucid.cli import options
from pellucid.cli.index import DEFAULT_INDEX
from pellucid.cli.terminal import print_record, use_json
from pellucid.cli.texts import read_text
from pellucid.errors import OptionError

if TYPE_CHECKING:
    from pellucid.cli.hits import Why
    from pellucid.search.hits import Hit
    from pellucid.search.index import Index


def search(
    words: Annotated[
        list[str],
        typer.Argument(metavar="query", help="Question, or words to look for. - reads it from standard input."),
    ],
    folder: options.IndexOption = DEFAULT_INDEX,
    count: Annotated[int, typer.Option("-k", help="Number of chunks to find.")] = 10,
    mode: options.SearchModeOption = "hybrid",
    approximate: Annotated[
        bool,
        typer.Option(
            "--approximate", help="Search only the most promising half of the vectors; faster, may miss results."
        ),
    ] = False,
    full: options.FullOption = False,
    why: Annotated[bool, typer.Option("--why", help="Show which words make each chunk match.")] = False,
    json: options.JsonOption = None,
    cache_folder: options.CacheFolderOption = None,
    local_files_only: options.LocalFilesOnlyOption = False,
) -> None:
    """Find the chunks that match a query.

    The query needs no quotes, unless it has marks that the shell would take, such as "?".
    """
    if count < 1:
        raise OptionError("-k must be at least 1.")
    os.environ.setdefault("LANCEDB_LOG", "error")
    query = read_text().strip() if words == ["-"] else " ".join(words)
    from pellucid.cli.hits import explain, print_hits
    from pellucid.search.index import Index

    file_index = Index.open(folder, cache_folder=cache_folder, local_files_only=local_files_only)
    hits = file_index.search(query, count, mode=mode, approximate=approximate)
    reasons = [explain(file_index.embedder, query, hit.row.text) for hit in hits] if why else []
    if use_json(json):
        _print_json(hits, reasons)
    else:
        print_hits(hits, file_index.embedder, query, reasons, mode=mode, full=full)
    for note in _notes(file_index, hits):
        typer.echo(f"note: {note}", err=True)


def _print_json(hits: list[Hit], reasons: list[Why]) -> None:
    for number, hit in enumerate(hits):
        values = hit.to_dict() | ({"why": reasons[number].to_dict()} if reasons else {})
        print_record(values)


def _notes(file_index: Index, hits: list[Hit]) -> list[str]:
    """What the user should know about the index."""
    notes = []
    if file_index.store.is_unfinished():
        notes.append("an update of this index was stopped, or is still running. Run pellucid index again to finish it.")
    if any(hit.path is None for hit in hits):
        notes.append("an older Pellucid made this index, without headings and paths. Run pellucid index to add them.")
    return notes
