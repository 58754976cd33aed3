from __future__ import annotations

import pytest

from pellucid import Embedder
from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.model.load import load_spec
from pellucid.sources import local
from tests import tiny
from tests.causal_rerankers import CHAT_ML, INSTRUCTED, PARTS, Layout, write_reranker


def chat_of(folder):
    return load_spec(local.find(str(folder))).tokenizer.chat


@pytest.mark.parametrize("has_modules", [True, False])
@pytest.mark.parametrize(("template", "structured"), [(INSTRUCTED, False), (CHAT_ML, False), (PARTS, True)])
def test_the_file_has_the_template(tmp_path, has_modules, template, structured):
    chat = chat_of(write_reranker(tmp_path / "m", Layout(template=template, has_modules=has_modules)))
    assert (chat.template, chat.structured) == (template, structured)
    assert chat.special_tokens == {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}


@pytest.mark.parametrize("has_modules", [True, False])
def test_a_model_without_a_template_reads_texts_as_they_are(tmp_path, has_modules):
    assert chat_of(write_reranker(tmp_path / "m", Layout(template=None, has_modules=has_modules))) is None


def test_sentence_transformers_config_can_leave_the_template_out(tmp_path):
    """Models that older versions saved have a template, which those versions did not use."""
    folder = write_reranker(tmp_path / "m", "answers")
    tiny.edit_json(folder / "sentence_bert_config.json", modality_config=None)
    assert chat_of(folder) is None


@pytest.mark.parametrize("kind", ["flat", "structured"])
def test_sentence_transformers_config_says_how_contents_are_given(tmp_path, kind):
    folder = write_reranker(tmp_path / "m", "answers")
    tiny.edit_json(folder / "sentence_bert_config.json", modality_config={"message": {"format": kind}})
    assert chat_of(folder).structured == (kind == "structured")


def test_older_files_have_the_template_in_the_tokenizers_config(tmp_path):
    folder = write_reranker(tmp_path / "m", Layout(template=None, has_modules=False))
    tiny.edit_json(folder / "tokenizer_config.json", chat_template=INSTRUCTED)
    assert (chat_of(folder).template, chat_of(folder).structured) == (INSTRUCTED, False)
    several = [{"name": "tools", "template": "t"}, {"name": "default", "template": CHAT_ML}]
    tiny.edit_json(folder / "tokenizer_config.json", chat_template=several)
    assert (chat_of(folder).template, chat_of(folder).structured) == (CHAT_ML, True)
    (folder / "chat_template.jinja").write_text("the file comes first")
    assert chat_of(folder).template == "the file comes first"


@pytest.mark.parametrize("value", [3, {}, [], [{"name": "tools", "template": "t"}], [3]])
def test_a_broken_template_is_refused(tmp_path, value):
    folder = write_reranker(tmp_path / "m", Layout(template=None, has_modules=False))
    tiny.edit_json(folder / "tokenizer_config.json", chat_template=value)
    with pytest.raises(InvalidModelError, match="chat_template must be a text"):
        chat_of(folder)


def test_a_template_that_is_not_utf8_is_refused(tmp_path):
    folder = write_reranker(tmp_path / "m", "answers")
    (folder / "chat_template.jinja").write_bytes(b"\xff")
    with pytest.raises(InvalidModelError, match=r"chat_template\.jinja is not UTF-8"):
        chat_of(folder)


def test_a_template_that_is_missing_is_named(tmp_path):
    folder = write_reranker(tmp_path / "m", "answers")
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(UnsupportedModelError, match=r"there must be a chat_template\.jinja"):
        chat_of(folder)


def test_models_that_give_vectors_have_no_template(tmp_path):
    folder = write_reranker(tmp_path / "m", "without modules")
    with pytest.raises(UnsupportedModelError, match="chat template before it gives vectors.*use Reranker"):
        Embedder(folder, engine="reference")
