"""``pellucid explain``: how a text becomes a vector, why two texts are close, and a map of many texts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pellucid.cli import options
from pellucid.cli.texts import read_texts
from pellucid.cli.vectors import check_ending, open_output
from pellucid.errors import OptionError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pellucid.explain.comparison import Comparison
    from pellucid.explain.trace import Trace


def explain(
    text: Annotated[str | None, typer.Argument(help="Text to explain.")] = None,
    other: Annotated[str | None, typer.Option("--with", help="Second text, to explain how similar they are.")] = None,
    model: options.ModelOption = options.DEFAULT_MODEL,
    prompt: options.PromptOption = None,
    prompt_name: options.PromptNameOption = None,
    lifecycle: Annotated[
        bool, typer.Option("--lifecycle", help="Show what happens on import, on loading and on embedding.")
    ] = False,
    texts: Annotated[Path | None, typer.Option("--map", help="File with one text per line, to draw a map of.")] = None,
    labels: Annotated[Path | None, typer.Option(help="File with one label per line, for the texts of --map.")] = None,
    method: Annotated[str, typer.Option(help="How --map places the texts: pca or umap.")] = "pca",
    out: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the map to this .html, .png or .svg file.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write the explanation to this .html file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the explanation as JSON.")] = False,
    npz: Annotated[
        Path | None, typer.Option("--npz", help="Write all arrays to this .npz file, for numpy.load.")
    ] = None,
    revision: options.RevisionOption = None,
    cache_folder: options.CacheFolderOption = None,
    local_files_only: options.LocalFilesOnlyOption = False,
) -> None:
    """Show how a text becomes a vector.

    For two texts, it shows why they are close; for a file of texts, it draws a map.
    """
    _check_options(text, other, texts=texts, out=out, labels=labels, npz=npz, lifecycle=lifecycle, html=html, json=json)
    if text is not None and lifecycle:
        from pellucid.cli.explain_views import lifecycle_views
        from pellucid.explain.lifecycle import observe

        # The options travel to a new process as JSON, which has no paths.
        folder = None if cache_folder is None else str(cache_folder)
        embedder_options = {"revision": revision, "cache_folder": folder, "local_files_only": local_files_only}
        _print_views(lifecycle_views(observe(model, text, embedder_options)))
        return

    from pellucid.cli.explain_views import comparison_views, trace_views
    from pellucid.embedder import Embedder

    embedder = Embedder(model, revision=revision, cache_folder=cache_folder, local_files_only=local_files_only)
    if texts is not None and out is not None:
        from pellucid.explain.text_map import text_map

        label_lines = list(read_texts(labels)) if labels is not None else None
        text_map(embedder.encoder, list(read_texts(texts)), labels=label_lines, method=method).save(out)
        typer.echo(f"wrote {out}", err=True)
        return
    if text is None:
        raise AssertionError("_check_options refuses a call that has neither a text nor a map")
    subject: Trace | Comparison
    if other is None:
        subject = trace = embedder.trace(text, prompt=prompt, prompt_name=prompt_name)
        views = trace_views(trace)
        if npz is not None:
            with open_output(npz, option="--npz") as path:
                trace.save_npz(path)
            typer.echo(f"wrote {npz}", err=True)
    else:
        subject = comparison = embedder.compare(text, other, prompt=prompt, prompt_name=prompt_name)
        views = comparison_views(comparison)
    if html is not None:
        from pellucid.explain.render.html import page

        with open_output(html, option="--html") as path:
            path.write_text(page(subject), encoding="utf-8")
        typer.echo(f"wrote {html}", err=True)
    if json:
        typer.echo(subject.to_json())
    elif html is None and npz is None:
        _print_views(views)


def _check_options(
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
    """Refuse options that do not go together, before a model is loaded."""
    if (text is None) == (texts is None):
        raise OptionError("give one text, or --map FILE.")
    if texts is not None:
        if out is None:
            raise OptionError("--map needs --output FILE, ending in .html, .png or .svg.")
        for file in (texts, labels):
            if file is not None and not file.is_file():
                raise OptionError(f"{file} is not a file.")
        if other is not None or lifecycle or html is not None or json or npz is not None:
            raise OptionError("--map works only with --output, --labels and --method.")
        return
    if out is not None or labels is not None:
        raise OptionError("--output and --labels need --map.")
    if lifecycle and (other is not None or html is not None or json or npz is not None):
        raise OptionError("--lifecycle works only for one text, in the terminal.")
    if npz is not None and other is not None:
        raise OptionError("--npz works only for one text, not with --with.")
    if html is not None:
        check_ending(html, (".html", ".htm"), option="--html")
    if npz is not None:
        check_ending(npz, (".npz",), option="--npz")


def _print_views(views: Iterable[RenderableType]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    for view in views:
        console.print(view)
