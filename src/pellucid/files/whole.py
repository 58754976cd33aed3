"""Files and folders that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from pellucid.errors import OptionError, printable

UNFINISHED = ".unfinished-"
"""The beginning of the names of folders that a killed process may leave behind."""


@contextlib.contextmanager
def in_one_step(path: Path) -> Iterator[Path]:
    """A file to write to, which becomes ``path`` once all of it is on the disk.

    If anything goes wrong, what was at ``path`` before is still there. Until then, the file is in a hidden folder
    next to ``path``, so that no pattern matches it. It has its final name there, because some libraries choose the
    format by the ending.

    Raises:
        OSError: it cannot be written.
    """
    folder = path.parent / f"{UNFINISHED}{secrets.token_hex(8)}"
    unfinished = folder / path.name
    try:  # Begun before there is a folder, so that Ctrl-C never leaves one.
        folder.mkdir(mode=0o700)
        yield unfinished
        descriptor = os.open(unfinished, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        unfinished.replace(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def new_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Do the same for a file that a caller of the library names. A ``~`` at the start is the home folder.

    Raises:
        OptionError: it cannot be written.
    """
    try:
        target = Path(path).expanduser()
    except RuntimeError:
        raise OptionError(f"{printable(path)}: there is no such home folder. Write the path in full.") from None
    if "\0" in str(target):
        raise OptionError(f"{printable(path)} cannot be a file's name, because it has a null character.")
    try:
        with in_one_step(target) as unfinished:
            yield unfinished
    except OSError as error:
        raise OptionError(
            f"{printable(path)} cannot be written ({error.strerror or error}). Check that its folder exists and that "
            f"you may write there."
        ) from error


def check_new_folder(path: str | os.PathLike[str]) -> Path:
    """The path of a folder that a caller names, to be made. A ``~`` at the start is the home folder.

    Raises:
        OptionError: there is something already, other than an empty folder; or nothing can be there.
    """
    try:
        target = Path(path).expanduser()
    except RuntimeError:
        raise OptionError(f"{printable(path)}: there is no such home folder. Write the path in full.") from None
    if "\0" in str(target):
        raise OptionError(f"{printable(path)} cannot be a folder's name, because it has a null character.")
    try:
        if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
            raise OptionError(f"{printable(path)} exists already. Nothing was written. Name a new folder.")
    except OSError as error:
        raise _folder_error(path, error) from error
    return target


@contextlib.contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to write files to, which becomes ``target`` once all of them are on the disk.

    If anything goes wrong, nothing is there.

    Args:
        target: what :func:`check_new_folder` returned.

    Raises:
        OptionError: it cannot be written, or meanwhile something else is there.
    """
    unfinished = target.parent / f"{UNFINISHED}{secrets.token_hex(8)}"
    try:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            unfinished.mkdir()
            yield unfinished
            for path in unfinished.iterdir():
                with path.open("rb+") as file:
                    os.fsync(file.fileno())
            if target.is_dir():
                target.rmdir()  # It is empty, or else this fails.
            unfinished.rename(target)
        except OSError as error:
            raise _folder_error(target, error) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _folder_error(path: str | os.PathLike[str], error: OSError) -> OptionError:
    reason = error.strerror or error
    return OptionError(f"{printable(path)} cannot be written ({reason}). Check the path, and that you may write there.")


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes have left. The caller makes sure that no other process writes there."""
    for path in folder.glob(f"{UNFINISHED}*"):
        shutil.rmtree(path)
