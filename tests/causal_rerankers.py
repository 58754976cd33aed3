"""Writes tiny rerankers that are decoders, with random weights, in the layouts of popular ones.

``LAYOUTS`` has them by name. The files are those that transformers and sentence-transformers write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from tests.tiny import write_json

HIDDEN, LAYERS, HEADS, KV_HEADS, HEAD_SIZE, INNER, POSITIONS = 16, 2, 4, 2, 8, 32, 400
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MAX_TOKENS = 160
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen2's tokenizer cuts a text into words. transformers does it for every model of that family."""

INSTRUCTED = """\
{%- set instruction = messages | selectattr("role", "eq", "system") | map(attribute="content") | first \
| default("Find answers") -%}
<|im_start|>system
Judge. Say "yes" or "no".<|im_end|>
<|im_start|>user
<Instruct>: {{ instruction }}
<Query>: {{ messages | selectattr("role", "eq", "query") | map(attribute="content") | first }}
<Document>: {{ messages | selectattr("role", "eq", "document") | map(attribute="content") | first }}<|im_end|>
<|im_start|>assistant
<think>

</think>

"""
"""As in Qwen3-Reranker."""
CHAT_ML = """\
{% for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' -}}
{% endfor %}
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}
"""
PARTS = """\
{%- for message in messages -%}
{%- if loop.first and message.role != 'system' %}be exact. {% endif -%}
{{ message.role }}: {% for part in message.content %}{% if part.type == 'text' %}{{ part.text | trim }}{% endif %}\
{% endfor %}{{ eos_token }}
{% endfor -%}
relevant?"""
"""A template that takes each content as a list of parts, and changes texts: it strips them."""


@dataclass(frozen=True)
class Layout:
    """A tiny reranker.

    Attributes:
        family: "qwen2", "qwen3" or "llama".
        answers: the tokens whose scores are compared; empty for a head of its own.
        labels: the number of labels of a head of its own.
        template: the chat template, or None.
        has_modules: False to leave out modules.json, and the files that go with it.
        tied: True if the output layer is the table of token vectors.
        prompts: the model's prompts.
        default_prompt_name: the name of its default prompt.
        config: more keys of config.json.
        tokenizer: more keys of tokenizer_config.json.
        ends: True if the tokenizer puts ``<|endoftext|>`` after each text.
    """

    family: str = "qwen3"
    answers: tuple[str, ...] = ("yes", "no")
    labels: int = 1
    template: str | None = INSTRUCTED
    has_modules: bool = True
    tied: bool = False
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: Mapping[str, Any] = field(default_factory=dict)
    ends: bool = False


_HEAD = Layout(answers=(), has_modules=False)
LAYOUTS = {
    "answers": Layout(prompts={"web": "Find web pages"}),
    "default prompt": Layout(
        "qwen2", prompts={"web": "Find web pages", "none": ""}, default_prompt_name="web", tied=True
    ),
    "one answer": Layout("llama", ("yes",), template=CHAT_ML),
    "parts": Layout("llama", template=PARTS, prompts={"web": "Find web pages"}),
    "without template": Layout("qwen2", template=None, prompts={"web": "find: "}),
    "without modules": Layout(has_modules=False),
    "without modules or template": Layout("qwen2", template=None, has_modules=False, tied=True),
    "cut at the start": Layout(template=CHAT_ML, tokenizer={"truncation_side": "left"}),
    "head": replace(_HEAD, config={"pad_token_id": 0}),
    "head with modules": replace(_HEAD, family="qwen2", has_modules=True, config={"pad_token_id": 0}),
    "head without template": replace(_HEAD, family="llama", template=None, labels=3, config={"pad_token_id": 0}),
    "head and padding": replace(_HEAD, template=None, ends=True, config={"pad_token_id": 0}),
    "head without padding": replace(_HEAD, template=None, ends=True),
}
"""Those without a template are short of tokens more often, because their pairs are shorter."""


def make_tokenizer(*, ends: bool = False) -> Tokenizer:
    """A byte-level BPE tokenizer whose vocabulary has "yes" and "no"."""
    merges = [("y", "e"), ("ye", "s"), ("n", "o"), ("t", "h"), ("th", "e"), ("Ġ", "the"), ("c", "a"), ("ca", "t")]
    merges += [("Ġ", "cat"), ("Ċ", "Ċ"), ("u", "e"), ("ue", "r")]
    tokens = [*SPECIALS, *sorted(pre_tokenizers.ByteLevel.alphabet()), *(a + b for a, b in merges)]
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, merges))
    tokenizer.normalizer = normalizers.NFC()
    cuts = [pre_tokenizers.Split(Regex(WORDS), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(cuts)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIALS)
    if ends:
        pair = f"$A {SPECIALS[0]} $B {SPECIALS[0]}"
        tokenizer.post_processor = processors.TemplateProcessing(f"$A {SPECIALS[0]}", pair, [(SPECIALS[0], 0)])
    return tokenizer


def write_reranker(folder: Path, layout: Layout | str = "answers", *, max_tokens: int = MAX_TOKENS) -> Path:
    """Write a tiny reranker, and return the folder."""
    layout = LAYOUTS[layout] if isinstance(layout, str) else layout
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(ends=layout.ends)
    tokenizer.save(str(folder / "tokenizer.json"))
    vocabulary = tokenizer.get_vocab_size()
    kind = "ForCausalLM" if layout.answers else "ForSequenceClassification"
    names = {str(number): f"label {number}" for number in range(layout.labels)}
    labels = {} if layout.answers else {"id2label": names, "label2id": {name: int(n) for n, name in names.items()}}
    write_json(
        folder / "config.json",
        {
            "model_type": layout.family,
            "architectures": [layout.family.capitalize() + kind],
            "vocab_size": vocabulary,
            "hidden_size": HIDDEN,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "num_key_value_heads": KV_HEADS,
            "head_dim": HEAD_SIZE if layout.family != "qwen2" else HIDDEN // HEADS,
            "intermediate_size": INNER,
            "max_position_embeddings": POSITIONS,
            "hidden_act": "silu",
            "rms_norm_eps": 1e-6,
            "rope_theta": 10_000.0,
            "tie_word_embeddings": layout.tied,
            **labels,
            **layout.config,
        },
    )
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": max_tokens,
            "eos_token": SPECIALS[2],
            "pad_token": SPECIALS[0],
            **layout.tokenizer,
        },
    )
    if layout.template is not None:
        (folder / "chat_template.jinja").write_text(layout.template, encoding="utf-8")
    save_file(_tensors(layout, vocabulary), folder / "model.safetensors")
    if layout.has_modules:
        _write_modules(folder, layout, tokenizer)
    return folder


def _write_modules(folder: Path, layout: Layout, tokenizer: Tokenizer) -> None:
    task, output = ("text-generation", "causal_logits") if layout.answers else ("sequence-classification", "scores")
    method = {"method": "forward", "method_output_name": "logits"}
    is_flat = layout.template != PARTS
    message = {} if layout.template is None else {"message": method | {"format": "flat" if is_flat else "structured"}}
    write_json(
        folder / "sentence_bert_config.json",
        {"transformer_task": task, "modality_config": {"text": method, **message}, "module_output_name": output},
    )
    write_json(
        folder / "config_sentence_transformers.json",
        {
            "model_type": "CrossEncoder",
            "prompts": dict(layout.prompts),
            "default_prompt_name": layout.default_prompt_name,
            "activation_fn": "torch.nn.modules.activation.Sigmoid",
        },
    )
    kinds = {"": "base.modules.transformer.Transformer"}
    if layout.answers:
        kinds["1_LogitScore"] = "cross_encoder.modules.logit_score.LogitScore"
        (folder / "1_LogitScore").mkdir(exist_ok=True)
        ids = [tokenizer.token_to_id(answer) for answer in layout.answers]
        write_json(
            folder / "1_LogitScore" / "config.json",
            {"true_token_id": ids[0], "false_token_id": ids[1] if len(ids) > 1 else None},
        )
    write_json(
        folder / "modules.json",
        [
            {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.{kind}"}
            for number, (path, kind) in enumerate(kinds.items())
        ],
    )


def _tensors(layout: Layout, vocabulary: int) -> dict[str, np.ndarray]:
    random = np.random.RandomState(0)

    def normal(*shape: int) -> np.ndarray:
        return (random.standard_normal(shape) * 0.3).astype(np.float32)

    size = HEAD_SIZE if layout.family != "qwen2" else HIDDEN // HEADS
    shapes = {"q": (HEADS * size, HIDDEN), "k": (KV_HEADS * size, HIDDEN), "v": (KV_HEADS * size, HIDDEN)}
    tensors = {"model.embed_tokens.weight": normal(vocabulary, HIDDEN), "model.norm.weight": 1 + normal(HIDDEN)}
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        for name, shape in shapes.items():
            tensors[f"{prefix}self_attn.{name}_proj.weight"] = normal(*shape)
            if layout.family == "qwen2":
                tensors[f"{prefix}self_attn.{name}_proj.bias"] = normal(shape[0])
        tensors[f"{prefix}self_attn.o_proj.weight"] = normal(HIDDEN, HEADS * size)
        if layout.family == "qwen3":
            for name in "qk":
                tensors[f"{prefix}self_attn.{name}_norm.weight"] = 1 + normal(size)
        for name, shape in {"gate": (INNER, HIDDEN), "up": (INNER, HIDDEN), "down": (HIDDEN, INNER)}.items():
            tensors[f"{prefix}mlp.{name}_proj.weight"] = normal(*shape)
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{prefix}{name}.weight"] = 1 + normal(HIDDEN)
    if not layout.answers:
        tensors["score.weight"] = normal(layout.labels, HIDDEN)
    elif not layout.tied:
        tensors["lm_head.weight"] = normal(vocabulary, HIDDEN)
    return tensors


PAIRS = [
    ("where is the cat?", "the cat sat on the mat"),
    ("where is the cat?", "a dog"),
    ("  spaces \n", "\n\nlines\n\n"),
    ("the cat " * 40, "yes"),
    ("no", "the cat sat on the mat. " * 30),
    ("the " * 100, "cat " * 100),
    ("Größe 大きさ", "<|im_end|> yes <|endoftext|>"),
    ("{{ messages }}", "{% for %}"),
    ("q", "d"),
]
"""Short, far too long, with the template's own words, and in other scripts."""


def prompts_of(layout: Layout) -> dict[str, dict[str, str]]:
    """The ways to choose a prompt of a reranker, by a name for each."""
    named = {name: {"prompt_name": name} for name in layout.prompts}
    return {"default": {}, "no prompt": {"prompt": ""}, "own": {"prompt": "Find cats"}, **named}
