"""What a result depends on besides its text. Caches, indexes, batch jobs and clusters all use the same answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from pellucid.encoder.encoder import Encoder
from pellucid.reprs import short_repr

Option = str | int | bool | None
EMBEDDING = "embedding"
"""The name of the task that gives each text one vector."""


@dataclass(frozen=True)
class Fingerprint:
    """If two fingerprints are equal, equal texts have equal results.

    On CPUs of one kind they are equal to the last bit; on a GPU, within rounding.

    Attributes:
        model: the digest of the model's files.
        engine: the name of the engine.
        dtype: the type of number that the engine computes with.
        device: the device that the engine runs on.
        prompt: what was put before each text.
        options: the task's other options.
        task: the kind of result.

    An attribute that may be None is None only if it comes from a file of an older version, which did not keep it.
    """

    model: str
    engine: str | None
    dtype: str
    device: str | None
    prompt: str
    options: Mapping[str, Option] | None = field(default_factory=dict)
    task: str = EMBEDDING

    __repr__ = short_repr

    @classmethod
    def of(cls, encoder: Encoder, prompt: str, options: Mapping[str, Option], task: str) -> Self:
        """The fingerprint of a task's results on an encoder."""
        engine = encoder.engine
        return cls(encoder.digest, engine.name, engine.dtype, engine.device, prompt, options, task)

    def difference(self, other: Fingerprint) -> str | None:
        """The name of the first attribute in which two fingerprints differ, or None. An unknown one (None) fits all."""
        for name in (each.name for each in fields(self)):
            mine, theirs = getattr(self, name), getattr(other, name)
            if name == "device" and mine is not None and theirs is not None:
                mine, theirs = mine.partition(":")[0], theirs.partition(":")[0]  # "cuda:1" is another "cuda".
            if mine is not None and theirs is not None and mine != theirs:
                return name
        return None

    def key(self) -> bytes:
        """32 bytes: BLAKE2b (RFC 7693). Embeddings leave out the task's name, so keys of older caches stay valid."""
        parts = {
            "model": self.model,
            "engine": self.engine if self.device == "cpu" else f"{self.engine} on {self.device}",
            "dtype": self.dtype,
            "prompt": self.prompt,
            **(self.options or {}),
            **({} if self.task == EMBEDDING else {"task": self.task}),
        }
        return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=32).digest()

    def to_json(self) -> dict[str, Any]:
        """What :meth:`from_json` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """A fingerprint that was written to a file.

        Raises:
            ValueError, TypeError: the file has something else.
        """
        made = cls(**values)
        is_sound = isinstance(made.options, dict | None)
        is_sound &= all(isinstance(text, str) for text in (made.model, made.dtype, made.prompt, made.task))
        is_sound &= all(isinstance(text, str | None) for text in (made.engine, made.device))
        if not is_sound or not all(isinstance(value, Option | None) for value in (made.options or {}).values()):
            raise ValueError("not a fingerprint")
        return made
