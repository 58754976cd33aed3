"""Measure models one beside the other: rounds in which each takes its turn, each time in a new process.

A process of its own gives a model its own loading time and its own memory (``worker.py``). Turns let whatever else the
machine is doing fall on all of them.
"""

from __future__ import annotations

import contextlib
import json
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.engines import registry
from pellucid.errors import OptionError, PellucidError
from pellucid.measuring.neighbours import Float64, agreement, most_neighbours
from pellucid.sources.files import ModelFiles
from pellucid.sources.resolve import resolve

ROUNDS = 3
WORKER = "pellucid.measuring.worker"
_FEWEST_TEXTS = 3
"""With fewer, a text has one other text, and nearest is no choice."""
_BYTES_PER_READ = 1 << 20


@dataclass(frozen=True)
class Contender:
    """A model as it was asked for, and the arithmetic to run it with."""

    model: str
    dtype: str = "float32"


@dataclass(frozen=True)
class BenchOptions:
    """How each model is looked for and run; as :class:`~pellucid.Embedder` takes them."""

    threads: int | None = None
    revision: str | None = None
    cache_folder: str | None = None
    local_files_only: bool = False


@dataclass(frozen=True)
class ModelMeasurement:
    """What was measured of one model. What varies has a value for each round.

    Attributes:
        contender: which.
        name: the model's full name, or the folder.
        source: where its files came from.
        family: its architecture.
        dimensions: the length of a vector.
        max_tokens: the longest text that it reads whole.
        parameters: how many numbers its weights have.
        disk_bytes: of the files that are read.
        tokens: of all texts, as far as they are read.
        texts_cut: how many texts are longer than ``max_tokens``.
        memory_bytes: the most that the process held, above a bare interpreter.
        loading_seconds: constructing the Embedder, the files being in the system's cache.
        query_seconds: embedding one short question; the median of each round's.
        texts_seconds: embedding all texts.
    """

    contender: Contender
    name: str
    source: str
    family: str
    dimensions: int
    max_tokens: int
    parameters: int
    disk_bytes: int
    tokens: int
    texts_cut: int
    memory_bytes: tuple[int, ...]
    loading_seconds: tuple[float, ...]
    query_seconds: tuple[float, ...]
    texts_seconds: tuple[float, ...]

    @property
    def memory(self) -> float:
        """Bytes, the median of the rounds."""
        return statistics.median(self.memory_bytes)

    @property
    def loading(self) -> float:
        """Seconds, the median of the rounds."""
        return statistics.median(self.loading_seconds)

    @property
    def query(self) -> float:
        """Seconds, the median of the rounds."""
        return statistics.median(self.query_seconds)

    @property
    def embedding(self) -> float:
        """Seconds for all texts, the median of the rounds."""
        return statistics.median(self.texts_seconds)


@dataclass(frozen=True, eq=False)
class BenchResult:
    """What came out.

    Attributes:
        figures: of the models that could be measured, in the order in which they were asked for.
        failures: why the others could not be.
        texts: how many there were.
        neighbours: how many nearest texts were compared; 0 if there is no agreement.
        agreement: ``float64[m, m]``, as :func:`~pellucid.measuring.neighbours.agreement` gives it; None with fewer
            than two models or three texts.
    """

    figures: tuple[ModelMeasurement, ...]
    failures: dict[Contender, str]
    texts: int
    neighbours: int
    agreement: Float64 | None

    @property
    def chance(self) -> float:
        """The agreement of models that know nothing of each other."""
        return self.neighbours / (self.texts - 1)


def compare(
    contenders: Sequence[Contender],
    texts: Sequence[str],
    options: BenchOptions = BenchOptions(),
    *,
    neighbours: int = 10,
    step: Callable[[Contender], object] = lambda _: None,
) -> BenchResult:
    """Measure each contender on the texts, and how far they agree on which of them are near.

    A model that is not on disk is fetched first, as by :class:`~pellucid.Embedder`. One that cannot be measured is
    among the failures, and the others are measured all the same.

    Args:
        contenders: no two the same.
        texts: at least one.
        options: for all of them.
        neighbours: how many nearest texts to compare; never more than half of the other texts.
        step: is told whose turn it is, ``ROUNDS`` times each.

    Raises:
        OptionError: an option cannot be served by any model.
    """
    if len(set(contenders)) < len(contenders):
        twice = next(one for one in contenders if contenders.count(one) > 1)
        raise OptionError(f"{twice.model} is there twice.")
    if not texts:
        raise OptionError("there are no texts.")
    for contender in contenders:
        registry.check_options("auto", dtype=contender.dtype, device="cpu", threads=options.threads)
    failures: dict[Contender, str] = {}
    answers: dict[Contender, list[dict[str, Any]]] = {contender: [] for contender in contenders}
    vectors: dict[Contender, Any] = {}
    for contender in contenders:
        try:
            files = resolve(
                contender.model,
                revision=options.revision,
                cache_folder=options.cache_folder,
                local_files_only=options.local_files_only,
            )
            _read_through(files)
        except PellucidError as error:
            failures[contender] = str(error)
    with tempfile.TemporaryDirectory(prefix="pellucid-") as name:
        folder = Path(name)
        (folder / "texts.json").write_text(json.dumps(list(texts)))
        for _ in range(ROUNDS):
            for contender in contenders:
                if contender in failures:
                    continue
                step(contender)
                answer = _round(folder, contender, options, keep_vectors=contender not in vectors)
                if "error" in answer:
                    failures[contender] = answer["error"]
                    continue
                answers[contender].append(answer)
                if contender not in vectors:
                    vectors[contender] = np.load(folder / "vectors.npy")
    measured = [contender for contender in contenders if contender not in failures]
    k = most_neighbours(neighbours, len(texts))
    compared = len(measured) > 1 and len(texts) >= _FEWEST_TEXTS
    return BenchResult(
        figures=tuple(_figures(contender, answers[contender]) for contender in measured),
        failures=failures,
        texts=len(texts),
        neighbours=k if compared else 0,
        agreement=agreement([vectors[contender] for contender in measured], k) if compared else None,
    )


def _read_through(files: ModelFiles) -> None:
    """Bring a model's files into the system's cache, so that no model's loading is the disk's."""
    for name in files.wanted():
        with contextlib.suppress(OSError), files.path(name).open("rb") as file:  # Loading will say what is wrong.
            while file.read(_BYTES_PER_READ):
                pass


def _round(folder: Path, contender: Contender, options: BenchOptions, *, keep_vectors: bool) -> dict[str, Any]:
    """What a new process measured, or ``{"error": why not}``."""
    result = folder / "result.json"
    result.unlink(missing_ok=True)
    # It has been fetched by now.
    its_options = asdict(options) | {"dtype": contender.dtype, "local_files_only": True}
    job = {"model": contender.model, "options": its_options, "keep_vectors": keep_vectors}
    (folder / "job.json").write_text(json.dumps(job))
    # -P: a numpy.py in the working folder is none of ours. The pipe ends when we do, and the worker with it.
    command = [sys.executable, "-P", "-m", WORKER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        try:
            code = process.wait()
        finally:  # Ctrl-C, perhaps. If the process has ended, this does nothing.
            process.kill()
            process.wait()
    if code < 0:
        return {"error": f"its process was ended by {signal.Signals(-code).name}; there may be too little memory."}
    if code or not result.is_file():
        return {"error": f"its process ended with code {code}."}
    return dict(json.loads(result.read_bytes()))


def _figures(contender: Contender, answers: Sequence[dict[str, Any]]) -> ModelMeasurement:
    """The answers of all rounds in one."""
    varying = ("memory_bytes", "loading_seconds", "query_seconds", "texts_seconds")
    rounds = {key: tuple(answer[key] for answer in answers) for key in varying}
    return ModelMeasurement(contender=contender, **(answers[0] | rounds))


def labels(contenders: Sequence[Contender]) -> list[str]:
    """A short name for each: the last part of its name if that tells them apart, and the dtype if there are several.

    >>> labels([Contender("org/a"), Contender("models/b/"), Contender("c")])
    ['a', 'b', 'c']
    >>> labels([Contender("x/a"), Contender("y/a")])
    ['x/a', 'y/a']
    >>> labels([Contender("org/a", "float32"), Contender("org/a", "int8")])
    ['a float32', 'a int8']
    """
    names = list(dict.fromkeys(contender.model for contender in contenders))
    short = {name: Path(name).name or name for name in names}
    if len(set(short.values())) < len(names):
        short = {name: name for name in names}
    several = len({contender.dtype for contender in contenders}) > 1
    return [f"{short[one.model]} {one.dtype}" if several else short[one.model] for one in contenders]
