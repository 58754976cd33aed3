"""Whether an installed Pellucid works: run by ``make wheel``, and by cibuildwheel in every Python.

It needs nothing but Pellucid and this file's neighbour ``tests/``, which writes the tiny model. It must not be the
checkout's Pellucid that is tested, so it refuses that one.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

import pellucid
from pellucid import Embedder, _native

CHECKOUT = Path(__file__).resolve().parents[1]
TEXTS = ["the cat sat on the mat", "a dog", "", "cat " * 90]
TOLERANCES: Mapping[Literal["float32", "int16", "int8"], float] = {"float32": 2e-6, "int16": 1e-3, "int8": 5e-2}
"""How far a number of a vector of length 1 may lie from the reference engine's."""


def check_installation() -> None:
    """What is imported is what was installed, with its types, its pages and its version."""
    package = Path(pellucid.__file__).resolve().parent
    assert not package.is_relative_to(CHECKOUT / "src"), f"{package} is the checkout, not an installation"
    assert importlib.metadata.version("pellucid") == pellucid.__version__
    pages = ("explain/render/page/page.html", "server/http/page/home.html")
    for name in ("py.typed", "__init__.pyi", "_native.pyi", "catalog.toml", *pages):
        assert (package / name).is_file(), f"{name} is missing in {package}"


def check_vectors(model: Path) -> None:
    """Every dtype of the native engine gives what the reference engine gives."""
    expected = Embedder(str(model), engine="reference", on_truncation="ignore").embed_documents(TEXTS)
    for dtype, tolerance in TOLERANCES.items():
        embedder = Embedder(str(model), engine="native", dtype=dtype, threads=2, on_truncation="ignore")
        vectors = embedder.embed_documents(TEXTS)
        assert vectors.shape == expected.shape == (len(TEXTS), embedder.dimensions)
        worst = float(np.abs(vectors - expected).max())
        assert worst <= tolerance, f"{dtype}: {worst} from the reference engine, more than {tolerance}"


def check_command(model: Path) -> None:
    """The command finds the data files that it needs."""
    page = model / "page.html"
    command = [sys.executable, "-P", "-m", "pellucid", "explain", "the cat", "--model", str(model), "--html", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "</html>" in page.read_text(encoding="utf-8")


def main() -> None:
    """Run all checks; an AssertionError says which failed."""
    sys.path.insert(0, str(CHECKOUT))
    tiny = importlib.import_module("tests.tiny")
    with tempfile.TemporaryDirectory() as folder:
        model = tiny.write_model(Path(folder) / "tiny")
        check_installation()
        check_vectors(model)
        check_command(model)
    system = f"CPython {platform.python_version()}, {platform.system()} {platform.machine()}"
    print(f"pellucid {pellucid.__version__} works: {system}, {', '.join(_native.instruction_sets())}")


if __name__ == "__main__":
    main()
