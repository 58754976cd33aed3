"""``pellucid similar``: the texts of a file that are most similar to a text."""

from __future__ import annotations

from typing import Annotated

import typer

from pellucid.cli import options
from pellucid.cli.hints import choose_file
from pellucid.cli.lines import embed_lines
from pellucid.cli.matches import print_records, print_table, read_text_and_lines
from pellucid.cli.terminal import use_json
from pellucid.errors import OptionError


def similar(
    text: Annotated[str, typer.Argument(help="Text to compare with; - reads it from standard input.")],
    argument: options.TextsArgument = None,
    file: options.FileOption = None,
    count: Annotated[int, typer.Option("-k", help="Number of texts to find.")] = 10,
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
    """Find the most similar texts of a file.

    Blank lines are left out. The score is the cosine: 1 means the same, and 0 means unrelated.
    """
    if count < 1:
        raise OptionError("-k must be at least 1.")
    file = choose_file(argument, file)
    text, lines = read_text_and_lines(text, file, column, "pellucid similar", place="text")

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
    matches = embedder.most_similar(text, embed_lines(embedder, lines), count)
    if use_json(json):
        print_records(lines, matches, [round(match.score, 6) for match in matches], "cosine")
    else:
        print_table(lines, matches, [f"{match.score:.3f}" for match in matches], "cosine", full=full)
