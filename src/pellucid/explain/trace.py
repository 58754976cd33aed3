"""How one text becomes its vector: every stage, with its arrays.

The reference engine computes the stages, whichever engine the embedder uses. Its arithmetic is easy to read, and its
numbers equal those of the other engines within rounding.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pellucid.encoder.encoder import Encoder
from pellucid.engines.reference import ReferenceEngine, Step, embedding_rows
from pellucid.errors import plural
from pellucid.explain.drawn import Drawn
from pellucid.explain.shares import Float64, token_parts, why_no_parts
from pellucid.explain.stage_sentences import (
    embedding_sentence,
    final_norm_sentence,
    layer_sentence,
    pooling_sentence,
)
from pellucid.files.whole import new_file
from pellucid.layers import pooling
from pellucid.layers.finish import Pool
from pellucid.layers.norms import Normalize
from pellucid.model.spec import EncoderSpec, ModelSpec
from pellucid.reprs import short_text
from pellucid.types import Float32, Token

MAX_ATTENTION_BYTES = 256 << 20
"""A trace leaves out attention that takes more memory. Attention grows with the square of the number of tokens."""


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage between a text and its vector.

    Attributes:
        name: "text", "tokens", "embedding", "layer 1", …, "final norm" if the model has one, "pooling", the name of a
            module after the pooling ("dense", "dense 2", …), or "vector".
        sentence: what happened, in plain words.
        arrays: the results of the stage, by name.
    """

    name: str
    sentence: str
    arrays: Mapping[str, npt.NDArray[Any]]

    def __repr__(self) -> str:
        shapes = "".join(f", {name} {list(array.shape)}" for name, array in self.arrays.items())
        return f"Stage({self.name!r}{shapes})"


@dataclass(frozen=True, eq=False)
class Trace(Drawn):
    """A text, traced from its characters to its vector.

    Attributes:
        model_name: the model's name. For a folder it is the folder's own name, not its path, because other people may
            see the trace.
        spec: everything that the model's JSON files say.
        prompt: the prompt that was put before the text.
        text: the text.
        normalized: prompt and text after the tokenizer normalized them.
        tokens: the tokens that the encoder read. Their ``start`` and ``end`` count characters of ``prompt + text``.
        cut: the tokens that were cut off.
        stages: all stages, in order.
        left_out: a sentence about an array that is too large to be in the stages; "" if nothing is missing.
        shares: ``float64[n]``: each token's share of the vector. The shares sum to 1. None if the vector cannot be
            divided among the tokens.
        why_no_shares: the reason if ``shares`` is None; otherwise None.
    """

    model_name: str
    spec: ModelSpec
    prompt: str
    text: str
    normalized: str
    tokens: tuple[Token, ...]
    cut: tuple[Token, ...]
    stages: tuple[Stage, ...]
    left_out: str
    shares: Float64 | None
    why_no_shares: str | None

    def __repr__(self) -> str:
        sizes = f"{plural(len(self.tokens), 'token')}, {plural(len(self.stages), 'stage')}"
        return f"Trace({short_text(self.text)}, {sizes}, {len(self.vector):,} numbers)"

    @property
    def vector(self) -> Float32:
        """The text's vector, ``float32[d]``. It equals the result of ``embed_query`` within 2e-6."""
        return self.stages[-1].arrays["vector"]

    @property
    def token_vectors(self) -> Float32:
        """The token vectors that are pooled: the encoder's last hidden state, ``float32[n, hidden]``."""
        vectors = [stage.arrays["vectors"] for stage in self.stages if "vectors" in stage.arrays]
        return vectors[-1] if vectors else np.zeros((0, self.spec.encoder.hidden_size), dtype=np.float32)

    @property
    def layers(self) -> tuple[Stage, ...]:
        """The stages of the encoder's layers."""
        return tuple(stage for stage in self.stages if stage.name.startswith("layer "))

    def stage(self, name: str) -> Stage:
        """The stage with this name.

        Raises:
            KeyError: no stage has this name.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise KeyError(f"no stage {name!r}; the stages are {', '.join(stage.name for stage in self.stages)}")

    def drift(self) -> Float64:
        """How far each token is from its looked-up vector after each layer: 1 - cosine, ``float64[layers, n]``."""
        if not self.tokens or not self.layers:
            return np.zeros((0, len(self.tokens)))
        start = _unit(self.stage("embedding").arrays["vectors"])
        return np.stack([1 - (_unit(layer.arrays["vectors"]) * start).sum(axis=1) for layer in self.layers])

    def to_json(self, *, arrays: bool = True) -> str:
        """The whole trace as JSON.

        Args:
            arrays: True writes the arrays as nested lists, which are millions of numbers for a long text. False writes
                only their shapes.
        """
        return json.dumps(
            {
                "model": self.model_name,
                "prompt": self.prompt,
                "text": self.text,
                "normalized": self.normalized,
                "tokens": [vars(token) for token in self.tokens],
                "cut": [vars(token) for token in self.cut],
                "stages": [
                    {
                        "name": stage.name,
                        "sentence": stage.sentence,
                        "shapes": {name: array.shape for name, array in stage.arrays.items()},
                        **({"arrays": {name: a.tolist() for name, a in stage.arrays.items()}} if arrays else {}),
                    }
                    for stage in self.stages
                ],
                "left_out": self.left_out,
                "shares": None if self.shares is None else self.shares.tolist(),
                "why_no_shares": self.why_no_shares,
            },
            ensure_ascii=False,
        )

    def save_npz(self, path: str | os.PathLike[str]) -> None:
        """Write every array to a file for ``numpy.load``, under names such as "layer 1/attention".

        A name that does not end in ``.npz`` gets that ending, as with :func:`numpy.savez`. If anything goes wrong, what
        was there before is still there. A ``~`` at the start of ``path`` is your home folder.

        Raises:
            OptionError: it cannot be written.
        """
        target = os.fspath(path)
        arrays = {f"{stage.name}/{name}": array for stage in self.stages for name, array in stage.arrays.items()}
        with new_file(target if target.endswith(".npz") else f"{target}.npz") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)


def trace(encoder: Encoder, text: str, prompt: str) -> Trace:
    """Trace a text on the encoder's reference engine.

    Args:
        encoder: the model.
        text: any text.
        prompt: put before the text.
    """
    spec, engine = encoder.spec, encoder.reference
    inspected = encoder.tokenizer.inspect(text, prompt)
    ids = np.array([token.id for token in inspected.tokens], dtype=np.int32)
    n, hidden = len(ids), spec.encoder.hidden_size
    finish = Pool(spec.pooling, encoder.modules, encoder.tokenizer.prompt_tokens(prompt))

    verb = "was" if len(inspected.cut) == 1 else "were"
    cut = f" {'' if inspected.finished else 'At least '}{len(inspected.cut):,} more {verb} cut off: the model reads "
    cut = f"{cut}at most {spec.tokenizer.max_tokens}." if inspected.cut else ""
    stages = [
        Stage("text", f"The tokenizer receives {plural(len(prompt + text), 'character')}.", {}),
        Stage(
            "tokens",
            f"They become {plural(n, 'token')}. Each token is a number from 0 to {spec.encoder.vocab_size - 1:,}, "
            f"which is its row in the embedding table.{cut}",
            {"ids": ids},
        ),
    ]
    attention_bytes = 4 * sum(block.attention.heads for block in spec.encoder.blocks) * n * n
    keep_attention = attention_bytes <= MAX_ATTENTION_BYTES
    vectors = np.zeros((0, hidden), dtype=np.float32)
    if n:
        for step in engine.steps(ids):
            vectors = step.vectors
            stages.append(_encoder_stage(step, engine, ids, spec, keep_attention=keep_attention))
    stages += _stages_after_encoder(vectors, finish, is_causal=spec.encoder.is_causal)
    reason = why_no_parts(finish)
    return Trace(
        model_name=display_name(encoder),
        spec=spec,
        prompt=prompt,
        text=text,
        normalized=inspected.normalized,
        tokens=inspected.tokens,
        cut=inspected.cut,
        stages=tuple(stages),
        left_out="" if keep_attention else _attention_note(n, spec.encoder, attention_bytes),
        shares=None if reason else _shares(token_parts(vectors, finish)),
        why_no_shares=reason,
    )


def _attention_note(tokens: int, encoder: EncoderSpec, size: int) -> str:
    """Say that the attention is left out, and how many bytes it would take."""
    layers = f"{plural(len(encoder.blocks), 'layer')} of {plural(encoder.blocks[0].attention.heads, 'head')}"
    return f"The attention of {plural(tokens, 'token')} in {layers} would take {size / 1e9:.1f} GB, so it is left out."


def display_name(encoder: Encoder) -> str:
    """The model's name for other people's eyes: of a folder only its own name, never its path on this machine."""
    return encoder.files.folder.name if encoder.files.source == "folder" else encoder.spec.name


def _encoder_stage(
    step: Step, engine: ReferenceEngine, ids: npt.NDArray[np.int32], spec: ModelSpec, *, keep_attention: bool
) -> Stage:
    """The stage of one step of the encoder: the embedding, a layer, or the final norm."""
    encoder = spec.encoder
    if step.name == "embedding":
        rows = embedding_rows(ids, None, engine.spec, engine.weights)
        return Stage(step.name, embedding_sentence(encoder, rows, len(ids)), {**rows, "vectors": step.vectors})
    if step.attention is None:
        return Stage(step.name, final_norm_sentence(encoder.final_norm), {"vectors": step.vectors})
    arrays = {"vectors": step.vectors} | ({"attention": step.attention} if keep_attention else {})
    block = encoder.blocks[int(step.name.rpartition(" ")[2]) - 1]
    return Stage(step.name, layer_sentence(block.attention), arrays)


def _stages_after_encoder(vectors: Float32, finish: Pool, *, is_causal: bool) -> list[Stage]:
    """The stages of the pooling, of each module after it, and of the vector."""
    offsets = np.array([0, len(vectors)], dtype=np.int32)
    vector = pooling.pool(vectors, offsets, finish.pooling, finish.prompt_tokens)
    finish.check(vector, lambda row: row)
    sentence = pooling_sentence(finish.pooling, finish.prompt_tokens, is_causal=is_causal)
    stages = [Stage("pooling", sentence, {"pooled": vector[0]})]
    for module in finish.modules:
        length = float(np.linalg.norm(vector[0]))
        with np.errstate(over="ignore", invalid="ignore"):  # finish.check() below reports such numbers.
            vector = module(vector)
        kind = type(module).__name__
        same = sum(stage.name.partition(" ")[0] == kind.lower() for stage in stages)
        name = f"{kind.lower()} {same + 1}" if same else kind.lower()
        if isinstance(module, Normalize):
            sentence = f"It is divided by its length, {length:.4f}, which makes its length 1."
            if not length:
                sentence = "Its length is 0, so it stays as it is."
            stages.append(
                Stage(name, sentence, {"norm": np.array([length], dtype=np.float32), "normalized": vector[0]})
            )
        else:
            stages.append(Stage(name, f"It passes through a {kind} layer of the model.", {"output": vector[0]}))
    finish.check(vector, lambda row: row)
    stages.append(
        Stage("vector", f"The result is the text's vector: {plural(vector.shape[1], 'number')}.", {"vector": vector[0]})
    )
    return stages


def _shares(parts: Float64) -> Float64:
    """Each part's share of the sum of all parts, measured along that sum: ``float64[n]``, summing to 1."""
    whole = parts.sum(axis=0)
    square = float(whole @ whole)
    return parts @ whole / square if square else np.full(len(parts), 1 / max(1, len(parts)))


def _unit(vectors: Float32) -> Float64:
    """The vectors scaled to unit length; a vector of zeros stays as it is."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    unit: Float64 = vectors / np.maximum(lengths, 1e-12)
    return unit
