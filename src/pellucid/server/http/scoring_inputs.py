"""The bodies of requests for scores: to rerank documents, to classify texts, and to score pairs of texts."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StrictBool, StrictStr

from pellucid.server.http.inputs import (
    STOP_AT_FIRST_ERROR,
    Body,
    ModelName,
    Text,
    TruncationDirection,
    example,
    limited_by,
)

_QUERY, _CATS = "Where is the cat?", ["Dogs are loyal companions", "The cat sat on the mat"]
Query = Annotated[StrictStr, Field(min_length=1, description="The query.", json_schema_extra=limited_by("characters"))]
RawScores = Annotated[
    StrictBool | None,
    Field(description="`true` gives the model's own numbers (logits), `false` scores between 0 and 1."),
]
Cut = Annotated[
    StrictBool | None,
    Field(description="`false` refuses pairs that are too long. Otherwise the longer text of each is cut."),
]
PairTokens = Annotated[
    int | None,
    Field(strict=True, ge=-1, description="Cut each pair to this many tokens. -1 is the model's own limit."),
]
Priority = Annotated[int | None, Field(strict=True, description="Accepted and ignored.")]
UpTo = Annotated[int | None, Field(strict=True, ge=1)]
TextOrTexts = Annotated[
    Text | Annotated[list[Text], STOP_AT_FIRST_ERROR, Field(min_length=1, json_schema_extra=limited_by("texts"))],
    Field(description="A text, or a list of texts."),
]
OneOrTwo = Annotated[list[Text], STOP_AT_FIRST_ERROR, Field(min_length=1, max_length=2)]


class TEIRerankBody(Body):
    """The body of text-embeddings-inference's `/rerank`."""

    model_config = example({"query": _QUERY, "texts": _CATS})

    query: Query
    texts: Annotated[
        list[Text],
        STOP_AT_FIRST_ERROR,
        Field(min_length=1, description="A list of texts to rank.", json_schema_extra=limited_by("texts")),
    ]
    model: ModelName = None
    raw_scores: RawScores = False
    return_text: Annotated[StrictBool | None, Field(description="Return the texts too.")] = False
    truncate: Cut = None
    truncation_direction: TruncationDirection = None


class DocumentsBody(Body):
    """The body of Cohere's, Jina's and vLLM's `rerank`."""

    model_config = example({"query": _QUERY, "documents": _CATS, "top_n": 1})
    strings_per_text: ClassVar[int] = 16

    query: Query
    documents: Annotated[
        list[Text | dict[StrictStr, StrictStr]],
        STOP_AT_FIRST_ERROR,
        Field(
            min_length=1,
            description="A list of documents: texts, or objects that have a `text`.",
            json_schema_extra=limited_by("texts"),
        ),
    ]
    model: ModelName = None
    top_n: Annotated[
        int | None, Field(strict=True, ge=0, description="How many of the best to return. 0 and `null` return all.")
    ] = None
    return_documents: Annotated[
        StrictBool | None,
        Field(description="Return the documents too. Default: `true` on `/rerank`, as in vLLM, and otherwise `false`."),
    ] = None
    rank_fields: Annotated[
        list[StrictStr] | None,
        STOP_AT_FIRST_ERROR,
        Field(
            min_length=1,
            max_length=16,
            description="The keys of documents to read, in this order. Default: `text`.",
        ),
    ] = None
    max_tokens_per_doc: Annotated[UpTo, Field(description="Read at most this many tokens of each document.")] = None
    max_chunks_per_doc: Annotated[
        UpTo, Field(description="Accepted and ignored: each document is read as one chunk, up to the model's limit.")
    ] = None
    truncate_prompt_tokens: PairTokens = None
    truncate: Cut = None
    raw_scores: RawScores = False
    priority: Priority = None


class ScoreBody(Body):
    """The body of vLLM's `/score`."""

    model_config = example({"text_1": _QUERY, "text_2": _CATS})
    strings_per_text: ClassVar[int] = 2

    text_1: Annotated[TextOrTexts, Field(description="The first text of each pair. One goes with each of many.")]
    text_2: Annotated[TextOrTexts, Field(description="The second text of each pair: a text, or a list of texts.")]
    model: ModelName = None
    truncate_prompt_tokens: PairTokens = None
    truncate: Cut = None
    raw_scores: RawScores = False
    priority: Priority = None


class QueriesBody(Body):
    """The body of vLLM's `/score`, with the newer names of its keys."""

    model_config = example({"queries": _QUERY, "documents": _CATS})
    strings_per_text: ClassVar[int] = 2

    queries: Annotated[TextOrTexts, Field(description="The query of each pair. One goes with each of many documents.")]
    documents: Annotated[TextOrTexts, Field(description="The document of each pair: a text, or a list of texts.")]
    model: ModelName = None
    truncate_prompt_tokens: PairTokens = None
    truncate: Cut = None
    raw_scores: RawScores = False
    priority: Priority = None


class PredictParameters(Body):
    """What `huggingface_hub` sends with a text to classify."""

    top_k: Annotated[UpTo, Field(description="Return only this many labels, the best ones.")] = None
    function_to_apply: Annotated[
        Literal["sigmoid", "softmax", "none"] | None,
        Field(description="What turns the model's numbers into scores. Default: what suits the model."),
    ] = None


class PredictBody(Body):
    """The body of text-embeddings-inference's `/predict`."""

    model_config = example({"inputs": "I like this."})
    strings_per_text: ClassVar[int] = 2

    inputs: Annotated[
        Text
        | OneOrTwo
        | Annotated[list[OneOrTwo], STOP_AT_FIRST_ERROR, Field(min_length=1, json_schema_extra=limited_by("texts"))],
        Field(description="A text, a pair of texts, or a list whose entries are lists of one text or two."),
    ]
    model: ModelName = None
    raw_scores: RawScores = False
    truncate: Cut = None
    truncation_direction: TruncationDirection = None
    parameters: Annotated[
        PredictParameters | None,
        Field(description="As `huggingface_hub` sends it. With it, the answer to one text is a list in a list."),
    ] = None
