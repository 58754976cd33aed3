"""From a file's bytes to its texts: one for text, Markdown or code; one for each page of a PDF, or row of a table.

Whether a file is text is decided by its bytes, not by its name. The name only says what kind of text it is.
"""

from __future__ import annotations

import codecs
import io
import logging
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pellucid.errors import MissingExtraError, UnreadableFileError
from pellucid.search.headings import Heading, find_headings, shortened
from pellucid.tables.records import read_header, read_records

if TYPE_CHECKING:
    from pellucid.text.chunking import Kind

MAX_BYTES = 64 << 20
"""A larger file, or one with more characters of text, is not read: no person wrote it."""
MAX_TEXTS = 100_000
"""A table with more rows is not read. ``pellucid batch`` is for those."""
_NAMES_SHOWN, _LETTERS_SHOWN = 10, 40
_CHECKED_FOR_ZEROS = 8192
_CODE = (
    *(".c", ".cc", ".cpp", ".cs", ".css", ".go", ".h", ".hpp", ".java", ".js", ".jsx", ".kt", ".lua", ".php", ".pl"),
    *(".py", ".pyi", ".r", ".rb", ".rs", ".scala", ".sh", ".sql", ".swift", ".toml", ".ts", ".tsx", ".yaml", ".yml"),
)
_MARKDOWN = (".md", ".markdown", ".mdx")
# HTML elements that begin a paragraph, and those that only begin a line: text is cut at one rather than the other.
_PARAGRAPHS = (
    "address,article,aside,blockquote,div,dl,figure,footer,form,h1,h2,h3,h4,h5,h6,"
    "header,main,nav,ol,p,pre,section,table,ul"
)
_LINES = "br,dd,dt,figcaption,li,option,tr"
_CELLS = "td,th"
_HEADINGS = "h1,h2,h3,h4,h5,h6"
_PARAGRAPH_END, _LINE_END, _KEPT_SPACE, _HEADING = "\u2029", "\u2028", "\ue000", "\ue001"


@dataclass(frozen=True)
class Document:
    """A text to index.

    Attributes:
        text: the text; for HTML and PDF, what was extracted from the file.
        kind: the kind of text, which says where to cut it.
        part: the part of the file, such as "page 3" or "row 17"; "" for the whole file.
        headings: where each heading stands in the text, and what it says.
    """

    text: str
    kind: Kind
    part: str = ""
    headings: tuple[Heading, ...] = ()


def read(path: Path, column: str = "text") -> Iterator[Document]:
    """The texts of a file, read in this process.

    Args:
        path: the file.
        column: in a table (``.csv``, ``.jsonl``, ``.parquet``), the column of texts.

    Raises:
        UnreadableFileError: the file is empty, too large, not text, in an unknown encoding, or broken.
        MissingExtraError: the extra ``search`` is not installed.
    """
    yield from parse(read_bytes(path), path.suffix, column)


def read_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        UnreadableFileError: it cannot be read, is not a regular file, is empty, or is larger than ``MAX_BYTES``.
    """
    try:
        # Without blocking, in case a pipe has taken the file's place.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with open(os.open(path, flags), "rb") as file:  # noqa: PTH123  a descriptor has no Path
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableFileError("not a regular file")
            content = b"" if status.st_size > MAX_BYTES else file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableFileError(error.strerror or str(error)) from error
    if (size := max(status.st_size, len(content))) > MAX_BYTES:
        raise UnreadableFileError(f"too large: {size:,} bytes, and at most {MAX_BYTES:,} are read")
    if not content:
        raise UnreadableFileError("empty")
    return content


def is_plain(suffix: str) -> bool:
    """Whether files with this ending are read as they are: no library, and no format that could be hostile."""
    return suffix.lower() not in _READERS


def parse(content: bytes, suffix: str, column: str = "text") -> Iterator[Document]:
    """The texts in the bytes of a file.

    Args:
        content: the bytes.
        suffix: how the file's name ends, such as ".md".
        column: in a table, the column of texts.

    Raises:
        UnreadableFileError: there is no text that can be read, or too much.
        MissingExtraError: the extra ``search`` is not installed.
    """
    if is_plain(suffix):
        text, kind = _decode(content), kind_of(suffix)
        return iter([Document(text, kind, headings=find_headings(text, kind))])
    return _within_bounds(_READERS[suffix.lower()](content, column))


def _within_bounds(documents: Iterable[Document]) -> Iterator[Document]:
    """Pass documents on, with texts that can be stored. Refuses too many, or too much text."""
    characters = 0
    for count, document in enumerate(documents, start=1):
        characters += len(document.text)
        _check_count(count)
        if characters > MAX_BYTES:
            raise UnreadableFileError(f"more than {MAX_BYTES:,} characters of text")
        headings = tuple((start, _encodable(heading)) for start, heading in document.headings)
        yield replace(document, text=_encodable(document.text), headings=headings)


def _check_count(texts: int) -> None:
    if texts > MAX_TEXTS:
        raise UnreadableFileError(f"more than {MAX_TEXTS:,} rows or pages")


def _encodable(text: str) -> str:
    """Replace half characters (lone surrogates). JSON and PDF may have them, but nothing can store them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def kind_of(suffix: str) -> Kind:
    """The kind of text in files whose names end so, such as "code" for ".py"."""
    suffix = suffix.lower()
    if suffix in _MARKDOWN:
        return "markdown"
    return "code" if suffix in _CODE else "text"


def _decode(content: bytes) -> str:
    """The characters of UTF-16, if the file begins with a byte order mark, or else of UTF-8."""
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if b"\0" in content[:_CHECKED_FOR_ZEROS] and not wide:
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

    tree = LexborHTMLParser(_decode(content))
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
    for node in tree.css(_HEADINGS):
        node.insert_before(_HEADING)
    text, headings = _laid_out(tree.body.text())
    yield Document(text, "text", "text", headings)


def _laid_out(text: str) -> tuple[str, tuple[Heading, ...]]:
    """Marked text of HTML as a page shows it: spaces joined (CSS Text 3, section 4), in lines and paragraphs."""
    paragraphs: list[str] = []
    headings: list[Heading] = []
    start, is_heading = 0, False
    for paragraph in text.split(_PARAGRAPH_END):
        lines = (re.sub(r"[ \t\n\r\f]+", " ", line).strip(" ") for line in paragraph.split(_LINE_END))
        laid_out = "\n".join(line.replace(_KEPT_SPACE, " ") for line in lines if line)
        shown = laid_out.replace(_HEADING, "")
        is_heading = is_heading or laid_out.startswith(_HEADING)
        if shown:
            if is_heading:
                headings.append((start, shortened(shown)))
            is_heading = False
            paragraphs.append(shown)
            start += len(shown) + len("\n\n")
    return "\n\n".join(paragraphs), tuple(headings)


def _pdf(content: bytes, _column: str) -> Iterator[Document]:
    try:
        import pypdf
        import pypdf.errors
    except ImportError:
        raise MissingExtraError("pypdf", "search") from None

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # Its warnings quote the file.
    try:
        with pypdf.PdfReader(io.BytesIO(content)) as reader:
            for number, page in enumerate(reader.pages, start=1):
                yield Document(page.extract_text(), "text", f"page {number}")
    except (pypdf.errors.FileNotDecryptedError, pypdf.errors.DependencyError):
        raise UnreadableFileError("an encrypted PDF") from None
    except MemoryError:
        raise
    except Exception as error:  # With a broken PDF, pypdf goes on until it fails in any way.
        raise UnreadableFileError(f"broken PDF ({type(error).__name__})") from error


def _jsonl(content: bytes, column: str) -> Iterator[Document]:
    content = _decode(content).encode()  # It may have been UTF-16.
    line, counted = 1, 0
    for record in read_records(io.BytesIO(content), "jsonl", column, max_row_bytes=MAX_BYTES, texts_only=True):
        line += content.count(b"\n", counted, record.offset)
        counted = record.offset
        if record.fault is not None:
            raise UnreadableFileError(f"line {line}: {record.fault}")
        yield Document(record.values[column], "text", f"line {line}")


def _csv(content: bytes, column: str) -> Iterator[Document]:
    content = _decode(content).encode()
    if b"\n" not in content:  # Line ends of old Macs.
        content = content.replace(b"\r", b"\n")
    file = io.BytesIO(content)
    header = read_header(file)
    _check_column(column, header[0])
    for number, record in enumerate(read_records(file, "csv", column, header=header, max_row_bytes=MAX_BYTES), start=1):
        if record.fault is not None:
            raise UnreadableFileError(f"row {number}: {record.fault}")
        yield Document(record.values[column], "text", f"row {number}")


def _parquet(content: bytes, column: str) -> Iterator[Document]:
    try:
        from pellucid.tables import parquet
        from pellucid.tables.arrow import ARROW_ERRORS
    except MissingExtraError:
        raise MissingExtraError("pyarrow", "search") from None

    number = 0
    try:
        rows, schema = parquet.describe(content)
        _check_column(column, schema.names)
        _check_count(rows)
        for batch in parquet.read_batches(content, columns=[column], use_threads=False):
            for value in batch.column(0).to_pylist():
                number += 1
                if isinstance(value, str):
                    yield Document(value, "text", f"row {number}")
    except (MemoryError, UnreadableFileError):
        raise
    except (ValueError, KeyError, IndexError, *ARROW_ERRORS) as error:  # type: ignore[misc]  # An Any among them.
        raise UnreadableFileError(f"broken Parquet ({type(error).__name__})") from error


def _check_column(column: str, names: Sequence[str]) -> None:
    if column not in names:
        shown = ", ".join(name[:_LETTERS_SHOWN] for name in names[:_NAMES_SHOWN]) or "none"
        more = f", and {len(names) - _NAMES_SHOWN:,} more" if len(names) > _NAMES_SHOWN else ""
        raise UnreadableFileError(f"no column {column!r}, only {shown}{more}")
    if names.count(column) > 1:
        raise UnreadableFileError(f"several columns {column!r}")


_READERS: dict[str, Callable[[bytes, str], Iterator[Document]]] = {
    ".html": _html,
    ".htm": _html,
    ".pdf": _pdf,
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".parquet": _parquet,
}
