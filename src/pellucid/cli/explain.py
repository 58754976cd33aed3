"""``pellucid explain``: a text on its way to its vector, two texts and why they are close, many texts in a plane."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pellucid.cli import vectors as output
from pellucid.cli.embed import DEFAULT_MODEL, read_lines
from pellucid.errors import OptionError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pellucid.explain.comparison import Comparison
    from pellucid.explain.trace import Trace


def explain(
    text: Annotated[str | None, typer.Argument(help="The text.")] = None,
    other: Annotated[str | None, typer.Option("--with", help="Another text: why are the two close?")] = None,
    model: Annotated[str, typer.Option("--model", "-m", help="Hub name, short name or folder.")] = DEFAULT_MODEL,
    prompt: Annotated[str | None, typer.Option(help="Put this before each text.")] = None,
    prompt_name: Annotated[str | None, typer.Option(help="Put this prompt of the model before each text.")] = None,
    lifecycle: Annotated[bool, typer.Option("--lifecycle", help="What import, construction and the call did.")] = False,
    texts: Annotated[
        Path | None, typer.Option("--map", help="A file of texts, one a line: see them in a plane.")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="A file of their labels, one a line, for --map.")] = None,
    method: Annotated[str, typer.Option(help="How --map is drawn: pca or umap.")] = "pca",
    out: Annotated[Path | None, typer.Option("--output", "-o", help="Where the map goes: .html, .png or .svg.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page that can be sent to someone.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    npz: Annotated[Path | None, typer.Option("--npz", help="Write every array, for numpy.load.")] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of the Hub's copy.")] = None,
    cache_folder: Annotated[Path | None, typer.Option(help="Where models are kept.")] = None,
    local_files_only: Annotated[bool, typer.Option("--local-files-only", help="Never use the network.")] = False,
) -> None:
    """Show how a text becomes a vector, and why two texts are close."""
    _check(text, other, texts=texts, out=out, labels=labels, npz=npz, lifecycle=lifecycle, html=html, json=json)
    options = {"revision": revision, "cache_folder": cache_folder, "local_files_only": local_files_only}
    if text is not None and lifecycle:
        from pellucid.explain.lifecycle import observe
        from pellucid.explain.render.terminal import lifecycle_views

        # Paths and None go through JSON.
        kept = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
        _print(lifecycle_views(observe(model, text, kept)))
        return

    from pellucid.embedder import Embedder
    from pellucid.explain.render.terminal import comparison_views, views

    embedder = Embedder(model, revision=revision, cache_folder=cache_folder, local_files_only=local_files_only)
    if texts is not None and out is not None:
        from pellucid.explain.text_map import text_map

        given = list(read_lines(labels)) if labels is not None else None
        text_map(embedder.encoder, list(read_lines(texts)), labels=given, method=method).save(out)
        typer.echo(f"wrote {out}", err=True)
        return
    if text is None:
        raise AssertionError("_check lets no call through that has neither a text nor a map")
    subject: Trace | Comparison
    if other is None:
        subject = trace = embedder.trace(text, prompt=prompt, prompt_name=prompt_name)
        shown = views(trace)
        if npz is not None:
            with output.in_one_step(npz, option="--npz") as path:
                trace.save_npz(path)
            typer.echo(f"wrote {npz}", err=True)
    else:
        subject = comparison = embedder.compare(text, other, prompt=prompt, prompt_name=prompt_name)
        shown = comparison_views(comparison)
    if html is not None:
        from pellucid.explain.render.html import page

        with output.in_one_step(html, option="--html") as path:
            path.write_text(page(subject), encoding="utf-8")
        typer.echo(f"wrote {html}", err=True)
    if json:
        typer.echo(subject.to_json())
    elif html is None and npz is None:
        _print(shown)


def _check(
    text: str | None,
    other: str | None,
    *,
    texts: Path | None,
    out: Path | None,
    labels: Path | None,
    npz: Path | None,
    lifecycle: bool,
    html: Path | None,
    json: bool,
) -> None:
    """Judge the options together, before a model is loaded."""
    if (text is None) == (texts is None):
        raise OptionError("give one text, or --map FILE.")
    if texts is not None:
        if out is None:
            raise OptionError("--map needs --output FILE, ending in .html, .png or .svg.")
        for file in (texts, labels):
            if file is not None and not file.is_file():
                raise OptionError(f"{file} is not a file.")
        if other is not None or lifecycle or html is not None or json or npz is not None:
            raise OptionError("--map goes with --output, --labels and --method alone.")
        return
    if out is not None or labels is not None:
        raise OptionError("--output and --labels are for --map.")
    if lifecycle and (other is not None or html is not None or json or npz is not None):
        raise OptionError("--lifecycle is shown in the terminal, for one text.")
    if npz is not None and other is not None:
        raise OptionError("--npz is for one text.")
    if html is not None:
        output.checked_ending(html, (".html", ".htm"), option="--html")
    if npz is not None:
        output.checked_ending(npz, (".npz",), option="--npz")


def _print(shown: Iterable[RenderableType]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    for view in shown:
        console.print(view)
