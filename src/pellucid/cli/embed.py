"""``pellucid embed``: texts from the command line, a file or standard input; a table, or vectors to keep."""

from __future__ import annotations

import collections
import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from pellucid.cli import vectors as output
from pellucid.errors import OptionError, TextError, printable

if TYPE_CHECKING:
    from pellucid.cli.vectors import VectorArray
    from pellucid.embedder import Embedder

DEFAULT_MODEL = "all-MiniLM-L6-v2"
DTYPE_HELP = "The arithmetic: exact, near-lossless, or smallest; on a GPU, float16."
DEVICE_HELP = "'cpu', or with the torch extra 'cuda', 'cuda:1', 'mps'."
_TABLE_TEXTS = 20
_SIMILARITY_TEXTS = 12


class OutputType(StrEnum):
    """The types of ``--output-dtype``, less those that need the ranges of all vectors at once."""

    float32 = "float32"
    float16 = "float16"
    binary = "binary"
    ubinary = "ubinary"


class Dtype(StrEnum):
    """The arithmetic of the native engine."""

    float32 = "float32"
    int16 = "int16"
    int8 = "int8"


class AnyDtype(StrEnum):
    """The arithmetic of the native engine, and of PyTorch's."""

    float32 = "float32"
    int16 = "int16"
    int8 = "int8"
    float16 = "float16"
    bfloat16 = "bfloat16"


class OnTruncation(StrEnum):
    """What to do with a text that is too long."""

    warn = "warn"
    error = "error"
    ignore = "ignore"


def embed(
    texts: Annotated[list[str] | None, typer.Argument(help="Texts. Without any: --file, or standard input.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Read one text a line; '-' for stdin.")] = None,
    model: Annotated[str, typer.Option("--model", "-m", help="Hub name, short name or folder.")] = DEFAULT_MODEL,
    out: Annotated[Path | None, typer.Option("--output", "-o", help="Write .npy, .jsonl or .parquet.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each text.")] = False,
    query: Annotated[bool, typer.Option("--query", help="Use the model's query prompt, if it has one.")] = False,
    prompt: Annotated[str | None, typer.Option(help="Put this before each text.")] = None,
    prompt_name: Annotated[str | None, typer.Option(help="Put this prompt of the model before each text.")] = None,
    normalize: Annotated[bool | None, typer.Option(help="To unit length, or not; default: as the model says.")] = None,
    truncate_dim: Annotated[int | None, typer.Option(help="Keep only so many dimensions.")] = None,
    output_dtype: Annotated[OutputType, typer.Option(help="Type of the numbers.")] = OutputType.float32,
    dtype: Annotated[AnyDtype, typer.Option(help=DTYPE_HELP)] = AnyDtype.float32,
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "cpu",
    on_truncation: Annotated[OnTruncation, typer.Option(help="Texts that are too long.")] = OnTruncation.warn,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of the Hub's copy.")] = None,
    cache_folder: Annotated[Path | None, typer.Option(help="Where models are kept.")] = None,
    local_files_only: Annotated[bool, typer.Option("--local-files-only", help="Never use the network.")] = False,
    threads: Annotated[int | None, typer.Option(help="How many threads to work with.")] = None,
) -> None:
    """Turn texts into vectors."""
    if json and out is not None:
        raise OptionError("give --json or --output, not both.")
    if query and (prompt is not None or prompt_name is not None):
        raise OptionError("give --query, --prompt or --prompt-name, not more than one of them.")
    write = output.writer_for(out) if out is not None else None  # Judged before the model is loaded.
    lines = _texts(texts, file)

    from pellucid.embedder import Embedder

    embedder = Embedder(
        model,
        revision=revision,
        cache_folder=cache_folder,
        local_files_only=local_files_only,
        dtype=dtype.value,
        device=device,
        threads=threads,
        on_truncation=on_truncation.value,
    )
    if query and "query" in embedder.spec.prompts:
        prompt_name = "query"
    windows = _windows(
        embedder,
        lines,
        prompt=prompt,
        prompt_name=prompt_name,
        normalize=normalize,
        truncate_dim=truncate_dim,
        output_dtype=output_dtype.value,
    )
    if out is not None and write is not None:
        write(out, windows)
        typer.echo(f"wrote {printable(out)}", err=True)
    elif json:
        for line in output.json_lines(windows):
            typer.echo(line)
    else:
        _show(embedder, windows)


def _windows(embedder: Embedder, lines: Iterable[str], **options: Any) -> Iterator[tuple[list[str], VectorArray]]:
    """The texts and their vectors, some at a time, with a count on standard error once it takes over a second."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    pending: collections.deque[str] = collections.deque()

    def feed() -> Iterator[str]:
        for text in lines:
            pending.append(text)
            yield text

    yield [], embedder.embed_documents([], **options)
    with tqdm(unit=" texts", desc="Embedding", disable=None, delay=1, leave=False) as bar:
        for vectors in embedder.embed_stream(feed(), **options):
            yield [pending.popleft() for _ in vectors], vectors
            bar.update(len(vectors))


def _show(embedder: Embedder, windows: output.Windows) -> None:
    """A table of the first texts."""
    shown: list[str] = []
    vectors: list[VectorArray] = []
    count = 0
    for texts, window in windows:
        count += len(texts)
        room = _TABLE_TEXTS - len(shown)
        shown += texts[:room]
        vectors.append(window[:room])
    together = np.concatenate(vectors)
    output.print_vectors(embedder, shown, together, beyond=count - len(shown))
    if 1 < count <= _SIMILARITY_TEXTS and np.issubdtype(together.dtype, np.floating):
        output.print_similarities(together)


def _texts(texts: list[str] | None, file: Path | None) -> Iterable[str]:
    """The texts, from the one place that was named."""
    if texts and file is not None:
        raise OptionError("give texts or --file, not both.")
    if texts:
        return texts
    if file is not None and str(file) != "-":
        if not file.is_file():
            raise OptionError(f"--file: {printable(file)} is not a file.")
        return read_lines(file)
    if file is None and sys.stdin.isatty():
        raise OptionError("no texts. Give some, or --file FILE, or pipe them in, one a line.")
    return read_lines(None)


def read_lines(file: Path | None) -> Iterator[str]:
    """One text a line, in UTF-8. An empty line is an empty text, so that line n is vector n."""
    from pellucid.tables.records import LONGEST_ROW

    where = printable(file) if file is not None else "standard input"
    with sys.stdin.buffer if file is None else file.open("rb") as source:
        for number, line in enumerate(iter(lambda: source.readline(LONGEST_ROW + 1), b""), start=1):
            if len(line) > LONGEST_ROW:
                raise TextError(f"line {number} of {where} is longer than {LONGEST_ROW >> 20} MiB. Split it.")
            try:
                yield line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise TextError(
                    f"line {number} of {where} is not UTF-8 (byte {error.start + 1} of the line). "
                    f"Convert it first, as with: iconv -f LATIN1 -t UTF-8"
                ) from None
