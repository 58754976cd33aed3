"""A model's files on disk: which ones Pellucid reads, and what it checks before it reads one."""

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
from pellucid.reprs import short_repr, short_text

Source = Literal["folder", "Hugging Face cache", "Hugging Face Hub", "package index"]

GGUF_WEIGHTS = "model.gguf"
"""Weights as llama.cpp has them. They count only if a model has no others."""

_FILE_PATTERNS = (
    "config.json",
    GGUF_WEIGHTS,
    "router_config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*-of-*.safetensors",
    "sentence_*_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "sparse_linear.safetensors",
    "colbert_linear.safetensors",
)
_MODULE_FOLDER_PATTERN = "[0-9]_*"  # sentence-transformers names module folders 1_Pooling, 2_Dense, 0_Transformer, …

MAX_JSON_BYTES = 4 << 20
"""The size limit for a JSON file and for the header of a safetensors file. Real ones have at most 1.2 MB."""
ROUTERS = ("Router", "Asym")
"""The kinds of a module that holds other modules. The second is the older name of the first."""
ROUTER_FILES = ("router_config.json", "config.json")
"""The file that names these modules: its name today, and its older name."""
MAX_MODULES = 100
"""The largest number of modules that ``modules.json`` may list."""
_MAX_TOKENIZER_BYTES = 64 << 20  # The largest tokenizer file that we know has 33 MB, for 262,144 tokens.
_MAX_BYTES = dict.fromkeys(
    ("tokenizer.json", "vocab.txt", "vocab.json", "merges.txt", "sentencepiece.bpe.model"), _MAX_TOKENIZER_BYTES
)

TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "sentencepiece.bpe.model")
WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json", GGUF_WEIGHTS)


@dataclass(frozen=True)
class Digest:
    """The expected digest and size of a file.

    Attributes:
        kind: "sha256" is the SHA-256 of the file's bytes. "git-sha1" is the id of the git blob, which the Hub gives
            for small files (https://git-scm.com/book/en/v2/Git-Internals-Git-Objects).
        hex: the digest in hexadecimal.
        size: the file's size in bytes.
    """

    kind: Literal["sha256", "git-sha1"]
    hex: str
    size: int

    __repr__ = short_repr

    def matches(self, path: Path) -> bool:
        """True if the file at ``path`` has this digest."""
        with path.open("rb") as file:
            if self.kind == "sha256":
                return hashlib.file_digest(file, "sha256").hexdigest() == self.hex
            header = b"blob %d\0" % path.stat().st_size
            sha1 = hashlib.file_digest(file, lambda: hashlib.sha1(header, usedforsecurity=False))
            return sha1.hexdigest() == self.hex


@dataclass(frozen=True)
class ModelFiles:
    """The files of one model, all in one folder.

    Attributes:
        name: the Hub name, or the path as the caller wrote it.
        folder: the folder that holds the files.
        source: the place where this copy came from; "package index" is PyPI.
        revision: the commit, or None if it is not known.
        listing: every file that the source is known to have, downloaded or not, with its digest, or None where the
            digest is not known. Paths are relative, with ``/``.
    """

    name: str
    folder: Path
    source: Source
    revision: str | None
    listing: Mapping[str, Digest | None]

    def __repr__(self) -> str:
        return f"ModelFiles({short_text(self.name, 60)}, {len(self.listing):,} files, source={self.source!r})"

    def path(self, relative: str) -> Path:
        """The path of a file of this model. The file need not exist.

        Raises:
            InvalidModelError: ``relative`` leads out of the model's folder.
        """
        if _leaves_folder(relative):
            raise InvalidModelError(
                f"{self.name}: the model refers to the path {relative!r:.80}, which is outside the model's folder, so "
                f"it was not read. Only load models from people you trust, or correct modules.json."
            )
        return self.folder / PurePosixPath(relative)

    def has(self, relative: str) -> bool:
        """True if anything with this name is on disk.

        A folder, a pipe or a link to a missing file counts too. Reading it raises an error that says what is wrong.

        Raises:
            InvalidModelError: as :meth:`path`; or the name is impossible for a file; or this process may not look.
        """
        try:
            self.path(relative).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise InvalidModelError(
                f"{self.name}: could not check whether {relative:.80} exists ({error.strerror}). Check that you may "
                f"read the model's folder, and that the file names in modules.json are valid."
            ) from error
        return True

    def readable(self, relative: str) -> Path:
        """The path of a file that is safe to read: after following links, a regular file, and not too large.

        Reading a pipe or a device might never end, and no JSON file of a real model has gigabytes.

        Raises:
            InvalidModelError: the file is missing, is not a regular file, or is too large; or as :meth:`path`.
        """
        path = self.path(relative)
        try:
            check_readable(path, _MAX_BYTES.get(path.name, MAX_JSON_BYTES))
        except FileNotFoundError:
            if path.is_symlink():
                raise InvalidModelError(
                    f"{self.name}: {relative} cannot be read: it is a link to {path.readlink()}, which does not exist."
                ) from None
            raise InvalidModelError(
                f"{self.name}: there is no {relative} in {self.folder}. Is this the folder of a sentence-transformers "
                f"model? If you meant the model of that name on the Hub, rename this folder: a local folder comes "
                f"first."
            ) from None
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise InvalidModelError(f"{self.name}: {relative} cannot be read: {reason}.") from error
        return path

    def read(self, relative: str) -> bytes:
        """The content of a file. It raises the errors of :meth:`readable`."""
        path = self.readable(relative)
        try:
            return path.read_bytes()
        except OSError as error:
            raise InvalidModelError(f"{self.name}: {relative} cannot be read: {error.strerror}.") from error

    def wanted(self) -> list[str]:
        """The names of the files that Pellucid reads and that are on disk, in alphabetical order."""
        names = select_files(self.listing, read_module_folders(self.folder))
        return [name for name in names if self.path(name).is_file()]

    def digest(self) -> str:
        """The SHA-256 of the names and contents of all files that Pellucid reads. Equal models have equal digests."""
        digest = hashlib.sha256()
        for name in self.wanted():
            with self.path(name).open("rb") as file:
                digest.update(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\0".encode())
        return digest.hexdigest()

    def size(self) -> int:
        """The total size in bytes of the files that Pellucid reads."""
        return sum(self.path(name).stat().st_size for name in self.wanted())


def _leaves_folder(relative: str) -> bool:
    """True if a relative path leads out of its folder, on any operating system."""
    # This looks at the text only, not at where links lead: in the Hugging Face cache every file is a link to a blob.
    windows = PureWindowsPath(relative)
    return bool(windows.drive or windows.root or ".." in windows.parts or "\0" in relative)


def check_readable(path: Path, max_bytes: int) -> None:
    """Check that ``path`` is a regular file, after following links, and has at most ``max_bytes`` bytes.

    Files of weights may be larger.

    Raises:
        OSError: the file does not exist, or cannot be examined.
        ValueError: the path is not a regular file, or the file is too large.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not a regular file, but a folder, a pipe or a device")
    # Weights are mapped into memory, and the headers of their files have size limits of their own.
    if status.st_size > max_bytes and path.suffix not in (".safetensors", ".gguf"):
        raise ValueError(f"it has {status.st_size:,} bytes, and the limit is {max_bytes:,}")


def select_files(names: Iterable[str], module_folders: Collection[str] = ()) -> list[str]:
    """Select the files that Pellucid reads from all files of a model. The result is in alphabetical order.

    The .bin, .onnx, .h5 and .ot copies of the weights are never among them.

    Args:
        names: all files of the model.
        module_folders: the model's module folders. They may have any name; those like 1_Pooling need not be given.

    >>> select_files(["model.safetensors", "pytorch_model.bin", "onnx/model.onnx", "1_Pooling/config.json"])
    ['1_Pooling/config.json', 'model.safetensors']
    """
    read = {name for name in names if _is_read(*name.rpartition("/")[::2], module_folders)}
    others = {name.rpartition("/")[0] for name in read if name.endswith(WEIGHT_FILES[:2])}
    return sorted(name for name in read if not (name.endswith(GGUF_WEIGHTS) and name.rpartition("/")[0] in others))


def _is_read(folder: str, file: str, module_folders: Collection[str]) -> bool:
    """True if Pellucid reads ``file`` in ``folder``."""
    if not folder and file in ("modules.json", "config_sentence_transformers.json", "artifact.metadata"):
        return True
    # fnmatch's * also matches "/", so nested folders are ruled out first.
    has_module_name = "/" not in folder and fnmatch.fnmatchcase(folder, _MODULE_FOLDER_PATTERN)
    is_model_folder = not folder or has_module_name or folder in module_folders
    return is_model_folder and any(fnmatch.fnmatchcase(file, pattern) for pattern in _FILE_PATTERNS)


def normalize_folder(folder: str) -> str:
    """A module's folder, written as in a listing of files.

    >>> [normalize_folder(folder) for folder in ("", "./1_Pooling/", "a//b")]
    ['', '1_Pooling', 'a/b']
    """
    return PurePosixPath(folder).as_posix() if PurePosixPath(folder).parts else ""


def read_module_folders(folder: Path) -> list[str]:
    """The folders of the modules that ``modules.json`` lists, and of those inside a Router; empty if it is broken.

    A model without that file has one module, in the top folder "".
    """
    return [path for path, _ in _read_modules(folder) or () if not _leaves_folder(path)]


def _read_modules(folder: Path) -> list[tuple[str, str]] | None:
    """The folder and the kind of each module that ``modules.json`` lists; None if it is broken or too long."""
    path = folder / "modules.json"
    try:
        check_readable(path, MAX_JSON_BYTES)
        modules = json.loads(path.read_bytes())
        if len(modules) > MAX_MODULES:
            return None
        listed = [(normalize_folder(m["path"]), m["type"].rpartition(".")[2]) for m in modules]
        return [*listed, *(each for path, kind in listed if kind in ROUTERS for each in _read_router(folder, path))]
    except FileNotFoundError:
        return [("", "Transformer")]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _read_router(folder: Path, path: str) -> list[tuple[str, str]]:
    """The folder and the kind of each module inside a Router, as :func:`_read_modules` gives them."""
    for name in ROUTER_FILES:
        file = folder / path / name
        if file.is_file():
            check_readable(file, MAX_JSON_BYTES)
            types = json.loads(file.read_bytes())["types"]
            if len(types) > MAX_MODULES:
                raise ValueError("it has too many modules")
            return [((PurePosixPath(path) / key).as_posix(), kind.rpartition(".")[2]) for key, kind in types.items()]
    return []


_REQUIRED_FILES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "Transformer": (("config.json",), WEIGHT_FILES, TOKENIZER_FILES),
    "MLMTransformer": (("config.json",), WEIGHT_FILES, TOKENIZER_FILES),
    "SparseStaticEmbedding": (WEIGHT_FILES, TOKENIZER_FILES),
    "SparseAutoEncoder": (("config.json",), WEIGHT_FILES),
    **dict.fromkeys(ROUTERS, (ROUTER_FILES,)),
    "StaticEmbedding": (WEIGHT_FILES, ("tokenizer.json",)),
    "Pooling": (("config.json",),),
    "Dense": (("config.json",), WEIGHT_FILES),
    "LayerNorm": (WEIGHT_FILES,),
}
"""The files that each kind of module needs: one file from each group."""


def missing_files(folder: Path) -> list[str]:
    """The files that a folder lacks to be a complete model, according to its ``modules.json``; empty if it lacks none.

    This only checks which files exist. The loader checks that they are sound, and that Pellucid supports each kind of
    module.
    """
    return [
        (PurePosixPath(path) / names[0]).as_posix()
        for path, kind in _read_modules(folder) or ()
        for names in _REQUIRED_FILES.get(kind, ())
        if not any((folder / path / name).is_file() for name in names)
    ]
