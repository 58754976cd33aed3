"""``pellucid embed``: texts from the command line, a file or standard input, to a table or a file of vectors."""

from __future__ import annotations

import collections
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import numpy as np
import typer

from pellucid.cli import options, sparse, vectors
from pellucid.cli.hints import hint_at_path
from pellucid.cli.interruption import when_interrupted
from pellucid.cli.lines import naming_places
from pellucid.cli.rows import check_new_columns
from pellucid.cli.terminal import escape_json_controls, say, use_json
from pellucid.cli.texts import TableFile, read_texts
from pellucid.errors import OptionError, printable
from pellucid.sparse_vectors import SparseVectors

if TYPE_CHECKING:
    from pellucid.embedder import Embedder
    from pellucid.sparse_embedder import SparseEmbedder

Windows = Iterator[tuple[list[str], Any]]
"""Those of :mod:`pellucid.cli.vectors`, or of :mod:`pellucid.cli.sparse`."""

_START_AGAIN = "The same command starts again with the first text; `pellucid batch` goes on where it stopped."
_MAX_TABLE_TEXTS = 20
_MAX_SIMILARITY_TEXTS = 12


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
            help="Write to this .npy (sparse: .npz), .jsonl or .parquet file. The last two keep a table's columns.",
        ),
    ] = None,
    json: options.JsonOption = None,
    query: Annotated[bool, typer.Option("--query", help="Use the model's query prompt, if it has one.")] = False,
    prompt: options.PromptOption = None,
    prompt_name: options.PromptNameOption = None,
    normalize: options.NormalizeOption = None,
    truncate_dim: options.TruncateDimOption = None,
    max_active_dims: options.MaxActiveDimsOption = None,
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
        raise OptionError("give --json or -o, not both.")
    if query and (prompt is not None or prompt_name is not None):
        raise OptionError("give only one of --query, --prompt and --prompt-name.")
    _check_task(task, model, normalize, truncate_dim, output_dtype, max_active_dims)
    kind = sparse if task == "sparse" else vectors
    if out is not None:
        kind.check_output(out)  # Fails before the model is loaded.
    table = TableFile.of(file, column) if not texts else None  # First: if the file changes after this, it is refused.
    lines = _choose_texts(texts, file, column)
    prints_json = out is None and use_json(json)
    if table is not None and (prints_json or (out is not None and kind.keeps_columns(out))):
        check_new_columns(table, kind.COLUMNS)
    how: dict[str, Any] = {
        "revision": revision,
        "cache_folder": cache_folder,
        "local_files_only": local_files_only,
        "dtype": dtype,
        "device": device,
        "threads": threads,
        "on_truncation": on_truncation,
    }
    embedder: Embedder | SparseEmbedder
    embed_options: dict[str, Any]
    if task == "sparse":
        from pellucid.sparse_embedder import SparseEmbedder

        embedder = SparseEmbedder(model, **how)
        embed_options = {"max_active_dims": max_active_dims}
    else:
        from pellucid.embedder import Embedder

        embedder = Embedder(model, **how)
        embed_options = {"normalize": normalize, "truncate_dim": truncate_dim, "output_dtype": output_dtype}
    if query:
        embedder = _for_queries(embedder)
        if "query" in embedder.spec.prompts:
            prompt_name = "query"
    windows = _embed_windows(
        embedder,
        lines,
        unit="text" if texts and texts != ["-"] else "line" if table is None else "row",
        show_progress=not prints_json or _is_file(sys.stdout),
        prompt=prompt,
        prompt_name=prompt_name,
        **embed_options,
    )
    if out is not None:
        with when_interrupted(lambda: f"{printable(out)} was not written. {_START_AGAIN}"):
            written = kind.write(out, windows, table)
        say(f"Wrote {written} to {printable(out)}.")
    elif prints_json:
        with when_interrupted(lambda: f"The last line may not be whole. {_START_AGAIN}"):
            for line in kind.json_lines(windows, table):
                typer.echo(escape_json_controls(line))
    else:
        with when_interrupted(lambda: _START_AGAIN):
            _print_tables(embedder, windows)


def _check_task(
    task: str,
    model: str,
    normalize: bool | None,
    truncate_dim: int | None,
    output_dtype: str,
    max_active_dims: int | None,
) -> None:
    """Refuse options of the other task."""
    if task == "dense":
        if max_active_dims is not None:
            raise OptionError("--max-active-dims needs --task sparse. To shorten dense vectors, give --truncate-dim.")
        return
    if normalize is not None:
        raise OptionError("--normalize is for dense vectors. The length of a sparse vector counts when it is compared.")
    if truncate_dim is not None:
        raise OptionError("--truncate-dim is for dense vectors. To shorten sparse vectors, give --max-active-dims.")
    if output_dtype != "float32":
        raise OptionError("--output-dtype is for dense vectors. The numbers of sparse vectors are float32.")
    if model == options.DEFAULT_MODEL:
        raise OptionError(
            f"{model} gives no sparse vectors. For --task sparse, name a model that does, such as -m naver/splade-v3."
        )


def _for_queries(embedder: Embedder | SparseEmbedder) -> Embedder | SparseEmbedder:
    """What embeds queries, if the model reads them in another way than documents."""
    from pellucid.embedder import Embedder

    if isinstance(embedder, Embedder):
        return embedder.for_queries
    if embedder.reads_queries_apart:
        raise OptionError(
            f"{embedder.model_name} has another way to read queries, which --query does not take. Use "
            f"SparseEmbedder.embed_query in Python."
        )
    return embedder


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
    embedder: Embedder | SparseEmbedder,
    lines: Iterable[str],
    *,
    unit: str,
    show_progress: bool,
    **embed_options: Any,
) -> Windows:
    """Embed the texts window by window. The first window is empty.

    Args:
        embedder: the model.
        lines: the texts.
        unit: what people count in the file: "line" or "row", from 1; or "text", from 0, as the table shows it.
        show_progress: draw a progress bar on standard error.
        embed_options: those of ``embed_stream``.
    """
    from pellucid.files.progress import progress

    pending: collections.deque[str] = collections.deque()

    def feed() -> Iterator[str]:
        for text in lines:
            pending.append(text)
            yield text

    def place(position: int) -> str:
        return f"{unit} {position if unit == 'text' else position + 1:,}"

    yield [], embedder.embed_documents([], **embed_options)
    total = len(lines) if isinstance(lines, list) else None
    with naming_places(place), progress(total, show=show_progress, leave=False) as advance:
        for window in embedder.embed_stream(feed(), advance=advance, **embed_options):
            yield [pending.popleft() for _ in range(len(window))], window


def _print_tables(embedder: Embedder | SparseEmbedder, windows: Windows) -> None:
    """Print the first texts with their vectors, and the similarities if there are only a few texts."""
    from pellucid.embedder import Embedder

    first_texts: list[str] = []
    first_windows: list[Any] = []
    count = 0
    for texts, window in windows:
        count += len(texts)
        room = _MAX_TABLE_TEXTS - len(first_texts)
        first_texts += texts[:room]
        first_windows.append(window[:room])
    omitted = count - len(first_texts)
    if not isinstance(embedder, Embedder):
        weights = SparseVectors.concatenate(first_windows)
        sparse.print_vectors(embedder, first_texts, weights, omitted=omitted)
        if 1 < count <= _MAX_SIMILARITY_TEXTS:
            sparse.print_products(weights)
        return
    first_vectors = np.concatenate(first_windows)
    vectors.print_vectors(embedder, first_texts, first_vectors, omitted=omitted)
    if 1 < count <= _MAX_SIMILARITY_TEXTS and np.issubdtype(first_vectors.dtype, np.floating):
        vectors.print_similarities(first_vectors)


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
