"""What sentence-transformers' classes and methods may be called with: older names, and the values that work here."""

from __future__ import annotations

import difflib
import functools
import inspect
import logging
import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np

from pellucid.errors import OptionError, warn

logger = logging.getLogger("pellucid")
P = ParamSpec("P")
Result = TypeVar("Result")

_DTYPES = ("float32", "float16", "bfloat16", "auto")
MODEL_KWARGS: dict[str, tuple[Any, ...]] = {
    "dtype": (),
    "torch_dtype": (),
    "attn_implementation": (),  # They differ in speed only.
    "low_cpu_mem_usage": (),
    "use_safetensors": (True, None),
}
PROCESSOR_KWARGS: dict[str, tuple[Any, ...]] = {"model_max_length": (), "use_fast": (True,)}
CONFIG_KWARGS: dict[str, tuple[Any, ...]] = {"num_labels": (), "classifier_dropout": ()}  # Dropout is for training.


def takes_older_arguments(
    renamed: Mapping[str, str], *, positional: Sequence[str] = (), dropped: Sequence[str] = ()
) -> Callable[[Callable[P, Result]], Callable[P, Result]]:
    """Decorate a method, so that it takes the arguments of earlier versions too.

    As in sentence-transformers, each is logged as a warning once. If the older and the present name are both given, the
    present one counts.

    An argument that no version has is a TypeError, which says which one may be meant.

    Args:
        renamed: older names, and the present ones.
        positional: arguments that once had a place after the first one and now need their name.
        dropped: arguments that have no effect any more.
    """

    def decorate(method: Callable[P, Result]) -> Callable[P, Result]:
        owner = method.__qualname__.removesuffix(".__init__")
        known = list(inspect.signature(method).parameters)[1:]

        @functools.wraps(method)
        def call(*arguments: P.args, **options: P.kwargs) -> Result:
            given: list[Any] = list(arguments)
            named: dict[str, Any] = dict(options)
            if positional:  # given[0] is self, given[1] the first argument.
                for name, value in zip(positional, given[2:], strict=False):
                    warn_once(f"{name} is the name of an argument now: write {name}=….")
                    named.setdefault(name, value)
                given = given[:2] + given[2 + len(positional) :]
            for name in [name for name in dropped if name in named]:
                warn_once(f"{name} has no effect.")
                del named[name]
            for older, present in renamed.items():
                if older in named:
                    warn_once(f"{older} is the older name of {present}. Write {present}=….")
                    value = named.pop(older)
                    named.setdefault(present, value)
            for name in named.keys() - set(known):
                near = difflib.get_close_matches(name, known, n=1)
                hint = f" Did you mean {near[0]}?" if near else ""
                raise TypeError(f"{owner} has no option {name!r}.{hint}")
            return method(*given, **named)

        return call

    return decorate


@functools.cache
def warn_once(message: str) -> None:
    """Log a warning, the first time that there is reason to."""
    logger.warning(message)


def warn_of_older_name(older: str, present: str) -> None:
    """Warn the caller of a method or property that its name is an older one."""
    warn(DeprecationWarning(f"{older} is the older name of {present}."))


def check_values(option: str, values: Mapping[str, Any] | None, supported: Mapping[str, tuple[Any, ...]]) -> None:
    """Refuse a key of a dict of options, or its value, that Pellucid cannot honour.

    Args:
        option: the name of the dict, for messages.
        values: the dict.
        supported: the keys that are supported, and the values of each; an empty tuple for any value.

    Raises:
        OptionError: the dict has another key, or another value, or is no dict.
    """
    if values is None:
        return
    if not isinstance(values, Mapping):
        raise OptionError(f"{option} is of type {type(values).__name__}; it must be a dict.", option)
    for key, value in values.items():
        if key not in supported:
            near = difflib.get_close_matches(str(key), supported, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            names = ", ".join(sorted(supported)) or "nothing"
            raise OptionError(f"{option}: {reprlib.repr(key)} is not supported.{hint} Supported: {names}.")
        check_value(f"{option}: {key}", value, supported[key])


def check_value(option: str, value: object, supported: tuple[Any, ...], instead: str = "") -> None:
    """Refuse a value that is not one of those supported; with none listed, any is.

    Raises:
        OptionError: it is not. The message ends with ``instead``, which says what to do.
    """
    if supported and not any(value is each or (type(value) is type(each) and value == each) for each in supported):
        allowed = " or ".join(map(repr, supported))
        raise OptionError(f"{option}={reprlib.repr(value)} is not supported, only {allowed}. {instead}".rstrip())


def choose_dtype(dtype: str | None, model_kwargs: Mapping[str, Any]) -> str:
    """Our own option, or else the dtype in ``model_kwargs``: PyTorch's, or its name. Without either, float32.

    Raises:
        OptionError: there is no such dtype.
    """
    if dtype is not None:
        return dtype
    value = model_kwargs.get("dtype", model_kwargs.get("torch_dtype"))
    name = "auto" if value is None else str(value).removeprefix("torch.")
    check_value("model_kwargs: dtype", name, _DTYPES, "Use dtype= for int16 and int8.")
    return "float32" if name == "auto" else name


def merge_prompts(
    own: Mapping[str, str | None] | None, saved: Mapping[str, str], built_in: Sequence[str] = ()
) -> dict[str, str]:
    """The caller's prompts, and the model's where the caller gives none or None.

    Those called ``built_in`` are always there; they are "" if nobody gives them.

    Raises:
        OptionError: they are no dict of texts.
    """
    if own is not None and not (
        isinstance(own, Mapping) and all(isinstance(text, str | None) for text in own.values())
    ):
        raise OptionError("prompts must be a dict of texts.", "prompts")
    given = {name: text for name, text in (own or {}).items() if text is not None}
    return {**dict.fromkeys((*built_in, *(own or {})), ""), **saved, **given}


def is_single(inputs: Any) -> bool:
    """Whether this is one text or one pair, and not a list of them. An empty list is a list of them."""
    if isinstance(inputs, str):
        return True
    if isinstance(inputs, np.ndarray):
        return inputs.size > 0 and inputs.ndim == 1
    return isinstance(inputs, (list, tuple)) and len(inputs) > 0 and not isinstance(inputs[0], (list, tuple))
