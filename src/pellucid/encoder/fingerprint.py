"""What a result depends on, beside its text: one answer for caches, indexes, batch jobs and clusters."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from pellucid.encoder.encoder import Encoder

Option = str | int | bool | None


@dataclass(frozen=True)
class Fingerprint:
    """Results of one fingerprint are the same to the bit, on one kind of processor.

    Attributes:
        model: the digest of the model's files.
        engine, dtype, device: what did the arithmetic, in what, and where.
        prompt: what was put before the text.
        options: what the task was asked for beside that.
        task: which.
    """

    model: str
    engine: str
    dtype: str
    device: str
    prompt: str
    options: Mapping[str, Option] = field(default_factory=dict)
    task: str = "embedding"

    @classmethod
    def of(cls, encoder: Encoder, prompt: str, options: Mapping[str, Option], task: str = "embedding") -> Fingerprint:
        """What the results of a task on this encoder depend on."""
        engine = encoder.engine
        return cls(encoder.digest, engine.name, engine.dtype, engine.device, prompt, options, task)

    def key(self) -> bytes:
        """32 bytes, BLAKE2b (RFC 7693). Those of embeddings are what they were before there were other tasks."""
        parts = {
            "model": self.model,
            "engine": self.engine if self.device == "cpu" else f"{self.engine} on {self.device}",
            "dtype": self.dtype,
            "prompt": self.prompt,
            **self.options,
            **({} if self.task == "embedding" else {"task": self.task}),
        }
        return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=32).digest()
