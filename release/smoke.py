"""Test that an installed Pellucid works. ``make wheel`` runs this, and cibuildwheel in every Python.

It needs only Pellucid and the checkout's ``tests/``, which writes a tiny model. It fails if it imports the Pellucid of
the checkout instead of an installed one.
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
"""The largest difference from the reference engine that a number in a unit vector may have."""


def check_installation() -> None:
    """Check that the imported Pellucid is an installed one, and has its version, types, pages and data."""
    package = Path(pellucid.__file__).resolve().parent
    assert not package.is_relative_to(CHECKOUT / "src"), f"{package} is the checkout, not an installed Pellucid"
    assert importlib.metadata.version("pellucid") == pellucid.__version__
    pages = ("explain/render/page/page.html", "server/http/page/home.html")
    for name in ("py.typed", "__init__.pyi", "_native.pyi", "catalog.toml", *pages):
        assert (package / name).is_file(), f"{package} lacks {name}"


def check_vectors(model: Path) -> None:
    """Check that the native engine agrees with the reference engine in every dtype."""
    expected = Embedder(str(model), engine="reference", on_truncation="cut").embed_documents(TEXTS)
    for dtype, tolerance in TOLERANCES.items():
        embedder = Embedder(str(model), engine="native", dtype=dtype, threads=2, on_truncation="cut")
        vectors = embedder.embed_documents(TEXTS)
        assert vectors.shape == expected.shape == (len(TEXTS), embedder.dimensions)
        worst = float(np.abs(vectors - expected).max())
        assert worst <= tolerance, f"{dtype} differs from the reference engine by {worst}, more than {tolerance}"


def check_command(model: Path) -> None:
    """Check that the command runs, and finds the template of its page."""
    page = model / "page.html"
    command = [
        sys.executable,
        "-P",
        "-m",
        "pellucid",
        "explain",
        "the cat",
        "--model",
        str(model),
        "--output",
        str(page),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "</html>" in page.read_text(encoding="utf-8")


def main() -> None:
    """Run all checks. A failed one raises an AssertionError."""
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
