"""The third source: the Hugging Face Hub, through ``huggingface_hub``, which only this folder imports.

huggingface_hub brings what a good client needs (``HF_ENDPOINT``, ``HF_TOKEN``, proxies, retries, progress bars, a
cache that several processes may use). We add three things: only the files that are read are fetched; each is
checked against the digest that the Hub gave for it; and the weights go on from where an earlier process stopped.

The weights come last, and have their place only once everything is checked: before that, no copy is whole.
"""

from __future__ import annotations

import functools
import glob
import shutil
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

from pellucid import catalog
from pellucid.errors import DownloadError, HubUnreachableError, IntegrityError, ModelError, ModelNotFoundError
from pellucid.sources import hf_cache
from pellucid.sources.files import ModelFiles

_WEIGHTS = ".safetensors"


def is_offline() -> bool:
    """Whether ``HF_HUB_OFFLINE`` (or ``TRANSFORMERS_OFFLINE``) forbids the network."""
    from huggingface_hub import constants

    return constants.is_offline_mode()


def download(repo: str, *, revision: str | None, cache: Path, token: str | bool | None) -> ModelFiles:
    """Fetch the files of ``repo`` that are read and are not yet in the cache, and check all that are read.

    Those in the cache are checked too, whichever program fetched them.

    Raises:
        HubUnreachableError: nothing answered.
        ModelNotFoundError: the Hub has no such model or revision, or keeps it from us.
        DownloadError: the transfer broke off. What has come stays, is not loadable, and is resumed next time.
        IntegrityError: a file is not what the Hub says it is. The file is removed.
    """
    from huggingface_hub import errors

    try:
        snapshot = _bring(repo, revision, cache, token)
    except (errors.HTTPError, OSError, ValueError) as error:  # type: ignore[attr-defined]  # httpx's or httpx2's
        raise _translated(error, repo, revision, cache) from error
    return snapshot.model_files(repo, "Hugging Face Hub")


def _bring(repo: str, revision: str | None, cache: Path, token: str | bool | None) -> hf_cache.Snapshot:
    """What says which files there are, the small files, and the weights; the errors are huggingface_hub's own."""
    from huggingface_hub import constants

    first = ["modules.json", "config.json"]
    _fetch(repo, revision, cache, token, first)
    snapshot = hf_cache.find(repo, revision, cache)
    if snapshot is None or snapshot.tree is None:
        raise HubUnreachableError(f"{constants.ENDPOINT} could not be reached to ask which files the model has")
    _verify(snapshot, first)
    names = snapshot.wanted()
    small = [name for name in names if not name.endswith(_WEIGHTS)]
    _fetch_missing(repo, snapshot, cache, token, small)
    _verify(snapshot, small)
    weights = [name for name in names if name.endswith(_WEIGHTS)]
    missing = [name for name in weights if not (snapshot.folder / name).is_file()]
    for name in missing:
        _fetch_blob(repo, snapshot, name, token)
    _fetch_missing(repo, snapshot, cache, token, missing)  # Only the links to the blobs.
    _verify(snapshot, weights, checked=missing)
    return snapshot


def _translated(error: Exception, repo: str, revision: str | None, cache: Path) -> ModelError:  # noqa: PLR0911
    """Our error for one of huggingface_hub's, of its HTTP library's, or of the file system's."""
    from huggingface_hub import constants, errors

    hub = constants.ENDPOINT
    match error:
        case errors.GatedRepoError():
            return ModelNotFoundError(
                f"{repo} is on the Hub, but its owners give access on request. Ask for it at {hub}/{repo}, then pass "
                f"token=… or set HF_TOKEN."
            )
        case errors.RevisionNotFoundError():
            return ModelNotFoundError(f"{repo} has no revision {revision!r} on {hub}.")
        case errors.RepositoryNotFoundError():
            near = catalog.near_names(repo)
            hint = f"Did you mean {' or '.join(near)}?" if near else "Check the spelling."
            return ModelNotFoundError(
                f"there is no model {repo!r} on {hub}, or it is private. {hint} "
                f"A private one needs token=… or HF_TOKEN."
            )
        case errors.HFValidationError():
            return ModelNotFoundError(f"{repo!r} is neither a folder here nor a name the Hub can have: {error}")
        case OSError(errno=int()):  # Of this machine, not of the network.
            return DownloadError(
                f"{repo} cannot be kept in {cache} ({_reason(error)}). Mend that, or give another cache_folder."
            )
    begun = hf_cache.find(repo, revision, cache)
    if isinstance(error, errors.LocalEntryNotFoundError) or begun is None or begun.tree is None:
        # Nothing answered, a proxy refused, or what answered is not a Hub.
        return HubUnreachableError(f"{hub} could not be reached ({_reason(error)})")
    return DownloadError(
        f"the download of {repo} from {hub} broke off ({_reason(error)}). What has come is kept in {cache}: run the "
        f"same again and it goes on from there."
    )


def remove(repo: str, cache: Path) -> None:
    """Remove every revision of a model from the cache, and what unfinished downloads of it have left."""
    import huggingface_hub

    scan = huggingface_hub.scan_cache_dir(cache)
    commits = [
        r.commit_hash
        for each in scan.repos
        if each.repo_id == repo and each.repo_type == "model"
        for r in each.revisions
    ]
    scan.delete_revisions(*commits).execute()
    if (storage := hf_cache.storage_folder(repo, cache)).is_dir():
        shutil.rmtree(storage)


def _fetch(repo: str, revision: str | None, cache: Path, token: str | bool | None, names: Sequence[str]) -> None:
    """Have huggingface_hub fetch the files of these names that the commit has, and record all files that it has."""
    import huggingface_hub
    from tqdm import tqdm  # type: ignore[import-untyped]

    huggingface_hub.snapshot_download(
        repo,
        revision=revision,
        cache_dir=cache,
        token=token,
        allow_patterns=[glob.escape(name) for name in names],
        library_name="pellucid",
        # These are small files: the bar that matters is that of _fetch_blob.
        tqdm_class=cast("type[Any]", functools.partial(tqdm, disable=True)),
    )


def _fetch_missing(
    repo: str, snapshot: hf_cache.Snapshot, cache: Path, token: str | bool | None, names: Sequence[str]
) -> None:
    if missing := [name for name in names if not (snapshot.folder / name).is_file()]:
        _fetch(repo, snapshot.commit, cache, token, missing)


def _fetch_blob(repo: str, snapshot: hf_cache.Snapshot, name: str, token: str | bool | None) -> None:
    """Fetch a file to its place among the cache's blobs, going on from what an earlier process has left.

    One that is there is checked, and fetched again if it is wrong.

    huggingface_hub itself resumes within a process only. Several processes take turns; should a lock not hold, as on
    some network file systems, the digest tells, and the file is not used.
    """
    import filelock
    from huggingface_hub import file_download, utils

    digest = (snapshot.tree or {})[name]
    blob = snapshot.storage / "blobs" / digest.hex
    partial = blob.with_name(f"{digest.hex}.pellucid-partial")
    locks = snapshot.storage.parent / ".locks" / snapshot.storage.name
    for folder in (blob.parent, locks):
        folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(locks / f"{partial.name}.lock"):
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
            )
        if not digest.matches(partial):
            partial.unlink()
            raise _changed(snapshot, name)
        partial.replace(blob)


def _verify(snapshot: hf_cache.Snapshot, names: Iterable[str], checked: Collection[str] = ()) -> None:
    """Check each of these files that is there against the digest that the Hub gave for it.

    Those of ``checked`` have been, as blobs; here it only has to be that blob.
    """
    for name in names:
        path, digest = snapshot.folder / name, (snapshot.tree or {}).get(name)
        if digest is None or not path.is_file():
            continue
        if name in checked and path.resolve() == (snapshot.storage / "blobs" / digest.hex).resolve():
            continue
        if not digest.matches(path):
            path.resolve().unlink()  # The blob, which the path in the snapshot links to …
            path.unlink(missing_ok=True)  # … and the link.
            raise _changed(snapshot, name)


def _changed(snapshot: hf_cache.Snapshot, name: str) -> IntegrityError:
    return IntegrityError(
        f"{name} of {snapshot.storage.name} is not what the Hub says it is (its digest differs), and was removed. "
        f"Something between here and the Hub changed it; try again, or another network."
    )


def _reason(error: BaseException) -> str:
    """The root of a chain of errors, on one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no details'}"
