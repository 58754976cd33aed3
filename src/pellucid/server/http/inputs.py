"""What may stand in the bodies of requests. A key that is not known is refused, never passed over."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field, StrictBool, StrictStr, model_validator
from pydantic_core import PydanticCustomError

from pellucid.server.settings import Limits

LIMIT = "x-pellucid-limit"
"""Stands in a schema where a limit of the server belongs; see :func:`with_limits`."""


class _FailFast(FailFast):
    """Pydantic's, which is not hashable, and so cannot be part of a union."""

    __hash__ = object.__hash__


_FIRST_FAULT = _FailFast()
"""The first wrong value of a list ends the checking: there may be a million."""


def _at_most(limit: str) -> dict[str, str]:
    return {LIMIT: limit}


Text = Annotated[StrictStr, Field(description="A text.", json_schema_extra=_at_most("characters"))]
TokenId = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]
Ids = Annotated[
    list[TokenId],
    _FIRST_FAULT,
    Field(
        min_length=1,
        description="Token ids of the model, special tokens included.",
        json_schema_extra=_at_most("characters"),
    ),
]
Texts = Annotated[list[Text], _FIRST_FAULT, Field(json_schema_extra=_at_most("texts"))]
ManyIds = Annotated[list[Ids], _FIRST_FAULT, Field(json_schema_extra=_at_most("texts"))]
OneOrMany = Text | Texts | Ids | ManyIds
ModelName = Annotated[StrictStr | None, Field(description="A model of /v1/models; without one, the first.")]
PromptName = Annotated[StrictStr | None, Field(description="A prompt of the model to put before each text.")]
Dimensions = Annotated[int | None, Field(strict=True, ge=1, description="Keep only so many leading dimensions.")]
Truncate = Annotated[
    StrictBool | None, Field(description="Cut texts that are too long, or refuse them; without it, as the server says.")
]
Side = Annotated[
    Literal["Left", "Right", "left", "right"] | None, Field(description="The end that is cut: the model's own.")
]


class Body(BaseModel):
    """What all bodies have in common."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_unknown_key(cls, value: Any) -> Any:
        """The first unknown key ends the checking: there may be a million."""
        if isinstance(value, dict) and not value.keys() <= cls.model_fields.keys():
            key = next(key for key in value if key not in cls.model_fields)
            raise PydanticCustomError("unknown_key", "A key is not known here", {"key": key})
        return value


class EmbeddingsBody(Body):
    """OpenAI's request (https://platform.openai.com/docs/api-reference/embeddings), and three keys of ours."""

    input: Annotated[OneOrMany, Field(description="A text, texts, token ids, or lists of token ids.")]
    model: ModelName = None
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: Dimensions = None
    user: Annotated[StrictStr | None, Field(description="Taken, and not looked at.")] = None
    prompt_name: PromptName = None
    truncate: Truncate = None


class EmbedBody(Body):
    """Text-embeddings-inference's ``/embed``."""

    inputs: Annotated[OneOrMany, Field(description="A text, texts, token ids, or lists of token ids.")]
    model: ModelName = None
    normalize: Annotated[StrictBool | None, Field(description="To unit length; null, as the model says.")] = True
    truncate: Truncate = None
    truncation_direction: Side = None
    prompt_name: PromptName = None
    dimensions: Dimensions = None


class EmbedAllBody(Body):
    """Text-embeddings-inference's ``/embed_all``: a vector for each token."""

    inputs: Annotated[OneOrMany, Field(description="A text, texts, token ids, or lists of token ids.")]
    model: ModelName = None
    truncate: Truncate = None
    truncation_direction: Side = None
    prompt_name: PromptName = None


class SimilarityInputs(Body):
    """One text, and those that it is held against."""

    source_sentence: Text
    sentences: Annotated[list[Text], _FIRST_FAULT, Field(min_length=1, json_schema_extra=_at_most("texts"))]


class SimilarityParameters(Body):
    """How the texts are embedded."""

    truncate: Truncate = None
    truncation_direction: Side = None
    prompt_name: PromptName = None


class SimilarityBody(Body):
    """Text-embeddings-inference's ``/similarity``."""

    inputs: SimilarityInputs
    parameters: SimilarityParameters | None = None
    model: ModelName = None


class TokenizeBody(Body):
    """Text-embeddings-inference's ``/tokenize``."""

    inputs: Text | Texts
    model: ModelName = None
    add_special_tokens: StrictBool = True
    prompt_name: PromptName = None


class DecodeBody(Body):
    """Text-embeddings-inference's ``/decode``."""

    ids: Ids | Annotated[list[Ids], _FIRST_FAULT, Field(min_length=1, json_schema_extra=_at_most("texts"))]
    model: ModelName = None
    skip_special_tokens: StrictBool = True


class TraceBody(Body):
    """One text, to be looked into."""

    input: Text
    model: ModelName = None
    prompt_name: PromptName = None


class CompareBody(Body):
    """Two texts: the first like a query, the second like a document, if the model tells them apart."""

    inputs: Annotated[list[Text], _FIRST_FAULT, Field(min_length=2, max_length=2)]
    model: ModelName = None
    prompt_name: PromptName = None


class MapBody(Body):
    """Many texts, to be laid out in the plane."""

    inputs: Annotated[list[Text], _FIRST_FAULT, Field(min_length=2, json_schema_extra=_at_most("map_texts"))]
    model: ModelName = None


def schema(kind: type[Body]) -> dict[str, Any]:
    """What FastAPI is told of a body that :func:`pellucid.server.http.bodies.read` reads."""
    described = kind.model_json_schema()
    definitions = described.pop("$defs", {})

    def inlined(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                return inlined(definitions[value["$ref"].rpartition("/")[2]])
            return {key: inlined(part) for key, part in value.items()}
        return [inlined(part) for part in value] if isinstance(value, list) else value

    return {"requestBody": {"required": True, "content": {"application/json": {"schema": inlined(described)}}}}


def with_limits(described: Any, limits: Limits) -> Any:
    """A schema with the limits of this server as ``maxLength`` and ``maxItems``."""
    if isinstance(described, list):
        return [with_limits(part, limits) for part in described]
    if not isinstance(described, dict):
        return described
    found = {key: with_limits(value, limits) for key, value in described.items() if key != LIMIT}
    if LIMIT in described:
        found["maxItems" if found.get("type") == "array" else "maxLength"] = getattr(limits, described[LIMIT])
    return found
