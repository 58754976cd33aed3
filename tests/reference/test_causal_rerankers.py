"""Compares rerankers that are decoders with sentence-transformers' CrossEncoder."""

from __future__ import annotations

import numpy as np
import pytest
from sentence_transformers import CrossEncoder as Theirs

from pellucid import Classifier, Reranker
from pellucid.errors import UnsupportedModelError
from pellucid.sentence_transformers import CrossEncoder as Ours
from tests.causal_rerankers import LAYOUTS, PAIRS, Layout, prompts_of, write_reranker
from tests.reference.conftest import cross_encoder

QWEN2_TEMPLATE = """\
{%- if messages[0]['role'] == 'system' %}{{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
{%- if message.role == "user" %}{{- '<|im_start|>' + message.role + '\\n' + message.content }}{%- endif %}
{%- endfor %}"""
"""A template like those of chat models, which knows no queries and documents."""


@pytest.mark.parametrize("max_tokens", [130, 160, 400])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_scores_are_the_same(tmp_path, layout, max_tokens):
    folder = write_reranker(tmp_path / "m", layout, max_tokens=max_tokens)
    theirs, ours = cross_encoder(folder), Ours(folder, engine="reference", on_truncation="cut")
    assert ours.max_seq_length == theirs.max_seq_length == max_tokens
    assert ours.num_labels == theirs.num_labels == LAYOUTS[layout].labels
    for options in prompts_of(LAYOUTS[layout]).values():
        expected = theirs.predict(PAIRS, batch_size=1, **options)
        np.testing.assert_allclose(ours.predict(PAIRS, **options), expected, rtol=0, atol=5e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_logits_are_the_same(tmp_path, layout):
    import torch

    folder = write_reranker(tmp_path / "m", layout)
    expected = cross_encoder(folder, activation_fn=torch.nn.Identity()).predict(PAIRS, batch_size=1)
    logits = Classifier(folder, engine="reference", on_truncation="cut").logits(PAIRS).reshape(expected.shape)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=5e-6 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("layout", ["answers", "parts", "without template", "head with modules"])
def test_a_model_that_sentence_transformers_saved_is_the_same(tmp_path, layout):
    theirs = cross_encoder(write_reranker(tmp_path / "m", layout))
    theirs.save_pretrained(str(tmp_path / "saved"))
    ours = Reranker(tmp_path / "saved", engine="reference", on_truncation="cut")
    np.testing.assert_allclose(ours.score_pairs(PAIRS), theirs.predict(PAIRS, batch_size=1), rtol=0, atol=5e-6)


def test_single_texts_of_a_head(tmp_path):
    folder = write_reranker(tmp_path / "m", Layout(answers=(), has_modules=False, labels=2, template=QWEN2_TEMPLATE))
    texts = [text for pair in PAIRS for text in pair]
    theirs = cross_encoder(folder)
    expected = np.array([theirs.predict(text) for text in texts])  # It would take a list of texts for one pair.
    ours = Classifier(folder, engine="reference", on_truncation="cut")
    np.testing.assert_allclose(ours.logits(texts), expected, rtol=0, atol=5e-6 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("has_modules", [True, False])
@pytest.mark.parametrize("answers", [("yes", "no"), ()])
def test_both_refuse_a_template_that_takes_no_pairs(tmp_path, has_modules, answers):
    layout = Layout(template=QWEN2_TEMPLATE, has_modules=has_modules, answers=answers)
    folder = write_reranker(tmp_path / "m", layout)
    with pytest.raises(ValueError, match="'query' and 'document' content does not reach"):
        cross_encoder(folder).predict(PAIRS[0])
    with pytest.raises(UnsupportedModelError, match="it leaves out the query and the document"):
        Reranker(folder, engine="reference")


@pytest.mark.parametrize("layout", ["answers", "one answer", "parts"])
def test_rendered_texts_are_those_of_transformers(tmp_path, layout):
    folder = write_reranker(tmp_path / "m", layout)
    transformer = Theirs(str(folder), device="cpu", local_files_only=True)[0]
    chat = Reranker(folder, engine="reference").tokenizer.chat
    for pair in PAIRS:
        for prompt in ("", "Find cats"):
            messages = transformer.input_formatter.pair_to_messages(pair)
            if prompt:
                messages = transformer.input_formatter.prepend_prompt_to_messages([messages], prompt)[0]
            assert chat.render(pair, prompt) == transformer.tokenizer.apply_chat_template(messages, tokenize=False)
