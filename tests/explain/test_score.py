from __future__ import annotations

import json
import re

import numpy as np
import pytest
import tokenizers
from safetensors.numpy import load_file, save_file

from pellucid import Encoder, Reranker, TokenBatch
from pellucid.errors import InvalidModelError, OptionError, TextError, TextTypeError, UnsupportedModelError
from pellucid.explain import leave_out, score
from pellucid.explain.score_sentence import attention_sentence
from tests import tiny
from tests.causal_rerankers import write_reranker
from tests.tiny_families import LAYERS

QUERY, DOCUMENT = "the cat", "A dog. Matting, the CAT!\n\non a"
LONG = "the cat sat on the mat. A dog, a dog! " * 20
CAUSAL = ("answers", "one answer", "without template", "head", "head and padding")


@pytest.fixture(scope="module")
def reranker(family, tmp_path_factory) -> Reranker:
    return Reranker(tiny.write_scoring_model(tmp_path_factory.mktemp("models") / family, family))


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Reranker:
    return Reranker(tiny.write_scoring_model(tmp_path_factory.mktemp("models") / "m"))


def logit_without(reranker, pair, places):
    """The slow definition: the pair's ids, without those at some places, scored alone."""
    batch, _ = reranker.tokenize([pair])
    kept = [place for place in range(len(batch.ids)) if place not in places]
    segments = None if batch.segments is None else batch.segments[kept]
    alone = TokenBatch(batch.ids[kept], np.array([0, len(kept)], np.int32), segments)
    return float(reranker.encoder.run(alone, reranker.finish)[0, 0])


def places_of_texts(reranker, pair):
    """Where the tokens of both texts are, as the tokenizers library says."""
    library = tokenizers.Tokenizer.from_str(reranker.tokenizer._library._backend.to_str())
    library.enable_truncation(reranker.max_tokens, strategy="longest_first")
    of_text = library.encode(*pair).sequence_ids
    return [[place for place, which in enumerate(of_text) if which == side] for side in (0, 1)]


@pytest.mark.parametrize("pair", [(QUERY, DOCUMENT), ("the", "the the"), ("שפן 😀", "קצת. גזר"), ("", "a"), ("a", "")])
def test_a_change_is_the_logit_minus_the_logit_of_the_pair_without_the_part(reranker, pair):
    found = reranker.explain(*pair)
    assert found.logit == logit_without(reranker, pair, ())
    assert found.score == float(reranker.score_pairs([pair])[0])
    texts = ((found.query, found.query_changes), (found.document, found.document_changes))
    for (text, changes), places in zip(texts, places_of_texts(reranker, pair), strict=True):
        assert len(text.tokens) == len(places)
        groups = (
            ([(position,) for position in range(len(places))], changes.tokens),
            ([word.tokens for word in text.words], changes.words),
            ([sentence.tokens for sentence in text.sentences], changes.sentences),
        )
        for parts, numbers in groups:
            removed = [{places[position] for position in part} for part in parts]
            assert numbers.tolist() == [found.logit - logit_without(reranker, pair, part) for part in removed]


def test_each_different_pair_is_computed_once_and_all_in_one_call(bert, monkeypatch):
    calls = []
    run = bert.encoder.run

    def note(tokens, finish, **options):
        calls.append([tuple(ids) for ids in tokens])
        return run(tokens, finish, **options)

    monkeypatch.setattr(bert.encoder, "run", note)
    bert.explain("cat", "dog dog. the")
    (variants,) = calls
    # The whole pair, without cat, without either dog, the point, the, and the first sentence.
    assert len(variants) == len(set(variants)) == 6


@pytest.mark.parametrize("pair", [tiny.PAIRS[1], *((a, b) for a in ("the cat", LONG) for b in ("a dog", LONG))])
def test_what_was_cut_is_cut_in_the_explanation_too(reranker, pair):
    found = reranker.explain(*pair)
    batch, counts = reranker.tokenize([pair])
    read = [token.id for text in (found.query, found.document) for token in text.tokens]
    specials = reranker.tokenizer.pair_template.specials
    assert len(read) == len(batch.ids) - specials
    start = len(reranker.tokenizer.pair_template.before)
    assert read[: len(found.query.tokens)] == batch.ids[start : start + len(found.query.tokens)].tolist()
    cut = sum(len(text.cut) for text in (found.query, found.document))
    assert len(batch.ids) + cut == counts[0]


def test_attention_is_that_of_the_reference_engine_between_the_texts(reranker):
    pair = (QUERY, DOCUMENT)
    found = reranker.explain(*pair)
    batch, _ = reranker.tokenize([pair])
    first, second = places_of_texts(reranker, pair)
    steps = [step for step in reranker.encoder.reference.steps(batch.ids, batch.segments) if step.attention is not None]
    assert found.query_attention.shape == (LAYERS, len(first), len(second))
    for layer, step in enumerate(steps):
        mean = step.attention.mean(axis=0)
        np.testing.assert_allclose(found.query_attention[layer], mean[np.ix_(first, second)], rtol=1e-6)
        np.testing.assert_allclose(found.document_attention[layer], mean[np.ix_(second, first)], rtol=1e-6)


def test_a_prompt_is_part_of_the_query_but_no_word_of_it(bert):
    found = bert.explain("cat", "a dog", prompt="the mat ")
    assert found.score == float(bert.score("cat", ["a dog"], prompt="the mat ")[0])
    assert [token.piece for token in found.query.tokens] == ["the", "mat", "cat"]
    assert [word.text for word in found.query.words] == ["cat"]
    assert found.query_changes.tokens.shape == (3,)
    assert found.query_changes.words.tolist() == found.query_changes.tokens[2:].tolist()
    assert found.query_changes.sentences.shape == (1,)


def test_of_a_pair_that_takes_too_long_sentences_are_kept_longest_and_the_rest_is_named(bert, monkeypatch):
    kept = []
    expected = float(Reranker(bert.encoder, on_truncation="cut").score("the cat", [LONG])[0])
    for tokens in (10**9, 500, 250, 100, 0):
        monkeypatch.setattr(score, "token_limit", lambda *_, limit=tokens: limit)
        found = bert.explain("the cat", LONG)
        changes = {"query": found.query_changes, "document": found.document_changes}
        for name, of_text in changes.items():
            left = {kind for kind in ("tokens", "words", "sentences") if getattr(of_text, kind) is None}
            note = re.search(rf"The ([a-z ]+) of the {name} were not left out in turn", found.left_out)
            assert left == (set(re.findall("tokens|words|sentences", note[1])) if note else set())
        kept.append([getattr(changes["document"], kind) is not None for kind in ("sentences", "words", "tokens")])
        assert found.score == expected
        json.loads(found.to_json())
        assert found.sentence
    assert kept[0] == [True, True, True]
    assert kept[-1] == [False, False, False]
    assert all(a >= b >= c for a, b, c in kept)


def test_attention_that_is_too_large_is_left_out(bert, monkeypatch):
    monkeypatch.setattr(score, "MAX_ATTENTION_BYTES", 100)
    found = bert.explain(QUERY, DOCUMENT)
    assert found.query_attention is found.document_attention is None
    assert "it is left out" in found.left_out
    assert json.loads(found.to_json())["query_attention"] is None


def test_json_has_every_part_with_its_change(bert):
    found = bert.explain(QUERY, DOCUMENT)
    data = json.loads(found.to_json())
    assert (data["score"], data["logit"], data["activation"]) == (found.score, found.logit, "sigmoid")
    for name, text, changes in (
        ("query", found.query, found.query_changes),
        ("document", found.document, found.document_changes),
    ):
        for kind in ("tokens", "words", "sentences"):
            assert [part["change"] for part in data[name][kind]] == getattr(changes, kind).tolist()
            assert [part["start"] for part in data[name][kind]] == [part.start for part in getattr(text, kind)]
    assert data["query_attention"] == found.query_attention.tolist()
    short = json.loads(found.to_json(arrays=False))
    assert short["shapes"]["document_attention"] == list(found.document_attention.shape)
    assert "query_attention" not in short


def test_a_score_is_described_in_words(bert):
    found = bert.explain(QUERY, DOCUMENT)
    headline = f"The score is {found.score:.4f}, the sigmoid of the logit {found.logit:.3f}. "
    assert str(found) == headline + found.sentence
    assert (
        repr(found)
        == f"ExplainedScore(score={found.score:.4f}, logit={found.logit:.4f}, 2 + {len(found.document.tokens)} tokens)"
    )
    plain = Reranker(bert.encoder, activation="identity").explain(QUERY, DOCUMENT)
    assert plain.score == plain.logit == found.logit
    assert str(plain).startswith(f"The score is {found.logit:.4f}. In the document, ")


def test_a_folder_shows_only_its_own_name(bert):
    found = bert.explain("a", "b")
    assert found.model_name == "m"
    assert str(bert.model_name) not in found.to_json()


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((None, "a"), {}, TextTypeError, "the query is of type NoneType"),
        (("a", ["b"]), {}, TextTypeError, "the document is of type list"),
        (("a", "\ud800"), {}, TextError, "the document has a lone surrogate"),
        (("a", "b"), {"prompt_name": "web"}, OptionError, "web"),
    ],
)
def test_bad_input_is_named(bert, arguments, options, error, message):
    with pytest.raises(error, match=message):
        bert.explain(*arguments, **options)


def test_a_model_that_gives_vectors_or_nonsense_is_refused(tiny_bert, tmp_path):
    with pytest.raises(UnsupportedModelError, match="no head that gives scores"):
        score.explain_score(Encoder(tiny_bert), "a", "b", "", "sigmoid")
    folder = tiny.write_scoring_model(tmp_path / "m")
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"][:] = np.nan
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(InvalidModelError, match="NaN"):
        Reranker(folder).explain("a", "b")


def test_an_explained_score_needs_no_truncation_warning(bert, recwarn):
    assert bert.explain("the cat", LONG).document.cut
    assert not recwarn.list


def test_a_larger_model_and_a_longer_pair_read_fewer_tokens(bert):
    spec = bert.spec.encoder
    attention, feed_forward = spec.blocks[0].attention, spec.blocks[0].feed_forward
    per_token = 4 * spec.hidden_size * attention.query_size + 2 * spec.hidden_size * feed_forward.size
    expected = 1e9 / (len(spec.blocks) * (per_token + 2 * 10 * attention.query_size))
    assert leave_out.token_limit(spec, 10, 1e9) == int(expected)
    assert leave_out.token_limit(spec, 100, 1e9) < leave_out.token_limit(spec, 10, 1e9)


# Decoders


@pytest.mark.parametrize("prompt", ["", "Find cats"])
@pytest.mark.parametrize("layout", CAUSAL)
def test_a_change_in_a_decoder_is_exact_too(tmp_path, layout, prompt):
    reranker = Reranker(write_reranker(tmp_path / "m", layout), engine="reference")
    pair = (QUERY, DOCUMENT)
    found = reranker.explain(*pair, prompt=prompt)
    assert found.score == float(reranker.score_pairs([pair], prompt=prompt)[0])
    ids = reranker.tokenize([pair], prompt)[0].ids.tolist()
    for text, changes, last in (
        (found.query, found.query_changes, "t"),
        (found.document, found.document_changes, "a"),
    ):
        spelled = "".join(token.piece for token in text.tokens).replace("\u0120", " ").replace("\u010a", "\n")
        assert text.text in spelled
        assert spelled.endswith(last)
        for word, change in zip(text.words, changes.words, strict=True):
            own = [text.tokens[place].id for place in word.tokens]
            starts = [n for n in range(len(ids)) if ids[n : n + len(own)] == own]
            without = TokenBatch.from_sequences([ids[:n] + ids[n + len(own) :] for n in starts])
            logits = reranker.encoder.run(without, reranker.finish)[:, 0].tolist()
            assert found.logit - change in logits


def test_the_attention_of_a_decoder_looks_back_only(tmp_path):
    found = Reranker(write_reranker(tmp_path / "m", "answers"), engine="reference").explain(QUERY, DOCUMENT)
    assert (found.query_attention == 0).all()
    assert attention_sentence(found) == ""
    assert (found.document_attention > 0).all()
