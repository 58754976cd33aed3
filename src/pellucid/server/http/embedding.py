"""From the input of a request to its vectors: check it, turn it into tokens, and run the model."""

from __future__ import annotations

import functools
from typing import cast

import numpy as np
from fastapi import Request

from pellucid.embedder import Embedder
from pellucid.errors import InputError, OptionError, RequestError, TextError
from pellucid.layers.finish import EachToken
from pellucid.multi_vector_embedder import MultiVectorEmbedder
from pellucid.query_table import QueryTable
from pellucid.server.core.service import Service, is_short
from pellucid.server.http.serving import Serving, reservation_of, wait_or_cancel, work_in_thread
from pellucid.server.http.texts import TokenizedTexts, check_characters, check_count, run_model
from pellucid.sparse_embedder import SparseEmbedder
from pellucid.sparse_vectors import SparseVectors
from pellucid.text.sides import Side
from pellucid.text.tokenizer import Tokenizer
from pellucid.text.truncation import Truncation
from pellucid.types import Float32, MultiVectors, TokenBatch, describe_wrong_id

AnyEmbedder = Embedder | SparseEmbedder | MultiVectorEmbedder
Input = str | list[str] | list[int] | list[list[int]]
_LANGCHAIN_HINT = "With LangChain's OpenAIEmbeddings, set check_embedding_ctx_length=False."
_SHORT_IDS = 20_000
"""Up to this many token ids are checked, or looked up, on the event loop. More go to a thread."""
_SPARSE_NUMBER_BYTES = 72
"""The memory that a number of a sparse vector takes: its place and value twice, and once as JSON."""
_USUAL_SPARSE_NUMBERS = 512
"""How many numbers of a text's sparse vector have their memory reserved before they are computed."""


async def tokenize_input(
    serving: Serving,
    request: Request,
    service: Service[AnyEmbedder],
    value: Input,
    *,
    prompt_name: str | None = None,
    input_type: str | None = None,
    truncate: bool | None,
    model: str | None = None,
) -> TokenizedTexts:
    """Check the input of a request against the limits, and turn it into tokens.

    Args:
        serving: the server.
        request: the request.
        service: the model.
        value: a text, texts, token ids, or lists of token ids.
        prompt_name: the name of the prompt that goes before each text, or None. "query" says that they are queries.
        input_type: what the texts are for, which chooses the prompt, too; or None.
        truncate: cut texts that are too long, or refuse them; None does as the server's settings say.
        model: the model's name in the request. Under an alias, token ids are refused.

    Raises:
        InputError: the input is empty, has too many or too long texts, or does not fit this model. The message gives
            the text's position.
    """
    limits = serving.settings.limits
    items = cast("list[str] | list[list[int]]", [value] if isinstance(value, str) or _is_ids(value) else value)
    if not items:
        raise InputError("the input is empty: there is no text to embed.")
    check_count(items, limits.texts)
    cut = serving.settings.on_truncation == "cut" if truncate is None else truncate
    if not isinstance(items[0], str):
        if prompt_name is not None or input_type is not None:
            name = "input_type" if prompt_name is None else "prompt_name"
            raise OptionError(f"send {name} only with texts. Token ids are embedded as they are.")
        if serving.models.is_alias(model):
            # They are probably ids of the model that usually has this name, and would mean other words here.
            raise InputError(
                f"the name {model!r} stands for {service.name!r} here, which has a tokenizer of its own. Send texts "
                f"instead of token ids. {_LANGCHAIN_HINT}"
            )
        check_ids(items, limits.characters)
        check = functools.partial(_tokens_from_ids, items, service, cut=cut)
        if sum(map(len, items)) <= _SHORT_IDS:
            return check()
        return await work_in_thread(request, check)
    texts = items
    check_characters(texts, limits.characters)
    for position, text in enumerate(texts):
        if not text:
            raise TextError(f"text {position} is empty. Leave it out.")
    side, prompt = choose_side(service.task, prompt_name, input_type)
    return await tokenize_texts(request, service, texts, side, prompt, cut=cut)


async def tokenize_texts(
    request: Request, service: Service[AnyEmbedder], texts: list[str], side: Side, prompt: str, *, cut: bool
) -> TokenizedTexts:
    """Turn queries or documents into tokens, after :func:`tokenize_input` or another has checked them.

    Raises:
        TruncationError: a text is too long and must not be cut.
    """
    tokenizer = tokenizer_of(service.task, side)
    tokenizing = service.tokenize(texts, prompt, cut=cut, tokenizer=tokenizer)
    # Short texts are tokenized at once, so there is no time in which the client could leave.
    tokens, counts = await (tokenizing if is_short(texts, prompt) else wait_or_cancel(request, tokenizing))
    if isinstance(service.task, MultiVectorEmbedder):
        tokens = service.task.fill_up(tokens, side)
    prompt_tokens = tokenizer.prompt_tokens(prompt) if isinstance(tokenizer, Tokenizer) else 0
    return TokenizedTexts(tokens, counts, tokenizer.max_tokens, prompt_tokens, side)


def tokenizer_of(task: AnyEmbedder, side: Side) -> Tokenizer | QueryTable:
    """What cuts queries, or documents, into tokens."""
    if isinstance(task, MultiVectorEmbedder):
        return task.tokenizer_of(side)
    if side == "document":
        return task.tokenizer
    queries = task.for_queries
    return queries if isinstance(queries, QueryTable) else queries.tokenizer


async def embed(
    request: Request,
    service: Service[Embedder],
    texts: TokenizedTexts,
    *,
    normalize: bool | None = None,
    dimensions: int | None = None,
) -> Float32:
    """The vectors of texts, ``float32[n, d]``. Nothing more is computed for a client that has left.

    Args:
        request: the request.
        service: the model.
        texts: the texts as tokens.
        normalize: scale vectors to unit length; None does as the model does.
        dimensions: keep this many leading dimensions; None keeps all.

    Raises:
        RequestError: the model has fewer dimensions, or the client has left.
        VectorNotFiniteError: a vector is not finite. The message gives the text's position.
    """
    task = service.task.for_queries if texts.side == "query" else service.task
    max_dimensions = task.dimensions
    if dimensions is not None and dimensions > max_dimensions:
        message = (
            f"dimensions: {dimensions:,} is more than the model's {max_dimensions:,}. Leave it out, or ask for fewer."
        )
        raise RequestError(400, message, "invalid_value", "dimensions")
    finish = task.finish(texts.prompt_tokens, normalize, dimensions)
    numbers = len(texts.tokens) * (dimensions or max_dimensions)
    return await run_model(request, service, texts, finish, numbers, encoder=task.encoder)


async def embed_tokens(request: Request, service: Service[Embedder], texts: TokenizedTexts) -> MultiVectors:
    """The encoder's vector for each token of the texts. Raises the same errors as :func:`embed`."""
    encoder = (service.task.for_queries if texts.side == "query" else service.task).encoder
    numbers = len(texts.tokens.ids) * encoder.spec.encoder.hidden_size
    return await run_model(request, service, texts, EachToken(), numbers, encoder=encoder)


async def embed_sparse(
    request: Request, service: Service[SparseEmbedder], texts: TokenizedTexts, max_active_dims: int | None
) -> SparseVectors:
    """The sparse vectors of texts. How many numbers they have shows only once they are computed.

    Raises:
        VectorNotFiniteError: a number is not finite. The message gives the text's position.
        RequestMemoryFullError, RequestTooLargeError: there is not enough memory for all numbers.
        RequestError: the client has left.
    """
    task = service.task.for_queries if texts.side == "query" else service.task
    most = max_active_dims or service.task.max_active_dims
    if isinstance(task, QueryTable):  # There is nothing to compute, so nothing waits in the queue.
        reservation_of(request).take(_SPARSE_NUMBER_BYTES * len(texts.tokens.ids))
        look_up = functools.partial(service.look_up, texts.tokens, lambda: task.embed_tokens(texts.tokens, most))
        if len(texts.tokens.ids) <= _SHORT_IDS:
            return look_up()
        return await work_in_thread(request, look_up)
    usual = len(texts.tokens) * min(most or task.dimensions, _USUAL_SPARSE_NUMBERS)
    vectors = await run_model(
        request,
        service,
        texts,
        task.finish(max_active_dims),
        usual,
        number_bytes=_SPARSE_NUMBER_BYTES,
        encoder=task.encoder,
    )
    reservation_of(request).take(_SPARSE_NUMBER_BYTES * max(0, len(vectors.values) - usual))
    return vectors


def choose_side(task: AnyEmbedder, prompt_name: str | None, input_type: str | None) -> tuple[Side, str]:
    """What the texts of a request are, and the prompt that goes before each.

    Clients of text-embeddings-inference can say what texts are only by a prompt's name. So for a model that reads
    queries in a way of its own, "query" and "document" say that, even if it has no such prompts.

    Raises:
        OptionError: both are given, or the model has no prompt of this name.
    """
    if input_type is not None and prompt_name is not None:
        raise OptionError("send either prompt_name or input_type. Both choose a prompt.")
    if prompt_name in ("query", "document") and reads_queries_apart(task):
        prompt_name, input_type = None, prompt_name
    if input_type is None:
        return "document", task.prompt_named(prompt_name)
    if input_type in ("query", "search_query"):
        return "query", task.query_prompt
    if input_type in ("document", "search_document", "passage"):
        return "document", task.document_prompt
    return "document", task.spec.prompts.get(input_type, "")


def reads_queries_apart(task: AnyEmbedder) -> bool:
    """True if the model reads queries in another way than documents, besides the prompt."""
    return isinstance(task, MultiVectorEmbedder) or task.for_queries is not task


def check_ids(sequences: list[list[int]], limit: int) -> None:
    """Refuse a list of more token ids than a text may have characters.

    Raises:
        InputError: a list is too long. The message gives its position.
    """
    for position, ids in enumerate(sequences):
        if len(ids) > limit:
            raise InputError(
                f"list {position} has {len(ids):,} token ids, but this server reads at most {limit:,}. Split it."
            )


def _is_ids(value: Input) -> bool:
    return bool(value) and isinstance(value[0], int)


def _tokens_from_ids(sequences: list[list[int]], service: Service[AnyEmbedder], *, cut: bool) -> TokenizedTexts:
    """Use a client's token ids as they are, after checking them against the model."""
    vocabulary, max_tokens = service.task.spec.encoder.vocab_size, service.task.max_tokens
    for position, ids in enumerate(sequences):
        if max(ids) >= vocabulary:
            raise InputError(
                f"{describe_wrong_id(f'text {position}', max(ids), vocabulary)} Send ids of this model's own "
                f"tokenizer, or send texts. {_LANGCHAIN_HINT}"
            )
    counts = np.array([len(ids) for ids in sequences], dtype=np.int32)
    truncation = Truncation.from_counts(counts, max_tokens)
    if truncation.cut and not cut:
        raise InputError(f"{truncation.describe(max_tokens)}. Split these texts.")
    batch = TokenBatch.from_sequences([ids[:max_tokens] for ids in sequences])
    return TokenizedTexts(batch, counts, max_tokens)
