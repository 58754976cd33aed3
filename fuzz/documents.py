"""Target ``documents``: files with any content. Reading one gives texts, or the error is an ``UnreadableFileError``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from fuzz.hostile import VALID_FILES
from pellucid.errors import UnreadableFileError
from pellucid.search.readers import parse

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
SUFFIXES = (".html", ".jsonl", ".csv", ".pdf", ".parquet", ".md", "")


def target() -> Callable[[Any], None]:
    valid_files = {PurePath(name).suffix: make() for name, make in VALID_FILES.items()}

    def check(data: Any) -> None:
        suffix = data.PickValueInList(list(SUFFIXES))
        content = make_content(data, valid_files.get(suffix, b""))
        try:
            for document in parse(content, suffix):
                assert document.text.encode("utf-8") is not None
        except UnreadableFileError:
            pass

    return check


def make_content(data: Any, valid: bytes) -> bytes:
    """The valid file with some bytes changed, or pieces of files in any order."""
    if valid and data.ConsumeBool():
        changed = bytearray(valid)
        for _ in range(data.ConsumeIntInRange(1, 8)):
            start = data.ConsumeIntInRange(0, len(changed))
            changed[start : start + data.ConsumeIntInRange(0, 6)] = data.ConsumeBytes(data.ConsumeIntInRange(0, 6))
        return bytes(changed)
    count = data.ConsumeIntInRange(0, 30)
    return b"".join(
        data.ConsumeBytes(6) if data.ConsumeIntInRange(0, 4) == 0 else data.PickValueInList(list(PIECES))
        for _ in range(count)
    )
