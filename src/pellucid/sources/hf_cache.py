"""The second source: the Hugging Face cache, which sentence-transformers and transformers fill too.

Its layout (https://huggingface.co/docs/huggingface_hub/guides/manage-cache)::

    <cache>/models--<org>--<name>/refs/<revision>          the commit a branch or tag stood at
                                  snapshots/<commit>/…     the files, as links to blobs
                                  trees/<commit>.json      every file of the commit, with digests
                                  .no_exist/<commit>/…     empty files, named like those that the commit has not

A copy is used only if it is whole. A download that was cut off leaves some of the files; without
``modules.json``, say, the rest would still load, with the wrong pooling. transformers never fetches that file, so what
it has left is whole only if it is known that there is none.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pellucid.sources import files
from pellucid.sources.files import Digest, ModelFiles

DEFAULT_REVISION = "main"
_MOST_RECORD_BYTES = 64 << 20  # Of some hundred bytes for each file of a commit.


@dataclass(frozen=True)
class Snapshot:
    """One commit of a model in the cache.

    Attributes:
        storage: the model's folder in the cache, ``models--<org>--<name>``.
        commit: the commit's hash.
        tree: every file of the commit with its digest, or None if the cache has no record of them.
    """

    storage: Path
    commit: str
    tree: Mapping[str, Digest] | None

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self.storage / "snapshots" / self.commit

    def wanted(self) -> list[str]:
        """The files of the commit that are read, by the record of it and the ``modules.json`` on disk."""
        return files.wanted(self.tree or (), files.module_folders(self.folder))

    def lacking(self) -> list[str]:
        """The files that this copy lacks to be whole; empty if nothing."""
        links = (path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_symlink())
        expected = {*self.wanted(), *files.wanted(links, files.module_folders(self.folder))}
        if self.may_have_modules():
            expected.add("modules.json")
        missing = {name for name in expected if not (self.folder / name).is_file()}
        return sorted(missing.union(files.lacking(self.folder)))

    def may_have_modules(self) -> bool:
        """Whether it is not known that the commit has no ``modules.json``: there is no record of its files."""
        return self.tree is None and not (self.storage / ".no_exist" / self.commit / "modules.json").is_file()

    def model_files(self, name: str, source: files.Source) -> ModelFiles:
        """The copy, as what the rest of the library works with."""
        on_disk = (path for path in self.folder.rglob("*") if path.is_file())
        listing = self.tree or dict.fromkeys(sorted(path.relative_to(self.folder).as_posix() for path in on_disk))
        return ModelFiles(name, self.folder, source, self.commit, listing)


def directory(cache_folder: str | os.PathLike[str] | None) -> Path:
    """The cache's folder: ``cache_folder``, else as the environment says, else ``~/.cache/huggingface/hub``.

    ``SENTENCE_TRANSFORMERS_HOME`` is honoured because models that people already have may lie there; the rest
    (``HF_HUB_CACHE``, ``HF_HOME``, ``XDG_CACHE_HOME``) is huggingface_hub's own rule.
    """
    from huggingface_hub import constants

    return Path(cache_folder or os.environ.get("SENTENCE_TRANSFORMERS_HOME") or constants.HF_HUB_CACHE).expanduser()


def storage_folder(repo: str, cache: Path) -> Path:
    """The folder of one model in the cache."""
    return cache / f"models--{repo.replace('/', '--')}"


def find(repo: str, revision: str | None, cache: Path) -> Snapshot | None:
    """The snapshot that ``revision`` (a branch, a tag or a commit; default ``main``) stands for.

    It may be whole or not: even without a file, if a download has just begun.
    """
    storage = storage_folder(repo, cache)
    commit = _commit(storage / "refs" / (revision or DEFAULT_REVISION)) or revision
    if not commit:
        return None
    snapshot = Snapshot(storage, commit, _tree(storage, commit))
    return snapshot if snapshot.tree is not None or snapshot.folder.is_dir() else None


def _commit(ref: Path) -> str | None:
    """The commit that a branch or tag stood at, or None if none is known."""
    with contextlib.suppress(OSError, ValueError):
        files.check_readable(ref, 1000)
        commit = ref.read_text(encoding="ascii").strip()
        return commit if re.fullmatch(r"[0-9a-f]{40}", commit) else None
    return None


def _tree(storage: Path, commit: str) -> Mapping[str, Digest] | None:
    """What huggingface_hub wrote down of a commit's files before it fetched the first one."""
    # Read here, and not through huggingface_hub, whose function for it costs 100 ms of imports at every start.
    record = storage / "trees" / f"{commit}.json"
    try:
        files.check_readable(record, _MOST_RECORD_BYTES)
        entries = json.loads(record.read_bytes())["files"]
        return {
            name: Digest("sha256", entry["lfs_sha256"], entry["lfs_size"])
            if entry.get("lfs_sha256")
            else Digest("git-sha1", entry["blob_id"], entry["size"])
            for name, entry in entries.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
