"""What a server was told at its start."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pellucid.encoder.encoder import Dtype
from pellucid.errors import OptionError

Load = Literal["start", "first-use"]
OnTruncation = Literal["error", "cut"]
KEYS_VARIABLE = "PELLUCID_API_KEYS"
_SHORTEST_KEY = 8


@dataclass(frozen=True)
class Limits:
    """How much one client may ask, and how much may wait.

    Attributes:
        body_bytes: of one request.
        texts: in one request.
        characters: of one text. Beyond what the model reads, it would be cut anyway.
        waiting_tokens: in each model's queue; more is answered with 429.
        tokens_per_call: how many tokens go through the engine together: the longer, the longer waits who comes next.
        seconds: how long a request may take: its body, tokenizing and waiting included.
        views: how many views (traces, comparisons, maps) may wait; they are made one after another.
        view_tokens: of a text to be looked into; every layer has a number for each pair of them, in each head.
        map_texts: in a map: the matrix of many more cannot be read.
        answered_tokens: of one request for a vector of each token: an answer has some kilobytes for each.
        answered_numbers: in a trace that is sent with its arrays; each takes some 20 bytes.
        request_bytes: of memory that all requests hold together: headers, bodies, work, answers until they are read.
        connections: at once; the one that was idle for longest makes room for a new one.
        header_bytes: of one request's URL and headers together.
        headers: of one request.
        header_seconds: until all of a request's headers must be there.
        pause_seconds: between two pieces of a body.
        answer_seconds: how long a client may take to read an answer.
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
    """Everything that ``pellucid serve`` was told.

    Attributes:
        models: names or folders; the first answers where a request names none.
        dtype, device, threads, cache_folder, local_files_only: as :class:`~pellucid.embedder.Embedder` takes them.
        load: load all models at the start, or each when it is first asked for.
        memory: how many bytes the loaded models may take, by the size of their files; None for no bound. Who was not
            asked for longest goes.
        host, port: where to listen; port 0 takes a free one.
        public: listen to other machines without a key.
        keys: a request needs one of these; empty: no key is needed.
        origins: other sites whose pages may send requests (CORS).
        on_truncation: refuse texts that are too long, or cut them and say so in a header.
        limits: how much.
        drain_seconds: how long what was accepted may take after SIGTERM.
    """

    models: tuple[str, ...]
    dtype: Dtype = "float32"
    device: str = "cpu"
    threads: int | None = None
    cache_folder: Path | None = None
    local_files_only: bool = False
    load: Load = "start"
    memory: int | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    public: bool = False
    keys: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    on_truncation: OnTruncation = "error"
    limits: Limits = Limits()
    drain_seconds: float = 30.0

    def __post_init__(self) -> None:
        if not self.models:
            raise OptionError("a server needs at least one --model.")
        if not self.loopback and not self.keys and not self.public:
            raise OptionError(
                f"--host {self.host} lets other machines in, and there is no API key. Give --api-key-file FILE, or "
                f"{KEYS_VARIABLE} in the environment, or --public to serve everybody."
            )

    @property
    def loopback(self) -> bool:
        """Whether only this machine can ask."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def keys_of(text: str, where: str) -> tuple[str, ...]:
    """The keys in a file or a variable: one a line, or with commas between; what follows ``#`` at a line's start not.

    Raises:
        OptionError: there is none, or one that is too short or could not be sent.
    """
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    keys = tuple(key.strip() for line in lines for key in line.split(",") if key.strip())
    if not keys:
        raise OptionError(f"{where} has no API key in it: put one on each line.")
    for number, key in enumerate(keys, start=1):
        if len(key) < _SHORTEST_KEY or not all("!" <= letter <= "~" for letter in key):
            raise OptionError(
                f"key {number} of {where} will not do: a key has at least {_SHORTEST_KEY} letters, digits or signs of "
                f"ASCII, and no spaces. `openssl rand -hex 32` makes good ones."
            )
    return keys
