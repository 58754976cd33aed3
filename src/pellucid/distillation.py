"""Makes a static model out of any embedder on this machine.

The method is that of model2vec (https://github.com/MinishLab/model2vec): each token of the vocabulary goes through the
model, alone between the special tokens; the vectors are reduced by PCA; and each is multiplied by a weight that falls
with how common its token is. The weights are those of Arora et al., "A Simple but Tough-to-Beat Baseline for Sentence
Embeddings" (2017). Nobody counts words for them: a vocabulary is sorted by frequency, and by Zipf's law the token of
rank r has a frequency of about 1 / r. model2vec's own models are trained further on texts, by Tokenlearn
(https://github.com/MinishLab/tokenlearn). That is not done here.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pellucid.checks import check_integer
from pellucid.encoder.encoder import Encoder
from pellucid.errors import InvalidModelError, plural
from pellucid.files.progress import progress
from pellucid.files.whole import check_new_folder, new_folder
from pellucid.layers.finish import Pool
from pellucid.model.tensors import write_tensors
from pellucid.reprs import short_repr
from pellucid.text.vocabulary import Vocabulary
from pellucid.types import Float32, Int32, TokenBatch
from pellucid.vectors.pca import reduce

_SIF = 1e-4
"""The constant a of Arora et al., and model2vec's ``sif_coefficient``."""


@dataclass(frozen=True)
class Distilled:
    """A static model that was made.

    Attributes:
        folder: where it is.
        tokens: how many tokens have a vector.
        dimensions: the length of a vector.
        variance: which share of the token vectors' variance these dimensions keep.
    """

    folder: Path
    tokens: int
    dimensions: int
    variance: float

    __repr__ = short_repr


def distil(
    model: str | os.PathLike[str] | Encoder,
    folder: str | os.PathLike[str],
    *,
    dimensions: int = 256,
    show_progress: bool = False,
) -> Distilled:
    """Make a static model out of a model, and write it to a new folder.

    The folder has the layout of sentence-transformers, so that both ``Embedder`` and ``SentenceTransformer`` load it.
    It appears only when it is complete.

    Args:
        model: a name, a folder, or an Encoder with other options.
        folder: where to write; it must not exist, or be empty. A ``~`` at its start is your home folder.
        dimensions: the length of a vector; at most what the model's own vectors have.
        show_progress: draw a progress bar, on a terminal or in a notebook.

    Raises:
        OptionError: ``dimensions`` is out of range, or the folder is there already, or cannot be written.
        ModelError: the model cannot be loaded, or does not give vectors.
    """
    target = check_new_folder(folder)
    encoder = model if isinstance(model, Encoder) else Encoder(model)
    spec = encoder.spec
    limit = spec.dimensions
    dimensions = check_integer("dimensions", dimensions, 1, limit, f"from 1 to {limit}")
    vocabulary = Vocabulary(encoder.files, spec.tokenizer, spec.encoder.family)
    ids = vocabulary.meaningful()
    if len(ids) <= dimensions:
        raise InvalidModelError(
            f"{spec.name}: the vocabulary has only {plural(len(ids), 'token')}, too few for {dimensions} dimensions."
        )
    vectors = _embed_tokens(encoder, ids, show_progress=show_progress)
    reduced, variance = reduce(vectors, dimensions)
    table = np.zeros((spec.encoder.vocab_size, dimensions), dtype=np.float32)
    table[ids] = reduced * zipf_weights(len(ids))[:, None]
    with new_folder(target) as unfinished:
        write_tensors(unfinished / "model.safetensors", {"embedding.weight": table})
        vocabulary.save(unfinished / "tokenizer.json")
        for name, content in _json_files(dimensions).items():
            (unfinished / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        (unfinished / "README.md").write_text(_readme(encoder, dimensions), encoding="utf-8")
    return Distilled(target, len(ids), dimensions, variance)


def zipf_weights(count: int) -> Float32:
    """The weight of each token, most common token first: ``float32[count]``.

    Token r has the estimated frequency p = 1 / (r + 2), divided by the sum of these, and the weight a / (a + p). So
    common tokens, which say little, weigh little. model2vec counts the ranks from 2 too.
    """
    frequencies = 1 / np.arange(2, count + 2)
    weights: Float32 = (_SIF / (_SIF + frequencies / frequencies.sum())).astype(np.float32)
    return weights


def _embed_tokens(encoder: Encoder, ids: Int32, *, show_progress: bool) -> Float32:
    """The model's vector of each token, before any Normalize: ``float32[n, d]``."""
    shown = encoder.tokenizer.inspect("a").tokens
    specials = [number for number, token in enumerate(shown) if token.kind == "special"]
    before = [shown[number].id for number in specials if number == specials.index(number)]
    after = [shown[number].id for number in specials[len(before) :]]
    rows = np.empty((len(ids), len(before) + 1 + len(after)), dtype=np.int32)
    rows[:, : len(before)], rows[:, len(before)], rows[:, len(before) + 1 :] = before, ids, after
    tokens = TokenBatch(rows.reshape(-1), np.arange(0, rows.size + 1, rows.shape[1], dtype=np.int32))
    finish = Pool(encoder.spec.pooling, encoder.modules, normalize=False)
    with progress(len(ids), show=show_progress, desc="Embedding the vocabulary") as advance:
        vectors = encoder.run(tokens, finish, advance=advance)
    finish.check(vectors, lambda row: int(ids[row]))
    return vectors


def _json_files(dimensions: int) -> dict[str, object]:
    kinds = {"StaticEmbedding": "", "Normalize": "1_Normalize"}
    modules = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (kind, path) in enumerate(kinds.items())
    ]
    settings: dict[str, object] = {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "cosine"}
    # model2vec reads this layout too, and looks here for whether to normalize.
    return {
        "modules.json": modules,
        "config_sentence_transformers.json": settings | {"normalize": True, "hidden_dim": dimensions},
    }


def _readme(encoder: Encoder, dimensions: int) -> str:
    files = encoder.files
    name = files.folder.name if files.source == "folder" else encoder.spec.name
    return f"""# A static model made from {name}

A vector of {dimensions} numbers for each token of {name}. A text's vector is the mean of its tokens' vectors, scaled to
length 1. Pellucid, sentence-transformers and model2vec load this folder.

It was made with `pellucid models distil`, by the method of model2vec: the model's vector of each token alone, PCA, and
weights by Zipf's law. It was not trained further, as Tokenlearn does. Words do not change each other in it, and their
order does not count, so its vectors are less exact than those of {name}. The licence of {name} applies.

The digest of the original's files is {files.digest()}.
"""
