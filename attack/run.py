"""Attack Pellucid: ``python -m attack.run [TARGET …] --seconds 60``.

Each case is a number: what it does depends on that number and ``--seed`` alone. A case that breaks a law is kept in
``build/attack/TARGET-NUMBER/`` with the command that repeats it. The exit status is 1 if there is any.
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
from attack.child import Attack, Bounds, Child, Outcome, start
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
}
OUTPUT = Path("build/attack")


def main() -> None:
    args = _arguments()
    # One thread for each case; and no child waits for threads of a parent that it does not have.
    os.environ.update(TOKENIZERS_PARALLELISM="false", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", LANCEDB_LOG="off")
    tallies = []
    for name in args.targets or TARGETS:
        target: Target = importlib.import_module(TARGETS[name]).TARGET
        if args.memory:
            target = replace(target, bounds=replace(target.bounds, memory=args.memory << 20))
        count = args.count or (target.short if args.short else target.cases)
        numbers: Iterable[int] = range(count) if args.case is None else [args.case]
        if args.case is None:
            _forget(name)
        tallies.append(attacked(name, target, numbers, args.seed, args.seconds, args.jobs))
        print(report.table(tallies[-1:]), flush=True)
    if args.case is None:
        report.write(tallies, args.seed, OUTPUT / "summary.json")
    if len(tallies) > 1:
        print("", report.table(tallies), sep="\n")
    sys.exit(1 if any(tally.broken for tally in tallies) else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for each target, at most")
    parser.add_argument("--count", type=int, help="of cases, for each target")
    parser.add_argument("--short", action="store_true", help="a few cases of each: two minutes in all")
    parser.add_argument("--case", type=int, help="only this one")
    parser.add_argument("--seed", type=int, default=19)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="cases at once")
    parser.add_argument("--memory", type=int, help="MB that a case may take, in place of the target's own bound")
    return parser.parse_args()


def attacked(
    name: str, target: Target, numbers: Iterable[int], seed: int, seconds: float, jobs: int, output: Path = OUTPUT
) -> Tally:
    """Do the cases of a target, for at most so many seconds."""
    shared = _anew(output / f"{name}-shared")
    shared.mkdir(parents=True)
    tally, began = Tally(name), time.monotonic()
    try:
        attack = target.prepare(shared)
        in_time = itertools.takewhile(lambda _: time.monotonic() - began < seconds, numbers)
        children = _done(name, attack, target.bounds, in_time, seed, min(jobs, target.jobs or jobs), output)
        for child, outcome in children:
            if tally.add(child.number, outcome):
                _keep(name, child, outcome, seed)
            else:
                shutil.rmtree(child.folder)
    finally:
        if not tally.broken:
            shutil.rmtree(shared)
    tally.seconds = time.monotonic() - began
    return tally


def _done(
    name: str, attack: Attack, bounds: Bounds, numbers: Iterable[int], seed: int, jobs: int, output: Path
) -> Iterator[tuple[Child, Outcome]]:
    """Start cases, some at once, and give each as it ends."""
    waiting, running = iter(numbers), list[Child]()
    while True:
        for number in itertools.islice(waiting, jobs - len(running)):
            rng = random.Random(f"{seed}/{name}/{number}")
            running.append(start(number, attack, rng, _anew(output / f"{name}-{number}"), bounds))
        if not running:
            return
        for child in running.copy():
            if (outcome := child.poll()) is not None:
                running.remove(child)
                yield child, outcome
        time.sleep(0.002)


def _forget(name: str) -> None:
    """Remove what an earlier attack has kept."""
    for old in OUTPUT.glob(f"{name}-*"):
        shutil.rmtree(old)


def _anew(folder: Path) -> Path:
    """A folder that is not there, whatever was."""
    if folder.exists():
        shutil.rmtree(folder)
    return folder.resolve()


def _keep(name: str, child: Child, outcome: Outcome, seed: int) -> None:
    """Write beside what a case left what became of it, and how to repeat it."""
    command = f"python -m attack.run {name} --seed {seed} --case {child.number}"
    told = {"command": command, **vars(outcome)}
    (child.folder / "case.json").write_text(json.dumps(told, indent=2) + "\n")
    print(f"{name} {child.number}: {report.signature(outcome)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
