"""Fuzz one target with atheris (libFuzzer for Python), which sees the lines of Pellucid that each input reaches.

``python -m fuzz.run texts --seconds 60`` looks for inputs that violate an invariant. ``python -m fuzz.run texts FILE``
repeats one of them. Such inputs are kept in ``build/fuzz/``; so is the corpus, with which the next run continues.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
from pathlib import Path

import atheris

TARGETS = ("model_files", "texts", "tokens", "documents")
MAX_SECONDS, MAX_MEGABYTES = 60, 4096
"""An input that takes more is a fault: Pellucid hangs, or it trusts a false size in a file."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("file", nargs="?", type=Path, help="the file of an input to repeat")
    parser.add_argument("--seconds", type=int, default=60, help="how long to look for inputs (default: 60)")
    args = parser.parse_args()
    # atheris instruments modules that Python's ordinary finder finds. An editable install adds its own finder before
    # that one, so move it to the end.
    sys.path.insert(0, "src")
    sys.meta_path.sort(key=lambda finder: type(finder).__name__ == "ScikitBuildRedirectingFinder")
    with atheris.instrument_imports(include=["pellucid"]):
        target = importlib.import_module(f"fuzz.{args.target}")
    check = target.target()
    corpus = Path("build/fuzz") / args.target
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in range(64):  # Start with long inputs: a target builds structures from an input's bytes and uses them up.
        (corpus / f"seed-{seed}").write_bytes(random.Random(seed).randbytes(32 * (1 + seed)))  # noqa: S311
    limits = [f"-timeout={MAX_SECONDS}", f"-rss_limit_mb={MAX_MEGABYTES}", "-max_len=2048", "-reduce_inputs=0"]
    work = [str(args.file)] if args.file else [str(corpus), f"-max_total_time={args.seconds}"]
    atheris.Setup(
        [sys.argv[0], *limits, f"-artifact_prefix={corpus}-", *work],
        lambda data: check(atheris.FuzzedDataProvider(data)),
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
