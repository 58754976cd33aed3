"""The first source: a folder on this machine."""

from __future__ import annotations

from pathlib import Path

from pellucid.errors import ModelNotFoundError
from pellucid.sources.files import ModelFiles, module_folders


def looks_like_path(name: str) -> bool:
    """Whether ``name`` can only be meant as a path: the Hub has no such names.

    >>> [looks_like_path(name) for name in ("./model", "/m", "~/m", "m/", "a/b/c", "org/name", "name")]
    [True, True, True, True, True, False, False]
    """
    return (
        name.startswith((".", "~"))
        or name.endswith("/")
        or name.count("/") > 1
        or "\\" in name
        or Path(name).is_absolute()
    )


def find(name: str) -> ModelFiles | None:
    """The model in the folder ``name``, or None if ``name`` is not a folder and may be a Hub name.

    Raises:
        ModelNotFoundError: ``name`` is a file, or can only be a path and is not there.
    """
    try:
        folder = Path(name).expanduser().absolute()  # Where it is, whatever the working directory is later.
    except RuntimeError as error:
        raise ModelNotFoundError(f"{name!r}: there is no such user on this machine. Check the path.") from error
    if folder.is_dir():
        listing = sorted(
            path.relative_to(folder).as_posix()
            # Modules lie one folder deep, if modules.json does not say otherwise.
            for path in (*folder.glob("*"), *folder.glob("*/*"), *_deeper(folder))
            if path.is_file()
        )
        return ModelFiles(name=name, folder=folder, source="folder", revision=None, listing=dict.fromkeys(listing))
    if folder.is_file():
        raise ModelNotFoundError(f"{name!r} is a file. Give the folder that holds the model's files.")
    if looks_like_path(name):
        raise ModelNotFoundError(f"no folder {name!r} (looked for {folder}). Check the path.")
    return None


def _deeper(folder: Path) -> list[Path]:
    """What lies in the folders of modules that are two or more deep."""
    deep = [name for name in module_folders(folder) if "/" in name]
    return [path for name in deep for path in (folder / name).glob("*")]
