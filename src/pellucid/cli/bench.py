"""``pellucid bench``: how fast this machine is, and what was chosen for it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Annotated

import typer

from pellucid.cli.embed import DEFAULT_MODEL, Dtype
from pellucid.measuring.texts import QUERY, paragraphs

_QUERIES = 50
_ROUNDS = 3


def bench(
    model: Annotated[str, typer.Option("--model", "-m", help="Hub name, short name or folder.")] = DEFAULT_MODEL,
    dtype: Annotated[list[Dtype] | None, typer.Option(help="Arithmetic; may be repeated. Default: each.")] = None,
    threads: Annotated[int | None, typer.Option(help="How many threads to work with.")] = None,
    cpu: Annotated[bool, typer.Option("--cpu", help="Only say what was chosen for this machine.")] = False,
) -> None:
    """Measure the speed of a model on this machine."""
    from pellucid.embedder import Embedder
    from pellucid.engines import native, registry
    from pellucid.engines.threads import usable_processors

    registry.check_options("native", dtype="float32", device="cpu", threads=threads)
    chosen, workers = native.instruction_set(), threads or usable_processors()
    if cpu:
        peaks = native.peaks(workers)
        typer.echo(f"instruction set  {chosen}")
        typer.echo(f"available        {', '.join(native.available())}; {native.CPU_VARIABLE} chooses")
        typer.echo(f"threads          {workers}")
        typer.echo(f"peak, GFLOP/s    {peaks['multiply_add']:.0f} in float32 multiply-adds; in packed products")
        typer.echo("                 " + ", ".join(f"{peaks[dtype]:.0f} in {dtype}" for dtype in Dtype))
        return
    texts = paragraphs()
    typer.echo(f"{len(texts)} texts, {workers} threads, {chosen}\n")
    typer.echo(f"{'dtype':8}  {'loading':>9}  {'one query':>9}  {'texts/s':>9}  {'tokens/s':>9}")
    for name in dtype or list(Dtype):
        start = time.perf_counter()
        embedder = Embedder(model, dtype=name.value, threads=threads, on_truncation="ignore")
        loading = time.perf_counter() - start
        tokens = int(embedder.count_tokens(texts).clip(max=embedder.max_tokens).sum())
        query = _median(lambda e=embedder: e.embed_query(QUERY), _QUERIES)  # type: ignore[misc]
        seconds = _median(lambda e=embedder: e.embed_documents(texts), _ROUNDS)  # type: ignore[misc]
        speeds = f"{len(texts) / seconds:9,.0f}  {tokens / seconds:9,.0f}"
        typer.echo(f"{name:8}  {loading:7.2f} s  {query * 1000:6.2f} ms  {speeds}")


def _median(work: Callable[[], object], times: int) -> float:
    """The median of the seconds that ``work`` takes, after one run that does not count."""
    seconds = []
    for _ in range(1 + times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])
