"""What may stand in the bodies of requests. A key that is not known is refused, never passed over."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr, ValidationError
from starlette.requests import ClientDisconnect

from pellucid.server.failures import GONE, Failure, RequestError

Text = Annotated[StrictStr, Field(description="A text.")]
TokenId = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]
Ids = Annotated[list[TokenId], Field(min_length=1, description="Token ids of the model, special tokens included.")]
OneOrMany = Text | list[Text] | Ids | list[Ids]
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
    sentences: Annotated[list[Text], Field(min_length=1)]


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

    inputs: Text | list[Text]
    model: ModelName = None
    add_special_tokens: StrictBool = True
    prompt_name: PromptName = None


class DecodeBody(Body):
    """Text-embeddings-inference's ``/decode``."""

    ids: Ids | Annotated[list[Ids], Field(min_length=1)]
    model: ModelName = None
    skip_special_tokens: StrictBool = True


class TraceBody(Body):
    """One text, to be looked into."""

    input: Text
    model: ModelName = None
    prompt_name: PromptName = None


class CompareBody(Body):
    """Two texts: the first like a query, the second like a document, if the model tells them apart."""

    inputs: Annotated[list[Text], Field(min_length=2, max_length=2)]
    model: ModelName = None
    prompt_name: PromptName = None


class MapBody(Body):
    """Many texts, to be laid out in the plane."""

    inputs: list[Text]
    model: ModelName = None


Any_ = TypeVar("Any_", bound=Body)


async def read(request: Request, kind: type[Any_]) -> Any_:
    """The body of a request, judged from its bytes in one go.

    Raises:
        RequestError: it is no JSON, or not of this kind; the message names the key and quotes no value. Or the client
            has left before all of it was there.
    """
    try:
        return kind.model_validate_json(await request.body())
    except ClientDisconnect:
        raise RequestError(GONE) from None
    except ValidationError as error:
        raise RequestError(_failure(error)) from None


def _failure(error: ValidationError) -> Failure:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    first = found[0]
    if first["type"] == "json_invalid":
        return Failure(400, f"The body is not JSON: {first['msg'].removeprefix('Invalid JSON: ')}.", "invalid_json")
    # What may be of several kinds has a fault for each of them; the deepest is of the one that was meant, and of
    # those in a list the last, up to which it was of another kind.
    fault = max(found, key=lambda one: (len(one["loc"]), [part for part in one["loc"] if isinstance(part, int)]))
    key = str(fault["loc"][0]) if fault["loc"] else None
    if fault["type"] == "extra_forbidden":
        return Failure(400, f"The key {key!r:.80} is not known here. Leave it out.", "unknown_key", key)
    place = ".".join(str(part) for part in fault["loc"] if isinstance(part, int) or _is_key(part))
    words = fault["msg"]
    if len({one["msg"] for one in found if one["loc"][:1] == fault["loc"][:1]}) > 1:
        words = "Must be a text, a list of texts, a list of token ids, or a list of such lists"
    return Failure(400, f"{place[:80] or 'The body'}: {words}.", "invalid_value", key)


def _is_key(part: str) -> bool:
    """Whether part of a place is a key of the body, and not one of the kinds that its value may be of."""
    return part.isidentifier() and part not in {"str", "int"}


def schema(kind: type[Body]) -> dict[str, Any]:
    """What FastAPI is told of a body that :func:`read` reads."""
    described = kind.model_json_schema()
    definitions = described.pop("$defs", {})

    def inlined(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                return inlined(definitions[value["$ref"].rpartition("/")[2]])
            return {key: inlined(part) for key, part in value.items()}
        return [inlined(part) for part in value] if isinstance(value, list) else value

    return {"requestBody": {"required": True, "content": {"application/json": {"schema": inlined(described)}}}}
