"""Measures rerankers in turns: many pairs at once, and one query with twenty passages.

Run it with the peers' Python, on an otherwise idle machine::

    .venv-benchmark/bin/python benchmarks/reranking.py

The model has the shape of cross-encoder/ms-marco-MiniLM-L6-v2: the encoder of all-MiniLM-L6-v2 under a random head. So
the scores mean nothing, but all contenders must give the same ones.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import machine
import numpy as np
import rerankers
import texts
from convert import RERANKER_PARTS, convert
from measure import log
from process import Contender, ContenderError, Setting
from run import find_folder, python_of

BASELINE = "sentence-transformers"
QUERY_TOKENS, DOCUMENT_TOKENS, PASSAGE_TOKENS = 10, 120, 30
QUERIES, PASSAGES, LATENCIES_PER_ROUND = 20, 20, 10


def main() -> None:
    """Write the raw times to a file, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--contenders", nargs="+", choices=rerankers.CONTENDERS, default=list(rerankers.CONTENDERS))
    parser.add_argument("--encoder", default="all-MiniLM-L6-v2", help="the name or folder of the encoder")
    parser.add_argument("--pellucid-python", default=".venv/bin/python", help="the Python that has Pellucid")
    parser.add_argument("--converted", type=Path, default=Path(".make/benchmark-models/reranker"))
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/latest-reranking.json"))
    args = parser.parse_args()
    model = args.converted / "model"
    if not model.is_dir():
        write_model(find_folder(args.encoder, args.pellucid_python), model)
    failed = convert(model, args.converted, RERANKER_PARTS)
    setup = {
        name: Setting(python_of(name, args.pellucid_python), model, args.converted, args.threads)
        for name in args.contenders
        if rerankers.NEEDS.get(name) not in failed
    }
    result: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": machine.commit(),
        "machine": machine.describe(),
        "packages": {"pellucid": machine.versions(args.pellucid_python), "peers": machine.versions(sys.executable)},
        "options": {"pairs": args.pairs, "rounds": args.rounds, "threads": args.threads},
        "not_converted": failed,
    }
    tokenizer = read_tokenizer(model)
    inputs = {
        "pairs": (make_pairs(tokenizer, args.pairs, args.pairs // QUERIES, DOCUMENT_TOKENS), 1),
        "passages": (make_pairs(tokenizer, PASSAGES, PASSAGES, PASSAGE_TOKENS), LATENCIES_PER_ROUND),
    }
    for workload, (pairs, repeat) in inputs.items():
        log(workload)
        result[workload] = measure(setup, pairs, rounds=args.rounds, repeat=repeat, latency=repeat > 1)
        args.output.write_text(json.dumps(result, indent=1) + "\n")
        print(table(result[workload], len(pairs), latency=repeat > 1))


def write_model(encoder: Path, target: Path) -> None:
    """Save the encoder as a cross-encoder with one label, whose head is random."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(encoder, num_labels=1, dtype=torch.float32)
    model.config.sentence_transformers = {"activation_fn": "torch.nn.modules.linear.Identity"}
    model.save_pretrained(target)
    AutoTokenizer.from_pretrained(encoder, model_max_length=512).save_pretrained(target)


def make_pairs(tokenizer: Any, count: int, documents: int, tokens: int) -> list[tuple[str, str]]:
    """Pairs of a query and a document of almost exactly these lengths. ``documents`` pairs in a row share a query."""
    long = texts.long(max(200, min(2000, count)))

    def cut(text: str, length: int) -> str:
        ends = [end for _, end in tokenizer.encode(text, add_special_tokens=False).offsets]
        return text[: ends[min(length, len(ends)) - 1]]

    queries = [cut(text, QUERY_TOKENS) for text in texts.short(2000) if len(text.split()) >= QUERY_TOKENS]
    return [(queries[i // documents], cut(long[i % len(long)], tokens)) for i in range(count)]


def measure(
    setup: dict[str, Setting], pairs: list[tuple[str, str]], *, rounds: int, repeat: int, latency: bool
) -> dict[str, Any]:
    """Score the same pairs with each contender, once per round or more, in an order that rotates."""
    result: dict[str, Any] = {"sha256": texts.sha256([text for pair in pairs for text in pair])}
    result |= {"contenders": {}, "skipped": {}}
    with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        workers, scores = {}, {}
        for name, setting in setup.items():
            try:
                worker = Contender(name, setting, latency=latency, module="rerankers")
                stack.callback(worker.close)
                file = Path(folder) / f"{name}.npy"
                worker.ask(do="embed", texts=pairs, vectors_file=str(file))
            except ContenderError as error:
                result["skipped"][name] = str(error)
                continue
            workers[name], scores[name] = worker, np.load(file)
            result["contenders"][name] = {"seconds": []}
        for name, found in scores.items():
            if name.startswith("flashrank"):  # It gives the sigmoid of the score.
                found = np.log(found / (1 - found))  # noqa: PLW2901
            if BASELINE in scores:
                difference = float(np.abs(found - scores[BASELINE]).max())
                result["contenders"][name]["largest_difference"] = difference
        for number in range(rounds):
            names = list(workers)
            for name in names[number % len(names) :] + names[: number % len(names)]:
                answer = workers[name].ask(do="embed", texts=pairs, repeat=repeat)
                result["contenders"][name]["seconds"].append(answer["seconds"])
                result["contenders"][name]["peak_rss_mb"] = answer["rss_mb"]
                log(f"  round {number + 1}  {name:22} {float(np.median(answer['seconds'])):9.4f} s")
    return result


def table(measured: dict[str, Any], pairs: int, *, latency: bool) -> str:
    """A Markdown table of medians; ratios are taken within a round."""
    seconds = {
        name: [statistics.median(repeats) for repeats in raw["seconds"]] for name, raw in measured["contenders"].items()
    }
    lines = [
        f"| | {'ms' if latency else 'pairs/s'} | × | largest difference | peak MB |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, own in sorted(seconds.items(), key=lambda item: -statistics.median(item[1])):
        raw, median = measured["contenders"][name], statistics.median(own)
        speed = f"{1000 * median:.1f}" if latency else f"{pairs / median:,.0f}"
        base = seconds.get(BASELINE, own)
        ratio = statistics.median(theirs / ours for theirs, ours in zip(base, own, strict=True))
        difference = raw.get("largest_difference", float("nan"))
        lines.append(f"| {name} | {speed} | {ratio:.2f} | {difference:.1e} | {raw['peak_rss_mb']:,.0f} |")
    return "\n".join([*lines, *(f"{name}: {why}" for name, why in measured["skipped"].items())])


def read_tokenizer(model: Path) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


if __name__ == "__main__":
    main()
