"""Measure models side by side, in rounds. Each model takes one turn in each round, in a new process.

A process of its own shows the model's own loading time and memory (see ``worker.py``). Taking turns is fair: whatever
else the machine is doing slows down all models alike.
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
from pellucid.measuring.neighbours import Float64, agreement, cap_neighbours
from pellucid.sources.files import ModelFiles
from pellucid.sources.resolve import resolve

ROUNDS = 3
WORKER = "pellucid.measuring.worker"
_MIN_TEXTS = 3
"""With fewer texts, each has only one other text, and models cannot disagree about the nearest."""
_BYTES_PER_READ = 1 << 20


@dataclass(frozen=True)
class Contender:
    """A model, as the user named it, and the dtype to run it with."""

    model: str
    dtype: str = "float32"


@dataclass(frozen=True)
class BenchOptions:
    """How to find and run the models. The fields are options of :class:`~pellucid.Embedder`."""

    threads: int | None = None
    revision: str | None = None
    cache_folder: str | None = None
    local_files_only: bool = False


@dataclass(frozen=True)
class ModelMeasurement:
    """The measurements of one model. Those that vary have one value for each round.

    Attributes:
        contender: the model and its dtype.
        name: the model's full name, or its folder.
        source: where its files came from.
        family: its architecture.
        dimensions: the length of its vectors.
        max_tokens: the most tokens of a text that it reads.
        parameters: how many numbers its weights have.
        disk_bytes: the size of the files that are read.
        tokens: the tokens of all texts, without those that are cut off.
        texts_cut: how many texts are longer than ``max_tokens``.
        memory_bytes: the peak memory of the process, minus that of a bare interpreter.
        loading_seconds: the time to construct the Embedder, with its files in the system's page cache.
        query_seconds: the time to embed one short question: the median of those in the round.
        texts_seconds: the time to embed all texts.
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
    def median_memory_bytes(self) -> float:
        """The median of ``memory_bytes``."""
        return statistics.median(self.memory_bytes)

    @property
    def median_loading_seconds(self) -> float:
        """The median of ``loading_seconds``."""
        return statistics.median(self.loading_seconds)

    @property
    def median_query_seconds(self) -> float:
        """The median of ``query_seconds``."""
        return statistics.median(self.query_seconds)

    @property
    def median_texts_seconds(self) -> float:
        """The median of ``texts_seconds``."""
        return statistics.median(self.texts_seconds)


@dataclass(frozen=True, eq=False)
class BenchResult:
    """The measurements of all models.

    Attributes:
        measurements: the models that could be measured, in the order in which they were given.
        failures: the reason for each model that could not be measured.
        texts: the number of texts.
        neighbours: how many nearest texts were compared; 0 without agreement.
        agreement: ``float64[m, m]``, see :func:`~pellucid.measuring.neighbours.agreement`; None for fewer than two
            models or three texts.
    """

    measurements: tuple[ModelMeasurement, ...]
    failures: dict[Contender, str]
    texts: int
    neighbours: int
    agreement: Float64 | None

    @property
    def chance(self) -> float:
        """The agreement of unrelated models."""
        return self.neighbours / (self.texts - 1)


def compare(
    contenders: Sequence[Contender],
    texts: Sequence[str],
    options: BenchOptions = BenchOptions(),
    *,
    neighbours: int = 10,
    on_turn: Callable[[Contender], object] = lambda _: None,
) -> BenchResult:
    """Measure each contender on the texts, and compare which texts they find similar.

    A model that is not on disk is downloaded first, as by :class:`~pellucid.Embedder`. A model that cannot be measured
    becomes a failure in the result, and the others are still measured.

    Args:
        contenders: models and dtypes, all different.
        texts: at least one text.
        options: the options for all models.
        neighbours: how many nearest texts to compare. At most half of the other texts are compared.
        on_turn: called with each contender at the start of its turn: ``ROUNDS`` times for each.

    Raises:
        OptionError: no texts, a contender that is listed twice, or an option that no model can use.
    """
    if len(set(contenders)) < len(contenders):
        duplicate = next(contender for contender in contenders if contenders.count(contender) > 1)
        raise OptionError(f"{duplicate.model} is listed twice.")
    if not texts:
        raise OptionError("give at least one text.")
    for contender in contenders:
        registry.check_options("auto", dtype=contender.dtype, device="cpu", threads=options.threads)
    failures: dict[Contender, str] = {}
    results: dict[Contender, list[dict[str, Any]]] = {contender: [] for contender in contenders}
    vectors: dict[Contender, Any] = {}
    for contender in contenders:
        try:
            files = resolve(
                contender.model,
                revision=options.revision,
                cache_folder=options.cache_folder,
                local_files_only=options.local_files_only,
            )
            _warm_page_cache(files)
        except PellucidError as error:
            failures[contender] = str(error)
    with tempfile.TemporaryDirectory(prefix="pellucid-") as name:
        folder = Path(name)
        (folder / "texts.json").write_text(json.dumps(list(texts)))
        for _ in range(ROUNDS):
            for contender in contenders:
                if contender in failures:
                    continue
                on_turn(contender)
                result = _run_worker(folder, contender, options, keep_vectors=contender not in vectors)
                if "error" in result:
                    failures[contender] = result["error"]
                    continue
                results[contender].append(result)
                if contender not in vectors:
                    vectors[contender] = np.load(folder / "vectors.npy")
    measured = [contender for contender in contenders if contender not in failures]
    k = cap_neighbours(neighbours, len(texts))
    has_agreement = len(measured) > 1 and len(texts) >= _MIN_TEXTS
    return BenchResult(
        measurements=tuple(_join_rounds(contender, results[contender]) for contender in measured),
        failures=failures,
        texts=len(texts),
        neighbours=k if has_agreement else 0,
        agreement=agreement([vectors[contender] for contender in measured], k) if has_agreement else None,
    )


def _warm_page_cache(files: ModelFiles) -> None:
    """Read a model's files once, so that no loading time depends on the speed of the disk."""
    for name in files.wanted():
        with contextlib.suppress(OSError), files.path(name).open("rb") as file:  # Loading will report the error.
            while file.read(_BYTES_PER_READ):
                pass


def _run_worker(folder: Path, contender: Contender, options: BenchOptions, *, keep_vectors: bool) -> dict[str, Any]:
    """Run one round of one model in a new process, and return its measurements, or ``{"error": reason}``."""
    result_file = folder / "result.json"
    result_file.unlink(missing_ok=True)
    # compare() has downloaded the files already, so the worker stays off the network.
    worker_options = asdict(options) | {"dtype": contender.dtype, "local_files_only": True}
    job = {"model": contender.model, "options": worker_options, "keep_vectors": keep_vectors}
    (folder / "job.json").write_text(json.dumps(job))
    # -P keeps Python from importing a numpy.py in the working folder. The pipe ends when this process ends, and then
    # the worker ends too.
    command = [sys.executable, "-P", "-m", WORKER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        try:
            code = process.wait()
        finally:  # After Ctrl-C, for example. If the process has ended, this does nothing.
            process.kill()
            process.wait()
    if code < 0:
        return {"error": f"its process was killed by {signal.Signals(-code).name}; there may be too little memory."}
    if code or not result_file.is_file():
        return {"error": f"its process ended with exit code {code} and without a result."}
    return dict(json.loads(result_file.read_bytes()))


def _join_rounds(contender: Contender, results: Sequence[dict[str, Any]]) -> ModelMeasurement:
    """Join the results of all rounds of one model."""
    varying = ("memory_bytes", "loading_seconds", "query_seconds", "texts_seconds")
    rounds = {key: tuple(result[key] for result in results) for key in varying}
    return ModelMeasurement(contender=contender, **(results[0] | rounds))


def labels(contenders: Sequence[Contender]) -> list[str]:
    """A short label for each contender.

    It is the last part of the model's name if that tells the models apart, otherwise the whole name. The dtype follows
    if there are several dtypes.

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
    if len({contender.dtype for contender in contenders}) > 1:
        return [f"{short[contender.model]} {contender.dtype}" for contender in contenders]
    return [short[contender.model] for contender in contenders]
