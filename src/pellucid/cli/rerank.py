"""``pellucid rerank``: the texts of a file, sorted by how well they answer a query."""

from __future__ import annotations

from typing import Annotated

import typer

from pellucid.cli import options
from pellucid.cli.hints import choose_file
from pellucid.cli.lines import naming_places
from pellucid.cli.matches import print_records, print_table, read_text_and_lines
from pellucid.cli.terminal import round_float32, use_json
from pellucid.errors import OptionError
from pellucid.files.progress import progress


def rerank(
    query: Annotated[str, typer.Argument(help="Query; - reads it from standard input.")],
    argument: options.TextsArgument = None,
    file: options.FileOption = None,
    count: Annotated[int, typer.Option("-k", help="Number of texts to show.")] = 10,
    column: options.ColumnOption = options.TEXT_COLUMN,
    json: options.JsonOption = None,
    full: options.FullOption = False,
    model: options.ModelOption = options.DEFAULT_RERANKER,
    prompt: options.QueryPromptOption = None,
    prompt_name: options.QueryPromptNameOption = None,
    max_tokens: options.MaxTokensOption = None,
    dtype: options.DtypeOption = "float32",
    device: options.DeviceOption = "cpu",
    on_truncation: options.OnTruncationOption = "warn",
    revision: options.RevisionOption = None,
    cache_folder: options.CacheFolderOption = None,
    local_files_only: options.LocalFilesOnlyOption = False,
    threads: options.ThreadsOption = None,
) -> None:
    """Sort texts by how well they answer a query.

    A cross-encoder reads the query and each text of a file together. That is slower than comparing vectors, and usually
    ranks better. Blank lines are left out. A higher score is better; its range depends on the model.
    """
    if count < 1:
        raise OptionError("-k must be at least 1.")
    if prompt is not None and prompt_name is not None:
        raise OptionError("give --prompt or --prompt-name, not both.")
    file = choose_file(argument, file)
    query, lines = read_text_and_lines(query, file, column, "pellucid rerank", place="query")

    from pellucid.reranker import Reranker

    reranker = Reranker(
        model,
        revision=revision,
        cache_folder=cache_folder,
        local_files_only=local_files_only,
        dtype=dtype,
        device=device,
        threads=threads,
        max_tokens=max_tokens,
        on_truncation=on_truncation,
    )
    with naming_places(lines.place), progress(len(lines.texts), show=True, leave=False, desc="Scoring") as advance:
        matches = reranker.rank(query, lines.texts, count, prompt=prompt, prompt_name=prompt_name, advance=advance)
    if use_json(json):
        print_records(lines, matches, [round_float32(match.score) for match in matches], "score")
    else:
        print_table(lines, matches, [f"{match.score:.4f}" for match in matches], "score", full=full)
