from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.layers.dense import Dense
from pellucid.layers.norms import LayerNorm
from pellucid.layers.pooling import Pooling
from pellucid.model.config import Config
from pellucid.model.heads import read_answers, read_head
from pellucid.model.load import load_head, load_spec
from pellucid.model.spec import HeadSpec, NormSpec
from pellucid.sources import local
from tests import tiny
from tests.causal_rerankers import HIDDEN, LAYOUTS, Layout, make_tokenizer, write_reranker

# The keys that a head is read from, in config.json of cross-encoder/ms-marco-MiniLM-L6-v2.
MS_MARCO = {
    "architectures": ["BertForSequenceClassification"],
    "model_type": "bert",
    "id2label": {"0": "LABEL_0"},
    "sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"},
}
NO_TOKENS = {}.get
SPEC = HeadSpec(("LABEL_0",), Pooling(("cls",)), hidden_activation="tanh", activation="identity")


def head(base=None, settings=None, /, **changes) -> HeadSpec | None:
    config = (base or MS_MARCO) | changes
    return read_head(Config("m: config.json", config), Config("m: settings.json", settings or {}))


def test_the_config_of_ms_marco_minilm_is_this_head():
    assert head() == SPEC


@pytest.mark.parametrize("architectures", [None, [], "BertForSequenceClassification", ["BertModel"], [3]])
def test_other_models_have_no_head(architectures):
    assert head(architectures=architectures) is None


@pytest.mark.parametrize(
    ("changes", "settings", "activation"),
    [
        ({"sentence_transformers": {}}, {}, "sigmoid"),
        ({"sentence_transformers": {}, "id2label": {"0": "a", "1": "b"}}, {}, "identity"),
        ({}, {"activation_fn": "torch.nn.modules.activation.Sigmoid"}, "sigmoid"),
        (
            {"sentence_transformers": {}, "sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
            {},
            "identity",
        ),
        ({"sentence_transformers": {"activation_fn": "torch.nn.Identity"}}, {}, "identity"),
        ({"sentence_transformers": {"activation_fn": "torch.nn.Sigmoid"}}, {}, "sigmoid"),
        ({"sentence_transformers": {"activation_fn": "a.module.Function"}}, {}, "a.module.Function"),
    ],
)
def test_the_activation_is_the_newest_that_the_files_name(changes, settings, activation):
    assert head(None, settings, **changes).activation == activation


@pytest.mark.parametrize(
    ("model_type", "changes", "expected"),
    [
        ("electra", {}, {"hidden_activation": "gelu"}),
        ("deberta-v2", {"pooler_hidden_act": "relu"}, {"hidden_activation": "relu"}),
        ("distilbert", {}, {"hidden_activation": "relu"}),
        ("xlm-roberta", {}, {"hidden_activation": "tanh"}),
        (
            "modernbert",
            {"classifier_pooling": "mean", "classifier_activation": "gelu"},
            {
                "hidden_activation": "gelu",
                "pooling": Pooling(("mean",)),
                "bias": False,
                "norm": NormSpec(1e-5, bias=False),
            },
        ),
        ("bert", {"problem_type": "multi_label_classification"}, {"multi_label": True}),
    ],
)
def test_each_family_has_its_own_head(model_type, changes, expected):
    assert head(model_type=model_type, **changes) == replace(SPEC, **expected)


@pytest.mark.parametrize(
    ("changes", "labels"),
    [
        ({"id2label": {"0": "no", "1": "yes"}}, ("no", "yes")),
        ({"id2label": {"1": "yes", "0": "no"}}, ("no", "yes")),
        ({"id2label": {"0": 1, "1": 2, "2": 3}}, ("1", "2", "3")),
        ({"id2label": None}, ("LABEL_0", "LABEL_1")),
        ({"id2label": {}, "num_labels": 3}, ("LABEL_0", "LABEL_1", "LABEL_2")),
        ({"id2label": {"0": "a", "1": "b"}, "num_labels": 1}, ("LABEL_0",)),
    ],
)
def test_labels_are_in_the_order_of_their_numbers(changes, labels):
    assert head(**changes).labels == labels


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"num_labels": 10**9}, InvalidModelError, "1,000,000,000 labels, and the limit is 100,000"),
        ({"id2label": {"0": "a", "2": "b"}}, InvalidModelError, "id2label has no text for the label 1"),
        ({"id2label": {"0": True}}, InvalidModelError, "id2label has no text for the label 0"),
        ({"id2label": {"0": ["a"]}}, InvalidModelError, "id2label has no text for the label 0"),
        ({"model_type": "modernbert", "classifier_pooling": "max"}, UnsupportedModelError, "classifier_pooling 'max'"),
    ],
)
def test_a_head_that_cannot_be_read_is_refused_with_a_reason(changes, kind, message):
    with pytest.raises(kind, match=message):
        head(**changes)


@pytest.mark.parametrize("labels", [1, 3])
def test_the_weights_become_modules(family, tmp_path, labels):
    files = local.find(str(tiny.write_scoring_model(tmp_path / "m", family, labels)))
    spec = load_spec(files)
    modules = load_head(files, spec, NO_TOKENS)
    kinds = [Dense, LayerNorm, Dense] if family == "modernbert" else [Dense, Dense]
    assert [type(module) for module in modules] == kinds
    hidden = np.random.default_rng(0).normal(size=(5, spec.encoder.hidden_size)).astype(np.float32)
    for module in modules:
        hidden = module(hidden)
    assert hidden.shape == (5, labels)


def test_missing_weights_are_named(tmp_path):
    folder = tiny.write_scoring_model(tmp_path / "m")
    weights = load_file(folder / "model.safetensors")
    del weights["classifier.weight"]
    save_file(weights, folder / "model.safetensors")
    files = local.find(str(folder))
    with pytest.raises(InvalidModelError, match=r"no tensor 'classifier\.weight'"):
        load_head(files, load_spec(files), NO_TOKENS)


# Decoders

QWEN3 = {"architectures": ["Qwen3ForSequenceClassification"], "model_type": "qwen3", "id2label": {"0": "LABEL_0"}}
VOCABULARY = make_tokenizer()
WEIGHTS = np.random.default_rng(0).normal(size=(3, HIDDEN)).astype(np.float32)


def head_of(folder, tokens=VOCABULARY.token_to_id):
    files = local.find(str(folder))
    spec = load_spec(files)
    return spec, load_head(files, spec, tokens)


def apply(modules, vectors):
    for module in modules:
        vectors = module(vectors)
    return vectors


def test_a_decoder_reads_its_last_token_and_has_one_layer():
    expected = HeadSpec(("LABEL_0",), Pooling(("lasttoken",)), hidden_activation=None, activation="sigmoid")
    assert head(QWEN3) == expected
    assert head(QWEN3, pad_token_id=7) == replace(expected, padding_id=7)
    assert head(QWEN3, pad_token_id=7, is_causal=False) == expected


def test_the_layer_of_a_decoder_has_no_bias(tmp_path):
    folder = write_reranker(tmp_path / "m", Layout(answers=(), has_modules=False, labels=3))
    _, modules = head_of(folder)
    weight = load_file(folder / "model.safetensors")["score.weight"]
    np.testing.assert_allclose(apply(modules, WEIGHTS), WEIGHTS @ weight.T, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layout", ["answers", "default prompt", "one answer", "without modules"])
def test_an_answer_is_a_difference_of_two_rows_of_the_output_layer(tmp_path, layout):
    folder = write_reranker(tmp_path / "m", layout)
    weights = load_file(folder / "model.safetensors")
    table = weights["model.embed_tokens.weight" if LAYOUTS[layout].tied else "lm_head.weight"]
    scores = [WEIGHTS @ table[VOCABULARY.token_to_id(answer)] for answer in LAYOUTS[layout].answers]
    spec, modules = head_of(folder)
    assert (spec.head.labels, spec.head.pooling) == (("LABEL_0",), Pooling(("lasttoken",)))
    expected = scores[0] - scores[1] if len(scores) > 1 else scores[0]
    np.testing.assert_allclose(apply(modules, WEIGHTS)[:, 0], expected, rtol=1e-5, atol=1e-6)


def test_an_output_layer_in_the_files_counts_even_if_it_should_be_tied(tmp_path):
    """As in transformers, which does not tie two tables that differ."""
    plain, tied = (write_reranker(tmp_path / name, "answers") for name in ("plain", "tied"))
    tiny.edit_json(tied / "config.json", tie_word_embeddings=True)
    assert apply(head_of(plain)[1], WEIGHTS).tobytes() == apply(head_of(tied)[1], WEIGHTS).tobytes()


def test_an_output_layer_that_is_missing_is_named(tmp_path):
    folder = write_reranker(tmp_path / "m", "default prompt")
    tiny.edit_json(folder / "config.json", tie_word_embeddings=False)
    with pytest.raises(InvalidModelError, match=r"no tensor 'lm_head\.weight'"):
        head_of(folder)


def test_answers_that_the_vocabulary_lacks_are_refused(tmp_path):
    with pytest.raises(UnsupportedModelError, match="no token 'yes'.*lists LogitScore"):
        head_of(write_reranker(tmp_path / "m", "without modules"), NO_TOKENS)
    folder = write_reranker(tmp_path / "n", "answers")
    tiny.edit_json(folder / "1_LogitScore" / "config.json", true_token_id=5000)
    with pytest.raises(InvalidModelError, match="LogitScore names the token 5000"):
        head_of(folder)


def test_the_answers_are_those_of_logit_score():
    def answers(**values):
        return read_answers(Config("m: config.json", values))

    assert answers(true_token_id=3, false_token_id=4) == (3, 4)
    assert answers(true_token_id=3, false_token_id=None) == (3,)
    with pytest.raises(InvalidModelError, match="true_token_id"):
        answers(false_token_id=4)
    with pytest.raises(UnsupportedModelError, match="only 'causal_logits'"):
        answers(true_token_id=3, module_input_name="scores")


def test_a_soft_limit_on_the_scores_of_tokens_is_refused(tmp_path):
    folder = write_reranker(tmp_path / "m", Layout(config={"final_logit_softcapping": 30.0}))
    assert "final_logit_softcapping is not supported" in load_spec(local.find(str(folder))).why_no_head


@pytest.mark.parametrize("others", [["Pooling", "LogitScore"], ["LogitScore", "Normalize"]])
def test_logit_score_must_follow_the_transformer(tmp_path, others):
    folder = write_reranker(tmp_path / "m", "answers")
    kinds = ["base.modules.Transformer", *(f"base.modules.{kind}" for kind in others)]
    paths = ["", *(f"{number}_{kind}" for number, kind in enumerate(others, start=1))]
    entries = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.{kind}"}
        for n, (path, kind) in enumerate(zip(paths, kinds, strict=True))
    ]
    tiny.write_json(folder / "modules.json", entries)
    with pytest.raises(UnsupportedModelError, match="LogitScore must follow the Transformer"):
        load_spec(local.find(str(folder)))
