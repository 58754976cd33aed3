"""What happens in the stages of a trace, in plain words."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from pellucid.errors import plural
from pellucid.layers.pooling import Pooling
from pellucid.model.spec import AttentionSpec, EncoderSpec, NormSpec

NO_CONTEXT = "This is a static model, which has no layers and no attention: no token's vector depends on another token."


def embedding_sentence(encoder: EncoderSpec, tables: Iterable[str], tokens: int) -> str:
    """How tokens become vectors.

    Args:
        encoder: the encoder.
        tables: the names of its embedding tables.
        tokens: the number of tokens.
    """
    embedding, names = encoder.embedding, list(tables)
    steps = [f"looked up ({' + '.join(names)})" if len(names) > 1 else "looked up"]
    if embedding.weighted:
        steps.append("multiplied by its weight")
    if embedding.scale != 1:
        steps.append(f"multiplied by {embedding.scale:.4g}")
    if embedding.norm is not None:
        steps.append("normalized")
    if embedding.size is not None:
        steps.append("passed through a linear layer")
    more = NO_CONTEXT if encoder.is_static else "No token's vector depends on another token yet."
    vectors = f"{plural(tokens, 'vector')} of {encoder.hidden_size} numbers"
    return f"Each token's row is {_listed(steps)}, which gives {vectors}. {more}"


def layer_sentence(attention: AttentionSpec) -> str:
    """What a layer does."""
    heads = plural(attention.heads, "attention head")
    reach = describe_reach(attention)
    return (
        f"In {heads}, each token takes information from {reach}. Then a feed-forward network transforms each token "
        f"alone."
    )


def layers_sentence(sentences: Sequence[str]) -> str:
    """What the layers do, given the sentence of each: each sentence once, with the numbers of its layers."""
    count = len(sentences)
    numbers: dict[str, list[int]] = {}
    for number, sentence in enumerate(sentences, start=1):
        numbers.setdefault(sentence, []).append(number)
    if len(numbers) == 1:
        return f"{sentences[0]} {'The only layer does' if count == 1 else f'Each of the {count} layers does'} this."
    return " ".join(f"{sentence} {_which_layers(which)} this." for sentence, which in numbers.items())


def _which_layers(numbers: Sequence[int]) -> str:
    """The layers as the subject of a sentence.

    >>> _which_layers([1, 2, 3, 7])
    'Layers 1–3 and 7 do'
    """
    if len(numbers) == 1:
        return f"Layer {numbers[0]} does"
    # Numbers in a row have the same distance from their place.
    runs = [[n for _, n in run] for _, run in itertools.groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    return f"Layers {_listed([f'{run[0]}–{run[-1]}' if len(run) > 1 else f'{run[0]}' for run in runs])} do"


def describe_reach(attention: AttentionSpec) -> str:
    """Which tokens a token looks at.

    >>> describe_reach(AttentionSpec(heads=2, head_size=8, kv_heads=2, after=0))
    'itself and all tokens before it'
    """
    before, after = attention.before, attention.after
    if before is None and after is None:
        return "the tokens of the text"
    if before == after:
        return f"the tokens up to {plural(before, 'place')} away" if before else "itself alone"
    sides = [_side(count, where) for count, where in ((before, "before it"), (after, "after it")) if count != 0]
    return _listed(["itself", *sides])


def _side(count: int | None, where: str) -> str:
    if count is None:
        return f"all tokens {where}"
    return f"the token {where}" if count == 1 else f"the {count:,} tokens {where}"


def final_norm_sentence(norm: NormSpec | None) -> str:
    """What the norm after the last layer does."""
    if norm is not None and norm.kind == "rms":
        return (
            "Each vector is divided by the root mean square of its numbers, and each number is multiplied by a weight."
        )
    return "The vectors are normalized once more."


_POOLING_WORDS = {
    "mean": "their mean",
    "cls": "the vector of the first token",
    "lasttoken": "the vector of the last token",
    "max": "their largest number in each dimension",
    "mean_sqrt_len_tokens": "their sum, divided by the square root of their count",
    "weightedmean": "their weighted mean, in which later tokens weigh more",
}


def pooling_sentence(pooling: Pooling, prompt_tokens: int, *, is_causal: bool) -> str:
    """How the token vectors become one vector.

    Args:
        pooling: how the model pools.
        prompt_tokens: the number of the prompt's tokens.
        is_causal: True if no token looks at a later one.
    """
    modes = ", followed by ".join(_POOLING_WORDS[mode] for mode in pooling.modes)
    sentences = [f"The token vectors become one vector: {modes}."]
    if is_causal and "lasttoken" in pooling.modes:
        sentences.append("Only this token has read the whole text.")
    if prompt_tokens and not pooling.include_prompt:
        sentences.append("The prompt's tokens are not counted.")
    return " ".join(sentences)


def _listed(parts: Sequence[str]) -> str:
    """The parts as an English list.

    >>> _listed(["a", "b", "c"])
    'a, b and c'
    """
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last
