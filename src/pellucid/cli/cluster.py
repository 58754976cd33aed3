"""``pellucid cluster``: the texts of a file, grouped by how similar they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from pellucid.cli import options
from pellucid.cli.cluster_file import check_columns, check_output, cluster_columns, write_clusters
from pellucid.cli.hints import choose_file
from pellucid.cli.lines import Lines, embed_lines, read_lines, show
from pellucid.cli.terminal import print_record, say, use_json
from pellucid.errors import OptionError, plural, printable

if TYPE_CHECKING:
    from pellucid.types import Float32, Int64
    from pellucid.vectors.clusters import Cluster, Clusters

_MAX_CLUSTERS = 20
_MAX_TEXTS = 3


def cluster(
    argument: options.TextsArgument = None,
    file: options.FileOption = None,
    count: Annotated[
        int | None, typer.Option("-k", help="Number of clusters. Default: as many as fit best, from 2 to 8.")
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Instead of -k: the lowest cosine allowed between a text and its cluster's typical text."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write each row with its cluster to this .csv, .jsonl or .parquet file."),
    ] = None,
    column: options.ColumnOption = options.TEXT_COLUMN,
    json: options.JsonOption = None,
    full: options.FullOption = False,
    model: options.ModelOption = options.DEFAULT_MODEL,
    dtype: options.DtypeOption = "float32",
    device: options.DeviceOption = "cpu",
    on_truncation: options.OnTruncationOption = "warn",
    revision: options.RevisionOption = None,
    cache_folder: options.CacheFolderOption = None,
    local_files_only: options.LocalFilesOnlyOption = False,
    threads: options.ThreadsOption = None,
) -> None:
    """Group the similar texts of a file.

    Blank texts are left out. Each cluster is named after the words that set it apart: those that a larger part of its
    texts have than of the others.
    """
    from pellucid.vectors.clusters import cluster as find_clusters

    file = choose_file(argument, file)
    _check_options(count, threshold, out, json)
    lines = read_lines(file, column)
    if out is not None:
        check_columns(lines)

    from pellucid.embedder import Embedder

    embedder = Embedder(
        model,
        revision=revision,
        cache_folder=cache_folder,
        local_files_only=local_files_only,
        dtype=dtype,
        device=device,
        threads=threads,
        on_truncation=on_truncation,
    )
    vectors = embed_lines(embedder, lines)
    found = find_clusters(vectors, count, threshold=threshold, texts=lines.texts)
    if out is not None:
        rows = write_clusters(out, lines, found)
        blank = 0 if lines.table else lines.total - len(lines.texts)
        left_out = f" {plural(blank, 'blank line')} left out." if blank else ""
        say(f"Wrote {plural(rows, 'row')} in {plural(len(found), 'cluster')} to {printable(out)}.{left_out}")
    elif use_json(json):
        _print_json(lines, found)
    else:
        _print_clusters(lines, vectors, found, full=full)


def _check_options(count: int | None, threshold: float | None, out: Path | None, json: bool | None) -> None:
    """Refuse what does not fit together, before any work."""
    from pellucid.vectors.clusters import check_options

    if count is not None and threshold is not None:
        raise OptionError("give -k or --threshold, not both.")
    check_options(count, threshold)
    if out is not None:
        if json:
            raise OptionError("give --json or -o, not both.")
        check_output(out)


def _print_json(lines: Lines, found: Clusters) -> None:
    for index, added in enumerate(cluster_columns(found)):
        print_record({lines.unit: lines.numbers[index], "text": lines.texts[index], **added})


def _print_clusters(lines: Lines, vectors: Float32, found: Clusters, *, full: bool) -> None:
    """Print each cluster's name and size, and its most typical texts, the most typical first."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    if not len(found):
        console.print("no texts")
    clusters = found.clusters if full else found.clusters[:_MAX_CLUSTERS]
    for number, group in enumerate(clusters, 1):
        name = f"  {', '.join(group.words)}" if group.words else ""
        heading = Text.assemble((f"{number}", "bold"), (name, "bold cyan"), f"  {plural(len(group), 'text')}")
        console.print(heading)
        members = _most_typical_first(vectors, group).tolist()
        for index in members if full else members[:_MAX_TEXTS]:
            console.print(
                Text("  ").append_text(show(lines.texts[index], full=full)),
                no_wrap=not full,
                overflow="ellipsis",
            )
        if not full and len(members) > _MAX_TEXTS:
            console.print(f"  … and {len(members) - _MAX_TEXTS:,} more", style="dim")
        console.print()
    if len(clusters) < len(found):
        texts = sum(len(group) for group in found.clusters[_MAX_CLUSTERS:])
        console.print(f"… and {plural(len(found) - len(clusters), 'cluster')} of {plural(texts, 'text')}\n")
    if not full and (len(clusters) < len(found) or any(len(group) > _MAX_TEXTS for group in clusters)):
        console.print("--full shows every text. -k or --threshold gives more or fewer clusters.", style="dim")


def _most_typical_first(vectors: Float32, group: Cluster) -> Int64:
    """The members by their cosine with the representative, highest first."""
    from pellucid.vectors.similarity import similarity

    cosines = similarity(vectors[group.members], vectors[group.representative])
    order = np.lexsort((group.members, -cosines, group.members != group.representative))
    return group.members[order]
