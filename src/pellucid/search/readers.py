"""From a file's bytes to its texts: one for a text, Markdown or code; one for each page of a PDF and row of a table.

Whether a file is text is judged by its bytes, not by its name. The name only says what kind of text it is.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import logging
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pellucid.errors import MissingExtraError, UnreadableFileError

if TYPE_CHECKING:
    from pellucid.text.chunking import Kind

LARGEST = 64 << 20
"""A file of more bytes, or of more characters of text, is not read: it is no text that a person wrote."""
MOST_TEXTS = 100_000
"""A table of more rows is not read. For those there is ``pellucid batch``."""
_MOST_NAMES, _LONGEST_NAME = 10, 40
_LOOKED_AT = 8192
_ROWS_AT_ONCE = 64
_CODE = (
    *(".c", ".cc", ".cpp", ".cs", ".css", ".go", ".h", ".hpp", ".java", ".js", ".jsx", ".kt", ".lua", ".php", ".pl"),
    *(".py", ".pyi", ".r", ".rb", ".rs", ".scala", ".sh", ".sql", ".swift", ".toml", ".ts", ".tsx", ".yaml", ".yml"),
)
_MARKDOWN = (".md", ".markdown", ".mdx")
# What HTML puts below each other, in the two ways that matter to who cuts the text.
_PARAGRAPHS = (
    "address,article,aside,blockquote,div,dl,figure,footer,form,h1,h2,h3,h4,h5,h6,"
    "header,main,nav,ol,p,pre,section,table,ul"
)
_LINES = "br,dd,dt,figcaption,li,option,tr"
_CELLS = "td,th"
_PARAGRAPH_END, _LINE_END, _KEPT_SPACE = "\u2029", "\u2028", "\ue000"


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
    """The texts of a file, read in this process.

    Args:
        path: the file.
        column: of a table (``.csv``, ``.jsonl``, ``.parquet``), where the texts are.

    Raises:
        UnreadableFileError: the file is empty, too large, no text, in no encoding that can be told, or broken.
        MissingExtraError: the extra ``search`` is not installed.
    """
    yield from parse(content_of(path), path.suffix, column)


def content_of(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        UnreadableFileError: it cannot be read, is no regular file, is empty, or is larger than ``LARGEST``.
    """
    try:
        # A pipe that took the file's place does not keep us waiting.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with open(os.open(path, flags), "rb") as file:  # noqa: PTH123  of a descriptor
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableFileError("not a regular file")
            content = b"" if status.st_size > LARGEST else file.read(LARGEST + 1)
    except OSError as error:
        raise UnreadableFileError(error.strerror or str(error)) from error
    if max(status.st_size, len(content)) > LARGEST:
        raise UnreadableFileError(
            f"{max(status.st_size, len(content)):,} bytes, more than the {LARGEST:,} that are read"
        )
    if not content:
        raise UnreadableFileError("empty")
    return content


def is_plain(suffix: str) -> bool:
    """Whether files whose names end so are read as they are, without a library or a format that could lie."""
    return suffix.lower() not in _READERS


def parse(content: bytes, suffix: str, column: str = "text") -> Iterator[Document]:
    """The texts in the bytes of a file.

    Args:
        content: the bytes.
        suffix: how the file's name ends, such as ".md".
        column: of a table, where the texts are.

    Raises:
        UnreadableFileError: there is no text that can be read, or too much of it.
        MissingExtraError: the extra ``search`` is not installed.
    """
    if is_plain(suffix):
        return iter([Document(_decoded(content), _kind(suffix))])
    return _bounded(_READERS[suffix.lower()](content, column))


def _bounded(documents: Iterable[Document]) -> Iterator[Document]:
    """Documents, not too many of them nor too long, and with texts that can be stored."""
    characters = 0
    for count, document in enumerate(documents, start=1):
        characters += len(document.text)
        if count > MOST_TEXTS:
            raise UnreadableFileError(f"more than {MOST_TEXTS:,} rows or pages")
        if characters > LARGEST:
            raise UnreadableFileError(f"more than {LARGEST:,} characters of text")
        yield replace(document, text=_encodable(document.text))


def _encodable(text: str) -> str:
    """Half characters (lone surrogates), which JSON and PDF may have, are replaced: nothing could store them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _kind(suffix: str) -> Kind:
    suffix = suffix.lower()
    if suffix in _MARKDOWN:
        return "markdown"
    return "code" if suffix in _CODE else "text"


def _decoded(content: bytes) -> str:
    """The characters: of UTF-16 if the file says so in its first bytes, of UTF-8 else."""
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if b"\0" in content[:_LOOKED_AT] and not wide:
        raise UnreadableFileError("binary")
    name = "UTF-16" if wide else "UTF-8"
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFileError(f"not {name} (byte {error.start + 1})") from None


def _html(content: bytes, _column: str) -> Iterator[Document]:
    try:
        from selectolax.lexbor import LexborHTMLParser
    except ImportError:
        raise MissingExtraError("selectolax", "search") from None

    tree = LexborHTMLParser(_decoded(content))
    if tree.body is None:
        return
    for node in tree.css("script, style, template, noscript"):
        node.decompose()
    for node in tree.css("pre"):
        node.replace_with(
            _PARAGRAPH_END + node.text().replace("\n", _LINE_END).replace(" ", _KEPT_SPACE) + _PARAGRAPH_END
        )
    for selector, mark in ((_PARAGRAPHS, _PARAGRAPH_END), (_LINES, _LINE_END), (_CELLS, " ")):
        for node in tree.css(selector):
            node.insert_before(mark)
            node.insert_after(mark)
    yield Document(_laid_out(tree.body.text()), "text", "text")


def _laid_out(text: str) -> str:
    """Text of HTML with its marks, as a page shows it: spaces joined (CSS Text 3, section 4), lines and paragraphs."""
    paragraphs = []
    for paragraph in text.split(_PARAGRAPH_END):
        lines = (re.sub(r"[ \t\n\r\f]+", " ", line).strip(" ") for line in paragraph.split(_LINE_END))
        paragraphs.append("\n".join(line.replace(_KEPT_SPACE, " ") for line in lines if line))
    return "\n\n".join(filter(None, paragraphs))


def _pdf(content: bytes, _column: str) -> Iterator[Document]:
    try:
        import pypdf
        import pypdf.errors
    except ImportError:
        raise MissingExtraError("pypdf", "search") from None

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # Its warnings quote what the file says.
    try:
        with pypdf.PdfReader(io.BytesIO(content)) as reader:
            for number, page in enumerate(reader.pages, start=1):
                yield Document(page.extract_text(), "text", f"page {number}")
    except (pypdf.errors.FileNotDecryptedError, pypdf.errors.DependencyError):
        raise UnreadableFileError("an encrypted PDF") from None
    except MemoryError:
        raise
    except Exception as error:  # pypdf goes on with a broken PDF until anything at all goes wrong.
        raise UnreadableFileError(f"no sound PDF ({type(error).__name__})") from error


def _jsonl(content: bytes, column: str) -> Iterator[Document]:
    for number, line in enumerate(_lines(_decoded(content)), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise UnreadableFileError(f"line {number} is no JSON") from None
        value = row.get(column) if isinstance(row, dict) else None
        if not isinstance(value, str):
            raise UnreadableFileError(f"line {number} has no text called {column!r}")
        yield Document(value, "text", f"line {number}")


def _lines(text: str) -> Iterator[str]:
    """Lines as JSON lines have them: others of Python's ends of lines may be within a text."""
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield text[start:end]
        start = end + 1


def _csv(content: bytes, column: str) -> Iterator[Document]:
    """The records of RFC 4180, whose fields are all texts, also those that look like numbers."""
    csv.field_size_limit(LARGEST)
    records = csv.reader(io.StringIO(_decoded(content), newline=""), strict=True)
    try:
        names = next(records, [])
        place = _place_of(column, names)
        for number, fields in enumerate(filter(None, records), start=1):
            if len(fields) != len(names):
                raise UnreadableFileError(f"row {number} has {len(fields)} fields, and the header {len(names)}")
            yield Document(fields[place], "text", f"row {number}")
    except csv.Error as error:
        raise UnreadableFileError(f"no sound CSV (line {records.line_num})") from error


def _parquet(content: bytes, column: str) -> Iterator[Document]:
    try:
        import pyarrow  # type: ignore[import-untyped]
        import pyarrow.parquet  # type: ignore[import-untyped]
    except ImportError:
        raise MissingExtraError("pyarrow", "search") from None

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(io.BytesIO(content)) as opened:
            _place_of(column, opened.schema_arrow.names)
            if opened.metadata.num_rows > MOST_TEXTS:
                raise UnreadableFileError(f"more than {MOST_TEXTS:,} rows or pages")
            for batch in opened.iter_batches(_ROWS_AT_ONCE, columns=[column], use_threads=False):
                for value in batch.column(0).to_pylist():
                    number += 1
                    if isinstance(value, str):
                        yield Document(value, "text", f"row {number}")
    except MemoryError:
        raise
    except (pyarrow.ArrowException, ValueError, OSError, KeyError, IndexError) as error:
        raise UnreadableFileError(f"no sound Parquet ({type(error).__name__})") from error


def _place_of(column: str, names: Sequence[str]) -> int:
    if column not in names:
        shown = ", ".join(name[:_LONGEST_NAME] for name in names[:_MOST_NAMES]) or "none"
        more = f", and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
        raise UnreadableFileError(f"no column {column!r}, only {shown}{more}")
    if names.count(column) > 1:
        raise UnreadableFileError(f"several columns {column!r}")
    return names.index(column)


_READERS: dict[str, Callable[[bytes, str], Iterator[Document]]] = {
    ".html": _html,
    ".htm": _html,
    ".pdf": _pdf,
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".parquet": _parquet,
}
