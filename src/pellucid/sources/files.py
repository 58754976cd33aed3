"""A model's files on disk, and which files of a model are read at all."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Literal

from pellucid.errors import InvalidModelError

Source = Literal["folder", "Hugging Face cache", "Hugging Face Hub", "package index"]

_FILES = (
    "config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*-of-*.safetensors",
    "sentence_*_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
)
PATTERNS = (
    "modules.json",
    "config_sentence_transformers.json",
    *_FILES,
    # The folders of the modules, as sentence-transformers names them: 1_Pooling, 2_Dense, 0_Transformer, …
    *(f"[0-9]_*/{name}" for name in _FILES),
)
"""The files that are read, in fnmatch's terms; never the .bin, .onnx, .h5 and .ot copies of the weights."""

TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "sentencepiece.bpe.model")
WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json")


@dataclass(frozen=True)
class Digest:
    """What a file must be.

    Attributes:
        kind: "sha256" of the bytes, or "git-sha1": the id of git's blob, which the Hub gives for small files
            (https://git-scm.com/book/en/v2/Git-Internals-Git-Objects).
        hex: in hexadecimal.
        size: in bytes.
    """

    kind: Literal["sha256", "git-sha1"]
    hex: str
    size: int

    def matches(self, path: Path) -> bool:
        """Whether the file at ``path`` is that."""
        with path.open("rb") as file:
            if self.kind == "sha256":
                return hashlib.file_digest(file, "sha256").hexdigest() == self.hex
            content = file.read()
        return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == self.hex


@dataclass(frozen=True)
class ModelFiles:
    """The files of one model, all under one folder.

    Attributes:
        name: the Hub name, or the path as the caller wrote it.
        folder: where the files are.
        source: where this copy came from.
        revision: the commit, where one is known.
        listing: every file that the source is known to have, fetched or not (relative, with ``/``), and what it must
            be, where that is known.
    """

    name: str
    folder: Path
    source: Source
    revision: str | None
    listing: Mapping[str, Digest | None]

    def path(self, relative: str) -> Path:
        """The path of a file of this model, which need not exist.

        Raises:
            InvalidModelError: ``relative`` leads out of the model's folder.
        """
        # Judged by its text, not by where links lead: the files of the Hugging Face cache are links to blobs.
        windows = PureWindowsPath(relative)
        if windows.is_absolute() or windows.drive or windows.root or ".." in windows.parts or "\0" in relative:
            raise InvalidModelError(
                f"{self.name}: a file of the model points to {relative!r}, outside the model's folder; "
                f"refused. Only load models from people you trust, or correct its modules.json."
            )
        return self.folder / PurePosixPath(relative)

    def has(self, relative: str) -> bool:
        """Whether the file is on disk; a link that leads nowhere is, so that reading it says what is wrong.

        Raises:
            InvalidModelError: as :meth:`path`; or no file can have that name, or be looked for there.
        """
        path = self.path(relative)
        try:
            return path.is_file() or path.is_symlink()
        except OSError as error:
            raise InvalidModelError(
                f"{self.name}: {relative:.80} cannot be looked for ({error.strerror}). May this process read the "
                f"model's folder? And does its modules.json have a name that no file can have?"
            ) from error

    def wanted(self) -> list[str]:
        """The files on disk that are read, in name order."""
        return [name for name in wanted(self.listing) if self.path(name).is_file()]

    def digest(self) -> str:
        """SHA-256 over the names and the contents of the files that are read: what says that a model is the same."""
        whole = hashlib.sha256()
        for name in self.wanted():
            with self.path(name).open("rb") as file:
                whole.update(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\0".encode())
        return whole.hexdigest()

    def size(self) -> int:
        """How many bytes the files on disk have that are read."""
        return sum(self.path(name).stat().st_size for name in self.wanted())


def wanted(names: Iterable[str]) -> list[str]:
    """Of all the files that a model has, those that are read, in name order.

    >>> wanted(["model.safetensors", "pytorch_model.bin", "onnx/model.onnx", "1_Pooling/config.json"])
    ['1_Pooling/config.json', 'model.safetensors']
    """
    # fnmatch's * also matches "/": comparing the depth keeps onnx/config.json out.
    return sorted(
        name
        for name in names
        if any(name.count("/") == p.count("/") and fnmatch.fnmatchcase(name, p) for p in PATTERNS)
    )


def lacking(folder: Path) -> list[str]:
    """What a folder lacks to be a whole model, by its own ``modules.json``; empty if nothing.

    Judges only what is there and what is not. Whether the files are sound is for the loader to say.
    """
    modules_file = folder / "modules.json"
    paths: dict[str, str] = {"": "Transformer"}
    if modules_file.is_file():
        try:
            modules = json.loads(modules_file.read_bytes())
            paths = {PurePosixPath(module["path"]).as_posix(): module["type"].rpartition(".")[2] for module in modules}
        except (ValueError, TypeError, KeyError, AttributeError):
            return []  # Broken, not lacking: the loader will say how.
    needed: list[tuple[str, tuple[str, ...]]] = []
    for path, kind in paths.items():
        if kind != "Normalize":
            needed.append((path, ("config.json",)))
        if kind == "Transformer":
            needed += [(path, WEIGHT_FILES), (path, TOKENIZER_FILES)]
    return [
        (PurePosixPath(path) / names[0]).as_posix()
        for path, names in needed
        if not any((folder / path / name).is_file() for name in names)
    ]
