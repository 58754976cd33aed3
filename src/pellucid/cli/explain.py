"""``pellucid explain``: how a text becomes a vector, why two texts are close or have their score, and maps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.cli import options
from pellucid.cli.hints import hint_at_path
from pellucid.cli.output_files import check_ending, open_output
from pellucid.cli.terminal import escape_json_controls, say
from pellucid.cli.texts import read_text, read_texts
from pellucid.errors import OptionError, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pellucid.encoder.encoder import Encoder
    from pellucid.explain.alignment import AlignedText, Alignment
    from pellucid.explain.comparison import Comparison
    from pellucid.explain.score import ExplainedScore
    from pellucid.explain.sparse import ExplainedSparseScore, SparseText
    from pellucid.explain.trace import Trace

    Subject = Trace | Comparison | ExplainedScore | ExplainedSparseScore | SparseText | Alignment | AlignedText

_PAGES = (".html", ".htm")
_PICTURES = (".png", ".svg")
_WITH_HELP = (
    "Second text, to explain how similar they are; for a reranker, sparse vectors and late interaction, the document."
)
_OUTPUT_HELP = (
    "Write a page (.html), all data (.json) or all arrays (.npz, for numpy.load); with --map, a page or a picture "
    "(.png, .svg). Repeat for more than one file."
)


def explain(
    text: Annotated[str | None, typer.Argument(help="Text to explain; - for standard input.")] = None,
    other: Annotated[str | None, typer.Option("--with", help=_WITH_HELP)] = None,
    model: options.ModelOption = options.DEFAULT_MODEL,
    task: options.ExplainTaskOption = "auto",
    prompt: options.PromptOption = None,
    prompt_name: options.PromptNameOption = None,
    lifecycle: Annotated[
        bool, typer.Option("--lifecycle", help="Show what importing, loading and embedding cost.")
    ] = False,
    map_file: Annotated[
        Path | None,
        typer.Option("--map", help="Draw a map of the texts in this file: lines or a table; - for standard input."),
    ] = None,
    column: options.ColumnOption = options.TEXT_COLUMN,
    labels: Annotated[Path | None, typer.Option(help="File with one label per line, for the texts of --map.")] = None,
    method: Annotated[str, typer.Option(help="How --map places the texts: pca or umap.")] = "pca",
    outputs: Annotated[list[Path] | None, typer.Option("--output", "-o", help=_OUTPUT_HELP)] = None,
    json: options.ReportJsonOption = False,
    revision: options.RevisionOption = None,
    cache_folder: options.CacheFolderOption = None,
    local_files_only: options.LocalFilesOnlyOption = False,
) -> None:
    """Show how a text becomes a vector.

    For two texts, it shows why they are close. For a reranker, sparse vectors and late interaction, it shows why the
    second has its score. For a file of texts, it draws a map.
    """
    if (text is None) == (map_file is None):
        example = " For example: pellucid explain --lifecycle TEXT" if lifecycle else ""
        raise OptionError(f"give one text, or --map FILE.{example}")
    files = outputs or []
    hub: dict[str, Any] = {"revision": revision, "cache_folder": cache_folder, "local_files_only": local_files_only}
    if map_file is not None:
        others = (other, prompt, prompt_name)
        if lifecycle or json or task != "auto" or any(value is not None for value in others):
            raise OptionError("--map works only with --output, --column, --labels and --method.")
        _draw_map(map_file, column, labels, method, files, model, hub)
        return
    if labels is not None or column != options.TEXT_COLUMN:
        raise OptionError("--labels and --column need --map.")
    if lifecycle and (other is not None or files or json or task != "auto"):
        raise OptionError("--lifecycle works only for one text, in the terminal.")
    endings = {check_ending(out, (*_PAGES, ".json", ".npz")) for out in files}
    if ".npz" in endings and other is not None:
        raise OptionError("--output: .npz works only for one text, not with --with.")
    hint_at_path(text or "", "--map {} -o map.html")
    text, other = _from_standard_input(text, other)
    if lifecycle:
        from pellucid.cli.explain_views import lifecycle_views
        from pellucid.explain.lifecycle import observe

        # The options travel to a new process as JSON, which has no paths.
        folder = None if cache_folder is None else str(cache_folder)
        _print_views(lifecycle_views(observe(model, text, hub | {"cache_folder": folder})))
        return

    from pellucid.encoder.encoder import Encoder

    subject = _explain(Encoder(model, **hub), task, text, other, {"prompt": prompt, "prompt_name": prompt_name})
    for out in files:
        _write(subject, out)
    if json:
        typer.echo(escape_json_controls(subject.to_json()))
    elif not files:
        _print_subject(subject)


def _explain(encoder: Encoder, task: str, text: str, other: str | None, prompts: dict[str, str | None]) -> Subject:
    """Explain one text or two, as the model gives vectors, sparse vectors, vectors of tokens, or scores."""
    from pellucid.scoring import gives_scores

    if task == "auto":
        if other is not None and gives_scores(encoder.files, encoder.spec):
            from pellucid.reranker import Reranker

            return Reranker(encoder).explain(text, other, **prompts)
        task = _vectors_of(encoder)
    if task == "dense":
        from pellucid.embedder import Embedder

        embedder = Embedder(encoder)
        return embedder.trace(text, **prompts) if other is None else embedder.compare(text, other, **prompts)
    from pellucid.multi_vector_embedder import MultiVectorEmbedder
    from pellucid.sparse_embedder import SparseEmbedder

    explainer = SparseEmbedder(encoder) if task == "sparse" else MultiVectorEmbedder(encoder)
    return explainer.explain_text(text, **prompts) if other is None else explainer.explain(text, other, **prompts)


def _vectors_of(encoder: Encoder) -> options.ExplainTask:
    """The vectors that a model gives; dense ones, if it gives several kinds."""
    from pellucid.layers.pooling import Pooling
    from pellucid.sparse_embedder import gives_sparse_vectors

    if gives_sparse_vectors(encoder.files, encoder.spec):
        return "sparse"
    pools = any(isinstance(stage, Pooling) for stage in encoder.spec.stages)
    return "dense" if pools or encoder.spec.late_interaction is None else "multi-vector"


def _from_standard_input(text: str | None, other: str | None) -> tuple[str, str | None]:
    """The texts of the call; a text ``-`` is all of standard input, without the line end at its end."""
    if text == other == "-":
        raise OptionError("only one of the two texts can be -, which is standard input.")
    texts = [text or "", other]
    if "-" in texts:
        texts[texts.index("-")] = read_text()
    return texts[0] or "", texts[1]


def _draw_map(
    file: Path,
    column: str,
    labels: Path | None,
    method: str,
    outputs: Sequence[Path],
    model: str,
    hub: dict[str, Any],
) -> None:
    if not outputs:
        raise OptionError("--map needs --output FILE, ending in .html, .png or .svg.")
    if {check_ending(out, (".html", *_PICTURES)) for out in outputs} & set(_PICTURES):
        from pellucid.explain.render.plotting import figure_class

        figure_class()  # Fails before any work, if matplotlib is missing.
    texts, names = _texts_with_labels(file, column, labels)

    from pellucid.embedder import Embedder
    from pellucid.explain.text_map import text_map

    embedder = Embedder(model, **hub)
    drawn = text_map(embedder.encoder, texts, labels=names, method=method)
    for out in outputs:
        with open_output(out) as path:
            drawn.save(path)
        say(f"Wrote {printable(out)}.")


def _texts_with_labels(file: Path, column: str, labels: Path | None) -> tuple[list[str], list[str] | None]:
    """The texts of a map, without blank ones, and the label of each.

    If there are more labels than texts, or fewer, all are returned: the map's error says so.
    """
    texts = list(read_texts(file, column))
    names = None if labels is None else list(read_texts(labels))
    if names is not None and len(names) != len(texts):
        return texts, names
    chosen = [index for index, text in enumerate(texts) if text.strip()]
    return [texts[index] for index in chosen], None if names is None else [names[index] for index in chosen]


def _write(subject: Subject, out: Path) -> None:
    from pellucid.explain.alignment import AlignedText
    from pellucid.explain.sparse import SparseText
    from pellucid.explain.trace import Trace

    with open_output(out) as path:
        if out.suffix.lower() in _PAGES:
            if isinstance(subject, SparseText | AlignedText):
                what = "terms" if isinstance(subject, SparseText) else "tokens"
                raise OptionError(f"--output: {out.suffix} does not work for one text's {what}. Choose .json.")
            from pellucid.explain.render.html import page

            path.write_text(page(subject), encoding="utf-8")
        elif out.suffix.lower() == ".npz":
            if not isinstance(subject, Trace):
                raise OptionError("--output: .npz works only for one text and a dense vector. Choose .json.")
            subject.save_npz(path)
        else:
            path.write_text(f"{subject.to_json()}\n", encoding="utf-8")
    say(f"Wrote {printable(out)}.")


def _print_subject(subject: Subject) -> None:
    from rich.console import Console

    from pellucid.cli.alignment_views import aligned_text_views, alignment_views
    from pellucid.cli.explain_views import comparison_views, trace_views
    from pellucid.cli.score_views import score_views
    from pellucid.cli.sparse_views import sparse_score_views, sparse_text_views
    from pellucid.explain.alignment import AlignedText, Alignment
    from pellucid.explain.score import ExplainedScore
    from pellucid.explain.sparse import ExplainedSparseScore, SparseText
    from pellucid.explain.trace import Trace

    match subject:
        case Trace():
            _print_views(trace_views(subject, Console().width))
        case ExplainedScore():
            _print_views(score_views(subject))
        case SparseText():
            _print_views(sparse_text_views(subject))
        case ExplainedSparseScore():
            _print_views(sparse_score_views(subject))
        case Alignment():
            _print_views(alignment_views(subject, Console().width))
        case AlignedText():
            _print_views(aligned_text_views(subject))
        case _:
            _print_views(comparison_views(subject))


def _print_views(views: Iterable[RenderableType]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    for view in views:
        console.print(view)
