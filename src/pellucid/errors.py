"""Everything that Pellucid raises on purpose, in one tree.

::

    PellucidError
    ├── ModelError                        the model, or getting its files
    │   ├── ModelNotFoundError            no place that was searched has this model
    │   ├── DownloadError                 a download did not start or did not finish
    │   │   └── HubUnreachableError       the Hub did not answer
    │   ├── IntegrityError                bytes that do not have the digest they must have
    │   ├── InvalidModelError             model files that are broken, missing or inconsistent
    │   └── UnsupportedModelError         a sound model that needs something Pellucid does not do
    ├── InputError (ValueError)           what the caller passed in
    │   ├── TextError                     a text that cannot be used; the message gives its position
    │   │   └── TextTypeError (TypeError) a value that is not a text, or not a list of texts
    │   ├── OptionError                   an option, or its value, that cannot be used
    │   ├── TruncationError               a text longer than ``max_tokens`` under ``on_truncation="error"``
    │   ├── UnreadableFileError           a document that has no text Pellucid can read
    │   └── GitignoreError                a ``.gitignore`` that cannot be followed
    ├── BatchError                        a batch job: its input, its output, or an existing job
    ├── DeviceError                       a device, such as a GPU, with too little memory
    ├── CacheError                        a cache of vectors that cannot be used
    ├── IndexStateError                   an index that is missing, damaged, or made with another model
    ├── IndexWriteError                   an index that could not be written, for example on a full disk
    ├── MissingExtraError (ImportError)   a missing optional dependency; the message has the install command
    ├── StandInError (ImportError)        what sentence-transformers has, and Pellucid's stand-in for it has not
    └── ServerError                       a request that the server could not answer with a result
        ├── RequestError                  the request itself is wrong
        ├── ModelNotServedError           this server has no model of that name
        ├── ModelNotLoadedError           a model that a request needs could not be loaded
        ├── WrongModelKindError           the model cannot do that: an embedder cannot rerank
        ├── NoRoomForModelError           the model does not fit in memory next to the models in use
        ├── QueueFullError                too many requests are waiting
        ├── RequestMemoryFullError        other requests use the memory that this one needs
        ├── RequestTooLargeError          the request needs more memory than any request may use
        ├── RequestTimeoutError           the answer was not ready in time
        ├── ServerStoppingError           the server is stopping
        ├── AbandonedError                nobody is waiting for the answer any more
        ├── VectorNotFiniteError          the model gave a vector with NaN or infinity
        ├── EngineFailedError             the engine failed
        └── UnexpectedError               a bug in the server

    TruncationWarning (UserWarning)       texts that were cut; one warning for each call
    ModelKindWarning (UserWarning)        a model for scores or labels that is used for vectors
    CacheWarning (UserWarning)            a cache that could not be read or written; no result is lost

Catch :class:`PellucidError` to catch them all. A message says what was wrong, where, and what to do next. It names a
text by its position and never quotes the text.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Pellucid is not on PyPI yet, so it is installed from a clone. Once it is released, change these two lines and run
# `make docs`, which writes the command on every page. Until then, the name `pellucid` on PyPI is not ours: no page and
# no message may tell anyone to install it from there.
INSTALL_EXTRA = "pip install '.[{extra}]'"
WHERE_TO_INSTALL = "In your clone of Pellucid, run: "


def install_hint(extra: str) -> str:
    """How to install an extra of Pellucid, such as ``search``."""
    return WHERE_TO_INSTALL + INSTALL_EXTRA.format(extra=extra)


JOINER = "\u200d"
"""The zero-width joiner, which makes one emoji of several."""


def printable(text: str | os.PathLike[str], *, keep: str = "") -> str:
    r"""A text, a name or a path whose control characters and odd bytes are written as escapes, such as ``\x1b``.

    Args:
        text: any text.
        keep: control characters to leave as they are.
    """
    return "".join(
        character if character.isprintable() or character in keep else repr(character)[1:-1]
        for character in os.fspath(text)
    )


def plural(number: int, noun: str) -> str:
    """A number and its noun, in the singular or the plural.

    >>> plural(1, "row"), plural(2000, "row")
    ('1 row', '2,000 rows')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def either(words: Sequence[str]) -> str:
    """The words as a choice.

    >>> either([".npy"]), either([".npy", ".jsonl", ".parquet"])
    ('.npy', '.npy, .jsonl or .parquet')
    """
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


_MAX_CHARACTERS = 2000


class PellucidError(Exception):
    """The base of every error that Pellucid raises on purpose."""

    def __init__(self, message: str = "", **options: str) -> None:
        # A message may quote a path or a value from a model's file, and either may hold anything. So control characters
        # are escaped, except for line ends, and a very long message loses its middle.
        message = printable(message, keep="\n")
        if len(message) > _MAX_CHARACTERS:
            message = f"{message[: _MAX_CHARACTERS // 2]} … {message[-_MAX_CHARACTERS // 3 :]}"
        super().__init__(message, **options)


class ModelError(PellucidError):
    """Something is wrong with the model, or with getting its files."""


class ModelNotFoundError(ModelError):
    """No place that was searched has a model of this name."""


class DownloadError(ModelError):
    """A download did not start or did not finish. No half-finished file is left where it could be loaded."""


class HubUnreachableError(DownloadError):
    """The Hugging Face Hub did not answer."""


class IntegrityError(ModelError):
    """Bytes do not have the digest they must have."""


class InvalidModelError(ModelError):
    """A model's files are broken, missing or inconsistent, or point outside their folder."""


class UnsupportedModelError(ModelError):
    """The model is sound, but needs an architecture, a module or a file format that Pellucid does not run."""


class InputError(PellucidError, ValueError):
    """Something that the caller passed in is wrong."""


class TextError(InputError):
    """A text cannot be embedded. The message gives its position."""


class TextTypeError(TextError, TypeError):
    """A value is not a text, or not a list of texts."""


class OptionError(InputError):
    """An option, or its value, cannot be used.

    Attributes:
        option: the option whose value is wrong, by its Python name; the message writes it as in ``k=0``. None if the
            message names no option in this way.
    """

    def __init__(self, message: str = "", option: str | None = None) -> None:
        super().__init__(message)
        self.option = option


class TruncationError(InputError):
    """A text is longer than the model's ``max_tokens``, and ``on_truncation`` is ``"error"``.

    Attributes:
        first: the position of the first such text.
    """

    def __init__(self, message: str = "", first: int | None = None) -> None:
        super().__init__(message)
        self.first = first


class UnreadableFileError(InputError):
    """A document has no text that Pellucid can read. The message says why, and never quotes the document."""


class GitignoreError(InputError):
    """A ``.gitignore`` cannot be followed. The message says why."""


class BatchError(PellucidError):
    """A batch job cannot start or continue. Every file that it has written is whole, and stays."""


class DeviceError(PellucidError):
    """A device, such as a GPU, has too little memory for the model, or for a single text."""


class CacheError(PellucidError):
    """A cache cannot be opened, read or written, or the file is not a cache."""


class IndexStateError(PellucidError):
    """An index is missing or damaged, or holds another model's vectors."""


class IndexWriteError(PellucidError):
    """An index could not be written, for example because the disk is full. The index from before is still there."""


class MissingExtraError(PellucidError, ImportError):
    """An optional dependency is not installed.

    Args:
        package: the missing package.
        extra: the extra of Pellucid that installs it.
        what: what needs the package, and what the user may choose instead.
    """

    def __init__(self, package: str, extra: str, what: str = "this") -> None:
        super().__init__(
            f"{what} needs the package {package!r}, which is not installed. {install_hint(extra)}",
            name=package,
        )


class StandInError(PellucidError, ImportError):
    """sentence-transformers has this, but Pellucid's stand-in for it does not; or it cannot stand in now."""


class ServerError(PellucidError):
    """The server could not answer a request with a result.

    Attributes:
        retry_after: how many seconds to wait before trying again; None if trying again does not help.
    """

    retry_after: int | None = None


class RequestError(ServerError):
    """A request itself is wrong.

    Args:
        status: the HTTP status of the answer.
        message: what is wrong, and what to do.
        code: a word for programs, such as ``"invalid_json"``.
        param: the wrong key of the body; None if the fault is not a single key.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.retry_after = retry_after


class ModelNotServedError(ServerError):
    """The server has no model of that name."""


class WrongModelKindError(ServerError):
    """The model cannot do what was asked. An embedder cannot rerank, for example, and a reranker gives no vectors."""


class ModelNotLoadedError(ServerError):
    """A model that a request needs could not be loaded. Its cause says why, and may name folders of the server."""


class NoRoomForModelError(ServerError):
    """The model does not fit in memory next to the models in use."""

    retry_after = 1


class QueueFullError(ServerError):
    """Too many requests are waiting.

    Args:
        waiting: what is waiting, such as ``"8 requests"``.
        retry_after: in about how many seconds there should be room.
    """

    def __init__(self, waiting: str, retry_after: int) -> None:
        super().__init__(f"the queue is full ({waiting} waiting). Retry in {retry_after} s.")
        self.retry_after = retry_after


class RequestMemoryFullError(ServerError):
    """Other requests use the memory that this one needs."""

    retry_after = 1


class RequestTooLargeError(ServerError):
    """A request needs more memory than the server gives to any single request."""


class RequestTimeoutError(ServerError):
    """The answer was not ready in time.

    Args:
        seconds: how long the request may take.
    """

    retry_after = 5

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the answer was not ready within {seconds:g} s. Send less at a time, or try again later.")


class ServerStoppingError(ServerError):
    """The server is stopping, and accepts no more requests."""

    retry_after = 1


class AbandonedError(ServerError):
    """Nobody is waiting for this answer any more: it took too long, the client left, or the server is stopping."""


class VectorNotFiniteError(ServerError):
    """The model gave a text a vector with NaN or infinity: its weights are broken, or too large for the dtype."""


class EngineFailedError(ServerError):
    """The engine failed. The server's log has the error."""


class UnexpectedError(ServerError):
    """A bug in the server. ``__cause__`` has the error."""


class CacheWarning(UserWarning):
    """A cache could not be read or written. The vectors were computed instead, and are correct."""


class ModelKindWarning(UserWarning):
    """A model that gives scores is used for vectors. sentence-transformers allows this, but they mean little."""


class TruncationWarning(UserWarning):
    """Some texts were longer than the model's ``max_tokens`` and were cut.

    Attributes:
        first: the position of the first such text.
    """

    def __init__(self, message: str = "", first: int | None = None) -> None:
        super().__init__(message)
        self.first = first


def warn(warning: Warning) -> None:
    """Warn, and point at the code that called Pellucid, however deep the call is."""
    stacklevel, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(("pellucid.", "contextlib")):
        stacklevel, frame = stacklevel + 1, frame.f_back
    warnings.warn(warning, stacklevel=stacklevel)
