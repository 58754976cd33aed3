"""The families of encoders: each is a small file that turns config.json into a spec and names the tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pellucid.errors import UnsupportedModelError
from pellucid.model.config import Config
from pellucid.model.families import bert, distilbert, modernbert, mpnet, nomic_bert, roberta
from pellucid.model.families.names import TensorNames
from pellucid.model.spec import EncoderSpec


@dataclass(frozen=True)
class Family:
    """What a family is: a reader of config.json, and the tables of names that its files may go by."""

    spec: Callable[[Config], EncoderSpec]
    names: tuple[TensorNames, ...]


FAMILIES = {
    "bert": Family(bert.spec, (bert.NAMES,)),
    "camembert": Family(roberta.spec, (roberta.NAMES,)),
    "distilbert": Family(distilbert.spec, (distilbert.NAMES,)),
    "modernbert": Family(modernbert.spec, (modernbert.NAMES,)),
    "mpnet": Family(mpnet.spec, (mpnet.NAMES,)),
    "nomic_bert": Family(nomic_bert.spec, (nomic_bert.NAMES, nomic_bert.NOMICS_NAMES)),
    "roberta": Family(roberta.spec, (roberta.NAMES,)),
    "xlm-roberta": Family(roberta.spec, (roberta.NAMES,)),
}
"""Every family, by the ``model_type`` of config.json."""


def family_of(config: Config) -> Family:
    """The family that a config.json names.

    Raises:
        UnsupportedModelError: it is none of ours.
    """
    model_type = config.string("model_type", "")
    if model_type not in FAMILIES:
        architecture = config.values.get("architectures")
        raise UnsupportedModelError(
            f"{config.where}: the architecture {model_type or architecture!r:.80} is not supported. "
            f"Supported: {', '.join(sorted(FAMILIES))}."
        )
    return FAMILIES[model_type]
