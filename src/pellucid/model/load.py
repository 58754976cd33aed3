"""Turn a model's JSON files into its :class:`~pellucid.model.spec.ModelSpec`, and open its weights.

``modules.json`` lists the model's stages in order. :mod:`pellucid.model.modules` reads those after the transformer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from pellucid.errors import InvalidModelError, ModelError, UnsupportedModelError
from pellucid.layers.finish import Module
from pellucid.layers.pooling import Pooling
from pellucid.model import static
from pellucid.model.config import Config
from pellucid.model.families import get_family, other
from pellucid.model.heads import read_head, read_head_modules
from pellucid.model.modules import ModuleEntry, read_entries, read_stages
from pellucid.model.spec import EncoderSpec, HeadSpec, ModelSpec, TokenizerSpec
from pellucid.model.tensors import Tensors
from pellucid.model.weights import EncoderWeights, read_encoder
from pellucid.sources.files import ModelFiles

# In sentence-transformers every model has prompts of these names. They are "" unless the model defines them.
_BUILT_IN_PROMPTS = ("query", "document")
_MAX_PROMPT_CHARACTERS = 10_000  # A prompt goes before every text. Real ones have a few hundred characters.
# The classes of transformers' tokenizers whose model_input_names have token_type_ids, and the families that have such
# a class if tokenizer_config.json names none.
_CLASSES_WITH_SEGMENTS = {
    *("BertTokenizer", "ConvBertTokenizer", "DebertaTokenizer", "DebertaV2Tokenizer", "ElectraTokenizer"),
    *("LayoutLMTokenizer", "MobileBertTokenizer", "SqueezeBertTokenizer"),
}
_FAMILIES_WITH_SEGMENTS = ("bert", "deberta-v2", "electra", "nomic_bert")
_SENTENCE_CONFIG_FAMILIES = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")


def load_spec(files: ModelFiles) -> ModelSpec:
    """Read everything that the JSON files of a model say.

    Raises:
        InvalidModelError: a file is missing or broken, or contradicts another.
        UnsupportedModelError: the model needs an architecture, a module or a setting that Pellucid does not support.
    """
    transformer, *later_entries = read_entries(files)
    settings = read_settings(files)
    if transformer.kind == "StaticEmbedding":
        return _load_static_spec(files, transformer.folder, later_entries, settings)
    config = Config.read(files, transformer.file("config.json"))
    encoder = _read_encoder_spec(config)
    if encoder.max_tokens < 1:
        raise InvalidModelError(f"{config.where}: max_position_embeddings leaves no room for a token.")
    prompts, default = _read_prompts(settings)
    head, why_no_head = (None, encoder.only_torch) if encoder.only_torch else _read_head(config, settings)
    return ModelSpec(
        name=files.name,
        encoder_folder=transformer.folder,
        encoder=encoder,
        tokenizer=_read_tokenizer_spec(files, transformer, encoder, has_head=head is not None),
        stages=read_stages(files, later_entries, config, encoder.hidden_size),
        prompts=prompts,
        default_prompt_name=default,
        head=head,
        why_no_head=why_no_head,
    )


def _load_static_spec(files: ModelFiles, folder: str, later: list[ModuleEntry], settings: Config) -> ModelSpec:
    """The spec of a static model. ``StaticEmbedding`` is a table and a mean, and the mean is a stage here."""
    encoder = static.read_encoder_spec(files, folder)
    prompts, default = _read_prompts(settings)
    return ModelSpec(
        name=files.name,
        encoder_folder=folder,
        encoder=encoder,
        tokenizer=static.read_tokenizer_spec(files, folder),
        stages=(Pooling(("mean",)), *read_stages(files, later, settings, encoder.hidden_size)),
        prompts=prompts,
        default_prompt_name=default,
    )


def _read_prompts(settings: Config) -> tuple[Mapping[str, str], str | None]:
    """The prompts of a model, and the name of its default prompt."""
    prompts = settings.strings("prompts")
    if too_long := [name for name, prompt in prompts.items() if len(prompt) > _MAX_PROMPT_CHARACTERS]:
        raise InvalidModelError(
            f"{settings.where}: the prompt {too_long[0]!r:.80} has {len(prompts[too_long[0]]):,} characters, and the "
            f"limit is {_MAX_PROMPT_CHARACTERS:,}."
        )
    default = settings.string("default_prompt_name", "") or None
    if default is not None and default not in {*prompts, *_BUILT_IN_PROMPTS}:
        raise InvalidModelError(f"{settings.where}: default_prompt_name {default!r:.80} is not one of its prompts.")
    return MappingProxyType(prompts), default


def read_settings(files: ModelFiles) -> Config:
    """What sentence-transformers saved about a model, besides its modules: prompts and defaults. It may be nothing."""
    name = "config_sentence_transformers.json"
    # Without modules.json, sentence-transformers does not read its own config, and neither do we.
    return Config.read_if_present(files, name) if files.has("modules.json") else Config(name, {})


def _read_head(config: Config, settings: Config) -> tuple[HeadSpec | None, str]:
    """The head, or why it cannot be used. A model with a broken head may still give vectors."""
    try:
        return read_head(config, settings), ""
    except ModelError as error:
        return None, str(error)


def _read_encoder_spec(config: Config) -> EncoderSpec:
    """Read the encoder's config.json: as one of our families, else as an architecture that transformers may know."""
    try:
        return get_family(config).spec(config)
    except UnsupportedModelError as error:
        if not config.string("model_type", ""):
            raise
        return other.spec(config, str(error))


def load_weights(files: ModelFiles, spec: ModelSpec) -> EncoderWeights:
    """Map and check the encoder's weights. The errors are those of :func:`pellucid.model.weights.read_encoder`.

    Raises:
        UnsupportedModelError: only the engine "torch" can run this encoder.
    """
    if spec.encoder.only_torch:
        raise UnsupportedModelError(spec.encoder.only_torch)
    if spec.encoder.is_static:
        return EncoderWeights(
            static.read_table(files, spec.encoder_folder, spec.encoder),
            position=None,
            token_type=None,
            embedding_norm=None,
            relative_bias=None,
            layers=(),
        )
    config = Config.read(files, f"{spec.encoder_folder}/config.json".lstrip("/"))
    tensors = Tensors.open(files, spec.encoder_folder)
    return read_encoder(tensors, spec.encoder, get_family(config).names)


def load_head(files: ModelFiles, spec: ModelSpec) -> tuple[Module, ...]:
    """Load a model's head, as :func:`pellucid.model.heads.read_head_modules` does; empty if it has none."""
    if spec.head is None:
        return ()
    config = Config.read(files, f"{spec.encoder_folder}/config.json".lstrip("/"))
    tensors = Tensors.open(files, spec.encoder_folder)
    return read_head_modules(tensors, spec.head, get_family(config).head, spec.encoder.hidden_size)


def count_parameters(files: ModelFiles) -> int:
    """The number of parameters of the encoder and of the modules after it. This reads only the files' headers."""
    folders = {name.rpartition("/")[0] for name in files.wanted() if name.endswith(".safetensors")}
    return sum(Tensors.open(files, folder).parameters for folder in folders)


def _read_tokenizer_arguments(settings: Config, *, has_head: bool) -> Config:
    """The arguments that ``sentence_bert_config.json`` passes to the tokenizer. They override every other file.

    Raises:
        UnsupportedModelError: the file has a setting that changes the vectors and that Pellucid does not support.
    """
    tasks = {"feature-extraction": "token_embeddings"} | ({"sequence-classification": "scores"} if has_head else {})
    task = settings.string("transformer_task", "feature-extraction")
    if task not in tasks:
        raise UnsupportedModelError(
            f"{settings.where}: transformer_task {task!r:.80} is not supported, only {' or '.join(map(repr, tasks))}."
        )
    if (name := settings.string("module_output_name", tasks[task])) != tasks[task]:
        raise UnsupportedModelError(
            f"{settings.where}: module_output_name {name!r:.80} is not supported, only {tasks[task]!r}."
        )
    if names := settings.section("processing_kwargs").values:
        raise UnsupportedModelError(f"{settings.where}: processing_kwargs ({', '.join(names):.80}) are not supported.")
    # The first is the current name of the section, the second the name in earlier versions.
    sections = (settings.section(key) for key in ("processor_kwargs", "tokenizer_args"))
    return next((section for section in sections if section.values), Config(settings.where, {}))


def _read_tokenizer_spec(
    files: ModelFiles, transformer: ModuleEntry, encoder: EncoderSpec, *, has_head: bool
) -> TokenizerSpec:
    """Read how texts are tokenized.

    The maximum length comes from the sentence-transformers config, else from ``tokenizer_config.json``. It is never
    more than the number of positions. The truncation and padding settings in ``tokenizer.json`` are ignored. Without
    ``modules.json``, sentence-transformers does not read its own config, and neither do we.
    """
    names = [transformer.file(f"sentence_{family}_config.json") for family in _SENTENCE_CONFIG_FAMILIES]
    name = next((name for name in names if files.has(name)), names[0])
    settings = Config.read_if_present(files, name) if files.has("modules.json") else Config(name, {})
    tokenizer = Config.read_if_present(files, transformer.file("tokenizer_config.json"))
    # A model_max_length of 1e30 is common. It means that there is no limit.
    length = settings.number("max_seq_length", tokenizer.number("model_max_length", math.inf))
    length = min(
        _read_tokenizer_arguments(settings, has_head=has_head).number("model_max_length", length), encoder.max_tokens
    )
    if length < 1:
        raise InvalidModelError(f"{settings.where}: a max_seq_length of {length:g} leaves no room for a token.")
    side: Literal["left", "right"] = "left" if tokenizer.string("truncation_side", "right") == "left" else "right"
    return TokenizerSpec(
        transformer.folder,
        int(length),
        settings.flag("do_lower_case", False),
        side,
        has_segments=encoder.embedding.token_types > 1 and _gives_segments(tokenizer, encoder.family),
    )


def _gives_segments(tokenizer: Config, family: str) -> bool:
    """Whether a tokenizer says which text of a pair a token is from. Its config says so, or else its class."""
    names = tokenizer.values.get("model_input_names")
    if isinstance(names, list):
        return "token_type_ids" in names
    name = tokenizer.string("tokenizer_class", "").removesuffix("Fast")
    return name in _CLASSES_WITH_SEGMENTS if name else family in _FAMILIES_WITH_SEGMENTS
