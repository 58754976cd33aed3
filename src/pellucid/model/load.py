"""Turn a model's JSON files into its :class:`~pellucid.model.spec.ModelSpec`, and open its weights.

``modules.json`` lists the model's stages in order. :mod:`pellucid.model.modules` reads those after the transformer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Literal

from pellucid.errors import InvalidModelError, ModelError, UnsupportedModelError
from pellucid.layers.finish import Module
from pellucid.layers.pooling import Pooling
from pellucid.layers.vocabulary import VocabularyHead
from pellucid.model import static
from pellucid.model.chat import read_chat
from pellucid.model.config import Config, architectures
from pellucid.model.families import get_family, other
from pellucid.model.heads import (
    YES_AND_NO,
    TokenIds,
    read_answer_head,
    read_answer_modules,
    read_answers,
    read_head,
    read_head_modules,
)
from pellucid.model.late_interaction import find_layout, read_late_interaction, stages_of
from pellucid.model.modules import ModuleEntry, Route, read_entries, read_stages
from pellucid.model.spec import EncoderSpec, HeadSpec, ModelSpec, SpladeSpec, TokenizerSpec
from pellucid.model.tensors import Tensors
from pellucid.model.token_heads import read_token_heads
from pellucid.model.vocabulary import is_masked_language_model, read_vocabulary, read_vocabulary_head
from pellucid.model.weights import EncoderWeights, read_encoder, read_word_table
from pellucid.sources.files import GGUF_WEIGHTS, ModelFiles
from pellucid.types import Float32

# In sentence-transformers every model has prompts of these names. They are "" unless the model defines them.
_BUILT_IN_PROMPTS = ("query", "document")
_MOST_QUERY_TOKENS = 1 << 20  # A tokenizer without a limit of its own has one that is far larger.
_MAX_PROMPT_CHARACTERS = 10_000  # A prompt goes before every text. Real ones have a few hundred characters.
# The classes of transformers' tokenizers whose model_input_names have token_type_ids, and the families that have such
# a class if tokenizer_config.json names none.
_CLASSES_WITH_SEGMENTS = {
    *("BertTokenizer", "ConvBertTokenizer", "DebertaTokenizer", "DebertaV2Tokenizer", "ElectraTokenizer"),
    *("LayoutLMTokenizer", "MobileBertTokenizer", "SqueezeBertTokenizer"),
}
_FAMILIES_WITH_SEGMENTS = ("bert", "deberta-v2", "electra", "nomic_bert")
_SENTENCE_CONFIG_FAMILIES = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")


def load_spec(files: ModelFiles, route: Route = "document") -> ModelSpec:
    """Read everything that the JSON files of a model say. ``route`` is the route to take through a Router.

    Raises:
        InvalidModelError: a file is missing or broken, or contradicts another.
        UnsupportedModelError: the model needs an architecture, a module or a setting that Pellucid does not support.
    """
    transformer, *later_entries = read_entries(files, route)
    settings = read_settings(files)
    if transformer.kind == "StaticEmbedding":
        return _load_static_spec(files, transformer.folder, later_entries, settings)
    if transformer.kind == "SparseStaticEmbedding":
        raise UnsupportedModelError(
            f"{files.name}: SparseStaticEmbedding is supported for queries only, behind a Router whose documents go "
            f"through a transformer."
        )
    config = Config.read(files, transformer.file("config.json"))
    encoder = _read_encoder_spec(config)
    if encoder.max_tokens < 1:
        raise InvalidModelError(f"{config.where}: max_position_embeddings leaves no room for a token.")
    prompts, default = _read_prompts(settings)
    answers = _find_answers(files, later_entries, config)
    if files.has("modules.json") and answers:
        later_entries = []
    head, why_no_head = (None, encoder.only_torch) if encoder.only_torch else _read_head(config, settings, answers)
    layout = find_layout(files, later_entries, config, settings)
    stages = read_stages(files, later_entries, config, encoder.hidden_size, of_tokens=layout is not None)
    late_interaction, lexical = read_token_heads(files, stages, encoder.hidden_size)
    if layout is not None:
        tokenizer_config = Config.read_if_present(files, transformer.file("tokenizer_config.json"))
        late_interaction = read_late_interaction(
            layout,
            stages_of(layout, stages, encoder.hidden_size),
            _read_own_settings(files, transformer),
            tokenizer_config,
        )
        stages = ()
        prompts = {**prompts, **layout.prompts}
    is_splade = any(isinstance(stage, SpladeSpec) for stage in stages)
    vocabulary = None
    if is_splade or (is_masked_language_model(config) and not encoder.only_torch and get_family(config).vocabulary):
        vocabulary = read_vocabulary(config, encoder)
    chat = read_chat(files, transformer.folder, _read_own_settings(files, transformer))
    if chat is not None and (is_splade or layout is not None):
        raise UnsupportedModelError(
            f"{files.name} wraps each text in a chat template, which Pellucid supports only for models that score or "
            f"classify."
        )
    return ModelSpec(
        name=files.name,
        encoder_folder=transformer.folder,
        encoder=encoder,
        tokenizer=replace(
            _read_tokenizer_spec(
                files, transformer, encoder, _transformer_tasks(head, is_splade=is_splade, answers=bool(answers))
            ),
            markers=() if layout is None else layout.markers,
            chat=chat,
        ),
        stages=stages,
        prompts=prompts,
        default_prompt_name=default,
        head=head,
        why_no_head=why_no_head,
        vocabulary=vocabulary,
        late_interaction=late_interaction,
        lexical=lexical,
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


def _transformer_tasks(head: HeadSpec | None, *, is_splade: bool, answers: bool) -> dict[str, str]:
    """What a Transformer module may be asked for, and the name of its output then."""
    if is_splade:
        return {"fill-mask": "token_embeddings"}
    if answers:
        return {"text-generation": "causal_logits", "feature-extraction": "token_embeddings"}
    scores = {"sequence-classification": "scores"} if head is not None else {}
    return {"feature-extraction": "token_embeddings"} | scores


def read_settings(files: ModelFiles) -> Config:
    """What sentence-transformers saved about a model, besides its modules: prompts and defaults. It may be nothing."""
    name = "config_sentence_transformers.json"
    # Without modules.json, sentence-transformers does not read its own config, and neither do we.
    return Config.read_if_present(files, name) if files.has("modules.json") else Config(name, {})


def _find_answers(files: ModelFiles, later: list[ModuleEntry], config: Config) -> tuple[int, ...] | tuple[str, ...]:
    """The tokens by which a decoder answers, if it is one that scores texts; else empty."""
    if entry := next((entry for entry in later if entry.kind == "LogitScore"), None):
        if len(later) > 1:
            raise UnsupportedModelError(
                f"{files.name}: modules.json lists Transformer → {' → '.join(entry.kind for entry in later)}, but "
                f"LogitScore must follow the Transformer, and be the last."
            )
        return read_answers(Config.read(files, entry.file("config.json")))
    is_decoder = any(name.endswith("ForCausalLM") for name in architectures(config)[:1])
    return YES_AND_NO if is_decoder and not files.has("modules.json") else ()


def _read_head(
    config: Config, settings: Config, answers: tuple[int, ...] | tuple[str, ...]
) -> tuple[HeadSpec | None, str]:
    """The head, or why it cannot be used. A model with a broken head may still give vectors."""
    try:
        return (read_answer_head(config, settings, answers) if answers else read_head(config, settings)), ""
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


def load_head(files: ModelFiles, spec: ModelSpec, token_id: TokenIds) -> tuple[Module, ...]:
    """Load a model's head, as :func:`pellucid.model.heads.read_head_modules` does; empty if it has none."""
    if spec.head is None:
        return ()
    config = Config.read(files, f"{spec.encoder_folder}/config.json".lstrip("/"))
    tensors, family = Tensors.open(files, spec.encoder_folder), get_family(config)
    if spec.head.answers:
        return read_answer_modules(tensors, spec.head, spec.encoder, family, config, token_id)
    if family.head is None:
        raise AssertionError("read_head has checked it")
    return read_head_modules(tensors, spec.head, family.head, spec.encoder.hidden_size)


def load_vocabulary(files: ModelFiles, spec: ModelSpec) -> VocabularyHead | None:
    """Load the head of a masked language model, as :func:`pellucid.model.vocabulary.read_vocabulary_head` does.

    None if the model has no such head.
    """
    if spec.vocabulary is None:
        return None
    family = get_family(Config.read(files, f"{spec.encoder_folder}/config.json".lstrip("/")))
    if family.vocabulary is None:
        return None
    tensors = Tensors.open(files, spec.encoder_folder)
    word = read_word_table(tensors, spec.encoder, family.names)
    return read_vocabulary_head(tensors, spec.vocabulary, family.vocabulary, spec.encoder.hidden_size, word)


def load_query_table(files: ModelFiles, vocab_size: int) -> tuple[TokenizerSpec, Float32] | None:
    """How the queries of an inference-free model are read: by a table with a weight for each token.

    Args:
        files: the files of the model.
        vocab_size: the size of the vocabulary of its documents.

    Returns:
        How queries are cut into tokens, and ``float32[vocab_size]``. None if queries go through an encoder.

    Raises:
        InvalidModelError: the files are broken, or the table is not of this vocabulary.
        UnsupportedModelError: the table is not in a safetensors file.
    """
    entry, *later = read_entries(files, "query")
    if entry.kind != "SparseStaticEmbedding" or later:
        return None
    tokenizer = Config.read_if_present(files, entry.file("tokenizer_config.json"))
    length = tokenizer.number("model_max_length", math.inf)
    spec = TokenizerSpec(entry.folder, int(min(length, _MOST_QUERY_TOKENS)), False, _truncation_side(tokenizer))
    return spec, Tensors.open(files, entry.folder).read("weight", (vocab_size,))


def count_parameters(files: ModelFiles) -> int:
    """The number of parameters of the encoder and of the modules after it. This reads only the files' headers."""
    folders = {name.rpartition("/")[0] for name in files.wanted() if name.endswith((".safetensors", GGUF_WEIGHTS))}
    return sum(Tensors.open(files, folder).parameters for folder in folders)


def _read_tokenizer_arguments(settings: Config, default_task: str, tasks: Mapping[str, str]) -> Config:
    """The arguments that ``sentence_bert_config.json`` passes to the tokenizer. They override every other file.

    Raises:
        UnsupportedModelError: the file has a setting that changes the vectors and that Pellucid does not support.
    """
    task = settings.string("transformer_task", default_task)
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
    files: ModelFiles, transformer: ModuleEntry, encoder: EncoderSpec, tasks: Mapping[str, str]
) -> TokenizerSpec:
    """Read how texts are tokenized.

    The maximum length comes from the sentence-transformers config, else from ``tokenizer_config.json``. It is never
    more than the number of positions. The truncation and padding settings in ``tokenizer.json`` are ignored. Without
    ``modules.json``, sentence-transformers does not read its own config, and neither do we.
    """
    settings = _read_own_settings(files, transformer)
    tokenizer = Config.read_if_present(files, transformer.file("tokenizer_config.json"))
    default_task = "fill-mask" if transformer.kind == "MLMTransformer" else "feature-extraction"
    # A model_max_length of 1e30 is common. It means that there is no limit.
    length = settings.number("max_seq_length", tokenizer.number("model_max_length", math.inf))
    length = min(
        _read_tokenizer_arguments(settings, default_task, tasks).number("model_max_length", length), encoder.max_tokens
    )
    if length < 1:
        raise InvalidModelError(f"{settings.where}: a max_seq_length of {length:g} leaves no room for a token.")
    return TokenizerSpec(
        transformer.folder,
        int(length),
        settings.flag("do_lower_case", False),
        _truncation_side(tokenizer),
        has_segments=encoder.embedding.token_types > 1 and _gives_segments(tokenizer, encoder.family),
    )


def _truncation_side(tokenizer: Config) -> Literal["left", "right"]:
    return "left" if tokenizer.string("truncation_side", "right") == "left" else "right"


def _read_own_settings(files: ModelFiles, transformer: ModuleEntry) -> Config:
    """What sentence-transformers saved about the transformer. It may be nothing."""
    names = [transformer.file(f"sentence_{family}_config.json") for family in _SENTENCE_CONFIG_FAMILIES]
    name = next((name for name in names if files.has(name)), names[0])
    return Config.read_if_present(files, name) if files.has("modules.json") else Config(name, {})


def _gives_segments(tokenizer: Config, family: str) -> bool:
    """Whether a tokenizer says which text of a pair a token is from. Its config says so, or else its class."""
    names = tokenizer.values.get("model_input_names")
    if isinstance(names, list):
        return "token_type_ids" in names
    name = tokenizer.string("tokenizer_class", "").removesuffix("Fast")
    return name in _CLASSES_WITH_SEGMENTS if name else family in _FAMILIES_WITH_SEGMENTS
