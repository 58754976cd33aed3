"""Files to be searched, of any bytes: they have texts, or the error is an UnreadableError."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pypdf

from pellucid.search.readers import UnreadableError, read

PIECES = (
    *(
        b"<p>",
        b"</p>",
        b"<style>",
        b"<noscript>",
        b"<pre>",
        b"</pre>",
        b"<li>",
        b"<br>",
        b"<td>",
        b"</noscript>",
        b"<template>",
        b"<script>",
        b"</script>",
        b"<body>",
        b"<frameset>",
    ),
    *(
        b"<table>",
        b"<svg>",
        b"<math>",
        b"&#0;",
        b"&#xD800;",
        b"<!--",
        b"<![CDATA[",
        b"<a b='",
        b"\0",
        b"\xff",
        b"\xe2\x80\xa8",
        b"\xef\xbb\xbf",
    ),
    *(
        b"text",
        b"text,text\n",
        b"a,text\n",
        b'"',
        b",",
        b"\n",
        b"\r",
        b'{"text": "',
        b'"}\n',
        b"\\ud800",
        b"[" * 3000,
        b"{",
        b"1" * 5000,
    ),
    *(
        b"%PDF-1.4\n",
        b"1 0 obj\n",
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"endobj\n",
        b"stream\n",
        b"endstream",
        b"xref\n0 3\n",
    ),
    *(
        b"trailer << /Root 1 0 R /Size 3 >>\n",
        b"startxref\n9\n%%EOF",
        b"/Kids [1 0 R]",
        b"/Filter /FlateDecode",
        b"PAR1",
    ),
)
NAMES = ("a.html", "a.jsonl", "a.csv", "a.pdf", "a.parquet", "a.md", "a")


def target() -> Callable[[Any], None]:
    folder = Path(tempfile.mkdtemp())
    whole = _whole(folder)

    def check(data: Any) -> None:
        name = data.PickValueInList(list(NAMES))
        path = folder / name
        path.write_bytes(made(data, whole.get(name, b"")))
        try:
            for document in read(path):
                assert document.text.encode("utf-8") is not None
        except UnreadableError:
            pass

    return check


def made(data: Any, whole: bytes) -> bytes:
    """A whole file with some bytes changed, or pieces of files in any order."""
    if whole and data.ConsumeBool():
        changed = bytearray(whole)
        for _ in range(data.ConsumeIntInRange(1, 8)):
            start = data.ConsumeIntInRange(0, len(changed))
            changed[start : start + data.ConsumeIntInRange(0, 6)] = data.ConsumeBytes(data.ConsumeIntInRange(0, 6))
        return bytes(changed)
    count = data.ConsumeIntInRange(0, 30)
    return b"".join(
        data.ConsumeBytes(6) if data.ConsumeIntInRange(0, 4) == 0 else data.PickValueInList(list(PIECES))
        for _ in range(count)
    )


def _whole(folder: Path) -> dict[str, bytes]:
    """A sound file of each kind that has a structure of its own."""
    pyarrow.parquet.write_table(pyarrow.table({"text": ["the cat", None], "n": [1, 2]}), folder / "a.parquet")
    writer = pypdf.PdfWriter()
    page = writer.add_blank_page(100, 100)
    font = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
    names = pypdf.generic.NameObject
    fonts = pypdf.generic.DictionaryObject({names(key): names(value) for key, value in font.items()})
    page[names("/Resources")] = pypdf.generic.DictionaryObject(
        {names("/Font"): pypdf.generic.DictionaryObject({names("/F1"): fonts})}
    )
    content = pypdf.generic.StreamObject()
    content.set_data(b"BT /F1 12 Tf 10 10 Td (the cat) Tj ET")
    page[names("/Contents")] = writer._add_object(content)
    writer.write(folder / "a.pdf")
    return {
        **{name: (folder / name).read_bytes() for name in ("a.parquet", "a.pdf")},
        "a.jsonl": b'{"text": "the cat"}\n{"n": [1, {"a": null}], "text": "caf\\u00e9 \\ud83d\\ude00"}\n',
        "a.csv": b'text,n\n"the\n""cat""",1\na dog,2\n',
        "a.html": b"<html><title>t</title><body><p>the <b>cat</b></p><noscript>no</noscript></body>",
    }
