"""One text on its way to its vector: every stage, with its arrays.

The reference engine computes it, whatever engine the embedder has: its arithmetic can be read, and its numbers are
those of the others within rounding.
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
from pellucid.engines.reference import ReferenceEngine, Step, lookups
from pellucid.explain import shares as token_shares
from pellucid.explain.shares import Float64
from pellucid.layers import pooling
from pellucid.layers.finish import Pool
from pellucid.layers.norms import Normalize
from pellucid.model.spec import EncoderSpec, ModelSpec
from pellucid.types import Float32, Token

ATTENTION_BYTES = 256 << 20
"""More attention than this is left out of a trace: it grows with the square of a text's tokens."""


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage of the way.

    Attributes:
        name: "text", "tokens", "embedding", "layer 1", …, "pooling", a module of the head, or "vector".
        sentence: what happened, in plain words.
        arrays: what there is after it, by name.
    """

    name: str
    sentence: str
    arrays: Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Trace:
    """A text, traced from its characters to its vector.

    Attributes:
        model_name: the model's name; of a folder, its last part alone, because a trace may be shown to others.
        spec: everything that the model's JSON files say.
        prompt: what was put before the text.
        text: the text.
        normalized: prompt and text as the tokenizer changed them.
        tokens: what the encoder read. Characters are counted in prompt + text.
        cut: the tokens that were cut off.
        stages: in order.
        left_out: what is not in the stages because it would be too large, in plain words; "" if nothing.
        shares: how much of the vector each token is, ``float64[n]``, summing to 1; None if no such shares exist.
        why_no_shares: and why.
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

    @property
    def vector(self) -> Float32:
        """The final vector, ``float32[d]``: that of ``embed_query`` within 2e-6."""
        return self.stages[-1].arrays["vector"]

    @property
    def token_vectors(self) -> Float32:
        """What is pooled: the encoder's last vectors, ``float32[n, hidden]``."""
        found = [stage.arrays["vectors"] for stage in self.stages if "vectors" in stage.arrays]
        return found[-1] if found else np.zeros((0, self.spec.encoder.hidden_size), dtype=np.float32)

    @property
    def layers(self) -> tuple[Stage, ...]:
        """The stages of the encoder's layers."""
        return tuple(stage for stage in self.stages if stage.name.startswith("layer "))

    def stage(self, name: str) -> Stage:
        """The stage of this name.

        Raises:
            KeyError: there is none.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise KeyError(f"no stage {name!r}; there are {', '.join(stage.name for stage in self.stages)}")

    def drift(self) -> Float64:
        """How far each token is from its looked-up vector after each layer: 1 - cosine, ``float64[layers, n]``."""
        if not self.tokens:
            return np.zeros((0, 0))
        start = _unit(self.stage("embedding").arrays["vectors"])
        return np.stack([1 - (_unit(layer.arrays["vectors"]) * start).sum(axis=1) for layer in self.layers])

    def _repr_html_(self) -> str:
        """What a notebook shows: the page, in a frame."""
        from pellucid.explain.render.html import notebook

        return notebook(self)

    def to_json(self, *, arrays: bool = True) -> str:
        """Everything, as JSON: arrays as nested lists (of a long text, millions of numbers), or only their shapes."""
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
                        **({"arrays": {n: array.tolist() for n, array in stage.arrays.items()}} if arrays else {}),
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
        """Every array, in a file that ``numpy.load`` opens; the name is ``"stage/array"``."""
        arrays = {f"{stage.name}/{name}": array for stage in self.stages for name, array in stage.arrays.items()}
        np.savez_compressed(path, allow_pickle=False, **arrays)


def trace(encoder: Encoder, text: str, prompt: str) -> Trace:
    """Trace a text on the encoder's reference engine.

    Args:
        encoder: the model.
        text: any text.
        prompt: what is put before it.
    """
    spec, engine = encoder.spec, encoder.reference
    seen = encoder.tokenizer.inspect(text, prompt)
    ids = np.array([token.id for token in seen.tokens], dtype=np.int32)
    n, hidden = len(ids), spec.encoder.hidden_size
    finish = Pool(spec.pooling, encoder.modules, encoder.tokenizer.prompt_tokens(prompt))

    cut = f" {'' if seen.finished else 'At least '}{len(seen.cut):,} more were cut off: the model reads "
    cut = f"{cut}{spec.tokenizer.max_tokens}." if seen.cut else ""
    stages = [
        Stage("text", f"The tokenizer is given {len(prompt + text):,} characters.", {}),
        Stage(
            "tokens",
            f"They become {n} tokens, each a number from 0 to {spec.encoder.vocab_size - 1:,}: its row in a table."
            f"{cut}",
            {"ids": ids},
        ),
    ]
    attention_bytes = 4 * sum(block.attention.heads for block in spec.encoder.blocks) * n * n
    keep_attention = attention_bytes <= ATTENTION_BYTES
    vectors = np.zeros((0, hidden), dtype=np.float32)
    if n:
        for step in engine.steps(ids):
            vectors = step.vectors
            stages.append(_encoder_stage(step, engine, ids, spec, keep_attention=keep_attention))
    stages += _after_encoder(vectors, finish)
    why = token_shares.why_not(finish)
    return Trace(
        model_name=shown_name(encoder),
        spec=spec,
        prompt=prompt,
        text=text,
        normalized=seen.normalized,
        tokens=seen.tokens,
        cut=seen.cut,
        stages=tuple(stages),
        left_out="" if keep_attention else _left_out(n, spec.encoder, attention_bytes),
        shares=None if why else _own_shares(token_shares.parts(vectors, finish)),
        why_no_shares=why,
    )


def _left_out(tokens: int, encoder: EncoderSpec, size: int) -> str:
    what = f"{len(encoder.blocks)} layers of {encoder.blocks[0].attention.heads} heads"
    return f"The attention of {tokens:,} tokens in {what} is {size / 1e9:.1f} GB, and is left out."


def shown_name(encoder: Encoder) -> str:
    """What a model is called where others may see it: never where it lies on this machine."""
    return encoder.files.folder.name if encoder.files.source == "folder" else encoder.spec.name


def _encoder_stage(
    step: Step, engine: ReferenceEngine, ids: npt.NDArray[np.int32], spec: ModelSpec, *, keep_attention: bool
) -> Stage:
    n, encoder = len(ids), spec.encoder
    if step.name == "embedding":
        rows = lookups(ids, None, engine.spec, engine.weights)
        names = " + ".join(rows)
        sentence = (
            f"Each token's row is looked up ({names}) and normalised: {n} vectors of {encoder.hidden_size} numbers. "
        )
        return Stage(step.name, sentence + "No token knows of any other yet.", {**rows, "vectors": step.vectors})
    if step.attention is None:
        return Stage(step.name, "The vectors are normalised once more.", {"vectors": step.vectors})
    arrays = {"vectors": step.vectors} | ({"attention": step.attention} if keep_attention else {})
    attention = encoder.blocks[int(step.name.rpartition(" ")[2]) - 1].attention
    reach = "the tokens of the text" if attention.window is None else f"the tokens up to {attention.window} places away"
    sentence = f"In {attention.heads} heads, each token looks at {reach} and takes from what it sees."
    return Stage(step.name, f"{sentence} Then each thinks for itself.", arrays)


_POOLINGS = {
    "mean": "the mean of the tokens' vectors",
    "cls": "the vector of the first token",
    "lasttoken": "the vector of the last token",
    "max": "the largest of each of the tokens' numbers",
    "mean_sqrt_len_tokens": "the sum of the tokens' vectors, divided by the root of their number",
    "weightedmean": "a mean of the tokens' vectors in which later ones weigh more",
}


def _after_encoder(vectors: Float32, finish: Pool) -> list[Stage]:
    offsets = np.array([0, len(vectors)], dtype=np.int32)
    vector = pooling.pool(vectors, offsets, finish.pooling, finish.prompt_tokens)
    finish.check(vector, lambda row: row)
    how = ", beside ".join(_POOLINGS[mode] for mode in finish.pooling.modes)
    counts = finish.pooling.include_prompt or not finish.prompt_tokens
    without = "" if counts else " The prompt's tokens do not count."
    stages = [Stage("pooling", f"One vector is made of them: {how}.{without}", {"pooled": vector[0]})]
    for module in finish.modules:
        length = float(np.linalg.norm(vector[0]))
        with np.errstate(over="ignore", invalid="ignore"):  # check() tells it.
            vector = module(vector)
        name = type(module).__name__
        if isinstance(module, Normalize):
            sentence = f"It is divided by its length, {length:.4f}, so that its own length is 1."
            stages.append(
                Stage("normalize", sentence, {"norm": np.array([length], dtype=np.float32), "normalized": vector[0]})
            )
        else:
            stages.append(Stage(name.lower(), f"It goes through a {name} layer of the model.", {"output": vector[0]}))
    finish.check(vector, lambda row: row)
    stages.append(Stage("vector", f"That is the text's vector: {vector.shape[1]} numbers.", {"vector": vector[0]}))
    return stages


def _own_shares(each: Float64) -> Float64:
    """How much each part adds in the direction of the whole: ``float64[n]``, summing to 1."""
    whole = each.sum(axis=0)
    square = float(whole @ whole)
    return each @ whole / square if square else np.full(len(each), 1 / max(1, len(each)))


def _unit(vectors: Float32) -> Float64:
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    unit: Float64 = vectors / np.maximum(lengths, 1e-12)
    return unit
