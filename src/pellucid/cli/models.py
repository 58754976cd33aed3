"""``pellucid models``: the catalog, and the models and caches on disk."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pellucid import catalog
from pellucid.cli import commands, options
from pellucid.cli.compare import CompareCommand, compare
from pellucid.cli.distil import distil
from pellucid.cli.examples import EXAMPLES
from pellucid.cli.interruption import when_interrupted
from pellucid.cli.terminal import escape_json_controls, print_record, say, source_name, tell, use_json
from pellucid.errors import DownloadError, ModelNotFoundError, OptionError, plural, printable
from pellucid.sources import resolve
from pellucid.sources.files import Digest, ModelFiles

_ANY_WIDTH = 10_000
_DIGEST_STYLES = {"agrees": "green", "differs": "bold red", "not": "dim"}

app = typer.Typer(
    cls=commands.Group,
    help="""List, compare, pull, distil, remove models.

    Without a command, this lists the catalog as `models list` does.
    """,
    epilog=EXAMPLES["models"],
    invoke_without_command=True,
)

NameArgument = Annotated[str, typer.Argument(help="Hub name or short name of the model.")]


@app.callback()
def models(
    context: typer.Context, json: options.JsonOption = None, cache_folder: options.CacheFolderOption = None
) -> None:
    """List the catalog, unless there is a subcommand."""
    command = context.invoked_subcommand
    if command is None:
        list_models(json, cache_folder)
        return
    for option, value in {"--json": json, "--cache-folder": cache_folder}.items():
        if value is not None:
            raise OptionError(f"put {option} after the command: models {command} … {option}")


def list_models(json: options.JsonOption = None, cache_folder: options.CacheFolderOption = None) -> None:
    """List the catalog of models.

    It says which of them are on disk. The catalog is a convenience: other Hub names and folders work too.
    """
    sizes = {}
    for entry in catalog.entries():
        files = resolve.find_in_caches(entry.name, cache_folder=cache_folder)
        sizes[entry.short_name] = None if files is None else files.size()
    if use_json(json):
        for entry in catalog.entries():
            facts = {"name": entry.short_name, "kind": entry.kind, "dimensions": entry.dimensions}
            print_record({**facts, "description": entry.description, "bytes_on_disk": sizes[entry.short_name]})
        return
    _print_list(sizes)


def _print_list(sizes: dict[str, int | None]) -> None:
    """Print a table; in a terminal that is too narrow for it, a few lines for each model.

    A name is never cut short, because people copy it.
    """
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("name", "gives", "good for", "on disk"):
        table.add_column(heading, no_wrap=True, justify="right" if heading == "gives" else "left")
    for entry in catalog.entries():
        size = sizes[entry.short_name]
        on_disk = "[dim]no[/dim]" if size is None else _format_megabytes(size)
        table.add_row(entry.short_name, _format_result(entry), entry.description, on_disk)
    if console.measure(table, options=console.options.update(max_width=_ANY_WIDTH)).maximum <= console.width:
        console.print(table)
        return
    for entry in catalog.entries():
        size = sizes[entry.short_name]
        on_disk = "not on disk" if size is None else f"{_format_megabytes(size)} on disk"
        console.print(f"[bold]{entry.short_name}[/bold]", soft_wrap=True)
        console.print(f"  gives {_format_result(entry)}, {on_disk}\n  {entry.description}")


def show(
    name: Annotated[str, typer.Argument(help=options.MODEL_HELP)],
    json: options.ReportJsonOption = False,
    revision: options.RevisionOption = None,
    cache_folder: options.CacheFolderOption = None,
) -> None:
    """Show a model on disk and check its files."""
    files = resolve.find_on_disk(name, revision=revision, cache_folder=cache_folder)
    if files is None:
        raise ModelNotFoundError(f"{catalog.full_name(name)} is not on this machine. Run: pellucid models pull {name}")
    from pellucid.model.load import load_spec
    from pellucid.model.spec import NO_LIMIT

    spec = load_spec(files)
    facts = {
        "name": files.name,
        "folder": str(files.folder),
        "from": source_name(files.source) + (f", commit {files.revision}" if files.revision else ""),
        "family": f"{spec.encoder.family}, {plural(len(spec.encoder.blocks), 'layer')} of {spec.encoder.hidden_size}",
        "dimensions": spec.dimensions,
        "max tokens": None if spec.tokenizer.max_tokens == NO_LIMIT else spec.tokenizer.max_tokens,
        "pooling": " + ".join(spec.pooling.modes),
        "modules": ", ".join(type(module).__name__.removesuffix("Spec") for module in spec.modules) or "none",
        "prompts": dict(spec.prompts),
    }
    entry = catalog.find(name) if files.source != "folder" else None
    checked = [
        {"name": file, "bytes": files.path(file).stat().st_size, "digest": _check_digest(files, file, entry)}
        for file in files.wanted()
    ]
    if json:
        report = {key.replace(" ", "_"): value for key, value in facts.items()}
        typer.echo(escape_json_controls(json_module.dumps({**report, "files": checked}, ensure_ascii=False, indent=1)))
    else:
        _print_model(facts, checked)


def _print_model(facts: dict[str, Any], files: list[dict[str, Any]]) -> None:
    """Print the facts, then a line for each file."""
    from rich.console import Console
    from rich.markup import escape

    prompts = ", ".join(f"{key}={text!r}" for key, text in facts["prompts"].items()) or "none"
    # Each line stays whole, however narrow the terminal is: a path in two pieces cannot be copied.
    console = Console(soft_wrap=True, highlight=False)
    max_tokens = "no limit" if facts["max tokens"] is None else facts["max tokens"]
    for key, value in {**facts, "max tokens": max_tokens, "prompts": prompts}.items():
        console.print(f"[bold]{key:<10}[/bold]  {escape(printable(str(value)))}")
    console.print()
    sizes = [f"{file['bytes']:,}" for file in files]
    name_width = max((len(file["name"]) for file in files), default=0)
    size_width = max(map(len, sizes), default=0)
    console.print(f"[bold]{'file':<{name_width}}  {'bytes':>{size_width}}  digest[/bold]")
    for file, size in zip(files, sizes, strict=True):
        verdict = file["digest"]
        style = _DIGEST_STYLES[verdict.partition(" ")[0]]
        padded_name = escape(printable(file["name"]).ljust(name_width))
        console.print(f"{padded_name}  {size:>{size_width}}  [{style}]{verdict}[/]")
    console.print(f"{_format_megabytes(sum(file['bytes'] for file in files))} in all")


def pull(
    name: NameArgument,
    source: options.DownloadSourceOption = None,
    revision: options.RevisionOption = None,
    cache_folder: options.CacheFolderOption = None,
) -> None:
    """Download a model for use without a network."""
    with when_interrupted(lambda: "Run the same command again: a download from the Hub goes on where it stopped."):
        files = _pull(name, source, revision, cache_folder)
    size = _format_megabytes(files.size())
    tell(f"{files.name}: {plural(len(files.wanted()), 'file')}, {size}, from {source_name(files.source, article=True)}")
    typer.echo(printable(files.folder))  # Not broken at a space, so that it can be copied.


def _pull(name: str, source: str | None, revision: str | None, cache_folder: Path | None) -> ModelFiles:
    if source is None:
        return resolve.resolve(name, revision=revision, cache_folder=cache_folder)
    if source == "hub":
        return resolve.download_from_hub(name, revision=revision, cache_folder=cache_folder)
    entry = catalog.find(name)
    if entry is None:
        raise DownloadError(f"{name} is not in the catalog, so there is no copy of it on PyPI.")
    if revision is not None:
        raise OptionError("--revision is only for the Hub. PyPI has a single revision of each model.")
    return resolve.download_from_index(entry, cache_folder)


def remove(
    name: NameArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    cache_folder: options.CacheFolderOption = None,
) -> None:
    """Remove a model from the caches.

    All of its revisions are removed.
    """
    folders = resolve.cached_folders(name, cache_folder)
    if not folders:
        raise ModelNotFoundError(f"{catalog.full_name(name)} is not on this machine. Nothing was removed.")
    for folder in folders:
        typer.echo(f"{printable(folder)}  {_format_megabytes(_folder_bytes(folder))}")
    if not yes:
        if not sys.stdin.isatty():
            raise OptionError(
                "nothing was removed: standard input is not a terminal, so you cannot confirm. Add --yes."
            )
        if not typer.confirm("Remove this? Other programs may use the Hugging Face cache too."):
            say("nothing was removed")
            raise typer.Exit(1)
    resolve.remove(name, cache_folder)
    tell("removed")


def cache(
    file: Annotated[Path, typer.Argument(help="Cache file, as in Embedder(cache=…) or `embed --cache`.")],
    trim: Annotated[
        int | None, typer.Option(help="Shrink the cache to this many MB. The least recently used vectors go first.")
    ] = None,
) -> None:
    """Show or shrink a cache of vectors."""
    from pellucid.cache.store import Cache

    if not file.is_file():
        raise OptionError(f"{file} is not a file. Embedder(cache={str(file)!r}) would make it.")
    if trim is not None and trim < 0:
        raise OptionError("--trim must be at least 0 MB.")
    vector_cache = Cache(file)
    if trim is not None:
        vector_cache.trim(trim * 1_000_000)
    state = vector_cache.state()
    vector_cache.close()
    days = f", last used from {state.oldest} to {state.newest}" if state.vectors else ""
    tell(f"{file}: {plural(state.vectors, 'row')}, {_format_megabytes(state.bytes)}{days}")


def _check_digest(files: ModelFiles, file: str, entry: catalog.CatalogEntry | None) -> str:
    """Compare a file on disk with the digest that its source or the catalog gives, and say how that went."""
    digest, authority = files.listing[file], "the catalog" if files.source == "package index" else "the Hub"
    if digest is None and entry is not None and file in entry.files:
        digest, authority = Digest("sha256", entry.files[file].sha256, entry.files[file].size), "the catalog"
    if digest is None:
        return "not known"
    if digest.matches(files.path(file)):
        return f"agrees with {authority}"
    return f"differs from {authority}"


def _folder_bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _format_result(entry: catalog.CatalogEntry) -> str:
    """What a model gives for a text, or for a pair of texts."""
    return "a score" if entry.dimensions is None else plural(entry.dimensions, "number")


def _format_megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


commands.add(app, "models list", list_models)
commands.add(app, "models compare", compare, cls=CompareCommand)
commands.add(app, "models show", show)
commands.add(app, "models pull", pull)
commands.add(app, "models distil", distil)
commands.add(app, "models remove", remove)
commands.add(app, "models cache", cache)
