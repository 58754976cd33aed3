"""``pellucid serve``: an HTTP server for clients of OpenAI, text-embeddings-inference, Cohere, Ollama and others."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pellucid.cli import options
from pellucid.errors import MissingExtraError, OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pellucid.server.core.kinds import Kind


def serve(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help=f"{options.MODEL_HELP} Repeat to serve more than one. Default: {options.DEFAULT_MODEL}.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")] = 8080,
    dtype: options.DtypeOption = "float32",
    device: options.DeviceOption = "cpu",
    served_model_name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="The name of the model for clients, instead of the folder's; repeat for the next --model.",
        ),
    ] = None,
    task: options.ServedTaskOption = None,
    alias: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MODEL",
            help="Another name for a served model, for clients whose model name is fixed; repeatable.",
        ),
    ] = None,
    load: options.LoadOption = "start",
    memory: Annotated[
        int | None,
        typer.Option(help="MB for loaded models; the least recently used is unloaded. Default: no limit."),
    ] = None,
    on_truncation: options.RequestTruncationOption = "error",
    api_key_file: Annotated[
        Path | None, typer.Option(help="File with one API key per line. Requests must send one of the keys.")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Serve other machines without an API key.")] = False,
    cors: Annotated[list[str] | None, typer.Option(help="Allowed CORS origin; repeat for more than one.")] = None,
    max_waiting: Annotated[
        int, typer.Option(help="Maximum number of tokens in each model's queue. More are refused with status 429.")
    ] = 262_144,
    max_texts: Annotated[int, typer.Option(help="Maximum number of texts in a request.")] = 2048,
    max_body: Annotated[int, typer.Option(help="Maximum size of a request, in MB.")] = 16,
    request_memory: Annotated[
        int, typer.Option(help="Maximum memory for all requests together, in MB. More are refused.")
    ] = 256,
    max_connections: Annotated[int, typer.Option(help="Maximum number of open connections.")] = 1024,
    timeout: Annotated[float, typer.Option(help="Maximum duration of a request, in seconds.")] = 60.0,
    drain: Annotated[float, typer.Option(help="Seconds to finish accepted requests after SIGTERM.")] = 30.0,
    cache_folder: options.CacheFolderOption = None,
    local_files_only: options.LocalFilesOnlyOption = False,
    threads: options.ThreadsOption = None,
    log_format: options.LogFormatOption = "auto",
) -> None:
    """Serve models over HTTP.

    The server has the APIs of OpenAI, text-embeddings-inference, Cohere, Jina, vLLM, Voyage, Azure and Ollama. What it
    can do depends on its models: embedders (dense, sparse or multi-vector), rerankers or classifiers. Open / in a
    browser to inspect a model; /docs describes the APIs. API keys can also come from the environment variable
    PELLUCID_API_KEYS.
    """
    from pellucid.server.settings import Limits, Settings, parse_aliases

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
        models=tuple(model or [options.DEFAULT_MODEL]),
        dtype=dtype,
        device=device,
        threads=threads,
        cache_folder=cache_folder,
        local_files_only=local_files_only,
        served_names=tuple(served_model_name or ()),
        tasks=tuple(task or ()),
        aliases=parse_aliases(alias or ()),
        load=load,
        memory=None if memory is None else memory * 1_000_000,
        host=host,
        port=port,
        public=public,
        keys=_read_keys(api_key_file),
        origins=tuple(cors or ()),
        on_truncation=on_truncation,
        limits=Limits(
            body_bytes=max_body * 1_000_000,
            texts=max_texts,
            waiting_tokens=max_waiting,
            seconds=timeout,
            request_bytes=request_memory * 1_000_000,
            connections=max_connections,
        ),
        drain_seconds=drain,
        log_format=log_format,
    )
    try:
        from pellucid.server.greeting import first_line, greeting
        from pellucid.server.run import run
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "fastapi", "serve") from error

    def say(url: str, kinds: Mapping[str, Kind | None]) -> None:
        typer.echo(greeting(settings, url, kinds) if sys.stdout.isatty() else first_line(settings, url))

    if not run(settings, on_ready=say):
        raise typer.Exit(1)


def _read_keys(file: Path | None) -> tuple[str, ...]:
    """Read the API keys of the file and of the environment."""
    from pellucid.server.settings import KEYS_VARIABLE, parse_keys

    keys: tuple[str, ...] = ()
    if file is not None:
        try:
            keys += parse_keys(file.read_text(encoding="utf-8"), str(file))
        except (OSError, UnicodeDecodeError) as error:
            raise OptionError(f"--api-key-file: {file} cannot be read ({error}).") from error
    if KEYS_VARIABLE in os.environ:
        keys += parse_keys(os.environ[KEYS_VARIABLE], KEYS_VARIABLE)
    return keys
