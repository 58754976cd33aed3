"""``pellucid rerank``: the texts of a file, sorted by how well they answer a query."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

from pellucid.cli import options
from pellucid.cli.hints import check_order, choose_file, hint_at_path, is_file
from pellucid.cli.lines import Lines, naming_places, read_lines, show
from pellucid.cli.terminal import print_record, round_float32, use_json
from pellucid.cli.texts import read_text
from pellucid.errors import OptionError, printable
from pellucid.files.progress import progress
from pellucid.types import Ranked


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
    check_order(query, file, "pellucid rerank", place="query")
    if file is None and sys.stdin.isatty() and is_file(query):
        example = f"pellucid rerank QUERY {shlex.quote(printable(query))}"
        raise OptionError(f"give a query too, before the file: {example}")
    if query == "-":
        if file is None or str(file) == "-":
            raise OptionError("only one of the query and the file can be standard input.")
        query = read_text()
    else:
        hint_at_path(query, "pellucid rerank - FILE < {}")
    lines = read_lines(file, column)

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
        for rank, match in enumerate(matches, 1):
            record = {
                "rank": rank,
                "score": round_float32(match.score),
                lines.unit: lines.numbers[match.index],
                "text": lines.texts[match.index],
            }
            print_record(record)
    else:
        _print_matches(lines, matches, full=full)


def _print_matches(lines: Lines, matches: list[Ranked], *, full: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column(lines.unit, justify="right", no_wrap=True)
    table.add_column("text", ratio=1)
    for match in matches:
        table.add_row(f"{match.score:.4f}", f"{lines.numbers[match.index]}", show(lines.texts[match.index], full=full))
    Console(highlight=False).print(table if matches else "no texts")
