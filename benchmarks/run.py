"""Measures Pellucid and its peers in turns, so that all of them suffer equally when the machine becomes slower.

Run it with the peers' Python. Pellucid's own workers run with the Python of ``--pellucid-python``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import machine
import report
from contenders import CONTENDERS, NEEDS
from convert import check_pipeline, convert, max_tokens, products_per_token
from measure import WORKLOADS, log
from process import Setting

GROWTH = (1_000, 10_000, 100_000)
THREAD_COUNTS = (1, 2, 4, 8, 16)
LEADERS = (
    *("sentence-transformers", "openvino", "openvino-int8", "onnxruntime-int8", "ctranslate2-int8", "llamacpp-q8_0"),
    *("pellucid", "pellucid-bfloat16", "pellucid-int16", "pellucid-int8"),
)
_RESOLVE = "import sys; from pellucid.sources.resolve import resolve; print(resolve(sys.argv[1]).folder)"


def main() -> None:
    args = _arguments()
    result: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": machine.commit(),
        "machine": machine.describe(),
        "packages": {"pellucid": machine.versions(args.pellucid_python), "peers": machine.versions(sys.executable)},
        "options": {key: getattr(args, key) for key in ("rounds", "texts", "threads", "growth", "thread_counts")},
        "models": {},
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    for name in args.models:
        model = find_folder(name, args.pellucid_python)
        check_pipeline(model)
        model_result = result["models"][Path(name).name] = _new_model_result(model)
        converted = args.converted / Path(name).name
        failed = convert(model, converted)
        not_converted = {
            contender: failed[NEEDS[contender]] for contender in args.contenders if NEEDS.get(contender) in failed
        }
        model_result["not_converted"] = not_converted
        setup = {
            contender: Setting(python_of(contender, args.pellucid_python), model, converted, args.threads)
            for contender in args.contenders
            if contender not in not_converted
        }
        for workload in args.workloads:
            log(f"{Path(name).name}: {workload}")
            model_result["workloads"][workload] = WORKLOADS[workload](setup, args)
            args.output.write_text(json.dumps(result, indent=1))  # Save after each workload, so that no result is lost.
    report.write(result, args.output)


def _new_model_result(model: Path) -> dict[str, Any]:
    return {"products_per_token": products_per_token(model), "max_tokens": max_tokens(model), "workloads": {}}


def python_of(contender: str, pellucid_python: str) -> str:
    return pellucid_python if contender.startswith("pellucid") else sys.executable


def find_folder(name: str, python: str) -> Path:
    """The model's folder. If ``name`` is not a folder, Pellucid resolves it."""
    if Path(name).is_dir():
        return Path(name).resolve()
    return Path(subprocess.check_output([python, "-P", "-c", _RESOLVE, name], text=True).strip())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["all-MiniLM-L6-v2"], help="the models' names or folders")
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), metavar="WORKLOAD")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), metavar="CONTENDER")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--texts", type=int, default=2000, help="how many short texts; there are a tenth as many long ones"
    )
    parser.add_argument(
        "--growth", type=int, nargs="+", default=list(GROWTH), help="numbers of texts for the workload growth"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--thread-counts",
        type=int,
        nargs="+",
        default=list(THREAD_COUNTS),
        metavar="THREADS",
        help="for the workload scaling; counts above the number of cores are left out",
    )
    parser.add_argument(
        "--scaling-contenders",
        nargs="+",
        choices=CONTENDERS,
        default=list(LEADERS),
        metavar="CONTENDER",
        help="those of the contenders that take part in the workload scaling",
    )
    parser.add_argument("--pellucid-python", default=".venv/bin/python", help="the Python that has Pellucid")
    parser.add_argument(
        "--converted", type=Path, default=Path(".make/benchmark-models"), help="the folder for converted models"
    )
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/latest.json"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
