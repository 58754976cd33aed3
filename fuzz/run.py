"""Run one target under atheris: libFuzzer, guided by which lines of Pellucid an input reaches.

``python -m fuzz.run texts --seconds 60`` looks for inputs that break a law; ``python -m fuzz.run texts FILE`` repeats
one that was found. What is found is written to ``build/fuzz/``, as is the corpus, from which the next run goes on.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
from pathlib import Path

import atheris

TARGETS = ("model_files", "texts", "tokens", "documents")
SLOWEST_SECONDS, MOST_MEGABYTES = 60, 4096
"""An input that takes more counts as a crash: it hangs, or it believes a file that lies about a size."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("file", nargs="?", type=Path, help="an input that was found, to be repeated")
    parser.add_argument("--seconds", type=int, default=60)
    args = parser.parse_args()
    # atheris instruments what the ordinary finder finds. An editable install's own comes before it: let it come last.
    sys.path.insert(0, "src")
    sys.meta_path.sort(key=lambda finder: type(finder).__name__ == "ScikitBuildRedirectingFinder")
    with atheris.instrument_imports(include=["pellucid"]):
        target = importlib.import_module(f"fuzz.{args.target}")
    check = target.target()
    corpus = Path("build/fuzz") / args.target
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in range(64):  # Long inputs to begin with: a structure is drawn from an input's bytes, and uses them up.
        (corpus / f"seed-{seed}").write_bytes(random.Random(seed).randbytes(32 * (1 + seed)))  # noqa: S311  no secret
    limits = [f"-timeout={SLOWEST_SECONDS}", f"-rss_limit_mb={MOST_MEGABYTES}", "-max_len=2048", "-reduce_inputs=0"]
    work = [str(args.file)] if args.file else [str(corpus), f"-max_total_time={args.seconds}"]
    atheris.Setup(
        [sys.argv[0], *limits, f"-artifact_prefix={corpus}-", *work],
        lambda data: check(atheris.FuzzedDataProvider(data)),
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
