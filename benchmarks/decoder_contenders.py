"""The contenders that run decoders. Each is a function that loads a model, and returns one from texts to vectors."""

from __future__ import annotations

import functools
from collections.abc import Callable

import contenders
import numpy as np
from contenders import Embed, Job, Vectors


def reference(job: Job) -> Embed:
    """Pellucid's definition of correct, in NumPy."""
    from pellucid import Embedder

    return Embedder(job.model, engine="reference", on_truncation="cut").embed_documents


def sentence_transformers(job: Job, dtype: str) -> Embed:
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(job.threads)
    model = SentenceTransformer(str(job.model), device="cpu", model_kwargs={"dtype": dtype})
    model = model.to(getattr(torch, dtype))  # The layers after the decoder, too.
    return functools.partial(model.encode, batch_size=32, show_progress_bar=False)


def llamacpp(job: Job, part: str) -> Embed:
    """One batch for 512 tokens, its default. It tokenizes by itself, and no text here is longer than a batch."""
    import llama_cpp

    size = {"n_ctx": 512, "n_batch": 512, "n_ubatch": 512, "n_threads": job.threads, "n_threads_batch": job.threads}
    model = llama_cpp.Llama(str(job.converted / part / "model.gguf"), embedding=True, verbose=False, **size)

    def embed(texts: list[str]) -> Vectors:
        return np.array(model.embed(texts, normalize=True), np.float32)

    return embed


CONTENDERS: dict[str, Callable[[Job], Embed]] = {
    "sentence-transformers": functools.partial(sentence_transformers, dtype="float32"),
    "sentence-transformers-bfloat16": functools.partial(sentence_transformers, dtype="bfloat16"),
    "llamacpp-float16": functools.partial(llamacpp, part="gguf-float16"),
    "llamacpp-q8_0": functools.partial(llamacpp, part="gguf-q8_0"),
    "llamacpp-q4_0": functools.partial(llamacpp, part="gguf-q4_0"),
    "pellucid": functools.partial(contenders.pellucid, dtype="float32"),
    "pellucid-bfloat16": functools.partial(contenders.pellucid, dtype="bfloat16"),
    "pellucid-int16": functools.partial(contenders.pellucid, dtype="int16"),
    "pellucid-int8": functools.partial(contenders.pellucid, dtype="int8"),
    "pellucid-int4": functools.partial(contenders.pellucid, dtype="int4"),
    "pellucid-reference": reference,
}
DEFAULT = [name for name in CONTENDERS if name not in ("llamacpp-float16", "pellucid-reference")]
"""The others take part only when asked for: a file in F16 is large, and the reference is slow."""
NEEDS = {
    "llamacpp-float16": "gguf-float16",
    "llamacpp-q8_0": "gguf-q8_0",
    "llamacpp-q4_0": "gguf-q4_0",
}
"""The converted form of the model (see ``convert.DECODER_PARTS``) that each of these contenders loads."""
BASELINE = "sentence-transformers"
