"""The third source: the Hugging Face Hub, through ``huggingface_hub``, which is imported here and nowhere else.

huggingface_hub brings what a good client needs (``HF_ENDPOINT``, ``HF_TOKEN``, proxies, progress bars, resuming,
locks between processes) and we add two things: only the files that are read are fetched, and each fetched file
is checked against the digest that the Hub gave for it.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from pellucid import catalog
from pellucid.errors import DownloadError, IntegrityError, ModelNotFoundError
from pellucid.sources import files, hf_cache
from pellucid.sources.files import ModelFiles


class HubUnreachableError(DownloadError):
    """The Hub could not be reached, as against: it answered, and said no."""


def is_offline() -> bool:
    """Whether ``HF_HUB_OFFLINE`` (or ``TRANSFORMERS_OFFLINE``) forbids the network."""
    from huggingface_hub import constants

    return constants.is_offline_mode()


def download(repo: str, *, revision: str | None, cache: Path, token: str | bool | None) -> ModelFiles:
    """Fetch the files of ``repo`` that are read and are not yet in the cache.

    Raises:
        HubUnreachableError: nothing answered.
        ModelNotFoundError: the Hub has no such model or revision, or keeps it from us.
        DownloadError: the transfer broke off. What has come stays, is not loadable, and is resumed next time.
        IntegrityError: a file is not what the Hub says it is. The file is removed.
    """
    from huggingface_hub import constants, errors

    had = _present(hf_cache.find(repo, revision, cache))
    try:
        _fetch(repo, revision, cache, token, files.PATTERNS)
        snapshot = hf_cache.find(repo, revision, cache)
        if snapshot is not None and (missing := snapshot.lacking()):
            # A modules.json that names its folders in a way of its own.
            _fetch(repo, snapshot.commit, cache, token, [name.rpartition("/")[0] + "/*" for name in missing])
            snapshot = hf_cache.find(repo, revision, cache)
    except errors.GatedRepoError as error:
        raise ModelNotFoundError(
            f"{repo} is on the Hub, but its owners give access on request. Ask for it at "
            f"{constants.ENDPOINT}/{repo}, then pass token=… or set HF_TOKEN."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelNotFoundError(f"{repo} has no revision {revision!r} on {constants.ENDPOINT}.") from error
    except errors.RepositoryNotFoundError as error:
        raise ModelNotFoundError(_no_such_model(repo, constants.ENDPOINT)) from error
    except errors.HFValidationError as error:
        raise ModelNotFoundError(f"{repo!r} is neither a folder here nor a name the Hub can have: {error}") from error
    except errors.LocalEntryNotFoundError as error:
        raise HubUnreachableError(f"{constants.ENDPOINT} could not be reached ({_reason(error)})") from error
    except (errors.HTTPError, OSError, ValueError) as error:  # type: ignore[attr-defined]  # httpx's or httpx2's
        begun = hf_cache.find(repo, revision, cache)
        if begun is None or begun.tree is None:  # A proxy refused, or what answered is not a Hub.
            raise HubUnreachableError(f"{constants.ENDPOINT} could not be reached ({_reason(error)})") from error
        raise DownloadError(
            f"the download of {repo} from {constants.ENDPOINT} broke off ({_reason(error)}). "
            f"What has come is kept in {cache}: run the same again and it goes on from there."
        ) from error
    if snapshot is None:
        raise DownloadError(f"{constants.ENDPOINT} answered for {repo}, but has none of the files of a model.")
    _verify(snapshot, had)
    return snapshot.model_files(repo, "Hugging Face Hub")


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


def _fetch(repo: str, revision: str | None, cache: Path, token: str | bool | None, patterns: Sequence[str]) -> None:
    import huggingface_hub

    huggingface_hub.snapshot_download(
        repo,
        revision=revision,
        cache_dir=cache,
        token=token,
        allow_patterns=list(patterns),
        # fnmatch's * also matches "/", and these are copies of the same weights for other runtimes.
        ignore_patterns=["onnx/*", "openvino/*", "*.bin", "*.onnx", "*.h5", "*.ot", "*.msgpack", "*.pt", "*.pkl"],
        library_name="pellucid",
    )


def _present(snapshot: hf_cache.Snapshot | None) -> set[str]:
    """The files that are already in the cache and need no second check."""
    if snapshot is None:
        return set()
    return {name for name in snapshot.tree or () if (snapshot.folder / name).is_file()}


def _verify(snapshot: hf_cache.Snapshot, had: set[str]) -> None:
    """Check each new file against the digest that the Hub gave for it."""
    for name, digest in (snapshot.tree or {}).items():
        path = snapshot.folder / name
        if name in had or not path.is_file() or digest.matches(path):
            continue
        path.resolve().unlink()  # The blob, which the path in the snapshot links to …
        path.unlink(missing_ok=True)  # … and the link.
        raise IntegrityError(
            f"{name} of {snapshot.storage.name} is not what the Hub says it is (its digest differs), and was "
            f"removed. Something between here and the Hub changed it; try again, or another network."
        )


def _no_such_model(repo: str, endpoint: str) -> str:
    near = catalog.near_names(repo)
    hint = f" Did you mean {' or '.join(near)}?" if near else " Check the spelling."
    return f"there is no model {repo!r} on {endpoint}, or it is private.{hint} A private one needs token=… or HF_TOKEN."


def _reason(error: BaseException) -> str:
    """The root of a chain of errors, on one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no details'}"
