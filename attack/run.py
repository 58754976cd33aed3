"""Attack Pellucid: ``python -m attack.run [TARGET …] --seconds 60``.

Each case has a number. What it does depends only on that number and on ``--seed``. A case with a fault is kept in
``build/attack/TARGET-NUMBER/``, with the command that repeats it. The exit status is 1 if any case had a fault.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from attack import report
from attack.child import Case, Child, Limits, Outcome, start
from attack.report import Tally
from attack.target import Target

TARGETS = {
    "models": "attack.models",
    "caches": "attack.caches",
    "indexes": "attack.indexes",
    "documents": "attack.documents",
    "tables": "attack.tables",
    "kills-index": "attack.kills_index",
    "kills-batch": "attack.kills_batch",
    "http": "attack.http_server",
    "words": "attack.words",
}
OUTPUT = Path("build/attack")


def main() -> None:
    args = _arguments()
    # One thread for each case. A forked child would also wait forever for threads that only its parent has.
    os.environ.update(TOKENIZERS_PARALLELISM="false", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", LANCEDB_LOG="off")
    tallies = []
    for name in args.targets or TARGETS:
        target: Target = importlib.import_module(TARGETS[name]).TARGET
        if args.memory:
            target = replace(target, limits=replace(target.limits, memory=args.memory << 20))
        count = args.count or (target.short if args.short else target.cases)
        numbers: Iterable[int] = range(count) if args.case is None else [args.case]
        if args.case is None:
            _remove_kept_cases(name)
        tallies.append(run_target(name, target, numbers, args.seed, args.seconds, args.jobs))
        print(report.table(tallies[-1:]), flush=True)
    if args.case is None:
        report.write(tallies, args.seed, OUTPUT / "summary.json")
    if len(tallies) > 1:
        print("", report.table(tallies), sep="\n")
    sys.exit(1 if any(tally.fault_count for tally in tallies) else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no new case of a target after this")
    parser.add_argument("--count", type=int, help="the number of cases for each target")
    parser.add_argument("--short", action="store_true", help="run a few cases of each target: two minutes in all")
    parser.add_argument("--case", type=int, help="run only the case with this number")
    parser.add_argument("--seed", type=int, default=19, help="the seed of all random choices (default: 19)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many cases run at the same time")
    parser.add_argument("--memory", type=int, help="the memory limit for a case in MB, instead of the target's own")
    return parser.parse_args()


def run_target(
    name: str, target: Target, numbers: Iterable[int], seed: int, seconds: float, jobs: int, output: Path = OUTPUT
) -> Tally:
    """Run cases of a target. After ``seconds``, no new case starts."""
    shared = _clear_path(output / f"{name}-shared")
    shared.mkdir(parents=True)
    tally, began = Tally(name), time.monotonic()
    try:
        case = target.prepare(shared)
        in_time = itertools.takewhile(lambda _: time.monotonic() - began < seconds, numbers)
        children = _run_cases(name, case, target.limits, in_time, seed, min(jobs, target.jobs or jobs), output)
        for child, outcome in children:
            if tally.add(child.number, outcome):
                _keep(name, child, outcome, seed)
            else:
                shutil.rmtree(child.folder)
    finally:
        if not tally.fault_count:
            shutil.rmtree(shared)
    tally.seconds = time.monotonic() - began
    return tally


def _run_cases(
    name: str, case: Case, limits: Limits, numbers: Iterable[int], seed: int, jobs: int, output: Path
) -> Iterator[tuple[Child, Outcome]]:
    """Run up to ``jobs`` cases at the same time, and yield each one when it ends."""
    waiting, running = iter(numbers), list[Child]()
    while True:
        for number in itertools.islice(waiting, jobs - len(running)):
            rng = random.Random(f"{seed}/{name}/{number}")
            running.append(start(number, case, rng, _clear_path(output / f"{name}-{number}"), limits))
        if not running:
            return
        for child in running.copy():
            if (outcome := child.poll()) is not None:
                running.remove(child)
                yield child, outcome
        time.sleep(0.002)


def _remove_kept_cases(name: str) -> None:
    """Remove the cases of this target that an earlier run kept."""
    for folder in OUTPUT.glob(f"{name}-*"):
        shutil.rmtree(folder)


def _clear_path(folder: Path) -> Path:
    """Remove the folder if it exists, and return its absolute path."""
    if folder.exists():
        shutil.rmtree(folder)
    return folder.resolve()


def _keep(name: str, child: Child, outcome: Outcome, seed: int) -> None:
    """Write ``case.json`` into the case's folder: its outcome, and the command that repeats it."""
    command = f"python -m attack.run {name} --seed {seed} --case {child.number}"
    content = {"command": command, **vars(outcome)}
    (child.folder / "case.json").write_text(json.dumps(content, indent=2) + "\n")
    print(f"{name} {child.number}: {report.signature(outcome)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
