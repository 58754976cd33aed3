"""Folders of hostile files. Each file is small, but tries to take much time or memory, or to crash the process.

The tests index them, all of them with ``PELLUCID_HOSTILE=150``. ``fuzz.documents`` also uses the valid files from here.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import socket
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet

ROWS = 300_000
"""More rows than Pellucid reads from one file. They take about 4 MB."""


def write(folder: Path, names: Iterable[str] = (), mutated: int = 0) -> None:
    """Write the ``FILES`` with these names and this many mutated files into a folder. Also write files with odd names,
    non-files such as pipes, and hostile ``.gitignore`` files. This needs a POSIX system.
    """
    for name in names:
        (folder / name).write_bytes(FILES[name]())
    for seed in range(mutated):
        name, content = mutated_file(seed)
        (folder / f"drawn-{seed}-{name}").write_bytes(content)
    write_odd_names(folder / "names")
    write_non_files(folder / "places")
    write_gitignores(folder / "gitignores")


def write_odd_names(folder: Path) -> None:
    """Write files whose names are hard to print or to quote."""
    folder.mkdir()
    odd_names = [
        "a\nb.txt",
        "a\x1b[31mb.txt",
        "a\u202eb.txt",
        "a'b\".txt",
        "a\\xff.txt",
        " ",
        "...",
        "%s{0}",
        "a" * 251 + ".txt",
    ]
    for name in odd_names:
        (folder / name).write_text(f"okapi {len(name)}", encoding="utf-8")
    for name in (b"a\xff.txt", b"a\xed\xa0\x80.txt"):
        with contextlib.suppress(OSError):  # macOS refuses names that are not Unicode.
            Path(os.fsdecode(os.path.join(os.fsencode(folder), name))).write_text("okapi", encoding="utf-8")  # noqa: PTH118


def write_non_files(folder: Path) -> None:
    """Make pipes, a socket, links in circles or to nothing, and folders so deep that no path can name them."""
    folder.mkdir()
    os.mkfifo(folder / "pipe.txt")
    os.mkfifo(folder / "pipe.pdf")
    (folder / "zero.txt").symlink_to("/dev/zero")
    (folder / "loop").symlink_to(folder)
    (folder / "circle").symlink_to(folder / "circle")
    (folder / "gone").symlink_to(folder / "nowhere")
    with socket.socket(socket.AF_UNIX) as server, contextlib.suppress(OSError):  # The socket's path may be too long.
        server.bind(str(folder / "socket"))
    nest_folders(folder)


def nest_folders(folder: Path, depth: int = 2500) -> None:
    """Make folders so deep that no path can name them. Remove them with ``rm -r``: ``shutil.rmtree`` fails."""
    descriptor = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=descriptor)
        below = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)


def write_gitignores(folder: Path) -> None:
    """Write ``.gitignore`` files whose patterns are slow, invalid or too long; and a folder with this name."""
    contents = [
        b"*a" * 100 + b"*b",
        b"a/**/" * 60 + b"b",
        b"!\n\\\n[z-a]\n[[:x:]]\n[",
        b"\xff\0",
        b"*" * 501,
        b"#" * 100_001,
    ]
    for number, content in enumerate(contents):
        subfolder = folder / str(number)
        subfolder.mkdir(parents=True)
        (subfolder / ".gitignore").write_bytes(content)
        (subfolder / ("a" * 200)).write_text("okapi", encoding="utf-8")
    (folder / "folder" / ".gitignore").mkdir(parents=True)


def long_text(size: int) -> bytes:
    """A Parquet file of a few kilobytes with one text of about ``size`` characters, made without many copies of it."""
    text = b"cat " * (size // 4)
    bounds = np.array([0, len(text)], dtype=np.int64)
    array = pyarrow.LargeStringArray.from_buffers(1, pyarrow.py_buffer(bounds), pyarrow.py_buffer(text))
    return _parquet(array, use_dictionary=False, write_statistics=False)


def _parquet(texts: object, **options: bool) -> bytes:
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"text": texts}), out, compression="zstd", **options)
    return out.getvalue()


def _dictionary() -> bytes:
    """A Parquet file with fifty thousand rows that all point to one text of a megabyte."""
    indices = pyarrow.array([0] * 50_000, pyarrow.int32())
    return _parquet(pyarrow.DictionaryArray.from_arrays(indices, pyarrow.array(["cat " * (1 << 18)])))


def _pdf(objects: list[bytes]) -> bytes:
    """A PDF with these objects. The first one must be the catalog."""
    out = b"%PDF-1.7\n"
    offsets = []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    end = b"trailer <</Size %d /Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (size, len(out))
    return out + b"xref\n0 %d\n0000000000 65535 f \n" % size + table + end


def _pages(kids: bytes, count: int, content: bytes, filters: bytes = b"") -> bytes:
    """A PDF with one page object. ``kids``: the entries in its list of pages. ``content``: the content of the page."""
    font = b"<</Type /Font /Subtype /Type1 /BaseFont /Courier>>"
    page = b"<</Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Resources <</Font <</F %s>>>> /Contents 4 0 R>>" % font
    stream = b"<</Length %d %s>>stream\n%s\nendstream" % (len(content), filters, content)
    pages = b"<</Type /Pages /Kids [%s] /Count %d>>" % (kids, count)
    return _pdf([b"<</Type /Catalog /Pages 2 0 R>>", pages, page, stream])


_SHOW_TEXT = b"BT /F 9 Tf (the cat sat) Tj ET "

FILES: dict[str, Callable[[], bytes]] = {
    "rows.jsonl": lambda: b'{"text":"a"}\n' * ROWS,
    "empty-lines.jsonl": lambda: b"\n" * (4 << 20),
    "deep.jsonl": lambda: b'{"text": ' + b"[" * 1_000_000,
    "wide.jsonl": lambda: b'{"a": [' + b"[]," * 1_300_000 + b'1], "text": "cat"}',
    "number.jsonl": lambda: b'{"a": ' + b"9" * 1_000_000 + b', "text": "cat"}',
    "surrogates.jsonl": lambda: b'{"text": "' + b"\\ud800" * 1000 + b'"}',
    "rows.csv": lambda: b"text\n" + b"a\n" * (2 << 20),
    "columns.csv": lambda: b",".join(b"c%d" % number for number in range(200_000)) + b"\n",
    "field.csv": lambda: b'text\n"' + b'""' * (1 << 20) + b'"\n',
    "open.csv": lambda: b'text\n"' + b"a,\n" * (1 << 20),
    "dictionary.parquet": _dictionary,
    "rows.parquet": lambda: _parquet([""] * ROWS),
    "long.parquet": lambda: _parquet(["cat " * (1 << 25)]),
    "nested.parquet": lambda: _parquet([{"text": ["a"]}] * 10),
    "div.html": lambda: b"<div>" * 200_000 + b"cat",
    "formats.html": lambda: b"<b><i><a><p>" * 50_000 + b"cat",
    "tables.html": lambda: b"<table><tr><td>" * 60_000 + b"cat",
    "pre.html": lambda: b"<pre>" * 100_000 + b"cat",
    "templates.html": lambda: b"<template>" * 100_000 + b"cat",
    "entities.html": lambda: b"&#x1F600;" * 100_000,
    "attributes.html": lambda: b"<p " + b" ".join(b"a%d=1" % number for number in range(100_000)) + b">cat",
    "comments.html": lambda: b"<!--" * 300_000,
    "entities.xml": lambda: b'<!DOCTYPE a [<!ENTITY b "cat"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>',
    "pages.pdf": lambda: _pages(b"3 0 R " * 5000, 5000, _SHOW_TEXT * 100),
    "text.pdf": lambda: _pages(b"3 0 R", 1, _SHOW_TEXT * 200_000),
    "bomb.pdf": lambda: _pages(b"3 0 R", 1, zlib.compress(bytes(1 << 28), 9), b"/Filter /FlateDecode"),
    "circle.pdf": lambda: _pages(b"2 0 R", 1, _SHOW_TEXT),
    "deep.pdf": lambda: _pages(b"[" * 100_000, 1, _SHOW_TEXT),
    "quotes.txt": lambda: b"'" * 500_000,
    "spaces.txt": lambda: b" " * 1_000_000 + b"cat",
    "lines.txt": lambda: b"\n" * 1_000_000 + b"cat",
    "word.md": lambda: b"a" * 500_000,
    "headings.md": lambda: b"# \n" * 200_000,
    "accents.txt": lambda: "e\u0301\u0301\u0301".encode() * 50_000,
    "nothing.txt": lambda: "\u200b\ufeff\u00ad".encode() * 50_000,
    "nul.txt": lambda: b"cat " * 3000 + b"\0okapi",
    "half.txt": lambda: b"cat \xed\xa0\x80",
    "odd.txt": lambda: b"\xff\xfea",
    "lying.txt": lambda: b"\xef\xbb\xbf\xff\xfe",
    "escapes.txt": lambda: b"okapi \x1b[31m\x1b]0;title\x07\x9b \xc2\x9b31m red",
    "zip.txt": lambda: b"PK\x03\x04" + random.Random(0).randbytes(1000),  # noqa: S311  this is not for security
}


def mutated_file(seed: int) -> tuple[str, bytes]:
    """A valid file with a few of its bytes changed at random: its name and its content."""
    rng = random.Random(seed)  # noqa: S311  this is not for security
    name = rng.choice(sorted(VALID_FILES))
    content = bytearray(VALID_FILES[name]())
    for _ in range(rng.randint(1, 12)):
        start = rng.randrange(len(content) + 1)
        content[start : start + rng.randint(0, 4)] = rng.choice(
            [rng.randbytes(4), b"\xff" * 4, b"\0" * 4, b"999999999"]
        )
    return name, bytes(content)


VALID_FILES: dict[str, Callable[[], bytes]] = {
    "a.parquet": lambda: _parquet(["the cat", None, "a dog"] * 10),
    "b.parquet": lambda: _parquet(pyarrow.array(["the cat", "a dog"] * 20).dictionary_encode()),
    "c.pdf": lambda: _pages(b"3 0 R 3 0 R", 2, _SHOW_TEXT),
    "d.pdf": lambda: _pages(b"3 0 R", 1, zlib.compress(_SHOW_TEXT), b"/Filter /FlateDecode"),
    "e.html": lambda: b"<html><title>t</title><body><p>the <b>cat</b></p><pre> a </pre><table><tr><td>1</table></body>",
    "f.jsonl": lambda: b"".join(json.dumps({"text": f"the cat {n}"}).encode() + b"\n" for n in range(5)),
    "g.csv": lambda: b'text,n\n"the\n""cat""",1\na dog,2\n',
    "h.txt": lambda: "the caf\u00e9 \U0001f600\n".encode() * 5,
    "i.md": lambda: "# caf\u00e9\n\n- a\n".encode("utf-16"),
}
