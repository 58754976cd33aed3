from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.errors import InvalidModelError, UnsupportedModelError
from pellucid.model.spec import ChatSpec
from pellucid.text.chat import ChatTemplate, ChatTexts, common_ending
from pellucid.types import TokenBatch
from tests.causal_rerankers import CHAT_ML, INSTRUCTED, PARTS

TEXTS = st.text(max_size=20)


def template(source, *, structured=False):
    return ChatTemplate(ChatSpec(source, structured, {"eos_token": "<end>"}), "m")


@given(query=TEXTS, document=TEXTS)
def test_a_pair_is_rendered(query, document):
    expected = (
        f'<|im_start|>system\nJudge. Say "yes" or "no".<|im_end|>\n<|im_start|>user\n<Instruct>: Find answers\n'
        f"<Query>: {query}\n<Document>: {document}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n"
    )
    assert template(INSTRUCTED).render((query, document)) == expected
    told = template(INSTRUCTED).render((query, document), "Find cats")
    assert told == expected.replace("Find answers", "Find cats", 1)


def test_texts_and_pairs_are_messages():
    chat = template(CHAT_ML)
    assert chat.render("a") == "<|im_start|>user\na<|im_end|>\n"
    pair = "<|im_start|>query\na<|im_end|>\n<|im_start|>document\nb<|im_end|>\n"
    assert chat.render(("a", "b")) == pair
    assert chat.render(("a", "b"), "c") == "<|im_start|>system\nc<|im_end|>\n" + pair
    parts = template(PARTS, structured=True)
    assert parts.render((" a", "b\n")) == "be exact. query: a<end>\ndocument: b<end>\nrelevant?"


def test_a_text_is_no_template():
    assert template("{{ messages[0].content }}").render("{{ 1 }}{% for %}") == "{{ 1 }}{% for %}"


@pytest.mark.parametrize("source", [INSTRUCTED, CHAT_ML])
def test_what_is_around_the_texts(source):
    chat = template(source)
    before, between, after = chat.around("the", "cat", "p")
    assert f"{before}the{between}cat{after}" == chat.render(("the", "cat"), "p")
    assert "p" in before


@pytest.mark.parametrize(
    "source",
    [
        "{{ messages[0].content | trim }} {{ messages[1].content }}",
        "{{ messages[1].content }} {{ messages[0].content }}",
        "{{ messages[0].content }}",
        "{{ messages[0].content }} {{ messages[1].content }} {{ messages[0].content }}",
    ],
)
def test_templates_that_do_more_have_nothing_around_the_texts(source):
    assert template(source).around(" a", "b", "") is None


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{{ messages[0].content }}", "it leaves out the document"),
        ("{{ messages[1].content }}", "it leaves out the query"),
        ("the same for all", "it leaves out the query and the document"),
        ("{{ raise_exception('only users') }}", "it fails with TemplateError: only users"),
        ("{{ messages[7].content }}", "it fails with UndefinedError"),
    ],
)
def test_a_template_that_takes_no_pairs_is_refused(source, why):
    chat = template(source)
    assert not chat.takes_pairs
    with pytest.raises(UnsupportedModelError, match=f"not made for a query and a document: {why}"):
        chat.check_pairs()


def test_the_message_of_a_failing_template_is_not_shown_with_a_text():
    source = "{% if 'secret' in messages[0].content %}{{ raise_exception(messages[0].content) }}{% endif %}"
    chat = template(source + "{{ messages[0].content }} {{ messages[1].content }}")
    chat.check_pairs()
    with pytest.raises(UnsupportedModelError, match=r"fails for one of the texts \(TemplateError\)") as caught:
        chat.render(("my secret", "b"))
    assert "my" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("{% for %}", "is not written in Jinja"),
        ("{{ messages | nothing }}", "the filter 'nothing'"),
        ("{% include 'a' %}", "a Include"),
        ("{% macro a() %}{% endmacro %}", "a Macro"),
        ("{% set a %}b{% endset %}", "a AssignBlock"),
        ("{{ 'a' * 1000000000 }}", "a Mul"),
        ("{{ 9 ** 999999999 }}", "a Pow"),
        ("{{ '%999999999d' % 1 }}", "a Mod"),
        ("{{ 'a' | center(1000000000) }}", "the filter 'center'"),
        ("{{ messages | map('center', 1000000000) | first }}", "the filter 'map'"),
        ("{{ 'a'.format(1) }}", "calls 'format'"),
        ("{{ ''.__class__.__mro__ }}", None),
        ("{{ range(1000) }}", "calls 'range'"),
        ("{% set a = 'b' ~ 'c' %}", "builds texts out of other texts"),
        ("{% set n = namespace(a='b' + 'c') %}", "builds texts out of other texts"),
        ("{% for m in messages + messages %}{% endfor %}", "builds texts out of other texts"),
        ("{{ " + " ~ ".join(["'a'"] * 200) + " }}", "builds texts out of other texts"),
        ("{% for a in messages %}" * 3 + "{% endfor %}" * 3, "loops inside of loops"),
        ("{% for a in messages recursive %}{% endfor %}", "loops inside of loops"),
        ("{{ bos_token }}", "'bos_token', which tokenizer_config.json does not name"),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "nested too deeply"),
        ("a" * 30_000, "30,000 characters"),
    ],
    ids=range(22),
)
def test_templates_that_could_do_harm_are_refused(source, what):
    start = time.perf_counter()
    if what is None:
        with pytest.raises(UnsupportedModelError, match="fails for one of the texts"):
            template(source).render("a")
    else:
        with pytest.raises((UnsupportedModelError, InvalidModelError), match=what):
            template(source)
    assert time.perf_counter() - start < 60


@pytest.mark.parametrize(
    "source",
    [
        "{% for c in messages[0].content %}{{ messages }}{% endfor %}",
        "{{ messages[0].content }}" * 100,
        "{% for a in [" + "1, " * 101 + "] %}{% endfor %}",
    ],
)
def test_templates_cannot_repeat_texts_often(source):
    with pytest.raises(UnsupportedModelError, match="fails for one of the texts"):
        template(source).render("the cat " * 1000)


IDS = st.lists(st.integers(0, 5), max_size=30)


@given(texts=st.lists(IDS, max_size=5), ending=st.lists(st.integers(6, 9), max_size=4), most=st.integers(1, 20))
def test_a_text_that_is_cut_keeps_the_end_of_the_template(texts, ending, most):
    rendered = ChatTexts([""] * len(texts), np.array(ending, dtype=np.int32))
    whole = [text + ending for text in texts]
    for keep_end in (False, True):
        batch, counts = rendered.cut(TokenBatch.from_sequences(whole), most, keep_end=keep_end)
        assert counts.tolist() == list(map(len, whole))
        for ids, text in zip(batch, whole, strict=True):
            kept = text if len(text) <= most else text[-most:] if keep_end else text[:most]
            room = max(0, len(kept) - len(ending))
            assert ids.tolist() == (kept[:room] + ending[max(0, len(ending) - len(kept)) :])


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [([1, 9], [1, 2, 9], [9]), ([1], [2], []), ([9], [1, 9], []), ([1, 9], [1, 9], []), ([], [1], [])],
)
def test_the_common_ending(first, second, expected):
    first, second = (np.array(ids, dtype=np.int32) for ids in (first, second))
    assert common_ending(first, second).tolist() == expected
