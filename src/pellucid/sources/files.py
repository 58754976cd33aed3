"""A model's files on disk: which of them are read at all, and what a file must be so that it is read."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import stat
from collections.abc import Collection, Iterable, Mapping
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
_MODULE_FOLDER = "[0-9]_*"  # As sentence-transformers names them: 1_Pooling, 2_Dense, 0_Transformer, …

MOST_JSON_BYTES = 4 << 20
"""The largest JSON file, and the largest header of a safetensors file, that is read; real ones have 1.2 MB at most."""
MOST_MODULES = 100
"""The longest ``modules.json`` that is read."""
_MOST_TOKENIZER_BYTES = 64 << 20  # The largest that we know, of 262,144 tokens, has 33 MB.
_MOST_BYTES = dict.fromkeys(
    ("tokenizer.json", "vocab.txt", "vocab.json", "merges.txt", "sentencepiece.bpe.model"), _MOST_TOKENIZER_BYTES
)

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
            start = b"blob %d\0" % path.stat().st_size
            return hashlib.file_digest(file, lambda: hashlib.sha1(start, usedforsecurity=False)).hexdigest() == self.hex


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
        if _leads_outside(relative):
            raise InvalidModelError(
                f"{self.name}: a file of the model points to {relative!r:.80}, outside the model's folder; "
                f"refused. Only load models from people you trust, or correct its modules.json."
            )
        return self.folder / PurePosixPath(relative)

    def has(self, relative: str) -> bool:
        """Whether anything of that name is on disk, even a link that leads nowhere: reading it says what is wrong.

        Raises:
            InvalidModelError: as :meth:`path`; or no file can have that name, or be looked for there.
        """
        try:
            self.path(relative).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise InvalidModelError(
                f"{self.name}: {relative:.80} cannot be looked for ({error.strerror}). May this process read the "
                f"model's folder? And does its modules.json have a name that no file can have?"
            ) from error
        return True

    def readable(self, relative: str) -> Path:
        """The path of a file that can be read without harm: a regular file, after all links, and not too large.

        A pipe would never end, nor would a device, and no JSON file of a model has gigabytes.

        Raises:
            InvalidModelError: the file is missing, is something else, or is too large; or as :meth:`path`.
        """
        path = self.path(relative)
        try:
            check_readable(path, _MOST_BYTES.get(path.name, MOST_JSON_BYTES))
        except FileNotFoundError:
            if path.is_symlink():
                raise InvalidModelError(
                    f"{self.name}: {relative} cannot be read: it is a link to {path.readlink()}, which is not there."
                ) from None
            raise InvalidModelError(
                f"{self.name}: no {relative} in {self.folder}. Is this the folder of a sentence-transformers model? "
                f"If you meant the Hub's model of that name, the folder here hides it."
            ) from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise InvalidModelError(f"{self.name}: {relative} cannot be read: {reason}.") from error
        return path

    def read(self, relative: str) -> bytes:
        """What a file holds; the errors of :meth:`readable`."""
        path = self.readable(relative)
        try:
            return path.read_bytes()
        except OSError as error:
            raise InvalidModelError(f"{self.name}: {relative} cannot be read: {error.strerror}.") from error

    def wanted(self) -> list[str]:
        """The files on disk that are read, in name order."""
        return [name for name in wanted(self.listing, module_folders(self.folder)) if self.path(name).is_file()]

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


def _leads_outside(relative: str) -> bool:
    """Whether a path leads out of the folder that it is relative to, on any system."""
    # Judged by its text, not by where links lead: the files of the Hugging Face cache are links to blobs.
    windows = PureWindowsPath(relative)
    return bool(windows.drive or windows.root or ".." in windows.parts or "\0" in relative)


def check_readable(path: Path, most: int) -> None:
    """Check that a file is a regular one, after all links, and has at most ``most`` bytes; safetensors may have more.

    Raises:
        OSError: it is not there, or cannot be looked at.
        ValueError: it is something else, or is too large.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is not a regular file, but a folder, a pipe or a device")
    if found.st_size > most and path.suffix != ".safetensors":  # Their header is bounded, and the rest is mapped.
        raise ValueError(f"it has {found.st_size:,} bytes, and at most {most:,} are read")


def wanted(names: Iterable[str], folders: Collection[str] = ()) -> list[str]:
    """Of all the files that a model has, those that are read, in name order.

    Never the .bin, .onnx, .h5 and .ot copies of the weights.

    Args:
        names: the files.
        folders: those of the modules that have a name of their own; ones like 1_Pooling are known.

    >>> wanted(["model.safetensors", "pytorch_model.bin", "onnx/model.onnx", "1_Pooling/config.json"])
    ['1_Pooling/config.json', 'model.safetensors']
    """
    return sorted(name for name in names if _is_wanted(*name.rpartition("/")[::2], folders))


def _is_wanted(folder: str, file: str, folders: Collection[str]) -> bool:
    if not folder and file in ("modules.json", "config_sentence_transformers.json"):
        return True
    # fnmatch's * also matches "/".
    of_a_module = "/" not in folder and fnmatch.fnmatchcase(folder, _MODULE_FOLDER)
    return (not folder or of_a_module or folder in folders) and any(fnmatch.fnmatchcase(file, p) for p in _FILES)


def tidy(folder: str) -> str:
    """A module's folder as it is named in a listing of files.

    >>> [tidy(folder) for folder in ("", "./1_Pooling/", "a//b")]
    ['', '1_Pooling', 'a/b']
    """
    return PurePosixPath(folder).as_posix() if PurePosixPath(folder).parts else ""


def module_folders(folder: Path) -> list[str]:
    """The folders of the modules that ``modules.json`` lists; none if it is not there or is broken."""
    return [path for path, _ in _modules(folder) or () if not _leads_outside(path)]


def _modules(folder: Path) -> list[tuple[str, str]] | None:
    """The folder and the kind of each module that ``modules.json`` lists; None if it is broken, or lists none."""
    path = folder / "modules.json"
    try:
        check_readable(path, MOST_JSON_BYTES)
        modules = json.loads(path.read_bytes())
        if len(modules) > MOST_MODULES:
            return None
        return [(tidy(m["path"]), m["type"].rpartition(".")[2]) for m in modules]
    except FileNotFoundError:
        return [("", "Transformer")]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


_NEEDED: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "Transformer": (("config.json",), WEIGHT_FILES, TOKENIZER_FILES),
    "Pooling": (("config.json",),),
    "Dense": (("config.json",), WEIGHT_FILES),
    "LayerNorm": (WEIGHT_FILES,),
}
"""What each kind of module needs: one file of each group."""


def lacking(folder: Path) -> list[str]:
    """What a folder lacks to be a whole model, by its own ``modules.json``; empty if nothing.

    Judges only what is there and what is not. Whether the files are sound, and every kind of module is one that we
    run, is for the loader to say.
    """
    return [
        (PurePosixPath(path) / names[0]).as_posix()
        for path, kind in _modules(folder) or ()
        for names in _NEEDED.get(kind, ())
        if not any((folder / path / name).is_file() for name in names)
    ]
