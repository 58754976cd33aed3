"""From a file to its texts: one for a text, Markdown or code; one for each page of a PDF and each row of a table.

Whether a file is text is judged by its bytes, not by its name. The name only says what kind of text it is.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
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
# What HTML puts below each other, in the two ways that matter to who cuts the text.
_PARAGRAPHS = (
    "address,article,aside,blockquote,div,dl,figure,footer,form,h1,h2,h3,h4,h5,h6,"
    "header,main,nav,ol,p,pre,section,table,ul"
)
_LINES = "br,dd,dt,figcaption,li,option,tr"
_CELLS = "td,th"
_PARAGRAPH_END, _LINE_END, _KEPT_SPACE = "\u2029", "\u2028", "\ue000"


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
        UnreadableError: the file is empty, too large, no text, in no encoding that can be told, or broken.
        MissingExtraError: the extra ``search`` is not installed.
    """
    try:
        size = path.stat().st_size
        if size == 0:
            raise UnreadableError("empty")
        if size > LARGEST:
            raise UnreadableError(f"{size:,} bytes, more than the {LARGEST:,} that are read")
        reader = _READERS.get(path.suffix.lower(), _text)
        yield from (replace(document, text=_encodable(document.text)) for document in reader(path, column))
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from error


def _encodable(text: str) -> str:
    """Half characters (lone surrogates), which JSON and PDF may have, are replaced: nothing could store them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _text(path: Path, _column: str) -> Iterator[Document]:
    yield Document(_decoded(path), _kind(path))


def _kind(path: Path) -> Kind:
    suffix = path.suffix.lower()
    if suffix in _MARKDOWN:
        return "markdown"
    return "code" if suffix in _CODE else "text"


def _decoded(path: Path) -> str:
    """The characters: of UTF-16 if the file says so in its first bytes, of UTF-8 else."""
    with path.open("rb") as file:
        content = file.read(_LOOKED_AT)
        wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        if b"\0" in content and not wide:
            raise UnreadableError("binary")
        content += file.read()
    name = "UTF-16" if wide else "UTF-8"
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"not {name} (byte {error.start + 1})") from None


def _html(path: Path, _column: str) -> Iterator[Document]:
    try:
        from selectolax.lexbor import LexborHTMLParser
    except ImportError:
        raise MissingExtraError("selectolax", "search") from None

    tree = LexborHTMLParser(_decoded(path))
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
    except (pypdf.errors.FileNotDecryptedError, pypdf.errors.DependencyError):
        raise UnreadableError("an encrypted PDF") from None
    except Exception as error:  # pypdf goes on with a broken PDF until anything at all goes wrong.
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


def _csv(path: Path, column: str) -> Iterator[Document]:
    """The records of RFC 4180, whose fields are all texts, also those that look like numbers."""
    csv.field_size_limit(LARGEST)
    records = csv.reader(io.StringIO(_decoded(path), newline=""), strict=True)
    try:
        names = next(records, [])
        place = _place_of(column, names)
        for number, fields in enumerate(filter(None, records), start=1):
            if len(fields) != len(names):
                raise UnreadableError(f"row {number} has {len(fields)} fields, and the header {len(names)}")
            yield Document(fields[place], "text", f"row {number}")
    except csv.Error as error:
        raise UnreadableError(f"no sound CSV (line {records.line_num})") from error


def _parquet(path: Path, column: str) -> Iterator[Document]:
    try:
        import pyarrow  # type: ignore[import-untyped]
        import pyarrow.parquet  # type: ignore[import-untyped]
    except ImportError:
        raise MissingExtraError("pyarrow", "search") from None

    try:
        with pyarrow.parquet.ParquetFile(path) as opened:
            _place_of(column, opened.schema_arrow.names)
            values = opened.read(columns=[column])[column].to_pylist()
    except (pyarrow.ArrowException, ValueError) as error:
        raise UnreadableError(f"no sound Parquet ({type(error).__name__})") from error
    for number, value in enumerate(values, start=1):
        if isinstance(value, str):
            yield Document(value, "text", f"row {number}")


def _place_of(column: str, names: Sequence[str]) -> int:
    if column not in names:
        raise UnreadableError(f"no column {column!r}, only {', '.join(names) or 'none'}")
    if names.count(column) > 1:
        raise UnreadableError(f"several columns {column!r}")
    return names.index(column)


_READERS: dict[str, Callable[[Path, str], Iterator[Document]]] = {
    ".html": _html,
    ".htm": _html,
    ".pdf": _pdf,
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".parquet": _parquet,
}
