from __future__ import annotations

import pytest

from pellucid.encoder.prompts import DOCUMENT_PROMPTS, QUERY_PROMPTS, choose_prompt
from pellucid.model.load import load_spec
from pellucid.sources.resolve import resolve
from tests import tiny


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    prompts = {"query": "query: ", "corpus": "corpus: ", "passage": "passage: "}
    return load_spec(resolve(tiny.write_model(tmp_path_factory.mktemp("m") / "m", prompts=prompts)))


@pytest.mark.parametrize(
    ("own", "prompt_name", "prompt", "expected"),
    [
        (QUERY_PROMPTS, None, None, "query: "),
        (DOCUMENT_PROMPTS, None, None, "passage: "),
        (DOCUMENT_PROMPTS, "query", None, "query: "),
        (DOCUMENT_PROMPTS, None, "dog ", "dog "),
        (DOCUMENT_PROMPTS, None, "", ""),
        ((), None, None, ""),
    ],
)
def test_the_prompt_is_the_given_one_the_named_one_or_the_first_that_the_model_has(
    spec, own, prompt_name, prompt, expected
):
    assert choose_prompt(spec, own, prompt_name, prompt) == expected
