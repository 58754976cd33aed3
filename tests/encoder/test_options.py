from __future__ import annotations

import numpy as np
import pytest

from pellucid.encoder.options import DOCUMENT_PROMPTS, QUERY_PROMPTS, Request, check_choice, judged, prompt_of
from pellucid.errors import OptionError
from pellucid.model.load import load_spec
from pellucid.sources.resolve import resolve
from tests import tiny


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    prompts = {"query": "query: ", "corpus": "corpus: ", "passage": "passage: "}
    return load_spec(resolve(tiny.write_model(tmp_path_factory.mktemp("m") / "m", prompts=prompts)))


def test_what_was_asked_for_is_kept_with_the_prompt_as_a_text(spec):
    asked = judged(spec, QUERY_PROMPTS, None, None, False, np.int64(5), "ubinary")
    assert asked == Request("query: ", normalize=False, truncate_dim=5, output_dtype="ubinary")


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
def test_the_prompt_is_the_given_the_named_or_the_first_of_its_kind(spec, own, prompt_name, prompt, expected):
    assert prompt_of(spec, own, prompt_name, prompt) == expected


@pytest.mark.parametrize("value", [0, 17, -1, 2.0, True, "5"])
def test_dimensions_that_a_vector_has_not_are_refused(spec, value):
    with pytest.raises(OptionError, match=r"must be a whole number from 1 to 16\.$"):
        judged(spec, (), None, None, None, value, "float32")


@pytest.mark.parametrize("value", [1, 0, "True", np.True_])
def test_only_the_very_values_are_choices(value):
    with pytest.raises(OptionError, match="is not one of None, True, False"):
        check_choice("normalize", value, (None, True, False))
