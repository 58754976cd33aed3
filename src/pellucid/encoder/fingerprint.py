"""What a result depends on beside its text. Caches, indexes, batch jobs and clusters all use the same answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from pellucid.encoder.encoder import Encoder

Option = str | int | bool | None


@dataclass(frozen=True)
class Fingerprint:
    """Results with equal fingerprints are equal to the last bit, on one kind of processor.

    Attributes:
        model: the digest of the model's files.
        engine: the name of the engine; None in files of older versions, which did not keep it.
        dtype: the arithmetic.
        device: where the engine ran; None likewise.
        prompt: what was put before each text.
        options: the task's other options; None likewise.
        task: the kind of result.
    """

    model: str
    engine: str | None
    dtype: str
    device: str | None
    prompt: str
    options: Mapping[str, Option] | None = field(default_factory=dict)
    task: str = "embedding"

    @classmethod
    def of(cls, encoder: Encoder, prompt: str, options: Mapping[str, Option], task: str = "embedding") -> Self:
        """The fingerprint of a task's results on an encoder."""
        engine = encoder.engine
        return cls(encoder.digest, engine.name, engine.dtype, engine.device, prompt, options, task)

    def difference(self, other: Fingerprint) -> str | None:
        """The name of the first attribute in which two fingerprints differ, or None. An unknown one (None) fits all."""
        for name in (each.name for each in fields(self)):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine is not None and theirs is not None and mine != theirs:
                return name
        return None

    def key(self) -> bytes:
        """32 bytes: BLAKE2b (RFC 7693). For embeddings they are what they were before there were other tasks."""
        parts = {
            "model": self.model,
            "engine": self.engine if self.device == "cpu" else f"{self.engine} on {self.device}",
            "dtype": self.dtype,
            "prompt": self.prompt,
            **(self.options or {}),
            **({} if self.task == "embedding" else {"task": self.task}),
        }
        return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=32).digest()

    def to_json(self) -> dict[str, Any]:
        """What :meth:`from_json` takes."""
        return asdict(self) | {"options": None if self.options is None else dict(self.options)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """A fingerprint that was written to a file.

        Raises:
            ValueError, TypeError: the file has something else.
        """
        made = cls(**values)
        texts = [made.model, made.dtype, made.prompt, made.task]
        texts += [text for text in (made.engine, made.device) if text is not None]
        if not all(isinstance(text, str) for text in texts) or not isinstance(made.options, dict | None):
            raise ValueError("not a fingerprint")
        return made
