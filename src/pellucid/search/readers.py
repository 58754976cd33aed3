"""From a file to its texts: one for a text, Markdown or code; one for each page of a PDF and each row of a table.

Whether a file is text is judged by its bytes, not by its name. The name only says what kind of text it is.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pellucid.chunking import Kind
from pellucid.errors import MissingExtraError, PellucidError

LARGEST = 64 << 20
"""A file of more bytes than this is not read: it is no text that a person wrote."""
_LOOKED_AT = 8192
_CODE = (
    *(".c", ".cc", ".cpp", ".cs", ".css", ".go", ".h", ".hpp", ".java", ".js", ".jsx", ".kt", ".lua", ".php", ".pl"),
    *(".py", ".pyi", ".r", ".rb", ".rs", ".scala", ".sh", ".sql", ".swift", ".toml", ".ts", ".tsx", ".yaml", ".yml"),
)
_MARKDOWN = (".md", ".markdown", ".mdx")


class UnreadableError(PellucidError):
    """A file that has no text for us; the message says why, and never has any of it."""


@dataclass(frozen=True)
class Document:
    """A text to be found.

    Attributes:
        text: the text. For HTML and PDF, what was taken out of the file.
        kind: how it is to be cut.
        part: which part of the file it is, such as "page 3" or "row 17"; "" for all of it.
    """

    text: str
    kind: Kind
    part: str = ""


def read(path: Path, column: str = "text") -> Iterator[Document]:
    """The texts of a file.

    Args:
        path: the file.
        column: of a table (``.csv``, ``.jsonl``, ``.parquet``), where the texts are.

    Raises:
        UnreadableError: the file is empty, too large, no text, not UTF-8, or broken.
        MissingExtraError: the extra ``search`` is not installed.
    """
    try:
        size = path.stat().st_size
        if size == 0:
            raise UnreadableError("empty")
        if size > LARGEST:
            raise UnreadableError(f"{size:,} bytes, more than the {LARGEST:,} that are read")
        for document in _READERS.get(path.suffix.lower(), _text)(path, column):
            try:
                document.text.encode()
            except UnicodeEncodeError:
                raise UnreadableError(f"{document.part} has half a character, a lone surrogate") from None
            yield document
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from error


def _text(path: Path, _column: str) -> Iterator[Document]:
    yield Document(_decoded(path), _kind(path))


def _kind(path: Path) -> Kind:
    suffix = path.suffix.lower()
    if suffix in _MARKDOWN:
        return "markdown"
    return "code" if suffix in _CODE else "text"


def _decoded(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(_LOOKED_AT)
        if b"\0" in content:
            raise UnreadableError("binary")
        content += file.read()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"not UTF-8 (byte {error.start + 1})") from None


def _html(path: Path, _column: str) -> Iterator[Document]:
    try:
        from selectolax.lexbor import LexborHTMLParser
    except ImportError:
        raise MissingExtraError("selectolax", "search") from None

    tree = LexborHTMLParser(_decoded(path))
    for node in tree.css("script, style, template, noscript"):
        node.decompose()
    text = tree.body.text(separator="\n", strip=True) if tree.body is not None else ""
    yield Document(text, "text")


def _pdf(path: Path, _column: str) -> Iterator[Document]:
    try:
        import pypdf
        import pypdf.errors
    except ImportError:
        raise MissingExtraError("pypdf", "search") from None

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # Its warnings quote what the file says.
    try:
        with pypdf.PdfReader(path) as reader:
            for number, page in enumerate(reader.pages, start=1):
                yield Document(page.extract_text(), "text", f"page {number}")
    except (pypdf.errors.PyPdfError, ValueError, KeyError, TypeError, RecursionError) as error:
        # What a broken PDF raises is not all of the library's own kind.
        raise UnreadableError(f"no sound PDF ({type(error).__name__})") from error


def _jsonl(path: Path, column: str) -> Iterator[Document]:
    for number, line in enumerate(_decoded(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise UnreadableError(f"line {number} is no JSON") from None
        value = row.get(column) if isinstance(row, dict) else None
        if not isinstance(value, str):
            raise UnreadableError(f"line {number} has no text called {column!r}")
        yield Document(value, "text", f"line {number}")


def _table(path: Path, column: str) -> Iterator[Document]:
    try:
        import pyarrow  # type: ignore[import-untyped]
        import pyarrow.csv  # type: ignore[import-untyped]
        import pyarrow.parquet  # type: ignore[import-untyped]
    except ImportError:
        raise MissingExtraError("pyarrow", "search") from None

    try:
        if path.suffix.lower() == ".parquet":
            table = pyarrow.parquet.read_table(path)
        else:
            table = pyarrow.csv.read_csv(path, parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True))
        columns = table.column_names  # Of bytes that are not UTF-8, it raises here.
    except (pyarrow.ArrowException, ValueError) as error:
        raise UnreadableError(f"no sound {path.suffix[1:]} ({type(error).__name__})") from error
    if columns.count(column) != 1:
        has = "several columns" if column in columns else "no column"
        raise UnreadableError(f"{has} {column!r}, only {', '.join(columns)}")
    for number, value in enumerate(table[column].to_pylist(), start=1):
        if isinstance(value, str):
            yield Document(value, "text", f"row {number}")


_READERS: dict[str, Callable[[Path, str], Iterator[Document]]] = {
    ".html": _html,
    ".htm": _html,
    ".pdf": _pdf,
    ".jsonl": _jsonl,
    ".csv": _table,
    ".parquet": _table,
}
