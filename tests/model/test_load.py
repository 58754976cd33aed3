from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pellucid import Embedder
from pellucid.errors import InvalidModelError, ModelError, UnsupportedModelError
from pellucid.layers.pooling import Pooling
from pellucid.model.load import load_spec, load_weights
from pellucid.model.spec import NormalizeSpec
from pellucid.sources import local
from tests import tiny, tiny_families


def spec_of(folder):
    return load_spec(local.find(str(folder)))


def test_the_spec_has_what_the_files_say(tmp_path):
    folder = tiny.write_model(tmp_path / "m", prompts={"query": "q: "}, default_prompt_name="query")
    spec = spec_of(folder)
    assert (spec.encoder.family, len(spec.encoder.blocks), spec.encoder.hidden_size) == (
        "bert",
        tiny_families.LAYERS,
        tiny.HIDDEN,
    )
    assert (spec.stages, spec.dimensions) == ((Pooling(("mean",)), NormalizeSpec()), tiny.HIDDEN)
    assert (dict(spec.prompts), spec.default_prompt_name) == ({"query": "q: "}, "query")
    assert (spec.name, spec.encoder_folder) == (str(folder), "")


class TestMaxTokens:
    """From sentence_bert_config.json, else tokenizer_config.json; never more than there are positions."""

    def max_tokens(self, folder):
        return spec_of(folder).tokenizer.max_tokens

    def test_the_sentence_config_comes_first(self, broken):
        assert self.max_tokens(broken) == tiny.MAX_TOKENS

    def test_then_the_tokenizer_config(self, broken):
        tiny.edit_json(broken / "sentence_bert_config.json", max_seq_length=None)
        tiny.edit_json(broken / "tokenizer_config.json", model_max_length=30)
        assert self.max_tokens(broken) == 30

    @pytest.mark.parametrize("limit", [512, 1e30, None])
    def test_never_more_than_there_are_positions(self, broken, limit):
        (broken / "sentence_bert_config.json").unlink()
        tiny.edit_json(broken / "tokenizer_config.json", model_max_length=limit)
        assert self.max_tokens(broken) == tiny_families.POSITIONS

    def test_mpnet_loses_two_positions_to_padding(self, tmp_path):
        folder = tiny.write_model(tmp_path / "m", "mpnet")
        (folder / "sentence_bert_config.json").unlink()
        assert self.max_tokens(folder) == tiny_families.POSITIONS - 2

    def test_the_config_may_be_named_after_another_family(self, broken):
        (broken / "sentence_bert_config.json").rename(broken / "sentence_roberta_config.json")
        assert self.max_tokens(broken) == tiny.MAX_TOKENS

    @pytest.mark.parametrize("arguments", ["processor_kwargs", "tokenizer_args"])
    def test_the_tokenizer_arguments_in_the_sentence_config_override_everything(self, broken, arguments):
        tiny.edit_json(broken / "sentence_bert_config.json", **{arguments: {"model_max_length": 13}})
        assert self.max_tokens(broken) == 13

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"transformer_task": "fill-mask"}, "transformer_task 'fill-mask' is not supported, only 'feature-extr"),
            ({"module_output_name": "scores"}, "module_output_name 'scores' is not supported"),
            ({"processing_kwargs": {"text": {"max_length": 9}}}, r"processing_kwargs \(text\) are not supported"),
        ],
    )
    def test_a_setting_that_would_change_the_vectors_is_refused(self, broken, values, message):
        tiny.edit_json(broken / "sentence_bert_config.json", **values)
        with pytest.raises(UnsupportedModelError, match=message):
            spec_of(broken)

    def test_the_config_of_the_newest_sentence_transformers_gives_the_same_length(self, broken):
        modality = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}
        tiny.edit_json(
            broken / "sentence_bert_config.json",
            transformer_task="feature-extraction",
            modality_config=modality,
            module_output_name="token_embeddings",
            max_seq_length=None,
        )
        tiny.edit_json(broken / "tokenizer_config.json", model_max_length=tiny.MAX_TOKENS)
        assert self.max_tokens(broken) == tiny.MAX_TOKENS

    @pytest.mark.parametrize("limit", [0, -1])
    def test_a_length_without_room_for_a_token_is_refused(self, broken, limit):
        tiny.edit_json(broken / "sentence_bert_config.json", max_seq_length=limit)
        with pytest.raises(InvalidModelError, match="leaves no room"):
            spec_of(broken)


def test_the_error_for_an_unsupported_architecture_lists_the_supported_ones(broken):
    tiny.edit_json(broken / "config.json", model_type="big_bird")
    why = "architecture 'big_bird' is not supported. Supported: albert, bert, camembert, .*xlm-roberta"
    assert re.search(why, spec_of(broken).encoder.only_torch)
    with pytest.raises(UnsupportedModelError, match=f"{why}.* engine='torch' runs every model that .*pip"):
        Embedder(broken, engine="native")
    tiny.edit_json(broken / "config.json", model_type=None)
    with pytest.raises(UnsupportedModelError, match=r"architecture \['BertModel'\] is not supported"):
        spec_of(broken)


def test_the_weights_of_an_unsupported_architecture_are_not_loaded(broken):
    tiny.edit_json(broken / "config.json", model_type="big_bird")
    files = local.find(str(broken))
    with pytest.raises(UnsupportedModelError, match="architecture 'big_bird' is not supported"):
        load_weights(files, load_spec(files))


def test_rotary_positions_need_an_even_head_size(tmp_path):
    folder = tiny.write_model(tmp_path / "m", "modernbert")
    tiny.edit_json(folder / "config.json", num_attention_heads=16)
    with pytest.raises(InvalidModelError, match="the head size is 1, but rotary positions need an even one"):
        spec_of(folder)


def test_positions_that_leave_no_room_are_refused(tmp_path):
    folder = tiny.write_model(tmp_path / "m", "roberta")
    tiny.edit_json(folder / "config.json", max_position_embeddings=2)
    with pytest.raises(InvalidModelError, match="max_position_embeddings leaves no room for a token"):
        spec_of(folder)


def test_heads_that_do_not_divide_the_hidden_size_are_refused(broken):
    tiny.edit_json(broken / "config.json", num_attention_heads=5)
    with pytest.raises(InvalidModelError, match="5 attention heads do not divide the hidden size 16"):
        spec_of(broken)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.just(10**400) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_value_in_any_json_file_works_or_gives_one_of_our_errors(broken, data):
    names = ["config.json", "modules.json", "1_Pooling/config.json", "sentence_bert_config.json"]
    names += ["tokenizer_config.json", "config_sentence_transformers.json", "tokenizer.json"]
    path = broken / data.draw(st.sampled_from(names))
    sound = path.read_text()
    try:
        values = json.loads(sound)
        target = values[data.draw(st.integers(0, len(values) - 1))] if isinstance(values, list) else values
        target[data.draw(st.sampled_from(sorted(target)))] = data.draw(JSON)
        tiny.write_json(path, values)
        assert np.isfinite(Embedder(broken).embed_query("the cat")).all()
    except ModelError:
        pass
    finally:
        path.write_text(sound)


def test_a_default_prompt_that_does_not_exist_is_refused(tmp_path):
    folder = tiny.write_model(tmp_path / "m", default_prompt_name="title")
    with pytest.raises(InvalidModelError, match="default_prompt_name 'title' is not one of its prompts"):
        spec_of(folder)


@pytest.mark.parametrize("name", ["query", "document"])
def test_every_model_has_two_prompts_which_may_be_empty(tmp_path, name):
    folder = tiny.write_model(tmp_path / "m", default_prompt_name=name)
    assert spec_of(folder).default_prompt_name == name
    assert Embedder(folder).embed_query("cat").tobytes() == Embedder(folder).embed_query("cat", prompt="").tobytes()


@pytest.mark.parametrize("eps", ["1e999", "-1e-12", "2", "NaN"])
def test_an_epsilon_out_of_range_is_refused(broken, eps):
    """With an infinite one, for example, all texts would have the same vector."""
    text = (broken / "config.json").read_text()
    (broken / "config.json").write_text(f'{text.rstrip()[:-1]}, "layer_norm_eps": {eps}}}')
    with pytest.raises(InvalidModelError, match="config.json: 'layer_norm_eps' is .* (at most 1|at least 0)"):
        spec_of(broken)


def test_a_prompt_of_too_many_characters_is_refused(broken):
    tiny.edit_json(broken / "config_sentence_transformers.json", prompts={"query": "q" * 10_000})
    assert len(spec_of(broken).prompts["query"]) == 10_000
    tiny.edit_json(broken / "config_sentence_transformers.json", prompts={"query": "q" * 10_001})
    with pytest.raises(InvalidModelError, match="the prompt 'query' has 10,001 characters, and the limit is 10,000"):
        spec_of(broken)


@pytest.mark.parametrize("key", ["model_type", "hidden_act", "position_embedding_type", "hidden_size"])
def test_a_message_quotes_only_a_little_of_a_broken_value(broken, key):
    tiny.edit_json(broken / "config.json", **{key: "\x1b" * 100_000})
    with pytest.raises(ModelError) as error:
        Embedder(broken)
    assert len(str(error.value)) < 600 + len(str(broken))
    assert str(error.value).isprintable()


def test_an_empty_folder_is_not_a_model(tmp_path):
    with pytest.raises(
        InvalidModelError,
        match="no config.json in .* Is this the folder of a sentence-transformers model.*rename this folder",
    ):
        spec_of(tmp_path)


def test_prompts_cannot_be_changed_afterwards(tiny_bert):
    with pytest.raises(TypeError):
        spec_of(tiny_bert).prompts["query"] = "x"  # type: ignore[index]


def test_the_spec_has_no_numpy_numbers(tiny_bert):
    assert not isinstance(spec_of(tiny_bert).dimensions, np.integer)
