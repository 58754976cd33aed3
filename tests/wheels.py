"""Handmade wheels that carry a model, and catalog entries for them."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

from pellucid.catalog import CatalogEntry, FileDigest, IndexCopy, Wheel

CONTENTS = {"config.json": b"{}", "1_Pooling/config.json": b'{"a": 1}', "model.safetensors": bytes(range(256)) * 999}


def make_wheel(index: Path, project: str, files: dict[str, bytes], member: str = "") -> Wheel:
    """Write a wheel of version 1 with these files, and return its pin for the catalog.

    ``member`` is the path of the wheel's part of a split archive.
    """
    name = f"{project.replace('-', '_')}-1-py3-none-any.whl"
    info = f"{project.replace('-', '_')}-1.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {project}\nVersion: 1\n"
    tags = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(index / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            archive.writestr(path, content)
        for path, text in {"METADATA": metadata, "WHEEL": tags, "RECORD": ""}.items():
            archive.writestr(f"{info}/{path}", text)
    content = (index / name).read_bytes()
    return Wheel(f"{project}==1", name, hashlib.sha256(content).hexdigest(), len(content), member)


def digests(contents: dict[str, bytes]) -> dict[str, FileDigest]:
    return {name: FileDigest(len(data), hashlib.sha256(data).hexdigest()) for name, data in contents.items()}


def entry_in_one_wheel(index: Path, contents=CONTENTS, **changes) -> CatalogEntry:
    """The entry of a model whose files are all in one wheel, which is written."""
    wheel = make_wheel(index, "tiny-model", {f"pkg/model/{name}": content for name, content in contents.items()})
    files = digests(CONTENTS) | changes.pop("files", {})
    copy = IndexCopy((changes.pop("wheel", wheel),), folder="pkg/model")
    return CatalogEntry("org/tiny", 16, "", files, copy)


def entry_in_parts(index: Path) -> CatalogEntry:
    """The entry of a model in one archive, whose three parts are in three wheels, which are written."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in CONTENTS.items():
            archive.writestr(f"tiny/{name}", content)
    whole = buffer.getvalue()
    third = len(whole) // 3
    parts = [whole[:third], whole[third : 2 * third], whole[2 * third :]]
    wheels = [
        make_wheel(index, f"tiny-part-{number}", {f"input/tiny.zip.{number}": part}, f"input/tiny.zip.{number}")
        for number, part in enumerate(parts)
    ]
    return CatalogEntry("org/tiny", 16, "", digests(CONTENTS), IndexCopy(tuple(wheels), archive_folder="tiny"))
