"""The second source: the Hugging Face cache, which sentence-transformers and transformers fill too.

Its layout (https://huggingface.co/docs/huggingface_hub/guides/manage-cache)::

    <cache>/models--<org>--<name>/refs/<revision>          the commit that a branch or tag pointed to
                                  snapshots/<commit>/…     the files, as links to blobs
                                  trees/<commit>.json      the list of all files of the commit, with digests
                                  .no_exist/<commit>/…     an empty file for each file that the commit does not have

Pellucid uses a copy only if it is complete. An interrupted download leaves some of the files, and these might still
load: without ``modules.json``, for example, the model would pool in the wrong way. transformers never downloads that
file. So a copy that it made is complete only if the cache records that the model has no ``modules.json``.
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
_MAX_TREE_BYTES = 64 << 20  # A tree has a few hundred bytes for each file of the commit.
_MAX_REF_BYTES = 1000


@dataclass(frozen=True)
class Snapshot:
    """One commit of a model in the cache.

    Attributes:
        storage: the model's folder in the cache, ``models--<org>--<name>``.
        commit: the hash of the commit.
        tree: every file of the commit with its digest, or None if the cache has no list of them.
    """

    storage: Path
    commit: str
    tree: Mapping[str, Digest] | None

    @property
    def folder(self) -> Path:
        """The folder that holds the files."""
        return self.storage / "snapshots" / self.commit

    def files_to_read(self) -> list[str]:
        """The files of the commit that Pellucid reads, according to the tree and the ``modules.json`` on disk."""
        return files.select_files(self.tree or (), files.read_module_folders(self.folder))

    def missing_files(self) -> list[str]:
        """The files that this copy lacks to be complete; empty if it is complete."""
        links = (path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_symlink())
        expected = {*self.files_to_read(), *files.select_files(links, files.read_module_folders(self.folder))}
        if self.may_have_modules_json():
            expected.add("modules.json")
        missing = {name for name in expected if not (self.folder / name).is_file()}
        return sorted(missing.union(files.missing_files(self.folder)))

    def may_have_modules_json(self) -> bool:
        """True unless the cache lists the commit's files, or records that the commit has no ``modules.json``."""
        return self.tree is None and not (self.storage / ".no_exist" / self.commit / "modules.json").is_file()

    def model_files(self, name: str, source: files.Source) -> ModelFiles:
        """The snapshot as :class:`~pellucid.sources.files.ModelFiles`, the form that the rest of the library uses."""
        on_disk = (path for path in self.folder.rglob("*") if path.is_file())
        listing = self.tree or dict.fromkeys(sorted(path.relative_to(self.folder).as_posix() for path in on_disk))
        return ModelFiles(name, self.folder, source, self.commit, listing)


def directory(cache_folder: str | os.PathLike[str] | None) -> Path:
    """The folder of the cache: ``cache_folder``, else the one that the environment names, else
    ``~/.cache/huggingface/hub``.

    ``SENTENCE_TRANSFORMERS_HOME`` counts because people may already have models there. The other variables
    (``HF_HUB_CACHE``, ``HF_HOME``, ``XDG_CACHE_HOME``) follow huggingface_hub's own rule.
    """
    from huggingface_hub import constants

    return Path(cache_folder or os.environ.get("SENTENCE_TRANSFORMERS_HOME") or constants.HF_HUB_CACHE).expanduser()


def storage_folder(repo: str, cache: Path) -> Path:
    """The folder of one model in the cache."""
    return cache / f"models--{repo.replace('/', '--')}"


def find(repo: str, revision: str | None, cache: Path) -> Snapshot | None:
    """The snapshot of ``revision`` (a branch, a tag or a commit; ``main`` by default), or None if the cache has none.

    The snapshot may be incomplete. It may even have no file yet, if a download has only begun.
    """
    storage = storage_folder(repo, cache)
    commit = _read_ref(storage / "refs" / (revision or DEFAULT_REVISION)) or revision
    if not commit:
        return None
    snapshot = Snapshot(storage, commit, _read_tree(storage, commit))
    return snapshot if snapshot.tree is not None or snapshot.folder.is_dir() else None


def _read_ref(path: Path) -> str | None:
    """The commit that a branch or tag pointed to, or None if the file does not say."""
    with contextlib.suppress(OSError, ValueError):
        files.check_readable(path, _MAX_REF_BYTES)
        commit = path.read_text(encoding="ascii").strip()
        return commit if re.fullmatch(r"[0-9a-f]{40}", commit) else None
    return None


def _read_tree(storage: Path, commit: str) -> Mapping[str, Digest] | None:
    """The list of a commit's files, which huggingface_hub writes before it downloads the first one."""
    # huggingface_hub has a function for this, but importing it would cost 100 ms at every start.
    path = storage / "trees" / f"{commit}.json"
    try:
        files.check_readable(path, _MAX_TREE_BYTES)
        entries = json.loads(path.read_bytes())["files"]
        return {
            name: Digest("sha256", entry["lfs_sha256"], entry["lfs_size"])
            if entry.get("lfs_sha256")
            else Digest("git-sha1", entry["blob_id"], entry["size"])
            for name, entry in entries.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
