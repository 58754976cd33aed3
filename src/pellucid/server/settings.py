"""The settings and limits of a server."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pellucid.encoder.encoder import Dtype
from pellucid.errors import OptionError

Load = Literal["start", "first-use"]
ServedTask = Literal["auto", "dense", "sparse", "multi-vector"]
RequestTruncation = Literal["error", "cut"]
LogFormat = Literal["auto", "text", "json"]
KEYS_VARIABLE = "PELLUCID_API_KEYS"
_MIN_KEY_LENGTH = 8


@dataclass(frozen=True)
class Limits:
    """How much one request may ask for, and how much may wait.

    Attributes:
        body_bytes: the largest body of a request.
        texts: the most texts in one request.
        characters: the most characters in one text. The model reads far fewer, and the rest would be cut.
        waiting_tokens: the most tokens in each model's queue. A request that finds no room is answered with 429.
        tokens_per_call: how many tokens go through the engine together. The more there are, the longer the next request
            waits.
        seconds: how long a request may take. This includes receiving its body, tokenizing and waiting.
        views: how many views (traces, comparisons, maps) may wait. The server makes them one after another.
        view_tokens: the most tokens in a text to trace or compare. Each layer has a number for each pair of tokens, in
            each attention head.
        map_texts: the most texts in a map. A matrix of many more is unreadable.
        answered_tokens: the most tokens in a request for one vector per token. Each takes some kilobytes of the
            response.
        answered_numbers: the most numbers in a trace that is sent with its arrays. Each takes about 20 bytes.
        request_bytes: the most memory that all requests use together, for headers, bodies, work, and responses until
            clients have read them.
        connections: the most open connections. A new one replaces the one that has been idle longest.
        header_bytes: the most bytes in one request's URL and headers together.
        headers: the most headers in one request.
        header_seconds: how long a request's headers may take to arrive.
        pause_seconds: the longest pause between two pieces of a body.
        answer_seconds: how long a client may take to read a response.
    """

    body_bytes: int = 16_000_000
    texts: int = 2048
    characters: int = 1_000_000
    waiting_tokens: int = 262_144
    tokens_per_call: int = 2048
    seconds: float = 60.0
    views: int = 16
    view_tokens: int = 512
    map_texts: int = 200
    answered_tokens: int = 8192
    answered_numbers: int = 2_500_000
    request_bytes: int = 256_000_000
    connections: int = 1024
    header_bytes: int = 32_768
    headers: int = 128
    header_seconds: float = 10.0
    pause_seconds: float = 10.0
    answer_seconds: float = 60.0


@dataclass(frozen=True)
class Settings:
    """The settings of ``pellucid serve``.

    Attributes:
        models: model names or folders. A request that names no model gets the first.
        dtype, device, threads, cache_folder, local_files_only: as in :class:`~pellucid.embedder.Embedder`.
        served_names: the names of models, in the order of ``models``, instead of those that they have.
        tasks: which vectors models give, in the order of ``models``. "auto", also for those that are left out, is what
            a model's files say.
        aliases: other names for models: pairs of the name that requests use and the model that answers, by its name or
            source in ``models``.
        load: load all models at the start, or each one at its first request.
        memory: how many bytes the loaded models may take together, counted by the size of their files. None sets no
            limit. To make room, the server unloads the least recently used model.
        host, port: the address to listen on. Port 0 picks a free port.
        public: serve other machines without an API key.
        keys: the API keys. A request must send one of them; without any, no key is needed.
        origins: other sites whose pages may send requests (CORS).
        on_truncation: refuse texts that are too long, or cut them and say so in a response header.
        limits: how much requests may ask for.
        drain_seconds: how long accepted requests may take after SIGTERM.
        log_format: how to log: lines for people ("text") or JSON; "auto" writes text to a terminal, and otherwise JSON.
    """

    models: tuple[str, ...]
    dtype: Dtype = "float32"
    device: str = "cpu"
    threads: int | None = None
    cache_folder: Path | None = None
    local_files_only: bool = False
    served_names: tuple[str, ...] = ()
    tasks: tuple[ServedTask, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    load: Load = "start"
    memory: int | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    public: bool = False
    keys: tuple[str, ...] = field(default=(), repr=False)
    origins: tuple[str, ...] = ()
    on_truncation: RequestTruncation = "error"
    limits: Limits = Limits()
    drain_seconds: float = 30.0
    log_format: LogFormat = "auto"

    def __post_init__(self) -> None:
        if not self.models:
            raise OptionError("a server needs at least one --model.")
        if len(self.served_names) > len(self.models):
            raise OptionError(
                f"--served-model-name is given {len(self.served_names)} times, and --model only {len(self.models)} "
                f"times. For another name of the same model, use --alias."
            )
        if len(self.tasks) > len(self.models):
            raise OptionError(
                f"--task is given {len(self.tasks)} times, and --model only {len(self.models)} times. The first --task "
                f"is for the first --model, and so on."
            )
        if not self.loopback and not self.keys and not self.public:
            raise OptionError(
                f"--host {self.host} lets other machines send requests, and there is no API key. Give --api-key-file "
                f"FILE, set the environment variable {KEYS_VARIABLE}, or give --public to serve everybody."
            )

    @property
    def loopback(self) -> bool:
        """True if only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_aliases(values: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Read the values of ``--alias``.

    >>> parse_aliases(["text-embedding-3-small=all-MiniLM-L6-v2"])
    (('text-embedding-3-small', 'all-MiniLM-L6-v2'),)

    Raises:
        OptionError: a value is not of the form NAME=MODEL.
    """
    aliases = []
    for value in values:
        alias, _, model = value.partition("=")
        if not alias.strip() or not model.strip():
            raise OptionError(
                f"--alias {value!r} must be of the form NAME=MODEL, as in text-embedding-3-small=all-MiniLM-L6-v2."
            )
        aliases.append((alias.strip(), model.strip()))
    return tuple(aliases)


def parse_keys(text: str, source: str) -> tuple[str, ...]:
    """Read the API keys in a file or a variable.

    Each line has one key, or several with commas between them. Lines that start with ``#`` are comments.

    Args:
        text: the content of the file or variable.
        source: its name, for error messages.

    Raises:
        OptionError: there is no key, or a key is too short or cannot be sent in a header. The message gives the key's
            number and does not quote it.
    """
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    keys = tuple(key.strip() for line in lines for key in line.split(",") if key.strip())
    if not keys:
        raise OptionError(f"{source} has no API key in it. Put one on each line.")
    for number, key in enumerate(keys, start=1):
        if len(key) < _MIN_KEY_LENGTH or not all("!" <= character <= "~" for character in key):
            raise OptionError(
                f"key {number} of {source} is not valid. A key has at least {_MIN_KEY_LENGTH} characters: ASCII "
                f"letters, digits and punctuation, and no spaces. `openssl rand -hex 32` makes a good one."
            )
    return keys
