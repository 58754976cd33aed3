"""Measures decoders in turns: many texts, one query, memory, and the time to the first vector.

Run it with the peers' Python, on an otherwise idle machine::

    .venv-benchmark/bin/python benchmarks/decoders.py

The models have the shapes of Qwen3-Embedding-0.6B and embeddinggemma-300m and random weights. So the vectors mean
nothing, but all contenders must give nearly the same ones. Each contender gets a new process in each round, and is the
only one in memory.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import decoder_contenders
import decoder_models
import machine
import numpy as np
import texts
from convert import DECODER_PARTS, convert
from decoder_contenders import BASELINE
from measure import log
from process import Contender, ContenderError, Setting
from run import python_of

TEXT_TOKENS, QUERY_TOKENS, QUERIES_PER_ROUND = 128, 12, 10
_WARM_UP_TEXTS = 2


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the raw figures to a file, and print a table for each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--texts", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--models", nargs="+", choices=decoder_models.SHAPES, default=list(decoder_models.SHAPES))
    names = decoder_contenders.CONTENDERS
    parser.add_argument("--contenders", nargs="+", choices=names, default=decoder_contenders.DEFAULT)
    parser.add_argument("--pellucid-python", default=".venv/bin/python", help="the Python that has Pellucid")
    parser.add_argument("--converted", type=Path, default=Path(".make/benchmark-models"))
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/latest-decoders.json"))
    args = parser.parse_args(arguments)
    result: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": machine.commit(),
        "machine": machine.describe(),
        "packages": {"pellucid": machine.versions(args.pellucid_python), "peers": machine.versions(sys.executable)},
        "options": {"texts": args.texts, "rounds": args.rounds, "threads": args.threads},
        "models": {},
    }
    for name in args.models:
        log(name)
        converted = args.converted / name
        model = make_model(name, converted)
        needed = {decoder_contenders.NEEDS.get(contender) for contender in args.contenders}
        failed = convert(model, converted, {part: make for part, make in DECODER_PARTS.items() if part in needed})
        setup, skipped = {}, {}
        for contender in args.contenders:
            if (part := decoder_contenders.NEEDS.get(contender)) in failed:
                skipped[contender] = failed[part]
            else:
                python = python_of(contender, args.pellucid_python)
                setup[contender] = Setting(python, model, converted, args.threads)
        inputs = make_inputs(model, args.texts)
        result["models"][name] = measured = measure(setup, inputs, skipped, args.rounds)
        args.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(f"{name}\n\n{table(measured)}\n")


def make_model(name: str, folder: Path) -> Path:
    """The folder of a model of this shape. It is written at the first call."""
    model = folder / "model"
    if not model.is_dir():
        unfinished = folder / "model.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        decoder_models.write_model(decoder_models.SHAPES[name], unfinished)
        unfinished.rename(model)
    return model


def make_inputs(model: Path, count: int) -> dict[str, list[str]]:
    """The texts, and one query. All have almost exactly the length that they are meant to have."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    documents = [decoder_models.cut(tokenizer, text, TEXT_TOKENS) for text in texts.long(count)]
    query = next(text for text in texts.last(100) if len(text.split()) >= QUERY_TOKENS)
    return {"texts": documents, "query": [decoder_models.cut(tokenizer, query, QUERY_TOKENS)]}


def measure(
    setup: dict[str, Setting], inputs: dict[str, list[str]], skipped: dict[str, str], rounds: int
) -> dict[str, Any]:
    """Measure each contender once per round, in an order that rotates.

    Args:
        setup: how to start the contenders.
        inputs: the texts and the query.
        skipped: why others cannot take part. Those that fail are added.
        rounds: how many rounds to measure.
    """
    model = next(iter(setup.values())).model
    result: dict[str, Any] = {
        "tokens": {workload: count_tokens(model, given) for workload, given in inputs.items()},
        "sha256": texts.sha256([text for given in inputs.values() for text in given]),
        "contenders": {},
        "skipped": skipped,
    }
    vectors: dict[str, Any] = {}
    for number in range(rounds):
        names = [name for name in setup if name not in skipped]
        start = number % max(1, len(names))
        for name in names[start:] + names[:start]:
            try:
                figures, vectors[name] = run(name, setup[name], inputs)
            except ContenderError as error:
                skipped[name] = str(error).partition("\n")[0]
                log(f"  without {name}: {skipped[name]}")
                continue
            own = result["contenders"].setdefault(name, {key: [] for key in figures})
            for key, value in figures.items():
                own[key].append(value)
            log(f"  round {number + 1}  {name:32} {figures['texts_seconds']:8.2f} s")
    for name in skipped:
        result["contenders"].pop(name, None)
    if BASELINE in result["contenders"]:
        for name, own in result["contenders"].items():
            own["lowest_cosine"] = float((vectors[name] * vectors[BASELINE]).sum(axis=1).min())
    return result


def run(name: str, setting: Setting, inputs: dict[str, list[str]]) -> tuple[dict[str, float], Any]:
    """Measure a contender in a new process, and return the figures of a round and the vectors of the texts.

    The first vector comes from a query in the new process, and its time begins where Python has started.

    Raises:
        ContenderError: the contender cannot take part.
    """
    worker = Contender(name, setting, module="decoder_contenders")
    try:
        with tempfile.TemporaryDirectory() as folder:
            first = worker.ask(do="embed", texts=inputs["query"])
            query = worker.ask(do="embed", texts=inputs["query"], repeat=QUERIES_PER_ROUND)
            worker.ask(do="embed", texts=inputs["texts"][:_WARM_UP_TEXTS])
            file = Path(folder) / "vectors.npy"
            many = worker.ask(do="embed", texts=inputs["texts"], vectors_file=str(file))
            vectors = np.load(file).astype(np.float64)
    finally:
        worker.close()
    figures = {
        "first_vector_seconds": worker.loaded["seconds"] + first["seconds"][0],
        "query_seconds": statistics.median(query["seconds"]),
        "texts_seconds": many["seconds"][0],
        "loaded_rss_mb": first["rss_before_mb"],
        "peak_rss_mb": many["rss_mb"],
    }
    return figures, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def count_tokens(model: Path, given: list[str]) -> int:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    return sum(len(encoding.ids) for encoding in tokenizer.encode_batch(given))


def table(measured: dict[str, Any]) -> str:
    """A Markdown table of medians, the slowest first. Ratios are taken within a round."""
    lines = [
        f"| | tokens/s | × | query of {measured['tokens']['query']} tokens, ms | first vector, s | MB loaded | peak MB "
        f"| lowest cosine |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    contenders = measured["contenders"]
    base = contenders.get(BASELINE)
    for name, own in sorted(contenders.items(), key=lambda item: -statistics.median(item[1]["texts_seconds"])):
        median = {key: statistics.median(values) for key, values in own.items() if isinstance(values, list)}
        ratios = zip(base["texts_seconds"], own["texts_seconds"], strict=True) if base else ()
        ratio = f"{statistics.median([theirs / ours for theirs, ours in ratios]):.2f}" if base else ""
        cosine = f"{own['lowest_cosine']:.6f}" if base else ""
        lines.append(
            f"| {name} | {measured['tokens']['texts'] / median['texts_seconds']:,.0f} | {ratio} "
            f"| {1000 * median['query_seconds']:.1f} | {median['first_vector_seconds']:.2f} "
            f"| {median['loaded_rss_mb']:,.0f} | {median['peak_rss_mb']:,.0f} | {cosine} |"
        )
    return "\n".join([*lines, *(f"{name}: {why}" for name, why in measured["skipped"].items())])


if __name__ == "__main__":
    main()
