"""``pellucid embed``: texts from the command line, a file or standard input, to a table or a file of vectors."""

from __future__ import annotations

import collections
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from pellucid.cli import embed_tasks, options
from pellucid.cli.embed_tasks import Loaded
from pellucid.cli.hints import hint_at_path
from pellucid.cli.interruption import when_interrupted
from pellucid.cli.lines import naming_places
from pellucid.cli.rows import check_new_columns
from pellucid.cli.terminal import escape_json_controls, say, use_json
from pellucid.cli.texts import TableFile, read_texts
from pellucid.cli.vector_files import Windows
from pellucid.errors import OptionError, printable

_START_AGAIN = "The same command starts again with the first text; `pellucid batch` goes on where it stopped."
_MAX_TABLE_TEXTS = 20


def embed(
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts to embed. Default, and for -: the lines of standard input.")
    ] = None,
    task: options.EmbedTaskOption = "dense",
    file: options.FileOption = None,
    column: options.ColumnOption = options.TEXT_COLUMN,
    model: options.ModelOption = options.DEFAULT_MODEL,
    out: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write to this .npy (sparse and multi-vector: .npz), .jsonl or .parquet file. The last two keep a "
            "table's columns.",
        ),
    ] = None,
    json: options.JsonOption = None,
    query: Annotated[
        bool, typer.Option("--query", help="Embed the texts as queries: with the model's query prompt, if it has one.")
    ] = False,
    prompt: options.PromptOption = None,
    prompt_name: options.PromptNameOption = None,
    normalize: options.NormalizeOption = None,
    truncate_dim: options.TruncateDimOption = None,
    max_active_dims: options.MaxActiveDimsOption = None,
    output_dtype: options.EmbedDtypeOption = "float32",
    dtype: options.DtypeOption = "float32",
    device: options.DeviceOption = "cpu",
    on_truncation: options.OnTruncationOption = "warn",
    cache: options.CacheOption = None,
    revision: options.RevisionOption = None,
    cache_folder: options.CacheFolderOption = None,
    local_files_only: options.LocalFilesOnlyOption = False,
    threads: options.ThreadsOption = None,
) -> None:
    """Turn texts into vectors."""
    if json and out is not None:
        raise OptionError("give --json or -o, not both.")
    if query and (prompt is not None or prompt_name is not None):
        raise OptionError("give only one of --query, --prompt and --prompt-name.")
    of_task = {
        "normalize": normalize,
        "truncate_dim": truncate_dim,
        "output_dtype": None if output_dtype == "float32" else output_dtype,
        "max_active_dims": max_active_dims,
    }
    given = {name: value for name, value in of_task.items() if value is not None}
    embed_tasks.check_task(task, model, given)
    written_as = embed_tasks.FORMATS[task]
    if out is not None:
        written_as.check_output(out)  # Fails before the model is loaded.
    table = TableFile.of(file, column) if not texts else None  # First: if the file changes after this, it is refused.
    lines = _choose_texts(texts, file, column)
    prints_json = out is None and use_json(json)
    if table is not None and (prints_json or (out is not None and written_as.keeps_columns(out))):
        check_new_columns(table, written_as.columns)
    how: dict[str, Any] = {
        "revision": revision,
        "cache_folder": cache_folder,
        "local_files_only": local_files_only,
        "dtype": dtype,
        "device": device,
        "threads": threads,
        "on_truncation": on_truncation,
        "cache": cache,
    }
    loaded = embed_tasks.load(task, model, how, query=query, prompt=prompt, prompt_name=prompt_name, given=given)
    windows = _embed_windows(
        loaded,
        lines,
        unit="text" if texts and texts != ["-"] else "line" if table is None else "row",
        show_progress=not prints_json or _is_file(sys.stdout),
    )
    if out is not None:
        with when_interrupted(lambda: f"{printable(out)} was not written. {_START_AGAIN}"):
            written = written_as.write(out, windows, table)
        say(f"Wrote {written} to {printable(out)}.")
    elif prints_json:
        with when_interrupted(lambda: f"The last line may not be whole. {_START_AGAIN}"):
            for line in written_as.json_lines(windows, table):
                typer.echo(escape_json_controls(line))
    else:
        with when_interrupted(lambda: _START_AGAIN):
            _print_tables(loaded, windows)


def _is_file(stream: TextIO) -> bool:
    """Whether a stream goes to a file.

    On a terminal, a progress bar would run into the output; and so it would in a pipe, if the next program writes to
    the terminal.
    """
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except OSError:  # It is not a real stream.
        return False


def _embed_windows(
    loaded: Loaded, lines: Iterable[str], *, unit: str, show_progress: bool
) -> Iterator[tuple[list[str], Any]]:
    """Embed the texts window by window. The first window is empty.

    Args:
        loaded: the model.
        lines: the texts.
        unit: what people count in the file: "line" or "row", from 1; or "text", from 0, as the table shows it.
        show_progress: draw a progress bar on standard error.
    """
    from pellucid.files.progress import progress

    pending: collections.deque[str] = collections.deque()

    def feed() -> Iterator[str]:
        for text in lines:
            pending.append(text)
            yield text

    def place(position: int) -> str:
        return f"{unit} {position if unit == 'text' else position + 1:,}"

    yield [], loaded.embed([])
    total = len(lines) if isinstance(lines, list) else None
    with naming_places(place), progress(total, show=show_progress, leave=False) as advance:
        for window in loaded.stream(feed(), advance=advance):
            yield [pending.popleft() for _ in range(len(window))], window


def _print_tables(loaded: Loaded, windows: Windows[Any]) -> None:
    """Print the first texts with their vectors, and the similarities if there are only a few texts."""
    first_texts: list[str] = []
    first_windows: list[Any] = []
    count = 0
    for texts, window in windows:
        count += len(texts)
        room = _MAX_TABLE_TEXTS - len(first_texts)
        first_texts += texts[:room]
        first_windows.append(window[:room])
    loaded.show(first_texts, first_windows, count - len(first_texts))


def _choose_texts(texts: list[str] | None, file: Path | None, column: str) -> Iterable[str]:
    """The texts of the call, of its file, or of standard input."""
    if texts and file is not None:
        raise OptionError("give texts or -f, not both.")
    if not texts or texts == ["-"]:
        if file is None and not texts and sys.stdin.isatty():
            raise OptionError("there are no texts. Give some, or -f FILE, or pipe them in, one per line.")
        return read_texts(file, column)
    if column != options.TEXT_COLUMN:
        raise OptionError("--column needs -f FILE.")
    for text in texts:
        hint_at_path(text, "-f {}")
    return texts
