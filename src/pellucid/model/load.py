"""A model's JSON files to its :class:`~pellucid.model.spec.ModelSpec`.

``modules.json`` lists the stages in order; :mod:`pellucid.model.modules` reads those after the transformer.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Literal

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.model.config import Config
from pellucid.model.families import family_of, other
from pellucid.model.modules import Listed, listed, read_stages
from pellucid.model.spec import EncoderSpec, ModelSpec, TokenizerSpec
from pellucid.model.tensors import Tensors
from pellucid.model.weights import EncoderWeights, read_encoder
from pellucid.sources.files import ModelFiles

# In sentence-transformers, every model has these, if only as "".
_PROMPTS_OF_EVERY_MODEL = ("query", "document")
_MOST_PROMPT = 10_000  # Characters. It goes before every text, and real ones have some hundred.
_SENTENCE_CONFIGS = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")


def load_spec(files: ModelFiles) -> ModelSpec:
    """Read everything that the JSON files of a model say.

    Raises:
        InvalidModelError: a file is missing, broken, or contradicts another.
        UnsupportedModelError: an architecture, a module or a setting that we do not run.
    """
    transformer, *after = listed(files)
    config = Config.read(files, transformer.file("config.json"))
    encoder = _encoder(config)
    if encoder.max_tokens < 1:
        raise InvalidModelError(f"{config.where}: max_position_embeddings leaves no room for a token.")
    settings = "config_sentence_transformers.json"
    sentence = Config.read_if_there(files, settings) if files.has("modules.json") else Config(settings, {})
    prompts = sentence.strings("prompts")
    if long := [name for name, prompt in prompts.items() if len(prompt) > _MOST_PROMPT]:
        raise InvalidModelError(
            f"{sentence.where}: the prompt {long[0]!r:.80} has {len(prompts[long[0]]):,} characters, and at most "
            f"{_MOST_PROMPT:,} are read."
        )
    default = sentence.string("default_prompt_name", "") or None
    if default is not None and default not in {*prompts, *_PROMPTS_OF_EVERY_MODEL}:
        raise InvalidModelError(f"{sentence.where}: default_prompt_name {default!r:.80} is not one of its prompts.")
    return ModelSpec(
        name=files.name,
        encoder_folder=transformer.folder,
        encoder=encoder,
        tokenizer=_tokenizer(files, transformer, encoder),
        stages=read_stages(files, after, config, encoder.hidden_size),
        prompts=MappingProxyType(prompts),
        default_prompt_name=default,
    )


def _encoder(config: Config) -> EncoderSpec:
    """The encoder of a config.json, of one of our families, or else of whatever transformers may know."""
    try:
        return family_of(config).spec(config)
    except UnsupportedModelError as error:
        if not config.string("model_type", ""):
            raise
        return other.spec(config, str(error))


def load_weights(files: ModelFiles, spec: ModelSpec) -> EncoderWeights:
    """Map and check the encoder's weights; the errors of :func:`pellucid.model.weights.read_encoder`.

    Raises:
        UnsupportedModelError: the encoder is none that can be computed with weights alone.
    """
    if spec.encoder.only_torch:
        raise UnsupportedModelError(spec.encoder.only_torch)
    config = Config.read(files, f"{spec.encoder_folder}/config.json".lstrip("/"))
    tensors = Tensors.open(files, spec.encoder_folder)
    return read_encoder(tensors, spec.encoder, family_of(config).names)


def count_parameters(files: ModelFiles) -> int:
    """How many numbers the weights have, of the encoder and of what follows pooling; reads only the files' headers."""
    folders = {name.rpartition("/")[0] for name in files.wanted() if name.endswith(".safetensors")}
    return sum(Tensors.open(files, folder).parameters for folder in folders)


def _tokenizers_arguments(sentence: Config) -> Config:
    """What ``sentence_bert_config.json`` hands to the tokenizer, which goes before all else.

    Raises:
        UnsupportedModelError: the file asks for what would change the numbers, and is not done here.
    """
    for key, only in (("transformer_task", "feature-extraction"), ("module_output_name", "token_embeddings")):
        if (value := sentence.string(key, only)) != only:
            raise UnsupportedModelError(f"{sentence.where}: {key} {value!r:.80} is not supported, only {only!r}.")
    if asked := sentence.section("processing_kwargs").values:
        raise UnsupportedModelError(f"{sentence.where}: processing_kwargs ({', '.join(asked):.80}) are not supported.")
    # Their name now, and that of the versions before.
    sections = (sentence.section(key) for key in ("processor_kwargs", "tokenizer_args"))
    return next((section for section in sections if section.values), Config(sentence.where, {}))


def _tokenizer(files: ModelFiles, module: Listed, encoder: EncoderSpec) -> TokenizerSpec:
    """How texts are cut. The longest length is the sentence-transformers config's, else the tokenizer's; and never
    more than there are positions. What ``tokenizer.json`` says of truncation and padding does not count. Without
    modules.json sentence-transformers reads no config of its own.
    """
    names = [module.file(f"sentence_{family}_config.json") for family in _SENTENCE_CONFIGS]
    name = next((name for name in names if files.has(name)), names[0])
    sentence = Config.read_if_there(files, name) if files.has("modules.json") else Config(name, {})
    tokenizer = Config.read_if_there(files, module.file("tokenizer_config.json"))
    longest = sentence.number("max_seq_length", tokenizer.number("model_max_length", math.inf))  # Often 1e30: no limit.
    longest = min(_tokenizers_arguments(sentence).number("model_max_length", longest), encoder.max_tokens)
    if longest < 1:
        raise InvalidModelError(f"{sentence.where}: a max_seq_length of {longest:g} leaves no room for a token.")
    side: Literal["left", "right"] = "left" if tokenizer.string("truncation_side", "right") == "left" else "right"
    return TokenizerSpec(module.folder, int(longest), sentence.flag("do_lower_case", False), side)
