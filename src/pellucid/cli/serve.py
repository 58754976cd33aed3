"""``pellucid serve``: a process that answers OpenAI's and text-embeddings-inference's clients."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pellucid.cli.embed import DEFAULT_MODEL, DEVICE_HELP, DTYPE_HELP, AnyDtype
from pellucid.errors import MissingExtraError, OptionError


class Load(StrEnum):
    """When models are loaded."""

    start = "start"
    first_use = "first-use"


class OnTruncation(StrEnum):
    """What to do with a text that is too long."""

    error = "error"
    cut = "cut"


def serve(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model", "-m", help=f"Hub name, short name or folder; may be repeated. Default: {DEFAULT_MODEL}."
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8080,
    dtype: Annotated[AnyDtype, typer.Option(help=DTYPE_HELP)] = AnyDtype.float32,
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "cpu",
    load: Annotated[Load, typer.Option(help="Load models at the start, or when first asked for.")] = Load.start,
    memory: Annotated[int | None, typer.Option(help="MB for models; the longest unused one goes.")] = None,
    on_truncation: Annotated[OnTruncation, typer.Option(help="Texts that are too long.")] = OnTruncation.error,
    api_key_file: Annotated[
        Path | None, typer.Option(help="A file of API keys, one a line; requests need one of them.")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Serve other machines without a key.")] = False,
    cors: Annotated[
        list[str] | None, typer.Option(help="A site whose pages may send requests; may be repeated.")
    ] = None,
    max_waiting: Annotated[int, typer.Option(help="Tokens that may wait; more is answered with 429.")] = 262_144,
    max_texts: Annotated[int, typer.Option(help="Texts in one request.")] = 2048,
    max_body: Annotated[int, typer.Option(help="MB of one request.")] = 16,
    request_memory: Annotated[int, typer.Option(help="MB that all requests hold together; more is refused.")] = 256,
    max_connections: Annotated[int, typer.Option(help="Connections at once.")] = 1024,
    timeout: Annotated[float, typer.Option(help="Seconds that a request may take.")] = 60.0,
    drain: Annotated[float, typer.Option(help="Seconds to answer what was accepted, after SIGTERM.")] = 30.0,
    cache_folder: Annotated[Path | None, typer.Option(help="Where models are kept.")] = None,
    local_files_only: Annotated[bool, typer.Option("--local-files-only", help="Never use the network.")] = False,
    threads: Annotated[int | None, typer.Option(help="How many threads to work with.")] = None,
) -> None:
    """Serve vectors over HTTP, to OpenAI's clients and others'.

    The APIs are OpenAI's and that of text-embeddings-inference; / is a page to look inside, and /docs describes
    the API. Keys may also be in the environment variable PELLUCID_API_KEYS.
    """
    from pellucid.server.settings import Limits, Settings

    counts = {
        "--max-waiting": max_waiting,
        "--max-texts": max_texts,
        "--max-body": max_body,
        "--max-connections": max_connections,
        "--request-memory": request_memory,
    }
    for option, value in counts.items():
        if value < 1:
            raise OptionError(f"{option} must be at least 1.")
    for option, seconds in {"--timeout": timeout, "--drain": drain}.items():
        if not seconds > 0:
            raise OptionError(f"{option} must be more than 0 seconds.")
    if memory is not None and memory < 1:
        raise OptionError("--memory must be at least 1 MB.")
    settings = Settings(
        models=tuple(model or [DEFAULT_MODEL]),
        dtype=dtype.value,
        device=device,
        threads=threads,
        cache_folder=cache_folder,
        local_files_only=local_files_only,
        load=load.value,
        memory=None if memory is None else memory * 1_000_000,
        host=host,
        port=port,
        public=public,
        keys=_keys(api_key_file),
        origins=tuple(cors or ()),
        on_truncation=on_truncation.value,
        limits=Limits(
            body_bytes=max_body * 1_000_000,
            texts=max_texts,
            waiting_tokens=max_waiting,
            seconds=timeout,
            request_bytes=request_memory * 1_000_000,
            connections=max_connections,
        ),
        drain_seconds=drain,
    )
    try:
        from pellucid.server.run import run
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "fastapi", "serve") from error
    if not run(settings, started=lambda url: typer.echo(f"Pellucid serves {', '.join(settings.models)} at {url}")):
        raise typer.Exit(1)


def _keys(file: Path | None) -> tuple[str, ...]:
    from pellucid.server.settings import KEYS_VARIABLE, keys_of

    keys: tuple[str, ...] = ()
    if file is not None:
        try:
            keys += keys_of(file.read_text(encoding="utf-8"), str(file))
        except (OSError, UnicodeDecodeError) as error:
            raise OptionError(f"--api-key-file: {file} cannot be read ({error}).") from error
    if KEYS_VARIABLE in os.environ:
        keys += keys_of(os.environ[KEYS_VARIABLE], KEYS_VARIABLE)
    return keys
