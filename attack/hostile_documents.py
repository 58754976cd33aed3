"""Hostile documents: small or easy to write, but reading them takes much time or memory."""

from __future__ import annotations

import json
import os
import random
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from fuzz import documents

from attack import strange_files
from attack.drawn import RandomDataProvider

SECRET = "zanzibarine"  # noqa: S105
"""A word in many of the texts. No output may have it."""
Maker = Callable[[random.Random, Path], None]


def _html(rng: random.Random, folder: Path) -> None:
    tag = rng.choice(("div", "b", "font", "table", "ul", "pre", "li", "td", "svg", "p", "a", "blockquote"))
    size = 1 << 20
    start_tag, end_tag = f"<{tag}>".encode(), f"</{tag}>".encode()
    count = size // len(start_tag)
    make = rng.choice(
        (
            lambda: start_tag * count,
            lambda: start_tag * (count // 2) + SECRET.encode() + end_tag * (count // 2),
            lambda: (start_tag + b"a " + end_tag) * (count // 3),
            lambda: b"<a " + b" ".join(b"k%d=v" % number for number in range(100_000)) + b">" + SECRET.encode(),
            lambda: b"&amp;" * (size // 5),
            lambda: b"<!--" * (size // 4),
            lambda: b"<p><b><i><font>" * (size // 15),
            lambda: b"<table><tr><td>" * 10_000,
            lambda: b"<div " + b"<" * size,
            lambda: start_tag * 30_000 + b"the cat" + (b"<script>" * 30_000),
        )
    )
    (folder / "a.html").write_bytes(b"<html><body>" + make())


def _json_lines(rng: random.Random, folder: Path) -> None:
    make = rng.choice(
        (
            lambda: b'{"text": "a"}\n' * 300_000,
            lambda: b"".join(b'{"text": "%d cat"}\n' % number for number in range(200_000)),
            lambda: json.dumps({"text": "the cat " * 1_000_000}).encode(),
            lambda: json.dumps({"text": "'" * 2_000_000}).encode(),
            lambda: b'{"text": ' + b"[" * 4_000_000,
            lambda: b'{"text": "a", "n": ' + b"9" * 4_000_000 + b"}",
            lambda: b'{"text": "a"' + b"".join(b', "k%d": %d' % (n, n) for n in range(200_000)) + b"}",
            lambda: b'{"text": "%s", "text": 7}\n' % SECRET.encode() * 1000,
            lambda: b'{"text": "\\ud800%s"}\n' % SECRET.encode() * 1000,
            lambda: b"\n" * 4_000_000,
        )
    )
    (folder / "a.jsonl").write_bytes(make())


def _csv(rng: random.Random, folder: Path) -> None:
    make = rng.choice(
        (
            lambda: b"text\n" + b"a\n" * 2_000_000,
            lambda: b"text,n\n" + b"".join(b"the %d cat,1\n" % number for number in range(250_000)),
            lambda: b"text" + b"," * 1_000_000 + b"\n",
            lambda: b'text\n"' + SECRET.encode() * 400_000,
            lambda: b"text\n" + b"a\r" * 1_000_000,
            lambda: b"text\n" + b'""' * 2_000_000,
            lambda: f"text\n{SECRET}\n".encode("utf-16"),
            lambda: "text,größe\na,b\n".encode("latin-1"),
            lambda: b"text\n" + b"a" * 20_000_000,
        )
    )
    (folder / "a.csv").write_bytes(make())


def _parquet(rng: random.Random, folder: Path) -> None:
    path = folder / "a.parquet"
    choice = rng.randrange(6)
    if choice == 0:  # 50 KB on the disk, but any amount of memory as Python lists.
        text, count = "the cat " * rng.choice((10, 1000, 100_000)), rng.choice((1000, 100_000, 1_000_000))
        values = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array([text]))
        pq.write_table(pa.table({"text": values}), path, compression="zstd", use_dictionary=True)
    elif choice == 1:
        pq.write_table(pa.table({"text": pa.nulls(1_000_000, pa.string())}), path)
    elif choice == 2:
        deep_type: pa.DataType = pa.string()
        for _ in range(rng.choice((5, 50, 90))):
            deep_type = pa.struct([("a", deep_type)])
        pq.write_table(pa.table({"text": ["a"], "deep": pa.nulls(1, deep_type)}), path)
    elif choice == 3:
        pq.write_table(pa.table({"text": ["a"]} | {f"k{number}": [1] for number in range(5000)}), path)
    elif choice == 4:
        pq.write_table(pa.table({"text": [SECRET * 100] * 1000}), path)
        strange_files.flip_bits(rng, path)
    else:
        pq.write_table(pa.table({"text": ["a"] * 20_000}), path, row_group_size=1)


def _pdf(rng: random.Random, folder: Path) -> None:
    content = b"BT /F1 12 Tf 10 10 Td (the %s) Tj ET" % SECRET.encode()
    page, kids, filters, extra = b"/Contents 4 0 R", b"3 0 R", b"", b""
    choice = rng.randrange(8)
    if choice == 0:
        kids = b"3 0 R " * rng.choice((5000, 50_000))
    elif choice == 1:
        packer = zlib.compressobj(9)
        content = b"".join(packer.compress(bytes(1 << 20)) for _ in range(rng.choice((50, 500)))) + packer.flush()
        filters = b"/Filter /FlateDecode"
    elif choice == 2:
        kids = b"2 0 R 3 0 R"  # The list of pages contains itself.
    elif choice == 3:
        page += b" /Resources << /XObject << /X 4 0 R >> >>"
        filters, content = (
            b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X 4 0 R >> >>",
            b"/X Do " * 50,
        )
    elif choice == 4:
        content = b"BT (a) Tj ET " * 500_000
    elif choice == 5:
        content = b"[" * 1_000_000
    elif choice == 6:
        page += b" /Contents [" + b"4 0 R " * 5000 + b"]"
        content = content * 100
    else:
        filters = b"/Filter [" + b"/ASCIIHexDecode " * 1000 + b"]"
    bodies = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count %d /Kids [%s] >>" % (rng.choice((1, 5000, 2**31)), kids),
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 99 99] %s >>" % page,
        b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), filters, content),
    )
    pdf, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, start=1):
        offsets.append(len(pdf))
        pdf += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    end = b"xref\n0 5\n0000000000 65535 f \n%strailer << /Root 1 0 R /Size 5 >>\nstartxref\n%d\n%%%%EOF"
    (folder / "a.pdf").write_bytes(pdf + extra + end % (table, len(pdf)))


def _text(rng: random.Random, folder: Path) -> None:
    size = rng.choice((1 << 20, 4 << 20))
    make = rng.choice(
        (
            lambda: "a" * size,
            lambda: "'" * size,
            lambda: " " * size,
            lambda: "\n" * size,
            lambda: "e" + "\u0301" * (size // 2),
            lambda: "# a\n" * (size // 4),
            lambda: "```\n" * (size // 4),
            lambda: "\ufdfa" * (size // 3),
            lambda: "\u200b\u2028" * (size // 6),
            lambda: (SECRET + " ") * (size // 12),
            lambda: "".join(chr(rng.randrange(32, 0xD7FF)) for _ in range(size // 4)),
        )
    )
    (folder / rng.choice(("a.txt", "a.md", "a.py"))).write_text(make(), encoding="utf-8")


def _gitignore(rng: random.Random, folder: Path) -> None:
    """A ``.gitignore`` with patterns that backtrack, or with very many or very long lines."""
    lines = rng.choice(
        (
            "*a" * 25 + "b\n",
            "**/" * 30 + "x\n",
            "a*" * 40 + "\n",
            "[" * 1000 + "\n",
            "/**/" * 200 + "\n",
            "x*y\n" * 100_000,
            "!" * 10_000 + "\n",
            "(a+)+$\n[z-a]\n\\\n[!\n",
            "a" * 1_000_000 + "\n",
            "?" * 200 + "*" * 200 + "\n",
        )
    )
    (folder / ".gitignore").write_text(lines)
    for number in range(5):
        (folder / ("a" * (200 + number) + ".txt")).write_text("the dog\n")
    if rng.random() < 0.3:
        rng.choice((*strange_files.NON_FILES, *strange_files.CONTENT_CHANGES))(rng, folder / ".gitignore")


def _odd_file(rng: random.Random, folder: Path) -> None:
    path = folder / rng.choice(("a.txt", "a.html", "a.pdf", "a.csv", "a.jsonl", "a.parquet", "a.md"))
    path.write_text(f"{SECRET} the cat")
    rng.choice((*strange_files.NON_FILES, *strange_files.CONTENT_CHANGES))(rng, path)


def _odd_names(rng: random.Random, folder: Path) -> None:
    """File names that are not UTF-8, that a terminal would obey, or that look the same when printed."""
    names = (
        b"bad\xff.txt",
        b"bad\\xff.txt",
        b"new\nline.txt",
        b"\x1b[31mred.txt",
        b"\r.txt",
        b"-rf.txt",
        b" .txt",
        b"a" * 250 + b".txt",
    )
    for name in (*rng.sample(names, 4), b"bad\xff.txt", b"bad\\xff.txt"):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(rng.choice((b"the mat\n", b"\0", b"")))


def _deep_or_many(rng: random.Random, folder: Path) -> None:
    """Deeply nested folders, or very many files."""
    if rng.random() < 0.5:
        descriptor = os.open(folder, os.O_RDONLY)
        for _ in range(300):
            os.mkdir("x" * 30, dir_fd=descriptor)
            below = os.open("x" * 30, os.O_RDONLY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        os.close(descriptor)
    else:
        for number in range(3000):
            (folder / f"{number}.txt").write_text("" if number % 2 else "\0")
        (folder / "up").symlink_to("..")


def _fuzzed(rng: random.Random, folder: Path) -> None:
    (folder / f"a{rng.choice(documents.SUFFIXES)}").write_bytes(documents.make_content(RandomDataProvider(rng), b""))


MAKERS: tuple[Maker, ...] = (
    *(_html, _json_lines, _csv, _parquet, _pdf, _text),
    *(_gitignore, _odd_file, _odd_names, _deep_or_many, _fuzzed),
)
TABLE_MAKERS: tuple[Maker, ...] = (_json_lines, _csv, _parquet, _odd_file)
