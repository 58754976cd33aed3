"""Everything that Pellucid raises on purpose, in one tree.

::

    PellucidError
    ├── ModelError                        the model, or the way to its files
    │   ├── ModelNotFoundError            no such model in any place that was tried
    │   ├── DownloadError                 a place was reached (or should have been) and did not deliver
    │   ├── IntegrityError                bytes that differ from the digest they must have
    │   ├── InvalidModelError             files that are broken, missing, lying or out of bounds
    │   └── UnsupportedModelError         sound files that ask for something we do not do
    ├── InputError (ValueError)           what the caller handed in
    │   ├── TextError                     a text that is not one: its position and type are named
    │   │   └── TextTypeError (TypeError)
    │   ├── OptionError                   an option, or a value of one, that we cannot serve
    │   └── TruncationError               a text beyond ``max_tokens`` under ``on_truncation="error"``
    ├── BatchError                        a job over whole tables: its input, its output, or another job's there
    ├── DeviceError                       a device, as a GPU, whose memory does not suffice
    ├── CacheError                        a file of vectors that cannot be used, or is something else
    ├── IndexStateError                   an index that is not there, is broken, or holds another model's vectors
    ├── IndexWriteError                   an index that could not be written, as on a full disk
    └── MissingExtraError (ImportError)   an optional dependency; the message is the install command

    TruncationWarning (UserWarning)       texts that were cut, said once a call
    CacheWarning (UserWarning)            vectors that could not be kept, or not be looked for; they were computed

Catch :class:`PellucidError` to catch them all. Messages say what was wrong, where, and what to do next; they
name texts by position and never quote them.
"""

from __future__ import annotations

import os

# Pellucid is on no package index yet, so it is installed from a clone. Once it is released, change these two lines and
# run `make docs`, which writes the command on every page. Never name a package index where the name is not ours.
INSTALL_EXTRA = "pip install '.[{extra}]'"
WHERE_TO_INSTALL = "In your clone of Pellucid, run: "


def install_hint(extra: str) -> str:
    """Say how to install an extra of Pellucid, as ``search``."""
    return WHERE_TO_INSTALL + INSTALL_EXTRA.format(extra=extra)


JOINER = "\u200d"
"""It joins emoji that are made of several."""


def printable(text: str | os.PathLike[str], *, keep: str = "") -> str:
    r"""A text, a name or a path with its control characters and odd bytes written out, such as ``\x1b``.

    Args:
        text: any text.
        keep: control characters that may stay.
    """
    return "".join(
        letter if letter.isprintable() or letter in keep else repr(letter)[1:-1] for letter in os.fspath(text)
    )


_LONGEST = 2000


class PellucidError(Exception):
    """Base of every error that Pellucid raises on purpose."""

    def __init__(self, message: str = "", **options: str) -> None:
        # What a message quotes, a path or a value of a model's file, may be anything. So control characters are written
        # out, but for line ends, and of a very long message the middle is left out.
        message = printable(message, keep="\n")
        if len(message) > _LONGEST:
            message = f"{message[: _LONGEST // 2]} … {message[-_LONGEST // 3 :]}"
        super().__init__(message, **options)


class ModelError(PellucidError):
    """The model, or the way to its files."""


class ModelNotFoundError(ModelError):
    """No place that was tried has a model of this name."""


class DownloadError(ModelError):
    """A download could not be started or finished. Nothing half-done is left where it could be loaded."""


class IntegrityError(ModelError):
    """Bytes that differ from the digest they must have."""


class InvalidModelError(ModelError):
    """Files of a model that are broken, missing, inconsistent, or that point outside their folder."""


class UnsupportedModelError(ModelError):
    """A sound model that needs an architecture, a module or a file format that Pellucid does not run."""


class InputError(PellucidError, ValueError):
    """Something the caller handed in."""


class TextError(InputError):
    """A text that cannot be embedded; the message gives its position."""


class TextTypeError(TextError, TypeError):
    """A value of another type where a text, or a list of texts, belongs."""


class OptionError(InputError):
    """An option, or the value of one, that cannot be served."""


class TruncationError(InputError):
    """A text is longer than the model's ``max_tokens`` and ``on_truncation`` is ``"error"``."""


class BatchError(PellucidError):
    """A job over whole tables that cannot be begun or gone on with. What was written is whole, and stays."""


class DeviceError(PellucidError):
    """A device has no room for the model, or for a single text."""


class CacheError(PellucidError):
    """A file of vectors that cannot be opened, read or written, or that is something else."""


class IndexStateError(PellucidError):
    """An index on disk that is not there, is broken, or holds the vectors of another model."""


class IndexWriteError(PellucidError):
    """An index that could not be written, as on a full disk. What was there before is there still."""


class MissingExtraError(PellucidError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"this needs the package {package!r}, which is not installed. {install_hint(extra)}",
            name=package,
        )


class CacheWarning(UserWarning):
    """A cache could not be read or written while it was used; the vectors were computed, and none is wrong."""


class TruncationWarning(UserWarning):
    """Some texts were longer than the model's ``max_tokens`` and were cut."""
