from __future__ import annotations

import string
from dataclasses import replace

import pytest

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.model.load import load_spec
from pellucid.model.spec import (
    DenseSpec,
    ExpansionSpec,
    LateInteractionSpec,
    NormalizeSpec,
    TokenMaskSpec,
    TokenPoolingSpec,
)
from pellucid.sources.local import find
from tests import tiny
from tests.multi_vector_models import FIXED, WIDTH, write_model, write_pylate, write_stanford
from tests.tiny_families import HIDDEN

PUNCTUATION = tuple(string.punctuation)


def spec_of(folder):
    return load_spec(find(str(folder)))


def test_the_layout_of_sentence_transformers(tmp_path):
    pooling = {"pool_factor": 2, "num_protected_tokens": 0, "tasks": "query"}
    spec = spec_of(
        write_model(
            tmp_path / "m", expansion=FIXED, document_length=20, skipped=("a", "."), dense=(10, 6), pooling=pooling
        )
    )
    late = spec.late_interaction
    assert spec.stages == ()
    dense, projection, mask, normalize, merging = late.stages
    assert dense == DenseSpec("1_Dense", HIDDEN, 10, "gelu", use_residual=True, of_tokens=True)
    assert projection == DenseSpec("2_Dense", 10, 6, "identity", bias=False, of_tokens=True)
    assert (mask, normalize) == (TokenMaskSpec(("a", ".")), NormalizeSpec(of_tokens=True))
    assert merging == TokenPoolingSpec(2, 0, normalize=False, sides=("query",))
    assert late == LateInteractionSpec(late.stages, None, 20, ExpansionSpec(12))
    assert spec.tokenizer.markers == ()


def test_the_layout_of_pylate(tmp_path):
    spec = spec_of(write_pylate(tmp_path / "m"))
    projection = DenseSpec("1_Dense", HIDDEN, WIDTH, "identity", bias=False, of_tokens=True)
    stages = projection, TokenMaskSpec(PUNCTUATION), NormalizeSpec(of_tokens=True)
    assert spec.late_interaction == LateInteractionSpec(stages, None, 20, ExpansionSpec(12))
    assert dict(spec.prompts) == {"query": "[Q] ", "document": "[D] "}
    assert spec.tokenizer.markers == ("[Q] ", "[D] ")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"do_query_expansion": False}, LateInteractionSpec((), 12, 20)),
        ({"attend_to_expansion_tokens": True}, LateInteractionSpec((), None, 20, ExpansionSpec(12, attend=True))),
        ({"query_length": None, "document_length": None}, LateInteractionSpec((), None, None, ExpansionSpec(32))),
        (
            {"query_expansion": FIXED | {"strategy": "min"}},
            LateInteractionSpec((), 12, 20, ExpansionSpec(12, fixed=False)),
        ),
    ],
)
def test_settings_of_pylate(tmp_path, settings, expected):
    found = spec_of(write_pylate(tmp_path / "m", **settings)).late_interaction
    assert replace(found, stages=()) == expected


def test_a_prompt_of_pylate_follows_its_marker(tmp_path):
    prompts = {"query": "[Q] find: ", "document": "this: ", "other": "x"}
    found = spec_of(write_pylate(tmp_path / "m", prompts=prompts)).prompts
    assert dict(found) == {"query": "[Q] find: ", "document": "[D] this: ", "other": "x"}


def test_the_layout_of_stanford(tmp_path):
    spec = spec_of(write_stanford(tmp_path / "m"))
    projection = DenseSpec("", HIDDEN, WIDTH, "identity", bias=False, of_tokens=True)
    stages = projection, TokenMaskSpec(PUNCTUATION), NormalizeSpec(of_tokens=True)
    assert spec.late_interaction == LateInteractionSpec(stages, None, 20, ExpansionSpec(12))
    assert dict(spec.prompts) == {"query": "[unused0] ", "document": "[unused1] "}
    spec = spec_of(write_stanford(tmp_path / "n", mask_punctuation=False, query_maxlen=None, doc_maxlen=None))
    stages = projection, TokenMaskSpec(), NormalizeSpec(of_tokens=True)
    assert spec.late_interaction == LateInteractionSpec(stages, None, None, ExpansionSpec(32))


def test_other_models_have_none(tmp_path):
    assert spec_of(tiny.write_model(tmp_path / "m")).late_interaction is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"expansion": {"strategy": "other", "length": 3}}, "strategy 'other' is not supported"),
        ({"expansion": {"strategy": "fixed"}}, "has no 'length'"),
        ({"expansion": {"strategy": "fixed", "length": 0}}, "at least 1"),
        ({"expansion": []}, "must be an object"),
        ({"expansion": FIXED, "query_length": 5}, "query_length 5 is less than the length 12"),
        ({"query_length": "9"}, "'query_length' is '9'"),
        ({"document_length": -1}, "at least 1"),
        ({"mask": {"keep_only_token_ids": ["a"]}}, "must be a list of token ids"),
        ({"mask": {"skiplist_words": "abc"}}, "skiplist_words must be a list of words"),
        ({"pooling": {"pool_factor": 0.5}}, "'pool_factor' is 0.5, but must be a number of at least 1"),
        ({"pooling": {"num_protected_tokens": -1}}, "at least 0"),
    ],
)
def test_broken_settings(tmp_path, changes, message):
    with pytest.raises((InvalidModelError, UnsupportedModelError), match=message):
        spec_of(write_model(tmp_path / "m", **changes))


def test_stages_of_whole_texts_are_refused(tmp_path):
    folder = write_model(tmp_path / "m")
    tiny.edit_json(folder / "1_Dense" / "config.json", module_input_name="sentence_embedding")
    tiny.edit_json(folder / "1_Dense" / "config.json", module_output_name="sentence_embedding")
    with pytest.raises(UnsupportedModelError, match="cannot have DenseSpec as its stage 1"):
        spec_of(folder)
    tiny.edit_json(folder / "1_Dense" / "config.json", module_output_name="token_embeddings")
    with pytest.raises(UnsupportedModelError, match="module_output_name 'token_embeddings' is not supported"):
        spec_of(folder)


def test_left_padding_is_refused(tmp_path):
    folder = write_model(tmp_path / "m", expansion=FIXED)
    tiny.edit_json(folder / "tokenizer_config.json", padding_side="left")
    with pytest.raises(UnsupportedModelError, match="padding_side 'left'"):
        spec_of(folder)
