from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pellucid import Embedder
from pellucid.errors import InvalidModelError, ModelError, UnsupportedModelError
from pellucid.layers.dense import Dense
from pellucid.layers.norms import LayerNorm, Normalize
from pellucid.layers.pooling import Pooling
from pellucid.model.load import load_spec, load_weights
from pellucid.model.modules import load_modules
from pellucid.model.spec import NormalizeSpec
from pellucid.sources import local
from pellucid.sources.resolve import resolve
from tests import tiny, tiny_families


def spec_of(folder):
    return load_spec(local.find(str(folder)))


def test_a_whole_model_says_all_this(tmp_path):
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
    """sentence_bert_config.json, then tokenizer_config.json, and never more than there are positions."""

    def max_tokens(self, folder):
        return spec_of(folder).tokenizer.max_tokens

    def test_the_sentence_config_rules(self, broken):
        assert self.max_tokens(broken) == tiny.MAX_TOKENS

    def test_else_the_tokenizers(self, broken):
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
    def test_what_the_sentence_config_hands_to_the_tokenizer_goes_before_all(self, broken, arguments):
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
    def test_a_setting_that_would_change_the_numbers_is_refused(self, broken, values, message):
        tiny.edit_json(broken / "sentence_bert_config.json", **values)
        with pytest.raises(UnsupportedModelError, match=message):
            spec_of(broken)

    def test_the_config_that_the_newest_sentence_transformers_writes_says_nothing_new(self, broken):
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
    def test_no_room_is_refused(self, broken, limit):
        tiny.edit_json(broken / "sentence_bert_config.json", max_seq_length=limit)
        with pytest.raises(InvalidModelError, match="leaves no room"):
            spec_of(broken)


class TestPooling:
    def pooling(self, folder, **values):
        tiny.write_json(folder / "1_Pooling" / "config.json", values)
        return spec_of(folder)

    def test_flags_are_laid_side_by_side_in_sentence_transformers_order(self, broken):
        (broken / "modules.json").write_text(json.dumps(json.loads((broken / "modules.json").read_text())[:2]))
        spec = self.pooling(broken, pooling_mode_mean_tokens=True, pooling_mode_cls_token=True)
        assert (spec.pooling.modes, spec.dimensions) == (("cls", "mean"), 2 * tiny.HIDDEN)

    @pytest.mark.parametrize(("named", "modes"), [("cls", ("cls",)), (["max", "lasttoken"], ("max", "lasttoken"))])
    def test_newer_models_name_the_mode(self, broken, named, modes):
        assert self.pooling(broken, pooling_mode=named).pooling.modes == modes

    def test_without_any_it_is_the_mean(self, broken):
        assert self.pooling(broken, include_prompt=False).pooling == Pooling(("mean",), include_prompt=False)

    def test_an_unknown_mode_is_refused(self, broken):
        with pytest.raises(UnsupportedModelError, match="pooling 'attention' is not supported"):
            self.pooling(broken, pooling_mode="attention")

    @pytest.mark.parametrize("named", [{}, [[]], [None], 3])
    def test_a_mode_that_is_no_name_is_refused(self, broken, named):
        with pytest.raises(UnsupportedModelError, match="is not supported. We have"):
            self.pooling(broken, pooling_mode=named)

    def test_no_mode_at_all_is_refused(self, broken):
        with pytest.raises(InvalidModelError, match="'pooling_mode' names no mode"):
            self.pooling(broken, pooling_mode=[])

    def test_another_size_than_the_encoders_is_refused(self, broken):
        with pytest.raises(InvalidModelError, match="pools vectors of 8 numbers, and the encoder gives 16"):
            self.pooling(broken, word_embedding_dimension=8)

    def test_its_config_must_be_there(self, broken):
        (broken / "1_Pooling" / "config.json").unlink()
        with pytest.raises(InvalidModelError, match="no 1_Pooling/config.json"):
            spec_of(broken)


class TestModules:
    def test_a_plain_transformer_is_pooled_by_its_mean_and_not_normalized(self, broken):
        (broken / "modules.json").unlink()
        spec = spec_of(broken)
        assert (spec.pooling.modes, spec.modules) == (("mean",), ())

    def test_for_a_plain_transformer_no_config_of_sentence_transformers_counts(self, tmp_path):
        folder = tiny.write_model(tmp_path / "m", prompts={"query": "q: "}, default_prompt_name="query")
        (folder / "modules.json").unlink()
        spec = spec_of(folder)
        assert (spec.tokenizer.max_tokens, spec.prompts, spec.default_prompt_name) == (
            tiny_families.POSITIONS,
            {},
            None,
        )

    @pytest.mark.parametrize(("is_causal", "mode"), [(None, "lasttoken"), (True, "lasttoken"), (False, "mean")])
    def test_one_that_was_made_to_tell_the_next_token_is_pooled_by_its_last(self, broken, is_causal, mode):
        (broken / "modules.json").unlink()
        tiny.edit_json(broken / "config.json", architectures=["RobertaForCausalLM"], is_causal=is_causal)
        assert spec_of(broken).pooling.modes == (mode,)

    def test_a_list_that_cannot_be_read_is_not_taken_for_none(self, broken):
        (broken / "modules.json").unlink()
        (broken / "modules.json").symlink_to("gone.json")
        with pytest.raises(InvalidModelError, match=r"modules\.json cannot be read: it is a link to gone\.json"):
            spec_of(broken)

    def test_a_pooling_without_a_folder_is_refused(self, broken):
        with pytest.raises(InvalidModelError, match="Pooling has no path"):
            spec_of(self.replaced(broken, 1, path=""))

    def test_the_head_has_its_weights_and_gives_the_dimensions(self, tmp_path):
        kinds = ["Pooling", "Dense", "LayerNorm", "Dropout", "Normalize"]
        folder = tiny.write_model(tmp_path / "m", modules=kinds, dense=(5, "linear.Identity"))
        spec = spec_of(folder)
        dense, norm, last = load_modules(resolve(folder), spec)
        assert isinstance(dense, Dense)
        assert (dense.weight.shape, dense.bias.shape, dense.activation) == ((5, tiny.HIDDEN), (5,), "identity")
        assert isinstance(norm, LayerNorm)
        assert (norm.weight.shape, norm.eps) == ((5,), 1e-5)
        assert isinstance(last, Normalize)
        assert spec.dimensions == 5

    def test_the_encoder_may_lie_in_a_folder(self, broken):
        inner = broken / "0_Transformer"
        inner.mkdir()
        for name in ("config.json", "tokenizer.json", "sentence_bert_config.json", "model.safetensors"):
            (broken / name).rename(inner / name)
        modules = json.loads((broken / "modules.json").read_text())
        modules[0]["path"] = "0_Transformer"
        tiny.write_json(broken / "modules.json", modules)
        spec = spec_of(broken)
        assert (spec.encoder_folder, spec.tokenizer.folder) == ("0_Transformer", "0_Transformer")
        assert spec.tokenizer.max_tokens == tiny.MAX_TOKENS

    def replaced(self, folder, number, **values):
        modules = json.loads((folder / "modules.json").read_text())
        modules[number] |= values
        tiny.write_json(folder / "modules.json", modules)
        return folder

    @pytest.mark.parametrize(
        "name",
        [
            "sentence_transformers.models.Pooling",
            "sentence_transformers.models.Pooling.Pooling",
            "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
        ],
    )
    def test_the_names_that_sentence_transformers_used_for_its_classes_are_known(self, broken, name):
        assert spec_of(self.replaced(broken, 1, type=name)).pooling.modes == ("mean",)

    @pytest.mark.parametrize(
        "name",
        [
            "custom_pooling.Pooling",
            "sentence_transformers.models.WordWeights",
            "os.system",
            "",
            "sentence_transformers_x.Pooling",
        ],
    )
    def test_a_class_of_unknown_code_is_refused(self, broken, name):
        with pytest.raises(UnsupportedModelError, match="is not supported, and code of a model is never run"):
            spec_of(self.replaced(broken, 1, type=name))

    @pytest.mark.parametrize("path", ["../elsewhere", "/etc", "1_Pooling/../../x", "C:\\x", "..\\x"])
    def test_a_path_that_leaves_the_folder_is_refused(self, broken, path):
        with pytest.raises(InvalidModelError, match="outside the model's folder"):
            spec_of(self.replaced(broken, 1, path=path))

    @pytest.mark.parametrize("number", [0, 1, 2])
    def test_a_name_that_no_file_can_have_is_refused(self, broken, number):
        with pytest.raises(InvalidModelError, match="too long|cannot be looked for"):
            spec_of(self.replaced(broken, number, path="a" * 300))

    @pytest.mark.parametrize(
        ("content", "error"),
        [
            ("{}", "must hold a list"),
            ("[]", "must hold a list"),
            ("[1]", "where a JSON object belongs"),
            ('[{"path": ""}]', "has no 'type'"),
            ("[", "cannot be read as JSON"),
        ],
    )
    def test_a_broken_list_is_refused(self, broken, content, error):
        (broken / "modules.json").write_text(content)
        with pytest.raises(InvalidModelError, match=error):
            spec_of(broken)

    def reordered(self, folder, order):
        modules = json.loads((folder / "modules.json").read_text())
        tiny.write_json(folder / "modules.json", [modules[number] for number in order])
        return folder

    @pytest.mark.parametrize("order", [[1, 0, 2], [0, 0, 1]])
    def test_what_does_not_begin_with_its_one_transformer_is_refused(self, broken, order):
        with pytest.raises(UnsupportedModelError, match="does not begin with its one Transformer"):
            spec_of(self.reordered(broken, order))

    @pytest.mark.parametrize("order", [[0], [0, 2, 1], [0, 1, 1]])
    def test_any_other_order_is_for_the_task_to_judge(self, broken, order):
        spec = spec_of(self.reordered(broken, order))
        assert len(spec.stages) == len(order) - 1
        with pytest.raises(UnsupportedModelError, match="is not Transformer → Pooling → …, as an embedding model is"):
            Embedder(broken)


class TestDense:
    def dense(self, tmp_path, **values):
        folder = tiny.write_model(tmp_path / "m", modules=["Pooling", "Dense"])
        tiny.edit_json(folder / "2_Dense" / "config.json", **values)
        files = resolve(folder)
        return load_modules(files, load_spec(files))

    def test_an_activation_that_is_not_of_torch_is_refused(self, tmp_path):
        with pytest.raises(UnsupportedModelError, match="activation_function 'my.Code' is not supported"):
            self.dense(tmp_path, activation_function="my.Code")

    def test_another_size_than_the_stage_before_gives_is_refused(self, tmp_path):
        with pytest.raises(InvalidModelError, match="takes 99 features, and the stage before it gives 16"):
            self.dense(tmp_path, in_features=99)

    def test_what_we_do_not_compute_is_refused(self, tmp_path):
        with pytest.raises(UnsupportedModelError, match="module_input_name"):
            self.dense(tmp_path, module_input_name="token_embeddings")

    def test_a_residual_of_another_size_has_weights(self, tmp_path):
        with pytest.raises(InvalidModelError, match=r"no tensor 'residual.weight'"):
            self.dense(tmp_path, use_residual=True)

    def test_it_may_have_no_bias(self, tmp_path):
        assert self.dense(tmp_path, bias=False)[0].bias is None


def test_an_architecture_that_is_not_supported_is_named_with_those_that_are(broken):
    tiny.edit_json(broken / "config.json", model_type="t5")
    why = "architecture 't5' is not supported. Supported: bert, camembert, .*xlm-roberta"
    assert re.search(why, spec_of(broken).encoder.only_torch)
    with pytest.raises(UnsupportedModelError, match=f"{why}.* engine='torch' runs whatever transformers knows. .*pip"):
        Embedder(broken, engine="native")
    tiny.edit_json(broken / "config.json", model_type=None)
    with pytest.raises(UnsupportedModelError, match=r"architecture \['BertModel'\] is not supported"):
        spec_of(broken)


def test_weights_that_only_transformers_can_use_are_refused(broken):
    tiny.edit_json(broken / "config.json", model_type="t5")
    files = local.find(str(broken))
    with pytest.raises(UnsupportedModelError, match="architecture 't5' is not supported"):
        load_weights(files, load_spec(files))


def test_heads_of_an_odd_size_cannot_be_turned(tmp_path):
    folder = tiny.write_model(tmp_path / "m", "modernbert")
    tiny.edit_json(folder / "config.json", num_attention_heads=16)
    with pytest.raises(InvalidModelError, match="heads of 1 numbers cannot be turned in pairs"):
        spec_of(folder)


def test_positions_that_leave_no_room_are_refused(tmp_path):
    folder = tiny.write_model(tmp_path / "m", "roberta")
    tiny.edit_json(folder / "config.json", max_position_embeddings=2)
    with pytest.raises(InvalidModelError, match="max_position_embeddings leaves no room for a token"):
        spec_of(folder)


def test_heads_that_do_not_divide_the_hidden_size_are_refused(broken):
    tiny.edit_json(broken / "config.json", num_attention_heads=5)
    with pytest.raises(InvalidModelError, match="5 attention heads do not divide a hidden size of 16"):
        spec_of(broken)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.just(10**400) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_value_in_any_json_file_gives_another_error_than_ours(broken, data):
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
def test_two_prompts_every_model_has_if_only_empty_ones(tmp_path, name):
    folder = tiny.write_model(tmp_path / "m", default_prompt_name=name)
    assert spec_of(folder).default_prompt_name == name
    assert Embedder(folder).embed_query("cat").tobytes() == Embedder(folder).embed_query("cat", prompt="").tobytes()


@pytest.mark.parametrize("eps", ["1e999", "-1e-12", "2", "NaN"])
def test_an_epsilon_that_drowns_every_value_is_refused(broken, eps):
    """An infinite one makes the vectors of all texts the same."""
    text = (broken / "config.json").read_text()
    (broken / "config.json").write_text(f'{text.rstrip()[:-1]}, "layer_norm_eps": {eps}}}')
    with pytest.raises(InvalidModelError, match="config.json: 'layer_norm_eps' is .* (at most 1|at least 0)"):
        spec_of(broken)


def test_a_list_of_a_great_many_modules_is_refused(broken):
    entries = json.loads((broken / "modules.json").read_bytes())
    tiny.write_json(broken / "modules.json", entries + [entries[-1]] * 98)
    with pytest.raises(InvalidModelError, match=r"modules\.json lists 101 modules, and at most 100 are read"):
        spec_of(broken)


def test_a_prompt_that_would_make_every_text_long_is_refused(broken):
    tiny.edit_json(broken / "config_sentence_transformers.json", prompts={"query": "q" * 10_000})
    assert len(spec_of(broken).prompts["query"]) == 10_000
    tiny.edit_json(broken / "config_sentence_transformers.json", prompts={"query": "q" * 10_001})
    with pytest.raises(
        InvalidModelError, match="the prompt 'query' has 10,001 characters, and at most 10,000 are read"
    ):
        spec_of(broken)


@pytest.mark.parametrize("key", ["model_type", "hidden_act", "position_embedding_type", "hidden_size"])
def test_a_message_quotes_no_more_than_a_little_of_a_model(broken, key):
    tiny.edit_json(broken / "config.json", **{key: "\x1b" * 100_000})
    with pytest.raises(ModelError) as error:
        Embedder(broken)
    assert len(str(error.value)) < 600 + len(str(broken))
    assert str(error.value).isprintable()


def test_an_empty_folder_is_no_model(tmp_path):
    with pytest.raises(
        InvalidModelError, match="no config.json in .* Is this the folder of a sentence-transformers model.*hides it"
    ):
        spec_of(tmp_path)


def test_prompts_cannot_be_changed_afterwards(tiny_bert):
    with pytest.raises(TypeError):
        spec_of(tiny_bert).prompts["query"] = "x"  # type: ignore[index]


def test_numbers_of_numpy_do_not_come_in(tiny_bert):
    assert not isinstance(spec_of(tiny_bert).dimensions, np.integer)
