"""The families of models. Each is a small file that turns config.json into a spec and names the tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pellucid.errors import UnsupportedModelError
from pellucid.model.config import Config
from pellucid.model.families import (
    albert,
    bert,
    deberta_v2,
    distilbert,
    electra,
    eurobert,
    gemma3_text,
    llama,
    mistral,
    modernbert,
    mpnet,
    nomic_bert,
    qwen2,
    qwen3,
    roberta,
    t5,
)
from pellucid.model.families.names import HeadNames, OutputNames, TensorNames, VocabularyNames
from pellucid.model.spec import EncoderSpec


@dataclass(frozen=True)
class Family:
    """A family of models: of encoders, or of decoders.

    Attributes:
        spec: turns the family's config.json into a spec.
        names: the tables of tensor names that the family's files may use.
        head: the classification head that transformers puts on the family; None if Pellucid does not know it.
        vocabulary: the head that the family has as a masked language model; None if Pellucid does not know it.
        output: the output layer of a family of decoders; None for the others.
    """

    spec: Callable[[Config], EncoderSpec]
    names: tuple[TensorNames, ...]
    head: HeadNames | None = None
    vocabulary: VocabularyNames | None = None
    output: OutputNames | None = None


FAMILIES = {
    "albert": Family(albert.spec, (albert.NAMES,), albert.HEAD, albert.VOCABULARY),
    "bert": Family(bert.spec, (bert.NAMES,), bert.HEAD, bert.VOCABULARY),
    "camembert": Family(roberta.spec, (roberta.NAMES,), roberta.HEAD, roberta.VOCABULARY),
    "deberta-v2": Family(deberta_v2.spec, (deberta_v2.NAMES,), deberta_v2.HEAD, bert.VOCABULARY),
    "distilbert": Family(distilbert.spec, (distilbert.NAMES,), distilbert.HEAD, distilbert.VOCABULARY),
    "electra": Family(electra.spec, (electra.NAMES,), electra.HEAD, electra.VOCABULARY),
    "eurobert": Family(eurobert.spec, (eurobert.NAMES,)),
    "gemma3_text": Family(gemma3_text.spec, (gemma3_text.NAMES,), llama.HEAD, output=OutputNames(tied=True)),
    "llama": Family(llama.spec, (llama.NAMES,), llama.HEAD, output=llama.OUTPUT),
    "mistral": Family(mistral.spec, (mistral.NAMES,), llama.HEAD, output=llama.OUTPUT),
    "modernbert": Family(modernbert.spec, (modernbert.NAMES,), modernbert.HEAD, modernbert.VOCABULARY),
    "mpnet": Family(mpnet.spec, (mpnet.NAMES,), mpnet.HEAD, roberta.VOCABULARY),
    "nomic_bert": Family(nomic_bert.spec, (nomic_bert.NAMES, nomic_bert.ORIGINAL_NAMES), nomic_bert.HEAD),
    "qwen2": Family(qwen2.spec, (qwen2.NAMES,), llama.HEAD, output=llama.OUTPUT),
    "qwen3": Family(qwen3.spec, (qwen3.NAMES,), llama.HEAD, output=llama.OUTPUT),
    "roberta": Family(roberta.spec, (roberta.NAMES,), roberta.HEAD, roberta.VOCABULARY),
    "t5": Family(t5.spec, t5.NAMES),
    "xlm-roberta": Family(roberta.spec, (roberta.NAMES,), roberta.HEAD, roberta.VOCABULARY),
}
"""All families, by the ``model_type`` in config.json."""


def get_family(config: Config) -> Family:
    """The family that a config.json names.

    Raises:
        UnsupportedModelError: Pellucid does not have this family.
    """
    model_type = config.string("model_type", "")
    if model_type not in FAMILIES:
        architecture = config.values.get("architectures")
        raise UnsupportedModelError(
            f"{config.where}: the architecture {model_type or architecture!r:.80} is not supported. "
            f"Supported: {', '.join(sorted(FAMILIES))}."
        )
    return FAMILIES[model_type]
