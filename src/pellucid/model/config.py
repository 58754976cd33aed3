"""A JSON object of a model, read with errors that name the file and the key."""

from __future__ import annotations

import json
import math
from typing import Any

from pellucid.errors import InvalidModelError
from pellucid.sources.files import ModelFiles

_REQUIRED: Any = object()


def read_json(files: ModelFiles, relative: str) -> Any:
    """The JSON value of a file.

    Raises:
        InvalidModelError: the file is missing, or is not JSON; or as :meth:`ModelFiles.readable`.
    """
    content = files.read(relative)
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidModelError(f"{files.name}: {relative} cannot be read as JSON: {error}") from error


class Config:
    """A JSON object whose values are read by type.

    >>> Config("config.json", {"hidden_size": 384}).integer("hidden_size")
    384
    """

    def __init__(self, where: str, values: Any) -> None:
        if not isinstance(values, dict):
            raise InvalidModelError(f"{where} holds a {type(values).__name__} where a JSON object belongs.")
        self.where = where
        self.values: dict[str, Any] = values

    @classmethod
    def read(cls, files: ModelFiles, relative: str) -> Config:
        """The object of a file; the errors of :func:`read_json`."""
        return cls(f"{files.name}: {relative}", read_json(files, relative))

    @classmethod
    def read_if_there(cls, files: ModelFiles, relative: str) -> Config:
        """The object of a file, or an empty one."""
        return cls.read(files, relative) if files.has(relative) else cls(f"{files.name}: {relative}", {})

    def _get(self, key: str, kinds: tuple[type, ...], words: str, default: Any) -> Any:
        value = self.values.get(key)
        if value is None:
            if default is _REQUIRED:
                raise InvalidModelError(f"{self.where} has no {key!r}, which must be {words}.")
            return default
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise InvalidModelError(f"{self.where}: {key!r} is {value!r:.80}, and must be {words}.")
        return value

    def size(self, key: str, default: int = _REQUIRED, *, most: float = math.inf) -> int:
        """A whole number from 1 to ``most``."""
        return self.integer(key, default, least=1, most=most)

    def integer(self, key: str, default: int = _REQUIRED, *, least: float = -math.inf, most: float = math.inf) -> int:
        """A whole number from ``least`` to ``most``."""
        number: int = self._get(key, (int,), "a whole number", default)
        if number < least:
            raise InvalidModelError(f"{self.where}: {key!r} is {number}, and must be at least {least}.")
        if number > most:
            raise InvalidModelError(f"{self.where}: {key!r} is {number}, and can be at most {most}.")
        return number

    def number(
        self, key: str, default: float = _REQUIRED, *, least: float = -math.inf, most: float = math.inf
    ) -> float:
        """A number from ``least`` to ``most``; one beyond what a float holds counts as infinite."""
        value = self._get(key, (int, float), "a number", default)
        try:
            number = float(value)
        except OverflowError:
            number = math.inf if value > 0 else -math.inf
        if not number >= least:  # Put so that NaN fails too.
            raise InvalidModelError(f"{self.where}: {key!r} is {number}, and must be a number of at least {least}.")
        if number > most:
            raise InvalidModelError(f"{self.where}: {key!r} is {number}, and can be at most {most}.")
        return number

    def flag(self, key: str, default: bool = _REQUIRED) -> bool:
        """True or false."""
        value: bool = self._get(key, (bool,), "true or false", default)
        return value

    def string(self, key: str, default: str = _REQUIRED) -> str:
        """A text."""
        value: str = self._get(key, (str,), "a text", default)
        return value

    def section(self, key: str) -> Config:
        """An object within this one, or an empty one."""
        return Config(f"{self.where}: {key!r}", self._get(key, (dict,), "an object", {}))

    def strings(self, key: str) -> dict[str, str]:
        """An object of texts, or an empty one."""
        value: dict[str, Any] = self._get(key, (dict,), "an object of texts", {})
        if wrong := [name for name, text in value.items() if not isinstance(text, str)]:
            raise InvalidModelError(f"{self.where}: {key!r} has a {wrong[0]!r:.80} that is not a text.")
        return value
