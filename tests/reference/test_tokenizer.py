"""Compares token ids with those of the reference, whose tokenizer loads the same files."""

from __future__ import annotations

import json

import pytest
from transformers import AutoTokenizer

from pellucid import Embedder
from tests import tiny
from tests.reference.texts import SCRIPTS, docstrings, odd_texts, texts_around_limit


@pytest.mark.parametrize("model", ["minilm", "mpnet"])
def test_token_ids_and_counts_match_the_reference(model, request):
    ours = request.getfixturevalue(model)
    theirs = request.getfixturevalue(f"reference_{model}").tokenizer
    texts = [*odd_texts(5000, seed=1), *docstrings(), *SCRIPTS, *texts_around_limit(ours.max_tokens), "", "\n"]
    batch, counts = ours.tokenizer.tokenize(texts)
    expected = theirs(texts, truncation=True, max_length=ours.max_tokens)["input_ids"]
    for text, ids, expected_ids in zip(texts, batch, expected, strict=True):
        assert ids.tolist() == expected_ids, repr(text)
    assert counts.tolist() == [len(ids) for ids in theirs(texts, truncation=False, verbose=False)["input_ids"]]


OLDER_NORMALIZER = {
    "type": "Sequence",
    "normalizers": [
        {"type": "Strip", "strip_left": True, "strip_right": True},
        {"type": "NFKC"},
        {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
    ],
}
"""Like what transformers 4 wrote into the files of DeBERTa v3 models, which transformers 5 ignores."""


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"do_lower_case": False},
        {"do_lower_case": True},
        {"do_lower_case": False, "tokenizer_class": None},
        {"tokenizer_class": None},
        {"do_lower_case": False, "tokenizer_class": "PreTrainedTokenizerFast"},
        {"strip_accents": False},
        {"do_lower_case": False, "strip_accents": True},
        {"tokenize_chinese_chars": False},
        {"add_prefix_space": True},
        {"split_by_punct": True},
        {"keep_accents": True},
        {"truncation_side": "left", "padding_side": "left"},
    ],
)
def test_tokenizer_config_json_works_as_in_the_reference(family, tmp_path, changes, lowercase):
    folder = tiny.write_model(tmp_path / "m", family)
    written = json.loads((folder / "tokenizer.json").read_text())
    if (written["normalizer"] or {}).get("type") == "BertNormalizer":
        written["normalizer"]["lowercase"] = lowercase
    if family in ("albert", "deberta-v2") and not lowercase:
        written["normalizer"] = OLDER_NORMALIZER
    tiny.write_json(folder / "tokenizer.json", written)
    tiny.edit_json(folder / "tokenizer_config.json", **changes)
    texts = [*SCRIPTS, *tiny.TEXTS, "CAT cát Ünï", "日本語 the cat", "ｔｈｅ　cat", " the\tcat  sat.on\n\n"]
    theirs = AutoTokenizer.from_pretrained(folder)(texts, truncation=True, max_length=tiny.MAX_TOKENS)["input_ids"]
    for text, ids, expected_ids in zip(texts, Embedder(folder).tokenizer.tokenize(texts)[0], theirs, strict=True):
        assert ids.tolist() == expected_ids, repr(text)
