"""The third source: the Hugging Face Hub, through ``huggingface_hub``. Only this folder imports that library.

huggingface_hub already does what a good client must do: it follows ``HF_ENDPOINT``, ``HF_TOKEN`` and proxy settings,
retries, shows progress bars, and keeps a cache that several processes can share. This module adds three things. It
downloads only the files that Pellucid reads. It checks each of them against the digest that the Hub gave. And it
resumes the weights where an earlier process stopped.

The weights come last, and they get their place in the snapshot only after every file has been checked. Until then, no
copy counts as complete.
"""

from __future__ import annotations

import functools
import glob
import shutil
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

from pellucid import catalog
from pellucid.errors import DownloadError, HubUnreachableError, IntegrityError, ModelError, ModelNotFoundError, either
from pellucid.files.locks import locked
from pellucid.files.progress import bar_class, in_notebook, progress_bar
from pellucid.sources import hf_cache
from pellucid.sources.files import ModelFiles

_WEIGHTS_SUFFIX = ".safetensors"


def is_offline() -> bool:
    """True if ``HF_HUB_OFFLINE`` (or ``TRANSFORMERS_OFFLINE``) forbids the network."""
    from huggingface_hub import constants

    return constants.is_offline_mode()


def download(repo: str, *, revision: str | None, cache: Path, token: str | bool | None) -> ModelFiles:
    """Download the files of ``repo`` that Pellucid reads and the cache lacks, and check all that Pellucid reads.

    Files that are already in the cache are checked too, whichever program downloaded them.

    Raises:
        HubUnreachableError: the Hub did not answer.
        ModelNotFoundError: the Hub has no such model or revision, or does not give us access to it.
        DownloadError: the transfer was interrupted. The part that arrived is kept. It cannot be loaded, and the next
            download resumes it.
        IntegrityError: a file does not have the digest that the Hub gave. The file is removed.
    """
    from huggingface_hub import errors

    try:
        snapshot = _download_snapshot(repo, revision, cache, token)
    except (errors.HTTPError, OSError, ValueError) as error:  # type: ignore[attr-defined]  # httpx's or httpx2's
        raise _translate_error(error, repo, revision, cache) from error
    return snapshot.model_files(repo, "Hugging Face Hub")


def _download_snapshot(repo: str, revision: str | None, cache: Path, token: str | bool | None) -> hf_cache.Snapshot:
    """Download the two files that say what else is needed, then the small files, then the weights.

    The errors are huggingface_hub's own.
    """
    from huggingface_hub import constants

    first_files = ["modules.json", "config.json"]
    _fetch(repo, revision, cache, token, first_files)
    snapshot = hf_cache.find(repo, revision, cache)
    if snapshot is None or snapshot.tree is None:
        raise HubUnreachableError(f"{constants.ENDPOINT} could not be reached for the list of the model's files")
    _verify(snapshot, first_files)
    names: list[str] = []
    while (found := snapshot.files_to_read()) != names:  # A Router's file may name more folders.
        names = found
        small_files = [name for name in names if not name.endswith(_WEIGHTS_SUFFIX)]
        _fetch_missing(repo, snapshot, cache, token, small_files)
        _verify(snapshot, small_files)
    weights = [name for name in names if name.endswith(_WEIGHTS_SUFFIX)]
    missing_weights = [name for name in weights if not (snapshot.folder / name).is_file()]
    for name in missing_weights:
        _fetch_blob(repo, snapshot, name, token)
    _fetch_missing(repo, snapshot, cache, token, missing_weights)  # The blobs are here; this only makes the links.
    _verify(snapshot, weights, checked_blobs=missing_weights)
    return snapshot


def _translate_error(error: Exception, repo: str, revision: str | None, cache: Path) -> ModelError:  # noqa: PLR0911
    """Turn an error of huggingface_hub, of its HTTP library or of the file system into one of ours."""
    from huggingface_hub import constants, errors

    hub = constants.ENDPOINT
    match error:
        case errors.GatedRepoError():
            return ModelNotFoundError(
                f"{repo} is on the Hub, but its owners give access on request only. Request it at {hub}/{repo}, then "
                f"pass token=… or set HF_TOKEN."
            )
        case errors.RevisionNotFoundError():
            return ModelNotFoundError(f"{repo} has no revision {revision!r} on {hub}.")
        case errors.RepositoryNotFoundError():
            near = catalog.near_names(repo)
            hint = f"Did you mean {either(near)}?" if near else "Check the spelling."
            return ModelNotFoundError(
                f"there is no model {repo} on {hub}, or it is private. {hint} "
                f"A private model needs token=… or HF_TOKEN."
            )
        case errors.HFValidationError():
            return ModelNotFoundError(f"{repo!r} is neither a folder on this machine nor a valid Hub name: {error}")
        case OSError(errno=int()):  # This comes from the local file system, not from the network.
            return DownloadError(
                f"{repo} cannot be kept in {cache} ({_root_cause(error)}). Fix that, or choose another cache_folder."
            )
    snapshot = hf_cache.find(repo, revision, cache)
    if isinstance(error, errors.LocalEntryNotFoundError) or snapshot is None or snapshot.tree is None:
        # Nothing answered, a proxy refused the request, or the server that answered is not a Hub.
        return HubUnreachableError(f"{hub} could not be reached ({_root_cause(error)})")
    return DownloadError(
        f"the download of {repo} from {hub} was interrupted ({_root_cause(error)}). The part that arrived is kept in "
        f"{cache}. To resume, run the same again."
    )


def remove(repo: str, cache: Path) -> None:
    """Remove every revision of a model from the cache, and the remains of unfinished downloads."""
    import huggingface_hub

    scan = huggingface_hub.scan_cache_dir(cache)
    commits = [
        revision.commit_hash
        for cached in scan.repos
        if cached.repo_id == repo and cached.repo_type == "model"
        for revision in cached.revisions
    ]
    scan.delete_revisions(*commits).execute()
    if (storage := hf_cache.storage_folder(repo, cache)).is_dir():
        shutil.rmtree(storage)


def _fetch(repo: str, revision: str | None, cache: Path, token: str | bool | None, names: Sequence[str]) -> None:
    """Let huggingface_hub download these files, and save the list of all files of the commit.

    Names that the commit does not have are skipped.
    """
    bar = bar_class()  # Before huggingface_hub, which imports tqdm too, and would let it warn in a notebook.
    import huggingface_hub

    huggingface_hub.snapshot_download(
        repo,
        revision=revision,
        cache_dir=cache,
        token=token,
        allow_patterns=[glob.escape(name) for name in names],
        library_name="pellucid",
        # These files are small. The progress bar that matters is the one of _fetch_blob.
        tqdm_class=cast("type[Any]", functools.partial(bar, disable=True)),
    )


def _fetch_missing(
    repo: str, snapshot: hf_cache.Snapshot, cache: Path, token: str | bool | None, names: Sequence[str]
) -> None:
    """Download those of the files that the snapshot lacks."""
    if missing := [name for name in names if not (snapshot.folder / name).is_file()]:
        _fetch(repo, snapshot.commit, cache, token, missing)


def _fetch_blob(repo: str, snapshot: hf_cache.Snapshot, name: str, token: str | bool | None) -> None:
    """Download a file into the cache's blobs, and resume what an earlier process left unfinished.

    If the blob is there already, it is checked, and downloaded again if its digest is wrong.

    huggingface_hub itself resumes only within one process. A lock makes several processes take turns. Should the lock
    fail, as it does on some network file systems, the digest reveals the damage and the file is not used.
    """
    from huggingface_hub import file_download, utils

    digest = (snapshot.tree or {})[name]
    blob = snapshot.storage / "blobs" / digest.hex
    partial = blob.with_name(f"{digest.hex}.pellucid-partial")
    locks = snapshot.storage.parent / ".locks" / snapshot.storage.name
    bars: dict[str, Any] = {}
    if in_notebook() and not utils.are_progress_bars_disabled():  # type: ignore[attr-defined]
        bars = {"tqdm_class": progress_bar}  # Without ipywidgets, the library's own bar needs a terminal.
    for folder in (blob.parent, locks):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(locks / f"{partial.name}.lock"):
        if blob.exists():
            if digest.matches(blob):
                return
            blob.unlink()
        with partial.open("ab") as file:
            file_download.http_get(
                file_download.hf_hub_url(repo, name, revision=snapshot.commit),
                file,
                resume_size=file.tell(),
                headers=utils.build_hf_headers(token=token, library_name="pellucid"),  # type: ignore[attr-defined]
                expected_size=digest.size,
                displayed_filename=name,
                **bars,
            )
        if not digest.matches(partial):
            partial.unlink()
            raise _digest_error(snapshot, name)
        partial.replace(blob)


def _verify(snapshot: hf_cache.Snapshot, names: Iterable[str], checked_blobs: Collection[str] = ()) -> None:
    """Check the digest of each of these files that is on disk.

    The blobs of ``checked_blobs`` have passed this check already. Their files only have to be links to those blobs.
    """
    for name in names:
        path, digest = snapshot.folder / name, (snapshot.tree or {}).get(name)
        if digest is None or not path.is_file():
            continue
        if name in checked_blobs and path.resolve() == (snapshot.storage / "blobs" / digest.hex).resolve():
            continue
        if not digest.matches(path):
            path.resolve().unlink()  # First the blob, which the path in the snapshot links to,
            path.unlink(missing_ok=True)  # then the link.
            raise _digest_error(snapshot, name)


def _digest_error(snapshot: hf_cache.Snapshot, name: str) -> IntegrityError:
    return IntegrityError(
        f"{name} of {snapshot.storage.name} does not have the digest that the Hub gives for it, and was removed. "
        f"Something between this machine and the Hub changed it: try again, or use another network."
    )


def _root_cause(error: BaseException) -> str:
    """The first error in a chain of errors, on one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no details'}"
