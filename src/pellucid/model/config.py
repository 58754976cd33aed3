"""Read the JSON objects of a model. Every error names the file and the key."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from pellucid.errors import InvalidModelError
from pellucid.sources.files import ModelFiles

_REQUIRED: Any = object()


def read_json(files: ModelFiles, relative: str) -> Any:
    """The JSON value of a file.

    Raises:
        InvalidModelError: the file is missing or is not JSON; or as :meth:`ModelFiles.readable`.
    """
    content = files.read(relative)
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidModelError(f"{files.name}: {relative} cannot be read as JSON: {error}") from error


def architectures(config: Config) -> list[str]:
    """The classes of transformers that a config.json names; an empty list if it names none."""
    names = config.values.get("architectures")
    return list(map(str, names)) if isinstance(names, list) else []


class Config:
    """A JSON object whose values are read by type.

    A missing key and the value ``null`` give the default. Without a default, they are an error, as is a value of
    another type.

    Args:
        where: the model and the file, for error messages.
        values: the parsed JSON value.

    Raises:
        InvalidModelError: ``values`` is not a JSON object.

    >>> Config("config.json", {"hidden_size": 384}).integer("hidden_size")
    384
    """

    def __init__(self, where: str, values: Any) -> None:
        if not isinstance(values, dict):
            raise InvalidModelError(
                f"{where}: expected a JSON object, but found a value of type {type(values).__name__}."
            )
        self.where = where
        self.values: dict[str, Any] = values

    def with_defaults(self, defaults: Mapping[str, Any]) -> Config:
        """The same config, with these values for keys that are missing or null."""
        return Config(
            self.where, {**defaults, **{key: value for key, value in self.values.items() if value is not None}}
        )

    @classmethod
    def read(cls, files: ModelFiles, relative: str) -> Config:
        """The JSON object in a file. The errors are those of :func:`read_json`."""
        return cls(f"{files.name}: {relative}", read_json(files, relative))

    @classmethod
    def read_if_present(cls, files: ModelFiles, relative: str) -> Config:
        """The JSON object in a file, or an empty one if there is no such file."""
        return cls.read(files, relative) if files.has(relative) else cls(f"{files.name}: {relative}", {})

    def _get(self, key: str, types: tuple[type, ...], expected: str, default: Any) -> Any:
        value = self.values.get(key)
        if value is None:
            if default is _REQUIRED:
                raise InvalidModelError(f"{self.where} has no {key!r}, which must be {expected}.")
            return default
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise InvalidModelError(f"{self.where}: {key!r} is {value!r:.80}, but must be {expected}.")
        return value

    def size(self, key: str, default: int = _REQUIRED, *, maximum: float = math.inf) -> int:
        """A whole number from 1 to ``maximum``."""
        return self.integer(key, default, minimum=1, maximum=maximum)

    def integer(
        self, key: str, default: int = _REQUIRED, *, minimum: float = -math.inf, maximum: float = math.inf
    ) -> int:
        """A whole number from ``minimum`` to ``maximum``."""
        number: int = self._get(key, (int,), "a whole number", default)
        if number < minimum:
            raise InvalidModelError(f"{self.where}: {key!r} is {number}, but must be at least {minimum}.")
        if number > maximum:
            raise InvalidModelError(f"{self.where}: {key!r} is {number}, but must be at most {maximum}.")
        return number

    def number(
        self, key: str, default: float = _REQUIRED, *, minimum: float = -math.inf, maximum: float = math.inf
    ) -> float:
        """A number from ``minimum`` to ``maximum``. A number too large for a float counts as infinite."""
        value = self._get(key, (int, float), "a number", default)
        try:
            number = float(value)
        except OverflowError:
            number = math.inf if value > 0 else -math.inf
        if not number >= minimum:  # Written this way because NaN must fail too.
            raise InvalidModelError(f"{self.where}: {key!r} is {number}, but must be a number of at least {minimum}.")
        if number > maximum:
            raise InvalidModelError(f"{self.where}: {key!r} is {number}, but must be at most {maximum}.")
        return number

    def flag(self, key: str, default: bool = _REQUIRED) -> bool:
        """True or false."""
        value: bool = self._get(key, (bool,), "true or false", default)
        return value

    def string(self, key: str, default: str = _REQUIRED) -> str:
        """A string."""
        value: str = self._get(key, (str,), "a string", default)
        return value

    def section(self, key: str) -> Config:
        """A nested object, or an empty one."""
        return Config(f"{self.where}: {key!r}", self._get(key, (dict,), "an object", {}))

    def strings(self, key: str) -> dict[str, str]:
        """An object whose values are strings, or an empty one."""
        value: dict[str, Any] = self._get(key, (dict,), "an object of strings", {})
        if wrong := [name for name, text in value.items() if not isinstance(text, str)]:
            raise InvalidModelError(f"{self.where}: {key!r}: the value of {wrong[0]!r:.80} must be a string.")
        return value
