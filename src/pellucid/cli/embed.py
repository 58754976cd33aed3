"""``pellucid embed``: texts from the command line, a file or standard input, to a table or a file of vectors."""

from __future__ import annotations

import collections
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from pellucid.cli import options, vectors
from pellucid.cli.interruption import when_interrupted
from pellucid.cli.terminal import escape_json_controls, use_json
from pellucid.cli.texts import read_texts
from pellucid.errors import OptionError, printable

if TYPE_CHECKING:
    from pellucid.cli.vectors import VectorArray, Windows
    from pellucid.embedder import Embedder

_START_AGAIN = "The same command starts again with the first text; `pellucid batch` goes on where it stopped."
_MAX_TABLE_TEXTS = 20
_MAX_SIMILARITY_TEXTS = 12


def embed(
    texts: Annotated[
        list[str] | None, typer.Argument(help="Texts to embed; - for the lines of standard input, the default.")
    ] = None,
    file: options.FileOption = None,
    column: options.ColumnOption = options.TEXT_COLUMN,
    model: options.ModelOption = options.DEFAULT_MODEL,
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the vectors to this .npy, .jsonl or .parquet file.")
    ] = None,
    json: options.JsonOption = None,
    query: Annotated[bool, typer.Option("--query", help="Use the model's query prompt, if it has one.")] = False,
    prompt: options.PromptOption = None,
    prompt_name: options.PromptNameOption = None,
    normalize: options.NormalizeOption = None,
    truncate_dim: options.TruncateDimOption = None,
    output_dtype: options.EmbedDtypeOption = "float32",
    dtype: options.DtypeOption = "float32",
    device: options.DeviceOption = "cpu",
    on_truncation: options.OnTruncationOption = "warn",
    revision: options.RevisionOption = None,
    cache_folder: options.CacheFolderOption = None,
    local_files_only: options.LocalFilesOnlyOption = False,
    threads: options.ThreadsOption = None,
) -> None:
    """Turn texts into vectors."""
    if json and out is not None:
        raise OptionError("give --json or --output, not both.")
    if query and (prompt is not None or prompt_name is not None):
        raise OptionError("give only one of --query, --prompt and --prompt-name.")
    write = vectors.choose_writer(out) if out is not None else None  # Fails before the model is loaded.
    lines = _choose_texts(texts, file, column)

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
    if query and "query" in embedder.spec.prompts:
        prompt_name = "query"
    windows = _embed_windows(
        embedder,
        lines,
        prompt=prompt,
        prompt_name=prompt_name,
        normalize=normalize,
        truncate_dim=truncate_dim,
        output_dtype=output_dtype,
    )
    if out is not None and write is not None:
        with when_interrupted(lambda: f"{printable(out)} was not written. {_START_AGAIN}"):
            write(out, windows)
        typer.echo(f"wrote {printable(out)}", err=True)
    elif use_json(json):
        _print_json(windows)
    else:
        with when_interrupted(lambda: _START_AGAIN):
            _print_tables(embedder, windows)


def _embed_windows(
    embedder: Embedder, lines: Iterable[str], **embed_options: Any
) -> Iterator[tuple[list[str], VectorArray]]:
    """Embed the texts window by window (see :mod:`pellucid.cli.vectors`). The first window is empty.

    If it takes longer than a second, a progress bar appears on standard error.
    """
    from pellucid.files.progress import progress_bar

    pending: collections.deque[str] = collections.deque()

    def feed() -> Iterator[str]:
        for text in lines:
            pending.append(text)
            yield text

    yield [], embedder.embed_documents([], **embed_options)
    with progress_bar(unit=" texts", desc="Embedding", delay=1, leave=False) as bar:
        for window in embedder.embed_stream(feed(), **embed_options):
            yield [pending.popleft() for _ in window], window
            bar.update(len(window))


def _print_json(windows: Windows) -> None:
    with when_interrupted(lambda: f"The last line may not be whole. {_START_AGAIN}"):
        for line in vectors.json_lines(windows):
            typer.echo(escape_json_controls(line))


def _print_tables(embedder: Embedder, windows: Windows) -> None:
    """Print the first texts with their vectors, and the similarities if there are only a few texts."""
    first_texts: list[str] = []
    first_windows: list[VectorArray] = []
    count = 0
    for texts, window in windows:
        count += len(texts)
        room = _MAX_TABLE_TEXTS - len(first_texts)
        first_texts += texts[:room]
        first_windows.append(window[:room])
    first_vectors = np.concatenate(first_windows)
    vectors.print_vectors(embedder, first_texts, first_vectors, omitted=count - len(first_texts))
    if 1 < count <= _MAX_SIMILARITY_TEXTS and np.issubdtype(first_vectors.dtype, np.floating):
        vectors.print_similarities(first_vectors)


def _choose_texts(texts: list[str] | None, file: Path | None, column: str) -> Iterable[str]:
    """The texts of the call, of its file, or of standard input."""
    if texts and file is not None:
        raise OptionError("give texts or --file, not both.")
    if not texts or texts == ["-"]:
        if file is None and not texts and sys.stdin.isatty():
            raise OptionError("no texts. Give some, or --file FILE, or pipe them in, one per line.")
        return read_texts(file, column)
    if column != options.TEXT_COLUMN:
        raise OptionError("--column needs --file.")
    for text in texts:
        _hint_at_file(text)
    return texts


def _hint_at_file(text: str) -> None:
    """Say how to embed a file if a text is the name of one. The text itself is embedded all the same."""
    try:
        is_file = Path(text).is_file()
    except (OSError, ValueError):  # It is far too long for a name, or has a zero byte.
        return
    if is_file:
        name = printable(text)
        typer.echo(f"hint: {name} is embedded as a text. To embed the texts in that file: -f {name}", err=True)
