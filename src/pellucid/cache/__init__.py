"""Keeps vectors on disk, and finds the texts of a call among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pellucid.cache.store import Cache

__all__ = ["Cache"]


def __getattr__(name: str) -> Any:
    if name == "Cache":
        from pellucid.cache.store import Cache

        return Cache
    raise AttributeError(f"module 'pellucid.cache' has no attribute {name!r}")
