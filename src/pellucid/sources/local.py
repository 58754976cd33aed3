"""The first source: a folder on this machine."""

from __future__ import annotations

from pathlib import Path

from pellucid.errors import ModelNotFoundError
from pellucid.sources.files import ModelFiles, read_module_folders


def looks_like_path(name: str) -> bool:
    """True if ``name`` can only be a path, because no model on the Hub can have such a name.

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
    """The model in the folder ``name``, or None if there is no such folder and ``name`` could be a Hub name.

    Raises:
        ModelNotFoundError: ``name`` is a file; or it can only be a path, and there is no such folder.
    """
    try:
        folder = Path(name).expanduser().absolute()  # The working directory may change later.
    except RuntimeError as error:
        raise ModelNotFoundError(f"{name!r}: there is no such user on this machine. Check the path.") from error
    if folder.is_dir():
        listing = sorted(
            path.relative_to(folder).as_posix()
            # Modules are one folder deep unless modules.json says otherwise.
            for path in (*folder.glob("*"), *folder.glob("*/*"), *_nested_module_files(folder))
            if path.is_file()
        )
        return ModelFiles(name=name, folder=folder, source="folder", revision=None, listing=dict.fromkeys(listing))
    if folder.is_file():
        raise ModelNotFoundError(f"{name!r} is a file, and not a GGUF file. Give the folder with the model's files.")
    if looks_like_path(name):
        raise ModelNotFoundError(f"no folder {name!r} (looked for {folder}). Check the path.")
    return None


def _nested_module_files(folder: Path) -> list[Path]:
    """The content of those module folders that are two or more levels deep."""
    nested = [name for name in read_module_folders(folder) if "/" in name]
    return [path for name in nested for path in (folder / name).glob("*")]
