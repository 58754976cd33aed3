"""Measures a static model of 64 dimensions: ours, model2vec and sentence-transformers in turns, with the same weights.

Run it with Pellucid's own Python, on an otherwise idle machine. The peers run in a Python that has both of them::

    .venv/bin/python benchmarks/static.py --peers .venv-benchmark/bin/python

Each turn is a process of its own. It embeds all texts, then it times the two halves alone: from texts to ids, and from
ids to vectors. All sides must have the same ids, and vectors that agree within 1e-6. Besides the time on the clock, it
takes the processor's time, of all threads: on a busy machine, that one says more.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

SIDES = ("Pellucid", "model2vec", "sentence-transformers")
PARTS = ("whole", "ids", "vectors")
DIMENSIONS = 64
BATCH_SIZE = 1024
"""model2vec's default. sentence-transformers' own is 32, with which it is slower."""
SAMPLE = 1000
TOLERANCE = 1e-6


def main() -> None:
    """Write the raw times to a file, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default=sys.executable, help="a Python with model2vec and sentence-transformers")
    parser.add_argument("--source", default="all-MiniLM-L6-v2", help="the model to make the static model of")
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/latest-static.json"))
    parser.add_argument("--turn", nargs=2, metavar=("SIDE", "FOLDER"), help="one turn, in this process")
    args = parser.parse_args()
    if args.turn:
        side, folder = args.turn
        print(json.dumps(turn(side, Path(folder))))
        return
    import machine
    import texts

    from pellucid.distillation import distil

    facts = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": machine.commit(),
        "machine": machine.describe(),
        "threads": args.threads,
        "dimensions": DIMENSIONS,
        "made_of": Path(args.source).name,
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        distil(args.source, folder / "model", dimensions=DIMENSIONS)
        chosen = texts.many(args.texts)
        (folder / "texts.json").write_text(json.dumps(chosen), encoding="utf-8")
        runs: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
        for number in range(args.rounds):
            for side, found in runs.items():
                found.append(_start(side, folder, args.peers, args.threads))
                shown = ", ".join(f"{part} {found[-1][part]:.3f} s" for part in PARTS)
                print(f"round {number + 1}, {side}: {shown}", file=sys.stderr, flush=True)
        difference = _difference(folder)
    if len({each["ids_sha256"] for found in runs.values() for each in found}) != 1 or difference > TOLERANCE:
        raise SystemExit(f"the sides do not do the same work: ids differ, or vectors, by up to {difference}")
    tokens = runs[SIDES[0]][0]["tokens"]
    more = {"texts": args.texts, "texts_sha256": texts.sha256(chosen), "tokens": tokens, "difference": difference}
    args.output.write_text(json.dumps({**facts, **more, "runs": runs}, indent=1) + "\n", encoding="utf-8")
    for kind in ("", " (processor)"):
        ours = {part: statistics.median(each[part + kind] for each in runs[SIDES[0]]) for part in PARTS}
        for side, found in runs.items():
            medians = {part: statistics.median(each[part + kind] for each in found) for part in PARTS}
            cells = [f"{part} {medians[part]:7.3f} s ({medians[part] / ours[part]:6.2f} x)" for part in PARTS]
            print(f"{side + kind:36} {'  '.join(cells)}")


def _start(side: str, folder: Path, peers: str, threads: int) -> dict[str, Any]:
    python = sys.executable if side == "Pellucid" else peers
    counts = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"), str(threads))
    environment = {**os.environ, **counts, "HF_HUB_OFFLINE": "1"}
    command = [python, __file__, "--turn", side, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _difference(folder: Path) -> float:
    """The largest difference between our vectors and the others'."""
    ours, *others = (np.load(folder / f"{side}.npy") for side in SIDES)
    return max(float(np.abs(ours - other).max()) for other in others)


def turn(side: str, folder: Path) -> dict[str, Any]:
    """Measure one side: the seconds of all of the work and of its halves, and what tells whether it did the same."""
    chosen = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
    embed, tokenize, embed_ids = {
        "Pellucid": _pellucid,
        "model2vec": _model2vec,
        "sentence-transformers": _sentence_transformers,
    }[side](str(folder / "model"))
    embed(chosen[:SAMPLE])
    times: dict[str, float] = {}
    vectors = _time(times, "whole", lambda: embed(chosen))
    np.save(folder / f"{side}.npy", vectors[:SAMPLE])
    ids = _time(times, "ids", lambda: tokenize(chosen))
    again = _time(times, "vectors", embed_ids(chosen, ids))
    if not np.array_equal(vectors, again):
        raise SystemExit(f"{side}: from ids to vectors is other work")
    flat = ids[0].ids if side == "Pellucid" else np.array([number for each in ids for number in each], dtype=np.int32)
    tokenizer = json.loads((folder / "model" / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    known = flat[flat != tokenizer["vocab"][tokenizer["unk_token"]]]  # model2vec leaves out what is unknown.
    digest = hashlib.sha256(known.tobytes()).hexdigest()
    return {
        **times,
        "tokens": len(flat),
        "ids_sha256": digest,
        "versions": _versions(),
    }


def _time(times: dict[str, float], part: str, work: Callable[[], Any]) -> Any:
    start, processor = time.perf_counter(), time.process_time()
    result = work()
    times[part], times[f"{part} (processor)"] = time.perf_counter() - start, time.process_time() - processor
    return result


def _versions() -> dict[str, str]:
    import importlib.metadata

    names = ("pellucid", "model2vec", "sentence-transformers", "torch", "tokenizers", "numpy")
    found = {distribution.name: distribution.version for distribution in importlib.metadata.distributions()}
    return {name: found[name] for name in names if name in found}


def _pellucid(folder: str) -> tuple[Any, Any, Any]:
    from pellucid import Embedder

    embedder = Embedder(folder, threads=int(os.environ["OMP_NUM_THREADS"]))
    return (
        embedder.embed_documents,
        embedder.tokenizer.tokenize,
        lambda _texts, ids: lambda: embedder.encoder.run(ids[0], embedder.finish()),
    )


def _model2vec(folder: str) -> tuple[Any, Any, Any]:
    from model2vec import StaticModel

    model = StaticModel.from_pretrained(folder, max_length=None)

    def from_ids(texts: list[str], ids: list[list[int]]) -> Callable[[], Any]:
        known = dict(zip(texts, ids, strict=True))
        model.tokenize = lambda sentences: [known[sentence] for sentence in sentences]
        return lambda: model.encode(texts)

    def tokenize(texts: list[str]) -> list[list[int]]:
        parts = (texts[start : start + BATCH_SIZE] for start in range(0, len(texts), BATCH_SIZE))
        return [ids for part in parts for ids in StaticModel.tokenize(model, part)]

    return model.encode, tokenize, from_ids


def _sentence_transformers(folder: str) -> tuple[Any, Any, Any]:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(folder, device="cpu")

    def embed(texts: list[str]) -> Any:
        return model.encode(texts, batch_size=BATCH_SIZE, show_progress_bar=False)

    def tokenize(texts: list[str]) -> list[list[int]]:
        found: list[list[int]] = []
        for start in range(0, len(texts), BATCH_SIZE):
            part = texts[start : start + BATCH_SIZE]
            found += [each.ids for each in model[0].tokenizer.encode_batch(part, add_special_tokens=False)]
        return found

    def from_ids(texts: list[str], ids: list[list[int]]) -> Callable[[], Any]:
        known = dict(zip(texts, ids, strict=True))
        stub = SimpleNamespace(
            encode_batch=lambda part, **_options: [SimpleNamespace(ids=known[text]) for text in part]
        )
        model[0].tokenizer = stub
        return lambda: embed(texts)

    return embed, tokenize, from_ids


if __name__ == "__main__":
    main()
